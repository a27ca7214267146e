//! Two books sync over a stream that an app brings, both sending at once through the narrowest of pipes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::daybook::{Daybook, EnrolmentRequest, NewIncident, Terms};
use daybook_core::net::{Agreement, NetLimits, Report, meet};
use daybook_core::record::{Name, Setting};
use daybook_core::roster::Role;
use daybook_core::sync::{Reason, Side};
use daybook_tests::host::SeededHost;
use std::path::Path;
use tempfile::TempDir;

const PASSPHRASE: &[u8] = b"four words or more";

fn add(book: &mut Daybook, count: u32, family: &str) {
    for number in 0..count {
        let family = format!("{family} {number}");
        let name = Name { family: &family, given: vec![], text: "" };
        book.add_patient(&[Setting::Name(name, Some(""))]).unwrap();
    }
}

fn two(folder: &Path) -> (Daybook, Daybook) {
    let new =
        NewIncident { incident: "Flood".into(), organisation: "Relief".into(), person: "Ana".into(), exercise: true };
    let host = |seed| Box::new(SeededHost::new(seed));
    let (mut admin, _) = Daybook::create(&folder.join("a"), PASSPHRASE, &new, host(1)).unwrap();
    let newcomer = folder.join("b");
    let request: EnrolmentRequest =
        Daybook::begin_request(&newcomer, PASSPHRASE, "Ben", false, &mut SeededHost::new(2)).unwrap();
    let terms =
        Terms { role: Role::Clinician, organisation: None, history: true, until_ms: None, addresses: Vec::new() };
    let reply = admin.grant(&request, &terms).unwrap();
    let offer = Daybook::open_reply(&newcomer, PASSPHRASE, &reply.code().unwrap().concat()).unwrap();
    let book = Daybook::accept(&newcomer, PASSPHRASE, &offer, host(3)).unwrap();
    (admin, book)
}

fn run(folder: &Path, pipe_bytes: usize, (admin, newcomer): (Daybook, Daybook)) -> [Report; 2] {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (near, far) = tokio::io::duplex(pipe_bytes);
    let limits = NetLimits::default();
    let (called, caller) = runtime.block_on(async {
        let (mut quiet, mut silent) = (|_| {}, |_| {});
        tokio::join!(
            meet(admin, Side::Called, tokio::io::split(near), limits, None, &mut quiet),
            meet(newcomer, Side::Caller, tokio::io::split(far), limits, None, &mut silent),
        )
    });
    let reports = [called.unwrap(), caller.unwrap()];
    let digests = ["a", "b"].map(|name| {
        let mut book = Daybook::open(&folder.join(name), PASSPHRASE, Box::new(SeededHost::new(9))).unwrap();
        book.digest().unwrap()
    });
    let [one, other] = digests;
    assert_eq!(one, other);
    reports
}

#[test]
fn both_send_at_once_through_a_pipe_of_64_bytes() {
    let folder = TempDir::new().unwrap();
    let (mut admin, mut newcomer) = two(folder.path());
    add(&mut admin, 120, "Okoye");
    add(&mut newcomer, 120, "Haddad");
    let [called, caller] = run(folder.path(), 64, (admin, newcomer));
    assert_eq!((called.agreement, caller.agreement), (Agreement::InSync, Agreement::InSync));
    assert_eq!((called.reason, &caller.reason), (Reason::ClosedByPeer, &Reason::Closed));
    // The newcomer's 120 entries and the one that begins its incarnation.
    assert_eq!((called.received, caller.sent), (121, 121));
    assert_eq!((called.bytes_sent, called.bytes_received), (caller.bytes_received, caller.bytes_sent));
    assert_eq!(caller.who.unwrap().person.as_deref(), Some("Ana"));
}

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

fn host(seed: u64) -> Box<SeededHost> {
    Box::new(SeededHost::new(seed))
}

fn open(folder: &Path, name: &str, seed: u64) -> Daybook {
    Daybook::open(&folder.join(name), PASSPHRASE, host(seed)).unwrap()
}

fn enrol(folder: &Path, admin: &mut Daybook, name: &str, history: bool, seed: u64) -> Daybook {
    let newcomer = folder.join(name);
    let request: EnrolmentRequest =
        Daybook::begin_request(&newcomer, PASSPHRASE, name, false, &mut SeededHost::new(seed)).unwrap();
    let terms =
        Terms { role: Role::Clinician, organisation: None, history, until_ms: None, site: None, addresses: Vec::new() };
    let reply = admin.grant(&request, &terms).unwrap();
    let offer = Daybook::open_reply(&newcomer, PASSPHRASE, &reply.code().unwrap().concat()).unwrap();
    Daybook::accept(&newcomer, PASSPHRASE, &offer, host(seed + 100)).unwrap()
}

fn two(folder: &Path) -> (Daybook, Daybook) {
    let new =
        NewIncident { incident: "Flood".into(), organisation: "Relief".into(), person: "Ana".into(), exercise: true };
    let (mut admin, _) = Daybook::create(&folder.join("a"), PASSPHRASE, &new, host(1)).unwrap();
    let newcomer = enrol(folder, &mut admin, "b", true, 2);
    (admin, newcomer)
}

/// Lets two books meet, the second one calls.
fn run(pipe_bytes: usize, (called, caller): (Daybook, Daybook)) -> [Report; 2] {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (near, far) = tokio::io::duplex(pipe_bytes);
    let limits = NetLimits::default();
    let (called, caller) = runtime.block_on(async {
        let (mut quiet, mut silent) = (|_| {}, |_| {});
        tokio::join!(
            meet(called, Side::Called, tokio::io::split(near), limits, None, &mut quiet),
            meet(caller, Side::Caller, tokio::io::split(far), limits, None, &mut silent),
        )
    });
    let reports = [called.unwrap(), caller.unwrap()];
    assert_eq!([reports[0].agreement, reports[1].agreement], [Agreement::InSync; 2], "{reports:#?}");
    reports
}

fn same(folder: &Path, names: [&str; 2]) {
    let [one, other] = names.map(|name| open(folder, name, 9).digest().unwrap());
    assert_eq!(one, other);
}

#[test]
fn both_send_at_once_through_a_pipe_of_64_bytes() {
    let folder = TempDir::new().unwrap();
    let (mut admin, mut newcomer) = two(folder.path());
    add(&mut admin, 120, "Okoye");
    add(&mut newcomer, 120, "Haddad");
    let [called, caller] = run(64, (admin, newcomer));
    // Both books are closed: a program may end now.
    let log = |name: &str| folder.path().join(name).join("book.db-wal");
    assert!(!log("a").exists() && !log("b").exists());
    same(folder.path(), ["a", "b"]);
    assert_eq!((called.reason, &caller.reason), (Reason::ClosedByPeer, &Reason::Closed));
    // The newcomer's 120 entries and the one that begins its incarnation.
    assert_eq!((called.received, caller.sent), (121, 121));
    assert_eq!((called.bytes_sent, called.bytes_received), (caller.bytes_received, caller.bytes_sent));
    assert_eq!(caller.who.unwrap().person.as_deref(), Some("Ana"));
}

#[test]
fn a_new_epoch_reaches_those_who_were_there_before_whoever_calls() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let (mut admin, early) = two(folder);
    let other = enrol(folder, &mut admin, "c", true, 3);
    add(&mut admin, 3, "Okoye");
    run(1_024, (admin, early));
    let mut admin = open(folder, "a", 20);
    let mut late = enrol(folder, &mut admin, "d", false, 4);
    add(&mut admin, 2, "Lindqvist");
    add(&mut late, 1, "Haddad");
    // One calls the administrator, the other is called by it.
    run(1_024, (admin, open(folder, "b", 21)));
    same(folder, ["a", "b"]);
    run(1_024, (other, open(folder, "a", 22)));
    same(folder, ["a", "c"]);
    assert_eq!(open(folder, "c", 23).status().unwrap().entries.unopened, 0);
    // Who came without history reads what is written from then on, and the others read what it writes.
    run(1_024, (late, open(folder, "c", 24)));
    let status = open(folder, "d", 25).status().unwrap();
    assert_eq!((status.patients, status.entries.unopened), (3, 3));
    let status = open(folder, "c", 26).status().unwrap();
    assert_eq!((status.patients, status.entries.unopened, status.entries.waiting), (6, 0, 0));
}

#[test]
fn a_newcomer_meets_a_member_who_never_heard_of_the_grant() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let (mut admin, third) = two(folder);
    run(1_024, (third, admin));
    admin = open(folder, "a", 30);
    enrol(folder, &mut admin, "c", true, 31);
    let mut newcomer = enrol(folder, &mut admin, "d", true, 32);
    add(&mut newcomer, 4, "Okoye");
    run(1_024, (open(folder, "b", 33), newcomer));
    same(folder, ["b", "d"]);
    let status = open(folder, "b", 34).status().unwrap();
    assert_eq!((status.patients, status.entries.waiting), (4, 0));
}

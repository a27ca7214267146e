//! An export file carries keys as well as logs: whoever is given it on a stick reads what his grant lets him read,
//! and nobody else does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::clock::Host;
use daybook_core::daybook::{Daybook, NewIncident, Terms};
use daybook_core::record::{Name, Setting};
use daybook_core::roster::Role;
use daybook_tests::host::SeededHost;
use tempfile::TempDir;

const PASSPHRASE: &[u8] = b"four words or more";

fn host(seed: u64) -> Box<dyn Host> {
    Box::new(SeededHost::new(seed))
}

fn terms(role: Role, history: bool) -> Terms {
    let addresses = vec!["10.0.0.7:7373".into(), "a\nb".into(), "10.0.0.7:7373".into()];
    Terms { role, organisation: None, history, until_ms: None, site: None, addresses }
}

fn enrol(folder: &TempDir, by: &mut Daybook, name: &str, terms: &Terms, seed: u64) -> Daybook {
    let path = folder.path().join(name);
    let request = Daybook::begin_request(&path, PASSPHRASE, name, false, &mut SeededHost::new(seed)).unwrap();
    let reply = by.grant(&request, terms).unwrap();
    let offer = Daybook::open_reply(&path, PASSPHRASE, &reply.code().unwrap().join("\n")).unwrap();
    Daybook::accept(&path, PASSPHRASE, &offer, host(seed + 100)).unwrap()
}

fn add(book: &mut Daybook, family: &'static str) {
    let name = Name { family, given: vec![], text: "" };
    book.add_patient(&[Setting::Name(name, Some(""))]).unwrap();
}

fn stick(from: &mut Daybook) -> Vec<u8> {
    let mut file = Vec::new();
    from.export_log(&mut file).unwrap();
    file
}

fn unopened(book: &mut Daybook) -> u64 {
    book.status().unwrap().entries.unopened
}

#[test]
fn a_file_brings_the_keys_that_its_reader_may_have() {
    let folder = TempDir::new().unwrap();
    let new = NewIncident {
        incident: "Valley flood".into(),
        organisation: "Relief".into(),
        person: "R. Alvarez".into(),
        exercise: true,
    };
    let (mut admin, _) = Daybook::create(&folder.path().join("admin"), PASSPHRASE, &new, host(1)).unwrap();
    let mut early = enrol(&folder, &mut admin, "Early", &terms(Role::Clinician, true), 10);
    let mut hub = enrol(&folder, &mut admin, "Hub", &terms(Role::Relay, true), 11);
    add(&mut admin, "Okoye");
    // A volunteer without history: a new epoch begins, of which the others have not heard.
    let mut late = enrol(&folder, &mut admin, "Late", &terms(Role::Clinician, false), 12);
    add(&mut admin, "Lindqvist");
    let file = stick(&mut admin);
    let report = early.ingest(&mut file.as_slice(), &mut |_| {}).unwrap();
    assert!(report.refused.is_empty() && !report.cut_off, "{report:?}");
    assert_eq!((early.status().unwrap().patients, unopened(&mut early)), (2, 0));
    assert_eq!(early.digest().unwrap(), admin.digest().unwrap());
    late.ingest(&mut file.as_slice(), &mut |_| {}).unwrap();
    assert_eq!((late.status().unwrap().patients, unopened(&mut late) > 0), (1, true), "no history, no old key");
    // A relay carries the parcels of others and opens nothing.
    hub.ingest(&mut file.as_slice(), &mut |_| {}).unwrap();
    assert_eq!(hub.status().unwrap().patients, 0);

    // One who was away hears of the newest epoch from the hub alone, which has no key.
    let mut third = enrol(&folder, &mut admin, "Third", &terms(Role::Clinician, true), 13);
    let _fourth = enrol(&folder, &mut admin, "Fourth", &terms(Role::Clinician, false), 14);
    add(&mut admin, "Haddad");
    hub.ingest(&mut stick(&mut admin).as_slice(), &mut |_| {}).unwrap();
    let from_hub = stick(&mut hub);
    third.ingest(&mut from_hub.as_slice(), &mut |_| {}).unwrap();
    assert_eq!((third.status().unwrap().patients, unopened(&mut third)), (3, 0));
    assert_eq!(third.digest().unwrap(), admin.digest().unwrap());

    // A holder makes parcels for whom none is kept: the newest device is known to it by its grant alone.
    let mut fifth = enrol(&folder, &mut admin, "Fifth", &terms(Role::Clinician, true), 15);
    third.ingest(&mut stick(&mut admin).as_slice(), &mut |_| {}).unwrap();
    let again = stick(&mut third);
    fifth.ingest(&mut again.as_slice(), &mut |_| {}).unwrap();
    assert_eq!(fifth.digest().unwrap(), admin.digest().unwrap());
    assert!(again.len() < stick(&mut admin).len() * 2);
}

#[test]
fn addresses_of_the_reply_are_kept_and_those_that_answered_come_first() {
    let folder = TempDir::new().unwrap();
    let new = NewIncident {
        incident: "Valley flood".into(),
        organisation: "Relief".into(),
        person: "R. Alvarez".into(),
        exercise: true,
    };
    let (mut admin, _) = Daybook::create(&folder.path().join("admin"), PASSPHRASE, &new, host(1)).unwrap();
    assert_eq!(admin.addresses().unwrap(), [""; 0]);
    let mut book = enrol(&folder, &mut admin, "Newcomer", &terms(Role::Clinician, true), 10);
    assert_eq!(book.addresses().unwrap(), ["10.0.0.7:7373"]);
    for number in 0..40 {
        book.note_reached(&format!("tent-{number}")).unwrap();
    }
    book.note_reached("tent-39").unwrap();
    book.note_reached("tent-30").unwrap();
    let known = book.addresses().unwrap();
    assert_eq!(
        (known.len(), &known[0][..], &known[1][..], &known[16][..]),
        (17, "tent-30", "tent-39", "10.0.0.7:7373")
    );
    drop(book);
    let mut book = Daybook::open(&folder.path().join("Newcomer"), PASSPHRASE, host(3)).unwrap();
    assert_eq!(book.addresses().unwrap(), known);
}

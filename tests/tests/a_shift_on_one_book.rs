//! A shift on one book: register, observe, dispense, count, find, close and open again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::daybook::{AllergyStatus, Daybook, Error, NewIncident, Purpose, Say};
use daybook_core::record::*;
use daybook_tests::host::SeededHost;

fn new_incident() -> NewIncident {
    NewIncident { incident: "Flood".into(), organisation: "Red Cross".into(), person: "Ana".into(), exercise: true }
}

#[test]
fn a_shift_on_one_book() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book");
    let (mut book, _seed) = Daybook::create(&path, b"pass", &new_incident(), Box::new(SeededHost::new(1))).unwrap();
    let tag = Setting::Identifier(Identifier { system: "tag", value: "A-17" }, Some(""));
    let patient = book.add_patient(&[tag]).unwrap().value;
    book.edit_patient(
        patient,
        &[Setting::Name(Name { family: "Müller", given: vec!["Ana"], text: "" }, Some("official"))],
    )
    .unwrap();
    assert_eq!(book.resolve_patient("A-17").unwrap(), patient);
    assert_eq!(book.resolve_patient("müll an").unwrap(), patient);
    assert_eq!(book.resolve_patient(&patient.code().to_lowercase()).unwrap(), patient);
    let allergy = Allergy {
        substance: Coded::text("penicillin"),
        clinical: ClinicalStatus::Active,
        verification: Verification::Confirmed,
        criticality: None,
        category: "",
        reaction: "",
    };
    let say = |statement| Say { statement, effective: None, targets: Vec::new(), reason: "" };
    let told = book.say(Some(patient), say(Statement::Allergy(allergy))).unwrap();
    let dispense = Dispense {
        product: Coded::text("Amoxicillin 500 mg"),
        quantity: Some(Quantity::parse("20", "capsule").unwrap()),
        lot: "L1",
        expiry: None,
        days: Some(10),
        receiver: None,
        place: "",
        heads: Vec::new(),
        override_reason: "",
    };
    book.stock_receive(dispense.product, "L1", None, Quantity::parse("100", "capsule").unwrap(), "").unwrap();
    let Err(Error::NeedsOverride { warnings }) = book.dispense(patient, &dispense, None) else { panic!("no warning") };
    assert_eq!(warnings[0].kind, FindingKind::AllergyConflict);
    let forced = Dispense { override_reason: "no other drug", ..dispense.clone() };
    let done = book.dispense(patient, &forced, None).unwrap();
    assert_eq!(done.findings.len(), 1);
    assert_eq!(book.stock().unwrap()[0].on_hand_micros, 80_000_000);
    book.refute(&told.value.entry.0, "mistaken").unwrap();
    assert!(book.findings(false).unwrap().is_empty());
    book.reverse_dispense(&done.value.entry.0, "returned").unwrap();
    assert!(matches!(book.reverse_dispense(&done.value.entry.0, "again"), Err(Error::TakenBack)));
    assert_eq!(book.stock().unwrap()[0].on_hand_micros, 100_000_000);
    let digest = book.digest().unwrap();
    book.rebuild(&mut |_, _| {}).unwrap();
    assert_eq!(book.digest().unwrap(), digest);
    let report = book.verify(&mut |_, _| {}).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let chart = book.read_patient(patient, Purpose::Treatment).unwrap();
    assert_eq!(chart.allergy_status, AllergyStatus::NotAsked);
    assert_eq!(chart.facts.len(), 4);
    assert!(!book.history(patient, Purpose::Treatment, None).unwrap().is_empty());
    drop(book);
    assert!(matches!(Daybook::open(&path, b"no", Box::new(SeededHost::new(2))), Err(Error::WrongPassphrase)));
    let mut book = Daybook::open(&path, b"pass", Box::new(SeededHost::new(2))).unwrap();
    assert_eq!(book.digest().unwrap(), digest);
    assert_eq!(book.status().unwrap().here.person.as_deref(), Some("Ana"));
    let mut file = Vec::new();
    let entries = book.export_log(&mut file).unwrap();
    let report = book.ingest(&mut file.as_slice(), &mut |_| {}).unwrap();
    assert_eq!((report.new, report.known, report.cut_off, report.refused.len()), (0, entries, false, 0));
}

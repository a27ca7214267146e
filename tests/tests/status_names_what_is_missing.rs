//! Status sums up which changes refer to entries that are not here, whose they are, and from whom they could come.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use daybook_core::daybook::{Author, Awaited, Daybook, Purpose, Say};
use daybook_core::id::{CONTROL, DeviceId, PatientId};
use daybook_core::record::{Setting, Statement, Telecom};
use daybook_core::roster::Role;
use daybook_core::sync::{LogHeads, Piece, Shelf};
use daybook_tests::people::{People, meet, terms};

/// The runs of some logs of a book.
fn runs(book: &mut Daybook, of: impl Fn(&LogHeads) -> bool) -> Vec<Vec<u8>> {
    let mut runs = Vec::new();
    for log in book.frontier().unwrap().iter().filter(|log| of(log)) {
        for branch in &log.branches {
            let piece = Piece { log: log.number, branch: branch.branch, from: branch.fork_seq + 1, to: branch.tip_seq };
            runs.extend(book.runs(piece, 16_384, usize::MAX).unwrap().into_iter().map(|run| run.bytes));
        }
    }
    runs
}

fn take(book: &mut Daybook, runs: &[Vec<u8>]) {
    assert_eq!(book.take_runs(runs).unwrap().refused, []);
    book.post_all().unwrap();
}

fn phone(book: &mut Daybook, patient: PatientId, number: &str) {
    book.edit_patient(patient, &[Setting::Telecom(Telecom { system: "phone", value: number }, Some("mobile"))])
        .unwrap();
}

fn device(book: &mut Daybook) -> DeviceId {
    book.status().unwrap().here.device
}

fn told(awaited: &[Awaited]) -> Vec<(Option<String>, u64, u64, Vec<String>)> {
    let name = |author: &Author| author.person.clone().unwrap_or_default();
    let one = |of: &Awaited| {
        let from = of.could_come_from.iter().map(name).collect();
        (of.author.as_ref().map(name), of.changes, of.records, from)
    };
    awaited.iter().map(one).collect()
}

#[test]
fn changes_that_refer_to_what_is_not_here_are_told_with_who_could_bring_it() {
    let mut people = People::default();
    let (mut admin, _) = people.found("admin");
    let patients: Vec<PatientId> = (0..3)
        .map(|_| {
            admin
                .add_patient(&[Setting::Telecom(Telecom { system: "phone", value: "+1" }, Some("mobile"))])
                .unwrap()
                .value
        })
        .collect();
    let mut nurse = people.enrol(&mut admin, "Nurse", &terms(Role::Clinician));
    let mut third = people.enrol(&mut admin, "Third", &terms(Role::Clinician));
    assert!(meet(&mut nurse, &mut admin) && meet(&mut third, &mut admin));
    // Her installation is known by a note that she wrote: another log than that of her changes of records.
    let statement = Statement::Note { text: "came by boat" };
    nurse.say(Some(patients[0]), Say { statement, effective: None, targets: Vec::new(), reason: "" }).unwrap();
    assert!(meet(&mut nurse, &mut admin));
    assert_eq!(told(&admin.awaited().unwrap()), []);
    // The nurse changes two records, and the third, who saw it, goes on from there: one of them twice.
    for patient in &patients[..2] {
        phone(&mut nurse, *patient, "+231880001");
    }
    assert!(meet(&mut nurse, &mut third));
    for patient in &patients {
        phone(&mut third, *patient, "+231880002");
    }
    phone(&mut third, patients[0], "+231880003");
    let (nurses, thirds) = (device(&mut nurse), device(&mut third));
    let of_third = runs(&mut third, |log| log.device == thirds);
    take(&mut admin, &of_third);
    // Of the nurse's log of records nothing is here, but her installation is known.
    let expected = |from: &[&str]| {
        let from = from.iter().map(|name| (*name).to_owned()).collect();
        vec![(Some("Nurse".to_owned()), 2, 2, from)]
    };
    assert_eq!(told(&admin.awaited().unwrap()), expected(&["Nurse", "Third"]));
    let mut waits = |patient: &PatientId| admin.read_patient(*patient, Purpose::Treatment).unwrap().waits_for.len();
    assert_eq!(patients.iter().map(&mut waits).sum::<usize>(), 2, "as the records say");
    admin.rebuild(&mut |_, _| {}).unwrap();
    assert_eq!(told(&admin.awaited().unwrap()), expected(&["Nurse", "Third"]));
    // Who was barred cannot bring it, who was revoked can bring her own.
    admin.revoke("Nurse", None, None).unwrap();
    assert_eq!(told(&admin.awaited().unwrap()), expected(&["Nurse", "Third"]));
    admin.bar("Nurse").unwrap();
    assert_eq!(told(&admin.awaited().unwrap()), expected(&["Third"]));
    // One who has not heard of the nurse at all.
    let mut fourth = people.enrol(&mut admin, "Fourth", &terms(Role::Clinician));
    let control = runs(&mut admin, |log| log.compartment == CONTROL && log.device != nurses);
    take(&mut fourth, &control);
    let records = runs(&mut admin, |log| log.compartment != CONTROL && log.device != nurses);
    take(&mut fourth, &records);
    fourth.judge_anew().unwrap();
    let awaited = fourth.awaited().unwrap();
    assert!(awaited.iter().all(|of| of.author.is_none() && of.changes == 2), "{awaited:?}");
    // It comes, and nothing is missing any more.
    let of_nurse = runs(&mut nurse, |log| log.device == nurses);
    take(&mut admin, &of_nurse);
    assert_eq!(told(&admin.awaited().unwrap()), []);
}

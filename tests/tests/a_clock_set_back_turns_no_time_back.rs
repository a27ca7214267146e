//! What a device writes is later than all that it wrote before, whatever its clock says, also after the book was
//! closed, made anew, or something in it was erased.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use daybook_core::clock::Hlc;
use daybook_core::daybook::Daybook;
use daybook_core::record::{Name, Setting};
use daybook_core::roster::Role;
use daybook_tests::host::{START_MS, SeededHost};
use daybook_tests::people::{PASSPHRASE, People, meet, terms};

const YEAR_MS: i64 = 365 * 86_400_000;

/// Adds a patient; the entry's code.
fn add(book: &mut Daybook, family: &'static str) -> String {
    let name = Name { family, given: vec![], text: "" };
    book.add_patient(&[Setting::Name(name, Some(""))]).unwrap().entries[0].0.clone()
}

/// The author's clock in an entry.
fn clock(book: &mut Daybook, entry: &str) -> Hlc {
    let lines = book.log(None, 1_000).unwrap();
    lines.into_iter().find(|line| line.entry.0 == entry).unwrap().hlc.unwrap()
}

#[test]
fn a_clock_set_back_turns_no_time_back() {
    let mut people = People::default();
    let (mut admin, _) = people.found("admin");
    drop(people.enrol(&mut admin, "nurse", &terms(Role::Clinician)));
    let folder = people.path("nurse");
    let mut seed = 100;
    let mut open = |now_ms| {
        seed += 1;
        Daybook::open(&folder, PASSPHRASE, Box::new(SeededHost::new(seed).at(now_ms))).unwrap()
    };
    let mut nurse = open(START_MS + YEAR_MS);
    let mut last = add(&mut nurse, "Okoye");
    let mut before = clock(&mut nurse, &last);
    assert!(before.ms() > START_MS + YEAR_MS);
    let later = |book: &mut Daybook, last: &mut String, before: &mut Hlc, after: &str| {
        *last = add(book, "Lindqvist");
        let now = clock(book, last);
        assert!(now > *before, "{after}: {now:?} after {before:?}");
        *before = now;
    };

    // Only the times of what was posted tell how late it was.
    drop(nurse);
    let mut nurse = open(START_MS);
    later(&mut nurse, &mut last, &mut before, "closed");

    nurse.rebuild(&mut |_, _| {}).unwrap();
    drop(nurse);
    let mut nurse = open(START_MS);
    later(&mut nurse, &mut last, &mut before, "made anew");

    // The latest of them counts no more, and its time with it. Nothing is written after it.
    nurse.write_readings().unwrap();
    last = add(&mut nurse, "Haddad");
    assert!(meet(&mut nurse, &mut admin));
    before = clock(&mut admin, &last);
    admin.erase(&last, "written by mistake").unwrap();
    assert!(meet(&mut admin, &mut nurse));
    let erased = nurse.log(None, 1_000).unwrap().into_iter().find(|line| line.entry.0 == last).unwrap();
    assert!(erased.verdict.contains("erased"), "{}", erased.verdict);
    drop(nurse);
    let mut nurse = open(START_MS);
    later(&mut nurse, &mut last, &mut before, "erased");
}

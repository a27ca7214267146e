//! A copied book takes back its own: whoever copies or restores a book's folder writes under one name twice.
//! When the two meet, both show it, both go on under new names, and nothing that was written is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::daybook::{Daybook, EntryCode, Error, FindingView, IngestReport, NewIncident, Purpose, Say};
use daybook_core::id::PatientId;
use daybook_core::record::*;
use daybook_tests::host::{START_MS, SeededHost};
use std::fs;
use std::path::Path;

const PASSPHRASE: &[u8] = b"correct horse battery";

fn new_book(path: &Path) -> Daybook {
    let incident =
        NewIncident { incident: "Flood".into(), organisation: "Relief".into(), person: "Ana".into(), exercise: true };
    Daybook::create(path, PASSPHRASE, &incident, Box::new(SeededHost::new(1))).unwrap().0
}

/// Opens with randomness of its own and a clock that goes on.
fn open(path: &Path, seed: u64) -> Daybook {
    let host = SeededHost::new(seed).at(START_MS + 1_000_000);
    Daybook::open(path, PASSPHRASE, Box::new(host)).unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

fn register(book: &mut Daybook, tag: &str) -> PatientId {
    let identifier = Identifier { system: "tag", value: tag };
    book.add_patient(&[Setting::Identifier(identifier, Some(""))]).unwrap().value
}

fn note(book: &mut Daybook, patient: PatientId, text: &str) -> EntryCode {
    let say = Say { statement: Statement::Note { text }, effective: None, targets: Vec::new(), reason: "" };
    book.say(Some(patient), say).unwrap().value.entry
}

fn set_birth(book: &mut Daybook, patient: PatientId, date: &str) {
    book.edit_patient(patient, &[Setting::Birth(PartialDate::parse(date))]).unwrap();
}

fn export(book: &mut Daybook) -> Vec<u8> {
    let mut file = Vec::new();
    book.export_log(&mut file).unwrap();
    file
}

fn ingest(book: &mut Daybook, file: &[u8]) -> IngestReport {
    let report = book.ingest(&mut &*file, &mut |_| {}).unwrap();
    assert_eq!((report.refused.len(), report.cut_off), (0, false), "{report:?}");
    report
}

/// Both take in what the other has, until neither has anything new.
fn meet(one: &mut Daybook, other: &mut Daybook) {
    for _ in 0..2 {
        ingest(one, &export(other));
        ingest(other, &export(one));
    }
    assert_eq!(one.digest().unwrap(), other.digest().unwrap());
    let (one, other) = (one.status().unwrap(), other.status().unwrap());
    assert_eq!((one.entries.total, one.logs, one.patients), (other.entries.total, other.logs, other.patients));
}

fn sound(book: &mut Daybook) {
    assert_eq!(book.verify(&mut |_, _| {}).unwrap().problems, Vec::<String>::new());
    let digest = book.digest().unwrap();
    book.rebuild(&mut |_, _| {}).unwrap();
    assert_eq!(book.digest().unwrap(), digest);
}

fn forks(book: &mut Daybook) -> Vec<FindingView> {
    book.findings(false).unwrap().into_iter().filter(|finding| finding.kind == FindingKind::Fork).collect()
}

fn notes(book: &mut Daybook, patient: PatientId) -> Vec<String> {
    let chart = book.read_patient(patient, Purpose::Treatment).unwrap();
    let mut texts: Vec<String> = chart
        .facts
        .iter()
        .filter_map(|fact| match fact.fact()?.statement {
            Statement::Note { text } => Some(text.to_owned()),
            _ => None,
        })
        .collect();
    texts.sort_unstable();
    texts
}

fn births(book: &mut Daybook, patient: PatientId) -> Vec<String> {
    let chart = book.read_patient(patient, Purpose::Treatment).unwrap();
    let mut dates: Vec<String> =
        chart.registers.iter().filter(|shown| shown.field == Field::Birth).map(|shown| shown.text.clone()).collect();
    dates.sort_unstable();
    dates
}

/// How many incarnations of any device began, as the control log tells.
fn incarnations(book: &mut Daybook) -> usize {
    let lines = book.log(None, 100_000).unwrap();
    lines.iter().filter(|line| line.operations == ["incarnation"] && line.verdict == "accepted").count()
}

fn log_of(entry: &EntryCode) -> &str {
    entry.0.split_once('-').unwrap().0
}

#[test]
fn a_clone_and_its_original_show_the_fork_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("original"), folder.path().join("clone"));
    let mut book = new_book(&here);
    let patient = register(&mut book, "A-1");
    let first_note = note(&mut book, patient, "before");
    drop(book);
    copy(&here, &there);
    let (mut original, mut clone) = (open(&here, 2), open(&there, 3));

    // Both write on under one name, at the same places.
    let mut added = Vec::new();
    for (book, who, date) in [(&mut original, "original", "1980"), (&mut clone, "clone", "1990")] {
        added.push(register(book, who));
        set_birth(book, patient, date);
        let code = note(book, patient, who);
        assert_eq!(log_of(&code), log_of(&first_note));
        assert_eq!((forks(book).len(), incarnations(book)), (0, 1));
    }
    // That the clone's findings and log were looked at is an entry, too.
    clone.write_readings().unwrap();
    let theirs = clone.status().unwrap().entries.total;

    // The original meets the clone's entries: they are its own and it did not have them.
    let report = ingest(&mut original, &export(&mut clone));
    assert_eq!((report.new, report.new + report.known, report.own_entries_returned), (4, theirs, true));
    let found = forks(&mut original);
    assert_eq!(found.len(), 2, "one in each lane: {found:?}");
    assert!(found.iter().all(|finding| finding.text.contains("Ana") && !finding.text.contains("1990")));
    assert_eq!(notes(&mut original, patient), ["before", "clone", "original"]);
    assert_eq!(births(&mut original, patient), ["1980", "1990"]);
    assert_eq!(original.status().unwrap().open_findings, 3, "two forks and a birth date with two values");

    // It is told once; the next write begins a new incarnation, once.
    assert!(!ingest(&mut original, &export(&mut clone)).own_entries_returned);
    assert_eq!(incarnations(&mut original), 1);
    let after = note(&mut original, patient, "original again");
    assert_ne!(log_of(&after), log_of(&first_note));
    assert_eq!(log_of(&note(&mut original, patient, "and again")), log_of(&after));
    assert_eq!(incarnations(&mut original), 2);

    // The clone learns the same, also when it is closed and opened before it writes.
    assert!(ingest(&mut clone, &export(&mut original)).own_entries_returned);
    assert_eq!(forks(&mut clone).len(), 2);
    drop(clone);
    let mut clone = open(&there, 4);
    let clones = note(&mut clone, patient, "clone again");
    assert!(log_of(&clones) != log_of(&first_note) && log_of(&clones) != log_of(&after));
    meet(&mut original, &mut clone);
    assert_eq!((incarnations(&mut original), incarnations(&mut clone)), (3, 3));
    for book in [&mut original, &mut clone] {
        let all = ["and again", "before", "clone", "clone again", "original", "original again"];
        assert_eq!(notes(book, patient), all);
        assert_eq!(births(book, patient), ["1980", "1990"]);
        for patient in &added {
            assert!(book.read_patient(*patient, Purpose::Treatment).is_ok());
        }
        sound(book);
    }

    // Under new names they contradict each other no more; the old fork stays until somebody looked at it.
    note(&mut original, patient, "later");
    note(&mut clone, patient, "later still");
    meet(&mut original, &mut clone);
    assert_eq!((forks(&mut original).len(), incarnations(&mut original)), (2, 3));
    for finding in forks(&mut original) {
        original.resolve_finding(&finding.id.to_hex(), "the laptop's disk was copied").unwrap();
    }
    meet(&mut clone, &mut original);
    assert_eq!((forks(&mut original).len(), forks(&mut clone).len()), (0, 0));
    sound(&mut clone);
}

#[test]
fn an_entry_of_a_forked_log_is_named_without_doubt() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("original"), folder.path().join("clone"));
    let mut book = new_book(&here);
    let patient = register(&mut book, "A-1");
    drop(book);
    copy(&here, &there);
    let (mut original, mut clone) = (open(&here, 2), open(&there, 3));
    let codes = [note(&mut original, patient, "original"), note(&mut clone, patient, "clone")];
    assert_eq!(codes[0], codes[1]);
    meet(&mut original, &mut clone);
    let Err(Error::AmbiguousEntry { candidates }) = original.refute(&codes[0].0, "mistaken") else {
        panic!("named one")
    };
    assert_eq!(candidates.len(), 2);
    let of_clone = candidates.iter().find(|code| {
        let fact = original.fact(code).unwrap();
        matches!(fact.fact().unwrap().statement, Statement::Note { text: "clone" })
    });
    original.refute(of_clone.unwrap(), "mistaken").unwrap();
    let chart = original.read_patient(patient, Purpose::Treatment).unwrap();
    for fact in chart.facts.iter().filter(|fact| fact.kind == FactKind::Note) {
        let is_clones = matches!(fact.fact().unwrap().statement, Statement::Note { text: "clone" });
        assert_eq!(fact.standing == Standing::Refuted, is_clones);
    }
    meet(&mut clone, &mut original);
    sound(&mut clone);
}

#[test]
fn three_copies_that_meet_in_any_order_end_with_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..3).map(|number| folder.path().join(format!("copy {number}"))).collect();
    let mut book = new_book(&paths[0]);
    let patient = register(&mut book, "A-1");
    // More than 64, so that a signed place lies between the beginning and the fork.
    for number in 0..70 {
        note(&mut book, patient, &format!("note {number}"));
    }
    drop(book);
    copy(&paths[0], &paths[1]);
    copy(&paths[0], &paths[2]);
    let mut books: Vec<Daybook> = paths.iter().zip(2..).map(|(path, seed)| open(path, seed)).collect();
    for (number, book) in books.iter_mut().enumerate() {
        for round in 0..=number * 65 {
            note(book, patient, &format!("copy {number} round {round}"));
        }
        set_birth(book, patient, &format!("19{number}0"));
        register(book, &format!("of {number}"));
    }
    let files: Vec<Vec<u8>> = books.iter_mut().map(export).collect();
    // Each meets the others in its own order: so their branches have other numbers everywhere.
    for (book, order) in books.iter_mut().zip([[1, 2], [2, 0], [0, 1]]) {
        for from in order {
            assert!(ingest(book, &files[from]).own_entries_returned);
        }
        assert_eq!((forks(book).len(), births(book, patient).len()), (2, 3));
        assert_eq!(notes(book, patient).len(), 70 + 1 + 66 + 131);
    }
    let digests: Vec<_> = books.iter_mut().map(|book| book.digest().unwrap()).collect();
    assert!(digests[0] == digests[1] && digests[1] == digests[2]);
    for book in &mut books {
        sound(book);
    }
    let [one, two, three] = books.as_mut_slice() else { panic!("three books") };
    for book in [&mut *one, &mut *two, &mut *three] {
        note(book, patient, "after");
    }
    meet(one, two);
    meet(two, three);
    meet(one, three);
    assert_eq!((incarnations(one), forks(one).len()), (4, 2));
    // A newcomer to the branches: an empty copy of the beginning takes all of them from one file.
    let late = folder.path().join("late");
    let mut restored = {
        one.backup(&late, PASSPHRASE).unwrap();
        open(&late, 9)
    };
    assert_eq!(restored.digest().unwrap(), one.digest().unwrap());
    assert_eq!(export(&mut restored), export(one));
}

#[test]
fn a_restored_book_begins_a_new_incarnation_and_forks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut book = new_book(&path("book"));
    let patient = register(&mut book, "A-1");
    let before = note(&mut book, patient, "before");
    book.backup(&path("backup"), b"another passphrase").unwrap();
    assert_eq!(incarnations(&mut book), 1, "a backup changes nothing");
    assert_eq!(log_of(&note(&mut book, patient, "after the backup")), log_of(&before));
    set_birth(&mut book, patient, "1980");

    let host = |seed| Box::new(SeededHost::new(seed).at(START_MS + 2_000_000));
    let restore = |name: &str, seed| Daybook::restore(&path("backup"), &path(name), b"another passphrase", host(seed));
    let mut first = restore("first", 5).unwrap();
    let mut second = restore("second", 6).unwrap();
    assert!(matches!(restore("first", 7), Err(Error::BookExists)));
    assert_eq!(notes(&mut first, patient), ["before"]);
    // One writes at once, the other only after it met what was lost.
    let code = note(&mut first, patient, "first");
    assert_ne!(log_of(&code), log_of(&before));
    assert_eq!(incarnations(&mut first), 2);
    assert!(ingest(&mut second, &export(&mut book)).own_entries_returned);
    drop(second);
    let mut second = Daybook::open(&path("second"), b"another passphrase", host(8)).unwrap();
    assert_ne!(log_of(&note(&mut second, patient, "second")), log_of(&before));
    // The first began a new incarnation already: what comes back is of an older one and asks for no other.
    assert!(!ingest(&mut first, &export(&mut book)).own_entries_returned);
    assert_eq!(log_of(&note(&mut first, patient, "first again")), log_of(&code));

    meet(&mut book, &mut first);
    meet(&mut first, &mut second);
    meet(&mut book, &mut second);
    for book in [&mut book, &mut first, &mut second] {
        assert_eq!((forks(book).len(), incarnations(book)), (0, 3));
        assert_eq!(notes(book, patient), ["after the backup", "before", "first", "first again", "second"]);
        assert_eq!(births(book, patient), ["1980"]);
        sound(book);
    }
    // The backup itself was never written to.
    let mut backup = Daybook::open(&path("backup"), b"another passphrase", host(9)).unwrap();
    assert_eq!(notes(&mut backup, patient), ["before"]);
}

#[test]
fn a_ninth_copy_is_told_and_nothing_of_the_nine_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("original");
    let mut book = new_book(&here);
    let patient = register(&mut book, "A-1");
    drop(book);
    let mut original = open(&here, 2);
    let mut files = Vec::new();
    for number in 0..8 {
        let path = folder.path().join(format!("copy {number}"));
        copy(&here, &path);
        let mut clone = open(&path, 10 + number);
        note(&mut clone, patient, &format!("copy {number}"));
        files.push(export(&mut clone));
    }
    note(&mut original, patient, "original");
    for file in &files[..7] {
        assert!(ingest(&mut original, file).own_entries_returned);
    }
    let report = original.ingest(&mut files[7].as_slice(), &mut |_| {}).unwrap();
    assert_eq!((report.new, report.refused), (0, vec![("E-010".to_owned(), 1)]));
    // Nine wrote at one place: a proof is kept, and all nine wait until somebody has looked. Nothing is gone, and the
    // original goes on under a new name.
    assert_eq!(notes(&mut original, patient).len(), 8, "notes that wait are shown, flagged");
    let [fork] = &forks(&mut original)[..] else { panic!("one finding") };
    assert!(fork.text.contains("waits for review"), "{}", fork.text);
    let id = fork.id.to_hex();
    assert!(original.fork_proof(&id).unwrap().is_flood());
    assert_eq!(original.status().unwrap().entries.waiting, 8);
    note(&mut original, patient, "afterwards");
    assert_eq!((notes(&mut original, patient).len(), incarnations(&mut original)), (9, 2));
    sound(&mut original);
}

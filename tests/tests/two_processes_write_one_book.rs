//! Two processes write one book: a laptop with a desk open and a command beside it. Both see what the other
//! wrote, neither is told that the book is busy, and the logs stay chains.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use daybook_core::clock::EffectiveTime;
use daybook_core::daybook::{Daybook, LogLine, NewIncident, Purpose, Say, Written};
use daybook_core::id::{Lane, PatientId};
use daybook_core::record::*;
use daybook_core::roster::{CompartmentKind, Role};
use daybook_tests::host::{START_MS, SeededHost};
use daybook_tests::world::World;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const PASSPHRASE: &str = "correct horse battery";
const COMMITS: u64 = 200;

fn new_book(path: &Path) -> Daybook {
    let incident =
        NewIncident { incident: "Flood".into(), organisation: "Relief".into(), person: "Ana".into(), exercise: true };
    let host = Box::new(SeededHost::new(1));
    let mut book = Daybook::create(path, PASSPHRASE.as_bytes(), &incident, host).unwrap().0;
    book.add_patient(&[Setting::Identifier(Identifier { system: "tag", value: "shared" }, Some(""))]).unwrap();
    book
}

/// A writer that has the book open and waits for a word.
fn writer(path: &Path, seed: u64) -> (Child, JoinHandle<Vec<String>>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_writer"))
        .args([path.to_str().unwrap(), PASSPHRASE, &seed.to_string(), &COMMITS.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "open");
    (child, std::thread::spawn(move || lines.map(Result::unwrap).collect()))
}

/// What a writer said of a commit: the code of its first entry, and how many patients it saw then.
fn told(lines: &[String]) -> Vec<(String, u64)> {
    let parse = |line: &String| {
        let words: Vec<&str> = line.split(' ').collect();
        let [_kind, _entries, code, seen] = words.as_slice() else { panic!("{line}") };
        ((*code).to_owned(), seen.parse().unwrap())
    };
    lines.iter().map(parse).collect()
}

/// Lines of each log in order of their places.
fn by_log(lines: &[LogLine]) -> BTreeMap<String, Vec<(u64, &LogLine)>> {
    let mut logs: BTreeMap<String, Vec<(u64, &LogLine)>> = BTreeMap::new();
    for line in lines {
        let (log, seq) = line.entry.0.split_once('-').unwrap();
        logs.entry(log.to_owned()).or_default().push((seq.parse().unwrap(), line));
    }
    logs.values_mut().for_each(|entries| entries.sort_by_key(|(seq, _)| *seq));
    logs
}

#[test]
fn two_processes_write_and_a_third_looks_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book");
    let mut book = new_book(&path);
    let before = book.status().unwrap();
    let mut writers = [writer(&path, 2), writer(&path, 3)];
    for (child, _) in &mut writers {
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
    // Meanwhile a third process checks, exports, takes in, searches and reads: at every moment the book is whole.
    let shared = book.resolve_patient("shared").unwrap();
    let (mut rounds, mut last) = (0, before.entries.total);
    while writers.iter().any(|(_, lines)| !lines.is_finished()) {
        let total = book.status().unwrap().entries.total;
        assert!(total >= last);
        last = total;
        let report = book.verify(&mut |_, _| {}).unwrap();
        assert_eq!(report.problems, Vec::<String>::new(), "round {rounds}");
        let mut file = Vec::new();
        let exported = book.export_log(&mut file).unwrap();
        let report = book.ingest(&mut file.as_slice(), &mut |_| {}).unwrap();
        assert_eq!((report.new, report.known, report.refused, report.cut_off), (0, exported, Vec::new(), false));
        assert!(!report.own_entries_returned && exported >= total);
        assert_eq!(book.find("shared", 10).unwrap().len(), 1);
        let chart = book.read_patient(shared, Purpose::Treatment).unwrap();
        assert!(chart.registers.iter().filter(|shown| shown.field == Field::Birth).count() < 2);
        rounds += 1;
    }
    let mut said = Vec::new();
    for (mut child, lines) in writers {
        let lines = lines.join().unwrap();
        assert!(child.wait().unwrap().success(), "{:?}", lines.last());
        assert_eq!(lines.len() as u64, COMMITS, "{:?}", lines.last());
        said.push(told(&lines));
    }
    assert!(rounds > 3, "too few looks between the writes: {rounds}");

    // Each saw what the other wrote: no count of patients falls, one rises by more than the own patient, and who
    // wrote last saw all.
    let patients = before.patients + 2 * COMMITS / 4;
    for said in &said {
        let seen: Vec<u64> = said.iter().map(|(_, seen)| *seen).collect();
        assert!(seen.is_sorted(), "{seen:?}");
    }
    assert!(said.iter().any(|said| said.windows(2).any(|pair| pair[1].1 - pair[0].1 > 1)), "{said:?}");
    assert_eq!(said.iter().filter_map(|said| said.last()).map(|(_, seen)| *seen).max(), Some(patients));

    // Everything is there: in one incarnation, each place of each log once, and every later entry has a later time.
    let status = book.status().unwrap();
    let lines = book.log(None, 100_000).unwrap();
    // Who looked on left notes of what it read, and wrote them before each export.
    let readings = lines.iter().filter(|line| line.compartment == "audit").count() as u64;
    assert!(readings > 0 && readings <= rounds, "{readings} {rounds}");
    let entries = before.entries.total + 2 * COMMITS / 4 * 5 + readings;
    assert_eq!((status.patients, status.entries.total), (patients, entries));
    assert_eq!((status.entries.accepted, status.logs), (status.entries.total, before.logs + 3));
    let codes: BTreeSet<&String> = said.iter().flatten().map(|(code, _)| code).collect();
    assert_eq!(codes.len() as u64, 2 * COMMITS);
    assert_eq!(lines.iter().filter(|line| line.operations == ["incarnation"]).count(), 1);
    for (log, entries) in by_log(&lines) {
        assert!(entries.iter().zip(1..).all(|((seq, _), expected)| *seq == expected), "{log}");
        assert!(entries.is_sorted_by_key(|(_, line)| line.hlc.unwrap()), "{log}: an entry before its predecessor");
        assert!(entries.windows(2).all(|pair| pair[0].1.hlc < pair[1].1.hlc), "{log}: two entries at one time");
    }
    let all: BTreeSet<&String> = lines.iter().map(|line| &line.entry.0).collect();
    assert!(codes.is_subset(&all));
    // Each edit of the shared record saw the one before it: nothing is concurrent in one book.
    let chart = book.read_patient(shared, Purpose::Treatment).unwrap();
    assert!(chart.registers.iter().all(|shown| !shown.concurrent), "{:?}", chart.registers);
    assert_eq!(chart.findings, Vec::new());
    let on_hand: i64 = book.stock().unwrap().iter().map(|line| line.on_hand_micros).sum();
    assert_eq!(on_hand, -1_000_000 * i64::try_from(2 * COMMITS / 4).unwrap());
    assert_eq!(book.verify(&mut |_, _| {}).unwrap().problems, Vec::<String>::new());
    let digest = book.digest().unwrap();
    book.rebuild(&mut |_, _| {}).unwrap();
    assert_eq!(book.digest().unwrap(), digest);
    drop(book);
    let host = Box::new(SeededHost::new(9));
    assert_eq!(Daybook::open(&path, PASSPHRASE.as_bytes(), host).unwrap().digest().unwrap(), digest);
}

#[test]
fn what_one_process_does_to_the_whole_book_the_other_takes_note_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book");
    let mut here = new_book(&path);
    let open = |seed| Daybook::open(&path, PASSPHRASE.as_bytes(), Box::new(SeededHost::new(seed))).unwrap();
    let mut there = open(2);
    let add = |book: &mut Daybook, tag: &str| {
        book.add_patient(&[Setting::Identifier(Identifier { system: "tag", value: tag }, Some(""))]).unwrap()
    };
    add(&mut here, "A-1");
    assert!(there.resolve_patient("A-1").is_ok());
    // One makes the views anew while the other has statements prepared on the old ones.
    let digest = there.digest().unwrap();
    here.rebuild(&mut |_, _| {}).unwrap();
    assert_eq!(there.digest().unwrap(), digest);
    let second = add(&mut there, "A-2");
    assert_eq!(here.resolve_patient("A-2").unwrap(), second.value);
    // A new passphrase is for the next to open; who has the book open goes on.
    Daybook::change_passphrase(&path, PASSPHRASE.as_bytes(), b"another", &mut SeededHost::new(3)).unwrap();
    let third = add(&mut here, "A-3");
    assert_eq!(there.resolve_patient("A-3").unwrap(), third.value);
    assert!(Daybook::open(&path, PASSPHRASE.as_bytes(), Box::new(SeededHost::new(4))).is_err());
    let mut late = Daybook::open(&path, b"another", Box::new(SeededHost::new(4))).unwrap();
    // They share one clock: the one whose own is a day ahead moves the other's with it.
    let ahead = SeededHost::new(5).at(START_MS + 86_400_000);
    let mut ahead = Daybook::open(&path, b"another", Box::new(ahead)).unwrap();
    let mut last = None;
    for number in 0..10 {
        let book = if number % 2 == 0 { &mut here } else { &mut ahead };
        let statement = Statement::Note { text: "now" };
        let say = Say { statement, effective: None, targets: Vec::new(), reason: "" };
        let hlc = book.say(Some(third.value), say).unwrap().value.hlc;
        assert!(last < Some(hlc), "note {number}: {last:?}, {hlc:?}");
        last = Some(hlc);
    }
    drop(ahead);
    // They share one incarnation: when one learns that the book was copied, the other begins the next.
    let copied = folder.path().join("copied");
    here.backup(&copied, b"copied").unwrap();
    let mut copied = Daybook::open(&copied, b"copied", Box::new(SeededHost::new(6))).unwrap();
    add(&mut copied, "C-1");
    let mut file = Vec::new();
    copied.export_log(&mut file).unwrap();
    assert!(here.ingest(&mut file.as_slice(), &mut |_| {}).unwrap().own_entries_returned);
    let log_of = |written: &Written<PatientId>| written.entries[0].0.split_once('-').unwrap().0.to_owned();
    let next = log_of(&add(&mut there, "D-1"));
    assert_ne!(next, log_of(&third));
    assert_eq!([log_of(&add(&mut here, "D-2")), log_of(&add(&mut late, "D-3"))], [next.clone(), next.clone()]);
    // One closes, the others go on.
    drop(here);
    let fourth = add(&mut late, "A-4");
    assert_eq!(there.resolve_patient("A-4").unwrap(), fourth.value);
    assert_eq!([log_of(&second), log_of(&fourth)], [log_of(&third), next]);
    assert_eq!(late.digest().unwrap(), there.digest().unwrap());
}

#[test]
fn who_writes_one_entry_is_not_starved_by_who_writes_without_pause() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book");
    let mut desk = new_book(&path);
    let add = |book: &mut Daybook, tag: &str| {
        book.add_patient(&[Setting::Identifier(Identifier { system: "tag", value: tag }, Some(""))]).map(drop)
    };
    for number in 0..100 {
        add(&mut desk, &format!("A-{number}")).unwrap();
    }
    // Long transactions, one right after the other, as a large import makes them.
    let mut import = Daybook::open(&path, PASSPHRASE.as_bytes(), Box::new(SeededHost::new(2))).unwrap();
    let (commits, stop) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let (counted, stopped) = (commits.clone(), stop.clone());
    let importing = std::thread::spawn(move || {
        while !stopped.load(Ordering::SeqCst) {
            import.rebuild(&mut |_, _| {}).unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let (mut longest, mut outcome) = (Duration::ZERO, Ok(()));
    for number in 0..10 {
        // Each in the midst of a transaction of the other.
        let before = commits.load(Ordering::SeqCst);
        while commits.load(Ordering::SeqCst) == before && !importing.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let begun = Instant::now();
        outcome = outcome.and_then(|()| add(&mut desk, &format!("B-{number}")));
        longest = longest.max(begun.elapsed());
    }
    stop.store(true, Ordering::SeqCst);
    importing.join().unwrap();
    let commits = commits.load(Ordering::SeqCst);
    assert!(outcome.is_ok(), "{outcome:?} after {longest:?}, beside {commits} commits");
    assert!(longest < Duration::from_secs(4), "waited {longest:?} beside {commits} commits");
    assert!(desk.resolve_patient("B-9").is_ok());
}

/// A target that lets something happen each time that bytes arrive.
struct Interrupted<'a> {
    bytes: Vec<u8>,
    happens: &'a mut dyn FnMut(),
}

impl Write for Interrupted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        (self.happens)();
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_check_and_an_export_are_of_one_moment() {
    // A forked log of another device: one branch with more entries than a check tells its progress of, and one
    // that has an entry more to come.
    let mut world = World::new(1, 2, Role::Clinician);
    let write = |world: &mut World, text: &str, entries: i64| {
        for number in 0..entries {
            let effective = EffectiveTime::parse("2026-11-22T08:00:00Z", 0).unwrap();
            let (patient, statement) = (Some(PatientId::new([1; 16])), Statement::Note { text });
            let fact = Fact { patient, effective, targets: Vec::new(), import: None, reason: "", statement };
            let note = Operation::Fact(fact).to_bytes();
            world.write(0, CompartmentKind::Clinical, Lane::Routine, &[note], START_MS + number);
        }
        world.authors[0].logs.values().next().unwrap().clone()
    };
    let beginning = write(&mut world, "x", 500);
    let log = write(&mut world, "x", 600);
    *world.authors[0].logs.values_mut().next().unwrap() = beginning;
    let forked = write(&mut world, "fork", 2);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book");
    let membership = world.membership(&world.authors[1].device);
    let mut here = Daybook::join(&path, PASSPHRASE.as_bytes(), &membership, Box::new(SeededHost::new(2))).unwrap();
    here.take_runs(&world.control_runs()).unwrap();
    here.take_runs(&[log.run(0, 1_000), log.run(1_000, 1_100), forked.run(500, 501)]).unwrap();
    here.post_all().unwrap();
    let mut there = Daybook::open(&path, PASSPHRASE.as_bytes(), Box::new(SeededHost::new(3))).unwrap();

    // While one checks, the other takes in the entry.
    let mut came = false;
    let report = here.verify(&mut |_, _| {
        if !std::mem::replace(&mut came, true) {
            assert_eq!(there.take_runs(&[forked.run(501, 502)]).unwrap().new, 1);
        }
    });
    assert!(came);
    assert_eq!(report.unwrap().problems, Vec::<String>::new());

    // While one exports, the other dispenses again and again: two entries in two logs, both in the file or neither.
    let patient = there.find("", 1).unwrap().first().map_or_else(
        || there.add_patient(&[Setting::Sex(Some(Sex::Female))]).unwrap().value,
        |patient| patient.patient,
    );
    let dispense = Dispense {
        product: Coded::text("Paracetamol 500 mg"),
        quantity: Quantity::parse("1", "box").ok(),
        lot: "L1",
        expiry: None,
        days: None,
        receiver: None,
        place: "",
        heads: Vec::new(),
        override_reason: "a test",
    };
    there.dispense(patient, &dispense, None).unwrap();
    let mut happens = || drop(there.dispense(patient, &dispense, None).unwrap());
    let mut file = Interrupted { bytes: Vec::new(), happens: &mut happens };
    here.export_log(&mut file).unwrap();
    let other = folder.path().join("other");
    let mut other = Daybook::join(&other, PASSPHRASE.as_bytes(), &membership, Box::new(SeededHost::new(4))).unwrap();
    let report = other.ingest(&mut file.bytes.as_slice(), &mut |_| {}).unwrap();
    assert_eq!((report.refused, report.cut_off), (Vec::new(), false));
    let chart = other.read_patient(patient, Purpose::Treatment).unwrap();
    let dispenses = chart.facts.iter().filter(|fact| fact.kind == FactKind::Dispense).count();
    assert_eq!(other.stock().unwrap()[0].on_hand_micros, -1_000_000 * i64::try_from(dispenses).unwrap());
}

/// Whether another process could lock the file against all readers, as SQLite does.
fn another_could_lock(file: &Path) -> bool {
    // The bytes that every connection to a book holds a shared lock on, as long as it is open.
    let program = "import fcntl, sys
try:
    fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)
except OSError:
    sys.exit(1)";
    Command::new("python3").args(["-c", program]).arg(file).status().unwrap().success()
}

#[test]
fn an_opening_that_fails_lets_go_no_lock_of_the_book_that_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("book"), folder.path().join("other"));
    let mut book = new_book(&path);
    let file = path.join("book.db");
    assert!(!another_could_lock(&file), "this process has it open");
    // The same file under another name, where what SQLite needs beside it cannot be made.
    std::fs::create_dir_all(other.join("book.db-shm")).unwrap();
    std::fs::copy(path.join("keys"), other.join("keys")).unwrap();
    std::fs::hard_link(&file, other.join("book.db")).unwrap();
    let refused = Daybook::open(&other, PASSPHRASE.as_bytes(), Box::new(SeededHost::new(2))).map(|_| ()).unwrap_err();
    assert!(["read-only", "disk-failed"].contains(&refused.code()), "{refused}");
    assert!(!another_could_lock(&file), "its locks are still held");
    book.add_patient(&[Setting::Identifier(Identifier { system: "tag", value: "after" }, Some(""))]).unwrap();
    drop(book);
    assert!(another_could_lock(&file), "nobody has it open any more");
}

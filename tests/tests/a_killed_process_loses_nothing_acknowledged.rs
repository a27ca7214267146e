//! A killed process loses nothing acknowledged: `kill -9` in or near a commit, 200 times. What the process had
//! said is in the book; what it had begun is there whole or not at all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::daybook::{Daybook, Error, NewIncident};
use daybook_core::record::{FactKind, Identifier, Setting};
use daybook_tests::host::SeededHost;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const PASSPHRASE: &str = "correct horse battery";
const BOOKS: u64 = 4;
const KILLS_PER_BOOK: u64 = 25;
/// What the writer writes, over and over, and into how many entries each goes.
const CYCLE: [(&str, u64); 4] = [("patient", 1), ("note", 1), ("edit", 1), ("dispense", 2)];

/// One commit that a writer said was durable.
struct Acknowledged {
    kind: String,
    code: String,
}

fn new_book(path: &Path, seed: u64) -> Daybook {
    let incident =
        NewIncident { incident: "Flood".into(), organisation: "Relief".into(), person: "Ana".into(), exercise: true };
    let host = Box::new(SeededHost::new(seed));
    let mut book = Daybook::create(path, PASSPHRASE.as_bytes(), &incident, host).unwrap().0;
    book.add_patient(&[Setting::Identifier(Identifier { system: "tag", value: "shared" }, Some(""))]).unwrap();
    book
}

fn open(path: &Path, seed: u64) -> Daybook {
    Daybook::open(path, PASSPHRASE.as_bytes(), Box::new(SeededHost::new(seed))).unwrap()
}

/// Lets a process write, kills it at some moment after it acknowledged a few commits, and returns all that it
/// acknowledged.
fn killed_writer(path: &Path, seed: u64, rng: &mut ChaCha20Rng) -> Vec<Acknowledged> {
    let mut writer = Command::new(env!("CARGO_BIN_EXE_writer"))
        .args([path.to_str().unwrap(), PASSPHRASE, &seed.to_string(), "1000000"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "open");
    writer.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let (after, more_us) = (rng.next_u32() % 7, rng.next_u32() % 5_000);
    let mut acknowledged = Vec::new();
    while acknowledged.len() < after as usize {
        acknowledged.push(lines.next().expect("the writer goes on until it is killed").unwrap());
    }
    std::thread::sleep(Duration::from_micros(u64::from(more_us)));
    writer.kill().unwrap();
    assert!(!writer.wait().unwrap().success(), "killed, not ended");
    // What it had said before it died still lies in the pipe; a line that was cut says nothing.
    acknowledged.extend(lines.map_while(Result::ok));
    let parse = |line: String| {
        let words: Vec<&str> = line.split(' ').collect();
        let [kind, entries, code, _seen] = words.as_slice() else { return None };
        let place = CYCLE.iter().find(|(of, _)| of == kind).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(entries.parse::<u64>().unwrap(), place.1, "{line}");
        Some(Acknowledged { kind: (*kind).to_owned(), code: (*code).to_owned() })
    };
    acknowledged.into_iter().filter_map(parse).collect()
}

/// What a book must hold after some kills.
#[derive(Default)]
struct Ledger {
    acknowledged: Vec<Acknowledged>,
    entries: u64,
    dispensed: i64,
    /// Kills that left a commit which was durable and not yet acknowledged.
    unsaid: u64,
}

impl Ledger {
    /// Everything that was acknowledged is there, at most the commit that was under way besides, and whole.
    fn check(&mut self, book: &mut Daybook, new: Vec<Acknowledged>, place: &str) {
        let said: u64 = new.iter().map(|one| CYCLE.iter().find(|(kind, _)| *kind == one.kind).unwrap().1).sum();
        let (under_way, its_entries) = CYCLE[new.len() % 4];
        self.dispensed += new.iter().map(|one| i64::from(one.kind == "dispense")).sum::<i64>();
        self.entries += said;
        self.acknowledged.extend(new);
        // What this test looks at is noted, and goes along with a commit of any process.
        let lines = book.log(None, 100_000).unwrap();
        let readings = lines.iter().filter(|line| line.compartment == "audit").count() as u64;
        let total = book.status().unwrap().entries.total - readings;
        assert!(total == self.entries || total == self.entries + its_entries, "{place}: {total}, {}", self.entries);
        if total > self.entries {
            self.unsaid += 1;
            self.dispensed += i64::from(under_way == "dispense");
            self.entries = total;
        }
        for one in &self.acknowledged {
            let kind = book.fact(&one.code).map(|fact| fact.kind);
            let found = match one.kind.as_str() {
                "note" => matches!(kind, Ok(FactKind::Note)),
                "dispense" => matches!(kind, Ok(FactKind::Dispense)),
                _ => matches!(kind, Err(Error::WrongKind { .. })),
            };
            assert!(found, "{place}: {} {} is {kind:?}", one.kind, one.code);
        }
        // A dispense is two entries in two logs: both are there or neither.
        let on_hand: i64 = book.stock().unwrap().iter().map(|line| line.on_hand_micros).sum();
        assert_eq!(on_hand, -1_000_000 * self.dispensed, "{place}");
        let report = book.verify(&mut |_, _| {}).unwrap();
        assert_eq!((report.problems, report.entries), (Vec::new(), self.entries + readings), "{place}");
        let digest = book.digest().unwrap();
        book.rebuild(&mut |_, _| {}).unwrap();
        assert_eq!(book.digest().unwrap(), digest, "{place}");
    }
}

/// Kills writers of a few books. With a survivor another process has the book open all the while; without one
/// nobody has, and the next to open it finds what the dead one left.
fn kill_many(survivor: bool) {
    let mut unsaid = 0;
    for number in 0..BOOKS {
        let seed = number * 1_000 + u64::from(survivor) * 500;
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("book");
        let mut book = Some(new_book(&path, seed));
        let mut ledger =
            Ledger { entries: book.as_mut().unwrap().status().unwrap().entries.total, ..Ledger::default() };
        for round in 1..=KILLS_PER_BOOK {
            if !survivor {
                book = None;
            }
            let new = killed_writer(&path, seed + round, &mut rng);
            let place = format!("survivor {survivor}, book {number}, round {round}");
            ledger.check(book.get_or_insert_with(|| open(&path, seed + round + 100)), new, &place);
        }
        // The survivor writes on, and one who opens the book sees what it sees.
        let mut book = book.unwrap();
        let identifier = Setting::Identifier(Identifier { system: "tag", value: "after" }, Some(""));
        book.add_patient(&[identifier]).unwrap();
        let digest = book.digest().unwrap();
        drop(book);
        assert_eq!(open(&path, seed + 300).digest().unwrap(), digest);
        assert!(ledger.acknowledged.len() as u64 > KILLS_PER_BOOK);
        unsaid += ledger.unsaid;
    }
    assert!(unsaid > 0, "no kill fell between a commit and its acknowledgement: they are too far from commits");
}

#[test]
fn a_hundred_kills_with_nobody_else_in_the_book() {
    kill_many(false);
}

#[test]
fn a_hundred_kills_beside_a_process_that_goes_on() {
    kill_many(true);
}

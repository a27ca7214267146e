//! The format has two readers: `vectors/read.py` was written from `docs/format.md` alone, and what this program
//! exports it reads, with the same ids. What was changed on the way it refuses, with a sentence.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod export_file;

use daybook_core::daybook::{Daybook, NewIncident, Say};
use daybook_core::entry::{Sealed, SealedEntry};
use daybook_core::id::{CONTROL, EntryId, Lane, LogId};
use daybook_core::log::{Run, RunBuilder};
use daybook_core::record::{Coded, Dispense, Identifier, Name, Observation, Quantity, Setting, Statement, Value};
use daybook_core::roster::{CompartmentKind, Role, SignedFounding};
use daybook_tests::host::SeededHost;
use daybook_tests::world::World;
use export_file::{END, PARCELS, RUN, ended, file_of, parts_of};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder `vectors` of this repository.
fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("vectors")
}

/// What the reader in Python says of a file: its lines, or the sentence with which it refuses.
fn python(file: &Path) -> Result<String, String> {
    let output = Command::new("python3").arg(vectors().join("read.py")).arg(file).output().unwrap_or_else(|error| {
        panic!(
            "python3 cannot be started ({error}): this test needs Python 3.11 or newer and no packages; \
             install it (Debian, Ubuntu: `apt-get install python3`) so that `python3` is on the PATH"
        )
    });
    let (said, refused) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    match output.status.code() {
        Some(0) => Ok(said),
        Some(1) if refused.starts_with("wrong: ") && refused.lines().count() == 1 && said.is_empty() => Err(refused),
        code => panic!("read.py ended with {code:?}: {said}{refused}"),
    }
}

/// As [`python`], of bytes.
fn python_of(bytes: &[u8]) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export");
    std::fs::write(&path, bytes).unwrap();
    python(&path)
}

/// What this program says of an export: the same lines.
fn rust(file: &[u8]) -> String {
    let (founding, frames) = parts_of(file);
    let founding = SignedFounding::read(&founding).unwrap();
    let mut logs: Vec<(LogId, BTreeSet<EntryId>, BTreeSet<EntryId>)> = Vec::new();
    for (kind, payload) in &frames {
        if *kind == PARCELS {
            continue;
        }
        assert_eq!(*kind, RUN);
        let run = Run::read(payload).unwrap().verify(founding.incident()).unwrap();
        if !logs.iter().any(|(log, ..)| *log == run.log()) {
            logs.push((run.log(), BTreeSet::new(), BTreeSet::new()));
        }
        let (_, entries, followed) = logs.iter_mut().find(|(log, ..)| *log == run.log()).unwrap();
        for entry in run.entries() {
            assert!(entries.insert(*entry.id()), "an entry stands twice");
            followed.insert(*entry.backlink());
        }
    }
    let mut lines = String::new();
    for (log, entries, followed) in &logs {
        let mut words = vec![format!("log {} entries {}", log.to_hex(), entries.len())];
        words.extend(entries.difference(followed).map(|head| format!("head {}", head.to_hex())));
        lines += &(words.join(" ") + "\n");
    }
    let total: usize = logs.iter().map(|(_, entries, _)| entries.len()).sum();
    lines + &format!("ok incident {} entries {total}\n", founding.incident().to_hex())
}

const CIPRO: Coded<'static> = Coded::text("Ciprofloxacin 500 mg");

fn tag(value: &str) -> Setting<'_> {
    Setting::Identifier(Identifier { system: "tag", value }, Some(""))
}

fn tablets_of(count: &str) -> Quantity<'static> {
    Quantity::parse(count, "tablet").unwrap()
}

/// Writes a short shift: enough edits of one log to pass a place that is a multiple of 64.
fn work(book: &mut Daybook, patients: usize) {
    book.stock_receive(CIPRO, "L1", None, tablets_of("500"), "").unwrap();
    for number in 0..patients {
        let code = format!("A-{number}");
        let patient = book.add_patient(&[tag(&code)]).unwrap().value;
        if number % 10 == 0 {
            let name = Name { family: "王", given: vec!["小明"], text: "" };
            book.edit_patient(patient, &[Setting::Name(name, Some("official"))]).unwrap();
            let weight = Statement::Observation(Observation {
                code: Coded { system: "http://loinc.org", code: "29463-7", display: "Body weight" },
                value: Some(Value::Quantity(Quantity::parse("70.5", "kg").unwrap())),
                components: Vec::new(),
                seen: Vec::new(),
                earlier: false,
            });
            book.say(Some(patient), Say { statement: weight, effective: None, targets: Vec::new(), reason: "" })
                .unwrap();
            let dispense = Dispense {
                product: CIPRO,
                quantity: Some(tablets_of("20")),
                lot: "L1",
                expiry: None,
                days: Some(10),
                receiver: None,
                place: "",
                heads: Vec::new(),
                override_reason: "",
            };
            book.dispense(patient, &dispense, None).unwrap();
        }
    }
}

/// A new book with a shift in it, and its export.
fn shift(patients: usize) -> (tempfile::TempDir, Daybook, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let new = NewIncident {
        incident: "Flood in the valley".into(),
        organisation: "Red Cross".into(),
        person: "Ana".into(),
        exercise: true,
    };
    let host = Box::new(SeededHost::new(7));
    let (mut book, _) = Daybook::create(&folder.path().join("book"), b"pass", &new, host).unwrap();
    work(&mut book, patients);
    let mut file = Vec::new();
    book.export_log(&mut file).unwrap();
    (folder, book, file)
}

#[test]
fn an_export_of_a_shift_is_read_with_the_same_ids() {
    let (_folder, mut book, file) = shift(70);
    let said = python_of(&file).unwrap();
    assert_eq!(said, rust(&file));
    let status = book.status().unwrap();
    let last = format!("ok incident {} entries {}", status.incident_id, status.entries.total);
    assert_eq!(said.lines().last(), Some(last.as_str()));
    assert_eq!(said.lines().count() as u64, status.logs + 1);
    assert!(said.lines().any(|line| line.contains(" entries 84 ")), "70 records, 7 names and 7 dispenses in one log");
}

#[test]
fn a_forked_log_shows_the_heads_of_both_branches() {
    let mut world = World::new(3, 1, Role::Clinician);
    let patient = world.authors[0].device.public().device_id().as_bytes()[..16].try_into().unwrap();
    let (key, value) = tag("A-17").to_bytes();
    let register = daybook_core::record::Register { field: tag("A-17").field(), key: &key, value: &value };
    let edit = daybook_core::record::Edit {
        patient: daybook_core::id::PatientId::new(patient),
        parents: Vec::new(),
        registers: vec![register],
        import: None,
    };
    let edit = daybook_core::record::Operation::Edit(edit).to_bytes();
    let write = |world: &mut World| {
        world.write(0, CompartmentKind::Clinical, Lane::Safety, std::slice::from_ref(&edit), World::start_ms());
    };
    (0..3).for_each(|_| write(&mut world));
    let place = (world.compartment(CompartmentKind::Clinical), Lane::Safety);
    let shared = world.authors[0].logs[&place].clone();
    (0..2).for_each(|_| write(&mut world));
    let first = world.authors[0].logs.insert(place, shared).unwrap();
    write(&mut world);
    let second = &world.authors[0].logs[&place];
    let mut frames: Vec<(u8, Vec<u8>)> = world.control_runs().into_iter().map(|run| (RUN, run)).collect();
    frames.extend([(RUN, first.run(0, 5)), (RUN, second.run(3, 4))]);
    let file = file_of(&world.founding, &frames);
    let said = python_of(&file).unwrap();
    assert_eq!(said, rust(&file));
    let mut heads = [first.entries[4].id.to_hex(), second.entries[3].id.to_hex()];
    heads.sort_unstable();
    let line = format!("log {} entries 6 head {} head {}", first.log.to_hex(), heads[0], heads[1]);
    assert!(said.lines().any(|l| l == line), "{said}");
    frames.swap(1, 2);
    let refused = python_of(&file_of(&world.founding, &frames)).unwrap_err();
    assert!(refused.contains("the entry before place 4 is not in the file"), "{refused}");
}

#[test]
fn an_erased_body_keeps_its_place() {
    let (_folder, _book, file) = shift(2);
    let (founding, frames) = parts_of(&file);
    let founding = SignedFounding::read(&founding).unwrap();
    let erase = |payload: &Vec<u8>| {
        let run = Run::read(payload).unwrap().verify(founding.incident()).unwrap();
        if run.name().compartment == CONTROL {
            return payload.clone();
        }
        let mut erased = RunBuilder::new(run.name(), run.entries()[0].seq(), *run.entries()[0].backlink());
        for (place, entry) in run.entries().iter().enumerate() {
            let sealed = entry.entry().sealed;
            let sealed = Sealed::Erased { bytes: sealed.bytes(), hash: sealed.hash() };
            let signature = run.heads().iter().find(|(at, _)| *at == place).map(|(_, signature)| *signature);
            erased.push(&SealedEntry { sealed, ..*entry.entry() }, signature);
        }
        erased.finish()
    };
    let frame = |(kind, payload): &(u8, Vec<u8>)| match *kind {
        RUN => (RUN, erase(payload)),
        kind => (kind, payload.clone()),
    };
    let frames: Vec<(u8, Vec<u8>)> = frames.iter().map(frame).collect();
    let erased = file_of(&founding, &frames);
    assert!(erased.len() < file.len());
    assert_eq!(python_of(&erased).unwrap(), rust(&file));
}

/// Where each field of a small export begins: the file's own, the founding statement's, and those of its last run.
fn fields(file: &[u8], founding: &[u8], last_run: &[u8]) -> Vec<usize> {
    let run = file.len() - 37 - last_run.len();
    let statement = u32::from_le_bytes(*founding.first_chunk().unwrap()) as usize;
    let of_file = [0, 12, 14, 18, 22, 22 + statement / 2, 22 + statement, 22 + statement + 63];
    let of_run = [0, 32, 64, 96, 112, 144, 145, 153, 185, 189, 190, 222, 254, 286, 310, 314, 400];
    let heads = last_run.len() - 72;
    let of_heads = [heads, heads + 4, heads + 8, heads + 71];
    let end = file.len() - 37;
    let of_end = [end, end + 1, end + 5, end + 36];
    let in_run = of_run.iter().chain(&of_heads).map(|at| run + at).chain([run - 5, run - 4]);
    of_file.into_iter().chain(in_run).chain(of_end).collect()
}

#[test]
fn one_changed_byte_is_refused_wherever_it_stands() {
    let (_folder, _book, file) = shift(1);
    let (founding, frames) = parts_of(&file);
    let (_, last_run) = frames.last().unwrap();
    assert_eq!(python_of(&file).unwrap(), rust(&file));
    let end = file.len() - 37;
    for at in fields(&file, &founding, last_run) {
        let mut changed = file.clone();
        changed[at] ^= 0x10;
        // With an end hash that fits again, what the byte itself breaks must be found.
        if at < end {
            changed.truncate(end);
            changed = ended(changed);
        }
        let refused = python_of(&changed).expect_err(&format!("byte {at}"));
        assert!(at >= end || !refused.contains("end hash"), "byte {at}: {refused}");
    }
    let mut changed = file.clone();
    changed[end / 2] ^= 0x10;
    assert!(python_of(&changed).is_err());
}

#[test]
fn what_is_cut_doubled_foreign_or_from_another_version_is_refused() {
    let (_folder, _book, file) = shift(1);
    let (founding, frames) = parts_of(&file);
    let signed = SignedFounding::read(&founding).unwrap();
    let runs = |frames: &[(u8, Vec<u8>)]| file_of(&signed, frames);
    let stranger = World::new(5, 0, Role::Admin);
    let [doubled, foreign, unknown, twice_ended] = [
        runs(&[&frames[..], &frames[frames.len() - 1..]].concat()),
        runs(&[&frames[..], &[(RUN, stranger.control_runs().remove(0))]].concat()),
        runs(&[&frames[..], &[(7, Vec::new())]].concat()),
        [&file[..], &file[file.len() - 37..]].concat(),
    ];
    let mut newer = file.clone();
    newer[12] = 2;
    for (what, changed, sentence) in [
        ("cut off", file[..file.len() - 40].to_vec(), "ends early"),
        ("without its end", file[..file.len() - 37].to_vec(), "ends early"),
        ("empty", Vec::new(), "not an export"),
        ("another file", b"%PDF-1.7 and so on".to_vec(), "not an export"),
        ("a run twice", doubled, "twice"),
        ("a run of another incident", foreign, "signature"),
        ("a frame of another kind", unknown, "unknown kind 7"),
        ("two ends", twice_ended, "something follows"),
        ("a newer format", newer, "another format"),
    ] {
        let refused = python_of(&changed).expect_err(what);
        assert!(refused.contains(sentence), "{what}: {refused}");
    }
    assert_eq!(*file.get(file.len() - 37).unwrap(), END);
}

#[test]
fn the_committed_export_is_read_by_both_for_ever() {
    let path = vectors().join("shift.daybook-log");
    let expected = std::fs::read_to_string(vectors().join("shift.expected")).unwrap();
    assert_eq!(python(&path).unwrap(), expected);
    assert_eq!(rust(&std::fs::read(&path).unwrap()), expected);
}

//! Exports that were tampered with: whatever a file holds, taking it in ends, says what it did not take, and
//! stores nothing that does not verify; the good file then completes the book.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use daybook_core::clock::{EffectiveTime, Hlc};
use daybook_core::codec::Writer;
use daybook_core::crypto::{Deriver, Label, Nonce, SigningKey};
use daybook_core::daybook::{Daybook, Error, IngestReport, LogLine, Say};
use daybook_core::entry::{Ground, Sealed, SealedEntry};
use daybook_core::id::{CommitId, EntryId, Lane, LogId, PatientId};
use daybook_core::limits::{FORMAT, FRAME_BYTES_MAX};
use daybook_core::log::{RunBuilder, Tip};
use daybook_core::record::{
    Allergy, Body, Cause, ClinicalStatus, Coded, Edit, EntryRef, Fact, Field, Identifier, Name, Operation, Quantity,
    Register, Setting, Statement, StockMovement, Verification,
};
use daybook_core::roster::{CompartmentKind, Role};
use daybook_tests::host::{START_MS, SeededHost};
use daybook_tests::world::{World, Written, WrittenLog};
use std::time::{Duration, Instant};

const PASSPHRASE: &[u8] = b"correct horse battery";
const MAGIC: &[u8; 12] = b"DAYBOOK LOG\0";

/// A world in which two members wrote, and a third who has the book.
struct Scene {
    world: World,
    folder: tempfile::TempDir,
    /// All runs in an order in which everything joins: control first.
    runs: Vec<Vec<u8>>,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed, 3, Role::Clinician);
        let mut now_ms = START_MS;
        let mut tick = || {
            now_ms += 1_000;
            now_ms
        };
        for entry in 0..70_u8 {
            let said = edit(patient(entry % 5), &[], &[sex(entry), identifier(&format!("T-{entry}"))]);
            world.write(0, CompartmentKind::Clinical, Lane::Safety, &[said], tick());
        }
        for entry in 0..5 {
            let said = [note(patient(entry), "seen"), note(patient(4 - entry), "seen again")];
            world.write(0, CompartmentKind::Clinical, Lane::Routine, &said, tick());
        }
        for entry in 0..4 {
            world.write(1, CompartmentKind::Clinical, Lane::Safety, &[allergy(patient(entry))], tick());
            world.write(1, CompartmentKind::Supply, Lane::Routine, &[movement("L1")], tick());
        }
        let mut runs = world.control_runs();
        for author in &world.authors {
            runs.extend(author.logs.values().flat_map(|log| log.runs(16)));
        }
        Self { world, folder: tempfile::tempdir().unwrap(), runs }
    }

    /// A book of the third member in which nothing was taken in yet.
    fn book(&self, name: &str) -> Daybook {
        let seed = name.bytes().fold(7, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(byte));
        let membership = self.world.membership(&self.world.authors[2].device);
        let path = self.folder.path().join(name);
        Daybook::join(&path, PASSPHRASE, &membership, Box::new(SeededHost::new(seed))).unwrap()
    }

    fn file(&self) -> Vec<u8> {
        file(&self.world, &self.runs)
    }

    /// How many entries the good file has.
    fn entries(&self) -> u64 {
        self.runs.iter().map(|run| count(run)).sum()
    }

    /// What a book says after the good file.
    fn digest(&self) -> Vec<(String, String)> {
        let mut book = self.book("reference");
        let report = ingest(&mut book, &self.file()).unwrap();
        assert_eq!(report, IngestReport { new: self.entries(), ..IngestReport::default() });
        assert!(book.status().unwrap().patients == 5);
        book.digest().unwrap()
    }

    /// The good file completes a book, whatever it was given before.
    fn completes(&self, book: &mut Daybook, digest: &[(String, String)]) {
        let report = ingest(book, &self.file()).unwrap();
        assert_eq!((report.new + report.known, report.cut_off, report.refused), (self.entries(), false, Vec::new()));
        assert_eq!(book.digest().unwrap(), digest);
        sound(book, self.entries());
    }
}

/// Everything in the book verifies, and a rebuild makes the same of it.
fn sound(book: &mut Daybook, entries: u64) {
    let report = book.verify(&mut |_, _| {}).unwrap();
    assert_eq!((report.problems, report.entries), (Vec::new(), entries));
    let digest = book.digest().unwrap();
    book.rebuild(&mut |_, _| {}).unwrap();
    assert_eq!(book.digest().unwrap(), digest);
}

fn ingest(book: &mut Daybook, file: &[u8]) -> Result<IngestReport, Error> {
    book.ingest(&mut &*file, &mut |_| {})
}

/// The number of entries that a run says it has.
fn count(run: &[u8]) -> u64 {
    u64::from(u32::from_le_bytes(run[185..189].try_into().unwrap()))
}

fn header(world: &World) -> Vec<u8> {
    let founding = world.founding.bytes();
    [MAGIC, &FORMAT.to_le_bytes()[..], &u32::try_from(founding.len()).unwrap().to_le_bytes(), founding].concat()
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind], &u32::try_from(payload.len()).unwrap().to_le_bytes()[..], payload].concat()
}

/// A file of these runs, with the hash that belongs to it.
fn file(world: &World, runs: &[Vec<u8>]) -> Vec<u8> {
    let mut file = header(world);
    runs.iter().for_each(|run| file.extend(frame(1, run)));
    ended(file)
}

fn ended(mut file: Vec<u8>) -> Vec<u8> {
    let hash = Deriver::new(Label::Export).update(&file).finish();
    file.extend(frame(0, &hash));
    file
}

const fn patient(number: u8) -> PatientId {
    PatientId::new([number + 1; 16])
}

fn sex(number: u8) -> (Field, Vec<u8>, Vec<u8>) {
    (Field::Sex, Vec::new(), vec![number % 4])
}

fn identifier(value: &str) -> (Field, Vec<u8>, Vec<u8>) {
    let (key, value) = Setting::Identifier(Identifier { system: "tag", value }, Some("")).to_bytes();
    (Field::Identifier, key, value)
}

fn name(text: &str) -> (Field, Vec<u8>, Vec<u8>) {
    let (key, value) = Setting::Name(Name { text, ..Name::default() }, Some("usual")).to_bytes();
    (Field::Name, key, value)
}

fn edit(patient: PatientId, parents: &[EntryRef], registers: &[(Field, Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let registers = registers.iter().map(|(field, key, value)| Register { field: *field, key, value }).collect();
    Operation::Edit(Edit { patient, parents: parents.to_vec(), registers, import: None }).to_bytes()
}

fn fact(patient: Option<PatientId>, statement: Statement<'_>) -> Vec<u8> {
    let effective = EffectiveTime::parse("2026-11-22T08:00:00Z", 0).unwrap();
    Operation::Fact(Fact { patient, effective, targets: Vec::new(), import: None, reason: "", statement }).to_bytes()
}

fn note(patient: PatientId, text: &str) -> Vec<u8> {
    fact(Some(patient), Statement::Note { text })
}

fn allergy(patient: PatientId) -> Vec<u8> {
    fact(
        Some(patient),
        Statement::Allergy(Allergy {
            substance: Coded::text("penicillin"),
            clinical: ClinicalStatus::Active,
            verification: Verification::Confirmed,
            criticality: None,
            category: "",
            reaction: "",
        }),
    )
}

fn movement(lot: &str) -> Vec<u8> {
    let quantity = Quantity::parse("5", "box").unwrap();
    let (product, from, to) = (Coded::text("Amoxicillin"), "", "tent");
    fact(
        None,
        Statement::StockMovement(StockMovement {
            product,
            lot,
            expiry: None,
            quantity,
            from,
            to,
            cause: Cause::Receive,
        }),
    )
}

#[test]
fn a_file_that_was_cut_anywhere_is_taken_in_as_far_as_it_goes() {
    let scene = Scene::new(1);
    let digest = scene.digest();
    let good = scene.file();
    let header_bytes = header(&scene.world).len();
    // The place after each run, with the entries up to there.
    let mut whole = vec![(header_bytes, 0)];
    for run in &scene.runs {
        let (at, entries) = *whole.last().unwrap();
        whole.push((at + 5 + run.len(), entries + count(run)));
    }
    let mut book = scene.book("cut");
    let mut held = 0;
    let cuts = (0..good.len()).step_by(97).chain(whole.iter().map(|(at, _)| *at)).chain(good.len() - 40..good.len());
    let mut cuts: Vec<usize> = cuts.collect();
    cuts.sort_unstable();
    for cut in cuts {
        match ingest(&mut book, &good[..cut]) {
            Err(Error::NotAnExport) => assert!(cut < header_bytes, "cut at {cut}"),
            Err(error) => panic!("cut at {cut}: {error:?}"),
            Ok(report) => {
                let there = whole.iter().rev().find(|(at, _)| *at <= cut).unwrap().1;
                let expected =
                    IngestReport { new: there - held, known: held, cut_off: true, ..IngestReport::default() };
                assert_eq!(report, expected, "cut at {cut} of {}", good.len());
                held = there;
            }
        }
    }
    assert_eq!(held, scene.entries());
    scene.completes(&mut book, &digest);
    for (number, cut) in [whole[0].0 + 3, whole[1].0 + 1, whole[3].0 - 1, whole[6].0 + 200].into_iter().enumerate() {
        let mut book = scene.book(&format!("cut {number}"));
        assert!(ingest(&mut book, &good[..cut]).unwrap().cut_off);
        sound(&mut book, whole.iter().rev().find(|(at, _)| *at <= cut).unwrap().1);
        scene.completes(&mut book, &digest);
    }
}

/// The codes by which a run may be refused whose byte at a place was flipped; `control` is its compartment.
fn codes_at(place: usize, control: bool) -> &'static [&'static str] {
    match place {
        0..96 => &["E-005", "E-007"],
        112..144 if control => &["E-001", "E-004", "E-005", "E-006"],
        96..144 => &["E-005"],
        144 => &["E-005", "E-008"],
        145..153 => &["E-002", "E-005", "E-006"],
        153..185 => &["E-002", "E-005"],
        185..189 => &["E-001", "E-004", "E-005", "E-009"],
        _ => &["E-001", "E-004", "E-005", "E-006"],
    }
}

#[test]
fn a_flipped_byte_anywhere_refuses_the_run_and_stores_nothing_of_it() {
    let scene = Scene::new(2);
    let digest = scene.digest();
    let mut book = scene.book("flips");
    let mut held = 0;
    for (number, run) in scene.runs.iter().enumerate() {
        // The names, places and counts of every kind of run, and every 11th byte after them.
        let dense = if matches!(number, 0 | 1 | 3) { 260 } else { 0 };
        for place in (0..run.len()).filter(|at| *at < dense || at % 11 == number % 11 || at + 12 > run.len()) {
            let mut flipped = run.clone();
            flipped[place] ^= 1 << (place % 8);
            let report = book.take_runs(&[flipped]).unwrap();
            let [(code, 1)] = report.refused.as_slice() else { panic!("run {number}, byte {place}: {report:?}") };
            assert!(codes_at(place, number == 0).contains(&code.as_str()), "run {number}, byte {place}: {code}");
            assert_eq!((report.new, report.known, report.own_entries_returned), (0, 0, false));
        }
        let whole = book.take_runs(std::slice::from_ref(run)).unwrap();
        assert_eq!((whole.new, whole.known, whole.refused), (count(run), 0, Vec::new()));
        held += whole.new;
        assert_eq!(book.status().unwrap().entries.total, held);
    }
    scene.completes(&mut book, &digest);
}

#[test]
fn a_flipped_byte_of_the_file_itself_is_told_and_harms_nothing_else() {
    let scene = Scene::new(3);
    let digest = scene.digest();
    let good = scene.file();
    let header_bytes = header(&scene.world).len();
    let mut book = scene.book("framing");
    for place in 0..header_bytes {
        for bit in [0, 7] {
            let mut flipped = good.clone();
            flipped[place] ^= 1 << bit;
            let told = ingest(&mut book, &flipped);
            let expected = match place {
                0..12 => matches!(told, Err(Error::NotAnExport)),
                12..14 => matches!(told, Err(Error::NewerExport)),
                14..18 => matches!(told, Err(Error::NotAnExport | Error::Founding(_))),
                _ => matches!(told, Err(Error::Founding(_) | Error::NewerExport)),
            };
            assert!(expected, "byte {place}: {told:?}");
            assert_eq!(book.status().unwrap().entries.total, 0);
        }
    }
    // Kind and length of the frame of the second run: it and what builds on it stay away, at most.
    let second = header_bytes + 5 + scene.runs[0].len();
    for place in second..second + 5 {
        let mut flipped = good.clone();
        flipped[place] ^= 0x80;
        let report = ingest(&mut book, &flipped).unwrap();
        assert!(report.cut_off, "byte {place}: {report:?}");
        let total = book.status().unwrap().entries.total;
        assert!(total >= count(&scene.runs[0]) && total < scene.entries(), "byte {place}: {total}");
        if place == second {
            assert!(report.refused.contains(&("E-011".to_owned(), 1)), "{report:?}");
        }
    }
    // What follows the end.
    assert!(ingest(&mut book, &[&good[..], &[0]].concat()).unwrap().cut_off);
    // The hash at the end, and the end itself.
    for place in good.len() - 37..good.len() {
        let mut flipped = good.clone();
        flipped[place] ^= 1;
        assert!(ingest(&mut book, &flipped).unwrap().cut_off, "byte {place}");
    }
    scene.completes(&mut book, &digest);
}

#[test]
fn runs_that_are_missing_doubled_or_out_of_order_are_made_up_for_by_the_good_file() {
    let scene = Scene::new(4);
    let digest = scene.digest();
    let runs = &scene.runs;
    // The second of the five runs of the longest log is missing: the three after it do not join.
    let mut missing = runs.clone();
    let log_of = |run: &Vec<u8>| run[..145].to_vec();
    let longest = (1..runs.len()).find(|at| runs.iter().filter(|r| log_of(r) == log_of(&runs[*at])).count() == 5);
    let longest = longest.unwrap();
    missing.remove(longest + 1);
    let mut book = scene.book("missing");
    let report = ingest(&mut book, &file(&scene.world, &missing)).unwrap();
    assert_eq!((report.refused, report.cut_off), (vec![("E-003".to_owned(), 3)], false));
    assert_eq!(report.new, scene.entries() - runs[longest + 1..longest + 5].iter().map(|run| count(run)).sum::<u64>());
    scene.completes(&mut book, &digest);

    // Every run twice: what is known is passed over.
    let doubled: Vec<Vec<u8>> = runs.iter().flat_map(|run| [run.clone(), run.clone()]).collect();
    let mut book = scene.book("doubled");
    let report = ingest(&mut book, &file(&scene.world, &doubled)).unwrap();
    assert_eq!(report, IngestReport { new: scene.entries(), known: scene.entries(), ..IngestReport::default() });
    assert_eq!(book.digest().unwrap(), digest);
    scene.completes(&mut book, &digest);

    // Backwards, so that control comes last and only the first run of each log joins; again and again.
    let backwards: Vec<Vec<u8>> = runs.iter().rev().cloned().collect();
    let mut book = scene.book("backwards");
    let mut rounds = 0;
    while book.status().unwrap().entries.total < scene.entries() {
        let report = ingest(&mut book, &file(&scene.world, &backwards)).unwrap();
        assert!(report.new > 0 && report.refused.iter().all(|(code, _)| code == "E-003"), "{report:?}");
        rounds += 1;
    }
    assert_eq!((rounds, book.digest().unwrap()), (5, digest.clone()));
    scene.completes(&mut book, &digest);

    // One run of the longest log in two pieces that overlap with what stands beside them.
    let log = scene.world.authors[0].logs.values().max_by_key(|log| log.entries.len()).unwrap();
    let mut book = scene.book("overlapping");
    let overlapping = [runs[0].clone(), log.run(0, 20), log.run(10, 40), log.run(0, 64), log.run(63, 70)];
    let report = ingest(&mut book, &file(&scene.world, &overlapping)).unwrap();
    assert_eq!((report.new, report.known, report.refused), (count(&runs[0]) + 70, 10 + 40 + 1, Vec::new()));
    scene.completes(&mut book, &digest);
}

#[test]
fn files_of_others_and_of_later_formats_are_refused_whole() {
    let scene = Scene::new(5);
    let digest = scene.digest();
    let other = Scene::new(6);
    let mut book = scene.book("others");
    let mut newer = scene.file();
    newer[12..14].copy_from_slice(&(FORMAT + 1).to_le_bytes());
    for (file, expected) in [
        (other.file(), "other-incident"),
        (newer, "newer-export"),
        (Vec::new(), "not-an-export"),
        (MAGIC.to_vec(), "not-an-export"),
        (b"PK\x03\x04 a zip file, or anything else that people send by mistake".to_vec(), "not-an-export"),
        (b"{\"resourceType\":\"Bundle\"}".to_vec(), "not-an-export"),
        ([&MAGIC[..], &FORMAT.to_le_bytes(), &u32::MAX.to_le_bytes(), &[0; 64]].concat(), "not-an-export"),
    ] {
        let error = ingest(&mut book, &file).unwrap_err();
        assert_eq!((error.code(), error.saved()), (expected, daybook_core::daybook::Saved::Nothing));
        assert!(!error.next().is_empty() && !error.to_string().is_empty());
    }
    assert_eq!(book.status().unwrap().entries.total, 0);
    // Runs of another incident under this one's founding statement: their signatures stand for other logs.
    let report = ingest(&mut book, &file(&scene.world, &other.runs)).unwrap();
    assert_eq!(report.refused, vec![("E-005".to_owned(), other.runs.len() as u64)]);
    assert_eq!((report.new, book.status().unwrap().entries.total), (0, 0));
    scene.completes(&mut book, &digest);
}

#[test]
fn lengths_that_claim_more_than_there_is_cost_nothing() {
    let scene = Scene::new(7);
    let digest = scene.digest();
    let mut book = scene.book("lengths");
    let begun = Instant::now();
    let claim = |bytes: u32| [&header(&scene.world)[..], &[1], &bytes.to_le_bytes(), &scene.runs[0]].concat();
    for claimed in [u32::MAX, 1 << 31, u32::try_from(FRAME_BYTES_MAX).unwrap() + 1] {
        let report = ingest(&mut book, &claim(claimed)).unwrap();
        assert_eq!(report, IngestReport { cut_off: true, ..IngestReport::default() }, "{claimed}");
    }
    let report = ingest(&mut book, &claim(u32::try_from(FRAME_BYTES_MAX).unwrap())).unwrap();
    assert!(report.cut_off && report.new == 0);
    // The same inside a run: count of entries, length of a body, count of heads.
    let run = &scene.runs[0];
    let heads_at = run.len() - 68 * usize::try_from(count(run)).unwrap() - 4;
    let first_body_at = 189 + 1 + 64;
    for (at, code) in [(185, "E-009"), (first_body_at, "E-004"), (heads_at, "E-001")] {
        for claimed in [u32::MAX, 1 << 31, 1 << 20] {
            let mut run = run.clone();
            run[at..at + 4].copy_from_slice(&claimed.to_le_bytes());
            let report = ingest(&mut book, &file(&scene.world, &[run])).unwrap();
            assert_eq!(report.refused, vec![(code.to_owned(), 1)], "{claimed} at {at}");
        }
    }
    // A frame that is really longer than any may be is not read.
    let report = ingest(&mut book, &file(&scene.world, &[vec![0; FRAME_BYTES_MAX + 1]])).unwrap();
    assert_eq!(report, IngestReport { cut_off: true, ..IngestReport::default() });
    // A run of the greatest frame that is nothing but zeros, and frames of kinds that do not exist.
    let report = ingest(&mut book, &file(&scene.world, &[vec![0; FRAME_BYTES_MAX]])).unwrap();
    assert_eq!(report.refused, vec![("E-007".to_owned(), 1)]);
    let mut unknown = header(&scene.world);
    for kind in 4..=255_u8 {
        unknown.extend(frame(kind, &[kind; 3]));
    }
    let report = ingest(&mut book, &ended(unknown)).unwrap();
    assert_eq!((report.refused, report.cut_off), (vec![("E-011".to_owned(), 252)], false));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(book.status().unwrap().entries.total, 0);
    scene.completes(&mut book, &digest);
}

/// The run of a log with every body replaced by its length and hash, as if its author's entries were erased.
fn stripped(log: &WrittenLog) -> Vec<u8> {
    let mut run = RunBuilder::new(&log.name, 1, EntryId::ZERO);
    for (place, entry) in log.entries.iter().enumerate() {
        let body = Sealed::Body(&entry.body);
        let sealed = Sealed::Erased { bytes: body.bytes(), hash: body.hash() };
        let signed = entry.seq.is_multiple_of(64) || place + 1 == log.entries.len() || log.name.is_control();
        run.push(&SealedEntry { ground: entry.ground, nonce: entry.nonce, sealed }, signed.then_some(entry.signature));
    }
    run.finish()
}

#[test]
fn a_courier_who_strips_bodies_withholds_them_only_until_they_come() {
    let scene = Scene::new(8);
    let digest = scene.digest();
    let mut book = scene.book("stripped");
    let logs = scene.world.authors.iter().flat_map(|author| author.logs.values());
    let mut runs = vec![scene.runs[0].clone()];
    runs.extend(logs.map(stripped));
    let report = ingest(&mut book, &file(&scene.world, &runs)).unwrap();
    assert_eq!((report.new, report.refused), (scene.entries(), Vec::new()));
    assert_eq!(book.status().unwrap().patients, 0, "nothing can be read of what was stripped");
    scene.completes(&mut book, &digest);
}

#[test]
fn a_courier_who_strips_control_bodies_withholds_them_only_until_they_come() {
    let scene = Scene::new(9);
    let digest = scene.digest();
    let mut book = scene.book("stripped control");
    let control = scene.world.root.logs.values().next().unwrap();
    let mut runs = scene.runs.clone();
    runs[0] = stripped(control);
    ingest(&mut book, &file(&scene.world, &runs)).unwrap();
    scene.completes(&mut book, &digest);
}

/// What is thought of a hostile body.
enum Thought {
    Faulty(&'static str),
    Accepted,
}

/// One hostile body with what is to be thought of it.
struct Hostile {
    what: &'static str,
    kind: CompartmentKind,
    lane: Lane,
    bytes: Vec<u8>,
    thought: Thought,
}

fn body(operations: &[Vec<u8>]) -> Vec<u8> {
    Body::write(CommitId::new([9; 8]), Hlc::default().tick(START_MS + 500_000), operations)
}

/// A body whose list of operations is these bytes.
fn body_of(items: &[u8]) -> Vec<u8> {
    let mut to = Writer::new();
    to.map(3).uint(1).bytes(&[9; 8]).uint(2).uint(Hlc::default().tick(START_MS + 500_000).bits()).uint(3).raw(items);
    to.finish()
}

/// A note with one more field, number 99, of these bytes.
fn note_with(items: &[u8]) -> Vec<u8> {
    let mut to = note(patient(0), "x");
    to[0] += 1;
    [&to[..], &[0x18, 99], items].concat()
}

fn registers(count: usize) -> Vec<(Field, Vec<u8>, Vec<u8>)> {
    (0..count).map(|number| identifier(&format!("R-{number:03}"))).collect()
}

fn telecoms(count: usize) -> Vec<(Field, Vec<u8>, Vec<u8>)> {
    let one = |number: usize| {
        let value = format!("{number:03}");
        let setting = Setting::Telecom(daybook_core::record::Telecom { system: "phone", value: &value }, Some(""));
        let (key, value) = setting.to_bytes();
        (Field::Telecom, key, value)
    };
    (0..count).map(one).collect()
}

fn parents(count: u8) -> Vec<EntryRef> {
    (1..=count).map(|number| EntryRef { log: LogId::new([number; 32]), seq: 1, prefix: [number; 16] }).collect()
}

/// An edit whose list of parents is written as it is given.
fn edit_with_parents(parents: &[EntryRef]) -> Vec<u8> {
    let mut to = Writer::new();
    to.map(4).uint(0).uint(1).uint(1).bytes(patient(0).as_bytes()).uint(2).list(parents.len());
    parents.iter().for_each(|parent| parent.write(&mut to));
    to.uint(3).list(1).list(2).uint(2).uint(1);
    to.finish()
}

/// As many arrays in each other, around a zero.
fn nested(levels: usize) -> Vec<u8> {
    [vec![0x81; levels], vec![0]].concat()
}

fn hostile() -> Vec<Hostile> {
    use CompartmentKind::{Clinical, Supply};
    use Lane::{Import, Routine, Safety};
    use Thought::{Accepted, Faulty};
    let word = |length: usize| "ä".repeat(length / 2) + &"x".repeat(length % 2);
    let quantity = |mantissa: u64, scale: u64| {
        let mut to = Writer::new();
        to.list(3).uint(mantissa).uint(scale).text("box");
        let (whole, good) = (movement("L1"), {
            let mut to = Writer::new();
            Quantity::parse("5", "box").unwrap().write(&mut to);
            to.finish()
        });
        let at = whole.windows(good.len()).position(|window| window == good).unwrap();
        body(&[[&whole[..at], &to.finish(), &whole[at + good.len()..]].concat()])
    };
    let mut no_text = note(patient(0), "x");
    no_text[0] -= 1;
    no_text.truncate(no_text.len() - 3);
    let mut not_utf8 = note(patient(0), "x");
    *not_utf8.last_mut().unwrap() = 0xff;
    let long_int = body_of(&[&[0x81][..], &note_with(&[0x18, 5])].concat());
    let short = |what, kind, lane, bytes, thought| Hostile { what, kind, lane, bytes, thought };
    vec![
        short("no bytes", Clinical, Safety, Vec::new(), Faulty("F-004")),
        short(
            "an array of 2^63 items in ten bytes",
            Clinical,
            Safety,
            [&[0x9b, 0x80][..], &[0; 8]].concat(),
            Faulty("F-004"),
        ),
        short(
            "a map of 2^63 fields in ten bytes",
            Clinical,
            Safety,
            [&[0xbb, 0x80][..], &[0; 8]].concat(),
            Faulty("F-004"),
        ),
        short("a byte string of 2^63 bytes", Clinical, Safety, [&[0x5b, 0x80][..], &[0; 8]].concat(), Faulty("F-004")),
        short("2^63 operations", Clinical, Safety, body_of(&[&[0x9b, 0x80][..], &[0; 7]].concat()), Faulty("F-004")),
        short(
            "an unknown field of 2^63 items",
            Clinical,
            Routine,
            body_of(&[&[0x81][..], &note_with(&[0x9b, 0x80, 0, 0, 0, 0, 0, 0, 0])].concat()),
            Faulty("F-004"),
        ),
        short("a text as body", Clinical, Safety, vec![0x61, 0x61], Faulty("F-005")),
        short(
            "bytes after the end",
            Clinical,
            Routine,
            [body(&[note(patient(0), "x")]), vec![0]].concat(),
            Faulty("F-004"),
        ),
        short("a number not in its shortest form", Clinical, Routine, long_int, Faulty("F-004")),
        short(
            "an indefinite list",
            Clinical,
            Routine,
            body_of(&[&[0x9f][..], &note(patient(0), "x"), &[0xff]].concat()),
            Faulty("F-004"),
        ),
        short("keys out of order", Clinical, Routine, vec![0xa2, 2, 0, 1, 0], Faulty("F-004")),
        short("a key twice", Clinical, Routine, vec![0xa2, 1, 0, 1, 0], Faulty("F-004")),
        short("a float", Clinical, Routine, body(&[note_with(&[0xf9, 0x3c, 0])]), Faulty("F-004")),
        short(
            "a double",
            Clinical,
            Routine,
            body(&[note_with(&[0xfb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0])]),
            Faulty("F-004"),
        ),
        short("a tag", Clinical, Routine, body(&[note_with(&[0xc0, 0])]), Faulty("F-004")),
        short("undefined", Clinical, Routine, body(&[note_with(&[0xf7])]), Faulty("F-004")),
        short("nine levels", Clinical, Routine, body(&[note_with(&nested(6))]), Faulty("F-004")),
        short("eight levels", Clinical, Routine, body(&[note_with(&nested(5))]), Accepted),
        short("sixty thousand levels", Clinical, Routine, nested(60_000), Faulty("F-004")),
        short(
            "sixty thousand items",
            Clinical,
            Routine,
            body(&[note_with(&[&[0x99, 0xea, 0x60][..], &vec![0; 60_000]].concat())]),
            Accepted,
        ),
        short("a note in the lane of safety", Clinical, Safety, body(&[note(patient(0), "x")]), Faulty("F-007")),
        short(
            "an edit in the routine lane",
            Clinical,
            Routine,
            body(&[edit(patient(0), &[], &[sex(1)])]),
            Faulty("F-007"),
        ),
        short(
            "an edit in the lane of imports",
            Clinical,
            Import,
            body(&[edit(patient(0), &[], &[sex(1)])]),
            Faulty("F-007"),
        ),
        short("an edit among the stock", Supply, Safety, body(&[edit(patient(0), &[], &[sex(1)])]), Faulty("F-008")),
        short("stock among the patients", Clinical, Routine, body(&[movement("L9")]), Faulty("F-008")),
        short("an unknown kind", Clinical, Safety, body(&[vec![0xa2, 0, 0x18, 200, 1, 0x80]]), Accepted),
        short(
            "an unknown kind beside a note",
            Clinical,
            Routine,
            body(&[note(patient(0), "kept"), vec![0xa1, 0, 0x18, 201]]),
            Accepted,
        ),
        short("an unknown field", Clinical, Routine, body(&[note_with(&[0])]), Accepted),
        short(
            "an unknown field of the body",
            Clinical,
            Routine,
            {
                let mut bytes = body(&[note(patient(0), "x")]);
                bytes[0] += 1;
                [bytes, vec![9, 0xf6]].concat()
            },
            Accepted,
        ),
        short("no operations", Clinical, Safety, body(&[]), Faulty("F-005")),
        short("64 operations", Clinical, Routine, body(&vec![note(patient(0), "x"); 64]), Accepted),
        short("65 operations", Clinical, Routine, body(&vec![note(patient(0), "x"); 65]), Faulty("F-006")),
        short("an operation that is no map", Clinical, Routine, body(&[vec![0x80]]), Faulty("F-005")),
        short("16 parents", Clinical, Safety, body(&[edit_with_parents(&parents(16))]), Accepted),
        short("17 parents", Clinical, Safety, body(&[edit_with_parents(&parents(17))]), Faulty("F-006")),
        short("no parents in a list", Clinical, Safety, body(&[edit_with_parents(&[])]), Faulty("F-004")),
        short(
            "a parent twice",
            Clinical,
            Safety,
            body(&[edit_with_parents(&[parents(1)[0], parents(1)[0]])]),
            Faulty("F-004"),
        ),
        short(
            "a parent at place 0",
            Clinical,
            Safety,
            body(&[edit_with_parents(&[EntryRef { seq: 0, ..parents(1)[0] }])]),
            Faulty("F-006"),
        ),
        short(
            "a parent at place 2^64 - 1",
            Clinical,
            Safety,
            body(&[edit_with_parents(&[EntryRef { seq: u64::MAX, ..parents(1)[0] }])]),
            Faulty("F-006"),
        ),
        short(
            "a parent at place 2^63 - 1",
            Clinical,
            Safety,
            body(&[edit_with_parents(&[EntryRef { seq: u64::MAX >> 1, ..parents(1)[0] }])]),
            Accepted,
        ),
        short("64 registers", Clinical, Safety, body(&[edit(patient(1), &[], &registers(64))]), Accepted),
        short("65 registers", Clinical, Safety, body(&[edit(patient(1), &[], &telecoms(65))]), Faulty("F-006")),
        short(
            "two edits of one patient",
            Clinical,
            Safety,
            body(&[edit(patient(1), &[], &[sex(1)]), edit(patient(1), &[], &[sex(2)])]),
            Faulty("F-009"),
        ),
        short("a text of 8 KiB", Clinical, Routine, body(&[note(patient(0), &word(8_192))]), Accepted),
        short(
            "a text of 8 KiB and a byte",
            Clinical,
            Routine,
            body(&[note(patient(0), &word(8_193))]),
            Faulty("F-006"),
        ),
        short("a text that is not UTF-8", Clinical, Routine, body(&[not_utf8]), Faulty("F-005")),
        short("a note without text", Clinical, Routine, body(&[no_text]), Faulty("F-005")),
        short("a quantity of zero", Supply, Routine, quantity(0, 0), Faulty("F-006")),
        short("a quantity above a million", Supply, Routine, quantity(1_000_001, 0), Faulty("F-006")),
        short("a quantity of 2^64 - 1", Supply, Routine, quantity(u64::MAX, 6), Faulty("F-006")),
        short("a quantity with seven decimals", Supply, Routine, quantity(1, 7), Faulty("F-006")),
        short("a quantity not in its shortest form", Supply, Routine, quantity(50, 1), Faulty("F-004")),
        short(
            "64 edits of 64 patients",
            Clinical,
            Safety,
            {
                let edits = (0..64).map(|number| edit(PatientId::new([number + 100; 16]), &[], &registers(20)));
                body(&edits.collect::<Vec<_>>())
            },
            Accepted,
        ),
        short(
            "names of eight thousand short words",
            Clinical,
            Safety,
            {
                let words = |from: u32| (from..from + 1_000).map(|n| format!("{n:x}")).collect::<Vec<_>>().join(" ");
                let names: Vec<_> = (0..8).map(|part| name(&words(part * 1_000))).collect();
                body(&[edit(patient(2), &[], &names)])
            },
            Accepted,
        ),
        short(
            "a clock at its end",
            Clinical,
            Routine,
            Body::write(CommitId::new([9; 8]), Hlc::from_bits(u64::MAX), &[note(patient(0), "late")]),
            Accepted,
        ),
    ]
}

/// Appends an entry of whatever sealed bytes under the key of its compartment.
fn append_sealed(scene: &mut Scene, sealed: &[u8], nonce: Nonce) -> EntryRef {
    let compartment = scene.world.compartment(CompartmentKind::Clinical);
    let key = scene.world.epochs[&compartment].0;
    let incident = scene.world.incident;
    let author = &mut scene.world.authors[1];
    let (grant, signing) = (author.grant, author.device.signing.secret());
    let log = author.log(&incident, compartment, Lane::Safety);
    let last = log.entries.last();
    let mut tip = Tip { log: log.log, seq: last.map_or(0, |e| e.seq), id: last.map_or(EntryId::ZERO, |e| e.id) };
    let backlink = tip.id;
    let ground = Ground { grant, hint: EntryId::ZERO, key };
    let entry = SealedEntry { ground, nonce, sealed: Sealed::Body(sealed) };
    let signed = tip.append(&entry, &SigningKey::from_secret(&signing));
    let (seq, id, signature) = (signed.seq, signed.id, signed.signature);
    log.entries.push(Written { seq, backlink, id, ground, nonce, body: sealed.to_vec(), signature });
    EntryRef::new(log.log, seq, &id)
}

/// What a book thinks of its entries, by code.
fn thoughts(book: &mut Daybook) -> Vec<LogLine> {
    let mut lines = book.log(None, 100_000).unwrap();
    lines.sort_by(|a, b| a.entry.cmp(&b.entry));
    lines.iter_mut().for_each(|line| line.author.here = false);
    lines
}

#[test]
fn hostile_bodies_of_a_member_are_stored_and_have_no_effect() {
    let mut scene = Scene::new(10);
    let digest_before = scene.digest();
    let mut one = scene.book("one");
    let mut spare = scene.book("spare");
    ingest(&mut one, &scene.file()).unwrap();
    ingest(&mut spare, &scene.file()).unwrap();
    let incident = scene.world.incident;
    let mut expected: Vec<(String, &str, String)> = Vec::new();
    let mut slow: Vec<(&str, Duration)> = Vec::new();
    for hostile in hostile() {
        let compartment = scene.world.compartment(hostile.kind);
        let (id, _, key) = &scene.world.epochs[&compartment];
        let author = &mut scene.world.authors[1];
        let place = author.append(&incident, (compartment, hostile.lane), &hostile.bytes, Some((id, key)));
        let log = &author.logs[&(compartment, hostile.lane)];
        let run = log.run(log.entries.len() - 1, log.entries.len());
        // Two books, the faster of which counts: a busy machine is no hostile body.
        let mut taken = Duration::MAX;
        for book in [&mut one, &mut spare] {
            let begun = Instant::now();
            let report = book.take_runs(std::slice::from_ref(&run)).unwrap();
            book.post_all().unwrap();
            taken = taken.min(begun.elapsed());
            assert_eq!((report.new, report.refused), (1, Vec::new()), "{}", hostile.what);
        }
        // What is valid and makes a thousand rows costs what a thousand honest rows cost.
        let most_ms = if hostile.what == "64 edits of 64 patients" { 2_000 } else { 50 };
        if taken > Duration::from_millis(most_ms) {
            slow.push((hostile.what, taken));
        }
        let verdict = match hostile.thought {
            Thought::Faulty(code) => format!("faulty ({code})"),
            Thought::Accepted => "accepted".to_owned(),
        };
        expected.push((format!("{}-{}", place.log.short(), place.seq), hostile.what, verdict));
    }
    for (what, sealed) in [("garbage", vec![7; 272]), ("an empty body", Vec::new()), ("64 KiB", vec![7; 65_536])] {
        let place = append_sealed(&mut scene, &sealed, Nonce([3; 24]));
        let log = scene.world.authors[1].logs.values().find(|log| log.log == place.log).unwrap();
        let run = log.run(log.entries.len() - 1, log.entries.len());
        assert_eq!(one.take_runs(&[run]).unwrap().new, 1, "{what}");
        expected.push((format!("{}-{}", place.log.short(), place.seq), what, "faulty (F-001)".into()));
    }
    one.post_all().unwrap();
    let lines = thoughts(&mut one);
    for (code, what, verdict) in &expected {
        let line = lines.iter().find(|line| line.entry.0 == *code).unwrap();
        assert_eq!(line.verdict, *verdict, "{what}");
        assert_eq!(line.operations.is_empty(), verdict != "accepted", "{what}: {:?}", line.operations);
    }
    let faulty = expected.iter().filter(|(_, _, verdict)| verdict.starts_with("faulty")).count();
    let status = one.status().unwrap();
    assert_eq!((status.entries.faulty, status.entries.waiting), (faulty as u64, 0));
    assert_ne!(one.digest().unwrap(), digest_before);

    // Another book takes the same logs in another order, at once, and thinks the same.
    let mut two = scene.book("two");
    let mut runs = scene.world.control_runs();
    for author in scene.world.authors.iter().rev() {
        runs.extend(author.logs.values().rev().flat_map(|log| log.runs(1_024)));
    }
    let report = ingest(&mut two, &file(&scene.world, &runs)).unwrap();
    assert_eq!((report.refused, report.new), (Vec::new(), status.entries.total));
    assert_eq!(thoughts(&mut two), lines);
    assert_eq!(two.digest().unwrap(), one.digest().unwrap());
    sound(&mut one, status.entries.total);
    sound(&mut two, status.entries.total);

    // The book opens, is read and written as ever.
    drop((one, two));
    let mut one = Daybook::open(&scene.folder.path().join("one"), PASSPHRASE, Box::new(SeededHost::new(99))).unwrap();
    assert_eq!(thoughts(&mut one), lines);
    let statement = Statement::Note { text: "still here" };
    let say = Say { statement, effective: None, targets: Vec::new(), reason: "" };
    let written = one.say(Some(patient(0)), say).unwrap();
    assert!(
        written.value.hlc < Hlc::default().tick(START_MS * 2),
        "an absurd clock was adopted: {:?}",
        written.value.hlc
    );
    assert!(slow.is_empty(), "slower than 50 ms: {slow:?}");
}

#[test]
fn the_first_device_a_book_hears_of_cannot_move_its_clock_to_the_end_of_time() {
    let mut scene = Scene::new(11);
    let incident = scene.world.incident;
    let compartment = scene.world.compartment(CompartmentKind::Clinical);
    let (id, _, key) = &scene.world.epochs[&compartment];
    let author = &mut scene.world.authors[1];
    author.logs.clear();
    let bytes = Body::write(CommitId::new([9; 8]), Hlc::from_bits(u64::MAX), &[edit(patient(0), &[], &[sex(1)])]);
    author.append(&incident, (compartment, Lane::Safety), &bytes, Some((id, key)));
    let run = author.logs[&(compartment, Lane::Safety)].run(0, 1);
    let mut book = scene.book("clock");
    let runs = [scene.runs[0].clone(), run];
    assert_eq!(ingest(&mut book, &file(&scene.world, &runs)).unwrap().refused, Vec::new());
    let mut written = Vec::new();
    for text in ["one", "two"] {
        let say = Say { statement: Statement::Note { text }, effective: None, targets: Vec::new(), reason: "" };
        written.push(book.say(Some(patient(0)), say).unwrap().value.hlc);
    }
    assert!(written[0] < written[1], "the clock stands still: {written:?}");
    assert!(written[1] < Hlc::default().tick(START_MS * 2), "an absurd clock was adopted: {written:?}");
}

#[test]
fn control_bodies_that_break_their_schema_are_faulty_for_everybody() {
    let mut scene = Scene::new(12);
    let digest = scene.digest();
    let incident = scene.world.incident;
    let bodies: [&[u8]; 6] =
        [b"", b"\x9b\x80\0\0\0\0\0\0\0", b"\xa0", b"\xa1\x01\xf9\x3c\x00", &[0x81; 4_000], &[0; 4_000]];
    for body in bodies {
        scene.world.authors[1].append(&incident, (daybook_core::id::CONTROL, Lane::Safety), body, None);
    }
    let log = &scene.world.authors[1].logs[&(daybook_core::id::CONTROL, Lane::Safety)];
    let mut book = scene.book("control");
    let runs = [scene.runs.clone(), log.runs(512)].concat();
    assert_eq!(ingest(&mut book, &file(&scene.world, &runs)).unwrap().refused, Vec::new());
    assert_eq!(book.digest().unwrap(), digest);
    let faulty = thoughts(&mut book).iter().filter(|line| line.verdict == "faulty (F-010)").count();
    assert_eq!(faulty, bodies.len());
    sound(&mut book, scene.entries() + bodies.len() as u64);
}

//! Every rule code has a test here that bears its name, and `docs/rules.md` lists them all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod cipher;
mod export_file;

use daybook_core::clock::{EffectiveTime, Hlc, Precision, TimeSource, random};
use daybook_core::codec::Writer;
use daybook_core::crypto::{
    BODY_BYTES_MAX, DeviceSecret, Label, Nonce, Place, ReadingKey, RecoverySeed, Secret, SigningKey, derive, keyed, pad,
};
use daybook_core::daybook::{Daybook, IngestReport};
use daybook_core::entry::{Ground, Sealed, SealedEntry};
use daybook_core::exchange::{Holder, ImportBook, ImportOptions, ImportReport, PreviousImport, Source, import};
use daybook_core::id::{
    CONTROL, CommitId, CompartmentId, DeviceId, EntryId, ImportId, Incarnation, IncidentId, KeyId, Lane, LogId,
    PatientId,
};
use daybook_core::limits::{CONTROL_BODY_BYTES_MAX, SEALED_BODY_BYTES_MAX};
use daybook_core::log::{HeadOf, LogName, PROOF_BYTES_MAX, Proof, Run, RunBuilder, Shown, Tip};
use daybook_core::record::{
    Body, Cause, Coded, Edit, EntryRef, Fact, FactId, Field, Identifier, OpRef, Operation, Quantity, Setting,
    Statement, StockMovement,
};
use daybook_core::roster::{
    CompartmentKind, Control, ControlBody, Endorse, Founding, Grant, GrantPath, PlaceOf, Revoke, Rights, RightsByScope,
    Role, Root, Scope, SignedFounding,
};
use daybook_core::sync::{Outcome, Reason, Session, SessionRule, Shelf, Side};
use daybook_tests::attacker::{self, Attacker, kind};
use daybook_tests::host::SeededHost;
use daybook_tests::pair;
use daybook_tests::shelf::MemoryShelf;
use daybook_tests::world::{Author, World, Written, WrittenLog};
use export_file::{RUN, file_of};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

// What the tests share.

const PATIENT: PatientId = PatientId::new([0x42; 16]);

/// A time that is in order.
const NOON: EffectiveTime =
    EffectiveTime { ms: 0, offset_minutes: 0, precision: Precision::Day, source: TimeSource::Stated };

/// An incident with one clinician.
fn clinic() -> World {
    World::new(11, 1, Role::Clinician)
}

fn fact(patient: Option<PatientId>, statement: Statement<'_>) -> Vec<u8> {
    let fact = Fact { patient, effective: NOON, targets: Vec::new(), import: None, reason: "", statement };
    Operation::Fact(fact).to_bytes()
}

fn note() -> Vec<u8> {
    fact(Some(PATIENT), Statement::Note { text: "sleeps well" })
}

fn movement() -> Vec<u8> {
    let quantity = Quantity::parse("20", "tablet").unwrap();
    let (product, lot, to, cause) = (Coded::text("cipro"), "L1", "main", Cause::Receive);
    fact(None, Statement::StockMovement(StockMovement { product, lot, expiry: None, quantity, from: "", to, cause }))
}

fn edit_of(patient: PatientId, import: Option<ImportId>) -> Vec<u8> {
    let setting = Setting::Identifier(Identifier { system: "tag", value: "A-17" }, Some(""));
    let (key, value) = setting.to_bytes();
    let registers = vec![daybook_core::record::Register { field: setting.field(), key: &key, value: &value }];
    Operation::Edit(Edit { patient, parents: Vec::new(), registers, import }).to_bytes()
}

fn edit() -> Vec<u8> {
    edit_of(PATIENT, None)
}

/// Lets the first member write one entry of these operations at the start of the world's time.
fn say(world: &mut World, kind: CompartmentKind, lane: Lane, operations: &[Vec<u8>]) {
    world.write(0, kind, lane, operations, World::start_ms());
}

/// Lets the first member seal and sign any body.
fn say_bytes(world: &mut World, kind: CompartmentKind, lane: Lane, body: &[u8]) {
    let compartment = world.compartment(kind);
    let (id, _, key) = world.epochs[&compartment].clone();
    let incident = world.incident;
    world.authors[0].append(&incident, (compartment, lane), body, Some((&id, &key)));
}

/// Lets the first member sign any nonce and any sealed bytes in the routine lane of clinical.
fn sign_sealed(world: &mut World, nonce: Nonce, sealed: Vec<u8>) {
    let (compartment, incident) = (world.compartment(CompartmentKind::Clinical), world.incident);
    let key = world.epochs[&compartment].0;
    let author = &mut world.authors[0];
    let (ground, signing) = (ground(author.grant, key), author.device.signing.secret());
    append(author.log(&incident, compartment, Lane::Routine), &signing, ground, nonce, sealed);
}

fn ground(grant: EntryId, key: KeyId) -> Ground {
    Ground { grant, hint: EntryId::ZERO, key }
}

fn append(log: &mut WrittenLog, signing: &Secret<32>, ground: Ground, nonce: Nonce, body: Vec<u8>) {
    let last = log.entries.last();
    let backlink = last.map_or(EntryId::ZERO, |entry| entry.id);
    let mut tip = Tip { log: log.log, seq: last.map_or(0, |entry| entry.seq), id: backlink };
    let entry = SealedEntry { ground, nonce, sealed: Sealed::Body(&body) };
    let signed = tip.append(&entry, &SigningKey::from_secret(signing));
    let (seq, id, signature) = (signed.seq, signed.id, signed.signature);
    log.entries.push(Written { seq, backlink, id, ground, nonce, body, signature });
}

/// The place where the next entry of the first member's routine lane of clinical will stand.
fn next_place(world: &mut World) -> (Place, ReadingKey) {
    let (compartment, incident) = (world.compartment(CompartmentKind::Clinical), world.incident);
    let key = world.epochs[&compartment].2.clone();
    let log = world.authors[0].log(&incident, compartment, Lane::Routine);
    (Place { incident, log: log.log, seq: log.entries.last().map_or(0, |entry| entry.seq) + 1 }, key)
}

/// The log that the first member wrote in a lane of clinical.
fn log_of(world: &World, lane: Lane) -> WrittenLog {
    world.authors[0].logs[&(world.compartment(CompartmentKind::Clinical), lane)].clone()
}

/// A book of a device that may read everything and wrote nothing.
fn reader(world: &mut World) -> (tempfile::TempDir, Daybook) {
    let folder = tempfile::tempdir().unwrap();
    let device = DeviceSecret::random(&mut world.host);
    let host = Box::new(SeededHost::new(99));
    let book = Daybook::join(&folder.path().join("book"), b"pass", &world.membership(&device), host).unwrap();
    (folder, book)
}

/// Takes runs into a book and posts them.
fn take(book: &mut Daybook, runs: &[Vec<u8>]) -> IngestReport {
    let report = book.take_runs(runs).unwrap();
    book.post_all().unwrap();
    report
}

/// What a reader thinks of everything that the first member wrote, in order of compartment, lane and place.
fn verdicts(world: &mut World) -> Vec<String> {
    let (_folder, mut book) = reader(world);
    let mut runs = world.control_runs();
    runs.extend(world.authors[0].logs.values().flat_map(|log| log.runs(64)));
    let report = take(&mut book, &runs);
    assert!(report.refused.is_empty(), "{report:?}");
    let logs: Vec<String> = world.authors[0].logs.values().map(|log| log.log.short()).collect();
    let lines = book.log(None, 1_000).unwrap();
    let mut found = Vec::new();
    for short in logs {
        let mut of_log: Vec<(u64, String)> = lines
            .iter()
            .filter_map(|line| Some((line.entry.0.strip_prefix(&short)?.strip_prefix('-')?, &line.verdict)))
            .map(|(place, verdict)| (place.parse().unwrap(), verdict.clone()))
            .collect();
        of_log.sort_unstable();
        found.extend(of_log.into_iter().map(|(_, verdict)| verdict));
    }
    found
}

/// What becomes of the bytes of a run that nobody's book is needed for.
fn code_of(world: &World, bytes: &[u8]) -> &'static str {
    match Run::read(bytes).and_then(|run| run.verify(&world.incident)) {
        Ok(_) => "taken",
        Err(error) => {
            assert!(error.to_string().starts_with(error.code()));
            error.code()
        }
    }
}

/// Two notes in one run, and the world in which they were written.
fn two_notes() -> (World, WrittenLog) {
    let mut world = clinic();
    say(&mut world, CompartmentKind::Clinical, Lane::Routine, &[note()]);
    say(&mut world, CompartmentKind::Clinical, Lane::Routine, &[note()]);
    let log = log_of(&world, Lane::Routine);
    assert_eq!(code_of(&world, &log.run(0, 2)), "taken");
    (world, log)
}

/// A run of entries as they are, with a signature where `signed` says so.
fn run_of(log: &WrittenLog, entries: &[Written], signed: impl Fn(usize) -> bool) -> Vec<u8> {
    let first = entries.first().unwrap();
    let mut run = RunBuilder::new(&log.name, first.seq, first.backlink);
    for (place, entry) in entries.iter().enumerate() {
        let sealed = SealedEntry { ground: entry.ground, nonce: entry.nonce, sealed: Sealed::Body(&entry.body) };
        run.push(&sealed, signed(place).then_some(entry.signature));
    }
    run.finish()
}

// E: runs and entries, judged without a key.

/// Where the fields of a run begin.
const LANE_AT: usize = 96 + 16 + 32;
const COUNT_AT: usize = LANE_AT + 1 + 8 + 32;
const FLAGS_AT: usize = COUNT_AT + 4;

#[test]
fn e001_run_is_cut_off_or_its_layout_is_wrong() {
    let (world, log) = two_notes();
    let whole = log.run(0, 2);
    for length in 0..whole.len() {
        assert_eq!(code_of(&world, &whole[..length]), "E-001", "cut after {length} bytes");
    }
    assert_eq!(code_of(&world, &[&whole[..], &[0]].concat()), "E-001");
    let heads_at = whole.len() - 4 - 68;
    assert_eq!(whole[heads_at..heads_at + 4], [1, 0, 0, 0], "one head, over the second entry");
    let no_ground = whole[FLAGS_AT] & !1;
    for (at, byte, what) in [
        (FLAGS_AT, 16, "a flag that does not exist"),
        (FLAGS_AT, no_ground, "a first entry without its grant"),
        (heads_at, 3, "more heads than entries"),
        (heads_at + 4, 2, "a head over no entry"),
    ] {
        let mut wrong = whole.clone();
        wrong[at] = byte;
        assert_eq!(code_of(&world, &wrong), "E-001", "{what}");
    }
    let mut erased_nothing = RunBuilder::new(&log.name, 1, EntryId::ZERO);
    let entry = &log.entries[0];
    let sealed = Sealed::Erased { bytes: 0, hash: derive(Label::Body, &[]) };
    erased_nothing.push(&SealedEntry { ground: entry.ground, nonce: entry.nonce, sealed }, Some(entry.signature));
    assert_eq!(code_of(&world, &erased_nothing.finish()), "E-001", "an erased body of no length");
    let mut with_key = world.control_runs().remove(0);
    with_key[FLAGS_AT] |= 4;
    assert_eq!(code_of(&world, &with_key), "E-001", "a key id in control");
    let twice = [&whole[..heads_at], &[2, 0, 0, 0], &whole[heads_at + 4..], &whole[heads_at + 4..]].concat();
    assert_eq!(code_of(&world, &twice), "E-001", "one head twice");
}

#[test]
fn e002_first_place_and_backlink_contradict_each_other() {
    let (world, log) = two_notes();
    let entry = &log.entries[0];
    let sealed = SealedEntry { ground: entry.ground, nonce: entry.nonce, sealed: Sealed::Body(&entry.body) };
    for (place, backlink, code) in [
        (0, EntryId::ZERO, "E-002"),
        (1, entry.id, "E-002"),
        (2, EntryId::ZERO, "E-002"),
        (1 << 32, entry.id, "E-002"),
        (u64::MAX, entry.id, "E-002"),
        // A place that is possible is judged by the next rule: this signature is of another place.
        ((1 << 32) - 1, entry.id, "E-005"),
        (1, EntryId::ZERO, "taken"),
    ] {
        let mut run = RunBuilder::new(&log.name, place, backlink);
        run.push(&sealed, Some(entry.signature));
        assert_eq!(code_of(&world, &run.finish()), code, "place {place}");
    }
}

#[test]
fn e003_backlink_of_another_log() {
    let mut world = clinic();
    say(&mut world, CompartmentKind::Clinical, Lane::Routine, &[note()]);
    say(&mut world, CompartmentKind::Clinical, Lane::Routine, &[note()]);
    say(&mut world, CompartmentKind::Clinical, Lane::Safety, &[edit()]);
    let (mut safety, routine) = (log_of(&world, Lane::Safety), log_of(&world, Lane::Routine));
    let signing = world.authors[0].device.signing.secret();
    let ground = safety.entries[0].ground;
    safety.entries[0].id = routine.entries[0].id;
    append(&mut safety, &signing, ground, Nonce::ZERO, vec![0; 272]);
    let (_folder, mut book) = reader(&mut world);
    take(&mut book, &[routine.run(0, 1), log_of(&world, Lane::Safety).run(0, 1)]);
    let report = take(&mut book, &[safety.run(1, 2)]);
    assert_eq!((report.new, report.refused), (0, vec![("E-003".to_owned(), 1)]));
    let (_folder, mut empty) = reader(&mut world);
    let report = take(&mut empty, &[routine.run(1, 2)]);
    assert_eq!((report.new, report.refused), (0, vec![("E-003".to_owned(), 1)]), "an entry between is missing");
    assert_eq!(take(&mut empty, &[routine.run(0, 1), routine.run(1, 2)]).new, 2, "and it may come again");
}

#[test]
fn e004_body_longer_than_the_format_allows() {
    let (mut world, log) = two_notes();
    let (signing, ground) = (world.authors[0].device.signing.secret(), log.entries[0].ground);
    for (length, code) in [(SEALED_BODY_BYTES_MAX, "taken"), (SEALED_BODY_BYTES_MAX + 1, "E-004")] {
        let mut log = log.clone();
        append(&mut log, &signing, ground, Nonce::ZERO, vec![0; length]);
        assert_eq!(code_of(&world, &log.run(2, 3)), code, "{length} bytes");
    }
    let (root, incident) = (world.root.device.signing.secret(), world.incident);
    let control = world.root.log(&incident, CONTROL, Lane::Safety).clone();
    for (length, code) in [(CONTROL_BODY_BYTES_MAX, "taken"), (CONTROL_BODY_BYTES_MAX + 1, "E-004")] {
        let mut control = control.clone();
        let (before, ground) = (control.entries.len(), control.entries[0].ground);
        append(&mut control, &root, ground, Nonce::ZERO, vec![0; length]);
        assert_eq!(code_of(&world, &control.run(before, before + 1)), code, "{length} bytes");
    }
}

#[test]
fn e005_signature_does_not_fit_the_entry() {
    let (world, log) = two_notes();
    let mut flipped = log.run(0, 2);
    *flipped.last_mut().unwrap() ^= 1;
    assert_eq!(code_of(&world, &flipped), "E-005");
    let mut of_another_entry = log.clone();
    of_another_entry.entries[1].signature = log.entries[0].signature;
    assert_eq!(code_of(&world, &of_another_entry.run(0, 2)), "E-005");
    let stranger = World::new(12, 1, Role::Clinician);
    let mut of_another_device = log.clone();
    let entry = &log.entries[1];
    of_another_device.entries[1].signature = stranger.authors[0].device.signing.sign_head(log.log, entry.seq, entry.id);
    assert_eq!(code_of(&world, &of_another_device.run(0, 2)), "E-005");
    assert_eq!(code_of(&stranger, &log.run(0, 2)), "E-005", "a run of another incident");
    let mut body = log.run(0, 2);
    body[FLAGS_AT + 1 + 96 + 24 + 4] ^= 1;
    assert_eq!(code_of(&world, &body), "E-005", "another body has another id");
}

#[test]
fn e006_a_signed_head_is_missing() {
    let mut world = clinic();
    (0..66).for_each(|_| say(&mut world, CompartmentKind::Clinical, Lane::Routine, &[note()]));
    let log = log_of(&world, Lane::Routine);
    let signed_at = |places: &'static [u64]| run_of(&log, &log.entries, |at| places.contains(&log.entries[at].seq));
    assert_eq!(code_of(&world, &signed_at(&[64, 66])), "taken");
    assert_eq!(code_of(&world, &signed_at(&[64])), "E-006", "the run does not end in one");
    assert_eq!(code_of(&world, &signed_at(&[63, 65, 66])), "E-006", "it passes 64 without one");
    let incident = world.incident;
    let control = world.root.log(&incident, CONTROL, Lane::Safety).clone();
    let all_but = |missing: usize| run_of(&control, &control.entries, |at| at != missing);
    assert_eq!(code_of(&world, &all_but(usize::MAX)), "taken");
    assert_eq!(code_of(&world, &all_but(3)), "E-006", "every control entry is one");
}

#[test]
fn e007_public_keys_of_the_author_are_not_valid() {
    let (world, log) = two_notes();
    let whole = log.run(0, 2);
    for key in 0..3 {
        let mut low_order = whole.clone();
        low_order[key * 32..key * 32 + 32].fill(0);
        assert_eq!(code_of(&world, &low_order), "E-007", "key {key} of low order");
    }
    let mut second_spelling = whole;
    second_spelling[32..64].fill(0xff);
    assert_eq!(code_of(&world, &second_spelling), "E-007");
}

#[test]
fn e008_lane_does_not_exist() {
    let (world, log) = two_notes();
    for lane in [3, 255] {
        let mut wrong = log.run(0, 2);
        assert_eq!(wrong[LANE_AT], Lane::Routine.number());
        wrong[LANE_AT] = lane;
        assert_eq!(code_of(&world, &wrong), "E-008");
    }
    for lane in [1, 2] {
        let mut control = world.control_runs().remove(0);
        assert_eq!(control[LANE_AT], 0);
        control[LANE_AT] = lane;
        assert_eq!(code_of(&world, &control), "E-008", "control has one lane");
    }
}

#[test]
fn e009_more_entries_than_a_run_may_have_or_none() {
    let mut world = clinic();
    (0..1_025).for_each(|_| say(&mut world, CompartmentKind::Clinical, Lane::Routine, &[note()]));
    let log = log_of(&world, Lane::Routine);
    assert_eq!(code_of(&world, &log.run(0, 1_024)), "taken");
    assert_eq!(code_of(&world, &log.run(0, 1_025)), "E-009");
    let none = RunBuilder::new(&log.name, 1, EntryId::ZERO).finish();
    assert_eq!(code_of(&world, &none), "E-009");
}

#[test]
fn e010_log_has_eight_branches_already() {
    let mut world = clinic();
    say(&mut world, CompartmentKind::Clinical, Lane::Routine, &[note()]);
    let (trunk, place) = (log_of(&world, Lane::Routine), (world.compartment(CompartmentKind::Clinical), Lane::Routine));
    let branches: Vec<Vec<u8>> = (0..9)
        .map(|_| {
            world.authors[0].logs.insert(place, trunk.clone());
            say(&mut world, CompartmentKind::Clinical, Lane::Routine, &[note()]);
            log_of(&world, Lane::Routine).run(1, 2)
        })
        .collect();
    let (_folder, mut book) = reader(&mut world);
    assert_eq!(take(&mut book, &[trunk.run(0, 1)]).new, 1);
    let report = take(&mut book, &branches);
    assert_eq!((report.new, report.refused), (8, vec![("E-010".to_owned(), 1)]));
    assert_eq!(take(&mut book, &branches[..8]).known, 8, "those that are here stay");
    let proofs = book.floods().unwrap();
    let [proof] = proofs.as_slice() else { panic!("a proof") };
    assert_eq!(proof.shown(), Shown::Forks { log: trunk.log, branches: 9, lowest: 2 });
}

#[test]
fn e014_device_has_64_incarnations_already() {
    let (mut world, logs) = lives(65);
    let (_folder, mut book) = reader(&mut world);
    let runs: Vec<Vec<u8>> = logs.iter().map(|log| log.run(0, 1)).collect();
    let report = take(&mut book, &runs);
    assert_eq!((report.new, report.refused), (64, vec![("E-014".to_owned(), 1)]));
    assert_eq!(book.floods().unwrap()[0].shown(), Shown::Incarnations);
    assert_eq!(take(&mut book, &runs[..64]).known, 64, "those that are here stay");
}

#[test]
fn e011_frame_of_an_unknown_kind() {
    let (mut world, log) = two_notes();
    let (_folder, mut book) = reader(&mut world);
    let frames = [(RUN, log.run(0, 1)), (7, b"of a later version".to_vec()), (RUN, log.run(1, 2))];
    let file = file_of(&world.founding, &frames);
    let report = book.ingest(&mut file.as_slice(), &mut |_| {}).unwrap();
    assert_eq!((report.new, report.cut_off, report.refused), (2, false, vec![("E-011".to_owned(), 1)]));
}

#[test]
fn e012_no_room_for_logs_of_devices_without_a_grant() {
    let mut world = World::new(11, 2, Role::Clinician);
    let (_folder, mut book) = reader(&mut world);
    let [clinical, supply] = [CompartmentKind::Clinical, CompartmentKind::Supply].map(|kind| world.compartment(kind));
    let body = Body::write(CommitId::new([1; 8]), Hlc::default(), &[note()]);
    let (id, _, key) = world.epochs[&clinical].clone();
    // The control log is not here: nobody has heard of anybody but the root.
    let incident = world.incident;
    let mut made_up = |number: u16, entries: usize| {
        let author = &mut world.authors[0];
        // A device may have 64 incarnations; each has a log in every lane of two compartments.
        let [low, high] = (number % 50).to_le_bytes();
        author.incarnation = Incarnation::new([low, high, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]);
        let compartment = if number < 150 { clinical } else { supply };
        let lane = Lane::ALL[usize::from(number / 50 % 3)];
        (0..entries).for_each(|_| {
            author.append(&incident, (compartment, lane), &body, Some((&id, &key)));
        });
        let log = author.logs.remove(&(compartment, lane)).unwrap();
        log.run(0, entries)
    };
    let runs: Vec<Vec<u8>> = (0..300).map(|number| made_up(number, 1)).collect();
    let report = take(&mut book, &runs);
    assert_eq!((report.new, report.refused), (256, vec![("E-012".to_owned(), 44)]));
    let waits = book.strangers().unwrap();
    let bytes: usize = runs[..256].iter().map(Vec::len).sum();
    assert_eq!((waits.logs, waits.bytes, waits.declined), (256, bytes as u64, 44));
    // What is here already costs nothing again; nothing more comes of the same bringer, in no other log.
    assert_eq!(take(&mut book, &runs[..9]).known, 9);
    assert_eq!(book.strangers().unwrap().bytes, bytes as u64);
    // Their grants come: they are like others, and there is room.
    let control = world.control_runs();
    assert_eq!(take(&mut book, &control).refused, []);
    assert_eq!(book.strangers().unwrap(), daybook_core::daybook::Strangers::default());
    let report = take(&mut book, &runs);
    assert_eq!((report.new, report.known, report.refused), (44, 256, vec![]));
}

#[test]
fn e013_frame_of_parcels_is_no_group_of_parcels() {
    let (mut world, log) = two_notes();
    let (_folder, mut book) = reader(&mut world);
    let group = [[6; 32], [9; 32]].concat();
    let frames = [
        (RUN, log.run(0, 1)),
        (2, group.clone()),
        (2, [&group[..], &[7; 79]].concat()),
        (2, [&[6; 32][..], &[0; 32], &[7; 80]].concat()),
        (2, [&group[..], &[7; 80]].concat()),
        (RUN, log.run(1, 2)),
    ];
    let file = file_of(&world.founding, &frames);
    let report = book.ingest(&mut file.as_slice(), &mut |_| {}).unwrap();
    assert_eq!((report.new, report.cut_off, report.refused), (2, false, vec![("E-013".to_owned(), 3)]));
}

#[test]
fn e015_no_room_for_what_a_former_member_brings() {
    let mut world = World::new(12, 3, Role::Clinician);
    let (_folder, mut book) = reader(&mut world);
    let clinical = world.compartment(CompartmentKind::Clinical);
    let (id, _, key) = world.epochs[&clinical].clone();
    let incident = world.incident;
    let revoke = |world: &World, at: usize| {
        let (grants, devices) = (vec![world.authors[at].grant], vec![world.authors[at].device.public().device_id()]);
        Control::Revoke(Revoke { grants, spares: vec![], cuts: vec![], devices, reason: None, part: None })
    };
    (0..2).for_each(|at| {
        let revoke = revoke(&world, at);
        world.control(revoke);
    });
    assert_eq!(take(&mut book, &world.control_runs()).refused, []);
    // 300 bodies of the greatest length: more than 16 MiB. Nobody can open them, but they are taken.
    let body = vec![7; 60_000];
    let log = (clinical, Lane::Routine);
    let mut bring = |at: usize, from: usize, to: usize| {
        let author = &mut world.authors[at];
        let held = author.logs.get(&log).map_or(0, |log| log.entries.len());
        (held..to).for_each(|_| {
            author.append(&incident, log, &body, Some((&id, &key)));
        });
        let runs = (from..to).step_by(10).map(|at| author.logs[&log].run(at, (at + 10).min(to)));
        (author.device.public().device_id(), runs.collect::<Vec<_>>())
    };
    let mut take = |(from, runs): &(DeviceId, Vec<Vec<u8>>)| {
        let count = |kind: fn(&Outcome) -> bool, all: &[Outcome]| all.iter().filter(|one| kind(one)).count();
        let outcomes = Shelf::take(&mut book, *from, runs).unwrap();
        let declined = count(|one| *one == Outcome::Declined("E-015"), &outcomes);
        (count(|one| matches!(one, Outcome::Taken { .. }), &outcomes), declined)
    };
    let first = bring(0, 0, 300);
    let room = 16 * 1024 * 1024 / first.1[0].len();
    assert_eq!(take(&first), (room, 30 - room));
    // It stays so in the next session, and what is here costs nothing again; another one is not held up.
    assert_eq!(take(&bring(0, room * 10, 300)), (0, 30 - room));
    assert_eq!(take(&bring(1, 0, 20)), (2, 0));
    // A member who brings the same is not counted.
    let member = world.authors[2].device.public().device_id();
    assert_eq!(take(&(member, bring_again(&world, log, room * 10))), (30 - room, 0));
}

fn bring_again(world: &World, log: (CompartmentId, Lane), from: usize) -> Vec<Vec<u8>> {
    (from..300).step_by(10).map(|at| world.authors[0].logs[&log].run(at, at + 10)).collect()
}

// F: what needs the key. The entry is stored and relayed, without effect.

#[test]
fn f001_the_seal_does_not_fit_the_key_and_the_place() {
    let mut world = clinic();
    let (place, key) = next_place(&mut world);
    let mut sealed = Vec::new();
    let elsewhere = Place { seq: 9, ..place };
    let nonce = key.seal(&elsewhere, &note(), &mut sealed);
    sign_sealed(&mut world, nonce, sealed.clone());
    sign_sealed(&mut world, nonce, sealed[..15].to_vec());
    assert_eq!(verdicts(&mut world), ["faulty (F-001)"; 2]);
}

/// The additional data of a sealed body, as `docs/format.md`, section 6.2, lays it out.
fn additional_data(place: &Place, key: &ReadingKey) -> Vec<u8> {
    let seq = place.seq.to_le_bytes();
    [&[1, 0][..], place.incident.as_bytes(), place.log.as_bytes(), &seq, key.key_id().as_bytes()].concat()
}

/// Seals a padded text at a place by a cipher of our own; the nonce is that of the format if none is given.
fn seal_padded(place: &Place, key: &ReadingKey, nonce: Option<[u8; 24]>, padded: &[u8]) -> (Nonce, Vec<u8>) {
    let (aad, secret) = (additional_data(place, key), key.secret().expose());
    let of_format = || keyed(&derive(Label::Nonce, &[secret]), &[&aad, padded]);
    let nonce = nonce.unwrap_or_else(of_format);
    (Nonce(nonce), cipher::seal(secret, &nonce, &aad, padded))
}

/// A body with one note, padded.
fn padded_note() -> Vec<u8> {
    let mut body = Body::write(CommitId::ZERO, Hlc::from_bits(1 << 16), &[note()]);
    pad(&mut body);
    body
}

#[test]
fn sealing_by_a_second_cipher_gives_the_same_bytes() {
    let mut world = clinic();
    let (place, key) = next_place(&mut world);
    for length in [0, 1, 255, 256, 1_000, BODY_BYTES_MAX] {
        let (mut body, mut sealed) = (vec![0x2a; length], Vec::new());
        let nonce = key.seal(&place, &body, &mut sealed);
        pad(&mut body);
        assert_eq!(seal_padded(&place, &key, None, &body), (nonce, sealed), "{length} bytes");
    }
}

#[test]
fn f002_the_nonce_does_not_follow_from_the_text() {
    let mut world = clinic();
    for nonce in [None, Some([7; 24]), Some([0; 24])] {
        let (place, key) = next_place(&mut world);
        let (nonce, sealed) = seal_padded(&place, &key, nonce, &padded_note());
        sign_sealed(&mut world, nonce, sealed);
    }
    assert_eq!(verdicts(&mut world), ["accepted", "faulty (F-002)", "faulty (F-002)"]);
}

#[test]
fn f003_the_padding_is_not_that_of_the_format() {
    let mut world = clinic();
    let right = padded_note();
    let end = right.iter().rposition(|byte| *byte == 0x80).unwrap();
    let mut other_mark = right.clone();
    other_mark[end] = 0x81;
    let unpadded = right[..end].to_vec();
    let longer = [&right[..], &[0; 16]].concat();
    for padded in [right, other_mark, unpadded, longer, Vec::new()] {
        let (place, key) = next_place(&mut world);
        let (nonce, sealed) = seal_padded(&place, &key, None, &padded);
        sign_sealed(&mut world, nonce, sealed);
    }
    let mut expected = vec!["faulty (F-003)"; 5];
    expected[0] = "accepted";
    assert_eq!(verdicts(&mut world), expected);
}

/// What a reader thinks of these bodies, each an entry of the routine lane of clinical.
fn verdicts_of_bodies(bodies: &[Vec<u8>]) -> Vec<String> {
    let mut world = clinic();
    bodies.iter().for_each(|body| say_bytes(&mut world, CompartmentKind::Clinical, Lane::Routine, body));
    verdicts(&mut world)
}

/// A body with these operations.
fn body_of(operations: &[Vec<u8>]) -> Vec<u8> {
    Body::write(CommitId::ZERO, Hlc::from_bits(1 << 16), operations)
}

#[test]
fn f004_body_is_not_in_canonical_form() {
    let right = body_of(&[note()]);
    let hlc_at = 1 + 1 + 9 + 1;
    assert_eq!(right[hlc_at], 0x1a, "the hlc in four bytes");
    let long_hlc = [&right[..hlc_at], &[0x1b, 0, 0, 0, 0], &right[hlc_at + 1..]].concat();
    let indefinite = [&[0xbf], &right[1..], &[0xff]].concat();
    let mut swapped = right.clone();
    (swapped[1], swapped[hlc_at - 1]) = (2, 1);
    let float = [&[0xa4], &right[1..], &[4, 0xf9, 0x7e, 0]].concat();
    let tag = [&[0xc1], &right[..]].concat();
    let nested = [&[0xa4], &right[1..], &[4], &[0x81; 8][..], &[0]].concat();
    let cut = right[..right.len() - 1].to_vec();
    let longer = [&right[..], &[0]].concat();
    let wrong = [long_hlc, indefinite, swapped, float, tag, nested, cut, longer, Vec::new()];
    assert_eq!(verdicts_of_bodies(&wrong), ["faulty (F-004)"; 9]);
    assert_eq!(verdicts_of_bodies(&[right]), ["accepted"]);
}

/// A note with its fields as the closure writes them.
fn fields(count: usize, write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut to = Writer::new();
    to.map(count);
    write(&mut to);
    to.finish()
}

#[test]
fn f005_body_does_not_fit_its_schema() {
    let time = |to: &mut Writer| {
        to.uint(2).list(4).int(0).int(0).uint(2).uint(1);
    };
    let without_time = fields(3, |to| {
        to.uint(0).uint(12).uint(1).bytes(PATIENT.as_bytes()).uint(17).text("x");
    });
    let without_text = fields(3, |to| {
        to.uint(0).uint(12).uint(1).bytes(PATIENT.as_bytes());
        time(to);
    });
    let without_patient = fields(3, |to| {
        to.uint(0).uint(12);
        time(to);
        to.uint(17).text("x");
    });
    let short_patient = fields(4, |to| {
        to.uint(0).uint(12).uint(1).bytes(&[1; 15]);
        time(to);
        to.uint(17).text("x");
    });
    let number_for_text = fields(4, |to| {
        to.uint(0).uint(12).uint(1).bytes(PATIENT.as_bytes());
        time(to);
        to.uint(17).uint(1);
    });
    let without_kind = fields(1, |to| {
        to.uint(1).bytes(PATIENT.as_bytes());
    });
    let no_operation = body_of(&[]);
    let no_commit = {
        let mut to = Writer::new();
        to.map(2).uint(2).uint(1 << 16).uint(3).list(1).raw(&note());
        to.finish()
    };
    let wrong_operations = [without_time, without_text, without_patient, short_patient, number_for_text, without_kind];
    let mut bodies: Vec<Vec<u8>> = wrong_operations.iter().map(|op| body_of(std::slice::from_ref(op))).collect();
    bodies.extend([no_operation, no_commit, vec![0xa0], vec![0x80]]);
    assert_eq!(verdicts_of_bodies(&bodies), ["faulty (F-005)"; 10]);
    let refutation_of_nothing = body_of(&[fact(Some(PATIENT), Statement::Refutation)]);
    let mut world = clinic();
    say_bytes(&mut world, CompartmentKind::Clinical, Lane::Safety, &refutation_of_nothing);
    assert_eq!(verdicts(&mut world), ["faulty (F-005)"]);
}

#[test]
fn f006_body_holds_a_value_outside_the_bounds_of_the_format() {
    let with = |time_ms: i64, offset: i64, text: &str| {
        fields(4, |to| {
            to.uint(0).uint(12).uint(1).bytes(PATIENT.as_bytes());
            to.uint(2).list(4).int(time_ms).int(offset).uint(2).uint(1).uint(17).text(text);
        })
    };
    let long = "x".repeat(8_193);
    let wrong =
        [with(253_402_300_800_000, 0, "x"), with(-62_135_596_800_001, 0, "x"), with(0, 1_081, "x"), with(0, 0, &long)];
    let mut bodies: Vec<Vec<u8>> = wrong.iter().map(|op| body_of(std::slice::from_ref(op))).collect();
    bodies.push(body_of(&vec![note(); 65]));
    assert_eq!(verdicts_of_bodies(&bodies), ["faulty (F-006)"; 5]);
    let right = [with(253_402_300_799_999, 1_080, "x"), with(-62_135_596_800_000, -1_080, &long[1..])];
    let mut bodies: Vec<Vec<u8>> = right.iter().map(|op| body_of(std::slice::from_ref(op))).collect();
    bodies.push(body_of(&vec![note(); 64]));
    assert_eq!(verdicts_of_bodies(&bodies), ["accepted"; 3]);
    let too_many_parents = |count: u64| {
        fields(4, |to| {
            to.uint(0).uint(1).uint(1).bytes(PATIENT.as_bytes()).uint(2).list(usize::try_from(count).unwrap());
            (1..=count).for_each(|seq| {
                to.list(3).bytes(&[1; 32]).uint(seq).bytes(&[2; 16]);
            });
            to.uint(3).list(1).list(2).uint(2).uint(1);
        })
    };
    let mut world = clinic();
    for count in [17, 16] {
        say(&mut world, CompartmentKind::Clinical, Lane::Safety, &[too_many_parents(count)]);
    }
    assert_eq!(verdicts(&mut world), ["faulty (F-006)", "accepted"]);
}

#[test]
fn f007_operation_in_the_wrong_lane() {
    let imported = edit_of(PATIENT, Some(ImportId::new([1; 16])));
    let correction = {
        let entry = EntryRef { log: LogId::new([1; 32]), seq: 1, prefix: [2; 16] };
        let targets = vec![FactId::Written(OpRef { entry, index: 0 })];
        let statement = Statement::Note { text: "slept badly" };
        let fact = Fact { patient: Some(PATIENT), effective: NOON, targets, import: None, reason: "typo", statement };
        Operation::Fact(fact).to_bytes()
    };
    for (operation, right) in
        [(edit(), Lane::Safety), (note(), Lane::Routine), (imported, Lane::Import), (correction, Lane::Safety)]
    {
        for lane in Lane::ALL {
            let mut world = clinic();
            say(&mut world, CompartmentKind::Clinical, lane, std::slice::from_ref(&operation));
            let expected = if lane == right { "accepted" } else { "faulty (F-007)" };
            assert_eq!(verdicts(&mut world), [expected], "{right:?} in {lane:?}");
        }
    }
}

#[test]
fn f008_operation_in_the_wrong_kind_of_compartment() {
    let (clinical, supply) = (CompartmentKind::Clinical, CompartmentKind::Supply);
    for (operation, lane, kind, expected) in [
        (edit(), Lane::Safety, supply, "faulty (F-008)"),
        (note(), Lane::Routine, supply, "faulty (F-008)"),
        (movement(), Lane::Routine, clinical, "faulty (F-008)"),
        (note(), Lane::Routine, CompartmentKind::Audit, "faulty (F-008)"),
        (edit(), Lane::Safety, clinical, "accepted"),
        (movement(), Lane::Routine, supply, "accepted"),
    ] {
        let mut world = clinic();
        say(&mut world, kind, lane, std::slice::from_ref(&operation));
        assert_eq!(verdicts(&mut world), [expected], "{kind:?}");
    }
}

#[test]
fn f009_two_edits_of_one_patient_in_one_entry() {
    let mut world = clinic();
    say(&mut world, CompartmentKind::Clinical, Lane::Safety, &[edit(), edit()]);
    say(&mut world, CompartmentKind::Clinical, Lane::Safety, &[edit(), edit_of(PatientId::new([9; 16]), None)]);
    assert_eq!(verdicts(&mut world), ["faulty (F-009)", "accepted"]);
}

#[test]
fn f010_control_body_does_not_fit_its_schema() {
    let mut world = clinic();
    let incident = world.incident;
    for body in [&b"no CBOR"[..], &[0xa0], &[]] {
        world.root.append(&incident, (CONTROL, Lane::Safety), body, None);
    }
    let (_folder, mut book) = reader(&mut world);
    let runs = world.control_runs();
    assert_eq!(take(&mut book, &runs).refused, []);
    let faulty = |book: &mut Daybook| {
        let lines = book.log(None, 100).unwrap();
        lines.iter().filter(|line| line.compartment == "control" && line.verdict == "faulty (F-010)").count()
    };
    assert_eq!(faulty(&mut book), 3);
    book.rebuild(&mut |_, _| {}).unwrap();
    assert_eq!(faulty(&mut book), 3, "the same after a rebuild");
}

// Q: the author had no right. The entry is stored and relayed, and waits for review.

#[test]
fn q001_grant_missing() {
    let mut world = clinic();
    world.authors[0].grant = EntryId::new([9; 32]);
    say(&mut world, CompartmentKind::Clinical, Lane::Routine, &[note()]);
    assert_eq!(verdicts(&mut world), ["waiting for review (Q-001)"]);
}

#[test]
fn q002_grant_of_another_device() {
    let mut world = World::new(11, 2, Role::Clinician);
    let (own, of_the_second) = (world.authors[0].grant, world.authors[1].grant);
    let of_a_root = EntryId::new(*world.incident.as_bytes());
    for grant in [own, of_the_second, of_a_root] {
        world.authors[0].grant = grant;
        say(&mut world, CompartmentKind::Clinical, Lane::Routine, &[note()]);
    }
    assert_eq!(verdicts(&mut world), ["accepted", "waiting for review (Q-002)", "waiting for review (Q-002)"]);
}

#[test]
fn q003_no_right_to_write_here() {
    let mut world = World::new(11, 1, Role::Auditor);
    say(&mut world, CompartmentKind::Clinical, Lane::Routine, &[note()]);
    assert_eq!(verdicts(&mut world), ["waiting for review (Q-003)"]);
}

#[test]
fn q004_compartment_missing() {
    let mut world = clinic();
    let (id, _, key) = world.epochs[&world.compartment(CompartmentKind::Clinical)].clone();
    let (incident, unknown) = (world.incident, CompartmentId::new([7; 32]));
    world.authors[0].append(&incident, (unknown, Lane::Routine), &body_of(&[note()]), Some((&id, &key)));
    assert_eq!(verdicts(&mut world), ["waiting for review (Q-004)"]);
}

/// Makes the first author one whose grant gives exactly these rights in clinical.
fn with_rights(rights: Rights) -> World {
    let mut world = World::new(11, 0, Role::Clinician);
    let device = DeviceSecret::random(&mut world.host);
    let incarnation = Incarnation::new(random(&mut world.host));
    let grant = Control::Grant(Box::new(Grant {
        device: device.public(),
        person: None,
        organisation: None,
        role: "observer".to_owned(),
        rights: RightsByScope::from_iter([(Scope::Kind(CompartmentKind::Clinical), rights)]),
        history: true,
        until_ms: None,
        grants: 0,
        compartments: 0,
        lifts: Vec::new(),
    }));
    let grant = world.control(grant);
    world.authors.push(Author { device, incarnation, grant, hlc: Hlc::default(), logs: BTreeMap::new() });
    world
}

#[test]
fn q005_no_right_to_one_of_the_operations() {
    let mut world = with_rights(Rights::OBSERVE);
    say(&mut world, CompartmentKind::Clinical, Lane::Safety, &[edit()]);
    say(&mut world, CompartmentKind::Clinical, Lane::Routine, &[note()]);
    assert_eq!(verdicts(&mut world), ["waiting for review (Q-005)", "accepted"]);
    let mut world = with_rights(Rights::REGISTER);
    let deceased = fact(Some(PATIENT), Statement::Deceased);
    say(&mut world, CompartmentKind::Clinical, Lane::Safety, &[edit(), deceased]);
    say(&mut world, CompartmentKind::Clinical, Lane::Safety, &[edit()]);
    assert_eq!(verdicts(&mut world), ["waiting for review (Q-005)", "accepted"], "one operation is enough");
}

#[test]
fn q006_past_what_stays_trusted_of_an_ended_grant() {
    let mut world = clinic();
    for lane in [Lane::Routine, Lane::Routine, Lane::Safety] {
        let operation = if lane == Lane::Safety { edit() } else { note() };
        say(&mut world, CompartmentKind::Clinical, lane, &[operation]);
    }
    let (routine, grant) = (log_of(&world, Lane::Routine), world.authors[0].grant);
    let trusted = PlaceOf { log: routine.log, seq: 1, id: routine.entries[0].id };
    world.control(revoke(&[grant], &[], &[trusted]));
    let mut said = verdicts(&mut world);
    said.sort_unstable();
    let waits = "waiting for review (Q-006)";
    assert_eq!(said, ["accepted", waits, waits], "a log that is not named is cut whole");
}

#[test]
fn q007_grant_does_not_count() {
    let mut world = World::new(11, 2, Role::Clinician);
    let device = world.authors[1].device.public();
    // The root ends one grant of a device and says nothing of the other that it has.
    let ended = world.authors[1].grant;
    let again = |lifts: Vec<EntryId>| {
        let role = Role::Clinician;
        let (rights, role) = (role.rights(), role.word().to_owned());
        let (person, organisation, until_ms) = (None, None, None);
        let (history, grants, compartments) = (true, 0, 0);
        let grant =
            Grant { device, person, organisation, role, rights, history, until_ms, grants, compartments, lifts };
        Control::Grant(Box::new(grant))
    };
    let beside = world.control(again(Vec::new()));
    let revoke = world.control(revoke(&[ended], &[], &[]));
    let named = world.control(again(vec![revoke]));
    world.authors.remove(0);
    for grant in [ended, beside, named] {
        world.authors[0].grant = grant;
        say(&mut world, CompartmentKind::Clinical, Lane::Routine, &[note()]);
    }
    assert_eq!(verdicts(&mut world), ["waiting for review (Q-006)", "waiting for review (Q-007)", "accepted"]);
}

#[test]
fn q008_more_than_the_budget_of_the_grant() {
    let mut world = World::new(11, 2, Role::Clinician);
    let admin = world.admit(Role::Admin).grant;
    assert_eq!(world.authors[2].grant, admin);
    // An admin without budget bars a device: it waits, and the device is not barred.
    let bar = Control::Bar { devices: vec![world.authors[0].device.public().device_id()] };
    let incident = world.incident;
    let hlc = Hlc::default().tick(World::start_ms());
    let body = ControlBody { commit: CommitId::new([1; 8]), hlc, control: bar }.to_bytes();
    world.authors[2].append(&incident, (CONTROL, Lane::Safety), &body, None);
    let runs = world.authors[2].logs[&(CONTROL, Lane::Safety)].runs(8);
    let (_folder, mut book) = reader(&mut world);
    take(&mut book, &world.control_runs());
    take(&mut book, &runs);
    let lines = book.log(None, 100).unwrap();
    let bars: Vec<&str> =
        lines.iter().filter(|line| line.operations == ["bar"]).map(|line| line.verdict.as_str()).collect();
    assert_eq!(bars, ["waiting for review (Q-008)"]);
}

fn revoke(grants: &[EntryId], spares: &[EntryId], cuts: &[PlaceOf]) -> Control {
    let (grants, spares, cuts) = (grants.to_vec(), spares.to_vec(), cuts.to_vec());
    Control::Revoke(Revoke { grants, spares, cuts, devices: Vec::new(), reason: None, part: None })
}

#[test]
fn q009_the_log_was_flooded() {
    let mut world = clinic();
    let clinical = (CompartmentKind::Clinical, Lane::Routine);
    world.fork(0, clinical, 0, (1, 3), &[note()]);
    let forks = world.fork(0, clinical, 2, (9, 2), &[note()]);
    let incident = world.incident;
    let chains: Vec<Vec<u8>> = forks.iter().map(|log| log.chain(2)).collect();
    let proof = Proof::of_chains(&incident, &chains).unwrap();
    let (_folder, mut book) = reader(&mut world);
    take(&mut book, &[world.control_runs(), vec![forks[0].run(0, 4)]].concat());
    let verdicts = |book: &mut Daybook| {
        let lines = book.log(None, 100).unwrap();
        let of_log = |place: u64| {
            let code = format!("{}-{place}", forks[0].log.short());
            lines.iter().find(|line| line.entry.0 == code).unwrap().verdict.clone()
        };
        [1, 2, 3, 4].map(of_log)
    };
    assert_eq!(verdicts(&mut book), ["accepted"; 4]);
    book.take_flood(&proof).unwrap();
    let waits = "waiting for review (Q-009)";
    assert_eq!(verdicts(&mut book), ["accepted", "accepted", waits, waits]);
    let last = forks[0].entries.last().unwrap();
    let logs = vec![PlaceOf { log: forks[0].log, seq: last.seq, id: last.id }];
    world.control(Control::Endorse(Endorse { logs, ..Endorse::default() }));
    take(&mut book, &world.control_runs());
    assert_eq!(verdicts(&mut book), ["accepted"; 4], "an administrator endorsed it");
}

// X: founding statements.

/// A founding statement of this many roots and its signing keys.
fn statement(roots: u8) -> (Founding, Vec<DeviceSecret>) {
    let mut host = SeededHost::new(5);
    let devices: Vec<DeviceSecret> = (0..roots).map(|_| DeviceSecret::random(&mut host)).collect();
    let seed = RecoverySeed::random(&mut host);
    let root = |device: &DeviceSecret| Root { device: device.public(), organisation: "Relief".into() };
    let mut founding = Founding::of_one([1; 16], "Flood", true, root(&devices[0]), &seed);
    founding.roots = devices.iter().map(root).collect();
    (founding, devices)
}

fn sign(founding: &Founding, devices: &[DeviceSecret]) -> Result<Vec<u8>, String> {
    let keys: Vec<&SigningKey> = devices.iter().map(|device| &device.signing).collect();
    SignedFounding::sign(founding, &keys).map(|signed| signed.bytes().to_vec()).map_err(|error| error.to_string())
}

fn founding_code(bytes: &[u8]) -> String {
    SignedFounding::read(bytes).map_or_else(|error| error.to_string()[..5].to_owned(), |_| "taken".to_owned())
}

#[test]
fn x001_founding_statement_is_damaged() {
    let (founding, devices) = statement(1);
    let whole = sign(&founding, &devices).unwrap();
    assert_eq!(founding_code(&whole), "taken");
    for length in 0..whole.len() {
        assert_eq!(founding_code(&whole[..length]), "X-001", "cut after {length} bytes");
    }
    assert_eq!(founding_code(&[&whole[..], &[0]].concat()), "X-001", "something follows");
    let mut longer_key = whole.clone();
    longer_key.splice(5..6, [0x18, 1]);
    longer_key[0] += 1;
    assert_eq!(founding_code(&longer_key), "X-001", "another encoding of the same");
    let long_name = Founding { name: "x".repeat(8_193), ..founding };
    assert!(sign(&long_name, &devices).unwrap_err().starts_with("X-001"));
}

#[test]
fn x002_founding_statement_is_of_another_version() {
    let (founding, devices) = statement(1);
    let whole = sign(&founding, &devices).unwrap();
    assert_eq!(whole[4..9], [0xa8, 1, 1, 2, 1], "eight fields; format 1, suite 1");
    for at in [6, 8] {
        let mut newer = whole.clone();
        newer[at] = 2;
        assert_eq!(founding_code(&newer), "X-002");
    }
    let statement = u32::from_le_bytes(*whole.first_chunk().unwrap());
    let mut more = whole.clone();
    more[4] = 0xa9;
    more.splice(4 + statement as usize..4 + statement as usize, [9, 0]);
    more[..4].copy_from_slice(&(statement + 2).to_le_bytes());
    assert_eq!(founding_code(&more), "X-002", "a ninth field");
}

#[test]
fn x003_founding_statement_is_not_possible() {
    for (roots, quorum, possible) in [
        (1, 0, true),
        (1, 1, false),
        (2, 0, true),
        (2, 2, false),
        (3, 0, false),
        (3, 1, false),
        (3, 2, true),
        (3, 3, false),
        (4, 2, false),
        (4, 3, true),
        (16, 9, true),
    ] {
        let (mut founding, devices) = statement(roots);
        founding.quorum = quorum;
        let signed = sign(&founding, &devices);
        assert_eq!(signed.is_ok(), possible, "{quorum} of {roots}");
        assert!(possible || signed.unwrap_err().starts_with("X-003"), "{quorum} of {roots}");
    }
    let (mut founding, devices) = statement(2);
    founding.roots[1] = founding.roots[0].clone();
    assert!(sign(&founding, &devices).unwrap_err().starts_with("X-003"), "one device twice");
    let (mut founding, devices) = statement(1);
    founding.recovery = founding.roots[0].device;
    assert!(sign(&founding, &devices).unwrap_err().starts_with("X-003"), "the recovery root is another device");
    founding.roots.clear();
    assert!(sign(&founding, &[]).unwrap_err().starts_with("X-003"), "no root");
    let (founding, devices) = statement(1);
    let mut weak = sign(&founding, &devices).unwrap();
    let keys = founding.roots[0].device.to_bytes();
    let at = weak.windows(96).position(|window| window == keys).unwrap();
    weak[at..at + 32].fill(0);
    assert_eq!(founding_code(&weak), "X-003", "a key of low order");
}

#[test]
fn x004_signature_of_a_root_does_not_fit() {
    let (mut founding, devices) = statement(3);
    founding.quorum = 2;
    let whole = sign(&founding, &devices).unwrap();
    for root in 0..3 {
        let mut flipped = whole.clone();
        flipped[whole.len() - 64 * (3 - root)] ^= 1;
        assert_eq!(founding_code(&flipped), "X-004", "root {root}");
    }
    let swapped: Vec<DeviceSecret> = devices.into_iter().rev().collect();
    assert!(sign(&founding, &swapped).unwrap_err().starts_with("X-004"), "in the order of the roots");
    let at = whole.windows(5).position(|window| window == b"Flood").unwrap();
    let mut renamed = whole;
    renamed[at] = b'B';
    assert_eq!(founding_code(&renamed), "X-004", "what was signed was changed");
}

// P: grant paths.

/// The run of the first member's grant, and the world.
fn grant_run() -> (World, Vec<u8>) {
    let mut world = clinic();
    let (incident, grant) = (world.incident, world.authors[0].grant);
    let control = world.root.log(&incident, CONTROL, Lane::Safety);
    let at = control.entries.iter().position(|entry| entry.id == grant).unwrap();
    let run = control.run(at, at + 1);
    (world, run)
}

fn path_code(bytes: &[u8], incident: Option<&IncidentId>) -> String {
    GrantPath::read(bytes, incident).map_or_else(|error| error.to_string()[..5].to_owned(), |_| "taken".to_owned())
}

#[test]
fn p001_grant_path_is_damaged() {
    let (world, run) = grant_run();
    let path = GrantPath::to_bytes(&world.founding, std::slice::from_ref(&run));
    assert_eq!(path_code(&path, Some(&world.incident)), "taken");
    for length in 0..path.len() {
        assert_eq!(path_code(&path[..length], None), "P-001", "cut after {length} bytes");
    }
    assert_eq!(path_code(&[&path[..], &[0]].concat(), None), "P-001", "something follows");
    let nine = GrantPath::to_bytes(&world.founding, &vec![run; 9]);
    assert_eq!(path_code(&nine, None), "P-001", "nine grants");
    let mut long = path;
    long[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(path_code(&long, None), "P-001", "a length beyond its bound");
}

#[test]
fn p002_grant_path_begins_with_no_valid_founding_statement() {
    let (world, run) = grant_run();
    let mut path = GrantPath::to_bytes(&world.founding, &[run]);
    path[4 + world.founding.bytes().len() - 1] ^= 1;
    assert_eq!(path_code(&path, None), "P-002");
}

#[test]
fn p003_grant_path_belongs_to_another_incident() {
    let (world, run) = grant_run();
    let path = GrantPath::to_bytes(&world.founding, &[run]);
    assert_eq!(path_code(&path, Some(&IncidentId::new([1; 32]))), "P-003");
    assert_eq!(path_code(&path, None), "taken", "an incident that is met for the first time");
}

#[test]
fn p004_a_grant_of_the_path_is_not_validly_signed() {
    let (world, mut run) = grant_run();
    *run.last_mut().unwrap() ^= 1;
    let path = GrantPath::to_bytes(&world.founding, &[run]);
    let error = GrantPath::read(&path, None).unwrap_err().to_string();
    assert!(error.starts_with("P-004") && error.contains("E-005"), "{error}");
}

#[test]
fn p005_the_grants_of_the_path_do_not_stand_on_each_other() {
    let (mut world, run) = grant_run();
    let incident = world.incident;
    let second = world.admit(Role::Clinician).grant;
    let control = world.root.log(&incident, CONTROL, Lane::Safety).clone();
    let at = control.entries.iter().position(|entry| entry.id == second).unwrap();
    let by_the_root = control.run(at, at + 1);
    // The member grants on its own grant: that is a path of two.
    let granted = granting(&mut world);
    let (first, of_the_root) = (world.authors[0].grant, world.root.grant);
    let [member, root] =
        [&world.authors[0].device, &world.root.device].map(|d| DeviceSecret::from_secret(&d.to_secret()));
    let by_the_member = alone(&mut world, &member, first, &granted);
    let on_another_grant = alone(&mut world, &member, second, &granted);
    let root_on_the_grant = alone(&mut world, &root, first, &granted);
    let root_on_nothing = alone(&mut world, &root, second, &granted);
    assert_eq!(of_the_root.as_bytes(), incident.as_bytes());
    let not_a_grant = alone(&mut world, &member, first, &Control::Bar { devices: Vec::new() });
    for (runs, expected, what) in [
        (vec![run.clone(), by_the_member.clone()], "taken", "two grants, one on the other"),
        (vec![run.clone(), by_the_root.clone()], "P-005", "the second was made by the root"),
        (vec![by_the_member.clone()], "P-005", "the first is no root's"),
        (vec![by_the_root, by_the_member.clone()], "P-005", "another holder in between"),
        (vec![run.clone(), on_another_grant], "P-005", "the holder's, but on another grant"),
        (vec![run.clone(), root_on_the_grant], "P-005", "on the grant, but not its holder's"),
        (vec![root_on_nothing], "P-005", "a root's, but not on the incident"),
        (vec![run.clone(), not_a_grant], "P-005", "no grant"),
        (vec![run.clone(), run.clone()], "P-005", "one grant twice"),
        (vec![control.run(0, 1)], "P-005", "an incarnation of the root"),
        (vec![control.run(at - 1, at + 1)], "P-005", "two entries in one run"),
    ] {
        let path = GrantPath::to_bytes(&world.founding, &runs);
        assert_eq!(path_code(&path, Some(&world.incident)), expected, "{what}");
    }
}

/// A grant for a new device, of no rights.
fn granting(world: &mut World) -> Control {
    Control::Grant(Box::new(Grant {
        device: DeviceSecret::random(&mut world.host).public(),
        person: None,
        organisation: None,
        role: "clinician".to_owned(),
        rights: RightsByScope::default(),
        history: true,
        until_ms: None,
        grants: 0,
        compartments: 0,
        lifts: Vec::new(),
    }))
}

/// The run of a control entry of a device that stands on a grant, alone in a log of a new incarnation.
fn alone(world: &mut World, device: &DeviceSecret, grant: EntryId, control: &Control) -> Vec<u8> {
    let incarnation = Incarnation::new(random(&mut world.host));
    let name = LogName::new(device.public(), incarnation, CONTROL, Lane::Safety);
    let mut log = WrittenLog { name, log: name.id(&world.incident), entries: Vec::new() };
    let body = ControlBody { commit: CommitId::ZERO, hlc: Hlc::from_bits(1 << 16), control: control.clone() };
    let (signing, ground) = (device.signing.secret(), ground(grant, KeyId::ZERO));
    append(&mut log, &signing, ground, Nonce::ZERO, body.to_bytes());
    log.run(0, 1)
}

// W: proofs of forks.

/// A log of three notes that was continued in two ways, by three entries each.
fn forked() -> (World, [WrittenLog; 2]) {
    let mut world = clinic();
    (0..3).for_each(|_| say(&mut world, CompartmentKind::Clinical, Lane::Routine, &[note()]));
    let forked = world.fork(0, (CompartmentKind::Clinical, Lane::Routine), 3, (2, 3), &[note()]);
    (world, forked.try_into().unwrap())
}

fn proof_code(bytes: &[u8]) -> String {
    match Proof::read_file(bytes) {
        Ok(_) => "taken".to_owned(),
        Err(error) => {
            assert!(error.to_string().starts_with(error.code()));
            error.code().to_owned()
        }
    }
}

/// A file of these chains as they are.
fn proof_of(incident: &IncidentId, chains: &[&[u8]]) -> Vec<u8> {
    let mut to = [&b"DAYBOOK FORK\x01\0\x01"[..], incident.as_bytes(), &[u8::try_from(chains.len()).unwrap()]].concat();
    for chain in chains {
        to.extend(u32::try_from(chain.len()).unwrap().to_le_bytes());
        to.extend_from_slice(chain);
    }
    to
}

/// A proof of the fork, with its chains in the order of the format.
fn two_chains() -> (World, Vec<u8>, [Vec<u8>; 2]) {
    let (world, [one, two]) = forked();
    let mut chains = [one, two].map(|log| (log.entries[3].id, log.chain(3)));
    chains.sort_unstable();
    let chains = chains.map(|(_, chain)| chain);
    let file = proof_of(&world.incident, &[&chains[0], &chains[1]]);
    let proof = Proof::of_chains(&world.incident, &[chains[1].clone(), chains[0].clone()]).unwrap();
    assert_eq!(proof.to_file(), file);
    let (device, log) = (world.authors[0].device.public().device_id(), log_of(&world, Lane::Routine).log);
    assert_eq!((proof.device(), proof.entries(), proof.heads()), (device, 6, 2));
    assert_eq!(proof.shown(), Shown::Forks { log, branches: 2, lowest: 4 });
    assert!(!proof.is_flood());
    (world, file, chains)
}

#[test]
fn w001_proof_is_cut_off_or_its_layout_is_wrong() {
    let (world, file, [one, two]) = two_chains();
    assert_eq!(proof_code(&file), "taken");
    for length in 0..file.len() {
        // A cut within a chain leaves its length, which then is more than there is.
        assert_eq!(proof_code(&file[..length]), "W-001", "cut after {length} bytes");
    }
    assert_eq!(proof_code(&[&file[..], &[0]].concat()), "W-001");
    assert_eq!(proof_code(b"DAYBOOK LOG\0 and so on"), "W-001");
    let mut other_kind = file.clone();
    other_kind[14] = 3;
    assert_eq!(proof_code(&other_kind), "W-001");
    for (chains, what) in [
        (vec![&two[..], &one], "out of order"),
        (vec![&one[..], &one], "one chain twice"),
        (vec![&one[..]; 17], "too many chains"),
    ] {
        assert_eq!(proof_code(&proof_of(&world.incident, &chains)), "W-001", "{what}");
    }
    let (mut world, [log, _]) = forked();
    let with_bodies = [log.run(3, 6), log_of(&world, Lane::Routine).run(3, 6)];
    let mut sorted =
        [(log.entries[3].id, &with_bodies[0]), (log_of(&world, Lane::Routine).entries[3].id, &with_bodies[1])];
    sorted.sort_unstable();
    let file = proof_of(&world.incident, &[sorted[0].1, sorted[1].1]);
    assert_eq!(proof_code(&file), "W-001", "chains with bodies");
    let long = world.fork(0, (CompartmentKind::Clinical, Lane::Routine), 3, (1, 70), &[note()]).remove(0);
    let longer = run_of(&long, &long.entries[3..], |at| long.entries[at + 3].seq.is_multiple_of(64) || at == 69);
    assert!(Run::read(&longer).is_ok());
    assert_eq!(proof_code(&proof_of(&world.incident, &[&longer, &longer])), "W-001", "past the first signed head");
    let ten = world.fork(0, (CompartmentKind::Clinical, Lane::Routine), 3, (10, 1), &[note()]);
    let chains: Vec<Vec<u8>> = ten.iter().map(|log| log.chain(3)).collect();
    assert!(Proof::of_chains(&world.incident, &chains[..9]).unwrap().is_flood());
    assert_eq!(Proof::of_chains(&world.incident, &chains).unwrap_err().code(), "W-001", "ten branches");
    assert_eq!(Proof::read(&vec![0; PROOF_BYTES_MAX + 1]).unwrap_err().code(), "W-001");
}

#[test]
fn w002_proof_is_of_another_version() {
    let (_, mut file, _) = two_chains();
    file[12] = 2;
    assert_eq!(proof_code(&file), "W-002");
}

#[test]
fn w003_a_chain_of_the_proof_is_not_validly_signed() {
    let (_, file, [one, two]) = two_chains();
    let error = |file: &[u8]| Proof::read_file(file).unwrap_err().to_string();
    let mut flipped = file.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert!(error(&flipped).starts_with("W-003") && error(&flipped).contains("E-005"), "{}", error(&flipped));
    let stranger = World::new(12, 1, Role::Clinician);
    assert_eq!(proof_code(&proof_of(&stranger.incident, &[&one, &two])), "W-003", "of another incident");
    // Every byte of a header is under the signature: grant, nonce, length and hash of the body.
    let second = 15 + 32 + 1 + 4 + one.len() + 4;
    for at in [FLAGS_AT + 1, FLAGS_AT + 1 + 96, FLAGS_AT + 1 + 96 + 24 + 4] {
        let mut changed = file.clone();
        changed[second + at] ^= 1;
        assert_eq!(proof_code(&changed), "W-003", "byte {at} of a chain");
    }
    let (world, heads) = incarnations(65);
    let proof = Proof::of_incarnations(&world.incident, &heads).unwrap();
    assert!(proof.is_flood() && proof.shown() == Shown::Incarnations && proof.heads() == 65);
    let mut file = proof.to_file();
    assert_eq!(proof_code(&file), "taken");
    *file.last_mut().unwrap() ^= 1;
    assert_eq!(proof_code(&file), "W-003", "a head that nobody signed");
    assert_eq!(Proof::of_incarnations(&world.incident, &heads[1..]).unwrap_err().code(), "W-001", "64 are allowed");
    let mut twice = heads.clone();
    twice[0] = twice[1];
    assert_eq!(Proof::of_incarnations(&world.incident, &twice).unwrap_err().code(), "W-001", "one incarnation twice");
}

/// Logs of a clinician in as many incarnations, a note in each.
fn lives(count: usize) -> (World, Vec<WrittenLog>) {
    let mut world = clinic();
    let mut logs = Vec::new();
    for _ in 0..count {
        let author = &mut world.authors[0];
        author.incarnation = Incarnation::new(random(&mut world.host));
        author.logs.clear();
        say(&mut world, CompartmentKind::Clinical, Lane::Routine, &[note()]);
        logs.push(log_of(&world, Lane::Routine));
    }
    (world, logs)
}

/// Their signed heads.
fn incarnations(count: usize) -> (World, Vec<HeadOf>) {
    let (world, logs) = lives(count);
    let head = |log: &WrittenLog| {
        let Written { seq, id, signature, .. } = log.entries[0].clone();
        HeadOf { name: log.name, seq, id, signature }
    };
    let heads = logs.iter().map(head).collect();
    (world, heads)
}

#[test]
fn w004_the_chains_of_the_proof_do_not_contradict_each_other() {
    let (mut world, [log, _]) = forked();
    let (start, later) = (log.chain(0), log.chain(4));
    say(&mut world, CompartmentKind::Clinical, Lane::Safety, &[edit()]);
    let other_log = log_of(&world, Lane::Safety).chain(0);
    let mut of_two_logs = [(log.entries[0].id, &start), (log_of(&world, Lane::Safety).entries[0].id, &other_log)];
    of_two_logs.sort_unstable();
    for (chains, what) in [
        (vec![], "nothing"),
        (vec![&start[..]], "one chain"),
        (vec![&start[..], &log.chain(3)], "two pieces of one branch"),
        (vec![&log.chain(3)[..], &later], "one entry after the other"),
        (of_two_logs.map(|(_, chain)| &chain[..]).to_vec(), "two logs"),
    ] {
        assert_eq!(proof_code(&proof_of(&world.incident, &chains)), "W-004", "{what}");
    }
}

#[test]
fn w005_the_proof_is_not_one_of_a_flood_here() {
    let (_, file, _) = two_chains();
    let of_another = right_flood(&mut clinic());
    for (proof, incident) in [(&file[14..], None), (of_another.bytes(), Some(World::new(12, 1, Role::Clinician)))] {
        let world = incident.unwrap_or_else(clinic);
        let mut session = pair::session(Side::Called, world.credentials(None), 1);
        let mut book = MemoryShelf::new(world.incident);
        let path = world.path(Some(0));
        let mut attacker = Attacker::introduced(&world, &world.authors[0].device, &path, &mut session, &mut book);
        attacker.say(kind::FLOOD, proof, &mut session, &mut book);
        assert_eq!(attacker::ended(&mut session).unwrap().code(), "W-005");
    }
    // In a file it is passed over and counted.
    let mut world = clinic();
    let (_folder, mut book) = reader(&mut world);
    let flood = right_flood(&mut world);
    let frames = [(3, file[14..].to_vec()), (3, flood.bytes().to_vec()), (3, flood.bytes()[1..].to_vec())];
    let file = file_of(&world.founding, &frames);
    let report = book.ingest(&mut file.as_slice(), &mut |_| {}).unwrap();
    assert_eq!(report.refused, [("W-001".to_owned(), 1), ("W-005".to_owned(), 1)]);
    assert_eq!(book.floods().unwrap().len(), 1);
}

/// A proof that the clinician of a world forked a log nine times.
fn right_flood(world: &mut World) -> Proof {
    let forks = world.fork(0, (CompartmentKind::Clinical, Lane::Routine), 0, (9, 1), &[note()]);
    let chains: Vec<Vec<u8>> = forks.iter().map(|log| log.chain(0)).collect();
    Proof::of_chains(&world.incident, &chains).unwrap()
}

// I: resources that an import skips.

/// A book in memory that holds nothing, whatever is written to it; or that says to have imported one record.
#[derive(Default)]
struct Blank {
    before: Option<PreviousImport>,
}

impl ImportBook for Blank {
    type Error = std::io::Error;

    fn incident(&self) -> IncidentId {
        IncidentId::new([1; 32])
    }

    fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        derive(Label::Import, parts)
    }

    fn previous(&mut self, _: ImportId) -> Result<Option<PreviousImport>, Self::Error> {
        Ok(self.before.clone())
    }

    fn fact_contents(&mut self, _: ImportId) -> Result<Vec<Vec<u8>>, Self::Error> {
        Ok(Vec::new())
    }

    fn holders(&mut self, _: &str, _: &str) -> Result<Vec<Holder>, Self::Error> {
        Ok(Vec::new())
    }

    fn observation_before(
        &mut self,
        _: PatientId,
        _: &str,
        _: &str,
        _: &EffectiveTime,
    ) -> Result<Option<FactId>, Self::Error> {
        Ok(None)
    }

    fn commit(&mut self, _: Vec<Vec<u8>>) -> Result<(), Self::Error> {
        Ok(())
    }
}

fn import_into(book: &mut Blank, source: Source<'_>) -> ImportReport {
    let options = ImportOptions { source: Some("urn:test".to_owned()) };
    import(book, vec![source], &options, &mut |_| {}).unwrap()
}

/// Imports a line between a good patient and a good allergy, and says with which code it was skipped.
fn skipped_line(line: &str) -> String {
    let good = json!({"resourceType": "AllergyIntolerance", "id": "a", "patient": {"reference": "Patient/p"},
        "code": {"text": "nuts"}});
    let text = format!("{}\n{line}\n{good}\n", patient(&json!({})));
    let report = import_into(&mut Blank::default(), Source::reopenable("f", || Ok(text.as_bytes())));
    assert_eq!(report.bad_total(), u64::from(!report.bad.is_empty()), "one at most");
    assert_eq!(report.types["AllergyIntolerance"].kept, 1, "the others are taken");
    let Some(bad) = report.bad.first() else { return "taken".to_owned() };
    assert_eq!(bad.line, 2);
    assert!(bad.to_string().contains(bad.reason.code()));
    bad.reason.code().to_owned()
}

fn skipped(resource: &Value) -> String {
    skipped_line(&resource.to_string())
}

/// The patient `p` with some elements more.
fn patient(more: &Value) -> Value {
    with(json!({"resourceType": "Patient", "id": "p", "gender": "female"}), more)
}

/// A weight of the patient `p` with some elements more.
fn weight(more: &Value) -> Value {
    let weight = json!({"resourceType": "Observation", "id": "o", "status": "final",
        "subject": {"reference": "Patient/p"}, "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "valueQuantity": {"value": 70.5, "unit": "kg"}});
    with(weight, more)
}

fn with(mut resource: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        resource[name] = value.clone();
    }
    resource
}

#[test]
fn i001_resource_is_not_json() {
    assert_eq!(skipped_line("not json"), "I-001");
    assert_eq!(skipped_line(r#"{"resourceType":"Patient","id":"q","a":01}"#), "I-001");
    assert_eq!(skipped(&patient(&json!({"id": "q"}))), "taken");
}

#[test]
fn i002_resource_ends_before_it_is_complete() {
    assert_eq!(skipped_line(r#"{"resourceType":"Pati"#), "I-002");
}

#[test]
fn i003_resource_is_longer_than_8_mib() {
    assert_eq!(skipped(&patient(&json!({"id": "q", "x": "x".repeat(8 * 1024 * 1024)}))), "I-003");
}

#[test]
fn i004_resource_is_nested_too_deeply() {
    let nested = |levels: usize| {
        format!(r#"{{"resourceType":"Patient","id":"q","x":{}1{}}}"#, "[".repeat(levels), "]".repeat(levels))
    };
    assert_eq!(skipped_line(&nested(64)), "I-004");
    assert_eq!(skipped_line(&nested(63)), "taken");
}

#[test]
fn i005_resource_holds_too_many_values() {
    assert_eq!(skipped(&patient(&json!({"id": "q", "x": vec![1; 65_536]}))), "I-005");
}

#[test]
fn i006_resource_is_not_fhir() {
    assert_eq!(skipped(&json!({"id": "q"})), "I-006");
}

#[test]
fn i007_resource_has_no_id_that_fhir_allows() {
    assert_eq!(skipped(&json!({"resourceType": "Patient", "gender": "male"})), "I-007");
    assert_eq!(skipped(&patient(&json!({"id": "Jane Doe"}))), "I-007");
}

#[test]
fn i008_element_has_another_json_type() {
    assert_eq!(skipped(&patient(&json!({"id": "q", "birthDate": 1950}))), "I-008");
}

#[test]
fn i009_required_element_is_missing() {
    let nameless = json!({"resourceType": "AllergyIntolerance", "id": "b", "patient": {"reference": "Patient/p"}});
    assert_eq!(skipped(&nameless), "I-009");
}

#[test]
fn i010_date_or_time_does_not_exist() {
    assert_eq!(skipped(&patient(&json!({"id": "q", "birthDate": "1950-02-30"}))), "I-010");
    assert_eq!(skipped(&weight(&json!({"effectiveDateTime": "2020-13-01"}))), "I-010");
}

#[test]
fn i011_code_is_not_in_the_list_that_fhir_requires() {
    assert_eq!(skipped(&patient(&json!({"id": "q", "gender": "f"}))), "I-011");
}

#[test]
fn i012_amount_must_be_more_than_zero() {
    assert_eq!(skipped(&weight(&json!({"valueQuantity": {"value": 0, "unit": "kg"}}))), "I-012");
    assert_eq!(skipped(&weight(&json!({"valueQuantity": {"value": -1, "unit": "kg"}}))), "I-012");
    assert_eq!(skipped(&weight(&json!({}))), "taken");
}

#[test]
fn i013_amount_is_too_large() {
    assert_eq!(skipped(&weight(&json!({"valueQuantity": {"value": 1_000_001, "unit": "kg"}}))), "I-013");
}

#[test]
fn i014_amount_has_more_than_six_decimal_places() {
    assert_eq!(skipped(&weight(&json!({"valueQuantity": {"value": 0.000_000_1, "unit": "kg"}}))), "I-014");
}

#[test]
fn i015_text_is_longer_than_8_kib() {
    assert_eq!(skipped(&patient(&json!({"id": "q", "name": [{"family": "x".repeat(8_193)}]}))), "I-015");
}

#[test]
fn i016_more_elements_than_a_record_or_fact_can_hold() {
    assert_eq!(skipped(&patient(&json!({"id": "q", "name": [{"given": vec!["a"; 9]}]}))), "I-016");
}

#[test]
fn i017_too_large_for_one_entry() {
    let name = json!([{"text": "x".repeat(8_000), "given": vec!["y".repeat(8_000); 8]}]);
    assert_eq!(skipped(&patient(&json!({"id": "q", "name": name}))), "I-017");
}

#[test]
fn i018_modifier_that_is_not_understood() {
    assert_eq!(skipped(&patient(&json!({"id": "q", "modifierExtension": [{"url": "x"}]}))), "I-018");
}

#[test]
fn i019_reference_cannot_be_followed() {
    assert_eq!(skipped(&weight(&json!({"subject": {"reference": "p"}}))), "I-019");
}

#[test]
fn i020_its_patient_is_not_here() {
    assert_eq!(skipped(&weight(&json!({"subject": {"reference": "Patient/nobody"}}))), "I-020");
}

#[test]
fn i021_source_could_not_be_read_on() {
    let gone = Source::reopenable("gone", || Err::<&[u8], _>(std::io::ErrorKind::NotFound.into()));
    let report = import_into(&mut Blank::default(), gone);
    let codes: Vec<&str> = report.bad.iter().map(|bad| bad.reason.code()).collect();
    assert_eq!(codes, ["I-021"]);
}

#[test]
fn i022_does_not_fit_the_format_of_the_book() {
    let text = format!("{}\n", patient(&json!({})));
    // A register that no version writes: withdrawing it would make an operation that nobody can read.
    let registers = vec![(Field::Telecom, vec![0x00], vec![0x60])];
    let before = PreviousImport { patient: PATIENT, heads: Vec::new(), registers };
    let mut book = Blank { before: Some(before) };
    let report = import_into(&mut book, Source::reopenable("f", || Ok(text.as_bytes())));
    let codes: Vec<&str> = report.bad.iter().map(|bad| bad.reason.code()).collect();
    assert_eq!(codes, ["I-022"]);
}

// Sessions.

/// A session of the root that is called, a peer's keys and path, and an empty book.
fn called() -> (World, MemoryShelf, Session) {
    let world = World::new(21, 2, Role::Clinician);
    let mut book = MemoryShelf::new(world.incident);
    book.fill(&world.control_runs());
    let session = pair::session(Side::Called, world.credentials(None), 3);
    (world, book, session)
}

/// As [`called`], with the first author introduced.
fn met() -> (World, MemoryShelf, Session, Attacker) {
    let (world, mut book, mut session) = called();
    let (device, path) = (&world.authors[0].device, world.path(Some(0)));
    let attacker = Attacker::introduced(&world, device, &path, &mut session, &mut book);
    assert!(session.peer().is_some());
    (world, book, session, attacker)
}

fn ends_with(session: &mut Session, rule: SessionRule, code: &str) {
    let reason = attacker::ended(session);
    assert_eq!((reason.as_ref().map(Reason::code), &reason), (Some(code), &Some(Reason::Rule(rule))));
    assert!(rule.to_string().starts_with(code));
}

#[test]
fn s001_the_hello_does_not_know_the_admission_secret() {
    let (world, mut book, mut session) = called();
    let mut hello = attacker::hello(&world, &world.admission);
    hello[47] ^= 1;
    session.receive(&hello, 0, &mut book);
    ends_with(&mut session, SessionRule::Hello, "S-001");
    assert!(!session.has_output());
}

#[test]
fn s002_a_message_was_changed() {
    let (_, mut book, mut session, mut peer) = met();
    let mut frame = peer.sealed(kind::PING, &[]);
    frame[5] ^= 1;
    session.receive(&frame, 0, &mut book);
    ends_with(&mut session, SessionRule::Noise, "S-002");
}

#[test]
fn s003_a_frame_is_empty_or_too_long() {
    for length in [0_u16, 16, 16 * 1024 + 17, u16::MAX] {
        let (_, mut book, mut session, _) = met();
        session.receive(&length.to_le_bytes(), 0, &mut book);
        ends_with(&mut session, SessionRule::FrameLength, "S-003");
    }
}

#[test]
fn s004_the_layout_of_a_frame_is_unknown() {
    let cases = [
        (99, vec![]),
        (kind::PING, vec![1]),
        (kind::ROOTS, vec![0; 31]),
        (kind::ASK, vec![1, 1, 1, 0, 0, 0, 0, 0, 0]),
        (kind::HEADS, vec![2]),
        (kind::ACK, vec![0; 7]),
        (kind::DECLINE, [&[0; 32][..], b"E+003"].concat()),
        (kind::WANT, [&[0; 32][..], &[2, 0, 0, 0, 1, 0, 0, 0]].concat()),
        (kind::BYE, vec![1]),
    ];
    for (number, payload) in cases {
        let (_, mut book, mut session, mut peer) = met();
        peer.say(number, &payload, &mut session, &mut book);
        ends_with(&mut session, SessionRule::Frame, "S-004");
    }
}

#[test]
fn s005_the_grant_path_belongs_to_another_device() {
    let (world, mut book, _) = called();
    for (device, path) in
        [(&world.authors[0].device, Some(1)), (&world.authors[0].device, None), (&world.root.device, Some(0))]
    {
        let mut session = pair::session(Side::Called, world.credentials(None), 3);
        Attacker::introduced(&world, device, &world.path(path), &mut session, &mut book);
        ends_with(&mut session, SessionRule::OtherDevice, "S-005");
    }
}

#[test]
fn s006_the_device_is_barred() {
    let (world, mut book, mut session) = called();
    book.barred.insert(world.authors[0].grant);
    let (device, path) = (&world.authors[0].device, world.path(Some(0)));
    Attacker::introduced(&world, device, &path, &mut session, &mut book);
    ends_with(&mut session, SessionRule::Barred, "S-006");
}

#[test]
fn s007_a_grant_of_the_path_was_given_by_one_who_may_not() {
    let (mut world, mut book, mut session) = called();
    // A clinician grants: validly signed, and without any right to.
    let device = DeviceSecret::random(&mut world.host);
    let grant = Control::Grant(Box::new(Grant {
        device: device.public(),
        person: None,
        organisation: None,
        role: "clinician".to_owned(),
        rights: Role::Clinician.rights(),
        history: true,
        until_ms: None,
        grants: 0,
        compartments: 0,
        lifts: Vec::new(),
    }));
    let body = ControlBody { commit: CommitId::new(random(&mut world.host)), hlc: Hlc::default(), control: grant };
    let incident = world.incident;
    world.authors[0].append(&incident, (CONTROL, Lane::Safety), &body.to_bytes(), None);
    let runs = [world.run_of_grant(world.authors[0].grant), world.authors[0].logs[&(CONTROL, Lane::Safety)].run(0, 1)];
    let path = GrantPath::to_bytes(&world.founding, &runs);
    Attacker::introduced(&world, &device, &path, &mut session, &mut book);
    ends_with(&mut session, SessionRule::MayNotGrant, "S-007");
}

#[test]
fn s008_a_frame_comes_out_of_turn() {
    let (world, mut book, mut session) = called();
    let mut peer = Attacker::call(&world, &world.authors[0].device, &mut session, &mut book);
    peer.say(kind::ROOTS, &[0; 32], &mut session, &mut book);
    ends_with(&mut session, SessionRule::Turn, "S-008");
    let path = world.path(Some(0));
    for (number, payload) in [(kind::PATH, &path[..]), (kind::DONE, &[]), (kind::HEADS, &[1]), (kind::LEAF, &[0; 9])] {
        let (_, mut book, mut session, mut peer) = met();
        peer.say(number, payload, &mut session, &mut book);
        ends_with(&mut session, SessionRule::Turn, "S-008");
    }
}

#[test]
fn s009_the_other_side_is_silent() {
    let (_, mut book, mut session) = called();
    session.handle_timeout(19_999, &mut book);
    assert!(!session.is_ended());
    session.handle_timeout(20_000, &mut book);
    ends_with(&mut session, SessionRule::Slow, "S-009");
}

#[test]
fn s010_the_other_side_brings_nothing() {
    let (_, mut book, mut session, mut peer) = met();
    let sent = (0..20_000).take_while(|_| {
        peer.say(kind::PING, &[], &mut session, &mut book);
        !session.is_ended()
    });
    assert_eq!(sent.count(), 16_383);
    ends_with(&mut session, SessionRule::Spent, "S-010");
}

#[test]
fn s011_the_other_side_claims_too_much() {
    let (_, mut book, mut session, mut peer) = met();
    peer.say(kind::ACK, &1_u64.to_le_bytes(), &mut session, &mut book);
    ends_with(&mut session, SessionRule::Claim, "S-011");
    let (_, mut book, mut session, mut peer) = met();
    let totals = [&(1_u64 << 63).to_le_bytes()[..], &1_u32.to_le_bytes()].concat();
    peer.say(kind::TOTALS, &totals, &mut session, &mut book);
    ends_with(&mut session, SessionRule::Claim, "S-011");
}

#[test]
fn s012_the_books_do_not_come_to_agree() {
    let (_, mut book, mut session, mut peer) = met();
    let mut rounds = 0;
    while !session.is_ended() {
        rounds += 1;
        assert!(rounds < 1_000);
        let totals = [&1_u64.to_le_bytes()[..], &1_u32.to_le_bytes()].concat();
        peer.hear(&mut session, &mut book);
        for (number, payload) in
            [(kind::ROOTS, &[7; 32][..]), (kind::HEADS, &[1]), (kind::TOTALS, &totals), (kind::DONE, &[])]
        {
            peer.say(number, payload, &mut session, &mut book);
        }
        peer.hear(&mut session, &mut book);
    }
    assert_eq!(rounds, 64);
    ends_with(&mut session, SessionRule::Rounds, "S-012");
}

#[test]
fn s013_the_other_side_declines_or_wants_too_much() {
    let (_, mut book, mut session, mut peer) = met();
    for log in 0..4_097_u32 {
        let decline = [&log.to_le_bytes()[..], &[0; 28], b"E-010"].concat();
        peer.say(kind::DECLINE, &decline, &mut session, &mut book);
        assert_eq!(session.is_ended(), log == 4_096, "{log}");
        while !session.is_ended() && session.poll_event().is_some() {}
    }
    ends_with(&mut session, SessionRule::TooMuch, "S-013");
    let (_, mut book, mut session, mut peer) = met();
    let want = [&[5; 32][..], &[1, 0, 0, 0, 9, 0, 0, 0]].concat();
    (0..65).for_each(|_| peer.say(kind::WANT, &want, &mut session, &mut book));
    ends_with(&mut session, SessionRule::TooMuch, "S-013");
}

#[test]
fn s014_the_shift_of_the_other_side_is_over() {
    let (world, mut book, mut session) = called();
    book.off_duty.insert(world.authors[0].grant);
    let (device, path) = (&world.authors[0].device, world.path(Some(0)));
    Attacker::introduced(&world, device, &path, &mut session, &mut book);
    ends_with(&mut session, SessionRule::OffDuty, "S-014");
}

// The table.

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Rows of the tables in `docs/rules.md`: code and test.
fn table() -> Vec<(String, String)> {
    let page = std::fs::read_to_string(root().join("docs/rules.md")).unwrap();
    let mut rows = Vec::new();
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if codes(cells[0]).len() == 1 {
            assert_eq!(cells.len(), 5, "{line}");
            assert!(cells.iter().all(|cell| !cell.is_empty()), "{line}");
            rows.push((cells[0].to_owned(), cells[4].trim_matches('`').to_owned()));
        }
    }
    rows
}

/// Everything in a text that has the shape of a rule code.
fn codes(text: &str) -> BTreeSet<String> {
    let bytes = text.as_bytes();
    let is_code = |window: &&[u8]| {
        window[0].is_ascii_uppercase() && window[1..3] == *b"-0" && window[3..].iter().all(u8::is_ascii_digit)
    };
    let alone = |at: usize| {
        let beside = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
        !beside(at.checked_sub(1)) && !beside(Some(at + 5))
    };
    let windows = bytes.windows(5).enumerate().filter(|(at, window)| is_code(window) && alone(*at));
    windows.map(|(_, window)| String::from_utf8(window.to_vec()).unwrap()).collect()
}

/// All Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_rule_code_is_in_the_table_and_has_a_test_of_its_name() {
    let rows = table();
    let listed: BTreeSet<String> = rows.iter().map(|(code, _)| code.clone()).collect();
    assert!(rows.len() > 40, "the table was read");
    let tests = std::fs::read_to_string(root().join("tests/tests/rules.rs")).unwrap();
    for (code, test) in &rows {
        assert!(test.starts_with(&format!("{}_", code.to_lowercase().replace('-', ""))), "{code}: {test}");
        assert_eq!(tests.matches(&format!("#[test]\nfn {test}() {{")).count(), 1, "{code}: there is no test {test}");
    }
    let mut in_sources = BTreeSet::new();
    for path in sources(&root().join("core/src")) {
        for code in codes(&std::fs::read_to_string(&path).unwrap()) {
            assert!(listed.contains(&code), "{code} of {} is not in docs/rules.md", path.display());
            in_sources.insert(code);
        }
    }
    assert_eq!(listed, in_sources, "docs/rules.md lists what no source has");
    let with_tests: BTreeSet<String> = rows.iter().map(|(_, test)| test.clone()).collect();
    let names = tests.split("#[test]\nfn ").skip(1).filter_map(|after| after.split_once("() {").map(|(name, _)| name));
    let bears_a_code = |name: &&str| {
        let (letter, digits) = name.split_at(1);
        "efqxpwis".contains(letter) && digits.get(..4).is_some_and(|d| d.ends_with('_') && d.starts_with('0'))
    };
    let unlisted: Vec<&str> = names.filter(bears_a_code).filter(|name| !with_tests.contains(*name)).collect();
    assert!(unlisted.is_empty(), "tests that no row names: {unlisted:?}");
}

#[test]
fn one_code_says_one_thing() {
    let mut seen = BTreeSet::new();
    let twice: Vec<String> =
        table().into_iter().map(|(code, _)| code).filter(|code| !seen.insert(code.clone())).collect();
    assert!(twice.is_empty(), "these codes stand for two rules each: {twice:?}");
}

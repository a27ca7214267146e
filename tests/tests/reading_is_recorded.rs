//! Whoever is shown a patient's record is noted first: who, when and for what. The notes cost no sync of the disk
//! and no commit of their own, survive a killed process, travel with the next sync, and are told to administrators
//! and auditors alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use daybook_core::clock::Host;
use daybook_core::crypto::{DatabaseKey, DeviceSecret, Secret};
use daybook_core::daybook::{Daybook, Error, Purpose, ReadingView};
use daybook_core::exchange::csv::Table;
use daybook_core::id::{Lane, PatientId};
use daybook_core::record::{Access, Identifier, Operation, Reading, Setting};
use daybook_core::roster::{CompartmentKind, Role};
use daybook_core::sync::{Limits, Side};
use daybook_tests::host::{START_MS, SeededHost};
use daybook_tests::world::World;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const MINUTE: i64 = 60_000;

/// A host whose clock the test moves.
struct Clocked {
    rng: SeededHost,
    now_ms: Arc<AtomicI64>,
}

impl Host for Clocked {
    fn now_ms(&mut self) -> i64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    fn offset_minutes(&mut self) -> i16 {
        60
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        self.rng.fill(bytes);
    }
}

/// A book with its clock.
struct Desk {
    book: Daybook,
    now_ms: Arc<AtomicI64>,
    _folder: Option<tempfile::TempDir>,
}

fn key() -> DatabaseKey {
    DatabaseKey::new(Secret::new([1; 32]), Secret::new([2; 16]))
}

fn clocked(seed: u64) -> (Box<Clocked>, Arc<AtomicI64>) {
    let now_ms = Arc::new(AtomicI64::new(START_MS));
    (Box::new(Clocked { rng: SeededHost::new(seed), now_ms: now_ms.clone() }), now_ms)
}

impl Desk {
    fn of(world: &World, device: &DeviceSecret, seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (host, now_ms) = clocked(seed);
        let member = world.membership(device);
        let mut book = Daybook::join_with_key(&folder.path().join("book"), &key(), &member, host).unwrap();
        book.take_runs(&world.control_runs()).unwrap();
        book.post_all().unwrap();
        Self { book, now_ms, _folder: Some(folder) }
    }

    fn pass(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::Relaxed);
    }

    fn entries(&mut self) -> u64 {
        self.book.status().unwrap().entries.total
    }

    fn patient(&mut self, tag: &str) -> PatientId {
        let tag = Setting::Identifier(Identifier { system: "tag", value: tag }, Some(""));
        self.book.add_patient(&[tag]).unwrap().value
    }

    /// What goes to another device.
    fn log(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.book.export_log(&mut bytes).unwrap();
        bytes
    }

    fn takes(&mut self, log: &[u8]) {
        let report = self.book.ingest(&mut &log[..], &mut |_| {}).unwrap();
        assert!(report.refused.is_empty() && !report.cut_off, "{report:?}");
    }
}

/// A clinic: a clinician, an auditor, the root's own book.
fn clinic(clinician: Role) -> (World, Desk, Desk, Desk) {
    let mut world = World::new(5, 1, clinician);
    world.admit(Role::Auditor);
    let clinician = Desk::of(&world, &world.authors[0].device, 1);
    let auditor = Desk::of(&world, &world.authors[1].device, 2);
    let root = Desk::of(&world, &world.root.device, 3);
    (world, clinician, auditor, root)
}

/// Access, purpose, how often, how many records.
fn told(views: &[ReadingView]) -> Vec<(Access, Option<Purpose>, u32, u32)> {
    let told = |view: &ReadingView| {
        let Reading { access, purpose, times, records, .. } = view.reading;
        (access, purpose, times, records)
    };
    let mut all: Vec<_> = views.iter().map(told).collect();
    all.sort();
    all
}

#[test]
fn administrators_and_auditors_are_told_who_read_when_and_for_what_and_nobody_else() {
    for role in [Role::Clinician, Role::Dispenser] {
        let (world, mut clinician, mut auditor, mut root) = clinic(role);
        let patient = clinician.patient("T-1");
        let other = clinician.patient("T-2");
        clinician.pass(MINUTE);
        let read_ms = clinician.now_ms.load(Ordering::Relaxed);
        clinician.book.read_patient(patient, Purpose::Treatment).unwrap();
        clinician.book.read_patient(other, Purpose::Research).unwrap();
        clinician.book.find("T-", 20).unwrap();
        clinician.book.export_csv(Table::Patients, Some(Purpose::PublicHealth), Vec::new()).unwrap();
        assert!(matches!(clinician.book.readings(Some(patient), 10), Err(Error::NoRightToAudit)));
        let hidden: Vec<_> = clinician.book.log(None, 100).unwrap();
        let hidden: Vec<_> = hidden.iter().filter(|line| line.compartment == "audit").collect();
        assert!(!hidden.is_empty() && hidden.iter().all(|line| line.operations.is_empty() && line.hlc.is_none()));

        let log = clinician.log();
        for reader in [&mut auditor, &mut root] {
            reader.takes(&log);
            let views = reader.book.readings(Some(patient), 10).unwrap();
            let export = (Access::Export, Some(Purpose::PublicHealth), 1, 2);
            assert_eq!(told(&views), [(Access::Record, Some(Purpose::Treatment), 1, 0), export]);
            let view = views.iter().find(|view| view.reading.patient == Some(patient)).unwrap();
            assert_eq!(view.who.device, world.authors[0].device.public().device_id());
            assert_eq!((view.reading.at.ms, view.reading.at.offset_minutes, view.waiting), (read_ms, 60, false));
            let all = told(&reader.book.readings(None, 10).unwrap());
            assert_eq!(all.len(), 5, "two records, a search, the log, an export: {all:?}");
            assert!(all.contains(&(Access::List, None, 1, 2)));
            assert_eq!(reader.book.readings(None, 2).unwrap().len(), 2);
            let lines = reader.book.log(None, 100).unwrap();
            assert!(lines.iter().any(|line| line.operations.contains(&"read: record".to_owned())));
        }
        // Whoever holds the log and the keys makes the same of it, and anew.
        let digest = auditor.book.digest().unwrap();
        assert_eq!(root.book.digest().unwrap(), digest);
        auditor.book.rebuild(&mut |_, _| {}).unwrap();
        assert_eq!(auditor.book.digest().unwrap(), digest);
    }
}

#[test]
fn every_way_to_a_record_is_noted() {
    let (_, _, _, mut root) = clinic(Role::Clinician);
    let patient = root.patient("T-1");
    let note = daybook_core::record::Statement::Note { text: "sleeps" };
    let say = daybook_core::daybook::Say { statement: note, effective: None, targets: Vec::new(), reason: "" };
    let said = root.book.say(Some(patient), say).unwrap().value;
    let mut times = 0;
    let mut noted = |root: &mut Desk, what: &str| {
        // Each in a window of its own, so that each is one more.
        root.pass(16 * MINUTE);
        let now = root.book.readings(None, 1_000).unwrap().len();
        assert_eq!(now, times + 1, "{what}");
        times = now;
    };
    root.book.read_patient(patient, Purpose::Treatment).unwrap();
    noted(&mut root, "read_patient");
    root.book.history(patient, Purpose::Treatment, None).unwrap();
    noted(&mut root, "history");
    let entry = root.book.history(patient, Purpose::Treatment, None).unwrap()[0].entry.0.clone();
    noted(&mut root, "history again");
    root.book.chart_at(patient, Purpose::Treatment, &entry).unwrap();
    noted(&mut root, "chart_at");
    root.book.document(patient, Purpose::Treatment).unwrap();
    noted(&mut root, "document");
    root.book.log(Some((patient, Purpose::Treatment)), 10).unwrap();
    noted(&mut root, "log of a patient");
    root.book.log(None, 10).unwrap();
    noted(&mut root, "log");
    root.book.fact(&said.entry.0).unwrap();
    noted(&mut root, "fact");
    root.book.findings(true).unwrap();
    noted(&mut root, "findings");
    root.book.find("T-1", 10).unwrap();
    noted(&mut root, "find");
    root.book.export_csv(Table::Patients, None, Vec::new()).unwrap();
    noted(&mut root, "export_csv");
    let sink = daybook_core::exchange::fhir::export::Bundle::new(Vec::new()).unwrap();
    root.book.export_fhir(None, sink).unwrap();
    noted(&mut root, "export_fhir");
}

#[test]
fn readings_cost_no_entry_of_their_own_and_go_along_in_one() {
    let (_, mut clinician, mut auditor, _) = clinic(Role::Clinician);
    let patients: Vec<_> = (0..5).map(|n| clinician.patient(&format!("T-{n}"))).collect();
    let before = clinician.entries();
    for _ in 0..10 {
        for patient in &patients {
            clinician.book.read_patient(*patient, Purpose::Treatment).unwrap();
        }
    }
    clinician.patient("within the window");
    assert_eq!(clinician.entries(), before + 1, "fifty readings and one registration");
    clinician.pass(16 * MINUTE);
    clinician.patient("after the window");
    assert_eq!(clinician.entries(), before + 3, "one entry went along with the second registration");
    let log = clinician.log();
    assert_eq!(clinician.entries(), before + 3, "nothing was left to write");
    auditor.takes(&log);
    assert_eq!(
        told(&auditor.book.readings(None, 100).unwrap()),
        [(Access::Record, Some(Purpose::Treatment), 10, 0); 5]
    );
}

#[test]
fn many_readings_go_along_at_once_and_a_session_takes_all() {
    let (_, mut clinician, ..) = clinic(Role::Clinician);
    let patients: Vec<_> = (0..64).map(|n| clinician.patient(&format!("T-{n}"))).collect();
    let before = clinician.entries();
    for patient in &patients {
        clinician.book.read_patient(*patient, Purpose::Treatment).unwrap();
    }
    clinician.patient("one more");
    assert_eq!(clinician.entries(), before + 2, "64 notes are one entry");
    clinician.book.read_patient(patients[0], Purpose::Treatment).unwrap();
    assert_eq!(clinician.entries(), before + 2);
    clinician.book.session(Side::Called, Limits::default(), 0).unwrap();
    assert_eq!(clinician.entries(), before + 3, "a session carries what was read before it");
}

#[test]
fn a_reading_waits_an_hour_at_most_while_others_follow() {
    let (_, mut clinician, ..) = clinic(Role::Clinician);
    let patient = clinician.patient("T-1");
    let before = clinician.entries();
    clinician.book.read_patient(patient, Purpose::Treatment).unwrap();
    clinician.pass(59 * MINUTE);
    clinician.book.read_patient(patient, Purpose::Treatment).unwrap();
    assert_eq!(clinician.entries(), before);
    clinician.pass(17 * MINUTE);
    clinician.book.read_patient(patient, Purpose::Treatment).unwrap();
    assert_eq!(clinician.entries(), before + 1);
}

#[test]
fn a_killed_process_loses_no_reading() {
    let (_, mut clinician, mut auditor, _) = clinic(Role::Clinician);
    let patient = clinician.patient("T-1");
    clinician.book.read_patient(patient, Purpose::BreakGlass).unwrap();
    // What the disk holds at this moment, as a process that is killed now would leave it.
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(clinician.book.folder()).unwrap() {
        let file = file.unwrap().path();
        if !file.ends_with("book.db-shm") {
            std::fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
        }
    }
    let (host, now_ms) = clocked(9);
    let book = Daybook::open_with_key(folder.path(), &key(), host).unwrap();
    let mut left = Desk { book, now_ms, _folder: Some(folder) };
    let log = left.log();
    auditor.takes(&log);
    let views = auditor.book.readings(Some(patient), 10).unwrap();
    assert_eq!(told(&views), [(Access::Record, Some(Purpose::BreakGlass), 1, 0)]);
}

#[test]
fn what_cannot_be_written_waits_within_bounds_and_reading_goes_on() {
    // A logistician may write nothing in audit.
    let mut world = World::new(6, 1, Role::Logistician);
    world.admit(Role::Clinician);
    let patient = PatientId::new([0x42; 16]);
    let tag = Setting::Identifier(Identifier { system: "tag", value: "T-1" }, Some(""));
    let (field, (key, value)) = (tag.field(), tag.to_bytes());
    let registers = vec![daybook_core::record::Register { field, key: &key, value: &value }];
    let edit = daybook_core::record::Edit { patient, parents: Vec::new(), registers, import: None };
    world.write(1, CompartmentKind::Clinical, Lane::Safety, &[Operation::Edit(edit).to_bytes()], START_MS);
    let mut desk = Desk::of(&world, &world.authors[0].device, 1);
    let runs: Vec<_> = world.authors[1].logs.values().flat_map(|log| log.runs(64)).collect();
    desk.book.take_runs(&runs).unwrap();
    desk.book.post_all().unwrap();
    let before = desk.entries();
    for _ in 0..1_100 {
        desk.pass(16 * MINUTE);
        desk.book.read_patient(patient, Purpose::Treatment).unwrap();
    }
    assert_eq!(desk.entries(), before);
    assert_eq!(notes(desk.book.folder()), 1_024);
}

/// Notes that wait in a book.
fn notes(folder: &Path) -> usize {
    let store = daybook_core::store::Store::open(&folder.join("book.db"), &key()).unwrap();
    daybook_core::store::Store::values_of(store.read().unwrap(), "reading ", 10_000).unwrap().len()
}

#[test]
fn a_reading_that_its_author_may_not_write_waits_for_review() {
    let mut world = World::new(7, 1, Role::Logistician);
    world.admit(Role::Auditor);
    let at = daybook_core::clock::EffectiveTime::now(&mut world.host);
    let patient = Some(PatientId::new([0x42; 16]));
    let reading = Reading { patient, at, access: Access::Record, purpose: None, times: 1, records: 0 };
    let operation = Operation::Reading(reading).to_bytes();
    world.write(0, CompartmentKind::Audit, Lane::Routine, &[operation], START_MS);
    let mut auditor = Desk::of(&world, &world.authors[1].device, 1);
    let runs: Vec<_> = world.authors[0].logs.values().flat_map(|log| log.runs(64)).collect();
    auditor.book.take_runs(&runs).unwrap();
    auditor.book.post_all().unwrap();
    assert_eq!(auditor.book.status().unwrap().entries.waiting, 1);
    let views = auditor.book.readings(patient, 10).unwrap();
    assert_eq!(views.iter().map(|view| view.waiting).collect::<Vec<_>>(), [true]);
}

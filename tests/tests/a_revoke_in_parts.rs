//! A revoke that names more logs than one entry holds is written in parts; whatever part of it has come, books that
//! hold the same think the same, and nothing is cut before all of it is there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod export_file;

use daybook_core::clock::random;
use daybook_core::crypto::{DatabaseKey, DeviceSecret, Signature};
use daybook_core::daybook::Daybook;
use daybook_core::id::{CompartmentId, Incarnation, Lane, LogId};
use daybook_core::log::{Run, RunBuilder};
use daybook_core::roster::{CompartmentKind, Control, ControlBody, Role};
use daybook_tests::history::scratch;
use daybook_tests::host::SeededHost;
use daybook_tests::world::{World, WrittenLog};
use export_file::parts_of;
use std::collections::BTreeMap;
use std::path::Path;

/// Installations of the device, and compartments in which each of them wrote in all lanes.
const INSTALLATIONS: usize = 62;
const SITES: usize = 15;
const LOGS: usize = INSTALLATIONS * SITES * 3;

/// A clinician whose device was installed anew many times and wrote twice in every log that it could.
fn world() -> (World, Vec<WrittenLog>) {
    let mut world = World::new(12, 1, Role::Clinician);
    let first = world.compartment(CompartmentKind::Clinical);
    let mut sites = vec![first];
    for _ in 1..SITES {
        let made = world.control(Control::Compartment { kind: CompartmentKind::Clinical, name: None });
        sites.push(CompartmentId::new(*made.as_bytes()));
    }
    let incident = world.incident;
    let mut logs = Vec::with_capacity(LOGS);
    for _ in 0..INSTALLATIONS {
        let incarnation = Incarnation::new(random(&mut world.host));
        let author = &mut world.authors[0];
        author.incarnation = incarnation;
        for site in &sites {
            for lane in [Lane::Safety, Lane::Routine, Lane::Import] {
                for body in [[1; 40], [2; 40]] {
                    // Nobody here has its key: it is judged by its place alone.
                    author.append(&incident, (*site, lane), &body, None);
                }
            }
        }
        logs.extend(std::mem::take(&mut author.logs).into_values());
    }
    assert_eq!(logs.len(), LOGS);
    (world, logs)
}

/// A book of the root, or of somebody who only looks; both know the control log.
fn book(world: &World, device: &DeviceSecret, folder: &Path, seed: u64) -> Daybook {
    let mut host = SeededHost::new(seed);
    let key = DatabaseKey::random(&mut host);
    let member = world.membership(device);
    let mut book = Daybook::join_with_key(folder, &key, &member, Box::new(host)).unwrap();
    take(&mut book, &world.control_runs());
    book
}

fn take(book: &mut Daybook, runs: &[Vec<u8>]) {
    for some in runs.chunks(512) {
        let taken = book.take_runs(some).unwrap();
        assert!(taken.refused.is_empty(), "{taken:?}");
    }
    book.post_all().unwrap();
}

/// The control entries that the root's book wrote, one run each: those before its revoke, and the revoke's parts, each
/// with what was written between it and the part before: new keys, since the first part bars at once.
fn own_control(root: &mut Daybook, world: &World) -> (Vec<Vec<u8>>, Vec<Vec<Vec<u8>>>) {
    let mut file = Vec::new();
    root.export_log(&mut file).unwrap();
    let (_, frames) = parts_of(&file);
    // By log and place: what stands there, and whether it is a part of the revoke.
    let mut there: BTreeMap<(LogId, u64), (Vec<u8>, bool)> = BTreeMap::new();
    for (_, bytes) in frames.iter().filter(|(kind, _)| *kind == export_file::RUN) {
        let run = Run::read(bytes).unwrap().verify(&world.incident).unwrap();
        if !run.name().is_control() {
            continue;
        }
        for (place, entry) in run.entries().iter().enumerate() {
            let signature: Signature = run.heads().iter().find(|(at, _)| *at == place).unwrap().1;
            let mut one = RunBuilder::new(run.name(), entry.seq(), *entry.backlink());
            one.push(entry.entry(), Some(signature));
            let control = ControlBody::read(entry.body().unwrap()).unwrap().control;
            there.insert((run.log(), entry.seq()), (one.finish(), matches!(control, Control::Revoke(_))));
        }
    }
    let ((log, first), _) = there.iter().find(|(_, (_, revoke))| *revoke).unwrap();
    let before = there.range((*log, 0)..(*log, *first)).map(|(_, (run, _))| run.clone()).collect();
    let (mut parts, mut part) = (Vec::new(), Vec::new());
    for (run, is_part) in there.range((*log, *first)..(*log, u64::MAX)).map(|(_, of)| of) {
        part.push(run.clone());
        if *is_part {
            parts.push(std::mem::take(&mut part));
        }
    }
    (before, parts)
}

/// How many wait, and whether the device is barred.
fn stands(book: &mut Daybook, world: &World) -> (u64, bool) {
    let device = world.authors[0].device.public().device_id();
    let barred = !book.roster().unwrap().bars_of(device).is_empty();
    (book.quarantine(0).unwrap().1, barred)
}

#[test]
fn a_device_of_more_logs_than_one_entry_names_is_cut_in_all_of_them_at_once() {
    let (world, logs) = world();
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let mut root = book(&world, &world.root.device, &folder.path().join("root"), 1);
    // What the root holds of each log is its first entry; the second is written where nobody hears it.
    let held: Vec<Vec<u8>> = logs.iter().map(|log| log.run(0, 1)).collect();
    let all: Vec<Vec<u8>> = logs.iter().map(|log| log.run(0, 2)).collect();
    let late: Vec<Vec<u8>> = logs.iter().map(|log| log.run(1, 2)).collect();
    take(&mut root, &held);
    let id = world.authors[0].device.public().device_id().to_hex();
    let revoked = root.revoke(&id[..12], None, None).unwrap();
    assert_eq!((revoked.waiting, stands(&mut root, &world)), (0, (0, true)), "what was held stays trusted");
    let (before, revoke) = own_control(&mut root, &world);
    let parts = revoked.entries.len();
    assert!(parts >= 2 && revoke.len() == parts, "{parts}: {LOGS} logs fit one entry");
    take(&mut root, &late);
    let whole = (LOGS as u64, true);
    assert_eq!(stands(&mut root, &world), whole);

    let looker = |name: &str, seed| {
        let device = DeviceSecret::random(&mut SeededHost::new(900 + seed));
        let mut book = book(&world, &device, &folder.path().join(name), seed);
        take(&mut book, &before);
        book
    };
    // The parts come among the entries; before all are there, the device is barred and nothing is cut.
    let mut among = looker("among", 2);
    take(&mut among, &all[..LOGS / 2]);
    for (number, part) in revoke.iter().enumerate() {
        assert_eq!(stands(&mut among, &world), (0, number > 0), "part {number}");
        take(&mut among, part);
    }
    assert_eq!(stands(&mut among, &world), (LOGS as u64 / 2, true));
    take(&mut among, &all[LOGS / 2..]);
    // All entries, the newest logs first, before the parts.
    let mut last = looker("last", 3);
    let turned: Vec<Vec<u8>> = all.iter().rev().cloned().collect();
    take(&mut last, &turned);
    take(&mut last, &revoke[..parts - 1].concat());
    assert_eq!(stands(&mut last, &world), (0, true), "the last part is missing");
    take(&mut last, &revoke[parts - 1..].concat());
    for book in [&mut among, &mut last] {
        assert_eq!(stands(book, &world), whole);
    }
    last.rebuild(&mut |_, _| {}).unwrap();
    assert_eq!(stands(&mut last, &world), whole, "a rebuild judges alike");
}

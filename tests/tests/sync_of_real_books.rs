//! Two books on disk: whole sync, cuts, live pushes, receipts, and how fast it is beside a plain ingest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::clock::Hlc;
use daybook_core::crypto::{DeviceSecret, Secret};
use daybook_core::daybook::Daybook;
use daybook_core::entry::{Sealed, SealedEntry};
use daybook_core::id::{CONTROL, CommitId, CompartmentId, Lane};
use daybook_core::log::{Run, RunBuilder};

use daybook_core::record::{Body, Setting, Telecom};
use daybook_core::roster::{CompartmentKind, Control, ControlBody, Grant, GrantPath, Role, SealedText};
use daybook_core::sync::{Event, Limits, Reason, Session, Shelf, Side};
use daybook_tests::attacker::Attacker;
use daybook_tests::history::scratch;
use daybook_tests::host::SeededHost;
use daybook_tests::pair::Link;
use daybook_tests::workload::Workload;
use daybook_tests::world::World;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::path::Path;
use std::time::Instant;

fn join(world: &World, author: usize, folder: &Path) -> Daybook {
    let host = Box::new(SeededHost::new(author as u64 + 50));
    let member = world.membership(&world.authors[author].device);
    let mut book = Daybook::join(&folder.join(author.to_string()), b"pass", &member, host).unwrap();
    book.keep_grant_path(&world.path(Some(author))).unwrap();
    book
}

fn link(one: &mut Daybook, two: &mut Daybook) -> Link {
    let caller = one.session(Side::Caller, Limits::default(), 0).unwrap();
    Link::new(caller, two.session(Side::Called, Limits::default(), 0).unwrap())
}

#[test]
fn a_new_book_gets_everything_and_then_lives() {
    let workload = Workload::generate(600, true);
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let (mut one, mut two) = (join(&workload.world, 0, folder.path()), join(&workload.world, 1, folder.path()));
    one.take_runs(&workload.world.control_runs()).unwrap();
    one.take_runs(&workload.runs).unwrap();
    one.post_all().unwrap();
    let mut link = link(&mut one, &mut two);
    link.settle([&mut one, &mut two]);
    assert!(link.in_sync(0) && link.in_sync(1), "{:?}", link.events);
    assert_eq!(one.digest().unwrap(), two.digest().unwrap());
    let known = |events: &[Event]| events.iter().any(|event| matches!(event, Event::PeerKnown(_)));
    assert!(known(&link.events[0]) && known(&link.events[1]));
    // What one of them writes is there at the other at once.
    let patient = workload.patients[0];
    for (number, live) in [("+231880001", 0), ("+231880002", 1)] {
        let phone = Setting::Telecom(Telecom { system: "phone", value: number }, Some("mobile"));
        let book = if live == 0 { &mut one } else { &mut two };
        book.edit_patient(patient, &[phone]).unwrap();
        let before = link.moved[live];
        link.ends[live].notice(link.now_ms, book);
        link.settle([&mut one, &mut two]);
        assert!(link.moved[live] > before);
        assert_eq!(one.digest().unwrap(), two.digest().unwrap(), "{number}");
    }
    assert!(link.ends.iter().all(|end| end.is_live()));
    // Both part with a receipt, and find nothing to do when they meet again.
    link.ends[0].close(link.now_ms, &mut one);
    link.settle([&mut one, &mut two]);
    for end in 0..2 {
        let receipt = |event: &Event| matches!(event, Event::Receipt { same: true, .. });
        assert!(link.events[end].iter().any(receipt), "{:?}", link.events);
    }
    assert_eq!((link.reason(0), link.reason(1)), (Some(&Reason::Closed), Some(&Reason::ClosedByPeer)));
    let mut again = self::link(&mut one, &mut two);
    again.settle([&mut one, &mut two]);
    assert!(again.in_sync(0) && again.in_sync(1));
    assert!(!again.events[0].iter().any(|event| matches!(event, Event::Totals { .. })));
}

#[test]
fn a_transfer_that_is_cut_again_and_again_comes_to_its_end() {
    let workload = Workload::generate(2_000, true);
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let (mut one, mut two) = (join(&workload.world, 0, folder.path()), join(&workload.world, 1, folder.path()));
    one.take_runs(&workload.world.control_runs()).unwrap();
    for runs in workload.runs.chunks(4) {
        one.take_runs(runs).unwrap();
    }
    one.post_all().unwrap();
    let total = one.status().unwrap().entries.total;
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (mut cuts, mut sent) = (0, 0);
    loop {
        let mut link = link(&mut one, &mut two);
        link.cut_after = rng.random_range(1_000..60_000);
        link.settle([&mut one, &mut two]);
        let done = link.in_sync(0) && link.in_sync(1);
        link.cut([&mut one, &mut two]);
        let came = link.events[1].iter().rev().find_map(|event| match event {
            Event::Progress { received, .. } => Some(*received),
            _ => None,
        });
        sent += came.unwrap_or(0);
        if done {
            break;
        }
        cuts += 1;
        assert!(cuts < 2_000, "no progress");
    }
    assert!(cuts > 10, "{cuts}");
    assert_eq!(one.digest().unwrap(), two.digest().unwrap());
    let control = workload.world.root.logs.values().map(|log| log.entries.len() as u64).sum::<u64>();
    assert!(sent == total || sent == total + control, "{sent} of {total}: every entry came once");
}

/// Prints how fast 20,000 entries sync beside a plain ingest of the same runs. The target of 0.7 is judged by
/// `cargo bench -- --only sync`, which has both sides in processes of their own, compiled for release: here both
/// share one thread and unoptimised code. Asserted is only what a busy machine cannot break.
#[test]
fn twenty_thousand_entries_beside_a_plain_ingest() {
    let entries = std::env::var("DAYBOOK_ENTRIES").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let workload = Workload::generate(entries, true);
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let (mut one, mut two) = (join(&workload.world, 0, folder.path()), join(&workload.world, 1, folder.path()));
    one.take_runs(&workload.world.control_runs()).unwrap();
    for runs in workload.runs.chunks(4) {
        one.take_runs(runs).unwrap();
    }
    one.post_all().unwrap();
    let mut file = Vec::new();
    one.export_log(&mut file).unwrap();
    let mut three = join(&workload.world, 2, folder.path());
    let start = Instant::now();
    three.ingest(&mut file.as_slice(), &mut |_| {}).unwrap();
    let plain = start.elapsed();
    let mut link = link(&mut one, &mut two);
    let start = Instant::now();
    link.settle([&mut one, &mut two]);
    let synced = start.elapsed();
    assert!(link.in_sync(0) && link.in_sync(1), "{:?}", link.events);
    assert_eq!(one.digest().unwrap(), two.digest().unwrap());
    let entries = workload.counts.total();
    let rate = |time: std::time::Duration| entries as f64 / time.as_secs_f64();
    println!(
        "{entries} entries: plain ingest {:.0}/s, sync of both sides in one thread {:.0}/s, ratio {:.2}, {:.0} bytes an entry",
        rate(plain),
        rate(synced),
        plain.as_secs_f64() / synced.as_secs_f64(),
        link.moved.iter().sum::<u64>() as f64 / entries as f64
    );
    assert!(synced < plain * 10, "sync {synced:?}, ingest {plain:?}");
}

#[test]
fn a_device_without_its_grant_here_is_known_by_its_path() {
    let world = World::new(2, 2, Role::Clinician);
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let (mut one, mut two) = (join(&world, 0, folder.path()), join(&world, 1, folder.path()));
    one.take_runs(&world.control_runs()).unwrap();
    let mut link = link(&mut two, &mut one);
    link.settle([&mut two, &mut one]);
    assert!(link.in_sync(0) && link.in_sync(1), "{:?}", link.events);
    let by_path = |events: &[Event]| {
        events.iter().find_map(|event| if let Event::PeerKnown(peer) = event { Some(peer.by_path) } else { None })
    };
    assert_eq!((by_path(&link.events[0]), by_path(&link.events[1])), (Some(true), Some(false)));
    // The grants came with the session; now it finds its own path in the book.
    assert_eq!(two.grant_path().unwrap(), world.path(Some(1)));
    assert_eq!(link.ends[0].peer().map(|peer| peer.by_path), Some(false));
}

#[test]
fn what_is_of_one_site_goes_only_to_who_carries_it() {
    let mut world = World::new(6, 2, Role::Clinician);
    world.admit(Role::Logistician);
    let wide = world.compartment(CompartmentKind::Clinical);
    let (id, _, key) = world.epochs[&wide].clone();
    // A compartment with a name is one of a site.
    let name = Some(SealedText { key: id, sealed: vec![7; 72] });
    let made = world.control(Control::Compartment { kind: CompartmentKind::Clinical, name });
    let site = CompartmentId::new(*made.as_bytes());
    let incident = world.incident;
    let body = Body::write(CommitId::new([1; 8]), Hlc::default(), &[vec![0x80]]);
    for compartment in [wide, site] {
        for _ in 0..40 {
            world.authors[0].append(&incident, (compartment, Lane::Routine), &body, Some((&id, &key)));
        }
    }
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let [mut clinician, mut other, mut logistician] = [0, 1, 2].map(|author| join(&world, author, folder.path()));
    clinician.take_runs(&world.control_runs()).unwrap();
    let runs: Vec<Vec<u8>> = world.authors[0].logs.values().flat_map(|log| log.runs(64)).collect();
    clinician.take_runs(&runs).unwrap();
    let held = |book: &mut Daybook, compartment| {
        let logs = book.frontier().unwrap().into_iter().filter(|log| log.compartment == compartment);
        logs.map(|log| log.branches[0].tip_seq).sum::<u64>()
    };
    // Who has heard of nothing yet is told control first, and then it is seen what he carries.
    for (book, sites) in [(&mut logistician, 0), (&mut other, 40)] {
        let mut link = link(&mut clinician, book);
        link.settle([&mut clinician, &mut *book]);
        assert!(link.in_sync(0) && link.in_sync(1), "{:?}", link.events);
        assert_eq!((held(book, wide), held(book, site)), (40, sites));
    }
    // And by way of him nothing of it goes on; the two clinicians still agree about it.
    let mut link = link(&mut other, &mut logistician);
    link.settle([&mut other, &mut logistician]);
    assert!(link.in_sync(0) && link.in_sync(1), "{:?}", link.events);
    assert_eq!(held(&mut logistician, site), 0);
}

#[test]
fn a_device_whose_grant_does_not_hold_here_is_not_served() {
    // The admin has no budget: his grant is validly signed, stands on his own, and has no effect.
    let mut world = World::new(2, 1, Role::Admin);
    let grant = Control::Grant(Box::new(Grant {
        device: DeviceSecret::from_secret(&newcomer()).public(),
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
    let body = ControlBody { commit: CommitId::new([1; 8]), hlc: Hlc::default(), control: grant }.to_bytes();
    let incident = world.incident;
    world.authors[0].append(&incident, (CONTROL, Lane::Safety), &body, None);
    let given = world.authors[0].logs[&(CONTROL, Lane::Safety)].run(0, 1);
    let path = GrantPath::to_bytes(&world.founding, &[world.run_of_grant(world.authors[0].grant), given.clone()]);
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let mut book = join(&world, 0, folder.path());
    let device = DeviceSecret::from_secret(&newcomer());
    let meet = |book: &mut Daybook, world: &World| {
        let mut called = book.session(Side::Called, Limits::default(), 0).unwrap();
        Attacker::introduced(world, &device, &path, &mut called, book);
        called
    };
    // While the grants are not here the path speaks for itself; those of its grants that count are kept alone.
    let mut before = meet(&mut book, &world);
    assert!(before.peer().is_some_and(|peer| peer.by_path));
    // Once all of them are here, it is seen that the last does not hold: also by a session that is open.
    for runs in [vec![given], world.control_runs()] {
        book.take_runs(&runs).unwrap();
        assert!(is_former(&mut meet(&mut book, &world)));
    }
    before.notice(1, &mut book);
    assert!(is_former(&mut before));
}

/// Whether a session told that the other side is a former member.
fn is_former(session: &mut Session) -> bool {
    std::iter::from_fn(|| session.poll_event()).any(|event| event == Event::Former { here: false })
}

fn newcomer() -> Secret<96> {
    DeviceSecret::random(&mut SeededHost::new(4)).to_secret()
}

#[test]
fn bodies_that_are_missing_are_asked_for_and_come() {
    let workload = Workload::generate(10_000, true);
    let world = &workload.world;
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let (mut one, mut two) = (join(world, 0, folder.path()), join(world, 1, folder.path()));
    let some: Vec<Vec<u8>> = workload.runs.iter().take(2).cloned().collect();
    for book in [&mut one, &mut two] {
        book.take_runs(&world.control_runs()).unwrap();
    }
    one.take_runs(&some).unwrap();
    one.post_all().unwrap();
    // The second was given the same entries without their bodies, though nobody erased them.
    two.take_runs(&some.iter().map(|run| hollow(run, world)).collect::<Vec<_>>()).unwrap();
    two.post_all().unwrap();
    assert!(two.status().unwrap().entries.accepted < 30, "control alone");
    let mut link = link(&mut one, &mut two);
    link.settle([&mut one, &mut two]);
    assert!(link.in_sync(0) && link.in_sync(1), "{:?}", link.events);
    let accepted = |book: &mut Daybook| book.status().unwrap().entries.accepted;
    assert_eq!(accepted(&mut one), accepted(&mut two));
    assert_eq!(one.digest().unwrap(), two.digest().unwrap());
}

/// A run whose bodies are gone.
fn hollow(run: &[u8], world: &World) -> Vec<u8> {
    let run = Run::read(run).unwrap().verify(&world.incident).unwrap();
    let first = &run.entries()[0];
    let mut to = RunBuilder::new(run.name(), first.seq(), *first.backlink());
    for (at, entry) in run.entries().iter().enumerate() {
        let sealed = entry.entry();
        let hash = Sealed::Erased { bytes: sealed.sealed.bytes(), hash: sealed.sealed.hash() };
        let signature = run.heads().iter().find(|(place, _)| *place == at).map(|(_, signature)| *signature);
        to.push(&SealedEntry { ground: sealed.ground, nonce: sealed.nonce, sealed: hash }, signature);
    }
    to.finish()
}

//! Safe to lose: what others hold is known by what they signed, and nothing else makes a phone safe to lose.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::clock::Host;
use daybook_core::crypto::DatabaseKey;
use daybook_core::daybook::{Daybook, Doubt, Lack};
use daybook_core::entry::{Sealed, SealedEntry};
use daybook_core::id::{CONTROL, DeviceId};
use daybook_core::log::{Run, RunBuilder};
use daybook_core::record::{Identifier, Setting};
use daybook_core::roster::{Control, Revoke, Role};
use daybook_core::sync::{Event, Limits, Piece, Shelf, Side};
use daybook_tests::attacker::{Attacker, kind};
use daybook_tests::host::{START_MS, SeededHost};
use daybook_tests::pair::Link;
use daybook_tests::world::World;
use std::path::Path;

/// Members of the world: who writes, three who may read, two hubs.
const NURSE: usize = 0;
const TABLET: usize = 1;
const LAPTOP: usize = 2;
const HUB: usize = 3;
const SECOND_HUB: usize = 4;

fn world() -> World {
    let mut world = World::new(41, 3, Role::Clinician);
    world.admit(Role::Relay);
    world.admit(Role::Relay);
    world
}

fn key() -> DatabaseKey {
    DatabaseKey::random(&mut SeededHost::new(5))
}

fn host(seed: u64) -> Box<dyn Host> {
    Box::new(SeededHost::new(seed).at(START_MS + 1_000_000))
}

fn join(world: &World, author: usize, folder: &Path) -> Daybook {
    let member = world.membership(&world.authors[author].device);
    let path = folder.join(author.to_string());
    let mut book = Daybook::join_with_key(&path, &key(), &member, host(author as u64 + 50)).unwrap();
    book.keep_grant_path(&world.path(Some(author))).unwrap();
    book.take_runs(&world.control_runs()).unwrap();
    book
}

fn device(world: &World, author: usize) -> DeviceId {
    world.authors[author].device.public().device_id()
}

fn register(book: &mut Daybook, tag: &str) {
    book.add_patient(&[Setting::Identifier(Identifier { system: "tag", value: tag }, Some(""))]).unwrap();
}

fn link(one: &mut Daybook, two: &mut Daybook) -> Link {
    let caller = one.session(Side::Caller, Limits::default(), 0).unwrap();
    Link::new(caller, two.session(Side::Called, Limits::default(), 0).unwrap())
}

/// A whole meeting, parted in order.
fn meet(one: &mut Daybook, two: &mut Daybook) {
    let mut link = link(one, two);
    link.settle([&mut *one, &mut *two]);
    assert!(link.in_sync(0) && link.in_sync(1), "{:?}", link.events);
    link.ends[0].close(link.now_ms, one);
    link.settle([one, two]);
}

/// What the worst own log lacks.
fn lack(book: &mut Daybook) -> Option<Lack> {
    book.safe_to_lose().unwrap().lacking().map(|(_, lack)| lack).min()
}

fn doubts(book: &mut Daybook) -> Vec<(DeviceId, Option<Doubt>)> {
    book.holdings().unwrap().holders.iter().map(|holder| (holder.who.device, holder.doubt)).collect()
}

#[test]
fn two_holders_are_needed_and_one_of_them_must_be_able_to_read() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    let mut nurse = join(&world, NURSE, folder.path());
    let mut others: Vec<Daybook> = (1..5).map(|author| join(&world, author, folder.path())).collect();
    assert_eq!(lack(&mut nurse), None, "nothing was written here");
    register(&mut nurse, "A-1");
    assert_eq!(lack(&mut nurse), Some(Lack::Holder));
    assert_eq!(nurse.safe_to_lose().unwrap().own.len(), 2, "the log of records and the control log");
    meet(&mut nurse, &mut others[HUB - 1]);
    assert_eq!(lack(&mut nurse), Some(Lack::SecondHolder));
    meet(&mut nurse, &mut others[SECOND_HUB - 1]);
    assert_eq!(lack(&mut nurse), Some(Lack::Reader), "two hubs cannot read it");
    meet(&mut nurse, &mut others[TABLET - 1]);
    assert_eq!(lack(&mut nurse), None);
    // What is written later is not covered by what was signed earlier.
    register(&mut nurse, "A-2");
    assert_eq!(lack(&mut nurse), Some(Lack::Holder));
    let held = nurse.holdings().unwrap();
    assert_eq!(held.only_here(), 1);
    let records = held.logs.iter().find(|log| log.author.here && log.compartment == "clinical").unwrap();
    assert_eq!((records.entries, records.elsewhere, records.by.len()), (2, 1, 3));
    assert_eq!(records.by.iter().filter(|by| by.hub).count(), 2, "hubs are named as hubs");
    meet(&mut nurse, &mut others[LAPTOP - 1]);
    meet(&mut nurse, &mut others[HUB - 1]);
    assert_eq!(lack(&mut nurse), None, "a reading device and a hub");
    // The tablet did not hear of the second patient: it counts for the first alone.
    let by: Vec<(DeviceId, u64)> = {
        let held = nurse.holdings().unwrap();
        let records = held.logs.iter().find(|log| log.author.here && log.compartment == "clinical").unwrap();
        assert_eq!(records.elsewhere, 2);
        records.by.iter().map(|by| (by.who.device, by.entries)).collect()
    };
    assert!(by.contains(&(device(&world, TABLET), 1)) && by.contains(&(device(&world, LAPTOP), 2)), "{by:?}");
}

/// All that a book holds outside control, as a hostile member gives it: entries without their bodies.
fn without_bodies(world: &World, book: &mut Daybook) -> Vec<Vec<u8>> {
    let mut runs = Vec::new();
    for log in book.frontier().unwrap().iter().filter(|log| log.compartment != CONTROL) {
        let tip = &log.branches[0];
        let piece = Piece { log: log.number, branch: tip.branch, from: 1, to: tip.tip_seq };
        for run in book.runs(piece, 16_384, usize::MAX).unwrap() {
            let run = Run::read(&run.bytes).and_then(|run| run.verify(&world.incident)).unwrap();
            let first = run.entries().first().unwrap();
            let mut stripped = RunBuilder::new(run.name(), first.seq(), *first.backlink());
            for (at, entry) in run.entries().iter().enumerate() {
                let entry = entry.entry();
                let erased = Sealed::Erased { bytes: entry.sealed.bytes(), hash: entry.sealed.hash() };
                let signature = run.heads().iter().find(|(head, _)| *head == at).map(|(_, signature)| *signature);
                stripped.push(&SealedEntry { ground: entry.ground, nonce: entry.nonce, sealed: erased }, signature);
            }
            runs.push(stripped.finish());
        }
    }
    runs
}

#[test]
fn who_holds_entries_without_their_bodies_signs_for_nothing_and_asks_for_them() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    let (mut nurse, mut tablet) = (join(&world, NURSE, folder.path()), join(&world, TABLET, folder.path()));
    register(&mut nurse, "A-1");
    let stripped = without_bodies(&world, &mut nurse);
    assert!(!stripped.is_empty());
    assert!(tablet.take_runs(&stripped).unwrap().refused.is_empty());
    // They hold the same entries; whoever hangs up at once is too early for the bodies.
    let mut hasty = link(&mut nurse, &mut tablet);
    while !hasty.in_sync(0) {
        if !hasty.step([&mut nurse, &mut tablet], &mut |most| most) {
            hasty.now_ms += 200;
            hasty.ends[0].handle_timeout(hasty.now_ms, &mut nurse);
            hasty.ends[1].handle_timeout(hasty.now_ms, &mut tablet);
        }
    }
    hasty.ends[0].close(hasty.now_ms, &mut nurse);
    hasty.settle([&mut nurse, &mut tablet]);
    assert!(!tablet.wants().unwrap().is_empty(), "the bodies did not come");
    assert_eq!(lack(&mut nurse), Some(Lack::Holder));
    meet(&mut nurse, &mut tablet);
    assert_eq!((tablet.wants().unwrap(), tablet.status().unwrap().patients), (Vec::new(), 1));
    assert_eq!(lack(&mut nurse), Some(Lack::SecondHolder));
}

#[test]
fn a_connection_that_breaks_before_the_receipt_makes_nothing_safe() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    let (mut nurse, mut tablet) = (join(&world, NURSE, folder.path()), join(&world, TABLET, folder.path()));
    register(&mut nurse, "A-1");
    let mut broken = link(&mut nurse, &mut tablet);
    broken.settle([&mut nurse, &mut tablet]);
    assert!(broken.in_sync(0));
    broken.cut([&mut nurse, &mut tablet]);
    assert_eq!(lack(&mut nurse), Some(Lack::Holder), "it was in sync, and nobody signed");
    // A session that goes on signs when it is quiet, and only if something changed.
    let mut quiet = link(&mut nurse, &mut tablet);
    quiet.settle([&mut nurse, &mut tablet]);
    let receipts = |link: &Link, end: usize| {
        link.events[end].iter().filter(|event| matches!(event, Event::Receipt { same: true, .. })).count()
    };
    for (expected, write) in [(1, false), (1, false), (2, true)] {
        if write {
            register(&mut nurse, "A-2");
            quiet.ends[0].notice(quiet.now_ms, &mut nurse);
            quiet.settle([&mut nurse, &mut tablet]);
        }
        quiet.now_ms += 20_000;
        quiet.ends[0].handle_timeout(quiet.now_ms, &mut nurse);
        quiet.ends[1].handle_timeout(quiet.now_ms, &mut tablet);
        quiet.settle([&mut nurse, &mut tablet]);
        assert_eq!((receipts(&quiet, 0), receipts(&quiet, 1)), (expected, expected), "{:?}", quiet.events);
        assert!(quiet.ends.iter().all(daybook_core::sync::Session::is_live));
        assert_eq!(nurse.holdings().unwrap().only_here(), 0);
    }
    quiet.ends[0].close(quiet.now_ms, &mut nurse);
    quiet.settle([&mut nurse, &mut tablet]);
    assert_eq!((receipts(&quiet, 0), receipts(&quiet, 1)), (3, 3));
    assert_eq!(lack(&mut nurse), Some(Lack::SecondHolder));
}

#[test]
fn an_old_receipt_that_is_shown_again_covers_nothing_newer() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    let (mut nurse, hub) = (join(&world, NURSE, folder.path()), &world.authors[HUB].device);
    register(&mut nurse, "A-1");
    // The attacker holds a hub's key and repeats whatever the book says that it holds.
    let agree = |nurse: &mut Daybook, payload: Option<Vec<u8>>| -> (Vec<u8>, bool) {
        let mut session = nurse.session(Side::Called, Limits::default(), 0).unwrap();
        let mut attacker = Attacker::introduced(&world, hub, &world.path(Some(HUB)), &mut session, nurse);
        let heard = attacker.hear(&mut session, nurse);
        let roots = heard.iter().find(|(number, _)| *number == kind::ROOTS).unwrap().1.clone();
        attacker.say(kind::ROOTS, &roots, &mut session, nurse);
        assert!(session.is_live());
        let frontier: [u8; 32] = {
            // What the book signs of itself is the frontier that it would take.
            session.close(0, nurse);
            let heard = attacker.hear(&mut session, nurse);
            let own = heard.iter().find(|(number, _)| *number == kind::RECEIPT).unwrap();
            own.1[..32].try_into().unwrap()
        };
        let incarnation = world.authors[HUB].incarnation;
        let message = [
            &world.incident.as_bytes()[..],
            device(&world, HUB).as_bytes(),
            incarnation.as_bytes(),
            device(&world, NURSE).as_bytes(),
            &frontier,
        ]
        .concat();
        let signature = hub.signing.sign(daybook_core::crypto::Purpose::Receipt, &message);
        let payload = payload.unwrap_or_else(|| [&frontier[..], incarnation.as_bytes(), &signature.0].concat());
        attacker.say(kind::RECEIPT, &payload, &mut session, nurse);
        let same = std::iter::from_fn(|| session.poll_event()).any(|e| matches!(e, Event::Receipt { same: true, .. }));
        (payload, same)
    };
    let (old, same) = agree(&mut nurse, None);
    assert!(same);
    assert_eq!(lack(&mut nurse), Some(Lack::SecondHolder), "one hub signed");
    register(&mut nurse, "A-2");
    let (_, same) = agree(&mut nurse, Some(old.clone()));
    assert!(!same, "an old receipt for what is held now");
    assert_eq!((lack(&mut nurse), nurse.holdings().unwrap().only_here()), (Some(Lack::Holder), 1));
    // A receipt with another's name in it, or with one bit flipped, is none.
    let mut flipped = old;
    flipped[33] ^= 1;
    let (_, same) = agree(&mut nurse, Some(flipped));
    assert!(!same);
    assert_eq!(lack(&mut nurse), Some(Lack::Holder));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[test]
fn a_device_whose_copy_wrote_counts_no_more_until_it_began_anew_and_signed_again() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    let (mut nurse, mut tablet) = (join(&world, NURSE, folder.path()), join(&world, TABLET, folder.path()));
    register(&mut nurse, "A-1");
    register(&mut tablet, "T-1");
    drop(tablet);
    copy(&folder.path().join(TABLET.to_string()), &folder.path().join("copy"));
    let open = |name: &str, seed| Daybook::open_with_key(&folder.path().join(name), &key(), host(seed)).unwrap();
    let (mut tablet, mut copied) = (open("1", 70), open("copy", 71));
    register(&mut tablet, "T-2");
    register(&mut copied, "T-3");
    meet(&mut nurse, &mut tablet);
    assert_eq!(doubts(&mut nurse), [(device(&world, TABLET), None)]);
    // The copy comes: it is the same device, and shows that two wrote under one name.
    let mut forking = link(&mut nurse, &mut copied);
    forking.settle([&mut nurse, &mut copied]);
    forking.ends[0].close(forking.now_ms, &mut nurse);
    forking.settle([&mut nurse, &mut copied]);
    assert_eq!(doubts(&mut nurse), [(device(&world, TABLET), Some(Doubt::Forked))]);
    assert_eq!(lack(&mut nurse), Some(Lack::Holder));
    // It learns of it and begins anew: what the new installation signs counts.
    meet(&mut nurse, &mut tablet);
    register(&mut tablet, "T-4");
    meet(&mut nurse, &mut tablet);
    assert_eq!(doubts(&mut nurse), [(device(&world, TABLET), None)]);
    assert_eq!(lack(&mut nurse), Some(Lack::SecondHolder), "one device, however many copies of it there are");
}

#[test]
fn a_restored_device_counts_again_once_it_signed_again() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    let (mut nurse, mut tablet) = (join(&world, NURSE, folder.path()), join(&world, TABLET, folder.path()));
    register(&mut tablet, "T-1");
    tablet.backup(&folder.path().join("backup"), b"backup").unwrap();
    register(&mut nurse, "A-1");
    meet(&mut nurse, &mut tablet);
    assert_eq!(lack(&mut nurse), Some(Lack::SecondHolder));
    drop(tablet);
    let mut restored =
        Daybook::restore(&folder.path().join("backup"), &folder.path().join("restored"), b"backup", host(80)).unwrap();
    register(&mut restored, "T-2");
    // The nurse hears of the new installation by way of another device, before it ever held her entries.
    let mut laptop = join(&world, LAPTOP, folder.path());
    meet(&mut laptop, &mut restored);
    let mut file = Vec::new();
    laptop.export_log(&mut file).unwrap();
    nurse.ingest(&mut file.as_slice(), &mut |_| {}).unwrap();
    assert_eq!(doubts(&mut nurse), [(device(&world, TABLET), Some(Doubt::BeganAnew))]);
    assert_eq!(lack(&mut nurse), Some(Lack::Holder), "what the lost installation held is gone");
    meet(&mut nurse, &mut restored);
    assert_eq!(doubts(&mut nurse), [(device(&world, TABLET), None)]);
    assert_eq!(lack(&mut nurse), Some(Lack::SecondHolder));
}

#[test]
fn a_device_that_is_barred_or_ended_counts_no_more() {
    let (mut world, folder) = (world(), tempfile::tempdir().unwrap());
    let mut nurse = join(&world, NURSE, folder.path());
    let (mut tablet, mut laptop) = (join(&world, TABLET, folder.path()), join(&world, LAPTOP, folder.path()));
    register(&mut nurse, "A-1");
    meet(&mut nurse, &mut tablet);
    meet(&mut nurse, &mut laptop);
    assert_eq!(lack(&mut nurse), None);
    let laptops = world.authors[LAPTOP].grant;
    let mut hear = |control: Control| {
        world.control(control);
        nurse.take_runs(&world.control_runs()).unwrap();
        let mut doubts = doubts(&mut nurse);
        doubts.sort_unstable_by_key(|(_, doubt)| *doubt);
        (doubts.iter().filter_map(|(_, doubt)| *doubt).collect::<Vec<_>>(), lack(&mut nurse))
    };
    let (laptop, tablet) = (device_of(&mut laptop), device_of(&mut tablet));
    assert_eq!(hear(Control::Bar { devices: vec![tablet] }), (vec![Doubt::Barred], Some(Lack::SecondHolder)));
    let (grants, devices) = (vec![laptops], vec![laptop]);
    let revoke = Revoke { grants, spares: vec![], cuts: vec![], devices, reason: None, part: None };
    assert_eq!(hear(Control::Revoke(revoke)), (vec![Doubt::Ended, Doubt::Barred], Some(Lack::Holder)));
}

fn device_of(book: &mut Daybook) -> DeviceId {
    book.status().unwrap().here.device
}

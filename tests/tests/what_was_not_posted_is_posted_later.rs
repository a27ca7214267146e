//! Entries are durable before they are posted. Whatever comes between, a crash, another process, or more entries
//! than fit into memory, the views are in the end those of a book that took everything in at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::crypto::DatabaseKey;
use daybook_core::daybook::Daybook;
use daybook_core::limits::ENTRIES_PER_POSTING_MAX;
use daybook_core::log::Run;
use daybook_core::merge::{self, Backlog, Intake, Keyring, Logs};
use daybook_core::store::{EntryKey, Store, StoreError};
use daybook_core::view;
use daybook_tests::history::{History, Replica, Shape, scratch};
use daybook_tests::host::SeededHost;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

const SHAPE: Shape = Shape { entries: 600, patients: 4 };

/// A history, its runs in some order, and the digest of a book that has all of it.
fn all_at_once(seed: u64) -> (History, Vec<Vec<u8>>, Vec<(String, String)>) {
    let history = History::new(seed, SHAPE);
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let runs = history.runs(&mut rng);
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let mut book = Replica::join(&history.world, &folder.path().join("book"), seed);
    book.deliver(runs.clone(), &mut rng, 0);
    (history, runs, book.digest())
}

/// Takes runs in again and again until all of them join; posts nothing.
fn take_all(book: &mut Daybook, runs: &[Vec<u8>]) {
    for _ in 0..runs.len() {
        if book.take_runs(runs).unwrap().refused.is_empty() {
            return;
        }
    }
    panic!("some run never joined");
}

#[test]
fn what_a_process_left_unposted_the_next_one_posts() {
    let (history, runs, digest) = all_at_once(1);
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let mut book = Replica::join(&history.world, &folder.path().join("book"), 5);
    take_all(book.book(), &runs);
    assert_ne!(book.digest(), digest, "nothing was posted yet");
    book.restart();
    assert_eq!(book.digest(), digest);
}

#[test]
fn two_processes_take_in_and_either_posts() {
    let (history, runs, digest) = all_at_once(2);
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let path = folder.path().join("book");
    let membership = history.world.membership(&history.world.authors[0].device);
    let mut one = Daybook::join(&path, b"pass", &membership, Box::new(SeededHost::new(1))).unwrap();
    let mut other = Daybook::open(&path, b"pass", Box::new(SeededHost::new(2))).unwrap();
    let (first, second) = runs.split_at(runs.len() / 2);
    // Each takes in while the other has not posted what it took in.
    for _ in 0..runs.len() {
        let refused = [one.take_runs(first), other.take_runs(second)].map(|taken| taken.unwrap().refused.len());
        if refused == [0, 0] {
            break;
        }
    }
    other.post_all().unwrap();
    assert_eq!(one.digest().unwrap(), digest);
    one.post_all().unwrap();
    assert_eq!(one.digest().unwrap(), digest);
}

/// Takes runs in, again and again until all of them join; their operations are held.
fn take_in(store: &mut Store, ring: &Keyring, logs: &mut Logs, backlog: &mut Backlog, runs: &[Vec<u8>]) {
    let mut left: Vec<&Vec<u8>> = runs.iter().collect();
    while !left.is_empty() {
        let before = left.len();
        store
            .write(|tx| {
                left.retain(|run| {
                    let run = Run::read(run).unwrap().verify(&ring.incident).unwrap();
                    let Ok(appended) = Store::append(tx, &run) else { return true };
                    *logs = Logs::load(tx).unwrap();
                    let mut intake = Intake::new(tx, ring, backlog);
                    for entry in run.entries().iter().skip(appended.known).filter(|_| !run.name().is_control()) {
                        let key = EntryKey::new(appended.log, entry.seq(), appended.branch);
                        intake.take((run.name(), run.log()), key, (entry.id(), entry.entry())).unwrap();
                    }
                    false
                });
                Ok::<(), StoreError>(())
            })
            .unwrap();
        assert!(left.len() < before, "some run never joined");
    }
}

#[test]
fn views_that_are_made_while_the_disk_is_waited_for_are_the_same() {
    let history = History::new(4, SHAPE);
    let ring = history.world.ring();
    // What comes second is about patients of the first, and some of its own.
    let parts = [0, 1].map(|half| {
        let chains = history.chains.iter().enumerate().filter(|(at, _)| at % 2 == half);
        chains.flat_map(|(_, chain)| chain.runs(64)).collect::<Vec<_>>()
    });
    let mut digests = Vec::new();
    for how in ["after", "beside", "beside, and disturbed"] {
        let folder = tempfile::tempdir_in(scratch()).unwrap();
        let path = folder.path().join("book.db");
        let key = DatabaseKey::random(&mut SeededHost::new(4));
        let mut store = Store::create(&path, &key, &format!("{}{}", merge::SCHEMA, view::SCHEMA)).unwrap();
        let (mut backlog, mut logs) = (Backlog::default().alone_from(20), Logs::default());
        store.changed_elsewhere().unwrap();
        for part in &parts {
            take_in(&mut store, &ring, &mut logs, &mut backlog, part);
            assert!(backlog.is_much());
            if how == "beside" {
                view::post_beside(&mut store, &logs, &mut backlog, 50).unwrap();
                assert!(backlog.is_empty());
            } else if how != "after" {
                let mut other = Store::open(&path, &key).unwrap();
                other.write(|tx| Store::set_value(tx, "of another process", &part[0])).unwrap();
                let disturbed = view::post_beside(&mut store, &logs, &mut backlog, 50);
                assert!(matches!(disturbed, Err(view::Interrupted::Elsewhere)), "{disturbed:?}");
                backlog = Backlog::default().alone_from(20);
                store.write(|tx| Intake::new(tx, &ring, &mut backlog).resume(&logs, || {})).unwrap();
            }
            while store.write(|tx| view::post(tx, &logs, &mut backlog, ENTRIES_PER_POSTING_MAX)).unwrap() > 0 {}
            assert_eq!(Store::unposted(store.read().unwrap()).unwrap(), []);
        }
        digests.push(view::digest(store.read().unwrap()).unwrap());
    }
    assert!(digests[0].iter().any(|compartment| compartment.entries > 100));
    assert!(digests.iter().all(|digest| *digest == digests[0]));
}

#[test]
fn more_than_fits_into_memory_is_posted_in_parts() {
    let world = History::new(3, SHAPE);
    let (ring, runs) = (world.world.ring(), world.runs(&mut ChaCha20Rng::seed_from_u64(3)));
    let mut digests = Vec::new();
    // Filed with what people write, or as filings of their own: many, and few.
    let shapes = [(usize::MAX, usize::MAX), (64 * 1024, usize::MAX), (1, usize::MAX), (64 * 1024, 1), (1, 1)];
    for (bytes_max, alone_from) in shapes {
        let folder = tempfile::tempdir_in(scratch()).unwrap();
        let key = DatabaseKey::random(&mut SeededHost::new(3));
        let tables = format!("{}{}", merge::SCHEMA, view::SCHEMA);
        let mut store = Store::create(&folder.path().join("book.db"), &key, &tables).unwrap();
        let mut backlog = Backlog::within(bytes_max).alone_from(alone_from);
        let mut logs = Logs::default();
        take_in(&mut store, &ring, &mut logs, &mut backlog, &runs);
        while store.write(|tx| view::post(tx, &logs, &mut backlog, ENTRIES_PER_POSTING_MAX)).unwrap() > 0 {}
        assert_eq!(Store::unposted(store.read().unwrap()).unwrap(), []);
        digests.push(view::digest(store.read().unwrap()).unwrap());
    }
    assert!(digests[0].iter().any(|compartment| compartment.entries > 100));
    assert!(digests.iter().all(|digest| *digest == digests[0]));
}

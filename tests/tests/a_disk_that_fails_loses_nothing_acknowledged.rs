//! A disk that fails or loses its power loses nothing acknowledged: a shift of 50 commits, cut and failed at every
//! seventh operation that changes the disk. `DAYBOOK_SWEEP` chooses which seventh; all of them:
//! `cargo run -p daybook-tests --bin crash -- --all`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_tests::crash::disk::{Cut, Disk, Durable, Fault, Image};
use daybook_tests::crash::script::Script;
use daybook_tests::crash::sweep::{Point, Sweep};
use daybook_tests::crash::vfs;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

const EVERY: usize = 7;

#[test]
fn every_operation_may_be_the_last_or_fail() {
    let folder = tempfile::tempdir().unwrap();
    let sweep = Sweep::new(folder.path()).unwrap();
    let first = std::env::var("DAYBOOK_SWEEP").map_or(0, |text| text.parse::<usize>().expect("a number"));
    let points: Vec<Point> = sweep.points().into_iter().skip(first % EVERY).step_by(EVERY).collect();
    // Commits, checkpoints and the closing of the book are all among them.
    let kinds = sweep.kinds();
    assert!(kinds["write"] > 500 && kinds["sync"] >= 50 && kinds["truncate"] > 0 && kinds["delete"] > 0, "{kinds:?}");
    let has = |wanted: &dyn Fn(&Point) -> bool| points.iter().filter(|point| wanted(point)).count() > 100;
    assert!(Cut::ALL.iter().all(|cut| has(&|point| matches!(point, Point::Cut(_, c) if c == cut))));
    assert!(Fault::ALL.iter().all(|fault| has(&|point| matches!(point, Point::Fail(_, _, f) if f == fault))));
    let wrong = sweep.try_all(&points, &|_| {});
    for (point, what) in &wrong {
        println!("{what}\n  repeat: cargo run -p daybook-tests --bin crash -- --point {point}");
    }
    assert!(wrong.is_empty(), "{} points", wrong.len());
}

/// While it is made a book has a journal to roll back by; that one must not come back.
#[test]
fn a_book_that_was_just_made_survives_loss_of_power() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("book");
    let script = Script::new();
    let disk = vfs::mount(&folder, Disk::default());
    let made = script.begin(&folder).unwrap();
    let mut durable = Durable::new(Image::new());
    disk.lock().unwrap().trace().iter().flatten().for_each(|operation| durable.follow(operation));
    drop(made);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for cut in Cut::ALL.repeat(4) {
        let _disk = vfs::mount(&folder, Disk::new(durable.cut(cut, &mut rng)));
        assert!(script.open(&folder).is_ok(), "{cut:?}");
    }
    vfs::unmount(&folder);
}

/// The sweep itself is tried: a disk that only says that it syncs loses what was acknowledged, and is found out.
#[test]
fn a_disk_that_lies_about_syncs_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let sweep = Sweep::new(folder.path()).unwrap().on_a_disk_that_lies();
    let cuts: Vec<Point> = sweep.points().into_iter().filter(|p| matches!(p, Point::Cut(_, Cut::Dropped))).collect();
    let late: Vec<Point> = cuts.into_iter().rev().take(40).collect();
    assert!(!sweep.try_all(&late, &|_| {}).is_empty());
}

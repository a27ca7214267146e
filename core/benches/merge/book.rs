//! A book of a member, filled by the way that sync will use.

use daybook_core::crypto::DeviceSecret;
use daybook_core::daybook::Daybook;
use daybook_core::limits::{ENTRIES_PER_COMMIT_MAX, ENTRIES_PER_RUN_MAX};
use daybook_tests::host::SeededHost;
use daybook_tests::world::World;
use std::path::Path;

/// Runs that one commit takes in: together at most 4,096 entries.
pub const RUNS_PER_COMMIT: usize = ENTRIES_PER_COMMIT_MAX / ENTRIES_PER_RUN_MAX;

/// A new book of the first author, which knows the control log and nothing else.
pub fn empty(world: &World, folder: &Path) -> Daybook {
    of(world, &world.authors[0].device, folder)
}

/// Passphrase of every book.
pub const PASSPHRASE: &[u8] = b"a passphrase of the benchmark";

/// The same of a device.
pub fn of(world: &World, device: &DeviceSecret, folder: &Path) -> Daybook {
    let member = world.membership(device);
    let host = Box::new(SeededHost::new(77));
    let mut book = Daybook::join(folder, PASSPHRASE, &member, host).expect("a new book");
    let taken = book.take_runs(&world.control_runs()).expect("the control log");
    assert!(taken.refused.is_empty(), "{taken:?}");
    book
}

/// Takes in all runs and posts them, none of which is refused.
pub fn fill(book: &mut Daybook, runs: &mut dyn Iterator<Item = Vec<u8>>) -> u64 {
    let taken = book.take_all(runs, &mut |_| {}).expect("taken in");
    assert!(taken.refused.is_empty(), "{taken:?}");
    taken.new
}

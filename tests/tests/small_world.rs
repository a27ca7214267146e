//! Small worlds: honest devices, people who write, and all that goes wrong between them. In the end all books are
//! one, hold everything that was acknowledged, and show what the reference model says.
//!
//! `DAYBOOK_SEED=7` runs the world of one seed, `DAYBOOK_CASES=2000` more worlds than the 200 of a normal run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_tests::history::scratch;
use daybook_tests::seeds::each;
use daybook_tests::small_world::{Outcome, Tally, World};
use std::sync::Mutex;
use std::time::Instant;

const WORLDS: u64 = 200;
/// Worlds of which one is run twice.
const TWICE: u64 = 50;

/// What must have happened in two hundred worlds.
const HAPPENS: &[&str] = &[
    "clocks set",
    "chains",
    "concurrent counts",
    "concurrent values",
    "copies",
    "crashes",
    "crashes before posting",
    "cuts",
    "damaged files refused",
    "damaged files taken in part",
    "double dispenses",
    "files again",
    "files taken",
    "forks",
    "implausible times",
    "meetings",
    "replaced",
    "restarts",
    "restarts in a meeting",
    "silences",
    "stars",
    "worlds of meetings only",
    "worlds where all meet all",
];

#[test]
fn honest_devices_become_one_whatever_goes_wrong() {
    let start = Instant::now();
    let alone = std::env::var_os("DAYBOOK_SEED").is_some();
    let all = Mutex::new((0_u64, Tally::new()));
    each("small_world", WORLDS, |seed| {
        let outcome = run(seed);
        if alone || seed % TWICE == 0 {
            assert_eq!(outcome, run(seed), "the same seed gives the same trace");
        }
        let (worlds, tally) = &mut *all.lock().unwrap();
        *worlds += 1;
        for (what, count) in outcome.tally {
            *tally.entry(what).or_default() += count;
        }
    });
    let (worlds, tally) = all.into_inner().unwrap();
    println!("{worlds} worlds in {:.1} s: {tally:#?}", start.elapsed().as_secs_f64());
    if worlds >= WORLDS {
        for what in HAPPENS {
            assert!(tally.contains_key(what), "no {what} in {worlds} worlds");
        }
    }
}

fn run(seed: u64) -> Outcome {
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    World::run(seed, folder.path())
}

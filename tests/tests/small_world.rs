//! Small worlds: honest devices, people who write, and all that goes wrong between them. In the end all books are
//! one, hold everything that was acknowledged, and show what the reference model says.
//!
//! `DAYBOOK_SEED=7` runs the world of one seed, `DAYBOOK_WORLDS=2000` more worlds than the 200 of a normal run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_tests::history::scratch;
use daybook_tests::small_world::{Outcome, Tally, World};
use std::panic::{AssertUnwindSafe, catch_unwind};
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
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let one = number("DAYBOOK_SEED");
    let seeds = match one {
        Some(seed) => seed..seed + 1,
        None => 0..number("DAYBOOK_WORLDS").unwrap_or(WORLDS),
    };
    let (start, count) = (Instant::now(), seeds.end - seeds.start);
    let mut tally = Tally::new();
    for seed in seeds {
        let outcome = told(seed, || {
            let outcome = run(seed);
            if one.is_some() || seed % TWICE == 0 {
                assert_eq!(outcome, run(seed), "the same seed gives the same trace");
            }
            outcome
        });
        for (what, count) in outcome.tally {
            *tally.entry(what).or_default() += count;
        }
    }
    println!("{count} worlds in {:.1} s: {tally:#?}", start.elapsed().as_secs_f64());
    if count >= WORLDS {
        for what in HAPPENS {
            assert!(tally.contains_key(what), "no {what} in {count} worlds");
        }
    }
}

fn run(seed: u64) -> Outcome {
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    World::run(seed, folder.path())
}

/// Says how to repeat a seed that fails.
fn told<T>(seed: u64, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        eprintln!("repeat: DAYBOOK_SEED={seed} cargo test -p daybook-tests --test small_world");
        std::panic::resume_unwind(panic)
    })
}

//! Worlds that try to break the book, always the same ones. More of them, one again, and bugs planted on purpose:
//! `cargo run --release -p daybook-tests -- sim`. `DAYBOOK_SEED=7` runs one alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_tests::memory::{Counting, Watch};
use daybook_tests::sim::command::{Report, repeat, run};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

#[global_allocator]
static MEMORY: Counting = Counting;

/// Worlds, from seed 0 on.
const WORLDS: u64 = 8;

#[test]
fn no_world_breaks_what_must_hold() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds: Vec<u64> = match number("DAYBOOK_SEED") {
        Some(seed) => vec![seed],
        None => (0..WORLDS).collect(),
    };
    let (start, next, report) = (Instant::now(), AtomicUsize::new(0), Mutex::new(Report::default()));
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(seed) = seeds.get(at).copied() else { return };
            let outcome = run(seed);
            if let Err(broken) = &outcome {
                println!("seed {seed}: {broken}\n  {}", repeat(seed));
            } else if at == 0 {
                assert_eq!(outcome, run(seed), "the same seed gives the same trace");
            }
            report.lock().unwrap().add(seed, outcome);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    let report = report.into_inner().unwrap();
    println!("{} worlds in {:.1} s: {:#?}", report.worlds, start.elapsed().as_secs_f64(), report.tally);
    assert!(report.broken.is_empty(), "{:?}", report.broken.keys());
    assert_eq!(report.worlds, seeds.len() as u64);
}

#[test]
fn memory_of_a_thread_is_counted() {
    let watch = Watch::begin();
    let held = vec![1_u8; 1 << 20];
    assert!(watch.more() >= 1 << 20, "{}", held.len());
    drop(held);
    assert!(watch.more() < 1 << 19 && watch.peak() >= 1 << 20);
}

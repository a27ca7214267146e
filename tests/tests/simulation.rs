//! Worlds that try to break the book: as many as fit into some time. More of them, one again, and bugs planted on
//! purpose: `cargo run --release -p daybook-tests -- sim`. Always the same worlds, from seed 0 on; `DAYBOOK_SEED=7` runs one
//! alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_tests::memory::{Counting, Watch};
use daybook_tests::sim::command::{Report, repeat, run};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[global_allocator]
static MEMORY: Counting = Counting;

/// Worlds at least, however slow the machine is.
const WORLDS_MIN: u64 = 4;
/// No world begins after this time.
const TIME: Duration = Duration::from_secs(20);

#[test]
fn no_world_breaks_what_must_hold() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let (first, most) = match number("DAYBOOK_SEED") {
        Some(seed) => (seed, 1),
        None => (0, 10),
    };
    let (start, next, report) = (Instant::now(), AtomicU64::new(0), Mutex::new(Report::default()));
    let work = || {
        loop {
            let done = next.fetch_add(1, Ordering::Relaxed);
            if done >= most || (done >= WORLDS_MIN && start.elapsed() > TIME) {
                return;
            }
            let outcome = run(first + done);
            if let Err(broken) = &outcome {
                println!("seed {}: {broken}\n  {}", first + done, repeat(first + done));
            } else if done == 0 {
                assert_eq!(outcome, run(first), "the same seed gives the same trace");
            }
            report.lock().unwrap().add(first + done, outcome);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    let report = report.into_inner().unwrap();
    println!("{} worlds in {:.1} s: {:#?}", report.worlds, start.elapsed().as_secs_f64(), report.tally);
    assert!(report.broken.is_empty(), "{:?}", report.broken.keys());
    assert!(report.worlds >= WORLDS_MIN.min(most));
}

#[test]
fn memory_of_a_thread_is_counted() {
    let watch = Watch::begin();
    let held = vec![1_u8; 1 << 20];
    assert!(watch.more() >= 1 << 20, "{}", held.len());
    drop(held);
    assert!(watch.more() < 1 << 19 && watch.peak() >= 1 << 20);
}

//! Properties tried for many seeds: on all cores, and one that fails prints the line that repeats it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

/// Runs `case` for the seeds from 0 up to `cases`. `DAYBOOK_SEED=7` runs that one alone, `DAYBOOK_CASES=2000` more
/// or fewer; `test` is the name of the file of the test.
///
/// # Panics
/// As the first case that fails does.
pub fn each(test: &str, cases: u64, case: impl Fn(u64) + Sync) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    if let Some(seed) = number("DAYBOOK_SEED") {
        return case(seed);
    }
    all(test, number("DAYBOOK_CASES").unwrap_or(cases), case);
}

fn all(test: &str, cases: u64, case: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= cases {
                return Ok(());
            }
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| case(seed))) {
                eprintln!("repeat: DAYBOOK_SEED={seed} cargo test -p daybook-tests --test {test}");
                next.store(cases, Ordering::Relaxed);
                return Err(panic);
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let results: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker catches its panics")).collect()
    });
    for result in results {
        if let Err(panic) = result {
            resume_unwind(panic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    #[test]
    fn every_seed_is_tried_once_and_a_failure_is_not_lost() {
        let tried = Mutex::new(Vec::new());
        all("none", 50, |seed| tried.lock().unwrap().push(seed));
        let tried = tried.into_inner().unwrap();
        assert_eq!((tried.len(), tried.into_iter().collect::<BTreeSet<_>>()), (50, (0..50).collect()));
        assert!(catch_unwind(|| all("none", 50, |seed| assert_ne!(seed, 31))).is_err());
    }
}

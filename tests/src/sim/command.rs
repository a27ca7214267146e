//! The program: `sim` runs worlds and says what was broken, and which one line repeats it.

use super::{Broken, Outcome, Tally, World};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// How the command is called.
pub const USAGE: &str = "\
sim --seeds N [--from SEED]   run N worlds and check that all that may happen does
sim --seed SEED               run one world twice, and print the hash of all that happened
sim --mutants [--seeds N]     plant one bug after the other, and name the seed that finds each";

/// What must happen in two hundred worlds and more.
pub const HAPPENS: &[&str] = &[
    "attacks",
    "bars",
    "bars lifted",
    "bombs",
    "chains",
    "changed runs",
    "claims of what is not held",
    "clocks set",
    "clones",
    "concurrent counts",
    "concurrent values",
    "control entries without right",
    "copies",
    "crashes",
    "crashes before posting",
    "cuts",
    "damaged files refused",
    "damaged files taken in part",
    "double dispenses",
    "endorsed entries",
    "endorsed grants",
    "endorsed logs",
    "entries dated years off",
    "entries in a wrong lane",
    "entries that wait",
    "entries under no key",
    "equivocations",
    "erased entries",
    "failed writes",
    "failing disks",
    "files again",
    "files taken",
    "floods",
    "forged runs",
    "forks",
    "gaps",
    "implausible times",
    "long partitions",
    "looks without news",
    "loose runs taken",
    "meetings",
    "meetings with a hostile member",
    "mutated bodies",
    "newcomers",
    "partitions",
    "phones lost for ever",
    "pieces changed",
    "pieces late",
    "pieces lost",
    "pieces short",
    "pieces twice",
    "power lost on a failing disk",
    "races of revokes",
    "receipts looked at",
    "repeated runs",
    "replaced",
    "replayed bodies",
    "restarts",
    "restarts in a meeting",
    "revokes",
    "revokes at a book",
    "runs lost",
    "runs that join nothing",
    "runs twice",
    "runs without bodies",
    "silences",
    "stars",
    "withheld logs",
    "worlds of many devices",
    "worlds of meetings only",
    "worlds where all meet all",
    "worlds where disks fail",
    "worlds where the office has a book",
    "worlds where members come and go",
    "worlds with hostile members",
    "worlds with relays",
];

/// Worlds from which on all of [`HAPPENS`] must have happened.
pub const WORLDS_FOR_ALL: u64 = 200;

/// A folder of this process for the books of worlds; they lie in memory, but their names need a place.
fn folder(seed: u64) -> PathBuf {
    crate::history::scratch().join(format!("daybook-sim-{}-{seed}", std::process::id()))
}

/// Runs the world of a seed.
///
/// # Errors
/// What was broken.
pub fn run(seed: u64) -> Result<Outcome, Broken> {
    let folder = folder(seed);
    let outcome = World::run(seed, &folder);
    let _ = std::fs::remove_dir_all(folder);
    outcome
}

/// What many worlds come to.
#[derive(Debug, Default)]
pub struct Report {
    /// Worlds that were run.
    pub worlds: u64,
    /// How often what happened in them.
    pub tally: Tally,
    /// What was broken, by seed.
    pub broken: BTreeMap<u64, Broken>,
}

impl Report {
    /// Adds the outcome of a seed.
    pub fn add(&mut self, seed: u64, outcome: Result<Outcome, Broken>) {
        self.worlds += 1;
        match outcome {
            Ok(outcome) => {
                for (what, count) in outcome.tally {
                    *self.tally.entry(what).or_default() += count;
                }
            }
            Err(broken) => {
                self.broken.insert(seed, broken);
            }
        }
    }

    /// What should have happened in so many worlds and did not.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        if self.worlds < WORLDS_FOR_ALL || !self.broken.is_empty() {
            return Vec::new();
        }
        HAPPENS.iter().copied().filter(|what| !self.tally.contains_key(what)).collect()
    }
}

/// The line that repeats a seed.
#[must_use]
pub fn repeat(seed: u64) -> String {
    format!("repeat: cargo run --release -p daybook-tests -- sim --seed {seed}")
}

/// Runs the command.
#[must_use]
pub fn main(arguments: &[&str]) -> ExitCode {
    let number = |text: &str| text.parse::<u64>().ok();
    match arguments {
        ["--seeds", count] if number(count).is_some() => seeds(0, number(count).unwrap_or(0)),
        ["--seeds", count, "--from", from] => match (number(count), number(from)) {
            (Some(count), Some(from)) => seeds(from, count),
            _ => usage(),
        },
        #[cfg(feature = "mutants")]
        ["--mutants"] => super::mutants::main(super::mutants::SEEDS_MAX, None),
        #[cfg(feature = "mutants")]
        ["--mutants", "--seeds", count] if number(count).is_some() => {
            super::mutants::main(number(count).unwrap_or(0), None)
        }
        #[cfg(feature = "mutants")]
        ["--mutants", name] => super::mutants::main(super::mutants::SEEDS_MAX, Some(name)),
        #[cfg(not(feature = "mutants"))]
        ["--mutants", ..] => {
            eprintln!(
                "bugs can be planted in a program of their own: cargo run --release -p daybook-tests --features mutants -- sim --mutants"
            );
            ExitCode::from(2)
        }
        ["--seed", seed] if number(seed).is_some() => one(number(seed).unwrap_or(0)),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn seeds(from: u64, count: u64) -> ExitCode {
    let (start, mut report) = (Instant::now(), Report::default());
    for seed in from..from + count {
        let outcome = run(seed);
        if let Err(broken) = &outcome {
            println!("seed {seed}: {broken}\n  {}", repeat(seed));
        }
        report.add(seed, outcome);
    }
    for (what, count) in &report.tally {
        println!("{count:>10}  {what}");
    }
    let missing = report.missing();
    for what in &missing {
        println!("never happened: {what}");
    }
    println!("{} worlds in {:.1} s, {} broken", report.worlds, start.elapsed().as_secs_f64(), report.broken.len());
    ExitCode::from(u8::from(!report.broken.is_empty() || !missing.is_empty()))
}

fn one(seed: u64) -> ExitCode {
    match (run(seed), run(seed)) {
        (Ok(outcome), Ok(again)) if outcome == again => {
            for (what, count) in &outcome.tally {
                println!("{count:>10}  {what}");
            }
            println!("trace {}", outcome.trace);
            ExitCode::SUCCESS
        }
        (Err(broken), Err(again)) if broken == again => {
            println!("seed {seed}: {broken}");
            ExitCode::FAILURE
        }
        (outcome, again) => {
            println!("seed {seed} is not the same twice:\n{outcome:?}\n{again:?}");
            ExitCode::FAILURE
        }
    }
}

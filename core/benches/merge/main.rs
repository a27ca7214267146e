//! Speed of the book on the workload `merge-1`, beside plain Automerge on the same changes in the same run.
//!
//! ```text
//! cargo bench -p daybook-core --bench merge -- [--only merge|stages|verify|keys|append|memory|import|sync|cores]...
//!                                              [--runs 5]
//!                                              [--entries 100000] [--dir PATH] [--full] [--json]
//! ```
//!
//! Pins itself to one core through `taskset` where there is one. `docs/performance.md` says what the figures
//! mean. `DAYBOOK_FHIR_DATA` names a folder of FHIR files for the import.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark stops at what cannot be, and prints figures"
)]

mod append;
mod automerge_sync;
mod book;
mod cores;
mod import;
mod keys;
mod measure;
mod meeting;
mod memory;
mod merge;
mod stages;

use daybook_tests::workload::{self, Workload};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// The heap in which the workload was generated is full of holes, in which the system's allocator searches long.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the command line asks for.
#[derive(Clone, Debug)]
pub struct Options {
    only: Vec<String>,
    /// How often each measurement is repeated.
    pub runs: usize,
    /// Entries of the workload.
    pub entries: usize,
    /// Where books are made: a disk, not memory.
    pub folder: PathBuf,
    /// The measurement of 1,000,000 entries too.
    pub full: bool,
    /// Longest time that one Automerge form may be expected to take.
    pub cap: Duration,
    json: bool,
}

impl Options {
    fn read() -> Self {
        let mut options = Self {
            only: Vec::new(),
            runs: 5,
            entries: 100_000,
            folder: PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
            full: false,
            cap: Duration::from_mins(2),
            json: false,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut number = || words.next().and_then(|n| n.replace('_', "").parse::<usize>().ok()).expect("a number");
            match word.as_str() {
                "--runs" => options.runs = number().max(1),
                "--entries" => options.entries = number(),
                "--cap" => options.cap = Duration::from_secs(number() as u64),
                "--only" => options.only.push(words.next().expect("a name")),
                "--dir" => options.folder = PathBuf::from(words.next().expect("a path")),
                "--full" => options.full = true,
                "--json" => options.json = true,
                // What cargo adds.
                "--bench" => {}
                other => panic!("unknown option {other}; see the head of core/benches/merge/main.rs"),
            }
        }
        options
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|o| o == name)
    }

    /// Prints a line for people; with `--json` only the last object is printed.
    pub fn say(&self, line: &str) {
        if !self.json {
            println!("{line}");
        }
    }
}

fn main() {
    if memory::is_child() {
        return memory::child();
    }
    if meeting::is_child() {
        return meeting::child();
    }
    // Two processes meet on two cores, and one core is measured beside all; everything else is measured on one.
    let options = Options::read();
    if options.only == ["sync"] {
        let met = meeting::measure(&options);
        if options.json {
            println!("{met}");
        }
        return;
    }
    if options.only == ["cores"] {
        let measured = cores::measure(&options);
        if options.json {
            println!("{measured}");
        }
        return;
    }
    let pinned = measure::pin();
    let mut results = Map::new();
    results.insert("pinned".into(), json!(pinned));
    options.say(&format!(
        "{} on {}, {}",
        workload::NAME,
        measure::machine(),
        if pinned { "pinned to one core" } else { "NOT pinned: run under `taskset -c 0`" }
    ));
    if options.wants("keys") {
        results.insert("keys".into(), keys::measure(&options));
    }
    if ["merge", "stages", "verify"].iter().any(|name| options.wants(name)) {
        let workload = generate(&options, &mut results);
        if options.wants("stages") {
            results.insert("stages".into(), stages::measure(&options, &workload));
        }
        if options.wants("verify") {
            results.insert("verify".into(), keys::verification(&options, &workload));
        }
        if options.wants("merge") {
            results.insert("merge".into(), merge::measure(&options, &workload));
        }
    }
    if options.wants("append") {
        results.insert("append".into(), append::measure(&options));
    }
    if options.wants("memory") {
        results.insert("memory".into(), memory::measure(&options));
    }
    if options.wants("import") {
        results.insert("import".into(), import::measure(&options));
    }
    if options.json {
        println!("{}", Value::Object(results));
    }
}

fn generate(options: &Options, results: &mut Map<String, Value>) -> Workload {
    let workload = Workload::generate(options.entries, true);
    let counts = workload.counts;
    let bytes: usize = workload.runs.iter().map(Vec::len).sum();
    options.say(&format!(
        "  {} entries: {} registrations, {} edits ({} lack a head, {} of those touch what they missed), {} observations, {} dispenses, {} allergies",
        counts.total(), counts.registrations, counts.edits, counts.stale, counts.touching, counts.observations,
        counts.dispenses, counts.allergies
    ));
    options.say(&format!(
        "  {} runs, {:.1} MiB ({:.0} bytes an entry), bodies {:.0} bytes in the mean, hash {}",
        workload.runs.len(),
        bytes as f64 / 1_048_576.0,
        bytes as f64 / counts.total() as f64,
        workload.body_bytes_mean,
        workload.hash
    ));
    results.insert(
        "workload".into(),
        json!({"name": workload::NAME, "hash": workload.hash, "entries": counts.total(), "run_bytes": bytes}),
    );
    workload
}

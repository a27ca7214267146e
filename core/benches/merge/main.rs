//! Speed of the book on the workload `merge-1`, beside plain Automerge on the same changes in the same run.
//!
//! ```text
//! cargo bench -p daybook-core --bench merge -- [--only PART]... [--full] [--json] [--plot FILE.svg]
//!                                              [--runs 5] [--entries 100000] [--dir PATH] [--cap SECONDS]
//! parts: stages merge verify keys judging append search memory import, each on one core; cores sync, on all
//! ```
//!
//! Without `--only` all parts are measured, and one table says what is held of what was promised. `--full` adds
//! 1,000,000 entries to `memory`. With `--json` the last line is one object with all figures; what people read goes
//! to stderr.
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
mod judging;
mod keys;
mod measure;
mod meeting;
mod memory;
mod merge;
mod opening;
mod plot;
mod report;
mod search;
mod stages;
mod upkeep;

use daybook_tests::workload::{self, Workload};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The heap in which the workload was generated is full of holes, in which the system's allocator searches long.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Parts that run pinned to one core.
const ON_ONE_CORE: [&str; 9] = ["stages", "merge", "verify", "keys", "judging", "append", "search", "memory", "import"];
/// Parts that need all cores.
const ON_ALL_CORES: [&str; 2] = ["cores", "sync"];

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
    plot: Option<PathBuf>,
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
            plot: None,
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
                "--plot" => options.plot = Some(PathBuf::from(words.next().expect("a path"))),
                "--full" => options.full = true,
                "--json" => options.json = true,
                // What cargo adds.
                "--bench" => {}
                other => panic!("unknown option {other}; see the head of core/benches/merge/main.rs"),
            }
        }
        for part in &options.only {
            let known = ON_ONE_CORE.iter().chain(&ON_ALL_CORES).any(|known| known == part);
            assert!(known, "unknown part {part}; see the head of core/benches/merge/main.rs");
        }
        options
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|o| o == name)
    }

    /// Prints a line for people; to stderr where a program reads what is measured.
    pub fn say(&self, line: &str) {
        if self.json { eprintln!("{line}") } else { println!("{line}") }
    }
}

fn main() {
    if memory::is_child() {
        return memory::child();
    }
    if append::is_child() {
        return append::child();
    }
    if meeting::is_child() {
        return meeting::child();
    }
    let options = Options::read();
    let all = ON_ALL_CORES.iter().any(|part| options.wants(part));
    let one = ON_ONE_CORE.iter().any(|part| options.wants(part));
    // Two processes meet on two cores, and one core is measured beside all; everything else is measured on one.
    let mut results = match (one, all) {
        (true, false) => on_one_core(&options),
        (true, true) => in_a_process_of_its_own(&options),
        (false, _) => Map::new(),
    };
    if all && options.wants("cores") {
        results.insert("cores".into(), cores::measure(&options));
    }
    if all && options.wants("sync") {
        results.insert("sync".into(), meeting::measure(&options));
    }
    let mut results = Value::Object(results);
    // The one that started it prints what this one measured.
    if std::env::var_os(PART).is_none() {
        report::join(&mut results);
        let rows = report::rows(&results);
        report::print(&options, &rows);
        if let Some(path) = &options.plot {
            std::fs::write(path, plot::svg(&results)).expect("the plot");
        }
        results["rows"] = rows.iter().map(report::Row::to_json).collect();
    }
    if options.json {
        println!("{results}");
    }
}

/// Set for the process that measures what belongs on one core.
const PART: &str = "DAYBOOK_BENCH_PART";

/// Measures what belongs on one core in another process, which pins itself.
fn in_a_process_of_its_own(options: &Options) -> Map<String, Value> {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    let number = |n: usize| n.to_string();
    command.env(PART, "1").stderr(Stdio::inherit()).arg("--json").arg("--dir").arg(&options.folder);
    command.args(["--runs", &number(options.runs), "--entries", &number(options.entries)]);
    command.args(["--cap", &options.cap.as_secs().to_string()]);
    command.args(options.full.then_some("--full"));
    for part in ON_ONE_CORE.iter().filter(|part| options.wants(part)) {
        command.args(["--only", part]);
    }
    let output = command.output().expect("another process");
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(said.lines().last().unwrap_or_default()).expect("figures of the other process")
}

/// Measures one part.
type Part = fn(&Options) -> Value;

/// Pins this process and measures what belongs on one core.
fn on_one_core(options: &Options) -> Map<String, Value> {
    let pinned = measure::pin();
    let mut results = Map::new();
    results.insert("pinned".into(), json!(pinned));
    results.insert("machine".into(), json!(measure::machine()));
    options.say(&format!(
        "{} on {}, {}",
        workload::NAME,
        measure::machine(),
        if pinned { "pinned to one core" } else { "NOT pinned: run under `taskset -c 0`" }
    ));
    if options.wants("keys") {
        results.insert("keys".into(), keys::measure(options));
    }
    if ["merge", "stages", "verify"].iter().any(|name| options.wants(name)) {
        let workload = generate(options, &mut results);
        if options.wants("stages") {
            results.insert("stages".into(), stages::measure(options, &workload));
        }
        if options.wants("verify") {
            results.insert("verify".into(), upkeep::measure(options, &workload));
        }
        if options.wants("merge") {
            results.insert("merge".into(), merge::measure(options, &workload));
        }
    }
    let parts: [(&str, Part); 5] = [
        ("judging", judging::measure),
        ("append", append::measure),
        ("search", search::measure),
        ("memory", memory::measure),
        ("import", import::measure),
    ];
    for (name, measure) in parts {
        if options.wants(name) {
            results.insert(name.into(), measure(options));
        }
    }
    results
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

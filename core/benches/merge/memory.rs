//! Peak memory of a process that takes a workload in from a file and nothing else.

use super::measure::{bytes_in, forget_peak, median, peak_memory, took};
use super::{Options, book, opening};
use daybook_core::roster::Role;
use daybook_tests::workload::{self, Workload};
use daybook_tests::world::World;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::Command;

/// Names the file for the child.
pub const CHILD: &str = "DAYBOOK_BENCH_CHILD";
/// Most repetitions; of each figure the median counts.
const RUNS_MAX: usize = 3;
const MIB: f64 = 1_048_576.0;

pub fn measure(options: &Options) -> Value {
    let sizes: &[usize] = if options.full { &[10_000, 100_000, 1_000_000] } else { &[10_000, options.entries] };
    let mut results = Vec::new();
    for size in sizes {
        let folder = tempfile::tempdir_in(&options.folder).expect("a folder");
        let file = folder.path().join("runs");
        write(&file, *size);
        let children: Vec<Value> = (0..options.runs.min(RUNS_MAX)).map(|_| run(&file)).collect();
        let mut child = children[0].clone();
        for name in ["peak", "peak_with_opening", "wall_s", "cpu_s"] {
            child[name] = json!(median(children.iter().filter_map(|child| child[name].as_f64())));
        }
        child["opening"] = opening::measure(&file.with_extension("book"));
        let figure = |name: &str| child.pointer(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
        options.say(&format!(
            "memory: {size} entries: peak {:.1} MiB ({:.1} MiB with opening the book, whose passphrase takes 64), {:.0} entries/s wall, {:.0} by cpu, {:.0} bytes an entry on disk",
            figure("/peak") / MIB, figure("/peak_with_opening") / MIB, *size as f64 / figure("/wall_s"),
            *size as f64 / figure("/cpu_s"), figure("/on_disk") / *size as f64
        ));
        options.say(&format!(
            "  opened in {:.3} s with nothing of it in memory, again in {:.3} s; the passphrase takes {:.2} s before",
            figure("/opening/open_s"),
            figure("/opening/open_again_s"),
            figure("/opening/passphrase_s")
        ));
        results.push(child);
    }
    let of = |at: usize, name: &str| results.get(at).and_then(|one| one[name].as_f64()).unwrap_or(f64::NAN);
    let last = results.len() - 1;
    let each = |at: usize| of(at, "cpu_s") / of(at, "entries");
    let (growth, peaks) = (each(last) / each(0), of(last, "peak") / of(1, "peak"));
    options.say(&format!(
        "  an entry of the largest costs {growth:.2}x one of the smallest by cpu; RATIO of the peak to that at {:.0}: {peaks:.2}x",
        of(1, "entries")
    ));
    json!({"sizes": results, "growth": growth, "growth_from_second": each(last) / each(1), "peaks": peaks})
}

/// Takes the file in anew in a process of its own; its book stays.
fn run(file: &Path) -> Value {
    let book = file.with_extension("book");
    if book.exists() {
        std::fs::remove_dir_all(book).expect("a book");
    }
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program).env(CHILD, file).output().expect("a child");
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(said.lines().last().unwrap_or_default())
        .unwrap_or_else(|_| panic!("the child failed: {said} {}", String::from_utf8_lossy(&output.stderr)))
}

/// Writes the runs of a workload, each behind its length.
pub fn write(path: &Path, entries: usize) {
    let workload = Workload::generate(entries, false);
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    for run in &workload.runs {
        file.write_all(&u32::try_from(run.len()).expect("a short run").to_le_bytes()).expect("written");
        file.write_all(run).expect("written");
    }
    file.flush().expect("written");
}

pub fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Takes in the file that the parent names and prints one object.
pub fn child() {
    let path = std::env::var_os(CHILD).expect("a path");
    let path = Path::new(&path);
    // The keys of the world come from the seed alone; what was written is in the file.
    let world = World::new(workload::SEED, workload::AUTHORS, Role::Clinician);
    let folder = path.with_extension("book");
    let mut book = book::empty(&world, &folder);
    let opening = peak_memory();
    forget_peak();
    let mut file = BufReader::new(File::open(path).expect("the parent's file"));
    let (new, time) = took(|| book::fill(&mut book, &mut std::iter::from_fn(|| next(&mut file))));
    let peak = peak_memory();
    let on_disk_open = bytes_in(&folder);
    drop(book);
    let result = json!({
        "entries": new, "peak": peak, "peak_with_opening": peak.max(opening), "wall_s": time.wall.as_secs_f64(),
        "cpu_s": time.all_cpu.as_secs_f64(), "main_cpu_s": time.cpu.as_secs_f64(), "on_disk": bytes_in(&folder), "on_disk_open": on_disk_open,
    });
    println!("{result}");
}

fn next(file: &mut impl Read) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    file.read_exact(&mut length).ok()?;
    let mut run = vec![0; u32::from_le_bytes(length) as usize];
    file.read_exact(&mut run).expect("a whole run");
    Some(run)
}

//! Latency of one edit through the facade, beside a bare write of 4 KiB made durable in the same folder.

use super::measure::{median, p95, took};
use super::{Options, book};
use daybook_core::daybook::Daybook;
use daybook_core::id::PatientId;
use daybook_core::record::{Setting, Telecom};
use daybook_tests::host::SeededHost;
use daybook_tests::workload::Workload;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Names the folder for the child.
const CHILD: &str = "DAYBOOK_BENCH_APPENDS";
/// Edits measured, each beside both bare writes.
const EDITS: usize = 400;
/// Edits before the first that counts.
const WARM_UP: usize = 20;
/// Entries in the book.
const ENTRIES: usize = 10_000;
const BLOCK: [u8; 4_096] = [0x5a; 4_096];
/// Blocks of the file that is written over.
const BLOCKS: u64 = 1_024;

pub fn measure(options: &Options) -> Value {
    let workload = Workload::generate(ENTRIES, false);
    let folder = tempfile::tempdir_in(&options.folder).expect("a folder");
    let mut book = book::empty(&workload.world, &folder.path().join("book"));
    book::fill(&mut book, &mut workload.runs.iter().cloned());
    drop(book);
    let patients: Vec<String> = workload.patients.iter().map(PatientId::to_hex).collect();
    std::fs::write(folder.path().join("patients"), patients.join("\n")).expect("written");
    // In a process of its own, as people write: the memory of the one that made the workload is full of holes.
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program).env(CHILD, folder.path()).stderr(Stdio::inherit()).output().expect("a child");
    let said = String::from_utf8_lossy(&output.stdout);
    let child: Value = serde_json::from_str(said.lines().last().unwrap_or_default()).expect("figures of the child");
    let figure = |name: &str| child[name].as_f64().unwrap_or(f64::NAN);
    options.say(&format!("append: one edit in a book of {ENTRIES} entries, median of {EDITS}"));
    for (name, of) in [("edit", "edit"), ("4 KiB in place", "in_place"), ("4 KiB at the end", "at_end")] {
        let (middle, most) = (figure(&format!("{of}_ms")), figure(&format!("{of}_p95_ms")));
        options.say(&format!("  {name:<18} {middle:>7.3} ms, 95 in 100 under {most:>7.3} ms"));
    }
    options.say(&format!("  of the edit on the processor, mean {:.3} ms", figure("edit_cpu_ms")));
    options.say(&format!(
        "  RATIO to the bare write: {:.2}x in place, {:.2}x at the end; of medians",
        figure("ratio_in_place"),
        figure("ratio_at_end")
    ));
    child
}

pub fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Edits the book in the folder that the parent names and prints one object.
pub fn child() {
    let folder = PathBuf::from(std::env::var_os(CHILD).expect("a path"));
    let ids = std::fs::read_to_string(folder.join("patients")).expect("the parent's file");
    let patients: Vec<PatientId> = ids.lines().map(|id| PatientId::from_hex(id).expect("an id")).collect();
    let host = Box::new(SeededHost::new(83));
    let mut book = Daybook::open(&folder.join("book"), book::PASSPHRASE, host).expect("a book");
    let mut over = prepared(&folder.join("over"));
    let mut growing = File::create(folder.join("growing")).expect("a file");
    let (mut edit, mut in_place, mut appended) = (Vec::new(), Vec::new(), Vec::new());
    let mut cpu = Duration::ZERO;
    for at in 0..WARM_UP + EDITS {
        let patient = patients[at * 7 % patients.len()];
        let number = format!("+23188{at:07}");
        let phone = Setting::Telecom(Telecom { system: "phone", value: &number }, Some("mobile"));
        let (edited, time) = took(|| book.edit_patient(patient, &[phone]));
        edited.expect("an edit");
        edit.push(time.wall.as_secs_f64() * 1e3);
        if at >= WARM_UP {
            cpu += time.cpu;
        }

        let block = at as u64 * 37 % BLOCKS;
        let start = Instant::now();
        over.seek(SeekFrom::Start(block * 4_096)).expect("a place");
        over.write_all(&BLOCK).expect("written");
        over.sync_data().expect("durable");
        in_place.push(start.elapsed().as_secs_f64() * 1e3);

        let start = Instant::now();
        growing.write_all(&BLOCK).expect("written");
        growing.sync_data().expect("durable");
        appended.push(start.elapsed().as_secs_f64() * 1e3);
    }
    for figures in [&mut edit, &mut in_place, &mut appended] {
        figures.drain(..WARM_UP);
    }
    let middle = |figures: &[f64]| median(figures.iter().copied());
    let result = json!({
        "edit_cpu_ms": cpu.as_secs_f64() * 1e3 / EDITS as f64,
        "edit_ms": middle(&edit), "edit_p95_ms": p95(&edit),
        "in_place_ms": middle(&in_place), "in_place_p95_ms": p95(&in_place),
        "at_end_ms": middle(&appended), "at_end_p95_ms": p95(&appended),
        "ratio_in_place": middle(&edit) / middle(&in_place), "ratio_at_end": middle(&edit) / middle(&appended),
    });
    println!("{result}");
}

/// A file whose blocks exist and are durable, so that writing over them changes no metadata but times.
fn prepared(path: &Path) -> File {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path).expect("a file");
    for _ in 0..BLOCKS {
        file.write_all(&BLOCK).expect("written");
    }
    file.sync_all().expect("durable");
    file
}

//! Latency of one edit through the facade, beside a bare write of 4 KiB made durable in the same folder.

use super::measure::{median, p95, took};
use super::{Options, book};
use daybook_core::record::{Setting, Telecom};
use daybook_tests::workload::Workload;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

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
    let mut over = prepared(&folder.path().join("over"));
    let mut growing = File::create(folder.path().join("growing")).expect("a file");
    let (mut edit, mut in_place, mut appended) = (Vec::new(), Vec::new(), Vec::new());
    let mut cpu = Duration::ZERO;
    for at in 0..WARM_UP + EDITS {
        let patient = workload.patients[at * 7 % workload.patients.len()];
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
    // A median of ratios of neighbours, so that what else the machine does falls on both.
    let ratio = |bare: &[f64]| median(edit.iter().zip(bare).map(|(e, b)| e / b));
    let of_medians = |bare: &[f64]| median(edit.iter().copied()) / median(bare.iter().copied());
    options.say(&format!("append: one edit in a book of {ENTRIES} entries, median of {EDITS}"));
    for (name, figures) in [("edit", &edit), ("4 KiB in place", &in_place), ("4 KiB at the end", &appended)] {
        options.say(&format!(
            "  {name:<18} {:>7.2} ms, 95 in 100 under {:>7.2} ms",
            median(figures.iter().copied()),
            p95(figures)
        ));
    }
    let cpu_ms = cpu.as_secs_f64() * 1e3 / EDITS as f64;
    options.say(&format!("  of the edit on the processor, mean {cpu_ms:.2} ms"));
    options.say(&format!(
        "  RATIO to the bare write: {:.2}x in place ({:.2}x of medians), {:.2}x at the end ({:.2}x of medians)",
        ratio(&in_place),
        of_medians(&in_place),
        ratio(&appended),
        of_medians(&appended)
    ));
    json!({
        "edit_cpu_ms": cpu_ms, "edit_ms": median(edit.iter().copied()), "edit_p95_ms": p95(&edit),
        "in_place_ms": median(in_place.iter().copied()), "at_end_ms": median(appended.iter().copied()),
        "ratio_in_place": of_medians(&in_place), "ratio_at_end": of_medians(&appended),
    })
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

//! Verifying a whole stored book, and making all that is shown of it anew.

use super::measure::{median, took};
use super::{Options, book};
use daybook_tests::workload::Workload;
use serde_json::{Value, json};

/// Verification of all stored entries, by the facade's way: pages, ids, chains, signatures; and the rebuild.
pub fn measure(options: &Options, workload: &Workload) -> Value {
    let folder = tempfile::tempdir_in(&options.folder).expect("a folder");
    let mut book = book::empty(&workload.world, &folder.path().join("book"));
    book::fill(&mut book, &mut workload.runs.iter().cloned());
    let (mut cpu, mut wall) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        let (report, time) = took(|| book.verify(&mut |_, _| {}).expect("readable"));
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        cpu.push(report.entries as f64 / time.cpu.as_secs_f64());
        wall.push(report.entries as f64 / time.wall.as_secs_f64());
    }
    let (cpu, wall) = (median(cpu), median(wall));
    options.say(&format!(
        "verify: {} stored entries, {cpu:.0}/s by processor, {wall:.0}/s by the wall, median of {}",
        workload.counts.total(),
        options.runs
    ));
    let (made, time) = took(|| book.rebuild(&mut |_, _| {}));
    made.expect("made anew");
    let rebuild = workload.counts.total() as f64 / time.wall.as_secs_f64();
    options.say(&format!("rebuild: {rebuild:.0} entries/s by the wall, {:.2} s", time.wall.as_secs_f64()));
    json!({
        "entries_per_s_cpu": cpu, "entries_per_s_wall": wall,
        "rebuild_s": time.wall.as_secs_f64(), "rebuild_entries_per_s": rebuild,
    })
}

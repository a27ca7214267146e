//! The whole way: verify, open, merge, post, durable; beside Automerge's sync protocol, in memory.

use super::automerge_sync::{self, Form, Senders};
use super::measure::{Took, bytes_in, median, took};
use super::{Options, book};
use daybook_tests::workload::Workload;
use serde_json::{Value, json};
use std::time::Duration;

/// Size of the slice on which a form is tried first.
const SLICE: usize = 10_000;

pub fn measure(options: &Options, workload: &Workload) -> Value {
    let entries = workload.counts.total();
    let rate = |wall: f64| entries as f64 / wall;
    options.say(&format!("merge of {entries} entries, {} runs each", options.runs));

    let mut forms: Vec<(Form, Senders)> = Vec::new();
    for form in [Form::PerPatient, Form::One, Form::PerPatientBytes, Form::OneBytes] {
        let expected = expected(form, entries);
        if expected > options.cap {
            options.say(&format!("  {}: left out, about {expected:.0?} expected by a slice", form.name()));
            continue;
        }
        let senders = Senders::build(form, &workload.history);
        options.say(&format!(
            "  {}: sender built (changes applied in one batch a document): {:.1} µs a change",
            form.name(),
            senders.applied.as_secs_f64() * 1e6 / entries as f64
        ));
        forms.push((form, senders));
    }

    let slice = workload.history.get(..SLICE).unwrap_or(&workload.history);
    let mut applying = serde_json::Map::new();
    for form in [Form::PerPatient, Form::One] {
        let (batched, alone) = automerge_sync::applying(form, slice);
        options.say(&format!(
            "  {}: {} changes applied, {batched:.1} µs a change in one batch a document, {alone:.1} one by one",
            form.name(),
            slice.len()
        ));
        applying.insert(form.name().into(), json!({"batched_us": batched, "one_by_one_us": alone}));
    }

    let mut ours: Vec<Took> = Vec::new();
    let mut theirs: Vec<Vec<automerge_sync::Synced>> = vec![Vec::new(); forms.len()];
    let mut on_disk = 0;
    for run in 0..options.runs {
        let (one, bytes) = ingest(options, workload);
        options.say(&line("daybook", run, rate(one.wall.as_secs_f64()), one, None));
        ours.push(one);
        on_disk = bytes;
        for ((form, senders), results) in forms.iter_mut().zip(&mut theirs) {
            let synced = automerge_sync::sync(senders, entries);
            let rate = rate(synced.took.wall.as_secs_f64());
            options.say(&line(form.name(), run, rate, synced.took, Some(synced.receiver)));
            results.push(synced);
        }
    }
    let mut summary = summary(options, entries, &ours, &forms, &theirs, on_disk);
    summary["applying"] = Value::Object(applying);
    summary
}

fn line(name: &str, run: usize, rate: f64, took: Took, receiver: Option<Duration>) -> String {
    let receiver = receiver.map(|r| format!(", receiver alone {r:.2?}")).unwrap_or_default();
    format!(
        "    run {run} {name:>28}: {rate:>8.0} entries/s  wall {:.2?} cpu {:.2?}{receiver}",
        took.wall, took.all_cpu
    )
}

/// How long a form will take, from a slice; it may grow faster, so twice as many are tried first.
fn expected(form: Form, entries: usize) -> Duration {
    let one = |entries: usize| {
        let slice = Workload::generate(entries, true);
        let mut senders = Senders::build(form, &slice.history);
        automerge_sync::sync(&mut senders, slice.counts.total()).took.wall.as_secs_f64() + senders.applied.as_secs_f64()
    };
    if entries <= SLICE * 2 {
        return Duration::ZERO;
    }
    let (small, large) = (one(SLICE), one(SLICE * 2));
    let power = (large / small).log2().max(1.0);
    Duration::from_secs_f64(small * (entries as f64 / SLICE as f64).powf(power))
}

/// Takes the workload into a new book; also says how large the book is when it is closed.
fn ingest(options: &Options, workload: &Workload) -> (Took, u64) {
    let folder = tempfile::tempdir_in(&options.folder).expect("a folder");
    let folder = folder.path().join("book");
    let mut book = book::empty(&workload.world, &folder);
    let (new, time) = took(|| book::fill(&mut book, &mut workload.runs.iter().cloned()));
    assert_eq!(new, workload.counts.total() as u64);
    let status = book.status().expect("a status");
    assert_eq!(status.patients, workload.patients.len() as u64);
    assert_eq!(status.entries.accepted, status.entries.total, "{:?}", status.entries);
    drop(book);
    (time, bytes_in(&folder))
}

fn summary(
    options: &Options,
    entries: usize,
    ours: &[Took],
    forms: &[(Form, Senders)],
    theirs: &[Vec<automerge_sync::Synced>],
    on_disk: u64,
) -> Value {
    let secs = |d: Duration| d.as_secs_f64();
    let wall = median(ours.iter().map(|t| secs(t.wall)));
    let cpu = median(ours.iter().map(|t| secs(t.all_cpu)));
    options.say(&format!(
        "  daybook                     {:>8.0} entries/s (cpu alone {:.0}), {:.1} µs an entry, {:.0} bytes an entry on disk",
        entries as f64 / wall, entries as f64 / cpu, wall * 1e6 / entries as f64, on_disk as f64 / entries as f64
    ));
    let mut baselines = Vec::new();
    // With facts as maps of fields, and with facts as bytes too.
    let mut lowest = [[f64::INFINITY; 3]; 2];
    for ((form, _), synced) in forms.iter().zip(theirs) {
        let of_both = median(synced.iter().map(|s| secs(s.took.wall)));
        let of_receiver = median(synced.iter().map(|s| secs(s.receiver)));
        // Ratios of one run each, so that what else the machine does falls on both.
        let pairs = || ours.iter().zip(synced);
        let ratios = [
            median(pairs().map(|(o, s)| secs(s.took.wall) / secs(o.wall))),
            median(pairs().map(|(o, s)| secs(s.receiver) / secs(o.wall))),
            median(pairs().map(|(o, s)| secs(s.took.all_cpu) / secs(o.all_cpu))),
        ];
        // The first counts the forms with fields, the second all.
        for lowest in &mut lowest[usize::from(!form.fields())..] {
            for (low, ratio) in lowest.iter_mut().zip(ratios) {
                *low = low.min(ratio);
            }
        }
        let wire = synced.first().map_or(0, |s| s.wire_bytes);
        options.say(&format!(
            "  {:<27} {:>8.0} changes/s both sides, {:>8.0} receiver alone; {:.0} bytes a change on the wire; daybook is {:.2}x of both sides, {:.2}x of the receiver, {:.2}x by cpu",
            form.name(), entries as f64 / of_both, entries as f64 / of_receiver, wire as f64 / entries as f64,
            ratios[0], ratios[1], ratios[2]
        ));
        baselines.push(json!({
            "form": form.name(), "changes_per_s": entries as f64 / of_both, "wire_bytes": wire,
            "receiver_changes_per_s": entries as f64 / of_receiver,
            "ratio": ratios[0], "ratio_receiver": ratios[1], "ratio_cpu": ratios[2],
        }));
    }
    for (lowest, which) in lowest.iter().zip(["facts as maps of fields", "of all four"]) {
        options.say(&format!(
            "  RATIO to the faster Automerge form, {which}, median of {}: {:.2}x both sides, {:.2}x receiver alone, {:.2}x by cpu",
            ours.len(), lowest[0], lowest[1], lowest[2]
        ));
    }
    json!({
        "entries_per_s": entries as f64 / wall, "entries_per_cpu_s": entries as f64 / cpu,
        "bytes_on_disk_per_entry": on_disk as f64 / entries as f64, "automerge": baselines,
        "ratio": lowest[0][0], "ratio_receiver": lowest[0][1], "ratio_cpu": lowest[0][2],
        "ratio_opaque": lowest[1][0], "ratio_opaque_receiver": lowest[1][1], "ratio_opaque_cpu": lowest[1][2],
    })
}

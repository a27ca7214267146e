//! What each station costs: the facade's way once more, from the public pieces, with a clock around each.

use super::measure::{into, took};
use super::{Options, book};
use daybook_core::clock::Host;
use daybook_core::crypto::{DatabaseKey, Place};
use daybook_core::entry::Sealed;
use daybook_core::limits::ENTRIES_PER_POSTING_MAX;
use daybook_core::log::{Run, VerifiedRun};
use daybook_core::merge::{self, Backlog, Intake, Keyring, Logs, judge};
use daybook_core::store::{EntryKey, Store, StoreError};
use daybook_core::view;
use daybook_tests::host::SeededHost;
use daybook_tests::workload::Workload;
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Default)]
struct Spent {
    verify: Duration,
    open: Duration,
    judge: Duration,
    append: Duration,
    take_in: Duration,
    ingest_commit: Duration,
    post: Duration,
    post_commit: Duration,
}

pub fn measure(options: &Options, workload: &Workload) -> Value {
    let entries = workload.counts.total();
    let ring = workload.world.ring();
    let mut spent = Spent::default();
    let (postings, whole) = took(|| run(options, workload, &ring, &mut spent));
    let per_entry = |d: Duration| d.as_secs_f64() * 1e6 / entries as f64;
    let rows = [
        ("read and verify (BLAKE3, Ed25519)", per_entry(spent.verify)),
        ("append (entry and head rows)", per_entry(spent.append)),
        ("open (XChaCha20-Poly1305, nonce)", per_entry(spent.open)),
        ("judge without opening (rights, decode)", per_entry(spent.judge.saturating_sub(spent.open))),
        ("operations held", per_entry(spent.take_in.saturating_sub(spent.judge))),
        ("commit of what came", per_entry(spent.ingest_commit)),
        ("posting", per_entry(spent.post)),
        ("commit of postings", per_entry(spent.post_commit)),
    ];
    options.say(&format!("stages, in µs of the processor an entry ({entries} entries, {postings} subjects posted)"));
    for (name, cost) in rows {
        options.say(&format!("  {name:<40} {cost:>7.2}"));
    }
    let sum: f64 = rows.iter().map(|(_, cost)| cost).sum();
    options.say(&format!(
        "  {:<40} {sum:>7.2}  (with both passes {:.2?} of the processor, {:.2?} by the wall)",
        "sum", whole.cpu, whole.wall
    ));
    rows.into_iter().map(|(name, cost)| json!({"stage": name, "us": cost})).collect()
}

fn run(options: &Options, workload: &Workload, ring: &Keyring, spent: &mut Spent) -> usize {
    let folder = tempfile::tempdir_in(&options.folder).expect("a folder");
    let mut host: Box<dyn Host> = Box::new(SeededHost::new(78));
    let key = DatabaseKey::random(host.as_mut());
    let tables = format!("{}{}", merge::SCHEMA, view::SCHEMA);
    let mut store = Store::create(&folder.path().join("book.db"), &key, &tables).expect("a file");
    let mut buffer = Vec::new();
    let mut logs = Logs::default();
    let mut backlog = Backlog::default();
    for batch in workload.runs.chunks(book::RUNS_PER_COMMIT) {
        let verified: Vec<VerifiedRun<'_>> = into(&mut spent.verify, || {
            let verified = batch.iter().map(|run| Run::read(run).and_then(|run| run.verify(&ring.incident)));
            verified.map(|run| run.expect("verified")).collect()
        });
        into(&mut spent.open, || verified.iter().for_each(|run| open_all(ring, run, &mut buffer)));
        into(&mut spent.judge, || verified.iter().for_each(|run| judge_all(ring, run, &mut buffer)));
        let mut inside = Duration::ZERO;
        let (written, whole) = took(|| {
            store.write(|tx| {
                into(&mut inside, || {
                    for run in &verified {
                        let appended = into(&mut spent.append, || Store::append(tx, run)).expect("appended");
                        if logs.get(appended.log).is_none() {
                            logs = Logs::load(tx)?;
                        }
                        into(&mut spent.take_in, || {
                            let mut intake = Intake::new(tx, ring, &mut backlog);
                            for entry in run.entries() {
                                let key = EntryKey::new(appended.log, entry.seq(), appended.branch);
                                intake.take((run.name(), run.log()), key, (entry.id(), entry.entry()))?;
                            }
                            Ok::<(), StoreError>(())
                        })?;
                    }
                    Ok::<(), StoreError>(())
                })
            })
        });
        written.expect("written");
        spent.ingest_commit += whole.cpu.saturating_sub(inside);
    }
    let mut postings = 0;
    loop {
        let mut inside = Duration::ZERO;
        let (posted, whole) = took(|| {
            store.write(|tx| into(&mut inside, || view::post(tx, &logs, &mut backlog, ENTRIES_PER_POSTING_MAX)))
        });
        let posted = posted.expect("posted");
        spent.post += inside;
        spent.post_commit += whole.cpu.saturating_sub(inside);
        postings += posted;
        if posted == 0 {
            return postings;
        }
    }
}

fn open_all(ring: &Keyring, run: &VerifiedRun<'_>, buffer: &mut Vec<u8>) {
    for entry in run.entries() {
        let place = Place { incident: ring.incident, log: run.log(), seq: entry.seq() };
        let (key, Sealed::Body(sealed)) = (&ring.keys[&entry.entry().ground.key], entry.entry().sealed) else {
            panic!("an erased entry");
        };
        key.open(&place, &entry.entry().nonce, sealed, buffer).expect("opened");
    }
}

fn judge_all(ring: &Keyring, run: &VerifiedRun<'_>, buffer: &mut Vec<u8>) {
    let name = run.name();
    let mut in_log = ring.roster.in_log(run.log(), name.device, name.compartment);
    for entry in run.entries() {
        let place = Place { incident: ring.incident, log: run.log(), seq: entry.seq() };
        let judged = judge(ring, (&mut in_log, name.lane), (&place, 0), (entry.id(), entry.entry()), buffer);
        assert!(matches!(judged, merge::Judged::Opened(_, None)), "{judged:?}");
    }
}

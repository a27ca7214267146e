//! What each station costs: the facade's way once more, from the public pieces, with a clock around each.

use super::measure::{into, took};
use super::{Options, book};
use daybook_core::clock::Host;
use daybook_core::crypto::DatabaseKey;
use daybook_core::limits::ENTRIES_PER_POSTING_MAX;
use daybook_core::log::CheckedRun;
use daybook_core::merge::{self, Backlog, Intake, Keyring, Logs, Openers, ReadRun, Room};
use daybook_core::store::{EntryKey, Pace, Store, StoreError};
use daybook_core::view;
use daybook_tests::host::SeededHost;
use daybook_tests::workload::Workload;
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Default)]
struct Spent {
    verify: Duration,
    read: Duration,
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
        ("open and understand (XChaCha20-Poly1305, nonce)", per_entry(spent.read.saturating_sub(spent.verify))),
        ("append (entry and head rows)", per_entry(spent.append)),
        ("judge (rights), operations held", per_entry(spent.take_in)),
        ("commit of what came", per_entry(spent.ingest_commit)),
        ("posting", per_entry(spent.post)),
        ("commit of postings", per_entry(spent.post_commit)),
    ];
    options.say(&format!("stages, in µs of the processor an entry ({entries} entries, {postings} subjects posted)"));
    for (name, cost) in rows {
        options.say(&format!("  {name:<48} {cost:>7.2}"));
    }
    let sum: f64 = rows.iter().map(|(_, cost)| cost).sum();
    options.say(&format!(
        "  {:<48} {sum:>7.2}  (with both passes {:.2?} of the processor, {:.2?} by the wall)",
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
    store.set_pace(Pace::Much).expect("a pace");
    let (mut logs, mut backlog, mut room) = (Logs::default(), Backlog::default(), Room::default());
    let openers = openers(ring);
    for batch in workload.runs.chunks(book::RUNS_PER_COMMIT) {
        let copied = || batch.to_vec();
        let runs = copied();
        into(&mut spent.verify, || {
            for run in runs {
                CheckedRun::check(run, &ring.incident, |_| ()).expect("verified");
            }
        });
        let runs = copied();
        let read: Vec<ReadRun> = into(&mut spent.read, || {
            runs.into_iter().map(|run| ReadRun::read(run, &openers, &mut room).expect("read")).collect()
        });
        let mut inside = Duration::ZERO;
        let (written, whole) = took(|| {
            store.write(|tx| {
                into(&mut inside, || {
                    for read in &read {
                        let (run, appended) = into(&mut spent.append, || {
                            let run = read.checked().run().expect("verified");
                            let appended = Store::append(tx, &run).expect("appended");
                            (run, appended)
                        });
                        if logs.get(appended.log).is_none() {
                            logs = Logs::load(tx)?;
                        }
                        into(&mut spent.take_in, || {
                            let mut intake = Intake::new(tx, ring, &mut backlog);
                            for (index, entry) in run.entries().iter().enumerate() {
                                let key = EntryKey::new(appended.log, entry.seq(), appended.branch);
                                let (name, entry) = ((run.name(), run.log()), (entry.id(), entry.entry()));
                                assert!(intake.take_read(name, key, entry, (read, index))?.is_none(), "accepted");
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

fn openers(ring: &Keyring) -> Openers {
    let kinds = ring.roster.compartments().keys().filter_map(|id| Some((*id, ring.roster.kind_of(*id)?)));
    Openers { incident: ring.incident, keys: ring.keys.clone(), kinds: kinds.collect() }
}

//! Cost of judging anew after a revoke, and of looking through what waits for review.

use super::measure::{median, took};
use super::{Options, book};
use daybook_core::clock::{EffectiveTime, Precision, TimeSource};
use daybook_core::crypto::DeviceSecret;
use daybook_core::daybook::Daybook;
use daybook_core::id::{Lane, PatientId};
use daybook_core::limits::ENTRIES_PER_RUN_MAX;
use daybook_core::record::{Fact, Operation, Statement};
use daybook_core::roster::{CompartmentKind, Control, Endorse, PlaceOf, Revoke, Role};
use daybook_tests::world::World;
use serde_json::{Value, json};

/// Of so many entries of the revoked device the last one waits, with nine parts in ten before it trusted.
const WAITS: usize = 10;
/// Patients whom it is all about.
const PATIENTS: usize = 1_000;
/// Places of its log that are endorsed one by one.
const ENDORSED: usize = 1_000;

/// An incident in which one clinician writes everything.
fn world(entries: usize) -> World {
    let mut world = World::new(5, 1, Role::Clinician);
    for number in 0..entries {
        let text = format!("seen at the school, number {number}; sleeps badly, eats well, asks for nothing");
        let ms = World::start_ms() + i64::try_from(number).expect("a few");
        let effective =
            EffectiveTime { ms, offset_minutes: 0, precision: Precision::Millisecond, source: TimeSource::Clock };
        let mut patient = [0; 16];
        patient[..8].copy_from_slice(&(number % PATIENTS).to_le_bytes());
        let (patient, statement) = (Some(PatientId::new(patient)), Statement::Note { text: &text });
        let fact = Fact { patient, effective, targets: Vec::new(), import: None, reason: "", statement };
        world.write(0, CompartmentKind::Clinical, Lane::Routine, &[Operation::Fact(fact).to_bytes()], ms);
    }
    world
}

/// Measures.
pub fn measure(options: &Options) -> Value {
    let mut world = world(options.entries);
    let log = world.authors[0].logs.values().next().expect("a log").clone();
    let folder = tempfile::tempdir_in(&options.folder).expect("a folder");
    let root = DeviceSecret::from_secret(&world.root.device.to_secret());
    let mut book = book::of(&world, &root, &folder.path().join("book"));
    book::fill(&mut book, &mut log.runs(ENTRIES_PER_RUN_MAX).into_iter());
    let waiting = options.entries / WAITS;
    let last = &log.entries[options.entries - waiting - 1];
    let (grant, device) = (world.authors[0].grant, world.authors[0].device.public().device_id());
    let cuts = vec![PlaceOf { log: log.log, seq: last.seq, id: last.id }];
    let (grants, devices) = (vec![grant], vec![device]);
    world.control(Control::Revoke(Revoke { grants, spares: vec![], cuts, devices, reason: None, part: None }));
    let revoke = took(|| take(&mut book, &world)).1.cpu.as_secs_f64();
    assert_eq!(book.status().expect("a status").entries.waiting, waiting as u64);
    let looks = Looks::take(&mut book, options.runs);
    // What was endorsed one by one: each place lets all before it count.
    let places: Vec<PlaceOf> = log.entries[options.entries - waiting..]
        .iter()
        .step_by((waiting / ENDORSED).max(1))
        .map(|entry| PlaceOf { log: log.log, seq: entry.seq, id: entry.id })
        .collect();
    world.control(Control::Endorse(Endorse { logs: places.clone(), ..Endorse::default() }));
    let endorse = took(|| take(&mut book, &world)).1.cpu.as_secs_f64();
    let left = book.status().expect("a status").entries.waiting;
    assert!(left < waiting as u64 / 100, "{left} wait still");
    options.say(&format!(
        "judging: of {} entries a revoke lets {waiting} wait: {:.0}/s judged anew; {} endorsed places: {:.0}/s",
        options.entries,
        waiting as f64 / revoke,
        places.len(),
        waiting as f64 / endorse,
    ));
    options.say(&format!(
        "  then status {:.1} ms, the first 100 that wait {:.1} ms, one of them for review {:.1} ms",
        looks.status, looks.list, looks.review
    ));
    json!({
        "entries": options.entries, "waiting": waiting, "endorsed_places": places.len(),
        "revoke_entries_per_s_cpu": waiting as f64 / revoke, "endorse_entries_per_s_cpu": waiting as f64 / endorse,
        "status_ms": looks.status, "list_ms": looks.list, "review_ms": looks.review,
    })
}

/// The control log comes, and what it changes is posted.
fn take(book: &mut Daybook, world: &World) {
    let taken = book.take_runs(&world.control_runs()).expect("taken");
    assert!(taken.refused.is_empty(), "{taken:?}");
    book.post_all().expect("posted");
}

/// What looking costs, in ms of the processor.
struct Looks {
    status: f64,
    list: f64,
    review: f64,
}

impl Looks {
    fn take(book: &mut Daybook, runs: usize) -> Self {
        let mut times: [Vec<f64>; 3] = Default::default();
        for _ in 0..runs {
            times[0].push(ms(|| drop(book.status().expect("a status"))));
            times[1].push(ms(|| drop(book.quarantine(100).expect("a list"))));
            let first = book.quarantine(1).expect("a list").0.remove(0).line.entry.0;
            times[2].push(ms(|| drop(book.review(&first).expect("a review"))));
        }
        let [status, list, review] = times;
        Self { status: median(status), list: median(list), review: median(review) }
    }
}

fn ms(what: impl FnOnce()) -> f64 {
    took(what).1.cpu.as_secs_f64() * 1e3
}

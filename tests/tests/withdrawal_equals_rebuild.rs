//! Acceptance that is withdrawn or given later leaves no trace of what was posted before: after every change
//! the digest is that of a rebuild, and in the end that of a book to which everything came in another order.
//!
//! `DAYBOOK_SEED=7` runs the case of one seed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::clock::{DAY_MS, EffectiveTime, Hlc, Precision, TimeSource, random};
use daybook_core::id::{CONTROL, CommitId, EntryId, Incarnation, Lane, PatientId};
use daybook_core::record::{Edit, Fact, Field, FindingKind, Operation, Register, Setting, Sex, Statement};
use daybook_core::roster::{CompartmentKind, Control, ControlBody, Grant, PlaceOf, Role};
use daybook_tests::history::{History, Replica, Shape, cut, scratch};
use daybook_tests::model::{Counts, differs, model};
use daybook_tests::seeds::each;
use daybook_tests::world::{World, WrittenLog};
use rand::seq::IteratorRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

const CASES: u64 = 64;

#[test]
fn withdrawal_equals_rebuild() {
    each("withdrawal_equals_rebuild", CASES, case);
}

fn case(seed: u64) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed ^ 0xe4a5e);
    let shape = Shape { entries: rng.random_range(60..=240), patients: rng.random_range(1..=4) };
    let mut history = History::new(seed, shape);
    let deputy = Deputy::admit(&mut history.world);
    history.take_up_control();
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let mut book = Replica::join(&history.world, &folder.path().join("a"), rng.random());

    // All entries come before the grants that they stand on; then these, some at a time.
    let (control, logs) = history.chains.split_last().unwrap();
    let (control, logs) = (control.clone(), logs.to_vec());
    let mut known = rng.random_range(1..12);
    book.book().take_runs(&[control.run(0, known)]).unwrap();
    book.deliver(cut(&logs, &mut rng), &mut rng, 0);
    equals_rebuild(&mut book, "entries came before their grants");
    while known < control.entries.len() {
        let to = rng.random_range(known + 1..=control.entries.len());
        book.book().take_runs(&[control.run(known, to)]).unwrap();
        equals_rebuild(&mut book, "grants came late");
        known = to;
    }

    // The root erases.
    let erased = some_places(&history, &mut rng);
    erase_as_root(&mut history, &erased);
    known = take_control(&mut book, &history, known);
    equals_rebuild(&mut book, "entries were erased");
    let gone = book.book().status().unwrap().entries.erased;

    // A deputy erases and writes; then his grant turns out to be one more than his superior could give.
    let taken_for_erased = some_places(&history, &mut rng);
    let patient = *history.patients.iter().choose(&mut rng).unwrap();
    let of_deputy = deputy.write(&mut history.world, &taken_for_erased, patient);
    book.deliver(cut(&of_deputy, &mut rng), &mut rng, 0);
    equals_rebuild(&mut book, "a deputy erased and wrote");
    book.deliver(cut(std::slice::from_ref(&deputy.other_grant), &mut rng), &mut rng, 0);
    equals_rebuild(&mut book, "the grant of the deputy fell");
    assert_eq!(book.book().status().unwrap().entries.erased, gone, "what he erased is there again");

    let more = some_places(&history, &mut rng);
    erase_as_root(&mut history, &more);
    take_control(&mut book, &history, known);
    equals_rebuild(&mut book, "more was erased");

    // The reference model, and a book to which all of it came in another order.
    for (place, _) in erased.iter().chain(&more) {
        history.entries[*place].counts = Counts::Gone;
    }
    let same = differs(book.book(), &model(&history.entries), &history.patients);
    assert!(same.is_ok(), "seed {seed}: {}", same.unwrap_err());
    let mut other = Replica::join(&history.world, &folder.path().join("b"), rng.random());
    let mut chains = history.chains.clone();
    chains.extend(of_deputy);
    chains.push(deputy.other_grant.clone());
    other.deliver(cut(&chains, &mut rng), &mut rng, 0);
    assert_eq!(book.digest(), other.digest(), "seed {seed}: another order gave another book");
}

/// Whether a time can be right depends on what the other devices say: of patients too that nobody touches again.
#[test]
fn times_are_judged_anew_when_others_come_or_go() {
    let mut world = World::new(30, 3, Role::Clinician);
    let says = |world: &mut World, author: usize, patient: u8, day: i64| {
        let ms = World::start_ms() + day * DAY_MS;
        let effective =
            EffectiveTime { ms, offset_minutes: 0, precision: Precision::Millisecond, source: TimeSource::Clock };
        let statement = Statement::Note { text: "seen" };
        let patient = Some(PatientId::new([patient; 16]));
        let fact = Fact { patient, effective, targets: Vec::new(), import: None, reason: "", statement };
        let note = Operation::Fact(fact).to_bytes();
        world.write(author, CompartmentKind::Clinical, Lane::Routine, &[note], ms);
        world.authors[author].logs.values().next().unwrap().clone()
    };
    // The first device is two months ahead of the second; the third, of another patient, is halfway.
    let (ahead, second, third) = (says(&mut world, 0, 1, 60), says(&mut world, 1, 2, 0), says(&mut world, 2, 3, 40));
    let place = PlaceOf { log: third.log, seq: 1, id: third.entries[0].id };
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let mut book = Replica::join(&world, &folder.path().join("a"), 1);
    let implausible = |book: &mut Replica, what| {
        equals_rebuild(book, what);
        let findings = book.book().findings(false).unwrap();
        findings.iter().filter(|finding| finding.kind == FindingKind::ImplausibleTime).count()
    };
    book.book().take_runs(&world.control_runs()).unwrap();
    for (log, what, expected) in [
        (&ahead, "one device spoke: no other says otherwise", 0),
        (&second, "the second spoke: the first is two months ahead of it", 1),
        (&third, "the third spoke: the first is 20 days ahead of it, and it 40 behind nobody", 0),
    ] {
        book.book().take_runs(&log.runs(64)).unwrap();
        assert_eq!(implausible(&mut book, what), expected, "{what}");
    }
    world.control(erase(&[(0, place)]));
    book.book().take_runs(&world.control_runs()).unwrap();
    assert_eq!(implausible(&mut book, "the third was erased"), 1);
}

/// Posts what is marked, and compares with what a rebuild makes.
fn equals_rebuild(book: &mut Replica, what: &str) {
    book.book().post_all().unwrap();
    let digest = book.digest();
    let counts = book.book().status().unwrap().entries;
    book.book().rebuild(&mut |_, _| {}).unwrap();
    assert_eq!(book.digest(), digest, "after {what}");
    assert_eq!(book.book().status().unwrap().entries, counts, "after {what}");
}

fn some_places(history: &History, rng: &mut ChaCha20Rng) -> Vec<(usize, PlaceOf)> {
    let most = history.entries.len() / 5;
    let count = rng.random_range(1..=most);
    (0..history.entries.len()).sample(rng, count).into_iter().map(|entry| (entry, history.place(entry))).collect()
}

fn erase(places: &[(usize, PlaceOf)]) -> Control {
    let mut entries: Vec<PlaceOf> = places.iter().map(|(_, place)| *place).collect();
    entries.sort_unstable();
    Control::Erase { entries, reason: None }
}

fn erase_as_root(history: &mut History, places: &[(usize, PlaceOf)]) {
    history.world.control(erase(places));
    history.take_up_control();
}

/// Delivers what the root wrote since; returns how much that is in all.
fn take_control(book: &mut Replica, history: &History, known: usize) -> usize {
    let control = history.chains.last().unwrap();
    book.book().take_runs(&[control.run(known, control.entries.len())]).unwrap();
    control.entries.len()
}

/// An admin who holds a grant of somebody who could give one only, and gave two: from two installations. The
/// deputy's is the later one, which is known when the installation before it is.
struct Deputy {
    author: usize,
    grant: WrittenLog,
    other_grant: WrittenLog,
}

impl Deputy {
    fn admit(world: &mut World) -> Self {
        let [superior, author, other] = [0; 3].map(|_| {
            world.admit(Role::Relay);
            world.authors.len() - 1
        });
        world.authors[superior].grant = {
            let of_superior = admin(world, superior, 1);
            world.control(of_superior)
        };
        let (of_deputy, of_other) = (admin(world, author, 0), admin(world, other, 0));
        let (id, other_grant) = control_of(world, superior, 1_000, vec![of_other]);
        let previous = vec![PlaceOf { log: other_grant.log, seq: 1, id }];
        world.authors[superior].incarnation = Incarnation::new(random(&mut world.host));
        let (id, grant) = control_of(world, superior, 500, vec![Control::Incarnation { previous }, of_deputy]);
        world.authors[author].grant = id;
        Self { author, grant, other_grant }
    }

    /// Erases entries and edits the record of a patient.
    fn write(&self, world: &mut World, erased: &[(usize, PlaceOf)], patient: PatientId) -> Vec<WrittenLog> {
        let (_, control) = control_of(world, self.author, 3_000, vec![erase(erased)]);
        let (key, value) = Setting::Sex(Some(Sex::Other)).to_bytes();
        let registers = vec![Register { field: Field::Sex, key: &key, value: &value }];
        let edit = Operation::Edit(Edit { patient, parents: Vec::new(), registers, import: None }).to_bytes();
        world.write(self.author, CompartmentKind::Clinical, Lane::Safety, &[edit], World::start_ms());
        let written = std::mem::take(&mut world.authors[self.author].logs).into_values();
        written.chain([control, self.grant.clone()]).collect()
    }
}

/// The grant of an admin who may give `grants` more.
fn admin(world: &World, author: usize, grants: u32) -> Control {
    Control::Grant(Box::new(Grant {
        device: world.authors[author].device.public(),
        person: None,
        organisation: None,
        role: Role::Admin.word().to_owned(),
        rights: Role::Admin.rights(),
        history: true,
        until_ms: None,
        grants,
        compartments: 0,
        lifts: Vec::new(),
    }))
}

/// Lets an author write control entries at a time of its clock; returns the last one's id and the log that holds
/// them.
fn control_of(world: &mut World, author: usize, after_ms: i64, said: Vec<Control>) -> (EntryId, WrittenLog) {
    let mut hlc = Hlc::default();
    let incident = world.incident;
    for control in said {
        hlc = hlc.tick(World::start_ms() + after_ms);
        let body = ControlBody { commit: CommitId::new(random(&mut world.host)), hlc, control }.to_bytes();
        world.authors[author].append(&incident, (CONTROL, Lane::Safety), &body, None);
    }
    let log = world.authors[author].logs.remove(&(CONTROL, Lane::Safety)).unwrap();
    (log.entries.last().unwrap().id, log)
}

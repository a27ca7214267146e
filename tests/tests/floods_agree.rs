//! Whoever forks a log nine times gains nothing: every book, whatever it met first, ends with the same accepted set.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::clock::{EffectiveTime, Host, Precision, TimeSource, random};
use daybook_core::crypto::DatabaseKey;
use daybook_core::daybook::{Daybook, IngestReport, Purpose};
use daybook_core::id::{CONTROL, EntryId, Incarnation, Lane, PatientId};
use daybook_core::log::{Proof, Shown};
use daybook_core::record::{Edit, Fact, Field, Identifier, Operation, Register, Setting, Statement};
use daybook_core::roster::{CompartmentKind, Control, Endorse, PlaceOf, Role};
use daybook_core::sync::{Limits, Side};
use daybook_tests::host::{START_MS, SeededHost};
use daybook_tests::pair::Link;
use daybook_tests::world::{World, WrittenLog};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::collections::BTreeSet;
use std::path::Path;

const PATIENT: PatientId = PatientId::new([0x42; 16]);
const NOON: EffectiveTime =
    EffectiveTime { ms: 0, offset_minutes: 0, precision: Precision::Day, source: TimeSource::Stated };
const EDITS: (CompartmentKind, Lane) = (CompartmentKind::Clinical, Lane::Safety);

/// An edit that gives the patient a tag.
fn tag(value: &str) -> Vec<u8> {
    let setting = Setting::Identifier(Identifier { system: "tag", value }, Some(""));
    let (key, value) = setting.to_bytes();
    let register = Register { field: setting.field(), key: &key, value: &value };
    Operation::Edit(Edit { patient: PATIENT, parents: Vec::new(), registers: vec![register], import: None }).to_bytes()
}

fn note(text: &str) -> Vec<u8> {
    let statement = Statement::Note { text };
    let fact =
        Fact { patient: Some(PATIENT), effective: NOON, targets: Vec::new(), import: None, reason: "", statement };
    Operation::Fact(fact).to_bytes()
}

fn host(seed: u64) -> Box<dyn Host> {
    Box::new(SeededHost::new(seed).at(START_MS + 1_000_000))
}

/// A book of a member that knows the control set.
fn join(world: &World, author: usize, folder: &Path) -> Daybook {
    let member = world.membership(&world.authors[author].device);
    let key = DatabaseKey::random(&mut SeededHost::new(5));
    let mut book =
        Daybook::join_with_key(&folder.join(author.to_string()), &key, &member, host(author as u64 + 50)).unwrap();
    book.keep_grant_path(&world.path(Some(author))).unwrap();
    take(&mut book, &world.control_runs());
    book
}

fn take(book: &mut Daybook, runs: &[Vec<u8>]) -> IngestReport {
    let report = book.take_runs(runs).unwrap();
    book.post_all().unwrap();
    report
}

/// Two books meet and agree.
fn meet(one: &mut Daybook, two: &mut Daybook) {
    let caller = one.session(Side::Caller, Limits::default(), 0).unwrap();
    let mut link = Link::new(caller, two.session(Side::Called, Limits::default(), 0).unwrap());
    link.settle([&mut *one, &mut *two]);
    assert!(link.in_sync(0) && link.in_sync(1), "{:?}", link.events);
    link.ends[0].close(link.now_ms, one);
    link.settle([&mut *one, &mut *two]);
    assert_eq!(one.digest().unwrap(), two.digest().unwrap());
}

/// All books meet until each has met each twice.
fn meet_all(books: &mut [Daybook]) {
    for _ in 0..2 {
        for at in 1..books.len() {
            let (left, right) = books.split_at_mut(at);
            left.iter_mut().for_each(|book| meet(book, &mut right[0]));
        }
    }
}

/// The places up to which an author's log counts, as a book tells.
fn accepted(book: &mut Daybook, log: &WrittenLog) -> BTreeSet<String> {
    let short = format!("{}-", log.log.short());
    let lines = book.log(None, 100_000).unwrap();
    lines.into_iter().filter(|l| l.entry.0.starts_with(&short) && l.verdict == "accepted").map(|l| l.entry.0).collect()
}

fn floods(book: &mut Daybook) -> Vec<(Shown, [u8; 32])> {
    book.floods().unwrap().iter().map(|proof| (proof.shown(), *proof.hash())).collect()
}

fn sound(book: &mut Daybook) {
    assert_eq!(book.verify(&mut |_, _| {}).unwrap().problems, Vec::<String>::new());
    let digest = book.digest().unwrap();
    book.rebuild(&mut |_, _| {}).unwrap();
    assert_eq!(book.digest().unwrap(), digest);
}

/// Branches of a log at these places, each as (place after which it leaves the trunk, entries), and the trunk.
fn branches(
    world: &mut World,
    author: usize,
    trunk: usize,
    places: &[(usize, usize)],
) -> (WrittenLog, Vec<WrittenLog>) {
    let trunk = world.fork(author, EDITS, 0, (1, trunk), &[tag("trunk")]).remove(0);
    let place = (world.compartment(EDITS.0), EDITS.1);
    let mut all = Vec::new();
    for (number, (after, entries)) in places.iter().enumerate() {
        world.authors[author].logs.insert(place, trunk.clone());
        all.extend(world.fork(author, EDITS, *after, (1, *entries), &[tag(&format!("branch {number}"))]));
    }
    (trunk, all)
}

#[test]
fn nine_branches_are_proved_and_wait_and_what_lies_before_stays() {
    let (mut world, folder) = (World::new(61, 3, Role::Clinician), tempfile::tempdir().unwrap());
    let (trunk, forks) = branches(&mut world, 0, 5, &[(4, 2); 8]);
    let mut book = join(&world, 1, folder.path());
    take(&mut book, &[trunk.run(0, 5)]);
    for fork in &forks[..7] {
        assert_eq!(take(&mut book, &[fork.run(4, 6)]).refused, []);
    }
    assert_eq!((floods(&mut book).len(), accepted(&mut book, &trunk).len()), (0, 6), "eight branches count alike");
    let before = book.read_patient(PATIENT, Purpose::Treatment).unwrap();
    assert_eq!(before.registers.iter().filter(|shown| shown.field == Field::Identifier).count(), 8);
    let report = take(&mut book, &[forks[7].run(4, 6)]);
    assert_eq!((report.new, report.refused), (0, vec![("E-010".to_owned(), 1)]));
    let [(Shown::Forks { log, branches, lowest }, _)] = floods(&mut book)[..] else { panic!("a proof") };
    assert_eq!((log, branches, lowest), (trunk.log, 9, 5));
    assert_eq!(accepted(&mut book, &trunk).len(), 4);
    let after = book.read_patient(PATIENT, Purpose::Treatment).unwrap();
    assert_eq!(after.registers.iter().filter(|shown| shown.field == Field::Identifier).count(), 1);
    sound(&mut book);
    // A device that never met a branch of it believes the proof alone.
    let mut other = join(&world, 2, folder.path());
    take(&mut other, &[trunk.run(0, 5)]);
    assert_eq!(accepted(&mut other, &trunk).len(), 5);
    meet(&mut other, &mut book);
    assert_eq!((accepted(&mut other, &trunk).len(), floods(&mut other)), (4, floods(&mut book)));
    sound(&mut other);
}

#[test]
fn a_device_with_65_installations_waits_whole() {
    let (mut world, folder) = (World::new(62, 3, Role::Clinician), tempfile::tempdir().unwrap());
    let mut logs = Vec::new();
    for number in 0..66 {
        let author = &mut world.authors[0];
        author.incarnation = Incarnation::new(random(&mut world.host));
        author.logs.clear();
        logs.extend(world.fork(0, EDITS, 0, (1, 1), &[tag(&format!("life {number}"))]));
    }
    let mut books: Vec<Daybook> = (1..3).map(|author| join(&world, author, folder.path())).collect();
    // One meets the first 65, the other the last 64.
    for log in &logs[..64] {
        assert_eq!(take(&mut books[0], &[log.run(0, 1)]).refused, []);
    }
    for log in &logs[2..] {
        assert_eq!(take(&mut books[1], &[log.run(0, 1)]).refused, []);
    }
    assert_eq!(accepted(&mut books[0], &logs[0]).len(), 1);
    let report = take(&mut books[0], &[logs[64].run(0, 1)]);
    assert_eq!((report.new, report.refused), (0, vec![("E-014".to_owned(), 1)]));
    assert!(matches!(floods(&mut books[0])[..], [(Shown::Incarnations, _)]));
    let (left, right) = books.split_at_mut(1);
    meet(&mut left[0], &mut right[0]);
    for book in &mut books {
        assert!(logs.iter().all(|log| accepted(book, log).is_empty()));
        sound(book);
    }
    assert_eq!(floods(&mut books[0]), floods(&mut books[1]));
}

#[test]
fn the_control_log_of_an_administrator_who_floods_counts_up_to_the_fork() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(63, 2, Role::Clinician);
    // The root grants nine times at one place of its log: all copies of it wrote.
    let place = (CONTROL, Lane::Safety);
    let trunk = world.root.logs[&place].clone();
    let grants: Vec<WrittenLog> = (0..10)
        .map(|_| {
            world.root.logs.insert(place, trunk.clone());
            world.admit(Role::Clinician);
            world.root.logs[&place].clone()
        })
        .collect();
    world.root.logs.insert(place, trunk.clone());
    let mut books: Vec<Daybook> = (0..2).map(|author| join(&world, author, folder.path())).collect();
    let at = trunk.entries.len();
    for (book, order) in books.iter_mut().zip([0..9, 1..10]) {
        let runs: Vec<Vec<u8>> = grants[order].iter().map(|log| log.run(at, at + 1)).collect();
        assert_eq!(take(book, &runs).refused, [("E-010".to_owned(), 1)]);
    }
    meet_all(&mut books);
    let granted = world.authors[2..].iter().map(|author| author.grant).collect::<BTreeSet<EntryId>>();
    for book in &mut books {
        let counting = book.log(None, 1_000).unwrap().iter().filter(|line| line.verdict == "accepted").count();
        assert_eq!(counting, at, "what was written before the fork: {granted:?}");
        assert_eq!(book.log(None, 1_000).unwrap().iter().filter(|l| l.verdict.contains("Q-009")).count(), 8);
    }
    // What members wrote under the grants from before goes on to count; under the others it waits.
    for (author, expected) in [(0, "accepted"), (2, "waiting for review (Q-001)")] {
        let written = world.fork(author, EDITS, 0, (1, 1), &[tag("A")]).remove(0);
        for book in &mut books {
            take(book, &[written.run(0, 1)]);
            let lines = book.log(None, 1_000).unwrap();
            let line = lines.iter().find(|line| line.entry.0 == format!("{}-1", written.log.short())).unwrap();
            assert_eq!(line.verdict, expected, "author {author}");
        }
    }
}

/// A random tree of forks of one log: each leaves the trunk or another branch somewhere.
fn random_tree(world: &mut World, rng: &mut ChaCha20Rng) -> Vec<WrittenLog> {
    let place = (world.compartment(EDITS.0), EDITS.1);
    let mut all = world.fork(0, EDITS, 0, (1, rng.random_range(6..90)), &[tag("trunk")]);
    for number in 0..rng.random_range(9..14) {
        let base = all[if rng.random_bool(0.6) { 0 } else { rng.random_range(0..all.len()) }].clone();
        let after = rng.random_range(0..base.entries.len());
        world.authors[0].logs.insert(place, base);
        let entries = rng.random_range(1..70);
        all.extend(world.fork(0, EDITS, after, (1, entries), &[tag(&format!("branch {number}"))]));
    }
    all
}

/// What two others say who saw branches of the author: an edit that stands on one, and a note.
fn of_others(world: &mut World, forks: &[WrittenLog]) -> Vec<Vec<u8>> {
    let mut runs = Vec::new();
    for (author, fork) in [(1, forks.first()), (2, forks.last())] {
        let parent = fork.and_then(|fork| fork.reference(fork.entries.last().unwrap().seq)).unwrap();
        let setting = Setting::Identifier(Identifier { system: "tag", value: "trunk" }, None);
        let (key, value) = setting.to_bytes();
        let register = Register { field: setting.field(), key: &key, value: &value };
        let edit = Edit { patient: PATIENT, parents: vec![parent], registers: vec![register], import: None };
        let routine = (CompartmentKind::Clinical, Lane::Routine);
        for (where_to, operation) in [(EDITS, Operation::Edit(edit).to_bytes()), (routine, note("seen"))] {
            runs.push(world.fork(author, where_to, 0, (1, 1), &[operation])[0].run(0, 1));
        }
    }
    runs
}

#[test]
fn every_book_whatever_it_met_first_ends_with_the_same_accepted_set() {
    daybook_tests::seeds::each("floods_agree", 24, |seed| {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let (mut world, folder) = (World::new(700 + seed, 4, Role::Clinician), tempfile::tempdir().unwrap());
        let forks = random_tree(&mut world, &mut rng);
        let of_others = of_others(&mut world, &forks);
        let mut books: Vec<Daybook> = (1..4).map(|author| join(&world, author, folder.path())).collect();
        for book in &mut books {
            let whole = forks.iter().map(|log| log.run(0, log.entries.len()));
            let mut runs: Vec<Vec<u8>> = whole.chain(of_others.clone()).collect();
            runs.shuffle(&mut rng);
            runs.truncate(rng.random_range(runs.len() / 2..=runs.len()));
            for run in runs {
                take(book, &[run]);
            }
        }
        meet_all(&mut books);
        let trunk = &forks[0];
        let mut found: Vec<_> = books.iter_mut().map(|book| (floods(book), accepted(book, trunk))).collect();
        found.dedup();
        assert_eq!(found.len(), 1, "the books differ in {found:?}");
        sound(&mut books[0]);
        // Whoever comes late believes what they say.
        let mut late = join(&world, 0, folder.path());
        meet(&mut late, &mut books[0]);
        assert_eq!((floods(&mut late), accepted(&mut late, trunk)), found[0]);
    });
}

#[test]
fn an_export_carries_floods_and_another_file_is_no_flood() {
    let (mut world, folder) = (World::new(64, 3, Role::Clinician), tempfile::tempdir().unwrap());
    let (trunk, forks) = branches(&mut world, 0, 5, &[(4, 2); 8]);
    let mut book = join(&world, 1, folder.path());
    take(&mut book, &[trunk.run(0, 5)]);
    forks.iter().for_each(|fork| drop(take(&mut book, &[fork.run(4, 6)])));
    let mut file = Vec::new();
    book.export_log(&mut file).unwrap();
    let mut other = join(&world, 2, folder.path());
    let report = other.ingest(&mut file.as_slice(), &mut |_| {}).unwrap();
    assert_eq!((report.refused, report.cut_off), (vec![], false));
    assert_eq!((floods(&mut other), other.digest().unwrap()), (floods(&mut book), book.digest().unwrap()));
    let finding = other.findings(false).unwrap().remove(0);
    assert!(finding.text.contains("more branches"), "{}", finding.text);
    let proof = other.fork_proof(&finding.id.to_hex()).unwrap();
    assert!(proof.is_flood() && Proof::read_file(&proof.to_file()).is_ok());
}

#[test]
fn what_was_endorsed_counts_again_everywhere() {
    let (mut world, folder) = (World::new(65, 3, Role::Clinician), tempfile::tempdir().unwrap());
    let (trunk, forks) = branches(&mut world, 0, 5, &[(4, 2); 9]);
    let mut books: Vec<Daybook> = (1..3).map(|author| join(&world, author, folder.path())).collect();
    for (book, forks) in books.iter_mut().zip([&forks[..8], &forks[1..]]) {
        take(book, &[trunk.run(0, 5)]);
        forks.iter().for_each(|fork| drop(take(book, &[fork.run(4, 6)])));
    }
    meet_all(&mut books);
    assert_eq!(accepted(&mut books[0], &trunk).len(), 4);
    // The true one is the first: one of the books could not keep it.
    let last = forks[0].entries.last().unwrap();
    let logs = vec![PlaceOf { log: trunk.log, seq: last.seq, id: last.id }];
    world.control(Control::Endorse(Endorse { logs, ..Endorse::default() }));
    take(&mut books[0], &world.control_runs());
    meet_all(&mut books);
    for book in &mut books {
        assert_eq!(accepted(book, &trunk).len(), 6);
        sound(book);
    }
}

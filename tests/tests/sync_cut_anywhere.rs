//! A session that is cut at any byte loses nothing, brings nothing twice, and sends again at most the frame that
//! was under way: what came of a run before its signed head is kept, and anybody can go on behind it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::clock::Hlc;
use daybook_core::crypto::DatabaseKey;
use daybook_core::daybook::Daybook;
use daybook_core::id::{CommitId, DeviceId, EntryId, Lane, LogId};
use daybook_core::limits::{BEGUN_BYTES_PER_DEVICE_MAX, BEGUN_PER_DEVICE_MAX};
use daybook_core::log::{Beginning, Run};
use daybook_core::record::Body;
use daybook_core::roster::{CompartmentKind, Role};
use daybook_core::sync::{Event, Kept, Outcome, Shelf};
use daybook_tests::history::scratch;
use daybook_tests::host::SeededHost;
use daybook_tests::pair::Link;
use daybook_tests::shelf::MemoryShelf;
use daybook_tests::world::World;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Most entries of one frame, and most bytes of it on the wire.
const FRAME: (u64, u64) = (32, 2 + 16 * 1024 + 16);
/// What two sides tell each other of one log before anything of it travels.
const TOLD: u64 = 1_024;

type Heads = BTreeMap<LogId, BTreeSet<(u64, EntryId)>>;

/// A world in which the first author wrote entries of a size, and a book that holds them all.
fn written(entries: usize, bytes: usize) -> (World, MemoryShelf, MemoryShelf) {
    let mut world = World::new(3, 3, Role::Clinician);
    for _ in 0..entries {
        world.write(0, CompartmentKind::Clinical, Lane::Routine, &[vec![0x80; bytes]], World::start_ms());
    }
    let (mut one, mut two) = (MemoryShelf::new(world.incident), MemoryShelf::new(world.incident));
    for shelf in [&mut one, &mut two] {
        shelf.fill(&world.control_runs());
    }
    one.fill(&runs(&world));
    (world, one, two)
}

fn runs(world: &World) -> Vec<Vec<u8>> {
    world.authors[0].logs.values().flat_map(|log| log.runs(64)).collect()
}

/// What one meeting that may be cut did.
struct Met {
    sent: u64,
    acknowledged: u64,
    bytes: u64,
    in_sync: bool,
}

/// The holder of entries meets another; `called` says that it is the one who is called.
fn meet(
    world: &World,
    (holder, other): (usize, usize),
    [from, to]: [&mut dyn Shelf; 2],
    called: bool,
    cut_after: u64,
) -> Met {
    let end = usize::from(called);
    let mut link = match called {
        true => Link::of(world, Some(other), Some(holder), cut_after & 0xffff),
        false => Link::of(world, Some(holder), Some(other), cut_after & 0xffff),
    };
    link.cut_after = cut_after;
    let [first, second] = if called { [to, from] } else { [from, to] };
    link.settle([&mut *first, &mut *second]);
    let in_sync = link.in_sync(0) && link.in_sync(1);
    link.cut([first, second]);
    let acknowledged = link.events[end].iter().rev().find_map(|event| match event {
        Event::Progress { sent, .. } => Some(*sent),
        _ => None,
    });
    Met {
        sent: link.ends[end].entries_sent(),
        acknowledged: acknowledged.unwrap_or(0),
        bytes: link.moved.iter().sum(),
        in_sync,
    }
}

/// Bytes of a whole session, and of one in which nothing is to be done.
#[derive(Clone, Copy)]
struct Cost {
    whole: u64,
    nothing: u64,
}

impl Cost {
    fn of(world: &World, from: &MemoryShelf, to: &MemoryShelf) -> Self {
        let bytes = |from: &MemoryShelf, to: &MemoryShelf| {
            let met = meet(world, (0, 1), [&mut from.clone(), &mut to.clone()], false, u64::MAX);
            assert!(met.in_sync);
            met.bytes
        };
        Self { whole: bytes(from, to), nothing: bytes(from, from) }
    }
}

/// Cuts a session after so many bytes, meets again, and checks what is there. Returns how many entries came
/// before the cut.
fn cut_and_meet_again(
    world: &World,
    from: &MemoryShelf,
    to: &MemoryShelf,
    after: u64,
    called: bool,
    cost: Cost,
) -> u64 {
    let (mut one, mut two) = (from.clone(), to.clone());
    let before = two.entries();
    let cut = meet(world, (0, 1), [&mut one, &mut two], called, after);
    let came = two.entries_and_begun() - before;
    assert!(cut.acknowledged <= came, "only what is durable is acknowledged");
    assert_eq!(one.all_heads(), from.all_heads(), "the sender is as it was");
    let highest = two.all_heads().values().flatten().map(|(seq, _)| *seq).max().unwrap_or(0);
    assert!(came == 0 || highest + 63 >= came, "what came is a piece of the log from its start");
    let again = meet(world, (0, 1), [&mut one, &mut two], called, u64::MAX);
    assert!(again.in_sync, "cut after {after}");
    assert_eq!((one.all_heads(), one.ids()), (two.all_heads(), two.ids()), "cut after {after}");
    assert_eq!((one.again, two.again), (0, 0), "cut after {after}: nothing comes twice");
    assert!(two.begun.is_empty(), "what was kept went into the log");
    let all = from.entries() - to.entries();
    assert_eq!(again.sent, all - came, "cut after {after}: what came is not sent again");
    assert!(cut.sent - came <= FRAME.0, "cut after {after}: {} entries were lost", cut.sent - came);
    let moved = cut.bytes + again.bytes;
    assert!(moved <= cost.whole + cost.nothing + TOLD + FRAME.1, "cut after {after}: {moved} bytes");
    came
}

/// Does the work of all places, a share on each core, and gives the results in their order.
fn on_all_cores<T: Send>(places: &[u64], work: impl Fn(&u64) -> T + Sync) -> Vec<T> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let share = |places: &'_ [u64]| places.iter().map(&work).collect::<Vec<T>>();
        let shares: Vec<_> =
            places.chunks(places.len().div_ceil(cores)).map(|places| scope.spawn(move || share(places))).collect();
        shares.into_iter().flat_map(|share| share.join().unwrap()).collect()
    })
}

#[test]
fn every_byte_of_a_session_of_40_entries() {
    let (world, one, two) = written(40, 1);
    let cost = Cost::of(&world, &one, &two);
    let places: Vec<u64> = (0..=cost.whole).collect();
    let counts = on_all_cores(&places, |after| cut_and_meet_again(&world, &one, &two, *after, false, cost));
    assert_eq!((counts.first(), counts.last()), (Some(&0), Some(&40)));
    assert!(counts.contains(&32), "the first frame is kept before the signed head comes");
}

#[test]
fn a_thousand_places_of_a_session_of_5000_entries() {
    let (world, one, two) = written(5_000, 1);
    let cost = Cost::of(&world, &one, &two);
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let places: Vec<u64> = (0..1_000).map(|_| rng.random_range(0..cost.whole)).collect();
    let counts = on_all_cores(&places, |after| cut_and_meet_again(&world, &one, &two, *after, after % 2 == 0, cost));
    let between = counts.iter().filter(|came| **came > 0 && **came < 5_000).count();
    assert!(between > 900, "{between}");
    let in_a_run = counts.iter().filter(|came| **came % 64 == 32).count();
    assert!(in_a_run > 300, "{in_a_run}");
}

/// A real book of a member, which opens without the cost of a passphrase.
struct OnDisk<'a> {
    world: &'a World,
    key: DatabaseKey,
}

impl<'a> OnDisk<'a> {
    fn new(world: &'a World) -> Self {
        Self { world, key: DatabaseKey::random(&mut SeededHost::new(77)) }
    }

    fn make(&self, author: usize, folder: &Path) -> Daybook {
        let member = self.world.membership(&self.world.authors[author].device);
        let host = Box::new(SeededHost::new(author as u64 + 50));
        let mut book = Daybook::join_with_key(folder, &self.key, &member, host).unwrap();
        book.keep_grant_path(&self.world.path(Some(author))).unwrap();
        book.take_runs(&self.world.control_runs()).unwrap();
        book
    }

    fn open(&self, folder: &Path) -> Daybook {
        Daybook::open_with_key(folder, &self.key, Box::new(SeededHost::new(9))).unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

fn heads(book: &mut Daybook) -> Heads {
    let logs = book.frontier().unwrap();
    logs.into_iter().map(|log| (log.log, log.branches.iter().map(|b| (b.tip_seq, b.tip_id)).collect())).collect()
}

/// Every seventh byte, and those about every place where the other side holds more than before.
#[test]
fn real_books_cut_all_over_a_session_of_40_entries() {
    let (world, ..) = written(40, 1);
    let books = OnDisk::new(&world);
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let (full, empty) = (folder.path().join("full"), folder.path().join("empty"));
    let mut sender = books.make(0, &full);
    sender.take_runs(&runs(&world)).unwrap();
    sender.post_all().unwrap();
    drop(books.make(1, &empty));
    let digest = sender.digest().unwrap();
    drop(sender);
    let cut_at = |after: u64| {
        let work = tempfile::tempdir_in(scratch()).unwrap();
        let (one, two) = (work.path().join("one"), work.path().join("two"));
        copy(&full, &one);
        copy(&empty, &two);
        let (mut from, mut to) = (books.open(&one), books.open(&two));
        let (all, none) = (heads(&mut from), heads(&mut to));
        let cut = meet(&world, (0, 1), [&mut from, &mut to], false, after);
        drop((from, to));
        let (mut from, mut to) = (books.open(&one), books.open(&two));
        let now = heads(&mut to);
        assert!(now == none || now == all, "the log goes on with whole runs");
        let begun: u64 = to.begun().unwrap().iter().map(|(_, seq, _)| *seq).sum();
        let came = if now == all { 40 } else { begun };
        assert!(cut.acknowledged <= came && cut.sent - came <= FRAME.0, "cut after {after}");
        let again = meet(&world, (0, 1), [&mut from, &mut to], false, u64::MAX);
        assert!(again.in_sync && again.sent == 40 - came, "cut after {after}: {} of {came}", again.sent);
        drop((from, to));
        let (mut from, mut to) = (books.open(&one), books.open(&two));
        assert_eq!((heads(&mut from), heads(&mut to)), (all.clone(), all), "both are durable");
        assert_eq!(to.digest().unwrap(), digest);
        assert_eq!(to.begun().unwrap(), []);
        (cut.bytes, came)
    };
    let (whole, _) = cut_at(u64::MAX);
    let sevenths: Vec<u64> = (0..=whole).step_by(7).collect();
    let counts = on_all_cores(&sevenths, |after| cut_at(*after).1);
    assert_eq!(counts.iter().copied().collect::<BTreeSet<u64>>(), BTreeSet::from([0, 32, 40]));
    let steps = sevenths.iter().zip(counts.windows(2)).filter(|(_, two)| two[0] != two[1]);
    let around: Vec<u64> = steps.flat_map(|(at, _)| *at..*at + 8).collect();
    let counts = on_all_cores(&around, |after| cut_at(*after).1);
    assert!(counts.contains(&0) && counts.contains(&40));
}

#[test]
fn another_device_brings_the_rest_of_a_run_and_large_entries_are_kept_one_by_one() {
    for (entries, bytes, frames) in [(60, 1, 1), (50, 3_000, 9), (20, 60_000, 7)] {
        let (world, one, two) = written(entries, bytes);
        let whole = Cost::of(&world, &one, &two).whole;
        let (mut first, mut to, mut second) = (one.clone(), two.clone(), one.clone());
        let cut = meet(&world, (0, 1), [&mut first, &mut to], false, whole / 2 + 3_000);
        let begun = to.entries_and_begun() - two.entries();
        assert!(begun > 0 && to.entries() == two.entries(), "nothing is in the log before its signed head");
        assert!(to.begun.len() == 1 && cut.sent - begun <= FRAME.0, "{entries} {bytes}");
        assert!(begun >= frames, "{begun}");
        // A second cut, with another holder, keeps what came behind it too.
        let cut = meet(&world, (2, 1), [&mut second, &mut to], true, whole / 4 + 3_000);
        let more = to.entries_and_begun() - two.entries();
        assert!(more >= begun && cut.sent >= more - begun);
        let rest = meet(&world, (2, 1), [&mut second, &mut to], true, u64::MAX);
        assert!(rest.in_sync);
        assert_eq!((rest.sent, to.again), (entries as u64 - more, 0));
        assert_eq!(to.all_heads(), one.all_heads());
    }
}

/// The whole entries at the front of a run.
fn beginning(world: &World, run: &[u8], entries: usize) -> Beginning {
    let (_, ends) = Run::read_front(run).unwrap();
    let (front, _) = Run::read_front(&run[..ends[entries - 1]]).unwrap();
    Beginning::of(&front, None, &world.incident).unwrap().unwrap()
}

/// A run of the first author's log that the author never wrote: its ids link, and no signature fits.
fn forged(world: &World, bytes: usize, incarnation: u8) -> Vec<u8> {
    let mut liar = World::new(3, 3, Role::Clinician);
    liar.authors[0].incarnation = daybook_core::id::Incarnation::new([incarnation; 16]);
    let body = Body::write(CommitId::new([9; 8]), Hlc::default(), &[vec![0x80; bytes]]);
    let compartment = world.compartment(CompartmentKind::Clinical);
    let (id, _, key) = &world.epochs[&compartment];
    for _ in 0..63 {
        liar.authors[0].append(&world.incident, (compartment, Lane::Routine), &body, Some((id, key)));
    }
    liar.authors[0].logs[&(compartment, Lane::Routine)].run(0, 63)
}

#[test]
fn a_beginning_that_its_author_never_wrote_hinders_nobody() {
    let (world, mut one, ..) = written(40, 1);
    let books = OnDisk::new(&world);
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let mut book = books.make(1, &folder.path().join("book"));
    let liar = DeviceId::new([6; 32]);
    let incarnation = world.authors[0].incarnation.as_bytes()[0];
    let name = world.authors[0].logs.values().next().unwrap().name;
    let mut lie = forged(&world, 2, incarnation);
    // The same log as the honest one.
    lie[..96 + 16].copy_from_slice(&runs(&world)[0][..96 + 16]);
    let lie = beginning(&world, &lie, 33);
    assert_eq!(lie.log(), name.id(&world.incident));
    assert_eq!(book.keep(liar, &lie).unwrap(), Kept::Durable);
    assert_eq!(book.begun().unwrap(), [(lie.log(), 33, lie.end().1)]);
    // The holder of the log does not know that beginning and sends all of it; then it is gone.
    let met = meet(&world, (0, 1), [&mut one, &mut book], true, u64::MAX);
    assert!(met.in_sync && met.sent == 40);
    assert_eq!(heads(&mut book), one.all_heads());
    assert_eq!(book.begun().unwrap(), []);
    assert_eq!(book.keep(liar, &lie).unwrap(), Kept::Durable, "a branch that may come");
    // A run that claims to end it does not fit its author's key, and is refused.
    let mut end = forged(&world, 2, incarnation);
    end[..96 + 16].copy_from_slice(&runs(&world)[0][..96 + 16]);
    assert!(matches!(book.take(liar, &[end]).unwrap()[..], [Outcome::Refused(_)]));
    assert_eq!(heads(&mut book), one.all_heads());
}

#[test]
fn what_one_device_begins_and_never_ends_is_bounded() {
    let (world, ..) = written(40, 1);
    let books = OnDisk::new(&world);
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let mut book = books.make(1, &folder.path().join("book"));
    let (honest, liar) = (DeviceId::new([1; 32]), DeviceId::new([2; 32]));
    let real = beginning(&world, &runs(&world)[0], 20);
    assert_eq!(book.keep(honest, &real).unwrap(), Kept::Durable);
    // 20 logs of a megabyte, and then many small ones.
    for log in 0..20 {
        let run = forged(&world, 16_000, log);
        assert_eq!(book.keep(liar, &beginning(&world, &run, 63)).unwrap(), Kept::Durable);
        let kept = book.begun().unwrap().len() - 1;
        assert!(kept <= BEGUN_BYTES_PER_DEVICE_MAX / (63 * 16_000), "{kept}");
    }
    let mut last = None;
    for log in 0..=255 {
        let run = forged(&world, 1, log);
        last = Some(beginning(&world, &run, 1 + usize::from(log) % 5));
        book.keep(liar, last.as_ref().unwrap()).unwrap();
        assert!(book.begun().unwrap().len() <= BEGUN_PER_DEVICE_MAX + 1);
    }
    let kept = book.begun().unwrap();
    let last = last.unwrap();
    assert!(kept.contains(&(real.log(), 20, real.end().1)), "what others brought stays");
    assert!(kept.contains(&(last.log(), last.end().0, last.end().1)), "the newest stays");
    // What joins nothing is not kept.
    let (front, ends) = Run::read_front(&runs(&world)[0]).map(|(front, ends)| (front.backlink, ends)).unwrap();
    assert_eq!((front, ends.len()), (EntryId::ZERO, 40));
    let later = world.authors[0].logs.values().next().unwrap().run(25, 40);
    assert_eq!(book.keep(honest, &beginning(&world, &later, 3)).unwrap(), Kept::No);
    let next = world.authors[0].logs.values().next().unwrap().run(20, 40);
    assert_eq!(book.keep(honest, &beginning(&world, &next, 3)).unwrap(), Kept::Durable);
    let ends: Vec<u64> = book.begun().unwrap().iter().filter(|b| b.0 == real.log()).map(|b| b.1).collect();
    assert_eq!(ends, [23], "only the end of a beginning is told");
}

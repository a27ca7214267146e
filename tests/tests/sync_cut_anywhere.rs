//! A session that is cut at any byte loses nothing, brings nothing twice, and sends again at most the run that was
//! under way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::id::Lane;
use daybook_core::roster::{CompartmentKind, Role};
use daybook_core::sync::Event;
use daybook_tests::pair::Link;
use daybook_tests::shelf::MemoryShelf;
use daybook_tests::world::World;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// A world in which the first author wrote entries, and a book that holds them all.
fn written(entries: usize) -> (World, MemoryShelf, MemoryShelf) {
    let mut world = World::new(3, 2, Role::Clinician);
    for _ in 0..entries {
        world.write(0, CompartmentKind::Clinical, Lane::Routine, &[vec![0x80]], World::start_ms());
    }
    let (mut one, mut two) = (MemoryShelf::new(world.incident), MemoryShelf::new(world.incident));
    for shelf in [&mut one, &mut two] {
        shelf.fill(&world.control_runs());
    }
    let runs: Vec<Vec<u8>> = world.authors[0].logs.values().flat_map(|log| log.runs(64)).collect();
    one.fill(&runs);
    (world, one, two)
}

/// Cuts a session after so many bytes, meets again, and checks what is there. Returns how many entries came
/// before the cut.
fn cut_and_meet_again(
    world: &World,
    from: &MemoryShelf,
    to: &MemoryShelf,
    after: u64,
    called: bool,
    cost: (u64, u64),
) -> u64 {
    let (mut one, mut two) = (from.clone(), to.clone());
    let (caller, other) = if called { (Some(1), Some(0)) } else { (Some(0), Some(1)) };
    let before = two.entries();
    let meet = |one: &mut MemoryShelf, two: &mut MemoryShelf, cut: u64| {
        let mut link = Link::of(world, caller, other, after);
        link.cut_after = cut;
        let books: [&mut dyn daybook_core::sync::Shelf; 2] = if called { [two, one] } else { [one, two] };
        let [first, second] = books;
        link.settle([&mut *first, &mut *second]);
        link.cut([first, second]);
        link
    };
    let cut = meet(&mut one, &mut two, after);
    let acknowledged = cut.events[usize::from(called)].iter().rev().find_map(|event| match event {
        Event::Progress { sent, .. } => Some(*sent),
        _ => None,
    });
    let came = two.entries() - before;
    assert!(acknowledged.unwrap_or(0) <= came, "only what is durable is acknowledged");
    assert_eq!(one.all_heads(), from.all_heads(), "the sender is as it was");
    if came > 0 {
        let highest = two.all_heads().values().flatten().map(|(seq, _)| *seq).max().unwrap_or(0);
        assert!(highest >= came, "what came is a piece of the log from its start");
    }
    let again = meet(&mut one, &mut two, u64::MAX);
    assert!(again.in_sync(0) && again.in_sync(1), "cut after {after}: {:?}", again.events);
    assert_eq!((one.all_heads(), one.ids()), (two.all_heads(), two.ids()), "cut after {after}");
    assert_eq!((one.again, two.again), (0, 0), "cut after {after}: nothing comes twice");
    let moved: u64 = cut.moved.iter().chain(&again.moved).sum();
    let once = cost.0 + cost.1;
    assert!(moved <= once + RUN, "cut after {after}: {moved} bytes instead of {once}");
    came
}

/// Bytes of a run of 64 entries, or of what is told of a log that lies before it.
const RUN: u64 = 64 * 400;

/// Does the work of all places, a share on each core, and gives the results in their order.
fn on_all_cores(places: &[u64], work: impl Fn(&u64) -> u64 + Sync) -> Vec<u64> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let share = |places: &'_ [u64]| places.iter().map(&work).collect::<Vec<u64>>();
        let shares: Vec<_> =
            places.chunks(places.len().div_ceil(cores)).map(|places| scope.spawn(move || share(places))).collect();
        shares.into_iter().flat_map(|share| share.join().unwrap()).collect()
    })
}

fn bytes_of(world: &World, from: &MemoryShelf, to: &MemoryShelf) -> u64 {
    let mut link = Link::of(world, Some(0), Some(1), 0);
    link.settle([&mut from.clone(), &mut to.clone()]);
    assert!(link.in_sync(0) && link.in_sync(1));
    link.moved.iter().sum()
}

#[test]
fn every_byte_of_a_session_of_40_entries() {
    let (world, one, two) = written(40);
    let bytes = bytes_of(&world, &one, &two);
    let cost = (bytes, bytes_of(&world, &one, &one));
    let places: Vec<u64> = (0..=bytes).collect();
    let counts = on_all_cores(&places, |after| cut_and_meet_again(&world, &one, &two, *after, false, cost));
    assert_eq!((counts.first(), counts.last()), (Some(&0), Some(&40)));
}

#[test]
fn a_thousand_places_of_a_session_of_5000_entries() {
    let (world, one, two) = written(5_000);
    let bytes = bytes_of(&world, &one, &two);
    let cost = (bytes, bytes_of(&world, &one, &one));
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let places: Vec<u64> = (0..1_000).map(|_| rng.random_range(0..bytes)).collect();
    let counts = on_all_cores(&places, |after| cut_and_meet_again(&world, &one, &two, *after, after % 2 == 0, cost));
    let between = counts.iter().filter(|came| **came > 0 && **came < 5_000).count();
    assert!(between > 900, "{between}");
}

//! Two books that meet hold the same afterwards: both ways, with forks, and live.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::id::Lane;
use daybook_core::roster::{CompartmentKind, Role};
use daybook_tests::pair::Link;
use daybook_tests::shelf::MemoryShelf;
use daybook_tests::world::World;

/// Lets an author write observations of nothing in particular: bytes that no key opens matter as little here.
fn write(world: &mut World, author: usize, lane: Lane, count: usize) {
    for _ in 0..count {
        world.write(author, CompartmentKind::Clinical, lane, &[vec![0x80]], World::start_ms());
    }
}

fn runs_of(world: &World, author: usize) -> Vec<Vec<u8>> {
    world.authors[author].logs.values().flat_map(|log| log.runs(100)).collect()
}

#[test]
fn two_books_that_meet_hold_the_same() {
    let mut world = World::new(1, 2, Role::Clinician);
    write(&mut world, 0, Lane::Safety, 300);
    write(&mut world, 0, Lane::Routine, 70);
    write(&mut world, 1, Lane::Routine, 40);
    let (mut one, mut two) = (MemoryShelf::new(world.incident), MemoryShelf::new(world.incident));
    one.fill(&world.control_runs());
    one.fill(&runs_of(&world, 0));
    two.fill(&runs_of(&world, 1));
    let mut link = Link::of(&world, Some(0), Some(1), 1);
    link.settle([&mut one, &mut two]);
    assert!(link.in_sync(0) && link.in_sync(1), "{:?}", link.events);
    assert_eq!(one.heads(), two.heads());
    assert_eq!(one.entries(), 410 + 11);
    assert_eq!((one.again, two.again), (0, 0));
}

//! Sessions: a peer that says anything, and two honest ones whose bytes somebody changes, holds back or repeats.

use crate::recipe::made;
use crate::samples::samples;
use daybook_core::id::Lane;
use daybook_core::roster::CompartmentKind;
use daybook_core::sync::Side;
use daybook_tests::attacker::Attacker;
use daybook_tests::crash::script::Script;
use daybook_tests::pair::{Link, session};
use daybook_tests::shelf::MemoryShelf;
use daybook_tests::world::World;

/// Steps of one input.
const STEPS_MAX: usize = 200;

/// Frames of a member who says what it wants, each a kind and a payload: recipes between bytes that tell their length.
///
/// # Panics
/// Where something is wrong.
pub fn frame(input: &[u8]) {
    let world = Script::world();
    let mut shelf = MemoryShelf::new(world.incident);
    shelf.fill(&world.control_runs());
    let mut called = session(Side::Called, world.credentials(Some(0)), 1);
    let path = world.path(Some(1));
    let mut peer = Attacker::introduced(&world, &world.authors[1].device, &path, &mut called, &mut shelf);
    let mut rest = input;
    for _ in 0..STEPS_MAX {
        let Some(([kind, length], after)) = rest.split_first_chunk::<2>() else { break };
        let (recipe, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        // The kinds, and those that are none.
        let payload = payload(kind % 18, recipe);
        if peer.hear_until_closed(&mut called, &mut shelf) {
            break;
        }
        peer.say(kind % 18, &payload, &mut called, &mut shelf);
        peer.now_ms += u64::from(*length);
        called.handle_timeout(peer.now_ms, &mut shelf);
    }
    called.disconnected(peer.now_ms, &mut shelf);
    while called.poll_event().is_some() {}
}

/// A payload: of a run, from valid runs; of another kind, bytes as they are.
fn payload(kind: u8, recipe: &[u8]) -> Vec<u8> {
    match kind {
        daybook_tests::attacker::kind::RUN => made(&samples().runs, recipe),
        daybook_tests::attacker::kind::PATH => made(&samples().paths, recipe),
        _ => recipe.to_vec(),
    }
}

/// Two devices with logs of their own, and everything that can befall the bytes between them. Afterwards they meet
/// undisturbed, and hold the same.
///
/// # Panics
/// Where something is wrong.
pub fn session_pair(input: &[u8]) {
    let mut world = Script::world();
    let mut shelves = [MemoryShelf::new(world.incident), MemoryShelf::new(world.incident)];
    for shelf in &mut shelves {
        shelf.fill(&world.control_runs());
    }
    (0..2).for_each(|author| write(&mut world, &mut shelves[author], author, 20));
    let mut link = Link::of(&world, Some(0), Some(1), 1);
    let mut began = 1;
    for step in input.as_chunks::<3>().0.iter().take(STEPS_MAX) {
        let [kind, high, low] = *step;
        let place = usize::from(u16::from_be_bytes([high, low]));
        let end = usize::from(kind >> 7);
        let wire = link.wires[end].len();
        let [one, two] = &mut shelves;
        match kind % 8 {
            0..=2 => {
                link.step([one, two], &mut |most| most.min(place + 1));
            }
            3 => {
                link.settle_by([one, two], &mut |most| most.min(place + 1));
            }
            4 => link.wires[end].iter_mut().skip(place % wire.max(1)).take(1).for_each(|byte| *byte ^= 1 << (high % 8)),
            5 => {
                let piece = link.wires[end].get(place % wire.max(1)..).unwrap_or_default().to_vec();
                link.wires[end].extend(piece);
            }
            6 => {
                link.cut([one, two]);
                began += 2;
                link = Link::of(&world, Some(0), Some(1), began);
            }
            _ => {
                write(&mut world, &mut shelves[end], end, 1 + usize::from(low % 8));
                link.ends[end].notice(link.now_ms, &mut shelves[end]);
            }
        }
        link.now_ms += u64::from(low % 64);
    }
    let [one, two] = &mut shelves;
    link.cut([one, two]);
    let mut link = Link::of(&world, Some(0), Some(1), began + 2);
    link.settle([one, two]);
    assert!(link.in_sync(0) && link.in_sync(1), "{:?}", link.events);
    assert_eq!(one.all_heads(), two.all_heads());
}

/// An author writes into its own shelf.
fn write(world: &mut World, shelf: &mut MemoryShelf, author: usize, entries: usize) {
    // An operation of a newer version: small, and a shelf opens nothing.
    let operation = [vec![0xa1, 0x01, 0x18, 0x63]];
    let before = world.authors[author].logs.values().next().map_or(0, |log| log.entries.len());
    for number in 0..entries {
        let now = World::start_ms() + i64::try_from(before + number).expect("few");
        world.write(author, CompartmentKind::Clinical, Lane::Routine, &operation, now);
    }
    let log = world.authors[author].logs.values().next().expect("a log");
    shelf.fill(&[log.run(before, before + entries)]);
}

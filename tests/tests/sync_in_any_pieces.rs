//! However the byte stream is cut into pieces and in whatever order the ends are served, the result is the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::id::{DeviceId, Lane};
use daybook_core::roster::{CompartmentKind, Role};
use daybook_tests::host::SeededHost;
use daybook_tests::pair::Link;
use daybook_tests::shelf::MemoryShelf;
use daybook_tests::world::World;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::sync::LazyLock;

/// Three authors, one of whom forked a log.
static HISTORY: LazyLock<(World, Vec<Vec<u8>>)> = LazyLock::new(|| {
    let mut world = World::new(8, 3, Role::Clinician);
    let write = |world: &mut World, author, lane, count| {
        for _ in 0..count {
            world.write(author, CompartmentKind::Clinical, lane, &[vec![0x80]], World::start_ms());
        }
    };
    write(&mut world, 0, Lane::Safety, 70);
    write(&mut world, 1, Lane::Routine, 130);
    write(&mut world, 2, Lane::Import, 20);
    let before = world.authors[2].logs.clone();
    write(&mut world, 2, Lane::Import, 15);
    let mut runs: Vec<Vec<u8>> = world.control_runs();
    runs.extend(world.authors.iter().flat_map(|author| author.logs.values()).flat_map(|log| log.runs(64)));
    world.authors[2].logs = before;
    world.host = SeededHost::new(4_711);
    write(&mut world, 2, Lane::Import, 12);
    runs.extend(world.authors[2].logs.values().flat_map(|log| log.runs(64)));
    (world, runs)
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pieces_give_the_same(seed in any::<u64>(), most in 1_usize..40_000) {
        let (world, runs) = &*HISTORY;
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut shelves = [MemoryShelf::new(world.incident), MemoryShelf::new(world.incident)];
        for shelf in &mut shelves {
            for run in runs {
                if rng.random_bool(0.7) {
                    // What does not join is left out.
                    daybook_core::sync::Shelf::take(shelf, DeviceId::ZERO, std::slice::from_ref(run)).unwrap();
                }
            }
            shelf.again = 0;
        }
        let all: std::collections::BTreeSet<_> = shelves.iter().flat_map(MemoryShelf::ids).collect();
        let [one, two] = &mut shelves;
        let mut link = Link::of(world, Some(0), Some(1), seed);
        link.settle_by([one, two], &mut |bytes| rng.random_range(0..=bytes.min(most)));
        prop_assert!(link.reason(0).is_none() && link.reason(1).is_none(), "{:?}", link.events);
        // A zero piece is a pause; let both finish what they were at.
        link.settle([one, two]);
        prop_assert!(link.in_sync(0) && link.in_sync(1), "{:?}", link.events);
        prop_assert_eq!(one.all_heads(), two.all_heads());
        prop_assert_eq!(one.ids(), all);
        prop_assert!(link.waited < 6 * 1024 * 1024);
    }

    #[test]
    fn any_bytes_end_a_session_and_store_nothing(seed in any::<u64>(), at in 0_usize..30_000, xor in 1_u8..) {
        let (world, runs) = &*HISTORY;
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let (mut one, mut two) = (MemoryShelf::new(world.incident), MemoryShelf::new(world.incident));
        one.fill(runs);
        let ids = one.ids();
        let mut link = Link::of(world, Some(0), Some(1), seed);
        let (mut seen, mut done) = (0, false);
        for _ in 0..10_000 {
            for end in 0..2 {
                let book: &mut MemoryShelf = if end == 0 { &mut one } else { &mut two };
                let mut sent = link.ends[end].transmit(rng.random_range(1..20_000), 0, book);
                if !done && seen + sent.len() > at {
                    sent[at - seen] ^= xor;
                    done = true;
                }
                seen += sent.len();
                let other: &mut MemoryShelf = if end == 0 { &mut two } else { &mut one };
                link.ends[1 - end].receive(&sent, 0, other);
            }
        }
        // Whatever byte was changed: an end noticed it, or it waits for bytes that never come.
        let ended = link.ends.iter().any(|end| end.is_ended());
        let slow = link.ends.iter_mut().zip([&mut one, &mut two]).all(|(end, book)| {
            end.handle_timeout(1_000_000, book);
            end.is_ended()
        });
        prop_assert!(ended || slow || !done);
        prop_assert!(two.ids().is_subset(&ids));
    }
}

//! Two books that meet hold the same afterwards: both ways, with forks, with many logs and large entries, and live.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::crypto::HANDSHAKE_BYTES;
use daybook_core::id::{CONTROL, Incarnation, Lane};
use daybook_core::roster::{CompartmentKind, Role};
use daybook_core::sync::{Event, Session, Shelf, Side};
use daybook_tests::attacker::{Attacker, kind};
use daybook_tests::host::SeededHost;
use daybook_tests::pair::Link;
use daybook_tests::shelf::MemoryShelf;
use daybook_tests::world::World;
use std::collections::BTreeSet;

/// Lets an author write entries of so many bytes.
fn write(world: &mut World, author: usize, lane: Lane, count: usize, bytes: usize) {
    for _ in 0..count {
        world.write(author, CompartmentKind::Clinical, lane, &[vec![0x80; bytes]], World::start_ms());
    }
}

fn runs_of(world: &World, author: usize) -> Vec<Vec<u8>> {
    world.authors[author].logs.values().flat_map(|log| log.runs(64)).collect()
}

/// Two shelves that both know the control log.
fn shelves(world: &World) -> [MemoryShelf; 2] {
    let mut shelf = MemoryShelf::new(world.incident);
    shelf.fill(&world.control_runs());
    [shelf.clone(), shelf]
}

fn meet(world: &World, [one, two]: &mut [MemoryShelf; 2]) -> Link {
    let mut link = Link::of(world, Some(0), Some(1), 1);
    link.settle([one, two]);
    link
}

fn agree(link: &Link, [one, two]: &[MemoryShelf; 2]) {
    assert!(link.in_sync(0) && link.in_sync(1), "{:?}", link.events);
    assert_eq!((one.all_heads(), one.ids()), (two.all_heads(), two.ids()));
}

#[test]
fn two_books_that_meet_hold_the_same() {
    let mut world = World::new(1, 2, Role::Clinician);
    write(&mut world, 0, Lane::Safety, 300, 1);
    write(&mut world, 0, Lane::Routine, 70, 1);
    write(&mut world, 1, Lane::Routine, 40, 1);
    // The second knows nothing of control: it comes first, and then the rest.
    let mut both = [MemoryShelf::new(world.incident), MemoryShelf::new(world.incident)];
    both[0].fill(&world.control_runs());
    both[0].fill(&runs_of(&world, 0));
    both[1].fill(&runs_of(&world, 1));
    let link = meet(&world, &mut both);
    agree(&link, &both);
    assert_eq!((both[0].entries(), both[0].again, both[1].again), (410 + 11, 0, 0));
    let totals = |end: usize| {
        let of = |event: &Event| match event {
            Event::Totals { to_send, to_receive } => Some((*to_send, *to_receive)),
            _ => None,
        };
        link.events[end].iter().filter_map(of).collect::<Vec<_>>()
    };
    assert_eq!(totals(0), [(11, 0), (370, 40)]);
    assert_eq!(totals(1), [(0, 11), (40, 370)]);
    let last =
        |end: usize| link.events[end].iter().rev().find(|event| matches!(event, Event::Progress { .. })).cloned();
    assert_eq!(last(0), Some(Event::Progress { sent: 381, received: 40 }));
    assert_eq!(last(1), Some(Event::Progress { sent: 40, received: 381 }));
}

#[test]
fn two_books_that_agree_learn_it_from_51_bytes_each_way() {
    let mut world = World::new(1, 2, Role::Clinician);
    write(&mut world, 0, Lane::Safety, 500, 1);
    let mut both = shelves(&world);
    both.iter_mut().for_each(|shelf| shelf.fill(&runs_of(&world, 0)));
    let link = meet(&world, &mut both);
    agree(&link, &both);
    let path = |author| 2 + 16 + 1 + world.path(Some(author)).len() as u64;
    let [first, second, third] = HANDSHAKE_BYTES.map(|bytes| bytes as u64);
    let roots = [link.moved[0] - 48 - first - third - path(0), link.moved[1] - second - path(1)];
    println!("in sync: {roots:?} bytes after handshake and paths");
    assert_eq!(roots, [51, 51]);
    // The next time they also say what they held then.
    let again = meet(&world, &mut both);
    agree(&again, &both);
    let more = [0, 1].map(|end| again.moved[end] - link.moved[end] + roots[end]);
    assert_eq!(more, [59, 59]);
    assert!(more.iter().all(|bytes| *bytes < 64));
}

#[test]
fn forks_are_found_wherever_they_lie() {
    for (shared, ours, theirs) in [(0, 5, 3), (7, 5, 3), (64, 1, 200), (150, 90, 70), (300, 0, 9)] {
        let mut world = World::new(1, 2, Role::Clinician);
        write(&mut world, 0, Lane::Safety, shared, 1);
        write(&mut world, 1, Lane::Routine, 3, 1);
        let before = world.authors[0].logs.clone();
        let mut both = shelves(&world);
        both[1].fill(&runs_of(&world, 1));
        for (shelf, (seed, count)) in both.iter_mut().zip([(100, ours), (200, theirs)]) {
            world.authors[0].logs = before.clone();
            world.host = SeededHost::new(seed);
            write(&mut world, 0, Lane::Safety, count, 1);
            shelf.fill(&runs_of(&world, 0));
        }
        let link = meet(&world, &mut both);
        agree(&link, &both);
        let entries = shared + ours + theirs + 3 + 11;
        assert_eq!(both[0].entries(), entries as u64, "{shared} {ours} {theirs}");
    }
}

#[test]
fn a_ninth_branch_is_declined_by_name_and_all_else_goes_on() {
    let mut world = World::new(1, 2, Role::Clinician);
    write(&mut world, 0, Lane::Safety, 5, 1);
    let before = world.authors[0].logs.clone();
    let mut both = shelves(&world);
    for branch in 0..11 {
        world.authors[0].logs = before.clone();
        world.host = SeededHost::new(500 + branch);
        write(&mut world, 0, Lane::Safety, 3, 1);
        let shelf = &mut both[usize::from(branch >= 6)];
        shelf.fill(&runs_of(&world, 0));
    }
    write(&mut world, 1, Lane::Routine, 20, 1);
    both[0].fill(&runs_of(&world, 1));
    let link = meet(&world, &mut both);
    assert!(link.in_sync(0) && link.in_sync(1), "{:?}", link.events);
    let declined = |end: usize| {
        let events = link.events[end].iter();
        events.filter(|event| matches!(event, Event::Declined { code, .. } if code == "E-010")).count()
    };
    assert_eq!((declined(0), declined(1)), (1, 1));
    assert!(both.iter().all(|shelf| shelf.all_heads().values().any(|heads| heads.len() == 8)));
    assert!(both.iter().all(|shelf| shelf.all_heads().len() == 3));
}

#[test]
fn a_session_may_be_driven_from_any_thread() {
    const fn is_send<T: Send>() {}
    const { is_send::<Session>() }
}

/// 2,000 logs; of the 60 that differ 20 are held by one side alone, 20 by the other, and 20 by one side in part.
/// The second pair of shelves is as both were before that.
fn two_thousand_logs() -> (World, [MemoryShelf; 2], [MemoryShelf; 2]) {
    let mut world = World::new(1, 2, Role::Clinician);
    let mut both = shelves(&world);
    let mut before = shelves(&world);
    for log in 0..2_000_u32 {
        let mut name = [0; 16];
        name[..4].copy_from_slice(&log.to_le_bytes());
        world.authors[0].incarnation = Incarnation::new(name);
        world.authors[0].logs.clear();
        write(&mut world, 0, Lane::Routine, 2, 1);
        let log_runs = world.authors[0].logs.values().next().unwrap();
        let (first, all) = (log_runs.run(0, 1), log_runs.run(0, 2));
        match log % 100 {
            7 => both[0].fill(&[all]),
            8 => both[1].fill(&[all]),
            9 => {
                before.iter_mut().for_each(|shelf| shelf.fill(std::slice::from_ref(&first)));
                both[0].fill(&[first]);
                both[1].fill(&[all]);
            }
            _ => both.iter_mut().chain(&mut before).for_each(|shelf| shelf.fill(std::slice::from_ref(&all))),
        }
    }
    (world, both, before)
}

#[test]
fn a_compartment_that_either_side_leaves_out_stays_where_it_is_until_it_is_let_in() {
    let mut world = World::new(1, 2, Role::Clinician);
    let (clinical, supply) = (world.compartment(CompartmentKind::Clinical), world.compartment(CompartmentKind::Supply));
    for (author, count) in [(0, 50), (1, 20)] {
        write(&mut world, author, Lane::Safety, count, 1);
        for _ in 0..count {
            let stock = [vec![0x80]];
            world.write(author, CompartmentKind::Supply, Lane::Safety, &stock, World::start_ms());
        }
    }
    let held = |shelf: &MemoryShelf, compartment| {
        let logs = shelf.clone().frontier().unwrap().into_iter().filter(|log| log.compartment == compartment);
        logs.map(|log| log.branches[0].tip_seq).sum::<u64>()
    };
    for (ours, theirs) in [([clinical].into(), BTreeSet::new()), ([clinical].into(), [clinical, CONTROL].into())] {
        let mut both = shelves(&world);
        both[0] = MemoryShelf::new(world.incident);
        for (author, shelf) in both.iter_mut().enumerate() {
            shelf.fill(&runs_of(&world, author));
        }
        (both[0].apart, both[1].apart) = (ours, theirs);
        let mut link = Link::of(&world, Some(0), Some(1), 1);
        let [one, two] = &mut both;
        link.settle([one, two]);
        assert!(link.in_sync(0) && link.in_sync(1), "{:?}", link.events);
        let now = |both: &[MemoryShelf; 2], compartment| [held(&both[0], compartment), held(&both[1], compartment)];
        assert_eq!((now(&both, clinical), now(&both, supply), now(&both, CONTROL)), ([50, 20], [70, 70], [11, 11]));
        // What is written there while both are joined stays here too.
        let more = world.authors[0].logs.clone();
        write(&mut world, 0, Lane::Safety, 5, 1);
        both[0].fill(&runs_of(&world, 0));
        let [one, two] = &mut both;
        link.ends[0].notice(0, one);
        link.settle([one, two]);
        assert_eq!(now(&both, clinical), [55, 20]);
        // Both are let in: what was held back moves at once, and the next meeting finds nothing to do.
        both.iter_mut().for_each(|shelf| shelf.apart.clear());
        let [one, two] = &mut both;
        link.ends[1].notice(0, two);
        link.ends[0].notice(0, one);
        link.settle([one, two]);
        assert_eq!(now(&both, clinical), [75, 75], "{:?}", link.events);
        agree(&meet(&world, &mut both), &both);
        world.authors[0].logs = more;
    }
    // What comes all the same is not stored, and a peer that says so without end is left.
    let mut book = shelves(&world)[0].clone();
    book.apart.insert(clinical);
    let mut session = daybook_tests::pair::session(Side::Called, world.credentials(None), 1);
    let (device, path) = (&world.authors[1].device, world.path(Some(1)));
    let mut peer = Attacker::introduced(&world, device, &path, &mut session, &mut book);
    let run = world.authors[0].logs[&(clinical, Lane::Safety)].run(0, 50);
    peer.say(kind::RUN, &run, &mut session, &mut book);
    assert!(!session.is_ended() && held(&book, clinical) == 0);
    for _ in 0..100 {
        peer.say(19, clinical.as_bytes(), &mut session, &mut book);
        peer.say(kind::ROOTS, &[1; 32], &mut session, &mut book);
    }
    assert!(session.is_ended());
}

#[test]
fn what_changed_since_the_last_meeting_is_told_at_once() {
    let (world, mut both, mut before) = two_thousand_logs();
    agree(&meet(&world, &mut before), &before);
    for (shelf, before) in both.iter_mut().zip(&before) {
        shelf.met.clone_from(&before.met);
        assert_eq!(shelf.met.len(), 1);
    }
    let strangers = {
        let mut both = both.clone();
        both.iter_mut().for_each(|shelf| shelf.met.clear());
        meet(&world, &mut both).moved.iter().sum::<u64>()
    };
    let link = meet(&world, &mut both);
    agree(&link, &both);
    let bytes: u64 = link.moved.iter().sum();
    let entries = 20 * 2 + 20 * 2 + 20;
    println!("2,000 logs, 60 changed since the last meeting: {bytes} bytes, {strangers} without a note of it");
    // Heads of 60 logs are said once, by one side or by both, and entries take about 650 bytes alone in a run.
    assert!(bytes < entries * 700 + 10_000 && bytes + 30_000 < strangers, "{bytes} {strangers}");
    assert_eq!(both[0].again + both[1].again, 0);
}

#[test]
fn notes_of_a_meeting_that_say_different_things_cost_bytes_and_nothing_else() {
    let (world, mut both, before) = two_thousand_logs();
    // One side lost its note, then one side has an older one, then one lies about what it held.
    let heads = |shelf: &MemoryShelf| {
        let heads = shelf.all_heads().into_iter();
        heads.map(|(log, heads)| (log, heads.into_iter().collect())).collect::<daybook_core::sync::Covered>()
    };
    let [one, two] = [0, 1].map(|author: usize| world.authors[author].device.public().device_id());
    for (first, second) in [
        (heads(&before[0]), daybook_core::sync::Covered::new()),
        (heads(&before[0]), heads(&shelves(&world)[0])),
        (heads(&both[0]), heads(&both[0])),
        (heads(&both[1]), heads(&both[1])),
        (daybook_core::sync::Covered::from([(daybook_core::id::LogId::new([1; 32]), Vec::new())]), heads(&both[1])),
    ] {
        let mut both = both.clone();
        both[0].met.insert(two, first);
        both[1].met.insert(one, second);
        let link = meet(&world, &mut both);
        agree(&link, &both);
    }
    // A fork of what both held then is found too.
    let mut forked = World::new(1, 2, Role::Clinician);
    write(&mut forked, 0, Lane::Safety, 70, 1);
    let at_first = forked.authors[0].logs.clone();
    both = shelves(&forked);
    both.iter_mut().for_each(|shelf| shelf.fill(&runs_of(&forked, 0)));
    agree(&meet(&forked, &mut both), &both);
    for (shelf, seed) in both.iter_mut().zip([100, 200]) {
        forked.authors[0].logs.clone_from(&at_first);
        forked.host = SeededHost::new(seed);
        write(&mut forked, 0, Lane::Safety, 5, 1);
        shelf.fill(&runs_of(&forked, 0));
    }
    let link = meet(&forked, &mut both);
    agree(&link, &both);
    assert_eq!(both[0].entries(), 80 + 11);
}

#[test]
fn thousands_of_logs_take_a_few_questions() {
    let (world, mut both, _) = two_thousand_logs();
    let link = meet(&world, &mut both);
    agree(&link, &both);
    let entries = 20 * 2 + 20 * 2 + 20;
    let bytes: u64 = link.moved.iter().sum();
    println!("2,000 logs, 60 differ: {bytes} bytes");
    assert!(bytes < 60_000 + entries * 400, "{bytes}");
    assert_eq!(both[0].again + both[1].again, 0);
}

#[test]
fn the_largest_entries_travel_in_pieces_and_are_whole() {
    let mut world = World::new(1, 2, Role::Clinician);
    write(&mut world, 0, Lane::Safety, 70, 60_000);
    let mut both = shelves(&world);
    both[0].fill(&runs_of(&world, 0));
    let mut link = Link::of(&world, Some(0), Some(1), 1);
    let [one, two] = &mut both;
    link.settle_by([one, two], &mut |most| most.min(1_000));
    agree(&link, &both);
    assert_eq!(both[1].again, 0);
}

#[test]
fn large_entries_pay_for_themselves_however_many_there_are() {
    // More than a peer may send without bringing anything new: 16,384 KiB.
    let mut world = World::new(1, 2, Role::Clinician);
    write(&mut world, 0, Lane::Safety, 400, 60_000);
    let mut both = shelves(&world);
    both[0].fill(&runs_of(&world, 0));
    let mut link = Link::of(&world, Some(0), Some(1), 1);
    let [one, two] = &mut both;
    link.settle([one, two]);
    assert!(link.moved[0] > 20 * 1024 * 1024 && link.now_ms < 5_000, "{} bytes, {} ms", link.moved[0], link.now_ms);
    agree(&link, &both);
}

#[test]
fn two_that_send_much_at_once_never_wait_for_each_other() {
    let mut world = World::new(1, 2, Role::Clinician);
    let mut both = shelves(&world);
    for (author, shelf) in both.iter_mut().enumerate() {
        write(&mut world, author, Lane::Safety, 130, 60_000);
        shelf.fill(&runs_of(&world, author));
    }
    // A stream that holds little: nothing is sent while as much is on its way.
    let mut link = Link::of(&world, Some(0), Some(1), 1);
    link.holds = 30_000;
    let [one, two] = &mut both;
    link.settle([one, two]);
    agree(&link, &both);
    assert!(link.waited <= 30_000);
}

#[test]
fn what_matters_most_comes_first() {
    let mut world = World::new(1, 2, Role::Clinician);
    for lane in [Lane::Import, Lane::Safety, Lane::Routine] {
        write(&mut world, 0, lane, 200, 1);
    }
    let mut both = [MemoryShelf::new(world.incident), MemoryShelf::new(world.incident)];
    both[0].fill(&world.control_runs());
    both[0].fill(&runs_of(&world, 0));
    let link = meet(&world, &mut both);
    agree(&link, &both);
    let logs: Vec<_> = link.events[1]
        .iter()
        .filter_map(|e| if let Event::Stored { log, .. } = e { Some(*log) } else { None })
        .collect();
    let order: Vec<_> = logs
        .iter()
        .map(|id| world.authors[0].logs.values().find(|log| log.log == *id).map(|log| log.name.lane))
        .collect();
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!((order.first(), order.last()), (Some(&None), Some(&Some(Lane::Import))));
}

#[test]
fn what_is_written_while_two_books_are_joined_goes_through_a_third() {
    let mut world = World::new(1, 3, Role::Clinician);
    let [mut one, mut two] = shelves(&world);
    let mut three = two.clone();
    let mut left = Link::of(&world, Some(0), Some(1), 1);
    let mut right = Link::of(&world, Some(2), Some(1), 9);
    left.settle([&mut one, &mut two]);
    right.settle([&mut three, &mut two]);
    for count in [1, 3, 80] {
        write(&mut world, 0, Lane::Safety, count, 1);
        one.fill(&runs_of(&world, 0));
        left.ends[0].notice(left.now_ms, &mut one);
        left.settle([&mut one, &mut two]);
        assert_eq!(one.all_heads(), two.all_heads());
        // The book in the middle has news for its other session, and nothing to send back.
        let back = left.moved[1];
        left.ends[1].notice(left.now_ms, &mut two);
        right.ends[1].notice(right.now_ms, &mut two);
        left.settle([&mut one, &mut two]);
        right.settle([&mut three, &mut two]);
        assert_eq!((left.moved[1], three.all_heads()), (back, one.all_heads()));
    }
    assert_eq!((one.again, two.again, three.again), (0, 0, 0));
    assert!(left.ends.iter().chain(&right.ends).all(|end| end.is_live()));
    // Silence is filled, and nobody is given up.
    let moved = left.moved;
    for second in 1..300 {
        left.now_ms = second * 1_000;
        left.ends[0].handle_timeout(left.now_ms, &mut one);
        left.ends[1].handle_timeout(left.now_ms, &mut two);
        left.settle([&mut one, &mut two]);
    }
    assert!(left.ends.iter().all(|end| end.is_live()));
    // Once each says what it holds, and then 13 times that it is there.
    assert_eq!(left.moved, moved.map(|bytes| bytes + (2 + 1 + 112 + 16) + 13 * 19));
    left.cut([&mut one, &mut two]);
    assert!(left.ends.iter().all(|end| end.is_ended() && end.next_timeout_ms().is_none()));
}

#[test]
fn a_log_that_came_out_of_step_while_live_is_put_right_by_a_round() {
    let mut world = World::new(1, 2, Role::Clinician);
    write(&mut world, 0, Lane::Safety, 10, 1);
    let [mut one, mut two] = shelves(&world);
    one.fill(&runs_of(&world, 0));
    two.fill(&runs_of(&world, 0));
    let mut link = Link::of(&world, Some(0), Some(1), 1);
    link.settle([&mut one, &mut two]);
    // The second book loses what it had: a push cannot join, so both look again.
    let mut lost = shelves(&world)[1].clone();
    write(&mut world, 0, Lane::Safety, 5, 1);
    one.fill(&runs_of(&world, 0));
    link.ends[0].notice(0, &mut one);
    link.settle([&mut one, &mut lost]);
    assert_eq!(one.all_heads(), lost.all_heads());
    assert!(link.ends.iter().all(|end| end.is_live()));
}

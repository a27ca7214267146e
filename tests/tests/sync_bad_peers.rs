//! Whatever a peer does, a session ends within its bounds, says whose fault it was, and stores nothing that does
//! not verify; another session of the same book goes on meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::crypto::Purpose;
use daybook_core::id::Lane;
use daybook_core::roster::{CompartmentKind, Role};
use daybook_core::sync::{Event, Reason, Session, SessionRule, Side};
use daybook_tests::attacker::{Attacker, ended, hello, kind};
use daybook_tests::pair::{Link, session};
use daybook_tests::shelf::MemoryShelf;
use daybook_tests::world::World;

/// The root's book with some entries of the first author, and a session of the root that is called.
fn called(world: &mut World) -> (MemoryShelf, Session) {
    for _ in 0..40 {
        world.write(0, CompartmentKind::Clinical, Lane::Routine, &[vec![0x80]], World::start_ms());
    }
    let mut book = MemoryShelf::new(world.incident);
    book.fill(&world.control_runs());
    book.fill(&world.authors[0].logs.values().flat_map(|log| log.runs(64)).collect::<Vec<_>>());
    (book, session(Side::Called, world.credentials(None), 1))
}

fn known(session: &mut Session) -> bool {
    std::iter::from_fn(|| session.poll_event()).any(|event| matches!(event, Event::PeerKnown(_)))
}

/// An author of the world who has introduced himself, with the session's first frames read.
fn member(world: &World, session: &mut Session, book: &mut MemoryShelf) -> Attacker {
    let mut attacker = Attacker::introduced(world, &world.authors[1].device, &world.path(Some(1)), session, book);
    let frames = attacker.hear(session, book);
    assert_eq!(frames.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [kind::PATH, kind::ROOTS]);
    assert!(known(session));
    attacker
}

#[test]
fn a_stranger_without_the_admission_secret_hears_nothing() {
    let mut world = World::new(1, 2, Role::Clinician);
    let (mut book, mut session) = called(&mut world);
    let wrong = daybook_core::crypto::Secret::new([1; 32]);
    session.receive(&hello(&world, &wrong), 0, &mut book);
    assert_eq!(session.transmit(usize::MAX, 0, &mut book), Vec::<u8>::new());
    assert_eq!(ended(&mut session), Some(Reason::Rule(SessionRule::Hello)));
    // One who replays the hello of another gets no further.
    let mut session = daybook_tests::pair::session(Side::Called, world.credentials(None), 1);
    session.receive(&[hello(&world, &world.admission), vec![7; 48]].concat(), 0, &mut book);
    assert_eq!(session.transmit(usize::MAX, 0, &mut book), Vec::<u8>::new());
    assert_eq!(ended(&mut session), Some(Reason::Rule(SessionRule::Noise)));
}

#[test]
fn a_member_of_another_incident_is_a_stranger() {
    let mut world = World::new(1, 2, Role::Clinician);
    let other = World::new(2, 1, Role::Admin);
    let (mut book, session) = called(&mut world);
    let mut theirs = MemoryShelf::new(other.incident);
    let caller = daybook_tests::pair::session(Side::Caller, other.credentials(Some(0)), 5);
    let mut link = Link::new(caller, session);
    link.settle([&mut theirs, &mut book]);
    assert_eq!((link.reason(1), link.moved[1]), (Some(&Reason::Rule(SessionRule::Hello)), 0));
    // The same who was told the admission secret has no path of this incident.
    let mut session = daybook_tests::pair::session(Side::Called, world.credentials(None), 1);
    let mut attacker =
        Attacker::introduced(&world, &other.authors[0].device, &other.path(Some(0)), &mut session, &mut book);
    assert_eq!(ended(&mut session).map(|reason| reason.code().to_owned()), Some("P-003".to_owned()));
    let frames = attacker.hear(&mut session, &mut book);
    assert_eq!(frames.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [kind::PATH, kind::BYE]);
}

#[test]
fn a_device_that_is_barred_is_not_served_and_one_with_an_unknown_grant_is() {
    let mut world = World::new(1, 2, Role::Clinician);
    let (mut book, mut session) = called(&mut world);
    book.barred.insert(world.authors[1].grant);
    Attacker::introduced(&world, &world.authors[1].device, &world.path(Some(1)), &mut session, &mut book);
    assert_eq!(ended(&mut session), Some(Reason::Rule(SessionRule::Barred)));
    // Unknown here: its path speaks for it at once.
    book.barred.clear();
    book.known.insert(world.authors[0].grant);
    let mut session = daybook_tests::pair::session(Side::Called, world.credentials(None), 1);
    member(&world, &mut session, &mut book);
    assert!(session.peer().is_some_and(|peer| peer.by_path));
}

#[test]
fn a_peer_that_sends_nothing_or_one_byte_a_second_is_left() {
    let mut world = World::new(1, 2, Role::Clinician);
    let (mut book, mut session) = called(&mut world);
    assert_eq!(session.next_timeout_ms(), Some(20_000));
    session.handle_timeout(20_000, &mut book);
    assert_eq!(ended(&mut session), Some(Reason::Rule(SessionRule::Slow)));
    let mut session = daybook_tests::pair::session(Side::Called, world.credentials(None), 1);
    for (second, byte) in hello(&world, &world.admission).into_iter().enumerate() {
        session.receive(&[byte], second as u64 * 1_000, &mut book);
        session.handle_timeout(second as u64 * 1_000, &mut book);
    }
    assert_eq!(ended(&mut session), Some(Reason::Rule(SessionRule::Slow)));
    // A member too: a frame must be whole within a minute.
    let mut session = daybook_tests::pair::session(Side::Called, world.credentials(None), 1);
    let mut attacker = member(&world, &mut session, &mut book);
    let frame = attacker.sealed(kind::RUN, &[0; 1_000]);
    let left = (1..).find(|second| {
        session.receive(&frame[*second..=*second], *second as u64 * 1_000, &mut book);
        session.handle_timeout(*second as u64 * 1_000, &mut book);
        session.transmit(usize::MAX, *second as u64 * 1_000, &mut book);
        session.is_ended()
    });
    assert_eq!((left, ended(&mut session)), (Some(60), Some(Reason::Rule(SessionRule::Slow))));
}

#[test]
fn a_peer_that_never_reads_costs_no_memory_and_is_left() {
    let mut world = World::new(1, 2, Role::Clinician);
    let (mut book, mut session) = called(&mut world);
    let mut attacker = member(&world, &mut session, &mut book);
    attacker.say(kind::ROOTS, &[1; 32], &mut session, &mut book);
    // It asks for everything again and again and takes none of it.
    let ask = [0; 9].repeat(16);
    let mut taken = 0;
    for _ in 0..2_000 {
        let frame = attacker.sealed(kind::ASK, &ask);
        taken += usize::from(session.receive(&frame, 1, &mut book) == frame.len());
    }
    assert!(session.is_ended() || (taken < 2_000 && !session.wants_input()));
    assert!(session.transmit(usize::MAX, 1, &mut book).len() < 512 * 1024);
    let mut session = daybook_tests::pair::session(Side::Called, world.credentials(None), 1);
    member(&world, &mut session, &mut book);
    session.handle_timeout(20_000, &mut book);
    assert!(session.has_output(), "a ping waits");
    session.handle_timeout(80_000, &mut book);
    assert_eq!(ended(&mut session), Some(Reason::Rule(SessionRule::Slow)));
}

#[test]
fn a_member_who_gives_receipts_without_end_is_left_as_soon_as_one_who_asks() {
    let mut world = World::new(1, 2, Role::Clinician);
    let (mut book, mut session) = called(&mut world);
    let (device, path) = (&world.authors[1].device, world.path(Some(1)));
    let mut attacker = Attacker::introduced(&world, device, &path, &mut session, &mut book);
    let frames = attacker.hear(&mut session, &mut book);
    // It says that it holds the same, and then signs for something else, again and again.
    let roots = frames.into_iter().find(|(number, _)| *number == kind::ROOTS).expect("its roots").1;
    attacker.say(kind::ROOTS, &roots, &mut session, &mut book);
    assert!(session.is_live());
    let (frontier, incarnation) = ([5; 32], world.authors[1].incarnation);
    let (signer, receiver) = (device.public().device_id(), world.root.device.public().device_id());
    let of =
        [&world.incident.as_bytes()[..], signer.as_bytes(), incarnation.as_bytes(), receiver.as_bytes(), &frontier];
    let signature = device.signing.sign(Purpose::Receipt, &of.concat());
    let receipt = [&frontier[..], incarnation.as_bytes(), &signature.0].concat();
    let said = (1..1_000).find(|_| {
        attacker.say(kind::RECEIPT, &receipt, &mut session, &mut book);
        session.is_ended()
    });
    // Each makes the other side look at all of its logs, and costs as much as roots do.
    assert_eq!((said, ended(&mut session)), (Some(127), Some(Reason::Rule(SessionRule::Spent))));
}

#[test]
fn a_peer_that_claims_repeats_or_sends_back_is_left() {
    let mut world = World::new(1, 2, Role::Clinician);
    let (mut book, _) = called(&mut world);
    let before = book.ids();
    // Claims 2^63 entries.
    let mut one = session(Side::Called, world.credentials(None), 1);
    let mut attacker = member(&world, &mut one, &mut book);
    attacker.say(kind::ROOTS, &[1; 32], &mut one, &mut book);
    attacker.say(kind::HEADS, &[1], &mut one, &mut book);
    attacker.say(kind::TOTALS, &[&(1_u64 << 63).to_le_bytes()[..], &9_u32.to_le_bytes()].concat(), &mut one, &mut book);
    assert_eq!(ended(&mut one), Some(Reason::Rule(SessionRule::Claim)));
    // Acknowledges what was never sent.
    let mut one = session(Side::Called, world.credentials(None), 1);
    let mut attacker = member(&world, &mut one, &mut book);
    attacker.say(kind::ACK, &5_u64.to_le_bytes(), &mut one, &mut book);
    assert_eq!(ended(&mut one), Some(Reason::Rule(SessionRule::Claim)));
    // Repeats what is here, without end.
    let mut one = session(Side::Called, world.credentials(None), 1);
    let mut attacker = member(&world, &mut one, &mut book);
    let run = world.authors[0].logs.values().next().unwrap().run(0, 40);
    let mut frames = 0;
    while !one.is_ended() {
        attacker.say(kind::RUN, &run, &mut one, &mut book);
        attacker.hear(&mut one, &mut book);
        frames += 1;
        assert!(frames < 10_000);
    }
    assert_eq!(ended(&mut one), Some(Reason::Rule(SessionRule::Spent)));
    // Sends back what it hears.
    let mut one = session(Side::Called, world.credentials(None), 1);
    Attacker::call(&world, &world.authors[1].device, &mut one, &mut book);
    let ours = one.transmit(usize::MAX, 0, &mut book);
    one.receive(&ours, 0, &mut book);
    assert_eq!(ended(&mut one), Some(Reason::Rule(SessionRule::Noise)));
    let mut caller = session(Side::Caller, world.credentials(None), 1);
    let ours = caller.transmit(usize::MAX, 0, &mut book);
    caller.receive(&ours, 0, &mut book);
    assert_eq!(ended(&mut caller), Some(Reason::Rule(SessionRule::Noise)));
    assert_eq!(book.ids(), before);
}

#[test]
fn runs_that_break_a_rule_end_the_session_and_leave_nothing() {
    let mut world = World::new(1, 2, Role::Clinician);
    let (mut book, _) = called(&mut world);
    for _ in 0..70 {
        world.write(1, CompartmentKind::Clinical, Lane::Routine, &[vec![0x80]], World::start_ms());
    }
    let log = world.authors[1].logs.values().next().unwrap();
    let good = log.run(0, 64);
    let changed = |at: usize, bytes: &[u8]| {
        let mut run = good.clone();
        run[at..at + bytes.len()].copy_from_slice(bytes);
        run
    };
    let count_at = 96 + 16 + 32 + 1 + 8 + 32;
    let mut unsigned = good.clone();
    unsigned.truncate(good.len() - 68);
    let heads_at = unsigned.len() - 4;
    unsigned[heads_at..].fill(0);
    let cases = [
        ("E-001", good[..good.len() - 1].to_vec()),
        ("E-001", Vec::new()),
        ("E-002", changed(145, &2_u64.to_le_bytes())),
        ("E-004", changed(count_at + 4 + 1 + 96 + 24, &u32::MAX.to_le_bytes())),
        ("E-005", changed(good.len() - 30, &[0; 30])),
        ("E-006", unsigned),
        ("E-007", changed(32, &[0; 32])),
        ("E-008", changed(144, &[9])),
        ("E-009", changed(count_at, &0_u32.to_le_bytes())),
    ];
    let before = book.ids();
    for (code, run) in cases {
        let mut one = session(Side::Called, world.credentials(None), 1);
        let mut attacker = member(&world, &mut one, &mut book);
        attacker.say(kind::RUN, &run, &mut one, &mut book);
        let reason = ended(&mut one).unwrap();
        assert_eq!((reason.code(), reason.is_peers_fault()), (code, true));
        assert_eq!(book.ids(), before, "{code}");
        let frames = attacker.hear(&mut one, &mut book);
        assert_eq!(frames.last(), Some(&(kind::BYE, code.as_bytes().to_vec())));
    }
    // What does not join is no fault; it is asked for again, then left out.
    let mut one = session(Side::Called, world.credentials(None), 1);
    let mut attacker = member(&world, &mut one, &mut book);
    attacker.say(kind::RUN, &log.run(64, 70), &mut one, &mut book);
    assert!(!one.is_ended() && book.ids() == before);
    // The good run is taken.
    attacker.say(kind::RUN, &good, &mut one, &mut book);
    assert_eq!(book.ids().len(), before.len() + 64);
}

#[test]
fn others_are_served_while_one_peer_misbehaves() {
    let mut world = World::new(1, 3, Role::Clinician);
    let (mut book, mut bad) = called(&mut world);
    let mut attacker = member(&world, &mut bad, &mut book);
    let mut other = MemoryShelf::new(world.incident);
    let mut link = Link::of(&world, Some(2), None, 7);
    for step in 0..200 {
        let garbage = attacker.sealed(kind::HEADS, &[1, 2, 3]);
        bad.receive(&garbage, step, &mut book);
        link.step([&mut other, &mut book], &mut |most| most.min(500));
    }
    link.settle([&mut other, &mut book]);
    assert_eq!(ended(&mut bad), Some(Reason::Rule(SessionRule::Frame)));
    assert!(link.in_sync(0) && link.in_sync(1));
    assert_eq!(other.all_heads(), book.all_heads());
}

#[test]
fn a_full_disk_ends_the_session_and_nothing_is_acknowledged() {
    let mut world = World::new(1, 2, Role::Clinician);
    let (mut book, _) = called(&mut world);
    let mut other = MemoryShelf::new(world.incident);
    other.broken = true;
    let mut link = Link::of(&world, None, Some(1), 7);
    link.settle([&mut book, &mut other]);
    assert!(matches!(link.reason(1), Some(Reason::Book(_))));
    assert!(!link.events[0].iter().any(|event| matches!(event, Event::Progress { .. })));
    assert_eq!(link.reason(0), Some(&Reason::ClosedByPeer));
}

/// As [`member`], but the session called, and has asked for the node of everything.
fn asked(world: &World, session: &mut Session, book: &mut MemoryShelf) -> Attacker {
    let mut attacker = Attacker::answer(world, &world.authors[1].device, &world.path(Some(1)), session, book);
    attacker.say(kind::ROOTS, &[1; 32], session, book);
    let frames = attacker.hear(session, book);
    let kinds: Vec<u8> = frames.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [kind::PATH, kind::ROOTS, kind::ASK]);
    assert!(known(session));
    attacker
}

#[test]
fn answers_without_end_or_without_question_are_left() {
    let mut world = World::new(1, 2, Role::Clinician);
    let (mut book, _) = called(&mut world);
    // Children that differ for ever, down to where no digits are left, and then without end.
    let mut one = session(Side::Caller, world.credentials(None), 1);
    let mut attacker = asked(&world, &mut one, &mut book);
    let (mut nodes, mut answers) = (vec![vec![0; 9]], 0);
    while let (false, Some(node)) = (one.is_ended(), nodes.pop()) {
        attacker.say(kind::CHILDREN, &[&node[..], &[answers as u8; 128]].concat(), &mut one, &mut book);
        answers += 1;
        for (number, ask) in attacker.hear(&mut one, &mut book) {
            if number == kind::ASK {
                nodes.extend(ask.chunks(9).map(<[u8]>::to_vec));
            }
        }
    }
    assert!(answers < 20_000, "{answers}");
    let reason = ended(&mut one).unwrap();
    assert!(matches!(reason, Reason::Rule(SessionRule::Spent | SessionRule::Frame)), "{reason}");
    // A leaf that nobody asked for, and heads of logs that were no question.
    let mut one = session(Side::Caller, world.credentials(None), 1);
    let mut attacker = asked(&world, &mut one, &mut book);
    attacker.say(kind::LEAF, &[&[1, 0x10][..], &[0; 7]].concat(), &mut one, &mut book);
    assert_eq!(ended(&mut one), Some(Reason::Rule(SessionRule::Turn)));
    let mut one = session(Side::Caller, world.credentials(None), 1);
    let mut attacker = asked(&world, &mut one, &mut book);
    attacker.say(kind::LEAF, &[0; 9], &mut one, &mut book);
    let frames = attacker.hear(&mut one, &mut book);
    assert!(matches!(&frames[..], [(kind::HEADS, heads)] if heads[0] == 1));
    attacker.say(kind::HEADS, &[&[1][..], &[0xee; 8], &[0]].concat(), &mut one, &mut book);
    assert_eq!(ended(&mut one), Some(Reason::Rule(SessionRule::Turn)));
    // A peer that says it holds nothing is sent everything, and no more than the window before it says thanks.
    let mut world = World::new(4, 2, Role::Clinician);
    for _ in 0..200 {
        world.write(0, CompartmentKind::Clinical, Lane::Routine, &[vec![0; 60_000]], World::start_ms());
    }
    book = MemoryShelf::new(world.incident);
    book.fill(&world.control_runs());
    book.fill(&world.authors[0].logs.values().flat_map(|log| log.runs(64)).collect::<Vec<_>>());
    let mut one = session(Side::Caller, world.credentials(None), 1);
    let mut attacker = Attacker::answer(&world, &world.authors[1].device, &world.path(Some(1)), &mut one, &mut book);
    let roots = attacker.hear(&mut one, &mut book).pop().unwrap().1;
    attacker.say(kind::ROOTS, &[&roots[..16], &[1; 16]].concat(), &mut one, &mut book);
    attacker.say(kind::LEAF, &[0; 9], &mut one, &mut book);
    let heads = attacker.hear(&mut one, &mut book).pop().unwrap().1;
    // One head each, without rungs: 8, 1 and 37 bytes.
    let none: Vec<u8> = heads[1..].chunks(46).flat_map(|log| [&log[..8], &[0]].concat()).collect();
    attacker.say(kind::HEADS, &[&[1], &none[..]].concat(), &mut one, &mut book);
    let sent: usize = attacker.hear(&mut one, &mut book).iter().map(|(_, payload)| payload.len()).sum();
    assert!((4 << 20..9 << 20).contains(&sent), "{sent}");
}

#[test]
fn what_was_recorded_of_a_session_opens_no_other_and_says_nothing_twice() {
    let mut world = World::new(1, 2, Role::Clinician);
    let (mut book, mut called_one) = called(&mut world);
    let mut theirs = MemoryShelf::new(world.incident);
    theirs.fill(&world.control_runs());
    // Somebody on the way records all that the caller sends in a session that ends well.
    let mut caller = session(Side::Caller, world.credentials(Some(1)), 7);
    let (mut recorded, mut pieces) = (Vec::new(), Vec::new());
    loop {
        let sent = caller.transmit(usize::MAX, 0, &mut theirs);
        let answer = {
            called_one.receive(&sent, 0, &mut book);
            called_one.transmit(usize::MAX, 0, &mut book)
        };
        caller.receive(&answer, 0, &mut theirs);
        if sent.is_empty() && answer.is_empty() {
            break;
        }
        recorded.extend_from_slice(&sent);
        pieces.push(sent);
    }
    assert!(caller.is_live() && called_one.is_live() && recorded.len() > 300);
    let before = (book.ids(), book.takes);
    // Sent to a new session of the same device it is a hello that fits, and then a message of another handshake.
    let mut replayed = session(Side::Called, world.credentials(None), 8);
    let (first, rest) = recorded.split_at(96);
    replayed.receive(first, 0, &mut book);
    assert_eq!(replayed.transmit(usize::MAX, 0, &mut book).len(), 96, "the handshake is answered, with other keys");
    replayed.receive(rest, 0, &mut book);
    assert_eq!(ended(&mut replayed), Some(Reason::Rule(SessionRule::Noise)));
    assert_eq!(replayed.transmit(usize::MAX, 0, &mut book), Vec::<u8>::new());
    // Within its own session each message counts once.
    let last = pieces.iter().rev().find(|piece| !piece.is_empty()).unwrap();
    called_one.receive(last, 0, &mut book);
    assert_eq!(ended(&mut called_one), Some(Reason::Rule(SessionRule::Noise)));
    assert_eq!((book.ids(), book.takes), before);
}

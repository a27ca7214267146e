//! A device that was revoked hands over what it wrote, learns of its revoke, and is given nothing else; one that was
//! barred is turned away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use daybook_core::daybook::{Daybook, Endorsing, MemberState};
use daybook_core::id::{CONTROL, CompartmentId, Lane, LogId};
use daybook_core::log::Run;
use daybook_core::record::{Name, Setting};
use daybook_core::roster::{CompartmentKind, Control, ControlBody, GrantPath, Revoke, Role};
use daybook_core::sync::{Event, Limits, Session, Shelf, Side};
use daybook_tests::attacker::{Attacker, kind};
use daybook_tests::host::SeededHost;
use daybook_tests::pair::Link;
use daybook_tests::people::{PASSPHRASE, People, meet, terms};
use daybook_tests::workload::Workload;
use daybook_tests::world::World;
use std::collections::BTreeSet;

fn add(book: &mut Daybook, family: &str) -> String {
    let name = Name { family, given: vec![], text: "" };
    book.add_patient(&[Setting::Name(name, Some(""))]).unwrap().entries[0].0.clone()
}

/// Two books meet and part in order.
fn part(one: &mut Daybook, two: &mut Daybook) -> Link {
    let caller = one.session(Side::Caller, Limits::default(), 0).unwrap();
    let mut link = Link::new(caller, two.session(Side::Called, Limits::default(), 0).unwrap());
    link.settle([one, two]);
    link.ends[0].close(link.now_ms, one);
    link.settle([one, two]);
    link
}

fn handed_over(link: &Link) -> bool {
    link.events.iter().all(|events| events.contains(&Event::HandedOver) && !events.contains(&Event::InSync))
}

/// The logs of a book, with their compartments.
fn logs(book: &mut Daybook) -> BTreeSet<(LogId, CompartmentId)> {
    book.frontier().unwrap().into_iter().map(|log| (log.log, log.compartment)).collect()
}

fn waiting(book: &mut Daybook) -> (u64, u64) {
    let entries = book.status().unwrap().entries;
    (entries.waiting, entries.own_waiting)
}

/// Whether the bytes that a book exports hold those of a device's key.
fn tells_of(book: &mut Daybook, other: &mut Daybook) -> bool {
    let path = GrantPath::read(&other.grant_path().unwrap(), None).unwrap();
    let key = path.grants().last().unwrap().1.device.to_bytes();
    let mut file = Vec::new();
    book.export_log(&mut file).unwrap();
    file.windows(32).any(|bytes| bytes == &key[..32])
}

fn not_for_this_device(book: &mut Daybook) -> usize {
    book.log(None, 1_000).unwrap().iter().filter(|line| line.verdict == "not for this device").count()
}

fn members(book: &mut Daybook) -> Vec<(Option<String>, MemberState)> {
    book.members().unwrap().into_iter().map(|member| (member.who.person, member.state)).collect()
}

/// An administrator, a nurse of hers whom she revoked, and another member whom the nurse never heard of. The nurse wrote
/// an entry that was synced, and eleven that were not: five before the revoke, six after it.
struct Revoked {
    people: People,
    admin: Daybook,
    nurse: Daybook,
    newcomer: Daybook,
    late: String,
}

fn revoked() -> Revoked {
    let mut people = People::default();
    let (mut admin, _) = people.found("admin");
    let mut nurse = people.enrol(&mut admin, "Nurse", &terms(Role::Clinician));
    add(&mut nurse, "Okoye");
    assert!(meet(&mut nurse, &mut admin));
    (0..5).for_each(|at| drop(add(&mut nurse, &format!("Before {at}"))));
    let newcomer = people.enrol(&mut admin, "Newcomer", &terms(Role::Clinician));
    add(&mut admin, "Not for her");
    admin.revoke("Nurse", None, Some("left")).unwrap();
    add(&mut admin, "Not for her either");
    let late = (0..6).map(|at| add(&mut nurse, &format!("After {at}"))).last().unwrap();
    Revoked { people, admin, nurse, newcomer, late }
}

#[test]
fn a_revoked_device_hands_over_what_it_wrote_and_is_given_only_what_concerns_it() {
    let Revoked { people: _people, mut admin, mut nurse, mut newcomer, .. } = revoked();
    let before = (logs(&mut nurse), nurse.status().unwrap());
    let link = part(&mut nurse, &mut admin);
    assert!(handed_over(&link), "{:?}", link.events);
    assert!(link.events[0].contains(&Event::Former { here: true }));
    assert!(link.events[1].contains(&Event::Former { here: false }));
    assert_eq!((waiting(&mut admin), admin.status().unwrap().patients), ((11, 0), 3));
    assert!(admin.quarantine(20).unwrap().0.iter().all(|waits| waits.code == "Q-006"));

    // She knows that she was revoked, and that what she wrote waits; nothing else came.
    let status = nurse.status().unwrap();
    assert!(status.ended);
    assert_eq!((waiting(&mut nurse), status.patients), ((11, 11), 1));
    let new: Vec<_> = logs(&mut nurse).difference(&before.0).copied().collect();
    assert_eq!(new, [], "she had met the log of the one who revoked her");
    assert!(status.entries.total > before.1.entries.total);
    assert_eq!(
        not_for_this_device(&mut nurse),
        1,
        "the newcomer's grant; what was said after the revoke is not told at all"
    );
    assert_eq!((status.entries.faulty, status.entries.erased), (0, 0));
    assert!(!tells_of(&mut nurse, &mut newcomer) && tells_of(&mut admin, &mut newcomer));
    let others = |book: &mut Daybook| members(book).into_iter().map(|(who, _)| who).collect::<Vec<_>>();
    assert!(!others(&mut nurse).contains(&Some("Newcomer".into())));
    // What was signed about her entries is hers, and a rebuild finds the same.
    let held = nurse.holdings().unwrap();
    assert!(held.logs.iter().filter(|log| log.author.here).all(|log| log.elsewhere == log.entries), "{held:?}");
    let was = (nurse.digest().unwrap(), nurse.status().unwrap().entries);
    nurse.rebuild(&mut |_, _| {}).unwrap();
    assert_eq!((nurse.digest().unwrap(), nurse.status().unwrap().entries), was);
    assert_eq!(nurse.verify(&mut |_, _| {}).unwrap().problems, Vec::<String>::new());

    // Again, nothing moves: neither of hers nor of the administrator's.
    add(&mut admin, "Nor this");
    let link = part(&mut nurse, &mut admin);
    assert!(handed_over(&link), "{:?}", link.events);
    assert!(!link.events[0].iter().any(|event| matches!(event, Event::Totals { .. } | Event::Progress { .. })));
}

#[test]
fn once_she_is_endorsed_she_gets_all_that_was_withheld() {
    let Revoked { people: _people, mut admin, mut nurse, mut newcomer, late } = revoked();
    assert!(handed_over(&part(&mut nurse, &mut admin)));
    // One who has not heard of it takes from her what she has: the revoke too, without what is not hers.
    assert!(!meet(&mut nurse, &mut newcomer), "he learns of it on the way");
    assert!(newcomer.status().unwrap().entries.waiting >= 11, "{:?}", newcomer.status());
    assert!(meet(&mut newcomer, &mut admin));
    assert_eq!(members(&mut newcomer), members(&mut admin));
    assert_eq!((not_for_this_device(&mut newcomer), waiting(&mut newcomer).0), (0, 11));
    admin.endorse(&late, Endorsing::Grant).unwrap();
    assert!(meet(&mut nurse, &mut admin), "she is a member again, also by what she has to hear first");
    assert!(meet(&mut nurse, &mut admin));
    assert_eq!((not_for_this_device(&mut nurse), waiting(&mut nurse)), (0, (0, 0)));
    assert_eq!(members(&mut nurse), members(&mut admin));
    assert_eq!(nurse.status().unwrap().patients, admin.status().unwrap().patients);
}

#[test]
fn a_revoke_that_comes_while_they_are_connected_narrows_the_session() {
    let mut people = People::default();
    let (mut admin, _) = people.found("admin");
    let mut nurse = people.enrol(&mut admin, "Nurse", &terms(Role::Clinician));
    let caller = nurse.session(Side::Caller, Limits::default(), 0).unwrap();
    let mut link = Link::new(caller, admin.session(Side::Called, Limits::default(), 0).unwrap());
    link.settle([&mut nurse, &mut admin]);
    assert!(link.in_sync(0) && link.in_sync(1));
    admin.revoke("Nurse", None, None).unwrap();
    add(&mut admin, "Not for her");
    link.ends[1].notice(link.now_ms, &mut admin);
    link.settle([&mut nurse, &mut admin]);
    assert!(link.reason(0).is_none() && link.events[0].contains(&Event::HandedOver), "{:?}", link.events);
    assert!(nurse.status().unwrap().ended);
    assert_eq!(nurse.status().unwrap().entries.unopened, 0);
    assert_eq!(nurse.frontier().unwrap().len(), admin.frontier().unwrap().len() - 1, "without the record");
    // Barred, she is not served any more.
    admin.bar("Nurse").unwrap();
    link.ends[1].notice(link.now_ms, &mut admin);
    link.settle([&mut nurse, &mut admin]);
    assert_eq!(link.reason(0).map(|reason| reason.code().to_owned()), Some("S-006".to_owned()));
    let mut again = part(&mut nurse, &mut admin);
    assert_eq!(again.reason(0).map(|reason| reason.code().to_owned()), Some("S-006".to_owned()));
    assert!(again.ends[0].poll_event().is_none());
    admin.lift_bars("Nurse").unwrap();
    assert!(handed_over(&part(&mut nurse, &mut admin)), "she is still revoked");
}

#[test]
fn two_who_revoked_each_other_hand_nothing_over_and_learn_of_it() {
    let mut people = People::default();
    let (mut founder, _) = people.found("founder");
    let mut one = people.enrol(&mut founder, "One", &terms(Role::Admin));
    let mut two = people.enrol(&mut one, "Two", &terms(Role::Admin));
    for (a, b) in [(0, 1), (1, 2), (0, 2)] {
        let mut all = [&mut founder, &mut one, &mut two];
        let [a, b] = all.get_disjoint_mut([a, b]).unwrap();
        assert!(meet(a, b));
    }
    // The lower one cannot end the higher; a bar of his is no revoke, and has no effect on one above.
    founder.revoke("One", None, None).unwrap();
    one.revoke("Two", None, None).unwrap();
    assert!(handed_over(&part(&mut one, &mut founder)));
    assert!(one.status().unwrap().ended);
    // What one said past the cut has no effect but the bar in it: two is served as one who is barred by a revoke.
    let link = part(&mut two, &mut founder);
    assert!(handed_over(&link), "{:?}", link.events);
    founder.lift_bars("Two").unwrap();
    assert!(meet(&mut two, &mut founder));
    // To two, one is a former member now; to one, two still is.
    let link = part(&mut two, &mut one);
    assert!(link.events.iter().all(|told| told.contains(&Event::Former { here: true })), "{:?}", link.events);
    assert!(link.events.iter().all(|told| !told.contains(&Event::InSync)));
}

#[test]
fn an_old_copy_of_her_book_with_the_old_grant_is_a_former_member_too() {
    let mut people = People::default();
    let (mut admin, _) = people.found("admin");
    let mut nurse = people.enrol(&mut admin, "Nurse", &terms(Role::Clinician));
    add(&mut nurse, "Okoye");
    assert!(meet(&mut nurse, &mut admin));
    nurse.backup(&people.path("backup"), PASSPHRASE).unwrap();
    let old_path = nurse.grant_path().unwrap();
    admin.revoke("Nurse", None, None).unwrap();
    add(&mut admin, "Not for her");
    // The copy knows nothing of the revoke; what it says of itself is the grant that it was given.
    let mut copy = Daybook::restore(&people.path("backup"), &people.path("copy"), PASSPHRASE, people.host()).unwrap();
    assert_eq!(copy.grant_path().unwrap(), old_path);
    add(&mut copy, "Haddad");
    assert!(handed_over(&part(&mut copy, &mut admin)));
    assert_eq!((copy.status().unwrap().ended, copy.status().unwrap().patients), (true, 1));
    assert_eq!((waiting(&mut admin).0, admin.status().unwrap().patients), (1, 2));
}

/// Says frames as a caller whose grant was revoked, and gives the kinds and payloads of what is answered.
struct Thief {
    world: World,
    _folder: tempfile::TempDir,
    book: Daybook,
    session: Session,
    attacker: Attacker,
}

impl Thief {
    fn calls() -> Self {
        let workload = Workload::generate(300, true);
        let mut world = workload.world;
        let folder = tempfile::tempdir_in(daybook_tests::history::scratch()).unwrap();
        let member = world.membership(&world.authors[0].device);
        let host = Box::new(SeededHost::new(50));
        let mut book = Daybook::join(&folder.path().join("book"), b"pass", &member, host).unwrap();
        let (grants, devices) = (vec![world.authors[1].grant], vec![world.authors[1].device.public().device_id()]);
        let revoke = Revoke { grants, spares: vec![], cuts: vec![], devices, reason: None, part: None };
        world.control(Control::Revoke(revoke));
        book.take_runs(&world.control_runs()).unwrap();
        book.take_runs(&workload.runs).unwrap();
        book.post_all().unwrap();
        let mut session = book.session(Side::Called, Limits::default(), 0).unwrap();
        let (device, path) = (&world.authors[1].device, world.path(Some(1)));
        let attacker = Attacker::introduced(&world, device, &path, &mut session, &mut book);
        Self { world, _folder: folder, book, session, attacker }
    }

    fn say(&mut self, kind: u8, payload: &[u8]) -> Vec<(u8, Vec<u8>)> {
        self.attacker.say(kind, payload, &mut self.session, &mut self.book);
        self.attacker.hear(&mut self.session, &mut self.book)
    }
}

fn kinds(frames: &[(u8, Vec<u8>)]) -> Vec<u8> {
    frames.iter().map(|(kind, _)| *kind).collect()
}

#[test]
fn whatever_a_former_member_asks_for_it_is_told_what_concerns_it() {
    let mut thief = Thief::calls();
    let (book, world) = (&mut thief.book, &thief.world);
    let (thief_device, root) =
        (world.authors[1].device.public().device_id(), world.root.logs[&(CONTROL, Lane::Safety)].log);
    let clinical: Vec<LogId> =
        book.frontier().unwrap().iter().filter(|log| log.compartment != CONTROL).map(|log| log.log).collect();
    let own = book.frontier().unwrap().iter().filter(|log| log.device == thief_device).count();
    let epochs: Vec<u8> = world.epochs.values().flat_map(|(key, ..)| *key.as_bytes()).collect();
    let total = book.status().unwrap().entries.total;
    let heard = thief.attacker.hear(&mut thief.session, &mut thief.book);
    assert_eq!(kinds(&heard), [kind::PATH, kind::FORMER, kind::ROOTS]);
    assert_eq!(
        (&heard[1].1[..32], heard[1].1.len()),
        (&root.as_bytes()[..], 36),
        "the log that holds the revoke, no other"
    );
    // Both look again, since it was said what is exchanged; then the roots differ.
    assert_eq!(kinds(&thief.say(kind::ROOTS, &[0; 32])), [kind::ROOTS]);
    assert_eq!(kinds(&thief.say(kind::ROOTS, &[0; 32])), Vec::<u8>::new());
    let leaf = thief.say(kind::ASK, &[0; 9]);
    assert_eq!((kinds(&leaf), (leaf[0].1.len() - 9) / 20), (vec![kind::LEAF], 1), "of control logs it is one");
    // It holds nothing of it, and names the logs of others too: these are not held, as far as it is told.
    let mut heads = vec![1];
    heads.extend_from_slice(&leaf[0].1[9..17]);
    heads.push(0);
    heads.extend_from_slice(&[7; 8]);
    heads.push(0);
    let told = thief.say(kind::HEADS, &heads);
    assert_eq!(kinds(&told).first(), Some(&kind::HEADS));
    let mut bodies = 0;
    for (_, run) in told.iter().filter(|(kind, _)| *kind == kind::RUN) {
        let run = Run::read(run).unwrap().verify(&thief.world.incident).unwrap();
        assert_eq!(run.log(), root);
        let told =
            run.entries().iter().filter_map(|entry| entry.body()).map(|body| ControlBody::read(body).unwrap().control);
        for control in told {
            bodies += 1;
            match control {
                Control::Grant(grant) => assert_eq!(grant.device.device_id(), thief_device),
                Control::Revoke(revoke) => assert_eq!(revoke.devices, [thief_device]),
                other => panic!("{other:?} does not concern it"),
            }
        }
    }
    assert_eq!(bodies, 2, "its grant and its revoke");
    // Neither keys nor bodies, and what others wrote is not taken.
    let mut refused = Vec::new();
    for log in &clinical {
        refused.extend(thief.say(kind::WANT, &[&log.as_bytes()[..], &[1, 0, 0, 0], &[9, 0, 0, 0]].concat()));
    }
    for keys in epochs.chunks(32 * 64) {
        refused.extend(thief.say(kind::KEYS, keys));
    }
    let (incident, log) = (thief.world.incident, (thief.world.compartment(CompartmentKind::Clinical), Lane::Routine));
    let other = &mut thief.world.authors[2];
    other.append(&incident, log, &[1, 2, 3], None);
    let run = other.logs[&log].run(0, 1);
    refused.extend(thief.say(kind::RUN, &run));
    assert_eq!(kinds(&refused).iter().filter(|kind| **kind != kind::ACK).count(), 0, "{refused:?}");
    assert_eq!(thief.book.status().unwrap().entries.total, total);
    assert!(own > 0 && !thief.session.is_ended());
    // Without end and without anything new it is ended.
    let mut said = 0;
    while !thief.session.is_ended() && said < 40_000 {
        thief.attacker.say(kind::RUN, &run, &mut thief.session, &mut thief.book);
        thief.session.transmit(usize::MAX, 0, &mut thief.book);
        said += 1;
    }
    assert!(said < 17_000, "{said}");
    assert_eq!(thief.book.status().unwrap().entries.total, total, "whatever came was not stored");
}

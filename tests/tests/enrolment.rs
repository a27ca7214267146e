//! A newcomer is enrolled without any network: asked, granted, accepted, and recognised by who never heard of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use daybook_core::clock::Host;
use daybook_core::crypto::{Deriver, DeviceSecret, Label, seal_reply};
use daybook_core::daybook::{Daybook, EnrolmentError, EnrolmentRequest, Error, Membership, Terms};
use daybook_core::record::{Name, Setting};
use daybook_core::roster::{GrantPath, Role, SignedFounding};
use daybook_tests::host::SeededHost;
use daybook_tests::people::{PASSPHRASE, People, hand_over};
use tempfile::TempDir;

fn host(seed: u64) -> Box<dyn Host> {
    Box::new(SeededHost::new(seed))
}

fn terms(role: Role) -> Terms {
    let addresses = vec!["10.0.0.7:7373".into()];
    Terms { role, organisation: None, history: true, until_ms: None, site: None, addresses }
}

fn add(book: &mut Daybook, family: &'static str) {
    let name = Name { family, given: vec![], text: "" };
    book.add_patient(&[Setting::Name(name, Some(""))]).unwrap();
}

fn patients(book: &mut Daybook) -> u64 {
    book.status().unwrap().patients
}

#[test]
fn a_newcomer_writes_at_once_and_is_recognised_by_who_never_heard_of_the_grant() {
    let mut people = People::default();
    let (mut admin, _) = people.found("admin");
    let mut third = people.enrol(&mut admin, "Third", &terms(Role::Clinician));
    add(&mut admin, "Okoye");
    hand_over(&mut admin, &mut third);
    // Others are admitted between, so that the newcomer's grant does not join what the third member holds.
    for name in ["Fourth", "Fifth"] {
        let request = people.request(name);
        admin.grant(&request, &terms(Role::Dispenser)).unwrap();
    }
    let mut newcomer = people.enrol(&mut admin, "Newcomer", &terms(Role::Clinician));
    let here = newcomer.status().unwrap().here;
    assert_eq!((here.person.as_deref(), here.organisation.as_deref()), (Some("Newcomer"), Some("Relief")));
    add(&mut newcomer, "Lindqvist");
    assert_eq!(newcomer.status().unwrap().entries.waiting, 0);

    hand_over(&mut newcomer, &mut third);
    let status = third.status().unwrap();
    assert_eq!((status.patients, status.entries.waiting, status.entries.unopened), (2, 0, 0));
    // And on from there: the third member's export carries the grant too.
    let mut fourth = people.enrol(&mut admin, "Sixth", &terms(Role::Clinician));
    hand_over(&mut third, &mut fourth);
    assert_eq!((patients(&mut fourth), fourth.status().unwrap().entries.waiting), (2, 0));
    // When the chain comes, nothing changes and nothing is counted twice.
    let before = third.digest().unwrap();
    hand_over(&mut admin, &mut third);
    hand_over(&mut newcomer, &mut admin);
    hand_over(&mut third, &mut admin);
    assert_eq!(before.len(), third.digest().unwrap().len());
    assert_eq!(admin.digest().unwrap(), third.digest().unwrap());
    assert!(third.verify(&mut |_, _| {}).unwrap().problems.is_empty());
    hand_over(&mut admin, &mut newcomer);
    assert_eq!(admin.digest().unwrap(), newcomer.digest().unwrap());
    drop(newcomer);
    let mut again = Daybook::open(&people.path("Newcomer"), PASSPHRASE, host(99)).unwrap();
    assert_eq!(patients(&mut again), 2);
    add(&mut again, "Haddad");
}

#[test]
fn an_admitted_administrator_admits_others_and_a_path_of_two_grants_proves_it() {
    let mut people = People::default();
    let (mut founder, _) = people.found("founder");
    let mut admin = people.enrol(&mut founder, "Admin", &terms(Role::Admin));
    let mut nurse = people.enrol(&mut admin, "Nurse", &terms(Role::Dispenser));
    let path = nurse.grant_path().unwrap();
    let read = GrantPath::read(&path, None).unwrap();
    assert_eq!(read.grants().iter().map(|(_, g)| g.role.as_str()).collect::<Vec<_>>(), ["admin", "dispenser"]);
    assert!(GrantPath::read(&founder.grant_path().unwrap(), None).unwrap().grants().is_empty());
    add(&mut nurse, "Okoye");
    hand_over(&mut nurse, &mut founder);
    assert_eq!((patients(&mut founder), founder.status().unwrap().entries.waiting), (1, 0));

    let request = people.request("Other");
    let refused = nurse.grant(&request, &terms(Role::Relay)).unwrap_err();
    assert!(matches!(refused, Error::NoRight), "{refused}");
    let refused = founder.grant(&people.request("Nurse 2"), &terms(Role::Relay)).map(|_| ());
    assert!(refused.is_ok());
    assert_eq!(nurse.status().unwrap().entries.own, 2);
}

#[test]
fn without_history_only_what_is_written_from_now_on_is_read() {
    let mut people = People::default();
    let (mut admin, _) = people.found("admin");
    let mut early = people.enrol(&mut admin, "Early", &terms(Role::Clinician));
    add(&mut admin, "Okoye");
    let late = Terms { history: false, ..terms(Role::Clinician) };
    let mut newcomer = people.enrol(&mut admin, "Late", &late);
    add(&mut admin, "Lindqvist");
    hand_over(&mut admin, &mut newcomer);
    let status = newcomer.status().unwrap();
    assert_eq!((status.patients, status.entries.unopened), (1, 1));
    add(&mut newcomer, "Haddad");
    hand_over(&mut newcomer, &mut admin);
    assert_eq!((patients(&mut admin), admin.status().unwrap().entries.waiting), (3, 0));
    // A second newcomer without history needs no further epoch where nothing was written since.
    let written = admin.status().unwrap().entries.own;
    people.enrol(&mut admin, "Later", &late);
    // Clinical and directory were written under: two epochs and the grant.
    assert_eq!(admin.status().unwrap().entries.own, written + 3);
    // One with history is given the newest secrets and reads back through all epochs.
    let mut with = people.enrol(&mut admin, "With", &terms(Role::Clinician));
    hand_over(&mut admin, &mut with);
    assert_eq!((patients(&mut with), with.status().unwrap().entries.unopened), (3, 0));
    // Who was there before takes part in the new epoch as soon as the parcel comes, which the file brings too.
    hand_over(&mut admin, &mut early);
    let status = early.status().unwrap();
    assert_eq!((status.patients, status.entries.unopened), (3, 0));
}

#[test]
fn a_reply_is_worth_nothing_to_a_stranger_and_is_taken_once() {
    let mut people = People::default();
    let (mut admin, _) = people.found("admin");
    let request = people.request("Newcomer");
    people.request("Stranger");
    let reply = admin.grant(&request, &terms(Role::Clinician)).unwrap();
    let code = reply.code().unwrap().join("\n");
    let open = |name: &str, passphrase: &[u8], code: &str| {
        Daybook::open_reply(&people.path(name), passphrase, code).map(|_| ()).unwrap_err()
    };
    let of = |error: Error| match error {
        Error::Enrolment(error) => error,
        other => panic!("{other}"),
    };
    assert_eq!(of(open("Stranger", PASSPHRASE, &code)), EnrolmentError::OtherRequest);
    assert_eq!(of(open("Nobody", PASSPHRASE, &code)), EnrolmentError::NoRequest);
    assert_eq!(of(open("Newcomer", PASSPHRASE, &code[..code.len() / 2])), EnrolmentError::CutOff);
    assert_eq!(of(open("Newcomer", PASSPHRASE, &request.code().unwrap()[0])), EnrolmentError::IsRequest);
    assert!(matches!(open("Newcomer", b"guess", &code), Error::WrongPassphrase));
    assert_eq!(of(admin.grant(&request, &terms(Role::Admin)).unwrap_err()), EnrolmentError::AlreadyGranted);

    let mut host = SeededHost::new(77);
    let again = |person: &str, anew: bool, host: &mut SeededHost| {
        Daybook::begin_request(&people.path("Newcomer"), PASSPHRASE, person, anew, host)
    };
    assert_eq!(again("Newcomer", false, &mut host).unwrap(), request);
    assert_eq!(of(again("Another", false, &mut host).unwrap_err()), EnrolmentError::RequestWaits);
    let path = people.path("Newcomer").join("request");
    let kept = std::fs::read(&path).unwrap();
    let anew = again("Newcomer", true, &mut host).unwrap();
    assert_ne!(anew.hash(), request.hash());
    assert_eq!(of(open("Newcomer", PASSPHRASE, &code)), EnrolmentError::OtherRequest);
    std::fs::write(&path, &kept[..kept.len() - 1]).unwrap();
    assert_eq!(of(open("Newcomer", PASSPHRASE, &code)), EnrolmentError::RequestDamaged);
    std::fs::write(&path, &kept).unwrap();

    let mut book = people.accept("Newcomer", &reply);
    assert!(!path.exists());
    add(&mut book, "Okoye");
    let used = Daybook::open_reply(&people.path("Newcomer"), PASSPHRASE, &code).map(|_| ()).unwrap_err();
    assert_eq!(of(used), EnrolmentError::AlreadyMember);
}

/// A stranger on the way founds an incident of the same name and answers in the administrator's place.
fn forged(request: &EnrolmentRequest, seed: u64) -> Vec<u8> {
    let mut people = People::default();
    people.seeds = seed;
    let (mut stranger, _) = people.found("stranger");
    stranger.grant(request, &terms(Role::Clinician)).unwrap().bytes().to_vec()
}

#[test]
fn keys_or_replies_swapped_on_the_way_change_the_characters() {
    let mut people = People::default();
    let (mut admin, _) = people.found("admin");
    let request = people.request("Newcomer");
    let stranger = DeviceSecret::random(&mut SeededHost::new(500));
    let swapped = EnrolmentRequest::new(stranger.public(), request.person()).unwrap();
    assert_ne!(request.characters(), swapped.characters());
    let renamed = EnrolmentRequest::new(*request.device(), "Another name").unwrap();
    assert_ne!(request.characters(), renamed.characters());

    // The stranger answers the newcomer's true request: the newcomer's screen shows other characters.
    let true_reply = admin.grant(&request, &terms(Role::Clinician)).unwrap();
    let false_reply = forged(&request, 900);
    assert_ne!(request.characters_with(&false_reply), true_reply.characters());
    assert_eq!(request.characters_with(true_reply.bytes()), true_reply.characters());
    // The administrator answers the stranger's request: even the same reply would show other characters.
    assert_ne!(swapped.characters_with(true_reply.bytes()), true_reply.characters());
}

#[test]
fn an_attacker_who_varies_his_reply_16_million_times_does_not_meet_the_characters() {
    const VARIANTS: u64 = 1 << 24;
    let mut people = People::default();
    let (mut admin, _) = people.found("admin");
    let request = people.request("Newcomer");
    let true_reply = admin.grant(&request, &terms(Role::Clinician)).unwrap();
    let forged = forged(&request, 900);
    // He is given more than he has: his variants need not open. So each costs him one block of the hash, the
    // cheapest that it can be, and the derivation is the one that both screens use.
    let (fixed, _) = forged.split_at(forged.len() - 64);
    let mut prefix = Deriver::new(Label::Comparison);
    prefix.update(&request.hash()).update(fixed);
    let variant = |number: u64| {
        let mut tail = [0; 64];
        tail[..8].copy_from_slice(&number.to_le_bytes());
        tail
    };
    let shown =
        |number: u64| u64::from_be_bytes(*prefix.clone().update(&variant(number)).finish().first_chunk().unwrap());
    let real = |number: u64| request.characters_with(&[fixed, &variant(number)].concat());
    let mut goal = Deriver::new(Label::Comparison);
    goal.update(&request.hash()).update(true_reply.bytes());
    let goal = u64::from_be_bytes(*goal.finish().first_chunk().unwrap());

    let halves = [0..VARIANTS / 2, VARIANTS / 2..VARIANTS];
    let best = std::thread::scope(|scope| {
        let threads = halves.map(|half| {
            scope.spawn(|| half.map(|number| ((shown(number) ^ goal).leading_zeros(), number)).max().unwrap())
        });
        threads.map(|thread| thread.join().unwrap()).into_iter().max().unwrap()
    });
    println!("best of {VARIANTS} variants: {} of 60 bits", best.0);
    // 24 bits of work meet about 24 bits: six digits (20 bits) fall, twelve characters do not.
    assert!((20..45).contains(&best.0), "{best:?}");
    assert_ne!(real(best.1), true_reply.characters());
    let same =
        (0..12).filter(|at| nth(&real(best.1).to_string(), *at) == nth(&true_reply.characters().to_string(), *at));
    assert!(same.count() < 12);
}

/// The n-th character, dashes not counted.
fn nth(text: &str, at: usize) -> char {
    text.chars().filter(|c| *c != '-').nth(at).unwrap()
}

#[test]
fn a_reply_whose_text_is_not_what_it_should_be_is_refused() {
    let mut people = People::default();
    let (mut admin, _) = people.found("admin");
    let request = people.request("Newcomer");
    let other = people.request("Other");
    let path_of_other = {
        let reply = admin.grant(&other, &terms(Role::Clinician)).unwrap();
        people.accept("Other", &reply).grant_path().unwrap()
    };
    let text = |path: &[u8]| {
        let length = u16::try_from(path.len()).unwrap().to_be_bytes();
        [&[0xa2, 1, 0x59][..], &length, path, &[3, 0x58, 32], &[7; 32]].concat()
    };
    // Somebody else's path, no path, no text at all, a text of a newer version.
    for text in [text(&path_of_other), text(&[1; 300]), vec![0xff], vec![0xa1, 9, 0]] {
        let sealed = seal_reply(request.device(), &request.hash(), &text, &mut SeededHost::new(3)).unwrap();
        let code = daybook_core::daybook::CodeKind::Reply.write(&sealed).unwrap().concat();
        let error = Daybook::open_reply(&people.path("Newcomer"), PASSPHRASE, &code).map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::Enrolment(EnrolmentError::Damaged | EnrolmentError::NewerCode)), "{error}");
    }
}

#[test]
fn a_stranger_with_an_incident_of_his_own_is_no_member_of_this_one() {
    let mut people = People::default();
    let (mut admin, _) = people.found("admin");
    let (mut other, _) = people.found("other");
    let request = people.request("Newcomer");
    let reply = other.grant(&request, &terms(Role::Clinician)).unwrap();
    let mut newcomer = people.accept("Newcomer", &reply);
    add(&mut newcomer, "Okoye");
    let mut file = Vec::new();
    newcomer.export_log(&mut file).unwrap();
    assert!(matches!(admin.ingest(&mut file.as_slice(), &mut |_| {}), Err(Error::OtherIncident)));
}

#[test]
fn control_entries_that_take_no_effect_are_not_kept_alone() {
    let mut world = daybook_tests::world::World::new(1, 2, Role::Clinician);
    // A clinician has no right to grant: its "grant" from the middle of a log that nobody holds is refused.
    let folder = TempDir::new().unwrap();
    let fresh = DeviceSecret::random(&mut SeededHost::new(50));
    let membership: Membership = world.membership(&fresh);
    let mut book = Daybook::join(&folder.path().join("book"), PASSPHRASE, &membership, host(4)).unwrap();
    book.take_runs(&world.control_runs()).unwrap();
    let _: &SignedFounding = &world.founding;
    let granted = world.root.logs.values().next().unwrap().entries.last().unwrap().body.clone();
    let incident = world.incident;
    let author = &mut world.authors[0];
    for _ in 0..3 {
        author.append(&incident, (daybook_core::id::CONTROL, daybook_core::id::Lane::Safety), &granted, None);
    }
    let log = author.logs.values().next().unwrap().clone();
    let report = book.take_runs(&[log.run(2, 3)]).unwrap();
    assert_eq!(report.refused, [("E-003".to_owned(), 1)]);
    assert_eq!(report.new, 0);
}

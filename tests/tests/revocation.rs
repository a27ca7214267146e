//! A stolen phone goes blind and its thief writes nothing that counts; nothing that was written honestly is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use daybook_core::crypto::{DevicePublic, DeviceSecret, RecoverySeed};
use daybook_core::daybook::{
    AdministrationError, Daybook, Endorsing, EnrolmentRequest, Error, MemberState, Membership, Terms,
};
use daybook_core::record::{Name, Setting};
use daybook_core::roster::{CompartmentKind, Founding, GrantPath, Role, Root, SignedFounding};
use daybook_tests::host::SeededHost;
use daybook_tests::people::{PASSPHRASE, People, hand_over, meet, terms};

fn add(book: &mut Daybook, family: &'static str) -> String {
    let name = Name { family, given: vec![], text: "" };
    book.add_patient(&[Setting::Name(name, Some(""))]).unwrap().entries[0].0.clone()
}

fn patients(book: &mut Daybook) -> u64 {
    book.status().unwrap().patients
}

/// What waits, and what of it was written here.
fn waiting(book: &mut Daybook) -> (u64, u64) {
    let entries = book.status().unwrap().entries;
    (entries.waiting, entries.own_waiting)
}

fn device_of(book: &mut Daybook) -> DevicePublic {
    GrantPath::read(&book.grant_path().unwrap(), None).unwrap().grants().last().unwrap().1.device
}

/// Digests but that of the audit: what somebody reads stands in his own book until it travels.
fn digests(book: &mut Daybook) -> Vec<(String, String)> {
    let digests = book.digest().unwrap();
    digests.into_iter().filter(|(compartment, _)| !compartment.starts_with("audit ")).collect()
}

fn same(one: &mut Daybook, other: &mut Daybook) {
    assert_eq!(digests(one), digests(other));
    for book in [one, other] {
        let before = (book.digest().unwrap(), book.status().unwrap().entries);
        book.rebuild(&mut |_, _| {}).unwrap();
        assert_eq!((book.digest().unwrap(), book.status().unwrap().entries), before, "a rebuild gives the same");
    }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Error>) -> AdministrationError {
    match answer.unwrap_err() {
        Error::Administration(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_revoked_device_writes_waits_until_somebody_above_endorses_it() {
    let mut people = People::default();
    let (mut admin, _) = people.found("admin");
    let mut nurse = people.enrol(&mut admin, "Nurse", &terms(Role::Clinician));
    let mut third = people.enrol(&mut admin, "Third", &terms(Role::Clinician));
    add(&mut nurse, "Okoye");
    hand_over(&mut nurse, &mut admin);
    hand_over(&mut nurse, &mut third);
    // She goes on writing where nobody hears her; meanwhile she is revoked.
    let late = add(&mut nurse, "Lindqvist");
    let latest = add(&mut nurse, "Haddad");
    let revoked = admin.revoke("nurse", None, Some("stolen")).unwrap();
    assert_eq!((revoked.devices.len(), revoked.waiting, revoked.stay.len()), (1, 0, 0));
    assert_eq!(refused(admin.revoke("nurse", None, None)), AdministrationError::EndedAlready);
    // One takes her entries before the revoke comes, one after it: the same stands.
    hand_over(&mut nurse, &mut third);
    assert_eq!((patients(&mut third), waiting(&mut third)), (3, (0, 0)));
    hand_over(&mut admin, &mut third);
    hand_over(&mut nurse, &mut admin);
    assert_eq!((patients(&mut third), waiting(&mut third)), (1, (2, 0)));
    same(&mut admin, &mut third);
    assert!(admin.quarantine(10).unwrap().0.iter().all(|waiting| waiting.code == "Q-006"));

    // She is told, and writes nothing more.
    hand_over(&mut admin, &mut nurse);
    let status = nurse.status().unwrap();
    assert!(status.ended);
    assert_eq!((status.entries.own_waiting, status.patients), (2, 1));
    let name = Name { family: "Idris", given: vec![], text: "" };
    assert!(matches!(nurse.add_patient(&[Setting::Name(name, Some(""))]).unwrap_err(), Error::Ended));
    assert!(matches!(nurse.endorse(&late, Endorsing::Entry).unwrap_err(), Error::NoRight));
    assert!(matches!(third.endorse(&late, Endorsing::Entry).unwrap_err(), Error::NoRight));

    let review = admin.review(&late).unwrap();
    assert!(review.may_endorse && review.ended_by.iter().all(|by| by.here) && review.ended_by.len() == 1);
    assert_eq!((review.waiting_before, review.waiting_of_grant), (0, 2));
    assert_eq!(admin.endorse(&late, Endorsing::Entry).unwrap().0, 1);
    assert_eq!(refused(admin.endorse(&late, Endorsing::Entry)), AdministrationError::NotWaiting);
    hand_over(&mut admin, &mut nurse);
    hand_over(&mut admin, &mut third);
    assert_eq!((patients(&mut nurse), waiting(&mut nurse)), (2, (1, 1)));
    same(&mut nurse, &mut third);

    // Her grant counts again, as if it had not been ended.
    assert_eq!(admin.endorse(&latest, Endorsing::Grant).unwrap().0, 1);
    hand_over(&mut admin, &mut nurse);
    assert_eq!((patients(&mut nurse), waiting(&mut nurse), nurse.status().unwrap().ended), (3, (0, 0), false));
    assert!(meet(&mut nurse, &mut admin), "she is served again");
    add(&mut nurse, "Idris");
    assert!(meet(&mut nurse, &mut admin));
    assert_eq!((patients(&mut admin), waiting(&mut admin)), (4, (0, 0)));
}

#[test]
fn since_an_entry_nothing_is_trusted_and_other_logs_by_the_clock() {
    let mut people = People::default();
    let (mut admin, _) = people.found("admin");
    let mut nurse = people.enrol(&mut admin, "Nurse", &terms(Role::Clinician));
    add(&mut nurse, "Okoye");
    let stolen = add(&mut nurse, "Thief");
    add(&mut nurse, "Thief again");
    hand_over(&mut nurse, &mut admin);
    let of_admin = add(&mut admin, "Haddad");
    assert_eq!(refused(admin.revoke("Nurse", Some(&of_admin), None)), AdministrationError::EntryOfAnother);
    assert!(matches!(admin.revoke("Nurse", Some("ZZZZZ-1"), None).unwrap_err(), Error::NoSuchEntry));
    assert_eq!(admin.revoke("Nurse", Some(&stolen), None).unwrap().waiting, 2);
    assert_eq!((patients(&mut admin), waiting(&mut admin)), (2, (2, 0)));
    hand_over(&mut admin, &mut nurse);
    same(&mut admin, &mut nurse);
}

#[test]
fn nobody_ends_who_stands_above_and_what_a_revoked_administrator_did_falls_with_the_cut() {
    let mut people = People::default();
    let (mut founder, _) = people.found("founder");
    let mut deputy = people.enrol(&mut founder, "Deputy", &terms(Role::Admin));
    let mut early = people.enrol(&mut deputy, "Early", &terms(Role::Clinician));
    add(&mut early, "Okoye");
    hand_over(&mut deputy, &mut founder);
    hand_over(&mut early, &mut founder);
    hand_over(&mut founder, &mut deputy);
    assert_eq!(refused(deputy.revoke("R. Alvarez", None, None)), AdministrationError::NotBeneath);
    assert_eq!(refused(deputy.bar("R. Alvarez")), AdministrationError::NotBeneath);
    assert_eq!(refused(deputy.revoke("Deputy", None, None)), AdministrationError::Yourself);
    assert_eq!(refused(deputy.revoke("Nobody", None, None)), AdministrationError::NoSuchMember);

    // The founder ends the deputy, who ends others meanwhile and admits more.
    founder.revoke("Deputy", None, None).unwrap();
    deputy.revoke("Early", None, None).unwrap();
    let mut late = people.enrol(&mut deputy, "Late", &terms(Role::Clinician));
    add(&mut late, "Lindqvist");
    hand_over(&mut deputy, &mut founder);
    hand_over(&mut late, &mut founder);
    let waiting_now = founder.quarantine(100).unwrap().0;
    assert!(waiting_now.iter().any(|waiting| waiting.code == "Q-007"), "{waiting_now:?}");
    assert_eq!(patients(&mut founder), 1);
    // What the deputy ended past the cut is not ended; the bar that lies in it stands until it is lifted.
    let members = founder.members().unwrap();
    let of = |book: &mut Daybook| {
        let device = device_of(book).device_id();
        members.iter().find(|member| member.who.device == device).map(|member| (member.state, member.barred)).unwrap()
    };
    assert_eq!(of(&mut early), (MemberState::Member, true));
    assert_eq!((of(&mut deputy).0, of(&mut late).0), (MemberState::Ended, MemberState::Fallen));
    founder.lift_bars("Early").unwrap();
    assert_eq!(refused(founder.lift_bars("Early")), AdministrationError::NotBarred);
    hand_over(&mut founder, &mut early);
    hand_over(&mut late, &mut early);
    assert!(meet(&mut early, &mut founder));
    add(&mut early, "Haddad");
    assert!(meet(&mut early, &mut founder));
    assert_eq!((patients(&mut founder), waiting(&mut founder).0), (2, 1));
    same(&mut founder, &mut early);

    // The one whom the deputy admitted too late is endorsed with all that was written.
    let (grant, _) = founder.quarantine(100).unwrap();
    let grant = grant.iter().find(|waiting| waiting.line.operations == ["grant"]).unwrap();
    founder.endorse(&grant.line.entry.0, Endorsing::Grant).unwrap();
    assert_eq!(waiting(&mut founder), (0, 0));
}

#[test]
fn a_device_that_is_admitted_again_counts_from_then_on() {
    let mut people = People::default();
    let (mut admin, _) = people.found("admin");
    let mut nurse = people.enrol(&mut admin, "Nurse", &terms(Role::Clinician));
    add(&mut nurse, "Okoye");
    hand_over(&mut nurse, &mut admin);
    add(&mut nurse, "Between");
    let again = EnrolmentRequest::new(device_of(&mut nurse), "Nurse").unwrap();
    assert!(matches!(admin.grant(&again, &terms(Role::Clinician)).unwrap_err(), Error::Enrolment(_)));
    admin.revoke("Nurse", None, None).unwrap();
    admin.grant(&again, &terms(Role::Clinician)).unwrap();
    hand_over(&mut admin, &mut nurse);
    assert!(meet(&mut nurse, &mut admin));
    add(&mut nurse, "Haddad");
    assert!(meet(&mut nurse, &mut admin));
    assert_eq!((patients(&mut admin), waiting(&mut admin)), (2, (1, 0)), "what was written between waits");
    assert!(!admin.members().unwrap().iter().any(|member| member.barred));
    same(&mut admin, &mut nurse);
}

#[test]
fn a_bar_quarantines_nothing_and_is_lifted() {
    let mut people = People::default();
    let (mut admin, _) = people.found("admin");
    let mut nurse = people.enrol(&mut admin, "Nurse", &terms(Role::Clinician));
    let device = device_of(&mut nurse).device_id();
    let clinical = |book: &mut Daybook| book.roster().unwrap().of_kind(CompartmentKind::Clinical).next().unwrap();
    let id = clinical(&mut admin);
    assert!(admin.roster().unwrap().carries(device, id));
    admin.bar(&device.to_hex()[..12]).unwrap();
    let roster = admin.roster().unwrap();
    assert!(roster.is_barred(device).is_some() && !roster.carries(device, id));
    assert!(!roster.readers(id).iter().any(|reader| reader.device.device_id() == device));
    assert_eq!(roster.honours_needed(id).len(), 1);
    hand_over(&mut admin, &mut nurse);
    add(&mut nurse, "Okoye");
    hand_over(&mut nurse, &mut admin);
    assert_eq!(waiting(&mut admin), (0, 0));
    admin.lift_bars("Nurse").unwrap();
    let roster = admin.roster().unwrap();
    assert!(roster.is_barred(device).is_none() && roster.carries(device, id));
    assert_eq!(roster.honours_needed(id).len(), 1, "what was barred once is honoured for ever");
}

#[test]
fn an_erased_entry_counts_nowhere() {
    let mut people = People::default();
    let (mut admin, _) = people.found("admin");
    let mut nurse = people.enrol(&mut admin, "Nurse", &terms(Role::Clinician));
    add(&mut nurse, "Okoye");
    let wrong = add(&mut nurse, "Bystander");
    hand_over(&mut nurse, &mut admin);
    assert!(matches!(nurse.erase(&wrong, "names a bystander").unwrap_err(), Error::NoRight));
    assert!(matches!(admin.erase(&wrong, " ").unwrap_err(), Error::Value { .. }));
    let control = admin.log(None, 100).unwrap().into_iter().find(|line| line.operations == ["grant"]).unwrap();
    assert_eq!(refused(admin.erase(&control.entry.0, "a grant")), AdministrationError::ControlStays);
    admin.erase(&wrong, "names a bystander").unwrap();
    assert_eq!((patients(&mut admin), admin.status().unwrap().entries.erased), (1, 1));
    hand_over(&mut admin, &mut nurse);
    assert_eq!(patients(&mut nurse), 1);
    same(&mut admin, &mut nurse);
}

#[test]
fn who_works_at_a_site_reads_and_writes_there_alone() {
    let mut people = People::default();
    let (mut admin, _) = people.found("admin");
    add(&mut admin, "Okoye");
    let site = Terms { site: Some("riverside school".into()), ..terms(Role::Clinician) };
    let request = people.request("Nurse");
    assert_eq!(refused(admin.grant(&request, &site)), AdministrationError::NoSuchSite);
    admin.add_compartment(CompartmentKind::Clinical, "Riverside school").unwrap();
    admin.add_compartment(CompartmentKind::Supply, "Riverside school").unwrap();
    assert_eq!(
        refused(admin.add_compartment(CompartmentKind::Supply, "riverside School")),
        AdministrationError::SiteExists
    );
    let reply = admin.grant(&request, &site).unwrap();
    let mut nurse = people.accept("Nurse", &reply);
    add(&mut nurse, "Lindqvist");
    hand_over(&mut admin, &mut nurse);
    assert_eq!((patients(&mut nurse), nurse.status().unwrap().entries.unopened), (1, 1));
    hand_over(&mut nurse, &mut admin);
    assert_eq!((patients(&mut admin), waiting(&mut admin)), (2, (0, 0)));
    add(&mut admin, "Haddad");
    hand_over(&mut admin, &mut nurse);
    assert_eq!(patients(&mut nurse), 1, "the administrator writes where it wrote before");
    assert_eq!(admin.compartments().unwrap().iter().filter(|site| site.name.is_some()).count(), 5);
}

#[test]
fn with_the_seed_on_paper_a_member_takes_over_when_the_founder_is_lost() {
    let mut people = People::default();
    let (mut founder, seed) = people.found("founder");
    let mut nurse = people.enrol(&mut founder, "Nurse", &terms(Role::Clinician));
    let mut third = people.enrol(&mut founder, "Third", &terms(Role::Clinician));
    let mut unaware = people.enrol(&mut founder, "Unaware", &terms(Role::Clinician));
    add(&mut founder, "Okoye");
    hand_over(&mut founder, &mut nurse);
    add(&mut founder, "Lost with the device");
    let other = RecoverySeed::random(&mut SeededHost::new(77));
    assert_eq!(refused(nurse.recover(&other, "Relief", &[])), AdministrationError::OtherSeed);
    assert_eq!(refused(nurse.recover(&seed, "Relief", &["Third"])), AdministrationError::NoRoot);
    let done = nurse.recover(&seed, "Relief", &["R. Alvarez"]).unwrap();
    assert_eq!((done.ended.len(), done.entries.len()), (1, 4));
    assert_eq!(refused(nurse.recover(&seed, "Relief", &[])), AdministrationError::RootAlready);

    // One who has not heard of it knows her as a member, and learns of it.
    assert!(meet(&mut nurse, &mut unaware));
    assert!(unaware.members().unwrap().iter().any(|member| member.state == MemberState::Root && !member.who.here));

    // She admits and revokes now; what the founder's device says from then on waits everywhere.
    let mut newcomer = people.enrol(&mut nurse, "Newcomer", &terms(Role::Clinician));
    add(&mut newcomer, "Haddad");
    hand_over(&mut nurse, &mut third);
    hand_over(&mut newcomer, &mut third);
    hand_over(&mut founder, &mut third);
    assert_eq!((patients(&mut third), waiting(&mut third).0), (2, 1));
    assert!(third.quarantine(9).unwrap().0.iter().all(|waiting| waiting.code == "Q-006"));
    hand_over(&mut nurse, &mut founder);
    assert!(founder.status().unwrap().ended);
    let name = Name { family: "Idris", given: vec![], text: "" };
    assert!(matches!(founder.add_patient(&[Setting::Name(name, Some(""))]).unwrap_err(), Error::Ended));
    assert_eq!(refused(founder.recover(&seed, "Relief", &[])), AdministrationError::RootEnded);
    hand_over(&mut third, &mut nurse);
    hand_over(&mut third, &mut founder);
    hand_over(&mut third, &mut newcomer);
    same(&mut nurse, &mut third);
    // What the lost device had written before anybody fetched it is endorsed by the new root.
    let late = nurse.quarantine(9).unwrap().0;
    assert_eq!(nurse.endorse(&late[0].line.entry.0, Endorsing::Log).unwrap().0, 1);
    assert_eq!(patients(&mut nurse), 3);
    drop(nurse);
    let mut again = Daybook::open(&people.path("Nurse"), PASSPHRASE, Box::new(SeededHost::new(900))).unwrap();
    assert_eq!((patients(&mut again), again.members().unwrap()[0].state), (3, MemberState::Root));
}

#[test]
fn the_first_thing_that_a_restored_book_writes_may_be_a_revoke_with_its_reason() {
    let mut people = People::default();
    let (mut admin, _) = people.found("admin");
    people.enrol(&mut admin, "Nurse", &terms(Role::Clinician));
    admin.backup(&people.path("backup"), PASSPHRASE).unwrap();
    let mut again = Daybook::restore(&people.path("backup"), &people.path("again"), PASSPHRASE, people.host()).unwrap();
    again.revoke("Nurse", None, Some("stolen with the old computer")).unwrap();
    let mut newcomer = people.enrol(&mut again, "Second", &terms(Role::Admin));
    newcomer.add_compartment(CompartmentKind::Clinical, "School").unwrap();
}

#[test]
fn of_three_roots_two_end_the_third_and_one_alone_does_not() {
    let mut people = People::default();
    let devices: Vec<DeviceSecret> = (0..3).map(|_| DeviceSecret::random(people.host().as_mut())).collect();
    let seed = RecoverySeed::random(people.host().as_mut());
    let root = |device: &DeviceSecret| Root { device: device.public(), organisation: "Relief".into() };
    let mut founding = Founding::of_one([3; 16], "Valley flood", true, root(&devices[0]), &seed);
    founding.roots = devices.iter().map(root).collect();
    founding.quorum = 2;
    let keys: Vec<_> = devices.iter().map(|device| &device.signing).collect();
    let founding = SignedFounding::sign(&founding, &keys).unwrap();
    let mut books: Vec<Daybook> = devices
        .iter()
        .enumerate()
        .map(|(number, device)| {
            let device = DeviceSecret::from_secret(&device.to_secret());
            let (founding, secrets) = (founding.clone(), Vec::new());
            let membership = Membership { founding, device, admission: seed.admission(), secrets };
            let host = people.host();
            Daybook::join(&people.path(&format!("root {number}")), PASSPHRASE, &membership, host).unwrap()
        })
        .collect();
    let [one, two, three] = &mut books[..] else { panic!("three books") };
    one.begin("Ana", "Relief").unwrap();
    let mut nurse = people.enrol(one, "Nurse", &terms(Role::Clinician));
    add(&mut nurse, "Okoye");
    let third = devices[2].public().device_id().to_hex();
    hand_over(one, two);
    hand_over(one, three);
    let said = one.revoke(&third[..12], None, None).unwrap();
    assert_eq!((said.approvals, said.stay.len()), (Some((2, 1)), 1));
    hand_over(one, two);
    let bar = three.bar("Nurse").or_else(|_| three.bar(&device_of(&mut nurse).device_id().to_hex())).unwrap();
    hand_over(three, two);
    assert!(two.quarantine(9).unwrap().0.is_empty(), "one approval ends nobody");
    let said = two.revoke(&third, None, None).unwrap();
    assert_eq!((said.approvals, said.stay.len()), (Some((2, 2)), 0));
    // What the third said is known to one who approved the cut, and not to the other: one is not enough.
    hand_over(two, one);
    assert!(one.quarantine(9).unwrap().0.is_empty());
    assert_eq!(bar.entries.len(), 1);
    three.lift_bars(&device_of(&mut nurse).device_id().to_hex()).unwrap();
    hand_over(two, three);
    hand_over(three, two);
    hand_over(three, one);
    for book in [one, two, three] {
        let waiting = book.quarantine(9).unwrap().0;
        assert!(waiting.iter().all(|waiting| waiting.code == "Q-006"), "{waiting:?}");
        let of = |what: &str| waiting.iter().filter(|waiting| waiting.line.operations == [what]).count();
        assert_eq!((of("endorse"), of("bar")), (1, 0), "{waiting:?}");
        assert!(book.roster().unwrap().is_ended_root(devices[2].public().device_id()));
    }
}

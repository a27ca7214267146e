//! A member whom another organisation admitted is adopted, and stays when that organisation goes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use daybook_core::daybook::{AdministrationError, Bars, Daybook, Error, MemberState, Terms};
use daybook_core::record::{Name, Setting};
use daybook_core::roster::Role;
use daybook_tests::people::{People, hand_over, meet, terms};

fn add(book: &mut Daybook, family: &'static str) -> Result<(), Error> {
    let name = Name { family, given: vec![], text: "" };
    book.add_patient(&[Setting::Name(name, Some(""))]).map(|_| ())
}

fn of(organisation: &str, role: Role) -> Terms {
    Terms { organisation: Some(organisation.into()), ..terms(role) }
}

/// Founder, the administrators of two organisations, and a nurse of the first; all have met.
fn two_organisations(people: &mut People) -> [Daybook; 4] {
    let (mut root, _) = people.found("root");
    let mut one = people.enrol(&mut root, "One", &of("First", Role::Admin));
    let mut two = people.enrol(&mut root, "Two", &of("Second", Role::Admin));
    let mut nurse = people.enrol(&mut one, "Nurse", &of("First", Role::Dispenser));
    add(&mut nurse, "Okoye").unwrap();
    assert!(meet(&mut nurse, &mut two) && meet(&mut one, &mut two) && meet(&mut root, &mut two));
    [root, one, two, nurse]
}

fn refused(answer: Result<daybook_core::daybook::Adopted, Error>) -> AdministrationError {
    match answer.unwrap_err() {
        Error::Administration(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_was_adopted_goes_on_when_the_first_organisation_ends_him() {
    let mut people = People::default();
    let [mut root, mut one, mut two, mut nurse] = two_organisations(&mut people);
    let adopted = two.adopt("nurse", &of("Second", Role::Dispenser), Bars::Stand).unwrap();
    assert_eq!((adopted.devices.len(), adopted.entries.len()), (1, 1));
    assert_eq!(adopted.devices[0].organisation.as_deref(), Some("Second"));
    // The first organisation ends him before he hears of anything; nobody else ended him.
    meet(&mut one, &mut nurse);
    one.revoke("Nurse", None, Some("leaving")).unwrap();
    hand_over(&mut one, &mut nurse);
    assert!(matches!(add(&mut nurse, "Too late").unwrap_err(), Error::Ended));
    meet(&mut two, &mut nurse);
    let status = nurse.status().unwrap();
    assert!(!status.ended);
    assert_eq!(status.here.organisation.as_deref(), Some("Second"));
    add(&mut nurse, "Lindqvist").unwrap();
    hand_over(&mut nurse, &mut two);
    hand_over(&mut one, &mut two);
    hand_over(&mut two, &mut one);
    hand_over(&mut two, &mut root);
    for book in [&mut root, &mut one, &mut two] {
        let entries = book.status().unwrap().entries;
        assert_eq!((entries.waiting, book.status().unwrap().patients), (0, 2));
        let members = book.members().unwrap();
        let nurse = members.iter().find(|member| member.who.person.as_deref() == Some("Nurse")).unwrap();
        assert_eq!(nurse.state, MemberState::Member);
    }
    // A revoke bars too: whoever needs the device still says so, knowing of it.
    assert!(!meet(&mut two, &mut nurse), "barred");
    assert_eq!(refused(two.adopt("Nurse", &of("Second", Role::Dispenser), Bars::Stand)), AdministrationError::Barred);
    two.adopt("Nurse", &of("Second", Role::Dispenser), Bars::Lift).unwrap();
    hand_over(&mut two, &mut nurse);
    hand_over(&mut two, &mut root);
    assert!(meet(&mut two, &mut nurse) && meet(&mut root, &mut nurse));
    assert_eq!(root.digest().unwrap(), {
        root.rebuild(&mut |_, _| {}).unwrap();
        root.digest().unwrap()
    });
}

#[test]
fn a_further_grant_takes_over_only_where_it_gives_more() {
    let mut people = People::default();
    let [mut root, mut one, mut two, mut nurse] = two_organisations(&mut people);
    let ground = |book: &mut Daybook| book.grant_path().unwrap();
    let before = ground(&mut nurse);
    for role in [Role::Epidemiologist, Role::Relay, Role::Dispenser] {
        // Whoever gives him less, or the same, takes nothing away and has no hold on what he writes.
        two.adopt("Nurse", &of("Second", role), Bars::Stand)
            .map(|_| ())
            .or_else(|error| match error {
                Error::Administration(AdministrationError::OwnAlready) => Ok(()),
                other => Err(other),
            })
            .unwrap();
        meet(&mut two, &mut nurse);
        add(&mut nurse, "Haddad").unwrap();
        assert_eq!(ground(&mut nurse), before);
    }
    root.adopt("Nurse", &terms(Role::Clinician), Bars::Stand).unwrap();
    meet(&mut root, &mut nurse);
    assert_ne!(ground(&mut nurse), before);
    add(&mut nurse, "Idris").unwrap();
    hand_over(&mut nurse, &mut one);
    assert_eq!(one.status().unwrap().entries.waiting, 0);
}

#[test]
fn without_history_an_adopted_device_is_given_new_keys_and_keeps_what_it_has() {
    let mut people = People::default();
    let (mut root, _) = people.found("root");
    let mut one = people.enrol(&mut root, "One", &of("First", Role::Admin));
    let mut carrier = people.enrol(&mut one, "Carrier", &of("First", Role::Relay));
    add(&mut root, "Okoye").unwrap();
    meet(&mut carrier, &mut root);
    root.adopt("Carrier", &Terms { history: false, ..terms(Role::Clinician) }, Bars::Stand).unwrap();
    add(&mut root, "Idris").unwrap();
    meet(&mut root, &mut carrier);
    let status = carrier.status().unwrap();
    assert_eq!(status.patients, 1, "what was written before stays closed: {:?}", status.entries);
    add(&mut carrier, "Lindqvist").unwrap();
    meet(&mut root, &mut carrier);
    assert_eq!((root.status().unwrap().patients, root.status().unwrap().entries.waiting), (3, 0));
}

#[test]
fn who_cannot_be_adopted() {
    let mut people = People::default();
    let [mut root, mut one, mut two, mut nurse] = two_organisations(&mut people);
    let terms = of("Second", Role::Dispenser);
    assert_eq!(refused(one.adopt("Nurse", &terms, Bars::Stand)), AdministrationError::OwnAlready);
    assert_eq!(refused(two.adopt("Nobody", &terms, Bars::Stand)), AdministrationError::NoSuchMember);
    assert_eq!(refused(two.adopt("R. Alvarez", &terms, Bars::Stand)), AdministrationError::RootAlready);
    assert_eq!(refused(two.adopt("Two", &terms, Bars::Stand)), AdministrationError::Yourself);
    assert!(matches!(nurse.adopt("One", &terms, Bars::Stand).unwrap_err(), Error::NoRight));
    // One admits a deputy, who cannot adopt the one whom his own rights come from.
    let mut deputy = people.enrol(&mut one, "Deputy", &of("First", Role::Admin));
    assert_eq!(refused(deputy.adopt("One", &terms, Bars::Stand)), AdministrationError::StandsAbove);
    assert_eq!(
        refused(two.adopt("Nurse", &Terms { site: Some("School".into()), ..terms.clone() }, Bars::Stand)),
        AdministrationError::NoSuchSite
    );
    root.bar("Nurse").unwrap();
    hand_over(&mut root, &mut two);
    assert_eq!(refused(two.adopt("Nurse", &terms, Bars::Stand)), AdministrationError::Barred);
    root.lift_bars("Nurse").unwrap();
    root.revoke("Nurse", None, None).unwrap();
    root.lift_bars("Nurse").unwrap();
    hand_over(&mut root, &mut two);
    assert_eq!(refused(two.adopt("Nurse", &terms, Bars::Stand)), AdministrationError::NoGrant);
}

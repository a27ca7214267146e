//! When every book is out of reach, an export file and the seed on paper give one back in which history opens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use daybook_core::crypto::RecoverySeed;
use daybook_core::daybook::{AdministrationError, Daybook, Error, Heir, MemberState, Purpose};
use daybook_core::record::{Name, Setting, Telecom};
use daybook_core::roster::Role;
use daybook_tests::host::SeededHost;
use daybook_tests::people::{PASSPHRASE, People, hand_over, meet, terms};

const HEIR: Heir<'_> = Heir { person: "N. Okoye", organisation: "Relief", lost: &[] };

fn add(book: &mut Daybook, family: &str) -> daybook_core::id::PatientId {
    let name = Name { family, given: vec![], text: "" };
    book.add_patient(&[Setting::Name(name, Some(""))]).unwrap().value
}

fn export(book: &mut Daybook) -> Vec<u8> {
    let mut file = Vec::new();
    book.export_log(&mut file).unwrap();
    file
}

/// A founder and a nurse with history, who wrote under several epochs; the file is the nurse's.
fn incident(people: &mut People) -> (RecoverySeed, Daybook, daybook_core::id::PatientId, Vec<u8>) {
    let (mut founder, seed) = people.found("founder");
    let patient = add(&mut founder, "Okoye");
    let mut nurse = people.enrol(&mut founder, "Nurse", &terms(Role::Clinician));
    let mut thief = people.enrol(&mut founder, "Thief", &terms(Role::Clinician));
    assert!(meet(&mut nurse, &mut founder) && meet(&mut thief, &mut founder));
    // A revoke, and so a new epoch, which carries the secrets of the one before.
    founder.revoke("Thief", None, None).unwrap();
    add(&mut founder, "Lindqvist");
    assert!(meet(&mut nurse, &mut founder));
    let phone = Setting::Telecom(Telecom { system: "phone", value: "+231880001" }, Some("mobile"));
    nurse.edit_patient(patient, &[phone]).unwrap();
    add(&mut nurse, "Haddad");
    let file = export(&mut nurse);
    (seed, nurse, patient, file)
}

fn recover(
    people: &mut People,
    seed: &RecoverySeed,
    heir: &Heir<'_>,
    mut file: &[u8],
) -> Result<(Daybook, u64, usize), Error> {
    let host = people.host();
    let done = Daybook::recover_from((&people.path("heir"), PASSPHRASE), seed, heir, &mut file, host);
    done.map(|(book, taken, recovered)| {
        assert!(taken.refused.is_empty(), "{taken:?}");
        (book, taken.new, recovered.ended.len())
    })
}

#[test]
fn history_opens_people_are_known_and_work_goes_on() {
    let mut people = People::default();
    let (seed, mut nurse, patient, file) = incident(&mut people);
    let heir = Heir { lost: &["R. Alvarez"], ..HEIR };
    let (mut book, new, ended) = recover(&mut people, &seed, &heir, &file).unwrap();
    let status = book.status().unwrap();
    assert_eq!((status.patients, ended, status.entries.unopened), (3, 1, 0), "{status:?}");
    assert!(new > 10 && status.no_key.is_empty());
    let chart = book.read_patient(patient, Purpose::Treatment).unwrap();
    assert_eq!(chart.summary.name, "Okoye");
    let names: Vec<_> = book.members().unwrap().into_iter().map(|m| (m.who.person, m.state)).collect();
    assert!(names.contains(&(Some("N. Okoye".into()), MemberState::Root)), "{names:?}");
    assert!(names.contains(&(Some("Nurse".into()), MemberState::Member)));
    // It writes and admits; who took in its file syncs with it.
    add(&mut book, "Idris");
    let mut newcomer = people.enrol(&mut book, "Newcomer", &terms(Role::Clinician));
    assert!(meet(&mut newcomer, &mut book));
    assert_eq!(newcomer.status().unwrap().patients, 4);
    hand_over(&mut book, &mut nurse);
    assert!(meet(&mut nurse, &mut book));
    assert_eq!(nurse.status().unwrap().patients, 4);
    assert!(meet(&mut newcomer, &mut nurse));
    let digest = |book: &mut Daybook| {
        let digests = book.digest().unwrap().into_iter();
        digests.filter(|(name, _)| !name.starts_with("audit")).collect::<Vec<_>>()
    };
    assert!(meet(&mut nurse, &mut book));
    assert_eq!(digest(&mut nurse), digest(&mut book));
    drop(book);
    let mut again = Daybook::open(&people.path("heir"), PASSPHRASE, Box::new(SeededHost::new(901))).unwrap();
    assert_eq!((again.status().unwrap().patients, again.status().unwrap().here.person), (4, Some("N. Okoye".into())));
}

#[test]
fn what_fails_leaves_nothing_behind() {
    let mut people = People::default();
    let (seed, _nurse, _, file) = incident(&mut people);
    let other = RecoverySeed::random(&mut SeededHost::new(77));
    let administration = |error: Error| match error {
        Error::Administration(error) => error,
        other => panic!("{other:?}"),
    };
    let error = recover(&mut people, &other, &HEIR, &file).map(|_| ()).unwrap_err();
    assert_eq!(administration(error), AdministrationError::OtherSeed);
    let nobody = Heir { lost: &["Nobody"], ..HEIR };
    let error = recover(&mut people, &seed, &nobody, &file).map(|_| ()).unwrap_err();
    assert_eq!(administration(error), AdministrationError::NoSuchMember);
    for (bytes, heir) in [
        (&b"no export"[..], HEIR),
        (&[], HEIR),
        (&file, Heir { person: " ", ..HEIR }),
        (&file, Heir { organisation: "", ..HEIR }),
        // Cut off behind the founding statement: there is nothing to go on with.
        (&file[..700], HEIR),
    ] {
        assert!(recover(&mut people, &seed, &heir, bytes).is_err(), "{} bytes, {heir:?}", bytes.len());
        assert!(!people.path("heir").exists());
    }
    // A folder that holds a book is not touched.
    let host = people.host();
    let error = Daybook::recover_from((&people.path("Nurse"), PASSPHRASE), &seed, &HEIR, &mut &file[..], host);
    assert!(matches!(error.map(|_| ()).unwrap_err(), Error::BookExists));
    assert!(recover(&mut people, &seed, &HEIR, &file).is_ok());
}

#[test]
fn of_a_file_that_is_cut_off_what_is_there_is_taken() {
    let mut people = People::default();
    let (seed, _nurse, _, file) = incident(&mut people);
    let host = people.host();
    let mut cut = &file[..file.len() - 400];
    let at = people.path("heir");
    let (mut book, taken, _) = Daybook::recover_from((&at, PASSPHRASE), &seed, &HEIR, &mut cut, host).unwrap();
    assert!(taken.cut_off);
    assert!(book.status().unwrap().patients >= 1);
}

#[test]
fn a_file_of_one_who_knows_grants_without_their_chains_is_taken_whole() {
    let mut people = People::default();
    let (mut founder, seed) = people.found("founder");
    let mut deputy = people.enrol(&mut founder, "Deputy", &terms(Role::Admin));
    people.enrol(&mut deputy, "Other", &terms(Role::Clinician));
    // By code alone: of the deputy's log she has the grant, and nothing before it.
    let mut nurse = people.enrol(&mut deputy, "Nurse", &terms(Role::Clinician));
    add(&mut nurse, "Okoye");
    let file = export(&mut nurse);
    let (mut book, ..) = recover(&mut people, &seed, &HEIR, &file).unwrap();
    assert_eq!((book.status().unwrap().patients, book.status().unwrap().entries.waiting), (1, 0));
}

//! What a member of the incident can do to a book: with valid keys, or with a file.
//!
//! The book lies on a disk in memory and is the same for every input. Whatever came, it can be read afterwards, every
//! chain and signature is right, and its tables are those of a rebuild.

use crate::recipe::made;
use crate::samples::{samples, scratch};
use daybook_core::daybook::{Daybook, Purpose};
use daybook_core::exchange::{ImportOptions, Source};
use daybook_core::id::{CONTROL, Lane};
use daybook_core::roster::CompartmentKind;
use daybook_tests::crash::disk::Disk;
use daybook_tests::crash::script::Script;
use daybook_tests::crash::vfs;
use std::io::Cursor;

/// Patients that are looked at after each input.
const PATIENTS: usize = 5;

/// Does something to a copy of the book and looks at it.
fn with_book(name: &str, work: impl FnOnce(&mut Daybook)) {
    let folder = scratch(name);
    vfs::mount(&folder, Disk::new(samples().files.clone()));
    let mut shift = samples().script.open(&folder).expect("the book of the samples");
    work(&mut shift.book);
    look(&mut shift.book);
    drop(shift);
    // It opens again: nothing that came in makes a book unopenable.
    let mut shift = samples().script.open(&folder).expect("the book opens again");
    shift.book.status().expect("and is read");
    drop(shift);
    vfs::unmount(&folder);
    let _ = std::fs::remove_dir_all(&folder);
}

/// Reads all that people read, checks the chains, and makes the tables anew.
pub(crate) fn look(book: &mut Daybook) {
    let report = book.verify(&mut |_, _| {}).expect("a check");
    assert_eq!(report.problems, Vec::<String>::new());
    for patient in book.find("", PATIENTS).expect("patients") {
        book.read_patient(patient.patient, Purpose::Treatment).expect("a chart");
        book.history(patient.patient, Purpose::Treatment, None).expect("a history");
    }
    book.findings(true).expect("findings");
    book.stock().expect("stock");
    book.log(None, 50).expect("a log");
    let digest = book.digest().expect("a digest");
    book.rebuild(&mut |_, _| {}).expect("a rebuild");
    assert_eq!(book.digest().expect("a digest"), digest, "not as a rebuild makes it");
}

/// A body of a member, sealed, linked and signed as it should be, in any lane.
///
/// # Panics
/// Where something is wrong.
pub fn entry(input: &[u8]) {
    let body = made(&samples().bodies, input);
    let mut world = Script::world();
    let incident = world.incident;
    let kind = [CompartmentKind::Clinical, CompartmentKind::Supply, CompartmentKind::Directory];
    let place = usize::from(input.first().copied().unwrap_or(0));
    let compartment = world.compartment(kind[place / 16 % kind.len()]);
    // A body that no author of this format could seal cannot be sealed here either.
    if body.len() > 60_000 {
        return;
    }
    let (id, _, key) = world.epochs.get(&compartment).expect("an epoch");
    let (id, key) = (*id, key.clone());
    for lane in Lane::ALL {
        world.authors[1].append(&incident, (compartment, lane), &body, Some((&id, &key)));
    }
    let runs: Vec<Vec<u8>> = world.authors[1].logs.values().flat_map(|log| log.runs(8)).collect();
    with_book("entry", |book| {
        book.take_runs(&runs).expect("taken in");
        book.post_all().expect("posted");
    });
}

/// A control entry of the root and one of a member, signed as they should be.
///
/// # Panics
/// Where something is wrong.
pub fn control_entry(input: &[u8]) {
    let body = made(&samples().control, input);
    if body.len() > 200_000 {
        return;
    }
    let mut world = Script::world();
    let incident = world.incident;
    world.root.append(&incident, (CONTROL, Lane::Safety), &body, None);
    world.authors[1].append(&incident, (CONTROL, Lane::Safety), &body, None);
    let mut runs = world.control_runs();
    runs.extend(world.authors[1].logs.values().flat_map(|log| log.runs(8)));
    with_book("control", |book| {
        book.take_runs(&runs).expect("taken in");
        book.post_all().expect("posted");
    });
}

/// An export file.
///
/// # Panics
/// Where something is wrong.
pub fn export(input: &[u8]) {
    let bytes = made(std::slice::from_ref(&samples().export), input);
    with_book("export", |book| {
        // A file that is no export is told from one; what is taken in is counted.
        let _ = book.ingest(&mut bytes.as_slice(), &mut |_| {});
    });
}

/// Records of another system.
///
/// # Panics
/// Where something is wrong.
pub fn fhir(input: &[u8]) {
    let bytes = made(&samples().fhir, input);
    with_book("fhir", |book| {
        let source = Source::reopenable("file.ndjson".to_owned(), || Ok(Cursor::new(bytes.clone())));
        let options = ImportOptions { source: Some("urn:fuzz".to_owned()) };
        let _ = book.import_fhir(vec![source], &options, &mut |_| {});
    });
}

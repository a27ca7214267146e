//! The digest covers all that is posted: whatever column of whatever table is changed behind the book's back,
//! the digest is another, and with the old value the old one again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::clock::{EffectiveTime, Precision};
use daybook_core::daybook::Purpose;
use daybook_core::id::{Lane, PatientId};
use daybook_core::record::{
    Allergy, ClinicalStatus, Coded, Dispense, Fact, FindingKind, Operation, Setting, Sex, Statement, Verification,
};
use daybook_core::roster::{CompartmentKind, Role};
use daybook_tests::history::{History, Replica, Shape, scratch};
use daybook_tests::pages;
use daybook_tests::world::World;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use std::collections::BTreeSet;
use std::path::Path;

/// Tables that are not posted: local numbers, what is still to be done, and what finds it.
const LOCAL: [&str; 6] = ["subject", "filing", "dirty", "device_time", "late", "missing"];

/// Columns that hold local numbers, with the tables whose numbers they hold.
const NUMBERS: [(&str, &str, &str); 11] = [
    ("op", "row", "subject"),
    ("import", "row", "subject"),
    ("import", "id", "entry"),
    ("resolution", "id", "entry"),
    ("resolution", "row", "subject"),
    ("patient", "subject", "subject"),
    ("search", "subject", "subject"),
    ("identifier", "subject", "subject"),
    ("finding", "subject", "subject"),
    ("finding", "other", "subject"),
    ("stock", "subject", "subject"),
];

/// Rows of each table in which each column is changed once.
const ROWS: usize = 3;

#[test]
fn digest_sees_every_column() {
    let history = History::new(11, Shape { entries: 400, patients: 4 });
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let path = folder.path().join("book");
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let mut book = Replica::join(&history.world, &path, 11);
    book.deliver(history.runs(&mut rng), &mut rng, 0);
    let digest = book.digest();
    let file = open_file(&path);
    let tables: BTreeSet<&str> =
        daybook_core::view::TABLES.iter().chain(daybook_core::merge::TABLES).copied().collect();
    for table in tables.iter().filter(|table| !LOCAL.contains(table)) {
        let columns = columns(&file, table);
        for row in rows(&file, table, &columns, &mut rng) {
            for (place, column) in columns.iter().enumerate() {
                let changed = change(&file, table, &columns, &row, place);
                assert_ne!(book.digest(), digest, "{table}.{column}: {:?} became {:?}", row[place], changed[place]);
                put(&file, table, &columns, &changed, &row).unwrap();
                assert_eq!(book.digest(), digest, "{table}.{column} as it was");
            }
        }
    }
    // What is local says nothing about what was posted.
    file.execute_batch("DELETE FROM late; DELETE FROM missing; DELETE FROM device_time").unwrap();
    assert_eq!(book.digest(), digest);
}

/// Opens the file of a book as the book itself does, but lets any row be changed.
fn open_file(folder: &Path) -> Connection {
    let file = pages::open(folder, b"pass");
    file.pragma_update(None, "foreign_keys", "OFF").unwrap();
    file
}

fn columns(file: &Connection, table: &str) -> Vec<String> {
    let mut statement = file.prepare(&format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid")).unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    names.map(Result::unwrap).collect()
}

/// A few rows of a table, at least one, and among findings one that is about two subjects.
fn rows(file: &Connection, table: &str, columns: &[String], rng: &mut ChaCha20Rng) -> Vec<Vec<Value>> {
    // What rests on facts that wait for review is outside the digest.
    let accepted = if columns.iter().any(|column| column == "waiting") { "WHERE waiting = 0" } else { "" };
    let mut statement = file.prepare(&format!("SELECT * FROM {table} {accepted}")).unwrap();
    let row = |row: &rusqlite::Row<'_>| (0..columns.len()).map(|column| row.get(column)).collect();
    let all: Vec<Vec<Value>> = statement.query_map([], row).unwrap().map(Result::unwrap).collect();
    assert!(!all.is_empty(), "no row of {table}");
    let mut some: Vec<Vec<Value>> = (0..ROWS).map(|_| all[rng.random_range(0..all.len())].clone()).collect();
    if table == "finding" {
        let about_two = |row: &&Vec<Value>| row[2] != Value::Integer(0);
        some.push(all.iter().find(about_two).expect("two patients with one identifier").clone());
    }
    some
}

/// Changes one column of a row to something else that the file takes; gives back the row as it is then.
fn change(file: &Connection, table: &str, columns: &[String], row: &[Value], place: usize) -> Vec<Value> {
    for value in others(file, table, &columns[place], row, place) {
        let mut changed = row.to_vec();
        changed[place] = value;
        if changed[place] != row[place] && put(file, table, columns, row, &changed).is_ok() {
            return changed;
        }
    }
    panic!("{table}.{} takes no other value", columns[place]);
}

/// Values that a column may have instead.
fn others(file: &Connection, table: &str, column: &str, row: &[Value], place: usize) -> Vec<Value> {
    let numbers = NUMBERS.iter().find(|(of, name, _)| (*of, *name) == (table, column)).map(|(_, _, of)| *of);
    match (&row[place], numbers) {
        // An operation's number is its place: the next index of its entry.
        (Value::Integer(number), Some("entry")) => {
            (1..64).map(|next| Value::Integer((number & !63) | ((number + next) & 63))).collect()
        }
        // Where the table keeps operations names their subject.
        (Value::Integer(number), Some(_)) if column == "row" => {
            (1..9).map(|subject| Value::Integer((number & !(0x3fff_ffff << 22)) | (subject << 22))).collect()
        }
        (Value::Integer(_), Some(of)) => {
            let mut statement = file.prepare(&format!("SELECT rowid FROM {of} ORDER BY rowid")).unwrap();
            let numbers: Vec<i64> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            // Two subjects of one finding stay two.
            let taken = |number: &i64| table == "finding" && row[1..=2].contains(&Value::Integer(*number));
            numbers.into_iter().filter(|number| !taken(number)).map(Value::Integer).collect()
        }
        (Value::Integer(number), None) => vec![Value::Integer(number ^ 1), Value::Integer(number + 2)],
        (Value::Null, _) => vec![Value::Integer(2)],
        (Value::Text(text), _) => vec![Value::Text(format!("{text}x"))],
        (Value::Blob(blob), _) => {
            let mut blob = blob.clone();
            if let Some(last) = blob.last_mut() {
                *last ^= 1;
            }
            vec![Value::Blob(blob)]
        }
        (Value::Real(_), _) => panic!("no column is a real number"),
    }
}

/// Replaces one row by another.
fn put(file: &Connection, table: &str, columns: &[String], from: &[Value], to: &[Value]) -> rusqlite::Result<()> {
    let set: Vec<String> = columns.iter().map(|column| format!("{column} = ?")).collect();
    let is: Vec<String> = columns.iter().map(|column| format!("{column} IS ?")).collect();
    let statement = format!("UPDATE {table} SET {} WHERE {}", set.join(", "), is.join(" AND "));
    let changed = file.execute(&statement, params_from_iter(to.iter().chain(from)))?;
    assert_eq!(changed, 1, "one row of {table}");
    Ok(())
}

#[test]
fn what_waits_for_review_is_shown_and_outside_the_digest() {
    let mut world = World::new(12, 1, Role::Clinician);
    world.admit(Role::Epidemiologist);
    let patient = PatientId::new([5; 16]);
    let (key, value) = Setting::Sex(Some(Sex::Female)).to_bytes();
    let register = daybook_core::record::Register { field: daybook_core::record::Field::Sex, key: &key, value: &value };
    let edit = daybook_core::record::Edit { patient, parents: vec![], registers: vec![register], import: None };
    let dispense = Statement::Dispense(Dispense {
        product: Coded::text("Amoxicillin 500 mg"),
        quantity: None,
        lot: "",
        expiry: None,
        days: None,
        receiver: None,
        place: "",
        heads: vec![],
        override_reason: "",
    });
    let allergy = Statement::Allergy(Allergy {
        substance: Coded::text("penicillin"),
        clinical: ClinicalStatus::Active,
        verification: Verification::Confirmed,
        criticality: None,
        category: "",
        reaction: "",
    });
    let effective = EffectiveTime::stated(World::start_ms(), 0, Precision::Minute).unwrap();
    let fact = |statement| {
        let fact = Fact { patient: Some(patient), effective, targets: vec![], import: None, reason: "", statement };
        Operation::Fact(fact).to_bytes()
    };
    let start = World::start_ms();
    let accepted = [Operation::Edit(edit).to_bytes(), fact(dispense)];
    world.write(0, CompartmentKind::Clinical, Lane::Safety, &accepted, start);
    world.write(1, CompartmentKind::Clinical, Lane::Safety, &[fact(allergy)], start);
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let mut digests = Vec::new();
    for authors in 1..=2 {
        let mut book = Replica::join(&world, &folder.path().join(authors.to_string()), authors);
        let of_authors = world.authors[..usize::try_from(authors).unwrap()].iter().flat_map(|a| a.logs.values());
        let runs = world.control_runs().into_iter().chain(of_authors.flat_map(|log| log.runs(64))).collect();
        book.deliver(runs, &mut ChaCha20Rng::seed_from_u64(authors), 0);
        let chart = book.book().read_patient(patient, Purpose::Treatment).unwrap();
        let kinds: Vec<FindingKind> = chart.findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::AllergyConflict][..usize::try_from(authors - 1).unwrap()]);
        digests.push(book.digest());
    }
    assert_eq!(digests[0], digests[1], "both accepted the same");
}

//! A book of schema version 1 opens for ever: one lies in `fixtures/book-schema-1`, and what it says is beside it.
//!
//! ```text
//! DAYBOOK_MAKE_FIXTURE=1 cargo test -p daybook-tests --test a_book_of_schema_1_opens_for_ever     makes it anew
//! ```
//! It holds the durable tables only, so that it stays small: opening it makes the others, as with a book that an
//! older program wrote.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::clock::EffectiveTime;
use daybook_core::daybook::{Daybook, EntryCounts, FactView, NewIncident, Purpose, Say, fact_text};
use daybook_core::exchange::{ImportOptions, Source};
use daybook_core::id::PatientId;
use daybook_core::record::*;
use daybook_tests::host::SeededHost;
use daybook_tests::pages;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;

const PASSPHRASE: &[u8] = b"a book of schema version 1";
const BYTES_MAX: u64 = 300_000;

/// Where the fixture lies; made anew first if that was asked for.
fn fixture() -> PathBuf {
    static MADE: Once = Once::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join("book-schema-1");
    if std::env::var_os("DAYBOOK_MAKE_FIXTURE").is_some() {
        MADE.call_once(|| make(&path));
    }
    path
}

fn open(path: &Path, seed: u64) -> Daybook {
    Daybook::open(path, PASSPHRASE, Box::new(SeededHost::new(seed))).unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in ["book.db", "keys"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

fn say(book: &mut Daybook, patient: PatientId, statement: Statement<'_>) -> FactView {
    let effective = EffectiveTime::parse("2026-11-22T08:30:00+01:00", 0);
    book.say(Some(patient), Say { statement, effective, targets: Vec::new(), reason: "" }).unwrap().value
}

const fn coded(code: &'static str, display: &'static str) -> Coded<'static> {
    Coded { system: "urn:test", code, display }
}

/// Everything that people can write, so that every kind of row is in the fixture.
fn write_everything(book: &mut Daybook) {
    let settings = |tag, family, given, year| {
        vec![
            Setting::Identifier(Identifier { system: "tag", value: tag }, Some("")),
            Setting::Name(Name { family, given: vec![given], text: "" }, Some("official")),
            Setting::Birth(PartialDate::new(year, Some(3), None)),
            Setting::Sex(Some(Sex::Female)),
            Setting::Telecom(Telecom { system: "phone", value: "+1 555 0100" }, Some("mobile")),
            Setting::Address(
                Address { lines: vec!["1 Main St"], city: "Springfield", ..Address::default() },
                Some("home"),
            ),
            Setting::Language("ar", Some("preferred")),
        ]
    };
    let members = [settings("A-1", "Müller", "Ana", 1980), settings("A-2", "王", "小明", 2019)];
    let patients = book.register_household(&members).unwrap().value;
    let (ana, child) = (patients[0], patients[1]);
    book.edit_patient(ana, &[Setting::Birth(PartialDate::parse("1980-03-17")), Setting::Sex(None)]).unwrap();
    let (clinical, verification) = (ClinicalStatus::Active, Verification::Confirmed);
    let criticality = Some(Criticality::High);
    let (substance, category, reaction) = (Coded::text("penicillin"), "medication", "hives");
    let allergy = Allergy { substance, clinical, verification, criticality, category, reaction };
    let told = say(book, ana, Statement::Allergy(allergy));
    say(book, child, Statement::NoKnownAllergies);
    for (kg, time) in [("61.5", "2026-11-21"), ("60", "2026-11-22")] {
        let value = Some(Value::Quantity(Quantity::parse(kg, "kg").unwrap()));
        let code = Coded { system: "http://loinc.org", code: "29463-7", display: "Body weight" };
        let observation = Observation { code, value, components: Vec::new(), seen: Vec::new(), earlier: false };
        let (statement, effective) = (Statement::Observation(observation), EffectiveTime::parse(time, 0));
        book.say(Some(ana), Say { statement, effective, targets: Vec::new(), reason: "" }).unwrap();
    }
    say(book, ana, Statement::Condition(Condition { code: coded("c", "asthma"), clinical, verification }));
    let (vaccine, dose, lot) = (coded("v", "measles"), Quantity::parse("0.5", "mL").ok(), "V1");
    let (given, expiry, site) = (Given::Completed, PartialDate::parse("2027-01"), "left arm");
    say(book, child, Statement::Immunization(Immunization { vaccine, given, dose, lot, expiry, site }));
    let note = say(book, ana, Statement::Note { text: "came by boat" });
    let (statement, reason) = (Statement::Note { text: "came by bus" }, "mistyped");
    book.say(Some(ana), Say { statement, effective: None, targets: vec![note.id], reason }).unwrap();
    let product = Coded::text("Amoxicillin 500 mg");
    let boxes = |count: &str| Quantity::parse(count, "box").unwrap();
    book.stock_receive(product, "L1", PartialDate::parse("2028-05-31"), boxes("100"), "store").unwrap();
    book.stock_move(product, "L1", None, boxes("30"), "store", "tent 2").unwrap();
    let dispense = Dispense {
        product,
        quantity: Some(boxes("2")),
        lot: "L1",
        expiry: PartialDate::parse("2028-05-31"),
        days: Some(7),
        receiver: Some(Receiver::Person("her sister")),
        place: "",
        heads: Vec::new(),
        override_reason: "no other drug",
    };
    let first = book.dispense(ana, &dispense, None).unwrap();
    let second = book.dispense(ana, &dispense, None).unwrap();
    book.reverse_dispense(&second.value.entry.0, "returned").unwrap();
    book.resolve_finding(&first.findings[0].id.to_hex(), "checked with the doctor").unwrap();
    book.stock_count(product, "L1", Quantity::parse_counted("29", "box").unwrap(), "tent 2").unwrap();
    book.refute(&told.entry.0, "was a rash of another cause").unwrap();
    say(book, child, Statement::Deceased);
    let bundle = r#"{"resourceType":"Patient","id":"p1","identifier":[{"system":"urn:x","value":"p1"}],"name":[{"family":"Import"}],"birthDate":"1943-03-17"}
{"resourceType":"AllergyIntolerance","id":"a1","patient":{"reference":"Patient/p1"},"code":{"text":"latex"},"clinicalStatus":{"coding":[{"code":"active"}]},"verificationStatus":{"coding":[{"code":"confirmed"}]}}"#;
    let source = Source::reopenable("p.ndjson", || Ok(std::io::Cursor::new(bundle)));
    let report = book.import_fhir(vec![source], &ImportOptions { source: Some("urn:x".into()) }, &mut |_| {}).unwrap();
    assert_eq!(report.bad_total(), 0, "{:?}", report.bad);
}

/// Makes the fixture: a book with everything in it, a forked log and two incarnations.
fn make(at: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let new = NewIncident {
        incident: "Flood 2026".into(),
        organisation: "Relief".into(),
        person: "Ana Müller".into(),
        exercise: true,
    };
    let (mut book, _) = Daybook::create(&path("book"), PASSPHRASE, &new, Box::new(SeededHost::new(1))).unwrap();
    write_everything(&mut book);
    drop(book);
    copy(&path("book"), &path("clone"));
    let (mut book, mut clone) = (open(&path("book"), 2), open(&path("clone"), 3));
    let patient = book.resolve_patient("A-1").unwrap();
    book.edit_patient(patient, &[Setting::Birth(PartialDate::parse("1981"))]).unwrap();
    clone.edit_patient(patient, &[Setting::Birth(PartialDate::parse("1982"))]).unwrap();
    let mut file = Vec::new();
    clone.export_log(&mut file).unwrap();
    book.ingest(&mut file.as_slice(), &mut |_| {}).unwrap();
    say(&mut book, patient, Statement::Note { text: "after the copy" });
    let negative = book.findings(false).unwrap().into_iter().find(|finding| finding.kind == FindingKind::StockNegative);
    book.resolve_finding(&negative.unwrap().id.to_hex(), "two boxes were borrowed").unwrap();
    let said = summary(&mut book);
    drop(book);
    fs::create_dir_all(at).unwrap();
    without_droppable_tables(&path("book"));
    copy(&path("book"), at);
    fs::write(at.join("says.txt"), said).unwrap();
}

/// Leaves the durable tables of version 1 only.
fn without_droppable_tables(book: &Path) {
    let connection = pages::open(book, PASSPHRASE);
    for table in daybook_core::view::TABLES.iter().chain(daybook_core::merge::TABLES) {
        connection.execute_batch(&format!("DROP TABLE {table}")).unwrap();
    }
    connection.execute_batch("UPDATE book SET value = x'00000000' WHERE key = 'views'; VACUUM").unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

/// What a book says, for people and line by line.
fn summary(book: &mut Daybook) -> String {
    let mut text = String::new();
    let status = book.status().unwrap();
    writeln!(text, "{} {} {:?}", status.incident, status.incident_id, status.here.person).unwrap();
    let EntryCounts { total, own, accepted, waiting, faulty, unopened, erased, .. } = status.entries;
    write!(text, "EntryCounts {{ total: {total}, own: {own}, accepted: {accepted}, waiting: {waiting}, ").unwrap();
    write!(text, "faulty: {faulty}, unopened: {unopened}, erased: {erased} }}, ").unwrap();
    writeln!(text, "{} logs, {} patients", status.logs, status.patients).unwrap();
    for patient in everyone(book) {
        let chart = book.read_patient(patient.patient, Purpose::Treatment).unwrap();
        writeln!(text, "\n{} {} {:?}", chart.summary.code, chart.summary.name, chart.allergy_status).unwrap();
        for shown in &chart.registers {
            writeln!(
                text,
                "  {} {}: {}{}",
                shown.entry,
                shown.field.word(),
                shown.text,
                if shown.concurrent { " *" } else { "" }
            )
            .unwrap();
        }
        for fact in &chart.facts {
            let (said, time) = (fact.fact().unwrap(), fact.effective.to_fhir());
            writeln!(text, "  {} {time} {:?} {}", fact.entry, fact.standing, fact_text(&said)).unwrap();
        }
    }
    writeln!(text).unwrap();
    for finding in book.findings(true).unwrap() {
        let resolved = finding.resolved.map(|(why, _)| why).unwrap_or_default();
        writeln!(text, "{} {} {resolved}", finding.kind.code(), finding.text).unwrap();
    }
    for line in book.stock().unwrap() {
        let expiry = line.expiry.map(|date| date.to_string()).unwrap_or_default();
        writeln!(text, "{} {} {} {expiry} {} {}", line.place, line.product, line.lot, line.on_hand_micros, line.unit)
            .unwrap();
    }
    let mut lines = book.log(None, 10_000).unwrap();
    lines.sort_by(|a, b| (&a.entry, &a.operations).cmp(&(&b.entry, &b.operations)));
    for line in lines {
        writeln!(text, "{} {} {} {:?}", line.entry, line.compartment, line.verdict, line.operations).unwrap();
    }
    for (compartment, digest) in book.digest().unwrap() {
        writeln!(text, "{compartment} {digest}").unwrap();
    }
    text
}

/// All patients, by code.
fn everyone(book: &mut Daybook) -> Vec<daybook_core::daybook::PatientSummary> {
    let mut all = BTreeMap::new();
    for tag in ["A-1", "A-2", "p1"] {
        for patient in book.find(tag, 10).unwrap() {
            all.insert(patient.code.clone(), patient);
        }
    }
    all.into_values().collect()
}

#[test]
fn a_book_of_schema_1_opens_and_goes_on() {
    let fixture = fixture();
    let names = ["book.db", "keys", "says.txt"];
    let bytes = names.map(|name| fs::read(fixture.join(name)).expect("the fixture is committed"));
    assert!(bytes.iter().map(|bytes| bytes.len() as u64).sum::<u64>() < BYTES_MAX);
    let said = String::from_utf8(bytes[2].clone()).unwrap();
    // Whatever people can say is in it.
    for text in [
        "household",
        "phone",
        "address",
        "language",
        "identifier",
        "sex",
        "birth: 1981 *",
        "allergy to",
        "no known allergies",
        "refuted: ",
        "Superseded",
        "condition: ",
        "immunization: ",
        "dispensed",
        "Reversed",
        "stock receive",
        "counted",
        "Corrected",
        "deceased",
        "finding resolved",
        "concurrent-values",
        "stock-negative",
        "fork",
        "Import Allergic",
    ] {
        assert!(said.contains(text), "{text}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book");
    copy(&fixture, &path);
    let mut book = open(&path, 11);
    let now = summary(&mut book);
    for (line, (was, is)) in said.lines().zip(now.lines()).enumerate() {
        assert_eq!(was, is, "line {}", line + 1);
    }
    assert_eq!(said, now);
    let report = book.verify(&mut |_, _| {}).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert!(report.entries > 30 && report.heads > 0);

    // It goes on: a write, another opening, a rebuild.
    let patient = book.resolve_patient("Müller").unwrap();
    let note = say(&mut book, patient, Statement::Note { text: "years later" });
    let digest = book.digest().unwrap();
    drop(book);
    let mut book = open(&path, 12);
    assert_eq!(book.digest().unwrap(), digest);
    assert_eq!(book.fact(&note.entry.0).unwrap().kind, FactKind::Note);
    book.rebuild(&mut |_, _| {}).unwrap();
    assert_eq!(book.digest().unwrap(), digest);
    assert_eq!(book.verify(&mut |_, _| {}).unwrap().problems, Vec::<String>::new());
    assert_eq!(names.map(|name| fs::read(fixture.join(name)).unwrap()), bytes, "the fixture itself was changed");
}

#[test]
fn the_fixture_is_of_schema_1() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book");
    copy(&fixture(), &path);
    let connection = pages::open(&path, PASSPHRASE);
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0)).unwrap();
    assert_eq!((number("user_version"), number("application_id")), (1, 0x4461_7942));
    let mut statement =
        connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").unwrap();
    let tables: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let durable = ["book", "branch", "compartment", "entry", "ground", "head", "log", "parcel", "secret", "verdict"];
    assert_eq!(tables, durable);
}

//! FHIR from elsewhere: taken in once, again without effect, on two devices once, and back out and in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::daybook::{Daybook, NewIncident};
use daybook_core::exchange::fhir::export::{Ndjson, source_uri};
use daybook_core::exchange::{ImportOptions, ImportReport, Source};
use daybook_core::id::IncidentId;
use daybook_core::record::FindingKind;
use daybook_tests::host::SeededHost;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn book(folder: &Path, seed: u64) -> Daybook {
    let new =
        NewIncident { incident: "Flood".into(), organisation: "Relief".into(), person: "Ana".into(), exercise: true };
    Daybook::create(&folder.join(format!("book{seed}")), b"pass", &new, Box::new(SeededHost::new(seed))).unwrap().0
}

fn import(book: &mut Daybook, files: &[PathBuf], source: Option<String>) -> ImportReport {
    let sources = files
        .iter()
        .map(|path| Source::reopenable(path.display().to_string(), move || std::fs::File::open(path)))
        .collect();
    book.import_fhir(sources, &ImportOptions { source }, &mut |_| {}).unwrap()
}

/// `count` patients with two facts each; each of the first seven shares a licence number with the one after
/// next, who was born in another year.
fn sample(folder: &Path, count: usize) -> Vec<PathBuf> {
    let (mut patients, mut facts) = (String::new(), String::new());
    for n in 0..count {
        let licence = if (50..57).contains(&n) { n - 50 } else { n };
        writeln!(patients, r#"{{"resourceType":"Patient","id":"p{n}","identifier":[{{"system":"urn:sample","value":"p{n}"}},{{"system":"urn:licence","value":"S{licence}"}}],"name":[{{"use":"official","family":"Family{n}","given":["Given{n}"]}}],"gender":"female","birthDate":"{}-03-17","maritalStatus":{{"text":"x"}}}}"#, 1900 + n).unwrap();
        writeln!(facts, r#"{{"resourceType":"Immunization","id":"i{n}","status":"completed","vaccineCode":{{"coding":[{{"system":"http://hl7.org/fhir/sid/cvx","code":"140","display":"Influenza"}}]}},"patient":{{"reference":"Patient/p{n}"}},"occurrenceDateTime":"2011-10-08T09:22:00-04:00"}}"#).unwrap();
        writeln!(facts, r#"{{"resourceType":"Observation","id":"o{n}","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"29463-7"}}]}},"subject":{{"reference":"Patient/p{n}"}},"effectiveDateTime":"2011-10-08","valueQuantity":{{"value":{}.5,"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}}}}"#, 40 + n).unwrap();
    }
    let files = [("Immunization.ndjson", facts), ("Patient.ndjson", patients)];
    files
        .iter()
        .map(|(name, text)| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            path
        })
        .collect()
}

#[test]
fn an_import_says_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let files = sample(folder.path(), 60);
    let mut book = book(folder.path(), 1);
    let report = import(&mut book, &files, None);
    assert_eq!(report.bad_total(), 0, "{:?}", report.bad);
    let (status, digest) = (book.status().unwrap(), book.digest().unwrap());
    assert_eq!(status.patients, 60);
    let same = book.findings(false).unwrap();
    assert_eq!(same.len(), 7);
    assert!(same.iter().all(|f| f.kind == FindingKind::PossiblySamePerson));
    import(&mut book, &files, None);
    assert_eq!(book.digest().unwrap(), digest);
    assert_eq!(book.status().unwrap().entries, status.entries);
}

#[test]
fn an_export_taken_into_an_empty_book_gives_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let files = sample(folder.path(), 60);
    let mut first = book(folder.path(), 1);
    import(&mut first, &files, None);
    let (out, back) = (folder.path().join("out"), folder.path().join("back"));
    let names = export(&mut first, &out);
    let mut second = book(folder.path(), 2);
    let incident = IncidentId::from_hex(&first.status().unwrap().incident_id).unwrap();
    let report = import(&mut second, &names, Some(source_uri(&incident)));
    assert_eq!(report.bad_total(), 0, "{:?}", report.bad);
    let (a, b) = (table(&mut first), table(&mut second));
    assert_eq!(a.len(), 60 * 3 + 3 - 60);
    assert_eq!(a, b);
    export(&mut second, &back);
}

fn export(book: &mut Daybook, folder: &Path) -> Vec<PathBuf> {
    std::fs::create_dir_all(folder).unwrap();
    book.export_fhir(None, Ndjson::new(|name: &str| std::fs::File::create(folder.join(name)))).unwrap();
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    names
}

/// Rows of the tables for spreadsheets without ids, each with how often it is there.
fn table(book: &mut Daybook) -> BTreeMap<String, usize> {
    use daybook_core::exchange::csv::Table;
    let mut rows = BTreeMap::new();
    for table in [Table::Patients, Table::Dispenses, Table::Observations] {
        let text = String::from_utf8(book.export_csv(table, None, Vec::new()).unwrap()).unwrap();
        for line in text.lines() {
            let cells: Vec<&str> = line.split(',').filter(|cell| cell.len() != 32 && cell.len() != 11).collect();
            *rows.entry(cells.join(",")).or_default() += 1;
        }
    }
    rows
}

#[test]
fn the_shared_export_gives_1144_patients_and_seven_findings() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/bulk-1000");
    if !data.is_dir() {
        println!(
            "the shared export is not beside this checkout: the other tests of this file use samples of the same shape"
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut files: Vec<PathBuf> = std::fs::read_dir(data).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let mut book = book(folder.path(), 1);
    let start = std::time::Instant::now();
    let report = import(&mut book, &files, None);
    println!("{:?} {:?} bad {}", start.elapsed(), report.types, report.bad_total());
    assert_eq!(report.bad_total(), 0, "{:?}", report.bad);
    let (status, digest) = (book.status().unwrap(), book.digest().unwrap());
    assert_eq!(status.patients, 1_144);
    let findings = book.findings(false).unwrap();
    assert_eq!(findings.iter().filter(|f| f.kind == FindingKind::PossiblySamePerson).count(), 7);
    import(&mut book, &files, None);
    assert_eq!((book.digest().unwrap(), book.status().unwrap().entries), (digest, status.entries));
    println!("{:?} in all, {} bytes, {:?}", start.elapsed(), status.bytes_on_disk, status.entries);
}

//! FHIR files taken into a new book: `DAYBOOK_FHIR_DATA` names a folder of NDJSON or Bundles.

use super::Options;
use super::measure::{median, took};
use daybook_core::daybook::{Daybook, NewIncident};
use daybook_core::exchange::{ImportOptions, Source};
use daybook_tests::host::SeededHost;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::PathBuf;

pub fn measure(options: &Options) -> Value {
    let Some(folder) = std::env::var_os("DAYBOOK_FHIR_DATA") else {
        options.say("import: not measured, DAYBOOK_FHIR_DATA names no folder");
        return Value::Null;
    };
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "ndjson" || e == "json")).collect();
    files.sort();
    let (mut first, mut again, mut patients, mut written) = (Vec::new(), Vec::new(), 0, 0);
    for run in 0..options.runs {
        let folder = tempfile::tempdir_in(&options.folder).expect("a folder");
        let incident =
            NewIncident { incident: "Bench".into(), organisation: "A".into(), person: "B".into(), exercise: true };
        let host = Box::new(SeededHost::new(run as u64));
        let made = Daybook::create(&folder.path().join("book"), b"a passphrase", &incident, host);
        let mut book = made.expect("a new book").0;
        let mut import = || {
            let sources = files.iter().cloned();
            let sources =
                sources.map(|path| Source::reopenable(path.display().to_string(), move || File::open(&path))).collect();
            took(|| book.import_fhir(sources, &ImportOptions { source: None }, &mut |_| {}).expect("imported")).1
        };
        first.push(import().wall.as_secs_f64());
        again.push(import().wall.as_secs_f64());
        let status = book.status().expect("a status");
        (patients, written) = (status.patients, status.entries.total);
    }
    let (first, again) = (median(first), median(again));
    options.say(&format!(
        "import: {patients} patients, {written} entries: {first:.2} s, again without news {again:.2} s, median of {}",
        options.runs
    ));
    json!({"patients": patients, "entries": written, "import_s": first, "again_s": again})
}

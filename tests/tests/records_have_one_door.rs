//! Every public method of the facade is told apart by what it shows of patients, and those that show anything pass
//! a door that notes who reads. A new method has to be put into one of the lists here.
//!
//! Reads the sources: finds the methods of `impl Daybook` and what each calls.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Calls that note a reading before or after they give what is read.
const DOORS: [&str; 4] = ["self.open_record(", "self.open_all(", "self.note_record(", "self.note_list("];

/// Methods that show something of patients.
const SHOW: &[&str] = &[
    "chart_at",
    "dispense_warnings",
    "document",
    "export_csv",
    "export_fhir",
    "fact",
    "find",
    "findings",
    "history",
    "log",
    "quarantine",
    "read_patient",
    "resolve_patient",
    "review",
];

/// Methods that write: what they answer with is what was written and what it raised, and their entry says who did it.
/// `dispense` notes a reading as well where it shows warnings and writes nothing.
const WRITE: &[&str] = &[
    "add_patient",
    "dispense",
    "edit_patient",
    "join_household",
    "refute",
    "register_household",
    "resolve_finding",
    "reverse_dispense",
    "say",
    "stock_count",
    "stock_move",
    "stock_receive",
];

/// What each file of the facade holds of methods that show nothing of any patient, or ciphertext alone.
const NEITHER: &[&str] = &[
    // beginning, opening, copying
    "accept",
    "begin",
    "begins_anew",
    "addresses",
    "backup",
    "begun_entries",
    "begin_request",
    "change_passphrase",
    "create",
    "folder",
    "join",
    "join_with_key",
    "open",
    "open_reply",
    "open_with_key",
    "recover_from",
    "open_with_store",
    "wrong_attempts",
    "restore",
    // admitting, and founding with others
    "adopt",
    "begin_root_request",
    "check_grant",
    "complete",
    "grant",
    "place_in_proposal",
    "proposal",
    "propose",
    "reply_to_root",
    "sign_proposal",
    // stock without patients
    "stock",
    // ciphertext, counts and hashes
    "awaited",
    "credentials",
    "digest",
    "elsewhere",
    "export_log",
    "extend_shift",
    "extend_shift_of",
    "exposure",
    "exposure_of",
    "floods",
    "fork_proof",
    "grant_path",
    "holdings",
    "ingest",
    "judge_anew",
    "keep_grant_path",
    "note_reached",
    "parcels_kept",
    "post_all",
    "rebuild",
    "rotate",
    "roster",
    "safe_to_lose",
    "salvage",
    "salvage_with_key",
    "session",
    "shift",
    "status",
    "stop_merging",
    "strangers",
    "take_all",
    "take_flood",
    "take_runs",
    "verify",
    "version_elsewhere",
    "write_readings",
    "who",
    // who may do what
    "add_compartment",
    "bar",
    "compartments",
    "endorse",
    "erase",
    "lift_bars",
    "members",
    "recover",
    "revoke",
    // counts of an import
    "import_fhir",
    // who read what, to auditors
    "readings",
];

/// The public methods of `impl Daybook` in a source, each with its body.
fn methods(source: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut of_facade = false;
    let lines: Vec<&str> = source.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        if line.starts_with("impl") {
            of_facade = *line == "impl Daybook {";
        }
        let Some(rest) = line.strip_prefix("    pub ").filter(|_| of_facade) else { continue };
        let rest = rest.strip_prefix("const ").unwrap_or(rest);
        let Some(rest) = rest.strip_prefix("fn ") else { continue };
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let end = lines[at..].iter().position(|line| *line == "    }").unwrap_or(lines.len() - at - 1);
        found.push((name, lines[at..=at + end].join("\n")));
    }
    found
}

fn sources(folder: &Path, into: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(std::fs::read_to_string(&path).unwrap());
        }
    }
}

fn core() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src")
}

fn facade() -> BTreeMap<String, String> {
    let mut texts = Vec::new();
    sources(&core().join("daybook"), &mut texts);
    texts.iter().flat_map(|text| methods(text)).collect()
}

/// Methods that show something of patients and pass no door.
fn without_door(methods: &BTreeMap<String, String>) -> Vec<&str> {
    let passes = |body: &String| DOORS.iter().any(|door| body.contains(door));
    SHOW.iter().copied().filter(|name| !methods.get(*name).is_some_and(passes)).collect()
}

#[test]
fn every_method_that_shows_something_of_patients_passes_a_door() {
    let methods = facade();
    assert_eq!(without_door(&methods), [""; 0], "methods that show records and note nobody");
    assert!(methods["dispense"].contains("self.note_record("), "warnings are shown without being noted");
    let listed: BTreeSet<&str> = SHOW.iter().chain(WRITE).chain(NEITHER).copied().collect();
    let there: BTreeSet<&str> = methods.keys().map(String::as_str).collect();
    let unlisted: Vec<_> = there.difference(&listed).collect();
    assert!(unlisted.is_empty(), "say in this test what these methods show of patients: {unlisted:?}");
    let gone: Vec<_> = listed.difference(&there).collect();
    assert!(gone.is_empty(), "listed here, and there is no such method: {gone:?}");
}

#[test]
fn a_method_that_passes_no_door_is_found() {
    let mut methods = facade();
    assert!(methods.len() > 40, "{}", methods.len());
    let body = methods.get_mut("history").unwrap();
    *body = body.replace("self.open_record(", "self.find_record(");
    assert_eq!(without_door(&methods), ["history"]);
}

#[test]
fn the_command_line_reads_through_the_facade_alone() {
    let mut texts = Vec::new();
    sources(&core().join("../../cli/src"), &mut texts);
    for text in texts {
        for station in ["view", "merge", "store"] {
            let path = ["daybook_core::", station].concat();
            assert!(!text.contains(&path), "the command line uses {path}");
        }
    }
}

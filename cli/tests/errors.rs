//! What people and scripts read when something goes wrong: what happened, what was saved, what to do next.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fs;
use std::process::Command;

use common::{Desk, compare};

/// Runs a command that must fail with an exit code and compares what it says.
fn check(desk: &Desk, name: &str, code: i32, args: &[&str]) {
    check_with(desk, name, code, args, |_| {});
}

fn check_with(desk: &Desk, name: &str, code: i32, args: &[&str], change: impl FnOnce(&mut Command)) {
    let said = desk.run_with(args, "", change);
    compare(&format!("errors/{name}"), &said);
    assert_eq!(said.code, code, "{name}");
}

#[test]
fn command_lines_that_cannot_be_understood() {
    let desk = Desk::empty();
    for (name, args) in [
        ("no_command", &[][..]),
        ("unknown_command", &["pateint", "add"]),
        ("unknown_option", &["patient", "add", "--nmae", "García"]),
        ("missing_argument", &["note", "T-1"]),
        ("name_without_quotes", &["patient", "find", "María", "García"]),
        ("unknown_word", &["patient", "show", "T-1", "--purpose", "gossip"]),
        ("conflict", &["correct", "7FK2Q-12", "--reason", "x", "--not-so", "--value", "1"]),
        ("usage_json", &["--json", "patient", "add", "--nmae", "García"]),
        ("birth_day_first", &["patient", "add", "--birth", "17.03.1943"]),
        ("birth_impossible", &["patient", "add", "--birth", "2023-02-29"]),
        ("sex_unknown", &["patient", "add", "--sex", "x"]),
        ("nothing_said", &["patient", "add"]),
        ("nothing_to_change", &["patient", "edit", "T-1"]),
        ("unknown_field", &["patient", "edit", "T-1", "--set", "colour=red"]),
        ("identifier_without_system", &["patient", "add", "--identifier", "4711"]),
        ("time_in_words", &["observe", "T-1", "weight", "72", "kg", "--at", "yesterday"]),
        ("quantity_zero", &["dispense", "T-1", "ibuprofen", "--quantity", "0 tablet"]),
        ("quantity_negative", &["dispense", "T-1", "ibuprofen", "--quantity", "-5 tablet"]),
        ("quantity_huge", &["stock", "receive", "ibuprofen", "--quantity", "1e30 tablet"]),
        ("quantity_too_fine", &["observe", "T-1", "weight", "0.0000001", "kg"]),
        ("quantity_in_words", &["dispense", "T-1", "ibuprofen", "--quantity", "a few"]),
        ("days_in_weeks", &["dispense", "T-1", "ibuprofen", "--quantity", "5", "--days", "2 weeks"]),
        ("weight_without_unit", &["observe", "T-1", "weight", "72"]),
        ("weight_in_stone", &["observe", "T-1", "weight", "11", "stone"]),
        ("pregnancy_maybe", &["observe", "T-1", "pregnancy", "maybe"]),
        ("code_without_system", &["allergy", "add", "T-1", "amoxicillin", "--code", "723"]),
        ("reason_empty", &["correct", "7FK2Q-12", "--reason", " ", "--not-so"]),
        ("csv_to_json", &["--json", "export", "csv", "patients"]),
    ] {
        check(&desk, name, 2, args);
    }
}

#[test]
fn books_that_do_not_open() {
    let desk = Desk::founded();
    check(&desk, "no_book", 5, &["--book", "nowhere", "status"]);
    check(&desk, "vanished_path", 5, &["--book", "/proc/daybook/gone", "status"]);
    check(&desk, "book_exists", 3, &["init", "--incident", "A", "--organisation", "B", "--person", "C"]);
    check_with(&desk, "wrong_passphrase", 4, &["status"], |c| {
        c.env("DAYBOOK_PASSPHRASE", "guess");
    });
    check_with(&desk, "wrong_passphrase_json", 4, &["--json", "status"], |c| {
        c.env("DAYBOOK_PASSPHRASE", "guess");
    });
    check_with(&desk, "no_passphrase", 5, &["status"], |c| {
        c.env_remove("DAYBOOK_PASSPHRASE");
    });
    check_with(&desk, "empty_passphrase", 2, &["status"], |c| {
        c.env("DAYBOOK_PASSPHRASE", "");
    });
    check(&desk, "no_passphrase_file", 5, &["--passphrase-file", "missing.txt", "status"]);
    fs::create_dir(desk.path().join("holiday")).unwrap();
    fs::write(desk.path().join("holiday/keys"), b"house, car, boat").unwrap();
    fs::write(desk.path().join("holiday/book.db"), b"pictures of the sea").unwrap();
    check(&desk, "not_a_book", 5, &["--book", "holiday", "status"]);
    fs::create_dir(desk.path().join("empty")).unwrap();
    check(&desk, "empty_folder", 5, &["--book", "empty", "status"]);
}

#[test]
fn books_that_are_damaged() {
    let desk = Desk::founded();
    let keys = fs::read(desk.book().join("keys")).unwrap();
    let damage = |bytes: &[u8]| fs::write(desk.book().join("keys"), bytes).unwrap();
    let mut flipped = keys.clone();
    *flipped.last_mut().unwrap() ^= 1;
    damage(&flipped);
    check(&desk, "keys_flipped", 6, &["status"]);
    damage(&keys[..keys.len() / 2]);
    check(&desk, "keys_truncated", 6, &["status"]);
    fs::remove_file(desk.book().join("keys")).unwrap();
    check(&desk, "keys_missing", 6, &["status"]);
    damage(&keys);
    let db = fs::read(desk.book().join("book.db")).unwrap();
    let mut torn = db.clone();
    torn.iter_mut().skip(5_000).take(4_000).for_each(|b| *b ^= 0x55);
    let _ = fs::remove_file(desk.book().join("book.db-wal"));
    fs::write(desk.book().join("book.db"), &torn).unwrap();
    check(&desk, "book_torn", 6, &["status"]);
    fs::write(desk.book().join("book.db"), &db[..db.len() / 2]).unwrap();
    check(&desk, "book_truncated", 6, &["status"]);
    assert_eq!(fs::read(desk.book().join("book.db")).unwrap(), db[..db.len() / 2], "a damaged file is left as it is");
}

#[test]
fn folders_that_cannot_be_written() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let desk = Desk::founded();
    let set = |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for file in fs::read_dir(desk.book()).unwrap() {
        set(&file.unwrap().path(), 0o444);
    }
    set(&desk.book(), 0o555);
    set(desk.path(), 0o755);
    // Root writes everywhere; then the command runs as nobody.
    let is_root = fs::write(desk.book().join("probe"), b"").is_ok();
    let _ = fs::remove_file(desk.book().join("probe"));
    let as_nobody = |command: &mut Command| {
        if is_root {
            command.uid(65_534).gid(65_534);
        }
    };
    check_with(&desk, "read_only_folder", 5, &["patient", "add", "--tag", "T-1"], as_nobody);
    set(desk.path(), 0o555);
    check_with(
        &desk,
        "init_read_only",
        5,
        &["--book", "new", "init", "--incident", "A", "--organisation", "B", "--person", "C"],
        as_nobody,
    );
    set(desk.path(), 0o755);
    set(&desk.book(), 0o755);
}

#[test]
fn patients_and_entries_that_are_not_meant() {
    let desk = Desk::founded();
    desk.ok(&["patient", "add", "--name", "Okoye, Chidi", "--identifier", "urn:a|4711"]);
    desk.ok(&["patient", "add", "--name", "Okoye, Ngozi", "--identifier", "urn:b|4711"]);
    let said = desk.run(&["patient", "show", "4711"]);
    assert_eq!((said.code, said.stdout.lines().count()), (2, 3), "{said:?}");
    assert!(said.stdout.contains("Okoye, Chidi") && said.stdout.contains("Okoye, Ngozi"));
    assert!(!said.stderr.contains("Okoye") && said.stderr.contains("[ambiguous-patient]"));
    let json = desk.run(&["--json", "note", "4711", "x"]);
    let candidates: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(candidates["candidates"].as_array().unwrap().len(), 2);
    let code = candidates["candidates"][0]["code"].as_str().unwrap().to_owned();
    let wrong = if code.starts_with('Z') { code.replacen('Z', "Y", 1) } else { format!("Z{}", &code[1..]) };
    check(&desk, "mistyped_code", 2, &["patient", "show", &wrong]);
    check(&desk, "no_such_patient", 2, &["patient", "show", "T-99"]);
    check(&desk, "no_such_patient_json", 2, &["--json", "patient", "show", "T-99"]);
    check(&desk, "no_such_entry", 2, &["correct", "7FK2Q-12", "--not-so", "--reason", "x"]);
    check(&desk, "no_such_finding", 2, &["findings", "resolve", "3fa94c01", "--reason", "x"]);
}

#[test]
fn what_stands_against_it() {
    let desk = Desk::founded();
    let code = desk.json(&["patient", "add", "--name", "Okoye, Chidi"])["patient"].as_str().unwrap().to_owned();
    let entry = |args: &[&str]| desk.json(args)["entries"][0].as_str().unwrap().to_owned();
    let allergy = entry(&["allergy", "add", &code, "penicillin"]);
    let dispense = ["dispense", &code, "amoxicillin 500 MG Oral Capsule", "--quantity", "20 capsule", "--days", "7"];
    check(&desk, "needs_override", 3, &dispense);
    check(&desk, "needs_override_json", 3, &[&["--json"], &dispense[..]].concat());
    check(&desk, "override_empty", 2, &[&dispense[..], &["--override", " "]].concat());
    assert!(desk.ok(&["--json", "patient", "show", &code]).stdout.matches("amoxicillin").count() == 0);
    let bottle = entry(&[&dispense[..], &["--override", "tolerated before"]].concat());
    check(&desk, "refute_a_dispense", 2, &["correct", &bottle, "--not-so", "--reason", "x"]);
    check(&desk, "reverse_an_allergy", 2, &["dispense", "reverse", &allergy, "--reason", "x"]);
    desk.ok(&["dispense", "reverse", &bottle, "--reason", "returned"]);
    check(&desk, "reverse_twice", 3, &["dispense", "reverse", &bottle, "--reason", "returned"]);
    check(&desk, "correct_other_kind", 2, &["correct", &allergy, "--days", "3", "--reason", "x"]);
    check(&desk, "stock_move_same_place", 2, &["stock", "move", "x", "--quantity", "1", "--from", "a", "--to", "a"]);
}

#[test]
fn files_that_do_not_fit() {
    let desk = Desk::founded();
    let path = |name: &str| desk.path().join(name);
    desk.ok(&["patient", "add", "--tag", "T-1"]);
    desk.ok(&["export", "log", "--to", "log"]);
    check(&desk, "export_exists", 5, &["export", "log", "--to", "log"]);
    check(&desk, "export_to_nowhere", 5, &["export", "log", "--to", "no/such/folder/log"]);
    check(&desk, "ingest_missing", 5, &["ingest", "stick/log"]);
    fs::write(path("letter"), b"Dear Sir or Madam").unwrap();
    check(&desk, "ingest_not_an_export", 3, &["ingest", "letter"]);
    check(&desk, "verify_no_proof", 3, &["verify", "--proof", "letter"]);
    check(&desk, "proof_of_no_fork", 2, &["findings", "proof", "3fa94c01", "--to", "fork.proof"]);
    let whole = fs::read(path("log")).unwrap();
    fs::write(path("short"), &whole[..whole.len() - 9]).unwrap();
    check(&desk, "ingest_cut_off", 7, &["ingest", "short"]);
    check(&desk, "ingest_cut_off_json", 7, &["--json", "ingest", "short"]);
    let other = Desk::founded();
    fs::write(other.path().join("log"), &whole).unwrap();
    check(&other, "ingest_other_incident", 3, &["ingest", "log"]);
    desk.ok(&["backup", "copy"]);
    check(&desk, "backup_exists", 3, &["backup", "copy"]);
    check(&desk, "restore_onto_a_book", 3, &["restore", "copy"]);
    check(&desk, "restore_missing", 5, &["--book", "new", "restore", "nowhere"]);
    check(&desk, "restore_not_a_backup", 5, &["--book", "new", "restore", "."]);
}

#[test]
fn fhir_that_does_not_fit() {
    let desk = Desk::founded();
    let path = |name: &str| desk.path().join(name);
    check(&desk, "import_missing", 5, &["import", "fhir", "stick"]);
    fs::create_dir(path("empty")).unwrap();
    check(&desk, "import_empty_folder", 2, &["import", "fhir", "empty"]);
    let good = r#"{"resourceType":"Patient","id":"a1","gender":"female"}"#;
    let bad = concat!(
        "{\"resourceType\":\"Patient\",\"id\":\"a2\",\"birthDate\":\"1943-02-30\"}\n",
        "{\"resourceType\":\"Patient\",\"id\":\"a3\",\"gender\":7}\n",
        "not json\n",
    );
    fs::write(path("mixed.ndjson"), format!("{good}\n{bad}")).unwrap();
    check(&desk, "import_no_source", 2, &["import", "fhir", "mixed.ndjson"]);
    let import = ["import", "fhir", "mixed.ndjson", "--source", "urn:ehr"];
    check(&desk, "import_in_part", 7, &import);
    check(&desk, "import_in_part_json", 7, &[&["--json"], &import[..]].concat());
    fs::write(path("letter.ndjson"), b"Dear Sir or Madam\n").unwrap();
    check(&desk, "import_not_fhir", 7, &["import", "fhir", "letter.ndjson", "--source", "urn:ehr"]);
}

/// A request of a newcomer's folder, as its code and its characters.
fn request(desk: &Desk, folder: &str) -> [String; 2] {
    let answer = desk.json(&["--book", folder, "enrol", "request", "--person", "Ebba Lindqvist"]);
    ["code", "characters"].map(|key| answer[key].as_str().unwrap().to_owned())
}

#[test]
fn requests_that_are_not_granted() {
    let desk = Desk::founded();
    let [code, same] = request(&desk, "tablet");
    let grant = |more: &[&str], code: &str| -> Vec<String> {
        let head = ["enrol", "grant", code, "--role", "clinician"];
        head.iter().chain(more).map(ToString::to_string).collect()
    };
    let fails = |name: &str, exit: i32, more: &[&str], code: &str| {
        let args = grant(more, code);
        check(&desk, name, exit, &args.iter().map(String::as_str).collect::<Vec<_>>());
    };
    let other = if &code[41..42] == "Z" { "Y" } else { "Z" };
    let mistyped = [&code[..41], other, &code[42..]].concat();
    fails("enrol_mistyped", 2, &["--same", &same], &mistyped);
    fails("enrol_cut_off", 2, &["--same", &same], &code[..code.len() - 12]);
    fails("enrol_no_code", 2, &["--same", &same], "see you at 8");
    fails("enrol_differ", 3, &["--same", "7F3K-9QXM-2H8P"], &code);
    fails("enrol_not_compared", 3, &[], &code);
    check(&desk, "enrol_unknown_role", 2, &["enrol", "grant", &code, "--role", "doctor", "--same", &same]);
    check(&desk, "enrol_no_role", 2, &["enrol", "grant", &code, "--same", &same]);
    check_with(&desk, "enrol_grant_wrong_passphrase", 4, &["enrol", "grant", &code, "--role", "relay"], |c| {
        c.env("DAYBOOK_PASSPHRASE", "guess");
    });
    desk.ok(&["enrol", "grant", &code, "--role", "clinician", "--same", &same]);
    fails("enrol_granted_twice", 3, &["--same", &same], &code);
    check(&desk, "enrol_request_in_a_book", 3, &["enrol", "request", "--person", "Ebba Lindqvist"]);
    check(&desk, "enrol_request_of_another", 3, &["--book", "tablet", "enrol", "request", "--person", "Somebody"]);
    check(&desk, "enrol_request_nobody", 2, &["--book", "new", "enrol", "request", "--person", " "]);
    let long = "x".repeat(121);
    check(&desk, "enrol_request_long", 2, &["--book", "new", "enrol", "request", "--person", &long]);
}

#[test]
fn replies_that_are_not_accepted() {
    let desk = Desk::founded();
    let [code, same] = request(&desk, "tablet");
    let granted = desk.json(&["enrol", "grant", &code, "--role", "dispenser", "--same", &same, "--out", "reply"]);
    let both = granted["characters"].as_str().unwrap();
    let accept = ["--book", "tablet", "enrol", "accept", "--file", "reply", "--code"];
    let with = |characters| [&accept[..], &[characters]].concat();
    check(&desk, "accept_differ", 3, &with("7F3K-9QXM-2H8P"));
    check(&desk, "accept_differ_json", 3, &[&["--json"], &with("7F3K-9QXM-2H8P")[..]].concat());
    check(&desk, "accept_not_compared", 3, &accept[..6]);
    check_with(&desk, "accept_wrong_passphrase", 4, &with(both), |c| {
        c.env("DAYBOOK_PASSPHRASE", "guess");
    });
    check(&desk, "accept_a_request", 2, &["--book", "tablet", "enrol", "accept", &code, "--code", both]);
    let reply = fs::read_to_string(desk.path().join("reply")).unwrap();
    fs::write(desk.path().join("piece"), reply.lines().next().unwrap()).unwrap();
    check(&desk, "accept_pieces_missing", 2, &["--book", "tablet", "enrol", "accept", "--file", "piece"]);
    fs::write(desk.path().join("cut"), &reply[..reply.len() - 40]).unwrap();
    check(&desk, "accept_cut_off", 2, &["--book", "tablet", "enrol", "accept", "--file", "cut"]);
    // The reply to a request of another device, as of another incident: it does not open here.
    let elsewhere = Desk::founded();
    let [other_code, other_same] = request(&desk, "phone");
    let other = ["enrol", "grant", &other_code, "--role", "relay", "--same", &other_same, "--out", "reply"];
    elsewhere.ok(&other);
    fs::copy(elsewhere.path().join("reply"), desk.path().join("other")).unwrap();
    check(&desk, "accept_other_incident", 3, &["--book", "tablet", "enrol", "accept", "--file", "other"]);
    check(&desk, "accept_without_request", 5, &["--book", "new", "enrol", "accept", "--file", "reply"]);
    desk.ok(&with(both));
    check(&desk, "accept_twice", 3, &with(both));
    // A dispenser may register and dispense at once, and may not admit others.
    let [third, third_same] = request(&desk, "third");
    let tablet = |args: &[&str]| desk.ok(&[&["--book", "tablet"], args].concat());
    tablet(&["patient", "add", "--tag", "T-9"]);
    let grant = ["--book", "tablet", "enrol", "grant", &third, "--role", "relay", "--same", &third_same];
    check(&desk, "enrol_no_right", 4, &grant);
}

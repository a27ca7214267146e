//! What people read when a command does what it was asked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Desk, compare};

/// Runs a command that must succeed and compares what it says.
fn check(desk: &Desk, name: &str, args: &[&str]) {
    compare(&format!("answers/{name}"), &desk.ok(args));
}

#[test]
fn help_and_version() {
    let desk = Desk::empty();
    check(&desk, "help", &["--help"]);
    check(&desk, "help_dispense", &["dispense", "--help"]);
    assert!(desk.ok(&["--version"]).stdout.starts_with("daybook 0."));
}

#[test]
fn a_shift() {
    let desk = Desk::empty();
    check(
        &desk,
        "init",
        &["init", "--incident", "Valley flood 2026", "--organisation", "County Health", "--person", "R. Alvarez"],
    );
    check(&desk, "add_tag_alone", &["patient", "add", "--tag", "T-1"]);
    check(
        &desk,
        "edit",
        &["patient", "edit", "T-1", "--set", "name=García, María José", "--set", "birth=1980-02", "--set", "sex=f"],
    );
    check(&desk, "allergy_add", &["allergy", "add", "T-1", "penicillin", "--severity", "high", "--reaction", "rash"]);
    check(&desk, "observe_pounds", &["observe", "T-1", "weight", "160", "lb"]);
    check(&desk, "observe_again", &["observe", "T-1", "weight", "161", "lb"]);
    check(&desk, "observe_earlier", &["observe", "T-1", "weight", "150", "lb", "--at", "2001-02-03"]);
    check(&desk, "condition_add", &["condition", "add", "T-1", "asthma", "--onset", "2009"]);
    check(
        &desk,
        "immunization_add",
        &["immunization", "add", "T-1", "Td", "--lot", "U1", "--expiry", "2031-03", "--at", "2020-05-06"],
    );
    check(&desk, "note", &["note", "T-1", "two\nlines\u{202e}"]);
    let product = "doxycycline hyclate 100 MG Oral Tablet";
    let stock = ["--code", "rxnorm|1650143", "--lot", "A1"];
    check(
        &desk,
        "stock_receive",
        &[
            &["stock", "receive", product, "--quantity", "50 tablet", "--expiry", "2031-03", "--place", "tent"],
            &stock[..],
        ]
        .concat(),
    );
    check(
        &desk,
        "stock_count",
        &[&["stock", "count", product, "--quantity", "30 tablet", "--place", "tent"], &stock[..]].concat(),
    );
    let dispense =
        [&["dispense", "T-1", product, "--quantity", "40 tablet", "--days", "20", "--place", "tent"], &stock[..]]
            .concat();
    check(&desk, "dispense_below_zero", &dispense);
    check(
        &desk,
        "dispense_override",
        &[&dispense[..], &["--to", "Ada Okafor", "--override", "first bottle lost"]].concat(),
    );
    check(&desk, "stock_show", &["stock", "show"]);
    check(&desk, "findings", &["findings"]);
    check(&desk, "show", &["patient", "show", "T-1"]);
    check(&desk, "history", &["patient", "history", "T-1"]);
    check(&desk, "status", &["status"]);
    check(&desk, "log", &["log", "T-1", "--limit", "3"]);
    check(&desk, "verify", &["verify"]);
    check(&desk, "rebuild", &["rebuild"]);
    check(&desk, "digest", &["digest"]);
    check(&desk, "export_csv_dispenses", &["export", "csv", "dispenses"]);
    check(&desk, "export_log", &["export", "log", "--to", "log.daybook"]);
    check(&desk, "ingest_of_own_log", &["ingest", "log.daybook"]);
    check(&desk, "backup", &["backup", "copy"]);
    check(&desk, "restore", &["--book", "restored", "restore", "copy"]);
}

#[test]
fn corrections_and_what_is_taken_back() {
    let desk = Desk::founded();
    desk.ok(&["patient", "add", "--tag", "T-1", "--name", "Okoye, Chidi"]);
    let entry = |args: &[&str]| desk.json(args)["entries"][0].as_str().unwrap().to_owned();
    let weight = entry(&["observe", "T-1", "weight", "72", "kg"]);
    check(&desk, "correct", &["correct", &weight, "--value", "74", "--reason", "scale read wrongly"]);
    let allergy = entry(&["allergy", "add", "T-1", "bee stings"]);
    check(&desk, "refute", &["allergy", "refute", &allergy, "--reason", "tested"]);
    check(&desk, "allergy_none", &["allergy", "none", "T-1"]);
    let bottle = entry(&["dispense", "T-1", "ibuprofen 400 mg", "--quantity", "10", "--days", "3"]);
    check(&desk, "reverse", &["dispense", "reverse", &bottle, "--reason", "returned"]);
    check(&desk, "deceased", &["patient", "deceased", "T-1", "--at", "2021-03-04"]);
    check(&desk, "show_corrected", &["patient", "show", "T-1"]);
}

#[test]
fn names_of_every_script_keep_the_columns() {
    let desk = Desk::founded();
    for name in [
        "王小明",
        "محمد, عبد الله",
        "Mar\u{202e}ia \u{1b}[2Jx",
        "A very long name that does not end at all",
        "Nguyễn, Thị",
    ] {
        desk.ok(&["patient", "add", "--name", name, "--birth", "1980", "--identifier", "urn:card|N7"]);
    }
    let said = desk.ok(&["patient", "find", "N7"]);
    let mut lines: Vec<String> = said.stdout.lines().map(str::to_owned).collect();
    // Codes are random: the order of the names is not.
    lines[1..].sort_by_key(|line| line.get(13..).unwrap().to_owned());
    let sorted = common::Said { stdout: lines.join("\n") + "\n", ..said };
    compare("answers/find_scripts", &sorted);
}

#[test]
fn a_household() {
    let desk = Desk::founded();
    check(
        &desk,
        "register_household",
        &["patient", "register-household", "--member", "Okafor, Ada;1990-05-01;f;T-1", "--member", "Okafor, Obi;2019"],
    );
    check(
        &desk,
        "add_to_household",
        &["patient", "add", "--name", "Okafor, Uche", "--household", "T-1", "--role", "child"],
    );
    check(&desk, "find_none", &["patient", "find", "nobody"]);
    check(&desk, "find_okafor_limit", &["patient", "find", "okafor uche", "--limit", "1"]);
}

#[test]
fn an_exercise_is_marked_on_every_screen() {
    let desk = Desk::empty();
    check(
        &desk,
        "init_exercise",
        &[
            "init",
            "--incident",
            "Spring drill",
            "--organisation",
            "County Health",
            "--person",
            "R. Alvarez",
            "--exercise",
        ],
    );
    check(&desk, "exercise_add", &["patient", "add", "--tag", "T-1"]);
    check(&desk, "exercise_show", &["patient", "show", "T-1"]);
    check(&desk, "exercise_findings_json", &["--json", "findings"]);
    let csv = desk.ok(&["export", "csv", "patients"]).stdout;
    assert!(csv.starts_with("patient,"), "an export is data, not a screen: {csv}");
}

#[test]
fn fhir_comes_in_and_goes_out() {
    let desk = Desk::founded();
    let patients = concat!(
        r#"{"resourceType":"Patient","id":"a1","name":[{"family":"Lindqvist","given":["Ebba"]}],"gender":"female","multipleBirthBoolean":true}"#,
        "\n",
        r#"{"resourceType":"Encounter","id":"e1"}"#,
        "\n"
    );
    std::fs::write(desk.path().join("patients.ndjson"), patients).unwrap();
    let import = ["import", "fhir", "patients.ndjson", "--source", "urn:ehr"];
    check(&desk, "import_fhir", &import);
    check(&desk, "import_fhir_again", &import);
    check(&desk, "export_fhir", &["export", "fhir", "out.json"]);
    check(&desk, "export_fhir_ndjson", &["export", "fhir", "out", "--format", "ndjson"]);
    assert!(desk.path().join("out/Patient.000.ndjson").is_file());
    assert!(!desk.path().join("out.json.part").exists());
    let other = Desk::founded();
    std::fs::create_dir_all(other.path().join("stick/friday")).unwrap();
    std::fs::copy(desk.path().join("out.json"), other.path().join("stick/friday/out.json")).unwrap();
    std::fs::write(other.path().join("stick/readme.txt"), b"not looked into").unwrap();
    check(&other, "import_fhir_folder", &["import", "fhir", "stick"]);
    assert_eq!(other.json(&["patient", "find", "lindqvist"])["patients"].as_array().unwrap().len(), 1);
}

#[test]
fn lines_at_the_desk_through_a_pipe() {
    let desk = Desk::founded();
    let lines = "T-7\nnew Okoye, Chidi; 1971\nallergy none\nweight 72 kg\nweight 72 stone\n\
                 dispense ibuprofen 400 mg; 10 tablet; 3 days\nlock\nwrong\nfour words or more\nokoye\nquit\n";
    compare("answers/desk", &desk.run_with(&["desk"], lines, |_| {}));
    compare("answers/desk_json", &desk.run_with(&["--json", "desk"], "next\nlock\n", |_| {}));
}

#[test]
fn a_newcomer() {
    let desk = Desk::founded();
    let tablet = ["--book", "tablet"];
    let request = [&tablet[..], &["enrol", "request", "--person", "Ebba Lindqvist"]].concat();
    check(&desk, "enrol_request", &request);
    let asked = desk.json(&request);
    let (code, same) = (asked["code"].as_str().unwrap(), asked["characters"].as_str().unwrap());
    let grant = ["enrol", "grant", code, "--role", "clinician", "--same", same, "--address", "10.0.0.7:7373"];
    let granted = desk.run(&grant);
    compare("answers/enrol_grant", &granted);
    let pieces: Vec<&str> = granted.stdout.lines().filter(|line| line.len() > 60 && !line.contains(' ')).collect();
    let both = granted.stdout.lines().last().unwrap().trim();
    let accept = [&tablet[..], &["enrol", "accept"], &pieces, &["--code", both]].concat();
    check(&desk, "enrol_accept", &accept);
    check(&desk, "enrol_status", &["--book", "tablet", "status"]);
}

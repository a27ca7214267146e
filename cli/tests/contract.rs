//! What scripts rely on: pipes, full disks, where data is never printed, where the passphrase comes from.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::Stdio;

use common::{Desk, PASSPHRASE};

const MARKER: &str = "Zzyzx";

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let desk = Desk::founded();
    for args in [&["status"][..], &["export", "csv", "patients"], &["export", "log"], &["--json", "log"], &["--help"]] {
        let mut child =
            desk.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn an_answer_that_cannot_be_printed_says_that_it_was_written() {
    let desk = Desk::founded();
    let mut child = desk
        .command(&["patient", "add", "--tag", "T-1"])
        .stdout(File::options().write(true).open("/dev/full").unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert!(stderr.contains("[no-output]") && stderr.contains("everything was written"), "{stderr}");
    desk.ok(&["patient", "show", "T-1"]);
}

#[test]
fn stderr_never_holds_patient_data_even_when_everything_is_traced() {
    let desk = Desk::founded();
    let traced = |args: &[&str]| {
        let said = desk.run_with(args, "", |c| {
            c.env("RUST_LOG", "trace");
        });
        assert!(!said.stderr.to_lowercase().contains(&MARKER.to_lowercase()), "{args:?}: {}", said.stderr);
        said
    };
    let name = format!("{MARKER}, Ann");
    let add = ["patient", "add", "--name", &name, "--identifier", "urn:a|4711"];
    assert_eq!(traced(&add).code, 0);
    assert_eq!(traced(&["patient", "add", "--name", &name, "--identifier", "urn:b|4711"]).code, 0);
    for args in [
        &["patient", "find", MARKER][..],
        &["patient", "show", MARKER],
        &["patient", "show", "4711"],
        &["note", "4711", MARKER],
        &["patient", "find", MARKER, MARKER],
        &["patient", "add", "--birth", MARKER],
        &["allergy", "add", "4711", "x", "--severity", MARKER],
        &[MARKER],
        &["--json", "patient", "show", "4711"],
    ] {
        traced(args);
    }
    let desk_lines = format!("{MARKER}\nweight 72 {MARKER}\nallergy {MARKER}\ndispense {MARKER}; 1 tablet\n{MARKER}\n");
    let said = desk.run_with(&["desk"], &desk_lines, |c| {
        c.env("RUST_LOG", "trace");
    });
    assert!(!said.stderr.contains(MARKER), "{}", said.stderr);
    for file in fs::read_dir(desk.book()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(MARKER.len()).any(|w| w == MARKER.as_bytes()), "the book folder holds plaintext");
    }
}

#[test]
fn the_passphrase_comes_from_a_file_before_the_environment() {
    let desk = Desk::founded();
    fs::write(desk.path().join("secret"), format!("{PASSPHRASE}\nsecond line\n")).unwrap();
    let said = desk.run_with(&["--passphrase-file", "secret", "status"], "", |c| {
        c.env("DAYBOOK_PASSPHRASE", "wrong");
    });
    assert_eq!(said.code, 0, "{said:?}");
    let changed = desk.run_with(&["--json", "passphrase"], "", |c| {
        c.env("DAYBOOK_NEW_PASSPHRASE", "another one");
    });
    assert_eq!(changed.code, 0, "{changed:?}");
    assert_eq!(desk.run(&["status"]).code, 4);
    let said = desk.run_with(&["status"], "", |c| {
        c.env("DAYBOOK_PASSPHRASE", "another one");
    });
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn a_log_travels_through_a_pipe() {
    let desk = Desk::founded();
    desk.ok(&["patient", "add", "--tag", "T-1"]);
    let exported = desk.command(&["export", "log"]).output().unwrap();
    assert!(exported.status.success() && exported.stderr.is_empty());
    let mut child =
        desk.command(&["--json", "ingest", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&exported.stdout).unwrap();
    let mut answer = String::new();
    child.stdout.take().unwrap().read_to_string(&mut answer).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let last: serde_json::Value = serde_json::from_str(answer.lines().last().unwrap()).unwrap();
    assert_eq!((last["new"].as_u64(), last["cut_off"].as_bool()), (Some(0), Some(false)));
    assert!(last["known"].as_u64().unwrap() > 0);
}

#[test]
fn made_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::founded();
    desk.ok(&["export", "csv", "patients", "--to", "p.csv"]);
    desk.ok(&["export", "fhir", "out", "--format", "ndjson"]);
    let mode = |name: &str| fs::metadata(desk.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("p.csv"), 0o600);
    for file in fs::read_dir(desk.path().join("out")).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

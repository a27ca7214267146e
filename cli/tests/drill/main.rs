//! The drill: what it finds is what a model of its own expects, its bytes are those of the transport, its
//! digests those of the books, and it fails where a device did not merge.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;
mod model;

use std::collections::BTreeMap;

use common::{Desk, compare};
use serde_json::{Value, json};

/// Every fourth seed has three devices; each book more costs four more passphrases.
const fn devices_of(seed: u64) -> u64 {
    if seed % 4 == 1 { 3 } else { 2 }
}

fn array<'a>(answer: &'a Value, key: &str) -> &'a Vec<Value> {
    answer[key].as_array().unwrap_or_else(|| panic!("{key}: {answer}"))
}

fn number(object: &Value, key: &str) -> u64 {
    object[key].as_u64().unwrap_or_else(|| panic!("{key}: {object}"))
}

/// What the drill says that was found, as the model counts.
fn found(answer: &Value) -> model::Raised {
    let mut found = BTreeMap::new();
    for finding in array(answer, "findings") {
        let kind = finding["kind"].as_str().unwrap();
        let identifier = finding.pointer("/patient/identifier").and_then(Value::as_str).unwrap_or_default();
        let tag = if kind == "possibly-same-person" { "" } else { identifier.trim_start_matches("tag|") };
        *found.entry((kind.to_owned(), tag.to_owned())).or_default() += 1;
    }
    found
}

/// What travelled is what the transport counted, and came once.
fn check_meetings_of(answer: &Value) {
    for meeting in array(answer, "shared").iter().chain(array(answer, "meetings")) {
        for side in ["caller", "server"] {
            let (said, counted) =
                (number(meeting, &format!("bytes_from_{side}")), number(meeting, &format!("relayed_from_{side}")));
            if meeting["cut"] == true {
                assert!(counted <= said && counted > 0, "{meeting}");
            } else {
                assert_eq!(said, counted, "{meeting}");
            }
        }
    }
    let meetings = array(answer, "meetings");
    assert!(meetings.iter().enumerate().all(|(place, met)| met["cut"] == (place == 0)), "{meetings:?}");
    assert_eq!((&meetings[0]["caller"], &meetings[0]["server"]), (&meetings[1]["caller"], &meetings[1]["server"]));
    assert!(number(&meetings[1], "to_caller") + number(&meetings[1], "to_server") > 0, "the cut came too late");
    for device in array(answer, "devices") {
        let came: u64 = ["caller", "server"]
            .into_iter()
            .flat_map(|side| meetings.iter().filter(move |m| m[side] == device["number"]).map(move |m| (m, side)))
            .map(|(meeting, side)| number(meeting, &format!("to_{side}")))
            .sum();
        let grown = number(&device["after"], "entries") - number(&device["before"], "entries");
        assert_eq!(came, grown, "nothing comes twice, and nothing else comes: {device}");
    }
}

/// As [`check_meetings_of`], and everybody is shown the same findings.
fn check_meetings(answer: &Value) {
    check_meetings_of(answer);
    for device in array(answer, "devices") {
        assert_eq!(number(&device["after"], "open_findings"), array(answer, "findings").len() as u64, "{device}");
    }
}

fn check_seed(desk: &Desk, seed: u64) {
    let keep = format!("seed-{seed}");
    let devices = devices_of(seed);
    let (number_of, seed_of) = (devices.to_string(), seed.to_string());
    let args = ["drill", "--seed", &seed_of, "--devices", &number_of, "--patients", "8", "--keep", &keep];
    let answer = desk.json(&args);
    assert_eq!((&answer["same"], &answer["exercise"]), (&json!(true), &json!(true)));
    let (found, expected) = (found(&answer), model::findings(&answer));
    assert_eq!(found, expected, "seed {seed}");
    for kind in ["DUPTHPY", "DALG", "concurrent-values", "implausible-time", "possibly-same-person"] {
        assert!(found.keys().any(|(raised, _)| raised == kind), "seed {seed} raises no {kind}: {found:?}");
    }
    check_meetings(&answer);
    let file = format!("{keep}/passphrase-of-the-exercise");
    for device in array(&answer, "devices") {
        let book = device["book"].as_str().unwrap();
        let of_book = |command: &str| desk.json(&["--book", book, "--passphrase-file", &file, command]);
        let digest = of_book("digest");
        assert_eq!(
            (&digest["digest"], &digest["digest"]),
            (&answer["digest"], &device["digest"]),
            "seed {seed}: {book}"
        );
        if seed == 1 {
            assert_eq!(of_book("verify")["problems"], json!([]));
            let findings = of_book("findings")["findings"].as_array().map(Vec::len);
            assert_eq!(findings, Some(array(&answer, "findings").len()));
        }
    }
}

#[test]
fn twenty_seeds_find_what_the_model_expects() {
    let desk = Desk::empty();
    std::thread::scope(|scope| {
        for half in 0..2 {
            let desk = &desk;
            scope.spawn(move || (1..=20).filter(|seed| seed % 2 == half).for_each(|seed| check_seed(desk, seed)));
        }
    });
}

#[test]
fn a_device_that_does_not_merge_fails_the_drill_and_nothing_is_left_behind() {
    let desk = Desk::empty();
    let temporary = desk.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    for device in ["1", "3"] {
        let said = desk.run_with(&["--json", "drill", "--patients", "4", "--without-merge", device], "", |c| {
            c.env("TMPDIR", &temporary);
        });
        assert_eq!(said.code, 70, "{said:?}");
        let answer: Value = serde_json::from_str(said.stdout.lines().last().unwrap()).unwrap();
        assert_eq!((&answer["same"], &answer["digest"]), (&json!(false), &Value::Null));
        // It took part and stored all that the others have, and shows another record.
        check_meetings_of(&answer);
        let of = |key: &str| array(&answer, "devices").iter().map(|of| of[key].clone()).collect::<Vec<_>>();
        let (digests, after) = (of("digest"), of("after"));
        assert!(after.windows(2).all(|two| two[0]["entries"] == two[1]["entries"]), "{after:?}");
        let differs = usize::from(device == "3") * 2;
        let others: Vec<&Value> = digests.iter().enumerate().filter(|(at, _)| *at != differs).map(|(_, d)| d).collect();
        assert!(others[0] == others[1] && *others[0] != digests[differs], "{digests:?}");
        let error: Value = serde_json::from_str(&said.stderr).unwrap();
        assert_eq!(error["code"], "books-differ");
        assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "the temporary folder is removed");
    }
}

#[test]
fn the_same_seed_draws_the_same_shift_on_other_books() {
    let desk = Desk::empty();
    let drawn = |seed: &str| {
        let answer = desk.json(&["drill", "--patients", "4", "--devices", "2", "--seed", seed]);
        let acts = array(&answer, "acts").iter().map(|act| {
            let mut act = act.clone();
            act.as_object_mut().unwrap().remove("at");
            act
        });
        (acts.collect::<Vec<_>>(), answer["digest"].clone())
    };
    let (one, again, other) = (drawn("3"), drawn("3"), drawn("4"));
    assert_eq!(one.0, again.0);
    assert_ne!(one.0, other.0);
    assert_ne!(one.1, again.1, "keys and ids come from the operating system");
}

#[test]
fn what_a_drill_cannot_do_is_said() {
    let desk = Desk::empty();
    std::fs::create_dir(desk.path().join("full")).unwrap();
    std::fs::write(desk.path().join("full/file"), "").unwrap();
    for (name, args, code) in [
        ("drill_few_patients", &["drill", "--patients", "3"][..], 2),
        ("drill_many_patients", &["drill", "--patients", "5001"], 2),
        ("drill_one_device", &["drill", "--devices", "1"], 2),
        ("drill_keep_exists", &["drill", "--keep", "full"], 5),
    ] {
        let said = desk.run(args);
        assert_eq!(said.code, code, "{said:?}");
        compare(&format!("errors/{name}"), &said);
    }
}

#[test]
fn the_first_command_of_the_readme_is_the_drill_and_works() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let first = readme.lines().find_map(|line| line.strip_prefix("    ")).unwrap();
    let words: Vec<&str> = first.strip_prefix("cargo run -p daybook-cli -- ").unwrap().split(' ').collect();
    assert_eq!(words[0], "drill");
    let desk = Desk::empty();
    let said = desk.run_with(&words, "", |c| {
        c.env_remove("DAYBOOK_BOOK").env_remove("DAYBOOK_PASSPHRASE");
    });
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
    assert!(said.stdout.starts_with("*** EXERCISE: Drill 1 ***\n3 devices of 2 organisations"), "{}", said.stdout);
    for line in ["cut half way; what came is safe", "went on where it was cut", "All 3 books hold the same 131 entries"]
    {
        assert!(said.stdout.contains(line), "{line}: {}", said.stdout);
    }
    assert!(said.stdout.lines().all(|line| line.chars().count() <= 140), "{}", said.stdout);
}

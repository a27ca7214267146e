//! A damaged book: what people are told, what `salvage` saves, and that the rest comes back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Desk, Said};
use serde_json::Value;
use std::fs;

const PAGE: usize = 8_192;

fn answer(said: &Said) -> Value {
    serde_json::from_str(said.stdout.lines().last().unwrap()).unwrap_or_else(|_| panic!("{said:?}"))
}

#[test]
fn what_is_lost_is_named_and_comes_back() {
    let desk = Desk::founded();
    for number in 0..40 {
        desk.ok(&["patient", "add", "--tag", &format!("T-{number}"), "--name", &format!("{};Ada", "x".repeat(150))]);
    }
    desk.ok(&["export", "log", "--to", "all.daybook"]);
    let before = desk.json(&["status"]);
    let file = desk.book().join("book.db");
    let good = fs::read(&file).unwrap();

    // Page 1 leads to all others and holds nothing itself.
    let mut bytes = good.clone();
    bytes[100..PAGE].fill(0x5a);
    fs::write(&file, &bytes).unwrap();
    let said = desk.run(&["status"]);
    assert_eq!(said.code, 6);
    assert!(said.stderr.contains("[damaged]") && said.stderr.contains("daybook salvage"), "{}", said.stderr);
    let salvaged = desk.json(&["salvage"]);
    assert_eq!(salvaged["damaged_pages"], serde_json::json!([1]));
    assert_eq!(desk.run(&["salvage"]).code, 3, "the target is there");
    let after = desk.json(&["--book", "book-salvaged", "status"]);
    assert_eq!((&after["entries"], &after["patients"]), (&before["entries"], &before["patients"]));
    assert!(fs::read(&file).unwrap() == bytes, "the damaged file was changed");

    // A page with entries: they are named, the rest is there, and another book's log brings them back.
    let (page, said) = (2..good.len() / PAGE)
        .rev()
        .find_map(|page| {
            let mut bytes = good.clone();
            bytes[page * PAGE + 9] ^= 1;
            fs::write(&file, &bytes).unwrap();
            let said = desk.run(&["--json", "salvage", "--to", &format!("page-{page}")]);
            assert!([0, 6, 7].contains(&said.code), "{said:?}");
            (said.code == 7 && answer(&said)["lost"] != serde_json::json!([])).then_some((page, said))
        })
        .expect("a page with entries");
    let salvaged = answer(&said);
    assert_eq!(salvaged["damaged_pages"], serde_json::json!([page + 1]));
    let lost: u64 = salvaged["lost"]
        .as_array()
        .unwrap()
        .iter()
        .map(|lost| {
            assert!(lost["author"]["person"] == "R. Alvarez" && lost["held_by"] == serde_json::json!([]), "{lost}");
            lost["to"].as_u64().unwrap() + 1 - lost["from"].as_u64().unwrap()
        })
        .sum();
    let total = before["entries"]["total"].as_u64().unwrap();
    assert_eq!(salvaged["entries"].as_u64().unwrap() + lost, total);
    let failure: Value = serde_json::from_str(said.stderr.lines().last().unwrap()).unwrap();
    assert_eq!((&failure["code"], &failure["saved"]), (&"done-in-part".into(), &"part".into()));
    let people = desk.run(&["salvage", "--to", "for-people"]);
    assert!(
        people.stdout.contains(" of R. Alvarez (") && people.stdout.contains("nobody is known to hold them"),
        "{people:?}"
    );
    let book = format!("page-{page}");
    desk.ok(&["--book", &book, "verify"]);
    desk.ok(&["--book", &book, "patient", "add", "--tag", "after"]);
    desk.ok(&["--book", &book, "ingest", "all.daybook"]);
    let status = desk.json(&["--book", &book, "status"]);
    assert_eq!(status["patients"].as_u64().unwrap(), before["patients"].as_u64().unwrap() + 1);
    assert_eq!(status["entries"]["total"].as_u64().unwrap(), total + 2);
    assert_eq!(status["open_findings"], 0);
}

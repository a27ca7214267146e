//! Several organisations at one table begin an incident together, each on its own computer, by the built binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fs;

use common::{Desk, Server, compare};
use serde_json::Value;

fn text(answer: &Value, key: &str) -> String {
    match &answer[key] {
        Value::Array(pieces) => pieces.iter().map(|piece| piece.as_str().unwrap()).collect::<Vec<_>>().join(" "),
        other => other.as_str().unwrap().to_owned(),
    }
}

/// The code of an organisation's request; its folder bears its name.
fn request(desk: &Desk, organisation: &str) -> String {
    let person = format!("Head of {organisation}");
    let args = ["--book", organisation, "found", "request", "--organisation", organisation, "--person", &person];
    text(&desk.json(&args), "code")
}

const NORTH: [&str; 9] = [
    "--book",
    "North",
    "found",
    "propose",
    "--incident",
    "Border flood",
    "--organisation",
    "North",
    "--person=R. Alvarez",
];

/// Runs all steps with the other organisations, and gives the answer of `found complete`.
fn found(desk: &Desk, others: &[&str]) -> Value {
    let codes: Vec<String> = others.iter().map(|other| request(desk, other)).collect();
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    let proposed = desk.json(&[&NORTH[..], &codes].concat());
    let (code, same) = (text(&proposed, "code"), text(&proposed, "characters"));
    let mut complete: Vec<String> = ["--book", "North", "found", "complete", "--same"].map(str::to_owned).into();
    complete.push(same.clone());
    for other in others {
        let signed = desk.json(&["--book", other, "found", "sign", &code, "--same", &same]);
        assert_eq!(signed["roots"], proposed["roots"]);
        assert_eq!(text(&signed, "incident_id"), text(&proposed, "incident_id"));
        complete.push(text(&signed, "code"));
    }
    let begun = desk.json(&complete.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(begun["incident_id"], proposed["incident_id"]);
    begun
}

/// The other organisations take their replies.
fn accept(desk: &Desk, begun: &Value) {
    for reply in begun["replies"].as_array().unwrap() {
        let (book, code, same) = (text(reply, "organisation"), text(reply, "code"), text(reply, "characters"));
        let taken = desk.json(&["--book", &book, "enrol", "accept", &code, "--code", &same]);
        assert_eq!((&taken["incident_id"], &taken["device"]), (&begun["incident_id"], &reply["device"]));
    }
}

/// One book takes in all that another holds, by a file.
fn hand_over(desk: &Desk, from: &str, to: &str) {
    let _ = fs::remove_file(desk.path().join("handed"));
    desk.ok(&["--book", from, "export", "log", "--to", "handed"]);
    desk.ok(&["--book", to, "ingest", "handed"]);
}

#[test]
fn two_administrators_at_a_table_begin_an_incident_and_both_write_at_once() {
    let desk = Desk::empty();
    let begun = found(&desk, &["South"]);
    accept(&desk, &begun);
    desk.ok(&["--book", "North", "patient", "add", "--tag", "N-1", "--name", "Okoye"]);
    desk.ok(&["--book", "South", "patient", "add", "--tag", "S-1", "--name", "Idris"]);
    let server = Server::of(&desk, "North");
    let synced = desk.json(&["--book", "South", "sync", &server.address]);
    assert_eq!(synced["in_sync"], true, "{synced}");
    server.stop();
    for book in ["North", "South"] {
        let status = desk.json(&["--book", book, "status"]);
        assert_eq!((&status["patients"], &status["entries"]["waiting"]), (&2.into(), &0.into()), "{status}");
        assert_eq!((&status["entries"]["unopened"], &status["no_key"]), (&0.into(), &Value::Array(vec![])), "{status}");
        let members = desk.json(&["--book", book, "members"]);
        let of = |member: &Value| (text(&member["who"], "organisation"), text(member, "state"));
        let mut members: Vec<_> = members["members"].as_array().unwrap().iter().map(of).collect();
        members.sort();
        assert_eq!(members, [("North", "root"), ("South", "root")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    }
    // Either admits helpers, and the other knows them.
    let helper = desk.json(&["--book", "helper", "enrol", "request", "--person", "Ebba"]);
    let (code, same) = (text(&helper, "code"), text(&helper, "characters"));
    let grant = ["--book", "South", "enrol", "grant", &code, "--role", "clinician", "--same", &same];
    let granted = desk.json(&grant);
    let accept =
        ["--book", "helper", "enrol", "accept", &text(&granted, "code"), "--code", &text(&granted, "characters")];
    desk.ok(&accept);
    desk.ok(&["--book", "helper", "patient", "add", "--tag", "H-1"]);
    hand_over(&desk, "helper", "North");
    assert_eq!(desk.json(&["--book", "North", "status"])["patients"], 3);
}

#[test]
fn of_three_organisations_two_end_the_third() {
    let desk = Desk::empty();
    let begun = found(&desk, &["South", "West"]);
    accept(&desk, &begun);
    for (from, to) in [("West", "North"), ("South", "North"), ("North", "South"), ("North", "West")] {
        hand_over(&desk, from, to);
    }
    let west = text(&begun["replies"][1], "device");
    desk.ok(&["--book", "North", "revoke", &west[..12]]);
    hand_over(&desk, "North", "South");
    let ended = |book: &str| {
        let members = desk.json(&["--book", book, "members"]);
        let members = members["members"].as_array().unwrap().clone();
        members.iter().any(|member| text(&member["who"], "organisation") == "West" && member["state"] == "ended")
    };
    assert!(!ended("North") && !ended("South"), "one alone ends nobody");
    desk.ok(&["--book", "South", "revoke", &west[..12]]);
    hand_over(&desk, "South", "North");
    assert!(ended("North") && ended("South"));
}

#[test]
fn a_lost_reply_is_made_again_by_any_of_them() {
    let desk = Desk::empty();
    let begun = found(&desk, &["South", "West"]);
    let west = request(&desk, "West");
    let again = desk.json(&["--book", "North", "found", "reply", &west]);
    assert_ne!(text(&again, "code"), text(&begun["replies"][1], "code"));
    let south = &begun["replies"][0];
    desk.ok(&["--book", "South", "enrol", "accept", &text(south, "code"), "--code", &text(south, "characters")]);
    let of_south = desk.json(&["--book", "South", "found", "reply", &west, "--out", "reply"]);
    let taken = ["--book", "West", "enrol", "accept", "--file", "reply", "--code", &text(&of_south, "characters")];
    desk.ok(&taken);
    desk.ok(&["--book", "West", "patient", "add", "--tag", "W-1"]);
    hand_over(&desk, "West", "South");
    assert_eq!(desk.json(&["--book", "South", "status"])["patients"], 1);
}

fn check(desk: &Desk, name: &str, code: i32, args: &[&str]) {
    let said = desk.run(args);
    compare(&format!("founding/{name}"), &said);
    assert_eq!(said.code, code, "{name}");
}

#[test]
fn what_is_shown_at_the_table() {
    let desk = Desk::empty();
    let head = ["--book", "South", "found", "request", "--organisation", "South", "--person", "M. Diallo"];
    check(&desk, "request", 0, &head);
    let codes = [request_of(&desk, &head), request(&desk, "West")];
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    check(&desk, "propose", 0, &[&NORTH[..], &["--exercise"], &codes].concat());
    check(&desk, "show", 0, &["--book", "North", "found", "show"]);
    let again = desk.json(&["--book", "North", "found", "show"]);
    let (code, same) = (text(&again, "code"), text(&again, "characters"));
    check(&desk, "sign_not_compared", 3, &["--book", "South", "found", "sign", &code]);
    check(&desk, "sign", 0, &["--book", "South", "found", "sign", &code, "--same", &same]);
    let signatures = ["South", "West"]
        .map(|book| text(&desk.json(&["--book", book, "found", "sign", &code, "--same", &same]), "code"));
    let complete = ["--book", "North", "found", "complete", &signatures[0], &signatures[1]];
    check(&desk, "complete_not_compared", 3, &complete);
    check(&desk, "complete", 0, &[&complete[..], &["--same", &same]].concat());
}

fn request_of(desk: &Desk, args: &[&str]) -> String {
    text(&desk.json(args), "code")
}

#[test]
fn proposals_that_are_not_made() {
    let desk = Desk::empty();
    let (south, west) = (request(&desk, "South"), request(&desk, "West"));
    let propose = |name: &str, exit: i32, more: &[&str]| check(&desk, name, exit, &[&NORTH[..], more].concat());
    propose("quorum_of_two", 2, &["--quorum", "2", &south]);
    propose("quorum_too_small", 2, &["--quorum", "1", &south, &west]);
    propose("quorum_too_large", 2, &["--quorum", "3", &south, &west]);
    // The same computer for two organisations.
    let head = ["--book", "South", "found", "request", "--organisation", "East", "--person", "Head of South"];
    let twice = request_of(&desk, &head);
    propose("root_twice", 2, &[&south, &twice]);
    propose("request_cut_off", 2, &[&south, &west[..west.len() - 12]]);
    let other = if &west[41..42] == "Z" { "Y" } else { "Z" };
    propose("request_mistyped", 2, &[&[&west[..41], other, &west[42..]].concat()]);
    let newcomer = desk.json(&["--book", "tablet", "enrol", "request", "--person", "Ebba"]);
    propose("request_of_a_newcomer", 2, &[&text(&newcomer, "code")]);
    check(&desk, "grant_to_a_root", 2, &["enrol", "grant", &south, "--role", "admin"]);
    assert!(!desk.path().join("North").exists(), "nothing was written");
    // The same code twice is one organisation.
    let proposed = desk.json(&[&NORTH[..], &[&south, &south]].concat());
    assert_eq!((proposed["roots"].as_array().unwrap().len(), &proposed["quorum"]), (2, &0.into()));
    propose("proposal_waits", 3, &[&south]);
    let anew = desk.json(&[&NORTH[..], &["--anew", "--quorum", "2", &south, &west]].concat());
    assert_ne!(anew["incident_id"], proposed["incident_id"]);
    check(&desk, "no_proposal", 5, &["--book", "East", "found", "show"]);
}

#[test]
fn signatures_that_are_not_given_and_not_taken() {
    let desk = Desk::empty();
    let (south, west) = (request(&desk, "South"), request(&desk, "West"));
    let first = desk.json(&[&NORTH[..], &[&south, &west]].concat());
    let second = desk.json(&[&NORTH[..], &["--anew", &south, &west]].concat());
    let sign = |book: &str, proposal: &Value| {
        let (code, same) = (text(proposal, "code"), text(proposal, "characters"));
        text(&desk.json(&["--book", book, "found", "sign", &code, "--same", &same]), "code")
    };
    let (code, same) = (text(&second, "code"), text(&second, "characters"));
    request(&desk, "East");
    check(&desk, "sign_not_among", 3, &["--book", "East", "found", "sign", &code, "--same", &same]);
    check(&desk, "sign_without_request", 5, &["--book", "new", "found", "sign", &code, "--same", &same]);
    check(&desk, "sign_differ", 3, &["--book", "South", "found", "sign", &code, "--same", "7F3K-9QXM-2H8P"]);
    check(&desk, "sign_a_request", 2, &["--book", "South", "found", "sign", &south, "--same", &same]);
    let (of_south, of_west) = (sign("South", &second), sign("West", &second));
    let complete = |name: &str, exit: i32, more: &[&str]| {
        check(&desk, name, exit, &[&["--book", "North", "found", "complete", "--same", &same], more].concat());
    };
    complete("complete_missing", 3, &[&of_south]);
    complete("complete_missing_twice", 3, &[&of_south, &of_south]);
    complete("complete_other_proposal", 3, &[&of_south, &sign("West", &first)]);
    complete("complete_cut_off", 2, &[&of_south, &of_west[..of_west.len() - 12]]);
    complete("complete_a_proposal", 2, &[&code]);
    let differ = ["--book", "North", "found", "complete", "--same", "7F3K-9QXM-2H8P", &of_south, &of_west];
    check(&desk, "complete_differ", 3, &differ);
    check(&desk, "complete_elsewhere", 5, &["--book", "South", "found", "complete", &of_south, "--same", &same]);
    let begun = desk.json(&["--book", "North", "found", "complete", "--same", &same, &of_west, &of_south]);
    complete("complete_twice", 3, &[&of_west, &of_south]);
    let replies = begun["replies"].as_array().unwrap();
    let take = |name: &str, exit: i32, book: &str, reply: &Value| {
        let (code, same) = (text(reply, "code"), text(reply, "characters"));
        check(&desk, name, exit, &["--book", book, "enrol", "accept", &code, "--code", &same]);
    };
    take("accept_of_another", 3, "South", &replies[1]);
    accept(&desk, &begun);
    take("accept_root_twice", 3, "South", &replies[0]);
    let east = request(&desk, "East");
    check(&desk, "reply_to_no_root", 3, &["--book", "North", "found", "reply", &east]);
}

//! Two real processes sync: over loopback, through pipes, cut at any moment, beside strangers and killed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Desk, Said, Server, compare};
use serde_json::Value;

/// Enrols a newcomer in a folder beside the book.
fn enrol(desk: &Desk, folder: &str, role: &str) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let asked = desk.json(&["--book", folder, "enrol", "request", "--person", folder]);
    let (code, same) = (text(&asked["code"]), text(&asked["characters"]));
    let file = format!("{folder}.reply");
    let granted = desk.json(&["enrol", "grant", &code, "--role", role, "--same", &same, "--out", &file]);
    let both = text(&granted["characters"]);
    desk.ok(&["--book", folder, "enrol", "accept", "--file", &file, "--code", &both]);
}

/// A book and a newcomer's.
fn two() -> Desk {
    let desk = Desk::founded();
    enrol(&desk, "tablet", "clinician");
    desk
}

fn import(desk: &Desk, book: &str, patients: std::ops::Range<u32>) {
    let line = |n: u32| {
        format!(r#"{{"resourceType":"Patient","id":"p{n}","name":[{{"family":"Family {n}"}}],"gender":"female"}}"#)
    };
    let file = desk.path().join("many.ndjson");
    std::fs::write(&file, patients.map(line).collect::<Vec<_>>().join("\n")).unwrap();
    desk.ok(&["--book", book, "import", "fhir", "many.ndjson", "--source", &format!("urn:{book}")]);
}

/// The answer on stdout, whatever the exit code.
fn answer(said: &Said) -> Value {
    serde_json::from_str(said.stdout.lines().last().unwrap_or("{}")).unwrap()
}

fn sync(desk: &Desk, book: &str, address: &str) -> Said {
    desk.run(&["--json", "--book", book, "sync", address])
}

fn same(desk: &Desk, books: &[&str]) {
    let digests: Vec<Value> = books.iter().map(|book| desk.json(&["--book", book, "digest"])).collect();
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{digests:#?}");
    for book in books {
        assert_eq!(desk.json(&["--book", book, "verify"])["problems"], serde_json::json!([]));
    }
}

/// Waits until something holds; says what did not if it never does.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn two_processes_sync_and_say_with_whom() {
    let desk = two();
    desk.ok(&["patient", "add", "--tag", "A-1"]);
    desk.ok(&["--book", "tablet", "patient", "add", "--tag", "B-1"]);
    let before = desk.json(&["--book", "tablet", "status"]);
    assert_eq!((before["only_here"].as_u64(), before["peers"].as_array().map(Vec::len)), (Some(2), Some(0)));
    let mut server = Server::of(&desk, "book");
    let said = answer(&sync(&desk, "tablet", &server.address));
    assert_eq!((said["in_sync"].as_bool(), said["sent"].as_u64()), (Some(true), Some(2)), "{said}");
    assert_eq!(said["with"]["person"], "R. Alvarez");
    let ended = server.event("ended");
    assert_eq!((ended["with"]["person"].as_str(), ended["received"].as_u64()), (Some("tablet"), Some(2)), "{ended}");
    same(&desk, &["book", "tablet"]);
    desk.ok(&["--book", "tablet", "patient", "add", "--tag", "B-2"]);
    let after = desk.json(&["--book", "tablet", "status"]);
    assert_eq!((after["only_here"].as_u64(), after["peers"][0]["behind"].as_u64()), (Some(1), Some(1)), "{after}");
    // Nothing to do costs little.
    sync(&desk, "tablet", &server.address);
    let said = answer(&sync(&desk, "tablet", &server.address));
    assert_eq!(
        (said["sent"].as_u64(), said["received"].as_u64(), said["in_sync"].as_bool()),
        (Some(0), Some(0), Some(true))
    );
    assert!(said["bytes_sent"].as_u64().unwrap() + said["bytes_received"].as_u64().unwrap() < 4_000, "{said}");
    let sum = server.stop();
    assert_eq!((sum["connections"].as_u64(), sum["received"].as_u64()), (Some(3), Some(3)), "{sum}");
}

#[test]
fn without_an_address_known_ones_are_called_in_turn() {
    let desk = two();
    let said = desk.run(&["--json", "--book", "tablet", "sync"]);
    assert_eq!(said.code, 2, "{said:?}");
    let error: Value = serde_json::from_str(&said.stderr).unwrap();
    assert_eq!(error["code"], "no-address");
    // One who answered before is called again; what he said then is said.
    let server = Server::of(&desk, "book");
    sync(&desk, "tablet", &server.address);
    let again = desk.run(&["--book", "tablet", "sync"]);
    assert!(again.stdout.starts_with(&format!("calling {} ...\nin sync with R. Alvarez", server.address)), "{again:?}");
    // When nobody is there any more, the next known address is tried, and all of them are named.
    let gone = server.address.clone();
    drop(server);
    let server = Server::of(&desk, "book");
    assert_ne!(gone, server.address);
    sync(&desk, "tablet", &server.address);
    let newest = server.address.clone();
    drop(server);
    let said = desk.run(&["--json", "--book", "tablet", "sync"]);
    assert_eq!(said.code, 5, "{said:?}");
    let events: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let named: Vec<(&str, &str)> =
        events.iter().map(|e| (e["event"].as_str().unwrap(), e["host"].as_str().unwrap())).collect();
    assert_eq!(named, [("calling", &newest[..]), ("no-answer", &newest), ("calling", &gone), ("no-answer", &gone)]);
    assert!(said.stderr.contains("no-answer") && said.stderr.contains(&gone), "{said:?}");
}

#[test]
fn what_another_process_writes_goes_out_within_a_second() {
    let desk = two();
    enrol(&desk, "phone", "dispenser");
    let mut server = Server::of(&desk, "book");
    let stay = |book: &str| {
        let mut child = desk
            .command(&["--json", "--book", book, "sync", "--stay", &server.address])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        (child, lines)
    };
    let agreed = |lines: &mut BufReader<std::process::ChildStdout>| loop {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended");
        if line.contains(r#""event":"agreed""#) {
            return;
        }
    };
    let (mut tablet, mut tablet_lines) = stay("tablet");
    agreed(&mut tablet_lines);
    let (mut phone, mut phone_lines) = stay("phone");
    agreed(&mut phone_lines);
    server.event("agreed");
    // Written by a third process on the server's computer: both get it.
    desk.ok(&["patient", "add", "--tag", "A-1"]);
    let began = Instant::now();
    let has = |book: &str, tag: &str| desk.run(&["--book", book, "patient", "show", tag]).code == 0;
    until("the tablet has it", || has("tablet", "A-1"));
    until("the phone has it", || has("phone", "A-1"));
    let took = began.elapsed();
    println!("pushed to both, seen by polling processes, in {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    // Written beside one of the callers: it comes to the server and to the other caller.
    desk.ok(&["--book", "tablet", "patient", "add", "--tag", "B-1"]);
    until("the server has it", || has("book", "B-1"));
    until("the phone has it", || has("phone", "B-1"));
    for child in [&mut tablet, &mut phone] {
        let id = child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    server.stop();
    same(&desk, &["book", "tablet", "phone"]);
}

#[test]
fn a_copy_that_meets_its_original_is_told_and_both_go_on() {
    let desk = Desk::founded();
    let copy = desk.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for file in std::fs::read_dir(desk.book()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    desk.ok(&["patient", "add", "--tag", "A-1"]);
    desk.ok(&["--book", "copy", "patient", "add", "--tag", "B-1"]);
    let mut server = Server::of(&desk, "book");
    let said = answer(&sync(&desk, "copy", &server.address));
    assert_eq!((said["in_sync"].as_bool(), said["own_entries_returned"].as_bool()), (Some(true), Some(true)), "{said}");
    assert_eq!(server.event("ended")["own_entries_returned"], true);
    let again = answer(&sync(&desk, "copy", &server.address));
    assert_eq!(again["own_entries_returned"], false, "it is told once");
    server.stop();
    same(&desk, &["book", "copy"]);
    for book in ["book", "copy"] {
        let findings = desk.json(&["--book", book, "findings"]);
        assert_eq!(findings["findings"][0]["kind"], "fork");
    }
}

#[test]
fn through_a_command_and_its_pipes() {
    let desk = two();
    import(&desk, "book", 0..200);
    import(&desk, "tablet", 200..400);
    let daybook = assert_cmd::cargo::cargo_bin!("daybook").to_string_lossy().into_owned();
    let through = format!("'{daybook}' --json --book book sync --stdio");
    let said = desk.json(&["--book", "tablet", "sync", "--through", &through]);
    assert_eq!(said["in_sync"], true, "{said}");
    same(&desk, &["book", "tablet"]);
    let said = desk.run(&["--book", "tablet", "sync", "--through", "exit 1"]);
    assert_eq!(said.code, 5);
    compare("errors/sync_through_nothing", &said);
}

/// Passes bytes between a caller and a server; cuts both after `cut` bytes to the caller have passed, and holds
/// back all bytes to the caller once `hold` bytes to the server have passed.
fn proxy(server: &str, cut: u64, hold: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server: SocketAddr = server.parse().unwrap();
    std::thread::spawn(move || {
        while let Ok((caller, _)) = listener.accept() {
            let Ok(called) = TcpStream::connect(server) else { continue };
            let up = Arc::new(AtomicU64::new(0));
            let (counted, from, to) = (Arc::clone(&up), caller.try_clone().unwrap(), called.try_clone().unwrap());
            std::thread::spawn(move || {
                pass(from, to, |count| {
                    counted.fetch_add(count, Ordering::SeqCst);
                    Pass::On
                });
            });
            std::thread::spawn(move || {
                let mut passed = 0;
                pass(called, caller, |count| {
                    passed += count;
                    match () {
                        () if passed > cut => Pass::Cut,
                        () if up.load(Ordering::SeqCst) > hold => Pass::Lose,
                        () => Pass::On,
                    }
                });
            });
        }
    });
    address
}

/// What a proxy does with a piece.
enum Pass {
    On,
    Lose,
    Cut,
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut may: impl FnMut(u64) -> Pass) {
    let mut bytes = [0; 512];
    while let Ok(count) = from.read(&mut bytes) {
        let passed = match may(count as u64) {
            Pass::On => to.write_all(&bytes[..count]).is_ok(),
            Pass::Lose => true,
            Pass::Cut => false,
        };
        if count == 0 || !passed {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[test]
fn a_cut_connection_loses_nothing_and_the_next_sync_goes_on() {
    let desk = two();
    import(&desk, "book", 0..400);
    import(&desk, "tablet", 400..600);
    let server = Server::of(&desk, "book");
    let mut received = 0;
    for cut in [0, 200, 600, 2_000, 8_000, 20_000] {
        let said = sync(&desk, "tablet", &proxy(&server.address, cut, u64::MAX));
        assert_eq!(said.code, 5, "{said:?}");
        let code: Value = serde_json::from_str(said.stderr.trim()).unwrap();
        assert!(["cut", "hung-up"].contains(&code["code"].as_str().unwrap()), "{said:?}");
        let status = desk.json(&["--book", "tablet", "status"]);
        let here = status["entries"]["total"].as_u64().unwrap() + status["begun"].as_u64().unwrap();
        let told = answer(&said)["received"].as_u64().unwrap();
        assert!(here >= received + told, "what was told to be here is here");
        received = here;
    }
    let said = answer(&sync(&desk, "tablet", &server.address));
    assert_eq!(said["in_sync"], true, "{said}");
    server.stop();
    same(&desk, &["book", "tablet"]);
}

#[test]
fn killed_between_commit_and_acknowledgement() {
    let desk = two();
    let server = Server::of(&desk, "book");
    assert_eq!(answer(&sync(&desk, "tablet", &server.address))["in_sync"], true);
    import(&desk, "tablet", 0..400);
    let before = desk.json(&["status"])["entries"]["total"].as_u64().unwrap();
    let there = desk.json(&["--book", "tablet", "status"])["entries"]["total"].as_u64().unwrap();
    // The server gets everything and commits it; none of its acknowledgements comes through.
    let address = proxy(&server.address, u64::MAX, 10_000);
    let caller = desk
        .command(&["--json", "--book", "tablet", "sync", &address])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let caller = caller.unwrap();
    until("the server committed", || desk.json(&["status"])["entries"]["total"].as_u64().unwrap() >= there);
    server.kill();
    let output = caller.wait_with_output().unwrap();
    let told: Value = serde_json::from_str(String::from_utf8(output.stdout).unwrap().lines().last().unwrap()).unwrap();
    assert_eq!((output.status.code(), told["in_sync"].as_bool()), (Some(5), Some(false)), "{told}");
    assert!(
        told["sent"].as_u64().unwrap() < there - before,
        "nothing that was not acknowledged is told to be there: {told}"
    );
    let server = Server::of(&desk, "book");
    let said = answer(&sync(&desk, "tablet", &server.address));
    assert_eq!((said["in_sync"].as_bool(), said["sent"].as_u64()), (Some(true), Some(0)), "all was there: {said}");
    server.stop();
    same(&desk, &["book", "tablet"]);
    assert_eq!(desk.json(&["status"])["patients"], 400);
}

#[test]
fn strangers_and_noise_are_not_answered_and_hold_up_nobody() {
    let desk = two();
    let mut server = Server::of(&desk, "book");
    // Ten who say nothing, one who speaks HTTP, one who sends noise.
    let idle: Vec<TcpStream> = (0..10).map(|_| TcpStream::connect(&server.address).unwrap()).collect();
    for noise in
        [&b"GET / HTTP/1.1\r\nHost: shelter\r\nUser-Agent: somebody who looks around\r\n\r\n"[..], &[0xa5; 4_096]]
    {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        let _ = stream.write_all(noise);
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard);
        assert!(heard.is_empty(), "a stranger is told nothing: {heard:?}");
    }
    let stranger = Desk::founded();
    let said = stranger.run(&["sync", &server.address]);
    assert_eq!(said.code, 5, "{said:?}");
    compare("errors/sync_other_incident", &masked(said, &server.address));
    assert!(answer(&sync(&desk, "tablet", &server.address))["in_sync"].as_bool().unwrap());
    let ended = server.event("ended");
    assert!(ended["with"].is_null() && ended["bytes_sent"] == 0, "{ended}");
    drop(idle);
    server.stop();
}

/// The port is another every time.
fn masked(said: Said, address: &str) -> Said {
    let mask = |text: String| text.replace(address, "HOST:PORT");
    Said { code: said.code, stdout: mask(said.stdout), stderr: mask(said.stderr) }
}

#[test]
fn wrong_addresses_say_what_to_do() {
    let desk = Desk::founded();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let said = desk.run(&["sync", &address]);
    assert_eq!(said.code, 5);
    compare("errors/sync_nobody_answers", &masked(said, &address));
    // Something else answers there, at once and at length.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        let _ = stream.write_all(b"220 mail.example.org ESMTP ready\r\n").and_then(|()| stream.write_all(&[b' '; 512]));
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard);
    });
    let said = desk.run(&["sync", &address]);
    compare("errors/sync_wrong_port", &masked(said, &address));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = desk.run(&["serve", "--listen", &address]);
    assert_eq!(said.code, 5);
    compare("errors/serve_port_taken", &masked(said, &address));
    for (name, args) in [
        ("sync_no_host", &["sync"][..]),
        ("sync_two_ways", &["sync", "10.0.0.7", "--stdio"]),
        ("sync_no_address", &["sync", "no such host"]),
    ] {
        let said = desk.run(args);
        assert_eq!(said.code, 2, "{said:?}");
        compare(&format!("errors/{name}"), &said);
    }
    let said = desk.run_with(&["sync", "10.0.0.7"], "", |c| {
        c.env("DAYBOOK_PASSPHRASE", "guess");
    });
    compare("errors/sync_wrong_passphrase", &said);
    assert_eq!(said.code, 4);
}

#[test]
fn a_revoked_device_hands_over_what_it_wrote_and_a_barred_one_is_turned_away() {
    let desk = two();
    let mut server = Server::of(&desk, "book");
    for tag in ["B-1", "B-2"] {
        desk.ok(&["--book", "tablet", "patient", "add", "--tag", tag]);
    }
    assert_eq!(answer(&sync(&desk, "tablet", &server.address))["in_sync"], true);
    (0..6).for_each(|n| drop(desk.ok(&["--book", "tablet", "patient", "add", "--tag", &format!("C-{n}")])));
    desk.ok(&["patient", "add", "--tag", "A-1"]);
    desk.ok(&["revoke", "tablet", "--reason", "left"]);
    (0..6).for_each(|n| drop(desk.ok(&["--book", "tablet", "patient", "add", "--tag", &format!("D-{n}")])));
    desk.ok(&["patient", "add", "--tag", "A-2"]);
    let said = sync(&desk, "tablet", &server.address);
    let told = answer(&said);
    assert_eq!(
        (said.code, &told["former"], &told["in_sync"]),
        (7, &Value::from("here"), &Value::from(false)),
        "{said:?}"
    );
    assert_eq!((told["sent"].as_u64(), told["declined"].as_array().map(Vec::len)), (Some(12), Some(0)), "{told}");
    let error: Value = serde_json::from_str(&said.stderr).unwrap();
    assert_eq!((&error["code"], &error["saved"]), (&Value::from("former"), &Value::from("everything")), "{error}");
    let ended = server.event("ended");
    let ended = if ended["received"] == 12 { ended } else { server.event("ended") };
    assert_eq!((&ended["former"], ended["received"].as_u64()), (&Value::from("there"), Some(12)), "{ended}");
    // All of it waits on both sides, and she was shown nothing of what the others wrote.
    let counts = |book: &str| desk.json(&["--book", book, "status"]);
    let (here, there) = (counts("book"), counts("tablet"));
    assert_eq!((&here["entries"]["waiting"], &here["patients"]), (&Value::from(12), &Value::from(4)), "{here}");
    assert_eq!((&there["entries"]["own_waiting"], &there["patients"]), (&Value::from(12), &Value::from(2)), "{there}");
    assert_eq!(there["ended"], true);
    assert_eq!(desk.run(&["--book", "tablet", "patient", "show", "A-1"]).code, 2);
    let said = desk.run(&["--book", "tablet", "sync", &server.address]);
    let lines = said.stdout.replace(|c: char| c.is_ascii_digit(), "#");
    assert!(lines.starts_with("handed over to R. Alvarez, County Health: # entries came and # went"), "{said:?}");
    assert!(said.stderr.contains("waits for review"), "{said:?}");
    // The caller says it as the server does.
    let other = Server::of(&desk, "tablet");
    let said = desk.run(&["sync", &other.address]);
    assert!(said.code == 0 && said.stdout.starts_with("tablet, County Health is no member any more"), "{said:?}");
    desk.ok(&["bar", "tablet"]);
    let said = sync(&desk, "tablet", &server.address);
    let error: Value = serde_json::from_str(&said.stderr).unwrap();
    assert_eq!((said.code, &error["code"]), (4, &Value::from("S-006")), "{said:?}");
}

#[test]
fn status_says_what_is_missing_and_whom_to_ask() {
    let desk = two();
    enrol(&desk, "phone", "clinician");
    let server = Server::of(&desk, "book");
    desk.ok(&["patient", "add", "--tag", "A-1"]);
    assert_eq!(answer(&sync(&desk, "tablet", &server.address))["in_sync"], true);
    desk.ok(&["--book", "tablet", "patient", "edit", "A-1", "--set", "phone=+231880001"]);
    assert_eq!(answer(&sync(&desk, "tablet", &server.address))["in_sync"], true);
    assert_eq!(answer(&sync(&desk, "phone", &server.address))["in_sync"], true);
    assert_eq!(desk.json(&["--book", "phone", "status"])["awaited"], serde_json::json!([]));
    desk.ok(&["--book", "tablet", "patient", "edit", "A-1", "--set", "phone=+231880002"]);
    assert_eq!(answer(&sync(&desk, "tablet", &server.address))["in_sync"], true);
    desk.ok(&["patient", "edit", "A-1", "--set", "birth=1990"]);
    // Of the file that the phone is given, the tablet's last entry is cut out: what refers to it came, and it did not.
    desk.ok(&["export", "log", "--to", "all.log"]);
    let file = std::fs::read(desk.path().join("all.log")).unwrap();
    std::fs::write(desk.path().join("part.log"), without(&file, &desk)).unwrap();
    desk.run(&["--book", "phone", "ingest", "part.log"]);
    let status = desk.json(&["--book", "phone", "status"]);
    let awaited = &status["awaited"][0];
    assert_eq!(
        (&awaited["author"]["person"], &awaited["changes"]),
        (&Value::from("tablet"), &Value::from(1)),
        "{status}"
    );
    let from: Vec<&str> =
        awaited["could_come_from"].as_array().unwrap().iter().map(|of| of["person"].as_str().unwrap()).collect();
    assert_eq!(from, ["tablet", "R. Alvarez"]);
    let said = desk.ok(&["--book", "phone", "status"]).stdout;
    let line = "missing:   1 change refers to entries of tablet, County Health not yet here; sync with tablet";
    assert!(said.contains(line), "{said}");
    assert_eq!(answer(&sync(&desk, "phone", &server.address))["in_sync"], true);
    assert_eq!(desk.json(&["--book", "phone", "status"])["awaited"], serde_json::json!([]));
}

/// An export file without the runs that the tablet wrote of records.
fn without(file: &[u8], desk: &Desk) -> Vec<u8> {
    let tablet = desk.json(&["--book", "tablet", "status"])["here"]["device"].as_str().unwrap().to_owned();
    let length = |at: usize| u32::from_le_bytes(*file[at..].first_chunk().unwrap()) as usize;
    let mut at = 18 + length(14);
    let mut kept = file[..at].to_vec();
    while file[at] != 0 {
        let end = at + 5 + length(at + 1);
        let run = daybook_core::log::Run::read(&file[at + 5..end]);
        let of_tablet = run.is_ok_and(|run| !run.name.is_control() && run.name.device.to_hex().starts_with(&tablet));
        if file[at] != 1 || !of_tablet {
            kept.extend_from_slice(&file[at..end]);
        }
        at = end;
    }
    kept
}

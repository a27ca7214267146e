//! Two real processes over loopback: how long until everything is durable and visible on the other side, how many
//! bytes travel, how much memory both take; and what it costs two equal books to learn that they are equal.

use super::book::PASSPHRASE;
use super::measure::{forget_peak, median, peak_memory, peak_of, took};
use super::{Options, book};
use daybook_core::clock::EffectiveTime;
use daybook_core::daybook::Daybook;
use daybook_core::id::{Lane, PatientId};
use daybook_core::net::{self, Agreement, Dial, NetLimits, Notice, Report};
use daybook_core::record::{Fact, Operation, Statement};
use daybook_core::roster::{CompartmentKind, Role};
use daybook_tests::host::SeededHost;
use daybook_tests::workload::Workload;
use daybook_tests::world::World;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Names whom the child calls; without it, it serves.
const CALLS: &str = "DAYBOOK_BENCH_CALLS";
/// Names the book of the child.
const SERVED: &str = "DAYBOOK_BENCH_SERVED";
const MIB: f64 = 1_048_576.0;
/// Most repetitions; of each figure the median counts.
const RUNS_MAX: usize = 3;
/// Logs of the books that are equal.
const LOGS: usize = 1_000;

pub fn measure(options: &Options) -> Value {
    let first = [20_000, 100_000].map(|entries| {
        let met: Vec<Value> = (0..options.runs.min(RUNS_MAX)).map(|_| first_sync(options, entries)).collect();
        let mut all = met[0].clone();
        for name in ["s", "ingest_s", "ratio", "server_peak", "own_peak"] {
            all[name] = json!(median(met.iter().filter_map(|met| met[name].as_f64())));
        }
        all["entries_per_s"] = json!(entries as f64 / all["s"].as_f64().unwrap_or(f64::NAN));
        all
    });
    json!({"first": first, "in_sync": in_sync(options)})
}

/// A book that has everything, served by another process, and an empty one here.
fn first_sync(options: &Options, entries: usize) -> Value {
    let workload = Workload::generate(entries, false);
    let folder = tempfile::tempdir_in(&options.folder).expect("a folder");
    let mut plain = book::empty(&workload.world, &folder.path().join("plain"));
    let (_, alone) = took(|| book::fill(&mut plain, &mut workload.runs.iter().cloned()));
    let digest = plain.digest().expect("a digest");
    drop(plain);

    let full = folder.path().join("full");
    let mut served = member(&workload.world, 0, &full);
    book::fill(&mut served, &mut workload.runs.iter().cloned());
    drop(served);
    let (other, address) = Server::start(&full);
    let empty = folder.path().join("empty");
    drop(member(&workload.world, 1, &empty));
    let caller = call(&empty, address);
    let figure = |name: &str| caller[name].as_f64().unwrap_or(f64::NAN);
    let (theirs, ours) = (other.peak(), figure("peak"));
    let mut here = Daybook::open(&empty, PASSPHRASE, Box::new(SeededHost::new(6))).expect("a book");
    assert_eq!(here.digest().expect("a digest"), digest, "visible here");
    let (wall, plain) = (figure("s"), alone.wall.as_secs_f64());
    let bytes = figure("bytes") / entries as f64;
    options.say(&format!(
        "sync: {entries} entries, two processes: {wall:.2} s ({:.0} entries/s), {bytes:.0} bytes an entry; ingest alone {plain:.2} s; RATIO {:.2}x; peak of the server {:.0} MiB, of the caller {:.0} MiB, without opening",
        entries as f64 / wall, plain / wall, theirs as f64 / MIB, ours / MIB
    ));
    json!({"entries": entries, "s": wall, "ingest_s": plain, "ratio": plain / wall, "bytes_per_entry": bytes, "server_peak": theirs, "own_peak": ours})
}

/// Two books with the same thousand logs.
fn in_sync(options: &Options) -> Value {
    let mut world = World::new(9, LOGS / 2, Role::Clinician);
    for (author, now_ms) in (0..LOGS / 2).zip(World::start_ms()..) {
        for (statement, lane) in
            [(Statement::NoKnownAllergies, Lane::Safety), (Statement::Note { text: "seen" }, Lane::Routine)]
        {
            let effective = EffectiveTime::parse("2026-11-22T08:00:00Z", 0).expect("a time");
            let patient = Some(PatientId::new([author.to_le_bytes()[0]; 16]));
            let fact = Fact { patient, effective, targets: Vec::new(), import: None, reason: "", statement };
            let operation = Operation::Fact(fact).to_bytes();
            world.write(author, CompartmentKind::Clinical, lane, &[operation], now_ms);
        }
    }
    let runs: Vec<Vec<u8>> = world.authors.iter().flat_map(|a| a.logs.values().flat_map(|log| log.runs(64))).collect();
    let folder = tempfile::tempdir_in(&options.folder).expect("a folder");
    let mut books = Vec::new();
    for author in 0..2 {
        let path = folder.path().join(author.to_string());
        let mut book = member(&world, author, &path);
        book::fill(&mut book, &mut runs.iter().cloned());
        books.push(path);
    }
    let logs = {
        let mut book = Daybook::open(&books[1], PASSPHRASE, Box::new(SeededHost::new(7))).expect("a book");
        book.status().expect("a status").logs
    };
    let (_server, address) = Server::start(&books[0]);
    let mut reports = Vec::new();
    // The first meeting leaves receipts; the second finds nothing at all to do.
    for seed in 0..2 {
        let here = Daybook::open(&books[1], PASSPHRASE, Box::new(SeededHost::new(seed))).expect("a book");
        reports.push(dial(here, address));
    }
    let last = reports.last().expect("a report");
    assert_eq!((last.sent, last.received), (0, 0));
    options.say(&format!(
        "in sync: {logs} logs, nothing to do: {} bytes sent and {} received, handshake, grant paths and receipts included; {} ms",
        last.bytes_sent, last.bytes_received, last.ms
    ));
    json!({"logs": logs, "bytes_sent": last.bytes_sent, "bytes_received": last.bytes_received, "ms": last.ms})
}

/// A new book of a member, which can show its grant.
fn member(world: &World, author: usize, folder: &Path) -> Daybook {
    let membership = world.membership(&world.authors[author].device);
    let host = Box::new(SeededHost::new(90 + author as u64));
    let mut book = Daybook::join(folder, PASSPHRASE, &membership, host).expect("a new book");
    book.keep_grant_path(&world.path(Some(author))).expect("kept");
    book.take_runs(&world.control_runs()).expect("the control log");
    book
}

fn dial(book: Daybook, address: SocketAddr) -> Report {
    let report = net::dial(book, Dial::Host(&address.to_string()), NetLimits::default(), None, &mut |_| {});
    let report = report.expect("a meeting");
    assert_eq!(report.agreement, Agreement::InSync, "{report:?}");
    report
}

/// Another process calls the one that serves, with the book of a folder; what it says of the meeting.
fn call(folder: &Path, address: SocketAddr) -> Value {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program).env(CALLS, address.to_string()).env(SERVED, folder).output();
    let output = output.expect("another process");
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(said.lines().last().unwrap_or_default())
        .unwrap_or_else(|_| panic!("the caller failed: {said} {}", String::from_utf8_lossy(&output.stderr)))
}

/// Another process that serves a book.
struct Server(Child);

impl Server {
    fn start(folder: &Path) -> (Self, SocketAddr) {
        let program = std::env::current_exe().expect("this program");
        let mut child =
            Command::new(program).env(SERVED, folder).stdout(Stdio::piped()).spawn().expect("another process");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        (Self(child), line.trim().parse().expect("an address"))
    }

    fn peak(&self) -> u64 {
        peak_of(self.0.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }
}

pub fn is_child() -> bool {
    std::env::var_os(SERVED).is_some()
}

/// Calls the address that it is given, or serves until it is killed.
pub fn child() {
    let folder = std::env::var_os(SERVED).expect("a path");
    let address = std::env::var(CALLS).ok();
    let host = Box::new(SeededHost::new(if address.is_some() { 5 } else { 8 }));
    let book = Daybook::open(Path::new(&folder), PASSPHRASE, host).expect("a book");
    // What opening takes is the passphrase's, by design.
    forget_peak();
    if let Some(address) = address {
        let (report, time) = took(|| dial(book, address.parse().expect("an address")));
        let (bytes, peak) = (report.bytes_received + report.bytes_sent, peak_memory());
        println!("{}", json!({"s": time.wall.as_secs_f64(), "bytes": bytes, "peak": peak}));
        return;
    }
    let served = net::serve(book, "127.0.0.1:0", NetLimits::default(), std::future::pending(), &mut |notice| {
        if let Notice::Listening(address) = notice {
            println!("{address}");
            std::io::stdout().flush().expect("said");
        }
    });
    served.expect("served");
}

//! `ingest`: takes in a log that was exported.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use daybook_core::daybook::IngestReport;
use serde_json::{Map, Value, json};

use crate::context::{Answer, Context};
use crate::failure::{Failure, Kept, Kind};
use crate::output::Reply;

/// Take in a log that `export log` wrote
#[derive(Debug, Args)]
#[command(after_help = "\
Entries that are here already do nothing; taking in the same file twice is safe.

Example:
  daybook ingest friday.daybook")]
pub struct Ingest {
    /// The file; `-` for standard input
    file: PathBuf,
}

/// Runs it.
///
/// # Errors
/// When the file or the book cannot be read, or a part of the file was not taken in.
pub fn run(args: &Ingest, context: &mut Context) -> Answer {
    let mut source = reader(&args.file)?;
    let mut book = context.open()?;
    let mut progress = context.progress("entries");
    let report = book.ingest(&mut source, &mut |done| progress.at(done, None));
    progress.end();
    finish(&report?)
}

/// Opens a file, or standard input for `-`.
///
/// # Errors
/// When it cannot be opened.
pub fn reader(path: &Path) -> Result<Box<dyn Read>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).map_err(|error| {
        Failure::environment("no-file", "the file cannot be opened")
            .because(error)
            .then("check the path, and that the stick is still plugged in")
    })?;
    Ok(Box::new(io::BufReader::with_capacity(1 << 16, file)))
}

/// How many runs were not taken in, by rule code.
pub fn refused(report: &IngestReport) -> Map<String, Value> {
    report.refused.iter().map(|(code, n)| (code.clone(), json!(n))).collect()
}

fn object(report: &IngestReport) -> Value {
    json!({
        "new": report.new,
        "known": report.known,
        "refused": refused(report),
        "cut_off": report.cut_off,
        "own_entries_returned": report.own_entries_returned,
    })
}

fn finish(report: &IngestReport) -> Answer {
    let mut text = format!("{} new entries, {} were here already\n", report.new, report.known);
    for (code, count) in &report.refused {
        text.push_str(&format!("{count} run(s) not taken in: {code}\n"));
    }
    if report.own_entries_returned {
        text.push_str("the file held entries that this computer had lost; it goes on as a new installation\n");
    }
    let reply = Reply::new(object(report), text);
    match in_part(report) {
        None => Ok(reply),
        Some(failure) => Err(failure.showing(reply)),
    }
}

/// Why not all of a file was taken in, if so.
pub fn in_part(report: &IngestReport) -> Option<Failure> {
    let (message, next) = match (report.cut_off, report.refused.is_empty()) {
        (false, true) => return None,
        (true, _) => ("the file ends too early", "copy the file again and take it in again; what is here is kept"),
        (false, false) => (
            "a part of the file was not taken in",
            "ask for a new export of the device it came from; the rule codes are explained in docs/rules.md",
        ),
    };
    let saved = if report.new == 0 { Kept::Nothing } else { Kept::Part };
    Some(Failure::new("done-in-part", Kind::Part, message).saved(saved).then(next))
}

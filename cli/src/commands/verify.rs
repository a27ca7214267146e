//! `verify`: checks the book.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use daybook_core::log::{PROOF_BYTES_MAX, Proof};
use serde_json::{Value, json};

use crate::commands::ingest;
use crate::context::{Answer, Context};
use crate::failure::{Failure, Kind};
use crate::output::Reply;
use crate::show;
use crate::show::text::safe;

/// Check every signature, hash and link of the book
#[derive(Debug, Args)]
#[command(after_help = "\
With --proof no book is opened: a file that `daybook findings proof` wrote proves itself.

Examples:
  daybook verify
  daybook verify --proof fork.proof")]
pub struct Verify {
    /// Check the proof of a fork instead; `-` for standard input
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// When the book cannot be read, or something in it is damaged; when the proof proves nothing.
pub fn run(args: &Verify, context: &mut Context) -> Answer {
    if let Some(file) = &args.proof {
        return proof(file);
    }
    let mut book = context.open()?;
    let mut progress = context.progress("entries");
    let report = book.verify(&mut |done, total| progress.at(done, Some(total)));
    progress.end();
    let report = report?;
    let problems: Vec<String> = report.problems.iter().map(|p| format!("PROBLEM: {}\n", safe(p))).collect();
    let text = format!(
        "{} entries in {} logs, {} signed heads: {}\n{}",
        report.entries,
        report.logs,
        report.heads,
        if problems.is_empty() { "all as it was written".to_owned() } else { format!("{} problems", problems.len()) },
        problems.concat(),
    );
    let object = json!({
        "entries": report.entries,
        "logs": report.logs,
        "heads": report.heads,
        "problems": report.problems,
        "proof": Value::Null,
    });
    let reply = Reply::new(object, text);
    if problems.is_empty() {
        return Ok(reply);
    }
    Err(Failure::new("verify-failed", Kind::Damaged, "the book is not as it was written")
        .then("keep this folder as it is, and save what is whole into a new book with `daybook salvage`")
        .showing(reply))
}

fn proof(file: &Path) -> Answer {
    let mut bytes = Vec::new();
    // One byte more than a proof may have shows that a file is none.
    let most = u64::try_from(PROOF_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(15);
    ingest::reader(file)?.take(most).read_to_end(&mut bytes).map_err(|error| {
        Failure::environment("no-file", "the file cannot be read")
            .because(error)
            .then("check the path, and that the stick is still plugged in")
    })?;
    let proof = Proof::read_file(&bytes).map_err(|error| {
        Failure::new(error.code(), Kind::Refused, "this file proves nothing")
            .because(error)
            .then("ask whoever gave it for the file as `daybook findings proof` wrote it")
    })?;
    let object = json!({
        "entries": proof.entries(),
        "logs": 1,
        "heads": proof.heads(),
        "problems": [],
        "proof": show::proof::json(&proof),
    });
    let checked = format!("{} entries and {} signatures, without any key", proof.entries(), proof.heads());
    Ok(Reply::new(object, format!("proved: {}checked:  {checked}\n", show::proof::text(&proof))))
}

//! `verify`: checks the book.

use clap::Args;
use serde_json::json;

use crate::context::{Answer, Context};
use crate::failure::{Failure, Kind};
use crate::output::Reply;
use crate::show::text::safe;

/// Check every signature, hash and link of the book
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  daybook verify")]
pub struct Verify {}

/// Runs it.
///
/// # Errors
/// When the book cannot be read, or something in it is damaged.
pub fn run(_: Verify, context: &mut Context) -> Answer {
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
    });
    let reply = Reply::new(object, text);
    if problems.is_empty() {
        return Ok(reply);
    }
    Err(Failure::new("verify-failed", Kind::Damaged, "the book is not as it was written")
        .then("keep this folder as it is, make a copy of it, and restore the newest backup into another folder")
        .showing(reply))
}

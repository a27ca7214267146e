//! `rebuild`: makes all tables again from the log.

use clap::Args;
use serde_json::json;

use crate::context::{Answer, Context};
use crate::output::Reply;

/// Make all tables again from the log
#[derive(Debug, Args)]
#[command(after_help = "\
The log is the truth; what is shown is made from it. Needed only if `daybook verify` says so.

Example:
  daybook rebuild")]
pub struct Rebuild {}

/// Runs it.
///
/// # Errors
/// When the book cannot be read or written.
pub fn run(_: Rebuild, context: &mut Context) -> Answer {
    let mut book = context.open()?;
    let mut progress = context.progress("entries");
    let result = book.rebuild(&mut |done, total| progress.at(done, Some(total)));
    progress.end();
    result?;
    Ok(Reply::new(json!({"rebuilt": true}), "all tables were made again from the log"))
}

//! `members`: who takes part.

use clap::Args;
use serde_json::json;

use crate::context::{Answer, Context};
use crate::output::Reply;
use crate::show::{json, members};

/// Who takes part: people, their devices, roles, and what became of them
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  daybook members")]
pub struct Members {}

/// Runs it.
///
/// # Errors
/// When the book cannot be opened or read.
pub fn run(_: Members, context: &mut Context) -> Answer {
    let all = context.open()?.members()?;
    Ok(Reply::new(json!({"members": json::list(&all, members::member)}), members::members(&all)))
}

//! `findings`: what a person must look at.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::context::{Answer, Context};
use crate::output::Reply;
use crate::show::{json, lists};
use crate::typed;

/// What a person must look at
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:\n  daybook findings\n  daybook findings --all")]
pub struct Findings {
    /// Resolves.
    #[command(subcommand)]
    resolving: Option<Resolving>,
    /// Resolved ones too
    #[arg(long)]
    all: bool,
}

/// Resolves a finding.
#[derive(Debug, Subcommand)]
pub enum Resolving {
    /// Say that somebody looked at it and why it stands as it is
    Resolve(Resolve),
}

/// Say that somebody looked at it and why it stands as it is
#[derive(Debug, Args)]
#[command(after_help = r#"Example:
  daybook findings resolve 3fa94c01 --reason "the family lost one bottle""#)]
pub struct Resolve {
    /// The finding, by the beginning of its id
    id: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Runs it.
///
/// # Errors
/// When the finding is not known or the book refuses.
pub fn run(args: Findings, context: &mut Context) -> Answer {
    if let Some(Resolving::Resolve(resolve)) = args.resolving {
        let reason = typed::reason(&resolve.reason)?;
        let written = context.open()?.resolve_finding(resolve.id.trim(), reason)?;
        return Ok(lists::written(&written, "resolved", json!({})));
    }
    let findings = context.open()?.findings(args.all)?;
    let text = if findings.is_empty() { "nothing to look at\n".to_owned() } else { lists::findings(&findings) };
    Ok(Reply::new(json!({"findings": json::list(&findings, json::finding)}), text))
}

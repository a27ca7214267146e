//! `findings`: what a person must look at.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::context::{Answer, Context};
use crate::output::Reply;
use crate::show::text::safe;
use crate::show::{self, json, lists};
use crate::target::{unwritable, write_new};
use crate::typed;

/// What a person must look at
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:\n  daybook findings\n  daybook findings --all")]
pub struct Findings {
    /// What is done with one.
    #[command(subcommand)]
    doing: Option<Doing>,
    /// Resolved ones too
    #[arg(long)]
    all: bool,
}

/// Does something with a finding.
#[derive(Debug, Subcommand)]
pub enum Doing {
    /// Say that somebody looked at it and why it stands as it is
    Resolve(Resolve),
    /// Write the proof of a fork to a file that anybody can check
    Proof(Proof),
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

/// Write the proof of a fork to a file that anybody can check
#[derive(Debug, Args)]
#[command(after_help = "\
The file holds what the device signed twice, without any text of the entries. Whoever has it checks it with
`daybook verify --proof FILE`: no book, no key and no passphrase is needed.

Example:
  daybook findings proof 3fa94c01 --to fork.proof")]
pub struct Proof {
    /// The finding, by the beginning of its id
    id: String,
    /// The file; nothing may be there yet
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// Runs it.
///
/// # Errors
/// When the finding is not known or the book refuses.
pub fn run(args: Findings, context: &mut Context) -> Answer {
    match args.doing {
        Some(Doing::Resolve(resolve)) => {
            let reason = typed::reason(&resolve.reason)?;
            let written = context.open()?.resolve_finding(resolve.id.trim(), reason)?;
            return Ok(lists::written(&written, "resolved", json!({})));
        }
        Some(Doing::Proof(proof)) => return write_proof(&proof, context),
        None => {}
    }
    let findings = context.open()?.findings(args.all)?;
    let text = if findings.is_empty() { "nothing to look at\n".to_owned() } else { lists::findings(&findings) };
    Ok(Reply::new(json!({"findings": json::list(&findings, json::finding)}), text))
}

fn write_proof(args: &Proof, context: &mut Context) -> Answer {
    let proof = context.open()?.fork_proof(&args.id)?;
    write_new(&args.to, |to| to.write_all(&proof.to_file()).map_err(unwritable))?;
    let path = args.to.to_string_lossy();
    let text = format!("{}written to {}\n", show::proof::text(&proof), safe(&path));
    Ok(Reply::new(json!({"path": path, "proof": show::proof::json(&proof)}), text))
}

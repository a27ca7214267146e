//! `quarantine`: what waits for review.

use clap::{Args, Subcommand};
use daybook_core::daybook::Endorsing;
use serde_json::json;

use crate::context::{Answer, Context};
use crate::output::Reply;
use crate::show::{json, members};

/// Most entries that one listing shows.
const LISTED_MAX: usize = 1_000;

/// What waits for review because its author had no right to write it, or no longer
#[derive(Debug, Subcommand)]
pub enum Quarantine {
    /// List what waits
    List(List),
    /// Show one entry, and why it waits
    Show(Show),
    /// Let an entry count, after looking at it
    Endorse(Endorse),
}

/// List what waits
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  daybook quarantine list")]
pub struct List {}

/// Show one entry, and why it waits
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  daybook quarantine show 7FK2Q-12")]
pub struct Show {
    /// The entry
    #[arg(value_name = "ENTRY")]
    entry: String,
}

/// Let an entry count, after looking at it
#[derive(Debug, Args)]
#[command(after_help = "\
Only an administrator above the author may. It holds whatever is revoked later.

Examples:
  daybook quarantine endorse 7FK2Q-12
  daybook quarantine endorse 7FK2Q-13 --log")]
pub struct Endorse {
    /// The entry
    #[arg(value_name = "ENTRY")]
    entry: String,
    /// And all that stands before it in its log
    #[arg(long, conflicts_with = "grant")]
    log: bool,
    /// What its author was granted counts again, with all that was and will be written under it
    #[arg(long)]
    grant: bool,
}

/// Runs it.
///
/// # Errors
/// When the entry is not known or does not wait, or this device may not endorse it.
pub fn run(quarantine: Quarantine, context: &mut Context) -> Answer {
    match quarantine {
        Quarantine::List(List {}) => list(context),
        Quarantine::Show(args) => show(&args, context),
        Quarantine::Endorse(args) => endorse(&args, context),
    }
}

fn list(context: &mut Context) -> Answer {
    let (found, total) = context.open()?.quarantine(LISTED_MAX)?;
    let offset = context.offset();
    let object = json!({"waiting": json::list(&found, |waiting| members::waiting(waiting, offset)), "total": total});
    let mut text = if found.is_empty() { "nothing waits\n".to_owned() } else { members::in_review(&found, offset) };
    if total > found.len() as u64 {
        text.push_str(&format!("and {} more\n", total - found.len() as u64));
    }
    Ok(Reply::new(object, text))
}

fn show(args: &Show, context: &mut Context) -> Answer {
    let review = context.open()?.review(&args.entry)?;
    let offset = context.offset();
    let object = json!({
        "waiting": members::waiting(&review.waiting, offset),
        "may_endorse": review.may_endorse,
        "ended_by": json::list(&review.ended_by, json::author),
        "waiting_before": review.waiting_before,
        "waiting_of_grant": review.waiting_of_grant,
    });
    let mut text = members::in_review(std::slice::from_ref(&review.waiting), offset);
    for operation in &review.waiting.line.operations {
        text.push_str(&format!("  {}\n", crate::show::text::safe(operation)));
    }
    if !review.ended_by.is_empty() {
        text.push_str(&format!("the author's grant was ended by {}\n", members::names(&review.ended_by)));
    }
    text.push_str(&format!(
        "{} entries before it in its log wait too, {} under the same grant\n",
        review.waiting_before, review.waiting_of_grant
    ));
    text.push_str(if review.may_endorse {
        "you may let it count: daybook quarantine endorse\n"
    } else {
        "an administrator above the author may let it count\n"
    });
    Ok(Reply::new(object, text))
}

fn endorse(args: &Endorse, context: &mut Context) -> Answer {
    let how = match (args.log, args.grant) {
        (_, true) => Endorsing::Grant,
        (true, false) => Endorsing::Log,
        (false, false) => Endorsing::Entry,
    };
    let (count, entries) = context.open()?.endorse(&args.entry, how)?;
    let object = json!({"endorsed": count, "entries": json::entries(&entries)});
    Ok(Reply::new(object, format!("{count} entries count now, here and wherever this comes by sync\n")))
}

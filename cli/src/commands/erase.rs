//! `erase`: takes an entry out of what counts.

use clap::Args;
use serde_json::json;

use crate::context::{Answer, Context};
use crate::output::Reply;
use crate::show::json;
use crate::typed;

/// Take an entry out of what counts, everywhere, for good reason
#[derive(Debug, Args)]
#[command(after_help = "\
For what must not stand at all. A mistake is corrected with `daybook correct`, which keeps both visible. Who kept
a copy keeps it.

Example:
  daybook erase 7FK2Q-12 --reason \"names a bystander\"")]
pub struct Erase {
    /// The entry
    #[arg(value_name = "ENTRY")]
    entry: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Runs it.
///
/// # Errors
/// When the entry is not known, or this device may not erase it.
pub fn run(args: &Erase, context: &mut Context) -> Answer {
    let reason = typed::reason(&args.reason)?;
    let entries = context.open()?.erase(&args.entry, reason)?;
    let object = json!({"erased": args.entry, "entries": json::entries(&entries)});
    Ok(Reply::new(object, "it counts no more, here and wherever this comes by sync\n".to_owned()))
}

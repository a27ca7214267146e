//! `revoke`: ends what somebody was granted.

use clap::Args;
use daybook_core::daybook::Revoked;
use serde_json::json;

use crate::context::{Answer, Context};
use crate::output::Reply;
use crate::show::{json, members};
use crate::typed;

/// End what a person or a device was granted, after a theft or at the end of a deployment
#[derive(Debug, Args)]
#[command(after_help = "\
What they wrote and this computer holds stays trusted; what comes later waits for review. After a theft
give --since with the first entry that the thief may have written. Of a root this is one approval.

Examples:
  daybook revoke \"Ebba Lindqvist\" --reason \"her phone was stolen at the bridge\"")]
pub struct Revoke {
    /// Name of a person, or the beginning of a device id, as `daybook members` shows them
    #[arg(value_name = "DEVICE|PERSON")]
    who: String,
    /// Trust only what was written before this entry
    #[arg(long, value_name = "ENTRY")]
    since: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Runs it.
///
/// # Errors
/// When nobody is found, or this device may not end their grants.
pub fn run(args: &Revoke, context: &mut Context) -> Answer {
    let reason = args.reason.as_deref().map(typed::reason).transpose()?;
    let revoked = context.open()?.revoke(&args.who, args.since.as_deref(), reason)?;
    let object = json!({
        "devices": json::list(&revoked.devices, json::author),
        "approvals_needed": revoked.approvals.map(|(needed, _)| needed),
        "approvals": revoked.approvals.map(|(_, here)| here),
        "stay": json::list(&revoked.stay, json::author),
        "waiting": revoked.waiting,
        "entries": json::entries(&revoked.entries),
    });
    Ok(Reply::new(object, text(&revoked)))
}

fn text(revoked: &Revoked) -> String {
    let mut text = format!("revoked: {}\n", members::names(&revoked.devices));
    if let Some((needed, here)) = revoked.approvals {
        text.push_str(&format!("{here} of {needed} roots have approved\n"));
    }
    if !revoked.stay.is_empty() {
        let names = members::names(&revoked.stay);
        text.push_str(&format!("still a member by somebody else's grant, or still a root: {names}\n"));
    }
    if revoked.waiting > 0 {
        text.push_str(&format!(
            "{} entries wait for review now: look with `daybook quarantine list`\n",
            revoked.waiting
        ));
    }
    text.push_str("every device stops giving keys as soon as it hears of this; sync now to spread it\n");
    text
}

//! `bar`: stops keys and service for a device.

use clap::Args;
use serde_json::json;

use crate::context::{Answer, Context};
use crate::output::Reply;
use crate::show::{json, members};

/// Stop giving keys to a person's devices or to one device, without ending what was granted
#[derive(Debug, Args)]
#[command(after_help = "\
What the device writes counts as before; it learns nothing new. Revoke it when it is sure that it is lost.

Examples:
  daybook bar \"Ebba Lindqvist\"
  daybook bar \"Ebba Lindqvist\" --lift")]
pub struct Bar {
    /// Name of a person, or the beginning of a device id, as `daybook members` shows them
    #[arg(value_name = "DEVICE|PERSON")]
    who: String,
    /// Take it back, and with it the bars of revokes
    #[arg(long)]
    lift: bool,
}

/// Runs it.
///
/// # Errors
/// When nobody is found, or this device may not bar them or lift that.
pub fn run(args: &Bar, context: &mut Context) -> Answer {
    let mut book = context.open()?;
    let (done, what) = if args.lift {
        (book.lift_bars(&args.who)?, "keys are given again")
    } else {
        (book.bar(&args.who)?, "no device that hears of this gives keys any more")
    };
    let object = json!({
        "devices": json::list(&done.devices, json::author),
        "barred": !args.lift,
        "entries": json::entries(&done.entries),
    });
    Ok(Reply::new(object, format!("{}: {what}\n", members::names(&done.devices))))
}

//! `enrol extend`: a further shift for a member.

use clap::Args;
use serde_json::json;

use crate::context::{Answer, Context};
use crate::output::Reply;
use crate::show::text::safe;
use crate::show::{fact, holdings, json};
use crate::typed;

/// Give a member more time: the same rights until another end of shift, or without one
#[derive(Debug, Args)]
#[command(after_help = "\
At the end of a shift peers stop serving the device and it throws its keys away; what was written on it stays.
It is given them again when it next syncs with a device that has heard of this.

Example:
  daybook enrol extend \"Ebba Lindqvist\"")]
pub struct Extend {
    /// Name of a person, or the beginning of a device id, as `daybook members` shows them
    #[arg(value_name = "DEVICE|PERSON")]
    who: String,
    /// The new end of the shift; without it the shift has no end
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// Runs it.
///
/// # Errors
/// When nobody is found, the device holds no grant, or this device may not grant.
pub fn run(args: &Extend, context: &mut Context) -> Answer {
    let until_ms = typed::when(args.until.as_deref(), context.offset())?.map(|time| time.ms);
    let extended = context.open()?.extend_shift_of(&args.who, until_ms)?;
    let until = until_ms.map(|ms| holdings::at(ms, context.offset()));
    let object = json!({
        "devices": json::list(&extended, |(who, _)| json::author(who)),
        "until": until,
        "entries": json::list(&extended, |(_, code)| json!(code.0)),
    });
    let end = until_ms
        .map_or_else(|| "has no end".to_owned(), |ms| format!("ends on {}", holdings::minute(ms, context.offset())));
    let line =
        |(who, _): &(daybook_core::daybook::Author, _)| format!("the shift of {} {end}\n", safe(&fact::author(who)));
    let text: String = extended.iter().map(line).collect();
    Ok(Reply::new(object, text + "sync, so that others hear of it\n"))
}

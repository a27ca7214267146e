//! `status`: what this book holds.

use clap::Args;
use daybook_core::daybook::Status as BookStatus;
use serde_json::json;

use crate::context::{Answer, Context};
use crate::output::Reply;
use crate::show::text::safe;
use crate::show::{fact, json};

/// What this book holds
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  daybook status")]
pub struct Status {}

/// Runs it.
///
/// # Errors
/// When the book cannot be opened or read.
pub fn run(_: Status, context: &mut Context) -> Answer {
    let status = context.open()?.status()?;
    let object = json!({
        "incident": status.incident,
        "incident_id": status.incident_id,
        "here": json::author(&status.here),
        "entries": json::entry_counts(&status.entries),
        "logs": status.logs,
        "patients": status.patients,
        "open_findings": status.open_findings,
        "newer_control": status.newer_control,
        "bytes_on_disk": status.bytes_on_disk,
    });
    Ok(Reply::new(object, text(&status)))
}

fn text(status: &BookStatus) -> String {
    let counts = &status.entries;
    let mut text = format!("{}\n", safe(&status.incident));
    let organisation = status.here.organisation.as_deref().unwrap_or("no organisation known");
    text.push_str(&format!("you:       {}, {}\n", safe(&fact::author(&status.here)), safe(organisation)));
    text.push_str(&format!("patients:  {}\n", status.patients));
    text.push_str(&format!("findings:  {} open\n", status.open_findings));
    text.push_str(&format!("entries:   {} in {} logs, {} written here\n", counts.total, status.logs, counts.own));
    for (count, what) in [
        (counts.waiting, "wait for review: their author had no right to write them"),
        (counts.faulty, "are faulty and have no effect"),
        (counts.unopened, "have no key here"),
        (counts.erased, "were erased"),
        (status.newer_control, "control entries come from a newer version: update daybook"),
    ] {
        if count > 0 {
            text.push_str(&format!("           {count} {what}\n"));
        }
    }
    text.push_str(&format!("on disk:   {} KiB\n", status.bytes_on_disk.div_ceil(1024)));
    text
}

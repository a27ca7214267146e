//! `safe-to-lose`: whether this computer can be lost.

use clap::Args;
use daybook_core::daybook::{Lack, SafeToLose as Report};
use serde_json::json;

use crate::context::{Answer, Context};
use crate::failure::{Failure, Kept, Kind};
use crate::output::Reply;
use crate::show::{holdings, json};

/// Whether this computer can be lost without losing what was written on it
#[derive(Debug, Args)]
#[command(after_help = "\
Yes, if two others hold all that was ever written on this computer, and one of them is a device that may read it.
They must have signed for it when they last met: only receipts count, not what was sent.
The answer yes ends with exit code 0, the answer no with 3.

Example:
  daybook safe-to-lose")]
pub struct SafeToLose {}

/// Runs it.
///
/// # Errors
/// When the book cannot be opened, and when the answer is no.
pub fn run(_: SafeToLose, context: &mut Context) -> Answer {
    let report = context.open()?.safe_to_lose()?;
    let lacking: Vec<_> = report.lacking().collect();
    let object = json!({
        "safe": lacking.is_empty(),
        "logs": report.own.len(),
        "entries": report.own.iter().map(|(log, _)| log.entries).sum::<u64>(),
        "lacking": lacking.iter().map(|(log, lack)| {
            json!({"log": holdings::log(log), "lacks": holdings::lack_word(*lack)})
        }).collect::<Vec<_>>(),
        "holders": json::list(&report.holders, |holder| holdings::holder(holder, context.offset())),
    });
    let reply = Reply::new(object, text(&report));
    let Some(worst) = lacking.iter().map(|(_, lack)| *lack).min() else { return Ok(reply) };
    let failure = Failure::new("not-safe-to-lose", Kind::Refused, "this computer cannot be lost yet");
    Err(failure.saved(Kept::Everything).then(next(worst)).showing(reply))
}

const fn next(lack: Lack) -> &'static str {
    match lack {
        Lack::Holder => "sync with two other devices or the hub, then ask again; keep this computer until then",
        Lack::SecondHolder => "sync with one more device or the hub, then ask again; keep this computer until then",
        Lack::Reader => "sync with a device that may read this, not only with hubs, then ask again",
    }
}

fn text(report: &Report) -> String {
    let entries: u64 = report.own.iter().map(|(log, _)| log.entries).sum();
    let mut text = String::new();
    for (log, lack) in report.lacking() {
        text.push_str(&format!("{}\n  {}\n", holdings::line(log), holdings::lack(lack)));
    }
    if text.is_empty() {
        text.push_str(&match entries {
            0 => "yes: nothing was written on this computer\n".to_owned(),
            1 => "yes: the one entry that was written here is held by two others\n".to_owned(),
            _ => format!("yes: all {entries} entries that were written here are held by two others or more\n"),
        });
    } else {
        text.insert_str(0, "no:\n");
    }
    text + &holdings::doubts(&report.holders)
}

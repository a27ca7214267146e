//! `salvage`: makes a new book of what is whole of a damaged one.

use std::path::{Path, PathBuf};

use clap::Args;
use daybook_core::daybook::{Daybook, LostPlaces, SalvageReport};
use serde_json::{Value, json};

use crate::context::{Answer, Context};
use crate::failure::{Failure, Kept, Kind};
use crate::host::SystemHost;
use crate::output::Reply;
use crate::passphrase;
use crate::show::text::safe;
use crate::show::{fact, json};

/// Save what is whole of a damaged book into a new one
#[derive(Debug, Args)]
#[command(after_help = "\
The damaged book is only read and stays as it is; close other programs that have it open. The new one opens with the
same passphrase and goes on as a new installation. What was lost comes back when it syncs with a device that has it.

Example:
  daybook salvage --to salvaged")]
pub struct Salvage {
    /// Folder of the new book; without it, that of the damaged one with `-salvaged` behind its name
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// When nothing can be saved, the target exists, or a part is lost.
pub fn run(args: Salvage, context: &mut Context) -> Answer {
    let target = args.to.unwrap_or_else(|| beside(context.book()));
    let passphrase = passphrase::existing(context.passphrase_file())?;
    let (mut book, report) = Daybook::salvage(context.book(), &target, &passphrase, SystemHost::boxed())?;
    let status = book.status()?;
    context.mark(&status.incident, status.exercise);
    let folder = target.to_string_lossy();
    let object = json!({
        "book": folder,
        "entries": report.entries,
        "patients": status.patients,
        "pages": report.pages,
        "damaged_pages": report.damaged_pages,
        "log_damaged": report.log_damaged,
        "behind_gaps": report.behind_gaps,
        "lost": report.lost.iter().map(lost_json).collect::<Vec<_>>(),
        "unplaced": report.unplaced,
        "device_keys_lost": report.keys_lost,
        "compartment_keys_lost": report.compartment_keys_lost,
    });
    let saved = format!("saved to {}; entries: {}, patients: {}\n", safe(&folder), report.entries, status.patients);
    let reply = Reply::new(object, saved + &text(&report));
    if report.entries_lost() == 0 && !report.keys_lost && report.compartment_keys_lost == 0 {
        return Ok(reply);
    }
    Err(Failure::new("done-in-part", Kind::Part, "a part of the book is lost on damaged pages")
        .saved(Kept::Part)
        .then(next(&report, &folder))
        .showing(reply))
}

fn beside(book: &Path) -> PathBuf {
    let mut name = book.file_name().unwrap_or_default().to_owned();
    name.push("-salvaged");
    book.with_file_name(name)
}

fn lost_json(lost: &LostPlaces) -> Value {
    json!({
        "log": lost.log,
        "author": json::author(&lost.author),
        "compartment": lost.compartment,
        "from": lost.from,
        "to": lost.to,
        "behind": lost.behind,
        "held_by": lost.held_by.iter().map(json::author).collect::<Vec<_>>(),
    })
}

fn text(report: &SalvageReport) -> String {
    let mut text = match report.damaged_pages.len() {
        0 => format!("all {} pages are as they were written\n", report.pages),
        count => format!("{count} of {} pages are damaged\n", report.pages),
    };
    if report.log_damaged {
        text.push_str("the write-ahead log is damaged too\n");
    }
    for lost in &report.lost {
        let holders: Vec<String> = lost.held_by.iter().map(|who| safe(&fact::author(who))).collect();
        text.push_str(&format!(
            "LOST: {} entries of {} ({}), {}-{} to {}; {}\n",
            lost.to + 1 - lost.from,
            safe(&fact::author(&lost.author)),
            lost.compartment,
            lost.log,
            lost.from,
            lost.to,
            match holders.as_slice() {
                [] => "nobody is known to hold them".to_owned(),
                holders => format!("held by {}", holders.join(", ")),
            },
        ));
    }
    for (count, what) in [
        (report.unplaced, "entries were found and cannot be placed; a sync brings them if another device has them"),
        (report.behind_gaps, "entries stand behind what is lost: they are shown, and passed on once that is back"),
        (
            report.compartment_keys_lost as u64,
            "keys are lost: a sync brings them, and until then some entries stay closed",
        ),
    ] {
        if count > 0 {
            text.push_str(&format!("{count} {what}\n"));
        }
    }
    if report.keys_lost {
        text.push_str("LOST: the keys of this device; the new book can be read and passed on, not written\n");
    }
    text
}

fn next(report: &SalvageReport, folder: &str) -> String {
    let known = report.lost.iter().any(|lost| !lost.held_by.is_empty());
    let sync = if known {
        format!("`daybook --book {folder} sync` with one of the devices named brings the rest")
    } else {
        format!("`daybook --book {folder} sync` with every device that you meet brings what they have")
    };
    if report.keys_lost {
        return format!("{sync}; to write, ask an administrator to admit this computer again; keep the damaged folder");
    }
    format!("{sync}; keep the damaged folder until then")
}

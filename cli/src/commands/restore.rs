//! `restore`: makes a book from a backup.

use std::path::PathBuf;

use clap::Args;
use daybook_core::daybook::Daybook;
use serde_json::json;

use crate::context::{Answer, Context};
use crate::failure::Failure;
use crate::host::SystemHost;
use crate::output::Reply;
use crate::passphrase;
use crate::show::text::safe;

/// Make a book from a backup
#[derive(Debug, Args)]
#[command(after_help = "\
The book goes where --book says; nothing may be there yet. It goes on as a new installation, so that the lost one
and this one never write in the same place.

Example:
  daybook --book restored restore backup-friday")]
pub struct Restore {
    /// Folder of the backup
    backup: PathBuf,
}

/// Runs it.
///
/// # Errors
/// When the backup cannot be opened or the target exists.
pub fn run(args: &Restore, context: &mut Context) -> Answer {
    if args.backup.try_exists().is_ok_and(|there| !there) {
        return Err(Failure::environment("no-backup", "there is no backup at that path")
            .then("check the path, and that the stick is still plugged in"));
    }
    let passphrase = passphrase::existing(context.passphrase_file())?;
    let mut book = Daybook::restore(&args.backup, context.book(), &passphrase, SystemHost::boxed())?;
    let status = book.status()?;
    context.mark(&status.incident, status.exercise);
    let folder = context.book().to_string_lossy();
    let text =
        format!("restored to {}; entries: {}, patients: {}\n", safe(&folder), status.entries.total, status.patients);
    let object = json!({"book": folder, "entries": status.entries.total, "patients": status.patients});
    let text =
        text + "it goes on as a new installation; sync it soon, to take back what was written after the backup\n";
    Ok(Reply::new(object, text))
}

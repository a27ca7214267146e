//! `passphrase`: changes the passphrase of the book.

use std::path::PathBuf;

use clap::Args;
use daybook_core::daybook::Daybook;
use serde_json::json;

use crate::context::{Answer, Context};
use crate::host::SystemHost;
use crate::output::Reply;
use crate::passphrase;

/// Change the passphrase of the book
#[derive(Debug, Args)]
#[command(after_help = "\
Backups keep the passphrase that they were made with.

Example:
  daybook passphrase --new-passphrase-file new.txt")]
pub struct ChangePassphrase {
    /// File whose first line is the new passphrase; without it `DAYBOOK_NEW_PASSPHRASE`, else you are asked
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// When the old passphrase is wrong or the book cannot be written.
pub fn run(args: &ChangePassphrase, context: &mut Context) -> Answer {
    let old = context.passphrase()?;
    let new = if old.is_empty() {
        old.clone()
    } else {
        passphrase::chosen(args.new_passphrase_file.as_deref(), passphrase::ENVIRONMENT_NEW)?
    };
    Daybook::change_passphrase(context.book(), &old, &new, &mut SystemHost)?;
    Ok(Reply::new(json!({"changed": true}), "the passphrase was changed; older backups keep the old one"))
}

//! `backup`: copies the book, encrypted.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::context::{Answer, Context};
use crate::output::Reply;
use crate::show::text::safe;

/// Copy the book, encrypted, to another folder
#[derive(Debug, Args)]
#[command(after_help = "\
The copy opens with the passphrase that the book has now.

Example:
  daybook backup backup-friday")]
pub struct Backup {
    /// The folder to make; it must not exist yet
    target: PathBuf,
}

/// Runs it.
///
/// # Errors
/// When the target exists or cannot be written.
pub fn run(args: &Backup, context: &mut Context) -> Answer {
    let passphrase = context.passphrase()?;
    context.unlock(&passphrase)?.backup(&args.target, &passphrase)?;
    let target = args.target.to_string_lossy();
    Ok(Reply::new(json!({"backup": target}), format!("the book was copied to {}", safe(&target))))
}

//! `desk`: unlock once, then scan or type.

use clap::Args;

use crate::context::{Answer, Context};
use crate::desk::{Desk as Serving, StandardConsole};
use crate::output::Reply;
use crate::typed;

/// Unlock once, then scan or type: register, warn, dispense, next
#[derive(Debug, Args)]
#[command(after_help = "\
Reads lines: a scanned or typed code or name shows the patient; `help` lists the rest. After five idle minutes the
desk locks and asks for the passphrase again; where the input is no terminal, the next line is the passphrase.

Example:
  daybook desk --place \"tent 1\"")]
pub struct Desk {
    /// Place whose stock is handed out here
    #[arg(long, default_value = "", hide_default_value = true)]
    place: String,
}

/// Runs it.
///
/// # Errors
/// When the book cannot be opened, or five passphrases in a row are wrong.
pub fn run(args: Desk, context: &mut Context) -> Answer {
    typed::optional_text(&args.place)?;
    let book = context.open()?;
    Serving::new(StandardConsole::new(), context, book, args.place).serve()?;
    Ok(Reply::default())
}

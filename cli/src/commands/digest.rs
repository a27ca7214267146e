//! `digest`: one hash per compartment.

use clap::Args;
use serde_json::{Map, json};

use crate::context::{Answer, Context};
use crate::output::Reply;
use crate::show::table::Table;

/// One hash per compartment: two devices with the same hashes show the same records
#[derive(Debug, Args)]
#[command(after_help = "\
A compartment is a part of the book with its own keys: clinical, supply, directory.

Example:
  daybook digest")]
pub struct Digest {}

/// Runs it.
///
/// # Errors
/// When the book cannot be read.
pub fn run(_: Digest, context: &mut Context) -> Answer {
    let mut digest = context.open()?.digest()?;
    digest.sort_unstable();
    let mut table = Table::new(&[("COMPARTMENT", 24), ("DIGEST", 140)]);
    for (compartment, hash) in &digest {
        table.row(&[compartment, hash]);
    }
    let digest: Map<_, _> = digest.into_iter().map(|(compartment, hash)| (compartment, json!(hash))).collect();
    Ok(Reply::new(json!({"digest": digest}), table.to_text()))
}

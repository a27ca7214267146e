//! `recover`: takes an incident over with the seed on paper.

use std::path::PathBuf;

use clap::Args;
use daybook_core::crypto::RecoverySeed;
use serde_json::json;

use crate::context::{Answer, Context};
use crate::failure::Failure;
use crate::output::Reply;
use crate::passphrase;
use crate::show::{json, members};

/// Take the incident over with the recovery seed on paper
#[derive(Debug, Args)]
#[command(after_help = "\
Run it on a device that takes part: it becomes a root, and the roots of --lost are ended. What is held here of
theirs stays trusted. The seed is not kept.

Example:
  daybook --book tablet recover --seed-file seed.txt --organisation \"County Health\" \\
    --lost \"R. Alvarez\"")]
pub struct Recover {
    /// File whose first line is the recovery seed; without it `DAYBOOK_RECOVERY_SEED`, else you are asked
    #[arg(long, value_name = "FILE")]
    seed_file: Option<PathBuf>,
    /// Your organisation, for which this device is a root
    #[arg(long, value_name = "NAME")]
    organisation: String,
    /// A root whose device is lost; may be given several times
    #[arg(long, value_name = "DEVICE|PERSON")]
    lost: Vec<String>,
}

/// The environment variable with the seed.
const ENVIRONMENT: &str = "DAYBOOK_RECOVERY_SEED";

/// Runs it.
///
/// # Errors
/// When the seed is mistyped or of another incident, or a root is not found.
pub fn run(args: &Recover, context: &mut Context) -> Answer {
    if args.organisation.trim().is_empty() {
        return Err(Failure::usage("empty-name", "a name is empty").then("give your organisation"));
    }
    let typed = passphrase::secret(args.seed_file.as_deref(), ENVIRONMENT, "Recovery seed: ")?;
    let seed = RecoverySeed::parse(&String::from_utf8_lossy(&typed)).map_err(|error| {
        Failure::usage("bad-seed", "this is no recovery seed").because(error).then("read the paper again")
    })?;
    let lost: Vec<&str> = args.lost.iter().map(String::as_str).collect();
    let done = context.open()?.recover(&seed, &args.organisation, &lost)?;
    let object = json!({
        "here": json::author(&done.here),
        "ended": json::list(&done.ended, json::author),
        "entries": json::entries(&done.entries),
    });
    let mut text = "this device is a root of the incident now\n".to_owned();
    if !done.ended.is_empty() {
        text.push_str(&format!("ended for ever: {}\n", members::names(&done.ended)));
    }
    text.push_str(
        "sync with every device that can be reached, so that all hear of it; put the paper back in its place\n",
    );
    Ok(Reply::new(object, text))
}

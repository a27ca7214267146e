//! `completions`: completions for a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use crate::args::Cli;
use crate::output::Reply;

/// Completions for your shell
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  daybook completions bash")]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs it.
#[must_use]
pub fn run(args: &Completions) -> Reply {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "daybook", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    Reply::new(json!({"script": script}), script)
}

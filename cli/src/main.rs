//! `daybook`: the laptop's tool for shelter staff.
//!
//! Reads the command line, calls the book, answers. Owns no rules: those are in `daybook-core`. Every command
//! is one file in [`commands`]; what it says on success is a [`output::Reply`], on failure a
//! [`failure::Failure`], and both are printed here.
#![forbid(unsafe_code)]
#![allow(clippy::format_push_string, reason = "a `write!` to a String cannot fail, and its Result only hides that")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod args;
mod codes;
mod commands;
mod context;
mod desk;
mod failure;
mod host;
mod output;
mod panics;
mod passphrase;
mod progress;
mod show;
mod target;
mod trace;
mod typed;

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::args::Cli;
use crate::context::Context;
use crate::failure::{Failure, Kept};
use crate::output::{Output, Reply};

fn main() -> ExitCode {
    panics::watch();
    trace::start();
    ExitCode::from(panics::caught(run).unwrap_or_else(|failure| failure.tell(wants_json())))
}

/// Whether the command line asks for JSON, also where it cannot be understood otherwise.
fn wants_json() -> bool {
    std::env::args_os().skip(1).take_while(|a| a != "--").any(|a| a == "--json")
}

fn run() -> u8 {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let mut context = Context::new(cli.global);
    let answer = commands::run(cli.command, &mut context);
    tell(answer, context.output())
}

/// The command line, or the exit code if there is nothing more to do.
fn parse() -> Result<Cli, u8> {
    let mut root = Cli::command();
    let error = match root.try_get_matches_from_mut(std::env::args_os()).and_then(|m| Cli::from_arg_matches(&m)) {
        Ok(cli) => return Ok(cli),
        Err(error) => error,
    };
    if !error.use_stderr() {
        let help = Reply::new(serde_json::Value::Null, error.to_string());
        return Err(tell(Ok(help), &Output::default()));
    }
    let typed: Vec<String> = std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    Err(failure::from_clap(&error, &typed, &root).tell(wants_json()))
}

/// Prints the answer and gives the exit code. A reader that went away is no failure.
fn tell(answer: Result<Reply, Failure>, output: &Output) -> u8 {
    let (reply, failure) = match answer {
        Ok(reply) => (Some(reply), None),
        Err(mut failure) => (failure.take_shown(), Some(failure)),
    };
    let printed = reply.map_or(Ok(()), |reply| output.print(&reply));
    match (failure, printed) {
        (Some(failure), _) => failure.tell(output.json),
        (None, Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
            Failure::environment("no-output", "the answer cannot be printed")
                .because(error)
                .saved(Kept::Everything)
                .then("what the command was to write is in the book; see `daybook log`")
                .tell(output.json)
        }
        (None, _) => 0,
    }
}

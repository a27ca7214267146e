//! The programs of this crate: worlds that try to break the book, and the crash sweep.
#![allow(clippy::expect_used, clippy::panic, reason = "test code stops at what cannot be")]

use daybook_tests::memory::Counting;
use daybook_tests::sim::command;
use std::process::ExitCode;

#[global_allocator]
static MEMORY: Counting = Counting;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["sim", rest @ ..] => command::main(rest),
        _ => {
            eprintln!("{}", command::USAGE);
            ExitCode::from(2)
        }
    }
}

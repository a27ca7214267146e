//! Runs the binary on throw-away books.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The passphrase of every book.
pub const PASSPHRASE: &str = "four words or more";

/// A folder in which commands run.
pub struct Desk {
    folder: TempDir,
}

/// What a command said.
#[derive(Clone, Debug)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Desk {
    /// An empty folder.
    pub fn empty() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    /// A folder with a fresh book.
    pub fn founded() -> Self {
        let desk = Self::empty();
        desk.ok(&[
            "init",
            "--incident",
            "Valley flood 2026",
            "--organisation",
            "County Health",
            "--person",
            "R. Alvarez",
        ]);
        desk
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn book(&self) -> PathBuf {
        self.path().join("book")
    }

    /// The command, ready to run here.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("daybook"));
        command.args(args).current_dir(self.path());
        for name in ["RUST_LOG", "DAYBOOK_NEW_PASSPHRASE", "NO_COLOR", "COLUMNS"] {
            command.env_remove(name);
        }
        command.env("DAYBOOK_BOOK", "book").env("DAYBOOK_PASSPHRASE", PASSPHRASE).env("TZ", "UTC");
        command
    }

    /// Runs a command.
    pub fn run(&self, args: &[&str]) -> Said {
        self.run_with(args, "", |_| {})
    }

    /// Runs a command with lines to read and a changed surrounding.
    pub fn run_with(&self, args: &[&str], stdin: &str, change: impl FnOnce(&mut Command)) -> Said {
        let mut command = self.command(args);
        change(&mut command);
        let output = assert_cmd::Command::from_std(command).write_stdin(stdin.as_bytes()).output().unwrap();
        Said {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a command that must succeed.
    pub fn ok(&self, args: &[&str]) -> Said {
        let said = self.run(args);
        assert_eq!(said.code, 0, "{args:?}: {said:#?}");
        said
    }

    /// Runs a command that must succeed, with `--json`, and gives its answer.
    pub fn json(&self, args: &[&str]) -> Value {
        let said = self.ok(&[&["--json"], args].concat());
        serde_json::from_str(said.stdout.lines().last().unwrap()).unwrap()
    }
}

impl Said {
    /// Both streams and the exit code, as a snapshot shows them.
    pub fn shown(&self) -> String {
        let mut shown = String::new();
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                shown += &["--- ", name, "\n", text].concat();
            }
        }
        format!("{shown}--- exit {}\n", self.code)
    }
}

/// Compares with the committed snapshot; codes, times, hashes and folders are replaced by others of their width.
pub fn compare(name: &str, said: &Said) {
    let mut settings = insta::Settings::clone_current();
    for (pattern, with) in [
        (r"\b([0-9A-HJKMNP-TV-Z]{4}-){14,}[0-9A-HJKMNP-TV-Z]{1,4}\b", "CODE"),
        (r"\b([0-9A-HJKMNP-TV-Z]{4}-){13}[0-9A-HJKMNP-TV-Z]{4}\b", "SEED"),
        (r"\b[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}\b", "TWELVE.SYMBOLS"),
        (r"\b[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z*~$=U]", "PPPP-PPPP-P"),
        (r"\b[0-9A-HJKMNP-TV-Z]{5}-(\d)", "EEEEE-$1"),
        (r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00", "TIME"),
        (r"\b20\d\d-\d\d-\d\d \d\d:\d\d", "YYYY-MM-DD HH:MM"),
        (r"\b[0-9a-f]{64}\b", "HASH32"),
        (r"\b[0-9a-f]{32}\b", "HASH16"),
        (r"\b[0-9a-f]{12}\b", "HASH06"),
        (r"(?m)^[0-9a-f]{8}  ", "FINDINGS  "),
        (r"\d+ KiB", "SOME KiB"),
        (r#""bytes_on_disk":\d+"#, r#""bytes_on_disk":SOME"#),
        (r"/tmp/\.tmp[A-Za-z0-9]+|/[^ \n]*/\.tmp[A-Za-z0-9]+", "/FOLDER"),
    ] {
        settings.add_filter(pattern, with);
    }
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots"));
    settings.bind(|| insta::assert_snapshot!(name.to_owned(), said.shown()));
}

/// A `daybook serve` that runs beside the test, with `--json`.
pub struct Server {
    child: Child,
    lines: BufReader<ChildStdout>,
    pub address: String,
}

impl Server {
    /// Starts it and waits until it can be called.
    pub fn start(desk: &Desk, args: &[&str]) -> Self {
        let mut child = desk.command(args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let first = line(&mut lines);
        assert_eq!(first["event"], "listening", "{first}");
        Self { child, lines, address: first["address"].as_str().unwrap().to_owned() }
    }

    /// Serves a book on a free port of this computer.
    pub fn of(desk: &Desk, book: &str) -> Self {
        Self::start(desk, &["--json", "--book", book, "serve", "--listen", "127.0.0.1:0"])
    }

    /// The next event of a kind.
    pub fn event(&mut self, kind: &str) -> Value {
        loop {
            let event = line(&mut self.lines);
            if event["event"] == kind {
                return event;
            }
        }
    }

    /// Ends it as power loss does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it in order and gives its answer.
    pub fn stop(mut self) -> Value {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{rest}");
        serde_json::from_str(rest.lines().last().unwrap()).unwrap()
    }
}

impl Drop for Server {
    /// A test that fails leaves no process behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(from: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    assert!(from.read_line(&mut line).unwrap() > 0, "the server ended");
    serde_json::from_str(&line).unwrap()
}

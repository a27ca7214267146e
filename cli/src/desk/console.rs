//! What stands between the desk and a person: lines, time, and the passphrase. A test puts a script here.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use daybook_core::clock::Host;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::host::SystemHost;
use crate::output::{Output, Reply};
use crate::passphrase::{self, Passphrase};

/// Longest line in bytes; what is longer is no line that the desk knows.
const LINE_BYTES_MAX: u64 = 16 * 1024;

/// What was heard.
#[derive(PartialEq, Eq, Debug)]
pub enum Heard {
    /// A line, without its end; wiped when dropped, since it can be a passphrase.
    Line(Zeroizing<String>),
    /// Nothing, for the time that was asked.
    Silence,
    /// There will be no more lines.
    End,
}

/// What stands between the desk and a person.
pub trait Console {
    /// Waits for a line, at most for `at_most`.
    fn hear(&mut self, at_most: Duration) -> Heard;
    /// The present in milliseconds, also of the time that the computer slept.
    fn now_ms(&mut self) -> i64;
    /// Asks for the passphrase; none if there will be no more lines.
    ///
    /// # Errors
    /// When what was typed can be no passphrase.
    fn passphrase(&mut self) -> Result<Option<Passphrase>, Failure>;
    /// Shows an answer.
    ///
    /// # Errors
    /// When it cannot be shown.
    fn show(&mut self, reply: &Reply, output: &Output) -> io::Result<()>;
    /// Tells a failure.
    fn tell(&mut self, failure: &Failure, output: &Output);
    /// Shows that a line is expected.
    fn prompt(&mut self, text: &str);
    /// Wipes the screen.
    fn wipe(&mut self);
    /// Whether a person sits here, who can try again.
    fn attended(&self) -> bool;
}

/// Standard input and output. A thread reads a line at a time, and only when asked, so that the passphrase can
/// be read from the terminal between two lines.
#[derive(Debug)]
pub struct StandardConsole {
    ask: Sender<()>,
    lines: Receiver<Option<Zeroizing<String>>>,
    asked: bool,
    terminal: bool,
}

impl StandardConsole {
    /// Starts the thread that reads.
    #[must_use]
    pub fn new() -> Self {
        let (ask, asked) = channel::<()>();
        let (say, lines) = channel();
        thread::spawn(move || {
            while asked.recv().is_ok() {
                if say.send(read_line()).is_err() {
                    break;
                }
            }
        });
        Self { ask, lines, asked: false, terminal: io::stdin().is_terminal() && io::stdout().is_terminal() }
    }

    fn ask(&mut self) {
        if !self.asked {
            self.asked = self.ask.send(()).is_ok();
        }
    }

    /// Waits for a line as long as it takes.
    fn line(&mut self) -> Option<Zeroizing<String>> {
        self.ask();
        let line = self.lines.recv().ok().flatten();
        self.asked = false;
        line
    }
}

impl Default for StandardConsole {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads a line; none at the end, or if the input cannot be read. A line that is too long or no UTF-8 is read
/// past and comes back as a character that nothing matches.
fn read_line() -> Option<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(256));
    let mut stdin = io::stdin().lock();
    let read = (&mut stdin).take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes).ok()?;
    if read == 0 {
        return None;
    }
    let whole = bytes.last() == Some(&b'\n') || u64::try_from(read).unwrap_or(u64::MAX) < LINE_BYTES_MAX;
    if !whole {
        stdin.skip_until(b'\n').ok()?;
    }
    while bytes.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
        bytes.pop();
    }
    let text = if whole { std::str::from_utf8(&bytes).unwrap_or("\u{FFFD}") } else { "\u{FFFD}" };
    Some(Zeroizing::new(text.to_owned()))
}

impl Console for StandardConsole {
    fn hear(&mut self, at_most: Duration) -> Heard {
        self.ask();
        match self.lines.recv_timeout(at_most) {
            Ok(line) => {
                self.asked = false;
                line.map_or(Heard::End, Heard::Line)
            }
            Err(RecvTimeoutError::Timeout) => Heard::Silence,
            Err(RecvTimeoutError::Disconnected) => Heard::End,
        }
    }

    fn now_ms(&mut self) -> i64 {
        SystemHost.now_ms()
    }

    fn passphrase(&mut self) -> Result<Option<Passphrase>, Failure> {
        if !self.terminal {
            let line = self.line();
            return line.map(|l| passphrase::checked(Zeroizing::new(l.as_bytes().to_vec()))).transpose();
        }
        if self.asked {
            // The thread still waits for a line of the terminal; that one is not the passphrase.
            self.prompt("Press Enter to unlock. ");
            if self.line().is_none() {
                return Ok(None);
            }
        }
        passphrase::ask("Passphrase: ").map(Some)
    }

    fn show(&mut self, reply: &Reply, output: &Output) -> io::Result<()> {
        output.print(reply)
    }

    fn tell(&mut self, failure: &Failure, output: &Output) {
        failure.tell(output.json);
    }

    fn prompt(&mut self, text: &str) {
        if self.terminal {
            let mut stdout = io::stdout().lock();
            let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        }
    }

    fn wipe(&mut self) {
        // Screen, what scrolled away, cursor to the top.
        self.prompt("\u{1b}[2J\u{1b}[3J\u{1b}[H");
    }

    fn attended(&self) -> bool {
        self.terminal
    }
}

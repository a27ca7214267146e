//! The desk: unlock once, then scan or type, register, warn, dispense, next.
//!
//! Owns what is open at the desk: the book, the patient, a dispense that waits for a reason. Invariant: after
//! five idle minutes, also those that the computer slept, none of it is left in memory and the screen is
//! wiped; only the passphrase opens the book again.

mod console;
mod line;
mod serve;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

pub use console::{Console, Heard, StandardConsole};
use daybook_core::daybook::Daybook;
use daybook_core::id::PatientId;
use serde_json::json;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::Reply;

/// Idle time after which the desk locks.
const IDLE_MS: i64 = 5 * 60_000;
/// How often the desk looks at the clock while it waits.
const LOOK: Duration = Duration::from_secs(5);
/// Wrong passphrases in a row after which the desk ends.
const TRIES_MAX: u32 = 5;

/// What is open at the desk.
pub struct Desk<'a, C> {
    console: C,
    context: &'a mut Context,
    place: String,
    open: Option<Open>,
    last_ms: i64,
}

/// What is forgotten when the desk locks.
struct Open {
    book: Daybook,
    patient: Option<PatientId>,
    /// A scanned code that nobody has, for `new`.
    unknown: Option<String>,
    /// A dispense that something speaks against: its line, until the next line gives a reason.
    pending: Option<Zeroizing<String>>,
}

/// Whether the desk goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Course {
    Onward,
    Lock,
    End,
}

impl<'a, C: Console> Desk<'a, C> {
    /// A desk with the book open; `place` is where its stock lies.
    pub fn new(mut console: C, context: &'a mut Context, book: Daybook, place: String) -> Self {
        let last_ms = console.now_ms();
        Self { console, context, place, open: Some(Open::new(book)), last_ms }
    }

    /// Serves until there are no more lines or somebody quits.
    ///
    /// # Errors
    /// Five wrong passphrases, output that cannot be written, or, where nobody sits here, a book that cannot
    /// be used any more.
    pub fn serve(mut self) -> Result<C, Failure> {
        self.say("ready", "ready; `help` lists what can be typed")?;
        loop {
            let course = match self.hear() {
                Heard::Line(line) => self.answer(&line)?,
                Heard::Silence => {
                    self.lock("locked after five idle minutes")?;
                    Course::Lock
                }
                Heard::End => Course::End,
            };
            match course {
                Course::Onward => {}
                Course::End => return Ok(self.console),
                Course::Lock => {
                    if !self.unlock()? {
                        return Ok(self.console);
                    }
                }
            }
        }
    }

    /// Waits for a line; silence means that the desk was idle for too long.
    fn hear(&mut self) -> Heard {
        let prompt = match &self.open {
            Some(Open { pending: Some(_), .. }) => "reason> ".to_owned(),
            Some(Open { patient: Some(patient), .. }) => format!("{}> ", patient.code()),
            _ => "> ".to_owned(),
        };
        self.console.prompt(&prompt);
        loop {
            let heard = self.console.hear(LOOK);
            let now_ms = self.console.now_ms();
            if now_ms.saturating_sub(self.last_ms) >= IDLE_MS && heard != Heard::End {
                // Also a line: who typed it may not be who sat here before.
                return Heard::Silence;
            }
            // A clock that was set back starts the wait again.
            self.last_ms = self.last_ms.min(now_ms);
            match heard {
                Heard::Silence => {}
                Heard::Line(_) | Heard::End => {
                    self.last_ms = now_ms;
                    return heard;
                }
            }
        }
    }

    /// Answers one line; a failure is told, and the desk goes on.
    fn answer(&mut self, line: &str) -> Result<Course, Failure> {
        let Some(open) = &mut self.open else {
            return Ok(Course::Lock);
        };
        let answered = open.answer(line, &self.place, self.context.offset());
        self.last_ms = self.console.now_ms();
        match answered {
            Ok((course, reply)) => {
                match course {
                    Course::Lock => self.lock("locked")?,
                    Course::End | Course::Onward => self.show(&reply)?,
                }
                Ok(course)
            }
            Err(failure) => self.failed(failure),
        }
    }

    fn failed(&mut self, mut failure: Failure) -> Result<Course, Failure> {
        if let Some(shown) = failure.take_shown() {
            self.show(&shown)?;
        }
        let lasting = match failure.kind() {
            Kind::Environment | Kind::Damaged | Kind::Bug => true,
            Kind::Usage | Kind::Refused | Kind::Denied | Kind::Part => false,
        };
        if lasting && !self.console.attended() {
            return Err(failure);
        }
        self.console.tell(&failure, self.context.output());
        if !lasting {
            return Ok(Course::Onward);
        }
        // The handle may refuse all from now on; opening the book again tells.
        self.open = None;
        self.say("locked", "locked; the book is opened again with the passphrase")?;
        Ok(Course::Lock)
    }

    /// Forgets everything, wipes the screen and says why.
    fn lock(&mut self, text: &str) -> Result<(), Failure> {
        self.open = None;
        self.console.wipe();
        self.say("locked", text)
    }

    /// Asks for the passphrase until the book is open; says whether it is.
    fn unlock(&mut self) -> Result<bool, Failure> {
        let mut tries = 0;
        loop {
            let opened = match self.console.passphrase() {
                Ok(None) => return Ok(false),
                Ok(Some(passphrase)) => self.context.unlock(&passphrase),
                Err(failure) => Err(failure),
            };
            self.last_ms = self.console.now_ms();
            match opened {
                Ok(book) => {
                    self.open = Some(Open::new(book));
                    self.say("ready", "ready")?;
                    return Ok(true);
                }
                Err(failure) => {
                    tries += 1;
                    let hopeless = !matches!(failure.kind(), Kind::Denied | Kind::Usage);
                    if tries >= TRIES_MAX || (hopeless && !self.console.attended()) {
                        return Err(failure);
                    }
                    self.console.tell(&failure, self.context.output());
                }
            }
        }
    }

    fn say(&mut self, state: &str, text: &str) -> Result<(), Failure> {
        self.show(&Reply::new(json!({"desk": state}), text))
    }

    fn show(&mut self, reply: &Reply) -> Result<(), Failure> {
        self.console.show(reply, self.context.output()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::reader_left(),
            _ => Failure::environment("no-output", "the answer cannot be printed").because(error),
        })
    }
}

impl Open {
    const fn new(book: Daybook) -> Self {
        Self { book, patient: None, unknown: None, pending: None }
    }
}

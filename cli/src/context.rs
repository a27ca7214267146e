//! What every command has at hand: where the book lies, how to unlock it, in which form to answer.

use std::path::{Path, PathBuf};

use daybook_core::clock::{EffectiveTime, Precision};
use daybook_core::daybook::{Attempts, Daybook};
use serde_json::json;

use crate::args::Global;
use crate::failure::Failure;
use crate::host::SystemHost;
use crate::output::{Output, Reply};
use crate::passphrase::{self, Passphrase};
use crate::progress::Progress;
use crate::typed;

/// What a command answers with.
pub type Answer = Result<Reply, Failure>;

/// What every command has at hand.
#[derive(Debug)]
pub struct Context {
    book: PathBuf,
    passphrase_file: Option<PathBuf>,
    output: Output,
    offset: i16,
}

impl Context {
    /// From the options that every command has.
    #[must_use]
    pub fn new(global: Global) -> Self {
        let book = global.book.unwrap_or_else(|| {
            std::env::home_dir().map_or_else(|| PathBuf::from(".daybook"), |home| home.join(".daybook"))
        });
        Self {
            book,
            passphrase_file: global.passphrase_file,
            output: Output { json: global.json, exercise: None },
            offset: typed::offset_here(),
        }
    }

    /// The folder of the book.
    #[must_use]
    pub fn book(&self) -> &Path {
        &self.book
    }

    /// The file with the passphrase, if one was named.
    #[must_use]
    pub fn passphrase_file(&self) -> Option<&Path> {
        self.passphrase_file.as_deref()
    }

    /// This computer's offset from UTC in minutes.
    #[must_use]
    pub const fn offset(&self) -> i16 {
        self.offset
    }

    /// In which form to answer.
    #[must_use]
    pub const fn output(&self) -> &Output {
        &self.output
    }

    /// Marks all that is printed from now on if the incident is an exercise.
    pub fn mark(&mut self, incident: &str, exercise: bool) {
        self.output.exercise = exercise.then(|| incident.to_owned());
    }

    /// Shows how far a long command is.
    #[must_use]
    pub fn progress(&self, what: &'static str) -> Progress {
        Progress::new(what, self.output.json)
    }

    /// Takes the passphrase of the book; a book that is not there needs none, so that opening it says so.
    ///
    /// # Errors
    /// When there is no passphrase to be had.
    pub fn passphrase(&self) -> Result<Passphrase, Failure> {
        if self.book.try_exists().is_ok_and(|there| !there) {
            return Ok(Passphrase::default());
        }
        passphrase::existing(self.passphrase_file())
    }

    /// Opens the book.
    ///
    /// # Errors
    /// When it cannot be unlocked or opened.
    pub fn open(&mut self) -> Result<Daybook, Failure> {
        let passphrase = self.passphrase()?;
        self.unlock(&passphrase)
    }

    /// Tells on stderr that somebody tried passphrases in vain.
    fn tell_attempts(&self, attempts: Attempts) {
        if attempts.wrong == 0 {
            return;
        }
        let at = |ms| EffectiveTime::stated(ms, self.offset, Precision::Second).map(|at| at.to_fhir());
        let (first, last) = (at(attempts.first_ms).unwrap_or_default(), at(attempts.last_ms).unwrap_or_default());
        if self.output.json {
            let notice = json!({"notice": "wrong-attempts", "wrong": attempts.wrong, "first": first, "last": last});
            eprintln!("{notice}");
        } else {
            let minute = |time: &str| time.replace('T', " ").chars().take(16).collect::<String>();
            let (first, last) = (minute(&first), minute(&last));
            match attempts.wrong {
                1 => eprintln!("daybook: a wrong passphrase was tried on {last}"),
                wrong => eprintln!("daybook: {wrong} wrong passphrases were tried since {first}, the last on {last}"),
            }
            eprintln!("  next:  if that was not you, ask who had this computer, and change the passphrase");
        }
    }

    /// Opens the book with a passphrase that was asked before.
    ///
    /// # Errors
    /// When it cannot be unlocked or opened.
    pub fn unlock(&mut self, passphrase: &[u8]) -> Result<Daybook, Failure> {
        let mut book = Daybook::open(&self.book, passphrase, SystemHost::boxed())?;
        let status = book.status()?;
        self.mark(&status.incident, status.exercise);
        self.tell_attempts(book.wrong_attempts());
        Ok(book)
    }
}

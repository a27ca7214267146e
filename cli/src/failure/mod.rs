//! What went wrong, for people and for scripts, and the exit code that says of which kind it was.
//!
//! Owns the form of every message on stderr. Invariant: stderr never holds patient data; what a person must
//! see to decide (candidates, warnings) goes to stdout as a [`Reply`].

mod arguments;
mod core;

use std::borrow::Cow;
use std::error::Error;
use std::io::Write;

pub use arguments::from_clap;
use serde_json::json;

use crate::output::Reply;

/// Of which kind a failure is; decides the exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The command line cannot be understood.
    Usage,
    /// What was asked breaks a rule or names something that is not there.
    Refused,
    /// The passphrase or the rights do not allow it.
    Denied,
    /// Disk, file, terminal.
    Environment,
    /// The book or a file is damaged.
    Damaged,
    /// A part was done.
    Part,
    /// A fault of this program.
    Bug,
}

impl Kind {
    /// The exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Denied => 4,
            Self::Environment => 5,
            Self::Damaged => 6,
            Self::Part => 7,
            Self::Bug => 70,
        }
    }

    /// The word in `--json`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Refused => "refused",
            Self::Denied => "denied",
            Self::Environment => "environment",
            Self::Damaged => "damaged",
            Self::Part => "part",
            Self::Bug => "bug",
        }
    }
}

/// What of the request is in the book.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// Nothing.
    Nothing,
    /// All of it.
    Everything,
    /// A part.
    Part,
}

impl Kept {
    /// The word in `--json`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Everything => "everything",
            Self::Part => "part",
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::Nothing => "nothing was written",
            Self::Everything => "everything was written and is safe",
            Self::Part => "a part was written and is safe",
        }
    }
}

/// One failure: what happened, why, what was saved, what to do next.
#[derive(Debug)]
pub struct Failure {
    code: Cow<'static, str>,
    kind: Kind,
    message: Cow<'static, str>,
    causes: Vec<String>,
    saved: Kept,
    next: Cow<'static, str>,
    shown: Option<Box<Reply>>,
    quiet: bool,
}

impl Failure {
    /// A failure of `kind`; `message` is one lower-case clause without patient data.
    pub fn new(code: impl Into<Cow<'static, str>>, kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: code.into(),
            kind,
            message: message.into(),
            causes: Vec::new(),
            saved: Kept::Nothing,
            next: Cow::Borrowed(""),
            shown: None,
            quiet: false,
        }
    }

    /// Whoever read the output went away, as `head` does: nothing is said, and the exit code is 0.
    #[must_use]
    pub fn reader_left() -> Self {
        Self { quiet: true, ..Self::environment("closed-pipe", "nobody reads the output") }
    }

    /// The command line cannot be understood.
    pub fn usage(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code, Kind::Usage, message)
    }

    /// Disk, file or terminal do not do what is needed.
    pub fn environment(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code, Kind::Environment, message)
    }

    /// Says what to do next.
    #[must_use]
    pub fn then(mut self, next: impl Into<Cow<'static, str>>) -> Self {
        self.next = next.into();
        self
    }

    /// Says why, with the causes behind it.
    #[must_use]
    pub fn because(mut self, cause: impl Error) -> Self {
        self.causes = causes(&cause);
        self
    }

    /// Says what was saved.
    #[must_use]
    pub const fn saved(mut self, saved: Kept) -> Self {
        self.saved = saved;
        self
    }

    /// Shows `reply` on stdout beside the failure.
    #[must_use]
    pub fn showing(mut self, reply: Reply) -> Self {
        self.shown = Some(Box::new(reply));
        self
    }

    /// Takes what is to be shown on stdout.
    pub fn take_shown(&mut self) -> Option<Reply> {
        self.shown.take().map(|reply| *reply)
    }

    /// The code, such as `wrong-passphrase` or `E-003`.
    #[cfg(test)]
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Writes the failure to stderr, as one JSON object or for people, and gives the exit code. A stderr
    /// that cannot be written changes nothing.
    pub fn tell(&self, json: bool) -> u8 {
        if self.quiet {
            return 0;
        }
        let text = if json { format!("{}\n", self.to_json()) } else { self.to_text() };
        let mut stderr = std::io::stderr().lock();
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
        self.kind.exit_code()
    }

    fn to_json(&self) -> serde_json::Value {
        json!({
            "code": self.code,
            "kind": self.kind.word(),
            "message": self.message,
            "saved": self.saved.word(),
            "next": self.next,
        })
    }

    fn to_text(&self) -> String {
        let mut text = format!("daybook: {} [{}]\n", self.message, self.code);
        for cause in &self.causes {
            text.push_str(&format!("  why:   {cause}\n"));
        }
        text.push_str(&format!("  saved: {}\n", self.saved.sentence()));
        if !self.next.is_empty() {
            text.push_str(&format!("  next:  {}\n", self.next));
        }
        text
    }
}

/// The messages behind an error, outermost first, none twice.
fn causes(error: &dyn Error) -> Vec<String> {
    let mut said = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if said.last() != Some(&text) {
            said.push(text);
        }
        next = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_exit_code() {
        let kinds = [Kind::Usage, Kind::Refused, Kind::Denied, Kind::Environment, Kind::Damaged, Kind::Part, Kind::Bug];
        assert_eq!(kinds.map(Kind::exit_code), [2, 3, 4, 5, 6, 7, 70]);
        assert_eq!(kinds.map(Kind::word), ["usage", "refused", "denied", "environment", "damaged", "part", "bug"]);
    }

    #[test]
    fn people_read_what_why_saved_and_next() {
        let failure = Failure::environment("disk-full", "the disk is full")
            .because(std::io::Error::other("no space left on device"))
            .saved(Kept::Part)
            .then("free some space, then run the command again");
        assert_eq!(
            failure.to_text(),
            "daybook: the disk is full [disk-full]\n  why:   no space left on device\n  \
             saved: a part was written and is safe\n  next:  free some space, then run the command again\n"
        );
    }

    #[test]
    fn scripts_read_five_keys() {
        let value = Failure::usage("bad-date", "no such date").then("write 1943-03-17").to_json();
        assert_eq!(
            value.to_string(),
            r#"{"code":"bad-date","kind":"usage","message":"no such date","next":"write 1943-03-17","saved":"nothing"}"#
        );
    }
}

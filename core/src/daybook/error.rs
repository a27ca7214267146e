//! Why an operation of the book did not do what it was asked: what happened, what was saved, what to do next.

use super::types::{PatientSummary, Warning};
use crate::crypto::KeyFileError;
use crate::log::RunError;
use crate::roster::FoundingError;
use crate::store::{Declined, StoreError};

/// What kind of trouble it is; decides tone and exit code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ErrorKind {
    /// What was asked for does not make sense as it was said.
    Usage,
    /// Something broke a rule; the code names it.
    Refused,
    /// No right, or the wrong passphrase.
    Denied,
    /// The machine: disk, file, another process.
    Environment,
    /// A file is damaged.
    Damaged,
    /// A mistake of this program.
    Bug,
}

/// What is on disk after an error.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Saved {
    /// Nothing of this command.
    Nothing,
    /// What came before the trouble.
    Part,
}

/// Why an operation of the book did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No book in the folder.
    #[error("there is no book in this folder")]
    NoBook,
    /// The folder holds something already.
    #[error("the folder already holds a book")]
    BookExists,
    /// The folder's files are no book.
    #[error("the files in this folder are not a book")]
    NotABook,
    /// Written by a newer version.
    #[error("this book was written by a newer version of the program")]
    NewerBook,
    /// Wrong passphrase.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// The key store erased the key.
    #[error("the key of this book was erased after too many wrong attempts")]
    KeyErased,
    /// The passphrase is too short to be one.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// The `keys` file is damaged.
    #[error("the file `keys` of this book is damaged")]
    KeysDamaged,
    /// Not enough memory to check a passphrase.
    #[error("there is not enough memory to check the passphrase")]
    NoMemory,
    /// The database is damaged.
    #[error("the book is damaged: {0}")]
    Damaged(String),
    /// What every book begins with is lost.
    #[error("nothing can be saved of this book: the founding statement, which it begins with, is lost")]
    BeyondSalvage,
    /// Another process is writing.
    #[error("another program is writing to this book")]
    Busy,
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// The book cannot be written.
    #[error("the book cannot be written")]
    ReadOnly,
    /// The disk failed.
    #[error("the disk failed: {0}")]
    Disk(String),
    /// An earlier write failed.
    #[error("an earlier write failed, and the book has to be opened again")]
    Poisoned,
    /// No such patient.
    #[error("no patient is known by this code, identifier or name")]
    NoSuchPatient,
    /// Several patients fit.
    #[error("several patients fit")]
    Ambiguous {
        /// The patients that fit, at most 20.
        candidates: Vec<PatientSummary>,
    },
    /// The check symbol of a patient code does not fit.
    #[error("the patient code is mistyped: its last symbol does not fit the others")]
    CodeCheck,
    /// No such entry.
    #[error("no entry has this code")]
    NoSuchEntry,
    /// Several entries have this code.
    #[error("several entries have this code")]
    AmbiguousEntry {
        /// Their codes with more of their ids.
        candidates: Vec<String>,
    },
    /// The entry is of another kind than was needed.
    #[error("this entry is not a {expected}")]
    WrongKind {
        /// The kind that was needed.
        expected: &'static str,
    },
    /// The dispense was reversed already, or the fact was taken back.
    #[error("this was taken back already")]
    TakenBack,
    /// No such finding.
    #[error("no finding has this id")]
    NoSuchFinding,
    /// The dispense raises warnings and no reason was given.
    #[error("this dispense raises {} warning(s)", warnings.len())]
    NeedsOverride {
        /// What it would raise.
        warnings: Vec<Warning>,
    },
    /// A value that is empty, too long or does not fit.
    #[error("{what} {why}")]
    Value {
        /// What.
        what: &'static str,
        /// Why.
        why: &'static str,
    },
    /// Too much for one commit.
    #[error("too much for one entry")]
    TooMuch,
    /// This device may not.
    #[error("this device has no right to write this")]
    NoRight,
    /// The shift of this device ended.
    #[error("the shift of this device is over, and its keys were thrown away")]
    ShiftOver,
    /// This device may not be shown who read what.
    #[error("this device has no right to see who read what")]
    NoRightToAudit,
    /// The grant of this device was ended.
    #[error("this device was revoked and can write nothing that counts")]
    Ended,
    /// Nothing was administered.
    #[error(transparent)]
    Administration(#[from] super::AdministrationError),
    /// No key to write with.
    #[error("this device holds no key of the compartment")]
    NoKey,
    /// No compartment of the kind.
    #[error("the incident has no such compartment, or it is not here yet")]
    NoCompartment,
    /// This device began a 65th installation.
    #[error("this computer was restored or copied too often to write under its name")]
    TooManyIncarnations,
    /// A file that is no export of a log.
    #[error("this file is not an export of a Daybook log")]
    NotAnExport,
    /// An export of another incident.
    #[error("this export belongs to another incident")]
    OtherIncident,
    /// An export of a newer version.
    #[error("this export was written by a newer version of the program")]
    NewerExport,
    /// A founding statement that is not valid.
    #[error("founding statement is not valid: {0}")]
    Founding(#[from] FoundingError),
    /// A run that is refused.
    #[error("{0}")]
    Run(#[from] RunError),
    /// A file that could not be read or written.
    #[error("a file could not be read or written: {0}")]
    File(std::io::ErrorKind),
    /// The record is too long for time travel.
    #[error("the history of this record cannot be shown at one moment: {0}")]
    Document(#[from] crate::merge::DocumentError),
    /// Nothing tells where the ids of imported resources come from.
    #[error("nothing tells which system the ids of these resources come from")]
    NoImportSource,
    /// Somebody was not enrolled.
    #[error(transparent)]
    Enrolment(#[from] super::EnrolmentError),
    /// Several roots founded nothing.
    #[error(transparent)]
    Roots(#[from] super::RootsError),
    /// A mistake of this program.
    #[error("something unexpected happened inside the program: {0}")]
    Bug(&'static str),
}

impl Error {
    /// The stable name of the cause, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoBook => "no-book",
            Self::BookExists => "book-exists",
            Self::NotABook => "not-a-book",
            Self::NewerBook => "newer-book",
            Self::WrongPassphrase => "wrong-passphrase",
            Self::KeyErased => "key-erased",
            Self::EmptyPassphrase => "empty-passphrase",
            Self::KeysDamaged => "keys-damaged",
            Self::NoMemory => "no-memory",
            Self::Damaged(_) => "damaged",
            Self::BeyondSalvage => "beyond-salvage",
            Self::Busy => "busy",
            Self::DiskFull => "disk-full",
            Self::ReadOnly => "read-only",
            Self::Disk(_) => "disk-failed",
            Self::Poisoned => "reopen",
            Self::NoSuchPatient => "no-such-patient",
            Self::Ambiguous { .. } => "ambiguous-patient",
            Self::CodeCheck => "mistyped-code",
            Self::NoSuchEntry => "no-such-entry",
            Self::AmbiguousEntry { .. } => "ambiguous-entry",
            Self::WrongKind { .. } => "wrong-kind",
            Self::TakenBack => "taken-back",
            Self::NoSuchFinding => "no-such-finding",
            Self::NeedsOverride { .. } => "needs-override",
            Self::Value { .. } => "value",
            Self::TooMuch => "too-much",
            Self::NoRight => "no-right",
            Self::ShiftOver => "shift-over",
            Self::NoRightToAudit => "no-right-to-audit",
            Self::Ended => "revoked",
            Self::Administration(error) => error.code(),
            Self::NoKey => "no-key",
            Self::NoCompartment => "no-compartment",
            Self::TooManyIncarnations => "too-many-installations",
            Self::NotAnExport => "not-an-export",
            Self::OtherIncident => "other-incident",
            Self::NewerExport => "newer-export",
            Self::Founding(_) => "founding",
            Self::Run(error) => error.code(),
            Self::File(_) => "file",
            Self::Document(_) => "document",
            Self::NoImportSource => "no-import-source",
            Self::Enrolment(error) => error.code(),
            Self::Roots(error) => error.code(),
            Self::Bug(_) => "bug",
        }
    }

    /// What kind of trouble it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSuchPatient
            | Self::Ambiguous { .. }
            | Self::CodeCheck
            | Self::NoSuchEntry
            | Self::AmbiguousEntry { .. }
            | Self::WrongKind { .. }
            | Self::NoSuchFinding
            | Self::Value { .. }
            | Self::TooMuch
            | Self::NoImportSource
            | Self::EmptyPassphrase => ErrorKind::Usage,
            Self::TakenBack
            | Self::NeedsOverride { .. }
            | Self::BookExists
            | Self::NotAnExport
            | Self::OtherIncident
            | Self::NewerExport
            | Self::Founding(_)
            | Self::Document(_)
            | Self::Run(_) => ErrorKind::Refused,
            Self::WrongPassphrase
            | Self::KeyErased
            | Self::NoRight
            | Self::NoRightToAudit
            | Self::ShiftOver
            | Self::Ended
            | Self::NoKey
            | Self::NoCompartment
            | Self::TooManyIncarnations => ErrorKind::Denied,
            Self::NoBook
            | Self::NotABook
            | Self::NewerBook
            | Self::NoMemory
            | Self::Busy
            | Self::DiskFull
            | Self::ReadOnly
            | Self::Disk(_)
            | Self::Poisoned
            | Self::File(_) => ErrorKind::Environment,
            Self::KeysDamaged | Self::Damaged(_) | Self::BeyondSalvage => ErrorKind::Damaged,
            Self::Enrolment(error) => error.kind(),
            Self::Roots(error) => error.kind(),
            Self::Administration(error) => error.kind(),
            Self::Bug(_) => ErrorKind::Bug,
        }
    }

    /// What is on disk after it.
    #[must_use]
    pub const fn saved(&self) -> Saved {
        match self {
            Self::Poisoned | Self::Disk(_) => Saved::Part,
            _ => Saved::Nothing,
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next(&self) -> &'static str {
        match self {
            Self::NoBook => "choose the folder with --book, or begin a book with `daybook init`",
            Self::BookExists => "choose another folder with --book, or use the book that is there",
            Self::NotABook => "choose the folder of a book with --book; nothing in this one was changed",
            Self::NewerBook | Self::NewerExport => "install the newer version of the program; nothing was changed",
            Self::WrongPassphrase => "try again; it was counted, and nothing is locked or erased",
            Self::KeyErased => {
                "ask an administrator to enrol this device anew; what other devices hold of the book is safe"
            }
            Self::EmptyPassphrase => "choose a passphrase of several words",
            Self::KeysDamaged => "put back the file `keys` from a backup; the book itself was not touched",
            Self::NoMemory => "close other programs and try again",
            Self::Damaged(_) => {
                "save what is whole into a new book with `daybook salvage`, then sync it; nothing in this folder is changed by that"
            }
            Self::BeyondSalvage => {
                "keep this folder; restore the newest backup, or ask an administrator to admit this computer again"
            }
            Self::Busy => "try again in a moment",
            Self::DiskFull => "free some space and do it again; everything confirmed before is safe",
            Self::ReadOnly => "check that the disk is not write-protected and that the folder belongs to you",
            Self::Disk(_) => "open the book again and check with `daybook status` whether the last entry is there",
            Self::Poisoned => "open the book again",
            Self::NoSuchPatient => "look with `daybook patient find`, or add the patient",
            Self::Ambiguous { .. } => "use the code of one of them",
            Self::CodeCheck => "read the code again, or look with `daybook patient find`",
            Self::NoSuchEntry => "look up the entry with `daybook log` or `daybook patient show`",
            Self::AmbiguousEntry { .. } => "use one of the longer codes",
            Self::WrongKind { .. } => "look up the right entry with `daybook patient show`",
            Self::TakenBack => "nothing needs to be done; look with `daybook patient show`",
            Self::NoSuchFinding => "look with `daybook findings`",
            Self::NeedsOverride { .. } => "look at the warnings; to dispense all the same give --override REASON",
            Self::Value { .. } => "correct the value and do it again",
            Self::TooMuch => "do it in several smaller steps",
            Self::NoRight => "ask an administrator of the incident",
            Self::ShiftOver => {
                "ask an administrator for `daybook enrol extend`, then sync; what you wrote is still here"
            }
            Self::NoRightToAudit => "ask an administrator or an auditor of the incident to look",
            Self::Ended => {
                "nothing that is here is lost; let this book sync, and ask an administrator to endorse what waits or to admit this device again"
            }
            Self::Administration(error) => error.next(),
            Self::TooManyIncarnations => {
                "sync once more, then let an administrator enrol this computer as a new device"
            }
            Self::NoKey | Self::NoCompartment => "meet a device of your organisation and sync, then do it again",
            Self::NotAnExport => "give a file that `daybook export log` made",
            Self::OtherIncident => "open the book of that incident with --book",
            Self::Founding(_) | Self::Run(_) => "ask for the file again from where it came",
            Self::File(_) => "check the path and the free space, then do it again",
            Self::Document(_) => "look at the whole history without --at",
            Self::NoImportSource => "name the system with --source URI; use the same one for every import from it",
            Self::Enrolment(error) => error.next(),
            Self::Roots(error) => error.next(),
            Self::Bug(_) => "please report this, with the command and without patient data",
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing => Self::NoBook,
            StoreError::Exists => Self::BookExists,
            StoreError::NotABook => Self::NotABook,
            StoreError::Newer(_) => Self::NewerBook,
            StoreError::Damaged(what) => Self::Damaged(what),
            StoreError::Busy => Self::Busy,
            StoreError::Full => Self::DiskFull,
            StoreError::ReadOnly => Self::ReadOnly,
            StoreError::Disk(what) => Self::Disk(what),
            StoreError::Poisoned => Self::Poisoned,
            StoreError::Bug(source) => {
                tracing::error!(code = ?source.sqlite_error_code(), "unexpected answer of the database");
                Self::Bug("the database gave an unexpected answer")
            }
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<Declined> for Error {
    fn from(declined: Declined) -> Self {
        match declined {
            Declined::Store(error) => error.into(),
            Declined::Incarnations => Self::TooManyIncarnations,
            Declined::DoesNotJoin | Declined::Flood | Declined::TooManyLogs => {
                Self::Bug("an own entry does not fit the own log")
            }
        }
    }
}

impl From<KeyFileError> for Error {
    fn from(error: KeyFileError) -> Self {
        match error {
            KeyFileError::NotAKeyFile => Self::NotABook,
            KeyFileError::Newer { .. } => Self::NewerBook,
            KeyFileError::Damaged => Self::KeysDamaged,
            KeyFileError::WrongPassphrase => Self::WrongPassphrase,
            KeyFileError::OutOfMemory => Self::NoMemory,
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull => Self::DiskFull,
            std::io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            kind => Self::File(kind),
        }
    }
}

//! Joins the errors of the book to failures: the one place where the two meet.

use std::error::Error as _;

use daybook_core::daybook::{Error, ErrorKind, Saved};

use super::{Failure, Kept, Kind, causes};
use crate::output::Reply;
use crate::show;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Usage => Kind::Usage,
            ErrorKind::Refused => Kind::Refused,
            ErrorKind::Denied => Kind::Denied,
            ErrorKind::Environment => Kind::Environment,
            ErrorKind::Damaged => Kind::Damaged,
            ErrorKind::Bug => Kind::Bug,
        };
        let saved = match error.saved() {
            Saved::Nothing => Kept::Nothing,
            Saved::Part => Kept::Part,
        };
        let mut failure = Self::new(error.code(), kind, error.to_string()).saved(saved).then(error.next().to_string());
        failure.causes = error.source().map(causes).unwrap_or_default();
        match shown(&error) {
            Some(reply) => failure.showing(reply),
            None => failure,
        }
    }
}

/// What a person must see to decide; it names patients and so belongs on stdout.
fn shown(error: &Error) -> Option<Reply> {
    match error {
        Error::Ambiguous { candidates } => Some(show::lists::candidates(candidates)),
        Error::NeedsOverride { warnings } => Some(show::lists::warnings(warnings)),
        _ => None,
    }
}

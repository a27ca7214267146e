//! The request of another root: its device's keys, who holds it, and the organisation that it stands for.
//!
//! ```text
//! root request     version 1 | organisation length 1 | organisation (text, 1 to 120 bytes) | enrolment request
//! ```

use crate::clock::Host;
use crate::daybook::Daybook;
use crate::daybook::enrolment::{CodeKind, EnrolmentError, EnrolmentRequest};
use crate::daybook::error::Error;
use std::path::Path;

const VERSION: u8 = 1;
/// Longest name in bytes, so that a request stays one piece.
const ORGANISATION_BYTES_MAX: usize = 120;

/// Who asks to be one of several roots.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RootRequest {
    organisation: String,
    request: EnrolmentRequest,
}

impl RootRequest {
    /// A request for an organisation.
    ///
    /// # Errors
    /// [`Error::Value`] if the name is empty or longer than 120 bytes.
    pub fn new(organisation: &str, request: EnrolmentRequest) -> Result<Self, Error> {
        let organisation = checked(organisation)?;
        Ok(Self { organisation: organisation.to_owned(), request })
    }

    /// The bytes inside the code.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = u8::try_from(self.organisation.len()).unwrap_or(u8::MAX);
        [&[VERSION, length][..], self.organisation.as_bytes(), &self.request.to_bytes()].concat()
    }

    /// Reads the bytes inside the code.
    ///
    /// # Errors
    /// [`EnrolmentError::NewerCode`] or [`EnrolmentError::Damaged`].
    pub fn read(bytes: &[u8]) -> Result<Self, EnrolmentError> {
        let ([version, length], rest) = bytes.split_first_chunk().ok_or(EnrolmentError::Damaged)?;
        if *version != VERSION {
            return Err(EnrolmentError::NewerCode);
        }
        let (organisation, request) = rest.split_at_checked(usize::from(*length)).ok_or(EnrolmentError::Damaged)?;
        let organisation = std::str::from_utf8(organisation).map_err(|_| EnrolmentError::Damaged)?;
        let read = Self::new(organisation, EnrolmentRequest::read(request)?).map_err(|_| EnrolmentError::Damaged)?;
        if read.organisation == organisation { Ok(read) } else { Err(EnrolmentError::Damaged) }
    }

    /// The code that people scan or paste: one piece.
    ///
    /// # Errors
    /// None that a request of this size causes.
    pub fn code(&self) -> Result<Vec<String>, EnrolmentError> {
        CodeKind::RootRequest.write(&self.to_bytes())
    }

    /// Reads the codes of one or more roots as people paste them; one that is there twice counts once.
    ///
    /// # Errors
    /// [`EnrolmentError`] says what is wrong with them.
    pub fn parse_all(codes: &str) -> Result<Vec<Self>, EnrolmentError> {
        CodeKind::RootRequest.read_all(codes)?.iter().map(|bytes| Self::read(bytes)).collect()
    }

    /// The organisation that the root stands for.
    #[must_use]
    pub fn organisation(&self) -> &str {
        &self.organisation
    }

    /// Whose device it is, with which keys.
    #[must_use]
    pub const fn request(&self) -> &EnrolmentRequest {
        &self.request
    }
}

impl Daybook {
    /// Makes a device's keys and its request to be a root, and keeps the keys in the folder under the passphrase. A
    /// request of the same person that waits already is given again, unless `anew`.
    ///
    /// # Errors
    /// As [`Daybook::begin_request`]; [`Error::Value`] if the organisation has no name, or a long one.
    pub fn begin_root_request(
        folder: &Path,
        passphrase: &[u8],
        (person, organisation): (&str, &str),
        anew: bool,
        host: &mut dyn Host,
    ) -> Result<RootRequest, Error> {
        let organisation = checked(organisation)?;
        RootRequest::new(organisation, Self::begin_request(folder, passphrase, person, anew, host)?)
    }
}

/// The name of an organisation without spaces around it, if it is one.
fn checked(organisation: &str) -> Result<&str, Error> {
    let organisation = organisation.trim();
    if organisation.is_empty() {
        return Err(Error::Value { what: "the organisation", why: "must not be empty" });
    }
    if organisation.len() > ORGANISATION_BYTES_MAX {
        return Err(Error::Value { what: "the organisation", why: "is longer than 120 bytes" });
    }
    Ok(organisation)
}

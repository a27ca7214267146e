//! The newcomer's request: who asks, with which keys; kept in the folder until the reply is accepted.
//!
//! ```text
//! request          version 1 | device keys 96 | person (text, 1 to 120 bytes)
//! file `request`   key file 134 | sealed field: device secret 96 | person
//! ```

use super::code::{Characters, CodeKind};
use super::error::EnrolmentError;
use super::waiting::{Found, Waiting};
use crate::clock::Host;
use crate::crypto::{DevicePublic, DeviceSecret, Label, Secret, SecretBytes, derive};
use crate::daybook::Daybook;
use crate::daybook::error::Error;
use crate::daybook::founding::holds_a_book;
use std::path::Path;

/// The file of a folder in which a request waits.
const FILE: Waiting = Waiting { name: "request", bytes_max: 4_096 };
const VERSION: u8 = 1;
/// Longest name in bytes, so that a request stays below 250 bytes.
const PERSON_BYTES_MAX: usize = 120;

/// Who asks to take part, and with which keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EnrolmentRequest {
    device: DevicePublic,
    person: String,
}

impl EnrolmentRequest {
    /// A request of a device.
    ///
    /// # Errors
    /// [`Error::Value`] if the name is empty or longer than 120 bytes.
    pub fn new(device: DevicePublic, person: &str) -> Result<Self, Error> {
        let person = person.trim();
        if person.is_empty() {
            return Err(Error::Value { what: "the person", why: "must not be empty" });
        }
        if person.len() > PERSON_BYTES_MAX {
            return Err(Error::Value { what: "the person", why: "is longer than 120 bytes" });
        }
        Ok(Self { device, person: person.to_owned() })
    }

    /// The bytes inside the code.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&[VERSION][..], &self.device.to_bytes(), self.person.as_bytes()].concat()
    }

    /// Reads the bytes inside the code.
    ///
    /// # Errors
    /// [`EnrolmentError::NewerCode`] or [`EnrolmentError::Damaged`].
    pub fn read(bytes: &[u8]) -> Result<Self, EnrolmentError> {
        let (version, rest) = bytes.split_first().ok_or(EnrolmentError::Damaged)?;
        if *version != VERSION {
            return Err(EnrolmentError::NewerCode);
        }
        let (keys, person) = rest.split_at_checked(DevicePublic::BYTES).ok_or(EnrolmentError::Damaged)?;
        let device = DevicePublic::parse(keys).map_err(|_| EnrolmentError::Damaged)?;
        let person = std::str::from_utf8(person).map_err(|_| EnrolmentError::Damaged)?;
        let request = Self::new(device, person).map_err(|_| EnrolmentError::Damaged)?;
        if request.person == person { Ok(request) } else { Err(EnrolmentError::Damaged) }
    }

    /// The code that people scan or paste: one piece.
    ///
    /// # Errors
    /// None that a request of this size causes.
    pub fn code(&self) -> Result<Vec<String>, EnrolmentError> {
        CodeKind::Request.write(&self.to_bytes())
    }

    /// Reads a code as people paste it.
    ///
    /// # Errors
    /// [`EnrolmentError`] says what is wrong with it.
    pub fn parse(code: &str) -> Result<Self, EnrolmentError> {
        Self::read(&CodeKind::Request.read(code)?)
    }

    /// The newcomer's public keys.
    #[must_use]
    pub const fn device(&self) -> &DevicePublic {
        &self.device
    }

    /// The newcomer's name, as the newcomer gave it.
    #[must_use]
    pub fn person(&self) -> &str {
        &self.person
    }

    /// The request's hash, which the reply is bound to.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        derive(Label::GrantRequest, &[&self.to_bytes()])
    }

    /// What both screens show before anything is granted.
    #[must_use]
    pub fn characters(&self) -> Characters {
        Characters::of(&self.hash())
    }
}

/// A request that waits in a folder, with its secret keys.
pub(in crate::daybook) struct Pending {
    pub device: DeviceSecret,
    pub request: EnrolmentRequest,
}

impl Daybook {
    /// Makes a device's keys and its request, and keeps both in the folder under the passphrase. A request of
    /// the same person that waits already is given again, unless `anew`.
    ///
    /// # Errors
    /// [`Error::BookExists`]; [`Error::WrongPassphrase`] of a request that waits;
    /// [`EnrolmentError::RequestWaits`] if it is another person's.
    pub fn begin_request(
        folder: &Path,
        passphrase: &[u8],
        person: &str,
        anew: bool,
        host: &mut dyn Host,
    ) -> Result<EnrolmentRequest, Error> {
        if holds_a_book(folder) {
            return Err(Error::BookExists);
        }
        let device = DeviceSecret::random(host);
        let request = EnrolmentRequest::new(device.public(), person)?;
        if !anew && FILE.is_in(folder) {
            let waiting = Pending::read(folder, passphrase)?;
            let same = waiting.request.person == request.person;
            return if same { Ok(waiting.request) } else { Err(EnrolmentError::RequestWaits.into()) };
        }
        let text = SecretBytes::new([&device.to_secret().expose()[..], request.person.as_bytes()].concat());
        FILE.write(folder, passphrase, text.expose(), host)?;
        Ok(request)
    }
}

impl Pending {
    /// Reads the request that waits in a folder.
    pub fn read(folder: &Path, passphrase: &[u8]) -> Result<Self, Error> {
        let text = match FILE.read(folder, passphrase)? {
            Found::Text(text) => text,
            Found::Damaged => return Err(EnrolmentError::RequestDamaged.into()),
            Found::Nothing if holds_a_book(folder) => return Err(EnrolmentError::AlreadyMember.into()),
            Found::Nothing => return Err(EnrolmentError::NoRequest.into()),
        };
        let damaged = || Error::from(EnrolmentError::RequestDamaged);
        let (secret, person) = text.expose().split_at_checked(96).ok_or_else(damaged)?;
        let device = DeviceSecret::from_secret(&Secret::from_slice(secret).ok_or_else(damaged)?);
        let person = std::str::from_utf8(person).map_err(|_| damaged())?;
        Ok(Self { request: EnrolmentRequest::new(device.public(), person)?, device })
    }

    /// Takes the request away, after its reply was accepted.
    pub fn remove(folder: &Path) {
        FILE.remove(folder);
    }
}

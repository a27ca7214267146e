//! The administrator's reply: all that a newcomer needs to write at once, sealed to the newcomer's wrap key.
//!
//! ```text
//! { 1: grant path (bytes), 2: [control run (bytes), ...], 3: admission secret (bytes 32),
//!   4: [[compartment (bytes 32), history (truth value), secret (bytes 32)], ...], 5: [address (text), ...] }
//! ```
//!
//! Keys 2, 4 and 5 are left out where they would be empty.

use super::code::{Characters, CodeKind};
use super::error::EnrolmentError;
use super::request::EnrolmentRequest;
use crate::codec::{Malformed, Reader, Writer, check};
use crate::crypto::{EpochSecret, Label, ReadingKey, Secret, SecretBytes, derive};
use crate::id::{CompartmentId, KeyId};
use crate::limits::TEXT_BYTES_MAX;
use crate::store::{Secrets, StoredSecret};

/// Most control runs, secrets and addresses of one reply.
const LIST_MAX: usize = 1_024;

/// A sealed reply, as it goes to the newcomer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EnrolmentReply {
    pub(super) request: [u8; 32],
    pub(super) sealed: Vec<u8>,
}

impl EnrolmentReply {
    /// The code that people scan or paste, in as many pieces as it needs.
    ///
    /// # Errors
    /// [`EnrolmentError::TooLong`] above 255 pieces.
    pub fn code(&self) -> Result<Vec<String>, EnrolmentError> {
        CodeKind::Reply.write(&self.sealed)
    }

    /// The sealed bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.sealed
    }

    /// What both screens show before the reply takes effect.
    #[must_use]
    pub fn characters(&self) -> Characters {
        comparison(&self.request, &self.sealed)
    }
}

/// The characters over a request's hash and a sealed reply: 60 bits.
pub(super) fn comparison(request: &[u8; 32], sealed: &[u8]) -> Characters {
    Characters::of(&derive(Label::Comparison, &[request, sealed]))
}

impl EnrolmentRequest {
    /// What both screens show for a reply to this request.
    #[must_use]
    pub fn characters_with(&self, reply: &[u8]) -> Characters {
        comparison(&self.hash(), reply)
    }
}

/// What stands in a reply.
pub(super) struct ReplyText {
    pub path: Vec<u8>,
    pub control: Vec<Vec<u8>>,
    pub admission: Secret<32>,
    pub secrets: Secrets,
    pub addresses: Vec<String>,
}

impl ReplyText {
    pub fn to_bytes(&self) -> SecretBytes {
        let optional = [self.control.is_empty(), self.secrets.is_empty(), self.addresses.is_empty()];
        let mut to = Writer::new();
        to.map(2 + optional.iter().filter(|empty| !**empty).count()).uint(1).bytes(&self.path);
        if !self.control.is_empty() {
            to.uint(2).list(self.control.len());
            self.control.iter().for_each(|run| {
                to.bytes(run);
            });
        }
        to.uint(3).bytes(self.admission.expose());
        if !self.secrets.is_empty() {
            to.uint(4).list(self.secrets.len());
            for (_, compartment, secret) in &self.secrets {
                let (history, bytes) = match secret {
                    StoredSecret::History(secret) => (true, secret.secret().expose()),
                    StoredSecret::Reading(key) => (false, key.expose()),
                };
                to.list(3).bytes(compartment.as_bytes()).bool(history).bytes(bytes);
            }
        }
        if !self.addresses.is_empty() {
            to.uint(5).list(self.addresses.len());
            self.addresses.iter().for_each(|address| {
                to.text(address);
            });
        }
        SecretBytes::new(to.finish())
    }

    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        check(bytes)?;
        let from = &mut Reader::new(bytes);
        let mut fields = from.fields()?;
        let (mut path, mut admission) = (None, None);
        let (mut control, mut secrets, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(key) = fields.next(from)? {
            match key {
                1 => path = Some(from.bytes()?.to_vec()),
                2 => {
                    for _ in 0..from.list(LIST_MAX)? {
                        control.push(from.bytes()?.to_vec());
                    }
                }
                3 => admission = Some(Secret::new(from.array()?)),
                4 => {
                    for _ in 0..from.list(LIST_MAX)? {
                        secrets.push(read_secret(from)?);
                    }
                }
                5 => {
                    for _ in 0..from.list(LIST_MAX)? {
                        addresses.push(from.text(TEXT_BYTES_MAX)?.to_owned());
                    }
                }
                _ => return Err(Malformed::Newer),
            }
        }
        let (path, admission) = (path.ok_or(Malformed::Schema)?, admission.ok_or(Malformed::Schema)?);
        Ok(Self { path, control, admission, secrets, addresses })
    }
}

/// A secret says itself of which key it is.
fn read_secret(from: &mut Reader<'_>) -> Result<(KeyId, CompartmentId, StoredSecret), Malformed> {
    from.tuple(3)?;
    let compartment = CompartmentId::new(from.array()?);
    let history = from.bool()?;
    let secret = Secret::new(from.array()?);
    let secret = if history {
        StoredSecret::History(EpochSecret::from_secret(secret))
    } else {
        StoredSecret::Reading(ReadingKey::from_secret(secret).secret().clone())
    };
    Ok((secret.reading_key().key_id(), compartment, secret))
}

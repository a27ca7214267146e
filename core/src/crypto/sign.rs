//! Ed25519 signatures, each for one purpose: `daybook 1 <purpose>` stands before what is signed.
//!
//! Signatures are never hashed or compared: two honest programs may sign the same bytes differently.

use ed25519_dalek::Signer;

use super::hash::{Label, derive};
use super::{Secret, joined};
use crate::id::{EntryId, LogId};

/// What a signature says. No prefix begins another, so none can be read for a second purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// The chain of a log up to an entry.
    Head,
    /// The founding statement.
    Founding,
    /// What a device durably holds.
    Receipt,
    /// How far a device's logs go.
    Frontier,
    /// A newcomer's request.
    Request,
    /// A root's approval.
    Approval,
}

impl Purpose {
    /// The bytes before the message.
    #[must_use]
    pub const fn prefix(self) -> &'static [u8] {
        match self {
            Self::Head => b"daybook 1 head",
            Self::Founding => b"daybook 1 founding",
            Self::Receipt => b"daybook 1 receipt",
            Self::Frontier => b"daybook 1 frontier",
            Self::Request => b"daybook 1 request",
            Self::Approval => b"daybook 1 approval",
        }
    }
}

/// A signature as it travels.
#[derive(Clone, Copy, Debug)]
pub struct Signature(pub [u8; 64]);

/// The signature is not that key's over that message and purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the signature does not fit")]
pub struct BadSignature;

/// Why bytes are no usable public key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadPublicKey {
    /// Of another length, no point of the curve, or not in its one canonical spelling.
    #[error("not a public key")]
    Malformed,
    /// A point of low order: anybody could sign for it, or know what it agrees on.
    #[error("a public key of low order")]
    LowOrder,
}

/// A device's secret signing key.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// Makes the key of 32 secret bytes.
    #[must_use]
    pub fn from_secret(secret: &Secret<32>) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(secret.expose()))
    }

    /// The 32 secret bytes, to be kept in the store.
    #[must_use]
    pub fn secret(&self) -> Secret<32> {
        Secret::new(self.0.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    /// Signs a message for a purpose.
    #[must_use]
    pub fn sign(&self, purpose: Purpose, message: &[u8]) -> Signature {
        Signature(self.0.sign(&[purpose.prefix(), message].concat()).to_bytes())
    }

    /// Signs the newest entry of a branch, and with it the chain behind it.
    #[must_use]
    pub fn sign_head(&self, log: LogId, seq: u64, entry: EntryId) -> Signature {
        self.sign(Purpose::Head, &head(log, seq, entry))
    }

    /// Signs a founding statement.
    #[must_use]
    pub fn sign_founding(&self, statement: &[u8]) -> Signature {
        self.sign(Purpose::Founding, &derive(Label::Founding, &[statement]))
    }
}

/// A device's public signing key: a point of the curve, canonically spelt, not of low order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    /// Reads a key that came in.
    ///
    /// # Errors
    /// [`BadPublicKey`].
    pub fn parse(bytes: &[u8; 32]) -> Result<Self, BadPublicKey> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| BadPublicKey::Malformed)?;
        if key.is_weak() {
            return Err(BadPublicKey::LowOrder);
        }
        // A point has other spellings that decompress too; a device id hashes the spelling.
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(BadPublicKey::Malformed);
        }
        Ok(Self(key))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Verifies a signature over a message for a purpose: about 36 µs.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, purpose: Purpose, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0.verify_strict(&[purpose.prefix(), message].concat(), &signature).map_err(|_| BadSignature)
    }

    /// Verifies the signature of a head.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify_head(&self, log: LogId, seq: u64, entry: EntryId, signature: &Signature) -> Result<(), BadSignature> {
        self.verify(Purpose::Head, &head(log, seq, entry), signature)
    }

    /// Verifies the signature of a founding statement.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify_founding(&self, statement: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        self.verify(Purpose::Founding, &derive(Label::Founding, &[statement]), signature)
    }
}

fn head(log: LogId, seq: u64, entry: EntryId) -> [u8; 72] {
    joined(&[log.as_bytes(), &seq.to_le_bytes(), entry.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::flips;

    const ALL: [Purpose; 6] =
        [Purpose::Head, Purpose::Founding, Purpose::Receipt, Purpose::Frontier, Purpose::Request, Purpose::Approval];
    const LOG: LogId = LogId::new([1; 32]);
    const ENTRY: EntryId = EntryId::new([2; 32]);

    fn key() -> SigningKey {
        SigningKey::from_secret(&Secret::new([3; 32]))
    }

    #[test]
    fn a_head_verifies_and_one_flipped_bit_fails() {
        let (public, signature) = (key().verifying_key(), key().sign_head(LOG, 64, ENTRY));
        assert_eq!(public.verify_head(LOG, 64, ENTRY, &signature), Ok(()));
        assert_eq!(public.verify_head(LOG, 65, ENTRY, &signature), Err(BadSignature));
        assert_eq!(public.verify_head(LogId::ZERO, 64, ENTRY, &signature), Err(BadSignature));
        assert_eq!(public.verify_head(LOG, 64, EntryId::ZERO, &signature), Err(BadSignature));
        for flipped in flips(&signature.0) {
            let signature = Signature(flipped.try_into().unwrap());
            assert_eq!(public.verify_head(LOG, 64, ENTRY, &signature), Err(BadSignature));
        }
    }

    #[test]
    fn a_signature_serves_one_purpose() {
        for purpose in ALL {
            let signature = key().sign(purpose, b"message");
            for other in ALL {
                let verdict = key().verifying_key().verify(other, b"message", &signature);
                assert_eq!(verdict.is_ok(), purpose == other);
                assert!(purpose == other || !purpose.prefix().starts_with(other.prefix()));
            }
        }
    }

    #[test]
    fn a_founding_statement_is_signed_by_its_hash() {
        let signature = key().sign_founding(b"statement");
        assert_eq!(key().verifying_key().verify_founding(b"statement", &signature), Ok(()));
        assert_eq!(key().verifying_key().verify_founding(b"statemenT", &signature), Err(BadSignature));
        let hash = derive(Label::Founding, &[b"statement"]);
        assert_eq!(key().verifying_key().verify(Purpose::Founding, &hash, &signature), Ok(()));
    }

    #[test]
    fn keys_of_low_order_or_another_spelling_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut order_two = [0xff; 32];
        (order_two[0], order_two[31]) = (0xec, 0x7f);
        for weak in [identity, order_two, [0; 32]] {
            assert_eq!(VerifyingKey::parse(&weak), Err(BadPublicKey::LowOrder));
        }
        let refused = (0_u8..=255).filter(|y| {
            // y + p for small y: the same point as y, spelt a second time.
            let mut spelling = [0xff; 32];
            (spelling[0], spelling[31]) = (*y, 0x7f);
            *y >= 0xed && VerifyingKey::parse(&spelling).is_ok()
        });
        assert_eq!(refused.count(), 0);
        let no_point = (0..=255).map(|y| [y; 32]).find(|b| VerifyingKey::parse(b) == Err(BadPublicKey::Malformed));
        assert!(no_point.is_some());
        assert_eq!(VerifyingKey::parse(key().verifying_key().as_bytes()), Ok(key().verifying_key()));
    }
}

//! X25519: two devices agree on a secret. Keys of low order and all-zero results are refused.

use std::fmt;

use x25519_dalek::{PublicKey, StaticSecret};

use super::hash::Label;
use super::sign::BadPublicKey;
use super::{Secret, aead};
use crate::clock::Host;
use crate::id::hex;

/// The coordinates of low order in canonical spelling: of order 2 and 4, of order 8 (two), and of order 4 on
/// the twist, whose orders go no further (RFC 7748 section 4.1; Bernstein, "Curve25519", PKC 2006, section 3).
const LOW_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    *b"\xe0\xeb\x7a\x7c\x3b\x41\xb8\xae\x16\x56\xe3\xfa\xf1\x9f\xc4\x6a\xda\x09\x8d\xeb\x9c\x32\xb1\xfd\x86\x62\x05\x16\x5f\x49\xb8\x00",
    *b"\x5f\x9c\x95\xbc\xa3\x50\x8c\x24\xb1\xd0\xb1\x55\x9c\x83\xef\x5b\x04\x44\x5c\xc4\x58\x1c\x8e\x86\xd8\x22\x4e\xdd\xd0\x9f\x11\x57",
    *b"\xec\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
];

/// A public X25519 key: canonically spelt, not of low order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgreementPublic([u8; 32]);

impl AgreementPublic {
    /// Reads a key that came in.
    ///
    /// # Errors
    /// [`BadPublicKey`].
    pub fn parse(bytes: &[u8; 32]) -> Result<Self, BadPublicKey> {
        if LOW_ORDER.contains(bytes) {
            return Err(BadPublicKey::LowOrder);
        }
        // Below 2^255 - 19: X25519 takes other spellings too, and a device id hashes the spelling.
        let [first, middle @ .., last] = bytes;
        let canonical = *last < 0x7f || *last == 0x7f && (*first < 0xed || middle.iter().any(|byte| *byte != 0xff));
        if canonical { Ok(Self(*bytes)) } else { Err(BadPublicKey::Malformed) }
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for AgreementPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgreementPublic({})", hex(&self.0))
    }
}

/// The other key added nothing to the result, which is all zeros.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the keys agree on nothing secret")]
pub struct NotContributory;

/// A secret X25519 key and its public half.
pub struct AgreementSecret {
    secret: StaticSecret,
    public: AgreementPublic,
}

impl AgreementSecret {
    /// Makes the key of 32 secret bytes.
    #[must_use]
    pub fn from_secret(secret: &Secret<32>) -> Self {
        let secret = StaticSecret::from(*secret.expose());
        Self { public: AgreementPublic(PublicKey::from(&secret).to_bytes()), secret }
    }

    /// Draws a key that seals `text` and is then forgotten.
    ///
    /// Drawn from randomness *and* the text: should a host's randomness repeat, it repeats a key only for
    /// the same text.
    pub fn ephemeral(host: &mut dyn Host, text: &[u8]) -> Self {
        let randomness = Secret::<32>::random(host);
        Self::from_secret(&Secret::derived(Label::Ephemeral, &[randomness.expose(), text]))
    }

    /// The 32 secret bytes, to be kept in the store.
    #[must_use]
    pub fn secret(&self) -> Secret<32> {
        Secret::new(self.secret.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> AgreementPublic {
        self.public
    }

    /// The secret that the owner of `theirs` finds too. It is no key yet: derive one that names both.
    ///
    /// # Errors
    /// [`NotContributory`].
    pub fn agree(&self, theirs: &AgreementPublic) -> Result<Secret<32>, NotContributory> {
        let shared = self.secret.diffie_hellman(&PublicKey::from(theirs.0));
        if shared.was_contributory() { Ok(Secret::new(shared.to_bytes())) } else { Err(NotContributory) }
    }
}

/// The cipher that seals one text from an ephemeral key to a device's wrap key.
///
/// Its nonce is [`ONCE`](super::aead::ONCE): the key hangs on the ephemeral one, which
/// [`AgreementSecret::ephemeral`] drew for this text and forgets.
pub(super) fn cipher_for_one_text(
    label: Label,
    context: &[&[u8]],
    wrap: &AgreementPublic,
    ephemeral: &AgreementPublic,
    agreed: &Secret<32>,
) -> aead::Cipher {
    let keys: [&[u8]; 3] = [&wrap.0, &ephemeral.0, agreed.expose()];
    aead::cipher(&Secret::derived(label, &[context, &keys].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::TestHost;

    fn key(seed: u8) -> AgreementSecret {
        AgreementSecret::from_secret(&Secret::new([seed; 32]))
    }

    #[test]
    fn two_devices_agree() {
        let (one, two) = (key(1).agree(&key(2).public()).unwrap(), key(2).agree(&key(1).public()).unwrap());
        assert_eq!(one.expose(), two.expose());
        assert_ne!(one.expose(), key(1).agree(&key(3).public()).unwrap().expose());
        assert_eq!(AgreementPublic::parse(key(1).public().as_bytes()), Ok(key(1).public()));
    }

    #[test]
    fn keys_of_low_order_are_refused_and_agree_on_nothing() {
        for bytes in LOW_ORDER {
            assert_eq!(AgreementPublic::parse(&bytes), Err(BadPublicKey::LowOrder));
            assert_eq!(key(1).agree(&AgreementPublic(bytes)).unwrap_err(), NotContributory);
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        let mut bytes = [0xff; 32];
        bytes[31] = 0x7f;
        for first in 0xed..=0xff {
            bytes[0] = first;
            assert_eq!(AgreementPublic::parse(&bytes), Err(BadPublicKey::Malformed));
        }
        let mut high_bit = *key(1).public().as_bytes();
        high_bit[31] |= 0x80;
        assert_eq!(AgreementPublic::parse(&high_bit), Err(BadPublicKey::Malformed));
        bytes[0] = 0xeb;
        assert!(AgreementPublic::parse(&bytes).is_ok());
    }

    #[test]
    fn repeated_randomness_repeats_an_ephemeral_only_for_the_same_text() {
        let drawn = |seed, text| AgreementSecret::ephemeral(&mut TestHost(seed), text).public();
        assert_eq!(drawn(1, b"text"), drawn(1, b"text"));
        assert_ne!(drawn(1, b"text"), drawn(1, b"texT"));
        assert_ne!(drawn(1, b"text"), drawn(2, b"text"));
    }
}

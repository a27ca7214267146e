//! Secret bytes in memory: wiped when dropped, never printed, never compared.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::hash::{Label, derive, derive_short};
use crate::clock::Host;
use crate::id::hex;

/// `N` secret bytes; wiped on drop. A move may leave a copy behind, so keep long-lived ones in place.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    /// Takes the bytes as they are.
    #[must_use]
    pub const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// Reads a secret from a slice of exactly the right length.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Draws a secret from the host's randomness.
    pub fn random(host: &mut dyn Host) -> Self {
        let mut secret = Self([0; N]);
        host.fill(&mut secret.0);
        secret
    }

    /// The bytes, for use in this expression only.
    #[must_use]
    pub const fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

impl Secret<32> {
    /// Derives a secret from secret parts.
    #[must_use]
    pub fn derived(label: Label, parts: &[&[u8]]) -> Self {
        Self(derive(label, parts))
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", fingerprint(&self.0))
    }
}

/// Secret bytes of any length; wiped on drop. Never grows, so no copy is left where it was.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Takes the bytes as they are.
    #[must_use]
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, for use in this expression only.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes({})", fingerprint(&self.0))
    }
}

/// The first 4 bytes of a hash: enough to tell two secrets apart in a log, too few to find one.
fn fingerprint(bytes: &[u8]) -> String {
    hex(&derive_short::<4>(Label::Fingerprint, &[bytes]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_only_a_fingerprint() {
        let text = format!("{:?}", Secret::new([0xab; 32]));
        assert!(text.len() == "Secret(00000000)".len() && !text.contains("abab") && !text.contains("171"));
        assert_eq!(format!("{:?}", SecretBytes::new(vec![0xab; 32])), text.replace("Secret", "SecretBytes"));
        assert_ne!(text, format!("{:?}", Secret::new([0xac; 32])));
    }

    #[test]
    fn a_wiped_secret_is_zero() {
        let mut secret = Secret::new([9; 16]);
        secret.zeroize();
        assert_eq!(secret.expose(), &[0; 16]);
        const { assert!(std::mem::needs_drop::<Secret<16>>() && std::mem::needs_drop::<SecretBytes>()) };
    }
}

//! XChaCha20-Poly1305 on reused buffers, for the rest of this station.
//!
//! Sealed by one library and opened by another, which is faster on texts of a few hundred bytes: every entry that
//! a device writes and reads back is a test of one by the other.

use chacha20::R20;
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::{Zeroize, Zeroizing};

use super::secret::Secret;

/// Length of the tag that ends a sealed text.
pub const TAG_BYTES: usize = 16;
/// Length of a nonce.
pub const NONCE_BYTES: usize = 24;
/// The nonce under a key that seals one text only.
///
/// A nonce must differ between texts under one key; where the key itself is derived for one text, there is
/// no second one. Users say why their key is such a key.
pub const ONCE: [u8; NONCE_BYTES] = [0; NONCE_BYTES];

/// A key, ready to seal and to open.
pub struct Cipher {
    seal: XChaCha20Poly1305,
    key: Secret<32>,
}

impl Clone for Cipher {
    fn clone(&self) -> Self {
        cipher(&self.key)
    }
}

/// Sets up the cipher of a key.
pub fn cipher(key: &Secret<32>) -> Cipher {
    Cipher { seal: XChaCha20Poly1305::new(key.expose().into()), key: key.clone() }
}

impl Cipher {
    /// The cipher of RFC 8439 that XChaCha20-Poly1305 is under the first 16 bytes of a nonce, and its nonce.
    fn inner(&self, nonce: &[u8; NONCE_BYTES]) -> Option<(LessSafeKey, Nonce)> {
        let (first, last) = nonce.split_first_chunk::<16>()?;
        let subkey = Zeroizing::new(chacha20::hchacha::<R20>(self.key.expose().into(), first.into()).0);
        let mut short = [0; 12];
        short.last_chunk_mut::<8>()?.copy_from_slice(last);
        let key = UnboundKey::new(&CHACHA20_POLY1305, subkey.as_slice()).ok()?;
        Some((LessSafeKey::new(key), Nonce::assume_unique_for_key(short)))
    }
}

/// Encrypts the buffer in place and appends the tag. The caller has reserved room for the tag, so that no
/// plain text is left behind where the buffer was.
pub fn encrypt(cipher: &Cipher, nonce: &[u8; NONCE_BYTES], aad: &[u8], buffer: &mut Vec<u8>) {
    #[expect(clippy::expect_used, reason = "fails only above 256 GiB, and bodies are bounded to 64 KiB")]
    let tag = cipher
        .seal
        .encrypt_inout_detached(nonce.into(), aad, buffer.as_mut_slice().into())
        .expect("texts are shorter than 256 GiB");
    buffer.extend_from_slice(&tag);
}

/// Decrypts `sealed` into `text`, whose old content is dropped and whose capacity is reused. `None`, with
/// `text` empty, if the tag does not fit.
#[must_use]
pub fn decrypt(
    cipher: &Cipher,
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    sealed: &[u8],
    text: &mut Vec<u8>,
) -> Option<()> {
    text.clear();
    decrypt_behind(cipher, nonce, aad, sealed, text)
}

/// As [`decrypt`], behind what `text` holds; `None`, with `text` as it was, if the tag does not fit.
#[must_use]
pub fn decrypt_behind(
    cipher: &Cipher,
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    sealed: &[u8],
    text: &mut Vec<u8>,
) -> Option<()> {
    let start = text.len();
    text.extend_from_slice(sealed);
    let buffer = text.get_mut(start..)?;
    let opened = cipher.inner(nonce).and_then(|(key, nonce)| {
        let opened = key.open_in_place(nonce, Aad::from(aad), &mut *buffer).ok()?;
        Some(opened.len())
    });
    if opened.is_none() {
        buffer.zeroize();
    }
    text.truncate(start + opened.unwrap_or_default());
    opened.map(drop)
}

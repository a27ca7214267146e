//! XChaCha20-Poly1305 on reused buffers, for the rest of this station.

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use zeroize::Zeroize;

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

/// Sets up the cipher of a key.
pub fn cipher(key: &Secret<32>) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.expose().into())
}

/// Encrypts the buffer in place and appends the tag. The caller has reserved room for the tag, so that no
/// plain text is left behind where the buffer was.
pub fn encrypt(cipher: &XChaCha20Poly1305, nonce: &[u8; NONCE_BYTES], aad: &[u8], buffer: &mut Vec<u8>) {
    #[expect(clippy::expect_used, reason = "fails only above 256 GiB, and bodies are bounded to 64 KiB")]
    let tag = cipher
        .encrypt_inout_detached(nonce.into(), aad, buffer.as_mut_slice().into())
        .expect("texts are shorter than 256 GiB");
    buffer.extend_from_slice(&tag);
}

/// Decrypts `sealed` into `text`, whose old content is dropped and whose capacity is reused. `None`, with
/// `text` empty, if the tag does not fit.
#[must_use]
pub fn decrypt(
    cipher: &XChaCha20Poly1305,
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    sealed: &[u8],
    text: &mut Vec<u8>,
) -> Option<()> {
    text.clear();
    let (encrypted, tag) = sealed.split_last_chunk::<TAG_BYTES>()?;
    text.extend_from_slice(encrypted);
    let opened = cipher.decrypt_inout_detached(nonce.into(), aad, text.as_mut_slice().into(), tag.into()).ok();
    if opened.is_none() {
        text.zeroize();
    }
    opened
}

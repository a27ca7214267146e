//! Pages of the database file, opened one by one without the database: what salvage reads.
//!
//! ```text
//! page   = AES-256-CBC(key, iv, content) | iv 16 | HMAC-SHA256(mac key, all before it | page number 4) 32
//! mac key = PBKDF2-HMAC-SHA512(key, salt ^ 0x3a.., 2 rounds)
//! ```
//!
//! The first 16 bytes of page 1 are the salt, outside of all that is authenticated; the database shows its own
//! magic there. Layout and constants are those of SQLCipher 4 with the settings that `store` gives it.

use aes::Aes256;
use aes::cipher::{BlockCipherDecrypt, KeyInit};
use ring::{hmac, pbkdf2};
use std::num::NonZeroU32;
use zeroize::Zeroizing;

use super::DatabaseKey;

const BLOCK: usize = 16;
const MAC_BYTES: usize = 32;
/// Bytes at the end of every page that hold no content.
pub const PAGE_RESERVED: usize = BLOCK + MAC_BYTES;
const SALT_MASK: u8 = 0x3a;
/// The key is random, so its stretching needs no work.
const MAC_ROUNDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);
/// What SQLite expects at the beginning of page 1.
const MAGIC: &[u8; BLOCK] = b"SQLite format 3\0";

/// Opens pages of one database.
pub struct PageKey {
    cipher: Aes256,
    mac: hmac::Key,
}

impl PageKey {
    /// Sets up the key of a database.
    #[must_use]
    pub fn new(key: &DatabaseKey) -> Self {
        let salt = key.salt().map(|byte| byte ^ SALT_MASK);
        let mut mac = Zeroizing::new([0; MAC_BYTES]);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, MAC_ROUNDS, &salt, key.key(), mac.as_mut_slice());
        Self { cipher: Aes256::new(key.key().into()), mac: hmac::Key::new(hmac::HMAC_SHA256, mac.as_slice()) }
    }

    /// Opens page `number` in place, which is left without what is reserved at its end; `None` if it is not as it
    /// was written, and then its bytes are of no use.
    #[must_use]
    pub fn open(&self, number: u32, page: &mut Vec<u8>) -> Option<()> {
        let begin = if number == 1 { BLOCK } else { 0 };
        let (rest, mac) = page.split_last_chunk::<MAC_BYTES>()?;
        let sealed = rest.get(begin..)?;
        let mut signed = hmac::Context::with_key(&self.mac);
        signed.update(sealed);
        signed.update(&number.to_le_bytes());
        if !super::same(signed.sign().as_ref().first_chunk()?, mac) {
            return None;
        }
        let (_, iv) = sealed.split_last_chunk::<BLOCK>()?;
        let mut before = *iv;
        let end = page.len().checked_sub(PAGE_RESERVED)?;
        let (blocks, []) = page.get_mut(begin..end)?.as_chunks_mut::<BLOCK>() else { return None };
        for block in blocks {
            let sealed = *block;
            self.cipher.decrypt_block(block.into());
            block.iter_mut().zip(before).for_each(|(byte, mask)| *byte ^= mask);
            before = sealed;
        }
        page.truncate(end);
        if number == 1 {
            page.get_mut(..BLOCK)?.copy_from_slice(MAGIC);
        }
        Some(())
    }
}

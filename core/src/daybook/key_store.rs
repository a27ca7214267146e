//! Where the key of a book is kept, and how often it was asked for in vain.
//!
//! ```text
//! folder/attempts = "daybkwrg" 8 | version 2, 1 | wrong 4 | first ms 8 | last ms 8      there after a wrong one only
//! ```
//! On a laptop the key lies in the file `keys`, a wrong passphrase costs Argon2id, and nothing is locked or erased:
//! wrong ones are counted beside it and told at the next opening. Whoever can write in the folder can take the count
//! away. A phone's key store counts where the owner of a stolen phone cannot be, and may erase after a limit.

use super::Daybook;
use super::error::Error;
use super::founding::{read_keys, write_durably};
use crate::clock::Host;
use crate::crypto::{DatabaseKey, KeyFile};
use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

/// Name of the file that counts wrong passphrases.
pub(super) const ATTEMPTS: &str = "attempts";
const MAGIC: &[u8; 8] = b"daybkwrg";
const VERSION: u16 = 1;

/// Wrong attempts since the last right one.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Attempts {
    /// How many.
    pub wrong: u32,
    /// When the first was, by the device's clock, in milliseconds; 0 if there was none.
    pub first_ms: i64,
    /// When the last was.
    pub last_ms: i64,
}

impl Attempts {
    /// These and one more.
    #[must_use]
    pub const fn and_one(self, now_ms: i64) -> Self {
        let first_ms = if self.wrong == 0 { now_ms } else { self.first_ms };
        Self { wrong: self.wrong.saturating_add(1), first_ms, last_ms: now_ms }
    }

    fn to_bytes(self) -> Vec<u8> {
        let numbers = [&self.wrong.to_le_bytes()[..], &self.first_ms.to_le_bytes(), &self.last_ms.to_le_bytes()];
        [&MAGIC[..], &VERSION.to_le_bytes(), &numbers.concat()].concat()
    }

    /// What a file says; what is no such file says nothing.
    fn read(bytes: &[u8]) -> Option<Self> {
        let numbers = bytes.strip_prefix(MAGIC)?.strip_prefix(&VERSION.to_le_bytes())?;
        let (wrong, times) = numbers.split_first_chunk()?;
        let (first_ms, rest) = times.split_first_chunk()?;
        let (last_ms, []) = rest.split_first_chunk()? else { return None };
        let [first_ms, last_ms] = [*first_ms, *last_ms].map(i64::from_le_bytes);
        Some(Self { wrong: u32::from_le_bytes(*wrong), first_ms, last_ms })
    }
}

/// What is done about wrong attempts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AttemptPolicy {
    /// They are counted and told.
    Count,
    /// The key is erased for ever when so many were wrong in a row.
    EraseAfter(NonZeroU32),
}

/// Where the key of a book is kept: on a laptop [`FolderKeys`], on a phone the platform's key store.
pub trait KeyStore {
    /// Key and salt of the database, if `secret` is what they are kept under. Counts nothing.
    ///
    /// # Errors
    /// [`Error::WrongPassphrase`]; others if the key cannot be had for another reason.
    fn unlock(&mut self, secret: &[u8]) -> Result<DatabaseKey, Error>;

    /// Wrong attempts since the last right one.
    ///
    /// # Errors
    /// [`Error`] if the count cannot be read: the key is not asked for then.
    fn attempts(&mut self) -> Result<Attempts, Error>;

    /// Keeps the count; durable when it returns.
    ///
    /// # Errors
    /// [`Error`] if it cannot be kept. Under [`AttemptPolicy::EraseAfter`] the key is not asked for then.
    fn keep(&mut self, attempts: Attempts) -> Result<(), Error>;

    /// What is done about them.
    fn policy(&self) -> AttemptPolicy;

    /// Destroys the key for ever.
    ///
    /// # Errors
    /// [`Error`] if it is still there.
    fn erase(&mut self) -> Result<(), Error>;
}

/// Asks a store for the key, and counts. Gives also the wrong attempts before.
///
/// Where a limit holds, an attempt is counted before it is made: who cuts the power after a wrong one has spent it
/// all the same.
pub(super) fn unlock(store: &mut dyn KeyStore, secret: &[u8], now_ms: i64) -> Result<(DatabaseKey, Attempts), Error> {
    let before = store.attempts()?;
    let after = before.and_one(now_ms);
    let left = match store.policy() {
        AttemptPolicy::Count => u32::MAX,
        AttemptPolicy::EraseAfter(limit) => {
            let left = limit.get().saturating_sub(before.wrong);
            if left > 0 {
                store.keep(after)?;
            }
            left
        }
    };
    let unlocked = if left == 0 { Err(Error::WrongPassphrase) } else { store.unlock(secret) };
    match (unlocked, store.policy()) {
        (Ok(key), AttemptPolicy::Count) if before.wrong == 0 => Ok((key, before)),
        (Ok(key), AttemptPolicy::Count) => {
            // What stays is told once more next time, which harms nobody.
            let _ = store.keep(Attempts::default());
            Ok((key, before))
        }
        (Ok(key), AttemptPolicy::EraseAfter(_)) => store.keep(Attempts::default()).map(|()| (key, before)),
        (Err(Error::WrongPassphrase), AttemptPolicy::Count) => {
            if let Err(error) = store.keep(after) {
                tracing::warn!(code = error.code(), "a wrong passphrase could not be counted");
            }
            Err(Error::WrongPassphrase)
        }
        (Err(Error::WrongPassphrase), AttemptPolicy::EraseAfter(_)) if left <= 1 => {
            store.erase()?;
            Err(Error::KeyErased)
        }
        (Err(error), _) => Err(error),
    }
}

/// The key of a book under a passphrase, in the file `keys` of its folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FolderKeys {
    folder: PathBuf,
}

impl FolderKeys {
    /// The keys of the book in a folder.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }
}

impl KeyStore for FolderKeys {
    fn unlock(&mut self, secret: &[u8]) -> Result<DatabaseKey, Error> {
        Ok(KeyFile::open(&read_keys(&self.folder)?, secret)?)
    }

    fn attempts(&mut self) -> Result<Attempts, Error> {
        let bytes = fs::read(self.folder.join(ATTEMPTS)).unwrap_or_default();
        Ok(Attempts::read(&bytes).unwrap_or_default())
    }

    fn keep(&mut self, attempts: Attempts) -> Result<(), Error> {
        if attempts.wrong > 0 {
            return write_durably(&self.folder, ATTEMPTS, &attempts.to_bytes());
        }
        match fs::remove_file(self.folder.join(ATTEMPTS)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn policy(&self) -> AttemptPolicy {
        AttemptPolicy::Count
    }

    fn erase(&mut self) -> Result<(), Error> {
        Err(Error::Bug("a passphrase's key is not erased"))
    }
}

impl Daybook {
    /// Opens the book in a folder with the key that a store gives for `secret`.
    ///
    /// # Errors
    /// As [`Daybook::open_with_key`]; [`Error::WrongPassphrase`], and [`Error::KeyErased`] where the store's limit
    /// is reached: then nobody opens this copy of the book any more.
    pub fn open_with_store(
        folder: &Path,
        store: &mut dyn KeyStore,
        secret: &[u8],
        mut host: Box<dyn Host>,
    ) -> Result<Self, Error> {
        let (key, attempts) = unlock(store, secret, host.now_ms())?;
        let mut book = Self::open_with_key(folder, &key, host)?;
        book.attempts = attempts;
        Ok(book)
    }

    /// Wrong attempts to open this book since it was opened before this time.
    #[must_use]
    pub const fn wrong_attempts(&self) -> Attempts {
        self.attempts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_reads_back_and_another_file_counts_nothing() {
        let attempts = Attempts::default().and_one(-5).and_one(7).and_one(9);
        assert_eq!(attempts, Attempts { wrong: 3, first_ms: -5, last_ms: 9 });
        let bytes = attempts.to_bytes();
        assert_eq!((bytes.len(), Attempts::read(&bytes)), (30, Some(attempts)));
        for end in 0..bytes.len() {
            assert_eq!(Attempts::read(&bytes[..end]), None);
        }
        assert_eq!(Attempts::read(&[&bytes[..], &[0]].concat()), None);
    }
}

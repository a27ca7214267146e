//! An entry as it travels and as an export keeps it: only what cannot be recomputed.

use super::{Ground, Sealed, SealedEntry};
use crate::crypto::Nonce;
use crate::id::{EntryId, KeyId};

const GRANT: u8 = 1;
const HINT: u8 = 2;
const KEY: u8 = 4;
const ERASED: u8 = 8;

/// Why carried bytes are no entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CarryError {
    /// They end early.
    #[error("ends early")]
    Length,
    /// Flags that this format does not have, or a ground that repeats or is missing.
    #[error("flags do not fit")]
    Flags,
    /// A body longer than the format allows.
    #[error("body too long")]
    TooLong,
}

/// Reads fixed-width fields from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`CarryError::Length`] if there are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], CarryError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(CarryError::Length)?;
        self.0 = rest;
        Ok(*head)
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`CarryError::Length`] if there are fewer.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], CarryError> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(CarryError::Length)?;
        self.0 = rest;
        Ok(head)
    }

    /// What is left.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }
}

impl<'a> SealedEntry<'a> {
    /// Appends the carried form after an entry on ground `before` (`None` for the first of a run).
    /// `control` entries carry neither key nor nonce.
    pub fn carry(&self, before: Option<&Ground>, control: bool, to: &mut Vec<u8>) {
        let changed = |differs: fn(&Ground, &Ground) -> bool| before.is_none_or(|b| differs(b, &self.ground));
        let grant = changed(|a, b| a.grant != b.grant);
        let hint = changed(|a, b| a.hint != b.hint);
        let key = !control && changed(|a, b| a.key != b.key);
        let erased = matches!(self.sealed, Sealed::Erased { .. });
        to.push(
            (u8::from(grant) * GRANT) | (u8::from(hint) * HINT) | (u8::from(key) * KEY) | (u8::from(erased) * ERASED),
        );
        if grant {
            to.extend_from_slice(self.ground.grant.as_bytes());
        }
        if hint {
            to.extend_from_slice(self.ground.hint.as_bytes());
        }
        if key {
            to.extend_from_slice(self.ground.key.as_bytes());
        }
        if !control {
            to.extend_from_slice(&self.nonce.0);
        }
        to.extend_from_slice(&self.sealed.bytes().to_le_bytes());
        match &self.sealed {
            Sealed::Body(body) => to.extend_from_slice(body),
            Sealed::Erased { hash, .. } => to.extend_from_slice(hash),
        }
    }

    /// Reads the carried form after an entry on ground `before`; a body is at most `bytes_max` long.
    ///
    /// # Errors
    /// [`CarryError`] says what does not fit.
    pub fn read_carried(
        from: &mut Bytes<'a>,
        before: Option<&Ground>,
        control: bool,
        bytes_max: usize,
    ) -> Result<Self, CarryError> {
        let [flags] = from.array()?;
        let carries = |flag| flags & flag != 0;
        let needed = if control { GRANT | HINT } else { GRANT | HINT | KEY };
        if flags > 15 || (control && carries(KEY)) || (before.is_none() && flags & needed != needed) {
            return Err(CarryError::Flags);
        }
        let mut ground =
            before.copied().unwrap_or(Ground { grant: EntryId::ZERO, hint: EntryId::ZERO, key: KeyId::ZERO });
        if carries(GRANT) {
            ground.grant = EntryId::new(from.array()?);
        }
        if carries(HINT) {
            ground.hint = EntryId::new(from.array()?);
        }
        if carries(KEY) {
            ground.key = KeyId::new(from.array()?);
        }
        let nonce = if control { Nonce::ZERO } else { Nonce(from.array()?) };
        let bytes = u32::from_le_bytes(from.array()?);
        let length = usize::try_from(bytes).map_err(|_| CarryError::TooLong)?;
        if length > bytes_max {
            return Err(CarryError::TooLong);
        }
        let sealed = if carries(ERASED) {
            if bytes == 0 {
                return Err(CarryError::Flags);
            }
            Sealed::Erased { bytes, hash: from.array()? }
        } else {
            Sealed::Body(from.take(length)?)
        };
        Ok(Self { ground, nonce, sealed })
    }
}

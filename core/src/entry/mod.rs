//! One entry: its place, its ground, its sealed body, and the id that binds them.
//!
//! Owns the layout of an entry and the computation of its id. Owns no chain (that is `log`) and no
//! meaning. Invariant: an [`EntryId`] made here commits to every byte that anybody judges: log, place,
//! backlink, ground, nonce, and length and hash of the body, which may itself be erased.
//!
//! ```text
//! entry id = H(entry, log id 32, seq 8, backlink 32, grant 32, hint 32, key id 32, nonce 24,
//!              sealed length 4, sealed hash 32)          integers little-endian, H as in `crypto`
//! carried  = flags 1 | [grant 32] [hint 32] [key id 32] [nonce 24] | sealed length 4 | sealed body
//! ```

mod carried;

pub use carried::{Bytes, CarryError};

use crate::crypto::{Label, Nonce, derive, derive_each, joined};
use crate::id::{EntryId, KeyId, LogId};

/// What an entry stands on: the grant, the newest authority entry its author held, and the key of its body.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ground {
    /// The grant; a root's entries stand on the incident id.
    pub grant: EntryId,
    /// The control hint: shows that control entries are missing here, decides nothing.
    pub hint: EntryId,
    /// Key of the sealed body; zeros for a control entry.
    pub key: KeyId,
}

/// The body as it is carried: sealed bytes, or what remains when they were erased.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sealed<'a> {
    /// Ciphertext and tag, or the plain body of a control entry.
    Body(&'a [u8]),
    /// Length and hash of a body that is not here any more.
    Erased {
        /// Its length in bytes.
        bytes: u32,
        /// Its hash.
        hash: [u8; 32],
    },
}

impl<'a> Sealed<'a> {
    /// The body, if it is here.
    #[must_use]
    pub const fn body(&self) -> Option<&'a [u8]> {
        match self {
            Self::Body(body) => Some(body),
            Self::Erased { .. } => None,
        }
    }

    /// Length of the body in bytes.
    #[must_use]
    pub fn bytes(&self) -> u32 {
        match self {
            Self::Body(body) => u32::try_from(body.len()).unwrap_or(u32::MAX),
            Self::Erased { bytes, .. } => *bytes,
        }
    }

    /// Hash of the body.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        match self {
            Self::Body(body) => derive(Label::Body, &[body]),
            Self::Erased { hash, .. } => *hash,
        }
    }
}

/// An entry without its place: what its author made and what travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SealedEntry<'a> {
    /// What it stands on.
    pub ground: Ground,
    /// Synthetic nonce of the body; zeros for a control entry.
    pub nonce: Nonce,
    /// The body.
    pub sealed: Sealed<'a>,
}

impl SealedEntry<'_> {
    /// The id of this entry at a place of a log.
    #[must_use]
    pub fn id(&self, log: LogId, seq: u64, backlink: EntryId) -> EntryId {
        self.id_with(&self.sealed.hash(), log, seq, backlink)
    }

    /// As [`SealedEntry::id`], if [`Sealed::hash`] gave `hash`.
    #[must_use]
    pub fn id_with(&self, hash: &[u8; 32], log: LogId, seq: u64, backlink: EntryId) -> EntryId {
        let all: [u8; 228] = joined(&[
            log.as_bytes(),
            &seq.to_le_bytes(),
            backlink.as_bytes(),
            self.ground.grant.as_bytes(),
            self.ground.hint.as_bytes(),
            self.ground.key.as_bytes(),
            &self.nonce.0,
            &self.sealed.bytes().to_le_bytes(),
            hash,
        ]);
        EntryId::new(derive(Label::Entry, &[&all]))
    }

    /// [`Sealed::hash`] of each of many entries.
    #[must_use]
    pub fn hashes(entries: &[Self]) -> Vec<[u8; 32]> {
        let bodies: Vec<&[u8]> = entries.iter().filter_map(|entry| entry.sealed.body()).collect();
        let mut of_bodies = derive_each(Label::Body, &bodies).into_iter();
        let hash = |entry: &Self| match entry.sealed {
            Sealed::Body(_) => of_bodies.next().unwrap_or_default(),
            Sealed::Erased { hash, .. } => hash,
        };
        entries.iter().map(hash).collect()
    }
}

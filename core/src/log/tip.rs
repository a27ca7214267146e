//! The end of a log that this device writes: places the next entry and signs it.

use super::LogName;
use crate::crypto::{Signature, SigningKey};
use crate::entry::SealedEntry;
use crate::id::{EntryId, IncidentId, LogId};

/// Where a log ends for its writer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tip {
    /// The log.
    pub log: LogId,
    /// Place of the newest entry; 0 if there is none.
    pub seq: u64,
    /// Id of the newest entry; zeros if there is none.
    pub id: EntryId,
}

/// A new entry's place, id and signed head.
#[derive(Clone, Copy, Debug)]
pub struct Signed {
    /// Its place.
    pub seq: u64,
    /// Its id.
    pub id: EntryId,
    /// The author's signature over log, place and id.
    pub signature: Signature,
}

impl Tip {
    /// The end of a log in which nothing was written.
    #[must_use]
    pub fn start(name: &LogName, incident: &IncidentId) -> Self {
        Self { log: name.id(incident), seq: 0, id: EntryId::ZERO }
    }

    /// The place of the next entry.
    #[must_use]
    pub const fn next_seq(&self) -> u64 {
        self.seq + 1
    }

    /// Places `entry` after the tip, signs it and moves the tip.
    pub fn append(&mut self, entry: &SealedEntry<'_>, key: &SigningKey) -> Signed {
        let (seq, id) = self.place(entry);
        Signed { seq, id, signature: key.sign_head(self.log, seq, id) }
    }

    /// Places `entry` after the tip and moves the tip.
    pub(super) fn place(&mut self, entry: &SealedEntry<'_>) -> (u64, EntryId) {
        let seq = self.next_seq();
        let id = entry.id(self.log, seq, self.id);
        (self.seq, self.id) = (seq, id);
        (seq, id)
    }
}

//! Keys of epochs: a side that lacks some asks for them once both hold the same control entries.

use super::frame::Frame;
use super::limits::KEYS_PER_FRAME_MAX;
use super::reason::{Reason, SessionRule};
use super::session::Session;
use super::shelf::Shelf;
use crate::crypto::ParcelGroup;
use crate::id::KeyId;

/// Most keys that are asked for in one session.
const KEYS_ASKED_MAX: usize = 4_096;

impl Session {
    /// Asks for keys that are not held here, each once.
    pub(super) fn ask_keys(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        if self.is_narrow() {
            return Ok(());
        }
        let lacking = book.lacks_keys(KEYS_ASKED_MAX)?.into_iter();
        let left = KEYS_ASKED_MAX.saturating_sub(self.keys_asked.len());
        let new: Vec<KeyId> = lacking.filter(|key| !self.keys_asked.contains(key)).take(left).collect();
        self.keys_asked.extend(&new);
        new.chunks(KEYS_PER_FRAME_MAX).try_for_each(|keys| self.say(&Frame::Keys(keys.to_vec())))
    }

    /// Wraps what the other side asked for and may have; what is not here is passed over.
    pub(super) fn keys_came(&mut self, keys: &[KeyId], book: &mut dyn Shelf) -> Result<(), Reason> {
        let Some(peer) = self.peer else { return Err(SessionRule::Turn.into()) };
        // A parcel costs about as much as taking in some KiB.
        self.charge(keys.len() * 4_096)?;
        self.store(book)?;
        if self.former.is_some() {
            return Ok(());
        }
        let groups = book.wrap_keys(&peer, keys)?;
        if groups.is_empty() { Ok(()) } else { self.say(&Frame::Parcels(groups)) }
    }

    /// Takes parcels of keys that were asked for, and no others. Nothing is said or asked after them: whether they
    /// were right is not for the other side to know.
    pub(super) fn parcels_came(&mut self, groups: &[ParcelGroup], book: &mut dyn Shelf) -> Result<(), Reason> {
        if groups.iter().any(|group| !self.keys_asked.contains(&group.key_id)) {
            return Err(SessionRule::Turn.into());
        }
        Ok(book.take_parcels(groups)?)
    }
}

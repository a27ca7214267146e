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
        let lacking = book.lacks_keys(KEYS_PER_FRAME_MAX)?;
        let new: Vec<KeyId> = lacking.into_iter().filter(|key| !self.keys_asked.contains(key)).collect();
        if new.is_empty() || self.keys_asked.len() + new.len() > KEYS_ASKED_MAX {
            return Ok(());
        }
        self.keys_asked.extend(&new);
        self.say(&Frame::Keys(new))
    }

    /// Wraps what the other side asked for and may have; what is not here is passed over.
    pub(super) fn keys_came(&mut self, keys: &[KeyId], book: &mut dyn Shelf) -> Result<(), Reason> {
        let Some(peer) = self.peer else { return Err(SessionRule::Turn.into()) };
        // A parcel costs about as much as taking in some KiB.
        self.charge(keys.len() * 4_096)?;
        self.store(book)?;
        let groups = book.wrap_keys(&peer, keys)?;
        if groups.is_empty() { Ok(()) } else { self.say(&Frame::Parcels(groups)) }
    }

    /// Takes parcels of keys that were asked for, and no others.
    pub(super) fn parcels_came(&mut self, groups: &[ParcelGroup], book: &mut dyn Shelf) -> Result<(), Reason> {
        if groups.iter().any(|group| !self.keys_asked.contains(&group.key_id)) {
            return Err(SessionRule::Turn.into());
        }
        book.take_parcels(groups)?;
        // What these open may lack more: epochs that were unreadable until now.
        self.ask_keys(book)
    }
}

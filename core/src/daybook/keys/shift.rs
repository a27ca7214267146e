//! Ends of shift: a policy, kept by honest programs only. Peers stop serving, and the device throws its keys away.
//!
//! A clock that stands before the newest receipt of this book, or more than a year past it, enforces nothing; nor
//! does one of a book without receipts: nothing tells then that it can be right.

use crate::clock::DAY_MS;
use crate::daybook::Daybook;
use crate::daybook::error::Error;
use crate::daybook::receipts;
use crate::daybook::state::State;
use crate::id::DeviceId;
use crate::store::{Store, StoreError};
use rusqlite::Connection;

/// The end of the shift at which this device threw its keys away: ms since 1970-01-01 UTC, 8 bytes, signed.
const ENDED: &str = "shift ended";

/// The shift of this device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shift {
    /// It has no end.
    Open,
    /// It ends at this time, in ms since 1970-01-01 UTC, or did by a clock that nothing confirms.
    Until(i64),
    /// It ended at this time, and the keys of this device were thrown away. Its entries are still here.
    Over(i64),
}

/// When the shift of a device ends by the grants in force: the last of their ends; none if one has none.
pub(in crate::daybook) fn end(state: &State, device: DeviceId) -> Option<i64> {
    let roster = &state.ring.roster;
    if roster.is_root(device) {
        return None;
    }
    let ends: Option<Vec<i64>> =
        roster.grants_of(device).map(|(_, held)| held.grant.as_ref().and_then(|grant| grant.until_ms)).collect();
    ends?.into_iter().max()
}

/// Whether a time is past an end, by a clock that can be right.
pub(in crate::daybook) fn is_past(connection: &Connection, end: i64, now_ms: i64) -> Result<bool, StoreError> {
    if now_ms < end {
        return Ok(false);
    }
    let newest = receipts::newest_ms(connection)?;
    Ok(newest.is_some_and(|newest| (newest..=newest.saturating_add(365 * DAY_MS)).contains(&now_ms)))
}

/// The shift of this device.
pub(in crate::daybook) fn of(connection: &Connection, state: &State) -> Result<Shift, StoreError> {
    let Some(end) = end(state, state.device_id) else { return Ok(Shift::Open) };
    let ended = Store::value_in(connection, ENDED)?.and_then(|bytes| bytes.try_into().ok()).map(i64::from_le_bytes);
    Ok(if ended == Some(end) { Shift::Over(end) } else { Shift::Until(end) })
}

impl Daybook {
    /// The shift of this device. A program that runs for long asks now and then: the end takes effect when the
    /// book is used.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub fn shift(&mut self) -> Result<Shift, Error> {
        self.refresh()?;
        Ok(of(self.store.read()?, &self.state)?)
    }

    /// Ends the shift if it is time: throws away the secrets of epochs and the parcels that hold them, and all that
    /// was made of entries with them. Entries stay, and are read again after a new grant.
    pub(in crate::daybook) fn end_shift_if_due(&mut self) -> Result<(), Error> {
        let Some(end) = end(&self.state, self.state.device_id).filter(|end| self.host.now_ms() >= *end) else {
            return Ok(());
        };
        let now_ms = self.host.now_ms();
        let connection = self.store.read()?;
        if of(connection, &self.state)? == Shift::Over(end) || !is_past(connection, end, now_ms)? {
            return Ok(());
        }
        let own = self.state.device_id;
        self.write_as_is(|writer| {
            Store::forget_secrets(writer.tx, &own)?;
            Store::set_value(writer.tx, ENDED, &end.to_le_bytes())?;
            writer.state.ring.keys.clear();
            writer.state.refold(writer.tx)?;
            crate::daybook::upkeep::make_anew(writer, &mut |_, _| {})
        })?;
        Ok(self.store.forget_pages()?)
    }
}

//! What stands beyond the end of a branch: entries behind a gap that damage left, or whose signature is lost.
//!
//! The end of a branch (`tip`) is what this book vouches for: all up to it is here and signed. What stands beyond is
//! judged, opened and shown as all else; it is not counted as held, not sent and not exported. When a run brings what
//! is lost, the end moves on over it.
//!
//! ```text
//! value "beyond" = numbers of the logs that have such entries, 8 bytes each
//! ```

use super::entries::{Appended, Unposted};
use super::keys::EntryKey;
use super::{Store, StoreError};
use crate::id::EntryId;
use crate::limits::{BRANCHES_PER_LOG_MAX, SEQ_MAX, SIGNED_EVERY};
use crate::log::LogName;
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeSet;

const BEYOND: &str = "beyond";

/// A branch, and the first and last place where its entries lie.
pub type Places = (u8, (u64, u64));

impl Store {
    /// Numbers of the logs that have entries beyond the end of a branch; almost always none.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn beyond_logs(connection: &Connection) -> Result<BTreeSet<i64>, StoreError> {
        let value = Self::value_in(connection, BEYOND)?.unwrap_or_default();
        Ok(value.as_chunks::<8>().0.iter().map(|number| i64::from_le_bytes(*number)).collect())
    }

    pub(super) fn set_beyond_logs(tx: &Connection, logs: &BTreeSet<i64>) -> Result<(), StoreError> {
        if logs.is_empty() {
            tx.execute("DELETE FROM book WHERE key = ?1", [BEYOND])?;
            return Ok(());
        }
        let value: Vec<u8> = logs.iter().flat_map(|log| log.to_le_bytes()).collect();
        Self::set_value(tx, BEYOND, &value)
    }

    /// Log, branch and places of entries beyond the ends of branches.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn beyond(connection: &Connection) -> Result<Vec<Unposted>, StoreError> {
        let mut found = Vec::new();
        for log in Self::beyond_logs(connection)? {
            found.extend(Self::beyond_of(connection, log)?.into_iter().map(|(branch, places)| (log, branch, places)));
        }
        Ok(found)
    }

    fn beyond_of(connection: &Connection, log: i64) -> Result<Vec<Places>, StoreError> {
        let branches = Self::branches(connection, log)?;
        let mut found = Vec::new();
        for branch in 0..u8::try_from(BRANCHES_PER_LOG_MAX).unwrap_or(u8::MAX) {
            let tip = branches.iter().find(|b| b.branch == branch).map_or(0, |b| b.tip_seq);
            if tip < SEQ_MAX
                && let Some(last) = Self::last_from(connection, (log, branch), tip + 1)?
            {
                found.push((branch, (tip + 1, last)));
            }
        }
        Ok(found)
    }

    /// Branches of a log and the places where their entries lie, what stands beyond an end apart; not all need be
    /// held there.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn places(connection: &Connection, log: i64) -> Result<Vec<Places>, StoreError> {
        let branches = Self::branches(connection, log)?;
        let mut places: Vec<_> = branches.iter().map(|b| (b.branch, (b.fork_seq + 1, b.tip_seq))).collect();
        if Self::beyond_logs(connection)?.contains(&log) {
            places.extend(Self::beyond_of(connection, log)?);
        }
        Ok(places)
    }

    /// Places of a log from the ends of its branches to the last entry beyond each, those that are lost counted too.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn places_beyond(connection: &Connection, log: i64) -> Result<u64, StoreError> {
        if !Self::beyond_logs(connection)?.contains(&log) {
            return Ok(0);
        }
        Ok(Self::beyond_of(connection, log)?.into_iter().map(|(_, (first, last))| last + 1 - first).sum())
    }

    /// The last place at or past `from` of a branch row where an entry lies.
    fn last_from(connection: &Connection, (log, branch): (i64, u8), from: u64) -> Result<Option<u64>, StoreError> {
        let mut statement = connection.prepare_cached(
            "SELECT id FROM entry WHERE id BETWEEN ?1 AND ?2 AND id & 7 = ?3 ORDER BY id DESC LIMIT 1",
        )?;
        let range = (EntryKey::new(log, from, 0), EntryKey::new(log, SEQ_MAX, 7), branch);
        Ok(statement.query_row(range, |row| row.get::<_, EntryKey>(0)).optional()?.map(EntryKey::seq))
    }

    /// Moves the end of a branch on over what stands beyond it, as far as the chain and its signatures go, and tells
    /// `appended` what has joined.
    pub(super) fn move_on(tx: &Connection, name: &LogName, appended: &mut Appended) -> Result<(), StoreError> {
        let place = (appended.log, appended.branch);
        let Some(branch) = Self::branches(tx, place.0)?.into_iter().find(|b| b.branch == place.1) else {
            return Ok(());
        };
        let Some(log) = Self::log_of_number(tx, place.0)? else { return Ok(()) };
        let joined = Self::chain_from(tx, place, (log.log, name.is_control()), (branch.tip_seq, branch.tip_id))?;
        if let Some((seq, id)) = joined {
            if !name.is_control() && !branch.tip_seq.is_multiple_of(SIGNED_EVERY) {
                tx.prepare_cached("DELETE FROM head WHERE entry = ?1")?.execute([EntryKey::new(
                    place.0,
                    branch.tip_seq,
                    place.1,
                )])?;
            }
            tx.prepare_cached("UPDATE branch SET tip_seq = ?3, tip_id = ?4 WHERE log = ?1 AND branch = ?2")?
                .execute((place.0, place.1, seq.cast_signed(), id.as_bytes()))?;
            appended.joined.extend((branch.tip_seq + 1..=seq).map(|seq| EntryKey::new(place.0, seq, place.1)));
        }
        if !Self::beyond(tx)?.iter().any(|(log, _, _)| *log == place.0) {
            let mut logs = Self::beyond_logs(tx)?;
            logs.remove(&place.0);
            Self::set_beyond_logs(tx, &logs)?;
        }
        Ok(())
    }

    /// Follows the chain from an entry and gives the last signed one that it reaches without passing a place whose
    /// signature the format demands and that has none.
    pub(super) fn chain_from(
        connection: &Connection,
        place: (i64, u8),
        (log, control): (crate::id::LogId, bool),
        (seq, id): (u64, EntryId),
    ) -> Result<Option<(u64, EntryId)>, StoreError> {
        let (mut last, mut before) = (None, (seq, id));
        if seq >= SEQ_MAX {
            return Ok(None);
        }
        Self::entries(connection, place, (seq + 1, SEQ_MAX), |entry| {
            let seq = entry.key.seq();
            if seq != before.0 + 1 || entry.entry().id(log, seq, before.1) != entry.id {
                return Ok(false);
            }
            before = (seq, entry.id);
            let signed = Self::head(connection, entry.key)?.is_some();
            if signed {
                last = Some(before);
            }
            Ok::<bool, StoreError>(signed || !(control || seq.is_multiple_of(SIGNED_EVERY)))
        })?;
        Ok(last)
    }
}

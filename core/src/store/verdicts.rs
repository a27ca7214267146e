//! Verdicts: what is thought of entries that are not simply accepted. The index by verdict lies among the views.

use super::keys::EntryKey;
use super::{Store, StoreError};
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeSet;

/// What is thought of an entry that was posted and is not accepted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Verdict {
    /// Its author had no right: without effect, waiting for review.
    Waiting = 1,
    /// Fails a check that needs the key: without effect.
    Faulty = 2,
    /// No key for it here.
    Unopened = 3,
    /// Erased.
    Erased = 4,
}

impl Verdict {
    /// The verdict of a number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Waiting),
            2 => Some(Self::Faulty),
            3 => Some(Self::Unopened),
            4 => Some(Self::Erased),
            _ => None,
        }
    }
}

impl Store {
    /// Says what is thought of an entry that is not accepted; `None` takes it back.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn set_verdict(tx: &Connection, key: EntryKey, verdict: Option<(Verdict, &str)>) -> Result<(), StoreError> {
        match verdict {
            None => {
                tx.prepare_cached("DELETE FROM verdict WHERE entry = ?1")?.execute([key])?;
            }
            Some((verdict, code)) => {
                tx.prepare_cached("INSERT OR REPLACE INTO verdict (entry, verdict, code) VALUES (?1, ?2, ?3)")?
                    .execute((key, verdict as u8, code))?;
            }
        }
        Ok(())
    }

    /// What is thought of an entry, if it is not accepted.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn verdict(connection: &Connection, key: EntryKey) -> Result<Option<Verdict>, StoreError> {
        let mut statement = connection.prepare_cached("SELECT verdict FROM verdict WHERE entry = ?1")?;
        let number = statement.query_row([key], |row| row.get::<_, u8>(0)).optional()?;
        Ok(number.map(|number| Verdict::from_number(number).unwrap_or(Verdict::Faulty)))
    }

    /// What is thought of an entry, with the rule code, if it is not accepted.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn verdict_and_code(connection: &Connection, key: EntryKey) -> Result<Option<(Verdict, String)>, StoreError> {
        let mut statement = connection.prepare_cached("SELECT verdict, code FROM verdict WHERE entry = ?1")?;
        let found = statement.query_row([key], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        Ok(found.map(|(number, code)| (Verdict::from_number(number).unwrap_or(Verdict::Faulty), code)))
    }

    /// Entries of which one of these is thought, in rising order of key, at most `limit` of each.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn of_verdicts(
        connection: &Connection,
        verdicts: &[Verdict],
        limit: usize,
    ) -> Result<BTreeSet<EntryKey>, StoreError> {
        let mut statement =
            connection.prepare_cached("SELECT entry FROM verdict WHERE verdict = ?1 ORDER BY entry LIMIT ?2")?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut found = BTreeSet::new();
        for verdict in verdicts {
            let rows = statement.query_map((*verdict as u8, limit), |row| row.get(0))?;
            found.extend(rows.collect::<Result<Vec<EntryKey>, _>>()?);
        }
        Ok(found)
    }

    /// Entries with a verdict and a rule code, in rising order of key.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn of_code(connection: &Connection, verdict: Verdict, code: &str) -> Result<Vec<EntryKey>, StoreError> {
        let mut statement =
            connection.prepare_cached("SELECT entry FROM verdict WHERE verdict = ?1 AND code = ?2 ORDER BY entry")?;
        let rows = statement.query_map((verdict as u8, code), |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many entries one of these is thought of.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn count_of_verdict(connection: &Connection, verdict: Verdict) -> Result<u64, StoreError> {
        let mut statement = connection.prepare_cached("SELECT count(*) FROM verdict WHERE verdict = ?1")?;
        Ok(statement.query_row([verdict as u8], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// Entries of one log that were posted and are not accepted, in rising order of key.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn verdicts_in(connection: &Connection, log: i64) -> Result<Vec<(EntryKey, Verdict)>, StoreError> {
        let mut statement = connection
            .prepare_cached("SELECT entry, verdict FROM verdict WHERE entry >= ?1 AND entry < ?2 ORDER BY entry")?;
        let rows = statement.query_map((EntryKey::new(log, 0, 0), EntryKey::new(log + 1, 0, 0)), |row| {
            Ok((row.get(0)?, Verdict::from_number(row.get(1)?).unwrap_or(Verdict::Faulty)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

//! Walking over stored entries without copying them, and what no log accounts for.

use super::keys::EntryKey;
use super::{Store, StoreError};
use crate::crypto::Nonce;
use crate::entry::{Ground, Sealed, SealedEntry};
use crate::id::{EntryId, KeyId};
use rusqlite::{Connection, Row};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// A stored entry where it lies in its page.
#[derive(Clone, Copy, Debug)]
pub struct Walked<'a> {
    /// Where it lies.
    pub key: EntryKey,
    /// Its id.
    pub id: EntryId,
    /// The entry without its place.
    pub entry: SealedEntry<'a>,
}

/// What entries stand on, by number: each is read once.
#[derive(Default, Debug)]
pub struct Grounds(BTreeMap<i64, Ground>);

impl Grounds {
    fn of(&mut self, connection: &Connection, number: i64) -> Result<Ground, StoreError> {
        if let Some(ground) = self.0.get(&number) {
            return Ok(*ground);
        }
        let mut statement = connection.prepare_cached("SELECT granted, hint, key FROM ground WHERE id = ?1")?;
        let ground = statement.query_row([number], |row| {
            let (grant, hint) = (EntryId::new(row.get(0)?), EntryId::new(row.get(1)?));
            Ok(Ground { grant, hint, key: KeyId::new(row.get(2)?) })
        });
        let ground = ground.map_err(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => StoreError::Damaged("what an entry stands on is missing".into()),
            other => other.into(),
        })?;
        self.0.insert(number, ground);
        Ok(ground)
    }
}

impl Store {
    /// Calls `each` for the entries of one branch row, `from` to `to` inclusive, in rising order, until it breaks.
    /// Cost: every page that holds one of them, once.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read, or what `each` says.
    pub fn walk<E: From<StoreError>>(
        connection: &Connection,
        grounds: &mut Grounds,
        (log, branch): (i64, u8),
        (from, to): (u64, u64),
        mut each: impl FnMut(&Walked<'_>) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let statement = connection.prepare_cached(
            "SELECT id, entry, ground, nonce, body, erased FROM entry WHERE id BETWEEN ?1 AND ?2 AND id & 7 = ?3 ORDER BY id",
        );
        let mut statement = statement.map_err(StoreError::from)?;
        let range = (EntryKey::new(log, from, 0), EntryKey::new(log, to, 7), branch);
        let mut rows = statement.query(range).map_err(StoreError::from)?;
        while let Some(row) = rows.next().map_err(StoreError::from)? {
            let ground = grounds.of(connection, row.get(2).map_err(StoreError::from)?)?;
            if each(&walked(row, ground)?)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// How many entries lie behind one place and before another, both not counted.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn entries_between(connection: &Connection, after: EntryKey, before: EntryKey) -> Result<u64, StoreError> {
        let mut statement = connection.prepare_cached("SELECT count(*) FROM entry WHERE id > ?1 AND id < ?2")?;
        Ok(statement.query_row((after, before), |row| row.get::<_, i64>(0))?.unsigned_abs())
    }
}

fn walked<'r>(row: &'r Row<'_>, ground: Ground) -> Result<Walked<'r>, StoreError> {
    let damaged = || StoreError::Damaged("a stored entry".into());
    let body = row.get_ref(4)?.as_blob().map_err(|_| damaged())?;
    let sealed = match (row.get::<_, u32>(5)?, body.first_chunk::<32>()) {
        (bytes, Some(hash)) if bytes > 0 => Sealed::Erased { bytes, hash: *hash },
        _ => Sealed::Body(body),
    };
    let entry = SealedEntry { ground, nonce: Nonce(row.get(3)?), sealed };
    Ok(Walked { key: row.get(0)?, id: EntryId::new(row.get(1)?), entry })
}

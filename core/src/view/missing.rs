//! What changes of records refer to and is not open here: one row for each such reference, so that all of them can be
//! told without looking through the records.

use crate::id::LogId;
use crate::record::{EditAt, EntryRef, Folded};
use crate::store::{EntryKey, StoreError};
use rusqlite::Connection;

/// A change of a record that refers to an entry which is not open here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MissingRow {
    /// The record.
    pub subject: i64,
    /// What it refers to.
    pub reference: EntryRef,
    /// The entry of the change.
    pub edit: EntryKey,
}

/// What the edits of a record miss.
pub(super) fn of(folded: &Folded<'_>, edits: &[EditAt<'_>]) -> Vec<(EntryRef, EntryKey)> {
    let edit = |index: usize| edits.get(index).map(|edit| edit.stand);
    let key = |(index, reference): &(usize, EntryRef)| {
        edit(*index).map(|stand| (*reference, EntryKey::new(stand.log, stand.seq, stand.branch)))
    };
    folded.missing.iter().filter_map(key).collect()
}

/// Replaces the rows of a subject; a new one has none yet.
pub(super) fn write(
    tx: &Connection,
    subject: i64,
    missing: &[(EntryRef, EntryKey)],
    new: bool,
) -> Result<(), StoreError> {
    if !new {
        tx.prepare_cached("DELETE FROM missing WHERE subject = ?1")?.execute([subject])?;
    }
    for (EntryRef { log, seq, prefix }, edit) in missing {
        tx.prepare_cached(
            "INSERT OR IGNORE INTO missing (subject, log, seq, entry, edit) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((subject, log.as_bytes(), seq.cast_signed(), prefix, edit))?;
    }
    Ok(())
}

/// At most `most` such changes, in rising order of record and reference.
///
/// # Errors
/// [`StoreError`] if the file cannot be read.
pub fn missing_rows(connection: &Connection, most: usize) -> Result<Vec<MissingRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT subject, log, seq, entry, edit FROM missing ORDER BY subject, log, seq, entry, edit LIMIT ?1",
    )?;
    let rows = statement.query_map([i64::try_from(most).unwrap_or(i64::MAX)], |row| {
        let reference =
            EntryRef { log: LogId::new(row.get(1)?), seq: row.get::<_, i64>(2)?.cast_unsigned(), prefix: row.get(3)? };
        Ok(MissingRow { subject: row.get(0)?, reference, edit: row.get(4)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

//! Sheets: the rows in which the table keeps operations, those of one subject that were filed together.
//!
//! A *filing* is what one backlog wrote: its sheets lie behind those of all earlier filings, in rising order of
//! subject, so that much that comes at once is written in one sweep. Filing 0 is kept for the little that people
//! write. A subject's operations are its sheets in all filings.
//!
//! ```text
//! sheet     = operation*
//! operation = key 8 | hlc 8 | prefix of the entry's id 16 | length << 1 + waiting 4 | canonical bytes
//! ```

use super::operations::{Op, OpRow};
use crate::clock::Hlc;
use crate::record::Operation;
use crate::store::{EntryKey, OpKey, RowKey, SUBJECT_NUMBER_MAX, StoreError};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Rows};

/// The filing of what people write, an operation or a few at a time.
pub(super) const LOOSE: i64 = 0;

const HEAD_BYTES: usize = 36;
const RANGE: &str = "SELECT row, sheet FROM op WHERE row BETWEEN ?1 AND ?2 ORDER BY row";

/// One operation as a sheet holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept<'a> {
    /// Where it lies.
    pub key: OpKey,
    /// The author's clock.
    pub hlc: Hlc,
    /// First 16 bytes of the entry's id.
    pub prefix: [u8; 16],
    /// Whether it waits for review.
    pub waiting: bool,
    /// The operation's canonical bytes.
    pub payload: &'a [u8],
}

impl<'a> Kept<'a> {
    /// Adds it to a sheet.
    pub(super) fn put(&self, to: &mut Vec<u8>) {
        let length = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        to.extend_from_slice(&self.key.to_bytes());
        to.extend_from_slice(&self.hlc.bits().to_le_bytes());
        to.extend_from_slice(&self.prefix);
        to.extend_from_slice(&((length << 1) | u32::from(self.waiting)).to_le_bytes());
        to.extend_from_slice(self.payload);
    }

    /// Its length in a sheet.
    pub(super) const fn bytes(&self) -> usize {
        HEAD_BYTES + self.payload.len()
    }

    fn take(sheet: &mut &'a [u8]) -> Option<Self> {
        let (key, rest) = sheet.split_first_chunk::<8>()?;
        let (hlc, rest) = rest.split_first_chunk::<8>()?;
        let (prefix, rest) = rest.split_first_chunk::<16>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length);
        let (payload, rest) = rest.split_at_checked(length as usize >> 1)?;
        *sheet = rest;
        Some(Self {
            key: OpKey::from_bytes(*key),
            hlc: Hlc::from_bits(u64::from_le_bytes(*hlc)),
            prefix: *prefix,
            waiting: length & 1 == 1,
            payload,
        })
    }

    /// What was said; written by a newer version if it cannot be read.
    #[must_use]
    pub fn operation(&self) -> Operation<'a> {
        Operation::read_again(self.payload)
    }

    /// The operation, understood.
    #[must_use]
    pub fn read(&self) -> Op<'a> {
        let Self { key, hlc, prefix, waiting, .. } = *self;
        Op { key, waiting, hlc, prefix, operation: self.operation() }
    }

    fn row(&self, row: RowKey) -> OpRow {
        let Self { key, hlc, prefix, waiting, payload } = *self;
        OpRow { row, key, waiting, hlc, prefix, payload: payload.to_vec() }
    }
}

/// The operations of a sheet, in its order.
///
/// # Errors
/// [`StoreError::Damaged`] if it is no sheet.
pub fn kept(mut sheet: &[u8]) -> Result<Vec<Kept<'_>>, StoreError> {
    let mut all = Vec::with_capacity(sheet.len() / 256 + 1);
    while !sheet.is_empty() {
        all.push(Kept::take(&mut sheet).ok_or_else(|| StoreError::Damaged("a sheet of operations".into()))?);
    }
    Ok(all)
}

/// The sheets of one subject.
#[derive(Default, Debug)]
pub struct Sheets(Vec<(RowKey, Vec<u8>)>);

impl Sheets {
    /// All sheets of a subject.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn of(connection: &Connection, subject: i64) -> Result<Self, StoreError> {
        let mut sheets = Self::default();
        for filing in filings(connection)? {
            sheets.load(connection, filing.number, subject)?;
        }
        Ok(sheets)
    }

    fn load(&mut self, connection: &Connection, filing: i64, subject: i64) -> Result<(), StoreError> {
        let mut statement = connection.prepare_cached(RANGE)?;
        let mut rows = statement.query(RowKey::range(filing, subject))?;
        while let Some(row) = rows.next()? {
            self.0.push(sheet_of(row)?);
        }
        Ok(())
    }

    /// The operations, understood, in rising order of key.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a sheet is none.
    pub fn operations(&self) -> Result<Vec<Op<'_>>, StoreError> {
        let mut operations = Vec::with_capacity(self.bytes() / 256 + 1);
        for (_, sheet) in &self.0 {
            operations.extend(kept(sheet)?.iter().map(Kept::read));
        }
        operations.sort_unstable_by_key(|operation: &Op<'_>| operation.key);
        Ok(operations)
    }

    /// The operations as rows, in rising order of key.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a sheet is none.
    pub fn rows(&self) -> Result<Vec<OpRow>, StoreError> {
        let mut rows = Vec::new();
        for (row, sheet) in &self.0 {
            rows.extend(kept(sheet)?.iter().map(|kept| kept.row(*row)));
        }
        rows.sort_unstable_by_key(|row: &OpRow| row.key);
        Ok(rows)
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|(_, sheet)| sheet.len()).sum()
    }
}

fn sheet_of(row: &Row<'_>) -> rusqlite::Result<(RowKey, Vec<u8>)> {
    Ok((row.get(0)?, row.get(1)?))
}

/// The operation of a key in one row, if it is there.
///
/// # Errors
/// [`StoreError`] if the file cannot be read.
pub fn operation_at(connection: &Connection, row: RowKey, key: OpKey) -> Result<Option<OpRow>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT sheet FROM op WHERE row = ?1")?;
    let sheet: Option<Vec<u8>> = statement.query_row([row], |found| found.get(0)).optional()?;
    let sheet = sheet.unwrap_or_default();
    Ok(kept(&sheet)?.iter().find(|kept| kept.key == key).map(|kept| kept.row(row)))
}

/// Calls `each` for every sheet of the book, in rising order of row.
///
/// # Errors
/// [`StoreError`] if the file cannot be read, or what `each` says.
pub fn every_sheet(
    connection: &Connection,
    mut each: impl FnMut(RowKey, &[Kept<'_>]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached("SELECT row, sheet FROM op ORDER BY row")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let sheet = row.get_ref(1)?.as_blob().map_err(|_| StoreError::Damaged("a sheet of operations".into()))?;
        each(row.get(0)?, &kept(sheet)?)?;
    }
    Ok(())
}

/// Takes the operations of an entry out of the sheets of a subject.
///
/// # Errors
/// [`StoreError`] if it cannot be written.
pub(super) fn take_out(tx: &Connection, subject: i64, entry: EntryKey) -> Result<(), StoreError> {
    for (row, sheet) in Sheets::of(tx, subject)?.0 {
        take_out_of(tx, row, &kept(&sheet)?, entry)?;
    }
    Ok(())
}

/// Takes the operations of an entry out of one sheet.
pub(super) fn take_out_of(tx: &Connection, row: RowKey, sheet: &[Kept<'_>], entry: EntryKey) -> Result<(), StoreError> {
    let stays = |kept: &&Kept<'_>| kept.key.entry() != entry;
    let left = sheet.iter().filter(stays).count();
    if left == sheet.len() {
        return Ok(());
    }
    if left == 0 {
        tx.prepare_cached("DELETE FROM op WHERE row = ?1")?.execute([row])?;
        return Ok(());
    }
    let mut bytes = Vec::new();
    sheet.iter().filter(stays).for_each(|kept| kept.put(&mut bytes));
    tx.prepare_cached("UPDATE op SET sheet = ?2 WHERE row = ?1")?.execute((row, bytes))?;
    Ok(())
}

/// A filing, and the last subject of it whose views were made; none if they all were.
#[derive(Clone, Copy, Debug)]
struct Filing {
    number: i64,
    posted: Option<i64>,
}

/// All filings, that of what people write first.
fn filings(connection: &Connection) -> Result<Vec<Filing>, StoreError> {
    let mut filings = vec![Filing { number: LOOSE, posted: None }];
    let mut statement = connection.prepare_cached("SELECT id, posted FROM filing ORDER BY id")?;
    let rows = statement.query_map([], |row| Ok(Filing { number: row.get(0)?, posted: row.get(1)? }))?;
    for filing in rows {
        filings.push(filing?);
    }
    Ok(filings)
}

/// How many filings there are whose views are not all made.
///
/// # Errors
/// [`StoreError`] if the file cannot be read.
pub fn unposted_filings(connection: &Connection) -> Result<usize, StoreError> {
    Ok(filings(connection)?.iter().filter(|filing| filing.posted.is_some()).count())
}

/// Says that the views of all subjects up to one were made of what was filed; of all subjects, if it is none.
///
/// # Errors
/// [`StoreError`] if it cannot be written.
pub fn set_filings_posted(tx: &Connection, subject: Option<i64>) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE filing SET posted = ?1 WHERE posted IS NOT NULL AND (?1 IS NULL OR posted < ?1)")?
        .execute([subject])?;
    Ok(())
}

/// One filing on the way through its sheets.
struct Cursor<'s> {
    rows: Rows<'s>,
    next: Option<(RowKey, Vec<u8>)>,
}

impl<'s> Cursor<'s> {
    fn start(statement: &'s mut CachedStatement<'_>, of: Filing, posted: i64) -> Result<Self, StoreError> {
        let rows = statement.query(RowKey::between(of.number, posted + 1, SUBJECT_NUMBER_MAX))?;
        let mut cursor = Self { rows, next: None };
        cursor.advance()?;
        Ok(cursor)
    }

    fn advance(&mut self) -> Result<Option<(RowKey, Vec<u8>)>, StoreError> {
        let next = self.rows.next()?.map(sheet_of).transpose()?;
        Ok(std::mem::replace(&mut self.next, next))
    }

    fn subject(&self) -> Option<i64> {
        self.next.as_ref().map(|(row, _)| row.subject())
    }
}

/// Calls `each` for subjects of which something was filed whose views were not made, in rising order, each once,
/// with all its sheets, and whether it had none whose views were made: about as many as have `most` bytes. The
/// filings are read side by side, so that a subject is posted once however many of them name it.
///
/// # Errors
/// [`StoreError`] if the file cannot be read, or what `each` says.
pub fn each_unposted(
    tx: &Connection,
    most: usize,
    mut each: impl FnMut(i64, Sheets, bool) -> Result<(), StoreError>,
) -> Result<usize, StoreError> {
    let filings = filings(tx)?;
    let unposted = || filings.iter().filter_map(|filing| filing.posted.map(|posted| (*filing, posted)));
    let mut statements = unposted().map(|_| tx.prepare_cached(RANGE)).collect::<Result<Vec<_>, _>>()?;
    let mut cursors = Vec::with_capacity(statements.len());
    for (statement, (filing, posted)) in statements.iter_mut().zip(unposted()) {
        cursors.push(Cursor::start(statement, filing, posted)?);
    }
    let (mut count, mut bytes, mut last) = (0, 0, None);
    while let Some(subject) = cursors.iter().filter_map(Cursor::subject).min() {
        if bytes >= most {
            set_filings_posted(tx, last)?;
            return Ok(count);
        }
        let mut sheets = Sheets::default();
        for cursor in &mut cursors {
            while cursor.subject() == Some(subject) {
                sheets.0.extend(cursor.advance()?);
            }
        }
        let before = sheets.0.len();
        for filing in filings.iter().filter(|filing| filing.posted.is_none_or(|posted| posted >= subject)) {
            sheets.load(tx, filing.number, subject)?;
        }
        bytes += sheets.bytes();
        let new = sheets.0.len() == before;
        each(subject, sheets, new)?;
        (count, last) = (count + 1, Some(subject));
    }
    if !cursors.is_empty() {
        set_filings_posted(tx, None)?;
    }
    Ok(count)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn operations() -> [Kept<'static>; 3] {
        let kept = |seq: u64, waiting, payload| Kept {
            key: EntryKey::new(3, seq, 1).operation(2),
            hlc: Hlc::from_bits(seq << 20),
            prefix: [u8::try_from(seq % 251).unwrap(); 16],
            waiting,
            payload,
        };
        [kept(1, false, &b"one"[..]), kept(2, true, &b""[..]), kept(70_000, true, &[0xff; 300][..])]
    }

    #[test]
    fn a_sheet_gives_back_what_was_put_into_it() {
        let mut sheet = Vec::new();
        for operation in operations() {
            let before = sheet.len();
            operation.put(&mut sheet);
            assert_eq!(sheet.len() - before, operation.bytes());
        }
        assert_eq!(kept(&sheet).unwrap(), operations());
        assert_eq!(kept(&[]).unwrap(), []);
    }

    #[test]
    fn a_sheet_that_ends_within_an_operation_is_damage() {
        let (mut sheet, mut ends) = (Vec::new(), vec![0]);
        for operation in operations() {
            operation.put(&mut sheet);
            ends.push(sheet.len());
        }
        for end in 0..sheet.len() {
            assert_eq!(kept(&sheet[..end]).is_ok(), ends.contains(&end), "{end}");
        }
    }
}

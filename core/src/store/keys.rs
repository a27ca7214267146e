//! Row numbers that tell where an entry lies, so that no index beside the table is needed.

use crate::record::Stand;
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

const BRANCH_BITS: u32 = 3;
const SEQ_BITS: u32 = 32;
const INDEX_BITS: u32 = 6;

/// Rows of one subject in one filing are numbered with so many bits.
const ROW_BITS: u32 = 22;
/// Subjects are numbered with so many bits.
const SUBJECT_BITS: u32 = 30;

/// Greatest number of a filing: 2 to the power of 10, less one.
pub const FILING_NUMBER_MAX: i64 = (1 << 10) - 1;
/// Greatest number of a subject: 2 to the power of 30, less one.
pub const SUBJECT_NUMBER_MAX: i64 = (1 << SUBJECT_BITS) - 1;

/// Greatest number of a log in one book: 2 to the power of 21, less one.
pub(super) const LOG_NUMBER_MAX: i64 = (1 << 21) - 1;

/// Where an entry lies: number of the log in this book, place, branch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryKey(i64);

/// Where an operation lies: its entry and its index there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OpKey(i64);

/// Where the table of operations keeps some: its rows lie filing by filing, and in a filing subject by subject.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RowKey(i64);

impl EntryKey {
    /// Behind every entry.
    pub const MAX: Self = Self(i64::MAX);

    /// The key of an entry; `log` is at most 2^21 - 1, `seq` at most 2^32 - 1, `branch` at most 7.
    #[must_use]
    pub const fn new(log: i64, seq: u64, branch: u8) -> Self {
        Self(
            (log << (SEQ_BITS + BRANCH_BITS))
                | ((seq.cast_signed() & 0xffff_ffff) << BRANCH_BITS)
                | (branch & 7) as i64,
        )
    }

    /// Number of the log.
    #[must_use]
    pub const fn log(self) -> i64 {
        self.0 >> (SEQ_BITS + BRANCH_BITS)
    }

    /// Place in the log.
    #[must_use]
    pub const fn seq(self) -> u64 {
        ((self.0 >> BRANCH_BITS) & 0xffff_ffff).cast_unsigned()
    }

    /// Branch of the log.
    #[must_use]
    pub const fn branch(self) -> u8 {
        self.0.to_le_bytes()[0] & 7
    }

    /// The key of one of its operations.
    #[must_use]
    pub const fn operation(self, index: u8) -> OpKey {
        OpKey((self.0 << INDEX_BITS) | (index & 63) as i64)
    }
}

impl OpKey {
    /// The key in 8 bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }

    /// Reads [`OpKey::to_bytes`] back.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(i64::from_le_bytes(bytes))
    }

    /// The entry.
    #[must_use]
    pub const fn entry(self) -> EntryKey {
        EntryKey(self.0 >> INDEX_BITS)
    }

    /// Where its entry stands, as the fold takes it.
    #[must_use]
    pub const fn stand(self) -> Stand {
        let entry = self.entry();
        Stand { log: entry.log(), branch: entry.branch(), seq: entry.seq() }
    }

    /// Index of the operation in the entry.
    #[must_use]
    pub const fn index(self) -> u8 {
        self.0.to_le_bytes()[0] & 63
    }
}

impl RowKey {
    /// The first and the last row of a subject in a filing.
    #[must_use]
    pub const fn range(filing: i64, subject: i64) -> (Self, Self) {
        Self::between(filing, subject, subject)
    }

    /// The first row of one subject and the last one of another in a filing.
    #[must_use]
    pub const fn between(filing: i64, first: i64, last: i64) -> (Self, Self) {
        let filing = filing << (SUBJECT_BITS + ROW_BITS);
        (Self(filing | (first << ROW_BITS)), Self(filing | (last << ROW_BITS) | ((1 << ROW_BITS) - 1)))
    }

    /// The filing.
    #[must_use]
    pub const fn filing(self) -> i64 {
        self.0 >> (SUBJECT_BITS + ROW_BITS)
    }

    /// The subject.
    #[must_use]
    pub const fn subject(self) -> i64 {
        (self.0 >> ROW_BITS) & SUBJECT_NUMBER_MAX
    }

    /// The row after it, unless the subject has no more.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        let next = Self(self.0 + 1);
        if next.0 >> ROW_BITS == self.0 >> ROW_BITS { Some(next) } else { None }
    }
}

impl ToSql for RowKey {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0))
    }
}

impl FromSql for RowKey {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self)
    }
}

impl ToSql for EntryKey {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0))
    }
}

impl FromSql for EntryKey {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self)
    }
}

impl ToSql for OpKey {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0))
    }
}

impl FromSql for OpKey {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gives_back_what_it_was_made_of() {
        for (log, seq, branch, index) in [(1, 1, 0, 0), (LOG_NUMBER_MAX, u64::from(u32::MAX), 7, 63), (5, 64, 3, 9)] {
            let key = EntryKey::new(log, seq, branch);
            assert_eq!((key.log(), key.seq(), key.branch()), (log, seq, branch));
            let operation = key.operation(index);
            assert_eq!((operation.entry(), operation.index()), (key, index));
        }
    }

    #[test]
    fn a_row_gives_back_its_filing_and_its_subject() {
        for (filing, subject) in [(0, 1), (1, 1), (FILING_NUMBER_MAX, SUBJECT_NUMBER_MAX)] {
            let (first, last) = RowKey::range(filing, subject);
            for row in [first, last] {
                assert_eq!((row.filing(), row.subject()), (filing, subject));
            }
            assert!(first < last && first.next().is_some() && last.next().is_none());
        }
        assert!(RowKey::range(1, SUBJECT_NUMBER_MAX).1 < RowKey::range(2, 0).0);
    }
}

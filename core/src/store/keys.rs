//! Row numbers that tell where an entry lies, so that no index beside the table is needed.

use crate::record::Stand;
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

const BRANCH_BITS: u32 = 3;
const SEQ_BITS: u32 = 32;
const INDEX_BITS: u32 = 6;

/// Rows of one subject are numbered with so many bits.
const ROW_BITS: u32 = 28;

/// Greatest number of a log in one book: 2 to the power of 21, less one.
pub(super) const LOG_NUMBER_MAX: i64 = (1 << 21) - 1;

/// Where an entry lies: number of the log in this book, place, branch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryKey(i64);

/// Where an operation lies: its entry and its index there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OpKey(i64);

/// Where the table of operations keeps one: rows of a subject lie together, in the order in which they came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RowKey(i64);

impl EntryKey {
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
    /// The first and the last row of a subject.
    #[must_use]
    pub const fn range(subject: i64) -> (Self, Self) {
        (Self(subject << ROW_BITS), Self((subject << ROW_BITS) | ((1 << ROW_BITS) - 1)))
    }

    /// The subject.
    #[must_use]
    pub const fn subject(self) -> i64 {
        self.0 >> ROW_BITS
    }

    /// The row after it, unless the subject has no more.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        let next = Self(self.0 + 1);
        if next.subject() == self.subject() { Some(next) } else { None }
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
}

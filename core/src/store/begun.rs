//! Beginnings of runs that are kept until their signed heads come: what a transfer that was cut brought.
//!
//! They are no part of any log, and nothing is lost with them: whoever holds the log sends it again. So they are
//! bounded, for each device that brought them and in all, and what grew longest ago goes first.
//!
//! ```text
//! value "begun <log> <last place, 8 digits> <id of the last entry>" = device that brought it 32 | number 8 | beginning
//! ```
//! Log, place and id are hexadecimal; the number rises with each that is kept.

use super::{Store, StoreError};
use crate::id::{DeviceId, EntryId, LogId};
use crate::limits::{BEGUN_BYTES_MAX, BEGUN_BYTES_PER_DEVICE_MAX, BEGUN_MAX, BEGUN_PER_DEVICE_MAX};
use crate::log::Beginning;
use rusqlite::Connection;
use std::collections::BTreeMap;

/// Beginning of the keys, and what comes behind all of them.
const KEYS: (&str, &str) = ("begun ", "begun g");
/// Bytes before the beginning itself.
const BEFORE: usize = 40;
/// Bytes of a run before its first place, and of place and backlink.
const NAME: usize = 96 + 16 + 32 + 1;
const JOINT: usize = 40;

/// A beginning that is kept, without its entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BegunRow {
    /// The log.
    pub log: LogId,
    /// Its last place.
    pub seq: u64,
    /// The id of the entry there.
    pub id: EntryId,
    /// Its first place.
    pub first_seq: u64,
    /// The id of the entry before.
    pub backlink: EntryId,
    device: DeviceId,
    number: u64,
    bytes: usize,
}

impl BegunRow {
    fn read(key: &str, front: &[u8], bytes: u32) -> Option<Self> {
        let mut parts = key.strip_prefix(KEYS.0)?.split(' ');
        let log = LogId::from_hex(parts.next()?)?;
        let seq = u64::from_str_radix(parts.next()?, 16).ok()?;
        let id = EntryId::from_hex(parts.next()?)?;
        let (device, rest) = front.split_first_chunk::<32>()?;
        let (number, beginning) = rest.split_first_chunk::<8>()?;
        let (first_seq, backlink) = beginning.get(NAME..NAME + JOINT)?.split_first_chunk::<8>()?;
        Some(Self {
            log,
            seq,
            id,
            first_seq: u64::from_le_bytes(*first_seq),
            backlink: EntryId::from_slice(backlink)?,
            device: DeviceId::new(*device),
            number: u64::from_le_bytes(*number),
            bytes: bytes as usize,
        })
    }

    /// Rises with each that is kept.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    fn key(&self) -> String {
        key(&self.log, self.seq, &self.id)
    }
}

fn key(log: &LogId, seq: u64, id: &EntryId) -> String {
    format!("{}{} {seq:08x} {}", KEYS.0, log.to_hex(), id.to_hex())
}

impl Store {
    /// Forgets all beginnings.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn forget_begun(tx: &Connection) -> Result<(), StoreError> {
        tx.execute("DELETE FROM book WHERE key BETWEEN ?1 AND ?2", KEYS)?;
        Ok(())
    }

    /// All beginnings that are kept, in order of log and last place.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn begun(connection: &Connection) -> Result<Vec<BegunRow>, StoreError> {
        let mut statement = connection.prepare_cached(
            "SELECT key, substr(value, 1, ?3), length(value) FROM book WHERE key BETWEEN ?1 AND ?2 ORDER BY key",
        )?;
        let mut rows = statement.query((KEYS.0, KEYS.1, i64::try_from(BEFORE + NAME + JOINT).unwrap_or(i64::MAX)))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let (key, front): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
            found.extend(BegunRow::read(&key, &front, row.get(2)?));
        }
        Ok(found)
    }

    /// The bytes of the beginning of a log that ends in an entry, if it is kept.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn begun_until(
        connection: &Connection,
        log: &LogId,
        seq: u64,
        id: &EntryId,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let value = Self::value_in(connection, &key(log, seq, id))?;
        Ok(value.and_then(|value| value.get(BEFORE..).map(<[u8]>::to_vec)))
    }

    /// Keeps a beginning that a device brought; others make room for it if need be.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn keep_begun(tx: &Connection, device: DeviceId, beginning: &Beginning) -> Result<(), StoreError> {
        let (seq, id) = beginning.end();
        let name = key(&beginning.log(), seq, &id);
        let mut rows = Self::begun(tx)?;
        if rows.iter().any(|row| (row.log, row.seq, row.id) == (beginning.log(), seq, id)) {
            return Ok(());
        }
        let number = rows.iter().map(|row| row.number).max().unwrap_or(0) + 1;
        let bytes = BEFORE + beginning.bytes().len();
        while let Some((of, log)) = to_go(&rows, (device, beginning.log(), bytes)) {
            for row in rows.iter().filter(|row| (row.device, row.log) == (of, log)) {
                Self::drop_value(tx, &row.key())?;
            }
            rows.retain(|row| (row.device, row.log) != (of, log));
        }
        let value = [&device.as_bytes()[..], &number.to_le_bytes(), beginning.bytes()].concat();
        Self::set_value(tx, &name, &value)
    }

    /// Drops the beginnings of a log that end at a place or before it: the log itself goes on behind them, with
    /// them or with something else.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn drop_begun(tx: &Connection, log: &LogId, seq: u64) -> Result<(), StoreError> {
        let first = format!("{}{} ", KEYS.0, log.to_hex());
        let mut statement = tx.prepare_cached("DELETE FROM book WHERE key BETWEEN ?1 AND ?2")?;
        statement.execute((&first, format!("{first}{seq:08x} g")))?;
        Ok(())
    }
}

/// Of which device and log all beginnings are to go, so that a new one has room.
fn to_go(rows: &[BegunRow], (device, log, bytes): (DeviceId, LogId, usize)) -> Option<(DeviceId, LogId)> {
    let mut held: BTreeMap<DeviceId, (usize, usize)> = BTreeMap::from([(device, (1, bytes))]);
    for row in rows {
        let (count, sum) = held.entry(row.device).or_default();
        (*count, *sum) = (*count + 1, *sum + row.bytes);
    }
    let all = held.values().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    let own = held.get(&device).copied().unwrap_or_default();
    let of = if own.0 > BEGUN_PER_DEVICE_MAX || own.1 > BEGUN_BYTES_PER_DEVICE_MAX {
        device
    } else if all.0 > BEGUN_MAX || all.1 > BEGUN_BYTES_MAX {
        // Whoever fills most makes room, so that one device cannot drive out what others brought.
        *held.iter().max_by_key(|(device, (_, bytes))| (*bytes, **device))?.0
    } else {
        return None;
    };
    let mut grown: BTreeMap<LogId, u64> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.device == of) {
        let number = grown.entry(row.log).or_default();
        *number = row.number.max(*number);
    }
    let oldest = grown.iter().filter(|(of_log, _)| of != device || **of_log != log).min_by_key(|(_, number)| **number);
    // The log that grows now goes last.
    oldest.or_else(|| grown.iter().next()).map(|(log, _)| (of, *log))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(device: u8, log: u8, number: u64, bytes: usize) -> BegunRow {
        BegunRow {
            log: LogId::new([log; 32]),
            seq: 9,
            id: EntryId::new([9; 32]),
            first_seq: 1,
            backlink: EntryId::ZERO,
            device: DeviceId::new([device; 32]),
            number,
            bytes,
        }
    }

    fn goes(rows: &[BegunRow], device: u8, log: u8, bytes: usize) -> Option<(u8, u8)> {
        let gone = to_go(rows, (DeviceId::new([device; 32]), LogId::new([log; 32]), bytes));
        gone.map(|(device, log)| (device.as_bytes()[0], log.as_bytes()[0]))
    }

    #[test]
    fn what_a_device_brought_first_goes_first_and_the_log_that_grows_goes_last() {
        let half = BEGUN_BYTES_PER_DEVICE_MAX / 2;
        assert_eq!(goes(&[row(1, 5, 1, half)], 1, 6, half), None);
        assert_eq!(goes(&[row(1, 5, 1, half), row(1, 6, 2, 1)], 1, 6, half), Some((1, 5)));
        assert_eq!(goes(&[row(1, 5, 3, half), row(1, 6, 2, 1)], 1, 7, half), Some((1, 6)));
        assert_eq!(goes(&[row(1, 6, 2, half), row(2, 5, 1, half)], 1, 6, half + 1), Some((1, 6)));
        let many: Vec<BegunRow> = (0..BEGUN_PER_DEVICE_MAX).map(|n| row(1, n as u8, n as u64, 1)).collect();
        assert_eq!(goes(&many, 1, 200, 1), Some((1, 0)));
        assert_eq!(goes(&many, 2, 200, 1), None);
    }

    #[test]
    fn in_all_the_device_that_fills_most_makes_room() {
        let share = BEGUN_BYTES_PER_DEVICE_MAX;
        let devices = u8::try_from(BEGUN_BYTES_MAX / share).unwrap();
        let mut rows: Vec<BegunRow> = (0..devices).map(|device| row(device, device, 7, share)).collect();
        assert_eq!(goes(&rows, 100, 100, 10), Some((devices - 1, devices - 1)));
        rows[1].bytes -= 20;
        assert_eq!(goes(&rows, 100, 100, 10), None);
    }
}

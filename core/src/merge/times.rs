//! Which times cannot be right: judged against what the other devices of a compartment say, never against now.

use super::operations::latest_ms;
use super::sheets::{Kept, every_sheet};
use crate::clock::{DAY_MS, EffectiveTime, Hlc, TimeSource};
use crate::id::{CompartmentId, DeviceId};
use crate::mutant::{self, Mutant};
use crate::store::{Store, StoreError};
use rusqlite::{Connection, OptionalExtension};
use std::collections::{BTreeMap, BTreeSet};

/// A time is not plausible if it is later than every other device's greatest by more than this.
const LATE_MS: i64 = 30 * DAY_MS;
/// A clock time is not plausible if it is this far behind the entry's own hlc.
const BEHIND_MS: i64 = DAY_MS;

/// The greatest times of the devices of one compartment: the greatest, its device, and the greatest of all others.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Times {
    greatest: Option<(DeviceId, i64)>,
    second: Option<i64>,
}

impl Times {
    /// Loads the times of a compartment.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn load(connection: &Connection, compartment: i64) -> Result<Self, StoreError> {
        let mut statement = connection.prepare_cached(
            "SELECT device, hlc FROM device_time WHERE compartment = ?1 ORDER BY hlc DESC, device LIMIT 2",
        )?;
        let mut rows = statement.query([compartment])?;
        let mut times = Self::default();
        while let Some(row) = rows.next()? {
            let ms = Hlc::from_bits(row.get::<_, i64>(1)?.cast_unsigned()).ms();
            match times.greatest {
                None => times.greatest = Some((DeviceId::new(row.get(0)?), ms)),
                Some(_) => times.second = Some(ms),
            }
        }
        Ok(times)
    }

    /// The greatest clock of accepted entries of one device in a compartment.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn of_device(connection: &Connection, compartment: i64, device: DeviceId) -> Result<Option<Hlc>, StoreError> {
        let mut statement =
            connection.prepare_cached("SELECT hlc FROM device_time WHERE compartment = ?1 AND device = ?2")?;
        let found = statement.query_row((compartment, device.as_bytes()), |row| row.get::<_, i64>(0)).optional()?;
        Ok(found.map(|bits| Hlc::from_bits(bits.cast_unsigned())))
    }

    /// The greatest clock of accepted entries of one device in any compartment.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn greatest_of(connection: &Connection, device: DeviceId) -> Result<Hlc, StoreError> {
        let mut statement = connection.prepare_cached("SELECT hlc FROM device_time WHERE device = ?1")?;
        let mut rows = statement.query([device.as_bytes()])?;
        let mut greatest = Hlc::default();
        while let Some(row) = rows.next()? {
            greatest = greatest.max(Hlc::from_bits(row.get::<_, i64>(0)?.cast_unsigned()));
        }
        Ok(greatest)
    }

    /// The greatest time of any device but `device`; none if there is no other.
    #[must_use]
    pub fn of_others(&self, device: DeviceId) -> Option<i64> {
        match self.greatest {
            Some((of, ms)) if of != device => Some(ms),
            _ => self.second,
        }
    }

    /// Whether a time of `device` cannot be right.
    #[must_use]
    pub fn implausible(&self, device: DeviceId, hlc: Hlc, effective: Option<&EffectiveTime>) -> bool {
        let late = |ms: i64| self.of_others(device).is_some_and(|others| ms.saturating_sub(others) > LATE_MS);
        let behind =
            effective.is_some_and(|e| e.source == TimeSource::Clock && hlc.ms().saturating_sub(e.ms) > BEHIND_MS);
        late(hlc.ms()) || effective.is_some_and(|e| late(e.ms)) || behind
    }

    /// Lets the greatest times of accepted entries count: where the bound of a device moves, the subjects whose
    /// times lie between the old and the new bound are marked.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub(super) fn settle(tx: &Connection, noted: &BTreeMap<(i64, DeviceId), Hlc>) -> Result<(), StoreError> {
        let mut before: BTreeMap<i64, Self> = BTreeMap::new();
        for ((compartment, device), hlc) in noted {
            if !before.contains_key(compartment) {
                before.insert(*compartment, Self::load(tx, *compartment)?);
            }
            tx.prepare_cached(
                "INSERT INTO device_time (compartment, device, hlc) VALUES (?1, ?2, ?3)
                 ON CONFLICT (compartment, device) DO UPDATE SET hlc = ?3 WHERE ?3 > hlc",
            )?
            .execute((compartment, device.as_bytes(), hlc.bits().cast_signed()))?;
        }
        for (compartment, before) in before {
            before.mark_moved(tx, compartment, &Self::load(tx, compartment)?)?;
        }
        Ok(())
    }

    /// Makes the times of some compartments anew from the accepted operations, as after a withdrawal.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn recompute(tx: &Connection, of: &BTreeSet<CompartmentId>) -> Result<(), StoreError> {
        if of.is_empty() {
            return Ok(());
        }
        let mut greatest: BTreeMap<i64, Hlc> = BTreeMap::new();
        every_sheet(tx, |_, sheet| {
            for kept in sheet.iter().filter(|kept| !kept.waiting) {
                let of_log = greatest.entry(kept.key.entry().log()).or_default();
                *of_log = (*of_log).max(kept.hlc);
            }
            Ok(())
        })?;
        for compartment in of {
            let compartment = Store::compartment_row(tx, *compartment)?;
            let before = Self::load(tx, compartment)?;
            tx.prepare_cached("DELETE FROM device_time WHERE compartment = ?1")?.execute([compartment])?;
            for (log, hlc) in &greatest {
                tx.prepare_cached(
                    "INSERT INTO device_time (compartment, device, hlc)
                     SELECT compartment, device, ?2 FROM log WHERE id = ?1 AND compartment = ?3
                     ON CONFLICT (compartment, device) DO UPDATE SET hlc = ?2 WHERE ?2 > hlc",
                )?
                .execute((log, hlc.bits().cast_signed(), compartment))?;
            }
            before.mark_moved(tx, compartment, &Self::load(tx, compartment)?)?;
        }
        Ok(())
    }

    /// Which of some times of devices lie beyond the bounds now.
    pub fn late(&self, times: impl Iterator<Item = (DeviceId, i64)>) -> Vec<i64> {
        times.filter(|(device, ms)| *ms > self.bound(*device)).map(|(_, ms)| ms).collect()
    }

    /// Keeps which times of a subject lie beyond the bounds now, so that a bound that rises finds them; a new
    /// subject has none kept yet.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn keep_late(tx: &Connection, subject: i64, late: &[i64], new: bool) -> Result<(), StoreError> {
        if !new {
            tx.prepare_cached("DELETE FROM late WHERE subject = ?1")?.execute([subject])?;
        }
        for time_ms in late {
            tx.prepare_cached("INSERT OR IGNORE INTO late (subject, time_ms) VALUES (?1, ?2)")?
                .execute((subject, time_ms))?;
        }
        Ok(())
    }

    /// The last plausible millisecond of a device.
    fn bound(&self, device: DeviceId) -> i64 {
        self.of_others(device).map_or(i64::MAX, |ms| ms.saturating_add(LATE_MS))
    }

    /// Marks the subjects whose times lie between the bounds that `self` and `now` give to some device.
    fn mark_moved(&self, tx: &Connection, compartment: i64, now: &Self) -> Result<(), StoreError> {
        if mutant::is(Mutant::ForgetsTheBounds) {
            return Ok(());
        }
        let devices =
            [self.greatest, now.greatest].into_iter().flatten().map(|(device, _)| device).chain([DeviceId::ZERO]);
        let (mut falls, mut rises) = (None::<(i64, i64)>, None::<(i64, i64)>);
        for device in devices {
            let (old, new) = (self.bound(device), now.bound(device));
            let range = if new < old { &mut falls } else { &mut rises };
            if old != new {
                let (low, high) = range.unwrap_or((i64::MAX, i64::MIN));
                *range = Some((low.min(old).min(new), high.max(old).max(new)));
            }
        }
        // A bound that rises frees only times that lay beyond it before; those are few and kept apart.
        if let Some((low, high)) = rises {
            let statement = "INSERT OR IGNORE INTO dirty (subject) SELECT late.subject FROM late JOIN subject ON subject.id = late.subject
                 WHERE late.time_ms > ?1 AND late.time_ms <= ?2 AND subject.compartment = ?3";
            tx.prepare_cached(statement)?.execute((low, high, compartment))?;
        }
        // A bound falls when the second device of a compartment is first heard of, or on a withdrawal.
        if let Some((low, high)) = falls {
            let mut mark = tx.prepare_cached(
                "INSERT OR IGNORE INTO dirty (subject) SELECT id FROM subject WHERE id = ?1 AND compartment = ?2",
            )?;
            every_sheet(tx, |row, sheet| {
                let moved = |kept: &Kept<'_>| (low + 1..=high).contains(&latest_ms(kept.hlc, &kept.operation()));
                if sheet.iter().any(moved) {
                    mark.execute((row.subject(), compartment))?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Precision;

    fn times(greatest: (u8, i64), second: Option<i64>) -> Times {
        Times { greatest: Some((DeviceId::new([greatest.0; 32]), greatest.1)), second }
    }

    fn at(ms: i64, source: TimeSource) -> EffectiveTime {
        EffectiveTime { ms, offset_minutes: 0, precision: Precision::Millisecond, source }
    }

    #[test]
    fn alone_no_time_is_implausible() {
        let device = DeviceId::new([1; 32]);
        let far = Hlc::default().tick(4_000_000_000_000);
        assert!(!times((1, far.ms()), None).implausible(device, far, Some(&at(far.ms(), TimeSource::Clock))));
    }

    #[test]
    fn more_than_30_days_after_all_others_is() {
        let (one, two) = (DeviceId::new([1; 32]), DeviceId::new([2; 32]));
        let others = times((1, 1_000 * DAY_MS), Some(100 * DAY_MS));
        let hlc = |days: i64| Hlc::default().tick(days * DAY_MS);
        assert!(others.implausible(one, hlc(131), None) && !others.implausible(one, hlc(130), None));
        assert!(!others.implausible(two, hlc(1_030), None));
        assert!(others.implausible(two, hlc(5), Some(&at(1_031 * DAY_MS, TimeSource::Stated))));
    }

    #[test]
    fn a_clock_time_a_day_behind_its_entry_is() {
        let device = DeviceId::new([1; 32]);
        let hlc = Hlc::default().tick(10 * DAY_MS);
        let alone = times((1, 10 * DAY_MS), None);
        assert!(alone.implausible(device, hlc, Some(&at(9 * DAY_MS - 1, TimeSource::Clock))));
        assert!(!alone.implausible(device, hlc, Some(&at(9 * DAY_MS - 1, TimeSource::Stated))));
    }
}

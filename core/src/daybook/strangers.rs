//! Logs of devices of which nobody here has heard: stored and relayed, for their grants may come, and bounded,
//! for anybody can make up devices.
//!
//! Counted are the bytes of runs with something new, for each bringer (a device, or files) and in all, until a grant
//! of the device comes; then the log is like any other.
//!
//! ```text
//! value "strangers" = declined 8 | (log id 32 | device 32 | bringer 32 | bytes 8) ...
//! ```

use super::Daybook;
use super::error::Error;
use crate::id::{DeviceId, LogId};
use crate::limits::{STRANGE_BYTES_MAX, STRANGE_BYTES_PER_BRINGER_MAX, STRANGE_LOGS_MAX, STRANGE_LOGS_PER_BRINGER_MAX};
use crate::log::VerifiedRun;
use crate::roster::Roster;
use crate::store::Store;
use rusqlite::Connection;
use std::collections::BTreeMap;

const VALUE: &str = "strangers";
const ROW_BYTES: usize = 104;

/// The rule code of a run for which there is no room.
pub(super) const NO_ROOM: &str = "E-012";

/// What waits here of devices of which nobody has heard.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Strangers {
    /// Their logs.
    pub logs: u64,
    /// Bytes of these logs.
    pub bytes: u64,
    /// Runs that were declined since the first of these logs came, because there was no room.
    pub declined: u64,
}

/// What is known of one such log.
#[derive(Clone, Copy, Debug)]
struct Strange {
    device: DeviceId,
    bringer: DeviceId,
    bytes: u64,
}

/// Whether a run of such a log may come in.
pub(super) enum Room {
    /// Its author is known: nothing is counted.
    Known,
    /// There is room; what is new of it is to be counted.
    Some,
    /// There is none.
    No,
}

/// The logs of strangers while runs are taken in.
#[derive(Default)]
pub(super) struct Counted {
    logs: BTreeMap<LogId, Strange>,
    declined: u64,
    read: bool,
    changed: bool,
}

impl Counted {
    /// Says whether a run that a bringer brought may come in.
    pub fn room(
        &mut self,
        tx: &Connection,
        roster: &Roster,
        bringer: DeviceId,
        (run, bytes): (&VerifiedRun<'_>, usize),
    ) -> Result<Room, Error> {
        if roster.knows(run.name().device) {
            return Ok(Room::Known);
        }
        self.read(tx, roster)?;
        // A log counts for the one who brought it first.
        let bringer = self.logs.get(&run.log()).map_or(bringer, |log| log.bringer);
        let new_log = usize::from(!self.logs.contains_key(&run.log()));
        let sum = |of: &mut dyn Iterator<Item = &Strange>| {
            of.fold((new_log, bytes as u64), |(logs, sum), log| (logs + 1, sum.saturating_add(log.bytes)))
        };
        let all = sum(&mut self.logs.values());
        let brought = sum(&mut self.logs.values().filter(|log| log.bringer == bringer));
        let fits = all.0 <= STRANGE_LOGS_MAX
            && all.1 <= STRANGE_BYTES_MAX
            && brought.0 <= STRANGE_LOGS_PER_BRINGER_MAX
            && brought.1 <= STRANGE_BYTES_PER_BRINGER_MAX;
        if fits {
            return Ok(Room::Some);
        }
        self.declined += 1;
        self.changed = true;
        Ok(Room::No)
    }

    /// Counts a run that was taken in.
    pub fn count(&mut self, bringer: DeviceId, (run, bytes): (&VerifiedRun<'_>, usize)) {
        let new = Strange { device: run.name().device, bringer, bytes: 0 };
        let log = self.logs.entry(run.log()).or_insert(new);
        log.bytes = log.bytes.saturating_add(bytes as u64);
        self.changed = true;
    }

    fn read(&mut self, tx: &Connection, roster: &Roster) -> Result<(), Error> {
        if std::mem::replace(&mut self.read, true) {
            return Ok(());
        }
        let value = Store::value_in(tx, VALUE)?.unwrap_or_default();
        let Some((declined, rest)) = value.split_first_chunk::<8>() else { return Ok(()) };
        self.declined = u64::from_le_bytes(*declined);
        for row in rest.as_chunks::<ROW_BYTES>().0 {
            self.logs.extend(strange(row));
        }
        let before = self.logs.len();
        self.logs.retain(|_, log| !roster.knows(log.device));
        self.changed |= self.logs.len() < before;
        if self.logs.is_empty() {
            self.declined = 0;
        }
        Ok(())
    }

    /// Keeps what was counted, if anything was.
    pub fn keep(&self, tx: &Connection) -> Result<(), Error> {
        if !self.changed {
            return Ok(());
        }
        let mut value = self.declined.to_le_bytes().to_vec();
        for (log, of) in &self.logs {
            value.extend_from_slice(log.as_bytes());
            value.extend_from_slice(of.device.as_bytes());
            value.extend_from_slice(of.bringer.as_bytes());
            value.extend_from_slice(&of.bytes.to_le_bytes());
        }
        Ok(Store::set_value(tx, VALUE, &value)?)
    }
}

fn strange(row: &[u8; ROW_BYTES]) -> Option<(LogId, Strange)> {
    let (log, rest) = row.split_first_chunk::<32>()?;
    let (device, rest) = rest.split_first_chunk::<32>()?;
    let (bringer, bytes) = rest.split_first_chunk::<32>()?;
    let bytes = u64::from_le_bytes(bytes.try_into().ok()?);
    Some((LogId::new(*log), Strange { device: DeviceId::new(*device), bringer: DeviceId::new(*bringer), bytes }))
}

impl Daybook {
    /// What waits here of devices of which nobody here has heard.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub fn strangers(&mut self) -> Result<Strangers, Error> {
        self.refresh()?;
        let mut counted = Counted::default();
        counted.read(self.store.read()?, &self.state.ring.roster)?;
        let bytes = counted.logs.values().map(|log| log.bytes).sum();
        Ok(Strangers { logs: counted.logs.len() as u64, bytes, declined: counted.declined })
    }
}

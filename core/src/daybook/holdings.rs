//! What other devices hold of this book, by their receipts; and whether this computer can be lost.

use super::Daybook;
use super::error::Error;
use super::receipts::{self, Doubt, Kept};
use super::types::Author;
use crate::id::{CONTROL, CompartmentId, DeviceId, EntryId, Lane};
use crate::store::{BranchOf, LogRow, Store, StoreError};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// A device that signed a receipt for this book.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    /// Who.
    pub who: Author,
    /// Whether it is a hub: it carries and may read nothing.
    pub hub: bool,
    /// When its receipt came, in milliseconds since 1970-01-01 UTC by this device's clock.
    pub at_ms: i64,
    /// Why its receipt does not count, if so.
    pub doubt: Option<Doubt>,
}

/// How many entries of a log a holder has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldBy {
    /// The holder.
    pub who: Author,
    /// Whether it is a hub.
    pub hub: bool,
    /// Its entries of the log.
    pub entries: u64,
}

/// One log and who holds it, receipts that do not count left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldLog {
    /// The beginning of its id, as entry codes show it.
    pub log: String,
    /// Its author.
    pub author: Author,
    /// The kind of its compartment.
    pub compartment: &'static str,
    /// Its lane.
    pub lane: Lane,
    /// Its entries here.
    pub entries: u64,
    /// Those of them that somebody else holds.
    pub elsewhere: u64,
    /// Who holds how many, those with most first.
    pub by: Vec<HeldBy>,
}

/// What other devices hold of this book.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Holdings {
    /// Devices that signed a receipt, newest first.
    pub holders: Vec<Holder>,
    /// All logs: own ones first, then in the order of an export.
    pub logs: Vec<HeldLog>,
}

/// Why a log would suffer with this computer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Lack {
    /// Nobody else holds all of it.
    Holder,
    /// One other device holds all of it; two must.
    SecondHolder,
    /// Those who hold all of it may not read it.
    Reader,
}

/// Whether this computer can be lost: every log that this device ever wrote is held whole by two others, one of
/// them a device that may read it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SafeToLose {
    /// Devices that signed a receipt, newest first.
    pub holders: Vec<Holder>,
    /// The logs that this device wrote, control and earlier installations included, with what they lack.
    pub own: Vec<(HeldLog, Option<Lack>)>,
}

impl SafeToLose {
    /// The logs that would suffer; none if this computer can be lost.
    pub fn lacking(&self) -> impl Iterator<Item = (&HeldLog, Lack)> {
        self.own.iter().filter_map(|(log, lack)| lack.map(|lack| (log, lack)))
    }
}

impl Holdings {
    /// Entries of this book that no receipt covers.
    #[must_use]
    pub fn only_here(&self) -> u64 {
        self.logs.iter().map(|log| log.entries - log.elsewhere).sum()
    }
}

impl Daybook {
    /// Who holds what of this book, by the receipts that count.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub fn holdings(&mut self) -> Result<Holdings, Error> {
        self.refresh()?;
        let connection = self.store.read()?;
        let receipts = self.holders(connection)?;
        let mut logs = Vec::new();
        for log in Store::logs(connection)? {
            logs.push(self.held(connection, &log, &receipts)?);
        }
        logs.sort_by_key(|log| !log.author.here);
        Ok(Holdings { holders: receipts.into_iter().map(|(_, holder)| holder).collect(), logs })
    }

    /// Whether this computer can be lost, log by log.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub fn safe_to_lose(&mut self) -> Result<SafeToLose, Error> {
        self.refresh()?;
        let connection = self.store.read()?;
        let receipts = self.holders(connection)?;
        let mut own = Vec::new();
        for log in Store::logs(connection)?.iter().filter(|log| log.name.device == self.state.device_id) {
            let held = self.held(connection, log, &receipts)?;
            let lack = self.lack(&held, log.name.compartment);
            own.push((held, lack));
        }
        Ok(SafeToLose { holders: receipts.into_iter().map(|(_, holder)| holder).collect(), own })
    }

    /// All receipts, and who signed them.
    fn holders(&self, connection: &Connection) -> Result<Vec<(Kept, Holder)>, StoreError> {
        let mut holders = Vec::new();
        for kept in receipts::all(connection, &self.state)? {
            let doubt = receipts::doubt(connection, &self.state, &kept)?;
            let (who, hub) = (self.state.author(kept.device), receipts::is_hub(&self.state, kept.device));
            let holder = Holder { who, hub, at_ms: kept.at_ms, doubt };
            holders.push((kept, holder));
        }
        Ok(holders)
    }

    fn held(&self, connection: &Connection, log: &LogRow, receipts: &[(Kept, Holder)]) -> Result<HeldLog, StoreError> {
        let branches = Store::branches(connection, log.number)?;
        let count = |held: &BTreeMap<u8, u64>| -> u64 {
            let of = |branch: &BranchOf| held.get(&branch.branch).map_or(0, |at| at.saturating_sub(branch.fork_seq));
            branches.iter().map(of).sum()
        };
        let mut by = Vec::new();
        let mut together: BTreeMap<u8, u64> = BTreeMap::new();
        for (kept, holder) in receipts.iter().filter(|(_, holder)| holder.doubt.is_none()) {
            let Some(heads) = kept.covered.get(&log.log) else { continue };
            let mut entries = Vec::new();
            for (seq, id) in heads {
                entries.extend(place_of(connection, log.number, &branches, (*seq, id))?.map(|branch| (branch, *seq)));
            }
            let held = crate::sync::held(&branches, entries);
            for (branch, seq) in &held {
                let most = together.entry(*branch).or_default();
                *most = (*most).max(*seq);
            }
            by.push(HeldBy { who: holder.who.clone(), hub: holder.hub, entries: count(&held) });
        }
        by.retain(|by| by.entries > 0);
        by.sort_by_key(|by| std::cmp::Reverse(by.entries));
        let kind = self.state.ring.roster.kind_of(log.name.compartment);
        Ok(HeldLog {
            log: log.log.short(),
            author: self.state.author(log.name.device),
            compartment: kind.map_or("unknown", crate::roster::CompartmentKind::word),
            lane: log.name.lane,
            // Up to the last one behind a gap: who holds fewer does not hold all that can be lost here.
            entries: branches.iter().map(|branch| branch.tip_seq - branch.fork_seq).sum::<u64>()
                + Store::places_beyond(connection, log.number)?,
            elsewhere: count(&together),
            by,
        })
    }

    /// What a log lacks to be safe without this computer.
    fn lack(&self, log: &HeldLog, compartment: CompartmentId) -> Option<Lack> {
        let whole = || log.by.iter().filter(|by| by.entries == log.entries);
        match whole().count() {
            0 => Some(Lack::Holder),
            1 => Some(Lack::SecondHolder),
            _ if whole().any(|by| self.reads_all(by.who.device, compartment)) => None,
            _ => Some(Lack::Reader),
        }
    }

    /// Whether a device may read a whole compartment: one that was admitted without its history may not. Control is
    /// read by all who read anything.
    fn reads_all(&self, device: DeviceId, compartment: CompartmentId) -> bool {
        let roster = &self.state.ring.roster;
        if compartment == CONTROL {
            return !receipts::is_hub(&self.state, device);
        }
        roster.readers(compartment).iter().any(|reader| reader.history && reader.device.device_id() == device)
    }
}

/// The branch row that holds an entry.
fn place_of(
    connection: &Connection,
    log: i64,
    branches: &[BranchOf],
    (seq, id): (u64, &EntryId),
) -> Result<Option<u8>, StoreError> {
    match branches.iter().find(|branch| branch.tip_seq == seq && branch.tip_id == *id) {
        Some(tip) => Ok(Some(tip.branch)),
        None => Store::branch_of(connection, log, seq, id.as_bytes()),
    }
}

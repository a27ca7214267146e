//! Former members: how a device is served by what the roster says, what concerns one whose grant does not hold, and how
//! much of what it brings is taken in.
//!
//! ```text
//! value "former" = (device 32 | bytes 8) ...      bytes of runs with something new, of devices that are former members
//! ```

use super::error::Error;
use super::state::State;
use crate::entry::{Sealed, SealedEntry};
use crate::id::{CompartmentId, DeviceId, EntryId, LogId};
use crate::limits::{FORMER_BYTES_MAX, FORMER_BYTES_PER_DEVICE_MAX};
use crate::log::{Run, RunBuilder, VerifiedRun};
use crate::record::EntryRef;
use crate::roster::{Approve, Control, ControlEntry, Endorse, PlaceOf, Roster};
use crate::store::Store;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

const VALUE: &str = "former";

/// How a device is served, by what is known of it here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Service {
    /// A grant of it is in force, or it is a root.
    Member,
    /// No grant of it is in force, or a revoke bars it: it hands over what it wrote.
    Former,
    /// It was barred by more than a revoke.
    Barred,
}

/// How a device is served.
pub(super) fn service(roster: &Roster, device: DeviceId) -> Service {
    if roster.is_turned_away(device).is_some() {
        Service::Barred
    } else if roster.is_root(device) {
        Service::Member
    } else if roster.is_barred(device).is_some() || roster.grants_of(device).next().is_none() {
        Service::Former
    } else {
        Service::Member
    }
}

/// Compartments that a former member is not asked for: this device does not carry them. Named are those that the other
/// could write in.
pub(super) fn apart(state: &State, former: DeviceId) -> BTreeSet<CompartmentId> {
    let roster = &state.ring.roster;
    let grants: Vec<&EntryId> =
        roster.grants().iter().filter(|(_, held)| held.device == former).map(|(id, _)| id).collect();
    let gave = |id: &CompartmentId| grants.iter().any(|grant| roster.gives_keys(grant, former, *id));
    let sites = roster.compartments().iter().filter(|(_, of)| of.name.is_some()).map(|(id, _)| id);
    sites.filter(|id| gave(id) && !roster.carries(state.device_id, **id)).copied().collect()
}

/// The control entries that concern a former member: what it wrote, what was said of its device, its grants, its logs
/// and its entries, and the grants on which all that stands.
pub(super) struct Concerning<'s> {
    entries: BTreeMap<EntryId, &'s ControlEntry>,
    device: DeviceId,
}

/// What belongs to a former member.
struct Own {
    device: DeviceId,
    grants: BTreeSet<EntryId>,
    logs: BTreeSet<LogId>,
}

impl<'s> Concerning<'s> {
    /// Finds them.
    pub fn of(state: &'s State, device: DeviceId) -> Self {
        let all: BTreeMap<EntryId, &ControlEntry> = state.control.iter().map(|entry| (entry.place.id, entry)).collect();
        let own = Own {
            device,
            grants: all.iter().filter(|(_, entry)| is_grant_of(entry, device)).map(|(id, _)| *id).collect(),
            logs: state.logs.of_device(device).map(|log| log.log).collect(),
        };
        let mut entries: BTreeMap<EntryId, &ControlEntry> =
            all.iter().filter(|(_, entry)| own.is_about(entry)).map(|(id, entry)| (*id, *entry)).collect();
        // A revoke in parts counts when all of them are here.
        let parts: BTreeSet<(LogId, [u8; 32])> = entries.values().filter_map(|entry| part_of(entry)).collect();
        entries.extend(all.iter().filter(|(_, entry)| part_of(entry).is_some_and(|part| parts.contains(&part))));
        let lifting: Vec<EntryId> = all.iter().filter(|(_, entry)| lifts(entry, &entries)).map(|(id, _)| *id).collect();
        entries.extend(lifting.iter().filter_map(|id| all.get_key_value(id)));
        let mut open: Vec<EntryId> = entries.values().map(|entry| entry.grant).chain(own.grants).collect();
        while let Some(grant) = open.pop() {
            let Some(entry) = all.get(&grant).filter(|entry| matches!(entry.control, Control::Grant(_))) else {
                continue;
            };
            if entries.insert(grant, entry).is_none() {
                open.push(entry.grant);
            }
        }
        Self { entries, device }
    }

    /// The logs of others that hold such entries, each with the last place of one.
    pub fn logs(&self) -> BTreeMap<LogId, u64> {
        let mut logs = BTreeMap::new();
        // What is known without its chain has no place in a log yet.
        let others = self.entries.values().filter(|entry| entry.device != self.device && entry.branch.is_some());
        for PlaceOf { log, seq, .. } in others.map(|entry| entry.place) {
            let last = logs.entry(log).or_default();
            *last = seq.max(*last);
        }
        logs
    }

    /// A run of control entries with the bodies of those alone that concern the former member.
    ///
    /// # Errors
    /// [`Error::Bug`] if it is none.
    pub fn withhold(&self, run: &[u8], state: &State) -> Result<Vec<u8>, Error> {
        let run = Run::read(run).and_then(|run| run.verify(&state.ring.incident));
        let run = run.map_err(|_| Error::Bug("an own run is none"))?;
        let Some(first) = run.entries().first() else { return Err(Error::Bug("an own run is empty")) };
        let mut heads = run.heads().iter().peekable();
        let mut told = RunBuilder::new(run.name(), first.seq(), *first.backlink());
        for (index, entry) in run.entries().iter().enumerate() {
            let signature = heads.next_if(|(at, _)| *at == index).map(|(_, signature)| *signature);
            let mut sealed = entry.entry().sealed;
            if !self.entries.contains_key(entry.id()) && sealed.bytes() > 0 {
                sealed = Sealed::Erased { bytes: sealed.bytes(), hash: sealed.hash() };
            }
            told.push(&SealedEntry { sealed, ..*entry.entry() }, signature);
        }
        Ok(told.finish())
    }
}

fn is_grant_of(entry: &ControlEntry, device: DeviceId) -> bool {
    matches!(&entry.control, Control::Grant(grant) if grant.device.device_id() == device)
}

/// The log and the hash of the whole of a revoke that is in parts.
fn part_of(entry: &ControlEntry) -> Option<(LogId, [u8; 32])> {
    let Control::Revoke(revoke) = &entry.control else { return None };
    revoke.part.map(|part| (entry.place.log, part.hash))
}

/// Whether an endorsement takes back one of these entries, or all bars of a grant on which one stands.
fn lifts(entry: &ControlEntry, of: &BTreeMap<EntryId, &ControlEntry>) -> bool {
    let Control::Endorse(Endorse { lifts, lifts_all_of, .. }) = &entry.control else { return false };
    lifts.iter().any(|id| of.contains_key(id))
        || of.values().any(|entry| entry.control.stops() && lifts_all_of.contains(&entry.grant))
}

impl Own {
    fn is_about(&self, entry: &ControlEntry) -> bool {
        let places = |places: &[PlaceOf]| places.iter().any(|place| self.logs.contains(&place.log));
        let grants = |grants: &[EntryId]| grants.iter().any(|grant| self.grants.contains(grant));
        let said = match &entry.control {
            Control::Grant(grant) => grant.device.device_id() == self.device,
            Control::Revoke(revoke) => {
                grants(&revoke.grants)
                    || grants(&revoke.spares)
                    || places(&revoke.cuts)
                    || revoke.devices.contains(&self.device)
            }
            Control::Bar { devices } => devices.contains(&self.device),
            Control::Approve(Approve::End { root } | Approve::Cut { root, .. }) => *root == self.device,
            Control::Approve(Approve::Add { device, .. }) => device.device_id() == self.device,
            Control::Endorse(endorse) => grants(&endorse.grants) || places(&endorse.entries) || places(&endorse.logs),
            Control::Erase { entries, .. } => places(entries),
            Control::Incarnation { .. } | Control::Epoch(_) | Control::Compartment { .. } | Control::Newer => false,
        };
        said || entry.device == self.device
    }
}

/// What former members brought while runs are taken in.
#[derive(Default)]
pub(super) struct Brought {
    bytes: BTreeMap<DeviceId, u64>,
    read: bool,
    changed: bool,
}

/// Whether a run may come in.
pub(super) enum Room {
    /// Its bringer is a member, or all of it is here: nothing is counted.
    Member,
    /// There is room; what is new of it is to be counted.
    Some,
    /// There is none.
    No,
}

impl Brought {
    /// Says whether a run that a bringer brought may come in; one of which all is here costs nothing.
    pub fn room(
        &mut self,
        tx: &Connection,
        roster: &Roster,
        bringer: DeviceId,
        (run, bytes): (&VerifiedRun<'_>, usize),
    ) -> Result<Room, Error> {
        // Of who never was a member the logs are counted, whoever brings them; files have no bringer.
        if !roster.knows(bringer) || service(roster, bringer) == Service::Member {
            return Ok(Room::Member);
        }
        let last = run.entries().last().map(|entry| EntryRef::new(run.log(), entry.seq(), entry.id()));
        if let Some(last) = last
            && Store::resolve(tx, &last)?.is_some()
        {
            return Ok(Room::Member);
        }
        self.read(tx, roster)?;
        let brought = self.bytes.get(&bringer).copied().unwrap_or_default().saturating_add(bytes as u64);
        let all = self.bytes.values().fold(bytes as u64, |sum, bytes| sum.saturating_add(*bytes));
        Ok(if brought <= FORMER_BYTES_PER_DEVICE_MAX && all <= FORMER_BYTES_MAX { Room::Some } else { Room::No })
    }

    /// Counts a run that was taken in.
    pub fn count(&mut self, bringer: DeviceId, bytes: usize) {
        let brought = self.bytes.entry(bringer).or_default();
        *brought = brought.saturating_add(bytes as u64);
        self.changed = true;
    }

    /// Reads what was counted; of who is a member again, or is served no more, nothing is.
    fn read(&mut self, tx: &Connection, roster: &Roster) -> Result<(), Error> {
        if std::mem::replace(&mut self.read, true) {
            return Ok(());
        }
        let value = Store::value_in(tx, VALUE)?.unwrap_or_default();
        for row in value.as_chunks::<40>().0 {
            let (Some(device), Some(bytes)) = (row.first_chunk::<32>(), row.last_chunk::<8>()) else { continue };
            self.bytes.insert(DeviceId::new(*device), u64::from_le_bytes(*bytes));
        }
        let before = self.bytes.len();
        self.bytes.retain(|device, _| service(roster, *device) == Service::Former);
        self.changed |= self.bytes.len() < before;
        Ok(())
    }

    /// Keeps what was counted, if anything was.
    pub fn keep(&self, tx: &Connection) -> Result<(), Error> {
        if !self.changed {
            return Ok(());
        }
        let mut value = Vec::with_capacity(self.bytes.len() * 40);
        for (device, bytes) in &self.bytes {
            value.extend_from_slice(device.as_bytes());
            value.extend_from_slice(&bytes.to_le_bytes());
        }
        Ok(Store::set_value(tx, VALUE, &value)?)
    }
}

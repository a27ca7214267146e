//! What waits for entries that are not here: changes of records that refer to them, whose they are, and from whom they
//! could come.

use super::Daybook;
use super::error::Error;
use super::former::{Service, service};
use super::peers::noted_heads;
use super::receipts;
use super::state::State;
use super::types::Author;
use crate::id::{CompartmentId, DeviceId, Incarnation, Lane, LogId};
use crate::log::LogName;
use crate::record::EntryRef;
use crate::store::{EntryKey, Store};
use crate::sync::Covered;
use crate::view;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// Most references that are looked at; of more the first are told.
const REFERENCES_MAX: usize = 20_000;

/// Changes of records that refer to entries of one device which are not here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Awaited {
    /// Whose entries they are; none if nobody here has heard of the device.
    pub author: Option<Author>,
    /// How many changes refer to some of them; among the first 20,000 references.
    pub changes: u64,
    /// Of how many records.
    pub records: u64,
    /// Devices that hold them or held them once: their author, who signed or was in sync with this book before it lost
    /// them, and who wrote the changes, since nobody refers to what he did not see. Without those that are not served.
    pub could_come_from: Vec<Author>,
}

/// What is known of the entries of one device that are not here.
#[derive(Default)]
struct Found {
    changes: BTreeSet<EntryKey>,
    records: BTreeSet<i64>,
    from: BTreeSet<DeviceId>,
}

impl Daybook {
    /// Which changes refer to entries that are not here, by the device that wrote these. The cost is of what waits, and
    /// not of the book.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub fn awaited(&mut self) -> Result<Vec<Awaited>, Error> {
        self.refresh()?;
        let connection = self.store.read()?;
        let rows = view::missing_rows(connection, REFERENCES_MAX)?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let held = known_frontiers(connection, &self.state)?;
        let (mut writers, mut found) = (Writers::default(), BTreeMap::<Option<DeviceId>, Found>::new());
        for row in rows {
            let Some(child) = self.state.logs.get(row.edit.log()) else { continue };
            let compartment = child.name.compartment;
            let Writer::Lacking(writer) = writers.of(connection, &self.state, &row.reference, compartment)? else {
                continue;
            };
            let of = found.entry(writer).or_default();
            of.changes.insert(row.edit);
            of.records.insert(row.subject);
            of.from.extend(writer);
            of.from.insert(child.name.device);
            of.from.extend(held.iter().filter(|(_, heads)| covers(heads, &row.reference)).map(|(device, _)| *device));
        }
        let awaited = found.into_iter().map(|(writer, found)| self.state.awaited(writer, found));
        let mut awaited: Vec<Awaited> = awaited.collect();
        awaited.sort_by_key(|awaited| std::cmp::Reverse(awaited.changes));
        Ok(awaited)
    }
}

impl State {
    fn awaited(&self, writer: Option<DeviceId>, found: Found) -> Awaited {
        let served = |device: &DeviceId| {
            *device != self.device_id
                && match service(&self.ring.roster, *device) {
                    Service::Member => true,
                    // It hands over what it wrote itself.
                    Service::Former => writer == Some(*device),
                    Service::Barred => false,
                }
        };
        let mut from: Vec<DeviceId> = found.from.into_iter().filter(served).collect();
        from.sort_by_key(|device| (writer != Some(*device), *device));
        Awaited {
            author: writer.map(|device| self.author(device)),
            changes: found.changes.len() as u64,
            records: found.records.len() as u64,
            could_come_from: from.into_iter().map(|device| self.author(device)).collect(),
        }
    }
}

/// What other devices are known to have held: when they were in sync with this book, and by their receipts.
fn known_frontiers(connection: &Connection, state: &State) -> Result<Vec<(DeviceId, Covered)>, Error> {
    let noted = noted_heads(connection)?.into_iter().map(|(device, _, heads)| (device, heads));
    let signed = receipts::all(connection, state)?.into_iter().map(|kept| (kept.device, kept.covered));
    Ok(noted.chain(signed).collect())
}

/// Whether heads of a log reach a place: of a fork it cannot be told which of its branches is meant.
fn covers(heads: &Covered, reference: &EntryRef) -> bool {
    heads.get(&reference.log).is_some_and(|heads| heads.iter().any(|(seq, _)| *seq >= reference.seq))
}

/// Who wrote an entry that is referred to.
enum Writer {
    /// It is here, and does not open or is no change of the record.
    IsHere,
    /// It is not; its author, if that is known.
    Lacking(Option<DeviceId>),
}

/// Who writes the logs that are referred to.
#[derive(Default)]
struct Writers {
    /// The number of a log, if it is here, and who writes it, if that is known.
    logs: BTreeMap<LogId, (Option<i64>, Option<DeviceId>)>,
    /// The installations that are known, each with its device; read when a log is asked for that is not here.
    installations: Option<Vec<LogName>>,
}

impl Writers {
    /// Who writes the entry that is referred to.
    fn of(
        &mut self,
        connection: &Connection,
        state: &State,
        reference: &EntryRef,
        compartment: CompartmentId,
    ) -> Result<Writer, Error> {
        let known = if let Some(known) = self.logs.get(&reference.log) {
            *known
        } else {
            let row = Store::log_row(connection, &reference.log)?;
            let device = row.map(|row| row.name.device).or_else(|| self.guess(state, &reference.log, compartment));
            let known = (row.map(|row| row.number), device);
            self.logs.insert(reference.log, known);
            known
        };
        let here = match known.0 {
            Some(number) => Store::branch_of(connection, number, reference.seq, &reference.prefix)?,
            None => None,
        };
        Ok(match here {
            Some(_) => Writer::IsHere,
            None => Writer::Lacking(known.1),
        })
    }

    /// Who writes a log of which nothing is here: an id is a hash of device, installation, compartment and lane, so
    /// it can be tried with those that are known. Parents lie in the compartment of their children.
    fn guess(&mut self, state: &State, log: &LogId, compartment: CompartmentId) -> Option<DeviceId> {
        let installations = self.installations.get_or_insert_with(|| {
            let names = state.logs.names().map(|name| ((name.device, name.incarnation), *name));
            names.collect::<BTreeMap<(DeviceId, Incarnation), LogName>>().into_values().collect()
        });
        let is_it = |name: &&LogName| {
            Lane::ALL.iter().any(|lane| LogName { compartment, lane: *lane, ..**name }.id(&state.ring.incident) == *log)
        };
        installations.iter().find(is_it).map(|name| name.device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::EntryId;

    #[test]
    fn who_held_a_log_further_held_what_lies_before() {
        let (log, other) = (LogId::new([1; 32]), LogId::new([2; 32]));
        let heads = Covered::from([(log, vec![(3, EntryId::ZERO), (9, EntryId::ZERO)])]);
        let reference = |log, seq| EntryRef { log, seq, prefix: [0; 16] };
        assert!(covers(&heads, &reference(log, 9)) && covers(&heads, &reference(log, 1)));
        assert!(!covers(&heads, &reference(log, 10)) && !covers(&heads, &reference(other, 1)));
    }
}

//! What a device could read, and from which entry on it is blind: after it was lost.
//!
//! Told is what it could have been given, as far as is known here: more rather than less. Whether it ever met
//! somebody who gave it that, nobody knows.

use super::epochs::epoch_where_needed;
use super::given::{replaced_by, since};
use crate::clock::Hlc;
use crate::crypto::Place;
use crate::daybook::Daybook;
use crate::daybook::charts::entry_code;
use crate::daybook::error::Error;
use crate::daybook::state::State;
use crate::daybook::types::{Author, EntryCode};
use crate::entry::Sealed;
use crate::id::{CompartmentId, DeviceId, EntryId, KeyId, PatientId};
use crate::record::{Body, EntryRef, Operation};
use crate::roster::{CompartmentKind, Control, Epoch, Grant, Waits};
use crate::store::{LogRow, Store, StoredEntry};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// Whether a device reads what is written next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Blindness {
    /// It may read: nothing that is known here stops its keys.
    MayRead,
    /// Its keys are stopped, and nobody has begun an epoch since: who writes next begins one.
    NotYet,
    /// From this control entry on, which begins the first epoch whose key it was not given.
    From {
        /// The entry.
        entry: EntryCode,
        /// Who began the epoch.
        author: Author,
        /// When, by the author's clock.
        hlc: Hlc,
    },
}

/// What a device could read of one compartment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExposedCompartment {
    /// The kind of the compartment.
    pub kind: &'static str,
    /// The compartment.
    pub compartment: CompartmentId,
    /// When the first grant that gave it keys was written, by the clock of its author; none for a root.
    pub since: Option<Hlc>,
    /// Whether with it all that was written before.
    pub history: bool,
    /// Entries that it could read, as far as they are here.
    pub entries: u64,
    /// Entries here that it could not.
    pub closed: u64,
    /// Entries that it could read and that cannot be read here: who was in them is not known.
    pub unread_here: u64,
    /// Whether it reads on.
    pub blind: Blindness,
    /// The first entry of each log that was sealed after it went blind.
    pub blind_from: Vec<EntryCode>,
}

/// What a device could read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exposure {
    /// Who.
    pub who: Author,
    /// Compartment by compartment; those that it never had keys of are left out.
    pub compartments: Vec<ExposedCompartment>,
    /// Patients in what it could read, in rising order of id.
    pub patients: BTreeSet<PatientId>,
}

/// One grant that gives or gave keys of a compartment; a root's needs none.
struct Claim<'s> {
    grant: EntryId,
    given: Option<(Hlc, &'s Grant)>,
}

impl Claim<'_> {
    fn history(&self) -> bool {
        self.given.is_none_or(|(_, grant)| grant.history)
    }
}

/// Which epochs of a compartment a device could have keys of.
struct Reach {
    readable: BTreeSet<EntryId>,
    /// Epochs whose authors knew that its keys are stopped.
    shut: BTreeSet<EntryId>,
}

impl Daybook {
    /// What a device could read, and from which entry on it is blind. Goes through all sealed entries.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub fn exposure(&mut self, device: DeviceId) -> Result<Exposure, Error> {
        self.refresh()?;
        let (state, connection) = (&self.state, self.store.read()?);
        let mut exposure = Exposure { who: state.author(device), compartments: Vec::new(), patients: BTreeSet::new() };
        let logs = Store::logs(connection)?;
        for (compartment, made) in state.ring.roster.compartments() {
            let claims = claims(state, device, *compartment, made.kind);
            if claims.is_empty() {
                continue;
            }
            let reach = reach(state, device, *compartment, &claims);
            let mut exposed = ExposedCompartment {
                kind: made.kind.word(),
                compartment: *compartment,
                since: claims.iter().map(|claim| claim.given.map(|(hlc, _)| hlc)).min().flatten(),
                history: claims.iter().any(Claim::history),
                entries: 0,
                closed: 0,
                unread_here: 0,
                blind: blindness(state, device, *compartment, &reach),
                blind_from: Vec::new(),
            };
            for log in logs.iter().filter(|log| log.name.compartment == *compartment) {
                look_through(connection, state, (log, made.kind), &reach, &mut exposed, &mut exposure.patients)?;
            }
            exposure.compartments.push(exposed);
        }
        exposure.compartments.sort_by_key(|exposed| (exposed.kind, exposed.compartment));
        Ok(exposure)
    }

    /// Begins new epochs where this device may and where the next writer would have to: so that a device whose
    /// keys are stopped is blind from now on. Gives the kinds of their compartments.
    ///
    /// # Errors
    /// [`Error::NoRight`] if this device writes nowhere; [`Error`] if the book cannot be written.
    pub fn rotate(&mut self) -> Result<Vec<&'static str>, Error> {
        self.write(|writer| {
            let all: Vec<(CompartmentId, CompartmentKind)> =
                writer.state.ring.roster.compartments().iter().map(|(id, made)| (*id, made.kind)).collect();
            let (mut begun, mut may) = (Vec::new(), false);
            for (compartment, kind) in all {
                match epoch_where_needed(writer, compartment) {
                    Ok(new) => {
                        may = true;
                        begun.extend(new.map(|_| kind.word()));
                    }
                    Err(Error::NoRight) => {}
                    Err(error) => return Err(error),
                }
            }
            if may { Ok(begun) } else { Err(Error::NoRight) }
        })
    }
}

/// All by which a device is or was given keys of a compartment, also what was given by somebody who was cut.
fn claims(state: &State, device: DeviceId, compartment: CompartmentId, kind: CompartmentKind) -> Vec<Claim<'_>> {
    let roster = &state.ring.roster;
    let mut claims = Vec::new();
    if roster.is_root(device) || roster.is_ended_root(device) {
        claims.push(Claim { grant: EntryId::new(*state.ring.incident.as_bytes()), given: None });
    }
    for entry in &state.control {
        let Control::Grant(grant) = &entry.control else { continue };
        if grant.device.device_id() != device {
            continue;
        }
        let id = entry.place.id;
        let gives = match roster.fallen(&id) {
            None => roster.gives_keys(&id, device, compartment),
            // Its giver may have handed out keys before he heard why it does not count.
            Some(Waits::GrantFallen | Waits::Cut) => {
                let rights = grant.rights.of(compartment, kind);
                rights.covers(crate::roster::Rights::READ) || rights.writes()
            }
            Some(_) => false,
        };
        if gives && claims.iter().all(|claim| claim.grant != id) {
            claims.push(Claim { grant: id, given: Some((entry.hlc, grant)) });
        }
    }
    claims
}

/// Which epochs a device could have keys of.
fn reach(state: &State, device: DeviceId, compartment: CompartmentId, claims: &[Claim<'_>]) -> Reach {
    let roster = &state.ring.roster;
    let epochs: BTreeMap<&EntryId, &Epoch> =
        roster.epochs().iter().filter(|(_, epoch)| epoch.compartment == compartment).collect();
    let mut reach = Reach { readable: BTreeSet::new(), shut: BTreeSet::new() };
    for (id, epoch) in &epochs {
        let shut = |claim: &Claim<'_>| {
            let lifts = claim.given.map_or(&[][..], |(_, grant)| &grant.lifts);
            roster.shuts_out(epoch, device, &claim.grant, lifts)
        };
        if claims.iter().all(shut) {
            reach.shut.insert(**id);
        }
        let history = claims.iter().any(|claim| claim.history() && !shut(claim));
        let from_now_on = || claims.iter().filter(|claim| !claim.history() && !shut(claim));
        if history || from_now_on().any(|claim| since(state, &claim.grant, compartment).contains(*id)) {
            reach.readable.insert(**id);
        }
        if history {
            reach.readable.extend(replaced_by(roster, id));
        }
    }
    // What it began itself it reads, whoever else does.
    let own = state.control.iter().filter(|entry| entry.device == device && epochs.contains_key(&entry.place.id));
    reach.readable.extend(own.map(|entry| entry.place.id));
    reach.shut.retain(|id| !reach.readable.contains(id));
    reach
}

/// Whether a device reads what is written next.
fn blindness(state: &State, device: DeviceId, compartment: CompartmentId, reach: &Reach) -> Blindness {
    let first = state.control.iter().filter(|entry| reach.shut.contains(&entry.place.id));
    match first.min_by_key(|entry| (entry.hlc, entry.place.id)) {
        Some(entry) => Blindness::From {
            entry: entry_code(&EntryRef::new(entry.place.log, entry.place.seq, &entry.place.id), 0),
            author: state.author(entry.device),
            hlc: entry.hlc,
        },
        None if state.ring.roster.reader(device, compartment).is_some() => Blindness::MayRead,
        None => Blindness::NotYet,
    }
}

/// Counts the entries of a log, and takes note of whom those are about that the device could read.
fn look_through(
    connection: &Connection,
    state: &State,
    (log, kind): (&LogRow, CompartmentKind),
    reach: &Reach,
    exposed: &mut ExposedCompartment,
    patients: &mut BTreeSet<PatientId>,
) -> Result<(), Error> {
    let keys = |ids: &BTreeSet<EntryId>| -> BTreeSet<KeyId> {
        ids.iter().filter_map(|id| Some(state.ring.roster.epochs().get(id)?.key)).collect()
    };
    let (readable, shut) = (keys(&reach.readable), keys(&reach.shut));
    let mut first_shut: Option<EntryRef> = None;
    let mut body = Vec::new();
    for branch in Store::branches(connection, log.number)? {
        let range = (branch.fork_seq + 1, branch.tip_seq);
        Store::entries(connection, (log.number, branch.branch), range, |entry| {
            let key = entry.ground.key;
            if readable.contains(&key) {
                exposed.entries += 1;
                if !note_patients(state, (log, kind), &entry, &mut body, patients) {
                    exposed.unread_here += 1;
                }
            } else {
                exposed.closed += 1;
                if shut.contains(&key) && first_shut.as_ref().is_none_or(|first| entry.key.seq() < first.seq) {
                    first_shut = Some(EntryRef::new(log.log, entry.key.seq(), &entry.id));
                }
            }
            Ok::<bool, Error>(true)
        })?;
    }
    exposed.blind_from.extend(first_shut.map(|first| entry_code(&first, 0)));
    Ok(())
}

/// Takes note of the patients of an entry; whether it could be read here.
fn note_patients(
    state: &State,
    (log, kind): (&LogRow, CompartmentKind),
    entry: &StoredEntry,
    body: &mut Vec<u8>,
    patients: &mut BTreeSet<PatientId>,
) -> bool {
    let (Sealed::Body(sealed), Some(key)) = (entry.sealed(), state.ring.keys.get(&entry.ground.key)) else {
        return false;
    };
    let place = Place { incident: state.ring.incident, log: log.log, seq: entry.key.seq() };
    if key.open(&place, &entry.nonce, sealed, body).is_err() {
        return false;
    }
    // What opens and breaks the schema was readable too, and nobody can say whom it is about.
    let Ok(read) = Body::read(body, log.name.lane, kind) else { return false };
    for (operation, _) in &read.operations {
        match operation {
            Operation::Edit(edit) => patients.extend([edit.patient]),
            Operation::Fact(fact) => patients.extend(fact.patient),
            Operation::Reading(reading) => patients.extend(reading.patient),
            Operation::Newer => {}
        }
    }
    true
}

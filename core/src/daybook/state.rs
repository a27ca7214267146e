//! What an open book keeps in memory: who this device is, the control set and its roster, keys, logs, clock.
//! All of it is read from the file, and read again when another process has written.

use super::error::Error;
use super::floods::Floods;
use super::types::Author;
use crate::clock::Hlc;
use crate::crypto::{DeviceSecret, FieldPlace, Place, ReadingKey, Secret};
use crate::id::{CompartmentId, DeviceId, EntryId, Incarnation, KeyId};
use crate::limits::SEQ_MAX;
use crate::merge::{Backlog, Keyring, Logs, Times};
use crate::roster::{
    Branch, Chains, CompartmentKind, Control, ControlBody, ControlEntry, Held, PlaceOf, Rights, Roster, SealedText,
    SignedFounding,
};
use crate::store::{BranchOf, LogRow, Store, StoreError, StoredEntry, Verdict};
use rusqlite::Connection;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Names of local values in the file.
pub(super) mod value {
    pub const FOUNDING: &str = "founding";
    pub const DEVICE: &str = "device";
    pub const ADMISSION: &str = "admission";
    pub const INCARNATION: &str = "incarnation";
    /// Set when the next write must begin a new incarnation.
    pub const BEGIN: &str = "begin incarnation";
    pub const HLC: &str = "hlc";
    pub const VIEWS: &str = "views";
    /// Set by an exercise that must fail: what comes is stored and goes no further.
    pub const STORE_ONLY: &str = "store only";
    /// Runs of control entries that are known without their chain.
    pub const ALONE: &str = "control alone";
}

/// The code of a control entry whose body is not here.
pub(super) const WITHHELD: &str = "withheld";

/// Sealed text of a control entry, by field number.
pub(super) const FIELD_PERSON: u16 = 2;
pub(super) const FIELD_ORGANISATION: u16 = 3;
pub(super) const FIELD_COMPARTMENT_NAME: u16 = 2;

/// What an open book keeps in memory.
pub(super) struct State {
    pub founding: SignedFounding,
    pub device: DeviceSecret,
    pub device_id: DeviceId,
    pub incarnation: Incarnation,
    /// Whether the next write begins a new incarnation first.
    pub begin: bool,
    /// The grant that this device's entries stand on.
    pub grant: EntryId,
    pub hlc: Hlc,
    /// The clock as the file keeps it; none if something was taken out that kept it.
    pub hlc_kept: Option<Hlc>,
    /// Whether what comes is stored and goes no further: an exercise that must fail.
    pub store_only: bool,
    pub control: Vec<ControlEntry>,
    /// How logs fork, as far as the control set asks.
    pub chains: Chains,
    /// The floods that are known.
    pub floods: Floods,
    pub ring: Keyring,
    pub logs: Logs,
    /// The keys that this device seals with, by compartment, as far as that was asked since the roster changed.
    pub sealing: BTreeMap<CompartmentId, KeyId>,
    /// Revokes, bars and approvals that are here with their chain: what is said before them there is here too.
    pub stops_here: BTreeSet<EntryId>,
    /// What was taken in and waits to be posted.
    pub backlog: Backlog,
    /// Whether notes of readings are to be written after the commit that is under way.
    pub notes_due: bool,
    /// Person and organisation by device, as far as the directory opens here.
    people: BTreeMap<DeviceId, (Option<String>, Option<String>)>,
}

impl State {
    /// Reads everything from the file.
    pub fn load(store: &Store, connection: &Connection) -> Result<Self, Error> {
        let need = |key: &'static str| {
            Store::value_in(connection, key)?.ok_or(Error::Damaged("a part of the book is missing".into()))
        };
        let damaged = || Error::Damaged("a part of the book does not fit".into());
        let founding = SignedFounding::read(&need(value::FOUNDING)?).map_err(|_| damaged())?;
        let device = DeviceSecret::from_secret(&Secret::from_slice(&need(value::DEVICE)?).ok_or_else(damaged)?);
        let hlc = need(value::HLC)?.try_into().map(u64::from_le_bytes).map_err(|_| damaged())?;
        let own = device.public().device_id();
        let mut hlc = Hlc::from_bits(hlc);
        // Of times that another version posted it is not known where they lie.
        if Store::value_in(connection, value::VIEWS)?.as_deref() == Some(&super::VIEWS_VERSION.to_le_bytes()) {
            hlc = hlc.max(Times::greatest_of(connection, own)?);
        }
        let mut keys = BTreeMap::new();
        for (id, _, secret) in store.secrets()? {
            keys.insert(id, secret.reading_key());
        }
        let ring = Keyring { incident: *founding.incident(), roster: Roster::default(), keys };
        let mut state = Self {
            device_id: own,
            incarnation: Incarnation::from_slice(&need(value::INCARNATION)?).ok_or_else(damaged)?,
            begin: Store::value_in(connection, value::BEGIN)?.is_some(),
            grant: EntryId::ZERO,
            hlc,
            hlc_kept: Some(hlc),
            store_only: Store::value_in(connection, value::STORE_ONLY)?.is_some(),
            control: Vec::new(),
            chains: Chains::default(),
            floods: super::floods::load(connection)?,
            logs: Logs::load(connection)?,
            sealing: BTreeMap::new(),
            stops_here: BTreeSet::new(),
            backlog: Backlog::default(),
            notes_due: false,
            people: BTreeMap::new(),
            founding,
            device,
            ring,
        };
        for log in Store::logs(connection)?.iter().filter(|log| log.name.is_control()) {
            for branch in Store::branches(connection, log.number)? {
                Store::entries(connection, (log.number, branch.branch), (1, branch.tip_seq), |entry| {
                    state.control.extend(control_entry(log, &entry));
                    Ok::<bool, StoreError>(true)
                })?;
            }
        }
        for (number, branch, places) in Store::beyond(connection)? {
            let Some(log) = state.logs.get(number).copied().filter(|log| log.name.is_control()) else { continue };
            Store::entries(connection, (number, branch), places, |entry| {
                state.control.extend(control_entry(&log, &entry));
                Ok::<bool, StoreError>(true)
            })?;
        }
        state.control.extend(super::enrolment::alone::entries(connection, state.founding.incident())?);
        state.refold(connection)?;
        Ok(state)
    }

    /// Folds the roster anew, and finds this device's grant and everybody's names.
    pub fn refold(&mut self, connection: &Connection) -> Result<(), StoreError> {
        self.chains = chains(connection, &self.control)?;
        super::floods::tell(&self.floods, &mut self.chains);
        self.ring.roster = Roster::fold(&self.founding, &self.control, &self.chains);
        self.sealing.clear();
        let stops = self.control.iter().filter(|entry| entry.branch.is_some() && entry.control.stops());
        self.stops_here = stops.map(|entry| entry.place.id).collect();
        self.grant = self.stands_on();
        self.name_people();
        Ok(())
    }

    /// The grant that own entries stand on: of those in force the one that gives most, then the nearest to a root,
    /// then the one that it stood on before. So whoever grants this device something else takes no right from it,
    /// and, unless that gives more, nothing that he is later revoked for touches what is written here.
    fn stands_on(&self) -> EntryId {
        let roster = &self.ring.roster;
        if roster.is_root(self.device_id) {
            return EntryId::new(*self.founding.incident().as_bytes());
        }
        let written = self.control.iter().filter(|entry| entry.device == self.device_id);
        let before = written.max_by_key(|entry| (entry.hlc, entry.place.id)).map(|entry| entry.grant);
        let rank =
            |(id, held): &(&EntryId, &Held)| (Reverse(roster.reach(held)), held.depth, Some(**id) != before, **id);
        let nearest = |(id, held): &(&EntryId, &Held)| (held.depth, **id);
        let ended = roster.grants().iter().filter(|(_, held)| held.device == self.device_id);
        let own = roster.grants_of(self.device_id).min_by_key(rank);
        own.or_else(|| ended.min_by_key(nearest)).map_or(EntryId::ZERO, |(id, _)| *id)
    }

    /// Finds everybody's names: of several grants of a device those that its newest one bears.
    fn name_people(&mut self) {
        self.people.clear();
        for root in &self.founding.founding().roots {
            self.people.insert(root.device.device_id(), (None, Some(root.organisation.clone())));
        }
        let mut grants: Vec<&ControlEntry> = self
            .control
            .iter()
            .filter(|entry| matches!(entry.control, Control::Grant(_)))
            .filter(|entry| self.ring.roster.grants().contains_key(&entry.place.id))
            .collect();
        grants.sort_unstable_by_key(|entry| (entry.hlc, entry.place.id));
        for entry in grants {
            let Control::Grant(grant) = &entry.control else { continue };
            let place = Place { incident: self.ring.incident, log: entry.place.log, seq: entry.place.seq };
            let person = grant.person.as_ref().and_then(|t| self.open_text(t, place, FIELD_PERSON));
            let organisation = grant.organisation.as_ref().and_then(|t| self.open_text(t, place, FIELD_ORGANISATION));
            let names = self.people.entry(grant.device.device_id()).or_default();
            names.0 = person.or_else(|| names.0.take());
            names.1 = organisation.or_else(|| names.1.take());
        }
    }

    pub fn open_text(&self, text: &SealedText, entry: Place, field: u16) -> Option<String> {
        let key = self.ring.keys.get(&text.key)?;
        let opened = key.open_field(&FieldPlace { entry, field }, &text.sealed).ok()?;
        String::from_utf8(opened).ok()
    }

    /// Who a device is, as far as it is known here.
    pub fn author(&self, device: DeviceId) -> Author {
        let (person, organisation) = self.people.get(&device).cloned().unwrap_or_default();
        Author { device, person, organisation, here: device == self.device_id }
    }

    /// The compartment of a kind that this device writes in: of those that its grant lets it write in the one
    /// that a root made first, else the one that was made first; any, if it writes in none.
    pub fn compartment(&self, kind: CompartmentKind) -> Result<CompartmentId, Error> {
        let roster = &self.ring.roster;
        let incident = EntryId::new(*self.ring.incident.as_bytes());
        let order = |id: &CompartmentId| {
            let made = self.control.iter().find(|entry| entry.place.id.as_bytes() == id.as_bytes());
            let rights = roster.rights_of(&self.grant, self.device_id, *id);
            let of_root = roster.compartments().get(id).is_some_and(|made| made.made_by == incident);
            (!rights.is_ok_and(Rights::writes), !of_root, made.map(|entry| (entry.hlc, entry.place.seq)), *id)
        };
        roster.of_kind(kind).min_by_key(order).ok_or(Error::NoCompartment)
    }

    /// The key to seal with in a compartment, once [`Writer::ready_to_seal`](super::writing::Writer) found it.
    pub fn sealing_key(&self, compartment: CompartmentId) -> Result<(KeyId, &ReadingKey), Error> {
        let key = self.sealing.get(&compartment).and_then(|key| self.ring.keys.get_key_value(key));
        key.map(|(id, key)| (*id, key)).ok_or(Error::NoKey)
    }
}

/// How logs fork, as far as cuts and endorsements of the control set name entries of them.
fn chains(connection: &Connection, control: &[ControlEntry]) -> Result<Chains, StoreError> {
    let mut chains = Chains::default();
    let mut numbers = BTreeMap::new();
    for log in Store::forked(connection)? {
        numbers.insert(log.log, log.number);
        let branch = |of: &BranchOf| Branch { branch: of.branch, parent: of.parent, fork_seq: of.fork_seq };
        chains.fork(log.log, log.branches.iter().map(branch));
    }
    for place in chains.asked(control) {
        let Some(number) = numbers.get(&place.log).filter(|_| place.seq <= SEQ_MAX) else { continue };
        if let Some(branch) = Store::branch_of(connection, *number, place.seq, place.id.as_bytes())? {
            chains.name(place.log, place.id, branch);
        }
    }
    Ok(chains)
}

/// The verdict on a control entry that the fold does not take: it is faulty for everybody, or its body is not here, as a
/// former member is told only what concerns it.
pub(super) fn control_without_effect(entry: &StoredEntry) -> (Verdict, &'static str) {
    match entry.sealed() {
        crate::entry::Sealed::Body(_) => (Verdict::Faulty, "F-010"),
        crate::entry::Sealed::Erased { .. } => (Verdict::Erased, WITHHELD),
    }
}

/// A control entry as the fold takes it; none if its body does not fit the schema (faulty, for everybody).
pub(super) fn control_entry(log: &LogRow, entry: &StoredEntry) -> Option<ControlEntry> {
    let crate::entry::Sealed::Body(body) = entry.sealed() else { return None };
    let body = ControlBody::read(body).ok()?;
    Some(ControlEntry {
        place: PlaceOf { log: log.log, seq: entry.key.seq(), id: entry.id },
        branch: Some(entry.key.branch()),
        device: log.name.device,
        grant: entry.ground.grant,
        hlc: body.hlc,
        control: body.control,
    })
}

//! Which keys of a compartment a device may be given, as of what is known here.

use crate::clock::Hlc;
use crate::daybook::state::State;
use crate::id::{CompartmentId, DeviceId, EntryId, KeyId};
use crate::mutant::{self, Mutant};
use crate::roster::{Control, Epoch, Grant, Rights, Roster};
use std::collections::{BTreeMap, BTreeSet};

/// Which epochs of a compartment a device may have the keys of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::daybook) enum Given {
    /// All, with what they carry.
    All,
    /// The reading keys of these.
    Only(BTreeSet<EntryId>),
}

impl Given {
    /// Whether an epoch is among them.
    pub fn covers(&self, epoch: &EntryId) -> bool {
        match self {
            Self::All => true,
            Self::Only(epochs) => epochs.contains(epoch),
        }
    }
}

/// Compartments whose keys somebody with these rights is given: who reads there, and who writes there.
pub(in crate::daybook) fn entitled(roster: &Roster, grant: &Grant) -> Vec<CompartmentId> {
    let given = |rights: Rights| rights.covers(Rights::READ) || rights.writes();
    let compartments = roster.compartments().iter();
    compartments.filter(|(id, made)| given(grant.rights.of(**id, made.kind))).map(|(id, _)| *id).collect()
}

/// What a device may be given of a compartment; none if it is no reader there.
pub(in crate::daybook) fn given(state: &State, device: DeviceId, compartment: CompartmentId) -> Option<Given> {
    let roster = &state.ring.roster;
    if mutant::is(Mutant::GivesKeysToAll) || roster.reader(device, compartment)?.history {
        return Some(Given::All);
    }
    let grants = roster.grants_of(device).filter(|(grant, _)| roster.gives_keys(grant, device, compartment));
    Some(Given::Only(grants.flat_map(|(grant, _)| since(state, grant, compartment)).collect()))
}

/// The epochs of a compartment that a grant without history opens. Its giver began one in the same log before it:
/// the newest of these, those that replace it, and those that were begun later by the authors' clocks; never
/// those that it replaces. Clocks decide here only whom a key is handed to.
pub(in crate::daybook) fn since(state: &State, grant: &EntryId, compartment: CompartmentId) -> BTreeSet<EntryId> {
    let Some(entry) = state.control.iter().find(|entry| entry.place.id == *grant) else { return BTreeSet::new() };
    let roster = &state.ring.roster;
    let (end, mut floor) = ((entry.hlc, entry.place.id), None);
    let mut begun: BTreeMap<EntryId, (Hlc, EntryId)> = BTreeMap::new();
    for epoch in &state.control {
        let Control::Epoch(said) = &epoch.control else { continue };
        if said.compartment != compartment || !roster.epochs().contains_key(&epoch.place.id) {
            continue;
        }
        let at = (epoch.hlc, epoch.place.id);
        begun.insert(epoch.place.id, at);
        if epoch.place.log == entry.place.log && epoch.place.seq < entry.place.seq {
            floor = floor.max(Some((epoch.place.seq, at)));
        }
    }
    let Some((_, floor)) = floor else {
        return begun.into_iter().filter(|(_, at)| *at > end).map(|(id, _)| id).collect();
    };
    let (before, after) = (replaced_by(roster, &floor.1), replacing(roster, &floor.1));
    let later = |(id, at): &(EntryId, (Hlc, EntryId))| !before.contains(id) && (*at >= floor || after.contains(id));
    begun.into_iter().filter(later).map(|(id, _)| id).collect()
}

/// All epochs that an epoch replaces, directly or through others.
pub(in crate::daybook) fn replaced_by(roster: &Roster, epoch: &EntryId) -> BTreeSet<EntryId> {
    let (mut found, mut open) = (BTreeSet::new(), vec![*epoch]);
    while let Some(id) = open.pop() {
        for replaced in roster.epochs().get(&id).map_or(&[][..], |epoch| &epoch.replaces) {
            if roster.replaces(&id, replaced) && found.insert(*replaced) {
                open.push(*replaced);
            }
        }
    }
    found
}

/// All epochs that replace an epoch, directly or through others.
fn replacing(roster: &Roster, epoch: &EntryId) -> BTreeSet<EntryId> {
    let mut by: BTreeMap<EntryId, Vec<EntryId>> = BTreeMap::new();
    for (id, later) in roster.epochs() {
        for replaced in later.replaces.iter().filter(|replaced| roster.replaces(id, replaced)) {
            by.entry(*replaced).or_default().push(*id);
        }
    }
    let (mut found, mut open) = (BTreeSet::new(), vec![*epoch]);
    while let Some(id) = open.pop() {
        for later in by.get(&id).map_or(&[][..], Vec::as_slice) {
            if found.insert(*later) {
                open.push(*later);
            }
        }
    }
    found
}

/// The epochs that name a key, in rising order: more than one only if somebody repeats the key of another.
pub(in crate::daybook) fn naming<'r>(roster: &'r Roster, key: &KeyId) -> Vec<(&'r EntryId, &'r Epoch)> {
    roster.epochs().iter().filter(|(_, epoch)| epoch.key == *key).collect()
}

/// Whether the control ancestors of an epoch are here: all that it, and every epoch that it replaces, honours,
/// each with its chain. Whoever hands out its key knows then whom it must not reach.
pub(in crate::daybook) fn ancestors_here(state: &State, epoch: &EntryId) -> bool {
    let roster = &state.ring.roster;
    let (mut seen, mut open) = (BTreeSet::from([*epoch]), vec![*epoch]);
    while let Some(id) = open.pop() {
        let Some(epoch) = roster.epochs().get(&id) else { return false };
        if !epoch.honours.iter().all(|stop| state.stops_here.contains(stop)) {
            return false;
        }
        open.extend(epoch.replaces.iter().filter(|replaced| seen.insert(**replaced)));
    }
    true
}

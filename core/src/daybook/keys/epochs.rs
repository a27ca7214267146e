//! Under which epoch a writer seals, and the beginning of a new one.

use super::given::{ancestors_here, naming};
use super::parcels::{give_out, held};
use crate::crypto::{EpochSecret, KeySpace, open_history, seal_history};
use crate::daybook::error::Error;
use crate::daybook::state::State;
use crate::daybook::writing::Writer;
use crate::id::{CompartmentId, EntryId, KeyId};
use crate::roster::{CompartmentKind, Control, Epoch, Rights, Roster, Waits};
use crate::store::StoredSecret;
use std::collections::{BTreeMap, BTreeSet};

/// Most epochs that one replaces, and revokes and bars that it names: together they fit a control body.
const NAMED_MAX: usize = 2_048;

/// The secrets of epochs that are held with history, by the epochs' entries.
type WithHistory = BTreeMap<EntryId, EpochSecret>;

impl Writer<'_> {
    /// Makes sure that this device can seal in a compartment: an epoch that honours every revoke and bar known
    /// here and whose key is here, or a new one.
    ///
    /// # Errors
    /// [`Error::NoRight`] if this device may not write there, [`Error::Ended`] if it may no longer.
    pub fn ready_to_seal(&mut self, compartment: CompartmentId) -> Result<(), Error> {
        if self.state.sealing.contains_key(&compartment) {
            return Ok(());
        }
        match self.state.ring.roster.rights_of(&self.state.grant, self.state.device_id, compartment) {
            Ok(rights) if rights.writes() => {}
            Err(Waits::Cut | Waits::GrantFallen) => return Err(Error::Ended),
            Ok(_) | Err(_) => return Err(Error::NoRight),
        }
        let key = match choose(self, compartment)? {
            Some(key) => key,
            None => begin_epoch(self, compartment)?,
        };
        self.state.sealing.insert(compartment, key);
        Ok(())
    }

    /// As [`Writer::ready_to_seal`] for the directory, which texts of control entries are sealed for; nothing if
    /// there is none yet, or this device does not write there.
    pub fn ready_for_texts(&mut self) -> Result<(), Error> {
        match self.state.compartment(CompartmentKind::Directory) {
            Ok(directory) if may_write(self.state, directory) => self.ready_to_seal(directory),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

fn may_write(state: &State, compartment: CompartmentId) -> bool {
    let rights = state.ring.roster.rights_of(&state.grant, state.device_id, compartment);
    rights.is_ok_and(Rights::writes)
}

/// The key to seal with: of the epochs that nobody replaced and that honour all, whose key is here and is named by
/// no other epoch, the one of the smallest id. None if a new one must begin: also if one of several replaces
/// nothing and this device can join them.
fn choose(writer: &Writer<'_>, compartment: CompartmentId) -> Result<Option<KeyId>, Error> {
    let (state, roster) = (&*writer.state, &writer.state.ring.roster);
    let held = held(writer.tx)?;
    let here = |epoch: &Epoch| {
        let secret = held.get(&epoch.key).filter(|(of, _)| *of == compartment);
        secret.filter(|_| naming(roster, &epoch.key).len() == 1)
    };
    let current = || roster.current_epochs(compartment).filter_map(|(id, epoch)| Some((id, epoch, here(epoch)?)));
    if with_history(state, compartment) {
        let joined: Vec<&Epoch> = current()
            .filter(|(id, _, (_, secret))| matches!(secret, StoredSecret::History(_)) && ancestors_here(state, id))
            .map(|(_, epoch, _)| epoch)
            .collect();
        if joined.len() > 1 && joined.iter().any(|epoch| epoch.replaces.is_empty()) {
            return Ok(None);
        }
    }
    let honours =
        |(id, epoch, _): &(&EntryId, &Epoch, _)| !roster.is_cut_epoch(id) && roster.unhonoured(epoch).is_empty();
    Ok(current().find(honours).map(|(_, epoch, _)| epoch.key))
}

/// Begins an epoch of a compartment if the next writer would have to.
///
/// # Errors
/// [`Error::NoRight`] if this device may not write there.
pub(super) fn epoch_where_needed(writer: &mut Writer<'_>, compartment: CompartmentId) -> Result<Option<KeyId>, Error> {
    if !may_write(writer.state, compartment) {
        return Err(Error::NoRight);
    }
    match choose(writer, compartment)? {
        Some(_) => Ok(None),
        None => begin_epoch(writer, compartment).map(Some),
    }
}

/// Whether this device reads what was written before its grant.
fn with_history(state: &State, compartment: CompartmentId) -> bool {
    state.ring.roster.reader(state.device_id, compartment).is_some_and(|reader| reader.history)
}

/// Begins an epoch, keeps its secret, and wraps it for all who may have it. With history it replaces all that
/// this device can carry on; without, none.
pub(in crate::daybook) fn begin_epoch(writer: &mut Writer<'_>, compartment: CompartmentId) -> Result<KeyId, Error> {
    let carried = if with_history(writer.state, compartment) { carried_on(writer, compartment)? } else { Vec::new() };
    let secret = EpochSecret::random(writer.host);
    let (reading, space) = (secret.reading_key(), KeySpace { incident: writer.state.ring.incident, compartment });
    let (replaces, secrets): (Vec<EntryId>, Vec<EpochSecret>) = carried.into_iter().unzip();
    let history = if secrets.is_empty() { Vec::new() } else { seal_history(&secrets, &secret, &space) };
    let honours = writer.state.ring.roster.honours_needed(compartment).into_iter().take(NAMED_MAX).collect();
    let (key, kept) = (reading.key_id(), StoredSecret::History(secret));
    super::opening::put(writer.tx, writer.state, key, compartment, &kept)?;
    writer.control_entry(|_, _| Ok(Control::Epoch(Epoch { compartment, key, replaces, history, honours })))?;
    give_out(writer, compartment, &kept)?;
    Ok(key)
}

/// The epochs that a new one replaces, in rising order, with their secrets: those held with history that no
/// other of them truly carries. So whoever is given the new one reads all that this device reads, also if
/// somebody replaced an epoch and carried another secret than its own.
fn carried_on(writer: &Writer<'_>, compartment: CompartmentId) -> Result<Vec<(EntryId, EpochSecret)>, Error> {
    let state = &*writer.state;
    let here = secrets_of(writer, compartment)?;
    let mut carried: BTreeSet<EntryId> = BTreeSet::new();
    for (id, secret) in &here {
        let Some(epoch) = state.ring.roster.epochs().get(id) else { continue };
        let space = KeySpace { incident: state.ring.incident, compartment };
        let opened = open_history(secret, &space, &epoch.history).unwrap_or_default();
        let keys: BTreeSet<KeyId> = opened.iter().map(|secret| secret.reading_key().key_id()).collect();
        carried.extend(epoch.replaces.iter().filter(|old| keys.contains(&key_of(&state.ring.roster, old))));
    }
    let frontier = here.into_iter().filter(|(id, _)| !carried.contains(id));
    Ok(frontier.take(NAMED_MAX).collect())
}

fn key_of(roster: &Roster, epoch: &EntryId) -> KeyId {
    roster.epochs().get(epoch).map_or(KeyId::ZERO, |epoch| epoch.key)
}

/// The secrets held with history of a compartment's epochs whose control ancestors are here.
fn secrets_of(writer: &Writer<'_>, compartment: CompartmentId) -> Result<WithHistory, Error> {
    let held = held(writer.tx)?;
    let mut found = WithHistory::new();
    for (id, epoch) in writer.state.ring.roster.epochs().iter().filter(|(_, e)| e.compartment == compartment) {
        if let Some((of, StoredSecret::History(secret))) = held.get(&epoch.key)
            && *of == compartment
            && ancestors_here(writer.state, id)
        {
            found.insert(*id, secret.clone());
        }
    }
    Ok(found)
}

/// The key of an epoch that tells nothing of what was written before: one of this device that nothing was sealed
/// under, or a new one. None if this device may begin none there.
pub(in crate::daybook) fn epoch_for_newcomer(
    writer: &mut Writer<'_>,
    compartment: CompartmentId,
) -> Result<Option<KeyId>, Error> {
    if !may_write(writer.state, compartment) {
        return Ok(None);
    }
    if let Some(key) = choose(writer, compartment)?
        && is_own_newest(writer, compartment, &key)
        && !is_used(writer, &key)?
    {
        return Ok(Some(key));
    }
    let key = begin_epoch(writer, compartment)?;
    writer.state.sealing.insert(compartment, key);
    Ok(Some(key))
}

/// Whether a key is of the newest epoch of a compartment that this installation began.
fn is_own_newest(writer: &Writer<'_>, compartment: CompartmentId, key: &KeyId) -> bool {
    let log = writer.control_log();
    let own = writer.state.control.iter().filter(|entry| entry.place.log == log).filter_map(|entry| {
        let Control::Epoch(epoch) = &entry.control else { return None };
        (epoch.compartment == compartment).then_some((entry.place.seq, epoch.key))
    });
    own.max_by_key(|(seq, _)| *seq).is_some_and(|(_, newest)| newest == *key)
}

/// Whether anything was sealed under a key: an entry, or a text of a control entry.
fn is_used(writer: &Writer<'_>, key: &KeyId) -> Result<bool, Error> {
    let mut statement = writer
        .tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM entry JOIN ground ON ground.id = entry.ground WHERE key = ?1)")?;
    let texts = |control: &Control| match control {
        Control::Grant(grant) => [grant.person.as_ref().map(|t| t.key), grant.organisation.as_ref().map(|t| t.key)],
        Control::Compartment { name, .. } => [name.as_ref().map(|t| t.key), None],
        Control::Revoke(revoke) => [revoke.reason.as_ref().map(|t| t.key), None],
        Control::Erase { reason, .. } => [reason.as_ref().map(|t| t.key), None],
        Control::Incarnation { .. }
        | Control::Approve(_)
        | Control::Bar { .. }
        | Control::Epoch(_)
        | Control::Endorse(_)
        | Control::Newer => [None, None],
    };
    let sealed = writer.state.control.iter().any(|entry| texts(&entry.control).contains(&Some(*key)));
    Ok(sealed || statement.query_row([key.as_bytes()], |row| row.get(0))?)
}

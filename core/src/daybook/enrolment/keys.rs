//! Keys of epochs: to whom they are given, new epochs, and what the keys held here open.

use crate::crypto::{
    DevicePublic, EpochSecret, KeySpace, ParcelGroup, ParcelSecret, ReadingKey, make_parcels, open_history,
    open_parcel, seal_history,
};
use crate::daybook::error::Error;
use crate::daybook::judging::{Since, rejudge};
use crate::daybook::state::State;
use crate::daybook::writing::Writer;
use crate::id::{CompartmentId, EntryId, KeyId};
use crate::roster::{Control, Epoch, Grant, Reader, Rights, Roster};
use crate::store::{Secrets, Store, StoredSecret};
use crate::sync::Peer;
use rusqlite::Connection;
use std::collections::BTreeMap;

/// Compartments whose keys somebody with these rights is given: who reads there, and who writes there.
pub(super) fn entitled(roster: &Roster, grant: &Grant) -> Vec<CompartmentId> {
    let given = |rights: Rights| rights.covers(Rights::READ) || rights.writes();
    let compartments = roster.compartments().iter();
    compartments.filter(|(id, made)| given(grant.rights.of(**id, made.kind))).map(|(id, _)| *id).collect()
}

/// The secrets of the current epochs of some compartments, as far as they are held here: with history the
/// epoch's secret, without only its reading key.
pub(super) fn current_secrets(
    writer: &Writer<'_>,
    compartments: &[CompartmentId],
    history: bool,
) -> Result<Secrets, Error> {
    let held = held(writer.tx)?;
    let mut secrets = Vec::new();
    for compartment in compartments {
        for (_, epoch) in writer.state.ring.roster.current_epochs(*compartment) {
            if let Some(secret) = held.get(&epoch.key) {
                let given =
                    if history { secret.clone() } else { StoredSecret::Reading(secret.reading_key().secret().clone()) };
                secrets.push((epoch.key, *compartment, given));
            }
        }
    }
    Ok(secrets)
}

/// Wraps secrets for a device and keeps the parcels, for whoever meets it.
pub(super) fn keep_parcels(
    writer: &mut Writer<'_>,
    secrets: &Secrets,
    recipients: &[DevicePublic],
) -> Result<(), Error> {
    if recipients.is_empty() {
        return Ok(());
    }
    for (_, compartment, secret) in secrets {
        let space = KeySpace { incident: writer.state.ring.incident, compartment: *compartment };
        let secret = match secret {
            StoredSecret::History(secret) => ParcelSecret::History(secret.clone()),
            StoredSecret::Reading(key) => ParcelSecret::Reading(ReadingKey::from_secret(key.clone())),
        };
        let group = make_parcels(&space, &secret, recipients, writer.host)
            .map_err(|_| Error::Bug("a parcel cannot be made for a checked key"))?;
        Store::put_parcels(writer.tx, &group)?;
    }
    Ok(())
}

/// Begins a new epoch of a compartment that replaces the current ones, unless nothing was sealed under them,
/// and wraps its secret for all who may have it.
pub(super) fn begin_next_epoch(writer: &mut Writer<'_>, compartment: CompartmentId) -> Result<(), Error> {
    let current: Vec<(EntryId, Epoch)> =
        writer.state.ring.roster.current_epochs(compartment).map(|(id, epoch)| (*id, epoch.clone())).collect();
    let mut used = false;
    for (_, epoch) in &current {
        used |= is_used(writer, &epoch.key)?;
    }
    if current.len() == 1 && !used {
        return Ok(());
    }
    let held = held(writer.tx)?;
    let (mut replaces, mut carried_on) = (Vec::new(), Vec::new());
    // Only what can be carried on is replaced; the map gives the ids in rising order.
    for (id, epoch) in &current {
        if let Some(StoredSecret::History(secret)) = held.get(&epoch.key) {
            replaces.push(*id);
            carried_on.push(secret.clone());
        }
    }
    let secret = EpochSecret::random(writer.host);
    let (reading, space) = (secret.reading_key(), KeySpace { incident: writer.state.ring.incident, compartment });
    let history = if carried_on.is_empty() { Vec::new() } else { seal_history(&carried_on, &secret, &space) };
    let epoch = Epoch { compartment, key: reading.key_id(), replaces, history, honours: stops(writer.state) };
    let key = reading.key_id();
    Store::put_secret(writer.tx, key, compartment, &StoredSecret::History(secret.clone()))?;
    writer.state.ring.keys.insert(key, reading.clone());
    writer.control(|_, _| Ok(Control::Epoch(epoch)))?;
    let [with, without] = recipients(writer.state, compartment);
    keep_parcels(writer, &vec![(key, compartment, StoredSecret::History(secret))], &with)?;
    keep_parcels(writer, &vec![(key, compartment, StoredSecret::Reading(reading.secret().clone()))], &without)
}

/// Revokes and bars that are known here, in rising order.
fn stops(state: &State) -> Vec<EntryId> {
    let stops = state.control.iter().filter(|e| matches!(e.control, Control::Revoke(_) | Control::Bar { .. }));
    let mut ids: Vec<EntryId> = stops.map(|entry| entry.place.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
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

/// Devices that may have a compartment's keys, this one left out: with history, and without.
fn recipients(state: &State, compartment: CompartmentId) -> [Vec<DevicePublic>; 2] {
    let readers = state.ring.roster.readers(compartment).into_iter();
    let (with, without): (Vec<Reader>, Vec<Reader>) =
        readers.filter(|reader| reader.device.device_id() != state.device_id).partition(|reader| reader.history);
    [with, without].map(|readers| readers.into_iter().map(|reader| reader.device).collect())
}

/// The secrets of epochs that are held here, by key id.
fn held(connection: &Connection) -> Result<BTreeMap<KeyId, StoredSecret>, Error> {
    Ok(Store::secrets_in(connection)?.into_iter().map(|(key, _, secret)| (key, secret)).collect())
}

/// Opens what the keys held here open, now that the control set is known: own parcels, and the histories of
/// epochs. Says whether there are new keys; the caller judges anew then.
pub(in crate::daybook) fn open_keys(tx: &Connection, state: &mut State) -> Result<bool, Error> {
    let mut found = false;
    for (key, parcel, ephemeral) in Store::parcels_for(tx, &state.device_id)? {
        let Some(compartment) = state.ring.roster.compartment_of_key(&key) else { continue };
        let space = KeySpace { incident: state.ring.incident, compartment };
        let Ok(opened) = open_parcel(&space, key, &ephemeral, &parcel, &state.device) else { continue };
        let secret = match opened {
            ParcelSecret::History(secret) => StoredSecret::History(secret),
            ParcelSecret::Reading(key) => StoredSecret::Reading(key.secret().clone()),
        };
        found |= put(tx, state, key, compartment, &secret)?;
    }
    let mut held = held(tx)?;
    loop {
        let mut opened = Vec::new();
        for epoch in state.ring.roster.epochs().values().filter(|epoch| !epoch.history.is_empty()) {
            let Some(StoredSecret::History(secret)) = held.get(&epoch.key) else { continue };
            let space = KeySpace { incident: state.ring.incident, compartment: epoch.compartment };
            // An author that sealed something else harms the epochs that it replaced, and nothing more.
            for secret in open_history(secret, &space, &epoch.history).unwrap_or_default() {
                let key = secret.reading_key().key_id();
                if !matches!(held.get(&key), Some(StoredSecret::History(_))) {
                    opened.push((key, epoch.compartment, StoredSecret::History(secret)));
                }
            }
        }
        if opened.is_empty() {
            return Ok(found);
        }
        for (key, compartment, secret) in opened {
            found |= put(tx, state, key, compartment, &secret)?;
            held.insert(key, secret);
        }
    }
}

/// Keeps a secret; says whether its key was not here.
fn put(
    tx: &Connection,
    state: &mut State,
    key: KeyId,
    compartment: CompartmentId,
    secret: &StoredSecret,
) -> Result<bool, Error> {
    Store::put_secret(tx, key, compartment, secret)?;
    Ok(state.ring.keys.insert(key, secret.reading_key()).is_none())
}

/// Keys of epochs that this device's grant gives and that are not held here, at most `most`.
pub(in crate::daybook) fn lacking(state: &State, most: usize) -> Vec<KeyId> {
    let roster = &state.ring.roster;
    let root = roster.is_root(state.device_id);
    let Some(held) = roster.holder(&state.grant, state.device_id) else { return Vec::new() };
    let given = held.grant.as_ref().map(|grant| entitled(roster, grant)).unwrap_or_default();
    let keys = given.iter().flat_map(|compartment| roster.current_epochs(*compartment).map(|(_, epoch)| epoch.key));
    let all = roster.compartments().keys().filter(|_| root);
    let roots = all.flat_map(|compartment| roster.current_epochs(*compartment).map(|(_, epoch)| epoch.key));
    keys.chain(roots).filter(|key| !state.ring.keys.contains_key(key)).take(most).collect()
}

/// Wraps keys for a peer: those of epochs that count here, of compartments that its grant gives keys of. With
/// history it is given the epoch's secret, without the reading key of a current epoch only.
pub(in crate::daybook) fn wrap_keys(
    writer: &mut Writer<'_>,
    peer: &Peer,
    keys: &[KeyId],
) -> Result<Vec<ParcelGroup>, Error> {
    let roster = &writer.state.ring.roster;
    let Some(peer_holds) = roster.holder(&peer.grant, peer.device) else { return Ok(Vec::new()) };
    let (given, history) = match &peer_holds.grant {
        Some(grant) => (entitled(roster, grant), grant.history),
        None => (roster.compartments().keys().copied().collect(), true),
    };
    let here = held(writer.tx)?;
    let mut groups = Vec::new();
    for key in keys {
        let epoch = roster.epochs().iter().find(|(_, epoch)| epoch.key == *key);
        let Some((id, epoch)) = epoch.filter(|(_, epoch)| given.contains(&epoch.compartment)) else { continue };
        let current = roster.current_epochs(epoch.compartment).any(|(now, _)| now == id);
        let secret = match here.get(key) {
            Some(StoredSecret::History(secret)) if history => ParcelSecret::History(secret.clone()),
            Some(secret) if current => ParcelSecret::Reading(secret.reading_key()),
            Some(_) | None => continue,
        };
        let space = KeySpace { incident: writer.state.ring.incident, compartment: epoch.compartment };
        let group = make_parcels(&space, &secret, &[peer.public], writer.host);
        groups.push(group.map_err(|_| Error::Bug("a parcel cannot be made for a checked key"))?);
    }
    Ok(groups)
}

/// Keeps parcels, opens what they open, and judges anew what could not be read.
pub(in crate::daybook) fn take_parcels(writer: &mut Writer<'_>, groups: &[ParcelGroup]) -> Result<(), Error> {
    for group in groups {
        if writer.state.ring.roster.compartment_of_key(&group.key_id).is_some() {
            Store::put_parcels(writer.tx, group)?;
        }
    }
    if open_keys(writer.tx, writer.state)? {
        writer.state.refold(writer.tx)?;
        rejudge(writer.tx, writer.state, Since::Keys)?;
    }
    Ok(())
}

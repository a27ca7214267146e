//! Parcels: made for those who may have a key at rotation, admission and healing; and taken in.

use super::given::{Given, ancestors_here, given, naming};
use super::opening::open_keys;
use super::shift;
use crate::crypto::{DevicePublic, KeySpace, ParcelGroup, ParcelSecret, ReadingKey, make_parcels};
use crate::daybook::Daybook;
use crate::daybook::error::Error;
use crate::daybook::judging::{Since, rejudge};
use crate::daybook::state::State;
use crate::daybook::writing::Writer;
use crate::id::{CompartmentId, KeyId};
use crate::roster::Reader;
use crate::store::{Secrets, Store, StoredSecret};
use crate::sync::Peer;
use rusqlite::Connection;
use std::collections::BTreeMap;

/// Most groups of parcels that one answer brings.
const GROUPS_MAX: usize = 64;

/// The secrets of epochs that are held here, with their compartments, by key id.
pub(super) fn held(connection: &Connection) -> Result<BTreeMap<KeyId, (CompartmentId, StoredSecret)>, Error> {
    Ok(Store::secrets_in(connection)?.into_iter().map(|(key, of, secret)| (key, (of, secret))).collect())
}

/// The secrets of the current epochs of some compartments for somebody with history, as far as they are held here
/// and may be handed out.
pub(in crate::daybook) fn current_secrets(
    writer: &Writer<'_>,
    compartments: &[CompartmentId],
) -> Result<Secrets, Error> {
    let (held, mut secrets) = (held(writer.tx)?, Vec::new());
    for compartment in compartments {
        for (id, epoch) in writer.state.ring.roster.current_epochs(*compartment) {
            if let Some((of, secret)) = held.get(&epoch.key)
                && of == compartment
                && ancestors_here(writer.state, id)
            {
                secrets.push((epoch.key, *compartment, secret.clone()));
            }
        }
    }
    Ok(secrets)
}

/// Wraps secrets for devices and keeps the parcels, for whoever meets them.
pub(in crate::daybook) fn keep_parcels(
    writer: &mut Writer<'_>,
    secrets: &Secrets,
    recipients: &[DevicePublic],
) -> Result<(), Error> {
    if recipients.is_empty() {
        return Ok(());
    }
    for (_, compartment, secret) in secrets {
        let group = wrap(writer, *compartment, secret, recipients)?;
        Store::put_parcels(writer.tx, &group)?;
    }
    Ok(())
}

/// Wraps the secret of a new epoch for all readers of its compartment: itself for those with history, its
/// reading key for the others.
pub(super) fn give_out(
    writer: &mut Writer<'_>,
    compartment: CompartmentId,
    secret: &StoredSecret,
) -> Result<(), Error> {
    let now_ms = writer.host.now_ms();
    let mut readers = recipients(writer.state, compartment);
    let mut over = Vec::new();
    for reader in &readers {
        // Who is off duty is given the key when a new grant says so.
        if let Some(end) = shift::end(writer.state, reader.device.device_id())
            && shift::is_past(writer.tx, end, now_ms)?
        {
            over.push(reader.device);
        }
    }
    readers.retain(|reader| !over.contains(&reader.device));
    let reading = secret.reading_key();
    let (key, without) = (reading.key_id(), StoredSecret::Reading(reading.secret().clone()));
    for (history, secret) in [(true, secret.clone()), (false, without)] {
        let to = readers.iter().filter(|reader| reader.history == history).map(|reader| reader.device);
        keep_parcels(writer, &vec![(key, compartment, secret)], &to.collect::<Vec<_>>())?;
    }
    Ok(())
}

/// Devices that may have a compartment's keys, this one left out.
fn recipients(state: &State, compartment: CompartmentId) -> Vec<Reader> {
    let readers = state.ring.roster.readers(compartment).into_iter();
    readers.filter(|reader| reader.device.device_id() != state.device_id).collect()
}

fn wrap(
    writer: &mut Writer<'_>,
    compartment: CompartmentId,
    secret: &StoredSecret,
    recipients: &[DevicePublic],
) -> Result<ParcelGroup, Error> {
    let space = KeySpace { incident: writer.state.ring.incident, compartment };
    let secret = match secret {
        StoredSecret::History(secret) => ParcelSecret::History(secret.clone()),
        StoredSecret::Reading(key) => ParcelSecret::Reading(ReadingKey::from_secret(key.clone())),
    };
    make_parcels(&space, &secret, recipients, writer.host)
        .map_err(|_| Error::Bug("a parcel cannot be made for a checked key"))
}

/// Wraps keys for a peer, those that it may have: with history the epoch's secret, without its reading key. A key
/// that is not held here is answered with the parcels for the peer that are kept. What the peer may not have,
/// or this book cannot tell yet, is passed over in silence.
pub(in crate::daybook) fn wrap_keys(
    writer: &mut Writer<'_>,
    peer: &Peer,
    keys: &[KeyId],
) -> Result<Vec<ParcelGroup>, Error> {
    let here = held(writer.tx)?;
    let mut groups = Vec::new();
    for key in keys {
        let Some((compartment, may)) = may_have(writer.state, peer, key, here.get(key).map(|(of, _)| *of)) else {
            continue;
        };
        let secret = match (here.get(key), may) {
            (Some((_, secret)), Given::All) => secret.clone(),
            (Some((_, secret)), Given::Only(_)) => StoredSecret::Reading(secret.reading_key().secret().clone()),
            (None, _) => {
                for kept in Store::parcels_of(writer.tx, &peer.device, key)? {
                    groups.push(ParcelGroup { key_id: *key, ephemeral: kept.ephemeral, parcels: vec![kept.parcel] });
                }
                continue;
            }
        };
        groups.push(wrap(writer, compartment, &secret, &[peer.public])?);
    }
    groups.truncate(GROUPS_MAX);
    Ok(groups)
}

/// The compartment of a key and what the peer may have there, if every epoch that names the key lies there, its
/// control ancestors are here, and the peer may have it.
fn may_have(state: &State, peer: &Peer, key: &KeyId, of: Option<CompartmentId>) -> Option<(CompartmentId, Given)> {
    let naming = naming(&state.ring.roster, key);
    let compartment = of.or_else(|| naming.first().map(|(_, epoch)| epoch.compartment))?;
    let may = given(state, peer.device, compartment)?;
    let each = |(id, epoch): &(&crate::id::EntryId, &crate::roster::Epoch)| {
        epoch.compartment == compartment && may.covers(id) && ancestors_here(state, id)
    };
    (!naming.is_empty() && naming.iter().all(each)).then_some((compartment, may))
}

impl Daybook {
    /// How many parcels this book keeps, for whoever meets it.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub fn parcels_kept(&mut self) -> Result<u64, Error> {
        self.refresh()?;
        Ok(Store::parcels(self.store.read()?)?)
    }
}

/// Keeps the parcels that are for this device, opens what they open, and judges anew what could not be read.
pub(in crate::daybook) fn take_parcels(writer: &mut Writer<'_>, groups: &[ParcelGroup]) -> Result<(), Error> {
    for group in groups {
        let own = group.parcels.iter().filter(|parcel| parcel.recipient == writer.state.device_id);
        let parcels: Vec<_> = own.copied().collect();
        if !parcels.is_empty() && !naming(&writer.state.ring.roster, &group.key_id).is_empty() {
            Store::put_parcels(writer.tx, &ParcelGroup { parcels, ..group.clone() })?;
        }
    }
    if open_keys(writer.tx, writer.state)? {
        writer.state.refold(writer.tx)?;
        rejudge(writer.tx, writer.state, Since::Keys)?;
    }
    Ok(())
}

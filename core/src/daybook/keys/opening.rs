//! What the keys held here open: own parcels, and the secrets that epochs carry of those that they replace.

use super::given::{Given, given, naming};
use super::parcels::held;
use super::trouble;
use crate::crypto::{EpochSecret, KeySpace, ParcelSecret, open_history, open_parcel};
use crate::daybook::error::Error;
use crate::daybook::state::State;
use crate::id::{CompartmentId, KeyId};
use crate::store::{Store, StoredSecret};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// Opens what the keys held here open, now that the control set is known: own parcels, and the histories of
/// epochs. Says whether there are new keys; the caller judges anew then.
pub(in crate::daybook) fn open_keys(tx: &Connection, state: &mut State) -> Result<bool, Error> {
    let mut found = false;
    for kept in Store::parcels_for(tx, &state.device_id)? {
        let spaces: BTreeSet<CompartmentId> =
            naming(&state.ring.roster, &kept.key).iter().map(|(_, epoch)| epoch.compartment).collect();
        if spaces.is_empty() {
            continue;
        }
        let opened = spaces.into_iter().find_map(|compartment| {
            let space = KeySpace { incident: state.ring.incident, compartment };
            let opened = open_parcel(&space, kept.key, &kept.ephemeral, &kept.parcel, &state.device).ok()?;
            Some((compartment, opened))
        });
        match opened {
            Some((compartment, ParcelSecret::History(secret))) => {
                // The parcel stays as a second copy, for a book that is damaged one day.
                found |= put(tx, state, kept.key, compartment, &StoredSecret::History(secret))?;
                continue;
            }
            Some((compartment, ParcelSecret::Reading(key))) => {
                found |= put(tx, state, kept.key, compartment, &StoredSecret::Reading(key.secret().clone()))?;
            }
            // Whoever made it, another holder can make one that opens; its place is kept free for that.
            None => trouble::note(tx, kept.key)?,
        }
        Store::drop_parcel(tx, kept.row)?;
    }
    found |= open_histories(tx, state)?;
    trouble::forget(tx, &state.ring.keys)?;
    Ok(found)
}

/// Opens the histories of all epochs whose secrets are here, and of those that come to light so.
fn open_histories(tx: &Connection, state: &mut State) -> Result<bool, Error> {
    let mut held = held(tx)?;
    let mut of_key: BTreeMap<KeyId, Vec<crate::id::EntryId>> = BTreeMap::new();
    for (id, epoch) in state.ring.roster.epochs().iter().filter(|(_, epoch)| !epoch.history.is_empty()) {
        of_key.entry(epoch.key).or_default().push(*id);
    }
    let whole = |held: &BTreeMap<KeyId, _>, key: &KeyId| matches!(held.get(key), Some((_, StoredSecret::History(_))));
    let mut open: Vec<KeyId> = held.keys().copied().collect();
    let mut found = false;
    while let Some(key) = open.pop() {
        let Some((of, StoredSecret::History(secret))) = held.get(&key).cloned() else { continue };
        for id in of_key.get(&key).map_or(&[][..], Vec::as_slice) {
            let roster = &state.ring.roster;
            let Some(epoch) = roster.epochs().get(id).filter(|epoch| epoch.compartment == of) else { continue };
            // Only keys that the replaced epochs name are kept: so nobody fills a book with secrets of nothing.
            let replaced = epoch.replaces.iter().filter(|old| roster.replaces(id, old));
            let mut lacking: BTreeSet<KeyId> = replaced.filter_map(|old| Some(roster.epochs().get(old)?.key)).collect();
            lacking.retain(|key| !whole(&held, key));
            if lacking.is_empty() {
                continue;
            }
            let space = KeySpace { incident: state.ring.incident, compartment: of };
            // An author that sealed something else harms the epochs that it replaced, and nothing more.
            let secrets: Vec<EpochSecret> = open_history(&secret, &space, &epoch.history).unwrap_or_default();
            for secret in secrets {
                let key = secret.reading_key().key_id();
                if lacking.remove(&key) {
                    let secret = StoredSecret::History(secret);
                    found |= put(tx, state, key, of, &secret)?;
                    held.insert(key, (of, secret));
                    open.push(key);
                }
            }
        }
    }
    Ok(found)
}

/// Keeps a secret; says whether its key was not here.
pub(super) fn put(
    tx: &Connection,
    state: &mut State,
    key: KeyId,
    compartment: CompartmentId,
    secret: &StoredSecret,
) -> Result<bool, Error> {
    Store::put_secret(tx, key, compartment, secret)?;
    state.sealing.remove(&compartment);
    Ok(state.ring.keys.insert(key, secret.reading_key()).is_none())
}

/// Keys of epochs that this device may have and does not hold, or holds without their history; newest epochs
/// first by their authors' clocks, at most `most`.
pub(in crate::daybook) fn lacking(connection: &Connection, state: &State, most: usize) -> Result<Vec<KeyId>, Error> {
    let roster = &state.ring.roster;
    let held = held(connection)?;
    let begun: BTreeMap<_, _> = state.control.iter().map(|entry| (entry.place.id, entry.hlc)).collect();
    let mut lacking = Vec::new();
    for compartment in roster.compartments().keys() {
        let Some(may) = given(state, state.device_id, *compartment) else { continue };
        for (id, epoch) in roster.epochs().iter().filter(|(id, e)| e.compartment == *compartment && may.covers(id)) {
            let here = held.get(&epoch.key).is_some_and(|(_, secret)| match secret {
                StoredSecret::History(_) => true,
                StoredSecret::Reading(_) => may != Given::All,
            });
            if !here {
                lacking.push((std::cmp::Reverse(begun.get(id).copied()), epoch.key));
            }
        }
    }
    lacking.sort_unstable();
    let mut once = BTreeSet::new();
    Ok(lacking.into_iter().map(|(_, key)| key).filter(|key| once.insert(*key)).take(most).collect())
}

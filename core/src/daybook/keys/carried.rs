//! Keys that a file carries: every device of the incident that is given the file finds its own in it.

use super::given::{Given, ancestors_here, given, naming};
use super::opening::open_keys;
use super::parcels::held;
use crate::clock::Host;
use crate::crypto::{DevicePublic, KeySpace, ParcelGroup, ParcelSecret, ReadingKey, make_parcels};
use crate::daybook::error::Error;
use crate::daybook::judging::{Since, rejudge};
use crate::daybook::state::State;
use crate::daybook::writing::Writer;
use crate::id::{CompartmentId, DeviceId, KeyId};
use crate::store::{Store, StoredSecret};
use rusqlite::Connection;
use std::collections::BTreeSet;

/// Parcels by whom and of what they are.
type Covered = BTreeSet<(KeyId, DeviceId)>;

/// The parcels that are kept here for devices that may have them, and one more of every current epoch whose key is
/// held here for every such device that has none among them.
pub(in crate::daybook) fn parcels_to_carry(
    connection: &Connection,
    state: &State,
    host: &mut dyn Host,
) -> Result<Vec<ParcelGroup>, Error> {
    let mut groups: Vec<ParcelGroup> =
        Store::parcel_groups(connection)?.iter().filter_map(|group| for_readers(state, group)).collect();
    let each = |group: &ParcelGroup| -> Vec<_> { group.parcels.iter().map(|p| (group.key_id, p.recipient)).collect() };
    let covered: Covered = groups.iter().flat_map(each).collect();
    let (roster, held) = (&state.ring.roster, held(connection)?);
    for compartment in roster.compartments().keys() {
        for (id, epoch) in roster.current_epochs(*compartment) {
            let Some((of, secret)) = held.get(&epoch.key) else { continue };
            if of != compartment || !ancestors_here(state, id) {
                continue;
            }
            let (mut all, mut only) = (Vec::new(), Vec::new());
            for reader in roster.readers(*compartment) {
                let device = reader.device.device_id();
                if device == state.device_id || covered.contains(&(epoch.key, device)) {
                    continue;
                }
                match given(state, device, *compartment) {
                    Some(Given::All) => all.push(reader.device),
                    Some(may) if may.covers(id) => only.push(reader.device),
                    Some(Given::Only(_)) | None => {}
                }
            }
            let reading = ParcelSecret::Reading(secret.reading_key());
            let whole = match secret {
                StoredSecret::History(secret) => ParcelSecret::History(secret.clone()),
                StoredSecret::Reading(key) => ParcelSecret::Reading(ReadingKey::from_secret(key.clone())),
            };
            for (secret, to) in [(&whole, &all), (&reading, &only)] {
                groups.extend(wrap(state, *compartment, (secret, to), host)?);
            }
        }
    }
    Ok(groups)
}

fn wrap(
    state: &State,
    compartment: CompartmentId,
    (secret, to): (&ParcelSecret, &[DevicePublic]),
    host: &mut dyn Host,
) -> Result<Option<ParcelGroup>, Error> {
    if to.is_empty() {
        return Ok(None);
    }
    let space = KeySpace { incident: state.ring.incident, compartment };
    let group = make_parcels(&space, secret, to, host);
    group.map(Some).map_err(|_| Error::Bug("a parcel cannot be made for a checked key"))
}

/// What of a group is for devices that the roster names as readers, if its key is one that an epoch here names.
fn for_readers(state: &State, group: &ParcelGroup) -> Option<ParcelGroup> {
    let roster = &state.ring.roster;
    let compartments = naming(roster, &group.key_id).into_iter().map(|(_, epoch)| epoch.compartment);
    let readers: BTreeSet<DeviceId> = compartments
        .flat_map(|compartment| roster.readers(compartment))
        .map(|reader| reader.device.device_id())
        .collect();
    let parcels: Vec<_> = group.parcels.iter().filter(|parcel| readers.contains(&parcel.recipient)).copied().collect();
    (!parcels.is_empty()).then(|| ParcelGroup { parcels, ..group.clone() })
}

/// Keeps the parcels of a file: the own ones, and those of others for whoever meets them. Devices that somebody
/// made up are no readers, so nobody fills a book with parcels for them.
pub(in crate::daybook) fn take_carried(writer: &mut Writer<'_>, groups: &[ParcelGroup]) -> Result<(), Error> {
    for group in groups {
        if let Some(group) = for_readers(writer.state, group) {
            Store::put_parcels(writer.tx, &group)?;
        }
    }
    if open_keys(writer.tx, writer.state)? {
        writer.state.refold(writer.tx)?;
        rejudge(writer.tx, writer.state, Since::Keys)?;
    }
    Ok(())
}

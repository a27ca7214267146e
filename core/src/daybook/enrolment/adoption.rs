//! Adoption: a further grant for a device that another administrator admitted, so that it stays when that grant ends.

use super::grant::{Terms, write_grant};
use crate::crypto::DevicePublic;
use crate::daybook::Daybook;
use crate::daybook::administration::{AdministrationError, codes, may, named};
use crate::daybook::error::Error;
use crate::daybook::state::State;
use crate::daybook::types::{Author, EntryCode};
use crate::id::DeviceId;
use crate::roster::Rights;

/// What an adoption did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Adopted {
    /// The devices, each as it is known now.
    pub devices: Vec<Author>,
    /// The control entries that were written.
    pub entries: Vec<EntryCode>,
}

/// What becomes of bars against a device that is adopted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bars {
    /// A barred device is not adopted.
    Stand,
    /// The grant names them and so lifts them: it is known who holds the device.
    Lift,
}

impl Daybook {
    /// Grants a person's devices, or one device, that hold grants of other administrators these terms too. They go on
    /// as they are, hear of it at their next meeting, and write under it from then on if it gives more, else when what
    /// they hold now ends. No code is needed: their keys stand in what they hold.
    ///
    /// # Errors
    /// [`AdministrationError`] if nobody is found, or one is a root, holds nothing, is barred, was admitted by this
    /// device itself, or stands above it; as [`Daybook::check_grant`]. Nothing was written.
    pub fn adopt(&mut self, who: &str, terms: &Terms, bars: Bars) -> Result<Adopted, Error> {
        self.write(|writer| {
            may(writer.state, Rights::GRANT)?;
            let devices = named(writer.state, who)?;
            let mut ids = Vec::new();
            for device in &devices {
                let keys = adoptable(writer.state, *device, bars)?;
                let person = writer.state.author(*device).person;
                ids.push(write_grant(writer, (&keys, person.as_deref()), terms)?.id);
            }
            Ok(Adopted {
                devices: devices.iter().map(|device| writer.state.author(*device)).collect(),
                entries: codes(writer.state, &ids),
            })
        })
    }
}

/// The keys of a device that may be adopted.
fn adoptable(state: &State, device: DeviceId, bars: Bars) -> Result<DevicePublic, AdministrationError> {
    let roster = &state.ring.roster;
    if device == state.device_id {
        return Err(AdministrationError::Yourself);
    }
    if roster.is_root(device) {
        return Err(AdministrationError::RootAlready);
    }
    let barred = !roster.bars_of(device).is_empty();
    if barred && bars == Bars::Stand {
        return Err(AdministrationError::Barred);
    }
    // Again only to lift what others said against it since.
    if !barred && roster.grants_of(device).any(|(_, held)| held.parent == state.grant) {
        return Err(AdministrationError::OwnAlready);
    }
    if roster.grants_of(device).any(|(id, _)| roster.is_above(id, &state.grant)) {
        return Err(AdministrationError::StandsAbove);
    }
    let held = roster.grants_of(device).find_map(|(_, held)| held.grant.as_ref());
    held.map(|grant| grant.device).ok_or(AdministrationError::NoGrant)
}

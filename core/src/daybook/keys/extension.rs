//! A further shift: a new grant for a device that holds one, with the same rights.

use crate::daybook::Daybook;
use crate::daybook::enrolment::EnrolmentError;
use crate::daybook::error::Error;
use crate::daybook::state::{FIELD_ORGANISATION, FIELD_PERSON};
use crate::daybook::writing::seal_text;
use crate::id::{CONTROL, DeviceId, EntryId};
use crate::limits::GRANT_DEPTH_MAX;
use crate::roster::{Control, Grant, Rights};

impl Daybook {
    /// Grants a device that holds a grant in force the same again until another end of shift, or without one. It is
    /// given its keys at its next meeting. Returns the id of the new grant.
    ///
    /// # Errors
    /// [`Error::NoRight`], [`EnrolmentError`] as of a first grant; [`Error::Value`] if the device holds no grant in
    /// force or is barred. Nothing was written.
    pub fn extend_shift(&mut self, device: DeviceId, until_ms: Option<i64>) -> Result<EntryId, Error> {
        self.write(|writer| {
            let (state, roster) = (&*writer.state, &writer.state.ring.roster);
            let may = roster.rights_of(&state.grant, state.device_id, CONTROL).is_ok_and(|r| r.covers(Rights::GRANT));
            let own = roster.holder(&state.grant, state.device_id).filter(|_| may).ok_or(Error::NoRight)?;
            if !roster.bars_of(device).is_empty() {
                return Err(Error::Value { what: "this device", why: "is barred; lift that first" });
            }
            let held = roster.grants_of(device).filter_map(|(id, held)| Some((id, held.grant.as_ref()?)));
            // The newest says what it may do now.
            let newest = held.max_by_key(|(id, _)| {
                let entry = state.control.iter().find(|entry| entry.place.id == **id);
                (entry.map(|entry| entry.hlc), **id)
            });
            let no_grant = Error::Value { what: "this device", why: "holds no grant; enrol it anew" };
            let (_, before) = newest.ok_or(no_grant)?;
            if own.depth >= GRANT_DEPTH_MAX {
                return Err(EnrolmentError::TooDeep.into());
            }
            let left = roster.budget_left(&state.grant, state.device_id).0;
            if left == 0 {
                return Err(EnrolmentError::NoBudget.into());
            }
            if !own.rights.covers(&before.rights, |id| roster.kind_of(id)) {
                return Err(EnrolmentError::MoreThanHeld.into());
            }
            let author = state.author(device);
            let mut grant = Grant {
                person: None,
                organisation: None,
                until_ms,
                grants: before.grants.min((left - 1) / 4),
                compartments: 0,
                lifts: roster.to_name(device).into_iter().collect(),
                ..(**before).clone()
            };
            writer.control(|state, place| {
                let seal =
                    |field, text: Option<String>| text.map(|text| seal_text(state, place, field, &text)).transpose();
                grant.person = seal(FIELD_PERSON, author.person)?;
                grant.organisation = seal(FIELD_ORGANISATION, author.organisation)?;
                Ok(Control::Grant(Box::new(grant)))
            })
        })
    }
}

//! The administrator's side: a grant, parcels, and the reply to a newcomer.

use super::alone;
use super::error::EnrolmentError;
use super::reply::{EnrolmentReply, ReplyText};
use super::request::EnrolmentRequest;
use crate::crypto::{DevicePublic, Secret, seal_reply};
use crate::daybook::Daybook;
use crate::daybook::administration::at_site;
use crate::daybook::error::Error;
use crate::daybook::keys::{current_secrets, entitled, epoch_for_newcomer, keep_parcels};
use crate::daybook::state::{FIELD_ORGANISATION, FIELD_PERSON, State, value};
use crate::daybook::writing::{Writer, seal_text};
use crate::id::{CONTROL, CompartmentId, EntryId};
use crate::limits::{GRANT_DEPTH_MAX, TEXT_BYTES_MAX};
use crate::roster::{
    Approve, CompartmentKind, Control, ControlEntry, Grant, GrantPath, PlaceOf, Rights, RightsByScope, Role, Scope,
};
use crate::store::{Secrets, Store, StoredSecret};
use std::collections::BTreeSet;

/// Most grants and compartments that an administrator is given to make in turn.
const GRANTS_GIVEN_MAX: u32 = 256;
const COMPARTMENTS_GIVEN_MAX: u32 = 8;

/// What a newcomer is granted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms {
    /// The role.
    pub role: Role,
    /// The organisation; this device's own if not said.
    pub organisation: Option<String>,
    /// Whether what was written before may be read.
    pub history: bool,
    /// End of shift in milliseconds since 1970-01-01 UTC.
    pub until_ms: Option<i64>,
    /// The site that the newcomer works at: clinical and supply of the compartments of this name alone.
    pub site: Option<String>,
    /// Where this device answers in the network, as `host:port`.
    pub addresses: Vec<String>,
}

impl Daybook {
    /// Says whether this device may grant these terms to the newcomer, before anybody compares characters.
    ///
    /// # Errors
    /// [`Error::NoRight`], [`EnrolmentError`].
    pub fn check_grant(&mut self, request: &EnrolmentRequest, terms: &Terms) -> Result<(), Error> {
        self.refresh()?;
        is_new(&self.state, request)?;
        may_grant(&self.state, terms)
    }

    /// Grants, durably, and makes the reply. The characters of the request must have been compared before.
    /// Without history the readable compartments begin new epochs first, unless nothing was sealed under the
    /// current ones.
    ///
    /// # Errors
    /// As [`Daybook::check_grant`]; nothing was written.
    pub fn grant(&mut self, request: &EnrolmentRequest, terms: &Terms) -> Result<EnrolmentReply, Error> {
        self.write(|writer| {
            is_new(writer.state, request)?;
            let granted = write_grant(writer, (request.device(), Some(request.person())), terms)?;
            let path = alone::path(writer.tx, writer.state, &granted.id)?;
            let control = control_runs(writer, &granted.id, &granted.compartments)?;
            reply(writer, request, (path, control), granted.secrets, &terms.addresses)
        })
    }
}

/// A grant that was written.
pub(super) struct Granted {
    pub id: EntryId,
    /// Compartments whose keys its holder is given.
    pub compartments: Vec<CompartmentId>,
    pub secrets: Secrets,
}

/// Grants terms to a device, and keeps parcels for it.
pub(super) fn write_grant(
    writer: &mut Writer<'_>,
    (device, person): (&DevicePublic, Option<&str>),
    terms: &Terms,
) -> Result<Granted, Error> {
    may_grant(writer.state, terms)?;
    let mut grant = grant_of(writer.state, device, terms)?;
    let compartments = entitled(&writer.state.ring.roster, &grant);
    writer.begin_incarnation_if_needed()?;
    let mut secrets = Vec::new();
    for compartment in compartments.iter().filter(|_| !terms.history) {
        if let Some(key) = epoch_for_newcomer(writer, *compartment)?
            && let Some(reading) = writer.state.ring.keys.get(&key)
        {
            secrets.push((key, *compartment, StoredSecret::Reading(reading.secret().clone())));
        }
    }
    let organisation = terms
        .organisation
        .clone()
        .or_else(|| writer.state.author(writer.state.device_id).organisation)
        .filter(|name| !name.trim().is_empty());
    let id = writer.control(|state, place| {
        let seal = |field, text: Option<&str>| text.map(|text| seal_text(state, place, field, text)).transpose();
        grant.person = seal(FIELD_PERSON, person)?;
        grant.organisation = seal(FIELD_ORGANISATION, organisation.as_deref())?;
        Ok(Control::Grant(Box::new(grant)))
    })?;
    if !writer.state.ring.roster.grants().contains_key(&id) {
        return Err(Error::Bug("an own grant does not hold"));
    }
    if terms.history {
        secrets = current_secrets(writer, &compartments)?;
    }
    keep_parcels(writer, &secrets, &[*device])?;
    Ok(Granted { id, compartments, secrets })
}

/// Whether a newcomer holds nothing yet.
fn is_new(state: &State, request: &EnrolmentRequest) -> Result<(), Error> {
    let (roster, newcomer) = (&state.ring.roster, request.device().device_id());
    if roster.is_root(newcomer) || roster.grants_of(newcomer).next().is_some() {
        return Err(EnrolmentError::AlreadyGranted.into());
    }
    Ok(())
}

/// Whether this device may grant these terms.
fn may_grant(state: &State, terms: &Terms) -> Result<(), Error> {
    let roster = &state.ring.roster;
    if !roster.rights_of(&state.grant, state.device_id, CONTROL).is_ok_and(|rights| rights.covers(Rights::GRANT)) {
        return Err(Error::NoRight);
    }
    let held = roster.holder(&state.grant, state.device_id).ok_or(Error::NoRight)?;
    if terms.organisation.as_ref().is_some_and(|name| name.len() > TEXT_BYTES_MAX / 2) {
        return Err(Error::Value { what: "the organisation", why: "is too long" });
    }
    if held.depth >= GRANT_DEPTH_MAX {
        return Err(EnrolmentError::TooDeep.into());
    }
    if roster.budget_left(&state.grant, state.device_id).0 == 0 {
        return Err(EnrolmentError::NoBudget.into());
    }
    let rights = rights_of(state, terms)?;
    let beneath = |(scope, _): &(Scope, Rights)| match scope {
        Scope::Compartment(id) => !roster.administers(&state.grant, *id),
        Scope::Kind(_) => true,
    };
    let asked = rights.iter().copied().filter(beneath).collect();
    if !held.rights.covers(&asked, |id| roster.kind_of(id)) {
        return Err(EnrolmentError::MoreThanHeld.into());
    }
    Ok(())
}

/// The rights that the terms give.
fn rights_of(state: &State, terms: &Terms) -> Result<RightsByScope, Error> {
    let rights = terms.role.rights();
    Ok(match &terms.site {
        Some(site) => at_site(state, &rights, site)?,
        None => rights,
    })
}

/// The grant without its sealed texts. An administrator is given a part of this device's budget.
fn grant_of(state: &State, device: &DevicePublic, terms: &Terms) -> Result<Grant, Error> {
    let rights = rights_of(state, terms)?;
    let (grants, compartments) = state.ring.roster.budget_left(&state.grant, state.device_id);
    let grants_too = rights.of(CONTROL, CompartmentKind::Control).covers(Rights::GRANT);
    let given = |left: u32, most: u32| if grants_too { (left / 4).min(most) } else { 0 };
    Ok(Grant {
        device: *device,
        person: None,
        organisation: None,
        role: terms.role.word().to_owned(),
        rights,
        history: terms.history,
        until_ms: terms.until_ms,
        grants: given(grants.saturating_sub(1), GRANTS_GIVEN_MAX),
        compartments: given(compartments, COMPARTMENTS_GIVEN_MAX),
        // What was said against the device before this grant is known here, and overcome by it.
        lifts: state.ring.roster.to_name(device.device_id()).into_iter().collect(),
    })
}

/// The reply to another root of this incident: the founding statement is its path.
pub(in crate::daybook) fn reply_to_founder(
    writer: &mut Writer<'_>,
    request: &EnrolmentRequest,
    addresses: &[String],
) -> Result<EnrolmentReply, Error> {
    let compartments: Vec<CompartmentId> = writer.state.ring.roster.compartments().keys().copied().collect();
    let secrets = current_secrets(writer, &compartments)?;
    keep_parcels(writer, &secrets, &[*request.device()])?;
    let incident = EntryId::new(*writer.state.ring.incident.as_bytes());
    let path = GrantPath::to_bytes(&writer.state.founding, &[]);
    let control = control_runs(writer, &incident, &compartments)?;
    reply(writer, request, (path, control), secrets, addresses)
}

/// Seals a reply.
fn reply(
    writer: &mut Writer<'_>,
    request: &EnrolmentRequest,
    (path, control): (Vec<u8>, Vec<Vec<u8>>),
    secrets: Secrets,
    addresses: &[String],
) -> Result<EnrolmentReply, Error> {
    let text = ReplyText { path, control, admission: admission(writer)?, secrets, addresses: addresses.to_vec() };
    let hash = request.hash();
    let sealed = seal_reply(request.device(), &hash, text.to_bytes().expose(), writer.host)
        .map_err(|_| Error::Bug("a reply cannot be sealed to a checked key"))?;
    Ok(EnrolmentReply { request: hash, sealed })
}

fn admission(writer: &Writer<'_>) -> Result<Secret<32>, Error> {
    let bytes = Store::value_in(writer.tx, value::ADMISSION)?;
    bytes.and_then(|b| Secret::from_slice(&b)).ok_or(Error::Damaged("a part of the book is missing".into()))
}

/// Runs of the control entries that the newcomer needs to write at once: the compartments and their current
/// epochs, and the grants that their authors stood on.
fn control_runs(writer: &Writer<'_>, grant: &EntryId, compartments: &[CompartmentId]) -> Result<Vec<Vec<u8>>, Error> {
    let (state, roster) = (&*writer.state, &writer.state.ring.roster);
    let mut wanted: BTreeSet<EntryId> = compartments.iter().map(|id| EntryId::new(*id.as_bytes())).collect();
    for compartment in compartments {
        wanted.extend(roster.current_epochs(*compartment).map(|(id, _)| *id));
    }
    let grounds: Vec<EntryId> =
        state.control.iter().filter(|entry| wanted.contains(&entry.place.id)).map(|entry| entry.grant).collect();
    let chain = |id: EntryId| {
        std::iter::successors(Some(id), |at| roster.grants().get(at).map(|held| held.parent))
            .filter(|id| roster.grants().contains_key(id))
    };
    let own: BTreeSet<EntryId> = chain(*grant).collect();
    let mut grants: Vec<EntryId> = grounds.into_iter().flat_map(chain).filter(|id| !own.contains(id)).collect();
    grants.sort_unstable_by_key(|id| (roster.grants().get(id).map(|held| held.depth), *id));
    grants.dedup();
    let places = |ids: &BTreeSet<EntryId>| -> BTreeSet<PlaceOf> {
        state.control.iter().map(|entry| entry.place).filter(|place| ids.contains(&place.id)).collect()
    };
    // Grants first, outermost first: what comes after stands on them.
    let mut runs = Vec::new();
    for id in grants {
        runs.extend(alone::runs_of(writer.tx, &state.ring.incident, &places(&BTreeSet::from([id])), true)?);
    }
    // The approvals that added roots: a path that begins at one of these is proved by them.
    let added = |entry: &&ControlEntry| matches!(entry.control, Control::Approve(Approve::Add { .. }));
    let approvals = state.control.iter().filter(added).map(|entry| entry.place.id).collect();
    let mut all = alone::runs_of(writer.tx, &state.ring.incident, &places(&approvals), false)?;
    runs.extend(alone::runs_of(writer.tx, &state.ring.incident, &places(&wanted), false)?);
    all.extend(runs);
    Ok(all)
}

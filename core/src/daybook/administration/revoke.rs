//! Revokes and bars: a stolen phone goes blind, and what its thief writes waits for review.

use super::error::AdministrationError;
use super::members::named;
use crate::clock::Hlc;
use crate::crypto::Place;
use crate::daybook::Daybook;
use crate::daybook::charts::entry_code;
use crate::daybook::error::Error;
use crate::daybook::judging::{Since, rejudge};
use crate::daybook::state::State;
use crate::daybook::types::{Author, EntryCode};
use crate::daybook::writing::{Writer, seal_text};
use crate::entry::Sealed;
use crate::id::{CONTROL, DeviceId, EntryId};
use crate::limits::CONTROL_BODY_BYTES_MAX;
use crate::record::{Body, EntryRef};
use crate::roster::{Approve, Control, ControlBody, Endorse, Part, PlaceOf, Revoke, Rights};
use crate::store::{BranchOf, EntryKey, LogRow, Store, StoredEntry, Verdict};
use std::collections::BTreeSet;

/// Field of a revoke that holds the reason.
const FIELD_REASON: u16 = 5;
/// Most places and ids in one part of a revoke: 77 bytes a place, below the length of a control body.
const PART_MAX: usize = CONTROL_BODY_BYTES_MAX / 96;

/// What a revoke did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revoked {
    /// The devices whose grants ended here.
    pub devices: Vec<Author>,
    /// Roots among them: their end needs this many approvals, and has so many now.
    pub approvals: Option<(usize, usize)>,
    /// Devices that keep grants which this device does not stand above.
    pub stay: Vec<Author>,
    /// Entries that wait for review now and did not before.
    pub waiting: u64,
    /// The control entries that were written.
    pub entries: Vec<EntryCode>,
}

/// What a bar or its lifting did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Barred {
    /// The devices.
    pub devices: Vec<Author>,
    /// The control entries that were written.
    pub entries: Vec<EntryCode>,
}

impl Daybook {
    /// Ends the grants of a person's devices, or of one device, that stand beneath this device's grant, and bars
    /// the devices. What is held here of their logs stays trusted; with `since` only what they wrote before
    /// that entry. Of a root this is one approval of its end and of that cut.
    ///
    /// # Errors
    /// [`AdministrationError`], [`Error::NoRight`], [`Error::NoSuchEntry`]; nothing was written.
    pub fn revoke(&mut self, who: &str, since: Option<&str>, reason: Option<&str>) -> Result<Revoked, Error> {
        self.refresh()?;
        let since = since.map(|code| self.resolve_entry(code)).transpose()?.map(crate::store::OpKey::entry);
        self.write(|writer| {
            let devices = named(writer.state, who)?;
            if devices.contains(&writer.state.device_id) {
                return Err(AdministrationError::Yourself.into());
            }
            may(writer.state, Rights::REVOKE)?;
            let before = writer.state.ring.roster.clone();
            let waiting = count_waiting(writer)?;
            let cuts = trusted(writer, &devices, since)?;
            let mut ids = Vec::new();
            let (roots, others): (BTreeSet<DeviceId>, BTreeSet<DeviceId>) =
                devices.iter().partition(|device| before.is_root(**device));
            let mut approvals = None;
            for root in &roots {
                ids.extend(approve_end(writer, *root, &cuts)?);
                approvals = Some(approved(writer.state, *root));
            }
            let list = end_grants(writer.state, &others);
            if list.grants.is_empty() && roots.is_empty() {
                return Err(nothing_to_end(writer.state, &others).into());
            }
            if !list.grants.is_empty() {
                let devices = others.iter().copied().collect();
                ids.extend(write_revoke(writer, Revoke { cuts, devices, ..list }, reason)?);
            }
            rejudge(writer.tx, writer.state, Since::Roster { before: &before, keys: false })?;
            writer.post()?;
            let roster = &writer.state.ring.roster;
            let stays = |device: &&DeviceId| roster.is_root(**device) || roster.grants_of(**device).next().is_some();
            Ok(Revoked {
                stay: devices.iter().filter(stays).map(|device| writer.state.author(*device)).collect(),
                devices: devices.iter().map(|device| writer.state.author(*device)).collect(),
                approvals,
                waiting: count_waiting(writer)?.saturating_sub(waiting),
                entries: codes(writer.state, &ids),
            })
        })
    }

    /// Stops keys and service for a person's devices, or for one device, and ends nothing.
    ///
    /// # Errors
    /// [`AdministrationError`], [`Error::NoRight`]; nothing was written.
    pub fn bar(&mut self, who: &str) -> Result<Barred, Error> {
        self.write(|writer| {
            let devices = named(writer.state, who)?;
            if devices.contains(&writer.state.device_id) {
                return Err(AdministrationError::Yourself.into());
            }
            may(writer.state, Rights::BAR)?;
            let (left, _) = writer.state.ring.roster.budget_left(&writer.state.grant, writer.state.device_id);
            if usize::try_from(left).is_ok_and(|left| left < devices.len()) {
                return Err(AdministrationError::NoBudget.into());
            }
            let list: Vec<DeviceId> = devices.iter().copied().collect();
            let id = writer.control(|_, _| Ok(Control::Bar { devices: list }))?;
            let roster = &writer.state.ring.roster;
            if devices.iter().any(|device| roster.bars_of(*device).is_empty()) {
                return Err(AdministrationError::NotBeneath.into());
            }
            Ok(Barred {
                devices: devices.iter().map(|device| writer.state.author(*device)).collect(),
                entries: codes(writer.state, &[id]),
            })
        })
    }

    /// Lifts all bars in force against a person's devices, or against one device. Grants that a revoke ended
    /// stay ended.
    ///
    /// # Errors
    /// [`AdministrationError`], [`Error::NoRight`]; nothing was written.
    pub fn lift_bars(&mut self, who: &str) -> Result<Barred, Error> {
        self.write(|writer| {
            let devices = named(writer.state, who)?;
            may(writer.state, Rights::ENDORSE)?;
            let of = |device: &DeviceId| writer.state.ring.roster.bars_of(*device).iter().map(|(bar, _)| *bar);
            let lifts: BTreeSet<EntryId> = devices.iter().flat_map(of).collect();
            if lifts.is_empty() {
                return Err(AdministrationError::NotBarred.into());
            }
            let endorse = Endorse { lifts: lifts.into_iter().collect(), ..Endorse::default() };
            let id = writer.control(|_, _| Ok(Control::Endorse(endorse)))?;
            if devices.iter().any(|device| !writer.state.ring.roster.bars_of(*device).is_empty()) {
                return Err(AdministrationError::NotAbove.into());
            }
            Ok(Barred {
                devices: devices.iter().map(|device| writer.state.author(*device)).collect(),
                entries: codes(writer.state, &[id]),
            })
        })
    }
}

/// Whether this device has a right in control.
pub(in crate::daybook) fn may(state: &State, right: Rights) -> Result<(), Error> {
    let rights = state.ring.roster.rights_of(&state.grant, state.device_id, CONTROL);
    if rights.is_ok_and(|rights| rights.covers(right)) { Ok(()) } else { Err(Error::NoRight) }
}

/// The codes of control entries.
pub(in crate::daybook) fn codes(state: &State, ids: &[EntryId]) -> Vec<EntryCode> {
    let place = |id: &EntryId| state.control.iter().map(|entry| entry.place).find(|place| place.id == *id);
    let code = |place: PlaceOf| entry_code(&EntryRef::new(place.log, place.seq, &place.id), 0);
    ids.iter().filter_map(place).map(code).collect()
}

fn count_waiting(writer: &Writer<'_>) -> Result<u64, Error> {
    Ok(Store::count_of_verdict(writer.tx, Verdict::Waiting)?)
}

/// The grants of some devices that this device ends, and those that were ended before and are let be.
fn end_grants(state: &State, devices: &BTreeSet<DeviceId>) -> Revoke {
    let roster = &state.ring.roster;
    let mut list = Revoke::joined([].into_iter());
    for (id, held) in roster.grants() {
        if devices.contains(&held.device) && roster.is_above(&state.grant, id) {
            if held.in_force() { list.grants.push(*id) } else { list.spares.push(*id) }
        }
    }
    list
}

fn nothing_to_end(state: &State, devices: &BTreeSet<DeviceId>) -> AdministrationError {
    let in_force = |device: &DeviceId| state.ring.roster.grants_of(*device).next().is_some();
    if devices.iter().any(in_force) { AdministrationError::NotBeneath } else { AdministrationError::EndedAlready }
}

/// Writes a revoke, in parts if it is too long for one entry.
fn write_revoke(writer: &mut Writer<'_>, whole: Revoke, reason: Option<&str>) -> Result<Vec<EntryId>, Error> {
    let sealed =
        |state: &State, place: Place| reason.map(|text| seal_text(state, place, FIELD_REASON, text)).transpose();
    if whole.cuts.len() <= PART_MAX {
        return Ok(vec![
            writer.control(|state, place| Ok(Control::Revoke(Revoke { reason: sealed(state, place)?, ..whole })))?,
        ]);
    }
    let hash = whole.list_hash();
    let pieces: Vec<&[PlaceOf]> = whole.cuts.chunks(PART_MAX).collect();
    let of = u32::try_from(pieces.len()).map_err(|_| Error::TooMuch)?;
    let mut ids = Vec::new();
    for (cuts, number) in pieces.into_iter().zip(1..) {
        let part = Some(Part { number, of, hash });
        // The bar counts at once, so it stands in the first part; so do the grants.
        let lists = if number == 1 { whole.clone() } else { Revoke::joined([].into_iter()) };
        let revoke = Revoke { cuts: cuts.to_vec(), part, ..lists };
        ids.push(
            writer.control(|state, place| Ok(Control::Revoke(Revoke { reason: sealed(state, place)?, ..revoke })))?,
        );
    }
    Ok(ids)
}

/// This root's approvals of the end of another root, and of the cut of its entries.
fn approve_end(writer: &mut Writer<'_>, root: DeviceId, cuts: &[PlaceOf]) -> Result<Vec<EntryId>, Error> {
    let quorum = writer.state.founding.founding().quorum;
    if !writer.state.ring.roster.is_root(writer.state.device_id) || quorum == 0 {
        return Err(AdministrationError::NotBeneath.into());
    }
    let logs: BTreeSet<_> =
        Store::logs(writer.tx)?.iter().filter(|log| log.name.device == root).map(|log| log.log).collect();
    let cuts: Vec<PlaceOf> = cuts.iter().filter(|place| logs.contains(&place.log)).copied().collect();
    let end = writer.control(|_, _| Ok(Control::Approve(Approve::End { root })))?;
    let cut = writer.control(|_, _| Ok(Control::Approve(Approve::Cut { root, cuts })))?;
    Ok(vec![end, cut])
}

/// How many approvals the end of a root needs, and has.
fn approved(state: &State, root: DeviceId) -> (usize, usize) {
    let ends = state.control.iter().filter(|entry| entry.control == Control::Approve(Approve::End { root }));
    let approvers: BTreeSet<DeviceId> = ends.map(|entry| entry.device).collect();
    (usize::from(state.founding.founding().quorum), approvers.len())
}

/// The last entry of each branch of the logs of some devices that stays trusted: the newest held here, or the
/// newest before `since`.
pub(super) fn trusted(
    writer: &Writer<'_>,
    devices: &BTreeSet<DeviceId>,
    since: Option<EntryKey>,
) -> Result<Vec<PlaceOf>, Error> {
    let logs: Vec<LogRow> =
        Store::logs(writer.tx)?.into_iter().filter(|log| devices.contains(&log.name.device)).collect();
    let bound = match since {
        None => None,
        Some(key) => {
            let log = logs.iter().find(|log| log.number == key.log()).ok_or(AdministrationError::EntryOfAnother)?;
            let entry = Store::entry(writer.tx, key)?.ok_or(Error::NoSuchEntry)?;
            let hlc = hlc_of(writer.state, log, &entry).ok_or(Error::NoKey)?;
            Some((key, hlc))
        }
    };
    let mut cuts = BTreeSet::new();
    for log in &logs {
        let branches = Store::branches(writer.tx, log.number)?;
        for branch in &branches {
            cuts.extend(match bound {
                None => Some(PlaceOf { log: log.log, seq: branch.tip_seq, id: branch.tip_id }),
                Some(bound) => before(writer, log, (branch, &branches), bound)?,
            });
        }
    }
    Ok(cuts.into_iter().collect())
}

/// The newest entry of a branch before another entry: by place in its own log, by the author's clock in others.
/// What does not open here is not known to be earlier.
fn before(
    writer: &Writer<'_>,
    log: &LogRow,
    (branch, branches): (&BranchOf, &[BranchOf]),
    (since, hlc): (EntryKey, Hlc),
) -> Result<Option<PlaceOf>, Error> {
    let mut seq = branch.tip_seq;
    while seq > 0 {
        let row = crate::sync::row_of(branches, branch.branch, seq);
        let Some(entry) = Store::entry(writer.tx, EntryKey::new(log.number, seq, row))? else { return Ok(None) };
        let earlier = if since.log() == log.number {
            seq < since.seq()
        } else {
            hlc_of(writer.state, log, &entry).is_some_and(|of| of < hlc)
        };
        if earlier {
            return Ok(Some(PlaceOf { log: log.log, seq, id: entry.id }));
        }
        seq -= 1;
    }
    Ok(None)
}

/// The author's clock of an entry, if it opens here.
fn hlc_of(state: &State, log: &LogRow, entry: &StoredEntry) -> Option<Hlc> {
    let Sealed::Body(sealed) = entry.sealed() else { return None };
    if log.name.is_control() {
        return ControlBody::read(sealed).ok().map(|body| body.hlc);
    }
    let key = state.ring.keys.get(&entry.ground.key)?;
    let place = Place { incident: state.ring.incident, log: log.log, seq: entry.key.seq() };
    let mut body = Vec::new();
    key.open(&place, &entry.nonce, sealed, &mut body).ok()?;
    let kind = state.ring.roster.kind_of(log.name.compartment)?;
    Body::read(&body, log.name.lane, kind).ok().map(|body| body.hlc)
}

//! Control entries that are known without their chain: those of grant paths and of enrolment replies.
//!
//! They belong to the control set like any other. Kept as runs in a value of the book, because a log in the
//! file has no gaps; when their chain comes, the fold counts each once. Only what takes effect at once is
//! kept (a grant that holds, a compartment, an epoch, an approval), so that nobody fills a book with them who was not
//! given the right to write such entries.

use crate::crypto::{Nonce, Signature};
use crate::daybook::error::Error;
use crate::daybook::state::{State, value};
use crate::entry::{Ground, Sealed, SealedEntry};
use crate::id::{DeviceId, EntryId, IncidentId};
use crate::limits::GRANT_DEPTH_MAX;
use crate::log::{LogName, Run, RunBuilder, VerifiedRun};
use crate::roster::{Chains, Control, ControlBody, ControlEntry, GrantPath, PlaceOf, Roster, SignedFounding};
use crate::store::{EntryKey, LogRow, Store, StoreError, StoredEntry};
use rusqlite::Connection;
use std::collections::BTreeSet;

/// Most runs that are kept alone.
const RUNS_MAX: usize = 4_096;
/// Most bytes of them all.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Branches that a log may have here.
const BRANCHES: u8 = 8;

/// The runs that are kept alone, in the order in which they came.
pub(in crate::daybook) fn runs(connection: &Connection) -> Result<Vec<Vec<u8>>, StoreError> {
    let bytes = Store::value_in(connection, value::ALONE)?.unwrap_or_default();
    let (mut rest, mut runs) = (bytes.as_slice(), Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let Some((run, after)) = after.split_at_checked(u32::from_le_bytes(*length) as usize) else { break };
        runs.push(run.to_vec());
        rest = after;
    }
    Ok(runs)
}

/// Keeps exactly these runs.
pub(in crate::daybook) fn set_runs(tx: &Connection, runs: &[Vec<u8>]) -> Result<(), StoreError> {
    let mut bytes = Vec::new();
    for run in runs {
        bytes.extend_from_slice(&u32::try_from(run.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(run);
    }
    Store::set_value(tx, value::ALONE, &bytes)
}

/// The control entries of the runs that are kept alone.
pub(in crate::daybook) fn entries(
    connection: &Connection,
    incident: &IncidentId,
) -> Result<Vec<ControlEntry>, StoreError> {
    let mut found = Vec::new();
    for bytes in runs(connection)? {
        if let Ok(run) = Run::read(&bytes).and_then(|run| run.verify(incident)) {
            found.extend(of_run(&run));
        }
    }
    Ok(found)
}

/// The roots that approvals among these runs add to a founding statement.
pub(super) fn roots_of(founding: &SignedFounding, runs: &[Vec<u8>]) -> BTreeSet<DeviceId> {
    let verified = runs.iter().filter_map(|bytes| Run::read(bytes).ok()?.verify(founding.incident()).ok());
    let entries: Vec<ControlEntry> =
        verified.filter(|run| run.name().is_control()).flat_map(|run| of_run(&run)).collect();
    Roster::fold(founding, &entries, &Chains::default()).roots().map(|(device, ..)| *device).collect()
}

/// The control entries of a run; those that break their schema are left out.
fn of_run(run: &VerifiedRun<'_>) -> Vec<ControlEntry> {
    let control = |entry: &crate::log::VerifiedEntry<'_>| {
        let body = ControlBody::read(entry.body()?).ok()?;
        Some(ControlEntry {
            place: PlaceOf { log: run.log(), seq: entry.seq(), id: *entry.id() },
            branch: None,
            device: run.name().device,
            grant: entry.entry().ground.grant,
            hlc: body.hlc,
            control: body.control,
        })
    };
    run.entries().iter().filter_map(control).collect()
}

/// Keeps a verified control run whose chain is not here, if all that it says takes effect. Gives how many of
/// its entries are new to the control set; the caller judges anew if there are any.
pub(in crate::daybook) fn keep(
    tx: &Connection,
    state: &mut State,
    bytes: &[u8],
    run: &VerifiedRun<'_>,
) -> Result<Option<usize>, Error> {
    let known: BTreeSet<EntryId> = state.control.iter().map(|entry| entry.place.id).collect();
    let (said, count) = (of_run(run), run.entries().len());
    let new: Vec<ControlEntry> = said.iter().filter(|entry| !known.contains(&entry.place.id)).cloned().collect();
    if said.len() < count {
        return Ok(None);
    }
    if new.is_empty() {
        return Ok(Some(0));
    }
    let mut runs = runs(tx)?;
    if runs.len() >= RUNS_MAX || runs.iter().map(Vec::len).sum::<usize>() + bytes.len() > BYTES_MAX {
        return Ok(None);
    }
    let before = state.control.len();
    state.control.extend(new.iter().cloned());
    // The roster of the state stays as it was, so that the caller can see what changed.
    let roster = Roster::fold(&state.founding, &state.control, &state.chains);
    let counts = new.iter().all(|entry| match &entry.control {
        // An approval never falls, so that nothing which comes with its chain can say otherwise.
        Control::Grant(_) | Control::Compartment { .. } | Control::Epoch(_) | Control::Approve(_) => {
            roster.without_effect(&entry.place.id).is_none()
        }
        Control::Incarnation { .. }
        | Control::Revoke(_)
        | Control::Bar { .. }
        | Control::Endorse(_)
        | Control::Erase { .. }
        | Control::Newer => false,
    });
    if !counts {
        state.control.truncate(before);
        return Ok(None);
    }
    runs.push(bytes.to_vec());
    set_runs(tx, &runs)?;
    Ok(Some(new.len()))
}

/// The runs that are kept alone and whose chain has not come: what an export carries beside the logs.
pub(in crate::daybook) fn without_chain(
    connection: &Connection,
    incident: &IncidentId,
) -> Result<Vec<(Vec<u8>, u64)>, StoreError> {
    let mut found = Vec::new();
    for bytes in runs(connection)? {
        let Ok(run) = Run::read(&bytes).and_then(|run| run.verify(incident)) else { continue };
        let mut here = true;
        for entry in run.entries() {
            let place = PlaceOf { log: run.log(), seq: entry.seq(), id: *entry.id() };
            here &= stored(connection, &place)?.is_some();
        }
        let count = run.entries().len() as u64;
        if !here {
            found.push((bytes, count));
        }
    }
    Ok(found)
}

/// The runs of some control entries, contiguous ones together, wherever they are kept; in order of log and
/// place. One that is not here is left out.
pub(super) fn runs_of(
    connection: &Connection,
    incident: &IncidentId,
    wanted: &BTreeSet<PlaceOf>,
    one_by_one: bool,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let (mut found, mut open): (Vec<Vec<u8>>, Option<(PlaceOf, RunBuilder)>) = (Vec::new(), None);
    for place in wanted {
        let Some(piece) = Piece::find(connection, incident, place)? else { continue };
        let follows = |last: &PlaceOf| last.log == place.log && last.seq + 1 == place.seq && last.id == piece.backlink;
        let mut run = match open.take() {
            Some((last, run)) if !one_by_one && follows(&last) => run,
            before => {
                found.extend(before.map(|(_, run)| run.finish()));
                RunBuilder::new(&piece.name, place.seq, piece.backlink)
            }
        };
        run.push(&piece.entry(), Some(piece.signature));
        open = Some((*place, run));
    }
    found.extend(open.map(|(_, run)| run.finish()));
    Ok(found)
}

/// One control entry with all that a run of it needs.
struct Piece {
    name: LogName,
    ground: Ground,
    body: Vec<u8>,
    backlink: EntryId,
    signature: Signature,
}

impl Piece {
    fn entry(&self) -> SealedEntry<'_> {
        SealedEntry { ground: self.ground, nonce: Nonce::ZERO, sealed: Sealed::Body(&self.body) }
    }

    fn find(connection: &Connection, incident: &IncidentId, place: &PlaceOf) -> Result<Option<Self>, StoreError> {
        let Some((log, entry)) = stored(connection, place)? else {
            return Self::find_alone(connection, incident, place);
        };
        let (Some(signature), Sealed::Body(body)) = (Store::head(connection, entry.key)?, entry.sealed()) else {
            return Ok(None);
        };
        let mut before = if place.seq == 1 { vec![EntryId::ZERO] } else { Vec::new() };
        for branch in 0..BRANCHES {
            let key = EntryKey::new(log.number, place.seq - 1, branch);
            before.extend(Store::entry(connection, key)?.map(|entry| entry.id));
        }
        let backlink = before.into_iter().find(|id| entry.entry().id(place.log, place.seq, *id) == place.id);
        let body = body.to_vec();
        Ok(backlink.map(|backlink| Self { name: log.name, ground: entry.ground, body, backlink, signature }))
    }

    fn find_alone(connection: &Connection, incident: &IncidentId, place: &PlaceOf) -> Result<Option<Self>, StoreError> {
        for bytes in runs(connection)? {
            let Ok(run) = Run::read(&bytes).and_then(|run| run.verify(incident)) else { continue };
            let entry = run.entries().iter().enumerate().find(|(_, entry)| *entry.id() == place.id);
            let Some((at, entry)) = entry else { continue };
            let signature = run.heads().iter().find(|(head, _)| *head == at).map(|(_, signature)| *signature);
            let (Some(signature), Some(body)) = (signature, entry.body()) else { continue };
            let (ground, backlink, body) = (entry.entry().ground, *entry.backlink(), body.to_vec());
            return Ok(Some(Self { name: *run.name(), ground, body, backlink, signature }));
        }
        Ok(None)
    }
}

/// An entry of a stored log by its whole place.
fn stored(connection: &Connection, place: &PlaceOf) -> Result<Option<(LogRow, StoredEntry)>, StoreError> {
    let Some(log) = Store::log_row(connection, &place.log)? else { return Ok(None) };
    for branch in 0..BRANCHES {
        if let Some(entry) = Store::entry(connection, EntryKey::new(log.number, place.seq, branch))?
            && entry.id == place.id
        {
            return Ok(Some((log, entry)));
        }
    }
    Ok(None)
}

/// The grant path of a grant that holds: founding statement and one run per level, outermost first.
pub(in crate::daybook) fn path(connection: &Connection, state: &State, grant: &EntryId) -> Result<Vec<u8>, Error> {
    let mut levels = Vec::new();
    let mut at = *grant;
    while let Some(held) = state.ring.roster.grants().get(&at) {
        let place = state.control.iter().find(|entry| entry.place.id == at).map(|entry| entry.place);
        levels.extend(place);
        at = held.parent;
        if levels.len() > GRANT_DEPTH_MAX {
            break;
        }
    }
    let mut runs = Vec::new();
    for place in levels.iter().rev() {
        runs.extend(runs_of(connection, &state.ring.incident, &BTreeSet::from([*place]), true)?);
    }
    Ok(GrantPath::to_bytes(&state.founding, &runs))
}

//! Judging anew: what a change of the roster or new keys may have changed, and nothing else.

use super::error::Error;
use super::state::State;
use crate::id::CompartmentId;
use crate::merge::{Intake, Times};
use crate::record::EntryRef;
use crate::roster::{Anew, Changes, Roster, Waits};
use crate::store::{EntryKey, LogRow, Store, Verdict};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// Since when entries are to be judged anew.
#[derive(Clone, Copy, Debug)]
pub(super) enum Since<'a> {
    /// Since this roster; `keys` says whether keys came too.
    Roster { before: &'a Roster, keys: bool },
    /// Keys came.
    Keys,
    /// Somebody asked: all that does not count.
    Asked,
}

/// Judges anew what may be judged otherwise than before: which logs a change of the roster concerns, and from
/// which place on, the roster says itself.
pub(super) fn rejudge(tx: &Connection, state: &mut State, since: Since<'_>) -> Result<(), Error> {
    let again = match since {
        Since::Roster { before, keys } => changed(tx, state, before, keys)?,
        Since::Keys => Store::of_verdicts(tx, &MAY_OPEN, usize::MAX)?,
        Since::Asked => Store::of_verdicts(tx, &[Verdict::Waiting, Verdict::Unopened, Verdict::Erased], usize::MAX)?,
    };
    let State { ring, backlog, logs, .. } = state;
    let mut withdrawn: BTreeSet<CompartmentId> = BTreeSet::new();
    for key in &again {
        let Some(log) = logs.get(key.log()).filter(|log| !log.name.is_control()) else { continue };
        if Store::verdict(tx, *key)?.is_none() {
            withdrawn.insert(log.name.compartment);
        }
    }
    Intake::new(tx, ring, backlog).take_again(logs, again)?;
    // Times are made of what counts; without a withdrawal they only grow, which filing lets them.
    Times::recompute(tx, &withdrawn)?;
    if !withdrawn.is_empty() {
        state.hlc_kept = None;
    }
    Ok(())
}

/// What new keys may open: what waits for review may have been judged without being opened.
const MAY_OPEN: [Verdict; 2] = [Verdict::Unopened, Verdict::Waiting];

/// What two rosters may judge otherwise.
fn changed(tx: &Connection, state: &State, before: &Roster, keys: bool) -> Result<BTreeSet<EntryKey>, Error> {
    let now = &state.ring.roster;
    let changes = now.changed_since(before);
    let mut again = BTreeSet::new();
    if keys {
        again.extend(Store::of_verdicts(tx, &MAY_OPEN, usize::MAX)?);
    }
    if changes.is_empty() {
        return Ok(again);
    }
    for place in changes.places() {
        again.extend(Store::resolve(tx, &EntryRef::new(place.log, place.seq, &place.id))?);
    }
    let mut of_log: BTreeMap<i64, Anew> = BTreeMap::new();
    for log in Store::logs(tx)?.iter().filter(|log| !log.name.is_control()) {
        let anew = changes.of_log(now, before, (&log.log, log.name.device), log.name.compartment);
        match &anew {
            Anew::Nothing => continue,
            Anew::All => whole(tx, log, &mut again)?,
            Anew::Some { grants, .. } => {
                for (grant, places) in grants {
                    standing_on(tx, log, *grant, *places, &mut again)?;
                }
            }
        }
        of_log.insert(log.number, anew);
    }
    waiting(tx, &changes, &of_log, &mut again)?;
    Ok(again)
}

/// All entries of a log.
fn whole(tx: &Connection, log: &LogRow, again: &mut BTreeSet<EntryKey>) -> Result<(), Error> {
    for (branch, (first, last)) in Store::places(tx, log.number)? {
        again.extend((first..=last).map(|seq| EntryKey::new(log.number, seq, branch)));
    }
    Ok(())
}

/// Entries of a log that stand on a grant, between two places.
fn standing_on(
    tx: &Connection,
    log: &LogRow,
    grant: crate::id::EntryId,
    (from, to): (u64, u64),
    again: &mut BTreeSet<EntryKey>,
) -> Result<(), Error> {
    for (branch, (first, last)) in Store::places(tx, log.number)? {
        let range = (from.max(first), to.min(last));
        if range.0 > range.1 {
            continue;
        }
        Store::entries(tx, (log.number, branch), range, |entry| {
            if entry.ground.grant == grant {
                again.insert(entry.key);
            }
            Ok::<bool, Error>(true)
        })?;
    }
    Ok(())
}

/// Entries that wait and may count now, or for another reason: those of endorsed logs, and those whose grant
/// came or went, in whatever log they stand.
fn waiting(
    tx: &Connection,
    changes: &Changes,
    of_log: &BTreeMap<i64, Anew>,
    again: &mut BTreeSet<EntryKey>,
) -> Result<(), Error> {
    let stands_on_it = |key: EntryKey| -> Result<bool, Error> {
        Ok(Store::entry(tx, key)?.is_some_and(|stored| changes.concerns(&stored.ground.grant)))
    };
    for (number, anew) in of_log {
        let Anew::Some { endorsed, .. } = anew else { continue };
        for (key, verdict) in Store::verdicts_in(tx, *number)? {
            if *endorsed || (verdict != Verdict::Faulty && stands_on_it(key)?) {
                again.insert(key);
            }
        }
    }
    for waits in [Waits::GrantMissing, Waits::GrantOfAnother] {
        for key in Store::of_code(tx, Verdict::Waiting, waits.code())? {
            if !of_log.contains_key(&key.log()) && stands_on_it(key)? {
                again.insert(key);
            }
        }
    }
    Ok(())
}

//! What cannot be read here for want of a key, and why: told in `status`.

use super::given::given;
use super::trouble;
use crate::daybook::error::Error;
use crate::daybook::state::State;
use crate::daybook::types::Author;
use crate::id::{CompartmentId, KeyId};
use crate::store::{Store, Verdict};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// Most entries that are looked at: of a hub, which reads nothing, a sample says as much.
const ENTRIES_MAX: usize = 20_000;

/// Why a key is not here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum WhyNoKey {
    /// It is for others: for another role, or for those who were there before this device was admitted.
    ForOthers,
    /// This device may have it; whoever holds it gives it when they meet.
    NotHere,
    /// One came and was wrong; another holder can give the right one.
    Wrong,
    /// The control entry that begins its epoch is not here yet.
    NoEpoch,
}

/// Entries that cannot be read here for want of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyLack {
    /// The kind of their compartment.
    pub compartment: &'static str,
    /// How many; of the first 20,000 that cannot be read.
    pub entries: u64,
    /// Why.
    pub why: WhyNoKey,
    /// Who began the epochs; with several the one with the smallest device id.
    pub begun_by: Option<Author>,
}

/// All that is lacking, by compartment and reason.
pub(in crate::daybook) fn lacks(connection: &Connection, state: &State) -> Result<Vec<KeyLack>, Error> {
    let roster = &state.ring.roster;
    let mut entries: BTreeMap<(CompartmentId, KeyId), u64> = BTreeMap::new();
    for key in Store::of_verdicts(connection, &[Verdict::Unopened], ENTRIES_MAX)? {
        if let (Some(entry), Some(log)) = (Store::entry(connection, key)?, state.logs.get(key.log())) {
            *entries.entry((log.name.compartment, entry.ground.key)).or_default() += 1;
        }
    }
    let wrong: BTreeSet<KeyId> = trouble::all(connection)?.into_iter().collect();
    let mut found: BTreeMap<(&'static str, WhyNoKey), (u64, Option<Author>)> = BTreeMap::new();
    for ((compartment, key), count) in entries {
        let epoch = roster.epochs().iter().find(|(_, e)| e.key == key && e.compartment == compartment);
        let may = given(state, state.device_id, compartment);
        let why = match epoch {
            _ if may.is_none() => WhyNoKey::ForOthers,
            None => WhyNoKey::NoEpoch,
            Some((id, _)) if !may.is_some_and(|may| may.covers(id)) => WhyNoKey::ForOthers,
            Some(_) if wrong.contains(&key) => WhyNoKey::Wrong,
            Some(_) => WhyNoKey::NotHere,
        };
        let begun = epoch.and_then(|(id, _)| state.control.iter().find(|entry| entry.place.id == *id));
        let author = begun.map(|entry| state.author(entry.device));
        let kind = roster.kind_of(compartment).map_or("unknown", crate::roster::CompartmentKind::word);
        let here = found.entry((kind, why)).or_default();
        here.0 += count;
        here.1 = match (here.1.take(), author) {
            (Some(one), Some(two)) => Some(if two.device < one.device { two } else { one }),
            (one, two) => one.or(two),
        };
    }
    let lack = |((compartment, why), (entries, begun_by))| KeyLack { compartment, entries, why, begun_by };
    Ok(found.into_iter().map(lack).collect())
}

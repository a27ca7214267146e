//! Endorsements: what an administrator above reviewed and lets count all the same.

use super::chains::{At, Chains, Reach};
use super::control::{Endorse, PlaceOf};
use super::set::{ControlEntry, ControlSet};
use super::stops::reach;
use crate::id::{DeviceId, EntryId, LogId};
use std::collections::{BTreeMap, BTreeSet};

/// Who endorsed: the grant that the endorsement stands on, and the device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Endorser {
    pub ground: EntryId,
    pub device: DeviceId,
}

/// All endorsements in effect so far.
#[derive(Clone, Default, Debug)]
pub(super) struct Endorsed {
    entries: BTreeMap<PlaceOf, BTreeSet<Endorser>>,
    logs: BTreeMap<LogId, BTreeSet<(PlaceOf, Endorser)>>,
    grants: BTreeMap<EntryId, Vec<(Endorser, Vec<EntryId>)>>,
    /// Bars that are lifted, and grants all of whose bars are.
    pub lifts: BTreeMap<EntryId, BTreeSet<Endorser>>,
    pub lifts_all_of: BTreeMap<EntryId, BTreeSet<Endorser>>,
}

impl Endorsed {
    /// Takes in an endorsement that has effect. One that names grants says with `lifts` which revokes no longer
    /// count for these; else `lifts` names bars.
    pub fn add(&mut self, entry: &ControlEntry, endorse: &Endorse) {
        let by = Endorser { ground: entry.grant, device: entry.device };
        for place in &endorse.entries {
            self.entries.entry(*place).or_default().insert(by);
        }
        for place in &endorse.logs {
            self.logs.entry(place.log).or_default().insert((*place, by));
        }
        for grant in &endorse.grants {
            self.grants.entry(*grant).or_default().push((by, endorse.lifts.clone()));
        }
        if endorse.grants.is_empty() {
            for bar in &endorse.lifts {
                self.lifts.entry(*bar).or_default().insert(by);
            }
        }
        for grant in &endorse.lifts_all_of {
            self.lifts_all_of.entry(*grant).or_default().insert(by);
        }
    }

    /// Who endorsed an entry, by itself or with its log up to some entry.
    pub fn by(&self, chains: &Chains, log: &LogId, at: &At) -> BTreeSet<Endorser> {
        let place = PlaceOf { log: *log, seq: at.seq, id: at.id };
        let mut by = self.entries.get(&place).cloned().unwrap_or_default();
        for (place, endorser) in self.logs.get(log).into_iter().flatten() {
            if chains.trusts(place, at) {
                by.insert(*endorser);
            }
        }
        by
    }

    /// The revokes that endorsements of a grant name, if `may` lets their authors endorse it.
    pub fn lifted_for(
        &self,
        set: &ControlSet<'_>,
        chains: &Chains,
        grant: &EntryId,
        may: impl Fn(&Endorser) -> bool,
    ) -> Reach {
        let of = self.grants.get(grant).map_or(&[][..], Vec::as_slice).iter();
        reach(set, chains, of.filter(|(by, _)| may(by)).flat_map(|(_, lifts)| lifts))
    }

    /// Whether anything of a log, or of an entry of any log, was endorsed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.logs.is_empty()
    }

    /// Single entries with their endorsers.
    pub const fn entries(&self) -> &BTreeMap<PlaceOf, BTreeSet<Endorser>> {
        &self.entries
    }

    /// Logs up to an entry with their endorsers.
    pub const fn logs(&self) -> &BTreeMap<LogId, BTreeSet<(PlaceOf, Endorser)>> {
        &self.logs
    }
}

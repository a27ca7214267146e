//! What differs between two rosters: which logs must be judged anew, and from where on.

use super::chains::Chains;
use super::control::PlaceOf;
use super::endorsed::Endorser;
use super::roster::Roster;
use crate::id::{CompartmentId, DeviceId, EntryId, LogId};
use std::collections::{BTreeMap, BTreeSet};

/// What differs between two rosters, as far as entries of other logs than control depend on it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Changes {
    /// Grants by the devices that hold them, and all of them.
    grants: BTreeMap<DeviceId, BTreeSet<EntryId>>,
    concerned: BTreeSet<EntryId>,
    compartments: BTreeSet<CompartmentId>,
    /// Devices all of whose entries may be judged otherwise.
    devices: BTreeSet<DeviceId>,
    /// Logs of which all entries may be judged otherwise.
    whole: BTreeSet<LogId>,
    /// Logs of which those entries may count that did not.
    waiting: BTreeSet<LogId>,
    places: BTreeSet<PlaceOf>,
}

/// What of a log is to be judged anew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Anew {
    /// Nothing.
    Nothing,
    /// All its entries.
    All,
    /// Those that stand on one of these grants: of the entries that count only those between two places,
    /// inclusive; and, if something was endorsed, all that wait.
    Some {
        /// Grants with the places.
        grants: BTreeMap<EntryId, (u64, u64)>,
        /// Whether something of the log was endorsed.
        endorsed: bool,
    },
}

impl Roster {
    /// What differs from an earlier roster of the same incident.
    #[must_use]
    pub fn changed_since(&self, before: &Self) -> Changes {
        let mut changes = Changes::default();
        let ids = self.tree.devices_of_grants().chain(before.tree.devices_of_grants());
        for (grant, device) in ids {
            if self.of_grant(grant) != before.of_grant(grant) {
                changes.grants.entry(device).or_default().insert(*grant);
                changes.concerned.insert(*grant);
            }
        }
        let roots: BTreeSet<DeviceId> = [self, before].iter().flat_map(|r| r.roots.ever()).map(|(d, _)| *d).collect();
        let mut other_roots = false;
        for root in roots {
            let differs = self.roots.was(root) != before.roots.was(root)
                || !self.roots.cuts_of(root).eq(before.roots.cuts_of(root));
            other_roots |= differs || self.roots.is(root) != before.roots.is(root);
            if differs {
                changes.grants.entry(root).or_default().insert(self.incident);
                changes.concerned.insert(self.incident);
            }
        }
        let (now, then) = (self.compartments.keys().collect::<BTreeSet<_>>(), before.compartments.keys().collect());
        changes.compartments.extend(now.symmetric_difference(&then).copied());
        self.endorsements_since(before, other_roots, &mut changes);
        self.erased_since(before, &mut changes);
        Chains::differ(&self.chains, &before.chains, &mut changes.whole);
        changes.devices = Chains::flooded_otherwise(&self.chains, &before.chains);
        changes
    }

    /// What a grant comes to: whether it is here; if it counts, the revokes that cut it.
    fn of_grant(&self, grant: &EntryId) -> (bool, Option<(BTreeSet<EntryId>, bool)>) {
        let counts = self.held.get(grant).map(|held| (self.ended_by(grant), held.with_root));
        (self.tree.get(grant).is_some(), counts)
    }

    fn endorsements_since(&self, before: &Self, other_roots: bool, changes: &mut Changes) {
        let (now, then) = (&self.endorsed, &before.endorsed);
        let places: BTreeSet<&PlaceOf> = now.entries().keys().chain(then.entries().keys()).collect();
        for place in places {
            if other_roots || now.entries().get(place) != then.entries().get(place) {
                changes.places.insert(*place);
            }
        }
        let logs: BTreeSet<&LogId> = now.logs().keys().chain(then.logs().keys()).collect();
        let none: BTreeSet<(PlaceOf, Endorser)> = BTreeSet::new();
        for log in logs {
            let (now, then) = (now.logs().get(log).unwrap_or(&none), then.logs().get(log).unwrap_or(&none));
            if other_roots || !then.is_subset(now) {
                changes.whole.insert(*log);
            } else if now != then {
                changes.waiting.insert(*log);
            }
        }
    }

    fn erased_since(&self, before: &Self, changes: &mut Changes) {
        for (one, other) in [(self, before), (before, self)] {
            for (log, entries) in &one.erased {
                let there = other.erased.get(log);
                for (id, (seq, by)) in entries {
                    if there.and_then(|there| there.get(id)).is_none_or(|(_, there)| there != by) {
                        changes.places.insert(PlaceOf { log: *log, seq: *seq, id: *id });
                    }
                }
            }
        }
    }

    /// The last place of a log that a grant lets count whatever lies there; `u64::MAX` if nothing cuts it. Of a
    /// forked log, or of a root that is cut, nothing is said: 0.
    fn trusted_up_to(&self, grant: &EntryId, log: &LogId) -> u64 {
        let Some(held) = self.held.get(grant).filter(|held| !held.with_root) else { return 0 };
        let cuts = held.ends.iter().filter_map(|index| self.revokes.get(*index)).map(|revoke| revoke.cuts_in(log));
        let last = |places: &[PlaceOf]| places.iter().map(|place| place.seq).max().unwrap_or_default();
        match cuts.map(last).min() {
            Some(_) if self.chains.is_forked(log) => 0,
            Some(last) => last.saturating_sub(1),
            None => u64::MAX,
        }
    }
}

impl Changes {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What of a log is to be judged anew, with the two rosters that differ.
    #[must_use]
    pub fn of_log(
        &self,
        now: &Roster,
        before: &Roster,
        (log, device): (&LogId, DeviceId),
        compartment: CompartmentId,
    ) -> Anew {
        let whole = self.whole.contains(log) || self.devices.contains(&device);
        if whole || self.compartments.contains(&compartment) {
            return Anew::All;
        }
        let mut grants = BTreeMap::new();
        for grant in self.grants.get(&device).into_iter().flatten() {
            let (one, other) = (now.trusted_up_to(grant, log), before.trusted_up_to(grant, log));
            // At the last trusted place itself it matters which entry lies there.
            let to =
                if one.max(other) == u64::MAX || now.chains.is_forked(log) { u64::MAX } else { one.max(other) + 1 };
            grants.insert(*grant, (one.min(other).saturating_add(1), to));
        }
        let endorsed = self.waiting.contains(log);
        if grants.is_empty() && !endorsed { Anew::Nothing } else { Anew::Some { grants, endorsed } }
    }

    /// Whether a grant came or went, or counts otherwise.
    #[must_use]
    pub fn concerns(&self, grant: &EntryId) -> bool {
        self.concerned.contains(grant)
    }

    /// Single entries that are to be judged anew.
    #[must_use]
    pub const fn places(&self) -> &BTreeSet<PlaceOf> {
        &self.places
    }
}

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
    /// What the places of `logs` come to, so that an entry is looked up once for each who endorsed, whatever the
    /// number of places.
    spans: BTreeMap<LogId, BTreeMap<Endorser, Span>>,
    grants: BTreeMap<EntryId, Vec<(Endorser, Vec<EntryId>)>>,
    /// Bars that are lifted, and grants all of whose bars are.
    pub lifts: BTreeMap<EntryId, BTreeSet<Endorser>>,
    pub lifts_all_of: BTreeMap<EntryId, BTreeSet<Endorser>>,
}

/// Up to where somebody endorsed a log.
#[derive(Clone, Default, Debug)]
struct Span {
    /// Places below which all counts that is known without its chain, or lies in a log that is not forked.
    below: u64,
    /// Places up to which all counts on whatever branch, because the named entry is not here.
    before_forks: u64,
    /// Last places by branch of a forked log.
    rows: BTreeMap<u8, u64>,
}

impl Span {
    /// Takes in a place, as [`Chains::trusts`] judges by it.
    fn add(&mut self, chains: &Chains, place: &PlaceOf) {
        let before = place.seq.saturating_sub(1);
        self.below = self.below.max(before);
        match chains.branch_named(place) {
            Some(branch) => {
                for (row, last) in chains.path(&place.log, branch, before) {
                    let reached = self.rows.entry(row).or_default();
                    *reached = last.max(*reached);
                }
            }
            None => self.before_forks = self.before_forks.max(before.min(chains.first_fork(&place.log))),
        }
    }

    fn covers(&self, chains: &Chains, log: &LogId, at: &At) -> bool {
        match at.branch.filter(|_| chains.is_forked(log)) {
            None => at.seq <= self.below,
            Some(branch) => at.seq <= self.before_forks.max(self.rows.get(&branch).copied().unwrap_or_default()),
        }
    }
}

impl Endorsed {
    /// Takes in an endorsement that has effect. One that names grants says with `lifts` which revokes no longer
    /// count for these; else `lifts` names bars.
    pub fn add(&mut self, chains: &Chains, entry: &ControlEntry, endorse: &Endorse) {
        let by = Endorser { ground: entry.grant, device: entry.device };
        for place in &endorse.entries {
            self.entries.entry(*place).or_default().insert(by);
        }
        for place in &endorse.logs {
            self.logs.entry(place.log).or_default().insert((*place, by));
            self.spans.entry(place.log).or_default().entry(by).or_default().add(chains, place);
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
        let named = self.logs.get(log);
        for (endorser, span) in self.spans.get(log).into_iter().flatten() {
            if span.covers(chains, log, at) || named.is_some_and(|named| named.contains(&(place, *endorser))) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Hlc;
    use crate::roster::{Branch, Control};

    fn id(number: u64) -> EntryId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        EntryId::new(bytes)
    }

    /// A linear congruence is random enough for places.
    fn next(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *state >> 33
    }

    #[test]
    fn what_many_places_come_to_is_what_each_of_them_trusts() {
        let log = LogId::new([7; 32]);
        let rows = |number: u64| [(0, 0, 0), (1, 0, 6), (2, 1, 9), (3, 0, 3)][..number as usize].to_vec();
        for seed in 0..400 {
            let random = &mut (seed * 977 + 3);
            let (mut chains, mut endorsed) = (Chains::default(), Endorsed::default());
            let branches = 1 + seed % 4;
            if branches > 1 {
                let branch = |(branch, parent, fork_seq)| Branch { branch, parent, fork_seq };
                chains.fork(log, rows(branches).into_iter().map(branch));
            }
            let mut named: Vec<(PlaceOf, Endorser)> = Vec::new();
            for number in 0..next(random) % 12 {
                let seq = 1 + next(random) % 14;
                let place = PlaceOf { log, seq, id: id(1_000 + seq * 10 + next(random) % 3) };
                let on = (next(random) % branches) as u8;
                if !next(random).is_multiple_of(3) && rows(branches)[usize::from(on)].2 < seq {
                    chains.name(log, place.id, on);
                }
                named.push((place, Endorser { ground: id(number % 3), device: DeviceId::new([1; 32]) }));
            }
            for (place, by) in &named {
                let control = Control::Endorse(Endorse { logs: vec![*place], ..Endorse::default() });
                let at = PlaceOf { log, seq: 1, id: id(1) };
                let (device, grant) = (by.device, by.ground);
                let entry = ControlEntry { place: at, branch: Some(0), device, grant, hlc: Hlc::default(), control };
                endorsed.add(&chains, &entry, &Endorse { logs: vec![*place], ..Endorse::default() });
            }
            for seq in 1..=15 {
                for branch in (0..branches).map(|of| Some(of as u8)).chain([None]) {
                    // A branch holds what lies past its fork.
                    if branch.is_some_and(|of| rows(branches)[usize::from(of)].2 >= seq) {
                        continue;
                    }
                    for of in 0..4 {
                        let at = At { branch, seq, id: id(1_000 + seq * 10 + of) };
                        let each = named.iter().filter(|(place, _)| chains.trusts(place, &at));
                        let expected: BTreeSet<Endorser> = each.map(|(_, by)| *by).collect();
                        assert_eq!(endorsed.by(&chains, &log, &at), expected, "seed {seed}, {at:?}, {named:?}");
                    }
                }
            }
        }
    }
}

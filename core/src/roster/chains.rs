//! How logs fork: what the fold must be told of ancestry, and no more.
//!
//! A log that is not forked needs nothing: of two of its entries the one with the lower place is the ancestor.
//! Of a forked log the fold is told its branches, and on which of them the entries lie that cuts and
//! endorsements name, as far as these are here. Of a flood it is told from which place on a log waits for review.

use super::control::{Approve, Control, PlaceOf};
use super::set::ControlEntry;
use crate::id::{DeviceId, EntryId, LogId};
use std::collections::{BTreeMap, BTreeSet};

/// One branch of a forked log: its entries after `fork_seq`; those up to there lie on `parent`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Branch {
    /// Its number in this book; differs from book to book and decides nothing.
    pub branch: u8,
    /// The branch that it left; its own number if it begins at place 1.
    pub parent: u8,
    /// The last place that it shares with its parent; 0 if none.
    pub fork_seq: u64,
}

/// Where an entry lies in its log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct At {
    /// The branch that holds it; none if it is known without its chain.
    pub branch: Option<u8>,
    /// Its place.
    pub seq: u64,
    /// Its id.
    pub id: EntryId,
}

/// The forked logs of a book, and the floods that are known.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Chains {
    forked: BTreeMap<LogId, Forked>,
    /// The first place of each flooded log that waits for review.
    floods: BTreeMap<LogId, u64>,
    /// Devices with more incarnations than one may have: all their logs wait.
    flooded: BTreeSet<DeviceId>,
}

/// A forked log.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Forked {
    branches: Vec<Branch>,
    /// Branches of the entries that are named, as far as they are here.
    named: BTreeMap<EntryId, u8>,
}

impl Chains {
    /// Takes note of a forked log.
    pub fn fork(&mut self, log: LogId, branches: impl IntoIterator<Item = Branch>) {
        self.forked.entry(log).or_default().branches = branches.into_iter().collect();
    }

    /// Takes note of the branch of a forked log that holds an entry which a cut or an endorsement names.
    pub fn name(&mut self, log: LogId, entry: EntryId, branch: u8) {
        if let Some(forked) = self.forked.get_mut(&log) {
            forked.named.insert(entry, branch);
        }
    }

    /// Takes note of a log that was flooded: what lies at `lowest` or past it waits for review.
    pub fn flood(&mut self, log: LogId, lowest: u64) {
        self.floods.insert(log, lowest);
    }

    /// Takes note of a device with more incarnations than one may have.
    pub fn flood_of(&mut self, device: DeviceId) {
        self.flooded.insert(device);
    }

    /// The first place of a log that waits for review because of a flood; none if none does.
    #[must_use]
    pub fn waits_from(&self, log: &LogId, device: DeviceId) -> Option<u64> {
        if self.flooded.contains(&device) { Some(1) } else { self.floods.get(log).copied() }
    }

    /// Devices that one of two books knows as flooded and the other does not.
    pub(super) fn flooded_otherwise(one: &Self, other: &Self) -> BTreeSet<DeviceId> {
        one.flooded.symmetric_difference(&other.flooded).copied().collect()
    }

    /// The places in forked logs that a control set names: where they lie must be told with [`Chains::name`].
    #[must_use]
    pub fn asked(&self, entries: &[ControlEntry]) -> BTreeSet<PlaceOf> {
        let mut asked = BTreeSet::new();
        if self.forked.is_empty() {
            return asked;
        }
        for entry in entries {
            let places = entry.control.named_places().iter();
            asked.extend(places.filter(|place| self.forked.contains_key(&place.log)).copied());
        }
        asked
    }

    /// Whether `at` is the entry `last` or its ancestor. While `last` is not here, a lower place counts as its
    /// ancestor if no earlier fork is known.
    pub(super) fn trusts(&self, last: &PlaceOf, at: &At) -> bool {
        if at.id == last.id {
            return true;
        }
        if at.seq >= last.seq {
            return false;
        }
        let (Some(forked), Some(branch)) = (self.forked.get(&last.log), at.branch) else { return true };
        match forked.named.get(&last.id) {
            Some(named) => forked.row(*named, at.seq) == branch,
            None => at.seq <= forked.first_fork(),
        }
    }

    /// The branches on which the ancestors of an entry lie, each with the last place that is one.
    pub(super) fn path(&self, log: &LogId, branch: u8, seq: u64) -> Vec<(u8, u64)> {
        let Some(forked) = self.forked.get(log) else { return vec![(0, seq)] };
        let (mut path, mut at, mut last) = (Vec::new(), forked.row(branch, seq), seq);
        while path.len() <= forked.branches.len() {
            path.push((at, last));
            match forked.branches.iter().find(|row| row.branch == at) {
                Some(row) if row.parent != at && row.fork_seq > 0 => {
                    last = last.min(row.fork_seq);
                    at = forked.row(row.parent, last);
                }
                _ => break,
            }
        }
        path
    }

    /// The branches whose entries have an entry before them, or hold it.
    pub(super) fn rows_through(&self, log: &LogId, branch: u8, seq: u64) -> Vec<u8> {
        let Some(forked) = self.forked.get(log) else { return vec![0] };
        let through = |row: &u8| self.path(log, *row, u64::MAX).iter().any(|(at, last)| *at == branch && *last >= seq);
        forked.branches.iter().map(|row| row.branch).filter(through).collect()
    }

    /// Collects the logs that two books know otherwise.
    pub(super) fn differ(one: &Self, other: &Self, logs: &mut BTreeSet<LogId>) {
        let all = one.forked.keys().chain(other.forked.keys());
        logs.extend(all.filter(|log| one.forked.get(*log) != other.forked.get(*log)));
        let all = one.floods.keys().chain(other.floods.keys());
        logs.extend(all.filter(|log| one.floods.get(*log) != other.floods.get(*log)));
    }

    /// The branch that holds a named entry of a forked log, if that is here.
    pub(super) fn branch_named(&self, place: &PlaceOf) -> Option<u8> {
        self.forked.get(&place.log)?.named.get(&place.id).copied()
    }

    /// The last place that all branches of a log share.
    pub(super) fn first_fork(&self, log: &LogId) -> u64 {
        self.forked.get(log).map_or(u64::MAX, Forked::first_fork)
    }

    /// Whether a log is forked.
    #[must_use]
    pub fn is_forked(&self, log: &LogId) -> bool {
        self.forked.contains_key(log)
    }
}

impl Forked {
    /// The branch that holds the entry at a place of a branch.
    fn row(&self, branch: u8, seq: u64) -> u8 {
        let mut at = branch;
        for _ in 0..=self.branches.len() {
            match self.branches.iter().find(|row| row.branch == at) {
                Some(row) if seq <= row.fork_seq && row.parent != at => at = row.parent,
                _ => break,
            }
        }
        at
    }

    /// The last place that all branches share.
    fn first_fork(&self) -> u64 {
        self.branches.iter().filter(|row| row.branch != 0).map(|row| row.fork_seq).min().unwrap_or(u64::MAX)
    }
}

impl Control {
    /// The places of other logs that decide something by ancestry: of cuts and of endorsed logs.
    fn named_places(&self) -> &[PlaceOf] {
        match self {
            Self::Revoke(revoke) => &revoke.cuts,
            Self::Approve(Approve::Cut { cuts, .. }) => cuts,
            Self::Endorse(endorse) => &endorse.logs,
            Self::Incarnation { .. }
            | Self::Grant(_)
            | Self::Approve(Approve::End { .. } | Approve::Add { .. })
            | Self::Bar { .. }
            | Self::Epoch(_)
            | Self::Compartment { .. }
            | Self::Erase { .. }
            | Self::Newer => &[],
        }
    }
}

/// Up to which place of each branch somebody who names entries must have known a log.
#[derive(Clone, Default, Debug)]
pub(super) struct Reach(BTreeMap<LogId, BTreeMap<u8, u64>>);

impl Reach {
    /// Lets a named entry count, and all before it in its chain.
    pub fn add(&mut self, chains: &Chains, log: LogId, branch: u8, seq: u64) {
        let rows = self.0.entry(log).or_default();
        for (row, last) in chains.path(&log, branch, seq) {
            let reached = rows.entry(row).or_default();
            *reached = last.max(*reached);
        }
    }

    /// Lets what another reached count too.
    pub fn join(&mut self, other: Self) {
        for (log, rows) in other.0 {
            let reached = self.0.entry(log).or_default();
            for (row, last) in rows {
                let reached = reached.entry(row).or_default();
                *reached = last.max(*reached);
            }
        }
    }

    /// The last place that is reached along a branch and all that lies before it; 0 if none.
    pub fn along(&self, chains: &Chains, log: &LogId, branch: u8) -> u64 {
        if !self.0.contains_key(log) {
            return 0;
        }
        let path = chains.path(log, branch, u64::MAX).into_iter();
        path.map(|(row, last)| last.min(self.last(log, row))).max().unwrap_or_default()
    }

    /// Whether an entry is among those.
    pub fn covers(&self, log: &LogId, branch: u8, seq: u64) -> bool {
        self.last(log, branch) >= seq
    }

    /// The last place of a branch that is reached; 0 if none.
    pub fn last(&self, log: &LogId, branch: u8) -> u64 {
        self.0.get(log).and_then(|rows| rows.get(&branch)).copied().unwrap_or_default()
    }
}

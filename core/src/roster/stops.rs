//! Revokes and bars: what they end, whom they stop, and who has named them since.
//!
//! Who names an entry of a log knew all that came before it in that log. So a grant or an epoch need name only
//! the newest revoke or bar of each log, and a history of a thousand of them costs no more than one.

use super::chains::{Chains, Reach};
use super::control::{Control, PlaceOf, Revoke};
use super::set::{ControlEntry, ControlSet, Tree};
use crate::crypto::{Label, derive};
use crate::id::{DeviceId, EntryId, LogId};
use std::collections::BTreeMap;

/// A revoke in effect; one in parts once all of them are here.
#[derive(Clone, Debug)]
pub(super) struct RevokeOf {
    /// Its entry; of several parts the last.
    pub id: EntryId,
    /// The grant that it stands on.
    pub ground: EntryId,
    /// Its place.
    pub log: LogId,
    pub branch: u8,
    pub seq: u64,
    /// The last trusted entries, in rising order.
    pub cuts: Vec<PlaceOf>,
}

impl RevokeOf {
    /// The trusted entries that it names in a log.
    pub fn cuts_in(&self, log: &LogId) -> &[PlaceOf] {
        let from = self.cuts.partition_point(|place| place.log < *log);
        let rest = self.cuts.get(from..).unwrap_or_default();
        rest.get(..rest.partition_point(|place| place.log == *log)).unwrap_or_default()
    }
}

/// Over which grants a revoke looks for others of a device: those beneath a grant, or beneath one root.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Over {
    Grant(EntryId),
    Root(DeviceId),
}

/// All revokes in effect so far.
#[derive(Clone, Default, Debug)]
pub(super) struct Revokes {
    all: Vec<RevokeOf>,
    /// Revokes by the grants that they end, and by those that they spare.
    ends: BTreeMap<EntryId, Vec<usize>>,
    spares: BTreeMap<EntryId, Vec<usize>>,
    /// Revokes of a device by the grants that they look over, and by log and branch with all that lies before
    /// it, in rising order of place.
    of_device: BTreeMap<(Over, DeviceId), ByBranch>,
}

/// Revokes by log and branch.
type ByBranch = BTreeMap<(LogId, u8), Vec<usize>>;

impl Revokes {
    pub fn get(&self, index: usize) -> Option<&RevokeOf> {
        self.all.get(index)
    }

    /// Whether a cut names entries of a log.
    pub fn name(&self, log: &LogId) -> bool {
        self.all.iter().any(|revoke| !revoke.cuts_in(log).is_empty())
    }

    /// Takes in a revoke that has effect.
    pub fn add(
        &mut self,
        (tree, chains): (&Tree, &Chains),
        over: Over,
        revoke: RevokeOf,
        (ended, spared): (&[EntryId], &[EntryId]),
    ) {
        let index = self.all.len();
        let rows = chains.rows_through(&revoke.log, revoke.branch, revoke.seq);
        for grant in ended.iter().filter(|grant| tree.is_above(&revoke.ground, grant)) {
            let Some(node) = tree.get(grant) else { continue };
            self.ends.entry(*grant).or_default().push(index);
            let logs = self.of_device.entry((over, node.device)).or_default();
            for row in &rows {
                let here = logs.entry((revoke.log, *row)).or_default();
                if here.last() != Some(&index) {
                    here.push(index);
                }
            }
        }
        for grant in spared {
            self.spares.entry(*grant).or_default().push(index);
        }
        self.all.push(revoke);
    }

    /// The revokes that end a grant; those that `reach` covers do not.
    pub fn ending(&self, grant: &EntryId, reach: &Reach) -> Vec<usize> {
        let ends = self.ends.get(grant).map_or(&[][..], Vec::as_slice).iter().copied();
        ends.filter(|index| self.get(*index).is_some_and(|r| !reach.covers(&r.log, r.branch, r.seq))).collect()
    }

    /// Whether a grant of `device` counts under the revokes of that device that look over it: it is ended by
    /// them, spared, given with knowledge of them (`reach`), or was ended before by the same author.
    pub fn pass(&self, chains: &Chains, over: Over, device: DeviceId, grant: &EntryId, reach: &Reach) -> bool {
        let Some(logs) = self.of_device.get(&(over, device)) else { return true };
        let of = |map: &BTreeMap<EntryId, Vec<usize>>| map.get(grant).cloned().unwrap_or_default();
        let (ends, spares) = (of(&self.ends), of(&self.spares));
        logs.iter().all(|((log, row), revokes)| {
            let known = reach.along(chains, log, *row);
            self.pass_along(revokes, (&ends, &spares), known)
        })
    }

    /// Along one branch: of the revokes after the last one that is named and before the first one that ends the
    /// grant, all spare it. Counted, so that a long history costs no more than a search.
    fn pass_along(&self, revokes: &[usize], of: (&[usize], &[usize]), known: u64) -> bool {
        let seq = |index: &usize| self.get(*index).map_or(0, |revoke| revoke.seq);
        let here = |index: &&usize| revokes.binary_search(index).is_ok() && seq(index) > known;
        let end = of.0.iter().filter(here).map(seq).min().unwrap_or(u64::MAX);
        let from = revokes.partition_point(|index| seq(index) <= known);
        let to = revokes.partition_point(|index| seq(index) < end);
        to.saturating_sub(from) <= of.1.iter().filter(here).filter(|index| seq(index) < end).count()
    }
}

/// A bar that stands: of an entry that bars, or of a revoke, also past its author's cut.
#[derive(Clone, Debug)]
pub(super) struct BarOf {
    pub id: EntryId,
    pub ground: EntryId,
    pub log: LogId,
    pub branch: u8,
    pub seq: u64,
    /// In rising order.
    pub devices: Vec<DeviceId>,
}

impl BarOf {
    pub fn of(entry: &ControlEntry, devices: Vec<DeviceId>) -> Self {
        let (log, branch, seq) = (entry.place.log, entry.branch.unwrap_or_default(), entry.place.seq);
        Self { id: entry.place.id, ground: entry.grant, log, branch, seq, devices }
    }
}

/// The parts of revokes in several entries, by the hash of the whole list and their number.
#[derive(Default)]
pub(super) struct Parts<'a>(BTreeMap<([u8; 32], u32), BTreeMap<u32, &'a Revoke>>);

impl<'a> Parts<'a> {
    /// Takes in a revoke; gives the whole one if it is whole now: it has one part, or this was the last of them.
    /// What is said again in parts counts again.
    pub fn add(&mut self, revoke: &'a Revoke) -> Option<Revoke> {
        let Some(part) = revoke.part else { return Some(revoke.clone()) };
        let parts = self.0.entry((part.hash, part.of)).or_default();
        parts.insert(part.number, revoke);
        if u32::try_from(parts.len()).is_ok_and(|count| count < part.of) {
            return None;
        }
        let whole = Revoke::joined(std::mem::take(parts).into_values());
        (whole.list_hash() == part.hash).then_some(whole)
    }
}

impl Revoke {
    /// The lists of several parts together, without reason.
    #[must_use]
    pub fn joined<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        let mut whole =
            Self { grants: vec![], spares: vec![], cuts: vec![], devices: vec![], reason: None, part: None };
        for part in parts {
            whole.grants.extend(&part.grants);
            whole.spares.extend(&part.spares);
            whole.cuts.extend(&part.cuts);
            whole.devices.extend(&part.devices);
        }
        whole.grants.sort_unstable();
        whole.grants.dedup();
        whole.spares.sort_unstable();
        whole.spares.dedup();
        whole.cuts.sort_unstable();
        whole.cuts.dedup();
        whole.devices.sort_unstable();
        whole.devices.dedup();
        whole
    }

    /// The hash that every part of it names: of the operation that the whole would be, without reason.
    #[must_use]
    pub fn list_hash(&self) -> [u8; 32] {
        let whole = Self { reason: None, part: None, ..self.clone() };
        derive(Label::RevokeList, &[&Control::Revoke(whole).operation()])
    }
}

/// The position of a revoke or bar that somebody names; other entries are named in vain.
pub(super) fn named<'a>(set: &ControlSet<'a>, id: &EntryId) -> Option<&'a ControlEntry> {
    set.get(id).filter(|entry| entry.control.stops())
}

impl Control {
    /// Whether it is of a kind that grants and epochs name: revokes, bars, approvals.
    #[must_use]
    pub const fn stops(&self) -> bool {
        match self {
            Self::Revoke(_) | Self::Bar { .. } | Self::Approve(_) => true,
            Self::Incarnation { .. }
            | Self::Grant(_)
            | Self::Epoch(_)
            | Self::Compartment { .. }
            | Self::Endorse(_)
            | Self::Erase { .. }
            | Self::Newer => false,
        }
    }
}

/// Up to where somebody knew the logs who names these revokes and bars.
pub(super) fn reach<'i>(set: &ControlSet<'_>, chains: &Chains, ids: impl IntoIterator<Item = &'i EntryId>) -> Reach {
    let mut reach = Reach::default();
    for entry in ids.into_iter().filter_map(|id| named(set, id)) {
        reach.add(chains, entry.place.log, entry.branch.unwrap_or_default(), entry.place.seq);
    }
    reach
}

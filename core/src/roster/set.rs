//! The control set in the order in which its authors wrote it, and the tree of its grants.

use super::chains::At;
use super::control::{Control, PlaceOf};
use crate::clock::Hlc;
use crate::id::{DeviceId, EntryId, LogId};
use crate::limits::{GRANT_DEPTH_MAX, INCARNATIONS_PER_DEVICE_MAX};
use std::collections::{BTreeMap, BTreeSet};

/// One control entry as the fold takes it: verified, its body read.
#[derive(Clone, Debug)]
pub struct ControlEntry {
    /// Where it stands.
    pub place: PlaceOf,
    /// The branch of its log that holds it; none if it is known without its chain.
    pub branch: Option<u8>,
    /// Its author.
    pub device: DeviceId,
    /// The grant that it stands on; a root's stand on the incident id.
    pub grant: EntryId,
    /// The author's clock.
    pub hlc: Hlc,
    /// What it says.
    pub control: Control,
}

impl ControlEntry {
    pub(super) const fn at(&self) -> At {
        At { branch: self.branch, seq: self.place.seq, id: self.place.id }
    }
}

/// A control set: each entry once, found by id, and by the grant that it stands on in its author's chain order.
pub(super) struct ControlSet<'a> {
    by_id: BTreeMap<EntryId, &'a ControlEntry>,
    /// By grant, author, and the author's chain order.
    ordered: Vec<&'a ControlEntry>,
}

impl<'a> ControlSet<'a> {
    pub fn new(entries: impl IntoIterator<Item = &'a ControlEntry>) -> Self {
        let mut by_id: BTreeMap<EntryId, &ControlEntry> = BTreeMap::new();
        for entry in entries {
            // One that was known alone may have come again with its chain, which tells more.
            let kept = by_id.entry(entry.place.id).or_insert(entry);
            if kept.branch.is_none() {
                *kept = entry;
            }
        }
        let ranks = ranks(&by_id);
        let mut ordered: Vec<&ControlEntry> = by_id.values().copied().collect();
        ordered.sort_by_cached_key(|entry| {
            let rank = ranks.get(&entry.place.log).copied().unwrap_or_default();
            (entry.grant, entry.device, rank, entry.place.log, entry.place.seq, entry.place.id)
        });
        Self { by_id, ordered }
    }

    /// An entry by its id.
    pub fn get(&self, id: &EntryId) -> Option<&'a ControlEntry> {
        self.by_id.get(id).copied()
    }

    /// What an author wrote under a grant: by incarnation, log and place.
    pub fn standing_on(&self, grant: EntryId, device: DeviceId) -> &[&'a ControlEntry] {
        let from = self.ordered.partition_point(|entry| (entry.grant, entry.device) < (grant, device));
        let rest = self.ordered.get(from..).unwrap_or_default();
        let count = rest.partition_point(|entry| (entry.grant, entry.device) == (grant, device));
        rest.get(..count).unwrap_or_default()
    }

    /// All entries, in rising order of id.
    pub fn iter(&self) -> impl Iterator<Item = &'a ControlEntry> {
        self.by_id.values().copied()
    }
}

/// How many incarnations came before the one of a control log, as far as their entries are here.
fn ranks(by_id: &BTreeMap<EntryId, &ControlEntry>) -> BTreeMap<LogId, usize> {
    let mut before: BTreeMap<LogId, LogId> = BTreeMap::new();
    for entry in by_id.values().filter(|entry| entry.place.seq == 1) {
        let Control::Incarnation { previous } = &entry.control else { continue };
        let own = |place: &&PlaceOf| {
            let named = by_id.get(&place.id);
            named.is_some_and(|named| named.device == entry.device && named.place.log != entry.place.log)
        };
        if let Some(place) = previous.iter().find(own) {
            before.entry(entry.place.log).or_insert(place.log);
        }
    }
    let rank = |log: &LogId| {
        let chain = std::iter::successors(before.get(log), |at| before.get(*at));
        chain.take(INCARNATIONS_PER_DEVICE_MAX).count()
    };
    before.keys().map(|log| (*log, rank(log))).collect()
}

/// A grant that stands on a root through grants of the right devices, whatever became of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// The grant that it stands on; the incident id beneath a root.
    pub parent: EntryId,
    /// The device that holds it.
    pub device: DeviceId,
    /// The root at the top of its tree.
    pub root: DeviceId,
    /// Steps from the founding statement, from 1.
    pub depth: usize,
}

/// The tree of grants.
#[derive(Clone, Default, Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<EntryId, Node>,
    of_device: BTreeMap<DeviceId, Vec<EntryId>>,
    incident: EntryId,
}

impl Tree {
    /// Goes down from the roots. No grant stands on itself, since the id of each is a hash of the one above.
    pub fn new(set: &ControlSet<'_>, incident: EntryId, roots: &BTreeSet<DeviceId>) -> Self {
        let mut tree = Self { incident, ..Self::default() };
        let mut level: Vec<(EntryId, DeviceId, DeviceId)> = roots.iter().map(|root| (incident, *root, *root)).collect();
        for depth in 1..=GRANT_DEPTH_MAX {
            let mut next = Vec::new();
            for (parent, holder, root) in level {
                for entry in set.standing_on(parent, holder) {
                    let Control::Grant(grant) = &entry.control else { continue };
                    let (id, device) = (entry.place.id, grant.device.device_id());
                    tree.nodes.insert(id, Node { parent, device, root, depth });
                    tree.of_device.entry(device).or_default().push(id);
                    next.push((id, device, root));
                }
            }
            level = next;
        }
        tree.of_device.values_mut().for_each(|grants| grants.sort_unstable());
        tree
    }

    /// Whether a grant is the founding statement, which roots stand on.
    pub fn is_incident(&self, grant: &EntryId) -> bool {
        *grant == self.incident
    }

    pub fn get(&self, grant: &EntryId) -> Option<&Node> {
        self.nodes.get(grant)
    }

    /// Grants of one depth, in rising order of id.
    pub fn of_depth(&self, depth: usize) -> Vec<(EntryId, Node)> {
        self.nodes.iter().filter(|(_, node)| node.depth == depth).map(|(id, node)| (*id, *node)).collect()
    }

    /// Grants of a device, in rising order of id.
    pub fn of_device(&self, device: &DeviceId) -> &[EntryId] {
        self.of_device.get(device).map_or(&[], Vec::as_slice)
    }

    /// All grants with the devices that hold them, in rising order of id.
    pub fn devices_of_grants(&self) -> impl Iterator<Item = (&EntryId, DeviceId)> {
        self.nodes.iter().map(|(id, node)| (id, node.device))
    }

    /// All devices that were ever granted something.
    pub fn devices(&self) -> impl Iterator<Item = &DeviceId> {
        self.of_device.keys()
    }

    /// The grants above a grant, nearest first; the incident id is the last.
    pub fn above(&self, grant: &EntryId) -> impl Iterator<Item = EntryId> {
        std::iter::successors(self.get(grant), |node| self.get(&node.parent)).map(|node| node.parent)
    }

    /// Whether `upper` stands above `grant`; a grant that is not here has only the roots above it.
    pub fn is_above(&self, upper: &EntryId, grant: &EntryId) -> bool {
        (*upper == self.incident && *grant != self.incident) || self.above(grant).any(|at| at == *upper)
    }

    /// Whether a grant stands beneath a grant of its own device.
    pub fn beneath_own(&self, grant: &EntryId) -> bool {
        let Some(node) = self.get(grant) else { return false };
        self.above(grant).any(|at| self.get(&at).is_some_and(|upper| upper.device == node.device))
    }
}

//! Roots: who is one, by founding and by approvals, and which entries of an ended root are cut.
//!
//! An approval never falls, also when its author is ended later: so who is a root is a growing set and its
//! ending another, and neither depends on any order. A root that was ended once stays ended.

use super::chains::{At, Chains, Reach};
use super::control::{Approve, Control, PlaceOf};
use super::founding::SignedFounding;
use super::set::ControlSet;
use crate::crypto::DevicePublic;
use crate::id::{DeviceId, EntryId, LogId};
use std::collections::{BTreeMap, BTreeSet};

/// The roots of an incident.
#[derive(Clone, Default, Debug)]
pub(super) struct Roots {
    /// All that ever were one, the recovery root aside.
    ever: BTreeMap<DeviceId, (DevicePublic, String)>,
    ended: BTreeSet<DeviceId>,
    recovery: DeviceId,
    quorum: usize,
    cuts: BTreeMap<DeviceId, Vec<RootCut>>,
    /// Approvals that ended a root or cut its entries.
    ending: Vec<(EntryId, DeviceId)>,
}

/// One approval that cuts an ended root's entries.
#[derive(Clone, Debug)]
struct RootCut {
    id: EntryId,
    approver: DeviceId,
    log: LogId,
    branch: u8,
    seq: u64,
    cuts: Vec<PlaceOf>,
}

impl Roots {
    pub fn of(founding: &SignedFounding, set: &ControlSet<'_>, incident: EntryId) -> Self {
        let founding = founding.founding();
        let mut roots =
            Self { recovery: founding.recovery.device_id(), quorum: usize::from(founding.quorum), ..Self::default() };
        let mut new: Vec<(DeviceId, (DevicePublic, String))> = Vec::new();
        for root in &founding.roots {
            new.push((root.device.device_id(), (root.device, root.organisation.clone())));
        }
        let mut added: BTreeMap<DeviceId, BTreeSet<DeviceId>> = BTreeMap::new();
        let recovery = (founding.recovery, String::new());
        new.push((roots.recovery, recovery));
        // Who becomes a root approves too, so that each approval is looked at once.
        while let Some((approver, keys)) = new.pop() {
            if approver != roots.recovery && roots.ever.insert(approver, keys).is_some() {
                continue;
            }
            for entry in set.standing_on(incident, approver) {
                let Control::Approve(Approve::Add { device, organisation }) = &entry.control else { continue };
                let id = device.device_id();
                let approvers = added.entry(id).or_default();
                approvers.insert(approver);
                if id != roots.recovery && !roots.ever.contains_key(&id) && roots.suffice(approvers) {
                    new.push((id, (**device, organisation.clone())));
                }
            }
        }
        roots.end(set, incident);
        roots
    }

    /// Which roots are ended, and what is cut of them.
    fn end(&mut self, set: &ControlSet<'_>, incident: EntryId) {
        let mut ending: BTreeMap<DeviceId, (BTreeSet<DeviceId>, Vec<EntryId>)> = BTreeMap::new();
        let mut cuts: BTreeMap<DeviceId, Vec<RootCut>> = BTreeMap::new();
        for approver in self.ever.keys().chain([&self.recovery]) {
            for entry in set.standing_on(incident, *approver) {
                if let Control::Approve(Approve::End { root }) = &entry.control {
                    let (approvers, entries) = ending.entry(*root).or_default();
                    approvers.insert(*approver);
                    entries.push(entry.place.id);
                } else if let Control::Approve(Approve::Cut { root, cuts: places }) = &entry.control {
                    let (log, branch, seq) = (entry.place.log, entry.branch.unwrap_or_default(), entry.place.seq);
                    let id = entry.place.id;
                    let cut = RootCut { id, approver: *approver, log, branch, seq, cuts: places.clone() };
                    cuts.entry(*root).or_default().push(cut);
                }
            }
        }
        for (root, (approvers, entries)) in ending {
            if self.ever.contains_key(&root) && self.suffice(&approvers) {
                self.ending.extend(entries.into_iter().map(|entry| (entry, root)));
                self.ended.insert(root);
            }
        }
        cuts.retain(|root, _| self.ended.contains(root));
        self.ending.extend(cuts.iter().flat_map(|(root, cuts)| cuts.iter().map(|cut| (cut.id, *root))));
        self.cuts = cuts;
    }

    /// Whether these approvers are enough: a quorum, or the recovery root alone.
    fn suffice(&self, approvers: &BTreeSet<DeviceId>) -> bool {
        approvers.contains(&self.recovery) || (self.quorum > 0 && approvers.len() >= self.quorum)
    }

    /// Whether an entry of a root is cut. Approvals that `but` names do not count.
    pub fn cut(&self, chains: &Chains, root: DeviceId, log: &LogId, at: &At, but: Option<&Reach>) -> bool {
        let named = |cut: &&RootCut| but.is_some_and(|reach| reach.covers(&cut.log, cut.branch, cut.seq));
        let trusts = |cut: &&RootCut| {
            let mut places = cut.cuts.iter().filter(|place| place.log == *log);
            places.any(|place| chains.trusts(place, at))
        };
        let cuts = self.cuts.get(&root).map_or(&[][..], Vec::as_slice).iter();
        let cutting = cuts.filter(|cut| !trusts(cut) && !named(cut)).map(|cut| cut.approver);
        self.suffice(&cutting.collect())
    }

    /// Whether a root's entries may be cut at all.
    pub fn has_cuts(&self, root: DeviceId) -> bool {
        self.cuts.contains_key(&root)
    }

    /// Whether a cut names entries of a log.
    pub fn name(&self, log: &LogId) -> bool {
        self.cuts.values().flatten().any(|cut| cut.cuts.iter().any(|place| place.log == *log))
    }

    /// The cuts of an ended root, one list an approval: what changes when they do.
    pub fn cuts_of(&self, root: DeviceId) -> impl Iterator<Item = (DeviceId, &[PlaceOf])> {
        self.cuts.get(&root).map_or(&[][..], Vec::as_slice).iter().map(|cut| (cut.approver, cut.cuts.as_slice()))
    }

    /// Whether a device is or was a root, the recovery root included.
    pub fn was(&self, device: DeviceId) -> bool {
        device == self.recovery || self.ever.contains_key(&device)
    }

    /// Whether a device is a root and was not ended, the recovery root included.
    pub fn is(&self, device: DeviceId) -> bool {
        self.was(device) && !self.ended.contains(&device)
    }

    pub fn is_recovery(&self, device: DeviceId) -> bool {
        device == self.recovery
    }

    pub fn is_ended(&self, device: DeviceId) -> bool {
        self.ended.contains(&device)
    }

    /// All that ever were roots, the recovery root aside, with their organisations.
    pub fn ever(&self) -> impl Iterator<Item = (&DeviceId, &(DevicePublic, String))> {
        self.ever.iter()
    }

    /// Approvals that ended a root or cut its entries, with the root.
    pub fn ending(&self) -> &[(EntryId, DeviceId)] {
        &self.ending
    }
}

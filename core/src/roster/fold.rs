//! The fold: from the control set to who may do what. A pure function; arrival order and clocks play no part.
//!
//! It goes down the tree of grants by depth. A revoke ends only grants beneath the one that it stands on, so what
//! is cut of one depth is final before the next is looked at, and there are no cycles. Every entry is looked at
//! once, in its author's chain order.

use super::chains::{At, Chains, Reach};
use super::control::{Control, Grant, Revoke};
use super::endorsed::{Endorsed, Endorser};
use super::founding::SignedFounding;
use super::held::{CompartmentOf, EpochOf, Erased, Held, Stop};
use super::kind::CompartmentKind;
use super::rights::{Rights, RightsByScope, Scope};
use super::roots::Roots;
use super::set::{ControlEntry, ControlSet, Node, Tree};
use super::stops::{BarOf, Over, Parts, RevokeOf, Revokes, reach};
use super::waits::Waits;
use crate::id::{CONTROL, CompartmentId, DeviceId, EntryId, LogId};
use crate::limits::{COMPARTMENTS_PER_INCIDENT, GRANT_DEPTH_MAX, GRANTS_PER_INCIDENT};
use std::collections::{BTreeMap, BTreeSet};

/// What is known when the fold has gone down to some depth.
pub(super) struct Fold<'a> {
    pub set: &'a ControlSet<'a>,
    pub chains: &'a Chains,
    pub roots: Roots,
    pub tree: Tree,
    pub incident: EntryId,
    /// What each root may make.
    pub share: (u32, u32),
    /// What each compartment entry says, and the grant that it stands on, whatever becomes of it.
    pub kinds: BTreeMap<CompartmentId, (CompartmentKind, EntryId)>,
    /// Grants that count, and why others do not.
    pub held: BTreeMap<EntryId, Held>,
    pub fallen: BTreeMap<EntryId, Waits>,
    pub revokes: Revokes,
    pub bars: Vec<BarOf>,
    pub stops: Vec<Stop>,
    pub endorsed: Endorsed,
    pub compartments: BTreeMap<CompartmentId, CompartmentOf>,
    pub epochs: BTreeMap<EntryId, EpochOf>,
    /// Erased entries by log and id: their place, and the grants of those who erased them.
    pub erased: BTreeMap<LogId, Erased>,
    /// Control entries without effect.
    pub waits: BTreeMap<EntryId, Waits>,
    pub spent: BTreeMap<(EntryId, DeviceId), (u32, u32)>,
}

/// A grant, or a root, whose entries are heard.
struct Giver<'g> {
    ground: EntryId,
    device: DeviceId,
    /// Rights in control.
    may: Rights,
    rights: &'g RightsByScope,
    /// Grants and compartments that are left.
    left: (u32, u32),
    over: Over,
    /// Revokes that cut it.
    ends: Vec<usize>,
    /// Whether it ended with the root that gave it to itself.
    with_root: bool,
}

impl<'a> Fold<'a> {
    /// Goes down the tree.
    pub fn down(set: &'a ControlSet<'a>, chains: &'a Chains, founding: &SignedFounding) -> Self {
        let incident = EntryId::new(*founding.incident().as_bytes());
        let roots = Roots::of(founding, set, incident);
        let tree = Tree::new(set, incident, &roots.ever().map(|(device, _)| *device).collect());
        let founders = u32::try_from(founding.founding().roots.len()).unwrap_or(1).max(1);
        let kinds = set.iter().filter_map(|entry| {
            let Control::Compartment { kind, .. } = &entry.control else { return None };
            Some((CompartmentId::new(*entry.place.id.as_bytes()), (*kind, entry.grant)))
        });
        let mut fold = Self {
            share: (GRANTS_PER_INCIDENT / founders, COMPARTMENTS_PER_INCIDENT / founders),
            kinds: kinds.collect(),
            set,
            chains,
            roots,
            tree,
            incident,
            held: BTreeMap::new(),
            fallen: BTreeMap::new(),
            revokes: Revokes::default(),
            bars: Vec::new(),
            stops: Vec::new(),
            endorsed: Endorsed::default(),
            compartments: BTreeMap::new(),
            epochs: BTreeMap::new(),
            erased: BTreeMap::new(),
            waits: BTreeMap::new(),
            spent: BTreeMap::new(),
        };
        fold.hear_roots();
        for depth in 1..=GRANT_DEPTH_MAX {
            for (grant, node) in fold.tree.of_depth(depth) {
                fold.settle(grant, &node);
            }
        }
        fold.name_unheard();
        fold
    }

    /// Hears the roots: those that were not ended first, since they may endorse what is cut of the others.
    fn hear_roots(&mut self) {
        let all = RightsByScope::all();
        let roots: Vec<DeviceId> = self.roots.ever().map(|(device, _)| *device).collect();
        let (ended, working): (Vec<_>, Vec<_>) = roots.into_iter().partition(|root| self.roots.is_ended(*root));
        for device in working.into_iter().chain(ended) {
            let (ground, over) = (self.incident, Over::Root(device));
            let (may, rights, left, ends) = (Rights::ALL, &all, self.share, Vec::new());
            self.hear(Giver { ground, device, may, rights, left, over, ends, with_root: false });
        }
    }

    /// Decides whether a grant counts, now that all above it is final, and hears its holder.
    fn settle(&mut self, grant: EntryId, node: &Node) {
        let Some(mut held) = self.held.remove(&grant) else {
            self.hear_fallen(grant, node);
            return;
        };
        let may = |by: &Endorser| self.tree.is_above(&by.ground, &grant);
        let mut known = self.endorsed.lifted_for(self.set, self.chains, &grant, may);
        if !self.tree.beneath_own(&grant) {
            let lifts = held.grant.as_ref().map_or(&[][..], |grant| &grant.lifts);
            known.join(reach(self.set, self.chains, lifts));
        }
        let overs = self.tree.above(&grant).filter(|above| *above != self.incident).map(Over::Grant);
        let passes = |over| self.revokes.pass(self.chains, over, node.device, &grant, &known);
        if !overs.chain([Over::Root(node.root)]).all(passes) {
            self.fallen.insert(grant, Waits::GrantFallen);
            self.hear_fallen(grant, node);
            return;
        }
        held.ends = self.revokes.ending(&grant, &known);
        let rights = held.rights.clone();
        let giver = Giver {
            ground: grant,
            device: node.device,
            may: rights.of(CONTROL, CompartmentKind::Control),
            rights: &rights,
            left: held.grant.as_ref().map_or((0, 0), |grant| (grant.grants, grant.compartments)),
            over: Over::Grant(grant),
            ends: held.ends.clone(),
            with_root: held.with_root,
        };
        self.held.insert(grant, held);
        self.hear(giver);
    }

    /// Takes in what the holder of a grant that counts wrote, in the order of the chain.
    fn hear(&mut self, mut giver: Giver<'_>) {
        let before = giver.left;
        let mut parts = Parts::default();
        for entry in self.set.standing_on(giver.ground, giver.device) {
            if let Err(waits) = self.effect(&mut giver, entry, &mut parts) {
                self.waits.insert(entry.place.id, waits);
                if let Control::Grant(_) = entry.control {
                    self.fallen.insert(entry.place.id, waits);
                }
            }
        }
        let spent = (before.0 - giver.left.0, before.1 - giver.left.1);
        self.spent.insert((giver.ground, giver.device), spent);
    }

    /// What was written under a grant that does not count has no effect; of its epochs the keys stay known.
    fn hear_fallen(&mut self, grant: EntryId, node: &Node) {
        for entry in self.set.standing_on(grant, node.device) {
            self.waits.insert(entry.place.id, Waits::GrantFallen);
            if let Control::Grant(_) = entry.control {
                self.fallen.insert(entry.place.id, Waits::GrantFallen);
            }
            if let Control::Epoch(epoch) = &entry.control {
                let epoch = EpochOf { epoch: epoch.clone(), ground: grant, device: node.device, cut: true };
                self.epochs.insert(entry.place.id, epoch);
            }
        }
    }

    /// Says of all entries that stand on nothing here why they have no effect.
    fn name_unheard(&mut self) {
        for entry in self.set.iter() {
            let waits = if entry.grant == self.incident {
                if self.roots.is_recovery(entry.device) { Self::of_recovery(entry) } else { self.of_no_root(entry) }
            } else {
                match self.tree.get(&entry.grant) {
                    None => Some(Waits::GrantMissing),
                    Some(node) if node.device != entry.device => Some(Waits::GrantOfAnother),
                    Some(_) => None,
                }
            };
            if let Some(waits) = waits {
                self.waits.insert(entry.place.id, waits);
            }
        }
    }

    fn of_no_root(&self, entry: &ControlEntry) -> Option<Waits> {
        (!self.roots.was(entry.device)).then_some(Waits::GrantOfAnother)
    }

    /// The recovery root signs approvals only.
    fn of_recovery(entry: &ControlEntry) -> Option<Waits> {
        (!matches!(entry.control, Control::Approve(_) | Control::Incarnation { .. })).then_some(Waits::NoRight)
    }

    /// Lets one entry take effect.
    fn effect(&mut self, giver: &mut Giver<'_>, entry: &'a ControlEntry, parts: &mut Parts<'a>) -> Result<(), Waits> {
        let cut = if self.cut(giver, entry) { Err(Waits::Cut) } else { Ok(()) };
        let may = |right| if giver.may.covers(right) { Ok(()) } else { Err(Waits::NoRight) };
        match &entry.control {
            Control::Incarnation { .. } | Control::Newer => cut,
            Control::Approve(_) => {
                if giver.ground == self.incident {
                    Ok(())
                } else {
                    Err(Waits::NoRight)
                }
            }
            Control::Grant(grant) => {
                cut?;
                may(Rights::GRANT)?;
                self.grant(giver, entry, grant)
            }
            Control::Compartment { kind, name } => {
                cut?;
                may(Rights::COMPARTMENT)?;
                spend(&mut giver.left.1, 1, entry)?;
                let made = CompartmentOf { kind: *kind, made_by: giver.ground, name: name.clone() };
                self.compartments.insert(CompartmentId::new(*entry.place.id.as_bytes()), made);
                Ok(())
            }
            Control::Revoke(revoke) => {
                may(Rights::REVOKE)?;
                self.revoke(giver, entry, revoke, cut, parts)
            }
            Control::Bar { devices } => {
                may(Rights::BAR)?;
                self.bar_stands(giver, cut)?;
                spend(&mut giver.left.0, u32::try_from(devices.len()).unwrap_or(u32::MAX), entry)?;
                self.bar(entry, devices.clone());
                Ok(())
            }
            Control::Epoch(epoch) => {
                let (ground, device) = (giver.ground, giver.device);
                let epoch = EpochOf { epoch: epoch.clone(), ground, device, cut: cut.is_err() };
                self.epochs.insert(entry.place.id, epoch);
                cut
            }
            Control::Endorse(endorse) => {
                cut?;
                may(Rights::ENDORSE)?;
                self.endorsed.add(self.chains, entry, endorse);
                Ok(())
            }
            Control::Erase { entries, .. } => {
                cut?;
                may(Rights::ERASE)?;
                for place in entries {
                    let of_log = self.erased.entry(place.log).or_default();
                    of_log.entry(place.id).or_insert_with(|| (place.seq, BTreeSet::new())).1.insert(giver.ground);
                }
                Ok(())
            }
        }
    }

    /// A grant within its giver's rights and budget counts, until it is known what ends it.
    fn grant(&mut self, giver: &mut Giver<'_>, entry: &ControlEntry, grant: &Grant) -> Result<(), Waits> {
        let node = *self.tree.get(&entry.place.id).ok_or(Waits::GrantFallen)?;
        let made_beneath = |id: &CompartmentId| {
            self.kinds.get(id).is_some_and(|(_, by)| *by == giver.ground || self.tree.is_above(&giver.ground, by))
        };
        let asked = grant.rights.iter().filter(|(scope, _)| match scope {
            Scope::Compartment(id) => !made_beneath(id),
            Scope::Kind(_) => true,
        });
        let asked: RightsByScope = asked.copied().collect();
        if !giver.rights.covers(&asked, |id| self.kinds.get(&id).map(|(kind, _)| *kind)) {
            return Err(Waits::NoRight);
        }
        if giver.left.1 < grant.compartments && entry.branch.is_some() {
            return Err(Waits::BudgetSpent);
        }
        spend(&mut giver.left.0, grant.grants.saturating_add(1), entry)?;
        spend(&mut giver.left.1, grant.compartments, entry)?;
        let held = Held {
            device: node.device,
            grant: Some(Box::new(grant.clone())),
            rights: grant.rights.clone(),
            parent: node.parent,
            depth: node.depth,
            ends: Vec::new(),
            with_root: node.device == node.root && self.roots.is_ended(node.root),
        };
        self.held.insert(entry.place.id, held);
        Ok(())
    }

    /// A revoke bars at once, also past its author's cut; it cuts if it is not cut itself and all its parts are
    /// here.
    fn revoke(
        &mut self,
        giver: &Giver<'_>,
        entry: &ControlEntry,
        revoke: &'a Revoke,
        cut: Result<(), Waits>,
        parts: &mut Parts<'a>,
    ) -> Result<(), Waits> {
        if self.bar_stands(giver, cut).is_ok() {
            let beneath = |device: &&DeviceId| {
                let mut grants = self.tree.of_device(device).iter();
                grants.any(|grant| self.tree.is_above(&giver.ground, grant))
            };
            let devices: Vec<DeviceId> = revoke.devices.iter().filter(beneath).copied().collect();
            if !devices.is_empty() {
                self.bar(entry, devices);
            }
        }
        cut?;
        let Some(whole) = parts.add(revoke) else { return Ok(()) };
        let (log, branch, seq) = (entry.place.log, entry.branch.unwrap_or_default(), entry.place.seq);
        let of = RevokeOf { id: entry.place.id, ground: giver.ground, log, branch, seq, cuts: whole.cuts };
        let ended = whole.grants.iter().filter(|grant| self.tree.is_above(&giver.ground, grant));
        let devices = ended.filter_map(|grant| self.tree.get(grant)).map(|node| node.device);
        let unknown = whole.grants.iter().any(|grant| self.tree.get(grant).is_none());
        self.stops.push(Stop { id: of.id, log, branch, seq, devices: devices.collect(), unknown });
        self.revokes.add((&self.tree, self.chains), giver.over, of, (&whole.grants, &whole.spares));
        Ok(())
    }

    /// A bar stands past its author's cut, except that of a root: a quorum cut that.
    fn bar_stands(&self, giver: &Giver<'_>, cut: Result<(), Waits>) -> Result<(), Waits> {
        if giver.ground == self.incident { cut } else { Ok(()) }
    }

    fn bar(&mut self, entry: &ControlEntry, devices: Vec<DeviceId>) {
        let bar = BarOf::of(entry, devices);
        let devices: BTreeSet<DeviceId> = bar.devices.iter().copied().collect();
        let unknown = devices.iter().any(|device| self.tree.of_device(device).is_empty() && !self.roots.was(*device));
        self.stops.push(Stop { id: bar.id, log: bar.log, branch: bar.branch, seq: bar.seq, devices, unknown });
        self.bars.push(bar);
    }

    /// Whether an entry lies past what stays trusted of its author, and nobody above endorsed it.
    fn cut(&self, giver: &Giver<'_>, entry: &ControlEntry) -> bool {
        let (log, at) = (&entry.place.log, entry.at());
        if !self.cut_but(giver, log, &at, &Reach::default()) {
            return false;
        }
        if let Control::Grant(_) = entry.control {
            let may = |by: &Endorser| self.tree.is_above(&by.ground, &entry.place.id) && by.device != entry.device;
            let known = self.endorsed.lifted_for(self.set, self.chains, &entry.place.id, may);
            if !self.cut_but(giver, log, &at, &known) {
                return false;
            }
        }
        let by = self.endorsed.by(self.chains, log, &at);
        !by.iter().any(|by| endorses(&self.tree, &self.roots, by, (&entry.grant, entry.device)))
    }

    /// Whether an entry is cut by what `but` does not cover.
    fn cut_but(&self, giver: &Giver<'_>, log: &LogId, at: &At, but: &Reach) -> bool {
        if giver.ground == self.incident {
            return self.roots.cut(self.chains, giver.device, log, at, Some(but));
        }
        if giver.with_root {
            return true;
        }
        giver.ends.iter().filter_map(|index| self.revokes.get(*index)).any(|revoke| {
            !but.covers(&revoke.log, revoke.branch, revoke.seq)
                && !revoke.cuts_in(log).iter().any(|place| self.chains.trusts(place, at))
        })
    }
}

/// Takes from a budget; an entry that is known without its chain is taken as within it.
fn spend(left: &mut u32, cost: u32, entry: &ControlEntry) -> Result<(), Waits> {
    if entry.branch.is_none() {
        return Ok(());
    }
    *left = left.checked_sub(cost).ok_or(Waits::BudgetSpent)?;
    Ok(())
}

/// Whether somebody stands above a grant and its holder, as one who endorses must. Nobody stands above a root
/// but another that was not ended.
pub(super) fn endorses(tree: &Tree, roots: &Roots, by: &Endorser, (grant, device): (&EntryId, DeviceId)) -> bool {
    tree.is_above(&by.ground, grant)
        || (tree.is_incident(grant) && tree.is_incident(&by.ground) && roots.is(by.device) && by.device != device)
}

//! The roster: who may do what, which keys exist, who may have them. The result of the fold.

use super::chains::{Chains, Reach};
use super::control::{Control, Epoch, PlaceOf};
use super::endorsed::Endorsed;
use super::fold::Fold;
use super::founding::SignedFounding;
use super::held::{CompartmentOf, EpochOf, Erased, Held, Stop};
use super::kind::CompartmentKind;
use super::rights::{Rights, RightsByScope};
use super::roots::Roots;
use super::set::{ControlEntry, ControlSet, Tree};
use super::stops::Revokes;
use super::waits::Waits;
use crate::crypto::DevicePublic;
use crate::id::{CONTROL, CompartmentId, DeviceId, EntryId, KeyId, LogId};
use std::collections::{BTreeMap, BTreeSet};

/// Who may do what, and which keys exist: the result of the fold.
///
/// Rights of whole grants are asked here; whether one entry of a log counts is asked of [`Roster::in_log`], which
/// knows what revokes cut. Everything is told as of the control set that was folded.
#[derive(Clone, Default, Debug)]
pub struct Roster {
    pub(super) incident: EntryId,
    pub(super) roots: Roots,
    pub(super) recovery: Option<DevicePublic>,
    pub(super) tree: Tree,
    pub(super) chains: Chains,
    pub(super) held: BTreeMap<EntryId, Held>,
    pub(super) fallen: BTreeMap<EntryId, Waits>,
    pub(super) revokes: Revokes,
    pub(super) endorsed: Endorsed,
    pub(super) compartments: BTreeMap<CompartmentId, CompartmentOf>,
    pub(super) erased: BTreeMap<LogId, Erased>,
    pub(super) stops: Vec<Stop>,
    /// Bars in force by device: the entry that bars, and the grant that it stands on.
    pub(super) barred: BTreeMap<DeviceId, Vec<(EntryId, EntryId)>>,
    /// Entries that bar and are no revokes.
    pub(super) bars: BTreeSet<EntryId>,
    epochs: BTreeMap<EntryId, Epoch>,
    epochs_cut: BTreeSet<EntryId>,
    replaced: BTreeSet<EntryId>,
    waits: BTreeMap<EntryId, Waits>,
    hint: EntryId,
    newer: usize,
    spent: BTreeMap<(EntryId, DeviceId), (u32, u32)>,
    share: (u32, u32),
}

/// A device that may have a compartment's keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reader {
    /// Its public keys; parcels are wrapped for one of them.
    pub device: DevicePublic,
    /// Whether epochs from before its grant may be read.
    pub history: bool,
}

impl Roster {
    /// Folds a control set, in whatever order it is given; `chains` tells how logs fork.
    #[must_use]
    pub fn fold(founding: &SignedFounding, entries: &[ControlEntry], chains: &Chains) -> Self {
        // Of a flooded log every book holds other branches: what lies past its lowest fork is left out by all.
        let flooded = |entry: &&ControlEntry| {
            let from = chains.waits_from(&entry.place.log, entry.device);
            from.is_some_and(|from| entry.place.seq >= from)
        };
        let set = ControlSet::new(entries.iter().filter(|entry| !flooded(entry)));
        let newest = set.iter().max_by_key(|entry| (entry.hlc, entry.place.id));
        let hint = newest.map_or(EntryId::ZERO, |entry| entry.place.id);
        let newer = set.iter().filter(|entry| entry.control == Control::Newer).count();
        let bars = set.iter().filter(|entry| matches!(entry.control, Control::Bar { .. }));
        let bars = bars.map(|entry| entry.place.id).collect();
        let fold = Fold::down(&set, chains, founding);
        let barred = fold.barred();
        let Fold { roots, tree, incident, share, held, fallen, revokes, mut stops, endorsed, .. } = fold;
        for (id, root) in roots.ending() {
            let Some(entry) = set.get(id) else { continue };
            let (log, branch, seq) = (entry.place.log, entry.branch.unwrap_or_default(), entry.place.seq);
            stops.push(Stop { id: *id, log, branch, seq, devices: BTreeSet::from([*root]), unknown: false });
        }
        let mut roster = Self {
            incident,
            roots,
            recovery: Some(founding.founding().recovery),
            tree,
            chains: chains.clone(),
            held,
            fallen,
            revokes,
            endorsed,
            compartments: fold.compartments,
            erased: fold.erased,
            stops,
            barred,
            bars,
            waits: fold.waits,
            hint,
            newer,
            spent: fold.spent,
            share,
            ..Self::default()
        };
        let mut epochs = fold.epochs;
        for entry in entries.iter().filter(flooded) {
            roster.waits.insert(entry.place.id, Waits::Flooded);
            // Its key stays known, as that of any epoch whose author is cut.
            if let Control::Epoch(epoch) = &entry.control {
                let of = EpochOf { epoch: epoch.clone(), ground: entry.grant, device: entry.device, cut: true };
                epochs.entry(entry.place.id).or_insert(of);
            }
        }
        roster.take_epochs(epochs);
        roster
    }

    /// Any grant with write may begin an epoch of that compartment.
    fn take_epochs(&mut self, epochs: BTreeMap<EntryId, EpochOf>) {
        for (id, of) in epochs {
            let rights = self.rights_ever(&of.ground, of.device, of.epoch.compartment);
            if rights.is_ok_and(Rights::writes) {
                if of.cut {
                    self.epochs_cut.insert(id);
                }
                self.epochs.insert(id, of.epoch);
            } else {
                self.waits.entry(id).or_insert(Waits::NoRight);
            }
        }
        // An epoch replaces epochs of its own compartment only.
        for epoch in self.epochs.values() {
            let own = |id: &&EntryId| self.epochs.get(*id).is_some_and(|it| it.compartment == epoch.compartment);
            self.replaced.extend(epoch.replaces.iter().filter(own));
        }
    }

    /// How many grants and compartments `device` may still make by the grant that it stands on, as far as is
    /// known here.
    #[must_use]
    pub fn budget_left(&self, grant: &EntryId, device: DeviceId) -> (u32, u32) {
        let Some(held) = self.holder(grant, device) else { return (0, 0) };
        let (grants, compartments) = held.grant.as_ref().map_or(self.share, |g| (g.grants, g.compartments));
        let (used_grants, used_compartments) = self.spent.get(&(*grant, device)).copied().unwrap_or_default();
        (grants.saturating_sub(used_grants), compartments.saturating_sub(used_compartments))
    }

    /// The grant `id` if `device` holds it and it is in force; the incident id stands for a root's.
    #[must_use]
    pub fn holder(&self, id: &EntryId, device: DeviceId) -> Option<Held> {
        if *id == self.incident {
            let (rights, parent) = (RightsByScope::all(), self.incident);
            let held = Held { device, grant: None, rights, parent, depth: 0, ends: Vec::new(), with_root: false };
            return self.roots.is(device).then_some(held);
        }
        self.held.get(id).filter(|held| held.device == device && held.in_force()).cloned()
    }

    /// What `device` may do in a compartment by a grant in force.
    ///
    /// # Errors
    /// [`Waits`] says why what it wrote there now would wait for review.
    pub fn rights_of(&self, grant: &EntryId, device: DeviceId, compartment: CompartmentId) -> Result<Rights, Waits> {
        let rights = self.rights_ever(grant, device, compartment)?;
        let in_force = if *grant == self.incident {
            self.roots.is(device)
        } else {
            self.held.get(grant).is_some_and(Held::in_force)
        };
        if in_force { Ok(rights) } else { Err(Waits::Cut) }
    }

    /// What a grant gives or gave its holder in a compartment.
    pub(super) fn rights_ever(
        &self,
        grant: &EntryId,
        device: DeviceId,
        compartment: CompartmentId,
    ) -> Result<Rights, Waits> {
        let kind = self.kind_of(compartment).ok_or(Waits::CompartmentMissing)?;
        if *grant == self.incident {
            return match self.roots.was(device) {
                true if self.roots.is_recovery(device) => Ok(Rights::NONE),
                true => Ok(Rights::ALL),
                false => Err(Waits::GrantOfAnother),
            };
        }
        let Some(held) = self.held.get(grant) else {
            return Err(match self.tree.get(grant) {
                None => Waits::GrantMissing,
                Some(node) if node.device != device => Waits::GrantOfAnother,
                Some(_) => Waits::GrantFallen,
            });
        };
        if held.device != device {
            return Err(Waits::GrantOfAnother);
        }
        if self.made_beneath(compartment, grant) {
            return Ok(Rights::ALL);
        }
        Ok(held.rights.of(compartment, kind))
    }

    /// Whether a compartment was made by a grant or beneath it: such a grant holds every right there.
    fn made_beneath(&self, compartment: CompartmentId, grant: &EntryId) -> bool {
        let made = self.compartments.get(&compartment).map(|made| made.made_by);
        made.is_some_and(|made| made == *grant || self.tree.is_above(grant, &made))
    }

    /// Whether the holder of a grant administers a compartment: made it or stands above who did, or reads and
    /// writes all of it.
    #[must_use]
    pub fn administers(&self, grant: &EntryId, compartment: CompartmentId) -> bool {
        if *grant == self.incident || self.made_beneath(compartment, grant) {
            return true;
        }
        let (Some(held), Some(kind)) = (self.held.get(grant), self.kind_of(compartment)) else { return false };
        compartment == CONTROL || held.rights.of(compartment, kind).covers(Rights::READ.and(Rights::WRITE))
    }

    /// Compartments by id.
    #[must_use]
    pub const fn compartments(&self) -> &BTreeMap<CompartmentId, CompartmentOf> {
        &self.compartments
    }

    /// The kind of a compartment, if it is known.
    #[must_use]
    pub fn kind_of(&self, compartment: CompartmentId) -> Option<CompartmentKind> {
        if compartment == CONTROL {
            return Some(CompartmentKind::Control);
        }
        self.compartments.get(&compartment).map(|c| c.kind)
    }

    /// The compartments of a kind, in rising order of id: which one was made first is told by the facade.
    pub fn of_kind(&self, kind: CompartmentKind) -> impl Iterator<Item = CompartmentId> {
        self.compartments.iter().filter(move |(_, c)| c.kind == kind).map(|(id, _)| *id)
    }

    /// Grants that count, by id: those in force, and those that were ended, which count for what stays trusted
    /// of their holders ([`Held::in_force`] tells them apart).
    #[must_use]
    pub const fn grants(&self) -> &BTreeMap<EntryId, Held> {
        &self.held
    }

    /// Grants of a device that are in force, by id.
    pub fn grants_of(&self, device: DeviceId) -> impl Iterator<Item = (&EntryId, &Held)> {
        let grants = self.tree.of_device(&device).iter().filter_map(|id| self.held.get_key_value(id));
        grants.filter(|(_, held)| held.in_force())
    }

    /// Whether one grant stands above another; the incident id above all.
    #[must_use]
    pub fn is_above(&self, upper: &EntryId, grant: &EntryId) -> bool {
        self.tree.is_above(upper, grant)
    }

    /// How much a grant gives: its rights in all compartments that are known, counted.
    #[must_use]
    pub fn reach(&self, held: &Held) -> u32 {
        let of = |id: CompartmentId, kind| held.rights.of(id, kind).count();
        let control = of(CONTROL, CompartmentKind::Control);
        self.compartments().iter().map(|(id, made)| of(*id, made.kind)).fold(control, u32::saturating_add)
    }

    /// Whether a device is or was a root, or holds or held a grant that counts.
    #[must_use]
    pub fn knows(&self, device: DeviceId) -> bool {
        self.roots.was(device) || self.tree.of_device(&device).iter().any(|grant| self.held.contains_key(grant))
    }

    /// The revokes that end a grant, in rising order; none if it is in force or does not count.
    #[must_use]
    pub fn ended_by(&self, grant: &EntryId) -> BTreeSet<EntryId> {
        let ends = self.held.get(grant).map_or(&[][..], |held| &held.ends).iter();
        ends.filter_map(|index| self.revokes.get(*index)).map(|revoke| revoke.id).collect()
    }

    /// Why a grant that is here does not count.
    #[must_use]
    pub fn fallen(&self, grant: &EntryId) -> Option<Waits> {
        self.fallen.get(grant).copied()
    }

    /// Why a control entry has no effect; none if it has, or is not here. A revoke that is cut bars all the same.
    #[must_use]
    pub fn without_effect(&self, entry: &EntryId) -> Option<Waits> {
        self.waits.get(entry).copied()
    }

    /// All control entries without effect, by id.
    #[must_use]
    pub const fn all_without_effect(&self) -> &BTreeMap<EntryId, Waits> {
        &self.waits
    }

    /// All epochs by the id of their entry, those of cut authors too: what lies under them stays readable.
    #[must_use]
    pub const fn epochs(&self) -> &BTreeMap<EntryId, Epoch> {
        &self.epochs
    }

    /// Whether the author of an epoch was cut before it began: nobody writes under it any more.
    #[must_use]
    pub fn is_cut_epoch(&self, epoch: &EntryId) -> bool {
        self.epochs_cut.contains(epoch)
    }

    /// Epochs of a compartment that no other epoch replaces, in rising order of their entry's id.
    pub fn current_epochs(&self, compartment: CompartmentId) -> impl Iterator<Item = (&EntryId, &Epoch)> {
        self.epochs.iter().filter(move |(id, epoch)| epoch.compartment == compartment && !self.replaced.contains(*id))
    }

    /// Whether an epoch replaces another: it names it, and both are of one compartment.
    #[must_use]
    pub fn replaces(&self, epoch: &EntryId, other: &EntryId) -> bool {
        let (Some(one), Some(two)) = (self.epochs.get(epoch), self.epochs.get(other)) else { return false };
        one.compartment == two.compartment && one.replaces.contains(other)
    }

    /// The compartment that a key belongs to.
    #[must_use]
    pub fn compartment_of_key(&self, key: &KeyId) -> Option<CompartmentId> {
        self.epochs.values().find(|epoch| epoch.key == *key).map(|epoch| epoch.compartment)
    }

    /// Whether somebody who administers its compartment erased an entry.
    #[must_use]
    pub fn is_erased(&self, log: &LogId, entry: &EntryId, compartment: CompartmentId) -> bool {
        let by = self.erased.get(log).and_then(|entries| entries.get(entry));
        compartment != CONTROL && by.is_some_and(|(_, by)| by.iter().any(|grant| self.administers(grant, compartment)))
    }

    /// Id of the control entry with the greatest (hlc, id): what new entries name as their hint.
    #[must_use]
    pub const fn hint(&self) -> EntryId {
        self.hint
    }

    /// How many control entries were written by a newer version.
    #[must_use]
    pub const fn newer(&self) -> usize {
        self.newer
    }

    /// Roots that were not ended, with their organisations, the recovery root aside.
    pub fn roots(&self) -> impl Iterator<Item = (&DeviceId, &DevicePublic, &str)> {
        let working = self.roots.ever().filter(|(device, _)| !self.roots.is_ended(**device));
        working.map(|(device, (public, organisation))| (device, public, organisation.as_str()))
    }

    /// Whether a device is a root that was not ended; the recovery root is one.
    #[must_use]
    pub fn is_root(&self, device: DeviceId) -> bool {
        self.roots.is(device)
    }

    /// Whether a device was a root and was ended.
    #[must_use]
    pub fn is_ended_root(&self, device: DeviceId) -> bool {
        self.roots.is_ended(device)
    }

    /// Whether cuts or endorsements name entries of a log, so that a new fork of it may change what counts.
    #[must_use]
    pub fn names(&self, log: &LogId) -> bool {
        self.revokes.name(log) || self.endorsed.logs().contains_key(log) || self.roots.name(log)
    }

    /// The entries of a log that somebody endorsed, by themselves or as the last of those that count.
    #[must_use]
    pub fn endorsed_in(&self, log: &LogId) -> BTreeSet<PlaceOf> {
        let logs = self.endorsed.logs().get(log).into_iter().flatten().map(|(place, _)| place);
        let entries = self.endorsed.entries().keys().filter(|place| place.log == *log);
        logs.chain(entries).copied().collect()
    }

    pub(super) fn reach_of<'i>(&self, ids: impl IntoIterator<Item = &'i EntryId>) -> Reach {
        let mut reach = Reach::default();
        let ids: BTreeSet<&EntryId> = ids.into_iter().collect();
        for stop in self.stops.iter().filter(|stop| ids.contains(&stop.id)) {
            reach.add(&self.chains, stop.log, stop.branch, stop.seq);
        }
        reach
    }
}

//! Whom keys and service are for: readers, carriers, bars, and what a new epoch honours.

use super::chains::Reach;
use super::control::Epoch;
use super::endorsed::Endorser;
use super::fold::{Fold, endorses};
use super::held::{Held, Stop};
use super::rights::Rights;
use super::roster::{Reader, Roster};
use super::stops::{BarOf, reach};
use crate::id::{CompartmentId, DeviceId, EntryId, LogId};
use std::collections::{BTreeMap, BTreeSet};

impl Fold<'_> {
    /// The bars in force by device. A bar has none on a root or on a device that holds a grant above its
    /// author's; an administrator at or above that grant lifts it, or a new grant of the device that names it.
    pub(super) fn barred(&self) -> BTreeMap<DeviceId, Vec<(EntryId, EntryId)>> {
        let mut of_device: BTreeMap<DeviceId, Vec<&BarOf>> = BTreeMap::new();
        for bar in self.bars.iter().filter(|bar| !self.lifted(bar)) {
            for device in &bar.devices {
                of_device.entry(*device).or_default().push(bar);
            }
        }
        let mut barred = BTreeMap::new();
        for (device, bars) in of_device {
            if self.roots.is(device) {
                continue;
            }
            let known = self.known_to_grants_of(device);
            let held = |grant: &&EntryId| self.held.get(*grant).is_some_and(Held::in_force);
            let grants: Vec<&EntryId> = self.tree.of_device(&device).iter().filter(held).collect();
            let in_force = bars.into_iter().filter(|bar| {
                !known.covers(&bar.log, bar.branch, bar.seq)
                    && !grants.iter().any(|grant| self.tree.is_above(grant, &bar.ground))
            });
            let mut in_force: Vec<(EntryId, EntryId)> = in_force.map(|bar| (bar.id, bar.ground)).collect();
            in_force.sort_unstable();
            if !in_force.is_empty() {
                barred.insert(device, in_force);
            }
        }
        barred
    }

    /// Up to where the grants of a device that count, and endorsements of these, knew the logs of revokes and
    /// bars. A grant beneath another of its own device lifts nothing.
    fn known_to_grants_of(&self, device: DeviceId) -> Reach {
        let mut known = Reach::default();
        for grant in self.tree.of_device(&device) {
            let Some(held) = self.held.get(grant) else { continue };
            if !self.tree.beneath_own(grant) {
                let lifts = held.grant.as_ref().map_or(&[][..], |grant| &grant.lifts);
                known.join(reach(self.set, self.chains, lifts));
            }
            let may = |by: &Endorser| self.tree.is_above(&by.ground, grant);
            known.join(self.endorsed.lifted_for(self.set, self.chains, grant, may));
        }
        known
    }

    /// Whether an administrator at or above a bar's grant lifted it for all its devices.
    fn lifted(&self, bar: &BarOf) -> bool {
        let at_or_above = |by: &Endorser| by.ground == bar.ground || self.tree.is_above(&by.ground, &bar.ground);
        let named = self.endorsed.lifts.get(&bar.id).is_some_and(|by| by.iter().any(at_or_above));
        // All bars of the roots are never lifted together: that would let every later one lapse too.
        let all = self.endorsed.lifts_all_of.get(&bar.ground);
        named || all.is_some_and(|by| by.iter().any(|by| self.tree.is_above(&by.ground, &bar.ground)))
    }
}

impl Roster {
    /// The bar that stops keys and service of a compartment for a device: of several the smallest id.
    #[must_use]
    pub fn bar_in(&self, device: DeviceId, compartment: CompartmentId) -> Option<EntryId> {
        let bars = self.barred.get(&device)?;
        bars.iter().find(|(_, ground)| self.administers(ground, compartment)).map(|(bar, _)| *bar)
    }

    /// The bar that stops all keys and service for a device: bars in force cover every compartment that a
    /// grant of it gives or gave something in. A device that only some compartments are barred for is not
    /// barred as a whole; ask [`Roster::bar_in`].
    #[must_use]
    pub fn is_barred(&self, device: DeviceId) -> Option<EntryId> {
        self.covers_all(device, self.barred.get(&device)?)
    }

    /// The first of these bars, if they cover every compartment that a grant of the device gives or gave something in.
    fn covers_all(&self, device: DeviceId, bars: &[(EntryId, EntryId)]) -> Option<EntryId> {
        let grants = self.tree.of_device(&device);
        let given = |compartment: &&CompartmentId| {
            let rights = grants.iter().map(|grant| self.rights_ever(grant, device, **compartment));
            rights.flatten().any(|rights| rights != Rights::NONE)
        };
        let mut given = self.compartments.keys().filter(given);
        let barred = |compartment| bars.iter().any(|(_, ground)| self.administers(ground, compartment));
        if given.all(|compartment| barred(*compartment)) { bars.first().map(|(bar, _)| *bar) } else { None }
    }

    /// As [`Roster::is_barred`], without the bars that revokes contain: who was revoked may still hand over what it
    /// wrote; who was barred by itself is not served at all.
    #[must_use]
    pub fn is_turned_away(&self, device: DeviceId) -> Option<EntryId> {
        let bars = self.barred.get(&device)?.iter().filter(|(bar, _)| self.bars.contains(bar));
        self.covers_all(device, &bars.copied().collect::<Vec<_>>())
    }

    /// The bars in force against a device, in rising order of id, and the grants that they stand on.
    #[must_use]
    pub fn bars_of(&self, device: DeviceId) -> &[(EntryId, EntryId)] {
        self.barred.get(&device).map_or(&[], Vec::as_slice)
    }

    /// The revokes that an endorsement of a grant must name to bring it back: all that was said against its
    /// device, and against the holder of each grant above it.
    #[must_use]
    pub fn against(&self, grant: &EntryId) -> BTreeSet<EntryId> {
        let grants = std::iter::once(*grant).chain(self.tree.above(grant));
        let devices = grants.filter_map(|grant| self.tree.get(&grant)).map(|node| node.device);
        let mut devices: BTreeSet<DeviceId> = devices.collect();
        devices.extend(self.tree.get(grant).map(|node| node.root));
        let stops = self.stops.iter().filter(|stop| !stop.devices.is_disjoint(&devices));
        newest(stops, |log| self.chains.is_forked(log))
    }

    /// Whether a holder of a grant stands above another grant and its holder, as one who endorses must.
    #[must_use]
    pub fn stands_above(&self, (by, who): (&EntryId, DeviceId), of: (&EntryId, DeviceId)) -> bool {
        endorses(&self.tree, &self.roots, &Endorser { ground: *by, device: who }, of)
    }

    /// The revokes and bars that a new grant of a device must name to count and to lift them: the newest of
    /// each log, in rising order; none if nothing was said against it.
    #[must_use]
    pub fn to_name(&self, device: DeviceId) -> BTreeSet<EntryId> {
        newest(self.stops.iter().filter(|stop| stop.devices.contains(&device)), |log| self.chains.is_forked(log))
    }

    /// Devices that may have a compartment's keys now, in rising order of device id: roots and the recovery
    /// root, and who reads or writes there by a grant in force and is not barred there.
    #[must_use]
    pub fn readers(&self, compartment: CompartmentId) -> Vec<Reader> {
        let roots = self.roots().map(|(device, public, _)| (*device, *public));
        let recovery = self.recovery.map(|public| (public.device_id(), public));
        let roots = roots.chain(recovery).map(|(device, public)| (device, Reader { device: public, history: true }));
        let mut readers: BTreeMap<DeviceId, Reader> = roots.collect();
        for (id, held) in self.held.iter().filter(|(_, held)| held.in_force()) {
            let Some(grant) = &held.grant else { continue };
            if self.gives_keys(id, held.device, compartment) && self.bar_in(held.device, compartment).is_none() {
                let new = Reader { device: grant.device, history: false };
                readers.entry(held.device).or_insert(new).history |= grant.history;
            }
        }
        readers.into_values().collect()
    }

    /// A device as one that may have a compartment's keys now; none if it may not.
    #[must_use]
    pub fn reader(&self, device: DeviceId, compartment: CompartmentId) -> Option<Reader> {
        if self.roots.is(device) {
            let recovery = self.recovery.filter(|public| public.device_id() == device);
            let public =
                recovery.or_else(|| self.roots().find(|(root, ..)| **root == device).map(|(_, public, _)| *public));
            return public.map(|device| Reader { device, history: true });
        }
        let grants = self.grants_of(device).filter(|(id, _)| self.gives_keys(id, device, compartment));
        let mut grants = grants.filter_map(|(_, held)| held.grant.as_ref()).peekable();
        let public = grants.peek()?.device;
        let history = grants.any(|grant| grant.history);
        self.bar_in(device, compartment).is_none().then_some(Reader { device: public, history })
    }

    /// Whether a grant gives or gave the keys of a compartment: who reads there, and who writes there.
    #[must_use]
    pub fn gives_keys(&self, grant: &EntryId, device: DeviceId, compartment: CompartmentId) -> bool {
        let rights = self.rights_ever(grant, device, compartment);
        rights.is_ok_and(|rights| rights.covers(Rights::READ) || rights.writes())
    }

    /// Whether a device may be given the ciphertext of a compartment: it is a root, or a grant in force gives
    /// it some right there, and it is not barred there.
    #[must_use]
    pub fn carries(&self, device: DeviceId, compartment: CompartmentId) -> bool {
        if self.roots.is(device) {
            return true;
        }
        let rights = |(id, _)| self.rights_ever(id, device, compartment);
        let given = |rights: Rights| rights.covers(Rights::CARRY) || rights.writes();
        self.bar_in(device, compartment).is_none()
            && self.grants_of(device).map(rights).any(|rights| rights.is_ok_and(given))
    }

    /// What a new epoch of a compartment must honour: of each log the newest revoke, bar or ending of a root
    /// that concerns devices which hold or held its keys, or of which nothing is here yet, whatever became of it since. Who names it knows all
    /// that its log said before. In rising order.
    #[must_use]
    pub fn honours_needed(&self, compartment: CompartmentId) -> BTreeSet<EntryId> {
        let holders = self.holders(compartment);
        newest(self.stops.iter().filter(|stop| stop.concerns(&holders)), |log| self.chains.is_forked(log))
    }

    /// What an epoch does not honour of what [`Roster::honours_needed`] asks: nobody writes under it unless
    /// this is empty.
    #[must_use]
    pub fn unhonoured(&self, epoch: &Epoch) -> BTreeSet<EntryId> {
        let known = self.reach_of(&epoch.honours);
        let mut open = self.stops.iter().filter(|stop| !known.covers(&stop.log, stop.branch, stop.seq)).peekable();
        if open.peek().is_none() {
            return BTreeSet::new();
        }
        let holders = self.holders(epoch.compartment);
        open.filter(|stop| stop.concerns(&holders)).map(|stop| stop.id).collect()
    }

    /// Whether the author of an epoch knew what stops its keys for a device that is given them by a grant: what
    /// ends the grant, or a bar in force there. Of a grant that does not count: anything said against the device
    /// that `lifts` does not name. Of an ended root: all approvals that ended it.
    #[must_use]
    pub fn shuts_out(&self, epoch: &Epoch, device: DeviceId, grant: &EntryId, lifts: &[EntryId]) -> bool {
        let (known, lifted) = (self.reach_of(&epoch.honours), self.reach_of(lifts));
        let covers = |stop: &Stop| known.covers(&stop.log, stop.branch, stop.seq);
        let named = |id: EntryId| self.stops.iter().any(|stop| stop.id == id && covers(stop));
        let bars = self.bars_of(device).iter();
        if bars.filter(|(_, by)| self.administers(by, epoch.compartment)).any(|(bar, _)| named(*bar)) {
            return true;
        }
        let held = self.held.get(grant);
        if *grant == self.incident || held.is_some_and(|held| held.with_root) {
            let mut ending = self.roots.ending().iter().filter(|(_, root)| *root == device).peekable();
            return ending.peek().is_some() && ending.all(|(id, _)| named(*id));
        }
        if held.is_some() {
            return self.ended_by(grant).into_iter().any(named);
        }
        let against = self.stops.iter().filter(|stop| stop.devices.contains(&device));
        against.into_iter().any(|stop| covers(stop) && !lifted.covers(&stop.log, stop.branch, stop.seq))
    }

    /// Devices that hold or held, or could hold, the keys of a compartment by some grant that is here.
    fn holders(&self, compartment: CompartmentId) -> BTreeSet<DeviceId> {
        let gave = |device: &&DeviceId| {
            let mut grants = self.tree.of_device(device).iter();
            grants.any(|grant| self.gives_keys(grant, **device, compartment))
        };
        let roots = self.roots.ever().map(|(device, _)| *device);
        self.tree.devices().filter(gave).copied().chain(roots).collect()
    }

    /// Whether what `by` endorses counts for an entry of a compartment that stands on a grant.
    pub(super) fn endorses(
        &self,
        by: &Endorser,
        (grant, device): (&EntryId, DeviceId),
        compartment: CompartmentId,
    ) -> bool {
        endorses(&self.tree, &self.roots, by, (grant, device)) && self.administers(&by.ground, compartment)
    }
}

impl Stop {
    /// Whether it concerns one of these devices, or may.
    fn concerns(&self, devices: &BTreeSet<DeviceId>) -> bool {
        self.unknown || !self.devices.is_disjoint(devices)
    }
}

/// The newest of each log; of a forked log all, since one branch says nothing of another.
fn newest<'s>(stops: impl Iterator<Item = &'s Stop>, forked: impl Fn(&LogId) -> bool) -> BTreeSet<EntryId> {
    let mut of_log: BTreeMap<LogId, Vec<&Stop>> = BTreeMap::new();
    for stop in stops {
        let here = of_log.entry(stop.log).or_default();
        if forked(&stop.log) || here.is_empty() {
            here.push(stop);
        } else if here.iter().all(|other| other.seq < stop.seq) {
            *here = vec![stop];
        }
    }
    of_log.into_values().flatten().map(|stop| stop.id).collect()
}

//! The reference: the rules of the roster as the design page says them, one function a sentence, with no regard to
//! cost. Knows the whole ancestry of every entry.

use crate::control_story::{Story, Told, grant};
use daybook_core::id::{CONTROL, DeviceId, EntryId, LogId};
use daybook_core::limits::{GRANT_DEPTH_MAX, GRANTS_PER_INCIDENT};
use daybook_core::roster::{Approve, CompartmentKind, Control, Endorse, PlaceOf, Revoke, Rights};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

pub struct Model<'s> {
    by_id: BTreeMap<EntryId, &'s Told>,
    incident: EntryId,
    story: &'s Story,
    effective: RefCell<BTreeMap<EntryId, bool>>,
}

impl<'s> Model<'s> {
    pub fn new(story: &'s Story, here: impl IntoIterator<Item = &'s Told>) -> Self {
        let by_id = here.into_iter().map(|told| (told.place.id, told)).collect();
        let incident = EntryId::new(*story.incident.as_bytes());
        Self { by_id, incident, story, effective: RefCell::default() }
    }

    fn control(&self) -> impl Iterator<Item = (&'s Told, &'s Control)> {
        self.by_id.values().filter_map(|told| Some((*told, told.control.as_ref()?)))
    }

    // Roots.

    fn approvers(&self, says: impl Fn(&Told, &Approve) -> bool) -> bool {
        let who: BTreeSet<DeviceId> = self
            .control()
            .filter(|(told, control)| matches!(control, Control::Approve(a) if says(told, a)))
            .filter(|(told, _)| told.ground == self.incident && self.was_root(told.device))
            .map(|(told, _)| told.device)
            .collect();
        who.contains(&self.story.recovery) || (self.story.quorum > 0 && who.len() >= self.story.quorum)
    }

    /// In this story who is added by approvals approves nothing, so that founders suffice here.
    fn was_root(&self, device: DeviceId) -> bool {
        let founding = self.story.founding.founding();
        founding.roots.iter().any(|root| root.device.device_id() == device)
    }

    fn is_root_ever(&self, device: DeviceId) -> bool {
        self.was_root(device)
            || self.approvers(|_, a| matches!(a, Approve::Add { device: d, .. } if d.device_id() == device))
    }

    fn is_ended(&self, root: DeviceId) -> bool {
        self.approvers(|_, a| matches!(a, Approve::End { root: r } if *r == root))
    }

    fn cut_of_root(&self, told: &Told, but: &[EntryId]) -> bool {
        self.is_ended(told.device)
            && self.approvers(|by, a| match a {
                Approve::Cut { root, cuts } => {
                    *root == told.device && !self.trusts(cuts, told) && !self.knows(but, by.place.id)
                }
                Approve::End { .. } | Approve::Add { .. } => false,
            })
    }

    // The tree.

    fn parents(&self, grant: EntryId) -> Option<Vec<EntryId>> {
        let (mut path, mut at) = (Vec::new(), grant);
        loop {
            let told = self.by_id.get(&at).filter(|told| self::grant(told).is_some())?;
            if told.ground == self.incident {
                path.push(self.incident);
                return (self.is_root_ever(told.device) && path.len() <= GRANT_DEPTH_MAX).then_some(path);
            }
            let above = self.by_id.get(&told.ground)?;
            if self::grant(above)?.device.device_id() != told.device {
                return None;
            }
            path.push(told.ground);
            at = told.ground;
        }
    }

    fn above(&self, upper: EntryId, grant: EntryId) -> bool {
        (upper == self.incident && grant != self.incident)
            || self.parents(grant).is_some_and(|path| path.contains(&upper))
    }

    fn device(&self, grant: EntryId) -> Option<DeviceId> {
        self::grant(self.by_id.get(&grant)?).map(|grant| grant.device.device_id())
    }

    fn top(&self, grant: EntryId) -> Option<DeviceId> {
        let path = self.parents(grant)?;
        let top = if path.len() == 1 { grant } else { path[path.len() - 2] };
        self.by_id.get(&top).map(|told| told.device)
    }

    // Cuts.

    fn trusts(&self, places: &[PlaceOf], told: &Told) -> bool {
        places.iter().filter(|place| place.log == told.place.log).any(|place| match self.by_id.get(&place.id) {
            Some(named) => named.place == told.place || named.before.contains(&told.place.id),
            None => told.place.seq < place.seq && told.place.seq <= self.first_fork(place.log),
        })
    }

    fn first_fork(&self, log: LogId) -> u64 {
        let mut places: BTreeMap<u64, BTreeSet<EntryId>> = BTreeMap::new();
        for told in self.by_id.values().filter(|told| told.place.log == log) {
            places.entry(told.place.seq).or_default().insert(told.place.id);
        }
        places.iter().find(|(_, ids)| ids.len() > 1).map_or(u64::MAX, |(seq, _)| seq - 1)
    }

    /// Whether somebody who names these revokes and bars knew an entry.
    fn knows(&self, named: &[EntryId], entry: EntryId) -> bool {
        named.iter().filter_map(|id| self.by_id.get(id)).any(|told| {
            matches!(told.control, Some(Control::Revoke(_) | Control::Bar { .. } | Control::Approve(_)))
                && (told.place.id == entry || told.before.contains(&entry))
        })
    }

    /// Revokes that are whole: where each stands and what it says. One in parts stands where its last part does,
    /// and has effect if the other one has.
    fn revokes(&self) -> Vec<(&'s Told, Revoke, Option<&'s Told>)> {
        let mut found = Vec::new();
        for (told, control) in self.control() {
            let Control::Revoke(revoke) = control else { continue };
            let Some(part) = revoke.part else {
                found.push((told, revoke.clone(), None));
                continue;
            };
            // The story writes the parts of one revoke in two entries; the later one makes it whole. What another says
            // in the same words is a revoke of his own.
            let same = |other: &&Told| (other.ground, other.device) == (told.ground, told.device);
            let by_same = self.control().filter(|(other, _)| same(other));
            let others = by_same.filter_map(|(other, control)| match control {
                Control::Revoke(r) if r.part.is_some_and(|p| p.number != part.number && p.hash == part.hash) => {
                    Some((other, r))
                }
                _ => None,
            });
            let before = others.filter(|(other, _)| self.order(other) < self.order(told));
            if let Some((other, r)) = before.max_by_key(|(other, _)| self.order(other)) {
                found.push((told, Revoke::joined([r, revoke].into_iter()), Some(other)));
            }
        }
        found
    }

    fn has_effect(&self, told: &Told, other: Option<&Told>) -> bool {
        self.is_effective(told) && other.is_none_or(|other| self.is_effective(other))
    }

    fn ending(&self, grant: EntryId, but: &[EntryId]) -> Vec<(&'s Told, Revoke)> {
        let ends = |(told, revoke, other): &(&'s Told, Revoke, Option<&'s Told>)| {
            revoke.grants.contains(&grant)
                && self.above(told.ground, grant)
                && !self.knows(but, told.place.id)
                && self.has_effect(told, *other)
        };
        self.revokes().into_iter().filter(ends).map(|(told, revoke, _)| (told, revoke)).collect()
    }

    fn endorsements(&self) -> impl Iterator<Item = (&'s Told, &'s Endorse)> {
        self.control().filter_map(|(told, control)| match control {
            Control::Endorse(endorse) => Some((told, endorse)),
            _ => None,
        })
    }

    fn endorsed(&self, told: &Told) -> bool {
        self.endorsements().any(|(by, endorse)| {
            let names = endorse.entries.contains(&told.place) || self.trusts(&endorse.logs, told);
            let peers = told.ground == self.incident
                && by.ground == self.incident
                && by.device != told.device
                && !self.is_ended(by.device);
            names && (self.above(by.ground, told.ground) || peers) && self.is_effective(by)
        })
    }

    /// What is said in favour of a grant: revokes that it names itself, and that endorsements of it name.
    fn known_for(&self, grant: EntryId, but: Option<DeviceId>) -> Vec<EntryId> {
        let mut named = Vec::new();
        for (by, endorse) in self.endorsements() {
            if endorse.grants.contains(&grant)
                && self.above(by.ground, grant)
                && Some(by.device) != but
                && self.is_effective(by)
            {
                named.extend(&endorse.lifts);
            }
        }
        named
    }

    fn lifts_of(&self, grant: EntryId) -> Vec<EntryId> {
        let Some(device) = self.device(grant) else { return Vec::new() };
        let path = self.parents(grant).unwrap_or_default();
        if path.iter().any(|above| self.device(*above) == Some(device)) {
            return Vec::new();
        }
        self.by_id.get(&grant).and_then(|told| self::grant(told)).map(|g| g.lifts.clone()).unwrap_or_default()
    }

    /// Whether an entry lies past what stays trusted of its author.
    pub fn is_cut(&self, told: &Told) -> bool {
        let cut = |but: &[EntryId]| {
            if told.ground == self.incident {
                return self.cut_of_root(told, but);
            }
            let mut known = self.lifts_of(told.ground);
            known.extend(self.known_for(told.ground, None));
            let with_root = self.device(told.ground) == self.top(told.ground)
                && self.top(told.ground).is_some_and(|root| self.is_ended(root));
            with_root
                || self
                    .ending(told.ground, &known)
                    .iter()
                    .any(|(r, revoke)| !self.trusts(&revoke.cuts, told) && !self.knows(but, r.place.id))
        };
        if !cut(&[]) || self.endorsed(told) {
            return false;
        }
        if self::grant(told).is_some() && !cut(&self.known_for(told.place.id, Some(told.device))) {
            let with_root = told.ground != self.incident
                && self.device(told.ground) == self.top(told.ground)
                && self.top(told.ground).is_some_and(|root| self.is_ended(root));
            return with_root;
        }
        true
    }

    // Effect.

    pub fn counts(&self, grant: EntryId) -> bool {
        let (Some(told), Some(path)) = (self.by_id.get(&grant), self.parents(grant)) else { return false };
        let Some(device) = self.device(grant) else { return false };
        if !self.is_effective(told) {
            return false;
        }
        let mut known = self.lifts_of(grant);
        known.extend(self.known_for(grant, None));
        let ends = self.ending(grant, &known);
        self.revokes().iter().all(|(r, revoke, other)| {
            let over =
                if r.ground == self.incident { self.top(grant) == Some(r.device) } else { path.contains(&r.ground) };
            let ended_of_device =
                |g: &EntryId| self.device(*g) == Some(device) && self.parents(*g).is_some() && self.above(r.ground, *g);
            !over
                || !revoke.grants.iter().any(ended_of_device)
                || revoke.grants.contains(&grant)
                || revoke.spares.contains(&grant)
                || self.knows(&known, r.place.id)
                || ends.iter().any(|(end, _)| r.before.contains(&end.place.id))
                || !self.has_effect(r, *other)
        })
    }

    /// What the reference thinks of a grant, to be read when a book thinks otherwise.
    pub fn why(&self, grant: EntryId) -> String {
        let told = self.by_id[&grant];
        let mut known = self.lifts_of(grant);
        known.extend(self.known_for(grant, None));
        let ends: Vec<EntryId> = self.ending(grant, &known).iter().map(|(r, _)| r.place.id).collect();
        let (effective, counts, root) = (self.is_effective(told), self.counts(grant), self.top(grant));
        format!("effective {effective}, counts {counts}, root {root:?}, ended by {ends:?}, known {known:?}")
    }

    pub fn in_force(&self, grant: EntryId) -> bool {
        let mut known = self.lifts_of(grant);
        known.extend(self.known_for(grant, None));
        let own = self.device(grant) == self.top(grant) && self.top(grant).is_some_and(|root| self.is_ended(root));
        self.counts(grant) && self.ending(grant, &known).is_empty() && !own
    }

    fn rights(&self, ground: EntryId) -> Rights {
        if ground == self.incident {
            return Rights::ALL;
        }
        let grant = self.by_id.get(&ground).and_then(|told| self::grant(told));
        grant.map_or(Rights::NONE, |grant| grant.rights.of(CONTROL, CompartmentKind::Control))
    }

    fn is_holder(&self, told: &Told) -> bool {
        if told.ground == self.incident {
            return self.is_root_ever(told.device);
        }
        self.device(told.ground) == Some(told.device) && self.parents(told.ground).is_some() && self.counts(told.ground)
    }

    fn order(&self, told: &Told) -> (usize, LogId, u64, EntryId) {
        let (mut rank, mut log) = (0, told.place.log);
        while let Some(before) = self.previous(log).filter(|_| rank < 64) {
            (rank, log) = (rank + 1, before);
        }
        (rank, told.place.log, told.place.seq, told.place.id)
    }

    fn previous(&self, log: LogId) -> Option<LogId> {
        self.control().filter(|(told, _)| told.place.log == log && told.place.seq == 1).find_map(|(told, control)| {
            let Control::Incarnation { previous } = control else { return None };
            let named = previous.iter().filter_map(|place| self.by_id.get(&place.id));
            named
                .filter(|n| n.control.is_some() && n.device == told.device && n.place.log != log)
                .map(|n| n.place.log)
                .next()
        })
    }

    /// What an entry takes from the budget of the grant that it stands on.
    fn cost(&self, told: &Told) -> u32 {
        match &told.control {
            Some(Control::Grant(grant)) if self.permitted(told) => grant.grants + 1,
            Some(Control::Bar { devices }) if self.permitted(told) => u32::try_from(devices.len()).unwrap(),
            _ => 0,
        }
    }

    /// Everything but the budget.
    fn permitted(&self, told: &Told) -> bool {
        let Some(control) = &told.control else { return false };
        let cut = || self.is_cut(told);
        let may = |right| self.rights(told.ground).covers(right);
        self.is_holder(told)
            && match control {
                Control::Grant(grant) => {
                    let held = self.by_id.get(&told.ground).and_then(|told| self::grant(told));
                    may(Rights::GRANT)
                        && held.is_none_or(|held| held.rights.covers(&grant.rights, |_| None))
                        && self.parents(told.place.id).is_some()
                        && !cut()
                }
                Control::Revoke(_) => may(Rights::REVOKE) && !cut(),
                Control::Bar { .. } => may(Rights::BAR) && (told.ground != self.incident || !cut()),
                Control::Endorse(_) => may(Rights::ENDORSE) && !cut(),
                Control::Compartment { .. } => may(Rights::COMPARTMENT) && !cut(),
                Control::Approve(_) => told.ground == self.incident,
                Control::Incarnation { .. } => !cut(),
                Control::Epoch(_) | Control::Erase { .. } | Control::Newer => unreachable!("not in this story"),
            }
    }

    pub fn is_effective(&self, told: &Told) -> bool {
        if let Some(known) = self.effective.borrow().get(&told.place.id) {
            return *known;
        }
        let effective = self.permitted(told) && self.cost(told) <= self.left(told);
        self.effective.borrow_mut().insert(told.place.id, effective);
        effective
    }

    /// What is left of the budget when an entry comes.
    fn left(&self, told: &Told) -> u32 {
        let cost = |told: &Told| self.cost(told);
        if cost(told) == 0 {
            return 0;
        }
        let roots = u32::try_from(self.story.founding.founding().roots.len()).unwrap();
        let given = self.by_id.get(&told.ground).and_then(|told| self::grant(told));
        let all = given.map_or(GRANTS_PER_INCIDENT / roots, |grant| grant.grants);
        let order = self.order(told);
        let same = |other: &&&Told| (other.ground, other.device) == (told.ground, told.device);
        let mut earlier: Vec<&&Told> = self.by_id.values().filter(same).filter(|o| self.order(o) < order).collect();
        earlier.sort_by_key(|other| self.order(other));
        earlier.into_iter().fold(all, |left, other| left.checked_sub(cost(other)).unwrap_or(left))
    }

    // What follows.

    /// Whether an entry of the clinical compartment waits for review.
    pub fn waits(&self, told: &Told) -> bool {
        let right = if told.ground == self.incident {
            self.is_root_ever(told.device)
        } else {
            self.is_holder(told)
                && self::grant(self.by_id[&told.ground])
                    .is_some_and(|g| g.rights.of(CONTROL, CompartmentKind::Clinical).writes())
        };
        let known = self.by_id.get(&self.story.clinical).is_some_and(|made| self.is_effective(made));
        !known || !((right && !self.is_cut(told)) || self.endorsed(told))
    }

    /// Devices that some bar in force names.
    pub fn barred(&self) -> BTreeSet<DeviceId> {
        let mut barred = BTreeSet::new();
        for (told, control) in self.control() {
            let (devices, stands) = match control {
                Control::Bar { devices } => (devices.clone(), self.is_effective(told)),
                Control::Revoke(revoke) => {
                    let stands = self.is_holder(told)
                        && self.rights(told.ground).covers(Rights::REVOKE)
                        && (told.ground != self.incident || !self.is_cut(told));
                    let beneath = |d: &&DeviceId| {
                        self.by_id.keys().any(|g| {
                            self.device(*g) == Some(**d) && self.parents(*g).is_some() && self.above(told.ground, *g)
                        })
                    };
                    (revoke.devices.iter().filter(beneath).copied().collect(), stands)
                }
                _ => continue,
            };
            if stands && !self.is_lifted(told) {
                barred.extend(devices.into_iter().filter(|device| self.bars(told, *device)));
            }
        }
        barred
    }

    fn is_lifted(&self, bar: &Told) -> bool {
        self.endorsements().any(|(by, endorse)| {
            let above = self.above(by.ground, bar.ground);
            let one = endorse.grants.is_empty()
                && endorse.lifts.contains(&bar.place.id)
                && (above || by.ground == bar.ground);
            (one || (above && endorse.lifts_all_of.contains(&bar.ground))) && self.is_effective(by)
        })
    }

    fn bars(&self, bar: &Told, device: DeviceId) -> bool {
        let root = device == self.story.recovery || (self.is_root_ever(device) && !self.is_ended(device));
        let of_device = |g: &&EntryId| self.device(**g) == Some(device);
        !root
            && !self.by_id.keys().filter(of_device).any(|g| {
                let mut known = self.lifts_of(*g);
                known.extend(self.known_for(*g, None));
                self.counts(*g) && self.knows(&known, bar.place.id)
            })
            && !self.by_id.keys().filter(of_device).any(|g| self.in_force(*g) && self.above(*g, bar.ground))
    }
}

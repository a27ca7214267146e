//! The fold: from the control set to who may do what. A pure function; arrival order and clocks play no part.

use super::control::{Control, Epoch, Grant, PlaceOf};
use super::founding::SignedFounding;
use super::kind::CompartmentKind;
use super::rights::{Rights, RightsByScope};
use crate::clock::Hlc;
use crate::id::{CONTROL, CompartmentId, DeviceId, EntryId, KeyId};
use crate::limits::{COMPARTMENTS_PER_INCIDENT, GRANT_DEPTH_MAX, GRANTS_PER_INCIDENT};
use std::collections::{BTreeMap, BTreeSet};

/// One control entry as the fold takes it: verified, its body read.
#[derive(Clone, Debug)]
pub struct ControlEntry {
    /// Where it stands.
    pub place: PlaceOf,
    /// Its author.
    pub device: DeviceId,
    /// The grant that it stands on; a root's stand on the incident id.
    pub grant: EntryId,
    /// The author's clock.
    pub hlc: Hlc,
    /// What it says.
    pub control: Control,
}

/// Why an entry waits for review.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum Waits {
    /// the grant that it stands on is not here.
    #[error("Q-001 the author's grant is not here yet")]
    GrantMissing,
    /// the grant belongs to another device.
    #[error("Q-002 the grant belongs to another device")]
    GrantOfAnother,
    /// the grant does not give the right to write there.
    #[error("Q-003 the author has no right to write here")]
    NoRight,
    /// the compartment is not known here.
    #[error("Q-004 the compartment is not known here")]
    CompartmentMissing,
    /// an operation that the grant does not give.
    #[error("Q-005 the author has no right to one of the operations")]
    NoRightToOperation,
}

impl Waits {
    /// The rule code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::GrantMissing => "Q-001",
            Self::GrantOfAnother => "Q-002",
            Self::NoRight => "Q-003",
            Self::CompartmentMissing => "Q-004",
            Self::NoRightToOperation => "Q-005",
        }
    }
}

/// A grant that holds.
#[derive(Clone, Debug)]
pub struct Held {
    /// The device that holds it.
    pub device: DeviceId,
    /// The grant as it was written; none for a root's founding.
    pub grant: Option<Box<Grant>>,
    /// Its rights.
    pub rights: RightsByScope,
    /// The grant that it stands on; the incident id for a root's own.
    pub parent: EntryId,
    /// Steps from the founding statement; 0 for a root.
    pub depth: usize,
}

/// A compartment as the roster knows it.
#[derive(Clone, Debug)]
pub struct CompartmentOf {
    /// What it is for.
    pub kind: CompartmentKind,
    /// The grant that made it.
    pub made_by: EntryId,
    /// Its name, sealed for the directory.
    pub name: Option<super::control::SealedText>,
}

/// Who may do what, and which keys exist: the result of the fold.
#[derive(Clone, Default, Debug)]
pub struct Roster {
    held: BTreeMap<EntryId, Held>,
    roots: BTreeSet<DeviceId>,
    incident: EntryId,
    compartments: BTreeMap<CompartmentId, CompartmentOf>,
    epochs: BTreeMap<EntryId, Epoch>,
    replaced: BTreeSet<EntryId>,
    erased: BTreeSet<EntryId>,
    hint: EntryId,
    newer: usize,
    spent: BTreeMap<(EntryId, DeviceId), (u32, u32)>,
    root_budget: (u32, u32),
}

impl Roster {
    /// Folds a control set, in whatever order it is given.
    #[must_use]
    pub fn fold(founding: &SignedFounding, entries: &[ControlEntry]) -> Self {
        let mut roster = Self { incident: EntryId::new(*founding.incident().as_bytes()), ..Self::default() };
        let recovery = founding.founding().recovery.device_id();
        for root in founding.founding().roots.iter().map(|r| r.device.device_id()).chain([recovery]) {
            roster.roots.insert(root);
        }
        let mut ordered: Vec<&ControlEntry> = entries.iter().collect();
        ordered.sort_unstable_by_key(|entry| (entry.hlc, entry.place.id));
        // One that was known alone may have come again with its chain.
        ordered.dedup_by_key(|entry| entry.place.id);
        roster.hint = ordered.last().map_or(EntryId::ZERO, |entry| entry.place.id);
        roster.newer = ordered.iter().filter(|entry| entry.control == Control::Newer).count();
        roster.fold_grants_and_compartments(&ordered, founding);
        for entry in &ordered {
            match &entry.control {
                Control::Epoch(epoch)
                    if roster.rights_of(&entry.grant, entry.device, epoch.compartment).is_ok_and(Rights::writes) =>
                {
                    roster.epochs.insert(entry.place.id, epoch.clone());
                }
                Control::Erase { entries, .. } if roster.may(entry, CONTROL, Rights::ERASE) => {
                    roster.erased.extend(entries.iter().map(|place| place.id));
                }
                _ => {}
            }
        }
        // An epoch replaces epochs of its own compartment only.
        let replaced = roster.epochs.values().flat_map(|epoch| {
            let own =
                |id: &&EntryId| roster.epochs.get(*id).is_some_and(|other| other.compartment == epoch.compartment);
            epoch.replaces.iter().filter(own).copied()
        });
        roster.replaced = replaced.collect();
        roster
    }

    /// Goes down the tree by depth: grants of one depth are final before those beneath are looked at.
    fn fold_grants_and_compartments(&mut self, ordered: &[&ControlEntry], founding: &SignedFounding) {
        let mut spent: BTreeMap<(EntryId, DeviceId), (u32, u32)> = BTreeMap::new();
        let share = u32::try_from(founding.founding().roots.len()).unwrap_or(1).max(1);
        let root_budget = (GRANTS_PER_INCIDENT / share, COMPARTMENTS_PER_INCIDENT / share);
        // The kind of a compartment is what its entry says, also where that entry is judged further down the tree.
        let kinds: BTreeMap<CompartmentId, CompartmentKind> = ordered
            .iter()
            .filter_map(|entry| match &entry.control {
                Control::Compartment { kind, .. } => Some((CompartmentId::new(*entry.place.id.as_bytes()), *kind)),
                _ => None,
            })
            .collect();
        self.root_budget = root_budget;
        for depth in 1..=GRANT_DEPTH_MAX {
            for entry in ordered {
                let Some(parent) = self.holder(&entry.grant, entry.device) else { continue };
                if parent.depth + 1 != depth {
                    continue;
                }
                let budget = parent.grant.as_ref().map_or(root_budget, |g| (g.grants, g.compartments));
                let used = spent.entry((entry.grant, entry.device)).or_default();
                match &entry.control {
                    Control::Grant(grant)
                        if parent.rights.of(CONTROL, CompartmentKind::Control).covers(Rights::GRANT) =>
                    {
                        let cost = grant.grants.saturating_add(1);
                        let within = used.0.saturating_add(cost) <= budget.0
                            && used.1.saturating_add(grant.compartments) <= budget.1
                            && parent.rights.covers(&grant.rights, |id| kinds.get(&id).copied());
                        if within {
                            *used = (used.0 + cost, used.1 + grant.compartments);
                            let held = Held {
                                device: grant.device.device_id(),
                                rights: grant.rights.clone(),
                                grant: Some(grant.clone()),
                                parent: entry.grant,
                                depth,
                            };
                            self.held.insert(entry.place.id, held);
                        }
                    }
                    Control::Compartment { kind, name }
                        if parent.rights.of(CONTROL, CompartmentKind::Control).covers(Rights::COMPARTMENT)
                            && used.1 < budget.1 =>
                    {
                        used.1 += 1;
                        let made = CompartmentOf { kind: *kind, made_by: entry.grant, name: name.clone() };
                        self.compartments.insert(CompartmentId::new(*entry.place.id.as_bytes()), made);
                    }
                    _ => {}
                }
            }
        }
        self.spent = spent;
    }

    /// How many grants and compartments `device` may still make by the grant that it stands on, as far as is
    /// known here.
    #[must_use]
    pub fn budget_left(&self, grant: &EntryId, device: DeviceId) -> (u32, u32) {
        let Some(held) = self.holder(grant, device) else { return (0, 0) };
        let (grants, compartments) = held.grant.as_ref().map_or(self.root_budget, |g| (g.grants, g.compartments));
        let (used_grants, used_compartments) = self.spent.get(&(*grant, device)).copied().unwrap_or_default();
        (grants.saturating_sub(used_grants), compartments.saturating_sub(used_compartments))
    }

    /// The grant `id` if `device` holds it; the incident id stands for a root's.
    #[must_use]
    pub fn holder(&self, id: &EntryId, device: DeviceId) -> Option<Held> {
        if *id == self.incident {
            let held = Held { device, grant: None, rights: RightsByScope::all(), parent: self.incident, depth: 0 };
            return self.roots.contains(&device).then_some(held);
        }
        self.held.get(id).filter(|held| held.device == device).cloned()
    }

    fn may(&self, entry: &ControlEntry, compartment: CompartmentId, right: Rights) -> bool {
        self.rights_of(&entry.grant, entry.device, compartment).is_ok_and(|rights| rights.covers(right))
    }

    /// What `device` may do in a compartment by the grant that it stands on.
    ///
    /// # Errors
    /// [`Waits`] says why its entries there wait for review.
    pub fn rights_of(&self, grant: &EntryId, device: DeviceId, compartment: CompartmentId) -> Result<Rights, Waits> {
        let kind = if compartment == CONTROL {
            CompartmentKind::Control
        } else {
            self.compartments.get(&compartment).ok_or(Waits::CompartmentMissing)?.kind
        };
        if *grant == self.incident {
            return if self.roots.contains(&device) { Ok(Rights::ALL) } else { Err(Waits::GrantOfAnother) };
        }
        let held = self.held.get(grant).ok_or(Waits::GrantMissing)?;
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
        let mut at = self.compartments.get(&compartment).map(|made| made.made_by);
        for _ in 0..=GRANT_DEPTH_MAX {
            match at {
                Some(id) if id == *grant => return true,
                Some(id) => at = self.held.get(&id).map(|held| held.parent),
                None => return false,
            }
        }
        false
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

    /// The compartment of a kind with the smallest id: the one that was made first is told by the facade.
    pub fn of_kind(&self, kind: CompartmentKind) -> impl Iterator<Item = CompartmentId> {
        self.compartments.iter().filter(move |(_, c)| c.kind == kind).map(|(id, _)| *id)
    }

    /// Grants that hold, by id.
    #[must_use]
    pub const fn grants(&self) -> &BTreeMap<EntryId, Held> {
        &self.held
    }

    /// All epochs by the id of their entry.
    #[must_use]
    pub const fn epochs(&self) -> &BTreeMap<EntryId, Epoch> {
        &self.epochs
    }

    /// Epochs of a compartment that no other epoch replaces, in rising order of their entry's id.
    pub fn current_epochs(&self, compartment: CompartmentId) -> impl Iterator<Item = (&EntryId, &Epoch)> {
        self.epochs.iter().filter(move |(id, epoch)| epoch.compartment == compartment && !self.replaced.contains(*id))
    }

    /// The compartment that a key belongs to.
    #[must_use]
    pub fn compartment_of_key(&self, key: &KeyId) -> Option<CompartmentId> {
        self.epochs.values().find(|epoch| epoch.key == *key).map(|epoch| epoch.compartment)
    }

    /// Entries that were erased.
    #[must_use]
    pub const fn erased(&self) -> &BTreeSet<EntryId> {
        &self.erased
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
}

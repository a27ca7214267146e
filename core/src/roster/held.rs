//! What the roster keeps: grants, compartments, epochs.

use super::control::{Epoch, Grant, SealedText};
use super::kind::CompartmentKind;
use super::rights::RightsByScope;
use crate::id::{DeviceId, EntryId, LogId};
use std::collections::{BTreeMap, BTreeSet};

/// A grant that counts. One that was ended counts for what stays trusted of its holder.
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
    /// The revokes that end it.
    pub(super) ends: Vec<usize>,
    /// Whether a root gave it to its own device and was ended.
    pub(super) with_root: bool,
}

/// Erased entries of a log by id: the place, and the grants of those who erased it.
pub(super) type Erased = BTreeMap<EntryId, (u64, BTreeSet<EntryId>)>;

impl Held {
    /// Whether nothing ended it.
    #[must_use]
    pub const fn in_force(&self) -> bool {
        self.ends.is_empty() && !self.with_root
    }
}

/// A compartment as the roster knows it.
#[derive(Clone, Debug)]
pub struct CompartmentOf {
    /// What it is for.
    pub kind: CompartmentKind,
    /// The grant that made it.
    pub made_by: EntryId,
    /// Its name, sealed for the directory.
    pub name: Option<SealedText>,
}

/// An epoch with who began it.
#[derive(Clone, Debug)]
pub(super) struct EpochOf {
    pub epoch: Epoch,
    pub ground: EntryId,
    pub device: DeviceId,
    /// Whether its author was cut before it: its key stays known, and nobody writes under it any more.
    pub cut: bool,
}

/// A revoke, a bar or the ending of a root: what new epochs honour.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    pub id: EntryId,
    pub log: LogId,
    pub branch: u8,
    pub seq: u64,
    pub devices: BTreeSet<DeviceId>,
    /// Whether it names grants or devices of which nothing is here: then it may concern any compartment.
    pub unknown: bool,
}

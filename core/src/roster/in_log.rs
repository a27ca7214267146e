//! Which entries of one log count: rights, cuts and endorsements, entry by entry.

use super::chains::At;
use super::control::PlaceOf;
use super::kind::CompartmentKind;
use super::rights::Rights;
use super::roster::Roster;
use super::waits::Waits;
use crate::id::{CompartmentId, DeviceId, EntryId, LogId};

/// What the author of one log may do in it. Remembers what was found for the grant of the last entry, since many
/// entries in a row stand on one.
#[derive(Debug)]
pub struct InLog<'r> {
    roster: &'r Roster,
    log: LogId,
    device: DeviceId,
    compartment: CompartmentId,
    kind: Option<CompartmentKind>,
    erased: bool,
    /// The first place that waits for review because of a flood.
    floods_from: Option<u64>,
    last: Option<Found<'r>>,
}

/// What was found for a grant.
#[derive(Debug)]
struct Found<'r> {
    grant: EntryId,
    rights: Result<Rights, Waits>,
    /// For each revoke that ends the grant the last trusted entries of this log.
    cuts: Vec<&'r [PlaceOf]>,
    root_cuts: bool,
}

impl Roster {
    /// Begins to judge the entries of a log: of which device, and in which compartment it lies.
    #[must_use]
    pub fn in_log(&self, log: LogId, device: DeviceId, compartment: CompartmentId) -> InLog<'_> {
        let (kind, erased) = (self.kind_of(compartment), self.erased.contains_key(&log));
        let floods_from = self.chains.waits_from(&log, device);
        InLog { roster: self, log, device, compartment, kind, erased, floods_from, last: None }
    }
}

impl<'r> InLog<'r> {
    /// The log.
    #[must_use]
    pub const fn log(&self) -> LogId {
        self.log
    }

    /// The kind of its compartment, if that is known.
    #[must_use]
    pub const fn kind(&self) -> Option<CompartmentKind> {
        self.kind
    }

    /// Whether an entry was erased.
    #[must_use]
    pub fn is_erased(&self, entry: &EntryId) -> bool {
        self.erased && self.roster.is_erased(&self.log, entry, self.compartment)
    }

    /// What the author of an entry that stands on `grant` may write here; every right if somebody above
    /// endorsed it.
    ///
    /// # Errors
    /// [`Waits`] says why the entry waits for review.
    pub fn rights(&mut self, grant: &EntryId, at: &At) -> Result<Rights, Waits> {
        match self.by_itself(grant, at) {
            Ok(rights) if rights.writes() => Ok(rights),
            other => {
                if self.is_endorsed(grant, at) {
                    return Ok(Rights::ALL);
                }
                other.and(Err(Waits::NoRight))
            }
        }
    }

    /// Whether somebody above with admin right in this compartment endorsed an entry.
    #[must_use]
    pub fn is_endorsed(&self, grant: &EntryId, at: &At) -> bool {
        let roster = self.roster;
        if roster.endorsed.is_empty() || self.kind.is_none() {
            return false;
        }
        let by = roster.endorsed.by(&roster.chains, &self.log, at);
        by.iter().any(|by| roster.endorses(by, (grant, self.device), self.compartment))
    }

    /// Rights and cuts, without endorsements.
    fn by_itself(&mut self, grant: &EntryId, at: &At) -> Result<Rights, Waits> {
        if self.floods_from.is_some_and(|from| at.seq >= from) {
            return Err(Waits::Flooded);
        }
        if self.last.as_ref().is_none_or(|found| found.grant != *grant) {
            self.last = Some(self.find(grant));
        }
        let Some(found) = &self.last else { return Err(Waits::GrantMissing) };
        let rights = found.rights?;
        if found.cuts.is_empty() && !found.root_cuts {
            return Ok(rights);
        }
        let chains = &self.roster.chains;
        let trusted = |cut: &&[PlaceOf]| cut.iter().any(|place| chains.trusts(place, at));
        let by_root = found.root_cuts && self.roster.roots.cut(chains, self.device, &self.log, at, None);
        if found.cuts.iter().all(trusted) && !by_root { Ok(rights) } else { Err(Waits::Cut) }
    }

    fn find(&self, grant: &EntryId) -> Found<'r> {
        let roster = self.roster;
        let ends = roster.held.get(grant).map_or(&[][..], |held| &held.ends).iter();
        let cuts = ends.filter_map(|index| roster.revokes.get(*index)).map(|revoke| revoke.cuts_in(&self.log));
        let whole = roster.held.get(grant).filter(|held| held.with_root).map(|_| &[][..]);
        Found {
            grant: *grant,
            rights: roster.rights_ever(grant, self.device, self.compartment),
            cuts: cuts.chain(whole).collect(),
            root_cuts: *grant == roster.incident && roster.roots.has_cuts(self.device),
        }
    }
}

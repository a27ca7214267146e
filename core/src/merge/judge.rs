//! The verdict on one entry: may its author write there, does it open, is it what it should be.

use super::ahead::Ahead;
use crate::crypto::{OpenError, Place, ReadingKey};
use crate::entry::{Sealed, SealedEntry};
use crate::id::{EntryId, IncidentId, KeyId, Lane};
use crate::log::LogName;
use crate::mutant::{self, Mutant};
use crate::record::{Body, FactKind, Operation};
use crate::roster::{At, CompartmentKind, InLog, Rights, Roster, Waits};
use crate::store::{StoredEntry, Verdict};
use std::collections::BTreeMap;

/// What a device brings to judge entries: the incident, who may do what, and the keys that it holds.
#[derive(Debug)]
pub struct Keyring {
    /// The incident.
    pub incident: IncidentId,
    /// Who may do what.
    pub roster: Roster,
    /// Reading keys by key id.
    pub keys: BTreeMap<KeyId, ReadingKey>,
}

/// What is thought of an entry.
#[derive(Debug)]
pub enum Judged<'b> {
    /// It opened and is well formed; with a reason it waits for review, its edits passed through.
    Opened(Body<'b>, Option<Waits>),
    /// It has no effect.
    Without(Verdict, &'static str),
}

/// Judges an entry at a place of a log; `body` is filled with what was opened.
pub fn judge<'b>(
    ring: &Keyring,
    (log, lane): (&mut InLog<'_>, Lane),
    (place, branch): (&Place, u8),
    (id, entry): (&EntryId, &SealedEntry<'_>),
    body: &'b mut Vec<u8>,
) -> Judged<'b> {
    let (Sealed::Body(sealed), false) = (entry.sealed, log.is_erased(id)) else {
        return Judged::Without(Verdict::Erased, "erased");
    };
    let (grant, at) = (&entry.ground.grant, At { branch: Some(branch), seq: place.seq, id: *id });
    let rights = log.rights(grant, &at);
    let (Some(key), Some(kind)) = (ring.keys.get(&entry.ground.key), log.kind()) else {
        return match rights {
            Ok(_) => Judged::Without(Verdict::Unopened, "no key"),
            Err(waits) => Judged::Without(Verdict::Waiting, waits.code()),
        };
    };
    if let Err(error) = key.open(place, &entry.nonce, sealed, body) {
        return Judged::Without(Verdict::Faulty, fault_code(error));
    }
    match Body::read(body, lane, kind) {
        Err(fault) => Judged::Without(Verdict::Faulty, fault.code()),
        Ok(body) => {
            let needed = body.operations.iter().fold(Rights::NONE, |all, (op, _)| all.and(needed(op)));
            let waits = waits(log, grant, &at, (rights, needed));
            Judged::Opened(body, waits)
        }
    }
}

/// Why an entry that opened waits for review, if it does; all its operations together need `needed`.
fn waits(
    log: &InLog<'_>,
    grant: &EntryId,
    at: &At,
    (rights, needed): (Result<Rights, Waits>, Rights),
) -> Option<Waits> {
    match rights {
        Err(Waits::Cut) if mutant::is(Mutant::AcceptsTheRevoked) => None,
        Ok(_) | Err(Waits::NoRight) if mutant::is(Mutant::SkipsTheRights) => None,
        Err(waits) => Some(waits),
        Ok(rights) if rights.covers(needed) => None,
        Ok(_) if log.is_endorsed(grant, at) => None,
        Ok(_) => Some(Waits::NoRightToOperation),
    }
}

/// As [`judge`], of an entry that was read ahead: what it waits for, if it opened, or why it has no effect; none if
/// it is to be judged from the start.
pub(super) fn judge_ahead(
    log: &mut InLog<'_>,
    (grant, at): (&EntryId, &At),
    found: &Ahead,
) -> Option<Result<Option<Waits>, (Verdict, &'static str)>> {
    if log.is_erased(&at.id) {
        return None;
    }
    match found {
        Ahead::Left => None,
        Ahead::Faulty(code) => Some(Err((Verdict::Faulty, code))),
        Ahead::Opened(opened) => {
            let rights = log.rights(grant, at);
            Some(Ok(waits(log, grant, at, (rights, opened.needed))))
        }
    }
}

/// The operations of a stored entry as they were when it was taken in; none if it does not open any more.
pub(super) fn operations<'b>(
    ring: &Keyring,
    name: &LogName,
    place: &Place,
    stored: &StoredEntry,
    body: &'b mut Vec<u8>,
) -> Option<Vec<(Operation<'b>, &'b [u8])>> {
    let (Sealed::Body(sealed), Some(key)) = (stored.sealed(), ring.keys.get(&stored.ground.key)) else { return None };
    key.open(place, &stored.nonce, sealed, body).ok()?;
    let body: &'b [u8] = body;
    // The compartment that it was judged for may be gone from the roster; its kind decides no operation.
    let mut kinds = CompartmentKind::ALL.into_iter();
    kinds.find_map(|kind| Body::read(body, name.lane, kind).ok()).map(|body| body.operations)
}

/// The rule code of a body that does not open.
pub(super) const fn fault_code(error: OpenError) -> &'static str {
    match error {
        OpenError::Seal => "F-001",
        OpenError::Nonce => "F-002",
        OpenError::Padding => "F-003",
    }
}

/// The right that an operation needs.
pub(super) fn needed(operation: &Operation<'_>) -> Rights {
    match operation {
        Operation::Newer => Rights::NONE,
        Operation::Reading(_) => Rights::WRITE,
        Operation::Edit(_) => Rights::REGISTER,
        Operation::Fact(fact) => match fact.statement.kind() {
            FactKind::Allergy | FactKind::NoKnownAllergies => Rights::ALLERGY,
            FactKind::Dispense | FactKind::Reversal => Rights::DISPENSE,
            FactKind::StockMovement | FactKind::StockCount => Rights::MOVE,
            FactKind::Refutation | FactKind::Resolution if fact.patient.is_none() => Rights::MOVE,
            FactKind::Refutation
            | FactKind::Observation
            | FactKind::Condition
            | FactKind::Immunization
            | FactKind::Note
            | FactKind::Deceased
            | FactKind::Resolution => Rights::OBSERVE,
        },
    }
}

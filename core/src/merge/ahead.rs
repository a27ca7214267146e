//! Reading ahead: what of taking a run in needs neither the file nor the roster, so that another thread can do it.
//!
//! A run is checked, its entries are opened and their operations understood. What that comes to depends on the
//! run, on the keys held and on the kind of its compartment; rights, which depend on the whole roster, are judged
//! when the entry is taken in. Where anything else is known by then, the entry is judged from the start.

use super::judge::{fault_code, needed};
use super::subject::SubjectKey;
use crate::clock::Hlc;
use crate::crypto::{Place, ReadingKey};
use crate::entry::Sealed;
use crate::id::{CompartmentId, ImportId, IncidentId, KeyId};
use crate::log::{CheckedRun, RunError, VerifiedEntry, VerifiedRun};
use crate::record::Body;
use crate::roster::{CompartmentKind, Rights};
use std::collections::BTreeMap;
use std::ops::Range;

/// What reading ahead needs: the incident, the keys held, and the kinds of the compartments.
#[derive(Debug)]
pub struct Openers {
    /// The incident.
    pub incident: IncidentId,
    /// Reading keys by key id.
    pub keys: BTreeMap<KeyId, ReadingKey>,
    /// Kinds of the compartments.
    pub kinds: BTreeMap<CompartmentId, CompartmentKind>,
}

/// A run that was read ahead.
#[derive(Debug)]
pub struct ReadRun {
    run: CheckedRun,
    kind: Option<CompartmentKind>,
    entries: Vec<Ahead>,
    /// Canonical bytes of the operations of all entries.
    bytes: Vec<u8>,
}

/// What an entry was found to be.
#[derive(Debug)]
pub(super) enum Ahead {
    /// It is to be judged from the start: no key, a body that is not here.
    Left,
    /// It fails a check that needs the key.
    Faulty(&'static str),
    /// It opened.
    Opened(Opened),
}

/// An entry that opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub hlc: Hlc,
    /// The rights that its operations need.
    pub needed: Rights,
    pub operations: Vec<AheadOperation>,
}

/// An operation of an entry that opened.
#[derive(Debug)]
pub(super) struct AheadOperation {
    pub subject: SubjectKey,
    pub import: Option<ImportId>,
    bytes: Range<usize>,
}

impl ReadRun {
    /// Checks a run and opens its entries.
    ///
    /// # Errors
    /// [`RunError`] if the run is refused.
    pub fn read(bytes: Vec<u8>, openers: &Openers) -> Result<Self, RunError> {
        let checked = CheckedRun::check(bytes, &openers.incident)?;
        let (kind, entries, bytes) = {
            let run = checked.run()?;
            let kind = openers.kinds.get(&run.name().compartment).copied().filter(|_| !run.name().is_control());
            let mut opening =
                Opening { openers, kind, body: Vec::new(), bytes: Vec::with_capacity(checked.bytes().len()) };
            let entries = run.entries().iter().map(|entry| opening.entry(&run, entry)).collect();
            (kind, entries, opening.bytes)
        };
        Ok(Self { run: checked, kind, entries, bytes })
    }

    /// The run.
    #[must_use]
    pub const fn checked(&self) -> &CheckedRun {
        &self.run
    }

    /// What was found of the entry at an index of the run, if its compartment is of the kind that it was taken for.
    pub(super) fn found(&self, index: usize, kind: Option<CompartmentKind>) -> &Ahead {
        self.entries.get(index).filter(|_| self.kind == kind).unwrap_or(&Ahead::Left)
    }

    /// The canonical bytes of an operation of one of its entries.
    pub(super) fn bytes_of(&self, operation: &AheadOperation) -> &[u8] {
        self.bytes.get(operation.bytes.clone()).unwrap_or_default()
    }
}

/// The opening of the entries of one run.
struct Opening<'o> {
    openers: &'o Openers,
    kind: Option<CompartmentKind>,
    body: Vec<u8>,
    bytes: Vec<u8>,
}

impl Opening<'_> {
    fn entry(&mut self, run: &VerifiedRun<'_>, entry: &VerifiedEntry<'_>) -> Ahead {
        let key = self.openers.keys.get(&entry.entry().ground.key);
        let (Some(key), Some(kind), Sealed::Body(sealed)) = (key, self.kind, entry.entry().sealed) else {
            return Ahead::Left;
        };
        let place = Place { incident: self.openers.incident, log: run.log(), seq: entry.seq() };
        if let Err(error) = key.open(&place, &entry.entry().nonce, sealed, &mut self.body) {
            return Ahead::Faulty(fault_code(error));
        }
        let body = match Body::read(&self.body, run.name().lane, kind) {
            Ok(body) => body,
            Err(fault) => return Ahead::Faulty(fault.code()),
        };
        let mut opened = Opened { hlc: body.hlc, needed: Rights::NONE, operations: Vec::new() };
        for (operation, bytes) in &body.operations {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(bytes);
            opened.needed = opened.needed.and(needed(operation));
            opened.operations.push(AheadOperation {
                subject: SubjectKey::of(operation),
                import: operation.import(),
                bytes: start..self.bytes.len(),
            });
        }
        Ahead::Opened(opened)
    }
}

//! Reading ahead: what of taking a run in needs neither the file nor the roster, so that another thread can do it.
//!
//! A run is checked, its entries are opened and their operations understood. What that comes to depends on the
//! run, on the keys held and on the kind of its compartment; rights, which depend on the whole roster, are judged
//! when the entry is taken in. Where anything else is known by then, the entry is judged from the start.

use super::judge::{fault_code, needed};
use super::subject::SubjectKey;
use crate::clock::Hlc;
use crate::crypto::{Bodies, OpenError, Place, ReadingKey, SealedAt};
use crate::id::{CompartmentId, ImportId, IncidentId, KeyId, Lane};
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
    operations: Vec<AheadOperation>,
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
    /// Where its operations lie among those of the run.
    operations: Range<usize>,
}

/// An operation of an entry that opened.
#[derive(Debug)]
pub(super) struct AheadOperation {
    pub subject: SubjectKey,
    pub import: Option<ImportId>,
    bytes: Range<usize>,
}

/// Room for opening entries, used again from run to run.
#[derive(Default)]
pub struct Room(Bodies);

impl ReadRun {
    /// Checks a run and opens its entries.
    ///
    /// # Errors
    /// [`RunError`] if the run is refused.
    pub fn read(bytes: Vec<u8>, openers: &Openers, room: &mut Room) -> Result<Self, RunError> {
        let (run, opening) = CheckedRun::check(bytes, &openers.incident, |run| Opening::of(run, openers, room))?;
        let Opening { kind, entries, operations, bytes, .. } = opening;
        Ok(Self { run, kind, entries, operations, bytes })
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

    /// The operations of an entry, each with its canonical bytes.
    pub(super) fn operations(&self, of: &Opened) -> impl Iterator<Item = (&AheadOperation, &[u8])> {
        let operations = self.operations.get(of.operations.clone()).unwrap_or_default();
        operations.iter().map(|operation| (operation, self.bytes.get(operation.bytes.clone()).unwrap_or_default()))
    }
}

/// The opening of the entries of one run.
struct Opening {
    lane: Lane,
    kind: Option<CompartmentKind>,
    entries: Vec<Ahead>,
    operations: Vec<AheadOperation>,
    bytes: Vec<u8>,
}

/// Entries that are opened together: enough for every lane of a processor's vectors, and what is opened of them stays
/// in its cache.
const TOGETHER: usize = 256;

impl Opening {
    fn of(run: &VerifiedRun<'_>, openers: &Openers, Room(bodies): &mut Room) -> Self {
        let kind = openers.kinds.get(&run.name().compartment).copied().filter(|_| !run.name().is_control());
        let entries = run.entries();
        let sealed_bytes = entries.iter().filter_map(VerifiedEntry::body).map(<[u8]>::len).sum();
        let mut opening = Self {
            lane: run.name().lane,
            kind,
            entries: Vec::with_capacity(entries.len()),
            operations: Vec::with_capacity(entries.len()),
            bytes: Vec::with_capacity(sealed_bytes),
        };
        let alike =
            |one: &VerifiedEntry<'_>, next: &VerifiedEntry<'_>| one.entry().ground.key == next.entry().ground.key;
        for together in entries.chunks(TOGETHER).flat_map(|some| some.chunk_by(alike)) {
            let key = together.first().and_then(|entry| openers.keys.get(&entry.entry().ground.key));
            let (Some(key), Some(kind)) = (key, kind) else {
                opening.entries.extend(together.iter().map(|_| Ahead::Left));
                continue;
            };
            let sealed = together.iter().filter_map(|entry| {
                let place = Place { incident: openers.incident, log: run.log(), seq: entry.seq() };
                Some(SealedAt { place, nonce: entry.entry().nonce, sealed: entry.body()? })
            });
            key.open_each(&sealed.collect::<Vec<_>>(), bodies);
            let mut bodies = bodies.iter();
            for entry in together {
                let opened = entry.body().and_then(|_| bodies.next());
                let found = opened.map_or(Ahead::Left, |body| opening.entry(body, kind));
                opening.entries.push(found);
            }
        }
        opening
    }

    fn entry(&mut self, body: Result<&[u8], OpenError>, kind: CompartmentKind) -> Ahead {
        let body = match body.map(|body| Body::read(body, self.lane, kind)) {
            Ok(Ok(body)) => body,
            Ok(Err(fault)) => return Ahead::Faulty(fault.code()),
            Err(error) => return Ahead::Faulty(fault_code(error)),
        };
        let first = self.operations.len();
        let mut all = Rights::NONE;
        for (operation, bytes) in &body.operations {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(bytes);
            all = all.and(needed(operation));
            self.operations.push(AheadOperation {
                subject: SubjectKey::of(operation),
                import: operation.import(),
                bytes: start..self.bytes.len(),
            });
        }
        Ahead::Opened(Opened { hlc: body.hlc, needed: all, operations: first..self.operations.len() })
    }
}

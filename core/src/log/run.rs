//! Runs: contiguous pieces of logs that end in a signed head, as bytes and as something verified.

use super::{LogName, Tip};
use crate::crypto::{DevicePublic, Signature, SigningKey};
use crate::entry::{Bytes, CarryError, Ground, SealedEntry};
use crate::id::{CompartmentId, EntryId, Incarnation, IncidentId, Lane, LogId};
use crate::limits::{CONTROL_BODY_BYTES_MAX, ENTRIES_PER_RUN_MAX, SEALED_BODY_BYTES_MAX, SEQ_MAX, SIGNED_EVERY};
use crate::mutant::{self, Mutant};

/// Bytes before the entries of a run: keys, incarnation, compartment, lane, first place, backlink, count.
const HEAD_BYTES: usize = DevicePublic::BYTES + 16 + 32 + 1 + 8 + 32 + 4;

/// Why a run is refused: nothing of it is stored. Every variant is a rule of `docs/rules.md`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RunError {
    /// E-001 layout.
    #[error("E-001 run is cut off or its layout is wrong")]
    Layout,
    /// E-002 place.
    #[error("E-002 first place and backlink contradict each other")]
    Place,
    /// E-004 body length.
    #[error("E-004 body longer than the format allows")]
    BodyTooLong,
    /// E-005 signature.
    #[error("E-005 signature does not fit the entry")]
    Signature,
    /// E-006 missing signature.
    #[error("E-006 a signed head is missing")]
    Unsigned,
    /// E-007 the author's public keys.
    #[error("E-007 author's public keys are not valid")]
    Author,
    /// E-008 lane.
    #[error("E-008 lane does not exist")]
    Lane,
    /// E-009 count.
    #[error("E-009 more entries than a run may have, or none")]
    Count,
}

impl RunError {
    /// The rule code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Layout => "E-001",
            Self::Place => "E-002",
            Self::BodyTooLong => "E-004",
            Self::Signature => "E-005",
            Self::Unsigned => "E-006",
            Self::Author => "E-007",
            Self::Lane => "E-008",
            Self::Count => "E-009",
        }
    }
}

impl From<CarryError> for RunError {
    fn from(error: CarryError) -> Self {
        match error {
            CarryError::Length | CarryError::Flags => Self::Layout,
            CarryError::TooLong => Self::BodyTooLong,
        }
    }
}

/// A run whose layout was read and nothing else.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// The log.
    pub name: LogName,
    /// Place of the first entry.
    pub first_seq: u64,
    /// Id of the entry before it; zeros at place 1.
    pub backlink: EntryId,
    pub(super) entries: Vec<SealedEntry<'a>>,
    pub(super) heads: Vec<(u32, Signature)>,
}

/// An entry whose place in a signed chain was checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VerifiedEntry<'a> {
    seq: u64,
    backlink: EntryId,
    id: EntryId,
    entry: SealedEntry<'a>,
}

impl<'a> VerifiedEntry<'a> {
    /// Its place.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Id of the entry before it.
    #[must_use]
    pub const fn backlink(&self) -> &EntryId {
        &self.backlink
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> &EntryId {
        &self.id
    }

    /// What it carries.
    #[must_use]
    pub const fn entry(&self) -> &SealedEntry<'a> {
        &self.entry
    }
}

/// A run that was verified: the only thing that the store takes in.
#[derive(Clone, Debug)]
pub struct VerifiedRun<'a> {
    name: LogName,
    log: LogId,
    entries: Vec<VerifiedEntry<'a>>,
    heads: Vec<(usize, Signature)>,
}

impl<'a> VerifiedRun<'a> {
    /// A run that its author writes here: places entries after the tip of the log, signs those whose signatures are
    /// kept, and moves the tip. What was placed and signed a moment ago needs no verifying.
    #[must_use]
    pub fn write(
        tip: &mut Tip,
        name: &LogName,
        entries: impl ExactSizeIterator<Item = SealedEntry<'a>>,
        key: &SigningKey,
    ) -> Self {
        let mut run = Self { name: *name, log: tip.log, entries: Vec::with_capacity(entries.len()), heads: Vec::new() };
        let count = entries.len();
        for (place, entry) in entries.enumerate() {
            let backlink = tip.id;
            let (seq, id) = tip.place(&entry);
            if place + 1 == count || signature_is_kept(name, seq) {
                run.heads.push((place, key.sign_head(tip.log, seq, id)));
            }
            run.entries.push(VerifiedEntry { seq, backlink, id, entry });
        }
        run
    }

    /// The log's name.
    #[must_use]
    pub const fn name(&self) -> &LogName {
        &self.name
    }

    /// The log.
    #[must_use]
    pub const fn log(&self) -> LogId {
        self.log
    }

    /// The entries in order; at least one.
    #[must_use]
    pub fn entries(&self) -> &[VerifiedEntry<'a>] {
        &self.entries
    }

    /// Signed heads by place in [`VerifiedRun::entries`]: those that were checked.
    #[must_use]
    pub fn heads(&self) -> &[(usize, Signature)] {
        &self.heads
    }
}

impl<'a> Run<'a> {
    /// Reads a run from exactly `bytes`.
    ///
    /// # Errors
    /// [`RunError`]; nothing was verified yet.
    pub fn read(bytes: &'a [u8]) -> Result<Self, RunError> {
        let mut from = Bytes::new(bytes);
        let (mut run, count) = Self::read_head(&mut from)?;
        run.entries.reserve_exact(count);
        for _ in 0..count {
            let before = run.entries.last().map(|entry| entry.ground);
            let entry = read_entry(&run.name, before.as_ref(), &mut from)?;
            run.entries.push(entry);
        }
        let head_count = u32::from_le_bytes(from.array()?) as usize;
        if head_count > count {
            return Err(RunError::Layout);
        }
        let mut heads: Vec<(u32, Signature)> = Vec::with_capacity(head_count);
        for _ in 0..head_count {
            let place = u32::from_le_bytes(from.array()?);
            if heads.last().is_some_and(|(last, _)| *last >= place) || place as usize >= count {
                return Err(RunError::Layout);
            }
            heads.push((place, Signature(from.array()?)));
        }
        if !from.rest().is_empty() {
            return Err(RunError::Layout);
        }
        run.heads = heads;
        Ok(run)
    }

    /// Reads the entries that are whole at the front of a run that may end anywhere, without its signatures, and
    /// where each of them ends.
    ///
    /// # Errors
    /// [`RunError`]; also if not even the fixed fields are whole.
    pub fn read_front(bytes: &'a [u8]) -> Result<(Self, Vec<usize>), RunError> {
        let mut from = Bytes::new(bytes);
        let (mut run, count) = Self::read_head(&mut from)?;
        let mut ends = Vec::new();
        while run.entries.len() < count {
            let before = run.entries.last().map(|entry| entry.ground);
            match read_entry(&run.name, before.as_ref(), &mut from) {
                Ok(entry) => run.entries.push(entry),
                Err(CarryError::Length) => break,
                Err(error) => return Err(error.into()),
            }
            ends.push(bytes.len() - from.rest().len());
        }
        Ok((run, ends))
    }

    /// The fixed fields of a run, and how many entries follow.
    fn read_head(from: &mut Bytes<'a>) -> Result<(Self, usize), RunError> {
        let author = DevicePublic::parse(&from.array::<96>()?).map_err(|_| RunError::Author)?;
        let incarnation = Incarnation::new(from.array()?);
        let compartment = CompartmentId::new(from.array()?);
        let [lane] = from.array()?;
        let name = LogName::new(author, incarnation, compartment, Lane::from_number(lane).ok_or(RunError::Lane)?);
        if name.is_control() && name.lane != Lane::Safety {
            return Err(RunError::Lane);
        }
        let first_seq = u64::from_le_bytes(from.array()?);
        let backlink = EntryId::new(from.array()?);
        let count = u32::from_le_bytes(from.array()?) as usize;
        if count == 0 || count > ENTRIES_PER_RUN_MAX {
            return Err(RunError::Count);
        }
        Ok((Self { name, first_seq, backlink, entries: Vec::new(), heads: Vec::new() }, count))
    }

    /// First place and backlink belong together, and the last place exists.
    pub(super) fn check_place(&self) -> Result<(), RunError> {
        let starts = self.first_seq == 1;
        let end = self.first_seq.checked_add(self.entries.len() as u64);
        let fits = self.first_seq > 0
            && starts == (self.backlink == EntryId::ZERO)
            && end.is_some_and(|end| end <= SEQ_MAX + 1);
        if fits { Ok(()) } else { Err(RunError::Place) }
    }

    /// How many signatures it bears, those that nothing demands included.
    #[must_use]
    pub(super) const fn head_count(&self) -> usize {
        self.heads.len()
    }

    /// Recomputes every id and checks the signatures that the format demands: over the last entry, at every
    /// multiple of 64, and over every control entry. Other signatures are dropped unread.
    ///
    /// # Errors
    /// [`RunError`]; nothing of the run may be stored.
    pub fn verify(self, incident: &IncidentId) -> Result<VerifiedRun<'a>, RunError> {
        self.check_place()?;
        let log = self.name.id(incident);
        let mut heads = self.heads.iter().peekable();
        let mut verified =
            VerifiedRun { name: self.name, log, entries: Vec::with_capacity(self.entries.len()), heads: Vec::new() };
        let (mut seq, mut backlink) = (self.first_seq, self.backlink);
        let hashes = SealedEntry::hashes(&self.entries);
        for ((place, entry), hash) in self.entries.iter().enumerate().zip(&hashes) {
            let id = entry.id_with(hash, log, seq, backlink);
            let signature = heads.next_if(|(at, _)| *at as usize == place).map(|(_, signature)| signature);
            let last = place + 1 == self.entries.len();
            if last || signature_is_kept(&self.name, seq) {
                let signature = signature.ok_or(RunError::Unsigned)?;
                let genuine = self.name.author.sign.verify_head(log, seq, id, signature);
                if genuine.is_err() && !mutant::is(Mutant::SkipsTheSignature) {
                    return Err(RunError::Signature);
                }
                verified.heads.push((place, *signature));
            }
            verified.entries.push(VerifiedEntry { seq, backlink, id, entry: *entry });
            (seq, backlink) = (seq + 1, id);
        }
        Ok(verified)
    }
}

/// Whether the signature over a place stays, whatever follows it.
fn signature_is_kept(name: &LogName, seq: u64) -> bool {
    seq.is_multiple_of(SIGNED_EVERY) || name.is_control()
}

/// Reads an entry of a run behind one that stands on the ground `before`.
fn read_entry<'a>(
    name: &LogName,
    before: Option<&Ground>,
    from: &mut Bytes<'a>,
) -> Result<SealedEntry<'a>, CarryError> {
    let control = name.is_control();
    let bytes_max = if control { CONTROL_BODY_BYTES_MAX } else { SEALED_BODY_BYTES_MAX };
    SealedEntry::read_carried(from, before, control, bytes_max)
}

/// The bytes of a run that was verified, with what verifying found: from these it is verified again without
/// hashing anything, so that a run can be verified by one thread and taken in by another.
#[derive(Clone, Debug)]
pub struct CheckedRun {
    bytes: Vec<u8>,
    name: LogName,
    first_seq: u64,
    backlink: EntryId,
    log: LogId,
    ids: Vec<EntryId>,
    heads: Vec<(usize, Signature)>,
}

impl CheckedRun {
    /// Reads and verifies a run, and does `work` on it.
    ///
    /// # Errors
    /// [`RunError`]; nothing of the run may be stored.
    pub fn check<T>(
        bytes: Vec<u8>,
        incident: &IncidentId,
        work: impl FnOnce(&VerifiedRun<'_>) -> T,
    ) -> Result<(Self, T), RunError> {
        let run = Run::read(&bytes)?;
        let (first_seq, backlink) = (run.first_seq, run.backlink);
        let run = run.verify(incident)?;
        let worked = work(&run);
        let VerifiedRun { name, log, entries, heads } = run;
        let ids = entries.iter().map(|entry| entry.id).collect();
        Ok((Self { bytes, name, first_seq, backlink, log, ids, heads }, worked))
    }

    /// The log's name.
    #[must_use]
    pub const fn name(&self) -> &LogName {
        &self.name
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The run.
    ///
    /// # Errors
    /// None that [`CheckedRun::check`] did not give before.
    pub fn run(&self) -> Result<VerifiedRun<'_>, RunError> {
        let Self { name, log, .. } = *self;
        let mut run = VerifiedRun { name, log, entries: Vec::with_capacity(self.ids.len()), heads: self.heads.clone() };
        let mut from = Bytes::new(&self.bytes);
        from.take(HEAD_BYTES)?;
        let (mut seq, mut backlink, mut before) = (self.first_seq, self.backlink, None);
        for id in &self.ids {
            let entry = read_entry(&run.name, before.as_ref(), &mut from)?;
            run.entries.push(VerifiedEntry { seq, backlink, id: *id, entry });
            (seq, backlink, before) = (seq + 1, *id, Some(entry.ground));
        }
        Ok(run)
    }
}

/// Puts a run together entry by entry.
#[derive(Debug)]
pub struct RunBuilder {
    control: bool,
    bytes: Vec<u8>,
    count_at: usize,
    count: u32,
    ground: Option<Ground>,
    heads: Vec<(u32, Signature)>,
}

impl RunBuilder {
    /// Starts a run of a log at `first_seq`, after the entry `backlink`.
    #[must_use]
    pub fn new(name: &LogName, first_seq: u64, backlink: EntryId) -> Self {
        let mut bytes = Vec::with_capacity(4_096);
        bytes.extend_from_slice(&name.author.to_bytes());
        bytes.extend_from_slice(name.incarnation.as_bytes());
        bytes.extend_from_slice(name.compartment.as_bytes());
        bytes.push(name.lane.number());
        bytes.extend_from_slice(&first_seq.to_le_bytes());
        bytes.extend_from_slice(backlink.as_bytes());
        let count_at = bytes.len();
        bytes.extend_from_slice(&[0; 4]);
        Self { control: name.is_control(), bytes, count_at, count: 0, ground: None, heads: Vec::new() }
    }

    /// Adds the next entry, with its signature if there is one.
    pub fn push(&mut self, entry: &SealedEntry<'_>, signature: Option<Signature>) {
        entry.carry(self.ground.as_ref(), self.control, &mut self.bytes);
        self.ground = Some(entry.ground);
        if let Some(signature) = signature {
            self.heads.push((self.count, signature));
        }
        self.count += 1;
    }

    /// How many entries it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes so far, heads not counted.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The run's bytes.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        if let Some(count) = self.bytes.get_mut(self.count_at..self.count_at + 4) {
            count.copy_from_slice(&self.count.to_le_bytes());
        }
        let heads = u32::try_from(self.heads.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&heads.to_le_bytes());
        for (place, signature) in &self.heads {
            self.bytes.extend_from_slice(&place.to_le_bytes());
            self.bytes.extend_from_slice(&signature.0);
        }
        self.bytes
    }
}

/// The body as bytes, if it is here.
impl<'a> VerifiedEntry<'a> {
    /// The sealed body, if it was not erased.
    #[must_use]
    pub const fn body(&self) -> Option<&'a [u8]> {
        self.entry.sealed.body()
    }
}

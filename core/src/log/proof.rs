//! Proofs that two books wrote one log, or that one device began too often: they need no key, no book and no log.
//!
//! ```text
//! file   = "DAYBOOK FORK" 12 | format 2 | proof
//! proof  = kind 1 | incident 32 | what shows it
//! kind 1 = count 1 | (run length 4 | run) ...                                          chains of one log that part
//! kind 2 = device keys 96 | (incarnation 16 | compartment 32 | lane 1 | place 8 | entry id 32 | signature 64) x 65
//! ```
//!
//! A chain is a run without bodies that begins where the log parts and ends in its first signed head, at most 64
//! entries on. Chains that follow one entry and begin differently are two or more branches; a proof shows one branch
//! more than such chains have brothers. Nine branches, or 65 incarnations, are a *flood*.

use super::run::{Run, RunBuilder, RunError};
use super::{LogName, VerifiedRun};
use crate::crypto::{DevicePublic, Label, Signature, derive};
use crate::entry::{Bytes, CarryError, Sealed, SealedEntry};
use crate::id::{CONTROL, CompartmentId, DeviceId, EntryId, Incarnation, IncidentId, Lane, LogId};
use crate::limits::{BRANCHES_PER_LOG_MAX, FORMAT, INCARNATIONS_PER_DEVICE_MAX, SEQ_MAX, SIGNED_EVERY};

/// How a file with a proof begins.
const MAGIC: &[u8; 12] = b"DAYBOOK FORK";
const FORKS: u8 = 1;
const INCARNATIONS: u8 = 2;
/// Most chains of one proof: each of eight forks beside its brother.
const CHAINS_MAX: usize = 2 * BRANCHES_PER_LOG_MAX;
/// Longest proof: all its chains of the greatest length.
pub const PROOF_BYTES_MAX: usize = CHAINS_MAX * (512 + 64 * 160);

/// Why bytes prove nothing. Every variant is a rule of `docs/rules.md`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProofError {
    /// W-001 layout.
    #[error("W-001 proof is cut off or its layout is wrong")]
    Layout,
    /// W-002 version.
    #[error("W-002 proof is of another version")]
    Version,
    /// W-003 a chain.
    #[error("W-003 a chain of the proof is not validly signed: {0}")]
    Chain(RunError),
    /// W-004 no contradiction.
    #[error("W-004 the chains of the proof do not contradict each other")]
    NoContradiction,
    /// W-005 no flood.
    #[error("W-005 the proof is not one of a flood in this incident")]
    NoFlood,
}

impl ProofError {
    /// The rule code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Layout => "W-001",
            Self::Version => "W-002",
            Self::Chain(_) => "W-003",
            Self::NoContradiction => "W-004",
            Self::NoFlood => "W-005",
        }
    }
}

impl From<CarryError> for ProofError {
    fn from(_: CarryError) -> Self {
        Self::Layout
    }
}

/// What a proof shows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Shown {
    /// A log that was forked.
    Forks {
        /// The log.
        log: LogId,
        /// How many branches it has at least.
        branches: usize,
        /// The first place that two branches fill differently.
        lowest: u64,
    },
    /// A device with more incarnations than one may have.
    Incarnations,
}

/// A proof that was checked.
#[derive(Clone, Debug)]
pub struct Proof {
    incident: IncidentId,
    device: DeviceId,
    shown: Shown,
    entries: usize,
    heads: usize,
    hash: [u8; 32],
    bytes: Vec<u8>,
}

/// One signed head of a log, by which an incarnation shows that it was.
#[derive(Clone, Copy, Debug)]
pub struct HeadOf {
    /// The log.
    pub name: LogName,
    /// Place of the newest entry.
    pub seq: u64,
    /// The entry.
    pub id: EntryId,
    /// The author's signature.
    pub signature: Signature,
}

/// A chain as the order of chains compares it: place, entry before, first entry.
type Begins = (u64, EntryId, EntryId);

impl Proof {
    /// Puts a proof together from chains of one log, each as [`chain`] writes it, in any order.
    ///
    /// # Errors
    /// [`ProofError`] if they prove nothing.
    pub fn of_chains(incident: &IncidentId, chains: &[Vec<u8>]) -> Result<Self, ProofError> {
        let mut sorted: Vec<(Begins, &Vec<u8>)> = Vec::new();
        for bytes in chains {
            sorted.push((begins(&verified(bytes, incident)?)?, bytes));
        }
        sorted.sort_unstable();
        sorted.dedup_by_key(|(begins, _)| *begins);
        let mut to = vec![FORKS];
        to.extend_from_slice(incident.as_bytes());
        to.push(u8::try_from(sorted.len()).unwrap_or(u8::MAX));
        for (_, bytes) in sorted {
            to.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
            to.extend_from_slice(bytes);
        }
        Self::read(&to)
    }

    /// Puts a proof together from signed heads of as many incarnations of one device, in any order.
    ///
    /// # Errors
    /// [`ProofError`] if they prove nothing.
    pub fn of_incarnations(incident: &IncidentId, heads: &[HeadOf]) -> Result<Self, ProofError> {
        let mut sorted = heads.to_vec();
        sorted.sort_unstable_by_key(|head| head.name.incarnation);
        sorted.dedup_by_key(|head| head.name.incarnation);
        let first = sorted.first().ok_or(ProofError::Layout)?;
        let mut to = vec![INCARNATIONS];
        to.extend_from_slice(incident.as_bytes());
        to.extend_from_slice(&first.name.author.to_bytes());
        for head in sorted.iter().take(INCARNATIONS_PER_DEVICE_MAX + 1) {
            to.extend_from_slice(head.name.incarnation.as_bytes());
            to.extend_from_slice(head.name.compartment.as_bytes());
            to.push(head.name.lane.number());
            to.extend_from_slice(&head.seq.to_le_bytes());
            to.extend_from_slice(head.id.as_bytes());
            to.extend_from_slice(&head.signature.0);
        }
        Self::read(&to)
    }

    /// Reads and checks the bytes of a proof.
    ///
    /// # Errors
    /// [`ProofError`] says which rule they break.
    pub fn read(bytes: &[u8]) -> Result<Self, ProofError> {
        if bytes.len() > PROOF_BYTES_MAX {
            return Err(ProofError::Layout);
        }
        let mut from = Bytes::new(bytes);
        let ([kind], incident) = (from.array()?, IncidentId::new(from.array()?));
        let proof = match kind {
            FORKS => read_chains(&mut from, incident)?,
            INCARNATIONS => read_incarnations(&mut from, incident)?,
            _ => return Err(ProofError::Layout),
        };
        if from.rest().is_empty() { Ok(Self { bytes: bytes.to_vec(), ..proof }) } else { Err(ProofError::Layout) }
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ProofError`] says which rule it breaks.
    pub fn read_file(bytes: &[u8]) -> Result<Self, ProofError> {
        let mut from = Bytes::new(bytes);
        if from.array::<12>()? != *MAGIC {
            return Err(ProofError::Layout);
        }
        if u16::from_le_bytes(from.array()?) != FORMAT {
            return Err(ProofError::Version);
        }
        Self::read(from.rest())
    }

    /// The file.
    #[must_use]
    pub fn to_file(&self) -> Vec<u8> {
        [&MAGIC[..], &FORMAT.to_le_bytes(), &self.bytes].concat()
    }

    /// The proof as it is kept and travels.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The incident.
    #[must_use]
    pub const fn incident(&self) -> &IncidentId {
        &self.incident
    }

    /// The device that signed what contradicts itself.
    #[must_use]
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// What it shows.
    #[must_use]
    pub const fn shown(&self) -> Shown {
        self.shown
    }

    /// How many entries it holds.
    #[must_use]
    pub const fn entries(&self) -> usize {
        self.entries
    }

    /// How many signatures were checked.
    #[must_use]
    pub const fn heads(&self) -> usize {
        self.heads
    }

    /// What orders proofs that show the same: a hash of all that they hold but signatures.
    #[must_use]
    pub const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// Whether it shows more branches or incarnations than anybody keeps.
    #[must_use]
    pub const fn is_flood(&self) -> bool {
        match self.shown {
            Shown::Forks { branches, .. } => branches > BRANCHES_PER_LOG_MAX,
            Shown::Incarnations => true,
        }
    }
}

/// Writes a chain for a proof: entries from the first that a branch has alone to its first signed head.
#[must_use]
pub fn chain(
    name: &LogName,
    first_seq: u64,
    backlink: EntryId,
    entries: &[(SealedEntry<'_>, Option<Signature>)],
) -> Vec<u8> {
    let mut run = RunBuilder::new(name, first_seq, backlink);
    for (entry, signature) in entries {
        let sealed = match entry.sealed.bytes() {
            0 => Sealed::Body(&[]),
            bytes => Sealed::Erased { bytes, hash: entry.sealed.hash() },
        };
        run.push(&SealedEntry { sealed, ..*entry }, *signature);
        if signature.is_some() {
            break;
        }
    }
    run.finish()
}

/// Verifies a chain: a run without bodies that ends in its first signed head.
fn verified<'a>(bytes: &'a [u8], incident: &IncidentId) -> Result<VerifiedRun<'a>, ProofError> {
    let run = Run::read(bytes).map_err(ProofError::Chain)?;
    let heads = run.head_count();
    let run = run.verify(incident).map_err(ProofError::Chain)?;
    let bare = run.entries().iter().all(|entry| entry.body().is_none_or(<[u8]>::is_empty));
    let short = run.entries().len() as u64 <= SIGNED_EVERY;
    if bare && short && heads == 1 && run.heads().len() == 1 { Ok(run) } else { Err(ProofError::Layout) }
}

fn begins(run: &VerifiedRun<'_>) -> Result<Begins, ProofError> {
    let first = run.entries().first().ok_or(ProofError::Layout)?;
    Ok((first.seq(), *first.backlink(), *first.id()))
}

fn read_chains(from: &mut Bytes<'_>, incident: IncidentId) -> Result<Proof, ProofError> {
    let [count] = from.array()?;
    if usize::from(count) > CHAINS_MAX {
        return Err(ProofError::Layout);
    }
    let mut of: Option<(LogId, DeviceId)> = None;
    let (mut chains, mut entries): (Vec<Begins>, usize) = (Vec::new(), 0);
    let mut ids: Vec<u8> = Vec::new();
    for _ in 0..count {
        let length = u32::from_le_bytes(from.array()?) as usize;
        let run = verified(from.take(length)?, &incident)?;
        let begins = begins(&run)?;
        if *of.get_or_insert((run.log(), run.name().device)) != (run.log(), run.name().device) {
            return Err(ProofError::NoContradiction);
        }
        if chains.last().is_some_and(|last| *last >= begins) {
            return Err(ProofError::Layout);
        }
        ids.extend(run.entries().iter().flat_map(|entry| *entry.id().as_bytes()));
        entries += run.entries().len();
        chains.push(begins);
    }
    // Chains that follow one entry stand together; one without a brother contradicts nothing.
    let brothers: Vec<usize> = chains.chunk_by(|one, two| (one.0, one.1) == (two.0, two.1)).map(<[_]>::len).collect();
    let (Some((log, device)), Some((lowest, ..)), true) = (of, chains.first(), brothers.iter().all(|of| *of > 1))
    else {
        return Err(ProofError::NoContradiction);
    };
    let branches = 1 + chains.len() - brothers.len();
    if branches > BRANCHES_PER_LOG_MAX + 1 {
        return Err(ProofError::Layout);
    }
    let hash = derive(Label::Flood, &[log.as_bytes(), &ids]);
    let shown = Shown::Forks { log, branches, lowest: *lowest };
    Ok(Proof { incident, device, shown, entries, heads: chains.len(), hash, bytes: Vec::new() })
}

fn read_incarnations(from: &mut Bytes<'_>, incident: IncidentId) -> Result<Proof, ProofError> {
    let author = DevicePublic::parse(&from.array::<96>()?).map_err(|_| ProofError::Chain(RunError::Author))?;
    let device = author.device_id();
    let mut last: Option<Incarnation> = None;
    let mut ids: Vec<u8> = Vec::new();
    for _ in 0..=INCARNATIONS_PER_DEVICE_MAX {
        let (incarnation, compartment) = (Incarnation::new(from.array()?), CompartmentId::new(from.array()?));
        let [lane] = from.array()?;
        let lane = Lane::from_number(lane).filter(|lane| compartment != CONTROL || *lane == Lane::Safety);
        let name = LogName { author, device, incarnation, compartment, lane: lane.ok_or(ProofError::Layout)? };
        let (seq, id) = (u64::from_le_bytes(from.array()?), EntryId::new(from.array()?));
        let signature = Signature(from.array()?);
        if last.is_some_and(|last| last >= incarnation) || seq == 0 || seq > SEQ_MAX {
            return Err(ProofError::Layout);
        }
        let log = name.id(&incident);
        let fits = author.sign.verify_head(log, seq, id, &signature);
        fits.map_err(|_| ProofError::Chain(RunError::Signature))?;
        ids.extend_from_slice(log.as_bytes());
        ids.extend_from_slice(id.as_bytes());
        last = Some(incarnation);
    }
    let hash = derive(Label::Flood, &[device.as_bytes(), &ids]);
    let entries = INCARNATIONS_PER_DEVICE_MAX + 1;
    Ok(Proof { incident, device, shown: Shown::Incarnations, entries, heads: entries, hash, bytes: Vec::new() })
}

//! The beginning of a run whose signed head has not come: a chain that nobody vouches for yet.
//!
//! It is no part of its log. It may be kept, so that a transfer that was cut goes on behind it; what it says
//! counts once a run that ends in a signed head links to it, and verifies together with it.
//!
//! ```text
//! bytes = those of a run that has no signed head
//! ```
//! It holds no place that is a multiple of 64: the signature that such a place needs comes with the run.

use super::{Run, RunBuilder, RunError};
use crate::id::{EntryId, IncidentId, LogId};
use crate::limits::SIGNED_EVERY;

/// Where a log or the beginning of a run ends: a place and the id of the entry there.
type End = (u64, EntryId);

/// The beginning of a run: entries whose ids were computed and link to each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Beginning {
    log: LogId,
    first_seq: u64,
    backlink: EntryId,
    end: End,
    bytes: Vec<u8>,
}

impl Beginning {
    /// What is whole at the front of a run, behind the entry `after` of it, or from its first entry on. None if
    /// there is nothing that can be kept: every entry of a control log is signed, and needs its signature.
    ///
    /// # Errors
    /// [`RunError::Place`].
    pub fn of(front: &Run<'_>, after: Option<End>, incident: &IncidentId) -> Result<Option<Self>, RunError> {
        front.check_place()?;
        let (seq, backlink) = after.unwrap_or((front.first_seq - 1, front.backlink));
        if front.name.is_control() {
            return Ok(None);
        }
        let (name, first_seq) = (front.name, seq + 1);
        let skipped = usize::try_from(first_seq.saturating_sub(front.first_seq)).unwrap_or(usize::MAX);
        let log = name.id(incident);
        let (mut bytes, mut end) = (RunBuilder::new(&name, first_seq, backlink), (seq, backlink));
        for entry in front.entries.iter().skip(skipped) {
            let seq = end.0 + 1;
            if seq.is_multiple_of(SIGNED_EVERY) {
                break;
            }
            end = (seq, entry.id(log, seq, end.1));
            bytes.push(entry, None);
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { log, first_seq, backlink, end, bytes: bytes.finish() }))
    }

    /// Reads one that was kept.
    ///
    /// # Errors
    /// [`RunError`] if it is none.
    pub fn read(bytes: &[u8], incident: &IncidentId) -> Result<Self, RunError> {
        let run = Run::read(bytes)?;
        let count = run.entries.len() as u64;
        let read = Self::of(&run, None, incident)?.filter(|read| read.entries() == count && run.heads.is_empty());
        read.ok_or(RunError::Layout)
    }

    /// The log.
    #[must_use]
    pub const fn log(&self) -> LogId {
        self.log
    }

    /// Place of the first entry.
    #[must_use]
    pub const fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// Id of the entry before it; zeros at place 1.
    #[must_use]
    pub const fn backlink(&self) -> &EntryId {
        &self.backlink
    }

    /// Place and id of the last entry.
    #[must_use]
    pub const fn end(&self) -> End {
        self.end
    }

    /// How many entries; at least one, at most 63.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.end.0 + 1 - self.first_seq
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The run that beginnings, in order, and a run that links to the last of them are together. None if they do
    /// not follow each other.
    ///
    /// # Errors
    /// [`RunError`] if one of them is no run. What comes out was not verified.
    pub fn join(beginnings: &[Self], run: &[u8]) -> Result<Option<Vec<u8>>, RunError> {
        let run = Run::read(run)?;
        let Some(first) = beginnings.first() else { return Ok(None) };
        let (mut to, mut end) = (RunBuilder::new(&run.name, first.first_seq, first.backlink), None);
        for beginning in beginnings {
            if end.is_some_and(|end: End| (end.0 + 1, end.1) != (beginning.first_seq, beginning.backlink)) {
                return Ok(None);
            }
            let piece = Run::read(&beginning.bytes)?;
            if piece.name != run.name {
                return Ok(None);
            }
            piece.entries.iter().for_each(|entry| to.push(entry, None));
            end = Some(beginning.end);
        }
        if end.is_none_or(|(seq, id)| (seq + 1, id) != (run.first_seq, run.backlink)) {
            return Ok(None);
        }
        let mut heads = run.heads.iter().peekable();
        for (place, entry) in run.entries.iter().enumerate() {
            let signature = heads.next_if(|(at, _)| *at as usize == place).map(|(_, signature)| *signature);
            to.push(entry, signature);
        }
        Ok(Some(to.finish()))
    }
}

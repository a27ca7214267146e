//! Runs on their way in: frames that are not whole, and whole runs that wait to be stored together.

use super::frame::kind;
use super::limits::{Limits, PATH_BYTES_MAX, RUN_BYTES_MAX};
use super::reason::SessionRule;
use crate::crypto::{Label, derive};
use crate::entry::{Bytes, CarryError};
use crate::id::{CONTROL, CompartmentId, DeviceId, EntryId, IncidentId, LogId};
use crate::limits::{ENTRIES_PER_COMMIT_MAX, ENTRIES_PER_RUN_MAX};
use crate::log::PROOF_BYTES_MAX;
use crate::mutant::{self, Mutant};

/// A frame of which not all messages came yet.
#[derive(Debug)]
struct Partial {
    number: u8,
    bytes: Vec<u8>,
    /// Where each message of it ended.
    ends: Vec<usize>,
}

/// A frame whose messages all came.
#[derive(PartialEq, Eq, Debug)]
pub struct Whole {
    /// Its kind.
    pub number: u8,
    /// Its payload.
    pub payload: Vec<u8>,
    /// In how many messages it came.
    pub messages: u64,
}

/// Puts frames together that came in several messages. Whole frames of other kinds may come between.
#[derive(Default, Debug)]
pub struct Assembly {
    partial: Option<Partial>,
}

impl Assembly {
    /// What came so far of a run that is not whole, and where each message of it ended.
    #[must_use]
    pub fn unfinished_run(&self) -> Option<(&[u8], &[usize])> {
        let partial = self.partial.as_ref().filter(|partial| partial.number == kind::RUN)?;
        Some((&partial.bytes, &partial.ends))
    }

    /// Takes one message; gives the frame when it is whole.
    ///
    /// # Errors
    /// [`SessionRule`] if a second frame begins that is not whole, or one is longer than one of its kind may be.
    pub fn take(&mut self, text: &[u8]) -> Result<Option<Whole>, SessionRule> {
        let (first, payload) = text.split_first().ok_or(SessionRule::FrameLength)?;
        let (number, more) = (first & !kind::MORE, first & kind::MORE != 0);
        let most = match number {
            kind::PATH => PATH_BYTES_MAX,
            kind::RUN => RUN_BYTES_MAX,
            kind::FLOOD => PROOF_BYTES_MAX,
            _ if more => return Err(SessionRule::Frame),
            _ => usize::MAX,
        };
        let mut partial = match self.partial.take() {
            Some(partial) if partial.number == number => partial,
            Some(_) if more => return Err(SessionRule::Turn),
            other => {
                self.partial = other;
                Partial { number, bytes: Vec::new(), ends: Vec::new() }
            }
        };
        if partial.bytes.len().saturating_add(payload.len()) > most && !mutant::is(Mutant::TakesWithoutBound) {
            return Err(SessionRule::FrameLength);
        }
        partial.bytes.extend_from_slice(payload);
        partial.ends.push(partial.bytes.len());
        if more {
            self.partial = Some(partial);
            return Ok(None);
        }
        Ok(Some(Whole { number, payload: partial.bytes, messages: partial.ends.len() as u64 }))
    }
}

/// The head of a run, read without any check: for counts and names only.
#[derive(Clone, Copy, Debug)]
pub struct RunHead {
    /// The log.
    pub log: LogId,
    /// The device that writes it.
    pub device: DeviceId,
    /// Its compartment.
    pub compartment: CompartmentId,
    /// Whether it is a control log.
    pub control: bool,
    /// How many entries it says that it has.
    pub entries: u64,
    /// Place of the last of them.
    pub last: u64,
    /// What of it was kept and acknowledged before it was whole.
    pub begun: Begun,
    /// In how many messages it came.
    pub messages: u64,
}

/// What was kept of a run that is not whole.
#[derive(Clone, Copy, Default, Debug)]
pub struct Begun {
    /// Entries that are durable.
    pub entries: u64,
    /// The last of them: its place and id.
    pub end: Option<(u64, EntryId)>,
    /// Messages that were acknowledged.
    pub messages: u64,
}

impl RunHead {
    /// Reads the fixed fields with which a run begins.
    pub fn read(run: &[u8], messages: u64, begun: Begun, incident: &IncidentId) -> Result<Self, CarryError> {
        let mut from = Bytes::new(run);
        let (keys, incarnation) = (from.array::<96>()?, from.array::<16>()?);
        let (compartment, lane) = (from.array::<32>()?, from.array::<1>()?);
        let first = u64::from_le_bytes(from.array()?);
        from.array::<36>()?;
        let entries = entries_of(run);
        let device = derive(Label::Device, &[&keys]);
        let log = derive(Label::Log, &[incident.as_bytes(), &device, &incarnation, &compartment, &lane]);
        let compartment = CompartmentId::new(compartment);
        let control = compartment == CONTROL;
        let last = first.saturating_add(entries).saturating_sub(1);
        let device = DeviceId::new(device);
        Ok(Self { log: LogId::new(log), device, compartment, control, entries, last, begun, messages })
    }
}

/// How many entries a run says that it has; it was not checked.
#[must_use]
pub fn entries_of(run: &[u8]) -> u64 {
    let count = run.get(COUNT_AT..).and_then(|rest| rest.first_chunk::<4>());
    count.map_or(0, |count| u64::from(u32::from_le_bytes(*count)).min(ENTRIES_PER_RUN_MAX as u64))
}

/// Where the count stands in a run.
const COUNT_AT: usize = 96 + 16 + 32 + 1 + 8 + 32;

/// Whole runs that wait to be stored in one transaction.
#[derive(Default, Debug)]
pub struct Intake {
    runs: Vec<Vec<u8>>,
    heads: Vec<RunHead>,
    bytes: usize,
    entries: u64,
    since_ms: Option<u64>,
    /// Messages of runs that were stored, kept or declined.
    pub settled: u64,
    /// Entries that were new.
    pub new: u64,
    /// Entries that came.
    pub came: u64,
    /// Whether something was stored and not posted yet.
    pub unposted: bool,
}

impl Intake {
    /// Puts a run behind the others.
    pub fn push(&mut self, run: Vec<u8>, head: RunHead, now_ms: u64) {
        self.bytes += run.len();
        self.entries += head.entries;
        self.wait(now_ms);
        self.runs.push(run);
        self.heads.push(head);
    }

    /// Something waits to be stored from now on, if nothing did before.
    pub fn wait(&mut self, now_ms: u64) {
        self.since_ms.get_or_insert(now_ms);
    }

    /// Nothing waits any more, or for what has not come.
    pub fn rest(&mut self) {
        if self.runs.is_empty() {
            self.since_ms = None;
        }
    }

    /// Whether as much waits as one transaction should take.
    #[must_use]
    pub fn is_full(&self, limits: &Limits) -> bool {
        self.bytes >= limits.store_bytes || self.entries + ENTRIES_PER_RUN_MAX as u64 > ENTRIES_PER_COMMIT_MAX as u64
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// When what waits is to be stored.
    #[must_use]
    pub fn due_ms(&self, limits: &Limits) -> Option<u64> {
        self.since_ms.map(|since| since.saturating_add(limits.store_ms))
    }

    /// Takes out what waits.
    pub fn drain(&mut self) -> (Vec<Vec<u8>>, Vec<RunHead>) {
        (self.bytes, self.entries, self.since_ms) = (0, 0, None);
        (std::mem::take(&mut self.runs), std::mem::take(&mut self.heads))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(number: u8, payload: &[u8], messages: u64) -> Whole {
        Whole { number, payload: payload.to_vec(), messages }
    }

    #[test]
    fn frames_come_whole_or_in_pieces_of_one_kind() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.take(&[kind::DONE]), Ok(Some(whole(kind::DONE, &[], 1))));
        assert_eq!(assembly.take(&[kind::RUN | kind::MORE, 1, 2]), Ok(None));
        assert_eq!(assembly.unfinished_run(), Some((&[1, 2][..], &[2][..])));
        assert_eq!(assembly.take(&[kind::RUN, 3]), Ok(Some(whole(kind::RUN, &[1, 2, 3], 2))));
        assert_eq!(assembly.unfinished_run(), None);
        assert_eq!(assembly.take(&[kind::RUN | kind::MORE, 1]), Ok(None));
        assert_eq!(assembly.take(&[kind::PING]), Ok(Some(whole(kind::PING, &[], 1))));
        assert_eq!(assembly.take(&[kind::RUN, 2]), Ok(Some(whole(kind::RUN, &[1, 2], 2))));
        assert_eq!(assembly.take(&[kind::RUN | kind::MORE, 1]), Ok(None));
        assert_eq!(assembly.take(&[kind::PATH | kind::MORE, 1]), Err(SessionRule::Turn));
        assert_eq!(Assembly::default().take(&[kind::ACK | kind::MORE]), Err(SessionRule::Frame));
        assert_eq!(Assembly::default().take(&[]), Err(SessionRule::FrameLength));
        let mut assembly = Assembly::default();
        let piece = [&[kind::PATH | kind::MORE][..], &[0; 16_000]].concat();
        let pieces = (0..100).map(|_| assembly.take(&piece)).take_while(Result::is_ok).count();
        assert_eq!(pieces, PATH_BYTES_MAX / 16_000);
    }
}

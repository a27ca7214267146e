//! Runs on their way out: what is still to be read, what was read ahead, and what is not acknowledged yet.

use super::limits::{ENTRIES_PER_FRAME_MAX, FRAME_BYTES_MAX, Limits};
use super::reason::SessionRule;
use super::shelf::{OutRun, Piece, Shelf, Trouble};
use crate::id::DeviceId;
use crate::log::Run;
use std::collections::VecDeque;

/// Bytes that are read from the book at one go.
const READ_BYTES: usize = 512 * 1024;

/// A run that is being sent in pieces of a frame each, which end where entries end as far as that can be: so the
/// other side can keep what came, and needs to be sent again at most the piece under way.
#[derive(Debug)]
struct Going {
    bytes: Vec<u8>,
    /// Where its entries end; not known of a run that is one piece.
    ends: Vec<usize>,
    /// Bytes and entries that were sent.
    sent: (usize, usize),
}

/// One piece of a run.
pub struct RunPiece {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether more of this run follows.
    pub more: bool,
}

impl Going {
    fn new(run: OutRun) -> Result<Self, Trouble> {
        let one_piece = run.bytes.len() < FRAME_BYTES_MAX && run.entries as usize <= ENTRIES_PER_FRAME_MAX;
        let ends = if one_piece { Vec::new() } else { ends_of(&run.bytes)? };
        Ok(Self { bytes: run.bytes, ends, sent: (0, 0) })
    }

    /// The next piece, and how many entries end in it.
    fn next(&mut self) -> (RunPiece, u32) {
        let (at, entries) = self.sent;
        let most = at + FRAME_BYTES_MAX - 1;
        let left = self.ends.get(entries..).unwrap_or_default();
        let fit = left.iter().take(ENTRIES_PER_FRAME_MAX).take_while(|end| **end <= most).count();
        let end = match fit.checked_sub(1).and_then(|last| left.get(last)) {
            _ if self.bytes.len() <= most && fit == left.len() => self.bytes.len(),
            Some(end) => *end,
            // An entry that is longer than a frame, or signatures alone.
            None => most.min(self.bytes.len()),
        };
        self.sent = (end, entries + fit);
        let bytes = self.bytes.get(at..end).unwrap_or_default().to_vec();
        (RunPiece { bytes, more: end < self.bytes.len() }, u32::try_from(fit).unwrap_or(u32::MAX))
    }
}

fn ends_of(run: &[u8]) -> Result<Vec<usize>, Trouble> {
    let front = Run::read_front(run).map_err(|error| Trouble(format!("an own run is none: {error}")))?;
    Ok(front.1)
}

/// What one side sends.
#[derive(Default, Debug)]
pub struct Outflow {
    /// The former member to whom it goes, if it is one: of control it is given what concerns it.
    former: Option<DeviceId>,
    pieces: VecDeque<Piece>,
    ready: VecDeque<OutRun>,
    going: Option<Going>,
    in_flight: VecDeque<(usize, u32)>,
    in_flight_bytes: usize,
    /// Pieces of runs that were sent.
    pub sent: u64,
    /// Pieces of runs that were acknowledged.
    acked: u64,
    /// Entries that were sent.
    pub entries_sent: u64,
    /// Entries that were acknowledged.
    pub entries_acked: u64,
}

impl Outflow {
    /// Puts pieces behind what is still to be sent.
    pub fn add(&mut self, pieces: impl IntoIterator<Item = Piece>) {
        self.pieces.extend(pieces);
    }

    /// Whether everything was handed out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.ready.is_empty() && self.going.is_none()
    }

    /// Whether everything was handed out and acknowledged.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.is_empty() && self.in_flight.is_empty()
    }

    /// Whether the window has room and something is to be sent.
    #[must_use]
    pub fn may_send(&self, limits: &Limits) -> bool {
        self.going.is_some() || (!self.is_empty() && self.in_flight_bytes < limits.window_bytes)
    }

    /// From here on the other side is given only what concerns it as a former member; what waited to be sent is not,
    /// but for a run that was begun.
    pub fn narrow(&mut self, former: DeviceId) {
        self.former = Some(former);
        self.pieces.clear();
        self.ready.clear();
    }

    /// Nothing more is sent; what was counted stays.
    pub fn stop(&mut self) {
        let Self { former, sent, acked, entries_sent, entries_acked, .. } = *self;
        *self = Self { former, sent, acked, entries_sent, entries_acked, ..Self::default() };
    }

    /// The next piece of a run to send. Other frames may go between.
    pub fn next(&mut self, book: &mut dyn Shelf) -> Result<Option<RunPiece>, Trouble> {
        let (mut going, entries_of_run) = match self.going.take() {
            Some(going) => (going, None),
            None => match self.next_run(book)? {
                Some(run) => {
                    let entries = run.entries;
                    (Going::new(run)?, Some(entries))
                }
                None => return Ok(None),
            },
        };
        let (piece, ending) = going.next();
        // A run that is one piece was not looked into.
        let entries = entries_of_run.filter(|_| !piece.more).unwrap_or(ending);
        self.in_flight.push_back((piece.bytes.len(), entries));
        self.in_flight_bytes += piece.bytes.len();
        self.sent += 1;
        self.entries_sent += u64::from(entries);
        if piece.more {
            self.going = Some(going);
        }
        Ok(Some(piece))
    }

    fn next_run(&mut self, book: &mut dyn Shelf) -> Result<Option<OutRun>, Trouble> {
        while self.ready.is_empty() {
            let Some(piece) = self.pieces.pop_front() else { return Ok(None) };
            let runs = match self.former {
                None => book.runs(piece, FRAME_BYTES_MAX, READ_BYTES)?,
                Some(former) => book.runs_concerning(former, piece, FRAME_BYTES_MAX, READ_BYTES)?,
            };
            let Some(last) = runs.last().map(|run| run.last).filter(|last| *last >= piece.from) else {
                return Err(Trouble("an entry of a log is missing".into()));
            };
            self.ready.extend(runs);
            if last < piece.to {
                self.pieces.push_front(Piece { from: last + 1, ..piece });
            }
        }
        Ok(self.ready.pop_front())
    }

    /// Takes an acknowledgement of so many pieces of this session; returns how many entries it is about.
    pub fn acknowledged(&mut self, pieces: u64) -> Result<u64, SessionRule> {
        if pieces < self.acked || pieces > self.sent {
            return Err(SessionRule::Claim);
        }
        let mut entries = 0;
        while self.acked < pieces {
            self.acked += 1;
            if let Some((bytes, count)) = self.in_flight.pop_front() {
                self.in_flight_bytes = self.in_flight_bytes.saturating_sub(bytes);
                entries += u64::from(count);
            }
        }
        self.entries_acked += entries;
        Ok(entries)
    }
}

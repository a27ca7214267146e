//! Runs on their way out: what is still to be read, what was read ahead, and what is not acknowledged yet.

use super::limits::{FRAME_BYTES_MAX, Limits};
use super::reason::SessionRule;
use super::shelf::{OutRun, Piece, Shelf, Trouble};
use std::collections::VecDeque;

/// Bytes that are read from the book at one go.
const READ_BYTES: usize = 512 * 1024;

/// What one side sends.
#[derive(Default, Debug)]
pub struct Outflow {
    pieces: VecDeque<Piece>,
    ready: VecDeque<OutRun>,
    /// The run that is being sent, and how much of it was.
    going: Option<(OutRun, usize)>,
    in_flight: VecDeque<(usize, u32)>,
    in_flight_bytes: usize,
    /// Runs that were sent.
    pub sent: u64,
    /// Runs that were acknowledged.
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

    /// The next piece of a run to send, and whether more of that run follows. Other frames may go between.
    pub fn next(&mut self, book: &mut dyn Shelf) -> Result<Option<(Vec<u8>, bool)>, Trouble> {
        let (run, sent) = match self.going.take() {
            Some(going) => going,
            None => match self.next_run(book)? {
                Some(run) => (run, 0),
                None => return Ok(None),
            },
        };
        let end = run.bytes.len().min(sent + FRAME_BYTES_MAX - 1);
        let piece = run.bytes.get(sent..end).unwrap_or_default().to_vec();
        let more = end < run.bytes.len();
        if more {
            self.going = Some((run, end));
        }
        Ok(Some((piece, more)))
    }

    fn next_run(&mut self, book: &mut dyn Shelf) -> Result<Option<OutRun>, Trouble> {
        while self.ready.is_empty() {
            let Some(piece) = self.pieces.pop_front() else { return Ok(None) };
            let runs = book.runs(piece, FRAME_BYTES_MAX, READ_BYTES)?;
            let Some(last) = runs.last().map(|run| run.last).filter(|last| *last >= piece.from) else {
                return Err(Trouble("an entry of a log is missing".into()));
            };
            self.ready.extend(runs);
            if last < piece.to {
                self.pieces.push_front(Piece { from: last + 1, ..piece });
            }
        }
        let run = self.ready.pop_front();
        if let Some(run) = &run {
            self.in_flight.push_back((run.bytes.len(), run.entries));
            self.in_flight_bytes += run.bytes.len();
            self.sent += 1;
            self.entries_sent += u64::from(run.entries);
        }
        Ok(run)
    }

    /// Takes an acknowledgement of so many runs of this session; returns how many entries it is about.
    pub fn acknowledged(&mut self, runs: u64) -> Result<u64, SessionRule> {
        if runs < self.acked || runs > self.sent {
            return Err(SessionRule::Claim);
        }
        let mut entries = 0;
        while self.acked < runs {
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

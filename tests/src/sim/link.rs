//! A stream between two, with the two sessions at its ends and what goes wrong with it.

use super::everybody::{Everybody, Party};
use super::invariant::{Invariant, broken, hold};
use super::office::Office;
use crate::memory::Watch;
use crate::world::World;
use daybook_core::sync::{Event, Reason, Session, Side};
use rand::RngExt;
use rand_chacha::ChaCha20Rng;

/// Most bytes that a session and what it brought into the book's memory may hold on.
const SESSION_BYTES_MAX: i64 = 24 * 1024 * 1024;
/// Most bytes that one call of a session may need for itself.
const CALL_BYTES_MAX: i64 = 48 * 1024 * 1024;

/// What goes wrong with a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// It ends after so many bytes of both directions, and both ends are told.
    Cut(u64),
    /// What one end sends beyond so many bytes arrives nowhere, and nobody is told.
    Silent {
        /// The end that is not heard.
        end: usize,
        /// The bytes that still arrive.
        after: u64,
    },
    /// A piece of it does not arrive as it was sent, once so many bytes of both directions were.
    Rough {
        /// The bytes that arrive as they were sent.
        after: u64,
        /// What happens to the next piece.
        what: Rough,
    },
}

/// What happens to a piece of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rough {
    /// It is lost.
    Lost,
    /// It comes twice.
    Twice,
    /// It comes after the next one.
    Late,
    /// A bit of it is another.
    Changed,
    /// Its end is missing.
    Short,
}

impl Rough {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Lost, Self::Twice, Self::Late, Self::Changed, Self::Short];

    /// What to call it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Lost => "pieces lost",
            Self::Twice => "pieces twice",
            Self::Late => "pieces late",
            Self::Changed => "pieces changed",
            Self::Short => "pieces short",
        }
    }
}

/// Two in conversation.
pub(super) struct Link {
    /// Who calls, and who is called.
    pub between: [Party; 2],
    /// What goes wrong.
    pub fault: Fault,
    /// Steps that both stay once they agree.
    pub stays: u32,
    /// Bytes that each end sent.
    pub sent: [u64; 2],
    /// Whether each end said that both hold the same, or that what a former member brings was handed over.
    pub agreed: [bool; 2],
    /// Whether each end said that, or that neither can bring what the other lacks: then nothing more is to come.
    settled: [bool; 2],
    /// Whether something befell an end that explains any ending: its program or its disk was lost, or its holder's
    /// grant was ended.
    pub troubled: bool,
    /// What happened to a piece.
    pub roughed: Option<Rough>,
    /// Events that say that something is wrong between two honest devices.
    pub complaints: Vec<String>,
    /// Steps so far.
    pub steps: u64,
    ends: [Option<Session>; 2],
    wires: [Vec<u8>; 2],
    late: [Vec<u8>; 2],
    told: [bool; 2],
    closing: bool,
    holds: [i64; 2],
}

/// What one step of a link did.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Moved {
    /// Whether bytes moved.
    pub bytes: bool,
    /// Whether each end stored something.
    pub stored: [bool; 2],
}

impl Link {
    /// One calls another; none if a book cannot be read.
    pub fn open(
        all: &mut Everybody,
        of: (&World, &Office),
        between: [Party; 2],
        fault: Fault,
        stays: u32,
        now_ms: u64,
    ) -> Option<Self> {
        let caller = all.session(of, between[0], Side::Caller, now_ms)?;
        let called = all.session(of, between[1], Side::Called, now_ms)?;
        Some(Self {
            between,
            fault,
            stays,
            sent: [0; 2],
            agreed: [false; 2],
            settled: [false; 2],
            troubled: false,
            roughed: None,
            complaints: Vec::new(),
            steps: 0,
            ends: [Some(caller), Some(called)],
            wires: [Vec::new(), Vec::new()],
            late: [Vec::new(), Vec::new()],
            told: [false; 2],
            closing: false,
            holds: [0; 2],
        })
    }

    /// Whether a device takes part.
    pub fn has(&self, device: usize) -> bool {
        self.between.contains(&Party::Honest(device))
    }

    /// Whether both are honest.
    pub fn is_honest(&self) -> bool {
        self.between.iter().all(|party| party.device().is_some())
    }

    /// Whether neither end is in conversation any more.
    pub fn is_over(&self) -> bool {
        self.ends.iter().all(Option::is_none)
    }

    /// When something is due at either end.
    pub fn due_ms(&self) -> Option<u64> {
        self.ends.iter().flatten().filter_map(Session::next_timeout_ms).min()
    }

    /// Lends an end its book, and counts the memory that it takes.
    fn lend<T>(
        &mut self,
        end: usize,
        all: &mut Everybody,
        work: impl FnOnce(&mut Session, &mut dyn daybook_core::sync::Shelf) -> T,
    ) -> Option<T> {
        let session = self.ends[end].as_mut()?;
        let watch = Watch::begin();
        let done = work(session, all.shelf(self.between[end]));
        if self.between[end].device().is_some() {
            self.holds[end] += watch.more();
            let (holds, peak) = (self.holds[end], watch.peak());
            hold(holds <= SESSION_BYTES_MAX && peak <= CALL_BYTES_MAX, Invariant::MemoryIsBounded, || {
                format!("{:?}: a session holds {holds} bytes, and needed {peak} for a moment", self.between)
            });
        }
        Some(done)
    }

    /// Moves some bytes in each direction and does what is due.
    pub fn step(&mut self, all: &mut Everybody, now_ms: u64, rng: &mut ChaCha20Rng) -> Moved {
        self.steps += 1;
        let mut moved = Moved::default();
        for end in 0..2 {
            moved.bytes |= self.send(end, all, now_ms, rng);
            moved.bytes |= self.arrive(end, all, now_ms, rng);
            if self.ends[end].as_ref().and_then(Session::next_timeout_ms).is_some_and(|due| due <= now_ms) {
                self.lend(end, all, |session, book| session.handle_timeout(now_ms, book));
            }
            moved.stored[end] = self.hear(end, all);
        }
        if matches!(self.fault, Fault::Cut(after) if self.sent[0] + self.sent[1] >= after) {
            self.cut(all, now_ms);
        }
        self.part(all, now_ms, moved.bytes);
        moved
    }

    fn send(&mut self, end: usize, all: &mut Everybody, now_ms: u64, rng: &mut ChaCha20Rng) -> bool {
        let so_far = self.sent[0] + self.sent[1];
        let mut most = 1 << rng.random_range(6..17);
        if let Fault::Cut(after) = self.fault {
            most = most.min(usize::try_from(after.saturating_sub(so_far)).unwrap_or(most));
        }
        let Some(mut bytes) = self.lend(end, all, |session, book| session.transmit(most, now_ms, book)) else {
            return false;
        };
        if bytes.is_empty() {
            return false;
        }
        self.sent[end] += bytes.len() as u64;
        match self.fault {
            Fault::Silent { end: silent, after } if silent == end => {
                let already = self.sent[end] - bytes.len() as u64;
                bytes.truncate(usize::try_from(after.saturating_sub(already)).unwrap_or(0));
            }
            Fault::Rough { after, what } if so_far >= after && self.roughed.is_none() => {
                self.roughed = Some(what);
                match what {
                    Rough::Lost => bytes.clear(),
                    Rough::Twice => bytes.extend_from_within(..),
                    Rough::Late => self.late[1 - end] = std::mem::take(&mut bytes),
                    Rough::Changed => {
                        let at = rng.random_range(0..bytes.len());
                        bytes[at] ^= 1 << rng.random_range(0..8);
                    }
                    Rough::Short => bytes.truncate(rng.random_range(0..bytes.len())),
                }
            }
            Fault::None | Fault::Cut(_) | Fault::Silent { .. } | Fault::Rough { .. } => {
                let late = std::mem::take(&mut self.late[1 - end]);
                bytes.extend(late);
            }
        }
        self.wires[1 - end].extend(bytes);
        true
    }

    fn arrive(&mut self, end: usize, all: &mut Everybody, now_ms: u64, rng: &mut ChaCha20Rng) -> bool {
        if self.wires[end].is_empty() || self.ends[end].is_none() {
            return false;
        }
        let most = (1_usize << rng.random_range(3..18)).min(self.wires[end].len());
        let count = if rng.random_bool(0.5) { most } else { rng.random_range(1..=most) };
        let bytes = self.wires[end][..count].to_vec();
        let taken = self.lend(end, all, |session, book| session.receive(&bytes, now_ms, book)).unwrap_or(0);
        self.wires[end].drain(..taken);
        taken > 0
    }

    /// Takes an end's events; says whether it stored something.
    fn hear(&mut self, end: usize, all: &mut Everybody) -> bool {
        let mut stored = false;
        while let Some(event) = self.ends[end].as_mut().and_then(Session::poll_event) {
            match event {
                Event::Stored { log, seq } => {
                    stored = true;
                    // A book whose disk failed is opened again before anything is read of it.
                    if let Party::Honest(device) = self.between[end]
                        && !all.devices[device].disk_failed()
                    {
                        hold(all.devices[device].reaches(&log, seq), Invariant::NothingAcknowledgedIsLost, || {
                            format!("device {device}: {} up to {seq} is said to be stored, and is not", log.short())
                        });
                    }
                }
                Event::InSync | Event::HandedOver => (self.agreed[end], self.settled[end]) = (true, true),
                Event::Differs => {
                    self.settled[end] = true;
                    self.complaints.push(format!("{event:?}"));
                }
                Event::Declined { .. } => self.complaints.push(format!("{event:?}")),
                Event::Ended(reason) => self.hear_end(end, &reason),
                _ => {}
            }
        }
        stored
    }

    fn hear_end(&mut self, end: usize, reason: &Reason) {
        if let (Reason::Bug(what), Party::Honest(device)) = (reason, self.between[end]) {
            broken(Invariant::NothingPanics, format!("device {device} ends a session: {what}"));
        }
        let silent = matches!(self.fault, Fault::Silent { .. }) && reason.code() == "S-009";
        if !silent && self.roughed.is_none() && !matches!(reason, Reason::Closed | Reason::ClosedByPeer | Reason::Cut) {
            self.complaints.push(format!("{end} ended: {reason}"));
        }
    }

    /// Ends what has come to its end: an end whose session is over and said its last goes, and the other is told
    /// once all that was sent has arrived. Who agrees stays until it is quiet: bodies and keys come after that.
    fn part(&mut self, all: &mut Everybody, now_ms: u64, moved: bool) {
        let live = |end: &Option<Session>| end.as_ref().is_some_and(Session::is_live);
        if !self.closing && self.ends.iter().all(live) && self.settled == [true; 2] {
            if self.stays == 0 && !moved {
                self.closing = true;
                self.lend(0, all, |session, book| session.close(now_ms, book));
            }
            self.stays = self.stays.saturating_sub(1);
        }
        for end in 0..2 {
            if self.ends[end].as_ref().is_some_and(|session| session.is_ended() && !session.has_output()) {
                self.hear(end, all);
                self.ends[end] = None;
                self.told[1 - end] = true;
            }
            let unheard = matches!(self.fault, Fault::Silent { end: silent, .. } if silent != end);
            if self.told[end] && self.wires[end].is_empty() && !unheard {
                self.disconnect(end, all, now_ms);
            }
        }
    }

    fn disconnect(&mut self, end: usize, all: &mut Everybody, now_ms: u64) {
        if self.lend(end, all, |session, book| session.disconnected(now_ms, book)).is_some() {
            self.hear(end, all);
            self.ends[end] = None;
        }
    }

    /// The stream is gone and both ends are told.
    pub fn cut(&mut self, all: &mut Everybody, now_ms: u64) {
        for end in 0..2 {
            self.disconnect(end, all, now_ms);
        }
    }

    /// The program of one end is gone; the other is told, or hears nothing more.
    pub fn lose(&mut self, device: usize, is_told: bool) {
        for end in (0..2).filter(|end| self.between[*end] == Party::Honest(device)) {
            self.ends[end] = None;
            self.troubled = true;
            self.told[1 - end] = is_told;
            if !is_told {
                self.fault = Fault::Silent { end, after: 0 };
            }
        }
    }

    /// Something was written on a device, or stored by another of its conversations.
    pub fn notice(&mut self, device: usize, all: &mut Everybody, now_ms: u64) {
        for end in 0..2 {
            if self.between[end] == Party::Honest(device) {
                self.lend(end, all, |session, book| session.notice(now_ms, book));
            }
        }
    }
}

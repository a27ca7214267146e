//! The session: what a driver calls, and what every frame leads to.

use super::frame::{Frame, Receipt, kind};
use super::intake::{Assembly, Intake, RunHead};
use super::introduction::{introduce, standing};
use super::limits::{Credit, EVENTS_MAX, Limits};
use super::outflow::Outflow;
use super::reason::{Reason, SessionRule};
use super::rounds::{Round, Stage};
use super::shelf::{Outcome, Shelf};
use super::trie::TrieKey;
use super::wire::{Came, Opened, Wire};
use crate::clock::Host;
use crate::crypto::{AgreementPublic, DevicePublic, DeviceSecret, Secret};
use crate::id::{DeviceId, EntryId, LogId};
use crate::roster::{GrantPath, SignedFounding};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Which side of the stream this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// It called; it speaks first.
    Caller,
    /// It was called.
    Called,
}

/// What a device shows of itself and needs to judge others.
#[derive(Debug)]
pub struct Credentials {
    /// The founding statement of the incident.
    pub founding: SignedFounding,
    /// The admission secret.
    pub admission: Secret<32>,
    /// The device's keys.
    pub device: DeviceSecret,
    /// The device's grant path, as bytes.
    pub path: Vec<u8>,
}

/// The device on the other side, as it proved itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The device.
    pub device: DeviceId,
    /// Its public keys.
    pub public: DevicePublic,
    /// Its grant; the incident id for a root.
    pub grant: EntryId,
    /// Whether only its path speaks for it, since its grant is not here yet.
    pub by_path: bool,
}

/// What a driver is told. Events between two polls may be lost only if more than a few thousand wait.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The other side proved who it is.
    PeerKnown(Peer),
    /// What this round will move, in entries.
    Totals {
        /// To the other side.
        to_send: u64,
        /// To this side.
        to_receive: u64,
    },
    /// How many entries of this session were acknowledged by the other side, and stored here.
    Progress {
        /// Durable there.
        sent: u64,
        /// Durable here.
        received: u64,
    },
    /// Entries of a log up to a place are durable here.
    Stored {
        /// The log.
        log: LogId,
        /// The place.
        seq: u64,
    },
    /// Both sides hold the same, durably and posted here; what is written from now on is pushed.
    InSync,
    /// The two sides differ in what neither could bring to the other; what is written from now on is pushed.
    Differs,
    /// A log is left out of this session.
    Declined {
        /// The log.
        log: LogId,
        /// The rule code.
        code: String,
        /// Whether the other side declined it.
        by_peer: bool,
    },
    /// The other side signed what it holds.
    Receipt {
        /// The device that signed.
        device: DeviceId,
        /// Hash of all heads that it holds.
        frontier: [u8; 32],
        /// Whether it is the same as what this side holds.
        same: bool,
    },
    /// The session is over; the last event.
    Ended(Reason),
}

/// One conversation with one peer. See the head of this module for how it is driven.
#[derive(Debug)]
pub struct Session {
    pub(super) side: Side,
    pub(super) limits: Limits,
    pub(super) credentials: Credentials,
    pub(super) wire: Wire,
    assembly: Assembly,
    pub(super) stage: Stage,
    pub(super) key: Option<TrieKey>,
    noise: Option<AgreementPublic>,
    pub(super) peer: Option<Peer>,
    path: Option<GrantPath>,
    credit: Option<Credit>,
    pub(super) round: Round,
    pub(super) intake: Intake,
    pub(super) outflow: Outflow,
    pub(super) declined: BTreeSet<LogId>,
    pub(super) unjoined: BTreeMap<LogId, u32>,
    /// Heads by number of the log that both sides hold, while live.
    pub(super) shared: BTreeMap<i64, Vec<(u64, EntryId)>>,
    pub(super) wanted: bool,
    pub(super) wants_heard: usize,
    events: VecDeque<Event>,
    pub(super) now_ms: u64,
    started_ms: u64,
    heard_ms: u64,
    said_ms: u64,
    stuck_since_ms: Option<u64>,
}

impl Session {
    /// Begins a session. `host` gives randomness here and never again.
    ///
    /// # Errors
    /// [`Reason::Bug`] only.
    pub fn new(
        side: Side,
        credentials: Credentials,
        limits: Limits,
        now_ms: u64,
        host: &mut dyn Host,
    ) -> Result<Self, Reason> {
        let incident = *credentials.founding.incident();
        let called_by_us = side == Side::Caller;
        let wire = Wire::new(called_by_us, &credentials.device.noise, &credentials.admission, incident, host)?;
        Ok(Self {
            side,
            limits,
            credentials,
            wire,
            assembly: Assembly::default(),
            stage: Stage::Introducing,
            key: None,
            noise: None,
            peer: None,
            path: None,
            credit: None,
            round: Round::default(),
            intake: Intake::default(),
            outflow: Outflow::default(),
            declined: BTreeSet::new(),
            unjoined: BTreeMap::new(),
            shared: BTreeMap::new(),
            wanted: false,
            wants_heard: 0,
            events: VecDeque::new(),
            now_ms,
            started_ms: now_ms,
            heard_ms: now_ms,
            said_ms: now_ms,
            stuck_since_ms: None,
        })
    }

    /// Takes bytes that came; returns how many. It takes fewer while too much waits to be sent or polled.
    pub fn receive(&mut self, bytes: &[u8], now_ms: u64, book: &mut dyn Shelf) -> usize {
        self.now_ms = now_ms.max(self.now_ms);
        let mut taken = 0;
        while taken < bytes.len() && self.wants_input() {
            let (count, came) = self.wire.receive(bytes.get(taken..).unwrap_or_default());
            taken += count;
            let handled = came.and_then(|came| self.came(came, book));
            if let Err(reason) = handled {
                self.end(reason, book);
            }
        }
        if self.is_ended() {
            // What comes after the end is of no interest.
            return bytes.len();
        }
        let live = !matches!(self.stage, Stage::Transferring { .. });
        if !self.intake.is_empty() && (live || self.intake.due_ms(&self.limits).is_some_and(|due| due <= self.now_ms)) {
            self.attempt(book, Self::store);
        }
        self.watch();
        taken
    }

    /// At most `most` bytes that are to be sent now; none if nothing is.
    pub fn transmit(&mut self, most: usize, now_ms: u64, book: &mut dyn Shelf) -> Vec<u8> {
        self.now_ms = now_ms.max(self.now_ms);
        while !self.is_ended() && self.wire.waiting() < most.min(self.limits.output_bytes) {
            match self.pump(book) {
                Ok(true) => {}
                Ok(false) => break,
                Err(reason) => self.end(reason, book),
            }
        }
        let bytes = self.wire.transmit(most);
        if !bytes.is_empty() {
            self.stuck_since_ms = None;
        }
        self.watch();
        bytes
    }

    /// Whether [`Session::transmit`] would give bytes.
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.wire.waiting() > 0 || (!self.is_ended() && (self.outflow.may_send(&self.limits) || self.owes_done()))
    }

    /// Whether [`Session::receive`] would take bytes.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        !self.is_ended() && self.wire.waiting() < self.limits.output_bytes && self.events.len() < EVENTS_MAX
    }

    /// When [`Session::handle_timeout`] is to be called at the latest; never, once it is over.
    #[must_use]
    pub fn next_timeout_ms(&self) -> Option<u64> {
        if self.is_ended() {
            return None;
        }
        let heard = match self.peer {
            None => self.started_ms.saturating_add(self.limits.introduction_ms),
            Some(_) => self.heard_ms.saturating_add(self.limits.frame_ms),
        };
        let stuck = self.stuck_since_ms.map(|since| since.saturating_add(self.limits.frame_ms));
        let ping = self.peer.map(|_| self.said_ms.saturating_add(self.limits.ping_ms));
        let store = self.intake.due_ms(&self.limits);
        [Some(heard), stuck, ping, store].into_iter().flatten().min()
    }

    /// Does what is due at a time.
    pub fn handle_timeout(&mut self, now_ms: u64, book: &mut dyn Shelf) {
        self.now_ms = now_ms.max(self.now_ms);
        if self.is_ended() {
            return;
        }
        let (now, limits) = (self.now_ms, self.limits);
        let late = |since: u64, most: u64| now >= since.saturating_add(most);
        let silent = match self.peer {
            None => late(self.started_ms, limits.introduction_ms),
            Some(_) => late(self.heard_ms, limits.frame_ms),
        };
        if silent || self.stuck_since_ms.is_some_and(|since| late(since, limits.frame_ms)) {
            self.end(SessionRule::Slow.into(), book);
            return;
        }
        if self.intake.due_ms(&limits).is_some_and(|due| due <= now) {
            self.attempt(book, Self::store);
        }
        if self.peer.is_some() && late(self.said_ms, limits.ping_ms) && self.wire.waiting() == 0 {
            self.attempt(book, |session, _| session.say(&Frame::Ping));
        }
        self.watch();
    }

    /// Says that the book holds more than before: what is new is pushed, if the session is live.
    pub fn notice(&mut self, now_ms: u64, book: &mut dyn Shelf) {
        self.now_ms = now_ms.max(self.now_ms);
        if matches!(self.stage, Stage::Live) {
            self.attempt(book, Self::push_news);
        }
        self.watch();
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Ends in order: what arrived whole is stored, a receipt is given, and the other side is told. Send what
    /// `transmit` still gives.
    pub fn close(&mut self, now_ms: u64, book: &mut dyn Shelf) {
        self.now_ms = now_ms.max(self.now_ms);
        if self.is_ended() {
            return;
        }
        if matches!(self.stage, Stage::Live) {
            self.attempt(book, |session, book| {
                session.store(book)?;
                session.give_receipt(book)
            });
        }
        self.end(Reason::Closed, book);
    }

    /// The stream is gone: what arrived whole is stored.
    pub fn disconnected(&mut self, now_ms: u64, book: &mut dyn Shelf) {
        self.now_ms = now_ms.max(self.now_ms);
        self.end(Reason::Cut, book);
    }

    /// Whether it is over; [`Event::Ended`] says why.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    /// Whether both sides agreed and new entries are pushed.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Live)
    }

    /// The peer, once it proved who it is.
    #[must_use]
    pub const fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    // What comes.

    fn came(&mut self, came: Came, book: &mut dyn Shelf) -> Result<(), Reason> {
        match came {
            Came::Nothing => Ok(()),
            Came::Opened(Opened { handshake, theirs }) => {
                self.key = Some(TrieKey::new(&handshake));
                self.noise = Some(theirs);
                self.credit = Some(Credit::new(&self.limits, self.now_ms));
                let path = std::mem::take(&mut self.credentials.path);
                let said = self.say(&Frame::Path(&path));
                self.credentials.path = path;
                said
            }
            Came::Frame => {
                self.heard_ms = self.now_ms;
                self.charge(self.wire.text.len())?;
                let text = std::mem::take(&mut self.wire.text);
                let whole = self.assembly.take(&text);
                self.wire.text = text;
                match whole? {
                    Some((kind, payload)) => self.frame(kind, payload, book),
                    None if self.peer.is_none() && self.assembly_is_not_a_path() => Err(SessionRule::Turn.into()),
                    None => Ok(()),
                }
            }
        }
    }

    /// Takes the price of a frame, or of an answer that costs as much as so many bytes.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), SessionRule> {
        let (limits, now) = (self.limits, self.now_ms);
        let paid = self.credit.as_mut().is_some_and(|credit| credit.spend(&limits, bytes, now));
        if paid { Ok(()) } else { Err(SessionRule::Spent) }
    }

    fn assembly_is_not_a_path(&self) -> bool {
        self.wire.text.first() != Some(&(kind::PATH | kind::MORE))
    }

    fn frame(&mut self, number: u8, payload: Vec<u8>, book: &mut dyn Shelf) -> Result<(), Reason> {
        if number == kind::RUN && self.peer.is_some() {
            return self.run(payload, book);
        }
        let frame = Frame::read(number, &payload)?;
        match (&self.peer, &frame) {
            (None, Frame::Path(_)) | (Some(_), _) => {}
            (None, Frame::Bye(code)) => return Err(ended_by_peer(*code)),
            (None, _) => return Err(SessionRule::Turn.into()),
        }
        match frame {
            Frame::Ping => Ok(()),
            Frame::Path(path) => self.introduced(path, book),
            Frame::Roots(control, rest) => self.roots_came(control, rest, book),
            Frame::Ask(nodes) => self.asked(&nodes),
            Frame::Children(node, children) => self.children_came(node, &children, book),
            Frame::Leaf(node, records) => self.leaf_came(node, &records, book),
            Frame::Heads(last, heads) => self.heads_came(last, heads, book),
            Frame::Totals(entries, _) => self.totals_came(entries),
            Frame::Run(_) => Err(SessionRule::Turn.into()),
            Frame::Done => self.done_came(book),
            Frame::Ack(runs) => {
                if self.outflow.acknowledged(runs)? > 0 {
                    self.progress();
                }
                self.settle(book)
            }
            Frame::Decline(log, code) => {
                self.decline(log, &String::from_utf8_lossy(&code), true)?;
                Ok(())
            }
            Frame::Want(want) => self.want_came(want, book),
            Frame::Receipt(receipt) => self.receipt_came(&receipt, book),
            Frame::Bye(code) => Err(ended_by_peer(code)),
        }
    }

    fn introduced(&mut self, path: &[u8], book: &mut dyn Shelf) -> Result<(), Reason> {
        let (None, Some(noise)) = (self.peer, self.noise) else { return Err(SessionRule::Turn.into()) };
        let (peer, path) = introduce(book, &self.credentials.founding, &noise, path)?;
        (self.peer, self.path) = (Some(peer), Some(path));
        self.tell(Event::PeerKnown(peer));
        self.begin_round(book)
    }

    fn run(&mut self, run: Vec<u8>, book: &mut dyn Shelf) -> Result<(), Reason> {
        let head = RunHead::read(&run, self.credentials.founding.incident());
        let head = head.map_err(|error| Reason::Run(error.into()))?;
        self.intake.push(run, head, self.now_ms);
        if self.intake.is_full(&self.limits) { self.store(book) } else { Ok(()) }
    }

    /// Stores the runs that arrived whole, and acknowledges them.
    pub(super) fn store(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        if self.intake.is_empty() {
            return Ok(());
        }
        let live = matches!(self.stage, Stage::Live);
        if live {
            self.push_news(book)?;
        }
        let (runs, heads) = self.intake.drain();
        let outcomes = book.take(&runs)?;
        let (mut refused, mut control, mut gap, mut new) = (None, false, false, 0);
        for (outcome, head) in outcomes.into_iter().zip(&heads) {
            match outcome {
                Outcome::Taken { new: added, known } => {
                    new += added;
                    self.intake.came += added + known;
                    control |= head.control;
                    if added > 0 {
                        self.tell(Event::Stored { log: head.log, seq: head.last });
                    }
                }
                Outcome::Declined(code) => gap |= self.not_taken(head.log, code)?,
                Outcome::Refused(error) => refused = refused.or(Some(error)),
            }
        }
        self.intake.new += new;
        self.intake.settled += runs.len() as u64;
        self.intake.unposted |= new > 0;
        let limits = self.limits;
        if let Some(credit) = &mut self.credit {
            credit.earn(&limits, new.saturating_mul(8));
        }
        if !matches!(self.stage, Stage::Transferring { .. }) {
            self.post(book)?;
        }
        if live {
            self.share(&heads, book)?;
        }
        if let Some(error) = refused {
            return Err(error.into());
        }
        self.say(&Frame::Ack(self.intake.settled))?;
        if new > 0 {
            self.progress();
        }
        if control
            && new > 0
            && let Some(path) = &self.path
        {
            let by_path = standing(book, path)?;
            self.peer = self.peer.map(|peer| Peer { by_path, ..peer });
        }
        if live && gap { self.begin_round(book) } else { Ok(()) }
    }

    /// Posts what was stored, so that people see it before anything is called synced.
    pub(super) fn post(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        if std::mem::take(&mut self.intake.unposted) {
            book.post()?;
        }
        Ok(())
    }

    /// A run was declined here. A log that cannot join is tried once more in a later round; true says so.
    fn not_taken(&mut self, log: LogId, code: &'static str) -> Result<bool, Reason> {
        let round = self.round.number;
        let tried = self.unjoined.get(&log).is_some_and(|before| *before < round);
        if code == "E-003" && !tried {
            if self.unjoined.len() >= self.limits.declined {
                return Err(SessionRule::TooMuch.into());
            }
            self.unjoined.entry(log).or_insert(round);
            return Ok(true);
        }
        if self.decline(log, code, false)? {
            let code = code.as_bytes().first_chunk::<5>().copied().unwrap_or(*b"E-003");
            self.say(&Frame::Decline(log, code))?;
        }
        Ok(false)
    }

    /// Leaves a log out; false if it was left out before.
    fn decline(&mut self, log: LogId, code: &str, by_peer: bool) -> Result<bool, Reason> {
        if self.declined.len() >= self.limits.declined {
            return Err(SessionRule::TooMuch.into());
        }
        let first = self.declined.insert(log);
        if first {
            self.tell(Event::Declined { log, code: code.to_owned(), by_peer });
        }
        Ok(first)
    }

    fn give_receipt(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        let Some(peer) = self.peer else { return Ok(()) };
        let frontier = super::receipt::frontier(&book.frontier()?);
        let device = &self.credentials.device;
        let incident = self.credentials.founding.incident();
        let signature = super::receipt::sign(device, incident, peer.device, &frontier);
        self.say(&Frame::Receipt(Receipt { frontier, signature }))
    }

    fn receipt_came(&mut self, receipt: &Receipt, book: &mut dyn Shelf) -> Result<(), Reason> {
        let Some(peer) = self.peer else { return Err(SessionRule::Turn.into()) };
        let own = self.credentials.device.public().device_id();
        let incident = self.credentials.founding.incident();
        super::receipt::verify(&peer.public, incident, own, receipt)?;
        self.store(book)?;
        let same = super::receipt::frontier(&book.frontier()?) == receipt.frontier;
        self.tell(Event::Receipt { device: peer.device, frontier: receipt.frontier, same });
        Ok(())
    }

    // What goes.

    /// Puts one more frame behind what waits; false if there is none.
    fn pump(&mut self, book: &mut dyn Shelf) -> Result<bool, Reason> {
        if self.outflow.may_send(&self.limits)
            && let Some(run) = self.outflow.next(book)?
        {
            self.wire.send(kind::RUN, &run.bytes)?;
            self.said_ms = self.now_ms;
            return Ok(true);
        }
        if self.owes_done() {
            self.say_done(book)?;
            return Ok(true);
        }
        Ok(false)
    }

    pub(super) fn say(&mut self, frame: &Frame<'_>) -> Result<(), Reason> {
        let (kind, payload) = frame.write();
        self.said_ms = self.now_ms;
        self.wire.send(kind, &payload)
    }

    // What is told and how it ends.

    pub(super) fn tell(&mut self, event: Event) {
        if self.events.len() >= EVENTS_MAX * 2 {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn progress(&mut self) {
        let progress = Event::Progress { sent: self.outflow.entries_acked, received: self.intake.came };
        if let Some(last @ Event::Progress { .. }) = self.events.back_mut() {
            *last = progress;
        } else {
            self.tell(progress);
        }
    }

    /// Runs a step; its failure ends the session.
    pub(super) fn attempt(
        &mut self,
        book: &mut dyn Shelf,
        step: impl FnOnce(&mut Self, &mut dyn Shelf) -> Result<(), Reason>,
    ) {
        if let Err(reason) = step(self, book) {
            self.end(reason, book);
        }
    }

    fn end(&mut self, reason: Reason, book: &mut dyn Shelf) {
        if self.is_ended() {
            return;
        }
        if !matches!(reason, Reason::Book(_) | Reason::Bug(_)) {
            // Whatever this meets, the first reason is the one that is told.
            let stored = self.store(book).and_then(|()| self.post(book));
            if let Err(error) = stored {
                tracing::debug!(code = error.code(), "the last runs of a session were not stored");
            }
        }
        if self.intake.bulk {
            self.intake.bulk = false;
            let _ = book.bulk(false);
        }
        if self.wire.is_open() {
            let code = reason.code().as_bytes().first_chunk::<5>().copied();
            let code = code.filter(|_| reason.is_peers_fault());
            if !matches!(reason, Reason::Cut | Reason::ClosedByPeer | Reason::EndedByPeer(_)) {
                let _ = self.say(&Frame::Bye(code));
            }
        } else {
            self.wire.silence();
        }
        self.stage = Stage::Ended;
        (self.round, self.outflow) = (Round::default(), Outflow::default());
        self.shared.clear();
        self.events.push_back(Event::Ended(reason));
    }

    /// Notes since when output waits that nobody takes.
    fn watch(&mut self) {
        self.stuck_since_ms = match self.stuck_since_ms {
            _ if self.wire.waiting() == 0 => None,
            None => Some(self.now_ms),
            since => since,
        };
    }
}

fn ended_by_peer(code: Option<[u8; 5]>) -> Reason {
    match code {
        None => Reason::ClosedByPeer,
        Some(code) => Reason::EndedByPeer(String::from_utf8_lossy(&code).into_owned()),
    }
}

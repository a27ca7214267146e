//! The session: what a driver calls, and what every frame leads to.

use super::former::Former;
use super::intake::{Assembly, Begun, Intake};
use super::limits::{Credit, EVENTS_MAX, Limits};
use super::outflow::Outflow;
use super::reason::{Reason, SessionRule};
use super::rounds::{Round, Set, Stage};
use super::shelf::Shelf;
use super::trie::TrieKey;
use super::wire::Wire;
use crate::clock::Host;
use crate::crypto::{AgreementPublic, DevicePublic, DeviceSecret, Secret};
use crate::id::{CompartmentId, DeviceId, EntryId, Incarnation, KeyId, LogId};
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
    /// The installation's run of the device.
    pub incarnation: Incarnation,
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
    PeerKnown(Box<Peer>),
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
    /// What a former member wrote is durable on the other side, as far as it was to be handed over, and it was told what
    /// concerns it. Nothing else was exchanged.
    HandedOver,
    /// The two sides differ in what neither could bring to the other; what is written from now on is pushed.
    Differs,
    /// One of the two is a former member by what the other knows: only what it wrote is taken, and it is told what concerns
    /// it.
    Former {
        /// Whether it is this side.
        here: bool,
    },
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
    /// The other side proved a flood that was not known here, or not so low.
    Flooded {
        /// The device that wrote it.
        device: DeviceId,
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
    pub(super) assembly: Assembly,
    pub(super) stage: Stage,
    pub(super) key: Option<TrieKey>,
    pub(super) noise: Option<AgreementPublic>,
    pub(super) peer: Option<Peer>,
    pub(super) path: Option<GrantPath>,
    pub(super) credit: Option<Credit>,
    pub(super) round: Round,
    pub(super) intake: Intake,
    /// What was kept of the run that is on its way in.
    pub(super) begun: Begun,
    pub(super) outflow: Outflow,
    pub(super) declined: BTreeSet<LogId>,
    /// Compartments that this side leaves out, and the other.
    pub(super) apart: BTreeSet<CompartmentId>,
    pub(super) their_apart: BTreeSet<CompartmentId>,
    /// What the other side is given as a former member, if it is one here; what this side is, if it is one there.
    pub(super) former: Option<Former>,
    pub(super) their_former: Option<BTreeMap<LogId, u64>>,
    /// The own device.
    pub(super) own: DeviceId,
    pub(super) unjoined: BTreeMap<LogId, u32>,
    /// Heads by number of the log that both sides hold, while live.
    pub(super) shared: BTreeMap<i64, Vec<(u64, EntryId)>>,
    /// Sets about which a round began with what changed since the last meeting.
    pub(super) recalled: BTreeSet<Set>,
    pub(super) wanted: bool,
    pub(super) wants_heard: usize,
    pub(super) keys_asked: BTreeSet<KeyId>,
    pub(super) events: VecDeque<Event>,
    pub(super) now_ms: u64,
    pub(super) started_ms: u64,
    pub(super) heard_ms: u64,
    pub(super) said_ms: u64,
    pub(super) stuck_since_ms: Option<u64>,
    /// Since when this side waits for the last receipt.
    pub(super) closing_ms: Option<u64>,
    pub(super) receipt_given: bool,
    /// Frontier of the last receipt that was given.
    pub(super) said_to_hold: Option<[u8; 32]>,
    /// Floods that the other side knows or was sent, and floods whose proofs are still to be sent.
    pub(super) floods_told: BTreeSet<[u8; 8]>,
    pub(super) floods_due: VecDeque<[u8; 32]>,
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
        let own = credentials.device.public().device_id();
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
            begun: Begun::default(),
            outflow: Outflow::default(),
            declined: BTreeSet::new(),
            apart: BTreeSet::new(),
            their_apart: BTreeSet::new(),
            former: None,
            their_former: None,
            own,
            unjoined: BTreeMap::new(),
            shared: BTreeMap::new(),
            recalled: BTreeSet::new(),
            wanted: false,
            wants_heard: 0,
            keys_asked: BTreeSet::new(),
            events: VecDeque::new(),
            now_ms,
            started_ms: now_ms,
            heard_ms: now_ms,
            said_ms: now_ms,
            stuck_since_ms: None,
            closing_ms: None,
            receipt_given: false,
            said_to_hold: None,
            floods_told: BTreeSet::new(),
            floods_due: VecDeque::new(),
        })
    }

    /// Takes bytes that came; returns how many. It takes fewer while too much waits to be sent or polled.
    pub fn receive(&mut self, bytes: &[u8], now_ms: u64, book: &mut dyn Shelf) -> usize {
        self.now_ms = now_ms.max(self.now_ms);
        let mut taken = 0;
        while taken < bytes.len() && self.wants_input() {
            let (count, came) = self.wire.receive(bytes.get(taken..).unwrap_or_default());
            taken += count;
            let handled = came.and_then(|came| self.came(&came, book));
            if let Err(reason) = handled {
                self.end(reason, book);
            }
        }
        if self.is_ended() {
            // What comes after the end is of no interest.
            return bytes.len();
        }
        if self.intake.due_ms(&self.limits).is_some_and(|due| due <= self.now_ms) {
            self.attempt(book, Self::store_all);
        } else if !self.intake.is_empty() && !matches!(self.stage, Stage::Transferring { .. }) {
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
        let due = !self.floods_due.is_empty() || self.outflow.may_send(&self.limits) || self.owes_done();
        self.wire.waiting() > 0 || (!self.is_ended() && due)
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
        let quiet = self.peer.is_some() && self.wire.waiting() == 0;
        let ping = quiet.then(|| self.said_ms.saturating_add(self.limits.ping_ms));
        let store = self.intake.due_ms(&self.limits);
        let closing = self.closing_ms.map(|since| since.saturating_add(self.limits.closing_ms));
        [Some(heard), stuck, ping, store, closing].into_iter().flatten().min()
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
        if self.closing_ms.is_some_and(|since| late(since, limits.closing_ms)) {
            self.end(Reason::Closed, book);
            return;
        }
        if self.intake.due_ms(&limits).is_some_and(|due| due <= now) {
            self.attempt(book, Self::store_all);
        }
        if self.peer.is_some() && late(self.said_ms, limits.ping_ms) && self.wire.waiting() == 0 {
            self.attempt(book, Self::say_alive);
        }
        self.watch();
    }

    /// Says that the book holds more than before: what is new is pushed, if the session is live. A peer whose grant
    /// fell meanwhile is served no more.
    pub fn notice(&mut self, now_ms: u64, book: &mut dyn Shelf) {
        self.now_ms = now_ms.max(self.now_ms);
        self.attempt(book, |session, book| {
            session.stand(book)?;
            session.tell_floods(book)?;
            if !matches!(session.stage, Stage::Live) {
                return Ok(());
            }
            session.push_news(book)?;
            session.look_at_scope(book)
        });
        self.watch();
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Ends in order: what arrived whole is stored, and if both agree they give each other a receipt first. Go on
    /// moving bytes until [`Event::Ended`]; it comes at once if this is called a second time.
    pub fn close(&mut self, now_ms: u64, book: &mut dyn Shelf) {
        self.now_ms = now_ms.max(self.now_ms);
        if matches!(self.stage, Stage::Live) && self.closing_ms.is_none() {
            self.closing_ms = Some(self.now_ms);
            self.attempt(book, Self::give_receipt);
        } else {
            self.end(Reason::Closed, book);
        }
        self.watch();
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

    /// How many entries were handed out in this session, whether they arrived or not.
    #[must_use]
    pub const fn entries_sent(&self) -> u64 {
        self.outflow.entries_sent
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
}

//! Rounds: both sides compare roots, find the logs that differ, and send each other what is missing, until the
//! roots agree.
//!
//! ```text
//! caller   roots ─┐ ┌─ ask ... heads ─────────────┐ ┌─ totals, runs, done ─┐
//! called   roots ─┘ └──── children, leaf ... heads ┘ └─ totals, runs, done ─┘  both: acknowledge, next round
//! ```

use super::frame::{Frame, Heads};
use super::limits::{FRAME_BYTES_MAX, LEAF_LOGS_MAX, NODES_PER_ASK_MAX};
use super::plan;
use super::reason::{Reason, SessionRule};
use super::session::{Event, Session, Side};
use super::shelf::{LogHeads, Piece, Shelf, Want};
use super::trie::{Fingerprint, Node, Record, Records, Short, TrieKey, differing};
use crate::id::{CONTROL, LogId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a look at all logs costs a peer, in bytes of frames.
pub const LOOK_BYTES: usize = 128 * 1024;

/// Where a session stands.
#[derive(Debug)]
pub enum Stage {
    /// Nothing is known of the other side yet.
    Introducing,
    /// Roots were sent.
    Comparing,
    /// The roots differ, and it is not known where.
    Descending,
    /// It is known what both lack.
    Transferring {
        /// Whether everything was sent.
        said_done: bool,
        /// Whether everything came.
        heard_done: bool,
    },
    /// Both agree.
    Live,
    /// Over.
    Ended,
}

/// Which logs a round is about.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Set {
    #[default]
    Control,
    Rest,
}

/// What a round knows.
#[derive(Default, Debug)]
pub struct Round {
    /// Counts rounds of this session.
    pub number: u32,
    /// Counts rounds since both agreed.
    since_agreed: u32,
    frontier: Vec<LogHeads>,
    control: Records,
    rest: Records,
    set: Set,
    /// Whether heads come with rungs.
    ladders: bool,
    /// Roots of the other side that came before this side was ready.
    early: Option<([u8; 16], [u8; 16])>,
    /// Nodes to ask for, and nodes that were asked for.
    ask: VecDeque<Node>,
    asked: BTreeSet<Node>,
    /// Logs that differ, and whether own heads were sent.
    differ: Vec<Fingerprint>,
    said_heads: bool,
    theirs: BTreeMap<Fingerprint, Heads>,
    to_send: u64,
    to_receive: Option<u64>,
}

impl Round {
    fn records(&self) -> &Records {
        match self.set {
            Set::Control => &self.control,
            Set::Rest => &self.rest,
        }
    }
}

impl Session {
    fn key(&self) -> Result<TrieKey, Reason> {
        self.key.ok_or(Reason::Bug("no handshake yet"))
    }

    /// Takes a look at the book and sends the roots of what is there.
    pub(super) fn begin_round(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        let key = self.key()?;
        let before = std::mem::take(&mut self.round);
        if before.since_agreed >= self.limits.rounds {
            return Err(SessionRule::Rounds.into());
        }
        let frontier = book.frontier()?;
        let control = Records::of(&key, &frontier, |log| self.takes(log) && log.compartment == CONTROL);
        let rest = Records::of(&key, &frontier, |log| self.takes(log) && log.compartment != CONTROL);
        let nothing_moved = before.to_send == 0 && before.to_receive == Some(0);
        self.round = Round {
            number: before.number + 1,
            since_agreed: before.since_agreed + 1,
            frontier,
            control,
            rest,
            set: before.set,
            // What the last round could not move needs a look behind the heads.
            ladders: nothing_moved,
            early: before.early,
            // Both know from the last round whether this one would be the same again.
            to_receive: (nothing_moved && before.ladders).then_some(0),
            ..Round::default()
        };
        let (control, rest) = (self.round.control.root(&key), self.round.rest.root(&key));
        self.say(&Frame::Roots(control, rest))?;
        self.stage = Stage::Comparing;
        match self.round.early.take() {
            Some((control, rest)) => self.compare(control, rest, book),
            None => Ok(()),
        }
    }

    fn takes(&self, log: &LogHeads) -> bool {
        !self.declined.contains(&log.log)
    }

    /// What the book holds of all that this session is about.
    pub(super) fn in_scope(&self, book: &mut dyn Shelf) -> Result<Vec<LogHeads>, Reason> {
        let mut held = book.frontier()?;
        held.retain(|log| self.takes(log));
        Ok(held)
    }

    pub(super) fn roots_came(&mut self, control: [u8; 16], rest: [u8; 16], book: &mut dyn Shelf) -> Result<(), Reason> {
        match self.stage {
            Stage::Comparing => self.compare(control, rest, book),
            Stage::Live => {
                // A look at the whole book, which a peer may ask for now and then.
                self.charge(LOOK_BYTES)?;
                self.round.early = Some((control, rest));
                self.begin_round(book)
            }
            Stage::Transferring { .. } if self.round.early.is_none() => {
                self.round.early = Some((control, rest));
                Ok(())
            }
            Stage::Transferring { .. } | Stage::Introducing | Stage::Descending | Stage::Ended => {
                Err(SessionRule::Turn.into())
            }
        }
    }

    /// Both sides know both pairs of roots here, and so decide alike.
    fn compare(&mut self, control: [u8; 16], rest: [u8; 16], book: &mut dyn Shelf) -> Result<(), Reason> {
        let key = self.key()?;
        let set = if self.round.control.root(&key) != control {
            Set::Control
        } else if self.round.rest.root(&key) != rest {
            Set::Rest
        } else {
            return self.agree(Event::InSync, book);
        };
        let same_set = std::mem::replace(&mut self.round.set, set) == set;
        self.round.ladders &= same_set;
        if same_set && self.round.to_receive.take() == Some(0) {
            return self.agree(Event::Differs, book);
        }
        self.round.to_receive = None;
        self.stage = Stage::Descending;
        if self.side == Side::Caller {
            self.round.ask.push_back(Node::ROOT);
            self.ask_on(book)?;
        }
        Ok(())
    }

    /// From here on both hold the same, or cannot help each other.
    fn agree(&mut self, event: Event, book: &mut dyn Shelf) -> Result<(), Reason> {
        self.post(book)?;
        self.stage = Stage::Live;
        let frontier = std::mem::take(&mut self.round.frontier);
        self.shared = frontier.into_iter().map(|log| (log.number, heads_of(&log))).collect();
        self.round = Round { number: self.round.number, set: self.round.set, ..Round::default() };
        self.tell(event);
        if !std::mem::replace(&mut self.wanted, true) {
            let wants = book.wants()?;
            for want in wants.into_iter().take(self.limits.wants) {
                self.say(&Frame::Want(want))?;
            }
        }
        self.ask_keys(book)?;
        self.push_news(book)
    }

    // Finding what differs: the caller asks, the called side answers.

    fn ask_on(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        if !self.round.asked.is_empty() {
            return Ok(());
        }
        let count = self.round.ask.len().min(NODES_PER_ASK_MAX);
        let nodes: Vec<Node> = self.round.ask.drain(..count).collect();
        if nodes.is_empty() || self.round.differ.len() >= self.limits.logs_per_round {
            self.round.differ.sort_unstable();
            self.round.differ.dedup();
            self.round.differ.truncate(self.limits.logs_per_round);
            return self.say_heads(book);
        }
        self.round.asked.extend(&nodes);
        self.say(&Frame::Ask(nodes))
    }

    pub(super) fn asked(&mut self, nodes: &[Node]) -> Result<(), Reason> {
        if !matches!(self.stage, Stage::Descending) || self.side == Side::Caller || self.round.said_heads {
            return Err(SessionRule::Turn.into());
        }
        let key = self.key()?;
        for node in nodes {
            let price = self.round.records().node(node).len() * 4;
            self.charge(price)?;
            let records = self.round.records().node(node);
            let frame = if records.len() <= LEAF_LOGS_MAX {
                Frame::Leaf(*node, records.to_vec())
            } else {
                let mut children: [Short; 16] = [[0; 8]; 16];
                for (digit, hash) in (0..16).zip(&mut children) {
                    let child = node.child(digit).ok_or(SessionRule::Frame)?;
                    *hash = self.round.records().hash(&key, &child);
                }
                Frame::Children(*node, children)
            };
            self.say(&frame)?;
        }
        Ok(())
    }

    pub(super) fn children_came(
        &mut self,
        node: Node,
        children: &[Short; 16],
        book: &mut dyn Shelf,
    ) -> Result<(), Reason> {
        if !self.round.asked.remove(&node) {
            return Err(SessionRule::Turn.into());
        }
        let key = self.key()?;
        for (digit, theirs) in (0..16).zip(children) {
            let child = node.child(digit).ok_or(SessionRule::Frame)?;
            if self.round.records().hash(&key, &child) != *theirs {
                self.round.ask.push_back(child);
            }
        }
        self.ask_on(book)
    }

    pub(super) fn leaf_came(&mut self, node: Node, records: &[Record], book: &mut dyn Shelf) -> Result<(), Reason> {
        if !self.round.asked.remove(&node) {
            return Err(SessionRule::Turn.into());
        }
        let found = differing(self.round.records().node(&node), records);
        self.round.differ.extend(found);
        self.ask_on(book)
    }

    /// Sends the own heads of all logs that differ.
    fn say_heads(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        self.round.said_heads = true;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for log in self.round.differ.clone() {
            let heads = match self.round.records().find(log).and_then(|at| self.round.frontier.get(at)) {
                Some(held) => plan::heads(book, held, self.round.ladders)?,
                None => Vec::new(),
            };
            let heads = Heads { log, heads };
            let mut written = Vec::new();
            heads.write(&mut written);
            if bytes + written.len() + 2 >= FRAME_BYTES_MAX {
                self.say(&Frame::Heads(false, std::mem::take(&mut batch)))?;
                bytes = 0;
            }
            bytes += written.len();
            batch.push(heads);
        }
        self.say(&Frame::Heads(true, batch))
    }

    pub(super) fn heads_came(&mut self, last: bool, heads: Vec<Heads>, book: &mut dyn Shelf) -> Result<(), Reason> {
        let caller = self.side == Side::Caller;
        if !matches!(self.stage, Stage::Descending) || caller != self.round.said_heads {
            return Err(SessionRule::Turn.into());
        }
        for heads in heads {
            let expected = !caller || self.round.differ.binary_search(&heads.log).is_ok();
            if !expected || self.round.theirs.len() >= self.limits.logs_per_round {
                return Err(SessionRule::Turn.into());
            }
            if !caller {
                self.round.differ.push(heads.log);
            }
            self.round.theirs.insert(heads.log, heads);
        }
        if !last {
            return Ok(());
        }
        if !caller {
            self.say_heads(book)?;
        }
        self.plan(book)
    }

    // Sending what is missing.

    fn plan(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        let mut pieces: Vec<((crate::id::Lane, LogId), Vec<Piece>)> = Vec::new();
        for (log, theirs) in std::mem::take(&mut self.round.theirs) {
            let held = self.round.records().find(log).and_then(|at| self.round.frontier.get(at));
            let Some(held) = held else { continue };
            let missing = plan::missing(book, held, &theirs.heads, self.round.ladders)?;
            if !missing.is_empty() {
                pieces.push(((held.lane, held.log), missing));
            }
        }
        pieces.sort_unstable_by_key(|(order, _)| *order);
        let logs = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
        let entries = pieces.iter().flat_map(|(_, pieces)| pieces).map(|piece| piece.to + 1 - piece.from).sum();
        self.round.to_send = entries;
        self.outflow.add(pieces.into_iter().flat_map(|(_, pieces)| pieces));
        self.stage = Stage::Transferring { said_done: false, heard_done: false };
        self.say(&Frame::Totals(entries, logs))
    }

    pub(super) fn totals_came(&mut self, entries: u64) -> Result<(), Reason> {
        // The called side sends its totals right behind its heads, so they find the caller ready.
        if !matches!(self.stage, Stage::Transferring { .. }) || self.round.to_receive.is_some() {
            return Err(SessionRule::Turn.into());
        }
        self.round.to_receive = Some(entries);
        let to_send = self.round.to_send;
        self.tell(Event::Totals { to_send, to_receive: entries });
        Ok(())
    }

    /// Whether the other side waits to hear that nothing more comes.
    pub(super) fn owes_done(&self) -> bool {
        matches!(self.stage, Stage::Transferring { said_done: false, .. }) && self.outflow.is_empty()
    }

    pub(super) fn say_done(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        if let Stage::Transferring { said_done, .. } = &mut self.stage {
            *said_done = true;
        }
        self.say(&Frame::Done)?;
        self.settle(book)
    }

    pub(super) fn done_came(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        let ready = self.round.to_receive.is_some();
        let Stage::Transferring { heard_done: heard_done @ false, .. } = &mut self.stage else {
            return Err(SessionRule::Turn.into());
        };
        if !ready {
            return Err(SessionRule::Turn.into());
        }
        *heard_done = true;
        self.store(book)?;
        self.post(book)?;
        self.settle(book)
    }

    /// Begins the next round once both sides sent everything and all of it is durable.
    pub(super) fn settle(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        let over = matches!(self.stage, Stage::Transferring { said_done: true, heard_done: true });
        if over && self.outflow.is_settled() && self.intake.is_empty() { self.begin_round(book) } else { Ok(()) }
    }

    // Live.

    /// Sends what the book holds and the other side does not, as far as this session knows.
    pub(super) fn push_news(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        let logs = book.frontier()?;
        self.push(logs, book)
    }

    /// As [`Session::push_news`], of some logs.
    pub(super) fn push_news_of(&mut self, logs: &BTreeSet<LogId>, book: &mut dyn Shelf) -> Result<(), Reason> {
        let mut held = Vec::new();
        for log in logs {
            held.extend(book.heads(log)?);
        }
        self.push(held, book)
    }

    fn push(&mut self, logs: Vec<LogHeads>, book: &mut dyn Shelf) -> Result<(), Reason> {
        let mut pieces = Vec::new();
        for log in logs {
            let heads = heads_of(&log);
            let before = self.shared.get(&log.number);
            if before == Some(&heads) || !self.takes(&log) {
                continue;
            }
            let theirs: Vec<_> = before.into_iter().flatten().map(|(seq, id)| head(*seq, *id)).collect();
            pieces.push(((log.lane, log.log), plan::missing(book, &log, &theirs, true)?));
            self.shared.insert(log.number, heads);
        }
        pieces.sort_unstable_by_key(|(order, _)| *order);
        self.outflow.add(pieces.into_iter().flat_map(|(_, pieces)| pieces));
        Ok(())
    }

    /// Notes that the other side holds of some logs what the book now holds.
    pub(super) fn share(&mut self, logs: &BTreeSet<LogId>, book: &mut dyn Shelf) -> Result<(), Reason> {
        for log in logs {
            if let Some(log) = book.heads(log)? {
                self.shared.insert(log.number, heads_of(&log));
            }
        }
        Ok(())
    }

    pub(super) fn want_came(&mut self, want: Want, book: &mut dyn Shelf) -> Result<(), Reason> {
        self.wants_heard += 1;
        if self.wants_heard > self.limits.wants {
            return Err(SessionRule::TooMuch.into());
        }
        let Some(log) = book.heads(&want.log)? else { return Ok(()) };
        let clip = |branch: &crate::store::BranchOf| {
            let (from, to) = (want.from.max(branch.fork_seq + 1), want.to.min(branch.tip_seq));
            (from <= to).then_some(Piece { log: log.number, branch: branch.branch, from, to })
        };
        self.outflow.add(log.branches.iter().filter_map(clip));
        Ok(())
    }
}

fn heads_of(log: &LogHeads) -> Vec<(u64, crate::id::EntryId)> {
    log.branches.iter().map(|branch| (branch.tip_seq, branch.tip_id)).collect()
}

fn head(seq: u64, id: crate::id::EntryId) -> super::frame::Head {
    super::frame::Head { seq, id, rungs: Vec::new() }
}

//! Rounds: both sides compare roots, find the logs that differ, and send each other what is missing, until the
//! roots agree.
//!
//! ```text
//! caller   roots ─┐ ┌─ ask ... heads ─────────────┐ ┌─ totals, runs, done ─┐
//! called   roots ─┘ └──── children, leaf ... heads ┘ └─ totals, runs, done ─┘  both: acknowledge, next round
//! ```
//!
//! Two who noted the same when they last agreed need not ask in the first round about a set: each says the heads
//! of what changed since then, both at the same time, and what neither names is as it was.

use super::frame::{Begun, Frame, Head, Heads};
use super::limits::{
    APART_MAX, BEGUN_MAX, BEGUN_PER_FRAME_MAX, BEGUN_PER_LOG_MAX, FRAME_BYTES_MAX, LEAF_LOGS_MAX, NODES_PER_ASK_MAX,
};
use super::plan;
use super::reason::{Reason, SessionRule};
use super::session::{Event, Session, Side};
use super::shelf::{LogHeads, Piece, Shelf, Want};
use super::trie::{Fingerprint, Node, Record, Records, Short, TrieKey, differing};
use crate::id::{CONTROL, CompartmentId, EntryId, LogId};
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

/// Places and ids of entries, by log.
type Ends = BTreeMap<Fingerprint, Vec<(u64, EntryId)>>;

/// Which logs a round is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub enum Set {
    /// The control logs.
    #[default]
    Control,
    /// All others.
    Rest,
}

/// What one side says of all that it holds.
#[derive(Clone, Copy, Debug)]
pub struct Roots {
    /// The root of the control logs.
    pub control: [u8; 16],
    /// The root of all others.
    pub rest: [u8; 16],
    /// Names what both held when they last agreed, if that was noted.
    pub since: Option<Short>,
}

/// What was said of what is exchanged, since the roots before.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Scope {
    /// Nothing.
    #[default]
    AsBefore,
    /// Either side leaves out something else than before: roots that it sent just then say nothing to the other.
    Changed,
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
    early: Option<Roots>,
    /// What both held when they last agreed, as far as it was noted here, and how it is named.
    met: Ends,
    since: Option<Short>,
    /// Whether both begin with what changed since then.
    recalls: bool,
    /// Where beginnings of runs end that are kept here, and on the other side.
    begun: Ends,
    their_begun: Ends,
    begun_heard: usize,
    scope: Scope,
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

    /// The log with a fingerprint, if it is held.
    fn held(&self, log: Fingerprint) -> Option<&LogHeads> {
        self.records().find(log).and_then(|at| self.frontier.get(at))
    }

    /// The beginnings that are kept of logs that differ; of all, where it is not asked which these are.
    fn begun_to_say(&self) -> Vec<Begun> {
        let differs = |log: &Fingerprint| self.recalls || self.differ.binary_search(log).is_ok();
        let ends = self.begun.iter().filter(|(log, _)| differs(log));
        ends.flat_map(|(log, ends)| ends.iter().map(|(seq, id)| Begun { log: *log, seq: *seq, id: *id })).collect()
    }

    /// The logs of one set whose heads are others than when both last agreed, in rising order.
    fn changed(&self, records: &Records) -> Vec<Fingerprint> {
        let as_it_was = |log: Fingerprint, at: usize| {
            let now = self.frontier.get(at).map(heads_of);
            now.as_ref() == self.met.get(&log)
        };
        records.logs().filter(|(log, at)| !as_it_was(*log, *at)).map(|(log, _)| log).collect()
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
        let scope = self.say_scope(book)?;
        let frontier = self.look(book)?;
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
            scope: if before.scope == Scope::Changed { Scope::Changed } else { scope },
            begun: begun_here(&key, book)?,
            // Both know from the last round whether this one would be the same again.
            to_receive: (nothing_moved && before.ladders).then_some(0),
            ..Round::default()
        };
        self.recall(&key, book)?;
        let (control, rest) = (self.round.control.root(&key), self.round.rest.root(&key));
        self.say(&Frame::Roots(control, rest, self.round.since))?;
        self.stage = Stage::Comparing;
        match self.round.early.take() {
            Some(roots) => self.compare(roots, book),
            None => Ok(()),
        }
    }

    /// Looks up what both held when they last agreed, if what changed since then can be told in one round.
    fn recall(&mut self, key: &TrieKey, book: &mut dyn Shelf) -> Result<(), Reason> {
        let Some(peer) = self.peer.filter(|_| self.recalled.len() < 2 && !self.is_narrow()) else { return Ok(()) };
        let met = book.met(peer.device)?;
        if met.is_empty() {
            return Ok(());
        }
        let since = key.since(&super::receipt::frontier(&super::receipt::heads_of(&met)));
        for (log, mut heads) in met {
            heads.sort_unstable();
            self.round.met.insert(key.fingerprint(&log), heads);
        }
        let most = self.limits.logs_per_round;
        let round = &self.round;
        let few = [&round.control, &round.rest].iter().all(|records| round.changed(records).len() <= most);
        self.round.since = few.then_some(since);
        Ok(())
    }

    fn takes(&self, log: &LogHeads) -> bool {
        !self.declined.contains(&log.log) && !self.is_apart(&log.compartment) && self.concerns(log)
    }

    /// Whether nothing of a compartment is exchanged.
    pub(super) fn is_apart(&self, compartment: &CompartmentId) -> bool {
        self.apart.contains(compartment) || self.their_apart.contains(compartment)
    }

    /// Says what is exchanged, if that is something else than before.
    fn say_scope(&mut self, book: &mut dyn Shelf) -> Result<Scope, Reason> {
        let (former, apart) = (self.say_former(book)?, self.say_apart(book)?);
        Ok(if former == Scope::Changed { former } else { apart })
    }

    /// From here on something else is exchanged than before.
    pub(super) fn scope_changed(&mut self) {
        self.round.scope = Scope::Changed;
    }

    /// Compartments that this side leaves out now.
    fn apart_now(&self, book: &mut dyn Shelf) -> Result<BTreeSet<CompartmentId>, Reason> {
        let mut apart = match (self.peer, &self.former, &self.their_former) {
            (Some(peer), None, None) => book.apart(&peer)?,
            (Some(peer), Some(_), _) => book.apart_from_former(&peer)?,
            (None, ..) | (_, None, Some(_)) => BTreeSet::new(),
        };
        // Control is for everybody.
        apart.remove(&CONTROL);
        Ok(apart)
    }

    /// Says which compartments this side leaves out, if these are others than before.
    fn say_apart(&mut self, book: &mut dyn Shelf) -> Result<Scope, Reason> {
        let apart = self.apart_now(book)?;
        if apart == self.apart {
            return Ok(Scope::AsBefore);
        }
        self.say(&Frame::Apart(apart.iter().copied().take(APART_MAX).collect()))?;
        self.apart = apart;
        Ok(Scope::Changed)
    }

    pub(super) fn apart_came(&mut self, apart: Vec<CompartmentId>) -> Result<(), Reason> {
        if !matches!(self.stage, Stage::Comparing | Stage::Live | Stage::Transferring { .. }) {
            return Err(SessionRule::Turn.into());
        }
        self.their_apart = apart.into_iter().filter(|compartment| *compartment != CONTROL).collect();
        self.scope_changed();
        Ok(())
    }

    /// Begins a round if by the roster as it is now something else is exchanged than before.
    pub(super) fn look_at_scope(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        let same = self.apart_now(book)? == self.apart && self.concerning_now(book)?.is_none();
        if same { Ok(()) } else { self.begin_round(book) }
    }

    /// What the book holds of all that this session is about.
    pub(super) fn in_scope(&self, book: &mut dyn Shelf) -> Result<Vec<LogHeads>, Reason> {
        let mut held = self.look(book)?;
        held.retain(|log| self.takes(log));
        Ok(held)
    }

    pub(super) fn roots_came(&mut self, roots: Roots, book: &mut dyn Shelf) -> Result<(), Reason> {
        match self.stage {
            Stage::Comparing => self.compare(roots, book),
            Stage::Live => {
                // A look at the whole book, which a peer may ask for now and then.
                self.charge(LOOK_BYTES)?;
                self.round.early = Some(roots);
                self.begin_round(book)
            }
            Stage::Transferring { .. } if self.round.early.is_none() => {
                self.round.early = Some(roots);
                Ok(())
            }
            Stage::Transferring { .. } | Stage::Introducing | Stage::Descending | Stage::Ended => {
                Err(SessionRule::Turn.into())
            }
        }
    }

    /// Both sides know both pairs of roots here, and so decide alike.
    fn compare(&mut self, theirs: Roots, book: &mut dyn Shelf) -> Result<(), Reason> {
        if std::mem::take(&mut self.round.scope) == Scope::Changed {
            // Both know that one of them said so before its roots: both look again.
            return self.begin_round(book);
        }
        let key = self.key()?;
        let set = if self.round.control.root(&key) != theirs.control {
            Set::Control
        } else if self.round.rest.root(&key) != theirs.rest {
            Set::Rest
        } else {
            return self.agree(if self.is_narrow() { Event::HandedOver } else { Event::InSync }, book);
        };
        let same_set = std::mem::replace(&mut self.round.set, set) == set;
        self.round.ladders &= same_set;
        if same_set && self.round.to_receive.take() == Some(0) {
            return self.agree(Event::Differs, book);
        }
        self.round.to_receive = None;
        self.stage = Stage::Descending;
        let same_since = self.round.since.is_some() && self.round.since == theirs.since;
        if same_since && self.recalled.insert(set) {
            self.round.recalls = true;
            self.round.differ = self.round.changed(self.round.records());
            return self.say_heads(book);
        }
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
        if event == Event::InSync
            && let Some(peer) = self.peer
        {
            // Both sides note the same: the logs over which the roots agreed.
            let agreed: Vec<LogHeads> = frontier.iter().filter(|log| self.takes(log)).cloned().collect();
            book.agreed(peer.device, &agreed)?;
        }
        self.shared = frontier.into_iter().map(|log| (log.number, heads_of(&log))).collect();
        self.round = Round { number: self.round.number, set: self.round.set, ..Round::default() };
        self.tell(event);
        if !self.is_narrow() && !std::mem::replace(&mut self.wanted, true) {
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
        let begun = self.round.begun_to_say();
        for begun in begun.chunks(BEGUN_PER_FRAME_MAX) {
            self.say(&Frame::Begun(begun.to_vec()))?;
        }
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for log in self.round.differ.clone() {
            let heads = match self.round.held(log) {
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
        let (caller, recalls) = (self.side == Side::Caller, self.round.recalls);
        if !self.hears_heads() {
            return Err(SessionRule::Turn.into());
        }
        for heads in heads {
            let expected = recalls || !caller || self.round.differ.binary_search(&heads.log).is_ok();
            if !expected || self.round.theirs.len() >= self.limits.logs_per_round {
                return Err(SessionRule::Turn.into());
            }
            if !caller && !recalls {
                self.round.differ.push(heads.log);
            }
            self.round.theirs.insert(heads.log, heads);
        }
        if !last {
            return Ok(());
        }
        if recalls {
            self.add_what_did_not_change();
        } else if !caller {
            self.say_heads(book)?;
        }
        self.plan(book)
    }

    /// Whether the other side has to say its heads now.
    fn hears_heads(&self) -> bool {
        let turn = self.round.recalls || (self.side == Side::Caller) == self.round.said_heads;
        matches!(self.stage, Stage::Descending) && turn
    }

    /// What changed here and is not named by the other side is there as it was when both agreed.
    fn add_what_did_not_change(&mut self) {
        for log in std::mem::take(&mut self.round.differ) {
            let before = self.round.met.get(&log).into_iter().flatten();
            let heads = || Heads { log, heads: before.map(|(seq, id)| head(*seq, *id)).collect() };
            self.round.theirs.entry(log).or_insert_with(heads);
        }
    }

    pub(super) fn begun_came(&mut self, begun: &[Begun]) -> Result<(), Reason> {
        self.round.begun_heard += begun.len();
        if !self.hears_heads() || self.round.begun_heard > BEGUN_MAX {
            return Err(SessionRule::Turn.into());
        }
        for begun in begun {
            self.round.their_begun.entry(begun.log).or_default().push((begun.seq, begun.id));
        }
        Ok(())
    }

    // Sending what is missing.

    fn plan(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        let mut pieces: Vec<((crate::id::Lane, LogId), Vec<Piece>)> = Vec::new();
        for (log, theirs) in std::mem::take(&mut self.round.theirs) {
            let Some(held) = self.round.held(log).filter(|held| self.gives(held)) else { continue };
            let begun = self.round.their_begun.get(&log).map_or(&[][..], Vec::as_slice);
            let missing = plan::missing(book, held, (&theirs.heads, begun), self.round.ladders)?;
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
        let logs = self.look(book)?;
        self.push(logs, book)
    }

    /// As [`Session::push_news`], of some logs.
    pub(super) fn push_news_of(&mut self, logs: &BTreeSet<LogId>, book: &mut dyn Shelf) -> Result<(), Reason> {
        let mut held = Vec::new();
        for log in logs {
            if let Some(mut log) = book.heads(log)? {
                self.cut(&mut log, book)?;
                held.push(log);
            }
        }
        self.push(held, book)
    }

    fn push(&mut self, logs: Vec<LogHeads>, book: &mut dyn Shelf) -> Result<(), Reason> {
        let mut pieces = Vec::new();
        for log in logs {
            let heads = heads_of(&log);
            let before = self.shared.get(&log.number);
            if before == Some(&heads) || !self.takes(&log) || !self.gives(&log) {
                continue;
            }
            let theirs: Vec<_> = before.into_iter().flatten().map(|(seq, id)| head(*seq, *id)).collect();
            pieces.push(((log.lane, log.log), plan::missing(book, &log, (&theirs, &[]), true)?));
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
        let wanted = |log: &LogHeads| self.takes(log) && self.former.is_none();
        let Some(log) = book.heads(&want.log)?.filter(wanted) else { return Ok(()) };
        let clip = |branch: &crate::store::BranchOf| {
            let (from, to) = (want.from.max(branch.fork_seq + 1), want.to.min(branch.tip_seq));
            (from <= to).then_some(Piece { log: log.number, branch: branch.branch, from, to })
        };
        self.outflow.add(log.branches.iter().filter_map(clip));
        Ok(())
    }
}

/// Where beginnings of runs end that are kept here, by log.
fn begun_here(key: &TrieKey, book: &mut dyn Shelf) -> Result<Ends, Reason> {
    let mut by_log = Ends::new();
    for (log, seq, id) in book.begun()?.into_iter().take(BEGUN_MAX) {
        let ends = by_log.entry(key.fingerprint(&log)).or_default();
        if ends.len() < BEGUN_PER_LOG_MAX {
            ends.push((seq, id));
        }
    }
    Ok(by_log)
}

fn heads_of(log: &LogHeads) -> Vec<(u64, EntryId)> {
    let mut heads: Vec<(u64, EntryId)> = log.branches.iter().map(|branch| (branch.tip_seq, branch.tip_id)).collect();
    heads.sort_unstable();
    heads
}

fn head(seq: u64, id: EntryId) -> Head {
    Head { seq, id, rungs: Vec::new() }
}

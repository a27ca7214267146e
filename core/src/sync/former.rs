//! Former members: their grants do not hold here any more. What such a device wrote is taken, and waits for review as
//! the rules say; it is given the control entries that concern it, so that it learns why, and nothing else.
//!
//! The side that serves says so before its roots, and names the control logs of others that hold what concerns the
//! device. From then on both look at these, up to the places named, and at what that device wrote. Of two who are
//! former members to each other neither hands anything over.

use super::frame::Frame;
use super::introduction::{Served, served};
use super::limits::CONCERNING_MAX;
use super::reason::{Reason, SessionRule};
use super::rounds::{Scope, Stage};
use super::session::{Event, Peer, Session};
use super::shelf::{LogHeads, Shelf, Trouble};
use crate::id::{CONTROL, LogId};
use crate::store::BranchOf;
use std::collections::BTreeMap;

/// What a former member is given: control logs of others, each with the last place that concerns it.
#[derive(Default, Debug)]
pub(super) struct Former {
    logs: BTreeMap<LogId, u64>,
    /// Whether the other side was told.
    said: bool,
}

impl Session {
    /// Asks how the peer is served: the control set may have changed. Once a former member, it is one until the session
    /// ends.
    pub(super) fn stand(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        let (Some(peer), Some(path)) = (self.peer, &self.path) else { return Ok(()) };
        let served = served(book, peer.device, path)?;
        self.peer = Some(Peer { by_path: served == Served::ByPath, ..peer });
        if served == Served::Former && self.former.is_none() {
            self.former = Some(Former::default());
            self.outflow.narrow(peer.device);
            self.tell(Event::Former { here: false });
        }
        Ok(())
    }

    /// Whether only what a former member wrote and what concerns it is exchanged.
    pub(super) const fn is_narrow(&self) -> bool {
        self.former.is_some() || self.their_former.is_some()
    }

    /// Whether a log has to do with who is a former member here or there; every log, where nobody is.
    pub(super) fn concerns(&self, log: &LogHeads) -> bool {
        let is_peers = self.peer.is_some_and(|peer| peer.device == log.device);
        let ours = self.former.as_ref().map(|former| former.logs.contains_key(&log.log));
        let theirs = self.their_former.as_ref().map(|logs| logs.contains_key(&log.log));
        match (ours, theirs) {
            (None, None) => true,
            (Some(named), None) => named || is_peers,
            (None, Some(named)) => named || log.device == self.own,
            (Some(ours), Some(theirs)) => ours || theirs,
        }
    }

    /// Whether entries of a log are given to the other side. A former member is given what concerns it, its own control
    /// entries too, and gives what it wrote.
    pub(super) fn gives(&self, log: &LogHeads) -> bool {
        let is_peers = self.peer.is_some_and(|peer| peer.device == log.device);
        match (&self.former, &self.their_former) {
            (None, None) => true,
            (Some(former), _) => former.logs.contains_key(&log.log) || (is_peers && log.compartment == CONTROL),
            (None, Some(_)) => log.device == self.own,
        }
    }

    /// All logs as this session sees them: of those that concern a former member what lies up to the places named.
    pub(super) fn look(&self, book: &mut dyn Shelf) -> Result<Vec<LogHeads>, Reason> {
        let mut logs = book.frontier()?;
        if self.is_narrow() {
            for log in &mut logs {
                self.cut(log, book)?;
            }
            logs.retain(|log| !log.branches.is_empty());
        }
        Ok(logs)
    }

    /// Leaves out of a log what lies past the place that is named of it.
    pub(super) fn cut(&self, log: &mut LogHeads, book: &mut dyn Shelf) -> Result<(), Reason> {
        let ours = self.former.as_ref().and_then(|former| former.logs.get(&log.log));
        let theirs = self.their_former.as_ref().and_then(|logs| logs.get(&log.log));
        let Some(place) = ours.max(theirs).copied() else { return Ok(()) };
        log.branches.retain(|branch| branch.fork_seq < place);
        for BranchOf { branch, tip_seq, tip_id, .. } in log.branches.iter_mut().filter(|row| row.tip_seq > place) {
            let id = book.entry_id(log.number, *branch, place)?;
            *tip_id = id.ok_or_else(|| Trouble("an entry of a log is missing".into()))?;
            *tip_seq = place;
        }
        Ok(())
    }

    /// Tells a former member that it is one, if it was not told or something more concerns it.
    pub(super) fn say_former(&mut self, book: &mut dyn Shelf) -> Result<Scope, Reason> {
        let Some(logs) = self.concerning_now(book)? else { return Ok(Scope::AsBefore) };
        self.say(&Frame::Former(logs.iter().map(|(log, place)| (*log, *place)).collect()))?;
        self.former = Some(Former { logs, said: true });
        Ok(Scope::Changed)
    }

    /// What concerns the other side as a former member, if it was not told all of that.
    pub(super) fn concerning_now(&self, book: &mut dyn Shelf) -> Result<Option<BTreeMap<LogId, u64>>, Reason> {
        let (Some(former), Some(peer)) = (&self.former, self.peer) else { return Ok(None) };
        let mut logs = book.concerning(peer.device)?;
        while logs.len() > CONCERNING_MAX {
            logs.pop_last();
        }
        Ok((!former.said || logs != former.logs).then_some(logs))
    }

    /// The other side says that this device is a former member there.
    pub(super) fn former_came(&mut self, logs: Vec<(LogId, u64)>) -> Result<(), Reason> {
        if !matches!(self.stage, Stage::Comparing | Stage::Live | Stage::Transferring { .. }) {
            return Err(SessionRule::Turn.into());
        }
        if self.their_former.replace(logs.into_iter().collect()).is_none() {
            self.tell(Event::Former { here: true });
        }
        self.scope_changed();
        Ok(())
    }
}

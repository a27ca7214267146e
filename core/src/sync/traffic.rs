//! What every frame leads to, what is said, and how a session ends.

use super::frame::{Frame, Receipt, kind};
use super::intake::{Begun, RunHead, Whole};
use super::introduction::introduce;
use super::limits::{Credit, EVENTS_MAX};
use super::reason::{Reason, SessionRule};
use super::receipt;
use super::rounds::{LOOK_BYTES, Roots, Round, Stage};
use super::session::{Credentials, Event, Peer, Session};
use super::shelf::{Kept, LogHeads, Outcome, Shelf};
use super::trie::TrieKey;
use super::wire::{Came, Opened};
use crate::id::{DeviceId, LogId};
use crate::log::{Beginning, Run};
use crate::log::{Proof, ProofError};
use std::collections::BTreeSet;

impl Session {
    // What comes.

    pub(super) fn came(&mut self, came: &Came, book: &mut dyn Shelf) -> Result<(), Reason> {
        match came {
            Came::Nothing => Ok(()),
            Came::Opened(Opened { handshake, theirs }) => {
                self.key = Some(TrieKey::new(handshake));
                self.noise = Some(*theirs);
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
                    Some(whole) => self.frame(whole, book),
                    None if self.peer.is_none() && self.assembly_is_not_a_path() => Err(SessionRule::Turn.into()),
                    None => {
                        if self.assembly.unfinished_run().is_some() {
                            self.intake.wait(self.now_ms);
                        }
                        Ok(())
                    }
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

    fn frame(&mut self, whole: Whole, book: &mut dyn Shelf) -> Result<(), Reason> {
        if whole.number == kind::RUN && self.peer.is_some() {
            return self.run(whole, book);
        }
        let Whole { number, payload, .. } = whole;
        let frame = Frame::read(number, &payload)?;
        match (&self.peer, &frame) {
            (None, Frame::Path(_)) | (Some(_), _) => {}
            (None, Frame::Bye(code)) => return Err(ended_by_peer(*code)),
            (None, _) => return Err(SessionRule::Turn.into()),
        }
        match frame {
            Frame::Ping => Ok(()),
            Frame::Path(path) => self.introduced(path, book),
            Frame::Roots(control, rest, since) => self.roots_came(Roots { control, rest, since }, book),
            Frame::Ask(nodes) => self.asked(&nodes),
            Frame::Children(node, children) => self.children_came(node, &children, book),
            Frame::Leaf(node, records) => self.leaf_came(node, &records, book),
            Frame::Heads(last, heads) => self.heads_came(last, heads, book),
            Frame::Apart(apart) => self.apart_came(apart),
            Frame::Begun(begun) => self.begun_came(&begun),
            Frame::Totals(entries, _) => self.totals_came(entries),
            Frame::Run(_) => Err(SessionRule::Turn.into()),
            Frame::Done => self.done_came(book),
            Frame::Ack(pieces) => {
                if self.outflow.acknowledged(pieces)? > 0 {
                    self.progress();
                }
                self.settle(book)
            }
            Frame::Decline(log, code) => {
                self.decline(log, &String::from_utf8_lossy(&code), true)?;
                Ok(())
            }
            Frame::Want(want) => self.want_came(want, book),
            Frame::Keys(keys) => self.keys_came(&keys, book),
            Frame::Parcels(groups) => self.parcels_came(&groups, book),
            Frame::Receipt(receipt) => self.receipt_came(&receipt, book),
            Frame::Held(receipt) => self.held_came(&receipt, book),
            Frame::Flood(proof) => self.flood_came(proof, book),
            Frame::Former(logs) => self.former_came(logs),
            Frame::Bye(code) => Err(ended_by_peer(code)),
        }
    }

    fn introduced(&mut self, path: &[u8], book: &mut dyn Shelf) -> Result<(), Reason> {
        let (None, Some(noise)) = (self.peer, self.noise) else { return Err(SessionRule::Turn.into()) };
        let (peer, path) = introduce(book, &self.credentials.founding, &noise, path)?;
        (self.peer, self.path) = (Some(peer), Some(path));
        let turned_away = self.stand(book);
        // The first event of a session.
        self.events.push_front(Event::PeerKnown(Box::new(self.peer.unwrap_or(peer))));
        turned_away?;
        self.floods_told = book.floods_told(&peer)?;
        self.tell_floods(book)?;
        self.begin_round(book)
    }

    fn run(&mut self, whole: Whole, book: &mut dyn Shelf) -> Result<(), Reason> {
        let begun = std::mem::take(&mut self.begun);
        let head = RunHead::read(&whole.payload, whole.messages, begun, self.credentials.founding.incident());
        let head = head.map_err(|error| Reason::Run(error.into()))?;
        self.intake.push(whole.payload, head, self.now_ms);
        if self.intake.is_full(&self.limits) { self.store(book) } else { Ok(()) }
    }

    /// Stores the runs that arrived whole, keeps what came of one that did not, and acknowledges both.
    pub(super) fn store_all(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        self.store(book)?;
        self.keep_begun(book)
    }

    /// Keeps what came of a run that is not whole: its next piece may come in another session.
    fn keep_begun(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        self.intake.rest();
        let (Some(peer), Some((bytes, ends))) = (self.peer, self.assembly.unfinished_run()) else { return Ok(()) };
        // What breaks a rule is refused when the run is whole.
        let Ok((front, entries)) = Run::read_front(bytes) else { return Ok(()) };
        let incident = self.credentials.founding.incident();
        let Ok(Some(beginning)) = Beginning::of(&front, self.begun.end, incident) else { return Ok(()) };
        if self.declined.contains(&beginning.log())
            || self.is_apart(&front.name.compartment)
            || !self.may_bring(front.name.device)
            || book.keep(peer.device, &beginning)? == Kept::No
        {
            return Ok(());
        }
        let kept = self.begun.entries + beginning.entries();
        let whole = usize::try_from(kept).ok().and_then(|kept| entries.get(kept.checked_sub(1)?)).copied();
        let messages = ends.iter().filter(|end| whole.is_some_and(|whole| **end <= whole)).count() as u64;
        self.intake.settled += messages.saturating_sub(self.begun.messages);
        self.intake.came += beginning.entries();
        self.begun = Begun { entries: kept, end: Some(beginning.end()), messages };
        self.say(&Frame::Ack(self.intake.settled))?;
        self.progress();
        Ok(())
    }

    /// Stores the runs that arrived whole, and acknowledges them.
    pub(super) fn store(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        if self.intake.is_empty() {
            return Ok(());
        }
        let live = matches!(self.stage, Stage::Live);
        let (mut runs, mut heads) = self.intake.drain();
        let messages = heads.iter().map(|head| head.messages.saturating_sub(head.begun.messages)).sum::<u64>();
        // Sent before the other side heard that this one leaves it out.
        let taken = |head: &RunHead| !self.apart.contains(&head.compartment) && self.may_bring(head.device);
        let mut inside = heads.iter().map(taken).collect::<Vec<_>>().into_iter();
        runs.retain(|_| inside.next().unwrap_or(true));
        heads.retain(taken);
        let logs: BTreeSet<LogId> = heads.iter().map(|head| head.log).collect();
        if live {
            // What this side has of these logs and did not push yet is not taken for what came.
            self.push_news_of(&logs, book)?;
        }
        let from = self.peer.ok_or(Reason::Bug("runs of nobody"))?.device;
        let outcomes = book.take(from, &runs)?;
        let (mut refused, mut control, mut gap, mut new, mut earned) = (None, false, false, 0, 0);
        for ((outcome, head), run) in outcomes.into_iter().zip(&heads).zip(&runs) {
            match outcome {
                Outcome::Taken { new: added, known } => {
                    new += added;
                    if added > 0 {
                        // What it cost, and something for every entry.
                        earned += head.messages + run.len() as u64 / 1_024 + added.saturating_mul(8);
                    }
                    self.intake.came += (added + known).saturating_sub(head.begun.entries);
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
        self.intake.settled += messages;
        if self.assembly.unfinished_run().is_some() {
            self.intake.wait(self.now_ms);
        }
        // Entries that were known may have brought their bodies.
        self.intake.unposted = true;
        let limits = self.limits;
        if let Some(credit) = &mut self.credit {
            credit.earn(&limits, earned);
        }
        if !matches!(self.stage, Stage::Transferring { .. }) {
            self.post(book)?;
        }
        if live {
            self.share(&logs, book)?;
        }
        if let Some(error) = refused {
            return Err(error.into());
        }
        self.say(&Frame::Ack(self.intake.settled))?;
        // What could not be taken may have proved a flood.
        self.tell_floods(book)?;
        if new > 0 {
            self.progress();
        }
        if control && new > 0 {
            self.stand(book)?;
            if live {
                self.ask_keys(book)?;
                self.look_at_scope(book)?;
            }
        }
        if live && gap { self.begin_round(book) } else { Ok(()) }
    }

    /// Whether the other side may bring what a device wrote: a former member only what it wrote itself.
    fn may_bring(&self, device: DeviceId) -> bool {
        self.former.is_none() || self.peer.is_some_and(|peer| peer.device == device)
    }

    /// Posts what was stored, so that people see it before anything is called synced.
    pub(super) fn post(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        if std::mem::take(&mut self.intake.unposted) {
            book.post()?;
        }
        Ok(())
    }

    /// A run was declined here. A log that cannot join, or of which the other side may not know yet that it was
    /// flooded, is tried once more in a later round; true says so.
    fn not_taken(&mut self, log: LogId, code: &'static str) -> Result<bool, Reason> {
        let round = self.round.number;
        let tried = self.unjoined.get(&log).is_some_and(|before| *before < round);
        if matches!(code, "E-003" | "E-010" | "E-014") && !tried {
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

    /// Signs what this side holds durably, and with it says that it is about to close; once.
    pub(super) fn give_receipt(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        self.store(book)?;
        if std::mem::replace(&mut self.receipt_given, true) {
            return Ok(());
        }
        let Some(receipt) = self.receipt(book)? else { return Ok(()) };
        self.said_to_hold = Some(receipt.frontier);
        self.say(&Frame::Receipt(receipt))
    }

    /// Shows that this side is there: with a receipt, if it holds something else than it last signed for.
    pub(super) fn say_alive(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        if matches!(self.stage, Stage::Live)
            && let Some(receipt) = self.receipt(book)?.filter(|receipt| self.said_to_hold != Some(receipt.frontier))
        {
            self.said_to_hold = Some(receipt.frontier);
            return self.say(&Frame::Held(receipt));
        }
        self.say(&Frame::Ping)
    }

    fn receipt(&self, book: &mut dyn Shelf) -> Result<Option<Receipt>, Reason> {
        let Some(peer) = self.peer else { return Ok(None) };
        // Who holds an entry without its body, though nobody erased it, vouches for nothing.
        let whole = book.wants()?.is_empty();
        let heads = if whole { self.in_scope(book)? } else { Vec::new() };
        let frontier = receipt::frontier(&receipt::heads(&heads));
        let Credentials { device, incarnation, founding, .. } = &self.credentials;
        Ok(Some(receipt::sign((device, *incarnation), founding.incident(), peer.device, frontier)))
    }

    /// The other side is about to close: it is given a receipt too.
    fn receipt_came(&mut self, receipt: &Receipt, book: &mut dyn Shelf) -> Result<(), Reason> {
        if !matches!(self.stage, Stage::Live) {
            return Err(SessionRule::Turn.into());
        }
        self.charge(LOOK_BYTES)?;
        // A receipt that answers one says that all that was said before was heard.
        let told_all = self.receipt_given && self.floods_due.is_empty() && self.former.is_none();
        if let (true, Some(peer)) = (told_all, self.peer) {
            self.note_floods(&peer, book)?;
        }
        self.give_receipt(book)?;
        if let Some(held) = self.keep(receipt, book)?
            && let Some(peer) = self.peer.filter(|_| !self.is_narrow())
        {
            // Both sides give a receipt, and so note the same, after whatever was pushed since both agreed.
            book.agreed(peer.device, &held)?;
        }
        if self.closing_ms.is_some() { Err(Reason::Closed) } else { Ok(()) }
    }

    /// The other side says what it holds, and goes on.
    fn held_came(&mut self, receipt: &Receipt, book: &mut dyn Shelf) -> Result<(), Reason> {
        // Sent while this side began a round, or before it agreed: the next one will fit.
        if matches!(self.stage, Stage::Introducing) {
            return Err(SessionRule::Turn.into());
        }
        self.charge(LOOK_BYTES)?;
        self.keep(receipt, book)?;
        Ok(())
    }

    /// Keeps a receipt, if it is about exactly what is held here: of another frontier nothing is known.
    /// Gives what that is.
    fn keep(&mut self, receipt: &Receipt, book: &mut dyn Shelf) -> Result<Option<Vec<LogHeads>>, Reason> {
        let Some(peer) = self.peer else { return Err(SessionRule::Turn.into()) };
        let own = self.credentials.device.public().device_id();
        receipt::verify(&peer.public, self.credentials.founding.incident(), own, receipt)?;
        let held = self.in_scope(book)?;
        let same = receipt::frontier(&receipt::heads(&held)) == receipt.frontier;
        if same && self.former.is_none() {
            book.keep_receipt(&peer, receipt, &held)?;
        }
        self.tell(Event::Receipt { device: peer.device, frontier: receipt.frontier, same });
        Ok(same.then_some(held))
    }

    /// Puts the proofs of floods that the other side does not know behind what waits to be sent.
    pub(super) fn tell_floods(&mut self, book: &mut dyn Shelf) -> Result<(), Reason> {
        if self.peer.is_none() {
            return Ok(());
        }
        for (of, hash) in book.floods()? {
            if self.floods_told.insert(beginning(&hash)) {
                self.floods_due.push_back(of);
            }
        }
        Ok(())
    }

    fn flood_came(&mut self, proof: &[u8], book: &mut dyn Shelf) -> Result<(), Reason> {
        let proof = Proof::read(proof)?;
        if proof.incident() != self.credentials.founding.incident() || !proof.is_flood() {
            return Err(ProofError::NoFlood.into());
        }
        self.floods_told.insert(beginning(proof.hash()));
        let before = book.floods()?;
        book.take_flood(&proof)?;
        if book.floods()? != before {
            self.tell(Event::Flooded { device: proof.device() });
            self.intake.unposted = true;
            if !matches!(self.stage, Stage::Transferring { .. }) {
                self.post(book)?;
            }
            self.stand(book)?;
            if matches!(self.stage, Stage::Live) {
                self.look_at_scope(book)?;
            }
        }
        // One that shows less than is known here is answered with what is.
        self.tell_floods(book)
    }

    fn note_floods(&mut self, peer: &Peer, book: &mut dyn Shelf) -> Result<(), Reason> {
        let floods = book.floods()?;
        let told: BTreeSet<[u8; 8]> =
            floods.iter().map(|(_, hash)| beginning(hash)).filter(|hash| self.floods_told.contains(hash)).collect();
        if !told.is_empty() && told != book.floods_told(peer)? {
            book.note_floods_told(peer, &told)?;
        }
        Ok(())
    }

    // What goes.

    /// Puts one more frame behind what waits; false if there is none.
    pub(super) fn pump(&mut self, book: &mut dyn Shelf) -> Result<bool, Reason> {
        if let Some(of) = self.floods_due.pop_front() {
            let proof = book.flood(&of)?;
            // A former member is told of its own.
            if let Some(proof) = proof.filter(|proof| self.may_bring(proof.device())) {
                self.say(&Frame::Flood(proof.bytes()))?;
            }
            return Ok(true);
        }
        if self.outflow.may_send(&self.limits)
            && let Some(piece) = self.outflow.next(book)?
        {
            self.wire.send_message(if piece.more { kind::RUN | kind::MORE } else { kind::RUN }, &piece.bytes)?;
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

    pub(super) fn end(&mut self, reason: Reason, book: &mut dyn Shelf) {
        if self.is_ended() {
            return;
        }
        if !matches!(reason, Reason::Book(_) | Reason::Bug(_)) {
            // Whatever this meets, the first reason is the one that is told.
            let stored = self.store_all(book).and_then(|()| self.post(book));
            if let Err(error) = stored {
                tracing::debug!(code = error.code(), "the last runs of a session were not stored");
            }
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
        self.round = Round::default();
        self.outflow.stop();
        self.shared.clear();
        self.events.push_back(Event::Ended(reason));
    }

    /// Notes since when output waits that nobody takes.
    pub(super) fn watch(&mut self) {
        self.stuck_since_ms = match self.stuck_since_ms {
            _ if self.wire.waiting() == 0 => None,
            None => Some(self.now_ms),
            since => since,
        };
    }
}

fn beginning(hash: &[u8; 32]) -> [u8; 8] {
    hash.first_chunk().copied().unwrap_or_default()
}

fn ended_by_peer(code: Option<[u8; 5]>) -> Reason {
    match code {
        None => Reason::ClosedByPeer,
        Some(code) => Reason::EndedByPeer(String::from_utf8_lossy(&code).into_owned()),
    }
}

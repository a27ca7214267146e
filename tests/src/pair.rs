//! Two sessions in one thread, and the bytes between them: in pieces of any length, and cut where a test says.

use crate::host::SeededHost;
use crate::world::World;
use daybook_core::crypto::DeviceSecret;
use daybook_core::id::{CONTROL, EntryId, Lane};
use daybook_core::roster::GrantPath;
use daybook_core::sync::{Credentials, Event, Limits, Reason, Session, Shelf, Side};

/// Most steps of one settling: a session that needs more does not end.
const STEPS_MAX: usize = 2_000_000;

/// Two sessions and the bytes between them.
#[derive(Debug)]
pub struct Link {
    /// Caller and called.
    pub ends: [Session; 2],
    /// Bytes on their way to each.
    pub wires: [Vec<u8>; 2],
    /// Bytes that each has sent.
    pub moved: [u64; 2],
    /// What each told.
    pub events: [Vec<Event>; 2],
    /// The time.
    pub now_ms: u64,
    /// Bytes after which nothing moves any more.
    pub cut_after: u64,
    /// Most bytes that the stream holds in each direction.
    pub holds: usize,
    /// Most bytes that wait at either end at any time.
    pub waited: usize,
}

impl Link {
    /// Joins two ends.
    #[must_use]
    pub const fn new(caller: Session, called: Session) -> Self {
        Self {
            ends: [caller, called],
            wires: [Vec::new(), Vec::new()],
            moved: [0; 2],
            events: [Vec::new(), Vec::new()],
            now_ms: 0,
            cut_after: u64::MAX,
            holds: usize::MAX,
            waited: 0,
        }
    }

    /// Two ends of a world: an author calls another, or the root if `called` is none.
    #[must_use]
    pub fn of(world: &World, caller: Option<usize>, called: Option<usize>, seed: u64) -> Self {
        let (one, two) = (world.credentials(caller), world.credentials(called));
        Self::new(session(Side::Caller, one, seed), session(Side::Called, two, seed + 1))
    }

    /// Moves bytes once in each direction, at most `pick` says of how many; false if nothing moved.
    pub fn step(&mut self, books: [&mut dyn Shelf; 2], pick: &mut dyn FnMut(usize) -> usize) -> bool {
        let mut any = false;
        let [one, two] = books;
        for (end, book) in [(0, one), (1, two)] {
            let left = self.cut_after.saturating_sub(self.moved[0] + self.moved[1]);
            let room = self.holds.saturating_sub(self.wires[1 - end].len());
            let most = pick(64 * 1024).min(room).min(usize::try_from(left).unwrap_or(usize::MAX));
            let sent = if most > 0 { self.ends[end].transmit(most, self.now_ms, book) } else { Vec::new() };
            self.moved[end] += sent.len() as u64;
            any |= !sent.is_empty();
            self.wires[1 - end].extend(sent);
            let wire = &mut self.wires[end];
            if !wire.is_empty() && self.ends[end].wants_input() {
                let count = pick(wire.len()).clamp(1, wire.len());
                let taken = self.ends[end].receive(&wire[..count], self.now_ms, book);
                wire.drain(..taken);
                any |= taken > 0;
            }
            self.waited = self.waited.max(wire.len());
            while let Some(event) = self.ends[end].poll_event() {
                self.events[end].push(event);
            }
        }
        any
    }

    /// Moves bytes until none move, with due work done in between.
    pub fn settle(&mut self, books: [&mut dyn Shelf; 2]) {
        self.settle_by(books, &mut |most| most);
    }

    /// As [`Link::settle`], in pieces of the lengths that `pick` gives.
    pub fn settle_by(&mut self, books: [&mut dyn Shelf; 2], pick: &mut dyn FnMut(usize) -> usize) {
        let [one, two] = books;
        for _ in 0..STEPS_MAX {
            if self.step([&mut *one, &mut *two], pick) {
                continue;
            }
            // Nothing moves: what waits to be stored is due, unless nothing waits.
            if self.cut_after <= self.moved[0] + self.moved[1] || !self.work_is_due() {
                return;
            }
            self.now_ms += 200;
            self.ends[0].handle_timeout(self.now_ms, one);
            self.ends[1].handle_timeout(self.now_ms, two);
        }
        panic!("the sessions never come to rest");
    }

    fn work_is_due(&self) -> bool {
        self.ends.iter().any(|end| end.next_timeout_ms().is_some_and(|at| at <= self.now_ms + 200))
    }

    /// Cuts the stream: both ends are told.
    pub fn cut(&mut self, books: [&mut dyn Shelf; 2]) {
        for (end, book) in books.into_iter().enumerate() {
            self.ends[end].disconnected(self.now_ms, book);
            while let Some(event) = self.ends[end].poll_event() {
                self.events[end].push(event);
            }
        }
    }

    /// Whether an end said that both hold the same.
    #[must_use]
    pub fn in_sync(&self, end: usize) -> bool {
        self.events[end].contains(&Event::InSync)
    }

    /// Why an end ended.
    #[must_use]
    pub fn reason(&self, end: usize) -> Option<&Reason> {
        self.events[end].iter().find_map(|event| if let Event::Ended(reason) = event { Some(reason) } else { None })
    }
}

/// A session with the limits of the program.
#[must_use]
pub fn session(side: Side, credentials: Credentials, seed: u64) -> Session {
    Session::new(side, credentials, Limits::default(), 0, &mut SeededHost::new(seed)).expect("a session")
}

impl World {
    /// The grant path of an author; of the root if none.
    #[must_use]
    pub fn path(&self, author: Option<usize>) -> Vec<u8> {
        let runs = author.map(|author| self.run_of_grant(self.authors[author].grant));
        GrantPath::to_bytes(&self.founding, runs.as_slice())
    }

    /// The run of one control entry of the root.
    #[must_use]
    pub fn run_of_grant(&self, grant: EntryId) -> Vec<u8> {
        let log = &self.root.logs[&(CONTROL, Lane::Safety)];
        let at = log.entries.iter().position(|entry| entry.id == grant).expect("a grant of the root");
        log.run(at, at + 1)
    }

    /// What an author shows in a session; the root if none.
    #[must_use]
    pub fn credentials(&self, author: Option<usize>) -> Credentials {
        let author_of = author.map_or(&self.root, |author| &self.authors[author]);
        Credentials {
            founding: self.founding.clone(),
            admission: self.admission.clone(),
            device: DeviceSecret::from_secret(&author_of.device.to_secret()),
            incarnation: author_of.incarnation,
            path: self.path(author),
        }
    }
}

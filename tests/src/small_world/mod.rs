//! A small world: some honest devices with real books and real sessions, people who write, and everything that
//! goes wrong between them, in one thread, with a time of its own, all of it from one seed.
//!
//! ```text
//!  workload ──> device (book, clock) ──> link (two sessions, faults) ──> device
//!                    └── copies of its log that somebody carries ──────────┘
//! ```
//!
//! A stream is whole and in order as long as it lasts, as in life; so what is lost, comes twice or in another
//! order are meetings and carried files. Devices restart, lose power between two steps, are replaced by an old
//! copy of themselves, and have clocks that are years off. In the end the faults stop; after a bounded number of
//! meetings all books are one, hold everything that was acknowledged, and show what the reference model says.

mod carried;
mod device;
mod end;
mod link;
mod workload;

use crate::host::START_MS;
use crate::world;
use carried::Carried;
use daybook_core::clock::DAY_MS;
use daybook_core::id::PatientId;
use daybook_core::roster::{CompartmentKind, Role};
use device::{Device, Place};
use link::{Fault, Link};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use workload::Named;

/// Operations that people are told are written, at least.
const OPERATIONS_MIN: u64 = 500;
/// Meetings at least, those of the end not counted.
const MEETINGS_MIN: u64 = 20;
/// Steps after which a world is stuck.
const STEPS_MAX: u64 = 200_000;
/// Conversations at one time.
const LINKS_MAX: usize = 3;
const HOUR_MS: u64 = 3_600_000;

/// Who meets whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Topology {
    /// Everybody everybody.
    All,
    /// Each the next one.
    Chain,
    /// All the first one, and nobody else; it only carries, like a hub.
    Star,
    /// Everybody everybody, two at a time; while they meet nobody writes, and they never stay.
    MeetingsOnly,
}

/// How often what happened.
pub type Tally = BTreeMap<&'static str, u64>;

/// What a run of a world comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Hash of everything that happened, in hexadecimal.
    pub trace: String,
    /// How often what happened.
    pub tally: Tally,
}

/// A small world.
pub struct World {
    keys: world::World,
    rng: ChaCha20Rng,
    topology: Topology,
    devices: Vec<Device>,
    links: Vec<Link>,
    carried: Vec<Carried>,
    patients: Vec<PatientId>,
    facts: Vec<Named>,
    /// What only a lost device held; it may come back and need not.
    lost: BTreeSet<Place>,
    may_fork: bool,
    now_ms: u64,
    world_ms: Arc<AtomicI64>,
    trace: blake3::Hasher,
    tally: Tally,
}

impl World {
    /// Runs the world of a seed to its end, with its books under a folder.
    ///
    /// # Panics
    /// If a promise is broken; the text says which.
    #[must_use]
    pub fn run(seed: u64, folder: &Path) -> Outcome {
        let mut world = Self::new(seed, folder);
        let mut steps = 0;
        while world.count("operations") < OPERATIONS_MIN || world.count("meetings") < MEETINGS_MIN {
            world.step();
            steps += 1;
            assert!(steps < STEPS_MAX, "the world is stuck: {:?}", world.tally);
        }
        world.come_to_rest();
        Outcome { trace: world.trace.finalize().to_hex().to_string(), tally: world.tally }
    }

    fn new(seed: u64, folder: &Path) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let count = rng.random_range(2..=6);
        let topologies = [Topology::All, Topology::Chain, Topology::Star, Topology::MeetingsOnly];
        let topology = *topologies.choose(&mut rng).expect("not empty");
        let keys = world::World::new(seed, count, Role::Admin);
        let world_ms = Arc::new(AtomicI64::new(START_MS));
        let mut devices = Vec::new();
        for number in 0..count {
            let off_ms = match rng.random_range(0..8) {
                0..3 => 0,
                3..6 => rng.random_range(-HOUR_MS.cast_signed()..=HOUR_MS.cast_signed()),
                6 => rng.random_range(-60..=60) * DAY_MS,
                _ => rng.random_range(-3_650..=3_650) * DAY_MS,
            };
            let clock = (&world_ms, off_ms, rng.random_range(-200..=200));
            let mut device = Device::join(&keys, number, folder, seed, clock);
            // The others hear of the grants when they first meet somebody.
            if number == 0 || rng.random_bool(0.6) {
                device.book().take_runs(&keys.control_runs()).expect("control is taken in");
            }
            devices.push(device);
        }
        let may_fork = rng.random_bool(0.4);
        Self {
            keys,
            rng,
            topology,
            devices,
            links: Vec::new(),
            carried: Vec::new(),
            patients: Vec::new(),
            facts: Vec::new(),
            lost: BTreeSet::new(),
            may_fork,
            now_ms: 0,
            world_ms,
            trace: blake3::Hasher::new(),
            tally: Tally::new(),
        }
    }

    fn count(&self, what: &str) -> u64 {
        self.tally.get(what).copied().unwrap_or(0)
    }

    fn add(&mut self, what: &'static str, count: u64) {
        *self.tally.entry(what).or_default() += count;
    }

    /// Notes that something happened.
    fn happened(&mut self, what: &'static str, numbers: &[u64]) {
        self.trace.update(what.as_bytes()).update(&self.now_ms.to_le_bytes());
        for number in numbers {
            self.trace.update(&number.to_le_bytes());
        }
        self.add(what, 1);
    }

    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.world_ms.store(START_MS + self.now_ms.cast_signed(), Ordering::Relaxed);
    }

    fn any_device(&mut self) -> usize {
        self.rng.random_range(0..self.devices.len())
    }

    /// Pairs that can meet.
    fn pairs(&self) -> Vec<[usize; 2]> {
        let count = self.devices.len();
        let all = (0..count).flat_map(|a| (a + 1..count).map(move |b| [a, b]));
        all.filter(|[a, b]| match self.topology {
            Topology::All | Topology::MeetingsOnly => true,
            Topology::Chain => a + 1 == *b,
            Topology::Star => *a == 0,
        })
        .collect()
    }

    fn step(&mut self) {
        let moved = self.move_links();
        if self.links.is_empty() {
            let ms = if self.rng.random_bool(0.1) { self.rng.random_range(0..6 * HOUR_MS) } else { 1_000 };
            self.pass(ms);
        } else if moved {
            let ms = self.rng.random_range(0..120);
            self.pass(ms);
        } else {
            let due = self.links.iter().filter_map(Link::due_ms).min().unwrap_or(self.now_ms);
            self.pass(due.saturating_sub(self.now_ms).clamp(1, 30_000));
        }
        let meets = !self.links.is_empty();
        if meets && self.topology == Topology::MeetingsOnly && self.rng.random_bool(0.98) {
            return;
        }
        match self.rng.random_range(0..1_000) {
            0..300 => self.people_write(),
            300..390 => self.meet(),
            420..435 => self.make_file(),
            435..455 => self.deliver_file(),
            455..463 => self.restart(),
            463..465 => self.jump(),
            465..480 if self.may_fork => self.copy_or_replace(),
            _ => {}
        }
    }

    /// Lets every conversation move on; says whether any bytes moved.
    fn move_links(&mut self) -> bool {
        let mut any = false;
        for at in 0..self.links.len() {
            for _ in 0..self.rng.random_range(1..=6) {
                let moved = self.links[at].step(&mut self.devices, self.now_ms, &mut self.rng);
                any |= moved.bytes;
                for (end, _) in moved.stored.iter().enumerate().filter(|(_, stored)| **stored) {
                    let device = self.links[at].between[end];
                    self.notice(device, Some(at));
                }
            }
        }
        let (over, links) = std::mem::take(&mut self.links).into_iter().partition(Link::is_over);
        self.links = links;
        for link in over {
            self.ended(&link);
        }
        any
    }

    fn ended(&mut self, link: &Link) {
        assert!(link.complaints.is_empty(), "{:?}, {:?}: {:?}", link.between, link.fault, link.complaints);
        self.add("bytes", link.sent[0] + link.sent[1]);
        match link.fault {
            Fault::Cut(after) if link.sent[0] + link.sent[1] >= after => self.add("cuts", 1),
            Fault::Silent { .. } => self.add("silences", 1),
            Fault::Cut(_) | Fault::None => assert!(link.in_sync == [true; 2] || link.broken, "they did not agree"),
        }
        self.happened("meetings ended", &[link.sent[0], link.sent[1]]);
    }

    /// Tells the conversations of a device, but one, that its book holds more.
    fn notice(&mut self, device: usize, but: Option<usize>) {
        for (at, link) in self.links.iter_mut().enumerate() {
            if Some(at) != but {
                link.notice(device, &mut self.devices, self.now_ms);
            }
        }
    }

    fn people_write(&mut self) {
        let device = self.any_device();
        if device == 0 && self.topology == Topology::Star {
            return;
        }
        let before = self.devices[device].tips();
        let mut told = 0;
        for _ in 0..self.rng.random_range(1..=8) {
            if let Some(entries) = self.try_act(device) {
                told += entries;
            }
            // Who is in a conversation writes fast: greetings have a time limit.
            let most = if self.links.is_empty() { 60_000 } else { 200 };
            let ms = self.rng.random_range(1..most);
            self.pass(ms);
        }
        let audit = self.keys.compartment(CompartmentKind::Audit);
        let written = self.devices[device].note_written(&before, audit);
        assert_eq!(written, told, "device {device} holds what its people were told is written");
        self.happened("writes", &[device as u64, written as u64]);
        self.notice(device, None);
    }

    fn try_act(&mut self, device: usize) -> Option<usize> {
        let entries = self.act(device)?;
        self.add("operations", 1);
        Some(entries)
    }

    fn meet(&mut self) {
        let only = self.topology == Topology::MeetingsOnly;
        if self.links.len() >= if only { 1 } else { LINKS_MAX } {
            return;
        }
        let mut between = *self.pairs().choose(&mut self.rng).expect("at least two devices");
        let same = |link: &Link| between.iter().all(|device| link.between.contains(device));
        if self.links.iter().any(same) {
            return;
        }
        if self.rng.random_bool(0.5) {
            between.reverse();
        }
        // Bytes of all sizes: a cut in the greeting is as likely as one in the transfer.
        let after = 1 << self.rng.random_range(2..17);
        let after = self.rng.random_range(1..=after);
        let fault = match self.rng.random_range(0..10) {
            0..3 => Fault::Cut(after),
            3 => Fault::Silent { end: self.rng.random_range(0..2), after },
            _ => Fault::None,
        };
        let stays = if only { 0 } else { self.rng.random_range(0..60) };
        self.links.push(Link::open(&mut self.devices, between, fault, stays, self.now_ms));
        self.happened("meetings", &[between[0] as u64, between[1] as u64]);
    }

    /// The program of a device ends and starts again, with conversations open or not.
    fn restart(&mut self) {
        let device = self.any_device();
        let crash = self.rng.random_bool(0.6);
        self.lose_links(device);
        if crash {
            self.devices[device].crash();
        } else {
            self.devices[device].restart();
        }
        self.happened(if crash { "crashes" } else { "restarts" }, &[device as u64]);
    }

    fn lose_links(&mut self, device: usize) {
        for at in 0..self.links.len() {
            if self.links[at].between.contains(&device) {
                let is_told = self.rng.random_bool(0.5);
                self.links[at].lose(device, is_told);
                self.add("restarts in a meeting", 1);
            }
        }
    }

    /// Somebody sets a clock.
    fn jump(&mut self) {
        let device = self.any_device();
        let by_ms = self.rng.random_range(-400..=40) * DAY_MS;
        self.devices[device].clock.jump(by_ms);
        self.happened("clocks set", &[device as u64, by_ms.cast_unsigned()]);
    }

    /// Somebody copies a device, or puts the copy in its place.
    fn copy_or_replace(&mut self) {
        let device = self.any_device();
        if self.rng.random_bool(0.5) {
            self.devices[device].keep_image();
            return self.happened("copies", &[device as u64]);
        }
        if self.count("replaced") >= 4 || !self.devices[device].has_image() {
            return;
        }
        self.lose_links(device);
        self.devices[device].put_image_back();
        // Entries that no book holds any more are lost, of whomever they are.
        for of in 0..self.devices.len() {
            for place in std::mem::take(&mut self.devices[of].written) {
                if self.devices.iter_mut().any(|device| device.holds(&place)) {
                    self.devices[of].written.push(place);
                } else {
                    self.lost.insert(place);
                }
            }
        }
        self.happened("replaced", &[device as u64]);
    }
}

//! A world that tries to break the book: honest devices with real books and real sessions, hostile members,
//! relays without keys, people who write, and everything that goes wrong between them, in one thread, with a time
//! of its own, all of it from one seed.
//!
//! ```text
//!  workload ──> device (book, clock, disk) ──> link (two sessions, faults) ──> device or hostile member
//!                    └── copies of its log that somebody carries ──────────┘
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `plan` | what is drawn for a seed: who is there, who meets whom, how bad it gets |
//! | `device`, `everybody`, `hostile`, `office`, `desk` | who takes part, and what each was told, wrote or decided |
//! | `link`, `carried` | how bytes go from one to another, and what happens to them |
//! | `workload`, `trouble`, `farewell` | what people do, and what befalls their devices |
//! | `invariant`, `oracle`, `doubles`, `end` | what must hold, each by a name, and how it is found out |
//! | `mutants` | bugs planted one at a time, and the invariant that must find each |
//! | `command` | the program: many seeds, one seed again, the mutants |
//!
//! A stream is whole and in order as long as it lasts, or one piece of it is lost, late, twice, short or changed,
//! which ends it. Devices restart, lose power between two steps and in the middle of one, find their disk failing
//! or full, are replaced by an old copy of themselves or used twice, and have clocks that are years off. In the end
//! the faults stop; after a bounded number of meetings all books are one, hold everything that was acknowledged,
//! and show what the reference model says.

mod carried;
pub mod command;
mod desk;
mod device;
mod doubles;
mod end;
mod everybody;
mod farewell;
mod hostile;
mod invariant;
mod link;
#[cfg(feature = "mutants")]
pub mod mutants;
mod office;
mod oracle;
mod plan;
mod trouble;
mod workload;

use crate::host::START_MS;
use crate::world;
use carried::Carried;
use daybook_core::clock::DAY_MS;
use daybook_core::id::{EntryId, PatientId};
use daybook_core::roster::Role;
use device::{Clock, Device, Place};
use everybody::{Everybody, Party};
use farewell::Looked;
use hostile::Hostile;
use invariant::hold;
pub use invariant::{Broken, Invariant};
use link::{Fault, Link, Rough};
use office::Office;
use plan::{Plan, Topology};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use workload::Named;

/// Operations that people are told are written, at least.
const OPERATIONS_MIN: u64 = 500;
/// Meetings at least, those of the end not counted.
const MEETINGS_MIN: u64 = 20;
/// Steps after which a world is stuck.
const STEPS_MAX: u64 = 200_000;
/// Steps after which a meeting should long have come to its end.
const MEETING_STEPS_MAX: u64 = 100_000;
/// Conversations at one time.
const LINKS_MAX: usize = 3;
const HOUR_MS: u64 = 3_600_000;

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

/// A world.
pub struct World {
    keys: world::World,
    office: Office,
    plan: Plan,
    rng: ChaCha20Rng,
    root: PathBuf,
    seed: u64,
    all: Everybody,
    links: Vec<Link>,
    carried: Vec<Carried>,
    patients: Vec<PatientId>,
    facts: Vec<Named>,
    /// What only a lost device held, or was being written when a disk failed; it may come back and need not.
    lost: BTreeSet<Place>,
    /// What was acknowledged on phones that are gone for good and were said to be safe to lose.
    buried: BTreeSet<Place>,
    /// What devices showed when somebody looked last.
    looked: BTreeMap<usize, Looked>,
    /// Whose keys must not open what an honest device wrote: those of whose end it knew when it wrote.
    blind: BTreeMap<EntryId, BTreeSet<usize>>,
    /// Halves that do not meet until some number of operations.
    split: Option<(u64, Vec<bool>)>,
    now_ms: u64,
    world_ms: Arc<AtomicI64>,
    /// The latest time that any honest clock showed.
    latest_ms: i64,
    trace: blake3::Hasher,
    tally: Tally,
}

impl World {
    /// Runs the world of a seed to its end, with its books under a folder.
    ///
    /// # Errors
    /// The invariant that did not hold.
    pub fn run(seed: u64, folder: &Path) -> Result<Outcome, Broken> {
        invariant::watch(|| {
            let mut world = Self::new(seed, folder);
            let mut steps = 0;
            while world.count("operations") < OPERATIONS_MIN || world.count("meetings") < MEETINGS_MIN {
                world.step();
                steps += 1;
                hold(steps < STEPS_MAX, Invariant::MeetingsEnd, || format!("the world is stuck: {:?}", world.tally));
            }
            world.come_to_rest();
            Outcome { trace: world.trace.finalize().to_hex().to_string(), tally: std::mem::take(&mut world.tally) }
        })
    }

    fn new(seed: u64, folder: &Path) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let plan = Plan::draw(&mut rng);
        let mut keys = world::World::new(seed, 0, Role::Admin);
        let mut office = Office::default();
        // The first member is an admin who stays, whatever else happens.
        let first =
            if plan.desk { Office::sit_down(&mut keys) } else { office.admit(&mut keys, false, plan.roles[0], 0) };
        let mut authors = vec![first];
        if plan.churn {
            office.admit_deputy(&mut keys);
        }
        for role in &plan.roles[1..] {
            authors.push(office.admit(&mut keys, plan.churn && rng.random_bool(0.4), *role, 0));
        }
        let hostile: Vec<usize> = plan.hostile.iter().map(|role| office.admit(&mut keys, false, *role, 0)).collect();
        let control = office.runs(&keys);
        let hostile = hostile.iter().zip(&plan.hostile);
        let hostile = hostile.map(|(author, role)| Hostile::new(&keys, *author, *role, &control, seed)).collect();
        let world_ms = Arc::new(AtomicI64::new(START_MS));
        let mut world = Self {
            keys,
            office,
            rng,
            root: folder.to_owned(),
            seed,
            all: Everybody { devices: Vec::new(), hostile },
            links: Vec::new(),
            carried: Vec::new(),
            patients: Vec::new(),
            facts: Vec::new(),
            lost: BTreeSet::new(),
            buried: BTreeSet::new(),
            looked: BTreeMap::new(),
            blind: BTreeMap::new(),
            split: None,
            now_ms: 0,
            world_ms,
            latest_ms: START_MS,
            trace: blake3::Hasher::new(),
            tally: Tally::new(),
            plan,
        };
        for (number, author) in authors.into_iter().enumerate() {
            let role = world.plan.roles[number];
            world.join(author, role);
            // The others hear of the grants when they first meet somebody.
            if number == 0 || world.rng.random_bool(0.6) {
                world.all.devices[number].book().take_runs(&control).expect("control is taken in");
            }
        }
        let plan = world.plan.words();
        plan.iter().for_each(|word| world.add(word, 1));
        world
    }

    /// A device of an author joins.
    fn join(&mut self, author: usize, role: Role) -> usize {
        let clock = self.draw_clock();
        let number = self.all.devices.len();
        let (root, seed) = (self.root.clone(), self.seed);
        let device = Device::join((&self.keys, &self.office), (number, author, role), (&root, seed), clock);
        self.all.devices.push(device);
        number
    }

    fn draw_clock(&mut self) -> Clock {
        let off_ms = match self.rng.random_range(0..8) {
            0..3 => 0,
            3..6 => self.rng.random_range(-HOUR_MS.cast_signed()..=HOUR_MS.cast_signed()),
            6 => self.rng.random_range(-60..=60) * DAY_MS,
            _ => self.rng.random_range(-3_650..=3_650) * DAY_MS,
        };
        Clock::new(&self.world_ms, off_ms, self.rng.random_range(-200..=200))
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
        self.rng.random_range(0..self.all.devices.len())
    }

    /// Pairs of devices that can meet, if nothing divides them.
    fn pairs(&self) -> Vec<[usize; 2]> {
        let count = self.all.devices.len();
        let all = (0..count).flat_map(|a| (a + 1..count).map(move |b| [a, b]));
        all.filter(|[a, b]| match self.plan.topology {
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
        self.look_at_disks();
        let meets = !self.links.is_empty();
        if meets && self.plan.topology == Topology::MeetingsOnly && self.rng.random_bool(0.98) {
            return;
        }
        match self.rng.random_range(0..1_000) {
            0..300 => self.people_write(),
            300..390 => self.meet(),
            390..415 => self.hostile_write(),
            415..420 => self.attack(),
            420..435 => self.make_file(),
            435..455 => self.deliver_file(),
            455..463 => self.restart(),
            463..465 => self.jump(),
            465..480 if self.plan.forks => self.copy_or_replace(),
            480..486 if self.plan.disks_fail => self.fail_a_disk(),
            486..492 => self.divide(),
            492..496 if self.plan.churn => self.change_members(),
            496..500 if self.plan.desk => self.decide(),
            500..508 => self.look_again(),
            508..520 => self.farewell(),
            _ => {}
        }
    }

    /// Lets every conversation move on; says whether any bytes moved.
    fn move_links(&mut self) -> bool {
        let mut any = false;
        for at in 0..self.links.len() {
            for _ in 0..self.rng.random_range(1..=6) {
                let moved = self.links[at].step(&mut self.all, self.now_ms, &mut self.rng);
                any |= moved.bytes;
                for (end, _) in moved.stored.iter().enumerate().filter(|(_, stored)| **stored) {
                    if let Party::Honest(device) = self.links[at].between[end] {
                        self.notice(device, Some(at));
                    }
                }
            }
            hold(self.links[at].steps < MEETING_STEPS_MAX, Invariant::MeetingsEnd, || {
                format!("{:?} never come to an end: {:?}", self.links[at].between, self.links[at].fault)
            });
        }
        let (over, links) = std::mem::take(&mut self.links).into_iter().partition(Link::is_over);
        self.links = links;
        for link in over {
            self.ended(&link);
        }
        any
    }

    fn ended(&mut self, link: &Link) {
        self.add("bytes", link.sent[0] + link.sent[1]);
        self.happened("meetings ended", &[link.sent[0], link.sent[1]]);
        if !link.is_honest() {
            return self.add("meetings with a hostile member", 1);
        }
        let disks_fail = link.between.iter().filter_map(|p| p.device()).any(|d| self.all.devices[d].disk_failed());
        let stopped = link.between.iter().any(|party| self.office.is_stopped(&self.keys, self.all.author(*party)));
        if link.troubled || disks_fail || stopped {
            return;
        }
        hold(link.complaints.is_empty(), Invariant::HonestPeersAgree, || {
            format!("{:?}, {:?}: {:?}", link.between, link.fault, link.complaints)
        });
        match link.fault {
            Fault::Cut(after) if link.sent[0] + link.sent[1] >= after => self.add("cuts", 1),
            Fault::Silent { .. } => self.add("silences", 1),
            Fault::Rough { .. } if link.roughed.is_some() => self.add(link.roughed.map_or("", Rough::word), 1),
            Fault::Cut(_) | Fault::None | Fault::Rough { .. } => {
                hold(link.agreed == [true; 2], Invariant::HonestPeersAgree, || {
                    format!("{:?} parted and did not agree", link.between)
                });
            }
        }
    }

    /// Tells the conversations of a device, but one, that its book holds more.
    fn notice(&mut self, device: usize, but: Option<usize>) {
        for (at, link) in self.links.iter_mut().enumerate() {
            if Some(at) != but {
                link.notice(device, &mut self.all, self.now_ms);
            }
        }
    }

    fn meet(&mut self) {
        let only = self.plan.topology == Topology::MeetingsOnly;
        if self.links.len() >= if only { 1 } else { LINKS_MAX } {
            return;
        }
        let hostile = !self.all.hostile.is_empty() && self.rng.random_bool(0.25);
        let mut between = if hostile {
            let device = if self.plan.topology == Topology::Star { 0 } else { self.any_device() };
            let hostile = self.rng.random_range(0..self.all.hostile.len());
            let face = device % 2;
            let friends = self.all.hostile.iter().map(|h| office::device_id(&self.keys, h.author)).collect();
            let lie = self.all.hostile[hostile].choose_lie(face, &friends);
            self.happened(lie.word(), &[device as u64]);
            [Party::Hostile(hostile, face), Party::Honest(device)]
        } else {
            let pair = *self.pairs().choose(&mut self.rng).expect("at least two devices");
            if self.are_divided(pair) {
                return;
            }
            pair.map(Party::Honest)
        };
        let same = |link: &Link| between.iter().all(|party| link.between.contains(party));
        if self.links.iter().any(same) {
            return;
        }
        if self.rng.random_bool(0.5) {
            between.reverse();
        }
        let fault = self.draw_fault();
        let stays = if only { 0 } else { self.rng.random_range(0..60) };
        between.iter().filter_map(|party| party.device()).for_each(|device| self.write_readings(device));
        let of = (&self.keys, &self.office);
        let Some(mut link) = Link::open(&mut self.all, of, between, fault, stays, self.now_ms) else { return };
        // A hostile member may be silent for ever; so people go away.
        if hostile && fault == Fault::None {
            link.fault = Fault::Cut(1 << 22);
        }
        self.links.push(link);
        self.happened("meetings", &between.map(|party| self.all.author(party) as u64));
    }

    /// Bytes of all sizes: a cut in the greeting is as likely as one in the transfer.
    fn draw_fault(&mut self) -> Fault {
        let after = 1 << self.rng.random_range(2..17);
        let after = self.rng.random_range(1..=after);
        if self.rng.random_bool(self.plan.rough) {
            let what = *Rough::ALL.choose(&mut self.rng).expect("not empty");
            return Fault::Rough { after, what };
        }
        match self.rng.random_range(0..10) {
            0..3 => Fault::Cut(after),
            3 => Fault::Silent { end: self.rng.random_range(0..2), after },
            _ => Fault::None,
        }
    }
}

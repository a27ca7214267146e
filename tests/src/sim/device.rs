//! A device: its clock, its disk, its book, and what its people were told is written.

use super::invariant::{Invariant, hold};
use super::office::Office;
use crate::crash::disk::{Cut, Disk, Durable, Fault, Image};
use crate::crash::vfs;
use crate::world::World;
use daybook_core::clock::Host;
use daybook_core::crypto::DatabaseKey;
use daybook_core::daybook::{Daybook, Purpose};
use daybook_core::id::{CONTROL, CompartmentId, EntryId, LogId, PatientId};
use daybook_core::roster::{CompartmentKind, Rights, Role};
use daybook_core::sync::Shelf;
use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

/// Operations of a disk that are kept before what they come to is taken down.
const TRACE_MAX: usize = 2_000;

/// A clock as people set it: the time of the world, moved and too fast or too slow.
#[derive(Debug)]
pub(super) struct Clock {
    world_ms: Arc<AtomicI64>,
    start_ms: i64,
    off_ms: AtomicI64,
    drift_ppm: i64,
}

impl Clock {
    /// A clock that is off, and drifts.
    pub fn new(world_ms: &Arc<AtomicI64>, off_ms: i64, drift_ppm: i64) -> Self {
        let start_ms = world_ms.load(Ordering::Relaxed);
        Self { world_ms: world_ms.clone(), start_ms, off_ms: AtomicI64::new(off_ms), drift_ppm }
    }

    /// What it shows.
    pub fn now_ms(&self) -> i64 {
        let world = self.world_ms.load(Ordering::Relaxed);
        let drift = (world - self.start_ms) / 1_000 * self.drift_ppm / 1_000;
        world + drift + self.off_ms.load(Ordering::Relaxed)
    }

    /// Sets the clock to another time.
    pub fn jump(&self, by_ms: i64) {
        self.off_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}

/// Clock and randomness of one device between two starts of its program.
struct DeviceHost {
    rng: ChaCha20Rng,
    clock: Arc<Clock>,
}

impl Host for DeviceHost {
    fn now_ms(&mut self) -> i64 {
        self.clock.now_ms()
    }

    fn offset_minutes(&mut self) -> i16 {
        0
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        self.rng.fill_bytes(bytes);
    }
}

/// An entry that somebody was told is written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    /// Its log.
    pub log: LogId,
    /// Its place there.
    pub seq: u64,
    /// Its id.
    pub id: EntryId,
}

/// The last places of all branches of a book.
pub(super) type Tips = BTreeMap<(i64, u8), u64>;

/// A device with its book.
pub(super) struct Device {
    /// Its number.
    pub number: usize,
    /// Its keys: an author of the world; clones share them.
    pub author: usize,
    /// What it was admitted as.
    pub role: Role,
    /// Its clock.
    pub clock: Arc<Clock>,
    /// What was acknowledged to its people and not lost with a copy.
    pub written: Vec<Place>,
    /// What was being written when the disk failed: it may be there and need not.
    pub unsure: BTreeSet<Place>,
    /// Whether an old copy took its place: others may hold what it was told is written.
    pub replaced: bool,
    /// A copy of its disk that somebody keeps.
    image: Option<Image>,
    folder: PathBuf,
    disk: vfs::Shared,
    durable: Durable,
    starts: u64,
    seed: u64,
    key: DatabaseKey,
    book: Option<Daybook>,
}

impl Device {
    /// A device of an author of the world, with a new book.
    pub fn join(
        (world, office): (&World, &Office),
        (number, author, role): (usize, usize, Role),
        (root, seed): (&Path, u64),
        clock: Clock,
    ) -> Self {
        let seed = seed << 8 | number as u64;
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        rng.set_stream(1);
        let clock = Arc::new(clock);
        let key = DatabaseKey::random(&mut DeviceHost { rng, clock: clock.clone() });
        let folder = root.join(number.to_string());
        let disk = vfs::mount(&folder, Disk::default());
        let durable = Durable::new(Image::new());
        let (written, unsure, image) = (Vec::new(), BTreeSet::new(), None);
        let mut device = Self {
            number,
            author,
            role,
            clock,
            written,
            unsure,
            replaced: false,
            image,
            folder,
            disk,
            durable,
            starts: 0,
            seed,
            key,
            book: None,
        };
        let mut member = world.membership(&world.authors[author].device);
        let kind = |compartment| world.compartments.iter().find(|(_, id)| **id == compartment).map(|(kind, _)| *kind);
        member.secrets.retain(|(_, compartment, _)| kind(*compartment).is_some_and(|kind| has_keys(role, kind)));
        let mut book = Daybook::join_with_key(&device.folder, &device.key, &member, device.host()).expect("a book");
        // The root stands on the founding statement alone.
        if world.authors[author].grant != world.root.grant {
            book.keep_grant_path(&office.path(world, author)).expect("its grant path");
        }
        device.book = Some(book);
        device
    }

    /// Somebody copies the device as it is, and both are used from now on.
    pub fn copied(&mut self, number: usize, root: &Path, clock: Clock) -> Self {
        self.keep_image();
        let image = self.image.take().unwrap_or_default();
        let folder = root.join(number.to_string());
        let disk = vfs::mount(&folder, Disk::new(image.clone()));
        let mut copy = Self {
            number,
            author: self.author,
            role: self.role,
            clock: Arc::new(clock),
            written: Vec::new(),
            unsure: BTreeSet::new(),
            replaced: self.replaced,
            image: None,
            folder,
            disk,
            durable: Durable::new(image),
            starts: 0,
            seed: self.seed ^ (number as u64) << 56,
            key: DatabaseKey::new(
                daybook_core::crypto::Secret::from_slice(self.key.key()).expect("32 bytes"),
                daybook_core::crypto::Secret::from_slice(self.key.salt()).expect("16 bytes"),
            ),
            book: None,
        };
        copy.open();
        copy
    }

    /// The book.
    pub fn book(&mut self) -> &mut Daybook {
        self.book.as_mut().expect("open between two steps")
    }

    /// The folder of the book, and its key: for those who look into the file.
    pub const fn file(&self) -> (&PathBuf, &DatabaseKey) {
        (&self.folder, &self.key)
    }

    /// Whether its role reads a kind of compartment.
    pub fn reads(&self, kind: CompartmentKind) -> bool {
        reads(self.role, kind)
    }

    /// Whether its role needs keys of a kind of compartment: to read there, or to write.
    pub fn has_keys(&self, kind: CompartmentKind) -> bool {
        has_keys(self.role, kind)
    }

    /// Whether it carries without keys.
    pub fn is_relay(&self) -> bool {
        self.role == Role::Relay
    }

    /// Randomness is another one after each start.
    fn host(&self) -> Box<DeviceHost> {
        let mut rng = ChaCha20Rng::seed_from_u64(self.seed);
        rng.set_stream(self.starts + 2);
        Box::new(DeviceHost { rng, clock: self.clock.clone() })
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes down what the operations so far come to, so that a long trace need not be kept.
    fn take_down(&mut self) {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        disk.trace().iter().flatten().for_each(|operation| self.durable.follow(operation));
        let files = disk.files().clone();
        *disk = Disk::new(files);
    }

    /// Takes down what a long trace comes to, unless the disk is about to fail.
    pub fn tidy(&mut self) {
        let disk = self.disk();
        let tidy = disk.trace().len() > TRACE_MAX && !disk.is_faulty();
        drop(disk);
        if tidy {
            self.take_down();
        }
    }

    /// Lets the disk fail a little later.
    pub fn let_disk_fail(&mut self, after: usize, fault: Fault) {
        let mut disk = self.disk();
        let at = disk.trace().len() + after;
        disk.set_fault(Some((at, fault)));
    }

    /// Whether the disk failed at anything since it was mended.
    pub fn disk_failed(&self) -> bool {
        self.disk().trace().iter().any(Option::is_none)
    }

    /// Whether the disk fails or is about to.
    pub fn disk_is_faulty(&self) -> bool {
        self.disk().is_faulty()
    }

    /// The disk is as good as new; what it holds stays.
    pub fn mend(&mut self) {
        self.disk().set_fault(None);
        self.take_down();
    }

    fn start_from(&mut self, image: Image) {
        self.book = None;
        self.starts += 1;
        self.disk = vfs::mount(&self.folder, Disk::new(image.clone()));
        self.durable = Durable::new(image);
        self.open();
    }

    /// The program ends in order and starts again.
    pub fn restart(&mut self) {
        let tips = self.tips();
        self.book = None;
        self.starts += 1;
        self.open();
        hold(tips == self.tips(), Invariant::NothingAcknowledgedIsLost, || {
            format!("device {} does not hold what it held before it started again", self.number)
        });
    }

    /// The program ends without order, the disk as it is.
    pub fn start_again(&mut self) {
        self.book = None;
        self.starts += 1;
        self.open();
    }

    /// Power fails: what was written and not synced is kept, dropped or torn.
    pub fn crash(&mut self, rng: &mut ChaCha20Rng) {
        let tips = self.tips();
        self.lose_power(rng);
        hold(self.reaches_all(&tips), Invariant::NothingAcknowledgedIsLost, || {
            format!("device {} does not hold what it held before power failed", self.number)
        });
    }

    /// Power fails, in the middle of whatever it is.
    pub fn lose_power(&mut self, rng: &mut ChaCha20Rng) {
        self.take_down();
        let cut = Cut::ALL[rng.random_range(0..Cut::ALL.len())];
        let image = self.durable.cut(cut, rng);
        self.start_from(image);
    }

    /// Somebody copies the disk and keeps the copy.
    pub fn keep_image(&mut self) {
        let image = self.disk().files().clone();
        self.image = Some(image);
    }

    /// Whether somebody keeps a copy.
    pub const fn has_image(&self) -> bool {
        self.image.is_some()
    }

    /// The device is lost and the copy takes its place, as if it were the same.
    pub fn put_image_back(&mut self) {
        let image = self.image.take().expect("a copy is kept");
        self.replaced = true;
        self.start_from(image);
    }

    fn open(&mut self) {
        let book = Daybook::open_with_key(&self.folder, &self.key, self.host());
        let book = book.unwrap_or_else(|error| {
            super::invariant::broken(Invariant::BooksAreWhole, format!("device {} does not open: {error}", self.number))
        });
        self.book = Some(book);
    }

    /// Where all logs end.
    pub fn tips(&mut self) -> Tips {
        let heads = self.book().frontier().expect("the book is read");
        heads.iter().flat_map(|log| log.branches.iter().map(|b| ((log.number, b.branch), b.tip_seq))).collect()
    }

    fn reaches_all(&mut self, tips: &Tips) -> bool {
        let now = self.tips();
        tips.iter().all(|(branch, seq)| now.get(branch).is_some_and(|now| now >= seq))
    }

    /// What was written since `before`, and of how many of these entries people were told: neither control nor, in
    /// the compartment `audit`, what they read.
    pub fn written_since(&mut self, before: &Tips, audit: CompartmentId) -> (Vec<Place>, usize) {
        let (mut places, mut count) = (Vec::new(), 0);
        for log in self.book().frontier().expect("the book is read") {
            for branch in &log.branches {
                let from = before.get(&(log.number, branch.branch)).copied().unwrap_or(branch.fork_seq);
                let written = branch.tip_seq > from;
                hold(!written || log.branches.len() == 1, Invariant::NobodyWritesOnInAFork, || {
                    format!("device {} writes on in a forked log", self.number)
                });
                for seq in from + 1..=branch.tip_seq {
                    let id = self.book().entry_id(log.number, branch.branch, seq).expect("the book is read");
                    places.push(Place { log: log.log, seq, id: id.expect("an entry below the tip") });
                    count += usize::from(log.compartment != CONTROL && log.compartment != audit);
                }
            }
        }
        (places, count)
    }

    /// Whether the book holds a log up to a place.
    pub fn reaches(&mut self, log: &LogId, seq: u64) -> bool {
        let heads = self.book().heads(log).expect("the book is read");
        heads.is_some_and(|heads| heads.branches.iter().any(|branch| branch.tip_seq >= seq))
    }

    /// Whether the book holds an entry.
    pub fn holds(&mut self, place: &Place) -> bool {
        let book = self.book();
        let Some(log) = book.heads(&place.log).expect("the book is read") else { return false };
        book.holds(log.number, place.seq, place.id.as_bytes()).expect("the book is read").is_some()
    }

    /// A hash of all that people see of some patients, of findings and of stock.
    pub fn shown(&mut self, patients: &[PatientId]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        let book = self.book();
        for patient in patients {
            match book.read_patient(*patient, Purpose::Treatment) {
                Ok(chart) => {
                    let facts: Vec<_> = chart
                        .facts
                        .iter()
                        .map(|f| (f.reference, f.standing, f.waiting, f.implausible_time, &f.payload))
                        .collect();
                    let registers: Vec<_> =
                        chart.registers.iter().map(|r| (r.field, &r.key, &r.value, r.concurrent)).collect();
                    hasher.update(format!("{registers:?}{facts:?}{:?}", chart.allergy_status).as_bytes());
                }
                Err(error) => {
                    hasher.update(error.code().as_bytes());
                }
            }
        }
        let findings = book.findings(true).expect("the book is read");
        let findings: Vec<_> = findings.iter().map(|f| (f.id, f.kind, f.resolved.is_some())).collect();
        let stock = book.stock().expect("the book is read");
        let stock: Vec<_> = stock.iter().map(|l| (&l.place, &l.code, &l.product, &l.lot, l.on_hand_micros)).collect();
        hasher.update(format!("{findings:?}{stock:?}").as_bytes());
        hasher.finalize()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.book = None;
        vfs::unmount(&self.folder);
    }
}

fn rights(role: Role, kind: CompartmentKind) -> Rights {
    role.rights().of(daybook_core::id::CompartmentId::new([0xff; 32]), kind)
}

/// Whether a role reads a kind of compartment.
fn reads(role: Role, kind: CompartmentKind) -> bool {
    rights(role, kind).covers(Rights::READ)
}

fn has_keys(role: Role, kind: CompartmentKind) -> bool {
    reads(role, kind) || rights(role, kind).writes()
}

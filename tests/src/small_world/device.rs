//! A device: its clock, its book, and what its people were told is written.

use crate::world::World;
use daybook_core::clock::Host;
use daybook_core::crypto::DatabaseKey;
use daybook_core::daybook::Daybook;
use daybook_core::id::{CONTROL, CompartmentId, EntryId, LogId};
use daybook_core::sync::Shelf;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A clock as people set it: the time of the world, moved and too fast or too slow.
#[derive(Debug)]
pub(super) struct Clock {
    world_ms: Arc<AtomicI64>,
    start_ms: i64,
    off_ms: AtomicI64,
    drift_ppm: i64,
}

impl Clock {
    fn now_ms(&self) -> i64 {
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
    /// Its clock.
    pub clock: Arc<Clock>,
    /// What was acknowledged to its people and not lost with a copy.
    pub written: Vec<Place>,
    /// A copy of its folder that somebody keeps.
    image: Option<PathBuf>,
    root: PathBuf,
    starts: u64,
    seed: u64,
    key: DatabaseKey,
    book: Option<Daybook>,
}

impl Device {
    /// A device of an author of the world, with a new book.
    pub fn join(
        world: &World,
        number: usize,
        root: &Path,
        seed: u64,
        (world_ms, off_ms, drift_ppm): (&Arc<AtomicI64>, i64, i64),
    ) -> Self {
        let start_ms = world_ms.load(Ordering::Relaxed);
        let clock = Clock { world_ms: world_ms.clone(), start_ms, off_ms: AtomicI64::new(off_ms), drift_ppm };
        let seed = seed << 8 | number as u64;
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        rng.set_stream(1);
        let clock = Arc::new(clock);
        let mut host = DeviceHost { rng, clock: clock.clone() };
        let key = DatabaseKey::random(&mut host);
        let root = root.join(number.to_string());
        let mut device =
            Self { number, clock, written: Vec::new(), image: None, root, starts: 0, seed, key, book: None };
        let member = world.membership(&world.authors[number].device);
        let mut book = Daybook::join_with_key(&device.folder(), &device.key, &member, device.host()).expect("a book");
        book.keep_grant_path(&world.path(Some(number))).expect("its grant path");
        device.book = Some(book);
        device
    }

    /// The book.
    pub fn book(&mut self) -> &mut Daybook {
        self.book.as_mut().expect("open between two steps")
    }

    /// Randomness is another one after each start.
    fn host(&self) -> Box<DeviceHost> {
        let mut rng = ChaCha20Rng::seed_from_u64(self.seed);
        rng.set_stream(self.starts + 2);
        Box::new(DeviceHost { rng, clock: self.clock.clone() })
    }

    fn folder(&self) -> PathBuf {
        self.root.join(self.starts.to_string())
    }

    /// The program ends in order and starts again.
    pub fn restart(&mut self) {
        let (before, tips) = (self.folder(), self.tips());
        self.book = None;
        self.starts += 1;
        fs::rename(before, self.folder()).expect("the folder is renamed");
        self.open();
        assert_eq!(tips, self.tips(), "device {} holds what it held before it started again", self.number);
    }

    /// Power fails: what the disk holds at this moment is all that is left.
    pub fn crash(&mut self) {
        let (before, tips) = (self.folder(), self.tips());
        self.starts += 1;
        copy(&before, &self.folder());
        self.book = None;
        fs::remove_dir_all(before).expect("the folder is removed");
        self.open();
        assert_eq!(tips, self.tips(), "device {} holds what it held before power failed", self.number);
    }

    /// Somebody copies the folder and keeps the copy.
    pub fn keep_image(&mut self) {
        let to = self.root.join("image");
        let _ = fs::remove_dir_all(&to);
        copy(&self.folder(), &to);
        self.image = Some(to);
    }

    /// Whether somebody keeps a copy.
    pub const fn has_image(&self) -> bool {
        self.image.is_some()
    }

    /// The device is lost and the copy takes its place, as if it were the same.
    pub fn put_image_back(&mut self) {
        let image = self.image.take().expect("a copy is kept");
        let before = self.folder();
        self.book = None;
        self.starts += 1;
        fs::remove_dir_all(before).expect("the folder is removed");
        fs::rename(image, self.folder()).expect("the copy is put in place");
        self.open();
    }

    fn open(&mut self) {
        let book = Daybook::open_with_key(&self.folder(), &self.key, self.host());
        self.book = Some(book.unwrap_or_else(|error| panic!("device {} does not open: {error}", self.number)));
    }

    /// Where all logs end.
    pub fn tips(&mut self) -> Tips {
        let heads = self.book().frontier().expect("the book is read");
        heads.iter().flat_map(|log| log.branches.iter().map(|b| ((log.number, b.branch), b.tip_seq))).collect()
    }

    /// Notes what was written since `before`; returns how many entries people were told of: neither control nor, in
    /// the compartment `audit`, what they read.
    pub fn note_written(&mut self, before: &Tips, audit: CompartmentId) -> usize {
        let mut count = 0;
        for log in self.book().frontier().expect("the book is read") {
            for branch in &log.branches {
                let from = before.get(&(log.number, branch.branch)).copied().unwrap_or(branch.fork_seq);
                let written = branch.tip_seq > from;
                assert!(!written || log.branches.len() == 1, "device {} writes on in a forked log", self.number);
                for seq in from + 1..=branch.tip_seq {
                    let id = self.book().entry_id(log.number, branch.branch, seq).expect("the book is read");
                    self.written.push(Place { log: log.log, seq, id: id.expect("an entry below the tip") });
                    count += usize::from(log.compartment != CONTROL && log.compartment != audit);
                }
            }
        }
        count
    }

    /// Writes what people read, as a session and an export do first.
    pub fn write_readings(&mut self) {
        let before = self.tips();
        self.book().write_readings().expect("readings are written");
        self.note_written(&before, CompartmentId::ZERO);
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
}

/// Copies a folder's database and its log.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for file in fs::read_dir(from).expect("a folder") {
        let name = file.expect("a file").file_name();
        if !name.to_string_lossy().ends_with("-shm") {
            fs::copy(from.join(&name), to.join(&name)).expect("a copy");
        }
    }
}

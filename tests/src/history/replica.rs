//! Books that take a history in.

use crate::host::SeededHost;
use crate::world::{World, WrittenLog};
use daybook_core::crypto::DeviceSecret;
use daybook_core::daybook::Daybook;
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha20Rng;
use std::path::{Path, PathBuf};

/// Chains cut into runs of random length, some of them twice: in random order, or log by log as a sync brings
/// them, with what comes twice at the end.
#[must_use]
pub fn cut(chains: &[WrittenLog], rng: &mut ChaCha20Rng) -> Vec<Vec<u8>> {
    let mut runs = Vec::new();
    let mut ordered: Vec<&WrittenLog> = chains.iter().collect();
    ordered.shuffle(rng);
    for chain in ordered {
        let most = *[4, 16, 64, 256].choose(rng).expect("not empty");
        let mut from = 0;
        while from < chain.entries.len() {
            let to = (from + rng.random_range(1..=most)).min(chain.entries.len());
            runs.push(chain.run(from, to));
            from = to;
        }
    }
    let mut again: Vec<Vec<u8>> = runs.iter().filter(|_| rng.random_bool(0.15)).cloned().collect();
    again.shuffle(rng);
    runs.extend(again);
    if rng.random_bool(0.6) {
        runs.shuffle(rng);
    }
    runs
}

/// A folder in memory where the system has one: for tests that do not ask what a disk keeps.
#[must_use]
pub fn scratch() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// A book that takes a history in.
#[derive(Debug)]
pub struct Replica {
    folder: PathBuf,
    seed: u64,
    book: Option<Daybook>,
}

impl Replica {
    /// A book of a new device that reads.
    #[must_use]
    pub fn join(world: &World, folder: &Path, seed: u64) -> Self {
        let mut host = SeededHost::new(seed);
        let device = DeviceSecret::random(&mut host);
        let book = Daybook::join(folder, b"pass", &world.membership(&device), Box::new(host)).expect("a new book");
        Self { folder: folder.to_owned(), seed, book: Some(book) }
    }

    /// The book.
    pub fn book(&mut self) -> &mut Daybook {
        self.book.as_mut().expect("open")
    }

    /// Drops the book and opens it again, with whatever was not posted yet.
    pub fn restart(&mut self) {
        self.book = None;
        self.seed += 1;
        let host = Box::new(SeededHost::new(self.seed));
        self.book = Some(Daybook::open(&self.folder, b"pass", host).expect("the book opens again"));
    }

    /// Takes runs in, some at a time; what does not join yet comes again later. Posts now and then, and
    /// restarts `restarts` times on the way.
    pub fn deliver(&mut self, runs: Vec<Vec<u8>>, rng: &mut ChaCha20Rng, mut restarts: usize) {
        let mut waiting = runs;
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut later = Vec::new();
            while !waiting.is_empty() {
                let count = rng.random_range(1..=12).min(waiting.len());
                let some: Vec<Vec<u8>> = waiting.drain(..count).collect();
                let report = self.book().take_runs(&some).expect("runs are taken in");
                assert!(report.refused.iter().all(|(code, _)| code == "E-003"), "{:?}", report.refused);
                if !report.refused.is_empty() {
                    later.extend(some);
                }
                if rng.random_bool(0.2) {
                    self.book().post_all().expect("posted");
                }
                if restarts > 0 && rng.random_bool(0.1) {
                    restarts -= 1;
                    self.restart();
                }
            }
            later.shuffle(rng);
            // Two batches that wait for each other join when their runs come one by one.
            if later.len() >= before {
                later.retain(|run| !self.taken(run));
                assert!(later.len() < before, "nothing joins any more");
            }
            waiting = later;
        }
        for _ in 0..restarts {
            self.restart();
        }
        self.book().post_all().expect("posted");
    }

    fn taken(&mut self, run: &[u8]) -> bool {
        self.book().take_runs(&[run.to_vec()]).expect("a run is taken in").refused.is_empty()
    }

    /// The digest.
    pub fn digest(&mut self) -> Vec<(String, String)> {
        self.book().digest().expect("a digest")
    }
}

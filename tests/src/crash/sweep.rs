//! Cuts the script at every operation that changes the disk, fails it at every one, and looks at what is left:
//! nothing acknowledged is lost, nothing is there by half, every page, chain and signature is as it was written,
//! the digest is that of a rebuild, and the book goes on.

use super::disk::{Cut, Disk, Durable, Fault, Image, Operation};
use super::script::{STEPS, Script, Shift};
use super::vfs;
use daybook_core::daybook::{Error, ErrorKind};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

type Digest = Vec<(String, String)>;

/// One thing to try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Point {
    /// The power goes after so many operations of the whole script.
    Cut(usize, Cut),
    /// A step finds the disk failing at an operation, counted from where it opens the book.
    Fail(usize, usize, Fault),
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(at, cut) => write!(f, "cut:{at}:{}", format!("{cut:?}").to_lowercase()),
            Self::Fail(step, at, fault) => write!(f, "fail:{step}:{at}:{}", format!("{fault:?}").to_lowercase()),
        }
    }
}

impl Point {
    /// The point of its name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(':').collect();
        match words.as_slice() {
            ["cut", at, how] => {
                let cut = Cut::ALL.into_iter().find(|cut| format!("{cut:?}").to_lowercase() == *how)?;
                Some(Self::Cut(at.parse().ok()?, cut))
            }
            ["fail", step, at, how] => {
                let fault = Fault::ALL.into_iter().find(|fault| format!("{fault:?}").to_lowercase() == *how)?;
                Some(Self::Fail(step.parse().ok()?, at.parse().ok()?, fault))
            }
            _ => None,
        }
    }
}

/// The script as it goes when nothing fails.
pub struct Sweep {
    script: Script,
    folder: PathBuf,
    trace: Vec<Operation>,
    start: Image,
    /// How many operations were done when each step was acknowledged.
    acknowledged: Vec<usize>,
    /// What the book held before the first step and after each.
    digests: Vec<Digest>,
    /// The files before each step, as a killed program leaves them.
    before: Vec<Image>,
    /// Operations from opening the book before a step to the end of it.
    operations: Vec<usize>,
}

impl Sweep {
    /// Goes through the script once in whole and once step by step; `folder` is an empty one.
    ///
    /// # Errors
    /// What went wrong without any fault.
    pub fn new(folder: &Path) -> Result<Self, String> {
        let script = Script::new();
        let path = folder.join("script");
        let disk = vfs::mount(&path, Disk::default());
        drop(script.begin(&path).map_err(|error| said("begin", &error))?);
        let start = files(&disk);
        let disk = vfs::mount(&path, Disk::new(start.clone()));
        let mut shift = script.open(&path).map_err(|error| said("open", &error))?;
        let (mut acknowledged, mut before) = (Vec::new(), Vec::new());
        let mut digests = vec![digest(&mut shift)?];
        for step in 0..STEPS {
            before.push(files(&disk));
            shift.step(step).map_err(|error| said(&format!("step {step}"), &error))?;
            acknowledged.push(operations(&disk));
            digests.push(digest(&mut shift)?);
        }
        drop(shift);
        let trace = trace(&disk);
        let mut sweep = Self {
            script,
            folder: folder.to_owned(),
            trace,
            start,
            acknowledged,
            digests,
            before,
            operations: Vec::new(),
        };
        for step in 0..STEPS {
            let (disk, mut shift) = sweep.opened(&path, sweep.before[step].clone(), None)?;
            shift.step(step).map_err(|error| said(&format!("step {step} alone"), &error))?;
            let count = operations(&disk);
            sweep.expect(&digest(&mut shift)?, step + 1, "a step alone")?;
            drop(shift);
            sweep.operations.push(count);
        }
        vfs::unmount(&path);
        Ok(sweep)
    }

    /// The same on a disk that says that it synced and did not: what it loses must be found out.
    #[must_use]
    pub fn on_a_disk_that_lies(mut self) -> Self {
        for operation in &mut self.trace {
            if let Operation::Sync { file } = operation {
                *operation = Operation::Truncate { file: std::mem::take(file), bytes: usize::MAX };
            }
        }
        self
    }

    /// Everything that can be tried.
    #[must_use]
    pub fn points(&self) -> Vec<Point> {
        let cuts = (0..=self.trace.len()).flat_map(|at| Cut::ALL.map(|cut| Point::Cut(at, cut)));
        let fails = self.operations.iter().enumerate().flat_map(|(step, count)| {
            (0..*count).flat_map(move |at| Fault::ALL.map(move |fault| Point::Fail(step, at, fault)))
        });
        cuts.chain(fails).collect()
    }

    /// How many operations of each kind the script asks for.
    #[must_use]
    pub fn kinds(&self) -> std::collections::BTreeMap<&'static str, usize> {
        let mut kinds = std::collections::BTreeMap::new();
        for operation in &self.trace {
            *kinds.entry(operation.word()).or_default() += 1;
        }
        kinds
    }

    /// Tries points on all cores. Gives what went wrong, at most ten of it, each with its point.
    #[must_use]
    pub fn try_all(&self, points: &[Point], progress: &(dyn Fn(usize) + Sync)) -> Vec<(Point, String)> {
        let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        std::thread::scope(|scope| {
            for core in 0..cores {
                let (next, wrong) = (&next, &wrong);
                scope.spawn(move || {
                    let folder = self.folder.join(core.to_string());
                    while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let Err(what) = self.point(*point, &folder) {
                            let mut wrong = wrong.lock().unwrap_or_else(PoisonError::into_inner);
                            wrong.push((*point, what));
                            if wrong.len() >= 10 {
                                next.store(points.len(), Ordering::Relaxed);
                            }
                        }
                        progress(next.load(Ordering::Relaxed).min(points.len()));
                    }
                    vfs::unmount(&folder);
                });
            }
        });
        wrong.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries one point.
    fn point(&self, point: Point, folder: &Path) -> Result<(), String> {
        match point {
            Point::Cut(at, cut) => self.cut(at, cut, folder),
            Point::Fail(step, at, fault) => self.fail(step, at, fault, folder),
        }
    }

    fn cut(&self, at: usize, cut: Cut, folder: &Path) -> Result<(), String> {
        let mut durable = Durable::new(self.start.clone());
        self.trace.iter().take(at).for_each(|operation| durable.follow(operation));
        let mut rng = ChaCha20Rng::seed_from_u64(at as u64);
        let image = durable.cut(cut, &mut rng);
        let done = self.acknowledged.iter().filter(|acknowledged| **acknowledged <= at).count();
        self.look(folder, image, done, &[done, (done + 1).min(STEPS)])
    }

    fn fail(&self, step: usize, at: usize, fault: Fault, folder: &Path) -> Result<(), String> {
        let before = &self.before[step];
        let disk = vfs::mount(folder, Disk::new(before.clone()));
        lock(&disk).set_fault(Some((at, fault)));
        let mut opened = self.script.open(folder);
        let outcome = match &mut opened {
            Ok(shift) => shift.step(step),
            Err(error) => Err(std::mem::replace(error, Error::Poisoned)),
        };
        let mut may_be = vec![step + 1];
        if let Err(error) = &outcome {
            // Nothing but the disk is to blame, and a full disk left nothing of what was one transaction.
            let codes = match fault {
                Fault::Once | Fault::ForEver => ["disk-failed", "reopen"],
                Fault::Full => ["disk-full", "disk-full"],
            };
            if error.kind() != ErrorKind::Environment || !codes.contains(&error.code()) {
                return Err(said("the failing step", error));
            }
            may_be.insert(0, step);
        }
        if fault == Fault::Full
            && let (Ok(shift), Err(_)) = (&mut opened, &outcome)
        {
            // Space returns: the same handle goes on.
            lock(&disk).set_fault(None);
            let now = digest(shift)?;
            if now == self.digests[step] {
                shift.step(step).map_err(|error| said("again with space", &error))?;
                self.expect(&digest(shift)?, step + 1, "again with space")?;
                may_be = vec![step + 1];
            }
        }
        drop(opened);
        lock(&disk).set_fault(None);
        let image = match fault {
            Fault::Once | Fault::Full => files(&disk),
            Fault::ForEver => {
                let mut durable = Durable::new(before.clone());
                trace(&disk).iter().for_each(|operation| durable.follow(operation));
                durable.cut(Cut::Subset, &mut ChaCha20Rng::seed_from_u64(at as u64))
            }
        };
        self.look(folder, image, step, &may_be)
    }

    /// Opens what is left: it is one of the states that it may be, whole, and goes on.
    fn look(&self, folder: &Path, image: Image, step: usize, may_be: &[usize]) -> Result<(), String> {
        let (disk, mut shift) = self.opened(folder, image, None)?;
        let now = digest(&mut shift)?;
        let Some(is) = may_be.iter().find(|state| self.digests[**state] == now) else {
            let known = self.digests.iter().position(|digest| *digest == now);
            return Err(format!("at step {step} the book is that after {known:?} steps, and may be {may_be:?}"));
        };
        let report = shift.book.verify(&mut |_, _| {}).map_err(|error| said("verify", &error))?;
        if let Some(problem) = report.problems.first() {
            return Err(format!("verify: {problem}"));
        }
        let before = shift.book.digest();
        shift.book.rebuild(&mut |_, _| {}).map_err(|error| said("rebuild", &error))?;
        self.expect(&digest(&mut shift)?, *is, "rebuilt")?;
        if before.ok() != shift.book.digest().ok() {
            return Err("not as a rebuild makes it".into());
        }
        if *is < STEPS {
            shift.step(*is).map_err(|error| said("the next step", &error))?;
            self.expect(&digest(&mut shift)?, is + 1, "the next step")?;
        }
        drop((shift, disk));
        Ok(())
    }

    fn opened(
        &self,
        folder: &Path,
        image: Image,
        fault: Option<(usize, Fault)>,
    ) -> Result<(vfs::Shared, Shift<'_>), String> {
        let disk = vfs::mount(folder, Disk::new(image));
        lock(&disk).set_fault(fault);
        let shift = self.script.open(folder).map_err(|error| said("open", &error))?;
        Ok((disk, shift))
    }

    fn expect(&self, digest: &Digest, state: usize, what: &str) -> Result<(), String> {
        if self.digests[state] == *digest { Ok(()) } else { Err(format!("{what}: not as after {state} steps")) }
    }
}

/// What the book says. Who read is written after a commit and owed to nobody before: it may be there or not.
fn digest(shift: &mut Shift<'_>) -> Result<Digest, String> {
    let digest = shift.book.digest().map_err(|error| said("digest", &error))?;
    Ok(digest.into_iter().filter(|(name, _)| !name.starts_with("audit")).collect())
}

fn said(what: &str, error: &Error) -> String {
    format!("{what}: {error} [{}] {error:?}", error.code())
}

fn lock(disk: &vfs::Shared) -> std::sync::MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

fn files(disk: &vfs::Shared) -> Image {
    lock(disk).files().clone()
}

fn operations(disk: &vfs::Shared) -> usize {
    lock(disk).trace().len()
}

fn trace(disk: &vfs::Shared) -> Vec<Operation> {
    lock(disk).trace().iter().flatten().cloned().collect()
}

//! The press: makes the views of many subjects on a second core while the first writes them.
//!
//! Views are made of a subject's operations alone and written in the order in which their subjects were given,
//! so that the file is the same whether there is a second core or not. What is under way is bounded.

use super::making::Made;
use crate::merge::{Backlog, Logs, Sheets, Subject, Times};
use crate::store::StoreError;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;

/// Subjects that pass to the other thread together.
const BATCH: usize = 64;
/// Batches under way at most.
const UNDER_WAY_MAX: usize = 4;
/// Subjects, findings and missing references that wait to be written at most while the disk is waited for: some 10 MiB.
const PILE_MAX: usize = 16 * 1_024;
/// Operations below which a second thread costs more than it gains.
const OPERATIONS_MIN: usize = 2_048;

/// Where the operations of a subject are.
pub(super) enum Source {
    /// In the backlog.
    Held(Range<usize>),
    /// In its sheets.
    Sheets(Sheets),
}

/// A subject whose views are to be made.
pub(super) struct Job {
    pub subject: Subject,
    pub source: Source,
    pub times: Times,
    /// Whether it has no rows yet.
    pub new: bool,
}

/// A subject with its views.
pub(super) struct Pressed {
    pub subject: Subject,
    pub made: Made,
    pub new: bool,
}

type Batch = Vec<Result<Pressed, StoreError>>;

/// Makes views, here or on a second thread.
pub(super) struct Press<'s> {
    logs: &'s Logs,
    backlog: &'s Backlog,
    batch: Vec<Job>,
    second: Option<Second>,
}

struct Second {
    jobs: SyncSender<Vec<Job>>,
    pressed: Receiver<Batch>,
    under_way: usize,
}

impl<'s> Press<'s> {
    /// A press for about so many operations; its second thread, if it has one, ends with the scope.
    pub fn start<'e>(scope: &'s Scope<'s, 'e>, logs: &'s Logs, backlog: &'s Backlog, operations: usize) -> Self {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let second = (operations >= OPERATIONS_MIN && cores() > 1).then(|| {
            let (jobs, to_do) = sync_channel::<Vec<Job>>(UNDER_WAY_MAX);
            let (done, pressed) = sync_channel::<Batch>(UNDER_WAY_MAX);
            scope.spawn(move || {
                for batch in to_do {
                    let batch = batch.into_iter().map(|job| press(job, logs, backlog)).collect();
                    // Who does not listen any more met an error of the file.
                    if done.send(batch).is_err() {
                        return;
                    }
                }
            });
            Second { jobs, pressed, under_way: 0 }
        });
        Self { logs, backlog, batch: Vec::new(), second }
    }

    /// Takes a subject; gives what is ready to `write`.
    pub fn put(
        &mut self,
        job: Job,
        write: &mut impl FnMut(Pressed) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.second.is_none() {
            return write(press(job, self.logs, self.backlog)?);
        }
        self.batch.push(job);
        if self.batch.len() >= BATCH { self.pass_on(write) } else { Ok(()) }
    }

    /// Gives all that is left to `write`.
    pub fn finish(mut self, write: &mut impl FnMut(Pressed) -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.pass_on(write)?;
        while let Some(second) = &mut self.second
            && second.under_way > 0
        {
            second.receive(write)?;
        }
        Ok(())
    }

    fn pass_on(&mut self, write: &mut impl FnMut(Pressed) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let Some(second) = &mut self.second else { return Ok(()) };
        if second.under_way >= UNDER_WAY_MAX {
            second.receive(write)?;
        }
        second.jobs.send(std::mem::take(&mut self.batch)).map_err(|_| gone())?;
        second.under_way += 1;
        Ok(())
    }
}

impl Second {
    fn receive(&mut self, write: &mut impl FnMut(Pressed) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let batch = self.pressed.recv().map_err(|_| gone())?;
        self.under_way -= 1;
        batch.into_iter().try_for_each(|pressed| write(pressed?))
    }
}

/// Makes views ahead of their writing, in the order in which their subjects were given, on a thread of its own.
pub(super) struct Ahead {
    pressed: Receiver<Batch>,
    ready: std::vec::IntoIter<Result<Pressed, StoreError>>,
    pile: Arc<Pile>,
}

impl Ahead {
    /// Begins with subjects whose operations are in the backlog; the thread ends with the scope, or when this is dropped.
    pub fn start<'s>(scope: &'s Scope<'s, '_>, logs: &'s Logs, backlog: &'s Backlog, jobs: Vec<Job>) -> Self {
        let (done, pressed) = channel::<Batch>();
        let pile = Arc::new(Pile::default());
        let on_pile = Arc::clone(&pile);
        scope.spawn(move || {
            let mut jobs = jobs.into_iter();
            loop {
                let batch: Batch = jobs.by_ref().take(BATCH).map(|job| press(job, logs, backlog)).collect();
                if batch.is_empty() || on_pile.wait_for_room(&batch).is_none() || done.send(batch).is_err() {
                    return;
                }
            }
        });
        Self { pressed, ready: Vec::new().into_iter(), pile }
    }

    /// The views of the next subject.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be made.
    pub fn next(&mut self) -> Result<Pressed, StoreError> {
        loop {
            if let Some(pressed) = self.ready.next() {
                return pressed;
            }
            let batch = self.pressed.recv().map_err(|_| gone())?;
            self.pile.take_off(&batch);
            self.ready = batch.into_iter();
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.pile.close();
    }
}

/// What was made and is not written: bounded in subjects, findings and missing references together, of which each takes some hundred bytes.
#[derive(Default)]
struct Pile {
    height: Mutex<Height>,
    changed: Condvar,
}

#[derive(Clone, Copy)]
enum Height {
    Open(usize),
    /// Nobody takes from it any more.
    Closed,
}

impl Default for Height {
    fn default() -> Self {
        Self::Open(0)
    }
}

impl Pile {
    fn height(&self) -> MutexGuard<'_, Height> {
        self.height.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a batch has room, or the pile is empty; none if it is closed.
    fn wait_for_room(&self, batch: &Batch) -> Option<()> {
        let weight = weight(batch);
        let full = |height: &mut Height| match height {
            Height::Open(height) => *height > 0 && *height + weight > PILE_MAX,
            Height::Closed => false,
        };
        let mut height = self.changed.wait_while(self.height(), full).unwrap_or_else(PoisonError::into_inner);
        match &mut *height {
            Height::Open(height) => *height += weight,
            Height::Closed => return None,
        }
        Some(())
    }

    fn take_off(&self, batch: &Batch) {
        if let Height::Open(height) = &mut *self.height() {
            *height = height.saturating_sub(weight(batch));
        }
        self.changed.notify_one();
    }

    fn close(&self) {
        *self.height() = Height::Closed;
        self.changed.notify_one();
    }
}

fn weight(batch: &Batch) -> usize {
    batch.iter().flatten().map(|pressed| 1 + pressed.made.findings.len() + pressed.made.missing.len()).sum()
}

pub(super) fn press(job: Job, logs: &Logs, backlog: &Backlog) -> Result<Pressed, StoreError> {
    let Job { subject, source, times, new } = job;
    let made = match source {
        Source::Held(range) => Made::of(&subject, backlog.operations(range), logs, &times),
        Source::Sheets(sheets) => Made::of(&subject, sheets.operations()?, logs, &times),
    };
    Ok(Pressed { subject, made, new })
}

fn gone() -> StoreError {
    StoreError::Disk("a thread of this program ended".into())
}

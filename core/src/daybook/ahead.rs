//! Taking in much: runs are read ahead by a second thread while the first stores those before them, on a core of its own
//! or while the first waits for the disk.
//!
//! What is stored, judged and posted is the same as without the second thread: batches are taken in in their order,
//! and what reading ahead found is used only where it still holds.

use super::Daybook;
use super::error::Error;
use super::keys::take_carried;
use super::types::IngestReport;
use crate::crypto::ParcelGroup;
use crate::limits::{BYTES_PER_COMMIT_MAX, ENTRIES_PER_COMMIT_MAX, ENTRIES_PER_RUN_MAX, PARCEL_BYTES};
use crate::log::RunError;
use crate::merge::{Openers, ReadRun, Room};
use crate::store::Pace;
use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

/// Runs of one durable transaction, and what their source had to refuse before them.
#[derive(Default)]
pub(super) struct RunBatch {
    pub runs: Vec<Vec<u8>>,
    /// Keys that came between the runs, taken in after them.
    pub parcels: Vec<ParcelGroup>,
    pub refused: Vec<&'static str>,
    bytes: usize,
}

impl RunBatch {
    /// Whether it holds as much as one transaction takes: a run has at most 1,024 entries.
    pub const fn is_full(&self) -> bool {
        self.runs.len() >= ENTRIES_PER_COMMIT_MAX / ENTRIES_PER_RUN_MAX || self.bytes >= BYTES_PER_COMMIT_MAX
    }

    /// Whether nothing is in it.
    pub const fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.parcels.is_empty() && self.refused.is_empty()
    }

    pub fn push_parcels(&mut self, group: ParcelGroup) {
        self.bytes += group.parcels.len() * PARCEL_BYTES;
        self.parcels.push(group);
    }

    pub fn push(&mut self, run: Vec<u8>) {
        self.bytes += run.len();
        self.runs.push(run);
    }
}

/// Where batches come from; none at the end.
pub(super) type Batches<'b> = dyn FnMut() -> Result<Option<RunBatch>, Error> + 'b;

/// Adds up what became of batches.
#[derive(Default)]
struct Sum {
    report: IngestReport,
    refused: BTreeMap<String, u64>,
}

impl Sum {
    fn refuse(&mut self, code: &str, count: u64) {
        *self.refused.entry(code.to_owned()).or_default() += count;
    }

    fn add(&mut self, taken: IngestReport) {
        self.report.new += taken.new;
        self.report.known += taken.known;
        self.report.own_entries_returned |= taken.own_entries_returned;
        taken.refused.into_iter().for_each(|(code, count)| self.refuse(&code, count));
    }

    const fn looked_at(&self) -> u64 {
        self.report.new + self.report.known
    }

    fn finish(mut self) -> IngestReport {
        self.report.refused = self.refused.into_iter().collect();
        self.report
    }
}

impl Daybook {
    /// Takes in runs one after the other, in durable transactions of at most 4,096 entries, and posts them at the
    /// end. `progress` is told how many entries were looked at. Uses two threads.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be written; what was committed before stays, and the same runs can be taken in
    /// again.
    pub fn take_all(
        &mut self,
        runs: &mut dyn Iterator<Item = Vec<u8>>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<IngestReport, Error> {
        let mut next = || {
            let mut batch = RunBatch::default();
            while !batch.is_full()
                && let Some(run) = runs.next()
            {
                batch.push(run);
            }
            Ok((!batch.runs.is_empty()).then_some(batch))
        };
        self.take_batches(&mut next, progress)
    }

    pub(super) fn take_batches(
        &mut self,
        next: &mut Batches<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<IngestReport, Error> {
        let first = next()?;
        let much = first.as_ref().is_some_and(RunBatch::is_full);
        if !much {
            return self.take_each(first, next, progress);
        }
        self.store.set_pace(Pace::Much)?;
        let taken = if self.state.store_only {
            self.take_each(first, next, progress)
        } else {
            self.take_ahead(first, next, progress)
        };
        let calm = self.store.set_pace(Pace::Little);
        let taken = taken?;
        calm?;
        Ok(taken)
    }

    /// Takes in batch after batch on this thread.
    fn take_each(
        &mut self,
        mut first: Option<RunBatch>,
        next: &mut Batches<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<IngestReport, Error> {
        let mut sum = Sum::default();
        while let Some(batch) = next_of(&mut first, next, &mut sum)? {
            sum.add(self.take_runs(&batch.runs)?);
            self.take_parcels(&batch.parcels)?;
            progress(sum.looked_at());
        }
        self.post_all()?;
        Ok(sum.finish())
    }

    /// Takes in batch after batch, each read by a second thread while the one before it is stored.
    fn take_ahead(
        &mut self,
        mut first: Option<RunBatch>,
        next: &mut Batches<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<IngestReport, Error> {
        let mut sum = Sum::default();
        std::thread::scope(|scope| {
            let mut ahead = ReadAhead::start(scope, self.openers());
            let mut more = true;
            while more || !ahead.under_way.is_empty() {
                if more {
                    match next_of(&mut first, next, &mut sum)? {
                        Some(batch) => ahead.put(batch)?,
                        None => more = false,
                    }
                }
                if ahead.is_far() || !more {
                    let Some((read, parcels)) = ahead.receive()? else { continue };
                    self.take_read(read, &parcels, &mut sum, &mut ahead)?;
                    progress(sum.looked_at());
                }
            }
            Ok::<(), Error>(())
        })?;
        self.post_all()?;
        Ok(sum.finish())
    }

    fn take_parcels(&mut self, parcels: &[ParcelGroup]) -> Result<(), Error> {
        if parcels.is_empty() { Ok(()) } else { self.write(|writer| take_carried(writer, parcels)) }
    }

    fn take_read(
        &mut self,
        read: Vec<Read>,
        parcels: &[ParcelGroup],
        sum: &mut Sum,
        ahead: &mut ReadAhead,
    ) -> Result<(), Error> {
        let mut runs = Vec::with_capacity(read.len());
        let mut control = if parcels.is_empty() { Control::None } else { Control::Some };
        for run in read {
            match run {
                Ok(run) => {
                    if run.checked().name().is_control() {
                        control = Control::Some;
                    }
                    runs.push(run);
                }
                Err(refused) => sum.refuse(refused.code(), 1),
            }
        }
        sum.add(self.take_read_runs(&runs)?);
        self.take_parcels(parcels)?;
        if let Control::Some = control {
            ahead.tell(self.openers())?;
        }
        Ok(())
    }

    /// What reading ahead needs, as it is now.
    fn openers(&self) -> Openers {
        let ring = &self.state.ring;
        let kinds = ring.roster.compartments().keys().filter_map(|id| Some((*id, ring.roster.kind_of(*id)?)));
        Openers { incident: ring.incident, keys: ring.keys.clone(), kinds: kinds.collect() }
    }
}

/// Whether a batch held control entries or keys, after which other keys may be held.
enum Control {
    None,
    Some,
}

/// The first batch, then the next ones.
fn next_of(first: &mut Option<RunBatch>, next: &mut Batches<'_>, sum: &mut Sum) -> Result<Option<RunBatch>, Error> {
    let batch = match first.take() {
        Some(batch) => Some(batch),
        None => next()?,
    };
    if let Some(batch) = &batch {
        batch.refused.iter().for_each(|code| sum.refuse(code, 1));
    }
    Ok(batch)
}

type Read = Result<ReadRun, RunError>;

/// A batch that was read, and the keys that came with it.
type ReadBatch = (Vec<Read>, Vec<ParcelGroup>);

/// What the second thread is told.
enum Told {
    Openers(Box<Openers>),
    Batch(Vec<Vec<u8>>),
}

/// The second thread, which reads batches ahead; it ends with the scope.
struct ReadAhead {
    to: SyncSender<Told>,
    from: Receiver<Vec<Read>>,
    /// Bytes of each batch under way, and keys that came with it.
    under_way: VecDeque<(usize, Vec<ParcelGroup>)>,
}

/// Batches under way at most: one more is read, one waits to be taken and one to be read while the disk is waited for.
const UNDER_WAY_MAX: usize = 4;
/// Bytes of batches under way above which two are enough: their entries are long, and so is reading one.
const UNDER_WAY_BYTES_MAX: usize = 8 * 1024 * 1024;

impl ReadAhead {
    fn start<'s>(scope: &'s Scope<'s, '_>, openers: Openers) -> Self {
        let (to, told) = sync_channel(2 * UNDER_WAY_MAX);
        let (done, from) = sync_channel(1);
        scope.spawn(move || {
            let (mut openers, mut room) = (Box::new(openers), Room::default());
            for told in told {
                match told {
                    Told::Openers(now) => openers = now,
                    Told::Batch(runs) => {
                        let read = runs.into_iter().map(|run| ReadRun::read(run, &openers, &mut room)).collect();
                        // Who does not listen any more met an error of the file.
                        if done.send(read).is_err() {
                            return;
                        }
                    }
                }
            }
        });
        Self { to, from, under_way: VecDeque::new() }
    }

    fn put(&mut self, batch: RunBatch) -> Result<(), Error> {
        self.to.send(Told::Batch(batch.runs)).map_err(|_| gone())?;
        self.under_way.push_back((batch.bytes, batch.parcels));
        Ok(())
    }

    /// Whether as much is under way as may be.
    fn is_far(&self) -> bool {
        let bytes: usize = self.under_way.iter().map(|(bytes, _)| bytes).sum();
        self.under_way.len() >= if bytes < UNDER_WAY_BYTES_MAX { UNDER_WAY_MAX } else { 2 }
    }

    fn tell(&self, openers: Openers) -> Result<(), Error> {
        self.to.send(Told::Openers(Box::new(openers))).map_err(|_| gone())
    }

    /// The next batch, if one is under way.
    fn receive(&mut self) -> Result<Option<ReadBatch>, Error> {
        let Some((_, parcels)) = self.under_way.pop_front() else { return Ok(None) };
        let read = self.from.recv().map_err(|_| gone())?;
        Ok(Some((read, parcels)))
    }
}

const fn gone() -> Error {
    Error::Bug("a thread of this program ended")
}

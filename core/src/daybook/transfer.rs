//! Logs as a file: export, and taking one in by the way that every run takes.
//!
//! ```text
//! file  = "DAYBOOK LOG\0" 12 | format 2 | founding length 4 | founding statement with signatures | frames
//! frame = kind 1 | length 4 | payload       kind 1: a run       kind 2: a group of parcels
//!                                           kind 3: proof of a flood
//!                                           kind 0, the last: hash of all before it 32
//! ```

use super::Daybook;
use super::ahead::RunBatch;
use super::enrolment::alone;
use super::error::Error;
use super::floods::{self, Kept};
use super::former::{self, Brought};
use super::judging::{Since, rejudge};
use super::keys::{open_keys, parcels_to_carry};
use super::state::{State, control_entry, control_without_effect, value};
use super::strangers::{Counted, NO_ROOM, Room};
use super::types::IngestReport;
use super::writing::Writer;
use crate::clock::Hlc;
use crate::crypto::{Deriver, Label, ParcelGroup};
use crate::id::{DeviceId, EntryId};
use crate::limits::{
    CONTROL_BODY_BYTES_MAX, ENTRIES_PER_POSTING_MAX, ENTRIES_PER_RUN_MAX, FORMAT, FRAME_BYTES_MAX, PARCEL_BYTES,
    SIGNED_EVERY,
};
use crate::log::{Proof, Run, RunBuilder, VerifiedRun};
use crate::merge::{Intake, Logs, ReadRun};
use crate::mutant::{self, Mutant};
use crate::roster::{FoundingError, SignedFounding};
use crate::store::{BranchOf, Declined, EntryKey, LogRow, Store, StoreError};
use crate::view;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::io::{Read, Write};

/// The rule code of a run for which there is no room, since its bringer's grant ended.
pub(super) const FORMER_NO_ROOM: &str = "E-015";

const MAGIC: &[u8; 12] = b"DAYBOOK LOG\0";
const RUN: u8 = 1;
const PARCELS: u8 = 2;
const FLOOD: u8 = 3;
const END: u8 = 0;

/// Bytes of one exported run above which the next signed head ends it.
const RUN_BYTES: usize = 1024 * 1024;

impl Daybook {
    /// Writes all logs as runs: control first, then by lane; and the keys that devices of the incident may have,
    /// wrapped for each of them. Returns how many entries were written.
    ///
    /// # Errors
    /// [`Error::File`] if the target cannot be written; the book is not touched.
    pub fn export_log(&mut self, to: &mut dyn Write) -> Result<u64, Error> {
        self.write_notes();
        self.refresh()?;
        let floods = self.floods()?;
        let founding = self.state.founding.bytes();
        let mut hash = Deriver::new(Label::Export);
        let mut put = |bytes: &[u8]| {
            hash.update(bytes);
            to.write_all(bytes)
        };
        put(MAGIC)?;
        put(&FORMAT.to_le_bytes())?;
        put(&length(founding.len()))?;
        put(founding)?;
        let mut frame = |kind: u8, payload: &[u8]| {
            put(&[kind])?;
            put(&length(payload.len()))?;
            put(payload)
        };
        for proof in floods {
            frame(FLOOD, proof.bytes())?;
        }
        let mut entries = 0;
        let Self { store, state, host, .. } = self;
        store.at_one_moment(|connection| {
            let (control, others): (Vec<LogRow>, Vec<LogRow>) =
                Store::logs(connection)?.into_iter().partition(|log| log.name.is_control());
            let logs = |logs: &[LogRow], frame: &mut dyn FnMut(u8, &[u8]) -> std::io::Result<()>| {
                let mut entries = 0;
                for log in logs {
                    for branch in Store::branches(connection, log.number)? {
                        export_branch(connection, log, &branch, &mut |run, count| {
                            entries += count;
                            Ok(frame(RUN, &run)?)
                        })?;
                    }
                }
                Ok::<u64, Error>(entries)
            };
            entries += logs(&control, &mut frame)?;
            // Behind the grants on which they may stand.
            for (run, count) in alone::without_chain(connection, &state.ring.incident)? {
                entries += count;
                frame(RUN, &run)?;
            }
            // Behind control, which says what they are keys of; before what they open.
            for group in parcels_to_carry(connection, state, host.as_mut())? {
                frame(PARCELS, &group.encode())?;
            }
            entries += logs(&others, &mut frame)?;
            Ok::<(), Error>(())
        })?;
        to.write_all(&[&[END][..], &length(32), &hash.finish()].concat())?;
        Ok(entries)
    }

    /// Takes in an export: verifies every run, stores what is new, and posts it. `progress` is told how many
    /// entries were looked at. A file that ends early is taken in as far as it goes; a refused run is counted
    /// by its rule code and the others go on.
    ///
    /// # Errors
    /// [`Error::NotAnExport`], [`Error::OtherIncident`], [`Error::NewerExport`]: nothing was written. Later
    /// errors leave what was committed before; taking the file in again goes on from there.
    pub fn ingest(&mut self, from: &mut dyn Read, progress: &mut dyn FnMut(u64)) -> Result<IngestReport, Error> {
        let (mut frames, founding) = Frames::open(from)?;
        if founding.incident() != self.state.founding.incident() {
            return Err(Error::OtherIncident);
        }
        self.take_frames(&mut frames, progress)
    }

    /// Takes in what follows the founding statement of a file.
    pub(super) fn take_frames(
        &mut self,
        frames: &mut Frames<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<IngestReport, Error> {
        let (mut refused, mut first) = self.take_floods(frames)?;
        let (mut cut_off, mut ended) = (false, false);
        let mut next = || {
            let mut batch = RunBatch::default();
            batch.refused.append(&mut refused);
            while !ended && !batch.is_full() {
                match first.take().map_or_else(|| frames.next(), Ok)? {
                    Frame::Flood(_) => batch.refused.push("E-011"),
                    Frame::Run(run) => batch.push(run),
                    Frame::Parcels(group) => batch.push_parcels(group),
                    Frame::Refused(code) => batch.refused.push(code),
                    Frame::End { whole } => (cut_off, ended) = (!whole, true),
                }
            }
            Ok((!ended || !batch.is_empty()).then_some(batch))
        };
        let report = self.take_batches(&mut next, progress)?;
        Ok(IngestReport { cut_off, ..report })
    }

    /// Takes in the floods with which a file begins; gives the codes of those that are none, and the frame after them.
    fn take_floods(&mut self, frames: &mut Frames<'_>) -> Result<(Vec<&'static str>, Option<Frame>), Error> {
        let mut refused = Vec::new();
        loop {
            let proof = match frames.next()? {
                Frame::Flood(proof) => Proof::read(&proof),
                other @ (Frame::Run(_) | Frame::Parcels(_) | Frame::Refused(_) | Frame::End { .. }) => {
                    return Ok((refused, Some(other)));
                }
            };
            match proof {
                Ok(proof) if *proof.incident() == self.state.ring.incident && proof.is_flood() => {
                    self.take_flood(&proof)?;
                }
                Ok(_) => refused.push("W-005"),
                Err(error) => refused.push(error.code()),
            }
        }
    }

    /// Takes in runs in one durable transaction; their views are made later by [`Daybook::post_all`].
    ///
    /// # Errors
    /// As [`Daybook::ingest`]; then nothing of this batch was stored.
    pub fn take_runs(&mut self, runs: &[Vec<u8>]) -> Result<IngestReport, Error> {
        self.take_runs_of(DeviceId::ZERO, runs)
    }

    /// As [`Daybook::take_runs`], of runs that a device brought; zeros stand for files.
    pub(super) fn take_runs_of(&mut self, bringer: DeviceId, runs: &[Vec<u8>]) -> Result<IngestReport, Error> {
        self.take_in_one(bringer, runs.len(), |writer, sum| {
            for bytes in runs {
                match Run::read(bytes).and_then(|run| run.verify(&writer.state.ring.incident)) {
                    Ok(run) => sum.take(writer, bytes, &run, None)?,
                    Err(error) => sum.refuse(error.code()),
                }
            }
            Ok(())
        })
    }

    /// As [`Daybook::take_runs`], of runs that were read ahead.
    pub(super) fn take_read_runs(&mut self, runs: &[ReadRun]) -> Result<IngestReport, Error> {
        let bytes = runs.iter().map(|read| read.checked().bytes().len()).sum();
        if !self.state.backlog.has_room_for(bytes) {
            // Filed in the middle of a transaction, pages that left the cache would be written again by what follows, and
            // the whole filing be read and summed once more.
            self.write(|writer| Ok(writer.state.backlog.file_all(writer.tx)?))?;
        }
        self.take_in_one(DeviceId::ZERO, runs.len(), |writer, sum| {
            for read in runs {
                match read.checked().run() {
                    Ok(run) => sum.take(writer, read.checked().bytes(), &run, Some(read))?,
                    Err(error) => sum.refuse(error.code()),
                }
            }
            Ok(())
        })
    }

    /// Takes in `count` runs in one durable transaction; what control entries among them change is judged anew.
    fn take_in_one(
        &mut self,
        bringer: DeviceId,
        count: usize,
        take: impl FnOnce(&mut Writer<'_>, &mut TakenIn) -> Result<(), Error>,
    ) -> Result<IngestReport, Error> {
        if count == 0 {
            return Ok(IngestReport::default());
        }
        self.write(|writer| {
            let mut sum = TakenIn { bringer, ..TakenIn::default() };
            take(writer, &mut sum)?;
            sum.strangers.keep(writer.tx)?;
            sum.brought.keep(writer.tx)?;
            if sum.control {
                join_alone(writer.tx, writer.state)?;
                let before = std::mem::take(&mut writer.state.ring.roster);
                writer.state.refold(writer.tx)?;
                let keys = open_keys(writer.tx, writer.state)?;
                rejudge(writer.tx, writer.state, Since::Roster { before: &before, keys })?;
            }
            sum.report.refused = sum.refused.into_iter().collect();
            Ok(sum.report)
        })
    }

    /// From now on, also when it is opened again, this book stores what comes, relays it, and does not merge it. For
    /// an exercise that must fail: nobody sees here what others wrote.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be written.
    pub fn stop_merging(&mut self) -> Result<(), Error> {
        self.write(|writer| {
            writer.state.store_only = true;
            Ok(Store::set_value(writer.tx, value::STORE_ONLY, &[1])?)
        })
    }

    /// Makes the views of everything that was taken in. A crash on the way loses nothing: what was marked
    /// stays marked, and the next call goes on.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be written.
    pub fn post_all(&mut self) -> Result<(), Error> {
        if self.state.store_only {
            return Ok(());
        }
        self.post_beside()?;
        loop {
            let posted = self.write(|writer| {
                let State { logs, backlog, ring, .. } = &mut *writer.state;
                let posted = view::post(writer.tx, logs, backlog, ENTRIES_PER_POSTING_MAX)?;
                if posted == 0 && !Store::unposted(writer.tx)?.is_empty() {
                    Intake::new(writer.tx, ring, backlog).resume(logs, || {})?;
                    return Ok(1);
                }
                Ok(posted)
            })?;
            if posted == 0 {
                return self.write(|writer| adopt_clock(writer.tx, writer.state));
            }
        }
    }
}

impl Daybook {
    /// Posts what waits in memory, if it is much, while the disk is waited for.
    fn post_beside(&mut self) -> Result<(), Error> {
        self.refresh()?;
        let State { logs, backlog, .. } = &mut self.state;
        if !backlog.is_much() {
            return Ok(());
        }
        let posted = view::post_beside(&mut self.store, logs, backlog, ENTRIES_PER_POSTING_MAX);
        if posted.is_err()
            && let Ok(connection) = self.store.read()
        {
            // What was not posted is taken from the file.
            self.state = State::load(&self.store, connection)?;
        }
        match posted {
            Ok(()) | Err(view::Interrupted::Elsewhere) => Ok(()),
            Err(view::Interrupted::Store(error)) => Err(error.into()),
        }
    }
}

/// Takes into their logs what was known alone and joins now.
fn join_alone(tx: &Connection, state: &mut State) -> Result<(), Error> {
    let mut left = alone::runs(tx)?;
    loop {
        let mut waiting: Vec<Vec<u8>> = Vec::new();
        for bytes in &left {
            let Ok(run) = Run::read(bytes).and_then(|run| run.verify(&state.ring.incident)) else { continue };
            match take_run(tx, state, &run, None) {
                Ok(_) => {}
                Err(Declined::Store(error)) => return Err(error.into()),
                Err(_) => waiting.push(bytes.clone()),
            }
        }
        if waiting.len() == left.len() {
            return Ok(());
        }
        alone::set_runs(tx, &waiting)?;
        left = waiting;
    }
}

/// What became of the runs of one transaction.
#[derive(Default)]
struct TakenIn {
    report: IngestReport,
    refused: BTreeMap<String, u64>,
    /// Whether the roster is to be folded anew.
    control: bool,
    /// Who brought the runs.
    bringer: DeviceId,
    strangers: Counted,
    brought: Brought,
}

impl TakenIn {
    fn refuse(&mut self, code: &str) {
        *self.refused.entry(code.to_owned()).or_default() += 1;
    }

    /// Takes in one run; `read` is what was found when it was read ahead.
    fn take(
        &mut self,
        writer: &mut Writer<'_>,
        bytes: &[u8],
        run: &VerifiedRun<'_>,
        read: Option<&ReadRun>,
    ) -> Result<(), Error> {
        let counted = (run, bytes.len());
        let room = self.strangers.room(writer.tx, &writer.state.ring.roster, self.bringer, counted)?;
        if matches!(room, Room::No) {
            self.refuse(NO_ROOM);
            return Ok(());
        }
        let left = self.brought.room(writer.tx, &writer.state.ring.roster, self.bringer, counted)?;
        if matches!(left, former::Room::No) {
            self.refuse(FORMER_NO_ROOM);
            return Ok(());
        }
        let mut taken = take_run(writer.tx, writer.state, run, read);
        if matches!(taken, Err(Declined::Flood))
            && floods::make_room(writer.tx, writer.state, run)? == floods::Room::Made
        {
            self.control = true;
            taken = take_run(writer.tx, writer.state, run, read);
        }
        match taken {
            Ok(taken) => {
                if taken.new > 0 && matches!(room, Room::Some) {
                    self.strangers.count(self.bringer, counted);
                }
                if taken.new > 0 && matches!(left, former::Room::Some) {
                    self.brought.count(self.bringer, bytes.len());
                }
                self.report.new += taken.new;
                self.report.known += taken.known;
                // A fork of a log that a cut names may change which of its entries are ancestors.
                let forked = taken.forked && writer.state.ring.roster.names(&run.log());
                self.control |= forked || ((taken.new > 0 || taken.filled) && run.name().is_control());
                if taken.new > 0
                    && run.name().device == writer.state.device_id
                    && run.name().incarnation == writer.state.incarnation
                    && !mutant::is(Mutant::KeepsItsIncarnation)
                {
                    // Entries of this very incarnation that this book did not have: it is a copy or was
                    // restored. It takes them back and writes on under a new name.
                    Store::set_value(writer.tx, value::BEGIN, &[1])?;
                    writer.state.begin = true;
                    self.report.own_entries_returned = true;
                }
            }
            Err(Declined::Store(error)) => return Err(error.into()),
            Err(declined) => {
                self.control |= floods::meet(writer.tx, writer.state, run, &declined)? == Kept::New;
                if matches!(declined, Declined::DoesNotJoin)
                    && run.name().is_control()
                    && let Some(new) = alone::keep(writer.tx, writer.state, bytes, run)?
                {
                    self.report.new += new as u64;
                    self.report.known += (run.entries().len() - new) as u64;
                    self.control |= new > 0;
                    return Ok(());
                }
                let code = declined.to_string();
                self.refuse(code.split(' ').next().filter(|c| c.starts_with("E-")).unwrap_or("declined"));
            }
        }
        Ok(())
    }
}

/// What became of one run.
struct Taken {
    new: u64,
    known: u64,
    filled: bool,
    /// Whether the log is forked.
    forked: bool,
}

fn take_run(
    tx: &Connection,
    state: &mut State,
    run: &VerifiedRun<'_>,
    read: Option<&ReadRun>,
) -> Result<Taken, Declined> {
    // A run that is declined half way leaves nothing: what it had stored is undone alone.
    tx.execute_batch("SAVEPOINT run")?;
    let appended = match Store::append(tx, run) {
        Ok(appended) => appended,
        Err(declined) => {
            tx.execute_batch("ROLLBACK TO run; RELEASE run")?;
            return Err(declined);
        }
    };
    tx.execute_batch("RELEASE run")?;
    if state.logs.get(appended.log).is_none() || appended.forked {
        state.logs = Logs::load(tx)?;
    }
    let here = |seq| appended.joined.iter().any(|key| key.seq() == seq);
    let new = || run.entries().iter().enumerate().skip(appended.known).filter(|(_, entry)| !here(entry.seq()));
    let key = |seq| EntryKey::new(appended.log, seq, appended.branch);
    if run.name().is_control() {
        new().try_for_each(|(_, entry)| take_control(tx, state, key(entry.seq())))?;
    } else if !state.store_only {
        let mut intake = Intake::new(tx, &state.ring, &mut state.backlog);
        for (index, entry) in new() {
            let (log, key, entry) = ((run.name(), run.log()), key(entry.seq()), (entry.id(), entry.entry()));
            match read {
                Some(read) => intake.take_read(log, key, entry, (read, index))?,
                None => intake.take(log, key, entry)?,
            };
        }
    }
    let filled = !appended.filled.is_empty();
    if filled && run.name().is_control() {
        for key in &appended.filled {
            Store::set_verdict(tx, *key, None)?;
            take_control(tx, state, *key)?;
        }
    } else if filled {
        let State { ring, backlog, logs, .. } = &mut *state;
        Intake::new(tx, ring, backlog).take_again(logs, appended.filled.iter().copied())?;
    }
    join_beyond(tx, state, run.name().is_control(), &appended.joined)?;
    let forked = appended.new > 0 && (appended.forked || appended.branch > 0 || state.chains.is_forked(&run.log()));
    Ok(Taken { new: appended.new as u64, known: appended.known as u64, filled, forked })
}

/// Judges entries anew that stood beyond the end of a branch and are part of it now: what their rules ask of the
/// chain before them is here. Control entries count wherever they stand.
fn join_beyond(tx: &Connection, state: &mut State, control: bool, joined: &[EntryKey]) -> Result<(), StoreError> {
    if control || joined.is_empty() {
        return Ok(());
    }
    let State { ring, backlog, logs, .. } = state;
    Intake::new(tx, ring, backlog).take_again(logs, joined.iter().copied())
}

/// Reads a control entry that was just stored; one that breaks its schema is faulty for everybody.
fn take_control(tx: &Connection, state: &mut State, key: EntryKey) -> Result<(), StoreError> {
    let (Some(stored), Some(log)) = (Store::entry(tx, key)?, state.logs.get(key.log())) else { return Ok(()) };
    match control_entry(log, &stored) {
        Some(entry) => state.control.push(entry),
        None => Store::set_verdict(tx, key, Some(control_without_effect(&stored)))?,
    }
    Ok(())
}

/// Moves the own clock past the times of others that can be right.
fn adopt_clock(tx: &Connection, state: &mut State) -> Result<(), Error> {
    let mut statement = tx.prepare_cached("SELECT compartment, device, hlc FROM device_time")?;
    let mut rows = statement.query([])?;
    let mut hlc = state.hlc;
    let control = |device| state.control.iter().filter(|e| e.device != device).map(|e| e.hlc.ms()).max().unwrap_or(0);
    while let Some(row) = rows.next()? {
        let times = crate::merge::Times::load(tx, row.get(0)?)?;
        let (device, theirs) = (DeviceId::new(row.get(1)?), Hlc::from_bits(row.get::<_, i64>(2)?.cast_unsigned()));
        let late = theirs.ms().saturating_sub(control(device).max(state.hlc.ms())) > 30 * crate::clock::DAY_MS;
        let right = !late && !times.implausible(device, theirs, None);
        if device != state.device_id && (right || mutant::is(Mutant::AdoptsAnyClock)) {
            hlc = hlc.merge(theirs);
        }
    }
    state.hlc = state.hlc.max(control_clock(state, hlc));
    Ok(())
}

/// A clock moved past the times of control entries that can be right: at most 30 days later than those of other
/// devices and than the clock itself.
fn control_clock(state: &State, clock: Hlc) -> Hlc {
    let mut newest: BTreeMap<DeviceId, Hlc> = BTreeMap::new();
    for entry in &state.control {
        let of_device = newest.entry(entry.device).or_default();
        *of_device = entry.hlc.max(*of_device);
    }
    let mut times: Vec<Hlc> = newest.into_values().collect();
    times.sort_unstable();
    // In rising order, so that each is compared with the greatest before it; of two, the lower speaks for neither.
    let plausible = |clock: Hlc, time: &Hlc| {
        let late = time.ms().saturating_sub(clock.ms()) > 30 * crate::clock::DAY_MS;
        if late { clock } else { clock.max(*time) }
    };
    // A clock that never ticked speaks for nothing: the lowest time does.
    let from = if clock == Hlc::default() { times.first().copied().unwrap_or_default() } else { clock };
    times.iter().fold(from, plausible)
}

/// Writes one branch as runs, each of which ends in a signed head.
fn export_branch(
    connection: &Connection,
    log: &LogRow,
    branch: &BranchOf,
    put: &mut dyn FnMut(Vec<u8>, u64) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut backlink = if branch.fork_seq == 0 { EntryId::ZERO } else { parent_id(connection, log, branch)? };
    let mut run: Option<RunBuilder> = None;
    Store::entries(connection, (log.number, branch.branch), (branch.fork_seq + 1, branch.tip_seq), |entry| {
        let builder = run.get_or_insert_with(|| RunBuilder::new(&log.name, entry.key.seq(), backlink));
        let signature = Store::head(connection, entry.key)?;
        let may_end = signature.is_some();
        builder.push(&entry.entry(), signature);
        backlink = entry.id;
        let full = builder.bytes() >= RUN_BYTES
            || builder.len() + usize::try_from(SIGNED_EVERY).unwrap_or(64) > ENTRIES_PER_RUN_MAX;
        if may_end
            && (full || entry.key.seq() == branch.tip_seq)
            && let Some(done) = run.take()
        {
            let count = done.len() as u64;
            put(done.finish(), count)?;
        }
        Ok::<bool, Error>(true)
    })?;
    if run.is_some() { Err(Error::Damaged("a signed head is missing".into())) } else { Ok(()) }
}

/// Id of the last entry that a branch shares with another.
fn parent_id(connection: &Connection, log: &LogRow, branch: &BranchOf) -> Result<EntryId, Error> {
    let branches = Store::branches(connection, log.number)?;
    let mut at = branch.parent;
    // The parent may itself begin after the shared place; then its own parent holds it.
    while let Some(parent) = branches.iter().find(|b| b.branch == at && b.fork_seq >= branch.fork_seq && b.parent != at)
    {
        at = parent.parent;
    }
    let entry = Store::entry(connection, EntryKey::new(log.number, branch.fork_seq, at))?;
    entry.map(|e| e.id).ok_or(Error::Damaged("an entry before a fork is missing".into()))
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes()
}

/// One frame of a file.
enum Frame {
    Run(Vec<u8>),
    Parcels(ParcelGroup),
    Flood(Vec<u8>),
    Refused(&'static str),
    End { whole: bool },
}

/// Reads a file frame by frame, each within its bound.
pub(super) struct Frames<'a> {
    from: &'a mut dyn Read,
    hash: Deriver,
    ended: bool,
}

impl<'a> Frames<'a> {
    /// Begins to read a file; gives the founding statement of its incident.
    ///
    /// # Errors
    /// [`Error::NotAnExport`], [`Error::NewerExport`].
    pub fn open(from: &'a mut dyn Read) -> Result<(Self, SignedFounding), Error> {
        let mut frames = Self { from, hash: Deriver::new(Label::Export), ended: false };
        let mut magic = [0; 12];
        if !frames.fill(&mut magic)? || magic != *MAGIC {
            return Err(Error::NotAnExport);
        }
        let mut format = [0; 2];
        if !frames.fill(&mut format)? {
            return Err(Error::NotAnExport);
        }
        if u16::from_le_bytes(format) != FORMAT {
            return Err(Error::NewerExport);
        }
        let founding = frames.sized(CONTROL_BODY_BYTES_MAX)?.ok_or(Error::NotAnExport)?;
        let founding = SignedFounding::read(&founding).map_err(|error| match error {
            FoundingError::Newer => Error::NewerExport,
            other => other.into(),
        })?;
        Ok((frames, founding))
    }

    /// Fills `bytes` and hashes them; false if the file ends before.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<bool, Error> {
        match self.from.read_exact(bytes) {
            Ok(()) => {
                self.hash.update(bytes);
                Ok(true)
            }
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A length and as many bytes, at most `most`; grows with what is really there.
    fn sized(&mut self, most: usize) -> Result<Option<Vec<u8>>, Error> {
        let mut length = [0; 4];
        if !self.fill(&mut length)? {
            return Ok(None);
        }
        let length = u64::from(u32::from_le_bytes(length));
        if length > most as u64 {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let mut limited = (&mut *self.from).take(length);
        limited.read_to_end(&mut bytes)?;
        self.hash.update(&bytes);
        Ok((bytes.len() as u64 == length).then_some(bytes))
    }

    fn next(&mut self) -> Result<Frame, Error> {
        let mut kind = [0];
        if self.ended {
            return Ok(Frame::End { whole: true });
        }
        let so_far = self.hash.finish();
        if !self.fill(&mut kind)? {
            return Ok(Frame::End { whole: false });
        }
        let Some(payload) = self.sized(FRAME_BYTES_MAX)? else { return Ok(Frame::End { whole: false }) };
        match kind {
            [RUN] => Ok(Frame::Run(payload)),
            [PARCELS] => Ok(match ParcelGroup::decode(&payload, FRAME_BYTES_MAX / PARCEL_BYTES) {
                Ok(group) => Frame::Parcels(group),
                Err(_) => Frame::Refused("E-013"),
            }),
            [FLOOD] => Ok(Frame::Flood(payload)),
            [END] => {
                self.ended = true;
                let nothing_follows = !self.fill(&mut [0])?;
                Ok(Frame::End { whole: payload == so_far && nothing_follows })
            }
            _ => Ok(Frame::Refused("E-011")),
        }
    }
}

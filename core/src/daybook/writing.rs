//! Writing: operations become sealed, signed entries of this device's logs, in one durable transaction.

use super::error::Error;
use super::keys::{Shift, shift};
use super::reading::many_or_old;
use super::state::{State, control_entry, value};
use crate::clock::{Hlc, Host, random};
use crate::crypto::{FieldPlace, Nonce, Place};
use crate::entry::{Ground, Sealed, SealedEntry};
use crate::id::{CONTROL, CommitId, CompartmentId, EntryId, Incarnation, KeyId, Lane, LogId, PatientId};
use crate::limits::{
    CONTROL_BODY_BYTES_MAX, ENTRIES_PER_POSTING_MAX, ENTRIES_PER_RUN_MAX, OPERATIONS_PER_ENTRY_MAX, SEQ_MAX,
};
use crate::log::{LogName, Tip, VerifiedRun};
use crate::merge::{Intake, Logs, Subject, Times};
use crate::record::{Body, EntryRef, Operation};
use crate::roster::{Control, ControlBody, PlaceOf, SealedText, Waits};
use crate::store::{EntryKey, Store};
use crate::view;
use rusqlite::Connection;
use std::collections::BTreeSet;

/// Longest body that this program writes: sealed and padded it stays under the format's limit.
const BODY_BYTES_MAX: usize = 60 * 1024;

/// An operation with the compartment that it belongs to.
pub(super) struct Said {
    pub compartment: CompartmentId,
    pub operation: Vec<u8>,
}

/// An entry that was written.
#[derive(Clone, Copy)]
pub(super) struct WrittenEntry {
    pub key: EntryKey,
    pub reference: EntryRef,
}

/// What one commit wrote.
pub(super) struct Committed {
    pub entries: Vec<WrittenEntry>,
    /// What it is about: numbers of subjects, in rising order.
    pub subjects: BTreeSet<i64>,
}

/// The writer of one transaction.
pub(super) struct Writer<'a> {
    pub tx: &'a Connection,
    pub state: &'a mut State,
    pub host: &'a mut dyn Host,
    /// Where it wrote last.
    wrote_in: Option<CompartmentId>,
}

impl<'a> Writer<'a> {
    /// Begins to write.
    pub const fn new(tx: &'a Connection, state: &'a mut State, host: &'a mut dyn Host) -> Self {
        Self { tx, state, host, wrote_in: None }
    }

    /// Seals, signs, stores and posts operations of one commit; they are durable when the transaction is.
    pub fn commit(&mut self, said: &[Said]) -> Result<Committed, Error> {
        let entries = self.write_and_post(said)?;
        let mut subjects = BTreeSet::new();
        for Said { compartment, operation } in said {
            let compartment = Store::compartment_row(self.tx, *compartment)?;
            subjects.extend(Subject::of(self.tx, compartment, &Operation::read_again(operation))?);
        }
        Ok(Committed { entries, subjects })
    }

    /// As [`Writer::commit`], for who does not ask what it is about.
    pub fn write_and_post(&mut self, said: &[Said]) -> Result<Vec<WrittenEntry>, Error> {
        let written = self.write_logs(said)?;
        self.state.notes_due |= many_or_old(self.tx, self.host.now_ms())?;
        self.post()?;
        Ok(written)
    }

    /// Seals, signs and stores operations of one commit; posting follows.
    pub fn write_logs(&mut self, said: &[Said]) -> Result<Vec<WrittenEntry>, Error> {
        self.check_shift()?;
        self.begin_incarnation_if_needed()?;
        let commit = CommitId::new(random(self.host));
        let hlc = self.tick();
        let mut written = Vec::new();
        for (compartment, lane, bodies) in bodies(said, commit, hlc)? {
            written.extend(self.write_log(compartment, lane, &bodies)?);
        }
        Ok(written)
    }

    /// Makes the rows of everything that was marked.
    pub fn post(&mut self) -> Result<(), Error> {
        let State { ring, logs, backlog, .. } = &mut *self.state;
        loop {
            let posted = view::post(self.tx, logs, backlog, ENTRIES_PER_POSTING_MAX)?;
            if posted == 0 && !backlog.take_gap() {
                return Ok(());
            }
            if posted == 0 {
                Intake::new(self.tx, ring, backlog).resume(logs, || {})?;
            }
        }
    }

    pub(super) fn tick(&mut self) -> Hlc {
        self.state.hlc = self.state.hlc.tick(self.host.now_ms());
        self.state.hlc
    }

    /// Sees to it that the clock is found again. An own entry that was posted keeps it: its time is the greatest of
    /// this device in its compartment, and one page less is written. Else it is kept by itself.
    pub(super) fn keep_clock(&mut self) -> Result<(), Error> {
        let hlc = self.state.hlc;
        if self.state.hlc_kept == Some(hlc) {
            return Ok(());
        }
        let posted = match self.wrote_in {
            Some(compartment) => {
                let compartment = Store::compartment_row(self.tx, compartment)?;
                Times::of_device(self.tx, compartment, self.state.device_id)?
            }
            None => None,
        };
        if posted != Some(hlc) {
            Store::set_value(self.tx, value::HLC, &hlc.bits().to_le_bytes())?;
        }
        self.state.hlc_kept = Some(hlc);
        Ok(())
    }

    fn name(&self, compartment: CompartmentId, lane: Lane) -> LogName {
        LogName::new(self.state.device.public(), self.state.incarnation, compartment, lane)
    }

    /// The control log of this installation.
    pub fn control_log(&self) -> LogId {
        self.name(CONTROL, Lane::Safety).id(&self.state.ring.incident)
    }

    /// The end of an own log.
    fn tip(&self, name: &LogName) -> Result<Tip, Error> {
        let mut tip = Tip::start(name, &self.state.ring.incident);
        if let Some(number) = Store::log_number(self.tx, &tip.log)?
            && let Some(branch) = Store::branches(self.tx, number)?.first()
        {
            (tip.seq, tip.id) = (branch.tip_seq, branch.tip_id);
        }
        if tip.seq >= SEQ_MAX { Err(Error::TooMuch) } else { Ok(tip) }
    }

    fn write_log(
        &mut self,
        compartment: CompartmentId,
        lane: Lane,
        bodies: &[Vec<u8>],
    ) -> Result<Vec<WrittenEntry>, Error> {
        self.ready_to_seal(compartment)?;
        let name = self.name(compartment, lane);
        let mut tip = self.tip(&name)?;
        let mut written = Vec::new();
        for bodies in bodies.chunks(ENTRIES_PER_RUN_MAX) {
            let (key, reading) = self.state.sealing_key(compartment)?;
            let ground = Ground { grant: self.state.grant, hint: self.state.ring.roster.hint(), key };
            let seal = |(seq, body): (u64, &Vec<u8>)| {
                let place = Place { incident: self.state.ring.incident, log: tip.log, seq };
                let mut sealed = Vec::new();
                (reading.seal(&place, body, &mut sealed), sealed)
            };
            let sealed: Vec<(Nonce, Vec<u8>)> = (tip.next_seq()..).zip(bodies).map(seal).collect();
            let entries = sealed.iter();
            let entries =
                entries.map(|(nonce, body)| SealedEntry { ground, nonce: *nonce, sealed: Sealed::Body(body) });
            let run = VerifiedRun::write(&mut tip, &name, entries, &self.state.device.signing);
            written.extend(self.store_run(&run)?);
        }
        self.wrote_in = Some(compartment);
        Ok(written)
    }

    /// Stores a run of an own log by the way that every run takes.
    fn store_run(&mut self, run: &VerifiedRun<'_>) -> Result<Vec<WrittenEntry>, Error> {
        let appended = Store::append(self.tx, run)?;
        if self.state.logs.get(appended.log).is_none() || appended.forked {
            self.state.logs = Logs::load(self.tx)?;
        }
        let mut intake = Intake::new(self.tx, &self.state.ring, &mut self.state.backlog);
        let mut written = Vec::new();
        for entry in run.entries().iter().skip(appended.known) {
            let key = EntryKey::new(appended.log, entry.seq(), appended.branch);
            if !run.name().is_control() {
                let refused = intake.take((run.name(), run.log()), key, (entry.id(), entry.entry()))?;
                if let Some((verdict, code)) = refused {
                    tracing::error!(?verdict, code, "an own entry is not accepted");
                    if code == Waits::Flooded.code() {
                        return Err(Error::TooManyIncarnations);
                    }
                    let right = matches!(verdict, crate::store::Verdict::Waiting);
                    return Err(if right { Error::NoRight } else { Error::Bug("an own entry is not accepted") });
                }
            }
            written.push(WrittenEntry { key, reference: EntryRef::new(run.log(), entry.seq(), entry.id()) });
        }
        Ok(written)
    }

    /// Writes one control entry. `control` is given the place where it will stand, to seal text for it.
    pub fn control(&mut self, control: impl FnOnce(&State, Place) -> Result<Control, Error>) -> Result<EntryId, Error> {
        self.check_shift()?;
        // First, since each control entry asks anew which key to seal texts with.
        self.begin_incarnation_if_needed()?;
        self.ready_for_texts()?;
        self.control_entry(control)
    }

    fn check_shift(&self) -> Result<(), Error> {
        match shift::of(self.tx, self.state)? {
            Shift::Over(_) => Err(Error::ShiftOver),
            Shift::Open | Shift::Until(_) => Ok(()),
        }
    }

    /// As [`Writer::control`], of an entry without text.
    pub fn control_entry(
        &mut self,
        control: impl FnOnce(&State, Place) -> Result<Control, Error>,
    ) -> Result<EntryId, Error> {
        if self.state.begin {
            self.begin_incarnation_if_needed()?;
        }
        let commit = CommitId::new(random(self.host));
        let hlc = self.tick();
        let name = self.name(CONTROL, Lane::Safety);
        let mut tip = self.tip(&name)?;
        let place = Place { incident: self.state.ring.incident, log: tip.log, seq: tip.next_seq() };
        let body = ControlBody { commit, hlc, control: control(self.state, place)? }.to_bytes();
        if body.len() > CONTROL_BODY_BYTES_MAX {
            return Err(Error::TooMuch);
        }
        let ground = Ground { grant: self.state.grant, hint: self.state.ring.roster.hint(), key: KeyId::ZERO };
        let entry = SealedEntry { ground, nonce: Nonce::ZERO, sealed: Sealed::Body(&body) };
        let run = VerifiedRun::write(&mut tip, &name, [entry].into_iter(), &self.state.device.signing);
        self.store_control(&run)?;
        Ok(tip.id)
    }

    /// Stores a run of control entries and folds the roster anew.
    pub(super) fn store_control(&mut self, run: &VerifiedRun<'_>) -> Result<(), Error> {
        for written in self.store_run(run)? {
            let (Some(stored), Some(log)) =
                (Store::entry(self.tx, written.key)?, self.state.logs.get(written.key.log()))
            else {
                return Err(Error::Bug("a control entry is gone"));
            };
            self.state.control.extend(control_entry(log, &stored));
        }
        Ok(self.state.refold(self.tx)?)
    }

    /// A new incarnation begins when a book was restored or entries of it were met that it did not have: what
    /// is written next can then contradict nothing.
    pub(super) fn begin_incarnation_if_needed(&mut self) -> Result<(), Error> {
        if !self.state.begin {
            return Ok(());
        }
        let previous = self.own_heads()?;
        self.state.incarnation = Incarnation::new(random(self.host));
        self.state.begin = false;
        Store::set_value(self.tx, value::INCARNATION, self.state.incarnation.as_bytes())?;
        Store::drop_value(self.tx, value::BEGIN)?;
        self.control_entry(|_, _| Ok(Control::Incarnation { previous }))?;
        Ok(())
    }

    /// Heads of all logs of the current incarnation.
    fn own_heads(&self) -> Result<Vec<PlaceOf>, Error> {
        let mut heads = Vec::new();
        for log in Store::logs(self.tx)? {
            if log.name.device == self.state.device_id && log.name.incarnation == self.state.incarnation {
                let branches = Store::branches(self.tx, log.number)?;
                heads.extend(branches.iter().map(|b| PlaceOf { log: log.log, seq: b.tip_seq, id: b.tip_id }));
            }
        }
        Ok(heads)
    }
}

/// Seals text of a control entry for the directory.
pub(super) fn seal_text(state: &State, entry: Place, field: u16, text: &str) -> Result<SealedText, Error> {
    let directory = state.compartment(crate::roster::CompartmentKind::Directory)?;
    let (key, reading) = state.sealing_key(directory)?;
    Ok(SealedText { key, sealed: reading.seal_field(&FieldPlace { entry, field }, text.as_bytes()) })
}

/// Bodies for one log.
type LogBodies = (CompartmentId, Lane, Vec<Vec<u8>>);

/// Bodies by log, in order of compartment and lane: at most 64 operations, one edit per patient.
fn bodies(said: &[Said], commit: CommitId, hlc: Hlc) -> Result<Vec<LogBodies>, Error> {
    let mut by_log: std::collections::BTreeMap<(CompartmentId, Lane), Vec<Batch>> = std::collections::BTreeMap::new();
    for one in said {
        let operation =
            Operation::read(&one.operation).map_err(|_| Error::Bug("an own operation does not fit its schema"))?;
        let patient = if let Operation::Edit(edit) = &operation { Some(edit.patient) } else { None };
        if one.operation.len() + 64 > BODY_BYTES_MAX {
            return Err(Error::TooMuch);
        }
        let batches = by_log.entry((one.compartment, operation.lane())).or_default();
        if let Some(batch) = batches.last_mut().filter(|batch| batch.takes(&one.operation, patient)) {
            batch.push(one.operation.clone(), patient);
        } else {
            let mut batch = Batch::default();
            batch.push(one.operation.clone(), patient);
            batches.push(batch);
        }
    }
    let write = |batches: Vec<Batch>| batches.iter().map(|batch| Body::write(commit, hlc, &batch.operations)).collect();
    Ok(by_log.into_iter().map(|((compartment, lane), batches)| (compartment, lane, write(batches))).collect())
}

/// The operations of one entry to be.
#[derive(Default)]
struct Batch {
    operations: Vec<Vec<u8>>,
    bytes: usize,
    edited: BTreeSet<PatientId>,
}

impl Batch {
    fn takes(&self, operation: &[u8], patient: Option<PatientId>) -> bool {
        self.operations.len() < OPERATIONS_PER_ENTRY_MAX
            && self.bytes + operation.len() + 64 <= BODY_BYTES_MAX
            && patient.is_none_or(|patient| !self.edited.contains(&patient))
    }

    fn push(&mut self, operation: Vec<u8>, patient: Option<PatientId>) {
        self.bytes += operation.len();
        self.operations.push(operation);
        self.edited.extend(patient);
    }
}

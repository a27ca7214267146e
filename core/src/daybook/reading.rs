//! Reading is recorded: whoever is shown records is noted first, and the notes become entries of the audit
//! compartment.
//!
//! ```text
//! shown -> note (in the book at once, no sync of the disk) -> entry, after a later commit -> sync -> auditors
//! ```
//! A note survives a killed process at once, and loss of power with the next commit of this book. Notes become an
//! entry after the first commit behind [`Reading::WINDOW_MS`] or when [`NOTES_TOGETHER`] of them wait, in a transaction
//! of their own, so that what people write never fails because of them on a disk that is nearly full; before a
//! session, an export, a backup and before an auditor looks; and where nothing of this comes, when a record is read
//! and a note waits for [`NOTE_WAITS_MS`] or [`NOTES_MAX`] of them do. Where they cannot be written (no right, no
//! key, no compartment of that kind), the newest [`NOTES_MAX`] wait.
//!
//! Reading never fails because it cannot be noted: who treats somebody sees the record on a full disk, too.

use super::Daybook;
use super::charts::entry_code;
use super::error::Error;
use super::state::State;
use super::types::ReadingView;
use super::writing::{Said, Writer};
use crate::clock::EffectiveTime;
use crate::id::PatientId;
use crate::merge::{OpRow, SubjectKind, operations_of};
use crate::record::{Access, Operation, Purpose, Reading};
use crate::roster::{CompartmentKind, Rights};
use crate::store::{Store, StoreError};
use crate::view;
use rusqlite::Connection;

/// Notes that are written after a commit without waiting for their window to end.
const NOTES_TOGETHER: usize = 64;
/// Notes that wait at most; before more are kept, they are written or the oldest dropped.
const NOTES_MAX: usize = 1_024;
/// How long a note waits at most while records are read.
const NOTE_WAITS_MS: i64 = 60 * 60_000;
/// Names of the local values that hold notes begin so; the window follows, then what is counted together.
const NOTES: &str = "reading ";

impl Daybook {
    /// The door to a patient's record: notes that it, or a part of it, is shown, and gives its number.
    ///
    /// # Errors
    /// [`Error::NoSuchPatient`] if there is none; nothing is noted.
    pub(super) fn open_record(&mut self, patient: PatientId, purpose: Purpose) -> Result<i64, Error> {
        self.refresh()?;
        let subject = view::patient_subject(self.store.read()?, &patient)?.ok_or(Error::NoSuchPatient)?;
        self.note_record(patient, Some(purpose));
        Ok(subject)
    }

    /// Notes that a part of one record is shown.
    pub(super) fn note_record(&mut self, patient: PatientId, purpose: Option<Purpose>) {
        self.note(Some(patient), Access::Record, purpose, 0);
    }

    /// Notes that lines about several patients are shown.
    pub(super) fn note_list(&mut self, lines: usize) {
        self.note(None, Access::List, None, lines);
    }

    /// The door to all records: notes that they are given away.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub(super) fn open_all(&mut self, purpose: Option<Purpose>) -> Result<(), Error> {
        self.refresh()?;
        let patients = self.store.read()?.query_row("SELECT count(*) FROM patient", [], |row| row.get::<_, u32>(0))?;
        self.note(None, Access::Export, purpose, patients as usize);
        self.write_notes();
        Ok(())
    }

    fn note(&mut self, patient: Option<PatientId>, access: Access, purpose: Option<Purpose>, records: usize) {
        let at = EffectiveTime::now(self.host.as_mut());
        let records = u32::try_from(records).unwrap_or(u32::MAX);
        let reading = Reading { patient, at, access, purpose, times: 1, records };
        self.unnoted.push(reading);
        let unnoted = std::mem::take(&mut self.unnoted);
        if let Err(error) = self.store.note(|tx| unnoted.iter().try_for_each(|reading| keep(tx, reading))) {
            tracing::warn!(code = Error::from(error).code(), "a reading could not be noted in the book yet");
            self.unnoted = unnoted;
            self.unnoted.truncate(NOTES_MAX);
        }
        let late = self.store.read().and_then(|connection| full_or_late(connection, at.ms)).unwrap_or_default();
        if late {
            self.write_notes();
        }
    }

    /// Writes the readings that wait as entries; they are durable when this returns `Ok`. An app calls it before it
    /// is put away.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be written: they go on waiting.
    pub fn write_readings(&mut self) -> Result<(), Error> {
        if Store::name_at(self.store.read()?, NOTES, 0)?.is_none() {
            return Ok(());
        }
        self.write(|writer| {
            writer.write_notes()?;
            writer.post()
        })
    }

    /// As [`Daybook::write_readings`]; where that fails, what the caller is about goes on.
    pub(super) fn write_notes(&mut self) {
        if let Err(error) = self.write_readings() {
            tracing::warn!(code = error.code(), "readings could not be written yet");
        }
    }

    /// Who read a patient's record, or all readings: newest first, at most `limit`. Exports of all records are
    /// among those of a patient. Lists do not say whom they showed.
    ///
    /// # Errors
    /// [`Error::NoRightToAudit`] if this device has no right to read in an audit compartment; then nothing is told.
    pub fn readings(&mut self, patient: Option<PatientId>, limit: usize) -> Result<Vec<ReadingView>, Error> {
        self.refresh()?;
        if !self.may_audit() {
            return Err(Error::NoRightToAudit);
        }
        self.write_notes();
        let connection = self.store.read()?;
        let mut views = Vec::new();
        for subject in subjects(connection, patient)? {
            let rows = operations_of(connection, subject)?;
            let of_patient = |view: &ReadingView| patient.is_none() || view.reading.access != Access::List;
            views.extend(rows.iter().filter_map(|row| reading_view(&self.state, row)).filter(of_patient));
            views.sort_by_key(|view| std::cmp::Reverse((view.reading.at.ms, view.entry.clone())));
            views.truncate(limit);
        }
        Ok(views)
    }

    /// Whether this device may be shown who read what.
    pub(super) fn may_audit(&self) -> bool {
        let State { ring, grant, device_id, .. } = &self.state;
        let mut compartments = ring.roster.of_kind(CompartmentKind::Audit);
        compartments.any(|c| ring.roster.rights_of(grant, *device_id, c).is_ok_and(|r| r.covers(Rights::READ)))
    }
}

impl Writer<'_> {
    /// Writes notes of readings as entries; where this device may not, they go on waiting.
    fn write_notes(&mut self) -> Result<(), Error> {
        let Ok(compartment) = self.state.compartment(CompartmentKind::Audit) else { return Ok(()) };
        let rights = self.state.ring.roster.rights_of(&self.state.grant, self.state.device_id, compartment);
        if !rights.is_ok_and(|rights| rights.covers(Rights::WRITE)) {
            return Ok(());
        }
        let notes = Store::values_of(self.tx, NOTES, NOTES_MAX)?;
        let said = |(_, operation): &(String, Vec<u8>)| Said { compartment, operation: operation.clone() };
        let said: Vec<Said> = notes.iter().map(said).collect();
        match self.write_logs(&said) {
            Ok(_) => {}
            Err(Error::NoKey | Error::NoRight | Error::ShiftOver) => return Ok(()),
            Err(error) => return Err(error),
        }
        notes.iter().try_for_each(|(name, _)| Store::drop_value(self.tx, name))?;
        Ok(())
    }
}

/// Keeps a note, or counts it with one of the same window. Where as many wait as may, the oldest is dropped.
fn keep(tx: &Connection, reading: &Reading) -> Result<(), StoreError> {
    let whose = reading.patient.map(|patient| patient.to_hex()).unwrap_or_default();
    let purpose = reading.purpose.map_or("", Purpose::code);
    let name = format!("{NOTES}{:016x} {} {purpose} {whose}", window(reading.at.ms), reading.access.word());
    let known = Store::value_in(tx, &name)?;
    let known = known.as_deref().map(Operation::read_again);
    let counted = match known {
        Some(Operation::Reading(known)) => known.again(reading.records),
        Some(Operation::Edit(_) | Operation::Fact(_) | Operation::Newer) | None => {
            if Store::name_at(tx, NOTES, NOTES_MAX - 1)?.is_some()
                && let Some(oldest) = Store::name_at(tx, NOTES, 0)?
            {
                Store::drop_value(tx, &oldest)?;
            }
            *reading
        }
    };
    Store::set_value(tx, &name, &Operation::Reading(counted).to_bytes())
}

/// The window of a time, so that names of later ones come later; also before 1970.
const fn window(ms: i64) -> u64 {
    ms.div_euclid(Reading::WINDOW_MS).cast_unsigned() ^ (1 << 63)
}

/// The window of a note's name.
fn window_of(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_prefix(NOTES)?.split(' ').next()?, 16).ok()
}

/// Whether so many notes wait, or the oldest is of a window that ended, that they are to be written after a commit.
pub(super) fn many_or_old(connection: &Connection, now_ms: i64) -> Result<bool, StoreError> {
    let Some(oldest) = Store::name_at(connection, NOTES, 0)? else { return Ok(false) };
    // A clock that was set back does not keep them waiting.
    let old = window_of(&oldest).is_none_or(|oldest| oldest != window(now_ms));
    Ok(old || Store::name_at(connection, NOTES, NOTES_TOGETHER - 1)?.is_some())
}

/// Whether no more notes may wait, or one has waited for too long.
fn full_or_late(connection: &Connection, now_ms: i64) -> Result<bool, StoreError> {
    let Some(oldest) = Store::name_at(connection, NOTES, 0)? else { return Ok(false) };
    let late = window_of(&oldest).is_none_or(|oldest| oldest < window(now_ms.saturating_sub(NOTE_WAITS_MS)));
    Ok(late || Store::name_at(connection, NOTES, NOTES_MAX - 1)?.is_some())
}

/// Subjects that hold readings: of one patient and of many together, or all.
fn subjects(connection: &Connection, patient: Option<PatientId>) -> Result<Vec<i64>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM subject WHERE kind = ?1 AND (?2 IS NULL OR key = ?2 OR key = x'') ORDER BY id",
    )?;
    let whose = patient.as_ref().map(PatientId::as_bytes);
    let rows = statement.query_map((SubjectKind::Reading as u8, whose), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn reading_view(state: &State, row: &OpRow) -> Option<ReadingView> {
    let Operation::Reading(reading) = row.operation() else { return None };
    let reference = row.reference(&state.logs);
    Some(ReadingView {
        entry: entry_code(&reference.entry, reference.index),
        reference,
        who: state.author(row.device(&state.logs)),
        hlc: row.hlc,
        reading,
        waiting: row.waiting,
    })
}

//! Upkeep: status, the log for people, rebuild, digest.

use super::charts::{entry_code, operation_text};
use super::error::Error;
use super::judging::{Since, rejudge};
use super::state::{State, WITHHELD, control_entry, control_without_effect, value};
use super::types::{EntryCounts, LogLine, Status};
use super::writing::Writer;
use super::{Daybook, VIEWS_VERSION, view_tables};
use crate::id::PatientId;
use crate::merge::{Backlog, Intake, Logs, Times, operations_in, operations_of, unposted_filings};
use crate::mutant::{self, Mutant};
use crate::record::{EntryRef, Purpose};
use crate::roster::{CompartmentKind, ControlBody};
use crate::store::{EntryKey, LogRow, Store, StoreError, Verdict};
use crate::view;
use rusqlite::{Connection, OptionalExtension};

impl Daybook {
    /// What this book holds.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub fn status(&mut self) -> Result<Status, Error> {
        self.refresh()?;
        let connection = self.store.read()?;
        let count = |query: &str| count(connection, query);
        let mut entries = EntryCounts { total: total(connection)?, ..EntryCounts::default() };
        for log in Store::logs(connection)?.iter().filter(|log| log.name.device == self.state.device_id) {
            entries.own += Store::branches(connection, log.number)?.iter().map(|b| b.tip_seq - b.fork_seq).sum::<u64>();
            let waits = |(_, verdict): &(EntryKey, Verdict)| *verdict == Verdict::Waiting;
            entries.own_waiting +=
                Store::verdicts_in(connection, log.number)?.iter().filter(|of| waits(of)).count() as u64;
        }
        for (verdict, slot) in [
            (Verdict::Waiting, &mut entries.waiting),
            (Verdict::Faulty, &mut entries.faulty),
            (Verdict::Unopened, &mut entries.unopened),
            (Verdict::Erased, &mut entries.erased),
        ] {
            *slot = Store::count_of_verdict(connection, verdict)?;
        }
        let roster = &self.state.ring.roster;
        let ended = !roster.is_root(self.state.device_id)
            && roster.grants_of(self.state.device_id).next().is_none()
            && (roster.grants().values().any(|held| held.device == self.state.device_id)
                || roster.is_ended_root(self.state.device_id));
        entries.accepted = entries.total - entries.waiting - entries.faulty - entries.unopened - entries.erased;
        // Bodies of control entries that are for others: neither erased nor without effect.
        entries.erased -= Store::of_code(connection, Verdict::Erased, WITHHELD)?.len() as u64;
        let resolved = count("SELECT count(*) FROM finding WHERE id IN (SELECT finding FROM resolution)")?;
        let mut forked = 0;
        for fork in self.forks()? {
            forked += u64::from(view::resolution_of(connection, &fork.id)?.is_none());
        }
        let founding = self.state.founding.founding();
        Ok(Status {
            incident: founding.name.clone(),
            incident_id: self.state.ring.incident.to_hex(),
            exercise: founding.exercise,
            here: self.state.author(self.state.device_id),
            entries,
            logs: count("SELECT count(*) FROM log")?,
            patients: count("SELECT count(*) FROM patient")?,
            open_findings: count("SELECT count(*) FROM finding")? - resolved + forked,
            ended,
            newer_control: self.state.ring.roster.newer() as u64,
            no_key: super::keys::lacks(connection, &self.state)?,
            shift: super::keys::shift::of(connection, &self.state)?,
            bytes_on_disk: self.bytes_on_disk(),
        })
    }

    /// Who may do what, as of what this book holds now.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub fn roster(&mut self) -> Result<&crate::roster::Roster, Error> {
        self.refresh()?;
        Ok(&self.state.ring.roster)
    }

    /// The newest entries for people, of all logs or of one patient, newest first by the authors' clocks. Noted as
    /// a list that was shown, or as a reading of the patient's record.
    ///
    /// # Errors
    /// [`Error::NoSuchPatient`].
    pub fn log(&mut self, of: Option<(PatientId, Purpose)>, limit: usize) -> Result<Vec<LogLine>, Error> {
        self.refresh()?;
        let subject = of.map(|(patient, purpose)| self.open_record(patient, purpose)).transpose()?;
        let lines = self.log_lines(subject, limit)?;
        if subject.is_none() {
            self.note_list(lines.len());
        }
        Ok(lines)
    }

    fn log_lines(&self, subject: Option<i64>, limit: usize) -> Result<Vec<LogLine>, Error> {
        let connection = self.store.read()?;
        let keys: Vec<EntryKey> = match subject {
            Some(subject) => {
                let mut rows = operations_of(connection, subject)?;
                rows.sort_unstable_by_key(|row| (std::cmp::Reverse(row.hlc), row.prefix));
                let mut keys: Vec<EntryKey> = rows.iter().map(|row| row.key.entry()).collect();
                keys.dedup();
                keys.truncate(limit);
                keys
            }
            None => newest(connection, limit)?,
        };
        let mut lines = Vec::new();
        for key in keys {
            let verdict = Store::verdict_and_code(connection, key)?;
            lines.extend(self.log_line(connection, key, verdict.as_ref())?);
        }
        lines.sort_by(|a, b| (b.hlc, &b.entry).cmp(&(a.hlc, &a.entry)));
        lines.truncate(limit);
        Ok(lines)
    }

    /// Who read what is shown to auditors alone.
    fn is_hidden(&self, log: &LogRow) -> bool {
        self.state.ring.roster.kind_of(log.name.compartment) == Some(CompartmentKind::Audit) && !self.may_audit()
    }

    pub(super) fn log_line(
        &self,
        connection: &Connection,
        key: EntryKey,
        verdict: Option<&(Verdict, String)>,
    ) -> Result<Option<LogLine>, Error> {
        let (Some(entry), Some(log)) = (Store::entry(connection, key)?, self.state.logs.get(key.log())) else {
            return Ok(None);
        };
        let (hlc, operations) = if log.name.is_control() {
            let body =
                if let crate::entry::Sealed::Body(body) = entry.sealed() { ControlBody::read(body).ok() } else { None };
            (body.as_ref().map(|b| b.hlc), body.iter().map(|b| b.control.word().to_owned()).collect())
        } else if self.is_hidden(log) {
            (None, Vec::new())
        } else {
            let rows = operations_in(connection, &self.state.ring, &self.state.logs, key)?;
            (rows.first().map(|row| row.hlc), rows.iter().map(|row| operation_text(&row.operation())).collect())
        };
        let verdict = match verdict {
            None => match self.state.ring.roster.without_effect(&entry.id) {
                Some(waits) if log.name.is_control() => format!("waiting for review ({})", waits.code()),
                Some(_) | None => "accepted".to_owned(),
            },
            Some((Verdict::Waiting, code)) => format!("waiting for review ({code})"),
            Some((Verdict::Faulty, code)) => format!("faulty ({code})"),
            Some((Verdict::Unopened, _)) => "no key here".to_owned(),
            Some((Verdict::Erased, code)) if code == WITHHELD => "not for this device".to_owned(),
            Some((Verdict::Erased, _)) => "erased".to_owned(),
        };
        Ok(Some(LogLine {
            entry: entry_code(&EntryRef::new(log.log, key.seq(), &entry.id), 0),
            compartment: self.state.ring.roster.kind_of(log.name.compartment).map_or("unknown", CompartmentKind::word),
            author: self.state.author(log.name.device),
            hlc,
            verdict,
            operations,
        }))
    }

    /// Digests by compartment: its kind and the beginning of its id, and the digest in hexadecimal.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub fn digest(&mut self) -> Result<Vec<(String, String)>, Error> {
        self.refresh()?;
        let digests = view::digest(self.store.read()?)?;
        let name = |d: &view::CompartmentDigest| {
            let kind = self.state.ring.roster.kind_of(d.compartment).map_or("unknown", CompartmentKind::word);
            format!("{kind} {}", d.compartment)
        };
        Ok(digests.iter().map(|d| (name(d), crate::id::hex(&d.digest))).collect())
    }

    /// Throws away everything that was made of the entries and makes it anew. `progress` is told how many
    /// entries of how many are done.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be written; then it is as it was before.
    pub fn rebuild(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Error> {
        self.write(|writer| make_anew(writer, progress))
    }

    /// Makes the droppable tables anew if another version of the program made them, and finishes what a crash
    /// left to be posted.
    pub(super) fn make_views_if_older(&mut self) -> Result<(), Error> {
        if self.store.value(value::VIEWS)?.as_deref() != Some(&VIEWS_VERSION.to_le_bytes()) {
            return self.rebuild(&mut |_, _| {});
        }
        let marked: Option<i64> = {
            let mut statement = self.store.read()?.prepare_cached("SELECT subject FROM dirty LIMIT 1")?;
            statement.query_row([], |row| row.get(0)).optional()?
        };
        let left = marked.is_some()
            || unposted_filings(self.store.read()?)? > 0
            || !Store::unposted(self.store.read()?)?.is_empty();
        if left { self.post_all() } else { Ok(()) }
    }

    /// Judges all entries anew that are not accepted, as after keys or control entries came.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be written.
    pub fn judge_anew(&mut self) -> Result<(), Error> {
        self.write(|writer| rejudge(writer.tx, writer.state, Since::Asked))?;
        self.post_all()
    }
}

/// Throws away all droppable tables and makes them anew.
pub(super) fn make_anew(writer: &mut Writer<'_>, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Error> {
    let tx = writer.tx;
    for table in view::TABLES.iter().chain(crate::merge::TABLES) {
        tx.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?;
    }
    tx.execute_batch("DELETE FROM verdict")?;
    tx.execute_batch(&view_tables())?;
    writer.state.logs = Logs::load(tx)?;
    let total = count(tx, "SELECT count(*) FROM entry")?;
    Store::post_all_again(tx)?;
    for log in Store::logs(tx)?.iter().filter(|log| log.name.is_control()) {
        for branch in Store::branches(tx, log.number)? {
            Store::entries(tx, (log.number, branch.branch), (branch.fork_seq + 1, branch.tip_seq), |entry| {
                if control_entry(log, &entry).is_none() {
                    Store::set_verdict(tx, entry.key, Some(control_without_effect(&entry)))?;
                }
                Ok::<bool, Error>(true)
            })?;
        }
    }
    let mut done = 0;
    let State { ring, backlog, logs, .. } = &mut *writer.state;
    *backlog = Backlog::default();
    let mut each = || {
        done += 1;
        if done % 1_024 == 0 {
            progress(done, total);
        }
    };
    let mut intake = Intake::new(tx, ring, backlog);
    intake.resume(logs, &mut each)?;
    intake.take_beyond(logs, &mut each)?;
    if !mutant::is(Mutant::RebuildsInPart) {
        writer.post()?;
    }
    Store::set_value(tx, value::VIEWS, &VIEWS_VERSION.to_le_bytes())?;
    let state = &mut *writer.state;
    state.hlc = state.hlc.max(Times::greatest_of(tx, state.device_id)?);
    state.hlc_kept = None;
    Ok(())
}

/// How many entries are here: told by the branches, unless damage left some beyond their ends.
fn total(connection: &Connection) -> Result<u64, StoreError> {
    if !Store::beyond_logs(connection)?.is_empty() {
        return count(connection, "SELECT count(*) FROM entry");
    }
    let logs = Store::frontier(connection)?;
    Ok(logs.iter().flat_map(|log| &log.branches).map(|branch| branch.tip_seq - branch.fork_seq).sum())
}

fn count(connection: &Connection, query: &str) -> Result<u64, StoreError> {
    Ok(connection.query_row(query, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

/// Keys of the newest entries: the last ones of every branch.
fn newest(connection: &Connection, limit: usize) -> Result<Vec<EntryKey>, Error> {
    let mut keys = Vec::new();
    for log in Store::logs(connection)? {
        for branch in Store::branches(connection, log.number)? {
            let from = branch.tip_seq.saturating_sub(limit as u64).max(branch.fork_seq);
            keys.extend((from + 1..=branch.tip_seq).map(|seq| EntryKey::new(log.number, seq, branch.branch)));
        }
    }
    for (log, branch, (first, last)) in Store::beyond(connection)? {
        let from = last.saturating_sub(limit as u64).max(first - 1);
        keys.extend((from + 1..=last).map(|seq| EntryKey::new(log, seq, branch)));
    }
    Ok(keys)
}

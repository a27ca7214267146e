//! Taking entries in: judged, opened, decoded, and their operations held for posting; and taking them out again.

use super::ahead::{Ahead, ReadRun};
use super::backlog::{Author, Backlog};
use super::judge::{Judged, Keyring, judge, judge_ahead};
use super::operations::{Logs, OpRow, operations_of};
use super::sheets::{every_sheet, take_out, take_out_of};
use super::subject::{Subject, SubjectKey, mark_dirty};
use crate::crypto::Place;
use crate::entry::SealedEntry;
use crate::id::{CompartmentId, EntryId, LogId};
use crate::log::LogName;
use crate::record::{Operation, Statement};
use crate::roster::{At, InLog, Waits};
use crate::store::{EntryKey, OpKey, Store, StoreError, StoredEntry, Verdict};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// Takes entries in: judges them and holds their operations in a backlog.
#[derive(Debug)]
pub struct Intake<'a> {
    tx: &'a Connection,
    ring: &'a Keyring,
    backlog: &'a mut Backlog,
    body: Vec<u8>,
    compartments: BTreeMap<CompartmentId, i64>,
    /// What is known of the log of the last entry.
    log: Option<InLog<'a>>,
}

impl<'a> Intake<'a> {
    /// Begins to take entries in.
    #[must_use]
    pub const fn new(tx: &'a Connection, ring: &'a Keyring, backlog: &'a mut Backlog) -> Self {
        Self { tx, ring, backlog, body: Vec::new(), compartments: BTreeMap::new(), log: None }
    }

    /// Takes in one entry that is stored. Returns the verdict if it is not accepted. A backlog that is full is
    /// filed first.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn take(
        &mut self,
        (name, log): (&LogName, LogId),
        key: EntryKey,
        (id, entry): (&EntryId, &SealedEntry<'_>),
    ) -> Result<Option<(Verdict, &'static str)>, StoreError> {
        let verdict = self.hold((name, log), key, (id, entry), false)?;
        self.backlog.judged(key);
        Ok(verdict)
    }

    /// As [`Intake::take`], of the entry at an index of a run that was read ahead.
    ///
    /// # Errors
    /// As [`Intake::take`].
    pub fn take_read(
        &mut self,
        (name, log): (&LogName, LogId),
        key: EntryKey,
        (id, entry): (&EntryId, &SealedEntry<'_>),
        (read, index): (&ReadRun, usize),
    ) -> Result<Option<(Verdict, &'static str)>, StoreError> {
        let mut in_log = self.in_log(name, log);
        let at = At { branch: Some(key.branch()), seq: key.seq(), id: *id };
        let found = read.found(index, in_log.kind());
        let judged = judge_ahead(&mut in_log, (&entry.ground.grant, &at), found);
        self.log = Some(in_log);
        let verdict = match (judged, found) {
            (Some(Ok(waits)), Ahead::Opened(opened)) => {
                if self.backlog.is_full() {
                    self.backlog.file_all(self.tx)?;
                }
                let (compartment, waiting) = (self.compartment(name.compartment)?, waits.is_some());
                let (device, hlc) = (name.device, opened.hlc);
                let without_edits = waits == Some(Waits::Flooded);
                let author = Author { compartment, device, key, id, hlc, waiting, again: false, without_edits };
                let operations = read.operations(opened);
                self.backlog.hold(&author, operations.map(|(op, bytes)| (op.subject.clone(), op.import, bytes)));
                waits.map(|waits| (Verdict::Waiting, waits.code()))
            }
            (Some(Err(refused)), _) => Some(refused),
            (Some(Ok(_)) | None, _) => return self.take((name, log), key, (id, entry)),
        };
        if verdict.is_some() {
            Store::set_verdict(self.tx, key, verdict)?;
        }
        self.backlog.judged(key);
        Ok(verdict)
    }

    fn in_log(&mut self, name: &LogName, log: LogId) -> InLog<'a> {
        match self.log.take().filter(|last| last.log() == log) {
            Some(last) => last,
            None => self.ring.roster.in_log(log, name.device, name.compartment),
        }
    }

    /// Judges an entry and holds its operations.
    fn hold(
        &mut self,
        (name, log): (&LogName, LogId),
        key: EntryKey,
        (id, entry): (&EntryId, &SealedEntry<'_>),
        again: bool,
    ) -> Result<Option<(Verdict, &'static str)>, StoreError> {
        if self.backlog.is_full() {
            self.backlog.file_all(self.tx)?;
        }
        let place = Place { incident: self.ring.incident, log, seq: key.seq() };
        let mut buffer = std::mem::take(&mut self.body);
        let mut in_log = self.in_log(name, log);
        let judged = judge(self.ring, (&mut in_log, name.lane), (&place, key.branch()), (id, entry), &mut buffer);
        self.log = Some(in_log);
        let verdict = match judged {
            Judged::Opened(body, waits) => {
                let (compartment, waiting) = (self.compartment(name.compartment)?, waits.is_some());
                let without_edits = waits == Some(Waits::Flooded);
                let author =
                    Author { compartment, device: name.device, key, id, hlc: body.hlc, waiting, again, without_edits };
                let operations = body.operations.iter();
                let operations = operations.map(|(op, bytes)| (SubjectKey::of(op), op.import(), *bytes));
                self.backlog.hold(&author, operations);
                waits.map(|waits| (Verdict::Waiting, waits.code()))
            }
            Judged::Without(verdict, code) => Some((verdict, code)),
        };
        self.body = buffer;
        if verdict.is_some() {
            Store::set_verdict(self.tx, key, verdict)?;
        }
        Ok(verdict)
    }

    /// Takes an entry's operations out, since the entry itself is about to be dropped.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn take_out(&mut self, name: (&LogName, LogId), stored: &StoredEntry) -> Result<(), StoreError> {
        self.backlog.file_all(self.tx)?;
        self.remove(name, stored)
    }

    /// Judges entries anew that may have been judged before: takes their operations out, and in again if they
    /// open. What was not posted yet is left to [`Intake::resume`].
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read or written.
    pub fn take_again(&mut self, logs: &Logs, keys: impl IntoIterator<Item = EntryKey>) -> Result<(), StoreError> {
        self.backlog.file_all(self.tx)?;
        for key in keys {
            let (Some(stored), Some(log)) = (Store::entry(self.tx, key)?, logs.get(key.log())) else { continue };
            if log.name.is_control() {
                continue;
            }
            let name = (&log.name, log.log);
            self.remove(name, &stored)?;
            Store::set_verdict(self.tx, key, None)?;
            let (posted, tip) = Store::posted(self.tx, (key.log(), key.branch()))?;
            if key.seq() <= posted || key.seq() > tip {
                self.hold(name, key, (&stored.id, &stored.entry()), true)?;
            }
        }
        self.backlog.file_all(self.tx)
    }

    /// Takes in what is stored and was not posted: what a crash left, or another process. `each` is called for
    /// every entry. All of it is in the table of operations afterwards; views follow.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read or written.
    pub fn resume(&mut self, logs: &Logs, mut each: impl FnMut()) -> Result<(), StoreError> {
        for (log, branch, range) in Store::unposted(self.tx)? {
            let Some(log) = logs.get(log).filter(|log| !log.name.is_control()) else { continue };
            let tx = self.tx;
            Store::entries(tx, (log.number, branch), range, |entry| {
                each();
                self.take((&log.name, log.log), entry.key, (&entry.id, &entry.entry()))?;
                Ok::<bool, StoreError>(true)
            })?;
        }
        self.backlog.file_all(self.tx)
    }

    /// Takes in what stands beyond the ends of branches, as when all is made anew.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read or written.
    pub fn take_beyond(&mut self, logs: &Logs, mut each: impl FnMut()) -> Result<(), StoreError> {
        for (log, branch, places) in Store::beyond(self.tx)? {
            let Some(log) = logs.get(log).filter(|log| !log.name.is_control()) else { continue };
            Store::entries(self.tx, (log.number, branch), places, |entry| {
                each();
                // No watermark reaches so far; what is here of it comes from nowhere else.
                self.hold((&log.name, log.log), entry.key, (&entry.id, &entry.entry()), true)?;
                Ok::<bool, StoreError>(true)
            })?;
        }
        self.backlog.file_all(self.tx)
    }

    /// Takes an entry's operations out, as when its acceptance is withdrawn.
    fn remove(&mut self, (name, log): (&LogName, LogId), stored: &StoredEntry) -> Result<(), StoreError> {
        // Only an accepted entry and one that waits have operations in the table.
        let verdict = Store::verdict(self.tx, stored.key)?;
        if !matches!(verdict, None | Some(Verdict::Waiting)) {
            return Ok(());
        }
        let compartment = self.compartment(name.compartment)?;
        let place = Place { incident: self.ring.incident, log, seq: stored.key.seq() };
        let mut buffer = std::mem::take(&mut self.body);
        if let Some(operations) = super::judge::operations(self.ring, name, &place, stored, &mut buffer) {
            for (index, (operation, _)) in operations.iter().enumerate() {
                let key = stored.key.operation(u8::try_from(index).unwrap_or(u8::MAX));
                self.remove_operation(compartment, key, operation)?;
            }
        } else {
            remove_unread(self.tx, stored.key)?;
        }
        self.body = buffer;
        Ok(())
    }

    fn remove_operation(&self, compartment: i64, key: OpKey, operation: &Operation<'_>) -> Result<(), StoreError> {
        let name = SubjectKey::of(operation);
        let (kind, name) = name.parts();
        let Some(subject) = Subject::find(self.tx, compartment, kind, name)? else { return Ok(()) };
        mark_dirty(self.tx, subject)?;
        take_out(self.tx, subject, key.entry())?;
        remove_finders(self.tx, key, operation)
    }

    fn compartment(&mut self, compartment: CompartmentId) -> Result<i64, StoreError> {
        if let Some(number) = self.compartments.get(&compartment) {
            return Ok(*number);
        }
        let number = Store::compartment_row(self.tx, compartment)?;
        self.compartments.insert(compartment, number);
        Ok(number)
    }
}

/// The rows of an entry's operations, in order; none if it does not open here or was not posted.
///
/// # Errors
/// [`StoreError`] if the file cannot be read.
pub fn operations_in(
    connection: &Connection,
    ring: &Keyring,
    logs: &Logs,
    key: EntryKey,
) -> Result<Vec<OpRow>, StoreError> {
    let (Some(stored), Some(log)) = (Store::entry(connection, key)?, logs.get(key.log())) else {
        return Ok(Vec::new());
    };
    let place = Place { incident: ring.incident, log: log.log, seq: key.seq() };
    let mut body = Vec::new();
    let mut rows = Vec::new();
    let said = super::judge::operations(ring, &log.name, &place, &stored, &mut body).into_iter().flatten();
    let compartment = Store::compartment_row(connection, log.name.compartment)?;
    let mut loaded: Option<(SubjectKey, Vec<OpRow>)> = None;
    for (index, (operation, _)) in said.enumerate() {
        let name = SubjectKey::of(&operation);
        if loaded.as_ref().is_none_or(|(of, _)| *of != name) {
            let (kind, key) = name.parts();
            let subject = Subject::find(connection, compartment, kind, key)?;
            let of_subject = subject.map(|subject| operations_of(connection, subject)).transpose()?;
            loaded = Some((name, of_subject.unwrap_or_default()));
        }
        let key = key.operation(u8::try_from(index).unwrap_or(u8::MAX));
        let of_subject = loaded.as_ref().map_or(&[][..], |(_, rows)| rows);
        rows.extend(of_subject.iter().find(|row| row.key == key).cloned());
    }
    Ok(rows)
}

/// Takes out the operations of an entry that does not open any more: looks through the whole table.
fn remove_unread(tx: &Connection, entry: EntryKey) -> Result<(), StoreError> {
    every_sheet(tx, |row, sheet| {
        for kept in sheet.iter().filter(|kept| kept.key.entry() == entry) {
            mark_dirty(tx, row.subject())?;
            remove_finders(tx, kept.key, &kept.operation())?;
        }
        take_out_of(tx, row, sheet, entry)
    })
}

/// Takes out what finds an operation.
fn remove_finders(tx: &Connection, key: OpKey, operation: &Operation<'_>) -> Result<(), StoreError> {
    if let Some(import) = operation.import() {
        tx.prepare_cached("DELETE FROM import WHERE import = ?1 AND id = ?2")?.execute((import.as_bytes(), key))?;
    }
    if let Operation::Fact(fact) = operation
        && let Statement::Resolution { findings } = &fact.statement
    {
        for finding in findings {
            tx.prepare_cached("DELETE FROM resolution WHERE finding = ?1 AND id = ?2")?
                .execute((finding.as_bytes(), key))?;
        }
    }
    Ok(())
}

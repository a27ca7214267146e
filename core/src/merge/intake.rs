//! Taking entries in: judged, opened, decoded, and their operations held for posting; and taking them out again.

use super::backlog::{Author, Backlog};
use super::judge::{Judged, Keyring, judge};
use super::operations::{Logs, OpRow};
use super::subject::{Subject, SubjectKey, mark_dirty};
use crate::crypto::Place;
use crate::entry::SealedEntry;
use crate::id::{CompartmentId, EntryId, LogId};
use crate::log::LogName;
use crate::record::{Operation, Statement};
use crate::roster::InLog;
use crate::store::{EntryKey, OpKey, RowKey, Store, StoreError, StoredEntry, Verdict};
use rusqlite::{Connection, OptionalExtension};
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
        if self.backlog.is_full() {
            self.backlog.file_all(self.tx)?;
        }
        let place = Place { incident: self.ring.incident, log, seq: key.seq() };
        let mut buffer = std::mem::take(&mut self.body);
        let mut in_log = match self.log.take().filter(|last| last.log() == log) {
            Some(last) => last,
            None => self.ring.roster.in_log(log, name.device, name.compartment),
        };
        let judged = judge(self.ring, (&mut in_log, name.lane), (&place, key.branch()), (id, entry), &mut buffer);
        self.log = Some(in_log);
        let verdict = match judged {
            Judged::Opened(body, waits) => {
                let (compartment, waiting) = (self.compartment(name.compartment)?, waits.is_some());
                let author = Author { compartment, device: name.device, key, id, hlc: body.hlc, waiting };
                self.backlog.hold(&author, &body.operations);
                waits.map(|waits| (Verdict::Waiting, waits.code()))
            }
            Judged::Without(verdict, code) => Some((verdict, code)),
        };
        self.body = buffer;
        self.backlog.judged(key);
        if verdict.is_some() {
            Store::set_verdict(self.tx, key, verdict)?;
        }
        Ok(verdict)
    }

    /// Judges an entry anew: takes its operations out, and in again if it opens.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn take_again(&mut self, name: (&LogName, LogId), stored: &StoredEntry) -> Result<(), StoreError> {
        self.remove(name, stored)?;
        Store::set_verdict(self.tx, stored.key, None)?;
        self.take(name, stored.key, (&stored.id, &stored.entry()))?;
        Ok(())
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
                self.take((&log.name, log.log), entry.key, (&entry.id, &entry.entry()))?;
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
        if !self.backlog.is_empty() {
            self.backlog.file_all(self.tx)?;
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
        let (name, _) = SubjectKey::of(operation);
        let (kind, name) = name.parts();
        let Some(subject) = Subject::find(self.tx, compartment, kind, name)? else { return Ok(()) };
        mark_dirty(self.tx, subject)?;
        let (first, last) = RowKey::range(subject);
        let mut statement = self.tx.prepare_cached("SELECT row FROM op WHERE row BETWEEN ?1 AND ?2 AND id = ?3")?;
        let found: Option<RowKey> = statement.query_row((first, last, key), |row| row.get(0)).optional()?;
        found.map_or(Ok(()), |row| remove_row(self.tx, row, operation))
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
    for (index, (operation, _)) in
        super::judge::operations(ring, &log.name, &place, &stored, &mut body).into_iter().flatten().enumerate()
    {
        let (name, _) = SubjectKey::of(&operation);
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {} FROM subject JOIN op ON op.row BETWEEN subject.id << 28 AND subject.id << 28 | 268435455
             JOIN compartment ON compartment.id = subject.compartment
             WHERE subject.key = ?1 AND subject.kind = ?2 AND compartment.compartment = ?3 AND op.id = ?4",
            OpRow::COLUMNS
        ))?;
        let (kind, name) = name.parts();
        let key = key.operation(u8::try_from(index).unwrap_or(u8::MAX));
        let row = statement.query_row((name, kind as u8, log.name.compartment.as_bytes(), key), OpRow::of);
        rows.extend(row.optional()?);
    }
    Ok(rows)
}

/// Takes out the operations of an entry that does not open any more: looks through the whole table.
fn remove_unread(tx: &Connection, key: EntryKey) -> Result<(), StoreError> {
    let rows: Vec<OpRow> = {
        let mut statement =
            tx.prepare_cached(&format!("SELECT {} FROM op WHERE id BETWEEN ?1 AND ?2", OpRow::COLUMNS))?;
        let rows = statement.query_map((key.operation(0), key.operation(63)), OpRow::of)?;
        rows.collect::<Result<_, _>>()?
    };
    for row in rows {
        mark_dirty(tx, row.row.subject())?;
        remove_row(tx, row.row, &row.operation())?;
    }
    Ok(())
}

/// Takes out one operation and what finds it.
fn remove_row(tx: &Connection, row: RowKey, operation: &Operation<'_>) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM op WHERE row = ?1")?.execute([row])?;
    if let Some(import) = operation.import() {
        tx.prepare_cached("DELETE FROM import WHERE import = ?1 AND row = ?2")?.execute((import.as_bytes(), row))?;
    }
    if let Operation::Fact(fact) = operation
        && let Statement::Resolution { findings } = &fact.statement
    {
        for finding in findings {
            tx.prepare_cached("DELETE FROM resolution WHERE finding = ?1 AND row = ?2")?
                .execute((finding.as_bytes(), row))?;
        }
    }
    Ok(())
}

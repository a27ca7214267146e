//! The rows of operations: what was said, by subject, with what ordering and rules need of its entry.

use super::judge::{Judged, Keyring, judge};
use super::times::Times;
use crate::clock::Hlc;
use crate::crypto::Place;
use crate::entry::SealedEntry;
use crate::id::{CompartmentId, DeviceId, EntryId, LogId, PatientId};
use crate::log::LogName;
use crate::record::{Body, EditAt, EntryRef, FactAt, FactKind, Forks, Item, OpRef, Operation, Stand, StockAt};
use crate::store::{EntryKey, LogRow, OpKey, Store, StoreError, Verdict};
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeMap;

/// Tables of operations; all can be dropped.
pub const SCHEMA: &str = "
CREATE TABLE subject (
  id INTEGER PRIMARY KEY, compartment INTEGER NOT NULL, kind INTEGER NOT NULL, key BLOB NOT NULL, UNIQUE (key, compartment, kind));
CREATE TABLE op (
  id INTEGER PRIMARY KEY, subject INTEGER NOT NULL REFERENCES subject (id), kind INTEGER NOT NULL, waiting INTEGER NOT NULL,
  hlc INTEGER NOT NULL, time_ms INTEGER NOT NULL, prefix BLOB NOT NULL, payload BLOB NOT NULL);
CREATE INDEX op_subject ON op (subject, kind);
CREATE TABLE import (import BLOB NOT NULL, op INTEGER NOT NULL, PRIMARY KEY (import, op)) WITHOUT ROWID;
CREATE TABLE resolution (finding BLOB NOT NULL, op INTEGER NOT NULL, PRIMARY KEY (finding, op)) WITHOUT ROWID;
CREATE TABLE dirty (subject INTEGER PRIMARY KEY);
CREATE TABLE device_time (
  compartment INTEGER NOT NULL, device BLOB NOT NULL, hlc INTEGER NOT NULL, PRIMARY KEY (compartment, device)) WITHOUT ROWID;
CREATE TABLE device_time_noted (
  compartment INTEGER NOT NULL, device BLOB NOT NULL, hlc INTEGER NOT NULL, PRIMARY KEY (compartment, device)) WITHOUT ROWID;
CREATE TABLE late (subject INTEGER NOT NULL, time_ms INTEGER NOT NULL, PRIMARY KEY (subject, time_ms)) WITHOUT ROWID;
";

/// Names of these tables, in an order in which they can be dropped.
pub const TABLES: &[&str] =
    &["op", "subject", "import", "resolution", "dirty", "device_time", "device_time_noted", "late"];

/// Number of edits among the kinds in the table.
pub(super) const EDIT_KIND: u8 = 1;

/// What operations are about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum SubjectKind {
    /// A patient's record in one compartment.
    Patient = 0,
    /// One lot of a product.
    Stock = 1,
    /// The compartment itself: what is about no single patient or lot.
    Compartment = 2,
    /// Operations that a newer version wrote.
    Newer = 3,
}

impl SubjectKind {
    fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Patient,
            1 => Self::Stock,
            2 => Self::Compartment,
            _ => Self::Newer,
        }
    }
}

/// A subject as the file numbers it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subject {
    /// Its number in this book.
    pub id: i64,
    /// Number of the compartment.
    pub compartment: i64,
    /// What it is.
    pub kind: SubjectKind,
    /// Its name: a patient's id, a lot.
    pub key: Vec<u8>,
}

impl Subject {
    /// The subject of a number.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn load(connection: &Connection, id: i64) -> Result<Option<Self>, StoreError> {
        let mut statement = connection.prepare_cached("SELECT compartment, kind, key FROM subject WHERE id = ?1")?;
        let row = statement.query_row([id], |row| {
            Ok(Self { id, compartment: row.get(0)?, kind: SubjectKind::from_number(row.get(1)?), key: row.get(2)? })
        });
        Ok(row.optional()?)
    }

    /// The number of a subject, if it has one.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn find(
        connection: &Connection,
        compartment: i64,
        kind: SubjectKind,
        key: &[u8],
    ) -> Result<Option<i64>, StoreError> {
        let mut statement =
            connection.prepare_cached("SELECT id FROM subject WHERE key = ?1 AND compartment = ?2 AND kind = ?3")?;
        Ok(statement.query_row((key, compartment, kind as u8), |row| row.get(0)).optional()?)
    }

    fn find_or_add(tx: &Connection, compartment: i64, kind: SubjectKind, key: &[u8]) -> Result<i64, StoreError> {
        if let Some(id) = Self::find(tx, compartment, kind, key)? {
            return Ok(id);
        }
        let mut statement = tx.prepare_cached("INSERT INTO subject (compartment, kind, key) VALUES (?1, ?2, ?3)")?;
        Ok(statement.insert((compartment, kind as u8, key))?)
    }

    /// The patient, if it is one.
    #[must_use]
    pub fn patient(&self) -> Option<PatientId> {
        (self.kind == SubjectKind::Patient).then(|| PatientId::from_slice(&self.key)).flatten()
    }
}

/// Takes entries in: judges them, writes their operations and marks their subjects. Keeps what many entries of
/// one transaction share; [`Intake::finish`] writes the rest.
#[derive(Debug)]
pub struct Intake<'a> {
    tx: &'a Connection,
    ring: &'a Keyring,
    body: Vec<u8>,
    compartments: BTreeMap<CompartmentId, i64>,
    /// Subjects that were met and marked.
    subjects: BTreeMap<(i64, SubjectKind, Vec<u8>), i64>,
    /// Greatest clock by compartment and device.
    times: BTreeMap<(i64, DeviceId), Hlc>,
}

/// Most subjects that an intake remembers at once.
const SUBJECTS_REMEMBERED_MAX: usize = 8_192;

impl<'a> Intake<'a> {
    /// Begins to take entries in.
    #[must_use]
    pub const fn new(tx: &'a Connection, ring: &'a Keyring) -> Self {
        Self {
            tx,
            ring,
            body: Vec::new(),
            compartments: BTreeMap::new(),
            subjects: BTreeMap::new(),
            times: BTreeMap::new(),
        }
    }

    /// Takes in one entry that was just stored, or judges it anew. Returns the verdict if it is not accepted.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn take(
        &mut self,
        (name, log): (&LogName, LogId),
        key: EntryKey,
        (id, entry): (&EntryId, &SealedEntry<'_>),
    ) -> Result<Option<(Verdict, &'static str)>, StoreError> {
        let place = Place { incident: self.ring.incident, log, seq: key.seq() };
        let mut buffer = std::mem::take(&mut self.body);
        let judged = judge(self.ring, name, &place, (id, entry), &mut buffer);
        let verdict = match judged {
            Judged::Opened(body, waits) => {
                self.write(name, key, id, &body, waits.is_some())?;
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

    fn write(
        &mut self,
        name: &LogName,
        key: EntryKey,
        id: &EntryId,
        body: &Body<'_>,
        waiting: bool,
    ) -> Result<(), StoreError> {
        let compartment = self.compartment(name.compartment)?;
        let prefix: &[u8] = id.as_bytes().first_chunk::<16>().map_or(&[], |p| p);
        let mut insert = self.tx.prepare_cached(
            "INSERT INTO op (id, subject, kind, waiting, hlc, time_ms, prefix, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        for (index, (operation, payload)) in body.operations.iter().enumerate() {
            let row = key.operation(u8::try_from(index).unwrap_or(u8::MAX));
            let (subject_kind, subject_key, kind) = subject_of(operation);
            let subject = self.subject(compartment, subject_kind, subject_key)?;
            let time_ms = match operation {
                Operation::Fact(fact) => body.hlc.ms().max(fact.effective.ms),
                Operation::Edit(_) | Operation::Newer => body.hlc.ms(),
            };
            insert.execute((row, subject, kind, waiting, body.hlc.bits().cast_signed(), time_ms, prefix, payload))?;
            index_operation(self.tx, row, operation, !waiting)?;
        }
        if !waiting {
            let greatest = self.times.entry((compartment, name.device)).or_default();
            *greatest = greatest.merge(body.hlc);
        }
        Ok(())
    }

    fn compartment(&mut self, compartment: CompartmentId) -> Result<i64, StoreError> {
        if let Some(number) = self.compartments.get(&compartment) {
            return Ok(*number);
        }
        let number = Store::compartment_row(self.tx, compartment)?;
        self.compartments.insert(compartment, number);
        Ok(number)
    }

    /// The number of a subject, which is marked for posting.
    fn subject(&mut self, compartment: i64, kind: SubjectKind, key: Vec<u8>) -> Result<i64, StoreError> {
        let name = (compartment, kind, key);
        if let Some(subject) = self.subjects.get(&name) {
            return Ok(*subject);
        }
        let subject = Subject::find_or_add(self.tx, compartment, kind, &name.2)?;
        mark_dirty(self.tx, subject)?;
        if self.subjects.len() >= SUBJECTS_REMEMBERED_MAX {
            self.subjects.clear();
        }
        self.subjects.insert(name, subject);
        Ok(subject)
    }

    /// Writes what was only remembered; to be called before the transaction ends.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn finish(self) -> Result<(), StoreError> {
        for ((compartment, device), hlc) in self.times {
            Times::note(self.tx, compartment, device, hlc)?;
        }
        Ok(())
    }
}

/// Keeps what finds an operation again: where an import took it from.
fn index_operation(tx: &Connection, row: OpKey, operation: &Operation<'_>, accepted: bool) -> Result<(), StoreError> {
    let import = match operation {
        Operation::Edit(edit) => edit.import,
        Operation::Fact(fact) => fact.import,
        Operation::Newer => None,
    };
    if let (Some(import), true) = (import, accepted) {
        tx.prepare_cached("INSERT INTO import (import, op) VALUES (?1, ?2)")?.execute((import.as_bytes(), row))?;
    }
    Ok(())
}

fn subject_of(operation: &Operation<'_>) -> (SubjectKind, Vec<u8>, u8) {
    match operation {
        Operation::Newer => (SubjectKind::Newer, Vec::new(), 0),
        Operation::Edit(edit) => (SubjectKind::Patient, edit.patient.as_bytes().to_vec(), EDIT_KIND),
        Operation::Fact(fact) => {
            let kind = fact.statement.kind().number();
            match (fact.patient, Item::of_statement(&fact.statement)) {
                (Some(patient), _) => (SubjectKind::Patient, patient.as_bytes().to_vec(), kind),
                (None, Some(item)) => (SubjectKind::Stock, item.to_bytes(), kind),
                (None, None) => (SubjectKind::Compartment, Vec::new(), kind),
            }
        }
    }
}

/// Takes an entry's operations out again, as when its acceptance is withdrawn.
///
/// # Errors
/// [`StoreError`] if it cannot be written.
pub fn remove(tx: &Connection, key: EntryKey) -> Result<(), StoreError> {
    let range = (key.operation(0), key.operation(63));
    tx.prepare_cached("INSERT OR IGNORE INTO dirty (subject) SELECT subject FROM op WHERE id BETWEEN ?1 AND ?2")?
        .execute(range)?;
    for table in ["import", "resolution"] {
        let statement = match table {
            "import" => {
                "DELETE FROM import WHERE (import, op) IN (SELECT import, op FROM import WHERE op BETWEEN ?1 AND ?2)"
            }
            _ => {
                "DELETE FROM resolution WHERE (finding, op) IN (SELECT finding, op FROM resolution WHERE op BETWEEN ?1 AND ?2)"
            }
        };
        tx.prepare_cached(statement)?.execute(range)?;
    }
    tx.prepare_cached("DELETE FROM op WHERE id BETWEEN ?1 AND ?2")?.execute(range)?;
    Ok(())
}

/// Marks a subject whose views are to be made anew.
///
/// # Errors
/// [`StoreError`] if it cannot be written.
pub fn mark_dirty(tx: &Connection, subject: i64) -> Result<(), StoreError> {
    tx.prepare_cached("INSERT OR IGNORE INTO dirty (subject) VALUES (?1)")?.execute([subject])?;
    Ok(())
}

/// The logs of a book by number, with the branches of those that were forked.
#[derive(Default, Debug)]
pub struct Logs {
    by_number: BTreeMap<i64, LogRow>,
    /// How the branches of forked logs hang together.
    pub forks: Forks,
}

impl Logs {
    /// Loads all logs.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn load(connection: &Connection) -> Result<Self, StoreError> {
        let mut logs = Self::default();
        for row in Store::logs(connection)? {
            logs.by_number.insert(row.number, row);
        }
        let mut statement =
            connection.prepare_cached("SELECT log, branch, parent, fork_seq FROM branch WHERE branch > 0")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            logs.forks.add(row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, i64>(3)?.cast_unsigned());
        }
        Ok(logs)
    }

    /// A log by its number.
    #[must_use]
    pub fn get(&self, number: i64) -> Option<&LogRow> {
        self.by_number.get(&number)
    }
}

/// One row of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpRow {
    /// Where it lies.
    pub key: OpKey,
    /// Its kind: 1 for an edit, else the number of the fact's kind.
    pub kind: u8,
    /// Whether it waits for review.
    pub waiting: bool,
    /// The author's clock.
    pub hlc: Hlc,
    /// First 16 bytes of the entry's id.
    pub prefix: [u8; 16],
    /// The operation's canonical bytes.
    pub payload: Vec<u8>,
}

/// The operations of one subject, in rising order of key.
///
/// # Errors
/// [`StoreError`] if the file cannot be read.
pub fn operations_of(connection: &Connection, subject: i64) -> Result<Vec<OpRow>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT id, kind, waiting, hlc, prefix, payload FROM op WHERE subject = ?1 ORDER BY id")?;
    let rows = statement.query_map([subject], OpRow::of)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl OpRow {
    /// The columns that [`OpRow::of`] reads, in its order.
    pub const COLUMNS: &'static str = "id, kind, waiting, hlc, prefix, payload";

    /// Reads a row of [`OpRow::COLUMNS`].
    ///
    /// # Errors
    /// As rusqlite says.
    pub fn of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get(0)?,
            kind: row.get(1)?,
            waiting: row.get(2)?,
            hlc: Hlc::from_bits(row.get::<_, i64>(3)?.cast_unsigned()),
            prefix: row.get(4)?,
            payload: row.get(5)?,
        })
    }

    /// The operation; written by a newer version if it cannot be read.
    #[must_use]
    pub fn operation(&self) -> Operation<'_> {
        Operation::read(&self.payload).unwrap_or(Operation::Newer)
    }

    /// Where its entry stands.
    #[must_use]
    pub const fn stand(&self) -> Stand {
        let entry = self.key.entry();
        Stand { log: entry.log(), branch: entry.branch(), seq: entry.seq() }
    }

    /// How its entry is named.
    #[must_use]
    pub fn entry_ref(&self, logs: &Logs) -> EntryRef {
        let log = logs.get(self.key.entry().log()).map_or(LogId::ZERO, |log| log.log);
        EntryRef { log, seq: self.key.entry().seq(), prefix: self.prefix }
    }

    /// How it is named.
    #[must_use]
    pub fn reference(&self, logs: &Logs) -> OpRef {
        OpRef { entry: self.entry_ref(logs), index: self.key.index() }
    }

    /// Who wrote it.
    #[must_use]
    pub fn device(&self, logs: &Logs) -> DeviceId {
        logs.get(self.key.entry().log()).map_or(DeviceId::ZERO, |log| log.name.device)
    }

    /// The later of the author's clock and the time that a fact states, in milliseconds.
    #[must_use]
    pub fn latest_ms(&self) -> i64 {
        match self.operation() {
            Operation::Fact(fact) => self.hlc.ms().max(fact.effective.ms),
            Operation::Edit(_) | Operation::Newer => self.hlc.ms(),
        }
    }

    /// As an edit for the fold, if it is one.
    #[must_use]
    pub fn edit(&self, logs: &Logs) -> Option<EditAt<'_>> {
        match (self.kind, self.operation()) {
            (EDIT_KIND, Operation::Edit(edit)) => Some(EditAt {
                stand: self.stand(),
                reference: self.entry_ref(logs),
                hlc: self.hlc,
                waiting: self.waiting,
                edit,
            }),
            _ => None,
        }
    }

    /// As a fact for the rules, if it is one.
    #[must_use]
    pub fn fact(&self, logs: &Logs, times: &Times) -> Option<FactAt<'_>> {
        let Operation::Fact(fact) = self.operation() else { return None };
        let device = self.device(logs);
        let implausible = times.implausible(device, self.hlc, Some(&fact.effective));
        Some(FactAt {
            reference: self.reference(logs),
            device,
            hlc: self.hlc,
            waiting: self.waiting,
            implausible,
            fact,
        })
    }

    /// As a stock fact, if it is one.
    #[must_use]
    pub fn stock(&self, logs: &Logs, times: &Times) -> Option<StockAt<'_>> {
        let fact = self.fact(logs, times)?;
        matches!(fact.fact.statement.kind(), FactKind::StockMovement | FactKind::StockCount)
            .then(|| StockAt { stand: self.stand(), fact })
    }
}

//! The tables of operations: what was said, kept by subject, with what ordering and rules need of its entry.

use super::sheets::Sheets;
use super::times::Times;
use crate::clock::Hlc;
use crate::id::{DeviceId, LogId};
use crate::log::LogName;
use crate::record::{EditAt, EntryRef, FactAt, Forks, OpRef, Operation, StockAt};
use crate::store::{LogRow, OpKey, RowKey, Store, StoreError};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// Tables of operations; all can be dropped.
pub const SCHEMA: &str = "
CREATE TABLE subject (
  id INTEGER PRIMARY KEY, compartment INTEGER NOT NULL, kind INTEGER NOT NULL, key BLOB NOT NULL, UNIQUE (key, compartment, kind));
CREATE TABLE op (row INTEGER PRIMARY KEY, sheet BLOB NOT NULL);
CREATE TABLE filing (id INTEGER PRIMARY KEY, posted INTEGER);
CREATE TABLE import (
  import BLOB NOT NULL, id INTEGER NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (import, id)) WITHOUT ROWID;
CREATE TABLE resolution (
  finding BLOB NOT NULL, id INTEGER NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (finding, id)) WITHOUT ROWID;
CREATE TABLE dirty (subject INTEGER PRIMARY KEY);
CREATE TABLE device_time (
  compartment INTEGER NOT NULL, device BLOB NOT NULL, hlc INTEGER NOT NULL, PRIMARY KEY (compartment, device)) WITHOUT ROWID;
CREATE TABLE late (subject INTEGER NOT NULL, time_ms INTEGER NOT NULL, PRIMARY KEY (subject, time_ms)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS verdict_by_kind ON verdict (verdict, code);
";

/// Names of these tables, in an order in which they can be dropped.
pub const TABLES: &[&str] = &["op", "filing", "subject", "import", "resolution", "dirty", "device_time", "late"];

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

    /// The names of all logs.
    pub fn names(&self) -> impl Iterator<Item = &LogName> {
        self.by_number.values().map(|log| &log.name)
    }

    /// The logs that a device wrote, in order of their numbers.
    pub fn of_device(&self, device: DeviceId) -> impl Iterator<Item = &LogRow> {
        self.by_number.values().filter(move |log| log.name.device == device)
    }
}

/// One operation as the table keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpRow {
    /// Where the table keeps it.
    pub row: RowKey,
    /// Where it lies.
    pub key: OpKey,
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
    Sheets::of(connection, subject)?.rows()
}

impl OpRow {
    /// The operation, understood.
    #[must_use]
    pub fn read(&self) -> Op<'_> {
        let Self { key, waiting, hlc, prefix, .. } = *self;
        Op { key, waiting, hlc, prefix, operation: self.operation() }
    }

    /// What was said; written by a newer version if it cannot be read.
    #[must_use]
    pub fn operation(&self) -> Operation<'_> {
        Operation::read_again(&self.payload)
    }

    /// How its entry is named.
    #[must_use]
    pub fn entry_ref(&self, logs: &Logs) -> EntryRef {
        entry_ref(self.key, self.prefix, logs)
    }

    /// How it is named.
    #[must_use]
    pub fn reference(&self, logs: &Logs) -> OpRef {
        OpRef { entry: self.entry_ref(logs), index: self.key.index() }
    }

    /// Who wrote it.
    #[must_use]
    pub fn device(&self, logs: &Logs) -> DeviceId {
        device(self.key, logs)
    }

    /// As an edit for the fold, if it is one.
    #[must_use]
    pub fn edit(&self, logs: &Logs) -> Option<EditAt<'_>> {
        if let Placed::Edit(edit) = self.read().place(logs, &Times::default()) { Some(edit) } else { None }
    }

    /// As a fact for the rules, if it is one.
    #[must_use]
    pub fn fact(&self, logs: &Logs, times: &Times) -> Option<FactAt<'_>> {
        if let Placed::Fact(fact) = self.read().place(logs, times) { Some(fact) } else { None }
    }

    /// As a stock fact, if it is one.
    #[must_use]
    pub fn stock(&self, logs: &Logs, times: &Times) -> Option<StockAt<'_>> {
        let fact = self.fact(logs, times)?;
        fact.fact.statement.kind().is_stock().then(|| StockAt { stand: self.key.stand(), fact })
    }
}

fn entry_ref(key: OpKey, prefix: [u8; 16], logs: &Logs) -> EntryRef {
    let log = logs.get(key.entry().log()).map_or(LogId::ZERO, |log| log.log);
    EntryRef { log, seq: key.entry().seq(), prefix }
}

fn device(key: OpKey, logs: &Logs) -> DeviceId {
    logs.get(key.entry().log()).map_or(DeviceId::ZERO, |log| log.name.device)
}

/// An operation that was taken in, understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Op<'a> {
    /// Where it lies.
    pub key: OpKey,
    /// Whether it waits for review.
    pub waiting: bool,
    /// The author's clock.
    pub hlc: Hlc,
    /// First 16 bytes of the entry's id.
    pub prefix: [u8; 16],
    /// What was said; written by a newer version if it cannot be read.
    pub operation: Operation<'a>,
}

impl<'a> Op<'a> {
    /// Who wrote it.
    #[must_use]
    pub fn device(&self, logs: &Logs) -> DeviceId {
        device(self.key, logs)
    }

    /// The later of the author's clock and the time that a fact states, in milliseconds.
    #[must_use]
    pub fn latest_ms(&self) -> i64 {
        latest_ms(self.hlc, &self.operation)
    }

    /// As what the rules take.
    #[must_use]
    pub fn place(self, logs: &Logs, times: &Times) -> Placed<'a> {
        match self.operation {
            Operation::Reading(_) => Placed::Reading,
            Operation::Newer => Placed::Newer,
            Operation::Edit(edit) => {
                let (stand, reference) = (self.key.stand(), entry_ref(self.key, self.prefix, logs));
                Placed::Edit(EditAt { stand, reference, hlc: self.hlc, waiting: self.waiting, edit })
            }
            Operation::Fact(fact) => {
                let (device, entry) = (device(self.key, logs), entry_ref(self.key, self.prefix, logs));
                Placed::Fact(FactAt {
                    reference: OpRef { entry, index: self.key.index() },
                    device,
                    hlc: self.hlc,
                    waiting: self.waiting,
                    implausible: times.implausible(device, self.hlc, Some(&fact.effective)),
                    fact,
                })
            }
        }
    }

    /// As an edit for the fold, if it is one.
    #[must_use]
    pub fn edit(&self, logs: &Logs) -> Option<EditAt<'a>> {
        let Operation::Edit(_) = &self.operation else { return None };
        if let Placed::Edit(edit) = self.clone().place(logs, &Times::default()) { Some(edit) } else { None }
    }

    /// As a fact for the rules, if it is one.
    #[must_use]
    pub fn fact(&self, logs: &Logs, times: &Times) -> Option<FactAt<'a>> {
        let Operation::Fact(_) = &self.operation else { return None };
        if let Placed::Fact(fact) = self.clone().place(logs, times) { Some(fact) } else { None }
    }
}

/// An operation as what the rules take.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "lives for one step, and a box would cost an allocation an operation")]
pub enum Placed<'a> {
    /// An edit for the fold.
    Edit(EditAt<'a>),
    /// A fact.
    Fact(FactAt<'a>),
    /// A reading; no rule takes it.
    Reading,
    /// What a newer version wrote.
    Newer,
}

/// The later of the author's clock and the time that a fact states, in milliseconds.
#[must_use]
pub fn latest_ms(hlc: Hlc, operation: &Operation<'_>) -> i64 {
    match operation {
        Operation::Fact(fact) => hlc.ms().max(fact.effective.ms),
        Operation::Reading(reading) => hlc.ms().max(reading.at.ms),
        Operation::Edit(_) | Operation::Newer => hlc.ms(),
    }
}

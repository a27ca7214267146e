//! Posting: makes the rows of marked subjects anew.

use super::patients::{self, Registers};
use super::search::{self, Words};
use crate::id::{FindingId, ImportId};
use crate::merge::{
    Backlog, Logs, Op, OpRow, Placed, Sheets, Subject, SubjectKind, Times, each_unposted, operation_at, operations_of,
    unposted_filings,
};
use crate::record::{
    EditAt, FactAt, Finding, FindingKind, Item, Standing, Statement, StockAt, fold, of_facts, on_hand, standings,
};
use crate::store::{OpKey, StoreError};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// Posted tables; all can be dropped.
pub const SCHEMA: &str = "
CREATE TABLE patient (
  subject INTEGER PRIMARY KEY, name TEXT NOT NULL, birth TEXT NOT NULL, sex INTEGER, identifier TEXT NOT NULL,
  deceased INTEGER NOT NULL, allergy INTEGER NOT NULL, tokens TEXT NOT NULL);
CREATE TABLE search (token TEXT NOT NULL, subject INTEGER NOT NULL, PRIMARY KEY (token, subject)) WITHOUT ROWID;
CREATE TABLE identifier (
  value TEXT NOT NULL, system TEXT NOT NULL, subject INTEGER NOT NULL, PRIMARY KEY (value, system, subject)) WITHOUT ROWID;
CREATE INDEX identifier_of ON identifier (subject);
CREATE TABLE finding (
  id BLOB PRIMARY KEY, subject INTEGER NOT NULL, other INTEGER NOT NULL, kind INTEGER NOT NULL, about BLOB NOT NULL, text TEXT NOT NULL,
  waiting INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX finding_of ON finding (subject);
CREATE INDEX finding_other ON finding (other) WHERE other <> 0;
CREATE TABLE stock (
  subject INTEGER NOT NULL, place TEXT NOT NULL, product TEXT NOT NULL, code TEXT NOT NULL, lot TEXT NOT NULL,
  expiry TEXT NOT NULL, micros INTEGER NOT NULL, unit TEXT NOT NULL, counted INTEGER NOT NULL, PRIMARY KEY (subject, place)) WITHOUT ROWID;
";

/// Names of these tables, in an order in which they can be dropped.
pub const TABLES: &[&str] = &["patient", "search", "identifier", "finding", "stock"];

/// Writes what waits in the backlog and makes the views of what it touches, then those of what was filed before
/// and of marked subjects: about `most` operations or subjects at a time. Returns how many subjects were posted; 0
/// when nothing is left.
///
/// # Errors
/// [`StoreError`] if it cannot be written; the caller undoes the transaction and drops the backlog.
pub fn post(tx: &Connection, logs: &Logs, backlog: &mut Backlog, most: usize) -> Result<usize, StoreError> {
    let mut posting = Posting { tx, logs, times: BTreeMap::new(), words: Words::default() };
    let mut posted = posting.backlog(backlog, most)?;
    if posted == 0 {
        posted = each_unposted(tx, most.saturating_mul(OPERATION_BYTES), |subject, sheets, new| {
            Subject::load(tx, subject)?.map_or(Ok(()), |subject| posting.subject(&subject, sheets.operations()?, new))
        })?;
    }
    if posted == 0 {
        posted = posting.marked(most / 4 + 1)?;
    }
    posting.words.write(tx)?;
    Ok(posted)
}

/// About how many bytes an operation takes in its sheet.
const OPERATION_BYTES: usize = 320;

/// One round of posting, with what many subjects share.
struct Posting<'a> {
    tx: &'a Connection,
    logs: &'a Logs,
    times: BTreeMap<i64, Times>,
    words: Words,
}

impl Posting<'_> {
    /// Files what waits in a backlog, and posts subjects of it from memory.
    fn backlog(&mut self, backlog: &mut Backlog, most: usize) -> Result<usize, StoreError> {
        if backlog.is_empty() {
            return Ok(0);
        }
        // What was filed before and not posted is posted together with this, from the table.
        if !backlog.was_filed() && unposted_filings(self.tx)? > 0 {
            backlog.file_all(self.tx)?;
            return Ok(0);
        }
        if !backlog.was_filed() {
            backlog.file(self.tx)?;
        }
        let (mut count, mut operations, mut last) = (0, 0, 0);
        while (operations < most || backlog.is_loose())
            && let Some(filed) = backlog.next_filed()
        {
            (count, last) = (count + 1, filed.subject.id);
            operations += filed.here.len();
            if filed.new {
                self.subject(&filed.subject, backlog.operations(filed.here), true)?;
            } else {
                self.known(&filed.subject)?;
            }
        }
        backlog.posted(self.tx, last)?;
        Ok(count)
    }

    /// Posts marked subjects.
    fn marked(&mut self, most: usize) -> Result<usize, StoreError> {
        let marked: Vec<i64> = {
            let mut statement = self.tx.prepare_cached("SELECT subject FROM dirty ORDER BY subject LIMIT ?1")?;
            let rows = statement.query_map([i64::try_from(most).unwrap_or(i64::MAX)], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        for id in &marked {
            if let Some(subject) = Subject::load(self.tx, *id)? {
                self.known(&subject)?;
            }
        }
        if let Some(last) = marked.last() {
            self.tx.prepare_cached("DELETE FROM dirty WHERE subject <= ?1")?.execute([last])?;
        }
        Ok(marked.len())
    }

    /// Posts a subject that may have rows, from all its operations in the table.
    fn known(&mut self, subject: &Subject) -> Result<(), StoreError> {
        let sheets = Sheets::of(self.tx, subject.id)?;
        self.subject(subject, sheets.operations()?, false)
    }

    /// Posts a subject from all its operations; a new one has no rows yet.
    fn subject(&mut self, subject: &Subject, operations: Vec<Op<'_>>, new: bool) -> Result<(), StoreError> {
        let times = if let Some(times) = self.times.get(&subject.compartment) {
            *times
        } else {
            let loaded = Times::load(self.tx, subject.compartment)?;
            self.times.insert(subject.compartment, loaded);
            loaded
        };
        let late = operations.iter().map(|op| (op.device(self.logs), op.latest_ms()));
        times.keep_late(self.tx, subject.id, late, new)?;
        let said = Said::of(operations, self.logs, &times);
        match subject.kind {
            SubjectKind::Patient => self.patient(subject, &said, new),
            SubjectKind::Stock => post_stock(self.tx, self.logs, subject, &said),
            SubjectKind::Compartment => post_resolutions(self.tx, subject.id, &said, &standings(&said.facts)),
            SubjectKind::Reading | SubjectKind::Newer => Ok(()),
        }
    }

    fn patient(&mut self, subject: &Subject, said: &Said<'_>, new: bool) -> Result<(), StoreError> {
        let folded = fold(&said.edits, &self.logs.forks);
        let registers = Registers::of(&folded, &said.edits);
        let standings = standings(&said.facts);
        let record = said.accepted.then_some((&registers, said.facts.as_slice(), standings.as_slice()));
        patients::post(self.tx, &mut self.words, subject, record, new)?;
        post_resolutions(self.tx, subject.id, said, &standings)?;
        let changed = search::post_identifiers(self.tx, subject, &registers, new)?;
        let mut findings = of_facts(&said.facts, &standings);
        findings.extend(registers.findings(subject));
        write_findings(self.tx, subject.id, &findings, new)?;
        search::post_same_person(self.tx, subject, &changed, new)
    }
}

/// What the operations of one subject say, by what the rules take.
struct Said<'a> {
    edits: Vec<EditAt<'a>>,
    facts: Vec<FactAt<'a>>,
    /// Where each fact lies, in the same order.
    keys: Vec<OpKey>,
    /// Whether any operation is accepted.
    accepted: bool,
}

impl<'a> Said<'a> {
    fn of(operations: Vec<Op<'a>>, logs: &Logs, times: &Times) -> Self {
        let mut said = Self { edits: Vec::new(), facts: Vec::new(), keys: Vec::new(), accepted: false };
        for op in operations {
            said.accepted |= !op.waiting;
            let key = op.key;
            match op.place(logs, times) {
                Placed::Edit(edit) => said.edits.push(edit),
                Placed::Fact(fact) => {
                    said.keys.push(key);
                    said.facts.push(fact);
                }
                Placed::Reading | Placed::Newer => {}
            }
        }
        said
    }
}

fn post_stock(tx: &Connection, logs: &Logs, subject: &Subject, said: &Said<'_>) -> Result<(), StoreError> {
    let standings = standings(&said.facts);
    let stock: Vec<StockAt<'_>> = said
        .facts
        .iter()
        .zip(&said.keys)
        .filter(|(fact, _)| fact.fact.statement.kind().is_stock())
        .map(|(fact, key)| StockAt { stand: key.stand(), fact: fact.clone() })
        .collect();
    let item = stock.iter().find_map(|s| Item::of_statement(&s.fact.fact.statement));
    tx.prepare_cached("DELETE FROM stock WHERE subject = ?1")?.execute([subject.id])?;
    let Some(item) = item else { return write_findings(tx, subject.id, &[], false) };
    let (lines, findings) = on_hand(&item, &stock, &standings, &logs.forks);
    for line in lines {
        let shown = stock.get(line.shown_by).map(|s| &s.fact.fact.statement);
        let (product, expiry, unit) = match shown {
            Some(Statement::StockMovement(m)) => (m.product, m.expiry, m.quantity.unit),
            Some(Statement::StockCount(c)) => (c.product, None, c.quantity.unit),
            _ => continue,
        };
        // A count names no expiry; the newest movement of the lot that does is asked.
        let stand = stock.iter().zip(&standings).filter(|(s, st)| **st == Standing::Stands && !s.fact.waiting);
        let of_lot = stand.filter_map(|(s, _)| match &s.fact.fact.statement {
            Statement::StockMovement(m) => Some((s.fact.hlc, s.fact.reference, m.expiry?)),
            _ => None,
        });
        let expiry = expiry.or_else(|| of_lot.max().map(|(_, _, expiry)| expiry));
        let code = if product.code.is_empty() { String::new() } else { format!("{}|{}", product.system, product.code) };
        let expiry = expiry.map(|e| e.to_string()).unwrap_or_default();
        tx.prepare_cached(
            "INSERT INTO stock (subject, place, product, code, lot, expiry, micros, unit, counted) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute((subject.id, &line.place, product.shown(), code, &item.lot, expiry, line.micros, unit, line.counted))?;
    }
    write_findings(tx, subject.id, &findings, false)
}

/// Keeps which findings are resolved: by accepted resolutions that nobody took back.
fn post_resolutions(tx: &Connection, subject: i64, said: &Said<'_>, standings: &[Standing]) -> Result<(), StoreError> {
    for ((key, fact), standing) in said.keys.iter().zip(&said.facts).zip(standings) {
        let Statement::Resolution { findings } = &fact.fact.statement else { continue };
        let holds = *standing == Standing::Stands && !fact.waiting;
        for finding in findings {
            if holds {
                tx.prepare_cached("INSERT OR IGNORE INTO resolution (finding, id, subject) VALUES (?1, ?2, ?3)")?
                    .execute((finding.as_bytes(), key, subject))?;
            } else {
                tx.prepare_cached("DELETE FROM resolution WHERE finding = ?1 AND id = ?2")?
                    .execute((finding.as_bytes(), key))?;
            }
        }
    }
    Ok(())
}

/// Replaces the findings of a subject that its own operations raise.
fn write_findings(tx: &Connection, subject: i64, findings: &[Finding], new: bool) -> Result<(), StoreError> {
    let known: BTreeSet<[u8; 16]> = if new {
        BTreeSet::new()
    } else {
        let mut statement = tx.prepare_cached("SELECT id FROM finding WHERE subject = ?1 AND other = 0")?;
        let rows = statement.query_map([subject], |row| row.get(0))?;
        rows.collect::<Result<_, _>>()?
    };
    let now: BTreeSet<[u8; 16]> = findings.iter().map(|f| *f.id.as_bytes()).collect();
    for gone in known.difference(&now) {
        tx.prepare_cached("DELETE FROM finding WHERE id = ?1")?.execute([gone])?;
    }
    for finding in findings {
        put_finding(tx, subject, 0, finding)?;
    }
    Ok(())
}

/// Writes a finding; `other` is the second subject that it is about, or 0.
pub(super) fn put_finding(tx: &Connection, subject: i64, other: i64, finding: &Finding) -> Result<(), StoreError> {
    let mut about = Vec::new();
    for one in &finding.about {
        about.extend_from_slice(&u32::try_from(one.len()).unwrap_or(u32::MAX).to_le_bytes());
        about.extend_from_slice(one);
    }
    tx.prepare_cached(
        "INSERT OR REPLACE INTO finding (id, subject, other, kind, about, text, waiting) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute((finding.id.as_bytes(), subject, other, finding.kind as u8, about, &finding.text, finding.waiting))?;
    Ok(())
}

/// A finding as it is posted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FindingRow {
    /// Its id.
    pub id: FindingId,
    /// Its kind.
    pub kind: FindingKind,
    /// The subject that it is about.
    pub subject: i64,
    /// The second subject, if it is about two.
    pub other: Option<i64>,
    /// What it is about, in canonical bytes.
    pub about: Vec<Vec<u8>>,
    /// What is the matter.
    pub text: String,
}

/// Findings in order of kind and id: all, or those of one subject.
///
/// # Errors
/// [`StoreError`] if the file cannot be read.
pub fn finding_rows(connection: &Connection, subject: Option<i64>) -> Result<Vec<FindingRow>, StoreError> {
    const COLUMNS: &str = "id, kind, subject, other, about, text";
    // Each half by its own index; a condition on both would look through all findings.
    let query = match subject {
        None => format!("SELECT {COLUMNS} FROM finding WHERE ?1 IS NULL ORDER BY kind, id"),
        Some(_) => format!(
            "SELECT {COLUMNS} FROM finding WHERE subject = ?1
             UNION SELECT {COLUMNS} FROM finding WHERE other <> 0 AND other = ?1 ORDER BY kind, id"
        ),
    };
    let mut statement = connection.prepare_cached(&query)?;
    let rows = statement.query_map([subject], |row| {
        Ok(FindingRow {
            id: FindingId::new(row.get(0)?),
            kind: FindingKind::from_number(row.get(1)?).unwrap_or(FindingKind::ConcurrentValues),
            subject: row.get(2)?,
            other: row.get::<_, Option<i64>>(3)?.filter(|other| *other != 0),
            about: split_about(&row.get::<_, Vec<u8>>(4)?),
            text: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn split_about(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let Some((part, rest)) = rest.split_at_checked(u32::from_le_bytes(*length) as usize) else { break };
        parts.push(part.to_vec());
        bytes = rest;
    }
    parts
}

/// The accepted resolution of a finding that was written first by its author's clock, if somebody resolved it.
///
/// # Errors
/// [`StoreError`] if the file cannot be read.
pub fn resolution_of(connection: &Connection, finding: &FindingId) -> Result<Option<OpRow>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT id, subject FROM resolution WHERE finding = ?1")?;
    let found =
        statement.query_map([finding.as_bytes()], |row| Ok((row.get::<_, OpKey>(0)?, row.get::<_, i64>(1)?)))?;
    let mut first: Option<OpRow> = None;
    for found in found {
        let (key, subject) = found?;
        let rows = operations_of(connection, subject)?;
        let resolution = rows.into_iter().find(|row| row.key == key && !row.waiting);
        first = first.into_iter().chain(resolution).min_by_key(|row| (row.hlc, row.prefix));
    }
    Ok(first)
}

/// One line of stock as it is posted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StockRow {
    /// The place.
    pub place: String,
    /// The product in words.
    pub product: String,
    /// `system|code`, or empty.
    pub code: String,
    /// The lot.
    pub lot: String,
    /// Expiry, or empty.
    pub expiry: String,
    /// On hand in millionths.
    pub micros: i64,
    /// The unit.
    pub unit: String,
    /// Whether it starts from a count.
    pub counted: bool,
}

/// All stock, by place, product and lot.
///
/// # Errors
/// [`StoreError`] if the file cannot be read.
pub fn stock_rows(connection: &Connection) -> Result<Vec<StockRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT place, product, code, lot, expiry, micros, unit, counted FROM stock ORDER BY place, product, code, lot",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(StockRow {
            place: row.get(0)?,
            product: row.get(1)?,
            code: row.get(2)?,
            lot: row.get(3)?,
            expiry: row.get(4)?,
            micros: row.get(5)?,
            unit: row.get(6)?,
            counted: row.get(7)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Operations under an import id, in rising order of key.
///
/// # Errors
/// [`StoreError`] if the file cannot be read.
pub fn imported(connection: &Connection, import: &ImportId) -> Result<Vec<OpRow>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT row, id FROM import WHERE import = ?1 ORDER BY id")?;
    let found = statement.query_map([import.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut rows = Vec::new();
    for found in found {
        let (row, key) = found?;
        rows.extend(operation_at(connection, row, key)?);
    }
    Ok(rows)
}

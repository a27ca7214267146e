//! Posting: makes the rows of marked subjects anew.

use super::patients::{self, Registers};
use super::search::{self, Words};
use crate::id::{FindingId, ImportId};
use crate::merge::{Backlog, Logs, Op, OpRow, Placed, Subject, SubjectKind, Times, operations_of};
use crate::record::{
    EditAt, FactAt, Finding, FindingKind, Item, Standing, Statement, StockAt, fold, of_facts, on_hand, standings,
};
use crate::store::{OpKey, RowKey, StoreError};
use rusqlite::{Connection, OptionalExtension};
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

/// Writes what waits in the backlog and makes the views of what it touches, then those of marked subjects: about
/// `most` operations or subjects at a time. Returns how many subjects were posted; 0 when nothing is left.
///
/// # Errors
/// [`StoreError`] if it cannot be written; the caller undoes the transaction and drops the backlog.
pub fn post(tx: &Connection, logs: &Logs, backlog: &mut Backlog, most: usize) -> Result<usize, StoreError> {
    let mut posting = Posting { tx, logs, times: BTreeMap::new(), words: Words::default() };
    let filed = if backlog.is_empty() { Vec::new() } else { backlog.file(tx, most)? };
    let mut posted = filed.len();
    for filed in filed {
        match filed.all {
            Some(range) => posting.subject(&filed.subject, backlog.operations(range), true)?,
            None => posting.known(&filed.subject)?,
        }
    }
    if posted == 0 {
        let marked: Vec<i64> = {
            let mut statement = tx.prepare_cached("SELECT subject FROM dirty ORDER BY subject LIMIT ?1")?;
            let rows = statement.query_map([i64::try_from(most / 4 + 1).unwrap_or(i64::MAX)], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        for id in &marked {
            if let Some(subject) = Subject::load(tx, *id)? {
                posting.known(&subject)?;
            }
        }
        if let Some(last) = marked.last() {
            tx.prepare_cached("DELETE FROM dirty WHERE subject <= ?1")?.execute([last])?;
        }
        posted = marked.len();
    }
    posting.words.write(tx)?;
    Ok(posted)
}

/// One round of posting, with what many subjects share.
struct Posting<'a> {
    tx: &'a Connection,
    logs: &'a Logs,
    times: BTreeMap<i64, Times>,
    words: Words,
}

impl Posting<'_> {
    /// Posts a subject that may have rows, from all its operations in the table.
    fn known(&mut self, subject: &Subject) -> Result<(), StoreError> {
        let rows = operations_of(self.tx, subject.id)?;
        self.subject(subject, rows.iter().map(OpRow::read).collect(), false)
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
        let Some(row) = row_of(tx, subject, *key)? else { continue };
        let holds = *standing == Standing::Stands && !fact.waiting;
        for finding in findings {
            if holds {
                tx.prepare_cached("INSERT OR IGNORE INTO resolution (finding, row) VALUES (?1, ?2)")?
                    .execute((finding.as_bytes(), row))?;
            } else {
                tx.prepare_cached("DELETE FROM resolution WHERE finding = ?1 AND row = ?2")?
                    .execute((finding.as_bytes(), row))?;
            }
        }
    }
    Ok(())
}

/// Where the table keeps an operation of a subject.
fn row_of(connection: &Connection, subject: i64, key: OpKey) -> Result<Option<RowKey>, StoreError> {
    let (first, last) = RowKey::range(subject);
    let mut statement = connection.prepare_cached("SELECT row FROM op WHERE row BETWEEN ?1 AND ?2 AND id = ?3")?;
    Ok(statement.query_row((first, last, key), |row| row.get(0)).optional()?)
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

/// The accepted resolution of a finding with the smallest row, if somebody resolved it.
///
/// # Errors
/// [`StoreError`] if the file cannot be read.
pub fn resolution_of(connection: &Connection, finding: &FindingId) -> Result<Option<OpRow>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {} FROM resolution JOIN op ON op.row = resolution.row
         WHERE finding = ?1 AND waiting = 0 ORDER BY hlc, prefix LIMIT 1",
        OpRow::COLUMNS
    ))?;
    Ok(statement.query_row([finding.as_bytes()], OpRow::of).optional()?)
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
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {} FROM import JOIN op ON op.row = import.row WHERE import = ?1 ORDER BY op.id",
        OpRow::COLUMNS
    ))?;
    let rows = statement.query_map([import.as_bytes()], OpRow::of)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

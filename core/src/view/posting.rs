//! Posting: makes the rows of marked subjects anew.

use super::patients::{self, Registers};
use super::search;
use crate::id::{FindingId, ImportId};
use crate::merge::{Logs, OpRow, Subject, SubjectKind, Times, operations_of};
use crate::record::{
    FactAt, Finding, FindingKind, Item, Operation, Standing, Statement, StockAt, fold, of_facts, on_hand, standings,
};
use crate::store::StoreError;
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

/// Makes the rows of at most `most` marked subjects anew; returns how many were marked.
///
/// # Errors
/// [`StoreError`] if it cannot be written; the caller undoes the transaction.
pub fn post(tx: &Connection, logs: &Logs, most: usize) -> Result<usize, StoreError> {
    Times::settle(tx)?;
    let subjects: Vec<i64> = {
        let mut statement = tx.prepare_cached("SELECT subject FROM dirty ORDER BY subject LIMIT ?1")?;
        let rows = statement.query_map([i64::try_from(most).unwrap_or(i64::MAX)], |row| row.get(0))?;
        rows.collect::<Result<_, _>>()?
    };
    let mut times: BTreeMap<i64, Times> = BTreeMap::new();
    for id in &subjects {
        if let Some(subject) = Subject::load(tx, *id)? {
            let of_compartment = if let Some(of_compartment) = times.get(&subject.compartment) {
                *of_compartment
            } else {
                let loaded = Times::load(tx, subject.compartment)?;
                times.insert(subject.compartment, loaded);
                loaded
            };
            post_subject(tx, logs, &of_compartment, &subject)?;
        }
    }
    if let Some(last) = subjects.last() {
        tx.prepare_cached("DELETE FROM dirty WHERE subject <= ?1")?.execute([last])?;
    }
    Ok(subjects.len())
}

fn post_subject(tx: &Connection, logs: &Logs, times: &Times, subject: &Subject) -> Result<(), StoreError> {
    let rows = operations_of(tx, subject.id)?;
    let late = rows.iter().map(|row| (row.device(logs), row.latest_ms()));
    times.keep_late(tx, subject.id, late)?;
    match subject.kind {
        SubjectKind::Patient => post_patient(tx, logs, times, subject, &rows),
        SubjectKind::Stock => post_stock(tx, logs, times, subject, &rows),
        SubjectKind::Compartment => {
            let facts: Vec<FactAt<'_>> = rows.iter().filter_map(|row| row.fact(logs, times)).collect();
            post_resolutions(tx, &rows, &facts, &standings(&facts))
        }
        SubjectKind::Newer => Ok(()),
    }
}

fn post_patient(
    tx: &Connection,
    logs: &Logs,
    times: &Times,
    subject: &Subject,
    rows: &[OpRow],
) -> Result<(), StoreError> {
    let edits: Vec<_> = rows.iter().filter_map(|row| row.edit(logs)).collect();
    let facts: Vec<FactAt<'_>> = rows.iter().filter_map(|row| row.fact(logs, times)).collect();
    let folded = fold(&edits, &logs.forks);
    let registers = Registers::of(&folded, &edits);
    let standings = standings(&facts);
    let exists = rows.iter().any(|row| !row.waiting);
    patients::post(tx, subject, exists.then_some((&registers, facts.as_slice(), standings.as_slice())))?;
    post_resolutions(tx, rows, &facts, &standings)?;
    let shared = search::post_identifiers(tx, subject, &registers)?;
    let mut findings = of_facts(&facts, &standings);
    findings.extend(registers.findings(subject));
    write_findings(tx, subject.id, &findings)?;
    search::post_same_person(tx, subject, &shared)
}

fn post_stock(
    tx: &Connection,
    logs: &Logs,
    times: &Times,
    subject: &Subject,
    rows: &[OpRow],
) -> Result<(), StoreError> {
    let stock: Vec<StockAt<'_>> = rows.iter().filter_map(|row| row.stock(logs, times)).collect();
    let facts: Vec<FactAt<'_>> = rows.iter().filter_map(|row| row.fact(logs, times)).collect();
    let standings = standings(&facts);
    let item = stock.iter().find_map(|s| Item::of_statement(&s.fact.fact.statement));
    tx.prepare_cached("DELETE FROM stock WHERE subject = ?1")?.execute([subject.id])?;
    let Some(item) = item else { return write_findings(tx, subject.id, &[]) };
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
    write_findings(tx, subject.id, &findings)
}

/// Keeps which findings are resolved: by accepted resolutions that nobody took back.
fn post_resolutions(
    tx: &Connection,
    rows: &[OpRow],
    facts: &[FactAt<'_>],
    standings: &[Standing],
) -> Result<(), StoreError> {
    let keys = rows.iter().filter(|row| matches!(row.operation(), Operation::Fact(_))).map(|row| row.key);
    for ((key, fact), standing) in keys.zip(facts).zip(standings) {
        let Statement::Resolution { findings } = &fact.fact.statement else { continue };
        let holds = *standing == Standing::Stands && !fact.waiting;
        let statement = if holds {
            "INSERT OR IGNORE INTO resolution (finding, op) VALUES (?1, ?2)"
        } else {
            "DELETE FROM resolution WHERE finding = ?1 AND op = ?2"
        };
        for finding in findings {
            tx.prepare_cached(statement)?.execute((finding.as_bytes(), key))?;
        }
    }
    Ok(())
}

/// Replaces the findings of a subject that its own operations raise.
fn write_findings(tx: &Connection, subject: i64, findings: &[Finding]) -> Result<(), StoreError> {
    let known: BTreeSet<[u8; 16]> = {
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
    let mut statement = connection.prepare_cached(
        "SELECT id, kind, subject, other, about, text FROM finding
         WHERE ?1 IS NULL OR subject = ?1 OR (other <> 0 AND other = ?1) ORDER BY kind, id",
    )?;
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
        "SELECT {} FROM op WHERE id IN (SELECT op FROM resolution WHERE finding = ?1) AND waiting = 0 ORDER BY hlc, prefix LIMIT 1",
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
        "SELECT {} FROM op WHERE id IN (SELECT op FROM import WHERE import = ?1) ORDER BY id",
        OpRow::COLUMNS
    ))?;
    let rows = statement.query_map([import.as_bytes()], OpRow::of)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

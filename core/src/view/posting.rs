//! Posting: makes the rows of marked subjects anew.

use super::making::{Holds, OnHand, Resolution, Shown};
use super::press::{Ahead, Job, Press, Pressed, Source, press};
use super::search::{self, Words};
use super::{missing, patients};
use crate::id::{FindingId, ImportId};
use crate::merge::{
    Arranged, Backlog, Filed, Logs, OpRow, Sheets, Subject, Times, each_unposted, operation_at, operations_of,
    set_filings_posted, unposted_filings,
};
use crate::record::{Finding, FindingKind};
use crate::store::{OpKey, RowKey, Store, StoreError};
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
CREATE TABLE missing (
  subject INTEGER NOT NULL, log BLOB NOT NULL, seq INTEGER NOT NULL, entry BLOB NOT NULL, edit INTEGER NOT NULL,
  PRIMARY KEY (subject, log, seq, entry, edit)) WITHOUT ROWID;
";

/// Names of these tables, in an order in which they can be dropped.
pub const TABLES: &[&str] = &["patient", "search", "identifier", "finding", "stock", "missing"];

/// Writes what waits in the backlog and makes the views of what it touches, then those of what was filed before
/// and of marked subjects: about `most` operations or subjects at a time. Returns 0 when nothing is left, else how many
/// subjects were posted, or 1 for a filing that was written and is to be posted next.
///
/// # Errors
/// [`StoreError`] if it cannot be written; the caller undoes the transaction and drops the backlog.
pub fn post(tx: &Connection, logs: &Logs, backlog: &mut Backlog, most: usize) -> Result<usize, StoreError> {
    let mut posting = Posting::new(tx, logs);
    let mut posted = posting.backlog(backlog, most)?;
    if posted == 0 {
        posted = posting.filings(backlog, most)?;
    }
    if posted == 0 {
        posted = posting.marked(backlog, most / 4 + 1)?;
    }
    posting.finish()?;
    Ok(posted)
}

/// Why a backlog was not posted to its end.
#[derive(Debug, thiserror::Error)]
pub enum Interrupted {
    /// Another process has written: what the backlog says of the file may not be so any more.
    #[error("another process has written")]
    Elsewhere,
    /// The file.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Files and posts a backlog that holds enough for a filing of its own, in transactions of its own: the views of new
/// subjects are made by a second thread, on a core of its own or while the disk is waited for. The file is the same as
/// after [`post`]. Leaves the backlog as it is where something that was filed before is to be posted with it.
///
/// # Errors
/// [`Interrupted`]; then the backlog is to be dropped. What it held is posted from the file: entries beyond the places
/// that are posted, and filings that are not.
pub fn post_beside(store: &mut Store, logs: &Logs, backlog: &mut Backlog, most: usize) -> Result<(), Interrupted> {
    let arranged = undisturbed(store, |tx| {
        if !backlog.is_much() || unposted_filings(tx)? > 0 {
            return Ok(None);
        }
        let arranged = backlog.arrange(tx)?;
        if !arranged.is_loose() {
            return Ok(Some((jobs(&mut Posting::new(tx, logs), &arranged)?, arranged)));
        }
        // Most of it was posted before; the rest is little, and filed and posted in one go.
        backlog.write_sheets(tx, &arranged)?;
        backlog.post_in_rounds(arranged);
        post(tx, logs, backlog, most)?;
        Ok(None)
    })?;
    let Some((jobs, arranged)) = arranged else { return Ok(()) };
    std::thread::scope(|scope| {
        let backlog = &*backlog;
        let mut ahead = Ahead::start(scope, logs, backlog, jobs);
        undisturbed(store, |tx| Ok(backlog.write_sheets(tx, &arranged)?))?;
        let mut left = arranged.subjects.into_iter().peekable();
        while left.peek().is_some() {
            undisturbed(store, |tx| {
                let mut posting = Posting::new(tx, logs);
                let (mut operations, mut last) = (0, 0);
                while operations < most
                    && let Some(filed) = left.next()
                {
                    operations += filed.here.len();
                    last = filed.subject.id;
                    let pressed = if filed.new { ahead.next()? } else { posting.press_filed(filed, backlog)? };
                    posting.write(pressed)?;
                }
                posting.finish()?;
                Ok(set_filings_posted(tx, left.peek().is_some().then_some(last))?)
            })?;
        }
        Ok::<(), Interrupted>(())
    })?;
    backlog.empty();
    Ok(())
}

/// The views to be made of new subjects, from memory.
fn jobs(posting: &mut Posting<'_>, arranged: &Arranged) -> Result<Vec<Job>, StoreError> {
    let new = arranged.subjects.iter().filter(|filed| filed.new);
    new.map(|Filed { subject, here, new }| {
        let (subject, source, times) =
            (subject.clone(), Source::Held(here.clone()), posting.times_of(subject.compartment)?);
        Ok(Job { subject, source, times, new: *new })
    })
    .collect()
}

/// Runs `work` in one transaction, unless another process has written since this one last did.
fn undisturbed<T>(
    store: &mut Store,
    work: impl FnOnce(&Connection) -> Result<T, Interrupted>,
) -> Result<T, Interrupted> {
    store.write_fresh(|tx, _, changed| if changed { Err(Interrupted::Elsewhere) } else { work(tx) })
}

/// About how many bytes an operation takes in its sheet.
const OPERATION_BYTES: usize = 320;

/// One round of posting, with what many subjects share.
struct Posting<'a> {
    tx: &'a Connection,
    logs: &'a Logs,
    times: BTreeMap<i64, Times>,
    words: Words,
    /// Findings of new subjects, written in the order in which the table keeps them.
    findings: Vec<(i64, Finding)>,
}

impl<'a> Posting<'a> {
    fn new(tx: &'a Connection, logs: &'a Logs) -> Self {
        Self { tx, logs, times: BTreeMap::new(), words: Words::default(), findings: Vec::new() }
    }

    /// Writes what many subjects share.
    fn finish(mut self) -> Result<(), StoreError> {
        self.words.write(self.tx)?;
        self.findings.sort_unstable_by_key(|(_, finding)| finding.id);
        self.findings.iter().try_for_each(|(subject, finding)| put_finding(self.tx, *subject, 0, finding))
    }

    /// Makes the views of a subject that had operations before those that were just filed.
    fn press_filed(&mut self, Filed { subject, new, .. }: Filed, backlog: &Backlog) -> Result<Pressed, StoreError> {
        let (source, times) = (self.sheets_of(subject.id)?, self.times_of(subject.compartment)?);
        press(Job { subject, source, times, new }, self.logs, backlog)
    }

    /// Files what waits in a backlog, and posts subjects of it: new ones from memory.
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
            // A filing of its own is a transaction of its own: pages of it that left the cache are not written again
            // by the views, which would have all that follows them in the journal read and summed once more.
            if !backlog.is_loose() {
                return Ok(1);
            }
        }
        let (mut round, mut operations) = (Vec::new(), 0);
        while (operations < most || backlog.is_loose())
            && let Some(filed) = backlog.next_filed()
        {
            operations += filed.here.len();
            round.push(filed);
        }
        let (count, last) = (round.len(), round.last().map_or(0, |filed| filed.subject.id));
        self.press(backlog, operations, |posting, put| {
            round.into_iter().try_for_each(|filed| {
                let source = if filed.new { Source::Held(filed.here) } else { posting.sheets_of(filed.subject.id)? };
                put(posting, filed.subject, source, filed.new)
            })
        })?;
        backlog.posted(self.tx, last)?;
        Ok(count)
    }

    /// Posts subjects of filings whose views were not made when they were filed.
    fn filings(&mut self, backlog: &Backlog, most: usize) -> Result<usize, StoreError> {
        if unposted_filings(self.tx)? == 0 {
            return Ok(0);
        }
        self.press(backlog, most, |posting, put| {
            each_unposted(posting.tx, most.saturating_mul(OPERATION_BYTES), |subject, sheets, new| match Subject::load(
                posting.tx, subject,
            )? {
                Some(subject) => put(posting, subject, Source::Sheets(sheets), new),
                None => Ok(()),
            })
        })
    }

    /// Posts marked subjects.
    fn marked(&mut self, backlog: &Backlog, most: usize) -> Result<usize, StoreError> {
        let marked: Vec<i64> = {
            let mut statement = self.tx.prepare_cached("SELECT subject FROM dirty ORDER BY subject LIMIT ?1")?;
            let rows = statement.query_map([i64::try_from(most).unwrap_or(i64::MAX)], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        self.press(backlog, marked.len(), |posting, put| {
            marked.iter().try_for_each(|id| match Subject::load(posting.tx, *id)? {
                Some(subject) => {
                    let sheets = posting.sheets_of(subject.id)?;
                    put(posting, subject, sheets, false)
                }
                None => Ok(()),
            })
        })?;
        if let Some(last) = marked.last() {
            self.tx.prepare_cached("DELETE FROM dirty WHERE subject <= ?1")?.execute([last])?;
        }
        Ok(marked.len())
    }

    /// Runs `work`, which puts subjects, and writes the views that are made of them.
    fn press<T>(
        &mut self,
        backlog: &Backlog,
        operations: usize,
        work: impl FnOnce(
            &mut Self,
            &mut dyn FnMut(&mut Self, Subject, Source, bool) -> Result<(), StoreError>,
        ) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let logs = self.logs;
        std::thread::scope(|scope| {
            let mut press = Press::start(scope, logs, backlog, operations);
            let worked = work(self, &mut |posting: &mut Self, subject, source, new| {
                let times = posting.times_of(subject.compartment)?;
                press.put(Job { subject, source, times, new }, &mut |pressed| posting.write(pressed))
            })?;
            press.finish(&mut |pressed| self.write(pressed))?;
            Ok(worked)
        })
    }

    fn sheets_of(&self, subject: i64) -> Result<Source, StoreError> {
        Sheets::of(self.tx, subject).map(Source::Sheets)
    }

    fn times_of(&mut self, compartment: i64) -> Result<Times, StoreError> {
        if let Some(times) = self.times.get(&compartment) {
            return Ok(*times);
        }
        let loaded = Times::load(self.tx, compartment)?;
        self.times.insert(compartment, loaded);
        Ok(loaded)
    }

    /// Replaces the rows of a subject; a new one has none yet.
    fn write(&mut self, Pressed { subject, made, new }: Pressed) -> Result<(), StoreError> {
        let (tx, id) = (self.tx, subject.id);
        Times::keep_late(tx, id, &made.late, new)?;
        write_resolutions(tx, id, &made.resolutions)?;
        match made.shown {
            Shown::Patient(line, identifiers) => {
                patients::write(tx, &mut self.words, id, line, new)?;
                missing::write(tx, id, &made.missing, new)?;
                let changed = search::write_identifiers(tx, id, identifiers, new)?;
                if new {
                    self.findings.extend(made.findings.into_iter().map(|finding| (id, finding)));
                } else {
                    write_findings(tx, id, &made.findings)?;
                }
                search::post_same_person(tx, &subject, &changed, new)
            }
            Shown::Stock(lines) => {
                write_stock(tx, id, &lines)?;
                write_findings(tx, id, &made.findings)
            }
            Shown::Nothing => Ok(()),
        }
    }
}

fn write_stock(tx: &Connection, subject: i64, lines: &[OnHand]) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM stock WHERE subject = ?1")?.execute([subject])?;
    for line in lines {
        tx.prepare_cached(
            "INSERT INTO stock (subject, place, product, code, lot, expiry, micros, unit, counted) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute((
            subject,
            &line.place,
            &line.product,
            &line.code,
            &line.lot,
            &line.expiry,
            line.micros,
            &line.unit,
            line.counted,
        ))?;
    }
    Ok(())
}

fn write_resolutions(tx: &Connection, subject: i64, resolutions: &[Resolution]) -> Result<(), StoreError> {
    if resolutions.is_empty() {
        return Ok(());
    }
    let rows: BTreeMap<OpKey, RowKey> =
        operations_of(tx, subject)?.into_iter().map(|operation| (operation.key, operation.row)).collect();
    for Resolution { finding, by, holds } in resolutions {
        match holds {
            Holds::Yes => tx
                .prepare_cached("INSERT OR IGNORE INTO resolution (finding, id, row) VALUES (?1, ?2, ?3)")?
                .execute((finding.as_bytes(), by, rows.get(by)))?,
            Holds::No => tx
                .prepare_cached("DELETE FROM resolution WHERE finding = ?1 AND id = ?2")?
                .execute((finding.as_bytes(), by))?,
        };
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
    let mut statement = connection.prepare_cached("SELECT row, id FROM resolution WHERE finding = ?1")?;
    let found = statement.query_map([finding.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut first: Option<OpRow> = None;
    for found in found {
        let (row, key) = found?;
        let resolution = operation_at(connection, row, key)?.filter(|operation| !operation.waiting);
        first = first.into_iter().chain(resolution).min_by_key(|operation| (operation.hlc, operation.prefix));
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

//! The digest of a compartment: what is held, and every column of every row that was made of it.

use crate::crypto::{Deriver, Label, derive};
use crate::id::CompartmentId;
use crate::limits::FORMAT;
use crate::merge::{Logs, Subject, every_sheet, latest_ms, operation_at};
use crate::record::Operation;
use crate::store::{EntryKey, OpKey, RowKey, Store, StoreError, Verdict};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use std::collections::{BTreeMap, BTreeSet};

/// The digest of one compartment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CompartmentDigest {
    /// The compartment.
    pub compartment: CompartmentId,
    /// Entries that are accepted or passed through.
    pub entries: u64,
    /// Hash of their ids: differs if two devices hold different things.
    pub held: [u8; 32],
    /// Hash of all rows: differs if they made different things of what they hold.
    pub posted: [u8; 32],
    /// Hash of format version and both.
    pub digest: [u8; 32],
}

/// Rows of each table with local numbers replaced by names that are the same everywhere; the first column is
/// the compartment. What is hashed of operations and of what finds them is the same in every version, however the
/// file keeps it.
const ROWS: &[(&str, &str)] = &[
    (
        "patient",
        "SELECT s.compartment, s.key, t.name, t.birth, t.sex, t.identifier, t.deceased, t.allergy, t.tokens
         FROM patient t JOIN subject s ON s.id = t.subject",
    ),
    ("search", "SELECT s.compartment, s.key, t.token FROM search t JOIN subject s ON s.id = t.subject"),
    ("identifier", "SELECT s.compartment, s.key, t.value, t.system FROM identifier t JOIN subject s ON s.id = t.subject"),
    (
        "finding",
        "SELECT s.compartment, min(s.key, coalesce(o.key, s.key)), max(s.key, coalesce(o.key, s.key)), t.other <> 0, t.id, t.kind, t.about, t.text, t.waiting
         FROM finding t JOIN subject s ON s.id = t.subject LEFT JOIN subject o ON o.id = t.other WHERE t.waiting = 0",
    ),
    (
        "stock",
        "SELECT s.compartment, s.key, t.place, t.product, t.code, t.lot, t.expiry, t.micros, t.unit, t.counted
         FROM stock t JOIN subject s ON s.id = t.subject",
    ),
];

/// Digests of all compartments but control, in rising order of compartment. Linear in what is held; 32 bytes
/// of memory an entry and row.
///
/// # Errors
/// [`StoreError`] if the file cannot be read.
pub fn digest(connection: &Connection) -> Result<Vec<CompartmentDigest>, StoreError> {
    let logs = Logs::load(connection)?;
    let mut rows = row_hashes(connection)?;
    let passed = operation_hashes(connection, &logs, &mut rows)?;
    finder_hashes(connection, &logs, "import", "import", &mut rows)?;
    finder_hashes(connection, &logs, "resolution", "finding", &mut rows)?;
    let mut held = held_ids(connection, &logs, &passed)?;
    let mut statement = connection.prepare_cached(
        "SELECT id, compartment FROM compartment WHERE compartment <> zeroblob(32) ORDER BY compartment",
    )?;
    let compartments = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, CompartmentId::new(row.get(1)?))))?;
    let mut digests = Vec::new();
    for found in compartments {
        let (number, compartment) = found?;
        let (mut ids, mut of_rows) =
            (held.remove(&number).unwrap_or_default(), rows.remove(&number).unwrap_or_default());
        let (held, posted) = (hash_sorted(&mut ids), hash_sorted(&mut of_rows));
        let digest = derive(Label::Digest, &[&FORMAT.to_le_bytes(), compartment.as_bytes(), &held, &posted]);
        digests.push(CompartmentDigest { compartment, entries: ids.len() as u64, held, posted, digest });
    }
    Ok(digests)
}

fn hash_sorted(hashes: &mut [[u8; 32]]) -> [u8; 32] {
    hashes.sort_unstable();
    let mut all = Deriver::new(Label::Digest);
    for hash in hashes.iter() {
        all.update(hash);
    }
    all.finish()
}

/// Ids of entries that are accepted or wait with edits that are passed through, by compartment.
fn held_ids(
    connection: &Connection,
    logs: &Logs,
    passed: &BTreeSet<EntryKey>,
) -> Result<BTreeMap<i64, Vec<[u8; 32]>>, StoreError> {
    let mut held: BTreeMap<i64, Vec<[u8; 32]>> = BTreeMap::new();
    let mut compartments: BTreeMap<i64, i64> = BTreeMap::new();
    let mut statement = connection.prepare_cached(
        "SELECT entry.id, entry.entry, verdict.verdict FROM entry LEFT JOIN verdict ON verdict.entry = entry.id
         WHERE verdict.verdict IS NULL OR verdict.verdict = ?1",
    )?;
    let mut rows = statement.query([Verdict::Waiting as u8])?;
    while let Some(row) = rows.next()? {
        let key: EntryKey = row.get(0)?;
        if row.get::<_, Option<u8>>(2)?.is_some() && !passed.contains(&key) {
            continue;
        }
        let log = key.log();
        let Some(name) = logs.get(log).map(|log| log.name) else { continue };
        let compartment = if let Some(compartment) = compartments.get(&log) {
            *compartment
        } else {
            let number = Store::compartment_row(connection, name.compartment)?;
            compartments.insert(log, number);
            number
        };
        held.entry(compartment).or_default().push(row.get(1)?);
    }
    Ok(held)
}

/// Hashes of rows by compartment.
type Hashes = BTreeMap<i64, Vec<[u8; 32]>>;

/// Adds the hashes of all operations; gives back the entries that wait with edits, which are passed through.
fn operation_hashes(
    connection: &Connection,
    logs: &Logs,
    hashes: &mut Hashes,
) -> Result<BTreeSet<EntryKey>, StoreError> {
    let mut passed = BTreeSet::new();
    every_sheet(connection, |row, sheet| {
        let Some(subject) = Subject::load(connection, row.subject())? else { return Ok(()) };
        for kept in sheet {
            let operation = kept.operation();
            if kept.waiting {
                let Operation::Edit(_) = operation else { continue };
                passed.insert(kept.key.entry());
            }
            let mut hash = Deriver::new(Label::Digest);
            hash.update(b"op");
            update(&mut hash, ValueRef::Integer(subject.kind as i64));
            update(&mut hash, ValueRef::Blob(&subject.key));
            update_place(&mut hash, logs, kept.key, &kept.prefix);
            update(&mut hash, ValueRef::Integer(i64::from(operation.kind_number())));
            update(&mut hash, ValueRef::Integer(i64::from(kept.waiting)));
            update(&mut hash, ValueRef::Integer(kept.hlc.bits().cast_signed()));
            update(&mut hash, ValueRef::Integer(latest_ms(kept.hlc, &operation)));
            update(&mut hash, ValueRef::Blob(kept.payload));
            hashes.entry(subject.compartment).or_default().push(hash.finish());
        }
        Ok(())
    })?;
    Ok(passed)
}

/// Adds the hashes of a table that finds operations: by an id, the operation's key, and the row where it is.
fn finder_hashes(
    connection: &Connection,
    logs: &Logs,
    table: &str,
    id: &str,
    hashes: &mut Hashes,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(&format!("SELECT {id}, id, row FROM {table}"))?;
    let mut rows = statement.query([])?;
    while let Some(found) = rows.next()? {
        let (key, row): (OpKey, RowKey) = (found.get(1)?, found.get(2)?);
        let Some(subject) = Subject::load(connection, row.subject())? else { continue };
        let Some(operation) = operation_at(connection, row, key)? else { continue };
        let mut hash = Deriver::new(Label::Digest);
        hash.update(table.as_bytes());
        update(&mut hash, found.get_ref(0)?);
        update_place(&mut hash, logs, key, &operation.prefix);
        hashes.entry(subject.compartment).or_default().push(hash.finish());
    }
    Ok(())
}

/// Adds where an operation stands: log, place, index, and the beginning of its entry's id.
fn update_place(hash: &mut Deriver, logs: &Logs, key: OpKey, prefix: &[u8; 16]) {
    let log = logs.get(key.entry().log()).map(|log| log.log).unwrap_or_default();
    update(hash, ValueRef::Blob(log.as_bytes()));
    update(hash, ValueRef::Integer(key.entry().seq().cast_signed()));
    update(hash, ValueRef::Integer(i64::from(key.index())));
    update(hash, ValueRef::Blob(prefix));
}

fn row_hashes(connection: &Connection) -> Result<BTreeMap<i64, Vec<[u8; 32]>>, StoreError> {
    let mut hashes: BTreeMap<i64, Vec<[u8; 32]>> = BTreeMap::new();
    for (table, query) in ROWS {
        let mut statement = connection.prepare_cached(query)?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let mut hash = Deriver::new(Label::Digest);
            hash.update(table.as_bytes());
            for column in 1..columns {
                update(&mut hash, row.get_ref(column)?);
            }
            hashes.entry(row.get(0)?).or_default().push(hash.finish());
        }
    }
    Ok(hashes)
}

/// Adds one column: its type, its length and its bytes.
fn update(hash: &mut Deriver, value: ValueRef<'_>) {
    let number;
    let (kind, bytes): (u8, &[u8]) = match value {
        ValueRef::Null => (0, &[]),
        ValueRef::Integer(integer) => {
            number = integer.to_le_bytes();
            (1, &number)
        }
        ValueRef::Real(real) => {
            number = real.to_le_bytes();
            (2, &number)
        }
        ValueRef::Text(text) => (3, text),
        ValueRef::Blob(blob) => (4, blob),
    };
    hash.update(&[kind]).update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
}

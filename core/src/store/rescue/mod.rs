//! What is reachable of a damaged book: rows of the durable tables, found page by page past the database.
//!
//! Every page proves by itself that it is as this book wrote it. So a lost page costs what stood on it and nothing
//! else: pages that only lead to others (page 1 and interior ones) hold no entries. Where a log has a gap, what stands
//! behind it is kept *beyond* the end of its branch: it is judged and shown like all else, and becomes part of the
//! chain when a peer brings what is lost (see `beyond`). Nothing of the damaged files is changed.

mod cells;
mod join;
mod pages;
mod tables;
mod wal;

pub use join::{Gap, Rescue};
pub(super) use wal::Marker;

use super::{Store, StoreError};
use crate::crypto::DatabaseKey;
use pages::{Page, Pages};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tables::{BranchRow, LogRow, Row};

/// What was found, apart from what is in the new book already.
#[derive(Default, Debug)]
pub struct Found {
    /// Pages that were looked at.
    pub pages: u32,
    /// Those that are damaged.
    pub damaged: Vec<u32>,
    /// Whether the write-ahead log lost what was confirmed.
    pub log_damaged: bool,
    /// Rows whose content goes on a damaged page.
    torn: u64,
    logs: Vec<LogRow>,
    branches: BTreeMap<(i64, i64), BranchRow>,
    /// What compartment a number may stand for.
    compartments: BTreeMap<i64, BTreeSet<[u8; 32]>>,
}

impl Store {
    /// Whether the write-ahead log beside a book lost what was confirmed: SQLite would pass over it without a word.
    ///
    /// # Errors
    /// [`StoreError::Disk`] if it cannot be read.
    pub fn log_is_damaged(path: &Path) -> Result<bool, StoreError> {
        Ok(wal::is_damaged(path, super::file::PAGE_BYTES)?)
    }

    /// Copies what is reachable of the damaged book at `path` into an empty one: local values, secrets, parcels,
    /// grounds, entries and signatures. [`Found::join`] makes logs of it.
    ///
    /// # Errors
    /// [`StoreError`] if the files cannot be read or the new book cannot be written.
    pub fn rescue(tx: &Connection, path: &Path, key: &DatabaseKey) -> Result<Found, StoreError> {
        tx.execute_batch("PRAGMA defer_foreign_keys = ON")?;
        let mut pages = Pages::open(path, key, super::file::PAGE_BYTES)?;
        let mut found = Found { log_damaged: pages.log_damaged, ..Found::default() };
        for number in pages.numbers() {
            found.pages += 1;
            let content = match pages.read(number)? {
                Page::Whole(content) => content,
                Page::Older(content) => {
                    found.damaged.push(number);
                    content
                }
                Page::Damaged => {
                    found.damaged.push(number);
                    continue;
                }
                Page::Empty => continue,
            };
            let cells = cells::cells(number, &content);
            let Some(table) = tables::table_of(&cells) else { continue };
            for cell in cells {
                let values = cell.values(|number| {
                    Ok::<_, StoreError>(match pages.read(number)? {
                        Page::Whole(content) | Page::Older(content) => Some(content),
                        Page::Damaged | Page::Empty => None,
                    })
                })?;
                match values.and_then(|values| tables::row(table, cell.number, values)) {
                    Some(row) => found.keep(tx, row)?,
                    None => found.torn += 1,
                }
            }
        }
        Ok(found)
    }
}

impl Found {
    /// Puts a row into the new book, or keeps it until all are known.
    fn keep(&mut self, tx: &Connection, row: Row) -> Result<(), StoreError> {
        match row {
            Row::Book { key, value } => {
                tx.prepare_cached("INSERT OR IGNORE INTO book (key, value) VALUES (?1, ?2)")?
                    .execute((key, value.as_slice()))?;
            }
            Row::Secret { key, compartment, history, secret } => {
                tx.prepare_cached(
                    "INSERT OR IGNORE INTO secret (key, compartment, history, secret) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute((key, compartment, history, secret.as_slice()))?;
            }
            Row::Parcel { number, key, recipient, ephemeral, sealed } => {
                tx.prepare_cached(
                    "INSERT OR IGNORE INTO parcel (id, key, recipient, ephemeral, sealed) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute((
                    number,
                    key.as_slice(),
                    recipient.as_slice(),
                    ephemeral.as_slice(),
                    sealed.as_slice(),
                ))?;
            }
            Row::Ground { number, granted, hint, key } => {
                tx.prepare_cached("INSERT OR IGNORE INTO ground (id, granted, hint, key) VALUES (?1, ?2, ?3, ?4)")?
                    .execute((number, granted, hint, key))?;
            }
            Row::Entry { number, id, ground, nonce, body, erased } => {
                tx.prepare_cached(
                    "INSERT OR IGNORE INTO entry (id, entry, ground, nonce, body, erased) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute((number, id, ground, nonce.as_slice(), body.as_slice(), erased))?;
            }
            Row::Head { entry, signature } => {
                tx.prepare_cached("INSERT OR IGNORE INTO head (entry, signature) VALUES (?1, ?2)")?
                    .execute((entry, signature.as_slice()))?;
            }
            Row::Compartment { number, id } => {
                self.compartments.entry(number).or_default().insert(id);
            }
            Row::Log(log) => self.logs.push(log),
            Row::Branch(branch) => {
                // Of an older and a newer version of a page the newer knows more of the log.
                let known = self.branches.entry((branch.log, branch.branch)).or_insert(branch);
                if known.tip_seq < branch.tip_seq {
                    *known = branch;
                }
            }
        }
        Ok(())
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        Self::Disk(error.kind().to_string())
    }
}

/// A file beside the database.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

//! What sync asks of the file: how far all logs go, which entries are here, and pieces of logs as runs.

use super::entries::BranchOf;
use super::keys::EntryKey;
use super::{Store, StoreError, Verdict};
use crate::crypto::{Nonce, Signature};
use crate::entry::{Ground, Sealed, SealedEntry};
use crate::id::{CompartmentId, EntryId, KeyId, Lane, LogId};
use crate::limits::{ENTRIES_PER_RUN_MAX, SEQ_MAX, SIGNED_EVERY};
use crate::log::{LogName, RunBuilder};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, Rows};

/// A log with its branches, without the keys of its author.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogTips {
    /// Its number in this book.
    pub number: i64,
    /// Its id.
    pub log: LogId,
    /// Its compartment.
    pub compartment: CompartmentId,
    /// Its lane.
    pub lane: Lane,
    /// Its branches in order of their numbers; at least one.
    pub branches: Vec<BranchOf>,
}

/// A piece of a log as a run that ends in a signed head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PieceRun {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its entries.
    pub entries: u32,
    /// Place of its last entry.
    pub last: u64,
}

const FRONTIER: &str =
    "SELECT log.id, log.log, compartment.compartment, lane, branch, parent, fork_seq, tip_seq, tip_id
  FROM branch JOIN log ON log.id = branch.log JOIN compartment ON compartment.id = log.compartment";

const PIECE: &str = "SELECT entry.id, entry.entry, granted, hint, key, nonce, body, erased, signature
  FROM entry JOIN ground ON ground.id = entry.ground LEFT JOIN head ON head.entry = entry.id
  WHERE entry.id BETWEEN ?1 AND ?2 AND entry.id & 7 = ?3 ORDER BY entry.id";

impl Store {
    /// All logs with their branches, in order of their numbers.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn frontier(connection: &Connection) -> Result<Vec<LogTips>, StoreError> {
        let mut statement = connection.prepare_cached(&format!("{FRONTIER} ORDER BY branch.log, branch"))?;
        tips(statement.query([])?)
    }

    /// The logs that are forked, with their branches.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn forked(connection: &Connection) -> Result<Vec<LogTips>, StoreError> {
        let query = format!(
            "{FRONTIER} WHERE branch.log IN (SELECT log FROM branch WHERE branch > 0) ORDER BY branch.log, branch"
        );
        tips(connection.prepare_cached(&query)?.query([])?)
    }

    /// One log with its branches, if it is here.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn tips_of(connection: &Connection, log: &LogId) -> Result<Option<LogTips>, StoreError> {
        let mut statement = connection.prepare_cached(&format!("{FRONTIER} WHERE log.log = ?1 ORDER BY branch"))?;
        Ok(tips(statement.query([log.as_bytes()])?)?.pop())
    }

    /// The branch row that holds the entry whose id begins with `id` at a place of a log.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn branch_of(connection: &Connection, log: i64, seq: u64, id: &[u8]) -> Result<Option<u8>, StoreError> {
        let mut statement = connection.prepare_cached("SELECT id, entry FROM entry WHERE id BETWEEN ?1 AND ?2")?;
        let mut rows = statement.query((EntryKey::new(log, seq, 0), EntryKey::new(log, seq, 7)))?;
        while let Some(row) = rows.next()? {
            if row.get::<_, [u8; 32]>(1)?.starts_with(id) {
                return Ok(Some(row.get::<_, EntryKey>(0)?.branch()));
            }
        }
        Ok(None)
    }

    /// The id of the entry at a place of a branch row.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn entry_id(connection: &Connection, key: EntryKey) -> Result<Option<EntryId>, StoreError> {
        let mut statement = connection.prepare_cached("SELECT entry FROM entry WHERE id = ?1")?;
        Ok(statement.query_row([key], |row| row.get(0)).optional()?.map(EntryId::new))
    }

    /// Runs of one branch row from place `from` on, until a signed head at or past `to`, or until `bytes` are
    /// read; at least one. `backlink` is the id of the entry before. Each run ends at the first kept signature
    /// that fills a frame of `frame` bytes, and at every multiple of 64, so that no beginning of a run needs a
    /// signature that comes behind it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if no signature follows.
    pub fn piece(
        connection: &Connection,
        (number, name): (i64, &LogName),
        branch: u8,
        (from, to): (u64, u64),
        backlink: EntryId,
        (frame, bytes): (usize, usize),
    ) -> Result<Vec<PieceRun>, StoreError> {
        let mut statement = connection.prepare_cached(PIECE)?;
        // A signature stands at every multiple of 64 and at the tip.
        let end = to.next_multiple_of(SIGNED_EVERY).min(SEQ_MAX);
        let range = (EntryKey::new(number, from, 0), EntryKey::new(number, end, 7), branch);
        let mut rows = statement.query(range)?;
        let mut runs: Vec<PieceRun> = Vec::new();
        let mut run: Option<RunBuilder> = None;
        let (mut backlink, mut read) = (backlink, 0);
        while let Some(row) = rows.next()? {
            let key: EntryKey = row.get(0)?;
            let builder = run.get_or_insert_with(|| RunBuilder::new(name, key.seq(), backlink));
            let signature = row.get::<_, Option<[u8; 64]>>(8)?.map(Signature);
            builder.push(&entry_of(row)?, signature);
            backlink = EntryId::new(row.get(1)?);
            let last = key.seq() >= to;
            let full = builder.bytes() >= frame / 2 || builder.len() >= 32 || key.seq().is_multiple_of(SIGNED_EVERY);
            if signature.is_some()
                && (last || full)
                && let Some(done) = run.take()
            {
                let entries = u32::try_from(done.len()).unwrap_or(u32::MAX);
                let done = done.finish();
                read += done.len();
                runs.push(PieceRun { bytes: done, entries, last: key.seq() });
                if last || read >= bytes {
                    break;
                }
            } else if builder_is_full(run.as_ref()) {
                break;
            }
        }
        match run {
            Some(_) if runs.is_empty() => Err(StoreError::Damaged("a signed head is missing".into())),
            _ => Ok(runs),
        }
    }

    /// Places whose bodies are missing though the entries are not erased here, at most `most`.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn without_bodies(connection: &Connection, most: usize) -> Result<Vec<(EntryKey, EntryId)>, StoreError> {
        let mut statement = connection.prepare_cached(
            "SELECT entry.id, entry.entry FROM verdict JOIN entry ON entry.id = verdict.entry
             WHERE verdict = ?1 AND erased > 0 ORDER BY entry.id LIMIT ?2",
        )?;
        let rows = statement.query_map((Verdict::Erased as u8, i64::try_from(most).unwrap_or(i64::MAX)), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        rows.map(|row| row.map(|(key, id)| (key, EntryId::new(id))).map_err(StoreError::from)).collect()
    }
}

/// The logs of rows of [`FRONTIER`].
fn tips(mut rows: Rows<'_>) -> Result<Vec<LogTips>, StoreError> {
    let mut logs: Vec<LogTips> = Vec::new();
    while let Some(row) = rows.next()? {
        let number = row.get(0)?;
        let branch = BranchOf {
            branch: row.get(4)?,
            parent: row.get(5)?,
            fork_seq: row.get::<_, i64>(6)?.cast_unsigned(),
            tip_seq: row.get::<_, i64>(7)?.cast_unsigned(),
            tip_id: EntryId::new(row.get(8)?),
        };
        match logs.last_mut().filter(|log| log.number == number) {
            Some(log) => log.branches.push(branch),
            None => logs.push(LogTips {
                number,
                log: LogId::new(row.get(1)?),
                compartment: CompartmentId::new(row.get(2)?),
                lane: Lane::from_number(row.get(3)?).ok_or(StoreError::Damaged("a lane".into()))?,
                branches: vec![branch],
            }),
        }
    }
    Ok(logs)
}

fn builder_is_full(run: Option<&RunBuilder>) -> bool {
    run.is_some_and(|run| run.len() >= ENTRIES_PER_RUN_MAX)
}

/// The entry of a row of [`PIECE`], its body where the row lies.
fn entry_of<'r>(row: &'r Row<'_>) -> Result<SealedEntry<'r>, StoreError> {
    let ground =
        Ground { grant: EntryId::new(row.get(2)?), hint: EntryId::new(row.get(3)?), key: KeyId::new(row.get(4)?) };
    let ValueRef::Blob(body) = row.get_ref(6)? else { return Err(StoreError::Damaged("a body".into())) };
    let sealed = match (row.get::<_, u32>(7)?, body.first_chunk::<32>()) {
        (bytes, Some(hash)) if bytes > 0 => Sealed::Erased { bytes, hash: *hash },
        _ => Sealed::Body(body),
    };
    Ok(SealedEntry { ground, nonce: Nonce(row.get(5)?), sealed })
}

//! Entries in the file: taking in verified runs, branches of forked logs, and finding entries again.

use super::keys::{EntryKey, LOG_NUMBER_MAX};
use super::{Store, StoreError};
use crate::crypto::{DevicePublic, Nonce, Signature};
use crate::entry::{Ground, Sealed, SealedEntry};
use crate::id::{CompartmentId, EntryId, Incarnation, KeyId, Lane, LogId};
use crate::limits::{BRANCHES_PER_LOG_MAX, INCARNATIONS_PER_DEVICE_MAX, SEQ_MAX, SIGNED_EVERY};
use crate::log::{LogName, VerifiedEntry, VerifiedRun};
use crate::mutant::{self, Mutant};
use crate::record::EntryRef;
use rusqlite::{Connection, OptionalExtension, Row, Statement};

/// What became of a run.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Appended {
    /// Entries that were not here before.
    pub new: usize,
    /// Entries that were here already.
    pub known: usize,
    /// Whether the log has a branch more than before: its author forked it.
    pub forked: bool,
    /// Number of the log.
    pub log: i64,
    /// The branch on which the run ends; its new entries are the last ones of the run.
    pub branch: u8,
    /// Entries that were here without their bodies, which the run brought.
    pub filled: Vec<EntryKey>,
    /// Entries that stood beyond the end of the branch and are part of it now; those that the run named count as new.
    pub joined: Vec<EntryKey>,
}

/// Why a verified run was not taken in; nothing of it was stored and it may come again.
#[derive(Debug, thiserror::Error)]
pub enum Declined {
    /// E-003: nothing here has the id that the first entry links back to.
    #[error("E-003 run does not join what is here: backlink of another log, or entries between are missing")]
    DoesNotJoin,
    /// E-010: a ninth branch.
    #[error("E-010 log has eight branches already")]
    Flood,
    /// E-014: a 65th incarnation.
    #[error("E-014 device has 64 incarnations already")]
    Incarnations,
    /// The book has as many logs as it can number.
    #[error("more logs than one book can hold")]
    TooManyLogs,
    /// The file.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for Declined {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A log as the file numbers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogRow {
    /// Its number in this book.
    pub number: i64,
    /// Its id.
    pub log: LogId,
    /// Its name.
    pub name: LogName,
}

/// One branch of a log: entries after `fork_seq` of branch `parent`, up to `tip_seq`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BranchOf {
    /// Its number, 0 to 7, in order of arrival here.
    pub branch: u8,
    /// The branch that it left; its own number if it begins at place 1.
    pub parent: u8,
    /// The last place that it shares with its parent; 0 if none.
    pub fork_seq: u64,
    /// Its newest place.
    pub tip_seq: u64,
    /// The newest entry.
    pub tip_id: EntryId,
}

/// An entry as it lies in the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredEntry {
    /// Where it lies.
    pub key: EntryKey,
    /// Its id.
    pub id: EntryId,
    /// What it stands on.
    pub ground: Ground,
    /// Its nonce.
    pub nonce: Nonce,
    body: Vec<u8>,
    erased: u32,
}

/// Log, branch, and first and last place of what is stored and not posted.
pub type Unposted = (i64, u8, (u64, u64));

impl StoredEntry {
    /// The body, or what is left of it.
    #[must_use]
    pub fn sealed(&self) -> Sealed<'_> {
        match (self.erased, self.body.first_chunk::<32>()) {
            (bytes, Some(hash)) if bytes > 0 => Sealed::Erased { bytes, hash: *hash },
            _ => Sealed::Body(&self.body),
        }
    }

    /// The entry without its place.
    #[must_use]
    pub fn entry(&self) -> SealedEntry<'_> {
        SealedEntry { ground: self.ground, nonce: self.nonce, sealed: self.sealed() }
    }
}

const ENTRY: &str = "SELECT entry.id, entry.entry, granted, hint, key, nonce, body, erased FROM entry JOIN ground ON ground.id = entry.ground";

fn entry_of(row: &Row<'_>) -> rusqlite::Result<StoredEntry> {
    Ok(StoredEntry {
        key: row.get(0)?,
        id: EntryId::new(row.get(1)?),
        ground: Ground {
            grant: EntryId::new(row.get(2)?),
            hint: EntryId::new(row.get(3)?),
            key: KeyId::new(row.get(4)?),
        },
        nonce: Nonce(row.get(5)?),
        body: row.get(6)?,
        erased: row.get(7)?,
    })
}

impl Store {
    /// Takes in a verified run: what is here already is passed over, a contradiction makes a branch.
    ///
    /// # Errors
    /// [`Declined`]; nothing of the run was stored if the caller undoes the transaction.
    pub fn append(tx: &Connection, run: &VerifiedRun<'_>) -> Result<Appended, Declined> {
        let Some(first) = run.entries().first() else { return Ok(Appended::default()) };
        if run.entries().last().is_some_and(|last| last.seq() > SEQ_MAX) {
            return Err(Declined::TooManyLogs);
        }
        let log = match Self::log_number(tx, &run.log())? {
            Some(number) => number,
            None if first.seq() > 1 => return Err(Declined::DoesNotJoin),
            None if Self::has_all_incarnations(tx, run.name())? => return Err(Declined::Incarnations),
            None => Self::add_log(tx, run.name(), run.log())?,
        };
        let mut place = Place::join(tx, log, first)?;
        let beyond = Self::beyond_logs(tx)?.contains(&log);
        if beyond {
            place.begin_before_what_is_beyond(tx, first.seq() - 1)?;
        }
        let mut appended = Appended::default();
        let mut ground = None;
        let mut signatures = run.heads().iter().peekable();
        let mut insert = tx.prepare_cached(INSERT_ENTRY)?;
        for (index, entry) in run.entries().iter().enumerate() {
            let signature = signatures.next_if(|(at, _)| *at == index).map(|(_, signature)| signature);
            if !place.at_tip
                && let Some(key) = place.known(tx, entry)?
            {
                if let Some(body) = entry.body() {
                    let filled = tx
                        .prepare_cached("UPDATE entry SET body = ?2, erased = 0 WHERE id = ?1 AND erased > 0")?
                        .execute((key, body))?;
                    if filled > 0 {
                        appended.filled.push(key);
                    }
                }
                appended.known += 1;
                continue;
            }
            if !place.at_tip {
                place.fork(tx, entry.seq() - 1)?;
                appended.forked |= place.branch > 0;
            }
            let key = EntryKey::new(log, entry.seq(), place.branch);
            if beyond && place.stands_beyond(tx, entry)? {
                appended.joined.push(key);
            } else {
                let ground = Self::ground_row(tx, &mut ground, entry.entry().ground)?;
                insert_entry(&mut insert, key, entry, ground)?;
            }
            if let Some(signature) = signature {
                Self::put_head(tx, key, signature)?;
            }
            appended.new += 1;
        }
        (appended.log, appended.branch) = (log, place.branch);
        if appended.new > 0 {
            place.finish(tx, run)?;
            if beyond {
                Self::move_on(tx, run.name(), &mut appended)?;
            }
        }
        Ok(appended)
    }

    /// Drops a branch on which no other begins, with its entries: of a flooded log, to make room for one that was
    /// endorsed. What was made of its entries must be taken out before.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn drop_branch(tx: &Connection, log: i64, branch: &BranchOf) -> Result<(), StoreError> {
        let range = (EntryKey::new(log, branch.fork_seq + 1, 0), EntryKey::new(log, branch.tip_seq, 7), branch.branch);
        for table in ["head", "verdict"] {
            let query = format!("DELETE FROM {table} WHERE entry BETWEEN ?1 AND ?2 AND entry & 7 = ?3");
            tx.execute(&query, range)?;
        }
        tx.execute("DELETE FROM entry WHERE id BETWEEN ?1 AND ?2 AND id & 7 = ?3", range)?;
        tx.execute("DELETE FROM branch WHERE log = ?1 AND branch = ?2", (log, branch.branch))?;
        Ok(())
    }

    /// Keeps a signature over an entry.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn put_head(tx: &Connection, key: EntryKey, signature: &Signature) -> Result<(), StoreError> {
        tx.prepare_cached("INSERT OR IGNORE INTO head (entry, signature) VALUES (?1, ?2)")?
            .execute((key, signature.0))?;
        Ok(())
    }

    /// The signature over an entry, if it is kept.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn head(connection: &Connection, key: EntryKey) -> Result<Option<Signature>, StoreError> {
        let mut statement = connection.prepare_cached("SELECT signature FROM head WHERE entry = ?1")?;
        Ok(statement.query_row([key], |row| row.get(0)).optional()?.map(Signature))
    }

    /// The signatures that are kept over entries of one branch row, `from` to `to` inclusive, in rising order of
    /// place: one walk instead of a search for each.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn heads(
        connection: &Connection,
        (log, branch): (i64, u8),
        (from, to): (u64, u64),
    ) -> Result<Vec<(u64, Signature)>, StoreError> {
        let mut statement = connection.prepare_cached(
            "SELECT entry, signature FROM head WHERE entry BETWEEN ?1 AND ?2 AND entry & 7 = ?3 ORDER BY entry",
        )?;
        let range = (EntryKey::new(log, from, branch), EntryKey::new(log, to, branch), branch);
        let rows = statement.query_map(range, |row| Ok((row.get::<_, EntryKey>(0)?.seq(), Signature(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn ground_row(tx: &Connection, last: &mut Option<(Ground, i64)>, ground: Ground) -> Result<i64, StoreError> {
        if let Some((_, row)) = last.filter(|(g, _)| *g == ground) {
            return Ok(row);
        }
        let values = (ground.grant.as_bytes(), ground.hint.as_bytes(), ground.key.as_bytes());
        let found = tx
            .prepare_cached("SELECT id FROM ground WHERE granted = ?1 AND hint = ?2 AND key = ?3")?
            .query_row(values, |row| row.get(0))
            .optional()?;
        let row = match found {
            Some(row) => row,
            None => tx.prepare_cached("INSERT INTO ground (granted, hint, key) VALUES (?1, ?2, ?3)")?.insert(values)?,
        };
        *last = Some((ground, row));
        Ok(row)
    }

    /// Whether a device has as many incarnations as it may, and a log is of another one.
    fn has_all_incarnations(tx: &Connection, name: &LogName) -> Result<bool, StoreError> {
        let mut statement = tx.prepare_cached(
            "SELECT count(DISTINCT incarnation), coalesce(max(incarnation = ?2), 0) FROM log WHERE device = ?1",
        )?;
        let of_device = (name.device.as_bytes(), name.incarnation.as_bytes());
        let (count, known): (i64, bool) = statement.query_row(of_device, |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(usize::try_from(count).is_ok_and(|count| count >= INCARNATIONS_PER_DEVICE_MAX) && !known)
    }

    fn add_log(tx: &Connection, name: &LogName, log: LogId) -> Result<i64, Declined> {
        let compartment = Self::compartment_row(tx, name.compartment)?;
        let number = tx
            .prepare_cached(
                "INSERT INTO log (log, author, device, incarnation, compartment, lane) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .insert((
                log.as_bytes(),
                name.author.to_bytes(),
                name.device.as_bytes(),
                name.incarnation.as_bytes(),
                compartment,
                name.lane.number(),
            ))?;
        if number > LOG_NUMBER_MAX {
            return Err(Declined::TooManyLogs);
        }
        Self::keep_name(tx, number, name)?;
        Ok(number)
    }

    /// The number of a compartment in this book; gives it one if it has none.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn compartment_row(tx: &Connection, compartment: CompartmentId) -> Result<i64, StoreError> {
        let found = tx
            .prepare_cached("SELECT id FROM compartment WHERE compartment = ?1")?
            .query_row([compartment.as_bytes()], |row| row.get(0))
            .optional()?;
        match found {
            Some(row) => Ok(row),
            None => Ok(tx
                .prepare_cached("INSERT INTO compartment (compartment) VALUES (?1)")?
                .insert([compartment.as_bytes()])?),
        }
    }

    /// The number of a log in this book, if it is here.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn log_number(connection: &Connection, log: &LogId) -> Result<Option<i64>, StoreError> {
        let mut statement = connection.prepare_cached("SELECT id FROM log WHERE log = ?1")?;
        Ok(statement.query_row([log.as_bytes()], |row| row.get(0)).optional()?)
    }

    /// A log by its id.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn log_row(connection: &Connection, log: &LogId) -> Result<Option<LogRow>, StoreError> {
        let mut statement = connection.prepare_cached(&format!("{LOG} WHERE log.log = ?1"))?;
        Ok(statement.query_row([log.as_bytes()], log_of).optional()?)
    }

    /// A log by its number.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn log_of_number(connection: &Connection, number: i64) -> Result<Option<LogRow>, StoreError> {
        let mut statement = connection.prepare_cached(&format!("{LOG} WHERE log.id = ?1"))?;
        Ok(statement.query_row([number], log_of).optional()?)
    }

    /// All logs: control first, then by lane, then by id.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn logs(connection: &Connection) -> Result<Vec<LogRow>, StoreError> {
        let mut statement = connection
            .prepare_cached(&format!("{LOG} ORDER BY compartment.compartment <> zeroblob(32), lane, log.log"))?;
        let rows = statement.query_map([], log_of)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The branches of a log, in order of their numbers.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn branches(connection: &Connection, log: i64) -> Result<Vec<BranchOf>, StoreError> {
        let mut statement = connection.prepare_cached(
            "SELECT branch, parent, fork_seq, tip_seq, tip_id FROM branch WHERE log = ?1 ORDER BY branch",
        )?;
        let rows = statement.query_map([log], |row| {
            Ok(BranchOf {
                branch: row.get(0)?,
                parent: row.get(1)?,
                fork_seq: row.get::<_, i64>(2)?.cast_unsigned(),
                tip_seq: row.get::<_, i64>(3)?.cast_unsigned(),
                tip_id: EntryId::new(row.get(4)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// An entry by where it lies.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn entry(connection: &Connection, key: EntryKey) -> Result<Option<StoredEntry>, StoreError> {
        let mut statement = connection.prepare_cached(&format!("{ENTRY} WHERE entry.id = ?1"))?;
        Ok(statement.query_row([key], entry_of).optional()?)
    }

    /// Calls `each` for the entries of one branch row range, `from` to `to` inclusive, in rising order;
    /// stops when it returns `false`.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read, or what `each` says.
    pub fn entries<E: From<StoreError>>(
        connection: &Connection,
        (log, branch): (i64, u8),
        (from, to): (u64, u64),
        mut each: impl FnMut(StoredEntry) -> Result<bool, E>,
    ) -> Result<(), E> {
        let statement = connection.prepare_cached(&format!(
            "{ENTRY} WHERE entry.id BETWEEN ?1 AND ?2 AND entry.id & 7 = ?3 ORDER BY entry.id"
        ));
        let mut statement = statement.map_err(StoreError::from)?;
        let range = (EntryKey::new(log, from, 0), EntryKey::new(log, to, 7), branch);
        let mut rows = statement.query(range).map_err(StoreError::from)?;
        while let Some(row) = rows.next().map_err(StoreError::from)? {
            if !each(entry_of(row).map_err(StoreError::from)?)? {
                break;
            }
        }
        Ok(())
    }

    /// The entry that a reference names, if it is here.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn resolve(connection: &Connection, reference: &EntryRef) -> Result<Option<EntryKey>, StoreError> {
        if reference.seq > SEQ_MAX {
            return Ok(None);
        }
        let Some(log) = Self::log_number(connection, &reference.log)? else { return Ok(None) };
        let mut statement = connection.prepare_cached("SELECT id, entry FROM entry WHERE id BETWEEN ?1 AND ?2")?;
        let mut rows = statement.query((EntryKey::new(log, reference.seq, 0), EntryKey::new(log, reference.seq, 7)))?;
        while let Some(row) = rows.next()? {
            if row.get::<_, [u8; 32]>(1)?.starts_with(&reference.prefix) {
                return Ok(Some(row.get(0)?));
            }
        }
        Ok(None)
    }

    /// How an entry that lies here is named elsewhere.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read or nothing lies there.
    pub fn reference(connection: &Connection, key: EntryKey) -> Result<EntryRef, StoreError> {
        let mut statement = connection
            .prepare_cached("SELECT log.log, entry.entry FROM log, entry WHERE log.id = ?1 AND entry.id = ?2")?;
        let (log, id) = statement.query_row((key.log(), key), |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(EntryRef::new(LogId::new(log), key.seq(), &EntryId::new(id)))
    }

    /// Says that a branch was posted from one place to another, inclusive; without effect if places before are
    /// not posted yet.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn set_posted(tx: &Connection, (log, branch): (i64, u8), from: u64, to: u64) -> Result<(), StoreError> {
        tx.prepare_cached(
            "UPDATE branch SET posted_seq = ?4 WHERE log = ?1 AND branch = ?2 AND posted_seq >= ?3 - 1 AND posted_seq < ?4",
        )?
        .execute((log, branch, from.cast_signed(), to.cast_signed()))?;
        Ok(())
    }

    /// The last place of a branch that was posted, with all before it, and its newest place; 0 if it is not here.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn posted(connection: &Connection, (log, branch): (i64, u8)) -> Result<(u64, u64), StoreError> {
        let mut statement =
            connection.prepare_cached("SELECT posted_seq, tip_seq FROM branch WHERE log = ?1 AND branch = ?2")?;
        let places = statement.query_row((log, branch), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
        let (posted, tip) = places.optional()?.unwrap_or_default();
        Ok((posted.cast_unsigned(), tip.cast_unsigned()))
    }

    /// Says that nothing was posted.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn post_all_again(tx: &Connection) -> Result<(), StoreError> {
        tx.execute("UPDATE branch SET posted_seq = fork_seq", [])?;
        Ok(())
    }

    /// Log, branch and places, inclusive, of what is stored and not posted, control aside.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn unposted(connection: &Connection) -> Result<Vec<Unposted>, StoreError> {
        let mut statement = connection.prepare_cached(
            "SELECT branch.log, branch, posted_seq + 1, tip_seq FROM branch JOIN log ON log.id = branch.log
             JOIN compartment ON compartment.id = log.compartment
             WHERE posted_seq < tip_seq AND compartment.compartment <> zeroblob(32) ORDER BY branch.log, branch",
        )?;
        let rows = statement.query_map([], |row| {
            let places = (row.get::<_, i64>(2)?.cast_unsigned(), row.get::<_, i64>(3)?.cast_unsigned());
            Ok((row.get(0)?, row.get(1)?, places))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

const LOG: &str = "SELECT log.id, log.log, author, incarnation, compartment.compartment, lane
  FROM log JOIN compartment ON compartment.id = log.compartment";

fn log_of(row: &Row<'_>) -> rusqlite::Result<LogRow> {
    let damaged =
        |column| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, "not a log".into());
    let author = DevicePublic::parse(&row.get::<_, [u8; 96]>(2)?).map_err(|_| damaged(2))?;
    let lane = Lane::from_number(row.get(5)?).ok_or_else(|| damaged(5))?;
    let name = LogName::new(author, Incarnation::new(row.get(3)?), CompartmentId::new(row.get(4)?), lane);
    Ok(LogRow { number: row.get(0)?, log: LogId::new(row.get(1)?), name })
}

const INSERT_ENTRY: &str = "INSERT INTO entry (id, entry, ground, nonce, body, erased) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

fn insert_entry(
    insert: &mut Statement<'_>,
    key: EntryKey,
    entry: &VerifiedEntry<'_>,
    ground: i64,
) -> Result<(), StoreError> {
    let hash;
    let (body, erased): (&[u8], u32) = match entry.entry().sealed {
        Sealed::Body(body) => (body, 0),
        Sealed::Erased { bytes, hash: of_body } => {
            hash = of_body;
            (&hash, bytes)
        }
    };
    insert.execute((key, entry.id().as_bytes(), ground, entry.entry().nonce.0, body, erased))?;
    Ok(())
}

/// Where the next entry of a run belongs: on which branch, and whether at its tip.
struct Place {
    log: i64,
    branch: u8,
    at_tip: bool,
    branches: Vec<BranchOf>,
}

impl Place {
    /// Finds the entry that the first of a run links back to.
    fn join(tx: &Connection, log: i64, first: &VerifiedEntry<'_>) -> Result<Self, Declined> {
        let branches = Store::branches(tx, log)?;
        let before = first.seq() - 1;
        let branch = if before == 0 {
            0
        } else if let Some(tip) = branches.iter().find(|b| b.tip_seq == before && b.tip_id == *first.backlink()) {
            tip.branch
        } else {
            let mut found = entry_at(tx, log, before, first.backlink())?;
            if mutant::is(Mutant::SkipsTheBacklink) && branches.first().is_some_and(|b| b.tip_seq >= before) {
                found = found.or(Some(EntryKey::new(log, before, 0)));
            }
            found.ok_or(Declined::DoesNotJoin)?.branch()
        };
        let tip_seq = branches.iter().find(|b| b.branch == branch).map(|b| b.tip_seq);
        let at_tip = tip_seq == Some(before);
        Ok(Self { log, branch, at_tip, branches })
    }

    /// Where damage left entries beyond the end: a run begins at that end or before it, and not behind a gap.
    fn begin_before_what_is_beyond(&mut self, tx: &Connection, before: u64) -> Result<(), Declined> {
        if before > self.branches.iter().find(|b| b.branch == self.branch).map_or(0, |b| b.tip_seq) {
            return Err(Declined::DoesNotJoin);
        }
        if self.branches.is_empty() { self.fork(tx, 0) } else { Ok(()) }
    }

    /// Whether the next entry stands beyond the end of the branch already. Another one there is of a fork that cannot
    /// be told until the gap is closed.
    fn stands_beyond(&self, tx: &Connection, entry: &VerifiedEntry<'_>) -> Result<bool, Declined> {
        match Store::entry_id(tx, EntryKey::new(self.log, entry.seq(), self.branch))? {
            Some(id) if id == *entry.id() => Ok(true),
            Some(_) => Err(Declined::DoesNotJoin),
            None => Ok(false),
        }
    }

    /// Whether the entry is here; moves to its branch if so.
    fn known(&mut self, tx: &Connection, entry: &VerifiedEntry<'_>) -> Result<Option<EntryKey>, StoreError> {
        let Some(key) = entry_at(tx, self.log, entry.seq(), entry.id())? else { return Ok(None) };
        self.branch = key.branch();
        self.at_tip = self.branches.iter().any(|b| b.branch == self.branch && b.tip_seq == entry.seq());
        Ok(Some(key))
    }

    /// Begins a branch after `fork_seq` of the branch where the run stands.
    fn fork(&mut self, tx: &Connection, fork_seq: u64) -> Result<(), Declined> {
        let free = (0..8_u8).find(|number| self.branches.iter().all(|branch| branch.branch != *number));
        let branch = free.filter(|_| self.branches.len() < BRANCHES_PER_LOG_MAX).ok_or(Declined::Flood)?;
        let parent = if fork_seq == 0 { branch } else { self.branch };
        tx.prepare_cached(
            "INSERT INTO branch (log, branch, parent, fork_seq, tip_seq, tip_id, posted_seq) VALUES (?1, ?2, ?3, ?4, ?4, zeroblob(32), ?4)",
        )?
        .execute((self.log, branch, parent, fork_seq.cast_signed()))?;
        (self.branch, self.at_tip) = (branch, true);
        Ok(())
    }

    /// Moves the tip to the run's last entry; of signatures between multiples of 64 only the newest stays.
    fn finish(&self, tx: &Connection, run: &VerifiedRun<'_>) -> Result<(), StoreError> {
        let Some(last) = run.entries().last() else { return Ok(()) };
        if !run.name().is_control() {
            let before = self.branches.iter().find(|b| b.branch == self.branch).map_or(0, |b| b.tip_seq);
            if before > 0 && !before.is_multiple_of(SIGNED_EVERY) && before < last.seq() {
                tx.prepare_cached("DELETE FROM head WHERE entry = ?1")?.execute([EntryKey::new(
                    self.log,
                    before,
                    self.branch,
                )])?;
            }
        }
        tx.prepare_cached("UPDATE branch SET tip_seq = ?3, tip_id = ?4 WHERE log = ?1 AND branch = ?2")?.execute((
            self.log,
            self.branch,
            last.seq().cast_signed(),
            last.id().as_bytes(),
        ))?;
        Ok(())
    }
}

/// The entry with an id at a place of a log.
fn entry_at(connection: &Connection, log: i64, seq: u64, id: &EntryId) -> Result<Option<EntryKey>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT id FROM entry WHERE id BETWEEN ?1 AND ?2 AND entry = ?3")?;
    let range = (EntryKey::new(log, seq, 0), EntryKey::new(log, seq, 7), id.as_bytes());
    Ok(statement.query_row(range, |row| row.get(0)).optional()?)
}

//! Makes logs of the rows that were found: names that fit their ids, chains as far as they go, what lies behind gaps.

use super::Found;
use super::tables::{BranchRow, LogRow};
use crate::crypto::{DevicePublic, DeviceSecret};
use crate::id::{CONTROL, CompartmentId, EntryId, Incarnation, IncidentId, KeyId, Lane, LogId};
use crate::limits::{BRANCHES_PER_LOG_MAX, SEQ_MAX, SIGNED_EVERY};
use crate::log::LogName;
use crate::store::{EntryKey, Store, StoreError};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// Places of a log that are lost, as far as what is left tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// The log.
    pub log: LogId,
    /// Its name.
    pub name: LogName,
    /// First and last place.
    pub places: (u64, u64),
    /// Entries of the log that stand behind it and were saved.
    pub behind: u64,
}

/// What was saved and what was not.
#[derive(Clone, Default, Debug)]
pub struct Rescue {
    /// Entries that were saved.
    pub entries: u64,
    /// Of these, entries beyond the end of their branch.
    pub beyond: u64,
    /// What is lost, by log.
    pub gaps: Vec<Gap>,
    /// Entries that were found and cannot be placed: the name of their log, or what they stand on, is lost.
    pub nameless: u64,
}

/// A log whose name fits its id.
#[derive(Clone, Copy)]
struct Named {
    number: i64,
    name: LogName,
    log: LogId,
}

impl Store {
    /// The keys that entries of each compartment were sealed under. Reads all entries.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn keys_named(connection: &Connection) -> Result<Vec<(CompartmentId, KeyId)>, StoreError> {
        let mut statement = connection.prepare(
            "SELECT DISTINCT compartment.compartment, ground.key FROM entry
             JOIN log ON log.id = entry.id >> 35 JOIN compartment ON compartment.id = log.compartment
             JOIN ground ON ground.id = entry.ground",
        )?;
        let rows = statement.query_map([], |row| Ok((CompartmentId::new(row.get(0)?), KeyId::new(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Found {
    /// Writes logs and branches. Own logs are signed again where a signature is lost, with the same bytes as before.
    ///
    /// # Errors
    /// [`StoreError`] if the new book cannot be written.
    pub fn join(
        self,
        tx: &Connection,
        incident: &IncidentId,
        own: &DeviceSecret,
        incarnation: Incarnation,
    ) -> Result<Rescue, StoreError> {
        let mut rescue = Rescue { nameless: self.torn, ..Rescue::default() };
        rescue.nameless += changes(tx, "DELETE FROM entry WHERE ground NOT IN (SELECT id FROM ground)")?;
        let mut logs: Vec<Named> = self.logs.iter().filter_map(|row| self.named(row, incident)).collect();
        logs.extend(self.guess_names(tx, incident, &logs, own.public(), incarnation)?);
        logs.sort_by_key(|log| log.number);
        logs.dedup_by_key(|log| log.number);
        for log in &logs {
            put_log(tx, log)?;
        }
        rescue.nameless += changes(tx, "DELETE FROM entry WHERE id >> 35 NOT IN (SELECT id FROM log)")?;
        let mut beyond = BTreeSet::new();
        for log in &logs {
            self.join_log(tx, log, own, (&mut rescue, &mut beyond))?;
        }
        tx.execute("DELETE FROM head WHERE entry NOT IN (SELECT id FROM entry)", [])?;
        Store::set_beyond_logs(tx, &beyond)?;
        let count = |query: &str| tx.query_row(query, [], |row| row.get::<_, i64>(0));
        rescue.entries = count("SELECT count(*) FROM entry")?.unsigned_abs();
        Ok(rescue)
    }

    /// The log of a row, if one of the compartments that its number may stand for gives its id.
    fn named(&self, row: &LogRow, incident: &IncidentId) -> Option<Named> {
        let author = DevicePublic::parse(&row.author).ok()?;
        let lane = Lane::from_number(u8::try_from(row.lane).ok()?)?;
        let ids = self.compartments.get(&row.compartment).into_iter().flatten().chain([CONTROL.as_bytes()]);
        let mut names =
            ids.map(|id| LogName::new(author, Incarnation::new(row.incarnation), CompartmentId::new(*id), lane));
        let name = names.find(|name| *name.id(incident).as_bytes() == row.log)?;
        Some(Named { number: row.number, name, log: LogId::new(row.log) })
    }

    /// Names of logs whose row is lost: as they were kept the second time, or, of those that their author may have, the
    /// one that gives the id of the first entry.
    fn guess_names(
        &self,
        tx: &Connection,
        incident: &IncidentId,
        known: &[Named],
        own: DevicePublic,
        incarnation: Incarnation,
    ) -> Result<Vec<Named>, StoreError> {
        let authors: BTreeMap<_, _> = known
            .iter()
            .map(|log| (log.name.author, log.name.incarnation))
            .chain([(own, incarnation)])
            .map(|(author, incarnation)| ((author.device_id(), incarnation), author))
            .collect();
        let compartments: BTreeSet<[u8; 32]> =
            self.compartments.values().flatten().copied().chain([*CONTROL.as_bytes()]).collect();
        let mut statement = tx.prepare("SELECT DISTINCT id >> 35 FROM entry")?;
        let numbers = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
        let mut guessed = Vec::new();
        for number in numbers.into_iter().filter(|number| known.iter().all(|log| log.number != *number)) {
            if let Some(name) = Store::kept_name(tx, number)? {
                guessed.push(Named { number, name, log: name.id(incident) });
                continue;
            }
            let Some(first) = Store::entry(tx, EntryKey::new(number, 1, 0))? else { continue };
            let names = authors.iter().flat_map(|((_, incarnation), author)| {
                compartments.iter().flat_map(move |compartment| {
                    [Lane::Safety, Lane::Routine, Lane::Import]
                        .map(|lane| LogName::new(*author, *incarnation, CompartmentId::new(*compartment), lane))
                })
            });
            let fits = |name: &LogName| first.entry().id(name.id(incident), 1, EntryId::ZERO) == first.id;
            guessed.extend(names.filter(fits).map(|name| Named { number, name, log: name.id(incident) }).take(1));
        }
        Ok(guessed)
    }

    /// Writes the branches of a log; a branch that cannot be placed is left out with all after it.
    fn join_log(
        &self,
        tx: &Connection,
        log: &Named,
        own: &DeviceSecret,
        (rescue, beyond): (&mut Rescue, &mut BTreeSet<i64>),
    ) -> Result<(), StoreError> {
        let mut placed = true;
        for number in 0..u8::try_from(BRANCHES_PER_LOG_MAX).unwrap_or(u8::MAX) {
            let row = self.branches.get(&(log.number, i64::from(number)));
            let held = held(tx, log.number, number)?;
            if held.is_empty() && row.is_none() {
                continue;
            }
            let from = if placed { self.begin(tx, log, number, held.first().map(|(first, _)| *first))? } else { None };
            let Some((branch, backlink)) = from else {
                // It comes again as a fork, as it came before.
                placed = false;
                rescue.nameless += delete_branch(tx, log.number, number)?;
                continue;
            };
            if log.name.device == own.public().device_id() {
                sign_again(tx, log, &branch, &held, own)?;
            }
            let start = (branch.fork_seq.cast_unsigned(), backlink);
            let tip = Store::chain_from(tx, (log.number, number), (log.log, log.name.is_control()), start)?;
            match tip {
                Some((seq, id)) => put_branch(tx, &branch, seq, id)?,
                // What comes first is lost: no branch begins. Others would have nothing to fork from.
                None => placed = false,
            }
            let tip = tip.map_or(start.0, |(seq, _)| seq);
            let last = held.last().map_or(0, |(_, last)| *last);
            if last > tip {
                beyond.insert(log.number);
                rescue.beyond +=
                    held.iter().map(|(from, to)| (to + 1).saturating_sub((*from).max(tip + 1))).sum::<u64>();
            }
            rescue.gaps.extend(gaps(log, &held, (start.0, row.map_or(0, |row| row.tip_seq.cast_unsigned()))));
        }
        Ok(())
    }

    /// Where a branch begins, with the id of the entry before its first.
    fn begin(
        &self,
        tx: &Connection,
        log: &Named,
        number: u8,
        first: Option<u64>,
    ) -> Result<Option<(BranchRow, EntryId)>, StoreError> {
        let (of, branch) = (log.number, i64::from(number));
        let root = BranchRow { log: of, branch, parent: branch, fork_seq: 0, tip_seq: 0, tip_id: [0; 32] };
        let row = self.branches.get(&(of, branch)).copied();
        let fork_seq = match (row, first) {
            (Some(row), _) => row.fork_seq.cast_unsigned(),
            (None, Some(first)) if number > 0 => first - 1,
            (None, _) => 0,
        };
        if fork_seq == 0 {
            return Ok(Some((root, EntryId::ZERO)));
        }
        let Some(entry) = Store::entry(tx, EntryKey::new(of, fork_seq + 1, number))? else { return Ok(None) };
        for parent in 0..number {
            if let Some(before) = Store::entry(tx, EntryKey::new(of, fork_seq, parent))?
                && entry.entry().id(log.log, fork_seq + 1, before.id) == entry.id
            {
                let (parent, fork_seq) = (i64::from(parent), fork_seq.cast_signed());
                return Ok(Some((BranchRow { parent, fork_seq, ..root }, before.id)));
            }
        }
        Ok(None)
    }
}

/// Ranges of places of a branch row where entries lie.
fn held(tx: &Connection, log: i64, branch: u8) -> Result<Vec<(u64, u64)>, StoreError> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    let mut statement =
        tx.prepare_cached("SELECT id FROM entry WHERE id BETWEEN ?1 AND ?2 AND id & 7 = ?3 ORDER BY id")?;
    let mut rows = statement.query((EntryKey::new(log, 0, 0), EntryKey::new(log, SEQ_MAX, 7), branch))?;
    while let Some(row) = rows.next()? {
        let seq = row.get::<_, EntryKey>(0)?.seq();
        match ranges.last_mut().filter(|(_, last)| *last + 1 == seq) {
            Some((_, last)) => *last = seq,
            None => ranges.push((seq, seq)),
        }
    }
    Ok(ranges)
}

/// The places between and behind what is held, up to where the log is known to have gone.
fn gaps(log: &Named, held: &[(u64, u64)], (start, tip): (u64, u64)) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let mut next = start + 1;
    let behind = |from: u64| held.iter().filter(|(first, _)| *first > from).map(|(first, last)| last + 1 - first).sum();
    let end = (tip + 1, tip);
    for (first, last) in held.iter().copied().chain([end]) {
        if first > next {
            gaps.push(Gap { log: log.log, name: log.name, places: (next, first - 1), behind: behind(next) });
        }
        next = next.max(last + 1);
    }
    gaps
}

/// Signs what an own branch must have signed: at multiples of 64, before every gap and at its end; in control, all.
fn sign_again(
    tx: &Connection,
    log: &Named,
    branch: &BranchRow,
    held: &[(u64, u64)],
    own: &DeviceSecret,
) -> Result<(), StoreError> {
    let number = u8::try_from(branch.branch).unwrap_or(u8::MAX);
    let ends: BTreeSet<u64> = held.iter().map(|(_, last)| *last).collect();
    let mut lacking = Vec::new();
    Store::entries(tx, (log.number, number), (0, SEQ_MAX), |entry| {
        let seq = entry.key.seq();
        let needed = log.name.is_control() || seq.is_multiple_of(SIGNED_EVERY) || ends.contains(&seq);
        if needed && Store::head(tx, entry.key)?.is_none() {
            lacking.push((entry.key, entry.id));
        }
        Ok::<bool, StoreError>(true)
    })?;
    for (key, id) in lacking {
        Store::put_head(tx, key, &own.signing.sign_head(log.log, key.seq(), id))?;
    }
    Ok(())
}

fn put_log(tx: &Connection, log: &Named) -> Result<(), StoreError> {
    let compartment = Store::compartment_row(tx, log.name.compartment)?;
    tx.prepare_cached(
        "INSERT INTO log (id, log, author, device, incarnation, compartment, lane) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute((
        log.number,
        log.log.as_bytes(),
        log.name.author.to_bytes(),
        log.name.device.as_bytes(),
        log.name.incarnation.as_bytes(),
        compartment,
        log.name.lane.number(),
    ))?;
    Store::keep_name(tx, log.number, &log.name)
}

fn put_branch(tx: &Connection, branch: &BranchRow, tip_seq: u64, tip_id: EntryId) -> Result<(), StoreError> {
    let BranchRow { log, branch, parent, fork_seq, .. } = *branch;
    tx.prepare_cached(
        "INSERT INTO branch (log, branch, parent, fork_seq, tip_seq, tip_id, posted_seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?4)",
    )?
    .execute((log, branch, parent, fork_seq, tip_seq.cast_signed(), tip_id.as_bytes()))?;
    Ok(())
}

fn delete_branch(tx: &Connection, log: i64, branch: u8) -> Result<u64, StoreError> {
    let range = (EntryKey::new(log, 0, 0), EntryKey::new(log, SEQ_MAX, 7), branch);
    let deleted = tx.execute("DELETE FROM entry WHERE id BETWEEN ?1 AND ?2 AND id & 7 = ?3", range)?;
    Ok(u64::try_from(deleted).unwrap_or(u64::MAX))
}

fn changes(tx: &Connection, statement: &str) -> Result<u64, StoreError> {
    Ok(u64::try_from(tx.execute(statement, [])?).unwrap_or(u64::MAX))
}

//! Beginnings of runs that a cut left: kept, told to whoever may go on behind them, and joined.

use super::Daybook;
use super::error::Error;
use crate::id::{DeviceId, EntryId, LogId};
use crate::log::{Beginning, Run};
use crate::store::{BegunRow, Store};
use crate::sync::Kept;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// Rows of beginnings by where they end.
type ByEnd = BTreeMap<(LogId, u64, EntryId), BegunRow>;

impl Daybook {
    /// Keeps the beginning of a run that a device brought, if it joins what is here.
    pub(super) fn keep_beginning(&mut self, from: DeviceId, beginning: &Beginning) -> Result<Kept, Error> {
        self.write(|writer| {
            let (log, before, (seq, id)) = (beginning.log(), beginning.first_seq() - 1, beginning.end());
            let joins = before == 0
                || is_here(writer.tx, &log, before, beginning.backlink())?
                || Store::begun_until(writer.tx, &log, before, beginning.backlink())?.is_some();
            if !joins || is_here(writer.tx, &log, seq, &id)? {
                return Ok(Kept::No);
            }
            Store::keep_begun(writer.tx, from, beginning)?;
            Ok(Kept::Durable)
        })
    }

    /// Where beginnings end that go on from what is here and are longer than it, newest first.
    pub(super) fn beginnings(&mut self) -> Result<Vec<(LogId, u64, EntryId)>, Error> {
        let connection = self.store.read()?;
        let rows = by_end(connection)?;
        let inner: BTreeSet<_> = rows.values().map(|row| (row.log, row.first_seq - 1, row.backlink)).collect();
        let mut ends = Vec::new();
        for (end, row) in rows.iter().filter(|(end, _)| !inner.contains(*end)) {
            let first = chain(&rows, row).last().copied().unwrap_or(*row);
            let joins = first.first_seq == 1 || is_here(connection, &row.log, first.first_seq - 1, &first.backlink)?;
            if joins && !is_here(connection, &row.log, end.1, &end.2)? {
                ends.push((row.number(), *end));
            }
        }
        ends.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
        Ok(ends.into_iter().map(|(_, end)| end).collect())
    }

    /// How many entries came before a cut whose signed heads did not: they are safe, and count for nothing yet.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub fn begun_entries(&mut self) -> Result<u64, Error> {
        let rows = Store::begun(self.store.read()?)?;
        Ok(rows.iter().map(|row| (row.seq + 1).saturating_sub(row.first_seq)).sum())
    }

    /// The runs, each together with the beginning that it ends; none if there are no beginnings.
    pub(super) fn with_beginnings(&mut self, runs: &[Vec<u8>]) -> Result<Option<Vec<Vec<u8>>>, Error> {
        let incident = self.state.ring.incident;
        let connection = self.store.read()?;
        let rows = by_end(connection)?;
        if rows.is_empty() {
            return Ok(None);
        }
        let whole = |run: &Vec<u8>| {
            let Ok((front, _)) = Run::read_front(run) else { return Ok(run.clone()) };
            let end = (front.name.id(&incident), front.first_seq.saturating_sub(1), front.backlink);
            let Some(last) = rows.get(&end) else { return Ok(run.clone()) };
            let mut beginnings = Vec::new();
            for row in chain(&rows, last).into_iter().rev() {
                let bytes = Store::begun_until(connection, &row.log, row.seq, &row.id)?.unwrap_or_default();
                let Ok(beginning) = Beginning::read(&bytes, &incident) else { return Ok(run.clone()) };
                beginnings.push(beginning);
            }
            let joined = Beginning::join(&beginnings, run).ok().flatten();
            Ok(joined.unwrap_or_else(|| run.clone()))
        };
        runs.iter().map(whole).collect::<Result<Vec<_>, Error>>().map(Some)
    }

    /// Drops the beginnings behind which the logs of these runs go on now.
    pub(super) fn drop_beginnings(&mut self, runs: &[Vec<u8>]) -> Result<(), Error> {
        self.write(|writer| {
            for run in runs {
                let Ok(run) = Run::read(run).and_then(|run| run.verify(&writer.state.ring.incident)) else { continue };
                if let Some(last) = run.entries().last()
                    && is_here(writer.tx, &run.log(), last.seq(), last.id())?
                {
                    Store::drop_begun(writer.tx, &run.log(), last.seq())?;
                }
            }
            Ok(())
        })
    }
}

fn by_end(connection: &Connection) -> Result<ByEnd, Error> {
    Ok(Store::begun(connection)?.into_iter().map(|row| ((row.log, row.seq, row.id), row)).collect())
}

/// A beginning and those that it goes on from, newest first.
fn chain(rows: &ByEnd, last: &BegunRow) -> Vec<BegunRow> {
    let mut found = vec![*last];
    while let Some(before) = found.last().and_then(|row| rows.get(&(row.log, row.first_seq - 1, row.backlink))) {
        found.push(*before);
    }
    found
}

/// Whether an entry is in its log.
fn is_here(connection: &Connection, log: &LogId, seq: u64, id: &EntryId) -> Result<bool, Error> {
    let Some(row) = Store::log_row(connection, log)? else { return Ok(false) };
    Ok(Store::branch_of(connection, row.number, seq, id.as_bytes())?.is_some())
}

//! Operations that were opened and are not in the tables yet: kept in memory, so that a large batch is opened
//! once, sorted by subject, and written in the order in which the table keeps it.
//!
//! Nothing depends on it: the entries are durable, each branch keeps up to which place it was posted, and what a
//! crash or another process makes of a backlog is taken from the entries again ([`super::Intake::resume`]).

use super::operations::{Op, latest_ms};
use super::subject::{Subject, SubjectKey, mark_dirty};
use super::times::Times;
use crate::clock::Hlc;
use crate::id::{DeviceId, EntryId, ImportId};
use crate::limits::{BACKLOG_BYTES_MAX, BACKLOG_OPERATIONS_MAX};
use crate::record::Operation;
use crate::store::{EntryKey, OpKey, RowKey, Store, StoreError};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

/// Opened operations that wait to be posted.
#[derive(Debug)]
pub struct Backlog {
    bytes_max: usize,
    operations: Vec<Held>,
    /// Canonical bytes of all operations, one after the other in pieces that never grow.
    pieces: Vec<Vec<u8>>,
    bytes: usize,
    /// Where imports took operations from.
    imports: BTreeMap<OpKey, ImportId>,
    subjects: HashMap<(i64, SubjectKey), u32>,
    /// Greatest clock of accepted entries by compartment and device.
    times: BTreeMap<(i64, DeviceId), Hlc>,
    /// First and last place taken of each branch.
    branches: BTreeMap<(i64, u8), (u64, u64)>,
    /// Once filing has begun: the subjects left to be filed, the next one last, each with its operations.
    plan: Option<Vec<(i64, SubjectKey, Range<usize>)>>,
}

/// One operation; its bytes lie in a common piece.
#[derive(Debug)]
struct Held {
    key: OpKey,
    hlc: Hlc,
    time_ms: i64,
    prefix: [u8; 16],
    subject: u32,
    piece: u32,
    start: u32,
    end: u32,
    kind: u8,
    waiting: bool,
}

/// Size of a piece of the common buffer.
const PIECE_BYTES: usize = 1024 * 1024;

/// What is known of an entry whose operations are held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Author<'a> {
    pub compartment: i64,
    pub device: DeviceId,
    pub key: EntryKey,
    pub id: &'a EntryId,
    pub hlc: Hlc,
    pub waiting: bool,
}

/// A subject whose operations were written.
#[derive(Debug)]
pub struct Filed {
    /// The subject.
    pub subject: Subject,
    /// Its operations, if these are all that it has; else the table has more.
    pub all: Option<Range<usize>>,
}

impl Default for Backlog {
    fn default() -> Self {
        Self::within(BACKLOG_BYTES_MAX)
    }
}

impl Backlog {
    /// An empty backlog that is full when it holds so many bytes of operations.
    #[must_use]
    pub fn within(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            operations: Vec::new(),
            pieces: Vec::new(),
            bytes: 0,
            imports: BTreeMap::new(),
            subjects: HashMap::new(),
            times: BTreeMap::new(),
            branches: BTreeMap::new(),
            plan: None,
        }
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty() && self.branches.is_empty() && self.times.is_empty()
    }

    /// Whether it holds as much as it may, or was filed in part: it is to be filed before it takes more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.plan.is_some() || self.bytes >= self.bytes_max || self.operations.len() >= BACKLOG_OPERATIONS_MAX
    }

    /// Takes note that an entry was judged, whatever came of it.
    pub(super) fn judged(&mut self, key: EntryKey) {
        let (_, last) = self.branches.entry((key.log(), key.branch())).or_insert((key.seq(), key.seq()));
        if *last + 1 == key.seq() {
            *last = key.seq();
        }
    }

    /// Holds the operations of an entry.
    pub(super) fn hold(&mut self, of: &Author<'_>, operations: &[(Operation<'_>, &[u8])]) {
        let prefix = of.id.as_bytes().first_chunk::<16>().copied().unwrap_or_default();
        for (index, (operation, bytes)) in operations.iter().enumerate() {
            let (subject, kind) = SubjectKey::of(operation);
            let next = u32::try_from(self.subjects.len()).unwrap_or(u32::MAX);
            let key = of.key.operation(u8::try_from(index).unwrap_or(u8::MAX));
            let (piece, start, end) = self.keep(bytes);
            self.operations.push(Held {
                subject: *self.subjects.entry((of.compartment, subject)).or_insert(next),
                key,
                kind,
                waiting: of.waiting,
                hlc: of.hlc,
                time_ms: latest_ms(of.hlc, operation),
                prefix,
                piece,
                start,
                end,
            });
            if let Some(import) = operation.import().filter(|_| !of.waiting) {
                self.imports.insert(key, import);
            }
        }
        if !of.waiting {
            let greatest = self.times.entry((of.compartment, of.device)).or_default();
            *greatest = greatest.merge(of.hlc);
        }
    }

    /// Writes the operations of the next subjects into the table, at least one subject and about `most`
    /// operations; none are left when nothing comes back.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written; then the transaction and this backlog are to be dropped.
    pub fn file(&mut self, tx: &Connection, most: usize) -> Result<Vec<Filed>, StoreError> {
        let mut plan = match self.plan.take() {
            Some(plan) => plan,
            None => self.begin(tx)?,
        };
        let (mut filed, mut written) = (Vec::new(), 0);
        while written < most
            && let Some((compartment, name, range)) = plan.pop()
        {
            let (subject, new) = Subject::find_or_add(tx, compartment, &name)?;
            let held = self.operations.get(range.clone()).unwrap_or_default();
            self.write(tx, subject.id, new, held)?;
            written += held.len();
            filed.push(Filed { subject, all: new.then_some(range) });
        }
        if plan.is_empty() && filed.is_empty() {
            for ((log, branch), (first, last)) in &self.branches {
                Store::set_posted(tx, (*log, *branch), *first, *last)?;
            }
            *self = Self::within(self.bytes_max);
        } else {
            self.plan = Some(plan);
        }
        Ok(filed)
    }

    /// Writes all that is held into the table and marks its subjects: views follow.
    ///
    /// # Errors
    /// As [`Backlog::file`].
    pub fn file_all(&mut self, tx: &Connection) -> Result<(), StoreError> {
        loop {
            let filed = self.file(tx, usize::MAX)?;
            filed.iter().try_for_each(|filed| mark_dirty(tx, filed.subject.id))?;
            if filed.is_empty() {
                return Ok(());
            }
        }
    }

    /// Operations that were filed together, understood, in rising order of key.
    #[must_use]
    pub fn operations(&self, range: Range<usize>) -> Vec<Op<'_>> {
        let read = |held: &Held| Op {
            key: held.key,
            waiting: held.waiting,
            hlc: held.hlc,
            prefix: held.prefix,
            operation: Operation::read_again(self.payload(held)),
        };
        self.operations.get(range).unwrap_or_default().iter().map(read).collect()
    }

    /// Keeps bytes; says in which piece and where.
    fn keep(&mut self, bytes: &[u8]) -> (u32, u32, u32) {
        if self.pieces.last().is_none_or(|piece| piece.capacity() - piece.len() < bytes.len()) {
            self.pieces.push(Vec::with_capacity(PIECE_BYTES.max(bytes.len())));
        }
        self.bytes += bytes.len();
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let at = number(self.pieces.len().saturating_sub(1));
        let Some(piece) = self.pieces.last_mut() else { return (at, 0, 0) };
        let start = piece.len();
        piece.extend_from_slice(bytes);
        (at, number(start), number(piece.len()))
    }

    fn payload(&self, held: &Held) -> &[u8] {
        let piece = self.pieces.get(held.piece as usize).map_or(&[][..], Vec::as_slice);
        piece.get(held.start as usize..held.end as usize).unwrap_or_default()
    }

    /// Sorts what is held by subject, and lets the times of its authors count.
    fn begin(&mut self, tx: &Connection) -> Result<Vec<(i64, SubjectKey, Range<usize>)>, StoreError> {
        Times::settle(tx, &std::mem::take(&mut self.times))?;
        // Subjects in the order of their names, so that the index of names is written in its own order.
        let mut names: Vec<((i64, SubjectKey), u32)> = self.subjects.drain().collect();
        names.sort_unstable();
        let mut place = vec![0_u32; names.len()];
        for (at, (_, subject)) in names.iter().enumerate() {
            if let Some(place) = place.get_mut(*subject as usize) {
                *place = u32::try_from(at).unwrap_or(u32::MAX);
            }
        }
        for held in &mut self.operations {
            held.subject = place.get(held.subject as usize).copied().unwrap_or(u32::MAX);
        }
        self.operations.sort_unstable_by_key(|held| (held.subject, held.key));
        let mut plan = Vec::with_capacity(names.len());
        let mut start = 0;
        for (at, ((compartment, name), _)) in names.into_iter().enumerate() {
            let of_one = self.operations.get(start..).unwrap_or_default();
            let end = start + of_one.partition_point(|held| held.subject as usize <= at);
            plan.push((compartment, name, start..end));
            start = end;
        }
        plan.reverse();
        Ok(plan)
    }

    /// Writes the operations of one subject behind those that it has; one that is there already is not written.
    fn write(&self, tx: &Connection, subject: i64, new: bool, held: &[Held]) -> Result<(), StoreError> {
        let (first, last) = RowKey::range(subject);
        let mut there: BTreeSet<OpKey> = BTreeSet::new();
        let mut row = first;
        if !new {
            let mut statement = tx.prepare_cached("SELECT row, id FROM op WHERE row BETWEEN ?1 AND ?2 ORDER BY row")?;
            let mut rows = statement.query((first, last))?;
            while let Some(found) = rows.next()? {
                row = found.get(0)?;
                there.insert(found.get(1)?);
            }
        }
        let mut insert = tx.prepare_cached(
            "INSERT INTO op (row, id, kind, waiting, hlc, time_ms, prefix, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        for held in held.iter().filter(|held| !there.contains(&held.key)) {
            row = row.next().ok_or_else(|| StoreError::Disk("one record has more operations than fit".into()))?;
            let hlc = held.hlc.bits().cast_signed();
            insert.execute((
                row,
                held.key,
                held.kind,
                held.waiting,
                hlc,
                held.time_ms,
                held.prefix,
                self.payload(held),
            ))?;
            if let Some(import) = self.imports.get(&held.key) {
                tx.prepare_cached("INSERT INTO import (import, row) VALUES (?1, ?2)")?
                    .execute((import.as_bytes(), row))?;
            }
        }
        Ok(())
    }
}

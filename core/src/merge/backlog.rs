//! Operations that were opened and are not in the tables yet: kept in memory, so that a large batch is opened
//! once, sorted by subject, and written in the order in which the table keeps it.
//!
//! Nothing depends on it: the entries are durable, each branch keeps up to which place it was posted, and what a
//! crash or another process makes of a backlog is taken from the entries again ([`super::Intake::resume`]).

use super::operations::Op;
use super::sheets::{Kept, LOOSE, set_filings_posted};
use super::subject::{Name, Subject, SubjectKey, mark_dirty};
use super::times::Times;
use crate::clock::Hlc;
use crate::id::{DeviceId, EntryId, ImportId};
use crate::limits::{BACKLOG_BYTES_MAX, BACKLOG_OPERATIONS_MAX};
use crate::record::Operation;
use crate::store::{EntryKey, OpKey, RowKey, Store, StoreError};
use rusqlite::Connection;
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher};
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
    subjects: HashMap<(i64, SubjectKey), u32, Mixed>,
    /// Greatest clock of accepted entries by compartment and device.
    times: BTreeMap<(i64, DeviceId), Hlc>,
    /// First and last place taken of each branch.
    branches: BTreeMap<(i64, u8), (u64, u64)>,
    /// Once it was filed: what is left to be posted.
    filing: Option<Filing>,
    /// Fewer operations than these are filed with the little that people write.
    alone_from: usize,
    /// Whether entries were left for [`super::Intake::resume`], since some before them are not posted.
    gap: bool,
}

/// One operation; its bytes lie in a common piece.
#[derive(Debug)]
struct Held {
    key: OpKey,
    hlc: Hlc,
    prefix: [u8; 16],
    subject: u32,
    piece: u32,
    start: u32,
    end: u32,
    waiting: bool,
    /// Whether its entry was judged before and is judged anew.
    again: bool,
}

/// Most bytes of a sheet with more than one operation: of sheets so small a page is left little room.
const SHEET_BYTES: usize = 1_536;
/// Fewer operations make no filing of their own.
const OPERATIONS_PER_FILING_MIN: usize = 16 * 1_024;
/// Filings of their own above which all are filed with the little that people write: reading a subject looks into
/// each.
const FILINGS_MAX: i64 = 64;

/// Hashes names of subjects in a few steps: multiplies words under two numbers drawn anew for each backlog, so that
/// nobody can choose names that meet. Decides no order that can be seen.
#[derive(Clone, Copy, Debug)]
struct Mixed {
    state: u64,
    factor: u64,
}

impl Mixed {
    fn random() -> Self {
        let drawn = RandomState::new();
        Self { state: drawn.hash_one(0), factor: drawn.hash_one(1) | 1 }
    }
}

impl BuildHasher for Mixed {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        *self
    }
}

impl Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.write_u64(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut word = [0; 8];
            word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let (low, high) = (self.state ^ word).carrying_mul(self.factor, 0);
        self.state = low ^ high;
    }

    fn write_i64(&mut self, word: i64) {
        self.write_u64(word.cast_unsigned());
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word.cast_unsigned() as u64);
    }

    fn finish(&self) -> u64 {
        self.state
    }
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
    /// Whether it was judged before and is judged anew.
    pub again: bool,
    /// Whether its edits are left out: of a flooded log every book holds other branches, so nothing passes through.
    pub without_edits: bool,
}

/// What a backlog wrote, and which of its subjects' views are not made yet.
#[derive(Debug)]
struct Filing {
    number: i64,
    /// In falling order of number.
    left: Vec<Filed>,
}

/// What a backlog holds, by subject, before it is written.
#[derive(Debug)]
pub struct Arranged {
    number: i64,
    /// The subjects in rising order of number.
    pub subjects: Vec<Filed>,
}

impl Arranged {
    /// As [`Backlog::is_loose`].
    #[must_use]
    pub const fn is_loose(&self) -> bool {
        self.number == LOOSE
    }
}

/// A subject whose operations were written.
#[derive(Debug)]
pub struct Filed {
    /// The subject.
    pub subject: Subject,
    /// Its operations here.
    pub here: Range<usize>,
    /// Whether these are all that it has; else the table has more.
    pub new: bool,
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
            subjects: HashMap::with_hasher(Mixed::random()),
            times: BTreeMap::new(),
            branches: BTreeMap::new(),
            filing: None,
            alone_from: OPERATIONS_PER_FILING_MIN,
            gap: false,
        }
    }

    /// The same, which makes a filing of its own of so many operations and more.
    #[must_use]
    pub const fn alone_from(mut self, operations: usize) -> Self {
        self.alone_from = operations;
        self
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filing.is_none() && self.operations.is_empty() && self.branches.is_empty() && self.times.is_empty()
    }

    /// Whether it holds as much as it may, or was filed: it is to be emptied before it takes more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.filing.is_some() || self.bytes >= self.bytes_max || self.operations.len() >= BACKLOG_OPERATIONS_MAX
    }

    /// Whether operations of so many bytes can come before it is full, or it holds none.
    #[must_use]
    pub fn has_room_for(&self, bytes: usize) -> bool {
        self.is_empty() || (self.filing.is_none() && self.bytes.saturating_add(bytes) < self.bytes_max)
    }

    /// Takes note that an entry was judged, whatever came of it.
    pub(super) fn judged(&mut self, key: EntryKey) {
        let (_, last) = self.branches.entry((key.log(), key.branch())).or_insert((key.seq(), key.seq()));
        if *last + 1 == key.seq() {
            *last = key.seq();
        }
    }

    /// Holds the operations of an entry: what each is about, where an import took it from, and its bytes.
    pub(super) fn hold<'o>(
        &mut self,
        of: &Author<'_>,
        operations: impl Iterator<Item = (SubjectKey, Option<ImportId>, &'o [u8])>,
    ) {
        let prefix = of.id.as_bytes().first_chunk::<16>().copied().unwrap_or_default();
        for (index, (subject, import, bytes)) in operations.enumerate() {
            if of.without_edits && matches!(Operation::read_again(bytes), Operation::Edit(_)) {
                continue;
            }
            let next = u32::try_from(self.subjects.len()).unwrap_or(u32::MAX);
            let key = of.key.operation(u8::try_from(index).unwrap_or(u8::MAX));
            let (piece, start, end) = self.keep(bytes);
            if self.operations.len() == OPERATIONS_PER_FILING_MIN {
                // Much comes: the room for all of it, of which the system gives what is used, instead of ever larger ones.
                self.operations.reserve(BACKLOG_OPERATIONS_MAX - OPERATIONS_PER_FILING_MIN);
            }
            self.operations.push(Held {
                subject: *self.subjects.entry((of.compartment, subject)).or_insert(next),
                key,
                waiting: of.waiting,
                again: of.again,
                hlc: of.hlc,
                prefix,
                piece,
                start,
                end,
            });
            if let Some(import) = import.filter(|_| !of.waiting) {
                self.imports.insert(key, import);
            }
        }
        if !of.waiting {
            let greatest = self.times.entry((of.compartment, of.device)).or_default();
            *greatest = greatest.merge(of.hlc);
        }
    }

    /// Writes all that is held into the table; what of it was posted before is left out. Afterwards
    /// [`Backlog::next_filed`] gives the subjects whose views are to be made.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written; then the transaction and this backlog are to be dropped.
    pub fn file(&mut self, tx: &Connection) -> Result<(), StoreError> {
        let arranged = self.arrange(tx)?;
        self.write_sheets(tx, &arranged)?;
        self.post_in_rounds(arranged);
        Ok(())
    }

    /// The first half of [`Backlog::file`]: leaves out what was posted before, sorts what is held by subject and numbers
    /// the subjects. Nothing says yet that any of it is filed.
    ///
    /// # Errors
    /// As [`Backlog::file`].
    pub fn arrange(&mut self, tx: &Connection) -> Result<Arranged, StoreError> {
        Times::settle(tx, &std::mem::take(&mut self.times))?;
        self.keep_what_follows(tx)?;
        let subjects = self.sort(tx)?;
        let number = if self.operations.len() < self.alone_from { LOOSE } else { begin_filing(tx)? };
        Ok(Arranged { number, subjects })
    }

    /// The second half of [`Backlog::file`]: writes the sheets, and to which place of each branch that reaches.
    ///
    /// # Errors
    /// As [`Backlog::file`].
    pub fn write_sheets(&self, tx: &Connection, arranged: &Arranged) -> Result<(), StoreError> {
        for filed in &arranged.subjects {
            self.write(tx, arranged.number, filed)?;
        }
        for ((log, branch), (first, last)) in &self.branches {
            Store::set_posted(tx, (*log, *branch), *first, *last)?;
        }
        Ok(())
    }

    /// Lets [`Backlog::next_filed`] give the subjects that were arranged, and whose sheets are written.
    pub fn post_in_rounds(&mut self, Arranged { number, mut subjects }: Arranged) {
        self.branches.clear();
        subjects.reverse();
        self.filing = Some(Filing { number, left: subjects });
    }

    /// Whether it holds enough for a filing of its own, and was not filed.
    #[must_use]
    pub const fn is_much(&self) -> bool {
        self.filing.is_none() && self.operations.len() >= self.alone_from
    }

    /// The next subject whose views are to be made of what was filed, in rising order of number.
    pub fn next_filed(&mut self) -> Option<Filed> {
        self.filing.as_mut()?.left.pop()
    }

    /// Says that views were made of what [`Backlog::next_filed`] gave, `last` the last; empties the backlog at the end.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn posted(&mut self, tx: &Connection, last: i64) -> Result<(), StoreError> {
        let Some(filing) = &self.filing else { return Ok(()) };
        let (number, done) = (filing.number, filing.left.is_empty());
        if number != LOOSE {
            set_filings_posted(tx, (!done).then_some(last))?;
        }
        if done {
            self.empty();
        }
        Ok(())
    }

    /// Whether what it holds was filed, and some of it may be left to be posted.
    #[must_use]
    pub const fn was_filed(&self) -> bool {
        self.filing.is_some()
    }

    /// Whether what was filed is to be posted in one go: nothing else keeps how far that went.
    #[must_use]
    pub fn is_loose(&self) -> bool {
        self.filing.as_ref().is_some_and(|filing| filing.number == LOOSE)
    }

    /// Writes all that is held into the table and empties the backlog: views follow.
    ///
    /// # Errors
    /// As [`Backlog::file`].
    pub fn file_all(&mut self, tx: &Connection) -> Result<(), StoreError> {
        if self.is_empty() {
            return Ok(());
        }
        if self.filing.is_none() {
            self.file(tx)?;
        }
        if self.is_loose() {
            while let Some(filed) = self.next_filed() {
                mark_dirty(tx, filed.subject.id)?;
            }
        }
        self.empty();
        Ok(())
    }

    /// Whether entries were left out since the last time, because some before them were not posted: these are to
    /// be taken in again, and all that follow.
    pub fn take_gap(&mut self) -> bool {
        std::mem::take(&mut self.gap)
    }

    /// Empties it: all that it held was filed and posted.
    pub fn empty(&mut self) {
        let gap = self.gap;
        *self = Self::within(self.bytes_max).alone_from(self.alone_from);
        self.gap = gap;
    }

    /// Operations that were filed together, understood, in rising order of key.
    #[must_use]
    pub fn operations(&self, range: Range<usize>) -> Vec<Op<'_>> {
        self.operations.get(range).unwrap_or_default().iter().map(|held| self.kept(held).read()).collect()
    }

    fn kept(&self, held: &Held) -> Kept<'_> {
        let Held { key, hlc, prefix, waiting, .. } = *held;
        Kept { key, hlc, prefix, waiting, payload: self.payload(held) }
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

    /// Leaves out what does not follow what was posted of its branch: it was filed before, or entries before it
    /// are not here. So no operation is ever in two sheets.
    fn keep_what_follows(&mut self, tx: &Connection) -> Result<(), StoreError> {
        let mut follow: BTreeMap<(i64, u8), (u64, u64)> = BTreeMap::new();
        for (branch, (first, last)) in &self.branches {
            let (posted, _) = Store::posted(tx, *branch)?;
            if *first <= posted + 1 {
                follow.insert(*branch, (posted, *last));
            } else {
                self.gap = true;
            }
        }
        let (mut bounds, mut beyond) = (None, false);
        self.operations.retain(|held| {
            let entry = held.key.entry();
            let branch = (entry.log(), entry.branch());
            if bounds.is_none_or(|(of, _)| of != branch) {
                bounds = follow.get(&branch).map(|bounds| (branch, *bounds));
            }
            let follows = bounds.is_some_and(|(_, (posted, last))| posted < entry.seq() && entry.seq() <= last);
            beyond |= !held.again && bounds.is_some_and(|(_, (_, last))| last < entry.seq());
            held.again || follows
        });
        self.gap |= beyond;
        Ok(())
    }

    /// Sorts what is held by subject, and numbers the subjects; in rising order of number.
    fn sort(&mut self, tx: &Connection) -> Result<Vec<Filed>, StoreError> {
        // Subjects in the order of their names, so that the index of names is read and written in its own order.
        let mut names: Vec<(Name, u32)> =
            self.subjects.drain().map(|((compartment, name), at)| (Name::new(compartment, &name), at)).collect();
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
        let (mut ranges, mut start) = (Vec::with_capacity(names.len()), 0);
        // A subject all of whose operations were left out is none.
        let mut at = 0;
        names.retain(|_| {
            let of_one = self.operations.get(start..).unwrap_or_default();
            let end = start + of_one.partition_point(|held| held.subject as usize <= at);
            at += 1;
            let range = std::mem::replace(&mut start, end)..end;
            let some = !range.is_empty();
            if some {
                ranges.push(range);
            }
            some
        });
        let subjects = Subject::number(tx, names.into_iter().map(|(name, _)| name).collect())?;
        let mut filed: Vec<Filed> =
            subjects.into_iter().zip(ranges).map(|((subject, new), here)| Filed { subject, here, new }).collect();
        filed.sort_unstable_by_key(|filed| filed.subject.id);
        Ok(filed)
    }

    /// Writes the operations of one subject behind those that it has in a filing.
    fn write(&self, tx: &Connection, filing: i64, filed: &Filed) -> Result<(), StoreError> {
        let (first, last) = RowKey::range(filing, filed.subject.id);
        let mut row = first;
        if filing == LOOSE && !filed.new {
            let mut statement = tx.prepare_cached("SELECT max(row) FROM op WHERE row BETWEEN ?1 AND ?2")?;
            row = statement.query_row((first, last), |found| found.get::<_, Option<_>>(0))?.unwrap_or(first);
        }
        let mut insert = tx.prepare_cached("INSERT INTO op (row, sheet) VALUES (?1, ?2)")?;
        let mut left = self.operations.get(filed.here.clone()).unwrap_or_default();
        while let Some(held) = left.first() {
            row = row.next().ok_or_else(|| StoreError::Disk("one record has more operations than fit".into()))?;
            let (mut sheet, mut count) = (Vec::with_capacity(SHEET_BYTES + self.kept(held).bytes()), 0);
            for held in left {
                let kept = self.kept(held);
                if count > 0 && sheet.len() + kept.bytes() > SHEET_BYTES {
                    break;
                }
                kept.put(&mut sheet);
                count += 1;
                if let Some(import) = self.imports.get(&held.key) {
                    tx.prepare_cached("INSERT OR REPLACE INTO import (import, id, row) VALUES (?1, ?2, ?3)")?
                        .execute((import.as_bytes(), held.key, row))?;
                }
            }
            insert.execute((row, &sheet))?;
            left = left.get(count..).unwrap_or_default();
        }
        Ok(())
    }
}

/// The number of a new filing; that of what people write if there are as many as can be numbered.
fn begin_filing(tx: &Connection) -> Result<i64, StoreError> {
    let last: i64 = tx.prepare_cached("SELECT coalesce(max(id), 0) FROM filing")?.query_row([], |row| row.get(0))?;
    if last >= FILINGS_MAX {
        return Ok(LOOSE);
    }
    tx.prepare_cached("INSERT INTO filing (id, posted) VALUES (?1, 0)")?.execute([last + 1])?;
    Ok(last + 1)
}

//! How one operation names another: by place and hash, or by where an import took it from.

use crate::codec::{Malformed, Reader, Writer};
use crate::id::{EntryId, ImportId, LogId};
use crate::limits::OPERATIONS_PER_ENTRY_MAX;

/// Names an entry: its log, its place there, and the first 16 bytes of its id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryRef {
    /// The log.
    pub log: LogId,
    /// The place, from 1.
    pub seq: u64,
    /// First 16 bytes of the entry's id.
    pub prefix: [u8; 16],
}

impl EntryRef {
    /// Names the entry of `id` at `seq` of `log`.
    #[must_use]
    pub fn new(log: LogId, seq: u64, id: &EntryId) -> Self {
        Self { log, seq, prefix: id.as_bytes().first_chunk().copied().unwrap_or_default() }
    }

    /// Writes `[log, seq, prefix]`.
    pub fn write(&self, to: &mut Writer) {
        to.list(3).bytes(self.log.as_bytes()).uint(self.seq).bytes(&self.prefix);
    }

    /// Reads `[log, seq, prefix]`.
    ///
    /// # Errors
    /// [`Malformed`] if it is not that, or the place is 0.
    pub fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.tuple(3)?;
        Self::read_items(from)
    }

    fn read_items(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (log, seq, prefix) = (LogId::new(from.array()?), from.uint()?, from.array()?);
        if seq == 0 || i64::try_from(seq).is_err() {
            return Err(Malformed::Bounds);
        }
        Ok(Self { log, seq, prefix })
    }
}

/// Names one operation of an entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OpRef {
    /// The entry.
    pub entry: EntryRef,
    /// Place of the operation in it, from 0.
    pub index: u8,
}

/// Names a fact: by its own reference, or by its origin if an import made it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FactId {
    /// What people wrote.
    Written(OpRef),
    /// What an import wrote; equal on every device that imported the same resource.
    Imported(ImportId),
}

impl FactId {
    /// Writes `[log, seq, prefix, index]`, or the 16 bytes of an import id.
    pub fn write(&self, to: &mut Writer) {
        match self {
            Self::Written(OpRef { entry, index }) => {
                to.list(4).bytes(entry.log.as_bytes()).uint(entry.seq).bytes(&entry.prefix).uint(u64::from(*index));
            }
            Self::Imported(id) => {
                to.bytes(id.as_bytes());
            }
        }
    }

    /// Reads either form.
    ///
    /// # Errors
    /// [`Malformed`] if it is neither.
    pub fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut ahead = from.clone();
        if ahead.list(4).is_err() {
            return from.array().map(ImportId::new).map(Self::Imported);
        }
        from.tuple(4)?;
        let entry = EntryRef::read_items(from)?;
        let index = from.byte()?;
        if usize::from(index) >= OPERATIONS_PER_ENTRY_MAX {
            return Err(Malformed::Bounds);
        }
        Ok(Self::Written(OpRef { entry, index }))
    }

    /// The canonical bytes, for hashing and for keys of tables.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut to = Writer::new();
        self.write(&mut to);
        to.finish()
    }

    /// Reads [`FactId::to_bytes`] back.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader::new(bytes);
        let id = Self::read(&mut from).ok()?;
        from.at_end().then_some(id)
    }
}

/// Writes a sorted list of references without repetition.
pub(crate) fn write_list<T: Ord + Copy>(items: &[T], to: &mut Writer, mut write: impl FnMut(&T, &mut Writer)) {
    let mut sorted = items.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    to.list(sorted.len());
    for item in &sorted {
        write(item, to);
    }
}

/// Reads a list of at most `most` items in rising order.
pub(crate) fn read_list<'a, T: Ord>(
    from: &mut Reader<'a>,
    most: usize,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let count = from.list(most)?;
    let mut items: Vec<T> = Vec::new();
    for _ in 0..count {
        let item = read(from)?;
        if items.last().is_some_and(|last| *last >= item) {
            return Err(Malformed::NotCanonical);
        }
        items.push(item);
    }
    Ok(items)
}

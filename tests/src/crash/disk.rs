//! A disk: files in memory, and what of them survives loss of power.
//!
//! What is written stays in doubt until the file is synced: a cut keeps any part of it. A sector of 512 bytes is
//! written whole or not at all, and no write touches bytes beside it. A new file is there for good with its first
//! sync; one that was deleted may come back as it was, unless it was to be gone for good.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;
use std::collections::BTreeMap;

/// Bytes that a disk writes as one.
pub const SECTOR_BYTES: usize = 512;

/// The files of a disk by name.
pub type Image = BTreeMap<String, Vec<u8>>;

/// Something that was asked of a disk and changes what it holds.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Bytes at a place of a file.
    Write {
        /// The file.
        file: String,
        /// Where.
        offset: usize,
        /// What.
        bytes: Vec<u8>,
    },
    /// Everything that was written to a file is to be durable.
    Sync {
        /// The file.
        file: String,
    },
    /// A file is to be shorter.
    Truncate {
        /// The file.
        file: String,
        /// Its new length.
        bytes: usize,
    },
    /// A file is to be gone.
    Delete {
        /// The file.
        file: String,
        /// Whether it is to be gone for good, and not only until the power goes.
        durable: bool,
    },
}

impl Operation {
    /// The file.
    #[must_use]
    pub fn file(&self) -> &str {
        match self {
            Self::Write { file, .. }
            | Self::Sync { file }
            | Self::Truncate { file, .. }
            | Self::Delete { file, .. } => file,
        }
    }

    /// What it is, in a word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Write { .. } => "write",
            Self::Sync { .. } => "sync",
            Self::Truncate { .. } => "truncate",
            Self::Delete { .. } => "delete",
        }
    }
}

/// What a disk does wrong from an operation on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// This one operation fails.
    Once,
    /// It and all after it fail.
    ForEver,
    /// No file can grow any more.
    Full,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Once, Self::ForEver, Self::Full];
}

/// Why a disk did not do what it was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failed {
    /// It broke.
    Broken,
    /// It is full.
    Full,
}

/// What is left of the operations in doubt when the power goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// Nothing of them.
    Dropped,
    /// Some of them, each whole.
    Subset,
    /// Some of the sectors of each.
    Torn,
}

impl Cut {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Dropped, Self::Subset, Self::Torn];
}

/// A disk with its files as programs see them.
#[derive(Debug, Default)]
pub struct Disk {
    files: Image,
    trace: Vec<Option<Operation>>,
    fault: Option<(usize, Fault)>,
}

impl Disk {
    /// A disk that holds files.
    #[must_use]
    pub fn new(files: Image) -> Self {
        Self { files, ..Self::default() }
    }

    /// The files as programs see them.
    #[must_use]
    pub const fn files(&self) -> &Image {
        &self.files
    }

    /// All that was asked since the disk was made; what failed is `None`, and counted: so a fault is at the same
    /// place for the same program.
    #[must_use]
    pub fn trace(&self) -> &[Option<Operation>] {
        &self.trace
    }

    /// Lets operation `at` fail, counted from where the disk is made; `None` mends it.
    pub const fn set_fault(&mut self, fault: Option<(usize, Fault)>) {
        self.fault = fault;
    }

    /// Whether something is to fail.
    #[must_use]
    pub const fn is_faulty(&self) -> bool {
        self.fault.is_some()
    }

    /// Makes an empty file if there is none.
    pub fn create(&mut self, file: &str) {
        self.files.entry(file.to_owned()).or_default();
    }

    /// Does an operation.
    ///
    /// # Errors
    /// [`Failed`]; then nothing was done.
    pub fn ask(&mut self, operation: Operation) -> Result<(), Failed> {
        let number = self.trace.len();
        if let Some(failed) = self.fails(number, &operation) {
            self.trace.push(None);
            return Err(failed);
        }
        apply(&mut self.files, &operation);
        self.trace.push(Some(operation));
        Ok(())
    }

    fn fails(&self, number: usize, operation: &Operation) -> Option<Failed> {
        let (at, fault) = self.fault?;
        let grows = match operation {
            Operation::Write { file, offset, bytes } => offset + bytes.len() > self.files.get(file).map_or(0, Vec::len),
            Operation::Sync { .. } | Operation::Truncate { .. } | Operation::Delete { .. } => false,
        };
        match fault {
            Fault::Once if number == at => Some(Failed::Broken),
            Fault::ForEver if number >= at => Some(Failed::Broken),
            Fault::Full if number >= at && grows => Some(Failed::Full),
            Fault::Once | Fault::ForEver | Fault::Full => None,
        }
    }
}

/// Does an operation to files; a write past the end leaves zeros between.
fn apply(files: &mut Image, operation: &Operation) {
    match operation {
        Operation::Write { file, offset, bytes } => write(files.entry(file.clone()).or_default(), *offset, bytes),
        Operation::Truncate { file, bytes } => {
            if let Some(content) = files.get_mut(file) {
                content.truncate(*bytes);
            }
        }
        Operation::Delete { file, .. } => {
            files.remove(file);
        }
        Operation::Sync { .. } => {}
    }
}

fn write(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

/// Follows a trace and says what a cut would leave after each of its operations.
#[derive(Clone, Debug)]
pub struct Durable {
    files: Image,
    doubt: Vec<Operation>,
    /// Files whose deletion no sync has followed, as they were.
    deleted: Image,
}

impl Durable {
    /// Begins with files that are there for good.
    #[must_use]
    pub const fn new(files: Image) -> Self {
        Self { files, doubt: Vec::new(), deleted: BTreeMap::new() }
    }

    /// Follows one operation.
    pub fn follow(&mut self, operation: &Operation) {
        match operation {
            Operation::Sync { file } => {
                let (synced, doubt) = std::mem::take(&mut self.doubt).into_iter().partition(|o| o.file() == file);
                self.doubt = doubt;
                let synced: Vec<Operation> = synced;
                self.files.entry(file.clone()).or_default();
                synced.iter().for_each(|operation| apply(&mut self.files, operation));
                self.deleted.remove(file);
            }
            Operation::Delete { file, durable } => {
                self.doubt.retain(|o| o.file() != file);
                if let Some(content) = self.files.remove(file).filter(|_| !durable) {
                    self.deleted.insert(file.clone(), content);
                }
            }
            Operation::Write { .. } | Operation::Truncate { .. } => self.doubt.push(operation.clone()),
        }
    }

    /// What is left when the power goes now.
    #[must_use]
    pub fn cut(&self, cut: Cut, rng: &mut ChaCha20Rng) -> Image {
        let mut files = self.files.clone();
        let mut coin = || rng.next_u32().is_multiple_of(2);
        for (file, content) in &self.deleted {
            if cut == Cut::Dropped || coin() {
                files.entry(file.clone()).or_insert_with(|| content.clone());
            }
        }
        for operation in &self.doubt {
            match (cut, operation) {
                (Cut::Dropped, _) => {}
                (Cut::Torn, Operation::Write { file, offset, bytes }) => {
                    for (place, sector) in sectors(*offset, bytes) {
                        if coin() {
                            write(files.entry(file.clone()).or_default(), place, sector);
                        }
                    }
                }
                (Cut::Subset | Cut::Torn, _) => {
                    if coin() {
                        apply(&mut files, operation);
                    }
                }
            }
        }
        files
    }
}

/// The parts of a write that lie in one sector each.
fn sectors(offset: usize, bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let (mut place, mut rest, mut parts) = (offset, bytes, Vec::new());
    while !rest.is_empty() {
        let (part, after) = rest.split_at(rest.len().min(SECTOR_BYTES - place % SECTOR_BYTES));
        parts.push((place, part));
        (place, rest) = (place + part.len(), after);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    fn written(file: &str, offset: usize, bytes: &[u8]) -> Operation {
        Operation::Write { file: file.into(), offset, bytes: bytes.to_vec() }
    }

    #[test]
    fn only_what_was_synced_survives_for_sure() {
        let mut durable = Durable::new(Image::new());
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        durable.follow(&written("a", 0, &[1; 2_000]));
        assert!(durable.cut(Cut::Dropped, &mut rng).is_empty());
        durable.follow(&Operation::Sync { file: "a".into() });
        durable.follow(&written("a", 0, &[2; 2_000]));
        assert_eq!(durable.cut(Cut::Dropped, &mut rng)["a"], [1; 2_000]);
        let images: Vec<Image> = (0..64).map(|_| durable.cut(Cut::Torn, &mut rng)).collect();
        assert!(images.iter().all(|image| image["a"].chunks(SECTOR_BYTES).all(|s| s.iter().all(|b| *b == s[0]))));
        assert!(images.iter().any(|image| image["a"].contains(&1) && image["a"].contains(&2)));
        let mut for_good = durable.clone();
        durable.follow(&Operation::Delete { file: "a".into(), durable: false });
        assert_eq!(durable.cut(Cut::Dropped, &mut rng)["a"], [1; 2_000]);
        assert!((0..64).any(|_| durable.cut(Cut::Subset, &mut rng).is_empty()));
        for_good.follow(&Operation::Delete { file: "a".into(), durable: true });
        assert!(for_good.cut(Cut::Dropped, &mut rng).is_empty());
    }

    #[test]
    fn a_fault_is_where_it_was_asked_for() {
        let mut disk = Disk::new(Image::from([("a".to_owned(), vec![0; 10])]));
        disk.set_fault(Some((1, Fault::Full)));
        assert_eq!(disk.ask(written("a", 5, &[1; 10])), Ok(()));
        assert_eq!(disk.ask(written("a", 0, &[1; 15])), Ok(()));
        assert_eq!(disk.ask(written("a", 10, &[1; 6])), Err(Failed::Full));
        disk.set_fault(Some((3, Fault::Once)));
        assert_eq!(disk.ask(Operation::Sync { file: "a".into() }), Err(Failed::Broken));
        assert_eq!((disk.ask(Operation::Sync { file: "a".into() }), disk.trace().len()), (Ok(()), 5));
    }

    #[test]
    fn a_write_is_torn_where_sectors_meet() {
        let bytes = [7; 1_200];
        let parts: Vec<_> = sectors(500, &bytes).into_iter().map(|(at, part)| (at, part.len())).collect();
        assert_eq!(parts, [(500, 12), (512, 512), (1_024, 512), (1_536, 164)]);
    }
}

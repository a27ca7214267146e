//! The pages of a damaged book: of each the newest version that is as it was written.

use super::wal::{MARK, Mark, Wal, fill};
use crate::crypto::{DatabaseKey, PageKey};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;
use zeroize::Zeroizing;

/// Where one version of a page lies.
#[derive(Clone, Copy, Debug)]
enum Version {
    File(u64),
    Log(u64),
}

/// What is left of a page.
pub(super) enum Page {
    /// Its content.
    Whole(Zeroizing<Vec<u8>>),
    /// Its content as it was before: the newest version is damaged.
    Older(Zeroizing<Vec<u8>>),
    /// Nothing.
    Damaged,
    /// It was never written.
    Empty,
}

/// The files of a book, read past the database.
pub(super) struct Pages {
    key: PageKey,
    page_bytes: usize,
    file: File,
    log: Option<File>,
    /// Where versions of a page lie in the write-ahead log, oldest first.
    logged: BTreeMap<u32, Vec<u64>>,
    in_file: u32,
    count: u32,
    /// Whether the log lost what was confirmed.
    pub log_damaged: bool,
}

impl Pages {
    /// Opens the files beside `path`; nothing of them is changed.
    pub fn open(path: &Path, key: &DatabaseKey, page_bytes: usize) -> io::Result<Self> {
        let file = File::open(path)?;
        let page = u64::try_from(page_bytes).unwrap_or(u64::MAX);
        let in_file = u32::try_from(file.metadata()?.len().div_ceil(page)).unwrap_or(u32::MAX);
        let mut pages = Self {
            key: PageKey::new(key),
            page_bytes,
            file,
            log: None,
            logged: BTreeMap::new(),
            in_file,
            count: in_file,
            log_damaged: false,
        };
        if let Ok(mut log) = File::open(super::beside(path, "-wal")) {
            let mut wal = Wal::read(&mut log, page_bytes)?;
            if let Some(mark) = Mark::read(&super::beside(path, MARK)) {
                wal.judge_by(&mark);
            }
            for frame in wal.written() {
                pages.logged.entry(frame.page).or_default().push(frame.offset);
            }
            pages.log_damaged = wal.is_damaged();
            pages.log = Some(log);
        }
        Ok(pages)
    }

    /// Numbers of all pages.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        // A damaged frame may name any page; only those that open count.
        let behind: Vec<u32> = self.logged.range(self.count + 1..).map(|(number, _)| *number).collect();
        (1..=self.count).chain(behind)
    }

    /// Reads a page.
    pub fn read(&mut self, number: u32) -> io::Result<Page> {
        let mut versions: Vec<Version> =
            self.logged.get(&number).into_iter().flatten().rev().map(|at| Version::Log(*at)).collect();
        if (1..=self.in_file).contains(&number) {
            versions.push(Version::File(u64::from(number - 1) * u64::try_from(self.page_bytes).unwrap_or(0)));
        }
        let mut newest = true;
        let mut blank = true;
        for version in versions {
            let bytes = self.bytes(version)?;
            // A page that the file grew over and nobody wrote.
            let zeros = bytes.iter().all(|byte| *byte == 0);
            blank &= zeros;
            let mut page = Zeroizing::new(bytes);
            if self.key.open(number, &mut page).is_some() {
                return Ok(if newest { Page::Whole(page) } else { Page::Older(page) });
            }
            newest = false;
        }
        Ok(if blank { Page::Empty } else { Page::Damaged })
    }

    fn bytes(&mut self, version: Version) -> io::Result<Vec<u8>> {
        let (file, at) = match version {
            Version::File(at) => (Some(&mut self.file), at),
            Version::Log(at) => (self.log.as_mut(), at),
        };
        let Some(file) = file else { return Ok(Vec::new()) };
        file.seek(SeekFrom::Start(at))?;
        let mut page = vec![0; self.page_bytes];
        let read = fill(file, &mut page)?;
        page.truncate(read);
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{PAGE_RESERVED, Secret};
    use crate::store::Store;

    /// The database itself is the judge: pages that it wrote open, and show what SQLite's file format says.
    #[test]
    fn pages_that_the_database_wrote_open_and_changed_ones_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("book.db");
        let key = DatabaseKey::new(Secret::new([7; 32]), Secret::new([9; 16]));
        drop(Store::create(&path, &key, "CREATE TABLE x (y); INSERT INTO x VALUES ('twelve words')").unwrap());
        let file = std::fs::read(&path).unwrap();
        assert_eq!(file[..16], [9; 16]);
        let pages = PageKey::new(&key);
        let mut found = false;
        for (number, page) in (1..).zip(file.chunks(8_192)) {
            let mut open = page.to_vec();
            pages.open(number, &mut open).unwrap();
            assert_eq!(open.len(), 8_192 - PAGE_RESERVED);
            // SQLite never takes back room at the end of pages: it holds what the HMAC takes with which SQLCipher
            // begins, SHA-512, and the seal that is used needs less.
            assert!(number > 1 || open.starts_with(b"SQLite format 3\0") && open[20] == 80);
            found |= open.windows(12).any(|window| window == b"twelve words");
            for bit in [16 * 8, 8_000, 8_143 * 8, 8_144 * 8, 8_160 * 8, 8_191 * 8 + 7] {
                let mut changed = page.to_vec();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(pages.open(number, &mut changed), None, "page {number}, bit {bit}");
            }
            assert_eq!(pages.open(number + 1, &mut page.to_vec()), None);
        }
        assert!(found);
        for length in [0, 15, 47, 48, 100] {
            assert_eq!(pages.open(1, &mut vec![0; length]), None);
        }
    }
}

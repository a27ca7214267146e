//! A full disk loses nothing acknowledged: a book on a file system of 4 MiB fills up. What was acknowledged is
//! there, what was not left nothing, and when there is space again the book goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use daybook_core::daybook::{Daybook, Error, ErrorKind, NewIncident, Saved, Say};
use daybook_core::id::PatientId;
use daybook_core::record::{FactKind, Identifier, Setting, Statement};
use daybook_tests::host::SeededHost;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PASSPHRASE: &[u8] = b"correct horse battery";
const DISK_BYTES: u64 = 4 * 1024 * 1024;

/// A file system of 4 MiB; gone when dropped.
struct SmallDisk {
    at: PathBuf,
    _folder: tempfile::TempDir,
}

impl SmallDisk {
    /// A file system in memory, or one in a file of 4 MiB, whose writes reach a block device.
    fn new(kind: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("disk");
        fs::create_dir(&at).unwrap();
        let run = |program: &str, arguments: &[&str]| {
            Command::new(program).args(arguments).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        let place = at.to_str().unwrap();
        let mounted = match kind {
            "tmpfs" => run("mount", &["-t", "tmpfs", "-o", &format!("size={DISK_BYTES}"), "tmpfs", place]),
            _ => {
                let image = folder.path().join("image");
                fs::File::create(&image).unwrap().set_len(DISK_BYTES).unwrap();
                let image = image.to_str().unwrap();
                run("mkfs.ext4", &["-q", "-F", "-b", "4096", "-m", "0", "-O", "^has_journal", image])
                    && run("mount", &["-o", "loop", image, place])
            }
        };
        mounted.then_some(Self { at, _folder: folder })
    }

    /// Takes all space but `left` bytes.
    fn ballast(&self, name: &str, bytes: u64) -> PathBuf {
        let path = self.at.join(name);
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(&vec![0xaa; usize::try_from(bytes).unwrap()]).unwrap();
        file.sync_all().unwrap();
        path
    }

    /// Takes what space is left.
    fn fill(&self, name: &str) -> PathBuf {
        let path = self.at.join(name);
        let mut file = fs::File::create(&path).unwrap();
        for piece in [65_536, 4_096, 512, 1] {
            while file.write_all(&vec![0xaa; piece]).is_ok() {}
        }
        let _ = file.sync_all();
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.at).status();
    }
}

fn host(seed: u64) -> Box<SeededHost> {
    Box::new(SeededHost::new(seed))
}

fn new_book(path: &Path) -> Result<Daybook, Error> {
    let incident =
        NewIncident { incident: "Flood".into(), organisation: "Relief".into(), person: "Ana".into(), exercise: true };
    Daybook::create(path, PASSPHRASE, &incident, host(1)).map(|(book, _)| book)
}

fn add(book: &mut Daybook, tag: &str) -> Result<PatientId, Error> {
    Ok(book.add_patient(&[Setting::Identifier(Identifier { system: "tag", value: tag }, Some(""))])?.value)
}

/// The disk is full: said so, in words, with nothing saved of the command.
fn full(error: &Error, what: &str) {
    assert_eq!((error.code(), error.kind()), ("disk-full", ErrorKind::Environment), "{what}: {error:?}");
    assert_eq!((error.saved(), error.next().is_empty()), (Saved::Nothing, false), "{what}");
}

/// What was acknowledged, and that the book holds it.
#[derive(Default)]
struct Acknowledged {
    patients: Vec<(String, PatientId)>,
    notes: Vec<String>,
}

impl Acknowledged {
    /// Writes until the disk is full, and again as long as that goes further: what failed may have made room.
    fn write_until_full(&mut self, book: &mut Daybook) {
        loop {
            let before = (self.patients.len(), self.notes.len());
            full(&self.write_until_an_error(book), "write");
            if before == (self.patients.len(), self.notes.len()) {
                return;
            }
        }
    }

    fn write_until_an_error(&mut self, book: &mut Daybook) -> Error {
        loop {
            let number = self.patients.len();
            assert!(number < 2_000, "the disk does not fill up");
            let tag = format!("A-{number}");
            match add(book, &tag) {
                Ok(patient) => self.patients.push((tag, patient)),
                Err(error) => return error,
            }
            let text = format!("{number} {}", "x".repeat(number * 37 % 4_000));
            let statement = Statement::Note { text: &text };
            let say = Say { statement, effective: None, targets: Vec::new(), reason: "" };
            match book.say(Some(self.patients[number].1), say) {
                Ok(written) => self.notes.push(written.value.entry.0),
                Err(error) => return error,
            }
        }
    }

    /// Takes all space of a disk, and writes with what the book then still finds, until nothing goes any more.
    fn fill(&mut self, disk: &SmallDisk, book: &mut Daybook) -> Vec<PathBuf> {
        let mut files = Vec::new();
        loop {
            files.push(disk.fill(&format!("rest {}", files.len())));
            let before = (self.patients.len(), self.notes.len());
            self.write_until_full(book);
            if before == (self.patients.len(), self.notes.len()) {
                return files;
            }
            assert!(files.len() < 50, "the disk does not fill up");
        }
    }

    fn all_there(&self, book: &mut Daybook) {
        assert_eq!(book.status().unwrap().patients, self.patients.len() as u64);
        self.all_found(book);
    }

    /// As [`Self::all_there`], where part of something else may be there too.
    fn all_found(&self, book: &mut Daybook) {
        for (tag, patient) in &self.patients {
            assert_eq!(book.resolve_patient(tag).unwrap(), *patient);
        }
        for note in &self.notes {
            assert_eq!(book.fact(note).unwrap().kind, FactKind::Note);
        }
        assert_eq!(book.verify(&mut |_, _| {}).unwrap().problems, Vec::<String>::new());
    }
}

fn free(files: Vec<PathBuf>) {
    files.into_iter().for_each(|file| fs::remove_file(file).unwrap());
}

/// Everything that can be asked of a book on a full disk.
fn fills_up(disk: &SmallDisk) {
    let path = disk.at.join("book");
    let mut book = new_book(&path).unwrap();
    let made_digest = book.digest().unwrap();
    let spare = disk.ballast("spare", 1_400_000);
    let mut acknowledged = Acknowledged::default();
    acknowledged.write_until_full(&mut book);
    // Full to the last byte: all that was acknowledged can be read, by this process and by another.
    let rest = acknowledged.fill(disk, &mut book);
    let digest = book.digest().unwrap();
    acknowledged.all_there(&mut book);
    // Most of the disk holds entries, and not what the database needs beside them.
    assert!(acknowledged.patients.len() >= 30, "{} patients", acknowledged.patients.len());
    full(&add(&mut book, "no space").unwrap_err(), "write again");
    assert!(matches!(book.resolve_patient("no space"), Err(Error::NoSuchPatient)));
    full(&book.rebuild(&mut |_, _| {}).unwrap_err(), "rebuild");
    assert_eq!(book.digest().unwrap(), digest);
    full(&book.backup(&disk.at.join("backup"), PASSPHRASE).unwrap_err(), "backup onto the same disk");
    assert!(!disk.at.join("backup").exists(), "half a backup was left");
    let elsewhere = tempfile::tempdir().unwrap();
    book.backup(&elsewhere.path().join("backup"), PASSPHRASE).unwrap();
    full(&new_book(&disk.at.join("another")).unwrap_err(), "begin another book");
    assert!(!disk.at.join("another").exists(), "half a book was left");
    let changed = Daybook::change_passphrase(&path, PASSPHRASE, b"new", &mut SeededHost::new(5));
    full(&changed.unwrap_err(), "passphrase");
    let mut names: Vec<_> = fs::read_dir(&path).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort_unstable();
    assert_eq!(names, ["book.db", "book.db-mark", "book.db-shm", "book.db-wal", "keys"]);
    let mut file = Vec::new();
    let entries = book.export_log(&mut file).unwrap();
    let mut other = Daybook::open(&path, PASSPHRASE, host(6)).unwrap();
    acknowledged.all_there(&mut other);
    drop(other);

    // Space returns: the next write works, on the same handle, and nothing is left of what failed.
    free(rest);
    free(vec![spare]);
    let patient = add(&mut book, "space").unwrap();
    acknowledged.patients.push(("space".into(), patient));
    acknowledged.all_there(&mut book);
    let digest = book.digest().unwrap();
    book.rebuild(&mut |_, _| {}).unwrap();
    assert_eq!(book.digest().unwrap(), digest);
    assert!(digest != made_digest && book.status().unwrap().entries.total > entries);
    drop(book);
    let mut book = Daybook::open(&path, PASSPHRASE, host(7)).unwrap();
    assert_eq!(book.digest().unwrap(), digest);
    acknowledged.all_there(&mut book);

    // Full again, closed and opened on the full disk: what can be read is read, and space helps as before.
    let spare = disk.ballast("spare", 1_100_000);
    acknowledged.write_until_full(&mut book);
    let rest = acknowledged.fill(disk, &mut book);
    drop(book);
    let beside = disk.fill("what closing freed");
    match Daybook::open(&path, PASSPHRASE, host(8)) {
        Ok(mut book) => acknowledged.all_there(&mut book),
        Err(error) => full(&error, "open"),
    }
    free(rest);
    free(vec![beside, spare]);
    let mut book = Daybook::open(&path, PASSPHRASE, host(9)).unwrap();
    acknowledged.all_there(&mut book);
    let patient = add(&mut book, "space again").unwrap();
    acknowledged.patients.push(("space again".into(), patient));
    acknowledged.all_there(&mut book);

    // A file that is too much for the disk is taken in as far as it goes, and goes on when there is space.
    let spare = disk.ballast("spare", 800_000);
    let rest = acknowledged.fill(disk, &mut book);
    let mut backup =
        Daybook::restore(&elsewhere.path().join("backup"), &elsewhere.path().join("b"), PASSPHRASE, host(10)).unwrap();
    let mut theirs = Acknowledged::default();
    for number in 0..10 {
        let tag = format!("B-{number}");
        theirs.patients.push((tag.clone(), add(&mut backup, &tag).unwrap()));
    }
    let mut file = Vec::new();
    backup.export_log(&mut file).unwrap();
    full(&book.ingest(&mut file.as_slice(), &mut |_| {}).unwrap_err(), "ingest");
    acknowledged.all_found(&mut book);
    free(rest);
    free(vec![spare]);
    let report = (0..3).find_map(|_| match book.ingest(&mut file.as_slice(), &mut |_| {}) {
        Ok(report) => Some(report),
        Err(error) => {
            // The attempt may first have to make room in the database's own journal.
            full(&error, "ingest");
            None
        }
    });
    let report = report.expect("there is space again");
    assert_eq!((report.refused, report.cut_off), (Vec::new(), false));
    acknowledged.patients.extend(theirs.patients);
    acknowledged.all_there(&mut book);
    // What was posted on the way equals what is made anew, where there is space for it.
    book.backup(&elsewhere.path().join("whole"), PASSPHRASE).unwrap();
    let mut whole = Daybook::open(&elsewhere.path().join("whole"), PASSPHRASE, host(11)).unwrap();
    whole.rebuild(&mut |_, _| {}).unwrap();
    assert_eq!(whole.digest().unwrap(), book.digest().unwrap());
}

#[test]
fn a_book_fills_a_disk_in_memory() {
    match SmallDisk::new("tmpfs") {
        Some(disk) => fills_up(&disk),
        None => fills_up_to_a_limit(),
    }
}

#[test]
fn a_book_fills_a_disk_of_blocks() {
    match SmallDisk::new("ext4") {
        Some(disk) => fills_up(&disk),
        None => fills_up_to_a_limit(),
    }
}

/// Where nothing can be mounted: a process that may write files of at most 2 MiB. The system then says that the
/// file is too large and not that the disk is full, so the handle may ask to be opened again.
#[test]
fn a_book_reaches_the_greatest_file_that_a_process_may_write() {
    fills_up_to_a_limit();
}

fn fills_up_to_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book");
    let mut book = new_book(&path).unwrap();
    add(&mut book, "shared").unwrap();
    let before = book.status().unwrap().entries.total;
    drop(book);
    let mut writer = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 4096; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_writer")])
        .args([path.to_str().unwrap(), std::str::from_utf8(PASSPHRASE).unwrap(), "2", "100000"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let lines: Vec<String> = BufReader::new(writer.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    assert_eq!(writer.wait().unwrap().code(), Some(1));
    let (last, commits) = lines.split_last().unwrap();
    assert!(["error disk-full Environment", "error disk-failed Environment"].contains(&last.as_str()), "{last}");
    assert!(commits.len() > 5, "{commits:?}");
    let said: u64 = commits.iter().skip(1).map(|line| line.split(' ').nth(1).unwrap().parse::<u64>().unwrap()).sum();
    let mut book = Daybook::open(&path, PASSPHRASE, host(3)).unwrap();
    let total = book.status().unwrap().entries.total;
    // The system did not say whether the last one is there: at most one commit more than was acknowledged.
    assert!((before + said..=before + said + 2).contains(&total), "{total}, {before} and {said}");
    for line in commits.iter().skip(1) {
        let code = line.split(' ').nth(2).unwrap();
        assert!(!matches!(book.fact(code), Err(Error::NoSuchEntry)), "{line}");
    }
    assert_eq!(book.verify(&mut |_, _| {}).unwrap().problems, Vec::<String>::new());
    let digest = book.digest().unwrap();
    book.rebuild(&mut |_, _| {}).unwrap();
    assert_eq!(book.digest().unwrap(), digest);
    add(&mut book, "space").unwrap();
}

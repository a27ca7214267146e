//! Folders that are no book: whatever lies there, opening it ends soon, says what it is and what to do next, and
//! changes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use daybook_core::crypto::{KeyFile, Label, derive_short};
use daybook_core::daybook::{Daybook, Error, ErrorKind, NewIncident, Saved, Say};
use daybook_core::record::{Identifier, Setting, Statement};
use daybook_tests::host::SeededHost;
use daybook_tests::pages;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const PASSPHRASE: &[u8] = b"correct horse battery";
const PAGE: usize = 8_192;

fn incident() -> NewIncident {
    NewIncident { incident: "Flood".into(), organisation: "Relief".into(), person: "Ana".into(), exercise: true }
}

fn host(seed: u64) -> Box<SeededHost> {
    Box::new(SeededHost::new(seed))
}

fn add(book: &mut Daybook, tag: &str) -> Result<(), Error> {
    book.add_patient(&[Setting::Identifier(Identifier { system: "tag", value: tag }, Some(""))]).map(drop)
}

/// A closed book with some entries in it, and copies of it to spoil.
struct Folders {
    folder: tempfile::TempDir,
    made: u32,
}

impl Folders {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mut book, _) = Daybook::create(&folder.path().join("good"), PASSPHRASE, &incident(), host(1)).unwrap();
        for number in 0..20 {
            add(&mut book, &format!("A-{number}")).unwrap();
            let text = "x".repeat(2_000);
            let patient = book.resolve_patient(&format!("A-{number}")).unwrap();
            let statement = Statement::Note { text: &text };
            book.say(Some(patient), Say { statement, effective: None, targets: Vec::new(), reason: "" }).unwrap();
        }
        Self { folder, made: 0 }
    }

    fn copy(&mut self) -> PathBuf {
        self.made += 1;
        let to = self.folder.path().join(format!("copy {}", self.made));
        fs::create_dir(&to).unwrap();
        for name in ["book.db", "keys"] {
            fs::copy(self.folder.path().join("good").join(name), to.join(name)).unwrap();
        }
        to
    }

    /// A copy whose file `name` was changed.
    fn spoilt(&mut self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
        let copy = self.copy();
        let mut bytes = fs::read(copy.join(name)).unwrap();
        change(&mut bytes);
        fs::write(copy.join(name), bytes).unwrap();
        copy
    }
}

/// Every file beneath a folder with its bytes; nothing if there is no such folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    if folder.is_file() {
        all.insert(folder.to_owned(), fs::read(folder).unwrap());
    }
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        all.insert(path.clone(), Vec::new());
        all.extend(files(&path));
    }
    all
}

/// An error says its cause, kind, what is on disk and what to do next, without a word from the inside.
fn speaks(error: &Error, code: &str, kind: ErrorKind, what: &str) {
    assert_eq!((error.code(), error.kind()), (code, kind), "{what}: {error:?}");
    assert_eq!(error.saved(), Saved::Nothing, "{what}");
    assert!(!error.next().is_empty() && !error.to_string().is_empty(), "{what}");
    for inside in ["sqlite", "SQL", "NotADatabase", "HMAC", "Argon", "page", "os error"] {
        assert!(!error.to_string().contains(inside), "{what}: {error}");
    }
}

/// Opening fails so, soon, and leaves the folder as it was, but for the count of wrong passphrases.
fn refuses(folder: &Path, code: &str, kind: ErrorKind, what: &str) {
    let before = files(folder);
    let begun = Instant::now();
    let opened = Daybook::open(folder, PASSPHRASE, host(2));
    let taken = begun.elapsed();
    let Err(error) = opened else { panic!("{what}: opened") };
    speaks(&error, code, kind, what);
    assert!(taken < Duration::from_secs(4), "{what}: {taken:?}");
    let mut after = files(folder);
    if code == "wrong-passphrase" {
        assert!(after.remove(&folder.join("attempts")).is_some(), "{what}: not counted");
    }
    assert!(after == before, "{what}: something was changed");
}

#[test]
fn folders_without_a_book() {
    let mut folders = Folders::new();
    let path = |name: &str| folders.folder.path().join(name);
    refuses(&path("nowhere"), "no-book", ErrorKind::Environment, "no folder");
    fs::create_dir(path("empty")).unwrap();
    refuses(&path("empty"), "no-book", ErrorKind::Environment, "an empty folder");
    fs::create_dir(path("photos")).unwrap();
    fs::write(path("photos").join("1.jpg"), [0xff, 0xd8]).unwrap();
    refuses(&path("photos"), "no-book", ErrorKind::Environment, "a folder of other files");
    fs::write(path("letter"), "text").unwrap();
    refuses(&path("letter"), "no-book", ErrorKind::Environment, "a file");
    let copy = folders.copy();
    fs::remove_file(copy.join("keys")).unwrap();
    refuses(&copy, "keys-damaged", ErrorKind::Damaged, "keys is missing");
    let copy = folders.copy();
    fs::remove_file(copy.join("book.db")).unwrap();
    refuses(&copy, "damaged", ErrorKind::Damaged, "book.db is missing");
    let copy = folders.copy();
    fs::remove_file(copy.join("keys")).unwrap();
    fs::create_dir(copy.join("keys")).unwrap();
    refuses(&copy, "file", ErrorKind::Environment, "keys is a folder");
    for wrong in ["", "Correct horse battery", "correct horse battery ", "correct horse batterу"] {
        let copy = folders.copy();
        let Err(error) = Daybook::open(&copy, wrong.as_bytes(), host(2)) else { panic!("opened with {wrong:?}") };
        speaks(&error, "wrong-passphrase", ErrorKind::Denied, wrong);
        let mut changer = SeededHost::new(2);
        let Err(error) = Daybook::change_passphrase(&copy, wrong.as_bytes(), b"new", &mut changer) else {
            panic!("changed with {wrong:?}")
        };
        speaks(&error, "wrong-passphrase", ErrorKind::Denied, wrong);
        assert!(Daybook::open(&copy, PASSPHRASE, host(3)).is_ok());
    }
}

/// Makes the checksum fit again, as somebody would who changes the file on purpose.
fn with_checksum(keys: &mut [u8]) {
    let (content, sum) = keys.split_last_chunk_mut::<8>().unwrap();
    *sum = derive_short(Label::KeyFile, &[content]);
}

#[test]
fn keys_that_are_damaged_newer_or_forged() {
    let mut folders = Folders::new();
    for at in 0..KeyFile::BYTES {
        let copy = folders.spoilt("keys", |keys| keys[at] ^= 1 << (at % 8));
        let (code, kind) =
            if at < 8 { ("not-a-book", ErrorKind::Environment) } else { ("keys-damaged", ErrorKind::Damaged) };
        refuses(&copy, code, kind, &format!("byte {at} of keys"));
    }
    for length in [0, 7, 8, 9, 62, KeyFile::BYTES - 8, KeyFile::BYTES - 1, KeyFile::BYTES + 1, 100_000] {
        let copy = folders.spoilt("keys", |keys| keys.resize(length, 0));
        let (code, kind) =
            if length < 8 { ("not-a-book", ErrorKind::Environment) } else { ("keys-damaged", ErrorKind::Damaged) };
        refuses(&copy, code, kind, &format!("keys of {length} bytes"));
    }
    // Forged with a checksum that fits. What asks for work out of bounds is refused before the work.
    for at in [10, 14, 18] {
        for claimed in [0, 1, 2, 1 << 20 | 1, 1 << 31, u32::MAX] {
            if at == 18 && claimed == 1 {
                continue;
            }
            let copy = folders.spoilt("keys", |keys| {
                keys[at..at + 4].copy_from_slice(&claimed.to_le_bytes());
                with_checksum(keys);
            });
            refuses(&copy, "keys-damaged", ErrorKind::Damaged, &format!("{claimed} at {at} of keys"));
        }
    }
    let copy = folders.spoilt("keys", |keys| {
        keys[10..18].copy_from_slice(&(1_u64 << 40).to_le_bytes());
        with_checksum(keys);
    });
    refuses(&copy, "keys-damaged", ErrorKind::Damaged, "2^40");
    for at in [22, 37, 38, 61, 62, 109, 110, 125] {
        let copy = folders.spoilt("keys", |keys| {
            keys[at] ^= 1;
            with_checksum(keys);
        });
        refuses(&copy, "wrong-passphrase", ErrorKind::Denied, &format!("byte {at} of keys, forged"));
    }
    for version in [2_u16, 0xffff] {
        let copy = folders.spoilt("keys", |keys| {
            keys[8..10].copy_from_slice(&version.to_le_bytes());
            keys.extend([7; 40]);
            with_checksum(keys);
        });
        refuses(&copy, "newer-book", ErrorKind::Environment, "keys of a later version");
    }
}

#[test]
fn databases_that_are_damaged_or_another_file() {
    let mut folders = Folders::new();
    let mut damaged = |what: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let copy = folders.spoilt("book.db", change);
        refuses(&copy, "damaged", ErrorKind::Damaged, what);
    };
    damaged("zero length", &|bytes| bytes.clear());
    damaged("one byte", &|bytes| bytes.truncate(1));
    damaged("half a page", &|bytes| bytes.truncate(PAGE / 2));
    damaged("one page", &|bytes| bytes.truncate(PAGE));
    damaged("half of its pages", &|bytes| bytes.truncate(bytes.len() / PAGE / 2 * PAGE));
    damaged("first page of zeros", &|bytes| bytes[..PAGE].fill(0));
    damaged("a flipped bit in the first page", &|bytes| bytes[5_000] ^= 1);
    damaged("text", &|bytes| *bytes = b"Dear all, this is a letter.".to_vec());
    damaged("a plain SQLite file", &|bytes| {
        let plain = tempfile::NamedTempFile::new().unwrap();
        let connection = rusqlite::Connection::open(plain.path()).unwrap();
        connection.execute_batch("CREATE TABLE patient (name TEXT); INSERT INTO patient VALUES ('x')").unwrap();
        drop(connection);
        *bytes = fs::read(plain.path()).unwrap();
    });
    damaged("the database of another book", &|bytes| {
        let other = tempfile::tempdir().unwrap();
        drop(Daybook::create(&other.path().join("b"), PASSPHRASE, &incident(), host(77)).unwrap());
        *bytes = fs::read(other.path().join("b").join("book.db")).unwrap();
    });
    // Its own first bytes can be lost: key and salt are kept in `keys`.
    let copy = folders.spoilt("book.db", |bytes| bytes[..16].fill(0xee));
    let opened = Daybook::open(&copy, PASSPHRASE, host(2)).unwrap().digest().unwrap();
    let good = folders.copy();
    assert_eq!(opened, Daybook::open(&good, PASSPHRASE, host(2)).unwrap().digest().unwrap());
}

#[test]
fn a_damaged_page_anywhere_is_damage_and_never_another_answer() {
    let mut folders = Folders::new();
    let good = folders.copy();
    let (digest, total) = {
        let mut book = Daybook::open(&good, PASSPHRASE, host(2)).unwrap();
        (book.digest().unwrap(), book.status().unwrap().entries.total)
    };
    let pages = fs::read(good.join("book.db")).unwrap().len() / PAGE;
    let mut noticed_on_opening = 0;
    for page in 1..pages {
        let copy = folders.spoilt("book.db", |bytes| bytes[page * PAGE + 100..page * PAGE + 200].fill(0x5a));
        let what = format!("page {} of {pages}", page + 1);
        let before = files(&copy);
        match Daybook::open(&copy, PASSPHRASE, host(2)) {
            Err(error) => {
                speaks(&error, "damaged", ErrorKind::Damaged, &what);
                noticed_on_opening += 1;
            }
            Ok(mut book) => {
                match book.verify(&mut |_, _| {}) {
                    Err(error) => speaks(&error, "damaged", ErrorKind::Damaged, &what),
                    Ok(report) => assert!(!report.problems.is_empty(), "{what}: not noticed"),
                }
                // What can be read is right; the rest says why not.
                match book.digest() {
                    Err(error) => speaks(&error, "damaged", ErrorKind::Damaged, &what),
                    Ok(found) => assert_eq!(found, digest, "{what}"),
                }
                match book.status() {
                    Err(error) => speaks(&error, "damaged", ErrorKind::Damaged, &what),
                    Ok(status) => assert_eq!(status.entries.total, total, "{what}"),
                }
                // Each of these opens a book or two, which costs a passphrase each: now and then is enough.
                if page % 5 != 0 {
                    drop(book);
                    assert!(files(&copy) == before, "{what}: something was changed");
                    continue;
                }
                let target = copy.join("backup");
                match book.backup(&target, PASSPHRASE) {
                    Err(error) => speaks(&error, "damaged", ErrorKind::Damaged, &what),
                    // The page held nothing that cannot be made again: then the backup is whole.
                    Ok(()) => {
                        let mut backup = Daybook::open(&target, PASSPHRASE, host(4)).unwrap();
                        assert_eq!(backup.verify(&mut |_, _| {}).unwrap().problems, Vec::<String>::new(), "{what}");
                        assert_eq!(backup.digest().unwrap(), digest, "{what}");
                        drop(backup);
                        fs::remove_dir_all(&target).unwrap();
                    }
                }
                assert!(!target.exists(), "{what}: half a backup was left");
                drop(book);
                let Err(error) = Daybook::restore(&copy, &target, PASSPHRASE, host(3)) else {
                    panic!("{what}: restored from damage")
                };
                speaks(&error, "damaged", ErrorKind::Damaged, &what);
                assert!(!target.exists());
            }
        }
        assert!(files(&copy) == before, "{what}: something was changed");
    }
    assert!(noticed_on_opening > 0 && noticed_on_opening < pages - 1, "{noticed_on_opening} of {pages}");
}

/// Opens the database itself, as no program but this test does.
fn raw(folder: &Path) -> rusqlite::Connection {
    pages::open(folder, PASSPHRASE)
}

#[test]
fn databases_of_later_versions_and_of_other_programs() {
    let mut folders = Folders::new();
    for (pragma, value, code) in [
        ("user_version", 2, "newer-book"),
        ("user_version", i32::MAX, "newer-book"),
        ("application_id", 0, "damaged"),
        ("application_id", 0x4d50_424d, "damaged"),
    ] {
        let copy = folders.copy();
        let connection = raw(&copy);
        connection.pragma_update(None, pragma, value).unwrap();
        drop(connection);
        let kind = if code == "damaged" { ErrorKind::Damaged } else { ErrorKind::Environment };
        refuses(&copy, code, kind, &format!("{pragma} {value}"));
    }
    // A table or a value is missing that every book has.
    for statement in ["DELETE FROM book WHERE key = 'device'", "UPDATE book SET value = x'00' WHERE key = 'founding'"] {
        let copy = folders.copy();
        raw(&copy).execute_batch(statement).unwrap();
        refuses(&copy, "damaged", ErrorKind::Damaged, statement);
    }
}

/// A folder seen through a mount that cannot be written.
struct ReadOnlyMount(PathBuf);

impl ReadOnlyMount {
    fn new(of: &Path, at: &Path) -> Option<Self> {
        fs::create_dir(at).unwrap();
        let mount =
            |arguments: &[&str]| Command::new("mount").args(arguments).output().is_ok_and(|o| o.status.success());
        let (of, path) = (of.to_str().unwrap(), at.to_str().unwrap());
        if !mount(&["--bind", of, path]) {
            return None;
        }
        let guard = Self(at.to_owned());
        mount(&["-o", "remount,bind,ro", path]).then_some(guard)
    }
}

impl Drop for ReadOnlyMount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_folder_that_cannot_be_written() {
    let mut folders = Folders::new();
    let copy = folders.copy();
    let at = folders.folder.path().join("read-only");
    let Some(mount) = ReadOnlyMount::new(&copy, &at) else {
        return by_permissions(&copy);
    };
    let before = files(&copy);
    match Daybook::open(&mount.0, PASSPHRASE, host(2)) {
        Err(error) => speaks(&error, "read-only", ErrorKind::Environment, "open"),
        Ok(mut book) => {
            assert!(book.status().unwrap().patients == 20);
            speaks(&add(&mut book, "X").unwrap_err(), "read-only", ErrorKind::Environment, "write");
        }
    }
    let Err(error) = Daybook::change_passphrase(&mount.0, PASSPHRASE, b"new", &mut SeededHost::new(3)) else {
        panic!("changed the passphrase")
    };
    speaks(&error, "read-only", ErrorKind::Environment, "passphrase");
    let inside = mount.0.join("new");
    let Err(error) = Daybook::create(&inside, PASSPHRASE, &incident(), host(4)) else { panic!("created") };
    speaks(&error, "read-only", ErrorKind::Environment, "create");
    // A backup can be made of it, or it says why not; never into it.
    let good = folders.copy();
    let Err(error) = Daybook::open(&good, PASSPHRASE, host(5)).unwrap().backup(&inside, PASSPHRASE) else {
        panic!("backed up")
    };
    speaks(&error, "read-only", ErrorKind::Environment, "backup");
    drop(mount);
    assert!(files(&copy) == before, "something was changed");
    assert!(Daybook::open(&copy, PASSPHRASE, host(6)).is_ok());
}

/// Where nothing can be mounted: permissions, which bind everybody but root.
fn by_permissions(copy: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    allow(&copy.join("book.db"), 0o444);
    allow(copy, 0o555);
    if fs::write(copy.join("probe"), "").is_ok() {
        let _ = fs::remove_file(copy.join("probe"));
        println!("not checked: this user may neither mount nor is bound by permissions");
    } else {
        match Daybook::open(copy, PASSPHRASE, host(2)) {
            Err(error) => speaks(&error, "read-only", ErrorKind::Environment, "open"),
            Ok(mut book) => speaks(&add(&mut book, "X").unwrap_err(), "read-only", ErrorKind::Environment, "write"),
        }
    }
    allow(copy, 0o755);
}

#[test]
fn a_file_that_cannot_be_changed() {
    let mut folders = Folders::new();
    let copy = folders.copy();
    let attribute = |change: &str| {
        let of = Command::new("chattr").arg(change).args([copy.join("book.db"), copy.join("keys")]).output();
        of.is_ok_and(|output| output.status.success())
    };
    if !attribute("+i") {
        println!("not checked: no `chattr +i` on this file system for this user");
        return;
    }
    let opened = Daybook::open(&copy, PASSPHRASE, host(2)).map(|mut book| add(&mut book, "X"));
    let changed = Daybook::change_passphrase(&copy, PASSPHRASE, b"new", &mut SeededHost::new(3));
    assert!(attribute("-i"));
    match opened {
        Err(error) | Ok(Err(error)) => speaks(&error, "read-only", ErrorKind::Environment, "book.db"),
        Ok(Ok(())) => panic!("written"),
    }
    assert_eq!(changed.unwrap_err().kind(), ErrorKind::Environment);
    let mut book = Daybook::open(&copy, PASSPHRASE, host(4)).unwrap();
    add(&mut book, "X").unwrap();
}

#[test]
fn a_book_that_vanished_while_it_was_open_acknowledges_nothing() {
    let mut folders = Folders::new();
    let vanished = |what: &str, copy: &Path, vanish: &dyn Fn()| {
        let mut book = Daybook::open(copy, PASSPHRASE, host(2)).unwrap();
        add(&mut book, "before").unwrap();
        vanish();
        let begun = Instant::now();
        match add(&mut book, "after") {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Environment, "{what}: {error:?}"),
            Ok(()) => panic!("{what}: acknowledged what is nowhere"),
        }
        assert!(book.rebuild(&mut |_, _| {}).is_err() && begun.elapsed() < Duration::from_secs(4));
    };
    let copy = folders.copy();
    vanished("the folder is gone", &copy, &|| fs::remove_dir_all(&copy).unwrap());
    let copy = folders.copy();
    vanished("the database is gone", &copy, &|| fs::remove_file(copy.join("book.db")).unwrap());
    let (copy, other) = (folders.copy(), folders.copy());
    vanished("another file took its place", &copy, &|| {
        fs::rename(other.join("book.db"), copy.join("book.db")).unwrap()
    });
    // A folder that was renamed is still the book: what is acknowledged is in it.
    let copy = folders.copy();
    let moved = copy.with_extension("moved");
    let mut book = Daybook::open(&copy, PASSPHRASE, host(2)).unwrap();
    fs::rename(&copy, &moved).unwrap();
    let written = add(&mut book, "after");
    drop(book);
    let found = Daybook::open(&moved, PASSPHRASE, host(3)).unwrap().resolve_patient("after");
    assert!(written.is_err() || found.is_ok(), "{found:?}");
}

#[test]
fn a_book_that_cannot_be_begun_leaves_nothing_behind() {
    let mut folders = Folders::new();
    let path = folders.folder.path().join("new");
    let begin = |path: &Path, passphrase: &[u8], new: &NewIncident| {
        Daybook::create(path, passphrase, new, host(9)).map(drop).unwrap_err()
    };
    speaks(&begin(&path, b"", &incident()), "empty-passphrase", ErrorKind::Usage, "no passphrase");
    assert!(!path.exists(), "a folder was left");
    let nameless = NewIncident { incident: "  ".into(), ..incident() };
    speaks(&begin(&path, PASSPHRASE, &nameless), "value", ErrorKind::Usage, "no name");
    assert!(!path.exists(), "a folder was left");
    let endless = NewIncident { organisation: "x".repeat(100_000), ..incident() };
    speaks(&begin(&path, PASSPHRASE, &endless), "value", ErrorKind::Usage, "a long name");
    assert!(!path.exists(), "a folder was left");
    // What is there stays as it is.
    let copy = folders.copy();
    let before = files(&copy);
    speaks(&begin(&copy, PASSPHRASE, &incident()), "book-exists", ErrorKind::Refused, "a book is there");
    fs::remove_file(copy.join("book.db")).unwrap();
    speaks(&begin(&copy, PASSPHRASE, &incident()), "book-exists", ErrorKind::Refused, "keys are there");
    fs::write(copy.join("book.db"), &before[&copy.join("book.db")]).unwrap();
    assert!(files(&copy) == before);
    let letter = folders.folder.path().join("letter");
    fs::write(&letter, "text").unwrap();
    assert_eq!(begin(&letter, PASSPHRASE, &incident()).kind(), ErrorKind::Environment);
    assert_eq!(begin(&letter.join("book"), PASSPHRASE, &incident()).kind(), ErrorKind::Environment);
    assert_eq!(fs::read(&letter).unwrap(), b"text");
    // A book may be begun among other files, and a backup goes where none is.
    let photos = folders.folder.path().join("photos");
    fs::create_dir(&photos).unwrap();
    fs::write(photos.join("1.jpg"), [0xff]).unwrap();
    drop(Daybook::create(&photos, PASSPHRASE, &incident(), host(9)).unwrap());
    let mut book = Daybook::open(&photos, PASSPHRASE, host(10)).unwrap();
    assert_eq!(book.backup(&copy, PASSPHRASE).unwrap_err().code(), "book-exists");
    assert!(files(&copy) == before && photos.join("1.jpg").exists());
    let target = folders.folder.path().join("target");
    assert_eq!(book.backup(&target, b"").unwrap_err().code(), "empty-passphrase");
    assert!(!target.exists(), "a folder was left");
}

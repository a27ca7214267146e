//! Nothing readable outside the book: words are planted wherever people write words, and are found in a decrypted
//! copy and nowhere else, in no encoding: not in the folder, its journal, backups and exports, in temporary files,
//! in what is printed, in errors or in what a log may print.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use daybook_core::daybook::Daybook;
use daybook_tests::host::SeededHost;
use daybook_tests::pages;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const PASSPHRASE: &str = "zqpassphrase0k7 of several words";
/// Words that the writer plants; it stops if there are too few or too many.
const WORDS: usize = 67;

/// Words that are letters and digits only, so that folding for search leaves them as they are.
fn words() -> Vec<String> {
    (0..WORDS).map(|number| format!("zq{}x{number:03}", ["ana", "bol", "cru", "dwe"][number % 4])).collect()
}

/// A word as it may lie in memory or a file.
fn encodings(word: &str) -> [Vec<u8>; 3] {
    let wide = |bytes: fn(u16) -> [u8; 2]| word.encode_utf16().flat_map(bytes).collect();
    [word.as_bytes().to_vec(), wide(u16::to_le_bytes), wide(u16::to_be_bytes)]
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// The words among `words` that some bytes hold, in any encoding and either case.
fn found<'a>(bytes: &[u8], words: &'a [String]) -> Vec<&'a str> {
    let lower = bytes.to_ascii_lowercase();
    // All words begin alike in their first two letters, which sorts out nearly everything at once.
    let some = encodings("zq").iter().any(|start| contains(&lower, start));
    let holds = |word: &str| some && encodings(word).iter().any(|encoded| contains(&lower, encoded));
    words.iter().map(String::as_str).filter(|word| holds(word)).collect()
}

/// Every file beneath a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}

fn nothing_in(folder: &Path, words: &[String]) -> usize {
    let all = files(folder);
    for path in &all {
        assert_eq!(found(&fs::read(path).unwrap(), words), Vec::<&str>::new(), "{}", path.display());
        assert_eq!(found(path.to_str().unwrap().as_bytes(), words), Vec::<&str>::new());
    }
    all.len()
}

/// Files that a process has open and that have no name any more.
fn nameless_files(writer: &Child) -> Vec<PathBuf> {
    let Ok(open) = fs::read_dir(format!("/proc/{}/fd", writer.id())) else {
        println!("not checked: this system does not list a process's open files");
        return Vec::new();
    };
    let open: Vec<PathBuf> = open.filter_map(|file| fs::read_link(file.ok()?.path()).ok()).collect();
    assert!(open.iter().any(|path| path.ends_with("book.db-wal")), "{open:?}");
    open.into_iter().filter(|path| path.to_string_lossy().contains("(deleted)")).collect()
}

/// The database without its encryption.
fn decrypted(book: &Path, to: &Path) -> Vec<u8> {
    let connection = pages::open(book, PASSPHRASE.as_bytes());
    connection.execute("ATTACH DATABASE ?1 AS plain KEY ''", [to.to_str().unwrap()]).unwrap();
    connection.query_row("SELECT sqlcipher_export('plain')", [], |_| Ok(())).unwrap();
    connection.execute_batch("DETACH DATABASE plain").unwrap();
    fs::read(to).unwrap()
}

#[test]
fn planted_words_are_in_a_decrypted_copy_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (book, temporary) = (path("book"), path("temporary"));
    fs::create_dir(&temporary).unwrap();
    let words = words();
    let mut secret = words.clone();
    secret.push(PASSPHRASE.split(' ').next().unwrap().to_owned());
    let mut writer = Command::new(env!("CARGO_BIN_EXE_writer"))
        .args(["plant", book.to_str().unwrap(), PASSPHRASE])
        .args(&words)
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "1")
        .env("TMPDIR", &temporary)
        .env("SQLITE_TMPDIR", &temporary)
        .current_dir(&temporary)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(writer.stdout.take().unwrap());
    let mut printed = String::new();
    while output.read_line(&mut printed).unwrap() > 0 && !printed.ends_with("planted\n") {}
    if !printed.ends_with("planted\n") {
        let mut why = String::new();
        writer.stderr.take().unwrap().read_to_string(&mut why).unwrap();
        panic!("{why}");
    }

    // While the book is open: the folder with its journal and the mark of how far that is durable, and whatever
    // the process made beside it.
    assert!(book.join("book.db-wal").metadata().unwrap().len() > 0);
    assert_eq!(nothing_in(&book, &secret), 5);
    assert_eq!(nothing_in(&temporary, &secret), 0, "no file is made outside the book");
    assert_eq!(nameless_files(&writer), Vec::<PathBuf>::new());
    writer.stdin.take().unwrap().write_all(b"end\n").unwrap();
    output.read_to_string(&mut printed).unwrap();
    let mut errors = String::new();
    writer.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(writer.wait().unwrap().success(), "{errors}");

    // What was printed: errors as people read them, and everything that a log may print.
    assert!(printed.lines().count() > 20);
    for line in printed.lines().chain(errors.lines()) {
        assert_eq!(found(line.as_bytes(), &secret), Vec::<&str>::new(), "{line}");
    }
    assert_eq!(errors, "", "the library prints nothing");

    // After it was closed; a backup of it, an export of it.
    nothing_in(&book, &secret);
    let mut opened = Daybook::open(&book, PASSPHRASE.as_bytes(), Box::new(SeededHost::new(2))).unwrap();
    opened.backup(&path("backup"), format!("another {}", words[3]).as_bytes()).unwrap();
    nothing_in(&path("backup"), &secret);
    let mut export = Vec::new();
    opened.export_log(&mut export).unwrap();
    // The names of incident and organisation are public: they stand in the founding statement.
    assert_eq!(found(&export, &secret), [words[0].as_str(), words[1].as_str()]);
    drop(opened);

    // The same search finds every word in a decrypted copy: all were planted, and would have been found.
    let plain = decrypted(&book, &path("plain.db"));
    let there = found(&plain, &words);
    let missing: Vec<&str> = words.iter().map(String::as_str).filter(|word| !there.contains(word)).collect();
    assert_eq!(found(&plain, &secret).len(), there.len(), "the passphrase is nowhere, not even inside");
    // The name of the founder is sealed once more inside; what an import refused and what was only asked for
    // was never kept.
    assert_eq!(missing, [&words[2], &words[64], &words[66]]);
}

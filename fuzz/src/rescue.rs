//! Salvage of a book whose file was damaged: pages that are not as they were written, and pages that are and hold
//! what no book of this program holds. Of the first what is saved is sound. Of the second, which nobody without the key
//! can make, it is enough that nothing panics: pages that prove themselves are believed, and `verify` says what is wrong.
//!
//! An input is a list of steps, each of four bytes: what is done, where (two bytes), and a value.

use crate::members::look;
use crate::samples::{samples, scratch};
use daybook_core::daybook::{Daybook, ErrorKind};
use daybook_tests::crash::disk::{Disk, Image};
use daybook_tests::crash::vfs;
use daybook_tests::host::SeededHost;
use daybook_tests::pages;
use std::path::Path;

/// Steps that are done, at most.
const STEPS_MAX: usize = 8;
/// Bytes of a page.
const PAGE_BYTES: usize = 8_192;

/// What somebody with the key could make of the tables; `?1` is a number of the input.
const CHANGES: &[&str] = &[
    "DELETE FROM log WHERE id = ?1",
    "DELETE FROM branch WHERE log = ?1",
    "DELETE FROM ground WHERE id = ?1",
    "DELETE FROM head WHERE entry IN (SELECT entry FROM head LIMIT 1 OFFSET ?1)",
    "DELETE FROM entry WHERE id IN (SELECT id FROM entry LIMIT 1 OFFSET ?1)",
    "DELETE FROM entry WHERE id IN (SELECT id FROM entry LIMIT 5 OFFSET ?1)",
    "DELETE FROM book WHERE key IN (SELECT key FROM book LIMIT 1 OFFSET ?1)",
    "DELETE FROM secret WHERE key IN (SELECT key FROM secret LIMIT 1 OFFSET ?1)",
    "UPDATE entry SET body = zeroblob(?1 * ?1) WHERE id IN (SELECT id FROM entry LIMIT 1 OFFSET ?1)",
    "UPDATE entry SET entry = zeroblob(?1) WHERE id IN (SELECT id FROM entry LIMIT 1 OFFSET ?1)",
    "UPDATE entry SET id = id + ?1 WHERE id IN (SELECT id FROM entry ORDER BY id DESC LIMIT 1)",
    "UPDATE entry SET id = -id WHERE id IN (SELECT id FROM entry LIMIT 1 OFFSET ?1)",
    "UPDATE entry SET ground = ?1 WHERE id IN (SELECT id FROM entry LIMIT 1 OFFSET ?1)",
    "UPDATE entry SET nonce = 'text' WHERE id IN (SELECT id FROM entry LIMIT 1 OFFSET ?1)",
    "UPDATE entry SET erased = ?1 WHERE id IN (SELECT id FROM entry LIMIT 1 OFFSET ?1)",
    "UPDATE entry SET erased = -1 WHERE id IN (SELECT id FROM entry LIMIT 1 OFFSET ?1)",
    "UPDATE branch SET fork_seq = ?1, parent = branch + 1 WHERE branch = 0",
    "UPDATE branch SET tip_seq = 9223372036854775807 WHERE log = ?1",
    "UPDATE branch SET tip_seq = ?1, tip_id = zeroblob(32)",
    "UPDATE log SET device = zeroblob(?1) WHERE id = ?1",
    "UPDATE log SET id = id + 1000000 * ?1 WHERE id = ?1",
    "UPDATE head SET signature = zeroblob(64) WHERE entry IN (SELECT entry FROM head LIMIT 1 OFFSET ?1)",
    "UPDATE ground SET granted = zeroblob(?1), hint = x'', key = zeroblob(32) WHERE id = ?1",
    "UPDATE book SET value = zeroblob(?1) WHERE key IN (SELECT key FROM book LIMIT 1 OFFSET ?1)",
    "UPDATE secret SET secret = zeroblob(?1)",
    "DROP TABLE ground",
    "DROP TABLE head",
    "DROP TABLE verdict",
];

/// A damaged book is salvaged.
///
/// # Panics
/// Where something is wrong.
pub fn salvage(input: &[u8]) {
    let (damaged, target) = (scratch("damaged"), scratch("salvaged"));
    let mut files = samples().files.clone();
    for step in input.as_chunks::<4>().0.iter().take(STEPS_MAX) {
        damage(&mut files, &damaged, *step);
    }
    // Salvage reads the files themselves and not through the database.
    let _ = std::fs::remove_dir_all(&damaged);
    std::fs::create_dir_all(&damaged).expect("a folder");
    for (name, bytes) in &files {
        std::fs::write(damaged.join(name), bytes).expect("a file");
    }
    let changed = input.as_chunks::<4>().0.iter().take(STEPS_MAX).any(|[kind, ..]| kind & 0x80 != 0);
    vfs::mount(&target, Disk::default());
    match Daybook::salvage_with_key(&damaged, &target, samples().script.key(), Box::new(SeededHost::new(7))) {
        Ok((mut book, _)) if changed => ask(&mut book),
        Ok((mut book, report)) => {
            let held = book.status().expect("a status").entries.total;
            assert!(held <= report.entries + report.behind_gaps, "{held} entries of {report:?}");
            look(&mut book);
        }
        Err(error) => assert!(changed || error.kind() != ErrorKind::Bug, "{error}"),
    }
    vfs::unmount(&target);
    let _ = std::fs::remove_dir_all(&damaged);
    let _ = std::fs::remove_dir_all(&target);
}

/// Asks a book what people ask it; it may say that it is damaged.
fn ask(book: &mut Daybook) {
    let _ = book.verify(&mut |_, _| {});
    let _ = book.find("", 5);
    let _ = book.findings(true);
    let _ = book.stock();
    let _ = book.log(None, 50);
    let _ = book.rebuild(&mut |_, _| {});
    let _ = book.digest();
}

fn damage(files: &mut Image, folder: &Path, [kind, high, low, value]: [u8; 4]) {
    if kind & 0x80 != 0 {
        return change(files, folder, (usize::from(kind & 0x7f), u16::from_be_bytes([high, low])));
    }
    let name = if kind & 0x40 == 0 { "book.db" } else { "book.db-wal" };
    let Some(bytes) = files.get_mut(name) else { return };
    let pages = bytes.len() / PAGE_BYTES;
    if pages == 0 {
        return;
    }
    let page = usize::from(high) % pages * PAGE_BYTES;
    let at = page + usize::from(low) * 32 % PAGE_BYTES;
    match kind % 6 {
        0 => bytes[at] ^= 1 << (value % 8),
        1 => bytes[page..page + PAGE_BYTES].fill(value),
        2 => bytes.copy_within(page..page + PAGE_BYTES, usize::from(value) % pages * PAGE_BYTES),
        3 => bytes.truncate(at),
        4 => bytes.extend_from_within(page..page + PAGE_BYTES),
        _ => drop(bytes.drain(page..page + PAGE_BYTES)),
    }
}

/// Changes tables by the database itself, if it still opens: every page is as it was written afterwards.
fn change(files: &mut Image, folder: &Path, (which, number): (usize, u16)) {
    let disk = vfs::mount(folder, Disk::new(std::mem::take(files)));
    {
        let file = pages::open_with_key(folder, samples().script.key());
        let _ = file.execute_batch("PRAGMA foreign_keys = OFF");
        let sql = CHANGES[which % CHANGES.len()];
        let _ = if sql.contains("?1") { file.execute(sql, [number % 600]) } else { file.execute(sql, []) };
    }
    vfs::unmount(folder);
    files.clone_from(disk.lock().expect("no test failed here").files());
}

//! The file of a book without the program around it, for tests that look into it or change it behind its back.

use daybook_core::crypto::{DatabaseKey, KeyFile};
use daybook_core::id::hex;
use rusqlite::Connection;
use std::path::Path;

/// Opens `book.db` of a folder with the key in its `keys`, as no program but a test does.
///
/// # Panics
/// If there is no book, or the passphrase is another.
#[must_use]
pub fn open(folder: &Path, passphrase: &[u8]) -> Connection {
    let key = std::fs::read(folder.join("keys")).expect("a file of keys");
    open_with_key(folder, &KeyFile::open(&key, passphrase).expect("the passphrase"))
}

/// As [`open`], with the key itself.
///
/// # Panics
/// If there is no book.
#[must_use]
pub fn open_with_key(folder: &Path, key: &DatabaseKey) -> Connection {
    let file = Connection::open(folder.join("book.db")).expect("a file");
    let settings = [
        ("key", format!("x'{}{}'", hex(key.key()), hex(key.salt()))),
        ("cipher_page_size", "8192".to_owned()),
        ("cipher_hmac_algorithm", "HMAC_SHA256".to_owned()),
    ];
    for (name, value) in settings {
        file.pragma_update(None, name, value).expect("a setting");
    }
    file
}

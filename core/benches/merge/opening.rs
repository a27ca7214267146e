//! How long a book takes to open, apart from its passphrase, whose cost is chosen.

use super::book::PASSPHRASE;
use super::measure::{forget_cached, took};
use daybook_core::daybook::{Daybook, FolderKeys, KeyStore};
use daybook_tests::host::SeededHost;
use serde_json::{Value, json};
use std::path::Path;

/// Opens the book of a folder twice: when nothing of it is in memory, and again. In seconds by the wall.
pub fn measure(folder: &Path) -> Value {
    let (key, passphrase) = took(|| FolderKeys::of(folder).unlock(PASSPHRASE).expect("the right passphrase"));
    let open = |seed| took(|| Daybook::open_with_key(folder, &key, Box::new(SeededHost::new(seed))).expect("a book")).1;
    let cold = forget_cached(folder);
    let (first, again) = (open(81), open(82));
    json!({
        "open_s": first.wall.as_secs_f64(), "open_again_s": again.wall.as_secs_f64(), "cold": cold,
        "passphrase_s": passphrase.wall.as_secs_f64(),
    })
}

//! Keys that came and were wrong: told to people until a right one comes. Nothing of it travels.
//!
//! ```text
//! value "key trouble" = (key id 32) ...      in the order in which they came, at most 64
//! ```

use crate::crypto::ReadingKey;
use crate::id::KeyId;
use crate::store::{Store, StoreError};
use rusqlite::Connection;
use std::collections::BTreeMap;

const TROUBLE: &str = "key trouble";
/// Most keys that are remembered; the oldest goes first.
const KEYS_MAX: usize = 64;

/// The keys of which wrong ones came, oldest first.
pub(super) fn all(connection: &Connection) -> Result<Vec<KeyId>, StoreError> {
    let value = Store::value_in(connection, TROUBLE)?.unwrap_or_default();
    Ok(value.as_chunks::<32>().0.iter().map(|key| KeyId::new(*key)).collect())
}

/// Remembers that a wrong one came.
pub(super) fn note(tx: &Connection, key: KeyId) -> Result<(), StoreError> {
    let mut keys = all(tx)?;
    keys.retain(|known| *known != key);
    keys.push(key);
    let from = keys.len().saturating_sub(KEYS_MAX);
    set(tx, keys.get(from..).unwrap_or_default())
}

/// Forgets those that are held now.
pub(super) fn forget(tx: &Connection, held: &BTreeMap<KeyId, ReadingKey>) -> Result<(), StoreError> {
    let keys = all(tx)?;
    let left: Vec<KeyId> = keys.iter().filter(|key| !held.contains_key(key)).copied().collect();
    if left.len() == keys.len() { Ok(()) } else { set(tx, &left) }
}

fn set(tx: &Connection, keys: &[KeyId]) -> Result<(), StoreError> {
    let bytes: Vec<u8> = keys.iter().flat_map(|key| *key.as_bytes()).collect();
    Store::set_value(tx, TROUBLE, &bytes)
}

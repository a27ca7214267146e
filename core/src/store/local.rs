//! What is local to this device: named values, and the secrets of epochs.

use super::{Store, StoreError};
use crate::crypto::{EpochSecret, ReadingKey, Secret};
use crate::id::{CompartmentId, DeviceId, KeyId};
use rusqlite::{Connection, OptionalExtension};

/// The secret of one epoch as this device holds it.
#[derive(Clone, Debug)]
pub enum StoredSecret {
    /// The secret itself: opens also the epochs that this one replaced.
    History(EpochSecret),
    /// The reading key alone.
    Reading(Secret<32>),
}

/// The reading keys of this device by key id, with their compartments.
pub type Secrets = Vec<(KeyId, CompartmentId, StoredSecret)>;

impl StoredSecret {
    /// The reading key.
    #[must_use]
    pub fn reading_key(&self) -> ReadingKey {
        match self {
            Self::History(secret) => secret.reading_key(),
            Self::Reading(key) => ReadingKey::from_secret(key.clone()),
        }
    }
}

impl Store {
    /// A named value, if there is one.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn value(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Self::value_in(self.read()?, key)
    }

    /// As [`Store::value`], inside a transaction.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn value_in(connection: &Connection, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let mut statement = connection.prepare_cached("SELECT value FROM book WHERE key = ?1")?;
        Ok(statement.query_row([key], |row| row.get(0)).optional()?)
    }

    /// Sets a named value.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn set_value(connection: &Connection, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let mut statement = connection.prepare_cached(
            "INSERT INTO book (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
        )?;
        statement.execute((key, value))?;
        Ok(())
    }

    /// The named values whose names begin with `prefix`, in rising order of name, at most `most`.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn values_of(connection: &Connection, prefix: &str, most: usize) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let mut statement = connection
            .prepare_cached("SELECT key, value FROM book WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3")?;
        let (end, most) = (format!("{prefix}\u{10ffff}"), i64::try_from(most).unwrap_or(i64::MAX));
        let rows = statement.query_map((prefix, end, most), |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Name of the value at a place, from 0, among those whose names begin with `prefix`.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn name_at(connection: &Connection, prefix: &str, place: usize) -> Result<Option<String>, StoreError> {
        let mut statement = connection
            .prepare_cached("SELECT key FROM book WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT 1 OFFSET ?3")?;
        let (end, place) = (format!("{prefix}\u{10ffff}"), i64::try_from(place).unwrap_or(i64::MAX));
        Ok(statement.query_row((prefix, end, place), |row| row.get(0)).optional()?)
    }

    /// Drops a named value.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn drop_value(connection: &Connection, key: &str) -> Result<(), StoreError> {
        connection.prepare_cached("DELETE FROM book WHERE key = ?1")?.execute([key])?;
        Ok(())
    }

    /// Keeps the secret of an epoch; one with history replaces a reading key.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn put_secret(
        connection: &Connection,
        key: KeyId,
        compartment: CompartmentId,
        secret: &StoredSecret,
    ) -> Result<(), StoreError> {
        let (history, bytes) = match secret {
            StoredSecret::History(secret) => (true, secret.secret().expose()),
            StoredSecret::Reading(key) => (false, key.expose()),
        };
        connection.execute(
            "INSERT INTO secret (key, compartment, history, secret) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (key) DO UPDATE SET history = ?3, secret = ?4 WHERE ?3 > history",
            (key.as_bytes(), compartment.as_bytes(), history, bytes),
        )?;
        Ok(())
    }

    /// Throws away all secrets of epochs and the parcels that a device can open; what they held is overwritten in
    /// the file. [`Store::forget_pages`] does the same with what the write-ahead log holds.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn forget_secrets(tx: &Connection, own: &DeviceId) -> Result<(), StoreError> {
        tx.pragma_update(None, "secure_delete", "ON")?;
        tx.execute("DELETE FROM secret", [])?;
        tx.execute("DELETE FROM parcel WHERE recipient = ?1", [own.as_bytes()])?;
        Ok(())
    }

    /// All secrets of epochs that this device holds, in rising order of key id.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read, [`StoreError::Damaged`] if a row does not fit.
    pub fn secrets(&self) -> Result<Secrets, StoreError> {
        Self::secrets_in(self.read()?)
    }

    /// As [`Store::secrets`], inside a transaction.
    ///
    /// # Errors
    /// As [`Store::secrets`].
    pub fn secrets_in(connection: &Connection) -> Result<Secrets, StoreError> {
        let mut statement =
            connection.prepare_cached("SELECT key, compartment, history, secret FROM secret ORDER BY key")?;
        let rows = statement.query_map([], |row| {
            Ok((
                row.get::<_, [u8; 32]>(0)?,
                row.get::<_, [u8; 32]>(1)?,
                row.get::<_, bool>(2)?,
                row.get::<_, [u8; 32]>(3)?,
            ))
        })?;
        rows.map(|row| {
            let (key, compartment, history, secret) = row?;
            let secret = Secret::new(secret);
            let secret = if history {
                StoredSecret::History(EpochSecret::from_secret(secret))
            } else {
                StoredSecret::Reading(secret)
            };
            Ok((KeyId::new(key), CompartmentId::new(compartment), secret))
        })
        .collect()
    }
}

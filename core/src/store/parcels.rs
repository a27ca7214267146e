//! Parcels that are kept: own ones until they are opened, those of others for whoever meets them.

use super::{Store, StoreError};
use crate::crypto::{AgreementPublic, Parcel, ParcelGroup};
use crate::id::{DeviceId, KeyId};
use crate::limits::PARCELS_KEPT_PER_KEY_AND_RECIPIENT;
use rusqlite::{Connection, Rows};

impl Store {
    /// Keeps the parcels of a group, at most four per key and recipient. Gives how many are new.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn put_parcels(tx: &Connection, group: &ParcelGroup) -> Result<usize, StoreError> {
        let mut new = 0;
        for parcel in &group.parcels {
            let mut statement = tx.prepare_cached(
                "INSERT INTO parcel (key, recipient, ephemeral, sealed)
                 SELECT ?1, ?2, ?3, ?4
                 WHERE NOT EXISTS (SELECT 1 FROM parcel WHERE recipient = ?2 AND key = ?1 AND sealed = ?4)
                   AND (SELECT count(*) FROM parcel WHERE recipient = ?2 AND key = ?1) < ?5",
            )?;
            new += statement.execute((
                group.key_id.as_bytes(),
                parcel.recipient.as_bytes(),
                group.ephemeral.as_bytes(),
                parcel.sealed,
                i64::try_from(PARCELS_KEPT_PER_KEY_AND_RECIPIENT).unwrap_or(i64::MAX),
            ))?;
        }
        Ok(new)
    }

    /// All parcels that are kept, in the groups in which they were made, in order of key.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read; rows that do not fit are left out.
    pub fn parcel_groups(connection: &Connection) -> Result<Vec<ParcelGroup>, StoreError> {
        let mut statement = connection.prepare_cached(
            "SELECT key, ephemeral, recipient, sealed FROM parcel ORDER BY key, ephemeral, recipient, id",
        )?;
        let mut rows = statement.query([])?;
        let mut groups: Vec<ParcelGroup> = Vec::new();
        while let Some(row) = rows.next()? {
            let (key_id, Ok(ephemeral)) = (KeyId::new(row.get(0)?), AgreementPublic::parse(&row.get(1)?)) else {
                continue;
            };
            let parcel = Parcel { recipient: DeviceId::new(row.get(2)?), sealed: row.get(3)? };
            match groups.last_mut().filter(|group| group.key_id == key_id && group.ephemeral == ephemeral) {
                Some(group) => group.parcels.push(parcel),
                None => groups.push(ParcelGroup { key_id, ephemeral, parcels: vec![parcel] }),
            }
        }
        Ok(groups)
    }

    /// The parcels for a device whose keys are not held here, or not with their history, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read; rows that do not fit are left out.
    pub fn parcels_for(connection: &Connection, recipient: &DeviceId) -> Result<Vec<KeptParcel>, StoreError> {
        let mut statement = connection.prepare_cached(
            "SELECT id, key, ephemeral, sealed FROM parcel
             WHERE recipient = ?1 AND key NOT IN (SELECT key FROM secret WHERE history) ORDER BY id",
        )?;
        KeptParcel::all(*recipient, statement.query([recipient.as_bytes()])?)
    }

    /// The parcels of one key for a device, oldest first.
    ///
    /// # Errors
    /// As [`Store::parcels_for`].
    pub fn parcels_of(
        connection: &Connection,
        recipient: &DeviceId,
        key: &KeyId,
    ) -> Result<Vec<KeptParcel>, StoreError> {
        let mut statement = connection.prepare_cached(
            "SELECT id, key, ephemeral, sealed FROM parcel WHERE recipient = ?1 AND key = ?2 ORDER BY id",
        )?;
        KeptParcel::all(*recipient, statement.query((recipient.as_bytes(), key.as_bytes()))?)
    }

    /// How many parcels are kept.
    ///
    /// # Errors
    /// As [`Store::parcels_for`].
    pub fn parcels(connection: &Connection) -> Result<u64, StoreError> {
        let count: i64 = connection.query_row("SELECT count(*) FROM parcel", [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// Throws a parcel away, as one that was opened.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn drop_parcel(tx: &Connection, row: i64) -> Result<(), StoreError> {
        tx.prepare_cached("DELETE FROM parcel WHERE id = ?1")?.execute([row])?;
        Ok(())
    }
}

/// A parcel that is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeptParcel {
    /// Its number in this book.
    pub row: i64,
    /// The epoch's key.
    pub key: KeyId,
    /// The maker's key of its moment.
    pub ephemeral: AgreementPublic,
    /// The wrapped secret and whom it is for.
    pub parcel: Parcel,
}

impl KeptParcel {
    fn all(recipient: DeviceId, mut rows: Rows<'_>) -> Result<Vec<Self>, StoreError> {
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let parcel = Parcel { recipient, sealed: row.get(3)? };
            if let Ok(ephemeral) = AgreementPublic::parse(&row.get(2)?) {
                found.push(Self { row: row.get(0)?, key: KeyId::new(row.get(1)?), ephemeral, parcel });
            }
        }
        Ok(found)
    }
}

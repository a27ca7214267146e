//! Parcels that are kept: own ones until they are opened, those of others for whoever meets them.

use super::{Store, StoreError};
use crate::crypto::{AgreementPublic, Parcel, ParcelGroup};
use crate::id::{DeviceId, KeyId};
use crate::limits::PARCELS_KEPT_PER_KEY_AND_RECIPIENT;
use rusqlite::Connection;

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

    /// The parcels for a device whose keys are not held here, with their keys and ephemeral keys.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read; rows that do not fit are left out.
    pub fn parcels_for(
        connection: &Connection,
        recipient: &DeviceId,
    ) -> Result<Vec<(KeyId, Parcel, AgreementPublic)>, StoreError> {
        let mut statement = connection.prepare_cached(
            "SELECT key, ephemeral, sealed FROM parcel
             WHERE recipient = ?1 AND key NOT IN (SELECT key FROM secret) ORDER BY id",
        )?;
        let mut rows = statement.query([recipient.as_bytes()])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let parcel = Parcel { recipient: *recipient, sealed: row.get(2)? };
            if let Ok(ephemeral) = AgreementPublic::parse(&row.get(1)?) {
                found.push((KeyId::new(row.get(0)?), parcel, ephemeral));
            }
        }
        Ok(found)
    }
}

//! Names of logs, kept twice: without its name a log is bytes that nobody can place, and one damaged page of the
//! table of logs would cost all that some dozens of logs hold.
//!
//! ```text
//! value "log NUMBER" = author's public keys 96 | incarnation 16 | compartment 32 | lane 1
//! ```

use super::{Store, StoreError};
use crate::crypto::DevicePublic;
use crate::entry::Bytes;
use crate::id::{CompartmentId, Incarnation, Lane};
use crate::log::LogName;
use rusqlite::Connection;

impl Store {
    pub(super) fn keep_name(tx: &Connection, number: i64, name: &LogName) -> Result<(), StoreError> {
        let parts: [&[u8]; 4] =
            [&name.author.to_bytes(), name.incarnation.as_bytes(), name.compartment.as_bytes(), &[name.lane.number()]];
        Self::set_value(tx, &key(number), &parts.concat())
    }

    /// The name of a log as it was kept the second time; none in a book that was begun before names were kept twice.
    pub(super) fn kept_name(connection: &Connection, number: i64) -> Result<Option<LogName>, StoreError> {
        Ok(Self::value_in(connection, &key(number))?.and_then(|bytes| read(&bytes)))
    }
}

fn key(number: i64) -> String {
    format!("log {number}")
}

fn read(bytes: &[u8]) -> Option<LogName> {
    let mut bytes = Bytes::new(bytes);
    let author = DevicePublic::parse(&bytes.array::<96>().ok()?).ok()?;
    let (incarnation, compartment) = (Incarnation::new(bytes.array().ok()?), CompartmentId::new(bytes.array().ok()?));
    let [lane] = bytes.array().ok()?;
    Some(LogName::new(author, incarnation, compartment, Lane::from_number(lane)?))
}

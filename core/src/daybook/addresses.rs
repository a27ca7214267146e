//! Where other devices of the incident answered or are said to answer. Local: nothing of it travels.
//!
//! ```text
//! value "addresses" = one a line, of the enrolment reply      value "reached" = one a line, newest first
//! ```

use super::Daybook;
use super::error::Error;
use crate::store::{Store, StoreError};
use rusqlite::Connection;

const GIVEN: &str = "addresses";
const REACHED: &str = "reached";
/// Most addresses of either kind that are kept.
const ADDRESSES_MAX: usize = 16;
/// Longest address that is kept: a name in the network and a port.
const ADDRESS_BYTES_MAX: usize = 256 + 6;

/// Keeps the addresses of an enrolment reply.
pub(super) fn keep_given(tx: &Connection, addresses: &[String]) -> Result<(), StoreError> {
    keep(tx, GIVEN, addresses.iter().map(String::as_str))
}

fn keep<'a>(tx: &Connection, name: &str, addresses: impl Iterator<Item = &'a str>) -> Result<(), StoreError> {
    let mut kept: Vec<&str> = Vec::new();
    for address in addresses {
        let fits = !address.is_empty() && address.len() <= ADDRESS_BYTES_MAX && !address.contains(char::is_control);
        if fits && !kept.contains(&address) && kept.len() < ADDRESSES_MAX {
            kept.push(address);
        }
    }
    Store::set_value(tx, name, kept.join("\n").as_bytes())
}

impl Daybook {
    /// Where other devices may answer: where one did, newest first, then what the enrolment reply said.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub fn addresses(&mut self) -> Result<Vec<String>, Error> {
        self.refresh()?;
        let mut found: Vec<String> = Vec::new();
        for name in [REACHED, GIVEN] {
            let value = self.store.value(name)?.unwrap_or_default();
            for address in String::from_utf8_lossy(&value).lines() {
                if !found.iter().any(|known| known == address) {
                    found.push(address.to_owned());
                }
            }
        }
        Ok(found)
    }

    /// Notes that a device of the incident answered at an address.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be written.
    pub fn note_reached(&mut self, address: &str) -> Result<(), Error> {
        self.write(|writer| {
            let value = Store::value_in(writer.tx, REACHED)?.unwrap_or_default();
            let before = String::from_utf8_lossy(&value);
            if before.lines().next() == Some(address) {
                return Ok(());
            }
            Ok(keep(writer.tx, REACHED, [address].into_iter().chain(before.lines()))?)
        })
    }
}

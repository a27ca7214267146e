//! With whom this book was in sync. Local: nothing of it travels.
//!
//! ```text
//! value "peer <device id, hexadecimal>" = time 8 (ms, signed) | (log id 32 | place 8 | entry id 32) ...
//! ```

use super::Daybook;
use super::error::Error;
use super::types::Author;
use crate::id::{DeviceId, EntryId, LogId};
use crate::store::{EntryKey, Store};
use crate::sync::{Covered, LogHeads};

const PEER: &str = "peer ";
const HEAD_BYTES: usize = 72;

/// A device that this book was in sync with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerSeen {
    /// Who.
    pub who: Author,
    /// When, in milliseconds since 1970-01-01 UTC by this device's clock.
    pub at_ms: i64,
    /// Entries of this book that it did not have then.
    pub behind: u64,
}

/// Devices that this book was in sync with.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Elsewhere {
    /// Devices that this book was in sync with, newest first.
    pub peers: Vec<PeerSeen>,
}

/// The name of the value about a device.
fn name(device: DeviceId) -> String {
    format!("{PEER}{}", device.to_hex())
}

impl Daybook {
    /// Who a device is, as far as it is known here.
    #[must_use]
    pub fn who(&self, device: DeviceId) -> Author {
        self.state.author(device)
    }

    /// Whether the next write begins a new installation: own entries came back that this book did not have, it was
    /// restored, or it wrote nothing yet.
    #[must_use]
    pub const fn begins_anew(&self) -> bool {
        self.state.begin
    }

    /// A number that changes when another process of this computer writes to the book.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub fn version_elsewhere(&self) -> Result<i64, Error> {
        Ok(self.store.read()?.pragma_query_value(None, "data_version", |row| row.get(0))?)
    }

    /// Notes that a device holds durably exactly these logs, as this book does. Both sides of a session note the
    /// same, so that the next one begins with what changed since.
    pub(super) fn note_agreed(&mut self, device: DeviceId, logs: &[LogHeads]) -> Result<(), Error> {
        self.write(|writer| {
            let mut value = writer.host.now_ms().to_le_bytes().to_vec();
            for log in logs {
                for branch in &log.branches {
                    value.extend_from_slice(log.log.as_bytes());
                    value.extend_from_slice(&branch.tip_seq.to_le_bytes());
                    value.extend_from_slice(branch.tip_id.as_bytes());
                }
            }
            Ok(Store::set_value(writer.tx, &name(device), &value)?)
        })
    }

    /// What a device and this book held when they last agreed; nothing if that was not noted.
    pub(super) fn noted(&mut self, device: DeviceId) -> Result<Covered, Error> {
        let value = self.store.value(&name(device))?;
        Ok(value.and_then(|value| read(&value)).map(|(_, heads)| heads).unwrap_or_default())
    }

    /// With whom this book was in sync, and how many of its entries came since.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub fn elsewhere(&mut self) -> Result<Elsewhere, Error> {
        self.refresh()?;
        let connection = self.store.read()?;
        let peers = noted_heads(connection)?;
        let mut behind = vec![0; peers.len()];
        for log in Store::logs(connection)? {
            for branch in Store::branches(connection, log.number)? {
                let entries = branch.tip_seq - branch.fork_seq;
                for ((_, _, heads), behind) in peers.iter().zip(&mut behind) {
                    let mut held = 0;
                    for (seq, id) in heads.get(&log.log).into_iter().flatten() {
                        let place = EntryKey::new(log.number, *seq, branch.branch);
                        if Store::entry(connection, place)?.is_some_and(|entry| entry.id == *id) {
                            held = held.max(seq.saturating_sub(branch.fork_seq));
                        }
                    }
                    *behind += entries.saturating_sub(held);
                }
            }
        }
        let mut seen: Vec<PeerSeen> = peers
            .into_iter()
            .zip(behind)
            .map(|((device, at_ms, _), behind)| PeerSeen { who: self.state.author(device), at_ms, behind })
            .collect();
        seen.sort_by_key(|peer| std::cmp::Reverse((peer.at_ms, peer.who.device)));
        Ok(Elsewhere { peers: seen })
    }
}

/// Devices that this book was in sync with, when, and what they held then.
pub(super) fn noted_heads(connection: &rusqlite::Connection) -> Result<Vec<(DeviceId, i64, Covered)>, Error> {
    let mut peers = Vec::new();
    let mut statement = connection.prepare_cached("SELECT key, value FROM book WHERE key BETWEEN ?1 AND ?2")?;
    let mut rows = statement.query((PEER, format!("{PEER}g")))?;
    while let Some(row) = rows.next()? {
        let (key, value): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let device = key.strip_prefix(PEER).and_then(DeviceId::from_hex);
        if let (Some(device), Some((at, heads))) = (device, read(&value)) {
            peers.push((device, at, heads));
        }
    }
    Ok(peers)
}

/// Forgets what was noted: a book that lost entries does not hold any more what it agreed on.
pub(super) fn forget_noted(tx: &rusqlite::Connection) -> Result<(), Error> {
    tx.execute("DELETE FROM book WHERE key BETWEEN ?1 AND ?2", (PEER, format!("{PEER}g")))?;
    Ok(())
}

/// Time and heads of a value; none if it does not fit.
fn read(value: &[u8]) -> Option<(i64, Covered)> {
    let (at, rest) = value.split_first_chunk::<8>()?;
    let (heads, []) = rest.as_chunks::<HEAD_BYTES>() else { return None };
    let mut by_log = Covered::new();
    for head in heads {
        let (log, rest) = head.split_first_chunk::<32>()?;
        let (seq, id) = rest.split_first_chunk::<8>()?;
        by_log.entry(LogId::new(*log)).or_default().push((u64::from_le_bytes(*seq), EntryId::from_slice(id)?));
    }
    Some((i64::from_le_bytes(*at), by_log))
}

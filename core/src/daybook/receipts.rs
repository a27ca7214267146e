//! Receipts: what other devices signed to hold of this book, kept until they sign for more. Local: nothing of it
//! travels.
//!
//! ```text
//! value "receipt <device id, hexadecimal>" = time 8 (ms, signed) | device keys 96 | incarnation 16 | signature 64 | heads
//! ```
//! The heads are laid as `sync` signs them, so a kept receipt proves itself. It covers exactly these heads and
//! what lies behind them; an older one says nothing of newer entries.

use super::error::Error;
use super::state::State;
use super::writing::Writer;
use crate::crypto::{DevicePublic, Signature};
use crate::entry::Bytes;
use crate::id::{DeviceId, Incarnation, LogId};
use crate::roster::{Control, Rights};
use crate::store::{Store, StoreError};
use crate::sync::{Covered, LogHeads, Peer, Receipt, covered, frontier, heads, verify_receipt};
use rusqlite::Connection;
use std::collections::BTreeSet;

const RECEIPT: &str = "receipt ";
/// Most receipts that are kept; the oldest goes first.
const RECEIPTS_MAX: usize = 256;

/// Why a receipt that is kept does not count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Doubt {
    /// The device has no grant that holds.
    Ended,
    /// The device is barred.
    Barred,
    /// The installation that signed forked one of its logs: two books wrote under its name.
    Forked,
    /// The device began anew since, as after a restore: what the old installation held may be gone.
    BeganAnew,
}

/// A receipt that is kept and proves itself.
pub(super) struct Kept {
    pub device: DeviceId,
    pub at_ms: i64,
    incarnation: Incarnation,
    pub covered: Covered,
}

/// Keeps a receipt in place of the device's last one. One of this very device, as a copy of this book gives it, is
/// not kept: it is the same holder.
pub(super) fn keep(writer: &mut Writer<'_>, peer: &Peer, receipt: &Receipt, covers: &[LogHeads]) -> Result<(), Error> {
    if peer.device == writer.state.device_id {
        return Ok(());
    }
    let mut value = writer.host.now_ms().to_le_bytes().to_vec();
    value.extend_from_slice(&peer.public.to_bytes());
    value.extend_from_slice(receipt.incarnation.as_bytes());
    value.extend_from_slice(&receipt.signature.0);
    value.extend_from_slice(&heads(covers));
    Store::set_value(writer.tx, &format!("{RECEIPT}{}", peer.device.to_hex()), &value)?;
    // The value begins with its time, but a time is no text: the oldest is found by reading them.
    let mut times: Vec<(i64, String)> = Vec::new();
    for (key, value) in values(writer.tx)? {
        times.push((value.first_chunk::<8>().map_or(i64::MIN, |time| i64::from_le_bytes(*time)), key));
    }
    times.sort_unstable();
    for (_, key) in times.iter().take(times.len().saturating_sub(RECEIPTS_MAX)) {
        writer.tx.execute("DELETE FROM book WHERE key = ?1", [key])?;
    }
    Ok(())
}

fn values(connection: &Connection) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT key, value FROM book WHERE key BETWEEN ?1 AND ?2")?;
    let rows = statement.query_map((RECEIPT, format!("{RECEIPT}g")), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// When the newest receipt came, by this device's clock; none if there is none.
pub(super) fn newest_ms(connection: &Connection) -> Result<Option<i64>, StoreError> {
    let values = values(connection)?.into_iter();
    Ok(values.filter_map(|(_, value)| value.first_chunk::<8>().map(|time| i64::from_le_bytes(*time))).max())
}

/// All receipts that are kept, newest first. What does not prove itself is passed over.
pub(super) fn all(connection: &Connection, state: &State) -> Result<Vec<Kept>, StoreError> {
    let kept = values(connection)?.into_iter().filter_map(|(_, value)| read(&value, state));
    let mut kept: Vec<Kept> = kept.collect();
    kept.sort_by_key(|kept| std::cmp::Reverse((kept.at_ms, kept.device)));
    Ok(kept)
}

fn read(value: &[u8], state: &State) -> Option<Kept> {
    let mut from = Bytes::new(value);
    let at_ms = i64::from_le_bytes(from.array().ok()?);
    let public = DevicePublic::parse(&from.array::<96>().ok()?).ok()?;
    let (incarnation, signature) = (Incarnation::new(from.array().ok()?), Signature(from.array().ok()?));
    let receipt = Receipt { frontier: frontier(from.rest()), incarnation, signature };
    verify_receipt(&public, &state.ring.incident, state.device_id, &receipt).ok()?;
    Some(Kept { device: public.device_id(), at_ms, incarnation, covered: covered(from.rest())? })
}

/// Why a receipt does not count, if so.
pub(super) fn doubt(connection: &Connection, state: &State, kept: &Kept) -> Result<Option<Doubt>, StoreError> {
    let roster = &state.ring.roster;
    if !roster.is_root(kept.device) && roster.grants_of(kept.device).next().is_none() {
        return Ok(Some(Doubt::Ended));
    }
    if roster.is_barred(kept.device).is_some() {
        return Ok(Some(Doubt::Barred));
    }
    let mut statement = connection.prepare_cached(
        "SELECT log.log, EXISTS (SELECT 1 FROM branch WHERE branch.log = log.id AND branch > 0)
         FROM log WHERE device = ?1 AND incarnation = ?2",
    )?;
    let rows = statement.query_map((kept.device.as_bytes(), kept.incarnation.as_bytes()), |row| {
        Ok((LogId::new(row.get(0)?), row.get::<_, bool>(1)?))
    })?;
    let logs: Vec<(LogId, bool)> = rows.collect::<Result<_, _>>()?;
    if logs.iter().any(|(_, forked)| *forked) {
        return Ok(Some(Doubt::Forked));
    }
    let logs: BTreeSet<LogId> = logs.into_iter().map(|(log, _)| log).collect();
    let began_anew = state.control.iter().filter(|entry| entry.device == kept.device).any(|entry| {
        matches!(&entry.control, Control::Incarnation { previous } if previous.iter().any(|head| logs.contains(&head.log)))
    });
    Ok(began_anew.then_some(Doubt::BeganAnew))
}

/// Whether a device carries only: it may read nothing.
pub(super) fn is_hub(state: &State, device: DeviceId) -> bool {
    let roster = &state.ring.roster;
    let reads = |held: &crate::roster::Held| held.rights.iter().any(|(_, rights)| rights.covers(Rights::READ));
    !roster.is_root(device) && !roster.grants_of(device).any(|(_, held)| reads(held))
}

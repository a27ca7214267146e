//! Receipts: a device's signed statement of what it durably holds.
//!
//! ```text
//! frontier = H(frontier, (log id 32 | count 1 | (place 8 | entry id 32) ...) ...)     logs and heads in rising order
//! receipt  = signature of "daybook 1 receipt" | incident 32 | signer 32 | receiver 32 | frontier 32
//! ```

use super::frame::Receipt;
use super::reason::SessionRule;
use super::shelf::LogHeads;
use crate::crypto::{Deriver, DevicePublic, DeviceSecret, Label, Purpose, Signature};
use crate::id::{DeviceId, EntryId, IncidentId, LogId};
use std::collections::{BTreeMap, BTreeSet};

/// The hash of all heads of a book.
pub fn frontier(logs: &[LogHeads]) -> [u8; 32] {
    let sorted: BTreeMap<&LogId, BTreeSet<(u64, &EntryId)>> = logs
        .iter()
        .map(|log| (&log.log, log.branches.iter().map(|branch| (branch.tip_seq, &branch.tip_id)).collect()))
        .collect();
    let mut hash = Deriver::new(Label::Frontier);
    for (log, heads) in sorted {
        hash.update(log.as_bytes()).update(&[u8::try_from(heads.len()).unwrap_or(u8::MAX)]);
        for (seq, id) in heads {
            hash.update(&seq.to_le_bytes()).update(id.as_bytes());
        }
    }
    hash.finish()
}

fn message(incident: &IncidentId, signer: DeviceId, receiver: DeviceId, frontier: &[u8; 32]) -> Vec<u8> {
    [&incident.as_bytes()[..], signer.as_bytes(), receiver.as_bytes(), frontier].concat()
}

/// Signs what this device holds, for the one who receives it.
pub fn sign(device: &DeviceSecret, incident: &IncidentId, receiver: DeviceId, frontier: &[u8; 32]) -> Signature {
    let signer = device.public().device_id();
    device.signing.sign(Purpose::Receipt, &message(incident, signer, receiver, frontier))
}

/// Verifies a receipt that `own` was given.
pub fn verify(
    signer: &DevicePublic,
    incident: &IncidentId,
    own: DeviceId,
    receipt: &Receipt,
) -> Result<(), SessionRule> {
    let message = message(incident, signer.device_id(), own, &receipt.frontier);
    signer.sign.verify(Purpose::Receipt, &message, &receipt.signature).map_err(|_| SessionRule::Frame)
}

//! Receipts: a device's signed statement of what it durably holds.
//!
//! ```text
//! heads    = (log id 32 | count 1 | (place 8 | entry id 32) ...) ...      logs and heads in rising order
//! frontier = H(frontier, heads)
//! receipt  = signature of "daybook 1 receipt" | incident 32 | signer 32 | incarnation 16 | receiver 32 | frontier 32
//! ```
//!
//! Signed is only what [`super::Shelf::frontier`] tells, and that is what a durable transaction left: the store
//! publishes a transaction to its readers after it was synced to the disk.

use super::frame::Receipt;
use super::reason::SessionRule;
use super::shelf::LogHeads;
use crate::crypto::{DevicePublic, DeviceSecret, Label, Purpose, derive};
use crate::entry::Bytes;
use crate::id::{DeviceId, EntryId, Incarnation, IncidentId, LogId};
use crate::limits::BRANCHES_PER_LOG_MAX;
use std::collections::{BTreeMap, BTreeSet};

/// Heads by log, as a receipt covers them.
pub type Covered = BTreeMap<LogId, Vec<(u64, EntryId)>>;

/// The heads of logs as a receipt is about them.
#[must_use]
pub fn heads(logs: &[LogHeads]) -> Vec<u8> {
    let heads = |log: &LogHeads| log.branches.iter().map(|branch| (branch.tip_seq, branch.tip_id)).collect();
    heads_of(&logs.iter().map(|log| (log.log, heads(log))).collect())
}

/// As [`heads`], of heads by log.
#[must_use]
pub fn heads_of(by_log: &Covered) -> Vec<u8> {
    let mut to = Vec::with_capacity(by_log.len() * 73);
    for (log, heads) in by_log {
        let heads: BTreeSet<&(u64, EntryId)> = heads.iter().collect();
        to.extend_from_slice(log.as_bytes());
        to.push(u8::try_from(heads.len()).unwrap_or(u8::MAX));
        for (seq, id) in heads {
            to.extend_from_slice(&seq.to_le_bytes());
            to.extend_from_slice(id.as_bytes());
        }
    }
    to
}

/// Reads heads back; none if they do not fit.
#[must_use]
pub fn covered(heads: &[u8]) -> Option<Covered> {
    let (mut from, mut covered) = (Bytes::new(heads), Covered::new());
    while !from.rest().is_empty() {
        let (log, [count]) = (LogId::new(from.array().ok()?), from.array().ok()?);
        if usize::from(count) > BRANCHES_PER_LOG_MAX {
            return None;
        }
        let of_log = covered.entry(log).or_default();
        for _ in 0..count {
            of_log.push((u64::from_le_bytes(from.array().ok()?), EntryId::new(from.array().ok()?)));
        }
    }
    Some(covered)
}

/// The hash that a receipt signs, of heads.
#[must_use]
pub fn frontier(heads: &[u8]) -> [u8; 32] {
    derive(Label::Frontier, &[heads])
}

fn message(
    incident: &IncidentId,
    (signer, incarnation): (DeviceId, Incarnation),
    receiver: DeviceId,
    frontier: &[u8; 32],
) -> Vec<u8> {
    [&incident.as_bytes()[..], signer.as_bytes(), incarnation.as_bytes(), receiver.as_bytes(), frontier].concat()
}

/// Signs what this device holds, for the one who receives it.
#[must_use]
pub fn sign(
    (device, incarnation): (&DeviceSecret, Incarnation),
    incident: &IncidentId,
    receiver: DeviceId,
    frontier: [u8; 32],
) -> Receipt {
    let signer = device.public().device_id();
    let message = message(incident, (signer, incarnation), receiver, &frontier);
    Receipt { frontier, incarnation, signature: device.signing.sign(Purpose::Receipt, &message) }
}

/// Verifies a receipt that `receiver` was given.
///
/// # Errors
/// [`SessionRule::Frame`] if the signature does not fit.
pub fn verify(
    signer: &DevicePublic,
    incident: &IncidentId,
    receiver: DeviceId,
    receipt: &Receipt,
) -> Result<(), SessionRule> {
    let message = message(incident, (signer.device_id(), receipt.incarnation), receiver, &receipt.frontier);
    signer.sign.verify(Purpose::Receipt, &message, &receipt.signature).map_err(|_| SessionRule::Frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Host;
    use crate::id::{CompartmentId, Lane};
    use crate::store::BranchOf;

    struct Fixed(u8);

    impl Host for Fixed {
        fn now_ms(&mut self) -> i64 {
            0
        }
        fn offset_minutes(&mut self) -> i16 {
            0
        }
        fn fill(&mut self, bytes: &mut [u8]) {
            for byte in bytes {
                self.0 = self.0.wrapping_mul(5).wrapping_add(3);
                *byte = self.0;
            }
        }
    }

    fn log(number: u8, tips: &[u64]) -> LogHeads {
        let branch = |(branch, tip_seq): (u8, &u64)| BranchOf {
            branch,
            parent: branch,
            fork_seq: 0,
            tip_seq: *tip_seq,
            tip_id: EntryId::new([number.wrapping_add(branch); 32]),
        };
        LogHeads {
            log: LogId::new([number; 32]),
            number: i64::from(number),
            device: DeviceId::ZERO,
            compartment: CompartmentId::ZERO,
            lane: Lane::Safety,
            branches: (0..).zip(tips).map(branch).collect(),
        }
    }

    #[test]
    fn heads_are_laid_in_order_and_read_back() {
        let laid = heads(&[log(2, &[7]), log(1, &[9, 3])]);
        assert_eq!(laid, heads(&[log(1, &[9, 3]), log(2, &[7])]));
        let read = covered(&laid).unwrap();
        assert_eq!(read[&LogId::new([1; 32])], [(3, EntryId::new([2; 32])), (9, EntryId::new([1; 32]))]);
        assert_eq!(read[&LogId::new([2; 32])], [(7, EntryId::new([2; 32]))]);
        assert!((1..laid.len()).filter(|end| covered(&laid[..*end]).is_some()).count() == 1, "after the first log");
        assert_ne!(frontier(&laid), frontier(&heads(&[log(1, &[9]), log(2, &[7])])));
    }

    #[test]
    fn a_receipt_is_of_one_device_one_installation_one_receiver_and_one_frontier() {
        let (one, two) = (DeviceSecret::random(&mut Fixed(1)), DeviceSecret::random(&mut Fixed(2)));
        let (incident, incarnation) = (IncidentId::new([7; 32]), Incarnation::new([8; 16]));
        let (public, receiver) = (one.public(), two.public().device_id());
        let receipt = sign((&one, incarnation), &incident, receiver, [9; 32]);
        assert_eq!(verify(&public, &incident, receiver, &receipt), Ok(()));
        let refused = Err(SessionRule::Frame);
        assert_eq!(verify(&two.public(), &incident, receiver, &receipt), refused);
        assert_eq!(verify(&public, &IncidentId::new([6; 32]), receiver, &receipt), refused);
        assert_eq!(verify(&public, &incident, public.device_id(), &receipt), refused);
        assert_eq!(verify(&public, &incident, receiver, &Receipt { frontier: [0; 32], ..receipt }), refused);
        let restored = Receipt { incarnation: Incarnation::new([0; 16]), ..receipt };
        assert_eq!(verify(&public, &incident, receiver, &restored), refused);
    }
}

//! Logs: what one incarnation of one device writes in one compartment and lane, hash-linked and signed.
//!
//! Owns a log's name, the run (a contiguous piece that ends in a signed head), its bytes, its verification without
//! any key but the author's public one, and proofs that a log was forked. Owns no storage and no rights. Invariant: a
//! [`VerifiedEntry`] exists only if its id was recomputed and a signature over it, or over a later entry of
//! its chain, was checked.
//!
//! ```text
//! log id = H(log, incident 32, device 32, incarnation 16, compartment 32, lane 1)
//! run    = device public keys 96 | incarnation 16 | compartment 32 | lane 1 | first seq 8 | backlink 32
//!        | count 4 | entries | heads 4 | (place in run 4, signature 64) ...
//! ```

mod beginning;
mod proof;
mod run;
mod tip;

pub use beginning::Beginning;
pub use proof::{HeadOf, PROOF_BYTES_MAX, Proof, ProofError, Shown, chain};
pub use run::{CheckedRun, Run, RunBuilder, RunError, VerifiedEntry, VerifiedRun};
pub use tip::{Signed, Tip};

use crate::crypto::{DevicePublic, Label, derive};
use crate::id::{CONTROL, CompartmentId, DeviceId, Incarnation, IncidentId, Lane, LogId};

/// Everything that names a log within an incident.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogName {
    /// The author's public keys.
    pub author: DevicePublic,
    /// The author's device: hash of the keys.
    pub device: DeviceId,
    /// The installation's run.
    pub incarnation: Incarnation,
    /// The compartment.
    pub compartment: CompartmentId,
    /// The lane.
    pub lane: Lane,
}

impl LogName {
    /// Names a log.
    #[must_use]
    pub fn new(author: DevicePublic, incarnation: Incarnation, compartment: CompartmentId, lane: Lane) -> Self {
        Self { device: author.device_id(), author, incarnation, compartment, lane }
    }

    /// The log's id in an incident.
    #[must_use]
    pub fn id(&self, incident: &IncidentId) -> LogId {
        LogId::new(derive(
            Label::Log,
            &[
                incident.as_bytes(),
                self.device.as_bytes(),
                self.incarnation.as_bytes(),
                self.compartment.as_bytes(),
                &[self.lane.number()],
            ],
        ))
    }

    /// Whether it is a log of control entries, whose bodies are not sealed and which are all signed.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.compartment == CONTROL
    }
}

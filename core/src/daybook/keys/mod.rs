//! Keys of epochs: when a new epoch begins, to whom its keys are given, and what the keys held here open.
//!
//! Owns the policy of handing out keys, and the local state of what is missing. Owns no verdict: under which
//! epoch an entry is sealed never decides whether it is accepted. Invariants: nothing is sealed under an epoch
//! that does not honour every revoke and bar known here; no key leaves this book for a device that the roster
//! does not name as a reader, nor before what its epoch honours is here; a key is kept only for the compartment
//! whose control entries name it.
//!
//! ```text
//! write ──> epochs: an epoch that honours all that is known, or a new one ──> parcels for its readers
//! peer  ──> given: which keys it may have ──> parcels ──> opening: own parcels, and what histories carry
//! ```

mod carried;
mod epochs;
mod exposure;
mod extension;
mod given;
mod lacks;
mod named;
mod opening;
mod parcels;
pub(super) mod shift;
mod trouble;

pub(super) use carried::{parcels_to_carry, take_carried};
pub(super) use epochs::{begin_epoch, epoch_for_newcomer};
pub use exposure::{Blindness, ExposedCompartment, Exposure};
pub(super) use given::entitled;
pub(super) use lacks::lacks;
pub use lacks::{KeyLack, WhyNoKey};
pub(super) use opening::{lacking, open_keys};
pub(super) use parcels::{current_secrets, keep_parcels, take_parcels, wrap_keys};
pub use shift::Shift;

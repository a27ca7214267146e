//! An incident that several roots found together, at one table, each with keys that its own device made.
//!
//! ```text
//! first root                                            every other root
//!                                                       begin_root_request: keys, kept under the passphrase
//!    <------------------------------ request code
//! propose: own keys, seed, statement; kept
//!    proposal code ------------------------------>      the same characters on all screens, then sign_proposal
//!    <------------------------------ signature code
//! complete: all signatures, a book, replies
//!    reply code, sealed to that root ------------>      open_reply, then accept: a book
//! ```
//!
//! Owns the codes of the first three steps, and the proposal while it waits in its folder; the last step is an
//! enrolment's. Invariant: nothing begins that some root did not sign, and no secret key leaves its device.

mod complete;
mod error;
mod proposal;
mod request;
mod signature;

pub use complete::{Founded, RootReply};
pub use error::RootsError;
pub use proposal::{Proposal, ProposedRoot};
pub use request::RootRequest;
pub use signature::RootSignature;

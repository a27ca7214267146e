//! Administration: members, revokes and bars, what waits for review, compartments, recovery.
//!
//! Owns what is asked of a person who administers, and the control entries that come of it. Owns no rule: what a
//! control entry does is decided by the roster. Invariant: what the roster would give no effect is refused here
//! before it is written.

mod compartments;
mod error;
mod members;
mod quarantine;
mod recovery;
mod revoke;

pub use compartments::Site;
pub(super) use compartments::at_site;
pub use error::AdministrationError;
pub(super) use members::named;
pub use members::{Member, MemberState};
pub use quarantine::{Endorsing, Review, Waiting};
pub use recovery::{Heir, Recovered};
pub use revoke::{Barred, Revoked};
pub(super) use revoke::{codes, may};

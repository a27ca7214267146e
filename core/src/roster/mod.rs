//! Who may do what: founding statement, control entries, and the fold of them all.
//!
//! Owns the formats of founding, control bodies and grant paths, and the pure function from the control set
//! to rights, compartments and epochs. Owns no storage and opens nothing. Invariant: [`Roster::fold`] gives
//! the same roster for the same set, whatever the order and whatever the clocks.
//!
//! ```text
//! roots (approvals) -> tree of grants -> depth by depth: which grants count, what their holders' entries do
//!                                        -> bars, epochs -> Roster -> in_log: which entries of a log count
//! ```

mod chains;
mod changes;
mod control;
mod endorsed;
mod fold;
mod founding;
mod held;
mod in_log;
mod keys;
mod kind;
mod path;
mod rights;
mod roots;
#[expect(clippy::module_inception, reason = "the station is named after its result")]
mod roster;
mod set;
mod stops;
mod waits;

pub use chains::{At, Branch, Chains};
pub use changes::{Anew, Changes};
pub use control::{Approve, Control, ControlBody, Endorse, Epoch, Grant, Part, PlaceOf, Revoke, SealedText};
pub use founding::{Founding, FoundingError, Root, SignedFounding, UnsignedFounding};
pub use held::{CompartmentOf, Held};
pub use in_log::InLog;
pub use kind::CompartmentKind;
pub use path::{GrantPath, PathError};
pub use rights::{Rights, RightsByScope, Role, Scope};
pub use roster::{Reader, Roster};
pub use set::ControlEntry;
pub use waits::Waits;

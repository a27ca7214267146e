//! Who may do what: founding statement, control entries, and the fold of them all.
//!
//! Owns the formats of founding, control bodies and grant paths, and the pure function from the control set
//! to rights, compartments and epochs. Owns no storage and opens nothing. Invariant: [`Roster::fold`] gives
//! the same roster for the same set, whatever the order and whatever the clocks.

mod control;
mod fold;
mod founding;
mod kind;
mod path;
mod rights;

pub use control::{Approve, Control, ControlBody, Endorse, Epoch, Grant, Part, PlaceOf, Revoke, SealedText};
pub use fold::{CompartmentOf, ControlEntry, Held, Roster, Waits};
pub use founding::{Founding, FoundingError, Root, SignedFounding};
pub use kind::CompartmentKind;
pub use path::{GrantPath, PathError};
pub use rights::{Rights, RightsByScope, Role, Scope};

//! What people type on a command line, read into the types of the record.
//!
//! Pure functions. A text that cannot be read gives a failure that says what the form is and never repeats
//! what was typed, which may be somebody's name.

mod amount;
mod coded;
mod observation;
mod setting;
mod text;
mod time;

pub use amount::{amount, counted};
pub use coded::{coded, coded_with};
pub use observation::{Observed, observed, observed_again};
pub use setting::{member, setting, settings, withdrawals};
pub use text::{days, optional_text, reason, text};
pub use time::{expiry, offset_here, when};

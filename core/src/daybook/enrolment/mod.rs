//! Enrolment: a newcomer asks, an administrator grants, the newcomer accepts. No network is needed.
//!
//! ```text
//! newcomer                                      administrator
//! begin_request: keys, kept under the passphrase
//!    request code  ------------------------->   characters of the request, compared on both screens
//!                                               grant: control entry, parcels
//!    characters of both, compared   <--------   reply code, sealed to the newcomer's wrap key
//! open_reply, then accept: a book
//! ```
//!
//! Owns the request, the reply and their codes, and control entries that are known without their chain
//! ([`alone`]). Invariant: a reply comes into being after its grant is durable, and takes effect on the
//! newcomer's side in one folder that was none before.

mod accept;
mod adoption;
pub(super) mod alone;
mod code;
mod error;
mod grant;
mod reply;
mod request;
mod waiting;

pub use accept::Offer;
pub use adoption::{Adopted, Bars};
pub use code::{Characters, CodeKind};
pub use error::EnrolmentError;
pub use grant::Terms;
pub use reply::EnrolmentReply;
pub use request::EnrolmentRequest;

pub(super) use grant::reply_to_founder;
pub(super) use request::Pending;
pub(super) use waiting::{Found, Waiting};

//! Sync: one conversation between two books of one incident, as a machine without sockets.
//!
//! Owns the protocol (`docs/protocol.md`): who speaks, what differs, which runs travel, what was acknowledged,
//! and what a peer may cost. Owns no socket, no clock, no storage and no verdict: bytes, time and randomness
//! come in as arguments, and all that a session needs of a book it asks through [`Shelf`].
//!
//! Invariants: nothing is answered before the peer showed that it knows the admission secret, and nothing of
//! the book before it proved its membership; only what is durable is acknowledged; whatever a peer sends,
//! memory, time and work stay within [`Limits`] and the session ends with a [`Reason`].
//!
//! ```text
//!  receive(bytes) ──> frames ──> introduction ──> rounds (control, then the rest) ──> live
//!  transmit() <────── frames <──      path          roots, trie, heads, runs          runs as they are written
//! ```
//!
//! # How to drive it
//!
//! 1. [`Session::new`] with a [`Side`], [`Credentials`], [`Limits`], the time and a host for randomness.
//! 2. Move bytes. [`Session::transmit`] gives what is to be sent: ask for it after every other call, and again
//!    whenever the stream has room. [`Session::receive`] takes what came and returns how many bytes it took:
//!    offer the rest again after the next `transmit`. While [`Session::wants_input`] is false, read nothing.
//! 3. Keep time. Call [`Session::handle_timeout`] when [`Session::next_timeout_ms`] is reached. Time is any
//!    count of milliseconds that never goes back.
//! 4. After a local write, or after another session stored something, call [`Session::notice`].
//! 5. Poll [`Session::poll_event`] until it is empty. After [`Event::Ended`] send what `transmit` still gives,
//!    then close the stream.
//! 6. [`Session::close`] ends in order; [`Session::disconnected`] says that the stream is gone. Both store first
//!    what arrived whole.
//!
//! Every call that needs the book is lent it as `&mut dyn Shelf`; a session keeps nothing of it between calls
//! but names and places.

mod former;
mod frame;
#[cfg(test)]
mod frame_tests;
mod intake;
mod introduction;
mod keys;
mod limits;
mod outflow;
mod plan;
mod reason;
mod receipt;
mod rounds;
mod session;
mod shelf;
mod traffic;
mod trie;
mod wire;

pub use frame::Receipt;
pub use intake::entries_of;
pub use limits::Limits;
pub use plan::{held, row_of};
pub use reason::{Reason, SessionRule};
pub use receipt::{Covered, covered, frontier, heads, verify as verify_receipt};
pub use session::{Credentials, Event, Peer, Session, Side};
pub use shelf::{FloodName, Kept, LogHeads, OutRun, Outcome, Piece, Shelf, Standing, Trouble, Want};

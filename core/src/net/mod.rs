//! Sync over streams: TCP, pipes, whatever reads and writes bytes. The only module that waits for others.
//!
//! Owns sockets, tasks and the thread that has the book; owns no protocol (that is [`sync`](crate::sync)).
//! Invariant: the book and all sessions live on one thread, and a stream only carries bytes to and from it, so
//! both sides may send at once and one slow peer holds up nobody.
//!
//! ```text
//! TCP, pipe ── reader task ──> bytes (at most 4 pieces wait) ──> clerk: book and sessions, one thread
//!           <── writer task <── bytes (at most 8 pieces wait) <──┘
//! ```

mod clerk;
mod notice;
mod stream;
mod tcp;

pub use notice::{Agreement, Former, NetError, Notice, Report};
pub use tcp::{Dial, Stop, asked_to_stop, dial, meet, serve};

use crate::sync::Limits;

/// Port on which a book is served if none is said.
pub const PORT: u16 = 7373;

/// What a server lends to those who call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetLimits {
    /// Bounds of one session.
    pub session: Limits,
    /// Connections at one time.
    pub connections: usize,
    /// Connections at one time from one address.
    pub connections_per_address: usize,
    /// How long a caller waits for somebody to answer.
    pub connect_ms: u64,
}

impl Default for NetLimits {
    fn default() -> Self {
        Self { session: Limits::default(), connections: 64, connections_per_address: 16, connect_ms: 10_000 }
    }
}

//! What a driver tells whoever started it.

use crate::daybook::{Author, Error};
use crate::sync::Reason;
use std::net::SocketAddr;

/// What happens while books sync. `seat` numbers the connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Notice {
    /// The server can be called here.
    Listening(SocketAddr),
    /// An address is called.
    Calling {
        /// The address.
        host: String,
    },
    /// Nobody answers at an address; the next one is tried, if there is one.
    NoAnswer {
        /// The address.
        host: String,
    },
    /// Somebody called, or was called.
    Connected {
        /// The connection.
        seat: u64,
        /// Where the other side is.
        from: String,
    },
    /// A caller was turned away, because too many are here.
    TurnedAway {
        /// Where the other side is.
        from: String,
    },
    /// The other side proved who it is.
    Known {
        /// The connection.
        seat: u64,
        /// Who it is, as far as it is known here.
        who: Author,
    },
    /// How many entries are to move.
    Totals {
        /// The connection.
        seat: u64,
        /// To the other side.
        to_send: u64,
        /// To this side.
        to_receive: u64,
    },
    /// How many entries have moved, durably.
    Progress {
        /// The connection.
        seat: u64,
        /// Durable there.
        sent: u64,
        /// Durable here.
        received: u64,
    },
    /// Both hold the same, or differ in what neither could bring to the other.
    Agreed {
        /// The connection.
        seat: u64,
        /// Which of both.
        agreement: Agreement,
    },
    /// The connection is over.
    Ended(Report),
}

/// How far two books came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Agreement {
    /// Not to the end.
    Open,
    /// They differ in what neither could bring to the other.
    Differs,
    /// One is a former member: what it wrote is durable on the other side, and nothing else was exchanged.
    HandedOver,
    /// Both hold the same, durably.
    InSync,
}

/// Who of the two is a former member, by what the other knows: it hands over what it wrote, and is told what concerns it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Former {
    /// Neither.
    Nobody,
    /// This side.
    Here,
    /// The other side.
    There,
    /// Each to the other.
    Both,
}

impl Former {
    /// Takes in that this side is one, or the other.
    pub(super) fn note(&mut self, here: bool) {
        *self = match (*self, here) {
            (Self::Nobody | Self::Here, true) => Self::Here,
            (Self::Nobody | Self::There, false) => Self::There,
            (Self::There | Self::Both, true) | (Self::Here | Self::Both, false) => Self::Both,
        };
    }
}

/// What one connection did.
#[derive(Clone, Debug)]
pub struct Report {
    /// The connection.
    pub seat: u64,
    /// Where the other side is.
    pub from: String,
    /// Who it is; none if it never proved that.
    pub who: Option<Author>,
    /// Entries that are durable there.
    pub sent: u64,
    /// Entries that are durable here.
    pub received: u64,
    /// Bytes that were handed to the stream.
    pub bytes_sent: u64,
    /// Bytes that came.
    pub bytes_received: u64,
    /// How long it took.
    pub ms: u64,
    /// How far it came.
    pub agreement: Agreement,
    /// Who of the two is a former member.
    pub former: Former,
    /// Logs that were left out, with the rule code, and whether the other side declined them.
    pub declined: Vec<(String, String, bool)>,
    /// Whether own entries came back that this book did not have: a copy of it wrote, or it was restored. It goes on
    /// as a new installation.
    pub own_entries_returned: bool,
    /// Why it ended.
    pub reason: Reason,
}

/// Why nothing could be synced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// The address is none, or its name is not known.
    #[error("the address is not known")]
    Address(#[source] std::io::Error),
    /// Nobody answers there.
    #[error("nobody answers at this address")]
    NoAnswer(#[source] std::io::Error),
    /// The own address cannot be used.
    #[error("this computer cannot be called at this address")]
    Listen(#[source] std::io::Error),
    /// The command that was to connect cannot be run.
    #[error("the command cannot be run")]
    Command(#[source] std::io::Error),
    /// The operating system gives no more threads or sockets.
    #[error("the operating system refuses")]
    System(#[source] std::io::Error),
    /// The own book.
    #[error(transparent)]
    Book(#[from] Error),
}

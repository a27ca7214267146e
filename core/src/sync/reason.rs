//! Why a session ended.

use super::shelf::Trouble;
use crate::log::{ProofError, RunError};
use crate::roster::PathError;

/// A rule of the protocol that a peer broke. Every variant is a rule of `docs/rules.md`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionRule {
    /// S-001.
    #[error("S-001 the other side does not know the admission secret of this incident")]
    Hello,
    /// S-002.
    #[error("S-002 a message was changed on the way or is not the other side's")]
    Noise,
    /// S-003.
    #[error("S-003 a frame is empty or longer than a frame may be")]
    FrameLength,
    /// S-004.
    #[error("S-004 a frame's layout is not one of the protocol")]
    Frame,
    /// S-005.
    #[error("S-005 the grant path belongs to another device")]
    OtherDevice,
    /// S-006.
    #[error("S-006 the device is barred here")]
    Barred,
    /// S-007.
    #[error("S-007 a grant of the path was given by one who may not grant")]
    MayNotGrant,
    /// S-008.
    #[error("S-008 a frame came out of turn")]
    Turn,
    /// S-009.
    #[error("S-009 the other side is silent or too slow")]
    Slow,
    /// S-010.
    #[error("S-010 the other side sends without end and brings nothing")]
    Spent,
    /// S-011.
    #[error("S-011 the other side claims more than a book can hold")]
    Claim,
    /// S-012.
    #[error("S-012 the two books do not come to agree")]
    Rounds,
    /// S-013.
    #[error("S-013 the other side declines or wants too much")]
    TooMuch,
    /// S-014.
    #[error("S-014 the shift of the other side is over")]
    OffDuty,
}

impl SessionRule {
    /// The rule code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Hello => "S-001",
            Self::Noise => "S-002",
            Self::FrameLength => "S-003",
            Self::Frame => "S-004",
            Self::OtherDevice => "S-005",
            Self::Barred => "S-006",
            Self::MayNotGrant => "S-007",
            Self::Turn => "S-008",
            Self::Slow => "S-009",
            Self::Spent => "S-010",
            Self::Claim => "S-011",
            Self::Rounds => "S-012",
            Self::TooMuch => "S-013",
            Self::OffDuty => "S-014",
        }
    }
}

/// Why a session ended. What was acknowledged before is durable in any case.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// This side closed it.
    #[error("closed here")]
    Closed,
    /// The other side closed it in order.
    #[error("closed by the other side")]
    ClosedByPeer,
    /// The other side ended it for a reason of its own, with this rule code.
    #[error("ended by the other side: {0}")]
    EndedByPeer(String),
    /// The stream is gone.
    #[error("the connection was cut")]
    Cut,
    /// The peer broke a rule of the protocol.
    #[error("{0}")]
    Rule(#[from] SessionRule),
    /// The peer's grant path proves no membership.
    #[error("{0}")]
    Path(#[from] PathError),
    /// The peer sent a run that breaks a rule; nothing of it was stored.
    #[error("{0}")]
    Run(#[from] RunError),
    /// The peer sent a proof that proves nothing, or no flood of this incident.
    #[error("{0}")]
    Proof(#[from] ProofError),
    /// The own book could not be read or written.
    #[error("the own book: {0}")]
    Book(#[from] Trouble),
    /// A mistake of this program.
    #[error("something unexpected happened inside the program: {0}")]
    Bug(&'static str),
}

impl Reason {
    /// The rule code, or the stable name of the cause.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Closed => "closed",
            Self::ClosedByPeer => "closed-by-peer",
            Self::EndedByPeer(code) => code,
            Self::Cut => "cut",
            Self::Rule(rule) => rule.code(),
            Self::Path(error) => path_code(*error),
            Self::Run(error) => error.code(),
            Self::Proof(error) => error.code(),
            Self::Book(_) => "book",
            Self::Bug(_) => "bug",
        }
    }

    /// Whether the peer is to blame: the driver names it and meets it later again.
    #[must_use]
    pub const fn is_peers_fault(&self) -> bool {
        matches!(self, Self::Rule(_) | Self::Path(_) | Self::Run(_) | Self::Proof(_))
    }
}

const fn path_code(error: PathError) -> &'static str {
    match error {
        PathError::Layout => "P-001",
        PathError::Founding(_) => "P-002",
        PathError::OtherIncident => "P-003",
        PathError::Run(_) => "P-004",
        PathError::Broken => "P-005",
    }
}

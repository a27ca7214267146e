//! Why several roots did not found an incident: what happened and what to do next. Nothing was written.

use crate::daybook::error::ErrorKind;

/// Why several roots did not found an incident.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootsError {
    /// Nobody else is to be a root.
    #[error("no other root is named")]
    Alone,
    /// More than a founding statement holds.
    #[error("an incident begins with at most 16 roots")]
    TooMany,
    /// One device is named twice.
    #[error("the device of {organisation} is named as a root twice")]
    Twice {
        /// Its organisation.
        organisation: String,
    },
    /// So few roots have no quorum.
    #[error("two roots have no quorum: only the recovery seed ends or adds one")]
    NoQuorum,
    /// The quorum is out of bounds.
    #[error("the quorum of {roots} roots is at least {least} and at most {most}")]
    Quorum {
        /// How many roots there are.
        roots: usize,
        /// The smallest quorum.
        least: usize,
        /// The greatest one.
        most: usize,
    },
    /// A proposal waits already.
    #[error("a proposal waits in this folder already")]
    Waits,
    /// No proposal waits.
    #[error("no proposal waits in this folder")]
    NoProposal,
    /// The proposal was completed before.
    #[error("the incident that was proposed in this folder has begun already")]
    Begun,
    /// No request of a root waits.
    #[error("no request waits in this folder whose keys could sign")]
    NoRequest,
    /// The file with the proposal is damaged.
    #[error("the file `proposal` of this folder is damaged")]
    Damaged,
    /// The proposal does not name this device.
    #[error("this proposal does not name this device as a root")]
    NotAmong,
    /// A signature under another proposal.
    #[error("this signature is under another proposal")]
    OtherProposal,
    /// A signature that is not the root's.
    #[error("the signature of {organisation} does not fit the proposal")]
    BadSignature {
        /// Its organisation.
        organisation: String,
    },
    /// Some signatures are missing.
    #[error("the signature of {} is missing", organisations.join(", "))]
    Missing {
        /// Whose.
        organisations: Vec<String>,
    },
    /// The request is of no root of the incident.
    #[error("this device is no root of the incident")]
    NoRoot,
}

impl RootsError {
    /// The stable name of the cause, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Alone => "no-other-root",
            Self::TooMany => "too-many-roots",
            Self::Twice { .. } => "root-twice",
            Self::NoQuorum => "no-quorum",
            Self::Quorum { .. } => "bad-quorum",
            Self::Waits => "proposal-waits",
            Self::NoProposal => "no-proposal",
            Self::Begun => "begun-already",
            Self::NoRequest => "no-root-request",
            Self::Damaged => "proposal-damaged",
            Self::NotAmong => "not-among-roots",
            Self::OtherProposal => "other-proposal",
            Self::BadSignature { .. } => "bad-root-signature",
            Self::Missing { .. } => "signatures-missing",
            Self::NoRoot => "not-a-root",
        }
    }

    /// What kind of trouble it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Alone | Self::TooMany | Self::Twice { .. } | Self::NoQuorum | Self::Quorum { .. } => ErrorKind::Usage,
            Self::Waits
            | Self::Begun
            | Self::NotAmong
            | Self::OtherProposal
            | Self::BadSignature { .. }
            | Self::Missing { .. }
            | Self::NoRoot => ErrorKind::Refused,
            Self::NoProposal | Self::NoRequest => ErrorKind::Environment,
            Self::Damaged => ErrorKind::Damaged,
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next(&self) -> &'static str {
        match self {
            Self::Alone => {
                "give the codes that the other roots made with `daybook found request`; alone, begin with `daybook init`"
            }
            Self::TooMany => "begin with fewer; the others can be admitted as administrators with `daybook enrol`",
            Self::Twice { .. } => "give one code for each root, each made on a device of its own",
            Self::NoQuorum => "leave --quorum out; with a third root two can decide together",
            Self::Quorum { .. } => "give --quorum within these bounds, or leave it out for the smallest",
            Self::Waits => "show it with `daybook found show`; with --anew it is thrown away, and all sign a new one",
            Self::NoProposal => {
                "propose the incident first with `daybook found propose`, in the folder that --book names"
            }
            Self::Begun => "use the book that is there; a lost reply is made again with `daybook found reply`",
            Self::NoRequest => {
                "name with --book the folder in which `daybook found request` was run; a proposal names the keys that it made there"
            }
            Self::Damaged => "propose the incident again with `daybook found propose --anew`",
            Self::NotAmong => {
                "do not go on: show the proposer the code of `daybook found request` in this folder again, and let all sign the new proposal"
            }
            Self::OtherProposal => "let that root sign the proposal that `daybook found show` shows",
            Self::BadSignature { .. } => {
                "let that root sign again with `daybook found sign`, and hand over the new code"
            }
            Self::Missing { .. } => {
                "let each of them sign with `daybook found sign`, and give all signatures together; `daybook found show` shows the proposal"
            }
            Self::NoRoot => "admit it with `daybook enrol grant`; it asks with `daybook enrol request`",
        }
    }
}

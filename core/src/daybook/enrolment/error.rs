//! Why somebody was not enrolled: what happened and what to do next. Nothing was written.

use crate::daybook::error::ErrorKind;

/// Why somebody was not enrolled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolmentError {
    /// Not the symbols of a code.
    #[error("this is not an enrolment code")]
    NoCode,
    /// A symbol is wrong.
    #[error("the code is mistyped: its check does not fit")]
    Mistyped,
    /// The end is missing.
    #[error("the code is cut off: its end is missing")]
    CutOff,
    /// Some of its pieces are missing.
    #[error("only {here} of the {of} pieces of the code are here")]
    PiecesMissing {
        /// How many are here.
        here: usize,
        /// How many there are.
        of: usize,
    },
    /// Pieces of different codes.
    #[error("these pieces belong to different codes")]
    MixedPieces,
    /// A request where a reply is needed.
    #[error("this is a newcomer's request to be admitted")]
    IsRequest,
    /// A reply where a request is needed.
    #[error("this is the reply to a newcomer, not a request")]
    IsReply,
    /// A root's request where something else is needed.
    #[error("this is the request to be a root of an incident that is to begin")]
    IsRootRequest,
    /// A proposal where something else is needed.
    #[error("this is the proposal of an incident, which its roots sign")]
    IsProposal,
    /// A root's signature where something else is needed.
    #[error("this is a root's signature under the proposal of an incident")]
    IsRootSignature,
    /// A kind of code that this version does not know.
    #[error("this code was made by a newer version of the program")]
    NewerCode,
    /// More than a code holds.
    #[error("the code is too long")]
    TooLong,
    /// The bytes inside are not what they should be.
    #[error("the content of the code is damaged")]
    Damaged,
    /// The reply does not open with the keys of the request that waits here.
    #[error("this reply is not for the request of this folder")]
    OtherRequest,
    /// No request waits in the folder.
    #[error("no enrolment request waits in this folder")]
    NoRequest,
    /// A request waits already, for another person.
    #[error("a request of another person waits in this folder")]
    RequestWaits,
    /// The reply was accepted before.
    #[error("this folder holds a book already; a reply is accepted once")]
    AlreadyMember,
    /// The file with the request is damaged.
    #[error("the file `request` of this folder is damaged")]
    RequestDamaged,
    /// The device was admitted before.
    #[error("this request was granted already")]
    AlreadyGranted,
    /// The two screens do not show the same characters.
    #[error("the characters are not the same on both screens")]
    Differ,
    /// The grant tree would be too deep.
    #[error("this device stands eight grants below the founder and cannot admit others")]
    TooDeep,
    /// No grants are left.
    #[error("this device has no grants left to give")]
    NoBudget,
    /// The role gives more than this device holds.
    #[error("the role gives rights that this device does not hold itself")]
    MoreThanHeld,
}

impl EnrolmentError {
    /// The stable name of the cause, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoCode => "no-enrolment-code",
            Self::Mistyped => "mistyped-enrolment-code",
            Self::CutOff => "enrolment-code-cut-off",
            Self::PiecesMissing { .. } => "pieces-missing",
            Self::MixedPieces => "mixed-pieces",
            Self::IsRequest => "is-request",
            Self::IsReply => "is-reply",
            Self::IsRootRequest => "is-root-request",
            Self::IsProposal => "is-proposal",
            Self::IsRootSignature => "is-root-signature",
            Self::NewerCode => "newer-code",
            Self::TooLong => "enrolment-code-too-long",
            Self::Damaged => "enrolment-code-damaged",
            Self::OtherRequest => "other-request",
            Self::NoRequest => "no-request",
            Self::RequestWaits => "request-waits",
            Self::AlreadyMember => "already-member",
            Self::RequestDamaged => "request-damaged",
            Self::AlreadyGranted => "already-granted",
            Self::Differ => "screens-differ",
            Self::TooDeep => "too-deep",
            Self::NoBudget => "no-grants-left",
            Self::MoreThanHeld => "more-than-held",
        }
    }

    /// What kind of trouble it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NoCode
            | Self::Mistyped
            | Self::CutOff
            | Self::PiecesMissing { .. }
            | Self::MixedPieces
            | Self::IsRequest
            | Self::IsReply
            | Self::IsRootRequest
            | Self::IsProposal
            | Self::IsRootSignature
            | Self::TooLong => ErrorKind::Usage,
            Self::OtherRequest
            | Self::RequestWaits
            | Self::AlreadyMember
            | Self::AlreadyGranted
            | Self::Differ
            | Self::Damaged => ErrorKind::Refused,
            Self::TooDeep | Self::NoBudget | Self::MoreThanHeld => ErrorKind::Denied,
            Self::NoRequest | Self::NewerCode => ErrorKind::Environment,
            Self::RequestDamaged => ErrorKind::Damaged,
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next(&self) -> &'static str {
        match self {
            Self::NoCode | Self::TooLong => "give the whole code and nothing else, or the file that holds it",
            Self::Mistyped => "read the code again, or scan it",
            Self::CutOff => "copy the code again up to its last symbol",
            Self::PiecesMissing { .. } => "scan or copy the missing pieces too; their order does not matter",
            Self::MixedPieces => "take all pieces from one screen or file",
            Self::IsRequest => "give it to an administrator, who answers with `daybook enrol grant`",
            Self::IsReply => "give it to the newcomer, who takes it with `daybook enrol accept`",
            Self::IsRootRequest => "give it to whoever proposes the incident, with `daybook found propose`",
            Self::IsProposal => "give it to each other root, who signs it with `daybook found sign`",
            Self::IsRootSignature => "give it to whoever proposed the incident, with `daybook found complete`",
            Self::NewerCode => "install the newer version of the program; nothing was changed",
            Self::Damaged => "ask for the code again from where it came",
            Self::OtherRequest => {
                "it is for another device, another request or another incident; take the reply that was made for this one"
            }
            Self::NoRequest => "make a request first with `daybook enrol request`, in the folder that --book names",
            Self::RequestWaits => "choose another folder with --book, or give --anew to throw that request away",
            Self::AlreadyMember => "use the book that is there, or choose another folder with --book",
            Self::RequestDamaged => "make a new request with `daybook enrol request --anew`",
            Self::AlreadyGranted => {
                "give the newcomer the reply that was made then; if it is lost, let the newcomer make a new request with --anew"
            }
            Self::Differ => {
                "do not go on: somebody may have changed the code on its way; hand it over again, from screen to screen"
            }
            Self::TooDeep | Self::NoBudget | Self::MoreThanHeld => "ask an administrator of the incident",
        }
    }
}

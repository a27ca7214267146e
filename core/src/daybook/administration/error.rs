//! Why nothing was administered: what happened and what to do next. Nothing was written.

use crate::daybook::error::ErrorKind;

/// Why nothing was administered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdministrationError {
    /// Nobody has this name or device id.
    #[error("nobody here has this name or device id")]
    NoSuchMember,
    /// Several people or devices fit.
    #[error("several people or devices fit")]
    AmbiguousMember {
        /// Beginnings of the ids of their devices.
        candidates: Vec<String>,
    },
    /// A device was to revoke or bar itself.
    #[error("this is the device that the book lies on")]
    Yourself,
    /// None of its grants stands beneath this device's.
    #[error("this device stands above none of its grants")]
    NotBeneath,
    /// The device holds no grant in force.
    #[error("it holds no grant in force")]
    NoGrant,
    /// The device is barred.
    #[error("a bar stands against it")]
    Barred,
    /// This device granted it something.
    #[error("it was admitted by this device itself")]
    OwnAlready,
    /// This device's grant stands on one of its grants.
    #[error("it stands above this device itself")]
    StandsAbove,
    /// Nothing is left to end.
    #[error("all its grants were ended already")]
    EndedAlready,
    /// No bar is in force.
    #[error("no bar stands against it")]
    NotBarred,
    /// The entry counts, or is faulty, erased or without a key here.
    #[error("this entry does not wait for review")]
    NotWaiting,
    /// This device may not endorse, lift or erase that.
    #[error("this device does not stand above the one who wrote that")]
    NotAbove,
    /// This device does not administer the compartment.
    #[error("this device does not administer the compartment of that entry")]
    NotAdministered,
    /// An entry of somebody else.
    #[error("this entry was not written by the one who is revoked")]
    EntryOfAnother,
    /// Control entries are not erased.
    #[error("entries about people and rights cannot be erased")]
    ControlStays,
    /// No compartment bears the name.
    #[error("no compartment has this name")]
    NoSuchSite,
    /// A compartment bears the name already.
    #[error("a compartment of this kind has this name already")]
    SiteExists,
    /// No compartments are left.
    #[error("this device has no compartments left to make")]
    NoCompartmentsLeft,
    /// No bars are left in the budget.
    #[error("this device has no grants left that a bar could be taken from")]
    NoBudget,
    /// The seed is of another incident.
    #[error("this recovery seed is not the one of this incident")]
    OtherSeed,
    /// The device is a root.
    #[error("this device is a root already")]
    RootAlready,
    /// The device was a root and was ended.
    #[error("this device was a root and was ended for ever")]
    RootEnded,
    /// Who was named is no root.
    #[error("this device is no root")]
    NoRoot,
}

impl AdministrationError {
    /// The stable name of the cause, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoSuchMember => "no-such-member",
            Self::AmbiguousMember { .. } => "ambiguous-member",
            Self::Yourself => "yourself",
            Self::NotBeneath => "not-beneath",
            Self::NoGrant => "no-grant",
            Self::Barred => "barred",
            Self::OwnAlready => "own-already",
            Self::StandsAbove => "stands-above",
            Self::EndedAlready => "ended-already",
            Self::NotBarred => "not-barred",
            Self::NotWaiting => "not-waiting",
            Self::NotAbove => "not-above",
            Self::NotAdministered => "not-administered",
            Self::EntryOfAnother => "entry-of-another",
            Self::ControlStays => "control-stays",
            Self::NoSuchSite => "no-such-site",
            Self::SiteExists => "site-exists",
            Self::NoCompartmentsLeft => "no-compartments-left",
            Self::NoBudget => "no-bars-left",
            Self::OtherSeed => "other-seed",
            Self::RootAlready => "root-already",
            Self::RootEnded => "root-ended",
            Self::NoRoot => "no-root",
        }
    }

    /// What kind of trouble it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSuchMember
            | Self::AmbiguousMember { .. }
            | Self::Yourself
            | Self::EntryOfAnother
            | Self::NoSuchSite
            | Self::NoRoot => ErrorKind::Usage,
            Self::NoGrant
            | Self::Barred
            | Self::OwnAlready
            | Self::StandsAbove
            | Self::EndedAlready
            | Self::NotBarred
            | Self::NotWaiting
            | Self::ControlStays
            | Self::SiteExists
            | Self::OtherSeed
            | Self::RootAlready => ErrorKind::Refused,
            Self::NotBeneath
            | Self::NotAbove
            | Self::NotAdministered
            | Self::NoCompartmentsLeft
            | Self::NoBudget
            | Self::RootEnded => ErrorKind::Denied,
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next(&self) -> &'static str {
        match self {
            Self::NoSuchMember => "give a name or device id as `daybook members` shows it",
            Self::AmbiguousMember { .. } => "give the device id of one of them, as `daybook members` shows it",
            Self::Yourself => "do it on the device of another administrator",
            Self::NotBeneath => {
                "ask the administrator who admitted it; `daybook bar` stops keys for it from here, without ending its grants"
            }
            Self::NoGrant => "admit it with `daybook enrol grant`; it asks with `daybook enrol request`",
            Self::Barred => {
                "make sure who holds it, then give --lift, or let who barred it lift that with `daybook bar --lift`"
            }
            Self::StandsAbove => "nothing needs to be done: this device's own rights come from it",
            Self::OwnAlready => {
                "nothing needs to be done; for another end of shift `daybook enrol extend`, for another role revoke it and admit it anew"
            }
            Self::EndedAlready | Self::NotBarred => "nothing needs to be done; look with `daybook members`",
            Self::NotWaiting => "look with `daybook quarantine list`",
            Self::NotAbove | Self::NotAdministered | Self::NoCompartmentsLeft | Self::NoBudget => {
                "ask an administrator further up"
            }
            Self::EntryOfAnother => "give an entry that this person or device wrote",
            Self::ControlStays => "revoke who wrote it, or endorse what waits because of it",
            Self::NoSuchSite => "make it with `daybook compartment add`, or sync with a device that knows it",
            Self::SiteExists => "use the one that is there, or choose another name",
            Self::OtherSeed => "check that the paper belongs to this incident, or name its book with --book",
            Self::RootAlready => "nothing needs to be done",
            Self::RootEnded => "enrol a new device and run the command there",
            Self::NoRoot => "look with `daybook members`, and revoke who is no root with `daybook revoke`",
        }
    }
}

//! Bugs that can be planted one at a time, so that the tests of this project can be tried themselves.
//!
//! Only with the feature `mutants`, which no program that people use is built with, can one be chosen; without it
//! [`is`] is always false and nothing of this module remains. `docs/decisions/0027-worlds-and-mutants.md` says
//! what each stands for. Tests are run with the one that `DAYBOOK_MUTANT` names.

#[cfg(feature = "mutants")]
use std::sync::LazyLock;
#[cfg(feature = "mutants")]
use std::sync::atomic::{AtomicU8, Ordering};

/// A bug.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Mutant {
    /// A run joins a log although the entry that it links back to is another.
    SkipsTheBacklink = 1,
    /// The signature of a head is not checked.
    SkipsTheSignature,
    /// What lies past the cut of a revoke counts.
    AcceptsTheRevoked,
    /// A commit is said to be durable before it is.
    AcknowledgesBeforeCommit,
    /// One of several parents of an edit is no ancestor.
    LosesAnAncestor,
    /// `No known allergies` hides an allergy.
    DropsAnAllergy,
    /// A copy writes on under the incarnation that another copy has.
    KeepsItsIncarnation,
    /// A dispense that overlaps by less than two days is no double.
    MissesShortDoubles,
    /// A count of stock forgets what it had seen.
    CountsStockTwice,
    /// What depends on the times of others is not posted again when these change.
    ForgetsTheBounds,
    /// Keys are given to whoever asks.
    GivesKeysToAll,
    /// Two books whose logs differ in a branch seem to be the same.
    SeesOneBranch,
    /// What the other side holds is sent again.
    SendsAllAgain,
    /// A frame in pieces may be of any length.
    TakesWithoutBound,
    /// The clock follows any other.
    AdoptsAnyClock,
    /// Views that are made again lack what waits to be posted.
    RebuildsInPart,
    /// A clock that was set back hides findings.
    AsksTheClock,
    /// An operation counts although the grant does not give it.
    SkipsTheRights,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::SkipsTheBacklink,
        Self::SkipsTheSignature,
        Self::AcceptsTheRevoked,
        Self::AcknowledgesBeforeCommit,
        Self::LosesAnAncestor,
        Self::DropsAnAllergy,
        Self::KeepsItsIncarnation,
        Self::MissesShortDoubles,
        Self::CountsStockTwice,
        Self::ForgetsTheBounds,
        Self::GivesKeysToAll,
        Self::SeesOneBranch,
        Self::SendsAllAgain,
        Self::TakesWithoutBound,
        Self::AdoptsAnyClock,
        Self::RebuildsInPart,
        Self::AsksTheClock,
        Self::SkipsTheRights,
    ];
}

/// The number of the one that is planted; 0 if none is.
#[cfg(feature = "mutants")]
static PLANTED: LazyLock<AtomicU8> = LazyLock::new(|| {
    let named = std::env::var("DAYBOOK_MUTANT").unwrap_or_default();
    let mutant = Mutant::ALL.into_iter().find(|mutant| format!("{mutant:?}") == named);
    AtomicU8::new(mutant.map_or(0, |mutant| mutant as u8))
});

/// Plants a bug in this process, or takes out the one that was planted.
#[cfg(feature = "mutants")]
pub fn plant(mutant: Option<Mutant>) {
    PLANTED.store(mutant.map_or(0, |mutant| mutant as u8), Ordering::SeqCst);
}

/// Whether a bug is planted.
#[cfg(feature = "mutants")]
pub(crate) fn is(mutant: Mutant) -> bool {
    PLANTED.load(Ordering::Relaxed) == mutant as u8
}

/// Whether a bug is planted: never.
#[cfg(not(feature = "mutants"))]
pub(crate) const fn is(_: Mutant) -> bool {
    false
}

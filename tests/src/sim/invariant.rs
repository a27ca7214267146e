//! What must hold in every world, each by a name, and how a world stops when it does not.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Once;

/// What must hold in every world.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Invariant {
    /// What people were told is written, or a session said is stored, is there after any crash and restart.
    NothingAcknowledgedIsLost,
    /// Books that hold the same show the same, at any time.
    EqualSetsShowTheSame,
    /// When faults stop, all books come to the same within a bounded number of meetings.
    AllBecomeOne,
    /// Any order in which the same entries come gives the same digest.
    AnyOrderGivesTheSame,
    /// No device opens what its rights do not cover.
    OpensNothingBeyondItsRights,
    /// No entry is held that nobody wrote, and none is accepted whose author could not write it.
    AcceptedIsWrittenByRight,
    /// Every fork that two honest devices can see is a finding on all.
    ForksAreShownToAll,
    /// A device that writes makes no fork by itself once it knows of one.
    NobodyWritesOnInAFork,
    /// A session and a book need bounded memory.
    MemoryIsBounded,
    /// A meeting sends at most three times what was missing, and a constant.
    BytesAreBounded,
    /// A meeting comes to its end.
    MeetingsEnd,
    /// Views that are dropped and made again are equal.
    RebuildIsEqual,
    /// Findings of double dispensing are those of the independent model.
    DoublesAreThoseOfTheModel,
    /// Sums of stock are those of the model.
    StockIsThatOfTheModel,
    /// All else that is shown is what the reference model says.
    RecordsAreThoseOfTheModel,
    /// What was shown changes by an entry or a finding, never by time, restart or clock.
    ShownStaysWithoutNews,
    /// Pages, ids, chains and signatures of every book are whole.
    BooksAreWhole,
    /// Two honest devices find no fault with each other but what was done to their stream.
    HonestPeersAgree,
    /// Who may write can write.
    WhoMayWriteCan,
    /// Clocks of others that cannot be right drive no clock.
    ClocksAreNotDriven,
    /// Who is said to hold what a device wrote holds it, bodies and all.
    ReceiptsAreTrue,
    /// Nothing makes the program panic.
    NothingPanics,
}

impl Invariant {
    /// The name in the output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NothingAcknowledgedIsLost => "nothing-acknowledged-is-lost",
            Self::EqualSetsShowTheSame => "equal-sets-show-the-same",
            Self::AllBecomeOne => "all-become-one",
            Self::AnyOrderGivesTheSame => "any-order-gives-the-same",
            Self::OpensNothingBeyondItsRights => "opens-nothing-beyond-its-rights",
            Self::AcceptedIsWrittenByRight => "accepted-is-written-by-right",
            Self::ForksAreShownToAll => "forks-are-shown-to-all",
            Self::NobodyWritesOnInAFork => "nobody-writes-on-in-a-fork",
            Self::MemoryIsBounded => "memory-is-bounded",
            Self::BytesAreBounded => "bytes-are-bounded",
            Self::MeetingsEnd => "meetings-end",
            Self::RebuildIsEqual => "rebuild-is-equal",
            Self::DoublesAreThoseOfTheModel => "doubles-are-those-of-the-model",
            Self::StockIsThatOfTheModel => "stock-is-that-of-the-model",
            Self::RecordsAreThoseOfTheModel => "records-are-those-of-the-model",
            Self::ShownStaysWithoutNews => "shown-stays-without-news",
            Self::BooksAreWhole => "books-are-whole",
            Self::HonestPeersAgree => "honest-peers-agree",
            Self::WhoMayWriteCan => "who-may-write-can",
            Self::ClocksAreNotDriven => "clocks-are-not-driven",
            Self::ReceiptsAreTrue => "receipts-are-true",
            Self::NothingPanics => "nothing-panics",
        }
    }
}

/// An invariant that did not hold, and how.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}: {what}", invariant.name())]
pub struct Broken {
    /// Which.
    pub invariant: Invariant,
    /// How.
    pub what: String,
}

/// Stops the world.
pub(super) fn broken(invariant: Invariant, what: impl Into<String>) -> ! {
    panic_any(Broken { invariant, what: what.into() })
}

/// Stops the world unless something holds.
pub(super) fn hold(holds: bool, invariant: Invariant, what: impl FnOnce() -> String) {
    if !holds {
        broken(invariant, what());
    }
}

thread_local! {
    /// What the panic of this thread said, while a world runs on it.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
    static WATCHED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs a world; any other panic than a broken invariant breaks [`Invariant::NothingPanics`].
///
/// # Errors
/// What was broken.
pub(super) fn watch<T>(world: impl FnOnce() -> T) -> Result<T, Broken> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if WATCHED.get() {
                SAID.set(Some(info.to_string()));
            } else {
                before(info);
            }
        }));
    });
    WATCHED.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(world));
    WATCHED.set(false);
    outcome.map_err(|payload| match payload.downcast::<Broken>() {
        Ok(broken) => *broken,
        Err(_) => Broken { invariant: Invariant::NothingPanics, what: SAID.take().unwrap_or_default() },
    })
}

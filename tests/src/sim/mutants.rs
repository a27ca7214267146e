//! Bugs planted one at a time: each must be found by the invariant that is named for it here.

use super::Invariant;
use super::command::run;
use daybook_core::mutant::{Mutant, plant};
use std::process::ExitCode;
use std::time::Instant;

/// Seeds within which each must be found.
pub const SEEDS_MAX: u64 = 500;

/// The invariant that finds a bug.
#[must_use]
pub const fn found_by(mutant: Mutant) -> Invariant {
    match mutant {
        Mutant::SkipsTheBacklink | Mutant::SkipsTheSignature => Invariant::BooksAreWhole,
        Mutant::AcceptsTheRevoked | Mutant::SkipsTheRights => Invariant::AcceptedIsWrittenByRight,
        Mutant::AcknowledgesBeforeCommit => Invariant::NothingAcknowledgedIsLost,
        Mutant::LosesAnAncestor | Mutant::DropsAnAllergy => Invariant::RecordsAreThoseOfTheModel,
        Mutant::KeepsItsIncarnation => Invariant::NobodyWritesOnInAFork,
        Mutant::MissesShortDoubles => Invariant::DoublesAreThoseOfTheModel,
        Mutant::CountsStockTwice => Invariant::StockIsThatOfTheModel,
        Mutant::ForgetsTheBounds => Invariant::EqualSetsShowTheSame,
        Mutant::GivesKeysToAll => Invariant::OpensNothingBeyondItsRights,
        Mutant::SeesOneBranch => Invariant::AllBecomeOne,
        Mutant::SendsAllAgain => Invariant::BytesAreBounded,
        Mutant::TakesWithoutBound => Invariant::MemoryIsBounded,
        Mutant::AdoptsAnyClock => Invariant::ClocksAreNotDriven,
        Mutant::RebuildsInPart => Invariant::RebuildIsEqual,
        Mutant::AsksTheClock => Invariant::ShownStaysWithoutNews,
    }
}

/// What the search for a bug came to.
struct Search {
    /// The seed that finds it, and what was broken there.
    found: Option<(u64, String)>,
    /// What else was broken on the way there.
    others: Vec<(u64, Invariant)>,
}

/// Looks for the seed that finds a bug.
fn find(mutant: Mutant, seeds: u64) -> Search {
    plant(Some(mutant));
    let (mut found, mut others) = (None, Vec::new());
    for seed in 0..seeds {
        if let Err(broken) = run(seed) {
            if broken.invariant == found_by(mutant) {
                found = Some((seed, broken.what));
                break;
            }
            others.push((seed, broken.invariant));
        }
    }
    plant(None);
    Search { found, others }
}

/// Plants all of them, or the one of a name, and says which seed finds which.
#[must_use]
pub fn main(seeds: u64, only: Option<&str>) -> ExitCode {
    let start = Instant::now();
    let mut missed = 0;
    for mutant in Mutant::ALL {
        let name = format!("{mutant:?}");
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let Search { found, others } = find(mutant, seeds);
        let by = found_by(mutant).name();
        let first_line = |what: &str| what.lines().next().unwrap_or_default().chars().take(140).collect::<String>();
        match &found {
            Some((seed, what)) => println!("{name}: seed {seed} breaks {by}: {}", first_line(what)),
            None => println!("{name}: not found by {by} within {seeds} seeds"),
        }
        if let Some((seed, invariant)) = others.first() {
            println!("  {} seeds broke others first: seed {seed} {}", others.len(), invariant.name());
        }
        missed += u8::from(found.is_none());
    }
    println!("{} bugs planted in {:.0} s, {missed} not found", Mutant::ALL.len(), start.elapsed().as_secs_f64());
    ExitCode::from(u8::from(missed > 0))
}

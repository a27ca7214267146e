//! Stock of one lot, place by place: a count and every movement that it had not seen; below zero is possible.

use super::fact::Statement;
use super::finding::{Finding, FindingKind};
use super::fold::{Forks, Stand};
use super::reference::FactId;
use super::standing::{FactAt, Standing};
use super::text::fold_text;
use super::value::{Coded, micros_to_text};
use crate::mutant::{self, Mutant};
use std::collections::{BTreeMap, BTreeSet};

/// What is counted together: a product by its code, else its text, and a lot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Item {
    /// `system|code`, or the folded text.
    pub product: String,
    /// The lot as written, spaces around it cut.
    pub lot: String,
}

impl Item {
    /// The item of a product and lot.
    #[must_use]
    pub fn of(product: &Coded<'_>, lot: &str) -> Self {
        let product = if product.code.is_empty() {
            fold_text(product.display)
        } else {
            format!("{}|{}", product.system, product.code)
        };
        Self { product, lot: lot.trim().to_owned() }
    }

    /// The item of a stock statement.
    #[must_use]
    pub fn of_statement(statement: &Statement<'_>) -> Option<Self> {
        match statement {
            Statement::StockMovement(movement) => Some(Self::of(&movement.product, movement.lot)),
            Statement::StockCount(count) => Some(Self::of(&count.product, count.lot)),
            _ => None,
        }
    }

    /// Bytes that name the item in tables: product, a zero byte, lot.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.product.as_bytes(), &[0], self.lot.as_bytes()].concat()
    }
}

/// A stock fact and where its entry stands.
#[derive(Clone, Debug)]
pub struct StockAt<'a> {
    /// Where its entry stands.
    pub stand: Stand,
    /// The fact.
    pub fact: FactAt<'a>,
}

/// Stock of the item at one place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OnHand {
    /// The place.
    pub place: String,
    /// On hand in millionths; may be negative.
    pub micros: i64,
    /// Whether it starts from a count.
    pub counted: bool,
    /// Index of the newest standing fact that touches the place: shows product, expiry and unit.
    pub shown_by: usize,
}

/// Stock of one item, place by place in rising order, and what a person must look at.
#[must_use]
pub fn on_hand(
    item: &Item,
    facts: &[StockAt<'_>],
    standings: &[Standing],
    forks: &Forks,
) -> (Vec<OnHand>, Vec<Finding>) {
    let standing =
        |i: &usize| standings.get(*i) == Some(&Standing::Stands) && facts.get(*i).is_some_and(|f| !f.fact.waiting);
    let indices: Vec<usize> = (0..facts.len()).filter(standing).collect();
    let places: BTreeSet<&str> =
        indices.iter().filter_map(|i| facts.get(*i)).flat_map(|f| touched(&f.fact.fact.statement)).collect();
    let (mut lines, mut findings) = (Vec::new(), Vec::new());
    for place in places {
        let counts: Vec<&StockAt<'_>> = indices
            .iter()
            .filter_map(|i| facts.get(*i))
            .filter(|f| matches!(&f.fact.fact.statement, Statement::StockCount(c) if c.place == place))
            .collect();
        let after_count = |count: &&StockAt<'_>| -> i64 {
            let Statement::StockCount(counted) = &count.fact.fact.statement else { return 0 };
            let moved = moves(facts, &indices, place, |m| !saw(&counted.after, facts, forks, m));
            i64::try_from(counted.quantity.micros()).unwrap_or(i64::MAX).saturating_add(moved)
        };
        let totals: Vec<i64> = counts.iter().map(after_count).collect();
        let micros = totals.iter().min().copied().unwrap_or_else(|| moves(facts, &indices, place, |_| true));
        let newest = indices
            .iter()
            .filter(|i| facts.get(**i).is_some_and(|f| touched(&f.fact.fact.statement).any(|p| p == place)))
            .max_by_key(|i| facts.get(**i).map(|f| (f.fact.hlc, f.fact.reference)));
        lines.push(OnHand {
            place: place.to_owned(),
            micros,
            counted: !counts.is_empty(),
            shown_by: newest.copied().unwrap_or(0),
        });
        let about = || vec![item.to_bytes(), place.as_bytes().to_vec()];
        if micros < 0 {
            let text =
                format!("Stock of lot {} at {place} is {}: more left than came.", item.lot, micros_to_text(micros));
            findings.push(Finding::new(FindingKind::StockNegative, about(), text));
        }
        if totals.iter().any(|total| Some(total) != totals.first()) {
            let mut named = about();
            named.extend(counts.iter().map(|c| c.fact.id().to_bytes()));
            let text = format!(
                "Lot {} at {place} was counted twice without knowledge of each other; the lower count holds.",
                item.lot
            );
            findings.push(Finding::new(FindingKind::ConcurrentCounts, named, text));
        }
    }
    findings.sort_unstable();
    (lines, findings)
}

/// Places that a stock statement touches.
fn touched<'a>(statement: &Statement<'a>) -> impl Iterator<Item = &'a str> + use<'a> {
    let (a, b) = match statement {
        Statement::StockMovement(movement) => (movement.from, movement.to),
        Statement::StockCount(count) => (count.place, ""),
        _ => ("", ""),
    };
    [a, b].into_iter().filter(|place| !place.is_empty())
}

/// The sum of all movements at a place that `counts` lets through.
fn moves(facts: &[StockAt<'_>], indices: &[usize], place: &str, counts: impl Fn(&StockAt<'_>) -> bool) -> i64 {
    let mut sum: i64 = 0;
    for fact in indices.iter().filter_map(|i| facts.get(*i)) {
        let Statement::StockMovement(movement) = &fact.fact.fact.statement else { continue };
        if !counts(fact) {
            continue;
        }
        let micros = i64::try_from(movement.quantity.micros()).unwrap_or(i64::MAX);
        if movement.to == place {
            sum = sum.saturating_add(micros);
        }
        if movement.from == place {
            sum = sum.saturating_sub(micros);
        }
    }
    sum
}

/// Whether a count that names `after` had seen a movement: it, or an earlier one of its chain.
fn saw(after: &[FactId], facts: &[StockAt<'_>], forks: &Forks, movement: &StockAt<'_>) -> bool {
    if mutant::is(Mutant::CountsStockTwice) {
        return false;
    }
    let entry = movement.fact.reference.entry;
    after.iter().any(|id| match id {
        FactId::Written(named) if named.entry.log == entry.log && entry.seq <= named.entry.seq => {
            let held = facts.iter().find(|f| f.fact.reference.entry == named.entry);
            held.is_none_or(|held| forks.chain_holds(held.stand, movement.stand))
        }
        FactId::Written(_) | FactId::Imported(_) => false,
    })
}

/// What a count at a place names: the newest movement of the item there per chain, and the standing counts.
#[must_use]
pub fn seen_by_count(facts: &[StockAt<'_>], standings: &[Standing], place: &str) -> (Vec<FactId>, Vec<FactId>) {
    let mut newest: BTreeMap<(i64, u8), &StockAt<'_>> = BTreeMap::new();
    let mut counts = Vec::new();
    for (fact, standing) in facts.iter().zip(standings).filter(|(f, _)| !f.fact.waiting) {
        match &fact.fact.fact.statement {
            Statement::StockMovement(m) if m.from == place || m.to == place => {
                let slot = newest.entry((fact.stand.log, fact.stand.branch)).or_insert(fact);
                if slot.stand.seq < fact.stand.seq {
                    *slot = fact;
                }
            }
            Statement::StockCount(c) if c.place == place && *standing == Standing::Stands => {
                counts.push(fact.fact.id());
            }
            _ => {}
        }
    }
    (newest.values().map(|f| f.fact.id()).collect(), counts)
}

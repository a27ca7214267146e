//! What later facts made of a fact: corrected, refuted, reversed, superseded; from one subject's facts alone.

use super::fact::{Fact, FactKind, Statement};
use super::reference::{FactId, OpRef};
use crate::clock::Hlc;
use crate::id::DeviceId;
use std::collections::BTreeMap;

/// A fact as the rules take it.
#[derive(Clone, Debug)]
pub struct FactAt<'a> {
    /// Its own place.
    pub reference: OpRef,
    /// Who wrote it.
    pub device: DeviceId,
    /// The author's clock.
    pub hlc: Hlc,
    /// Whether it waits for review: without effect.
    pub waiting: bool,
    /// Whether its time cannot be right.
    pub implausible: bool,
    /// What was said.
    pub fact: Fact<'a>,
}

impl FactAt<'_> {
    /// Its name in targets and findings.
    #[must_use]
    pub fn id(&self) -> FactId {
        self.fact.import.map_or(FactId::Written(self.reference), FactId::Imported)
    }
}

/// What became of a fact.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Standing {
    /// Nothing speaks against it.
    Stands,
    /// A later fact of its kind corrects it.
    Corrected,
    /// Somebody said that it is not so.
    Refuted,
    /// The dispense did not take place or was returned.
    Reversed,
    /// A newer observation or count took note of it.
    Superseded,
    /// The same import resource, taken in twice.
    Repeated,
}

/// Facts by their ids, in rising order: each at its place in the list.
type ById = Vec<(FactId, usize)>;

/// The standing of each fact of one subject, in the order given. Of several facts that speak against one,
/// a refutation counts before a reversal before a correction; which of them came first plays no part.
#[must_use]
pub fn standings(facts: &[FactAt<'_>]) -> Vec<Standing> {
    let mut by_id: ById = Vec::with_capacity(facts.len());
    for (index, fact) in facts.iter().enumerate() {
        by_id.push((fact.id(), index));
        if fact.fact.import.is_some() {
            by_id.push((FactId::Written(fact.reference), index));
        }
    }
    by_id.sort_unstable();
    let targets: Vec<Vec<usize>> = facts.iter().map(|fact| named(fact, &fact.fact.targets, &by_id)).collect();
    let in_effect = in_effect(facts, &targets);
    let mut standings = vec![Standing::Stands; facts.len()];
    for ((by, targets), _) in facts.iter().zip(&targets).zip(&in_effect).filter(|(_, effective)| **effective) {
        for target in targets {
            if let (Some(of), Some(slot)) = (facts.get(*target), standings.get_mut(*target)) {
                *slot = stronger(*slot, effect(by, of));
            }
        }
    }
    mark_superseded(facts, &by_id, &in_effect, &mut standings);
    mark_repeated(facts, &by_id, &mut standings);
    standings
}

/// Which facts have an effect on what they name: those that nothing that has one takes back. A corrected one
/// keeps its effect, since the correction speaks for it; so does each copy of an import. What takes itself
/// back through others, as only imports can, has none.
fn in_effect(facts: &[FactAt<'_>], targets: &[Vec<usize>]) -> Vec<bool> {
    if targets.iter().all(Vec::is_empty) {
        return vec![true; facts.len()];
    }
    let takes_back = |by: usize, of: usize| {
        let effect = facts.get(by).zip(facts.get(of)).map(|(by, of)| effect(by, of));
        matches!(effect, Some(Standing::Refuted | Standing::Reversed))
    };
    let against: Vec<Vec<usize>> = targets
        .iter()
        .enumerate()
        .map(|(by, targets)| targets.iter().copied().filter(|of| takes_back(by, *of)).collect())
        .collect();
    let mut undecided = vec![0_usize; facts.len()];
    against.iter().flatten().for_each(|of| undecided.get_mut(*of).into_iter().for_each(|count| *count += 1));
    let mut decided: Vec<Option<bool>> = vec![None; facts.len()];
    let mut next: Vec<(usize, bool)> =
        undecided.iter().enumerate().filter(|(_, count)| **count == 0).map(|(fact, _)| (fact, true)).collect();
    while let Some((fact, effective)) = next.pop() {
        match decided.get_mut(fact) {
            Some(slot @ None) => *slot = Some(effective),
            _ => continue,
        }
        for of in against.get(fact).into_iter().flatten() {
            if let Some(count) = undecided.get_mut(*of) {
                *count -= 1;
                if effective {
                    next.push((*of, false));
                } else if *count == 0 {
                    next.push((*of, true));
                }
            }
        }
    }
    decided.into_iter().map(|effective| effective == Some(true)).collect()
}

/// Of equal facts under one import id the one with the smallest reference stands for all.
fn mark_repeated(facts: &[FactAt<'_>], by_id: &ById, standings: &mut [Standing]) {
    for of_id in by_id.chunk_by(|(one, _), (other, _)| one == other) {
        if of_id.len() < 2 || !of_id.iter().all(|(id, _)| matches!(id, FactId::Imported(_))) {
            continue;
        }
        let mut first: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        let indices = of_id.iter().map(|(_, index)| *index);
        let mut ordered: Vec<usize> = indices.filter(|i| facts.get(*i).is_some_and(|f| !f.waiting)).collect();
        ordered.sort_unstable_by_key(|i| facts.get(*i).map(|f| f.reference));
        for index in ordered {
            let Some(fact) = facts.get(index) else { continue };
            if *first.entry(fact.fact.content()).or_insert(index) != index
                && let Some(slot) = standings.get_mut(index)
            {
                *slot = Standing::Repeated;
            }
        }
    }
}

/// The facts that an accepted fact names, as far as they are here and not itself.
fn named(by: &FactAt<'_>, names: &[FactId], by_id: &ById) -> Vec<usize> {
    if by.waiting || names.is_empty() {
        return Vec::new();
    }
    let own = FactId::Written(by.reference);
    let mut indices: Vec<usize> = names
        .iter()
        .filter(|id| **id != own && **id != by.id())
        .flat_map(|id| {
            let from = by_id.get(by_id.partition_point(|(other, _)| other < id)..).unwrap_or_default();
            from.iter().take_while(move |(other, _)| other == id).map(|(_, index)| *index)
        })
        .collect();
    indices.sort_unstable();
    indices.dedup();
    indices
}

/// What a fact makes of one that it names.
fn effect(by: &FactAt<'_>, of: &FactAt<'_>) -> Standing {
    match by.fact.statement.kind() {
        FactKind::Refutation => Standing::Refuted,
        FactKind::Reversal if of.fact.statement.kind() == FactKind::Dispense => Standing::Reversed,
        kind if kind == of.fact.statement.kind() && kind != FactKind::Reversal => Standing::Corrected,
        _ => Standing::Stands,
    }
}

fn stronger(a: Standing, b: Standing) -> Standing {
    let rank = |s| match s {
        Standing::Stands => 0,
        Standing::Superseded => 1,
        Standing::Corrected => 2,
        Standing::Reversed => 3,
        Standing::Refuted => 4,
        Standing::Repeated => 5,
    };
    if rank(b) > rank(a) { b } else { a }
}

/// Observations of one code, and counts, that a standing newer one took note of.
fn mark_superseded(facts: &[FactAt<'_>], by_id: &ById, in_effect: &[bool], standings: &mut [Standing]) {
    for (by, _) in facts.iter().zip(in_effect).filter(|(_, effective)| **effective) {
        let seen = match &by.fact.statement {
            Statement::Observation(observation) if !observation.earlier => &observation.seen,
            Statement::StockCount(count) => &count.seen,
            _ => continue,
        };
        for target in named(by, seen, by_id) {
            let same = facts.get(target).is_some_and(|of| same_series(&by.fact.statement, &of.fact.statement));
            if let (true, Some(slot)) = (same, standings.get_mut(target)) {
                *slot = stronger(*slot, Standing::Superseded);
            }
        }
    }
}

fn same_series(a: &Statement<'_>, b: &Statement<'_>) -> bool {
    match (a, b) {
        (Statement::Observation(a), Statement::Observation(b)) => {
            (a.code.system, a.code.code) == (b.code.system, b.code.code)
                && (!a.code.code.is_empty() || a.code.display == b.code.display)
        }
        (Statement::StockCount(a), Statement::StockCount(b)) => a.place == b.place,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{EffectiveTime, Precision, TimeSource};
    use crate::id::{ImportId, LogId, PatientId};
    use crate::record::reference::EntryRef;
    use crate::record::value::Coded;
    use crate::record::{Observation, Value};

    fn at(place: u64, targets: &[u64], statement: Statement<'static>) -> FactAt<'static> {
        let reference =
            |seq| OpRef { entry: EntryRef { log: LogId::new([1; 32]), seq, prefix: [seq as u8; 16] }, index: 0 };
        FactAt {
            reference: reference(place),
            device: DeviceId::ZERO,
            hlc: Hlc::default(),
            waiting: false,
            implausible: false,
            fact: Fact {
                patient: Some(PatientId::ZERO),
                effective: EffectiveTime {
                    ms: 0,
                    offset_minutes: 0,
                    precision: Precision::Day,
                    source: TimeSource::Clock,
                },
                targets: targets.iter().map(|t| FactId::Written(reference(*t))).collect(),
                import: None,
                reason: "",
                statement,
            },
        }
    }

    fn note() -> Statement<'static> {
        Statement::Note { text: "n" }
    }

    fn weight(seen: Vec<FactId>, earlier: bool) -> Statement<'static> {
        Statement::Observation(Observation {
            code: Coded { system: "http://loinc.org", code: "29463-7", display: "" },
            value: Some(Value::Text("x")),
            components: Vec::new(),
            seen,
            earlier,
        })
    }

    #[test]
    fn a_refuted_refutation_has_no_effect() {
        let facts = [at(1, &[], note()), at(2, &[1], Statement::Refutation), at(3, &[2], Statement::Refutation)];
        assert_eq!(standings(&facts), [Standing::Stands, Standing::Refuted, Standing::Stands]);
        assert_eq!(standings(&facts[..2]), [Standing::Refuted, Standing::Stands]);
    }

    #[test]
    fn a_correction_names_its_own_kind_only() {
        let facts = [at(1, &[], note()), at(2, &[1], note()), at(3, &[2], Statement::Deceased)];
        assert_eq!(standings(&facts), [Standing::Corrected, Standing::Stands, Standing::Stands]);
    }

    #[test]
    fn a_corrected_correction_does_not_bring_the_first_back() {
        let facts = [at(1, &[], note()), at(2, &[1], note()), at(3, &[2], note()), at(4, &[3], Statement::Refutation)];
        assert_eq!(standings(&facts[..3]), [Standing::Corrected, Standing::Corrected, Standing::Stands]);
        assert_eq!(standings(&facts), [Standing::Corrected, Standing::Stands, Standing::Refuted, Standing::Stands]);
    }

    #[test]
    fn a_waiting_fact_has_no_effect() {
        let mut refutation = at(2, &[1], Statement::Refutation);
        refutation.waiting = true;
        assert_eq!(standings(&[at(1, &[], note()), refutation]), [Standing::Stands, Standing::Stands]);
    }

    #[test]
    fn an_observation_supersedes_what_its_author_saw_and_an_earlier_one_nothing() {
        let first = at(1, &[], weight(vec![], false));
        let second = at(2, &[], weight(vec![first.id()], false));
        let late = at(3, &[], weight(vec![second.id()], true));
        assert_eq!(standings(&[first, second, late]), [Standing::Superseded, Standing::Stands, Standing::Stands]);
    }

    #[test]
    fn equal_imports_are_one_and_different_ones_both_stand() {
        let mut facts = [at(1, &[], note()), at(2, &[], note()), at(3, &[], Statement::Note { text: "other" })];
        facts.iter_mut().for_each(|f| f.fact.import = Some(ImportId::ZERO));
        assert_eq!(standings(&facts), [Standing::Stands, Standing::Repeated, Standing::Stands]);
    }
}

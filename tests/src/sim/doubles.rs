//! Which dispenses are double, by fifty lines that know nothing of the program.

use crate::model::{Counts, Entry};
use daybook_core::clock::{DAY_MS, TimeSource};
use daybook_core::id::PatientId;
use daybook_core::record::{Coded, FactId, OpRef, Operation, Statement};
use std::collections::{BTreeMap, BTreeSet};

/// A dispense: whose, of which class, when it begins, how long it lasts, and whether its time says little.
struct Given {
    patient: Option<PatientId>,
    class: String,
    from: i64,
    lasts: i64,
    vague: bool,
}

/// Doxycycline is doxycycline and ciprofloxacin ciprofloxacin, whatever they are called; all else by its name.
fn class(of: &Coded<'_>) -> String {
    let name = of.display.to_lowercase();
    let known = ["doxycycline", "ciprofloxacin"].into_iter().find(|known| name.contains(known));
    known.map_or(name.clone(), str::to_owned)
}

/// Pairs of dispenses that overlap; those that something accepted takes back do not count.
pub(super) fn doubles(entries: &[Entry]) -> BTreeSet<BTreeSet<OpRef>> {
    let (mut given, mut taken_back, mut last) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for entry in entries.iter().filter(|entry| entry.counts == Counts::Accepted) {
        let latest = last.entry((entry.compartment, entry.device)).or_insert(i64::MIN);
        *latest = (*latest).max(entry.hlc.ms());
    }
    for entry in entries.iter().filter(|entry| entry.counts == Counts::Accepted) {
        for (index, bytes) in entry.operations.iter().enumerate() {
            let Ok(Operation::Fact(fact)) = Operation::read(bytes) else { continue };
            let at = OpRef { entry: entry.reference, index: u8::try_from(index).unwrap_or(0) };
            if matches!(fact.statement, Statement::Reversal | Statement::Refutation) {
                taken_back.insert(at, fact.targets.clone());
            }
            let Statement::Dispense(dispense) = &fact.statement else { continue };
            let time = fact.effective;
            let of_others = last.iter().filter(|((kind, of), _)| *kind == entry.compartment && *of != entry.device);
            let late = of_others.map(|(_, ms)| *ms).max();
            let late = late.is_some_and(|ms| entry.hlc.ms().max(time.ms) - ms > 30 * DAY_MS);
            let early = time.source == TimeSource::Clock && entry.hlc.ms() - time.ms > DAY_MS;
            let (class, lasts) = (class(&dispense.product), i64::from(dispense.days.unwrap_or(1)) * DAY_MS);
            let vague = late || early || time.coarser_than_a_day();
            given.insert(at, Given { patient: fact.patient, class, from: time.ms, lasts, vague });
        }
    }
    // What takes back may itself be taken back, and so on.
    let stands = |at: OpRef| -> bool {
        fn stands(at: OpRef, by: &BTreeMap<OpRef, Vec<FactId>>, depth: u32) -> bool {
            depth > 64
                || !by.iter().any(|(o, t)| *o != at && t.contains(&FactId::Written(at)) && stands(*o, by, depth + 1))
        }
        stands(at, &taken_back, 0)
    };
    given.retain(|at, _| stands(*at));
    let mut pairs = BTreeSet::new();
    for (a, first) in &given {
        for (b, second) in given.iter().filter(|(b, _)| (first.from, a) < (given[*b].from, *b)) {
            let same = first.patient == second.patient && first.class == second.class;
            let left = first.from + first.lasts - second.from;
            if same && (first.vague || second.vague || left > (2 * DAY_MS).min(first.lasts / 2)) {
                pairs.insert(BTreeSet::from([*a, *b]));
            }
        }
    }
    pairs
}

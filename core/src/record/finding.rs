//! Findings of one patient, from the patient's facts and registers alone: what a person must look at.
//!
//! A finding's id is the hash of its kind and of what it is about, so that every device raises the same one
//! and a resolution can name it.

use super::fact::{Allergy, Dispense, FactKind, Statement};
use super::medication::{Cover, class_key, cover};
use super::standing::{FactAt, Standing};
use crate::clock::DAY_MS;
use crate::crypto::{Label, derive};
use crate::id::FindingId;
use crate::limits::DISPENSES_PAIRED_MAX;
use crate::mutant::{self, Mutant};
use std::collections::BTreeMap;

/// What kind of thing a person must look at (FHIR DetectedIssue).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum FindingKind {
    /// Two dispenses of one class overlap (`DUPTHPY`).
    DuplicateDispense = 1,
    /// A dispensed product is covered by an allergy (`DALG`).
    AllergyConflict = 2,
    /// Whether an allergy covers a product could not be checked.
    AllergyNotChecked = 3,
    /// Two patients bear one identifier: possibly the same person.
    PossiblySamePerson = 4,
    /// Birth date, sex or weight has several concurrent values.
    ConcurrentValues = 5,
    /// Two imports of one resource say different things.
    ImportDiffers = 6,
    /// Stock is below zero.
    StockNegative = 7,
    /// Two counts of one lot were made without knowledge of each other.
    ConcurrentCounts = 8,
    /// A log has branches: its author forked it, or a copy of a device wrote.
    Fork = 9,
    /// A time cannot be right.
    ImplausibleTime = 10,
    /// More dispenses of one class than are listed in pairs.
    ManyDispenses = 11,
    /// A lot is past its expiry; told before dispensing, never posted.
    LotExpired = 12,
}

impl FindingKind {
    /// All kinds in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::DuplicateDispense,
        Self::AllergyConflict,
        Self::AllergyNotChecked,
        Self::PossiblySamePerson,
        Self::ConcurrentValues,
        Self::ImportDiffers,
        Self::StockNegative,
        Self::ConcurrentCounts,
        Self::Fork,
        Self::ImplausibleTime,
        Self::ManyDispenses,
        Self::LotExpired,
    ];

    /// The kind of a number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// The code: HL7's where it has one.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::DuplicateDispense => "DUPTHPY",
            Self::AllergyConflict => "DALG",
            Self::AllergyNotChecked => "allergy-not-checked",
            Self::PossiblySamePerson => "possibly-same-person",
            Self::ConcurrentValues => "concurrent-values",
            Self::ImportDiffers => "import-differs",
            Self::StockNegative => "stock-negative",
            Self::ConcurrentCounts => "concurrent-counts",
            Self::Fork => "fork",
            Self::ImplausibleTime => "implausible-time",
            Self::ManyDispenses => "many-dispenses",
            Self::LotExpired => "lot-expired",
        }
    }
}

/// Something a person must look at.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Finding {
    /// Its id.
    pub id: FindingId,
    /// Its kind.
    pub kind: FindingKind,
    /// What it is about, in canonical bytes and rising order: fact ids, patients, logs.
    pub about: Vec<Vec<u8>>,
    /// What is the matter, in one sentence.
    pub text: String,
    /// Whether it rests on something that waits for review: shown, and outside the digest.
    pub waiting: bool,
}

impl Finding {
    /// A finding about things named in canonical bytes, in whatever order they are given.
    #[must_use]
    pub fn new(kind: FindingKind, mut about: Vec<Vec<u8>>, text: String) -> Self {
        about.sort_unstable();
        about.dedup();
        let mut parts: Vec<&[u8]> = Vec::with_capacity(about.len() * 2 + 1);
        let number = [kind as u8];
        let lengths: Vec<[u8; 4]> =
            about.iter().map(|a| u32::try_from(a.len()).unwrap_or(u32::MAX).to_le_bytes()).collect();
        parts.push(&number);
        for (length, bytes) in lengths.iter().zip(&about) {
            parts.push(length);
            parts.push(bytes);
        }
        let id = derive(Label::Finding, &parts);
        Self { id: FindingId::new(id.first_chunk().copied().unwrap_or_default()), kind, about, text, waiting: false }
    }
}

/// The findings that a patient's facts raise; `standings` as `standing::standings` gives them.
#[must_use]
pub fn of_facts(facts: &[FactAt<'_>], standings: &[Standing]) -> Vec<Finding> {
    let standing =
        || facts.iter().zip(standings).filter(|(f, s)| **s == Standing::Stands && !f.waiting).map(|(f, _)| f);
    let mut findings = Vec::new();
    let dispenses: Vec<(&FactAt<'_>, &Dispense<'_>)> = standing()
        .filter_map(|f| if let Statement::Dispense(dispense) = &f.fact.statement { Some((f, dispense)) } else { None })
        .collect();
    duplicates(&dispenses, &mut findings);
    // A waiting allergy warns too: its author may have had no right, the patient may be allergic all the same.
    let allergies: Vec<(&FactAt<'_>, &Allergy<'_>)> = facts
        .iter()
        .zip(standings)
        .filter(|(_, s)| **s == Standing::Stands)
        .filter_map(
            |(f, _)| if let Statement::Allergy(allergy) = &f.fact.statement { Some((f, allergy)) } else { None },
        )
        .filter(|(_, allergy)| allergy.verification.stands())
        .collect();
    for (fact, dispense) in &dispenses {
        for (allergy_fact, allergy) in &allergies {
            findings.extend(allergy_finding(fact, dispense, allergy_fact, allergy));
        }
    }
    for fact in standing().filter(|f| f.implausible) {
        let text = format!("The time of this {} cannot be right.", fact.fact.statement.kind().word());
        findings.push(Finding::new(FindingKind::ImplausibleTime, vec![fact.id().to_bytes()], text));
    }
    concurrent_weights(facts, standings, &mut findings);
    imports_that_differ(facts, standings, &mut findings);
    // One of each id; what accepted facts raise before what waiting ones do.
    findings.sort_unstable_by(|a, b| (a.id, a.waiting, &a.text).cmp(&(b.id, b.waiting, &b.text)));
    findings.dedup_by_key(|finding| finding.id);
    findings
}

fn allergy_finding(
    fact: &FactAt<'_>,
    dispense: &Dispense<'_>,
    allergy_fact: &FactAt<'_>,
    allergy: &Allergy<'_>,
) -> Option<Finding> {
    let about = vec![fact.id().to_bytes(), allergy_fact.id().to_bytes()];
    let flagged = if allergy_fact.waiting { " (this allergy waits for review)" } else { "" };
    let (product, substance) = (dispense.product.shown(), allergy.substance.shown());
    let raised = match cover(&allergy.substance, allergy.category, &dispense.product) {
        Cover::Covers => {
            let text = format!("The allergy to {substance} covers {product}{flagged}.");
            Some(Finding::new(FindingKind::AllergyConflict, about, text))
        }
        Cover::NotChecked => {
            let text = format!("Not checked: whether the allergy to {substance} covers {product}{flagged}.");
            Some(Finding::new(FindingKind::AllergyNotChecked, about, text))
        }
        Cover::Spares => None,
    };
    raised.map(|finding| Finding { waiting: allergy_fact.waiting, ..finding })
}

/// Pairs of overlapping dispenses of one class; above a bound one finding stands for all of the class.
fn duplicates(dispenses: &[(&FactAt<'_>, &Dispense<'_>)], findings: &mut Vec<Finding>) {
    let mut by_class: BTreeMap<String, Vec<&(&FactAt<'_>, &Dispense<'_>)>> = BTreeMap::new();
    for dispense in dispenses {
        by_class.entry(class_key(&dispense.1.product)).or_default().push(dispense);
    }
    for (class, mut group) in by_class {
        if group.len() > DISPENSES_PAIRED_MAX {
            let text =
                format!("More than {DISPENSES_PAIRED_MAX} dispenses of one class; they are not listed in pairs.");
            let patient = group.first().and_then(|(f, _)| f.fact.patient).unwrap_or_default();
            let about = vec![patient.as_bytes().to_vec(), class.into_bytes()];
            findings.push(Finding::new(FindingKind::ManyDispenses, about, text));
            continue;
        }
        group.sort_unstable_by_key(|(f, _)| (f.fact.effective.ms, f.reference.entry, f.reference.index));
        for (place, (first, earlier)) in group.iter().enumerate() {
            for (second, later) in group.iter().skip(place + 1) {
                if overlaps(first, earlier, second) {
                    let about = vec![first.id().to_bytes(), second.id().to_bytes()];
                    let text = format!(
                        "{} and {} overlap: one class, dispensed twice.",
                        earlier.product.shown(),
                        later.product.shown()
                    );
                    findings.push(Finding::new(FindingKind::DuplicateDispense, about, text));
                }
            }
        }
    }
}

/// Whether the supply of an earlier dispense lasts beyond a later one by more than two days or half of it,
/// whichever is less. A time that is not plausible or not known to the day overlaps with everything.
#[must_use]
pub fn overlaps(first: &FactAt<'_>, earlier: &Dispense<'_>, second: &FactAt<'_>) -> bool {
    let vague = |f: &FactAt<'_>| f.implausible || f.fact.effective.coarser_than_a_day();
    if vague(first) || vague(second) {
        return true;
    }
    let supply_ms = i64::from(earlier.days.unwrap_or(1)) * DAY_MS;
    let left_ms = first.fact.effective.ms.saturating_add(supply_ms).saturating_sub(second.fact.effective.ms);
    if mutant::is(Mutant::MissesShortDoubles) {
        return left_ms > 2 * DAY_MS;
    }
    left_ms > (2 * DAY_MS).min(supply_ms / 2)
}

/// LOINC code of body weight.
pub const WEIGHT: &str = "29463-7";

fn concurrent_weights(facts: &[FactAt<'_>], standings: &[Standing], findings: &mut Vec<Finding>) {
    let current: Vec<(&FactAt<'_>, _)> = facts
        .iter()
        .zip(standings)
        .filter(|(f, s)| **s == Standing::Stands && !f.waiting)
        .filter_map(|(f, _)| match &f.fact.statement {
            Statement::Observation(o) if o.code.code == WEIGHT && !o.earlier => Some((f, o.value)),
            _ => None,
        })
        .collect();
    // Imports name what they knew by time, so only what people wrote without knowledge of each other is left.
    if current.iter().any(|(_, value)| current.first().is_some_and(|(_, first)| first != value)) {
        let about = current.iter().map(|(f, _)| f.id().to_bytes()).collect();
        findings.push(Finding::new(
            FindingKind::ConcurrentValues,
            about,
            "Two weights were recorded without knowledge of each other.".into(),
        ));
    }
}

fn imports_that_differ(facts: &[FactAt<'_>], standings: &[Standing], findings: &mut Vec<Finding>) {
    let mut by_import: BTreeMap<_, Vec<&FactAt<'_>>> = BTreeMap::new();
    for (fact, _) in facts.iter().zip(standings).filter(|(f, s)| **s != Standing::Repeated && !f.waiting) {
        if let Some(import) = fact.fact.import {
            by_import.entry((import, fact.fact.statement.kind())).or_default().push(fact);
        }
    }
    for ((import, kind), group) in by_import.iter().filter(|(_, group)| group.len() > 1) {
        let mut about: Vec<Vec<u8>> =
            group.iter().map(|f| super::reference::FactId::Written(f.reference).to_bytes()).collect();
        about.push(import.as_bytes().to_vec());
        let text = format!("Two imports of one {} say different things.", word(*kind));
        findings.push(Finding::new(FindingKind::ImportDiffers, about, text));
    }
}

const fn word(kind: FactKind) -> &'static str {
    kind.word()
}

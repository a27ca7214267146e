//! `AllergyIntolerance`: an allergy, or the statement that none is known.

use super::node::Node;
use super::said::{Said, draft, fact, statuses};
use super::value::first_time;
use super::{ALLERGY_CATEGORIES, EXTENSION_CATEGORY, NO_KNOWN_ALLERGY, RXNORM, SNOMED};
use crate::clock::EffectiveTime;
use crate::exchange::report::{Reason, Refusal};
use crate::record::{Allergy, ClinicalStatus, Criticality, Statement, Verification};

pub(super) fn read(resource: Node<'_>) -> Result<Said<'_>, Refusal> {
    let (clinical, verification) = statuses(resource, false)?;
    let substance = resource.need_concept("code", &[RXNORM])?;
    let onset = [resource.time("onsetDateTime", "_onsetDateTime")?, resource.start("onsetPeriod")?];
    let recorded = if onset == [None, None] { resource.time("recordedDate", "_recordedDate")? } else { None };
    let [at, from] = onset;
    let effective = first_time([at, from, recorded]);
    if substance.code == NO_KNOWN_ALLERGY && substance.system == SNOMED {
        return no_known_allergies(resource, effective, clinical, verification);
    }
    let statement = Statement::Allergy(Allergy {
        substance,
        clinical,
        verification,
        criticality: resource.code("criticality", Criticality::parse)?,
        category: read_category(resource)?,
        reaction: read_reaction(resource)?,
    });
    draft(resource, "patient", effective, statement).map(fact)
}

fn no_known_allergies(
    resource: Node<'_>,
    effective: EffectiveTime,
    clinical: ClinicalStatus,
    verification: Verification,
) -> Result<Said<'_>, Refusal> {
    let holds = verification.stands() && clinical == ClinicalStatus::Active;
    let statement = if holds { Statement::NoKnownAllergies } else { Statement::Refutation };
    let drafted = draft(resource, "patient", effective, statement)?;
    Ok(match drafted {
        Some(draft) if !holds => Said::TakenBack(draft, "AllergyIntolerance (no known allergy) does not hold"),
        other => fact(other),
    })
}

/// The first category; a word of ours outside FHIR's list comes in an extension.
fn read_category(resource: Node<'_>) -> Result<&str, Refusal> {
    if let Some(extension) = resource.extension(EXTENSION_CATEGORY)? {
        return extension.text("valueString");
    }
    match resource.first_text("category")? {
        word if word.is_empty() || ALLERGY_CATEGORIES.contains(&word) => Ok(word),
        _ => Err(Refusal::new(Reason::UnknownCode, "category")),
    }
}

/// `manifestation, manifestation (severity); manifestation`: as text or by the coding's display; a reaction
/// without manifestation by its description.
fn read_reaction(resource: Node<'_>) -> Result<&str, Refusal> {
    let mut shown: Vec<String> = Vec::new();
    for reaction in resource.objects("reaction")? {
        let mut words = Vec::new();
        for manifestation in reaction.objects("manifestation")? {
            let coded = manifestation.as_concept(&[])?;
            words.extend(coded.map(|coded| coded.shown()));
        }
        if words.is_empty() {
            words.push(reaction.text("description")?);
        }
        let severity = reaction
            .code("severity", |word| ["mild", "moderate", "severe"].into_iter().find(|known| *known == word))?;
        let words = words.join(", ");
        match severity {
            _ if words.is_empty() => shown.extend(severity.map(str::to_owned)),
            None => shown.push(words),
            Some(severity) => shown.push(format!("{words} ({severity})")),
        }
    }
    if shown.is_empty() { Ok("") } else { resource.keep(shown.join("; ")) }
}

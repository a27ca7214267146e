//! What a resource about a patient says: a fact, that an earlier one does not hold, or nothing to keep.

use super::dispense::Medications;
use super::node::Node;
use super::value::{ReceiverReference, Reference};
use super::{EXTENSION_CLINICAL, EXTENSION_REASON, EXTENSION_STATUS, EXTENSION_TARGET};
use super::{allergy, basic, condition, dispense, immunization, observation};
use crate::clock::EffectiveTime;
use crate::exchange::report::{Reason, Refusal};
use crate::limits::TARGETS_PER_FACT_MAX;
use crate::record::{ClinicalStatus, Statement, Verification};

/// What a resource says.
#[derive(Debug)]
pub(in crate::exchange) enum Said<'v> {
    /// A fact.
    Fact(Draft<'v>),
    /// What an earlier import took from the same resource does not hold; the statement says how that is
    /// said. Nothing to keep if there was none, for the reason that stands beside it.
    TakenBack(Draft<'v>, &'static str),
    /// Nothing that a record keeps, and why.
    LeftOut(&'static str),
}

/// A fact whose references are still resource ids.
#[derive(Debug)]
pub(in crate::exchange) struct Draft<'v> {
    /// Resource id of the patient.
    pub(in crate::exchange) patient: &'v str,
    /// When.
    pub(in crate::exchange) effective: EffectiveTime,
    /// Why; empty if not said.
    pub(in crate::exchange) reason: &'v str,
    /// Type and resource id of the facts that it names.
    pub(in crate::exchange) targets: Vec<(&'v str, &'v str)>,
    /// Who took what was dispensed.
    pub(in crate::exchange) receiver: Option<ReceiverReference<'v>>,
    /// What was said; references within it are empty.
    pub(in crate::exchange) statement: Statement<'v>,
}

/// Reads a resource of one of the kept types about a patient.
pub(in crate::exchange) fn read<'v>(
    resource_type: &str,
    resource: Node<'v>,
    medications: &'v Medications,
) -> Result<Said<'v>, Refusal> {
    match resource_type {
        "AllergyIntolerance" => allergy::read(resource),
        "Basic" => basic::read(resource),
        "Condition" => condition::read(resource),
        "Immunization" => immunization::read(resource),
        "MedicationDispense" => dispense::read(resource, medications),
        "Observation" => observation::read(resource),
        _ => Err(Refusal::new(Reason::NotAResource, "resourceType")),
    }
}

/// Makes a draft with what all resources have: the patient, named by `subject`, reason and targets.
/// `None` if the subject is not a patient.
pub(super) fn draft<'v>(
    resource: Node<'v>,
    subject: &'static str,
    effective: EffectiveTime,
    statement: Statement<'v>,
) -> Result<Option<Draft<'v>>, Refusal> {
    let missing = Refusal::new(Reason::Missing, subject);
    let reference = resource.object(subject)?.ok_or(missing)?.reference()?.ok_or(missing)?;
    if matches!(reference, Reference::Contained(_)) {
        return Err(Refusal::new(Reason::Reference, subject));
    }
    let Some(patient) = reference.id_of("Patient") else { return Ok(None) };
    let mut targets = Vec::new();
    for extension in resource.extensions(EXTENSION_TARGET)? {
        let target = extension.object("valueReference")?.map_or(Ok(None), Node::reference)?;
        let Some(Reference::To(kind, id)) = target else {
            return Err(Refusal::new(Reason::Reference, "valueReference"));
        };
        targets.push((kind, id));
    }
    if targets.len() > TARGETS_PER_FACT_MAX {
        return Err(Refusal::new(Reason::TooMany, "extension"));
    }
    let reason = resource.extension(EXTENSION_REASON)?.map_or(Ok(""), |e| e.text("valueString"))?;
    Ok(Some(Draft { patient, effective, reason, targets, receiver: None, statement }))
}

/// A fact, or left out because its subject is not a patient.
pub(super) fn fact(draft: Option<Draft<'_>>) -> Said<'_> {
    draft.map_or(Said::LeftOut("subject is not a patient"), Said::Fact)
}

/// The status that was said before the book itself took the fact back; empty if it did not.
pub(super) fn status_said(resource: Node<'_>) -> Result<&str, Refusal> {
    resource.extension(EXTENSION_STATUS)?.map_or(Ok(""), |extension| extension.text("valueCode"))
}

/// Clinical and verification status of an allergy or condition. One of which neither is said counts, and
/// is unconfirmed; one that is over is resolved. What was entered in error has no clinical status in FHIR.
pub(super) fn statuses(resource: Node<'_>, over: bool) -> Result<(ClinicalStatus, Verification), Refusal> {
    let unknown = Refusal::new(Reason::UnknownCode, "extension");
    let written = resource.status("verificationStatus", Verification::parse)?;
    let verification = match status_said(resource)? {
        "" => written.unwrap_or(Verification::Unconfirmed),
        word => Verification::parse(word).ok_or(unknown)?,
    };
    let missing = match verification {
        Verification::EnteredInError => ClinicalStatus::Inactive,
        _ if over => ClinicalStatus::Resolved,
        _ => ClinicalStatus::Active,
    };
    let written = resource.status("clinicalStatus", ClinicalStatus::parse)?;
    let clinical = match resource.extension(EXTENSION_CLINICAL)? {
        Some(extension) => ClinicalStatus::parse(extension.text("valueCode")?).ok_or(unknown)?,
        None => written.unwrap_or(missing),
    };
    Ok((clinical, verification))
}

//! Writes facts as resources.

use super::super::{
    ALLERGY_CATEGORIES, ALLERGY_CLINICAL, ALLERGY_VERIFICATION, CONDITION_CLINICAL, CONDITION_VERIFICATION,
    EXTENSION_CATEGORY, EXTENSION_CLINICAL, EXTENSION_EFFECTIVE, EXTENSION_OVERRIDE, EXTENSION_REASON,
    EXTENSION_STATUS, EXTENSION_TARGET, EXTENSION_TEXT, FACT, NO_KNOWN_ALLERGY, SNOMED, UCUM,
};
use super::json::{Object, is_known, reference};
use super::{ExportFact, resource_id, resource_type};
use crate::record::{
    Allergy, ClinicalStatus, Coded, Dispense, FactKind, Given, Immunization, Observation, Receiver, Statement,
    Verification,
};
use serde_json::Value;

/// Id of the Medication within a dispense.
const MEDICATION: &str = "medication";

/// The resource of a fact and its type; `None` if its kind is not exported.
pub(super) fn write(export: &ExportFact<'_>, source: &str) -> Option<(&'static str, Value)> {
    let fact = &export.fact;
    let kind = resource_type(fact.statement.kind())?;
    let patient = fact.patient?.to_hex();
    let mut resource = Object::resource(kind, &resource_id(&export.id), source);
    let to = &mut resource;
    let subject = if matches!(kind, "AllergyIntolerance" | "Immunization") { "patient" } else { "subject" };
    to.reference(subject, "Patient", &patient);
    match &fact.statement {
        Statement::Allergy(allergy) => write_allergy(to, export, allergy),
        Statement::NoKnownAllergies => {
            let code = Coded { system: SNOMED, code: NO_KNOWN_ALLERGY, display: "No known allergy" };
            to.concept("code", &code);
            write_statuses(
                to,
                export,
                ClinicalStatus::Active,
                Verification::Confirmed,
                [ALLERGY_CLINICAL, ALLERGY_VERIFICATION],
            );
        }
        Statement::Observation(observation) => write_observation(to, export, observation),
        Statement::Condition(condition) => {
            to.concept("code", &condition.code);
            let systems = [CONDITION_CLINICAL, CONDITION_VERIFICATION];
            write_statuses(to, export, condition.clinical, condition.verification, systems);
        }
        Statement::Immunization(immunization) => write_immunization(to, export, immunization),
        Statement::Dispense(dispense) => write_dispense(to, export, dispense),
        Statement::Refutation | Statement::Reversal | Statement::Deceased => write_basic(to, fact.statement.kind()),
        Statement::Note { text } => {
            write_basic(to, FactKind::Note);
            to.text_extension(EXTENSION_TEXT, text);
        }
        Statement::StockMovement(_) | Statement::StockCount(_) | Statement::Resolution { .. } => return None,
    }
    write_time(to, export);
    write_author(to, kind, export.author);
    to.text_extension(EXTENSION_REASON, fact.reason);
    for (place, target) in fact.targets.iter().enumerate() {
        let target_kind = export.target_kinds.get(place).copied().and_then(resource_type).unwrap_or(kind);
        to.extension(EXTENSION_TARGET, "valueReference", reference(target_kind, &resource_id(target)));
    }
    Some((kind, resource.into()))
}

fn write_time(to: &mut Object, export: &ExportFact<'_>) {
    let time = &export.fact.effective;
    match export.fact.statement.kind() {
        FactKind::Allergy | FactKind::NoKnownAllergies | FactKind::Condition => to.time("onsetDateTime", time),
        FactKind::Observation => to.time("effectiveDateTime", time),
        FactKind::Immunization if is_known(time) => to.time("occurrenceDateTime", time),
        FactKind::Immunization => to.text("occurrenceString", "unknown"),
        FactKind::Dispense => to.time("whenHandedOver", time),
        _ if is_known(time) => {
            let mut extension = Object::default();
            extension.text("url", EXTENSION_EFFECTIVE).time("valueDateTime", time);
            to.push("extension", extension)
        }
        _ => to,
    };
}

fn write_author(to: &mut Object, resource_type: &str, author: &str) {
    if author.is_empty() {
        return;
    }
    let mut who = Object::default();
    who.text("display", author);
    match resource_type {
        "Observation" => to.push("performer", who),
        "Immunization" | "MedicationDispense" => {
            let mut performer = Object::default();
            performer.object("actor", who);
            to.push("performer", performer)
        }
        "Basic" => to.object("author", who),
        _ => to.object("recorder", who),
    };
}

/// Says `written` as status to others, and what was said if the book took it back.
fn write_status(to: &mut Object, written: &str, said: &str) {
    to.text("status", written);
    write_said(to, written, said);
}

fn write_said(to: &mut Object, written: &str, said: &str) {
    if written != said {
        to.extension(EXTENSION_STATUS, "valueCode", said);
    }
}

/// Clinical and verification status; what was taken back is refuted. What was entered in error has no
/// clinical status in FHIR: inactive is understood, another is an extension.
fn write_statuses(
    to: &mut Object,
    export: &ExportFact<'_>,
    clinical: ClinicalStatus,
    verification: Verification,
    [clinical_system, verification_system]: [&str; 2],
) {
    let written = if verification.stands() && !export.stands { Verification::Refuted } else { verification };
    to.status("verificationStatus", verification_system, written.code());
    write_said(to, written.code(), verification.code());
    if written != Verification::EnteredInError {
        to.status("clinicalStatus", clinical_system, clinical.code());
    } else if clinical != ClinicalStatus::Inactive {
        to.extension(EXTENSION_CLINICAL, "valueCode", clinical.code());
    }
}

fn write_allergy(to: &mut Object, export: &ExportFact<'_>, allergy: &Allergy<'_>) {
    to.concept("code", &allergy.substance);
    write_statuses(to, export, allergy.clinical, allergy.verification, [ALLERGY_CLINICAL, ALLERGY_VERIFICATION]);
    to.text("criticality", allergy.criticality.map_or("", crate::record::Criticality::code));
    if ALLERGY_CATEGORIES.contains(&allergy.category) {
        to.push("category", allergy.category);
    } else {
        to.text_extension(EXTENSION_CATEGORY, allergy.category);
    }
    if !allergy.reaction.is_empty() {
        let (mut manifestation, mut reaction) = (Object::default(), Object::default());
        manifestation.text("text", allergy.reaction);
        reaction.push("manifestation", manifestation);
        to.push("reaction", reaction);
    }
}

fn write_observation(to: &mut Object, export: &ExportFact<'_>, observation: &Observation<'_>) {
    write_status(to, if export.stands { "final" } else { "entered-in-error" }, "final");
    to.concept("code", &observation.code);
    if let Some(value) = &observation.value {
        to.value(value);
    }
    for (code, value) in &observation.components {
        let mut component = Object::default();
        component.concept("code", code).value(value);
        to.push("component", component);
    }
}

fn write_immunization(to: &mut Object, export: &ExportFact<'_>, immunization: &Immunization<'_>) {
    let written = if export.stands { immunization.given } else { Given::EnteredInError };
    write_status(to, written.code(), immunization.given.code());
    to.concept("vaccineCode", &immunization.vaccine).text("lotNumber", immunization.lot);
    to.text("expirationDate", &immunization.expiry.map_or(String::new(), |expiry| expiry.to_string()));
    to.concept("site", &Coded::text(immunization.site));
    if let Some(dose) = &immunization.dose {
        to.quantity("doseQuantity", dose);
    }
}

fn write_dispense(to: &mut Object, export: &ExportFact<'_>, dispense: &Dispense<'_>) {
    write_status(to, if export.stands { "completed" } else { "cancelled" }, "completed");
    if dispense.lot.is_empty() && dispense.expiry.is_none() {
        to.concept("medicationCodeableConcept", &dispense.product);
    } else {
        let (mut medication, mut batch, mut by_id) = (Object::default(), Object::default(), Object::default());
        batch.text("lotNumber", dispense.lot);
        batch.text("expirationDate", &dispense.expiry.map_or(String::new(), |expiry| expiry.to_string()));
        medication.text("resourceType", "Medication").text("id", MEDICATION).concept("code", &dispense.product);
        to.push("contained", std::mem::take(medication.object("batch", batch)));
        by_id.text("reference", &format!("#{MEDICATION}"));
        to.object("medicationReference", by_id);
    }
    if let Some(quantity) = &dispense.quantity {
        to.quantity("quantity", quantity);
    }
    if let Some(days) = dispense.days {
        let mut supply = Object::default();
        supply.put("value", days).text("unit", "d").text("system", UCUM).text("code", "d");
        to.object("daysSupply", supply);
    }
    match &dispense.receiver {
        None => {}
        Some(Receiver::Patient(patient)) => {
            to.push("receiver", reference("Patient", &patient.to_hex()));
        }
        Some(Receiver::Person(name)) => {
            let mut person = Object::default();
            person.text("display", name);
            to.push("receiver", person);
        }
    }
    let mut place = Object::default();
    place.text("display", dispense.place);
    to.object("location", place).text_extension(EXTENSION_OVERRIDE, dispense.override_reason);
}

fn write_basic(to: &mut Object, kind: FactKind) {
    to.status("code", FACT, kind.word());
}

//! FHIR R4 resources: what of them Daybook keeps, and how it writes them.
//!
//! Owns the mapping in both directions. Knows nothing of books, batches and identity: a resource becomes
//! a [`Said`] or a [`PatientRecord`], whose references are still resource ids; the import resolves them.
//! Each mapping is a pure function of the resource, so that two devices make the same bytes of it; its
//! outcome is part of what facts are compared by, so a change here shows old imports as different.
//!
//! | what FHIR lacks | where it is written and read back |
//! |---|---|
//! | reason of a fact, target of a correction, override reason | extensions `urn:daybook:reason`, `:target`, `:override` |
//! | status of what was refuted, reversed or corrected | FHIR's status says so for others, `urn:daybook:status` says what was said |
//! | refutation, reversal, note, death | `Basic` with code system `urn:daybook:fact` |
//! | further values of birth date and sex | `urn:daybook:concurrent` on the Patient |
//! | household | `urn:daybook:household` on the Patient |
//! | offset of a date, precision of a minute | `urn:daybook:offset`, `urn:daybook:precision` on the element |
//! | clinical status of what was entered in error | `urn:daybook:clinical` |
//! | what the signature of a Provenance is over: log, place and entry id | `urn:daybook:head` on it |
//! | words outside FHIR's closed lists | `urn:daybook:use`, `urn:daybook:category` |

pub mod export;

mod allergy;
mod basic;
mod condition;
mod dispense;
mod immunization;
mod node;
mod observation;
mod patient;
mod said;
mod value;

pub(in crate::exchange) use dispense::{Medication, Medications};
pub(in crate::exchange) use node::{Node, Reading};
pub(in crate::exchange) use patient::{Death, PatientRecord, read as read_patient, source_of};
pub(in crate::exchange) use said::{Draft, Said, read as read_fact};

pub use crate::record::RXNORM;

use crate::clock::{EffectiveTime, Precision, TimeSource};

/// The effective time of a fact whose resource gives none: the year 1, stated. It orders last and is
/// less exact than a day, so nothing is current because of it. Written back as no time at all.
pub const TIME_NOT_KNOWN: EffectiveTime = EffectiveTime {
    ms: -62_135_596_800_000,
    offset_minutes: 0,
    precision: Precision::Year,
    source: TimeSource::Stated,
};

/// LOINC.
pub const LOINC: &str = "http://loinc.org";
/// CVX, codes of vaccines.
pub const CVX: &str = "http://hl7.org/fhir/sid/cvx";
/// SNOMED CT.
pub const SNOMED: &str = "http://snomed.info/sct";
/// UCUM, units.
pub const UCUM: &str = "http://unitsofmeasure.org";
/// HL7 version 2 table 0203, types of identifiers.
const IDENTIFIER_TYPE: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";
const LANGUAGE: &str = "urn:ietf:bcp:47";
const ALLERGY_CLINICAL: &str = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical";
const ALLERGY_VERIFICATION: &str = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification";
const CONDITION_CLINICAL: &str = "http://terminology.hl7.org/CodeSystem/condition-clinical";
const CONDITION_VERIFICATION: &str = "http://terminology.hl7.org/CodeSystem/condition-ver-status";
/// "No known allergy" in SNOMED CT.
const NO_KNOWN_ALLERGY: &str = "716186003";

/// Purposes of use (`purposeOfEvent`).
const ACT_REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
const DATA_OPERATION: &str = "http://terminology.hl7.org/CodeSystem/v3-DataOperation";
/// Types of events.
const DICOM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const OBJECT_ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";
const PARTICIPANT: &str = "http://terminology.hl7.org/CodeSystem/provenance-participant-type";
/// ASTM's code of an author's signature.
const SIGNATURE_TYPE: (&str, &str) = ("urn:iso-astm:E1762-95:2013", "1.2.840.10065.1.12.1.1");
/// The signature of section 1.3 of the format page over a head: 64 bytes.
const SIGNATURE_FORMAT: &str = "application/vnd.daybook.head";
/// Identifiers of devices, in hexadecimal.
const DEVICE: &str = "urn:daybook:device";
/// Identifiers of entries, in hexadecimal.
const ENTRY: &str = "urn:daybook:entry";

/// Code system of the `Basic` resources that carry our own kinds of facts.
const FACT: &str = "urn:daybook:fact";
const EXTENSION_CATEGORY: &str = "urn:daybook:category";
const EXTENSION_CLINICAL: &str = "urn:daybook:clinical";
const EXTENSION_CODE: &str = "urn:daybook:code";
const EXTENSION_CONCURRENT: &str = "urn:daybook:concurrent";
const EXTENSION_EFFECTIVE: &str = "urn:daybook:effective";
const EXTENSION_FACT: &str = "urn:daybook:fact";
const EXTENSION_HEAD: &str = "urn:daybook:head";
const EXTENSION_HOUSEHOLD: &str = "urn:daybook:household";
const EXTENSION_OFFSET: &str = "urn:daybook:offset";
const EXTENSION_OVERRIDE: &str = "urn:daybook:override";
const EXTENSION_PRECISION: &str = "urn:daybook:precision";
const EXTENSION_REASON: &str = "urn:daybook:reason";
const EXTENSION_STATUS: &str = "urn:daybook:status";
const EXTENSION_TARGET: &str = "urn:daybook:target";
const EXTENSION_TEXT: &str = "urn:daybook:text";
const EXTENSION_USE: &str = "urn:daybook:use";
/// The source URI of an export begins so; the incident's id in hexadecimal follows.
const SOURCE_PREFIX: &str = "urn:daybook:incident:";

/// The resource types that an import keeps.
pub const KEPT: [&str; 8] = [
    "Patient",
    "Medication",
    "AllergyIntolerance",
    "Basic",
    "Condition",
    "Immunization",
    "MedicationDispense",
    "Observation",
];

const USES_OF_NAMES: &[&str] = &["usual", "official", "temp", "nickname", "anonymous", "old", "maiden"];
const USES_OF_TELECOM: &[&str] = &["home", "work", "temp", "old", "mobile"];
const USES_OF_ADDRESSES: &[&str] = &["home", "work", "temp", "old", "billing"];
const TELECOM_SYSTEMS: &[&str] = &["phone", "fax", "email", "pager", "url", "sms", "other"];
const ALLERGY_CATEGORIES: &[&str] = &["food", "medication", "environment", "biologic"];

#[cfg(test)]
mod fact_tests;

//! Writes a book's patients and clinical facts as FHIR R4: a Bundle or NDJSON, streamed.
//!
//! An export that is imported into an empty book gives the same registers and facts. What changes: ids are
//! made anew from the ids here; times that a device's clock gave become stated ones (the importing device
//! did not see them); what a dispense or an observation had seen is not carried. The source to import it
//! with is [`source_uri`]; each resource carries it in `meta.source`, where the import finds it.
//!
//! Concurrent values of birth date and sex: the first is FHIR's, the others stand in extensions. The import
//! of a new record writes the first of these as an edit of its own that is concurrent with the rest, so
//! both are shown again; a third value cannot be told by one author and is listed as not kept.
//!
//! Who wrote what goes along as one Provenance per entry, with the author's signature; who read what as one
//! AuditEvent per reading, if the exporting device may be shown that. An import counts both and takes neither: the
//! importing book has authors and readers of its own.
//!
//! Left out: stock movements and counts (supply has no patient and its own exports), and resolutions of
//! findings (the findings of another book have other ids).

mod fact;
mod json;
mod patient;
mod provenance;
mod sink;

pub use sink::{Bundle, Ndjson, RESOURCES_PER_FILE, Sink};

use super::SOURCE_PREFIX;
use crate::clock::EffectiveTime;
use crate::id::{DeviceId, EntryId, IncidentId, LogId, PatientId, hex};
use crate::record::{Fact, FactId, FactKind, OpRef, Reading, Setting};
use std::io;

/// A patient's record as people see it.
#[derive(Clone, Debug)]
pub struct ExportPatient<'a> {
    /// Whose.
    pub id: PatientId,
    /// The registers with their present values; of a single register several, if they are concurrent.
    pub settings: Vec<Setting<'a>>,
    /// When the patient died, if a fact that stands says so. The fact itself is exported as well.
    pub deceased: Option<EffectiveTime>,
}

/// A fact as people see it.
#[derive(Clone, Debug)]
pub struct ExportFact<'a> {
    /// Its name.
    pub id: FactId,
    /// What was said.
    pub fact: Fact<'a>,
    /// The kinds of the facts that it targets, in the order of [`Fact::targets`]; a missing one is taken to
    /// be of its own kind.
    pub target_kinds: Vec<FactKind>,
    /// Who said it, for people; empty if that is not to be shown.
    pub author: &'a str,
    /// Whether it holds: neither refuted nor reversed nor corrected.
    pub stands: bool,
}

/// Who wrote or read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExportAuthor<'a> {
    /// The device.
    pub device: DeviceId,
    /// The person who holds it; empty if not known.
    pub person: &'a str,
    /// The organisation; empty if not known.
    pub organisation: &'a str,
}

/// A head with its author's signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExportHead<'a> {
    /// The log.
    pub log: LogId,
    /// The place.
    pub seq: u64,
    /// The entry there.
    pub id: EntryId,
    /// The signature over these three.
    pub signature: &'a [u8],
}

/// An entry, for its Provenance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExportEntry<'a> {
    /// Its id.
    pub id: EntryId,
    /// Its code for people.
    pub code: &'a str,
    /// When it was written, by the author's clock, in milliseconds.
    pub recorded_ms: i64,
    /// Who wrote it.
    pub author: ExportAuthor<'a>,
    /// Type and id of each resource that it wrote or changed.
    pub targets: Vec<(&'static str, String)>,
    /// Whether it changes records; else all in it is new.
    pub edits: bool,
    /// The first signed head from it on.
    pub head: ExportHead<'a>,
}

/// A reading, for its AuditEvent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExportReading<'a> {
    /// Its name.
    pub id: FactId,
    /// Who read.
    pub author: ExportAuthor<'a>,
    /// What, when and for what.
    pub reading: Reading,
}

/// The source URI under which the exports of a book are imported.
#[must_use]
pub fn source_uri(incident: &IncidentId) -> String {
    format!("{SOURCE_PREFIX}{}", incident.to_hex())
}

/// The FHIR id of a fact: hexadecimal of its import id, or of its entry's id and the place in it.
#[must_use]
pub fn resource_id(id: &FactId) -> String {
    match id {
        FactId::Imported(import) => import.to_hex(),
        FactId::Written(OpRef { entry, index }) => format!("{}.{index}", hex(&entry.prefix)),
    }
}

/// The FHIR type of a kind of fact; `None` if it is not exported.
#[must_use]
pub const fn resource_type(kind: FactKind) -> Option<&'static str> {
    match kind {
        FactKind::Allergy | FactKind::NoKnownAllergies => Some("AllergyIntolerance"),
        FactKind::Observation => Some("Observation"),
        FactKind::Condition => Some("Condition"),
        FactKind::Immunization => Some("Immunization"),
        FactKind::Dispense => Some("MedicationDispense"),
        FactKind::Refutation | FactKind::Reversal | FactKind::Note | FactKind::Deceased => Some("Basic"),
        FactKind::StockMovement | FactKind::StockCount | FactKind::Resolution => None,
    }
}

/// Writes one resource after another into a sink.
#[derive(Debug)]
pub struct Exporter<S> {
    sink: S,
    source: String,
}

impl<S: Sink> Exporter<S> {
    /// Starts an export of the book of `incident`.
    pub fn new(incident: &IncidentId, sink: S) -> Self {
        Self { sink, source: source_uri(incident) }
    }

    /// Writes a patient.
    ///
    /// # Errors
    /// Those of the sink, as with all methods here; then the export is not complete.
    pub fn patient(&mut self, patient: &ExportPatient<'_>) -> io::Result<()> {
        self.sink.write("Patient", &patient::write(patient, &self.source))
    }

    /// Writes a fact; says whether its kind is exported.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn fact(&mut self, fact: &ExportFact<'_>) -> io::Result<bool> {
        let Some((resource_type, resource)) = fact::write(fact, &self.source) else { return Ok(false) };
        self.sink.write(resource_type, &resource)?;
        Ok(true)
    }

    /// Writes who wrote an entry; nothing if nothing of it is exported.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn provenance(&mut self, entry: &ExportEntry<'_>) -> io::Result<()> {
        match provenance::provenance(entry, &self.source) {
            Some(resource) => self.sink.write("Provenance", &resource),
            None => Ok(()),
        }
    }

    /// Writes who read.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn reading(&mut self, reading: &ExportReading<'_>) -> io::Result<()> {
        self.sink.write("AuditEvent", &provenance::audit_event(reading, &self.source))
    }

    /// Ends the export. Nothing is said of durability: the caller syncs what it opened.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn finish(mut self) -> io::Result<S> {
        self.sink.finish()?;
        Ok(self.sink)
    }
}

#[cfg(test)]
#[path = "round_trip_tests.rs"]
mod tests;

//! Patients: adding, editing, households, finding them again.

use super::Daybook;
use super::charts::{Loaded, entry_code};
use super::error::Error;
use super::types::{PatientSummary, Written};
use super::writing::{Committed, Said, Writer};
use crate::clock::random;
use crate::id::{PatientId, TypedCode, read_code};
use crate::limits::{IDENTIFIERS_PER_PATIENT_MAX, PARENTS_PER_EDIT_MAX, REGISTERS_PER_EDIT_MAX};
use crate::merge::operations_of;
use crate::record::{Edit, EditAt, EntryRef, Field, Folded, Operation, Register, Setting, fold};
use crate::roster::CompartmentKind;
use crate::view;
use rusqlite::Connection;

/// Most candidates that an ambiguity lists.
const CANDIDATES_MAX: usize = 20;

impl Daybook {
    /// Adds a patient; a tag alone is enough, the name can come later.
    ///
    /// # Errors
    /// [`Error::Value`] if nothing is said or too much; nothing was written.
    pub fn add_patient(&mut self, settings: &[Setting<'_>]) -> Result<Written<PatientId>, Error> {
        let added = self.register_household_as(&[settings.to_vec()], None)?;
        let patient = added.value.first().copied().ok_or(Error::Bug("no patient was added"))?;
        Ok(Written { value: patient, entries: added.entries, findings: added.findings })
    }

    /// Registers several members of one household in one commit; the first is its head.
    ///
    /// # Errors
    /// As [`Daybook::add_patient`].
    pub fn register_household(&mut self, members: &[Vec<Setting<'_>>]) -> Result<Written<Vec<PatientId>>, Error> {
        let household = PatientId::new(random(self.host.as_mut()));
        self.register_household_as(members, Some(household))
    }

    fn register_household_as(
        &mut self,
        members: &[Vec<Setting<'_>>],
        household: Option<PatientId>,
    ) -> Result<Written<Vec<PatientId>>, Error> {
        if members.is_empty() {
            return Err(Error::Value { what: "the household", why: "has no members" });
        }
        let written = self.write(|writer| {
            let compartment = writer.state.compartment(CompartmentKind::Clinical)?;
            let mut said = Vec::new();
            let mut patients = Vec::new();
            for (place, settings) in members.iter().enumerate() {
                let patient = match (place, household) {
                    // A household is named by the id of its first member.
                    (0, Some(household)) => household,
                    _ => PatientId::new(random(writer.host)),
                };
                let mut settings = settings.clone();
                if let Some(household) = household {
                    settings.push(Setting::Household(household, Some(if place == 0 { "head" } else { "member" })));
                }
                said.push(Said { compartment, operation: edit(patient, &settings, Vec::new())? });
                patients.push(patient);
            }
            Ok((patients, writer.commit(&said)?))
        })?;
        self.written(written)
    }

    /// Puts a patient into the household of another.
    ///
    /// # Errors
    /// [`Error::NoSuchPatient`].
    pub fn join_household(&mut self, member: PatientId, of: PatientId, role: &str) -> Result<Written<()>, Error> {
        let connection = self.store.read()?;
        let subject = view::patient_subject(connection, &of)?.ok_or(Error::NoSuchPatient)?;
        let loaded = Loaded::load(connection, subject)?;
        let edits: Vec<_> = loaded.rows.iter().filter_map(|row| row.edit(&self.state.logs)).collect();
        let folded = fold(&edits, &self.state.logs.forks);
        let household = folded.shown.iter().find_map(|shown| {
            match (Register { field: shown.field, key: shown.key, value: shown.value }).parse() {
                Ok(Setting::Household(household, Some(_))) => Some(household),
                _ => None,
            }
        });
        let known = household.is_some();
        let household = household.unwrap_or(of);
        if !known {
            self.edit_patient(of, &[Setting::Household(household, Some("head"))])?;
        }
        self.edit_patient(member, &[Setting::Household(household, Some(role))])
    }

    /// Sets registers of a record; a setting without a value clears or withdraws.
    ///
    /// # Errors
    /// [`Error::NoSuchPatient`], [`Error::Value`]; nothing was written.
    pub fn edit_patient(&mut self, patient: PatientId, settings: &[Setting<'_>]) -> Result<Written<()>, Error> {
        let written = self.write(|writer| {
            let compartment = writer.state.compartment(CompartmentKind::Clinical)?;
            let subject = view::patient_subject(writer.tx, &patient)?.ok_or(Error::NoSuchPatient)?;
            let rows = operations_of(writer.tx, subject)?;
            let edits: Vec<_> = rows.iter().filter_map(|row| row.edit(&writer.state.logs)).collect();
            let folded = fold(&edits, &writer.state.logs.forks);
            let identifiers =
                folded.shown.iter().filter(|s| s.field == Field::Identifier && s.value != crate::record::NULL);
            let added = settings.iter().filter(|s| matches!(s, Setting::Identifier(_, Some(_)))).count();
            if identifiers.count() + added > IDENTIFIERS_PER_PATIENT_MAX {
                return Err(Error::Value { what: "the record", why: "has as many identifiers as a record may have" });
            }
            let operation = edit(patient, settings, heads_of(&folded, &edits))?;
            Ok(((), writer.commit(&[Said { compartment, operation }])?))
        })?;
        self.written(written)
    }

    /// What was written, with the findings that it raised.
    pub(super) fn written<T>(&self, (value, committed): (T, Committed)) -> Result<Written<T>, Error> {
        let mut findings = Vec::new();
        for subject in committed.subjects.into_iter().take(64) {
            findings.extend(self.findings_of(Some(subject), false)?);
        }
        let entries = committed.entries.iter().map(|entry| entry_code(&entry.reference, 0)).collect();
        Ok(Written { value, entries, findings })
    }

    /// The patient that a text names: a code, an identifier, or the beginning of the names of one only. Candidates
    /// are noted as a list that was shown.
    ///
    /// # Errors
    /// [`Error::Ambiguous`] with the candidates, [`Error::CodeCheck`], [`Error::NoSuchPatient`].
    pub fn resolve_patient(&mut self, text: &str) -> Result<PatientId, Error> {
        let resolved = self.named_patient(text);
        if let Err(Error::Ambiguous { candidates }) = &resolved {
            self.note_list(candidates.len());
        }
        resolved
    }

    fn named_patient(&mut self, text: &str) -> Result<PatientId, Error> {
        self.refresh()?;
        let connection = self.store.read()?;
        let text = text.trim();
        let code = read_code(text);
        let mut found = Vec::new();
        if let TypedCode::Whole(value) = code {
            let (low, high) = PatientId::range_of_code(value);
            found = view::patients_between(connection, &low, &high, CANDIDATES_MAX)?;
        }
        if found.is_empty() {
            found = match text.split_once('|') {
                Some((system, value)) => {
                    let compartment = self.state.compartment(CompartmentKind::Clinical)?;
                    let number = compartment_number(connection, compartment)?;
                    view::holders(connection, number, system, value)?
                }
                None => view::bearers_of_value(connection, text, CANDIDATES_MAX)?,
            };
        }
        if found.is_empty() {
            found = view::search(connection, text, CANDIDATES_MAX)?;
        }
        match found.as_slice() {
            [] if code == TypedCode::CheckFails => Err(Error::CodeCheck),
            [] => Err(Error::NoSuchPatient),
            [one] => Ok(self.summary(*one)?.patient),
            _ => Err(Error::Ambiguous {
                candidates: found.iter().map(|subject| self.summary(*subject)).collect::<Result<_, _>>()?,
            }),
        }
    }

    /// Patients that fit a text, at most `limit`, in order of name: by code, identifier, or the beginnings of
    /// words of names, identifiers and phones. Noted as a list that was shown.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub fn find(&mut self, text: &str, limit: usize) -> Result<Vec<PatientSummary>, Error> {
        let found = self.fitting(text, limit)?;
        self.note_list(found.len());
        Ok(found)
    }

    fn fitting(&mut self, text: &str, limit: usize) -> Result<Vec<PatientSummary>, Error> {
        self.refresh()?;
        let connection = self.store.read()?;
        let mut found = Vec::new();
        if let TypedCode::Whole(value) = read_code(text) {
            let (low, high) = PatientId::range_of_code(value);
            found = view::patients_between(connection, &low, &high, limit)?;
        }
        found.extend(view::bearers_of_value(connection, text, limit)?);
        found.extend(view::search(connection, text, limit)?);
        let mut seen = std::collections::BTreeSet::new();
        found.retain(|subject| seen.insert(*subject));
        found.truncate(limit);
        found.into_iter().map(|subject| self.summary(subject)).collect()
    }
}

/// The number of a compartment in this book.
pub(super) fn compartment_number(connection: &Connection, compartment: crate::id::CompartmentId) -> Result<i64, Error> {
    Ok(crate::store::Store::compartment_row(connection, compartment)?)
}

/// The heads of a record as this device sees it, as an edit names them: the 16 with the smallest names.
pub(super) fn heads(writer: &Writer<'_>, subject: i64) -> Result<Vec<EntryRef>, Error> {
    let rows = operations_of(writer.tx, subject)?;
    let edits: Vec<_> = rows.iter().filter_map(|row| row.edit(&writer.state.logs)).collect();
    Ok(heads_of(&fold(&edits, &writer.state.logs.forks), &edits))
}

fn heads_of(folded: &Folded<'_>, edits: &[EditAt<'_>]) -> Vec<EntryRef> {
    // An own head needs no naming: the own chain is a parent. Naming it costs little and says it openly.
    let mut heads: Vec<EntryRef> =
        folded.heads.iter().filter_map(|at| edits.get(*at)).map(|edit| edit.reference).collect();
    heads.truncate(PARENTS_PER_EDIT_MAX);
    heads
}

/// The bytes of an edit; settings of one register twice, none or too many are refused.
fn edit(patient: PatientId, settings: &[Setting<'_>], parents: Vec<EntryRef>) -> Result<Vec<u8>, Error> {
    if settings.is_empty() {
        return Err(Error::Value { what: "the record", why: "needs at least a tag, a name or another detail" });
    }
    if settings.len() > REGISTERS_PER_EDIT_MAX {
        return Err(Error::Value { what: "the record", why: "takes at most 64 details at once" });
    }
    let bytes: Vec<_> = settings.iter().map(|s| (s.field(), s.to_bytes())).collect();
    let registers = bytes.iter().map(|(field, (key, value))| Register { field: *field, key, value }).collect();
    let operation = Operation::Edit(Edit { patient, parents, registers, import: None }).to_bytes();
    checked(operation)
}

/// An own operation as every reader will judge it.
pub(super) fn checked(operation: Vec<u8>) -> Result<Vec<u8>, Error> {
    let malformed = match crate::codec::check(&operation).and_then(|()| Operation::read(&operation).map(drop)) {
        Ok(()) => return Ok(operation),
        Err(malformed) => malformed,
    };
    Err(match malformed {
        crate::codec::Malformed::Bounds => {
            Error::Value { what: "a detail", why: "is empty, too long or out of bounds" }
        }
        crate::codec::Malformed::NotCanonical => Error::Value { what: "a detail", why: "is said twice, or is empty" },
        _ => Error::Value { what: "a detail", why: "does not fit its field" },
    })
}

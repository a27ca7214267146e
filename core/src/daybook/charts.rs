//! Reading: from the rows of one subject to what people see, and from codes that people type to entries.

use super::Daybook;
use super::error::Error;
use super::state::State;
use super::types::{AllergyStatus, Chart, EntryCode, FactView, HistoryLine, PatientSummary, ShownValue};
use crate::id::{LogId, PatientId, normal_symbols};
use crate::limits::SEQ_MAX;
use crate::merge::{OpRow, Subject, Times, document_at, operations_in, operations_of};
use crate::record::{
    EntryRef, Fact, FactAt, Field, Folded, Operation, Purpose, Register, Setting, Standing, Statement, Value, fold,
    standings,
};
use crate::store::{EntryKey, OpKey, Store};
use crate::view;
use rusqlite::Connection;
use std::collections::BTreeMap;

/// The code of an operation.
pub(super) fn entry_code(entry: &EntryRef, index: u8) -> EntryCode {
    let tail = if index == 0 { String::new() } else { format!(".{index}") };
    EntryCode(format!("{}-{}{tail}", entry.log.short(), entry.seq))
}

/// Everything of one subject, loaded.
pub(super) struct Loaded {
    pub subject: Subject,
    pub rows: Vec<OpRow>,
    pub times: Times,
}

impl Loaded {
    pub fn load(connection: &Connection, subject: i64) -> Result<Self, Error> {
        let subject = Subject::load(connection, subject)?.ok_or(Error::NoSuchPatient)?;
        Ok(Self {
            rows: operations_of(connection, subject.id)?,
            times: Times::load(connection, subject.compartment)?,
            subject,
        })
    }

    pub fn facts<'a>(&'a self, state: &State) -> Vec<(&'a OpRow, FactAt<'a>)> {
        self.rows.iter().filter_map(|row| Some((row, row.fact(&state.logs, &self.times)?))).collect()
    }
}

/// Facts with what became of them, newest first; those with an implausible time last.
pub(super) fn fact_views(state: &State, facts: &[(&OpRow, FactAt<'_>)]) -> Vec<FactView> {
    let only: Vec<FactAt<'_>> = facts.iter().map(|(_, fact)| fact.clone()).collect();
    let mut views: Vec<FactView> = facts
        .iter()
        .zip(standings(&only))
        .map(|((row, fact), standing)| fact_view(state, row, fact, standing))
        .collect();
    views.sort_by(|a, b| {
        let order = |v: &FactView| (!v.implausible_time, v.effective.ms, v.hlc, v.reference);
        order(b).cmp(&order(a))
    });
    views
}

fn fact_view(state: &State, row: &OpRow, fact: &FactAt<'_>, standing: Standing) -> FactView {
    FactView {
        entry: entry_code(&fact.reference.entry, fact.reference.index),
        id: fact.id(),
        reference: fact.reference,
        kind: fact.fact.statement.kind(),
        patient: fact.fact.patient,
        effective: fact.fact.effective,
        standing,
        waiting: fact.waiting,
        implausible_time: fact.implausible,
        author: state.author(fact.device),
        hlc: fact.hlc,
        payload: row.payload.clone(),
    }
}

/// What registers show, as values for people; withdrawn elements and cleared fields are left out.
fn shown_values(
    state: &State,
    loaded: &Loaded,
    folded: &Folded<'_>,
    edits: &[crate::record::EditAt<'_>],
) -> Vec<ShownValue> {
    let mut several: BTreeMap<(Field, &[u8]), usize> = BTreeMap::new();
    for shown in &folded.shown {
        *several.entry((shown.field, shown.key)).or_default() += 1;
    }
    let authors: BTreeMap<EntryRef, &OpRow> = loaded.rows.iter().map(|row| (row.entry_ref(&state.logs), row)).collect();
    let mut values = Vec::new();
    for shown in &folded.shown {
        let register = Register { field: shown.field, key: shown.key, value: shown.value };
        let writer = shown.writers.first().and_then(|w| edits.get(*w));
        let (false, Ok(setting), Some(writer)) = (register.is_null(), register.parse(), writer) else { continue };
        let Some(row) = authors.get(&writer.reference) else { continue };
        values.push(ShownValue {
            field: shown.field,
            key: shown.key.to_vec(),
            value: shown.value.to_vec(),
            text: setting_text(&setting),
            concurrent: several.get(&(shown.field, shown.key)).is_some_and(|count| *count > 1),
            entry: entry_code(&writer.reference, row.key.index()),
            author: state.author(row.device(&state.logs)),
            hlc: writer.hlc,
        });
    }
    values
}

/// A register in words.
#[must_use]
pub fn setting_text(setting: &Setting<'_>) -> String {
    let with = |text: String, usage: Option<&str>| match usage {
        Some(usage) if !usage.is_empty() => format!("{text} ({usage})"),
        _ => text,
    };
    let join = |parts: &[&str]| parts.iter().filter(|p| !p.is_empty()).copied().collect::<Vec<_>>().join(", ");
    match setting {
        Setting::Birth(birth) => birth.map(|b| b.to_string()).unwrap_or_default(),
        Setting::Sex(sex) => sex.map(|s| s.code().to_owned()).unwrap_or_default(),
        Setting::Name(name, usage) => with(view::name_text(name), *usage),
        Setting::Identifier(identifier, usage) => with(format!("{}|{}", identifier.system, identifier.value), *usage),
        Setting::Telecom(telecom, usage) => with(telecom.value.to_owned(), *usage),
        Setting::Address(a, usage) => {
            with(join(&[&a.lines.join(", "), a.city, a.district, a.state, a.postal_code, a.country]), *usage)
        }
        Setting::Household(household, role) => with(household.code(), *role),
        Setting::Language(code, usage) => with((*code).to_owned(), *usage),
    }
}

/// A result in words.
#[must_use]
pub fn value_text(value: &Value<'_>) -> String {
    match value {
        Value::Quantity(quantity) => quantity.to_string(),
        Value::Coded(coded) => coded.shown().to_owned(),
        Value::Text(text) => (*text).to_owned(),
        Value::Bool(value) => if *value { "yes" } else { "no" }.to_owned(),
    }
}

/// A fact in one short text.
#[must_use]
pub fn fact_text(fact: &Fact<'_>) -> String {
    let lot = |lot: &str| if lot.is_empty() { String::new() } else { format!(", lot {lot}") };
    match &fact.statement {
        Statement::Allergy(a) => format!("allergy to {}", a.substance.shown()),
        Statement::NoKnownAllergies => "no known allergies".to_owned(),
        Statement::Refutation => format!("refuted: {}", fact.reason),
        Statement::Observation(o) => {
            let parts = o.components.iter().map(|(code, value)| format!("{} {}", code.shown(), value_text(value)));
            let all: Vec<String> = o.value.iter().map(value_text).chain(parts).collect();
            format!("{}: {}", o.code.shown(), all.join(", "))
        }
        Statement::Condition(c) => format!("condition: {}", c.code.shown()),
        Statement::Immunization(i) => format!("immunization: {}{}", i.vaccine.shown(), lot(i.lot)),
        Statement::Dispense(d) => {
            let quantity = d.quantity.map(|q| format!(", {q}")).unwrap_or_default();
            let days = d.days.map(|days| format!(", {days} days")).unwrap_or_default();
            format!("dispensed {}{quantity}{days}{}", d.product.shown(), lot(d.lot))
        }
        Statement::Reversal => format!("dispense reversed: {}", fact.reason),
        Statement::StockMovement(m) => {
            let way = match (m.from.is_empty(), m.to.is_empty()) {
                (true, _) => format!("to {}", m.to),
                (false, true) => format!("from {}", m.from),
                (false, false) => format!("from {} to {}", m.from, m.to),
            };
            format!("stock {}: {} of {}{} {way}", m.cause.code(), m.quantity, m.product.shown(), lot(m.lot))
        }
        Statement::StockCount(c) => {
            format!("counted {} of {}{} at {}", c.quantity, c.product.shown(), lot(c.lot), c.place)
        }
        Statement::Note { text } => format!("note: {text}"),
        Statement::Deceased => "deceased".to_owned(),
        Statement::Resolution { .. } => format!("finding resolved: {}", fact.reason),
    }
}

/// An operation in one short text.
pub(super) fn operation_text(operation: &Operation<'_>) -> String {
    match operation {
        Operation::Edit(edit) => {
            let parts = edit.registers.iter().filter_map(|register| {
                let setting = register.parse().ok()?;
                let word = register.field.word();
                Some(if register.is_null() {
                    format!("{word} withdrawn")
                } else {
                    format!("{word} {}", setting_text(&setting))
                })
            });
            parts.collect::<Vec<_>>().join("; ")
        }
        Operation::Fact(fact) => fact_text(fact),
        Operation::Reading(reading) => format!("read: {}", reading.access.word()),
        Operation::Newer => "written by a newer version".to_owned(),
    }
}

impl Daybook {
    /// Reads a patient's record. Who reads, when and for what is noted before anything is shown.
    ///
    /// # Errors
    /// [`Error::NoSuchPatient`] if there is none.
    pub fn read_patient(&mut self, patient: PatientId, purpose: Purpose) -> Result<Chart, Error> {
        let subject = self.open_record(patient, purpose)?;
        let connection = self.store.read()?;
        let loaded = Loaded::load(connection, subject)?;
        let summary = self.summary(subject)?;
        let edits: Vec<_> = loaded.rows.iter().filter_map(|row| row.edit(&self.state.logs)).collect();
        let folded = fold(&edits, &self.state.logs.forks);
        let mut waits: BTreeMap<LogId, u32> = BTreeMap::new();
        for (_, reference) in &folded.missing {
            *waits.entry(reference.log).or_default() += 1;
        }
        let mut waits_for = Vec::new();
        for (log, count) in waits {
            let device = Store::log_row(connection, &log)?.map(|row| row.name.device).unwrap_or_default();
            waits_for.push((self.state.author(device), count));
        }
        let allergy = view::patient_row(connection, subject)?.map_or(0, |row| row.allergy);
        let newer = loaded.rows.iter().filter(|row| matches!(row.operation(), Operation::Newer)).count();
        Ok(Chart {
            summary,
            registers: shown_values(&self.state, &loaded, &folded, &edits),
            allergy_status: match allergy {
                2 => AllergyStatus::Allergic,
                1 => AllergyStatus::NoneKnown,
                _ => AllergyStatus::NotAsked,
            },
            facts: fact_views(&self.state, &loaded.facts(&self.state)),
            findings: self.findings_of(Some(subject), true)?,
            waits_for,
            from_newer_version: u32::try_from(newer).unwrap_or(u32::MAX),
        })
    }

    /// The line of the list for one patient.
    pub(super) fn summary(&self, subject: i64) -> Result<PatientSummary, Error> {
        let connection = self.store.read()?;
        let patient = Subject::load(connection, subject)?.and_then(|s| s.patient()).ok_or(Error::NoSuchPatient)?;
        let row = view::patient_row(connection, subject)?.ok_or(Error::NoSuchPatient)?;
        let mut open = 0;
        for finding in view::finding_rows(connection, Some(subject))? {
            open += u32::from(view::resolution_of(connection, &finding.id)?.is_none());
        }
        Ok(PatientSummary {
            patient,
            code: patient.code(),
            name: row.name,
            birth: crate::record::PartialDate::parse(&row.birth),
            sex: row.sex,
            identifier: row.identifier,
            deceased: row.deceased,
            open_findings: open,
        })
    }

    /// Every change of a record and every fact of it, oldest first; up to an entry if one is named. Noted as a
    /// reading of the record.
    ///
    /// # Errors
    /// [`Error::NoSuchPatient`], [`Error::NoSuchEntry`].
    pub fn history(
        &mut self,
        patient: PatientId,
        purpose: Purpose,
        at: Option<&str>,
    ) -> Result<Vec<HistoryLine>, Error> {
        let subject = self.open_record(patient, purpose)?;
        let last = at.map(|code| self.resolve_entry(code)).transpose()?;
        let connection = self.store.read()?;
        let loaded = Loaded::load(connection, subject)?;
        let mut lines: Vec<(HistoryLine, OpKey)> = Vec::new();
        for row in &loaded.rows {
            let reference = row.reference(&self.state.logs);
            let line = HistoryLine {
                entry: entry_code(&reference.entry, reference.index),
                author: self.state.author(row.device(&self.state.logs)),
                hlc: row.hlc,
                text: operation_text(&row.operation()),
            };
            lines.push((line, row.key));
        }
        lines.sort_by_key(|(line, _)| (line.hlc, line.entry.clone()));
        if let Some(last) = last {
            let end = lines.iter().position(|(_, key)| *key == last).ok_or(Error::NoSuchEntry)?;
            lines.truncate(end + 1);
        }
        Ok(lines.into_iter().map(|(line, _)| line).collect())
    }

    /// The registers as the author of an edit saw them right after it: time travel through the document. Noted as
    /// a reading of the record.
    ///
    /// # Errors
    /// [`Error::NoSuchEntry`] if the entry is no edit of this record; [`Error::Document`] if it is too long.
    pub fn chart_at(&mut self, patient: PatientId, purpose: Purpose, entry: &str) -> Result<Vec<ShownValue>, Error> {
        let subject = self.open_record(patient, purpose)?;
        let key = self.resolve_entry(entry)?;
        let connection = self.store.read()?;
        let loaded = Loaded::load(connection, subject)?;
        let row = loaded.rows.iter().find(|row| row.key == key).ok_or(Error::NoSuchEntry)?;
        let edits: Vec<_> = loaded.rows.iter().filter_map(|row| row.edit(&self.state.logs)).collect();
        let reference = row.entry_ref(&self.state.logs);
        let at = self.edit_for(&loaded, &edits, row, &reference)?;
        let values = document_at(&edits, &self.state.logs.forks, at)?;
        let by = self.state.author(row.device(&self.state.logs));
        Ok(values
            .iter()
            .filter_map(|value| {
                let register = Register { field: value.field, key: &value.key, value: &value.value };
                let setting = register.parse().ok().filter(|_| !register.is_null())?;
                let same =
                    |other: &&crate::merge::DocumentValue| (other.field, &other.key) == (value.field, &value.key);
                Some(ShownValue {
                    field: value.field,
                    key: value.key.clone(),
                    value: value.value.clone(),
                    text: setting_text(&setting),
                    concurrent: values.iter().filter(same).count() > 1,
                    entry: entry_code(&reference, row.key.index()),
                    author: by.clone(),
                    hlc: row.hlc,
                })
            })
            .collect())
    }

    /// The edit at which an entry stands: itself, or for a dispense the newest head that its decision names.
    fn edit_for(
        &self,
        loaded: &Loaded,
        edits: &[crate::record::EditAt<'_>],
        row: &OpRow,
        reference: &EntryRef,
    ) -> Result<usize, Error> {
        let place = |wanted: &EntryRef| edits.iter().position(|edit| edit.reference == *wanted);
        if let Some(at) = place(reference) {
            return Ok(at);
        }
        if let Operation::Fact(Fact { statement: Statement::Dispense(dispense), .. }) = row.operation() {
            let newest =
                dispense.heads.iter().filter_map(|head| Some((edits.get(place(head)?)?.hlc, place(head)?))).max();
            return newest.map(|(_, at)| at).ok_or(Error::NoSuchEntry);
        }
        let before = loaded
            .rows
            .iter()
            .filter(|r| r.hlc <= row.hlc)
            .filter_map(|r| place(&r.entry_ref(&self.state.logs)).map(|at| (r.hlc, at)));
        before.max().map(|(_, at)| at).ok_or(Error::NoSuchEntry)
    }

    /// The record's Automerge document in its saved form. Noted as a reading of the record.
    ///
    /// # Errors
    /// [`Error::NoSuchPatient`]; [`Error::Document`] if it cannot be built.
    pub fn document(&mut self, patient: PatientId, purpose: Purpose) -> Result<Vec<u8>, Error> {
        let subject = self.open_record(patient, purpose)?;
        let connection = self.store.read()?;
        let loaded = Loaded::load(connection, subject)?;
        let edits: Vec<_> = loaded.rows.iter().filter_map(|row| row.edit(&self.state.logs)).collect();
        Ok(crate::merge::document(&edits, &self.state.logs.forks)?.save())
    }

    /// A fact by its code. Noted as a reading of its patient's record.
    ///
    /// # Errors
    /// [`Error::NoSuchEntry`]; [`Error::WrongKind`] if it is an edit.
    pub fn fact(&mut self, entry: &str) -> Result<FactView, Error> {
        let view = self.fact_of(entry)?;
        if let Some(patient) = view.patient {
            self.note_record(patient, None);
        }
        Ok(view)
    }

    /// A fact by its code, to be answered by another.
    pub(super) fn fact_of(&mut self, entry: &str) -> Result<FactView, Error> {
        self.refresh()?;
        let key = self.resolve_entry(entry)?;
        self.fact_at(key)
    }

    pub(super) fn fact_at(&self, key: OpKey) -> Result<FactView, Error> {
        let connection = self.store.read()?;
        let of_entry = operations_in(connection, &self.state.ring, &self.state.logs, key.entry())?;
        let row = of_entry.iter().find(|row| row.key == key).ok_or(Error::NoSuchEntry)?;
        let loaded = Loaded::load(connection, row.row.subject())?;
        let views = fact_views(&self.state, &loaded.facts(&self.state));
        let row = loaded.rows.iter().find(|row| row.key == key).ok_or(Error::NoSuchEntry)?;
        let reference = row.reference(&self.state.logs);
        views.into_iter().find(|view| view.reference == reference).ok_or(Error::WrongKind { expected: "fact" })
    }

    /// The operation that a code names: `LOG-PLACE`, `LOG-PLACE.INDEX`, each with `@` and the beginning of the
    /// entry's id in hexadecimal where a forked log has two entries at one place.
    pub(super) fn resolve_entry(&self, code: &str) -> Result<OpKey, Error> {
        let (code, id) = code.trim().split_once('@').map_or((code.trim(), ""), |(code, id)| (code, id));
        let (log, place) = code.split_once('-').ok_or(Error::NoSuchEntry)?;
        let (seq, index) = place.split_once('.').map_or((place, Ok(0)), |(seq, index)| (seq, index.parse::<u8>()));
        let (Ok(seq), Ok(index)) = (seq.parse::<u64>(), index) else { return Err(Error::NoSuchEntry) };
        if seq == 0 || seq > SEQ_MAX || index > 63 || log.len() < 3 {
            return Err(Error::NoSuchEntry);
        }
        let wanted = normal_symbols(log);
        let connection = self.store.read()?;
        let mut found = Vec::new();
        for row in Store::logs(connection)?.iter().filter(|row| row.log.short().starts_with(&wanted)) {
            for branch in 0..8 {
                if let Some(entry) = Store::entry(connection, EntryKey::new(row.number, seq, branch))?
                    && entry.id.to_hex().starts_with(&id.to_ascii_lowercase())
                {
                    found.push((entry.key, format!("{}-{seq}@{}", row.log.short(), entry.id)));
                }
            }
        }
        match found.as_slice() {
            [] => Err(Error::NoSuchEntry),
            [(key, _)] => Ok(key.operation(index)),
            _ => Err(Error::AmbiguousEntry { candidates: found.into_iter().map(|(_, code)| code).collect() }),
        }
    }
}

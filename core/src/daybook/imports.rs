//! FHIR and CSV: the book as an import needs it, and its records as an export gives them.

use super::Daybook;
use super::charts::{Loaded, fact_views};
use super::error::Error;
use super::types::FactView;
use super::writing::Said;
use crate::clock::EffectiveTime;
use crate::crypto::{Label, derive};
use crate::exchange::csv::{CsvWriter, Table};
use crate::exchange::fhir::export::{ExportFact, ExportPatient, Exporter, Sink};
use crate::exchange::{
    Holder, ImportBook, ImportError, ImportOptions, ImportReport, PreviousImport, Progress, Source, import,
};
use crate::id::{ImportId, IncidentId, PatientId};
use crate::record::{Fact, FactId, FactKind, Operation, Purpose, Register, Setting, Standing, Statement, fold};
use crate::roster::CompartmentKind;
use crate::store::Store;
use crate::view;
use std::collections::BTreeMap;
use std::io::Write;

impl Daybook {
    /// Imports FHIR; durable batch by batch.
    ///
    /// # Errors
    /// [`Error::Value`] if the source of the resource ids is not known: nothing was written. Otherwise what was
    /// committed before the trouble stays, and importing again goes on from there.
    pub fn import_fhir(
        &mut self,
        sources: Vec<Source<'_>>,
        options: &ImportOptions,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<ImportReport, Error> {
        import(self, sources, options, progress).map_err(|error| match error {
            ImportError::NoSource => Error::NoImportSource,
            ImportError::Book(error) => error,
        })
    }

    /// Gives all patients and clinical facts to an export, patient by patient, then who wrote each accepted entry,
    /// and who read, if this device may be shown that. Noted as an export of all records.
    ///
    /// # Errors
    /// [`Error::File`] if the target cannot be written; the book is not touched.
    pub fn export_fhir<S: Sink>(&mut self, purpose: Option<Purpose>, sink: S) -> Result<S, Error> {
        self.open_all(purpose)?;
        let mut exporter = Exporter::new(&self.state.ring.incident, sink);
        self.each_patient(|patient, facts| {
            exporter.patient(patient)?;
            for fact in facts {
                exporter.fact(fact)?;
            }
            Ok(())
        })?;
        self.export_provenance(&mut exporter)?;
        Ok(exporter.finish()?)
    }

    /// Writes one table for spreadsheets. Noted as an export of all records.
    ///
    /// # Errors
    /// [`Error::File`] if the target cannot be written; the book is not touched.
    pub fn export_csv<W: Write>(&mut self, table: Table, purpose: Option<Purpose>, to: W) -> Result<W, Error> {
        self.open_all(purpose)?;
        let mut writer = CsvWriter::new(table, to)?;
        self.each_patient(|patient, facts| {
            writer.patient(patient)?;
            for fact in facts {
                writer.fact(fact)?;
            }
            Ok(())
        })?;
        Ok(writer.finish()?)
    }

    fn each_patient(
        &mut self,
        mut each: impl FnMut(&ExportPatient<'_>, &[ExportFact<'_>]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.refresh()?;
        let connection = self.store.read()?;
        let mut statement = connection.prepare(
            "SELECT patient.subject FROM patient JOIN subject ON subject.id = patient.subject ORDER BY subject.key",
        )?;
        let mut subjects = statement.query([])?;
        while let Some(row) = subjects.next()? {
            let loaded = Loaded::load(connection, row.get(0)?)?;
            let Some(patient) = loaded.subject.patient() else { continue };
            let edits: Vec<_> = loaded.rows.iter().filter_map(|row| row.edit(&self.state.logs)).collect();
            let folded = fold(&edits, &self.state.logs.forks);
            let settings: Vec<Setting<'_>> = folded
                .shown
                .iter()
                .map(|shown| Register { field: shown.field, key: shown.key, value: shown.value })
                .filter(|register| !register.is_null())
                .filter_map(|register| register.parse().ok())
                .collect();
            let views = fact_views(&self.state, &loaded.facts(&self.state));
            let deceased =
                views.iter().find(|v| v.kind == FactKind::Deceased && v.standing == Standing::Stands && !v.waiting);
            let kinds: BTreeMap<FactId, FactKind> = views.iter().map(|view| (view.id, view.kind)).collect();
            // A waiting fact has no effect here and leaves no trace elsewhere; a repeated one is there once.
            let kept = |view: &&FactView| !view.waiting && view.standing != Standing::Repeated;
            let facts: Vec<ExportFact<'_>> = views
                .iter()
                .rev()
                .filter(kept)
                .filter_map(|view| Some(export_fact(view, view.fact()?, &kinds)))
                .collect();
            each(&ExportPatient { id: patient, settings, deceased: deceased.map(|view| view.effective) }, &facts)?;
        }
        Ok(())
    }
}

fn export_fact<'a>(view: &'a FactView, fact: Fact<'a>, kinds: &BTreeMap<FactId, FactKind>) -> ExportFact<'a> {
    let target_kinds = fact.targets.iter().map(|id| kinds.get(id).copied().unwrap_or(view.kind)).collect();
    ExportFact {
        id: view.id,
        target_kinds,
        author: view.author.person.as_deref().unwrap_or_default(),
        stands: matches!(view.standing, Standing::Stands | Standing::Superseded),
        fact,
    }
}

impl ImportBook for Daybook {
    type Error = Error;

    fn incident(&self) -> IncidentId {
        self.state.ring.incident
    }

    fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        derive(Label::Import, parts)
    }

    fn previous(&mut self, import: ImportId) -> Result<Option<PreviousImport>, Error> {
        self.refresh()?;
        let rows = view::imported(self.store.read()?, &import)?;
        let edits: Vec<_> =
            rows.iter().filter_map(|row| row.edit(&self.state.logs)).filter(|edit| !edit.waiting).collect();
        let folded = fold(&edits, &self.state.logs.forks);
        let Some(newest) =
            folded.heads.iter().filter_map(|at| edits.get(*at)).max_by_key(|edit| (edit.hlc, edit.reference))
        else {
            return Ok(None);
        };
        Ok(Some(PreviousImport {
            patient: newest.edit.patient,
            heads: folded.heads.iter().filter_map(|at| edits.get(*at)).map(|edit| edit.reference).collect(),
            registers: folded.shown.iter().map(|s| (s.field, s.key.to_vec(), s.value.to_vec())).collect(),
        }))
    }

    fn fact_contents(&mut self, import: ImportId) -> Result<Vec<Vec<u8>>, Error> {
        self.refresh()?;
        let rows = view::imported(self.store.read()?, &import)?;
        let content = |row: &crate::merge::OpRow| match row.operation() {
            Operation::Fact(fact) => Some(fact.content()),
            Operation::Edit(_) | Operation::Reading(_) | Operation::Newer => None,
        };
        Ok(rows.iter().filter_map(content).collect())
    }

    fn holders(&mut self, system: &str, value: &str) -> Result<Vec<Holder>, Error> {
        self.refresh()?;
        let connection = self.store.read()?;
        let compartment = Store::compartment_row(connection, self.state.compartment(CompartmentKind::Clinical)?)?;
        let mut holders = Vec::new();
        for subject in view::holders(connection, compartment, system, value)? {
            let loaded = Loaded::load(connection, subject)?;
            let edits: Vec<_> = loaded.rows.iter().filter_map(|row| row.edit(&self.state.logs)).collect();
            let mut holder =
                Holder { patient: loaded.subject.patient().unwrap_or_default(), births: Vec::new(), sexes: Vec::new() };
            for shown in fold(&edits, &self.state.logs.forks).shown {
                match (Register { field: shown.field, key: shown.key, value: shown.value }).parse() {
                    Ok(Setting::Birth(Some(birth))) => holder.births.push(birth),
                    Ok(Setting::Sex(Some(sex))) => holder.sexes.push(sex),
                    _ => {}
                }
            }
            holders.push(holder);
        }
        Ok(holders)
    }

    fn observation_before(
        &mut self,
        patient: PatientId,
        system: &str,
        code: &str,
        effective: &EffectiveTime,
    ) -> Result<Option<FactId>, Error> {
        self.refresh()?;
        let connection = self.store.read()?;
        let Some(subject) = view::patient_subject(connection, &patient)? else { return Ok(None) };
        let loaded = Loaded::load(connection, subject)?;
        let facts = loaded.facts(&self.state);
        let before = facts.iter().map(|(_, fact)| fact).filter(|fact| {
            let same = matches!(&fact.fact.statement, Statement::Observation(o) if (o.code.system, o.code.code) == (system, code));
            same && !fact.waiting && fact.fact.effective.ms < effective.ms
        });
        Ok(before.max_by_key(|fact| (fact.fact.effective.ms, fact.reference)).map(crate::record::FactAt::id))
    }

    fn commit(&mut self, operations: Vec<Vec<u8>>) -> Result<(), Error> {
        self.write(|writer| {
            let compartment = writer.state.compartment(CompartmentKind::Clinical)?;
            let said: Vec<Said> = operations.into_iter().map(|operation| Said { compartment, operation }).collect();
            writer.write_and_post(&said).map(drop)
        })
    }
}

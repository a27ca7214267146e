//! Findings: listing what a person must look at, and resolving it.

use super::Daybook;
use super::charts::entry_code;
use super::error::Error;
use super::saying::commit_fact;
use super::types::{EntryCode, FindingView, PatientSummary, Written};
use crate::clock::EffectiveTime;
use crate::id::FindingId;
use crate::merge::{OpRow, Subject};
use crate::mutant::{self, Mutant};
use crate::record::{Fact, FactId, Operation, Statement};
use crate::view;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

impl Daybook {
    /// What a person must look at: by kind, open ones or all. Noted as a list that was shown.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub fn findings(&mut self, include_resolved: bool) -> Result<Vec<FindingView>, Error> {
        let findings = self.all_findings(include_resolved)?;
        self.note_list(findings.len());
        Ok(findings)
    }

    fn all_findings(&mut self, include_resolved: bool) -> Result<Vec<FindingView>, Error> {
        self.refresh()?;
        if mutant::is(Mutant::AsksTheClock) && self.host.now_ms() + crate::clock::DAY_MS < self.state.hlc.ms() {
            return Ok(Vec::new());
        }
        self.findings_of(None, include_resolved)
    }

    pub(super) fn findings_of(&self, subject: Option<i64>, include_resolved: bool) -> Result<Vec<FindingView>, Error> {
        let connection = self.store.read()?;
        let mut findings = Vec::new();
        let mut summaries: BTreeMap<i64, Option<PatientSummary>> = BTreeMap::new();
        for row in view::finding_rows(connection, subject)? {
            // A summary counts all findings of its patient, so it is made once for all of them.
            let patient = match summaries.entry(row.subject) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(slot) => {
                    let patient = Subject::load(connection, row.subject)?.and_then(|s| s.patient());
                    let summary = if patient.is_some() { self.summary_without_findings(row.subject)? } else { None };
                    slot.insert(summary).clone()
                }
            };
            let mut entries = Vec::new();
            for about in &row.about {
                entries.extend(self.code_of(about)?);
            }
            findings.push(FindingView { id: row.id, kind: row.kind, patient, text: row.text, entries, resolved: None });
        }
        if subject.is_none() {
            findings.extend(self.forks()?);
        }
        for finding in &mut findings {
            finding.resolved = view::resolution_of(connection, &finding.id)?.map(|row| {
                let reason =
                    if let Operation::Fact(fact) = row.operation() { fact.reason.to_owned() } else { String::new() };
                (reason, self.state.author(row.device(&self.state.logs)))
            });
        }
        findings.retain(|finding| include_resolved || finding.resolved.is_none());
        Ok(findings)
    }

    fn summary_without_findings(&self, subject: i64) -> Result<Option<PatientSummary>, Error> {
        match self.summary(subject) {
            Ok(summary) => Ok(Some(summary)),
            Err(Error::NoSuchPatient) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The code of the fact that a finding names, if it names one that is here.
    fn code_of(&self, about: &[u8]) -> Result<Option<EntryCode>, Error> {
        let connection = self.store.read()?;
        match FactId::from_bytes(about) {
            Some(FactId::Written(op)) => Ok(Some(entry_code(&op.entry, op.index))),
            Some(FactId::Imported(import)) => {
                let rows: Vec<OpRow> = view::imported(connection, &import)?;
                let reference = rows.first().map(|row| row.reference(&self.state.logs));
                Ok(reference.map(|r| entry_code(&r.entry, r.index)))
            }
            None => Ok(None),
        }
    }

    /// Says that somebody looked at a finding, and why it stands as it is. `id` is the beginning of its id in
    /// hexadecimal, of one finding only.
    ///
    /// # Errors
    /// [`Error::NoSuchFinding`] if none or several begin so.
    pub fn resolve_finding(&mut self, id: &str, reason: &str) -> Result<Written<()>, Error> {
        if reason.trim().is_empty() {
            return Err(Error::Value { what: "the reason", why: "must not be empty" });
        }
        let finding = self.finding(id)?;
        let (patient, finding): (_, FindingId) = (finding.patient.as_ref().map(|p| p.patient), finding.id);
        let entries = self.write(|writer| {
            let effective = EffectiveTime::now(writer.host);
            let statement = Statement::Resolution { findings: vec![finding] };
            commit_fact(writer, &Fact { patient, effective, targets: Vec::new(), import: None, reason, statement })
        })?;
        self.written(((), entries))
    }

    /// The finding whose id begins so in hexadecimal, with four digits at least.
    pub(super) fn finding(&mut self, id: &str) -> Result<FindingView, Error> {
        let id = id.trim().to_ascii_lowercase();
        if id.len() < 4 {
            return Err(Error::NoSuchFinding);
        }
        let mut fitting = self.all_findings(true)?.into_iter().filter(|finding| finding.id.to_hex().starts_with(&id));
        match (fitting.next(), fitting.next()) {
            (Some(finding), None) => Ok(finding),
            (None, _) | (Some(_), Some(_)) => Err(Error::NoSuchFinding),
        }
    }
}

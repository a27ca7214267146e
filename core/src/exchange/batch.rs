//! What an import made and did not commit yet, and what it needs to know of that.

use super::{BYTES_PER_BATCH, Holder, OPERATIONS_PER_BATCH};
use crate::id::{ImportId, PatientId};
use crate::record::{Fact, FactId, Statement};
use std::collections::{BTreeMap, BTreeSet};

/// Operations in order, and an index over them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    operations: Vec<Vec<u8>>,
    bytes: usize,
    /// Patient resources whose edits are in it, and whose record these edit.
    resources: BTreeMap<ImportId, PatientId>,
    /// Patients that were in the book before and are edited in it, and identifiers that this sets.
    edited: BTreeSet<PatientId>,
    touched: BTreeSet<(String, String)>,
    /// Bearers among the patients that it begins.
    holders: BTreeMap<(String, String), Vec<Holder>>,
    contents: BTreeMap<ImportId, Vec<Vec<u8>>>,
    observations: BTreeMap<(PatientId, String, String), Vec<Observed>>,
}

/// An observation of the batch: its time, its id, and what the book had before it.
#[derive(Clone, Copy, Debug)]
struct Observed {
    ms: i64,
    id: ImportId,
    before: Option<FactId>,
}

/// The edit of a patient's record as the batch must know it.
#[derive(Debug)]
pub(super) struct Edited<'a> {
    pub(super) import: ImportId,
    pub(super) holder: Holder,
    pub(super) identifiers: &'a [(&'a str, &'a str)],
    /// Whether the record begins with it.
    pub(super) new: bool,
}

impl Batch {
    pub(super) fn is_full(&self) -> bool {
        self.operations.len() >= OPERATIONS_PER_BATCH || self.bytes >= BYTES_PER_BATCH
    }

    /// Takes the operations out; the index starts anew.
    pub(super) fn take(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(self).operations
    }

    pub(super) fn push(&mut self, operation: Vec<u8>) {
        self.bytes += operation.len();
        self.operations.push(operation);
    }

    /// The patient of a Patient resource that has edits in it; the book does not know its last word.
    pub(super) fn patient(&self, import: ImportId) -> Option<PatientId> {
        self.resources.get(&import).copied()
    }

    pub(super) fn add_edited(&mut self, edited: &Edited<'_>) {
        self.resources.insert(edited.import, edited.holder.patient);
        let keys = edited.identifiers.iter().map(|(system, value)| ((*system).to_owned(), (*value).to_owned()));
        if edited.new {
            for key in keys {
                self.holders.entry(key).or_default().push(edited.holder.clone());
            }
        } else {
            self.edited.insert(edited.holder.patient);
            self.touched.extend(keys);
        }
    }

    /// Bearers of an identifier, by what the book says and what is in the batch. `None` if the batch
    /// changes what the book says of it: then it must be committed first.
    pub(super) fn holders(&self, system: &str, value: &str, mut of_book: Vec<Holder>) -> Option<Vec<Holder>> {
        let key = (system.to_owned(), value.to_owned());
        if self.touched.contains(&key) || of_book.iter().any(|holder| self.edited.contains(&holder.patient)) {
            return None;
        }
        for holder in self.holders.get(&key).into_iter().flatten() {
            if !of_book.iter().any(|other| other.patient == holder.patient) {
                of_book.push(holder.clone());
            }
        }
        Some(of_book)
    }

    /// The contents of facts with an import id.
    pub(super) fn contents(&self, import: ImportId) -> &[Vec<u8>] {
        self.contents.get(&import).map_or(&[], Vec::as_slice)
    }

    /// Adds a fact; `before` is what the book had before it if it is an observation.
    pub(super) fn add_fact(&mut self, import: ImportId, fact: &Fact<'_>, content: Vec<u8>, before: Option<FactId>) {
        self.contents.entry(import).or_default().push(content);
        if let (Statement::Observation(observation), Some(patient)) = (&fact.statement, fact.patient) {
            let key = (patient, observation.code.system.to_owned(), observation.code.code.to_owned());
            let observed = Observed { ms: fact.effective.ms, id: import, before };
            self.observations.entry(key).or_default().push(observed);
        }
    }

    /// The last observation before `ms`, when `of_book` is the last in the book. The batch's own is later
    /// exactly if the book had the same one before it: then the book has none between the two.
    pub(super) fn before(
        &self,
        patient: PatientId,
        system: &str,
        code: &str,
        ms: i64,
        of_book: Option<FactId>,
    ) -> Option<FactId> {
        let key = (patient, system.to_owned(), code.to_owned());
        let earlier = self.observations.get(&key).into_iter().flatten().filter(|observed| observed.ms < ms);
        match earlier.max_by_key(|observed| (observed.ms, observed.id)) {
            Some(last) if last.before == of_book => Some(FactId::Imported(last.id)),
            _ => of_book,
        }
    }
}

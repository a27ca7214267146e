//! A book in memory for the tests of this folder. It judges what it is given as a real one would.

use super::{Holder, ImportBook, OPERATION_BYTES_MAX, PreviousImport};
use crate::clock::EffectiveTime;
use crate::codec::check;
use crate::id::{EntryId, ImportId, IncidentId, Lane, LogId, PatientId};
use crate::record::{EntryRef, Fact, FactId, Field, NULL, Operation, Register, Setting, Statement};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};

/// Who wrote a value: an import of a resource, or people.
type Writer = Option<ImportId>;
/// What each writer said of each register.
type Record = BTreeMap<(Field, Vec<u8>), BTreeMap<Writer, Vec<u8>>>;

#[derive(Debug, Default)]
pub(super) struct FakeBook {
    pub(super) incident: u8,
    pub(super) commits: usize,
    pub(super) operations: Vec<Vec<u8>>,
    /// Commits that succeed before one fails.
    pub(super) fails_after: Option<usize>,
    records: BTreeMap<PatientId, Record>,
    imports: BTreeMap<ImportId, PreviousImport>,
    facts: BTreeMap<ImportId, Vec<Vec<u8>>>,
    bearers: BTreeMap<(String, String), BTreeSet<PatientId>>,
    observations: BTreeMap<(PatientId, String, String), BTreeSet<(i64, ImportId)>>,
}

#[derive(Debug, thiserror::Error)]
#[error("disk full")]
pub(super) struct DiskFull;

impl FakeBook {
    pub(super) fn new(incident: u8) -> Self {
        Self { incident, ..Self::default() }
    }

    pub(super) fn patients(&self) -> Vec<PatientId> {
        self.records.keys().copied().collect()
    }

    /// The registers of a record with their present values, in order.
    pub(super) fn registers(&self, patient: PatientId) -> Vec<(Field, Vec<u8>, Vec<u8>)> {
        let mut shown = BTreeSet::new();
        for ((field, key), values) in self.records.get(&patient).into_iter().flatten() {
            shown.extend(values.values().filter(|v| *v != NULL).map(|v| (*field, key.clone(), v.clone())));
        }
        shown.into_iter().collect()
    }

    /// The bytes of all facts in the order in which they were written.
    pub(super) fn facts(&self) -> Vec<&[u8]> {
        let is_fact = |bytes: &&[u8]| matches!(Operation::read(bytes), Ok(Operation::Fact(_)));
        self.operations.iter().map(Vec::as_slice).filter(is_fact).collect()
    }

    /// Writes a register as a person would.
    pub(super) fn write_by_hand(&mut self, patient: PatientId, setting: &Setting<'_>) {
        let (key, value) = setting.to_bytes();
        self.post(patient, None, Register { field: setting.field(), key: &key, value: &value });
    }

    fn post(&mut self, patient: PatientId, writer: Writer, register: Register<'_>) {
        if let Ok(Setting::Identifier(identifier, _)) = register.parse() {
            let key = (identifier.system.to_owned(), identifier.value.to_owned());
            self.bearers.entry(key).or_default().insert(patient);
        }
        let record = self.records.entry(patient).or_default();
        let place = (register.field, register.key.to_vec());
        record.entry(place).or_default().insert(writer, register.value.to_vec());
    }

    fn take(&mut self, bytes: &[u8]) {
        check(bytes).unwrap();
        assert!(bytes.len() <= OPERATION_BYTES_MAX);
        let seq = self.operations.len() as u64 + 1;
        match Operation::read(bytes).unwrap() {
            Operation::Edit(edit) => {
                for register in &edit.registers {
                    self.post(edit.patient, edit.import, *register);
                }
                let Some(import) = edit.import else {
                    assert!(edit.parents.is_empty());
                    return;
                };
                let entry = EntryRef::new(LogId::new([2; 32]), seq, &EntryId::new([7; 32]));
                let previous = self.imports.entry(import).or_insert_with(|| PreviousImport {
                    patient: edit.patient,
                    heads: Vec::new(),
                    registers: Vec::new(),
                });
                assert_eq!(previous.patient, edit.patient);
                previous.heads = vec![entry];
                for register in &edit.registers {
                    previous.registers.retain(|(f, k, _)| (*f, k.as_slice()) != (register.field, register.key));
                    previous.registers.push((register.field, register.key.to_vec(), register.value.to_vec()));
                }
            }
            Operation::Fact(fact) => {
                let import = fact.import.unwrap();
                assert_eq!(Operation::Fact(fact.clone()).lane(), Lane::Import);
                self.facts.entry(import).or_default().push(fact.content());
                if let Statement::Observation(observation) = &fact.statement {
                    let (system, code) = (observation.code.system.to_owned(), observation.code.code.to_owned());
                    let key = (fact.patient.unwrap(), system, code);
                    self.observations.entry(key).or_default().insert((fact.effective.ms, import));
                }
            }
            Operation::Reading(_) | Operation::Newer => panic!("an import writes what this version knows"),
        }
    }
}

impl ImportBook for FakeBook {
    type Error = DiskFull;

    fn incident(&self) -> IncidentId {
        IncidentId::new([self.incident; 32])
    }

    fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = [0; 32];
        for (number, chunk) in (0..4).zip(hash.chunks_exact_mut(8)) {
            let mut hasher = DefaultHasher::new();
            hasher.write(&[number]);
            for part in parts {
                hasher.write(part);
            }
            chunk.copy_from_slice(&hasher.finish().to_le_bytes());
        }
        hash
    }

    fn previous(&mut self, import: ImportId) -> Result<Option<PreviousImport>, DiskFull> {
        Ok(self.imports.get(&import).cloned())
    }

    fn fact_contents(&mut self, import: ImportId) -> Result<Vec<Vec<u8>>, DiskFull> {
        Ok(self.facts.get(&import).cloned().unwrap_or_default())
    }

    fn holders(&mut self, system: &str, value: &str) -> Result<Vec<Holder>, DiskFull> {
        let bearers = self.bearers.get(&(system.to_owned(), value.to_owned())).cloned().unwrap_or_default();
        let mut holders = Vec::new();
        for patient in bearers {
            let (mut bears, mut holder) = (false, Holder { patient, births: vec![], sexes: vec![] });
            for (field, key, value_bytes) in self.registers(patient) {
                match (Register { field, key: &key, value: &value_bytes }).parse().unwrap() {
                    Setting::Birth(birth) => holder.births.extend(birth),
                    Setting::Sex(sex) => holder.sexes.extend(sex),
                    Setting::Identifier(i, _) => bears |= (i.system, i.value) == (system, value),
                    _ => {}
                }
            }
            holders.extend(bears.then_some(holder));
        }
        Ok(holders)
    }

    fn observation_before(
        &mut self,
        patient: PatientId,
        system: &str,
        code: &str,
        effective: &EffectiveTime,
    ) -> Result<Option<FactId>, DiskFull> {
        let of_code = self.observations.get(&(patient, system.to_owned(), code.to_owned()));
        let last = of_code.into_iter().flatten().filter(|(ms, _)| *ms < effective.ms).max();
        Ok(last.map(|(_, id)| FactId::Imported(*id)))
    }

    fn commit(&mut self, operations: Vec<Vec<u8>>) -> Result<(), DiskFull> {
        if self.fails_after.is_some_and(|commits| commits <= self.commits) {
            return Err(DiskFull);
        }
        assert!(!operations.is_empty());
        self.commits += 1;
        for operation in operations {
            self.take(&operation);
            self.operations.push(operation);
        }
        Ok(())
    }
}

/// The fact of an operation.
pub(super) fn fact(bytes: &[u8]) -> Fact<'_> {
    match Operation::read(bytes).unwrap() {
        Operation::Fact(fact) => fact,
        other => panic!("{other:?}"),
    }
}

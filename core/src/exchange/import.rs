//! Takes one resource into the book: wholly, or not at all.

use super::batch::{Batch, Edited};
use super::fhir::{
    Death, Draft, Medication, Medications, Node, PatientRecord, Reading, Said, TIME_NOT_KNOWN, read_fact, read_patient,
    source_of,
};
use super::identity::{import_id, match_holders, patient_id};
use super::operations::{Registers, judged, write_concurrent, write_edits};
use super::report::{ImportReport, Reason, Refusal, is_id};
use super::{Holder, ImportBook};
use crate::id::{ImportId, PatientId};
use crate::limits::{REGISTERS_PER_EDIT_MAX, TEXT_BYTES_MAX};
use crate::record::{Fact, FactId, Operation, PartialDate, Receiver, Register, Setting, Sex, Statement};
use serde_json::Value;
use std::collections::BTreeMap;

/// Most patients whose ids are held in memory.
const KNOWN_MAX: usize = 65_536;

/// Why a resource is not taken.
#[derive(Debug)]
pub(super) enum Stop<E> {
    /// It is bad; the next may be good.
    Refused(Refusal),
    /// The source is not known and this resource does not tell it.
    NoSource,
    /// The book cannot go on.
    Book(E),
}

impl<E> From<Refusal> for Stop<E> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What became of a resource that is not bad.
#[derive(Clone, Copy)]
enum Outcome {
    Kept,
    Unchanged,
    Remembered,
    LeftOut(&'static str),
}

/// What became of a resource, and the paths of it that are not kept.
type Taken = (Outcome, BTreeMap<String, u64>);

/// One import.
pub(super) struct Import<'b, B> {
    pub(super) book: &'b mut B,
    pub(super) source: Option<String>,
    pub(super) report: ImportReport,
    batch: Batch,
    /// Patients of Patient resources as the book told them: saves asking for every fact.
    known: BTreeMap<ImportId, PatientId>,
    medications: Medications,
}

impl<'b, B: ImportBook> Import<'b, B> {
    pub(super) fn new(book: &'b mut B, source: Option<String>) -> Self {
        Self {
            book,
            source,
            report: ImportReport::default(),
            batch: Batch::default(),
            known: BTreeMap::new(),
            medications: Medications::default(),
        }
    }

    /// Takes a resource and counts what became of it. Commits when the batch is full.
    pub(super) fn take(&mut self, resource_type: &str, value: &Value) -> Result<(), Stop<B::Error>> {
        let reading = Reading::new();
        let resource = reading.root(value);
        let id = read_id(resource)?;
        resource.resource_type()?;
        let (outcome, left) = match resource_type {
            "Patient" => self.take_patient(id, resource, &reading, value)?,
            "Medication" => {
                let medication = Medication::read(resource)?;
                let left = reading.left(value, resource_type)?;
                self.medications.remember(id, medication);
                (Outcome::Remembered, left)
            }
            _ => {
                let medications = std::mem::take(&mut self.medications);
                let taken = self.take_fact(resource_type, id, resource, &reading, value, &medications);
                self.medications = medications;
                taken?
            }
        };
        let count = self.report.count(Some(resource_type));
        match outcome {
            Outcome::Kept => count.kept += 1,
            Outcome::Unchanged => count.unchanged += 1,
            Outcome::Remembered => count.remembered += 1,
            Outcome::LeftOut(why) => {
                self.report.leave_out(resource_type, why);
                return Ok(());
            }
        }
        self.report.add_paths(left);
        if self.batch.is_full() { self.commit() } else { Ok(()) }
    }

    /// Writes what was taken; durable when it returns.
    pub(super) fn commit(&mut self) -> Result<(), Stop<B::Error>> {
        let operations = self.batch.take();
        if !operations.is_empty() {
            let count = operations.len();
            self.book.commit(operations).map_err(Stop::Book)?;
            self.report.operations += u64::try_from(count).unwrap_or_default();
        }
        Ok(())
    }

    fn import_id(&self, resource_type: &str, id: &str) -> Result<ImportId, Stop<B::Error>> {
        let source = self.source.as_deref().ok_or(Stop::NoSource)?;
        Ok(import_id(self.book, source, resource_type, id))
    }

    fn take_patient(
        &mut self,
        id: &str,
        resource: Node<'_>,
        reading: &Reading,
        value: &Value,
    ) -> Result<Taken, Stop<B::Error>> {
        if self.source.is_none() {
            let found = source_of(resource, id)?.filter(|source| source.len() <= TEXT_BYTES_MAX);
            self.source = Some(found.ok_or(Stop::NoSource)?.to_owned());
        }
        let record = read_patient(resource)?;
        let import = self.import_id("Patient", id)?;
        if self.batch.patient(import).is_some() {
            self.commit()?;
        }
        let previous = self.book.previous(import).map_err(Stop::Book)?;
        let mut said = self.registers(&record)?;
        let matched = if previous.is_none() { self.match_patient(&record)? } else { None };
        let source = self.source.as_deref().ok_or(Stop::NoSource)?;
        let own = patient_id(self.book, source, id);
        let patient = previous.as_ref().map(|p| p.patient).or(matched).unwrap_or(own);
        let new = previous.is_none() && matched.is_none();
        let mut operations = write_edits(patient, import, previous.as_ref(), &mut said)?;
        if new && !record.concurrent.is_empty() {
            operations.push(write_concurrent(patient, &record.concurrent)?);
        }
        let left = reading.left(value, "Patient")?;
        let death = self.death(id, patient, record.death)?;
        let outcome = if operations.is_empty() && death.is_none() { Outcome::Unchanged } else { Outcome::Kept };
        if !operations.is_empty() {
            let (birth, sex) = birth_and_sex(&record);
            let holder = Holder { patient, births: birth.into_iter().collect(), sexes: sex.into_iter().collect() };
            let identifiers = identifiers(&record);
            self.batch.add_edited(&Edited { import, holder, identifiers: &identifiers, new });
        }
        for operation in operations {
            self.batch.push(operation);
        }
        if let Some(made) = death {
            self.push(made);
        }
        self.report.patients_new += u64::from(new);
        self.report.patients_matched += u64::from(matched.is_some());
        self.report.patients_known += u64::from(previous.is_some());
        Ok((outcome, left))
    }

    /// The registers that a Patient says.
    fn registers(&mut self, record: &PatientRecord<'_>) -> Result<Registers, Stop<B::Error>> {
        let mut registers = Registers::new();
        let mut households = Vec::new();
        for (of, role) in &record.households {
            let import = self.import_id("Patient", of)?;
            let begun_with = match self.patient_of(import)? {
                Some(patient) => patient,
                None => patient_id(self.book, self.source.as_deref().ok_or(Stop::NoSource)?, of),
            };
            households.push(Setting::Household(begun_with, Some(*role)));
        }
        for setting in record.settings.iter().chain(&households) {
            let (key, value) = setting.to_bytes();
            let register = Register { field: setting.field(), key: &key, value: &value };
            register.parse().map_err(|_| Refusal::new(Reason::Format, register.field.word()))?;
            registers.entry((setting.field(), key)).or_insert(value);
        }
        if registers.len() > REGISTERS_PER_EDIT_MAX {
            return Err(Refusal::new(Reason::TooMany, "").into());
        }
        Ok(registers)
    }

    /// The patient of a Patient resource that is in the batch or the book.
    fn patient_of(&mut self, import: ImportId) -> Result<Option<PatientId>, Stop<B::Error>> {
        if let Some(patient) = self.batch.patient(import).or_else(|| self.known.get(&import).copied()) {
            return Ok(Some(patient));
        }
        let patient = self.book.previous(import).map_err(Stop::Book)?.map(|previous| previous.patient);
        if let Some(patient) = patient {
            if self.known.len() >= KNOWN_MAX {
                self.known.clear();
            }
            self.known.insert(import, patient);
        }
        Ok(patient)
    }

    /// The patient in the book or the batch that an identifier says it is.
    fn match_patient(&mut self, record: &PatientRecord<'_>) -> Result<Option<PatientId>, Stop<B::Error>> {
        let mut holders = Vec::new();
        for (system, value) in identifiers(record) {
            let of_book = self.book.holders(system, value).map_err(Stop::Book)?;
            if let Some(known) = self.batch.holders(system, value, of_book) {
                holders.push(known);
            } else {
                self.commit()?;
                holders.push(self.book.holders(system, value).map_err(Stop::Book)?);
            }
        }
        let (birth, sex) = birth_and_sex(record);
        Ok(match_holders(&holders, birth, sex))
    }

    /// What is to be written about a death, if anything.
    fn death(&mut self, id: &str, patient: PatientId, death: Death) -> Result<Option<Made>, Stop<B::Error>> {
        let import = self.import_id("Patient.deceased", id)?;
        let (effective, statement, targets, import) = match death {
            Death::NotSaid => return Ok(None),
            Death::Died(time) => (time, Statement::Deceased, Vec::new(), import),
            Death::Alive if self.contents(import)?.is_empty() => return Ok(None),
            Death::Alive => {
                let own = self.import_id("Patient.deceased.taken-back", id)?;
                (TIME_NOT_KNOWN, Statement::Refutation, vec![FactId::Imported(import)], own)
            }
        };
        let fact = Fact { patient: Some(patient), effective, targets, import: Some(import), reason: "", statement };
        self.make(import, fact)
    }

    fn take_fact<'v>(
        &mut self,
        resource_type: &str,
        id: &str,
        resource: Node<'v>,
        reading: &Reading,
        value: &Value,
        medications: &'v Medications,
    ) -> Result<Taken, Stop<B::Error>> {
        let mut import = self.import_id(resource_type, id)?;
        let (draft, taken_back) = match read_fact(resource_type, resource, medications)? {
            Said::LeftOut(why) => return Ok((Outcome::LeftOut(why), BTreeMap::new())),
            Said::Fact(draft) => (draft, None),
            Said::TakenBack(draft, why) => (draft, Some(why)),
        };
        let mut left = reading.left(value, resource_type)?;
        let mut targets = Vec::new();
        for (kind, target) in &draft.targets {
            targets.push(FactId::Imported(self.import_id(kind, target)?));
        }
        if let Some(why) = taken_back {
            if self.contents(import)?.is_empty() {
                return Ok((Outcome::LeftOut(why), BTreeMap::new()));
            }
            targets = vec![FactId::Imported(import)];
            import = self.import_id(&format!("{resource_type}.taken-back"), id)?;
        }
        let not_here = Refusal::new(Reason::PatientNotHere, "");
        let patient_import = self.import_id("Patient", draft.patient)?;
        let patient = self.patient_of(patient_import)?.ok_or(not_here)?;
        let mut statement = draft.statement.clone();
        if let Statement::Dispense(dispense) = &mut statement {
            dispense.receiver = self.receiver(&draft, &mut left)?;
        }
        let Draft { effective, reason, .. } = draft;
        let fact = Fact { patient: Some(patient), effective, targets, import: Some(import), reason, statement };
        Ok(match self.make(import, fact)? {
            None => (Outcome::Unchanged, left),
            Some(made) => {
                self.push(made);
                (Outcome::Kept, left)
            }
        })
    }

    /// Who took a dispense: a patient of the book, else a person by name.
    fn receiver<'v>(
        &mut self,
        draft: &Draft<'v>,
        left: &mut BTreeMap<String, u64>,
    ) -> Result<Option<Receiver<'v>>, Stop<B::Error>> {
        let Some(receiver) = draft.receiver else { return Ok(None) };
        if !receiver.patient.is_empty() {
            let import = self.import_id("Patient", receiver.patient)?;
            if let Some(patient) = self.patient_of(import)? {
                return Ok(Some(Receiver::Patient(patient)));
            }
            *left.entry("MedicationDispense.receiver.reference".to_owned()).or_default() += 1;
        }
        Ok((!receiver.display.is_empty()).then_some(Receiver::Person(receiver.display)))
    }

    /// Lets an observation name the previous one of its patient and code; gives back what the book had.
    fn name_previous(&mut self, fact: &mut Fact<'_>) -> Result<Option<FactId>, Stop<B::Error>> {
        let (Statement::Observation(observation), Some(patient)) = (&mut fact.statement, fact.patient) else {
            return Ok(None);
        };
        let (system, code) = (observation.code.system, observation.code.code);
        if code.is_empty() {
            return Ok(None);
        }
        let of_book = self.book.observation_before(patient, system, code, &fact.effective).map_err(Stop::Book)?;
        let before = self.batch.before(patient, system, code, fact.effective.ms, of_book);
        observation.seen = before.into_iter().collect();
        Ok(of_book)
    }

    /// The contents of all facts with an import id, in the batch and in the book.
    fn contents(&mut self, import: ImportId) -> Result<Vec<Vec<u8>>, Stop<B::Error>> {
        let mut contents = self.book.fact_contents(import).map_err(Stop::Book)?;
        contents.extend_from_slice(self.batch.contents(import));
        Ok(contents)
    }

    /// A fact as an operation; `None` if it is there already.
    fn make(&mut self, import: ImportId, mut fact: Fact<'_>) -> Result<Option<Made>, Stop<B::Error>> {
        let content = fact.content();
        if self.contents(import)?.contains(&content) {
            return Ok(None);
        }
        let before = self.name_previous(&mut fact)?;
        let operation = judged(&Operation::Fact(fact))?;
        Ok(Some(Made { import, operation, content, before }))
    }

    fn push(&mut self, made: Made) {
        if let Ok(Operation::Fact(fact)) = Operation::read(&made.operation) {
            self.batch.add_fact(made.import, &fact, made.content, made.before);
        }
        self.batch.push(made.operation);
    }
}

/// A fact that is to be written.
struct Made {
    import: ImportId,
    operation: Vec<u8>,
    content: Vec<u8>,
    before: Option<FactId>,
}

fn read_id(resource: Node<'_>) -> Result<&str, Refusal> {
    let bad = Refusal::new(Reason::Id, "id");
    let id = resource.id().map_err(|_| bad)?;
    if is_id(id) { Ok(id) } else { Err(bad) }
}

/// Identifiers by which a patient may be found: those with a system.
fn identifiers<'v>(record: &PatientRecord<'v>) -> Vec<(&'v str, &'v str)> {
    let with_system = |setting: &Setting<'v>| match setting {
        Setting::Identifier(identifier, Some(_)) if !identifier.system.is_empty() => {
            Some((identifier.system, identifier.value))
        }
        _ => None,
    };
    record.settings.iter().filter_map(with_system).collect()
}

fn birth_and_sex(record: &PatientRecord<'_>) -> (Option<PartialDate>, Option<Sex>) {
    let (mut birth, mut sex) = (None, None);
    for setting in &record.settings {
        match setting {
            Setting::Birth(said) => birth = *said,
            Setting::Sex(said) => sex = *said,
            _ => {}
        }
    }
    (birth, sex)
}

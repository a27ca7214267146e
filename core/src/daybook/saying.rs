//! Saying facts: allergies, observations, conditions, immunizations, notes, corrections, refutations.

use super::Daybook;
use super::charts::Loaded;
use super::error::Error;
use super::patients::checked;
use super::types::{FactView, Written};
use super::writing::{Committed, Said, Writer};
use crate::clock::EffectiveTime;
use crate::id::PatientId;
use crate::limits::TARGETS_PER_FACT_MAX;
use crate::merge::{Subject, operations_in};
use crate::record::{Fact, FactAt, FactId, Item, Observation, Operation, Standing, Statement, standings};
use crate::roster::CompartmentKind;
use crate::store::Store;
use crate::view;

/// Something to say about a patient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Say<'a> {
    /// What.
    pub statement: Statement<'a>,
    /// When it happened; now by the clock if not stated.
    pub effective: Option<EffectiveTime>,
    /// The facts of its own kind that it corrects.
    pub targets: Vec<FactId>,
    /// Why; needed with targets.
    pub reason: &'a str,
}

impl Daybook {
    /// Says a fact. An observation takes note of what was current of its code; one that is stated for an
    /// earlier time than that is marked so and never becomes current.
    ///
    /// # Errors
    /// [`Error::NoSuchPatient`], [`Error::Value`]; nothing was written.
    #[expect(clippy::needless_pass_by_value, reason = "what is said is given away, as in speech")]
    pub fn say(&mut self, patient: Option<PatientId>, say: Say<'_>) -> Result<Written<FactView>, Error> {
        if !say.targets.is_empty() && say.reason.trim().is_empty() {
            return Err(Error::Value { what: "the reason", why: "must not be empty" });
        }
        let entries = self.write(|writer| {
            let effective = say.effective.unwrap_or_else(|| EffectiveTime::now(writer.host));
            let mut fact = Fact {
                patient,
                effective,
                targets: say.targets.clone(),
                import: None,
                reason: say.reason,
                statement: say.statement.clone(),
            };
            for target in &say.targets {
                same_lot(writer, target, &say.statement)?;
            }
            if let Some(patient) = patient {
                let subject = view::patient_subject(writer.tx, &patient)?.ok_or(Error::NoSuchPatient)?;
                if let Statement::Observation(observation) = &mut fact.statement {
                    note_current(writer, subject, &effective, &fact.targets, observation)?;
                }
            }
            commit_fact(writer, &fact)
        })?;
        self.written_fact(entries)
    }

    /// Says that a fact is not so: an allergy, a condition, a death, anything but a dispense.
    ///
    /// # Errors
    /// [`Error::NoSuchEntry`], [`Error::WrongKind`] for a dispense, [`Error::TakenBack`].
    pub fn refute(&mut self, entry: &str, reason: &str) -> Result<Written<FactView>, Error> {
        let target = self.fact_of(entry)?;
        if target.kind == crate::record::FactKind::Dispense {
            return Err(Error::WrongKind { expected: "fact that can be refuted; a dispense is reversed" });
        }
        if target.kind.is_stock() {
            return Err(Error::WrongKind { expected: "fact that can be refuted; stock is corrected or counted" });
        }
        let statement = Statement::Refutation;
        self.take_back(&target, &statement, reason)
    }

    pub(super) fn take_back(
        &mut self,
        target: &FactView,
        statement: &Statement<'_>,
        reason: &str,
    ) -> Result<Written<FactView>, Error> {
        if reason.trim().is_empty() {
            return Err(Error::Value { what: "the reason", why: "must not be empty" });
        }
        if matches!(target.standing, Standing::Refuted | Standing::Reversed) {
            return Err(Error::TakenBack);
        }
        let entries = self.write(|writer| {
            let effective = EffectiveTime::now(writer.host);
            let fact = Fact {
                patient: target.patient,
                effective,
                targets: vec![target.id],
                import: None,
                reason,
                statement: statement.clone(),
            };
            commit_fact(writer, &fact)
        })?;
        self.written_fact(entries)
    }

    pub(super) fn written_fact(&self, committed: Committed) -> Result<Written<FactView>, Error> {
        let first = committed.entries.first().copied().ok_or(Error::Bug("nothing was written"))?;
        let view = self.fact_at(first.key.operation(0))?;
        self.written((view, committed))
    }
}

/// A correction of stock stays with its lot: under another one both would be counted.
fn same_lot(writer: &Writer<'_>, target: &FactId, statement: &Statement<'_>) -> Result<(), Error> {
    let (Some(item), FactId::Written(target)) = (Item::of_statement(statement), target) else { return Ok(()) };
    let key = Store::resolve(writer.tx, &target.entry)?.ok_or(Error::NoSuchEntry)?;
    let rows = operations_in(writer.tx, &writer.state.ring, &writer.state.logs, key)?;
    let row = rows.iter().find(|row| row.key.index() == target.index).ok_or(Error::NoSuchEntry)?;
    let of_target = Subject::load(writer.tx, row.row.subject())?.ok_or(Error::NoSuchEntry)?.key;
    if of_target == item.to_bytes() {
        return Ok(());
    }
    Err(Error::Value { what: "the product or lot", why: "stays with a correction; reverse or count the stock instead" })
}

/// Writes one fact where it belongs.
pub(super) fn commit_fact(writer: &mut Writer<'_>, fact: &Fact<'_>) -> Result<Committed, Error> {
    let said = said(writer, fact)?;
    writer.commit(&[said])
}

/// A fact as an operation of its compartment.
pub(super) fn said(writer: &Writer<'_>, fact: &Fact<'_>) -> Result<Said, Error> {
    let kind = if fact.patient.is_some() { CompartmentKind::Clinical } else { CompartmentKind::Supply };
    let compartment = writer.state.compartment(kind)?;
    Ok(Said { compartment, operation: checked(Operation::Fact(fact.clone()).to_bytes())? })
}

/// Fills in what the author sees as current of the same code, and whether that is later than what is said.
fn note_current(
    writer: &Writer<'_>,
    subject: i64,
    effective: &EffectiveTime,
    targets: &[FactId],
    observation: &mut Observation<'_>,
) -> Result<(), Error> {
    let loaded = Loaded::load(writer.tx, subject)?;
    let facts: Vec<FactAt<'_>> = loaded.facts(writer.state).into_iter().map(|(_, fact)| fact).collect();
    let standings = standings(&facts);
    let same = |o: &Observation<'_>| {
        (o.code.system, o.code.code) == (observation.code.system, observation.code.code)
            && (!o.code.code.is_empty() || o.code.display == observation.code.display)
    };
    let mut seen = Vec::new();
    let mut later = false;
    for (fact, standing) in facts.iter().zip(&standings).filter(|(f, _)| !f.waiting) {
        let Statement::Observation(known) = &fact.fact.statement else { continue };
        // What a correction replaces is no longer current, and neither is what took its place before.
        if *standing == Standing::Stands && same(known) && !known.earlier && !targets.contains(&fact.id()) {
            later |= fact.fact.effective.ms > effective.ms && !fact.implausible;
            seen.push(fact.id());
        }
    }
    observation.earlier = later;
    observation.seen = if later { Vec::new() } else { seen };
    observation.seen.sort_unstable();
    observation.seen.truncate(TARGETS_PER_FACT_MAX);
    Ok(())
}

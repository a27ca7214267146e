//! What the book gives back, as JSON. Every key is always there; what is not known is null. The keys are
//! listed in `docs/cli.md`, and a test compares.

use daybook_core::clock::{Hlc, Precision, TimeSource};
use daybook_core::daybook::{
    AllergyStatus, Author, EntryCode, EntryCounts, FactView, FindingView, HistoryLine, LogLine, PatientSummary,
    Purpose, ReadingView, ShownValue, StockLine, Warning,
};
use daybook_core::id::PatientId;
use daybook_core::record::{
    Coded, Criticality, Fact, PartialDate, Quantity, Receiver, Sex, Statement, Value as Measured, micros_to_text,
};
use serde_json::{Value, json};

use super::{fact, time};

/// A list of anything.
pub fn list<T>(items: &[T], one: impl Fn(&T) -> Value) -> Value {
    Value::Array(items.iter().map(one).collect())
}

/// A list of entries by their codes.
#[must_use]
pub fn entries(codes: &[EntryCode]) -> Value {
    list(codes, |code| json!(code.0))
}

/// `Author`.
#[must_use]
pub fn author(author: &Author) -> Value {
    json!({
        "device": author.device.to_hex(),
        "person": author.person,
        "organisation": author.organisation,
        "here": author.here,
    })
}

/// `Patient`.
#[must_use]
pub fn patient(patient: &PatientSummary) -> Value {
    json!({
        "code": patient.code,
        "id": patient.patient.to_hex(),
        "name": patient.name,
        "birth": patient.birth.map(|b| b.to_string()),
        "sex": patient.sex.map(Sex::code),
        "identifier": patient.identifier,
        "deceased": patient.deceased,
        "open_findings": patient.open_findings,
    })
}

/// `Register`.
#[must_use]
pub fn register(shown: &ShownValue, offset: i16) -> Value {
    json!({
        "field": shown.field.word(),
        "text": shown.text,
        "concurrent": shown.concurrent,
        "entry": shown.entry.0,
        "author": author(&shown.author),
        "written": time::exact(shown.hlc, offset),
    })
}

/// The word for what is known of allergies.
#[must_use]
pub const fn allergies(status: AllergyStatus) -> &'static str {
    match status {
        AllergyStatus::NotAsked => "not-asked",
        AllergyStatus::NoneKnown => "none-known",
        AllergyStatus::Allergic => "allergic",
    }
}

/// `Fact`.
#[must_use]
pub fn fact(view: &FactView, offset: i16) -> Value {
    let fact = view.fact();
    json!({
        "entry": view.entry.0,
        "kind": view.kind.word(),
        "patient": view.patient.as_ref().map(PatientId::code),
        "effective": view.effective.to_fhir(),
        "precision": precision(view.effective.precision),
        "stated": view.effective.source == TimeSource::Stated,
        "standing": fact::standing_word(view.standing),
        "waiting": view.waiting,
        "implausible_time": view.implausible_time,
        "author": author(&view.author),
        "written": time::exact(view.hlc, offset),
        "reason": fact.as_ref().map_or("", |f| f.reason),
        "text": fact::said(view),
        "said": fact.as_ref().map(said),
    })
}

const fn precision(precision: Precision) -> &'static str {
    match precision {
        Precision::Year => "year",
        Precision::Month => "month",
        Precision::Day => "day",
        Precision::Minute => "minute",
        Precision::Second => "second",
        Precision::Millisecond => "millisecond",
    }
}

/// What a fact says, by its kind.
fn said(fact: &Fact<'_>) -> Value {
    match &fact.statement {
        Statement::Allergy(what) => json!({
            "substance": coded(&what.substance),
            "clinical": what.clinical.code(),
            "verification": what.verification.code(),
            "severity": what.criticality.map(Criticality::code),
            "category": what.category,
            "reaction": what.reaction,
        }),
        Statement::Observation(what) => json!({
            "code": coded(&what.code),
            "value": what.value.as_ref().map(result),
            "components": list(&what.components, |(code, part)| json!({"code": coded(code), "value": result(part)})),
            "earlier": what.earlier,
        }),
        Statement::Condition(what) => json!({
            "code": coded(&what.code),
            "clinical": what.clinical.code(),
            "verification": what.verification.code(),
        }),
        Statement::Immunization(what) => json!({
            "vaccine": coded(&what.vaccine),
            "given": what.given.code(),
            "dose": what.dose.as_ref().map(quantity),
            "lot": what.lot,
            "expiry": date(what.expiry),
            "site": what.site,
        }),
        Statement::Dispense(what) => json!({
            "product": coded(&what.product),
            "quantity": what.quantity.as_ref().map(quantity),
            "lot": what.lot,
            "expiry": date(what.expiry),
            "days": what.days,
            "receiver": what.receiver.map(receiver),
            "place": what.place,
            "override_reason": what.override_reason,
        }),
        Statement::StockMovement(what) => json!({
            "product": coded(&what.product),
            "lot": what.lot,
            "expiry": date(what.expiry),
            "quantity": quantity(&what.quantity),
            "from": what.from,
            "to": what.to,
            "cause": what.cause.code(),
        }),
        Statement::StockCount(what) => json!({
            "product": coded(&what.product),
            "lot": what.lot,
            "quantity": quantity(&what.quantity),
            "place": what.place,
        }),
        Statement::Note { text } => json!({"text": text}),
        Statement::Resolution { findings } => json!({"findings": list(findings, |id| json!(id.to_hex()))}),
        Statement::NoKnownAllergies | Statement::Refutation | Statement::Reversal | Statement::Deceased => json!({}),
    }
}

/// `Coded`.
#[must_use]
pub fn coded(coded: &Coded<'_>) -> Value {
    json!({"system": coded.system, "code": coded.code, "text": coded.shown()})
}

/// `Quantity`; the number is exact, as text.
#[must_use]
pub fn quantity(amount: &Quantity<'_>) -> Value {
    json!({"number": amount.number(), "unit": amount.unit, "text": fact::quantity(amount)})
}

/// `Result`: one of four forms.
fn result(value: &Measured<'_>) -> Value {
    match value {
        Measured::Quantity(amount) => json!({"quantity": quantity(amount)}),
        Measured::Coded(concept) => json!({"coded": coded(concept)}),
        Measured::Text(text) => json!({"text": text}),
        Measured::Bool(yes) => json!({"yes": yes}),
    }
}

fn receiver(receiver: Receiver<'_>) -> Value {
    match receiver {
        Receiver::Patient(patient) => json!({"patient": patient.code()}),
        Receiver::Person(name) => json!({"person": name}),
    }
}

fn date(date: Option<PartialDate>) -> Option<String> {
    date.map(|d| d.to_string())
}

/// `Finding`.
#[must_use]
pub fn finding(finding: &FindingView) -> Value {
    json!({
        "id": finding.id.to_hex(),
        "kind": finding.kind.code(),
        "patient": finding.patient.as_ref().map(patient),
        "text": finding.text,
        "entries": entries(&finding.entries),
        "resolved": finding.resolved.as_ref().map(|(reason, by)| json!({"reason": reason, "author": author(by)})),
    })
}

/// `Warning`.
#[must_use]
pub fn warning(warning: &Warning) -> Value {
    json!({"kind": warning.kind.code(), "text": warning.text})
}

/// `Reading`.
#[must_use]
pub fn reading(view: &ReadingView, offset: i16) -> Value {
    let reading = &view.reading;
    json!({
        "entry": view.entry.0,
        "author": author(&view.who),
        "written": time::exact(view.hlc, offset),
        "at": reading.at.to_fhir(),
        "access": reading.access.word(),
        "patient": reading.patient.as_ref().map(PatientId::code),
        "purpose": reading.purpose.map(Purpose::word),
        "times": reading.times,
        "records": reading.records,
        "waiting": view.waiting,
    })
}

/// `StockLine`.
#[must_use]
pub fn stock_line(line: &StockLine) -> Value {
    json!({
        "place": line.place,
        "product": line.product,
        "code": line.code,
        "lot": line.lot,
        "expiry": date(line.expiry),
        "on_hand": micros_to_text(line.on_hand_micros),
        "unit": line.unit,
        "counted": line.counted,
    })
}

/// `LogLine`.
#[must_use]
pub fn log_line(line: &LogLine, offset: i16) -> Value {
    json!({
        "entry": line.entry.0,
        "compartment": line.compartment,
        "author": author(&line.author),
        "written": written(line.hlc, offset),
        "verdict": line.verdict,
        "operations": line.operations,
    })
}

fn written(hlc: Option<Hlc>, offset: i16) -> Option<String> {
    hlc.map(|hlc| time::exact(hlc, offset))
}

/// `HistoryLine`.
#[must_use]
pub fn history_line(line: &HistoryLine, offset: i16) -> Value {
    json!({
        "entry": line.entry.0,
        "author": author(&line.author),
        "written": time::exact(line.hlc, offset),
        "text": line.text,
    })
}

/// `EntryCounts`.
#[must_use]
pub fn entry_counts(counts: &EntryCounts) -> Value {
    json!({
        "total": counts.total,
        "own": counts.own,
        "accepted": counts.accepted,
        "waiting": counts.waiting,
        "own_waiting": counts.own_waiting,
        "faulty": counts.faulty,
        "unopened": counts.unopened,
        "erased": counts.erased,
    })
}

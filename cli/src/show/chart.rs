//! A patient's record: whole, and in the few lines that a desk needs.

use daybook_core::daybook::{AllergyStatus, Chart, FactView, PatientSummary, ShownValue};
use daybook_core::record::{FactKind, Standing, Statement};
use serde_json::{Value, json};

use super::table::Table;
use super::text::{cell, cut, safe};
use super::{fact, json, lists, time};
use crate::output::Reply;

/// The whole record.
#[must_use]
pub fn whole(chart: &Chart, offset: i16) -> Reply {
    let mut text = brief(chart, offset);
    if !chart.registers.is_empty() {
        text.push('\n');
        text.push_str(&registers(&chart.registers, offset));
    }
    if !chart.facts.is_empty() {
        text.push('\n');
        text.push_str(&facts(&chart.facts, offset));
    }
    Reply::new(to_json(chart, offset), text)
}

/// The few lines that a desk needs: who it is, allergies, findings, the newest of what matters.
#[must_use]
pub fn brief(chart: &Chart, offset: i16) -> String {
    let mut text = format!("{}\n{}\n", headline(&chart.summary), allergies(chart));
    for (word, kind, most) in [("now", FactKind::Observation, 4), ("last dispensed", FactKind::Dispense, 2)] {
        let current = chart.facts.iter().filter(|f| f.kind == kind && matters(f) && !earlier(f)).take(most);
        let lines: Vec<String> = current.map(|f| dated(f, offset)).collect();
        if !lines.is_empty() {
            text.push_str(&format!("{word}: {}\n", lines.join("; ")));
        }
    }
    for finding in chart.findings.iter().filter(|f| f.resolved.is_none()) {
        text.push_str(&format!("! {}: {}\n", finding.kind.code(), safe(&finding.text)));
    }
    for (author, count) in &chart.waits_for {
        let from = safe(&fact::author(author));
        text.push_str(&format!("{count} change(s) refer to entries of {from} that are not here yet\n"));
    }
    if chart.from_newer_version > 0 {
        let count = chart.from_newer_version;
        text.push_str(&format!("{count} operation(s) were written by a newer version and cannot be shown\n"));
    }
    text
}

fn dated(view: &FactView, offset: i16) -> String {
    format!("{} ({})", cut(&cell(&fact::said(view)), 80), time::happened(&view.effective, offset))
}

/// Code, name, sex, birth date, identifier and death on one line.
#[must_use]
pub fn headline(patient: &PatientSummary) -> String {
    let name = if patient.name.is_empty() { "(no name)".to_owned() } else { cell(&patient.name) };
    let mut parts = vec![patient.code.clone(), name];
    parts.extend(patient.sex.map(|s| s.code().to_owned()));
    parts.extend(patient.birth.map(|b| format!("born {b}")));
    if !patient.identifier.is_empty() {
        parts.push(cell(lists::short_identifier(&patient.identifier)));
    }
    if patient.deceased {
        parts.push("DIED".to_owned());
    }
    parts.join("  ")
}

fn allergies(chart: &Chart) -> String {
    match chart.allergy_status {
        AllergyStatus::NotAsked => "allergies: NOT ASKED".to_owned(),
        AllergyStatus::NoneKnown => "allergies: none known".to_owned(),
        AllergyStatus::Allergic => {
            let known = chart.facts.iter().filter(|f| f.kind == FactKind::Allergy && matters(f));
            let known: Vec<String> = known.map(|f| cell(&fact::said(f))).collect();
            format!("ALLERGIES: {}", known.join("; "))
        }
    }
}

/// Whether a fact still says how things are.
fn matters(view: &FactView) -> bool {
    match view.standing {
        Standing::Stands => true,
        Standing::Corrected | Standing::Refuted | Standing::Reversed | Standing::Superseded | Standing::Repeated => {
            false
        }
    }
}

/// Whether an observation was stated for an earlier time than what was current: it is not how things are now.
fn earlier(view: &FactView) -> bool {
    view.fact().is_some_and(|fact| matches!(fact.statement, Statement::Observation(what) if what.earlier))
}

/// A table of registers.
#[must_use]
pub fn registers(shown: &[ShownValue], offset: i16) -> String {
    let mut table =
        Table::new(&[("FIELD", 10), ("VALUE", 60), ("NOTE", 20), ("ENTRY", 12), ("WRITTEN", 16), ("BY", 24)]);
    for value in shown {
        table.row(&[
            value.field.word(),
            &value.text,
            if value.concurrent { "one of several" } else { "" },
            &value.entry.0,
            &time::written(value.hlc, offset),
            &fact::author(&value.author),
        ]);
    }
    table.to_text()
}

/// A table of facts.
#[must_use]
pub fn facts(views: &[FactView], offset: i16) -> String {
    let mut table = Table::new(&[
        ("ENTRY", 12),
        ("WHEN", 23),
        ("KIND", 18),
        ("WHAT", 80),
        ("NOTE", 30),
        ("REASON", 40),
        ("BY", 24),
    ]);
    for view in views {
        table.row(&[
            &view.entry.0,
            &time::happened(&view.effective, offset),
            view.kind.word(),
            &fact::said(view),
            &fact::standing(view),
            view.fact().map_or("", |f| f.reason),
            &fact::author(&view.author),
        ]);
    }
    table.to_text()
}

/// The record as JSON.
#[must_use]
pub fn to_json(chart: &Chart, offset: i16) -> Value {
    json!({
        "patient": json::patient(&chart.summary),
        "allergies": json::allergies(chart.allergy_status),
        "registers": json::list(&chart.registers, |r| json::register(r, offset)),
        "facts": json::list(&chart.facts, |f| json::fact(f, offset)),
        "findings": json::list(&chart.findings, json::finding),
        "waits_for": json::list(&chart.waits_for, |(author, changes)| {
            json!({"author": json::author(author), "changes": changes})
        }),
        "from_newer_version": chart.from_newer_version,
    })
}

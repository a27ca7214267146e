//! Lists: patients, findings, stock, log, history, and what a decision needs to see.

use daybook_core::daybook::{
    FindingView, HistoryLine, LogLine, PatientSummary, Purpose, ReadingView, StockLine, Warning, Written,
};
use daybook_core::record::{Access, micros_to_text};
use serde_json::{Value, json};

use super::table::Table;
use super::text::safe;
use super::{fact, json, time};
use crate::output::Reply;

/// The patients among whom one must be chosen.
#[must_use]
pub fn candidates(candidates: &[PatientSummary]) -> Reply {
    Reply::new(json!({"candidates": json::list(candidates, json::patient)}), patients(candidates))
}

/// What a dispense would raise.
#[must_use]
pub fn warnings(warnings: &[Warning]) -> Reply {
    Reply::new(json!({"warnings": json::list(warnings, json::warning)}), warning_lines(warnings))
}

/// One line a warning.
#[must_use]
pub fn warning_lines(warnings: &[Warning]) -> String {
    let line = |w: &Warning| format!("WARNING {}: {}\n", w.kind.code(), safe(&w.text));
    warnings.iter().map(line).collect::<Vec<_>>().concat()
}

/// A table of patients.
#[must_use]
pub fn patients(patients: &[PatientSummary]) -> String {
    let mut table = Table::new(&[
        ("CODE", 11),
        ("NAME", 32),
        ("SEX", 7),
        ("BORN", 10),
        ("IDENTIFIER", 24),
        ("DIED", 4),
        ("FINDINGS", 8),
    ]);
    for patient in patients {
        let findings = if patient.open_findings == 0 { String::new() } else { patient.open_findings.to_string() };
        table.row(&[
            &patient.code,
            if patient.name.is_empty() { "(no name)" } else { &patient.name },
            patient.sex.map_or("", |s| s.code()),
            &patient.birth.map_or_else(String::new, |b| b.to_string()),
            short_identifier(&patient.identifier),
            if patient.deceased { "died" } else { "" },
            &findings,
        ]);
    }
    table.to_text()
}

/// The value of an identifier `system|value`, without its system.
#[must_use]
pub fn short_identifier(identifier: &str) -> &str {
    identifier.split_once('|').map_or(identifier, |(_, value)| value)
}

/// One line a finding.
#[must_use]
pub fn findings(findings: &[FindingView]) -> String {
    let mut table = Table::new(&[("ID", 8), ("KIND", 20), ("PATIENT", 11), ("WHAT", 240), ("RESOLVED", 60)]);
    for finding in findings {
        let id: String = finding.id.to_hex().chars().take(8).collect();
        let resolved = finding.resolved.as_ref().map(|(reason, by)| format!("{reason} ({})", fact::author(by)));
        table.row(&[
            &id,
            finding.kind.code(),
            finding.patient.as_ref().map_or("", |p| &p.code),
            &finding.text,
            resolved.as_deref().unwrap_or_default(),
        ]);
    }
    table.to_text()
}

/// What every written thing has: its entries and the findings that it raised.
#[must_use]
pub fn written<T>(written: &Written<T>, what: &str, more: Value) -> Reply {
    let mut object = json!({
        "entries": json::entries(&written.entries),
        "findings": json::list(&written.findings, json::finding),
    });
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    let codes: Vec<String> = written.entries.iter().map(|e| safe(&e.0)).collect();
    let mut text = if codes.is_empty() { format!("{what}\n") } else { format!("{what} [{}]\n", codes.join(" ")) };
    if !written.findings.is_empty() {
        text.push_str("Somebody must look at this:\n");
        text.push_str(&findings(&written.findings));
    }
    Reply::new(object, text)
}

/// A table of stock.
#[must_use]
pub fn stock(lines: &[StockLine]) -> String {
    let mut table =
        Table::new(&[("PLACE", 20), ("PRODUCT", 40), ("LOT", 16), ("EXPIRES", 10), ("ON HAND", 20), ("COUNTED", 7)]);
    for line in lines {
        let on_hand = format!("{} {}", micros_to_text(line.on_hand_micros), line.unit);
        table.row(&[
            &line.place,
            &line.product,
            &line.lot,
            &line.expiry.map_or_else(String::new, |e| e.to_string()),
            on_hand.trim_end(),
            if line.counted { "yes" } else { "no" },
        ]);
    }
    table.to_text()
}

/// A table of entries.
#[must_use]
pub fn log(lines: &[LogLine], offset: i16) -> String {
    let mut table =
        Table::new(&[("ENTRY", 12), ("WRITTEN", 16), ("WHERE", 9), ("BY", 24), ("VERDICT", 16), ("WHAT", 80)]);
    for line in lines {
        table.row(&[
            &line.entry.0,
            &line.hlc.map_or_else(String::new, |hlc| time::written(hlc, offset)),
            line.compartment,
            &fact::author(&line.author),
            &line.verdict,
            &line.operations.join("; "),
        ]);
    }
    table.to_text()
}

/// A table of readings.
#[must_use]
pub fn readings(readings: &[ReadingView], offset: i16) -> String {
    let mut table =
        Table::new(&[("READ", 23), ("BY", 24), ("ORGANISATION", 24), ("FOR", 15), ("WHAT", 60), ("ENTRY", 12)]);
    for view in readings {
        table.row(&[
            &time::happened(&view.reading.at, offset),
            &fact::author(&view.who),
            view.who.organisation.as_deref().unwrap_or_default(),
            view.reading.purpose.map_or("not said", Purpose::word),
            &what_was_read(view),
            &view.entry.0,
        ]);
    }
    table.to_text()
}

fn what_was_read(view: &ReadingView) -> String {
    let reading = &view.reading;
    let mut text = match (reading.patient, reading.access) {
        (Some(patient), Access::Record) => format!("record {}", patient.code()),
        (_, Access::Record | Access::List) => format!("{} lines of lists", reading.records),
        (_, Access::Export) => format!("export of {} records", reading.records),
    };
    if reading.times > 1 {
        text.push_str(&format!(", {} times", reading.times));
    }
    if view.waiting {
        text.push_str(", waiting for review");
    }
    text
}

/// A table of the changes of a record.
#[must_use]
pub fn history(lines: &[HistoryLine], offset: i16) -> String {
    let mut table = Table::new(&[("ENTRY", 12), ("WRITTEN", 16), ("BY", 24), ("WHAT", 100)]);
    for line in lines {
        table.row(&[&line.entry.0, &time::written(line.hlc, offset), &fact::author(&line.author), &line.text]);
    }
    table.to_text()
}

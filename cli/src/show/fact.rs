//! What a fact says, in one line.

use super::text::cell;
use daybook_core::daybook::{Author, FactView};
use daybook_core::record::{
    Allergy, Condition, Criticality, Dispense, FactKind, Given, Immunization, Observation, Quantity, Receiver,
    Standing, Statement, StockCount, StockMovement, Value, Verification, micros_to_text,
};

/// What a fact says, in one line; the reason is not part of it.
#[must_use]
pub fn said(view: &FactView) -> String {
    match view.fact() {
        Some(fact) => statement(&fact.statement),
        None => "written by a newer version of daybook".to_owned(),
    }
}

/// The kind and what the fact says, safe for a screen; the kind is left out where what is said tells it.
#[must_use]
pub fn kind_and_said(view: &FactView) -> String {
    match view.kind {
        FactKind::NoKnownAllergies | FactKind::Deceased | FactKind::Reversal => cell(&said(view)),
        FactKind::Refutation => format!("{}: {}", said(view), cell(view.fact().map_or("", |f| f.reason))),
        _ => format!("{} {}", view.kind.word(), cell(&said(view))),
    }
}

/// What became of a fact, in words; nothing while it stands.
#[must_use]
pub fn standing(view: &FactView) -> String {
    let mut words = Vec::new();
    match view.standing {
        Standing::Stands => {}
        other => words.push(standing_word(other)),
    }
    if view.waiting {
        words.push("waiting for review");
    }
    if view.implausible_time {
        words.push("time cannot be right");
    }
    words.join(", ")
}

/// The word for what became of a fact.
#[must_use]
pub const fn standing_word(standing: Standing) -> &'static str {
    match standing {
        Standing::Stands => "stands",
        Standing::Corrected => "corrected",
        Standing::Refuted => "refuted",
        Standing::Reversed => "reversed",
        Standing::Superseded => "superseded",
        Standing::Repeated => "repeated",
    }
}

/// The author in few words: the person, else the device.
#[must_use]
pub fn author(author: &Author) -> String {
    let who = author.person.clone().unwrap_or_else(|| format!("device {}", author.device));
    match &author.organisation {
        Some(organisation) if !author.here => format!("{who}, {organisation}"),
        _ => who,
    }
}

fn statement(statement: &Statement<'_>) -> String {
    match statement {
        Statement::Allergy(what) => allergy(what),
        Statement::NoKnownAllergies => "no known allergies".to_owned(),
        Statement::Refutation => "not so".to_owned(),
        Statement::Observation(what) => observation(what),
        Statement::Condition(what) => condition(what),
        Statement::Immunization(what) => immunization(what),
        Statement::Dispense(what) => dispense(what),
        Statement::Reversal => "the dispense was taken back".to_owned(),
        Statement::StockMovement(what) => movement(what),
        Statement::StockCount(what) => count(what),
        Statement::Note { text } => (*text).to_owned(),
        Statement::Deceased => "died".to_owned(),
        Statement::Resolution { findings } => format!("looked at {} finding(s)", findings.len()),
    }
}

fn allergy(what: &Allergy<'_>) -> String {
    let mut text = what.substance.shown().to_owned();
    match what.criticality {
        Some(Criticality::High) => text.push_str(", high risk"),
        Some(Criticality::Low) => text.push_str(", low risk"),
        Some(Criticality::UnableToAssess) | None => {}
    }
    if !what.reaction.is_empty() {
        text.push_str(&format!(", reaction: {}", what.reaction));
    }
    text.push_str(&qualified(what.verification));
    text
}

fn condition(what: &Condition<'_>) -> String {
    format!("{}, {}{}", what.code.shown(), what.clinical.code(), qualified(what.verification))
}

fn qualified(verification: Verification) -> String {
    match verification {
        Verification::Confirmed => String::new(),
        other => format!(" ({})", other.code()),
    }
}

fn observation(what: &Observation<'_>) -> String {
    let parts = what
        .value
        .iter()
        .map(value)
        .chain(what.components.iter().map(|(code, part)| format!("{} {}", code.shown(), value(part))));
    let earlier = if what.earlier { " (stated for an earlier time)" } else { "" };
    format!("{}: {}{earlier}", what.code.shown(), parts.collect::<Vec<_>>().join(", "))
}

/// A result in words.
#[must_use]
pub fn value(value: &Value<'_>) -> String {
    match value {
        Value::Quantity(amount) => quantity(amount),
        Value::Coded(coded) => coded.shown().to_owned(),
        Value::Text(text) => (*text).to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
    }
}

/// An amount in the unit it was typed in; pounds and Fahrenheit with the metric value beside.
#[must_use]
pub fn quantity(amount: &Quantity<'_>) -> String {
    let unit = match amount.unit {
        "[lb_av]" => "lb",
        "[in_i]" => "in",
        "Cel" => "°C",
        "[degF]" => "°F",
        "mm[Hg]" => "mmHg",
        other => other,
    };
    let text = format!("{} {unit}", amount.number());
    match metric(amount) {
        Some(beside) => format!("{text} ({beside})"),
        None => text.trim_end().to_owned(),
    }
}

/// The metric value of pounds (1 lb = 0.45359237 kg, NIST SP 811 B.8), inches (25.4 mm) and Fahrenheit.
fn metric(amount: &Quantity<'_>) -> Option<String> {
    let micros = i128::from(amount.micros());
    let (thousandths, unit) = match amount.unit {
        "[lb_av]" => (divide(micros * 45_359_237, 100_000_000_000), "kg"),
        "[in_i]" => (divide(micros * 254, 100_000), "cm"),
        // To a tenth of a degree.
        "[degF]" => (divide((micros - 32_000_000) * 5, 900_000) * 100, "°C"),
        _ => return None,
    };
    Some(format!("{} {unit}", micros_to_text(i64::try_from(thousandths * 1_000).ok()?)))
}

/// Division rounded to the nearest, halves away from zero.
const fn divide(number: i128, by: i128) -> i128 {
    (number + if number < 0 { -by / 2 } else { by / 2 }) / by
}

fn immunization(what: &Immunization<'_>) -> String {
    let mut text = what.vaccine.shown().to_owned();
    match what.given {
        Given::Completed => {}
        other => text.push_str(&format!(", {}", other.code())),
    }
    if let Some(dose) = &what.dose {
        text.push_str(&format!(", {}", quantity(dose)));
    }
    text + &lot(what.lot, what.expiry.map(|e| e.to_string()))
}

fn dispense(what: &Dispense<'_>) -> String {
    let mut text = what.product.shown().to_owned();
    if let Some(amount) = &what.quantity {
        text.push_str(&format!(", {}", quantity(amount)));
    }
    if let Some(days) = what.days {
        text.push_str(&format!(" for {days} day{}", if days == 1 { "" } else { "s" }));
    }
    text.push_str(&lot(what.lot, what.expiry.map(|e| e.to_string())));
    match what.receiver {
        Some(Receiver::Patient(patient)) => text.push_str(&format!(", taken by {}", patient.code())),
        Some(Receiver::Person(name)) => text.push_str(&format!(", taken by {name}")),
        None => {}
    }
    if !what.override_reason.is_empty() {
        text.push_str(&format!(", in spite of a warning: {}", what.override_reason));
    }
    text
}

fn movement(what: &StockMovement<'_>) -> String {
    let mut text = format!("{}: {} {}", what.cause.code(), quantity(&what.quantity), what.product.shown());
    text.push_str(&lot(what.lot, what.expiry.map(|e| e.to_string())));
    if !what.from.is_empty() {
        text.push_str(&format!(", from {}", what.from));
    }
    if !what.to.is_empty() {
        text.push_str(&format!(", to {}", what.to));
    }
    text
}

fn count(what: &StockCount<'_>) -> String {
    format!("{} {}{} at {}", quantity(&what.quantity), what.product.shown(), lot(what.lot, None), what.place)
}

fn lot(lot: &str, expiry: Option<String>) -> String {
    let lot = if lot.is_empty() { String::new() } else { format!(", lot {lot}") };
    expiry.map_or_else(|| lot.clone(), |expiry| format!("{lot}, expires {expiry}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pounds_inches_and_fahrenheit_show_the_metric_value_beside() {
        let shown = |number, unit| quantity(&Quantity::parse(number, unit).unwrap());
        assert_eq!(shown("160", "[lb_av]"), "160 lb (72.575 kg)");
        assert_eq!(shown("1", "[lb_av]"), "1 lb (0.454 kg)");
        assert_eq!(shown("1000000", "[lb_av]"), "1000000 lb (453592.37 kg)");
        assert_eq!(shown("98.6", "[degF]"), "98.6 °F (37 °C)");
        assert_eq!(shown("20", "[degF]"), "20 °F (-6.7 °C)");
        assert_eq!(shown("70", "[in_i]"), "70 in (177.8 cm)");
        assert_eq!(shown("72.5", "kg"), "72.5 kg");
        assert_eq!(shown("20", ""), "20");
    }
}

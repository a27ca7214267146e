//! Observations as typed: common words stand for LOINC codes and UCUM units; any other code is allowed.

use daybook_core::record::{Coded, Observation, Quantity, Value};

use super::amount::bad;
use super::coded::coded;
use crate::failure::Failure;

/// URI of LOINC.
const LOINC: &str = "http://loinc.org";

/// LOINC of the pregnancy status.
const PREGNANCY_STATUS: &str = "82810-3";
/// LOINC of the blood pressure panel.
const BLOOD_PRESSURE: &str = "85354-9";

/// A unit as people type it, and its UCUM code.
type Unit = (&'static str, &'static str);

/// A measurement that has a word of its own.
struct Common {
    words: &'static [&'static str],
    code: &'static str,
    display: &'static str,
    /// The units that it can be given in; the first of them if none is typed, where `unit_needed` is false.
    units: &'static [Unit],
    unit_needed: bool,
}

/// LOINC 2.7x: vital signs of FHIR's profile, and height.
const COMMON: [Common; 5] = [
    Common {
        words: &["weight"],
        code: "29463-7",
        display: "Body weight",
        units: &[("kg", "kg"), ("g", "g"), ("lb", "[lb_av]"), ("lbs", "[lb_av]"), ("[lb_av]", "[lb_av]")],
        unit_needed: true,
    },
    Common {
        words: &["height"],
        code: "8302-2",
        display: "Body height",
        units: &[("cm", "cm"), ("m", "m"), ("in", "[in_i]"), ("[in_i]", "[in_i]")],
        unit_needed: true,
    },
    Common {
        words: &["temperature", "temp"],
        code: "8310-5",
        display: "Body temperature",
        units: &[("C", "Cel"), ("°C", "Cel"), ("Cel", "Cel"), ("F", "[degF]"), ("°F", "[degF]"), ("[degF]", "[degF]")],
        unit_needed: true,
    },
    Common {
        words: &["spo2"],
        code: "2708-6",
        display: "Oxygen saturation in Arterial blood",
        units: &[("%", "%")],
        unit_needed: false,
    },
    Common {
        words: &["heart-rate", "pulse"],
        code: "8867-4",
        display: "Heart rate",
        units: &[("/min", "/min"), ("bpm", "/min")],
        unit_needed: false,
    },
];

/// Pregnancy: LOINC answer list LL4129-4, as in the value set of the International Patient Summary.
const PREGNANCY: [(&str, &str, &str); 3] = [
    ("pregnant", "LA15173-0", "Pregnant"),
    ("not-pregnant", "LA26683-5", "Not pregnant"),
    ("unknown", "LA4489-6", "Unknown"),
];

/// What was observed, before the book adds what it stands beside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observed<'a> {
    /// What was observed.
    pub code: Coded<'a>,
    /// The result; none where components hold it.
    pub value: Option<Value<'a>>,
    /// Parts measured together.
    pub components: Vec<(Coded<'a>, Value<'a>)>,
}

impl<'a> Observed<'a> {
    /// The observation; the book fills in what it replaces.
    #[must_use]
    pub fn observation(self) -> Observation<'a> {
        Observation {
            code: self.code,
            value: self.value,
            components: self.components,
            seen: Vec::new(),
            earlier: false,
        }
    }
}

/// Reads `CODE VALUE [UNIT]`.
///
/// # Errors
/// When value or unit do not fit the code.
pub fn observed<'a>(code: &'a str, value: &'a str, unit: Option<&'a str>) -> Result<Observed<'a>, Failure> {
    let (word, value) = (code.trim(), value.trim());
    let lower = word.to_ascii_lowercase();
    match lower.as_str() {
        "pregnancy" => return pregnancy(value, unit),
        "blood-pressure" | "bp" => return blood_pressure(value, unit),
        _ => {}
    }
    if let Some(common) = COMMON.iter().find(|c| c.words.contains(&lower.as_str())) {
        let unit = unit_of(common.units, common.unit_needed, unit)?;
        let amount = Quantity::parse(value, unit).map_err(bad)?;
        return Ok(Observed {
            code: loinc(common.code, common.display),
            value: Some(Value::Quantity(amount)),
            components: Vec::new(),
        });
    }
    Ok(Observed { code: coded(word)?, value: Some(any_value(value, unit)?), components: Vec::new() })
}

/// Reads `VALUE [UNIT]` for a code that stands already.
///
/// # Errors
/// As [`observed`].
pub fn observed_again<'a>(code: Coded<'a>, value: &'a str, unit: Option<&'a str>) -> Result<Observed<'a>, Failure> {
    let word = match code.code {
        _ if code.system != LOINC => None,
        PREGNANCY_STATUS => Some("pregnancy"),
        BLOOD_PRESSURE => Some("bp"),
        other => COMMON.iter().find(|c| c.code == other).and_then(|c| c.words.first().copied()),
    };
    match word {
        Some(word) => observed(word, value, unit).map(|again| Observed { code, ..again }),
        None => Ok(Observed { code, value: Some(any_value(value.trim(), unit)?), components: Vec::new() }),
    }
}

const fn loinc<'a>(code: &'a str, display: &'a str) -> Coded<'a> {
    Coded { system: LOINC, code, display }
}

fn unit_of(units: &[Unit], needed: bool, typed: Option<&str>) -> Result<&'static str, Failure> {
    let words = || units.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    let found = match typed.map(str::trim) {
        None if needed => {
            return Err(Failure::usage("no-unit", "this measurement needs its unit")
                .then(format!("write the unit after the number, one of: {}", words())));
        }
        None => units.first(),
        Some(typed) => units.iter().find(|(word, _)| word.eq_ignore_ascii_case(typed)),
    };
    found.map(|(_, ucum)| *ucum).ok_or_else(|| {
        Failure::usage("bad-unit", "this measurement has no such unit").then(format!("use one of: {}", words()))
    })
}

fn pregnancy<'a>(value: &str, unit: Option<&str>) -> Result<Observed<'a>, Failure> {
    let lower = value.to_ascii_lowercase().replace([' ', '_'], "-");
    let found = PREGNANCY.iter().find(|(word, ..)| *word == lower);
    match (found, unit) {
        (Some((_, code, display)), None) => Ok(Observed {
            code: loinc(PREGNANCY_STATUS, "Pregnancy status"),
            value: Some(Value::Coded(loinc(code, display))),
            components: Vec::new(),
        }),
        _ => Err(Failure::usage("bad-value", "pregnancy is told by a word and without a unit")
            .then("write pregnant, not-pregnant or unknown")),
    }
}

fn blood_pressure<'a>(value: &'a str, unit: Option<&str>) -> Result<Observed<'a>, Failure> {
    let unit = unit_of(&[("mmHg", "mm[Hg]"), ("mm[Hg]", "mm[Hg]")], false, unit)?;
    let Some((systolic, diastolic)) = value.split_once('/') else {
        return Err(
            Failure::usage("bad-value", "a blood pressure is two numbers").then("write 120/80; the unit is mmHg")
        );
    };
    let part = |text: &'a str| Quantity::parse(text.trim(), unit).map(Value::Quantity).map_err(bad);
    Ok(Observed {
        code: loinc(BLOOD_PRESSURE, "Blood pressure"),
        value: None,
        components: vec![
            (loinc("8480-6", "Systolic"), part(systolic)?),
            (loinc("8462-4", "Diastolic"), part(diastolic)?),
        ],
    })
}

/// The result of a code without a word of its own: a number with its unit, `yes` or `no`, a code, or a text.
fn any_value<'a>(value: &'a str, unit: Option<&'a str>) -> Result<Value<'a>, Failure> {
    let numeric = value.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    if unit.is_some() || (numeric && value.parse::<f64>().is_ok()) {
        return Quantity::parse(value, unit.unwrap_or_default().trim()).map(Value::Quantity).map_err(bad);
    }
    match value {
        "yes" => Ok(Value::Bool(true)),
        "no" => Ok(Value::Bool(false)),
        _ if value.contains('|') => coded(value).map(Value::Coded),
        _ => coded(value).map(|text| Value::Text(text.display)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(code: &str, value: &str, unit: Option<&str>) -> String {
        let observed = observed(code, value, unit).unwrap();
        let value = observed.value.iter().map(crate::show::fact::value);
        let parts = observed.components.iter().map(|(c, v)| format!("{} {}", c.code, crate::show::fact::value(v)));
        format!("{} {}", observed.code.code, value.chain(parts).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn common_words_have_their_codes_and_units() {
        for (code, value, unit, text) in [
            ("weight", "72", Some("kg"), "29463-7 72 kg"),
            ("Weight", "160", Some("lb"), "29463-7 160 lb (72.575 kg)"),
            ("temp", "38.5", Some("c"), "8310-5 38.5 °C"),
            ("temperature", "101.3", Some("F"), "8310-5 101.3 °F (38.5 °C)"),
            ("spo2", "97", None, "2708-6 97 %"),
            ("heart-rate", "88", Some("bpm"), "8867-4 88 /min"),
            ("pregnancy", "Not pregnant", None, "82810-3 Not pregnant"),
            ("bp", "120/80", None, "85354-9 8480-6 120 mmHg, 8462-4 80 mmHg"),
            ("loinc|1751-7", "4.2", Some("g/dL"), "1751-7 4.2 g/dL"),
            ("glucose", "5.5", None, " 5.5"),
            ("consciousness", "alert", None, " alert"),
            ("smoker", "yes", None, " yes"),
            ("ward", "urn:ward|3|Ward 3", None, " Ward 3"),
        ] {
            assert_eq!(shown(code, value, unit), text);
        }
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        for (code, value, unit, failure) in [
            ("weight", "72", None, "no-unit"),
            ("weight", "72", Some("stone"), "bad-unit"),
            ("weight", "0", Some("kg"), "bad-quantity"),
            ("weight", "-3", Some("kg"), "bad-quantity"),
            ("weight", "10000000", Some("kg"), "bad-quantity"),
            ("weight", "heavy", Some("kg"), "bad-quantity"),
            ("pregnancy", "maybe", None, "bad-value"),
            ("pregnancy", "pregnant", Some("kg"), "bad-value"),
            ("bp", "120", None, "bad-value"),
            ("bp", "120/", None, "bad-quantity"),
            ("glucose", "five", Some("mmol/L"), "bad-quantity"),
            ("loinc|", "1", None, "bad-code"),
            ("ward", "", None, "empty-text"),
        ] {
            assert_eq!(observed(code, value, unit).unwrap_err().code(), failure, "{code} {value}");
        }
    }
}

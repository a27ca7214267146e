//! Writes the acts of a shift through the facade, as the commands do, and keeps what became of each.

use daybook_core::clock::{EffectiveTime, Precision};
use daybook_core::daybook::{Daybook, Error, FactView, Say, Written};
use daybook_core::record::{
    Allergy, ClinicalStatus, Coded, Dispense, Identifier, Name, Observation, PartialDate, Quantity, Setting, Sex,
    Statement, Value as Measured, Verification, WEIGHT,
};
use serde_json::{Value, json};

use super::team::Device;
use super::workload::{Act, Person, What};
use crate::failure::Failure;
use crate::host::SystemHost;

/// A lot for every product: what is short at a place shows as stock below zero.
const LOT: &str = "D1";
/// Units of a product for each day.
const UNITS_PER_DAY: u64 = 2;

/// What became of an act.
#[derive(Debug)]
pub struct Row {
    /// The act in neutral words, for scripts and for a model that knows no rule of this program.
    pub json: Value,
    /// Number of the device.
    pub device: usize,
    /// Whether it was written; a device that warns leaves a dispense unwritten.
    pub written: bool,
}

/// Writes one act on its device.
///
/// # Errors
/// When the book refuses or cannot be written.
pub fn record(act: &Act, device: &mut Device) -> Result<Row, Failure> {
    let stated = matches!(act.what, What::Dispense { days_ago: Some(_), .. });
    let done = write(act, device.book()?)?;
    let (written, at) = match done {
        Done::Fact(time) => (true, Some(time)),
        Done::Edit => (true, None),
        Done::Warned => (false, None),
    };
    let (kind, what, value, days, place) = match &act.what {
        What::Patient(person) => ("patient", person.card.clone(), String::new(), None, ""),
        What::Receive { product, units, place } => {
            ("receive", (*product).to_owned(), units.to_string(), None, place.as_str())
        }
        What::Dispense { product, days, place, .. } => {
            ("dispense", (*product).to_owned(), units_of(*days).to_string(), Some(*days), place.as_str())
        }
        What::Allergy(substance) => ("allergy", (*substance).to_owned(), String::new(), None, ""),
        What::Weight(kilograms) => ("weight", String::new(), kilograms.clone(), None, ""),
        What::Sex(sex) => ("sex", String::new(), (*sex).to_owned(), None, ""),
        What::Birth(birth) => ("birth", String::new(), birth.clone(), None, ""),
    };
    let json = json!({
        "device": act.device,
        "kind": kind,
        "patient": act.tag,
        "what": what,
        "value": value,
        "days": days,
        "place": place,
        "at": at.map(|time| time.to_fhir()),
        "stated": stated,
        "written": written,
    });
    Ok(Row { json, device: act.device, written })
}

fn units_of(days: u16) -> u64 {
    u64::from(days) * UNITS_PER_DAY
}

/// What a write came to.
enum Done {
    Fact(EffectiveTime),
    Edit,
    Warned,
}

impl From<Written<FactView>> for Done {
    fn from(written: Written<FactView>) -> Self {
        Self::Fact(written.value.effective)
    }
}

fn write(act: &Act, book: &mut Daybook) -> Result<Done, Failure> {
    match &act.what {
        What::Patient(person) => {
            book.add_patient(&settings(person))?;
            Ok(Done::Edit)
        }
        What::Receive { product, units, place } => {
            Ok(book.stock_receive(Coded::text(product), LOT, None, amount(*units)?, place)?.into())
        }
        What::Dispense { product, days, place, days_ago } => {
            let dispense = Dispense {
                product: Coded::text(product),
                quantity: Some(amount(units_of(*days))?),
                lot: LOT,
                expiry: None,
                days: Some(*days),
                receiver: None,
                place,
                heads: Vec::new(),
                override_reason: "",
            };
            let patient = book.resolve_patient(&act.tag)?;
            match book.dispense(patient, &dispense, days_ago.and_then(earlier)) {
                Ok(written) => Ok(written.into()),
                Err(Error::NeedsOverride { .. }) => Ok(Done::Warned),
                Err(error) => Err(error.into()),
            }
        }
        What::Allergy(substance) => say(book, &act.tag, allergy(substance)),
        What::Weight(kilograms) => say(book, &act.tag, weight(kilograms)?),
        What::Sex(sex) => edit(book, &act.tag, &Setting::Sex(Sex::parse(sex))),
        What::Birth(birth) => edit(book, &act.tag, &Setting::Birth(PartialDate::parse(birth))),
    }
}

fn settings(person: &Person) -> Vec<Setting<'_>> {
    let identifier = |system, value| Setting::Identifier(Identifier { system, value }, Some(""));
    let mut settings = vec![
        identifier("tag", &person.tag),
        Setting::Name(Name { family: person.family, given: vec![person.given], text: "" }, Some("")),
        Setting::Birth(PartialDate::parse(&person.birth)),
        Setting::Sex(Sex::parse(person.sex)),
    ];
    if !person.card.is_empty() {
        settings.push(identifier("urn:drill:card", &person.card));
    }
    settings
}

fn edit(book: &mut Daybook, tag: &str, setting: &Setting<'_>) -> Result<Done, Failure> {
    let patient = book.resolve_patient(tag)?;
    book.edit_patient(patient, std::slice::from_ref(setting))?;
    Ok(Done::Edit)
}

fn say(book: &mut Daybook, tag: &str, statement: Statement<'_>) -> Result<Done, Failure> {
    let patient = book.resolve_patient(tag)?;
    let said = Say { statement, effective: None, targets: Vec::new(), reason: "" };
    Ok(book.say(Some(patient), said)?.into())
}

fn allergy(substance: &str) -> Statement<'_> {
    Statement::Allergy(Allergy {
        substance: Coded::text(substance),
        clinical: ClinicalStatus::Active,
        verification: Verification::Confirmed,
        criticality: None,
        category: "medication",
        reaction: "",
    })
}

fn weight(kilograms: &str) -> Result<Statement<'_>, Failure> {
    let value =
        Quantity::parse(kilograms, "kg").map_err(|_| Error::Value { what: "the weight", why: "is no weight" })?;
    Ok(Statement::Observation(Observation {
        code: Coded { system: "http://loinc.org", code: WEIGHT, display: "Body weight" },
        value: Some(Measured::Quantity(value)),
        components: Vec::new(),
        seen: Vec::new(),
        earlier: false,
    }))
}

fn amount(units: u64) -> Result<Quantity<'static>, Failure> {
    Ok(Quantity::new(units, 0, "tablet").map_err(|_| Error::Value { what: "the quantity", why: "is out of bounds" })?)
}

/// Some days ago, as a person states it.
fn earlier(days: i64) -> Option<EffectiveTime> {
    let now = EffectiveTime::now(&mut SystemHost);
    let ms = now.ms.saturating_sub(days.saturating_mul(daybook_core::clock::DAY_MS));
    EffectiveTime::stated(ms, now.offset_minutes, Precision::Millisecond)
}

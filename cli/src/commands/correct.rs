//! `correct`: the same fact said again as it should have been said, or that it is not so. Both stay visible.

use clap::Args;
use daybook_core::clock::EffectiveTime;
use daybook_core::daybook::{Daybook, FactView, Say, Written};
use daybook_core::record::{Coded, Criticality, PartialDate, Quantity, Statement, Value};

use super::allergy::Severity;
use super::condition::Clinical;
use super::note::any_fact_written;
use crate::context::{Answer, Context};
use crate::failure::Failure;
use crate::typed;

/// Correct anything that was said, or say that it is not so
#[derive(Debug, Args)]
#[command(after_help = r#"What is not given stays as it was. Measurements, allergies, conditions,
vaccinations, dispenses, stock and notes each take the options that they have.

Examples:
  daybook correct 7FK2Q-12 --value 74 --unit kg --reason "scale read wrongly"
  daybook correct 7FK2Q-12 --text "Walks without a stick" --reason "looked again"
  daybook correct 7FK2Q-12 --not-so --reason "written into the wrong record""#)]
pub struct Correct {
    /// Entry of what is to be corrected
    entry: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// It is not so at all: takes it back instead of saying it differently
    #[arg(long, conflicts_with_all = ["value", "text", "code", "severity", "status", "quantity", "lot", "expiry", "days", "at"])]
    not_so: bool,
    /// Result of a measurement
    #[arg(long, allow_hyphen_values = true)]
    value: Option<String>,
    /// Its unit
    #[arg(long, requires = "value")]
    unit: Option<String>,
    /// Text of a note; what an allergy is to; a condition, vaccine or product
    #[arg(long)]
    text: Option<String>,
    /// Its code
    #[arg(long, value_name = "SYSTEM|CODE", requires = "text")]
    code: Option<String>,
    /// How dangerous an allergy is
    #[arg(long, value_enum)]
    severity: Option<Severity>,
    /// Whether a condition is active
    #[arg(long, value_enum)]
    status: Option<Clinical>,
    /// Amount dispensed, given, moved or counted, with its unit
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    quantity: Option<String>,
    /// Lot
    #[arg(long)]
    lot: Option<String>,
    /// When the lot expires
    #[arg(long, value_name = "DATE")]
    expiry: Option<String>,
    /// Days that the supply lasts
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    days: Option<String>,
    /// When it was
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// What was typed, read; each is used up by the kind of fact that has it.
#[derive(Default)]
struct Changes<'a> {
    value: Option<(&'a str, Option<&'a str>)>,
    text: Option<&'a str>,
    concept: Option<Coded<'a>>,
    severity: Option<Severity>,
    status: Option<Clinical>,
    amount: Option<Quantity<'a>>,
    lot: Option<&'a str>,
    expiry: Option<PartialDate>,
    days: Option<u16>,
    at: Option<EffectiveTime>,
}

/// Runs it.
///
/// # Errors
/// When an argument cannot be read or does not belong to that kind of fact, or the book refuses.
pub fn run(args: &Correct, context: &mut Context) -> Answer {
    let reason = typed::reason(&args.reason)?;
    let offset = context.offset();
    if args.not_so {
        return Ok(any_fact_written(&context.open()?.refute(&args.entry, reason)?, offset));
    }
    let text = args.text.as_deref();
    let changes = Changes {
        value: args.value.as_deref().map(|value| (value, args.unit.as_deref())),
        text: text.map(typed::text).transpose()?,
        concept: text.map(|t| typed::coded_with(t, args.code.as_deref())).transpose()?,
        severity: args.severity,
        status: args.status,
        amount: args.quantity.as_deref().map(typed::counted).transpose()?,
        lot: args.lot.as_deref().map(typed::optional_text).transpose()?,
        expiry: typed::expiry(args.expiry.as_deref())?,
        days: typed::days(args.days.as_deref())?,
        at: typed::when(args.at.as_deref(), offset)?,
    };
    if changes.is_empty() {
        return Err(Failure::usage("nothing-to-change", "nothing is to be changed")
            .then("give what should have been said, or --not-so"));
    }
    let mut book = context.open()?;
    let old = book.fact(&args.entry)?;
    Ok(any_fact_written(&say_again(&mut book, &old, changes, reason)?, offset))
}

fn say_again<'a>(
    book: &mut Daybook,
    old: &'a FactView,
    mut changes: Changes<'a>,
    reason: &str,
) -> Result<Written<FactView>, Failure> {
    let fact = old.fact().ok_or_else(|| {
        Failure::new("newer-fact", crate::failure::Kind::Refused, "this was written by a newer version of daybook")
            .then("update daybook, then correct it")
    })?;
    let effective = changes.at.take().unwrap_or(fact.effective);
    let mut statement = fact.statement;
    changes.apply(&mut statement)?;
    if !changes.is_empty() {
        return Err(Failure::usage(
            "wrong-option",
            format!("an entry of the kind `{}` has no such part", old.kind.word()),
        )
        .then("`daybook correct --help` tells which option changes what"));
    }
    let say = Say { statement, effective: Some(effective), targets: vec![old.id], reason };
    Ok(book.say(old.patient, say)?)
}

impl<'a> Changes<'a> {
    fn is_empty(&self) -> bool {
        let Self { value, text, concept, severity, status, amount, lot, expiry, days, at } = self;
        value.is_none()
            && text.is_none()
            && concept.is_none()
            && severity.is_none()
            && status.is_none()
            && amount.is_none()
            && lot.is_none()
            && expiry.is_none()
            && days.is_none()
            && at.is_none()
    }

    /// The concept, used up.
    fn concept(&mut self) -> Option<Coded<'a>> {
        self.text = None;
        self.concept.take()
    }

    /// An amount that must be above zero, used up.
    fn above_zero(&mut self) -> Result<Option<Quantity<'a>>, Failure> {
        let amount = self.amount.take();
        if amount.is_some_and(|a| a.micros() == 0) {
            return typed::amount("0").map(Some);
        }
        Ok(amount)
    }

    /// Changes what the statement has, and uses that up.
    fn apply(&mut self, statement: &mut Statement<'a>) -> Result<(), Failure> {
        match statement {
            Statement::Allergy(allergy) => {
                set(&mut allergy.substance, self.concept());
                if let Some(severity) = self.severity.take() {
                    allergy.criticality = Some(Criticality::from(severity));
                }
            }
            Statement::Condition(condition) => {
                set(&mut condition.code, self.concept());
                set(&mut condition.clinical, self.status.take().map(Into::into));
            }
            Statement::Observation(observation) => {
                if let Some((value, unit)) = self.value.take() {
                    let again = same_code(&observation.code, observation.value.as_ref(), value, unit)?;
                    (observation.value, observation.components) = (again.value, again.components);
                }
            }
            Statement::Immunization(immunization) => {
                set(&mut immunization.vaccine, self.concept());
                set_some(&mut immunization.dose, self.above_zero()?);
                set(&mut immunization.lot, self.lot.take());
                set_some(&mut immunization.expiry, self.expiry.take());
            }
            Statement::Dispense(dispense) => {
                set(&mut dispense.product, self.concept());
                set_some(&mut dispense.quantity, self.above_zero()?);
                set(&mut dispense.lot, self.lot.take());
                set_some(&mut dispense.expiry, self.expiry.take());
                set_some(&mut dispense.days, self.days.take());
            }
            Statement::StockMovement(movement) => {
                set(&mut movement.product, self.concept());
                set(&mut movement.quantity, self.above_zero()?);
                set(&mut movement.lot, self.lot.take());
                set_some(&mut movement.expiry, self.expiry.take());
            }
            Statement::StockCount(count) => {
                set(&mut count.product, self.concept());
                set(&mut count.quantity, self.amount.take());
                set(&mut count.lot, self.lot.take());
            }
            Statement::Note { text } => {
                set(text, self.text.take());
                self.concept = None;
            }
            Statement::NoKnownAllergies
            | Statement::Refutation
            | Statement::Reversal
            | Statement::Deceased
            | Statement::Resolution { .. } => {}
        }
        Ok(())
    }
}

/// Reads a result for a code that stands; without a unit the old one stays.
fn same_code<'a>(
    code: &Coded<'a>,
    old: Option<&Value<'a>>,
    value: &'a str,
    unit: Option<&'a str>,
) -> Result<typed::Observed<'a>, Failure> {
    let unit = match (unit, old) {
        (None, Some(Value::Quantity(amount))) if !amount.unit.is_empty() => Some(amount.unit),
        _ => unit,
    };
    typed::observed_again(*code, value, unit)
}

fn set<T>(field: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *field = new;
    }
}

fn set_some<T>(field: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        *field = new;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight() -> Statement<'static> {
        Statement::Observation(typed::observed("weight", "72", Some("kg")).unwrap().observation())
    }

    #[test]
    fn a_measurement_keeps_its_code_and_its_unit() {
        let mut statement = weight();
        let mut changes = Changes { value: Some(("160", Some("lb"))), ..Changes::default() };
        changes.apply(&mut statement).unwrap();
        assert!(changes.is_empty());
        let Statement::Observation(observation) = &statement else { panic!("an observation") };
        assert_eq!(observation.code.code, "29463-7");
        assert_eq!(observation.value, Some(Value::Quantity(Quantity::parse("160", "[lb_av]").unwrap())));
        let mut changes = Changes { value: Some(("161", None)), ..Changes::default() };
        changes.apply(&mut statement).unwrap();
        let Statement::Observation(observation) = &statement else { panic!("an observation") };
        assert_eq!(observation.value, Some(Value::Quantity(Quantity::parse("161", "[lb_av]").unwrap())));
    }

    #[test]
    fn an_option_of_another_kind_is_left_over() {
        let mut changes = Changes { lot: Some("A1"), ..Changes::default() };
        changes.apply(&mut weight()).unwrap();
        assert!(!changes.is_empty());
        let mut note = Statement::Note { text: "old" };
        let mut changes = Changes { text: Some("new"), concept: Some(Coded::text("new")), ..Changes::default() };
        changes.apply(&mut note).unwrap();
        assert!(changes.is_empty() && note == Statement::Note { text: "new" });
    }

    #[test]
    fn a_movement_of_nothing_is_refused_a_count_of_nothing_is_not() {
        let zero = || Changes { amount: Some(typed::counted("0 tablet").unwrap()), ..Changes::default() };
        let mut movement = Statement::StockMovement(daybook_core::record::StockMovement {
            product: Coded::text("x"),
            lot: "",
            expiry: None,
            quantity: typed::amount("5 tablet").unwrap(),
            from: "",
            to: "tent",
            cause: daybook_core::record::Cause::Receive,
        });
        assert_eq!(zero().apply(&mut movement).unwrap_err().code(), "bad-quantity");
        let mut count = Statement::StockCount(daybook_core::record::StockCount {
            product: Coded::text("x"),
            lot: "",
            quantity: typed::counted("5 tablet").unwrap(),
            place: "tent",
            after: Vec::new(),
            seen: Vec::new(),
        });
        zero().apply(&mut count).unwrap();
        let Statement::StockCount(count) = count else { panic!("a count") };
        assert_eq!(count.quantity.number(), "0");
    }
}

//! `dispense`: hands out medication, with the warnings before anything is written; and takes that back.

use clap::{Args, Subcommand};
use daybook_core::daybook::{Daybook, Error};
use daybook_core::record::{Dispense as DispenseFact, Receiver};

use super::note::any_fact_written;
use crate::context::{Answer, Context};
use crate::failure::Failure;
use crate::typed;

/// Hand out medication, or take that back
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = r#"If something speaks against it (the same kind of medication handed out before, an
allergy, an allergy that cannot be checked), it is shown and nothing is written;
with --override and a reason it is written, and the reason with it.

Examples:
  daybook dispense T-1019 "doxycycline hyclate 100 MG Oral Tablet" \
    --code "rxnorm|1650143" --lot A123 --expiry 2027-03 \
    --quantity "20 tablet" --days 10 --place "tent 1"
  daybook dispense T-1019 "doxycycline hyclate 100 MG Oral Tablet" \
    --code "rxnorm|1650143" --lot A123 --quantity "20 tablet" --days 10 \
    --place "tent 1" --to "Ada Okafor" --override "first bottle lost in the river"
  daybook dispense T-1019 "ibuprofen 100 MG/5ML Oral Suspension" \
    --quantity "100 mL" --days 3"#)]
pub struct Dispense {
    /// Takes back.
    #[command(subcommand)]
    taking_back: Option<TakingBack>,
    /// Patient: code, identifier, tag, or the beginning of a code
    #[arg(value_name = "P", required = true)]
    patient: Option<String>,
    /// Product
    #[arg(required = true)]
    product: Option<String>,
    /// Its code; systems may be short: rxnorm, ndc
    #[arg(long, value_name = "SYSTEM|CODE")]
    code: Option<String>,
    /// Lot
    #[arg(long, default_value = "", hide_default_value = true)]
    lot: String,
    /// When the lot expires
    #[arg(long, value_name = "DATE")]
    expiry: Option<String>,
    /// Amount with its unit
    #[arg(long, value_name = "AMOUNT", required = true, allow_hyphen_values = true)]
    quantity: Option<String>,
    /// Days that the supply lasts; without it, one day is taken when looking for duplicates
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    days: Option<String>,
    /// Who took it, if not the patient: another patient by code, identifier or tag, or a name
    #[arg(long, value_name = "P|NAME")]
    to: Option<String>,
    /// Place whose stock it came from
    #[arg(long, default_value = "", hide_default_value = true)]
    place: String,
    /// When, if not now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Hand it out in spite of the warnings
    #[arg(long = "override", value_name = "REASON")]
    override_reason: Option<String>,
}

/// Takes a dispense back.
#[derive(Debug, Subcommand)]
pub enum TakingBack {
    /// Say that a dispense did not take place or was returned; stock goes back
    Reverse(Reverse),
}

/// Say that a dispense did not take place or was returned; stock goes back
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  daybook dispense reverse 7FK2Q-12 --reason \"returned unopened\"")]
pub struct Reverse {
    /// Entry of the dispense
    entry: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Runs it.
///
/// # Errors
/// When an argument cannot be read, a warning was not overridden, or the book refuses.
pub fn run(args: Dispense, context: &mut Context) -> Answer {
    let offset = context.offset();
    if let Some(TakingBack::Reverse(reverse)) = args.taking_back {
        let reason = typed::reason(&reverse.reason)?;
        return Ok(any_fact_written(&context.open()?.reverse_dispense(&reverse.entry, reason)?, offset));
    }
    let (Some(patient), Some(product), Some(quantity)) = (&args.patient, &args.product, &args.quantity) else {
        return Err(Failure::usage("usage", "missing: <P>, <PRODUCT>, --quantity")
            .then("`daybook dispense --help` shows an example"));
    };
    let mut fact = DispenseFact {
        product: typed::coded_with(product, args.code.as_deref())?,
        quantity: Some(typed::amount(quantity)?),
        lot: typed::optional_text(&args.lot)?,
        expiry: typed::expiry(args.expiry.as_deref())?,
        days: typed::days(args.days.as_deref())?,
        receiver: None,
        place: typed::optional_text(&args.place)?,
        heads: Vec::new(),
        override_reason: args.override_reason.as_deref().map_or(Ok(""), typed::reason)?,
    };
    let effective = typed::when(args.at.as_deref(), offset)?;
    let mut book = context.open()?;
    let patient = book.resolve_patient(patient)?;
    fact.receiver = args.to.as_deref().map(|to| receiver(&mut book, to)).transpose()?;
    Ok(any_fact_written(&book.dispense(patient, &fact, effective)?, offset))
}

/// Who took it: a patient of the book if the text is a code, an identifier or a tag that one of them has; else
/// somebody by name. A name alone is never taken for a patient: the mother at the table may be called like one.
///
/// # Errors
/// When several patients answer to it, or a code is mistyped.
pub fn receiver<'a>(book: &mut Daybook, to: &'a str) -> Result<Receiver<'a>, Failure> {
    let name = typed::text(to)?;
    if !names_a_record(name) {
        return Ok(Receiver::Person(name));
    }
    match book.resolve_patient(name) {
        Ok(patient) => Ok(Receiver::Patient(patient)),
        Err(Error::NoSuchPatient) => Ok(Receiver::Person(name)),
        Err(error) => Err(error.into()),
    }
}

/// Whether a text has what codes, identifiers and tags have and names have not.
fn names_a_record(text: &str) -> bool {
    text.contains('|') || text.bytes().any(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_not_taken_for_a_patient() {
        for (text, record) in [
            ("7FK2-Q1X3-C", true),
            ("T-1017", true),
            ("urn:card|A", true),
            ("Ada Okafor", false),
            ("Margareth", false),
            ("王小明", false),
        ] {
            assert_eq!(names_a_record(text), record, "{text}");
        }
    }
}

//! `immunization`: vaccinations.

use clap::{Args, Subcommand};
use daybook_core::record::{Given, Immunization as ImmunizationFact, Statement};

use super::note::say_of;
use crate::context::{Answer, Context};
use crate::typed;

/// Vaccinations
#[derive(Debug, Subcommand)]
pub enum Immunization {
    /// Write down a vaccination
    Add(Add),
}

/// Write down a vaccination
#[derive(Debug, Args)]
#[command(after_help = r#"To change or take it back: `daybook correct ENTRY`.

Example:
  daybook immunization add T-1018 "Td (adult)" --code "cvx|139" --lot U4711 \
    --expiry 2027-03 --dose "0.5 mL" --site "left arm""#)]
pub struct Add {
    /// Patient: code, identifier, tag, or the beginning of a code
    #[arg(value_name = "P")]
    patient: String,
    /// Which vaccine
    vaccine: String,
    /// Its code; systems may be short: cvx
    #[arg(long, value_name = "SYSTEM|CODE")]
    code: Option<String>,
    /// Lot
    #[arg(long, default_value = "", hide_default_value = true)]
    lot: String,
    /// When the lot expires
    #[arg(long, value_name = "DATE")]
    expiry: Option<String>,
    /// Dose with its unit
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    dose: Option<String>,
    /// Where on the body
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    site: String,
    /// It was offered and not given
    #[arg(long)]
    not_done: bool,
    /// When, if not now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// Runs it.
///
/// # Errors
/// When an argument cannot be read, or the book refuses.
pub fn run(args: Immunization, context: &mut Context) -> Answer {
    let Immunization::Add(args) = args;
    let immunization = ImmunizationFact {
        vaccine: typed::coded_with(&args.vaccine, args.code.as_deref())?,
        given: if args.not_done { Given::NotDone } else { Given::Completed },
        dose: args.dose.as_deref().map(typed::amount).transpose()?,
        lot: typed::optional_text(&args.lot)?,
        expiry: typed::expiry(args.expiry.as_deref())?,
        site: typed::optional_text(&args.site)?,
    };
    let effective = typed::when(args.at.as_deref(), context.offset())?;
    say_of(&args.patient, Statement::Immunization(immunization), effective, context)
}

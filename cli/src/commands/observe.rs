//! `observe`: a measurement.

use clap::Args;
use daybook_core::record::Statement;

use super::note::say_of;
use crate::context::{Answer, Context};
use crate::typed;

/// Write down a measurement: weight, temperature, pregnancy, any code
#[derive(Debug, Args)]
#[command(after_help = r#"Words: weight (kg, g, lb), height (cm, m, in), temperature (C, F), spo2 (%),
heart-rate (/min), blood-pressure (120/80), pregnancy (pregnant, not-pregnant,
unknown). Any other CODE is `SYSTEM|CODE` or a text. What is typed is kept in its
unit; pounds, inches and Fahrenheit show the metric value beside.

Examples:
  daybook observe T-1018 weight 72 kg
  daybook observe T-1019 weight 41 lb --at 2026-11-21T18:00
  daybook observe T-1018 blood-pressure 120/80
  daybook observe T-1018 pregnancy not-pregnant
  daybook observe T-1018 "loinc|2339-0|Glucose in blood" 98 mg/dL"#)]
pub struct Observe {
    /// Patient: code, identifier, tag, or the beginning of a code
    #[arg(value_name = "P")]
    patient: String,
    /// What was observed
    code: String,
    /// The result
    #[arg(allow_hyphen_values = true)]
    value: String,
    /// Its unit
    unit: Option<String>,
    /// When, if not now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// Runs it.
///
/// # Errors
/// When an argument cannot be read, or the book refuses.
pub fn run(args: &Observe, context: &mut Context) -> Answer {
    let observed = typed::observed(&args.code, &args.value, args.unit.as_deref())?;
    let effective = typed::when(args.at.as_deref(), context.offset())?;
    say_of(&args.patient, Statement::Observation(observed.observation()), effective, context)
}

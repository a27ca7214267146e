//! `audit`: who read what.

use clap::{Args, ValueEnum};
use daybook_core::daybook::Purpose;
use daybook_core::id::PatientId;
use serde_json::json;

use crate::context::{Answer, Context};
use crate::output::Reply;
use crate::show::{json, lists};

/// Who read a patient's record, when and for what; without P who read anything
#[derive(Debug, Args)]
#[command(after_help = "\
Only administrators and auditors are shown it. Exports of all records are among the readings
of each patient; lists (searches, findings, the log) are counted and do not say whom they showed.

Examples:
  daybook audit T-1018
  daybook audit --limit 20")]
pub struct Audit {
    /// Patient: code, identifier, tag, or the beginning of a code
    #[arg(value_name = "P")]
    patient: Option<String>,
    /// Most readings to list
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
}

/// What records are read for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum For {
    /// To treat the patient.
    Treatment,
    /// For public health.
    PublicHealth,
    /// To run the site.
    Operations,
    /// For relief: to find relatives, to plan.
    Disaster,
    /// For research.
    Research,
    /// In an emergency in which nobody could be asked.
    BreakGlass,
    /// Because the patient asked.
    PatientRequest,
    /// Because the family asked.
    FamilyRequest,
}

impl From<For> for Purpose {
    fn from(purpose: For) -> Self {
        match purpose {
            For::Treatment => Self::Treatment,
            For::PublicHealth => Self::PublicHealth,
            For::Operations => Self::Operations,
            For::Disaster => Self::Disaster,
            For::Research => Self::Research,
            For::BreakGlass => Self::BreakGlass,
            For::PatientRequest => Self::PatientRequest,
            For::FamilyRequest => Self::FamilyRequest,
        }
    }
}

/// Runs it.
///
/// # Errors
/// When this device may not see it, or the patient is not known.
pub fn run(args: &Audit, context: &mut Context) -> Answer {
    let mut book = context.open()?;
    let patient = args.patient.as_deref().map(|p| book.resolve_patient(p)).transpose()?;
    let readings = book.readings(patient, args.limit)?;
    let object = json!({
        "patient": patient.as_ref().map(PatientId::code),
        "readings": json::list(&readings, |reading| json::reading(reading, context.offset())),
    });
    let text = if readings.is_empty() { "nobody\n".to_owned() } else { lists::readings(&readings, context.offset()) };
    Ok(Reply::new(object, text))
}

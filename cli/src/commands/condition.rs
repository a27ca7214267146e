//! `condition`: diagnoses and problems.

use clap::{Args, Subcommand, ValueEnum};
use daybook_core::record::{ClinicalStatus, Condition as ConditionFact, Statement, Verification};

use super::note::say_of;
use crate::context::{Answer, Context};
use crate::typed;

/// Diagnoses and problems
#[derive(Debug, Subcommand)]
pub enum Condition {
    /// Write down a condition
    Add(Add),
}

/// Write down a condition
#[derive(Debug, Args)]
#[command(after_help = "\
To change or take it back: `daybook correct ENTRY`.

Example:
  daybook condition add T-1018 asthma --code \"icd10cm|J45.909\" --onset 2009")]
pub struct Add {
    /// Patient: code, identifier, tag, or the beginning of a code
    #[arg(value_name = "P")]
    patient: String,
    /// What it is
    text: String,
    /// Its code; systems may be short: icd10cm, icd10, snomed
    #[arg(long, value_name = "SYSTEM|CODE")]
    code: Option<String>,
    /// Whether it is active
    #[arg(long, value_enum, default_value_t = Clinical::Active)]
    status: Clinical,
    /// Told, but not confirmed
    #[arg(long)]
    unconfirmed: bool,
    /// Since when, if not now
    #[arg(long, value_name = "TIME")]
    onset: Option<String>,
}

/// Whether a condition is active.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Clinical {
    /// Active.
    Active,
    /// Not active.
    Inactive,
    /// Over.
    Resolved,
}

impl From<Clinical> for ClinicalStatus {
    fn from(status: Clinical) -> Self {
        match status {
            Clinical::Active => Self::Active,
            Clinical::Inactive => Self::Inactive,
            Clinical::Resolved => Self::Resolved,
        }
    }
}

/// Runs it.
///
/// # Errors
/// When an argument cannot be read, or the book refuses.
pub fn run(args: Condition, context: &mut Context) -> Answer {
    let Condition::Add(args) = args;
    let condition = ConditionFact {
        code: typed::coded_with(&args.text, args.code.as_deref())?,
        clinical: args.status.into(),
        verification: if args.unconfirmed { Verification::Unconfirmed } else { Verification::Confirmed },
    };
    let effective = typed::when(args.onset.as_deref(), context.offset())?;
    say_of(&args.patient, Statement::Condition(condition), effective, context)
}

//! `allergy`: to what, that none are known, and that one was wrong.

use clap::{Args, Subcommand, ValueEnum};
use daybook_core::record::{Allergy as AllergyFact, ClinicalStatus, Criticality, Statement, Verification};

use super::note::{any_fact_written, say_of};
use crate::context::{Answer, Context};
use crate::typed;

/// Allergies, and that none are known
#[derive(Debug, Subcommand)]
pub enum Allergy {
    /// Write down an allergy
    Add(Add),
    /// Write down that no allergies are known
    None(NoneKnown),
    /// Say that an allergy is not so; both stay visible
    Refute(Refute),
}

/// Write down an allergy
#[derive(Debug, Args)]
#[command(after_help = r#"Examples:
  daybook allergy add T-1018 "bee stings" --severity high --reaction "face swells"
  daybook allergy add T-1018 amoxicillin --code "rxnorm|723" --unconfirmed"#)]
pub struct Add {
    /// Patient: code, identifier, tag, or the beginning of a code
    #[arg(value_name = "P")]
    patient: String,
    /// To what
    substance: String,
    /// Its code; systems may be short: rxnorm, unii, snomed
    #[arg(long, value_name = "SYSTEM|CODE")]
    code: Option<String>,
    /// How dangerous it is
    #[arg(long, value_enum)]
    severity: Option<Severity>,
    /// What happens on contact
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reaction: String,
    /// food, medication, environment or biologic
    #[arg(long, value_enum)]
    category: Option<Category>,
    /// Told, but not confirmed
    #[arg(long)]
    unconfirmed: bool,
}

/// How dangerous an allergy is.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Severity {
    /// Low.
    Low,
    /// High.
    High,
    /// Cannot be told.
    UnableToAssess,
}

impl From<Severity> for Criticality {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Low => Self::Low,
            Severity::High => Self::High,
            Severity::UnableToAssess => Self::UnableToAssess,
        }
    }
}

/// Of what kind the substance is.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Category {
    /// Food.
    Food,
    /// Medication.
    Medication,
    /// Environment.
    Environment,
    /// Biologic.
    Biologic,
}

impl Category {
    /// FHIR's code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Food => "food",
            Self::Medication => "medication",
            Self::Environment => "environment",
            Self::Biologic => "biologic",
        }
    }
}

/// Write down that no allergies are known
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  daybook allergy none T-1019")]
pub struct NoneKnown {
    /// Patient: code, identifier, tag, or the beginning of a code
    #[arg(value_name = "P")]
    patient: String,
    /// When it was said, if not now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// Say that an allergy is not so; both stay visible
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  daybook allergy refute 7FK2Q-12 --reason \"tested, tolerated\"")]
pub struct Refute {
    /// Entry of the allergy
    entry: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Runs it.
///
/// # Errors
/// When an argument cannot be read, or the book refuses.
pub fn run(args: Allergy, context: &mut Context) -> Answer {
    match args {
        Allergy::Add(args) => {
            let allergy = AllergyFact {
                substance: typed::coded_with(&args.substance, args.code.as_deref())?,
                clinical: ClinicalStatus::Active,
                verification: if args.unconfirmed { Verification::Unconfirmed } else { Verification::Confirmed },
                criticality: args.severity.map(Criticality::from),
                category: args.category.map_or("", Category::code),
                reaction: typed::optional_text(&args.reaction)?,
            };
            say_of(&args.patient, Statement::Allergy(allergy), None, context)
        }
        Allergy::None(args) => {
            let effective = typed::when(args.at.as_deref(), context.offset())?;
            say_of(&args.patient, Statement::NoKnownAllergies, effective, context)
        }
        Allergy::Refute(args) => {
            let reason = typed::reason(&args.reason)?;
            Ok(any_fact_written(&context.open()?.refute(&args.entry, reason)?, context.offset()))
        }
    }
}

//! `log`: what was written.

use clap::Args;
use serde_json::json;

use super::audit::For;
use crate::context::{Answer, Context};
use crate::output::Reply;
use crate::show::{json, lists};

/// What was written, newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  daybook log\n  daybook log T-1018 --limit 5 --purpose operations")]
pub struct Log {
    /// Only of this patient
    #[arg(value_name = "P")]
    patient: Option<String>,
    /// Most entries to list
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: usize,
    /// What you read the patient's entries for
    #[arg(long, value_enum, default_value_t = For::Treatment)]
    purpose: For,
}

/// Runs it.
///
/// # Errors
/// When the book cannot be read or the patient is not known.
pub fn run(args: &Log, context: &mut Context) -> Answer {
    let mut book = context.open()?;
    let patient = args.patient.as_deref().map(|p| book.resolve_patient(p)).transpose()?;
    let lines = book.log(patient.map(|patient| (patient, args.purpose.into())), args.limit)?;
    let object = json!({"lines": json::list(&lines, |line| json::log_line(line, context.offset()))});
    Ok(Reply::new(object, lists::log(&lines, context.offset())))
}

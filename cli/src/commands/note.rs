//! `note`: free text, and what every command says that wrote a fact.

use clap::Args;
use daybook_core::daybook::{FactView, Say, Written};
use daybook_core::id::PatientId;
use daybook_core::record::Statement;
use serde_json::json;

use crate::context::{Answer, Context};
use crate::output::Reply;
use crate::show::{fact, json, lists};
use crate::typed;

/// Write a note
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  daybook note T-1018 \"Walks with a stick; hearing aid left at home\"")]
pub struct Note {
    /// Patient: code, identifier, tag, or the beginning of a code
    #[arg(value_name = "P")]
    patient: String,
    /// The text
    text: String,
    /// When it was so, if not now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// Runs it.
///
/// # Errors
/// When the text is empty or the book refuses.
pub fn run(args: &Note, context: &mut Context) -> Answer {
    let text = typed::text(&args.text)?;
    let effective = typed::when(args.at.as_deref(), context.offset())?;
    say_of(&args.patient, Statement::Note { text }, effective, context)
}

/// Says something new of a patient.
///
/// # Errors
/// When the patient is not known or the book refuses.
pub fn say_of(
    patient: &str,
    statement: Statement<'_>,
    effective: Option<daybook_core::clock::EffectiveTime>,
    context: &mut Context,
) -> Answer {
    let mut book = context.open()?;
    let patient = book.resolve_patient(patient)?;
    let say = Say { statement, effective, targets: Vec::new(), reason: "" };
    Ok(fact_written(patient, &book.say(Some(patient), say)?, context.offset()))
}

/// Says which fact was written of whom.
#[must_use]
pub fn fact_written(patient: PatientId, written: &Written<FactView>, offset: i16) -> Reply {
    let code = patient.code();
    let what = format!("{code}: {}", fact::kind_and_said(&written.value));
    lists::written(written, &what, json!({"patient": code, "fact": json::fact(&written.value, offset)}))
}

/// Says which fact was written, of a patient or of stock.
#[must_use]
pub fn any_fact_written(written: &Written<FactView>, offset: i16) -> Reply {
    if let Some(patient) = written.value.patient {
        return fact_written(patient, written, offset);
    }
    let what = fact::kind_and_said(&written.value);
    let object = json!({"patient": null, "fact": json::fact(&written.value, offset)});
    lists::written(written, &what, object)
}

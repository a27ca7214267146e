//! `init`: begins an incident.

use clap::Args;
use daybook_core::daybook::{Daybook, NewIncident};
use serde_json::json;

use crate::context::{Answer, Context};
use crate::failure::Failure;
use crate::host::SystemHost;
use crate::output::Reply;
use crate::passphrase;
use crate::show::text::safe;

/// Begin an incident: make this computer's book and the recovery seed
#[derive(Debug, Args)]
#[command(after_help = r#"Examples:
  daybook init --incident "Valley flood 2026" --organisation "County Health" \
    --person "R. Alvarez"
  daybook --book drill init --incident "Spring drill" --exercise \
    --organisation "County Health" --person "R. Alvarez""#)]
pub struct Init {
    /// Name of the incident
    #[arg(long, value_name = "NAME")]
    incident: String,
    /// Name of your organisation
    #[arg(long, value_name = "NAME")]
    organisation: String,
    /// Your name
    #[arg(long, value_name = "NAME")]
    person: String,
    /// Mark the incident as an exercise, for ever
    #[arg(long)]
    exercise: bool,
}

/// Runs it.
///
/// # Errors
/// When a name is empty, no passphrase can be had, or the book cannot be made.
pub fn run(args: Init, context: &mut Context) -> Answer {
    let new = NewIncident {
        incident: args.incident,
        organisation: args.organisation,
        person: args.person,
        exercise: args.exercise,
    };
    if [&new.incident, &new.organisation, &new.person].iter().any(|name| name.trim().is_empty()) {
        return Err(
            Failure::usage("empty-name", "a name is empty").then("name the incident, your organisation and yourself")
        );
    }
    let passphrase = passphrase::chosen(context.passphrase_file(), passphrase::ENVIRONMENT)?;
    let (mut book, seed) = Daybook::create(context.book(), &passphrase, &new, SystemHost::boxed())?;
    let status = book.status()?;
    context.mark(&status.incident, status.exercise);
    let printed = seed.print();
    let seed = String::from_utf8_lossy(printed.expose()).into_owned();
    let text = format!(
        "{} begins. The book lies in {}.\n\n\
         RECOVERY SEED: write it on paper, keep it away from this computer. It is shown only now.\n\n  {seed}\n\n\
         With it, and only with it, the incident can be taken over when all administrators' devices are lost.",
        safe(&status.incident),
        safe(&context.book().to_string_lossy()),
    );
    let object = json!({
        "incident": status.incident,
        "incident_id": status.incident_id,
        "device": status.here.device.to_hex(),
        "book": context.book().to_string_lossy(),
        "recovery_seed": seed,
    });
    Ok(Reply::new(object, text))
}

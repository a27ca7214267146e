//! `enrol adopt`: a further grant for a member whom another administrator admitted.

use clap::Args;
use clap::builder::PossibleValuesParser;
use daybook_core::daybook::{Bars, Terms};
use daybook_core::roster::Role;
use serde_json::json;

use crate::context::{Answer, Context};
use crate::failure::Failure;
use crate::output::Reply;
use crate::show::text::safe;
use crate::show::{fact, json};
use crate::typed;

/// Grant a role to a member whom another administrator admitted, so that he stays when that ends
#[derive(Debug, Args)]
#[command(after_help = "\
No code is needed. The device goes on as it is and hears of it when it next syncs; when what it holds is
ended, it goes on under this.

Example:
  daybook enrol adopt \"Noor Haddad\" --role clinician")]
pub struct Adopt {
    /// Name of a person, or the beginning of a device id, as `daybook members` shows them
    #[arg(value_name = "DEVICE|PERSON")]
    who: String,
    /// What the member may do
    #[arg(long, value_name = "ROLE", value_parser = PossibleValuesParser::new(Role::ALL.map(Role::word)))]
    role: String,
    /// The member's organisation from now on; without it yours
    #[arg(long, value_name = "NAME")]
    organisation: Option<String>,
    /// Keep what was written before from the member
    #[arg(long)]
    no_history: bool,
    /// The site where the member works: reads and writes clinical and supply there alone
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// Lift the bars against the device: you know who holds it
    #[arg(long)]
    lift: bool,
    /// End of the shift
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// Runs it.
///
/// # Errors
/// When nobody is found, the device holds nothing or was admitted by this one, or this device may not grant.
pub fn run(args: &Adopt, context: &mut Context) -> Answer {
    let until_ms = typed::when(args.until.as_deref(), context.offset())?.map(|time| time.ms);
    let role = Role::parse(&args.role).ok_or_else(|| Failure::usage("usage", "there is no such role"))?;
    let terms = Terms {
        role,
        organisation: args.organisation.clone(),
        history: !args.no_history,
        until_ms,
        site: args.site.clone(),
        addresses: Vec::new(),
    };
    let bars = if args.lift { Bars::Lift } else { Bars::Stand };
    let adopted = context.open()?.adopt(&args.who, &terms, bars)?;
    let object = json!({
        "devices": json::list(&adopted.devices, json::author),
        "role": role.word(),
        "entries": json::list(&adopted.entries, |code| json!(code.0)),
    });
    let line =
        |who: &daybook_core::daybook::Author| format!("{} is {} here too\n", safe(&fact::author(who)), role.word());
    let text: String = adopted.devices.iter().map(line).collect();
    Ok(Reply::new(object, text + "sync, so that the member and others hear of it\n"))
}

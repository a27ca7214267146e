//! `compartment`: key spaces, one a site on demand.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use daybook_core::roster::CompartmentKind;
use serde_json::json;

use crate::context::{Answer, Context};
use crate::failure::Failure;
use crate::output::Reply;
use crate::show::text::safe;
use crate::show::{json, members};

/// Compartments: records of a site that only some devices can read
#[derive(Debug, Subcommand)]
pub enum Compartment {
    /// Make a compartment, such as one for a site
    Add(Add),
    /// List the compartments
    List(List),
}

/// Make a compartment, such as one for a site
#[derive(Debug, Args)]
#[command(after_help = "\
Who works at one site is admitted with `daybook enrol grant --site NAME` and reads nothing of the others. Make one of
kind clinical and one of kind supply with the same name.

Example:
  daybook compartment add clinical \"Riverside school\"")]
pub struct Add {
    /// What it is for
    #[arg(value_name = "KIND", value_parser = PossibleValuesParser::new(KINDS.map(CompartmentKind::word)))]
    kind: String,
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
}

/// List the compartments
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  daybook compartment list")]
pub struct List {}

/// Kinds that are made on demand.
const KINDS: [CompartmentKind; 4] =
    [CompartmentKind::Clinical, CompartmentKind::Supply, CompartmentKind::Directory, CompartmentKind::Audit];

/// Runs it.
///
/// # Errors
/// When the name is taken or empty, or this device may make none.
pub fn run(compartment: Compartment, context: &mut Context) -> Answer {
    match compartment {
        Compartment::Add(args) => add(&args, context),
        Compartment::List(List {}) => list(context),
    }
}

fn add(args: &Add, context: &mut Context) -> Answer {
    let kind = KINDS.into_iter().find(|kind| kind.word() == args.kind);
    let kind = kind.ok_or_else(|| Failure::usage("usage", "there is no such kind"))?;
    if args.name.trim().is_empty() {
        return Err(Failure::usage("empty-name", "a name is empty").then("name the site"));
    }
    let (site, entries) = context.open()?.add_compartment(kind, &args.name)?;
    let object = json!({"compartment": members::site(&site), "entries": json::entries(&entries)});
    Ok(Reply::new(object, format!("{} ({}) is there now\n", safe(args.name.trim()), kind.word())))
}

fn list(context: &mut Context) -> Answer {
    let all = context.open()?.compartments()?;
    Ok(Reply::new(json!({"compartments": json::list(&all, members::site)}), members::sites(&all)))
}

//! `exposure`: what a lost device could read, and from which entry on it is blind.

use clap::Args;
use daybook_core::daybook::{Blindness, ExposedCompartment, Exposure as Report};
use daybook_core::id::PatientId;
use serde_json::{Value, json};

use crate::context::{Answer, Context};
use crate::output::Reply;
use crate::show::text::safe;
use crate::show::{fact, holdings, json};

/// What a person's devices or one device could read, and from which entry on they are blind
#[derive(Debug, Args)]
#[command(after_help = "\
It tells what the device could have been given, not what it was: more rather than less. Revoke or bar it first.
It goes blind with the next entry that somebody writes who has heard of that, or at once with --rotate.

Examples:
  daybook exposure \"Ebba Lindqvist\"
  daybook exposure \"Ebba Lindqvist\" --rotate")]
pub struct Exposure {
    /// Name of a person, or the beginning of a device id, as `daybook members` shows them
    #[arg(value_name = "DEVICE|PERSON")]
    who: String,
    /// Begin new keys now wherever the next writer would have to
    #[arg(long)]
    rotate: bool,
}

/// Runs it.
///
/// # Errors
/// When nobody is found, or this device may begin no keys anywhere.
pub fn run(args: &Exposure, context: &mut Context) -> Answer {
    let mut book = context.open()?;
    let rotated = if args.rotate { book.rotate()? } else { Vec::new() };
    let reports = book.exposure_of(&args.who)?;
    let object = json!({
        "devices": json::list(&reports, |report| report_json(report, context.offset())),
        "rotated": rotated,
    });
    Ok(Reply::new(object, text(&reports, &rotated, context.offset())))
}

fn report_json(report: &Report, offset: i16) -> Value {
    json!({
        "who": json::author(&report.who),
        "patients": report.patients.iter().map(PatientId::code).collect::<Vec<_>>(),
        "compartments": json::list(&report.compartments, |one| compartment_json(one, offset)),
    })
}

fn compartment_json(one: &ExposedCompartment, offset: i16) -> Value {
    let (blind, entry) = match &one.blind {
        Blindness::MayRead => ("reads-on", None),
        Blindness::NotYet => ("not-yet", None),
        Blindness::From { entry, .. } => ("from", Some(entry.0.as_str())),
    };
    json!({
        "compartment": one.kind,
        "since": one.since.map(|hlc| holdings::at(hlc.ms(), offset)),
        "history": one.history,
        "entries": one.entries,
        "closed": one.closed,
        "unread_here": one.unread_here,
        "blind": blind,
        "epoch": entry,
        "blind_from": json::list(&one.blind_from, |code| json!(code.0)),
    })
}

fn text(reports: &[Report], rotated: &[&str], offset: i16) -> String {
    let mut text = String::new();
    for report in reports {
        text.push_str(&format!("{} ({})\n", safe(&fact::author(&report.who)), report.who.device));
        for one in &report.compartments {
            text.push_str(&line(one, offset));
        }
        text.push_str(&match (report.compartments.is_empty(), report.patients.len()) {
            (true, _) => "  could read nothing\n".to_owned(),
            (false, 0) => "  no patients are in what it could read\n".to_owned(),
            (false, count) => format!("  {count} patients are in what it could read; --json lists their codes\n"),
        });
    }
    if !rotated.is_empty() {
        text.push_str(&format!("new keys begin here for: {}\n", rotated.join(", ")));
    }
    text
}

fn line(one: &ExposedCompartment, offset: i16) -> String {
    let since = match (one.history, one.since) {
        (true, _) | (false, None) => "all that was written".to_owned(),
        (false, Some(hlc)) => format!("what was written since {}", holdings::minute(hlc.ms(), offset)),
    };
    let blind = match &one.blind {
        Blindness::MayRead => "and reads on: revoke or bar it".to_owned(),
        Blindness::NotYet => "not blind yet: nobody has written since; use --rotate".to_owned(),
        Blindness::From { entry, author, hlc } => format!(
            "blind from {} on, keys that {} began on {}",
            entry.0,
            safe(&fact::author(author)),
            holdings::minute(hlc.ms(), offset)
        ),
    };
    format!("  {:<10} {since}, {} entries here; {blind}\n", one.kind, one.entries)
}

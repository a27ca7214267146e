//! `sync`: syncs once with another device of the incident.

use std::io::Write;

use clap::Args;
use daybook_core::net::{self, Agreement, Dial, Former, NetLimits, Notice, Report};
use daybook_core::sync::{Reason, SessionRule};

use crate::commands::serve;
use crate::context::{Answer, Context};
use crate::failure::{Failure, Kept, Kind};
use crate::output::Reply;
use crate::show::meeting;
use crate::show::text::safe;

/// Sync once with another device of the incident
#[derive(Debug, Args)]
#[command(after_help = "\
Both books then hold the same. What came stays if the connection is cut, and the next sync goes on from there.
Without HOST it calls where a device answered before, and where the enrolment said that one answers.
Through SSH:  daybook sync --through \"ssh shelter daybook sync --stdio\"

Example:
  daybook --book tablet sync 10.0.0.7:7373")]
pub struct Sync {
    /// The other computer, on which `daybook serve` runs; port 7373 if none is given
    #[arg(value_name = "HOST[:PORT]")]
    host: Option<String>,
    /// Answer whoever calls through standard input and output
    #[arg(long, conflicts_with_all = ["host", "through"])]
    stdio: bool,
    /// Run a command and call through its standard input and output
    #[arg(long, value_name = "COMMAND", conflicts_with = "host")]
    through: Option<String>,
    /// Stay connected and exchange what is written, until Ctrl-C
    #[arg(long, conflicts_with = "stdio")]
    stay: bool,
}

/// Runs it.
///
/// # Errors
/// When nobody answers, the other side is no member, or the connection was cut.
pub fn run(args: &Sync, context: &mut Context) -> Answer {
    let mut book = context.open()?;
    let known = book.addresses()?;
    let whom = match (&args.host, &args.through) {
        (Some(host), _) => Dial::Host(host),
        (None, Some(command)) => Dial::Command(command),
        (None, None) if args.stdio => Dial::Stdio,
        (None, None) if known.is_empty() => return Err(nobody_known()),
        (None, None) => Dial::FirstOf(&known),
    };
    // Standard output carries the session itself with --stdio.
    let mut progress = (!args.stdio && !args.stay).then(|| context.progress("entries"));
    let json = context.output().json;
    let stop = args.stay.then(|| Box::pin(net::asked_to_stop()) as net::Stop);
    let (mut total, mut moved) = (None, 0);
    let report = net::dial(book, whom, NetLimits::default(), stop, &mut |notice| {
        if args.stay || matches!(notice, Notice::Calling { .. } | Notice::NoAnswer { .. }) {
            serve::tell(&notice, json);
        }
        match notice {
            Notice::Totals { to_send, to_receive, .. } => total = Some(moved + to_send + to_receive),
            Notice::Progress { sent, received, .. } => moved = sent + received,
            _ => return,
        }
        if let Some(progress) = &mut progress {
            progress.at(moved, total);
        }
    });
    if let Some(progress) = progress {
        progress.end();
    }
    let at = args.host.clone().unwrap_or_else(|| if known.is_empty() { "-".to_owned() } else { known.join(", ") });
    let report = report.map_err(|error| serve::failure(error, &at))?;
    let answer = answer(&report);
    if args.stdio { on_stderr(answer, context) } else { answer }
}

/// No address was given, and none is known.
fn nobody_known() -> Failure {
    Failure::usage("no-address", "no address was given, and this book knows none")
        .then("name the other computer: daybook sync HOST, where `daybook serve` runs on HOST")
}

/// The answer where standard output belongs to the session.
fn on_stderr(answer: Answer, context: &Context) -> Answer {
    let shown = match answer {
        Ok(reply) => reply,
        Err(mut failure) => {
            let _ = failure.take_shown();
            return Err(failure);
        }
    };
    // A stderr that cannot be written changes nothing.
    let _ = std::io::stderr().lock().write_all(context.output().render(&shown).as_bytes());
    Ok(Reply::default())
}

fn answer(report: &Report) -> Answer {
    let with = meeting::name(report.who.as_ref());
    let mut text = format!("{}\n", meeting::moved(report));
    if report.own_entries_returned {
        text.push_str(meeting::RETURNED);
    }
    for (log, code, by_peer) in &report.declined {
        let who = if *by_peer { "the other side" } else { "this side" };
        text.push_str(&format!("{who} left out log {log}: {}\n", safe(code)));
    }
    let ended_well = matches!(report.reason, Reason::Closed | Reason::ClosedByPeer);
    let text = match report.agreement {
        Agreement::HandedOver if ended_well && report.former == Former::There => {
            let text =
                format!("{with} is no member any more; what was written there was taken, and waits for review: {text}");
            return Ok(Reply::new(meeting::report(report), text));
        }
        Agreement::HandedOver => format!("handed over to {with}: {text}"),
        Agreement::InSync if ended_well => {
            let text = format!("in sync with {with}: {text}");
            return Ok(Reply::new(meeting::report(report), text));
        }
        Agreement::InSync => format!("was in sync with {with}: {text}"),
        Agreement::Differs => format!("not all could be synced with {with}: {text}"),
        // Nobody was met: there is nothing to report but why.
        Agreement::Open if report.who.is_none() => String::new(),
        Agreement::Open => format!("with {with}: {text}"),
    };
    let reply = Reply::new(meeting::report(report), text);
    Err(failure(report, ended_well).showing(reply))
}

/// This device was ended, or both were, each by what the other knows.
fn no_member(former: Former) -> Failure {
    let (message, next) = match former {
        Former::Both => (
            "each of the two devices was ended by what the other knows; neither took anything",
            "sync with another device of the incident",
        ),
        Former::Nobody | Former::Here | Former::There => (
            "this device is no member any more: what was written on it was handed over and waits for review",
            "ask an administrator to endorse it, or to admit this device again; `daybook status` shows what waits",
        ),
    };
    Failure::new("former", Kind::Part, message).then(next)
}

/// What came in between, what is safe, and what to do next.
fn failure(report: &Report, ended_well: bool) -> Failure {
    let saved = match (report.received, report.agreement) {
        (_, Agreement::InSync | Agreement::HandedOver) => Kept::Everything,
        (0, _) => Kept::Nothing,
        _ => Kept::Part,
    };
    let known = report.who.is_some();
    let code = report.reason.code().to_owned();
    let failure = match &report.reason {
        Reason::Closed | Reason::ClosedByPeer if report.agreement == Agreement::HandedOver => no_member(report.former),
        Reason::Closed | Reason::ClosedByPeer if ended_well && known => {
            Failure::new("done-in-part", Kind::Part, "the two books differ in what neither could take from the other")
                .then("sync both with an administrator's device; the codes are explained in docs/rules.md")
        }
        Reason::Rule(SessionRule::Hello) => Failure::new(code, Kind::Denied, "the other side is not of this incident")
            .then("check the address, and that both devices were enrolled in the same incident"),
        Reason::Rule(SessionRule::Barred) => Failure::new(code, Kind::Denied, "the other device is barred")
            .then("ask an administrator; nothing was given to it"),
        Reason::Cut | Reason::Closed | Reason::ClosedByPeer if !known => {
            Failure::new("hung-up", Kind::Environment, "the other side hung up before it said who it is")
                .then("check the address and port, and that both devices were enrolled in the same incident")
        }
        Reason::Rule(_) if !known => Failure::new(
            "not-a-daybook",
            Kind::Environment,
            "what answers at this address does not speak as a Daybook does",
        )
        .then("check the address and port, and that both devices were enrolled in the same incident"),
        Reason::Cut | Reason::Closed | Reason::ClosedByPeer | Reason::Rule(SessionRule::Slow) => {
            Failure::new("cut", Kind::Environment, "the connection was cut")
                .then("sync again; it goes on where it stopped, and what came is safe")
        }
        Reason::EndedByPeer(code) if code == "S-006" => {
            Failure::new(code.clone(), Kind::Denied, "the other side says that this device is barred")
                .then("ask an administrator of the incident")
        }
        Reason::EndedByPeer(code) if code == "S-014" => {
            Failure::new(code.clone(), Kind::Denied, "the shift of this device is over; what was written is still here")
                .then("ask an administrator for `daybook enrol extend`")
        }
        Reason::Book(trouble) => Failure::new("book", Kind::Environment, "the own book could not be read or written")
            .because(trouble.clone())
            .then("check the disk with `daybook status`, then sync again"),
        Reason::Bug(_) => Failure::new("bug", Kind::Bug, "something unexpected happened inside the program")
            .then("please report this, with the command and without patient data"),
        reason => Failure::new(code, Kind::Refused, safe(&reason.to_string()))
            .then("sync with another device; the codes are explained in docs/rules.md"),
    };
    failure.saved(saved)
}

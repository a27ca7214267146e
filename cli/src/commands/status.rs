//! `status`: what this book holds.

use clap::Args;
use daybook_core::daybook::{Awaited, Elsewhere, KeyLack, PeerSeen, Shift, Status as BookStatus, Strangers, WhyNoKey};
use serde_json::{Value, json};

use crate::context::{Answer, Context};
use crate::output::Reply;
use crate::show::meeting::bytes;
use crate::show::text::safe;
use crate::show::{fact, holdings, json};

/// Most devices that are named for what is missing.
const NAMED_MAX: usize = 4;

/// What this book holds
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  daybook status")]
pub struct Status {}

/// Runs it.
///
/// # Errors
/// When the book cannot be opened or read.
pub fn run(_: Status, context: &mut Context) -> Answer {
    let mut book = context.open()?;
    let (status, elsewhere, held) = (book.status()?, book.elsewhere()?, book.holdings()?);
    let (strangers, begun, awaited) = (book.strangers()?, book.begun_entries()?, book.awaited()?);
    let object = json!({
        "incident": status.incident,
        "incident_id": status.incident_id,
        "here": json::author(&status.here),
        "entries": json::entry_counts(&status.entries),
        "logs": status.logs,
        "patients": status.patients,
        "open_findings": status.open_findings,
        "ended": status.ended,
        "newer_control": status.newer_control,
        "no_key": json::list(&status.no_key, lack_json),
        "shift": shift_word(status.shift),
        "shift_end": shift_end(status.shift).map(|end| holdings::at(end, context.offset())),
        "bytes_on_disk": status.bytes_on_disk,
        "begun": begun,
        "awaited": json::list(&awaited, awaited_json),
        "strangers": {"logs": strangers.logs, "bytes": strangers.bytes, "declined": strangers.declined},
        "only_here": held.only_here(),
        "peers": elsewhere.peers.iter().map(|peer| peer_json(peer, context.offset())).collect::<Vec<_>>(),
        "holders": json::list(&held.holders, |holder| holdings::holder(holder, context.offset())),
        "held": json::list(&held.logs, holdings::log),
    });
    let shift = shift_text(status.shift, context.offset());
    let text = text(&status) + &shift + &begun_text(begun) + &awaited_text(&awaited) + &strangers_text(&strangers);
    Ok(Reply::new(object, text + &peers_text(&elsewhere, context.offset()) + &holdings::text(&held)))
}

/// What a cut left.
fn begun_text(entries: u64) -> String {
    match entries {
        0 => String::new(),
        _ => format!("cut off:   {entries} entries came without their end; the next sync brings it\n"),
    }
}

fn awaited_json(awaited: &Awaited) -> Value {
    json!({
        "author": awaited.author.as_ref().map(json::author),
        "changes": awaited.changes,
        "records": awaited.records,
        "could_come_from": json::list(&awaited.could_come_from, json::author),
    })
}

/// What refers to entries that are not here, and whom to ask for them.
fn awaited_text(all: &[Awaited]) -> String {
    let mut text = String::new();
    for (place, awaited) in all.iter().enumerate() {
        let label = if place == 0 { "missing:   " } else { "           " };
        let refer = if awaited.changes == 1 { "change refers" } else { "changes refer" };
        let whose = awaited.author.as_ref();
        let whose = whose.map_or_else(|| "a device unknown here".to_owned(), |author| safe(&fact::author(author)));
        text.push_str(&format!("{label}{} {refer} to entries of {whose} not yet here", awaited.changes));
        let names: Vec<String> = awaited.could_come_from.iter().map(|author| safe(&fact::author(author))).collect();
        let shown = names.len().min(NAMED_MAX);
        text.push_str(&match names.get(..shown).unwrap_or_default() {
            [] => "; nobody is known who holds them\n".to_owned(),
            first if shown < names.len() => {
                format!("; sync with {} or {} others\n", first.join(", "), names.len() - shown)
            }
            all => format!("; sync with {}\n", all.join(" or ")),
        });
    }
    text
}

/// What came of devices that nobody here has heard of, and what there was no room for.
fn strangers_text(strangers: &Strangers) -> String {
    let mut text = String::new();
    if strangers.logs > 0 {
        let (logs, size) = (strangers.logs, bytes(strangers.bytes));
        text.push_str(&format!("unknown:   {logs} logs ({size}) of devices whose grants are not here wait for them\n"));
    }
    if strangers.declined > 0 {
        let runs = strangers.declined;
        text.push_str(&format!(
            "           {runs} pieces more were not taken in: there is no room; sync with an administrator's device first\n"
        ));
    }
    text
}

fn peer_json(peer: &PeerSeen, offset: i16) -> Value {
    json!({"with": json::author(&peer.who), "at": holdings::at(peer.at_ms, offset), "behind": peer.behind})
}

fn lack_json(lack: &KeyLack) -> Value {
    json!({
        "compartment": lack.compartment,
        "entries": lack.entries,
        "why": why(lack.why),
        "begun_by": lack.begun_by.as_ref().map(json::author),
    })
}

const fn why(why: WhyNoKey) -> &'static str {
    match why {
        WhyNoKey::ForOthers => "for-others",
        WhyNoKey::NotHere => "not-here",
        WhyNoKey::Wrong => "wrong",
        WhyNoKey::NoEpoch => "no-epoch",
    }
}

const fn shift_word(shift: Shift) -> &'static str {
    match shift {
        Shift::Open => "open",
        Shift::Until(_) => "until",
        Shift::Over(_) => "over",
    }
}

const fn shift_end(shift: Shift) -> Option<i64> {
    match shift {
        Shift::Open => None,
        Shift::Until(end) | Shift::Over(end) => Some(end),
    }
}

/// When the shift of this device ends or ended, and what that means.
fn shift_text(shift: Shift, offset: i16) -> String {
    match shift {
        Shift::Open => String::new(),
        Shift::Until(end) => format!(
            "shift:     ends on {}; then this computer throws its keys away. Sync before, or ask for more time\n",
            holdings::minute(end, offset)
        ),
        Shift::Over(end) => format!(
            "shift:     ended on {}: the keys were thrown away, what you wrote is still here.\n           \
             Ask an administrator for `daybook enrol extend`, then sync\n",
            holdings::minute(end, offset)
        ),
    }
}

/// What cannot be read for want of a key, and what helps.
fn lacks_text(status: &BookStatus) -> String {
    let mut text = String::new();
    for lack in &status.no_key {
        let begun = lack.begun_by.as_ref().map(|author| safe(&fact::author(author))).unwrap_or_default();
        let from = if begun.is_empty() { String::new() } else { format!(" (begun by {begun})") };
        let why = match lack.why {
            WhyNoKey::ForOthers => "are for other roles, or older than your admission".to_owned(),
            WhyNoKey::NotHere => format!("need a key{from} that is not here: sync with a device that can read them"),
            WhyNoKey::Wrong => format!("need a key{from}; a wrong one came: sync with another device"),
            WhyNoKey::NoEpoch => "need a key of which nothing is known here yet: sync with more devices".to_owned(),
        };
        text.push_str(&format!("           {} {} entries {why}\n", lack.entries, lack.compartment));
    }
    text
}

/// With whom this book was in sync.
fn peers_text(elsewhere: &Elsewhere, offset: i16) -> String {
    let mut text = String::new();
    for (place, peer) in elsewhere.peers.iter().enumerate() {
        let label = if place == 0 { "in sync:   " } else { "           " };
        let when = holdings::minute(peer.at_ms, offset);
        text.push_str(&format!("{label}with {} on {when}", safe(&fact::author(&peer.who))));
        if peer.behind > 0 {
            text.push_str(&format!("; {} entries came since", peer.behind));
        }
        text.push('\n');
    }
    text
}

fn text(status: &BookStatus) -> String {
    let counts = &status.entries;
    let mut text = format!("{}\n", safe(&status.incident));
    let organisation = status.here.organisation.as_deref().unwrap_or("no organisation known");
    text.push_str(&format!("you:       {}, {}\n", safe(&fact::author(&status.here)), safe(organisation)));
    if status.ended {
        text.push_str(
            "           THIS DEVICE WAS REVOKED: what it writes now waits for review; ask an administrator\n",
        );
    }
    text.push_str(&format!("patients:  {}\n", status.patients));
    text.push_str(&format!("findings:  {} open\n", status.open_findings));
    text.push_str(&format!("entries:   {} in {} logs, {} written here\n", counts.total, status.logs, counts.own));
    for (count, what) in [
        (counts.waiting, "wait for review: their author had no right to write them"),
        (counts.own_waiting, "of those were written here: ask an administrator to look at them"),
        (counts.faulty, "are faulty and have no effect"),
        (counts.unopened, "have no key here"),
        (counts.erased, "were erased"),
        (status.newer_control, "control entries come from a newer version: update daybook"),
    ] {
        if count > 0 {
            text.push_str(&format!("           {count} {what}\n"));
        }
    }
    text.push_str(&lacks_text(status));
    text.push_str(&format!("on disk:   {} KiB\n", status.bytes_on_disk.div_ceil(1024)));
    text
}

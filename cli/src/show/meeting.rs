//! What happens while books sync, as lines for people and as objects.

use daybook_core::daybook::Author;
use daybook_core::net::{Agreement, Former, Notice, Report};
use daybook_core::sync::Reason;
use serde_json::{Value, json};

use super::text::safe;
use super::{fact, json as object};

/// A notice as one JSON object; none for what is no event of its own.
#[must_use]
pub fn event(notice: &Notice) -> Option<Value> {
    Some(match notice {
        Notice::Listening(address) => json!({"event": "listening", "address": address.to_string()}),
        Notice::Calling { host } => json!({"event": "calling", "host": host}),
        Notice::NoAnswer { host } => json!({"event": "no-answer", "host": host}),
        Notice::Connected { seat, from } => json!({"event": "connected", "connection": seat, "from": from}),
        Notice::TurnedAway { from } => json!({"event": "turned-away", "from": from}),
        Notice::Known { seat, who } => json!({"event": "known", "connection": seat, "with": object::author(who)}),
        Notice::Totals { seat, to_send, to_receive } => {
            json!({"event": "totals", "connection": seat, "to_send": to_send, "to_receive": to_receive})
        }
        Notice::Progress { seat, sent, received } => {
            json!({"event": "progress", "connection": seat, "sent": sent, "received": received})
        }
        Notice::Agreed { seat, agreement } => {
            json!({"event": "agreed", "connection": seat, "in_sync": *agreement == Agreement::InSync})
        }
        Notice::Ended(report) => {
            let mut ended = self::report(report);
            if let Some(ended) = ended.as_object_mut() {
                ended.insert("event".to_owned(), json!("ended"));
                ended.insert("connection".to_owned(), json!(report.seat));
                ended.insert("reason".to_owned(), json!(report.reason.code()));
            }
            ended
        }
        _ => return None,
    })
}

/// A notice as a line for people; none for what they need not read.
#[must_use]
pub fn line(notice: &Notice) -> Option<String> {
    Some(match notice {
        Notice::Listening(address) => {
            format!("listening on {address}; others run `daybook sync HOST:{}`; Ctrl-C ends it", address.port())
        }
        Notice::Calling { host } => format!("calling {} ...", safe(host)),
        Notice::NoAnswer { host } => format!("{}: nobody answers", safe(host)),
        Notice::TurnedAway { from } => format!("{from}: turned away, too many are connected"),
        Notice::Known { seat, who } => format!("[{seat}] {} is here", name(Some(who))),
        Notice::Agreed { seat, agreement: Agreement::InSync } => format!("[{seat}] both books hold the same"),
        Notice::Agreed { seat, agreement: Agreement::HandedOver } => {
            format!("[{seat}] one of the two is no member any more: what it wrote was handed over, and nothing else")
        }
        Notice::Agreed { seat, .. } => format!("[{seat}] the books differ in what neither could take from the other"),
        Notice::Ended(report) => format!("[{}] {}: {}", report.seat, name_or_address(report), sentence(report)),
        _ => return None,
    })
}

/// The keys of a report.
#[must_use]
pub fn report(report: &Report) -> Value {
    let declined =
        report.declined.iter().map(|(log, code, by_peer)| json!({"log": log, "code": code, "by_peer": by_peer}));
    json!({
        "from": report.from,
        "with": report.who.as_ref().map(object::author),
        "sent": report.sent,
        "received": report.received,
        "bytes_sent": report.bytes_sent,
        "bytes_received": report.bytes_received,
        "ms": report.ms,
        "in_sync": report.agreement == Agreement::InSync,
        "former": former(report.former),
        "declined": declined.collect::<Vec<Value>>(),
        "own_entries_returned": report.own_entries_returned,
    })
}

/// Which of the two is a former member; null if neither is.
const fn former(former: Former) -> Option<&'static str> {
    match former {
        Former::Nobody => None,
        Former::Here => Some("here"),
        Former::There => Some("there"),
        Former::Both => Some("both"),
    }
}

/// What a connection did, in one sentence, with why it ended if that is not the usual.
#[must_use]
pub fn sentence(report: &Report) -> String {
    let returned = if report.own_entries_returned { format!("; {}", RETURNED.trim_end()) } else { String::new() };
    let moved = moved(report) + &returned;
    match &report.reason {
        Reason::Closed | Reason::ClosedByPeer => moved,
        Reason::Cut => format!("{moved}; the connection was cut"),
        reason => format!("{moved}; {} [{}]", safe(&reason.to_string()), safe(reason.code())),
    }
}

/// What is said if own entries came back.
pub const RETURNED: &str = "entries of this computer came back that it had lost; it goes on as a new installation\n";

/// Entries, bytes and time.
#[must_use]
pub fn moved(report: &Report) -> String {
    format!(
        "{} entries came and {} went, {} in {}",
        report.received,
        report.sent,
        bytes(report.bytes_sent + report.bytes_received),
        time(report.ms),
    )
}

/// Who it was, for people.
#[must_use]
pub fn name(who: Option<&Author>) -> String {
    who.map_or_else(|| "somebody unknown".to_owned(), |who| safe(&fact::author(who)))
}

fn name_or_address(report: &Report) -> String {
    report.who.as_ref().map_or_else(|| safe(&report.from), |who| name(Some(who)))
}

/// A count of bytes in few figures.
#[must_use]
pub fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} bytes"),
        10_000..10_000_000 => format!("{} kB", count / 1_000),
        _ => format!("{} MB", count / 1_000_000),
    }
}

/// A time in seconds.
#[must_use]
pub fn time(ms: u64) -> String {
    if ms < 10_000 { format!("{}.{} s", ms / 1_000, ms % 1_000 / 100) } else { format!("{} s", ms / 1_000) }
}

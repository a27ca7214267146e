//! Who holds what of the book, as text and as JSON.

use daybook_core::clock::{EffectiveTime, Precision};
use daybook_core::daybook::{Doubt, HeldBy, HeldLog, Holder, Holdings, Lack};
use daybook_core::id::Lane;
use serde_json::{Value, json};

use super::text::safe;
use super::{fact, json};

/// A time as this computer's clock tells it.
#[must_use]
pub fn at(ms: i64, offset: i16) -> String {
    EffectiveTime::stated(ms, offset, Precision::Second).map(|time| time.to_fhir()).unwrap_or_default()
}

/// The same to the minute, for people.
#[must_use]
pub fn minute(ms: i64, offset: i16) -> String {
    at(ms, offset).replace('T', " ").chars().take(16).collect()
}

/// `Holder`.
#[must_use]
pub fn holder(holder: &Holder, offset: i16) -> Value {
    json!({
        "who": json::author(&holder.who),
        "hub": holder.hub,
        "at": at(holder.at_ms, offset),
        "doubt": holder.doubt.map(doubt_word),
    })
}

/// `HeldLog`.
#[must_use]
pub fn log(log: &HeldLog) -> Value {
    json!({
        "log": log.log,
        "author": json::author(&log.author),
        "compartment": log.compartment,
        "lane": lane(log.lane),
        "entries": log.entries,
        "elsewhere": log.elsewhere,
        "by": json::list(&log.by, |by| json!({
            "device": by.who.device.to_hex(),
            "person": by.who.person,
            "hub": by.hub,
            "entries": by.entries,
        })),
    })
}

/// Sums for `status`, and the own logs one by one.
#[must_use]
pub fn text(holdings: &Holdings) -> String {
    let entries: u64 = holdings.logs.iter().map(|log| log.entries).sum();
    let elsewhere = entries - holdings.only_here();
    let counting = || holdings.holders.iter().filter(|holder| holder.doubt.is_none());
    let hubs = counting().filter(|holder| holder.hub).count();
    let by = holders(counting().count() - hubs, hubs);
    let mut text = match elsewhere {
        0 if entries == 0 => String::new(),
        0 => format!("elsewhere: none of {entries} entries is known to be anywhere else\n"),
        _ => format!("elsewhere: {elsewhere} of {entries} entries are held by {by}\n"),
    };
    for log in holdings.logs.iter().filter(|log| log.author.here && elsewhere > 0) {
        text.push_str(&format!("           {}\n", line(log)));
    }
    text + &doubts(&holdings.holders)
}

/// One line of an own log: how many of its entries are elsewhere, and by whom.
#[must_use]
pub fn line(log: &HeldLog) -> String {
    let by: Vec<String> = log.by.iter().map(|by| holder_of(by, log.entries)).collect();
    let by = if by.is_empty() { String::new() } else { format!(": {}", by.join("; ")) };
    format!("{} of {} entries of your log {} ({}){by}", log.elsewhere, log.entries, log.log, place(log))
}

fn holder_of(by: &HeldBy, all: u64) -> String {
    let who = format!("{}{}", if by.hub { "the hub " } else { "" }, safe(&fact::author(&by.who)));
    if by.entries == all { who } else { format!("{who} ({})", by.entries) }
}

/// Why receipts of some devices do not count, a line each.
#[must_use]
pub fn doubts(holders: &[Holder]) -> String {
    let line = |holder: &Holder| {
        let why = match holder.doubt? {
            Doubt::Ended => "its grant does not hold any more",
            Doubt::Barred => "it was barred",
            Doubt::Forked => "a copy of it wrote under its name",
            Doubt::BeganAnew => "it began anew since, as after a restore; sync with it again",
        };
        Some(format!("           {} does not count: {why}\n", safe(&fact::author(&holder.who))))
    };
    holders.iter().filter_map(line).collect()
}

/// "3 devices and the hub".
#[must_use]
pub fn holders(devices: usize, hubs: usize) -> String {
    let devices = match devices {
        0 => None,
        1 => Some("1 device".to_owned()),
        count => Some(format!("{count} devices")),
    };
    let hubs = match hubs {
        0 => None,
        1 => Some("the hub".to_owned()),
        count => Some(format!("{count} hubs")),
    };
    let both: Vec<String> = devices.into_iter().chain(hubs).collect();
    if both.is_empty() { "nobody".to_owned() } else { both.join(" and ") }
}

/// Where a log stands, in plain words.
#[must_use]
pub fn place(log: &HeldLog) -> String {
    match log.compartment {
        "control" => "control: who may do what".to_owned(),
        kind => format!("{kind}, {}", lane(log.lane)),
    }
}

const fn lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Safety => "safety",
        Lane::Routine => "routine",
        Lane::Import => "import",
    }
}

const fn doubt_word(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Ended => "ended",
        Doubt::Barred => "barred",
        Doubt::Forked => "forked",
        Doubt::BeganAnew => "began-anew",
    }
}

/// The stable word of what a log lacks.
#[must_use]
pub const fn lack_word(lack: Lack) -> &'static str {
    match lack {
        Lack::Holder => "holder",
        Lack::SecondHolder => "second-holder",
        Lack::Reader => "reader",
    }
}

/// What a log lacks, in a sentence.
#[must_use]
pub const fn lack(lack: Lack) -> &'static str {
    match lack {
        Lack::Holder => "nobody else is known to hold all of it",
        Lack::SecondHolder => "one other device holds all of it, and two must",
        Lack::Reader => "those who hold all of it may not read it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_is_named_as_a_hub() {
        assert_eq!(holders(3, 1), "3 devices and the hub");
        assert_eq!(
            (holders(1, 0), holders(0, 2), holders(0, 0)),
            ("1 device".into(), "2 hubs".into(), "nobody".into())
        );
    }
}

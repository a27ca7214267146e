//! People, compartments and what waits for review, as text and as JSON.

use daybook_core::daybook::{Author, Member, Site, Waiting};
use serde_json::{Value, json};

use super::table::Table;
use super::{fact, json, time};

/// `Member`.
#[must_use]
pub fn member(member: &Member) -> Value {
    json!({
        "who": json::author(&member.who),
        "role": member.role,
        "state": member.state.word(),
        "barred": member.barred,
    })
}

/// A table of members; the device's id is long enough to name it.
#[must_use]
pub fn members(members: &[Member]) -> String {
    let mut table =
        Table::new(&[("DEVICE", 12), ("PERSON", 32), ("ORGANISATION", 32), ("ROLE", 16), ("STATE", 14), ("KEYS", 7)]);
    for member in members {
        table.row(&[
            &member.who.device.to_string(),
            member.who.person.as_deref().unwrap_or("(not known here)"),
            member.who.organisation.as_deref().unwrap_or(""),
            &member.role,
            member.state.word(),
            if member.barred { "stopped" } else { "" },
        ]);
    }
    table.to_text()
}

/// Names of people, one after the other.
#[must_use]
pub fn names(authors: &[Author]) -> String {
    let mut names: Vec<String> = authors.iter().map(|author| super::text::safe(&fact::author(author))).collect();
    names.dedup();
    names.join(", ")
}

/// `Compartment`.
#[must_use]
pub fn site(site: &Site) -> Value {
    json!({"id": site.compartment.to_hex(), "kind": site.kind.word(), "name": site.name})
}

/// A table of compartments.
#[must_use]
pub fn sites(sites: &[Site]) -> String {
    let mut table = Table::new(&[("KIND", 9), ("NAME", 48), ("ID", 12)]);
    for site in sites {
        table.row(&[site.kind.word(), site.name.as_deref().unwrap_or(""), &site.compartment.to_string()]);
    }
    table.to_text()
}

/// `InReview`.
#[must_use]
pub fn waiting(waiting: &Waiting, offset: i16) -> Value {
    json!({"line": json::log_line(&waiting.line, offset), "code": waiting.code, "why": waiting.why})
}

/// A table of what waits for review.
#[must_use]
pub fn in_review(all: &[Waiting], offset: i16) -> String {
    let mut table = Table::new(&[("ENTRY", 12), ("WRITTEN", 16), ("WHERE", 9), ("BY", 24), ("WHAT", 40), ("WHY", 60)]);
    for waiting in all {
        let line = &waiting.line;
        table.row(&[
            &line.entry.0,
            &line.hlc.map_or_else(String::new, |hlc| time::written(hlc, offset)),
            line.compartment,
            &fact::author(&line.author),
            &line.operations.join("; "),
            &format!("{} {}", waiting.code, waiting.why),
        ]);
    }
    table.to_text()
}

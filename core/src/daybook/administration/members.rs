//! Who takes part: members as people see them, and how they are found by name or device.

use super::error::AdministrationError;
use crate::daybook::Daybook;
use crate::daybook::error::Error;
use crate::daybook::state::State;
use crate::daybook::types::Author;
use crate::id::DeviceId;
use crate::roster::Control;
use std::collections::{BTreeMap, BTreeSet};

/// What became of a member.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum MemberState {
    /// A root that was not ended.
    Root,
    /// Holds a grant in force.
    Member,
    /// Was ended.
    Ended,
    /// Was granted something that does not count.
    Fallen,
}

impl MemberState {
    /// The word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Member => "member",
            Self::Ended => "ended",
            Self::Fallen => "does not count",
        }
    }
}

/// A device that was ever granted something, with who holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Who, as far as the directory opens here.
    pub who: Author,
    /// The role of its newest grant in force, or of its last one.
    pub role: String,
    /// What became of it.
    pub state: MemberState,
    /// Whether keys and service are stopped for it, in some compartment at least.
    pub barred: bool,
}

impl Daybook {
    /// All devices that were ever granted something, in rising order of state, name and device.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub fn members(&mut self) -> Result<Vec<Member>, Error> {
        self.refresh()?;
        Ok(members(&self.state))
    }
}

/// All members.
pub(super) fn members(state: &State) -> Vec<Member> {
    let roster = &state.ring.roster;
    let mut roles: BTreeMap<DeviceId, String> = BTreeMap::new();
    for entry in &state.control {
        let Control::Grant(grant) = &entry.control else { continue };
        let id = entry.place.id;
        if roster.grants().contains_key(&id) || roster.fallen(&id).is_some() {
            let in_force = roster.grants().get(&id).is_some_and(crate::roster::Held::in_force);
            let role = roles.entry(grant.device.device_id()).or_default();
            if in_force || role.is_empty() {
                role.clone_from(&grant.role);
            }
        }
    }
    for (device, _, _) in roster.roots() {
        roles.entry(*device).or_insert_with(|| "admin".to_owned());
    }
    let state_of = |device: DeviceId| {
        if roster.is_root(device) {
            MemberState::Root
        } else if roster.grants_of(device).next().is_some() {
            MemberState::Member
        } else if roster.is_ended_root(device) || roster.grants().values().any(|held| held.device == device) {
            MemberState::Ended
        } else {
            MemberState::Fallen
        }
    };
    let mut members: Vec<Member> = roles
        .into_iter()
        .map(|(device, role)| Member {
            who: state.author(device),
            role,
            state: state_of(device),
            barred: !roster.bars_of(device).is_empty(),
        })
        .collect();
    members.sort_by(|a, b| (a.state, &a.who.person, a.who.device).cmp(&(b.state, &b.who.person, b.who.device)));
    members
}

/// The devices that a text names: the beginning of one device's id, at least six hexadecimal digits, or the name
/// of one person in any case.
pub(in crate::daybook) fn named(state: &State, text: &str) -> Result<BTreeSet<DeviceId>, AdministrationError> {
    let members = members(state);
    let text = text.trim();
    let digits = text.to_ascii_lowercase();
    if digits.len() >= 6 && digits.chars().all(|c| c.is_ascii_hexdigit()) {
        let devices = members.iter().map(|member| member.who.device);
        let found: BTreeSet<DeviceId> = devices.filter(|device| device.to_hex().starts_with(&digits)).collect();
        match found.len() {
            0 => {}
            1 => return Ok(found),
            _ => return Err(ambiguous(&found)),
        }
    }
    let same = |member: &&Member| {
        member.who.person.as_deref().is_some_and(|person| person.trim().to_lowercase() == text.to_lowercase())
    };
    let of_name: Vec<&Member> = members.iter().filter(same).collect();
    let organisations: BTreeSet<_> = of_name.iter().map(|member| &member.who.organisation).collect();
    let found: BTreeSet<DeviceId> = of_name.iter().map(|member| member.who.device).collect();
    match organisations.len() {
        0 => Err(AdministrationError::NoSuchMember),
        1 => Ok(found),
        // Two people of one name: which of them is meant must be said by device.
        _ => Err(ambiguous(&found)),
    }
}

fn ambiguous(found: &BTreeSet<DeviceId>) -> AdministrationError {
    AdministrationError::AmbiguousMember { candidates: found.iter().map(ToString::to_string).collect() }
}

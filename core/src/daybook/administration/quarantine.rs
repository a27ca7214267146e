//! What waits for review: listed, shown with the reason, and endorsed by an administrator above its author.

use super::error::AdministrationError;
use super::revoke::{codes, may};
use crate::daybook::Daybook;
use crate::daybook::error::Error;
use crate::daybook::judging::{Since, rejudge};
use crate::daybook::state::State;
use crate::daybook::types::{Author, EntryCode, LogLine};
use crate::daybook::writing::Writer;
use crate::id::{CompartmentId, DeviceId, EntryId};
use crate::roster::{Control, Endorse, PlaceOf, Rights, Waits};
use crate::store::{EntryKey, Store, StoredEntry, Verdict};
use std::collections::BTreeSet;

/// An entry that waits for review.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// The entry as the log shows it.
    pub line: LogLine,
    /// The rule code of the reason, such as `Q-006`.
    pub code: &'static str,
    /// The reason in words.
    pub why: String,
}

/// What is to be known of an entry before it is endorsed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Review {
    /// The entry and why it waits.
    pub waiting: Waiting,
    /// Whether this device may endorse it.
    pub may_endorse: bool,
    /// Who ended the author's grant, if somebody did.
    pub ended_by: Vec<Author>,
    /// Entries of the same log that wait before it.
    pub waiting_before: u64,
    /// Entries that wait and stand on the same grant, in all logs.
    pub waiting_of_grant: u64,
}

/// How much is endorsed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Endorsing {
    /// The entry alone.
    Entry,
    /// The entry and all before it in its log.
    Log,
    /// The grant that the entry stands on or, if it is a grant, this one, with all that was and will be written
    /// under it: it is as if it had not been ended.
    Grant,
}

impl Daybook {
    /// What waits for review, control entries too, in order of log and place; at most `limit`. Says how many
    /// there are in all. Noted as a list that was shown.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub fn quarantine(&mut self, limit: usize) -> Result<(Vec<Waiting>, u64), Error> {
        self.refresh()?;
        let connection = self.store.read()?;
        let control = waiting_control(&self.state, connection)?;
        let all = Store::count_of_verdict(connection, Verdict::Waiting)? + control.len() as u64;
        let mut keys = Store::of_verdicts(connection, &[Verdict::Waiting], limit)?;
        keys.extend(control);
        let mut found = Vec::new();
        for key in keys.iter().take(limit) {
            found.extend(self.waiting(*key)?);
        }
        self.note_list(found.len());
        Ok((found, all))
    }

    /// One entry that waits, with what a person must know to endorse it. Noted as a list that was shown.
    ///
    /// # Errors
    /// [`Error::NoSuchEntry`], [`AdministrationError::NotWaiting`].
    pub fn review(&mut self, entry: &str) -> Result<Review, Error> {
        self.refresh()?;
        let key = self.resolve_entry(entry)?.entry();
        let waiting = self.waiting(key)?.ok_or(AdministrationError::NotWaiting)?;
        let connection = self.store.read()?;
        let stored = Store::entry(connection, key)?.ok_or(Error::NoSuchEntry)?;
        let (device, compartment) = author_of(&self.state, key).ok_or(Error::NoSuchEntry)?;
        let roster = &self.state.ring.roster;
        let mut ended_by = BTreeSet::new();
        for revoke in roster.ended_by(&stored.ground.grant) {
            ended_by.extend(self.state.control.iter().find(|e| e.place.id == revoke).map(|e| e.device));
        }
        let (mut before, mut of_grant) = (0, 0);
        // Only its holder writes under a grant.
        for other in waiting_of(&self.state, connection, device)? {
            before += u64::from(other.log() == key.log() && other.seq() < key.seq());
            let same = other != key
                && Store::entry(connection, other)?.is_some_and(|other| other.ground.grant == stored.ground.grant);
            of_grant += u64::from(same || other == key);
        }
        let review = Review {
            waiting,
            may_endorse: may_endorse(&self.state, (&stored.ground.grant, device), compartment).is_ok(),
            ended_by: ended_by.into_iter().map(|device| self.state.author(device)).collect(),
            waiting_before: before,
            waiting_of_grant: of_grant,
        };
        self.note_list(1);
        Ok(review)
    }

    /// Lets an entry count that waits for review, everywhere.
    ///
    /// # Errors
    /// [`Error::NoSuchEntry`], [`AdministrationError`], [`Error::NoRight`]; nothing was written.
    pub fn endorse(&mut self, entry: &str, how: Endorsing) -> Result<(u64, Vec<EntryCode>), Error> {
        self.refresh()?;
        let key = self.resolve_entry(entry)?.entry();
        self.write(|writer| {
            let stored = Store::entry(writer.tx, key)?.ok_or(Error::NoSuchEntry)?;
            let before = waiting_keys(writer.state, writer.tx)?;
            if !before.contains(&key) && how != Endorsing::Grant {
                return Err(AdministrationError::NotWaiting.into());
            }
            let (device, compartment) = author_of(writer.state, key).ok_or(Error::NoSuchEntry)?;
            may_endorse(writer.state, (&stored.ground.grant, device), compartment)?;
            let endorse = endorse_of(writer, key, &stored, how)?;
            let roster = writer.state.ring.roster.clone();
            let id = writer.control(|_, _| Ok(Control::Endorse(endorse)))?;
            rejudge(writer.tx, writer.state, Since::Roster { before: &roster, keys: false })?;
            writer.post()?;
            let after = waiting_keys(writer.state, writer.tx)?;
            if after.contains(&key) {
                return Err(AdministrationError::NotAbove.into());
            }
            Ok((before.difference(&after).count() as u64, codes(writer.state, &[id])))
        })
    }

    /// Takes an entry out of what counts, everywhere. Who kept a copy keeps it.
    ///
    /// # Errors
    /// [`Error::NoSuchEntry`], [`Error::Value`] if the reason is empty, [`AdministrationError`],
    /// [`Error::NoRight`]; nothing was written.
    pub fn erase(&mut self, entry: &str, reason: &str) -> Result<Vec<EntryCode>, Error> {
        if reason.trim().is_empty() {
            return Err(Error::Value { what: "the reason", why: "must not be empty" });
        }
        self.refresh()?;
        let key = self.resolve_entry(entry)?.entry();
        self.write(|writer| {
            may(writer.state, Rights::ERASE)?;
            let (_, compartment) = author_of(writer.state, key).ok_or(Error::NoSuchEntry)?;
            if compartment == crate::id::CONTROL {
                return Err(AdministrationError::ControlStays.into());
            }
            let place = place_of(writer, key)?;
            let before = writer.state.ring.roster.clone();
            let id = writer.control(|state, at| {
                let reason = Some(crate::daybook::writing::seal_text(state, at, FIELD_REASON, reason.trim())?);
                Ok(Control::Erase { entries: vec![place], reason })
            })?;
            if !writer.state.ring.roster.is_erased(&place.log, &place.id, compartment) {
                return Err(AdministrationError::NotAdministered.into());
            }
            rejudge(writer.tx, writer.state, Since::Roster { before: &before, keys: false })?;
            writer.post()?;
            Ok(codes(writer.state, &[id]))
        })
    }

    fn waiting(&self, key: EntryKey) -> Result<Option<Waiting>, Error> {
        let connection = self.store.read()?;
        let verdict = Store::verdict_and_code(connection, key)?;
        let Some(line) = self.log_line(connection, key, verdict.as_ref())? else { return Ok(None) };
        let waits = match &verdict {
            Some((Verdict::Waiting, code)) => Waits::of_code(code),
            Some(_) => None,
            None => {
                let stored = Store::entry(connection, key)?;
                stored.and_then(|stored| self.state.ring.roster.without_effect(&stored.id))
            }
        };
        Ok(waits.map(|waits| Waiting { line, code: waits.code(), why: reason(waits) }))
    }
}

/// Field of an erase that holds the reason.
const FIELD_REASON: u16 = 2;

/// The reason without its code.
fn reason(waits: Waits) -> String {
    let text = waits.to_string();
    text.split_once(' ').map_or(text.clone(), |(_, reason)| reason.to_owned())
}

/// Entries that wait, control entries too.
pub(super) fn waiting_keys(state: &State, connection: &rusqlite::Connection) -> Result<BTreeSet<EntryKey>, Error> {
    let mut keys = Store::of_verdicts(connection, &[Verdict::Waiting], usize::MAX)?;
    keys.extend(waiting_control(state, connection)?);
    Ok(keys)
}

/// Control entries that wait.
fn waiting_control(state: &State, connection: &rusqlite::Connection) -> Result<BTreeSet<EntryKey>, Error> {
    let mut keys = BTreeSet::new();
    for entry in &state.control {
        if state.ring.roster.without_effect(&entry.place.id).is_some() {
            let place = crate::record::EntryRef::new(entry.place.log, entry.place.seq, &entry.place.id);
            keys.extend(Store::resolve(connection, &place)?);
        }
    }
    Ok(keys)
}

/// Entries of one device that wait, control entries too.
fn waiting_of(state: &State, connection: &rusqlite::Connection, device: DeviceId) -> Result<BTreeSet<EntryKey>, Error> {
    let of_device = |key: &EntryKey| state.logs.get(key.log()).is_some_and(|log| log.name.device == device);
    let mut keys: BTreeSet<EntryKey> = waiting_control(state, connection)?.into_iter().filter(of_device).collect();
    for log in Store::logs(connection)?.iter().filter(|log| log.name.device == device) {
        let here = Store::verdicts_in(connection, log.number)?.into_iter();
        keys.extend(here.filter(|(_, verdict)| *verdict == Verdict::Waiting).map(|(key, _)| key));
    }
    Ok(keys)
}

/// Who wrote an entry, and in which compartment.
fn author_of(state: &State, key: EntryKey) -> Option<(DeviceId, CompartmentId)> {
    state.logs.get(key.log()).map(|log| (log.name.device, log.name.compartment))
}

fn place_of(writer: &Writer<'_>, key: EntryKey) -> Result<PlaceOf, Error> {
    let stored = Store::entry(writer.tx, key)?.ok_or(Error::NoSuchEntry)?;
    let log = writer.state.logs.get(key.log()).ok_or(Error::NoSuchEntry)?;
    Ok(PlaceOf { log: log.log, seq: key.seq(), id: stored.id })
}

/// Whether this device may endorse what stands on a grant in a compartment.
fn may_endorse(state: &State, of: (&EntryId, DeviceId), compartment: CompartmentId) -> Result<(), Error> {
    may(state, Rights::ENDORSE)?;
    let roster = &state.ring.roster;
    if !roster.stands_above((&state.grant, state.device_id), of) {
        return Err(AdministrationError::NotAbove.into());
    }
    if roster.administers(&state.grant, compartment) {
        Ok(())
    } else {
        Err(AdministrationError::NotAdministered.into())
    }
}

fn endorse_of(writer: &Writer<'_>, key: EntryKey, stored: &StoredEntry, how: Endorsing) -> Result<Endorse, Error> {
    let place = place_of(writer, key)?;
    let roster = &writer.state.ring.roster;
    Ok(match how {
        Endorsing::Entry => Endorse { entries: vec![place], ..Endorse::default() },
        Endorsing::Log => Endorse { logs: vec![place], ..Endorse::default() },
        Endorsing::Grant => {
            // A grant that waits itself is the one to endorse; else the one that the entry stands on.
            let own = writer.state.control.iter().find(|e| e.place.id == stored.id);
            let is_grant = own.is_some_and(|entry| matches!(entry.control, Control::Grant(_)));
            let grant = if is_grant { stored.id } else { stored.ground.grant };
            let fallen = roster.grants().get(&grant).is_none_or(|held| !held.in_force());
            if !fallen {
                return Err(AdministrationError::NotWaiting.into());
            }
            let lifts = roster.against(&grant).into_iter().collect();
            Endorse { grants: vec![grant], lifts, ..Endorse::default() }
        }
    })
}

//! Forked logs: the finding, and the proof of it that anybody can check without a book.

use super::Daybook;
use super::error::Error;
use super::types::{EntryCode, FindingView};
use crate::id::{DeviceId, EntryId};
use crate::limits::SIGNED_EVERY;
use crate::log::{Proof, Shown, chain};
use crate::record::{Finding, FindingKind};
use crate::store::{BranchOf, EntryKey, LogRow, Store, StoredEntry};
use rusqlite::Connection;

/// What a finding about forks is about.
enum About {
    /// A log with branches.
    Log(Box<LogRow>),
    /// A log, or all logs of a device, of which a flood is known.
    Flood([u8; 32]),
}

impl Daybook {
    /// Logs with branches: their author forked them, or a copy of a device wrote; and floods.
    pub(super) fn forks(&self) -> Result<Vec<FindingView>, Error> {
        Ok(self.forked()?.into_iter().map(|(finding, _)| finding).collect())
    }

    fn forked(&self) -> Result<Vec<(FindingView, About)>, Error> {
        let connection = self.store.read()?;
        let mut found = Vec::new();
        for tips in Store::forked(connection)? {
            let flooded = self.state.floods.contains_key(tips.log.as_bytes());
            if let Some(log) = Store::log_of_number(connection, tips.number)?.filter(|_| !flooded) {
                found.push((self.fork(&log, &tips.branches), About::Log(Box::new(log))));
            }
        }
        for of in self.state.floods.keys() {
            if let Some(proof) = self.flood_of(of)? {
                found.push((self.flooded(&proof), About::Flood(*of)));
            }
        }
        Ok(found)
    }

    fn fork(&self, log: &LogRow, branches: &[BranchOf]) -> FindingView {
        let text = format!(
            "A log of {} has {} branches: a copy of the device wrote, or history was rewritten.",
            self.person(log.name.device),
            branches.len()
        );
        let code = |branch: &BranchOf| EntryCode(format!("{}-{}", log.log.short(), branch.fork_seq + 1));
        view(log.log.as_bytes(), text, branches.iter().map(code).collect())
    }

    fn flooded(&self, proof: &Proof) -> FindingView {
        let who = self.person(proof.device());
        match proof.shown() {
            Shown::Forks { log, lowest, .. } => {
                let text = format!(
                    "A log of {who} has more branches than anybody keeps: copies of the device wrote, or history was \
                     rewritten. What stands there from place {lowest} on waits for review."
                );
                view(log.as_bytes(), text, vec![EntryCode(format!("{}-{lowest}", log.short()))])
            }
            Shown::Incarnations => {
                let text = format!(
                    "The device of {who} began more than 64 installations: it was copied or restored too often. All \
                     that it wrote waits for review."
                );
                view(proof.device().as_bytes(), text, Vec::new())
            }
        }
    }

    fn person(&self, device: DeviceId) -> String {
        self.state.author(device).person.unwrap_or_else(|| format!("device {device}"))
    }

    /// The proof of a fork: the headers of every branch from where it leaves the others to its first signed head.
    /// `id` is the beginning of the finding's id in hexadecimal, of one finding only.
    ///
    /// # Errors
    /// [`Error::NoSuchFinding`] if none or several begin so, [`Error::Value`] if it is about something else.
    pub fn fork_proof(&mut self, id: &str) -> Result<Proof, Error> {
        let finding = self.finding(id)?.id;
        match self.forked()?.into_iter().find(|(fork, _)| fork.id == finding) {
            Some((_, About::Log(log))) => prove(self.store.read()?, &log, &self.state.ring.incident),
            Some((_, About::Flood(of))) => self.flood_of(&of)?.ok_or(Error::NoSuchFinding),
            None => Err(Error::Value { what: "the finding", why: "is not about a fork: nothing else has a proof" }),
        }
    }
}

/// A finding about what a log or device did.
fn view(about: &[u8; 32], text: String, entries: Vec<EntryCode>) -> FindingView {
    let finding = Finding::new(FindingKind::Fork, vec![about.to_vec()], text);
    FindingView { id: finding.id, kind: finding.kind, patient: None, text: finding.text, entries, resolved: None }
}

fn prove(connection: &Connection, log: &LogRow, incident: &crate::id::IncidentId) -> Result<Proof, Error> {
    Proof::of_chains(incident, &chains(connection, log)?).map_err(|error| {
        tracing::error!(code = error.code(), "a fork could not be proved");
        Error::Damaged("the branches of a log contradict each other in no way".into())
    })
}

/// A chain of every branch of a log and of its brothers, from where they part.
pub(super) fn chains(connection: &Connection, log: &LogRow) -> Result<Vec<Vec<u8>>, Error> {
    let branches = Store::branches(connection, log.number)?;
    let mut chains = Vec::new();
    for branch in
        branches.iter().filter(|branch| branch.fork_seq > 0 || branches.iter().any(|b| begins_beside(b, branch)))
    {
        let first = branch.fork_seq + 1;
        for row in [branch.branch, branch.parent] {
            chains.push(chain_of(connection, log, &branches, EntryKey::new(log.number, first, row))?);
        }
    }
    Ok(chains)
}

/// Whether two branches both begin at place 1.
fn begins_beside(one: &BranchOf, other: &BranchOf) -> bool {
    one.branch != other.branch && one.fork_seq == 0 && other.fork_seq == 0
}

/// The headers from an entry to the first signed head of its branch row.
pub(super) fn chain_of(
    connection: &Connection,
    log: &LogRow,
    branches: &[BranchOf],
    first: EntryKey,
) -> Result<Vec<u8>, Error> {
    let mut entries: Vec<(StoredEntry, Option<crate::crypto::Signature>)> = Vec::new();
    let range = (first.seq(), first.seq() + SIGNED_EVERY - 1);
    Store::entries(connection, (first.log(), first.branch()), range, |entry| {
        let signature = Store::head(connection, entry.key)?;
        entries.push((entry, signature));
        Ok::<bool, Error>(signature.is_none())
    })?;
    let backlink = match first.seq() - 1 {
        0 => EntryId::ZERO,
        before => {
            let row = crate::sync::row_of(branches, first.branch(), before);
            let id = Store::entry_id(connection, EntryKey::new(first.log(), before, row))?;
            id.ok_or(Error::Damaged("an entry before a fork is missing".into()))?
        }
    };
    let headers: Vec<_> = entries.iter().map(|(entry, signature)| (entry.entry(), *signature)).collect();
    Ok(chain(&log.name, first.seq(), backlink, &headers))
}

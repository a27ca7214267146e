//! Forked logs: the finding, and the proof of it that anybody can check without a book.

use super::Daybook;
use super::error::Error;
use super::types::{EntryCode, FindingView};
use crate::id::EntryId;
use crate::limits::SIGNED_EVERY;
use crate::log::{Proof, chain};
use crate::record::{Finding, FindingKind};
use crate::store::{BranchOf, EntryKey, LogRow, Store, StoredEntry};
use rusqlite::Connection;

impl Daybook {
    /// Logs with branches: their author forked them, or a copy of a device wrote.
    pub(super) fn forks(&self) -> Result<Vec<FindingView>, Error> {
        let connection = self.store.read()?;
        let mut findings = Vec::new();
        for log in Store::logs(connection)? {
            let branches = Store::branches(connection, log.number)?;
            if branches.len() > 1 {
                findings.push(self.fork(&log, &branches));
            }
        }
        Ok(findings)
    }

    fn fork(&self, log: &LogRow, branches: &[BranchOf]) -> FindingView {
        let who = self.state.author(log.name.device).person.unwrap_or_else(|| format!("device {}", log.name.device));
        let text = format!(
            "A log of {who} has {} branches: a copy of the device wrote, or history was rewritten.",
            branches.len()
        );
        let finding = Finding::new(FindingKind::Fork, vec![log.log.as_bytes().to_vec()], text);
        let code = |branch: &BranchOf| EntryCode(format!("{}-{}", log.log.short(), branch.fork_seq + 1));
        FindingView {
            id: finding.id,
            kind: finding.kind,
            patient: None,
            text: finding.text,
            entries: branches.iter().map(code).collect(),
            resolved: None,
        }
    }

    /// The proof of a fork: the headers of every branch from where it leaves the others to its first signed head.
    /// `id` is the beginning of the finding's id in hexadecimal, of one finding only.
    ///
    /// # Errors
    /// [`Error::NoSuchFinding`] if none or several begin so, [`Error::Value`] if it is about something else.
    pub fn fork_proof(&mut self, id: &str) -> Result<Proof, Error> {
        let finding = self.finding(id)?;
        let connection = self.store.read()?;
        for log in Store::logs(connection)? {
            let about = Finding::new(FindingKind::Fork, vec![log.log.as_bytes().to_vec()], String::new());
            if about.id == finding.id {
                return prove(connection, &log, &self.state.ring.incident);
            }
        }
        Err(Error::Value { what: "the finding", why: "is not about a fork: nothing else has a proof" })
    }
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
fn chain_of(connection: &Connection, log: &LogRow, branches: &[BranchOf], first: EntryKey) -> Result<Vec<u8>, Error> {
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

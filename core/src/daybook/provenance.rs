//! Who wrote what and who read what, for an export: log by log, each entry with the signed head that vouches for it.

use super::Daybook;
use super::charts::entry_code;
use super::error::Error;
use super::types::Author;
use crate::crypto::Place;
use crate::exchange::fhir::export::{
    ExportAuthor, ExportEntry, ExportHead, ExportReading, Exporter, Sink, resource_id, resource_type,
};
use crate::id::EntryId;
use crate::merge::{Judged, judge};
use crate::record::{Body, EntryRef, FactId, OpRef, Operation};
use crate::roster::{CompartmentKind, InLog};
use crate::store::{BranchOf, EntryKey, LogRow, Store, StoredEntry};
use rusqlite::Connection;

/// An entry that waits for the signed head behind it; a log has one at least every 64 entries.
struct Unsigned {
    id: EntryId,
    seq: u64,
    recorded_ms: i64,
    targets: Vec<(&'static str, String)>,
    edits: bool,
}

impl Daybook {
    /// Gives an export the Provenance of every accepted clinical entry, and the readings if this device may be
    /// shown them.
    pub(super) fn export_provenance<S: Sink>(&self, exporter: &mut Exporter<S>) -> Result<(), Error> {
        let connection = self.store.read()?;
        for log in Store::logs(connection)? {
            let shown = match self.state.ring.roster.kind_of(log.name.compartment) {
                Some(CompartmentKind::Clinical) => true,
                Some(CompartmentKind::Audit) => self.may_audit(),
                Some(CompartmentKind::Control | CompartmentKind::Supply | CompartmentKind::Directory) | None => false,
            };
            if shown {
                for branch in Store::branches(connection, log.number)? {
                    self.export_branch(connection, &log, &branch, exporter)?;
                }
            }
        }
        Ok(())
    }

    fn export_branch<S: Sink>(
        &self,
        connection: &Connection,
        log: &LogRow,
        branch: &BranchOf,
        exporter: &mut Exporter<S>,
    ) -> Result<(), Error> {
        let author = self.state.author(log.name.device);
        let mut unsigned: Vec<Unsigned> = Vec::new();
        let (mut buffer, name) = (Vec::new(), &log.name);
        let mut in_log = self.state.ring.roster.in_log(log.log, name.device, name.compartment);
        let range = (branch.fork_seq + 1, branch.tip_seq);
        Store::entries(connection, (log.number, branch.branch), range, |entry| {
            unsigned.extend(self.entry_targets((log, &mut in_log), &entry, &author, exporter, &mut buffer)?);
            if let Some(signature) = Store::head(connection, entry.key)? {
                let head =
                    ExportHead { log: log.log, seq: entry.key.seq(), id: entry.id, signature: signature.0.as_slice() };
                for entry in unsigned.drain(..) {
                    let code = entry_code(&EntryRef::new(log.log, entry.seq, &entry.id), 0);
                    exporter.provenance(&ExportEntry {
                        id: entry.id,
                        code: &code.0,
                        recorded_ms: entry.recorded_ms,
                        author: export_author(&author),
                        targets: entry.targets,
                        edits: entry.edits,
                        head,
                    })?;
                }
            }
            Ok::<bool, Error>(true)
        })
    }

    /// What an accepted entry wrote; its readings are given to the export at once.
    fn entry_targets<S: Sink>(
        &self,
        (log, in_log): (&LogRow, &mut InLog<'_>),
        entry: &StoredEntry,
        author: &Author,
        exporter: &mut Exporter<S>,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Unsigned>, Error> {
        let place = Place { incident: self.state.ring.incident, log: log.log, seq: entry.key.seq() };
        let at = (&place, entry.key.branch());
        let judged = judge(&self.state.ring, (in_log, log.name.lane), at, (&entry.id, &entry.entry()), buffer);
        let Judged::Opened(body, None) = judged else { return Ok(None) };
        let name = |index| named(log, entry, index);
        for (index, (operation, _)) in body.operations.iter().enumerate() {
            if let Operation::Reading(reading) = operation {
                let author = export_author(author);
                exporter.reading(&ExportReading { id: name(index), author, reading: *reading })?;
            }
        }
        Ok(Some(Unsigned {
            id: entry.id,
            seq: entry.key.seq(),
            recorded_ms: body.hlc.ms(),
            targets: targets(&body, name),
            edits: body.operations.iter().any(|(operation, _)| matches!(operation, Operation::Edit(_))),
        }))
    }
}

/// The name of an operation of an entry by its place.
fn named(log: &LogRow, entry: &StoredEntry, index: usize) -> FactId {
    let key: EntryKey = entry.key;
    let index = u8::try_from(index).unwrap_or(u8::MAX);
    FactId::Written(OpRef { entry: EntryRef::new(log.log, key.seq(), &entry.id), index })
}

/// Type and id of the resources that a body's operations became, each once.
fn targets(body: &Body<'_>, name: impl Fn(usize) -> FactId) -> Vec<(&'static str, String)> {
    let mut targets: Vec<(&'static str, String)> = Vec::new();
    for (index, (operation, _)) in body.operations.iter().enumerate() {
        let target = match operation {
            Operation::Edit(edit) => Some(("Patient", edit.patient.to_hex())),
            Operation::Fact(fact) => resource_type(fact.statement.kind())
                .map(|kind| (kind, resource_id(&fact.import.map_or_else(|| name(index), FactId::Imported)))),
            Operation::Reading(_) => Some(("AuditEvent", resource_id(&name(index)))),
            Operation::Newer => None,
        };
        targets.extend(target.filter(|target| !targets.contains(target)));
    }
    targets
}

fn export_author(author: &Author) -> ExportAuthor<'_> {
    ExportAuthor {
        device: author.device,
        person: author.person.as_deref().unwrap_or_default(),
        organisation: author.organisation.as_deref().unwrap_or_default(),
    }
}

//! What the office decides at its own book: revokes by what it knows, bars, endorsements, erasures. What these came
//! to is read out of its control log and goes into the account of the office.

use super::World;
use super::device::{Place, Tips};
use super::invariant::{Invariant, broken, hold};
use super::office::device_id;
use super::plan::Topology;
use daybook_core::daybook::{Endorsing, Error, ErrorKind};
use daybook_core::id::{CONTROL, DeviceId};
use daybook_core::log::{Run, VerifiedEntry, VerifiedRun};
use daybook_core::roster::{ControlBody, PlaceOf};
use daybook_core::sync::{OutRun, Piece, Shelf};
use rand::RngExt;
use rand::seq::IndexedRandom;
use std::collections::BTreeSet;

/// The device of the office.
const DESK: usize = 0;
/// Lines of the list of what waits for review that the office looks at.
const LINES_MAX: usize = 60;
/// Bytes of a frame with runs that are read back.
const FRAME_BYTES: usize = 16 * 1024;
/// Bytes of control entries that are read back at once.
const RUN_BYTES: usize = 1 << 20;

impl World {
    /// The office decides something at its own book.
    pub(super) fn decide(&mut self) {
        self.look_at_disks();
        if self.all.devices[DESK].disk_is_faulty() {
            return;
        }
        let mut before = self.all.devices[DESK].tips();
        let what = match self.rng.random_range(0..10) {
            0..2 => self.bar(),
            2..6 => self.endorse(),
            _ => self.erase(),
        };
        let what = what.unwrap_or_else(|error| self.was_refused(&error));
        self.note_decided(&mut before);
        self.happened(what, &[]);
        self.notice(DESK, None);
    }

    /// The office may be late, or there is nothing to decide; nothing else keeps it from it.
    fn was_refused(&self, error: &Error) -> &'static str {
        if error.kind() != ErrorKind::Refused && error.kind() != ErrorKind::Denied {
            broken(Invariant::WhoMayWriteCan, format!("the office cannot decide: {error}"));
        }
        "decisions without an object"
    }

    /// Ends a grant by the book of the office, which trusts what it holds; says whether it did.
    pub(super) fn revoke_at_the_desk(&mut self, author: usize) -> bool {
        self.look_at_disks();
        if self.all.devices[DESK].disk_is_faulty() {
            return false;
        }
        let device = device_id(&self.keys, author);
        let mut before = self.all.devices[DESK].tips();
        let held = self.tips_of(device);
        let count = self.office.ended.len();
        if let Err(error) = self.all.devices[DESK].book().revoke(&device.to_hex(), None, None) {
            self.was_refused(&error);
        }
        self.note_decided(&mut before);
        let Some(ended) = self.office.ended.get(count) else { return false };
        let cuts: BTreeSet<PlaceOf> = ended.cuts.iter().copied().collect();
        hold(cuts == held, Invariant::AcceptedIsWrittenByRight, || {
            format!("the office ended author {author} and trusts {cuts:?}, not the {held:?} that it held")
        });
        self.add("revokes at a book", 1);
        true
    }

    /// The ends of all branches that the office holds of a device.
    fn tips_of(&mut self, device: DeviceId) -> BTreeSet<PlaceOf> {
        let mut tips = BTreeSet::new();
        for log in self.all.devices[DESK].book().frontier().expect("the book is read") {
            for branch in &log.branches {
                let piece = Piece { log: log.number, branch: branch.branch, from: branch.tip_seq, to: branch.tip_seq };
                let of = self.read_back(piece, |run| run.name().device);
                if of.first() == Some(&device) {
                    tips.insert(PlaceOf { log: log.log, seq: branch.tip_seq, id: branch.tip_id });
                }
            }
        }
        tips
    }

    /// Reads runs of the office's book.
    fn read_back<T>(&mut self, piece: Piece, read: impl Fn(&VerifiedRun<'_>) -> T) -> Vec<T> {
        let incident = self.keys.incident;
        let runs = self.all.devices[DESK].book().runs(piece, FRAME_BYTES, RUN_BYTES).expect("the book is read");
        let of = |run: &OutRun| {
            let run = Run::read(&run.bytes).and_then(|run| run.verify(&incident).map(|run| read(&run)));
            run.expect("a run of its own")
        };
        runs.iter().map(of).collect()
    }

    /// Stops service for a hostile member, or lets it be served again.
    fn bar(&mut self) -> Result<&'static str, Error> {
        // Who was barred is shut out by new keys, and these do not pass through a relay.
        if !matches!(self.plan.topology, Topology::All | Topology::MeetingsOnly) {
            return Ok("decisions without an object");
        }
        let Some(hostile) = self.all.hostile.choose(&mut self.rng) else { return Ok("decisions without an object") };
        let author = hostile.author;
        let device = device_id(&self.keys, author).to_hex();
        // Who was ended is barred for good.
        if self.office.ended.iter().any(|ended| ended.author == author) {
            return Ok("decisions without an object");
        }
        let book = self.all.devices[DESK].book();
        if self.office.is_barred(author) {
            book.lift_bars(&device)?;
            return Ok("bars lifted");
        }
        book.bar(&device)?;
        Ok("bars")
    }

    /// Lets something count that waits: one entry, a log up to it, or all that stands on its grant.
    fn endorse(&mut self) -> Result<&'static str, Error> {
        let (waiting, _) = self.all.devices[DESK].book().quarantine(LINES_MAX)?;
        // What cannot be read is not endorsed.
        let readable: Vec<_> = waiting
            .iter()
            .filter(|waiting| waiting.line.compartment != "control" && !waiting.line.operations.is_empty())
            .collect();
        let Some(waiting) = readable.choose(&mut self.rng) else { return Ok("decisions without an object") };
        let (how, what) = match self.rng.random_range(0..4) {
            0 | 1 => (Endorsing::Entry, "endorsed entries"),
            2 => (Endorsing::Log, "endorsed logs"),
            _ => (Endorsing::Grant, "endorsed grants"),
        };
        self.all.devices[DESK].book().endorse(&waiting.line.entry.0, how)?;
        Ok(what)
    }

    /// Takes an entry out of what counts.
    fn erase(&mut self) -> Result<&'static str, Error> {
        if self.count("erased entries") >= 6 {
            return Ok("decisions without an object");
        }
        let lines = self.all.devices[DESK].book().log(None, LINES_MAX)?;
        let lines: Vec<_> = lines.iter().filter(|line| line.compartment != "control").collect();
        let Some(line) = lines.choose(&mut self.rng) else { return Ok("decisions without an object") };
        self.all.devices[DESK].book().erase(&line.entry.0, "of another person")?;
        Ok("erased entries")
    }

    /// Takes what the book of the office wrote since `before` into the account of the office.
    fn note_decided(&mut self, before: &mut Tips) {
        let since = before.clone();
        self.note_written(DESK, before, &mut 0);
        for log in self.all.devices[DESK].book().frontier().expect("the book is read") {
            let [branch] = &log.branches[..] else { continue };
            let from = since.get(&(log.number, branch.branch)).copied().unwrap_or(0) + 1;
            if log.compartment != CONTROL || from > branch.tip_seq {
                continue;
            }
            let piece = Piece { log: log.number, branch: branch.branch, from, to: branch.tip_seq };
            let decided = self.read_back(piece, |run| {
                let read = |entry: &VerifiedEntry<'_>| {
                    let place = Place { log: run.log(), seq: entry.seq(), id: *entry.id() };
                    let body = entry.body().and_then(|body| ControlBody::read(body).ok());
                    (place, body.expect("a body of its own").control)
                };
                run.entries().iter().map(read).collect::<Vec<_>>()
            });
            for (place, control) in decided.into_iter().flatten().filter(|(place, _)| place.seq >= from) {
                self.office.note(&self.keys, place, control);
            }
        }
    }
}

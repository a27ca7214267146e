//! Phones that are lost for ever once they said that they can be, and what people look at twice.

use super::World;
use super::device::{Device, Place};
use super::invariant::{Invariant, hold};
use super::office::device_id;
use super::oracle::secrets_of;
use daybook_core::daybook::SafeToLose;
use daybook_core::id::{CompartmentId, EntryId, IncidentId, LogId};
use daybook_core::log::Run;
use daybook_core::roster::CompartmentKind;
use daybook_core::sync::{Piece, Shelf, row_of};
use std::collections::BTreeSet;

/// Phones that are lost for ever in one world.
const FAREWELLS_MAX: u64 = 3;

/// Bytes of a frame with runs that are read back.
const FRAME_BYTES: usize = 16 * 1024;

/// What a device held and had keys for when somebody looked, and what it showed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Looked {
    heads: Vec<(LogId, u64, EntryId)>,
    keys: usize,
    patients: usize,
    shown: Option<blake3::Hash>,
}

impl World {
    /// Somebody looks at a device again: what was shown once changes by an entry, a key or a finding alone.
    pub(super) fn look_again(&mut self) {
        self.look_at_disks();
        let device = self.any_device();
        if self.all.devices[device].disk_is_faulty() || self.all.devices[device].is_relay() {
            return;
        }
        self.all.devices[device].book().post_all().expect("posted");
        let audit = self.keys.compartment(CompartmentKind::Audit);
        let heads = self.all.devices[device].heads_but(audit);
        let (keys, patients) = (secrets_of(&self.all.devices[device]).len(), self.patients.len());
        let now = Looked { heads, keys, patients, shown: self.look(device) };
        if let Some(before) = self.looked.insert(device, now.clone())
            && (Looked { shown: now.shown, ..before.clone() }) == now
        {
            hold(before == now, Invariant::ShownStaysWithoutNews, || {
                format!("device {device} shows something else, and nothing came since")
            });
            self.add("looks without news", 1);
        }
    }

    /// Somebody asks whether a phone can be lost. What it answers must be true; if it says yes, the phone is lost and
    /// its owner gets another one.
    pub(super) fn farewell(&mut self) {
        self.look_at_disks();
        let device = self.any_device();
        if device == 0 || self.all.devices[device].disk_is_faulty() || self.all.devices[device].is_relay() {
            return;
        }
        let safe = self.all.devices[device].book().safe_to_lose().expect("the book is read");
        let proven = self.check_holders(device, &safe);
        let nothing_lacks = !safe.own.is_empty() && safe.lacking().next().is_none();
        let few = self.count("phones lost for ever") < FAREWELLS_MAX && !self.is_stopped(device);
        if nothing_lacks && proven && few {
            self.lose_for_ever(device);
        }
    }

    /// Whoever is said to hold a whole log holds it, with all bodies. Says whether an honest device does for each.
    fn check_holders(&mut self, device: usize, safe: &SafeToLose) -> bool {
        let mut proven = true;
        let mut written = self.all.devices[device].written.clone();
        // Of what an old copy put in its place does not know, the book says nothing.
        written.retain(|place| self.all.devices[device].holds(place));
        for (log, _) in &safe.own {
            let mut by_honest = false;
            for by in log.by.iter().filter(|by| by.entries == log.entries) {
                let of = |other: &usize| device_id(&self.keys, self.all.devices[*other].author) == by.who.device;
                let others: Vec<usize> = (0..self.all.devices.len()).filter(of).collect();
                // An old copy may have taken the place of what signed; a hostile member signs anything.
                if others.is_empty() || others.iter().any(|other| self.all.devices[*other].replaced) {
                    continue;
                }
                let places = written.iter().filter(|place| place.log.short() == log.log);
                let places: Vec<Place> =
                    places.filter(|place| !self.office.erased.contains(&place.id)).copied().collect();
                let found = others.into_iter().any(|other| {
                    places.iter().all(|place| self.all.devices[other].holds_body(place, &self.keys.incident))
                });
                hold(found, Invariant::ReceiptsAreTrue, || {
                    format!("device {device} is told that {:?} holds its log {}, which it does not", by.who, log.log)
                });
                by_honest = true;
            }
            proven &= by_honest;
        }
        self.add("receipts looked at", safe.holders.len() as u64);
        proven
    }

    /// A phone is gone for good, and all that it was told is written must be elsewhere. Another one takes its place.
    fn lose_for_ever(&mut self, device: usize) {
        self.lose_links(device);
        let buried = std::mem::take(&mut self.all.devices[device].written);
        let role = self.all.devices[device].role;
        let author = self.office.admit(&mut self.keys, false, role, 0);
        let (root, clock) = (self.root.join(format!("again-{author}")), self.draw_clock());
        let seed = self.seed ^ (author as u64) << 40;
        self.all.devices[device] =
            Device::join((&self.keys, &self.office), (device, author, role), (&root, seed), clock);
        for place in buried {
            hold(
                self.all.devices.iter_mut().any(|device| device.holds(&place)),
                Invariant::NothingAcknowledgedIsLost,
                || format!("device {device} was said to be safe to lose, and {place:?} went with it"),
            );
            self.buried.insert(place);
        }
        self.forget_lost();
        self.looked.remove(&device);
        self.happened("phones lost for ever", &[device as u64]);
        self.tell(false);
    }

    /// Entries that no book holds any more are lost, of whomever they are.
    pub(super) fn forget_lost(&mut self) {
        let mut gone = BTreeSet::new();
        for of in 0..self.all.devices.len() {
            for place in std::mem::take(&mut self.all.devices[of].written) {
                if self.all.devices.iter_mut().any(|device| device.holds(&place)) {
                    self.all.devices[of].written.push(place);
                } else {
                    gone.insert(place);
                }
            }
        }
        for place in std::mem::take(&mut self.buried) {
            if self.all.devices.iter_mut().any(|device| device.holds(&place)) {
                self.buried.insert(place);
            } else {
                gone.insert(place);
            }
        }
        self.lost.extend(gone);
    }
}

impl Device {
    /// The ends of all branches of logs outside a compartment.
    pub(super) fn heads_but(&mut self, but: CompartmentId) -> Vec<(LogId, u64, EntryId)> {
        let heads = self.book().frontier().expect("the book is read").into_iter();
        let of = heads.filter(|log| log.compartment != but);
        let mut ends: Vec<_> =
            of.flat_map(|log| log.branches.into_iter().map(move |b| (log.log, b.tip_seq, b.tip_id))).collect();
        ends.sort_unstable();
        ends
    }

    /// Whether the book holds an entry with its body.
    pub(super) fn holds_body(&mut self, place: &Place, incident: &IncidentId) -> bool {
        let book = self.book();
        let Some(log) = book.heads(&place.log).expect("the book is read") else { return false };
        let Some(branch) = book.holds(log.number, place.seq, place.id.as_bytes()).expect("the book is read") else {
            return false;
        };
        let branch = row_of(&log.branches, branch, place.seq);
        let piece = Piece { log: log.number, branch, from: place.seq, to: place.seq };
        let runs = book.runs(piece, FRAME_BYTES, 0).expect("the book is read");
        runs.iter().any(|run| {
            let run = Run::read(&run.bytes).and_then(|run| run.verify(incident)).expect("a run of its own");
            run.entries().iter().any(|entry| *entry.id() == place.id && entry.body().is_some())
        })
    }
}

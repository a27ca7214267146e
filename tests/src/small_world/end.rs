//! The end of a world: the faults stop, and all books must come to the same, nothing acknowledged missing.

use super::carried::runs;
use super::device::Place;
use super::link::{Fault, Link};
use super::{Topology, World};
use crate::model::{Counts, Entry, differs, model};
use daybook_core::crypto::Place as SealedAt;
use daybook_core::daybook::Purpose;
use daybook_core::entry::Sealed;
use daybook_core::id::EntryId;
use daybook_core::log::Run;
use daybook_core::record::{Body, EntryRef, FindingKind, Operation};
use daybook_core::roster::CompartmentKind;
use daybook_core::sync::Shelf;
use std::collections::{BTreeMap, BTreeSet};

/// Steps of one meeting without faults.
const STEPS_MAX: usize = 20_000;

impl World {
    /// Lets what is under way come to its end, then lets all meet until they are one, and checks everything.
    pub(super) fn come_to_rest(&mut self) {
        for _ in 0..STEPS_MAX {
            if self.links.is_empty() {
                break;
            }
            self.move_on();
        }
        assert!(self.links.is_empty(), "a conversation never ends");
        // Along a chain news goes one device a round at worst.
        for _ in 0..self.devices.len() {
            for between in self.pairs() {
                self.meet_in_peace(between);
            }
            self.add("rounds at the end", 1);
            if self.are_one() {
                break;
            }
        }
        assert!(self.are_one(), "the books differ after the last meeting:\n{}", self.who_waits());
        let digest = self.devices[0].book().digest().expect("a digest");
        for (name, hash) in &digest {
            self.trace.update(name.as_bytes()).update(hash.as_bytes());
        }
        self.check_entries();
        self.check_shown();
    }

    fn move_on(&mut self) {
        let moved = self.move_links();
        let due = self.links.iter().filter_map(Link::due_ms).min().unwrap_or(self.now_ms);
        self.pass(if moved { 10 } else { due.saturating_sub(self.now_ms).clamp(1, 30_000) });
    }

    fn meet_in_peace(&mut self, between: [usize; 2]) {
        self.links.push(Link::open(&mut self.devices, between, Fault::None, 0, self.now_ms));
        let began_ms = self.now_ms;
        for _ in 0..STEPS_MAX {
            if self.links.is_empty() {
                break;
            }
            self.move_on();
        }
        assert!(self.links.is_empty(), "{between:?} never part");
        assert!(self.now_ms - began_ms < 60_000, "{between:?} waited without need");
        let [one, two] = between.map(|device| self.devices[device].book().digest().expect("a digest"));
        assert_eq!(one, two, "{between:?} met in peace and differ:\n{}", self.who_waits());
    }

    fn are_one(&mut self) -> bool {
        let digests: BTreeSet<_> = self.devices.iter_mut().map(|d| d.book().digest().expect("a digest")).collect();
        digests.len() == 1
    }

    /// What each device holds and waits for.
    fn who_waits(&mut self) -> String {
        let mut all: BTreeMap<_, BTreeSet<(u64, EntryId)>> = BTreeMap::new();
        for device in &mut self.devices {
            for log in device.book().frontier().expect("the book is read") {
                all.entry(log.log).or_default().extend(log.branches.iter().map(|b| (b.tip_seq, b.tip_id)));
            }
        }
        let mut text = String::new();
        for device in &mut self.devices {
            let entries = device.book().status().expect("a status").entries;
            text.push_str(&format!("device {}: {entries:?}\n", device.number));
            for (log, heads) in &all {
                for (seq, id) in heads {
                    if !device.holds(&Place { log: *log, seq: *seq, id: *id }) {
                        text.push_str(&format!("  has not {} up to {seq}\n", log.short()));
                    }
                }
            }
            for patient in &self.patients {
                if let Ok(chart) = device.book().read_patient(*patient, Purpose::Treatment) {
                    for (author, count) in chart.waits_for {
                        text.push_str(&format!("  waits for {count} of {:?} for {patient}\n", author.device));
                    }
                }
            }
            for (name, hash) in device.book().digest().expect("a digest") {
                text.push_str(&format!("  {name} {}\n", &hash[..16]));
            }
        }
        text
    }

    /// Every entry that was acknowledged is everywhere, accepted, and every book is whole.
    fn check_entries(&mut self) {
        let held: BTreeSet<Place> = self.entries_of(0).0.into_iter().collect();
        for device in &self.devices {
            for place in &device.written {
                assert!(held.contains(place), "device {} had {place:?} acknowledged, and it is gone", device.number);
            }
        }
        let written: BTreeSet<Place> = self.devices.iter().flat_map(|d| d.written.iter().copied()).collect();
        let back = self.lost.iter().filter(|place| held.contains(place)).count();
        let control = self.keys.root.logs.values().map(|log| log.entries.len()).sum::<usize>();
        assert_eq!(held.len(), written.len() + back + control, "entries that nobody wrote");
        for device in &mut self.devices {
            let number = device.number;
            let entries = device.book().status().expect("a status").entries;
            assert_eq!((entries.total, entries.accepted), (held.len() as u64, held.len() as u64), "device {number}");
            let report = device.book().verify(&mut |_, _| {}).expect("checked");
            assert!(report.problems.is_empty(), "device {number}: {:?}", report.problems);
        }
        self.add("entries", held.len() as u64);
    }

    /// A device shows what the reference model says of its entries.
    fn check_shown(&mut self) {
        let shown = self.any_device();
        let entries = self.entries_of(shown).1;
        let expected = model(&entries);
        let patients = self.patients.clone();
        let same = differs(self.devices[shown].book(), &expected, &patients);
        assert!(same.is_ok(), "device {shown} and the model: {}", same.unwrap_err());
        let of_kind = |kind| expected.findings.values().filter(|(of, _)| *of == kind).count() as u64;
        let concurrent = expected.patients.values().flat_map(|p| &p.registers).filter(|r| r.3).count() as u64;
        self.add("double dispenses", of_kind(FindingKind::DuplicateDispense));
        self.add("forks", of_kind(FindingKind::Fork));
        self.add("implausible times", of_kind(FindingKind::ImplausibleTime));
        self.add("concurrent counts", of_kind(FindingKind::ConcurrentCounts));
        self.add("concurrent values", concurrent);
        self.add(
            match self.topology {
                Topology::All => "worlds where all meet all",
                Topology::Chain => "chains",
                Topology::Star => "stars",
                Topology::MeetingsOnly => "worlds of meetings only",
            },
            1,
        );
    }

    /// All entries of a device: their places, and those outside control as the model takes them, in an order in
    /// which what an entry names stands before it.
    fn entries_of(&mut self, device: usize) -> (Vec<Place>, Vec<Entry>) {
        let mut file = Vec::new();
        self.devices[device].book().export_log(&mut file).expect("exported");
        let kinds: BTreeMap<_, CompartmentKind> =
            self.keys.compartments.iter().map(|(kind, id)| (*id, *kind)).collect();
        let mut places = Vec::new();
        let mut opened: BTreeMap<EntryId, (Entry, EntryId)> = BTreeMap::new();
        for run in runs(&file) {
            let run = Run::read(&run).and_then(|run| run.verify(&self.keys.incident)).expect("a valid run").clone();
            let (name, log) = (*run.name(), run.log());
            for entry in run.entries() {
                places.push(Place { log, seq: entry.seq(), id: *entry.id() });
                let Some(kind) = kinds.get(&name.compartment) else { continue };
                let Sealed::Body(sealed) = entry.entry().sealed else { panic!("nothing is erased") };
                let at = SealedAt { incident: self.keys.incident, log, seq: entry.seq() };
                let mut bytes = Vec::new();
                let key = &self.keys.epochs[&name.compartment].2;
                key.open(&at, &entry.entry().nonce, sealed, &mut bytes).expect("it opens");
                let body = Body::read(&bytes, name.lane, *kind).expect("a body");
                let reference = EntryRef::new(log, entry.seq(), entry.id());
                let operations = body.operations.iter().map(|(_, bytes)| bytes.to_vec()).collect();
                let (device, compartment, counts) = (name.device, *kind, Counts::Accepted);
                let entry_of =
                    Entry { reference, device, compartment, before: None, hlc: body.hlc, counts, operations };
                opened.insert(*entry.id(), (entry_of, *entry.backlink()));
            }
        }
        (places, in_order(opened))
    }
}

/// Puts entries after all that they name.
fn in_order(mut opened: BTreeMap<EntryId, (Entry, EntryId)>) -> Vec<Entry> {
    let mut index: BTreeMap<EntryId, usize> = BTreeMap::new();
    let by_reference: BTreeMap<EntryRef, EntryId> =
        opened.iter().map(|(id, (entry, _))| (entry.reference, *id)).collect();
    let mut ordered: Vec<Entry> = Vec::new();
    while !opened.is_empty() {
        let ready: Vec<EntryId> = opened
            .iter()
            .filter(|(_, (entry, before))| {
                let here = |id: &EntryId| !opened.contains_key(id);
                here(before) && named(entry).iter().all(|r| by_reference.get(r).is_none_or(here))
            })
            .map(|(id, _)| *id)
            .collect();
        assert!(!ready.is_empty(), "entries name each other in a circle");
        for id in ready {
            let (mut entry, before) = opened.remove(&id).expect("it waits");
            entry.before = index.get(&before).copied();
            index.insert(id, ordered.len());
            ordered.push(entry);
        }
    }
    ordered
}

fn named(entry: &Entry) -> Vec<EntryRef> {
    let parents = entry.operations.iter().filter_map(|bytes| match Operation::read(bytes) {
        Ok(Operation::Edit(edit)) => Some(edit.parents),
        _ => None,
    });
    parents.flatten().collect()
}

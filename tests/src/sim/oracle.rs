//! Looks at books from outside: which keys a device holds, what they open, and what each entry must come to by the
//! account of those who wrote it.

use super::World;
use super::carried::runs;
use super::device::{Device, Place};
use super::hostile::Expect;
use super::invariant::{Invariant, broken, hold};
use super::office::{Ended, device_id};
use crate::model::{Counts, Entry};
use crate::pages;
use daybook_core::crypto::{EpochSecret, Nonce, Place as SealedAt, ReadingKey, Secret};
use daybook_core::entry::Sealed;
use daybook_core::id::{CONTROL, CompartmentId, DeviceId, EntryId, KeyId, Lane, LogId};
use daybook_core::log::Run;
use daybook_core::record::{Body, EntryRef, Operation};
use daybook_core::roster::{CompartmentKind, PlaceOf};
use daybook_core::store::StoredSecret;
use rand::seq::IndexedRandom;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of an entry on the wire beside its sealed body, at most.
const HEADER_BYTES: u64 = 200;

/// An entry as a book holds it.
pub(super) struct Held {
    pub place: Place,
    pub device: DeviceId,
    pub compartment: CompartmentId,
    pub lane: Lane,
    pub backlink: EntryId,
    pub key: KeyId,
    pub nonce: Nonce,
    pub sealed: Vec<u8>,
}

impl Held {
    /// What it costs to send.
    pub fn bytes(&self) -> u64 {
        self.sealed.len() as u64 + HEADER_BYTES
    }

    /// The body, by a key that need not be the one that it names.
    pub fn open(&self, world: &World, key: &ReadingKey) -> Option<Vec<u8>> {
        let at = SealedAt { incident: world.keys.incident, log: self.place.log, seq: self.place.seq };
        let mut body = Vec::new();
        key.open(&at, &self.nonce, &self.sealed, &mut body).ok().map(|()| body)
    }
}

/// The secrets of epochs that a device holds, read out of its file.
pub(super) fn secrets_of(device: &Device) -> Vec<(KeyId, CompartmentId, StoredSecret)> {
    let (folder, key) = device.file();
    let file = pages::open_with_key(folder, key);
    let mut statement = file.prepare("SELECT key, compartment, history, secret FROM secret").expect("a table");
    let rows = statement
        .query_map([], |row| {
            let secret: Vec<u8> = row.get(3)?;
            let secret = Secret::from_slice(&secret).expect("32 bytes");
            let secret = if row.get::<_, bool>(2)? {
                StoredSecret::History(EpochSecret::from_secret(secret))
            } else {
                StoredSecret::Reading(secret)
            };
            Ok((KeyId::new(row.get(0)?), CompartmentId::new(row.get(1)?), secret))
        })
        .expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

impl World {
    /// All entries of a device.
    pub(super) fn held_by(&mut self, device: usize) -> Vec<Held> {
        let mut file = Vec::new();
        self.all.devices[device].book().export_log(&mut file).expect("exported");
        let mut all = Vec::new();
        for run in runs(&file) {
            let run = Run::read(&run).and_then(|run| run.verify(&self.keys.incident)).expect("a valid run").clone();
            let (name, log) = (*run.name(), run.log());
            for entry in run.entries() {
                let Sealed::Body(sealed) = entry.entry().sealed else { panic!("nothing is erased") };
                all.push(Held {
                    place: Place { log, seq: entry.seq(), id: *entry.id() },
                    device: name.device,
                    compartment: name.compartment,
                    lane: name.lane,
                    backlink: *entry.backlink(),
                    key: entry.entry().ground.key,
                    nonce: entry.entry().nonce,
                    sealed: sealed.to_vec(),
                });
            }
        }
        all
    }

    /// The kind of a compartment that somebody with the right made.
    pub(super) fn kind_of(&self, compartment: CompartmentId) -> Option<CompartmentKind> {
        self.keys.compartments.iter().find(|(_, id)| **id == compartment).map(|(kind, _)| *kind)
    }

    /// All keys that any honest device holds.
    pub(super) fn all_keys(&self) -> BTreeMap<KeyId, ReadingKey> {
        let of_devices = self.all.devices.iter().flat_map(secrets_of);
        let mut keys: BTreeMap<KeyId, ReadingKey> =
            of_devices.map(|(id, _, secret)| (id, secret.reading_key())).collect();
        keys.extend(self.keys.epochs.values().map(|(id, _, key)| (*id, key.clone())));
        keys
    }

    /// No device holds keys of what its role does not read, and none of its keys opens more than that.
    pub(super) fn check_keys(&mut self, held: &[Held]) {
        for number in 0..self.all.devices.len() {
            let device = &self.all.devices[number];
            let secrets = secrets_of(device);
            let may = |compartment| self.kind_of(compartment).is_some_and(|kind| device.has_keys(kind));
            for (key, compartment, _) in &secrets {
                hold(may(*compartment), Invariant::OpensNothingBeyondItsRights, || {
                    format!(
                        "device {number}, {:?}, holds {key:?} of a compartment for which it needs none",
                        device.role
                    )
                });
            }
            let ids: BTreeSet<KeyId> = secrets.iter().map(|(id, ..)| *id).collect();
            self.check_blind(number, &ids, held);
            let device = &self.all.devices[number];
            let may = |compartment| self.kind_of(compartment).is_some_and(|kind| device.has_keys(kind));
            let beyond: Vec<&Held> = held.iter().filter(|e| e.compartment != CONTROL && !may(e.compartment)).collect();
            let opens = beyond.iter().find(|entry| ids.contains(&entry.key)).copied();
            let sample = beyond.sample(&mut self.rng, 8).copied();
            let opens = opens.or_else(|| {
                sample
                    .into_iter()
                    .find(|entry| secrets.iter().any(|(_, _, s)| entry.open(self, &s.reading_key()).is_some()))
            });
            if let Some(entry) = opens {
                broken(
                    Invariant::OpensNothingBeyondItsRights,
                    format!("device {number}, {:?}, opens {:?}", device.role, entry.place),
                );
            }
        }
    }

    /// Notes who must be blind for what a device just wrote: those of whose end it knows.
    pub(super) fn note_blind(&mut self, device: usize, places: &[Place]) {
        let ended: Vec<(usize, Place)> = self.office.ended.iter().map(|ended| (ended.author, ended.place)).collect();
        let known = ended.into_iter().filter(|(_, place)| self.all.devices[device].holds(place));
        let known: BTreeSet<usize> = known.map(|(author, _)| author).collect();
        if !known.is_empty() {
            self.blind.extend(places.iter().map(|place| (place.id, known.clone())));
        }
    }

    /// Nobody opens what was written by one who knew that he was ended.
    fn check_blind(&mut self, number: usize, ids: &BTreeSet<KeyId>, held: &[Held]) {
        let author = self.all.devices[number].author;
        let lifted = self.office.lifted_for(&self.keys, author);
        let ended = self.office.in_effect(&self.keys).any(|ended| ended.author == author);
        if !ended || !lifted.is_empty() {
            return;
        }
        let of_us = |entry: &&Held| self.blind.get(&entry.place.id).is_some_and(|blind| blind.contains(&author));
        let sealed = || held.iter().filter(|entry| entry.compartment != CONTROL).filter(of_us);
        if let Some(entry) = sealed().find(|entry| ids.contains(&entry.key)) {
            broken(
                Invariant::OpensNothingBeyondItsRights,
                format!("device {number} was ended, and opens {:?}, whose author knew of it", entry.place),
            );
        }
        let count = sealed().count() as u64;
        self.add("entries that the ended cannot open", count);
    }

    /// What every entry must come to, by the account of those who wrote it; `opens` are the keys that whoever reads
    /// all holds.
    pub(super) fn expected(&self, held: &[Held], opens: &BTreeSet<KeyId>) -> BTreeMap<EntryId, Expect> {
        let authors: BTreeMap<DeviceId, usize> =
            (0..self.keys.authors.len()).map(|author| (device_id(&self.keys, author), author)).collect();
        let backlinks: BTreeMap<EntryId, EntryId> = held.iter().map(|e| (e.place.id, e.backlink)).collect();
        let ended: Vec<&Ended> = self.office.in_effect(&self.keys).collect();
        let wrote = self.all.hostile.iter().flat_map(|hostile| &hostile.wrote);
        let wrote: BTreeMap<EntryId, Expect> = wrote.map(|(id, (_, expect))| (*id, *expect)).collect();
        let trusted: Vec<BTreeSet<EntryId>> = ended.iter().map(|cut| behind(&cut.cuts, held, &backlinks)).collect();
        let endorsed: BTreeSet<EntryId> =
            self.office.endorsed.iter().flat_map(|e| e.entries.iter().map(|p| p.id)).collect();
        let logs: Vec<PlaceOf> = self.office.endorsed.iter().flat_map(|endorse| endorse.logs.iter().copied()).collect();
        let endorsed_logs = behind(&logs, held, &backlinks);
        let mut expected = BTreeMap::new();
        for entry in held {
            let id = &entry.place.id;
            let mut expect = wrote.get(id).copied().unwrap_or(Expect::Accepted);
            if let Some(author) = authors.get(&entry.device) {
                let lifted = self.office.lifted_for(&self.keys, *author);
                let cuts = ended.iter().enumerate().filter(|(_, ended)| ended.author == *author);
                let mut cuts = cuts.filter(|(_, ended)| !lifted.contains(&ended.place.id));
                let cut = cuts.any(|(at, _)| !trusted[at].contains(id));
                let fallen = !self.office.grant_counts(&self.keys, *author);
                if (cut || fallen) && matches!(expect, Expect::Accepted | Expect::Unopened) {
                    expect = Expect::Waits;
                }
            }
            let outside_control = entry.compartment != CONTROL;
            if expect == Expect::Waits && outside_control && (endorsed.contains(id) || endorsed_logs.contains(id)) {
                expect = if opens.contains(&entry.key) { Expect::Accepted } else { Expect::Unopened };
            }
            if self.office.erased.contains(id) {
                expect = Expect::Erased;
            }
            expected.insert(*id, expect);
        }
        expected
    }

    /// The entries outside control as the model takes them, in an order in which what an entry names stands before it.
    pub(super) fn for_the_model(
        &self,
        held: &[Held],
        expected: &BTreeMap<EntryId, Expect>,
        (keys, opens): (&BTreeMap<KeyId, ReadingKey>, &BTreeSet<KeyId>),
    ) -> Vec<Entry> {
        let mut opened: BTreeMap<EntryId, (Entry, EntryId)> = BTreeMap::new();
        for entry in held {
            let Some(kind) = self.kind_of(entry.compartment) else { continue };
            let counts = match expected[&entry.place.id] {
                Expect::Accepted => Counts::Accepted,
                // What was sealed under keys of one who was ended may be closed to all others.
                Expect::Waits if !opens.contains(&entry.key) => Counts::Gone,
                Expect::Waits => Counts::Waits,
                Expect::Faulty | Expect::Unopened | Expect::Erased => Counts::Gone,
            };
            let bytes = keys.get(&entry.key).and_then(|key| entry.open(self, key));
            let body = bytes.as_ref().and_then(|bytes| Body::read(bytes, entry.lane, kind).ok());
            let lost = body.is_none() && counts == Counts::Accepted;
            hold(!lost, Invariant::AllBecomeOne, || format!("nobody opens {:?}", entry.place));
            let counts = if body.is_some() { counts } else { Counts::Gone };
            let (hlc, operations) = body.map_or_else(Default::default, |body| {
                (body.hlc, body.operations.iter().map(|(_, bytes)| bytes.to_vec()).collect())
            });
            let reference = EntryRef::new(entry.place.log, entry.place.seq, &entry.place.id);
            let (device, compartment, before) = (entry.device, kind, None);
            let entry_of = Entry { reference, device, compartment, before, hlc, counts, operations };
            opened.insert(entry.place.id, (entry_of, entry.backlink));
        }
        in_order(opened)
    }
}

/// Some entries of logs and all that stand before them in their branches.
fn behind(places: &[PlaceOf], held: &[Held], backlinks: &BTreeMap<EntryId, EntryId>) -> BTreeSet<EntryId> {
    let mut behind = BTreeSet::new();
    for PlaceOf { log, seq, id } in places {
        if backlinks.contains_key(id) {
            let mut at = Some(*id);
            while let Some(id) = at {
                behind.insert(id);
                at = backlinks.get(&id).copied().filter(|before| *before != EntryId::ZERO);
            }
        } else {
            // Nobody holds the entry that is named: what is below it counts, up to an earlier fork.
            let fork = first_fork(held, log).unwrap_or(u64::MAX);
            let below = held.iter().filter(|e| e.place.log == *log && e.place.seq < (*seq).min(fork));
            behind.extend(below.map(|e| e.place.id));
        }
    }
    behind
}

/// The lowest place of a log that two entries have.
fn first_fork(held: &[Held], log: &LogId) -> Option<u64> {
    let mut places: Vec<u64> = held.iter().filter(|e| e.place.log == *log).map(|e| e.place.seq).collect();
    places.sort_unstable();
    places.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// Puts entries after all that they name.
fn in_order(mut opened: BTreeMap<EntryId, (Entry, EntryId)>) -> Vec<Entry> {
    let mut index: BTreeMap<EntryId, usize> = BTreeMap::new();
    let by_reference: BTreeMap<EntryRef, EntryId> =
        opened.iter().map(|(id, (entry, _))| (entry.reference, *id)).collect();
    let mut ordered: Vec<Entry> = Vec::new();
    let mut needs: BTreeMap<EntryId, Vec<EntryId>> = BTreeMap::new();
    for (id, (entry, before)) in &opened {
        let mut of = vec![*before];
        of.extend(named(entry).iter().filter_map(|r| by_reference.get(r).copied()));
        needs.insert(*id, of);
    }
    while !opened.is_empty() {
        let here = |id: &EntryId| !opened.contains_key(id);
        let ready: Vec<EntryId> = opened.keys().filter(|id| needs[*id].iter().all(here)).copied().collect();
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

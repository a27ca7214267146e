//! The end of a world: the faults stop, and all books must come to the same, nothing acknowledged missing.

use super::device::Place;
use super::everybody::Party;
use super::hostile::Expect;
use super::invariant::{Invariant, broken, hold};
use super::link::{Fault, Link};
use super::oracle::{Held, secrets_of};
use super::{World, office};
use crate::crash::disk::Disk;
use crate::crash::vfs;
use crate::host::SeededHost;
use crate::memory::Watch;
use crate::model::{Entry, differs, finding_id, model};
use daybook_core::clock::DAY_MS;
use daybook_core::crypto::{DatabaseKey, DeviceSecret};
use daybook_core::daybook::{Daybook, Purpose};
use daybook_core::id::{CONTROL, EntryId, FindingId, LogId};
use daybook_core::record::{FactId, FindingKind};
use daybook_core::sync::Shelf;
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use std::collections::{BTreeMap, BTreeSet};

/// Steps of one meeting without faults.
const STEPS_MAX: usize = 20_000;
/// Bytes that a meeting may cost beside what was missing.
const MEETING_BYTES: u64 = 24 * 1024;
/// And for each log that either knows.
const LOG_BYTES: u64 = 160;
/// Bytes that an open book may hold.
const BOOK_BYTES_MAX: i64 = 32 * 1024 * 1024;

/// The heads of all logs.
type Heads = BTreeMap<LogId, BTreeSet<(u64, EntryId)>>;

/// What a meeting in peace cost, and what was missing on either side.
pub(super) struct Cost {
    between: [usize; 2],
    sent: u64,
    logs: u64,
    missing: Vec<(LogId, u64, u64)>,
}

impl World {
    /// Lets what is under way come to its end, then lets all meet until they are one, and checks everything.
    pub(super) fn come_to_rest(&mut self) {
        for _ in 0..STEPS_MAX {
            if self.links.is_empty() {
                break;
            }
            self.move_on();
            self.look_at_disks();
        }
        hold(self.links.is_empty(), Invariant::MeetingsEnd, || {
            let between: Vec<_> = self.links.iter().map(|link| (link.between, link.fault)).collect();
            format!("a conversation never ends: {between:?}")
        });
        self.split = None;
        for device in 0..self.all.devices.len() {
            if self.all.devices[device].disk_failed() {
                self.mend(device);
            }
            self.all.devices[device].mend();
            if device == 0 {
                // Some of it may have been told only to those whom nobody serves any more.
                let told = self.office.runs(&self.keys);
                self.all.devices[device].book().take_runs(&told).expect("control is taken in");
            }
            self.all.devices[device].book().post_all().expect("posted");
            self.check_book(device);
        }
        let costs = self.meet_until_one();
        let digest = self.all.devices[0].book().digest().expect("a digest");
        for (name, hash) in &digest {
            self.trace.update(name.as_bytes()).update(hash.as_bytes());
        }
        let held = self.held_by(0);
        let keys = self.all_keys();
        let opens = secrets_of(&self.all.devices[0]).into_iter().map(|(id, ..)| id).collect();
        let expected = self.expected(&held, &opens);
        self.check_keys(&held);
        self.check_entries(&held, &expected);
        self.check_costs(&held, &costs);
        let entries = self.for_the_model(&held, &expected, (&keys, &opens));
        self.check_doubles(&entries);
        self.check_shown(&held, &entries);
        self.check_forks(&held, &expected);
        self.check_clocks(&entries);
        self.check_again();
    }

    fn move_on(&mut self) {
        let moved = self.move_links();
        let due = self.links.iter().filter_map(Link::due_ms).min().unwrap_or(self.now_ms);
        self.pass(if moved { 10 } else { due.saturating_sub(self.now_ms).clamp(1, 30_000) });
    }

    fn meet_until_one(&mut self) -> Vec<Cost> {
        let standing = self.standing();
        let pairs = self.pairs().into_iter().filter(|pair| pair.iter().all(|device| standing.contains(device)));
        let pairs: Vec<[usize; 2]> = pairs.collect();
        let mut costs = Vec::new();
        // Along a chain news goes one device a round at worst.
        for _ in 0..standing.len() {
            for between in &pairs {
                costs.push(self.meet_in_peace(*between));
            }
            self.add("rounds at the end", 1);
            if self.are_one(&standing) {
                return costs;
            }
        }
        broken(Invariant::AllBecomeOne, format!("the books differ after the last meeting:\n{}", self.who_waits()))
    }

    fn meet_in_peace(&mut self, between: [usize; 2]) -> Cost {
        let before = between.map(|device| self.heads(device));
        let parties = between.map(Party::Honest);
        between.iter().for_each(|device| self.write_readings(*device));
        let link = Link::open(&mut self.all, (&self.keys, &self.office), parties, Fault::None, 0, self.now_ms);
        self.links.extend(link);
        let (began_ms, bytes) = (self.now_ms, self.count("bytes"));
        for _ in 0..STEPS_MAX {
            if self.links.is_empty() {
                break;
            }
            self.move_on();
        }
        hold(self.links.is_empty(), Invariant::MeetingsEnd, || format!("{between:?} never part"));
        hold(self.now_ms - began_ms < 60_000, Invariant::MeetingsEnd, || format!("{between:?} waited without need"));
        let waits = |world: &mut Self| format!("{between:?} met in peace and differ:\n{}", world.who_waits());
        if self.heads(between[0]) != self.heads(between[1]) {
            broken(Invariant::AllBecomeOne, waits(self));
        }
        if !self.show_the_same(between) {
            let waits = waits(self);
            let differ = between.map(|device| self.differs_when_made_again(device)).join("");
            broken(Invariant::EqualSetsShowTheSame, format!("{waits}{differ}"));
        }
        let after = self.heads(between[0]);
        let mut missing = Vec::new();
        for (log, heads) in &after {
            let last = heads.iter().map(|(seq, _)| *seq).max().unwrap_or(0);
            for before in &before {
                let had = before.get(log).map_or(0, |heads| heads.iter().map(|(seq, _)| *seq).max().unwrap_or(0));
                let forked = heads.len() > 1 && before.get(log) != Some(heads);
                if forked || had < last {
                    missing.push((*log, if forked { 0 } else { had }, last));
                }
            }
        }
        Cost { between, sent: self.count("bytes") - bytes, logs: after.len() as u64, missing }
    }

    fn heads(&mut self, device: usize) -> Heads {
        let heads = self.all.devices[device].book().frontier().expect("the book is read");
        heads.into_iter().map(|log| (log.log, log.branches.iter().map(|b| (b.tip_seq, b.tip_id)).collect())).collect()
    }

    /// What a device shows of the compartments that another reads too.
    fn digests(&mut self, device: usize, other: usize) -> Vec<(String, String)> {
        let digest = self.all.devices[device].book().digest().expect("a digest");
        let both = [&self.all.devices[device], &self.all.devices[other]];
        let kinds: Vec<&str> = self
            .keys
            .compartments
            .keys()
            .filter(|kind| both.iter().all(|device| device.reads(**kind)))
            .map(|kind| kind.word())
            .collect();
        digest.into_iter().filter(|(name, _)| kinds.iter().any(|kind| name.starts_with(kind))).collect()
    }

    fn show_the_same(&mut self, [a, b]: [usize; 2]) -> bool {
        self.heads(a) == self.heads(b) && self.digests(a, b) == self.digests(b, a)
    }

    fn are_one(&mut self, standing: &[usize]) -> bool {
        standing.iter().all(|device| self.show_the_same([0, *device]))
    }

    /// Says whether a device shows something else after its views are made again, and of which entries.
    fn differs_when_made_again(&mut self, device: usize) -> String {
        let book = self.all.devices[device].book();
        let (before, lines) = (book.digest().expect("a digest"), book.log(None, usize::MAX).expect("a log"));
        book.rebuild(&mut |_, _| {}).expect("made again");
        if before == book.digest().expect("a digest") {
            return String::new();
        }
        let again = book.log(None, usize::MAX).expect("a log");
        let other: Vec<_> = lines.iter().filter(|line| !again.contains(line)).collect();
        format!("device {device} shows something else after its views were made again; these entries too: {other:?}\n")
    }

    /// What each device holds and waits for.
    fn who_waits(&mut self) -> String {
        let mut all = Heads::new();
        for device in 0..self.all.devices.len() {
            for (log, heads) in self.heads(device) {
                all.entry(log).or_default().extend(heads);
            }
        }
        let mut text = String::new();
        let patients = self.patients.clone();
        for number in 0..self.all.devices.len() {
            let stopped = if self.is_stopped(number) { ", stopped" } else { "" };
            let device = &mut self.all.devices[number];
            let entries = device.book().status().expect("a status").entries;
            text.push_str(&format!("device {number}, {:?}{stopped}: {entries:?}\n", device.role));
            for (log, heads) in &all {
                for (seq, id) in heads {
                    if !device.holds(&Place { log: *log, seq: *seq, id: *id }) {
                        text.push_str(&format!("  has not {} up to {seq}\n", log.short()));
                    }
                }
            }
            for patient in &patients {
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

    /// Every entry that was acknowledged is everywhere, every entry was written by somebody, each comes to what it
    /// must, and every book is whole.
    fn check_entries(&mut self, held: &[Held], expected: &BTreeMap<EntryId, Expect>) {
        let places: BTreeSet<Place> = held.iter().map(|entry| entry.place).collect();
        let mut known: BTreeSet<Place> = self.office.places(&self.keys).into_iter().collect();
        known.extend(self.lost.iter().chain(&self.buried));
        for place in self.buried.clone() {
            let there = places.contains(&place) || self.all.devices.iter_mut().any(|device| device.holds(&place));
            hold(there, Invariant::NothingAcknowledgedIsLost, || {
                format!("{place:?} was on a phone that was said to be safe to lose, and is gone")
            });
        }
        known.extend(self.all.hostile.iter().flat_map(|hostile| hostile.wrote.values().map(|(place, _)| *place)));
        for number in 0..self.all.devices.len() {
            let stopped = self.is_stopped(number);
            for place in self.all.devices[number].written.clone() {
                known.insert(place);
                let mut there = if stopped { self.all.devices[number].holds(&place) } else { places.contains(&place) };
                if !there && self.all.devices[number].replaced {
                    // An old copy took its place; what it forgot may lie with one whom nobody serves any more.
                    there = self.all.devices.iter_mut().any(|device| device.holds(&place));
                }
                hold(there, Invariant::NothingAcknowledgedIsLost, || {
                    format!("device {number} had {place:?} acknowledged, and it is gone")
                });
            }
        }
        if let Some(entry) = held.iter().find(|entry| !known.contains(&entry.place)) {
            let kind = self.kind_of(entry.compartment);
            let devices = self.all.devices.iter().filter(|d| office::device_id(&self.keys, d.author) == entry.device);
            let devices: Vec<usize> = devices.map(|device| device.number).collect();
            let what = format!("nobody wrote {:?}, {kind:?}, of the keys of {devices:?}", entry.place);
            broken(Invariant::AcceptedIsWrittenByRight, what);
        }
        for number in self.standing() {
            self.check_counts(number, held, expected);
            self.check_book(number);
        }
        self.check_verdicts(held, expected);
        self.add("entries", held.len() as u64);
        self.add("entries that wait", expected.values().filter(|e| **e == Expect::Waits).count() as u64);
    }

    /// Pages, ids, chains and signatures are whole.
    fn check_book(&mut self, number: usize) {
        let report = self.all.devices[number].book().verify(&mut |_, _| {}).expect("checked");
        hold(report.problems.is_empty(), Invariant::BooksAreWhole, || {
            format!("device {number}: {:?}", report.problems)
        });
    }

    /// As many entries outside control are accepted as must be.
    fn check_counts(&mut self, number: usize, held: &[Held], expected: &BTreeMap<EntryId, Expect>) {
        let entries = self.all.devices[number].book().status().expect("a status").entries;
        let reads = |entry: &Held| {
            let kind = self.kind_of(entry.compartment);
            kind.is_some_and(|kind| self.all.devices[number].has_keys(kind))
        };
        // Control entries without effect are counted among the accepted.
        let counts = |e: &Held| match expected[&e.place.id] {
            Expect::Accepted => e.compartment == CONTROL || reads(e),
            Expect::Waits | Expect::Unopened => e.compartment == CONTROL,
            Expect::Faulty | Expect::Erased => false,
        };
        let accepted = held.iter().filter(|e| counts(e)).count() as u64;
        let right = entries.total == held.len() as u64 && entries.accepted == accepted;
        hold(right, Invariant::AcceptedIsWrittenByRight, || {
            format!("device {number} has {entries:?}, and should accept {accepted} of {}", held.len())
        });
    }

    /// Each entry comes to what it must on a device that reads all.
    fn check_verdicts(&mut self, held: &[Held], expected: &BTreeMap<EntryId, Expect>) {
        let readers = self.full_readers();
        let number = *readers.choose(&mut self.rng).expect("the first device reads all");
        let lines = self.all.devices[number].book().log(None, usize::MAX).expect("a log");
        let mut shown: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        let mut wanted: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for line in &lines {
            let word = match line.verdict.split(' ').next().unwrap_or_default() {
                "no" => "unopened",
                word => word,
            };
            shown.entry(line.entry.0.clone()).or_default().push(word);
        }
        for entry in held {
            let code = format!("{}-{}", entry.place.log.short(), entry.place.seq);
            wanted.entry(code).or_default().push(match expected[&entry.place.id] {
                Expect::Accepted => "accepted",
                Expect::Waits => "waiting",
                Expect::Faulty => "faulty",
                Expect::Unopened => "unopened",
                Expect::Erased => "erased",
            });
        }
        shown.values_mut().chain(wanted.values_mut()).for_each(|words| words.sort_unstable());
        for (code, words) in &wanted {
            let says = shown.get(code);
            hold(says == Some(words), Invariant::AcceptedIsWrittenByRight, || {
                let verdict =
                    lines.iter().find(|line| line.entry.0 == *code).map(|line| (&line.verdict, line.author.device));
                let ended: Vec<_> = self.office.in_effect(&self.keys).collect();
                format!("device {number} says {verdict:?} of {code}, which must be {words:?}; ended: {ended:?}")
            });
        }
    }

    /// A meeting costs at most three times what was missing, and a constant.
    fn check_costs(&mut self, held: &[Held], costs: &[Cost]) {
        let mut sizes: BTreeMap<(LogId, u64), u64> = BTreeMap::new();
        for entry in held {
            *sizes.entry((entry.place.log, entry.place.seq)).or_default() += entry.bytes();
        }
        for cost in costs {
            let bytes = |(log, from, to): &(LogId, u64, u64)| -> u64 {
                sizes.range((*log, from + 1)..=(*log, *to)).map(|(_, bytes)| bytes).sum()
            };
            let missing: u64 = cost.missing.iter().map(bytes).sum();
            let most = 3 * missing + MEETING_BYTES + LOG_BYTES * cost.logs;
            hold(cost.sent <= most, Invariant::BytesAreBounded, || {
                format!("{:?} sent {} bytes for {missing} that were missing", cost.between, cost.sent)
            });
        }
    }

    /// Devices that read both patients and stock.
    fn full_readers(&self) -> Vec<usize> {
        let all = self.standing().into_iter();
        all.filter(|d| self.keys.compartments.keys().all(|kind| self.all.devices[*d].reads(*kind))).collect()
    }

    /// Findings of double dispensing are those of the model of fifty lines.
    fn check_doubles(&mut self, entries: &[Entry]) {
        let id = |pair: &BTreeSet<_>| {
            let about = pair.iter().map(|op| FactId::Written(*op).to_bytes()).collect();
            finding_id(FindingKind::DuplicateDispense, about)
        };
        let expected: BTreeSet<FindingId> = super::doubles::doubles(entries).iter().map(id).collect();
        let readers = self.full_readers();
        let shown = *readers.choose(&mut self.rng).expect("the first device reads all");
        let found = self.all.devices[shown].book().findings(true).expect("findings");
        let found: BTreeSet<FindingId> =
            found.iter().filter(|f| f.kind == FindingKind::DuplicateDispense).map(|f| f.id).collect();
        hold(found == expected, Invariant::DoublesAreThoseOfTheModel, || {
            let (more, less) = (found.difference(&expected).count(), expected.difference(&found).count());
            format!("device {shown} shows {more} doubles that are none and {less} not, of {}", expected.len())
        });
        self.add("double dispenses", expected.len() as u64);
    }

    /// A device shows what the reference model says of its entries.
    fn check_shown(&mut self, held: &[Held], entries: &[Entry]) {
        let readers = self.full_readers();
        let shown = *readers.choose(&mut self.rng).expect("the first device reads all");
        let mut expected = model(entries);
        // A copied device may begin an epoch: then its control log, which is no matter of records, is forked too.
        let found = self.all.devices[shown].book().findings(true).expect("findings");
        for log in forked(held.iter().filter(|entry| entry.compartment == CONTROL)) {
            let id = finding_id(FindingKind::Fork, vec![log.as_bytes().to_vec()]);
            let resolved = found.iter().any(|finding| finding.id == id && finding.resolved.is_some());
            expected.findings.insert(id, (FindingKind::Fork, resolved));
        }
        let patients = self.patients.clone();
        if let Err(what) = differs(self.all.devices[shown].book(), &expected, &patients) {
            let of_stock = what.starts_with("stock") || what.starts_with("lines of stock");
            let invariant =
                if of_stock { Invariant::StockIsThatOfTheModel } else { Invariant::RecordsAreThoseOfTheModel };
            let again = self.differs_when_made_again(shown);
            broken(invariant, format!("device {shown} and the model: {what}\n{again}"));
        }
        let of_kind = |kind| expected.findings.values().filter(|(of, _)| *of == kind).count() as u64;
        let concurrent = expected.patients.values().flat_map(|p| &p.registers).filter(|r| r.3).count() as u64;
        self.add("forks", of_kind(FindingKind::Fork));
        self.add("implausible times", of_kind(FindingKind::ImplausibleTime));
        self.add("concurrent counts", of_kind(FindingKind::ConcurrentCounts));
        self.add("concurrent values", concurrent);
    }

    /// Every fork of a log is a finding on every device that reads it.
    fn check_forks(&mut self, held: &[Held], expected: &BTreeMap<EntryId, Expect>) {
        let opened = |e: &&Held| expected[&e.place.id] == Expect::Accepted && self.kind_of(e.compartment).is_some();
        let forked = forked(held.iter().filter(opened));
        for device in self.full_readers() {
            let findings = self.all.devices[device].book().findings(true).expect("findings");
            let found: BTreeSet<FindingId> =
                findings.iter().filter(|f| f.kind == FindingKind::Fork).map(|f| f.id).collect();
            for log in &forked {
                let id = finding_id(FindingKind::Fork, vec![log.as_bytes().to_vec()]);
                hold(found.contains(&id), Invariant::ForksAreShownToAll, || {
                    format!("device {device} does not show that {} is forked", log.short())
                });
            }
        }
    }

    /// No honest clock follows the time of others that cannot be right.
    fn check_clocks(&mut self, entries: &[Entry]) {
        let honest: Vec<_> = self.all.devices.iter().map(|d| office::device_id(&self.keys, d.author)).collect();
        let latest = self.latest_ms;
        // Two that agree may be right.
        if self.all.hostile.len() > 1 {
            return;
        }
        for entry in entries.iter().filter(|entry| honest.contains(&entry.device)) {
            hold(entry.hlc.ms() <= latest + 31 * DAY_MS, Invariant::ClocksAreNotDriven, || {
                format!("an entry is dated {} days after any honest clock", (entry.hlc.ms() - latest) / DAY_MS)
            });
        }
    }

    /// A book made of the same entries in any order, views made again, and a book opened again are the same.
    fn check_again(&mut self) {
        let standing = self.standing();
        let device = *standing.choose(&mut self.rng).expect("the first device stands");
        let before = self.all.devices[device].book().digest().expect("a digest");
        self.all.devices[device].book().rebuild(&mut |_, _| {}).expect("made again");
        hold(before == self.all.devices[device].book().digest().expect("a digest"), Invariant::RebuildIsEqual, || {
            format!("device {device} shows something else after its views were made again")
        });
        let watch = Watch::begin();
        self.all.devices[device].start_again();
        let needs = watch.peak();
        hold(needs <= BOOK_BYTES_MAX, Invariant::MemoryIsBounded, || format!("an open book needs {needs} bytes"));
        self.replay();
    }

    fn replay(&mut self) {
        let mut file = Vec::new();
        self.all.devices[0].book().export_log(&mut file).expect("exported");
        let mut runs = super::carried::runs(&file);
        runs.shuffle(&mut self.rng);
        let mut host = SeededHost::new(self.seed);
        let device = DeviceSecret::random(&mut host);
        let mut member = self.keys.membership(&device);
        member.secrets = secrets_of(&self.all.devices[0]);
        let folder = self.root.join("replay");
        let _disk = vfs::mount(&folder, Disk::default());
        let key = DatabaseKey::random(&mut host);
        let mut book = Daybook::join_with_key(&folder, &key, &member, Box::new(host)).expect("a book");
        while !runs.is_empty() {
            let mut left = Vec::new();
            let count = runs.len();
            for run in runs {
                let report = book.take_runs(std::slice::from_ref(&run)).expect("taken in");
                if report.refused.is_empty() {
                    if self.rng.random_bool(0.1) {
                        book.post_all().expect("posted");
                    }
                } else {
                    left.push(run);
                }
            }
            hold(left.len() < count, Invariant::AnyOrderGivesTheSame, || "some runs never join".to_owned());
            runs = left;
        }
        book.post_all().expect("posted");
        let (theirs, ours) = (self.all.devices[0].book().digest().expect("a digest"), book.digest().expect("a digest"));
        drop(book);
        vfs::unmount(&folder);
        hold(theirs == ours, Invariant::AnyOrderGivesTheSame, || {
            format!("in another order the digest is\n{ours:?}, not\n{theirs:?}")
        });
    }
}

/// The logs of entries two of which stand at one place.
fn forked<'a>(entries: impl Iterator<Item = &'a Held>) -> BTreeSet<LogId> {
    let mut seen: BTreeMap<(LogId, u64), BTreeSet<EntryId>> = BTreeMap::new();
    for entry in entries {
        seen.entry((entry.place.log, entry.place.seq)).or_default().insert(entry.place.id);
    }
    seen.into_iter().filter(|(_, ids)| ids.len() > 1).map(|((log, _), _)| log).collect()
}

//! Damage costs only what stood where it is: a flipped bit is noticed on every page and in the write-ahead log, and
//! salvage makes a new book of all the rest, which asks others for what is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use daybook_core::clock::EffectiveTime;
use daybook_core::crypto::DatabaseKey;
use daybook_core::daybook::{Daybook, Error, ErrorKind, LostPlaces, Purpose, SalvageReport, Say};
use daybook_core::id::{Lane, PatientId};
use daybook_core::record::{Fact, Identifier, Operation, Setting, Statement};
use daybook_core::roster::{CompartmentKind, Role};
use daybook_core::sync::{Limits, Side};
use daybook_tests::host::{START_MS, SeededHost};
use daybook_tests::pair::Link;
use daybook_tests::world::World;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

const PAGE: usize = 8_192;
type Files = BTreeMap<String, Vec<u8>>;

/// A book of a device with entries of its own and of another, and where copies of it are damaged.
struct Desk {
    folder: tempfile::TempDir,
    world: World,
    key: DatabaseKey,
    copies: usize,
}

fn host(seed: u64) -> Box<SeededHost> {
    Box::new(SeededHost::new(seed))
}

fn note(book: &mut Daybook, patient: PatientId, number: usize) {
    let text = format!("note {number} {}", "x".repeat(number * 131 % 700));
    let say = Say { statement: Statement::Note { text: &text }, effective: None, targets: Vec::new(), reason: "" };
    book.say(Some(patient), say).unwrap();
}

fn register(book: &mut Daybook, tag: &str) -> PatientId {
    book.add_patient(&[Setting::Identifier(Identifier { system: "tag", value: tag }, Some(""))]).unwrap().value
}

impl Desk {
    fn new(own: usize, theirs: usize) -> (Self, Daybook) {
        let mut world = World::new(3, 3, Role::Clinician);
        for number in 0..theirs {
            let effective = EffectiveTime::parse("2026-11-22T08:00:00Z", 0).unwrap();
            let text = format!("theirs {number} {}", "y".repeat(number * 61 % 500));
            let (patient, statement) = (Some(PatientId::new([1; 16])), Statement::Note { text: &text });
            let fact = Fact { patient, effective, targets: Vec::new(), import: None, reason: "", statement };
            let now = START_MS + i64::try_from(number).unwrap();
            world.write(1, CompartmentKind::Clinical, Lane::Routine, &[Operation::Fact(fact).to_bytes()], now);
        }
        let desk = Self {
            folder: tempfile::tempdir().unwrap(),
            key: DatabaseKey::random(&mut SeededHost::new(4)),
            world,
            copies: 0,
        };
        let member = desk.world.membership(&desk.world.authors[0].device);
        let mut book = Daybook::join_with_key(&desk.path("book"), &desk.key, &member, host(5)).unwrap();
        book.take_runs(&desk.world.control_runs()).unwrap();
        book.take_runs(&desk.world.authors[1].logs.values().flat_map(|log| log.runs(50)).collect::<Vec<_>>()).unwrap();
        book.post_all().unwrap();
        let patients: Vec<PatientId> = (0..8).map(|tag| register(&mut book, &format!("A-{tag}"))).collect();
        (0..own).for_each(|number| note(&mut book, patients[number % 8], number));
        (desk, book)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn files(&self, name: &str) -> Files {
        let files = fs::read_dir(self.path(name)).unwrap().map(|file| file.unwrap());
        files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
    }

    /// A new folder with files.
    fn copy(&mut self, files: &Files) -> String {
        self.copies += 1;
        let name = format!("copy-{}", self.copies);
        fs::create_dir(self.path(&name)).unwrap();
        files.iter().for_each(|(file, bytes)| fs::write(self.path(&name).join(file), bytes).unwrap());
        name
    }

    fn open(&self, name: &str) -> Result<Daybook, Error> {
        Daybook::open_with_key(&self.path(name), &self.key, host(6))
    }

    /// Salvages a folder, which stays as it was.
    fn salvage(&self, name: &str) -> Result<(Daybook, SalvageReport), Error> {
        let before = self.files(name);
        let target = self.path(&format!("{name}-salvaged"));
        // Each with randomness of its own: two books must not begin the same installation.
        let salvaged = Daybook::salvage_with_key(&self.path(name), &target, &self.key, host(100 + self.copies as u64));
        assert!(self.files(name) == before, "the damaged files were changed");
        if let Err(error) = &salvaged {
            assert_eq!((error.code(), error.kind()), ("beyond-salvage", ErrorKind::Damaged));
            assert!(!target.exists(), "half a book was left");
        }
        salvaged
    }

    /// The control log and all that a book exports, as a peer brings it.
    fn export(book: &mut Daybook) -> Vec<u8> {
        let mut file = Vec::new();
        book.export_log(&mut file).unwrap();
        file
    }
}

/// Notices damage on opening or checking a book, and says so.
fn notices(opened: Result<Daybook, Error>) -> bool {
    let damaged = |error: &Error| {
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error:?}");
        assert!(error.next().contains("daybook salvage"), "{}", error.next());
        true
    };
    match opened {
        // With a key of a key store nothing tells a damaged page 1 from the book of another key.
        Err(Error::NotABook) => true,
        Err(error) => damaged(&error),
        Ok(mut book) => match book.verify(&mut |_, _| {}) {
            Err(error) => damaged(&error),
            Ok(report) => !report.problems.is_empty(),
        },
    }
}

/// Codes of all entries but those that a look writes: who read, and the installation that says so.
fn entries(book: &mut Daybook) -> BTreeSet<String> {
    let lines = book.log(None, 100_000).unwrap().into_iter();
    lines
        .filter(|line| line.compartment != "audit" && line.operations != ["incarnation"])
        .map(|line| line.entry.0)
        .collect()
}

/// The digests of what those entries say.
fn digest(book: &mut Daybook) -> Vec<(String, String)> {
    book.digest().unwrap().into_iter().filter(|(name, _)| !name.starts_with("audit")).collect()
}

fn total(book: &mut Daybook) -> u64 {
    book.status().unwrap().entries.total
}

fn sound(book: &mut Daybook) {
    assert_eq!(book.verify(&mut |_, _| {}).unwrap().problems, Vec::<String>::new());
    let digest = book.digest().unwrap();
    book.rebuild(&mut |_, _| {}).unwrap();
    assert_eq!(book.digest().unwrap(), digest);
}

fn flip(bytes: &mut [u8], bit: usize) {
    bytes[bit / 8] ^= 1 << (bit % 8);
}

#[test]
fn a_flipped_bit_is_noticed_on_every_page() {
    let (mut desk, mut book) = Desk::new(60, 60);
    let told = book.digest().unwrap();
    drop(book);
    let good = desk.files("book");
    assert!(!notices(desk.open("book")));
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let pages = good["book.db"].len() / PAGE;
    assert!(pages > 20, "{pages}");
    for page in 0..pages {
        for place in 0..2 {
            let bit = match (page, place) {
                // The salt.
                (0, 0) => usize::try_from(rng.next_u32()).unwrap() % 128,
                _ => page * PAGE * 8 + usize::try_from(rng.next_u32()).unwrap() % (PAGE * 8),
            };
            let mut files = good.clone();
            flip(files.get_mut("book.db").unwrap(), bit);
            let copy = desk.copy(&files);
            if bit < 128 {
                // Nobody reads the salt there: it is given with the key, and written anew with page 1.
                assert_eq!(desk.open(&copy).unwrap().digest().unwrap(), told);
                continue;
            }
            assert!(notices(desk.open(&copy)), "page {}, bit {bit}", page + 1);
        }
    }
}

#[test]
fn a_flipped_bit_is_noticed_in_the_write_ahead_log() {
    let (mut desk, mut book) = Desk::new(0, 0);
    let patient = register(&mut book, "late");
    (0..4).for_each(|number| note(&mut book, patient, number));
    let digest = book.digest().unwrap();
    // What no commit confirmed yet: that somebody looked.
    book.read_patient(patient, Purpose::Treatment).unwrap();
    // As a killed program leaves them.
    let good = desk.files("book");
    drop(book);
    let whole = desk.copy(&good);
    assert_eq!(desk.open(&whole).unwrap().digest().unwrap(), digest);
    // What lies behind the frames of this round was copied into the book long ago.
    let log = &good["book.db-wal"];
    let frames = log[32..].chunks(PAGE + 24).take_while(|frame| frame[8..16] == log[16..24]).count();
    let mark = &good["book.db-mark"];
    assert_eq!((mark.len(), &mark[..8]), (16, &log[16..24]));
    let confirmed = u32::from_be_bytes(mark[8..12].try_into().unwrap()) as usize;
    assert!(confirmed > 10 && confirmed < frames, "{confirmed} of {frames}");
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    for frame in 0..=frames {
        let (from, bytes) = if frame == 0 { (0, 32) } else { (32 + (frame - 1) * (PAGE + 24), PAGE + 24) };
        let bit = from * 8 + usize::try_from(rng.next_u32()).unwrap() % (bytes * 8);
        let mut files = good.clone();
        flip(files.get_mut("book.db-wal").unwrap(), bit);
        let copy = desk.copy(&files);
        if frame > confirmed {
            // As if power had gone before it was written: nothing confirmed is lost.
            assert_eq!(desk.open(&copy).unwrap().digest().unwrap(), digest, "frame {frame}, bit {bit}");
            continue;
        }
        assert!(notices(desk.open(&copy)), "frame {frame} of {confirmed}, bit {bit}");
        // What a lost page of the log held may stand elsewhere; nothing else is lost.
        let (mut saved, report) = desk.salvage(&copy).unwrap();
        assert!(report.log_damaged, "frame {frame}");
        sound(&mut saved);
    }
    // A mark that is damaged itself, old, or of another round says nothing.
    for change in
        [&mut |mark: &mut Vec<u8>| mark[11] ^= 1, &mut |mark: &mut Vec<u8>| mark[0] ^= 1, &mut |mark: &mut Vec<u8>| {
            mark.clear()
        }] as [&mut dyn FnMut(&mut Vec<u8>); 3]
    {
        let mut files = good.clone();
        change(files.get_mut("book.db-mark").unwrap());
        let copy = desk.copy(&files);
        assert_eq!(desk.open(&copy).unwrap().digest().unwrap(), digest);
    }
}

#[test]
fn a_damaged_page_costs_only_the_entries_on_it_and_they_come_back() {
    let (mut desk, mut book) = Desk::new(150, 200);
    let (all, told) = (entries(&mut book), digest(&mut book));
    let theirs = Desk::export(&mut book);
    let written = total(&mut book);
    drop(book);
    let good = desk.files("book");
    let pages = good["book.db"].len() / PAGE;
    let mut lost = BTreeMap::<String, usize>::new();
    let (mut without_loss, mut unsigned) = (0, 0);
    for page in 0..pages {
        let mut files = good.clone();
        files.get_mut("book.db").unwrap()[page * PAGE + 16..(page + 1) * PAGE].fill(0x5a);
        let copy = desk.copy(&files);
        let Ok((mut saved, report)) = desk.salvage(&copy) else {
            // The page with the founding statement and the keys of the device.
            *lost.entry("identity".into()).or_default() += 1;
            continue;
        };
        assert_eq!(report.damaged_pages, [u32::try_from(page).unwrap() + 1]);
        sound(&mut saved);
        // Where the roster is damaged, what a look writes is not told from the rest.
        let here: BTreeSet<String> = entries(&mut saved).intersection(&all).cloned().collect();
        for entry in all.difference(&here) {
            *lost.entry(entry.clone()).or_default() += 1;
        }
        assert!(all.len() - here.len() <= 64, "page {} cost {} entries", page + 1, all.len() - here.len());
        assert_eq!(report.entries + report.entries_lost(), written, "page {}: {report:?}", page + 1);
        if report.compartment_keys_lost > 0 {
            // The page with the secrets of epochs: entries are here and closed, until a sync brings the keys.
            *lost.entry("secrets".into()).or_default() += 1;
            continue;
        }
        if here == all {
            without_loss += 1;
            assert_eq!(digest(&mut saved), told, "page {}", page + 1);
            // Signatures may be lost: what they vouched for is shown, and not passed on before they are back.
            unsigned += usize::from(report.behind_gaps > 0);
        }
        // Somebody who holds it brings back what is lost, and nothing is a fork.
        let back = saved.ingest(&mut theirs.as_slice(), &mut |_| {}).unwrap();
        assert_eq!((back.refused.clone(), back.cut_off), (Vec::new(), false), "page {}", page + 1);
        assert_eq!((entries(&mut saved), digest(&mut saved)), (all.clone(), told.clone()), "page {}", page + 1);
        sound(&mut saved);
        // It writes on as a new incarnation, which others take in.
        let patient = register(&mut saved, "after");
        note(&mut saved, patient, 1);
        assert_eq!(saved.findings(true).unwrap().len(), 0);
        let more = Desk::export(&mut saved);
        let mut other = desk.open("book").unwrap();
        let taken = other.ingest(&mut more.as_slice(), &mut |_| {}).unwrap();
        assert_eq!((taken.refused, taken.cut_off), (Vec::new(), false));
        assert!(taken.new >= 2 && other.findings(true).unwrap().is_empty());
        drop(other);
        desk.copy_back(&good);
    }
    // Pages without entries cost nothing: page 1, those that lead to others, and all that is made of the entries.
    assert!(without_loss * 2 > pages && (1..4).contains(&unsigned), "{without_loss} of {pages}, {unsigned}");
    assert!(lost.len() > all.len() * 9 / 10, "{} of {}", lost.len(), all.len());
    let twice: Vec<_> = lost.iter().filter(|(_, times)| **times > 2).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

impl Desk {
    fn copy_back(&self, files: &Files) {
        fs::remove_dir_all(self.path("book")).unwrap();
        fs::create_dir(self.path("book")).unwrap();
        files.iter().for_each(|(file, bytes)| fs::write(self.path("book").join(file), bytes).unwrap());
    }
}

/// Two devices meet.
fn sync(one: &mut Daybook, two: &mut Daybook) {
    let caller = one.session(Side::Caller, Limits::default(), 0).unwrap();
    let mut link = Link::new(caller, two.session(Side::Called, Limits::default(), 0).unwrap());
    link.settle([one, two]);
    assert!(link.in_sync(0) && link.in_sync(1), "{:?}", link.events);
    link.ends[0].close(link.now_ms, one);
    link.settle([one, two]);
}

#[test]
fn a_peer_brings_back_what_is_lost_and_gets_what_stood_behind_it() {
    let (mut desk, mut book) = Desk::new(40, 0);
    book.keep_grant_path(&desk.world.path(Some(0))).unwrap();
    let member = desk.world.membership(&desk.world.authors[2].device);
    let mut peer = Daybook::join_with_key(&desk.path("peer"), &desk.key, &member, host(8)).unwrap();
    peer.keep_grant_path(&desk.world.path(Some(2))).unwrap();
    sync(&mut book, &mut peer);
    let patient = register(&mut book, "alone");
    (0..60).for_each(|number| note(&mut book, patient, number));
    sync(&mut book, &mut peer);
    // What the peer does not have yet.
    (60..90).for_each(|number| note(&mut book, patient, number));
    let (all, told, written) = (entries(&mut book), digest(&mut book), total(&mut book));
    drop(book);
    let good = desk.files("book");
    let (mut met, mut gaps) = (0, 0);
    for page in (1..good["book.db"].len() / PAGE).rev() {
        let mut files = good.clone();
        flip(files.get_mut("book.db").unwrap(), page * PAGE * 8 + 777);
        let copy = desk.copy(&files);
        let Ok((mut saved, report)) = desk.salvage(&copy) else { continue };
        let Some(lost) = report.lost.first().filter(|lost| lost.to < 60 && lost.behind > 0) else { continue };
        assert!(lost.author.here && lost.held_by.len() == 1, "{lost:?}");
        assert_eq!(lost.held_by[0].device, desk.world.authors[2].device.public().device_id());
        gaps += usize::from(report.behind_gaps > 0);
        // What stands behind the gap is not said to be held: no peer may rely on it. It counts as what can be lost.
        assert!(saved.safe_to_lose().unwrap().lacking().count() > 0);
        assert!(saved.holdings().unwrap().only_here() >= 30, "what the peer does not have yet");
        assert_eq!(report.entries + report.entries_lost(), written);
        sync(&mut saved, &mut peer);
        assert_eq!((entries(&mut saved), digest(&mut saved)), (all.clone(), told.clone()), "page {}", page + 1);
        assert_eq!(digest(&mut peer), told);
        assert!(saved.findings(true).unwrap().is_empty() && peer.findings(true).unwrap().is_empty());
        sound(&mut saved);
        met += 1;
        if met == 3 {
            break;
        }
    }
    assert!(met > 0 && gaps > 0, "{met}, {gaps}");
}

#[test]
fn whatever_is_damaged_the_rest_is_saved_and_can_be_made_whole() {
    let (mut desk, mut book) = Desk::new(80, 120);
    let (all, told) = (entries(&mut book), digest(&mut book));
    let theirs = Desk::export(&mut book);
    // As a killed program leaves them: a part lies in the write-ahead log.
    let open = desk.files("book");
    drop(book);
    let closed = desk.files("book");
    let (mut whole, mut saved_some) = (0, 0);
    for seed in 0..24 {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut draw = |below: usize| usize::try_from(rng.next_u32()).unwrap() % below;
        let mut files = if seed % 2 == 0 { open.clone() } else { closed.clone() };
        for (name, bytes) in &mut files {
            let pages = bytes.len() / PAGE;
            for _ in 0..if name == "book.db-shm" { 0 } else { pages / 6 } {
                let page = draw(pages);
                bytes[page * PAGE..(page + 1) * PAGE].fill(0x5a);
            }
            if seed % 5 == 4 && name != "book.db-shm" {
                bytes.truncate(draw(bytes.len() + 1));
            }
        }
        let copy = desk.copy(&files);
        let (mut saved, report) = match desk.salvage(&copy) {
            Ok(salvaged) => salvaged,
            Err(error) => {
                assert_eq!(error.code(), "beyond-salvage", "seed {seed}");
                continue;
            }
        };
        sound(&mut saved);
        let here: BTreeSet<String> = entries(&mut saved).intersection(&all).cloned().collect();
        saved_some += usize::from(!here.is_empty() && here.len() < all.len());
        let back = saved.ingest(&mut theirs.as_slice(), &mut |_| {}).unwrap();
        assert_eq!((back.refused, back.cut_off), (Vec::new(), false), "seed {seed}");
        assert_eq!(entries(&mut saved), all, "seed {seed}");
        // Keys of compartments that are lost come with a sync only. None is lost unsaid where entries under
        // it are left, or the control entry that names it.
        let closed = saved.status().unwrap().entries.unopened > 0;
        let left = |lost: &LostPlaces| lost.compartment == "unknown" && lost.behind > 0;
        if closed && (report.lost.iter().any(left) || report.lost.iter().all(|lost| lost.compartment != "control")) {
            assert!(report.compartment_keys_lost > 0, "seed {seed}: {report:?}");
        }
        if !closed {
            assert_eq!(digest(&mut saved), told, "seed {seed}");
            whole += 1;
        }
        sound(&mut saved);
        // It opens again.
        drop(saved);
        desk.open(&format!("{copy}-salvaged")).unwrap();
    }
    assert!(whole >= 6 && saved_some >= 6, "{whole}, {saved_some}");
}

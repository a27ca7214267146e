//! Whatever order random control histories come in, and however much of them: books that hold the same entries
//! have the same roster, it is that of the reference, and nothing that was revoked counts again unless
//! somebody said so.
//!
//! `DAYBOOK_SEED=7` runs the case of one seed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod control_model;
mod control_story;

use control_model::Model;
use control_story::{Story, Told, grant};
use daybook_core::crypto::DatabaseKey;
use daybook_core::daybook::Daybook;
use daybook_core::id::{DeviceId, EntryId};
use daybook_core::record::EntryRef;
use daybook_core::roster::{Control, PlaceOf, Roster, Waits};
use daybook_tests::history::{cut, scratch};
use daybook_tests::host::SeededHost;
use daybook_tests::seeds::each;
use daybook_tests::world::WrittenLog;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;

const CASES: u64 = 200;

/// What the histories were about, counted over all of them.
static MET: Mutex<BTreeMap<&str, usize>> = Mutex::new(BTreeMap::new());

#[test]
fn rosters_agree() {
    each("rosters_agree", CASES, case);
    if std::env::var("DAYBOOK_SEED").is_err() && std::env::var("DAYBOOK_CASES").is_err() {
        let met = MET.lock().unwrap();
        let all = ["ended", "in force after a revoke", "endorsed back", "fallen unnamed", "cut", "root cut", "budget"];
        let more = ["barred", "revoke without effect", "bar of a cut revoke", "fork", "revoke in parts"];
        let named = [
            "mutual revokes",
            "adopted",
            "adopted, and the first grant ended",
            "revoke of one who had revoked",
            "granted again",
            "endorsed entry",
            "endorsed log",
        ];
        for what in all.into_iter().chain(more).chain(named) {
            assert!(met.get(what).is_some_and(|count| *count >= 10), "{what}: {met:?}");
        }
    }
}

/// Counts the kinds of histories that the property names.
fn count_kinds(story: &Story, roster: &Roster, add: &mut impl FnMut(&'static str, usize)) {
    let told: BTreeMap<EntryId, &Told> = story.told.iter().map(|told| (told.place.id, told)).collect();
    // Who ends a grant of whom, by which entry; the entry that each grant is knows its holder.
    let mut ends: Vec<(DeviceId, DeviceId, &Told)> = Vec::new();
    for by in &story.told {
        let Some(Control::Revoke(revoke)) = &by.control else { continue };
        add("revoke in parts", usize::from(revoke.part.is_some() && roster.without_effect(&by.place.id).is_none()));
        let ended = revoke.grants.iter().filter_map(|id| told.get(id).and_then(|told| grant(told)));
        ends.extend(ended.map(|grant| (by.device, grant.device.device_id(), by)));
        for id in revoke.grants.iter().filter(|_| roster.without_effect(&by.place.id).is_none()) {
            let had = story.told.iter().any(|other| {
                other.ground == *id && matches!(other.control, Some(Control::Revoke(_))) && other.device != by.device
            });
            let took = roster.grants().get(id).is_some_and(|held| !held.in_force());
            add("revoke of one who had revoked", usize::from(had && took));
        }
    }
    for (one, other, by) in &ends {
        let back = |(a, b, back): &&(DeviceId, DeviceId, &Told)| {
            (a, b) == (other, one) && one != other && !by.before.contains(&back.place.id)
        };
        add("mutual revokes", ends.iter().filter(back).count());
    }
    let held: Vec<(&EntryId, DeviceId)> = roster.grants().iter().map(|(id, held)| (id, held.device)).collect();
    for (id, device) in held.iter().filter(|(id, _)| roster.grants()[*id].in_force()) {
        let others = held.iter().filter(|(other, of)| {
            of == device && told.get(*other).zip(told.get(*id)).is_some_and(|(a, b)| a.device != b.device)
        });
        let ended = others.clone().filter(|(other, _)| !roster.grants()[*other].in_force()).count();
        add("adopted", others.count() - ended);
        add("adopted, and the first grant ended", ended);
        let names = told.get(*id).and_then(|told| grant(told)).map_or(&[][..], |grant| &grant.lifts);
        let again = names.iter().filter_map(|name| told.get(name)).any(|name| match &name.control {
            Some(Control::Revoke(revoke)) => revoke
                .grants
                .iter()
                .any(|ended| roster.grants().get(ended).is_some_and(|held| held.device == *device && !held.in_force())),
            _ => false,
        });
        add("granted again", usize::from(again));
    }
    for by in story.told.iter().filter(|by| roster.without_effect(&by.place.id).is_none()) {
        let Some(Control::Endorse(endorse)) = &by.control else { continue };
        let counts = |place: &&PlaceOf| {
            let endorsed = told.get(&place.id).filter(|told| told.ground != EntryId::new(*story.incident.as_bytes()));
            endorsed.is_some_and(|endorsed| {
                endorsed.control.is_some()
                    && roster.without_effect(&place.id).is_none()
                    && roster.grants().get(&endorsed.ground).is_none_or(|held| !held.in_force())
            })
        };
        add("endorsed entry", endorse.entries.iter().filter(counts).count());
        add("endorsed log", endorse.logs.iter().filter(counts).count());
    }
}

/// Counts what a history was about, so that the property is not one of nothing.
fn count(story: &Story, book: &mut Daybook) {
    let roster = book.roster().unwrap();
    let mut met = MET.lock().unwrap();
    let mut add = |what, count: usize| *met.entry(what).or_default() += count;
    let revoked: BTreeSet<DeviceId> =
        roster.grants().values().filter(|held| !held.in_force()).map(|held| held.device).collect();
    add("ended", revoked.len());
    count_kinds(story, roster, &mut add);
    add(
        "fork",
        usize::from(story.told.iter().any(|told| {
            story
                .told
                .iter()
                .any(|o| (o.place.log, o.place.seq) == (told.place.log, told.place.seq) && o.place != told.place)
        })),
    );
    for (id, held) in roster.grants().iter().filter(|(_, held)| held.in_force()) {
        add("in force after a revoke", usize::from(revoked.contains(&held.device)));
        let listed = story.told.iter().any(|told| match &told.control {
            Some(Control::Revoke(revoke)) => {
                revoke.grants.contains(id)
                    && roster.without_effect(&told.place.id).is_none()
                    && roster.is_above(&told.ground, id)
            }
            _ => false,
        });
        add("endorsed back", usize::from(listed));
    }
    for told in story.told.iter().filter(|told| told.control.is_some()) {
        let waits = roster.without_effect(&told.place.id);
        let revoke = matches!(told.control, Some(Control::Revoke(_)));
        add("revoke without effect", usize::from(revoke && waits.is_some()));
        add("budget", usize::from(waits == Some(Waits::BudgetSpent)));
        add("cut", usize::from(waits == Some(Waits::Cut)));
        let by_root = roster.is_ended_root(told.device) && told.ground == EntryId::new(*story.incident.as_bytes());
        add("root cut", usize::from(by_root && waits == Some(Waits::Cut)));
        if grant(told).is_some() && waits.is_none() {
            add("fallen unnamed", usize::from(roster.fallen(&told.place.id).is_some()));
        }
        let bars = roster.bars_of(told.device);
        add("barred", bars.len());
        add("bar of a cut revoke", bars.iter().filter(|(bar, _)| roster.without_effect(bar).is_some()).count());
    }
}

fn case(seed: u64) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed ^ 0x0c0f_fee0);
    let story = Story::of(seed);
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let mut books: Vec<Daybook> = ["a", "b"].map(|name| book(&story, &folder.path().join(name), &mut rng)).into();

    // Each has a beginning of every chain, then all of it.
    for book in &mut books {
        let chains: Vec<WrittenLog> = story.chains.iter().map(|chain| beginning(chain, &mut rng)).collect();
        deliver(book, cut(&chains, &mut rng), &mut rng);
        let held: BTreeSet<EntryId> = chains.iter().flat_map(|chain| chain.entries.iter().map(|e| e.id)).collect();
        let here = story.told.iter().filter(|told| held.contains(&told.place.id)).collect();
        agrees(book, &story, here, seed);
    }
    for book in &mut books {
        deliver(book, cut(&story.chains, &mut rng), &mut rng);
        agrees(book, &story, story.told.iter().collect(), seed);
        let before = verdicts(book);
        book.rebuild(&mut |_, _| {}).unwrap();
        assert_eq!(verdicts(book), before, "seed {seed}: a rebuild judges otherwise");
    }
    let [one, other] = &mut books[..] else { panic!("two books") };
    count(&story, one);
    assert_eq!(verdicts(one), verdicts(other), "seed {seed}: the books judge entries otherwise");
    let [one, other] = [one, other].map(|book| book.roster().unwrap());
    assert_eq!(one.all_without_effect(), other.all_without_effect(), "seed {seed}");
    assert_eq!(one.hint(), other.hint());
}

fn book(story: &Story, folder: &Path, rng: &mut ChaCha20Rng) -> Daybook {
    let mut host = SeededHost::new(rng.random());
    let membership = story.membership(&mut host);
    let key = DatabaseKey::random(&mut host);
    Daybook::join_with_key(folder, &key, &membership, Box::new(host)).unwrap()
}

fn beginning(chain: &WrittenLog, rng: &mut ChaCha20Rng) -> WrittenLog {
    let mut chain = chain.clone();
    let keep = if rng.random_bool(0.4) { chain.entries.len() } else { rng.random_range(0..=chain.entries.len()) };
    chain.entries.truncate(keep);
    chain
}

/// Takes runs in, in any order, until all have joined.
fn deliver(book: &mut Daybook, mut waiting: Vec<Vec<u8>>, rng: &mut ChaCha20Rng) {
    waiting.retain(|run| !run.is_empty());
    while !waiting.is_empty() {
        let before = waiting.len();
        let mut later = Vec::new();
        while !waiting.is_empty() {
            let count = rng.random_range(1..=8).min(waiting.len());
            let some: Vec<Vec<u8>> = waiting.drain(..count).collect();
            let report = book.take_runs(&some).unwrap();
            assert!(report.refused.iter().all(|(code, _)| code == "E-003"), "{:?}", report.refused);
            if !report.refused.is_empty() {
                later.extend(some);
            }
        }
        if later.len() >= before {
            later.retain(|run| !book.take_runs(std::slice::from_ref(run)).unwrap().refused.is_empty());
            assert!(later.len() < before, "nothing joins any more");
        }
        later.shuffle(rng);
        waiting = later;
    }
    book.post_all().unwrap();
}

/// What the book says of each entry, control entries too.
fn verdicts(book: &mut Daybook) -> Vec<(String, String)> {
    let lines = book.log(None, 100_000).unwrap();
    let mut said: Vec<_> = lines.into_iter().map(|line| (line.entry.to_string(), line.verdict)).collect();
    said.sort();
    said
}

fn agrees(book: &mut Daybook, story: &Story, here: Vec<&Told>, seed: u64) {
    let model = Model::new(story, here.iter().copied());
    let mut expected: Vec<(String, bool)> = Vec::new();
    for told in &here {
        let waits = if told.control.is_some() { !model.is_effective(told) } else { model.waits(told) };
        let code = EntryRef::new(told.place.log, told.place.seq, &told.place.id);
        expected.push((format!("{}-{}", code.log.short(), code.seq), waits));
    }
    expected.sort();
    let mut said: Vec<(String, bool)> =
        verdicts(book).into_iter().map(|(code, verdict)| (code, verdict.starts_with("waiting"))).collect();
    said.sort();
    let roster = book.roster().unwrap();
    for told in &here {
        let id = told.place.id;
        if told.control.is_some() {
            let effect = roster.without_effect(&id).is_none();
            assert_eq!(
                effect,
                model.is_effective(told),
                "seed {seed}: effect of {id:?}: {:?}",
                roster.without_effect(&id)
            );
        }
        if grant(told).is_some() {
            let in_force = roster.grants().get(&id).is_some_and(|held| held.in_force());
            assert_eq!(in_force, model.in_force(id), "seed {seed}: force of {id:?}: {}", model.why(id));
        }
    }
    assert_eq!(said, expected, "seed {seed}");
    let devices: BTreeSet<DeviceId> = here.iter().filter_map(|t| grant(t)).map(|g| g.device.device_id()).collect();
    let barred: BTreeSet<DeviceId> = devices.into_iter().filter(|d| !roster.bars_of(*d).is_empty()).collect();
    let devices_known =
        |device: &DeviceId| here.iter().filter_map(|t| grant(t)).any(|g| g.device.device_id() == *device);
    assert_eq!(barred, model.barred().into_iter().filter(devices_known).collect(), "seed {seed}: bars");
    nothing_comes_back_unsaid(roster, &here, seed);
}

/// A grant that a revoke in effect ends is in force only if an endorsement in effect names both.
fn nothing_comes_back_unsaid(roster: &Roster, here: &[&Told], seed: u64) {
    for told in here {
        let Some(Control::Revoke(revoke)) = &told.control else { continue };
        // Parts take effect, and are named, where the last of them stands.
        let told = match &revoke.part {
            None => told,
            Some(part) => {
                let last = here.iter().find(|other| {
                    other.place.log == told.place.log
                        && other.before.contains(&told.place.id)
                        && matches!(&other.control, Some(Control::Revoke(r))
                            if r.part.as_ref().is_some_and(|p| p.hash == part.hash && p.number == part.of))
                });
                let Some(last) = last else { continue };
                last
            }
        };
        if roster.without_effect(&told.place.id).is_some() {
            continue;
        }
        for ended in &revoke.grants {
            let held = roster.grants().get(ended).filter(|held| held.in_force());
            let beneath = held.is_some() && roster.is_above(&told.ground, ended);
            let knew = |id: &EntryId| {
                here.iter().any(|t| t.place.id == *id && (*id == told.place.id || t.before.contains(&told.place.id)))
            };
            let said_so = here.iter().any(|by| match &by.control {
                Some(Control::Endorse(endorse)) => {
                    endorse.grants.contains(ended)
                        && endorse.lifts.iter().any(knew)
                        && roster.without_effect(&by.place.id).is_none()
                }
                _ => false,
            });
            assert!(!beneath || said_so, "seed {seed}: {ended:?} came back");
        }
    }
}

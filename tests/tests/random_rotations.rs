//! Random admissions, revokes, rotations, writes and partial deliveries: no device ever opens what its rights do not
//! cover, and no entitled member is left unable to open an entry once it has met the others, or is told why.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use daybook_core::daybook::WhyNoKey;
use daybook_core::id::EntryId;
use daybook_core::roster::{Control, Revoke, Role};
use daybook_tests::camp::Camp;
use daybook_tests::seeds;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, BTreeSet};

/// Members at most, the root included.
const MEMBERS: usize = 6;
const STEPS: usize = 28;

/// What the test knows of a run, apart from all that the books do.
#[derive(Default)]
struct Told {
    /// For each entry, which members were known to be revoked where it was written.
    shut_out: BTreeMap<EntryId, BTreeSet<usize>>,
    /// Members that a book has heard to be revoked, by the one who hears.
    heard: BTreeMap<usize, BTreeSet<usize>>,
    revoked: BTreeSet<usize>,
    /// For members without history, what the root held when it admitted them.
    before: BTreeMap<usize, BTreeSet<EntryId>>,
}

impl Told {
    fn heard(&self, member: usize) -> BTreeSet<usize> {
        self.heard.get(&member).cloned().unwrap_or_default()
    }
}

#[test]
fn keys_reach_exactly_those_who_may_read_whatever_the_order() {
    seeds::each("random_rotations", 16, run);
}

fn run(seed: u64) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut camp = Camp::new(seed + 1_000);
    let mut told = Told::default();
    let (mut written, mut rotated) = (0, 0);
    for step in 0..STEPS {
        let count = camp.members.len();
        match rng.random_range(0..10) {
            0 | 1 if count < MEMBERS => {
                let history = rng.random_bool(0.6);
                let before: BTreeSet<EntryId> = camp.sealed(0).into_keys().collect();
                let member = camp.admit(Role::Clinician, history);
                if !history {
                    told.before.insert(member, before);
                }
                told.heard.insert(member, told.heard(0));
            }
            2 if count > 2 => {
                let gone = rng.random_range(1..count);
                let hears = rng.random_range(0..count);
                if told.revoked.len() < 2 && hears != gone && !told.revoked.contains(&hears) {
                    let grants = vec![camp.members[gone].grant];
                    let (spares, cuts, devices) = (vec![], vec![], vec![]);
                    camp.forge(
                        None,
                        Control::Revoke(Revoke { grants, spares, cuts, devices, reason: None, part: None }),
                    );
                    told.revoked.insert(gone);
                    // The revokes lie in one log: who hears of one hears of all before it.
                    hear(&mut camp, &mut told, hears);
                }
            }
            3 => {
                let member = rng.random_range(0..count);
                if !told.revoked.contains(&member) {
                    hear(&mut camp, &mut told, member);
                }
            }
            4..=6 => {
                let member = rng.random_range(0..count);
                if !told.heard(member).contains(&member) {
                    // Who was revoked may have heard it in a session that ended with it.
                    match camp.write(member, &format!("family {step}")) {
                        Ok(entry) => {
                            told.shut_out.insert(entry, told.heard(member));
                            written += 1;
                        }
                        Err(error) => assert!(told.revoked.contains(&member), "{member}: {error}"),
                    }
                }
            }
            7 if count > 1 => {
                let member = rng.random_range(0..count);
                if !told.heard(member).contains(&member) {
                    match camp.members[member].book.rotate() {
                        Ok(begun) => rotated += begun.len(),
                        Err(error) => assert!(told.revoked.contains(&member), "{member}: {error}"),
                    }
                }
            }
            _ if count > 1 => {
                let one = rng.random_range(0..count);
                let two = (one + rng.random_range(1..count)) % count;
                meet(&mut camp, &mut told, one, two);
            }
            _ => {}
        }
        if step % 9 == 8 {
            nothing_is_open_to_who_may_not(&mut camp, &told);
        }
    }
    // Everybody who may meets everybody, twice.
    let count = camp.members.len();
    for _ in 0..2 {
        for one in 0..count {
            for two in one + 1..count {
                meet(&mut camp, &mut told, one, two);
            }
        }
    }
    nothing_is_open_to_who_may_not(&mut camp, &told);
    everything_is_open_to_who_may(&mut camp, &told);
    assert!(written > 0 || rotated == 0 || told.revoked.is_empty() || count > 1);
}

fn hear(camp: &mut Camp, told: &mut Told, member: usize) {
    camp.hear(member, None);
    told.heard.insert(member, told.revoked.clone());
}

/// Two members meet, unless one of them knows that the other is out.
fn meet(camp: &mut Camp, told: &mut Told, one: usize, two: usize) {
    let (of_one, of_two) = (told.heard(one), told.heard(two));
    let served = !of_one.contains(&two) && !of_two.contains(&one) && !of_one.contains(&one) && !of_two.contains(&two);
    if camp.meet(one, two) {
        assert!(served, "{one} and {two} met though one was known to be out");
        let both: BTreeSet<usize> = of_one.union(&of_two).copied().collect();
        told.heard.insert(one, both.clone());
        told.heard.insert(two, both);
    } else if served {
        // The revoke of one of them came with this very session and ended it.
        let both: BTreeSet<usize> = of_one.union(&of_two).copied().collect();
        assert!(both.contains(&one) || both.contains(&two), "{one} and {two} could not meet");
        for member in [one, two] {
            let heard = camp.members[member].book.roster().unwrap().clone();
            let out = |other: &usize| {
                let device = camp.members[*other].device.public().device_id();
                !heard.is_root(device) && heard.grants().values().any(|held| held.device == device && !held.in_force())
            };
            let known: BTreeSet<usize> = (0..camp.members.len()).filter(out).collect();
            told.heard.insert(member, known);
        }
    }
}

fn nothing_is_open_to_who_may_not(camp: &mut Camp, told: &Told) {
    let mut all = BTreeMap::new();
    for member in 0..camp.members.len() {
        all.extend(camp.sealed(member));
    }
    for member in 0..camp.members.len() {
        let opens = camp.opens(member, &all);
        for entry in opens {
            let shut = told.shut_out.get(&entry).is_some_and(|shut| shut.contains(&member));
            assert!(!shut, "{member} opens what was written after its revoke was known there");
            let before = told.before.get(&member).is_some_and(|before| before.contains(&entry));
            assert!(!before, "{member} opens what was written before it came");
        }
    }
}

fn everything_is_open_to_who_may(camp: &mut Camp, told: &Told) {
    for member in 0..camp.members.len() {
        if told.revoked.contains(&member) {
            continue;
        }
        let status = camp.members[member].book.status().unwrap();
        let named: u64 = status.no_key.iter().map(|lack| lack.entries).sum();
        assert_eq!(named, status.entries.unopened, "{member}: status names all that it cannot read");
        if told.before.contains_key(&member) {
            let known = status.no_key.iter().all(|lack| lack.why == WhyNoKey::ForOthers);
            assert!(known, "{member}: {:?}", status.no_key);
        } else {
            assert_eq!(status.entries.unopened, 0, "{member}: {:?}", status.no_key);
        }
    }
}

//! Keys of epochs reach every device that may read, and no other: rotation on both sides of a partition, healing,
//! admission without history, and what hostile members and wrong parcels do to it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use daybook_core::crypto::{
    DeviceSecret, EpochSecret, KeySpace, ParcelGroup, ParcelSecret, make_parcels, seal_history,
};
use daybook_core::daybook::WhyNoKey;
use daybook_core::id::{CompartmentId, EntryId, KeyId};
use daybook_core::roster::{CompartmentKind, Control, Epoch, Revoke, Role};
use daybook_core::sync::{Peer, Shelf};
use daybook_tests::camp::Camp;
use daybook_tests::host::SeededHost;
use std::collections::BTreeSet;

fn revoke(grants: Vec<EntryId>) -> Control {
    Control::Revoke(Revoke { grants, spares: vec![], cuts: vec![], devices: vec![], reason: None, part: None })
}

fn unopened(camp: &mut Camp, member: usize) -> u64 {
    camp.members[member].book.status().unwrap().entries.unopened
}

fn current(camp: &mut Camp, member: usize, compartment: CompartmentId) -> Vec<(EntryId, Epoch)> {
    let roster = camp.members[member].book.roster().unwrap();
    roster.current_epochs(compartment).map(|(id, epoch)| (*id, epoch.clone())).collect()
}

/// The key under which an entry lies.
fn key_of(camp: &Camp, member: usize, entry: &EntryId) -> KeyId {
    camp.sealed(member)[entry].key
}

fn peer(camp: &Camp, member: usize) -> Peer {
    let member = &camp.members[member];
    let public = member.device.public();
    Peer { device: public.device_id(), public, grant: member.grant, by_path: false }
}

#[test]
fn after_a_partition_the_next_writer_honours_both_revokes_and_neither_device_reads_on() {
    let mut camp = Camp::new(1);
    let admin = camp.administrator();
    camp.hear(0, None);
    let [a, b, c, d, x] = [(); 5].map(|()| camp.admit(Role::Clinician, true));
    let device = DeviceSecret::random(&mut SeededHost::new(77));
    let grant = camp.forge_grant(Some(admin), &device, Role::Clinician, 0);
    let y = camp.join_without_keys(device, grant);
    for member in [0, a, b, c, d, x, y] {
        camp.hear(member, None);
        camp.hear(member, Some(admin));
    }
    for member in [a, b, c, d, x, y] {
        assert!(camp.meet(0, member));
    }
    let first = camp.write(x, "before").unwrap();

    // One half hears of one revoke, the other half of the other; both write on.
    let x_grant = camp.members[x].grant;
    let r1 = camp.forge(None, revoke(vec![x_grant]));
    camp.hear(a, None);
    let in_a = camp.write(a, "in a").unwrap();
    let r2 = camp.forge(Some(admin), revoke(vec![grant]));
    camp.hear(c, Some(admin));
    let in_c = camp.write(c, "in c").unwrap();
    assert_ne!(key_of(&camp, a, &in_a), key_of(&camp, c, &in_c));
    assert!(camp.meet(a, b) && camp.meet(c, d));
    // Until then the other half's device is a member like any other, and is given the key.
    assert!(camp.meet(a, y) && camp.meet(c, x));
    assert_eq!((unopened(&mut camp, y), unopened(&mut camp, x)), (0, 0));

    // The halves meet. The next writer begins an epoch that honours both.
    assert!(camp.meet(b, d));
    let clinical = camp.clinical();
    assert_eq!(current(&mut camp, b, clinical).len(), 2);
    let joined = camp.write(b, "joined").unwrap();
    let now = current(&mut camp, b, clinical);
    assert_eq!(now.len(), 1);
    assert_eq!(now[0].1.honours.iter().copied().collect::<BTreeSet<_>>(), BTreeSet::from([r1, r2]));
    assert_eq!((now[0].1.replaces.len(), now[0].1.key), (2, key_of(&camp, b, &joined)));
    // Those who have the epoch write under it and begin none.
    assert!(camp.meet(b, a) && camp.meet(a, c) && camp.meet(d, b));
    let on = [camp.write(a, "on a").unwrap(), camp.write(d, "on d").unwrap()];
    assert!(on.iter().zip([a, d]).all(|(entry, member)| key_of(&camp, member, entry) == now[0].1.key));
    assert!(camp.meet(a, c) && camp.meet(d, a) && camp.meet(0, d) && camp.meet(a, b) && camp.meet(0, c));

    // Everything is open to every member, and nothing after it to either revoked device, whatever they carry.
    for member in [x, y] {
        camp.hand_over(a, member);
        assert!(!camp.meet(a, member), "a revoked device is not served");
    }
    let all = camp.sealed(0);
    for member in [0, a, b] {
        assert_eq!(unopened(&mut camp, member), 0, "{member}");
        assert_eq!(camp.opens(member, &all).len(), all.len());
    }
    let [of_x, of_y] = [x, y].map(|member| camp.opens(member, &all));
    for entry in [joined].iter().chain(&on) {
        assert!(!of_x.contains(entry) && !of_y.contains(entry));
    }
    assert!(of_x.contains(&first) && of_y.contains(&first) && !of_x.contains(&in_a) && !of_y.contains(&in_c));
    assert!(of_x.contains(&in_c) && of_y.contains(&in_a));
    let lack = &camp.members[x].book.status().unwrap().no_key;
    assert!(lack.iter().all(|lack| lack.why == WhyNoKey::ForOthers) && !lack.is_empty(), "{lack:?}");
}

#[test]
fn nobody_hands_out_a_key_before_he_knows_whom_its_epoch_shuts_out() {
    let mut camp = Camp::new(2);
    let [a, late, x] = [(); 3].map(|()| camp.admit(Role::Clinician, true));
    for member in [a, late, x] {
        assert!(camp.meet(0, member));
    }
    let x_grant = camp.members[x].grant;
    camp.forge(None, revoke(vec![x_grant]));
    camp.hear(a, None);
    let secret = camp.write(a, "secret").unwrap();
    let key = key_of(&camp, a, &secret);
    // The late one gets the log of the epoch's author and the key, and not the log with the revoke.
    let frames = control_of(&mut camp, a);
    camp.members[late].book.take_runs(&frames).unwrap();
    let to_late = peer(&camp, late);
    let for_late = camp.members[a].book.wrap_keys(&to_late, &[key]).unwrap();
    assert_eq!(for_late.len(), 1);
    camp.members[late].book.take_parcels(&for_late).unwrap();
    let (to_x, to_root) = (peer(&camp, x), peer(&camp, 0));
    let late_book = &mut camp.members[late].book;
    assert!(late_book.wrap_keys(&to_x, &[key]).unwrap().is_empty(), "he has not heard of the revoke");
    assert!(late_book.wrap_keys(&to_root, &[key]).unwrap().is_empty(), "nor does he know whom else it concerns");
    // He rotates without carrying on what he cannot answer for, and the one who is shut out of it stays so.
    camp.hear(late, None);
    let late_book = &mut camp.members[late].book;
    assert!(late_book.wrap_keys(&to_x, &[key]).unwrap().is_empty());
    assert_eq!(late_book.wrap_keys(&to_root, &[key]).unwrap().len(), 1);
}

/// The control runs that a member's own device wrote.
fn control_of(camp: &mut Camp, member: usize) -> Vec<Vec<u8>> {
    let device = camp.members[member].device.public().device_id();
    let incident = camp.world.incident;
    let mut file = Vec::new();
    camp.members[member].book.export_log(&mut file).unwrap();
    let mut at = 14;
    let mut runs = Vec::new();
    let mut next = |length: usize| {
        let bytes = file[at..at + length].to_vec();
        at += length;
        bytes
    };
    let founding = u32::from_le_bytes(next(4).try_into().unwrap()) as usize;
    next(founding);
    loop {
        let kind = next(1)[0];
        let length = u32::from_le_bytes(next(4).try_into().unwrap()) as usize;
        let payload = next(length);
        if kind == 0 {
            return runs;
        }
        if kind != 1 {
            continue;
        }
        let run = daybook_core::log::Run::read(&payload).unwrap().verify(&incident).unwrap();
        if run.name().is_control() && run.name().device == device {
            runs.push(payload.clone());
        }
    }
}

#[test]
fn a_member_that_missed_a_rotation_is_healed_by_any_holder() {
    let mut camp = Camp::new(3);
    let [a, b, missed, x] = [(); 4].map(|()| camp.admit(Role::Clinician, true));
    for (round, by) in [a, b, a].into_iter().enumerate() {
        let gone = if round == 0 { x } else { camp.admit(Role::Clinician, true) };
        let gone = camp.members[gone].grant;
        camp.hand_over(0, by);
        camp.forge(None, revoke(vec![gone]));
        camp.hear(by, None);
        camp.write(by, "Okoye").unwrap();
        assert!(camp.meet(a, b));
    }
    // He has the ciphertext and no key until he meets somebody who has them.
    camp.hand_over(a, missed);
    let status = camp.members[missed].book.status().unwrap();
    let [lack] = &status.no_key[..] else { panic!("{:?}", status.no_key) };
    assert_eq!((lack.why, lack.entries, lack.compartment), (WhyNoKey::NotHere, status.entries.unopened, "clinical"));
    assert!(lack.entries > 0);
    assert!(camp.meet(b, missed));
    let status = camp.members[missed].book.status().unwrap();
    assert_eq!((status.patients, status.entries.unopened, status.no_key.len()), (3, 0, 0));
}

/// An entry that waits for review can be opened all the same: its edits are passed through and its facts are flagged.
#[test]
fn what_waited_before_its_key_came_is_shown_once_it_comes() {
    let mut camp = Camp::new(12);
    let [a, x, missed, gone] = [(); 4].map(|()| camp.admit(Role::Clinician, true));
    camp.hand_over(0, a);
    let grant = camp.members[gone].grant;
    camp.forge(None, revoke(vec![grant]));
    camp.hear(a, None);
    camp.write(a, "Okoye").unwrap();
    assert!(camp.meet(a, x));
    camp.write(x, "Bello").unwrap();
    assert!(camp.meet(a, x));
    let grant = camp.members[x].grant;
    camp.forge(None, revoke(vec![grant]));
    camp.hear(a, None);
    camp.hand_over(a, missed);
    let entries = camp.members[missed].book.status().unwrap().entries;
    assert!(entries.waiting > 0 && entries.unopened > 0, "{entries:?}");
    assert!(camp.meet(a, missed));
    let book = &mut camp.members[missed].book;
    assert_eq!(book.status().unwrap().entries.unopened, 0);
    let said = book.log(None, 100).unwrap().into_iter().filter(|line| line.verdict.starts_with("waiting"));
    assert!(said.clone().count() > 0);
    for line in said.filter(|line| line.compartment == "clinical") {
        assert!(!line.operations.is_empty(), "{line:?}");
    }
    let digest = book.digest().unwrap();
    book.rebuild(&mut |_, _| {}).unwrap();
    assert_eq!(book.digest().unwrap(), digest);
}

#[test]
fn the_recovery_root_has_a_parcel_of_every_epoch_from_the_first_on() {
    let folder = tempfile::tempdir().unwrap();
    let new = daybook_core::daybook::NewIncident {
        incident: "Flood".into(),
        organisation: "Relief".into(),
        person: "R".into(),
        exercise: true,
    };
    let host = Box::new(SeededHost::new(9));
    let (mut book, seed) =
        daybook_core::daybook::Daybook::create(&folder.path().join("b"), b"pass", &new, host).unwrap();
    let recovery = seed.device().public();
    let grant = EntryId::new(*book.roster().unwrap().epochs().keys().next().unwrap().as_bytes());
    let peer = Peer { device: recovery.device_id(), public: recovery, grant, by_path: false };
    let keys: Vec<KeyId> = book.roster().unwrap().epochs().values().map(|epoch| epoch.key).collect();
    assert_eq!(keys.len(), 4);
    assert_eq!(book.wrap_keys(&peer, &keys).unwrap().len(), 4);
    assert_eq!(book.parcels_kept().unwrap(), 4, "one parcel of each epoch is kept for the recovery root");
}

#[test]
fn without_history_no_key_that_the_device_ever_holds_opens_what_was_written_before() {
    let mut camp = Camp::new(4);
    let [early, x] = [(); 2].map(|()| camp.admit(Role::Clinician, true));
    for family in ["one", "two"] {
        camp.write(0, family).unwrap();
    }
    assert!(camp.meet(0, early));
    camp.write(early, "three").unwrap();
    assert!(camp.meet(0, early));
    let before = camp.sealed(0);
    let late = camp.admit(Role::Clinician, false);
    let after = camp.write(0, "four").unwrap();
    // A rotation later, and one more by the newcomer himself, who replaces nothing.
    let x_grant = camp.members[x].grant;
    camp.forge(None, revoke(vec![x_grant]));
    for member in [0, early, late] {
        camp.hear(member, None);
    }
    let his = camp.write(late, "five").unwrap();
    assert!(camp.meet(late, 0) && camp.meet(0, early) && camp.meet(early, late));
    let clinical = camp.clinical();
    let replaced = current(&mut camp, late, clinical).iter().map(|(_, e)| e.replaces.len()).collect::<Vec<_>>();
    assert!(replaced.contains(&0) && replaced.len() > 1, "{replaced:?}");
    // The next writer with history joins them.
    let joined = camp.write(early, "six").unwrap();
    assert_eq!(current(&mut camp, early, clinical).len(), 1);
    assert!(camp.meet(early, late) && camp.meet(early, 0) && camp.meet(late, 0));

    let all = camp.sealed(0);
    let opens: BTreeSet<EntryId> = camp.opens(late, &all).into_iter().collect();
    assert!(before.keys().all(|id| !opens.contains(id)), "history is withheld");
    assert!([after, his, joined].iter().all(|id| opens.contains(id)));
    assert_eq!(opens.len() + before.len(), all.len());
    assert_eq!(unopened(&mut camp, 0) + unopened(&mut camp, early), 0);
    assert_eq!(camp.opens(0, &all).len(), all.len());
    let lack = camp.members[late].book.status().unwrap().no_key;
    assert!(lack.iter().all(|lack| lack.why == WhyNoKey::ForOthers), "{lack:?}");
}

#[test]
fn a_key_named_again_by_a_hostile_epoch_is_neither_handed_out_for_it_nor_sealed_under() {
    let mut camp = Camp::new(5);
    let hand = camp.admit(Role::Logistician, true);
    let late = camp.admit(Role::Clinician, false);
    let old = camp.write(0, "old").unwrap();
    assert!(camp.meet(0, hand) && camp.meet(0, late));
    let clinical = camp.clinical();
    let supply = camp.world.compartment(CompartmentKind::Supply);
    let old_key = camp.world.epochs[&clinical].0;
    let now_key = key_of(&camp, 0, &old);
    // A hostile logistician names clinical keys in an epoch of supply; a hostile member, the oldest key anew.
    let mallory = camp.administrator();
    camp.forge(Some(mallory), epoch(supply, now_key));
    camp.forge(Some(mallory), epoch(clinical, old_key));
    camp.forge(Some(mallory), epoch(clinical, now_key));
    camp.hear(0, None);
    camp.hear(0, Some(mallory));
    let (to_hand, to_late) = (peer(&camp, hand), peer(&camp, late));
    let book = &mut camp.members[0].book;
    assert!(book.wrap_keys(&to_hand, &[now_key, old_key]).unwrap().is_empty(), "supply opens no clinical key");
    assert!(book.wrap_keys(&to_late, &[old_key]).unwrap().is_empty(), "an old key named anew stays old");
    let next = camp.write(0, "next").unwrap();
    assert!(![old_key, now_key].contains(&key_of(&camp, 0, &next)), "a new epoch begins instead");
    assert!(camp.meet(0, late));
    assert!(camp.opens(late, &camp.sealed(0)).contains(&next));
}

fn epoch(compartment: CompartmentId, key: KeyId) -> Control {
    Control::Epoch(Epoch { compartment, key, replaces: vec![], history: vec![], honours: vec![] })
}

#[test]
fn an_epoch_that_carries_false_secrets_or_replaces_foreign_epochs_shuts_nobody_out() {
    let mut camp = Camp::new(6);
    let a = camp.admit(Role::Clinician, true);
    let old = camp.write(a, "old").unwrap();
    assert!(camp.meet(0, a));
    let (clinical, supply) = (camp.clinical(), camp.world.compartment(CompartmentKind::Supply));
    let (incident, now) = (camp.world.incident, current(&mut camp, 0, clinical));
    let foreign = current(&mut camp, 0, supply)[0].0;
    // Mallory replaces the current epoch, carries garbage in its place, and names an epoch of supply beside it.
    let mallory = camp.administrator();
    let false_secret = EpochSecret::random(&mut SeededHost::new(5));
    let space = KeySpace { incident, compartment: clinical };
    let garbage: Vec<EpochSecret> = (0..40).map(|seed| EpochSecret::random(&mut SeededHost::new(seed))).collect();
    let mut replaces: Vec<EntryId> = now.iter().map(|(id, _)| *id).chain([foreign, EntryId::new([9; 32])]).collect();
    replaces.sort_unstable();
    let said = Epoch {
        compartment: clinical,
        key: false_secret.reading_key().key_id(),
        replaces,
        history: seal_history(&garbage, &false_secret, &space),
        honours: vec![],
    };
    camp.forge(Some(mallory), Control::Epoch(said));
    for member in [0, a] {
        camp.hear(member, None);
        camp.hear(member, Some(mallory));
    }
    assert_eq!(current(&mut camp, 0, supply).len(), 1, "supply goes on");
    // She gives the key to one member; nothing of the garbage is kept.
    let device = camp.members[a].device.public();
    let kept = camp.store(a).secrets().unwrap().len();
    let parcels =
        make_parcels(&space, &ParcelSecret::History(false_secret), &[device], &mut SeededHost::new(6)).unwrap();
    camp.members[a].book.take_parcels(&[parcels]).unwrap();
    assert_eq!(camp.store(a).secrets().unwrap().len(), kept + 1);
    // A writer who lacks her key begins an epoch that carries on what she cut off.
    let next = camp.write(0, "next").unwrap();
    let newcomer = camp.admit(Role::Clinician, true);
    let all = camp.sealed(0);
    let opens = camp.opens(newcomer, &all);
    assert!(opens.contains(&old) && opens.contains(&next) && opens.len() == all.len());
    assert_eq!(unopened(&mut camp, newcomer), 0);
}

#[test]
fn a_wrong_or_damaged_parcel_is_told_to_the_user_and_makes_room_for_the_right_one() {
    let mut camp = Camp::new(7);
    let [a, b] = [(); 2].map(|()| camp.admit(Role::Clinician, true));
    let x = camp.admit(Role::Clinician, true);
    assert!(camp.meet(0, a));
    let x_grant = camp.members[x].grant;
    camp.forge(None, revoke(vec![x_grant]));
    camp.hear(a, None);
    let entry = camp.write(a, "Okoye").unwrap();
    let key = key_of(&camp, a, &entry);
    camp.hear(b, None);
    camp.hand_over(a, b);
    let space = KeySpace { incident: camp.world.incident, compartment: camp.clinical() };
    let mut host = SeededHost::new(8);
    let device = camp.members[b].device.public();
    let to_b = peer(&camp, b);
    let right = camp.members[a].book.wrap_keys(&to_b, &[key]).unwrap();
    // Another secret under the name of the key; the right one with a bit turned over; one for somebody else.
    let other = ParcelSecret::History(EpochSecret::random(&mut host));
    let mut wrong = make_parcels(&space, &other, &[device], &mut host).unwrap();
    wrong.key_id = key;
    let mut damaged: ParcelGroup = right[0].clone();
    damaged.parcels[0].sealed[3] ^= 1;
    let mut foreign = right[0].clone();
    foreign.parcels[0].recipient = camp.members[a].device.public().device_id();
    let kept = camp.members[b].book.parcels_kept().unwrap();
    for _ in 0..3 {
        camp.members[b].book.take_parcels(&[wrong.clone(), damaged.clone(), foreign.clone()]).unwrap();
    }
    let lack = camp.members[b].book.status().unwrap().no_key;
    assert_eq!((lack.len(), lack[0].why, lack[0].entries), (1, WhyNoKey::Wrong, 1), "{lack:?}");
    assert_eq!(camp.members[b].book.parcels_kept().unwrap(), kept, "the wrong ones take no place");
    camp.members[b].book.take_parcels(&right).unwrap();
    let status = camp.members[b].book.status().unwrap();
    assert!(status.no_key.is_empty() && status.entries.unopened == 0);
}

#[test]
fn a_device_without_a_key_writes_at_once_under_an_epoch_of_its_own() {
    let mut camp = Camp::new(8);
    let [a, x] = [(); 2].map(|()| camp.admit(Role::Clinician, true));
    assert!(camp.meet(0, a) && camp.meet(0, x));
    camp.write(0, "one").unwrap();
    let device = DeviceSecret::random(&mut SeededHost::new(70));
    let grant = camp.forge_grant(None, &device, Role::Clinician, 0);
    let alone = camp.join_without_keys(device, grant);
    camp.hear(alone, None);
    let his = camp.write(alone, "alone").unwrap();
    assert!(camp.meet(alone, a));
    assert!(camp.opens(a, &camp.sealed(a)).contains(&his));
    assert_eq!(unopened(&mut camp, a) + unopened(&mut camp, alone), 0);
    // A relay has no right to write, and is told so.
    let relay = camp.admit(Role::Relay, true);
    assert_eq!(camp.write(relay, "no").unwrap_err().code(), "no-right");
}

#[test]
fn a_revoke_of_a_grant_that_is_not_here_yet_is_honoured_all_the_same() {
    let mut camp = Camp::new(9);
    let a = camp.admit(Role::Clinician, true);
    let x = camp.admit(Role::Clinician, true);
    let x_grant = camp.members[x].grant;
    camp.forge(None, revoke(vec![x_grant]));
    // He hears of the revoke and not yet of the grant.
    camp.hear(a, None);
    assert!(!camp.members[a].book.roster().unwrap().grants().contains_key(&x_grant));
    let entry = camp.write(a, "Okoye").unwrap();
    assert!(!camp.opens(x, &camp.sealed(a)).contains(&entry));
}

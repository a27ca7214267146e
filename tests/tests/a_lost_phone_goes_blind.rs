//! What a lost device could read is told, and from which entry on it is blind; and the end of a shift takes keys
//! away, by a clock that can be right.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use daybook_core::clock::DAY_MS;
use daybook_core::daybook::{Blindness, ExposedCompartment, Shift};
use daybook_core::id::EntryId;
use daybook_core::roster::{Control, Revoke, Role};
use daybook_tests::camp::Camp;
use daybook_tests::host::{START_MS, SeededHost};

const HOUR_MS: i64 = 3_600_000;

fn revoke(grants: Vec<EntryId>) -> Control {
    Control::Revoke(Revoke { grants, spares: vec![], cuts: vec![], devices: vec![], reason: None, part: None })
}

fn exposed(camp: &mut Camp, by: usize, of: usize) -> (ExposedCompartment, usize) {
    let device = camp.members[of].device.public().device_id();
    let exposure = camp.members[by].book.exposure(device).unwrap();
    let clinical = exposure.compartments.iter().find(|exposed| exposed.kind == "clinical").unwrap();
    (clinical.clone(), exposure.patients.len())
}

#[test]
fn what_a_lost_device_could_read_is_told_and_from_which_entry_on_it_is_blind() {
    let mut camp = Camp::new(21);
    let [a, x] = [(); 2].map(|()| camp.admit(Role::Clinician, true));
    let late = camp.admit(Role::Clinician, false);
    for family in ["one", "two", "three"] {
        camp.write(0, family).unwrap();
    }
    assert!(camp.meet(0, a) && camp.meet(0, x) && camp.meet(0, late));
    let (before, patients) = exposed(&mut camp, 0, x);
    assert_eq!((before.entries, before.closed, patients), (3, 0, 3));
    assert!(before.history && before.since.is_some() && before.blind == Blindness::MayRead);
    // Lost, and revoked: nobody has written since.
    let x_grant = camp.members[x].grant;
    camp.forge(None, revoke(vec![x_grant]));
    for member in [0, a] {
        camp.hear(member, None);
        assert_eq!(exposed(&mut camp, member, x).0.blind, Blindness::NotYet);
    }
    // The other half of the camp writes on without having heard.
    camp.write(late, "unheard").unwrap();
    let blind = camp.write(a, "four").unwrap();
    assert!(camp.meet(a, 0) && camp.meet(0, late) && camp.meet(0, a));
    for member in [0, a] {
        let (now, patients) = exposed(&mut camp, member, x);
        assert_eq!((now.entries, now.closed, patients), (4, 1, 4), "{now:?}");
        let Blindness::From { author, .. } = &now.blind else { panic!("{now:?}") };
        assert_eq!(author.device, camp.members[a].device.public().device_id());
        assert_eq!(now.blind_from.len(), 1);
    }
    let all = camp.sealed(0);
    let opens = camp.opens(x, &all);
    assert!(!opens.contains(&blind) && opens.len() <= 4);
    // One without history could read from its admission on, and what was written before it could not.
    let of_late = exposed(&mut camp, 0, late).0;
    assert!(!of_late.history && of_late.blind == Blindness::MayRead);
    assert_eq!(of_late.entries, camp.opens(late, &all).len() as u64);
    // A device that nobody ever granted anything could read nothing.
    let stranger = daybook_core::id::DeviceId::new([7; 32]);
    assert!(camp.members[0].book.exposure(stranger).unwrap().compartments.is_empty());
}

#[test]
fn rotating_makes_a_revoked_device_blind_before_anybody_writes() {
    let mut camp = Camp::new(22);
    let [a, x] = [(); 2].map(|()| camp.admit(Role::Clinician, true));
    assert!(camp.meet(0, a));
    assert!(camp.members[a].book.rotate().unwrap().is_empty(), "nothing is stopped");
    let x_grant = camp.members[x].grant;
    camp.forge(None, revoke(vec![x_grant]));
    camp.hear(a, None);
    let mut begun = camp.members[a].book.rotate().unwrap();
    begun.sort_unstable();
    assert_eq!(begun, ["audit", "clinical", "supply"], "where a clinician writes");
    assert!(camp.members[a].book.rotate().unwrap().is_empty(), "once is enough");
    let (now, _) = exposed(&mut camp, a, x);
    assert!(matches!(now.blind, Blindness::From { .. }) && now.blind_from.is_empty());
    assert_eq!(camp.members[x].book.rotate().map_err(|error| error.code()), Ok(vec![]), "it has not heard");
}

#[test]
fn at_the_end_of_a_shift_the_keys_go_the_entries_stay_and_a_new_grant_heals() {
    let mut camp = Camp::new(23);
    let a = camp.admit_until(Role::Clinician, true, Some(START_MS + HOUR_MS));
    camp.write(0, "one").unwrap();
    camp.write(a, "two").unwrap();
    assert_eq!(camp.meet_and_part(a, 0), None);
    let total = camp.members[a].book.status().unwrap().entries.total;
    assert_eq!(camp.members[a].book.shift().unwrap(), Shift::Until(START_MS + HOUR_MS));
    assert!(!camp.store(a).secrets().unwrap().is_empty());

    camp.reopen(a, Box::new(SeededHost::new(500).at(START_MS + 2 * HOUR_MS)));
    let status = camp.members[a].book.status().unwrap();
    assert_eq!(status.shift, Shift::Over(START_MS + HOUR_MS));
    assert_eq!((status.entries.total, status.patients, status.entries.accepted), (total, 0, status.entries.total - 2));
    assert!(camp.store(a).secrets().unwrap().is_empty() && camp.keys(a).is_empty());
    assert_eq!(camp.write(a, "three").unwrap_err().code(), "shift-over");
    // It stays so when its clock is set back.
    camp.reopen(a, Box::new(SeededHost::new(501).at(START_MS)));
    assert_eq!(camp.write(a, "three").unwrap_err().code(), "shift-over");
    assert!(camp.members[a].book.verify(&mut |_, _| {}).unwrap().problems.is_empty());

    // Whose clock says the same serves it no more.
    camp.reopen(0, Box::new(SeededHost::new(502).at(START_MS + 3 * HOUR_MS)));
    assert_eq!(camp.meet_and_part(a, 0).as_deref(), Some("S-014"));
    // A new grant, heard of at the next meeting, brings it all back.
    let device = camp.members[a].device.public().device_id();
    camp.members[0].book.extend_shift(device, None).unwrap();
    assert_eq!(camp.meet_and_part(a, 0), None);
    let status = camp.members[a].book.status().unwrap();
    assert_eq!((status.shift, status.patients, status.entries.unopened), (Shift::Open, 2, 0));
    camp.write(a, "three").unwrap();
    assert!(camp.meet(a, 0));
    assert_eq!(camp.members[0].book.status().unwrap().entries.waiting, 0);
}

#[test]
fn a_clock_that_cannot_be_right_ends_no_shift() {
    for (seed, days, over) in [(24, 300, true), (25, 400, false)] {
        let mut camp = Camp::new(seed);
        let a = camp.admit_until(Role::Clinician, true, Some(START_MS + HOUR_MS));
        // Without any receipt nothing confirms the clock.
        camp.reopen(a, Box::new(SeededHost::new(503).at(START_MS + 2 * HOUR_MS)));
        camp.write(a, "one").unwrap();
        camp.reopen(a, Box::new(SeededHost::new(504).at(START_MS)));
        assert_eq!(camp.meet_and_part(a, 0), None);
        camp.reopen(a, Box::new(SeededHost::new(505).at(START_MS + days * DAY_MS)));
        let written = camp.write(a, "two").map(|_| ());
        assert_eq!(written.is_err(), over, "{days} days past the receipt: {written:?}");
    }
}

#[test]
fn who_judges_the_shift_of_another_does_it_by_a_clock_that_can_be_right() {
    let mut camp = Camp::new(26);
    let other = camp.admit(Role::Clinician, true);
    let off = camp.admit_until(Role::Clinician, true, Some(START_MS - 10 * DAY_MS));
    assert_eq!(camp.meet_and_part(off, 0), None, "the root has no receipt yet");
    assert_eq!(camp.meet_and_part(other, 0), None);
    for (days, refused) in [(0, Some("S-014")), (-5, None), (1, Some("S-014")), (400, None)] {
        camp.reopen(0, Box::new(SeededHost::new(506).at(START_MS + DAY_MS / 2 + days * DAY_MS)));
        // No receipt is kept of it, so that the next round finds the same.
        let met = camp.first_refusal(off, 0);
        assert_eq!(met.as_deref(), refused, "{days}");
    }
}

//! Ten thousand control entries are folded in less than a second and 32 MiB, and twice as many in about twice the
//! time: no history of grants and revokes costs more than its length.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::clock::Hlc;
use daybook_core::crypto::{DevicePublic, DeviceSecret, RecoverySeed};
use daybook_core::id::{CONTROL, DeviceId, EntryId, Incarnation, Lane, LogId};
use daybook_core::log::LogName;
use daybook_core::roster::{
    Branch, Chains, Control, ControlEntry, Founding, Grant, PlaceOf, Revoke, Role, Root, Roster, SignedFounding,
};
use daybook_tests::host::SeededHost;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Counts what is allocated now and at most.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator that counts is made of unsafe functions")]
// SAFETY: every call goes to the system's allocator as it came; the counters do not touch memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the pointer came from `alloc` above, which is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One measurement at a time.
static ALONE: Mutex<()> = Mutex::new(());

struct Incident {
    founding: SignedFounding,
    root: DevicePublic,
    incident: EntryId,
    host: SeededHost,
    entries: Vec<ControlEntry>,
    logs: Vec<(LogId, DeviceId, u64)>,
}

impl Incident {
    fn new() -> Self {
        let mut host = SeededHost::new(5);
        let device = DeviceSecret::random(&mut host);
        let seed = RecoverySeed::random(&mut host);
        let root = Root { device: device.public(), organisation: "Relief".into() };
        let founding = Founding::of_one([1; 16], "Large", true, root, &seed);
        let founding = SignedFounding::sign(&founding, &[&device.signing]).unwrap();
        let incident = EntryId::new(*founding.incident().as_bytes());
        let mut incident =
            Self { founding, root: device.public(), incident, host, entries: Vec::new(), logs: Vec::new() };
        incident.log(incident.root);
        incident
    }

    fn log(&mut self, device: DevicePublic) -> usize {
        let name = LogName::new(device, Incarnation::new([7; 16]), CONTROL, Lane::Safety);
        self.logs.push((name.id(self.founding.incident()), device.device_id(), 0));
        self.logs.len() - 1
    }

    fn device(&mut self) -> DevicePublic {
        DeviceSecret::random(&mut self.host).public()
    }

    fn say(&mut self, log: usize, grant: EntryId, control: Control) -> EntryId {
        let number = u64::try_from(self.entries.len()).unwrap() + 1;
        let (log, device, seq) = &mut self.logs[log];
        *seq += 1;
        let mut id = [3; 32];
        id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        id[8..16].copy_from_slice(&number.to_be_bytes());
        let place = PlaceOf { log: *log, seq: *seq, id: EntryId::new(id) };
        let hlc = Hlc::default().tick(i64::try_from(number).unwrap());
        self.entries.push(ControlEntry { place, branch: Some(0), device: *device, grant, hlc, control });
        place.id
    }

    /// Folds it several times; gives the shortest time and the most memory beyond what was there before.
    fn fold(&self, chains: &Chains) -> (Duration, usize, Roster) {
        let mut best = (Duration::MAX, usize::MAX, Roster::default());
        for _ in 0..3 {
            let before = NOW.load(Ordering::Relaxed);
            MOST.store(before, Ordering::Relaxed);
            let start = Instant::now();
            let roster = Roster::fold(&self.founding, &self.entries, chains);
            let (time, memory) = (start.elapsed(), MOST.load(Ordering::Relaxed) - before);
            best = (best.0.min(time), best.1.min(memory), roster);
        }
        best
    }
}

fn grant(device: DevicePublic, role: Role, grants: u32, lifts: Vec<EntryId>) -> Control {
    let (rights, role) = (role.rights(), role.word().to_owned());
    let (person, organisation, until_ms, history, compartments) = (None, None, None, true, 0);
    Control::Grant(Box::new(Grant {
        device,
        person,
        organisation,
        role,
        rights,
        history,
        until_ms,
        grants,
        compartments,
        lifts,
    }))
}

fn revoke(grant: EntryId, device: DevicePublic, cuts: Vec<PlaceOf>) -> Control {
    let (grants, devices) = (vec![grant], vec![device.device_id()]);
    Control::Revoke(Revoke { grants, spares: Vec::new(), cuts, devices, reason: None, part: None })
}

/// A device granted and revoked in turn, each grant naming the last revoke, among people who come and stay.
fn in_turn(turns: usize, others: usize) -> Incident {
    let mut incident = Incident::new();
    let ground = incident.incident;
    let device = incident.device();
    let mut last: Option<EntryId> = None;
    for _ in 0..turns {
        let granted = incident.say(0, ground, grant(device, Role::Clinician, 0, last.into_iter().collect()));
        let place = PlaceOf { log: LogId::new([9; 32]), seq: 5, id: EntryId::new([9; 32]) };
        last = Some(incident.say(0, ground, revoke(granted, device, vec![place])));
    }
    let mut admins: Vec<(usize, EntryId)> = Vec::new();
    for other in 0..others {
        let public = incident.device();
        if other % 20 == 0 {
            let id = incident.say(0, ground, grant(public, Role::Admin, 40, Vec::new()));
            let log = incident.log(public);
            admins.push((log, id));
        } else {
            let (log, admin) = *admins.last().unwrap();
            incident.say(log, admin, grant(public, Role::Clinician, 0, Vec::new()));
        }
    }
    incident
}

#[test]
fn ten_thousand_entries_cost_less_than_a_second_and_32_mib() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let incident = in_turn(1_000, 8_000);
    assert_eq!(incident.entries.len(), 10_000);
    let (time, memory, roster) = incident.fold(&Chains::default());
    println!("10,000 control entries: {time:?}, {} KiB", memory / 1024);
    assert!(memory < 32 * 1024 * 1024, "{memory} bytes");
    assert!(time < Duration::from_secs(1), "{time:?}");
    let ended = roster.grants().values().filter(|held| !held.in_force()).count();
    assert_eq!((roster.grants().len(), ended), (9_000, 1_000), "each grant named the revoke before it");
    assert_eq!(roster.all_without_effect().len(), 0);
}

/// The worst of several shapes, each at two lengths.
#[test]
fn no_shape_costs_more_than_its_length() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    type Shape = fn(usize) -> (Incident, Chains);
    let shapes: [(&str, Shape); 4] = [
        ("one device in turn", |n| (in_turn(n / 2, 0), Chains::default())),
        ("one device in turn, nothing named", |n| {
            let mut incident = in_turn(n / 2, 0);
            for entry in &mut incident.entries {
                if let Control::Grant(grant) = &mut entry.control {
                    grant.lifts.clear();
                }
            }
            (incident, Chains::default())
        }),
        ("one device with all its grants first", |n| {
            let mut incident = Incident::new();
            let (ground, device) = (incident.incident, incident.device());
            let grants: Vec<EntryId> =
                (0..n / 2).map(|_| incident.say(0, ground, grant(device, Role::Admin, 0, Vec::new()))).collect();
            for granted in grants {
                incident.say(0, ground, revoke(granted, device, Vec::new()));
            }
            (incident, Chains::default())
        }),
        ("people who come and stay", |n| (in_turn(0, n), Chains::default())),
    ];
    for (what, shape) in shapes {
        let [(few, _), (many, memory)] = [2_500, 10_000].map(|n| {
            let (incident, chains) = shape(n);
            // The quickest of three: what else the machine does is not the fold's.
            let folds = [(); 3].map(|()| incident.fold(&chains));
            let time = folds.iter().map(|(time, ..)| *time).min().unwrap();
            (time, folds.iter().map(|(_, memory, _)| *memory).max().unwrap())
        });
        println!("{what}: {few:?} at 2,500, {many:?} and {} KiB at 10,000", memory / 1024);
        assert!(many < few * 10 + Duration::from_millis(20), "{what}: {few:?}, {many:?}");
        assert!(memory < 32 * 1024 * 1024, "{what}: {memory} bytes");
    }
}

/// In a forked log each revoke is compared with each ending of a grant: bounded all the same.
#[test]
fn a_forked_log_of_revokes_stays_below_a_second() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut incident = in_turn(5_000, 0);
    let log = incident.logs[0].0;
    let mut chains = Chains::default();
    chains.fork(log, [Branch { branch: 0, parent: 0, fork_seq: 0 }, Branch { branch: 1, parent: 0, fork_seq: 9_000 }]);
    for entry in incident.entries.iter_mut().filter(|entry| entry.place.seq > 9_500) {
        entry.branch = Some(1);
    }
    let (time, memory, _) = incident.fold(&chains);
    println!("forked: {time:?}, {} KiB", memory / 1024);
    assert!(time < Duration::from_secs(1), "{time:?}");
}

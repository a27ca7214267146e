//! Cost of keys: an epoch for 300 devices, sealing and opening an entry.

use super::measure::{into, median, took};
use super::{Options, book};
use daybook_core::crypto::{DeviceSecret, EpochSecret, Nonce, Place, Secret};
use daybook_core::id::{EntryId, IncidentId, LogId};
use daybook_core::limits::PARCEL_BYTES;
use daybook_core::record::{Name, Setting};
use daybook_core::roster::{Control, Grant, Revoke, Role};
use daybook_tests::world::World;
use serde_json::{Value, json};
use std::time::Duration;

/// Devices that read when the epoch begins.
const DEVICES: usize = 300;
/// Bytes of a body, the mean of the workload.
const BODY_BYTES: usize = 309;
/// Entries that are sealed and opened.
const SEALED: u64 = 100_000;

/// Rotation, sealing, opening.
pub fn measure(options: &Options) -> Value {
    let (mut times, mut bytes) = (Vec::new(), 0);
    for run in 0..options.runs {
        let (cpu_ms, took_bytes) = rotation(options, run as u64);
        times.push(cpu_ms);
        bytes = took_bytes;
    }
    let rotation_ms = median(times.iter().copied());
    options.say(&format!(
        "keys: a new epoch for {DEVICES} devices, {rotation_ms:.1} ms of the processor beyond a plain write, \
         {bytes} bytes of parcels and control entry"
    ));
    let (seal, open) = sealing();
    options.say(&format!("  a body of {BODY_BYTES} bytes: sealed in {seal:.2} µs, opened in {open:.2} µs"));
    json!({"devices": DEVICES, "rotation_cpu_ms": rotation_ms, "rotation_bytes": bytes, "seal_us": seal, "open_us": open})
}

/// What the first write after a revoke costs more than the second one, and what it adds to what is kept.
fn rotation(options: &Options, seed: u64) -> (f64, u64) {
    let mut world = World::new(seed + 1, 0, Role::Clinician);
    let mut gone = EntryId::ZERO;
    for _ in 0..=DEVICES {
        let device = DeviceSecret::random(&mut world.host);
        gone = world.control(Control::Grant(Box::new(Grant {
            device: device.public(),
            person: None,
            organisation: None,
            role: Role::Clinician.word().to_owned(),
            rights: Role::Clinician.rights(),
            history: true,
            until_ms: None,
            grants: 0,
            compartments: 0,
            lifts: Vec::new(),
        })));
    }
    let folder = tempfile::tempdir_in(&options.folder).expect("a folder");
    let mut book =
        book::of(&world, &DeviceSecret::from_secret(&world.root.device.to_secret()), &folder.path().join("book"));
    let add = |book: &mut daybook_core::daybook::Daybook| {
        let name = Name { family: "Okoye", given: vec![], text: "" };
        took(|| book.add_patient(&[Setting::Name(name, Some(""))]).expect("written")).1.cpu
    };
    add(&mut book);
    let (grants, devices) = (vec![gone], vec![]);
    world.control(Control::Revoke(Revoke { grants, spares: vec![], cuts: vec![], devices, reason: None, part: None }));
    book.take_runs(&world.control_runs()).expect("taken");
    book.post_all().expect("posted");
    let before = book.parcels_kept().expect("readable");
    let first = add(&mut book);
    let plain = (0..5).map(|_| add(&mut book).as_secs_f64() * 1e3);
    let plain = median(plain.collect::<Vec<_>>());
    let parcels = book.parcels_kept().expect("readable") - before;
    assert!(parcels >= DEVICES as u64, "one parcel each: {parcels}");
    // A group of parcels begins with key id and ephemeral key; the entry names what it replaces and honours.
    let entry = book.roster().expect("a roster").epochs().values().map(|epoch| epoch.history.len()).max().unwrap_or(0);
    (first.as_secs_f64() * 1e3 - plain, 64 + parcels * PARCEL_BYTES as u64 + entry as u64 + 400)
}

/// µs of the processor for sealing and opening one body.
fn sealing() -> (f64, f64) {
    let key = EpochSecret::from_secret(Secret::new([7; 32])).reading_key();
    let body: Vec<u8> = (0..=250).cycle().take(BODY_BYTES).collect();
    let place = |seq| Place { incident: IncidentId::new([1; 32]), log: LogId::new([2; 32]), seq };
    let mut sealed: Vec<(Nonce, Vec<u8>)> = Vec::with_capacity(1_024);
    let (mut seal, mut open, mut buffer) = (Duration::ZERO, Duration::ZERO, Vec::new());
    for round in 0..SEALED / 1_024 {
        sealed.clear();
        into(&mut seal, || {
            for seq in 0..1_024 {
                let mut bytes = Vec::new();
                let nonce = key.seal(&place(round * 1_024 + seq + 1), &body, &mut bytes);
                sealed.push((nonce, bytes));
            }
        });
        into(&mut open, || {
            for (seq, (nonce, bytes)) in sealed.iter().enumerate() {
                key.open(&place(round * 1_024 + seq as u64 + 1), nonce, bytes, &mut buffer).expect("it opens");
            }
        });
    }
    let each = |time: Duration| time.as_secs_f64() * 1e6 / (SEALED / 1_024 * 1_024) as f64;
    (each(seal), each(open))
}

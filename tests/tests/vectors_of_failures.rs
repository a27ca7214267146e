//! `vectors/failures` holds one failure a file: the stage that finds it, the rule code, the bytes. Another reader of the
//! format can be held to them. They are made here, the same every time:
//! `DAYBOOK_WRITE_VECTORS=1 cargo test -p daybook-tests --test vectors_of_failures` writes them anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod cipher;

use daybook_core::clock::{EffectiveTime, Hlc, Precision, TimeSource, random};
use daybook_core::codec::Writer;
use daybook_core::crypto::{
    DeviceSecret, Label, Nonce, OpenError, Place, ReadingKey, RecoverySeed, Secret, SigningKey, derive, keyed, pad,
};
use daybook_core::id::{CONTROL, CommitId, Incarnation, IncidentId, Lane, LogId, PatientId};
use daybook_core::log::{HeadOf, Proof, Run};
use daybook_core::record::{Body, Edit, Fact, Identifier, Operation, Register, Setting, Statement};
use daybook_core::roster::{CompartmentKind, ControlBody, Founding, GrantPath, Role, Root, SignedFounding};
use daybook_tests::host::SeededHost;
use daybook_tests::world::{World, Written, WrittenLog};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Vector {
    stage: &'static str,
    /// The rule code, or `ok`.
    expect: &'static str,
    why: &'static str,
    /// What the stage needs to know beside the bytes.
    with: Vec<(&'static str, String)>,
    bytes: Vec<u8>,
}

impl Vector {
    fn name(&self) -> String {
        let slug: String = self.why.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        format!("{}-{}-{slug}.txt", self.stage, self.expect)
    }

    fn to_text(&self) -> String {
        let mut text = format!("stage {}\nexpect {}\nwhy {}\n", self.stage, self.expect, self.why);
        self.with.iter().for_each(|(key, value)| text += &format!("{key} {value}\n"));
        for line in self.bytes.chunks(60) {
            text += &format!("\n{}", hex(line));
        }
        text + "\n"
    }

    /// Reads a file back: its words by key, and its bytes.
    fn read(text: &str) -> (BTreeMap<String, String>, Vec<u8>) {
        let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
        let words = head.lines().map(|line| line.split_once(' ').unwrap());
        let digits: String = body.split_whitespace().collect();
        (words.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(), unhex(&digits))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// The code with which a message begins.
fn code(error: impl std::fmt::Display) -> String {
    error.to_string().split(' ').next().unwrap().to_owned()
}

/// What the program thinks of the bytes of a file.
fn judged(words: &BTreeMap<String, String>, bytes: &[u8]) -> String {
    let incident = || IncidentId::from_hex(&words["incident"]).unwrap();
    let ok = || "ok".to_owned();
    match words["stage"].as_str() {
        "run" | "head" => {
            Run::read(bytes).and_then(|run| run.verify(&incident()).map(|_| ())).map_or_else(code, |()| ok())
        }
        "founding" => SignedFounding::read(bytes).map_or_else(code, |_| ok()),
        "path" => GrantPath::read(bytes, Some(&incident())).map_or_else(code, |_| ok()),
        "control" => ControlBody::read(bytes).map_or_else(|_| "F-010".to_owned(), |_| ok()),
        "proof" => Proof::read_file(bytes).map_or_else(code, |_| ok()),
        "flood" => match Proof::read(bytes) {
            Ok(proof) if proof.is_flood() && *proof.incident() == incident() => ok(),
            Ok(_) => "W-005".to_owned(),
            Err(error) => code(error),
        },
        "entry" => {
            let key = ReadingKey::from_secret(Secret::from_slice(&unhex(&words["key"])).unwrap());
            let log = LogId::from_hex(&words["log"]).unwrap();
            let place = Place { incident: incident(), log, seq: words["place"].parse().unwrap() };
            let nonce = Nonce(unhex(&words["nonce"]).try_into().unwrap());
            match key.open(&place, &nonce, bytes, &mut Vec::new()) {
                Ok(()) => ok(),
                Err(OpenError::Seal) => "F-001".to_owned(),
                Err(OpenError::Nonce) => "F-002".to_owned(),
                Err(OpenError::Padding) => "F-003".to_owned(),
                Err(other) => panic!("{other} has no code here"),
            }
        }
        "body" => {
            let lane = Lane::from_number(words["lane"].parse().unwrap()).unwrap();
            let kind = CompartmentKind::ALL.into_iter().find(|kind| kind.word() == words["compartment"]).unwrap();
            Body::read(bytes, lane, kind).map_or_else(|fault| fault.code().to_owned(), |_| ok())
        }
        stage => panic!("there is no stage {stage}"),
    }
}

// What is made.

const PATIENT: PatientId = PatientId::new([0x42; 16]);
const NOON: EffectiveTime =
    EffectiveTime { ms: 0, offset_minutes: 0, precision: Precision::Day, source: TimeSource::Stated };
const ROUTINE: (CompartmentKind, Lane) = (CompartmentKind::Clinical, Lane::Routine);
/// Where fields of a run begin.
const LANE_AT: usize = 96 + 16 + 32;
const PLACE_AT: usize = LANE_AT + 1;
const BACKLINK_AT: usize = PLACE_AT + 8;
const COUNT_AT: usize = BACKLINK_AT + 32;
const FLAGS_AT: usize = COUNT_AT + 4;
const LENGTH_AT: usize = FLAGS_AT + 1 + 96 + 24;

fn note() -> Vec<u8> {
    let (statement, targets) = (Statement::Note { text: "slept badly" }, Vec::new());
    Operation::Fact(Fact { patient: Some(PATIENT), effective: NOON, targets, import: None, reason: "", statement })
        .to_bytes()
}

fn edit() -> Vec<u8> {
    let setting = Setting::Identifier(Identifier { system: "tag", value: "A-17" }, Some(""));
    let (key, value) = setting.to_bytes();
    let register = Register { field: setting.field(), key: &key, value: &value };
    Operation::Edit(Edit { patient: PATIENT, parents: Vec::new(), registers: vec![register], import: None }).to_bytes()
}

fn clinic() -> World {
    World::new(2_026, 1, Role::Clinician)
}

/// Notes of the clinician.
fn notes(count: usize) -> (World, WrittenLog) {
    let mut world = clinic();
    let log = world.fork(0, ROUTINE, 0, (1, count), &[note()]).remove(0);
    (world, log)
}

fn changed(bytes: &[u8], at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + with.len()].copy_from_slice(with);
    bytes
}

fn in_incident(
    stage: &'static str,
    incident: &IncidentId,
    vectors: Vec<(&'static str, &'static str, Vec<u8>)>,
) -> Vec<Vector> {
    let with = vec![("incident", incident.to_hex())];
    vectors.into_iter().map(|(expect, why, bytes)| Vector { stage, expect, why, with: with.clone(), bytes }).collect()
}

fn runs() -> Vec<Vector> {
    let (world, log) = notes(2);
    let (run, control) = (log.run(0, 2), world.root.logs[&(CONTROL, Lane::Safety)].run(0, 1));
    let erased = run[FLAGS_AT] | 8;
    let low_order = [0; 32];
    let mut vectors = in_incident(
        "run",
        &world.incident,
        vec![
            ("ok", "two entries and a signed head", run.clone()),
            ("ok", "a control entry", control.clone()),
            ("E-001", "cut off before the last byte", run[..run.len() - 1].to_vec()),
            ("E-001", "a byte follows", [&run[..], &[0]].concat()),
            ("E-001", "a flag that does not exist", changed(&run, FLAGS_AT, &[run[FLAGS_AT] | 16])),
            ("E-001", "the first entry does not carry its grant", changed(&run, FLAGS_AT, &[run[FLAGS_AT] & !1])),
            ("E-001", "an erased body of no length", {
                let bare = changed(&changed(&run, FLAGS_AT, &[erased]), LENGTH_AT, &[0; 4]);
                bare[..LENGTH_AT + 36].to_vec()
            }),
            ("E-001", "a key id in control", changed(&control, FLAGS_AT, &[control[FLAGS_AT] | 4])),
            ("E-001", "more heads than entries", changed(&run, run.len() - 72, &[3])),
            ("E-002", "place 0", changed(&run, PLACE_AT, &[0])),
            ("E-002", "place 1 with a backlink", changed(&run, BACKLINK_AT, &[1])),
            ("E-002", "place 2 without a backlink", changed(&run, PLACE_AT, &[2])),
            ("E-002", "a place beyond the last", {
                changed(&changed(&run, PLACE_AT, &[0, 0, 0, 0, 1]), BACKLINK_AT, &[1])
            }),
            ("E-004", "a sealed body of 65537 bytes", changed(&run, LENGTH_AT, &65_537_u32.to_le_bytes())),
            ("E-004", "a control body of 262145 bytes", {
                changed(&control, FLAGS_AT + 1 + 64, &262_145_u32.to_le_bytes())
            }),
            ("E-007", "a signing key of low order", changed(&run, 0, &low_order)),
            ("E-007", "a wrap key of low order", changed(&run, 32, &low_order)),
            ("E-007", "a Noise key in a second spelling", changed(&run, 64, &[0xff; 32])),
            ("E-008", "lane 3", changed(&run, LANE_AT, &[3])),
            ("E-008", "control in lane 1", changed(&control, LANE_AT, &[1])),
            ("E-009", "no entries", changed(&run, COUNT_AT, &[0])),
            ("E-009", "1025 entries", changed(&run, COUNT_AT, &1_025_u32.to_le_bytes())),
        ],
    );
    vectors.extend(heads(&world, &log));
    vectors
}

fn heads(world: &World, log: &WrittenLog) -> Vec<Vector> {
    let run = log.run(0, 2);
    let stranger = DeviceSecret::random(&mut SeededHost::new(7));
    let signed_by = |device: &DeviceSecret, log: &WrittenLog, of: &Written| {
        let mut forged = log.clone();
        forged.entries[1].signature = device.signing.sign_head(log.log, of.seq, of.id);
        forged.run(0, 2)
    };
    let own = &world.authors[0].device;
    let past_64 = notes(66).1;
    let unsigned_64 = {
        // The run's one head at place 64 is left out; the last stays.
        let whole = past_64.run(0, 66);
        let end = whole.len() - 4 - 2 * 68;
        [&whole[..end], &[1, 0, 0, 0], &whole[end + 4 + 68..]].concat()
    };
    let control = world.root.logs[&(CONTROL, Lane::Safety)].run(0, 2);
    let control_heads = control.len() - 4 - 2 * 68;
    in_incident(
        "head",
        &world.incident,
        vec![
            ("ok", "a run past place 64", past_64.run(0, 66)),
            ("E-005", "a flipped bit in the signature", changed(&run, run.len() - 1, &[run[run.len() - 1] ^ 1])),
            ("E-005", "the signature of another device", signed_by(&stranger, log, &log.entries[1])),
            ("E-005", "the signature of the entry before", signed_by(own, log, &log.entries[0])),
            ("E-005", "a flipped bit in a body", changed(&run, LENGTH_AT + 4, &[run[LENGTH_AT + 4] ^ 1])),
            ("E-005", "a run of another incident", World::new(7, 1, Role::Clinician).control_runs().remove(0)),
            ("E-006", "no head at all", [&run[..run.len() - 72], &[0; 4]].concat()),
            ("E-006", "no head at place 64", unsigned_64),
            ("E-006", "a control entry without one", {
                [&control[..control_heads], &[1, 0, 0, 0], &control[control_heads + 4 + 68..]].concat()
            }),
        ],
    )
}

fn foundings() -> Vec<Vector> {
    let mut host = SeededHost::new(5);
    let devices: Vec<DeviceSecret> = (0..3).map(|_| DeviceSecret::random(&mut host)).collect();
    let seed = RecoverySeed::random(&mut host);
    let root = |device: &DeviceSecret| Root { device: device.public(), organisation: "Relief".into() };
    let mut founding = Founding::of_one([1; 16], "Flood", true, root(&devices[0]), &seed);
    founding.roots = devices.iter().map(root).collect();
    founding.quorum = 2;
    let keys: Vec<&SigningKey> = devices.iter().map(|device| &device.signing).collect();
    let whole = SignedFounding::sign(&founding, &keys).unwrap().bytes().to_vec();
    let find = |what: &[u8]| whole.windows(what.len()).position(|window| window == what).unwrap();
    let keys_at = find(&founding.roots[1].device.to_bytes());
    let quorum_at = find(&founding.recovery.to_bytes()) - 4;
    assert_eq!(whole[quorum_at], 2);
    let longer = {
        let mut longer = whole.clone();
        longer.splice(6..7, [0x18, 1]);
        longer[0] += 1;
        longer
    };
    let vectors = vec![
        ("ok", "three roots", whole.clone()),
        ("X-001", "cut off", whole[..whole.len() - 1].to_vec()),
        ("X-001", "a byte follows", [&whole[..], &[0]].concat()),
        ("X-001", "a number that is not in its shortest form", longer),
        ("X-002", "format 2", changed(&whole, 6, &[2])),
        ("X-002", "suite 2", changed(&whole, 8, &[2])),
        ("X-003", "a quorum of one among three", changed(&whole, quorum_at, &[1])),
        ("X-003", "a root key of low order", changed(&whole, keys_at, &[0; 32])),
        ("X-003", "one root twice", changed(&whole, keys_at, &founding.roots[0].device.to_bytes())),
        ("X-004", "a flipped bit in a signature", changed(&whole, whole.len() - 64, &[whole[whole.len() - 64] ^ 1])),
        ("X-004", "another name than was signed", changed(&whole, find(b"Flood"), b"Blood")),
    ];
    let of = |(expect, why, bytes)| Vector { stage: "founding", expect, why, with: Vec::new(), bytes };
    vectors.into_iter().map(of).collect()
}

fn paths() -> Vec<Vector> {
    let world = World::new(2_026, 2, Role::Clinician);
    let run = |author: usize| world.run_of_grant(world.authors[author].grant);
    let path = |runs: &[Vec<u8>]| GrantPath::to_bytes(&world.founding, runs);
    let whole = path(&[run(0)]);
    let other = World::new(7, 1, Role::Clinician);
    let statement = whole.len() - 5 - run(0).len();
    in_incident(
        "path",
        &world.incident,
        vec![
            ("ok", "one grant of the root", whole.clone()),
            ("ok", "the path of a root", path(&[])),
            ("P-001", "cut off", whole[..whole.len() - 1].to_vec()),
            ("P-001", "a byte follows", [&whole[..], &[0]].concat()),
            ("P-001", "nine grants", changed(&whole, statement, &[9])),
            (
                "P-002",
                "a root did not sign the founding statement",
                changed(&whole, statement - 1, &[whole[statement - 1] ^ 1]),
            ),
            ("P-003", "another incident", other.path(Some(0))),
            (
                "P-004",
                "a flipped bit in the signature of the grant",
                changed(&whole, whole.len() - 1, &[whole[whole.len() - 1] ^ 1]),
            ),
            ("P-005", "the second grant does not stand on the first", path(&[run(0), run(1)])),
            ("P-005", "an entry that is no grant", path(&[world.root.logs[&(CONTROL, Lane::Safety)].run(0, 1)])),
        ],
    )
}

fn controls() -> Vec<Vector> {
    let entry = |operation: &dyn Fn(&mut Writer)| {
        let mut to = Writer::new();
        to.map(3).uint(1).bytes(&[1; 8]).uint(2).uint(1 << 16).uint(3);
        operation(&mut to);
        to.finish()
    };
    let bar = |devices: &[[u8; 32]]| {
        entry(&|to| {
            to.map(2).uint(0).uint(5).uint(1).list(devices.len());
            devices.iter().for_each(|device| {
                to.bytes(device);
            });
        })
    };
    let right = bar(&[[1; 32], [2; 32]]);
    let world = clinic();
    let grant = world.root.logs[&(CONTROL, Lane::Safety)].entries.last().unwrap().body.clone();
    let vectors = vec![
        ("ok", "a bar", right.clone()),
        ("ok", "a grant", grant),
        (
            "ok",
            "a kind of a later version",
            entry(&|to| {
                to.map(1).uint(0).uint(99);
            }),
        ),
        ("F-010", "no CBOR", b"no CBOR".to_vec()),
        ("F-010", "empty", Vec::new()),
        ("F-010", "cut off", right[..right.len() - 1].to_vec()),
        ("F-010", "a byte follows", [&right[..], &[0]].concat()),
        ("F-010", "devices out of order", bar(&[[2; 32], [1; 32]])),
        ("F-010", "one device twice", bar(&[[1; 32], [1; 32]])),
        ("F-010", "an empty list that is written", bar(&[])),
        ("F-010", "no commit id", {
            let mut to = Writer::new();
            to.map(2).uint(2).uint(1 << 16).uint(3).map(1).uint(0).uint(5);
            to.finish()
        }),
        (
            "F-010",
            "a list that claims 4294967296 items in ten bytes",
            entry(&|to| {
                to.map(2).uint(0).uint(5).uint(1).raw(&[0x9b, 0, 0, 0, 1, 0, 0, 0, 0]);
            }),
        ),
        (
            "F-010",
            "a compartment of the kind control",
            entry(&|to| {
                to.map(2).uint(0).uint(7).uint(1).uint(0);
            }),
        ),
        (
            "F-010",
            "part 3 of a revoke in 2 parts",
            entry(&|to| {
                to.map(2).uint(0).uint(4).uint(6).list(3).uint(3).uint(2).bytes(&[0; 32]);
            }),
        ),
        (
            "F-010",
            "an epoch without its key",
            entry(&|to| {
                to.map(2).uint(0).uint(6).uint(1).bytes(&[1; 32]);
            }),
        ),
    ];
    let of = |(expect, why, bytes)| Vector { stage: "control", expect, why, with: Vec::new(), bytes };
    vectors.into_iter().map(of).collect()
}

fn entries() -> Vec<Vector> {
    let world = clinic();
    let key = &world.epochs[&world.compartment(CompartmentKind::Clinical)].2;
    let place = Place { incident: world.incident, log: LogId::new([3; 32]), seq: 5 };
    let (aad, secret) = {
        let (seq, id) = (place.seq.to_le_bytes(), key.key_id());
        let parts = [&[1, 0][..], place.incident.as_bytes(), place.log.as_bytes(), &seq, id.as_bytes()];
        (parts.concat(), key.secret().expose())
    };
    let mut padded = Body::write(CommitId::ZERO, Hlc::from_bits(1 << 16), &[note()]);
    let length = padded.len();
    pad(&mut padded);
    let seal = |nonce: Option<[u8; 24]>, padded: &[u8]| {
        let nonce = nonce.unwrap_or_else(|| keyed(&derive(Label::Nonce, &[secret]), &[&aad, padded]));
        (nonce, cipher::seal(secret, &nonce, &aad, padded))
    };
    let (nonce, right) = seal(None, &padded);
    let vectors = vec![
        ("ok", "a note", (nonce, right.clone())),
        ("F-001", "a flipped bit in the sealed body", (nonce, changed(&right, 9, &[right[9] ^ 1]))),
        ("F-001", "shorter than a tag", (nonce, right[..15].to_vec())),
        ("F-001", "another nonce than it was sealed under", ([9; 24], right.clone())),
        ("F-002", "a nonce that does not follow from the text", seal(Some([7; 24]), &padded)),
        ("F-003", "another mark behind the text", seal(None, &changed(&padded, length, &[0x81]))),
        ("F-003", "longer padding than that of the format", seal(None, &[&padded[..], &[0; 16]].concat())),
        ("F-003", "no padding", seal(None, &padded[..length])),
    ];
    let words = |nonce: [u8; 24]| {
        vec![
            ("incident", place.incident.to_hex()),
            ("key", hex(secret)),
            ("log", place.log.to_hex()),
            ("place", place.seq.to_string()),
            ("nonce", hex(&nonce)),
        ]
    };
    let of = |(expect, why, (nonce, bytes)): (_, _, ([u8; 24], Vec<u8>))| Vector {
        stage: "entry",
        expect,
        why,
        with: words(nonce),
        bytes,
    };
    vectors.into_iter().map(of).collect()
}

fn bodies() -> Vec<Vector> {
    let body = |operations: &[Vec<u8>]| Body::write(CommitId::ZERO, Hlc::from_bits(1 << 16), operations);
    let right = body(&[note()]);
    let clinical = CompartmentKind::Clinical;
    let text = |text: &str, offset: i64| {
        let mut to = Writer::new();
        to.map(4).uint(0).uint(12).uint(1).bytes(PATIENT.as_bytes());
        to.uint(2).list(4).int(0).int(offset).uint(2).uint(1).uint(17).text(text);
        body(&[to.finish()])
    };
    let without_text = {
        let mut to = Writer::new();
        to.map(3).uint(0).uint(12).uint(1).bytes(PATIENT.as_bytes());
        to.uint(2).list(4).int(0).int(0).uint(2).uint(1);
        body(&[to.finish()])
    };
    let hlc_at = 1 + 1 + 9 + 1;
    let vectors = vec![
        ("ok", "a note", Lane::Routine, clinical, right.clone()),
        ("ok", "an edit", Lane::Safety, clinical, body(&[edit()])),
        ("F-004", "a number that is not in its shortest form", Lane::Routine, clinical, {
            [&right[..hlc_at], &[0x1b, 0, 0, 0, 0], &right[hlc_at + 1..]].concat()
        }),
        ("F-004", "a map of no stated length", Lane::Routine, clinical, [&[0xbf], &right[1..], &[0xff]].concat()),
        ("F-004", "a float", Lane::Routine, clinical, [&[0xa4], &right[1..], &[4, 0xf9, 0x7e, 0]].concat()),
        ("F-004", "nine levels", Lane::Routine, clinical, [&[0xa4], &right[1..], &[4], &[0x81; 8][..], &[0]].concat()),
        ("F-004", "cut off", Lane::Routine, clinical, right[..right.len() - 1].to_vec()),
        ("F-004", "a byte follows", Lane::Routine, clinical, [&right[..], &[0]].concat()),
        ("F-005", "no operation", Lane::Routine, clinical, body(&[])),
        ("F-005", "a note without its text", Lane::Routine, clinical, without_text),
        ("F-005", "an empty map", Lane::Routine, clinical, vec![0xa0]),
        ("F-006", "65 operations", Lane::Routine, clinical, body(&vec![note(); 65])),
        ("F-006", "a text of 8193 bytes", Lane::Routine, clinical, text(&"x".repeat(8_193), 0)),
        ("F-006", "an offset of 1081 minutes", Lane::Routine, clinical, text("x", 1_081)),
        ("F-007", "a note in the lane of safety", Lane::Safety, clinical, right.clone()),
        ("F-007", "an edit in the lane of imports", Lane::Import, clinical, body(&[edit()])),
        ("F-008", "a note in supply", Lane::Routine, CompartmentKind::Supply, right),
        ("F-009", "two edits of one patient", Lane::Safety, clinical, body(&[edit(), edit()])),
    ];
    let of = |(expect, why, lane, kind, bytes): (_, _, Lane, CompartmentKind, _)| {
        let with = vec![("lane", lane.number().to_string()), ("compartment", kind.word().to_owned())];
        Vector { stage: "body", expect, why, with, bytes }
    };
    vectors.into_iter().map(of).collect()
}

/// A fork of a log in two, a flood of nine branches, and a flood of 65 incarnations.
fn right_proofs() -> (World, [Proof; 3]) {
    let (mut world, _) = notes(3);
    let two = world.fork(0, ROUTINE, 3, (2, 3), &[note()]);
    let later = world.fork(0, ROUTINE, 5, (8, 2), &[note()]);
    let chains = |logs: &[WrittenLog], from: usize| logs.iter().map(|log| log.chain(from)).collect::<Vec<_>>();
    let fork = Proof::of_chains(&world.incident, &chains(&two, 3)).unwrap();
    let flood = [chains(&two, 3), chains(&later, 5)].concat();
    let flood = Proof::of_chains(&world.incident, &flood).unwrap();
    let mut heads = Vec::new();
    for _ in 0..65 {
        let author = &mut world.authors[0];
        author.incarnation = Incarnation::new(random(&mut world.host));
        author.logs.clear();
        let log = world.fork(0, ROUTINE, 0, (1, 1), &[note()]).remove(0);
        let Written { seq, id, signature, .. } = log.entries[0].clone();
        heads.push(HeadOf { name: log.name, seq, id, signature });
    }
    let incarnations = Proof::of_incarnations(&world.incident, &heads).unwrap();
    assert!(flood.is_flood() && incarnations.is_flood() && !fork.is_flood());
    (world, [fork, flood, incarnations])
}

fn proofs() -> Vec<Vector> {
    let (_, [fork, _, incarnations]) = right_proofs();
    let (file, incarnations) = (fork.to_file(), incarnations.to_file());
    let first = u32::from_le_bytes(*file[48..].first_chunk().unwrap()) as usize;
    let (one, two) = (&file[48..48 + 4 + first], &file[48 + 4 + first..]);
    let last = |bytes: &[u8]| changed(bytes, bytes.len() - 1, &[bytes[bytes.len() - 1] ^ 1]);
    let vectors = vec![
        ("ok", "two branches", file.clone()),
        ("W-001", "cut off", file[..file.len() - 1].to_vec()),
        ("W-001", "a byte follows", [&file[..], &[0]].concat()),
        ("W-001", "an unknown kind", changed(&file, 14, &[3])),
        ("W-001", "chains out of order", [&file[..48], two, one].concat()),
        ("W-001", "one chain twice", [&file[..48], one, one].concat()),
        ("W-001", "64 incarnations", incarnations[..incarnations.len() - 153].to_vec()),
        ("W-002", "format 2", changed(&file, 12, &[2])),
        ("W-003", "a flipped bit in the signature of a chain", last(&file)),
        ("W-003", "another incident", changed(&file, 15, &[file[15] ^ 1])),
        ("W-003", "another hash of a body", changed(&file, 52 + LENGTH_AT + 4, &[file[52 + LENGTH_AT + 4] ^ 1])),
        ("W-003", "a flipped bit in the signature of a head", last(&incarnations)),
        ("W-004", "one chain", [&file[..47], &[1], one].concat()),
        ("W-004", "no chain", [&file[..47], &[0]].concat()),
    ];
    let of = |(expect, why, bytes)| Vector { stage: "proof", expect, why, with: Vec::new(), bytes };
    vectors.into_iter().map(of).collect()
}

fn floods() -> Vec<Vector> {
    let (world, [fork, flood, _]) = right_proofs();
    let (fork, flood) = (fork.bytes().to_vec(), flood.bytes().to_vec());
    let mut vectors = in_incident(
        "flood",
        &world.incident,
        vec![
            ("ok", "nine branches", flood.clone()),
            ("W-001", "a file", [&b"DAYBOOK FORK\x01\0"[..], &flood].concat()),
            ("W-005", "two branches", fork),
        ],
    );
    vectors.extend(in_incident(
        "flood",
        &World::new(7, 1, Role::Clinician).incident,
        vec![("W-005", "nine branches of another incident", flood)],
    ));
    vectors
}

fn all() -> Vec<Vector> {
    [runs(), foundings(), paths(), controls(), entries(), bodies(), proofs(), floods()].concat()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("vectors")
}

/// What stands in the folder of failures: names and texts.
fn committed() -> BTreeMap<String, String> {
    let files = std::fs::read_dir(folder().join("failures")).unwrap();
    files
        .map(|file| file.unwrap())
        .map(|file| (file.file_name().into_string().unwrap(), std::fs::read_to_string(file.path()).unwrap()))
        .collect()
}

#[test]
fn the_files_are_those_that_are_made_here() {
    let made: BTreeMap<String, String> = all().iter().map(|vector| (vector.name(), vector.to_text())).collect();
    assert_eq!(made.len(), all().len(), "two files of one name");
    let (_, proofs) = right_proofs();
    let proofs = proofs.map(|proof| proof.to_file());
    let names = ["fork.proof", "flood.proof", "incarnations.proof"];
    if std::env::var_os("DAYBOOK_WRITE_VECTORS").is_some() {
        let _ = std::fs::remove_dir_all(folder().join("failures"));
        std::fs::create_dir(folder().join("failures")).unwrap();
        made.iter().for_each(|(name, text)| std::fs::write(folder().join("failures").join(name), text).unwrap());
        names.iter().zip(&proofs).for_each(|(name, file)| std::fs::write(folder().join(name), file).unwrap());
    }
    let committed = committed();
    for (name, text) in &made {
        assert_eq!(committed.get(name), Some(text), "{name}");
    }
    assert_eq!(committed.len(), made.len(), "files that nobody makes");
    for (name, file) in names.iter().zip(&proofs) {
        assert_eq!(std::fs::read(folder().join(name)).unwrap(), *file, "{name}");
    }
}

#[test]
fn every_file_fails_at_its_stage_with_its_code() {
    let (mut by_stage, mut codes) = (BTreeMap::<String, usize>::new(), BTreeSet::new());
    for (name, text) in committed() {
        let (words, bytes) = Vector::read(&text);
        assert_eq!(judged(&words, &bytes), words["expect"], "{name}");
        *by_stage.entry(words["stage"].clone()).or_default() += 1;
        codes.insert(words["expect"].clone());
    }
    let expected = [
        ("body", 18),
        ("control", 15),
        ("entry", 8),
        ("flood", 4),
        ("founding", 11),
        ("head", 9),
        ("path", 10),
        ("proof", 14),
        ("run", 22),
    ];
    assert_eq!(by_stage, expected.map(|(stage, count)| (stage.to_owned(), count)).into());
    // Every code that needs no book has a file: E-003 and E-010 to E-015 need one.
    let page = std::fs::read_to_string(folder().parent().unwrap().join("docs/rules.md")).unwrap();
    let listed = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next());
    let without_book = listed.filter(|code| {
        code.get(1..2) == Some("-")
            && matches!(code.chars().next(), Some('E' | 'F' | 'X' | 'P' | 'W'))
            && !["E-003", "E-010", "E-011", "E-012", "E-013", "E-014", "E-015"].contains(code)
    });
    let missing: Vec<&str> = without_book.filter(|code| !codes.contains(*code)).collect();
    assert!(missing.is_empty(), "no file fails with {missing:?}");
}

/// The reader in Python judges what needs no key and no roster.
#[test]
fn the_reader_in_python_refuses_them_too() {
    let judges = ["run", "head", "founding", "proof", "flood"];
    for (name, text) in committed() {
        let (words, _) = Vector::read(&text);
        if judges.contains(&words["stage"].as_str()) {
            let path = folder().join("failures").join(&name);
            let output = Command::new("python3").arg(folder().join("read.py")).arg(path).output().unwrap();
            let expected = if words["expect"] == "ok" { Some(0) } else { Some(1) };
            assert_eq!(output.status.code(), expected, "{name}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn a_proof_is_read_by_both_with_the_same_words() {
    let (world, proofs) = right_proofs();
    let (log, device) = (notes(1).1.log, world.authors[0].device.public().device_id().to_hex());
    let [two, nine] =
        [2, 9].map(|branches| format!("forked log {} device {device} branches {branches} from 4\n", log.to_hex()));
    let begins = [two, nine, format!("device {device} incarnations 65\n")];
    for ((name, begin), proof) in ["fork", "flood", "incarnations"].iter().zip(begins).zip(&proofs) {
        let path = folder().join(format!("{name}.proof"));
        let output = Command::new("python3").arg(folder().join("read.py")).arg(path).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let end = format!("ok incident {} entries {}\n", world.incident.to_hex(), proof.entries());
        assert_eq!(said, begin + &end, "{}", String::from_utf8_lossy(&output.stderr));
    }
}

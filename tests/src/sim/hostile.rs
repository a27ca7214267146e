//! Hostile members: they hold valid keys, write what they like, and lie to whomever they meet.
//!
//! Each has two faces and shows one to half of the devices and the other to the rest: with another log if it
//! equivocates, and always without what the other face learned.

use super::device::Place;
use crate::shelf::MemoryShelf;
use crate::world::{World, Written, WrittenLog};
use daybook_core::clock::{DAY_MS, EffectiveTime, Hlc, Precision, random};
use daybook_core::crypto::{Nonce, Place as SealedAt};
use daybook_core::entry::{Ground, Sealed, SealedEntry};
use daybook_core::id::{
    CONTROL, CommitId, CompartmentId, DeviceId, EntryId, IncidentId, KeyId, Lane, LogId, PatientId,
};
use daybook_core::log::{Run, RunBuilder, Tip};
use daybook_core::record::{Allergy, Body, ClinicalStatus, Coded, Fact, FactId, Operation, Statement, Verification};
use daybook_core::roster::{CompartmentKind, Control, ControlBody, GrantPath, Revoke, Role};
use daybook_core::sync::{LogHeads, OutRun, Outcome, Piece, Shelf, Standing, Trouble, Want};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, BTreeSet};

/// What an entry of a hostile member must come to, as long as its grant counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expect {
    /// It is as good as any.
    Accepted,
    /// It breaks a rule of bodies.
    Faulty,
    /// Nobody has the key that it names.
    Unopened,
    /// Its author may not say this.
    Waits,
    /// It was taken out of what counts.
    Erased,
}

/// What a hostile member does in a meeting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lie {
    /// Nothing; what it wrote is bad enough.
    None,
    /// Leaves logs out, and gives nothing of others.
    Withholds,
    /// Says that it holds what it does not.
    Claims,
    /// Gives runs with a byte changed.
    Changes,
    /// Gives other runs than those that were asked for, again and again.
    Repeats,
    /// Gives runs whose author never signed them.
    Forges,
    /// Gives entries of others without their bodies, as if these had been erased.
    Strips,
}

impl Lie {
    /// What to call it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "meetings with plain hostile members",
            Self::Withholds => "withheld logs",
            Self::Claims => "claims of what is not held",
            Self::Changes => "changed runs",
            Self::Repeats => "repeated runs",
            Self::Forges => "forged runs",
            Self::Strips => "runs without bodies",
        }
    }
}

/// One face: what it shows of its own logs, and what it learned.
pub(super) struct Face {
    logs: BTreeMap<(CompartmentId, Lane), WrittenLog>,
    shelf: MemoryShelf,
    /// What it does in this meeting.
    pub lie: Lie,
    rng: ChaCha20Rng,
    again: Vec<OutRun>,
    /// Its own device and its friends': what they wrote it gives whole.
    friends: BTreeSet<DeviceId>,
    incident: IncidentId,
}

/// A hostile member.
pub(super) struct Hostile {
    /// Its keys: an author of the world.
    pub author: usize,
    /// What it was admitted as.
    pub role: Role,
    /// What its entries must come to.
    pub wrote: BTreeMap<EntryId, (Place, Expect)>,
    /// Its faces.
    pub faces: [Face; 2],
    rng: ChaCha20Rng,
    forked: bool,
    incident: IncidentId,
}

impl Hostile {
    /// A hostile member of the world.
    pub fn new(world: &World, author: usize, role: Role, control: &[Vec<u8>], seed: u64) -> Self {
        let face = |number: u64| {
            let mut shelf = MemoryShelf::new(world.incident);
            shelf.fill(control);
            let rng = ChaCha20Rng::seed_from_u64(seed ^ number << 40 ^ (author as u64) << 44);
            let (logs, again, friends) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
            Face { logs, shelf, lie: Lie::None, rng, again, friends, incident: world.incident }
        };
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        rng.set_stream(1_000 + author as u64);
        let (faces, wrote) = ([face(1), face(2)], BTreeMap::new());
        Self { author, role, wrote, faces, rng, forked: false, incident: world.incident }
    }

    /// Writes something; says what it was.
    pub fn write(&mut self, world: &mut World, patients: &[PatientId], now_ms: i64) -> &'static str {
        match self.rng.random_range(0..100) {
            0..30 => self.say(world, patients, now_ms),
            30..40 => {
                let years = *[-20, -3, 3, 10].choose(&mut self.rng).expect("not empty");
                self.say(world, patients, now_ms + years * 365 * DAY_MS);
                "entries dated years off"
            }
            40..50 => {
                self.equivocate(world, patients, now_ms);
                "equivocations"
            }
            50..60 => {
                self.change_sealed(world, patients, now_ms);
                "mutated bodies"
            }
            60..68 => {
                self.replay(world);
                "replayed bodies"
            }
            68..78 => {
                let bomb = self.bomb();
                self.put(world, Self::clinical(world), &[bomb.clone(), bomb], Expect::Faulty);
                "bombs"
            }
            78..84 => {
                self.wrong_lane(world, patients, now_ms);
                "entries in a wrong lane"
            }
            84..88 => {
                self.unknown_key(world);
                "entries under no key"
            }
            88..95 => {
                self.control(world, now_ms);
                "control entries without right"
            }
            _ => {
                for _ in 0..40 {
                    self.say(world, patients, now_ms);
                }
                "floods"
            }
        }
    }

    fn clinical(world: &World) -> (CompartmentId, Lane) {
        (world.compartment(CompartmentKind::Clinical), Lane::Routine)
    }

    /// What its role lets it say in a patient's record.
    const fn of_right(&self) -> Expect {
        match self.role {
            Role::Admin | Role::Clinician | Role::Dispenser => Expect::Accepted,
            Role::Logistician | Role::Epidemiologist | Role::Auditor | Role::Relay => Expect::Waits,
        }
    }

    fn patient(&mut self, patients: &[PatientId]) -> PatientId {
        patients.choose(&mut self.rng).copied().unwrap_or(PatientId::new([7; 16]))
    }

    fn fact(&mut self, patients: &[PatientId], now_ms: i64, statement: Statement<'_>) -> Vec<u8> {
        let fact = Fact {
            patient: Some(self.patient(patients)),
            effective: EffectiveTime::stated(now_ms, 0, Precision::Minute).expect("in range"),
            targets: Vec::<FactId>::new(),
            import: None,
            reason: "",
            statement,
        };
        Operation::Fact(fact).to_bytes()
    }

    fn say(&mut self, world: &World, patients: &[PatientId], now_ms: i64) -> &'static str {
        let lane = if self.rng.random_bool(0.5) { Lane::Routine } else { Lane::Safety };
        let operation = if lane == Lane::Routine {
            let text = format!("as the hostile one says {}", self.rng.random_range(0..1_000_000));
            self.fact(patients, now_ms, Statement::Note { text: &text })
        } else {
            let allergy = Allergy {
                substance: Coded::text("penicillin"),
                clinical: ClinicalStatus::Active,
                verification: Verification::Unconfirmed,
                criticality: None,
                category: "",
                reaction: "",
            };
            self.fact(patients, now_ms, Statement::Allergy(allergy))
        };
        let expect = self.of_right();
        let body = self.body(now_ms, &[operation]);
        let to = (Self::clinical(world).0, lane);
        self.put(world, to, &[body.clone(), body], expect);
        "entries of hostile members"
    }

    /// Another entry at the same place for either face; from then on the two logs go their own ways.
    fn equivocate(&mut self, world: &World, patients: &[PatientId], now_ms: i64) {
        if std::mem::replace(&mut self.forked, true) {
            return;
        }
        let bodies = ["left", "right"].map(|text| {
            let operation = self.fact(patients, now_ms, Statement::Note { text });
            self.body(now_ms, &[operation])
        });
        let expect = self.of_right();
        self.put(world, Self::clinical(world), &bodies, expect);
    }

    fn body(&mut self, now_ms: i64, operations: &[Vec<u8>]) -> Vec<u8> {
        let commit = CommitId::new(self.rng.random());
        Body::write(commit, hlc(now_ms), operations)
    }

    /// What is deep, long, or not canonical.
    fn bomb(&mut self) -> Vec<u8> {
        match self.rng.random_range(0..4) {
            0 => vec![0x81; 60_000],
            1 => [&[0x9b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff][..], &[0; 100]].concat(),
            2 => vec![0xa1; 1_000],
            _ => (0..2_000).map(|_| self.rng.random()).collect(),
        }
    }

    fn wrong_lane(&mut self, world: &World, patients: &[PatientId], now_ms: i64) {
        let operation = self.fact(patients, now_ms, Statement::NoKnownAllergies);
        let body = self.body(now_ms, &[operation]);
        let lane = if self.rng.random_bool(0.5) { Lane::Routine } else { Lane::Import };
        let to = (Self::clinical(world).0, lane);
        self.put(world, to, &[body.clone(), body], Expect::Faulty);
    }

    fn change_sealed(&mut self, world: &World, patients: &[PatientId], now_ms: i64) {
        let operation = self.fact(patients, now_ms, Statement::Note { text: "changed" });
        let body = self.body(now_ms, &[operation]);
        let (at, bit) = (self.rng.random_range(0..256), self.rng.random_range(0..8));
        for face in 0..2 {
            self.append(world, face, Self::clinical(world), Expect::Faulty, |world, place, compartment| {
                let (key, _, reading) = &world.epochs[&compartment];
                let mut sealed = Vec::new();
                let nonce = reading.seal(place, &body, &mut sealed);
                let at = at % sealed.len();
                sealed[at] ^= 1 << bit;
                (*key, nonce, sealed)
            });
        }
    }

    /// The sealed body of an earlier entry at another place.
    fn replay(&mut self, world: &World) {
        let keys: Vec<KeyId> = world.epochs.values().map(|(key, ..)| *key).collect();
        let known = |entry: &&Written| keys.contains(&entry.ground.key);
        for face in 0..2 {
            let earlier = self.faces[face]
                .logs
                .get(&Self::clinical(world))
                .and_then(|log| log.entries.iter().find(known).cloned());
            let Some(earlier) = earlier else { continue };
            self.append(world, face, Self::clinical(world), Expect::Faulty, |_, _, _| {
                (earlier.ground.key, earlier.nonce, earlier.body)
            });
        }
    }

    fn unknown_key(&mut self, world: &World) {
        let expect = if self.of_right() == Expect::Accepted { Expect::Unopened } else { Expect::Waits };
        let (key, nonce): ([u8; 32], [u8; 24]) = (self.rng.random(), self.rng.random());
        for face in 0..2 {
            self.append(world, face, Self::clinical(world), expect, |_, _, _| {
                (KeyId::new(key), Nonce(nonce), vec![9; 272])
            });
        }
    }

    /// Control entries of one who has no right in control, some of them no control entries at all.
    fn control(&mut self, world: &mut World, now_ms: i64) {
        let control = match self.rng.random_range(0..3) {
            0 => Some(Control::Revoke(Revoke {
                grants: vec![world.authors[0].grant],
                spares: Vec::new(),
                cuts: Vec::new(),
                devices: Vec::new(),
                reason: None,
                part: None,
            })),
            1 => Some(Control::Compartment { kind: CompartmentKind::Clinical, name: None }),
            _ => None,
        };
        let expect = if control.is_some() { Expect::Waits } else { Expect::Faulty };
        let body = control.map_or_else(
            || vec![0xa3; 300],
            |control| {
                let commit = CommitId::new(random(&mut world.host));
                ControlBody { commit, hlc: hlc(now_ms), control }.to_bytes()
            },
        );
        for face in 0..2 {
            self.append(world, face, (CONTROL, Lane::Safety), expect, |_, _, _| {
                (KeyId::ZERO, Nonce::ZERO, body.clone())
            });
        }
    }

    /// Seals and appends a body for each face; the same body gives the same entry while the logs are the same.
    fn put(&mut self, world: &World, to: (CompartmentId, Lane), bodies: &[Vec<u8>; 2], expect: Expect) {
        for (face, body) in bodies.iter().enumerate() {
            self.append(world, face, to, expect, |world, place, compartment| {
                let (key, _, reading) = &world.epochs[&compartment];
                let mut sealed = Vec::new();
                let nonce = reading.seal(place, body, &mut sealed);
                (*key, nonce, sealed)
            });
        }
    }

    /// The run of an entry that stands behind one that its log never had; nobody can take it.
    pub fn unjoined(&mut self, world: &World) -> Option<Vec<u8>> {
        let author = &world.authors[self.author];
        let mut log = self.faces[0].logs.get(&Self::clinical(world))?.clone();
        let last = log.entries.last()?.clone();
        let backlink = EntryId::new(self.rng.random());
        let mut tip = Tip { log: log.log, seq: last.seq, id: backlink };
        let entry = SealedEntry { ground: last.ground, nonce: last.nonce, sealed: Sealed::Body(&last.body) };
        let signed = tip.append(&entry, &author.device.signing);
        log.entries = vec![Written { seq: signed.seq, backlink, id: signed.id, signature: signed.signature, ..last }];
        Some(log.run(0, 1))
    }

    fn append(
        &mut self,
        world: &World,
        face: usize,
        (compartment, lane): (CompartmentId, Lane),
        expect: Expect,
        seal: impl FnOnce(&World, &SealedAt, CompartmentId) -> (KeyId, Nonce, Vec<u8>),
    ) {
        let author = &world.authors[self.author];
        let name = daybook_core::log::LogName::new(author.device.public(), author.incarnation, compartment, lane);
        let incident = self.incident;
        let face = &mut self.faces[face];
        let log = face.logs.entry((compartment, lane)).or_insert_with(|| WrittenLog {
            name,
            log: name.id(&incident),
            entries: Vec::new(),
        });
        let (seq, id) = log.entries.last().map_or((0, EntryId::ZERO), |entry| (entry.seq, entry.id));
        let mut tip = Tip { log: log.log, seq, id };
        let place = SealedAt { incident, log: log.log, seq: tip.next_seq() };
        let (key, nonce, body) = seal(world, &place, compartment);
        let ground = Ground { grant: author.grant, hint: EntryId::ZERO, key };
        let entry = SealedEntry { ground, nonce, sealed: Sealed::Body(&body) };
        let signed = tip.append(&entry, &author.device.signing);
        let (backlink, signature) = (id, signed.signature);
        let place = Place { log: log.log, seq: signed.seq, id: signed.id };
        log.entries.push(Written { seq: signed.seq, backlink, id: signed.id, ground, nonce, body, signature });
        let run = log.run(log.entries.len() - 1, log.entries.len());
        face.shelf.fill(&[run]);
        self.wrote.insert(signed.id, (place, expect));
    }

    /// What it will do in its next meeting; says how it is called.
    pub fn choose_lie(&mut self, face: usize, friends: &BTreeSet<DeviceId>) -> Lie {
        let all =
            [Lie::None, Lie::Withholds, Lie::Claims, Lie::Changes, Lie::Repeats, Lie::Forges, Lie::Strips, Lie::Strips];
        let lie = *all.choose(&mut self.rng).expect("not empty");
        self.faces[face].lie = lie;
        self.faces[face].friends.clone_from(friends);
        lie
    }
}

/// A run without its bodies; none of a run of control or of somebody in `but`.
fn stripped(bytes: &[u8], incident: &IncidentId, but: &BTreeSet<DeviceId>) -> Option<Vec<u8>> {
    let run = Run::read(bytes).and_then(|run| run.verify(incident)).ok()?;
    if run.name().is_control() || but.contains(&run.name().device) {
        return None;
    }
    let first = run.entries().first()?;
    let mut builder = RunBuilder::new(run.name(), first.seq(), *first.backlink());
    for (at, entry) in run.entries().iter().enumerate() {
        let SealedEntry { ground, nonce, sealed } = *entry.entry();
        let erased = Sealed::Erased { bytes: sealed.bytes(), hash: sealed.hash() };
        let signature = run.heads().iter().find(|(head, _)| *head == at).map(|(_, signature)| *signature);
        builder.push(&SealedEntry { ground, nonce, sealed: erased }, signature);
    }
    Some(builder.finish())
}

fn hlc(ms: i64) -> Hlc {
    Hlc::from_bits(u64::try_from(ms.max(0)).unwrap_or(0) << 16)
}

impl Shelf for Face {
    fn recognise(&mut self, path: &GrantPath) -> Result<Standing, Trouble> {
        self.shelf.recognise(path)
    }

    fn frontier(&mut self) -> Result<Vec<LogHeads>, Trouble> {
        let mut heads = self.shelf.frontier()?;
        match self.lie {
            Lie::Withholds => heads.retain(|log| log.number % 2 == 0),
            Lie::Claims => {
                for log in heads.iter_mut().filter(|log| log.number % 3 == 0) {
                    for branch in &mut log.branches {
                        branch.tip_seq += 1 + u64::from(self.rng.random::<u8>());
                        branch.tip_id = EntryId::new(self.rng.random());
                    }
                }
            }
            Lie::None | Lie::Changes | Lie::Repeats | Lie::Forges | Lie::Strips => {}
        }
        Ok(heads)
    }

    fn heads(&mut self, log: &LogId) -> Result<Option<LogHeads>, Trouble> {
        self.shelf.heads(log)
    }

    fn holds(&mut self, log: i64, seq: u64, id: &[u8]) -> Result<Option<u8>, Trouble> {
        self.shelf.holds(log, seq, id)
    }

    fn entry_id(&mut self, log: i64, branch: u8, seq: u64) -> Result<Option<EntryId>, Trouble> {
        self.shelf.entry_id(log, branch, seq)
    }

    fn runs(&mut self, piece: Piece, frame: usize, bytes: usize) -> Result<Vec<OutRun>, Trouble> {
        let mut runs = self.shelf.runs(piece, frame, bytes)?;
        match self.lie {
            Lie::Changes => {
                for run in &mut runs {
                    let at = self.rng.random_range(0..run.bytes.len());
                    run.bytes[at] ^= 1 << self.rng.random_range(0..8);
                }
            }
            Lie::Forges => {
                for run in &mut runs {
                    // The signature of the last head stands at the end.
                    let length = run.bytes.len();
                    run.bytes[length - 40] ^= 0x10;
                }
            }
            Lie::Repeats => {
                if self.again.is_empty() {
                    self.again.clone_from(&runs);
                } else {
                    runs.clone_from(&self.again);
                }
            }
            Lie::Strips => {
                for run in &mut runs {
                    run.bytes = stripped(&run.bytes, &self.incident, &self.friends).unwrap_or(run.bytes.clone());
                }
            }
            Lie::None | Lie::Withholds | Lie::Claims => {}
        }
        Ok(runs)
    }

    fn take(&mut self, from: DeviceId, runs: &[Vec<u8>]) -> Result<Vec<Outcome>, Trouble> {
        self.shelf.take(from, runs)
    }

    fn post(&mut self) -> Result<(), Trouble> {
        Ok(())
    }

    fn wants(&mut self) -> Result<Vec<Want>, Trouble> {
        let frontier = self.shelf.frontier()?;
        let ask = self.lie == Lie::Withholds;
        Ok(frontier.iter().filter(|_| ask).take(32).map(|log| Want { log: log.log, from: 1, to: 1_000 }).collect())
    }
}

//! Random control histories: several organisations, administrators who know only a part of what the others said,
//! revokes of each other's people, adoption, re-grants, endorsements, bars, copies that fork their logs.

use daybook_core::clock::{Hlc, random};
use daybook_core::crypto::{DevicePublic, DeviceSecret, RecoverySeed, Secret};
use daybook_core::daybook::Membership;
use daybook_core::id::{CONTROL, CommitId, CompartmentId, DeviceId, EntryId, Incarnation, IncidentId, Lane, LogId};
use daybook_core::roster::{
    Approve, CompartmentKind, Control, ControlBody, Endorse, Founding, Grant, PlaceOf, Revoke, Role, Root,
    SignedFounding,
};
use daybook_tests::host::{START_MS, SeededHost};
use daybook_tests::world::{Author, WrittenLog};
use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, BTreeSet};

/// One entry of the story; control or, without content, of the clinical compartment.
#[derive(Clone, Debug)]
pub struct Told {
    pub place: PlaceOf,
    pub device: DeviceId,
    pub ground: EntryId,
    pub control: Option<Control>,
    /// All entries before it in its chain.
    pub before: BTreeSet<EntryId>,
}

/// A story with all that books need to take it in.
pub struct Story {
    pub founding: SignedFounding,
    pub incident: IncidentId,
    admission: Secret<32>,
    pub told: Vec<Told>,
    pub chains: Vec<WrittenLog>,
    pub quorum: usize,
    pub recovery: DeviceId,
    /// The entry that made the clinical compartment.
    pub clinical: EntryId,
}

/// One copy of a device.
struct Actor {
    author: Author,
    public: DevicePublic,
    knows: BTreeSet<usize>,
    twins: usize,
}

pub struct Teller {
    rng: ChaCha20Rng,
    host: SeededHost,
    incident: EntryId,
    actors: Vec<Actor>,
    told: Vec<Told>,
    by_id: BTreeMap<EntryId, usize>,
    archive: Vec<WrittenLog>,
    clinical: CompartmentId,
    roots: usize,
}

impl Story {
    /// The story of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut host = SeededHost::new(seed);
        let roots = if rng.random_bool(0.5) { 3 } else { 1 };
        let recovery = RecoverySeed::random(&mut host);
        let mut actors: Vec<Actor> = (0..roots + 7).map(|_| Actor::new(&mut host)).collect();
        let root = |actor: &Actor| Root { device: actor.public, organisation: "Relief".into() };
        let mut founding = Founding::of_one([7; 16], "Story", true, root(&actors[0]), &recovery);
        founding.roots = actors[..roots].iter().map(root).collect();
        founding.quorum = if roots == 3 { 2 } else { 0 };
        let quorum = usize::from(founding.quorum);
        let keys: Vec<_> = actors[..roots].iter().map(|a| &a.author.device.signing).collect();
        let founding = SignedFounding::sign(&founding, &keys).unwrap();
        let incident = EntryId::new(*founding.incident().as_bytes());
        for actor in &mut actors {
            actor.author.grant = incident;
        }
        let mut teller = Teller {
            rng,
            host,
            incident,
            actors,
            told: Vec::new(),
            by_id: BTreeMap::new(),
            archive: Vec::new(),
            clinical: CONTROL,
            roots,
        };
        let made = teller.say(0, incident, Control::Compartment { kind: CompartmentKind::Clinical, name: None });
        teller.clinical = CompartmentId::new(*made.as_bytes());
        for actor in 0..teller.actors.len() {
            teller.actors[actor].knows.insert(0);
        }
        let steps = teller.rng.random_range(40..=130);
        for _ in 0..steps {
            teller.step();
        }
        let logs = teller.actors.into_iter().flat_map(|actor| actor.author.logs.into_values());
        let chains = teller.archive.into_iter().chain(logs).filter(|log| !log.entries.is_empty()).collect();
        let (admission, recovery) = (recovery.admission(), recovery.device().public().device_id());
        Self {
            incident: *founding.incident(),
            founding,
            admission,
            told: teller.told,
            chains,
            quorum,
            recovery,
            clinical: made,
        }
    }

    /// What a new device needs to have a book of it.
    pub fn membership(&self, host: &mut SeededHost) -> Membership {
        Membership {
            founding: self.founding.clone(),
            device: DeviceSecret::random(host),
            admission: self.admission.clone(),
            secrets: Vec::new(),
        }
    }
}

impl Actor {
    fn new(host: &mut SeededHost) -> Self {
        let device = DeviceSecret::random(host);
        let public = device.public();
        let (incarnation, grant) = (Incarnation::new(random(host)), EntryId::ZERO);
        let author = Author { device, incarnation, grant, hlc: Hlc::default(), logs: BTreeMap::new() };
        Self { author, public, knows: BTreeSet::new(), twins: 0 }
    }
}

impl Teller {
    fn step(&mut self) {
        let among = if self.rng.random_bool(0.4) { self.roots } else { self.actors.len() };
        let actor = self.rng.random_range(0..among);
        if self.rng.random_bool(0.5) {
            let from = self.rng.random_range(0..self.actors.len());
            let learned = self.actors[from].knows.clone();
            self.actors[actor].knows.extend(learned);
        }
        let Some(ground) = self.ground_of(actor) else { return };
        match self.rng.random_range(0..100) {
            0..28 => self.grant(actor, ground),
            28..48 => self.revoke(actor, ground),
            48..54 => {
                let devices = self.some_devices(actor);
                self.say(actor, ground, Control::Bar { devices });
            }
            54..66 => self.endorse(actor, ground),
            66..86 => self.write(actor, ground),
            86..94 => self.approve(actor),
            94..97 => self.begin_incarnation(actor, ground),
            _ => self.fork(actor),
        }
    }

    /// A grant that the actor knows to have; a root mostly stands on the incident.
    fn ground_of(&mut self, actor: usize) -> Option<EntryId> {
        if actor < self.roots && self.rng.random_bool(0.95) {
            return Some(self.incident);
        }
        let device = self.actors[actor].public.device_id();
        let known = self.known(actor);
        let own = known.iter().filter(|told| grant(told).is_some_and(|grant| grant.device.device_id() == device));
        let own: Vec<EntryId> = own.map(|told| told.place.id).collect();
        own.choose(&mut self.rng).copied()
    }

    fn known(&self, actor: usize) -> Vec<Told> {
        self.actors[actor].knows.iter().map(|told| self.told[*told].clone()).collect()
    }

    fn device_of(&mut self) -> DevicePublic {
        let actor = self.rng.random_range(0..self.actors.len());
        self.actors[actor].public
    }

    fn some_devices(&mut self, _actor: usize) -> Vec<DeviceId> {
        let count = self.rng.random_range(1..=2);
        let devices: BTreeSet<DeviceId> = (0..count).map(|_| self.device_of().device_id()).collect();
        devices.into_iter().collect()
    }

    fn grant(&mut self, actor: usize, ground: EntryId) {
        let device = self.device_of();
        let role = if self.rng.random_bool(0.7) { Role::Admin } else { Role::Clinician };
        let (most, bound) = if actor < self.roots { (1, 8) } else { (0, 3) };
        let grants = if role == Role::Admin { self.rng.random_range(most..=bound) } else { 0 };
        let stops: Vec<EntryId> = self.known_stops(actor);
        let lifts = match self.rng.random_range(0..4) {
            0 => Vec::new(),
            1 => stops.iter().rev().take(1).copied().collect(),
            _ => stops,
        };
        let (rights, role, history) = (role.rights(), role.word().to_owned(), true);
        let (person, organisation, until_ms, compartments) = (None, None, None, 0);
        let grant =
            Grant { device, person, organisation, role, rights, history, until_ms, grants, compartments, lifts };
        let id = self.say(actor, ground, Control::Grant(Box::new(grant)));
        // The newcomer takes the reply and knows what the granter knew.
        let told = self.by_id[&id];
        let knows = self.actors[actor].knows.clone();
        for other in &mut self.actors {
            if other.public == device {
                other.knows.insert(told);
                other.knows.extend(&knows);
            }
        }
    }

    /// Revokes and bars that the actor knows, in the order of the story.
    fn known_stops(&self, actor: usize) -> Vec<EntryId> {
        let stop = |told: &Told| matches!(told.control, Some(Control::Revoke(_) | Control::Bar { .. }));
        self.known(actor).into_iter().filter(stop).map(|told| told.place.id).collect()
    }

    fn revoke(&mut self, actor: usize, ground: EntryId) {
        let known = self.known(actor);
        let grants: Vec<&Told> = known.iter().filter(|told| grant(told).is_some()).collect();
        let Some(first) = grants.choose(&mut self.rng) else { return };
        let device = grant(first).unwrap().device;
        let others = grants.iter().filter(|told| grant(told).unwrap().device == device && told.place != first.place);
        let (mut ended, mut spares) = (BTreeSet::from([first.place.id]), BTreeSet::new());
        for other in others {
            match self.rng.random_range(0..3) {
                0 => ended.insert(other.place.id),
                1 => spares.insert(other.place.id),
                _ => false,
            };
        }
        let mut cuts: BTreeMap<LogId, PlaceOf> = BTreeMap::new();
        for told in known.iter().filter(|told| told.device == device.device_id()) {
            let last = cuts.entry(told.place.log).or_insert(told.place);
            if told.place.seq >= last.seq && self.rng.random_bool(0.8) {
                *last = told.place;
            }
        }
        let cuts: Vec<PlaceOf> = cuts.into_values().filter(|_| self.rng.random_bool(0.8)).collect();
        let devices = if self.rng.random_bool(0.8) { vec![device.device_id()] } else { Vec::new() };
        let revoke = Revoke {
            grants: ended.into_iter().collect(),
            spares: spares.into_iter().collect(),
            cuts,
            devices,
            reason: None,
            part: None,
        };
        if self.rng.random_bool(0.2) {
            self.in_parts(actor, ground, &revoke);
        } else {
            self.say(actor, ground, Control::Revoke(revoke));
        }
    }

    /// A revoke in two parts, of which the second sometimes never comes.
    fn in_parts(&mut self, actor: usize, ground: EntryId, whole: &Revoke) {
        let hash = whole.list_hash();
        let part = |number| Some(daybook_core::roster::Part { number, of: 2, hash });
        let first = Revoke { cuts: Vec::new(), part: part(1), ..whole.clone() };
        let second =
            Revoke { grants: Vec::new(), spares: Vec::new(), devices: Vec::new(), part: part(2), ..whole.clone() };
        self.say(actor, ground, Control::Revoke(first));
        if self.rng.random_bool(0.8) {
            self.say(actor, ground, Control::Revoke(second));
        }
    }

    fn endorse(&mut self, actor: usize, ground: EntryId) {
        let known = self.known(actor);
        let mut endorse = Endorse::default();
        // Mostly what a revoke that he knows may have cut.
        let ended: BTreeSet<EntryId> = known
            .iter()
            .filter_map(
                |told| if let Some(Control::Revoke(revoke)) = &told.control { Some(&revoke.grants) } else { None },
            )
            .flatten()
            .copied()
            .collect();
        let cut = known.iter().filter(|told| ended.contains(&told.ground)).choose(&mut self.rng);
        let any = known.iter().choose(&mut self.rng);
        let place = cut.filter(|_| self.rng.random_bool(0.8)).or(any).map(|told| told.place);
        let grants: Vec<EntryId> =
            known.iter().filter(|told| grant(told).is_some()).map(|told| told.place.id).collect();
        match self.rng.random_range(0..8) {
            0..=1 => endorse.entries.extend(place),
            2..=3 => endorse.logs.extend(place),
            4..=5 => {
                endorse.grants.extend(grants.choose(&mut self.rng));
                endorse.lifts = self.known_stops(actor);
            }
            6 => endorse.lifts = self.known_stops(actor).into_iter().filter(|_| self.rng.random_bool(0.5)).collect(),
            _ => endorse.lifts_all_of.extend(grants.choose(&mut self.rng)),
        }
        endorse.lifts.sort_unstable();
        self.say(actor, ground, Control::Endorse(endorse));
    }

    fn approve(&mut self, actor: usize) {
        if actor >= self.roots {
            return;
        }
        let first = if self.rng.random_bool(0.7) { self.roots - 1 } else { 0 };
        let root = self.actors[self.rng.random_range(first..self.roots)].public.device_id();
        let known = self.known(actor);
        let approve = match self.rng.random_range(0..3) {
            0 => Approve::End { root },
            1 => Approve::Add { device: Box::new(self.device_of()), organisation: "Other".into() },
            _ => {
                let mut cuts: BTreeMap<LogId, PlaceOf> = BTreeMap::new();
                for told in known.iter().filter(|told| told.device == root && self.rng.random_bool(0.7)) {
                    cuts.insert(told.place.log, told.place);
                }
                Approve::Cut { root, cuts: cuts.into_values().collect() }
            }
        };
        self.say(actor, self.incident, Control::Approve(approve));
    }

    fn begin_incarnation(&mut self, actor: usize, ground: EntryId) {
        let before = std::mem::take(&mut self.actors[actor].author.logs);
        let heads = before
            .values()
            .filter_map(|log| log.entries.last().map(|entry| PlaceOf { log: log.log, seq: entry.seq, id: entry.id }));
        let mut previous: Vec<PlaceOf> = heads.collect();
        previous.sort_unstable();
        self.archive.extend(before.into_values());
        self.actors[actor].author.incarnation = Incarnation::new(random(&mut self.host));
        if self.rng.random_bool(0.7) {
            self.say(actor, ground, Control::Incarnation { previous });
        }
    }

    /// A copy of the device goes on from an earlier moment under the same name.
    fn fork(&mut self, actor: usize) {
        if self.actors[actor].twins >= 2 || self.actors.len() > 14 {
            return;
        }
        self.actors[actor].twins += 1;
        let mut twin = Actor::new(&mut self.host);
        let of = &self.actors[actor];
        twin.public = of.public;
        twin.twins = 2;
        twin.knows = of.knows.iter().copied().filter(|_| self.rng.random_bool(0.7)).collect();
        twin.author.device = DeviceSecret::from_secret(&of.author.device.to_secret());
        (twin.author.incarnation, twin.author.grant, twin.author.hlc) =
            (of.author.incarnation, of.author.grant, of.author.hlc);
        for (name, log) in &of.author.logs {
            let mut log = log.clone();
            let keep = self.rng.random_range(0..=log.entries.len());
            log.entries.truncate(keep);
            twin.author.logs.insert(*name, log);
        }
        let root = actor < self.roots;
        if !root {
            self.actors.push(twin);
        }
    }

    fn write(&mut self, actor: usize, ground: EntryId) {
        let lane = *[Lane::Safety, Lane::Routine].choose(&mut self.rng).unwrap();
        let body: [u8; 32] = self.rng.random();
        self.append(actor, ground, (self.clinical, lane), &body, None);
    }

    fn say(&mut self, actor: usize, ground: EntryId, control: Control) -> EntryId {
        let author = &mut self.actors[actor].author;
        author.hlc = author.hlc.tick(START_MS + self.rng.random_range(0..1_000_000_i64));
        let body = ControlBody { commit: CommitId::new(self.rng.random()), hlc: author.hlc, control: control.clone() };
        self.append(actor, ground, (CONTROL, Lane::Safety), &body.to_bytes(), Some(control))
    }

    fn append(
        &mut self,
        actor: usize,
        ground: EntryId,
        name: (CompartmentId, Lane),
        body: &[u8],
        control: Option<Control>,
    ) -> EntryId {
        let incident = IncidentId::new(*self.incident.as_bytes());
        let of = &mut self.actors[actor];
        of.author.grant = ground;
        of.author.append(&incident, name, body, None);
        let log = &of.author.logs[&name];
        let (entry, before) = log.entries.split_last().unwrap();
        let place = PlaceOf { log: log.log, seq: entry.seq, id: entry.id };
        let before = before.iter().map(|entry| entry.id).collect();
        let told = Told { place, device: of.public.device_id(), ground, control, before };
        of.knows.insert(self.told.len());
        self.by_id.insert(place.id, self.told.len());
        self.told.push(told);
        place.id
    }
}

/// The grant that an entry is, if it is one.
pub fn grant(told: &Told) -> Option<&Grant> {
    if let Some(Control::Grant(grant)) = &told.control { Some(grant) } else { None }
}

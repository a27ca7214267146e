//! An incident whose every key the tests know: authors write sealed, signed entries without a book, honest or
//! not, and a book of any member takes them in.

use crate::host::{START_MS, SeededHost};
use daybook_core::clock::{Hlc, Host, random};
use daybook_core::crypto::{DeviceSecret, EpochSecret, Nonce, Place, ReadingKey, RecoverySeed, Secret, Signature};
use daybook_core::daybook::Membership;
use daybook_core::entry::{Ground, Sealed, SealedEntry};
use daybook_core::id::{CONTROL, CommitId, CompartmentId, EntryId, Incarnation, IncidentId, KeyId, Lane, LogId};
use daybook_core::log::{LogName, Run, RunBuilder, Tip, chain};
use daybook_core::merge::Keyring;
use daybook_core::record::{Body, EntryRef};
use daybook_core::roster::{
    Chains, CompartmentKind, Control, ControlBody, ControlEntry, Epoch, Founding, Grant, PlaceOf, Role, Root, Roster,
    SignedFounding,
};
use daybook_core::store::StoredSecret;
use std::collections::BTreeMap;

/// One entry that an author wrote, with all that is needed to put it into a run.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its place.
    pub seq: u64,
    /// Id of the entry before it.
    pub backlink: EntryId,
    /// Its id.
    pub id: EntryId,
    /// What it stands on.
    pub ground: Ground,
    /// Its nonce.
    pub nonce: Nonce,
    /// Its body, sealed unless control.
    pub body: Vec<u8>,
    /// The author's signature.
    pub signature: Signature,
}

/// A log as its author wrote it; a fork is a second one with the same name.
#[derive(Clone, Debug)]
pub struct WrittenLog {
    /// Its name.
    pub name: LogName,
    /// Its id.
    pub log: LogId,
    /// Its entries in order.
    pub entries: Vec<Written>,
}

impl WrittenLog {
    /// How the entry at a place is named.
    #[must_use]
    pub fn reference(&self, seq: u64) -> Option<EntryRef> {
        let entry = self.entries.iter().find(|e| e.seq == seq)?;
        Some(EntryRef::new(self.log, seq, &entry.id))
    }

    /// The run of entries `from..to` (indices): signed at multiples of 64 and at its end.
    #[must_use]
    pub fn run(&self, from: usize, to: usize) -> Vec<u8> {
        let piece = self.entries.get(from..to).unwrap_or_default();
        let Some(first) = piece.first() else { return Vec::new() };
        let mut run = RunBuilder::new(&self.name, first.seq, first.backlink);
        for (place, entry) in piece.iter().enumerate() {
            let sealed = SealedEntry { ground: entry.ground, nonce: entry.nonce, sealed: Sealed::Body(&entry.body) };
            let signed = entry.seq.is_multiple_of(64) || place + 1 == piece.len() || self.name.is_control();
            run.push(&sealed, signed.then_some(entry.signature));
        }
        run.finish()
    }

    /// The chain of a proof that begins at an entry (index): headers to the first kept signature.
    #[must_use]
    pub fn chain(&self, from: usize) -> Vec<u8> {
        let entries = self.entries.get(from..).unwrap_or_default();
        let Some(first) = entries.first() else { return Vec::new() };
        let headers: Vec<(SealedEntry<'_>, Option<Signature>)> = entries
            .iter()
            .enumerate()
            .map(|(place, entry)| {
                let sealed =
                    SealedEntry { ground: entry.ground, nonce: entry.nonce, sealed: Sealed::Body(&entry.body) };
                let last = place + 1 == entries.len();
                let signed = entry.seq.is_multiple_of(64) || last || self.name.is_control();
                (sealed, signed.then_some(entry.signature))
            })
            .collect();
        chain(&self.name, first.seq, first.backlink, &headers)
    }

    /// All runs of at most `most` entries.
    #[must_use]
    pub fn runs(&self, most: usize) -> Vec<Vec<u8>> {
        (0..self.entries.len())
            .step_by(most)
            .map(|from| self.run(from, (from + most).min(self.entries.len())))
            .collect()
    }
}

/// A member who writes without a book.
#[derive(Debug)]
pub struct Author {
    /// Its keys.
    pub device: DeviceSecret,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// The grant that its entries stand on.
    pub grant: EntryId,
    /// Its clock.
    pub hlc: Hlc,
    /// Its logs, by compartment and lane.
    pub logs: BTreeMap<(CompartmentId, Lane), WrittenLog>,
}

/// An incident whose every key is known.
#[derive(Debug)]
pub struct World {
    /// The founding statement.
    pub founding: SignedFounding,
    /// The incident.
    pub incident: IncidentId,
    /// The admission secret.
    pub admission: Secret<32>,
    /// Compartments by kind: directory, clinical, supply, audit.
    pub compartments: BTreeMap<CompartmentKind, CompartmentId>,
    /// Epoch secrets by compartment.
    pub epochs: BTreeMap<CompartmentId, (KeyId, EpochSecret, ReadingKey)>,
    /// The root, which writes the control log.
    pub root: Author,
    /// Members, each with a grant.
    pub authors: Vec<Author>,
    /// Where randomness comes from.
    pub host: SeededHost,
}

impl Author {
    fn new(host: &mut SeededHost) -> Self {
        Self {
            device: DeviceSecret::random(host),
            incarnation: Incarnation::new(random(host)),
            grant: EntryId::ZERO,
            hlc: Hlc::default(),
            logs: BTreeMap::new(),
        }
    }

    /// A log of this author, empty if nothing was written there.
    pub fn log(&mut self, incident: &IncidentId, compartment: CompartmentId, lane: Lane) -> &mut WrittenLog {
        let name = LogName::new(self.device.public(), self.incarnation, compartment, lane);
        self.logs.entry((compartment, lane)).or_insert_with(|| WrittenLog {
            name,
            log: name.id(incident),
            entries: Vec::new(),
        })
    }

    /// Appends a body, sealed under `key` unless the log is a control log, and signs it. Whatever the bytes are.
    pub fn append(
        &mut self,
        incident: &IncidentId,
        (compartment, lane): (CompartmentId, Lane),
        body: &[u8],
        key: Option<(&KeyId, &ReadingKey)>,
    ) -> EntryRef {
        let grant = self.grant;
        let signing = self.device.signing.secret();
        let log = self.log(incident, compartment, lane);
        let mut tip = Tip {
            log: log.log,
            seq: log.entries.last().map_or(0, |e| e.seq),
            id: log.entries.last().map_or(EntryId::ZERO, |e| e.id),
        };
        let backlink = tip.id;
        let mut sealed = Vec::new();
        let (nonce, key_id) = match key {
            Some((id, key)) => {
                (key.seal(&Place { incident: *incident, log: tip.log, seq: tip.next_seq() }, body, &mut sealed), *id)
            }
            None => {
                sealed.extend_from_slice(body);
                (Nonce::ZERO, KeyId::ZERO)
            }
        };
        let ground = Ground { grant, hint: EntryId::ZERO, key: key_id };
        let entry = SealedEntry { ground, nonce, sealed: Sealed::Body(&sealed) };
        let signed = tip.append(&entry, &daybook_core::crypto::SigningKey::from_secret(&signing));
        let reference = EntryRef::new(tip.log, signed.seq, &signed.id);
        log.entries.push(Written {
            seq: signed.seq,
            backlink,
            id: signed.id,
            ground,
            nonce,
            body: sealed,
            signature: signed.signature,
        });
        reference
    }
}

impl World {
    /// Founds an incident from a seed, with `members` authors of a role.
    #[must_use]
    pub fn new(seed: u64, members: usize, role: Role) -> Self {
        let mut host = SeededHost::new(seed);
        let mut root = Author::new(&mut host);
        let recovery = RecoverySeed::random(&mut host);
        let founder = Root { device: root.device.public(), organisation: "Relief".into() };
        let founding = Founding::of_one(random(&mut host), "World", true, founder, &recovery);
        let founding = SignedFounding::sign(&founding, &[&root.device.signing])
            .expect("a founding statement of one root is possible");
        let incident = *founding.incident();
        root.grant = EntryId::new(*incident.as_bytes());
        let mut world = Self {
            founding,
            incident,
            admission: recovery.admission(),
            compartments: BTreeMap::new(),
            epochs: BTreeMap::new(),
            root,
            authors: Vec::new(),
            host,
        };
        world.control(Control::Incarnation { previous: Vec::new() });
        for kind in
            [CompartmentKind::Directory, CompartmentKind::Clinical, CompartmentKind::Supply, CompartmentKind::Audit]
        {
            let made = world.control(Control::Compartment { kind, name: None });
            let compartment = CompartmentId::new(*made.as_bytes());
            let secret = EpochSecret::random(&mut world.host);
            let reading = secret.reading_key();
            let key = reading.key_id();
            world.control(Control::Epoch(Epoch {
                compartment,
                key,
                replaces: Vec::new(),
                history: Vec::new(),
                honours: Vec::new(),
            }));
            world.compartments.insert(kind, compartment);
            world.epochs.insert(compartment, (key, secret, reading));
        }
        for _ in 0..members {
            world.admit(role);
        }
        world
    }

    /// Grants a role to a new author.
    pub fn admit(&mut self, role: Role) -> &mut Author {
        let mut author = Author::new(&mut self.host);
        author.grant = self.control(Control::Grant(Box::new(Grant {
            device: author.device.public(),
            person: None,
            organisation: None,
            role: role.word().to_owned(),
            rights: role.rights(),
            history: true,
            until_ms: None,
            grants: 0,
            compartments: 0,
            lifts: Vec::new(),
        })));
        self.authors.push(author);
        self.authors.last_mut().expect("just pushed")
    }

    /// Writes a control entry of the root; returns its id.
    pub fn control(&mut self, control: Control) -> EntryId {
        self.root.hlc = self.root.hlc.tick(self.host.now_ms());
        let body =
            ControlBody { commit: CommitId::new(random(&mut self.host)), hlc: self.root.hlc, control }.to_bytes();
        self.root.append(&self.incident, (CONTROL, Lane::Safety), &body, None);
        self.root.logs.values().filter_map(|log| log.entries.last()).next_back().map_or(EntryId::ZERO, |entry| entry.id)
    }

    /// Lets a member write `branches` continuations of a log after its place `after`, each of `entries` times the same
    /// operations: what forks of a copied or lying device are made of. Each has the whole log; the last one stays.
    pub fn fork(
        &mut self,
        author: usize,
        (kind, lane): (CompartmentKind, Lane),
        after: usize,
        (branches, entries): (usize, usize),
        operations: &[Vec<u8>],
    ) -> Vec<WrittenLog> {
        let place = (self.compartment(kind), lane);
        let mut trunk = self.authors.get(author).and_then(|a| a.logs.get(&place)).cloned();
        if let Some(trunk) = &mut trunk {
            trunk.entries.truncate(after);
        }
        let mut forked = Vec::new();
        for _ in 0..branches {
            let author_of = self.authors.get_mut(author).expect("an author of this world");
            match &trunk {
                Some(trunk) => author_of.logs.insert(place, trunk.clone()),
                None => author_of.logs.remove(&place),
            };
            for _ in 0..entries {
                self.write(author, kind, lane, operations, Self::start_ms());
            }
            forked.extend(self.authors.get(author).and_then(|a| a.logs.get(&place)).cloned());
        }
        forked
    }

    /// What a member judges entries by.
    #[must_use]
    pub fn ring(&self) -> Keyring {
        let mut control = Vec::new();
        for bytes in self.control_runs() {
            let run = Run::read(&bytes).expect("a run").verify(&self.incident).expect("verified");
            for entry in run.entries() {
                let body = ControlBody::read(entry.body().expect("a body")).expect("a control body");
                control.push(ControlEntry {
                    place: PlaceOf { log: run.log(), seq: entry.seq(), id: *entry.id() },
                    branch: Some(0),
                    device: run.name().device,
                    grant: entry.entry().ground.grant,
                    hlc: body.hlc,
                    control: body.control,
                });
            }
        }
        let keys = self.epochs.values().map(|(id, _, key)| (*id, key.clone())).collect();
        Keyring { incident: self.incident, roster: Roster::fold(&self.founding, &control, &Chains::default()), keys }
    }

    /// The runs of the root's control log.
    #[must_use]
    pub fn control_runs(&self) -> Vec<Vec<u8>> {
        self.root.logs.get(&(CONTROL, Lane::Safety)).map(|log| log.runs(512)).unwrap_or_default()
    }

    /// The compartment of a kind.
    #[must_use]
    pub fn compartment(&self, kind: CompartmentKind) -> CompartmentId {
        self.compartments.get(&kind).copied().unwrap_or_default()
    }

    /// Lets a member write operations, each in canonical bytes, at `now_ms` of its clock.
    pub fn write(
        &mut self,
        author: usize,
        kind: CompartmentKind,
        lane: Lane,
        operations: &[Vec<u8>],
        now_ms: i64,
    ) -> EntryRef {
        let commit = CommitId::new(random(&mut self.host));
        let compartment = self.compartment(kind);
        let author = self.authors.get_mut(author).expect("an author of this world");
        author.hlc = author.hlc.tick(now_ms);
        let body = Body::write(commit, author.hlc, operations);
        let (id, _, key) = self.epochs.get(&compartment).expect("an epoch of this compartment");
        author.append(&self.incident, (compartment, lane), &body, Some((id, key)))
    }

    /// What a device needs to have a book of this incident; `device` is the root's or a member's, or a fresh
    /// one that only reads.
    #[must_use]
    pub fn membership(&self, device: &DeviceSecret) -> Membership {
        Membership {
            founding: self.founding.clone(),
            device: DeviceSecret::from_secret(&device.to_secret()),
            admission: self.admission.clone(),
            secrets: self
                .epochs
                .iter()
                .map(|(compartment, (key, secret, _))| (*key, *compartment, StoredSecret::History(secret.clone())))
                .collect(),
        }
    }

    /// The time at which the clocks of this world begin.
    #[must_use]
    pub const fn start_ms() -> i64 {
        START_MS
    }
}

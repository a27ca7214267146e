//! Seeded histories of an incident: what several devices write that see only a part of each other's entries.
//!
//! Everything that honest and careless authors do is in them: concurrent edits, sets and clears, facts of all
//! kinds that take each other back, stock, imports of one resource by two devices, clocks that are off by
//! years, copies of a device that fork its logs, restored ones that do not, authors without the right to what
//! they write, and references to what is not there.

mod replica;
mod said;

pub use replica::{Replica, cut, scratch};

use crate::host::START_MS;
use crate::model::{Counts, Entry};
use crate::world::{World, WrittenLog};
use daybook_core::clock::{DAY_MS, Hlc};
use daybook_core::id::{CompartmentId, EntryId, Incarnation, Lane, LogId, PatientId};
use daybook_core::limits::PARENTS_PER_EDIT_MAX;
use daybook_core::record::{Edit, EntryRef, FactId, FactKind, Field, OpRef, Operation, Register};
use daybook_core::roster::{CompartmentKind, Control, Grant, PlaceOf, Rights, RightsByScope, Role, Scope};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, BTreeSet};

/// How large a history is.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Entries, control not counted.
    pub entries: usize,
    /// Patients.
    pub patients: usize,
}

impl Shape {
    /// The shape of a seed: 200 to 340 entries, every 64th 2,000; 1 to 5 patients.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed ^ 0x5eed);
        let entries = if seed % 64 == 63 { 2_000 } else { rng.random_range(200..=340) };
        Self { entries, patients: rng.random_range(1..=5) }
    }
}

/// A history and the incident that it happened in.
#[derive(Debug)]
pub struct History {
    /// The incident.
    pub world: World,
    /// All entries but control, in an order in which what an entry names stands before it.
    pub entries: Vec<Entry>,
    /// Every log as every copy of its author wrote it; branches of a fork share their beginning. The last is
    /// the root's control log.
    pub chains: Vec<WrittenLog>,
    /// The patients.
    pub patients: Vec<PatientId>,
    edits: BTreeMap<PatientId, Vec<EditNode>>,
}

/// An edit of one patient with everything before it.
#[derive(Debug)]
struct EditNode {
    entry: usize,
    import: bool,
    ancestors: Vec<bool>,
    registers: Vec<(Field, Vec<u8>)>,
}

/// A fact, with what later authors need to name it.
#[derive(Debug)]
struct FactNode {
    entry: usize,
    id: FactId,
    at: OpRef,
    patient: Option<PatientId>,
    kind: FactKind,
    /// Code of an observation, or number of an item of stock.
    series: usize,
    places: [&'static str; 2],
    names: Vec<FactId>,
}

/// What an author may write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Permit {
    Everything,
    Edits,
    Nothing,
}

/// Entries in order, by compartment and lane.
type Paths = BTreeMap<(CompartmentKind, Lane), Vec<usize>>;

/// One copy of a device: what it wrote and what it saw.
#[derive(Clone, Debug)]
struct Mind {
    author: usize,
    incarnation: Incarnation,
    hlc: Hlc,
    logs: BTreeMap<(CompartmentId, Lane), WrittenLog>,
    paths: Paths,
    known: Vec<bool>,
    off_ms: i64,
}

struct Generator {
    rng: ChaCha20Rng,
    world: World,
    permits: Vec<Permit>,
    minds: Vec<Mind>,
    entries: Vec<Entry>,
    patients: Vec<PatientId>,
    edits: BTreeMap<PatientId, Vec<EditNode>>,
    facts: Vec<FactNode>,
    now_ms: i64,
}

/// An operation to be written.
struct Draft {
    kind: CompartmentKind,
    lane: Lane,
    bytes: Vec<u8>,
    node: Node,
}

enum Node {
    Edit(PatientId, EditNode),
    Fact(FactNode),
}

impl History {
    /// The history of a seed in the shape of the seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self::new(seed, Shape::of(seed))
    }

    /// The history of a seed in a shape.
    #[must_use]
    pub fn new(seed: u64, shape: Shape) -> Self {
        let mut generator = Generator::new(seed, shape);
        while generator.entries.len() < shape.entries {
            generator.step();
        }
        generator.finish()
    }

    /// The share of edits beside which another edit sets the same register without knowledge of it.
    #[must_use]
    pub fn concurrent_share(&self) -> f64 {
        let (mut all, mut concurrent) = (0_u32, 0_u32);
        for edits in self.edits.values() {
            for (place, edit) in edits.iter().enumerate() {
                let beside = |(other_place, other): (usize, &EditNode)| {
                    let knows = |a: &EditNode, b: usize| a.ancestors.get(b) == Some(&true);
                    let shares = edit.registers.iter().any(|r| other.registers.contains(r));
                    other_place != place && shares && !knows(edit, other_place) && !knows(other, place)
                };
                all += 1;
                concurrent += u32::from(edits.iter().enumerate().any(beside));
            }
        }
        f64::from(concurrent) / f64::from(all.max(1))
    }

    /// Logs of which there are two branches.
    #[must_use]
    pub fn forked_logs(&self) -> usize {
        let mut ids: BTreeMap<(LogId, u64), BTreeSet<EntryRef>> = BTreeMap::new();
        for entry in &self.entries {
            ids.entry((entry.reference.log, entry.reference.seq)).or_default().insert(entry.reference);
        }
        ids.iter().filter(|(_, e)| e.len() > 1).map(|((log, _), _)| *log).collect::<BTreeSet<_>>().len()
    }

    /// All logs and the control log in runs, as [`cut`] makes them.
    #[must_use]
    pub fn runs(&self, rng: &mut ChaCha20Rng) -> Vec<Vec<u8>> {
        cut(&self.chains, rng)
    }

    /// Takes up what was written to the control log since.
    pub fn take_up_control(&mut self) {
        let control = self.world.root.logs.values().next().cloned();
        if let (Some(chain), Some(control)) = (self.chains.last_mut(), control) {
            *chain = control;
        }
    }

    /// Where an entry stands, as control entries name it.
    #[must_use]
    pub fn place(&self, entry: usize) -> PlaceOf {
        let reference = self.entries[entry].reference;
        let written = self.chains.iter().flat_map(|c| c.entries.iter().map(|e| (c.log, e)));
        let is = |(log, e): &(_, &crate::world::Written)| EntryRef::new(*log, e.seq, &e.id) == reference;
        let id = written.into_iter().find(is).map_or(EntryId::ZERO, |(_, e)| e.id);
        PlaceOf { log: reference.log, seq: reference.seq, id }
    }
}

impl Generator {
    fn new(seed: u64, shape: Shape) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut world = World::new(seed, 0, Role::Admin);
        let mut permits = Vec::new();
        for role in [Role::Admin, Role::Clinician, Role::Dispenser, Role::Clinician] {
            world.admit(role);
            permits.push(Permit::Everything);
        }
        if rng.random_bool(0.5) {
            world.admit(Role::Epidemiologist);
            permits.push(Permit::Nothing);
        }
        if rng.random_bool(0.5) {
            admit_registrar(&mut world);
            permits.push(Permit::Edits);
        }
        let patients: Vec<PatientId> = (0..shape.patients).map(|_| PatientId::new(rng.random())).collect();
        let mut generator = Self {
            rng,
            permits,
            minds: Vec::new(),
            entries: Vec::new(),
            edits: patients.iter().map(|p| (*p, Vec::new())).collect(),
            patients,
            facts: Vec::new(),
            now_ms: START_MS,
            world,
        };
        for author in 0..generator.permits.len() {
            let off_ms = generator.off_ms();
            generator.minds.push(Mind {
                author,
                incarnation: generator.world.authors[author].incarnation,
                hlc: Hlc::default(),
                logs: BTreeMap::new(),
                paths: BTreeMap::new(),
                known: Vec::new(),
                off_ms,
            });
        }
        generator
    }

    /// How far a clock is off: minutes, days, or years.
    fn off_ms(&mut self) -> i64 {
        match self.rng.random_range(0..10) {
            0..6 => self.rng.random_range(-600_000..=600_000),
            6..8 => self.rng.random_range(-3 * DAY_MS..=3 * DAY_MS),
            8 => self.rng.random_range(25 * DAY_MS..=1_200 * DAY_MS),
            _ => self.rng.random_range(-1_000 * DAY_MS..=-25 * DAY_MS),
        }
    }

    fn step(&mut self) {
        self.now_ms += self.rng.random_range(60_000..=7_200_000);
        if self.minds.len() < 9 && self.rng.random_bool(0.006) {
            self.copy_a_device();
        }
        let mind = self.rng.random_range(0..self.minds.len());
        if self.rng.random_bool(0.004) {
            self.minds[mind].off_ms = self.off_ms();
        }
        if self.rng.random_bool(0.3) {
            self.learn(mind);
        }
        let mut drafts = vec![self.draft(mind)];
        let extra = if self.rng.random_bool(0.2) { self.rng.random_range(1..=3) } else { 0 };
        for _ in 0..extra {
            let draft = self.draft(mind);
            let edits = |d: &Draft| if let Node::Edit(patient, _) = &d.node { Some(*patient) } else { None };
            let fits = (draft.kind, draft.lane) == (drafts[0].kind, drafts[0].lane);
            if fits && (edits(&draft).is_none() || drafts.iter().all(|d| edits(d) != edits(&draft))) {
                drafts.push(draft);
            }
        }
        self.write(mind, drafts);
    }

    /// A copy of a device goes on writing beside it: as the same installation, or as a restored one.
    fn copy_a_device(&mut self) {
        let of = self.rng.random_range(0..self.minds.len());
        let mut copy = self.minds[of].clone();
        if self.minds.iter().filter(|m| m.author == copy.author).count() >= 3 {
            return;
        }
        if self.rng.random_bool(0.4) {
            copy.incarnation = Incarnation::new(self.rng.random());
            copy.logs.clear();
            copy.paths.clear();
        }
        self.minds.push(copy);
    }

    /// Lets one copy of a device see a part of what another one knows: a beginning of every chain.
    fn learn(&mut self, mind: usize) {
        let from = self.rng.random_range(0..self.minds.len());
        let mut learned = Vec::new();
        for path in self.minds.iter().flat_map(|m| m.paths.values()) {
            let held = |m: usize| path.iter().take_while(|e| self.minds[m].known.get(**e) == Some(&true)).count();
            let (ours, theirs) = (held(mind), held(from));
            if theirs > ours {
                let to = if self.rng.random_bool(0.6) { theirs } else { self.rng.random_range(ours..=theirs) };
                learned.extend_from_slice(&path[ours..to]);
            }
        }
        let adopts = self.rng.random_bool(0.7);
        for entry in learned {
            let hlc = self.entries[entry].hlc;
            let mind = &mut self.minds[mind];
            mind.known.resize(self.entries.len(), false);
            mind.known[entry] = true;
            if adopts && hlc.ms() < self.now_ms + mind.off_ms + DAY_MS {
                mind.hlc = mind.hlc.merge(hlc);
            }
        }
    }

    fn knows(&self, mind: usize, entry: usize) -> bool {
        self.minds[mind].known.get(entry) == Some(&true)
    }

    /// Whether an entry lies before another in its chain.
    fn chained(&self, earlier: usize, later: usize) -> bool {
        let mut at = self.entries[later].before;
        while let Some(place) = at {
            if place == earlier {
                return true;
            }
            at = self.entries[place].before;
        }
        false
    }

    fn write(&mut self, mind: usize, drafts: Vec<Draft>) {
        let (kind, lane) = (drafts[0].kind, drafts[0].lane);
        let of = &mut self.minds[mind];
        let author = &mut self.world.authors[of.author];
        std::mem::swap(&mut author.logs, &mut of.logs);
        (author.incarnation, author.hlc) = (of.incarnation, of.hlc);
        let operations: Vec<Vec<u8>> = drafts.iter().map(|d| d.bytes.clone()).collect();
        let reference = self.world.write(of.author, kind, lane, &operations, self.now_ms + of.off_ms);
        let author = &mut self.world.authors[of.author];
        std::mem::swap(&mut author.logs, &mut of.logs);
        of.hlc = author.hlc;
        let place = self.entries.len();
        let path = of.paths.entry((kind, lane)).or_default();
        let before = path.last().copied();
        path.push(place);
        of.known.resize(place, false);
        of.known.push(true);
        let waits = match self.permits[of.author] {
            Permit::Everything => false,
            Permit::Edits => drafts.iter().any(|d| matches!(d.node, Node::Fact(_))),
            Permit::Nothing => true,
        };
        self.entries.push(Entry {
            reference,
            device: author.device.public().device_id(),
            compartment: kind,
            before,
            hlc: of.hlc,
            counts: if waits { Counts::Waits } else { Counts::Accepted },
            operations,
        });
        for (index, draft) in drafts.into_iter().enumerate() {
            match draft.node {
                Node::Edit(patient, mut node) => {
                    node.entry = place;
                    self.add_edit(patient, node);
                }
                Node::Fact(mut node) => {
                    node.entry = place;
                    node.at = OpRef { entry: reference, index: u8::try_from(index).expect("few") };
                    if let FactId::Written(_) = node.id {
                        node.id = FactId::Written(node.at);
                    }
                    self.facts.push(node);
                }
            }
        }
    }

    /// Keeps an edit; `ancestors` marks its named parents, to which the chain and theirs are added.
    fn add_edit(&mut self, patient: PatientId, mut node: EditNode) {
        let edits = &self.edits[&patient];
        node.ancestors.resize(edits.len(), false);
        let nearest = (0..edits.len()).rev().find(|e| self.chained(edits[*e].entry, node.entry));
        if let Some(nearest) = nearest {
            node.ancestors[nearest] = true;
        }
        let parents: Vec<usize> = (0..edits.len()).filter(|e| node.ancestors[*e]).collect();
        for parent in parents {
            for (place, is) in edits[parent].ancestors.iter().enumerate() {
                node.ancestors[place] |= is;
            }
        }
        self.edits.get_mut(&patient).expect("a patient of this history").push(node);
    }

    fn draft(&mut self, mind: usize) -> Draft {
        let patient = *self.patients.choose(&mut self.rng).expect("at least one");
        match self.rng.random_range(0..100) {
            0..40 => self.edit(mind, patient, false),
            40..44 => self.edit(mind, patient, true),
            44..86 => self.clinical_fact(mind, patient),
            _ => self.supply_fact(mind),
        }
    }

    fn edit(&mut self, mind: usize, patient: PatientId, import: bool) -> Draft {
        let edits = &self.edits[&patient];
        let rng = &mut self.rng;
        // Honest authors name no edit that waits; one who has another roster may.
        let waiting_too = rng.random_bool(0.15);
        let seen: Vec<usize> = (0..edits.len())
            .filter(|e| self.minds[mind].known.get(edits[*e].entry) == Some(&true))
            .filter(|e| waiting_too || self.entries[edits[*e].entry].counts == Counts::Accepted)
            .filter(|e| !import || edits[*e].import)
            .collect();
        let is_head = |e: &usize| !seen.iter().any(|later| edits[*later].ancestors.get(*e) == Some(&true));
        let mut parents: Vec<usize> = seen.iter().copied().filter(is_head).collect();
        parents.retain(|_| rng.random_bool(0.8));
        if rng.random_bool(0.05) {
            parents.extend(seen.choose(rng));
        }
        parents.sort_unstable();
        parents.dedup();
        parents.truncate(PARENTS_PER_EDIT_MAX - 3);
        let mut ancestors = vec![false; edits.len()];
        parents.iter().for_each(|parent| ancestors[*parent] = true);
        let mut named: Vec<EntryRef> = parents.iter().map(|p| self.entries[edits[*p].entry].reference).collect();
        if import && rng.random_bool(0.2) {
            // An edit of people: an import does not stand on it.
            let others: Vec<usize> = (0..edits.len()).filter(|e| !edits[*e].import).collect();
            named.extend(others.choose(rng).map(|e| self.entries[edits[*e].entry].reference));
        }
        if rng.random_bool(0.03) {
            let other = self.entries.choose(rng).map(|e| e.reference);
            let is_edit = |r: &EntryRef| edits.iter().any(|e| self.entries[e.entry].reference == *r);
            named.extend(other.filter(|r| !is_edit(r)));
            named.extend(other.map(|r| EntryRef { prefix: [7; 16], ..r }));
        }
        let registers = said::registers(rng, &self.patients);
        let import_id = import.then(|| said::import_id(&patient, "Patient", 0));
        let operation = Operation::Edit(Edit {
            patient,
            parents: named,
            registers: registers.iter().map(|((f, k), v)| Register { field: *f, key: k, value: v }).collect(),
            import: import_id,
        });
        let node = EditNode { entry: 0, import, ancestors, registers: registers.keys().cloned().collect() };
        Draft {
            kind: CompartmentKind::Clinical,
            lane: operation.lane(),
            bytes: operation.to_bytes(),
            node: Node::Edit(patient, node),
        }
    }

    fn finish(self) -> History {
        let Self { world, entries, patients, edits, minds, .. } = self;
        let mut chains: Vec<WrittenLog> = minds.into_iter().flat_map(|mind| mind.logs.into_values()).collect();
        chains.extend(world.root.logs.values().cloned());
        History { world, entries, chains, patients, edits }
    }
}

/// An author who may edit records and say nothing else.
fn admit_registrar(world: &mut World) {
    let device = world.admit(Role::Relay).device.public();
    let rights = RightsByScope::from_iter([
        (Scope::Kind(CompartmentKind::Clinical), Rights::READ.and(Rights::REGISTER)),
        (Scope::Kind(CompartmentKind::Supply), Rights::READ),
    ]);
    let grant = world.control(Control::Grant(Box::new(Grant {
        device,
        person: None,
        organisation: None,
        role: "registrar".to_owned(),
        rights,
        history: true,
        until_ms: None,
        grants: 0,
        compartments: 0,
        lifts: Vec::new(),
    })));
    world.authors.last_mut().expect("just admitted").grant = grant;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_are_as_wild_as_they_must_be() {
        let (mut entries, mut forked, mut imports, mut waiting) = (0, 0, 0, 0);
        for seed in 0..64 {
            let history = History::of(seed);
            let devices: BTreeSet<_> = history.entries.iter().map(|e| e.device).collect();
            assert!(devices.len() >= 4 && (1..=5).contains(&history.patients.len()), "seed {seed}");
            assert!((200..=2_000).contains(&history.entries.len()), "seed {seed}");
            let share = history.concurrent_share();
            assert!(share >= 0.3, "seed {seed}: {share:.2} of the edits are concurrent");
            entries += history.entries.len();
            forked += history.forked_logs();
            imports += history.chains.iter().filter(|c| c.name.lane == Lane::Import).count();
            waiting += history.entries.iter().filter(|e| e.counts == Counts::Waits).count();
        }
        assert!((280..=320).contains(&(entries / 64)), "{entries}");
        assert!(forked >= 64 && imports >= 64 && waiting >= 64 * 10, "{forked} {imports} {waiting}");
    }

    #[test]
    fn a_seed_gives_one_history() {
        let ids = |seed| History::of(seed).entries.iter().map(|e| e.reference).collect::<Vec<_>>();
        assert_eq!(ids(5), ids(5));
        assert_ne!(ids(5), ids(6));
    }
}

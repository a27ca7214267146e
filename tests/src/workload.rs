//! The workload `merge-1`: what ten people write in two weeks, as sealed runs and as a history that another
//! system can be given.
//!
//! Of 100,000 entries 10,000 are registrations of six registers, 40,000 edits of one to three, 30,000
//! observations, 15,000 dispenses and 5,000 allergies. The authors meet after every [`ENTRIES_PER_MEETING`]
//! entries; in between each sees its own only. One edit in five lacks a head of its record among its parents,
//! and half of those set a register that an edit which it did not see set too. Bodies have 200 to 420 bytes.
//!
//! The same seed and size give the same bytes, so the hash of the runs names the workload.

use crate::world::World;
use daybook_core::clock::{EffectiveTime, Hlc, Precision, TimeSource};
use daybook_core::id::{CommitId, Lane, PatientId};
use daybook_core::limits::ENTRIES_PER_RUN_MAX;
use daybook_core::record::{
    Address, Allergy, Body, ClinicalStatus, Coded, Criticality, Dispense, Edit, EntryRef, Fact, FactId, Field,
    Identifier, Name, Observation, OpRef, Operation, PartialDate, Quantity, RXNORM, Register, Setting, Sex, Statement,
    Telecom, Value, Verification,
};
use daybook_core::roster::{CompartmentKind, Role};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Its name in reports.
pub const NAME: &str = "merge-1";
/// Seed of the world and of everything that is said in it.
pub const SEED: u64 = 1;
/// Who writes.
pub const AUTHORS: usize = 10;
/// Entries, of all authors together, between two meetings at which everybody learns everything.
pub const ENTRIES_PER_MEETING: usize = 2_000;
/// Bytes of a body before padding and sealing.
pub const BODY_BYTES: std::ops::RangeInclusive<usize> = 200..=420;

/// Time from the first entry to the last.
const SPAN_MS: i64 = 14 * 86_400_000;
/// Heads and facts that one body names at most, so that it keeps within its length.
const NAMED_MAX: usize = 3;

/// How many entries of each kind there are.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// First edits of a record, with six registers.
    pub registrations: usize,
    /// Later edits.
    pub edits: usize,
    /// Edits that lack a head of their record.
    pub stale: usize,
    /// Of those, the ones that set a register which an edit they did not see set.
    pub touching: usize,
    /// Observations.
    pub observations: usize,
    /// Dispenses.
    pub dispenses: usize,
    /// Allergies.
    pub allergies: usize,
}

impl Counts {
    /// All entries.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.registrations + self.edits + self.observations + self.dispenses + self.allergies
    }
}

/// What was said, without the form that Daybook gives it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// Registers set, each a key for people and the bytes of its value; an empty value withdraws.
    Registers(Vec<(String, Vec<u8>)>),
    /// A fact.
    Fact {
        /// What it says, field by field.
        fields: Vec<(&'static str, Plain)>,
        /// The same in the bytes of its operation.
        operation: Vec<u8>,
    },
}

/// One value of a fact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Plain {
    /// A text.
    Text(String),
    /// A number or a time.
    Number(i64),
}

/// One change of the history, in the order of time.
///
/// Its author had seen the changes of earlier rounds and its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Number of the author.
    pub author: usize,
    /// Number of the patient.
    pub patient: usize,
    /// How many meetings there had been.
    pub round: usize,
    /// What was said.
    pub said: Said,
}

/// A generated workload.
#[derive(Debug)]
pub struct Workload {
    /// The incident; the logs of its authors are moved out into `runs`.
    pub world: World,
    /// Runs of at most 1,024 entries, log by log: lane 0 of each author, then lane 1.
    pub runs: Vec<Vec<u8>>,
    /// The same as a history; empty if not asked for.
    pub history: Vec<Change>,
    /// Ids of the patients by number.
    pub patients: Vec<PatientId>,
    /// What it consists of.
    pub counts: Counts,
    /// Mean length of a body before padding, in bytes.
    pub body_bytes_mean: f64,
    /// Hash of the runs, hexadecimal.
    pub hash: String,
}

impl Workload {
    /// Generates about `entries` entries (a multiple of 200, at least 10,000); `history` keeps the abstract form.
    ///
    /// # Panics
    /// If the outcome is not as the head of this module says.
    #[must_use]
    pub fn generate(entries: usize, history: bool) -> Self {
        let entries = (entries / 200 * 200).max(10_000);
        let mut maker = Maker::new(entries, history);
        for at in 0..entries {
            maker.step(at);
        }
        let workload = maker.finish();
        workload.check(entries);
        workload
    }

    /// Nothing but so many registrations: a list to search in.
    #[must_use]
    pub fn registrations(count: usize) -> Self {
        let mut maker = Maker::new(0, false);
        for at in 0..count {
            let author = maker.dice.below(AUTHORS);
            maker.register(author, World::start_ms() + i64::try_from(at).expect("a place") * 1_000);
        }
        maker.finish()
    }

    /// Asserts what the name of the workload promises.
    fn check(&self, entries: usize) {
        let Counts { registrations, edits, stale, touching, observations, dispenses, allergies } = self.counts;
        let shares = [registrations, edits, observations, dispenses, allergies].map(|count| count * 200 / entries);
        assert_eq!(shares, [20, 80, 60, 30, 10], "shares of the kinds");
        assert_eq!((stale, touching), (edits / 5, edits / 10), "edits that lack a head");
    }
}

/// What is to be written next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Registration,
    Edit,
    Observation,
    Dispense,
    Allergy,
}

/// An edit as later ones see it.
struct Edited {
    author: usize,
    round: usize,
    reference: EntryRef,
    parents: Vec<usize>,
    registers: Vec<(Field, Vec<u8>)>,
}

/// An observation as later ones see it.
struct Observed {
    author: usize,
    round: usize,
    code: usize,
    id: FactId,
    seen: Vec<FactId>,
}

/// One patient in the making.
struct Patient {
    id: PatientId,
    edits: Vec<Edited>,
    observations: Vec<Observed>,
}

/// Whether an author in a round has seen what another wrote.
const fn sees((author, round): (usize, usize), by: usize, in_round: usize) -> bool {
    in_round < round || by == author
}

impl Patient {
    /// Edits that the author has seen and to which it has seen no child.
    fn heads(&self, who: (usize, usize)) -> Vec<usize> {
        let visible = |edit: &Edited| sees(who, edit.author, edit.round);
        let has_child = |at: usize| self.edits.iter().any(|e| visible(e) && e.parents.contains(&at));
        let all = self.edits.iter().enumerate();
        all.filter(|(at, edit)| visible(edit) && !has_child(*at)).map(|(at, _)| at).collect()
    }

    /// How many heads the record has for somebody who sees everything.
    fn open_heads(&self) -> usize {
        let has_child = |at: usize| self.edits.iter().any(|edit| edit.parents.contains(&at));
        (0..self.edits.len()).filter(|at| !has_child(*at)).count()
    }

    fn references(&self, heads: &[usize]) -> Vec<EntryRef> {
        heads.iter().filter_map(|at| self.edits.get(*at)).map(|edit| edit.reference).collect()
    }

    /// Observations of a code that the author saw as current.
    fn current(&self, who: (usize, usize), code: usize) -> Vec<FactId> {
        let seen = || self.observations.iter().filter(|o| o.code == code && sees(who, o.author, o.round));
        let superseded = |id: &FactId| seen().any(|o| o.seen.contains(id));
        seen().map(|o| o.id).filter(|id| !superseded(id)).take(NAMED_MAX).collect()
    }
}

struct Maker {
    world: World,
    dice: Dice,
    schedule: Vec<Kind>,
    patients: Vec<Patient>,
    /// Patients registered before this round, and by each author within it.
    known: usize,
    own: Vec<Vec<usize>>,
    /// Who edited whom in this round.
    edited: Vec<(usize, usize)>,
    round: usize,
    history: Option<Vec<Change>>,
    counts: Counts,
    body_bytes: usize,
    step_ms: i64,
}

impl Maker {
    fn new(entries: usize, history: bool) -> Self {
        let mut dice = Dice(ChaCha20Rng::seed_from_u64(SEED));
        let mut schedule = Vec::with_capacity(entries);
        for (kind, share) in [
            (Kind::Registration, 20),
            (Kind::Edit, 80),
            (Kind::Observation, 60),
            (Kind::Dispense, 30),
            (Kind::Allergy, 10),
        ] {
            schedule.resize(schedule.len() + entries / 200 * share, kind);
        }
        for at in (1..schedule.len()).rev() {
            schedule.swap(at, dice.below(at + 1));
        }
        Self {
            world: World::new(SEED, AUTHORS, Role::Clinician),
            dice,
            schedule,
            patients: Vec::with_capacity(entries / 10),
            known: 0,
            own: vec![Vec::new(); AUTHORS],
            edited: Vec::new(),
            round: 0,
            history: history.then(|| Vec::with_capacity(entries)),
            counts: Counts::default(),
            body_bytes: 0,
            step_ms: SPAN_MS / i64::try_from(entries.max(1)).expect("a number of entries"),
        }
    }

    fn step(&mut self, at: usize) {
        if at > 0 && at.is_multiple_of(ENTRIES_PER_MEETING) {
            self.round += 1;
            self.known = self.patients.len();
            self.own.iter_mut().for_each(Vec::clear);
            self.edited.clear();
        }
        let author = self.dice.below(AUTHORS);
        if self.known == 0 && self.own[author].is_empty() {
            // Nobody whom this author could write about: it registers somebody first.
            let next = (at..self.schedule.len()).find(|later| self.schedule[*later] == Kind::Registration);
            self.schedule.swap(at, next.expect("registrations are left"));
        }
        let now_ms = World::start_ms() + i64::try_from(at).expect("a place") * self.step_ms;
        match self.schedule[at] {
            Kind::Registration => self.register(author, now_ms),
            Kind::Edit => self.edit(author, now_ms),
            Kind::Observation => self.observe(author, now_ms),
            Kind::Dispense => self.dispense(author, now_ms),
            Kind::Allergy => self.allergy(author, now_ms),
        }
    }

    fn finish(mut self) -> Workload {
        let mut runs = Vec::new();
        let mut hash = blake3::Hasher::new();
        for lane in [Lane::Safety, Lane::Routine] {
            for author in &mut self.world.authors {
                for (_, log) in author.logs.extract_if(.., |(_, of), _| *of == lane) {
                    for run in log.runs(ENTRIES_PER_RUN_MAX) {
                        hash.update(&(run.len() as u64).to_le_bytes());
                        hash.update(&run);
                        runs.push(run);
                    }
                }
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
        let body_bytes_mean = self.body_bytes as f64 / self.counts.total() as f64;
        Workload {
            world: self.world,
            runs,
            history: self.history.unwrap_or_default(),
            patients: self.patients.iter().map(|patient| patient.id).collect(),
            counts: self.counts,
            body_bytes_mean,
            hash: hash.finalize().to_hex().to_string(),
        }
    }

    /// Somebody whom the author has seen.
    fn patient(&mut self, author: usize) -> usize {
        let own = &self.own[author];
        let at = self.dice.below(self.known + own.len());
        own.get(at.wrapping_sub(self.known)).copied().unwrap_or(at)
    }

    /// Writes an operation; `noted` makes it with a text that brings the body to its length.
    fn write(
        &mut self,
        (author, patient): (usize, usize),
        now_ms: i64,
        lane: Lane,
        noted: impl Fn(&str) -> (Vec<u8>, Said),
    ) -> EntryRef {
        let body_len = |operation: &[u8]| {
            let hlc = Hlc::default().tick(now_ms);
            Body::write(CommitId::ZERO, hlc, &[operation.to_vec()]).len()
        };
        let least = body_len(&noted("").0);
        // A text brings up to four bytes of its own: its field's number and the head of its length.
        let wanted = self.dice.within(BODY_BYTES).saturating_sub(least + 4);
        let missing = wanted.max(BODY_BYTES.start().saturating_sub(least));
        let (operation, said) = noted(&self.dice.note(missing));
        let bytes = body_len(&operation);
        assert!(BODY_BYTES.contains(&bytes), "a body of {bytes} bytes, {least} without its note");
        self.body_bytes += bytes;
        if let Some(history) = &mut self.history {
            history.push(Change { author, patient, round: self.round, said });
        }
        self.world.write(author, CompartmentKind::Clinical, lane, &[operation], now_ms)
    }

    fn register(&mut self, author: usize, now_ms: i64) {
        let number = self.patients.len();
        let id = PatientId::new(self.dice.array());
        let (family, given) = (self.dice.one_of(FAMILY), self.dice.one_of(GIVEN));
        // One in two hundred bears the card of somebody else.
        let card = if number > 0 && self.dice.below(200) == 0 { self.dice.below(number) } else { number };
        let card = leak(format!("MRN{card:07}"));
        let phone = self.dice.phone();
        let street = self.dice.street();
        let (birth, sex) = (self.dice.birth(), self.dice.sex());
        let city = self.dice.one_of(CITIES);
        self.patients.push(Patient { id, edits: Vec::new(), observations: Vec::new() });
        self.set((author, number), now_ms, Vec::new(), |note| {
            vec![
                Setting::Birth(Some(birth)),
                Setting::Sex(Some(sex)),
                Setting::Name(Name { family, given: vec![given], text: "" }, Some("official")),
                Setting::Identifier(Identifier { system: "https://ids.example/mrn", value: card }, Some("MR")),
                Setting::Telecom(Telecom { system: "phone", value: phone }, Some("mobile")),
                address(street, city, note),
            ]
        });
        self.own[author].push(number);
        self.counts.registrations += 1;
    }

    fn edit(&mut self, author: usize, now_ms: i64) {
        let due = self.counts.stale < (self.counts.edits + 1) / 5;
        let stale = due.then(|| self.edited_by_another(author)).flatten();
        let patient = stale.unwrap_or_else(|| self.not_edited_by_another(author));
        let unseen: Vec<(Field, Vec<u8>)> = self.patients[patient]
            .edits
            .iter()
            .filter(|edit| !sees((author, self.round), edit.author, edit.round))
            .flat_map(|edit| edit.registers.clone())
            .collect();
        let touching = stale.is_some() && self.counts.touching * 2 <= self.counts.stale;
        let mut others: Vec<Setting<'static>> = Vec::new();
        let (main, more) = (self.dice.below(10), self.dice.below(3));
        if touching {
            let (field, key) = unseen[self.dice.below(unseen.len())].clone();
            others.push(self.dice.another_value(field, leak_bytes(key)));
        }
        for _ in 0..more {
            let other = self.dice.small_setting();
            let clashes = |field: Field, key: &[u8]| {
                unseen.iter().any(|(f, k)| (*f, k.as_slice()) == (field, key))
                    || others.iter().any(|o| (o.field(), o.to_bytes().0.as_slice()) == (field, key))
            };
            if others.len() < 2 && !clashes(other.field(), &other.to_bytes().0) {
                others.push(other);
            }
        }
        let (street, phone) = (self.dice.street(), self.dice.phone());
        let (city, family) = (self.dice.one_of(CITIES), self.dice.one_of(FAMILY));
        let given = self.dice.one_of(GIVEN);
        let heads = self.patients[patient].heads((author, self.round));
        self.set((author, patient), now_ms, heads, |note| {
            let mut all: Vec<Setting<'_>> = others.clone();
            all.push(match main {
                0..=4 => address(street, city, note),
                5..=7 => Setting::Telecom(Telecom { system: "phone", value: phone }, Some(note)),
                _ => Setting::Name(Name { family, given: vec![given, street], text: "" }, Some(note)),
            });
            all
        });
        self.edited.push((patient, author));
        self.counts.edits += 1;
        self.counts.stale += usize::from(stale.is_some());
        self.counts.touching += usize::from(touching);
    }

    /// A patient whom the author knows and whom another edited since the last meeting.
    fn edited_by_another(&mut self, author: usize) -> Option<usize> {
        if self.edited.is_empty() {
            return None;
        }
        let start = self.dice.below(self.edited.len());
        let (before, after) = self.edited.split_at(start);
        let mut all = after.iter().chain(before);
        let known = |patient: usize| patient < self.known || self.own[author].contains(&patient);
        // One more head is still named by whoever comes after the next meeting.
        let room = |patient: usize| self.patients[patient].open_heads() < NAMED_MAX;
        all.find(|(patient, by)| *by != author && known(*patient) && room(*patient)).map(|(patient, _)| *patient)
    }

    fn not_edited_by_another(&mut self, author: usize) -> usize {
        for _ in 0..10_000 {
            let patient = self.patient(author);
            let unseen = |edit: &Edited| !sees((author, self.round), edit.author, edit.round);
            if !self.patients[patient].edits.iter().any(unseen) {
                return patient;
            }
        }
        panic!("every record was edited since the last meeting");
    }

    /// Writes an edit with the heads that its author saw.
    fn set(
        &mut self,
        (author, patient): (usize, usize),
        now_ms: i64,
        heads: Vec<usize>,
        settings: impl for<'n> Fn(&'n str) -> Vec<Setting<'n>>,
    ) {
        assert!(heads.len() <= NAMED_MAX, "a record with {} heads", heads.len());
        let id = self.patients[patient].id;
        let parents = self.patients[patient].references(&heads);
        let set = std::cell::RefCell::new(Vec::new());
        let reference = self.write((author, patient), now_ms, Lane::Safety, |note| {
            let settings = settings(note);
            let bytes: Vec<_> = settings.iter().map(|s| (s.field(), s.to_bytes())).collect();
            let registers = bytes.iter().map(|(field, (key, value))| Register { field: *field, key, value }).collect();
            let edit = Edit { patient: id, parents: parents.clone(), registers, import: None };
            let operation = Operation::Edit(edit).to_bytes();
            *set.borrow_mut() = bytes.into_iter().map(|(field, (key, _))| (field, key)).collect();
            (operation, Said::Registers(settings.iter().map(plain).collect()))
        });
        let registers = set.into_inner();
        self.patients[patient].edits.push(Edited { author, round: self.round, reference, parents: heads, registers });
    }

    fn fact(
        &mut self,
        who: (usize, usize),
        now_ms: i64,
        lane: Lane,
        statement: impl for<'n> Fn(&'n str) -> (&'n str, Statement<'n>),
    ) -> EntryRef {
        let patient = self.patients[who.1].id;
        self.write(who, now_ms, lane, |note| {
            let (reason, statement) = statement(note);
            let effective = EffectiveTime {
                ms: now_ms,
                offset_minutes: 0,
                precision: Precision::Millisecond,
                source: TimeSource::Clock,
            };
            let fact = Fact { patient: Some(patient), effective, targets: Vec::new(), import: None, reason, statement };
            let fields = plain_fact(&fact);
            let operation = Operation::Fact(fact).to_bytes();
            (operation.clone(), Said::Fact { fields, operation })
        })
    }

    fn observe(&mut self, author: usize, now_ms: i64) {
        let patient = self.patient(author);
        let code = self.dice.below(OBSERVED.len());
        let (loinc, display, unit, from, to, scale) = OBSERVED[code];
        let mantissa = self.dice.within(from..=to) as u64;
        let seen = self.patients[patient].current((author, self.round), code);
        let entry = self.fact((author, patient), now_ms, Lane::Routine, |note| {
            let observation = Observation {
                code: Coded { system: "http://loinc.org", code: loinc, display },
                value: Some(Value::Quantity(Quantity::new(mantissa, scale, unit).expect("a quantity"))),
                components: Vec::new(),
                seen: seen.clone(),
                earlier: false,
            };
            (note, Statement::Observation(observation))
        });
        let id = FactId::Written(OpRef { entry, index: 0 });
        self.patients[patient].observations.push(Observed { author, round: self.round, code, id, seen });
        self.counts.observations += 1;
    }

    fn dispense(&mut self, author: usize, now_ms: i64) {
        let patient = self.patient(author);
        let heads = self.patients[patient].heads((author, self.round));
        let heads = self.patients[patient].references(&heads);
        let (system, code, display) = PRODUCTS[self.dice.below(PRODUCTS.len())];
        let (count, days) = (self.dice.within(6..=60) as u64, self.dice.within(3..=10));
        let lot = leak(format!("{:05}{}", self.dice.below(400), ["A", "B", "K"][self.dice.below(3)]));
        self.fact((author, patient), now_ms, Lane::Safety, |note| {
            let dispense = Dispense {
                product: Coded { system, code, display },
                quantity: Some(Quantity::new(count, 0, "{tablet}").expect("a quantity")),
                lot,
                expiry: PartialDate::new(2028, Some(6), None),
                days: u16::try_from(days).ok(),
                receiver: None,
                place: "Clinic 4",
                heads: heads.clone(),
                override_reason: "",
            };
            (note, Statement::Dispense(dispense))
        });
        self.counts.dispenses += 1;
    }

    fn allergy(&mut self, author: usize, now_ms: i64) {
        let patient = self.patient(author);
        let (system, code, display, category) = SUBSTANCES[self.dice.below(SUBSTANCES.len())];
        self.fact((author, patient), now_ms, Lane::Safety, |note| {
            let allergy = Allergy {
                substance: Coded { system, code, display },
                clinical: ClinicalStatus::Active,
                verification: Verification::Confirmed,
                criticality: Some(Criticality::High),
                category,
                reaction: note,
            };
            ("told by the patient at registration", Statement::Allergy(allergy))
        });
        self.counts.allergies += 1;
    }
}

/// A setting as another system would hold it.
fn plain(setting: &Setting<'_>) -> (String, Vec<u8>) {
    let key = match setting {
        Setting::Birth(_) | Setting::Sex(_) => String::new(),
        Setting::Name(name, _) => format!(":{}, {}", name.family, name.given.join(" ")),
        Setting::Identifier(identifier, _) => format!(":{}|{}", identifier.system, identifier.value),
        Setting::Telecom(telecom, _) => format!(":{}|{}", telecom.system, telecom.value),
        Setting::Address(address, _) => format!(":{}, {}", address.lines.join(", "), address.city),
        Setting::Household(household, _) => format!(":{household}"),
        Setting::Language(code, _) => format!(":{code}"),
    };
    (format!("{}{key}", setting.field().word()), setting.to_bytes().1)
}

/// A fact as another system would hold it: one field for each thing that it says.
fn plain_fact(fact: &Fact<'_>) -> Vec<(&'static str, Plain)> {
    let text = |text: &str| Plain::Text(text.to_owned());
    let coded = |coded: &Coded<'_>| {
        let mut fields = vec![("display", text(coded.display))];
        if !coded.code.is_empty() {
            fields.extend([("system", text(coded.system)), ("code", text(coded.code))]);
        }
        fields
    };
    let number = |n: u64| Plain::Number(i64::try_from(n).expect("a small number"));
    let mut fields = vec![
        ("kind", text(fact.statement.kind().word())),
        ("time", Plain::Number(fact.effective.ms)),
        ("note", text(fact.reason)),
    ];
    match &fact.statement {
        Statement::Observation(observation) => {
            fields.extend(coded(&observation.code));
            if let Some(Value::Quantity(quantity)) = observation.value {
                fields.extend([("value", number(quantity.micros())), ("unit", text(quantity.unit))]);
            }
        }
        Statement::Dispense(dispense) => {
            fields.extend(coded(&dispense.product));
            if let Some(quantity) = dispense.quantity {
                fields.extend([("quantity", number(quantity.micros())), ("unit", text(quantity.unit))]);
            }
            let expiry = dispense.expiry.map(|e| e.to_string()).unwrap_or_default();
            fields.extend([
                ("lot", text(dispense.lot)),
                ("expiry", Plain::Text(expiry)),
                ("place", text(dispense.place)),
            ]);
            fields.push(("days", Plain::Number(dispense.days.map_or(0, i64::from))));
        }
        Statement::Allergy(allergy) => {
            fields.extend(coded(&allergy.substance));
            fields.extend([("category", text(allergy.category)), ("reaction", text(allergy.reaction))]);
            fields.extend([
                ("clinical", text(allergy.clinical.code())),
                ("verification", text(allergy.verification.code())),
                ("criticality", text(allergy.criticality.map_or("", Criticality::code))),
            ]);
        }
        _ => {}
    }
    fields
}

fn address<'n>(street: &'n str, city: &'n str, note: &'n str) -> Setting<'n> {
    Setting::Address(Address { lines: vec![street], city, country: "LR", ..Address::default() }, Some(note))
}

/// Makes a short text live as long as the program: a workload lives about as long.
fn leak(text: String) -> &'static str {
    text.leak()
}

fn leak_bytes(bytes: Vec<u8>) -> &'static [u8] {
    bytes.leak()
}

/// Draws.
struct Dice(ChaCha20Rng);

impl Dice {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// A number below `most`; the bias of the remainder does not matter here.
    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.0.next_u64() % most as u64).expect("below a usize")
    }

    fn within(&mut self, range: std::ops::RangeInclusive<usize>) -> usize {
        range.start() + self.below(range.end() - range.start() + 1)
    }

    fn one_of(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len())]
    }

    /// A note of exactly `bytes` bytes.
    fn note(&mut self, bytes: usize) -> String {
        let mut note = String::with_capacity(bytes + 64);
        while note.len() < bytes {
            if !note.is_empty() {
                note.push(' ');
            }
            note.push_str(self.one_of(NOTES));
        }
        note.truncate(bytes);
        // A text does not end in a space.
        if note.ends_with(' ') {
            note.pop();
            note.push('.');
        }
        note
    }

    fn phone(&mut self) -> &'static str {
        leak(format!("+23177{:07}", self.below(10_000_000)))
    }

    fn street(&mut self) -> &'static str {
        leak(format!("{} {}", self.one_of(STREETS), 1 + self.below(400)))
    }

    fn birth(&mut self) -> PartialDate {
        let (year, month, day) = (self.within(1935..=2025), self.within(1..=12), self.within(1..=28));
        let [month, day] = [month, day].map(|part| u8::try_from(part).ok());
        PartialDate::new(u16::try_from(year).expect("a year"), month, day).expect("a date")
    }

    fn sex(&mut self) -> Sex {
        [Sex::Female, Sex::Male][self.below(2)]
    }

    /// A register of few bytes.
    fn small_setting(&mut self) -> Setting<'static> {
        match self.below(5) {
            0 => Setting::Birth(Some(self.birth())),
            1 => Setting::Sex(Some(self.sex())),
            2 => {
                let value = leak(format!("WB{:08}", self.below(100_000_000)));
                Setting::Identifier(Identifier { system: "tag", value }, Some(""))
            }
            3 => Setting::Household(PatientId::new(self.array()), Some("member")),
            _ => Setting::Language(self.one_of(&["en", "fr", "kpe", "vai", "es", "ar"]), Some("")),
        }
    }

    /// Sets a register to what nobody set it to before, or withdraws an element.
    fn another_value(&mut self, field: Field, key: &'static [u8]) -> Setting<'static> {
        let register = Register { field, key, value: daybook_core::record::NULL };
        match register.parse().expect("a register that was written before") {
            Setting::Birth(_) => Setting::Birth(Some(self.birth())),
            Setting::Sex(_) => Setting::Sex(Some(self.sex())),
            Setting::Telecom(telecom, _) => Setting::Telecom(telecom, Some(self.one_of(&["home", "work", "old"]))),
            Setting::Language(code, _) => Setting::Language(code, Some("preferred")),
            Setting::Household(household, _) => Setting::Household(household, Some("child")),
            withdrawn @ (Setting::Name(..) | Setting::Identifier(..) | Setting::Address(..)) => withdrawn,
        }
    }
}

/// Given names that occur.
pub const GIVEN: &[&str] = &[
    "Amina",
    "Joseph",
    "Mary",
    "Emmanuel",
    "Fatu",
    "Moses",
    "Grace",
    "Ibrahim",
    "Comfort",
    "Samuel",
    "Hawa",
    "Prince",
    "Patience",
    "Abraham",
    "Musu",
    "Daniel",
    "Rebecca",
    "Mohammed",
    "Esther",
    "Varney",
    "Siah",
    "Thomas",
    "Lorpu",
    "Jerome",
    "Kebbeh",
    "Isaac",
    "Martha",
    "Saah",
    "Ruth",
    "Alfred",
    "Jartu",
    "Peter",
    "Nora",
    "Augustine",
    "Zoe",
    "Rafael",
    "Lucía",
    "Nguyễn",
    "Yusuf",
    "Élodie",
];
/// Family names that occur.
pub const FAMILY: &[&str] = &[
    "Johnson",
    "Kollie",
    "Toe",
    "Sirleaf",
    "Kamara",
    "Cooper",
    "Weah",
    "Flomo",
    "Doe",
    "Massaquoi",
    "Dolo",
    "Sherman",
    "Barclay",
    "Gbowee",
    "Tubman",
    "Harris",
    "Kpoto",
    "Sumo",
    "Davies",
    "Mulbah",
    "Fahnbulleh",
    "Konneh",
    "Tweh",
    "Zayzay",
    "Nimley",
    "Gaye",
    "Sackie",
    "Karnga",
    "Bility",
    "Wreh",
    "Paye",
    "Togba",
    "Cisse",
    "Quaye",
    "Roberts",
    "Ortega",
    "Trần",
    "Haddad",
    "Okafor",
    "Lévesque",
];
const STREETS: &[&str] = &[
    "Broad Street",
    "Carey Street",
    "Center Street",
    "Randall Street",
    "Tubman Boulevard",
    "Old Road",
    "Somalia Drive",
    "Johnson Street",
    "Gurley Street",
    "Water Side",
    "Mechlin Street",
    "Benson Street",
    "Camp Johnson Road",
];
const CITIES: &[&str] = &["Monrovia", "Gbarnga", "Kakata", "Buchanan", "Ganta", "Zwedru", "Harper", "Voinjama"];
const NOTES: &[&str] = &[
    "behind the blue water tank",
    "next to the school, second door",
    "ask for the sister at the market",
    "came with two children",
    "moved to the shelter in the church hall",
    "bring the card next time",
    "speaks to the nurse in Kpelle",
    "no phone at night",
    "house with the red gate past the bridge",
    "weighed with clothes",
    "measured sitting, left arm",
    "feels dizzy since yesterday",
    "took the first dose at the desk",
    "told to come back after seven days",
    "mother signed for the child",
    "rash on both arms after the last course",
    "tent 14 in row C",
    "opposite the fuel station",
    "checked against the wristband",
];
/// LOINC code, display, UCUM unit, mantissa from and to, scale.
const OBSERVED: &[(&str, &str, &str, usize, usize, u8)] = &[
    ("29463-7", "Body weight", "kg", 31, 1_199, 1),
    ("8310-5", "Body temperature", "Cel", 351, 409, 1),
    ("2708-6", "Oxygen saturation", "%", 81, 100, 0),
    ("8867-4", "Heart rate", "/min", 48, 160, 0),
];
/// System, code, display.
const PRODUCTS: &[(&str, &str, &str)] = &[
    (RXNORM, "309309", "ciprofloxacin 500 MG Oral Tablet"),
    (RXNORM, "1650143", "doxycycline hyclate 100 MG Oral Tablet"),
    (RXNORM, "311296", "levofloxacin 750 MG Oral Tablet"),
    (RXNORM, "308182", "amoxicillin 250 MG Oral Capsule"),
    (RXNORM, "284215", "clindamycin 300 MG Oral Capsule"),
    ("", "", "paracetamol 500 mg"),
    ("", "", "oral rehydration salts"),
    ("", "", "zinc sulfate 20 mg"),
];
/// System, code, display, category.
const SUBSTANCES: &[(&str, &str, &str, &str)] = &[
    (RXNORM, "7984", "Penicillin V", "medication"),
    (RXNORM, "2551", "Ciprofloxacin", "medication"),
    (RXNORM, "3640", "Doxycycline", "medication"),
    ("", "", "sulfa drugs", "medication"),
    ("", "", "peanuts", "food"),
    ("", "", "bee stings", "environment"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let [one, two] = [false, true].map(|history| Workload::generate(10_000, history));
        assert_eq!(one.hash, two.hash);
        assert_eq!((one.counts.total(), two.history.len()), (10_000, 10_000));
        let mut by_author: BTreeMap<usize, usize> = BTreeMap::new();
        two.history.iter().for_each(|change| *by_author.entry(change.author).or_default() += 1);
        assert_eq!(by_author.len(), AUTHORS);
    }
}

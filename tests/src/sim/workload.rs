//! What people do: few patients on purpose, so that they often write about the same.

use super::World;
use super::device::Tips;
use super::invariant::{Invariant, broken, hold};
use super::plan::Topology;
use daybook_core::clock::{DAY_MS, EffectiveTime, Precision};
use daybook_core::daybook::{Daybook, Error, ErrorKind, FactView, Say, Written};
use daybook_core::id::PatientId;
use daybook_core::record::{
    Allergy, ClinicalStatus, Coded, Dispense, FactId, FactKind, Identifier, Name, Observation, PartialDate, Quantity,
    RXNORM, Setting, Sex, Statement, Telecom, Value, Verification,
};
use daybook_core::roster::{CompartmentKind, Role};
use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha20Rng;

/// Most patients of one world.
const PATIENTS_MAX: usize = 8;
const PLACES: [&str; 3] = ["main", "tent", "boat"];
const LOTS: [&str; 2] = ["L1", "L2"];
const PRODUCTS: [Coded<'static>; 4] = [
    Coded { system: RXNORM, code: "1650143", display: "doxycycline hyclate 100 MG Oral Tablet" },
    Coded::text("Doxycycline 50 mg"),
    Coded { system: RXNORM, code: "309309", display: "ciprofloxacin 500 MG Oral Tablet" },
    Coded::text("ibuprofen 400 mg"),
];
const SUBSTANCES: [(Coded<'static>, &str); 4] = [
    (Coded::text("penicillin"), "medication"),
    (Coded::text("Quinolones"), ""),
    (Coded::text("shellfish"), "food"),
    (Coded::text("Ibuprofen"), ""),
];
const CODES: [Coded<'static>; 2] = [
    Coded { system: "http://loinc.org", code: "29463-7", display: "weight" },
    Coded { system: "http://loinc.org", code: "8310-5", display: "temperature" },
];

/// A fact that somebody wrote, as people name it.
#[derive(Clone, Debug)]
pub(super) struct Named {
    code: String,
    id: FactId,
    kind: FactKind,
    patient: Option<PatientId>,
}

impl Named {
    fn of(view: &FactView) -> Self {
        Self { code: view.entry.0.clone(), id: view.id, kind: view.kind, patient: view.patient }
    }
}

/// What was told to whoever wrote: how many entries are durable; none if nothing was written.
type Told = Result<Option<usize>, Error>;

impl World {
    /// Somebody writes a few things at a device.
    pub(super) fn people_write(&mut self) {
        let device = self.any_device();
        if device == 0 && self.plan.topology == Topology::Star || self.all.devices[device].is_relay() {
            return;
        }
        self.latest_ms = self.latest_ms.max(self.all.devices[device].clock.now_ms());
        let mut before = self.all.devices[device].tips();
        let (mut told, mut all) = (0, 0);
        for _ in 0..self.rng.random_range(1..=8) {
            let faulty = self.all.devices[device].disk_is_faulty();
            if let Some(entries) = self.act(device) {
                told += entries;
                self.add("operations", 1);
            }
            if faulty {
                all += self.note_written(device, &mut before, &mut told);
            }
            // Who is in a conversation writes fast: greetings have a time limit.
            let most = if self.links.is_empty() { 60_000 } else { 200 };
            let ms = self.rng.random_range(1..most);
            self.pass(ms);
        }
        all += self.note_written(device, &mut before, &mut told);
        self.happened("writes", &[device as u64, all as u64]);
        self.notice(device, None);
    }

    /// Writes down what was read on a device, as a session and an export do first.
    pub(super) fn write_readings(&mut self, device: usize) {
        // On a disk that fails they go on waiting, and are written once it is mended.
        for _ in 0..2 {
            let mut before = self.all.devices[device].tips();
            let written = self.all.devices[device].book().write_readings();
            self.note_written(device, &mut before, &mut 0);
            if written.is_ok() {
                return;
            }
        }
    }

    /// Notes what was written since `before`: as many entries as people were told. If the disk failed, it is mended,
    /// and what is there beyond that is unsure.
    pub(super) fn note_written(&mut self, device: usize, before: &mut Tips, told: &mut usize) -> usize {
        let audit = self.keys.compartment(CompartmentKind::Audit);
        self.latest_ms = self.latest_ms.max(self.all.devices[device].clock.now_ms());
        let failed = self.all.devices[device].disk_failed();
        if failed {
            self.mend(device);
        }
        let (places, written) = self.all.devices[device].written_since(before, audit);
        *before = self.all.devices[device].tips();
        let told = std::mem::take(told);
        if failed && told == 0 {
            self.note_unsure(device, places);
            return 0;
        }
        hold(written == told || (failed && written > told), Invariant::NothingAcknowledgedIsLost, || {
            format!("device {device} holds {written} entries of {told} that its people were told are written")
        });
        self.note_blind(device, &places);
        self.all.devices[device].written.extend(places);
        written
    }

    /// Somebody does something at a device. Returns how many entries are acknowledged.
    fn act(&mut self, device: usize) -> Option<usize> {
        let Self { all, rng, patients, facts, .. } = self;
        let mut people = People { book: all.devices[device].book(), rng, patients, facts };
        match people.act() {
            Ok(entries) => entries,
            // What people know from each other may not have come to this device, or was taken back meanwhile.
            Err(
                Error::NoSuchPatient
                | Error::NoSuchEntry
                | Error::AmbiguousEntry { .. }
                | Error::NoSuchFinding
                | Error::TakenBack
                // The place of an entry that went with a lost device has another one now.
                | Error::WrongKind { .. }
                | Error::NeedsOverride { .. },
            ) => None,
            Err(error) if error.kind() == ErrorKind::Environment => {
                hold(self.all.devices[device].disk_failed(), Invariant::WhoMayWriteCan, || {
                    format!("device {device} cannot write on a disk that works: {error}")
                });
                self.add("failed writes", 1);
                None
            }
            // It has not met anybody who told it of its grant, or its grant gives less, or ended.
            Err(Error::NoCompartment | Error::NoRight | Error::NoKey | Error::Ended) if !self.may_write_all(device) => {
                self.add("writes refused for want of right", 1);
                None
            }
            Err(error) => broken(Invariant::WhoMayWriteCan, format!("device {device} cannot write: {error}")),
        }
    }

    fn may_write_all(&mut self, device: usize) -> bool {
        let role = matches!(self.all.devices[device].role, Role::Admin | Role::Clinician);
        role && !self.is_stopped(device) && self.knows_its_grant(device)
    }
}

struct People<'a> {
    book: &'a mut Daybook,
    rng: &'a mut ChaCha20Rng,
    patients: &'a mut Vec<PatientId>,
    facts: &'a mut Vec<Named>,
}

impl People<'_> {
    fn act(&mut self) -> Told {
        let some = self.patients.choose(self.rng).copied();
        let Some(patient) = some.filter(|_| self.patients.len() >= PATIENTS_MAX || !self.rng.random_bool(0.03)) else {
            let added = self.book.add_patient(&[setting(self.rng)])?;
            self.patients.push(added.value);
            return Ok(Some(added.entries.len()));
        };
        match self.rng.random_range(0..100) {
            0..34 => self.edit(patient),
            34..48 => self.observe(patient, Vec::new()),
            48..60 => self.dispense(patient),
            60..65 => self.allergy(patient),
            65..70 => self.say(patient, Statement::Note { text: "seen at the gate" }, Vec::new()),
            70..75 => self.take_back(),
            75..79 => self.correct(),
            79..98 => self.stock(),
            _ => self.resolve(),
        }
    }

    fn wrote(&mut self, written: &Written<FactView>) -> Told {
        self.facts.push(Named::of(&written.value));
        Ok(Some(written.entries.len()))
    }

    fn edit(&mut self, patient: PatientId) -> Told {
        let count = self.rng.random_range(1..=2);
        let settings: Vec<Setting<'_>> = (0..count).map(|_| setting(self.rng)).collect();
        // Two values of one register in one edit are none.
        let settings = if settings.len() == 2 && settings[0].field() == settings[1].field() {
            &settings[..1]
        } else {
            &settings[..]
        };
        Ok(Some(self.book.edit_patient(patient, settings)?.entries.len()))
    }

    fn say(&mut self, patient: PatientId, statement: Statement<'_>, targets: Vec<FactId>) -> Told {
        let reason = if targets.is_empty() { "" } else { "mistyped" };
        let written = self.book.say(Some(patient), Say { statement, effective: None, targets, reason })?;
        self.wrote(&written)
    }

    fn observe(&mut self, patient: PatientId, targets: Vec<FactId>) -> Told {
        let code = *CODES.choose(self.rng).expect("not empty");
        let value = Quantity::new(self.rng.random_range(60..=64), 0, "kg").expect("in bounds");
        let observation = Observation {
            code,
            value: Some(Value::Quantity(value)),
            components: Vec::new(),
            seen: Vec::new(),
            earlier: false,
        };
        self.say(patient, Statement::Observation(observation), targets)
    }

    fn allergy(&mut self, patient: PatientId) -> Told {
        let (substance, category) = *SUBSTANCES.choose(self.rng).expect("not empty");
        let verification = *[Verification::Confirmed, Verification::Unconfirmed].choose(self.rng).expect("not empty");
        let (clinical, criticality) = (ClinicalStatus::Active, None);
        let allergy = Allergy { substance, clinical, verification, criticality, category, reaction: "" };
        let none = self.rng.random_bool(0.3);
        self.say(patient, if none { Statement::NoKnownAllergies } else { Statement::Allergy(allergy) }, Vec::new())
    }

    fn dispense(&mut self, patient: PatientId) -> Told {
        let mut dispense = Dispense {
            product: *PRODUCTS.choose(self.rng).expect("not empty"),
            quantity: Quantity::new(20, 0, "tablet").ok(),
            lot: LOTS.choose(self.rng).expect("not empty"),
            expiry: None,
            days: *[None, Some(1), Some(3), Some(7)].choose(self.rng).expect("not empty"),
            receiver: None,
            place: PLACES.choose(self.rng).expect("not empty"),
            heads: Vec::new(),
            override_reason: "",
        };
        let stated = self.rng.random_bool(0.3).then(|| {
            let day = self.rng.random_range(-40..=40);
            EffectiveTime::stated(crate::host::START_MS + day * DAY_MS, 0, Precision::Day).expect("in range")
        });
        let written = match self.book.dispense(patient, &dispense, stated) {
            Err(Error::NeedsOverride { .. }) if self.rng.random_bool(0.7) => {
                dispense.override_reason = "nothing else is here";
                self.book.dispense(patient, &dispense, stated)?
            }
            other => other?,
        };
        self.wrote(&written)
    }

    /// Of the facts that this device knows, one of some kinds.
    fn known(&mut self, fits: impl Fn(FactKind) -> bool) -> Option<Named> {
        let fitting: Vec<&Named> = self.facts.iter().filter(|fact| fits(fact.kind)).collect();
        fitting.choose(self.rng).map(|fact| (*fact).clone())
    }

    fn take_back(&mut self) -> Told {
        let Some(fact) = self.known(|kind| !kind.is_stock()) else { return Ok(None) };
        let written = match fact.kind {
            FactKind::Dispense => self.book.reverse_dispense(&fact.code, "came back")?,
            _ => self.book.refute(&fact.code, "not so")?,
        };
        self.wrote(&written)
    }

    fn correct(&mut self) -> Told {
        let fits = |kind| matches!(kind, FactKind::Observation | FactKind::Note);
        let Some(fact) = self.known(fits) else { return Ok(None) };
        // People correct what they see.
        let patient = self.book.fact(&fact.code)?.patient.or(fact.patient).ok_or(Error::NoSuchPatient)?;
        match fact.kind {
            FactKind::Note => self.say(patient, Statement::Note { text: "seen at the door" }, vec![fact.id]),
            _ => self.observe(patient, vec![fact.id]),
        }
    }

    fn stock(&mut self) -> Told {
        let product = *PRODUCTS.choose(self.rng).expect("not empty");
        let lot = *LOTS.choose(self.rng).expect("not empty");
        let places: Vec<&str> = PLACES.sample(self.rng, 2).copied().collect();
        let quantity = Quantity::new(self.rng.random_range(1..=300), 0, "tablet").expect("in bounds");
        let written = match self.rng.random_range(0..3) {
            0 => self.book.stock_receive(product, lot, None, quantity, places[0])?,
            1 => self.book.stock_move(product, lot, None, quantity, places[0], places[1])?,
            _ => self.book.stock_count(product, lot, quantity, places[0])?,
        };
        self.wrote(&written)
    }

    fn resolve(&mut self) -> Told {
        let findings = self.book.findings(false)?;
        let Some(finding) = findings.choose(self.rng) else { return Ok(None) };
        Ok(Some(self.book.resolve_finding(&finding.id.to_hex(), "looked at")?.entries.len()))
    }
}

/// One register; birth and sex come often, so that people meet there.
fn setting(rng: &mut ChaCha20Rng) -> Setting<'static> {
    let cleared = rng.random_bool(0.1);
    let usage = (!cleared).then_some("home");
    match rng.random_range(0..8) {
        0..3 => {
            let dates = ["1943", "1943-03", "1943-03-17", "1950-06-01"];
            Setting::Birth(PartialDate::parse(dates.choose(rng).expect("not empty")).filter(|_| !cleared))
        }
        3..5 => Setting::Sex(Sex::ALL.choose(rng).copied().filter(|_| !cleared)),
        5 => {
            let (family, given) = *[("Müller", "Ana"), ("王", "小明")].choose(rng).expect("not empty");
            Setting::Name(Name { family, given: vec![given], text: "" }, usage)
        }
        6 => {
            let value = ["A-17", "A-18", "A-19"].choose(rng).expect("not empty");
            Setting::Identifier(Identifier { system: "tag", value }, usage)
        }
        _ => Setting::Telecom(Telecom { system: "phone", value: "555-0100" }, usage),
    }
}

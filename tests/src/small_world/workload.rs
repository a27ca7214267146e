//! What people do: few patients on purpose, so that they often write about the same.

use super::World;
use super::device::Place;
use daybook_core::clock::{DAY_MS, EffectiveTime, Precision};
use daybook_core::daybook::{Daybook, Error, FactView, Say, Written};
use daybook_core::id::PatientId;
use daybook_core::record::{
    Allergy, ClinicalStatus, Coded, Dispense, FactId, FactKind, Identifier, Name, Observation, PartialDate, Quantity,
    RXNORM, Setting, Sex, Statement, Telecom, Value, Verification,
};
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
    /// Somebody does something at a device. Returns how many entries are acknowledged.
    pub(super) fn act(&mut self, device: usize) -> Option<usize> {
        let Self { devices, rng, patients, facts, .. } = self;
        let mut people = People { book: devices[device].book(), rng, patients, facts };
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
            // It has not met anybody who told it of its grant.
            Err(Error::NoCompartment | Error::NoRight) if !self.knows_its_grant(device) => None,
            Err(error) => panic!("device {device} cannot write: {error}"),
        }
    }
}

impl World {
    fn knows_its_grant(&mut self, device: usize) -> bool {
        let control = self.keys.root.logs.values().next().expect("the root's control log");
        let last = control.entries.last().expect("not empty");
        self.devices[device].holds(&Place { log: control.log, seq: last.seq, id: last.id })
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

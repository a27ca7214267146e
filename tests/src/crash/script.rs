//! What a device does in a shift, step by step: registrations, edits, dispenses and their reversal, what another
//! device brought, making all views anew. The same for the same step and the same book before it.

use crate::host::{START_MS, SeededHost};
use crate::world::World;
use daybook_core::clock::{EffectiveTime, Host};
use daybook_core::crypto::DatabaseKey;
use daybook_core::daybook::{Daybook, Error, Membership, Purpose, Say};
use daybook_core::id::{Lane, PatientId};
use daybook_core::record::{
    Allergy, ClinicalStatus, Coded, Dispense, Fact, FactKind, Identifier, Operation, PartialDate, Quantity, Setting,
    Statement, Verification,
};
use daybook_core::roster::{CompartmentKind, Role};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Steps of the script.
pub const STEPS: usize = 50;

/// Entries that the other device brings in one step.
const BROUGHT: usize = 12;

/// Clock and randomness of the device: for each step its own, so that a step does the same again after a failure.
#[derive(Clone)]
struct StepHost(Arc<Mutex<SeededHost>>);

impl StepHost {
    fn begin(&self, step: usize) {
        let number = u64::try_from(step).unwrap_or(0);
        let now_ms = START_MS + i64::try_from(step).unwrap_or(0) * 60_000;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = SeededHost::new(1_000 + number).at(now_ms);
    }

    fn with<T>(&self, work: impl FnOnce(&mut SeededHost) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Host for StepHost {
    fn now_ms(&mut self) -> i64 {
        self.with(SeededHost::now_ms)
    }

    fn offset_minutes(&mut self) -> i16 {
        0
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        self.with(|host| host.fill(bytes));
    }
}

/// The shift of one device of an incident of two.
pub struct Script {
    key: DatabaseKey,
    membership: Membership,
    control: Vec<Vec<u8>>,
    theirs: Vec<Vec<u8>>,
}

/// The book of the device, open.
pub struct Shift<'a> {
    script: &'a Script,
    host: StepHost,
    /// The book.
    pub book: Daybook,
}

impl Script {
    /// The script; always the same.
    ///
    /// # Panics
    /// Never for this incident.
    #[must_use]
    pub fn new() -> Self {
        let mut world = Self::world();
        let mut theirs = Vec::new();
        for step in 0..STEPS / 10 {
            for number in 0..BROUGHT {
                let at = format!("2026-11-22T08:{:02}:{:02}Z", step % 60, number % 60);
                let effective = EffectiveTime::parse(&at, 0).expect("a time");
                let text = format!("seen by the other shift {}", "x".repeat(number * 97 % 900));
                let patient = PatientId::new([u8::try_from(number % 3).unwrap_or(0) + 1; 16]);
                let statement = Statement::Note { text: &text };
                let fact = Fact {
                    patient: Some(patient),
                    effective,
                    targets: Vec::new(),
                    import: None,
                    reason: "",
                    statement,
                };
                let note = Operation::Fact(fact).to_bytes();
                let now = START_MS + i64::try_from(step * 100 + number).unwrap_or(0);
                world.write(1, CompartmentKind::Clinical, Lane::Routine, &[note], now);
            }
            let log = world.authors[1].logs.values().next().expect("a log");
            theirs.push(log.run(step * BROUGHT, (step + 1) * BROUGHT));
        }
        Self {
            key: DatabaseKey::random(&mut SeededHost::new(8)),
            membership: world.membership(&world.authors[0].device),
            control: world.control_runs(),
            theirs,
        }
    }

    /// The incident of the script, before anybody but its root wrote.
    #[must_use]
    pub fn world() -> World {
        World::new(7, 2, Role::Clinician)
    }

    /// The key of the book.
    #[must_use]
    pub const fn key(&self) -> &DatabaseKey {
        &self.key
    }

    /// Makes the book as it is before the first step.
    ///
    /// # Errors
    /// What the book says.
    pub fn begin(&self, folder: &Path) -> Result<Shift<'_>, Error> {
        let host = StepHost(Arc::new(Mutex::new(SeededHost::new(9))));
        let mut book = Daybook::join_with_key(folder, &self.key, &self.membership, Box::new(host.clone()))?;
        book.take_runs(&self.control)?;
        book.post_all()?;
        Ok(Shift { script: self, host, book })
    }

    /// Opens the book.
    ///
    /// # Errors
    /// What the book says.
    pub fn open(&self, folder: &Path) -> Result<Shift<'_>, Error> {
        let host = StepHost(Arc::new(Mutex::new(SeededHost::new(10))));
        let book = Daybook::open_with_key(folder, &self.key, Box::new(host.clone()))?;
        Ok(Shift { script: self, host, book })
    }
}

impl Default for Script {
    fn default() -> Self {
        Self::new()
    }
}

impl Shift<'_> {
    /// Does a step; `Ok` acknowledges all of it.
    ///
    /// # Errors
    /// What the book says.
    pub fn step(&mut self, number: usize) -> Result<(), Error> {
        self.host.begin(number);
        match number % 10 {
            0 | 5 => self.register(number),
            1 => self.edit(number, 1_950),
            2 => self.note(number),
            3 => self.dispense(number),
            4 => self.allergy(number),
            6 => {
                let runs = self.script.theirs.get(number / 10).cloned();
                self.book.take_runs(runs.as_slice())?;
                self.book.post_all()
            }
            7 => self.reverse(number),
            8 => self.edit(number, 1_980),
            _ if number == 29 => self.book.rebuild(&mut |_, _| {}),
            _ => self.note(number),
        }
    }

    /// The patient that was registered last before a step.
    fn patient(&mut self, number: usize) -> Result<PatientId, Error> {
        self.book.resolve_patient(&format!("A-{}", number / 5 * 5))
    }

    fn register(&mut self, number: usize) -> Result<(), Error> {
        let value = format!("A-{number}");
        let tag = Setting::Identifier(Identifier { system: "tag", value: &value }, Some(""));
        self.book.add_patient(&[tag]).map(drop)
    }

    fn edit(&mut self, number: usize, year: u16) -> Result<(), Error> {
        let patient = self.patient(number)?;
        let birth = PartialDate::new(year + u16::try_from(number).unwrap_or(0), None, None);
        self.book.edit_patient(patient, &[Setting::Birth(birth)]).map(drop)
    }

    fn note(&mut self, number: usize) -> Result<(), Error> {
        let patient = self.patient(number)?;
        let text = format!("note {number} {}", "y".repeat(number * 61 % 1_500));
        let statement = Statement::Note { text: &text };
        self.book.say(Some(patient), Say { statement, effective: None, targets: Vec::new(), reason: "" }).map(drop)
    }

    fn dispense(&mut self, number: usize) -> Result<(), Error> {
        let patient = self.patient(number)?;
        let dispense = Dispense {
            product: Coded::text("Paracetamol 500 mg"),
            quantity: Quantity::parse("1", "box").ok(),
            lot: "L1",
            expiry: None,
            days: Some(3),
            receiver: None,
            place: "",
            heads: Vec::new(),
            override_reason: "a test",
        };
        self.book.dispense(patient, &dispense, None).map(drop)
    }

    fn allergy(&mut self, number: usize) -> Result<(), Error> {
        let patient = self.patient(number)?;
        let statement = Statement::Allergy(Allergy {
            substance: Coded::text("penicillin"),
            clinical: ClinicalStatus::Active,
            verification: Verification::Confirmed,
            criticality: None,
            category: "",
            reaction: "",
        });
        self.book.say(Some(patient), Say { statement, effective: None, targets: Vec::new(), reason: "" }).map(drop)
    }

    /// Takes back the dispense four steps before.
    fn reverse(&mut self, number: usize) -> Result<(), Error> {
        let patient = self.patient(number - 5)?;
        let chart = self.book.read_patient(patient, Purpose::Treatment)?;
        let dispense = chart.facts.iter().find(|fact| fact.kind == FactKind::Dispense);
        let code = dispense.map(|fact| fact.entry.0.clone()).unwrap_or_default();
        self.book.reverse_dispense(&code, "the wrong box").map(drop)
    }
}

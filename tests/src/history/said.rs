//! What authors say: facts of all kinds, registers, and when it happened.

use super::{Draft, FactNode, Generator, Node};
use crate::host::START_MS;
use crate::model::{finding_id, item, item_bytes};
use daybook_core::clock::{DAY_MS, EffectiveTime, Precision, TimeSource};
use daybook_core::id::{FindingId, ImportId, LogId, PatientId};
use daybook_core::record::{
    Address, Allergy, Cause, ClinicalStatus, Coded, Condition, Dispense, EntryRef, Fact, FactId, FactKind, Field,
    FindingKind, Given, Identifier, Immunization, NULL, Name, Observation, OpRef, Operation, PartialDate, Quantity,
    RXNORM, Setting, Sex, Statement, StockCount, StockMovement, Telecom, Value, Verification, WEIGHT,
};
use daybook_core::roster::CompartmentKind;
use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, BTreeSet};

const PLACES: [&str; 3] = ["main", "tent", "truck"];
const CODES: [Coded<'static>; 3] = [
    Coded { system: "http://loinc.org", code: WEIGHT, display: "weight" },
    Coded { system: "http://loinc.org", code: "8310-5", display: "temperature" },
    Coded::text("pain"),
];
const PRODUCTS: [Coded<'static>; 7] = [
    Coded { system: RXNORM, code: "1650143", display: "doxycycline hyclate 100 MG Oral Tablet" },
    Coded::text("Doxycycline 50 mg"),
    Coded { system: RXNORM, code: "309309", display: "ciprofloxacin 500 MG Oral Tablet" },
    Coded::text("Amoxicillin 500 mg"),
    Coded { system: "urn:local", code: "7", display: "oral rehydration salts" },
    Coded::text("ibuprofen 400 mg"),
    Coded::text("IBUPROFEN  400 mg"),
];
const SUBSTANCES: [(Coded<'static>, &str); 5] = [
    (Coded::text("penicillin"), "medication"),
    (Coded::text("Quinolones"), ""),
    (Coded::text("shellfish"), "food"),
    (Coded::text("sulfa drugs"), "medication"),
    (Coded::text("Ibuprofen"), ""),
];
const ITEMS: [(usize, &str); 4] = [(0, "L1"), (0, "L2"), (5, " L1"), (6, "L1")];

impl Generator {
    /// When something happened, as its author says.
    fn time(&mut self, mind: usize) -> EffectiveTime {
        let now = self.now_ms + self.minds[mind].off_ms;
        let day = |rng: &mut ChaCha20Rng, from: i64, to: i64| rng.random_range(from * DAY_MS..=to * DAY_MS);
        let rng = &mut self.rng;
        let (ms, precision, source) = match rng.random_range(0..100) {
            0..70 => (now, Precision::Millisecond, TimeSource::Clock),
            70..88 => (now - day(rng, 0, 20), Precision::Day, TimeSource::Stated),
            88..91 => (now + day(rng, 20, 400), Precision::Minute, TimeSource::Stated),
            91..95 => (now - day(rng, 0, 400), Precision::Month, TimeSource::Stated),
            _ => (now - day(rng, 0, 3), Precision::Second, TimeSource::Clock),
        };
        EffectiveTime { ms, offset_minutes: 0, precision, source }
    }

    fn known_facts(&self, mind: usize, fits: impl Fn(&FactNode) -> bool) -> Vec<usize> {
        (0..self.facts.len()).filter(|f| self.knows(mind, self.facts[*f].entry) && fits(&self.facts[*f])).collect()
    }

    /// Facts of one series that this copy of a device holds for current.
    fn current(&mut self, mind: usize, fits: impl Fn(&FactNode) -> bool) -> Vec<FactId> {
        let known = self.known_facts(mind, fits);
        let named: BTreeSet<FactId> = known.iter().flat_map(|f| self.facts[*f].names.clone()).collect();
        let mut ids: Vec<FactId> = known.iter().map(|f| self.facts[*f].id).filter(|id| !named.contains(id)).collect();
        ids.retain(|_| self.rng.random_bool(0.85));
        ids.sort_unstable();
        ids.dedup();
        ids.truncate(16);
        ids
    }

    /// One or two known facts of a kind, or of any.
    fn some_known(&mut self, mind: usize, patient: PatientId, kind: Option<FactKind>) -> Vec<FactId> {
        let known =
            self.known_facts(mind, |f| f.patient == Some(patient) && kind.is_none_or(|wanted| f.kind == wanted));
        let count = if self.rng.random_bool(0.2) { 2 } else { 1 };
        let mut ids: Vec<FactId> = known.sample(&mut self.rng, count).map(|f| self.facts[*f].id).collect();
        // An operation that its entry does not have.
        if self.rng.random_bool(0.03)
            && let Some(node) = self.facts.choose(&mut self.rng)
        {
            ids.push(FactId::Written(OpRef { index: 63, ..node.at }));
        }
        ids
    }

    pub(super) fn clinical_fact(&mut self, mind: usize, patient: PatientId) -> Draft {
        let effective = self.time(mind);
        let (mut targets, mut import) = (Vec::new(), None);
        let mut effective_of_import = None;
        let mut kind = match self.rng.random_range(0..100) {
            0..12 => FactKind::Allergy,
            12..16 => FactKind::NoKnownAllergies,
            16..28 => FactKind::Refutation,
            28..50 => FactKind::Observation,
            50..54 => FactKind::Condition,
            54..57 => FactKind::Immunization,
            57..75 => FactKind::Dispense,
            75..83 => FactKind::Reversal,
            83..87 => FactKind::Note,
            87..89 => FactKind::Deceased,
            89..93 => FactKind::Resolution,
            _ => return self.import_fact(mind, patient),
        };
        let takes_back = matches!(kind, FactKind::Refutation | FactKind::Reversal);
        if takes_back {
            let of =
                if kind == FactKind::Reversal && self.rng.random_bool(0.9) { Some(FactKind::Dispense) } else { None };
            targets = self.some_known(mind, patient, of);
            if targets.is_empty() {
                kind = FactKind::Observation;
            }
        } else if self.rng.random_bool(0.12) {
            let of = if self.rng.random_bool(0.9) { Some(kind) } else { None };
            targets = self.some_known(mind, patient, of);
        }
        let (series, statement) = self.statement(mind, patient, kind);
        // Two devices that name one import id with an own kind of fact, rarely.
        if self.rng.random_bool(0.01) {
            import = Some(import_id(&patient, "resource", 1));
            effective_of_import = Some(effective);
        }
        let fact = Fact {
            patient: Some(patient),
            effective: effective_of_import.unwrap_or(effective),
            targets,
            import,
            reason: "",
            statement,
        };
        said(&fact, series)
    }

    /// A fact that an import took from one of a few resources: the same on every device, or a little different.
    fn import_fact(&mut self, mind: usize, patient: PatientId) -> Draft {
        let number = self.rng.random_range(0..6_u8);
        let version = u8::from(self.rng.random_bool(0.2));
        let import = import_id(&patient, "resource", number);
        let ms = START_MS + i64::from(number) * DAY_MS;
        let effective = EffectiveTime { ms, offset_minutes: 0, precision: Precision::Day, source: TimeSource::Stated };
        let before = FactId::Imported(import_id(&patient, "resource", number.wrapping_sub(1)));
        let (series, statement) = match number {
            0..3 => {
                let known = !self.known_facts(mind, |f| f.id == before).is_empty();
                let mut observation = observation(0, 70 + u64::from(version));
                observation.seen = known.then_some(before).into_iter().collect();
                (0, Statement::Observation(observation))
            }
            3 => (0, Statement::Dispense(dispense(2, Some(7 + u16::from(version))))),
            4 => (0, Statement::Allergy(allergy(0, Verification::Confirmed))),
            _ => (0, Statement::Note { text: if version == 0 { "from a letter" } else { "from a letter, corrected" } }),
        };
        let mut fact = Fact {
            patient: Some(patient),
            effective,
            targets: Vec::new(),
            import: Some(import),
            reason: "",
            statement,
        };
        if self.rng.random_bool(0.2) {
            // The source took it back, which is a resource of its own; rarely two such resources name each other.
            let other = self.rng.random_bool(0.2);
            fact.import = Some(import_id(&patient, "taken back", number));
            let target = if other { import_id(&patient, "taken back", 5 - number) } else { import };
            fact.targets = vec![FactId::Imported(target)];
            fact.statement = Statement::Refutation;
        }
        said(&fact, series)
    }

    /// A statement of a kind about a patient, and its series.
    fn statement(&mut self, mind: usize, patient: PatientId, kind: FactKind) -> (usize, Statement<'static>) {
        let verifications = [Verification::Confirmed, Verification::Unconfirmed, Verification::Refuted];
        let statement = match kind {
            FactKind::Allergy => {
                let of = self.rng.random_range(0..SUBSTANCES.len());
                Statement::Allergy(allergy(of, *verifications.choose(&mut self.rng).expect("not empty")))
            }
            FactKind::NoKnownAllergies => Statement::NoKnownAllergies,
            FactKind::Refutation => Statement::Refutation,
            FactKind::Observation => {
                let code = self.rng.random_range(0..CODES.len());
                let mut observation = observation(code, self.rng.random_range(70..=72));
                observation.seen = self.current(mind, |f| {
                    f.kind == FactKind::Observation && f.patient == Some(patient) && f.series == code
                });
                if self.rng.random_bool(0.1) {
                    observation.earlier = true;
                    if self.rng.random_bool(0.8) {
                        observation.seen = Vec::new();
                    }
                }
                return (code, Statement::Observation(observation));
            }
            FactKind::Condition => Statement::Condition(Condition {
                code: Coded::text("asthma"),
                clinical: ClinicalStatus::Active,
                verification: Verification::Provisional,
            }),
            FactKind::Immunization => Statement::Immunization(Immunization {
                vaccine: Coded { system: "http://hl7.org/fhir/sid/cvx", code: "140", display: "influenza" },
                given: Given::Completed,
                dose: None,
                lot: "",
                expiry: None,
                site: "",
            }),
            FactKind::Dispense => {
                let days = *[None, Some(1), Some(3), Some(10), Some(30)].choose(&mut self.rng).expect("not empty");
                Statement::Dispense(dispense(self.rng.random_range(0..PRODUCTS.len()), days))
            }
            FactKind::Reversal => Statement::Reversal,
            FactKind::Note => Statement::Note { text: "seen at the gate" },
            FactKind::Deceased => Statement::Deceased,
            FactKind::StockMovement | FactKind::StockCount | FactKind::Resolution => {
                Statement::Resolution { findings: self.findings_to_resolve(mind, patient) }
            }
        };
        (0, statement)
    }

    /// Ids of findings that may be there: a pair of dispenses, a conflict, birth dates.
    fn findings_to_resolve(&mut self, mind: usize, patient: PatientId) -> Vec<FindingId> {
        let of_kind = |kind| self.known_facts(mind, move |f| f.patient == Some(patient) && f.kind == kind);
        let (dispenses, allergies) = (of_kind(FactKind::Dispense), of_kind(FactKind::Allergy));
        let mut findings = Vec::new();
        for _ in 0..4 {
            let [a, b, c] = [&dispenses, &dispenses, &allergies].map(|of| of.choose(&mut self.rng));
            let [a, b, c] = [a, b, c].map(|f| f.map(|f| self.facts[*f].id.to_bytes()));
            if let (Some(a), Some(b)) = (&a, b) {
                findings.push(finding_id(FindingKind::DuplicateDispense, vec![a.clone(), b]));
            }
            if let (Some(a), Some(c)) = (a, c) {
                findings.push(finding_id(FindingKind::AllergyConflict, vec![a.clone(), c.clone()]));
                findings.push(finding_id(FindingKind::AllergyNotChecked, vec![a, c]));
            }
        }
        findings.push(finding_id(
            FindingKind::ConcurrentValues,
            vec![patient.as_bytes().to_vec(), vec![Field::Birth.number()]],
        ));
        findings.sort_unstable();
        findings.dedup();
        findings
    }

    pub(super) fn supply_fact(&mut self, mind: usize) -> Draft {
        let effective = self.time(mind);
        let number = self.rng.random_range(0..ITEMS.len());
        let (product, lot) = (PRODUCTS[ITEMS[number].0], ITEMS[number].1);
        let key = item(&product, lot);
        // Items that are spelled differently and are the same are one series.
        let series = ITEMS.iter().position(|(p, l)| item(&PRODUCTS[*p], l) == key).unwrap_or(number);
        let place = *PLACES.choose(&mut self.rng).expect("not empty");
        let tenths = self.rng.random_range(1..=2_000);
        let mut targets = Vec::new();
        let statement = match self.rng.random_range(0..100) {
            0..6 => {
                let about = vec![item_bytes((&key.0, &key.1)), place.as_bytes().to_vec()];
                Statement::Resolution { findings: vec![finding_id(FindingKind::StockNegative, about)] }
            }
            6..30 => {
                let tenths = if self.rng.random_bool(0.1) { 0 } else { tenths };
                let seen = self
                    .current(mind, |f| f.kind == FactKind::StockCount && f.series == series && f.places[0] == place);
                let quantity = Quantity::counted(tenths, 1, "tablet").expect("in bounds");
                let after = self.newest_movements(mind, series, place);
                Statement::StockCount(StockCount { product, lot, quantity, place, after, seen })
            }
            _ => {
                let other = *PLACES.choose(&mut self.rng).expect("not empty");
                let (from, to, cause) = match self.rng.random_range(0..4) {
                    0 => ("", place, Cause::Receive),
                    1 => (place, other, Cause::Move),
                    2 => (place, "", Cause::Dispense),
                    _ => (place, "", Cause::Loss),
                };
                let expiry = *["", "2027-03", "2028"].choose(&mut self.rng).expect("not empty");
                Statement::StockMovement(StockMovement {
                    product,
                    lot,
                    expiry: PartialDate::parse(expiry),
                    quantity: Quantity::new(tenths, 1, "tablet").expect("in bounds"),
                    from,
                    to,
                    cause,
                })
            }
        };
        if statement.kind().is_stock() && self.rng.random_bool(0.1) {
            let known = self.known_facts(mind, |f| f.kind.is_stock() && f.series == series);
            targets.extend(known.choose(&mut self.rng).map(|f| self.facts[*f].id));
        }
        let fact = Fact { patient: None, effective, targets, import: None, reason: "", statement };
        said(&fact, series)
    }

    /// The newest movement of an item at a place for each chain that this copy of a device knows.
    fn newest_movements(&mut self, mind: usize, series: usize, place: &str) -> Vec<FactId> {
        let known = self.known_facts(mind, |f| {
            f.kind == FactKind::StockMovement && f.series == series && f.places.contains(&place)
        });
        let newest =
            |f: &&usize| !known.iter().any(|later| self.chained(self.facts[**f].entry, self.facts[*later].entry));
        let mut ids: Vec<FactId> = known.iter().filter(newest).map(|f| self.facts[*f].id).collect();
        ids.retain(|_| self.rng.random_bool(0.9));
        ids.truncate(64);
        ids
    }
}

/// A fact as an operation to be written.
fn said(fact: &Fact<'static>, series: usize) -> Draft {
    let operation = Operation::Fact(fact.clone());
    let stock = fact.patient.is_none();
    let (places, names) = match &fact.statement {
        Statement::StockMovement(m) => ([m.from, m.to], Vec::new()),
        Statement::StockCount(c) => ([c.place, ""], c.seen.clone()),
        Statement::Observation(o) => (["", ""], o.seen.clone()),
        _ => (["", ""], Vec::new()),
    };
    let nowhere = OpRef { entry: EntryRef { log: LogId::ZERO, seq: 1, prefix: [0; 16] }, index: 0 };
    let node = FactNode {
        entry: 0,
        id: fact.import.map_or(FactId::Written(nowhere), FactId::Imported),
        at: nowhere,
        patient: fact.patient,
        kind: fact.statement.kind(),
        series,
        places,
        names,
    };
    Draft {
        kind: if stock { CompartmentKind::Supply } else { CompartmentKind::Clinical },
        lane: operation.lane(),
        bytes: operation.to_bytes(),
        node: Node::Fact(node),
    }
}

/// The id of a resource of a patient's source.
pub(super) fn import_id(patient: &PatientId, what: &str, number: u8) -> ImportId {
    let hash = blake3::hash(&[patient.as_bytes(), what.as_bytes(), &[number]].concat());
    ImportId::new(*hash.as_bytes().first_chunk().expect("32 bytes"))
}

fn allergy(of: usize, verification: Verification) -> Allergy<'static> {
    let (substance, category) = SUBSTANCES[of];
    Allergy { substance, clinical: ClinicalStatus::Active, verification, criticality: None, category, reaction: "" }
}

fn observation(code: usize, number: u64) -> Observation<'static> {
    let value = match code {
        0 => Value::Quantity(Quantity::new(number, 0, "kg").expect("in bounds")),
        1 => Value::Quantity(Quantity::new(number * 5, 1, "Cel").expect("in bounds")),
        _ => Value::Bool(number.is_multiple_of(2)),
    };
    Observation { code: CODES[code], value: Some(value), components: Vec::new(), seen: Vec::new(), earlier: false }
}

fn dispense(product: usize, days: Option<u16>) -> Dispense<'static> {
    Dispense {
        product: PRODUCTS[product],
        quantity: Quantity::new(20, 0, "tablet").ok(),
        lot: "L1",
        expiry: None,
        days,
        receiver: None,
        place: "",
        heads: Vec::new(),
        override_reason: "",
    }
}

/// One to three registers; birth and sex come often, so that authors meet there.
pub(super) fn registers(rng: &mut ChaCha20Rng, patients: &[PatientId]) -> BTreeMap<(Field, Vec<u8>), Vec<u8>> {
    let mut registers = BTreeMap::new();
    for _ in 0..rng.random_range(1..=3) {
        let cleared = rng.random_bool(0.2);
        let usage = (!cleared).then_some(*["", "home", "official"].choose(rng).expect("not empty"));
        let setting = match rng.random_range(0..12) {
            0..3 => {
                let dates = ["1943", "1943-03", "1943-03-17", "1950", "1950-06-01"];
                Setting::Birth(PartialDate::parse(dates.choose(rng).expect("not empty")).filter(|_| !cleared))
            }
            3..6 => Setting::Sex(Sex::ALL.choose(rng).copied().filter(|_| !cleared)),
            6 => {
                let names = [("Müller", "Ana"), ("王", "小明"), ("Miller", "Anna")];
                let (family, given) = *names.choose(rng).expect("not empty");
                Setting::Name(Name { family, given: vec![given], text: "" }, usage)
            }
            7 => {
                let value = ["A-17", "A-18", " A-17 "].choose(rng).expect("not empty");
                Setting::Identifier(Identifier { system: "tag", value }, usage)
            }
            8 => Setting::Telecom(Telecom { system: "phone", value: "555-0100" }, usage),
            9 => Setting::Address(Address { lines: vec!["1 Main St"], city: "Bloom", ..Address::default() }, usage),
            10 => Setting::Household(*patients.choose(rng).expect("not empty"), usage),
            _ => Setting::Language("ar", usage),
        };
        let (key, value) = setting.to_bytes();
        assert_eq!(cleared, value == NULL);
        registers.insert((setting.field(), key), value);
    }
    registers
}

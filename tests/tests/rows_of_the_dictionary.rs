//! One test for each row of the data dictionary (domain.md 2.6) that exists in this version: what two or three
//! people write without knowledge of each other comes to what a clinician expects, in whatever order it comes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::clock::{DAY_MS, EffectiveTime, Precision, TimeSource};
use daybook_core::crypto::DeviceSecret;
use daybook_core::daybook::{AllergyStatus, Chart, Daybook, Purpose, Say};
use daybook_core::id::{Lane, PatientId};
use daybook_core::record::{
    Address, Allergy, Cause, ClinicalStatus, Coded, Condition, Dispense, Edit, EntryRef, Fact, FactId, FactKind, Field,
    FindingKind, Given, Identifier, Immunization, Name, Observation, OpRef, Operation, PartialDate, Quantity, Register,
    Setting, Sex, Standing, Statement, StockCount, StockMovement, Telecom, Value, Verification, WEIGHT,
};
use daybook_core::roster::{CompartmentKind, Role};
use daybook_tests::history::{Replica, scratch};
use daybook_tests::host::SeededHost;
use daybook_tests::world::World;
use std::path::Path;

const ANA: usize = 0;
const BEN: usize = 1;
const CLEO: usize = 2;
const PATIENT: PatientId = PatientId::new([7; 16]);

/// Three clinicians, each with a device that writes without having met the others.
struct Scene {
    world: World,
    minute: i64,
}

impl Scene {
    fn new() -> Self {
        Self { world: World::new(26, 3, Role::Clinician), minute: 0 }
    }

    /// Every entry is written a minute after the one before, by clocks that agree.
    fn now_ms(&mut self) -> i64 {
        self.minute += 1;
        World::start_ms() + self.minute * 60_000
    }

    fn edit_of(&mut self, author: usize, patient: PatientId, saw: &[EntryRef], settings: &[Setting<'_>]) -> EntryRef {
        let bytes: Vec<_> = settings.iter().map(|setting| (setting.field(), setting.to_bytes())).collect();
        let registers = bytes.iter().map(|(field, (key, value))| Register { field: *field, key, value }).collect();
        let edit = Operation::Edit(Edit { patient, parents: saw.to_vec(), registers, import: None });
        let now_ms = self.now_ms();
        self.world.write(author, CompartmentKind::Clinical, Lane::Safety, &[edit.to_bytes()], now_ms)
    }

    /// Sets registers of the patient, having seen some edits.
    fn edit(&mut self, author: usize, saw: &[EntryRef], settings: &[Setting<'_>]) -> EntryRef {
        self.edit_of(author, PATIENT, saw, settings)
    }

    fn write(&mut self, author: usize, fact: &Fact<'_>) -> FactId {
        let kind = if fact.patient.is_some() { CompartmentKind::Clinical } else { CompartmentKind::Supply };
        let operation = Operation::Fact(fact.clone());
        let now_ms = self.now_ms();
        let entry = self.world.write(author, kind, operation.lane(), &[operation.to_bytes()], now_ms);
        FactId::Written(OpRef { entry, index: 0 })
    }

    /// Says something about the patient now.
    fn say(&mut self, author: usize, statement: Statement<'_>) -> FactId {
        self.say_of(author, &[], statement)
    }

    /// Says something about the patient that names other facts.
    fn say_of(&mut self, author: usize, targets: &[FactId], statement: Statement<'_>) -> FactId {
        let ms = World::start_ms() + self.minute * 60_000;
        let now = EffectiveTime { ms, offset_minutes: 0, precision: Precision::Millisecond, source: TimeSource::Clock };
        self.say_at(author, now, targets, statement)
    }

    fn say_at(&mut self, author: usize, effective: EffectiveTime, to: &[FactId], statement: Statement<'_>) -> FactId {
        let (patient, targets) = ((!statement.kind().is_stock()).then_some(PATIENT), to.to_vec());
        self.write(author, &Fact { patient, effective, targets, import: None, reason: "", statement })
    }

    /// Lets a book take everything in, in one order and in the other, and looks at both.
    fn in_both_orders(&self, look: impl Fn(&mut Daybook)) {
        let mut runs = self.world.control_runs();
        runs.extend(self.world.authors.iter().flat_map(|a| a.logs.values()).flat_map(|log| log.runs(64)));
        let folder = tempfile::tempdir_in(scratch()).unwrap();
        let mut digests = Vec::new();
        for order in 0..2 {
            let mut book = Replica::join(&self.world, &folder.path().join(order.to_string()), order);
            for run in &runs {
                book.book().take_runs(std::slice::from_ref(run)).unwrap();
                book.book().post_all().unwrap();
            }
            look(book.book());
            digests.push(book.digest());
            runs.reverse();
        }
        assert_eq!(digests[0], digests[1]);
    }

    /// As [`Scene::in_both_orders`], looking at the patient's record.
    fn chart_in_both_orders(&self, look: impl Fn(&Chart)) {
        self.in_both_orders(|book| look(&chart(book)));
    }
}

fn chart(book: &mut Daybook) -> Chart {
    book.read_patient(PATIENT, Purpose::Treatment).unwrap()
}

/// Values that the registers of a field show, in words.
fn shown(chart: &Chart, field: Field) -> Vec<&str> {
    chart.registers.iter().filter(|r| r.field == field).map(|r| r.text.as_str()).collect()
}

/// Kinds of open findings.
fn raised(chart: &Chart) -> Vec<FindingKind> {
    chart.findings.iter().filter(|finding| finding.resolved.is_none()).map(|finding| finding.kind).collect()
}

/// Standings of the facts of a kind, oldest first.
fn standings(chart: &Chart, kind: FactKind) -> Vec<Standing> {
    chart.facts.iter().rev().filter(|fact| fact.kind == kind).map(|fact| fact.standing).collect()
}

fn birth(text: &str) -> Setting<'_> {
    Setting::Birth(Some(PartialDate::parse(text).unwrap()))
}

fn tag(value: &str) -> Identifier<'_> {
    Identifier { system: "tag", value }
}

fn penicillin() -> Statement<'static> {
    Statement::Allergy(Allergy {
        substance: Coded::text("penicillin"),
        clinical: ClinicalStatus::Active,
        verification: Verification::Confirmed,
        criticality: None,
        category: "medication",
        reaction: "",
    })
}

fn amoxicillin(days: u16) -> Statement<'static> {
    Statement::Dispense(Dispense {
        product: Coded::text("Amoxicillin 500 mg"),
        quantity: Quantity::parse("20", "capsule").ok(),
        lot: "L1",
        expiry: None,
        days: Some(days),
        receiver: None,
        place: "",
        heads: vec![],
        override_reason: "",
    })
}

fn weight(kilograms: &'static str, seen: &[FactId], earlier: bool) -> Statement<'static> {
    Statement::Observation(Observation {
        code: Coded { system: "http://loinc.org", code: WEIGHT, display: "weight" },
        value: Some(Value::Quantity(Quantity::parse(kilograms, "kg").unwrap())),
        components: vec![],
        seen: seen.to_vec(),
        earlier,
    })
}

fn days_ago(days: i64) -> EffectiveTime {
    EffectiveTime::stated(World::start_ms() - days * DAY_MS, 0, Precision::Minute).unwrap()
}

fn of_lot(quantity: &'static str, from: &'static str, to: &'static str, cause: Cause) -> Statement<'static> {
    Statement::StockMovement(StockMovement {
        product: Coded::text("Amoxicillin 500 mg"),
        lot: "L1",
        expiry: None,
        quantity: Quantity::parse(quantity, "capsule").unwrap(),
        from,
        to,
        cause,
    })
}

fn counted(quantity: &'static str, after: &[FactId], seen: &[FactId]) -> Statement<'static> {
    Statement::StockCount(StockCount {
        product: Coded::text("Amoxicillin 500 mg"),
        lot: "L1",
        quantity: Quantity::parse_counted(quantity, "capsule").unwrap(),
        place: "main",
        after: after.to_vec(),
        seen: seen.to_vec(),
    })
}

/// On hand of the only line of stock, whole units.
fn on_hand(book: &mut Daybook) -> i64 {
    let lines = book.stock().unwrap();
    assert_eq!(lines.len(), 1);
    lines[0].on_hand_micros / 1_000_000
}

fn stock_findings(book: &mut Daybook) -> Vec<FindingKind> {
    book.findings(false).unwrap().iter().map(|finding| finding.kind).collect()
}

/// A member's own book, which knows the incident's control log.
fn own_book(world: &World, device: &DeviceSecret, folder: &Path, seed: u64) -> Daybook {
    let host = Box::new(SeededHost::new(seed));
    let mut book = Daybook::join(folder, b"pass", &world.membership(device), host).unwrap();
    book.take_runs(&world.control_runs()).unwrap();
    book.post_all().unwrap();
    book
}

fn hand_over(from: &mut Daybook, to: &mut Daybook) {
    let mut file = Vec::new();
    from.export_log(&mut file).unwrap();
    to.ingest(&mut file.as_slice(), &mut |_| {}).unwrap();
}

#[test]
fn person_id() {
    let world = World::new(1, 2, Role::Clinician);
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let [mut ana, mut ben] = [ANA, BEN].map(|author| {
        let path = folder.path().join(author.to_string());
        own_book(&world, &world.authors[author].device, &path, 100 + author as u64)
    });
    // The same words at the same time, on two devices that never met and asked no server for a number.
    let name = [Setting::Name(Name { family: "Doe", given: vec!["Jo"], text: "" }, Some("usual")), birth("1980")];
    let of_ana = ana.add_patient(&name).unwrap().value;
    let of_ben = ben.add_patient(&name).unwrap().value;
    assert_ne!(of_ana, of_ben);
    hand_over(&mut ana, &mut ben);
    hand_over(&mut ben, &mut ana);
    for book in [&mut ana, &mut ben] {
        // An id never changes, whoever edits the record, and nothing makes one person of two.
        book.edit_patient(of_ana, &[Setting::Sex(Some(Sex::Female))]).unwrap();
        let found: Vec<PatientId> = book.find("doe", 10).unwrap().iter().map(|line| line.patient).collect();
        assert_eq!(found.len(), 2);
        assert!(found.contains(&of_ana) && found.contains(&of_ben));
    }
}

#[test]
fn person_identifiers() {
    let mut scene = Scene::new();
    let first = scene.edit(ANA, &[], &[Setting::Identifier(tag("A-1"), Some(""))]);
    // A lost card gets a second one, while another desk confirms the first.
    scene.edit(BEN, &[first], &[Setting::Identifier(tag("A-1"), None), Setting::Identifier(tag("A-2"), Some(""))]);
    scene.edit(CLEO, &[first], &[Setting::Identifier(tag("A-1"), Some(""))]);
    scene.in_both_orders(|book| {
        assert_eq!(shown(&chart(book), Field::Identifier), ["tag|A-1", "tag|A-2"], "present wins over withdrawn");
        assert_eq!([book.resolve_patient("A-1"), book.resolve_patient("A-2")].map(Result::unwrap), [PATIENT; 2]);
    });
    // Two patients with one card are two, and somebody must look.
    scene.edit_of(CLEO, PatientId::new([8; 16]), &[], &[Setting::Identifier(tag("A-2"), Some(""))]);
    scene.chart_in_both_orders(|chart| assert_eq!(raised(chart), [FindingKind::PossiblySamePerson]));
}

#[test]
fn person_identifiers_withdrawn_by_who_saw_them() {
    let mut scene = Scene::new();
    let first = scene.edit(ANA, &[], &[Setting::Identifier(tag("A-1"), Some("")), birth("1980")]);
    scene.edit(BEN, &[first], &[Setting::Identifier(tag("A-1"), None)]);
    scene.in_both_orders(|book| {
        assert!(shown(&chart(book), Field::Identifier).is_empty());
        assert!(book.resolve_patient("A-1").is_err());
    });
}

#[test]
fn person_name() {
    let mut scene = Scene::new();
    let name = |family, given, usage| Setting::Name(Name { family, given: vec![given], text: "" }, usage);
    let first = scene.edit(ANA, &[], &[name("Müller", "Ana", Some("official"))]);
    // Two other spellings at once; the first stays searchable and is shown, since it is the official one.
    scene.edit(BEN, &[first], &[name("Mueller", "Ana", Some("usual"))]);
    scene.edit(CLEO, &[first], &[name("ミュラー", "アナ", Some("alias"))]);
    scene.in_both_orders(|book| {
        let chart = chart(book);
        assert_eq!(shown(&chart, Field::Name).len(), 3);
        assert_eq!(chart.summary.name, "Müller, Ana");
        for text in ["müller", "muelle", "ミュラー"] {
            assert_eq!(book.find(text, 10).unwrap().len(), 1, "{text}");
        }
    });
    // The use of a name is the value of its register: two that were said at once stand beside each other.
    let mut scene = Scene::new();
    scene.edit(ANA, &[], &[name("Müller", "Ana", Some("official"))]);
    scene.edit(BEN, &[], &[name("Müller", "Ana", Some("old"))]);
    scene.chart_in_both_orders(|chart| {
        assert_eq!(shown(chart, Field::Name), ["Müller, Ana (old)", "Müller, Ana (official)"]);
        assert_eq!(chart.summary.name, "Müller, Ana");
    });
}

#[test]
fn person_birth() {
    let mut scene = Scene::new();
    scene.edit(ANA, &[], &[birth("1943")]);
    let exact = scene.edit(BEN, &[], &[birth("1943-03-17")]);
    scene.chart_in_both_orders(|chart| {
        assert_eq!(shown(chart, Field::Birth), ["1943", "1943-03-17"], "both are kept");
        assert_eq!(chart.summary.birth, PartialDate::parse("1943-03-17"), "more precise wins when compatible");
        assert_eq!(raised(chart), []);
    });
    scene.edit(CLEO, &[], &[birth("1944")]);
    scene.chart_in_both_orders(|chart| {
        assert_eq!(shown(chart, Field::Birth), ["1943", "1944", "1943-03-17"], "never silently overwritten");
        assert!(chart.registers.iter().all(|value| value.concurrent));
        assert_eq!(raised(chart), [FindingKind::ConcurrentValues]);
    });
    let seen: Vec<EntryRef> =
        scene.world.authors.iter().flat_map(|a| a.logs.values()).filter_map(|log| log.reference(1)).collect();
    assert!(seen.contains(&exact) && seen.len() == 3);
    scene.edit(ANA, &seen, &[birth("1944-02-01")]);
    scene.chart_in_both_orders(|chart| {
        assert_eq!(shown(chart, Field::Birth), ["1944-02-01"], "who saw all settles it");
        assert_eq!(raised(chart), []);
    });
}

#[test]
fn person_sex() {
    let mut scene = Scene::new();
    scene.edit(ANA, &[], &[Setting::Sex(Some(Sex::Unknown))]);
    scene.edit(BEN, &[], &[Setting::Sex(Some(Sex::Female))]);
    scene.chart_in_both_orders(|chart| {
        assert_eq!(chart.summary.sex, Some(Sex::Female), "`unknown` loses to known");
        assert_eq!(shown(chart, Field::Sex).len(), 2);
        assert_eq!(raised(chart), []);
    });
    scene.edit(CLEO, &[], &[Setting::Sex(Some(Sex::Male))]);
    scene.chart_in_both_orders(|chart| {
        assert_eq!(shown(chart, Field::Sex), ["unknown", "male", "female"]);
        assert_eq!(raised(chart), [FindingKind::ConcurrentValues]);
    });
}

#[test]
fn person_phone_and_address() {
    let mut scene = Scene::new();
    let phone = |value, usage| Setting::Telecom(Telecom { system: "phone", value }, usage);
    let address = |city| Setting::Address(Address { city, ..Address::default() }, Some("home"));
    let first = scene.edit(ANA, &[], &[phone("555-0100", Some("home")), address("Bloom")]);
    let old = phone("555-0100", Some("old"));
    scene.edit(BEN, &[first], &[old, phone("555-0101", Some("mobile")), address("Salem")]);
    scene.edit(CLEO, &[first], &[phone("555-0100", Some("work"))]);
    scene.in_both_orders(|book| {
        let chart = chart(book);
        let union = ["555-0100 (old)", "555-0100 (work)", "555-0101 (mobile)"];
        assert_eq!(shown(&chart, Field::Telecom), union, "each number by its line, said twice at once");
        assert_eq!(shown(&chart, Field::Address), ["Bloom (home)", "Salem (home)"]);
        assert_eq!(book.find("555-0101", 10).unwrap().len(), 1);
    });
}

#[test]
fn person_deceased() {
    let mut scene = Scene::new();
    scene.edit(ANA, &[], &[birth("1943")]);
    let death = scene.say(ANA, Statement::Deceased);
    scene.chart_in_both_orders(|chart| assert!(chart.summary.deceased));
    scene.say_of(BEN, &[death], Statement::Refutation);
    scene.chart_in_both_orders(|chart| {
        assert!(!chart.summary.deceased, "retracted");
        assert_eq!(standings(chart, FactKind::Deceased), [Standing::Refuted], "and still to be read");
    });
    scene.say(CLEO, Statement::Deceased);
    scene.chart_in_both_orders(|chart| {
        assert!(chart.summary.deceased, "what the retraction did not name stands");
        assert_eq!(standings(chart, FactKind::Deceased), [Standing::Refuted, Standing::Stands]);
    });
}

#[test]
fn household_members() {
    let mut scene = Scene::new();
    let household = PatientId::new([9; 16]);
    let member = |role| Setting::Household(household, role);
    let first = scene.edit(ANA, &[], &[member(Some("member"))]);
    // One desk takes the patient out of the household while another confirms a role in it.
    scene.edit(BEN, &[first], &[member(None)]);
    scene.chart_in_both_orders(|chart| assert!(shown(chart, Field::Household).is_empty()));
    scene.edit(CLEO, &[first], &[member(Some("child")), Setting::Household(PATIENT, Some("head"))]);
    scene.chart_in_both_orders(|chart| {
        let expected = [format!("{} (head)", PATIENT.code()), format!("{} (child)", household.code())];
        assert_eq!(shown(chart, Field::Household), expected, "present wins; households are a union");
    });
}

#[test]
fn allergy() {
    let mut scene = Scene::new();
    let first = scene.say(ANA, penicillin());
    let refutation = scene.say_of(BEN, &[first], Statement::Refutation);
    scene.chart_in_both_orders(|chart| assert_eq!(chart.allergy_status, AllergyStatus::NotAsked));
    // Cleo, who knows of neither, adds it again and dispenses.
    scene.say(CLEO, penicillin());
    scene.say(CLEO, amoxicillin(10));
    scene.chart_in_both_orders(|chart| {
        assert_eq!(chart.allergy_status, AllergyStatus::Allergic, "concurrent add and refute: still allergic");
        assert_eq!(standings(chart, FactKind::Allergy), [Standing::Refuted, Standing::Stands], "both are shown");
        assert_eq!(raised(chart), [FindingKind::AllergyConflict]);
    });
    // A refutation that is itself refuted has no effect: the first allergy never disappeared.
    scene.say_of(ANA, &[refutation], Statement::Refutation);
    scene.chart_in_both_orders(|chart| {
        assert_eq!(standings(chart, FactKind::Allergy), [Standing::Stands, Standing::Stands]);
        assert_eq!(raised(chart), [FindingKind::AllergyConflict, FindingKind::AllergyConflict]);
    });
}

#[test]
fn no_known_allergies() {
    let mut scene = Scene::new();
    scene.say(ANA, Statement::NoKnownAllergies);
    scene.chart_in_both_orders(|chart| assert_eq!(chart.allergy_status, AllergyStatus::NoneKnown));
    let concurrent = scene.say(BEN, penicillin());
    scene.chart_in_both_orders(|chart| assert_eq!(chart.allergy_status, AllergyStatus::Allergic));
    scene.say_of(CLEO, &[concurrent], Statement::Refutation);
    scene.chart_in_both_orders(|chart| {
        assert_eq!(chart.allergy_status, AllergyStatus::NoneKnown, "shown only while no allergy is unrefuted");
        assert_eq!(standings(chart, FactKind::Allergy), [Standing::Refuted]);
    });
}

#[test]
fn observation() {
    let mut scene = Scene::new();
    let current = scene.say_at(ANA, days_ago(1), &[], weight("70", &[], false));
    // Ben writes down last month's weight from a letter; he saw the one of yesterday.
    scene.say_at(BEN, days_ago(30), &[], weight("82", &[], true));
    scene.chart_in_both_orders(|chart| {
        assert_eq!(standings(chart, FactKind::Observation), [Standing::Stands, Standing::Stands], "superseded nothing");
        let newest = chart.facts.first().unwrap();
        assert_eq!(newest.id, current, "a late-arriving old weight is not current");
        assert_eq!(raised(chart), [], "what is stated for earlier contradicts nothing");
    });
    // Cleo weighs without having met anybody: neither weight is lost.
    let beside = scene.say(CLEO, weight("74", &[], false));
    scene.chart_in_both_orders(|chart| {
        assert_eq!(chart.facts.first().unwrap().id, beside, "by effective time, not by arrival");
        assert_eq!(raised(chart), [FindingKind::ConcurrentValues]);
    });
    scene.say(BEN, weight("73", &[current, beside], false));
    scene.chart_in_both_orders(|chart| {
        assert_eq!(raised(chart), []);
        let superseded = chart.facts.iter().filter(|fact| fact.standing == Standing::Superseded);
        assert_eq!(superseded.count(), 2);
    });
}

#[test]
fn observation_of_an_earlier_time_as_the_book_writes_it() {
    let mut scene = Scene::new();
    scene.edit(ANA, &[], &[birth("1980")]);
    scene.say_at(ANA, days_ago(1), &[], weight("70", &[], false));
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let world = &scene.world;
    let mut book = own_book(world, &world.authors[BEN].device, &folder.path().join("ben"), 5);
    let logs = world.authors.iter().flat_map(|a| a.logs.values());
    book.take_runs(&logs.flat_map(|log| log.runs(64)).collect::<Vec<_>>()).unwrap();
    book.post_all().unwrap();
    let say = |effective, kilograms| Say {
        statement: weight(kilograms, &[], false),
        effective: Some(effective),
        targets: vec![],
        reason: "",
    };
    let old = book.say(Some(PATIENT), say(days_ago(30), "82")).unwrap().value;
    assert!(matches!(old.fact().unwrap().statement, Statement::Observation(Observation { earlier: true, .. })));
    let newer = book.say(Some(PATIENT), say(days_ago(0), "71")).unwrap().value;
    let standing = |chart: &Chart, id| chart.facts.iter().find(|fact| fact.id == id).unwrap().standing;
    let chart = chart(&mut book);
    assert_eq!((standing(&chart, old.id), standing(&chart, newer.id)), (Standing::Stands, Standing::Stands));
    assert_eq!(standings(&chart, FactKind::Observation)[1], Standing::Superseded, "the one of yesterday");
    assert_eq!(chart.facts.first().unwrap().id, newer.id);
    assert_eq!(raised(&chart), []);
}

#[test]
fn condition() {
    let mut scene = Scene::new();
    let condition = |verification| {
        Statement::Condition(Condition {
            code: Coded::text("anthrax, inhalational"),
            clinical: ClinicalStatus::Active,
            verification,
        })
    };
    let first = scene.say(ANA, condition(Verification::Provisional));
    // Confirmed by one, called unlikely by another: both are shown, and what they correct stays to be read.
    let confirmed = scene.say_of(BEN, &[first], condition(Verification::Confirmed));
    let doubted = scene.say_of(CLEO, &[first], condition(Verification::Differential));
    scene.chart_in_both_orders(|chart| {
        let all = [Standing::Corrected, Standing::Stands, Standing::Stands];
        assert_eq!(standings(chart, FactKind::Condition), all);
    });
    scene.say_of(ANA, &[doubted], Statement::Refutation);
    scene.chart_in_both_orders(|chart| {
        let standing: Vec<_> = chart.facts.iter().filter(|f| f.standing == Standing::Stands).map(|f| f.id).collect();
        assert!(standing.contains(&confirmed) && !standing.contains(&doubted) && !standing.contains(&first));
    });
}

#[test]
fn dispense() {
    let mut scene = Scene::new();
    let first = scene.say(ANA, amoxicillin(10));
    let second = scene.say(BEN, amoxicillin(10));
    scene.chart_in_both_orders(|chart| {
        assert_eq!(standings(chart, FactKind::Dispense), [Standing::Stands; 2], "both bottles left the table");
        assert_eq!(raised(chart), [FindingKind::DuplicateDispense], "one finding for the pair");
        assert_eq!(chart.findings[0].entries.len(), 2);
    });
    // Both desks call back the second bottle: it is reversed, once.
    for author in [ANA, CLEO] {
        scene.say_of(author, &[second], Statement::Reversal);
    }
    scene.chart_in_both_orders(|chart| {
        assert_eq!(standings(chart, FactKind::Dispense), [Standing::Stands, Standing::Reversed]);
        assert_eq!(raised(chart), []);
    });
    // A reversal names a dispense: of anything else it takes nothing back.
    let note = scene.say(BEN, Statement::Note { text: "two bottles" });
    scene.say_of(CLEO, &[note, first], Statement::Reversal);
    scene.chart_in_both_orders(|chart| {
        assert_eq!(standings(chart, FactKind::Note), [Standing::Stands]);
        assert_eq!(standings(chart, FactKind::Dispense), [Standing::Reversed; 2]);
    });
}

#[test]
fn immunization() {
    let mut scene = Scene::new();
    let influenza = || {
        Statement::Immunization(Immunization {
            vaccine: Coded { system: "http://hl7.org/fhir/sid/cvx", code: "140", display: "influenza" },
            given: Given::Completed,
            dose: None,
            lot: "V1",
            expiry: None,
            site: "",
        })
    };
    let first = scene.say(ANA, influenza());
    scene.say(BEN, influenza());
    scene.chart_in_both_orders(|chart| {
        assert_eq!(standings(chart, FactKind::Immunization), [Standing::Stands; 2], "append-only");
    });
    scene.say_of(CLEO, &[first], influenza());
    scene.chart_in_both_orders(|chart| {
        let all = [Standing::Corrected, Standing::Stands, Standing::Stands];
        assert_eq!(standings(chart, FactKind::Immunization), all, "a correction names what it replaces; all stay");
    });
}

#[test]
fn stock_ledger() {
    let mut scene = Scene::new();
    let received = scene.say(ANA, of_lot("10", "", "main", Cause::Receive));
    // Two desks hand out of one lot without knowledge of each other.
    let by_ben = scene.say(BEN, of_lot("8", "main", "", Cause::Dispense));
    scene.in_both_orders(|book| assert_eq!((on_hand(book), stock_findings(book)), (2, vec![])));
    let by_cleo = scene.say(CLEO, of_lot("8", "main", "", Cause::Dispense));
    scene.in_both_orders(|book| {
        assert_eq!(on_hand(book), -6, "the sum of all movements");
        assert_eq!(stock_findings(book), [FindingKind::StockNegative], "negative, and it says so");
        assert!(!book.stock().unwrap()[0].counted);
    });
    // Ana, who saw Ben's but not Cleo's, counts.
    let count = scene.say(ANA, counted("5", &[received, by_ben], &[]));
    scene.in_both_orders(|book| {
        assert_eq!(on_hand(book), -3, "count beats calculation: 5, and 8 that the count had not seen");
        assert!(book.stock().unwrap()[0].counted);
    });
    // Ben counts at the same time and saw all movements: the lower one holds.
    let other = scene.say(BEN, counted("4", &[received, by_ben, by_cleo], &[]));
    scene.in_both_orders(|book| {
        assert_eq!(on_hand(book), -3);
        let mut kinds = stock_findings(book);
        kinds.sort_unstable();
        assert_eq!(kinds, [FindingKind::StockNegative, FindingKind::ConcurrentCounts]);
    });
    // Who saw both counts settles it; what moves after is added.
    scene.say(CLEO, counted("4", &[received, by_ben, by_cleo], &[count, other]));
    scene.say(CLEO, of_lot("3", "", "main", Cause::Receive));
    scene.in_both_orders(|book| assert_eq!((on_hand(book), stock_findings(book)), (7, vec![])));
}

#[test]
fn note() {
    let mut scene = Scene::new();
    let first = scene.say(ANA, Statement::Note { text: "walks" });
    scene.say_of(BEN, &[first], Statement::Note { text: "walks with a stick" });
    scene.say_of(CLEO, &[first], Statement::Note { text: "walks with help" });
    scene.chart_in_both_orders(|chart| {
        let all = [Standing::Corrected, Standing::Stands, Standing::Stands];
        assert_eq!(standings(chart, FactKind::Note), all, "amended twice at once: all are kept");
        let texts: Vec<String> = chart
            .facts
            .iter()
            .rev()
            .filter_map(|fact| match fact.fact()?.statement {
                Statement::Note { text } => Some(text.to_owned()),
                _ => None,
            })
            .collect();
        assert_eq!(texts, ["walks", "walks with a stick", "walks with help"], "nothing obscures what was recorded");
    });
}

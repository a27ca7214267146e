//! Export, then import into an empty book: the same registers and facts.

use super::*;
use crate::clock::TimeSource;
use crate::exchange::fake::{FakeBook, fact as fact_of};
use crate::exchange::fhir::TIME_NOT_KNOWN;
use crate::exchange::identity::{import_id, patient_id};
use crate::exchange::{ImportOptions, ImportReport, Source, import};
use crate::id::{EntryId, ImportId, LogId};
use crate::record::{
    Address, Allergy, ClinicalStatus, Coded, Condition, Criticality, Dispense, EntryRef, Field, Given, Identifier,
    Immunization, Name, Observation, PartialDate, Quantity, Receiver, Register, Sex, Statement, Telecom, Value,
    Verification,
};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

const JANE: PatientId = PatientId::new([7; 16]);
const JOHN: PatientId = PatientId::new([8; 16]);
const KIM: PatientId = PatientId::new([9; 16]);
const INCIDENT: IncidentId = IncidentId::new([3; 32]);

fn written(number: u8) -> FactId {
    let entry = EntryRef::new(LogId::new([1; 32]), 1, &EntryId::new([number; 32]));
    FactId::Written(OpRef { entry, index: number })
}

fn patients() -> Vec<ExportPatient<'static>> {
    let jane = vec![
        Setting::Birth(PartialDate::parse("1950-03")),
        Setting::Birth(PartialDate::parse("1951")),
        Setting::Sex(Some(Sex::Female)),
        Setting::Sex(Some(Sex::Other)),
        Setting::Name(Name { family: "O'Neil \u{202e}x", given: vec!["Jane", "王"], text: "Jane O" }, Some("official")),
        Setting::Name(Name { text: "JJ", ..Name::default() }, Some("alias")),
        Setting::Name(Name { text: "gone", ..Name::default() }, None),
        Setting::Identifier(Identifier { system: "tag", value: "A-17" }, Some("")),
        Setting::Identifier(Identifier { system: "urn:mrn", value: "1" }, Some("MR")),
        Setting::Identifier(Identifier { system: "", value: "2" }, Some("ration card")),
        Setting::Telecom(Telecom { system: "phone", value: "+1 555" }, Some("mobile")),
        Setting::Telecom(Telecom { system: "radio", value: "ch 4" }, Some("camp")),
        Setting::Address(
            Address {
                lines: vec!["1 Main St", "rear"],
                city: "Bloom",
                district: "d",
                state: "KS",
                postal_code: "0",
                country: "US",
            },
            Some("home"),
        ),
        Setting::Household(JOHN, Some("head")),
        Setting::Household(JANE, Some("")),
        Setting::Language("ar", Some("preferred")),
        Setting::Language("en", Some("")),
        Setting::Language("fr", Some("a little")),
    ];
    let john = vec![Setting::Name(Name { text: "John", ..Name::default() }, Some(""))];
    vec![
        ExportPatient { id: JANE, settings: jane, deceased: EffectiveTime::parse("2026-11-22T08:05:09Z", 0) },
        ExportPatient { id: KIM, settings: vec![Setting::Birth(PartialDate::parse("2001"))], deceased: None },
        ExportPatient { id: JOHN, settings: john, deceased: Some(TIME_NOT_KNOWN) },
    ]
}

fn statements() -> Vec<Statement<'static>> {
    let coded = Coded { system: "http://loinc.org", code: "29463-7", display: "weight" };
    let quantity = |text, unit| Value::Quantity(Quantity::parse(text, unit).unwrap());
    let observed = |value| {
        Statement::Observation(Observation { code: coded, value, components: vec![], seen: vec![], earlier: false })
    };
    let allergy = |clinical, verification, category| {
        let substance = Coded { system: "urn:x", code: "", display: "nuts" };
        Statement::Allergy(Allergy {
            substance,
            clinical,
            verification,
            criticality: Some(Criticality::High),
            category,
            reaction: "wheal; itch (mild)",
        })
    };
    let mut dispense = Dispense {
        product: Coded { system: super::super::RXNORM, code: "309309", display: "cipro 500" },
        quantity: Quantity::parse("0.000001", "tablet").ok(),
        lot: "L1",
        expiry: PartialDate::parse("2027-03"),
        days: Some(60),
        receiver: Some(Receiver::Patient(KIM)),
        place: "POD 3",
        heads: vec![],
        override_reason: "no other drug",
    };
    let with_lot = Statement::Dispense(dispense.clone());
    (dispense.lot, dispense.expiry, dispense.receiver) = ("", None, Some(Receiver::Person("Joe")));
    let without_lot = Statement::Dispense(dispense.clone());
    (dispense.lot, dispense.quantity, dispense.days, dispense.receiver) = ("L2", None, None, None);
    let mut all = vec![
        allergy(ClinicalStatus::Active, Verification::Confirmed, "food"),
        allergy(ClinicalStatus::Active, Verification::EnteredInError, "latex"),
        allergy(ClinicalStatus::Inactive, Verification::EnteredInError, ""),
        allergy(ClinicalStatus::Resolved, Verification::Refuted, ""),
        Statement::NoKnownAllergies,
        observed(Some(quantity("1000000", "kg"))),
        observed(Some(quantity("70.254321", "[lb_av]"))),
        observed(Some(quantity("3", ""))),
        observed(Some(Value::Coded(Coded { system: "", code: "LA1", display: "" }))),
        observed(Some(Value::Text("<5 ng/mL"))),
        observed(Some(Value::Bool(false))),
        Statement::Observation(Observation {
            code: Coded::text("pressure"),
            value: None,
            components: vec![(coded, quantity("120", "mm[Hg]")), (Coded::text("x"), Value::Text("y"))],
            seen: vec![],
            earlier: false,
        }),
        Statement::Immunization(Immunization {
            vaccine: coded,
            given: Given::Completed,
            dose: Quantity::parse("0.5", "mL").ok(),
            lot: "V1",
            expiry: PartialDate::parse("2027-03-04"),
            site: "left arm",
        }),
        with_lot,
        without_lot,
        Statement::Dispense(dispense),
        Statement::Refutation,
        Statement::Reversal,
        Statement::Note { text: "needs\n\"glasses\" \u{0}" },
        Statement::Deceased,
    ];
    for given in [Given::NotDone, Given::EnteredInError] {
        let vaccine = Coded { system: "", code: "24", display: "" };
        all.push(Statement::Immunization(Immunization { vaccine, given, dose: None, lot: "", expiry: None, site: "" }));
    }
    for clinical in ClinicalStatus::ALL {
        for verification in Verification::ALL {
            all.push(Statement::Condition(Condition { code: coded, clinical: *clinical, verification: *verification }));
        }
    }
    all
}

/// Every statement, standing and not, with and without reason, target and author, at times of every shape.
fn facts() -> Vec<ExportFact<'static>> {
    let times =
        ["2026", "2026-11", "2026-11-22", "2026-11-22T08:05", "2026-11-22T08:05:09", "2026-11-22T08:05:09.123", ""];
    let mut facts = Vec::new();
    for (number, statement) in statements().into_iter().enumerate() {
        let (kind, byte) = (statement.kind(), u8::try_from(number).unwrap());
        for stands in [true, false] {
            let offset = if number % 2 == 0 { 0 } else { 345 };
            let mut effective = EffectiveTime::parse(times[number % times.len()], offset).unwrap_or(TIME_NOT_KNOWN);
            if stands && effective != TIME_NOT_KNOWN {
                effective.source = TimeSource::Clock;
            }
            let targeted = matches!(kind, FactKind::Refutation | FactKind::Reversal) || number % 3 == 0;
            let id = if stands { written(byte) } else { FactId::Imported(ImportId::new([byte; 16])) };
            facts.push(ExportFact {
                id,
                fact: Fact {
                    patient: Some(if number % 2 == 0 { JANE } else { JOHN }),
                    effective,
                    targets: if targeted { vec![written(0), FactId::Imported(ImportId::new([5; 16]))] } else { vec![] },
                    import: None,
                    reason: if number % 4 == 0 { "because" } else { "" },
                    statement: statement.clone(),
                },
                target_kinds: if targeted { vec![FactKind::Allergy, FactKind::Observation] } else { vec![] },
                author: if stands { "Nurse A" } else { "" },
                stands,
            });
        }
    }
    facts
}

fn export_all<S: Sink>(sink: S) -> S {
    let mut exporter = Exporter::new(&INCIDENT, sink);
    for patient in patients() {
        exporter.patient(&patient).unwrap();
    }
    for fact in facts() {
        assert!(exporter.fact(&fact).unwrap());
    }
    exporter.finish().unwrap()
}

fn import_all(book: &mut FakeBook, text: &[u8]) -> ImportReport {
    import(book, vec![Source::once("-", text)], &ImportOptions::default(), &mut |_| {}).unwrap()
}

/// What a fact must be in the importing book.
fn expected(book: &FakeBook, export: &ExportFact<'_>) -> Vec<u8> {
    let source = source_uri(&INCIDENT);
    let new_patient = |id: PatientId| patient_id(book, &source, &id.to_hex());
    let mut fact = export.fact.clone();
    let kind = resource_type(fact.statement.kind()).unwrap();
    fact.patient = fact.patient.map(new_patient);
    fact.effective.source = TimeSource::Stated;
    fact.import = Some(import_id(book, &source, kind, &resource_id(&export.id)));
    for (target, kind) in fact.targets.iter_mut().zip(&export.target_kinds) {
        *target = FactId::Imported(import_id(book, &source, resource_type(*kind).unwrap(), &resource_id(target)));
    }
    if let Statement::Dispense(Dispense { receiver: Some(Receiver::Patient(patient)), .. }) = &mut fact.statement {
        *patient = new_patient(*patient);
    }
    fact.content()
}

fn compare(book: &FakeBook) {
    let source = source_uri(&INCIDENT);
    for patient in patients() {
        let id = patient_id(book, &source, &patient.id.to_hex());
        let mut registers: BTreeSet<(Field, Vec<u8>, Vec<u8>)> = BTreeSet::new();
        for mut setting in patient.settings {
            if let Setting::Household(of, _) = &mut setting {
                *of = patient_id(book, &source, &of.to_hex());
            }
            let (key, value) = setting.to_bytes();
            if !(Register { field: setting.field(), key: &key, value: &value }).is_null() {
                registers.insert((setting.field(), key, value));
            }
        }
        assert_eq!(book.registers(id).into_iter().collect::<BTreeSet<_>>(), registers);
    }
    let made: BTreeSet<Vec<u8>> = book.facts().into_iter().map(|bytes| fact_of(bytes).content()).collect();
    let all = facts();
    for export in &all {
        assert!(made.contains(&expected(book, export)), "{:?} stands: {}", export.fact, export.stands);
    }
    assert_eq!((made.len(), book.facts().len()), (all.len(), all.len()));
}

#[test]
fn a_bundle_imported_into_an_empty_book_gives_the_same() {
    let text = export_all(Bundle::new(Vec::new()).unwrap()).into_inner();
    let mut book = FakeBook::new(9);
    let report = import_all(&mut book, &text);
    assert!(report.complete(), "{:#?}", report.bad);
    assert!(report.left_out.is_empty(), "{:?}", report.left_out);
    let lost: Vec<&String> = report.paths_not_kept.keys().filter(|path| !path.contains(".meta")).collect();
    assert_eq!(
        lost,
        [
            "AllergyIntolerance.recorder",
            "Basic.author",
            "Condition.recorder",
            "Immunization.occurrenceString",
            "Immunization.performer",
            "MedicationDispense.performer",
            "Observation.performer"
        ]
    );
    compare(&book);
    let again = import_all(&mut book, &text);
    assert_eq!(again.operations, 0, "and again nothing new");
}

/// A file that can be looked into from outside.
#[derive(Debug)]
struct File(Rc<RefCell<Vec<u8>>>);

impl io::Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn ndjson_files_by_type_imported_into_an_empty_book_give_the_same() {
    let files = RefCell::new(Vec::<(String, Rc<RefCell<Vec<u8>>>)>::new());
    export_all(Ndjson::new(|name: &str| {
        let file = Rc::<RefCell<Vec<u8>>>::default();
        files.borrow_mut().push((name.to_owned(), file.clone()));
        Ok(File(file))
    }));
    let mut files = files.into_inner();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[..2], ["AllergyIntolerance.000.ndjson", "Basic.000.ndjson"]);
    let texts: Vec<(String, Vec<u8>)> = files.into_iter().map(|(name, file)| (name, file.take())).collect();
    let sources =
        texts.iter().map(|(name, text)| Source::reopenable(name.as_str(), move || Ok(text.as_slice()))).collect();
    let mut book = FakeBook::new(9);
    let report = import(&mut book, sources, &ImportOptions::default(), &mut |_| {}).unwrap();
    assert!(report.complete(), "{:#?}", report.bad);
    compare(&book);
}

#[test]
fn an_empty_bundle_has_no_empty_list() {
    let text = Exporter::new(&INCIDENT, Bundle::new(Vec::new()).unwrap()).finish().unwrap().into_inner();
    assert_eq!(text, b"{\"resourceType\":\"Bundle\",\"type\":\"collection\"}\n");
    let mut book = FakeBook::new(9);
    assert_eq!(import_all(&mut book, &text).operations, 0);
}

#[test]
fn what_does_not_stand_says_so_to_other_systems() {
    let said = |wanted: FactKind| {
        facts().into_iter().filter(move |f| f.fact.statement.kind() == wanted && !f.stands).map(|f| {
            let (_, resource) = fact::write(&f, "urn:x").unwrap();
            let verification = resource["verificationStatus"]["coding"][0]["code"].as_str();
            verification.or(resource["status"].as_str()).unwrap().to_owned()
        })
    };
    assert!(said(FactKind::Observation).all(|status| status == "entered-in-error"));
    assert!(said(FactKind::Dispense).all(|status| status == "cancelled"));
    assert!(said(FactKind::Immunization).all(|status| status == "entered-in-error"));
    assert!(said(FactKind::Allergy).all(|status| ["refuted", "entered-in-error"].contains(&status.as_str())));
    assert!(said(FactKind::NoKnownAllergies).all(|status| status == "refuted"));
}

#[test]
fn stock_and_resolutions_are_left_out() {
    let mut export = facts().remove(0);
    export.fact.statement = Statement::Resolution { findings: vec![] };
    let mut exporter = Exporter::new(&INCIDENT, Bundle::new(Vec::new()).unwrap());
    assert!(!exporter.fact(&export).unwrap());
}

#[test]
fn resource_ids_are_ids_that_fhir_allows() {
    for id in facts().iter().map(|f| resource_id(&f.id)).chain([JANE.to_hex()]) {
        assert!(id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'), "{id}");
    }
    assert_ne!(resource_id(&written(1)), resource_id(&written(2)));
}

#[test]
fn deaths_are_told_to_other_systems_and_counted_once() {
    let text = export_all(Bundle::new(Vec::new()).unwrap()).into_inner();
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("\"deceasedDateTime\":\"2026-11-22T08:05:09+00:00\"")
            && text.contains("\"deceasedBoolean\":true")
    );
}

//! Tests of whole imports into a book in memory.

use super::fake::{FakeBook, fact};
use super::*;
use crate::id::PatientId;
use crate::record::{Field, Identifier, Operation, PartialDate, Setting, Sex, Statement};
use serde_json::{Value, json};

const SOURCE: &str = "https://hospital.example";

fn lines(resources: &[Value]) -> String {
    resources.iter().fold(String::new(), |text, resource| text + &resource.to_string() + "\n")
}

fn run(book: &mut FakeBook, files: &[(&str, String)]) -> ImportReport {
    let files = files.iter().map(|(name, text)| Source::reopenable(*name, move || Ok(text.as_bytes()))).collect();
    import(book, files, &ImportOptions::default(), &mut |_| {}).unwrap()
}

fn run_one(book: &mut FakeBook, resources: &[Value]) -> ImportReport {
    run(book, &[("a.ndjson", lines(resources))])
}

/// A patient whose first identifier tells the source.
fn patient(id: &str, more: &Value) -> Value {
    let mut patient = json!({
        "resourceType": "Patient", "id": id, "gender": "female", "birthDate": "1950-01-02",
        "identifier": [{"system": SOURCE, "value": id}],
        "name": [{"family": "Doe", "given": ["Jane", id]}]
    });
    for (key, value) in more.as_object().unwrap() {
        patient[key] = value.clone();
    }
    patient
}

fn weight(id: &str, of: &str, time: &str, kg: f64) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final", "subject": {"reference": format!("Patient/{of}")},
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]}, "effectiveDateTime": time,
        "valueQuantity": {"value": kg, "unit": "kg"}})
}

fn allergy(id: &str, of: &str, text: &str) -> Value {
    json!({"resourceType": "AllergyIntolerance", "id": id, "patient": {"reference": format!("Patient/{of}")},
        "code": {"text": text}})
}

#[test]
fn the_same_export_twice_writes_nothing_new() {
    let export = [
        patient("p", &json!({"deceasedDateTime": "2020-01-01", "maritalStatus": {"text": "M"}})),
        weight("o1", "p", "2020-01-01", 70.5),
        weight("o2", "p", "2020-01-02", 71.5),
        allergy("a", "p", "nuts"),
    ];
    let mut book = FakeBook::new(1);
    let first = run_one(&mut book, &export);
    assert_eq!((first.operations, first.patients_new, first.types["Observation"].kept), (5, 1, 2));
    assert_eq!(first.source.as_deref(), Some(SOURCE));
    assert_eq!(first.paths_not_kept, [("Patient.maritalStatus".to_owned(), 1)].into());
    assert!(first.complete());
    let second = run_one(&mut book, &export);
    assert_eq!((second.operations, second.patients_known, second.types["Patient"].unchanged), (0, 1, 1));
    assert_eq!(second.types["Observation"].unchanged, 2);
    assert_eq!(book.commits, 1);
}

#[test]
fn two_devices_make_the_same_bytes() {
    let export = [patient("p", &json!({})), weight("o1", "p", "2020-01-01T10:00:00", 70.5), allergy("a", "p", "nuts")];
    let [mut one, mut two] = [FakeBook::new(1), FakeBook::new(1)];
    run_one(&mut one, &export);
    run(&mut two, &[("p", lines(&export[..1])), ("o", lines(&export[1..]))]);
    assert_eq!(one.operations, two.operations);
    let mut other = FakeBook::new(2);
    run_one(&mut other, &export);
    assert_ne!(one.patients(), other.patients(), "another incident, other ids");
}

#[test]
fn patients_are_taken_before_what_refers_to_them_in_whatever_order_files_come() {
    let mut book = FakeBook::new(1);
    let files = [
        ("AllergyIntolerance.ndjson", lines(&[allergy("a", "p", "nuts")])),
        ("MedicationDispense.ndjson", lines(&[dispense("d", "p", &json!({"reference": "Medication/m"}))])),
        ("Patient.ndjson", lines(&[patient("p", &json!({}))])),
        (
            "ZMedication.ndjson",
            lines(&[json!({"resourceType": "Medication", "id": "m", "code": {"text": "cipro"},
            "batch": {"lotNumber": "L1", "expirationDate": "2027-03"}})]),
        ),
    ];
    let report = run(&mut book, &files);
    assert!(report.complete(), "{:?}", report.bad);
    assert_eq!(report.types["Medication"].remembered, 1);
    let facts = book.facts();
    let dispensed = facts.iter().map(|bytes| fact(bytes)).find_map(|fact| match fact.statement {
        Statement::Dispense(dispense) => Some(dispense),
        _ => None,
    });
    let dispensed = dispensed.unwrap();
    assert_eq!((dispensed.product.display, dispensed.lot), ("cipro", "L1"));
    assert_eq!(dispensed.expiry, PartialDate::parse("2027-03"));
}

fn dispense(id: &str, of: &str, medication: &Value) -> Value {
    json!({"resourceType": "MedicationDispense", "id": id, "status": "completed", "medicationReference": medication,
        "subject": {"reference": format!("Patient/{of}")}, "whenHandedOver": "2026-01-01T10:00:00Z"})
}

#[test]
fn in_a_pipe_a_fact_before_its_patient_is_bad_and_importing_again_adds_it() {
    let text = lines(&[patient("q", &json!({})), allergy("a", "p", "nuts"), patient("p", &json!({}))]);
    let mut book = FakeBook::new(1);
    let pipe = |book: &mut FakeBook| {
        let sources = vec![Source::once("-", text.as_bytes())];
        import(book, sources, &ImportOptions::default(), &mut |_| {}).unwrap()
    };
    let first = pipe(&mut book);
    assert_eq!((first.bad.len(), first.bad[0].reason, first.bad[0].line), (1, Reason::PatientNotHere, 2));
    assert_eq!(
        first.bad[0].to_string(),
        "-:2: AllergyIntolerance/a: I-020 its patient is not here yet; import again adds it"
    );
    let second = pipe(&mut book);
    assert_eq!((second.operations, second.types["AllergyIntolerance"].kept), (1, 1));
    assert!(second.complete());
}

#[test]
fn a_changed_register_is_written_alone_with_the_previous_import_as_parent() {
    let mut book = FakeBook::new(1);
    run_one(&mut book, &[patient("p", &json!({"telecom": [{"system": "phone", "value": "1"}]}))]);
    let changed = patient("p", &json!({"birthDate": "1950-01-03"}));
    run_one(&mut book, &[changed]);
    let Operation::Edit(edit) = Operation::read(&book.operations[1]).unwrap() else { panic!() };
    let set: Vec<(Field, bool)> = edit.registers.iter().map(|r| (r.field, r.is_null())).collect();
    assert_eq!(set, [(Field::Birth, false), (Field::Telecom, true)], "the telecom that is gone is withdrawn");
    assert_eq!((edit.parents.len(), edit.parents[0].seq), (1, 1));
}

#[test]
fn what_a_nurse_corrected_is_not_reverted_by_importing_again() {
    let mut book = FakeBook::new(1);
    let export = [patient("p", &json!({}))];
    run_one(&mut book, &export);
    let id = book.patients()[0];
    book.write_by_hand(id, &Setting::Birth(PartialDate::parse("1951")));
    assert_eq!(run_one(&mut book, &export).operations, 0);
}

#[test]
fn a_patient_in_the_book_is_found_by_an_identifier_that_only_it_bears() {
    let mut book = FakeBook::new(1);
    let nurse = PatientId::new([9; 16]);
    let card = Identifier { system: "urn:card", value: "17" };
    book.write_by_hand(nurse, &Setting::Identifier(card, Some("")));
    book.write_by_hand(nurse, &Setting::Birth(PartialDate::parse("1950")));
    book.write_by_hand(nurse, &Setting::Sex(Some(Sex::Unknown)));
    let with_card = json!({"identifier": [{"system": SOURCE, "value": "p"}, {"system": "urn:card", "value": "17"}]});
    let export = [patient("p", &with_card), allergy("a", "p", "nuts")];
    let report = run_one(&mut book, &export);
    assert_eq!((report.patients_matched, report.patients_new, book.patients()), (1, 0, vec![nurse]));
    assert_eq!(fact(book.facts()[0]).patient, Some(nurse), "facts follow");
    let again = run_one(&mut book, &export);
    assert_eq!((again.operations, again.patients_known), (0, 1));
}

#[test]
fn an_identifier_of_two_patients_or_with_a_contradiction_makes_a_new_patient() {
    let licence = |id: &str, birth: &str, sex: &str| {
        patient(
            id,
            &json!({"birthDate": birth, "gender": sex,
            "identifier": [{"system": SOURCE, "value": id}, {"system": "urn:licence", "value": "S1"}]}),
        )
    };
    let mut book = FakeBook::new(1);
    let report =
        run_one(&mut book, &[licence("a", "1950", "male"), licence("b", "1960", "male"), licence("c", "1950", "male")]);
    assert_eq!((report.patients_new, report.patients_matched), (3, 0), "c: the licence has two bearers by then");
    let mut book = FakeBook::new(1);
    let report = run_one(&mut book, &[licence("a", "1950-02", "male"), licence("b", "1950", "unknown")]);
    assert_eq!((report.patients_new, report.patients_matched), (1, 1), "nothing contradicts within the batch");
    let report = run_one(&mut book, &[licence("c", "1950", "female")]);
    assert_eq!((report.patients_new, report.patients_matched), (1, 0));
}

#[test]
fn an_identifier_without_a_system_matches_nobody() {
    let number = json!({"identifier": [{"value": "7"}, {"system": SOURCE, "value": "x"}]});
    let mut book = FakeBook::new(1);
    let with = |id: &str| {
        let mut p = patient(id, &number);
        p["identifier"][1]["value"] = id.into();
        p
    };
    assert_eq!(run_one(&mut book, &[with("x"), with("y")]).patients_new, 2);
}

#[test]
fn a_resource_twice_in_one_import_is_one_patient() {
    let mut book = FakeBook::new(1);
    let report = run_one(
        &mut book,
        &[
            patient("p", &json!({})),
            patient("p", &json!({"gender": "male"})),
            weight("o", "p", "2020", 1.0),
            weight("o", "p", "2020", 1.0),
            weight("o", "p", "2020", 2.0),
        ],
    );
    assert_eq!((report.patients_new, report.patients_known), (1, 1));
    assert_eq!((report.types["Observation"].kept, report.types["Observation"].unchanged), (2, 1));
    assert_eq!(book.patients().len(), 1);
}

#[test]
fn an_observation_names_the_previous_of_its_code_in_batch_and_book() {
    let mut book = FakeBook::new(1);
    run_one(
        &mut book,
        &[
            patient("p", &json!({})),
            weight("o1", "p", "2020-01-01", 1.0),
            weight("o3", "p", "2020-01-03", 3.0),
            weight("o2", "p", "2020-01-02", 2.0),
            weight("p2", "p", "2020-01-02T00:00:00Z", 2.5),
        ],
    );
    run_one(
        &mut book,
        &[
            weight("o4", "p", "2020-01-04", 4.0),
            weight("o35", "p", "2020-01-03T12:00:00Z", 4.0),
            patient("p", &json!({})),
            weight("o5", "p", "2020-01-05", 4.0),
        ],
    );
    let facts: Vec<_> = book.facts().into_iter().map(fact).collect();
    let day = |text: &str| facts.iter().find(|f| f.effective.to_fhir() == text).unwrap();
    let seen = |text: &str| match &day(text).statement {
        Statement::Observation(observation) => observation.seen.clone(),
        _ => vec![],
    };
    let id = |text: &str| FactId::Imported(day(text).import.unwrap());
    assert_eq!(seen("2020-01-01"), []);
    assert_eq!(seen("2020-01-03"), [id("2020-01-01")]);
    assert_eq!(seen("2020-01-02"), [id("2020-01-01")], "by effective time, not by order");
    assert_eq!(seen("2020-01-02T00:00:00+00:00"), [id("2020-01-01")], "equal times do not name each other");
    assert_eq!(seen("2020-01-04"), [id("2020-01-03")]);
    assert_eq!(seen("2020-01-03T12:00:00+00:00"), [id("2020-01-03")]);
    assert_eq!(seen("2020-01-05"), [id("2020-01-04")]);
}

#[test]
fn an_observation_between_those_of_book_and_batch_is_named_exactly() {
    let mut book = FakeBook::new(1);
    run_one(&mut book, &[patient("p", &json!({})), weight("b", "p", "2020-01-05", 1.0)]);
    run_one(
        &mut book,
        &[patient("p", &json!({})), weight("c", "p", "2020-01-01", 1.0), weight("d", "p", "2020-01-09", 1.0)],
    );
    let facts: Vec<_> = book.facts().into_iter().map(fact).collect();
    let Statement::Observation(last) = &facts[2].statement else { panic!() };
    assert_eq!(last.seen, [FactId::Imported(facts[0].import.unwrap())]);
}

#[test]
fn what_was_entered_in_error_takes_an_earlier_import_back() {
    let mut book = FakeBook::new(1);
    run_one(
        &mut book,
        &[
            patient("p", &json!({"deceasedBoolean": true})),
            weight("o", "p", "2020", 1.0),
            dispense("d", "p", &json!({"display": "cipro"})),
        ],
    );
    let mut wrong = weight("o", "p", "2020", 1.0);
    wrong["status"] = "entered-in-error".into();
    let mut cancelled = dispense("d", "p", &json!({"display": "cipro"}));
    cancelled["status"] = "cancelled".into();
    let mut never = wrong.clone();
    never["id"] = "never-here".into();
    let update = [patient("p", &json!({"deceasedBoolean": false})), wrong, cancelled, never];
    let report = run_one(&mut book, &update);
    assert_eq!(report.left_out, [("Observation.status=entered-in-error", 1)].into());
    let facts: Vec<_> = book.facts().into_iter().map(fact).collect();
    let kinds: Vec<_> = facts.iter().map(|f| f.statement.kind().word()).collect();
    assert_eq!(kinds, ["deceased", "observation", "dispense", "refutation", "refutation", "reversal"]);
    for (target, by) in [(0, 3), (1, 4), (2, 5)] {
        assert_eq!(facts[by].targets, [FactId::Imported(facts[target].import.unwrap())]);
    }
    assert_eq!(run_one(&mut book, &update).operations, 0);
}

#[test]
fn a_different_content_under_one_id_is_written_beside_the_first() {
    let mut book = FakeBook::new(1);
    run_one(&mut book, &[patient("p", &json!({})), allergy("a", "p", "nuts")]);
    run_one(&mut book, &[patient("p", &json!({})), allergy("a", "p", "peanuts")]);
    let facts: Vec<_> = book.facts().into_iter().map(fact).collect();
    assert_eq!((facts.len(), facts[0].import), (2, facts[1].import));
}

#[test]
fn without_a_source_nothing_is_written() {
    let nameless = |id: &str| patient(id, &json!({"identifier": [{"system": "urn:x", "value": format!("not {id}")}]}));
    let mut book = FakeBook::new(1);
    for texts in [vec![lines(&[nameless("p")])], vec![lines(&[allergy("a", "p", "x")])]] {
        let sources = texts.iter().map(|text| Source::reopenable("f", move || Ok(text.as_bytes()))).collect();
        let outcome = import(&mut book, sources, &ImportOptions::default(), &mut |_| {});
        assert!(matches!(outcome, Err(ImportError::NoSource)));
    }
    assert_eq!(book.commits, 0);
    let files = [("a", lines(&[nameless("p")])), ("b", lines(&[nameless("q"), patient("r", &json!({}))]))];
    let report = run(&mut book, &files);
    assert_eq!((report.source.as_deref(), report.patients_new), (Some(SOURCE), 3), "a later patient tells it");
    let options = ImportOptions { source: Some("urn:mine".to_owned()) };
    let text = lines(&[nameless("p")]);
    let sources = vec![Source::once("f", text.as_bytes())];
    let report = import(&mut book, sources, &options, &mut |_| {}).unwrap();
    assert_eq!(report.source.as_deref(), Some("urn:mine"));
}

#[test]
fn other_types_are_counted_and_named() {
    let mut book = FakeBook::new(1);
    let report = run_one(
        &mut book,
        &[
            patient("p", &json!({})),
            json!({"resourceType": "Encounter", "id": "e"}),
            json!({"resourceType": "Encounter", "id": "f"}),
            json!({"resourceType": "Basic", "id": "b", "code": {"text": "x"}, "subject": {"reference": "Patient/p"}}),
        ],
    );
    assert_eq!(report.types["Encounter"].ignored, 2);
    assert_eq!((report.types["Basic"].left_out, report.complete()), (1, true));
}

#[test]
fn bad_input_is_named_with_file_line_type_id_and_reason_and_the_rest_is_taken() {
    let cases: Vec<(Value, Reason, &str)> = vec![
        (json!({"resourceType": "Patient"}), Reason::Id, "id"),
        (json!({"resourceType": "Patient", "id": "Jane Doe"}), Reason::Id, "id"),
        (json!({"resourceType": "Patient", "id": 7}), Reason::Id, "id"),
        (patient("b", &json!({"birthDate": 1950})), Reason::WrongType, "birthDate"),
        (patient("b", &json!({"birthDate": "1950-02-30"})), Reason::Time, "birthDate"),
        (patient("b", &json!({"deceasedDateTime": "soon"})), Reason::Time, "deceasedDateTime"),
        (patient("b", &json!({"gender": "f"})), Reason::UnknownCode, "gender"),
        (patient("b", &json!({"name": {"text": "x"}})), Reason::WrongType, "name"),
        (patient("b", &json!({"name": [{"family": "x".repeat(8_193)}]})), Reason::TextTooLong, "family"),
        (
            patient("b", &json!({"name": [{"given": ["a", "b", "c", "d", "e", "f", "g", "h", "i"]}]})),
            Reason::TooMany,
            "given",
        ),
        (
            patient("b", &json!({"telecom": (0..70).map(|n| json!({"value": n.to_string()})).collect::<Vec<_>>()})),
            Reason::TooMany,
            "telecom",
        ),
        (
            patient("b", &json!({"name": [{"text": "x".repeat(8_000), "given": vec!["y".repeat(8_000); 8]}]})),
            Reason::EntryTooLarge,
            "",
        ),
        (patient("b", &json!({"modifierExtension": [{"url": "x"}]})), Reason::Modifier, "modifierExtension"),
        (allergy("b", "nobody", "x"), Reason::PatientNotHere, ""),
        (json!({"resourceType": "AllergyIntolerance", "id": "b", "code": {"text": "x"}}), Reason::Missing, "patient"),
        (
            json!({"resourceType": "AllergyIntolerance", "id": "b", "patient": {"reference": "Patient/p"}}),
            Reason::Missing,
            "code",
        ),
        (
            json!({"resourceType": "AllergyIntolerance", "id": "b", "code": {"text": "x"}, "patient": {"reference": "p"}}),
            Reason::Reference,
            "patient",
        ),
        (weight("b", "p", "2020-13-01", 1.0), Reason::Time, "effectiveDateTime"),
        (weight("b", "p", "2020", 0.0), Reason::NotPositive, "valueQuantity"),
        (weight("b", "p", "2020", -1.0), Reason::NotPositive, "valueQuantity"),
        (weight("b", "p", "2020", 1e7), Reason::TooLarge, "valueQuantity"),
        (weight("b", "p", "2020", 1e-9), Reason::TooFine, "valueQuantity"),
        (json!({"id": "x"}), Reason::NotAResource, "resourceType"),
    ];
    let mut book = FakeBook::new(1);
    for (resource, reason, element) in cases {
        let text = format!("{}\n{resource}\n{}\n", patient("p", &json!({})), patient("q", &json!({})));
        let report = run(&mut book, &[("bad.ndjson", text)]);
        assert_eq!(report.bad_total(), 1, "{resource}");
        let bad = &report.bad[0];
        assert_eq!(
            (bad.reason, bad.element, bad.line, bad.source.as_str()),
            (reason, element, 2, "bad.ndjson"),
            "{resource}"
        );
        assert!(!bad.to_string().contains("Doe"), "no patient data");
        assert_eq!(book.patients().len(), 2, "{resource}");
    }
}

#[test]
fn bad_json_is_named_and_the_rest_is_taken() {
    let deep = format!(r#"{{"resourceType":"Patient","id":"d","x":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    let long = format!(r#"{{"resourceType":"Patient","id":"l","x":"{}"}}"#, "x".repeat(9_000_000));
    for (bad, reason) in [
        ("{\"resourceType\":\"Patient\",\"id\":\"x\",\"a\":01}".to_owned(), Reason::NotJson),
        ("{\"resourceType\":\"Patient\",\"id\":\"x\",\"a\":\"\\ud800\"}".to_owned(), Reason::NotJson),
        ("not json".to_owned(), Reason::NotJson),
        ("{\"resourceType\":\"Pati".to_owned(), Reason::Truncated),
        (deep, Reason::TooDeep),
        (long, Reason::TooLong),
    ] {
        let mut book = FakeBook::new(1);
        let text = format!("{}\n{bad}\n{}\n", patient("p", &json!({})), patient("q", &json!({})));
        let report = run(&mut book, &[("bad.ndjson", text)]);
        assert_eq!(book.patients().len(), 2);
        assert_eq!((report.bad_total(), report.bad[0].reason, report.bad[0].line), (1, reason, 2));
    }
}

#[test]
fn a_source_that_vanishes_is_named_once_and_the_others_are_taken() {
    let good = lines(&[patient("p", &json!({})), allergy("a", "p", "x")]);
    let mut book = FakeBook::new(1);
    let sources = vec![
        Source::reopenable("gone", || Err::<&[u8], _>(std::io::ErrorKind::NotFound.into())),
        Source::reopenable("good", || Ok(good.as_bytes())),
    ];
    let report = import(&mut book, sources, &ImportOptions::default(), &mut |_| {}).unwrap();
    assert_eq!((report.bad_total(), report.bad[0].source.as_str()), (1, "gone"));
    assert_eq!(report.bad[0].reason, Reason::Unreadable(std::io::ErrorKind::NotFound));
    assert_eq!(book.operations.len(), 2);
}

#[test]
fn batches_are_bounded_and_a_book_that_fails_ends_the_import() {
    let export: Vec<Value> = (0..3_000).map(|n| patient(&format!("p{n}"), &json!({}))).collect();
    let mut book = FakeBook::new(1);
    let text = lines(&export);
    let mut told = Vec::new();
    let sources = vec![Source::reopenable("f", || Ok(text.as_bytes())).with_bytes(text.len() as u64)];
    let report =
        import(&mut book, sources, &ImportOptions::default(), &mut |p| told.push((p.bytes_read, p.bytes_total)))
            .unwrap();
    assert_eq!((report.operations, book.commits), (3_000, 2));
    assert_eq!(told.last(), Some(&(text.len() as u64, Some(text.len() as u64))));
    let mut full = FakeBook::new(1);
    full.fails_after = Some(1);
    let sources = vec![Source::reopenable("f", || Ok(text.as_bytes()))];
    let outcome = import(&mut full, sources, &ImportOptions::default(), &mut |_| {});
    assert!(matches!(outcome, Err(ImportError::Book(_))));
    assert_eq!(full.operations.len(), OPERATIONS_PER_BATCH);
}

#[test]
fn a_record_with_more_changes_than_one_edit_holds_is_written_in_several() {
    let phones = |from: u32| (from..from + 60).map(|n| json!({"value": n.to_string()})).collect::<Vec<_>>();
    let mut book = FakeBook::new(1);
    run_one(&mut book, &[patient("p", &json!({"telecom": phones(0)}))]);
    let report = run_one(&mut book, &[patient("p", &json!({"telecom": phones(100)}))]);
    assert_eq!((report.operations, report.complete()), (2, true));
    let registers = book.registers(book.patients()[0]);
    assert_eq!(registers.iter().filter(|(field, ..)| *field == Field::Telecom).count(), 60);
}

#[test]
fn a_patient_of_whom_nothing_is_said_is_a_record_all_the_same() {
    let mut book = FakeBook::new(1);
    let options = ImportOptions { source: Some("urn:x".to_owned()) };
    let text = lines(&[json!({"resourceType": "Patient", "id": "p"}), allergy("a", "p", "x")]);
    let sources = vec![Source::reopenable("f", || Ok(text.as_bytes()))];
    assert!(import(&mut book, sources, &options, &mut |_| {}).unwrap().complete());
    let (field, key, value) = &book.registers(book.patients()[0])[0];
    let setting = crate::record::Register { field: *field, key, value };
    assert_eq!(setting.parse(), Ok(Setting::Sex(Some(Sex::Unknown))));
}

/// All ways to put `junk` in the place of one value of a tree.
fn with_junk(value: &Value, junk: &Value) -> Vec<Value> {
    let mut all = vec![junk.clone()];
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                for changed in with_junk(member, junk) {
                    let mut copy = members.clone();
                    copy.insert(name.clone(), changed);
                    all.push(Value::Object(copy));
                }
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                for changed in with_junk(item, junk) {
                    let mut copy = items.clone();
                    copy[place] = changed;
                    all.push(Value::Array(copy));
                }
            }
        }
        _ => {}
    }
    all
}

#[test]
fn whatever_stands_where_a_resource_is_taken_wholly_or_not_at_all() {
    let samples = [
        patient(
            "x",
            &json!({"deceasedDateTime": "2020", "telecom": [{"system": "phone", "value": "1", "use": "home"}],
                "address": [{"line": ["a"], "city": "b"}], "communication": [{"language": {"text": "en"}, "preferred": true}],
                "extension": [{"url": "urn:daybook:concurrent", "valueDate": "1951"},
                    {"url": "urn:daybook:household", "extension": [{"url": "of", "valueReference": {"reference": "Patient/p"}}]}]}),
        ),
        weight("x", "p", "2020-01-01", 3.5),
        json!({"resourceType": "AllergyIntolerance", "id": "x", "patient": {"reference": "Patient/p"}, "criticality": "low",
            "clinicalStatus": {"coding": [{"code": "active"}]}, "category": ["food"], "code": {"text": "nuts"},
            "reaction": [{"manifestation": [{"text": "itch"}], "severity": "mild"}]}),
        json!({"resourceType": "MedicationDispense", "id": "x", "subject": {"reference": "Patient/p"}, "status": "completed",
            "contained": [{"resourceType": "Medication", "id": "m", "code": {"coding": [{"code": "1"}]}, "batch": {"lotNumber": "L", "expirationDate": "2027"}}],
            "medicationReference": {"reference": "#m"}, "quantity": {"value": 2, "unit": "tablet"}, "daysSupply": {"value": 3},
            "receiver": [{"display": "Joe"}], "whenHandedOver": "2020-01-01",
            "extension": [{"url": "urn:daybook:reason", "valueString": "r"},
                {"url": "urn:daybook:target", "valueReference": {"reference": "MedicationDispense/d"}}]}),
        json!({"resourceType": "Basic", "id": "x", "subject": {"reference": "Patient/p"},
            "code": {"coding": [{"system": "urn:daybook:fact", "code": "note"}]},
            "extension": [{"url": "urn:daybook:text", "valueString": "t"},
                {"url": "urn:daybook:effective", "valueDateTime": "2020", "_valueDateTime": {"extension": [{"url": "urn:daybook:offset", "valueInteger": 60}]}}]}),
    ];
    let junk =
        [json!(null), json!(true), json!(-1), json!(1e300), json!(""), json!("x"), json!([]), json!({}), json!([[{}]])];
    for sample in samples {
        for junk in &junk {
            for changed in with_junk(&sample, junk) {
                let mut book = FakeBook::new(1);
                let report = run_one(&mut book, &[patient("p", &json!({})), changed.clone()]);
                let written = u64::try_from(book.operations.len()).unwrap();
                assert!(report.complete() || written == 1, "a bad resource left something: {changed}");
            }
        }
    }
}

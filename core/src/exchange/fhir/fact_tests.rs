//! Tests of reading facts: each type in a usual form, its defaults, its refusals.

use super::*;
use crate::exchange::report::{Reason, Refusal};
use crate::record::{ClinicalStatus, Given, Statement, Value, Verification};
use serde_json::{Value as Json, json};

/// Reads a resource; gives what `show` says of it with the paths that were not read.
fn reading<T>(kind: &str, value: &Json, show: impl Fn(&Said<'_>) -> T) -> (Result<T, Refusal>, Vec<String>) {
    let (reading, medications) = (Reading::new(), medications());
    let said = read_fact(kind, reading.root(value), &medications).map(|said| show(&said));
    (said, reading.left(value, kind).unwrap().into_keys().collect())
}

fn medications() -> Medications {
    let mut medications = Medications::default();
    let (reading, value) = (Reading::new(), json!({"code": {"text": "doxy"}, "batch": {"lotNumber": "M1"}}));
    medications.remember("m1", Medication::read(reading.root(&value)).unwrap());
    medications
}

/// A resource about patient p with more members.
fn about(subject: &str, more: Json) -> Json {
    let mut value = more;
    value[subject] = json!({"reference": "Patient/p"});
    value
}

fn statement<T>(kind: &str, value: &Json, show: impl Fn(&Statement<'_>) -> T) -> T {
    let shown = reading(kind, value, |said| match said {
        Said::Fact(draft) => {
            assert_eq!(draft.patient, "p");
            show(&draft.statement)
        }
        other => panic!("{other:?}"),
    });
    shown.0.unwrap()
}

fn refused(kind: &str, value: &Json) -> (Reason, &'static str) {
    let refusal = reading(kind, value, |_| ()).0.unwrap_err();
    (refusal.reason, refusal.element)
}

fn left_out(kind: &str, value: &Json) -> Option<&'static str> {
    let shown = reading(kind, value, |said| match said {
        Said::LeftOut(why) | Said::TakenBack(_, why) => Some(*why),
        Said::Fact(_) => None,
    });
    shown.0.unwrap()
}

fn coding(code: &str) -> Json {
    json!({"coding": [{"system": "urn:x", "code": code}]})
}

#[test]
fn an_allergy_with_reactions_and_its_defaults() {
    let full = about(
        "patient",
        json!({
            "clinicalStatus": coding("resolved"), "verificationStatus": coding("confirmed"), "type": "allergy",
            "category": ["food", "biologic"], "criticality": "high", "code": {"text": "nuts"}, "recordedDate": "2020-01-02",
            "reaction": [
                {"manifestation": [{"coding": [{"code": "1", "display": "Wheal"}]}, {"text": "itch"}], "severity": "mild"},
                {"description": "swelling"}
            ]
        }),
    );
    let (_, left) = reading("AllergyIntolerance", &full, |_| ());
    assert_eq!(left, ["AllergyIntolerance.category", "AllergyIntolerance.type"]);
    statement("AllergyIntolerance", &full, |said| {
        let Statement::Allergy(allergy) = said else { panic!() };
        assert_eq!((allergy.reaction, allergy.category), ("Wheal, itch (mild); swelling", "food"));
        assert_eq!((allergy.clinical, allergy.verification), (ClinicalStatus::Resolved, Verification::Confirmed));
    });
    statement("AllergyIntolerance", &about("patient", json!({"code": {"text": "nuts"}})), |said| {
        let Statement::Allergy(allergy) = said else { panic!() };
        assert_eq!((allergy.clinical, allergy.verification), (ClinicalStatus::Active, Verification::Unconfirmed));
    });
}

#[test]
fn no_known_allergies_is_a_statement_of_its_own_unless_it_does_not_hold() {
    let none = |verification: &str, clinical: &str| {
        about(
            "patient",
            json!({"code": {"coding": [{"system": SNOMED, "code": NO_KNOWN_ALLERGY}], "text": "none"},
            "verificationStatus": coding(verification), "clinicalStatus": coding(clinical)}),
        )
    };
    statement("AllergyIntolerance", &none("confirmed", "active"), |said| {
        assert_eq!(*said, Statement::NoKnownAllergies);
    });
    for value in [none("refuted", "active"), none("entered-in-error", "active"), none("confirmed", "resolved")] {
        assert!(left_out("AllergyIntolerance", &value).is_some());
    }
    let other = about("patient", json!({"code": coding(NO_KNOWN_ALLERGY)}));
    statement("AllergyIntolerance", &other, |said| assert!(matches!(said, Statement::Allergy(_)), "another system"));
}

#[test]
fn the_onset_of_a_condition_is_its_time_and_what_is_over_is_resolved() {
    let at = |value: &Json| {
        let (time, _) = reading("Condition", value, |said| match said {
            Said::Fact(draft) => draft.effective.to_fhir(),
            other => panic!("{other:?}"),
        });
        time.unwrap()
    };
    let with = |more: Json| {
        let mut value = about("subject", json!({"code": {"text": "sepsis"}, "recordedDate": "2020-05-01"}));
        more.as_object().unwrap().iter().for_each(|(key, member)| value[key] = member.clone());
        value
    };
    assert_eq!(at(&with(json!({"onsetDateTime": "2019-01"}))), "2019-01");
    assert_eq!(at(&with(json!({"onsetPeriod": {"start": "2018"}}))), "2018");
    assert_eq!(at(&with(json!({}))), "2020-05-01");
    assert_eq!(at(&with(json!({"recordedDate": null}))), TIME_NOT_KNOWN.to_fhir());
    for (more, clinical) in
        [(json!({}), ClinicalStatus::Active), (json!({"abatementString": "x"}), ClinicalStatus::Resolved)]
    {
        statement("Condition", &with(more), |said| {
            let Statement::Condition(condition) = said else { panic!() };
            assert_eq!(condition.clinical, clinical);
        });
    }
    assert_eq!(
        refused("Condition", &with(json!({"clinicalStatus": coding("maybe")}))),
        (Reason::UnknownCode, "clinicalStatus")
    );
    assert_eq!(refused("Condition", &with(json!({"clinicalStatus": "active"}))), (Reason::WrongType, "clinicalStatus"));
    assert_eq!(refused("Condition", &with(json!({"onsetDateTime": "2019-02-29"}))), (Reason::Time, "onsetDateTime"));
    assert_eq!(refused("Condition", &with(json!({"code": null}))), (Reason::Missing, "code"));
}

#[test]
fn an_observation_has_a_value_or_components() {
    let with = |more: Json| {
        let mut value =
            about("subject", json!({"status": "final", "code": {"text": "bp"}, "effectiveDateTime": "2020"}));
        more.as_object().unwrap().iter().for_each(|(key, member)| value[key] = member.clone());
        value
    };
    let both = json!({"component": [
        {"code": {"text": "s"}, "valueQuantity": {"value": 120, "unit": "mm[Hg]"}},
        {"code": {"text": "none"}, "dataAbsentReason": {}}]});
    statement("Observation", &with(both), |said| {
        let Statement::Observation(observation) = said else { panic!() };
        assert_eq!((observation.value, observation.components.len()), (None, 1));
        assert!(matches!(observation.components[0].1, Value::Quantity(_)));
    });
    assert!(left_out("Observation", &with(json!({}))).is_some());
    assert!(left_out("Observation", &with(json!({"valueRange": {}}))).is_some());
    for status in ["registered", "cancelled", "entered-in-error"] {
        assert!(left_out("Observation", &with(json!({"status": status, "valueInteger": 1}))).is_some());
    }
    assert_eq!(refused("Observation", &with(json!({"status": "done"}))), (Reason::UnknownCode, "status"));
    assert_eq!(refused("Observation", &with(json!({"status": null}))), (Reason::Missing, "status"));
    let zero = json!({"component": [{"code": {"text": "s"}, "valueQuantity": {"value": 0}}]});
    assert_eq!(refused("Observation", &with(zero)).0, Reason::NotPositive);
    let many: Vec<Json> = (0..17).map(|n| json!({"code": {"text": "s"}, "valueInteger": n + 1})).collect();
    assert_eq!(refused("Observation", &with(json!({"component": many}))), (Reason::TooMany, "component"));
    let group = with(json!({"valueInteger": 1}));
    let mut group_of = group.clone();
    group_of["subject"] = json!({"reference": "Group/g"});
    assert_eq!(left_out("Observation", &group_of), Some("subject is not a patient"));
}

#[test]
fn an_immunization_with_lot_and_expiry() {
    let with = |status: &str| {
        about(
            "patient",
            json!({"status": status, "vaccineCode": {"coding": [
        {"system": "urn:ndc", "code": "1"}, {"system": CVX, "code": "24"}]}, "occurrenceDateTime": "2020",
        "lotNumber": "L1", "expirationDate": "2021-02", "site": {"text": "arm"}, "doseQuantity": {"value": 0.5, "unit": "mL"}}),
        )
    };
    statement("Immunization", &with("not-done"), |said| {
        let Statement::Immunization(given) = said else { panic!() };
        assert_eq!((given.vaccine.code, given.given, given.lot, given.site), ("24", Given::NotDone, "L1", "arm"));
        assert_eq!(given.dose.unwrap().to_string(), "0.5 mL");
    });
    assert_eq!(refused("Immunization", &with("given")), (Reason::UnknownCode, "status"));
    assert_eq!(refused("Immunization", &with("")), (Reason::Missing, "status"));
}

fn dispense(more: &Json) -> Json {
    let mut value = about("subject", json!({"status": "completed", "medicationCodeableConcept": {"text": "cipro"}}));
    more.as_object().unwrap().iter().for_each(|(key, member)| value[key] = member.clone());
    value
}

#[test]
fn a_dispense_finds_its_medication_wherever_it_is() {
    let contained = json!([{"resourceType": "Medication", "id": "x", "code": {"text": "wrong"}},
        {"resourceType": "Medication", "id": "c", "code": {"text": "contained"}, "batch": {"lotNumber": "C1", "expirationDate": "2027-01-31T00:00:00Z"}}]);
    for (reference, product, lot) in [
        (json!({"reference": "#c"}), "contained", "C1"),
        (json!({"reference": "Medication/m1"}), "doxy", "M1"),
        (json!({"reference": "urn:uuid:m1", "display": "other"}), "doxy", "M1"),
        (json!({"reference": "Medication/absent", "display": "shown"}), "shown", ""),
        (json!({"display": "shown"}), "shown", ""),
    ] {
        let value = dispense(
            &json!({"medicationCodeableConcept": null, "medicationReference": reference, "contained": contained}),
        );
        statement("MedicationDispense", &value, |said| {
            let Statement::Dispense(dispense) = said else { panic!() };
            assert_eq!((dispense.product.shown(), dispense.lot), (product, lot));
        });
    }
    for reference in [json!({"reference": "Medication/absent"}), json!({}), json!({"reference": "#absent"})] {
        let value = dispense(&json!({"medicationCodeableConcept": null, "medicationReference": reference}));
        assert_eq!(refused("MedicationDispense", &value), (Reason::Missing, "medicationReference"));
    }
}

#[test]
fn the_days_of_a_supply_are_whole_days() {
    let days = |supply: Json| dispense(&json!({"daysSupply": supply}));
    statement("MedicationDispense", &days(json!({"value": 30.0, "unit": "Day", "code": "d"})), |said| {
        let Statement::Dispense(dispense) = said else { panic!() };
        assert_eq!(dispense.days, Some(30));
    });
    for (supply, reason) in [
        (json!({"value": 0}), Reason::NotPositive),
        (json!({"value": -3}), Reason::NotPositive),
        (json!({"value": 2.5}), Reason::TooFine),
        (json!({"value": 3_651}), Reason::TooLarge),
        (json!({"value": 70_000}), Reason::TooLarge),
        (json!({"value": 4, "unit": "wk"}), Reason::UnknownCode),
        (json!({"value": 4, "comparator": ">"}), Reason::Modifier),
    ] {
        assert_eq!(refused("MedicationDispense", &days(supply)).0, reason);
    }
}

#[test]
fn a_dispense_that_was_not_handed_over_is_left_out_and_a_receiver_is_somebody_else() {
    for status in
        ["preparation", "in-progress", "cancelled", "on-hold", "entered-in-error", "stopped", "declined", "unknown"]
    {
        assert!(
            left_out("MedicationDispense", &dispense(&json!({"status": status})))
                .is_some_and(|why| why.ends_with(status))
        );
    }
    for (receivers, patient, display) in [
        (json!([{"reference": "Patient/p"}, {"reference": "Patient/q"}]), "q", ""),
        (json!([{"reference": "Practitioner/x", "display": "Joe"}]), "", "Joe"),
        (json!([{"reference": "Practitioner/x"}, {"display": "Ann"}]), "", "Ann"),
    ] {
        let (receiver, _) =
            reading("MedicationDispense", &dispense(&json!({"receiver": receivers})), |said| match said {
                Said::Fact(draft) => draft.receiver.map(|r| (r.patient.to_owned(), r.display.to_owned())),
                other => panic!("{other:?}"),
            });
        assert_eq!(receiver.unwrap(), Some((patient.to_owned(), display.to_owned())));
    }
}

#[test]
fn our_own_kinds_of_facts_need_what_they_are_about() {
    let basic = |code: &str| about("subject", json!({"code": {"coding": [{"system": FACT, "code": code}]}}));
    assert_eq!(refused("Basic", &basic("note")).0, Reason::Missing);
    assert_eq!(refused("Basic", &basic("refutation")).0, Reason::Missing);
    assert_eq!(refused("Basic", &basic("something")), (Reason::UnknownCode, "code"));
    statement("Basic", &basic("deceased"), |said| assert_eq!(*said, Statement::Deceased));
}

#[test]
fn medications_are_bounded() {
    let mut medications = Medications::default();
    let value = json!({"code": {"text": "x".repeat(8_000)}});
    for n in 0..3_000 {
        let reading = Reading::new();
        medications.remember(&format!("m{n}"), Medication::read(reading.root(&value)).unwrap());
    }
    let late = dispense(
        &json!({"medicationCodeableConcept": null, "medicationReference": {"reference": "Medication/m2999", "display": "late"}}),
    );
    let reading = Reading::new();
    let Said::Fact(draft) = read_fact("MedicationDispense", reading.root(&late), &medications).unwrap() else {
        panic!()
    };
    let Statement::Dispense(dispense) = draft.statement else { panic!() };
    assert_eq!(dispense.product.display, "late");
}

//! Tests of reading patients.

use super::*;
use crate::clock::Precision;
use crate::exchange::fhir::Reading;
use serde_json::{Value, json};

/// Reads a patient; gives what `show` says of it with the paths that were not read.
fn reading<T>(value: &Value, show: impl Fn(&PatientRecord<'_>) -> T) -> (Result<T, Refusal>, Vec<(String, u64)>) {
    let reading = Reading::new();
    let record = read(reading.root(value));
    let shown = record.map(|record| show(&record));
    (shown, reading.left(value, "Patient").unwrap().into_iter().collect())
}

fn settings(value: &Value) -> String {
    reading(value, |record| format!("{:?}", record.settings)).0.unwrap()
}

fn refused(value: &Value) -> Refusal {
    reading(value, |_| ()).0.unwrap_err()
}

#[test]
fn a_patient_of_a_hospital_system_is_read_to_the_last_register() {
    let value = json!({
        "extension": [{"url": "http://x/race", "valueString": "x"}],
        "identifier": [
            {"system": "urn:s", "value": "1"},
            {"type": {"coding": [{"system": IDENTIFIER_TYPE, "code": "MR", "display": "Medical Record Number"}],
                "text": "Medical Record Number"}, "system": "urn:h", "value": "2"},
            {"system": "urn:empty"}
        ],
        "name": [{"use": "official", "family": "Doe", "given": ["Jane", "B"], "prefix": ["Ms."]}],
        "telecom": [{"system": "phone", "value": "555", "use": "home"}, {"system": "phone"}],
        "gender": "female", "birthDate": "1943-03",
        "address": [{"extension": [{}], "line": ["1 Main"], "city": "Bloom", "state": "KS", "postalCode": "0", "country": "US"},
            {"text": "behind the school", "use": "temp"}, {"use": "home"}],
        "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "ru-RU", "display": "Russian"}],
            "text": "Russian"}, "preferred": true}]
    });
    let (settings, left) =
        reading(&value, |record| record.settings.iter().map(|s| format!("{s:?}")).collect::<Vec<_>>());
    let settings = settings.unwrap();
    assert_eq!(settings.len(), 9);
    assert!(settings[3].contains("\"1\"") && settings[4].contains("Some(\"MR\")"), "{settings:?}");
    assert!(settings[6].contains("Bloom") && settings[7].contains("behind the school"), "{settings:?}");
    assert_eq!(
        left,
        [
            ("Patient.address", 1),
            ("Patient.address.extension", 1),
            ("Patient.extension", 1),
            ("Patient.identifier", 1),
            ("Patient.identifier.type.coding.display", 1),
            ("Patient.identifier.type.text", 1),
            ("Patient.name.prefix", 1),
            ("Patient.telecom", 1),
        ]
        .map(|(path, times)| (path.to_owned(), times))
    );
}

#[test]
fn of_two_elements_with_one_key_the_first_counts_and_the_other_is_named() {
    let value = json!({"name": [
        {"use": "official", "family": "Doe"}, {"use": "maiden", "family": "Doe"}, {"use": "official", "family": "Doe"}]});
    let (count, left) = reading(&value, |record| record.settings.len());
    assert_eq!((count, left), (Ok(1), vec![("Patient.name".to_owned(), 1)]));
}

#[test]
fn a_death_is_read_by_time_or_without_and_taken_back() {
    for (value, expected) in [
        (json!({}), Death::NotSaid),
        (json!({"deceasedBoolean": true}), Death::Died(TIME_NOT_KNOWN)),
        (json!({"deceasedBoolean": false}), Death::Alive),
        (
            json!({"deceasedDateTime": "2020"}),
            Death::Died(EffectiveTime::stated(1_577_836_800_000, 0, Precision::Year).unwrap()),
        ),
    ] {
        assert_eq!(reading(&value, |record| record.death).0.unwrap(), expected);
    }
}

#[test]
fn closed_lists_are_closed() {
    for (value, element) in [
        (json!({"gender": "Female"}), "gender"),
        (json!({"gender": "m"}), "gender"),
        (json!({"name": [{"use": "alias", "text": "x"}]}), "use"),
        (json!({"telecom": [{"system": "pigeon", "value": "x"}]}), "system"),
        (json!({"address": [{"use": "mobile", "city": "x"}]}), "use"),
        (json!({"extension": [{"url": EXTENSION_CONCURRENT, "valueCode": "x"}]}), "valueCode"),
    ] {
        assert_eq!(refused(&value), Refusal::new(Reason::UnknownCode, element));
    }
}

#[test]
fn the_source_is_told_by_the_identifier_that_is_the_id_or_by_a_book() {
    let tell = |value: &Value| {
        let reading = Reading::new();
        source_of(reading.root(value), "p").unwrap().map(str::to_owned)
    };
    let own =
        json!({"identifier": [{"system": "urn:a", "value": "x"}, {"value": "p"}, {"system": "urn:b", "value": "p"}]});
    assert_eq!(tell(&own).as_deref(), Some("urn:b"));
    let book = format!("{SOURCE_PREFIX}00");
    assert_eq!(tell(&json!({"meta": {"source": book}})), Some(book));
    assert_eq!(tell(&json!({"meta": {"source": "http://x"}})), None);
    assert_eq!(tell(&json!({})), None);
}

#[test]
fn any_unicode_is_kept_byte_by_byte() {
    for text in ["王小明", "\u{202e}abc", "e\u{301}", "\u{0}\u{7f}", "👩‍⚕️", "مرحبا", "\u{fffd}"] {
        assert!(settings(&json!({"name": [{"text": text}]})).contains(&format!("text: {text:?}")), "{text:?}");
    }
}

#[test]
fn without_any_register_the_sex_is_said_to_be_unknown() {
    assert_eq!(settings(&json!({})), "[Sex(Some(Unknown))]");
}

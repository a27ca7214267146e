//! What a shift must raise, from what was written alone: none of the program's own rules is called here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// How often each kind is raised, by the tag of the patient; empty where it is about none or two.
pub type Raised = BTreeMap<(String, String), usize>;

const DAY_MS: i64 = 86_400_000;
const CLASSES: [(&str, &str); 8] = [
    ("doxycycline", "tetracycline"),
    ("ciprofloxacin", "quinolone"),
    ("levofloxacin", "quinolone"),
    ("amoxicillin", "penicillin"),
    ("clindamycin", "lincosamide"),
    ("penicillin", "penicillin"),
    ("tetracycline", "tetracycline"),
    ("fluoroquinolones", "quinolone"),
];

fn class(name: &str) -> Option<&'static str> {
    let first = name.split(' ').next().unwrap();
    CLASSES.iter().find(|(word, _)| *word == first).map(|(_, class)| *class)
}

fn text<'a>(act: &'a Value, key: &str) -> &'a str {
    act[key].as_str().unwrap()
}

fn at_ms(act: &Value) -> i64 {
    text(act, "at").parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// What all acts together must raise.
pub fn findings(answer: &Value) -> Raised {
    let acts: Vec<&Value> = answer["acts"].as_array().unwrap().iter().filter(|a| a["written"] == true).collect();
    let of = |kind: &str| -> Vec<&Value> { acts.iter().filter(|a| a["kind"] == kind).copied().collect() };
    let wrong = |act: &Value| {
        let device = answer["devices"].as_array().unwrap().iter().find(|d| d["number"] == act["device"]).unwrap();
        device["clock_off_days"].as_i64().unwrap() > 30
    };
    let mut raised = Raised::new();
    let mut raise = |kind: &str, tag: &str| *raised.entry((kind.to_owned(), tag.to_owned())).or_default() += 1;
    let weights = of("weight");
    for (place, act) in ["dispense", "allergy", "weight"].into_iter().flat_map(|kind| of(kind).into_iter().enumerate())
    {
        // Whoever weighs again has taken note of the first weight, which is no longer looked at.
        let again = |later: &&Value| later["device"] == act["device"] && later["patient"] == act["patient"];
        let stands = act["kind"] != "weight" || !weights[place + 1..].iter().any(again);
        if stands && wrong(act) {
            raise("implausible-time", text(act, "patient"));
        }
    }
    let mut dispenses = of("dispense");
    dispenses.sort_by_key(|act| at_ms(act));
    for (place, first) in dispenses.iter().enumerate() {
        let same = |second: &&&Value| {
            second["patient"] == first["patient"] && class(text(second, "what")) == class(text(first, "what"))
        };
        for second in dispenses[place + 1..].iter().filter(same) {
            let supply = first["days"].as_i64().unwrap() * DAY_MS;
            let left = at_ms(first) + supply - at_ms(second);
            if wrong(first) || wrong(second) || left > (2 * DAY_MS).min(supply / 2) {
                raise("DUPTHPY", text(first, "patient"));
            }
        }
        for allergy in of("allergy").iter().filter(|allergy| allergy["patient"] == first["patient"]) {
            match class(text(allergy, "what")) {
                None => raise("allergy-not-checked", text(first, "patient")),
                Some(allergic) if class(text(first, "what")) == Some(allergic) => raise("DALG", text(first, "patient")),
                Some(_) => {}
            }
        }
    }
    for kind in ["sex", "birth", "weight"] {
        let mut last: BTreeMap<&str, BTreeMap<i64, &str>> = BTreeMap::new();
        for act in of(kind) {
            let of_patient = last.entry(text(act, "patient")).or_default();
            of_patient.insert(act["device"].as_i64().unwrap(), text(act, "value"));
        }
        for (tag, values) in last {
            if values.values().collect::<BTreeSet<_>>().len() > 1 {
                raise("concurrent-values", tag);
            }
        }
    }
    let mut stock: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for (kind, sign) in [("receive", 1), ("dispense", -1)] {
        for act in of(kind) {
            let units: i64 = text(act, "value").parse().unwrap();
            *stock.entry((text(act, "what"), text(act, "place"))).or_default() += sign * units;
        }
    }
    stock.values().filter(|units| **units < 0).for_each(|_| raise("stock-negative", ""));
    let patients = of("patient");
    let cards: Vec<&str> = patients.iter().map(|a| text(a, "what")).filter(|card| !card.is_empty()).collect();
    for (place, card) in cards.iter().enumerate() {
        cards[place + 1..].iter().filter(|other| *other == card).for_each(|_| raise("possibly-same-person", ""));
    }
    raised
}

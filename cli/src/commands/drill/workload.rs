//! The shift: what is written on which device, drawn from a seed. Keys and ids never come from it.
//!
//! Four things happen in every shift: a patient gets the same medication from two devices, a device hands out
//! what an allergy forbids that only another knows, two devices change one record, and one clock is wrong.

use daybook_core::clock::DAY_MS;

/// What is handed out; all of it is in the medication table.
const PRODUCTS: [&str; 5] = [
    "doxycycline 100 MG Oral Tablet",
    "ciprofloxacin 500 MG Oral Tablet",
    "levofloxacin 500 MG Oral Tablet",
    "amoxicillin 500 MG Oral Capsule",
    "clindamycin 300 MG Oral Capsule",
];
const DOXYCYCLINE: &str = "doxycycline 100 MG Oral Tablet";
const CIPROFLOXACIN: &str = "ciprofloxacin 500 MG Oral Tablet";
const AMOXICILLIN: &str = "amoxicillin 500 MG Oral Capsule";
const SUBSTANCES: [&str; 4] = ["penicillin", "tetracycline", "fluoroquinolones", "sulfa drugs"];
const FAMILIES: [&str; 8] = ["Okafor", "Tanaka", "García", "Svensson", "Haddad", "Nguyen", "Kowalski", "Byrne"];
const GIVEN: [&str; 8] = ["Ada", "Kenji", "María", "Elin", "Youssef", "Linh", "Jan", "Aoife"];
/// Acts of a shift for each patient.
const ACTS_PER_PATIENT: usize = 2;

/// A patient as first registered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Person {
    /// Wristband tag.
    pub tag: String,
    /// A card that somebody else may have registered too; empty if there is none.
    pub card: String,
    /// Family name.
    pub family: &'static str,
    /// Given name.
    pub given: &'static str,
    /// Birth date.
    pub birth: String,
    /// Sex, in FHIR's word.
    pub sex: &'static str,
}

/// What one act writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// Registers somebody new.
    Patient(Person),
    /// Takes stock in.
    Receive { product: &'static str, units: u64, place: String },
    /// Hands out, now or as a note of what was handed out some days ago.
    Dispense { product: &'static str, days: u16, place: String, days_ago: Option<i64> },
    /// Writes down an allergy.
    Allergy(&'static str),
    /// Writes down a weight in kilograms.
    Weight(String),
    /// Changes the sex.
    Sex(&'static str),
    /// Changes the birth date.
    Birth(String),
}

/// One act of one device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Act {
    /// The device, from 1.
    pub device: usize,
    /// Tag of the patient; empty for stock.
    pub tag: String,
    /// What it writes.
    pub what: What,
}

/// A whole exercise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// What the first device writes before all part: patients and stock.
    pub before: Vec<Act>,
    /// What each writes while apart.
    pub shift: Vec<Act>,
    /// By how much the clock of each device is wrong.
    pub clocks_off_ms: Vec<i64>,
}

/// The draws of a seed (splitmix64).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or_default()
    }

    fn one_of(&mut self, all: &[&'static str]) -> &'static str {
        let place = self.below(all.len());
        all.get(place).copied().unwrap_or_default()
    }

    /// Two different devices, from 1.
    fn two_of(&mut self, devices: usize) -> (usize, usize) {
        let one = self.below(devices);
        let other = (one + 1 + self.below(devices - 1)) % devices;
        (one + 1, other + 1)
    }

    fn birth(&mut self) -> String {
        format!("{}-{:02}-{:02}", 1935 + self.below(85), 1 + self.below(12), 1 + self.below(28))
    }

    fn person(&mut self, tag: String, card: String) -> Person {
        let (family, given) = (self.one_of(&FAMILIES), self.one_of(&GIVEN));
        Person { tag, card, family, given, birth: self.birth(), sex: self.one_of(&["female", "male"]) }
    }

    /// An act that is not one of the four of every shift.
    fn what(&mut self, device: usize) -> What {
        match self.below(10) {
            0..=4 => {
                let days_ago = (self.below(4) == 0).then(|| i64::try_from(1 + self.below(12)).unwrap_or(1));
                let days = [1, 3, 7, 10, 14].get(self.below(5)).copied().unwrap_or(1);
                What::Dispense { product: self.one_of(&PRODUCTS), days, place: place_of(device), days_ago }
            }
            5 => What::Allergy(self.one_of(&SUBSTANCES)),
            6 | 7 => What::Weight(format!("{}.{}", 40 + self.below(60), 1 + self.below(9))),
            8 => What::Sex(self.one_of(&["female", "male", "other"])),
            _ => What::Birth(self.birth()),
        }
    }
}

/// Where a device hands out from.
fn place_of(device: usize) -> String {
    format!("tent {device}")
}

fn tag(number: usize) -> String {
    format!("T-{number:04}")
}

/// Draws an exercise of at least 4 patients and 2 devices.
#[must_use]
pub fn draw(seed: u64, patients: usize, devices: usize) -> Plan {
    let mut draw = Draw(seed);
    let mut before = Vec::new();
    for number in 1..=patients {
        let person = draw.person(tag(number), String::new());
        before.push(Act { device: 1, tag: person.tag.clone(), what: What::Patient(person) });
    }
    let share = 1 + patients * ACTS_PER_PATIENT / (devices * PRODUCTS.len());
    for (place, product) in (1..=devices).flat_map(|device| PRODUCTS.map(|product| (place_of(device), product))) {
        // Now and then too little: stock below zero is a finding too.
        let units = u64::try_from((5 + draw.below(60)) * share).unwrap_or(u64::MAX);
        before.push(Act { device: 1, tag: String::new(), what: What::Receive { product, units, place } });
    }
    let mut clocks_off_ms = vec![0; devices];
    let wrong = 2 + draw.below(devices - 1);
    if let Some(clock) = clocks_off_ms.get_mut(wrong - 1) {
        *clock = i64::try_from(1 + draw.below(12)).unwrap_or(1) * 365 * DAY_MS;
    }
    let mut shift = every_shift(&mut draw, devices, wrong);
    let (one, other) = draw.two_of(devices);
    for device in [one, other] {
        let person = draw.person(format!("N-{device:04}"), "C-4711".to_owned());
        shift.push(Act { device, tag: person.tag.clone(), what: What::Patient(person) });
    }
    for _ in 0..patients * ACTS_PER_PATIENT {
        let device = 1 + draw.below(devices);
        let patient = tag(1 + draw.below(patients));
        shift.push(Act { device, tag: patient, what: draw.what(device) });
    }
    // Devices that are apart have no common order.
    shift.sort_by_key(|act| act.device);
    Plan { before, shift, clocks_off_ms }
}

/// The four things that happen in every shift, to four patients.
fn every_shift(draw: &mut Draw, devices: usize, wrong: usize) -> Vec<Act> {
    let dispense = |device, product| What::Dispense { product, days: 10, place: place_of(device), days_ago: None };
    let act = |device, patient, what| Act { device, tag: tag(patient), what };
    let (twice, allergy, edit) = (draw.two_of(devices), draw.two_of(devices), draw.two_of(devices));
    vec![
        act(twice.0, 1, dispense(twice.0, DOXYCYCLINE)),
        act(twice.1, 1, dispense(twice.1, DOXYCYCLINE)),
        act(allergy.0, 2, What::Allergy("penicillin")),
        act(allergy.1, 2, dispense(allergy.1, AMOXICILLIN)),
        act(edit.0, 3, What::Birth("1987-04-03".to_owned())),
        act(edit.1, 3, What::Birth("1978-04-03".to_owned())),
        act(wrong, 4, dispense(wrong, CIPROFLOXACIN)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_shift_again_and_another_one_another() {
        assert_eq!(draw(7, 24, 3), draw(7, 24, 3));
        assert_ne!(draw(7, 24, 3), draw(8, 24, 3));
    }

    #[test]
    fn every_shift_has_what_a_drill_must_show() {
        for seed in 0..200 {
            let devices = 2 + usize::try_from(seed % 11).unwrap();
            let plan = draw(seed, 4, devices);
            assert_eq!(plan.clocks_off_ms.iter().filter(|off| **off != 0).count(), 1);
            assert_eq!(plan.clocks_off_ms[0], 0, "the first device's clock is right");
            let by = |tag: &str, is: fn(&What) -> bool| {
                let mut devices: Vec<usize> =
                    plan.shift.iter().filter(|a| a.tag == tag && is(&a.what)).map(|a| a.device).collect();
                devices.dedup();
                devices.len()
            };
            assert!(by("T-0001", |w| matches!(w, What::Dispense { product: DOXYCYCLINE, .. })) >= 2);
            assert!(by("T-0002", |w| matches!(w, What::Allergy("penicillin"))) >= 1);
            assert!(by("T-0003", |w| matches!(w, What::Birth(_))) >= 2);
        }
    }
}

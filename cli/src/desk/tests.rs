//! The desk on a real book, with a script in place of a person and a clock that the script sets.

use std::collections::VecDeque;

use daybook_core::daybook::NewIncident;
use tempfile::TempDir;

use super::*;
use crate::args::Global;
use crate::host::SystemHost;
use crate::output::Output;
use crate::passphrase::Passphrase;

const PASSPHRASE: &str = "four words or more";

enum Step {
    /// A line at once.
    Line(&'static str),
    /// Nothing for so many minutes, then what follows.
    Idle(i64),
    /// A line, after the computer slept for so many minutes.
    LineAfterSleep(i64, &'static str),
}

use Step::{Idle, Line, LineAfterSleep};

struct Script {
    steps: VecDeque<Step>,
    now_ms: i64,
    said: Vec<String>,
}

impl Console for Script {
    fn hear(&mut self, _: Duration) -> Heard {
        match self.steps.pop_front() {
            None => Heard::End,
            Some(Line(line)) => Heard::Line(Zeroizing::new(line.to_owned())),
            Some(LineAfterSleep(minutes, line)) => {
                self.now_ms += minutes * 60_000;
                Heard::Line(Zeroizing::new(line.to_owned()))
            }
            Some(Idle(minutes)) => {
                self.now_ms += minutes * 60_000;
                Heard::Silence
            }
        }
    }

    fn now_ms(&mut self) -> i64 {
        self.now_ms
    }

    fn passphrase(&mut self) -> Result<Option<Passphrase>, Failure> {
        Ok(match self.steps.pop_front() {
            Some(Line(line)) => Some(Zeroizing::new(line.as_bytes().to_vec())),
            _ => None,
        })
    }

    fn show(&mut self, reply: &Reply, output: &Output) -> io::Result<()> {
        self.said.push(output.render(reply));
        Ok(())
    }

    fn tell(&mut self, failure: &Failure, _: &Output) {
        self.said.push(format!("FAILED {}\n", failure.code()));
    }

    fn prompt(&mut self, _: &str) {}

    fn wipe(&mut self) {
        self.said.push("WIPED\n".to_owned());
    }

    fn attended(&self) -> bool {
        true
    }
}

/// Serves a script on a fresh book, and gives what was said line by line, or the code of the failure.
fn served(steps: impl IntoIterator<Item = Step>) -> Result<Vec<String>, String> {
    let folder = TempDir::new().unwrap();
    let book = folder.path().join("book");
    let new = NewIncident {
        incident: "Valley flood 2026".to_owned(),
        organisation: "County Health".to_owned(),
        person: "R. Alvarez".to_owned(),
        exercise: false,
    };
    let (open, _) = Daybook::create(&book, PASSPHRASE.as_bytes(), &new, SystemHost::boxed()).unwrap();
    let mut context = Context::new(Global { book: Some(book), passphrase_file: None, json: false });
    let script = Script { steps: steps.into_iter().collect(), now_ms: 1_000_000, said: Vec::new() };
    let desk = Desk::new(script, &mut context, open, "tent 1".to_owned());
    let console = desk.serve().map_err(|failure| failure.code().to_owned())?;
    Ok(console.said.concat().lines().map(str::to_owned).collect())
}

/// The first line that contains a text.
fn line<'a>(said: &'a [String], what: &str) -> &'a str {
    said.iter().find(|line| line.contains(what)).unwrap_or_else(|| panic!("no {what:?} in {said:#?}"))
}

#[test]
fn one_patient_after_the_other() {
    let said = served([
        Line("T-1017"),
        Line("new García, María; 1980-02; f"),
        Line("allergy bee stings"),
        Line("weight 160 lb"),
        Line("dispense doxycycline 100 mg; 20 tablet; 10 days; lot A123"),
        Line(""),
        Line("next"),
        Line("weight 3 kg"),
        Line("T-1017"),
        Line("garcía"),
        Line("nonsense"),
        Line("quit"),
        Line("never read"),
    ])
    .unwrap();
    line(&said, "FAILED no-such-patient");
    line(&said, "registered ");
    line(&said, "allergy bee stings");
    line(&said, "160 lb (72.575 kg)");
    line(&said, "WARNING allergy-not-checked");
    line(&said, "not dispensed; nothing was written");
    line(&said, "FAILED no-patient");
    assert_eq!(said.iter().filter(|l| l.contains("García, María  female  born 1980-02  T-1017")).count(), 2);
    assert_eq!(said.iter().filter(|l| l.contains("ALLERGIES: bee stings")).count(), 2);
    assert!(!said.iter().any(|l| l.contains("last dispensed")));
    assert_eq!(said.last().unwrap(), "locked; good-bye");
}

#[test]
fn a_second_bottle_needs_a_reason() {
    let bottle = "dispense doxycycline 100 mg; 20 tablet; 10 days";
    let said = served([
        Line("new ;;;T-1"),
        Line("allergy none"),
        Line(bottle),
        Line(bottle),
        Line("first bottle lost"),
        Line("T-1"),
    ])
    .unwrap();
    line(&said, "WARNING DUPTHPY");
    line(&said, "in spite of a warning: first bottle lost");
    let shown = line(&said, "last dispensed: ");
    assert_eq!(shown.matches("20 tablet for 10 days").count(), 2, "{shown}");
    line(&said, "! DUPTHPY");
}

#[test]
fn five_idle_minutes_lock_and_forget() {
    let said = served([
        Line("new Okoye, Chidi"),
        Idle(4),
        Line("weight 72 kg"),
        Idle(4),
        Idle(1),
        Line("wrong passphrase"),
        Line(PASSPHRASE),
        Line("weight 73 kg"),
    ])
    .unwrap();
    let place = |what: &str| said.iter().position(|l| l.contains(what)).unwrap_or_else(|| panic!("{what}: {said:#?}"));
    assert!(place("72 kg") < place("WIPED") && place("WIPED") < place("locked after five idle minutes"));
    assert!(place("locked after") < place("FAILED wrong-passphrase"));
    assert!(place("FAILED wrong-passphrase") < place("FAILED no-patient"), "the patient was forgotten");
    assert!(!said.iter().any(|l| l.contains("73 kg")));
}

#[test]
fn a_line_typed_after_the_computer_slept_is_not_obeyed() {
    let said = served([Line("new Okoye, Chidi"), LineAfterSleep(6, "allergy marker"), Line(PASSPHRASE), Line("okoye")])
        .unwrap();
    line(&said, "locked after five idle minutes");
    assert!(!said.iter().any(|l| l.contains("marker")));
    line(&said, "allergies: NOT ASKED");
}

#[test]
fn a_dispense_that_waits_for_a_reason_does_not_survive_a_lock() {
    let said = served([
        Line("new ;;;T-1"),
        Line("allergy bees"),
        Line("dispense unheard of; 1 tablet"),
        Idle(5),
        Line(PASSPHRASE),
        Line("because I say so"),
        Line("T-1"),
    ])
    .unwrap();
    line(&said, "WARNING");
    assert!(!said.iter().any(|l| l.contains("last dispensed")));
}

#[test]
fn a_clock_that_is_set_back_neither_locks_nor_keeps_open() {
    let said = served([Line("new A"), Idle(-600), Line("weight 72 kg"), Idle(5), Line(PASSPHRASE)]).unwrap();
    line(&said, "72 kg");
    line(&said, "locked after five idle minutes");
}

#[test]
fn five_wrong_passphrases_end_the_desk() {
    let mut steps = vec![Line("lock")];
    steps.extend((0..5).map(|_| Line("guess")));
    assert_eq!(served(steps).unwrap_err(), "wrong-passphrase");
    assert!(served([Line("lock")]).unwrap().contains(&"locked".to_owned()), "the end of the lines is no failure");
}

//! A process that writes into a book for the tests that kill it, let two of it meet, or fill its disk.
//!
//! ```text
//! writer FOLDER PASSPHRASE SEED COUNT     says "open", waits for a line, then writes COUNT commits and says of
//!                                         each, once it is durable: KIND ENTRIES CODE PATIENTS-SEEN
//! writer plant FOLDER PASSPHRASE WORD...  founds a book, writes the words wherever people write words, provokes
//!                                         errors and prints everything that may be logged; waits before it ends
//! ```
//! An error of the first is the last line: `error CODE KIND`. Nothing else is printed.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "test code stops at what cannot be")]

use daybook_core::clock::EffectiveTime;
use daybook_core::daybook::{Daybook, Error, NewIncident, Say, Written};
use daybook_core::exchange::{ImportOptions, Source};
use daybook_core::id::PatientId;
use daybook_core::record::*;
use daybook_tests::host::{START_MS, SeededHost};
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [plant, folder, passphrase, words @ ..] = arguments.as_slice()
        && plant == "plant"
    {
        return Planter::new(Path::new(folder), passphrase, words).run();
    }
    let [folder, passphrase, seed, count] = arguments.as_slice() else { panic!("four arguments") };
    let (seed, count): (u64, u64) = (seed.parse().unwrap(), count.parse().unwrap());
    if let Err(error) = run(Path::new(folder), passphrase.as_bytes(), seed, count) {
        say(&format!("error {} {:?}", error.code(), error.kind()));
        std::process::exit(1);
    }
}

/// One line, gone from this process before anything else happens.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("somebody reads");
}

fn run(folder: &Path, passphrase: &[u8], seed: u64, count: u64) -> Result<(), Error> {
    let host = SeededHost::new(seed).at(START_MS + i64::try_from(seed).unwrap_or(0) * 1_000);
    let mut book = Daybook::open(folder, passphrase, Box::new(host))?;
    let shared = book.resolve_patient("shared")?;
    say("open");
    std::io::stdin().lock().lines().next().expect("a line").expect("text");
    let mut patient = shared;
    for number in 0..count {
        let (kind, entries, code) = match number % 4 {
            0 => {
                let tag = format!("{seed}-{number}");
                let tag = Setting::Identifier(Identifier { system: "tag", value: &tag }, Some(""));
                let written = book.add_patient(&[tag, Setting::Sex(Some(Sex::Other))])?;
                patient = written.value;
                told("patient", &written, written.entries.first().map_or("", |code| &code.0))
            }
            1 => {
                let text = format!("note {number} of {seed}");
                let statement = Statement::Note { text: &text };
                let written =
                    book.say(Some(patient), Say { statement, effective: None, targets: Vec::new(), reason: "" })?;
                told("note", &written, &written.value.entry.0)
            }
            2 => {
                let birth = PartialDate::new(u16::try_from(1_900 + (seed + number) % 120).unwrap(), None, None);
                let written = book.edit_patient(shared, &[Setting::Birth(birth)])?;
                told("edit", &written, written.entries.first().map_or("", |code| &code.0))
            }
            _ => {
                let written = dispense(&mut book, patient)?;
                told("dispense", &written, &written.value.entry.0)
            }
        };
        let seen = book.status()?.patients;
        say(&format!("{kind} {entries} {code} {seen}"));
    }
    Ok(())
}

fn told<T>(kind: &'static str, written: &Written<T>, code: &str) -> (&'static str, usize, String) {
    (kind, written.entries.len(), code.to_owned())
}

fn dispense(book: &mut Daybook, patient: PatientId) -> Result<Written<daybook_core::daybook::FactView>, Error> {
    let dispense = Dispense {
        product: Coded::text("Paracetamol 500 mg"),
        quantity: Quantity::parse("1", "box").ok(),
        lot: "L1",
        expiry: None,
        days: Some(1),
        receiver: None,
        place: "",
        heads: Vec::new(),
        override_reason: "a test",
    };
    book.dispense(patient, &dispense, None)
}

/// Writes words that are found nowhere else into every place where people write words.
struct Planter<'a> {
    folder: PathBuf,
    passphrase: &'a [u8],
    words: std::slice::Iter<'a, String>,
    book: Daybook,
}

impl<'a> Planter<'a> {
    fn new(folder: &Path, passphrase: &'a str, words: &'a [String]) -> Self {
        let mut words = words.iter();
        let mut word = || words.next().unwrap().clone();
        let new = NewIncident { incident: word(), organisation: word(), person: word(), exercise: true };
        let (book, seed) = Daybook::create(folder, passphrase.as_bytes(), &new, Box::new(SeededHost::new(1))).unwrap();
        say(&format!("{book:?} {seed:?}"));
        Self { folder: folder.to_owned(), passphrase: passphrase.as_bytes(), words, book }
    }

    fn word(&mut self) -> &'a str {
        self.words.next().expect("a word for each place")
    }

    fn run(mut self) {
        let patient = self.record();
        self.facts(patient);
        self.stock_and_dispense(patient);
        self.import();
        self.errors(patient);
        assert_eq!(self.words.next(), None, "a word was not planted");
        say("planted");
        std::io::stdin().lock().lines().next();
    }

    fn record(&mut self) -> PatientId {
        let name = Name { family: self.word(), given: vec![self.word(), self.word()], text: self.word() };
        let address = Address {
            lines: vec![self.word()],
            city: self.word(),
            district: self.word(),
            state: self.word(),
            postal_code: self.word(),
            country: self.word(),
        };
        let settings = [
            Setting::Name(name, Some(self.word())),
            Setting::Identifier(Identifier { system: self.word(), value: self.word() }, Some(self.word())),
            Setting::Telecom(Telecom { system: self.word(), value: self.word() }, Some(self.word())),
            Setting::Address(address, Some(self.word())),
            Setting::Language(self.word(), None),
        ];
        let patient = self.book.add_patient(&settings).unwrap().value;
        let other = self.book.add_patient(&settings[..1]).unwrap().value;
        let role = self.word();
        self.book.join_household(other, patient, role).unwrap();
        patient
    }

    fn coded(&mut self) -> Coded<'a> {
        Coded { system: self.word(), code: self.word(), display: self.word() }
    }

    fn fact(&mut self, patient: PatientId, statement: Statement<'_>) -> String {
        let say = Say { statement, effective: None, targets: Vec::new(), reason: "" };
        self.book.say(Some(patient), say).unwrap().value.entry.0
    }

    fn facts(&mut self, patient: PatientId) {
        let (clinical, verification) = (ClinicalStatus::Active, Verification::Confirmed);
        let (substance, category, reaction) = (self.coded(), self.word(), self.word());
        let criticality = None;
        self.fact(
            patient,
            Statement::Allergy(Allergy { substance, clinical, verification, criticality, category, reaction }),
        );
        let (code, value) = (self.coded(), Value::Text(self.word()));
        let components = vec![(self.coded(), Value::Coded(self.coded()))];
        let (seen, earlier) = (Vec::new(), false);
        self.fact(patient, Statement::Observation(Observation { code, value: Some(value), components, seen, earlier }));
        let code = self.coded();
        self.fact(patient, Statement::Condition(Condition { code, clinical, verification }));
        let (vaccine, lot, site) = (self.coded(), self.word(), self.word());
        let dose = Quantity::parse("1", self.word()).ok();
        let given = Given::Completed;
        self.fact(patient, Statement::Immunization(Immunization { vaccine, given, dose, lot, expiry: None, site }));
        let text = self.word();
        let note = self.fact(patient, Statement::Note { text });
        let reason = self.word();
        self.book.refute(&note, reason).unwrap();
    }

    fn dispense_of(&mut self, product: Coded<'a>) -> Dispense<'a> {
        let receiver = Some(Receiver::Person(self.word()));
        let (lot, place, override_reason) = (self.word(), self.word(), self.word());
        let quantity = Quantity::parse("1", self.word()).ok();
        Dispense {
            product,
            quantity,
            lot,
            expiry: None,
            days: Some(5),
            receiver,
            place,
            heads: Vec::new(),
            override_reason,
        }
    }

    fn stock_and_dispense(&mut self, patient: PatientId) {
        let product = self.coded();
        let dispense = self.dispense_of(product);
        let (lot, place, there) = (self.word(), self.word(), self.word());
        let ten = Quantity::parse("10", "box").unwrap();
        self.book.stock_receive(product, lot, None, ten, place).unwrap();
        self.book.stock_move(product, lot, None, Quantity::parse("3", "box").unwrap(), place, there).unwrap();
        self.book.stock_count(product, lot, Quantity::parse_counted("1", "box").unwrap(), there).unwrap();
        // An allergy to the very product, so that findings speak of it.
        let (clinical, verification) = (ClinicalStatus::Active, Verification::Confirmed);
        let (substance, criticality, category, reaction) = (product, None, "", "");
        self.fact(
            patient,
            Statement::Allergy(Allergy { substance, clinical, verification, criticality, category, reaction }),
        );
        let unforced = Dispense { override_reason: "", ..dispense.clone() };
        told_error(&self.book.dispense(patient, &unforced, None).map(drop), "needs-override");
        let done = self.book.dispense(patient, &dispense, None).unwrap();
        assert!(!done.findings.is_empty());
        let reason = self.word();
        self.book.resolve_finding(&done.findings[0].id.to_hex(), reason).unwrap();
        let reason = self.word();
        self.book.reverse_dispense(&done.value.entry.0, reason).unwrap();
        told_error(&self.book.reverse_dispense(&done.value.entry.0, reason).map(drop), "taken-back");
    }

    fn import(&mut self) {
        let (value, family, bad) = (self.word(), self.word(), self.word());
        let text = format!(
            r#"{{"resourceType":"Patient","id":"p1","identifier":[{{"system":"urn:x","value":"{value}"}}],"name":[{{"family":"{family}"}}]}}
{{"resourceType":"Patient","id":"p2","birthDate":"{bad}","name":[{{"family":"{bad}"}}]}}
{{"resourceType":"Observation","id":"o","subject":{{"reference":"Patient/{bad}"}},"status":"{bad}"}}
{{"resourceType":"Patient","id":"p3","name":"{bad}"#
        );
        let bytes = text.into_bytes();
        let source = Source::reopenable("file.ndjson".to_owned(), || Ok(std::io::Cursor::new(bytes.clone())));
        let options = ImportOptions { source: Some("urn:test".to_owned()) };
        let report = self.book.import_fhir(vec![source], &options, &mut |_| {}).unwrap();
        assert!(report.bad_total() >= 2);
        say(&format!("{report:?}"));
        for bad in &report.bad {
            say(&format!("{bad:?} {}", bad.reason));
        }
    }

    /// Errors with words of people in what led to them, each as people and as a log would see it.
    fn errors(&mut self, patient: PatientId) {
        let word = self.word();
        let again = Name { family: word, ..Name::default() };
        for _ in 0..2 {
            self.book.add_patient(&[Setting::Name(again.clone(), Some("usual"))]).unwrap();
        }
        told_error(&self.book.resolve_patient(word).map(drop), "ambiguous-patient");
        let word = self.word();
        told_error(&self.book.resolve_patient(word).map(drop), "no-such-patient");
        told_error(&self.book.fact(word).map(drop), "no-such-entry");
        told_error(&self.book.refute(&format!("{word}-1"), word).map(drop), "no-such-entry");
        told_error(&self.book.resolve_finding(word, word).map(drop), "no-such-finding");
        let long = word.repeat(1_000);
        let statement = Statement::Note { text: &long };
        let say_it = Say { statement, effective: None, targets: Vec::new(), reason: "" };
        told_error(&self.book.say(Some(patient), say_it).map(drop), "value");
        let many: Vec<_> = (0..70).map(|_| Setting::Language(word, None)).collect();
        told_error(&self.book.edit_patient(patient, &many).map(drop), "value");
        let at = EffectiveTime::parse("2020", 0);
        let say_it = Say { statement: Statement::Note { text: "" }, effective: at, targets: Vec::new(), reason: word };
        told_error(&self.book.say(Some(patient), say_it).map(drop), "value");
        let mut letter = word.as_bytes();
        told_error(&self.book.ingest(&mut letter, &mut |_| {}).map(drop), "not-an-export");
        told_error(&Daybook::open(&self.folder, word.as_bytes(), host()).map(drop), "wrong-passphrase");
        told_error(&Daybook::open(&self.folder.join(word), self.passphrase, host()).map(drop), "no-book");
        let other = NewIncident {
            incident: word.repeat(2_000),
            organisation: word.into(),
            person: word.into(),
            exercise: true,
        };
        told_error(&Daybook::create(&self.folder.join("x"), self.passphrase, &other, host()).map(drop), "value");
        told_error(&self.book.backup(&self.folder, self.passphrase), "book-exists");
        Daybook::change_passphrase(&self.folder, self.passphrase, word.as_bytes(), host().as_mut()).unwrap();
        Daybook::change_passphrase(&self.folder, word.as_bytes(), self.passphrase, host().as_mut()).unwrap();
        self.book.rebuild(&mut |_, _| {}).unwrap();
        let report = self.book.verify(&mut |_, _| {}).unwrap();
        let digest = self.book.digest().unwrap();
        say(&format!("{report:?} {:?} {digest:?}", self.book));
    }
}

fn host() -> Box<SeededHost> {
    Box::new(SeededHost::new(7))
}

/// Prints an error as people read it and as a careless log would, with all that lies behind it.
fn told_error(result: &Result<(), Error>, code: &str) {
    let Err(error) = result else { panic!("no {code}") };
    assert_eq!(error.code(), code, "{error:?}");
    say(&format!("{error} {error:?} {error:#?} {}", error.next()));
    let mut behind = std::error::Error::source(error);
    while let Some(source) = behind {
        say(&format!("{source} {source:?}"));
        behind = source.source();
    }
}

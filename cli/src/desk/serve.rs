//! What the desk does with one line.

use daybook_core::daybook::{Chart, Error, FactView, Purpose, Say, Written};
use daybook_core::id::PatientId;
use daybook_core::record::{Allergy, ClinicalStatus, Dispense, Setting, Statement, Verification};
use serde_json::json;
use zeroize::Zeroizing;

use super::line::{self, Handout, Line};
use super::{Course, Open};
use crate::commands::dispense::receiver;
use crate::commands::note::fact_written;
use crate::commands::patient::registered;
use crate::failure::{Failure, Kind};
use crate::output::Reply;
use crate::show::{chart, lists};
use crate::typed;

/// Most patients that a name lists.
const FOUND_MAX: usize = 10;

impl Open {
    /// Answers a line.
    pub(super) fn answer(&mut self, line: &str, place: &str, offset: i16) -> Result<(Course, Reply), Failure> {
        if let Some(pending) = self.pending.take() {
            return self.reason(&pending, line, place, offset).map(|reply| (Course::Onward, reply));
        }
        let reply = match line::read(line)? {
            Line::Nothing => Reply::default(),
            Line::Help => Reply::new(json!({"desk": "help", "lines": line::HELP}), line::HELP),
            Line::Lock => return Ok((Course::Lock, Reply::default())),
            Line::Quit => return Ok((Course::End, Reply::new(json!({"desk": "end"}), "locked; good-bye"))),
            Line::Next => {
                (self.patient, self.unknown) = (None, None);
                Reply::new(json!({"desk": "next"}), "next, please")
            }
            Line::Patient(text) => self.look_up(text, offset)?,
            Line::New(text) => self.register(text)?,
            Line::Allergy(substance) => {
                let allergy = Allergy {
                    substance: typed::coded(substance)?,
                    clinical: ClinicalStatus::Active,
                    verification: Verification::Confirmed,
                    criticality: None,
                    category: "",
                    reaction: "",
                };
                self.say(Statement::Allergy(allergy), offset)?
            }
            Line::NoAllergies => self.say(Statement::NoKnownAllergies, offset)?,
            Line::Observe(code, value, unit) => {
                let observed = typed::observed(code, value, unit)?;
                self.say(Statement::Observation(observed.observation()), offset)?
            }
            Line::Dispense(text) => self.dispense(text, place, offset)?,
        };
        Ok((Course::Onward, reply))
    }

    /// The patient at the desk.
    fn here(&self) -> Result<PatientId, Failure> {
        self.patient.ok_or_else(|| {
            Failure::usage("no-patient", "no patient is at the desk")
                .then("scan or type who it is, or `new` to register")
        })
    }

    fn look_up(&mut self, text: &str, offset: i16) -> Result<Reply, Failure> {
        (self.patient, self.unknown) = (None, None);
        let patient = match self.book.resolve_patient(text) {
            Ok(patient) => patient,
            Err(Error::CodeCheck) if text.bytes().any(|b| b.is_ascii_digit()) => return Err(Error::CodeCheck.into()),
            Err(Error::NoSuchPatient | Error::CodeCheck) => {
                let found = self.book.find(text, FOUND_MAX)?;
                match found.as_slice() {
                    [] => return Err(self.nobody(text)),
                    [only] => only.patient,
                    _ => return Ok(lists::candidates(&found)),
                }
            }
            Err(error) => return Err(error.into()),
        };
        self.patient = Some(patient);
        let chart = self.book.read_patient(patient, Purpose::Treatment)?;
        Ok(at_desk(&chart, offset))
    }

    /// Nobody answers to it; what can be a tag is kept for `new`.
    fn nobody(&mut self, text: &str) -> Failure {
        let tag = text.bytes().any(|b| b.is_ascii_digit()) && !text.contains(char::is_whitespace);
        self.unknown = tag.then(|| text.to_owned());
        let next = if tag {
            "type `new` to register somebody with this tag, or `new NAME;BIRTH;SEX`"
        } else {
            "check the spelling, or type `new NAME;BIRTH;SEX` to register"
        };
        Failure::new("no-such-patient", Kind::Refused, "nobody in this book answers to that").then(next)
    }

    fn register(&mut self, text: &str) -> Result<Reply, Failure> {
        let unknown = self.unknown.clone();
        let mut settings = if text.is_empty() { Vec::new() } else { typed::member(text)? };
        if let Some(tag) = &unknown {
            once(&mut settings, typed::setting("tag", tag)?);
        }
        if settings.is_empty() {
            return Err(Failure::usage("empty-record", "nothing is said about the patient")
                .then("scan a tag first, or type `new NAME;BIRTH;SEX`"));
        }
        let written = self.book.add_patient(&settings)?;
        (self.patient, self.unknown) = (Some(written.value), None);
        Ok(registered(&written))
    }

    fn say(&mut self, statement: Statement<'_>, offset: i16) -> Result<Reply, Failure> {
        let patient = self.here()?;
        let say = Say { statement, effective: None, targets: Vec::new(), reason: "" };
        let written = self.book.say(Some(patient), say)?;
        Ok(fact_written(patient, &written, offset))
    }

    /// Hands out, unless something speaks against it; then the next line must give a reason.
    fn dispense(&mut self, text: &str, place: &str, offset: i16) -> Result<Reply, Failure> {
        let patient = self.here()?;
        match self.hand_out(patient, text, place, "") {
            Ok(written) => Ok(fact_written(patient, &written, offset)),
            Err(Refused::Warned(reply)) => {
                self.pending = Some(Zeroizing::new(text.to_owned()));
                Ok(reply)
            }
            Err(Refused::Failed(failure)) => Err(failure),
        }
    }

    /// The line after a warning: a reason, or nothing.
    fn reason(&mut self, text: &str, reason: &str, place: &str, offset: i16) -> Result<Reply, Failure> {
        if reason.trim().is_empty() {
            return Ok(Reply::new(json!({"desk": "not-dispensed"}), "not dispensed; nothing was written"));
        }
        let reason = typed::reason(reason)?;
        let patient = self.here()?;
        match self.hand_out(patient, text, place, reason) {
            Ok(written) => Ok(fact_written(patient, &written, offset)),
            Err(Refused::Warned(_)) => Err(Error::NeedsOverride { warnings: Vec::new() }.into()),
            Err(Refused::Failed(failure)) => Err(failure),
        }
    }

    fn hand_out(
        &mut self,
        patient: PatientId,
        text: &str,
        place: &str,
        override_reason: &str,
    ) -> Result<Written<FactView>, Refused> {
        let handout = Handout::read(text, place)?;
        let receiver = handout.to.map(|to| receiver(&mut self.book, to)).transpose()?;
        let dispense = Dispense {
            product: handout.product,
            quantity: Some(handout.quantity),
            lot: handout.lot,
            expiry: handout.expiry,
            days: handout.days,
            receiver,
            place: handout.place,
            heads: Vec::new(),
            override_reason,
        };
        self.book.dispense(patient, &dispense, None).map_err(|error| match error {
            Error::NeedsOverride { warnings } => {
                let lines = lists::warning_lines(&warnings);
                let text = format!("{lines}To hand it out anyway, type the reason; an empty line does not.");
                Refused::Warned(Reply::new(lists::warnings(&warnings).into_json(), text))
            }
            other => Refused::Failed(other.into()),
        })
    }
}

/// Why nothing was handed out.
enum Refused {
    Warned(Reply),
    Failed(Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A tag that was scanned and typed as well is one tag.
fn once<'a>(settings: &mut Vec<Setting<'a>>, setting: Setting<'a>) {
    if !settings.contains(&setting) {
        settings.push(setting);
    }
}

fn at_desk(chart: &Chart, offset: i16) -> Reply {
    Reply::new(chart::to_json(chart, offset), chart::brief(chart, offset))
}

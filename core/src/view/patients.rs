//! The line of the list for one patient, and what its registers say together.

use super::search::{self, Words};
use crate::merge::Subject;
use crate::mutant::{self, Mutant};
use crate::record::{
    EditAt, FactAt, FactKind, Field, Finding, FindingKind, Folded, Identifier, Name, PartialDate, Register, Setting,
    Sex, Standing, Statement,
};
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension};

/// The registers of a record with their content understood; withdrawn elements are left out.
pub(super) struct Registers<'a> {
    /// What stands, in rising order of field, key and value.
    pub settings: Vec<Setting<'a>>,
    /// The name to show: official before usual before others, then the one that was written last.
    name: Option<Name<'a>>,
}

impl<'a> Registers<'a> {
    /// Reads what a fold shows. An element of a set is present if any value that stands for it is; null beside
    /// a value of a single register says nothing.
    pub fn of(folded: &Folded<'a>, edits: &[EditAt<'a>]) -> Self {
        let mut settings: Vec<Setting<'a>> = Vec::new();
        let mut names = Vec::new();
        for shown in &folded.shown {
            let register = Register { field: shown.field, key: shown.key, value: shown.value };
            let (false, Ok(setting)) = (register.is_null(), register.parse()) else { continue };
            if let Setting::Name(name, usage) = &setting {
                let newest = shown.writers.iter().filter_map(|w| edits.get(*w)).map(|e| (e.hlc, e.reference)).max();
                names.push((name_rank(usage.unwrap_or_default()), newest, name.clone()));
            }
            settings.push(setting);
        }
        let name = names.into_iter().max_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1))).map(|(_, _, name)| name);
        Self { settings, name }
    }

    /// Birth dates that stand; where one says more than another that it agrees with, the more exact one.
    pub fn births(&self) -> Vec<PartialDate> {
        let all: Vec<PartialDate> =
            self.settings.iter().filter_map(|s| if let Setting::Birth(birth) = s { *birth } else { None }).collect();
        let more_exact =
            |date: &PartialDate| all.iter().any(|o| o != date && o.compatible(date) && o.parts() > date.parts());
        all.iter().filter(|date| !more_exact(date)).copied().collect()
    }

    /// Sexes that stand; `unknown` only alone.
    pub fn sexes(&self) -> Vec<Sex> {
        let all: Vec<Sex> =
            self.settings.iter().filter_map(|s| if let Setting::Sex(sex) = s { *sex } else { None }).collect();
        let known: Vec<Sex> = all.iter().filter(|sex| **sex != Sex::Unknown).copied().collect();
        if known.is_empty() { all } else { known }
    }

    /// Identifiers that stand.
    pub fn identifiers(&self) -> impl Iterator<Item = Identifier<'a>> {
        self.settings
            .iter()
            .filter_map(|s| if let Setting::Identifier(identifier, _) = s { Some(*identifier) } else { None })
    }

    /// Findings that the registers raise: birth date or sex with several values that cannot both be so.
    pub fn findings(&self, subject: &Subject) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (field, several) in [(Field::Birth, self.births().len() > 1), (Field::Sex, self.sexes().len() > 1)] {
            if several {
                let text = format!("Two values of {} were written without knowledge of each other.", field.word());
                let about = vec![subject.key.clone(), vec![field.number()]];
                findings.push(Finding::new(FindingKind::ConcurrentValues, about, text));
            }
        }
        findings
    }

    /// The texts under which the patient is found.
    fn texts(&self) -> impl Iterator<Item = &'a str> {
        self.settings.iter().flat_map(|setting| match setting {
            Setting::Name(name, _) => [&[name.family, name.text][..], &name.given].concat(),
            Setting::Identifier(identifier, _) => vec![identifier.value],
            Setting::Telecom(telecom, _) => vec![telecom.value],
            Setting::Birth(_)
            | Setting::Sex(_)
            | Setting::Address(..)
            | Setting::Household(..)
            | Setting::Language(..) => Vec::new(),
        })
    }
}

/// Which use of a name is shown before others.
fn name_rank(usage: &str) -> u8 {
    match usage {
        "official" => 3,
        "usual" | "" => 2,
        "old" | "anonymous" => 0,
        _ => 1,
    }
}

/// A name as people read it: `Family, Given Given`, or its text.
#[must_use]
pub fn name_text(name: &Name<'_>) -> String {
    if name.family.is_empty() && name.given.is_empty() {
        return name.text.to_owned();
    }
    let given = name.given.join(" ");
    match (name.family.is_empty(), given.is_empty()) {
        (false, false) => format!("{}, {given}", name.family),
        (false, true) => name.family.to_owned(),
        (true, _) => given,
    }
}

/// The line of the list for one patient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PatientRow {
    /// Number of the subject.
    pub subject: i64,
    /// Name to show; empty if none is known.
    pub name: String,
    /// Birth date to show, or empty.
    pub birth: String,
    /// Sex to show.
    pub sex: Option<Sex>,
    /// An identifier to show as `system|value`, or empty.
    pub identifier: String,
    /// Whether a death stands.
    pub deceased: bool,
    /// 0: nobody said anything of allergies; 1: none known; 2: at least one stands.
    pub allergy: u8,
}

/// The line of one patient with the words that find it, as it is to be written.
pub(super) struct Line {
    name: String,
    birth: String,
    sex: Option<u8>,
    identifier: String,
    deceased: bool,
    allergy: u8,
    tokens: String,
}

impl Line {
    /// Makes the line of what a patient's registers and facts say.
    pub fn of(registers: &Registers<'_>, facts: &[FactAt<'_>], standings: &[Standing]) -> Self {
        let stands = |wanted: FactKind| {
            facts.iter().zip(standings).any(|(f, s)| {
                *s == Standing::Stands
                    && !f.waiting
                    && f.fact.statement.kind() == wanted
                    && allergy_stands(&f.fact.statement)
            })
        };
        let hidden = mutant::is(Mutant::DropsAnAllergy) && stands(FactKind::NoKnownAllergies);
        let allergy =
            if stands(FactKind::Allergy) && !hidden { 2 } else { u8::from(stands(FactKind::NoKnownAllergies)) };
        let identifier = registers.identifiers().next();
        Self {
            name: registers.name.as_ref().map(name_text).unwrap_or_default(),
            birth: registers.births().first().map(ToString::to_string).unwrap_or_default(),
            sex: registers.sexes().first().map(|sex| *sex as u8),
            identifier: identifier.map(|i| format!("{}|{}", i.system, i.value)).unwrap_or_default(),
            deceased: stands(FactKind::Deceased),
            allergy,
            tokens: search::tokens(registers.texts()),
        }
    }
}

/// Writes or removes a patient's line and search words; a new subject has no line yet.
pub(super) fn write(
    tx: &Connection,
    words: &mut Words,
    subject: i64,
    line: Option<Line>,
    new: bool,
) -> Result<(), StoreError> {
    let before: Option<String> = if new {
        None
    } else {
        let mut statement = tx.prepare_cached("SELECT tokens FROM patient WHERE subject = ?1")?;
        statement.query_row([subject], |row| row.get(0)).optional()?
    };
    let before = before.as_deref().unwrap_or_default();
    let Some(line) = line else {
        words.replace(subject, before, "");
        tx.prepare_cached("DELETE FROM patient WHERE subject = ?1")?.execute([subject])?;
        return Ok(());
    };
    words.replace(subject, before, &line.tokens);
    let Line { name, birth, sex, identifier, deceased, allergy, tokens } = line;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO patient (subject, name, birth, sex, identifier, deceased, allergy, tokens)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute((subject, name, birth, sex, identifier, deceased, allergy, tokens))?;
    Ok(())
}

fn allergy_stands(statement: &Statement<'_>) -> bool {
    if let Statement::Allergy(allergy) = statement { allergy.verification.stands() } else { true }
}

/// A patient's line, if it has one.
///
/// # Errors
/// [`StoreError`] if the file cannot be read.
pub fn patient_row(connection: &Connection, subject: i64) -> Result<Option<PatientRow>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT name, birth, sex, identifier, deceased, allergy FROM patient WHERE subject = ?1")?;
    let row = statement.query_row([subject], |row| {
        Ok(PatientRow {
            subject,
            name: row.get(0)?,
            birth: row.get(1)?,
            sex: row.get::<_, Option<u8>>(2)?.and_then(|sex| Sex::ALL.get(usize::from(sex)).copied()),
            identifier: row.get(3)?,
            deceased: row.get(4)?,
            allergy: row.get(5)?,
        })
    });
    Ok(row.optional()?)
}

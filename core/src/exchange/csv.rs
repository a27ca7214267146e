//! Tables for spreadsheets: patients, dispenses, observations.
//!
//! UTF-8 with a header row; several values of one cell are joined with `; `. A cell that a spreadsheet
//! would take for a formula (it begins with `=`, `+`, `-`, `@`, a tab or a line break) gets an apostrophe
//! in front; plain numbers do not.

use super::fhir::TIME_NOT_KNOWN;
use super::fhir::export::{ExportFact, ExportPatient, resource_id};
use crate::clock::EffectiveTime;
use crate::record::{Coded, Receiver, Setting, Statement, Value};
use std::borrow::Cow;
use std::io::{self, Write};

/// Header of the table of patients.
const PATIENTS: [&str; 11] = [
    "patient",
    "id",
    "birth",
    "sex",
    "names",
    "identifiers",
    "phones",
    "addresses",
    "households",
    "languages",
    "deceased",
];
/// Header of the table of dispenses.
const DISPENSES: [&str; 19] = [
    "patient",
    "id",
    "time",
    "product",
    "system",
    "code",
    "quantity",
    "unit",
    "lot",
    "expiry",
    "days",
    "receiver",
    "place",
    "override",
    "reason",
    "corrects",
    "author",
    "stands",
    "patient_id",
];
/// Header of the table of observations: one row for each value, those of components below each other.
const OBSERVATIONS: [&str; 16] = [
    "patient",
    "id",
    "time",
    "observation",
    "system",
    "code",
    "component",
    "component_code",
    "value",
    "unit",
    "value_code",
    "reason",
    "corrects",
    "author",
    "stands",
    "patient_id",
];

/// Which table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Table {
    /// One row a patient.
    Patients,
    /// One row a dispense.
    Dispenses,
    /// One row an observation or component.
    Observations,
}

impl Table {
    /// The table of a word, as on the command line.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Patients, Self::Dispenses, Self::Observations].into_iter().find(|table| table.word() == word)
    }

    /// The word for people and for the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Patients => "patients",
            Self::Dispenses => "dispenses",
            Self::Observations => "observations",
        }
    }

    const fn header(self) -> &'static [&'static str] {
        match self {
            Self::Patients => &PATIENTS,
            Self::Dispenses => &DISPENSES,
            Self::Observations => &OBSERVATIONS,
        }
    }
}

/// Writes one table row by row.
#[derive(Debug)]
pub struct CsvWriter<W: Write> {
    table: Table,
    to: ::csv::Writer<W>,
}

impl<W: Write> CsvWriter<W> {
    /// Starts a table with its header.
    ///
    /// # Errors
    /// Those of the writer, as with all methods here; then the table is not complete.
    pub fn new(table: Table, to: W) -> io::Result<Self> {
        let mut to = ::csv::Writer::from_writer(to);
        to.write_record(table.header())?;
        Ok(Self { table, to })
    }

    /// Writes a patient, if this is the table of patients; says whether it is.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn patient(&mut self, patient: &ExportPatient<'_>) -> io::Result<bool> {
        if self.table == Table::Patients {
            self.row(&patient_row(patient))?;
        }
        Ok(self.table == Table::Patients)
    }

    /// Writes a fact, if it belongs into this table; says whether it does.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn fact(&mut self, export: &ExportFact<'_>) -> io::Result<bool> {
        let rows = match (&export.fact.statement, self.table) {
            (Statement::Dispense(_), Table::Dispenses) => vec![dispense_row(export)],
            (Statement::Observation(_), Table::Observations) => observation_rows(export),
            _ => return Ok(false),
        };
        rows.iter().try_for_each(|row| self.row(row))?;
        Ok(true)
    }

    /// Flushes, and gives the writer back.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(self) -> io::Result<W> {
        self.to.into_inner().map_err(::csv::IntoInnerError::into_error)
    }

    fn row(&mut self, cells: &[String]) -> io::Result<()> {
        Ok(self.to.write_record(cells.iter().map(|cell| safe(cell).into_owned()))?)
    }
}

/// A cell that no spreadsheet takes for a formula.
fn safe(cell: &str) -> Cow<'_, str> {
    let suspect = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if suspect && !is_number(cell) { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) }
}

fn is_number(cell: &str) -> bool {
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

fn time(time: &EffectiveTime) -> String {
    if *time == TIME_NOT_KNOWN { String::new() } else { time.to_fhir() }
}

fn words(parts: impl IntoIterator<Item = impl AsRef<str>>, between: &str) -> String {
    let mut joined = String::new();
    for part in parts {
        if !part.as_ref().is_empty() {
            joined.push_str(if joined.is_empty() { "" } else { between });
            joined.push_str(part.as_ref());
        }
    }
    joined
}

fn patient_row(patient: &ExportPatient<'_>) -> Vec<String> {
    let all = |shown: &dyn Fn(&Setting<'_>) -> Option<String>| words(patient.settings.iter().filter_map(shown), "; ");
    vec![
        patient.id.code(),
        patient.id.to_hex(),
        all(&|s| if let Setting::Birth(Some(birth)) = s { Some(birth.to_string()) } else { None }),
        all(&|s| if let Setting::Sex(Some(sex)) = s { Some(sex.code().to_owned()) } else { None }),
        all(&|s| match s {
            Setting::Name(name, Some(_)) => {
                let parts = words([words(&name.given, " "), name.family.to_owned()], " ");
                Some(if parts.is_empty() { name.text.to_owned() } else { parts })
            }
            _ => None,
        }),
        all(&|s| match s {
            Setting::Identifier(i, Some(_)) => Some(words([i.system, i.value], "|")),
            _ => None,
        }),
        all(&|s| if let Setting::Telecom(t, Some(_)) = s { Some(t.value.to_owned()) } else { None }),
        all(&|s| match s {
            Setting::Address(a, Some(_)) => {
                let lines = words(&a.lines, ", ");
                Some(words([&lines, a.city, a.district, a.state, a.postal_code, a.country], ", "))
            }
            _ => None,
        }),
        all(&|s| if let Setting::Household(of, Some(_)) = s { Some(of.code()) } else { None }),
        all(&|s| if let Setting::Language(code, Some(_)) = s { Some((*code).to_owned()) } else { None }),
        patient
            .deceased
            .as_ref()
            .map_or(String::new(), |at| if *at == TIME_NOT_KNOWN { "yes".to_owned() } else { at.to_fhir() }),
    ]
}

/// Patient, id and time, which all facts have in front.
fn front(export: &ExportFact<'_>) -> Vec<String> {
    let patient = export.fact.patient.map_or(String::new(), |patient| patient.code());
    vec![patient, resource_id(&export.id), time(&export.fact.effective)]
}

/// Reason, corrections, author, standing and the patient's whole id, which all facts have at the end.
fn back(export: &ExportFact<'_>) -> Vec<String> {
    vec![
        export.fact.reason.to_owned(),
        words(export.fact.targets.iter().map(resource_id), "; "),
        export.author.to_owned(),
        (if export.stands { "yes" } else { "no" }).to_owned(),
        export.fact.patient.map_or(String::new(), |patient| patient.to_hex()),
    ]
}

fn coded(coded: &Coded<'_>) -> [String; 3] {
    [coded.shown().to_owned(), coded.system.to_owned(), coded.code.to_owned()]
}

fn dispense_row(export: &ExportFact<'_>) -> Vec<String> {
    let mut row = front(export);
    if let Statement::Dispense(dispense) = &export.fact.statement {
        row.extend(coded(&dispense.product));
        row.extend(dispense.quantity.map_or([String::new(), String::new()], |q| [q.number(), q.unit.to_owned()]));
        row.push(dispense.lot.to_owned());
        row.push(dispense.expiry.map_or(String::new(), |expiry| expiry.to_string()));
        row.push(dispense.days.map_or(String::new(), |days| days.to_string()));
        row.push(match &dispense.receiver {
            None => String::new(),
            Some(Receiver::Patient(patient)) => patient.code(),
            Some(Receiver::Person(name)) => (*name).to_owned(),
        });
        row.extend([dispense.place, dispense.override_reason].map(str::to_owned));
    }
    row.extend(back(export));
    row
}

fn observation_rows(export: &ExportFact<'_>) -> Vec<Vec<String>> {
    let Statement::Observation(observation) = &export.fact.statement else { return Vec::new() };
    let none = Coded::default();
    let whole = observation.value.iter().map(|value| (&none, value));
    let parts = observation.components.iter().map(|(code, value)| (code, value));
    let row = |(component, value): (&Coded<'_>, &Value<'_>)| {
        let mut row = front(export);
        row.extend(coded(&observation.code));
        row.extend([component.shown().to_owned(), component.code.to_owned()]);
        row.extend(match value {
            Value::Quantity(quantity) => [quantity.number(), quantity.unit.to_owned(), String::new()],
            Value::Coded(coded) => [coded.shown().to_owned(), String::new(), coded.code.to_owned()],
            Value::Text(text) => [(*text).to_owned(), String::new(), String::new()],
            Value::Bool(flag) => [(if *flag { "yes" } else { "no" }).to_owned(), String::new(), String::new()],
        });
        row.extend(back(export));
        row
    };
    whole.chain(parts).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ImportId, PatientId};
    use crate::record::{Dispense, Fact, FactId, Identifier, Name, Observation, PartialDate, Quantity, Sex, Telecom};

    fn table(table: Table, write: impl FnOnce(&mut CsvWriter<Vec<u8>>)) -> Vec<Vec<String>> {
        let mut writer = CsvWriter::new(table, Vec::new()).unwrap();
        write(&mut writer);
        let bytes = writer.finish().unwrap();
        let mut reader = ::csv::Reader::from_reader(bytes.as_slice());
        let columns = reader.headers().unwrap().len();
        let rows: Vec<Vec<String>> =
            reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
        assert!(rows.iter().all(|row| row.len() == columns));
        rows
    }

    fn export<'a>(statement: Statement<'a>, author: &'a str) -> ExportFact<'a> {
        let id = ImportId::new([5; 16]);
        let fact = Fact {
            patient: Some(PatientId::new([7; 16])),
            effective: EffectiveTime::parse("2026-11-22T08:05:00Z", 0).unwrap(),
            targets: vec![],
            import: Some(id),
            reason: "=HYPERLINK(\"x\")",
            statement,
        };
        ExportFact { id: FactId::Imported(id), fact, target_kinds: vec![], author, stands: true }
    }

    #[test]
    fn what_a_spreadsheet_would_run_is_quoted_and_numbers_are_not() {
        for (cell, written) in [
            ("=1+1", "'=1+1"),
            ("+49 30", "'+49 30"),
            ("+15551234", "'+15551234"),
            ("-5", "-5"),
            ("-5.25", "-5.25"),
            ("-5-cmd", "'-5-cmd"),
            ("-", "'-"),
            ("-1.", "'-1."),
            ("@x", "'@x"),
            ("\tx", "'\tx"),
            ("\rx", "'\rx"),
            ("＝1", "'＝1"),
            ("x=1", "x=1"),
            ("", ""),
        ] {
            assert_eq!(safe(cell), written);
        }
    }

    #[test]
    fn a_patient_is_one_row_with_all_values() {
        let patient = ExportPatient {
            id: PatientId::new([7; 16]),
            settings: vec![
                Setting::Birth(PartialDate::parse("1950")),
                Setting::Birth(PartialDate::parse("1951-02")),
                Setting::Sex(Some(Sex::Female)),
                Setting::Name(Name { family: "Müller, \"M\"", given: vec!["=A", "B"], text: "" }, Some("")),
                Setting::Name(Name { text: "王小明", ..Name::default() }, Some("")),
                Setting::Identifier(Identifier { system: "urn:x", value: "1" }, Some("")),
                Setting::Identifier(Identifier { system: "urn:x", value: "gone" }, None),
                Setting::Telecom(Telecom { system: "phone", value: "+1 555" }, Some("")),
            ],
            deceased: None,
        };
        let rows = table(Table::Patients, |writer| assert!(writer.patient(&patient).unwrap()));
        assert_eq!(rows[0][2..7], ["1950; 1951-02", "female", "'=A B Müller, \"M\"; 王小明", "urn:x|1", "'+1 555"]);
    }

    #[test]
    fn dispenses_and_observations_go_to_their_tables() {
        let dispense = Statement::Dispense(Dispense {
            product: Coded::text("cipro"),
            quantity: Quantity::parse("20", "tablet").ok(),
            lot: "-L1",
            expiry: PartialDate::parse("2027-03"),
            days: Some(10),
            receiver: Some(Receiver::Person("Joe")),
            place: "",
            heads: vec![],
            override_reason: "",
        });
        let pressure = Statement::Observation(Observation {
            code: Coded::text("blood pressure"),
            value: None,
            components: vec![
                (Coded::text("systolic"), Value::Quantity(Quantity::parse("120", "mm[Hg]").unwrap())),
                (Coded::text("note"), Value::Bool(true)),
            ],
            seen: vec![],
            earlier: false,
        });
        let (dispense, pressure) = (export(dispense, "Ann"), export(pressure, ""));
        let rows = table(Table::Dispenses, |writer| {
            assert!(writer.fact(&dispense).unwrap());
            assert!(!writer.fact(&pressure).unwrap());
        });
        assert_eq!(rows.len(), 1);
        assert_eq!(
            rows[0][2..12],
            ["2026-11-22T08:05:00+00:00", "cipro", "", "", "20", "tablet", "'-L1", "2027-03", "10", "Joe"]
        );
        assert_eq!(rows[0][14], "'=HYPERLINK(\"x\")");
        let rows = table(Table::Observations, |writer| assert!(writer.fact(&pressure).unwrap()));
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0][6..10], ["systolic", "", "120", "mm[Hg]"]);
        assert_eq!(rows[1][8], "yes");
    }

    #[test]
    fn tables_are_known_by_their_words() {
        for table in [Table::Patients, Table::Dispenses, Table::Observations] {
            assert_eq!(Table::parse(table.word()), Some(table));
        }
        assert_eq!(Table::parse("stock"), None);
    }
}

//! `patient`: register, find, show and change.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use daybook_core::daybook::{Daybook, Say, Written};
use daybook_core::id::PatientId;
use daybook_core::record::{Setting, Statement};
use serde_json::{Value, json};

use super::audit::For;
use crate::context::{Answer, Context};
use crate::failure::{Failure, Kept};
use crate::output::Reply;
use crate::show::{chart, json, lists};
use crate::target::{unwritable, write_new};
use crate::typed;

/// Register, find, show and change patients
#[derive(Debug, Subcommand)]
pub enum Patient {
    /// Register a patient; a tag alone is enough, the name can come later
    Add(Add),
    /// Find patients by name, identifier, tag or phone
    Find(Find),
    /// Show a record
    Show(Show),
    /// Change a record
    Edit(Edit),
    /// What was set and said in a record, in order
    History(History),
    /// Register the members of a household in one go
    RegisterHousehold(RegisterHousehold),
    /// Write down that a patient died
    Deceased(Deceased),
}

/// Register a patient; a tag alone is enough, the name can come later
#[derive(Debug, Args)]
#[command(after_help = r#"Examples:
  daybook patient add --tag T-1017
  daybook patient add --name "García, María José" --birth 1980-02 --sex female \
    --tag T-1018 --phone "+1 555 0100"
  daybook patient add --name "García, Luis" --birth 2015 --household T-1018 \
    --role child --identifier "urn:county:card|4711""#)]
pub struct Add {
    /// Name, as `FAMILY, GIVEN GIVEN` or as one text
    #[arg(long)]
    name: Option<String>,
    /// Birth date as far as known: 1943-03-17, 1943-03 or 1943
    #[arg(long, value_name = "DATE")]
    birth: Option<String>,
    /// female, male, other or unknown
    #[arg(long)]
    sex: Option<String>,
    /// Card or number, as `SYSTEM|VALUE`; may be given several times
    #[arg(long, value_name = "SYSTEM|VALUE")]
    identifier: Vec<String>,
    /// Wristband or triage tag; may be given several times
    #[arg(long, value_name = "CODE")]
    tag: Vec<String>,
    /// Phone or e-mail address; may be given several times
    #[arg(long)]
    phone: Vec<String>,
    /// A member of the household that the patient belongs to
    #[arg(long, value_name = "P")]
    household: Option<String>,
    /// Role in the household
    #[arg(long, requires = "household", default_value = "member")]
    role: String,
}

/// Find patients by name, identifier, tag or phone
#[derive(Debug, Args)]
#[command(after_help = r#"Examples:
  daybook patient find garcía
  daybook patient find "maría garcía" --limit 5"#)]
pub struct Find {
    /// What to look for; any case
    text: String,
    /// Most patients to list
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    limit: usize,
}

/// Show a record
#[derive(Debug, Args)]
#[command(after_help = r#"Examples:
  daybook patient show T-1018
  daybook patient show T-1018 --purpose public-health"#)]
pub struct Show {
    /// Patient: code, identifier, tag, or the beginning of a code
    #[arg(value_name = "P")]
    patient: String,
    /// What you read it for
    #[arg(long, value_enum, default_value_t = For::Treatment)]
    purpose: For,
}

/// Change a record
#[derive(Debug, Args)]
#[command(after_help = r#"Fields: name, birth, sex, phone, address, identifier, tag, language. There can be
several of each but birth and sex; --set adds one.
An address is `LINE;CITY;STATE;POSTAL CODE;COUNTRY`.

Examples:
  daybook patient edit T-1017 --set "name=Okoye, Chidi" --set birth=1971-06
  daybook patient edit T-1018 --set "address=12 River Road;Valley;OR;97001;US" \
    --set language=es --unset "phone=+1 555 0100""#)]
pub struct Edit {
    /// Patient: code, identifier, tag, or the beginning of a code
    #[arg(value_name = "P")]
    patient: String,
    /// Sets a field
    #[arg(long, value_name = "FIELD=VALUE")]
    set: Vec<String>,
    /// Takes a value away; `FIELD` alone for birth and sex
    #[arg(long, value_name = "FIELD[=VALUE]")]
    unset: Vec<String>,
}

/// What was set and said in a record, in order
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  daybook patient history T-1017
  daybook patient history T-1017 --at 7FK2Q-12 --purpose patient-request
  daybook patient history T-1017 --document t-1017.automerge")]
pub struct History {
    /// Patient: code, identifier, tag, or the beginning of a code
    #[arg(value_name = "P")]
    patient: String,
    /// Show the record as the author of this entry saw it
    #[arg(long, value_name = "ENTRY")]
    at: Option<String>,
    /// Also write the record's Automerge document to a new file
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
    /// What you read it for
    #[arg(long, value_enum, default_value_t = For::Treatment)]
    purpose: For,
}

/// Register the members of a household in one go
#[derive(Debug, Args)]
#[command(after_help = r#"The first member is the one by whom the household is found.

Example:
  daybook patient register-household --member "Okafor, Ada;1990-05-01;female" \
    --member "Okafor, Obi;2019;male;T-1019""#)]
pub struct RegisterHousehold {
    /// A member; parts that are not known may be empty or left out
    #[arg(long, value_name = "NAME;BIRTH;SEX;TAG", required = true)]
    member: Vec<String>,
}

/// Write down that a patient died
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  daybook patient deceased T-1017 --at 2026-11-22T04:30")]
pub struct Deceased {
    /// Patient: code, identifier, tag, or the beginning of a code
    #[arg(value_name = "P")]
    patient: String,
    /// When, if not now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// Runs it.
///
/// # Errors
/// When an argument cannot be read, or the book refuses.
pub fn run(args: Patient, context: &mut Context) -> Answer {
    match args {
        Patient::Add(args) => add(&args, context),
        Patient::Find(args) => find(&args, context),
        Patient::Show(args) => show(&args, context),
        Patient::Edit(args) => edit(&args, context),
        Patient::History(args) => history(&args, context),
        Patient::RegisterHousehold(args) => register_household(&args, context),
        Patient::Deceased(args) => deceased(&args, context),
    }
}

fn add(args: &Add, context: &mut Context) -> Answer {
    let fields = [
        ("name", args.name.as_slice()),
        ("birth", args.birth.as_slice()),
        ("sex", args.sex.as_slice()),
        ("identifier", &args.identifier),
        ("tag", &args.tag),
        ("phone", &args.phone),
    ];
    let settings = fields
        .iter()
        .flat_map(|(field, values)| values.iter().map(move |value| typed::setting(field, value)))
        .collect::<Result<Vec<_>, _>>()?;
    if settings.is_empty() {
        return Err(Failure::usage("empty-record", "nothing is said about the patient")
            .then("give at least one of --tag, --name and --identifier"));
    }
    let mut book = context.open()?;
    let household = args.household.as_deref().map(|p| book.resolve_patient(p)).transpose()?;
    let written = book.add_patient(&settings)?;
    let joined = household.map(|of| join(&mut book, written.value, of, &args.role)).transpose()?;
    Ok(registered(&with(written, joined)))
}

/// Puts a patient who was just registered into a household; the registration stays if that fails.
fn join(book: &mut Daybook, member: PatientId, of: PatientId, role: &str) -> Result<Written<()>, Failure> {
    book.join_household(member, of, role).map_err(|error| {
        Failure::from(error).saved(Kept::Part).then("the patient is registered, but not in the household")
    })
}

fn with(mut written: Written<PatientId>, joined: Option<Written<()>>) -> Written<PatientId> {
    if let Some(joined) = joined {
        written.entries.extend(joined.entries);
        written.findings.extend(joined.findings);
    }
    written
}

/// Says whom was registered.
#[must_use]
pub fn registered(written: &Written<PatientId>) -> Reply {
    let code = written.value.code();
    lists::written(written, &format!("registered {code}"), json!({"patient": code}))
}

fn find(args: &Find, context: &mut Context) -> Answer {
    let found = context.open()?.find(&args.text, args.limit)?;
    let text = if found.is_empty() { "nobody was found\n".to_owned() } else { lists::patients(&found) };
    Ok(Reply::new(json!({"patients": json::list(&found, json::patient)}), text))
}

fn show(args: &Show, context: &mut Context) -> Answer {
    let mut book = context.open()?;
    let patient = book.resolve_patient(&args.patient)?;
    Ok(chart::whole(&book.read_patient(patient, args.purpose.into())?, context.offset()))
}

fn edit(args: &Edit, context: &mut Context) -> Answer {
    let mut settings = typed::settings(&args.set)?;
    settings.extend(typed::withdrawals(&args.unset)?);
    if settings.is_empty() {
        return Err(Failure::usage("nothing-to-change", "nothing is to be changed")
            .then("give --set FIELD=VALUE or --unset FIELD=VALUE"));
    }
    let mut book = context.open()?;
    let patient = book.resolve_patient(&args.patient)?;
    let written = book.edit_patient(patient, &settings)?;
    Ok(about(patient, &written, "changed"))
}

/// Says what was done to whose record.
#[must_use]
pub fn about<T>(patient: PatientId, written: &Written<T>, what: &str) -> Reply {
    let code = patient.code();
    lists::written(written, &format!("{what}: {code}"), json!({"patient": code}))
}

fn history(args: &History, context: &mut Context) -> Answer {
    let offset = context.offset();
    let mut book = context.open()?;
    let patient = book.resolve_patient(&args.patient)?;
    let lines = book.history(patient, args.purpose.into(), args.at.as_deref())?;
    let registers = args.at.as_deref().map(|entry| book.chart_at(patient, args.purpose.into(), entry)).transpose()?;
    if let Some(path) = &args.document {
        let document = book.document(patient, args.purpose.into())?;
        write_new(path, |to| to.write_all(&document).map_err(unwritable))?;
    }
    let mut text = lists::history(&lines, offset);
    if let Some(registers) = &registers {
        text.push_str("\nThe record as it was then:\n");
        text.push_str(&chart::registers(registers, offset));
    }
    let registers = registers.map_or(Value::Null, |r| json::list(&r, |v| json::register(v, offset)));
    let object = json!({
        "patient": patient.code(),
        "lines": json::list(&lines, |line| json::history_line(line, offset)),
        "registers": registers,
        "document": args.document.as_ref().map(|p| p.to_string_lossy()),
    });
    Ok(Reply::new(object, text))
}

fn register_household(args: &RegisterHousehold, context: &mut Context) -> Answer {
    let members = args.member.iter().map(|m| typed::member(m)).collect::<Result<Vec<Vec<Setting<'_>>>, _>>()?;
    let written = context.open()?.register_household(&members)?;
    let codes: Vec<String> = written.value.iter().map(PatientId::code).collect();
    Ok(lists::written(&written, &format!("registered {}", codes.join(" ")), json!({"patients": codes})))
}

fn deceased(args: &Deceased, context: &mut Context) -> Answer {
    let effective = typed::when(args.at.as_deref(), context.offset())?;
    let mut book = context.open()?;
    let patient = book.resolve_patient(&args.patient)?;
    let say = Say { statement: Statement::Deceased, effective, targets: Vec::new(), reason: "" };
    Ok(super::note::fact_written(patient, &book.say(Some(patient), say)?, context.offset()))
}

//! `export`: gives records to other systems, and the log to other devices.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use daybook_core::daybook::Purpose;
use daybook_core::exchange::csv::Table;
use daybook_core::exchange::fhir::export::{Bundle, Ndjson, Sink};
use serde_json::Value;

use super::audit::For;
use crate::context::{Answer, Context};
use crate::target::{self, Synced, Target, unwritable};

/// Give records to other systems
#[derive(Debug, Subcommand)]
pub enum Export {
    /// Write FHIR R4
    Fhir(Fhir),
    /// Write a table
    Csv(Csv),
    /// Write the log, encrypted as it is, for `ingest` on another device
    Log(Log),
}

/// Write FHIR R4
#[derive(Debug, Args)]
#[command(after_help = "\
The export is not encrypted.

Examples:
  daybook export fhir records.json
  daybook export fhir records --format ndjson --purpose public-health")]
pub struct Fhir {
    /// File (bundle) or folder (ndjson) to make; it must not exist yet
    path: PathBuf,
    /// One Bundle, or one NDJSON file per type
    #[arg(long, value_enum, default_value_t = FhirFormat::Bundle)]
    format: FhirFormat,
    /// What it is for
    #[arg(long, value_enum)]
    purpose: Option<For>,
}

/// In which form FHIR is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum FhirFormat {
    /// One Bundle.
    Bundle,
    /// One NDJSON file per type.
    Ndjson,
}

/// Write a table
#[derive(Debug, Args)]
#[command(after_help = "\
The export is not encrypted.

Examples:
  daybook export csv patients
  daybook export csv dispenses --to dispenses.csv")]
pub struct Csv {
    /// Which table
    #[arg(value_enum)]
    table: CsvTable,
    /// File to make; without it, standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// What it is for
    #[arg(long, value_enum)]
    purpose: Option<For>,
}

/// Which table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum CsvTable {
    /// Patients.
    Patients,
    /// Dispenses.
    Dispenses,
    /// Observations.
    Observations,
}

/// Write the log, encrypted as it is, for `ingest` on another device
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  daybook export log --to friday.daybook")]
pub struct Log {
    /// File to make; without it, standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// When the book cannot be read or the file not be written.
pub fn run(args: Export, context: &mut Context) -> Answer {
    match args {
        Export::Fhir(args) => fhir(&args, context),
        Export::Csv(args) => csv(&args, context),
        Export::Log(args) => log(&args, context),
    }
}

fn log(args: &Log, context: &mut Context) -> Answer {
    let target = Target::new(args.to.as_deref(), context, true)?;
    let mut book = context.open()?;
    let entries = target.write(|to| Ok(book.export_log(to)?))?;
    Ok(target.reply(entries, "entries"))
}

fn csv(args: &Csv, context: &mut Context) -> Answer {
    let target = Target::new(args.to.as_deref(), context, false)?;
    let mut book = context.open()?;
    let table = match args.table {
        CsvTable::Patients => Table::Patients,
        CsvTable::Dispenses => Table::Dispenses,
        CsvTable::Observations => Table::Observations,
    };
    let purpose = args.purpose.map(Purpose::from);
    let bytes = target.write(|to| Ok(book.export_csv(table, purpose, Counted { to, bytes: 0 })?.bytes))?;
    Ok(target.reply(bytes, "bytes"))
}

fn fhir(args: &Fhir, context: &mut Context) -> Answer {
    let mut book = context.open()?;
    let purpose = args.purpose.map(Purpose::from);
    let resources = match args.format {
        FhirFormat::Bundle => target::write_new(&args.path, |to| {
            let sink = Bundle::new(to).map_err(unwritable)?;
            Ok(book.export_fhir(purpose, Numbered { sink, resources: 0 })?.resources)
        }),
        FhirFormat::Ndjson => target::write_new_folder(&args.path, |folder| {
            let sink = Ndjson::new(|name: &str| Synced::create(&folder.join(name)));
            Ok(book.export_fhir(purpose, Numbered { sink, resources: 0 })?.resources)
        }),
    }?;
    Ok(Target::File(args.path.clone()).reply(resources, "resources"))
}

/// Counts what goes through.
struct Numbered<S> {
    sink: S,
    resources: u64,
}

impl<S: Sink> Sink for Numbered<S> {
    fn write(&mut self, resource_type: &'static str, resource: &Value) -> io::Result<()> {
        self.resources += 1;
        self.sink.write(resource_type, resource)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.sink.finish()
    }
}

/// Counts what goes through.
struct Counted<W> {
    to: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += u64::try_from(written).unwrap_or(u64::MAX);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

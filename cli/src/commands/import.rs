//! `import`: takes in records of other systems.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use daybook_core::exchange::{BadResource, ImportOptions, ImportReport, Source, TypeCount};
use serde_json::{Map, Value, json};

use crate::context::{Answer, Context};
use crate::failure::{Failure, Kept, Kind};
use crate::output::Reply;
use crate::show::json::list;
use crate::show::table::Table;
use crate::show::text::safe;

/// Deepest folder in a folder that is looked into.
const DEPTH_MAX: usize = 8;
/// Most bad resources that people are shown; `--json` has more.
const BAD_SHOWN_MAX: usize = 20;

/// Take in records of other systems
#[derive(Debug, Subcommand)]
pub enum Import {
    /// Take in FHIR R4: Bundle JSON or NDJSON, files or folders
    Fhir(Fhir),
}

/// Take in FHIR R4: Bundle JSON or NDJSON, files or folders
#[derive(Debug, Args)]
#[command(after_help = r#"A resource is taken wholly or not at all; a bad one is named with file and line and
skipped. Importing again adds only what is new or was mended.

Example:
  daybook import fhir patients.ndjson --source https://ehr.example.org/fhir"#)]
pub struct Fhir {
    /// Files, and folders with `.json` and `.ndjson` files; `-` for standard input
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// System that the resource ids come from, as a URI; without it, the one whose patient identifiers equal them
    #[arg(long, value_name = "URI")]
    source: Option<String>,
}

/// Runs it.
///
/// # Errors
/// When a file or the book cannot be read, or a part was not taken in.
pub fn run(args: Import, context: &mut Context) -> Answer {
    let Import::Fhir(args) = args;
    let sources = sources(&args.paths)?;
    let mut book = context.open()?;
    let mut progress = context.progress("bytes");
    let options = ImportOptions { source: args.source };
    let report = book.import_fhir(sources, &options, &mut |at| progress.at(at.bytes_read, at.bytes_total));
    progress.end();
    answer(&report?)
}

fn sources(paths: &[PathBuf]) -> Result<Vec<Source<'static>>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            files.push(Source::once("-", io::stdin()));
            continue;
        }
        let about = fs::metadata(path).map_err(unreadable)?;
        if about.is_dir() {
            let mut inside = Vec::new();
            look_into(path, 0, &mut inside).map_err(unreadable)?;
            inside.sort_unstable();
            files.extend(inside.into_iter().map(|file| reopenable(file, None)));
        } else if about.is_file() {
            files.push(reopenable(path.clone(), Some(about.len())));
        } else {
            // A pipe with a name: it can be read once.
            files.push(Source::once(path.to_string_lossy(), File::open(path).map_err(unreadable)?));
        }
    }
    if files.is_empty() {
        return Err(Failure::usage("nothing-to-import", "the folder holds no file that can be taken in")
            .then("give a folder with files that end in .json or .ndjson, or the files themselves"));
    }
    Ok(files)
}

fn reopenable(path: PathBuf, bytes: Option<u64>) -> Source<'static> {
    let bytes = bytes.or_else(|| fs::metadata(&path).ok().map(|about| about.len()));
    let source = Source::reopenable(path.to_string_lossy().into_owned(), move || File::open(&path));
    match bytes {
        Some(bytes) => source.with_bytes(bytes),
        None => source,
    }
}

/// Finds the files that can hold FHIR; links to folders are not followed.
fn look_into(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if depth < DEPTH_MAX {
                look_into(&path, depth + 1, found)?;
            }
        } else if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json") || e.eq_ignore_ascii_case("ndjson")) {
            found.push(path);
        }
    }
    Ok(())
}

fn unreadable(error: io::Error) -> Failure {
    Failure::environment("no-file", "a file or folder cannot be read")
        .because(error)
        .then("check the paths, and that the stick is still plugged in")
}

fn answer(report: &ImportReport) -> Answer {
    let reply = Reply::new(to_json(report), to_text(report));
    if report.complete() {
        return Ok(reply);
    }
    let bad = report.bad_total();
    let message = format!("{bad} resource(s) could not be taken in and were skipped");
    Err(Failure::new("done-in-part", Kind::Part, message)
        .saved(if report.operations == 0 { Kept::Nothing } else { Kept::Part })
        .then("mend the resources that are named, then import the same files again: only what is missing is added")
        .showing(reply))
}

fn to_json(report: &ImportReport) -> Value {
    let types: Map<_, _> = report.types.iter().map(|(name, count)| (name.clone(), type_count(count))).collect();
    let counts = |of: &mut dyn Iterator<Item = (String, u64)>| of.map(|(k, n)| (k, json!(n))).collect::<Map<_, _>>();
    json!({
        "source": report.source,
        "types": types,
        "bad": list(&report.bad, bad),
        "bad_unlisted": report.bad_unlisted,
        "paths_not_kept": counts(&mut report.paths_not_kept.iter().map(|(path, n)| (path.clone(), *n))),
        "left_out": counts(&mut report.left_out.iter().map(|(why, n)| ((*why).to_owned(), *n))),
        "patients_new": report.patients_new,
        "patients_matched": report.patients_matched,
        "patients_known": report.patients_known,
        "operations": report.operations,
    })
}

fn type_count(count: &TypeCount) -> Value {
    json!({
        "kept": count.kept,
        "unchanged": count.unchanged,
        "remembered": count.remembered,
        "left_out": count.left_out,
        "ignored": count.ignored,
        "bad": count.bad,
    })
}

fn bad(resource: &BadResource) -> Value {
    json!({
        "file": resource.source,
        "line": resource.line,
        "type": resource.resource_type,
        "id": resource.id,
        "code": resource.reason.code(),
        "message": resource.reason.to_string(),
        "element": resource.element,
    })
}

fn to_text(report: &ImportReport) -> String {
    let mut text = format!(
        "patients: {} new, {} found in the book by an identifier, {} known from an earlier import\n",
        report.patients_new, report.patients_matched, report.patients_known
    );
    let mut table = Table::new(&[
        ("TYPE", 24),
        ("TAKEN", 9),
        ("AS BEFORE", 9),
        ("FOR OTHERS", 10),
        ("LEFT OUT", 9),
        ("NOT KEPT", 9),
        ("BAD", 9),
    ]);
    for (name, c) in &report.types {
        let numbers = [c.kept, c.unchanged, c.remembered, c.left_out, c.ignored, c.bad];
        let [kept, unchanged, remembered, left_out, ignored, bad] =
            numbers.map(|n| if n == 0 { String::new() } else { n.to_string() });
        table.row(&[name, &kept, &unchanged, &remembered, &left_out, &ignored, &bad]);
    }
    text.push_str(&table.to_text());
    counted(&mut text, "Left out, since a record keeps nothing of it:", report.left_out.iter().map(|(k, n)| (*k, *n)));
    let paths = report.paths_not_kept.iter().map(|(k, n)| (k.as_str(), *n));
    counted(&mut text, "Parts of what was taken that are not kept:", paths);
    if !report.bad.is_empty() {
        text.push_str("\nBad and skipped:\n");
    }
    for resource in report.bad.iter().take(BAD_SHOWN_MAX) {
        text.push_str(&format!("{}\n", safe(&resource.to_string())));
    }
    let more = report.bad_total().saturating_sub(u64::try_from(BAD_SHOWN_MAX).unwrap_or_default());
    if more > 0 {
        text.push_str(&format!("and {more} more; --json lists up to 1,000\n"));
    }
    text
}

fn counted<'a>(text: &mut String, heading: &str, counts: impl Iterator<Item = (&'a str, u64)>) {
    let mut table = Table::new(&[("COUNT", 9), ("WHAT", 80)]);
    let mut any = false;
    for (what, count) in counts {
        table.row(&[&count.to_string(), what]);
        any = true;
    }
    if any {
        text.push_str(&format!("\n{heading}\n{}", table.to_text()));
    }
}

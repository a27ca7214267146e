//! Reads all sources in the order that references need, and reports.

use super::ImportBook;
use super::fhir::{KEPT, Reading, source_of};
use super::import::{Import, Stop};
use super::piece::{Fault, Piece};
use super::report::{ImportReport, Pass, Progress, Reason, Refusal};
use super::source::Source;
use super::stream::Splitter;
use crate::limits::TEXT_BYTES_MAX;
use serde_json::Value;
use std::io;

/// Pieces between two reports of progress.
const PIECES_PER_PROGRESS: u64 = 512;

/// What a person can say about an import.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ImportOptions {
    /// URI of the system that the resource ids come from. Without it the import takes the system of the
    /// identifier whose value equals the resource id, of the first Patient that has one; or, for an export
    /// of a book, that book.
    pub source: Option<String>,
}

/// Why an import ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError<E: std::error::Error + 'static> {
    /// Usage: nothing tells where the resource ids come from. Nothing was written.
    #[error("the source of the resource ids is not known; name it with --source URI")]
    NoSource,
    /// The book failed. What was committed before stays; importing again goes on from there.
    #[error("the book could not be written")]
    Book(#[source] E),
}

/// What a source holds that a later pass takes.
#[derive(Clone, Copy, Default)]
struct Holds {
    medications: bool,
    facts: bool,
    /// It could not be read to its end, and this was reported.
    unreadable: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Patient,
    Medication,
    Fact,
    Ignored,
    /// Its type could not be told without parsing it.
    Untold,
}

/// Imports FHIR from `sources` into `book`.
///
/// Reopenable sources are read up to three times (patients, medications, everything else), so that files
/// may come in any order; a file is read again only if it holds something for that pass. Sources that can
/// be read once come last and in their own order. Memory is bounded: one resource (8 MiB), one batch (4
/// MiB), and maps with fixed bounds. Durable batch by batch.
///
/// # Errors
/// [`ImportError::NoSource`] before anything is written; [`ImportError::Book`] with everything written
/// that was committed before. Bad resources and unreadable sources are no errors: the report names them.
pub fn import<B: ImportBook>(
    book: &mut B,
    mut sources: Vec<Source<'_>>,
    options: &ImportOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<ImportReport, ImportError<B::Error>> {
    let given = options.source.clone().filter(|source| (1..=TEXT_BYTES_MAX).contains(&source.len()));
    if given.is_none() && options.source.is_some() {
        return Err(ImportError::NoSource);
    }
    let mut run = Run { import: Import::new(book, given), holds: vec![Holds::default(); sources.len()], progress };
    match run.all(&mut sources) {
        Ok(()) => {
            let mut report = run.import.report;
            report.source = run.import.source;
            Ok(report)
        }
        Err(Stop::Book(error)) => Err(ImportError::Book(error)),
        Err(Stop::NoSource | Stop::Refused(_)) => Err(ImportError::NoSource),
    }
}

struct Run<'b, 'p, B> {
    import: Import<'b, B>,
    holds: Vec<Holds>,
    progress: &'p mut dyn FnMut(Progress<'_>),
}

impl<B: ImportBook> Run<'_, '_, B> {
    fn all(&mut self, sources: &mut [Source<'_>]) -> Result<(), Stop<B::Error>> {
        match self.pass(sources, Pass::Patients) {
            Err(Stop::NoSource) => {
                // Nothing was taken: the first patient did not tell the source. Another may.
                self.pass(sources, Pass::Source)?;
                if self.import.source.is_none() {
                    return Err(Stop::NoSource);
                }
                self.import.report = ImportReport::default();
                self.holds.fill(Holds::default());
                self.pass(sources, Pass::Patients)?;
            }
            other => other?,
        }
        for pass in [Pass::Medications, Pass::Facts, Pass::All] {
            self.pass(sources, pass)?;
        }
        self.import.commit()
    }

    fn pass(&mut self, sources: &mut [Source<'_>], pass: Pass) -> Result<(), Stop<B::Error>> {
        let count = sources.len();
        for (number, source) in sources.iter_mut().enumerate() {
            let holds = self.holds.get(number).copied().unwrap_or_default();
            let wanted = match pass {
                Pass::Source => self.import.source.is_none() && source.is_reopenable(),
                Pass::Patients => source.is_reopenable(),
                Pass::Medications => holds.medications,
                Pass::Facts => holds.facts,
                Pass::All => !source.is_reopenable(),
            };
            if wanted {
                let place = Progress {
                    source: &source.name.clone(),
                    source_number: number,
                    sources: count,
                    pass,
                    bytes_read: 0,
                    bytes_total: source.bytes,
                    operations: 0,
                };
                self.read(source, place)?;
            }
        }
        Ok(())
    }

    /// Reads one source from start to end.
    fn read(&mut self, source: &mut Source<'_>, place: Progress<'_>) -> Result<(), Stop<B::Error>> {
        let reader = match source.open() {
            Ok(Some(reader)) => reader,
            Ok(None) => return Ok(()),
            Err(error) => {
                self.unreadable(place, 0, &error);
                return Ok(());
            }
        };
        let mut splitter = Splitter::new(reader);
        let mut pieces = 0_u64;
        loop {
            let piece = match splitter.next_piece() {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => {
                    self.unreadable(place, splitter.line(), &error);
                    break;
                }
            };
            self.piece(&piece, place)?;
            pieces += 1;
            if pieces.is_multiple_of(PIECES_PER_PROGRESS) {
                self.tell(place, splitter.bytes_read());
            }
            if place.pass == Pass::Source && self.import.source.is_some() {
                return Ok(());
            }
        }
        self.tell(place, splitter.bytes_read());
        Ok(())
    }

    fn tell(&mut self, place: Progress<'_>, bytes_read: u64) {
        let operations = self.import.report.operations;
        (self.progress)(Progress { bytes_read, operations, ..place });
    }

    fn unreadable(&mut self, place: Progress<'_>, line: u64, error: &io::Error) {
        let told = match self.holds.get_mut(place.source_number) {
            Some(holds) if place.pass != Pass::Source => std::mem::replace(&mut holds.unreadable, true),
            _ => true,
        };
        if !told {
            let nothing = Piece { line, resource_type: None, id: None, content: Err(Fault::Truncated) };
            self.import.report.refuse(place.source, &nothing, Refusal::new(Reason::Unreadable(error.kind()), ""));
        }
    }

    /// Does with a piece what this pass is for.
    fn piece(&mut self, piece: &Piece, place: Progress<'_>) -> Result<(), Stop<B::Error>> {
        let class = Class::of(piece.resource_type.as_deref());
        let first = matches!(place.pass, Pass::Patients | Pass::All);
        let bytes = match &piece.content {
            Ok(bytes) => bytes,
            Err(fault) => {
                if first {
                    self.import.report.refuse(place.source, piece, Refusal::new(Reason::from(*fault), ""));
                }
                return Ok(());
            }
        };
        let wanted = match place.pass {
            Pass::Source | Pass::Patients => class == Class::Patient,
            Pass::Medications => class == Class::Medication,
            Pass::Facts => matches!(class, Class::Fact | Class::Untold),
            Pass::All => true,
        };
        if class == Class::Ignored && first {
            self.import.report.count(piece.resource_type.as_deref()).ignored += 1;
        } else if wanted {
            return self.take(piece, bytes, place);
        } else if let Some(holds) = self.holds.get_mut(place.source_number) {
            holds.medications |= class == Class::Medication;
            holds.facts |= matches!(class, Class::Fact | Class::Untold);
        }
        Ok(())
    }

    fn take(&mut self, piece: &Piece, bytes: &[u8], place: Progress<'_>) -> Result<(), Stop<B::Error>> {
        let verdict = match parse(piece, bytes) {
            Err(refusal) => Err(Stop::Refused(refusal)),
            Ok((_, value)) if place.pass == Pass::Source => {
                self.import.source = piece.id.as_deref().and_then(|id| reveal(&value, id));
                return Ok(());
            }
            Ok((kind, _)) if Class::of(Some(&kind)) == Class::Ignored => {
                self.import.report.count(Some(&kind)).ignored += 1;
                return Ok(());
            }
            Ok((kind, value)) => self.import.take(&kind, &value),
        };
        match verdict {
            Err(Stop::Refused(refusal)) => {
                self.import.report.refuse(place.source, piece, refusal);
                Ok(())
            }
            other => other,
        }
    }
}

/// Parses a piece: its type and its tree.
fn parse(piece: &Piece, bytes: &[u8]) -> Result<(String, Value), Refusal> {
    let value: Value = serde_json::from_slice(bytes).map_err(|_| Refusal::new(Reason::NotJson, ""))?;
    let kind = value.get("resourceType").and_then(Value::as_str).map(str::to_owned);
    let kind = kind.ok_or(Refusal::new(Reason::NotAResource, "resourceType"))?;
    if piece.resource_type.as_deref().is_some_and(|told| told != kind) {
        return Err(Refusal::new(Reason::NotAResource, "resourceType"));
    }
    Ok((kind, value))
}

fn reveal(value: &Value, id: &str) -> Option<String> {
    let reading = Reading::new();
    let source = source_of(reading.root(value), id).ok().flatten();
    source.filter(|source| source.len() <= TEXT_BYTES_MAX).map(str::to_owned)
}

impl Class {
    fn of(resource_type: Option<&str>) -> Self {
        match resource_type {
            None => Self::Untold,
            Some("Patient") => Self::Patient,
            Some("Medication") => Self::Medication,
            Some(kind) if KEPT.contains(&kind) => Self::Fact,
            Some(_) => Self::Ignored,
        }
    }
}

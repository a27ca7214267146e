//! What an import says of itself: counts, what was bad and why, what was not kept.

use super::piece::{Fault, Piece};
use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;

/// Most bad resources that are listed; the rest is counted.
pub const BAD_LISTED_MAX: usize = 1_000;
/// Most different paths that are counted; the rest is counted together.
pub const PATHS_MAX: usize = 10_000;
/// Most different resource types that are counted; the rest is counted together.
pub const TYPES_MAX: usize = 1_000;
/// Longest name of an element or type that is shown, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Why a resource was not taken. The codes are stable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// I-001 not JSON.
    #[error("not JSON")]
    NotJson,
    /// I-002 the input ends within it.
    #[error("ends before it is complete")]
    Truncated,
    /// I-003 longer than 8 MiB.
    #[error("longer than 8 MiB")]
    TooLong,
    /// I-004 nested too deeply.
    #[error("nested more than 64 levels deep")]
    TooDeep,
    /// I-005 too many values.
    #[error("holds more than 65,536 values")]
    TooManyValues,
    /// I-006 JSON that is no FHIR resource.
    #[error("not a FHIR resource")]
    NotAResource,
    /// I-007 no id, or one that FHIR does not allow.
    #[error("has no id that FHIR allows")]
    Id,
    /// I-008 a JSON type other than FHIR's.
    #[error("an element has another JSON type than FHIR gives it")]
    WrongType,
    /// I-009 an element without which it says nothing.
    #[error("a required element is missing")]
    Missing,
    /// I-010 a date or time that does not exist.
    #[error("a date or time does not exist or is not written as FHIR writes it")]
    Time,
    /// I-011 a code outside a closed list.
    #[error("a code is not in the list that FHIR requires")]
    UnknownCode,
    /// I-012 an amount of zero or less.
    #[error("an amount must be more than zero")]
    NotPositive,
    /// I-013 an amount above the bound.
    #[error("an amount is too large")]
    TooLarge,
    /// I-014 an amount with too many decimal places.
    #[error("an amount has more than six decimal places")]
    TooFine,
    /// I-015 a text above the bound.
    #[error("a text is longer than 8 KiB")]
    TextTooLong,
    /// I-016 more elements than a record or a fact holds.
    #[error("has more elements than a record or fact can hold")]
    TooMany,
    /// I-017 too large for one entry.
    #[error("too large for one entry")]
    EntryTooLarge,
    /// I-018 FHIR forbids to ignore what is not understood in it.
    #[error("has a modifier that is not understood")]
    Modifier,
    /// I-019 a reference that is none, or to another kind of resource.
    #[error("a reference cannot be followed")]
    Reference,
    /// I-020 its patient is not in the book.
    #[error("its patient is not here yet; import again adds it")]
    PatientNotHere,
    /// I-021 the source could not be read on.
    #[error("the source could not be read on ({0})")]
    Unreadable(ErrorKind),
    /// I-022 what was made of it is not an operation of the format.
    #[error("does not fit the format of the book")]
    Format,
}

impl Reason {
    /// The code that stays.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotJson => "I-001",
            Self::Truncated => "I-002",
            Self::TooLong => "I-003",
            Self::TooDeep => "I-004",
            Self::TooManyValues => "I-005",
            Self::NotAResource => "I-006",
            Self::Id => "I-007",
            Self::WrongType => "I-008",
            Self::Missing => "I-009",
            Self::Time => "I-010",
            Self::UnknownCode => "I-011",
            Self::NotPositive => "I-012",
            Self::TooLarge => "I-013",
            Self::TooFine => "I-014",
            Self::TextTooLong => "I-015",
            Self::TooMany => "I-016",
            Self::EntryTooLarge => "I-017",
            Self::Modifier => "I-018",
            Self::Reference => "I-019",
            Self::PatientNotHere => "I-020",
            Self::Unreadable(_) => "I-021",
            Self::Format => "I-022",
        }
    }
}

impl From<Fault> for Reason {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NotJson => Self::NotJson,
            Fault::Truncated => Self::Truncated,
            Fault::TooLong => Self::TooLong,
            Fault::TooDeep => Self::TooDeep,
            Fault::TooManyValues => Self::TooManyValues,
            Fault::NotAResource => Self::NotAResource,
        }
    }
}

/// Why a resource is refused, and the element that is to blame; carries nothing of its content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    pub(super) element: &'static str,
}

impl Refusal {
    pub(super) const fn new(reason: Reason, element: &'static str) -> Self {
        Self { reason, element }
    }
}

/// A resource that was skipped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadResource {
    /// The name of the source, as it was given.
    pub source: String,
    /// The line on which it begins, from 1.
    pub line: u64,
    /// Its type, if it could be read and has the form of one.
    pub resource_type: Option<String>,
    /// Its id, if it could be read and has the form that FHIR allows.
    pub id: Option<String>,
    /// Why.
    pub reason: Reason,
    /// The name of the element that is to blame; empty if it is the whole.
    pub element: &'static str,
}

impl fmt::Display for BadResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.source, self.line)?;
        if let Some(kind) = &self.resource_type {
            write!(f, "{kind}/{}: ", self.id.as_deref().unwrap_or("?"))?;
        }
        write!(f, "{} {}", self.reason.code(), self.reason)?;
        if self.element.is_empty() { Ok(()) } else { write!(f, " ({})", self.element) }
    }
}

/// What became of the resources of one type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TypeCount {
    /// Taken; something was written.
    pub kept: u64,
    /// Taken before and the same now; nothing was written.
    pub unchanged: u64,
    /// Remembered while the import runs, for others that refer to them (Medication).
    pub remembered: u64,
    /// Understood, and nothing that a record keeps; [`ImportReport::left_out`] says why.
    pub left_out: u64,
    /// Of a type that is not kept.
    pub ignored: u64,
    /// Bad and skipped.
    pub bad: u64,
}

/// What an import did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ImportReport {
    /// The source that was used: as given, or as found.
    pub source: Option<String>,
    /// Counts by resource type.
    pub types: BTreeMap<String, TypeCount>,
    /// The first bad resources in the order in which they were met, at most [`BAD_LISTED_MAX`].
    pub bad: Vec<BadResource>,
    /// How many more were bad.
    pub bad_unlisted: u64,
    /// JSON paths of taken resources that are not kept, arrays without index, with how often they occur.
    pub paths_not_kept: BTreeMap<String, u64>,
    /// Why understood resources were left out, such as `MedicationDispense.status=cancelled`.
    pub left_out: BTreeMap<&'static str, u64>,
    /// Patients whose record the import began.
    pub patients_new: u64,
    /// Patients found in the book by an identifier.
    pub patients_matched: u64,
    /// Patients that an earlier import brought.
    pub patients_known: u64,
    /// Operations written.
    pub operations: u64,
}

impl ImportReport {
    /// How many resources were bad; anything but 0 means that the import was done in part.
    #[must_use]
    pub fn bad_total(&self) -> u64 {
        self.bad_unlisted.saturating_add(u64::try_from(self.bad.len()).unwrap_or(u64::MAX))
    }

    /// Whether everything that was to be kept was taken.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.bad_total() == 0
    }

    /// The counter of a type; beyond [`TYPES_MAX`] types, or for a name that is none, a common one.
    pub(super) fn count(&mut self, resource_type: Option<&str>) -> &mut TypeCount {
        let name = resource_type.filter(|name| is_name(name)).unwrap_or("(unknown)");
        let full = self.types.len() >= TYPES_MAX && !self.types.contains_key(name);
        self.types.entry(if full { "(other)" } else { name }.to_owned()).or_default()
    }

    pub(super) fn refuse(&mut self, source: &str, piece: &Piece, refusal: Refusal) {
        self.count(piece.resource_type.as_deref()).bad += 1;
        if self.bad.len() >= BAD_LISTED_MAX {
            self.bad_unlisted += 1;
            return;
        }
        self.bad.push(BadResource {
            source: source.to_owned(),
            line: piece.line,
            resource_type: piece.resource_type.clone().filter(|name| is_name(name)),
            id: piece.id.clone().filter(|id| is_id(id)),
            reason: refusal.reason,
            element: refusal.element,
        });
    }

    pub(super) fn leave_out(&mut self, resource_type: &str, why: &'static str) {
        self.count(Some(resource_type)).left_out += 1;
        *self.left_out.entry(why).or_default() += 1;
    }

    pub(super) fn add_paths(&mut self, paths: BTreeMap<String, u64>) {
        for (path, times) in paths {
            let full = self.paths_not_kept.len() >= PATHS_MAX && !self.paths_not_kept.contains_key(&path);
            *self.paths_not_kept.entry(if full { "(other)".to_owned() } else { path }).or_default() += times;
        }
    }
}

/// Whether a text has the form of a FHIR element or type name; only such are shown.
pub(super) fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether a text is an id as FHIR allows it, underscores besides (common in practice).
pub(super) fn is_id(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

/// Where an import stands; given out now and then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress<'a> {
    /// The source that is being read.
    pub source: &'a str,
    /// Its place among the sources, from 0.
    pub source_number: usize,
    /// How many sources there are.
    pub sources: usize,
    /// Which reading this is: patients, medications, everything else.
    pub pass: Pass,
    /// Bytes of this source read in this pass.
    pub bytes_read: u64,
    /// Its size, if known.
    pub bytes_total: Option<u64>,
    /// Operations written so far.
    pub operations: u64,
}

/// What is taken while the sources are read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Pass {
    /// Looks for the source URI; takes nothing.
    Source,
    /// Takes patients and counts what is not kept.
    Patients,
    /// Takes medications.
    Medications,
    /// Takes everything else.
    Facts,
    /// Takes everything as it comes: the source can be read only once.
    All,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(resource_type: &str, id: &str) -> Piece {
        Piece {
            line: 7,
            resource_type: Some(resource_type.to_owned()),
            id: Some(id.to_owned()),
            content: Err(Fault::NotJson),
        }
    }

    #[test]
    fn the_list_of_bad_resources_is_bounded_and_the_count_is_not() {
        let mut report = ImportReport::default();
        for _ in 0..BAD_LISTED_MAX + 5 {
            report.refuse("a.ndjson", &piece("Patient", "x"), Refusal::new(Reason::Time, "birthDate"));
        }
        assert_eq!((report.bad.len(), report.bad_total()), (BAD_LISTED_MAX, 1_005));
        assert_eq!(report.types["Patient"].bad, 1_005);
        assert!(!report.complete());
        let shown = report.bad[0].to_string();
        assert!(shown.starts_with("a.ndjson:7: Patient/x: I-010 a date"), "{shown}");
        assert!(shown.ends_with(" (birthDate)"), "{shown}");
    }

    #[test]
    fn what_has_not_the_form_of_a_name_is_not_shown() {
        let mut report = ImportReport::default();
        report.refuse("f", &piece("Jane Doe", "Jane Doe"), Refusal::new(Reason::Id, ""));
        assert_eq!((&report.bad[0].resource_type, &report.bad[0].id), (&None, &None));
        assert!(report.types.contains_key("(unknown)"));
    }

    #[test]
    fn paths_and_types_are_bounded() {
        let mut report = ImportReport::default();
        for n in 0..PATHS_MAX + 10 {
            report.add_paths([(format!("Patient.x{n}"), 1)].into());
            report.count(Some(&format!("T{n}"))).ignored += 1;
        }
        assert_eq!((report.paths_not_kept.len(), report.paths_not_kept["(other)"]), (PATHS_MAX + 1, 10));
        assert_eq!(report.types.len(), TYPES_MAX + 1);
        assert_eq!(report.types.values().map(|c| c.ignored).sum::<u64>(), 10_010);
    }

    #[test]
    fn every_reason_has_a_code_of_its_own() {
        let all = [
            Reason::NotJson,
            Reason::Truncated,
            Reason::TooLong,
            Reason::TooDeep,
            Reason::TooManyValues,
            Reason::NotAResource,
            Reason::Id,
            Reason::WrongType,
            Reason::Missing,
            Reason::Time,
            Reason::UnknownCode,
            Reason::NotPositive,
            Reason::TooLarge,
            Reason::TooFine,
            Reason::TextTooLong,
            Reason::TooMany,
            Reason::EntryTooLarge,
            Reason::Modifier,
            Reason::Reference,
            Reason::PatientNotHere,
            Reason::Unreadable(ErrorKind::NotFound),
            Reason::Format,
        ];
        for (place, reason) in all.iter().enumerate() {
            assert_eq!(reason.code(), format!("I-{:03}", place + 1));
        }
    }
}

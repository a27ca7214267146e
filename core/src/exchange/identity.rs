//! Who an imported patient is, and the ids of what an import makes.
//!
//! ```text
//! patient id = first 16 bytes of H(import; incident, source, resource id)
//! import id  = first 16 bytes of H(import; incident, source, type, resource id)
//! ```
//! Each part is preceded by its length (32 bits, little-endian), so that no two lists of parts run
//! together. The type of what has no resource of its own is that of its resource with a word behind it:
//! `Patient.deceased`, and `.taken-back` for what says that an earlier import does not hold.

use super::ImportBook;
use crate::id::{ImportId, PatientId};
use crate::record::{EntryRef, Field, PartialDate, Sex};

/// What earlier imports of one Patient resource left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PreviousImport {
    /// Whose record they were written in.
    pub patient: PatientId,
    /// Heads among these import edits.
    pub heads: Vec<EntryRef>,
    /// Field, key and value of the registers as these edits left them; those that they cleared may be there
    /// with null or be missing.
    pub registers: Vec<(Field, Vec<u8>, Vec<u8>)>,
}

/// A patient that bears an identifier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    /// Who.
    pub patient: PatientId,
    /// The values of the birth date, several if they are concurrent.
    pub births: Vec<PartialDate>,
    /// The values of the sex, several if they are concurrent.
    pub sexes: Vec<Sex>,
}

impl Holder {
    /// Whether birth date or sex say that this is somebody else. Every known value must agree: a wrong
    /// match does more harm than two records and a finding.
    pub(super) fn contradicts(&self, birth: Option<PartialDate>, sex: Option<Sex>) -> bool {
        let known = |sex: &Sex| *sex != Sex::Unknown;
        birth.is_some_and(|birth| self.births.iter().any(|other| !other.compatible(&birth)))
            || sex.filter(known).is_some_and(|sex| self.sexes.iter().any(|other| known(other) && *other != sex))
    }
}

/// The patient that bears an imported patient's identifiers: `holders` is a list per identifier. An
/// identifier counts if exactly one patient bears it and nothing contradicts; if identifiers point to
/// different patients, nobody is meant.
pub(super) fn match_holders(
    holders: &[Vec<Holder>],
    birth: Option<PartialDate>,
    sex: Option<Sex>,
) -> Option<PatientId> {
    let mut found = None;
    for bearers in holders {
        if let [only] = bearers.as_slice() {
            if only.contradicts(birth, sex) {
                continue;
            }
            if found.is_some_and(|patient| patient != only.patient) {
                return None;
            }
            found = Some(only.patient);
        }
    }
    found
}

fn hash<B: ImportBook>(book: &B, parts: &[&[u8]]) -> [u8; 16] {
    let lengths: Vec<[u8; 4]> =
        parts.iter().map(|part| u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes()).collect();
    let laid: Vec<&[u8]> = lengths.iter().zip(parts).flat_map(|(length, part)| [&length[..], part]).collect();
    book.hash(&laid).first_chunk().copied().unwrap_or_default()
}

pub(super) fn patient_id<B: ImportBook>(book: &B, source: &str, id: &str) -> PatientId {
    PatientId::new(hash(book, &[book.incident().as_bytes(), source.as_bytes(), id.as_bytes()]))
}

pub(super) fn import_id<B: ImportBook>(book: &B, source: &str, resource_type: &str, id: &str) -> ImportId {
    let incident = book.incident();
    ImportId::new(hash(book, &[incident.as_bytes(), source.as_bytes(), resource_type.as_bytes(), id.as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(number: u8, births: &[&str], sexes: &[Sex]) -> Holder {
        let births = births.iter().filter_map(|text| PartialDate::parse(text)).collect();
        Holder { patient: PatientId::new([number; 16]), births, sexes: sexes.to_vec() }
    }

    #[test]
    fn birth_dates_and_sexes_that_can_be_the_same_do_not_contradict() {
        let birth = PartialDate::parse("1943-03-17");
        for (births, sexes, contradicts) in [
            (&["1943-03-17"][..], &[Sex::Male][..], false),
            (&["1943"], &[Sex::Unknown], false),
            (&[], &[], false),
            (&["1943-04"], &[Sex::Male], true),
            (&["1943", "1944"], &[Sex::Male], true),
            (&["1943"], &[Sex::Female], true),
            (&["1943"], &[Sex::Male, Sex::Other], true),
        ] {
            let holder = holder(1, births, sexes);
            assert_eq!(holder.contradicts(birth, Some(Sex::Male)), contradicts, "{holder:?}");
        }
        assert!(!holder(1, &["1943"], &[Sex::Female]).contradicts(None, Some(Sex::Unknown)));
        assert!(!holder(1, &["1943"], &[Sex::Female]).contradicts(None, None));
    }

    #[test]
    fn only_an_identifier_of_exactly_one_patient_counts() {
        let (a, b) = (holder(1, &[], &[]), holder(2, &[], &[]));
        let of = |lists: &[Vec<Holder>]| match_holders(lists, None, None).map(|p| p.as_bytes()[0]);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[vec![a.clone()]]), Some(1));
        assert_eq!(of(&[vec![a.clone(), b.clone()]]), None);
        assert_eq!(of(&[vec![a.clone(), b.clone()], vec![b.clone()], vec![]]), Some(2));
        assert_eq!(of(&[vec![a.clone()], vec![b]]), None, "two patients are meant");
        let other = holder(3, &["1900"], &[]);
        assert_eq!(match_holders(&[vec![other], vec![a.clone()]], PartialDate::parse("1950"), None), Some(a.patient));
    }
}

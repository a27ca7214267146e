//! Readings: who looked at records, and for what. Said by the device that showed them, never changed, and kept in
//! a compartment of kind audit.
//!
//! ```text
//! 0 kind   1 patient   2 at   3 access   4 purpose   5 times   6 records
//! ```
//! A field that says nothing is left out, so that one meaning has one encoding.

use super::value::{read_time, write_time};
use crate::clock::EffectiveTime;
use crate::codec::{Fields, Malformed, Reader, Writer};
use crate::id::PatientId;

/// Number of the reading among the kinds of operations.
pub(super) const READING: u8 = 15;

/// One look at records. Who looked is the author of the entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// Whose record; none where many were shown together.
    pub patient: Option<PatientId>,
    /// When, for the first time.
    pub at: EffectiveTime,
    /// In which way they were shown.
    pub access: Access,
    /// For what, if that was said.
    pub purpose: Option<Purpose>,
    /// How many times from then on within [`Reading::WINDOW_MS`]; at least 1.
    pub times: u32,
    /// How many lines or records were shown, all times together; 0 of a single record.
    pub records: u32,
}

impl Reading {
    /// Looks at one thing for one purpose within so many milliseconds are one reading, counted: a quarter of an hour.
    pub const WINDOW_MS: i64 = 15 * 60_000;

    /// The same look once more, which showed so many lines.
    #[must_use]
    pub const fn again(self, records: u32) -> Self {
        Self { times: self.times.saturating_add(1), records: self.records.saturating_add(records), ..self }
    }

    /// Reads the rest of a reading whose kind was read.
    pub(super) fn read(fields: &mut Fields, from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (mut patient, mut at, mut access, mut purpose, mut times, mut records) = (None, None, None, None, 1, 0);
        while let Some(key) = fields.next(from)? {
            match key {
                1 => patient = Some(PatientId::new(from.array()?)),
                2 => at = Some(read_time(from)?),
                3 => access = Some(Access::from_number(from.byte()?).ok_or(Malformed::Newer)?),
                4 => purpose = Some(Purpose::from_number(from.byte()?).ok_or(Malformed::Newer)?),
                5 => times = count(from, 2)?,
                6 => records = count(from, 1)?,
                _ => return Err(Malformed::Newer),
            }
        }
        let (at, access) = (at.ok_or(Malformed::Schema)?, access.ok_or(Malformed::Schema)?);
        let of_one = access == Access::Record;
        if patient.is_some() != of_one || (of_one && records > 0) {
            return Err(Malformed::Schema);
        }
        Ok(Self { patient, at, access, purpose, times, records })
    }

    /// Writes the reading as an operation.
    pub fn write(&self, to: &mut Writer) {
        let there = [self.patient.is_some(), self.purpose.is_some(), self.times > 1, self.records > 0];
        to.map(3 + there.into_iter().filter(|there| *there).count()).uint(0).uint(u64::from(READING));
        if let Some(patient) = &self.patient {
            to.uint(1).bytes(patient.as_bytes());
        }
        write_time(&self.at, to.uint(2));
        to.uint(3).uint(self.access as u64);
        if let Some(purpose) = self.purpose {
            to.uint(4).uint(purpose as u64);
        }
        if self.times > 1 {
            to.uint(5).uint(u64::from(self.times));
        }
        if self.records > 0 {
            to.uint(6).uint(u64::from(self.records));
        }
    }
}

/// A count of at least `least`, below 2 to the power of 32.
fn count(from: &mut Reader<'_>, least: u32) -> Result<u32, Malformed> {
    let count = u32::try_from(from.uint()?).map_err(|_| Malformed::Bounds)?;
    if count >= least { Ok(count) } else { Err(Malformed::NotCanonical) }
}

/// In which way records were shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Access {
    /// One record, or a part of it.
    Record = 1,
    /// A list of lines about several patients: a search, findings, the log.
    List = 2,
    /// All records, given to another system.
    Export = 3,
}

impl Access {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Record, Self::List, Self::Export];

    /// The word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::List => "list",
            Self::Export => "export",
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|access| *access as u8 == number)
    }
}

/// What a reader wants records for (HL7 purpose of use, FHIR `purposeOfEvent`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Purpose {
    /// Treatment (`TREAT`).
    Treatment = 1,
    /// Public health (`PUBHLTH`).
    PublicHealth = 2,
    /// Running the site (`HOPERAT`).
    Operations = 3,
    /// Disaster relief: finding relatives, planning (`DISASTER`).
    Disaster = 4,
    /// Research (`HRESCH`).
    Research = 5,
    /// Breaking the glass: nobody could be asked (`BTG`).
    BreakGlass = 6,
    /// The patient asked (`PATRQT`).
    PatientRequest = 7,
    /// The family asked (`FAMRQT`).
    FamilyRequest = 8,
}

impl Purpose {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Treatment,
        Self::PublicHealth,
        Self::Operations,
        Self::Disaster,
        Self::Research,
        Self::BreakGlass,
        Self::PatientRequest,
        Self::FamilyRequest,
    ];

    /// The code of HL7's value set PurposeOfUse.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Treatment => "TREAT",
            Self::PublicHealth => "PUBHLTH",
            Self::Operations => "HOPERAT",
            Self::Disaster => "DISASTER",
            Self::Research => "HRESCH",
            Self::BreakGlass => "BTG",
            Self::PatientRequest => "PATRQT",
            Self::FamilyRequest => "FAMRQT",
        }
    }

    /// The word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Treatment => "treatment",
            Self::PublicHealth => "public-health",
            Self::Operations => "operations",
            Self::Disaster => "disaster",
            Self::Research => "research",
            Self::BreakGlass => "break-glass",
            Self::PatientRequest => "patient-request",
            Self::FamilyRequest => "family-request",
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| *purpose as u8 == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Precision, TimeSource};
    use crate::codec::check;
    use crate::record::Operation;

    const AT: EffectiveTime = EffectiveTime {
        ms: 1_795_334_400_000,
        offset_minutes: 60,
        precision: Precision::Second,
        source: TimeSource::Clock,
    };

    fn one() -> Reading {
        let (patient, purpose) = (Some(PatientId::new([7; 16])), Some(Purpose::Treatment));
        Reading { patient, at: AT, access: Access::Record, purpose, times: 1, records: 0 }
    }

    #[test]
    fn a_reading_reads_back() {
        for access in Access::ALL {
            for purpose in Purpose::ALL.into_iter().map(Some).chain([None]) {
                for (times, records) in [(1, 0), (2, 1), (u32::MAX, u32::MAX)] {
                    let (patient, records) = match access {
                        Access::Record => (Some(PatientId::new([7; 16])), 0),
                        Access::List | Access::Export => (None, records),
                    };
                    let reading = Reading { patient, at: AT, access, purpose, times, records };
                    let bytes = Operation::Reading(reading).to_bytes();
                    check(&bytes).unwrap();
                    assert_eq!(Operation::read(&bytes), Ok(Operation::Reading(reading)));
                }
            }
        }
        assert_eq!(one().again(0).again(0).times, 3);
    }

    #[test]
    fn a_record_has_a_patient_and_a_list_has_none() {
        let read = |reading: Reading| Operation::read(&Operation::Reading(reading).to_bytes()).unwrap_err();
        assert_eq!(read(Reading { patient: None, ..one() }), Malformed::Schema);
        assert_eq!(read(Reading { access: Access::Export, ..one() }), Malformed::Schema);
        assert_eq!(read(Reading { records: 4, ..one() }), Malformed::Schema);
    }

    #[test]
    fn what_says_nothing_is_left_out_and_what_is_unknown_is_newer() {
        let written = |key: u64, value: u64| {
            let mut to = Writer::new();
            to.map(4).uint(0).uint(u64::from(READING));
            write_time(&AT, to.uint(2));
            to.uint(3).uint(if key == 3 { value } else { 2 });
            if key == 3 {
                to.uint(6).uint(1);
            } else {
                to.uint(key).uint(value);
            }
            let bytes = to.finish();
            Operation::read(&bytes).map(|read| matches!(read, Operation::Newer))
        };
        assert_eq!((written(5, 1), written(6, 0)), (Err(Malformed::NotCanonical), Err(Malformed::NotCanonical)));
        assert_eq!((written(5, 1 << 32), written(4, 256)), (Err(Malformed::Bounds), Err(Malformed::Schema)));
        assert_eq!((written(3, 4), written(4, 9), written(7, 0)), (Ok(true), Ok(true), Ok(true)));
        assert_eq!(written(4, 8), Ok(false));
    }
}

//! What operations are about, as the file numbers it: a patient's record in one compartment, one lot, and the
//! compartment itself.

use crate::id::PatientId;
use crate::record::{Item, Operation};
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension};

/// Number of edits among the kinds in the table.
pub(super) const EDIT_KIND: u8 = 1;
/// Number of readings among the kinds in the table.
const READING_KIND: u8 = 15;

/// What operations are about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum SubjectKind {
    /// A patient's record in one compartment.
    Patient = 0,
    /// One lot of a product.
    Stock = 1,
    /// The compartment itself: what is about no single patient or lot.
    Compartment = 2,
    /// Operations that a newer version wrote.
    Newer = 3,
    /// Who looked at one patient's record, or at many together.
    Reading = 4,
}

impl SubjectKind {
    const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Patient,
            1 => Self::Stock,
            2 => Self::Compartment,
            4 => Self::Reading,
            _ => Self::Newer,
        }
    }
}

/// A subject's name within its compartment.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum SubjectKey {
    /// A patient.
    Patient(PatientId),
    /// What is no patient's record: its kind and its name in bytes.
    Other(SubjectKind, Vec<u8>),
}

impl SubjectKey {
    /// What an operation is about, and the operation's kind in the table.
    pub fn of(operation: &Operation<'_>) -> (Self, u8) {
        match operation {
            Operation::Newer => (Self::Other(SubjectKind::Newer, Vec::new()), 0),
            Operation::Edit(edit) => (Self::Patient(edit.patient), EDIT_KIND),
            Operation::Reading(reading) => {
                let name = reading.patient.map(|patient| patient.as_bytes().to_vec()).unwrap_or_default();
                (Self::Other(SubjectKind::Reading, name), READING_KIND)
            }
            Operation::Fact(fact) => {
                let kind = fact.statement.kind().number();
                match (fact.patient, Item::of_statement(&fact.statement)) {
                    (Some(patient), _) => (Self::Patient(patient), kind),
                    (None, Some(item)) => (Self::Other(SubjectKind::Stock, item.to_bytes()), kind),
                    (None, None) => (Self::Other(SubjectKind::Compartment, Vec::new()), kind),
                }
            }
        }
    }

    /// Its kind and its name in bytes.
    pub fn parts(&self) -> (SubjectKind, &[u8]) {
        match self {
            Self::Patient(patient) => (SubjectKind::Patient, patient.as_bytes()),
            Self::Other(kind, key) => (*kind, key),
        }
    }
}

/// A subject as the file numbers it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subject {
    /// Its number in this book.
    pub id: i64,
    /// Number of the compartment.
    pub compartment: i64,
    /// What it is.
    pub kind: SubjectKind,
    /// Its name: a patient's id, a lot.
    pub key: Vec<u8>,
}

impl Subject {
    /// The subject of a number.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn load(connection: &Connection, id: i64) -> Result<Option<Self>, StoreError> {
        let mut statement = connection.prepare_cached("SELECT compartment, kind, key FROM subject WHERE id = ?1")?;
        let row = statement.query_row([id], |row| {
            Ok(Self { id, compartment: row.get(0)?, kind: SubjectKind::from_number(row.get(1)?), key: row.get(2)? })
        });
        Ok(row.optional()?)
    }

    /// The number of a subject, if it has one.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn find(
        connection: &Connection,
        compartment: i64,
        kind: SubjectKind,
        key: &[u8],
    ) -> Result<Option<i64>, StoreError> {
        let mut statement =
            connection.prepare_cached("SELECT id FROM subject WHERE key = ?1 AND compartment = ?2 AND kind = ?3")?;
        Ok(statement.query_row((key, compartment, kind as u8), |row| row.get(0)).optional()?)
    }

    /// The subject of a name, numbered if it is new; whether it is.
    pub(super) fn find_or_add(
        tx: &Connection,
        compartment: i64,
        name: &SubjectKey,
    ) -> Result<(Self, bool), StoreError> {
        let (kind, key) = name.parts();
        let found = Self::find(tx, compartment, kind, key)?;
        let new = found.is_none();
        let id =
            match found {
                Some(id) => id,
                None => tx
                    .prepare_cached("INSERT INTO subject (compartment, kind, key) VALUES (?1, ?2, ?3)")?
                    .insert((compartment, kind as u8, key))?,
            };
        Ok((Self { id, compartment, kind, key: key.to_vec() }, new))
    }

    /// The patient, if it is one.
    #[must_use]
    pub fn patient(&self) -> Option<PatientId> {
        (self.kind == SubjectKind::Patient).then(|| PatientId::from_slice(&self.key)).flatten()
    }
}

/// Marks a subject whose views are to be made anew.
///
/// # Errors
/// [`StoreError`] if it cannot be written.
pub fn mark_dirty(tx: &Connection, subject: i64) -> Result<(), StoreError> {
    tx.prepare_cached("INSERT OR IGNORE INTO dirty (subject) VALUES (?1)")?.execute([subject])?;
    Ok(())
}

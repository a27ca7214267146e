//! What operations are about, as the file numbers it: a patient's record in one compartment, one lot, and the
//! compartment itself.

use crate::id::PatientId;
use crate::record::{Item, Operation};
use crate::store::{SUBJECT_NUMBER_MAX, StoreError};
use rusqlite::{Connection, OptionalExtension};

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
    /// What an operation is about.
    pub fn of(operation: &Operation<'_>) -> Self {
        match operation {
            Operation::Newer => Self::Other(SubjectKind::Newer, Vec::new()),
            Operation::Edit(edit) => Self::Patient(edit.patient),
            Operation::Reading(reading) => {
                let name = reading.patient.map(|patient| patient.as_bytes().to_vec()).unwrap_or_default();
                Self::Other(SubjectKind::Reading, name)
            }
            Operation::Fact(fact) => match (fact.patient, Item::of_statement(&fact.statement)) {
                (Some(patient), _) => Self::Patient(patient),
                (None, Some(item)) => Self::Other(SubjectKind::Stock, item.to_bytes()),
                (None, None) => Self::Other(SubjectKind::Compartment, Vec::new()),
            },
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

/// A subject's name in the book, in the order in which the index of names keeps them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Name {
    pub key: Vec<u8>,
    pub compartment: i64,
    pub kind: SubjectKind,
}

impl Name {
    pub fn new(compartment: i64, name: &SubjectKey) -> Self {
        let (kind, key) = name.parts();
        Self { key: key.to_vec(), compartment, kind }
    }

    fn parts(&self) -> (&[u8], i64, u8) {
        (&self.key, self.compartment, self.kind as u8)
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

    /// The number of what an operation is about, if it has one.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn of(connection: &Connection, compartment: i64, operation: &Operation<'_>) -> Result<Option<i64>, StoreError> {
        let name = SubjectKey::of(operation);
        let (kind, key) = name.parts();
        Self::find(connection, compartment, kind, key)
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

    /// The subjects of some names in rising order of name, numbered where they are new; whether each is.
    pub(super) fn number(tx: &Connection, names: Vec<Name>) -> Result<Vec<(Self, bool)>, StoreError> {
        let greatest: i64 =
            tx.prepare_cached("SELECT coalesce(max(id), 0) FROM subject")?.query_row([], |row| row.get(0))?;
        let few = names.len() < usize::try_from(greatest / 8).unwrap_or(usize::MAX);
        let known = if few { Self::numbers_one_by_one(tx, &names)? } else { Self::numbers_in_order(tx, &names)? };
        let mut next = greatest;
        let mut insert =
            tx.prepare_cached("INSERT INTO subject (id, compartment, kind, key) VALUES (?1, ?2, ?3, ?4)")?;
        let mut subjects = Vec::with_capacity(names.len());
        for (name, known) in names.into_iter().zip(known) {
            let id = match known {
                Some(id) => id,
                None if next >= SUBJECT_NUMBER_MAX => {
                    return Err(StoreError::Disk("more patients than one book can hold".into()));
                }
                None => {
                    next += 1;
                    insert.execute((next, name.compartment, name.kind as u8, &name.key))?;
                    next
                }
            };
            let Name { key, compartment, kind } = name;
            subjects.push((Self { id, compartment, kind, key }, known.is_none()));
        }
        Ok(subjects)
    }

    fn numbers_one_by_one(tx: &Connection, names: &[Name]) -> Result<Vec<Option<i64>>, StoreError> {
        names.iter().map(|name| Self::find(tx, name.compartment, name.kind, &name.key)).collect()
    }

    /// As one by one, in one walk through the index of names.
    fn numbers_in_order(tx: &Connection, names: &[Name]) -> Result<Vec<Option<i64>>, StoreError> {
        let mut statement =
            tx.prepare_cached("SELECT key, compartment, kind, id FROM subject ORDER BY key, compartment, kind")?;
        let mut rows = statement.query([])?;
        let mut numbers = vec![None; names.len()];
        let mut wanted = names.iter().zip(&mut numbers).peekable();
        while let Some(row) = rows.next()? {
            let key = row.get_ref(0)?.as_blob().map_err(|_| StoreError::Damaged("a subject".into()))?;
            let found = (key, row.get::<_, i64>(1)?, row.get::<_, u8>(2)?);
            while wanted.next_if(|(name, _)| name.parts() < found).is_some() {}
            let Some((name, _)) = wanted.peek() else { break };
            if name.parts() == found
                && let Some((_, number)) = wanted.next()
            {
                *number = Some(row.get(3)?);
            }
        }
        Ok(numbers)
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

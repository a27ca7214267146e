//! The body of an entry: the operations of one commit that belong in one log.

use super::edit::{EDIT, Edit};
use super::fact::{Fact, FactKind, Statement};
use super::reading::{READING, Reading};
use crate::clock::Hlc;
use crate::codec::{Malformed, Reader, Writer, check};
use crate::id::{CommitId, ImportId, Lane};
use crate::limits::OPERATIONS_PER_ENTRY_MAX;
use crate::roster::CompartmentKind;

/// One thing said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operation<'a> {
    /// Registers of a patient's record.
    Edit(Edit<'a>),
    /// An append-only fact.
    Fact(Fact<'a>),
    /// Somebody looked at records.
    Reading(Reading),
    /// Written by a newer version: kept whole, without effect here.
    Newer,
}

/// A body with its operations understood, each beside its canonical bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Body<'a> {
    /// Joins the entries of one commit.
    pub commit: CommitId,
    /// The author's hybrid logical clock.
    pub hlc: Hlc,
    /// The operations, 1 to 64.
    pub operations: Vec<(Operation<'a>, &'a [u8])>,
}

/// Why a body that opened has no effect; all of these are `faulty`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BodyFault {
    /// F-004 the canonical form.
    #[error("F-004 body is not in canonical form")]
    NotCanonical,
    /// F-005 the schema.
    #[error("F-005 body does not fit its schema")]
    Schema,
    /// F-006 the bounds of the format.
    #[error("F-006 body holds a value outside the bounds of the format")]
    Bounds,
    /// F-007 the lane.
    #[error("F-007 operation in the wrong lane")]
    Lane,
    /// F-008 the compartment.
    #[error("F-008 operation in the wrong kind of compartment")]
    Compartment,
    /// F-009 one edit per patient.
    #[error("F-009 two edits of one patient in one entry")]
    TwoEdits,
}

impl BodyFault {
    /// The rule code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotCanonical => "F-004",
            Self::Schema => "F-005",
            Self::Bounds => "F-006",
            Self::Lane => "F-007",
            Self::Compartment => "F-008",
            Self::TwoEdits => "F-009",
        }
    }
}

impl From<Malformed> for BodyFault {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Length | Malformed::NotCanonical | Malformed::Forbidden | Malformed::TooDeep => {
                Self::NotCanonical
            }
            Malformed::Schema | Malformed::Newer => Self::Schema,
            Malformed::Bounds => Self::Bounds,
        }
    }
}

impl<'a> Body<'a> {
    /// Reads a body that was opened in a log of `lane` and a compartment of `kind`.
    ///
    /// # Errors
    /// [`BodyFault`] says why the whole entry is faulty.
    pub fn read(bytes: &'a [u8], lane: Lane, kind: CompartmentKind) -> Result<Self, BodyFault> {
        let read = Self::read_whole(bytes);
        // The reader takes canonical items only, so what it understood whole is canonical. What a newer version wrote
        // it passed over, and of several faults that of the form counts first.
        let understood = |body: &Self| body.operations.iter().all(|(operation, _)| *operation != Operation::Newer);
        if !read.as_ref().is_ok_and(understood) {
            check(bytes)?;
        }
        let body = read?;
        body.judge(lane, kind)?;
        Ok(body)
    }

    /// Reads all operations of a body; all are newer if an unknown field stands beside them.
    fn read_whole(bytes: &'a [u8]) -> Result<Self, BodyFault> {
        let from = &mut Reader::new(bytes);
        let mut fields = from.fields()?;
        let (mut commit, mut hlc, mut operations, mut newer) = (None, None, Vec::new(), false);
        while let Some(key) = fields.next(from)? {
            match key {
                1 => commit = Some(CommitId::new(from.array()?)),
                2 => hlc = Some(Hlc::from_bits(from.uint()?)),
                3 => {
                    let count = from.list(OPERATIONS_PER_ENTRY_MAX)?;
                    operations =
                        (0..count).map(|_| Ok((Operation::Newer, from.raw()?))).collect::<Result<_, Malformed>>()?;
                }
                _ => {
                    from.raw()?;
                    newer = true;
                }
            }
        }
        from.end()?;
        if operations.is_empty() {
            return Err(BodyFault::Schema);
        }
        // An unknown field beside the operations may change what they say.
        if !newer {
            for (operation, bytes) in &mut operations {
                *operation = Operation::read(bytes)?;
            }
        }
        Ok(Self { commit: commit.ok_or(BodyFault::Schema)?, hlc: hlc.ok_or(BodyFault::Schema)?, operations })
    }

    /// Judges what only the whole entry shows: lanes, compartment, one edit per patient.
    fn judge(&self, lane: Lane, kind: CompartmentKind) -> Result<(), BodyFault> {
        let mut edited = Vec::new();
        for (operation, _) in &self.operations {
            if !operation.fits_lane(lane) {
                return Err(BodyFault::Lane);
            }
            if !operation.fits_compartment(kind) {
                return Err(BodyFault::Compartment);
            }
            if let Operation::Edit(edit) = operation {
                if edited.contains(&edit.patient) {
                    return Err(BodyFault::TwoEdits);
                }
                edited.push(edit.patient);
            }
        }
        Ok(())
    }

    /// Writes a body of `operations`, each in canonical bytes.
    #[must_use]
    pub fn write(commit: CommitId, hlc: Hlc, operations: &[Vec<u8>]) -> Vec<u8> {
        let mut to = Writer::new();
        to.map(3).uint(1).bytes(commit.as_bytes()).uint(2).uint(hlc.bits()).uint(3).list(operations.len());
        operations.iter().for_each(|operation| {
            to.raw(operation);
        });
        to.finish()
    }
}

impl<'a> Operation<'a> {
    /// Reads one operation; of an unknown kind or with an unknown field it is [`Operation::Newer`].
    ///
    /// # Errors
    /// [`Malformed`] if a known one does not fit its schema.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let from = &mut Reader::new(bytes);
        let operation = Self::read_from(from)?;
        if operation != Self::Newer {
            from.end()?;
        }
        Ok(operation)
    }

    /// Reads an operation that [`Operation::read`] took before.
    #[must_use]
    pub fn read_again(bytes: &'a [u8]) -> Self {
        Self::read_from(&mut Reader::again(bytes)).unwrap_or(Self::Newer)
    }

    fn read_from(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut fields = from.fields()?;
        if fields.next(from)? != Some(0) {
            return Err(Malformed::Schema);
        }
        let kind = from.uint()?;
        let operation = match FactKind::from_number(kind) {
            _ if kind == u64::from(EDIT) => Edit::read(&mut fields, from).map(Operation::Edit),
            _ if kind == u64::from(READING) => Reading::read(&mut fields, from).map(Operation::Reading),
            Some(kind) => Fact::read(kind, &mut fields, from).map(Operation::Fact),
            None => Err(Malformed::Newer),
        };
        match operation {
            Err(Malformed::Newer) => Ok(Operation::Newer),
            other => other,
        }
    }

    /// The number of its kind; 0 if a newer version wrote it.
    #[must_use]
    pub const fn kind_number(&self) -> u8 {
        match self {
            Self::Newer => 0,
            Self::Edit(_) => EDIT,
            Self::Reading(_) => READING,
            Self::Fact(fact) => fact.statement.kind().number(),
        }
    }

    /// The resource that an import took it from.
    #[must_use]
    pub const fn import(&self) -> Option<ImportId> {
        match self {
            Self::Edit(edit) => edit.import,
            Self::Fact(fact) => fact.import,
            Self::Reading(_) | Self::Newer => None,
        }
    }

    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut to = Writer::new();
        match self {
            Self::Edit(edit) => edit.write(&mut to),
            Self::Fact(fact) => fact.write(&mut to),
            Self::Reading(reading) => reading.write(&mut to),
            Self::Newer => {
                to.null();
            }
        }
        to.finish()
    }

    /// The lane in which people write it; an import writes everything in its own.
    #[must_use]
    pub fn lane(&self) -> Lane {
        match self {
            Self::Edit(edit) if edit.import.is_some() => Lane::Import,
            Self::Fact(fact) if fact.import.is_some() => Lane::Import,
            Self::Edit(_) | Self::Newer => Lane::Safety,
            Self::Reading(_) => Lane::Routine,
            Self::Fact(fact) if !fact.targets.is_empty() => Lane::Safety,
            Self::Fact(fact) => match &fact.statement {
                Statement::Allergy(_)
                | Statement::NoKnownAllergies
                | Statement::Dispense(_)
                | Statement::Refutation
                | Statement::Reversal
                | Statement::Deceased
                | Statement::Resolution { .. } => Lane::Safety,
                Statement::Observation(_)
                | Statement::Condition(_)
                | Statement::Immunization(_)
                | Statement::StockMovement(_)
                | Statement::StockCount(_)
                | Statement::Note { .. } => Lane::Routine,
            },
        }
    }

    fn fits_lane(&self, lane: Lane) -> bool {
        match self {
            Self::Newer => true,
            Self::Edit(_) | Self::Fact(_) | Self::Reading(_) => self.lane() == lane,
        }
    }

    fn fits_compartment(&self, kind: CompartmentKind) -> bool {
        match self {
            Self::Newer => true,
            Self::Edit(_) => kind == CompartmentKind::Clinical,
            Self::Reading(_) => kind == CompartmentKind::Audit,
            Self::Fact(fact) => match fact.statement.kind() {
                FactKind::StockMovement | FactKind::StockCount => kind == CompartmentKind::Supply,
                FactKind::Refutation | FactKind::Resolution if fact.patient.is_none() => {
                    kind == CompartmentKind::Supply
                }
                _ => kind == CompartmentKind::Clinical,
            },
        }
    }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;

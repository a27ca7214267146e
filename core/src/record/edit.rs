//! Edits: what one author set in a patient's record, and which heads of the record were seen.

use super::reference::{EntryRef, read_list, write_list};
use super::register::{Field, Register};
use crate::codec::{Fields, Malformed, Reader, Writer};
use crate::id::{ImportId, PatientId};
use crate::limits::{IDENTIFIERS_PER_PATIENT_MAX, PARENTS_PER_EDIT_MAX, REGISTERS_PER_EDIT_MAX};

/// Number of edits among the kinds of operations.
pub(super) const EDIT: u8 = 1;

/// Sets registers of a patient's record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit<'a> {
    /// Whose record.
    pub patient: PatientId,
    /// Heads of the record that the author saw, at most 16, in rising order. The nearest earlier edit of
    /// the record in the author's own chain is a parent without being named.
    pub parents: Vec<EntryRef>,
    /// What is set, 1 to 64, in rising order of field and key, each register once.
    pub registers: Vec<Register<'a>>,
    /// The resource that an import took it from.
    pub import: Option<ImportId>,
}

impl<'a> Edit<'a> {
    /// Reads the rest of an edit whose kind was read.
    pub(super) fn read(fields: &mut Fields, from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let (mut patient, mut parents, mut registers, mut import) = (None, Vec::new(), Vec::new(), None);
        while let Some(key) = fields.next(from)? {
            match key {
                1 => patient = Some(PatientId::new(from.array()?)),
                2 => {
                    parents = read_list(from, PARENTS_PER_EDIT_MAX, EntryRef::read)?;
                    if parents.is_empty() {
                        return Err(Malformed::NotCanonical);
                    }
                }
                3 => registers = read_registers(from)?,
                4 => import = Some(ImportId::new(from.array()?)),
                _ => return Err(Malformed::Newer),
            }
        }
        if registers.is_empty() {
            return Err(Malformed::Schema);
        }
        Ok(Self { patient: patient.ok_or(Malformed::Schema)?, parents, registers, import })
    }

    /// Writes the edit as an operation; sorts parents and registers.
    pub fn write(&self, to: &mut Writer) {
        let mut registers = self.registers.clone();
        registers.sort_unstable();
        to.map(3 + usize::from(!self.parents.is_empty()) + usize::from(self.import.is_some()));
        to.uint(0).uint(u64::from(EDIT)).uint(1).bytes(self.patient.as_bytes());
        if !self.parents.is_empty() {
            write_list(&self.parents, to.uint(2), EntryRef::write);
        }
        to.uint(3).list(registers.len());
        registers.iter().for_each(|register| register.write(to));
        if let Some(import) = &self.import {
            to.uint(4).bytes(import.as_bytes());
        }
    }
}

fn read_registers<'a>(from: &mut Reader<'a>) -> Result<Vec<Register<'a>>, Malformed> {
    let count = from.list(REGISTERS_PER_EDIT_MAX)?;
    let mut registers: Vec<Register<'a>> = Vec::with_capacity(count);
    for _ in 0..count {
        let register = Register::read(from)?;
        if registers.last().is_some_and(|last| (last.field, last.key) >= (register.field, register.key)) {
            return Err(Malformed::NotCanonical);
        }
        registers.push(register);
    }
    if registers.iter().filter(|r| r.field == Field::Identifier).count() > IDENTIFIERS_PER_PATIENT_MAX {
        return Err(Malformed::Bounds);
    }
    Ok(registers)
}

//! Operations as an import writes them: edits from what registers said and say, each judged as the book will.

use super::report::{Reason, Refusal};
use super::{OPERATION_BYTES_MAX, PreviousImport};
use crate::codec::check;
use crate::id::{ImportId, PatientId};
use crate::limits::{PARENTS_PER_EDIT_MAX, REGISTERS_PER_EDIT_MAX};
use crate::record::{Edit, EntryRef, Field, NULL, Operation, Register, Setting};
use std::collections::BTreeMap;

/// Bytes that an edit has beside its registers, at most: patient, parents, import.
const EDIT_BYTES_BESIDE: usize = 4 * 1024;

/// Registers by field and key.
pub(super) type Registers = BTreeMap<(Field, Vec<u8>), Vec<u8>>;

/// The edits that bring a record from what the previous import said to what is said now: changed and new
/// registers, and null for those that are gone. More than fit into one edit are divided.
pub(super) fn write_edits(
    patient: PatientId,
    import: ImportId,
    previous: Option<&PreviousImport>,
    said: &mut Registers,
) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut parents: Vec<EntryRef> = previous.map(|p| p.heads.clone()).unwrap_or_default();
    parents.sort_unstable();
    parents.dedup();
    parents.truncate(PARENTS_PER_EDIT_MAX);
    for (field, key, value) in previous.map(|p| p.registers.as_slice()).unwrap_or_default() {
        let place = (*field, key.clone());
        match said.get(&place) {
            Some(now) if now == value => {
                said.remove(&place);
            }
            None if value != NULL => {
                said.insert(place, NULL.to_vec());
            }
            Some(_) | None => {}
        }
    }
    let (mut edits, mut registers, mut bytes) = (Vec::new(), Vec::new(), 0);
    let mut close = |registers: &mut Vec<Register<'_>>| {
        if registers.is_empty() {
            return Ok(());
        }
        let registers = std::mem::take(registers);
        let edit = Edit { patient, parents: parents.clone(), registers, import: Some(import) };
        edits.push(judged(&Operation::Edit(edit))?);
        Ok::<(), Refusal>(())
    };
    for ((field, key), value) in &*said {
        let more = key.len() + value.len() + 16;
        if registers.len() == REGISTERS_PER_EDIT_MAX || bytes + more > OPERATION_BYTES_MAX - EDIT_BYTES_BESIDE {
            close(&mut registers)?;
            bytes = 0;
        }
        bytes += more;
        registers.push(Register { field: *field, key, value });
    }
    close(&mut registers)?;
    Ok(edits)
}

/// The further values of birth date and sex of a record that begins here. An edit of a person, not of an
/// import: in a log of its own (see [`Operation::lane`]), so that neither value has the other among its
/// ancestors, and both are shown. Written once, when the record begins: later it would overrule people.
pub(super) fn write_concurrent(patient: PatientId, settings: &[Setting<'_>]) -> Result<Vec<u8>, Refusal> {
    let bytes: Vec<_> = settings.iter().map(|setting| (setting.field(), setting.to_bytes())).collect();
    let registers = bytes.iter().map(|(field, (key, value))| Register { field: *field, key, value }).collect();
    judged(&Operation::Edit(Edit { patient, parents: Vec::new(), registers, import: None }))
}

/// The bytes of an operation, if it fits into an entry and the book can read it.
pub(super) fn judged(operation: &Operation<'_>) -> Result<Vec<u8>, Refusal> {
    let bytes = operation.to_bytes();
    if bytes.len() > OPERATION_BYTES_MAX {
        return Err(Refusal::new(Reason::EntryTooLarge, ""));
    }
    let readable = check(&bytes).is_ok() && Operation::read(&bytes).is_ok_and(|read| !matches!(read, Operation::Newer));
    if readable { Ok(bytes) } else { Err(Refusal::new(Reason::Format, "")) }
}

//! Exchange with other systems: FHIR in and out, CSV out.
//!
//! Owns the splitting of FHIR streams, the mapping between FHIR and operations, what an import writes and
//! what it leaves alone, and the tables for spreadsheets. Owns no files, no store and no keys: bytes come
//! in through [`std::io::Read`], go out through [`std::io::Write`], and the book is an [`ImportBook`].
//! Invariants: a resource is taken wholly or not at all; what is written is a function of the resource,
//! the source and what earlier imports of it left, so the same export taken in twice, here or on another
//! device, says nothing new; memory does not grow with the input.

pub mod csv;
pub mod fhir;

mod batch;
mod identity;
mod import;
mod input;
mod operations;
mod passes;
mod piece;
mod report;
mod source;
mod stream;
mod structure;

pub use identity::{Holder, PreviousImport};
pub use passes::{ImportError, ImportOptions, import};
pub use piece::{Fault, Piece, RESOURCE_BYTES_MAX, RESOURCE_DEPTH_MAX, RESOURCE_VALUES_MAX};
pub use report::{BAD_LISTED_MAX, BadResource, ImportReport, PATHS_MAX, Pass, Progress, Reason, TYPES_MAX, TypeCount};
pub use source::Source;
pub use stream::Splitter;

use crate::clock::EffectiveTime;
use crate::id::{ImportId, IncidentId, PatientId};
use crate::record::FactId;

/// Most bytes of one operation that an import makes: it must fit into an entry with what surrounds it.
pub const OPERATION_BYTES_MAX: usize = 59 * 1024;
/// Operations after which a batch is committed.
pub const OPERATIONS_PER_BATCH: usize = 2_048;
/// Bytes of operations after which a batch is committed.
pub const BYTES_PER_BATCH: usize = 4 * 1024 * 1024;

/// What an import needs of a book. All answers are of the committed state; the import itself knows what it
/// has not committed yet.
pub trait ImportBook {
    /// What can go wrong in the book.
    type Error: std::error::Error + 'static;

    /// The incident: part of every id that an import makes.
    fn incident(&self) -> IncidentId;

    /// `H(import; parts)`, the parts one after the other; the import puts lengths between them.
    fn hash(&self, parts: &[&[u8]]) -> [u8; 32];

    /// What the import edits of one Patient resource left: whose record, their heads, and the registers as
    /// their chain left them. `None` if there are none.
    ///
    /// # Errors
    /// Those of the book, as with all methods here.
    fn previous(&mut self, import: ImportId) -> Result<Option<PreviousImport>, Self::Error>;

    /// [`crate::record::Fact::content`] of every fact with this import id.
    ///
    /// # Errors
    /// Those of the book.
    fn fact_contents(&mut self, import: ImportId) -> Result<Vec<Vec<u8>>, Self::Error>;

    /// The patients that bear this identifier now.
    ///
    /// # Errors
    /// Those of the book.
    fn holders(&mut self, system: &str, value: &str) -> Result<Vec<Holder>, Self::Error>;

    /// The last observation of this patient and code whose effective time lies before `effective`.
    ///
    /// # Errors
    /// Those of the book.
    fn observation_before(
        &mut self,
        patient: PatientId,
        system: &str,
        code: &str,
        effective: &EffectiveTime,
    ) -> Result<Option<FactId>, Self::Error>;

    /// Writes operations in canonical bytes, in this order, and returns when they are durable. The book
    /// divides them into entries: at most 64 operations, one edit per patient, each in the lane that
    /// [`crate::record::Operation::lane`] says.
    ///
    /// # Errors
    /// Those of the book; then the import ends, and what was committed before stays.
    fn commit(&mut self, operations: Vec<Vec<u8>>) -> Result<(), Self::Error>;
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod import_tests;

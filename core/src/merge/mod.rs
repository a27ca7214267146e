//! From stored entries to accepted operations: judging, opening, decoding, and the rows of operations.
//!
//! Owns the verdict on an entry and the tables of what was said, by subject: a patient's record in one
//! compartment, or one lot of a product. Owns no meaning of several operations together (that is `record`)
//! and nothing that people read (that is `view`). Invariant: the rows of operations are a function of the
//! stored entries, the roster and the keys held; never of the order in which these came.
//!
//! All its tables can be dropped and made again from the entries.

mod document;
mod judge;
mod operations;
mod times;

pub use document::{DocumentError, DocumentValue, document, document_at, document_values};
pub use judge::{Judged, Keyring, judge};
pub use operations::{Intake, Logs, OpRow, SCHEMA, Subject, SubjectKind, TABLES, mark_dirty, operations_of, remove};
pub use times::Times;

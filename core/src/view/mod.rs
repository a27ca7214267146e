//! What people read: lists, search, findings, stock, and the digest over all of it.
//!
//! Owns the posted tables, each a pure function of the operations of one subject (and of the times of its
//! compartment): a posting throws a subject's rows away and makes them again, so that what is posted always
//! equals a rebuild. Owns no rule: those are in `record`.
//!
//! All its tables can be dropped and made again from the operations.

mod digest;
mod making;
mod missing;
mod patients;
mod posting;
mod press;
mod search;

pub use digest::{CompartmentDigest, digest};
pub use missing::{MissingRow, missing_rows};
pub use patients::{PatientRow, name_text, patient_row};
pub use posting::{
    FindingRow, Interrupted, SCHEMA, StockRow, TABLES, finding_rows, imported, post, post_beside, resolution_of,
    stock_rows,
};
pub use search::{bearers_of_value, holders, patient_subject, patients_between, search};

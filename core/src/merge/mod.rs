//! From stored entries to accepted operations: judging, opening, decoding, and the rows of operations.
//!
//! Owns the verdict on an entry and the tables of what was said, by subject: a patient's record in one
//! compartment, or one lot of a product. Owns no meaning of several operations together (that is `record`)
//! and nothing that people read (that is `view`). Invariant: the rows of operations are a function of the
//! stored entries, the roster and the keys held; never of the order in which these came.
//!
//! All its tables can be dropped and made again from the entries.

mod ahead;
mod backlog;
mod document;
mod intake;
mod judge;
mod operations;
mod sheets;
mod subject;
mod times;

pub use ahead::{Openers, ReadRun, Room};
pub use backlog::{Arranged, Backlog, Filed};
pub use document::{DocumentError, DocumentValue, document, document_at, document_values};
pub use intake::{Intake, operations_in};
pub use judge::{Judged, Keyring, judge};
pub use operations::{Logs, Op, OpRow, Placed, SCHEMA, TABLES, latest_ms, operations_of};
pub use sheets::{Kept, Sheets, each_unposted, every_sheet, operation_at, set_filings_posted, unposted_filings};
pub use subject::{Subject, SubjectKind};
pub use times::Times;

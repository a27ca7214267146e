//! The durable truth: one SQLCipher file that holds the logs, the secrets and what is local to this device.
//!
//! Owns the file, its transactions and the tables of entries. Owns no meaning: it takes in only what `log`
//! verified, and says where it lies. Tables that people read belong to `merge` and `view`, can be dropped,
//! and live in the same file so that one transaction covers both.
//!
//! Invariants: what [`Store::write`] returned `Ok` for survives loss of power; after a failed write or sync
//! the handle refuses everything until the book is opened again; a damaged file is never deleted.
//!
//! ```text
//! entry key = log number << 35 | seq << 3 | branch          operation key = entry key << 6 | index
//! row of operations = filing << 52 | subject << 22 | number
//! ```

mod begun;
mod beyond;
mod entries;
mod file;
mod frontier;
mod keys;
mod local;
mod names;
mod parcels;
mod rescue;
mod schema;
mod verdicts;
mod walk;

pub use begun::BegunRow;
pub use beyond::Places;
pub use entries::{Appended, BranchOf, Declined, LogRow, StoredEntry, Unposted};
pub use file::{Pace, Store, StoreError};
pub use frontier::{LogTips, PieceRun};
pub use keys::{EntryKey, FILING_NUMBER_MAX, OpKey, RowKey, SUBJECT_NUMBER_MAX};
pub use local::{Secrets, StoredSecret};
pub use parcels::KeptParcel;
pub use rescue::{Found, Gap, Rescue};
pub use schema::SCHEMA_VERSION;
pub use verdicts::Verdict;
pub use walk::{Grounds, Walked};

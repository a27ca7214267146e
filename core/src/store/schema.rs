//! The tables of the durable truth, and how a file is told to be a book of this version.

/// Version of the durable tables; older ones migrate on opening.
pub const SCHEMA_VERSION: i32 = 1;

/// `application_id` of a book: "DayB".
pub(super) const APPLICATION_ID: i32 = 0x4461_7942;

/// Durable tables of version 1.
pub(super) const TABLES: &str = "
CREATE TABLE book (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE secret (key BLOB PRIMARY KEY, compartment BLOB NOT NULL, history INTEGER NOT NULL, secret BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE parcel (id INTEGER PRIMARY KEY, key BLOB NOT NULL, recipient BLOB NOT NULL, ephemeral BLOB NOT NULL, sealed BLOB NOT NULL);
CREATE INDEX parcel_of ON parcel (recipient, key);
CREATE TABLE compartment (id INTEGER PRIMARY KEY, compartment BLOB NOT NULL UNIQUE);
CREATE TABLE log (
  id INTEGER PRIMARY KEY, log BLOB NOT NULL UNIQUE, author BLOB NOT NULL, device BLOB NOT NULL,
  incarnation BLOB NOT NULL, compartment INTEGER NOT NULL REFERENCES compartment (id), lane INTEGER NOT NULL);
CREATE TABLE branch (
  log INTEGER NOT NULL REFERENCES log (id), branch INTEGER NOT NULL, parent INTEGER NOT NULL, fork_seq INTEGER NOT NULL,
  tip_seq INTEGER NOT NULL, tip_id BLOB NOT NULL, posted_seq INTEGER NOT NULL, PRIMARY KEY (log, branch)) WITHOUT ROWID;
CREATE TABLE ground (
  id INTEGER PRIMARY KEY, granted BLOB NOT NULL, hint BLOB NOT NULL, key BLOB NOT NULL, UNIQUE (granted, hint, key));
CREATE TABLE entry (
  id INTEGER PRIMARY KEY, entry BLOB NOT NULL, ground INTEGER NOT NULL, nonce BLOB NOT NULL,
  body BLOB NOT NULL, erased INTEGER NOT NULL DEFAULT 0);
CREATE TABLE head (entry INTEGER PRIMARY KEY REFERENCES entry (id), signature BLOB NOT NULL);
CREATE TABLE verdict (entry INTEGER PRIMARY KEY REFERENCES entry (id), verdict INTEGER NOT NULL, code TEXT NOT NULL);
";

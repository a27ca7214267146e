//! The limits of format 1 that decide acceptance, and the limits of this program that only delay.
//!
//! The first part is part of the format: two devices that disagreed about one of these numbers would
//! hold different books, so none of them can change within format 1. The second part bounds memory,
//! disk and time here; it may delay or decline, never judge an entry.

/// Number of the byte format that this crate reads and writes.
pub const FORMAT: u16 = 1;
/// Number of the cryptographic suite: Ed25519, X25519, XChaCha20-Poly1305, BLAKE3, Argon2id.
pub const SUITE: u16 = 1;

/// Greatest length of a sealed body, tag and padding included, in bytes.
pub const SEALED_BODY_BYTES_MAX: usize = 64 * 1024;
/// Greatest length of a control body in bytes.
pub const CONTROL_BODY_BYTES_MAX: usize = 256 * 1024;
/// Most operations in one entry.
pub const OPERATIONS_PER_ENTRY_MAX: usize = 64;
/// Most parents that an edit names.
pub const PARENTS_PER_EDIT_MAX: usize = 16;
/// Most registers that an edit sets.
pub const REGISTERS_PER_EDIT_MAX: usize = 64;
/// Longest text in bytes.
pub const TEXT_BYTES_MAX: usize = 8 * 1024;
/// Most identifiers that one edit sets; an author also keeps to it for the whole record.
pub const IDENTIFIERS_PER_PATIENT_MAX: usize = 64;
/// Deepest nesting of CBOR arrays and maps in a body.
pub const CBOR_DEPTH_MAX: usize = 8;
/// Longest grant path, counted in grants.
pub const GRANT_DEPTH_MAX: usize = 8;
/// Most branches of one log that anybody stores; the ninth makes a flood proof.
pub const BRANCHES_PER_LOG_MAX: usize = 8;
/// Most incarnations of one device.
pub const INCARNATIONS_PER_DEVICE_MAX: usize = 64;
/// Most targets that a fact names.
pub const TARGETS_PER_FACT_MAX: usize = 16;
/// Greatest place in a log.
pub const SEQ_MAX: u64 = u32::MAX as u64;
/// A device signs its log at least at every multiple of this sequence number.
pub const SIGNED_EVERY: u64 = 64;
/// Grants that all roots together may make.
pub const GRANTS_PER_INCIDENT: u32 = 20_000;
/// Compartments that all roots together may make.
pub const COMPARTMENTS_PER_INCIDENT: u32 = 256;
/// Most root devices in a founding statement.
pub const ROOTS_MAX: usize = 16;
/// Greatest quantity; the smallest is just above zero.
pub const QUANTITY_MAX: u64 = 1_000_000;
/// Most decimal places of a quantity.
pub const QUANTITY_SCALE_MAX: u8 = 6;

/// Size of one parcel's body: recipient and sealed secret, in bytes.
pub const PARCEL_BYTES: usize = 80;
/// Parcels kept for one key and recipient by those who only carry them.
pub const PARCELS_KEPT_PER_KEY_AND_RECIPIENT: usize = 4;

// Limits of this program: they delay or decline, never judge.

/// Most entries that one durable transaction takes in.
pub const ENTRIES_PER_COMMIT_MAX: usize = 4_096;
/// Most bytes of entries that one durable transaction takes in.
pub const BYTES_PER_COMMIT_MAX: usize = 16 * 1024 * 1024;
/// Most entries posted in one go.
pub const ENTRIES_PER_POSTING_MAX: usize = 65_536;
/// Most entries of one run as this program writes them.
pub const ENTRIES_PER_RUN_MAX: usize = 1_024;
/// Most bytes of one frame of an export file.
pub const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Dispenses of one patient and class above which pairs are no longer listed one by one.
pub const DISPENSES_PAIRED_MAX: usize = 128;
/// Edits of one record above which its Automerge document is built for export only.
pub const DOCUMENT_EDITS_MAX: usize = 2_048;
/// Most logs of devices without a grant here that are taken in from one bringer.
pub const STRANGE_LOGS_PER_BRINGER_MAX: usize = 256;
/// Most bytes of them.
pub const STRANGE_BYTES_PER_BRINGER_MAX: u64 = 16 * 1024 * 1024;
/// Most logs of devices without a grant here that are taken in at all.
pub const STRANGE_LOGS_MAX: usize = 1_024;
/// Most bytes of them.
pub const STRANGE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Most bytes of runs that are taken in from one device whose grants ended.
pub const FORMER_BYTES_PER_DEVICE_MAX: u64 = 16 * 1024 * 1024;
/// Most bytes of them from all such devices.
pub const FORMER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Most beginnings of runs that are kept until their signed heads come, of those that one device brought.
pub const BEGUN_PER_DEVICE_MAX: usize = 256;
/// Most bytes of them: two runs of the greatest length.
pub const BEGUN_BYTES_PER_DEVICE_MAX: usize = 8 * 1024 * 1024;
/// Most beginnings of runs that are kept in all.
pub const BEGUN_MAX: usize = 1_024;
/// Most bytes of them.
pub const BEGUN_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of opened operations that may wait in memory to be posted.
pub const BACKLOG_BYTES_MAX: usize = 40 * 1024 * 1024;

/// Operations that may wait in memory to be posted.
pub const BACKLOG_OPERATIONS_MAX: usize = 256 * 1024;

//! Fuzz targets. Each is a function of any bytes that returns where all is well and panics where it is not.
//!
//! Bytes that are only bytes get no further than the first check. So an input is a recipe (see [`recipe`]): which valid
//! thing to take, and what to change of it; or, if it begins with a high bit, the bytes themselves.
//!
//! * [`decoders`]: what anybody can send: runs, proofs, founding statements, grant paths, codes;
//! * [`members`]: what only a member can: bodies and control entries that are sealed and signed as they should be,
//!   export files, records of other systems, taken in by a real book on a disk in memory;
//! * [`rescue`]: a book whose file was damaged, salvaged;
//! * [`sessions`]: frames of a peer that says anything, and two sessions whose bytes somebody changes.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a target stops at what cannot be")]

pub mod decoders;
pub mod members;
pub mod recipe;
pub mod rescue;
pub mod samples;
pub mod sessions;

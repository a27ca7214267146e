//! Loss of power and failing disks at every operation that SQLite asks of the system.
//!
//! ```text
//! book -> SQLite -> SQLCipher's pages -> vfs (C calls) -> Disk: files in memory, what was written since the last
//!                                                               sync kept apart, faults on demand, a trace
//! ```
//!
//! [`disk`] is the model of a disk, [`vfs`] makes it SQLite's file system in this process, [`script`] is what a
//! device does in a shift, and [`sweep`] cuts or fails that at every operation and looks at what is left.

pub mod disk;
pub mod script;
pub mod sweep;
pub mod vfs;

//! Daybook: the book of original entry for disaster response.
//!
//! A local, hash-linked log of encrypted patient and dispensing entries in one SQLite file, which merges with
//! any other book of the same incident. Everything that an app or the command line needs is in [`daybook`]:
//! [`Daybook::create`](daybook::Daybook::create) begins an incident,
//! [`Daybook::open`](daybook::Daybook::open) opens a book, and an open book has one method per command.
//!
//! | to ... | look in |
//! |---|---|
//! | use a book | [`daybook`] |
//! | build what is said: names, allergies, dispenses | [`record`] |
//! | read or write the bytes of the format | [`codec`], [`crypto`], [`entry`], [`log`], [`roster`] |
//! | know how entries become what people read | [`merge`], [`view`] |
//! | bring records in from FHIR, or out | [`exchange`] |
//!
//! The modules are the stations on the way of an entry; each uses only those before it. Nothing here asks the
//! operating system for the time or for randomness: both come through [`clock::Host`].
//!
//! ```
//! use daybook_core::clock::Host;
//! use daybook_core::daybook::{Daybook, NewIncident};
//! use daybook_core::record::{Identifier, Setting};
//! # struct Fixed(u8);
//! # impl Host for Fixed {
//! #     fn now_ms(&mut self) -> i64 { 1_795_334_400_000 }
//! #     fn offset_minutes(&mut self) -> i16 { 0 }
//! #     fn fill(&mut self, bytes: &mut [u8]) { for b in bytes { self.0 = self.0.wrapping_mul(5).wrapping_add(3); *b = self.0; } }
//! # }
//! # let folder = tempfile::tempdir()?;
//! # let host = Box::new(Fixed(1));
//! let new = NewIncident {
//!     incident: "Flood 2026".into(),
//!     organisation: "Relief".into(),
//!     person: "Ana".into(),
//!     exercise: true,
//! };
//! let (mut book, seed) = Daybook::create(&folder.path().join("book"), b"four words by chance", &new, host)?;
//! let tag = Setting::Identifier(Identifier { system: "tag", value: "A-17" }, Some(""));
//! let patient = book.add_patient(&[tag])?.value;
//! assert_eq!(book.resolve_patient("A-17")?, patient);
//! # drop(seed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation
    )
)]

pub mod clock;
pub mod codec;
pub mod crypto;
pub mod daybook;
pub mod entry;
pub mod exchange;
pub mod id;
pub mod limits;
pub mod log;
pub mod merge;
#[cfg(not(feature = "mutants"))]
#[allow(dead_code, reason = "can be planted with the feature `mutants` only")]
mod mutant;
#[cfg(feature = "mutants")]
pub mod mutant;
#[cfg(feature = "net")]
pub mod net;
pub mod record;
pub mod roster;
pub mod store;
pub mod sync;
pub mod view;

//! How what the book gives back is shown: as text for people and as JSON for scripts.
//!
//! Pure functions; nothing here prints or reads. Invariant: text that came from a record reaches a screen
//! only through [`text::safe`] or [`text::cell`].

pub mod chart;
pub mod fact;
pub mod holdings;
pub mod json;
pub mod lists;
pub mod meeting;
pub mod members;
pub mod proof;
pub mod table;
pub mod text;
pub mod time;

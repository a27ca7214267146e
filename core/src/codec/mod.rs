//! Bytes of bodies: CBOR in deterministic encoding (RFC 8949, 4.2.1), and nothing else.
//!
//! Owns the canonical form ([`check`]), the reader and the writer of single items. Invariant: a text that
//! passes [`check`] is the only encoding of what it says, so decoding and encoding again gives the same
//! bytes. Knows nothing of what a body means.

mod canonical;
mod reader;
mod writer;

pub use canonical::check;
pub use reader::{Fields, Reader};
pub use writer::Writer;

/// Bytes that are not what a format says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// Ends early, goes on after the end, or claims more items than it has.
    #[error("length does not fit the content")]
    Length,
    /// Another encoding of the same content would be the canonical one.
    #[error("not in canonical form")]
    NotCanonical,
    /// A kind of item that bodies do not use: floats, tags, undefined, negative keys.
    #[error("holds an item of a kind that is not used")]
    Forbidden,
    /// Nested more deeply than the format allows.
    #[error("nested too deeply")]
    TooDeep,
    /// An item of another type than the schema says, or a needed one is missing.
    #[error("does not fit its schema")]
    Schema,
    /// A value or a count outside the bounds of the format.
    #[error("holds a value outside its bounds")]
    Bounds,
    /// A field or kind that this version does not know.
    #[error("written by a newer version")]
    Newer,
}

//! What a splitter gives out: one resource's bytes, or what is wrong with them.

/// Longest resource in bytes; a longer one is passed over without being held.
pub const RESOURCE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Deepest nesting of a resource, the resource itself counted.
pub const RESOURCE_DEPTH_MAX: u32 = 64;
/// Most JSON values and keys in one resource: bounds the memory of its parsed form.
pub const RESOURCE_VALUES_MAX: u32 = 65_536;

/// Why a piece of the stream is no resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Not JSON.
    NotJson,
    /// Ends before it is complete.
    Truncated,
    /// Longer than [`RESOURCE_BYTES_MAX`].
    TooLong,
    /// Nested more deeply than [`RESOURCE_DEPTH_MAX`].
    TooDeep,
    /// More values than [`RESOURCE_VALUES_MAX`].
    TooManyValues,
    /// JSON, but in the place of a resource is something else.
    NotAResource,
}

/// One resource, or one fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// Its `resourceType` as far as it was read; not yet judged.
    pub resource_type: Option<String>,
    /// Its `id` as far as it was read; not yet judged.
    pub id: Option<String>,
    /// The bytes of the JSON object, or what is wrong.
    pub content: Result<Vec<u8>, Fault>,
}

/// What was read of the current object.
#[derive(Debug)]
pub(super) struct Building {
    pub(super) line: u64,
    pub(super) bytes: Vec<u8>,
    fault: Option<Fault>,
    pub(super) resource_type: Option<String>,
    pub(super) id: Option<String>,
}

impl Building {
    pub(super) fn new(line: u64) -> Self {
        Self { line, bytes: Vec::new(), fault: None, resource_type: None, id: None }
    }

    pub(super) fn push(&mut self, byte: u8) {
        if self.fault.is_none() && self.bytes.len() < RESOURCE_BYTES_MAX {
            self.bytes.push(byte);
        } else {
            self.extend(&[byte]);
        }
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        if self.bytes.len() + bytes.len() > RESOURCE_BYTES_MAX {
            self.fail(Fault::TooLong);
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// From now on nothing is held.
    pub(super) fn fail(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
        self.bytes = Vec::new();
    }

    pub(super) fn into_piece(self) -> Piece {
        let content = self.fault.map_or(Ok(self.bytes), Err);
        Piece { line: self.line, resource_type: self.resource_type, id: self.id, content }
    }

    pub(super) fn into_fault(mut self, fault: Fault) -> Piece {
        self.fault.get_or_insert(fault);
        self.into_piece()
    }
}

//! Writes the items of a body; the caller writes keys in rising order.

use minicbor::encode::Encoder;

/// Writes canonical items into memory; never fails.
#[derive(Debug)]
pub struct Writer {
    items: Encoder<Vec<u8>>,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

/// Ignores the error of an encoder that cannot fail: its sink is memory.
macro_rules! write {
    ($self:ident, $call:ident, $value:expr) => {{
        let _: Result<_, minicbor::encode::Error<std::convert::Infallible>> = $self.items.$call($value).map(drop);
        $self
    }};
}

impl Writer {
    /// Starts an empty text.
    #[must_use]
    pub fn new() -> Self {
        Self { items: Encoder::new(Vec::with_capacity(256)) }
    }

    /// Opens a map of `count` fields.
    pub fn map(&mut self, count: usize) -> &mut Self {
        write!(self, map, count as u64)
    }

    /// Opens an array of `count` items.
    pub fn list(&mut self, count: usize) -> &mut Self {
        write!(self, array, count as u64)
    }

    /// Writes an integer from zero, or a key.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        write!(self, u64, value)
    }

    /// Writes a signed integer.
    pub fn int(&mut self, value: i64) -> &mut Self {
        write!(self, i64, value)
    }

    /// Writes a truth value.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        write!(self, bool, value)
    }

    /// Writes a byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        write!(self, bytes, value)
    }

    /// Writes a text.
    pub fn text(&mut self, value: &str) -> &mut Self {
        write!(self, str, value)
    }

    /// Writes null.
    pub fn null(&mut self) -> &mut Self {
        let _: Result<_, minicbor::encode::Error<std::convert::Infallible>> = self.items.null().map(drop);
        self
    }

    /// Appends items that are canonical already.
    pub fn raw(&mut self, items: &[u8]) -> &mut Self {
        self.items.writer_mut().extend_from_slice(items);
        self
    }

    /// The bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.items.into_writer()
    }
}

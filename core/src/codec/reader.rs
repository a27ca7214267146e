//! Reads the items of a body whose canonical form was checked before.

use super::Malformed;
use super::canonical::item_length;
use minicbor::data::Type;
use minicbor::decode::Decoder;

/// Reads one item after another; borrows texts and bytes from the input.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    items: Decoder<'a>,
    read_before: bool,
}

/// The fields of a map, in rising order of their keys.
#[derive(Debug)]
pub struct Fields {
    left: u64,
}

impl Fields {
    /// The next key, whose value is to be read next; `None` at the end of the map.
    ///
    /// # Errors
    /// [`Malformed::Schema`] if the key is no integer from zero.
    pub fn next(&mut self, reader: &mut Reader<'_>) -> Result<Option<u64>, Malformed> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        reader.uint().map(Some)
    }
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { items: Decoder::new(bytes), read_before: false }
    }

    /// Starts at the first byte of what was read whole before: what stays bytes needs no second look.
    #[must_use]
    pub fn again(bytes: &'a [u8]) -> Self {
        Self { items: Decoder::new(bytes), read_before: true }
    }

    /// Whether all of it was read before.
    #[must_use]
    pub const fn was_read_before(&self) -> bool {
        self.read_before
    }

    /// An integer from zero.
    ///
    /// # Errors
    /// [`Malformed::Schema`] if the next item is another, as with all methods here.
    pub fn uint(&mut self) -> Result<u64, Malformed> {
        self.items.u64().map_err(schema)
    }

    /// A small integer from zero.
    ///
    /// # Errors
    /// [`Malformed::Schema`] if the next item is none, or greater than 255.
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        self.items.u8().map_err(schema)
    }

    /// A signed integer.
    ///
    /// # Errors
    /// [`Malformed::Schema`] if the next item is none, or does not fit.
    pub fn int(&mut self) -> Result<i64, Malformed> {
        self.items.i64().map_err(schema)
    }

    /// A truth value.
    ///
    /// # Errors
    /// [`Malformed::Schema`] if the next item is none.
    pub fn bool(&mut self) -> Result<bool, Malformed> {
        self.items.bool().map_err(schema)
    }

    /// A byte string.
    ///
    /// # Errors
    /// [`Malformed::Schema`] if the next item is none.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        self.items.bytes().map_err(schema)
    }

    /// A byte string of exactly `N` bytes.
    ///
    /// # Errors
    /// [`Malformed::Schema`] if the next item is none.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.bytes()?.try_into().map_err(|_| Malformed::Schema)
    }

    /// A text of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// [`Malformed::Schema`] if the next item is none, [`Malformed::Bounds`] if it is longer.
    pub fn text(&mut self, bytes_max: usize) -> Result<&'a str, Malformed> {
        let text = self.items.str().map_err(schema)?;
        if text.len() > bytes_max { Err(Malformed::Bounds) } else { Ok(text) }
    }

    /// The number of items of an array, at most `most`.
    ///
    /// # Errors
    /// [`Malformed::Schema`] if the next item is none, [`Malformed::Bounds`] if it has more.
    pub fn list(&mut self, most: usize) -> Result<usize, Malformed> {
        let count = self.items.array().map_err(schema)?.ok_or(Malformed::NotCanonical)?;
        usize::try_from(count).ok().filter(|count| *count <= most).ok_or(Malformed::Bounds)
    }

    /// An array of exactly `count` items.
    ///
    /// # Errors
    /// [`Malformed::Schema`] if the next item is none.
    pub fn tuple(&mut self, count: usize) -> Result<(), Malformed> {
        if self.list(count)? == count { Ok(()) } else { Err(Malformed::Schema) }
    }

    /// The fields of a map.
    ///
    /// # Errors
    /// [`Malformed::Schema`] if the next item is none.
    pub fn fields(&mut self) -> Result<Fields, Malformed> {
        let left = self.items.map().map_err(schema)?.ok_or(Malformed::NotCanonical)?;
        Ok(Fields { left })
    }

    /// Whether the next item is null; takes it if so.
    ///
    /// # Errors
    /// [`Malformed::Length`] at the end.
    pub fn null(&mut self) -> Result<bool, Malformed> {
        if self.items.datatype().map_err(|_| Malformed::Length)? == Type::Null {
            self.items.null().map_err(schema)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// The bytes of the next item, whatever it is.
    ///
    /// # Errors
    /// [`Malformed::Length`] if it does not end.
    pub fn raw(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.items.position();
        let rest = self.items.input().get(start..).ok_or(Malformed::Length)?;
        let item = rest.get(..item_length(rest)?).ok_or(Malformed::Length)?;
        self.items.set_position(start + item.len());
        Ok(item)
    }

    /// Whether everything was read.
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.items.position() >= self.items.input().len()
    }

    /// Demands that everything was read.
    ///
    /// # Errors
    /// [`Malformed::Length`] if something follows.
    pub fn end(&self) -> Result<(), Malformed> {
        if self.at_end() { Ok(()) } else { Err(Malformed::Length) }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err wants")]
fn schema(error: minicbor::decode::Error) -> Malformed {
    if error.is_end_of_input() { Malformed::Length } else { Malformed::Schema }
}

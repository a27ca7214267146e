//! Reads the items of a body, and takes them in canonical form only: what is read whole by its schema needs no other
//! check. What is only passed over ([`Reader::raw`]) does.

use super::Malformed;
use super::canonical::item_length;

/// Reads one item after another; borrows texts and bytes from the input.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    read_before: bool,
}

/// Major types of CBOR items, as they are read here.
const UINT: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;

const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;

/// The fields of a map, in rising order of their keys.
#[derive(Debug)]
pub struct Fields {
    left: u64,
    next_at_least: u64,
}

impl Fields {
    /// The next key, whose value is to be read next; `None` at the end of the map.
    ///
    /// # Errors
    /// [`Malformed::Schema`] if the key is no integer from zero, [`Malformed::NotCanonical`] if it is not greater than
    /// the one before.
    pub fn next(&mut self, reader: &mut Reader<'_>) -> Result<Option<u64>, Malformed> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        let key = reader.uint()?;
        if key < self.next_at_least {
            return Err(Malformed::NotCanonical);
        }
        self.next_at_least = key.checked_add(1).ok_or(Malformed::Bounds)?;
        Ok(Some(key))
    }
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, read_before: false }
    }

    /// Starts at the first byte of what was read whole before: what stays bytes needs no second look.
    #[must_use]
    pub fn again(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, read_before: true }
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
        self.argument(UINT)
    }

    /// A small integer from zero.
    ///
    /// # Errors
    /// [`Malformed::Schema`] if the next item is none, or greater than 255.
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        u8::try_from(self.uint()?).map_err(|_| Malformed::Schema)
    }

    /// A signed integer.
    ///
    /// # Errors
    /// [`Malformed::Schema`] if the next item is none, or does not fit.
    pub fn int(&mut self) -> Result<i64, Malformed> {
        let negative = self.rest.first().is_some_and(|first| first >> 5 == NEGATIVE);
        let argument = self.argument(if negative { NEGATIVE } else { UINT })?;
        let value = i64::try_from(argument).map_err(|_| Malformed::Schema)?;
        Ok(if negative { -1 - value } else { value })
    }

    /// A truth value.
    ///
    /// # Errors
    /// [`Malformed::Schema`] if the next item is none.
    pub fn bool(&mut self) -> Result<bool, Malformed> {
        let (first, rest) = self.rest.split_first().ok_or(Malformed::Length)?;
        let value = match *first {
            FALSE => false,
            TRUE => true,
            _ => return Err(Malformed::Schema),
        };
        self.rest = rest;
        Ok(value)
    }

    /// A byte string.
    ///
    /// # Errors
    /// [`Malformed::Schema`] if the next item is none.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.argument(BYTES)?;
        self.take(length)
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
        let length = self.argument(TEXT)?;
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| Malformed::Schema)?;
        if text.len() > bytes_max { Err(Malformed::Bounds) } else { Ok(text) }
    }

    /// The number of items of an array, at most `most`.
    ///
    /// # Errors
    /// [`Malformed::Schema`] if the next item is none, [`Malformed::Bounds`] if it has more.
    pub fn list(&mut self, most: usize) -> Result<usize, Malformed> {
        let count = self.argument(ARRAY)?;
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
        let left = self.argument(MAP)?;
        Ok(Fields { left, next_at_least: 0 })
    }

    /// Whether the next item is null; takes it if so.
    ///
    /// # Errors
    /// [`Malformed::Length`] at the end.
    pub fn null(&mut self) -> Result<bool, Malformed> {
        let (first, rest) = self.rest.split_first().ok_or(Malformed::Length)?;
        let null = *first == NULL;
        if null {
            self.rest = rest;
        }
        Ok(null)
    }

    /// The bytes of the next item, whatever it is; of what lies in it, only how long it is was looked at.
    ///
    /// # Errors
    /// [`Malformed::Length`] if it does not end.
    pub fn raw(&mut self) -> Result<&'a [u8], Malformed> {
        let length = item_length(self.rest)?;
        self.take(length as u64)
    }

    /// Whether everything was read.
    #[must_use]
    pub const fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Demands that everything was read.
    ///
    /// # Errors
    /// [`Malformed::Length`] if something follows.
    pub fn end(&self) -> Result<(), Malformed> {
        if self.at_end() { Ok(()) } else { Err(Malformed::Length) }
    }

    /// The argument of the next item's head, which must be of a major type and in its shortest form: its value, or its
    /// length.
    #[inline]
    fn argument(&mut self, wanted: u8) -> Result<u64, Malformed> {
        let (first, rest) = self.rest.split_first().ok_or(Malformed::Length)?;
        let (major, short) = (first >> 5, first & 31);
        if major != wanted {
            return Err(Malformed::Schema);
        }
        let (argument, least, rest) = match short {
            0..=23 => {
                self.rest = rest;
                return Ok(u64::from(short));
            }
            24 => rest.split_first().map(|(byte, rest)| (u64::from(*byte), 24, rest)).ok_or(Malformed::Length)?,
            25 => rest
                .split_first_chunk()
                .map(|(bytes, rest)| (u64::from(u16::from_be_bytes(*bytes)), 1 << 8, rest))
                .ok_or(Malformed::Length)?,
            26 => rest
                .split_first_chunk()
                .map(|(bytes, rest)| (u64::from(u32::from_be_bytes(*bytes)), 1 << 16, rest))
                .ok_or(Malformed::Length)?,
            27 => rest
                .split_first_chunk()
                .map(|(bytes, rest)| (u64::from_be_bytes(*bytes), 1 << 32, rest))
                .ok_or(Malformed::Length)?,
            // Of indefinite length, or no head at all.
            _ => return Err(Malformed::NotCanonical),
        };
        if argument < least {
            return Err(Malformed::NotCanonical);
        }
        self.rest = rest;
        Ok(argument)
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], Malformed> {
        let count = usize::try_from(count).map_err(|_| Malformed::Length)?;
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed::Length)?;
        self.rest = rest;
        Ok(taken)
    }
}

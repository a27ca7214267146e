//! Rows of a page of SQLite's file format (sqlite.org/fileformat2.html, sections 1.6 and 2), every length checked.

use zeroize::Zeroizing;

/// A value of a row, as far as books have them.
#[derive(Clone)]
pub(super) enum Value {
    /// Nothing; a row's number stands so in its place.
    Null,
    /// A whole number.
    Number(i64),
    /// Bytes.
    Blob(Zeroizing<Vec<u8>>),
    /// UTF-8 text.
    Text(String),
}

/// A row that a page holds, or its beginning.
#[derive(Clone)]
pub(super) struct Cell {
    /// Its number; none in a table that is ordered by its key.
    pub number: Option<i64>,
    /// The beginning of its content.
    local: Zeroizing<Vec<u8>>,
    /// Length of its content.
    bytes: usize,
    /// The page where it goes on.
    overflow: Option<u32>,
}

/// Longest content that is read: more than the largest value of a book.
const CONTENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The least that SQLite lets a page have.
const USABLE_BYTES_MIN: usize = 480;

const INDEX_INTERIOR: u8 = 2;
const INDEX_LEAF: u8 = 10;
const TABLE_LEAF: u8 = 13;

/// The rows of a page that holds rows; nothing of other pages.
pub(super) fn cells(page_number: u32, page: &[u8]) -> Vec<Cell> {
    rows(page_number, page).unwrap_or_default()
}

fn rows(page_number: u32, page: &[u8]) -> Option<Vec<Cell>> {
    // What a page can use is what the database's own header says: here, all that the page was opened to.
    let usable = Some(page.len()).filter(|bytes| *bytes >= USABLE_BYTES_MIN)?;
    let header = if page_number == 1 { 100 } else { 0 };
    let kind = *page.get(header)?;
    let pointers = match kind {
        INDEX_INTERIOR => header + 12,
        INDEX_LEAF | TABLE_LEAF => header + 8,
        _ => return None,
    };
    let count = usize::from(u16::from_be_bytes(page.get(header + 3..header + 5)?.try_into().ok()?));
    let pointers = page.get(pointers..pointers + count * 2)?;
    pointers
        .as_chunks::<2>()
        .0
        .iter()
        .map(|at| cell(page, usize::from(u16::from_be_bytes(*at)), kind, usable))
        .collect()
}

fn cell(page: &[u8], at: usize, kind: u8, usable: usize) -> Option<Cell> {
    let mut rest = page.get(at..)?;
    if kind == INDEX_INTERIOR {
        rest = rest.get(4..)?;
    }
    let bytes = usize::try_from(varint(&mut rest)?).ok().filter(|bytes| *bytes <= CONTENT_BYTES_MAX)?;
    let number = if kind == TABLE_LEAF { Some(varint(&mut rest)?.cast_signed()) } else { None };
    let most = if kind == TABLE_LEAF { usable - 35 } else { (usable - 12) * 64 / 255 - 23 };
    let least = (usable - 12) * 32 / 255 - 23;
    let local = if bytes <= most {
        bytes
    } else {
        let fitting = least + (bytes - least) % (usable - 4);
        if fitting <= most { fitting } else { least }
    };
    let (content, after) = rest.split_at_checked(local)?;
    let overflow = if local < bytes { Some(u32::from_be_bytes(*after.first_chunk()?)) } else { None };
    Some(Cell { number, local: Zeroizing::new(content.to_vec()), bytes, overflow })
}

impl Cell {
    /// The values; `None` if a page on which they go on is lost. `page` gives the content of one.
    pub fn values<E>(
        &self,
        mut page: impl FnMut(u32) -> Result<Option<Zeroizing<Vec<u8>>>, E>,
    ) -> Result<Option<Vec<Value>>, E> {
        let mut content = self.local.clone();
        let mut next = self.overflow;
        while let Some(number) = next.filter(|_| content.len() < self.bytes) {
            let Some(piece) = page(number)? else { return Ok(None) };
            let Some((after, piece)) = piece.split_first_chunk::<4>() else { return Ok(None) };
            let more = piece.len().min(self.bytes - content.len());
            content.extend_from_slice(piece.get(..more).unwrap_or_default());
            next = Some(u32::from_be_bytes(*after)).filter(|next| *next > 0);
        }
        Ok(if content.len() == self.bytes { values(&content) } else { None })
    }

    /// Kinds and lengths of the values, which stand at the beginning of the content.
    pub fn shape(&self) -> Option<Vec<Shape>> {
        let mut rest = self.local.as_slice();
        shapes(&mut rest)
    }
}

/// What a value is, without its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// Nothing.
    Null,
    /// A whole number in so many bytes.
    Number(usize),
    /// The number 0 or 1.
    Bit(bool),
    /// So many bytes.
    Blob(usize),
    /// So many bytes of text.
    Text(usize),
}

fn shapes(rest: &mut &[u8]) -> Option<Vec<Shape>> {
    let whole = rest.len();
    let header = usize::try_from(varint(rest)?).ok()?;
    let of_length = whole - rest.len();
    let (mut kinds, after) = rest.split_at_checked(header.checked_sub(of_length)?)?;
    *rest = after;
    let mut found = Vec::new();
    while !kinds.is_empty() {
        let kind = varint(&mut kinds)?;
        let bytes = usize::try_from(kind.saturating_sub(12) / 2).ok()?;
        found.push(match kind {
            0 => Shape::Null,
            1..=4 => Shape::Number(usize::try_from(kind).ok()?),
            5 => Shape::Number(6),
            6 => Shape::Number(8),
            8 | 9 => Shape::Bit(kind == 9),
            7 | 10 | 11 => return None,
            _ if kind % 2 == 0 => Shape::Blob(bytes),
            _ => Shape::Text(bytes),
        });
    }
    Some(found)
}

fn values(content: &[u8]) -> Option<Vec<Value>> {
    let mut rest = content;
    let shapes = shapes(&mut rest)?;
    let mut take = |bytes: usize| {
        let (value, after) = rest.split_at_checked(bytes)?;
        rest = after;
        Some(value)
    };
    let value = |shape: Shape| {
        Some(match shape {
            Shape::Null => Value::Null,
            Shape::Bit(one) => Value::Number(i64::from(one)),
            Shape::Number(bytes) => Value::Number(number(take(bytes)?)),
            Shape::Blob(bytes) => Value::Blob(Zeroizing::new(take(bytes)?.to_vec())),
            Shape::Text(bytes) => Value::Text(String::from_utf8(take(bytes)?.to_vec()).ok()?),
        })
    };
    shapes.into_iter().map(value).collect()
}

/// A big-endian number in two's complement.
fn number(bytes: &[u8]) -> i64 {
    let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { -1 } else { 0 };
    bytes.iter().fold(sign, |number, byte| (number << 8) | i64::from(*byte))
}

/// A number of one to nine bytes, seven bits in each but the ninth.
fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for place in 0..9 {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        if place == 8 {
            return Some((value << 8) | u64::from(*byte));
        }
        value = (value << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SQLite's own example of a varint, and its two ends.
    #[test]
    fn numbers_of_one_to_nine_bytes() {
        for (bytes, value) in [
            (&[0x00][..], 0),
            (&[0x7f], 127),
            (&[0x81, 0x00], 128),
            (&[0xff; 9], u64::MAX),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01], 1),
        ] {
            let mut rest = bytes;
            assert_eq!((varint(&mut rest), rest.len()), (Some(value), 0));
            assert_eq!(varint(&mut &bytes[..bytes.len() - 1]), None);
        }
        assert_eq!((number(&[0xff]), number(&[0x01, 0x00]), number(&[0x80; 8])), (-1, 256, -9_187_201_950_435_737_472));
    }

    /// Pages of any bytes give rows or none, and never more than they hold.
    #[test]
    fn any_bytes_are_read_without_harm() {
        let mut state = 1_u64;
        for _ in 0..20_000 {
            let mut page: Vec<u8> = (0..8_144)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56).to_le_bytes()[0]
                })
                .collect();
            page[0] = [INDEX_INTERIOR, INDEX_LEAF, TABLE_LEAF][usize::from(page[1]) % 3];
            page[3] = 0;
            page[4] %= 8;
            for cell in cells(2, &page) {
                let mut pages = 0_usize;
                let values = cell.values(|_| {
                    pages += 1;
                    Ok::<_, ()>(Some(Zeroizing::new(page.clone())))
                });
                assert!(values.is_ok() && pages <= CONTENT_BYTES_MAX / 8_000);
                cell.shape();
            }
        }
        for length in 0..600 {
            assert!(cells(2, &vec![13; length]).is_empty());
        }
    }
}

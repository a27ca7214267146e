//! Whether bytes are one item in deterministic encoding, found in one pass without allocation.

use super::Malformed;
use crate::limits::CBOR_DEPTH_MAX;

/// Checks that `bytes` are exactly one CBOR item in the canonical form of format 1: shortest lengths,
/// definite lengths, integer keys from zero in strictly rising order, valid UTF-8, no floats, no tags, at
/// most [`CBOR_DEPTH_MAX`] levels of arrays and maps. Linear in the length of `bytes`.
///
/// # Errors
/// Says which of these it is not.
pub fn check(bytes: &[u8]) -> Result<(), Malformed> {
    let mut walk = Walk { rest: bytes };
    walk.item(0)?;
    if walk.rest.is_empty() { Ok(()) } else { Err(Malformed::Length) }
}

/// Length of the item with which `bytes` begin, which was checked before: what is in it is not looked at.
pub(super) fn item_length(bytes: &[u8]) -> Result<usize, Malformed> {
    let mut walk = Walk { rest: bytes };
    let mut items = 1_u64;
    while let Some(left) = items.checked_sub(1) {
        let (major, argument) = walk.head()?;
        let within = match major {
            2 | 3 => walk.take(argument).map(|_| 0)?,
            4 => argument,
            5 => argument.checked_mul(2).ok_or(Malformed::Length)?,
            _ => 0,
        };
        items = left.checked_add(within).ok_or(Malformed::Length)?;
    }
    Ok(bytes.len() - walk.rest.len())
}

struct Walk<'a> {
    rest: &'a [u8],
}

impl<'a> Walk<'a> {
    fn item(&mut self, depth: usize) -> Result<(), Malformed> {
        let (major, argument) = self.head()?;
        match major {
            0 | 1 => Ok(()),
            2 => self.take(argument).map(drop),
            3 => std::str::from_utf8(self.take(argument)?).map(drop).map_err(|_| Malformed::Schema),
            4 => {
                let depth = deeper(depth)?;
                (0..argument).try_for_each(|_| self.item(depth))
            }
            5 => {
                let depth = deeper(depth)?;
                let mut next_at_least = 0;
                for _ in 0..argument {
                    let (major, key) = self.head()?;
                    if major != 0 {
                        return Err(Malformed::Forbidden);
                    }
                    if key < next_at_least {
                        return Err(Malformed::NotCanonical);
                    }
                    next_at_least = key.checked_add(1).ok_or(Malformed::Bounds)?;
                    self.item(depth)?;
                }
                Ok(())
            }
            7 if (20..=22).contains(&argument) => Ok(()),
            _ => Err(Malformed::Forbidden),
        }
    }

    /// Reads an item's head: major type and argument, which must be in its shortest form.
    fn head(&mut self) -> Result<(u8, u64), Malformed> {
        let [first] = self.array()?;
        let (major, short) = (first >> 5, first & 31);
        if major == 7 && short >= 24 {
            return Err(Malformed::Forbidden);
        }
        let (argument, least) = match short {
            0..=23 => return Ok((major, u64::from(short))),
            24 => (u64::from(u8::from_be_bytes(self.array()?)), 24),
            25 => (u64::from(u16::from_be_bytes(self.array()?)), 1 << 8),
            26 => (u64::from(u32::from_be_bytes(self.array()?)), 1 << 16),
            27 => (u64::from_be_bytes(self.array()?), 1 << 32),
            _ => return Err(Malformed::NotCanonical),
        };
        if argument < least { Err(Malformed::NotCanonical) } else { Ok((major, argument)) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Length)?;
        self.rest = rest;
        Ok(*head)
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], Malformed> {
        let count = usize::try_from(count).map_err(|_| Malformed::Length)?;
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed::Length)?;
        self.rest = rest;
        Ok(taken)
    }
}

fn deeper(depth: usize) -> Result<usize, Malformed> {
    if depth < CBOR_DEPTH_MAX { Ok(depth + 1) } else { Err(Malformed::TooDeep) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::hex_into;

    fn verdict(hex: &str) -> Result<(), Malformed> {
        let mut bytes = vec![0; hex.len() / 2];
        assert!(hex_into(hex, &mut bytes));
        check(&bytes)
    }

    #[test]
    fn canonical_items_pass() {
        for hex in [
            "00",
            "17",
            "1818",
            "190100",
            "20",
            "3903e7",
            "40",
            "4161",
            "60",
            "80",
            "820001",
            "a0",
            "a200000100",
            "f4",
            "f5",
            "f6",
        ] {
            assert_eq!(verdict(hex), Ok(()), "{hex}");
        }
    }

    #[test]
    fn each_departure_is_named() {
        for (hex, why) in [
            ("1817", Malformed::NotCanonical),       // 23 in two bytes
            ("190018", Malformed::NotCanonical),     // 24 in three bytes
            ("1a0000ffff", Malformed::NotCanonical), // 65535 in five bytes
            ("1b00000000ffffffff", Malformed::NotCanonical),
            ("5800", Malformed::NotCanonical),            // length 0 in two bytes
            ("5f4100ff", Malformed::NotCanonical),        // indefinite bytes
            ("9f00ff", Malformed::NotCanonical),          // indefinite array
            ("bf0000ff", Malformed::NotCanonical),        // indefinite map
            ("a201000000", Malformed::NotCanonical),      // keys out of order
            ("a200000000", Malformed::NotCanonical),      // a key twice
            ("a1200000", Malformed::Forbidden),           // negative key
            ("a1616100", Malformed::Forbidden),           // text key
            ("f97e00", Malformed::Forbidden),             // half float
            ("fb3ff0000000000000", Malformed::Forbidden), // double
            ("c000", Malformed::Forbidden),               // tag
            ("f7", Malformed::Forbidden),                 // undefined
            ("f8ff", Malformed::Forbidden),               // simple value
            ("0000", Malformed::Length),                  // two items
            ("", Malformed::Length),
            ("4261", Malformed::Length),
            ("9b7fffffffffffffff", Malformed::Length), // 2^63 items in nine bytes
            ("bbffffffffffffffff", Malformed::Length),
            ("61ff", Malformed::Schema), // not UTF-8
            ("a11bffffffffffffffff00", Malformed::Bounds),
            ("818181818181818180", Malformed::TooDeep), // nine levels
        ] {
            assert_eq!(verdict(hex), Err(why), "{hex}");
        }
        assert_eq!(verdict("8181818181818180"), Ok(()), "eight levels");
    }
}

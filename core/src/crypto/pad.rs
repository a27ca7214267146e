//! Padding: a sealed body shows the order of its length and no more.
//!
//! ```text
//! body ‖ 0x80 ‖ zeros      total = max(floor, PADMÉ(body length + 1))
//! ```
//!
//! PADMÉ (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs",
//! PETS 2019, section 4) rounds a length up so that only its highest bits remain: at most 12 % longer, and
//! O(log log length) bits are shown.

/// Least length of a padded body.
const BODY_FLOOR: usize = 256;
/// Least length of a padded field: names are short, and control entries are many.
pub(super) const FIELD_FLOOR: usize = 32;
/// Ends the text; what follows is zeros.
const MARK: u8 = 0x80;

/// The length of a body of `body_len` bytes after padding.
#[must_use]
pub const fn padded_len(body_len: usize) -> usize {
    padded_len_above(BODY_FLOOR, body_len)
}

/// Pads a body in place.
pub fn pad(body: &mut Vec<u8>) {
    pad_above(BODY_FLOOR, body);
}

/// The body within a padded one; `None` unless [`pad`] would have made exactly this padding.
#[must_use]
pub fn unpadded(padded: &[u8]) -> Option<&[u8]> {
    unpadded_above(BODY_FLOOR, padded)
}

pub(super) const fn padded_len_above(floor: usize, body_len: usize) -> usize {
    let len = body_len.saturating_add(1);
    if len <= floor {
        return floor;
    }
    // Both logarithms are defined: floors are at least 2, so `len` is at least 3.
    let exponent = len.ilog2();
    let zeroed_bits = exponent - (exponent.ilog2() + 1);
    let mask = (1_usize << zeroed_bits) - 1;
    len.saturating_add(mask) & !mask
}

pub(super) fn pad_above(floor: usize, body: &mut Vec<u8>) {
    let total = padded_len_above(floor, body.len());
    body.push(MARK);
    body.resize(total, 0);
}

pub(super) fn unpadded_above(floor: usize, padded: &[u8]) -> Option<&[u8]> {
    let end = padded.iter().rposition(|byte| *byte != 0)?;
    let (body, padding) = padded.split_at_checked(end)?;
    (padding.first() == Some(&MARK) && padded_len_above(floor, end) == padded.len()).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_padme_above_the_floor() {
        let bodies = [0, 1, 254, 255, 256, 300, 1_000, 1_023, 1_024, 63_487, 63_488, 65_519];
        let padded = [256, 256, 256, 256, 272, 304, 1_024, 1_024, 1_088, 63_488, 65_536, 65_536];
        assert_eq!(bodies.map(padded_len), padded);
        assert_eq!(padded_len_above(FIELD_FLOOR, 31), 32);
        assert_eq!(padded_len_above(FIELD_FLOOR, 32), 36);
    }

    #[test]
    fn padding_costs_at_most_an_eighth_and_never_shrinks() {
        for len in 256..70_000 {
            let padded = padded_len(len);
            assert!(padded > len && padded - len <= len / 8 + 1 && padded >= padded_len(len - 1), "{len}");
        }
        assert!(padded_len(usize::MAX) > 0);
    }

    #[test]
    fn only_the_padding_that_pad_makes_is_taken_off() {
        for len in [0, 1, 200, 255, 256, 300, 1_000] {
            let body = vec![0x80; len];
            let mut padded = body.clone();
            pad(&mut padded);
            assert_eq!(padded.len(), padded_len(len));
            assert_eq!(unpadded(&padded), Some(&body[..]));
            let mut longer = padded.clone();
            longer.push(0);
            assert_eq!(unpadded(&longer), None);
            padded[len] = 0x81;
            assert_eq!(unpadded(&padded), None);
        }
        assert_eq!(unpadded(&[]), None);
        assert_eq!(unpadded(&[0; 256]), None);
        assert_eq!(unpadded(&[0x80]), None);
    }
}

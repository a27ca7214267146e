//! Codes that people scan, paste or type: bytes as Crockford base32, in pieces that each prove themselves.
//!
//! ```text
//! piece = kind 1 | number 1 | of 1 | set 4 | length 2 | data | check 4        symbols in groups of four
//! ```
//!
//! A piece is one QR code or one line. Pieces of one code share their set and may come in any order, more
//! than once, and with whatever dashes and spaces a letter or a chat put between them.

use super::error::EnrolmentError;
use crate::crypto::{Label, derive_short};
use crate::id::{five_bits, symbol, symbol_value};
use crate::limits::ROOTS_MAX;

/// What a code says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum CodeKind {
    /// A newcomer's request.
    Request = 1,
    /// The reply to it.
    Reply = 2,
    /// A request to be one of several roots of an incident that is to begin.
    RootRequest = 3,
    /// What all roots are to sign.
    Proposal = 4,
    /// The signature of one of them.
    RootSignature = 5,
}

/// Most bytes of data in one piece: a QR code of 89 modules, which a terminal of 100 columns shows.
const PIECE_DATA_BYTES: usize = 600;
/// Bytes of a piece before its data.
const HEADER_BYTES: usize = 9;
/// Bytes of the check behind it.
const CHECK_BYTES: usize = 4;
/// Most symbols that are read: as many as the longest code has, four times over.
const SYMBOLS_MAX: usize = 4 * 255 * (HEADER_BYTES + PIECE_DATA_BYTES + CHECK_BYTES) * 8 / 5;

impl CodeKind {
    /// Writes bytes as pieces, each in groups of four symbols with dashes between.
    ///
    /// # Errors
    /// [`EnrolmentError::TooLong`] if it would take more than 255 pieces.
    pub fn write(self, data: &[u8]) -> Result<Vec<String>, EnrolmentError> {
        let of = u8::try_from(data.len().div_ceil(PIECE_DATA_BYTES).max(1)).map_err(|_| EnrolmentError::TooLong)?;
        let set = set(data);
        let pieces = data.chunks(PIECE_DATA_BYTES).zip(1_u8..).map(|(part, number)| {
            let length = u16::try_from(part.len()).unwrap_or(u16::MAX);
            let head = [&[self as u8, number, of][..], &set, &length.to_le_bytes()].concat();
            let piece = [&head, part].concat();
            symbols(&[&piece[..], &check(&piece)].concat())
        });
        Ok(pieces.collect())
    }

    /// Reads a code from all its pieces, as people paste or type them.
    ///
    /// # Errors
    /// [`EnrolmentError`] tells apart what is mistyped, cut off, of another kind, of another code.
    pub fn read(self, text: &str) -> Result<Vec<u8>, EnrolmentError> {
        let [code] = self.codes(text)?.try_into().map_err(|_| EnrolmentError::MixedPieces)?;
        code.whole()
    }

    /// Reads several codes from all their pieces, in any order; one that is there twice counts once. At least one, in
    /// the order in which their first pieces come.
    ///
    /// # Errors
    /// As [`CodeKind::read`].
    pub fn read_all(self, text: &str) -> Result<Vec<Vec<u8>>, EnrolmentError> {
        self.codes(text)?.into_iter().map(Code::whole).collect()
    }

    /// The codes whose pieces a text holds, at least one.
    fn codes(self, text: &str) -> Result<Vec<Code>, EnrolmentError> {
        let values = values(text)?;
        let mut rest = values.as_slice();
        let mut codes: Vec<Code> = Vec::new();
        while !rest.is_empty() {
            let piece;
            (piece, rest) = Piece::split(rest)?;
            if piece.kind != self as u8 {
                return Err(match piece.kind {
                    1 => EnrolmentError::IsRequest,
                    2 => EnrolmentError::IsReply,
                    3 => EnrolmentError::IsRootRequest,
                    4 => EnrolmentError::IsProposal,
                    5 => EnrolmentError::IsRootSignature,
                    _ => EnrolmentError::NewerCode,
                });
            }
            if piece.number == 0 || piece.number > piece.of {
                return Err(EnrolmentError::Mistyped);
            }
            let named = (piece.set, piece.of);
            let code = match codes.iter().position(|code| code.named == named) {
                Some(place) => codes.get_mut(place),
                None if codes.len() >= ROOTS_MAX => return Err(EnrolmentError::TooLong),
                None => {
                    codes.push(Code { named, parts: vec![None; usize::from(piece.of)] });
                    codes.last_mut()
                }
            };
            if let Some(part) = code.and_then(|code| code.parts.get_mut(usize::from(piece.number - 1))) {
                *part = Some(piece.data);
            }
        }
        if codes.is_empty() { Err(EnrolmentError::NoCode) } else { Ok(codes) }
    }
}

/// The pieces of one code that came in.
struct Code {
    /// What they share: set, and how many there are.
    named: ([u8; 4], u8),
    parts: Vec<Option<Vec<u8>>>,
}

impl Code {
    /// The bytes of all its pieces.
    fn whole(self) -> Result<Vec<u8>, EnrolmentError> {
        let (here, of) = (self.parts.iter().flatten().count(), self.parts.len());
        if here < of {
            return Err(EnrolmentError::PiecesMissing { here, of });
        }
        let data: Vec<u8> = self.parts.into_iter().flatten().flatten().collect();
        if self.named.0 == set(&data) { Ok(data) } else { Err(EnrolmentError::Mistyped) }
    }
}

/// One piece as it came in, its check done.
struct Piece {
    kind: u8,
    number: u8,
    of: u8,
    set: [u8; 4],
    data: Vec<u8>,
}

impl Piece {
    /// Takes one piece off the beginning of the symbols.
    fn split(values: &[u8]) -> Result<(Self, &[u8]), EnrolmentError> {
        let header = bytes(values.get(..(HEADER_BYTES * 8).div_ceil(5)).ok_or(EnrolmentError::CutOff)?);
        let [kind, number, of, s0, s1, s2, s3, low, high, ..] = header[..] else { return Err(EnrolmentError::CutOff) };
        let length = usize::from(u16::from_le_bytes([low, high]));
        if length > PIECE_DATA_BYTES {
            return Err(EnrolmentError::Mistyped);
        }
        let (body, total) = (HEADER_BYTES + length, HEADER_BYTES + length + CHECK_BYTES);
        let (own, rest) = values.split_at_checked((total * 8).div_ceil(5)).ok_or(EnrolmentError::CutOff)?;
        let own = bytes(own);
        let (Some(piece), Some(checked)) = (own.get(..body), own.get(body..total)) else {
            return Err(EnrolmentError::CutOff);
        };
        if check(piece) != *checked {
            return Err(EnrolmentError::Mistyped);
        }
        let data = piece.get(HEADER_BYTES..).unwrap_or_default().to_vec();
        Ok((Self { kind, number, of, set: [s0, s1, s2, s3], data }, rest))
    }
}

fn check(piece: &[u8]) -> [u8; CHECK_BYTES] {
    derive_short(Label::Code, &[piece])
}

/// What all pieces of one code share. No piece begins with a zero, so it is never a check.
fn set(data: &[u8]) -> [u8; 4] {
    derive_short(Label::Code, &[&[0], data])
}

/// The values of all symbols; dashes, spaces and lines between them do not count.
fn values(text: &str) -> Result<Vec<u8>, EnrolmentError> {
    let mut values = Vec::new();
    for character in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
        let value = symbol_value(character).and_then(|v| u8::try_from(v).ok()).filter(|v| *v < 32);
        values.push(value.ok_or(EnrolmentError::NoCode)?);
        if values.len() > SYMBOLS_MAX {
            return Err(EnrolmentError::TooLong);
        }
    }
    Ok(values)
}

/// Symbols of bytes, most significant bits first, in groups of four.
fn symbols(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for place in 0..(bytes.len() * 8).div_ceil(5) {
        if place > 0 && place % 4 == 0 {
            text.push('-');
        }
        text.push(symbol(u64::from(five_bits(bytes, place))));
    }
    text
}

/// The whole bytes that symbols hold.
fn bytes(values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0_u8; values.len() * 5 / 8];
    for (place, value) in values.iter().enumerate() {
        let (at, offset) = (place * 5 / 8, place * 5 % 8);
        for (byte, bits) in bytes.iter_mut().skip(at).zip((u16::from(*value) << (11 - offset)).to_be_bytes()) {
            *byte |= bits;
        }
    }
    bytes
}

/// Twelve symbols, 60 bits, that two people compare on two screens: `XXXX-XXXX-XXXX`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Characters(String);

impl Characters {
    /// The beginning of a hash.
    #[must_use]
    pub fn of(hash: &[u8; 32]) -> Self {
        let text: String = symbols(hash).chars().take(14).collect();
        Self(text)
    }

    /// Whether somebody typed these characters: any case, `O` for `0`, `I` and `L` for `1`, any dashes and spaces.
    #[must_use]
    pub fn are(&self, typed: &str) -> bool {
        values(typed).is_ok_and(|typed| Ok(typed) == values(&self.0))
    }
}

impl std::fmt::Display for Characters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_back_in_any_order_and_as_people_write() {
        for bytes in [0_usize, 1, 2, 3, 4, 5, 599, 600, 601, 3_000] {
            let data: Vec<u8> = (0..bytes).map(|i| (i * 7 % 251) as u8).collect();
            if data.is_empty() {
                continue;
            }
            let pieces = CodeKind::Reply.write(&data).unwrap();
            assert_eq!(pieces.len(), bytes.div_ceil(600));
            let mut shuffled = pieces.clone();
            shuffled.reverse();
            shuffled.push(pieces[0].clone());
            let typed = shuffled.join("\n  ").to_lowercase().replace('-', " ").replace('1', "l").replace('0', "o");
            assert_eq!(CodeKind::Reply.read(&typed), Ok(data.clone()));
            assert_eq!(CodeKind::Request.read(&pieces.concat()), Err(EnrolmentError::IsReply));
        }
    }

    #[test]
    fn every_wrong_symbol_and_every_cut_is_found() {
        let data = [9; 40];
        let [text] = CodeKind::Request.write(&data).unwrap().try_into().unwrap();
        let places: Vec<usize> = (0..text.len()).filter(|p| text.as_bytes()[*p] != b'-').collect();
        for place in &places {
            let mut typed = text.clone().into_bytes();
            typed[*place] = if typed[*place] == b'Z' { b'Y' } else { b'Z' };
            let read = CodeKind::Request.read(std::str::from_utf8(&typed).unwrap());
            // The last symbol carries bits that are not read; whatever it is, the same bytes come out.
            assert!(read.is_err() || read == Ok(data.to_vec()), "{place}: {read:?}");
            assert!(read.is_err() || place == places.last().unwrap());
        }
        for length in 1..text.len() - 1 {
            assert_eq!(CodeKind::Request.read(&text[..length]), Err(EnrolmentError::CutOff), "{length}");
        }
        assert_eq!(CodeKind::Request.read(" - "), Err(EnrolmentError::NoCode));
        assert_eq!(CodeKind::Request.read("see you at 8!"), Err(EnrolmentError::NoCode));
    }

    #[test]
    fn pieces_of_two_codes_do_not_mix_and_missing_ones_are_counted() {
        let (one, two) = (CodeKind::Reply.write(&[1; 1_500]).unwrap(), CodeKind::Reply.write(&[2; 1_500]).unwrap());
        let mixed = [one[0].as_str(), &two[1], &one[2]].concat();
        assert_eq!(CodeKind::Reply.read(&mixed), Err(EnrolmentError::MixedPieces));
        let short = [one[0].as_str(), &one[2]].concat();
        assert_eq!(CodeKind::Reply.read(&short), Err(EnrolmentError::PiecesMissing { here: 2, of: 3 }));
        assert_eq!(CodeKind::Reply.read_all(&mixed), Err(EnrolmentError::PiecesMissing { here: 2, of: 3 }));
        let both = [&two[2..], &one, &two].concat().concat();
        assert_eq!(CodeKind::Reply.read_all(&both), Ok(vec![vec![2; 1_500], vec![1; 1_500]]));
        let many: String = (0..17).flat_map(|of| CodeKind::Reply.write(&[of; 9]).unwrap()).collect();
        assert_eq!(CodeKind::Reply.read_all(&many), Err(EnrolmentError::TooLong));
    }

    #[test]
    fn characters_are_compared_as_people_type_them() {
        let characters = Characters::of(&[0x10; 32]);
        assert_eq!(characters.to_string().len(), 14);
        assert!(characters.are(&characters.to_string().to_lowercase().replace('-', " ").replace('0', "o")));
        assert!(!characters.are("") && !characters.are(&characters.to_string()[..13]) && !characters.are("????"));
        assert!(!characters.are(&format!("{characters}0")));
    }
}

//! Names of things: fixed-width identifiers, each a type of its own.
//!
//! Owns the shapes of identifiers and how they are written for people. Owns no hashing: which bytes
//! become which id is told where the id is made. An id shows its first bytes in `Display` and `Debug`;
//! none of them is secret or says anything about a patient.

use std::fmt;

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// Length in bytes.
            pub const BYTES: usize = $bytes;
            /// The identifier of all zeros.
            pub const ZERO: Self = Self([0; $bytes]);

            /// Takes the bytes as they are.
            #[must_use]
            pub const fn new(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// Reads an identifier from a slice of exactly the right length.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// Reads the full hexadecimal form.
            #[must_use]
            pub fn from_hex(text: &str) -> Option<Self> {
                let mut bytes = [0; $bytes];
                hex_into(text, &mut bytes).then_some(Self(bytes))
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// The full lower-case hexadecimal form.
            #[must_use]
            pub fn to_hex(&self) -> String {
                hex(&self.0)
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::ZERO
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(self.0.first_chunk::<6>().map_or(&self.0[..], |c| &c[..])))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

identifier!(
    /// The shared space of one response: hash of its founding statement.
    IncidentId, 32
);
identifier!(
    /// One key pair set: hash of its three public keys.
    DeviceId, 32
);
identifier!(
    /// One installation's run of a device key: 16 random bytes.
    Incarnation, 16
);
identifier!(
    /// A key space: id of the control entry that made it; control itself is all zeros.
    CompartmentId, 32
);
identifier!(
    /// What one incarnation writes in one compartment and lane.
    LogId, 32
);
identifier!(
    /// One entry: hash of its place, its ground and its sealed body.
    EntryId, 32
);
identifier!(
    /// One key of one epoch: hash of the reading key.
    KeyId, 32
);
identifier!(
    /// A patient's record: 16 random bytes, or a hash if imported.
    PatientId, 16
);
identifier!(
    /// A fact made by import: hash of where it came from.
    ImportId, 16
);
identifier!(
    /// Joins the entries of one commit: 8 random bytes.
    CommitId, 8
);
identifier!(
    /// Something a person must look at: hash of its kind and what it is about.
    FindingId, 16
);

/// The compartment of control entries.
pub const CONTROL: CompartmentId = CompartmentId::ZERO;

/// Priority within a device's writing; part of a log's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Lane {
    /// Edits of patients' records, allergies, dispenses, identity links, facts that name a target, control.
    Safety = 0,
    /// Everything else that people write.
    Routine = 1,
    /// Whatever an import writes.
    Import = 2,
}

impl Lane {
    /// All lanes in order of priority.
    pub const ALL: [Self; 3] = [Self::Safety, Self::Routine, Self::Import];

    /// The lane of a number, if there is one.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Safety),
            1 => Some(Self::Routine),
            2 => Some(Self::Import),
            _ => None,
        }
    }

    /// The number in the format.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// Writes bytes in lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('?'));
        }
        text
    })
}

/// Fills `bytes` from exactly as many hexadecimal pairs; says whether it could.
#[must_use]
pub fn hex_into(text: &str, bytes: &mut [u8]) -> bool {
    let digits = text.as_bytes();
    if digits.len() != bytes.len() * 2 {
        return false;
    }
    for (pair, byte) in digits.chunks_exact(2).zip(bytes.iter_mut()) {
        let [high, low] = [pair.first(), pair.last()].map(|d| d.and_then(|d| (*d as char).to_digit(16)));
        match (high, low) {
            (Some(high), Some(low)) => *byte = u8::try_from(high * 16 + low).unwrap_or_default(),
            _ => return false,
        }
    }
    true
}

/// The 32 symbols of Crockford base32: no I, L, O, U.
const SYMBOLS: &[u8; 37] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ*~$=U";

impl PatientId {
    /// The code that people say and type: 8 Crockford base32 symbols of the first 40 bits and a check
    /// symbol (value modulo 37), grouped as `XXXX-XXXX-C`.
    #[must_use]
    pub fn code(&self) -> String {
        let value = self.code_value();
        let mut code = String::with_capacity(11);
        for place in (0..8).rev() {
            if place == 3 {
                code.push('-');
            }
            code.push(symbol((value >> (place * 5)) & 31));
        }
        code.push('-');
        code.push(symbol(value % 37));
        code
    }

    /// The first 40 bits, which the code shows.
    #[must_use]
    pub fn code_value(&self) -> u64 {
        self.0.iter().take(5).fold(0, |value, byte| (value << 8) | u64::from(*byte))
    }

    /// The least and greatest id whose code starts with the 40-bit `value`.
    #[must_use]
    pub fn range_of_code(value: u64) -> (Self, Self) {
        let [mut low, mut high] = [[0; 16], [255; 16]];
        for (place, byte) in value.to_be_bytes().iter().skip(3).enumerate() {
            if let (Some(l), Some(h)) = (low.get_mut(place), high.get_mut(place)) {
                (*l, *h) = (*byte, *byte);
            }
        }
        (Self(low), Self(high))
    }
}

impl LogId {
    /// The beginning that people read: 5 Crockford base32 symbols of the first 25 bits.
    #[must_use]
    pub fn short(&self) -> String {
        let value = self.0.iter().take(4).fold(0_u64, |value, byte| (value << 8) | u64::from(*byte)) >> 7;
        (0..5).rev().map(|place| symbol((value >> (place * 5)) & 31)).collect()
    }
}

/// Reads symbols as people type them: upper case, O as 0, I and L as 1.
#[must_use]
pub fn normal_symbols(text: &str) -> String {
    text.chars().filter_map(symbol_value).map(symbol).collect()
}

/// What a typed text is as a patient code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TypedCode {
    /// Eight symbols, with a check symbol that fits or without one.
    Whole(u64),
    /// Nine symbols whose check symbol does not fit: mistyped.
    CheckFails,
    /// Not the shape of a code.
    NotACode,
}

/// Reads a patient code as people type it: any case, O for 0, I and L for 1, dashes and spaces ignored.
#[must_use]
pub fn read_code(text: &str) -> TypedCode {
    let mut values = Vec::with_capacity(9);
    for character in text.chars() {
        match character {
            '-' | ' ' => {}
            _ => match symbol_value(character) {
                Some(value) if values.len() < 9 => values.push(value),
                _ => return TypedCode::NotACode,
            },
        }
    }
    let value = values.iter().take(8).fold(0_u64, |sum, v| (sum << 5) | (v & 31));
    match values.as_slice() {
        [body @ .., check] if body.len() == 8 && body.iter().all(|v| *v < 32) => {
            if value % 37 == *check {
                TypedCode::Whole(value)
            } else {
                TypedCode::CheckFails
            }
        }
        body if body.len() == 8 && body.iter().all(|v| *v < 32) => TypedCode::Whole(value),
        _ => TypedCode::NotACode,
    }
}

/// The symbol of a value below 37.
pub(crate) fn symbol(value: u64) -> char {
    let place = usize::try_from(value).unwrap_or_default();
    SYMBOLS.get(place).map_or('?', |s| char::from(*s))
}

/// The value of a symbol as people type it: any case, O as 0, I and L as 1.
pub(crate) fn symbol_value(character: char) -> Option<u64> {
    let upper = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    SYMBOLS.iter().position(|s| char::from(*s) == upper).and_then(|p| u64::try_from(p).ok())
}

/// Five bits of the bytes, most significant first, zeros past the end.
pub(crate) fn five_bits(bytes: &[u8], place: usize) -> u8 {
    let byte = |at| u16::from(bytes.get(at).copied().unwrap_or_default());
    let (at, offset) = (place * 5 / 8, place * 5 % 8);
    let [value, ..] = ((byte(at) << 8 | byte(at + 1)) >> (11 - offset)).to_le_bytes();
    value & 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_back_as_typed_by_people() {
        let id = PatientId::new([0x12, 0x34, 0x56, 0x78, 0x9a, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]);
        let code = id.code();
        assert_eq!(read_code(&code), TypedCode::Whole(id.code_value()));
        assert_eq!(
            read_code(&code.to_lowercase().replace('-', " ").replace('1', "l")),
            TypedCode::Whole(id.code_value())
        );
        let (low, high) = PatientId::range_of_code(id.code_value());
        assert!(low <= id && id <= high && low.code() == code && high.code() == code);
    }

    #[test]
    fn one_wrong_symbol_fails_the_check() {
        let code = PatientId::new([9; 16]).code();
        for place in 0..8 {
            let mut symbols: Vec<char> = code.chars().filter(|c| *c != '-').collect();
            symbols[place] = if symbols[place] == 'Z' { 'Y' } else { 'Z' };
            assert_eq!(read_code(&symbols.iter().collect::<String>()), TypedCode::CheckFails);
        }
    }

    #[test]
    fn texts_that_are_no_codes_are_told_apart() {
        for text in ["", "ABC", "12345678901", "Müller", "UUUUUUUU"] {
            assert_eq!(read_code(text), TypedCode::NotACode, "{text}");
        }
    }

    #[test]
    fn hex_reads_back_and_refuses_other_lengths() {
        let id = CommitId::new([0, 1, 2, 0xab, 0xff, 9, 8, 7]);
        assert_eq!(CommitId::from_hex(&id.to_hex()), Some(id));
        assert_eq!(CommitId::from_hex("00"), None);
        assert_eq!(CommitId::from_hex("zz0102abff090807"), None);
    }
}

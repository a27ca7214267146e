//! The recovery seed: 32 bytes on paper, from which the recovery root's keys and the admission secret derive.

use zeroize::Zeroizing;

use super::device::DeviceSecret;
use super::hash::{Label, derive};
use super::{Secret, SecretBytes};
use crate::clock::Host;
use crate::id::five_bits;

/// The symbols of Crockford base32: no I, L, O, U.
const SYMBOLS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Symbols of 32 bytes, the last with one bit of them and four zeros.
const SEED_SYMBOLS: usize = 52;
/// Symbols of the checksum: one wrong paper in a million passes.
const CHECK_SYMBOLS: usize = 4;
/// Symbols between two dashes.
const GROUP: usize = 4;

/// Why a typed text is no recovery seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadRecoverySeed {
    /// Too few or too many symbols, or one that no seed contains.
    #[error("a recovery seed has 56 letters and digits")]
    NotASeed,
    /// The last four symbols do not fit the others.
    #[error("the recovery seed is mistyped somewhere")]
    Mistyped,
}

/// The seed of a recovery root.
#[derive(Clone, Debug)]
pub struct RecoverySeed(Secret<32>);

impl RecoverySeed {
    /// Draws a seed.
    pub fn random(host: &mut dyn Host) -> Self {
        Self(Secret::random(host))
    }

    /// The keys of the recovery root.
    #[must_use]
    pub fn device(&self) -> DeviceSecret {
        let part = |label| Secret::derived(label, &[self.0.expose()]);
        DeviceSecret::from_parts(&part(Label::RecoverySign), &part(Label::RecoveryWrap), &part(Label::RecoveryNoise))
    }

    /// The secret that members show before anything is answered; it keeps strangers out, nothing more.
    #[must_use]
    pub fn admission(&self) -> Secret<32> {
        Secret::derived(Label::Admission, &[self.0.expose()])
    }

    /// The ASCII text for paper: 14 groups of four Crockford base32 symbols, the last group a checksum.
    #[must_use]
    pub fn print(&self) -> SecretBytes {
        let symbols = symbols(&self.0);
        let mut text = Vec::with_capacity(symbols.len() + symbols.len() / GROUP);
        for (place, value) in symbols.iter().enumerate() {
            if place > 0 && place % GROUP == 0 {
                text.push(b'-');
            }
            text.extend(SYMBOLS.get(usize::from(*value)));
        }
        SecretBytes::new(text)
    }

    /// Reads a seed as people type it: any case, O for 0, I and L for 1, dashes and spaces ignored.
    ///
    /// # Errors
    /// [`BadRecoverySeed`].
    pub fn parse(text: &str) -> Result<Self, BadRecoverySeed> {
        let mut typed = Zeroizing::new(Vec::with_capacity(text.len()));
        for character in text.chars().filter(|c| *c != '-' && !c.is_whitespace()) {
            typed.push(symbol_value(character).ok_or(BadRecoverySeed::NotASeed)?);
        }
        if typed.len() != SEED_SYMBOLS + CHECK_SYMBOLS {
            return Err(BadRecoverySeed::NotASeed);
        }
        let mut seed = Zeroizing::new([0; 32]);
        for (place, value) in typed.iter().take(SEED_SYMBOLS).enumerate() {
            let (at, offset) = (place * 5 / 8, place * 5 % 8);
            for (byte, bits) in seed.iter_mut().skip(at).zip((u16::from(*value) << (11 - offset)).to_be_bytes()) {
                *byte |= bits;
            }
        }
        let seed = Secret::new(*seed);
        // Prints the same symbols: this judges checksum and the four zero bits at once.
        if *symbols(&seed) == *typed { Ok(Self(seed)) } else { Err(BadRecoverySeed::Mistyped) }
    }
}

/// The values of all symbols of a seed, checksum last.
fn symbols(seed: &Secret<32>) -> Zeroizing<Vec<u8>> {
    let mut values = Zeroizing::new(Vec::with_capacity(SEED_SYMBOLS + CHECK_SYMBOLS));
    let check = derive(Label::RecoveryCheck, &[seed.expose()]);
    values.extend((0..SEED_SYMBOLS).map(|place| five_bits(seed.expose(), place)));
    values.extend((0..CHECK_SYMBOLS).map(|place| five_bits(&check, place)));
    values
}

fn symbol_value(character: char) -> Option<u8> {
    let upper = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    SYMBOLS.iter().position(|s| char::from(*s) == upper).and_then(|place| u8::try_from(place).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::TestHost;

    fn printed(seed: &RecoverySeed) -> String {
        String::from_utf8(seed.print().expose().to_vec()).unwrap()
    }

    #[test]
    fn a_seed_reads_back_as_typed_by_people() {
        for number in 0..50 {
            let seed = RecoverySeed::random(&mut TestHost(number));
            let text = printed(&seed);
            assert_eq!(text.len(), 56 + 13);
            let typed = text.to_lowercase().replace('-', " \n").replace('1', "l").replace('0', "o");
            for text in [&text, &typed] {
                assert_eq!(RecoverySeed::parse(text).unwrap().0.expose(), seed.0.expose());
            }
        }
    }

    #[test]
    fn one_wrong_symbol_fails_the_checksum() {
        let text = printed(&RecoverySeed::random(&mut TestHost(1)));
        for place in (0..text.len()).filter(|p| text.as_bytes()[*p] != b'-') {
            let mut typed = text.clone().into_bytes();
            typed[place] = if typed[place] == b'Z' { b'Y' } else { b'Z' };
            let typed = String::from_utf8(typed).unwrap();
            assert_eq!(RecoverySeed::parse(&typed).unwrap_err(), BadRecoverySeed::Mistyped);
        }
    }

    #[test]
    fn texts_of_another_shape_are_no_seed() {
        for text in ["", &"0".repeat(55), &"0".repeat(57), &"U".repeat(56), &"é".repeat(56)] {
            assert_eq!(RecoverySeed::parse(text).unwrap_err(), BadRecoverySeed::NotASeed);
        }
    }
}

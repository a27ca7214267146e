//! Short texts hashed abreast: each in one lane of the processor's vectors, where a text alone would use one lane.
//!
//! BLAKE3 compresses a text of up to 1,024 bytes block after block, each waiting for the one before; several texts do
//! not wait for one another. The crate's compression of many inputs is public and undocumented, and takes whole blocks
//! only: so its version is pinned, and the last block of a text is compressed alone. A test compares every length with
//! the crate's hasher.

use blake3::platform::{Platform, le_bytes_from_words_32, words_from_le_bytes_32};
use blake3::{BLOCK_LEN, IncrementCounter};

/// How a key is used; the flag of BLAKE3 for it (its paper, table 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Mode {
    /// `KEYED_HASH`
    Keyed = 16,
    /// `DERIVE_KEY_MATERIAL`; the key is the hash of a context string.
    Derived = 64,
}

const CHUNK_START: u8 = 1;
const CHUNK_END: u8 = 2;
const ROOT: u8 = 8;

type Words = [u32; 8];
type Lead = fn(Platform, &Words, Mode, &[&[u8]]) -> Vec<[u8; 32]>;

/// What compresses the whole blocks of texts before their last one, by the number of these blocks.
const LEADS: [Lead; 16] = [
    none,
    lead::<64>,
    lead::<128>,
    lead::<192>,
    lead::<256>,
    lead::<320>,
    lead::<384>,
    lead::<448>,
    lead::<512>,
    lead::<576>,
    lead::<640>,
    lead::<704>,
    lead::<768>,
    lead::<832>,
    lead::<896>,
    lead::<960>,
];

/// The hashes of texts under a key, in their order; `alone` hashes what is longer than 1,024 bytes.
pub(super) fn hashes(key: &[u8; 32], mode: Mode, texts: &[&[u8]], alone: impl Fn(&[u8]) -> [u8; 32]) -> Vec<[u8; 32]> {
    let (platform, key) = (Platform::detect(), words_from_le_bytes_32(key));
    let blocks = |text: &[u8]| text.len().saturating_sub(1) / BLOCK_LEN;
    let mut order: Vec<(usize, usize)> = texts.iter().enumerate().map(|(at, text)| (blocks(text), at)).collect();
    order.sort_unstable();
    let mut hashes = vec![[0; 32]; texts.len()];
    let mut put = |at: usize, hash: [u8; 32]| {
        if let Some(slot) = hashes.get_mut(at) {
            *slot = hash;
        }
    };
    for alike in order.chunk_by(|one, next| one.0 == next.0) {
        let texts: Vec<&[u8]> = alike.iter().filter_map(|(_, at)| texts.get(*at).copied()).collect();
        let blocks = alike.first().map_or(0, |(blocks, _)| *blocks);
        match LEADS.get(blocks) {
            Some(lead) => {
                let before = lead(platform, &key, mode, &texts);
                for (((_, at), text), before) in alike.iter().zip(texts).zip(before) {
                    put(*at, end(platform, before, mode, text.get(blocks * BLOCK_LEN..).unwrap_or_default(), blocks));
                }
            }
            None => alike.iter().zip(texts).for_each(|((_, at), text)| put(*at, alone(text))),
        }
    }
    hashes
}

/// The chaining values of texts before their first block.
fn none(_: Platform, key: &Words, _: Mode, texts: &[&[u8]]) -> Vec<[u8; 32]> {
    vec![le_bytes_from_words_32(key); texts.len()]
}

/// The chaining values of texts behind their first `BYTES` bytes.
fn lead<const BYTES: usize>(platform: Platform, key: &Words, mode: Mode, texts: &[&[u8]]) -> Vec<[u8; 32]> {
    let heads: Vec<&[u8; BYTES]> = texts.iter().filter_map(|text| text.first_chunk()).collect();
    let mut values = vec![[0; 32]; heads.len()];
    let values_as_bytes = values.as_flattened_mut();
    platform.hash_many(&heads, key, 0, IncrementCounter::No, mode as u8, CHUNK_START, 0, values_as_bytes);
    values
}

/// The hash of a text, of which `last` is the last block and `blocks` came before.
fn end(platform: Platform, before: [u8; 32], mode: Mode, last: &[u8], blocks: usize) -> [u8; 32] {
    let mut block = [0; BLOCK_LEN];
    block.iter_mut().zip(last).for_each(|(to, from)| *to = *from);
    let length = u8::try_from(last.len()).unwrap_or(u8::MAX);
    let start = if blocks == 0 { CHUNK_START } else { 0 };
    let mut words = words_from_le_bytes_32(&before);
    platform.compress_in_place(&mut words, &block, length, 0, mode as u8 | start | CHUNK_END | ROOT);
    le_bytes_from_words_32(&words)
}

#[cfg(test)]
mod tests {
    use crate::crypto::hash::{Label, derive, derive_each, keyed, keyed_each};

    #[test]
    fn every_length_hashes_as_alone() {
        let bytes: Vec<u8> = (0..2_500_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        // Every length once, then many of a few lengths, so that every width of the vectors is used.
        let every = (0..1_200).map(|len| bytes.get(len..2 * len).unwrap());
        let few = (0..600).map(|at| bytes.get(at..at + [1, 64, 65, 324, 430, 1_024, 1_025][at % 7]).unwrap());
        let texts: Vec<&[u8]> = every.chain(few).collect();
        for count in [0, 1, 2, 3, 7, 15, 16, 17, 40, texts.len()] {
            let texts = &texts[texts.len() - count..];
            let derived: Vec<_> = texts.iter().map(|text| derive(Label::Body, &[text])).collect();
            assert_eq!(derive_each(Label::Body, texts), derived);
            let of_key: Vec<[u8; 32]> = texts.iter().map(|text| keyed(&[7; 32], &[text])).collect();
            assert_eq!(keyed_each(&[7; 32], texts), of_key);
        }
    }
}

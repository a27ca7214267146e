//! What the tests of this station share.

use super::{Label, derive};
use crate::clock::Host;

/// A host whose randomness repeats for the same seed.
pub struct TestHost(pub u64);

impl Host for TestHost {
    fn now_ms(&mut self) -> i64 {
        0
    }

    fn offset_minutes(&mut self) -> i16 {
        0
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            self.0 += 1;
            chunk.copy_from_slice(&derive(Label::Digest, &[&self.0.to_le_bytes()])[..chunk.len()]);
        }
    }
}

/// Every copy of `bytes` with one bit flipped.
pub fn flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..bytes.len() * 8).map(|bit| {
        let mut copy = bytes.to_vec();
        copy[bit / 8] ^= 1 << (bit % 8);
        copy
    })
}

//! A host whose clock and randomness come from a seed.

use daybook_core::clock::Host;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A host whose randomness repeats for the same seed and whose clock moves one millisecond a reading.
#[derive(Clone, Debug)]
pub struct SeededHost {
    rng: ChaCha20Rng,
    now_ms: i64,
}

/// 2026-11-22T08:00:00Z, where the clocks of tests begin.
pub const START_MS: i64 = 1_795_334_400_000;

impl SeededHost {
    /// A host for a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { rng: ChaCha20Rng::seed_from_u64(seed), now_ms: START_MS }
    }

    /// The same randomness with another clock.
    #[must_use]
    pub const fn at(mut self, now_ms: i64) -> Self {
        self.now_ms = now_ms;
        self
    }
}

impl Host for SeededHost {
    fn now_ms(&mut self) -> i64 {
        self.now_ms += 1;
        self.now_ms
    }

    fn offset_minutes(&mut self) -> i16 {
        0
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        self.rng.fill_bytes(bytes);
    }
}

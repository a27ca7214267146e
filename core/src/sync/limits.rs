//! What one session may cost: time, memory, and work without progress.

/// Bounds of one session. They delay or end a session, never judge an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Time from the first byte to the peer's proof of membership.
    pub introduction_ms: u64,
    /// Longest time without one whole frame of the peer, and without the peer taking a byte of what waits for it.
    pub frame_ms: u64,
    /// After this time without a frame of our own an empty one is sent.
    pub ping_ms: u64,
    /// Longest time that a closing side waits for the other's receipt.
    pub closing_ms: u64,
    /// Longest time that a run which arrived whole waits for others before it is stored.
    pub store_ms: u64,
    /// Bytes of runs that arrived whole after which they are stored.
    pub store_bytes: usize,
    /// Most bytes that wait to be sent; nothing is read while more wait.
    pub output_bytes: usize,
    /// Most bytes of runs that are on their way and not acknowledged.
    pub window_bytes: usize,
    /// Frames that a peer may send without bringing anything new; a KiB counts as a frame.
    pub credit: u32,
    /// How much of that comes back every second.
    pub credit_per_second: u32,
    /// Most rounds from one agreement to the next.
    pub rounds: u32,
    /// Most logs that one round looks at; the others come in the next.
    pub logs_per_round: usize,
    /// Most logs that either side may decline in one session.
    pub declined: usize,
    /// Most ranges that the peer may want in one session.
    pub wants: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            introduction_ms: 20_000,
            frame_ms: 60_000,
            ping_ms: 20_000,
            closing_ms: 5_000,
            store_ms: 200,
            store_bytes: 2 * 1024 * 1024,
            output_bytes: 256 * 1024,
            window_bytes: 4 * 1024 * 1024,
            credit: 16_384,
            credit_per_second: 256,
            rounds: 64,
            logs_per_round: 16_384,
            declined: 4_096,
            wants: 64,
        }
    }
}

/// Longest text of one frame.
pub(super) const FRAME_BYTES_MAX: usize = 16 * 1024;
/// Longest grant path that a session takes.
pub(super) const PATH_BYTES_MAX: usize = 512 * 1024;
/// Longest run that a session takes: 64 entries of the greatest length, or one control entry, with their frames.
pub(super) const RUN_BYTES_MAX: usize = 64 * (64 * 1024 + 256) + 64 * 1024;
/// Most logs of one leaf of the trie.
pub(super) const LEAF_LOGS_MAX: usize = 256;
/// Most compartments that one side leaves out: as many as an incident may have.
pub(super) const APART_MAX: usize = 256;
/// Most control logs that hold what concerns a former member.
pub(super) const CONCERNING_MAX: usize = 256;
/// Most entries of one frame.
pub(super) const ENTRIES_PER_FRAME_MAX: usize = 32;
/// Most beginnings of runs that one frame names.
pub(super) const BEGUN_PER_FRAME_MAX: usize = 256;
/// Most beginnings of runs that a peer may name in one round.
pub(super) const BEGUN_MAX: usize = 2_048;
/// Most beginnings of one log that are named.
pub(super) const BEGUN_PER_LOG_MAX: usize = 4;
/// Most keys that one frame asks for, and parcels that one frame brings.
pub(super) const KEYS_PER_FRAME_MAX: usize = 64;
/// Most nodes that are asked for at one time.
pub(super) const NODES_PER_ASK_MAX: usize = 16;
/// Events that may wait to be polled; nothing is read while more wait.
pub(super) const EVENTS_MAX: usize = 4_096;

/// What a peer has left to spend on what brings nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credit {
    left: u64,
    refilled_ms: u64,
}

impl Credit {
    pub fn new(limits: &Limits, now_ms: u64) -> Self {
        Self { left: u64::from(limits.credit), refilled_ms: now_ms }
    }

    /// Takes the price of one frame; false if nothing is left.
    pub fn spend(&mut self, limits: &Limits, bytes: usize, now_ms: u64) -> bool {
        let seconds = now_ms.saturating_sub(self.refilled_ms) / 1_000;
        if seconds > 0 {
            self.refilled_ms = now_ms;
            self.earn(limits, seconds.saturating_mul(u64::from(limits.credit_per_second)));
        }
        let price = 1 + bytes as u64 / 1_024;
        let paid = self.left >= price;
        self.left = self.left.saturating_sub(price);
        paid
    }

    /// Gives back for what was of use; never more than there was at first.
    pub fn earn(&mut self, limits: &Limits, credit: u64) {
        self.left = self.left.saturating_add(credit).min(u64::from(limits.credit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_runs_out_and_comes_back_with_time_and_use() {
        let limits = Limits { credit: 10, credit_per_second: 2, ..Limits::default() };
        let mut credit = Credit::new(&limits, 0);
        assert!((0..10).all(|_| credit.spend(&limits, 0, 999)));
        assert!(!credit.spend(&limits, 0, 999));
        assert!(credit.spend(&limits, 1_024, 1_000) && !credit.spend(&limits, 0, 1_999));
        credit.earn(&limits, 1_000);
        assert!((0..10).all(|_| credit.spend(&limits, 0, 1_999)) && !credit.spend(&limits, 0, 1_999));
    }
}

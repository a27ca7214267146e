//! Which logs differ: short keyed records of logs, and hashes over all that begin with the same digits.
//!
//! ```text
//! record = fingerprint of the log 8 | highest place 4 | hash of its sorted heads 8
//! node   = hash over all records whose fingerprints begin with its digits, in rising order
//! ```
//! The key of all these hashes is of this session, so that nobody can prepare two that agree.

use super::shelf::LogHeads;
use crate::crypto::{Label, derive, keyed};
use crate::id::{EntryId, LogId};
use crate::mutant::{self, Mutant};
use std::collections::BTreeSet;

/// A log as a session names it.
pub type Fingerprint = [u8; 8];
/// A short hash.
pub type Short = [u8; 8];

/// The key of the short hashes of one session.
#[derive(Clone, Copy, Debug)]
pub struct TrieKey([u8; 32]);

impl TrieKey {
    /// The key of a session, from the hash of its handshake.
    #[must_use]
    pub fn new(handshake: &[u8; 32]) -> Self {
        Self(derive(Label::Trie, &[handshake]))
    }

    /// The name of a log in this session.
    #[must_use]
    pub fn fingerprint(&self, log: &LogId) -> Fingerprint {
        keyed(&self.0, &[b"log", log.as_bytes()])
    }

    /// The hash of heads, whatever their order.
    #[must_use]
    pub fn heads(&self, heads: impl Iterator<Item = (u64, EntryId)>) -> Short {
        let mut sorted: BTreeSet<(u64, EntryId)> = heads.collect();
        while mutant::is(Mutant::SeesOneBranch) && sorted.len() > 1 {
            sorted.pop_first();
        }
        let mut bytes = b"heads".to_vec();
        for (seq, id) in sorted {
            bytes.extend_from_slice(&seq.to_le_bytes());
            bytes.extend_from_slice(id.as_bytes());
        }
        keyed(&self.0, &[&bytes])
    }

    /// What names the heads that two sides noted when they last agreed, from their hash.
    #[must_use]
    pub fn since(&self, frontier: &[u8; 32]) -> Short {
        keyed(&self.0, &[b"since", frontier])
    }

    fn records<const N: usize>(&self, records: &[Record]) -> [u8; N] {
        let mut bytes = Vec::with_capacity(7 + records.len() * 20);
        bytes.extend_from_slice(b"records");
        records.iter().for_each(|record| record.write(&mut bytes));
        keyed(&self.0, &[&bytes])
    }
}

/// What tells whether a log is the same on both sides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Record {
    /// The log.
    pub log: Fingerprint,
    /// Its highest place.
    pub seq: u64,
    /// Hash of its heads.
    pub heads: Short,
}

/// All fingerprints that begin with the same hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Node {
    depth: u8,
    prefix: Fingerprint,
}

impl Node {
    /// The node that holds everything.
    pub const ROOT: Self = Self { depth: 0, prefix: [0; 8] };

    /// A node of so many digits; the digits after them must be zero.
    #[must_use]
    pub fn new(depth: u8, prefix: Fingerprint) -> Option<Self> {
        let beyond = u64::MAX.checked_shr(u32::from(depth) * 4).unwrap_or(0);
        (depth <= 16 && u64::from_be_bytes(prefix) & beyond == 0).then_some(Self { depth, prefix })
    }

    /// How many digits.
    #[must_use]
    pub const fn depth(&self) -> u8 {
        self.depth
    }

    /// The digits, then zeros.
    #[must_use]
    pub const fn prefix(&self) -> &Fingerprint {
        &self.prefix
    }

    /// Its child with one more digit; none below the last.
    #[must_use]
    pub fn child(&self, digit: u8) -> Option<Self> {
        let shift = 60_u32.checked_sub(u32::from(self.depth) * 4)?;
        let prefix = u64::from_be_bytes(self.prefix) | (u64::from(digit & 15) << shift);
        Some(Self { depth: self.depth + 1, prefix: prefix.to_be_bytes() })
    }

    /// Whether a fingerprint begins with its digits.
    #[must_use]
    pub fn holds(&self, log: Fingerprint) -> bool {
        let beyond = u64::MAX.checked_shr(u32::from(self.depth) * 4).unwrap_or(0);
        u64::from_be_bytes(log) & !beyond == u64::from_be_bytes(self.prefix)
    }
}

/// The records of one set of logs at one moment, in rising order.
#[derive(Clone, Default, Debug)]
pub struct Records {
    rows: Vec<Record>,
    /// Index of each row's log in the frontier.
    logs: Vec<usize>,
}

impl Records {
    /// Makes the records of those logs of a frontier that `takes` takes.
    #[must_use]
    pub fn of(key: &TrieKey, frontier: &[LogHeads], takes: impl Fn(&LogHeads) -> bool) -> Self {
        let mut rows: Vec<(Record, usize)> = frontier
            .iter()
            .enumerate()
            .filter(|(_, log)| takes(log))
            .map(|(at, log)| {
                let heads = key.heads(log.branches.iter().map(|branch| (branch.tip_seq, branch.tip_id)));
                let seq = log.branches.iter().map(|branch| branch.tip_seq).max().unwrap_or(0);
                (Record { log: key.fingerprint(&log.log), seq, heads }, at)
            })
            .collect();
        rows.sort_unstable();
        let (rows, logs) = rows.into_iter().unzip();
        Self { rows, logs }
    }

    /// The logs in rising order, with their indexes in the frontier.
    pub fn logs(&self) -> impl Iterator<Item = (Fingerprint, usize)> {
        self.rows.iter().map(|row| row.log).zip(self.logs.iter().copied())
    }

    /// The hash over everything.
    #[must_use]
    pub fn root(&self, key: &TrieKey) -> [u8; 16] {
        key.records(&self.rows)
    }

    /// The records of a node.
    #[must_use]
    pub fn node(&self, node: &Node) -> &[Record] {
        let from = self.rows.partition_point(|row| row.log < node.prefix);
        let rest = self.rows.get(from..).unwrap_or_default();
        let count = rest.partition_point(|row| node.holds(row.log));
        rest.get(..count).unwrap_or_default()
    }

    /// The hash of a node.
    #[must_use]
    pub fn hash(&self, key: &TrieKey, node: &Node) -> Short {
        key.records(self.node(node))
    }

    /// Index in the frontier of the log with a fingerprint.
    #[must_use]
    pub fn find(&self, log: Fingerprint) -> Option<usize> {
        let at = self.rows.binary_search_by_key(&log, |row| row.log).ok()?;
        self.logs.get(at).copied()
    }
}

/// The logs whose records differ between two lists in rising order, those that stand in one of them included.
pub fn differing(ours: &[Record], theirs: &[Record]) -> Vec<Fingerprint> {
    let both: BTreeSet<&Record> = ours.iter().chain(theirs).collect();
    let mut found = Vec::new();
    for record in both {
        let same = |records: &[Record]| records.binary_search(record).is_ok();
        if !(same(ours) && same(theirs)) && found.last() != Some(&record.log) {
            found.push(record.log);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{CompartmentId, DeviceId, Lane};
    use crate::store::BranchOf;

    fn log(number: i64, seq: u64) -> LogHeads {
        let tip_id = EntryId::new(derive(Label::Trie, &[&number.to_le_bytes(), &seq.to_le_bytes()]));
        LogHeads {
            log: LogId::new(derive(Label::Log, &[&number.to_le_bytes()])),
            number,
            device: DeviceId::ZERO,
            compartment: CompartmentId::ZERO,
            lane: Lane::Safety,
            branches: vec![BranchOf { branch: 0, parent: 0, fork_seq: 0, tip_seq: seq, tip_id }],
        }
    }

    #[test]
    fn descending_finds_exactly_the_logs_that_differ() {
        let key = TrieKey::new(&[9; 32]);
        let ours: Vec<LogHeads> = (0..3_000).filter(|n| n % 500 != 1).map(|n| log(n, 5)).collect();
        let theirs: Vec<LogHeads> =
            (0..3_000).filter(|n| n % 700 != 2).map(|n| log(n, if n % 1_000 == 0 { 6 } else { 5 })).collect();
        let (one, two) = (Records::of(&key, &ours, |_| true), Records::of(&key, &theirs, |_| true));
        assert_ne!(one.root(&key), two.root(&key));
        let (mut found, mut nodes, mut steps) = (Vec::new(), vec![Node::ROOT], 0);
        while let Some(node) = nodes.pop() {
            steps += 1;
            if two.node(&node).len() <= crate::sync::limits::LEAF_LOGS_MAX {
                found.extend(differing(one.node(&node), two.node(&node)));
            } else {
                let children = (0..16).filter_map(|digit| node.child(digit));
                nodes.extend(children.filter(|child| one.hash(&key, child) != two.hash(&key, child)));
            }
        }
        let mut expected: Vec<Fingerprint> = (0..3_000)
            .filter(|n| n % 500 == 1 || n % 700 == 2 || n % 1_000 == 0)
            .map(|n| key.fingerprint(&log(n, 5).log))
            .collect();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected);
        assert!(steps < 40, "{steps}");
        assert!(found.iter().all(|f| one.find(*f).is_some() || two.find(*f).is_some()));
    }

    #[test]
    fn a_node_has_no_digits_behind_its_depth() {
        assert!(Node::new(0, [0; 8]).is_some() && Node::new(16, [255; 8]).is_some());
        assert!(Node::new(0, [1; 8]).is_none() && Node::new(17, [0; 8]).is_none());
        assert!(Node::new(1, [0xf0, 0, 0, 0, 0, 0, 0, 0]).is_some() && Node::new(1, [0xff; 8]).is_none());
        let leaf = Node::new(16, [255; 8]).unwrap();
        assert!(leaf.child(0).is_none() && leaf.holds([255; 8]) && !leaf.holds([0; 8]));
        assert_eq!(Node::ROOT.child(0xa), Node::new(1, [0xa0, 0, 0, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn the_hash_of_heads_knows_no_order_and_hangs_on_the_session() {
        let heads = [(1, EntryId::new([1; 32])), (2, EntryId::new([2; 32]))];
        let (one, two) = (TrieKey::new(&[1; 32]), TrieKey::new(&[2; 32]));
        assert_eq!(one.heads(heads.into_iter()), one.heads(heads.into_iter().rev()));
        assert_ne!(one.heads(heads.into_iter()), two.heads(heads.into_iter()));
    }
}

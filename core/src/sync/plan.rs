//! What to send of one log, from what the other side says that it holds of it.

use super::frame::Head;
use super::shelf::{LogHeads, Piece, Shelf, Trouble};
use crate::id::EntryId;
use crate::mutant::{self, Mutant};
use crate::store::BranchOf;
use std::collections::BTreeMap;

/// The pieces of a log that the holder of `theirs` lacks, parents before children. A head that is not known
/// here may have everything behind it: then nothing is sent of what no known head or rung leads to, unless
/// `ladders` says that its rungs came too. What it keeps of runs that are not whole need not come again.
pub fn missing(
    book: &mut dyn Shelf,
    log: &LogHeads,
    (theirs, begun): (&[Head], &[(u64, EntryId)]),
    ladders: bool,
) -> Result<Vec<Piece>, Trouble> {
    let mut known: Vec<(u8, u64)> = Vec::new();
    let mut joins = theirs.is_empty() || ladders;
    for head in theirs {
        let mut found = book.holds(log.number, head.seq, head.id.as_bytes())?.map(|branch| (branch, head.seq));
        for (seq, id) in &head.rungs {
            if found.is_some() {
                break;
            }
            found = book.holds(log.number, *seq, id)?.map(|branch| (branch, *seq));
        }
        if let Some((branch, seq)) = found {
            joins = true;
            known.push((branch, seq));
        }
    }
    if !joins {
        return Ok(Vec::new());
    }
    for (seq, id) in begun {
        known.extend(book.holds(log.number, *seq, id.as_bytes())?.map(|branch| (branch, *seq)));
    }
    let known = held(&log.branches, known);
    let known = if mutant::is(Mutant::SendsAllAgain) { BTreeMap::new() } else { known };
    let piece = |branch: &BranchOf| {
        let held = known.get(&branch.branch).copied().unwrap_or(0).max(branch.fork_seq);
        let (from, to) = (held + 1, branch.tip_seq);
        (from <= to).then_some(Piece { log: log.number, branch: branch.branch, from, to })
    };
    Ok(log.branches.iter().filter_map(piece).collect())
}

/// How far the rows of branches are held by one who holds these entries, each by branch and place, and so all
/// before them down to place 1.
pub fn held(branches: &[BranchOf], entries: impl IntoIterator<Item = (u8, u64)>) -> BTreeMap<u8, u64> {
    let mut known = BTreeMap::new();
    for (branch, seq) in entries {
        mark(branches, branch, seq, &mut known);
    }
    known
}

/// Notes that a place of a branch is held, and all before it down to place 1.
fn mark(branches: &[BranchOf], branch: u8, seq: u64, known: &mut BTreeMap<u8, u64>) {
    let (mut at, mut seq) = (branch, seq);
    // A log has at most eight branches, and a parent is never its own descendant.
    for _ in 0..=branches.len() {
        let held = known.entry(at).or_default();
        *held = (*held).max(seq);
        let Some(row) = branches.iter().find(|row| row.branch == at) else { return };
        if row.parent == at || row.fork_seq == 0 {
            return;
        }
        (at, seq) = (row.parent, seq.min(row.fork_seq));
    }
}

/// The branch row in which the entry at a place of a branch lies.
#[must_use]
pub fn row_of(branches: &[BranchOf], branch: u8, seq: u64) -> u8 {
    let mut at = branch;
    for _ in 0..=branches.len() {
        match branches.iter().find(|row| row.branch == at) {
            Some(row) if seq <= row.fork_seq && row.parent != at => at = row.parent,
            _ => break,
        }
    }
    at
}

/// The heads of a log as they travel, with rungs if they are asked for.
pub fn heads(book: &mut dyn Shelf, log: &LogHeads, ladders: bool) -> Result<Vec<Head>, Trouble> {
    let mut heads = Vec::with_capacity(log.branches.len());
    for branch in &log.branches {
        let mut rungs = Vec::new();
        for seq in if ladders { super::frame::rung_places(branch.tip_seq) } else { Vec::new() } {
            let row = row_of(&log.branches, branch.branch, seq);
            let id = book.entry_id(log.number, row, seq)?;
            rungs.extend(id.and_then(|id| id.as_bytes().first_chunk::<16>().copied()).map(|id| (seq, id)));
        }
        heads.push(Head { seq: branch.tip_seq, id: branch.tip_id, rungs });
    }
    Ok(heads)
}

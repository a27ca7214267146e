//! The fold of a record: which values its registers show, from its edits alone.
//!
//! A register shows the values whose writers no accepted edit of that register has among its ancestors;
//! equal values are one. An edit's parents are those it names, as far as they are open here and edits of the
//! same record, and the nearest earlier open edit of the record in its own chain. An edit that waits for
//! review is passed through: it shows nothing, and its parents stay ancestors of its children.
//!
//! Ancestry is a small vector per edit (branch of a log -> place): the edits of a record in one chain stand
//! on each other, so the greatest place says it for all before it, and one look-up decides.

use super::edit::Edit;
use super::reference::EntryRef;
use super::register::Field;
use crate::clock::Hlc;
use crate::mutant::{self, Mutant};
use std::collections::BTreeMap;

/// Where an entry stands: any numbers that tell logs and branches apart; results do not depend on them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Stand {
    /// Number of the log.
    pub log: i64,
    /// Branch of the log.
    pub branch: u8,
    /// Place in the log.
    pub seq: u64,
}

/// How the branches of forked logs hang together.
#[derive(Clone, Default, Debug)]
pub struct Forks {
    /// (log, branch) -> (parent branch, last shared place).
    parents: BTreeMap<(i64, u8), (u8, u64)>,
}

impl Forks {
    /// Says that `branch` of `log` left the older branch `parent` after place `fork_seq`. A branch that shares
    /// nothing is not added; a parent that is not older is not possible and not taken.
    pub fn add(&mut self, log: i64, branch: u8, parent: u8, fork_seq: u64) {
        if parent < branch {
            self.parents.insert((log, branch), (parent, fork_seq));
        }
    }

    /// Whether `earlier` lies on the chain that ends in `later`, or is it.
    #[must_use]
    pub fn chain_holds(&self, later: Stand, earlier: Stand) -> bool {
        if later.log != earlier.log || earlier.seq > later.seq {
            return false;
        }
        let mut branch = later.branch;
        loop {
            if branch == earlier.branch {
                return true;
            }
            match self.parents.get(&(later.log, branch)) {
                Some((parent, fork_seq)) if earlier.seq <= *fork_seq => branch = *parent,
                _ => return false,
            }
        }
    }
}

/// An edit as the fold takes it.
#[derive(Clone, Debug)]
pub struct EditAt<'a> {
    /// Where its entry stands.
    pub stand: Stand,
    /// How its entry is named.
    pub reference: EntryRef,
    /// The author's clock; orders what is shown first, decides nothing.
    pub hlc: Hlc,
    /// Whether it waits for review: passed through.
    pub waiting: bool,
    /// What it sets.
    pub edit: Edit<'a>,
}

/// One value that a register shows, with the edits that wrote it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown<'a> {
    /// The field.
    pub field: Field,
    /// The element of a set.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// Indices of the edits that wrote it, in rising order of reference; at least one.
    pub writers: Vec<usize>,
}

/// What the edits of one record come to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Folded<'a> {
    /// Shown values in rising order of field, key and value.
    pub shown: Vec<Shown<'a>>,
    /// Indices of the accepted edits that no accepted edit has among its ancestors, in rising order of
    /// reference: the heads of the record.
    pub heads: Vec<usize>,
    /// Named parents that are not here, by the edit that names them.
    pub missing: Vec<(usize, EntryRef)>,
}

/// Ancestors of an edit: for each branch of a log the greatest place, in rising order.
type Vector = Vec<(i64, u8, u64)>;

/// Parents of each edit, and what is missing.
#[must_use]
pub fn parents(edits: &[EditAt<'_>], forks: &Forks) -> (Vec<Vec<usize>>, Vec<(usize, EntryRef)>) {
    let mut by_reference: Vec<(EntryRef, usize)> = edits.iter().enumerate().map(|(i, e)| (e.reference, i)).collect();
    by_reference.sort_unstable();
    let place_of = |reference: &EntryRef| {
        let at = by_reference.partition_point(|(other, _)| other <= reference).checked_sub(1)?;
        by_reference.get(at).filter(|(other, _)| other == reference).map(|(_, index)| *index)
    };
    let chains = chains(edits);
    let mut missing = Vec::new();
    let parents = edits
        .iter()
        .enumerate()
        .map(|(index, edit)| {
            let mut parents: Vec<usize> = Vec::with_capacity(edit.edit.parents.len() + 1);
            let lost = usize::from(mutant::is(Mutant::LosesAnAncestor));
            for reference in edit.edit.parents.iter().skip(lost) {
                match place_of(reference) {
                    // An import's parents are imports only; others count as not named.
                    Some(parent) if edit.edit.import.is_some() && !is_import(edits, parent) => {}
                    Some(parent) if parent != index => parents.push(parent),
                    Some(_) => {}
                    None => missing.push((index, *reference)),
                }
            }
            parents.extend(nearest_in_chain(&chains, forks, edit.stand));
            parents.sort_unstable();
            parents.dedup();
            parents
        })
        .collect();
    (parents, missing)
}

fn is_import(edits: &[EditAt<'_>], index: usize) -> bool {
    edits.get(index).is_some_and(|edit| edit.edit.import.is_some())
}

/// Edits by branch of a log, in rising order of place.
type Chains = Vec<(Stand, usize)>;

fn chains(edits: &[EditAt<'_>]) -> Chains {
    let mut chains: Chains = edits.iter().enumerate().map(|(index, edit)| (edit.stand, index)).collect();
    chains.sort_unstable();
    chains
}

/// The nearest earlier edit in the chain that ends in `stand`: one look-up for each branch down to the root.
fn nearest_in_chain(chains: &Chains, forks: &Forks, stand: Stand) -> Option<usize> {
    let (mut branch, mut before) = (stand.branch, stand.seq);
    loop {
        let before_this = Stand { log: stand.log, branch, seq: before };
        let place = chains.partition_point(|(other, _)| *other < before_this);
        if let Some((found, index)) = place.checked_sub(1).and_then(|at| chains.get(at))
            && (found.log, found.branch) == (stand.log, branch)
        {
            return Some(*index);
        }
        let (parent, fork_seq) = forks.parents.get(&(stand.log, branch))?;
        (branch, before) = (*parent, before.min(fork_seq + 1));
    }
}

/// Edits in an order in which parents come before their children; what a cycle would hold is left out.
#[must_use]
pub fn ancestors_first(parents: &[Vec<usize>]) -> Vec<usize> {
    let mut children = vec![Vec::new(); parents.len()];
    let mut open: Vec<usize> = Vec::with_capacity(parents.len());
    for (index, of_one) in parents.iter().enumerate() {
        open.push(of_one.len());
        for parent in of_one {
            if let Some(list) = children.get_mut(*parent) {
                list.push(index);
            }
        }
    }
    let mut order: Vec<usize> = (0..parents.len()).filter(|i| open.get(*i) == Some(&0)).collect();
    let mut next = 0;
    while let Some(index) = order.get(next).copied() {
        next += 1;
        for child in children.get(index).into_iter().flatten() {
            if let Some(count) = open.get_mut(*child) {
                *count -= 1;
                if *count == 0 {
                    order.push(*child);
                }
            }
        }
    }
    order
}

/// Folds the open edits of one record, in whatever order they are given.
#[must_use]
pub fn fold<'a>(edits: &[EditAt<'a>], forks: &Forks) -> Folded<'a> {
    let (parents, missing) = parents(edits, forks);
    let mut vectors: Vec<Vector> = vec![Vector::new(); edits.len()];
    let mut visible: BTreeMap<(Field, &'a [u8]), Vec<usize>> = BTreeMap::new();
    let mut heads: Vec<usize> = Vec::new();
    for index in ancestors_first(&parents) {
        let Some(edit) = edits.get(index) else { continue };
        let mut ancestors = Vector::new();
        for parent in parents.get(index).into_iter().flatten() {
            if let (Some(of_parent), Some(at)) = (vectors.get(*parent), edits.get(*parent)) {
                join(&mut ancestors, of_parent);
                raise(&mut ancestors, at.stand);
            }
        }
        if !edit.waiting {
            let stays = |other: &usize| edits.get(*other).is_some_and(|o| !covers(&ancestors, forks, o.stand));
            heads.retain(stays);
            heads.push(index);
            for register in &edit.edit.registers {
                let writers = visible.entry((register.field, register.key)).or_default();
                writers.retain(stays);
                writers.push(index);
            }
        }
        if let Some(slot) = vectors.get_mut(index) {
            *slot = ancestors;
        }
    }
    let by_reference = |i: &usize| edits.get(*i).map(|e| e.reference);
    heads.sort_unstable_by_key(by_reference);
    let mut shown: Vec<Shown<'a>> = Vec::with_capacity(visible.len());
    for ((field, key), writers) in visible {
        let value = |writer: &usize| {
            let registers = edits.get(*writer).map_or(&[][..], |e| e.edit.registers.as_slice());
            let at = registers.binary_search_by_key(&(field, key), |r| (r.field, r.key)).ok()?;
            registers.get(at).map(|register| register.value)
        };
        let mut written: Vec<(&'a [u8], usize)> = writers.iter().filter_map(|w| Some((value(w)?, *w))).collect();
        written.sort_unstable_by_key(|(value, writer)| (*value, by_reference(writer)));
        for of_value in written.chunk_by(|a, b| a.0 == b.0) {
            if let Some((value, _)) = of_value.first() {
                let writers = of_value.iter().map(|(_, writer)| *writer).collect();
                shown.push(Shown { field, key, value, writers });
            }
        }
    }
    Folded { shown, heads, missing }
}

/// Whether a vector has an entry among what it says.
fn covers(vector: &Vector, forks: &Forks, stand: Stand) -> bool {
    let start = vector.partition_point(|(log, _, _)| *log < stand.log);
    let of_log = vector.get(start..).into_iter().flatten().take_while(|(log, _, _)| *log == stand.log);
    of_log
        .map(|(log, branch, seq)| Stand { log: *log, branch: *branch, seq: *seq })
        .any(|later| forks.chain_holds(later, stand))
}

fn join(into: &mut Vector, other: &Vector) {
    if into.is_empty() {
        into.clone_from(other);
        return;
    }
    for (log, branch, seq) in other {
        raise(into, Stand { log: *log, branch: *branch, seq: *seq });
    }
}

fn raise(vector: &mut Vector, stand: Stand) {
    match vector.binary_search_by_key(&(stand.log, stand.branch), |(log, branch, _)| (*log, *branch)) {
        Ok(at) => {
            if let Some((_, _, seq)) = vector.get_mut(at) {
                *seq = (*seq).max(stand.seq);
            }
        }
        Err(at) => vector.insert(at, (stand.log, stand.branch, stand.seq)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{LogId, PatientId};
    use crate::record::register::{NULL, Register};

    fn reference(log: u8, seq: u64) -> EntryRef {
        EntryRef { log: LogId::new([log; 32]), seq, prefix: [seq as u8; 16] }
    }

    fn edit(log: u8, seq: u64, parents: &[(u8, u64)], value: &'static [u8]) -> EditAt<'static> {
        EditAt {
            stand: Stand { log: i64::from(log), branch: 0, seq },
            reference: reference(log, seq),
            hlc: Hlc::default(),
            waiting: false,
            edit: Edit {
                patient: PatientId::ZERO,
                parents: parents.iter().map(|(log, seq)| reference(*log, *seq)).collect(),
                registers: vec![Register { field: Field::Sex, key: &[], value }],
                import: None,
            },
        }
    }

    fn values(edits: &[EditAt<'static>]) -> Vec<&'static [u8]> {
        fold(edits, &Forks::default()).shown.iter().map(|s| s.value).collect()
    }

    #[test]
    fn concurrent_values_stand_beside_each_other_until_somebody_saw_both() {
        let (a, b) = (edit(1, 1, &[], &[1]), edit(2, 1, &[], &[2]));
        assert_eq!(values(&[a.clone(), b.clone()]), [&[1][..], &[2]]);
        assert_eq!(values(&[b.clone(), a.clone(), edit(3, 1, &[(1, 1), (2, 1)], &[3])]), [&[3][..]]);
        assert_eq!(values(&[b, a, edit(3, 1, &[(2, 1)], &[3])]), [&[1][..], &[3]]);
    }

    #[test]
    fn the_own_chain_is_a_parent_without_being_named() {
        assert_eq!(values(&[edit(1, 1, &[], &[1]), edit(1, 9, &[], &[2])]), [&[2][..]]);
    }

    #[test]
    fn equal_values_are_one_and_null_clears() {
        assert_eq!(values(&[edit(1, 1, &[], &[1]), edit(2, 1, &[], &[1])]), [&[1][..]]);
        assert_eq!(values(&[edit(1, 1, &[], &[1]), edit(1, 2, &[], NULL)]), [NULL]);
    }

    #[test]
    fn a_waiting_edit_is_passed_through() {
        let mut middle = edit(2, 1, &[(1, 1)], &[2]);
        middle.waiting = true;
        let chain = [edit(1, 1, &[], &[1]), middle, edit(3, 1, &[(2, 1)], &[3])];
        assert_eq!(values(&chain), [&[3][..]]);
        assert_eq!(values(&chain[..2]), [&[1][..]]);
    }

    #[test]
    fn a_parent_with_another_hash_counts_as_not_named() {
        let mut child = edit(2, 1, &[(1, 1)], &[2]);
        child.edit.parents[0].prefix = [9; 16];
        let edits = [edit(1, 1, &[], &[1]), child];
        assert_eq!(values(&edits), [&[1][..], &[2]]);
        assert_eq!(fold(&edits, &Forks::default()).missing.len(), 1);
    }

    #[test]
    fn branches_of_a_forked_log_are_concurrent_after_the_fork() {
        let mut forks = Forks::default();
        forks.add(1, 1, 0, 1);
        let mut other = edit(1, 2, &[], &[3]);
        other.stand.branch = 1;
        other.reference.prefix = [77; 16];
        let edits = [edit(1, 1, &[], &[1]), edit(1, 2, &[], &[2]), other.clone()];
        let shown: Vec<_> = fold(&edits, &forks).shown.iter().map(|s| s.value).collect();
        assert_eq!(shown, [&[2][..], &[3]]);
        assert!(forks.chain_holds(other.stand, edits[0].stand) && !forks.chain_holds(other.stand, edits[1].stand));
    }

    #[test]
    fn an_import_has_imports_for_parents_only() {
        let mut import = edit(2, 1, &[(1, 1)], &[2]);
        import.edit.import = Some(crate::id::ImportId::ZERO);
        assert_eq!(values(&[edit(1, 1, &[], &[1]), import]), [&[1][..], &[2]]);
    }
}

//! The Automerge document of one record, built from its edits when it is wanted.
//!
//! Never inside the durable transaction and never from bytes of a peer. Every accepted edit becomes one
//! change; one that waits for review makes none, and its parents take its place. The same edits give the same
//! document, byte for byte when saved, in whatever order they came, and its values equal the fold's.
//!
//! | of a change  | is                                                                                       |
//! |--------------|------------------------------------------------------------------------------------------|
//! | actor        | `H(actor, log ‖ place ‖ prefix)` of the entry, 16 bytes: no two changes share one        |
//! | sequence     | 1                                                                                        |
//! | start        | 1 + the highest operation among the ancestors                                            |
//! | dependencies | the changes of the parents, without those that another parent has among its ancestors    |
//! | time         | 0, and no message                                                                        |
//! | operations   | one for each register: sets `<field number>:<hexadecimal key>` at the root to the        |
//! |              | canonical bytes of the value, or to null                                                 |
//! | predecessors | the visible writers of that register among the ancestors, never one that waits           |
//!
//! Automerge panics on some inputs, so all calls of it are caught: a failure is a finding on one record. The
//! hook of the program still sees the panic and decides what is printed.

use crate::crypto::{Label, derive_short};
use crate::id::{hex, hex_into};
use crate::limits::DOCUMENT_EDITS_MAX;
use crate::record::{EditAt, EntryRef, Field, Forks, NULL, Register, Stand, ancestors_first, parents};
use automerge::legacy::{Key, ObjectId, Op, OpId, OpType};
use automerge::{ActorId, Automerge, AutomergeError, Change, ChangeHash, ExpandedChange, ROOT, ReadDoc, ScalarValue};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Length of an actor in bytes: what Automerge keeps without allocating.
const ACTOR_BYTES: usize = 16;

/// One value of a register in a document.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DocumentValue {
    /// The field.
    pub field: Field,
    /// Canonical bytes of the element's key; empty for a field that is no set.
    pub key: Vec<u8>,
    /// Canonical bytes of the value; null where the register was cleared.
    pub value: Vec<u8>,
}

/// Why there is no document of a record, or no values of it; nothing else is touched by it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// Only an export builds the document of so long a record.
    #[error("record has more than {DOCUMENT_EDITS_MAX} edits")]
    TooLong,
    /// The edit is not among those given, or stands in a cycle or behind one.
    #[error("edit has no place in the document")]
    NoPlace,
    /// Keys or values of the document are not those of a record.
    #[error("document is not that of a record")]
    Foreign,
    /// Automerge refused.
    #[error("automerge refused the changes of the record")]
    Refused(#[from] AutomergeError),
    /// Automerge panicked.
    #[error("automerge failed on the record")]
    Panicked,
}

/// Builds the document of a record from its open edits, accepted and waiting, in any order.
///
/// Takes about 20 µs an edit; in records of many thousand edits time and memory grow with the square of their
/// number, as each is an actor of its own. An edit in a cycle, or with one among its ancestors, is left out,
/// as the fold leaves it out.
///
/// # Errors
/// [`DocumentError`] if Automerge refuses or panics; two edits of one reference are refused.
pub fn document(edits: &[EditAt<'_>], forks: &Forks) -> Result<Automerge, DocumentError> {
    caught(|| Builder::new(edits, forks).finish())
}

/// The values of the registers as they stood for the author of the edit `at`: of its ancestors and itself, or
/// of its ancestors alone while it waits for review. Same shape and order as [`document_values`].
///
/// Builds the whole document and looks back in it.
///
/// # Errors
/// [`DocumentError`] if there are more than [`DOCUMENT_EDITS_MAX`] edits, if `at` has no place among them, or
/// as for [`document`].
pub fn document_at(edits: &[EditAt<'_>], forks: &Forks, at: usize) -> Result<Vec<DocumentValue>, DocumentError> {
    if edits.len() > DOCUMENT_EDITS_MAX {
        return Err(DocumentError::TooLong);
    }
    caught(|| {
        let builder = Builder::new(edits, forks);
        let placed = builder.placed.get(at).and_then(Option::as_ref).ok_or(DocumentError::NoPlace)?;
        let heads = builder.hashes(&placed.heads);
        values_at(&builder.finish()?, &heads)
    })
}

/// All values of all registers of a record's document in rising order: concurrent ones beside each other,
/// equal ones once, null where a register was cleared.
///
/// # Errors
/// [`DocumentError`] if the document is not that of a record, or Automerge refuses or panics.
pub fn document_values(document: &Automerge) -> Result<Vec<DocumentValue>, DocumentError> {
    caught(|| values_at(document, &document.get_heads()))
}

/// Runs what calls Automerge; a panic in it becomes an error.
fn caught<T>(work: impl FnOnce() -> Result<T, DocumentError>) -> Result<T, DocumentError> {
    // Nothing that the work could leave half done outlives it.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(DocumentError::Panicked))
}

fn values_at(document: &Automerge, heads: &[ChangeHash]) -> Result<Vec<DocumentValue>, DocumentError> {
    let mut values = BTreeSet::new();
    for text in document.keys_at(ROOT, heads) {
        let (field, key) = read_key(&text).ok_or(DocumentError::Foreign)?;
        for (value, _) in document.get_all_at(ROOT, text, heads)? {
            let value = match value.into_scalar() {
                Ok(ScalarValue::Null) => NULL.to_vec(),
                Ok(ScalarValue::Bytes(bytes)) => bytes,
                Ok(_) | Err(_) => return Err(DocumentError::Foreign),
            };
            values.insert(DocumentValue { field, key: key.clone(), value });
        }
    }
    Ok(values.into_iter().collect())
}

/// The key at the root that stands for a register.
fn key_text(field: Field, key: &[u8]) -> String {
    format!("{}:{}", field.number(), hex(key))
}

/// Reads what [`key_text`] writes.
fn read_key(text: &str) -> Option<(Field, Vec<u8>)> {
    let (number, digits) = text.split_once(':')?;
    let field = Field::from_number(number.parse().ok()?)?;
    let mut key = vec![0; digits.len() / 2];
    (hex_into(digits, &mut key) && key_text(field, &key) == text).then_some((field, key))
}

/// The actor of the change that an entry's edit becomes.
fn actor(reference: &EntryRef) -> ActorId {
    let parts: [&[u8]; 3] = [reference.log.as_bytes(), &reference.seq.to_le_bytes(), &reference.prefix];
    ActorId::from(derive_short::<ACTOR_BYTES>(Label::Actor, &parts))
}

/// The ancestors of an edit: for each branch of a log the greatest place.
#[derive(Default)]
struct Ancestors(BTreeMap<(i64, u8), u64>);

impl Ancestors {
    /// Adds an edit and all that are its ancestors.
    fn add(&mut self, stand: Stand, its: &Self) {
        for (branch, seq) in its.0.iter().chain([(&(stand.log, stand.branch), &stand.seq)]) {
            let greatest = self.0.entry(*branch).or_default();
            *greatest = (*greatest).max(*seq);
        }
    }

    /// Whether the edit at a place is among them: those of one branch stand on each other.
    fn hold(&self, stand: Stand) -> bool {
        self.0.get(&(stand.log, stand.branch)).is_some_and(|greatest| stand.seq <= *greatest)
    }
}

/// An edit whose ancestors all have their place.
struct Placed {
    /// Its ancestors, waiting ones too.
    ancestors: Ancestors,
    /// The accepted edits that it stands for among the parents of another: itself, or while it waits the
    /// newest among its ancestors.
    heads: Vec<usize>,
    /// The highest operation of it and its ancestors.
    last_op: u64,
    /// How many accepted edits had their place before it: no ancestor has more.
    order: usize,
    /// Its change; none while it waits.
    hash: Option<ChangeHash>,
}

/// One accepted writer of a register.
struct Written {
    edit: usize,
    stand: Stand,
    op: OpId,
}

/// The accepted writers of one register by branch of a log, in rising order of place.
type Writers = BTreeMap<(i64, u8), Vec<Written>>;

/// Changes in the making.
struct Builder<'e, 'a> {
    edits: &'e [EditAt<'a>],
    /// By index of the edit.
    placed: Vec<Option<Placed>>,
    /// By field and key.
    writers: BTreeMap<(Field, &'a [u8]), Writers>,
    changes: Vec<Change>,
}

impl<'e, 'a> Builder<'e, 'a> {
    fn new(edits: &'e [EditAt<'a>], forks: &Forks) -> Self {
        let (parents, _) = parents(edits, forks);
        let placed = edits.iter().map(|_| None).collect();
        let mut builder = Self { edits, placed, writers: BTreeMap::new(), changes: Vec::new() };
        for index in ancestors_first(&parents) {
            if let (Some(edit), Some(parents)) = (edits.get(index), parents.get(index)) {
                builder.place(index, edit, parents);
            }
        }
        builder
    }

    /// Applies all changes at once.
    fn finish(mut self) -> Result<Automerge, DocumentError> {
        // One order for all devices: a change starts above all operations of its ancestors.
        self.changes.sort_by_cached_key(|change| (change.start_op(), change.hash()));
        // The random actor of its own writes nothing, so nothing shows it.
        let mut document = Automerge::new();
        document.apply_changes(self.changes)?;
        Ok(document)
    }

    /// Gives an edit its place; its parents have theirs.
    fn place(&mut self, index: usize, edit: &EditAt<'a>, parents: &[usize]) {
        let mut placed = Placed {
            ancestors: Ancestors::default(),
            heads: Vec::new(),
            last_op: 0,
            order: self.changes.len(),
            hash: None,
        };
        for (at, parent) in parents.iter().filter_map(|parent| self.at(*parent)) {
            placed.ancestors.add(at.stand, &parent.ancestors);
            placed.heads.extend(&parent.heads);
            placed.last_op = placed.last_op.max(parent.last_op);
        }
        placed.heads.sort_unstable();
        placed.heads.dedup();
        placed.heads = self.newest(placed.heads);
        if !edit.waiting {
            let operations = self.operations(edit, &placed);
            self.note_writers(index, edit, &operations, placed.last_op);
            let added = u64::try_from(operations.len()).unwrap_or(u64::MAX);
            let change = Change::from(ExpandedChange {
                operations,
                actor_id: actor(&edit.reference),
                hash: None,
                seq: 1,
                start_op: NonZeroU64::MIN.saturating_add(placed.last_op),
                time: 0,
                message: None,
                deps: self.hashes(&placed.heads),
                extra_bytes: Vec::new(),
                author: None,
            });
            placed.heads = vec![index];
            placed.last_op = placed.last_op.saturating_add(added);
            placed.hash = Some(change.hash());
            self.changes.push(change);
        }
        if let Some(slot) = self.placed.get_mut(index) {
            *slot = Some(placed);
        }
    }

    fn at(&self, index: usize) -> Option<(&EditAt<'a>, &Placed)> {
        self.edits.get(index).zip(self.placed.get(index)?.as_ref())
    }

    fn hashes(&self, indices: &[usize]) -> Vec<ChangeHash> {
        indices.iter().filter_map(|index| self.at(*index)?.1.hash).collect()
    }

    /// Those accepted edits that no other of them has among its ancestors.
    fn newest(&self, mut edits: Vec<usize>) -> Vec<usize> {
        edits.sort_unstable_by_key(|index| self.at(*index).map(|(_, placed)| placed.order));
        let mut newest = Vec::new();
        while let Some((index, (_, placed))) = edits.pop().and_then(|index| Some((index, self.at(index)?))) {
            newest.push(index);
            edits.retain(|other| self.at(*other).is_some_and(|(older, _)| !placed.ancestors.hold(older.stand)));
        }
        newest
    }

    /// The operations of an edit, one for each register that it sets.
    fn operations(&self, edit: &EditAt<'a>, placed: &Placed) -> Vec<Op> {
        let operation = |register: &Register<'a>| Op {
            action: OpType::Put(if register.is_null() {
                ScalarValue::Null
            } else {
                ScalarValue::Bytes(register.value.to_vec())
            }),
            obj: ObjectId::Root,
            key: Key::from(key_text(register.field, register.key)),
            pred: self.predecessors(register, &placed.ancestors).into(),
            insert: false,
        };
        edit.edit.registers.iter().map(operation).collect()
    }

    /// The visible writers of a register among the ancestors of an edit.
    ///
    /// Only the newest in each branch of a log can be visible: the earlier ones are among its ancestors.
    fn predecessors(&self, register: &Register<'a>, ancestors: &Ancestors) -> Vec<OpId> {
        let branches = self.writers.get(&(register.field, register.key)).into_iter().flatten();
        let newest_of_branch = |(_, written): (_, &Vec<Written>)| {
            let seen = written.partition_point(|writer| ancestors.hold(writer.stand));
            written.get(seen.checked_sub(1)?).map(|writer| (writer.edit, writer.op.clone()))
        };
        let mut ops: BTreeMap<usize, OpId> = branches.filter_map(newest_of_branch).collect();
        let visible = self.newest(ops.keys().copied().collect());
        visible.iter().filter_map(|edit| ops.remove(edit)).collect()
    }

    /// Keeps an edit as a writer of its registers, whose operations follow on `last_op`.
    fn note_writers(&mut self, index: usize, edit: &EditAt<'a>, operations: &[Op], last_op: u64) {
        let actor = actor(&edit.reference);
        let stand = edit.stand;
        for ((register, _), op) in edit.edit.registers.iter().zip(operations).zip(last_op.saturating_add(1)..) {
            let branches = self.writers.entry((register.field, register.key)).or_default();
            let written = branches.entry((stand.log, stand.branch)).or_default();
            written.push(Written { edit: index, stand, op: OpId::new(op, &actor) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Hlc;
    use crate::id::{ImportId, LogId, PatientId};
    use crate::record::{Edit, Folded, fold};

    /// Draws from a seed (SplitMix64), so that one line repeats a failure.
    struct Dice(u64);

    impl Dice {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }

        fn below(&mut self, end: usize) -> usize {
            usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
        }

        fn chance(&mut self, percent: usize) -> bool {
            self.below(100) < percent
        }

        fn pick<T: Copy>(&mut self, from: &[T]) -> T {
            from[self.below(from.len())]
        }

        fn shuffled(&mut self, items: impl IntoIterator<Item = usize>) -> Vec<usize> {
            let mut items: Vec<usize> = items.into_iter().collect();
            for place in (1..items.len()).rev() {
                let other = self.below(place + 1);
                items.swap(place, other);
            }
            items
        }
    }

    /// What a device that writes one branch of a log knows.
    #[derive(Clone)]
    struct Author {
        log: u8,
        branch: u8,
        import: bool,
        seq: u64,
        last: Option<usize>,
        saw: BTreeSet<usize>,
    }

    /// A history with what the model needs to judge it without places and forks.
    struct History {
        edits: Vec<EditAt<'static>>,
        /// The edit before each in its chain, withdrawn or not.
        before: Vec<Option<usize>>,
        /// What the author of each saw, itself with it.
        saw: Vec<BTreeSet<usize>>,
        /// Those that were not withdrawn, in a random order.
        kept: Vec<usize>,
        forks: Forks,
    }

    const REGISTERS: [(Field, &[u8]); 5] = [
        (Field::Birth, &[]),
        (Field::Sex, &[]),
        (Field::Name, &[0x61, 0x61]),
        (Field::Name, &[0x61, 0x62]),
        (Field::Language, &[0x61, 0x61]),
    ];
    const VALUES: [&[u8]; 4] = [&[1], &[2], &[0x62, 0x68, 0x69], NULL];

    impl History {
        fn random(dice: &mut Dice) -> Self {
            let logs = 2 + dice.below(5);
            let mut authors: Vec<Author> = (0..logs)
                .map(|log| Author {
                    log: u8::try_from(log).unwrap(),
                    branch: 0,
                    import: dice.chance(25),
                    seq: 0,
                    last: None,
                    saw: BTreeSet::new(),
                })
                .collect();
            let mut history =
                Self { edits: vec![], before: vec![], saw: vec![], kept: vec![], forks: Forks::default() };
            let (length, waiting) = (1 + dice.below(28), dice.pick(&[0, 15, 50]));
            let (fork, meet, withdrawn) = (dice.pick(&[0, 5, 15]), dice.pick(&[10, 40, 90]), dice.pick(&[0, 10, 30]));
            for _ in 0..length {
                let mut who = dice.below(authors.len());
                if dice.chance(fork) && authors.iter().filter(|a| a.log == authors[who].log).count() < 4 {
                    who = history.fork(dice, &mut authors, who);
                }
                if dice.chance(meet) {
                    let theirs = authors[dice.below(authors.len())].saw.clone();
                    authors[who].saw.extend(theirs);
                }
                history.write(dice, &mut authors[who], waiting);
            }
            let kept: Vec<usize> = (0..length).filter(|_| !dice.chance(withdrawn)).collect();
            history.kept = dice.shuffled(kept);
            history
        }

        /// Begins another branch somewhere on the chain of an author.
        fn fork(&mut self, dice: &mut Dice, authors: &mut Vec<Author>, who: usize) -> usize {
            let parent = authors[who].clone();
            let (mut last, mut seq) = (parent.last, parent.seq);
            while let Some(at) = last.filter(|_| dice.chance(60)) {
                seq = self.edits[at].stand.seq - 1;
                last = self.before[at];
            }
            let branch = u8::try_from(authors.iter().filter(|a| a.log == parent.log).count()).unwrap();
            if seq > 0 {
                self.forks.add(i64::from(parent.log), branch, parent.branch, seq);
            }
            let saw = last.map(|at| self.saw[at].clone()).unwrap_or_default();
            authors.push(Author { branch, seq, last, saw, ..parent });
            authors.len() - 1
        }

        fn write(&mut self, dice: &mut Dice, author: &mut Author, waiting: usize) {
            let index = self.edits.len();
            author.seq += 1 + u64::try_from(dice.below(3)).unwrap();
            let mut prefix = [0; 16];
            prefix[..8].copy_from_slice(&dice.next().to_le_bytes());
            // References rise where numbers of logs fall: no result may depend on these.
            let reference = EntryRef { log: LogId::new([200 - author.log; 32]), seq: author.seq, prefix };
            let mut registers: Vec<Register<'static>> = Vec::new();
            for (field, key) in REGISTERS {
                if dice.chance(35) {
                    registers.push(Register { field, key, value: dice.pick(&VALUES) });
                }
            }
            if registers.is_empty() {
                let (field, key) = dice.pick(&REGISTERS);
                registers.push(Register { field, key, value: dice.pick(&VALUES) });
            }
            let edit = Edit {
                patient: PatientId::ZERO,
                parents: self.draw_parents(dice, author, reference),
                registers,
                import: (author.import ^ dice.chance(5)).then_some(ImportId::ZERO),
            };
            let stand = Stand { log: i64::from(author.log), branch: author.branch, seq: author.seq };
            let waiting = dice.chance(waiting);
            self.edits.push(EditAt { stand, reference, hlc: Hlc::default(), waiting, edit });
            self.before.push(author.last.replace(index));
            author.saw.insert(index);
            self.saw.push(author.saw.clone());
        }

        /// The heads that an author saw; now and then others, an unknown one, or itself.
        fn draw_parents(&self, dice: &mut Dice, author: &Author, itself: EntryRef) -> Vec<EntryRef> {
            let is_head = |edit: &&usize| !author.saw.iter().any(|o| o != *edit && self.saw[*o].contains(*edit));
            let named: Vec<usize> = if dice.chance(80) {
                author.saw.iter().filter(is_head).copied().collect()
            } else {
                (0..self.edits.len()).filter(|_| dice.chance(30)).collect()
            };
            let mut parents: BTreeSet<EntryRef> = named.iter().map(|i| self.edits[*i].reference).take(16).collect();
            if dice.chance(3) {
                parents.insert(itself);
            }
            if let Some(edit) = self.edits.last().filter(|_| dice.chance(3)) {
                parents.insert(EntryRef { prefix: [7; 16], ..edit.reference });
            }
            parents.into_iter().collect()
        }

        /// Ancestors of each edit, by walking from child to parent.
        fn ancestors(&self) -> Vec<BTreeSet<usize>> {
            let kept = |index: &usize| self.kept.contains(index);
            let mut ancestors: Vec<BTreeSet<usize>> = Vec::new();
            for (index, child) in self.edits.iter().enumerate() {
                let named = |parent: &usize| {
                    let other = &self.edits[*parent];
                    child.edit.parents.contains(&other.reference)
                        && (child.edit.import.is_none() || other.edit.import.is_some())
                };
                let mut parents: Vec<usize> = (0..index).filter(kept).filter(named).collect();
                let mut before = self.before[index];
                while before.is_some_and(|at| !kept(&at)) {
                    before = self.before[before.unwrap()];
                }
                parents.extend(before);
                let mut all: BTreeSet<usize> = parents.iter().flat_map(|parent| ancestors[*parent].clone()).collect();
                all.extend(parents);
                ancestors.push(all);
            }
            ancestors
        }

        /// What the registers show by the words of the rule.
        fn values(&self, ancestors: &[BTreeSet<usize>], of: &BTreeSet<usize>) -> Vec<DocumentValue> {
            let accepted: Vec<usize> = of.iter().copied().filter(|index| !self.edits[*index].waiting).collect();
            let value = |index: usize, register: (Field, &[u8])| {
                let mut set = self.edits[index].edit.registers.iter();
                set.find(|r| (r.field, r.key) == register).map(|r| r.value)
            };
            let mut values = BTreeSet::new();
            for register in REGISTERS {
                let writers: Vec<usize> =
                    accepted.iter().copied().filter(|index| value(*index, register).is_some()).collect();
                for writer in &writers {
                    if !writers.iter().any(|later| ancestors[*later].contains(writer)) {
                        let (field, key) = (register.0, register.1.to_vec());
                        let value = value(*writer, register).unwrap().to_vec();
                        values.insert(DocumentValue { field, key, value });
                    }
                }
            }
            values.into_iter().collect()
        }

        fn heads(&self, ancestors: &[BTreeSet<usize>]) -> BTreeSet<usize> {
            let accepted: Vec<usize> = self.kept.iter().copied().filter(|i| !self.edits[*i].waiting).collect();
            let older = |index: &usize| accepted.iter().any(|later| ancestors[*later].contains(index));
            accepted.iter().copied().filter(|index| !older(index)).collect()
        }

        fn given(&self, order: &[usize]) -> Vec<EditAt<'static>> {
            order.iter().map(|index| self.edits[*index].clone()).collect()
        }
    }

    fn shown(folded: &Folded<'_>) -> Vec<DocumentValue> {
        let value = |s: &crate::record::Shown<'_>| DocumentValue {
            field: s.field,
            key: s.key.to_vec(),
            value: s.value.to_vec(),
        };
        folded.shown.iter().map(value).collect()
    }

    /// What a history has in it, counted so that the generator cannot grow poor unnoticed.
    #[derive(Default, Debug)]
    struct Counts {
        edits: usize,
        with_conflict: usize,
        with_null: usize,
        with_waiting: usize,
        with_missing: usize,
        with_branches: usize,
        with_imports: usize,
        looked_back: usize,
    }

    impl Counts {
        fn count(&mut self, history: &History, edits: &[EditAt<'_>], folded: &Folded<'_>) {
            let register = |s: &crate::record::Shown<'_>| (s.field, s.key.to_vec());
            let conflict = folded.shown.windows(2).any(|two| register(&two[0]) == register(&two[1]));
            self.edits += edits.len();
            self.with_conflict += usize::from(conflict);
            self.with_null += usize::from(folded.shown.iter().any(|s| s.value == NULL));
            self.with_waiting += usize::from(edits.iter().any(|e| e.waiting));
            self.with_missing += usize::from(!folded.missing.is_empty() && edits.len() < history.edits.len());
            self.with_branches += usize::from(edits.iter().any(|e| e.stand.branch > 0));
            self.with_imports += usize::from(edits.iter().any(|e| e.edit.import.is_some()));
        }
    }

    /// The laws of one random history.
    fn check(seed: u64, counts: &mut Counts) {
        let again = format!("repeat with: check({seed}, &mut Counts::default())");
        let dice = &mut Dice(seed);
        let history = History::random(dice);
        let ancestors = history.ancestors();
        let expected = history.values(&ancestors, &history.kept.iter().copied().collect());
        let (edits, forks) = (history.given(&history.kept), &history.forks);

        let folded = fold(&edits, forks);
        assert_eq!(shown(&folded), expected, "fold; {again}");
        let heads: BTreeSet<usize> = folded.heads.iter().map(|index| history.kept[*index]).collect();
        assert_eq!(heads, history.heads(&ancestors), "heads of the fold; {again}");
        counts.count(&history, &edits, &folded);

        let built = document(&edits, forks).unwrap_or_else(|error| panic!("{error}; {again}"));
        assert_eq!(document_values(&built).unwrap(), expected, "document; {again}");
        assert_eq!(built.get_heads().len(), folded.heads.len(), "heads of the document; {again}");
        let saved = built.save();
        let loaded = Automerge::load(&saved).unwrap_or_else(|error| panic!("{error}; {again}"));
        assert_eq!(document_values(&loaded).unwrap(), expected, "loaded; {again}");

        let other_order = history.given(&dice.shuffled(history.kept.clone()));
        let other = document(&other_order, forks).unwrap();
        assert_eq!(other.get_heads(), built.get_heads(), "heads in another order; {again}");
        assert!(other.save() == saved, "bytes in another order; {again}");

        for _ in 0..edits.len().min(3) {
            let at = dice.below(edits.len());
            let mut closure = ancestors[history.kept[at]].clone();
            closure.insert(history.kept[at]);
            let then = document_at(&edits, forks, at).unwrap_or_else(|error| panic!("{error}; {again}"));
            assert_eq!(then, history.values(&ancestors, &closure), "document at {at}; {again}");
            let closure = history.given(&dice.shuffled(closure));
            assert_eq!(then, shown(&fold(&closure, forks)), "fold of the ancestors of {at}; {again}");
            counts.looked_back += usize::from(then != expected);
        }
    }

    #[test]
    fn document_fold_and_model_agree_on_random_histories() {
        let mut counts = Counts::default();
        (0..4_000).for_each(|seed| check(seed, &mut counts));
        let least = [
            (counts.edits, 40_000),
            (counts.with_conflict, 2_500),
            (counts.with_null, 2_500),
            (counts.with_waiting, 2_000),
            (counts.with_missing, 1_000),
            (counts.with_branches, 700),
            (counts.with_imports, 1_500),
            (counts.looked_back, 5_000),
        ];
        assert!(least.iter().all(|(count, least)| count >= least), "{counts:?}");
    }

    fn edit(log: u8, seq: u64, parents: &[(u8, u64)], value: &'static [u8]) -> EditAt<'static> {
        let reference = |log, seq| EntryRef { log: LogId::new([log; 32]), seq, prefix: [log; 16] };
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

    fn values(values: Result<Vec<DocumentValue>, DocumentError>) -> Vec<Vec<u8>> {
        values.unwrap().into_iter().map(|value| value.value).collect()
    }

    fn built(edits: &[EditAt<'_>]) -> Automerge {
        document(edits, &Forks::default()).unwrap()
    }

    #[test]
    fn a_change_overwrites_the_visible_writers_and_no_others() {
        let edits = [
            edit(1, 1, &[], &[1]),
            edit(2, 1, &[(1, 1)], &[2]),
            edit(3, 1, &[(1, 1)], &[3]),
            edit(4, 1, &[], &[4]),
            edit(5, 1, &[(1, 1), (2, 1), (3, 1)], NULL),
        ];
        let document = built(&edits);
        let change = document.get_changes(&[]).pop().unwrap().decode();
        let of = |log, op| OpId::new(op, &actor(&edit(log, 1, &[], &[]).reference));
        let pred: Vec<OpId> = change.operations[0].pred.iter().cloned().collect();
        let mut visible = [of(2, 2), of(3, 2)];
        visible.sort();
        assert_eq!((pred.as_slice(), change.start_op.get()), (&visible[..], 3));
        assert_eq!(change.operations[0].action, OpType::Put(ScalarValue::Null));
        assert_eq!(values(document_values(&document)), [vec![4], NULL.to_vec()]);
    }

    #[test]
    fn a_change_says_nothing_of_when_and_by_whom() {
        let document = built(&[edit(1, 1, &[], &[1]), edit(2, 7, &[(1, 1)], &[2])]);
        let changes = document.get_changes(&[]);
        let [first, second] = changes.as_slice() else { panic!("two changes") };
        assert_eq!((second.seq(), second.start_op().get(), second.timestamp(), second.message()), (1, 2, 0, None));
        assert_eq!(second.deps(), [first.hash()]);
        let parts: [&[u8]; 3] = [&[2; 32], &[7, 0, 0, 0, 0, 0, 0, 0], &[2; 16]];
        assert_eq!(second.actor_id().to_bytes(), &crate::crypto::derive(Label::Actor, &parts)[..16]);
        assert_eq!(document.keys(ROOT).collect::<Vec<_>>(), ["2:"]);
    }

    #[test]
    fn a_waiting_edit_makes_no_change_and_its_parents_take_its_place() {
        let mut middle = edit(2, 1, &[(1, 1), (4, 1)], &[2]);
        middle.waiting = true;
        let edits = [edit(1, 1, &[], &[1]), edit(4, 1, &[(1, 1)], &[4]), middle, edit(3, 1, &[(2, 1)], &[3])];
        let document = built(&edits);
        let changes = document.get_changes(&[]);
        assert_eq!(changes.len(), 3);
        assert_eq!(changes[2].deps(), [changes[1].hash()]);
        let at = |index| values(document_at(&edits, &Forks::default(), index));
        assert_eq!([at(0), at(1), at(2), at(3)], [[[1]], [[4]], [[4]], [[3]]]);
    }

    #[test]
    fn the_author_of_an_early_edit_saw_what_was_early() {
        let edits = [edit(1, 1, &[], &[1]), edit(2, 1, &[], &[2]), edit(1, 2, &[(2, 1)], NULL), edit(1, 3, &[], &[3])];
        let at = |index| values(document_at(&edits, &Forks::default(), index));
        assert_eq!([at(0), at(1), at(2), at(3)], [[vec![1]], [vec![2]], [NULL.to_vec()], [vec![3]]]);
        assert_eq!(values(document_values(&built(&edits[..2]))), [[1], [2]]);
    }

    #[test]
    fn nothing_is_seen_at_a_waiting_edit_without_ancestors() {
        let mut first = edit(1, 1, &[], &[1]);
        first.waiting = true;
        let edits = [first, edit(2, 1, &[], &[2])];
        assert_eq!(document_at(&edits, &Forks::default(), 0).unwrap(), []);
        assert_eq!(document_at(&edits[..1], &Forks::default(), 0).unwrap(), []);
        assert_eq!(document_values(&built(&[])).unwrap(), []);
    }

    #[test]
    fn a_long_history_is_for_export_only() {
        let most = u64::try_from(DOCUMENT_EDITS_MAX).unwrap();
        let mut edits: Vec<EditAt<'_>> = (1..=most).map(|seq| edit(1, seq, &[], &[1])).collect();
        assert_eq!(values(document_at(&edits, &Forks::default(), 0)), [[1]]);
        edits.push(edit(2, 1, &[(1, most)], &[2]));
        assert!(matches!(document_at(&edits, &Forks::default(), 0), Err(DocumentError::TooLong)));
        assert_eq!(values(document_values(&built(&edits))), [[2]]);
    }

    #[test]
    fn a_cycle_and_what_stands_on_it_are_left_out() {
        let edits = [
            edit(1, 1, &[(2, 1)], &[1]),
            edit(2, 1, &[(3, 1)], &[2]),
            edit(3, 1, &[(1, 1)], &[3]),
            edit(4, 1, &[(1, 1)], &[4]),
            edit(5, 1, &[], &[5]),
        ];
        let document = built(&edits);
        assert_eq!(shown(&fold(&edits, &Forks::default())), document_values(&document).unwrap());
        assert_eq!(values(document_values(&document)), [[5]]);
        for at in [0, 1, 2, 3, 5, usize::MAX] {
            assert!(matches!(document_at(&edits, &Forks::default(), at), Err(DocumentError::NoPlace)));
        }
    }

    #[test]
    fn an_edit_is_no_parent_of_itself() {
        let edits = [edit(1, 1, &[(1, 1)], &[1])];
        assert_eq!(values(document_at(&edits, &Forks::default(), 0)), [[1]]);
    }

    #[test]
    fn what_automerge_refuses_or_panics_on_is_an_error_of_this_record() {
        let twice = [edit(1, 1, &[], &[1]), edit(1, 1, &[], &[2])];
        assert!(matches!(document(&twice, &Forks::default()), Err(DocumentError::Refused(_))));
        assert!(matches!(caught::<()>(|| panic!("for the test")), Err(DocumentError::Panicked)));
    }

    #[test]
    fn a_document_of_something_else_is_foreign() {
        use automerge::transaction::Transactable;
        for (key, value) in [
            ("2:", ScalarValue::Int(1)),
            ("2", ScalarValue::Null),
            ("99:", ScalarValue::Null),
            ("+2:", ScalarValue::Null),
            ("16:6", ScalarValue::Null),
            ("16:6A", ScalarValue::Null),
        ] {
            let mut document = Automerge::new();
            document.transact(|to| to.put(ROOT, key, value)).unwrap();
            assert!(matches!(document_values(&document), Err(DocumentError::Foreign)), "{key}");
        }
    }
}

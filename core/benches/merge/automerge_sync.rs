//! The same history in plain Automerge: changes as its own API would have made them, and its sync protocol.
//!
//! A register is a key of the record's map with the bytes of its value. A fact is a map of its fields in the map
//! `facts` of the record, as an application would hold it; beside that, as the least that Automerge can be given
//! to do, one key with the bytes of the whole operation, which nobody could query. Every author is one actor. A
//! change depends on what its author had seen, and overwrites the values that it saw.

use super::measure::{Took, into, took};
use automerge::legacy::{Key, ObjectId, Op, OpId, OpType};
use automerge::sync::{Message, State, SyncDoc};
use automerge::{ActorId, Automerge, Change, ChangeHash, ExpandedChange, ObjType, ScalarValue};
use daybook_tests::workload::{self, AUTHORS, Plain, Said};
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// How a history is divided into documents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// One document for each patient.
    PerPatient,
    /// One document for all.
    One,
    /// One document for each patient, a fact being one value of bytes.
    PerPatientBytes,
    /// One document for all, a fact being one value of bytes.
    OneBytes,
}

impl Form {
    pub const fn name(self) -> &'static str {
        match self {
            Self::PerPatient => "automerge, one a patient",
            Self::One => "automerge, one for all",
            Self::PerPatientBytes => "one a patient, facts opaque",
            Self::OneBytes => "one for all, facts opaque",
        }
    }

    /// Whether facts are maps of their fields.
    pub const fn fields(self) -> bool {
        matches!(self, Self::PerPatient | Self::One)
    }

    const fn of_one(self) -> bool {
        matches!(self, Self::One | Self::OneBytes)
    }
}

/// The documents of the peer that has everything.
pub struct Senders {
    documents: Vec<Automerge>,
    /// What applying all changes took, one batch a document.
    pub applied: Duration,
}

impl Senders {
    pub fn build(form: Form, history: &[workload::Change]) -> Self {
        let mut applied = Duration::ZERO;
        let documents = made(form, history).into_iter().map(|maker| {
            let mut document = Automerge::new();
            into(&mut applied, || document.apply_changes(maker.changes)).expect("own changes apply");
            document
        });
        Self { documents: documents.collect(), applied }
    }
}

/// What applying a history takes, in µs a change: all changes of a document at once, and one by one.
pub fn applying(form: Form, history: &[workload::Change]) -> (f64, f64) {
    let makers = || made(form, history).into_iter();
    let each = |time: Duration| time.as_secs_f64() * 1e6 / history.len() as f64;
    let (mut batched, mut alone) = (Duration::ZERO, Duration::ZERO);
    for maker in makers() {
        let mut document = Automerge::new();
        into(&mut batched, || document.apply_changes(maker.changes)).expect("own changes apply");
    }
    for maker in makers() {
        let mut document = Automerge::new();
        into(&mut alone, || maker.changes.into_iter().try_for_each(|change| document.apply_changes([change])))
            .expect("own changes apply");
    }
    (each(batched), each(alone))
}

/// The changes of all documents.
fn made(form: Form, history: &[workload::Change]) -> Vec<Maker> {
    let count = history.iter().map(|change| change.patient + 1).max().unwrap_or(0);
    let (many, fields) = (form.of_one(), form.fields());
    let makers = (0..if many { 1 } else { count }).map(|_| Maker { many, fields, ..Maker::default() });
    let mut makers: Vec<Maker> = makers.collect();
    for change in history {
        let at = if many { 0 } else { change.patient };
        makers[at].add(change);
    }
    makers
}

/// One writer of a key.
struct Writer {
    author: usize,
    round: usize,
    op: OpId,
    overwrote: Vec<OpId>,
}

/// The objects of one record.
#[derive(Clone)]
struct Record {
    registers: ObjectId,
    facts: ObjectId,
}

/// Changes of one document in the making.
#[derive(Default)]
struct Maker {
    /// Whether the document holds more than one record.
    many: bool,
    /// Whether facts are maps of their fields.
    fields: bool,
    changes: Vec<Change>,
    records: BTreeMap<usize, Record>,
    writers: BTreeMap<(usize, String), Vec<Writer>>,
    seq: [u64; AUTHORS],
    /// Heads and highest operation when the round began.
    heads: Vec<ChangeHash>,
    highest: u64,
    /// The newest change of each author in this round, with the highest operation that it knows.
    own: [Option<(ChangeHash, u64)>; AUTHORS],
    round: usize,
}

impl Maker {
    fn add(&mut self, change: &workload::Change) {
        if change.round != self.round {
            self.meet(change.round);
        }
        let author = change.author;
        let actor = ActorId::from([[u8::try_from(author).expect("an author"); 16]].concat());
        let (deps, highest) = match self.own[author] {
            Some((hash, highest)) => (vec![hash], highest),
            None => (self.heads.clone(), self.highest),
        };
        let mut ops = Operations { list: Vec::new(), actor: actor.clone(), next: highest + 1 };
        let record = self.record(change.patient, &mut ops);
        match &change.said {
            Said::Registers(registers) => {
                for (key, value) in registers {
                    self.set(change, &record, key, value, &mut ops);
                }
            }
            Said::Fact { fields, operation } => {
                let key = format!("{author}-{}", self.seq[author]);
                if self.fields {
                    let fact = ops.push(&record.facts, key, OpType::Make(ObjType::Map), Vec::new());
                    let fact = ObjectId::Id(fact);
                    for (name, value) in fields {
                        let value = match value {
                            Plain::Text(text) => ScalarValue::Str(text.as_str().into()),
                            Plain::Number(number) => ScalarValue::Int(*number),
                        };
                        ops.push(&fact, (*name).to_owned(), OpType::Put(value), Vec::new());
                    }
                } else {
                    let value = ScalarValue::Bytes(operation.clone());
                    ops.push(&record.facts, key, OpType::Put(value), Vec::new());
                }
            }
        }
        self.seq[author] += 1;
        let highest = ops.next - 1;
        let made = Change::from(ExpandedChange {
            operations: ops.list,
            actor_id: actor,
            hash: None,
            seq: self.seq[author],
            start_op: NonZeroU64::MIN.saturating_add(match self.own[author] {
                Some((_, known)) => known,
                None => self.highest,
            }),
            time: 0,
            message: None,
            deps,
            extra_bytes: Vec::new(),
            author: None,
        });
        self.own[author] = Some((made.hash(), highest));
        self.changes.push(made);
    }

    /// Everybody learns everything.
    fn meet(&mut self, round: usize) {
        self.round = round;
        let newest: Vec<(ChangeHash, u64)> = self.own.iter_mut().filter_map(Option::take).collect();
        if !newest.is_empty() {
            self.highest = newest.iter().map(|(_, highest)| *highest).max().unwrap_or(self.highest);
            self.heads = newest.into_iter().map(|(hash, _)| hash).collect();
            self.heads.sort_unstable();
        }
    }

    /// The objects of a record; its first change makes them.
    fn record(&mut self, patient: usize, ops: &mut Operations) -> Record {
        if let Some(record) = self.records.get(&patient) {
            return record.clone();
        }
        let registers = if self.many {
            ObjectId::Id(ops.push(&ObjectId::Root, format!("p{patient}"), OpType::Make(ObjType::Map), Vec::new()))
        } else {
            ObjectId::Root
        };
        let facts = ops.push(&registers, "facts".to_owned(), OpType::Make(ObjType::Map), Vec::new());
        let record = Record { registers, facts: ObjectId::Id(facts) };
        self.records.insert(patient, record.clone());
        record
    }

    fn set(&mut self, change: &workload::Change, record: &Record, key: &str, value: &[u8], ops: &mut Operations) {
        let writers = self.writers.entry((change.patient, key.to_owned())).or_default();
        let seen = |w: &&Writer| w.round < change.round || w.author == change.author;
        let gone = |op: &OpId| writers.iter().filter(seen).any(|w| w.overwrote.contains(op));
        let overwrites: Vec<OpId> =
            writers.iter().filter(seen).map(|w| &w.op).filter(|op| !gone(op)).cloned().collect();
        let value =
            if value == daybook_core::record::NULL { ScalarValue::Null } else { ScalarValue::Bytes(value.to_vec()) };
        let op = ops.push(&record.registers, key.to_owned(), OpType::Put(value), overwrites.clone());
        writers.push(Writer { author: change.author, round: change.round, op, overwrote: overwrites });
    }
}

/// Operations of one change.
struct Operations {
    list: Vec<Op>,
    actor: ActorId,
    next: u64,
}

impl Operations {
    fn push(&mut self, obj: &ObjectId, key: String, action: OpType, pred: Vec<OpId>) -> OpId {
        let op = Op { action, obj: obj.clone(), key: Key::from(key), pred: pred.into(), insert: false };
        self.list.push(op);
        self.next += 1;
        OpId::new(self.next - 1, &self.actor)
    }
}

/// What a sync took.
#[derive(Clone, Copy, Debug)]
pub struct Synced {
    /// Both sides.
    pub took: Took,
    /// The receiver's part of the wall time: reading and receiving messages, making its own.
    pub receiver: Duration,
    /// Bytes of all messages.
    pub wire_bytes: u64,
}

/// Brings everything to a peer that has nothing, document by document; in memory.
pub fn sync(senders: &mut Senders, changes: usize) -> Synced {
    let (mut receiver, mut wire_bytes) = (Duration::ZERO, 0);
    let (documents, took) = took(|| {
        let mut documents = Vec::with_capacity(senders.documents.len());
        for sender in &mut senders.documents {
            documents.push(sync_one(sender, &mut receiver, &mut wire_bytes));
        }
        documents
    });
    let count: usize = documents.iter().map(|document| document.get_changes(&[]).len()).sum();
    assert_eq!(count, changes, "changes that arrived");
    Synced { took, receiver, wire_bytes }
}

fn sync_one(sender: &mut Automerge, receiver: &mut Duration, wire_bytes: &mut u64) -> Automerge {
    let mut document = Automerge::new();
    let (mut here, mut there) = (State::new(), State::new());
    loop {
        let start = Instant::now();
        let asked = document.generate_sync_message(&mut here).map(Message::encode);
        *receiver += start.elapsed();
        let mut quiet = asked.is_none();
        if let Some(bytes) = asked {
            *wire_bytes += bytes.len() as u64;
            let message = Message::decode(&bytes).expect("a message");
            sender.receive_sync_message(&mut there, message).expect("received");
        }
        if let Some(bytes) = sender.generate_sync_message(&mut there).map(Message::encode) {
            quiet = false;
            *wire_bytes += bytes.len() as u64;
            let start = Instant::now();
            let message = Message::decode(&bytes).expect("a message");
            document.receive_sync_message(&mut here, message).expect("received");
            *receiver += start.elapsed();
        }
        if quiet {
            return document;
        }
    }
}

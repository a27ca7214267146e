//! Frames as bytes: what one message says.
//!
//! ```text
//! text of a Noise message = kind 1 | payload      kind + 128: the next message goes on with the same frame
//! ```

use super::limits::{
    APART_MAX, BEGUN_PER_FRAME_MAX, CONCERNING_MAX, KEYS_PER_FRAME_MAX, LEAF_LOGS_MAX, NODES_PER_ASK_MAX,
};
use super::reason::SessionRule;
use super::shelf::Want;
use super::trie::{Fingerprint, Node, Record, Short};
use crate::crypto::{ParcelGroup, Signature};
use crate::entry::{Bytes, CarryError};
use crate::id::{CompartmentId, EntryId, Incarnation, KeyId, LogId};
use crate::limits::{BRANCHES_PER_LOG_MAX, PARCEL_BYTES, SEQ_MAX};

/// Kinds of frames by number.
pub mod kind {
    pub const PING: u8 = 0;
    pub const PATH: u8 = 1;
    pub const ROOTS: u8 = 2;
    pub const ASK: u8 = 3;
    pub const CHILDREN: u8 = 4;
    pub const LEAF: u8 = 5;
    pub const HEADS: u8 = 6;
    pub const TOTALS: u8 = 7;
    pub const RUN: u8 = 8;
    pub const DONE: u8 = 9;
    pub const ACK: u8 = 10;
    pub const DECLINE: u8 = 11;
    pub const WANT: u8 = 12;
    pub const RECEIPT: u8 = 13;
    pub const BYE: u8 = 14;
    pub const KEYS: u8 = 15;
    pub const PARCELS: u8 = 16;
    pub const HELD: u8 = 17;
    pub const BEGUN: u8 = 18;
    pub const APART: u8 = 19;
    pub const FLOOD: u8 = 20;
    pub const FORMER: u8 = 21;
    /// Bit of a frame that goes on.
    pub const MORE: u8 = 128;
}

/// A group of one parcel: key id, ephemeral key, parcel.
const GROUP_BYTES: usize = 64 + PARCEL_BYTES;
/// Most rungs of a ladder: doubling steps over 2^32 places, and the first place.
const RUNGS_MAX: usize = 34;

/// One head of a log as it travels, with the rungs behind it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// Its place.
    pub seq: u64,
    /// Its id.
    pub id: EntryId,
    /// Places before it with the first 16 bytes of their ids, newest first.
    pub rungs: Vec<(u64, [u8; 16])>,
}

/// All heads of one log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heads {
    /// The log, as this session names it.
    pub log: Fingerprint,
    /// Its heads; none if the log is not held.
    pub heads: Vec<Head>,
}

/// The end of the beginning of a run that is kept, though its signed head has not come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Begun {
    /// The log, as this session names it.
    pub log: Fingerprint,
    /// Its last place.
    pub seq: u64,
    /// The id of the entry there.
    pub id: EntryId,
}

/// What a device says that it holds.
#[derive(Clone, Copy, Debug)]
pub struct Receipt {
    /// Hash of all heads that it holds.
    pub frontier: [u8; 32],
    /// The installation of the device that holds them.
    pub incarnation: Incarnation,
    /// Its signature.
    pub signature: Signature,
}

impl Receipt {
    fn read(from: &mut Bytes<'_>) -> Result<Self, SessionRule> {
        let (frontier, incarnation) = (from.array()?, Incarnation::new(from.array()?));
        Ok(Self { frontier, incarnation, signature: Signature(from.array()?) })
    }

    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.frontier);
        to.extend_from_slice(self.incarnation.as_bytes());
        to.extend_from_slice(&self.signature.0);
    }
}

/// What a frame says.
#[derive(Clone, Debug)]
pub enum Frame<'a> {
    /// Nothing.
    Ping,
    /// The grant path.
    Path(&'a [u8]),
    /// The roots of control and of the rest, and the hash of what both held when they last agreed, if that was
    /// noted.
    Roots([u8; 16], [u8; 16], Option<Short>),
    /// Nodes of which more is to be told.
    Ask(Vec<Node>),
    /// The sixteen children of a node.
    Children(Node, [Short; 16]),
    /// All records of a node.
    Leaf(Node, Vec<Record>),
    /// Heads of logs that differ; the last frame of them says so.
    Heads(bool, Vec<Heads>),
    /// What will be sent: entries, and in how many logs.
    Totals(u64, u32),
    /// A run.
    Run(&'a [u8]),
    /// No more runs in this round.
    Done,
    /// So many runs of this session are durable or were declined.
    Ack(u64),
    /// A log that is not taken in, with the rule code.
    Decline(LogId, [u8; 5]),
    /// Bodies that are wanted.
    Want(Want),
    /// A receipt, by which a side says that it is about to close.
    Receipt(Receipt),
    /// A receipt while the session goes on.
    Held(Receipt),
    /// Keys that this side may have and does not hold.
    Keys(Vec<KeyId>),
    /// Parcels of keys that the other side asked for.
    Parcels(Vec<ParcelGroup>),
    /// Beginnings of runs that are kept here: what comes behind them is enough.
    Begun(Vec<Begun>),
    /// Compartments that this side leaves out: all of them, whatever was said before.
    Apart(Vec<CompartmentId>),
    /// The proof of a flood.
    Flood(&'a [u8]),
    /// The other side is a former member here: the control logs that hold what concerns it, all of them, each with the
    /// last place that does.
    Former(Vec<(LogId, u64)>),
    /// The end, with a rule code or none.
    Bye(Option<[u8; 5]>),
}

impl From<CarryError> for SessionRule {
    fn from(_: CarryError) -> Self {
        Self::Frame
    }
}

fn seq(from: &mut Bytes<'_>) -> Result<u64, SessionRule> {
    let seq = u64::from(u32::from_le_bytes(from.array()?));
    if seq == 0 { Err(SessionRule::Frame) } else { Ok(seq) }
}

fn put_seq(seq: u64, to: &mut Vec<u8>) {
    to.extend_from_slice(&u32::try_from(seq).unwrap_or(u32::MAX).to_le_bytes());
}

/// Reads items until nothing is left, at most `most` of them.
fn list<'a, T>(
    from: &mut Bytes<'a>,
    most: usize,
    read: impl Fn(&mut Bytes<'a>) -> Result<T, SessionRule>,
) -> Result<Vec<T>, SessionRule> {
    let mut items = Vec::new();
    while !from.rest().is_empty() {
        if items.len() == most {
            return Err(SessionRule::Frame);
        }
        items.push(read(from)?);
    }
    Ok(items)
}

fn code(bytes: [u8; 5]) -> Result<[u8; 5], SessionRule> {
    let [letter, dash, digits @ ..] = bytes;
    let fits = letter.is_ascii_uppercase() && dash == b'-' && digits.iter().all(u8::is_ascii_digit);
    if fits { Ok(bytes) } else { Err(SessionRule::Frame) }
}

impl Node {
    fn read(from: &mut Bytes<'_>) -> Result<Self, SessionRule> {
        let [depth] = from.array()?;
        Self::new(depth, from.array()?).ok_or(SessionRule::Frame)
    }

    fn write(&self, to: &mut Vec<u8>) {
        to.push(self.depth());
        to.extend_from_slice(self.prefix());
    }
}

impl Begun {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.log);
        put_seq(self.seq, to);
        to.extend_from_slice(self.id.as_bytes());
    }
}

impl Record {
    fn read(from: &mut Bytes<'_>) -> Result<Self, SessionRule> {
        Ok(Self { log: from.array()?, seq: seq(from)?, heads: from.array()? })
    }

    /// Appends the 20 bytes of the record.
    pub fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.log);
        put_seq(self.seq, to);
        to.extend_from_slice(&self.heads);
    }
}

impl Heads {
    fn read(from: &mut Bytes<'_>) -> Result<Self, SessionRule> {
        let log = from.array()?;
        let [count] = from.array()?;
        if usize::from(count) > BRANCHES_PER_LOG_MAX {
            return Err(SessionRule::Frame);
        }
        let mut heads = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let (place, id) = (seq(from)?, EntryId::new(from.array()?));
            let [count] = from.array()?;
            if usize::from(count) > RUNGS_MAX {
                return Err(SessionRule::Frame);
            }
            let mut rungs: Vec<(u64, [u8; 16])> = Vec::with_capacity(usize::from(count));
            for _ in 0..count {
                let rung = (seq(from)?, from.array()?);
                if rung.0 >= rungs.last().map_or(place, |(before, _)| *before) {
                    return Err(SessionRule::Frame);
                }
                rungs.push(rung);
            }
            heads.push(Head { seq: place, id, rungs });
        }
        Ok(Self { log, heads })
    }

    /// Appends its bytes.
    pub fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.log);
        to.push(u8::try_from(self.heads.len()).unwrap_or(u8::MAX));
        for head in &self.heads {
            put_seq(head.seq, to);
            to.extend_from_slice(head.id.as_bytes());
            to.push(u8::try_from(head.rungs.len()).unwrap_or(u8::MAX));
            for (seq, id) in &head.rungs {
                put_seq(*seq, to);
                to.extend_from_slice(id);
            }
        }
    }
}

/// The places of the rungs behind a head: in doubling steps, and the first place.
pub fn rung_places(head: u64) -> Vec<u64> {
    let mut places: Vec<u64> = (0..33).map_while(|power| head.checked_sub(1 << power)).filter(|at| *at > 1).collect();
    if head > 1 {
        places.push(1);
    }
    places
}

impl<'a> Frame<'a> {
    /// Reads a frame from its kind and exactly its payload.
    ///
    /// # Errors
    /// [`SessionRule::Frame`] if the layout is another, [`SessionRule::Claim`] if a number is beyond all books.
    pub fn read(frame: u8, payload: &'a [u8]) -> Result<Self, SessionRule> {
        let mut from = Bytes::new(payload);
        let read = match frame {
            kind::PING => Self::Ping,
            kind::PATH => return Ok(Self::Path(payload)),
            kind::ROOTS => {
                let (control, rest) = (from.array()?, from.array()?);
                let since = if from.rest().is_empty() { None } else { Some(from.array()?) };
                Self::Roots(control, rest, since)
            }
            kind::ASK => Self::Ask(list(&mut from, NODES_PER_ASK_MAX, Node::read)?),
            kind::CHILDREN => {
                let node = Node::read(&mut from)?;
                let mut children = [[0; 8]; 16];
                for child in &mut children {
                    *child = from.array()?;
                }
                Self::Children(node, children)
            }
            kind::LEAF => {
                let node = Node::read(&mut from)?;
                let mut records: Vec<Record> = Vec::new();
                while !from.rest().is_empty() {
                    let record = Record::read(&mut from)?;
                    let rises = records.last().is_none_or(|last| last.log < record.log);
                    if records.len() == LEAF_LOGS_MAX || !rises || !node.holds(record.log) {
                        return Err(SessionRule::Frame);
                    }
                    records.push(record);
                }
                Self::Leaf(node, records)
            }
            kind::HEADS => {
                let [last] = from.array()?;
                let heads = list(&mut from, usize::MAX, Heads::read)?;
                if last > 1 {
                    return Err(SessionRule::Frame);
                }
                Self::Heads(last == 1, heads)
            }
            kind::TOTALS => {
                let (entries, logs) = (u64::from_le_bytes(from.array()?), u32::from_le_bytes(from.array()?));
                let most = u64::from(logs).saturating_mul(SEQ_MAX).saturating_mul(BRANCHES_PER_LOG_MAX as u64);
                if entries > most.min(1 << 53) || logs > 1 << 24 {
                    return Err(SessionRule::Claim);
                }
                Self::Totals(entries, logs)
            }
            kind::RUN => return Ok(Self::Run(payload)),
            kind::FLOOD => return Ok(Self::Flood(payload)),
            kind::DONE => Self::Done,
            kind::ACK => Self::Ack(u64::from_le_bytes(from.array()?)),
            kind::DECLINE => Self::Decline(LogId::new(from.array()?), code(from.array()?)?),
            kind::WANT => {
                let want = Want { log: LogId::new(from.array()?), from: seq(&mut from)?, to: seq(&mut from)? };
                if want.to < want.from {
                    return Err(SessionRule::Frame);
                }
                Self::Want(want)
            }
            kind::RECEIPT => Self::Receipt(Receipt::read(&mut from)?),
            kind::HELD => Self::Held(Receipt::read(&mut from)?),
            kind::KEYS | kind::PARCELS if payload.is_empty() => return Err(SessionRule::Frame),
            kind::KEYS => Self::Keys(list(&mut from, KEYS_PER_FRAME_MAX, |from| Ok(KeyId::new(from.array()?)))?),
            kind::PARCELS => Self::Parcels(list(&mut from, KEYS_PER_FRAME_MAX, |from| {
                ParcelGroup::decode(from.take(GROUP_BYTES)?, 1).map_err(|_| SessionRule::Frame)
            })?),
            kind::BEGUN => Self::Begun(list(&mut from, BEGUN_PER_FRAME_MAX, |from| {
                Ok(Begun { log: from.array()?, seq: seq(from)?, id: EntryId::new(from.array()?) })
            })?),
            kind::APART => Self::Apart(list(&mut from, APART_MAX, |from| Ok(CompartmentId::new(from.array()?)))?),
            kind::FORMER => Self::Former(list(&mut from, CONCERNING_MAX, |from| {
                let log = LogId::new(from.array()?);
                Ok((log, seq(from)?))
            })?),
            kind::BYE if payload.is_empty() => Self::Bye(None),
            kind::BYE => Self::Bye(Some(code(from.array()?)?)),
            _ => return Err(SessionRule::Frame),
        };
        if from.rest().is_empty() { Ok(read) } else { Err(SessionRule::Frame) }
    }

    /// Kind and payload.
    #[must_use]
    pub fn write(&self) -> (u8, Vec<u8>) {
        let mut to = Vec::new();
        let number = match self {
            Self::Ping => kind::PING,
            Self::Path(path) => {
                to.extend_from_slice(path);
                kind::PATH
            }
            Self::Roots(control, rest, since) => {
                to.extend_from_slice(control);
                to.extend_from_slice(rest);
                to.extend_from_slice(since.as_ref().map_or(&[], |since| &since[..]));
                kind::ROOTS
            }
            Self::Ask(nodes) => {
                nodes.iter().for_each(|node| node.write(&mut to));
                kind::ASK
            }
            Self::Children(node, children) => {
                node.write(&mut to);
                to.extend_from_slice(children.as_flattened());
                kind::CHILDREN
            }
            Self::Leaf(node, records) => {
                node.write(&mut to);
                records.iter().for_each(|record| record.write(&mut to));
                kind::LEAF
            }
            Self::Heads(last, heads) => {
                to.push(u8::from(*last));
                heads.iter().for_each(|heads| heads.write(&mut to));
                kind::HEADS
            }
            Self::Totals(entries, logs) => {
                to.extend_from_slice(&entries.to_le_bytes());
                to.extend_from_slice(&logs.to_le_bytes());
                kind::TOTALS
            }
            Self::Run(run) => {
                to.extend_from_slice(run);
                kind::RUN
            }
            Self::Done => kind::DONE,
            Self::Ack(runs) => {
                to.extend_from_slice(&runs.to_le_bytes());
                kind::ACK
            }
            Self::Decline(log, code) => {
                to.extend_from_slice(log.as_bytes());
                to.extend_from_slice(code);
                kind::DECLINE
            }
            Self::Want(want) => {
                to.extend_from_slice(want.log.as_bytes());
                put_seq(want.from, &mut to);
                put_seq(want.to, &mut to);
                kind::WANT
            }
            Self::Receipt(receipt) => {
                receipt.write(&mut to);
                kind::RECEIPT
            }
            Self::Held(receipt) => {
                receipt.write(&mut to);
                kind::HELD
            }
            Self::Keys(keys) => {
                keys.iter().for_each(|key| to.extend_from_slice(key.as_bytes()));
                kind::KEYS
            }
            Self::Parcels(groups) => {
                groups.iter().for_each(|group| to.extend_from_slice(&group.encode()));
                kind::PARCELS
            }
            Self::Begun(begun) => {
                begun.iter().for_each(|begun| begun.write(&mut to));
                kind::BEGUN
            }
            Self::Apart(apart) => {
                apart.iter().for_each(|compartment| to.extend_from_slice(compartment.as_bytes()));
                kind::APART
            }
            Self::Flood(proof) => {
                to.extend_from_slice(proof);
                kind::FLOOD
            }
            Self::Former(logs) => {
                for (log, place) in logs {
                    to.extend_from_slice(log.as_bytes());
                    put_seq(*place, &mut to);
                }
                kind::FORMER
            }
            Self::Bye(code) => {
                to.extend_from_slice(code.as_ref().map_or(&[], |code| &code[..]));
                kind::BYE
            }
        };
        (number, to)
    }
}

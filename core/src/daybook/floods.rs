//! Floods: proofs that a log has nine branches or a device 65 incarnations. Part of the control set: what lies at or
//! past the lowest fork that any of them shows waits for review, on every device alike.
//!
//! ```text
//! value "flood <log id or device id, hexadecimal>" = kind 1 | lowest place 8 | hash 32 | device 32 | proof
//! value "floods of <device id, hexadecimal>" = hash 8 ...      what a peer is known to know
//! ```

use super::Daybook;
use super::error::Error;
use super::forks;
use super::state::{State, value};
use super::writing::Writer;
use crate::crypto::Signature;
use crate::id::{DeviceId, EntryId, IncidentId, LogId};
use crate::limits::INCARNATIONS_PER_DEVICE_MAX;
use crate::log::{HeadOf, Proof, Run, Shown, VerifiedRun, chain};
use crate::merge::{Intake, Logs};
use crate::roster::Chains;
use crate::store::{BranchOf, Declined, EntryKey, LogTips, Store, StoreError};
use crate::sync::FloodName;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

const FLOOD: &str = "flood ";
const TOLD: &str = "floods of ";
/// Bytes of a value before the proof.
const HEAD_BYTES: usize = 1 + 8 + 32 + 32;
/// Most proofs that are kept; and most of them about devices that nobody is known to have granted anything: what these
/// write waits in any case.
const FLOODS_MAX: usize = 4_096;
const FLOODS_OF_STRANGERS_MAX: usize = 64;
const OF_LOG: u8 = 1;
const OF_DEVICE: u8 = 2;

/// What is known of one flood, without its proof.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Flood {
    kind: u8,
    /// The lowest place that waits for review.
    lowest: u64,
    hash: [u8; 32],
    device: DeviceId,
}

/// All floods that are known, by log or device.
pub(super) type Floods = BTreeMap<[u8; 32], Flood>;

/// Reads what is kept, without the proofs.
pub(super) fn load(connection: &Connection) -> Result<Floods, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT key, substr(value, 1, 73) FROM book WHERE key BETWEEN ?1 AND ?2")?;
    let range = (FLOOD, format!("{FLOOD}g"));
    let rows = statement.query_map(range, |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    let mut floods = Floods::new();
    for row in rows {
        let (key, head) = row?;
        let of = key.strip_prefix(FLOOD).and_then(LogId::from_hex);
        if let (Some(of), Some(flood)) = (of, read(&head)) {
            floods.insert(*of.as_bytes(), flood);
        }
    }
    Ok(floods)
}

fn read(head: &[u8]) -> Option<Flood> {
    let ([kind], rest) = head.split_first_chunk()?;
    let (lowest, rest) = rest.split_first_chunk()?;
    let (hash, device) = rest.split_first_chunk()?;
    let device = DeviceId::from_slice(device)?;
    Some(Flood { kind: *kind, lowest: u64::from_le_bytes(*lowest), hash: *hash, device })
}

/// Lets the roster know of floods.
pub(super) fn tell(floods: &Floods, chains: &mut Chains) {
    for (of, flood) in floods {
        match flood.kind {
            OF_LOG => chains.flood(LogId::new(*of), flood.lowest),
            _ => chains.flood_of(DeviceId::new(*of)),
        }
    }
}

/// Keeps a proof if it is a flood and shows a lower fork than the one that is kept, or the same and has the smaller
/// hash. Says whether it was kept: then the roster is to be folded anew.
pub(super) fn keep(tx: &Connection, state: &mut State, proof: &Proof) -> Result<Kept, StoreError> {
    let (of, kind, lowest) = match proof.shown() {
        Shown::Forks { log, lowest, .. } => (*log.as_bytes(), OF_LOG, lowest),
        Shown::Incarnations => (*proof.device().as_bytes(), OF_DEVICE, 1),
    };
    let flood = Flood { kind, lowest, hash: *proof.hash(), device: proof.device() };
    let better = match state.floods.get(&of) {
        Some(kept) => flood < *kept,
        None => has_room(state, flood.device),
    };
    if !proof.is_flood() || !better {
        return Ok(Kept::Known);
    }
    let head = [&[kind][..], &lowest.to_le_bytes(), proof.hash(), flood.device.as_bytes()].concat();
    Store::set_value(tx, &key(&of), &[&head, proof.bytes()].concat())?;
    state.floods.insert(of, flood);
    if proof.device() == state.device_id && shows_own(tx, state, proof)? {
        Store::set_value(tx, value::BEGIN, &[1])?;
        state.begin = true;
    }
    Ok(Kept::New)
}

/// Whether one more flood of a device may be kept.
fn has_room(state: &State, device: DeviceId) -> bool {
    let roster = &state.ring.roster;
    let granted: BTreeSet<DeviceId> = roster.grants().values().map(|held| held.device).collect();
    let known = |of: DeviceId| granted.contains(&of) || roster.is_root(of) || roster.is_ended_root(of);
    let strangers = || state.floods.values().filter(|flood| !known(flood.device)).count();
    state.floods.len() < FLOODS_MAX && (known(device) || strangers() < FLOODS_OF_STRANGERS_MAX)
}

/// What became of a proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kept {
    /// It says more than was known.
    New,
    /// As much was known, or as many are kept as a book keeps.
    Known,
}

fn key(of: &[u8; 32]) -> String {
    format!("{FLOOD}{}", crate::id::hex(of))
}

/// Whether a proof is about a log of the current incarnation: copies of this book wrote, and it writes on under a
/// new name.
fn shows_own(tx: &Connection, state: &State, proof: &Proof) -> Result<bool, StoreError> {
    let Shown::Forks { log, .. } = proof.shown() else { return Ok(false) };
    Ok(Store::log_row(tx, &log)?.is_none_or(|row| row.name.incarnation == state.incarnation))
}

/// Makes and keeps the proof of what a run shows that was declined, if it shows a flood.
pub(super) fn meet(
    tx: &Connection,
    state: &mut State,
    run: &VerifiedRun<'_>,
    declined: &Declined,
) -> Result<Kept, Error> {
    let incident = state.ring.incident;
    let known = |of: &[u8; 32]| state.floods.get(of).map_or(u64::MAX, |flood| flood.lowest);
    let proof = match declined {
        Declined::Flood => prove_ninth(tx, &incident, run, known(run.log().as_bytes()))?,
        Declined::Incarnations if known(run.name().device.as_bytes()) < u64::MAX => None,
        Declined::Incarnations => prove_incarnations(tx, &incident, run)?,
        Declined::DoesNotJoin | Declined::TooManyLogs | Declined::Store(_) => None,
    };
    match proof {
        Some(proof) => Ok(keep(tx, state, &proof)?),
        None => Ok(Kept::Known),
    }
}

/// Proves what a run shows that would be the ninth branch of its log; none if it forks no log that is here, or none
/// below a place that a flood shows already.
fn prove_ninth(
    tx: &Connection,
    incident: &IncidentId,
    run: &VerifiedRun<'_>,
    below: u64,
) -> Result<Option<Proof>, Error> {
    let Some(log) = Store::log_row(tx, &run.log())? else { return Ok(None) };
    let mut new = run.entries().iter().enumerate();
    let mut first = None;
    for (at, entry) in new.by_ref() {
        if Store::branch_of(tx, log.number, entry.seq(), entry.id().as_bytes())?.is_none() {
            first = Some((at, entry));
            break;
        }
    }
    let Some((at, first)) = first.filter(|(_, first)| first.seq() < below) else { return Ok(None) };
    let signature = |place: usize| run.heads().iter().find(|(head, _)| *head == place).map(|(_, signature)| *signature);
    let headers: Vec<_> =
        run.entries().iter().enumerate().skip(at).map(|(place, entry)| (*entry.entry(), signature(place))).collect();
    let mut chains = forks::chains(tx, &log)?;
    chains.push(chain(run.name(), first.seq(), *first.backlink(), &headers));
    // The branch that it leaves may not be forked there yet.
    let branches = Store::branches(tx, log.number)?;
    for branch in &branches {
        let beside = EntryKey::new(log.number, first.seq(), branch.branch);
        if branch.fork_seq < first.seq() && branch.tip_seq >= first.seq() {
            let brother = forks::chain_of(tx, &log, &branches, beside)?;
            if follows(&brother, first.backlink()) {
                chains.push(brother);
            }
        }
    }
    Ok(Proof::of_chains(incident, &chains).ok())
}

/// Whether a chain begins after an entry.
fn follows(chain: &[u8], backlink: &EntryId) -> bool {
    Run::read(chain).is_ok_and(|run| run.backlink == *backlink)
}

/// Proves what a run shows that would be the 65th incarnation of its device.
fn prove_incarnations(tx: &Connection, incident: &IncidentId, run: &VerifiedRun<'_>) -> Result<Option<Proof>, Error> {
    let mut heads: BTreeMap<crate::id::Incarnation, HeadOf> = BTreeMap::new();
    for log in Store::logs(tx)?.iter().filter(|log| log.name.device == run.name().device) {
        let Some(branch) = Store::branches(tx, log.number)?.first().copied() else { continue };
        let key = EntryKey::new(log.number, branch.tip_seq, branch.branch);
        if let Some(signature) = Store::head(tx, key)? {
            let head = HeadOf { name: log.name, seq: branch.tip_seq, id: branch.tip_id, signature };
            heads.entry(log.name.incarnation).or_insert(head);
        }
    }
    if let (Some(last), Some((_, signature))) = (run.entries().last(), run.heads().last()) {
        let (seq, id, signature): (u64, EntryId, Signature) = (last.seq(), *last.id(), *signature);
        heads.entry(run.name().incarnation).or_insert(HeadOf { name: *run.name(), seq, id, signature });
    }
    let heads: Vec<HeadOf> = heads.into_values().collect();
    if heads.len() <= INCARNATIONS_PER_DEVICE_MAX {
        return Ok(None);
    }
    Ok(Proof::of_incarnations(incident, &heads).ok())
}

/// Makes room in a flooded log for a branch that may lead to an entry which was endorsed and is not here: drops the
/// newest branch that waits whole and on which no other begins.
pub(super) fn make_room(tx: &Connection, state: &mut State, run: &VerifiedRun<'_>) -> Result<Room, Error> {
    let Some(log) = Store::log_row(tx, &run.log())? else { return Ok(Room::None) };
    let Some(from) = state.chains.waits_from(&log.log, log.name.device) else { return Ok(Room::None) };
    let branches = Store::branches(tx, log.number)?;
    let (mut here, mut missing) = (Vec::new(), false);
    for place in state.ring.roster.endorsed_in(&log.log) {
        match Store::branch_of(tx, log.number, place.seq, place.id.as_bytes())? {
            Some(branch) => here.push((branch, place.seq)),
            None => missing |= place.seq >= from,
        }
    }
    if !missing {
        return Ok(Room::None);
    }
    let endorsed = crate::sync::held(&branches, here);
    let is_parent = |of: &BranchOf| branches.iter().any(|b| b.parent == of.branch && b.branch != of.branch);
    let waits = |of: &&BranchOf| of.branch > 0 && of.fork_seq + 1 >= from && !endorsed.contains_key(&of.branch);
    let Some(branch) = branches.iter().rev().find(|branch| waits(branch) && !is_parent(branch)) else {
        return Ok(Room::None);
    };
    let mut intake = Intake::new(tx, &state.ring, &mut state.backlog);
    Store::entries(tx, (log.number, branch.branch), (branch.fork_seq + 1, branch.tip_seq), |entry| {
        if !log.name.is_control() {
            intake.take_out((&log.name, log.log), &entry)?;
        }
        Ok::<bool, Error>(true)
    })?;
    Store::drop_branch(tx, log.number, branch)?;
    state.control.retain(|entry| entry.place.log != log.log || entry.branch != Some(branch.branch));
    state.logs = Logs::load(tx)?;
    Ok(Room::Made)
}

/// Whether there is room for one more branch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Room {
    /// A branch was dropped.
    Made,
    /// No branch may go, or none need come.
    None,
}

/// What of a log's branches travels: what lies before the lowest fork of a flood, and what was endorsed. None if
/// nothing does.
pub(super) fn cut(connection: &Connection, state: &State, tips: LogTips) -> Result<Option<LogTips>, StoreError> {
    let Some(from) = lowest(connection, state, &tips)? else { return Ok(Some(tips)) };
    let mut held: BTreeMap<u8, u64> = BTreeMap::new();
    for branch in tips.branches.iter().filter(|branch| branch.fork_seq + 1 < from) {
        held.insert(branch.branch, branch.tip_seq.min(from - 1));
    }
    let mut endorsed = Vec::new();
    for place in state.ring.roster.endorsed_in(&tips.log) {
        let branch = Store::branch_of(connection, tips.number, place.seq, place.id.as_bytes())?;
        endorsed.extend(branch.map(|branch| (branch, place.seq)));
    }
    for (branch, seq) in crate::sync::held(&tips.branches, endorsed) {
        let most = held.entry(branch).or_default();
        *most = seq.max(*most);
    }
    let mut branches: Vec<BranchOf> = Vec::new();
    for branch in &tips.branches {
        let Some(seq) = held.get(&branch.branch).filter(|seq| **seq > branch.fork_seq) else { continue };
        let mut tip_id = branch.tip_id;
        if *seq < branch.tip_seq {
            let id = Store::entry_id(connection, EntryKey::new(tips.number, *seq, branch.branch))?;
            tip_id = id.ok_or(StoreError::Damaged("an entry before a fork is missing".into()))?;
        }
        branches.push(BranchOf { tip_seq: *seq, tip_id, ..*branch });
    }
    Ok((!branches.is_empty()).then_some(LogTips { branches, ..tips }))
}

/// The first place of a log that waits for review because of a flood.
fn lowest(connection: &Connection, state: &State, tips: &LogTips) -> Result<Option<u64>, StoreError> {
    if state.floods.is_empty() {
        return Ok(None);
    }
    let of_log = state.floods.get(tips.log.as_bytes()).map(|flood| flood.lowest);
    let device = Store::log_of_number(connection, tips.number)?.map(|log| log.name.device);
    let of_device = device.and_then(|device| state.floods.get(device.as_bytes())).map(|flood| flood.lowest);
    Ok(of_log.into_iter().chain(of_device).min())
}

impl Daybook {
    /// Takes in a proof of a flood that somebody made.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be written.
    pub fn take_flood(&mut self, proof: &Proof) -> Result<(), Error> {
        self.write(|writer| match keep(writer.tx, writer.state, proof)? {
            Kept::New => take_effect(writer),
            Kept::Known => Ok(()),
        })
    }

    /// The proofs of all floods that are known.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub fn floods(&mut self) -> Result<Vec<Proof>, Error> {
        self.refresh()?;
        let names: Vec<[u8; 32]> = self.state.floods.keys().copied().collect();
        let mut proofs = Vec::new();
        for of in names {
            proofs.extend(self.flood_of(&of)?);
        }
        Ok(proofs)
    }

    /// Hashes of the floods that are known, by log or device.
    pub(super) fn flood_names(&self) -> Vec<FloodName> {
        self.state.floods.iter().map(|(of, flood)| (*of, flood.hash)).collect()
    }

    /// The proof of a flood.
    pub(super) fn flood_of(&self, of: &[u8; 32]) -> Result<Option<Proof>, Error> {
        let value = self.store.value(&key(of))?;
        let proof = value.and_then(|value| Proof::read(value.get(HEAD_BYTES..).unwrap_or_default()).ok());
        Ok(proof.filter(|proof| *proof.incident() == self.state.ring.incident))
    }

    /// The floods that a peer is known to know, by the beginnings of their hashes.
    pub(super) fn told(&self, peer: DeviceId) -> Result<BTreeSet<[u8; 8]>, Error> {
        let value = self.store.value(&format!("{TOLD}{}", peer.to_hex()))?.unwrap_or_default();
        Ok(value.as_chunks::<8>().0.iter().copied().collect())
    }

    /// Notes which floods a peer knows.
    pub(super) fn note_told(&mut self, peer: DeviceId, told: &BTreeSet<[u8; 8]>) -> Result<(), Error> {
        let value: Vec<u8> = told.iter().flatten().copied().collect();
        self.write(|writer| Ok(Store::set_value(writer.tx, &format!("{TOLD}{}", peer.to_hex()), &value)?))
    }
}

/// Folds the roster anew and judges again what it changed.
pub(super) fn take_effect(writer: &mut Writer<'_>) -> Result<(), Error> {
    let before = std::mem::take(&mut writer.state.ring.roster);
    writer.state.refold(writer.tx)?;
    super::judging::rejudge(writer.tx, writer.state, super::judging::Since::Roster { before: &before, keys: false })
}

//! A book in memory that keeps logs and nothing else: cheap to copy, so that a session can be cut at every byte.

use daybook_core::crypto::{Nonce, Signature};
use daybook_core::entry::{Ground, Sealed, SealedEntry};
use daybook_core::id::{CompartmentId, DeviceId, EntryId, IncidentId, LogId};
use daybook_core::limits::BRANCHES_PER_LOG_MAX;
use daybook_core::log::{Beginning, LogName, Run, RunBuilder, VerifiedRun};
use daybook_core::roster::GrantPath;
use daybook_core::store::BranchOf;
use daybook_core::sync::{
    Covered, Kept, LogHeads, OutRun, Outcome, Peer, Piece, Shelf, Standing, Trouble, Want, row_of,
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug)]
struct Held {
    id: EntryId,
    ground: Ground,
    nonce: Nonce,
    body: Vec<u8>,
    signature: Option<Signature>,
}

#[derive(Clone, Debug)]
struct KeptLog {
    name: LogName,
    log: LogId,
    branches: Vec<BranchOf>,
    entries: BTreeMap<(u64, u8), Held>,
}

/// Logs in memory.
#[derive(Clone, Debug)]
pub struct MemoryShelf {
    incident: IncidentId,
    logs: Vec<KeptLog>,
    /// Grants that do not hold.
    pub ended: BTreeSet<EntryId>,
    /// Grants whose holders are barred.
    pub barred: BTreeSet<EntryId>,
    /// Grants whose shift is over.
    pub off_duty: BTreeSet<EntryId>,
    /// Grants that are known; the others speak by their path. All, if none is named.
    pub known: BTreeSet<EntryId>,
    /// Compartments that it leaves out.
    pub apart: BTreeSet<CompartmentId>,
    /// Beginnings of runs that are kept.
    pub begun: Vec<Beginning>,
    /// What each device held when this shelf and it last agreed.
    pub met: BTreeMap<DeviceId, Covered>,
    /// Entries that came again.
    pub again: u64,
    /// Calls of `take`.
    pub takes: u64,
    /// Calls of `post`.
    pub posts: u64,
    /// The next writes fail.
    pub broken: bool,
}

impl MemoryShelf {
    /// An empty shelf.
    #[must_use]
    pub const fn new(incident: IncidentId) -> Self {
        Self {
            incident,
            logs: Vec::new(),
            ended: BTreeSet::new(),
            barred: BTreeSet::new(),
            off_duty: BTreeSet::new(),
            known: BTreeSet::new(),
            apart: BTreeSet::new(),
            begun: Vec::new(),
            met: BTreeMap::new(),
            again: 0,
            takes: 0,
            posts: 0,
            broken: false,
        }
    }

    /// How many entries it holds.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.logs.iter().map(|log| log.entries.len() as u64).sum()
    }

    /// All heads by log, for comparisons.
    #[must_use]
    pub fn all_heads(&self) -> BTreeMap<LogId, BTreeSet<(u64, EntryId)>> {
        self.logs
            .iter()
            .map(|log| (log.log, log.branches.iter().map(|branch| (branch.tip_seq, branch.tip_id)).collect()))
            .collect()
    }

    /// Ids of all entries.
    #[must_use]
    pub fn ids(&self) -> BTreeSet<EntryId> {
        self.logs.iter().flat_map(|log| log.entries.values().map(|entry| entry.id)).collect()
    }

    /// Takes runs in, all of which must fit.
    pub fn fill(&mut self, runs: &[Vec<u8>]) {
        for outcome in self.take(DeviceId::ZERO, runs).expect("taken in") {
            assert!(matches!(outcome, Outcome::Taken { .. }), "{outcome:?}");
        }
        (self.again, self.takes) = (0, 0);
    }

    /// How many entries it holds or keeps as beginnings.
    #[must_use]
    pub fn entries_and_begun(&self) -> u64 {
        self.entries() + self.begun.iter().map(Beginning::entries).sum::<u64>()
    }

    fn is_here(&self, log: LogId, seq: u64, id: &EntryId) -> bool {
        let log = self.logs.iter().find(|held| held.log == log);
        log.is_some_and(|log| (0..8).any(|branch| log.entries.get(&(seq, branch)).is_some_and(|e| e.id == *id)))
    }

    /// The beginnings that end in an entry, in order.
    fn chain(&self, log: LogId, end: (u64, EntryId)) -> Vec<Beginning> {
        let mut found = Vec::new();
        let mut at = end;
        while let Some(before) = self.begun.iter().find(|b| b.log() == log && b.end() == at) {
            at = (before.first_seq() - 1, *before.backlink());
            found.insert(0, before.clone());
        }
        found
    }

    /// The run with what it ends, if that is kept.
    fn whole(&self, run: &[u8]) -> Vec<u8> {
        let joined = Run::read(run).ok().and_then(|read| {
            let end = (read.first_seq.checked_sub(1)?, read.backlink);
            Beginning::join(&self.chain(read.name.id(&self.incident), end), run).ok()?
        });
        joined.unwrap_or_else(|| run.to_vec())
    }

    fn append(&mut self, run: &VerifiedRun<'_>) -> Outcome {
        let first = &run.entries()[0];
        // It keeps no entry without its body.
        if run.entries().iter().any(|entry| entry.body().is_none()) {
            return Outcome::Declined("E-003");
        }
        let at = self.logs.iter().position(|log| log.log == run.log());
        let at = match at {
            Some(at) => at,
            None if first.seq() > 1 => return Outcome::Declined("E-003"),
            None => {
                let (name, log) = (*run.name(), run.log());
                self.logs.push(KeptLog { name, log, branches: Vec::new(), entries: BTreeMap::new() });
                self.logs.len() - 1
            }
        };
        // Undone if a ninth branch begins half way.
        let undo = (self.logs[at].branches.len() == BRANCHES_PER_LOG_MAX).then(|| self.logs[at].clone());
        let log = &mut self.logs[at];
        let find = |log: &KeptLog, seq: u64, id: &EntryId| {
            (0..8).find(|branch| log.entries.get(&(seq, *branch)).is_some_and(|entry| entry.id == *id))
        };
        let mut branch = match first.seq() {
            1 => 0,
            seq => match find(log, seq - 1, first.backlink()) {
                Some(branch) => branch,
                None => return Outcome::Declined("E-003"),
            },
        };
        let (mut new, mut known) = (0, 0);
        for (index, verified) in run.entries().iter().enumerate() {
            if let Some(found) = find(log, verified.seq(), verified.id()) {
                (branch, known) = (found, known + 1);
                continue;
            }
            let before = verified.seq() - 1;
            let at_tip = log.branches.iter().any(|row| row.branch == branch && row.tip_seq == before);
            if !at_tip {
                if log.branches.len() == BRANCHES_PER_LOG_MAX {
                    self.logs[at] = undo.expect("the log had all its branches");
                    return Outcome::Declined("E-010");
                }
                let number = log.branches.len() as u8;
                let parent = if before == 0 { number } else { branch };
                let (fork_seq, tip_seq, tip_id) = (before, before, EntryId::ZERO);
                log.branches.push(BranchOf { branch: number, parent, fork_seq, tip_seq, tip_id });
                branch = number;
            }
            let signature = run.heads().iter().find(|(at, _)| *at == index).map(|(_, signature)| *signature);
            let Sealed::Body(body) = verified.entry().sealed else { panic!("nothing is erased in these tests") };
            let (ground, nonce) = (verified.entry().ground, verified.entry().nonce);
            log.entries.insert(
                (verified.seq(), branch),
                Held { id: *verified.id(), ground, nonce, body: body.to_vec(), signature },
            );
            // Of signatures between multiples of 64 only the newest stays.
            if !log.name.is_control()
                && !before.is_multiple_of(64)
                && let Some(entry) = log.entries.get_mut(&(before, branch))
            {
                entry.signature = None;
            }
            let row = log.branches.iter_mut().find(|row| row.branch == branch).expect("a branch");
            (row.tip_seq, row.tip_id) = (verified.seq(), *verified.id());
            new += 1;
        }
        self.again += known;
        Outcome::Taken { new, known }
    }
}

impl Shelf for MemoryShelf {
    fn recognise(&mut self, path: &GrantPath) -> Result<Standing, Trouble> {
        let Some((id, _)) = path.grants().last() else { return Ok(Standing::Member) };
        Ok(match () {
            () if self.barred.contains(id) => Standing::Barred,
            () if self.ended.contains(id) => Standing::Former,
            () if self.off_duty.contains(id) => Standing::OffDuty,
            () if self.known.is_empty() || self.known.contains(id) => Standing::Member,
            () => Standing::ByPath,
        })
    }

    fn apart(&mut self, _: &Peer) -> Result<BTreeSet<CompartmentId>, Trouble> {
        Ok(self.apart.clone())
    }

    fn frontier(&mut self) -> Result<Vec<LogHeads>, Trouble> {
        let heads = |(number, log): (usize, &KeptLog)| LogHeads {
            log: log.log,
            number: number as i64,
            device: log.name.device,
            compartment: log.name.compartment,
            lane: log.name.lane,
            branches: log.branches.clone(),
        };
        Ok(self.logs.iter().enumerate().map(heads).collect())
    }

    fn heads(&mut self, log: &LogId) -> Result<Option<LogHeads>, Trouble> {
        Ok(self.frontier()?.into_iter().find(|heads| heads.log == *log))
    }

    fn holds(&mut self, log: i64, seq: u64, id: &[u8]) -> Result<Option<u8>, Trouble> {
        let log = &self.logs[log as usize];
        Ok((0..8).find(|branch| log.entries.get(&(seq, *branch)).is_some_and(|e| e.id.as_bytes().starts_with(id))))
    }

    fn entry_id(&mut self, log: i64, branch: u8, seq: u64) -> Result<Option<EntryId>, Trouble> {
        Ok(self.logs[log as usize].entries.get(&(seq, branch)).map(|entry| entry.id))
    }

    fn runs(&mut self, piece: Piece, frame: usize, bytes: usize) -> Result<Vec<OutRun>, Trouble> {
        let log = &self.logs[piece.log as usize];
        let row = row_of(&log.branches, piece.branch, piece.from - 1);
        let mut backlink = log.entries.get(&(piece.from - 1, row)).map_or(EntryId::ZERO, |entry| entry.id);
        let (mut run, mut runs, mut read) = (None, Vec::new(), 0);
        for seq in piece.from.. {
            let Some(entry) = log.entries.get(&(seq, piece.branch)) else { break };
            let builder = run.get_or_insert_with(|| RunBuilder::new(&log.name, seq, backlink));
            let sealed = Sealed::Body(&entry.body);
            builder.push(&SealedEntry { ground: entry.ground, nonce: entry.nonce, sealed }, entry.signature);
            backlink = entry.id;
            let full = builder.bytes() >= frame / 2 || builder.len() >= 32 || seq.is_multiple_of(64);
            let last = seq >= piece.to;
            if entry.signature.is_some() && (last || full) {
                let done = run.take().expect("just made");
                let entries = done.len() as u32;
                let bytes_of = done.finish();
                read += bytes_of.len();
                runs.push(OutRun { bytes: bytes_of, entries, last: seq });
                if last || read >= bytes {
                    break;
                }
            }
        }
        if runs.is_empty() { Err(Trouble("a signed head is missing".into())) } else { Ok(runs) }
    }

    fn take(&mut self, _: DeviceId, runs: &[Vec<u8>]) -> Result<Vec<Outcome>, Trouble> {
        if self.broken {
            return Err(Trouble("the disk is full".into()));
        }
        self.takes += 1;
        let incident = self.incident;
        let take = |run: &Vec<u8>| {
            let (count, whole) = (daybook_core::sync::entries_of(run), self.whole(run));
            let outcome = match Run::read(&whole).and_then(|run| run.verify(&incident)) {
                Ok(run) => {
                    let last = run.entries().last().expect("an entry").seq();
                    self.begun.retain(|begun| begun.log() != run.log() || begun.end().0 > last);
                    self.append(&run)
                }
                Err(error) => Outcome::Refused(error),
            };
            match outcome {
                Outcome::Taken { new, .. } => Outcome::Taken { new: new.min(count), known: count.saturating_sub(new) },
                other => other,
            }
        };
        Ok(runs.iter().map(take).collect())
    }

    fn keep(&mut self, _: DeviceId, beginning: &Beginning) -> Result<Kept, Trouble> {
        if self.broken {
            return Err(Trouble("the disk is full".into()));
        }
        let (before, backlink, log) = (beginning.first_seq() - 1, *beginning.backlink(), beginning.log());
        let joins = before == 0
            || self.is_here(log, before, &backlink)
            || self.begun.iter().any(|b| b.log() == log && b.end() == (before, backlink));
        let (seq, id) = beginning.end();
        if !joins || self.is_here(log, seq, &id) {
            return Ok(Kept::No);
        }
        self.begun.push(beginning.clone());
        Ok(Kept::Durable)
    }

    fn begun(&mut self) -> Result<Vec<(LogId, u64, EntryId)>, Trouble> {
        let inner = |end: &Beginning| {
            let after = |b: &Beginning| b.log() == end.log() && (b.first_seq() - 1, *b.backlink()) == end.end();
            self.begun.iter().any(after)
        };
        let ends = self.begun.iter().filter(|begun| !inner(begun));
        Ok(ends.map(|begun| (begun.log(), begun.end().0, begun.end().1)).collect())
    }

    fn met(&mut self, with: DeviceId) -> Result<Covered, Trouble> {
        Ok(self.met.get(&with).cloned().unwrap_or_default())
    }

    fn agreed(&mut self, with: DeviceId, logs: &[LogHeads]) -> Result<(), Trouble> {
        let heads = |log: &LogHeads| log.branches.iter().map(|branch| (branch.tip_seq, branch.tip_id)).collect();
        self.met.insert(with, logs.iter().map(|log| (log.log, heads(log))).collect());
        Ok(())
    }

    fn post(&mut self) -> Result<(), Trouble> {
        self.posts += 1;
        Ok(())
    }

    fn wants(&mut self) -> Result<Vec<Want>, Trouble> {
        Ok(Vec::new())
    }
}

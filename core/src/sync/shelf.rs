//! What a session needs of a book.

use super::frame::Receipt;
use super::receipt::Covered;
use super::session::Peer;
use crate::crypto::{DevicePublic, ParcelGroup};
use crate::id::{CompartmentId, DeviceId, EntryId, KeyId, Lane, LogId};
use crate::log::Beginning;
use crate::log::Proof;
use crate::roster::GrantPath;
use crate::store::BranchOf;
use std::collections::{BTreeMap, BTreeSet};

/// The book could not do what a session asked; says what, without data of patients.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Trouble(pub String);

/// What a book knows of one who showed a grant path that proves itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// The grant holds here.
    Member,
    /// The grant is not here yet; the path alone speaks for it.
    ByPath,
    /// The grant is here and does not hold: revoked, cut, or never within its giver's rights. What the device wrote may
    /// be handed over, and it is told what concerns it; nothing else.
    Former,
    /// The device is barred: no service.
    Barred,
    /// The shift of the device ended.
    OffDuty,
}

/// A log with its branches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogHeads {
    /// The log.
    pub log: LogId,
    /// Its number in this book.
    pub number: i64,
    /// The device that writes it.
    pub device: DeviceId,
    /// Its compartment.
    pub compartment: CompartmentId,
    /// Its lane.
    pub lane: Lane,
    /// Its branches in order of their numbers; at least one.
    pub branches: Vec<BranchOf>,
}

/// A piece of one branch of a log: entries `from` to `to`, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Number of the log in this book.
    pub log: i64,
    /// The branch.
    pub branch: u8,
    /// First place.
    pub from: u64,
    /// Last place.
    pub to: u64,
}

/// A run that is to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutRun {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its entries.
    pub entries: u32,
    /// Place of its last entry.
    pub last: u64,
}

/// What became of one run that came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is durable: so many entries are new, so many were here.
    Taken {
        /// New entries.
        new: u64,
        /// Entries that were here.
        known: u64,
    },
    /// It cannot be taken in now, with the rule code.
    Declined(&'static str),
    /// It breaks a rule; nothing of it was stored.
    Refused(crate::log::RunError),
}

/// What became of the beginning of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// It is durable.
    Durable,
    /// There is no room for it, or it joins nothing that is here.
    No,
}

/// A flood as books compare them: its log or device, and the hash of its proof.
pub type FloodName = ([u8; 32], [u8; 32]);

/// A range of a log whose bodies are wanted again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Want {
    /// The log.
    pub log: LogId,
    /// First place.
    pub from: u64,
    /// Last place.
    pub to: u64,
}

/// A book as a session sees it. Every answer is of the book at that moment.
pub trait Shelf {
    /// What the book knows of the holder of the last grant of a path; a path without grants is a root's.
    ///
    /// # Errors
    /// [`Trouble`] if the book cannot be read, as everywhere here.
    fn recognise(&mut self, path: &GrantPath) -> Result<Standing, Trouble>;

    /// Roots that approvals added to those of the founding statement.
    ///
    /// # Errors
    /// [`Trouble`].
    fn added_roots(&mut self) -> Result<Vec<DevicePublic>, Trouble> {
        Ok(Vec::new())
    }

    /// What the book knows of a root: one that was ended is a former member.
    ///
    /// # Errors
    /// [`Trouble`].
    fn recognise_root(&mut self, root: DeviceId) -> Result<Standing, Trouble> {
        let _ = root;
        Ok(Standing::Member)
    }

    /// Compartments of which nothing is exchanged with a peer: this device does not carry them, or the peer may not
    /// have them.
    ///
    /// # Errors
    /// [`Trouble`].
    fn apart(&mut self, peer: &Peer) -> Result<BTreeSet<CompartmentId>, Trouble> {
        let _ = peer;
        Ok(BTreeSet::new())
    }

    /// As [`Shelf::apart`], where the peer is a former member and hands over what it wrote.
    ///
    /// # Errors
    /// [`Trouble`].
    fn apart_from_former(&mut self, peer: &Peer) -> Result<BTreeSet<CompartmentId>, Trouble> {
        let _ = peer;
        Ok(BTreeSet::new())
    }

    /// The control logs of others that hold what concerns a former member, each with the last place that does: what
    /// ended or stops it, the grants on which that stands, and what was said of it since.
    ///
    /// # Errors
    /// [`Trouble`].
    fn concerning(&mut self, former: DeviceId) -> Result<BTreeMap<LogId, u64>, Trouble> {
        let _ = former;
        Ok(BTreeMap::new())
    }

    /// As [`Shelf::runs`], of a control log, with the bodies of those entries alone that concern a former member: of
    /// the others only what proves their places.
    ///
    /// # Errors
    /// [`Trouble`], as there.
    fn runs_concerning(
        &mut self,
        former: DeviceId,
        piece: Piece,
        frame: usize,
        bytes: usize,
    ) -> Result<Vec<OutRun>, Trouble> {
        let _ = (former, piece, frame, bytes);
        Err(Trouble("what concerns a former member is not known".into()))
    }

    /// All logs with their branches, in order of their numbers.
    ///
    /// # Errors
    /// [`Trouble`].
    fn frontier(&mut self) -> Result<Vec<LogHeads>, Trouble>;

    /// One log with its branches, if it is here.
    ///
    /// # Errors
    /// [`Trouble`].
    fn heads(&mut self, log: &LogId) -> Result<Option<LogHeads>, Trouble>;

    /// The branch of a log that holds the entry whose id begins with `id` at a place.
    ///
    /// # Errors
    /// [`Trouble`].
    fn holds(&mut self, log: i64, seq: u64, id: &[u8]) -> Result<Option<u8>, Trouble>;

    /// The id of the entry at a place of one branch row.
    ///
    /// # Errors
    /// [`Trouble`].
    fn entry_id(&mut self, log: i64, branch: u8, seq: u64) -> Result<Option<EntryId>, Trouble>;

    /// The next runs of a piece, from its first place on: at least one, then as long as they stay within
    /// `bytes`. A run ends where a signature is kept, and is as short as that allows once it fills a frame of
    /// `frame` bytes; it never goes past a place that is a multiple of 64.
    ///
    /// # Errors
    /// [`Trouble`], also if no run can be made because a signature is missing.
    fn runs(&mut self, piece: Piece, frame: usize, bytes: usize) -> Result<Vec<OutRun>, Trouble>;

    /// Verifies and stores runs that a device brought, in one transaction; what is taken is durable on return. A
    /// run that links to a beginning that was kept is taken together with it. One outcome per run, which counts
    /// the entries of that run.
    ///
    /// # Errors
    /// [`Trouble`]: nothing of this call was stored.
    fn take(&mut self, from: DeviceId, runs: &[Vec<u8>]) -> Result<Vec<Outcome>, Trouble>;

    /// Keeps the beginning of a run that a device brought and that is not whole; what is kept is durable on
    /// return. How much is kept of one device and in all is bounded.
    ///
    /// # Errors
    /// [`Trouble`]: nothing was kept.
    fn keep(&mut self, from: DeviceId, beginning: &Beginning) -> Result<Kept, Trouble> {
        let _ = (from, beginning);
        Ok(Kept::No)
    }

    /// Where beginnings end that are kept and join what is here: logs with places and ids, few of each log.
    ///
    /// # Errors
    /// [`Trouble`].
    fn begun(&mut self) -> Result<Vec<(LogId, u64, EntryId)>, Trouble> {
        Ok(Vec::new())
    }

    /// What both sides held when this device and another last agreed, as it was noted here.
    ///
    /// # Errors
    /// [`Trouble`].
    fn met(&mut self, with: DeviceId) -> Result<Covered, Trouble> {
        let _ = with;
        Ok(Covered::new())
    }

    /// Notes that another device holds durably exactly these logs, as this one does.
    ///
    /// # Errors
    /// [`Trouble`]: nothing was noted.
    fn agreed(&mut self, with: DeviceId, logs: &[LogHeads]) -> Result<(), Trouble> {
        let _ = (with, logs);
        Ok(())
    }

    /// Posts what was taken, so that people see it.
    ///
    /// # Errors
    /// [`Trouble`].
    fn post(&mut self) -> Result<(), Trouble>;

    /// Keeps durably that a peer signed to hold exactly `covers`.
    ///
    /// # Errors
    /// [`Trouble`].
    fn keep_receipt(&mut self, peer: &Peer, receipt: &Receipt, covers: &[LogHeads]) -> Result<(), Trouble> {
        let _ = (peer, receipt, covers);
        Ok(())
    }

    /// The floods that are known: the log or device of each, and the hash of its proof.
    ///
    /// # Errors
    /// [`Trouble`].
    fn floods(&mut self) -> Result<Vec<FloodName>, Trouble> {
        Ok(Vec::new())
    }

    /// The proof of a flood of a log or device.
    ///
    /// # Errors
    /// [`Trouble`].
    fn flood(&mut self, of: &[u8; 32]) -> Result<Option<Proof>, Trouble> {
        let _ = of;
        Ok(None)
    }

    /// Keeps the proof of a flood durably, unless as much is known.
    ///
    /// # Errors
    /// [`Trouble`].
    fn take_flood(&mut self, proof: &Proof) -> Result<(), Trouble> {
        let _ = proof;
        Ok(())
    }

    /// The floods that a peer knows, as it was noted, by the beginnings of the hashes of their proofs.
    ///
    /// # Errors
    /// [`Trouble`].
    fn floods_told(&mut self, peer: &Peer) -> Result<BTreeSet<[u8; 8]>, Trouble> {
        let _ = peer;
        Ok(BTreeSet::new())
    }

    /// Notes which floods a peer knows.
    ///
    /// # Errors
    /// [`Trouble`].
    fn note_floods_told(&mut self, peer: &Peer, told: &BTreeSet<[u8; 8]>) -> Result<(), Trouble> {
        let _ = (peer, told);
        Ok(())
    }

    /// Ranges whose bodies are missing here though nobody erased them.
    ///
    /// # Errors
    /// [`Trouble`].
    fn wants(&mut self) -> Result<Vec<Want>, Trouble>;

    /// Keys of epochs that this device may have and does not hold, at most `most`.
    ///
    /// # Errors
    /// [`Trouble`].
    fn lacks_keys(&mut self, most: usize) -> Result<Vec<KeyId>, Trouble> {
        let _ = most;
        Ok(Vec::new())
    }

    /// Wraps keys for a peer, as far as they are held here and the peer's grant gives them.
    ///
    /// # Errors
    /// [`Trouble`].
    fn wrap_keys(&mut self, peer: &Peer, keys: &[KeyId]) -> Result<Vec<ParcelGroup>, Trouble> {
        let _ = (peer, keys);
        Ok(Vec::new())
    }

    /// Takes parcels that were asked for, and opens what they open. What is no key of this incident is dropped.
    ///
    /// # Errors
    /// [`Trouble`].
    fn take_parcels(&mut self, groups: &[ParcelGroup]) -> Result<(), Trouble> {
        let _ = groups;
        Ok(())
    }
}

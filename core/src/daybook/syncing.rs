//! The book as a session sees it: who may be served, what is here, what is taken in.

use super::Daybook;
use super::error::Error;
use super::floods;
use super::former::{self, Concerning, Service};
use super::keys::shift;
use super::state::{State, value};
use super::strangers::NO_ROOM;
use super::transfer::FORMER_NO_ROOM;
use crate::crypto::{DevicePublic, DeviceSecret, ParcelGroup};
use crate::entry::Sealed;
use crate::id::{CompartmentId, DeviceId, EntryId, KeyId, LogId};
use crate::limits::ENTRIES_PER_RUN_MAX;
use crate::log::{Beginning, Proof, Run, RunBuilder};
use crate::record::EntryRef;
use crate::roster::{CompartmentOf, GrantPath};
use crate::store::{EntryKey, LogTips, Store};
use crate::sync::{
    Covered, Credentials, FloodName, Kept, Limits, LogHeads, OutRun, Outcome, Peer, Piece, Receipt, Session, Shelf,
    Side, Standing, Trouble, Want,
};
use std::collections::{BTreeMap, BTreeSet};

/// Name of the local value that holds the grant path as it was given.
pub(super) const PATH: &str = "grant path";
/// Ranges that are wanted at one time.
const WANTS: usize = 64;

impl Daybook {
    /// Begins a session with another device. `now_ms` is any count of milliseconds that never goes back; the
    /// same is given to the session's other calls. The book itself is the shelf that they are lent.
    ///
    /// # Errors
    /// [`Error::NoRight`] if no grant path of this device is here.
    pub fn session(&mut self, side: Side, limits: Limits, now_ms: u64) -> Result<Session, Error> {
        self.write_notes();
        let credentials = self.credentials()?;
        Session::new(side, credentials, limits, now_ms, self.host.as_mut()).map_err(|reason| {
            tracing::error!(code = reason.code(), "a session could not begin");
            Error::Bug("a session could not begin")
        })
    }

    /// What this device shows of itself to a peer.
    ///
    /// # Errors
    /// [`Error::NoRight`] if no grant path of this device is here.
    pub fn credentials(&mut self) -> Result<Credentials, Error> {
        self.refresh()?;
        let admission = self.store.value(value::ADMISSION)?.and_then(|bytes| crate::crypto::Secret::from_slice(&bytes));
        Ok(Credentials {
            founding: self.state.founding.clone(),
            admission: admission.ok_or(Error::Damaged("a part of the book is missing".into()))?,
            device: DeviceSecret::from_secret(&self.state.device.to_secret()),
            incarnation: self.state.incarnation,
            path: self.grant_path()?,
        })
    }

    /// Keeps the grant path that this device was given when it was admitted: with it a peer knows the device
    /// before its grant has come by sync.
    ///
    /// # Errors
    /// [`Error::NoRight`] if the path is not this device's or proves nothing; nothing was written.
    pub fn keep_grant_path(&mut self, path: &[u8]) -> Result<(), Error> {
        let read = GrantPath::read(path, Some(self.state.founding.incident())).map_err(|_| Error::NoRight)?;
        let last = read.grants().last().map(|(_, grant)| grant.device.device_id());
        if last != Some(self.state.device_id) {
            return Err(Error::NoRight);
        }
        self.write(|writer| Ok(Store::set_value(writer.tx, PATH, path)?))
    }

    /// The grant path of this device: of the grant that it writes under, or the one that it was given.
    ///
    /// # Errors
    /// [`Error::NoRight`] if there is none here.
    pub fn grant_path(&mut self) -> Result<Vec<u8>, Error> {
        let mut at = self.state.grant;
        if self.state.ring.roster.is_root(self.state.device_id) {
            // Who has not heard of an approval knows a root that was added by the grant that it had as a member.
            match self.grant_as_member() {
                Some(grant) => at = grant,
                None => return Ok(GrantPath::to_bytes(&self.state.founding, &[])),
            }
        }
        let incident = EntryId::new(*self.state.founding.incident().as_bytes());
        let mut runs = Vec::new();
        while let Some(held) = self.state.ring.roster.grants().get(&at) {
            let Some(run) = self.run_of_control(&at)? else { break };
            runs.push(run);
            at = held.parent;
        }
        if at == incident && !runs.is_empty() {
            runs.reverse();
            return Ok(GrantPath::to_bytes(&self.state.founding, &runs));
        }
        self.store.value(PATH)?.ok_or(Error::NoRight)
    }

    /// The grant of a root that was added: one in force that somebody else gave it.
    fn grant_as_member(&self) -> Option<EntryId> {
        let own = self.state.device_id;
        if self.state.founding.is_root(&own) {
            return None;
        }
        let by_another =
            |id: &EntryId| self.state.control.iter().any(|entry| entry.place.id == *id && entry.device != own);
        self.state.ring.roster.grants_of(own).map(|(id, _)| *id).find(by_another)
    }

    /// The run that holds one control entry alone.
    fn run_of_control(&self, id: &EntryId) -> Result<Option<Vec<u8>>, Error> {
        let Some(place) = self.state.control.iter().map(|entry| entry.place).find(|place| place.id == *id) else {
            return Ok(None);
        };
        let connection = self.store.read()?;
        let Some(key) = Store::resolve(connection, &EntryRef::new(place.log, place.seq, &place.id))? else {
            return Ok(None);
        };
        let (Some(log), Some(entry), Some(signature)) =
            (self.state.logs.get(key.log()), Store::entry(connection, key)?, Store::head(connection, key)?)
        else {
            return Ok(None);
        };
        let Sealed::Body(_) = entry.sealed() else { return Ok(None) };
        let Some(backlink) = backlink(connection, key)? else { return Ok(None) };
        let mut run = RunBuilder::new(&log.name, place.seq, backlink);
        run.push(&entry.entry(), Some(signature));
        Ok(Some(run.finish()))
    }

    /// Takes runs and says what became of each, counted in the entries that came of it.
    fn take_whole(&mut self, from: DeviceId, runs: &[Vec<u8>], came: &[Vec<u8>]) -> Result<Vec<Outcome>, Error> {
        let report = self.take_runs_of(from, runs)?;
        if !report.refused.is_empty() {
            return self.take_one_by_one(from, runs, came);
        }
        // The sums are exact; which run brought what is known only if all of it was new.
        let mut new = report.new;
        let outcomes = runs.iter().zip(came).map(|(run, came)| {
            let taken = crate::sync::entries_of(run).min(new);
            new -= taken;
            outcome(taken, came)
        });
        Ok(outcomes.collect())
    }

    /// Takes runs of which at least one is refused or declined, one by one, and says what became of each.
    fn take_one_by_one(&mut self, from: DeviceId, runs: &[Vec<u8>], came: &[Vec<u8>]) -> Result<Vec<Outcome>, Error> {
        let mut outcomes = Vec::with_capacity(runs.len());
        for (run, came) in runs.iter().zip(came) {
            if let Err(error) = Run::read(run).and_then(|run| run.verify(&self.state.ring.incident)) {
                outcomes.push(Outcome::Refused(error));
                continue;
            }
            let report = self.take_runs_of(from, std::slice::from_ref(run))?;
            outcomes.push(match report.refused.first() {
                None => outcome(report.new, came),
                Some((code, _)) if code == "E-003" => Outcome::Declined("E-003"),
                Some((code, _)) if code == NO_ROOM => Outcome::Declined(NO_ROOM),
                Some((code, _)) if code == FORMER_NO_ROOM => Outcome::Declined(FORMER_NO_ROOM),
                Some((code, _)) if code == "E-014" => Outcome::Declined("E-014"),
                Some(_) => Outcome::Declined("E-010"),
            });
        }
        Ok(outcomes)
    }
}

/// What became of a run that was taken: so many entries of it, or of what it ended, are new.
fn outcome(new: u64, came: &[u8]) -> Outcome {
    let entries = crate::sync::entries_of(came);
    let new = entries.min(new);
    Outcome::Taken { new, known: entries - new }
}

/// Id of the entry before an entry, in whichever branch row it lies.
fn backlink(connection: &rusqlite::Connection, key: EntryKey) -> Result<Option<EntryId>, Error> {
    if key.seq() <= 1 {
        return Ok(Some(EntryId::ZERO));
    }
    let branches = Store::branches(connection, key.log())?;
    let row = crate::sync::row_of(&branches, key.branch(), key.seq() - 1);
    Ok(Store::entry_id(connection, EntryKey::new(key.log(), key.seq() - 1, row))?)
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl From<crate::store::StoreError> for Trouble {
    fn from(error: crate::store::StoreError) -> Self {
        Error::from(error).into()
    }
}

/// The heads of a log, with the device that writes it.
fn heads_of(connection: &rusqlite::Connection, state: &State, tips: LogTips) -> Result<LogHeads, Error> {
    let LogTips { number, log, compartment, lane, branches } = tips;
    let device = match state.logs.get(number).map(|row| row.name.device) {
        Some(device) => device,
        // Another process has just begun it.
        None => Store::log_of_number(connection, number)?.ok_or(Error::Bug("a log without a name"))?.name.device,
    };
    Ok(LogHeads { log, number, device, compartment, lane, branches })
}

impl Shelf for Daybook {
    fn recognise(&mut self, path: &GrantPath) -> Result<Standing, Trouble> {
        self.refresh()?;
        let Some((_, grant)) = path.grants().last() else { return Ok(Standing::Member) };
        let device = grant.device.device_id();
        let service = former::service(&self.state.ring.roster, device);
        match service {
            Service::Barred => return Ok(Standing::Barred),
            Service::Member => {}
            Service::Former => {
                // While one of its grants is not here, nothing here tells that the last of them fell.
                let here = |id: &EntryId| self.state.control.iter().any(|entry| entry.place.id == *id);
                let stopped = self.state.ring.roster.is_barred(device).is_some();
                if stopped || path.grants().iter().all(|(id, _)| here(id)) {
                    return Ok(Standing::Former);
                }
                // Kept alone, its grants count all the same, so that what the peer wrote need not wait for their chain.
                self.take_runs(path.runs())?;
            }
        }
        if let Some(end) = shift::end(&self.state, device) {
            let now_ms = self.host.now_ms();
            if shift::is_past(self.store.read()?, end, now_ms)? {
                return Ok(Standing::OffDuty);
            }
        }
        Ok(if service == Service::Member { Standing::Member } else { Standing::ByPath })
    }

    fn added_roots(&mut self) -> Result<Vec<DevicePublic>, Trouble> {
        self.refresh()?;
        let founders = &self.state.founding;
        let roots = self.state.ring.roster.roots();
        Ok(roots.filter(|(device, ..)| !founders.is_root(device)).map(|(_, public, _)| *public).collect())
    }

    fn recognise_root(&mut self, root: DeviceId) -> Result<Standing, Trouble> {
        self.refresh()?;
        Ok(match former::service(&self.state.ring.roster, root) {
            Service::Member => Standing::Member,
            Service::Former => Standing::Former,
            Service::Barred => Standing::Barred,
        })
    }

    fn apart(&mut self, peer: &Peer) -> Result<BTreeSet<CompartmentId>, Trouble> {
        self.refresh()?;
        let roster = &self.state.ring.roster;
        let carries = |device, compartment| roster.carries(device, compartment);
        // What is of the whole incident everybody carries who is not barred there; what has a name is of one site.
        let apart = |(id, of): (&CompartmentId, &CompartmentOf)| {
            let both = carries(self.state.device_id, *id) && carries(peer.device, *id);
            let out = roster.bar_in(peer.device, *id).is_some() || (of.name.is_some() && !both);
            out.then_some(*id)
        };
        Ok(roster.compartments().iter().filter_map(apart).collect())
    }

    fn apart_from_former(&mut self, peer: &Peer) -> Result<BTreeSet<CompartmentId>, Trouble> {
        self.refresh()?;
        Ok(former::apart(&self.state, peer.device))
    }

    fn concerning(&mut self, former: DeviceId) -> Result<BTreeMap<LogId, u64>, Trouble> {
        self.refresh()?;
        Ok(Concerning::of(&self.state, former).logs())
    }

    fn runs_concerning(
        &mut self,
        former: DeviceId,
        piece: Piece,
        frame: usize,
        bytes: usize,
    ) -> Result<Vec<OutRun>, Trouble> {
        let mut runs = self.runs(piece, frame, bytes)?;
        let concerning = Concerning::of(&self.state, former);
        for run in &mut runs {
            run.bytes = concerning.withhold(&run.bytes, &self.state)?;
        }
        Ok(runs)
    }

    fn frontier(&mut self) -> Result<Vec<LogHeads>, Trouble> {
        let connection = self.store.read()?;
        let tips = Store::frontier(connection)?;
        let mut held = Vec::with_capacity(tips.len());
        for tips in tips {
            if let Some(tips) = floods::cut(connection, &self.state, tips)? {
                held.push(heads_of(connection, &self.state, tips)?);
            }
        }
        Ok(held)
    }

    fn heads(&mut self, log: &LogId) -> Result<Option<LogHeads>, Trouble> {
        let connection = self.store.read()?;
        let Some(tips) = Store::tips_of(connection, log)? else { return Ok(None) };
        let held = floods::cut(connection, &self.state, tips)?;
        Ok(held.map(|tips| heads_of(connection, &self.state, tips)).transpose()?)
    }

    fn holds(&mut self, log: i64, seq: u64, id: &[u8]) -> Result<Option<u8>, Trouble> {
        Ok(Store::branch_of(self.store.read()?, log, seq, id)?)
    }

    fn entry_id(&mut self, log: i64, branch: u8, seq: u64) -> Result<Option<EntryId>, Trouble> {
        Ok(Store::entry_id(self.store.read()?, EntryKey::new(log, seq, branch))?)
    }

    fn runs(&mut self, piece: Piece, frame: usize, bytes: usize) -> Result<Vec<OutRun>, Trouble> {
        let connection = self.store.read()?;
        let missing = || Trouble("an entry of a log is missing".into());
        let log = Store::log_of_number(connection, piece.log)?.ok_or_else(missing)?;
        let backlink = backlink(connection, EntryKey::new(piece.log, piece.from, piece.branch))?.ok_or_else(missing)?;
        let branches = Store::branches(connection, piece.log)?;
        let tip = branches.iter().find(|branch| branch.branch == piece.branch).map_or(piece.to, |b| b.tip_seq);
        let range = (piece.from, piece.to.min(tip));
        let runs = Store::piece(connection, (piece.log, &log.name), piece.branch, range, backlink, (frame, bytes))?;
        let out = |run: crate::store::PieceRun| OutRun { bytes: run.bytes, entries: run.entries, last: run.last };
        Ok(runs.into_iter().map(out).collect())
    }

    fn take(&mut self, from: DeviceId, runs: &[Vec<u8>]) -> Result<Vec<Outcome>, Trouble> {
        let Some(whole) = self.with_beginnings(runs)? else { return Ok(self.take_whole(from, runs, runs)?) };
        let outcomes = self.take_whole(from, &whole, runs)?;
        self.drop_beginnings(&whole)?;
        Ok(outcomes)
    }

    fn keep(&mut self, from: DeviceId, beginning: &Beginning) -> Result<Kept, Trouble> {
        Ok(self.keep_beginning(from, beginning)?)
    }

    fn begun(&mut self) -> Result<Vec<(LogId, u64, EntryId)>, Trouble> {
        Ok(self.beginnings()?)
    }

    fn met(&mut self, with: DeviceId) -> Result<Covered, Trouble> {
        Ok(self.noted(with)?)
    }

    fn agreed(&mut self, with: DeviceId, logs: &[LogHeads]) -> Result<(), Trouble> {
        Ok(self.note_agreed(with, logs)?)
    }

    fn post(&mut self) -> Result<(), Trouble> {
        Ok(self.post_all()?)
    }

    fn keep_receipt(&mut self, peer: &Peer, receipt: &Receipt, covers: &[LogHeads]) -> Result<(), Trouble> {
        Ok(self.write(|writer| super::receipts::keep(writer, peer, receipt, covers))?)
    }

    fn floods(&mut self) -> Result<Vec<FloodName>, Trouble> {
        self.refresh()?;
        Ok(self.flood_names())
    }

    fn flood(&mut self, of: &[u8; 32]) -> Result<Option<Proof>, Trouble> {
        Ok(self.flood_of(of)?)
    }

    fn take_flood(&mut self, proof: &Proof) -> Result<(), Trouble> {
        Ok(Self::take_flood(self, proof)?)
    }

    fn floods_told(&mut self, peer: &Peer) -> Result<BTreeSet<[u8; 8]>, Trouble> {
        Ok(self.told(peer.device)?)
    }

    fn note_floods_told(&mut self, peer: &Peer, told: &BTreeSet<[u8; 8]>) -> Result<(), Trouble> {
        Ok(self.note_told(peer.device, told)?)
    }

    fn wants(&mut self) -> Result<Vec<Want>, Trouble> {
        let connection = self.store.read()?;
        let roster = &self.state.ring.roster;
        let mut wants: Vec<Want> = Vec::new();
        for (key, id) in Store::without_bodies(connection, WANTS * ENTRIES_PER_RUN_MAX)? {
            let Some(log) = self.state.logs.get(key.log()) else { continue };
            if roster.is_erased(&log.log, &id, log.name.compartment) {
                continue;
            }
            let full = wants.len() == WANTS;
            match wants.last_mut().filter(|want| want.log == log.log && want.to + 1 >= key.seq()) {
                Some(want) => want.to = key.seq(),
                None if full => break,
                None => wants.push(Want { log: log.log, from: key.seq(), to: key.seq() }),
            }
        }
        Ok(wants)
    }

    fn lacks_keys(&mut self, most: usize) -> Result<Vec<KeyId>, Trouble> {
        self.refresh()?;
        Ok(super::keys::lacking(self.store.read()?, &self.state, most)?)
    }

    fn wrap_keys(&mut self, peer: &Peer, keys: &[KeyId]) -> Result<Vec<ParcelGroup>, Trouble> {
        Ok(self.write(|writer| super::keys::wrap_keys(writer, peer, keys))?)
    }

    fn take_parcels(&mut self, groups: &[ParcelGroup]) -> Result<(), Trouble> {
        self.write(|writer| super::keys::take_parcels(writer, groups))?;
        Ok(self.post_all()?)
    }
}

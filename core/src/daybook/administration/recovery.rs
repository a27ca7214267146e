//! Recovery: with the seed on paper a device of the incident becomes a root, and lost roots are ended.

use super::error::AdministrationError;
use super::members::named;
use super::revoke::{codes, trusted};
use crate::clock::random;
use crate::crypto::{DeviceSecret, KeySpace, Nonce, ParcelSecret, RecoverySeed, open_parcel};
use crate::daybook::Daybook;
use crate::daybook::error::Error;
use crate::daybook::judging::{Since, rejudge};
use crate::daybook::types::{Author, EntryCode};
use crate::daybook::writing::Writer;
use crate::entry::{Ground, Sealed, SealedEntry};
use crate::id::{CONTROL, CommitId, DeviceId, EntryId, Incarnation, KeyId, Lane};
use crate::limits::TEXT_BYTES_MAX;
use crate::log::{LogName, Tip, VerifiedRun};
use crate::roster::{Approve, Control, ControlBody, PlaceOf};
use crate::store::{Store, StoredSecret};
use std::collections::BTreeSet;

/// What a recovery did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// This device, a root now.
    pub here: Author,
    /// Roots that were ended.
    pub ended: Vec<Author>,
    /// The approvals that the recovery root signed.
    pub entries: Vec<EntryCode>,
}

impl Daybook {
    /// Makes this device a root by the recovery root's approval, and ends the roots of `lost`; of their logs what
    /// is held here stays trusted. The seed is used and not kept.
    ///
    /// # Errors
    /// [`AdministrationError`], [`Error::Value`]; nothing was written.
    pub fn recover(&mut self, seed: &RecoverySeed, organisation: &str, lost: &[&str]) -> Result<Recovered, Error> {
        let organisation = organisation.trim();
        if organisation.is_empty() || organisation.len() > TEXT_BYTES_MAX / 2 {
            return Err(Error::Value { what: "the organisation", why: "must be a name" });
        }
        self.write(|writer| {
            let recovery = seed.device();
            if recovery.public() != writer.state.founding.founding().recovery {
                return Err(AdministrationError::OtherSeed.into());
            }
            let ended = lost_roots(writer, lost)?;
            let roster = &writer.state.ring.roster;
            if roster.is_ended_root(writer.state.device_id) {
                return Err(AdministrationError::RootEnded.into());
            }
            let already = roster.is_root(writer.state.device_id);
            if already && ended.is_empty() {
                return Err(AdministrationError::RootAlready.into());
            }
            let before = roster.clone();
            let mut said = vec![Control::Incarnation { previous: heads(writer, &recovery)? }];
            if !already {
                let device = Box::new(writer.state.device.public());
                said.push(Control::Approve(Approve::Add { device, organisation: organisation.to_owned() }));
            }
            for root in &ended {
                let cuts = trusted(writer, &BTreeSet::from([*root]), None)?;
                said.push(Control::Approve(Approve::End { root: *root }));
                said.push(Control::Approve(Approve::Cut { root: *root, cuts }));
            }
            let ids = sign(writer, &recovery, said)?;
            take_keys(writer, &recovery)?;
            rejudge(writer.tx, writer.state, Since::Roster { before: &before, keys: true })?;
            writer.post()?;
            Ok(Recovered {
                here: writer.state.author(writer.state.device_id),
                ended: ended.iter().map(|root| writer.state.author(*root)).collect(),
                entries: codes(writer.state, &ids),
            })
        })
    }
}

/// The roots that somebody names as lost.
fn lost_roots(writer: &Writer<'_>, lost: &[&str]) -> Result<BTreeSet<DeviceId>, Error> {
    let mut roots = BTreeSet::new();
    for who in lost {
        let of_name: BTreeSet<DeviceId> =
            named(writer.state, who)?.into_iter().filter(|device| writer.state.ring.roster.is_root(*device)).collect();
        if of_name.is_empty() {
            return Err(AdministrationError::NoRoot.into());
        }
        roots.extend(of_name);
    }
    if roots.contains(&writer.state.device_id) { Err(AdministrationError::Yourself.into()) } else { Ok(roots) }
}

/// Heads of what the recovery root signed before, as far as they are here.
fn heads(writer: &Writer<'_>, recovery: &DeviceSecret) -> Result<Vec<PlaceOf>, Error> {
    let device = recovery.public().device_id();
    let mut heads = BTreeSet::new();
    for log in Store::logs(writer.tx)?.iter().filter(|log| log.name.device == device) {
        for branch in Store::branches(writer.tx, log.number)? {
            heads.insert(PlaceOf { log: log.log, seq: branch.tip_seq, id: branch.tip_id });
        }
    }
    Ok(heads.into_iter().collect())
}

/// Signs control entries as the recovery root, in an incarnation of their own, and stores them.
fn sign(writer: &mut Writer<'_>, recovery: &DeviceSecret, said: Vec<Control>) -> Result<Vec<EntryId>, Error> {
    let incident = writer.state.ring.incident;
    let incarnation = Incarnation::new(random(writer.host));
    let name = LogName::new(recovery.public(), incarnation, CONTROL, Lane::Safety);
    let mut tip = Tip::start(&name, &incident);
    let grant = EntryId::new(*incident.as_bytes());
    let commit = CommitId::new(random(writer.host));
    let bodies: Vec<Vec<u8>> =
        said.into_iter().map(|control| ControlBody { commit, hlc: writer.tick(), control }.to_bytes()).collect();
    let ground = Ground { grant, hint: writer.state.ring.roster.hint(), key: KeyId::ZERO };
    let entries = bodies.iter().map(|body| SealedEntry { ground, nonce: Nonce::ZERO, sealed: Sealed::Body(body) });
    let run = VerifiedRun::write(&mut tip, &name, entries, &recovery.signing);
    writer.store_control(&run)?;
    Ok(run.entries().iter().map(|entry| *entry.id()).collect())
}

/// Keys that were wrapped for the recovery root, which holds every right: a device that recovers alone reads
/// with them what was written before.
fn take_keys(writer: &mut Writer<'_>, recovery: &DeviceSecret) -> Result<(), Error> {
    for kept in Store::parcels_for(writer.tx, &recovery.public().device_id())? {
        let Some(compartment) = writer.state.ring.roster.compartment_of_key(&kept.key) else { continue };
        let space = KeySpace { incident: writer.state.ring.incident, compartment };
        let opened = open_parcel(&space, kept.key, &kept.ephemeral, &kept.parcel, recovery);
        let Ok(ParcelSecret::History(secret)) = opened else { continue };
        let secret = StoredSecret::History(secret);
        Store::put_secret(writer.tx, kept.key, compartment, &secret)?;
        writer.state.ring.keys.insert(kept.key, secret.reading_key());
    }
    crate::daybook::keys::open_keys(writer.tx, writer.state)?;
    writer.state.refold(writer.tx)?;
    Ok(())
}

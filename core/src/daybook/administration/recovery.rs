//! Recovery: with the seed on paper a device of the incident becomes a root, or a new one with a file of the logs, and
//! lost roots are ended.

use super::error::AdministrationError;
use super::members::named;
use super::revoke::{codes, trusted};
use crate::clock::{Host, random};
use crate::crypto::{DeviceSecret, KeySpace, Nonce, ParcelSecret, RecoverySeed, open_parcel};
use crate::daybook::Daybook;
use crate::daybook::error::Error;
use crate::daybook::founding::{Membership, name_founder, remove_book};
use crate::daybook::judging::{Since, rejudge};
use crate::daybook::transfer::Frames;
use crate::daybook::types::{Author, EntryCode, IngestReport};
use crate::daybook::writing::Writer;
use crate::entry::{Ground, Sealed, SealedEntry};
use crate::id::{CONTROL, CommitId, DeviceId, EntryId, Incarnation, KeyId, Lane};
use crate::limits::TEXT_BYTES_MAX;
use crate::log::{LogName, Tip, VerifiedRun};
use crate::roster::{Approve, Control, ControlBody, PlaceOf};
use crate::store::{Store, StoredSecret};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

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

impl Daybook {
    /// Makes a book from an export file and the recovery seed alone, where no member's book is at hand: a new device,
    /// which the recovery root makes a root, takes in the file and opens what the keys in it open, for the recovery
    /// root holds every right with history. Then as [`Daybook::recover`].
    ///
    /// # Errors
    /// As [`Daybook::join`], [`Daybook::ingest`] and [`Daybook::recover`] say; nothing is left behind.
    pub fn recover_from(
        (folder, passphrase): (&Path, &[u8]),
        seed: &RecoverySeed,
        of: &Heir<'_>,
        from: &mut dyn Read,
        mut host: Box<dyn Host>,
    ) -> Result<(Self, IngestReport, Recovered), Error> {
        if of.person.trim().is_empty() || of.person.len() > TEXT_BYTES_MAX / 2 {
            return Err(Error::Value { what: "the person", why: "must be a name" });
        }
        let (mut frames, founding) = Frames::open(from)?;
        if seed.device().public() != founding.founding().recovery {
            return Err(AdministrationError::OtherSeed.into());
        }
        let device = DeviceSecret::random(host.as_mut());
        let member = Membership { founding, device, admission: seed.admission(), secrets: Vec::new() };
        let mut book = Self::join(folder, passphrase, &member, host)?;
        let recovered = (|| {
            let taken = book.take_frames(&mut frames, &mut |_| {})?;
            // People are named by what the directory says, so it is opened first.
            book.write(|writer| {
                take_keys(writer, &seed.device())?;
                rejudge(writer.tx, writer.state, Since::Keys)?;
                writer.post()
            })?;
            let recovered = book.recover(seed, of.organisation, of.lost)?;
            book.write(|writer| name_founder(writer, of.person.trim(), of.organisation.trim()))?;
            let here = book.who(recovered.here.device);
            Ok((taken, Recovered { here, ..recovered }))
        })();
        match recovered {
            Ok((taken, recovered)) => Ok((book, taken, recovered)),
            Err(error) => {
                drop(book);
                remove_book(folder);
                Err(error)
            }
        }
    }
}

/// Who takes an incident over.
#[derive(Clone, Copy, Debug)]
pub struct Heir<'a> {
    /// The person who holds the new device.
    pub person: &'a str,
    /// The organisation for which it is a root.
    pub organisation: &'a str,
    /// Roots that are lost.
    pub lost: &'a [&'a str],
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
        let secret = match opened {
            Ok(ParcelSecret::History(secret)) => StoredSecret::History(secret),
            // Whoever made the file had no more.
            Ok(ParcelSecret::Reading(key)) if !writer.state.ring.keys.contains_key(&kept.key) => {
                StoredSecret::Reading(key.secret().clone())
            }
            Ok(ParcelSecret::Reading(_)) | Err(_) => continue,
        };
        Store::put_secret(writer.tx, kept.key, compartment, &secret)?;
        writer.state.ring.keys.insert(kept.key, secret.reading_key());
    }
    crate::daybook::keys::open_keys(writer.tx, writer.state)?;
    writer.state.refold(writer.tx)?;
    Ok(())
}

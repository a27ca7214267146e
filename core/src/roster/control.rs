//! Control entries: their kinds and their bytes. Bodies are not sealed; free text in them is.
//!
//! ```text
//! body      = { 1: commit id 8, 2: hlc, 3: operation }
//! operation = { 0: kind, 1 ..: fields of the kind }
//! text      = [key id 32, sealed field]        under an epoch of the directory
//! place     = [log id 32, seq, entry id 32]
//! ```

use super::kind::CompartmentKind;
use super::rights::RightsByScope;
use crate::clock::Hlc;
use crate::codec::{Malformed, Reader, Writer, check};
use crate::crypto::DevicePublic;
use crate::id::{CommitId, CompartmentId, DeviceId, EntryId, KeyId, LogId};
use crate::limits::TEXT_BYTES_MAX;

/// Most ids in one list of a control entry.
const LIST_MAX: usize = 4_096;

/// One control entry's content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ControlBody {
    /// Joins the entries of one commit.
    pub commit: CommitId,
    /// The author's hybrid logical clock.
    pub hlc: Hlc,
    /// What it says.
    pub control: Control,
}

/// A place of a log with the whole id of the entry there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PlaceOf {
    /// The log.
    pub log: LogId,
    /// The place, from 1.
    pub seq: u64,
    /// The entry.
    pub id: EntryId,
}

/// Text sealed for the directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedText {
    /// The epoch's key.
    pub key: KeyId,
    /// The sealed field.
    pub sealed: Vec<u8>,
}

/// What a control entry says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Control {
    /// Begins an incarnation and names the heads of the one before.
    Incarnation {
        /// Heads of the logs of the incarnation before, in rising order.
        previous: Vec<PlaceOf>,
    },
    /// Gives a device rights.
    Grant(Box<Grant>),
    /// A root's part in ending or adding a root, or in cutting an ended root's entries.
    Approve(Approve),
    /// Ends grants.
    Revoke(Revoke),
    /// Stops keys and service for devices.
    Bar {
        /// The devices, in rising order.
        devices: Vec<DeviceId>,
    },
    /// Begins a generation of a compartment's keys.
    Epoch(Epoch),
    /// Makes a compartment; its id is the id of this entry.
    Compartment {
        /// What it is for.
        kind: CompartmentKind,
        /// Its name; none for the first directory, whose epoch does not exist yet.
        name: Option<SealedText>,
    },
    /// Takes back the effect of revokes and bars for what it names.
    Endorse(Endorse),
    /// Takes entries out of the accepted set everywhere.
    Erase {
        /// The entries, in rising order.
        entries: Vec<PlaceOf>,
        /// Why.
        reason: Option<SealedText>,
    },
    /// Written by a newer version.
    Newer,
}

/// A grant: who gets which rights. The granter's own grant is the one that the entry stands on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The device's public keys.
    pub device: DevicePublic,
    /// Who holds the device.
    pub person: Option<SealedText>,
    /// The organisation.
    pub organisation: Option<SealedText>,
    /// The role's label; decides nothing.
    pub role: String,
    /// The rights.
    pub rights: RightsByScope,
    /// Whether epochs from before the grant may be read.
    pub history: bool,
    /// End of shift in milliseconds since 1970-01-01 UTC; policy only.
    pub until_ms: Option<i64>,
    /// How many grants may be made beneath it.
    pub grants: u32,
    /// How many compartments may be made beneath it.
    pub compartments: u32,
    /// Bars that it lifts, in rising order.
    pub lifts: Vec<EntryId>,
}

/// A root's approval.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Approve {
    /// Ends a root.
    End {
        /// The root's device.
        root: DeviceId,
    },
    /// Adds a root.
    Add {
        /// The device.
        device: Box<DevicePublic>,
        /// Its organisation.
        organisation: String,
    },
    /// Cuts the entries of an ended root after these.
    Cut {
        /// The root's device.
        root: DeviceId,
        /// The last trusted entry of each log, in rising order.
        cuts: Vec<PlaceOf>,
    },
}

/// Ends grants and says which entries stay trusted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revoke {
    /// The grants that end, in rising order.
    pub grants: Vec<EntryId>,
    /// Grants of the same devices that stay, in rising order.
    pub spares: Vec<EntryId>,
    /// The last trusted entry of each log written under them, in rising order.
    pub cuts: Vec<PlaceOf>,
    /// The devices that it bars, in rising order.
    pub devices: Vec<DeviceId>,
    /// Why.
    pub reason: Option<SealedText>,
    /// Which part of how many it is, with the hash of the whole list; none if it is whole.
    pub part: Option<Part>,
}

/// One part of a revoke that is too long for one entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// Its number, from 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
    /// Hash of the whole list.
    pub hash: [u8; 32],
}

/// A generation of a compartment's keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Epoch {
    /// The compartment.
    pub compartment: CompartmentId,
    /// The reading key.
    pub key: KeyId,
    /// Epoch entries that it replaces, in rising order.
    pub replaces: Vec<EntryId>,
    /// Their secrets, sealed under this epoch's history key, in the same order; empty if it replaces none.
    pub history: Vec<u8>,
    /// Revokes and bars that it honours, in rising order.
    pub honours: Vec<EntryId>,
}

/// Takes back the effect of revokes and bars.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Endorse {
    /// Single entries, in rising order.
    pub entries: Vec<PlaceOf>,
    /// Logs up to an entry, in rising order.
    pub logs: Vec<PlaceOf>,
    /// Fallen grants with what is beneath them, in rising order.
    pub grants: Vec<EntryId>,
    /// Bars that it lifts, in rising order.
    pub lifts: Vec<EntryId>,
    /// Grants all of whose bars it lifts, in rising order.
    pub lifts_all_of: Vec<EntryId>,
}

impl PlaceOf {
    fn write(&self, to: &mut Writer) {
        to.list(3).bytes(self.log.as_bytes()).uint(self.seq).bytes(self.id.as_bytes());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.tuple(3)?;
        let place = Self { log: LogId::new(from.array()?), seq: from.uint()?, id: EntryId::new(from.array()?) };
        if place.seq == 0 || i64::try_from(place.seq).is_err() { Err(Malformed::Bounds) } else { Ok(place) }
    }
}

impl SealedText {
    fn write(&self, to: &mut Writer) {
        to.list(2).bytes(self.key.as_bytes()).bytes(&self.sealed);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.tuple(2)?;
        let text = Self { key: KeyId::new(from.array()?), sealed: from.bytes()?.to_vec() };
        if text.sealed.len() > 2 * TEXT_BYTES_MAX { Err(Malformed::Bounds) } else { Ok(text) }
    }
}

impl ControlBody {
    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut to = Writer::new();
        to.map(3).uint(1).bytes(self.commit.as_bytes()).uint(2).uint(self.hlc.bits()).uint(3);
        self.control.write(&mut to);
        to.finish()
    }

    /// Reads a body; an unknown kind or field is [`Control::Newer`].
    ///
    /// # Errors
    /// [`Malformed`]: the entry is faulty, for everybody.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        check(bytes)?;
        let from = &mut Reader::new(bytes);
        let mut fields = from.fields()?;
        let (mut commit, mut hlc, mut control, mut newer) = (None, None, None, false);
        while let Some(key) = fields.next(from)? {
            match key {
                1 => commit = Some(CommitId::new(from.array()?)),
                2 => hlc = Some(Hlc::from_bits(from.uint()?)),
                3 => control = Some(from.raw()?),
                _ => {
                    from.raw()?;
                    newer = true;
                }
            }
        }
        let control = match control.map(Control::read).ok_or(Malformed::Schema)? {
            _ if newer => Control::Newer,
            Err(Malformed::Newer) => Control::Newer,
            other => other?,
        };
        Ok(Self { commit: commit.ok_or(Malformed::Schema)?, hlc: hlc.ok_or(Malformed::Schema)?, control })
    }
}

impl Control {
    fn kind(&self) -> u64 {
        match self {
            Self::Newer => 0,
            Self::Incarnation { .. } => 1,
            Self::Grant(_) => 2,
            Self::Approve(_) => 3,
            Self::Revoke(_) => 4,
            Self::Bar { .. } => 5,
            Self::Epoch(_) => 6,
            Self::Compartment { .. } => 7,
            Self::Endorse(_) => 8,
            Self::Erase { .. } => 9,
        }
    }

    /// The word for people.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Newer => "from a newer version",
            Self::Incarnation { .. } => "incarnation",
            Self::Grant(_) => "grant",
            Self::Approve(_) => "approve",
            Self::Revoke(_) => "revoke",
            Self::Bar { .. } => "bar",
            Self::Epoch(_) => "epoch",
            Self::Compartment { .. } => "compartment",
            Self::Endorse(_) => "endorse",
            Self::Erase { .. } => "erase",
        }
    }

    /// The canonical bytes of the operation alone.
    pub(super) fn operation(&self) -> Vec<u8> {
        let mut to = Writer::new();
        self.write(&mut to);
        to.finish()
    }

    fn write(&self, to: &mut Writer) {
        let mut fields = FieldList::default();
        fields.put(0, |to| to.uint(self.kind()));
        match self {
            Self::Newer => {}
            Self::Incarnation { previous } => fields.places(1, previous),
            Self::Grant(grant) => {
                fields.put(1, |to| to.bytes(&grant.device.to_bytes()));
                fields.text(2, grant.person.as_ref());
                fields.text(3, grant.organisation.as_ref());
                fields.put(4, |to| to.text(&grant.role));
                fields.put(5, |to| {
                    grant.rights.write(to);
                    to
                });
                fields.put(6, |to| to.bool(grant.history));
                if let Some(until) = grant.until_ms {
                    fields.put(7, |to| to.int(until));
                }
                fields.put(8, |to| to.uint(u64::from(grant.grants)));
                fields.put(9, |to| to.uint(u64::from(grant.compartments)));
                fields.ids(10, &grant.lifts, EntryId::as_bytes);
            }
            Self::Approve(Approve::End { root }) => fields.put(1, |to| to.bytes(root.as_bytes())),
            Self::Approve(Approve::Add { device, organisation }) => {
                fields.put(2, |to| to.bytes(&device.to_bytes()));
                fields.put(3, |to| to.text(organisation));
            }
            Self::Approve(Approve::Cut { root, cuts }) => {
                fields.put(1, |to| to.bytes(root.as_bytes()));
                fields.put(4, |to| places(to, cuts));
            }
            Self::Revoke(revoke) => {
                fields.ids(1, &revoke.grants, EntryId::as_bytes);
                fields.ids(2, &revoke.spares, EntryId::as_bytes);
                fields.places(3, &revoke.cuts);
                fields.ids(4, &revoke.devices, DeviceId::as_bytes);
                fields.text(5, revoke.reason.as_ref());
                if let Some(part) = &revoke.part {
                    fields.put(6, |to| {
                        to.list(3).uint(u64::from(part.number)).uint(u64::from(part.of)).bytes(&part.hash)
                    });
                }
            }
            Self::Bar { devices } => fields.ids(1, devices, DeviceId::as_bytes),
            Self::Epoch(epoch) => {
                fields.put(1, |to| to.bytes(epoch.compartment.as_bytes()));
                fields.put(2, |to| to.bytes(epoch.key.as_bytes()));
                fields.ids(3, &epoch.replaces, EntryId::as_bytes);
                if !epoch.history.is_empty() {
                    fields.put(4, |to| to.bytes(&epoch.history));
                }
                fields.ids(5, &epoch.honours, EntryId::as_bytes);
            }
            Self::Compartment { kind, name } => {
                fields.put(1, |to| to.uint(*kind as u64));
                fields.text(2, name.as_ref());
            }
            Self::Endorse(endorse) => {
                fields.places(1, &endorse.entries);
                fields.places(2, &endorse.logs);
                fields.ids(3, &endorse.grants, EntryId::as_bytes);
                fields.ids(4, &endorse.lifts, EntryId::as_bytes);
                fields.ids(5, &endorse.lifts_all_of, EntryId::as_bytes);
            }
            Self::Erase { entries, reason } => {
                fields.places(1, entries);
                fields.text(2, reason.as_ref());
            }
        }
        to.map(fields.count).raw(&fields.bytes.finish());
    }

    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let from = &mut Reader::new(bytes);
        let mut raw = Raw::read(from)?;
        let control = match raw.kind {
            1 => Self::Incarnation { previous: raw.places(1)? },
            2 => Self::Grant(Box::new(Grant {
                device: device(raw.need(1)?)?,
                person: raw.text(2)?,
                organisation: raw.text(3)?,
                role: raw.need(4)?.text(TEXT_BYTES_MAX)?.to_owned(),
                rights: RightsByScope::read(&mut raw.need(5)?)?,
                history: raw.need(6)?.bool()?,
                until_ms: raw.take(7).map(|mut from| from.int()).transpose()?,
                grants: small(raw.need(8)?)?,
                compartments: small(raw.need(9)?)?,
                lifts: raw.ids(10, EntryId::new)?,
            })),
            3 if raw.has(2) => Self::Approve(Approve::Add {
                device: Box::new(device(raw.need(2)?)?),
                organisation: raw.need(3)?.text(TEXT_BYTES_MAX)?.to_owned(),
            }),
            3 if raw.has(4) => {
                Self::Approve(Approve::Cut { root: DeviceId::new(raw.need(1)?.array()?), cuts: raw.cuts(4)? })
            }
            3 => Self::Approve(Approve::End { root: DeviceId::new(raw.need(1)?.array()?) }),
            4 => Self::Revoke(Revoke {
                grants: raw.ids(1, EntryId::new)?,
                spares: raw.ids(2, EntryId::new)?,
                cuts: raw.places(3)?,
                devices: raw.ids(4, DeviceId::new)?,
                reason: raw.text(5)?,
                part: raw.take(6).map(read_part).transpose()?,
            }),
            5 => Self::Bar { devices: raw.ids(1, DeviceId::new)? },
            6 => Self::Epoch(Epoch {
                compartment: CompartmentId::new(raw.need(1)?.array()?),
                key: KeyId::new(raw.need(2)?.array()?),
                replaces: raw.ids(3, EntryId::new)?,
                history: raw.take(4).map(history).transpose()?.unwrap_or_default(),
                honours: raw.ids(5, EntryId::new)?,
            }),
            7 => {
                let kind = CompartmentKind::from_number(raw.need(1)?.uint()?).ok_or(Malformed::Newer)?;
                if kind == CompartmentKind::Control {
                    return Err(Malformed::Bounds);
                }
                Self::Compartment { kind, name: raw.text(2)? }
            }
            8 => Self::Endorse(Endorse {
                entries: raw.places(1)?,
                logs: raw.places(2)?,
                grants: raw.ids(3, EntryId::new)?,
                lifts: raw.ids(4, EntryId::new)?,
                lifts_all_of: raw.ids(5, EntryId::new)?,
            }),
            9 => Self::Erase { entries: raw.places(1)?, reason: raw.text(2)? },
            _ => return Err(Malformed::Newer),
        };
        if raw.fields.is_empty() { Ok(control) } else { Err(Malformed::Newer) }
    }
}

/// Fields of an operation by number, before it is known what they mean.
struct Raw<'a> {
    kind: u64,
    fields: Vec<(u64, &'a [u8])>,
}

impl<'a> Raw<'a> {
    fn read(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut map = from.fields()?;
        if map.next(from)? != Some(0) {
            return Err(Malformed::Schema);
        }
        let kind = from.uint()?;
        let mut fields = Vec::new();
        while let Some(key) = map.next(from)? {
            fields.push((key, from.raw()?));
        }
        Ok(Self { kind, fields })
    }

    fn has(&self, key: u64) -> bool {
        self.fields.iter().any(|(k, _)| *k == key)
    }

    fn take(&mut self, key: u64) -> Option<Reader<'a>> {
        let at = self.fields.iter().position(|(k, _)| *k == key)?;
        Some(Reader::new(self.fields.remove(at).1))
    }

    fn need(&mut self, key: u64) -> Result<Reader<'a>, Malformed> {
        self.take(key).ok_or(Malformed::Schema)
    }

    fn text(&mut self, key: u64) -> Result<Option<SealedText>, Malformed> {
        self.take(key).map(|mut from| SealedText::read(&mut from)).transpose()
    }

    fn places(&mut self, key: u64) -> Result<Vec<PlaceOf>, Malformed> {
        self.take(key).map_or(Ok(Vec::new()), |mut from| rising(&mut from, PlaceOf::read))
    }

    /// Places, of which there may be none: a cut that trusts nothing.
    fn cuts(&mut self, key: u64) -> Result<Vec<PlaceOf>, Malformed> {
        let mut from = self.need(key)?;
        if from.clone().list(0).is_ok() { Ok(Vec::new()) } else { rising(&mut from, PlaceOf::read) }
    }

    fn ids<T: Ord>(&mut self, key: u64, id: fn([u8; 32]) -> T) -> Result<Vec<T>, Malformed> {
        self.take(key).map_or(Ok(Vec::new()), |mut from| rising(&mut from, |from| from.array().map(id)))
    }
}

/// Reads a list that is not empty, in rising order.
fn rising<'a, T: Ord>(
    from: &mut Reader<'a>,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let count = from.list(LIST_MAX)?;
    let mut items: Vec<T> = Vec::new();
    for _ in 0..count {
        let item = read(from)?;
        if items.last().is_some_and(|last| *last >= item) {
            return Err(Malformed::NotCanonical);
        }
        items.push(item);
    }
    if items.is_empty() { Err(Malformed::NotCanonical) } else { Ok(items) }
}

fn device(mut from: Reader<'_>) -> Result<DevicePublic, Malformed> {
    DevicePublic::parse(from.bytes()?).map_err(|_| Malformed::Bounds)
}

/// Sealed secrets; none are left out, not written empty.
fn history(mut from: Reader<'_>) -> Result<Vec<u8>, Malformed> {
    let sealed = from.bytes()?;
    if sealed.is_empty() { Err(Malformed::NotCanonical) } else { Ok(sealed.to_vec()) }
}

fn small(mut from: Reader<'_>) -> Result<u32, Malformed> {
    u32::try_from(from.uint()?).map_err(|_| Malformed::Bounds)
}

fn read_part(mut from: Reader<'_>) -> Result<Part, Malformed> {
    from.tuple(3)?;
    let number = u32::try_from(from.uint()?).map_err(|_| Malformed::Bounds)?;
    let of = u32::try_from(from.uint()?).map_err(|_| Malformed::Bounds)?;
    if number == 0 || number > of || of > 1_024 {
        return Err(Malformed::Bounds);
    }
    Ok(Part { number, of, hash: from.array()? })
}

fn places<'w>(to: &'w mut Writer, places: &[PlaceOf]) -> &'w mut Writer {
    let mut sorted = places.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    to.list(sorted.len());
    sorted.iter().for_each(|place| place.write(to));
    to
}

/// Collects numbered fields; empty lists and missing texts are left out.
#[derive(Default)]
struct FieldList {
    bytes: Writer,
    count: usize,
}

impl FieldList {
    fn put(&mut self, key: u64, write: impl FnOnce(&mut Writer) -> &mut Writer) {
        self.count += 1;
        write(self.bytes.uint(key));
    }

    fn text(&mut self, key: u64, text: Option<&SealedText>) {
        if let Some(text) = text {
            self.put(key, |to| {
                text.write(to);
                to
            });
        }
    }

    fn places(&mut self, key: u64, list: &[PlaceOf]) {
        if !list.is_empty() {
            self.put(key, |to| places(to, list));
        }
    }

    fn ids<T: Ord + Copy>(&mut self, key: u64, ids: &[T], bytes: fn(&T) -> &[u8; 32]) {
        if ids.is_empty() {
            return;
        }
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        self.put(key, |to| {
            to.list(sorted.len());
            sorted.iter().for_each(|id| {
                to.bytes(bytes(id));
            });
            to
        });
    }
}

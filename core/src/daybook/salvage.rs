//! Salvage: makes a new book of what is reachable of a damaged one, and says what is gone and who has it.

use super::Daybook;
use super::error::Error;
use super::founding::{DATABASE, new_folder, read_keys, remove_book};
use super::keys::{lacking, open_keys};
use super::peers::{forget_noted, noted_heads};
use super::receipts;
use super::state::{State, value};
use super::types::Author;
use super::view_tables;
use crate::clock::{Hlc, Host, random};
use crate::crypto::{DatabaseKey, DeviceSecret, KeyFile, Secret};
use crate::id::{CONTROL, DeviceId, Incarnation, KeyId, LogId};
use crate::roster::{CompartmentKind, SignedFounding};
use crate::store::{Gap, Rescue, Store};
use crate::sync::Covered;
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::path::Path;

/// What was saved of a damaged book.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SalvageReport {
    /// Pages of the damaged book.
    pub pages: u32,
    /// Numbers of those that are damaged.
    pub damaged_pages: Vec<u32>,
    /// Whether its write-ahead log is damaged too.
    pub log_damaged: bool,
    /// Entries that were saved.
    pub entries: u64,
    /// Of these, entries behind a gap: shown, and not passed on until a peer brings what is lost before them.
    pub behind_gaps: u64,
    /// What is lost.
    pub lost: Vec<LostPlaces>,
    /// Entries that were found and cannot be placed.
    pub unplaced: u64,
    /// Whether the keys of this device are lost: the book can be read and passed on, not written.
    pub keys_lost: bool,
    /// Keys of compartments that are not here and that this device may have, or whose compartment is not known any
    /// more, but entries under them were saved; peers have them.
    pub compartment_keys_lost: usize,
}

/// Entries of one log that are lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LostPlaces {
    /// How people see the log: its first five symbols.
    pub log: String,
    /// Who wrote it.
    pub author: Author,
    /// Of which compartment, in a word.
    pub compartment: &'static str,
    /// First place.
    pub from: u64,
    /// Last place.
    pub to: u64,
    /// Entries of the log behind it that were saved.
    pub behind: u64,
    /// Devices that held all of it when this book last met them.
    pub held_by: Vec<Author>,
}

impl SalvageReport {
    /// Entries that are lost for sure.
    #[must_use]
    pub fn entries_lost(&self) -> u64 {
        self.unplaced + self.lost.iter().map(|lost| lost.to + 1 - lost.from).sum::<u64>()
    }
}

impl Daybook {
    /// Makes a new book in `target`, under the same passphrase, of what is reachable of the one in `damaged`, which
    /// is only read. It begins a new incarnation with its next write, and asks peers for what is lost by an ordinary
    /// sync. Nobody may have the damaged book open meanwhile, this process least of all.
    ///
    /// # Errors
    /// As [`Daybook::open`] says of passphrase and files; [`Error::BookExists`] if the target holds a book;
    /// [`Error::BeyondSalvage`] if what every book begins with is lost. Then nothing is left in the target.
    pub fn salvage(
        damaged: &Path,
        target: &Path,
        passphrase: &[u8],
        mut host: Box<dyn Host>,
    ) -> Result<(Self, SalvageReport), Error> {
        let key = KeyFile::open(&read_keys(damaged)?, passphrase)?;
        let new_key = new_folder(target, passphrase, host.as_mut())?;
        let salvaged = Self::salvage_into(&damaged.join(DATABASE), &key, target, &new_key, host);
        if salvaged.is_err() {
            remove_book(target);
        }
        salvaged
    }

    /// As [`Daybook::salvage`], with the key of the damaged book from the platform's key store, which the new one
    /// gets too.
    ///
    /// # Errors
    /// As [`Daybook::salvage`].
    pub fn salvage_with_key(
        damaged: &Path,
        target: &Path,
        key: &DatabaseKey,
        host: Box<dyn Host>,
    ) -> Result<(Self, SalvageReport), Error> {
        if super::founding::holds_a_book(target) {
            return Err(Error::BookExists);
        }
        if !damaged.join(DATABASE).exists() {
            return Err(Error::NoBook);
        }
        std::fs::create_dir_all(target)?;
        let salvaged = Self::salvage_into(&damaged.join(DATABASE), key, target, key, host);
        if salvaged.is_err() {
            remove_book(target);
        }
        salvaged
    }

    fn salvage_into(
        from: &Path,
        key: &DatabaseKey,
        target: &Path,
        new_key: &DatabaseKey,
        mut host: Box<dyn Host>,
    ) -> Result<(Self, SalvageReport), Error> {
        let mut store = Store::create(&target.join(DATABASE), new_key, &view_tables())?;
        let (found, rescue, keys_lost) = store.write(|tx| {
            let found = Store::rescue(tx, from, key)?;
            let identity = Identity::of(tx, host.as_mut())?;
            let Identity { founding, device, incarnation, .. } = &identity;
            let (pages, damaged, log_damaged) = (found.pages, found.damaged.clone(), found.log_damaged);
            let rescue = found.join(tx, founding.incident(), device, *incarnation)?;
            Store::set_value(tx, value::BEGIN, &[1])?;
            Ok::<_, Error>(((pages, damaged, log_damaged), rescue, identity.keys_lost))
        })?;
        let state = State::load(&store, store.read()?)?;
        let mut book = Self::of(target, store, state, host);
        // Parcels that were kept may hold secrets that are lost.
        book.write(|writer| open_keys(writer.tx, writer.state))?;
        book.rebuild(&mut |_, _| {})?;
        let compartment_keys_lost = book.keys_of_compartments_lost()?;
        let lost = book.lost(&rescue.gaps)?;
        // What was agreed with others, and beginnings that stood at an end which moved back, hold no more.
        book.write(|writer| {
            Store::forget_begun(writer.tx)?;
            forget_noted(writer.tx)
        })?;
        let (pages, damaged_pages, log_damaged) = found;
        let Rescue { entries, beyond, nameless, .. } = rescue;
        let report = SalvageReport {
            pages,
            damaged_pages,
            log_damaged,
            entries,
            behind_gaps: beyond,
            lost,
            unplaced: nameless,
            keys_lost,
            compartment_keys_lost,
        };
        Ok((book, report))
    }

    fn keys_of_compartments_lost(&self) -> Result<usize, Error> {
        let connection = self.store.read()?;
        let mut lost: BTreeSet<KeyId> = lacking(connection, &self.state, usize::MAX)?.into_iter().collect();
        let known = self.state.ring.roster.compartments();
        for (compartment, key) in Store::keys_named(connection)? {
            if compartment != CONTROL && !known.contains_key(&compartment) && !self.state.ring.keys.contains_key(&key) {
                lost.insert(key);
            }
        }
        Ok(lost.len())
    }

    /// Who wrote what is lost, and who held it.
    fn lost(&self, gaps: &[Gap]) -> Result<Vec<LostPlaces>, Error> {
        let connection = self.store.read()?;
        let mut heads: Vec<(DeviceId, Covered)> =
            noted_heads(connection)?.into_iter().map(|(device, _, heads)| (device, heads)).collect();
        // A receipt is a signed word; a device that was met and gave none may have it all the same.
        heads.extend(receipts::all(connection, &self.state)?.into_iter().map(|kept| (kept.device, kept.covered)));
        let holders = |log: LogId, to: u64| -> BTreeSet<DeviceId> {
            let holds = |heads: &Covered| heads.get(&log).is_some_and(|heads| heads.iter().any(|(seq, _)| *seq >= to));
            heads.iter().filter(|(_, heads)| holds(heads)).map(|(device, _)| *device).collect()
        };
        let kind = |gap: &Gap| match self.state.ring.roster.kind_of(gap.name.compartment) {
            _ if gap.name.is_control() => "control",
            kind => kind.map_or("unknown", CompartmentKind::word),
        };
        let lost = gaps.iter().map(|gap| LostPlaces {
            log: gap.log.short(),
            author: self.state.author(gap.name.device),
            compartment: kind(gap),
            from: gap.places.0,
            to: gap.places.1,
            behind: gap.behind,
            held_by: holders(gap.log, gap.places.1).into_iter().map(|device| self.state.author(device)).collect(),
        });
        Ok(lost.collect())
    }
}

/// Who the damaged book was, with what is lost of it made good as far as that goes.
struct Identity {
    founding: SignedFounding,
    device: DeviceSecret,
    incarnation: Incarnation,
    keys_lost: bool,
}

impl Identity {
    fn of(tx: &Connection, host: &mut dyn Host) -> Result<Self, Error> {
        let read = |key| Store::value_in(tx, key);
        let founding = read(value::FOUNDING)?.and_then(|bytes| SignedFounding::read(&bytes).ok());
        let (Some(founding), Some(_)) = (founding, read(value::ADMISSION)?) else {
            return Err(Error::BeyondSalvage);
        };
        let device = read(value::DEVICE)?.and_then(|bytes| Secret::from_slice(&bytes));
        let keys_lost = device.is_none();
        let device = device.map_or_else(|| DeviceSecret::random(host), |secret| DeviceSecret::from_secret(&secret));
        let incarnation = read(value::INCARNATION)?.and_then(|bytes| Incarnation::from_slice(&bytes));
        let incarnation = incarnation.unwrap_or_else(|| Incarnation::new(random(host)));
        Store::set_value(tx, value::DEVICE, device.to_secret().expose())?;
        Store::set_value(tx, value::INCARNATION, incarnation.as_bytes())?;
        if read(value::HLC)?.is_none_or(|bytes| bytes.len() != 8) {
            Store::set_value(tx, value::HLC, &Hlc::default().bits().to_le_bytes())?;
        }
        Ok(Self { founding, device, incarnation, keys_lost })
    }
}

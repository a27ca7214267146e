//! Beginning a book, opening it, and everything about its folder: passphrase, backup, restore.
//!
//! ```text
//! folder/book.db   the encrypted database        folder/keys   the database key, sealed by the passphrase
//! ```

use super::error::Error;
use super::key_store::{self, ATTEMPTS, FolderKeys};
use super::keys::begin_epoch;
use super::state::{FIELD_COMPARTMENT_NAME, FIELD_ORGANISATION, FIELD_PERSON, State, value};
use super::types::NewIncident;
use super::writing::{Writer, seal_text};
use super::{Daybook, view_tables};
use crate::clock::{Hlc, Host, random};
use crate::crypto::{DatabaseKey, DeviceSecret, KeyFile, KeyFileParams, RecoverySeed, Secret};
use crate::id::{CompartmentId, Incarnation};
use crate::limits::TEXT_BYTES_MAX;
use crate::roster::{CompartmentKind, Control, Founding, Grant, Role, Root, SignedFounding};
use crate::store::{Secrets, Store, StoreError};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

pub(super) const DATABASE: &str = "book.db";
const KEYS: &str = "keys";

impl Daybook {
    /// Begins an incident: makes a folder with a book in which this device is the only root. The seed that
    /// comes back is to be printed on paper and is nowhere else.
    ///
    /// # Errors
    /// [`Error::BookExists`] if there is one; otherwise nothing is left behind.
    pub fn create(
        folder: &Path,
        passphrase: &[u8],
        new: &NewIncident,
        mut host: Box<dyn Host>,
    ) -> Result<(Self, RecoverySeed), Error> {
        check_names(new)?;
        let key = new_folder(folder, passphrase, host.as_mut())?;
        let made = Self::found(folder, &key, new, host);
        if made.is_err() {
            remove_book(folder);
        }
        made
    }

    fn found(
        folder: &Path,
        key: &DatabaseKey,
        new: &NewIncident,
        mut host: Box<dyn Host>,
    ) -> Result<(Self, RecoverySeed), Error> {
        let device = DeviceSecret::random(host.as_mut());
        let seed = RecoverySeed::random(host.as_mut());
        let root = Root { device: device.public(), organisation: new.organisation.clone() };
        let founding = Founding::of_one(random(host.as_mut()), &new.incident, new.exercise, root, &seed);
        let founding = SignedFounding::sign(&founding, &[&device.signing])?;
        let mut store = Store::create(&folder.join(DATABASE), key, &view_tables())?;
        let incarnation = Incarnation::new(random(host.as_mut()));
        store.write(|tx| set_identity(tx, &founding, &device, &seed.admission(), &incarnation))?;
        let state = State::load(&store, store.read()?)?;
        let mut book = Self::of(folder, store, state, host);
        book.write(|writer| {
            writer.control(|_, _| Ok(Control::Incarnation { previous: Vec::new() }))?;
            make_first_compartments(writer)?;
            name_founder(writer, &new.person, &new.organisation)
        })?;
        Ok((book, seed))
    }

    /// Begins what several roots founded together, on the device of one of them: makes the first compartments,
    /// unless they are here already, and tells the directory who holds the device. Its book is made with
    /// [`Daybook::join`] from the statement that all roots signed; the others hear of the compartments and are
    /// given their keys when they meet.
    ///
    /// # Errors
    /// [`Error::NoRight`] if this device is no root, [`Error::NoKey`] if the compartments are here and their keys
    /// are not; nothing was written.
    pub fn begin(&mut self, person: &str, organisation: &str) -> Result<(), Error> {
        let new = NewIncident {
            incident: self.state.founding.founding().name.clone(),
            organisation: organisation.to_owned(),
            person: person.to_owned(),
            exercise: self.state.founding.founding().exercise,
        };
        check_names(&new)?;
        self.write(|writer| {
            if !writer.state.ring.roster.is_root(writer.state.device_id) {
                return Err(Error::NoRight);
            }
            if writer.state.ring.roster.compartments().is_empty() {
                make_first_compartments(writer)?;
            }
            name_founder(writer, person, organisation)
        })
    }

    /// Makes a book for a device that was admitted to an incident: founding statement, its own keys and the
    /// epoch secrets that it was given. Its logs come by [`Daybook::ingest`]; its first write begins its first
    /// incarnation.
    ///
    /// # Errors
    /// [`Error::BookExists`] if there is one; otherwise nothing is left behind.
    pub fn join(folder: &Path, passphrase: &[u8], membership: &Membership, host: Box<dyn Host>) -> Result<Self, Error> {
        Self::join_with(folder, passphrase, membership, host, |_| Ok(()))
    }

    /// As [`Daybook::join`], with a database key that the platform's key store keeps instead of a passphrase: the
    /// folder gets no `keys` file.
    ///
    /// # Errors
    /// [`Error::BookExists`] if there is one; otherwise nothing is left behind.
    pub fn join_with_key(
        folder: &Path,
        key: &DatabaseKey,
        membership: &Membership,
        host: Box<dyn Host>,
    ) -> Result<Self, Error> {
        if holds_a_book(folder) {
            return Err(Error::BookExists);
        }
        fs::create_dir_all(folder)?;
        Self::join_under(folder, key, membership, host, |_| Ok(()))
    }

    /// As [`Daybook::join`], and writes what `more` writes in the same transaction.
    pub(super) fn join_with(
        folder: &Path,
        passphrase: &[u8],
        membership: &Membership,
        mut host: Box<dyn Host>,
        more: impl FnOnce(&rusqlite::Connection) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let key = new_folder(folder, passphrase, host.as_mut())?;
        Self::join_under(folder, &key, membership, host, more)
    }

    fn join_under(
        folder: &Path,
        key: &DatabaseKey,
        membership: &Membership,
        mut host: Box<dyn Host>,
        more: impl FnOnce(&rusqlite::Connection) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let joined = (|| {
            let mut store = Store::create(&folder.join(DATABASE), key, &view_tables())?;
            let incarnation = Incarnation::new(random(host.as_mut()));
            store.write(|tx| {
                set_identity(tx, &membership.founding, &membership.device, &membership.admission, &incarnation)?;
                Store::set_value(tx, value::BEGIN, &[1])?;
                for (key, compartment, secret) in &membership.secrets {
                    Store::put_secret(tx, *key, *compartment, secret)?;
                }
                more(tx)
            })?;
            let state = State::load(&store, store.read()?)?;
            Ok(Self::of(folder, store, state, host))
        })();
        if joined.is_err() {
            remove_book(folder);
        }
        joined
    }

    /// Opens the book in a folder.
    ///
    /// # Errors
    /// Says what the folder is instead, or that the passphrase is wrong. A wrong one is counted
    /// ([`Daybook::wrong_attempts`]); nothing else is changed.
    pub fn open(folder: &Path, passphrase: &[u8], mut host: Box<dyn Host>) -> Result<Self, Error> {
        let (key, attempts) = key_store::unlock(&mut FolderKeys::of(folder), passphrase, host.now_ms())?;
        let mut book = Self::open_under(folder, &key, host).map_err(|error| match error {
            // The passphrase opened `keys`: so this folder is a book, and its database is not what it was.
            Error::NotABook => Error::Damaged("the file `book.db` does not open with the key in `keys`".into()),
            other => other,
        })?;
        book.attempts = attempts;
        Ok(book)
    }

    /// As [`Daybook::open`], with a database key that the platform's key store keeps.
    ///
    /// # Errors
    /// [`Error::NoBook`] if there is none; [`Error::NotABook`] if its database does not open with this key, which
    /// is the key of another book, or the file is damaged. Nothing is changed.
    pub fn open_with_key(folder: &Path, key: &DatabaseKey, host: Box<dyn Host>) -> Result<Self, Error> {
        if !folder.join(DATABASE).exists() {
            return Err(Error::NoBook);
        }
        Self::open_under(folder, key, host)
    }

    fn open_under(folder: &Path, key: &DatabaseKey, host: Box<dyn Host>) -> Result<Self, Error> {
        let store = Store::open(&folder.join(DATABASE), key)?;
        let state = State::load(&store, store.read()?)?;
        let mut book = Self::of(folder, store, state, host);
        book.make_views_if_older()?;
        Ok(book)
    }

    /// Seals the book's key under a new passphrase; rewrites one small file and no entry.
    ///
    /// # Errors
    /// [`Error::WrongPassphrase`] if the old one is wrong; the old one stays valid then.
    pub fn change_passphrase(folder: &Path, old: &[u8], new: &[u8], host: &mut dyn Host) -> Result<(), Error> {
        let (key, _) = key_store::unlock(&mut FolderKeys::of(folder), old, host.now_ms())?;
        write_keys(folder, new, &key, host)
    }

    /// Copies the book as it is at one moment into a new folder under a passphrase of its own.
    ///
    /// # Errors
    /// [`Error::BookExists`] if the target holds one; a target that was begun is removed again.
    pub fn backup(&mut self, target: &Path, passphrase: &[u8]) -> Result<(), Error> {
        self.write_notes();
        let key = new_folder(target, passphrase, self.host.as_mut())?;
        let copied =
            self.store.copy_to(&target.join(DATABASE), &key).map_err(Error::from).and_then(|()| sync_folder(target));
        if copied.is_err() {
            remove_book(target);
        }
        copied
    }

    /// Makes a book from a backup in a new folder, with the backup's passphrase. Its next write begins a new
    /// incarnation, so that it never contradicts what the lost book wrote.
    ///
    /// # Errors
    /// As [`Daybook::open`] and [`Daybook::backup`] say.
    pub fn restore(backup: &Path, target: &Path, passphrase: &[u8], host: Box<dyn Host>) -> Result<Self, Error> {
        let mut from = Self::open(backup, passphrase, host)?;
        from.store.check_integrity().map_err(|error| match error {
            StoreError::Damaged(_) => Error::Damaged("the backup is not as it was written".into()),
            other => other.into(),
        })?;
        from.backup(target, passphrase)?;
        let host = from.host;
        let mut book = Self::open(target, passphrase, host)?;
        book.write(|writer| {
            Store::set_value(writer.tx, value::BEGIN, &[1])?;
            writer.state.begin = true;
            Ok(())
        })?;
        Ok(book)
    }

    /// The folder of the book.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Bytes of the book on disk.
    pub(super) fn bytes_on_disk(&self) -> u64 {
        let files = [DATABASE, "book.db-wal", KEYS].map(|name| self.folder.join(name));
        files.iter().filter_map(|path| fs::metadata(path).ok()).map(|m| m.len()).sum()
    }
}

/// What an admitted device was given.
#[derive(Debug)]
pub struct Membership {
    /// The founding statement.
    pub founding: SignedFounding,
    /// Its own keys.
    pub device: DeviceSecret,
    /// The admission secret of the incident.
    pub admission: Secret<32>,
    /// Secrets of epochs with the compartments that they belong to.
    pub secrets: Secrets,
}

/// Writes who this device is.
fn set_identity(
    tx: &rusqlite::Connection,
    founding: &SignedFounding,
    device: &DeviceSecret,
    admission: &Secret<32>,
    incarnation: &Incarnation,
) -> Result<(), StoreError> {
    Store::set_value(tx, value::FOUNDING, founding.bytes())?;
    Store::set_value(tx, value::DEVICE, device.to_secret().expose())?;
    Store::set_value(tx, value::ADMISSION, admission.expose())?;
    Store::set_value(tx, value::INCARNATION, incarnation.as_bytes())?;
    Store::set_value(tx, value::HLC, &Hlc::default().bits().to_le_bytes())?;
    Store::set_value(tx, value::VIEWS, &super::VIEWS_VERSION.to_le_bytes())
}

/// Names are not empty and not longer than any text.
pub(super) fn check_names(new: &NewIncident) -> Result<(), Error> {
    for (what, text) in
        [("the incident's name", &new.incident), ("the organisation", &new.organisation), ("the person", &new.person)]
    {
        if text.trim().is_empty() {
            return Err(Error::Value { what, why: "must not be empty" });
        }
        if text.len() > TEXT_BYTES_MAX / 2 {
            return Err(Error::Value { what, why: "is too long" });
        }
    }
    Ok(())
}

/// Makes a compartment; the first directory has no name, since no epoch exists to seal it under.
fn make_compartment(writer: &mut Writer<'_>, kind: CompartmentKind) -> Result<CompartmentId, Error> {
    let id = writer.control(|state, place| {
        let name = match kind {
            CompartmentKind::Directory => None,
            kind => Some(seal_text(state, place, FIELD_COMPARTMENT_NAME, kind.word())?),
        };
        Ok(Control::Compartment { kind, name })
    })?;
    Ok(CompartmentId::new(*id.as_bytes()))
}

/// The compartments that every incident has, each with its first epoch.
fn make_first_compartments(writer: &mut Writer<'_>) -> Result<(), Error> {
    for kind in [CompartmentKind::Directory, CompartmentKind::Clinical, CompartmentKind::Supply, CompartmentKind::Audit]
    {
        let compartment = make_compartment(writer, kind)?;
        begin_epoch(writer, compartment)?;
    }
    Ok(())
}

/// A root needs no grant; it gives itself one without budget, which tells the directory who holds it.
pub(super) fn name_founder(writer: &mut Writer<'_>, person: &str, organisation: &str) -> Result<(), Error> {
    writer.control(|state, place| {
        Ok(Control::Grant(Box::new(Grant {
            device: state.device.public(),
            person: Some(seal_text(state, place, FIELD_PERSON, person)?),
            organisation: Some(seal_text(state, place, FIELD_ORGANISATION, organisation)?),
            role: Role::Admin.word().to_owned(),
            rights: Role::Admin.rights(),
            history: true,
            until_ms: None,
            grants: 0,
            compartments: 0,
            lifts: Vec::new(),
        })))
    })?;
    Ok(())
}

/// Makes the folder and its `keys` file; the folder may be there and empty.
pub(super) fn new_folder(folder: &Path, passphrase: &[u8], host: &mut dyn Host) -> Result<DatabaseKey, Error> {
    if holds_a_book(folder) {
        return Err(Error::BookExists);
    }
    if passphrase.is_empty() {
        return Err(Error::EmptyPassphrase);
    }
    let there = folder.exists();
    fs::create_dir_all(folder)?;
    let key = DatabaseKey::random(host);
    if let Err(error) = write_keys(folder, passphrase, &key, host) {
        if !there {
            let _ = fs::remove_dir(folder);
        }
        return Err(error);
    }
    Ok(key)
}

/// Takes back a folder that this call began.
pub(super) fn remove_book(folder: &Path) {
    for name in [DATABASE, "book.db-wal", "book.db-shm", "book.db-mark", KEYS, ATTEMPTS] {
        // What is not there needs no removal; what cannot be removed is named by the error that led here.
        let _ = fs::remove_file(folder.join(name));
    }
    let _ = fs::remove_dir(folder);
}

pub(super) fn read_keys(folder: &Path) -> Result<Vec<u8>, Error> {
    let path = folder.join(KEYS);
    if !folder.join(DATABASE).exists() {
        return Err(if path.exists() { Error::Damaged("the file `book.db` is missing".into()) } else { Error::NoBook });
    }
    let mut bytes = Vec::new();
    let file = File::open(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::KeysDamaged,
        _ => error.into(),
    })?;
    // A book's `keys` file is far smaller; a larger one is read no further.
    file.take(64 * 1024).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes the `keys` file of a book.
fn write_keys(folder: &Path, passphrase: &[u8], key: &DatabaseKey, host: &mut dyn Host) -> Result<(), Error> {
    if passphrase.is_empty() {
        return Err(Error::EmptyPassphrase);
    }
    write_durably(folder, KEYS, &KeyFile::create(passphrase, key, KeyFileParams::FLOOR, host)?)
}

/// Whether a folder holds a book, or a part of one.
pub(super) fn holds_a_book(folder: &Path) -> bool {
    folder.join(DATABASE).exists() || folder.join(KEYS).exists()
}

/// Writes a small file beside the old one, makes it durable, and puts it in its place.
pub(super) fn write_durably(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let beside: PathBuf = folder.join(format!("{name}.new"));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, folder.join(name))
    })();
    if let Err(error) = written {
        let _ = fs::remove_file(&beside);
        return Err(error.into());
    }
    sync_folder(folder)
}

/// Makes the names in a folder durable, where the system knows that.
fn sync_folder(folder: &Path) -> Result<(), Error> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

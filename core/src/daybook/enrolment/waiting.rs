//! What waits in a folder that holds no book yet: a small file with secrets, sealed under the passphrase.
//!
//! ```text
//! key file 134 | sealed field: text
//! ```

use crate::clock::Host;
use crate::crypto::{DatabaseKey, FieldPlace, KeyFile, KeyFileParams, Place, ReadingKey, Secret, SecretBytes};
use crate::daybook::error::Error;
use crate::daybook::founding::write_durably;
use crate::id::{IncidentId, LogId};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Length of the key file that each begins with.
const KEY_FILE_BYTES: usize = 134;
/// Where the sealed text stands: nowhere in any incident.
const PLACE: FieldPlace =
    FieldPlace { entry: Place { incident: IncidentId::ZERO, log: LogId::ZERO, seq: 0 }, field: 0 };

/// A file of a folder that waits for what comes from another device.
pub(in crate::daybook) struct Waiting {
    pub name: &'static str,
    /// Most bytes that are read of it.
    pub bytes_max: u64,
}

/// What became of reading it.
pub(in crate::daybook) enum Found {
    /// No such file.
    Nothing,
    /// Its secrets.
    Text(SecretBytes),
    /// It is there and not as it was written.
    Damaged,
}

impl Waiting {
    /// Whether it is there.
    pub fn is_in(&self, folder: &Path) -> bool {
        folder.join(self.name).exists()
    }

    /// Writes it durably; the folder is made if it is not there.
    pub fn write(&self, folder: &Path, passphrase: &[u8], text: &[u8], host: &mut dyn Host) -> Result<(), Error> {
        if passphrase.is_empty() {
            return Err(Error::EmptyPassphrase);
        }
        let there = folder.exists();
        fs::create_dir_all(folder)?;
        let key = DatabaseKey::random(host);
        let mut bytes = KeyFile::create(passphrase, &key, KeyFileParams::FLOOR, host)?;
        bytes.extend(sealing_key(&key).seal_field(&PLACE, text));
        let written = write_durably(folder, self.name, &bytes);
        if written.is_err() && !there {
            let _ = fs::remove_dir(folder);
        }
        written
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`Error::WrongPassphrase`], or that the file cannot be read.
    pub fn read(&self, folder: &Path, passphrase: &[u8]) -> Result<Found, Error> {
        let file = match File::open(folder.join(self.name)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Nothing),
            other => other?,
        };
        let mut bytes = Vec::new();
        file.take(self.bytes_max).read_to_end(&mut bytes)?;
        let Some((keys, sealed)) = bytes.split_at_checked(KEY_FILE_BYTES) else { return Ok(Found::Damaged) };
        let key = match KeyFile::open(keys, passphrase).map_err(Error::from) {
            Err(Error::KeysDamaged | Error::NotABook) => return Ok(Found::Damaged),
            other => other?,
        };
        let text = sealing_key(&key).open_field(&PLACE, sealed);
        Ok(text.map_or(Found::Damaged, |text| Found::Text(SecretBytes::new(text))))
    }

    /// Takes it away, after what it waited for came.
    pub fn remove(&self, folder: &Path) {
        // A file that stays tells nothing: it is sealed, and a book stands beside it.
        let _ = fs::remove_file(folder.join(self.name));
    }
}

/// The key of such a file, which only this file has.
fn sealing_key(key: &DatabaseKey) -> ReadingKey {
    ReadingKey::from_secret(Secret::new(*key.key()))
}

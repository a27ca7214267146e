//! Where the books of a drill lie: a temporary folder that goes with it, or one that stays.

use std::fs;
use std::path::{Path, PathBuf};

use daybook_core::clock::Host;
use daybook_core::id::hex;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::host::SystemHost;
use crate::passphrase::Passphrase;
use crate::target::{unwritable, write_new};

/// The file with the passphrase, in a folder that stays.
pub const PASSPHRASE_FILE: &str = "passphrase-of-the-exercise";

/// The folder; a temporary one is removed when this is dropped.
pub struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    /// The folder to keep, which must hold nothing yet, or a temporary one.
    ///
    /// # Errors
    /// When it cannot be made, or holds something.
    pub fn new(keep: Option<&Path>) -> Result<Self, Failure> {
        let Some(keep) = keep else {
            let path = std::env::temp_dir().join(format!("daybook-drill-{}", hexadecimal::<8>()));
            make(&path)?;
            return Ok(Self { path, temporary: true });
        };
        match fs::read_dir(keep).map(|mut inside| inside.next().is_some()) {
            Ok(true) => {
                return Err(Failure::environment("exists", "there is something in that folder already")
                    .then("name a new folder after --keep"));
            }
            Ok(false) => {}
            Err(_) => make(keep)?,
        }
        Ok(Self { path: keep.to_owned(), temporary: false })
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path, if it stays.
    pub fn kept(&self) -> Option<&Path> {
        (!self.temporary).then_some(self.path.as_path())
    }

    /// Draws the passphrase of all books; one that somebody will need stands in a file beside them.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn passphrase(&self) -> Result<Passphrase, Failure> {
        let passphrase = Zeroizing::new(hexadecimal::<16>());
        if !self.temporary {
            write_new(&self.path.join(PASSPHRASE_FILE), |to| writeln!(to, "{}", *passphrase).map_err(unwritable))?;
        }
        Ok(Zeroizing::new(passphrase.as_bytes().to_vec()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            // What cannot be removed is sealed under a passphrase that nobody knows.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Makes a folder that only its owner can read.
fn make(path: &Path) -> Result<(), Failure> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| {
        Failure::environment("cannot-write", "the folder for the drill cannot be made")
            .because(error)
            .then("check the free space, or name another folder with --keep")
    })
}

/// Random bytes of the operating system, in hexadecimal.
fn hexadecimal<const N: usize>() -> String {
    let mut bytes = [0; N];
    SystemHost.fill(&mut bytes);
    hex(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_folder_goes_and_a_kept_one_stays() {
        let temporary = Folder::new(None).unwrap();
        let path = temporary.path().to_owned();
        temporary.passphrase().unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "a passphrase that nobody needs stands nowhere");
        drop(temporary);
        assert!(!path.exists());
        let parent = tempfile::tempdir().unwrap();
        let keep = parent.path().join("keep");
        let kept = Folder::new(Some(&keep)).unwrap();
        let passphrase = kept.passphrase().unwrap();
        drop(kept);
        assert_eq!(fs::read(keep.join(PASSPHRASE_FILE)).unwrap(), [&**passphrase, b"\n"].concat());
        assert_eq!(Folder::new(Some(&keep)).err().unwrap().code(), "exists");
    }
}

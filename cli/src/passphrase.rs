//! Where the passphrase comes from: a file, the environment, or a person at the keyboard.
//!
//! A passphrase is never an argument (others see those in the list of processes), never echoed, never in a
//! message, and wiped from memory after use.

use std::ffi::OsString;
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::Path;

use zeroize::Zeroizing;

use crate::failure::Failure;

/// The bytes of a passphrase; wiped when dropped.
pub type Passphrase = Zeroizing<Vec<u8>>;

/// The environment variable with the passphrase of the book.
pub const ENVIRONMENT: &str = "DAYBOOK_PASSPHRASE";
/// The environment variable with the passphrase that replaces it.
pub const ENVIRONMENT_NEW: &str = "DAYBOOK_NEW_PASSPHRASE";

/// Longest passphrase in bytes.
const BYTES_MAX: u64 = 1_024;

/// Takes the passphrase of an existing book: from the file, else the environment, else by prompt.
///
/// # Errors
/// A file that cannot be read, an empty passphrase, or nobody to ask.
pub fn existing(file: Option<&Path>) -> Result<Passphrase, Failure> {
    match given(file, ENVIRONMENT)? {
        Some(passphrase) => Ok(passphrase),
        None => ask("Passphrase: "),
    }
}

/// Takes another secret text, as [`existing`] takes a passphrase.
///
/// # Errors
/// As [`existing`].
pub fn secret(file: Option<&Path>, environment: &str, prompt: &str) -> Result<Passphrase, Failure> {
    match given(file, environment)? {
        Some(secret) => Ok(secret),
        None => ask(prompt),
    }
}

/// Takes a passphrase that will be set: as [`existing`], but a prompt asks twice.
///
/// # Errors
/// As [`existing`], and when the two answers differ.
pub fn chosen(file: Option<&Path>, environment: &str) -> Result<Passphrase, Failure> {
    if let Some(passphrase) = given(file, environment)? {
        return Ok(passphrase);
    }
    let first = ask("New passphrase: ")?;
    let second = ask("The same again: ")?;
    if *first == *second {
        Ok(first)
    } else {
        Err(Failure::usage("passphrases-differ", "the two passphrases are not the same")
            .then("run the command again and type the same passphrase twice"))
    }
}

fn given(file: Option<&Path>, environment: &str) -> Result<Option<Passphrase>, Failure> {
    let found = match file {
        Some(path) => Some(from_file(path)?),
        None => std::env::var_os(environment).map(OsString::into_encoded_bytes).map(Zeroizing::new),
    };
    found.map(checked).transpose()
}

fn from_file(path: &Path) -> Result<Passphrase, Failure> {
    let unreadable = |error| {
        Failure::environment("passphrase-file", "the passphrase file cannot be read")
            .because(error)
            .then("check the path after --passphrase-file, and that you may read it")
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(BYTES_MAX + 2).unwrap_or_default()));
    File::open(path).and_then(|file| file.take(BYTES_MAX + 2).read_to_end(&mut bytes)).map_err(unreadable)?;
    let end = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    bytes.truncate(end);
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(bytes)
}

/// Asks a person, without echo.
///
/// # Errors
/// When nobody is at a keyboard.
pub fn ask(prompt: &str) -> Result<Passphrase, Failure> {
    let nobody = || {
        Failure::environment("no-passphrase", "no passphrase was given and nobody can be asked")
            .then("use --passphrase-file FILE or set DAYBOOK_PASSPHRASE")
    };
    if !std::io::stdin().is_terminal() && !std::io::stderr().is_terminal() {
        return Err(nobody());
    }
    let typed = rpassword::prompt_password(prompt).map_err(|error| nobody().because(error))?;
    checked(Zeroizing::new(typed.into_bytes()))
}

/// Refuses what no passphrase can be.
///
/// # Errors
/// When it is empty or longer than 1,024 bytes.
pub fn checked(passphrase: Passphrase) -> Result<Passphrase, Failure> {
    if passphrase.is_empty() {
        return Err(
            Failure::usage("empty-passphrase", "the passphrase is empty").then("give one, best of four words or more")
        );
    }
    if u64::try_from(passphrase.len()).unwrap_or(u64::MAX) > BYTES_MAX {
        return Err(Failure::usage("long-passphrase", "the passphrase is longer than 1,024 bytes")
            .then("check that this is the file you mean; its first line is the passphrase"));
    }
    Ok(passphrase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_file(content: &[u8]) -> Result<Passphrase, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        std::fs::write(&path, content).unwrap();
        existing(Some(&path))
    }

    #[test]
    fn the_first_line_of_the_file_is_the_passphrase() {
        for content in [&b"four words or more"[..], b"four words or more\n", b"four words or more\r\nsecond line\n"] {
            assert_eq!(**of_file(content).unwrap(), *b"four words or more");
        }
        assert_eq!(**of_file("contraseña ".as_bytes()).unwrap(), *"contraseña ".as_bytes());
    }

    #[test]
    fn empty_long_and_missing_files_are_told_apart() {
        assert_eq!(of_file(b"").unwrap_err().code(), "empty-passphrase");
        assert_eq!(of_file(b"\nsecond").unwrap_err().code(), "empty-passphrase");
        assert_eq!(of_file(&[b'x'; 1_025]).unwrap_err().code(), "long-passphrase");
        assert_eq!(existing(Some(Path::new("/no/such/file"))).unwrap_err().code(), "passphrase-file");
    }
}

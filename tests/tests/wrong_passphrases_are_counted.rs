//! A wrong passphrase costs Argon2id, is counted and told at the next opening, and locks and erases nothing. A phone's
//! key store counts before it looks, and erases the key where its policy says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use daybook_core::crypto::{DatabaseKey, Secret};
use daybook_core::daybook::{AttemptPolicy, Attempts, Daybook, Error, ErrorKind, FolderKeys, KeyStore};
use daybook_core::roster::Role;
use daybook_tests::host::{START_MS, SeededHost};
use daybook_tests::world::World;
use std::num::NonZeroU32;
use std::path::Path;

const RIGHT: &[u8] = b"correct horse battery";

fn host() -> Box<SeededHost> {
    Box::new(SeededHost::new(4))
}

fn key() -> DatabaseKey {
    DatabaseKey::new(Secret::new([1; 32]), Secret::new([2; 16]))
}

fn open(path: &Path, passphrase: &[u8]) -> Result<Daybook, Error> {
    Daybook::open(path, passphrase, host())
}

#[test]
fn wrong_passphrases_are_counted_told_once_and_lock_nothing() {
    let world = World::new(1, 1, Role::Clinician);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book");
    let book = Daybook::join(&path, RIGHT, &world.membership(&world.authors[0].device), host()).unwrap();
    assert_eq!(book.wrong_attempts(), Attempts::default());
    drop(book);
    for _ in 0..12 {
        assert!(matches!(open(&path, b"correct horse batterY"), Err(Error::WrongPassphrase)));
    }
    let changed = Daybook::change_passphrase(&path, b"wrong", b"new", &mut SeededHost::new(5));
    assert!(matches!(changed, Err(Error::WrongPassphrase)));
    let attempts = open(&path, RIGHT).unwrap().wrong_attempts();
    assert_eq!((attempts.wrong, attempts.first_ms, attempts.last_ms), (13, START_MS + 1, START_MS + 1));
    assert_eq!(open(&path, RIGHT).unwrap().wrong_attempts(), Attempts::default());
    assert!(!path.join("attempts").exists());
    // What is no count says nothing and stops nobody.
    std::fs::write(path.join("attempts"), b"daybkwrg and more").unwrap();
    assert_eq!(open(&path, RIGHT).unwrap().wrong_attempts(), Attempts::default());
    std::fs::create_dir(path.join("attempts.new")).unwrap();
    assert!(matches!(open(&path, b"wrong"), Err(Error::WrongPassphrase)));
    open(&path, RIGHT).unwrap();
}

/// A phone's key store: an erased key is gone, a count survives.
struct Phone {
    key: Option<DatabaseKey>,
    attempts: Attempts,
    limit: u32,
    /// Whether the phone is switched off while it looks.
    cut: bool,
}

impl KeyStore for Phone {
    fn unlock(&mut self, secret: &[u8]) -> Result<DatabaseKey, Error> {
        if self.cut {
            return Err(Error::Disk("switched off".into()));
        }
        self.key.clone().filter(|_| secret == b"2580").ok_or(Error::WrongPassphrase)
    }

    fn attempts(&mut self) -> Result<Attempts, Error> {
        Ok(self.attempts)
    }

    fn keep(&mut self, attempts: Attempts) -> Result<(), Error> {
        self.attempts = attempts;
        Ok(())
    }

    fn policy(&self) -> AttemptPolicy {
        NonZeroU32::new(self.limit).map_or(AttemptPolicy::Count, AttemptPolicy::EraseAfter)
    }

    fn erase(&mut self) -> Result<(), Error> {
        self.key = None;
        Ok(())
    }
}

#[test]
fn a_phone_erases_its_key_after_the_limit_and_counts_what_was_cut_off() {
    let world = World::new(1, 1, Role::Clinician);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book");
    drop(Daybook::join_with_key(&path, &key(), &world.membership(&world.authors[0].device), host()).unwrap());
    let phone = |limit| Phone { key: Some(key()), attempts: Attempts::default(), limit, cut: false };
    let opened = |phone: &mut Phone, pin: &[u8]| Daybook::open_with_store(&path, phone, pin, host());

    let mut strict = phone(10);
    for wrong in 1..10 {
        assert!(matches!(opened(&mut strict, b"0000"), Err(Error::WrongPassphrase)));
        assert_eq!(strict.attempts.wrong, wrong);
    }
    let book = opened(&mut strict, b"2580").unwrap();
    assert_eq!((book.wrong_attempts().wrong, strict.attempts), (9, Attempts::default()));
    drop(book);
    // Whoever switches it off before it says no has spent the attempt all the same.
    strict.cut = true;
    for _ in 0..9 {
        assert!(matches!(opened(&mut strict, b"0000"), Err(Error::Disk(_))));
    }
    strict.cut = false;
    let error = opened(&mut strict, b"0000").unwrap_err();
    assert!(matches!(error, Error::KeyErased) && error.kind() == ErrorKind::Denied, "{error}");
    assert!(strict.key.is_none());
    assert!(matches!(opened(&mut strict, b"2580"), Err(Error::KeyErased)));

    // The right one at the last attempt opens; and without a limit nothing is ever erased.
    let mut last = phone(1);
    drop(opened(&mut last, b"2580").unwrap());
    let mut patient = phone(0);
    for _ in 0..100 {
        assert!(matches!(opened(&mut patient, b"0000"), Err(Error::WrongPassphrase)));
    }
    assert_eq!(opened(&mut patient, b"2580").unwrap().wrong_attempts().wrong, 100);
    assert_eq!(FolderKeys::of(&path).policy(), AttemptPolicy::Count);
}

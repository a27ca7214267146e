//! On a phone the key of a book lies in the platform's key store, and nobody types a passphrase for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::crypto::DatabaseKey;
use daybook_core::daybook::{Daybook, Error};
use daybook_core::roster::Role;
use daybook_tests::host::SeededHost;
use daybook_tests::world::World;

#[test]
fn a_book_opens_with_its_key_and_with_no_other() {
    let world = World::new(1, 1, Role::Clinician);
    let member = world.membership(&world.authors[0].device);
    let mut keys = SeededHost::new(2);
    let [key, other] = [(); 2].map(|()| DatabaseKey::random(&mut keys));
    let host = || Box::new(SeededHost::new(3));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book");
    assert!(matches!(Daybook::open_with_key(&path, &key, host()), Err(Error::NoBook)));
    let mut book = Daybook::join_with_key(&path, &key, &member, host()).unwrap();
    book.take_runs(&world.control_runs()).unwrap();
    book.post_all().unwrap();
    let digest = book.digest().unwrap();
    drop(book);
    assert!(!path.join("keys").exists());
    assert!(matches!(Daybook::join_with_key(&path, &other, &member, host()), Err(Error::BookExists)));
    assert!(matches!(Daybook::open_with_key(&path, &other, host()), Err(Error::NotABook)));
    assert!(matches!(Daybook::open(&path, b"pass", host()), Err(Error::KeysDamaged)));
    assert_eq!(Daybook::open_with_key(&path, &key, host()).unwrap().digest().unwrap(), digest);
}

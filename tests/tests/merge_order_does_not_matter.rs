//! Whatever the order in which entries come, with duplicates, gaps and restarts: all books are one, and what
//! they show is what the reference model says.
//!
//! `DAYBOOK_SEED=7` runs the case of one seed, `DAYBOOK_CASES=2000` more cases than the 256 of a normal run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_tests::history::{History, Replica, scratch};
use daybook_tests::model::{differs, model};
use daybook_tests::seeds::each;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

const CASES: u64 = 256;

#[test]
fn merge_order_does_not_matter() {
    each("merge_order_does_not_matter", CASES, case);
}

fn case(seed: u64) {
    let history = History::of(seed);
    let expected = model(&history.entries);
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let mut digests = Vec::new();
    for replica in 0..2 {
        let mut rng = ChaCha20Rng::seed_from_u64(seed << 8 | replica);
        let path = folder.path().join(replica.to_string());
        let mut book = Replica::join(&history.world, &path, rng.random());
        // A restart costs a passphrase, so one book in four has one.
        book.deliver(history.runs(&mut rng), &mut rng, usize::from(replica == seed % 4));
        if replica == 0 {
            let same = differs(book.book(), &expected, &history.patients);
            assert!(same.is_ok(), "seed {seed}: {}", same.unwrap_err());
        }
        digests.push(book.digest());
    }
    assert_eq!(digests[0], digests[1], "seed {seed}: two books of the same entries differ");
}

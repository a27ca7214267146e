//! With a second core, runs are read ahead and views are made beside the writing. The book is the same as without:
//! whatever comes in whatever order, control entries and what only they open among it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::daybook::Daybook;
use daybook_tests::history::{History, Replica, Shape, scratch};
use daybook_tests::host::SeededHost;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// Entries enough for batches behind one another, and for views that a second thread makes.
const SHAPE: Shape = Shape { entries: 2_400, patients: 40 };

fn join(history: &History, path: &std::path::Path) -> Daybook {
    let membership = history.world.membership(&history.world.authors[0].device);
    Daybook::join(path, b"pass", &membership, Box::new(SeededHost::new(1))).unwrap()
}

#[test]
fn two_cores_make_the_same_book() {
    let history = History::new(21, SHAPE);
    let mut rng = ChaCha20Rng::seed_from_u64(21);
    // Log by log, each in pieces; the keys come before all else or after it.
    let pieces: Vec<Vec<u8>> = history.chains.iter().flat_map(|chain| chain.runs(64)).collect();
    let control = history.world.control_runs();
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let mut one = Replica::join(&history.world, &folder.path().join("one by one"), 1);
    one.deliver(history.runs(&mut rng), &mut rng, 0);
    for (name, order) in [("before", [&control, &pieces]), ("after", [&pieces, &control])] {
        let mut book = join(&history, &folder.path().join(name));
        // What is no run is refused, and the others go on.
        let runs = order.into_iter().flatten().cloned().chain([vec![7; 300]]);
        let mut told = 0;
        let taken = book.take_all(&mut runs.into_iter(), &mut |done| told = done).unwrap();
        assert_eq!(told, taken.new + taken.known, "{name}");
        assert_eq!(taken.refused, [("E-007".to_owned(), 1)], "{name}");
        assert!(taken.new > 2_400, "{name}");
        assert_eq!(book.digest().unwrap(), one.digest(), "{name}");
        assert_eq!(book.verify(&mut |_, _| {}).unwrap().problems, Vec::<String>::new(), "{name}");
    }
}

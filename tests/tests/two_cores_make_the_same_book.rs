//! With a second core, runs are read ahead and views are made beside the writing. The book is the same as without:
//! whatever comes in whatever order, control entries and what only they open among it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::daybook::Daybook;
use daybook_tests::history::{History, Replica, Shape, scratch};
use daybook_tests::host::SeededHost;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha20Rng;

/// Entries enough for batches behind one another, and for views that a second thread makes.
const SHAPE: Shape = Shape { entries: 3_000, patients: 40 };

fn join(history: &History, path: &std::path::Path) -> Daybook {
    let membership = history.world.membership(&history.world.authors[0].device);
    Daybook::join(path, b"pass", &membership, Box::new(SeededHost::new(1))).unwrap()
}

#[test]
fn two_cores_make_the_same_book() {
    let history = History::new(21, SHAPE);
    let mut rng = ChaCha20Rng::seed_from_u64(21);
    let mut runs = history.runs(&mut rng);
    runs.extend(history.world.control_runs());
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let mut one = Replica::join(&history.world, &folder.path().join("one by one"), 1);
    one.deliver(runs.clone(), &mut rng, 0);
    for order in 0..3 {
        runs.shuffle(&mut rng);
        let mut book = join(&history, &folder.path().join(order.to_string()));
        // What does not join yet is given again; a run that is no run is refused and the others go on.
        runs.push(vec![7; 300]);
        let mut new = 0;
        for _ in 0..runs.len() {
            let mut told = 0;
            let taken = book.take_all(&mut runs.iter().cloned(), &mut |done| told = done).unwrap();
            assert_eq!(told, taken.new + taken.known);
            new += taken.new;
            if taken.refused.iter().map(|(_, count)| count).sum::<u64>() == 1 {
                break;
            }
        }
        runs.pop();
        assert!(new > 3_000);
        assert_eq!(book.digest().unwrap(), one.digest());
        assert_eq!(book.verify(&mut |_, _| {}).unwrap().problems, Vec::<String>::new());
    }
}

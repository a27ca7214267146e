//! An app may open two books at the very moment it starts, on two threads. With 64 threads and 40 tries on a busy
//! machine, two runs of six found a thread that was told of no cipher, before the first book was opened alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use daybook_core::crypto::DatabaseKey;
use daybook_core::store::Store;
use daybook_tests::host::SeededHost;
use std::process::Command;
use std::sync::Barrier;

/// Tells this program that it is to be the app.
const APP: &str = "DAYBOOK_TEST_APP";
const THREADS: u64 = 16;

#[test]
fn are_made_at_one_moment_on_many_threads() {
    if std::env::var_os(APP).is_some() {
        return start();
    }
    // SQLite starts once in a process, so each try needs one.
    for _ in 0..8 {
        let me = std::env::current_exe().unwrap();
        let said = Command::new(me)
            .args(["--exact", "are_made_at_one_moment_on_many_threads"])
            .env(APP, "1")
            .output()
            .unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
    }
}

fn start() {
    let folder = tempfile::tempdir().unwrap();
    let together = Barrier::new(usize::try_from(THREADS).unwrap());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (folder, together) = (folder.path(), &together);
            scope.spawn(move || {
                let key = DatabaseKey::random(&mut SeededHost::new(thread));
                together.wait();
                Store::create(&folder.join(thread.to_string()), &key, "").unwrap();
            });
        }
    });
}

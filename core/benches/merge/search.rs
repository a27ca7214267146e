//! Searching in a list of 50,000 patients, by the facade's way: who searched is noted too.

use super::measure::{forget_cached, median, p95, took};
use super::{Options, book};
use daybook_core::daybook::{Daybook, FolderKeys, KeyStore};
use daybook_tests::host::SeededHost;
use daybook_tests::workload::{FAMILY, GIVEN, Workload};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Patients in the list.
const PATIENTS: usize = 50_000;
/// Searches of each kind.
const SEARCHES: usize = 200;
/// Lines that are shown.
const LINES: usize = 20;

pub fn measure(options: &Options) -> Value {
    let workload = Workload::registrations(PATIENTS);
    let folder = tempfile::tempdir_in(&options.folder).expect("a folder");
    let folder = folder.path().join("book");
    let mut book = book::empty(&workload.world, &folder);
    book::fill(&mut book, &mut workload.runs.iter().cloned());
    options.say(&format!("search: {PATIENTS} patients of {} family names, {SEARCHES} searches each", FAMILY.len()));
    let family = |at: usize| FAMILY[at % FAMILY.len()];
    let given = |at: usize| GIVEN[at * 7 % GIVEN.len()];
    let prefix = |name: &str, letters| name.chars().take(letters).collect::<String>();
    let mut results = Map::new();
    let mut kind = |name: &'static str, text: &dyn Fn(usize) -> String| {
        let ms = (0..SEARCHES).map(|at| search(&mut book, &text(at))).collect::<Vec<_>>();
        let (middle, most) = (median(ms.iter().copied()), p95(&ms));
        options.say(&format!("  {name:<36} {middle:>7.2} ms, 95 in 100 under {most:>7.2} ms"));
        results.insert(name.replace(' ', "_"), json!({"ms": middle, "p95_ms": most}));
    };
    kind("first letters of a family name", &|at| prefix(family(at), 3));
    kind("family name and given name", &|at| format!("{} {}", family(at), given(at)));
    kind("first letters of both", &|at| format!("{} {}", prefix(family(at), 3), prefix(given(at), 2)));
    kind("an identifier", &|at| format!("MRN{:07}", at * 251 % PATIENTS));
    kind("one letter", &|at| prefix(family(at), 1));
    drop(book);
    results.insert("cold".into(), cold(options, &folder));
    Value::Object(results)
}

fn search(book: &mut Daybook, text: &str) -> f64 {
    let (found, time) = took(|| book.find(text, LINES).expect("a list"));
    assert!(!found.is_empty(), "{text}");
    time.wall.as_secs_f64() * 1e3
}

/// The first search after opening, when nothing of the book is in memory.
fn cold(options: &Options, folder: &Path) -> Value {
    let key = FolderKeys::of(folder).unlock(book::PASSPHRASE).expect("the right passphrase");
    let mut all = Vec::new();
    let mut forgotten = true;
    for run in 0..options.runs {
        forgotten &= forget_cached(folder);
        let mut book =
            Daybook::open_with_key(folder, &key, Box::new(SeededHost::new(90 + run as u64))).expect("a book");
        all.push(search(&mut book, &format!("{} {}", FAMILY[run % FAMILY.len()], GIVEN[run % GIVEN.len()])));
    }
    let middle = median(all.iter().copied());
    options
        .say(&format!("  the first one after opening, nothing in memory {middle:.2} ms, median of {}", options.runs));
    json!({"ms": middle, "forgotten": forgotten})
}

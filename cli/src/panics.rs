//! A fault of this program ends it with exit code 70 and without a word of data.
//!
//! The default hook prints the message of a panic, and that may hold what a record says. Here only the place
//! in the source is kept. A panic that the book catches itself, as when it builds a record's document, stays
//! quiet.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::Mutex;

use crate::failure::{Failure, Kind};

/// Where the last panic happened.
static PLACE: Mutex<Option<String>> = Mutex::new(None);

/// Replaces the hook that prints.
pub fn watch() {
    set_hook(Box::new(|info| {
        let place = info.location().map(|l| format!("{}:{}", l.file(), l.line()));
        if let Ok(mut last) = PLACE.lock() {
            *last = place;
        }
    }));
}

/// Runs `work`; a panic in it becomes a failure.
///
/// # Errors
/// The failure that a panic becomes.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        let place = PLACE.lock().ok().and_then(|mut last| last.take()).unwrap_or_else(|| "unknown".to_owned());
        Failure::new("bug", Kind::Bug, format!("daybook has a fault at {place}"))
            .then("what was written before is safe; run `daybook verify`, then report this message")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_tells_its_place_and_not_its_message() {
        watch();
        let failure = caught(|| panic!("MARKER")).unwrap_err();
        let _ = std::panic::take_hook();
        let told = format!("{failure:?}");
        assert!(told.contains("panics.rs:") && !told.contains("MARKER"), "{told}");
        assert_eq!(failure.kind().exit_code(), 70);
    }
}

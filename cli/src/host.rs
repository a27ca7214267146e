//! What this computer lends to the book: its clock, its offset from UTC and its randomness.

use std::time::{SystemTime, UNIX_EPOCH};

use daybook_core::clock::Host;

use crate::failure::Failure;

/// The operating system's clock and randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemHost;

impl SystemHost {
    /// The host in the form that the book takes.
    #[must_use]
    pub fn boxed() -> Box<dyn Host> {
        Box::new(Self)
    }
}

impl Host for SystemHost {
    fn now_ms(&mut self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        }
    }

    fn offset_minutes(&mut self) -> i16 {
        let seconds = jiff::tz::TimeZone::system().to_offset(jiff::Timestamp::now()).seconds();
        i16::try_from(seconds / 60).unwrap_or(0)
    }

    /// Ends the process if the operating system has no randomness: a book written without it is open to all.
    fn fill(&mut self, bytes: &mut [u8]) {
        if getrandom::fill(bytes).is_err() {
            let failure = Failure::environment("no-randomness", "the operating system gives no randomness")
                .then("restart this computer; without randomness no key can be made");
            std::process::exit(failure.tell(false).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_present_is_after_this_was_written_and_the_offset_is_on_earth() {
        let mut host = SystemHost;
        assert!(host.now_ms() > 1_700_000_000_000);
        assert!((-1_080..=1_080).contains(&host.offset_minutes()));
    }

    #[test]
    fn two_draws_differ() {
        let [mut one, mut other] = [[0; 16]; 2];
        SystemHost.fill(&mut one);
        SystemHost.fill(&mut other);
        assert_ne!(one, other);
    }
}

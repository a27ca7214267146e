//! Dates and times as typed.

use daybook_core::clock::{EffectiveTime, Host};
use daybook_core::record::PartialDate;

use crate::failure::Failure;
use crate::host::SystemHost;

/// This computer's offset from UTC in minutes.
#[must_use]
pub fn offset_here() -> i16 {
    SystemHost.offset_minutes()
}

/// When something happened: `YYYY`, `YYYY-MM`, `YYYY-MM-DD`, or a day with `Thh:mm` and more.
///
/// # Errors
/// When it is no such time.
pub fn when(text: Option<&str>, offset_minutes: i16) -> Result<Option<EffectiveTime>, Failure> {
    let bad = || {
        Failure::usage("bad-time", "the time is not one that this program can read")
            .then("write 2026-11-22T08:05, or 2026-11-22, 2026-11, 2026 if it is not known more exactly")
    };
    text.map(|t| EffectiveTime::parse(t.trim(), offset_minutes).ok_or_else(bad)).transpose()
}

/// A birth date as far as it is known.
///
/// # Errors
/// When it is no date.
pub fn birth(text: &str) -> Result<PartialDate, Failure> {
    date(text, "the birth date is not one that this program can read")
}

/// When a lot expires.
///
/// # Errors
/// When it is no date.
pub fn expiry(text: Option<&str>) -> Result<Option<PartialDate>, Failure> {
    text.map(|t| date(t, "the expiry date is not one that this program can read")).transpose()
}

fn date(text: &str, message: &'static str) -> Result<PartialDate, Failure> {
    PartialDate::parse(text.trim()).ok_or_else(|| {
        Failure::usage("bad-date", message).then("write 1943-03-17, or 1943-03 or 1943 if it is not known more exactly")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_other_countries_are_refused_with_the_form() {
        for text in ["17.03.1943", "03/17/1943", "1943-3-17", "43", "2023-02-29", "yesterday", "", "10 weeks"] {
            assert_eq!(birth(text).unwrap_err().code(), "bad-date", "{text}");
            assert_eq!(when(Some(text), 0).unwrap_err().code(), "bad-time", "{text}");
        }
        assert_eq!(birth(" 1943-03 ").unwrap().to_string(), "1943-03");
        assert_eq!(when(Some("2026-11-22 08:05"), 60).unwrap().unwrap().to_fhir(), "2026-11-22T08:05+01:00");
        assert_eq!(when(None, 0).unwrap(), None);
        assert_eq!(expiry(None).unwrap(), None);
    }
}

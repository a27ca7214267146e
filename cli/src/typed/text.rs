//! Free texts as typed.

use daybook_core::limits::TEXT_BYTES_MAX;

use crate::failure::Failure;

/// Most days that a dispensed supply lasts.
const DAYS_MAX: u16 = 3_650;

/// A text that must not be empty; kept as it was typed.
///
/// # Errors
/// When it is empty or too long.
pub fn text(typed: &str) -> Result<&str, Failure> {
    let text = optional_text(typed)?;
    if text.trim().is_empty() {
        return Err(
            Failure::usage("empty-text", "a text that is needed is empty").then("say what it is in a few words")
        );
    }
    Ok(text)
}

/// A text that may be empty; kept as it was typed.
///
/// # Errors
/// When it is too long.
pub fn optional_text(typed: &str) -> Result<&str, Failure> {
    if typed.len() > TEXT_BYTES_MAX {
        return Err(Failure::usage("long-text", "a text is longer than 8 KiB").then("shorten it"));
    }
    Ok(typed)
}

/// Why something is done.
///
/// # Errors
/// When it is empty or too long.
pub fn reason(typed: &str) -> Result<&str, Failure> {
    if typed.trim().is_empty() {
        return Err(Failure::usage("empty-reason", "the reason is empty")
            .then("say why in a few words; whoever reads the record later needs it"));
    }
    optional_text(typed)
}

/// For how many days a supply lasts.
///
/// # Errors
/// When it is no whole number of days from 1 to 3,650.
pub fn days(typed: Option<&str>) -> Result<Option<u16>, Failure> {
    let Some(typed) = typed else {
        return Ok(None);
    };
    let number = typed.trim();
    let number = ["days", "day", "d"].iter().find_map(|unit| number.strip_suffix(unit)).unwrap_or(number).trim_end();
    let days = number.parse().ok().filter(|days| (1..=DAYS_MAX).contains(days));
    days.map(Some).ok_or_else(|| {
        Failure::usage("bad-days", "the days of supply are a whole number from 1 to 3,650")
            .then("write --days 10; weeks and months must be told in days")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_bounded() {
        for (typed, read) in [("10", 10), ("10 days", 10), ("1 day", 1), ("30d", 30), (" 3650 ", 3_650)] {
            assert_eq!(days(Some(typed)).unwrap(), Some(read), "{typed}");
        }
        for typed in ["0", "-1", "3651", "99999999", "1.5", "2 weeks", "", "d"] {
            assert_eq!(days(Some(typed)).unwrap_err().code(), "bad-days", "{typed}");
        }
        assert_eq!(days(None).unwrap(), None);
    }

    #[test]
    fn texts_are_kept_and_bounded() {
        assert_eq!(text(" a ").unwrap(), " a ");
        assert_eq!(text(" ").unwrap_err().code(), "empty-text");
        assert_eq!(optional_text("").unwrap(), "");
        assert_eq!(optional_text(&"x".repeat(8_193)).unwrap_err().code(), "long-text");
        assert_eq!(reason("\t").unwrap_err().code(), "empty-reason");
    }
}

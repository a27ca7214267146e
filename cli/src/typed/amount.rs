//! Amounts as typed: a number and, after it, the unit: `20 tablet`, `0.5 mL`, `20`.

use daybook_core::record::{Quantity, QuantityError};

use crate::failure::Failure;

/// Reads an amount above zero.
///
/// # Errors
/// When it is no such amount.
pub fn amount(text: &str) -> Result<Quantity<'_>, Failure> {
    let (number, unit) = parts(text);
    Quantity::parse(number, unit).map_err(bad)
}

/// Reads what was counted: zero is possible.
///
/// # Errors
/// When it is no such amount.
pub fn counted(text: &str) -> Result<Quantity<'_>, Failure> {
    let (number, unit) = parts(text);
    Quantity::parse_counted(number, unit).map_err(bad)
}

/// The number and the unit, which begins after a space or with the first letter that no number has.
fn parts(text: &str) -> (&str, &str) {
    let text = text.trim();
    let numeric = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '+' | '-');
    let mut end = text.find(|c: char| !numeric(c)).unwrap_or(text.len());
    if let Some(exponent) = text.get(end..).and_then(|rest| rest.strip_prefix(['e', 'E']))
        && exponent.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit())
    {
        end += 1 + exponent.find(|c: char| !numeric(c)).unwrap_or(exponent.len());
    }
    let (number, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    (number, unit.trim())
}

/// Says what is wrong with an amount.
pub(super) fn bad(error: QuantityError) -> Failure {
    let next = match error {
        QuantityError::NotANumber => "write the number first and the unit after it: \"20 tablet\" or \"0.5 mL\"",
        QuantityError::NotPositive => "give an amount above zero; to take something back, use `correct` or `reverse`",
        QuantityError::TooLarge => "give a larger unit, or write it as several entries",
        QuantityError::TooFine => "give a smaller unit, or round the number",
    };
    Failure::usage("bad-quantity", format!("the amount {}", clause(error))).then(next)
}

const fn clause(error: QuantityError) -> &'static str {
    match error {
        QuantityError::NotANumber => "is not a decimal number",
        QuantityError::NotPositive => "must be more than zero",
        QuantityError::TooLarge => "must be at most 1,000,000",
        QuantityError::TooFine => "has more than six decimal places",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_unit_are_told_apart() {
        for (text, number, unit) in [
            ("20 tablet", "20", "tablet"),
            ("20tablet", "20", "tablet"),
            ("2e3 tablet", "2000", "tablet"),
            ("2each", "2", "each"),
            ("0.5 mL", "0.5", "mL"),
            ("7", "7", ""),
            (" 2.50  10 mL vial ", "2.5", "10 mL vial"),
            ("20 tablettes de 100 mg", "20", "tablettes de 100 mg"),
        ] {
            let read = amount(text).unwrap();
            assert_eq!((read.number().as_str(), read.unit), (number, unit), "{text}");
        }
        assert_eq!(counted("0 tablet").unwrap().number(), "0");
    }

    #[test]
    fn zero_negative_huge_and_wordy_amounts_are_refused() {
        for text in [
            "0 tablet",
            "-1 tablet",
            "1000001 tablet",
            "1e30 tablet",
            "1e-9 g",
            "0.0000001 g",
            "1,5 mL",
            "a few",
            "",
            "½ tablet",
        ] {
            assert_eq!(amount(text).unwrap_err().code(), "bad-quantity", "{text}");
        }
        assert_eq!(counted("-1 tablet").unwrap_err().code(), "bad-quantity");
    }
}

//! Values that operations carry: codes, quantities, dates, texts. Each checks its own bounds.

use crate::clock::{EffectiveTime, Precision, TimeSource};
use crate::codec::{Malformed, Reader, Writer};
use crate::limits::{QUANTITY_MAX, QUANTITY_SCALE_MAX, TEXT_BYTES_MAX};
use std::fmt;

/// A concept: code system URI, code and a text for people; each may be empty, not all of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Coded<'a> {
    /// URI of the code system.
    pub system: &'a str,
    /// The code.
    pub code: &'a str,
    /// What people read.
    pub display: &'a str,
}

impl<'a> Coded<'a> {
    /// A concept known by its text alone.
    #[must_use]
    pub const fn text(display: &'a str) -> Self {
        Self { system: "", code: "", display }
    }

    /// What to show: the display text, or the code.
    #[must_use]
    pub fn shown(&self) -> &'a str {
        if self.display.is_empty() { self.code } else { self.display }
    }

    /// Writes `[system, code, display]`.
    pub fn write(&self, to: &mut Writer) {
        to.list(3).text(self.system).text(self.code).text(self.display);
    }

    /// Reads `[system, code, display]`.
    ///
    /// # Errors
    /// [`Malformed::Bounds`] if code and display are both empty or a text is too long.
    pub fn read(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        from.tuple(3)?;
        let coded = Self {
            system: from.text(TEXT_BYTES_MAX)?,
            code: from.text(TEXT_BYTES_MAX)?,
            display: from.text(TEXT_BYTES_MAX)?,
        };
        if coded.shown().is_empty() { Err(Malformed::Bounds) } else { Ok(coded) }
    }
}

/// An exact amount: mantissa times ten to the minus scale, above 0 and at most 1,000,000, with a unit
/// (UCUM, or a pack word such as `tablet`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Quantity<'a> {
    mantissa: u64,
    scale: u8,
    /// UCUM code or pack word.
    pub unit: &'a str,
}

/// Why a text is no quantity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QuantityError {
    /// Not a decimal number.
    #[error("not a decimal number")]
    NotANumber,
    /// Zero or less.
    #[error("must be more than zero")]
    NotPositive,
    /// More than a million.
    #[error("must be at most 1,000,000")]
    TooLarge,
    /// More than six decimal places.
    #[error("has more than six decimal places")]
    TooFine,
}

impl<'a> Quantity<'a> {
    /// An amount above zero, in its shortest form.
    ///
    /// # Errors
    /// [`QuantityError`] if it is outside the bounds.
    pub fn new(mantissa: u64, scale: u8, unit: &'a str) -> Result<Self, QuantityError> {
        if mantissa == 0 {
            return Err(QuantityError::NotPositive);
        }
        Self::counted(mantissa, scale, unit)
    }

    /// What was counted: as [`Quantity::new`], but zero is possible.
    ///
    /// # Errors
    /// [`QuantityError`] if it is outside the bounds.
    pub fn counted(mantissa: u64, scale: u8, unit: &'a str) -> Result<Self, QuantityError> {
        let (mut mantissa, mut scale) = (mantissa, scale);
        while scale > 0 && mantissa.is_multiple_of(10) {
            (mantissa, scale) = (mantissa / 10, scale - 1);
        }
        if scale > QUANTITY_SCALE_MAX {
            return Err(QuantityError::TooFine);
        }
        let quantity = Self { mantissa, scale, unit };
        if quantity.micros() > QUANTITY_MAX * 1_000_000 { Err(QuantityError::TooLarge) } else { Ok(quantity) }
    }

    /// Reads a decimal number as people and FHIR write it: `20`, `0.5`, `1e3`; no comma.
    ///
    /// # Errors
    /// [`QuantityError`] says what is wrong with it.
    pub fn parse(text: &str, unit: &'a str) -> Result<Self, QuantityError> {
        let (mantissa, scale) = decimal(text)?;
        Self::new(mantissa, scale, unit)
    }

    /// As [`Quantity::parse`], but zero is possible.
    ///
    /// # Errors
    /// [`QuantityError`] says what is wrong with it.
    pub fn parse_counted(text: &str, unit: &'a str) -> Result<Self, QuantityError> {
        let (mantissa, scale) = decimal(text)?;
        Self::counted(mantissa, scale, unit)
    }

    /// The same amount in millionths: exact, at most 10^12.
    #[must_use]
    pub fn micros(&self) -> u64 {
        let places = u32::from(QUANTITY_SCALE_MAX.saturating_sub(self.scale));
        self.mantissa.saturating_mul(10_u64.saturating_pow(places))
    }

    /// The number as text, without the unit.
    #[must_use]
    pub fn number(&self) -> String {
        micros_to_text(i64::try_from(self.micros()).unwrap_or(i64::MAX))
    }

    /// Writes `[mantissa, scale, unit]`.
    pub fn write(&self, to: &mut Writer) {
        to.list(3).uint(self.mantissa).uint(u64::from(self.scale)).text(self.unit);
    }

    /// Reads `[mantissa, scale, unit]`; `zero` allows zero.
    ///
    /// # Errors
    /// [`Malformed::Bounds`] if outside the bounds, [`Malformed::NotCanonical`] if not in shortest form.
    pub fn read(from: &mut Reader<'a>, zero: bool) -> Result<Self, Malformed> {
        from.tuple(3)?;
        let (mantissa, scale, unit) = (from.uint()?, from.byte()?, from.text(TEXT_BYTES_MAX)?);
        let quantity = Self::counted(mantissa, scale, unit).map_err(|_| Malformed::Bounds)?;
        if mantissa == 0 && !zero {
            return Err(Malformed::Bounds);
        }
        if (quantity.mantissa, quantity.scale) == (mantissa, scale) {
            Ok(quantity)
        } else {
            Err(Malformed::NotCanonical)
        }
    }
}

impl fmt::Display for Quantity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.number())?;
        if self.unit.is_empty() { Ok(()) } else { write!(f, " {}", self.unit) }
    }
}

/// A count of millionths as a decimal number.
#[must_use]
pub fn micros_to_text(micros: i64) -> String {
    let (whole, rest) = (micros / 1_000_000, (micros % 1_000_000).unsigned_abs());
    let sign = if micros < 0 && whole == 0 { "-" } else { "" };
    if rest == 0 {
        return format!("{whole}");
    }
    format!("{sign}{whole}.{}", format!("{rest:06}").trim_end_matches('0'))
}

/// Mantissa and scale of a decimal number from zero.
fn decimal(text: &str) -> Result<(u64, u8), QuantityError> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let (text, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().map_err(|_| QuantityError::NotANumber)?),
        None => (text, 0),
    };
    let (number, negative) = text.strip_prefix('-').map_or((text, false), |rest| (rest, true));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if whole.is_empty() || number.ends_with('.') || !digits().all(|d| d.is_ascii_digit()) || number.len() > 64 {
        return Err(QuantityError::NotANumber);
    }
    if negative || digits().all(|d| d == b'0') {
        return if negative { Err(QuantityError::NotPositive) } else { Ok((0, 0)) };
    }
    let significant = format!("{whole}{fraction}");
    let trimmed = significant.trim_end_matches('0');
    let dropped = i32::try_from(significant.len() - trimmed.len()).unwrap_or(i32::MAX);
    let scale = i32::try_from(fraction.len()).unwrap_or(i32::MAX).saturating_sub(dropped).saturating_sub(exponent);
    let mantissa: u64 = trimmed.trim_start_matches('0').parse().map_err(|_| QuantityError::TooFine)?;
    if scale > i32::from(QUANTITY_SCALE_MAX) {
        return Err(QuantityError::TooFine);
    }
    let up = u32::try_from(-scale.min(0)).unwrap_or(u32::MAX);
    let mantissa = 10_u64.checked_pow(up).and_then(|p| mantissa.checked_mul(p)).ok_or(QuantityError::TooLarge)?;
    Ok((mantissa, u8::try_from(scale.max(0)).unwrap_or(u8::MAX)))
}

/// A day of the calendar as far as it is known: year, year and month, or the day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartialDate {
    year: u16,
    month: u8,
    day: u8,
}

impl PartialDate {
    /// A date of years 1 to 9999 that exists in the calendar; month and day may be missing, in that order.
    #[must_use]
    pub fn new(year: u16, month: Option<u8>, day: Option<u8>) -> Option<Self> {
        if year == 0 || month == Some(0) || day == Some(0) || (month.is_none() && day.is_some()) {
            return None;
        }
        let (m, d) = (month.unwrap_or(1), day.unwrap_or(1));
        jiff::civil::Date::new(i16::try_from(year).ok()?, i8::try_from(m).ok()?, i8::try_from(d).ok()?).ok()?;
        Some(Self { year, month: month.unwrap_or(0), day: day.unwrap_or(0) })
    }

    /// Reads `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-').zip([4, 2, 2]).map(|(part, digits)| {
            (part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()))
                .then(|| part.parse::<u16>().ok())
                .flatten()
        });
        if text.split('-').count() > 3 {
            return None;
        }
        let year = parts.next()??;
        let mut narrow = || parts.next().map_or(Some(None), |part| u8::try_from(part?).ok().map(Some));
        let (month, day) = (narrow()?, narrow()?);
        Self::new(year, month, day)
    }

    /// The year.
    #[must_use]
    pub const fn year(&self) -> u16 {
        self.year
    }

    /// The month, if known.
    #[must_use]
    pub const fn month(&self) -> Option<u8> {
        if self.month == 0 { None } else { Some(self.month) }
    }

    /// The day, if known.
    #[must_use]
    pub const fn day(&self) -> Option<u8> {
        if self.day == 0 { None } else { Some(self.day) }
    }

    /// Whether both can be the same day: one says no more than the other.
    #[must_use]
    pub fn compatible(&self, other: &Self) -> bool {
        let agree = |a: u8, b: u8| a == 0 || b == 0 || a == b;
        self.year == other.year && agree(self.month, other.month) && agree(self.day, other.day)
    }

    /// How many of year, month and day are known.
    #[must_use]
    pub const fn parts(&self) -> usize {
        1 + (self.month != 0) as usize + (self.day != 0) as usize
    }

    /// Writes `[year]`, `[year, month]` or `[year, month, day]`.
    pub fn write(&self, to: &mut Writer) {
        to.list(self.parts());
        for part in [self.year, u16::from(self.month), u16::from(self.day)].iter().take(self.parts()) {
            to.uint(u64::from(*part));
        }
    }

    /// Reads the same.
    ///
    /// # Errors
    /// [`Malformed::Bounds`] if there is no such day.
    pub fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let count = from.list(3)?;
        let mut part = |place: usize| if place < count { from.uint().map(Some) } else { Ok(None) };
        let (year, month, day) = (part(0)?.unwrap_or(0), part(1)?, part(2)?);
        let narrow =
            |value: Option<u64>| value.map_or(Ok(None), |v| u8::try_from(v).map(Some)).map_err(|_| Malformed::Bounds);
        let year = u16::try_from(year).map_err(|_| Malformed::Bounds)?;
        Self::new(year, narrow(month)?, narrow(day)?).ok_or(Malformed::Bounds)
    }
}

impl fmt::Display for PartialDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.year)?;
        [self.month, self.day].iter().take_while(|p| **p != 0).try_for_each(|part| write!(f, "-{part:02}"))
    }
}

/// Administrative sex in FHIR's words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Sex {
    /// Not known.
    Unknown = 0,
    /// Male.
    Male = 1,
    /// Female.
    Female = 2,
    /// Other.
    Other = 3,
}

impl Sex {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Male, Self::Female, Self::Other];

    /// FHIR's code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Male => "male",
            Self::Female => "female",
            Self::Other => "other",
        }
    }

    /// Reads FHIR's code, or its first letter.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        Self::ALL.into_iter().find(|sex| sex.code() == text || (text.len() == 1 && sex.code().starts_with(&text)))
    }
}

/// Writes `[ms, offset, precision, source]`.
pub fn write_time(time: &EffectiveTime, to: &mut Writer) {
    to.list(4).int(time.ms).int(i64::from(time.offset_minutes)).uint(time.precision as u64).uint(time.source as u64);
}

/// Reads `[ms, offset, precision, source]`.
///
/// # Errors
/// [`Malformed::Bounds`] if the time lies outside years 1 to 9999 or the offset beyond 18 hours.
pub fn read_time(from: &mut Reader<'_>) -> Result<EffectiveTime, Malformed> {
    from.tuple(4)?;
    let ms = from.int()?;
    let offset_minutes = i16::try_from(from.int()?).map_err(|_| Malformed::Bounds)?;
    let precision = Precision::from_number(from.byte()?).ok_or(Malformed::Bounds)?;
    let source = match from.byte()? {
        0 => TimeSource::Clock,
        1 => TimeSource::Stated,
        _ => return Err(Malformed::Bounds),
    };
    let time = EffectiveTime { ms, offset_minutes, precision, source };
    if time.in_range() { Ok(time) } else { Err(Malformed::Bounds) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_exact_and_bounded() {
        for (text, shown) in [
            ("20", "20"),
            ("0.5", "0.5"),
            ("70.250", "70.25"),
            ("1e3", "1000"),
            ("2.5E1", "25"),
            ("1000000", "1000000"),
            ("0.000001", "0.000001"),
            ("+3", "3"),
        ] {
            assert_eq!(Quantity::parse(text, "").unwrap().number(), shown, "{text}");
        }
        for (text, why) in [
            ("0", QuantityError::NotPositive),
            ("0.000", QuantityError::NotPositive),
            ("-1", QuantityError::NotPositive),
            ("1000000.000001", QuantityError::TooLarge),
            ("1e30", QuantityError::TooLarge),
            ("0.0000001", QuantityError::TooFine),
            ("", QuantityError::NotANumber),
            ("1,5", QuantityError::NotANumber),
            ("1.", QuantityError::NotANumber),
            ("½", QuantityError::NotANumber),
            ("NaN", QuantityError::NotANumber),
            ("0x10", QuantityError::NotANumber),
        ] {
            assert_eq!(Quantity::parse(text, ""), Err(why), "{text}");
        }
        assert_eq!(Quantity::parse_counted("0", "").unwrap().number(), "0");
        assert_eq!(micros_to_text(-500_000), "-0.5");
    }

    #[test]
    fn a_quantity_has_one_encoding() {
        let mut to = Writer::new();
        to.list(3).uint(200).uint(1).text("mg");
        assert_eq!(Quantity::read(&mut Reader::new(&to.finish()), false), Err(Malformed::NotCanonical));
        let mut to = Writer::new();
        Quantity::counted(0, 0, "").unwrap().write(&mut to);
        assert_eq!(Quantity::read(&mut Reader::new(&to.finish()), false), Err(Malformed::Bounds));
    }

    #[test]
    fn partial_dates_exist_in_the_calendar() {
        for text in ["1943", "1943-03", "2024-02-29"] {
            let date = PartialDate::parse(text).unwrap();
            assert_eq!(date.to_string(), text);
            let mut to = Writer::new();
            date.write(&mut to);
            assert_eq!(PartialDate::read(&mut Reader::new(&to.finish())), Ok(date));
        }
        for text in
            ["0000", "2023-02-29", "1943-13", "1943-00", "43", "1943-3", "1943-03-17-01", "", "+943", "1943-03-"]
        {
            assert_eq!(PartialDate::parse(text), None, "{text}");
        }
        let [year, day, other] = ["1943", "1943-03-17", "1943-04"].map(|t| PartialDate::parse(t).unwrap());
        assert!(year.compatible(&day) && day.compatible(&year) && !day.compatible(&other));
    }
}

//! Time as this book keeps it: the hybrid logical clock, and when something happened in a person's words.
//!
//! Time orders what is shown first and nothing else; no rule of acceptance reads a clock. Nothing here
//! asks the operating system: the present comes in through [`Host`].

use std::fmt;

/// What the platform lends: the present and randomness. Everything left of `net` gets both from here.
pub trait Host: Send {
    /// Milliseconds since 1970-01-01 UTC by the device's clock, which may be wrong.
    fn now_ms(&mut self) -> i64;
    /// The device's offset from UTC in minutes.
    fn offset_minutes(&mut self) -> i16;
    /// Fills `bytes` with randomness fit for keys.
    fn fill(&mut self, bytes: &mut [u8]);
}

/// Draws a random array.
pub fn random<const N: usize>(host: &mut dyn Host) -> [u8; N] {
    let mut bytes = [0; N];
    host.fill(&mut bytes);
    bytes
}

/// A reading of the hybrid logical clock: 48 bits of milliseconds, 16 bits of counter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hlc(u64);

/// The last millisecond that 48 bits hold.
const MS_MAX: u64 = (1 << 48) - 1;

impl Hlc {
    /// The reading in 64 bits, as in the format.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64 bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The millisecond part.
    #[must_use]
    #[allow(clippy::cast_possible_wrap, reason = "48 bits fit")]
    pub const fn ms(self) -> i64 {
        (self.0 >> 16) as i64
    }

    /// The next reading after `self` at device time `now_ms`: never less than or equal to `self`.
    #[must_use]
    pub fn tick(self, now_ms: i64) -> Self {
        let now = u64::try_from(now_ms).unwrap_or(0).min(MS_MAX) << 16;
        Self(now.max(self.0.saturating_add(1)))
    }

    /// The greater of two readings.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        self.max(other)
    }
}

impl fmt::Debug for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hlc({}+{})", self.ms(), self.0 & 0xffff)
    }
}

/// How exactly a time is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Precision {
    /// The year.
    Year = 0,
    /// Year and month.
    Month = 1,
    /// The day.
    Day = 2,
    /// The minute.
    Minute = 3,
    /// The second.
    Second = 4,
    /// The millisecond.
    Millisecond = 5,
}

impl Precision {
    /// The precision of a number, if there is one.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Year,
            1 => Self::Month,
            2 => Self::Day,
            3 => Self::Minute,
            4 => Self::Second,
            5 => Self::Millisecond,
            _ => return None,
        })
    }
}

/// Where a time comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum TimeSource {
    /// The device's clock when the entry was written.
    Clock = 0,
    /// A person or another system stated it.
    Stated = 1,
}

/// When something happened: an instant, the writer's offset, how exactly it is known, and who says so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EffectiveTime {
    /// Start of the stated unit, in milliseconds since 1970-01-01 UTC.
    pub ms: i64,
    /// Offset from UTC in minutes, -1080 to 1080.
    pub offset_minutes: i16,
    /// How exactly it is known.
    pub precision: Precision,
    /// Clock or stated.
    pub source: TimeSource,
}

/// Years 1 to 9999: -62,135,596,800,000 to 253,402,300,799,999 ms.
const EFFECTIVE_MS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;
const OFFSET_MINUTES: std::ops::RangeInclusive<i16> = -1_080..=1_080;

/// One day in milliseconds.
pub const DAY_MS: i64 = 86_400_000;

impl EffectiveTime {
    /// The present by the device's clock.
    pub fn now(host: &mut dyn Host) -> Self {
        Self {
            ms: host.now_ms().clamp(*EFFECTIVE_MS.start(), *EFFECTIVE_MS.end()),
            offset_minutes: host.offset_minutes().clamp(*OFFSET_MINUTES.start(), *OFFSET_MINUTES.end()),
            precision: Precision::Millisecond,
            source: TimeSource::Clock,
        }
    }

    /// A stated time, if it lies in the years 1 to 9999 and its offset within 18 hours.
    #[must_use]
    pub fn stated(ms: i64, offset_minutes: i16, precision: Precision) -> Option<Self> {
        let time = Self { ms, offset_minutes, precision, source: TimeSource::Stated };
        time.in_range().then_some(time)
    }

    /// Whether instant and offset are within the bounds of the format.
    #[must_use]
    pub fn in_range(&self) -> bool {
        EFFECTIVE_MS.contains(&self.ms) && OFFSET_MINUTES.contains(&self.offset_minutes)
    }

    /// Whether it is known less exactly than to the day.
    #[must_use]
    pub fn coarser_than_a_day(&self) -> bool {
        self.precision < Precision::Day
    }

    /// Reads a FHIR date or dateTime: `YYYY`, `YYYY-MM`, `YYYY-MM-DD`, or with `Thh:mm[:ss[.sss]]` and
    /// an offset (`Z` or `+hh:mm`). Without an offset `default_offset_minutes` holds. `None` if it is
    /// not such a text or no day of the calendar.
    #[must_use]
    pub fn parse(text: &str, default_offset_minutes: i16) -> Option<Self> {
        let (date, clock) = match text.split_once(['T', ' ']) {
            Some((date, clock)) => (date, Some(clock)),
            None => (text, None),
        };
        let mut parts = date.split('-');
        let year = digits(parts.next()?, 4)?;
        let month = parts.next().map(|p| digits(p, 2)).map_or(Some(None), |m| m.map(Some))?;
        let day = parts.next().map(|p| digits(p, 2)).map_or(Some(None), |d| d.map(Some))?;
        if parts.next().is_some() || year == 0 {
            return None;
        }
        let civil = jiff::civil::Date::new(
            i16::try_from(year).ok()?,
            i8::try_from(month.unwrap_or(1)).ok()?,
            i8::try_from(day.unwrap_or(1)).ok()?,
        )
        .ok()?;
        let date_precision = match (month, day) {
            (None, _) => Precision::Year,
            (Some(_), None) => Precision::Month,
            (Some(_), Some(_)) => Precision::Day,
        };
        let (day_ms, offset_minutes, precision) = match clock {
            None => (0, default_offset_minutes, date_precision),
            Some(clock) if date_precision == Precision::Day => parse_clock(clock, default_offset_minutes)?,
            Some(_) => return None,
        };
        let midnight = civil.to_datetime(jiff::civil::Time::midnight()).to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        let ms = midnight.timestamp().as_millisecond() + day_ms - i64::from(offset_minutes) * 60_000;
        Self::stated(ms, offset_minutes, precision)
    }

    /// The time in FHIR's form, in the writer's own offset and no more exact than it is known.
    #[must_use]
    pub fn to_fhir(&self) -> String {
        let local_ms = self.ms.saturating_add(i64::from(self.offset_minutes) * 60_000);
        let Ok(local) = jiff::Timestamp::from_millisecond(local_ms) else {
            return String::new();
        };
        let local = local.to_zoned(jiff::tz::TimeZone::UTC).datetime();
        let (date, time) = (local.date(), local.time());
        let year = format!("{:04}", date.year());
        let day = format!("{year}-{:02}-{:02}", date.month(), date.day());
        let clock = match self.precision {
            Precision::Year => return year,
            Precision::Month => return format!("{year}-{:02}", date.month()),
            Precision::Day => return day,
            Precision::Minute => format!("{:02}:{:02}", time.hour(), time.minute()),
            Precision::Second => format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second()),
            Precision::Millisecond => {
                format!("{:02}:{:02}:{:02}.{:03}", time.hour(), time.minute(), time.second(), time.millisecond())
            }
        };
        let (sign, minutes) =
            if self.offset_minutes < 0 { ('-', -self.offset_minutes) } else { ('+', self.offset_minutes) };
        format!("{day}T{clock}{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// Reads `hh:mm[:ss[.s]]` with an optional offset: milliseconds of the day, offset, precision.
fn parse_clock(text: &str, default_offset_minutes: i16) -> Option<(i64, i16, Precision)> {
    let (clock, offset_minutes) = match text.find(['Z', 'z', '+', '-']) {
        None => (text, default_offset_minutes),
        Some(at) => {
            let (clock, offset) = text.split_at_checked(at)?;
            (clock, parse_offset(offset)?)
        }
    };
    let mut parts = clock.split(':');
    let hour = digits(parts.next()?, 2)?;
    let minute = digits(parts.next()?, 2)?;
    let (seconds, precision) = match parts.next() {
        None => (0, Precision::Minute),
        Some(text) => {
            let (whole, fraction) = text.split_once('.').map_or((text, None), |(w, f)| (w, Some(f)));
            let seconds = digits(whole, 2).filter(|s| *s <= 60)?.min(59) * 1_000;
            match fraction {
                None => (seconds, Precision::Second),
                Some(f) if !f.is_empty() && f.bytes().all(|b| b.is_ascii_digit()) => {
                    let three: String = f.chars().chain("000".chars()).take(3).collect();
                    (seconds + digits(&three, 3)?, Precision::Millisecond)
                }
                Some(_) => return None,
            }
        }
    };
    if hour > 23 || minute > 59 || seconds > 59_999 || parts.next().is_some() {
        return None;
    }
    Some((i64::from(hour) * 3_600_000 + i64::from(minute) * 60_000 + i64::from(seconds), offset_minutes, precision))
}

fn parse_offset(text: &str) -> Option<i16> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    let total = i16::try_from(hours * 60 + minutes).ok()?;
    (minutes < 60).then_some(sign * total).filter(|m| OFFSET_MINUTES.contains(m))
}

/// A number of exactly `count` decimal digits.
fn digits(text: &str, count: usize) -> Option<u32> {
    (text.len() == count && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_back() {
        let mut clock = Hlc::default();
        for now in [1_000, 900, 900, -5, 1_001, i64::MAX, 7] {
            let next = clock.tick(now);
            assert!(next > clock);
            clock = next;
        }
    }

    #[test]
    fn fhir_times_read_back() {
        for text in [
            "1943",
            "1943-03",
            "1943-03-17",
            "2024-02-29",
            "1989-05-27T23:58:16-04:00",
            "2026-11-22T08:05:09.120+05:45",
            "2026-11-22T08:05+00:00",
        ] {
            let time = EffectiveTime::parse(text, 0).unwrap();
            assert_eq!(time.to_fhir(), text);
        }
        assert_eq!(EffectiveTime::parse("1943-03-17", 0).unwrap().ms, -845_596_800_000);
        assert_eq!(EffectiveTime::parse("2026-11-22T08:05:09Z", 60).unwrap().to_fhir(), "2026-11-22T08:05:09+00:00");
        assert_eq!(EffectiveTime::parse("2026-11-22T08:05", 60).unwrap().to_fhir(), "2026-11-22T08:05+01:00");
    }

    #[test]
    fn impossible_times_are_refused() {
        for text in [
            "",
            "43",
            "1943-13",
            "1943-02-30",
            "2023-02-29",
            "0000",
            "1943-1-1",
            "1943-01-01T24:00",
            "1943-01-01T10:60",
            "1943-01-01T10:00:61",
            "1943-01-01T10:00+19:00",
            "1943-01T10:00",
            "1943-01-01T10:00:00.",
            "１９４３",
            "1943-01-01T10:00:00.x",
        ] {
            assert_eq!(EffectiveTime::parse(text, 0), None, "{text}");
        }
    }
}

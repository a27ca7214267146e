//! Times for people, by this computer's offset, and for scripts, exact.

use daybook_core::clock::{EffectiveTime, Hlc, Precision, TimeSource};

/// When something was written, to the minute: `2026-11-22 08:05`.
#[must_use]
pub fn written(hlc: Hlc, offset_minutes: i16) -> String {
    minute(&at(hlc.ms(), offset_minutes, Precision::Minute))
}

/// When something was written, for scripts: `2026-11-22T08:05:09.120+00:00`.
#[must_use]
pub fn exact(hlc: Hlc, offset_minutes: i16) -> String {
    at(hlc.ms(), offset_minutes, Precision::Millisecond).to_fhir()
}

/// When something happened, no more exact than known and at most to the minute; with the offset of the place
/// where it was written if that is not this computer's.
#[must_use]
pub fn happened(time: &EffectiveTime, offset_minutes: i16) -> String {
    if time.precision < Precision::Minute {
        return time.to_fhir();
    }
    let shown = minute(&EffectiveTime { precision: Precision::Minute, ..*time });
    if time.offset_minutes == offset_minutes {
        return shown;
    }
    let fhir = time.to_fhir();
    let offset = fhir.len().checked_sub(6).and_then(|start| fhir.get(start..)).unwrap_or_default();
    format!("{shown} {offset}")
}

const fn at(ms: i64, offset_minutes: i16, precision: Precision) -> EffectiveTime {
    EffectiveTime { ms, offset_minutes, precision, source: TimeSource::Clock }
}

fn minute(time: &EffectiveTime) -> String {
    time.to_fhir().chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_minutes_and_a_foreign_offset() {
        let time = EffectiveTime::parse("2026-11-22T08:05:09.120+05:45", 0).unwrap();
        assert_eq!(happened(&time, 345), "2026-11-22 08:05");
        assert_eq!(happened(&time, 0), "2026-11-22 08:05 +05:45");
        assert_eq!(happened(&EffectiveTime::parse("2026-11", 0).unwrap(), 60), "2026-11");
        let hlc = Hlc::default().tick(time.ms);
        assert_eq!(written(hlc, 60), "2026-11-22 03:20");
        assert_eq!(exact(hlc, 0), "2026-11-22T02:20:09.120+00:00");
    }
}

//! Writes FHIR's data types.

use super::super::{EXTENSION_OFFSET, EXTENSION_PRECISION, TIME_NOT_KNOWN, UCUM};
use crate::clock::{EffectiveTime, Precision, TimeSource};
use crate::record::{Coded, Quantity, Value as Said};
use serde_json::{Map, Number, Value};

/// Units that are written as UCUM; others are words, such as `tablet`. Either reads back the same.
const UCUM_UNITS: &[&str] = &[
    "%", "/min", "1", "Cel", "[degF]", "[in_i]", "[lb_av]", "a", "cm", "d", "g", "g/dL", "h", "kg", "kg/m2", "L", "m",
    "mg", "mg/dL", "min", "mL", "mm[Hg]", "mmol/L", "mo", "ng/mL", "ug", "ug/mL", "wk",
];

/// An object that is being written; what is empty is left out, as FHIR demands.
#[derive(Debug, Default)]
pub(super) struct Object(Map<String, Value>);

impl Object {
    /// A resource with type, id and the source that it comes from.
    pub(super) fn resource(resource_type: &str, id: &str, source: &str) -> Self {
        let mut meta = Self::default();
        meta.text("source", source);
        let mut resource = Self::default();
        resource.text("resourceType", resource_type).text("id", id).object("meta", meta);
        resource
    }

    pub(super) fn put(&mut self, name: &str, value: impl Into<Value>) -> &mut Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        if text.is_empty() { self } else { self.put(name, text) }
    }

    pub(super) fn object(&mut self, name: &str, object: Self) -> &mut Self {
        if object.0.is_empty() { self } else { self.put(name, object.0) }
    }

    /// Adds an item to a list.
    pub(super) fn push(&mut self, name: &str, item: impl Into<Value>) -> &mut Self {
        match self.0.get_mut(name) {
            Some(Value::Array(items)) => items.push(item.into()),
            _ => {
                self.put(name, vec![item.into()]);
            }
        }
        self
    }

    /// Adds an extension; `value` is the name of its value's type, such as `valueString`.
    pub(super) fn extension(&mut self, url: &str, value: &str, content: impl Into<Value>) -> &mut Self {
        let mut extension = Self::default();
        extension.text("url", url).put(value, content);
        self.push("extension", extension)
    }

    pub(super) fn text_extension(&mut self, url: &str, text: &str) -> &mut Self {
        if text.is_empty() { self } else { self.extension(url, "valueString", text) }
    }

    pub(super) fn reference(&mut self, name: &str, resource_type: &str, id: &str) -> &mut Self {
        self.object(name, reference(resource_type, id))
    }

    pub(super) fn concept(&mut self, name: &str, coded: &Coded<'_>) -> &mut Self {
        let mut concept = Self::default();
        if !coded.system.is_empty() || !coded.code.is_empty() {
            let mut coding = Self::default();
            coding.text("system", coded.system).text("code", coded.code).text("display", coded.display);
            concept.push("coding", coding);
        }
        concept.text("text", coded.display);
        self.object(name, concept)
    }

    /// A code of a closed list as a concept.
    pub(super) fn status(&mut self, name: &str, system: &str, code: &str) -> &mut Self {
        self.concept(name, &Coded { system, code, display: "" })
    }

    pub(super) fn quantity(&mut self, name: &str, quantity: &Quantity<'_>) -> &mut Self {
        let mut object = Self::default();
        object.put("value", serde_json::from_str::<Number>(&quantity.number()).map_or(Value::Null, Value::Number));
        object.text("unit", quantity.unit);
        if UCUM_UNITS.contains(&quantity.unit) {
            object.text("system", UCUM).text("code", quantity.unit);
        }
        self.object(name, object)
    }

    /// `value[x]`.
    pub(super) fn value(&mut self, value: &Said<'_>) -> &mut Self {
        match value {
            Said::Quantity(quantity) => self.quantity("valueQuantity", quantity),
            Said::Coded(coded) => self.concept("valueCodeableConcept", coded),
            Said::Text(text) => self.text("valueString", text),
            Said::Bool(flag) => self.put("valueBoolean", *flag),
        }
    }

    /// A dateTime, with extensions for what FHIR cannot say; nothing if the time is not known.
    pub(super) fn time(&mut self, name: &str, time: &EffectiveTime) -> &mut Self {
        if !is_known(time) {
            return self;
        }
        let mut element = Self::default();
        let mut written = *time;
        match time.precision {
            Precision::Minute => {
                written.precision = Precision::Second;
                element.extension(EXTENSION_PRECISION, "valueCode", "minute");
            }
            Precision::Year | Precision::Month | Precision::Day if time.offset_minutes != 0 => {
                element.extension(EXTENSION_OFFSET, "valueInteger", time.offset_minutes);
            }
            Precision::Year | Precision::Month | Precision::Day | Precision::Second | Precision::Millisecond => {}
        }
        self.text(name, &written.to_fhir()).object(&format!("_{name}"), element)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object.0)
    }
}

pub(super) fn reference(resource_type: &str, id: &str) -> Object {
    let mut reference = Object::default();
    reference.text("reference", &format!("{resource_type}/{id}"));
    reference
}

/// A time by a device's clock as FHIR's instant, in UTC; empty outside the calendar.
pub(super) fn instant(ms: i64) -> String {
    let time = EffectiveTime { ms, offset_minutes: 0, precision: Precision::Millisecond, source: TimeSource::Clock };
    if time.in_range() { time.to_fhir() } else { String::new() }
}

/// Bytes as FHIR's base64Binary (RFC 4648, section 4).
pub(super) fn base64(bytes: &[u8]) -> String {
    const SYMBOLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let symbol = SYMBOLS.get((bits >> (18 - 6 * place) & 63) as usize).copied().unwrap_or_default();
            text.push(if place <= group.len() { char::from(symbol) } else { '=' });
        }
    }
    text
}

/// Whether a time says anything.
pub(super) fn is_known(time: &EffectiveTime) -> bool {
    (time.ms, time.precision) != (TIME_NOT_KNOWN.ms, TIME_NOT_KNOWN.precision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        let pairs =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (bytes, text) in pairs {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }
}

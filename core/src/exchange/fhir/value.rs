//! Reads FHIR's data types: concepts, quantities, times, references, extensions of ours.

use super::node::Node;
use super::{EXTENSION_OFFSET, EXTENSION_PRECISION, TIME_NOT_KNOWN, UCUM};
use crate::clock::{EffectiveTime, Precision};
use crate::exchange::report::{Reason, Refusal, is_id};
use crate::record::{Coded, PartialDate, Quantity, QuantityError, Value};

/// A reference to another resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reference<'v> {
    /// A resource contained in the same one.
    Contained(&'v str),
    /// A resource by type and id.
    To(&'v str, &'v str),
    /// A resource by id alone (`urn:uuid:`).
    Any(&'v str),
}

/// Who took something, as the resource says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::exchange) struct ReceiverReference<'v> {
    /// Resource id of a patient, if it is one.
    pub(in crate::exchange) patient: &'v str,
    /// The text.
    pub(in crate::exchange) display: &'v str,
}

impl<'v> Node<'v> {
    /// A `CodeableConcept`: the coding of a preferred system, else the first with a code, else the first;
    /// shown by the text of the concept, else of the coding. `None` if it says nothing.
    pub(super) fn concept(self, name: &'static str, preferred: &[&str]) -> Result<Option<Coded<'v>>, Refusal> {
        self.object(name)?.map_or(Ok(None), |concept| concept.as_concept(preferred))
    }

    /// This object as a `CodeableConcept`.
    pub(super) fn as_concept(self, preferred: &[&str]) -> Result<Option<Coded<'v>>, Refusal> {
        let concept = self;
        let codings = concept.objects("coding")?;
        let mut chosen = None;
        for coding in &codings {
            let (system, code) = (coding.peek("system")?, coding.peek("code")?);
            let rank = match preferred.iter().position(|p| *p == system && !code.is_empty()) {
                Some(place) => place,
                None if !code.is_empty() => preferred.len(),
                None => preferred.len() + 1,
            };
            if chosen.is_none_or(|(best, _)| rank < best) {
                chosen = Some((rank, coding));
            }
        }
        let text = concept.text("text")?;
        let mut coded = Coded::text(text);
        if let Some((_, coding)) = chosen {
            (coded.system, coded.code) = (coding.text("system")?, coding.text("code")?);
            if text.is_empty() || coding.peek("display")? == text {
                coded.display = coding.text("display")?;
            }
        }
        if coded.shown().is_empty() { Ok(None) } else { Ok(Some(coded)) }
    }

    /// A `CodeableConcept` that must say something.
    pub(super) fn need_concept(self, name: &'static str, preferred: &[&str]) -> Result<Coded<'v>, Refusal> {
        self.concept(name, preferred)?.ok_or(Refusal::new(Reason::Missing, name))
    }

    /// A `CodeableConcept` of a closed list: the first coding that is in the list.
    pub(super) fn status<T>(self, name: &'static str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Refusal> {
        let Some(concept) = self.object(name)? else { return Ok(None) };
        for coding in concept.objects("coding")? {
            if let Some(word) = read(coding.peek("code")?) {
                coding.text("code")?;
                coding.text("system")?;
                return Ok(Some(word));
            }
        }
        Err(Refusal::new(Reason::UnknownCode, name))
    }

    /// A Quantity above zero without a comparator; the unit is the UCUM code, else the unit as shown.
    pub(super) fn quantity(self, name: &'static str) -> Result<Option<Quantity<'v>>, Refusal> {
        let Some(quantity) = self.object(name)? else { return Ok(None) };
        if quantity.has("comparator") {
            return Err(Refusal::new(Reason::Modifier, "comparator"));
        }
        let Some(number) = quantity.number("value")? else {
            return Err(Refusal::new(Reason::Missing, name));
        };
        Quantity::parse(&number, quantity.unit()?).map(Some).map_err(|error| amount(error, name))
    }

    /// The unit of a Quantity.
    fn unit(self) -> Result<&'v str, Refusal> {
        let (system, code, unit) = (self.peek("system")?, self.peek("code")?, self.peek("unit")?);
        let by_code = !code.is_empty() && (system == UCUM || unit.is_empty());
        if by_code || code == unit {
            self.text("system")?;
            self.text("code")?;
        }
        if !by_code || code == unit {
            self.text("unit")?;
        }
        Ok(if by_code { code } else { unit })
    }

    /// One of the kinds of `value[x]` that a fact keeps. A quantity with a comparator is kept as a text.
    pub(super) fn value(self) -> Result<Option<Value<'v>>, Refusal> {
        if let Some(quantity) = self.object("valueQuantity")? {
            if quantity.has("comparator") {
                let comparator =
                    quantity.code("comparator", |c| ["<", "<=", ">=", ">"].into_iter().find(|known| *known == c))?;
                let Some(number) = quantity.number("value")? else {
                    return Err(Refusal::new(Reason::Missing, "valueQuantity"));
                };
                let text = format!("{}{number} {}", comparator.unwrap_or_default(), quantity.unit()?);
                return Ok(Some(Value::Text(self.keep(text.trim_end().to_owned())?)));
            }
            return Ok(self.quantity("valueQuantity")?.map(Value::Quantity));
        }
        if let Some(coded) = self.concept("valueCodeableConcept", &[])? {
            return Ok(Some(Value::Coded(coded)));
        }
        match self.text("valueString")? {
            "" => {}
            text => return Ok(Some(Value::Text(text))),
        }
        if let Some(flag) = self.flag("valueBoolean")? {
            return Ok(Some(Value::Bool(flag)));
        }
        let Some(number) = self.number("valueInteger")? else { return Ok(None) };
        if !number.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
            return Err(Refusal::new(Reason::WrongType, "valueInteger"));
        }
        Quantity::parse(&number, "").map(|q| Some(Value::Quantity(q))).map_err(|error| amount(error, "valueInteger"))
    }

    /// A date, dateTime or instant; without an offset it is UTC's, so that all devices read the same.
    pub(super) fn time(self, name: &'static str, extended: &'static str) -> Result<Option<EffectiveTime>, Refusal> {
        let text = self.text(name)?;
        if text.is_empty() {
            return Ok(None);
        }
        let refuse = || Refusal::new(Reason::Time, name);
        let (mut offset, mut to_the_minute) = (0, false);
        if let Some(element) = self.object(extended)? {
            if let Some(extension) = element.extension(EXTENSION_OFFSET)? {
                let minutes = extension.number("valueInteger")?.and_then(|number| number.parse::<i16>().ok());
                offset = minutes.ok_or_else(refuse)?;
            }
            if let Some(extension) = element.extension(EXTENSION_PRECISION)? {
                to_the_minute = extension.text("valueCode")? == "minute";
            }
        }
        let mut time = EffectiveTime::parse(text, offset).ok_or_else(refuse)?;
        if to_the_minute && time.precision == Precision::Second {
            time.precision = Precision::Minute;
        }
        Ok(Some(time))
    }

    /// A date as far as it is known; of a dateTime its date.
    pub(super) fn date(self, name: &'static str) -> Result<Option<PartialDate>, Refusal> {
        match self.text(name)? {
            "" => Ok(None),
            text => {
                let known = EffectiveTime::parse(text, 0).is_some();
                let date = text.split_once('T').map_or(text, |(date, _)| date);
                let date = PartialDate::parse(date).filter(|_| known);
                date.map(Some).ok_or(Refusal::new(Reason::Time, name))
            }
        }
    }

    /// The start of a Period.
    pub(super) fn start(self, name: &'static str) -> Result<Option<EffectiveTime>, Refusal> {
        self.object(name)?.map_or(Ok(None), |period| period.time("start", "_start"))
    }

    /// What `reference` of a Reference says; `None` if it has none.
    pub(super) fn reference(self) -> Result<Option<Reference<'v>>, Refusal> {
        match self.text("reference")? {
            "" => Ok(None),
            text => Reference::parse(text).map(Some).ok_or(self.refuse(Reason::Reference)),
        }
    }

    /// The first extension of a URL, if there is one; its URL is marked as read.
    pub(super) fn extension(self, url: &str) -> Result<Option<Self>, Refusal> {
        Ok(self.extensions(url)?.into_iter().next())
    }

    /// All extensions of a URL.
    pub(super) fn extensions(self, url: &str) -> Result<Vec<Self>, Refusal> {
        let mut found = Vec::new();
        for extension in self.objects("extension")? {
            if extension.peek("url")? == url {
                extension.text("url")?;
                found.push(extension);
            }
        }
        Ok(found)
    }
}

impl<'v> Reference<'v> {
    /// Reads `Type/id`, the same behind a base URL or before a version, `urn:uuid:id`, `#id`.
    fn parse(text: &'v str) -> Option<Self> {
        if let Some(id) = text.strip_prefix('#') {
            return is_id(id).then_some(Self::Contained(id));
        }
        if let Some(id) = text.strip_prefix("urn:uuid:") {
            return is_id(id).then_some(Self::Any(id));
        }
        let current = text.split_once("/_history/").map_or(text, |(current, _)| current);
        let (before, id) = current.rsplit_once('/')?;
        let kind = before.rsplit_once('/').map_or(before, |(_, kind)| kind);
        let is_type =
            kind.starts_with(|c: char| c.is_ascii_uppercase()) && kind.bytes().all(|b| b.is_ascii_alphabetic());
        (is_type && is_id(id)).then_some(Self::To(kind, id))
    }

    /// The id, if it can be a resource of this type.
    pub(super) fn id_of(self, resource_type: &str) -> Option<&'v str> {
        match self {
            Self::To(kind, id) if kind == resource_type => Some(id),
            Self::Any(id) => Some(id),
            Self::To(..) | Self::Contained(_) => None,
        }
    }
}

/// The first time that is known, in this order.
pub(super) fn first_time(times: [Option<EffectiveTime>; 3]) -> EffectiveTime {
    times.into_iter().flatten().next().unwrap_or(TIME_NOT_KNOWN)
}

pub(super) fn amount(error: QuantityError, element: &'static str) -> Refusal {
    let reason = match error {
        QuantityError::NotANumber => Reason::WrongType,
        QuantityError::NotPositive => Reason::NotPositive,
        QuantityError::TooLarge => Reason::TooLarge,
        QuantityError::TooFine => Reason::TooFine,
    };
    Refusal::new(reason, element)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::fhir::Reading;
    use serde_json::{Value as Json, json};

    /// Reads something of a tree; gives it back with the paths that were not read.
    fn reading<T: std::fmt::Debug>(
        json: &Json,
        read: impl Fn(Node<'_>) -> Result<T, Refusal>,
    ) -> (Result<T, Reason>, Vec<String>) {
        let reading = Reading::new();
        let outcome = read(reading.root(json)).map_err(|refusal| refusal.reason);
        (outcome, reading.left(json, "R").unwrap().into_keys().collect())
    }

    fn shown(json: &Json) -> Result<String, Reason> {
        reading(json, |node| Ok(node.value()?.map_or("nothing".to_owned(), |value| format!("{value:?}")))).0
    }

    #[test]
    fn the_coding_of_a_preferred_system_is_chosen() {
        let json = json!({"c": {"coding": [
            {"system": "urn:x", "display": "no code"},
            {"system": "urn:x", "code": "1", "display": "x"},
            {"system": "http://loinc.org", "code": "2", "display": "l", "userSelected": true}], "text": "said"}});
        let choose = |preferred: &'static [&'static str]| {
            reading(&json, |node| {
                let coded = node.concept("c", preferred)?.unwrap();
                Ok((coded.code.to_owned(), coded.display.to_owned()))
            })
        };
        let (chosen, left) = choose(&["http://loinc.org"]);
        assert_eq!(chosen, Ok(("2".to_owned(), "said".to_owned())));
        assert_eq!(left, ["R.c.coding", "R.c.coding.display", "R.c.coding.userSelected"]);
        assert_eq!(choose(&[]).0.unwrap().0, "1");
        let same = json!({"c": {"coding": [{"code": "1", "display": "x"}], "text": "x"}});
        assert_eq!(reading(&same, |node| node.concept("c", &[]).map(|c| c.is_some())), (Ok(true), vec![]));
        let empty = json!({"c": {"coding": [{"system": "urn:x"}]}});
        assert_eq!(reading(&empty, |node| node.concept("c", &[]).map(|c| c.is_some())).0, Ok(false));
    }

    #[test]
    fn values_are_read_by_their_kind() {
        for (json, expected) in [
            (json!({"valueQuantity": {"value": 70.25, "unit": "kilogram", "system": UCUM, "code": "kg"}}), "70.25 kg"),
            (json!({"valueQuantity": {"value": 7, "unit": "tablet", "system": "urn:x", "code": "T"}}), "7 tablet"),
            (json!({"valueQuantity": {"value": 1e3}}), "1000"),
            (json!({"valueInteger": 3}), "3"),
        ] {
            let (value, _) = reading(&json, |node| match node.value()? {
                Some(Value::Quantity(quantity)) => Ok(quantity.to_string()),
                other => Ok(format!("{other:?}")),
            });
            assert_eq!(value.as_deref(), Ok(expected));
        }
        assert_eq!(shown(&json!({"valueString": "x"})), Ok("Text(\"x\")".to_owned()));
        assert_eq!(shown(&json!({"valueBoolean": false})), Ok("Bool(false)".to_owned()));
        assert_eq!(shown(&json!({"valueRange": {}})), Ok("nothing".to_owned()));
        let compared = json!({"valueQuantity": {"value": 0.5, "comparator": "<", "unit": "ng/mL"}});
        assert_eq!(shown(&compared), Ok("Text(\"<0.5 ng/mL\")".to_owned()));
    }

    #[test]
    fn amounts_out_of_bounds_are_refused_with_the_reason() {
        for (value, reason) in [
            (json!(0), Reason::NotPositive),
            (json!(-3.5), Reason::NotPositive),
            (json!(1_000_001), Reason::TooLarge),
            (json!(1e300), Reason::TooLarge),
            (json!(u64::MAX), Reason::TooLarge),
            (json!(0.123_456_7), Reason::TooFine),
            (json!("7"), Reason::WrongType),
            (Json::Null, Reason::Missing),
        ] {
            assert_eq!(shown(&json!({"valueQuantity": {"value": value}})), Err(reason), "{value}");
        }
        assert_eq!(shown(&json!({"valueInteger": 1.5})), Err(Reason::WrongType));
        assert_eq!(shown(&json!({"valueInteger": 0})), Err(Reason::NotPositive));
        let odd = json!({"valueQuantity": {"value": 1, "comparator": "~"}});
        assert_eq!(shown(&odd), Err(Reason::UnknownCode));
    }

    #[test]
    fn times_carry_the_offset_and_precision_that_extensions_give_back() {
        let json = json!({"t": "2026-11-22", "_t": {"extension": [{"url": EXTENSION_OFFSET, "valueInteger": 345}]},
            "m": "2026-11-22T08:05:00+05:45", "_m": {"extension": [{"url": EXTENSION_PRECISION, "valueCode": "minute"}]},
            "bad": "2026-02-30"});
        let (day, _) = reading(&json, |node| node.time("t", "_t"));
        let day = day.unwrap().unwrap();
        assert_eq!((day.offset_minutes, day.precision, day.to_fhir().as_str()), (345, Precision::Day, "2026-11-22"));
        assert_eq!(reading(&json, |node| node.time("m", "_m")).0.unwrap().unwrap().precision, Precision::Minute);
        assert_eq!(reading(&json, |node| node.time("bad", "_bad")).0, Err(Reason::Time));
        assert_eq!(reading(&json, |node| node.date("bad")).0, Err(Reason::Time));
        assert_eq!(reading(&json, |node| node.date("m")).0.unwrap(), PartialDate::parse("2026-11-22"));
    }

    #[test]
    fn references_are_read_in_all_their_forms() {
        for (text, expected) in [
            ("Patient/a-1", Some(Reference::To("Patient", "a-1"))),
            ("http://x.org/fhir/Patient/a", Some(Reference::To("Patient", "a"))),
            ("Patient/a/_history/3", Some(Reference::To("Patient", "a"))),
            ("urn:uuid:a", Some(Reference::Any("a"))),
            ("#m", Some(Reference::Contained("m"))),
            ("#", None),
            ("Patient", None),
            ("Patient?identifier=x|y", None),
            ("Patient/Jane Doe", None),
            ("patient/a", None),
        ] {
            assert_eq!(Reference::parse(text), expected, "{text}");
        }
    }
}

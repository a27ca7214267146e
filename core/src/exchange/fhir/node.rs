//! Reads a JSON tree as FHIR says it should be, and remembers what was read.
//!
//! Every leaf that is read is marked. At the end [`Reading::left`] walks the tree: what nobody read is
//! counted by its path, the highest of which nothing was read; a modifier extension on anything that was
//! read refuses the resource, since FHIR forbids to ignore it.

use crate::exchange::report::{Reason, Refusal, is_name};
use crate::limits::TEXT_BYTES_MAX;
use serde_json::Value;
use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

/// Texts that reading one resource may make: result, components, reaction.
const TEXTS_MAX: usize = 32;

/// What was read of one resource, and texts made while reading it.
#[derive(Debug)]
pub(in crate::exchange) struct Reading {
    read: RefCell<BTreeSet<usize>>,
    texts: [OnceCell<String>; TEXTS_MAX],
}

/// One JSON value and where to mark that it was read.
#[derive(Clone, Copy, Debug)]
pub(in crate::exchange) struct Node<'v> {
    value: &'v Value,
    name: &'static str,
    reading: &'v Reading,
}

impl Reading {
    pub(in crate::exchange) fn new() -> Self {
        Self { read: RefCell::default(), texts: [const { OnceCell::new() }; TEXTS_MAX] }
    }

    /// The resource itself, which must be an object.
    pub(in crate::exchange) fn root<'v>(&'v self, value: &'v Value) -> Node<'v> {
        Node { value, name: "", reading: self }
    }

    /// Counts what was not read of `root` by path, beginning with `name`.
    pub(in crate::exchange) fn left(&self, root: &Value, name: &str) -> Result<BTreeMap<String, u64>, Refusal> {
        let mut left = BTreeMap::new();
        self.walk(root, &mut name.to_owned(), &mut left)?;
        Ok(left)
    }

    /// Whether anything in `value` was read; if so, what was not is counted.
    fn walk(&self, value: &Value, path: &mut String, left: &mut BTreeMap<String, u64>) -> Result<bool, Refusal> {
        let (mut any, mut unread, mut unread_items) = (false, Vec::new(), 0);
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    let (before, name) = (path.len(), if is_name(name) { name.as_str() } else { "?" });
                    path.push('.');
                    path.push_str(name);
                    if self.walk(member, path, left)? {
                        any = true;
                    } else if !member.is_null() {
                        unread.push((name, member.as_array().map_or(1, |items| items.len().max(1))));
                    }
                    path.truncate(before);
                }
                if any && (members.contains_key("modifierExtension") || members.contains_key("implicitRules")) {
                    return Err(Refusal::new(Reason::Modifier, "modifierExtension"));
                }
            }
            Value::Array(items) => {
                for item in items {
                    if self.walk(item, path, left)? {
                        any = true;
                    } else {
                        unread_items += u64::from(!item.is_null());
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Ok(self.was_read(value)),
        }
        if any {
            for (name, times) in unread {
                *left.entry(format!("{path}.{name}")).or_default() += u64::try_from(times).unwrap_or(1);
            }
            if unread_items > 0 {
                *left.entry(path.clone()).or_default() += unread_items;
            }
        }
        Ok(any)
    }

    fn mark(&self, value: &Value) {
        self.read.borrow_mut().insert(std::ptr::from_ref(value).addr());
    }

    fn was_read(&self, value: &Value) -> bool {
        self.read.borrow().contains(&std::ptr::from_ref(value).addr())
    }
}

impl<'v> Node<'v> {
    /// A refusal that names this element.
    pub(super) fn refuse(self, reason: Reason) -> Refusal {
        Refusal::new(reason, self.name)
    }

    /// Keeps a text as long as the resource.
    pub(super) fn keep(self, text: String) -> Result<&'v str, Refusal> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(self.refuse(Reason::TextTooLong));
        }
        for slot in &self.reading.texts {
            if slot.get().is_none() {
                return Ok(slot.get_or_init(|| text));
            }
        }
        Err(self.refuse(Reason::TooMany))
    }

    /// Marks this value and all in it as read.
    pub(super) fn mark_all(self) {
        match self.value {
            Value::Object(members) => members.values().for_each(|value| Self { value, ..self }.mark_all()),
            Value::Array(items) => items.iter().for_each(|value| Self { value, ..self }.mark_all()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => self.reading.mark(self.value),
        }
    }

    /// Takes back that anything in this value was read.
    pub(super) fn unmark_all(self) {
        match self.value {
            Value::Object(members) => members.values().for_each(|value| Self { value, ..self }.unmark_all()),
            Value::Array(items) => items.iter().for_each(|value| Self { value, ..self }.unmark_all()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                self.reading.read.borrow_mut().remove(&std::ptr::from_ref(self.value).addr());
            }
        }
    }

    /// Whether a member is there and not null.
    pub(super) fn has(self, name: &str) -> bool {
        self.value.get(name).is_some_and(|value| !value.is_null())
    }

    fn member(self, name: &'static str) -> Option<Self> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(Self { value, name, reading: self.reading })
    }

    /// A member that is an object.
    pub(super) fn object(self, name: &'static str) -> Result<Option<Self>, Refusal> {
        match self.member(name) {
            Some(node) if !node.value.is_object() => Err(node.refuse(Reason::WrongType)),
            other => Ok(other),
        }
    }

    /// The items of a member that is an array; none if it is missing.
    fn items(self, name: &'static str) -> Result<impl Iterator<Item = Self>, Refusal> {
        let items: &'v [Value] = match self.member(name) {
            None => &[],
            Some(Self { value: Value::Array(items), .. }) => items,
            Some(node) => return Err(node.refuse(Reason::WrongType)),
        };
        let reading = self.reading;
        Ok(items.iter().filter(|item| !item.is_null()).map(move |value| Self { value, name, reading }))
    }

    /// The objects of a member that is an array.
    pub(super) fn objects(self, name: &'static str) -> Result<Vec<Self>, Refusal> {
        self.items(name)?
            .map(|item| if item.value.is_object() { Ok(item) } else { Err(item.refuse(Reason::WrongType)) })
            .collect()
    }

    /// The texts of a member that is an array, at most `most`.
    pub(super) fn texts(self, name: &'static str, most: usize) -> Result<Vec<&'v str>, Refusal> {
        let texts = self.items(name)?.map(Self::read_text).collect::<Result<Vec<_>, _>>()?;
        if texts.len() > most { Err(Refusal::new(Reason::TooMany, name)) } else { Ok(texts) }
    }

    /// The first text of a member that is an array; empty if it is missing.
    pub(super) fn first_text(self, name: &'static str) -> Result<&'v str, Refusal> {
        self.items(name)?.next().map_or(Ok(""), Self::read_text)
    }

    /// A text; empty if it is missing.
    pub(super) fn text(self, name: &'static str) -> Result<&'v str, Refusal> {
        self.member(name).map_or(Ok(""), Self::read_text)
    }

    /// The resource's id.
    pub(in crate::exchange) fn id(self) -> Result<&'v str, Refusal> {
        self.text("id")
    }

    /// The resource's type.
    pub(in crate::exchange) fn resource_type(self) -> Result<&'v str, Refusal> {
        self.text("resourceType")
    }

    /// A text as [`Node::text`], but not marked as read.
    pub(super) fn peek(self, name: &'static str) -> Result<&'v str, Refusal> {
        self.member(name).map_or(Ok(""), Self::as_text)
    }

    fn read_text(self) -> Result<&'v str, Refusal> {
        let text = self.as_text()?;
        self.reading.mark(self.value);
        Ok(text)
    }

    fn as_text(self) -> Result<&'v str, Refusal> {
        let text = self.value.as_str().ok_or(self.refuse(Reason::WrongType))?;
        if text.len() > TEXT_BYTES_MAX { Err(self.refuse(Reason::TextTooLong)) } else { Ok(text) }
    }

    /// A code of a closed list.
    pub(super) fn code<T>(self, name: &'static str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Refusal> {
        match self.text(name)? {
            "" => Ok(None),
            text => read(text).map(Some).ok_or(Refusal::new(Reason::UnknownCode, name)),
        }
    }

    /// A truth value.
    pub(super) fn flag(self, name: &'static str) -> Result<Option<bool>, Refusal> {
        let Some(node) = self.member(name) else { return Ok(None) };
        let flag = node.value.as_bool().ok_or(node.refuse(Reason::WrongType))?;
        self.reading.mark(node.value);
        Ok(Some(flag))
    }

    /// A number, in decimal as it was written (as far as JSON parsers keep it: 17 digits).
    pub(super) fn number(self, name: &'static str) -> Result<Option<String>, Refusal> {
        let Some(node) = self.member(name) else { return Ok(None) };
        let Value::Number(number) = node.value else { return Err(node.refuse(Reason::WrongType)) };
        self.reading.mark(node.value);
        Ok(Some(number.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_not_read_is_counted_by_its_highest_path() {
        let value = json!({
            "id": "x",
            "maritalStatus": {"coding": [{"code": "M"}], "text": "Married"},
            "identifier": [
                {"value": "1", "type": {"text": "MR", "coding": [{"code": "MR"}]}},
                {"value": "2", "type": {"text": "SS"}},
                {"period": {}}
            ],
            "extension": [{"url": "a"}, {"url": "b"}],
            "not a name": 1,
            "nothing": null
        });
        let reading = Reading::new();
        let root = reading.root(&value);
        root.text("id").unwrap();
        for identifier in root.objects("identifier").unwrap() {
            identifier.text("value").unwrap();
            for coding in identifier.object("type").unwrap().map_or(vec![], |t| t.objects("coding").unwrap()) {
                coding.text("code").unwrap();
            }
        }
        let left = reading.left(&value, "Patient").unwrap();
        let expected = [
            ("Patient.?", 1),
            ("Patient.extension", 2),
            ("Patient.identifier", 1),
            ("Patient.identifier.type", 1),
            ("Patient.identifier.type.text", 1),
            ("Patient.maritalStatus", 1),
        ];
        assert!(left.iter().map(|(path, times)| (path.as_str(), *times)).eq(expected), "{left:?}");
    }

    #[test]
    fn a_modifier_on_what_is_read_refuses_and_elsewhere_not() {
        let value = json!({"a": {"x": "1", "modifierExtension": [{}]}, "b": {"x": "1"}});
        for (member, verdict) in [("b", true), ("a", false)] {
            let reading = Reading::new();
            reading.root(&value).object(member).unwrap().unwrap().text("x").unwrap();
            assert_eq!(reading.left(&value, "Patient").is_ok(), verdict);
        }
    }

    #[test]
    fn wrong_types_are_refused_and_null_is_absent() {
        let value = json!({"text": 1, "list": {}, "object": [], "flag": "true", "number": "1", "nothing": null,
            "mixed": ["a", 1], "long": "x".repeat(TEXT_BYTES_MAX + 1)});
        let reading = Reading::new();
        let root = reading.root(&value);
        let wrong = |element| Refusal::new(Reason::WrongType, element);
        assert_eq!(root.text("text"), Err(wrong("text")));
        assert_eq!(root.objects("list").unwrap_err(), wrong("list"));
        assert_eq!(root.object("object").unwrap_err(), wrong("object"));
        assert_eq!(root.flag("flag"), Err(wrong("flag")));
        assert_eq!(root.number("number"), Err(wrong("number")));
        assert_eq!(root.texts("mixed", 8), Err(wrong("mixed")));
        assert_eq!(root.texts("mixed", 8).unwrap_err().element, "mixed");
        assert_eq!(root.text("long"), Err(Refusal::new(Reason::TextTooLong, "long")));
        assert_eq!(root.text("nothing"), Ok(""));
        assert!(root.objects("nothing").unwrap().is_empty() && !root.has("nothing"));
    }

    #[test]
    fn made_texts_are_bounded_in_length_and_number() {
        let (value, reading) = (json!({}), Reading::new());
        let root = reading.root(&value);
        assert_eq!(root.keep("x".repeat(TEXT_BYTES_MAX + 1)).unwrap_err().reason, Reason::TextTooLong);
        let kept: Vec<&str> = (0..TEXTS_MAX).map(|n| root.keep(n.to_string()).unwrap()).collect();
        assert_eq!((kept[0], kept[31]), ("0", "31"));
        assert_eq!(root.keep(String::new()).unwrap_err().reason, Reason::TooMany);
    }
}

//! JSON objects whose fields keep their order and their bytes: what is passed through is not rewritten.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use crate::protocol::json;

/// The fields of a JSON object. A name stands once; the last value wins.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, Box<RawValue>)>);

impl Fields {
    /// Reads an object; none when `json` is none.
    pub(super) fn parse(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// The fields of a value that is serialised as an object.
    pub(super) fn of(value: &impl Serialize) -> Self {
        serde_json::to_string(value).ok().and_then(|json| Self::parse(&json)).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The field's JSON.
    pub(super) fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| &**value)
    }

    /// The field, where it is a string.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        let raw = self.get(name)?;
        json::plain(raw).map(Cow::Borrowed).or_else(|| serde_json::from_str(raw.get()).map(|Text(text)| text).ok())
    }

    /// Takes a field out.
    pub(super) fn take(&mut self, name: &str) -> Option<Box<RawValue>> {
        let place = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.remove(place).1)
    }

    /// Takes a field out, where it is a string; it is gone in any case.
    pub(super) fn take_text(&mut self, name: &str) -> Option<String> {
        let raw = self.take(name)?;
        json::plain(&raw).map(str::to_owned).or_else(|| serde_json::from_str(raw.get()).ok())
    }

    /// Sets a field; one that is there keeps its place.
    pub(super) fn set(&mut self, name: impl Into<String>, value: Box<RawValue>) {
        let name = name.into();
        match self.0.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Sets a field to a string.
    pub(super) fn set_text(&mut self, name: &str, text: &str) {
        if let Ok(value) = to_raw_value(text) {
            self.set(name, value);
        }
    }

    /// Sets all fields of `other`.
    pub(super) fn extend(&mut self, other: Self) {
        for (name, value) in other.0 {
            self.set(name, value);
        }
    }

    /// Without the fields that are null or an empty list: they say nothing.
    pub(super) fn retain_said(&mut self) {
        self.0.retain(|(_, value)| !matches!(value.get(), "null" | "[]"));
    }

    /// The object as JSON.
    pub(super) fn to_raw(&self) -> Option<Box<RawValue>> {
        to_raw_value(self).ok()
    }
}

/// A string that is borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Fields::default();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    fields.set(name, value);
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_through_keeps_its_order_and_its_bytes() {
        let json = r#"{"z":1.0,"a":{"n":18446744073709551616},"t":"\u00e9"}"#;
        let mut fields = Fields::parse(json).unwrap();
        assert_eq!(fields.to_raw().unwrap().get(), json);
        assert_eq!(fields.text("t").as_deref(), Some("é"));
        fields.set_text("a", "new");
        assert_eq!(fields.to_raw().unwrap().get(), r#"{"z":1.0,"a":"new","t":"\u00e9"}"#);
    }

    #[test]
    fn what_is_no_object_is_none() {
        for json in ["[]", "null", "1", "", "{", "\"a\""] {
            assert!(Fields::parse(json).is_none(), "{json}");
        }
    }
}

//! JSON that is taken apart member by member, so that nothing in it is dropped in silence and what travels as text keeps
//! its bytes: the order of keys and numbers of any size.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::faults::Faults;

/// A value, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Value<'a> {
    pub(super) path: String,
    raw: &'a RawValue,
}

impl<'a> Value<'a> {
    /// The value that is all of `text`.
    ///
    /// # Errors
    /// It is not JSON, and where.
    pub(super) fn read(text: &'a str) -> Result<Self, String> {
        let raw = serde_json::from_str(text).map_err(|error| rule(&error))?;
        Ok(Self { path: String::new(), raw })
    }

    /// Its text, as it was written.
    pub(super) fn json(&self) -> &'a str {
        self.raw.get()
    }

    pub(super) fn is_text(&self) -> bool {
        self.json().starts_with('"')
    }

    pub(super) fn is_object(&self) -> bool {
        self.json().starts_with('{')
    }

    pub(super) fn text(&self, faults: &mut Faults) -> Option<String> {
        self.of("must be a string", faults)
    }

    pub(super) fn number(&self, faults: &mut Faults) -> Option<f64> {
        self.of("must be a number", faults)
    }

    pub(super) fn int32(&self, faults: &mut Faults) -> Option<i32> {
        self.of("must be a whole number of 32 bits", faults)
    }

    pub(super) fn int64(&self, faults: &mut Faults) -> Option<i64> {
        self.of("must be a whole number of 64 bits", faults)
    }

    pub(super) fn truth(&self, faults: &mut Faults) -> Option<bool> {
        self.of("must be true or false", faults)
    }

    pub(super) fn list(&self, faults: &mut Faults) -> Option<Vec<Self>> {
        let Ok(items) = serde_json::from_str::<Vec<&'a RawValue>>(self.json()) else {
            faults.report(&self.path, "must be a list");
            return None;
        };
        let numbered = items.into_iter().enumerate();
        Some(numbered.map(|(index, raw)| Self { path: format!("{}[{index}]", self.path), raw }).collect())
    }

    pub(super) fn object(&self, faults: &mut Faults) -> Option<Object<'a>> {
        let mut reader = serde_json::Deserializer::from_str(self.json());
        match reader.deserialize_any(Members) {
            Ok(members) => Some(Object { path: self.path.clone(), members }),
            Err(error) => {
                faults.report(&self.path, if self.is_object() { rule(&error) } else { "must be an object".to_owned() });
                None
            }
        }
    }

    fn of<T: DeserializeOwned>(&self, rule: &str, faults: &mut Faults) -> Option<T> {
        let read = serde_json::from_str(self.json()).ok();
        if read.is_none() {
            faults.report(&self.path, rule);
        }
        read
    }
}

/// An object whose members are taken one by one. One that is null counts as one that is not there.
#[derive(Debug)]
pub(super) struct Object<'a> {
    pub(super) path: String,
    members: BTreeMap<String, &'a RawValue>,
}

impl<'a> Object<'a> {
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Takes a member; none where it is null or not there.
    pub(super) fn take(&mut self, name: &str) -> Option<Value<'a>> {
        let raw = self.members.remove(name).filter(|raw| raw.get() != "null")?;
        Some(Value { path: self.path_of(name), raw })
    }

    /// Takes a member that must be there.
    pub(super) fn need(&mut self, name: &str, faults: &mut Faults) -> Option<Value<'a>> {
        let value = self.take(name);
        if value.is_none() {
            faults.report(&self.path_of(name), "is missing");
        }
        value
    }

    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Whatever was not taken is not known here, and that is a fault: nothing is dropped in silence.
    pub(super) fn end(self, rule: &str, faults: &mut Faults) {
        for (name, _) in self.members.iter().filter(|(_, raw)| raw.get() != "null") {
            faults.report(&self.path_of(name), rule);
        }
    }
}

/// Reads the members of an object; a name that is there twice is an error.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = BTreeMap<String, &'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
            if members.contains_key(&name) {
                return Err(serde::de::Error::custom(format_args!("has `{name}` twice")));
            }
            members.insert(name, value);
        }
        Ok(members)
    }
}

/// What is wrong with text that is not JSON. All of it stands in one line, so that only the column says where.
fn rule(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    if what.starts_with("has `") {
        what.to_owned()
    } else {
        format!("is not JSON: {what} at column {}", error.column())
    }
}

//! Keys that stand twice in an object of JSON. Readers differ on which of the two counts, so that none of them is taken. It
//! must not know what is asked for.

use std::collections::HashSet;
use std::fmt;

use prost_reflect::{Kind, MessageDescriptor};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_path_to_error::Track;

/// The longest name that is told, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// What an error begins with that is one of these, before the name.
const TWICE: &str = "twice ";

/// A key that stands twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Twice {
    /// The path of the object; empty: it is the outermost one.
    pub(super) within: String,
    /// The key, as the contract spells it; `?`: it is no name.
    pub(super) name: String,
}

/// What an object is.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// A message of the contract: each of its fields has two spellings.
    Message(MessageDescriptor),
    /// A map whose keys are its caller's, with values of this kind.
    Map(Kind),
    /// Anything.
    Any,
}

/// The first key that stands twice in `json`, if one does. What is no JSON is for whoever reads it to say.
pub(super) fn twice(json: &[u8], shape: Shape) -> Option<Twice> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let mut track = Track::new();
    let error = shape.deserialize(serde_path_to_error::Deserializer::new(&mut reader, &mut track)).err()?;
    let words = error.to_string();
    let name = words.strip_prefix(TWICE)?.split(' ').next().unwrap_or_default().to_owned();
    let within = track.path().to_string();
    Some(Twice { within: if within == "." { String::new() } else { within }, name })
}

impl Shape {
    fn of(kind: &Kind) -> Self {
        match kind {
            // Those that are written as other JSON than their fields.
            Kind::Message(message) if message.full_name().starts_with("google.protobuf.") => Self::Any,
            Kind::Message(message) => Self::Message(message.clone()),
            _ => Self::Any,
        }
    }

    /// What a key of it is called, and what stands behind it.
    fn under(&self, key: String) -> (String, Self) {
        match self {
            Self::Any => (key, Self::Any),
            Self::Map(kind) => (key, Self::of(kind)),
            Self::Message(message) => {
                let Some(field) = message.get_field_by_json_name(&key).or_else(|| message.get_field_by_name(&key))
                else {
                    return (key, Self::Any);
                };
                let shape = match field.kind() {
                    Kind::Message(entry) if field.is_map() => Self::Map(entry.map_entry_value_field().kind()),
                    kind => Self::of(&kind),
                };
                (field.name().to_owned(), shape)
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Shape {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shape {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self.clone())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let (name, shape) = self.under(key);
            if seen.contains(&name) {
                return Err(A::Error::custom(format_args!("{TWICE}{}", told(&name))));
            }
            seen.insert(name);
            map.next_value_seed(shape)?;
        }
        Ok(())
    }
}

/// A key that can be a name; any other may hold what shall not be told.
fn told(name: &str) -> &str {
    let is_name = (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if is_name { name } else { "?" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::json;

    fn found(text: &str) -> Option<(String, String)> {
        let message = json::descriptor("CompleteRequest").unwrap();
        twice(text.as_bytes(), Shape::Message(message)).map(|Twice { within, name }| (within, name))
    }

    #[test]
    fn a_key_that_stands_twice_is_told_with_its_place() {
        for (text, within, name) in [
            (r#"{"prompt":"a","prompt":"b"}"#, "", "prompt"),
            (r#"{"max_tokens":1,"model":"m","maxTokens":2}"#, "", "max_tokens"),
            (r#"{"maxTokens":1,"max_tokens":null}"#, "", "max_tokens"),
            (r#"{"messages":[{},{"role":"ROLE_USER","role":"ROLE_USER"}]}"#, "messages[1]", "role"),
            (r#"{"messages":[{"content":[{"text":{"text":"a","text":"b"}}]}]}"#, "messages[0].content[0].text", "text"),
            (r#"{"labels":{"a_b":"1","a_b":"2"}}"#, "labels", "a_b"),
            (r#"{"provider_options":{"x":{"body_json":"","bodyJson":""}}}"#, "provider_options.x", "body_json"),
            (r#"{"nothing":{"a":1,"a":2}}"#, "nothing", "a"),
            (r#"{"a secret":1,"a secret":2}"#, "", "?"),
            (r#"{"":1,"":2}"#, "", "?"),
        ] {
            assert_eq!(found(text), Some((within.to_owned(), name.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_is_there_once_is_nothing_and_neither_is_what_is_no_json() {
        for text in [
            r#"{"prompt":"a","model":"prompt","max_tokens":1}"#,
            r#"{"labels":{"a_b":"1","aB":"2"},"messages":[{"role":"ROLE_USER"},{"role":"ROLE_USER"}]}"#,
            r#"{"prompt":"a","prompt"#,
            r#"[1,{},{"a":{"a":{"a":1}}}]"#,
            "",
            "{\"a\":1e999,\"a\":1}",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
        assert_eq!(found(&"{\"a\":".repeat(100_000)), None);
        assert_eq!(twice(br#"{"maxTokens":1,"max_tokens":2}"#, Shape::Any), None);
    }
}

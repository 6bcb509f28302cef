//! JSON that travels as text: checked without being built, so that key order and long numbers survive.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Deserializer as Parser;

use super::violations::{Path, Violations};

/// The same text, if it is JSON of an object that every later reader can read too: numbers in range, whole surrogate
/// pairs, nested at most 127 deep.
pub(super) fn object(text: String, path: &Path<'_>, found: &mut Violations) -> Option<String> {
    let mut parser = Parser::from_str(&text);
    match Object::deserialize(&mut parser).and_then(|Object| parser.end()) {
        Ok(()) => Some(text),
        Err(error) => {
            found.report(path, rule(&error));
            None
        }
    }
}

/// What would be right, and where the text leaves it; never what stands there.
pub(super) fn rule(error: &serde_json::Error) -> String {
    format!(
        "must be JSON text of an object, nested at most 127 deep; it is not at line {} column {}",
        error.line(),
        error.column()
    )
}

/// Any JSON object.
struct Object;

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ObjectVisitor).map(|()| Self)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        AnyVisitor.visit_map(map)
    }
}

/// Any JSON value. Unlike serde's `IgnoredAny` it reads strings and numbers, so that what it lets pass can be read.
struct Any;

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyVisitor).map(|()| Self)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
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
        while list.next_element::<Any>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<Any, Any>()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_pass_unchanged_and_nothing_else_does() {
        let deep = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        let cases = [
            ("{}", true),
            (" {\"b\": 1, \"a\": [18446744073709551615, null, \"\\u00e9\", true, 1.5e3]} ", true),
            ("", false),
            ("[]", false),
            ("null", false),
            ("{", false),
            ("{} {}", false),
            ("{\"a\":1,}", false),
            ("{\"a\":1e999}", false),
            ("{\"a\":\"\\ud800\"}", false),
            (&deep(127), true),
            (&deep(128), false),
            (&deep(100_000), false),
        ];
        for (text, passes) in cases {
            let mut found = Violations::default();
            let checked = object(text.to_owned(), &Path::ROOT.field("json"), &mut found);
            assert_eq!(checked.as_deref(), passes.then_some(text));
            assert_eq!(found.judge().is_ok(), passes);
            assert_eq!(serde_json::from_str::<serde_json::Map<_, _>>(text).is_ok(), passes, "as later readers see it");
        }
    }
}

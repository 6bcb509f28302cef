//! A YAML file as a tree that remembers where each of its nodes stands.
//!
//! serde stops at the first thing that does not fit; a file is checked as a whole, so it is read into this tree first.
//! Nothing here knows a setting.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Budget, DuplicateKeyPolicy, Location, NonFiniteFloatPolicy, Options, Spanned};

use super::problem::Mark;
use super::syntax::SyntaxError;

/// A node of the file.
#[derive(Debug)]
pub(super) struct Node {
    /// Where it begins.
    pub(super) mark: Mark,
    /// What it is.
    pub(super) kind: Kind,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Kind {
    /// Nothing, or `~`.
    Empty,
    /// Text, a number or a truth value, as it was written.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the file's order; a key may stand twice.
    Map(Vec<(Node, Node)>),
}

/// How deep lists and maps may stand in each other. No setting is deeper than eight, and each level takes room on the stack.
pub(super) const DEEPEST: usize = 24;

/// Reads a file.
///
/// # Errors
/// The first place that is no YAML. The message never quotes a line: it might hold a key.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut options = Options::default();
    options.budget = Some(budget());
    // Which scalars are numbers or truth values does not matter here, as long as none is refused.
    options.strict_booleans = true;
    options.non_finite_float_policy = NonFiniteFloatPolicy::PassThrough;
    // Whoever walks the tree says which key stands twice, with its path and together with all else that is wrong.
    options.duplicate_keys = DuplicateKeyPolicy::PassThrough;
    let raw: Spanned<Raw> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| SyntaxError::of(&error, text))?;
    Ok(node(raw, text))
}

fn budget() -> Budget {
    let mut budget = Budget::default();
    budget.max_depth = DEEPEST;
    budget.flow_nesting_limit = DEEPEST;
    budget
}

fn node(raw: Spanned<Raw>, text: &str) -> Node {
    let written = || {
        let span = raw.defined.span();
        let from = usize::try_from(span.byte_offset()?).ok()?;
        let to = from.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
        text.get(from..to).map(|text| text.trim().to_owned())
    };
    let kind = match raw.value {
        Raw::Empty => Kind::Empty,
        Raw::Text(text) => Kind::Text(text),
        Raw::Plain(shown) => Kind::Text(written().unwrap_or(shown)),
        Raw::List(items) => Kind::List(items.into_iter().map(|item| node(item, text)).collect()),
        Raw::Map(entries) => {
            Kind::Map(entries.into_iter().map(|(key, value)| (node(key, text), node(value, text))).collect())
        }
    };
    Node { mark: raw.referenced.into(), kind }
}

impl From<Location> for Mark {
    fn from(location: Location) -> Self {
        Self { line: location.line(), column: location.column() }
    }
}

/// A node as serde sees it.
enum Raw {
    Empty,
    Text(String),
    /// A number or a truth value, as Rust shows it: what was written is taken from the file.
    Plain(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, a list or a map")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Empty)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Empty)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Raw, E> {
        Ok(Raw::Text(text))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Raw, E> {
        Err(E::custom("bytes are not a setting"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map: Vec<(Spanned<Raw>, Spanned<Raw>)> = Vec::new();
        while let Some(entry) = entries.next_entry::<Spanned<Raw>, Spanned<Raw>>()? {
            if !matches!(entry.0.value, Raw::Text(_) | Raw::Plain(_)) {
                return Err(A::Error::custom("a key is text"));
            }
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(node: &Node) -> String {
        match &node.kind {
            Kind::Empty => "~".to_owned(),
            Kind::Text(text) => format!("{text:?}"),
            Kind::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" ")),
            Kind::Map(entries) => format!(
                "{{{}}}",
                entries.iter().map(|(k, v)| format!("{}={}", show(k), show(v))).collect::<Vec<_>>().join(" ")
            ),
        }
    }

    #[test]
    fn scalars_keep_their_spelling() {
        let cases = [
            ("a: 007", r#"{"a"="007"}"#),
            ("a: 1.50", r#"{"a"="1.50"}"#),
            ("a: no", r#"{"a"="no"}"#),
            ("a: true", r#"{"a"="true"}"#),
            ("a: 1e999", r#"{"a"="1e999"}"#),
            ("a: 0x10", r#"{"a"="0x10"}"#),
            ("a: '5 s'", r#"{"a"="5 s"}"#),
            ("a:", r#"{"a"=~}"#),
            ("a: [1, b]", r#"{"a"=["1" "b"]}"#),
            ("4: x", r#"{"4"="x"}"#),
            ("a: 1\na: 2", r#"{"a"="1" "a"="2"}"#),
            ("x: &v 1.10\ny: *v", r#"{"x"="1.10" "y"="1.10"}"#),
        ];
        for (text, expected) in cases {
            assert_eq!(show(&parse(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn nodes_know_their_place() {
        let Kind::Map(entries) = parse("a: 1\nb:\n  - c: ü\n    d: 2\n").unwrap().kind else { panic!() };
        let Kind::List(items) = &entries[1].1.kind else { panic!() };
        let Kind::Map(inner) = &items[0].kind else { panic!() };
        assert_eq!(inner[1].0.mark, Mark { line: 4, column: 5 });
        assert_eq!(inner[1].1.mark, Mark { line: 4, column: 8 });
    }
}

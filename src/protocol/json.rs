//! JSON of upstreams: read as text where it is text, and written in few pieces.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// The bytes that a request takes most often, at most.
const ROOM: usize = 4096;
/// From where on it is worth looking whether a text may be copied in one piece, in bytes.
const LONG: usize = 64;
/// Up to where, since it is held once more for that.
const LONGEST: usize = 1024 * 1024;

/// Reads `bytes`. That they are text is found out once for all of them, and not for each string in them.
///
/// # Errors
/// It is not the JSON that was looked for.
pub(super) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text),
        // What is no text may stand where nobody looks.
        Err(_) => serde_json::from_slice(bytes),
    }
}

/// The text of a JSON string that has no escapes; none for any other value. It is known to be JSON, so that it need not be read
/// a second time.
pub(super) fn plain(raw: &RawValue) -> Option<&str> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    memchr::memchr(b'\\', inner.as_bytes()).is_none().then_some(inner)
}

/// Writes `value`.
///
/// # Errors
/// It cannot be written as JSON.
pub(super) fn written(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(ROOM);
    serde_json::to_writer(&mut bytes, value)?;
    Ok(bytes)
}

/// Writes a text that may be long. serde_json looks at each byte by itself; most texts have nothing that stands otherwise in
/// JSON, which is found out for many bytes at a time.
///
/// # Errors
/// Those of the serializer.
pub(super) fn text<S: Serializer>(text: &impl AsRef<str>, serializer: S) -> Result<S::Ok, S::Error> {
    let text = text.as_ref();
    if (LONG..=LONGEST).contains(&text.len())
        && is_plain(text)
        && let Ok(quoted) = RawValue::from_string(["\"", text, "\""].concat())
    {
        return quoted.serialize(serializer);
    }
    serializer.serialize_str(text)
}

/// The same for a text that may be absent.
///
/// # Errors
/// Those of the serializer.
pub(super) fn some_text<S: Serializer>(text: &Option<impl AsRef<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    match text {
        Some(some) => self::text(some, serializer),
        None => serializer.serialize_none(),
    }
}

/// Whether `text` stands in JSON as it is.
pub(crate) fn is_plain(text: &str) -> bool {
    // Without a way out, so that the compiler takes many bytes at a time.
    text.bytes().fold(true, |is_plain, byte| is_plain & (byte >= b' ' && byte != b'"' && byte != b'\\'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Serialize)]
    struct Written<'a> {
        #[serde(serialize_with = "text")]
        text: &'a str,
        #[serde(serialize_with = "some_text")]
        some: Option<&'a str>,
    }

    #[test]
    fn a_string_without_escapes_is_its_own_text() {
        for (json, expected) in [
            (r#""a b""#, Some("a b")),
            (r#""""#, Some("")),
            (r#""a\nb""#, None),
            (r#""a\"""#, None),
            (r#""\u00e4""#, None),
            ("5", None),
            ("null", None),
            (r#"["a"]"#, None),
        ] {
            assert_eq!(plain(serde_json::from_str(json).unwrap()), expected, "{json}");
        }
    }

    proptest! {
        #[test]
        fn a_text_is_written_as_json_has_it(text in any::<String>(), times in 1..20_usize) {
            for text in [text.repeat(times), "plain ".repeat(times)] {
                let ours = written(&Written { text: &text, some: Some(&text) }).unwrap();
                let expected = serde_json::json!({ "text": text, "some": text });
                prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&ours).unwrap(), expected);
                let plain = serde_json::to_string(&text).unwrap();
                prop_assert_eq!(is_plain(&text), plain.len() == text.len() + 2);
                prop_assert_eq!(String::from_utf8(ours).unwrap(), format!("{{\"text\":{plain},\"some\":{plain}}}"));
            }
        }
    }
}

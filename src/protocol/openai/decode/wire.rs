//! The answer as it stands on the wire, read so that a field of an unexpected form spoils nothing but itself.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::Error;
use crate::protocol::few::Few;
use crate::protocol::json;

/// The most choices of a chunk: one was asked for.
const MOST_CHOICES: usize = 16;
/// The most elements of a list within a choice.
const MOST_ELEMENTS: usize = 8192;
/// The most log probabilities of a chunk, or of an answer.
pub(super) const MOST_LOGPROBS: usize = 65_536;
/// The most alternatives to a token.
const MOST_ALTERNATIVES: usize = 32;

/// A chunk of a stream, or a whole answer: they differ in one word.
#[derive(Debug, Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) object: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) model: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) choices: Option<Few<Choice<'a>, MOST_CHOICES>>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) service_tier: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) x_groq: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) message: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) detail: Option<&'a RawValue>,
    // What is passed on as it is.
    #[serde(borrow)]
    pub(super) system_fingerprint: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) prompt_filter_results: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) moderation: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) provider: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) citations: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) search_results: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) timings: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(borrow)]
    pub(super) index: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) delta: Option<Delta<'a>>,
    #[serde(borrow)]
    pub(super) message: Option<Delta<'a>>,
    #[serde(borrow)]
    pub(super) finish_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) stop_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) matched_stop: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) native_finish_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) content_filter_results: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

/// A piece of the message, or all of it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) reasoning_details: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) audio: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) annotations: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) images: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) executed_tools: Option<&'a RawValue>,
}

/// A piece of a tool call.
#[derive(Debug, Default, Deserialize)]
pub(super) struct CallPart<'a> {
    #[serde(borrow)]
    pub(super) index: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) function: Option<FunctionPart<'a>>,
    #[serde(borrow)]
    pub(super) custom: Option<CustomPart<'a>>,
    #[serde(borrow)]
    pub(super) extra_content: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct FunctionPart<'a> {
    #[serde(borrow)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct CustomPart<'a> {
    #[serde(borrow)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
}

/// A piece of sound.
#[derive(Debug, Default, Deserialize)]
pub(super) struct AudioPart<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) transcript: Option<&'a RawValue>,
}

/// A part of a content that is an array.
#[derive(Debug, Deserialize)]
pub(super) struct ContentPart<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) signature: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) image_url: Option<&'a RawValue>,
}

/// The text of a piece of reasoning that otherwise stays as it is.
#[derive(Debug, Deserialize)]
pub(super) struct ReasoningDetail<'a> {
    #[serde(borrow)]
    pub(super) text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) summary: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Logprobs<'a> {
    #[serde(borrow)]
    pub(super) content: Option<Few<Logprob<'a>, MOST_LOGPROBS>>,
    #[serde(borrow)]
    pub(super) refusal: Option<Few<Logprob<'a>, MOST_LOGPROBS>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Logprob<'a> {
    #[serde(borrow)]
    pub(super) token: Option<&'a RawValue>,
    pub(super) bytes: Option<Vec<u8>>,
    pub(super) logprob: Option<f64>,
    #[serde(borrow, default)]
    pub(super) top_logprobs: Option<Few<Logprob<'a>, MOST_ALTERNATIVES>>,
}

/// An annotation: the object with the details is under the name that `type` says, or the annotation itself.
#[derive(Debug, Deserialize)]
pub(super) struct Annotation<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) url_citation: Option<Cited<'a>>,
    #[serde(borrow)]
    pub(super) file_citation: Option<Cited<'a>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Cited<'a> {
    #[serde(borrow)]
    pub(super) url: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) title: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) file_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) start_index: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) end_index: Option<&'a RawValue>,
}

/// A string that is borrowed where it has no escapes.
#[derive(Deserialize)]
struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

/// The text of a JSON string; none for anything else.
pub(super) fn text(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let raw = raw?;
    if let Some(plain) = json::plain(raw) {
        return Some(Cow::Borrowed(plain));
    }
    let raw = raw.get();
    if !raw.starts_with('"') {
        return None;
    }
    match serde_json::from_str::<Borrowed<'_>>(raw) {
        Ok(Borrowed(text)) => Some(text),
        // Half of a surrogate pair, where a server cuts its text between the halves: the rest of the text is not lost.
        Err(_) => serde_json::from_str::<Halved>(raw).ok().map(|Halved(text)| text.into()),
    }
}

/// A string in which halves of surrogate pairs are replacement characters.
struct Halved(String);

impl<'de> Deserialize<'de> for Halved {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl serde::de::Visitor<'_> for Bytes {
            type Value = Halved;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Halved, E> {
                Ok(Halved(String::from_utf8_lossy(bytes).into_owned()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// The text of a JSON string that is not empty.
pub(super) fn some_text(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    text(raw).filter(|text| !text.is_empty())
}

/// A JSON number that counts something, in whatever form it came: `12`, `12.0`, `"12"`.
pub(super) fn count(raw: Option<&RawValue>) -> Option<i64> {
    let raw = raw?.get();
    let digits = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw);
    digits.parse().ok().or_else(|| {
        let number = digits.parse::<f64>().ok().filter(|number| number.is_finite())?;
        format!("{number:.0}").parse().ok()
    })
}

/// The elements of a JSON array; none for anything else.
///
/// # Errors
/// When there are more than any answer has.
pub(super) fn elements(raw: Option<&RawValue>) -> Result<Vec<&RawValue>, Error> {
    let Some(raw) = raw.filter(|raw| raw.get().starts_with('[')) else { return Ok(Vec::new()) };
    match serde_json::from_str::<Few<&RawValue, MOST_ELEMENTS>>(raw.get()) {
        Ok(Few(elements)) => Ok(elements),
        Err(_) => Err(Error::protocol("it has a list that is too long")),
    }
}

/// An object of a known form; none for anything else.
pub(super) fn object<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn a_text_with_half_a_surrogate_pair_is_not_lost() {
        for (json, expected) in [
            (r#""a\ud83db""#, Some("a\u{fffd}\u{fffd}\u{fffd}b")),
            (r#""\ud83d\ude00""#, Some("\u{1f600}")),
            ("[]", None),
        ] {
            assert_eq!(text(Some(&raw(json))).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn a_list_without_end_is_an_error_and_no_empty_list() {
        let list = |length: usize| raw(&format!("[{}]", vec!["{}"; length].join(",")));
        assert_eq!(elements(Some(&list(MOST_ELEMENTS))).unwrap().len(), MOST_ELEMENTS);
        assert!(elements(Some(&list(MOST_ELEMENTS + 1))).is_err());
        let choices = |length: usize| format!(r#"{{"choices":{}}}"#, list(length).get());
        assert!(serde_json::from_str::<Chunk<'_>>(&choices(MOST_CHOICES)).is_ok());
        assert!(serde_json::from_str::<Chunk<'_>>(&choices(MOST_CHOICES + 1)).is_err());
    }
}

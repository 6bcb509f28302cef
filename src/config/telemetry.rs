//! What the file says about telemetry, beside the standard `OTEL_*` variables.

use super::problem::Wrong;
use super::quantity;
use super::reader::{Fields, Value};
use crate::telemetry::{GenAiNames, Pattern};

/// The most expressions: each is looked for in every text that is captured.
const MAX_PATTERNS: usize = 64;
/// The most keys of baggage.
const MAX_BAGGAGE: usize = 64;

/// How the server speaks of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Telemetry {
    /// Which names the metrics of the generative AI conventions have. Default: the latest.
    pub genai_semconv: GenAiNames,
    /// Whether what is said in calls is captured in their spans, redacted. Default: no.
    pub capture_content: bool,
    /// What is taken out of it beside addresses, numbers of cards and telephones, and keys. Default: nothing.
    pub redact: Vec<Pattern>,
    /// The keys of callers' baggage that go on to providers. Default: none.
    pub baggage: Vec<String>,
}

/// Reads `telemetry`.
pub(super) fn telemetry(file: &mut Fields<'_>) -> Telemetry {
    let default = Telemetry::default();
    let Some(value) = file.take("telemetry") else { return default };
    let mut fields = value.fields();
    let settings = Telemetry {
        genai_semconv: fields.read("genai_semconv", default.genai_semconv, names),
        capture_content: fields.read("capture_content", default.capture_content, quantity::truth),
        redact: fields.take("redact").map(|list| few(&list, MAX_PATTERNS, pattern)).unwrap_or_default(),
        baggage: fields.take("baggage").map(|list| few(&list, MAX_BAGGAGE, key)).unwrap_or_default(),
    };
    fields.finish(&[]);
    settings
}

fn names(text: &str) -> Result<GenAiNames, Wrong> {
    match text {
        "latest" => Ok(GenAiNames::Latest),
        "legacy" => Ok(GenAiNames::Legacy),
        "dup" => Ok(GenAiNames::Both),
        _ => Err(Wrong::new(format!("`{text}` names no conventions"), "`latest`, `legacy` or `dup` for both")),
    }
}

fn few<T>(list: &Value<'_>, most: usize, read: fn(&str) -> Result<T, Wrong>) -> Vec<T> {
    let items: Vec<T> = list.items().iter().filter_map(|item| item.parse(read)).collect();
    if items.len() > most {
        list.wrong(Wrong::new(format!("has {} entries, and may have at most {most}", items.len()), ""));
    }
    items
}

fn pattern(text: &str) -> Result<Pattern, Wrong> {
    text.parse().map_err(|_| {
        let right = "as in `EMP-[0-9]{6}`; look-around and back-references are not known";
        Wrong::new("is no regular expression, or too large", right)
    })
}

/// A key of baggage is a token of HTTP.
fn key(text: &str) -> Result<String, Wrong> {
    let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&letter);
    match !text.is_empty() && text.bytes().all(is_letter) {
        true => Ok(text.to_owned()),
        false => {
            Err(Wrong::new(format!("`{text}` is no key of baggage"), "letters, digits and `-._` as in `tenant.id`"))
        }
    }
}

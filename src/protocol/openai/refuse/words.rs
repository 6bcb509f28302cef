//! The words of an error, out of the forms in which servers put them.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::domain::RefusalDetail;
use crate::protocol::openai::decode::ending::filters;

/// What an error says; empty where it says nothing.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) kind: String,
    /// A word or a number, as text.
    pub(super) code: String,
    pub(super) param: String,
    pub(super) message: String,
    /// The code of the error within the error.
    pub(super) inner_code: String,
    /// A moderation flagged the input.
    pub(super) flagged: bool,
    /// The filters that were met.
    pub(super) filters: Option<RefusalDetail>,
}

type Object<'a> = BTreeMap<&'a str, &'a RawValue>;

/// Whether `message` has one of these phrases, which are in lower case.
pub(super) fn says(message: &str, phrases: &[&str]) -> bool {
    let message = message.to_lowercase();
    phrases.iter().any(|phrase| message.contains(phrase))
}

impl Words {
    /// Reads a body: `{"error": {…}}`, `{"error": "…"}`, the fields without a wrapper, `{"detail": …}`, an error in an
    /// array, in a choice or in a vendor's own object. A body that is no JSON says nothing.
    pub(super) fn read(body: &[u8]) -> Self {
        let Ok(raw) = serde_json::from_slice::<&RawValue>(body) else { return Self::default() };
        if let Some(first) = parse::<Vec<&RawValue>>(raw).and_then(|array| array.first().copied()) {
            return Self::read(first.get().as_bytes());
        }
        let Some(outer) = parse::<Object<'_>>(raw) else { return Self::said(raw) };
        let vendors = outer.get("x_groq").and_then(|own| parse::<Object<'_>>(own));
        let in_choice = outer.get("choices").and_then(|choices| {
            parse::<Vec<Object<'_>>>(choices)?.iter().find_map(|choice| choice.get("error").copied())
        });
        let wrapped = outer.get("error").copied().or_else(|| vendors.as_ref()?.get("error").copied()).or(in_choice);
        let Some(wrapped) = wrapped.filter(|error| error.get() != "null") else { return Self::flat(&outer) };
        match parse::<Object<'_>>(wrapped) {
            Some(error) => Self::flat(&error),
            // An error that is a text; its code may stand beside it.
            None => Self { message: scalar(wrapped), ..Self::flat(&outer) },
        }
    }

    /// Whether the words themselves blame the request, where no status does.
    pub(super) fn is_rejection(&self) -> bool {
        matches!(self.kind.as_str(), "invalid_request_error" | "BadRequestError" | "BadRequest")
    }

    fn said(raw: &RawValue) -> Self {
        Self { message: scalar(raw), ..Self::default() }
    }

    fn flat(fields: &Object<'_>) -> Self {
        let field = |name: &str| fields.get(name).map(|raw| scalar(raw)).unwrap_or_default();
        let inner = fields.get("innererror").and_then(|raw| parse::<Object<'_>>(raw)).unwrap_or_default();
        let metadata = fields.get("metadata").and_then(|raw| parse::<Object<'_>>(raw)).unwrap_or_default();
        let verdicts = inner.get("content_filter_result").or_else(|| inner.get("content_filter_results"));
        let message = fields.get("message").or_else(|| fields.get("detail"));
        Self {
            kind: field("type"),
            code: field("code"),
            param: field("param"),
            message: message.map(|raw| scalar(raw)).unwrap_or_default(),
            inner_code: inner.get("code").map(|raw| scalar(raw)).unwrap_or_default(),
            flagged: metadata.contains_key("flagged_input"),
            filters: verdicts.and_then(|verdicts| filters(verdicts)),
        }
    }
}

fn parse<'a, T: serde::Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

/// A text as it is, null as nothing, everything else as JSON.
fn scalar(raw: &RawValue) -> String {
    match raw.get() {
        "null" => String::new(),
        json => serde_json::from_str(json).unwrap_or_else(|_| json.to_owned()),
    }
}

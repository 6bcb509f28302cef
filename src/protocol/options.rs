//! What only one vendor knows: merged into an encoded body, last.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::value::RawValue;

use super::Order;

/// The keys of a request's body that the server owns, whatever the protocol; the edge refuses them.
pub const OWNED_KEYS: [&str; 15] = [
    "model",
    // A router's own fallbacks would be models that nobody has allowed, and whose price nobody knows.
    "models",
    "route",
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "stream",
    "stream_options",
    "n",
    "tools",
    "system",
    "input",
    "contents",
    "candidate_count",
];

/// Replaces or adds the top-level keys that the caller set for this vendor. Everything else keeps its bytes.
pub(super) fn merge(body: Vec<u8>, order: &Order<'_>) -> Bytes {
    let options = order.request.provider_options.get(&order.identity.vendor);
    let Some(options) = options.filter(|options| !options.body.is_empty()) else { return body.into() };
    let merged = || {
        let mut object: BTreeMap<&str, Box<RawValue>> = serde_json::from_slice(&body).ok()?;
        for (key, value) in &options.body {
            object.insert(key, serde_json::value::to_raw_value(value).ok()?);
        }
        serde_json::to_vec(&object).ok()
    };
    // Encoded bodies are objects and options are values: this cannot fail, and if it did the body is still right.
    merged().unwrap_or(body).into()
}

/// Adds the headers that the caller set for this vendor; the edge checked each against the configuration.
pub(super) fn add_headers(headers: &mut HeaderMap, order: &Order<'_>) {
    let Some(options) = order.request.provider_options.get(&order.identity.vendor) else { return };
    for (name, value) in &options.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
}

//! A completion in the words of the generative AI conventions.

use opentelemetry::{Array, KeyValue, StringValue, Value};

use super::semconv;
use crate::domain::{FinishReason, Origin, Outcome, ReasoningAmount, Request, ResponseFormat, Tokens, Usage};

/// The words of the conventions for the end of an answer.
pub(super) const fn finish_word(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop | FinishReason::StopSequence => "stop",
        FinishReason::MaxTokens | FinishReason::ContextWindow | FinishReason::CostLimit => "length",
        FinishReason::ToolCalls => "tool_call",
        FinishReason::ContentFilter | FinishReason::Refusal => "content_filter",
        FinishReason::Pause => "pause",
        FinishReason::Other => "other",
    }
}

/// What answered a call, as `cache_status` of the contract tells it, in lower case.
pub(super) const fn cache_word(origin: Origin) -> &'static str {
    match origin {
        Origin::Bypassed => "bypassed",
        Origin::Missed => "miss",
        Origin::Hit => "hit",
        Origin::Coalesced => "coalesced",
        Origin::Replayed(_) => "replayed",
    }
}

/// Why the only candidate ended.
pub(super) fn finish_reasons(word: &'static str) -> KeyValue {
    let words = Value::Array(Array::String(vec![StringValue::from(word)]));
    KeyValue::new(semconv::GEN_AI_RESPONSE_FINISH_REASONS, words)
}

/// What is asked for: settings and their numbers, never a word of the request.
pub(super) fn request_attributes(request: &Request) -> Vec<KeyValue> {
    let sampling = request.sampling;
    let float = |name, value: Option<f64>| value.map(|value| KeyValue::new(name, value));
    let whole = |name, value: Option<i64>| value.map(|value| KeyValue::new(name, value));
    let level = request.reasoning.and_then(|reasoning| match reasoning.amount? {
        ReasoningAmount::Effort(effort) => Some(effort.as_str()),
        ReasoningAmount::Budget(_) => None,
    });
    let json = request.response_format != ResponseFormat::Text;
    [
        Some(KeyValue::new(semconv::GEN_AI_OPERATION_NAME, "chat")),
        request.model.as_ref().map(|model| KeyValue::new(semconv::GEN_AI_REQUEST_MODEL, model.to_string())),
        float(semconv::GEN_AI_REQUEST_TEMPERATURE, sampling.temperature),
        float(semconv::GEN_AI_REQUEST_TOP_P, sampling.top_p),
        whole(semconv::GEN_AI_REQUEST_TOP_K, sampling.top_k.map(i64::from)),
        float(semconv::GEN_AI_REQUEST_FREQUENCY_PENALTY, sampling.frequency_penalty),
        float(semconv::GEN_AI_REQUEST_PRESENCE_PENALTY, sampling.presence_penalty),
        whole(semconv::GEN_AI_REQUEST_SEED, sampling.seed),
        level.map(|level| KeyValue::new(semconv::GEN_AI_REQUEST_REASONING_LEVEL, level)),
        json.then(|| KeyValue::new(semconv::GEN_AI_OUTPUT_TYPE, "json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What answered, and how.
pub(super) fn response_attributes(outcome: &Outcome) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new(semconv::GEN_AI_RESPONSE_MODEL, outcome.model.to_string()),
        KeyValue::new(semconv::PROVIDER_ID, outcome.provider.to_string()),
        finish_reasons(finish_word(outcome.finish.reason)),
        KeyValue::new(semconv::CACHE_STATUS, cache_word(outcome.origin)),
    ];
    attributes.extend(usage_attributes(&outcome.finish.usage));
    attributes
}

/// What was used; nothing where nothing is known.
pub(super) fn usage_attributes(usage: &Usage) -> Vec<KeyValue> {
    if usage.is_unknown() {
        return Vec::new();
    }
    let tokens = |name, tokens: Tokens| KeyValue::new(name, i64::from(tokens.get()));
    vec![
        tokens(semconv::GEN_AI_USAGE_INPUT_TOKENS, usage.input()),
        tokens(semconv::GEN_AI_USAGE_OUTPUT_TOKENS, usage.output()),
        tokens(semconv::GEN_AI_USAGE_CACHE_READ, usage.cache_read()),
        tokens(semconv::GEN_AI_USAGE_CACHE_WRITE, usage.cache_write()),
        tokens(semconv::GEN_AI_USAGE_REASONING, usage.reasoning()),
    ]
}

//! Why an answer ended, in this protocol's words and in those that its other speakers use.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::blocks::Had;
use super::wire::some_text;
use crate::domain::{Error, FinishReason, Reason, RefusalDetail};

/// A finish reason as it came.
#[derive(Debug)]
pub(super) struct Ending {
    /// The provider's word.
    pub(super) word: String,
    /// The stop sequence that the server names; empty: none.
    pub(super) stop: String,
}

impl Ending {
    /// Takes the provider's word; `stops` are the fields in which servers name a stop sequence. A number there is a
    /// token, not a text.
    ///
    /// # Errors
    /// A word that reports a failure.
    pub(super) fn new(word: &str, stops: [Option<&RawValue>; 2]) -> Result<Self, Error> {
        if is_failure(word) {
            return Err(Error::new(Reason::ProviderUnavailable, "the provider gave up in the middle of its answer"));
        }
        let stop = stops.into_iter().find_map(some_text).unwrap_or_default().into_owned();
        Ok(Self { word: word.to_owned(), stop })
    }

    /// The reason, given what the answer had: some servers say `stop` whatever happened.
    pub(super) fn reason(&self, had: &Had) -> FinishReason {
        match self.word.as_str() {
            "stop" | "eos" | "eos_token" | "end_turn" | "tool_calls" | "function_call" | "tool_use" if had.calls => {
                FinishReason::ToolCalls
            }
            "stop" | "eos" | "eos_token" | "end_turn" if had.refusal => FinishReason::Refusal,
            "stop" if !self.stop.is_empty() => FinishReason::StopSequence,
            "stop" | "eos" | "eos_token" | "end_turn" => FinishReason::Stop,
            "stop_sequence" => FinishReason::StopSequence,
            "length" | "max_tokens" => FinishReason::MaxTokens,
            "model_length" | "model_context_window_exceeded" => FinishReason::ContextWindow,
            "tool_calls" | "function_call" | "tool_use" => FinishReason::ToolCalls,
            "content_filter" | "sensitive" | "safety" => FinishReason::ContentFilter,
            "refusal" => FinishReason::Refusal,
            _ => FinishReason::Other,
        }
    }

    /// Whether the answer was cut in the middle of whatever was being said.
    pub(super) fn cuts(&self) -> bool {
        matches!(
            self.word.as_str(),
            "length"
                | "max_tokens"
                | "model_length"
                | "model_context_window_exceeded"
                | "content_filter"
                | "sensitive"
                | "safety"
        )
    }
}

fn is_failure(word: &str) -> bool {
    matches!(word, "error" | "abort" | "aborted" | "cancelled" | "insufficient_system_resource" | "network_error")
        || word.starts_with("malformed_")
}

/// The names of the filters that were met, from the verdicts of all filters; none when none was.
pub(in crate::protocol::openai) fn filters(raw: &RawValue) -> Option<RefusalDetail> {
    #[derive(Deserialize)]
    struct Filter {
        filtered: Option<bool>,
        detected: Option<bool>,
    }
    let verdicts: BTreeMap<&str, &RawValue> = serde_json::from_str(raw.get()).ok()?;
    let met = |raw: &RawValue| {
        let filter: Option<Filter> = serde_json::from_str(raw.get()).ok();
        filter.is_some_and(|filter| filter.filtered == Some(true) || filter.detected == Some(true))
    };
    let names: Vec<&str> = verdicts.into_iter().filter(|(_, raw)| met(raw)).map(|(name, _)| name).collect();
    (!names.is_empty()).then(|| RefusalDetail { category: names.join(","), explanation: String::new() })
}

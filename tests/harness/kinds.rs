//! What cases must show, and how each kind is told from the bytes and their meaning: a case cannot claim what it lacks.

use serde_json::Value;

use super::case::Case;
use super::summary;

/// A kind of case and how it is recognised.
type Kind = (&'static str, fn(&Shown) -> bool);

/// What a case is judged by.
struct Shown<'a> {
    case: &'a Case,
    stream: &'a [u8],
    meaning: Value,
}

/// Kinds that every protocol must show.
const EVERYWHERE: &[Kind] = &[
    ("text", |shown| shown.streams() && shown.answer()["text"].is_string()),
    ("tools_parallel", |shown| shown.streams() && shown.blocks("tool_call") >= 2),
    ("tool_without_arguments", |shown| shown.any_block(|block| block["arguments_json"] == "{}")),
    ("tool_cut_short", |shown| shown.any_block(|block| block["incomplete"] == true)),
    ("reasoning", |shown| shown.streams() && shown.blocks("reasoning") >= 1),
    ("refused", |shown| shown.finish("Refusal") || shown.finish("ContentFilter")),
    ("max_tokens", |shown| shown.finish("MaxTokens")),
    ("stop", |shown| shown.finish("Stop") && shown.streams()),
    ("unknown_reason", |shown| shown.finish("Other")),
    ("citations", |shown| shown.any_block(|block| block["citations"].is_array())),
    ("cached", |shown| shown.usage_item("CacheRead")),
    ("reasoning_tokens", |shown| shown.usage_item("Reasoning")),
    ("service_tier", |shown| shown.answer()["service_tier"].is_string()),
    ("error_first", |shown| shown.fails_by_name() && shown.meaning["so_far"].is_null()),
    ("error_midstream", |shown| shown.fails_by_name() && shown.meaning["so_far"]["blocks"].is_array()),
    ("truncated", |shown| shown.meaning["failure"]["reason"] == "STREAM_INTERRUPTED"),
    ("truncated_in_tool", |shown| {
        shown.meaning["failure"]["reason"] == "STREAM_INTERRUPTED" && shown.open("tool_call")
    }),
    ("garbage", |shown| shown.meaning["failure"]["reason"] == "PROVIDER_PROTOCOL_ERROR"),
    ("empty_answer", |shown| shown.answer().is_object() && shown.answer()["blocks"].is_null()),
    ("unknown_events", |shown| shown.streams() && shown.answer().is_object()),
    ("crlf", |shown| shown.stream_has("\r\n\r\n")),
    ("split_utf8", |shown| shown.streams() && !shown.stream.is_ascii()),
    ("comments", |shown| shown.stream.starts_with(b":") || shown.stream_has("\n:")),
    ("byte_order_mark", |shown| shown.stream.starts_with("\u{feff}".as_bytes())),
    ("multi_line_data", |shown| shown.has_data_on_several_lines()),
    ("whole_text", |shown| shown.is_whole() && shown.answer()["text"].is_string()),
    ("whole_tools", |shown| shown.is_whole() && shown.blocks("tool_call") >= 1),
    ("whole_error", |shown| shown.is_whole() && shown.meaning["failure"].is_object()),
    ("stream_and_whole", |shown| shown.streams() && shown.is_whole()),
    ("refusals", |shown| shown.case.refusals.len() >= 20),
    ("refusal_not_json", |shown| shown.case.refusals.iter().any(|refused| refused.body_text.is_some())),
    ("retry_after", |shown| shown.any_refusal(|failure| failure["retry_after_ms"].is_number())),
    ("futile", |shown| shown.any_refusal(|failure| failure["futile"] == true)),
];

/// Kinds that only some protocols know.
const SOMEWHERE: &[(&str, &[Kind])] = &[
    (
        "anthropic",
        &[
            ("stop_sequence", |shown| shown.answer()["stop_sequence"].is_string()),
            ("context_window", |shown| shown.finish("ContextWindow")),
            ("pause", |shown| shown.finish("Pause")),
            ("keep_alive", |shown| shown.stream_has("event: ping")),
            ("redacted", |shown| shown.any_block(|block| block["redacted"] == true)),
            ("signature", |shown| shown.any_block(is_signed)),
            ("unsigned", |shown| shown.any_block(|block| block["kind"] == "reasoning" && !is_signed(block))),
            ("provider_block", |shown| shown.streams() && shown.blocks("provider") >= 1),
            ("server_tool_calls", |shown| shown.usage_item("ServerToolCall")),
            ("cache_written", |shown| shown.usage_item("CacheWrite")),
            ("other_model", |shown| shown.usage_items().any(|item| item["model"].is_string())),
        ],
    ),
    (
        "openai",
        &[
            ("refusal_text", |shown| shown.blocks("refusal") >= 1),
            ("free_text_tool", |shown| shown.any_block(|block| block["input_text"].is_string())),
            ("sound", |shown| shown.streams() && shown.blocks("audio") == 1),
            ("picture", |shown| shown.blocks("image") >= 1),
            ("logprobs", |shown| shown.any_block(|block| block["logprobs"].is_array())),
            ("details", |shown| shown.any_block(|block| block["state"]["payload"]["details"].is_array())),
            ("redacted", |shown| shown.any_block(|block| block["redacted"] == true)),
            ("provider_block", |shown| shown.streams() && shown.blocks("provider") >= 1),
            ("stop_sequence", |shown| shown.answer()["stop_sequence"].is_string()),
            ("context_window", |shown| shown.finish("ContextWindow")),
            ("filter_named", |shown| shown.answer()["refusal"]["category"].is_string()),
            ("dropped_choices", |shown| shown.answer()["metadata"]["dropped_choices"].is_string()),
            ("cost", |shown| shown.answer()["cost_pico_usd"].is_number()),
            ("cache_written", |shown| shown.usage_item("CacheWrite")),
            ("rejected_prediction", |shown| shown.usage_item("RejectedPrediction")),
            ("server_tool_calls", |shown| shown.usage_item("ServerToolCall")),
        ],
    ),
];

/// The kinds that a protocol must show.
pub(crate) fn required(protocol: &str) -> impl Iterator<Item = &'static str> {
    known(protocol).map(|(name, _)| *name)
}

/// Whether a case shows this kind.
pub(crate) fn is_shown(kind: &str, case: &Case) -> bool {
    let Some((_, is_shown)) = known(&case.protocol).find(|(name, _)| *name == kind) else { return false };
    let stream = case.stream.as_deref().unwrap_or_default();
    is_shown(&Shown { case, stream, meaning: summary::of(case) })
}

fn known(protocol: &str) -> impl Iterator<Item = &'static Kind> {
    let own = SOMEWHERE.iter().find(|(name, _)| *name == protocol).map_or(&[][..], |(_, kinds)| kinds);
    EVERYWHERE.iter().chain(own)
}

impl Shown<'_> {
    fn answer(&self) -> &Value {
        &self.meaning["answer"]
    }

    fn streams(&self) -> bool {
        self.case.stream.is_some()
    }

    fn is_whole(&self) -> bool {
        self.case.body.is_some()
    }

    fn finish(&self, reason: &str) -> bool {
        self.answer()["finish_reason"] == reason
    }

    fn any_block(&self, is_it: impl Fn(&Value) -> bool) -> bool {
        self.answer()["blocks"].as_array().is_some_and(|blocks| blocks.iter().any(is_it))
    }

    fn blocks(&self, kind: &str) -> usize {
        let blocks = self.answer()["blocks"].as_array();
        blocks.map_or(0, |blocks| blocks.iter().filter(|block| block["kind"] == kind).count())
    }

    fn usage_items(&self) -> impl Iterator<Item = &Value> {
        self.answer()["usage"]["items"].as_array().into_iter().flatten()
    }

    fn usage_item(&self, kind: &str) -> bool {
        self.usage_items().any(|item| item["kind"] == kind)
    }

    /// The stream fails, and it is the provider that says so.
    fn fails_by_name(&self) -> bool {
        self.streams() && self.meaning["failure"]["provider_error"].is_object()
    }

    fn open(&self, kind: &str) -> bool {
        let so_far = &self.meaning["so_far"];
        let mut open = so_far["open"].as_array().into_iter().flatten().filter_map(Value::as_u64);
        open.any(|index| so_far["blocks"][usize::try_from(index).unwrap()]["kind"] == kind)
    }

    fn any_refusal(&self, is_it: impl Fn(&Value) -> bool) -> bool {
        let table = self.meaning.as_object().filter(|_| !self.case.refusals.is_empty());
        table.is_some_and(|table| table.values().any(|verdict| is_it(&verdict["failure"])))
    }

    fn stream_has(&self, text: &str) -> bool {
        self.stream.windows(text.len()).any(|window| window == text.as_bytes())
    }

    fn has_data_on_several_lines(&self) -> bool {
        let lines: Vec<_> = self.stream.split(|byte| *byte == b'\n').map(|line| line.starts_with(b"data:")).collect();
        lines.windows(2).any(|pair| pair == [true, true])
    }
}

fn is_signed(block: &Value) -> bool {
    let payload = &block["state"]["payload"];
    ["signature", "data"].iter().any(|field| payload[field].as_str().is_some_and(|signature| !signature.is_empty()))
}

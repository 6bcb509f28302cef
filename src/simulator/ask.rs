//! What a request asks for, whichever wire format said it.

use serde_json::Value;

use super::prompt_cache::Prefix;

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    /// The model's name, directives included.
    pub(super) model: String,
    /// The answer shall come as it is made.
    pub(super) stream: bool,
    /// A streamed answer shall report its usage.
    pub(super) include_usage: bool,
    /// Log probabilities are wanted, with so many alternatives.
    pub(super) logprobs: Option<usize>,
    pub(super) max_tokens: Option<u32>,
    pub(super) stop: Vec<String>,
    pub(super) tools: Vec<Tool>,
    pub(super) choice: Choice,
    /// Several calls may stand in one answer.
    pub(super) parallel: bool,
    pub(super) format: Format,
    pub(super) reasoning: Reasoning,
    /// The text of the last user message that has any.
    pub(super) user_text: String,
    pub(super) images: usize,
    pub(super) documents: usize,
    /// The results of tools at the conversation's end.
    pub(super) tool_results: usize,
    pub(super) input_tokens: u32,
    /// What of the prompt the cache of prompts may keep; empty: nothing.
    pub(super) prefixes: Vec<Prefix>,
}

/// A tool that may be called.
#[derive(Clone, Debug)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) input: ToolInput,
}

/// What a tool is called with.
#[derive(Clone, Debug)]
pub(super) enum ToolInput {
    /// JSON by this schema.
    Json(Value),
    /// Free text.
    Text,
}

/// Which tools may or must be called.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    pub(super) mode: Mode,
    /// Only these; empty: all.
    pub(super) names: Vec<String>,
}

/// Whether a tool is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// As the model likes.
    #[default]
    Auto,
    /// Never.
    None,
    /// At least one.
    Required,
}

/// The form of the answer.
#[derive(Clone, Debug, Default)]
pub(super) enum Format {
    #[default]
    Text,
    /// Any JSON object.
    Object,
    /// JSON by this schema.
    Schema(Value),
}

/// Whether the answer begins with reasoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reasoning {
    #[default]
    Off,
    /// It does, and its text is not shown.
    Hidden,
    /// It does.
    Shown,
}

impl Ask {
    /// The tools that may be called, in the request's order.
    pub(super) fn callable(&self) -> Vec<&Tool> {
        let named = |tool: &&Tool| self.choice.names.is_empty() || self.choice.names.contains(&tool.name);
        self.tools.iter().filter(named).collect()
    }
}

/// A text field of a JSON object; empty where there is none.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A list field of a JSON object; empty where there is none.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A list of texts.
pub(super) fn texts(values: &[Value]) -> Vec<String> {
    values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// About how many tokens a request has: a quarter of its bytes, inline media aside, and never none.
pub(super) fn estimate(body: &Value) -> u32 {
    fn bytes(value: &Value) -> usize {
        match value {
            Value::String(text) if text.len() > 4096 && !text.contains(' ') => 1024,
            Value::String(text) => text.len(),
            Value::Array(values) => values.iter().map(bytes).sum(),
            Value::Object(fields) => fields.iter().map(|(key, value)| key.len() + bytes(value)).sum(),
            _ => 2,
        }
    }
    let asked = ["system", "messages", "tools"].iter().filter_map(|key| body.get(key)).map(bytes).sum::<usize>();
    u32::try_from(asked / 4).unwrap_or(u32::MAX).saturating_add(4)
}

//! What is known about a model. `None` everywhere: not known, and then it is not refused either.

use super::{PicoUsd, Tokens};

/// What is known about a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelFacts {
    /// Prompt and answer together.
    pub context_window: Option<Tokens>,
    /// The largest prompt.
    pub max_input: Option<Tokens>,
    /// The largest answer.
    pub max_output: Option<Tokens>,
    /// What it can do.
    pub capabilities: Capabilities,
    /// What it insists on.
    pub constraints: Constraints,
    /// The price of a token of the prompt, of the answer, and of a cached one.
    pub price: Price,
    /// Whether only a protocol that is not spoken here serves it.
    pub other_protocol: Option<String>,
}

/// What a model can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Calls tools.
    pub tools: Option<bool>,
    /// Sees images.
    pub images: Option<bool>,
    /// Reads documents.
    pub documents: Option<bool>,
    /// Hears sound.
    pub audio: Option<bool>,
    /// Answers by a JSON Schema.
    pub json_schema: Option<bool>,
    /// Reasons.
    pub reasoning: Option<bool>,
}

/// What a model insists on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    /// Takes temperature, `top_p` and `top_k`.
    pub sampling: Option<bool>,
    /// Continues an assistant message at the end of the conversation.
    pub prefill: Option<bool>,
    /// Can be forced to call a tool.
    pub forced_tool_choice: Option<bool>,
    /// Cannot stop reasoning.
    pub reasoning_always_on: Option<bool>,
    /// Chooses itself how long it reasons; takes an effort, and no number of tokens.
    pub adaptive_reasoning: Option<bool>,
    /// Takes the effort `none`.
    pub effort_none: Option<bool>,
    /// Takes the effort `minimal`.
    pub effort_minimal: Option<bool>,
    /// Takes the effort `xhigh`.
    pub effort_xhigh: Option<bool>,
    /// Takes the effort `max`.
    pub effort_max: Option<bool>,
}

/// What a token costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// Of the prompt.
    pub input: Option<PicoUsd>,
    /// Of the answer.
    pub output: Option<PicoUsd>,
    /// Of the prompt, read from the provider's cache.
    pub cache_read: Option<PicoUsd>,
}

//! What is asked: a request whose every field was checked when it was made.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Block, Message, ModelName, OnDisconnect, PicoUsd, PromptCache, RequestId, ResponseCache, Tokens, Tool, ToolChoice,
    ToolKind, Vendor,
};

/// A checked request. The edge makes it and nothing behind the edge checks it again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// What is asked for; none: the server's default model.
    pub model: Option<ModelName>,
    /// What is asked when no target of the model can answer; empty: what the configuration says.
    pub fallback_models: Vec<ModelName>,
    /// The system prompt: text blocks only.
    pub system: Vec<Block>,
    /// The conversation, at least one message.
    pub messages: Vec<Message>,
    /// The bound on the answer, as the caller set it.
    pub max_tokens: Option<Tokens>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Texts that end the answer.
    pub stop_sequences: Vec<String>,
    /// Tools that the model may call.
    pub tools: Vec<Tool>,
    /// Which of them it may or must call; none: it decides.
    pub tool_choice: Option<ToolChoice>,
    /// Whether it may call several at once; none: the provider's default.
    pub parallel_tool_calls: Option<bool>,
    /// The form of the answer.
    pub response_format: ResponseFormat,
    /// How the model reasons; none: as it does by default.
    pub reasoning: Option<Reasoning>,
    /// The provider's service tier, in its words.
    pub service_tier: Option<String>,
    /// An opaque id of the end user.
    pub user: Option<String>,
    /// What the call is for.
    pub labels: BTreeMap<String, String>,
    /// The most that it may cost over all its attempts; none: what the configuration says.
    pub max_cost: Option<PicoUsd>,
    /// An opaque id of the conversation, for affinity.
    pub conversation_id: Option<String>,
    /// What happens to a parameter that a target cannot take.
    pub unsupported: UnsupportedParameters,
    /// What only one vendor knows.
    pub provider_options: BTreeMap<Vendor, ProviderOptions>,
    /// Whether an answer that breaks in mid-stream begins anew elsewhere.
    pub restart_on_interruption: bool,
    /// The caller's own id of the call.
    pub request_id: Option<RequestId>,
    /// What becomes of it when its caller goes away.
    pub on_disconnect: OnDisconnect,
    /// What is wanted of the cache of answers.
    pub cache: ResponseCache,
    /// What is wanted of the provider's cache of prompts, beside its breakpoints.
    pub prompt_cache: PromptCache,
}

impl Request {
    /// The bytes of all of it that a model reads as text: its texts, its tools and the schema of the answer.
    pub fn prompt_bytes(&self) -> usize {
        let tools = self.tools.iter().map(Tool::text_bytes).fold(0, usize::saturating_add);
        let schema = match &self.response_format {
            ResponseFormat::JsonSchema(schema) => schema.schema.len() + schema.description.len(),
            ResponseFormat::Text | ResponseFormat::JsonObject => 0,
        };
        self.text_bytes().saturating_add(tools).saturating_add(schema)
    }

    /// Whether its bytes of text are all that a model reads of it: no media, and nothing that only one vendor knows.
    pub fn is_plain(&self) -> bool {
        self.messages.iter().flat_map(|message| &message.content).all(Block::is_plain)
            && self.tools.iter().all(|tool| !matches!(tool.kind, ToolKind::Provider(_)))
    }

    /// Whether the caller has marked a prefix for the provider's cache of prompts.
    pub fn has_breakpoints(&self) -> bool {
        let mut blocks = self.system.iter().chain(self.messages.iter().flat_map(|message| &message.content));
        blocks.any(Block::has_breakpoint) || self.tools.iter().any(|tool| tool.cache_breakpoint.is_some())
    }

    /// The bytes of its texts: prompts, answers and tool results, but neither media nor tools.
    pub fn text_bytes(&self) -> usize {
        let of_messages = self.messages.iter().flat_map(|message| &message.content);
        self.system.iter().chain(of_messages).map(Block::text_bytes).fold(0, usize::saturating_add)
    }
}

/// How tokens are chosen. `None` everywhere: the provider's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sampling {
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// Above 0, at most 1.
    pub top_p: Option<f64>,
    /// At least 1.
    pub top_k: Option<u32>,
    /// -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// -2 to 2.
    pub presence_penalty: Option<f64>,
    /// Any number.
    pub seed: Option<i64>,
    /// 0 to 20.
    pub top_logprobs: Option<u32>,
}

/// The form of the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub enum ResponseFormat {
    /// Free text.
    #[default]
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON by a schema.
    JsonSchema(JsonSchema),
}

/// JSON by a schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JsonSchema {
    /// A name for the schema, never empty.
    pub name: String,
    /// What the answer is; empty: nothing said.
    pub description: String,
    /// The schema as checked JSON text of an object.
    pub schema: String,
    /// Whether the provider shall enforce it; none: its default.
    pub strict: Option<bool>,
}

/// How a model reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reasoning {
    /// How much; none: the model's default.
    pub amount: Option<ReasoningAmount>,
    /// Whether the summary text is wanted; none: the model's default.
    pub display: Option<bool>,
}

/// How much a model reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ReasoningAmount {
    /// In the words that most providers share.
    Effort(Effort),
    /// As tokens, at least 1024.
    Budget(Tokens),
}

/// How much a model reasons, in words, from none to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Effort {
    /// Not at all.
    None,
    /// The least that the model knows.
    Minimal,
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// More.
    XHigh,
    /// The most that the model knows.
    Max,
}

impl Effort {
    /// The word that most providers use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// The same as a number of tokens, where a number is needed.
    pub const fn budget(self) -> Tokens {
        Tokens::new(match self {
            Self::None => 0,
            Self::Minimal => 1024,
            Self::Low => 4096,
            Self::Medium => 8192,
            Self::High => 16_384,
            Self::XHigh | Self::Max => 32_768,
        })
    }
}

impl Reasoning {
    /// The tokens that reasoning is expected to take at most; none where the model decides.
    pub fn budget(&self) -> Option<Tokens> {
        match self.amount? {
            ReasoningAmount::Effort(effort) => Some(effort.budget()),
            ReasoningAmount::Budget(tokens) => Some(tokens),
        }
    }
}

/// What happens to a parameter that a target cannot take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum UnsupportedParameters {
    /// The target is skipped.
    #[default]
    Reject,
    /// The parameter is left out and reported.
    Ignore,
}

/// What only one vendor knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProviderOptions {
    /// Merged into the top level of the request's body, last; none of the keys that the server owns.
    pub body: serde_json::Map<String, serde_json::Value>,
    /// HTTP headers, lower case, each of which the configuration allows.
    pub headers: BTreeMap<String, String>,
}

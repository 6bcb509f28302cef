//! What sets one speaker of Chat Completions apart from another: data, and no code that acts on it.

use crate::domain::Effort;

/// How one server departs from the others. Requests follow it; answers are read the same way whoever sends them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// The field that bounds the answer.
    pub max_tokens: MaxTokens,
    /// The role of the system prompt: `developer` or `system`.
    pub system_role: &'static str,
    /// The field of the seed.
    pub seed: Seed,
    /// The field that names the end user.
    pub user: UserField,
    /// How reasoning is asked for.
    pub reasoning: ReasoningAsk,
    /// The efforts that have a word here.
    pub efforts: &'static [Effort],
    /// Whether the text of the reasoning comes with the answer.
    pub reasoning_text: ReasoningText,
    /// How earlier reasoning goes back.
    pub passback: Passback,
    /// Whether `stream_options.include_usage` is sent.
    pub stream_usage: bool,
    /// The word of `tool_choice` for "at least one".
    pub required_word: &'static str,
    /// Whether `tool_choice` can narrow the tools; where it cannot, only the allowed tools are sent.
    pub allowed_tools: bool,
    /// Parameters that are not known here, by their path in the request. Sending them would be an error or in vain.
    pub unsupported: &'static [&'static str],
    /// Whether texts may be an array of parts; where they may not, they are joined.
    pub text_parts: bool,
    /// Whether images may be given by address.
    pub image_uris: bool,
    /// Whether documents may be given, as files.
    pub documents: bool,
    /// Whether sound may be given.
    pub audio: bool,
    /// Whether there are tools that take free text.
    pub custom_tools: bool,
    /// How the answer is bound to a JSON Schema.
    pub json_schema: SchemaAsk,
    /// Whether an assistant message has a field for a refusal; where it has none, a refusal goes as text.
    pub refusals: bool,
    /// How the end of a cached prefix is marked.
    pub cache: CacheMark,
    /// Whether `prompt_cache_key` says which requests begin alike.
    pub cache_key: bool,
    /// How an assistant message at the end is continued.
    pub prefill: Prefill,
    /// What ids of tool calls must look like.
    pub tool_ids: ToolIds,
    /// The most stop sequences.
    pub max_stops: usize,
    /// Whether reasoning may stand in the text between `<think>` tags.
    pub think_tags: bool,
}

/// The field that bounds the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxTokens {
    /// `max_completion_tokens`.
    Completion,
    /// `max_tokens`, the older name.
    Plain,
}

/// The field of the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seed {
    /// `seed`.
    Seed,
    /// `random_seed`.
    RandomSeed,
}

/// The field that names the end user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserField {
    /// `safety_identifier`, at most 128 characters.
    SafetyIdentifier,
    /// `user`.
    User,
}

/// How reasoning is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasoningAsk {
    /// It cannot be.
    Nothing,
    /// By `reasoning_effort`.
    Effort,
    /// By `reasoning`, an object with `effort` or `max_tokens`, and `exclude`.
    Object,
    /// By `reasoning_effort`, except that it is switched off by `thinking`, an object whose `type` is `disabled`.
    Switch,
}

/// Whether the text of the reasoning comes with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasoningText {
    /// It never does.
    Never,
    /// It does where there is any.
    Always,
    /// It can be excluded (by the `reasoning` object).
    Choice,
}

/// How an answer is bound to a JSON Schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaAsk {
    /// It cannot be.
    Nothing,
    /// By `json_schema`, an object with a name.
    Named,
    /// By `json_object` with the bare `schema` beside it.
    Bare,
}

/// How earlier reasoning goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passback {
    /// Not at all.
    Nothing,
    /// As text in the assistant message's `reasoning_content`.
    ReasoningContent,
    /// As text in the assistant message's `reasoning`.
    Reasoning,
    /// As `reasoning_details`, verbatim.
    Details,
    /// As parts of type `thinking` in the content.
    Parts,
}

/// How the end of a cached prefix is marked on a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMark {
    /// It cannot be.
    Nothing,
    /// By `prompt_cache_breakpoint`, for 30 minutes or 12 hours, where the model is not known to take none.
    Breakpoint,
    /// By `cache_control`, for 5 minutes or an hour.
    Control,
}

/// How an assistant message at the end is continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefill {
    /// It is not, unless the model is known to do so.
    Never,
    /// By itself.
    Bare,
    /// Where the message says `prefix`.
    Prefix,
    /// Where the message says `partial`.
    Partial,
    /// Where the body says `continue_final_message`.
    Asked,
}

/// What ids of tool calls must look like. Others are replaced by a digest, in the call and in its result alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolIds {
    /// Like anything.
    Any,
    /// At most this many characters.
    UpTo(usize),
    /// Exactly this many letters and digits.
    Exactly(usize),
}

/// The efforts that every model which takes an effort knows.
const PLAIN_EFFORTS: &[Effort] = &[Effort::Low, Effort::Medium, Effort::High];

/// All efforts.
const ALL_EFFORTS: &[Effort] =
    &[Effort::None, Effort::Minimal, Effort::Low, Effort::Medium, Effort::High, Effort::XHigh, Effort::Max];

impl Dialect {
    /// The original.
    pub const OPENAI: Self = Self {
        max_tokens: MaxTokens::Completion,
        system_role: "developer",
        seed: Seed::Seed,
        user: UserField::SafetyIdentifier,
        reasoning: ReasoningAsk::Effort,
        efforts: ALL_EFFORTS,
        reasoning_text: ReasoningText::Never,
        passback: Passback::Nothing,
        stream_usage: true,
        required_word: "required",
        allowed_tools: true,
        unsupported: &["top_k"],
        text_parts: true,
        image_uris: true,
        documents: true,
        audio: true,
        custom_tools: true,
        json_schema: SchemaAsk::Named,
        refusals: true,
        cache: CacheMark::Breakpoint,
        cache_key: true,
        prefill: Prefill::Never,
        tool_ids: ToolIds::UpTo(40),
        max_stops: 4,
        think_tags: false,
    };

    /// What any server that calls itself compatible can be expected to take, and nothing more.
    pub const COMPATIBLE: Self = Self {
        max_tokens: MaxTokens::Plain,
        system_role: "system",
        user: UserField::User,
        efforts: PLAIN_EFFORTS,
        reasoning_text: ReasoningText::Always,
        allowed_tools: false,
        text_parts: false,
        documents: false,
        audio: false,
        custom_tools: false,
        refusals: false,
        cache: CacheMark::Nothing,
        cache_key: false,
        tool_ids: ToolIds::Any,
        think_tags: true,
        ..Self::OPENAI
    };

    /// Whether the parameter at this path is known here.
    pub(super) fn takes(&self, path: &str) -> bool {
        !self.unsupported.contains(&path)
    }
}

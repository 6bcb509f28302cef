//! What is said: messages and the blocks they are made of.

use serde::{Deserialize, Serialize};

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::{ProviderId, ProviderState, Vendor};

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub content: Vec<Block>,
    /// Opaque state of the whole message.
    pub state: Option<ProviderState>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// The user.
    User,
    /// The model.
    Assistant,
    /// The results of tool calls, and nothing else.
    Tool,
}

/// JSON text of an object, by vendor: what only that vendor knows.
pub type VendorJson = BTreeMap<Vendor, String>;

/// A piece of content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// What it is.
    pub kind: BlockKind,
    /// Opaque state of the block.
    pub state: Option<ProviderState>,
    /// The provider's prompt cache ends its prefix here. It shapes no answer, and no answer has one: it is left out of what
    /// is written.
    #[serde(skip)]
    pub cache_breakpoint: Option<CacheBreakpoint>,
    /// What only one vendor knows about it, as checked JSON text of an object.
    pub provider_options: VendorJson,
}

impl From<BlockKind> for Block {
    fn from(kind: BlockKind) -> Self {
        Self { kind, state: None, cache_breakpoint: None, provider_options: VendorJson::new() }
    }
}

impl Block {
    /// A text block.
    pub fn text(text: impl Into<String>) -> Self {
        BlockKind::Text(Text { text: text.into(), ..Text::default() }).into()
    }

    /// The bytes of its text; media have none.
    pub fn text_bytes(&self) -> usize {
        match &self.kind {
            BlockKind::Text(text) => text.text.len(),
            BlockKind::Refusal(refusal) => refusal.text.len(),
            BlockKind::ToolCall(call) => match &call.input {
                ToolInput::Json(text) | ToolInput::Text(text) => text.len(),
            },
            BlockKind::ToolResult(result) => result.content.iter().map(Self::text_bytes).sum(),
            // Reasoning of earlier turns and what only a vendor knows may be left out on the way.
            BlockKind::Reasoning(_)
            | BlockKind::Provider(_)
            | BlockKind::Image(_)
            | BlockKind::Document(_)
            | BlockKind::Audio(_) => 0,
        }
    }

    /// Whether the bytes of its text are all that a model reads of it.
    pub fn is_plain(&self) -> bool {
        match &self.kind {
            BlockKind::Text(_) | BlockKind::Refusal(_) | BlockKind::ToolCall(_) => true,
            BlockKind::ToolResult(result) => result.content.iter().all(Self::is_plain),
            BlockKind::Reasoning(_)
            | BlockKind::Provider(_)
            | BlockKind::Image(_)
            | BlockKind::Document(_)
            | BlockKind::Audio(_) => false,
        }
    }

    /// Where prefixes end in it and behind it, in order; none where none ends.
    pub fn breakpoints(&self) -> Vec<Option<CacheBreakpoint>> {
        let within = match &self.kind {
            BlockKind::ToolResult(result) => result.content.iter().flat_map(Self::breakpoints).collect(),
            _ => Vec::new(),
        };
        within.into_iter().chain([self.cache_breakpoint]).collect()
    }

    /// Whether a prefix ends behind it or, in the result of a tool call, within it.
    pub fn has_breakpoint(&self) -> bool {
        self.breakpoints().iter().any(Option::is_some)
    }

    /// The same block with state.
    #[must_use]
    pub fn with_state(mut self, state: ProviderState) -> Self {
        self.state = Some(state);
        self
    }
}

/// What a block is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum BlockKind {
    /// Text.
    Text(Text),
    /// An image.
    Image(Image),
    /// A document.
    Document(Document),
    /// The model's call of a tool.
    ToolCall(ToolCall),
    /// The result of a tool call.
    ToolResult(ToolResult),
    /// The model's reasoning.
    Reasoning(ReasoningText),
    /// Sound.
    Audio(Audio),
    /// The model's refusal.
    Refusal(Refusal),
    /// What only one vendor knows, verbatim.
    Provider(ProviderBlock),
}

/// Where a provider's prompt cache ends a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheBreakpoint {
    /// How long the prefix shall live; none: the provider's default.
    pub ttl: Option<Duration>,
}

/// Text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Text {
    /// The text.
    pub text: String,
    /// What it is based on.
    pub citations: Vec<Citation>,
    /// Log probabilities of its tokens.
    pub logprobs: Vec<TokenLogprob>,
}

/// Where a statement comes from. Empty texts and `None` mean: not given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Citation {
    /// The provider's word for the kind.
    pub kind: String,
    /// The words that are cited.
    pub cited_text: String,
    /// The title of the source.
    pub title: String,
    /// The address of the source.
    pub url: String,
    /// The index of the document among the request's documents.
    pub document_index: Option<i32>,
    /// Where the cited part begins in the source.
    pub source_start: Option<i32>,
    /// Where it ends there, exclusive.
    pub source_end: Option<i32>,
    /// Where the statement begins in the block's text.
    pub text_start: Option<i32>,
    /// Where it ends there, exclusive.
    pub text_end: Option<i32>,
    /// The provider's id of the file.
    pub file_id: String,
}

/// The log probability of one token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// The token as text.
    pub token: String,
    /// The token's bytes; empty: not given.
    pub bytes: Vec<u8>,
    /// Its natural logarithm of probability.
    pub logprob: f64,
    /// The likeliest alternatives.
    pub top: Vec<TokenLogprob>,
}

impl TokenLogprob {
    /// What it takes in memory with its alternatives, in bytes: about. Its texts are short, and each is somewhere by itself.
    pub fn footprint(&self) -> usize {
        let texts = self.token.capacity().max(8) + self.bytes.capacity().max(8);
        size_of::<Self>() + texts + self.top.iter().map(Self::footprint).sum::<usize>()
    }
}

/// Bytes, or where they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Media {
    /// Where the bytes are.
    pub source: MediaSource,
    /// The media type; empty only where the source is not inline.
    pub mime_type: String,
}

/// Where the bytes of media are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MediaSource {
    /// Here.
    Inline(Bytes),
    /// At an address that the provider fetches; this server never does.
    Uri(String),
    /// A file that was uploaded to a provider before.
    File(FileRef),
}

/// A file at a provider, which pins the call to that provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// The provider that holds it.
    pub provider: ProviderId,
    /// The provider's id of it.
    pub id: String,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// The picture.
    pub media: Media,
    /// How closely to look, in the provider's words; empty: its default.
    pub detail: String,
}

/// A document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// The document.
    pub media: Media,
    /// Its title; empty: none.
    pub title: String,
    /// What the model should know about it; empty: nothing.
    pub context: String,
    /// Whether the answer shall cite it; none: the provider's default.
    pub citations: Option<bool>,
    /// Its file name; empty: none.
    pub filename: String,
}

/// Sound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Audio {
    /// The sound.
    pub media: Media,
    /// What is said; empty: not given.
    pub transcript: String,
}

/// The model's call of a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The call's id, which the result names.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// What the tool is called with.
    pub input: ToolInput,
    /// The input was cut short.
    pub incomplete: bool,
    /// The group of tools that the name belongs to; empty: none.
    pub namespace: String,
}

/// What a tool is called with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToolInput {
    /// JSON text: of an object in every request; whatever came in an answer that is incomplete.
    Json(String),
    /// Free text.
    Text(String),
}

impl ToolInput {
    /// The text of either kind.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Json(text) | Self::Text(text) => text,
        }
    }
}

/// The result of a tool call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolResult {
    /// The id of the call.
    pub tool_call_id: String,
    /// The tool's name; filled from the call where the caller left it out and the call is in the conversation.
    pub name: String,
    /// Text, images or documents.
    pub content: Vec<Block>,
    /// Whether the tool failed.
    pub is_error: bool,
}

/// The model's reasoning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasoningText {
    /// The text, or the provider's summary of it.
    pub text: String,
    /// The provider hid this part; only the state holds it.
    pub redacted: bool,
}

/// The model's refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Its words.
    pub text: String,
    /// The provider's category; empty: none given.
    pub category: String,
}

/// A block that only one vendor knows, verbatim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderBlock {
    /// The vendor.
    pub vendor: Vendor,
    /// The vendor's word for the kind.
    pub kind: String,
    /// The whole block as JSON text of an object.
    pub json: String,
}

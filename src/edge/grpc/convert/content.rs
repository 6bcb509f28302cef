//! Blocks of content as they came, each checked for itself and for the place where it stands.

use std::time::Duration;

use super::violations::{Path, Violations};
use super::{json, media, options};
use crate::domain::{
    Block, BlockKind, CacheBreakpoint, Citation, ProviderBlock, ProviderState, ReasoningText, Refusal, Role, Text,
    TokenLogprob, ToolCall, ToolInput, ToolResult,
};
use crate::proto;
use crate::proto::content_block::Block as Kind;
use crate::proto::tool_call::Input;

/// The most blocks of one list.
const MAX_BLOCKS: usize = 10_000;
/// The longest time of a duration in protobuf, in seconds: ten thousand years.
const MAX_SECONDS: i64 = 315_576_000_000;

/// Where a block stands, which decides what it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the system prompt.
    System,
    /// In a message.
    Message(Role),
    /// In the result of a tool call.
    Result,
}

impl Place {
    /// The rule that a block breaks by standing here.
    fn refuses(self, kind: &Kind) -> Option<&'static str> {
        const ASSISTANT: &str = "must stand in a ROLE_ASSISTANT message";
        match (self, kind) {
            (Self::System, Kind::Text(_))
            | (Self::Result, Kind::Text(_) | Kind::Image(_) | Kind::Document(_))
            | (Self::Message(Role::Tool), Kind::ToolResult(_)) => None,
            (Self::System, _) => Some("must be text: a system prompt has nothing else"),
            (Self::Result, _) => Some("must be text, an image or a document: a tool's result has nothing else"),
            (Self::Message(Role::Tool), _) => Some("must be a tool result: a ROLE_TOOL message has nothing else"),
            (Self::Message(_), Kind::ToolResult(_)) => Some("must stand in a ROLE_TOOL message"),
            (Self::Message(Role::User), Kind::ToolCall(_) | Kind::Reasoning(_) | Kind::Refusal(_)) => Some(ASSISTANT),
            (Self::Message(_), _) => None,
        }
    }
}

/// A list of blocks, which is the field `name` of what is at `parent`. Without a place nothing is out of place.
pub(super) fn blocks(
    blocks: Vec<proto::ContentBlock>,
    place: Option<Place>,
    (name, parent): (&'static str, &Path<'_>),
    found: &mut Violations,
) -> Vec<Block> {
    found.check_len(blocks.len(), MAX_BLOCKS, &parent.field(name));
    let numbered = blocks.into_iter().take(MAX_BLOCKS).enumerate();
    numbered.filter_map(|(index, message)| block(message, place, &parent.item(name, index), found)).collect()
}

/// Opaque state that a caller hands back.
pub(super) fn state(bytes: &[u8], path: &Path<'_>, found: &mut Violations) -> Option<ProviderState> {
    if bytes.is_empty() {
        return None;
    }
    match ProviderState::parse(bytes) {
        Ok(state) => Some(state),
        Err(error) => {
            found.report(&path.field("provider_state"), format!("must be what this server sent, unchanged: {error}"));
            None
        }
    }
}

/// Where a prompt cache ends a prefix.
pub(super) fn cache_breakpoint(
    message: Option<proto::CacheBreakpoint>,
    path: &Path<'_>,
    found: &mut Violations,
) -> Option<CacheBreakpoint> {
    let Some(message) = message?.ttl else { return Some(CacheBreakpoint { ttl: None }) };
    Some(CacheBreakpoint { ttl: ttl(message, &path.field("cache_breakpoint").field("ttl"), found) })
}

/// A lifetime.
pub(super) fn ttl(ttl: prost_types::Duration, path: &Path<'_>, found: &mut Violations) -> Option<Duration> {
    let right = (0..=MAX_SECONDS).contains(&ttl.seconds) && (0..1_000_000_000).contains(&ttl.nanos);
    let rule = "must be a duration of 0 seconds or more, its nanoseconds 0 to 999999999";
    found.check(right, path, rule);
    ttl.try_into().ok()
}

fn block(message: proto::ContentBlock, place: Option<Place>, path: &Path<'_>, found: &mut Violations) -> Option<Block> {
    let has_state = !message.provider_state.is_empty();
    let state = state(&message.provider_state, path, found);
    let cache_breakpoint = cache_breakpoint(message.cache_breakpoint, path, found);
    let provider_options = options::of_part(message.provider_options, path, found);
    let Some(kind) = message.block else {
        found.report(path, "must have a kind that this server knows");
        return None;
    };
    let path = path.field(name(&kind));
    if let Some(rule) = place.and_then(|place| place.refuses(&kind)) {
        found.report(&path, rule);
        return None;
    }
    let kind = block_kind(kind, has_state, &path, found)?;
    Some(Block { kind, state, cache_breakpoint, provider_options })
}

/// The field of the contract that a kind stands in.
fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text(_) => "text",
        Kind::Image(_) => "image",
        Kind::Document(_) => "document",
        Kind::ToolCall(_) => "tool_call",
        Kind::ToolResult(_) => "tool_result",
        Kind::Reasoning(_) => "reasoning",
        Kind::Audio(_) => "audio",
        Kind::Refusal(_) => "refusal",
        Kind::ProviderBlock(_) => "provider_block",
    }
}

fn block_kind(kind: Kind, has_state: bool, path: &Path<'_>, found: &mut Violations) -> Option<BlockKind> {
    Some(match kind {
        Kind::Text(message) => {
            found.check(has_state || !message.text.is_empty(), &path.field("text"), EMPTY_RULE);
            BlockKind::Text(text(message, path, found))
        }
        Kind::Reasoning(message) => BlockKind::Reasoning(reasoning(message, has_state, path, found)),
        Kind::Image(message) => BlockKind::Image(media::image(message, path, found)?),
        Kind::Document(message) => BlockKind::Document(media::document(message, path, found)?),
        Kind::Audio(message) => BlockKind::Audio(media::audio(message, path, found)?),
        Kind::ToolCall(message) => BlockKind::ToolCall(tool_call(message, path, found)?),
        Kind::ToolResult(message) => BlockKind::ToolResult(tool_result(message, path, found)),
        Kind::Refusal(proto::Refusal { text, category }) => BlockKind::Refusal(Refusal { text, category }),
        Kind::ProviderBlock(message) => BlockKind::Provider(provider_block(message, path, found)?),
    })
}

const EMPTY_RULE: &str = "must not be empty unless the block has provider_state";

fn text(message: proto::Text, path: &Path<'_>, found: &mut Violations) -> Text {
    let citations = message.citations.into_iter().map(citation).collect();
    let mut logprobs = Vec::with_capacity(message.logprobs.len());
    for (index, token) in message.logprobs.into_iter().enumerate() {
        let path = path.item("logprobs", index);
        let mut top = Vec::with_capacity(token.top.len());
        for (index, alternative) in token.top.into_iter().enumerate() {
            let path = path.item("top", index);
            found.check(alternative.top.is_empty(), &path.field("top"), "must be empty: alternatives have none");
            top.push(logprob(alternative.token, alternative.token_bytes, alternative.logprob, &path, found));
        }
        let token = logprob(token.token, token.token_bytes, token.logprob, &path, found);
        logprobs.push(TokenLogprob { top, ..token });
    }
    Text { text: message.text, citations, logprobs }
}

fn logprob(token: String, bytes: Vec<u8>, logprob: f64, path: &Path<'_>, found: &mut Violations) -> TokenLogprob {
    found.check(logprob.is_finite(), &path.field("logprob"), "must be a finite number");
    TokenLogprob { token, bytes, logprob, top: Vec::new() }
}

fn citation(message: proto::Citation) -> Citation {
    Citation {
        kind: message.r#type,
        cited_text: message.cited_text,
        title: message.title,
        url: message.url,
        document_index: message.document_index,
        source_start: message.source_start,
        source_end: message.source_end,
        text_start: message.text_start,
        text_end: message.text_end,
        file_id: message.file_id,
    }
}

fn reasoning(message: proto::Reasoning, has_state: bool, path: &Path<'_>, found: &mut Violations) -> ReasoningText {
    let proto::Reasoning { text, redacted } = message;
    if redacted {
        found.check(has_state, &path.field("redacted"), "must come with the block's provider_state");
    } else {
        found.check(has_state || !text.is_empty(), &path.field("text"), EMPTY_RULE);
    }
    ReasoningText { text, redacted }
}

fn tool_call(message: proto::ToolCall, path: &Path<'_>, found: &mut Violations) -> Option<ToolCall> {
    found.check(!message.id.is_empty(), &path.field("id"), "must not be empty");
    found.check(!message.name.is_empty(), &path.field("name"), "must not be empty");
    if message.incomplete {
        // What was cut short is no JSON, most often; one violation is enough.
        found.report(&path.field("incomplete"), "must be false: a call that was cut short cannot be sent back");
        return None;
    }
    let input = match message.input {
        Some(Input::ArgumentsJson(text)) => ToolInput::Json(json::object(text, &path.field("arguments_json"), found)?),
        Some(Input::Text(text)) => ToolInput::Text(text),
        None => {
            found.report(path, "must have arguments_json or text");
            return None;
        }
    };
    let proto::ToolCall { id, name, namespace, .. } = message;
    Some(ToolCall { id, name, input, incomplete: false, namespace })
}

fn tool_result(message: proto::ToolResult, path: &Path<'_>, found: &mut Violations) -> ToolResult {
    let content = blocks(message.content, Some(Place::Result), ("content", path), found);
    let proto::ToolResult { tool_call_id, name, is_error, .. } = message;
    ToolResult { tool_call_id, name, content, is_error }
}

fn provider_block(message: proto::ProviderBlock, path: &Path<'_>, found: &mut Violations) -> Option<ProviderBlock> {
    let vendor = options::vendor(&message.vendor, &path.field("vendor"), found);
    found.check(!message.r#type.is_empty(), &path.field("type"), "must not be empty");
    let json = json::object(message.json, &path.field("json"), found)?;
    Some(ProviderBlock { vendor: vendor?, kind: message.r#type, json })
}

//! The pieces of a prompt: how many tokens each has.

use super::table::table;
use super::{Learned, Rule};
use crate::domain::{
    Block, BlockKind, Document, Envelope, Media, MediaSource, Request, ResponseFormat, TokenParts, Tokens, Tool,
    ToolKind,
};

/// What counts a text.
#[derive(Debug)]
pub(super) enum Measure<'a> {
    /// A tokenizer, with a factor.
    Tokenizer(Rule),
    /// The length of the text, and what providers have reported about others.
    Bytes(&'a Learned),
}

impl Measure<'_> {
    pub(super) fn is_exact(&self) -> bool {
        matches!(self, Self::Tokenizer(rule) if rule.is_exact)
    }

    pub(super) fn tokenizer(&self) -> Option<&'static str> {
        match self {
            Self::Tokenizer(rule) => Some(rule.encoding.name()),
            Self::Bytes(_) => None,
        }
    }

    fn text(&self, text: &str) -> u64 {
        match self {
            Self::Tokenizer(rule) => {
                let tokens = u64::try_from(rule.encoding.count(text)).unwrap_or(u64::MAX);
                tokens.saturating_mul(rule.percent.into()).div_ceil(100)
            }
            Self::Bytes(learned) => learned.of_prompt(text.len()).get().into(),
        }
    }

    fn texts<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> u64 {
        texts.into_iter().map(|text| self.text(text)).fold(0, u64::saturating_add)
    }
}

/// The tokens of a block: of its text, and of media in it.
#[derive(Clone, Copy, Default)]
struct Weight {
    text: u64,
    media: u64,
}

impl Weight {
    fn plus(self, other: Self) -> Self {
        Self { text: self.text.saturating_add(other.text), media: self.media.saturating_add(other.media) }
    }
}

/// Where the tokens of `request` are.
pub(super) fn parts(request: &Request, measure: &Measure<'_>, envelope: Option<Envelope>) -> TokenParts {
    let system = blocks(&request.system, measure);
    let said = request.messages.iter().map(|message| blocks(&message.content, measure));
    let said = said.fold(Weight::default(), Weight::plus);
    TokenParts {
        system: tokens(system.text),
        tools: tokens(tools(request, measure)),
        messages: tokens(said.text),
        media: tokens(system.media.saturating_add(said.media)),
        overhead: envelope.map_or_else(|| around(request), |envelope| envelope.tokens),
    }
}

fn tokens(count: u64) -> Tokens {
    Tokens::saturating(i64::try_from(count).unwrap_or(i64::MAX))
}

/// What is around the texts, where no rule is published for it.
fn around(request: &Request) -> Tokens {
    let around = table().around;
    let messages = request.messages.len() + usize::from(!request.system.is_empty());
    let messages = u64::try_from(messages).unwrap_or(u64::MAX).saturating_mul(around.message);
    tokens(messages.saturating_add(around.reply))
}

fn tools(request: &Request, measure: &Measure<'_>) -> u64 {
    let each = |tool: &Tool| {
        let texts = match &tool.kind {
            ToolKind::Function(tool) => {
                measure.texts([&*tool.name, &*tool.description, tool.parameters.as_deref().unwrap_or_default()])
            }
            ToolKind::Custom(tool) => {
                let grammar = tool.grammar.as_ref().map_or("", |grammar| grammar.definition.as_str());
                measure.texts([&*tool.name, &*tool.description, grammar])
            }
            ToolKind::Provider(tool) => measure.text(&tool.json),
        };
        texts.saturating_add(table().around.tool)
    };
    let schema = match &request.response_format {
        ResponseFormat::JsonSchema(schema) => measure.texts([&*schema.name, &*schema.description, &*schema.schema]),
        ResponseFormat::Text | ResponseFormat::JsonObject => 0,
    };
    request.tools.iter().map(each).fold(schema, u64::saturating_add)
}

fn blocks(blocks: &[Block], measure: &Measure<'_>) -> Weight {
    blocks.iter().map(|it| block(it, measure)).fold(Weight::default(), Weight::plus)
}

fn block(block: &Block, measure: &Measure<'_>) -> Weight {
    let text = |text| Weight { text, media: 0 };
    match &block.kind {
        BlockKind::Text(it) => text(measure.text(&it.text)),
        BlockKind::Refusal(it) => text(measure.text(&it.text)),
        BlockKind::Reasoning(it) => text(measure.text(&it.text)),
        BlockKind::ToolCall(call) => text(measure.texts([&*call.name, call.input.as_str()])),
        BlockKind::ToolResult(result) => blocks(&result.content, measure),
        BlockKind::Provider(it) => text(measure.text(&it.json)),
        BlockKind::Image(_) => Weight { text: 0, media: table().media.image },
        BlockKind::Document(it) => document(it, measure),
        BlockKind::Audio(it) => Weight { text: 0, media: by_bytes(&it.media, table().media.audio_bytes_per_token) },
    }
}

/// A document that is text is counted as one; of others only the length is known.
fn document(document: &Document, measure: &Measure<'_>) -> Weight {
    let beside = measure.texts([&*document.title, &*document.context]);
    let content = match &document.media.source {
        MediaSource::Inline(bytes) if document.media.mime_type.starts_with("text/") => {
            measure.text(&String::from_utf8_lossy(bytes))
        }
        _ => by_bytes(&document.media, table().media.document_bytes_per_token),
    };
    Weight { text: 0, media: content.saturating_add(beside) }
}

fn by_bytes(media: &Media, bytes_per_token: u64) -> u64 {
    match &media.source {
        MediaSource::Inline(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX).div_ceil(bytes_per_token.max(1)),
        MediaSource::Uri(_) | MediaSource::File(_) => table().media.reference,
    }
}

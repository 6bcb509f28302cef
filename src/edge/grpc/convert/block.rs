//! Blocks of content as they go out: nothing is checked, only moved.

use crate::domain::{
    Audio, Block, BlockKind, CacheBreakpoint, Citation, Document, Image, Media, MediaSource, TokenLogprob, ToolCall,
    ToolInput, ToolResult,
};
use crate::proto;
use crate::proto::content_block::Block as Kind;
use crate::proto::media::Source;
use crate::proto::tool_call::Input;

/// A block.
pub(super) fn block(block: Block) -> proto::ContentBlock {
    let options = block.provider_options.into_iter();
    proto::ContentBlock {
        block: Some(kind(block.kind)),
        provider_state: block.state.map(|state| state.to_bytes()).unwrap_or_default(),
        cache_breakpoint: block.cache_breakpoint.map(cache_breakpoint),
        provider_options: options.map(|(vendor, json)| (vendor.to_string(), json)).collect(),
    }
}

/// A citation.
pub(super) fn citation(citation: Citation) -> proto::Citation {
    proto::Citation {
        r#type: citation.kind,
        cited_text: citation.cited_text,
        title: citation.title,
        url: citation.url,
        document_index: citation.document_index,
        source_start: citation.source_start,
        source_end: citation.source_end,
        text_start: citation.text_start,
        text_end: citation.text_end,
        file_id: citation.file_id,
    }
}

/// Log probabilities.
pub(super) fn logprobs(logprobs: Vec<TokenLogprob>) -> Vec<proto::TokenLogprob> {
    let one = |token: TokenLogprob| proto::TokenLogprob {
        token: token.token,
        token_bytes: token.bytes,
        logprob: token.logprob,
        top: self::logprobs(token.top),
    };
    logprobs.into_iter().map(one).collect()
}

fn kind(kind: BlockKind) -> Kind {
    match kind {
        BlockKind::Text(text) => Kind::Text(proto::Text {
            text: text.text,
            citations: text.citations.into_iter().map(citation).collect(),
            logprobs: logprobs(text.logprobs),
        }),
        BlockKind::Image(Image { media, detail }) => {
            Kind::Image(proto::Image { media: Some(self::media(media)), detail })
        }
        BlockKind::Document(document) => Kind::Document(self::document(document)),
        BlockKind::ToolCall(call) => Kind::ToolCall(tool_call(call)),
        BlockKind::ToolResult(result) => Kind::ToolResult(tool_result(result)),
        BlockKind::Reasoning(reasoning) => {
            Kind::Reasoning(proto::Reasoning { text: reasoning.text, redacted: reasoning.redacted })
        }
        BlockKind::Audio(Audio { media, transcript }) => {
            Kind::Audio(proto::Audio { media: Some(self::media(media)), transcript })
        }
        BlockKind::Refusal(refusal) => Kind::Refusal(proto::Refusal { text: refusal.text, category: refusal.category }),
        BlockKind::Provider(block) => Kind::ProviderBlock(proto::ProviderBlock {
            vendor: block.vendor.to_string(),
            r#type: block.kind,
            json: block.json,
        }),
    }
}

fn cache_breakpoint(breakpoint: CacheBreakpoint) -> proto::CacheBreakpoint {
    proto::CacheBreakpoint { ttl: breakpoint.ttl.map(super::duration) }
}

fn media(media: Media) -> proto::Media {
    let source = match media.source {
        MediaSource::Inline(data) => Source::Data(data),
        MediaSource::Uri(uri) => Source::Uri(uri),
        MediaSource::File(file) => Source::File(proto::FileRef { provider: file.provider.to_string(), id: file.id }),
    };
    proto::Media { mime_type: media.mime_type, source: Some(source) }
}

fn document(document: Document) -> proto::Document {
    let Document { media, title, context, citations, filename } = document;
    proto::Document { media: Some(self::media(media)), title, context, citations, filename }
}

fn tool_call(call: ToolCall) -> proto::ToolCall {
    let ToolCall { id, name, input, incomplete, namespace } = call;
    let input = match input {
        ToolInput::Json(text) => Input::ArgumentsJson(text),
        ToolInput::Text(text) => Input::Text(text),
    };
    proto::ToolCall { id, name, incomplete, namespace, input: Some(input) }
}

fn tool_result(result: ToolResult) -> proto::ToolResult {
    let ToolResult { tool_call_id, name, content, is_error } = result;
    proto::ToolResult { tool_call_id, name, content: content.into_iter().map(block).collect(), is_error }
}

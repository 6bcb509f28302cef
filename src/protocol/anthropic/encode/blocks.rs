//! Blocks of content.

use serde_json::value::RawValue;

use super::super::Version;
use super::super::fields::Fields;
use super::piece::{Content, Piece};
use super::wire::{self, Citing, Source};
use super::{Encoding, lacks};
use crate::domain::{
    Block, BlockKind, Document, Image, Media, MediaSource, ProviderBlock, ReasoningText, Role, Text, ToolCall,
    ToolInput, ToolResult,
};
use crate::protocol::Unfit;
use crate::protocol::place::Place;

const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

impl<'a> Encoding<'a> {
    /// What a block becomes; none where it is left out. Reasoning is [`Encoding::reasoning`]'s.
    pub(super) fn block(&mut self, block: &'a Block, by: Role, place: Place) -> Result<Option<Content<'a>>, Unfit> {
        match &block.kind {
            BlockKind::Text(text) => Ok(self.text(block, text, place)),
            BlockKind::Refusal(refusal) => Ok(self.plain_text(block, &refusal.text, None, place)),
            BlockKind::Image(image) => self.image(block, image, by, place).map(Some),
            BlockKind::Document(document) => self.document(block, document, by, place).map(Some),
            BlockKind::ToolCall(call) => self.tool_call(block, call, place).map(Some),
            BlockKind::ToolResult(result) => self.tool_result(block, result, place).map(Some),
            BlockKind::Provider(provider) => Ok(self.provider_block(block, provider, place)),
            BlockKind::Audio(_) => lacks(place, "cannot take sound"),
            BlockKind::Reasoning(reasoning) => Ok(self.reasoning(block, reasoning, false, place)),
        }
    }

    fn text(&mut self, block: &'a Block, text: &'a Text, place: Place) -> Option<Content<'a>> {
        let state = self.state(block);
        // Citations can only be said in the provider's own words, which the state holds.
        if !text.citations.is_empty() && state.is_none() {
            self.left_out.foreign(format!("{place}.text.citations"));
        }
        self.plain_text(block, &text.text, state, place)
    }

    /// Empty text says nothing, and is refused.
    fn plain_text(
        &mut self,
        block: &'a Block,
        text: &'a str,
        state: Option<Fields>,
        place: Place,
    ) -> Option<Content<'a>> {
        if text.is_empty() {
            return None;
        }
        let typed = wire::Block::Text { text, cache_control: None };
        let more = state.into_iter().chain(self.options(block));
        Some(Piece::typed(typed, more, place, self.text_slot(place, block)))
    }

    fn image(&mut self, block: &'a Block, image: &'a Image, by: Role, place: Place) -> Result<Content<'a>, Unfit> {
        if self.order.facts.and_then(|facts| facts.capabilities.images) == Some(false) {
            return lacks(place, "cannot take images");
        }
        if by == Role::Assistant {
            return lacks(place, "cannot take images in the model's own turns");
        }
        if !matches!(image.detail.as_str(), "" | "auto") {
            self.left_out.unsupported(format!("{place}.image.detail"));
        }
        let source = match &image.media.source {
            MediaSource::Inline(data) if IMAGES.contains(&image.media.mime_type.as_str()) => {
                Source::Base64 { media_type: &image.media.mime_type, data }
            }
            MediaSource::Inline(_) => return lacks(place, "cannot take images of this type"),
            _ => self.remote(&image.media, place)?,
        };
        let slot = self.slot(place, block.cache_breakpoint, None);
        Ok(Piece::typed(wire::Block::Image { source, cache_control: None }, self.options(block), place, slot))
    }

    fn document(
        &mut self,
        block: &'a Block,
        document: &'a Document,
        by: Role,
        place: Place,
    ) -> Result<Content<'a>, Unfit> {
        if self.order.facts.and_then(|facts| facts.capabilities.documents) == Some(false) {
            return lacks(place, "cannot take documents");
        }
        if by == Role::Assistant && self.version == Version::V2026 {
            return lacks(place, "cannot take documents in the model's own turns");
        }
        let source = match (&document.media.source, document.media.mime_type.as_str()) {
            (MediaSource::Inline(data), "application/pdf") => Source::Base64 { media_type: "application/pdf", data },
            (MediaSource::Inline(data), mime_type) if mime_type.starts_with("text/") => match std::str::from_utf8(data)
            {
                Ok(data) => Source::Text { media_type: "text/plain", data },
                Err(_) => return lacks(place, "cannot take text that is not UTF-8"),
            },
            (MediaSource::Inline(_), _) => return lacks(place, "cannot take documents of this type"),
            _ => self.remote(&document.media, place)?,
        };
        let title = if document.title.is_empty() { &document.filename } else { &document.title };
        let citations = document.citations.map(|enabled| Citing { enabled });
        let context = &document.context;
        let typed = wire::Block::Document { source, title, context, citations, cache_control: None };
        Ok(Piece::typed(typed, self.options(block), place, self.slot(place, block.cache_breakpoint, None)))
    }

    /// Media that are not here.
    fn remote(&self, media: &'a Media, place: Place) -> Result<Source<'a>, Unfit> {
        match &media.source {
            MediaSource::Uri(url) if url.starts_with("https://") || url.starts_with("http://") => {
                Ok(Source::Url { url })
            }
            MediaSource::File(file) if file.provider == self.identity().provider => {
                Ok(Source::File { file_id: &file.id })
            }
            MediaSource::File(_) => lacks(place, "does not hold the file, which is at another provider"),
            MediaSource::Uri(_) | MediaSource::Inline(_) => lacks(place, "cannot fetch from such an address"),
        }
    }

    fn tool_call(&mut self, block: &'a Block, call: &'a ToolCall, place: Place) -> Result<Content<'a>, Unfit> {
        let ToolInput::Json(json) = &call.input else {
            return lacks(place, "cannot take calls of tools with free text");
        };
        let Ok(input) = serde_json::from_str::<&RawValue>(json) else {
            return lacks(place, "cannot take input that is not JSON");
        };
        let typed = wire::Block::ToolUse {
            id: &call.id,
            name: &call.name,
            input,
            toolset_name: &call.namespace,
            cache_control: None,
        };
        let more = self.state(block).into_iter().chain(self.options(block));
        Ok(Piece::typed(typed, more, place, self.text_slot(place, block)))
    }

    fn tool_result(&mut self, block: &'a Block, result: &'a ToolResult, place: Place) -> Result<Content<'a>, Unfit> {
        let mut content = Vec::new();
        if let Place::Message { message, block } = place {
            for (inner, what) in result.content.iter().enumerate() {
                content.extend(self.block(what, Role::Tool, Place::Result { message, block, inner })?);
            }
        }
        let (tool_use_id, is_error) = (result.tool_call_id.as_str(), result.is_error);
        let typed = wire::Block::ToolResult { tool_use_id, content, is_error, cache_control: None };
        // Its content is counted piece by piece.
        let slot = self.slot(place, block.cache_breakpoint, Some(0));
        Ok(Piece::typed(typed, self.options(block), place, slot))
    }

    /// Reasoning goes back only to the model and account that made it, as it came. A block without a signature at a
    /// message's end was cut short, and is refused; elsewhere the vendor signs none.
    pub(super) fn reasoning(
        &mut self,
        block: &'a Block,
        reasoning: &'a ReasoningText,
        is_last: bool,
        place: Place,
    ) -> Option<Content<'a>> {
        let state = block.state.as_ref().filter(|state| state.is_of(self.identity()));
        let fields = state.and_then(|state| Fields::parse(state.payload.get()));
        let fields = fields.and_then(|mut fields| {
            let kind = fields.text("type")?.into_owned();
            let is_signed = fields.text("signature").is_some_and(|signature| !signature.is_empty());
            match kind.as_str() {
                "redacted_thinking" => Some(fields),
                "thinking" if is_signed || !is_last => {
                    fields.set_text("thinking", &reasoning.text);
                    Some(fields)
                }
                _ => None,
            }
        });
        let Some(fields) = fields else {
            self.left_out.foreign(place.to_string());
            return None;
        };
        let bytes = state.map(|state| state.payload.get().len().saturating_add(reasoning.text.len()));
        Some(Piece::own(fields, place, self.slot(place, block.cache_breakpoint, bytes)))
    }

    fn provider_block(&mut self, block: &'a Block, provider: &'a ProviderBlock, place: Place) -> Option<Content<'a>> {
        let own = Some(provider).filter(|provider| provider.vendor == self.identity().vendor);
        let Some(mut fields) = own.and_then(|provider| Fields::parse(&provider.json)) else {
            self.left_out.foreign(place.to_string());
            return None;
        };
        self.options(block).into_iter().for_each(|more| fields.extend(more));
        // What the provider keeps in its own words may stand for more than its bytes.
        Some(Piece::own(fields, place, self.slot(place, block.cache_breakpoint, None)))
    }

    /// The fields that this vendor sent with the block and that the domain has no name for.
    fn state(&self, block: &Block) -> Option<Fields> {
        let state = block.state.as_ref().filter(|state| state.is_of_vendor(self.identity()))?;
        Fields::parse(state.payload.get()).filter(|fields| !fields.is_empty())
    }

    /// The caller's own fields for this vendor.
    fn options(&self, block: &Block) -> Option<Fields> {
        let json = block.provider_options.get(&self.identity().vendor)?;
        Fields::parse(json).filter(|fields| !fields.is_empty())
    }
}

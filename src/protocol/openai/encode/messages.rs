//! The conversation: one wire message per turn, but one per result in a turn of tool results.

use std::borrow::Cow;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::parts::{merged, raw};
use super::wire::{
    AudioId, Call, CalledCustom, CalledFunction, Content, Message as WireMessage, Part, Piece, Placed, ThinkingText,
};
use super::{Encoder, lacks};
use crate::domain::{Audio, Block, BlockKind, Message, Role, ToolCall, ToolInput, ToolResult};
use crate::protocol::Unfit;
use crate::protocol::openai::kept::{Kept, TOOL_CALL};
use crate::protocol::openai::{Passback, ToolIds};
use crate::protocol::place::Place;

/// All messages, the system prompt first.
pub(super) fn messages<'a>(encoder: &mut Encoder<'a>) -> Result<Vec<WireMessage<'a>>, Unfit> {
    let request = encoder.order.request;
    let mut wire = Vec::with_capacity(request.messages.len() + 1);
    if !request.system.is_empty() {
        let content = encoder.content(&request.system, |block| Place::System { block })?;
        wire.push(WireMessage { role: encoder.dialect.system_role, content: Some(content), ..WireMessage::default() });
    }
    for (index, message) in request.messages.iter().enumerate() {
        let place = |block| Place::Message { message: index, block };
        match message.role {
            Role::User => {
                let content = Some(encoder.content(&message.content, place)?);
                wire.push(WireMessage { role: "user", content, ..WireMessage::default() });
            }
            Role::Assistant => wire.push(encoder.assistant(message, place)?),
            Role::Tool => encoder.results(message, index, &mut wire)?,
        }
    }
    Ok(wire)
}

impl<'a> Encoder<'a> {
    /// Blocks that are not the model's, as parts.
    fn content(&mut self, blocks: &'a [Block], place: impl Fn(usize) -> Place) -> Result<Content<'a>, Unfit> {
        let mut parts = Vec::with_capacity(blocks.len());
        for (index, block) in blocks.iter().enumerate() {
            parts.extend(self.user_part(block, place(index))?);
        }
        Ok(parts_or_nothing(parts).unwrap_or(Content::Text(Cow::Borrowed(""))))
    }

    fn results(&mut self, message: &'a Message, index: usize, wire: &mut Vec<WireMessage<'a>>) -> Result<(), Unfit> {
        for (block, what) in message.content.iter().enumerate() {
            let place = Place::Message { message: index, block };
            match &what.kind {
                BlockKind::ToolResult(result) => {
                    let inner = |inner| Place::Result { message: index, block, inner };
                    wire.push(self.result(result, what, (place, inner))?);
                }
                BlockKind::Provider(_) => self.left_out.foreign(place),
                _ => return Err(lacks(place, "cannot take this kind of block in this message")),
            }
        }
        Ok(())
    }

    fn result(
        &mut self,
        result: &'a ToolResult,
        outer: &'a Block,
        (place, inner): (Place, impl Fn(usize) -> Place),
    ) -> Result<WireMessage<'a>, Unfit> {
        if result.is_error {
            self.left_out.foreign(format!("{place}.tool_result.is_error"));
        }
        let last = result.content.len().checked_sub(1);
        let mut parts = Vec::with_capacity(result.content.len());
        for (index, block) in result.content.iter().enumerate() {
            let place = inner(index);
            match &block.kind {
                BlockKind::Text(text) => {
                    let part = Part { r#type: "text", text: Some(&text.text), ..Part::default() };
                    // A breakpoint behind the result is one behind its last part.
                    let ends = Some(index) == last && block.cache_breakpoint.is_none();
                    parts.push(self.placed(part, if ends { outer } else { block }, place)?);
                }
                BlockKind::Provider(own) => parts.extend(self.verbatim(own, block, place)?),
                BlockKind::Image(_) => return Err(lacks(place, "cannot take images in tool results")),
                _ => return Err(lacks(place, "cannot take anything but text in tool results")),
            }
        }
        let content = parts_or_nothing(parts).unwrap_or(Content::Text(Cow::Borrowed("")));
        let tool_call_id = Some(tool_call_id(self.dialect.tool_ids, &result.tool_call_id));
        Ok(WireMessage { role: "tool", content: Some(content), tool_call_id, ..WireMessage::default() })
    }

    fn assistant(&mut self, message: &'a Message, place: impl Fn(usize) -> Place) -> Result<WireMessage<'a>, Unfit> {
        let mut wire = WireMessage { role: "assistant", ..WireMessage::default() };
        let mut parts = Vec::new();
        for (index, block) in message.content.iter().enumerate() {
            self.spoken(block, place(index), &mut wire, &mut parts)?;
        }
        wire.content = parts_or_nothing(parts);
        // Null is for messages that say something else instead.
        if wire.content.is_none() && wire.tool_calls.is_empty() && wire.refusal.is_none() && wire.audio.is_none() {
            wire.content = Some(Content::Text(Cow::Borrowed("")));
        }
        Ok(wire)
    }

    /// One block of what the model said.
    fn spoken(
        &mut self,
        block: &'a Block,
        place: Place,
        wire: &mut WireMessage<'a>,
        parts: &mut Vec<Placed<'a>>,
    ) -> Result<(), Unfit> {
        match &block.kind {
            BlockKind::Refusal(refusal) if self.dialect.refusals => {
                wire.refusal.get_or_insert_default().push_str(&refusal.text);
            }
            BlockKind::Refusal(refusal) => {
                let part = Part { r#type: "text", text: Some(&refusal.text), ..Part::default() };
                parts.push(self.placed(part, block, place)?);
            }
            BlockKind::Reasoning(reasoning) => self.reasoning(block, &reasoning.text, place, wire, parts),
            BlockKind::ToolCall(call) => wire.tool_calls.push(self.call(call, block, place)?),
            BlockKind::Audio(audio) => self.said(audio, block, place, wire, parts),
            BlockKind::Provider(own) if own.kind.starts_with(TOOL_CALL) => {
                if own.vendor == self.order.identity.vendor {
                    wire.tool_calls.push(Piece::Borrowed(raw(&own.json, place)?));
                } else {
                    self.left_out.foreign(place);
                }
            }
            BlockKind::Text(_) | BlockKind::Provider(_) => parts.extend(self.user_part(block, place)?),
            BlockKind::Image(_) | BlockKind::Document(_) | BlockKind::ToolResult(_) => {
                return Err(lacks(place, "cannot take this kind of block in an assistant message"));
            }
        }
        Ok(())
    }

    /// Reasoning goes back only to the vendor that made it, and only where its dialect has a place for it.
    fn reasoning(
        &mut self,
        block: &'a Block,
        text: &'a str,
        place: Place,
        wire: &mut WireMessage<'a>,
        parts: &mut Vec<Placed<'a>>,
    ) {
        let kept = Kept::open(block.state.as_ref(), self.order.identity);
        let same_model = block.state.as_ref().is_some_and(|state| state.model == self.order.identity.model);
        match (self.dialect.passback, kept) {
            (Passback::ReasoningContent, Some(_)) => wire.reasoning_content.get_or_insert_default().push_str(text),
            (Passback::Reasoning, Some(_)) => wire.reasoning.get_or_insert_default().push_str(text),
            // The pieces are signed by the model that made them.
            (Passback::Details, Some(kept)) if same_model && !kept.details.is_empty() => {
                wire.reasoning_details.extend(kept.details);
            }
            (Passback::Parts, Some(kept)) => {
                let thinking = Some([ThinkingText { r#type: "text", text }]);
                let signature = kept.signature;
                parts.push(unmarked(Part { r#type: "thinking", thinking, signature, ..Part::default() }));
            }
            _ => self.left_out.foreign(place),
        }
    }

    fn call(&self, call: &'a ToolCall, block: &'a Block, place: Place) -> Result<Piece<'a, Call<'a>>, Unfit> {
        let id = tool_call_id(self.dialect.tool_ids, &call.id);
        let extra_content: Option<Box<RawValue>> =
            Kept::open(block.state.as_ref(), self.order.identity).and_then(|kept| kept.extra_content);
        let wire = match &call.input {
            ToolInput::Json(arguments) => {
                let function = Some(CalledFunction { name: &call.name, arguments });
                Call { id, r#type: "function", function, custom: None, extra_content }
            }
            ToolInput::Text(input) if self.dialect.custom_tools => {
                let custom = Some(CalledCustom { name: &call.name, input });
                Call { id, r#type: "custom", function: None, custom, extra_content }
            }
            ToolInput::Text(_) => return Err(lacks(place, "cannot take tools whose input is free text")),
        };
        match block.provider_options.get(&self.order.identity.vendor) {
            Some(json) => merged(wire, json, place),
            None => Ok(Piece::Known(wire)),
        }
    }

    /// What the model said aloud: by the provider's id of it, else in its own words, as far as they are known.
    fn said(
        &mut self,
        audio: &'a Audio,
        block: &'a Block,
        place: Place,
        wire: &mut WireMessage<'a>,
        parts: &mut Vec<Placed<'a>>,
    ) {
        let state = block.state.as_ref().filter(|state| state.account == self.order.identity.account);
        let id = Kept::open(state, self.order.identity).and_then(|kept| kept.audio_id);
        if let Some(id) = id.filter(|_| self.dialect.audio && wire.audio.is_none()) {
            wire.audio = Some(AudioId { id });
            return;
        }
        self.left_out.foreign(place);
        if !audio.transcript.is_empty() {
            parts.push(unmarked(Part { r#type: "text", text: Some(&audio.transcript), ..Part::default() }));
        }
    }
}

/// A part that nobody says anything about.
fn unmarked(part: Part<'_>) -> Placed<'_> {
    Placed { piece: Piece::Known(part), breakpoint: None }
}

fn parts_or_nothing(parts: Vec<Placed<'_>>) -> Option<Content<'_>> {
    if parts.is_empty() { None } else { Some(Content::Parts(parts)) }
}

/// The contents in the simplest form that the dialect takes: a string where one says it all.
pub(super) fn simplify(encoder: &Encoder<'_>, messages: &mut [WireMessage<'_>]) {
    for message in messages {
        let joint = if message.role == "assistant" { "" } else { "\n\n" };
        if let Some(Content::Parts(parts)) = &message.content
            && let Some(text) = simplest(encoder, parts, joint)
        {
            message.content = Some(Content::Text(text));
        }
    }
}

/// The text that says all that `parts` say; none where they must be parts.
fn simplest<'a>(encoder: &Encoder<'_>, parts: &[Placed<'a>], joint: &str) -> Option<Cow<'a, str>> {
    match parts {
        [only] => plain(only).map(Cow::Borrowed),
        _ if encoder.dialect.text_parts => None,
        _ => {
            let texts: Option<Vec<_>> = parts.iter().map(plain).collect();
            texts.filter(|texts| !texts.is_empty()).map(|texts| Cow::Owned(texts.join(joint)))
        }
    }
}

/// The text of a part that is nothing but text.
fn plain<'a>(placed: &Placed<'a>) -> Option<&'a str> {
    match &placed.piece {
        Piece::Known(part) if part.prompt_cache_breakpoint.is_none() && part.cache_control.is_none() => part.text,
        _ => None,
    }
}

/// An id of a tool call as the dialect takes it: itself, or a digest of it, the same wherever the id stands.
fn tool_call_id(form: ToolIds, id: &str) -> Cow<'_, str> {
    let (length, fits) = match form {
        ToolIds::Any => return Cow::Borrowed(id),
        ToolIds::UpTo(most) => (most, id.chars().count() <= most),
        ToolIds::Exactly(length) => (length, id.len() == length && id.bytes().all(|b| b.is_ascii_alphanumeric())),
    };
    if fits {
        return Cow::Borrowed(id);
    }
    let digest: String = Sha256::digest(id.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    Cow::Owned(digest.chars().take(length).collect())
}

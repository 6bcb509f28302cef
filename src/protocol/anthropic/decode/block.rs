//! One block of an answer while it arrives: what has to be held until it is whole, and no more.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::{RawValue, to_raw_value};

use super::super::fields::Fields;
use super::citation;
use super::unreadable;
use crate::domain::{
    Block, BlockKind, Delta, Error, Identity, MAX_STATE_BYTES, ProviderBlock, ProviderState, ReasoningText, Text,
    ToolCall, ToolInput,
};

/// The most that is held of one block, in bytes: as much as one event may have.
const MAX_HELD: usize = crate::protocol::MAX_BLOCK_BYTES;

/// The most that a block's state may have, with room for what it is wrapped in.
const MAX_STATE: usize = MAX_STATE_BYTES / 2;

/// A block that is not finished.
#[derive(Debug)]
pub(super) struct Open {
    kind: Kind,
    /// Bytes that are held for it.
    held: usize,
}

#[derive(Debug)]
enum Kind {
    /// Text goes on at once; its other fields and the original citations are held.
    Text { fields: Fields, citations: Vec<Box<RawValue>> },
    /// The text goes on at once; its other fields are held.
    Thinking { fields: Fields },
    /// Input goes on at once, and is held to see whether it is whole.
    Tool { fields: Fields, given: Option<Box<RawValue>>, input: String },
    /// Only this vendor knows it: held back until it is whole.
    Held { kind: String, fields: Fields, grown: Grown },
}

/// What deltas add to the fields of a block that is held back.
#[derive(Debug, Default)]
struct Grown {
    input: String,
    text: String,
    thinking: String,
    citations: Vec<Box<RawValue>>,
}

/// What is left to say when a block is done.
pub(super) struct Finished {
    /// The whole block, where it was held back.
    pub(super) whole: Option<Block>,
    /// A last piece.
    pub(super) rest: Option<Delta>,
    pub(super) state: Option<ProviderState>,
    pub(super) incomplete: bool,
}

/// A delta of a type that is known here.
pub(super) enum Piece<'a> {
    Text(Cow<'a, str>),
    Thinking(Cow<'a, str>),
    Signature(Cow<'a, str>),
    Input(Cow<'a, str>),
    Citation(&'a RawValue),
    Compaction(Fields),
}

#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Words<'a> {
    #[serde(borrow, alias = "thinking", alias = "signature", alias = "partial_json")]
    text: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Cited<'a> {
    #[serde(borrow)]
    citation: &'a RawValue,
}

impl<'a> Piece<'a> {
    /// Reads a delta; none when its type is not known here.
    pub(super) fn read(raw: &'a str) -> Result<Option<Self>, Error> {
        let malformed = |error: serde_json::Error| unreadable("a delta", &error);
        let words = || serde_json::from_str(raw).map(|Words { text }| text).map_err(malformed);
        let Typed { kind } = serde_json::from_str(raw).map_err(malformed)?;
        Ok(Some(match &*kind {
            "text_delta" => Self::Text(words()?),
            "thinking_delta" => Self::Thinking(words()?),
            "signature_delta" => Self::Signature(words()?),
            "input_json_delta" => Self::Input(words()?),
            "citations_delta" => Self::Citation(serde_json::from_str::<Cited<'_>>(raw).map_err(malformed)?.citation),
            "compaction_delta" => {
                let mut fields = Fields::parse(raw).unwrap_or_default();
                fields.take("type");
                Self::Compaction(fields)
            }
            _ => return Ok(None),
        }))
    }

    /// How much of it may have to be held, in bytes.
    fn len(&self) -> usize {
        match self {
            Self::Text(text) | Self::Thinking(text) | Self::Signature(text) | Self::Input(text) => text.len(),
            Self::Citation(original) => original.get().len(),
            Self::Compaction(fields) => fields.to_raw().map_or(0, |raw| raw.get().len()),
        }
    }
}

impl Open {
    /// Reads a block's beginning, or the whole of it; and the block so far, unless it has to be held back.
    pub(super) fn start(raw: &str) -> Result<(Self, Option<Block>), Error> {
        let mut fields: Fields = serde_json::from_str(raw).map_err(|error| unreadable("a block", &error))?;
        let Some(kind) = fields.text("type").map(Cow::into_owned) else {
            return Err(Error::protocol("a block has no type"));
        };
        let (kind, block) = match kind.as_str() {
            "text" => {
                fields.take("type");
                let text = fields.take_text("text").unwrap_or_default();
                let citations = citation::originals(fields.take("citations").as_deref());
                let known = citations.iter().map(|original| citation::known(original)).collect();
                let block = BlockKind::Text(Text { text, citations: known, logprobs: Vec::new() });
                (Kind::Text { fields, citations }, Some(block))
            }
            "thinking" => {
                let text = fields.take_text("thinking").unwrap_or_default();
                (Kind::Thinking { fields }, Some(BlockKind::Reasoning(ReasoningText { text, redacted: false })))
            }
            "redacted_thinking" => {
                let redacted = ReasoningText { text: String::new(), redacted: true };
                (Kind::Thinking { fields }, Some(BlockKind::Reasoning(redacted)))
            }
            "tool_use" => {
                let call = ToolCall {
                    id: fields.take_text("id").unwrap_or_default(),
                    name: fields.take_text("name").unwrap_or_default(),
                    input: ToolInput::Json(String::new()),
                    incomplete: false,
                    namespace: fields.take_text("toolset_name").unwrap_or_default(),
                };
                fields.take("type");
                let given = fields.take("input").filter(|input| !matches!(input.get(), "{}" | "null"));
                (Kind::Tool { fields, given, input: String::new() }, Some(BlockKind::ToolCall(call)))
            }
            _ => (Kind::Held { kind, fields, grown: Grown::default() }, None),
        };
        Ok((Self { kind, held: raw.len() }, block.map(Block::from)))
    }

    /// The model that a fallback block names: it answers from here on.
    pub(super) fn answering_model(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct To {
            model: String,
        }
        match &self.kind {
            Kind::Held { kind, fields, .. } if kind == "fallback" => {
                serde_json::from_str(fields.get("to")?.get()).map(|To { model }| model).ok()
            }
            _ => None,
        }
    }

    /// Takes a piece, and says what of it can go on at once.
    pub(super) fn grow(&mut self, piece: Piece<'_>) -> Result<Option<Delta>, Error> {
        let delta = match (&mut self.kind, piece) {
            (Kind::Text { .. }, Piece::Text(text)) => Delta::Text(text.into_owned()),
            (Kind::Text { citations, .. }, Piece::Citation(original)) => {
                hold(&mut self.held, original.get().len(), MAX_STATE)?;
                citations.push(original.to_owned());
                Delta::Citation(Box::new(citation::known(original)))
            }
            (Kind::Thinking { .. }, Piece::Thinking(text)) => Delta::Reasoning(text.into_owned()),
            (Kind::Thinking { fields }, Piece::Signature(signature)) => {
                hold(&mut self.held, signature.len(), MAX_STATE)?;
                fields.set_text("signature", &signature);
                return Ok(None);
            }
            (Kind::Tool { input, .. }, Piece::Input(more)) => {
                hold(&mut self.held, more.len(), MAX_HELD)?;
                input.push_str(&more);
                Delta::ToolInput(more.into_owned())
            }
            (Kind::Held { fields, grown, .. }, piece) => {
                hold(&mut self.held, piece.len(), MAX_HELD)?;
                grown.take(piece, fields);
                return Ok(None);
            }
            _ => return Err(Error::protocol("a delta does not fit its block")),
        };
        Ok(Some(delta))
    }

    /// What is left to say.
    pub(super) fn finish(self, identity: &Identity) -> Result<Finished, Error> {
        let nothing = Finished { whole: None, rest: None, state: None, incomplete: false };
        let state = |fields: &Fields| {
            fields.to_raw().map(|payload| ProviderState::new(identity, payload)).filter(|_| !fields.is_empty())
        };
        Ok(match self.kind {
            Kind::Text { mut fields, citations } => {
                fields.retain_said();
                if let (false, Ok(citations)) = (citations.is_empty(), to_raw_value(&citations)) {
                    fields.set("citations", citations);
                }
                Finished { state: state(&fields), ..nothing }
            }
            Kind::Thinking { fields } => Finished { state: state(&fields), ..nothing },
            Kind::Tool { mut fields, given, input } => {
                fields.retain_said();
                let (rest, incomplete) = if input.trim().is_empty() {
                    (Some(given.map_or_else(|| "{}".to_owned(), |given| given.get().to_owned())), false)
                } else {
                    (None, !is_object(&input))
                };
                Finished { rest: rest.map(Delta::ToolInput), state: state(&fields), incomplete, ..nothing }
            }
            Kind::Held { kind, mut fields, grown } => {
                grown.settle(&mut fields);
                let Some(json) = fields.to_raw() else { return Err(Error::protocol("a block has no end")) };
                let json = json.get().to_owned();
                let block = BlockKind::Provider(ProviderBlock { vendor: identity.vendor.clone(), kind, json });
                Finished { whole: Some(block.into()), ..nothing }
            }
        })
    }
}

impl Grown {
    fn take(&mut self, piece: Piece<'_>, fields: &mut Fields) {
        match piece {
            Piece::Input(more) => self.input.push_str(&more),
            Piece::Text(more) => self.text.push_str(&more),
            Piece::Thinking(more) => self.thinking.push_str(&more),
            Piece::Citation(original) => self.citations.push(original.to_owned()),
            Piece::Signature(signature) => fields.set_text("signature", &signature),
            Piece::Compaction(whole) => fields.extend(whole),
        }
    }

    /// Puts all that came where it belongs. Input that was cut short is left out: a block is always valid JSON.
    fn settle(self, fields: &mut Fields) {
        if is_object(&self.input)
            && let Ok(input) = RawValue::from_string(self.input)
        {
            fields.set("input", input);
        }
        for (name, more) in [("text", self.text), ("thinking", self.thinking)] {
            if !more.is_empty() {
                let text = fields.text(name).unwrap_or_default().into_owned() + &more;
                fields.set_text(name, &text);
            }
        }
        let mut citations = citation::originals(fields.get("citations"));
        if !self.citations.is_empty() {
            citations.extend(self.citations);
            if let Ok(citations) = to_raw_value(&citations) {
                fields.set("citations", citations);
            }
        }
    }
}

fn hold(held: &mut usize, more: usize, most: usize) -> Result<(), Error> {
    *held = held.saturating_add(more);
    if *held > most { Err(Error::protocol("a block is larger than can be held")) } else { Ok(()) }
}

fn is_object(json: &str) -> bool {
    json.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(json).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a block stops taking pieces before it took a hundred megabytes.
    fn is_bounded(beginning: &str, delta: &str) -> bool {
        let (mut open, _) = Open::start(beginning).unwrap();
        let delta = delta.replace("...", &"x".repeat(1 << 20));
        (0..100).any(|_| open.grow(Piece::read(&delta).unwrap().unwrap()).is_err())
    }

    #[test]
    fn what_is_held_of_a_block_is_bounded() {
        let input = r#"{"type":"input_json_delta","partial_json":"..."}"#;
        let citation = r#"{"type":"citations_delta","citation":{"type":"..."}}"#;
        for (beginning, delta) in [
            (r#"{"type":"tool_use","id":"a","name":"b","input":{}}"#, input),
            (r#"{"type":"server_tool_use","input":{}}"#, input),
            (r#"{"type":"hologram"}"#, r#"{"type":"text_delta","text":"..."}"#),
            (r#"{"type":"compaction"}"#, r#"{"type":"compaction_delta","content":"..."}"#),
            (r#"{"type":"hologram"}"#, citation),
            (r#"{"type":"text","text":""}"#, citation),
            (r#"{"type":"thinking"}"#, r#"{"type":"signature_delta","signature":"..."}"#),
        ] {
            assert!(is_bounded(beginning, delta), "{beginning}");
        }
    }

    #[test]
    fn text_that_goes_on_at_once_is_not_held() {
        for (beginning, delta) in [
            (r#"{"type":"text","text":""}"#, r#"{"type":"text_delta","text":"..."}"#),
            (r#"{"type":"thinking","thinking":""}"#, r#"{"type":"thinking_delta","thinking":"..."}"#),
        ] {
            assert!(!is_bounded(beginning, delta), "{beginning}");
        }
    }
}

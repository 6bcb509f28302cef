//! What was asked and answered, as attributes of the completion's span: only where the configuration says so, redacted, and
//! bounded in size. It knows neither logs nor metrics: nothing of it goes there.
//!
//! The form is that of the generative AI conventions: messages of parts, as JSON. Of media only the kind is told.

use opentelemetry::KeyValue;
use serde_json::{Value, json};

use super::redact::{Pattern, Redaction};
use super::semconv;
use crate::domain::{Block, BlockKind, Delta, Event, Message, Request, Role, ToolInput, ToolKind};

/// The most that one attribute holds of texts, in bytes.
const MOST: usize = 16 * 1024;
/// What is read beyond that, so that what is cut off ends in no half of a secret.
const MARGIN: usize = 4 * 1024;
/// The most parts of one attribute.
const MOST_PARTS: usize = 256;

/// Captures what is said. Its absence is the default.
#[derive(Clone, Debug)]
pub(super) struct Capture(Redaction);

impl Capture {
    /// What `own` matches is taken out beside the built-in kinds.
    pub(super) const fn new(own: Vec<Pattern>) -> Self {
        Self(Redaction::new(own))
    }

    /// What was asked.
    pub(super) fn asked(&self, request: &Request) -> Vec<KeyValue> {
        let mut room = Room::new(&self.0);
        let mut messages: Vec<Value> = Vec::new();
        // From the last one back: where there is no room for all, the latest say most.
        for message in request.messages.iter().rev() {
            if room.is_used_up() {
                break;
            }
            messages.push(said_by(message, &mut room));
        }
        messages.reverse();
        let mut cut = room.cut;
        let mut attributes = vec![text(semconv::GEN_AI_INPUT_MESSAGES, &Value::Array(messages))];
        if !request.system.is_empty() {
            let mut room = Room::new(&self.0);
            let parts = parts(&request.system, &mut room);
            attributes.push(text(semconv::GEN_AI_SYSTEM_INSTRUCTIONS, &Value::Array(parts)));
            cut |= room.cut;
        }
        if !request.tools.is_empty() {
            let mut room = Room::new(&self.0);
            let tools =
                request.tools.iter().map_while(|tool| (!room.is_used_up()).then(|| defined(&tool.kind, &mut room)));
            attributes.push(text(semconv::GEN_AI_TOOL_DEFINITIONS, &tools.collect()));
            cut |= room.cut;
        }
        if cut {
            attributes.push(KeyValue::new(semconv::CAPTURE_CUT, true));
        }
        attributes
    }

    /// What was answered, as far as it came, and how that ended.
    pub(super) fn answered(&self, said: &Said, finish: &'static str) -> KeyValue {
        let mut room = Room::new(&self.0);
        let message = json!({ "role": "assistant", "parts": parts(&said.blocks, &mut room), "finish_reason": finish });
        text(semconv::GEN_AI_OUTPUT_MESSAGES, &Value::Array(vec![message]))
    }
}

/// An answer while it comes, no more of it than is told.
#[derive(Debug, Default)]
pub(super) struct Said {
    blocks: Vec<Block>,
    bytes: usize,
}

impl Said {
    /// The whole of it.
    pub(super) fn whole(&mut self, content: &[Block]) {
        self.blocks = content.to_vec();
    }

    /// A piece of it.
    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::Restarted(_) => *self = Self::default(),
            Event::BlockStarted { block, .. } if self.has_room() && self.blocks.len() < MOST_PARTS => {
                self.bytes = self.bytes.saturating_add(block.text_bytes());
                self.blocks.push(block.as_ref().clone());
            }
            Event::BlockDelta { index, delta, .. } if self.has_room() => {
                let (Delta::Text(piece) | Delta::Reasoning(piece) | Delta::ToolInput(piece)) = delta else { return };
                let block = usize::try_from(*index).ok().and_then(|index| self.blocks.get_mut(index));
                if let Some(text) = block.and_then(grows) {
                    text.push_str(piece);
                    self.bytes = self.bytes.saturating_add(piece.len());
                }
            }
            _ => {}
        }
    }

    const fn has_room(&self) -> bool {
        self.bytes < MOST + MARGIN
    }
}

/// The text of a block that may grow.
fn grows(block: &mut Block) -> Option<&mut String> {
    match &mut block.kind {
        BlockKind::Text(text) => Some(&mut text.text),
        BlockKind::Refusal(refusal) => Some(&mut refusal.text),
        BlockKind::Reasoning(reasoning) => Some(&mut reasoning.text),
        BlockKind::Audio(audio) => Some(&mut audio.transcript),
        BlockKind::ToolCall(call) => match &mut call.input {
            ToolInput::Json(text) | ToolInput::Text(text) => Some(text),
        },
        _ => None,
    }
}

/// The room of one attribute.
struct Room<'a> {
    redaction: &'a Redaction,
    left: usize,
    parts: usize,
    cut: bool,
}

impl<'a> Room<'a> {
    const fn new(redaction: &'a Redaction) -> Self {
        Self { redaction, left: MOST, parts: MOST_PARTS, cut: false }
    }

    const fn is_used_up(&mut self) -> bool {
        let is_used_up = self.left == 0 || self.parts == 0;
        self.cut |= is_used_up;
        is_used_up
    }

    /// `text` redacted, as much of it as there is room for.
    fn take(&mut self, text: &str) -> String {
        let read = upto(text, self.left.saturating_add(MARGIN));
        let mut clean = self.redaction.text(read).into_owned();
        if read.len() < text.len() {
            // What was read last may be the beginning of a secret.
            let kept = upto(&clean, clean.len().saturating_sub(MARGIN)).len();
            clean.truncate(kept);
        }
        let kept = upto(&clean, self.left).len();
        self.cut |= read.len() < text.len() || kept < clean.len();
        clean.truncate(kept);
        self.left -= kept;
        clean
    }

    /// JSON text, redacted value by value where it can be read and there is room for it.
    fn take_json(&mut self, text: &str) -> Value {
        let read = (text.len() <= self.left).then(|| serde_json::from_str(text).ok()).flatten();
        let Some(value) = read else { return Value::String(self.take(text)) };
        let clean = self.redaction.json(value);
        self.left = self.left.saturating_sub(text.len());
        clean
    }
}

/// The beginning of `text`, at most `bytes` long.
fn upto(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

fn said_by(message: &Message, room: &mut Room<'_>) -> Value {
    let role = match message.role {
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    json!({ "role": role, "parts": parts(&message.content, room) })
}

fn parts(blocks: &[Block], room: &mut Room<'_>) -> Vec<Value> {
    let mut parts = Vec::new();
    for block in blocks {
        if room.is_used_up() {
            break;
        }
        room.parts -= 1;
        parts.push(part(block, room));
    }
    parts
}

fn part(block: &Block, room: &mut Room<'_>) -> Value {
    let media = |modality: &str| json!({ "type": "blob", "modality": modality });
    match &block.kind {
        BlockKind::Text(text) => json!({ "type": "text", "content": room.take(&text.text) }),
        BlockKind::Refusal(refusal) => json!({ "type": "text", "content": room.take(&refusal.text) }),
        BlockKind::Reasoning(reasoning) => json!({ "type": "reasoning", "content": room.take(&reasoning.text) }),
        BlockKind::ToolCall(call) => {
            let (id, name) = (room.take(&call.id), room.take(&call.name));
            json!({ "type": "tool_call", "id": id, "name": name, "arguments": room.take_json(call.input.as_str()) })
        }
        BlockKind::ToolResult(result) => {
            let id = room.take(&result.tool_call_id);
            json!({ "type": "tool_call_response", "id": id, "response": Value::Array(parts(&result.content, room)) })
        }
        BlockKind::Image(_) => media("image"),
        BlockKind::Document(_) => media("document"),
        BlockKind::Audio(_) => media("audio"),
        BlockKind::Provider(block) => json!({ "type": room.take(&block.kind) }),
    }
}

fn defined(tool: &ToolKind, room: &mut Room<'_>) -> Value {
    room.parts -= 1;
    match tool {
        ToolKind::Function(tool) => {
            let (name, description) = (room.take(&tool.name), room.take(&tool.description));
            let parameters = tool.parameters.as_ref().map(|schema| room.take_json(schema));
            json!({ "type": "function", "name": name, "description": description, "parameters": parameters })
        }
        ToolKind::Custom(tool) => {
            json!({ "type": "custom", "name": room.take(&tool.name), "description": room.take(&tool.description) })
        }
        ToolKind::Provider(_) => json!({ "type": "provider" }),
    }
}

fn text(name: &'static str, value: &Value) -> KeyValue {
    KeyValue::new(name, value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{FunctionTool, Tool};

    fn value(attributes: &[KeyValue], name: &str) -> Value {
        let found = attributes.iter().find(|attribute| attribute.key.as_str() == name).unwrap();
        serde_json::from_str(&found.value.as_str()).unwrap()
    }

    fn user(text: &str) -> Message {
        Message { role: Role::User, content: vec![Block::text(text)], state: None }
    }

    #[test]
    fn what_is_asked_is_told_in_the_form_of_the_conventions_and_redacted() {
        let tool = FunctionTool {
            name: "mail".to_owned(),
            description: "Writes to ann@example.org".to_owned(),
            parameters: Some(r#"{"type":"object","properties":{"to":{"default":"ann@example.org"}}}"#.to_owned()),
            strict: None,
            provider_options: Default::default(),
        };
        let request = Request {
            system: vec![Block::text("Answer ann@example.org")],
            messages: vec![user("my card is 4111 1111 1111 1111")],
            tools: vec![Tool { kind: ToolKind::Function(tool), cache_breakpoint: None }],
            ..Request::default()
        };
        let asked = Capture::new(Vec::new()).asked(&request);
        assert_eq!(
            value(&asked, semconv::GEN_AI_INPUT_MESSAGES),
            json!([{ "role": "user", "parts": [{ "type": "text", "content": "my card is [card]" }] }])
        );
        assert_eq!(
            value(&asked, semconv::GEN_AI_SYSTEM_INSTRUCTIONS),
            json!([{ "type": "text", "content": "Answer [e-mail]" }])
        );
        let tools = value(&asked, semconv::GEN_AI_TOOL_DEFINITIONS);
        assert_eq!(tools[0]["parameters"]["properties"]["to"]["default"], "[e-mail]");
        assert_eq!(tools[0]["description"], "Writes to [e-mail]");
    }

    #[test]
    fn no_attribute_grows_beyond_its_bound_and_the_latest_messages_stay() {
        let long = "word ".repeat(MOST);
        let mut request = Request { messages: vec![user(&long), user("the last")], ..Request::default() };
        let asked = Capture::new(Vec::new()).asked(&request);
        let messages = asked[0].value.as_str().into_owned();
        assert!(messages.len() < MOST + 1024 && messages.contains("the last"), "{}", messages.len());
        assert!(asked.iter().any(|attribute| attribute.key.as_str() == semconv::CAPTURE_CUT));
        request.messages = (0..10_000).map(|_| user("")).collect();
        assert!(Capture::new(Vec::new()).asked(&request)[0].value.as_str().len() < 64 * 1024);
    }

    #[test]
    fn a_secret_on_the_edge_of_what_is_told_is_not_told_in_halves() {
        for before in (MOST - 30..MOST + 30).chain(MOST + MARGIN - 30..MOST + MARGIN + 30) {
            let text = format!("{}ann.heron@example.org {}", " ".repeat(before), "x ".repeat(MARGIN));
            let request = Request { messages: vec![user(&text)], ..Request::default() };
            let asked = Capture::new(Vec::new()).asked(&request);
            assert!(!asked[0].value.as_str().contains("ann"), "{before}");
        }
    }

    #[test]
    fn a_secret_that_comes_in_pieces_is_found() {
        let mut said = Said::default();
        let block = Box::new(Block::text("write to ann"));
        said.event(&Event::BlockStarted { index: 0, block });
        for piece in [".heron@", "example", ".org now"] {
            said.event(&Event::delta(0, Delta::Text(piece.to_owned())));
        }
        let answered = Capture::new(Vec::new()).answered(&said, "stop");
        let expected = json!([{ "role": "assistant", "parts": [{ "type": "text", "content": "write to [e-mail] now" }], "finish_reason": "stop" }]);
        assert_eq!(value(&[answered], semconv::GEN_AI_OUTPUT_MESSAGES), expected);
    }
}

//! The conversation of a chat body.

use super::UNKNOWN;
use super::parts::{self, Place};
use crate::cli::batch::faults::Faults;
use crate::cli::batch::raw::{Object, Value};
use crate::proto::content_block::Block;
use crate::proto::tool_call::Input;
use crate::proto::{CompleteRequest, ContentBlock, Message, Refusal, Role, ToolCall, ToolResult};

/// Takes `messages`.
pub(super) fn read(body: &mut Object<'_>, request: &mut CompleteRequest, faults: &mut Faults) {
    let Some(messages) = body.need("messages", faults).and_then(|messages| messages.list(faults)) else { return };
    for message in messages {
        if let Some(message) = message.object(faults) {
            one(message, request, faults);
        }
    }
}

fn one(mut message: Object<'_>, request: &mut CompleteRequest, faults: &mut Faults) {
    let Some(role) = message.need("role", faults) else { return };
    match role.text(faults).as_deref() {
        Some("system" | "developer") => system(message, &role, request, faults),
        Some("user") => {
            let content = content(&mut message, Place::User, faults);
            end(message, faults);
            request.messages.push(of(Role::User, content));
        }
        Some("assistant") => {
            let content = assistant(&mut message, faults);
            end(message, faults);
            request.messages.push(of(Role::Assistant, content));
        }
        Some("tool") => {
            let result = result(&mut message, faults);
            end(message, faults);
            // Results that follow one another are one turn.
            match request.messages.last_mut().filter(|last| last.role() == Role::Tool) {
                Some(turn) => turn.content.push(result),
                None => request.messages.push(of(Role::Tool, vec![result])),
            }
        }
        Some(_) => faults.report(&role.path, "must be system, developer, user, assistant or tool"),
        None => {}
    }
}

fn system(mut message: Object<'_>, role: &Value<'_>, request: &mut CompleteRequest, faults: &mut Faults) {
    if !request.messages.is_empty() {
        let rule = "must stand before all messages of users, assistants and tools: the system prompt is one here";
        faults.report(&role.path, rule);
    }
    request.system_blocks.extend(content(&mut message, Place::System, faults));
    end(message, faults);
}

fn content(message: &mut Object<'_>, place: Place, faults: &mut Faults) -> Vec<ContentBlock> {
    let content = message.need("content", faults);
    content.map(|content| parts::blocks(&content, place, faults)).unwrap_or_default()
}

fn assistant(message: &mut Object<'_>, faults: &mut Faults) -> Vec<ContentBlock> {
    let mut blocks = Vec::new();
    if let Some(content) = message.take("content") {
        blocks = parts::blocks(&content, Place::Assistant, faults);
        // An answer of nothing but calls has an empty text as often as none.
        blocks.retain(|block| !matches!(&block.block, Some(Block::Text(text)) if text.text.is_empty()));
    }
    if let Some(text) = message.take("refusal").and_then(|refusal| refusal.text(faults)) {
        blocks.push(parts::block(Block::Refusal(Refusal { text, ..Refusal::default() })));
    }
    let calls = message.take("tool_calls").and_then(|calls| calls.list(faults)).unwrap_or_default();
    for value in calls {
        if let Some(call) = value.object(faults).and_then(|call| call_of(call, faults)) {
            blocks.push(parts::block(Block::ToolCall(call)));
        }
    }
    blocks
}

fn call_of(mut call: Object<'_>, faults: &mut Faults) -> Option<ToolCall> {
    let id = call.need("id", faults).and_then(|id| id.text(faults));
    let kind = call.take("type").map_or_else(|| Some("function".to_owned()), |kind| kind.text(faults));
    let (name, input) = match kind.as_deref()? {
        "function" => {
            let mut function = call.need("function", faults)?.object(faults)?;
            let name = function.need("name", faults).and_then(|name| name.text(faults));
            let arguments = function.need("arguments", faults).and_then(|arguments| arguments.text(faults))?;
            function.end(UNKNOWN, faults);
            // A call without arguments is written in both ways.
            let arguments = if arguments.is_empty() { "{}".to_owned() } else { arguments };
            (name, Input::ArgumentsJson(arguments))
        }
        "custom" => {
            let mut custom = call.need("custom", faults)?.object(faults)?;
            let name = custom.need("name", faults).and_then(|name| name.text(faults));
            let input = custom.need("input", faults).and_then(|input| input.text(faults))?;
            custom.end(UNKNOWN, faults);
            (name, Input::Text(input))
        }
        _ => {
            faults.report(&call.path_of("type"), "must be function or custom");
            return None;
        }
    };
    call.end(UNKNOWN, faults);
    Some(ToolCall { id: id?, name: name?, input: Some(input), ..ToolCall::default() })
}

fn result(message: &mut Object<'_>, faults: &mut Faults) -> ContentBlock {
    let tool_call_id = message.need("tool_call_id", faults).and_then(|id| id.text(faults)).unwrap_or_default();
    let mut content = content(message, Place::Tool, faults);
    content.retain(|block| !matches!(&block.block, Some(Block::Text(text)) if text.text.is_empty()));
    parts::block(Block::ToolResult(ToolResult { tool_call_id, content, ..ToolResult::default() }))
}

fn of(role: Role, content: Vec<ContentBlock>) -> Message {
    Message { role: role.into(), content, ..Message::default() }
}

fn end(message: Object<'_>, faults: &mut Faults) {
    message.end("has no place in the contract's messages", faults);
}

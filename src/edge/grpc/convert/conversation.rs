//! The conversation: each message for itself, and what one message says about another.

use std::collections::{BTreeMap, BTreeSet};

use super::content::{self, Place};
use super::violations::{Path, Violations};
use crate::domain::{Block, Message, Role};
use crate::proto;
use crate::proto::content_block::Block as Kind;

/// The most messages of a request.
const MAX_MESSAGES: usize = 10_000;

/// The messages of a request, with the shorthand `prompt` behind them.
pub(super) fn messages(messages: Vec<proto::Message>, prompt: String, found: &mut Violations) -> Vec<Message> {
    let root = Path::ROOT;
    let path = root.field("messages");
    found.check_len(messages.len(), MAX_MESSAGES, &path);
    if messages.is_empty() && prompt.is_empty() {
        found.report(&path, "must have at least one message unless there is a prompt");
    }
    let mut calls = Calls::default();
    let mut checked = Vec::with_capacity(messages.len().min(MAX_MESSAGES) + 1);
    for (index, mut message) in messages.into_iter().take(MAX_MESSAGES).enumerate() {
        let path = root.item("messages", index);
        let role = role(message.role, &path, found);
        calls.follow(&mut message.content, role, &path, found);
        checked.extend(self::message(message, role, &path, found));
    }
    if !prompt.is_empty() {
        checked.push(Message { role: Role::User, content: vec![Block::text(prompt)], state: None });
    }
    checked
}

fn message(message: proto::Message, role: Option<Role>, path: &Path<'_>, found: &mut Violations) -> Option<Message> {
    let state = content::state(&message.provider_state, path, found);
    // An answer may be empty, and is handed back as it was.
    let may_be_empty = role.is_none_or(|role| role == Role::Assistant);
    let is_there = may_be_empty || !message.content.is_empty();
    found.check(is_there, &path.field("content"), "must have at least one block");
    let content = content::blocks(message.content, role.map(Place::Message), ("content", path), found);
    Some(Message { role: role?, content, state })
}

fn role(number: i32, path: &Path<'_>, found: &mut Violations) -> Option<Role> {
    use proto::Role as Proto;
    let path = path.field("role");
    match found.enum_value(number, &path)? {
        Proto::User => Some(Role::User),
        Proto::Assistant => Some(Role::Assistant),
        Proto::Tool => Some(Role::Tool),
        Proto::Unspecified => {
            found.report(&path, "must be ROLE_USER, ROLE_ASSISTANT or ROLE_TOOL");
            None
        }
    }
}

/// The tool calls of the conversation so far, by their ids.
///
/// Some providers count ids anew in every turn: a call replaces an older one of the same id, but within one message
/// ids are unique.
#[derive(Default)]
struct Calls(BTreeMap<String, Call>);

struct Call {
    name: String,
    answered: bool,
}

impl Calls {
    /// Notes the calls of a message, checks its results against them and names those that have no name.
    fn follow(
        &mut self,
        content: &mut [proto::ContentBlock],
        role: Option<Role>,
        path: &Path<'_>,
        found: &mut Violations,
    ) {
        let mut of_message = BTreeSet::new();
        for (index, block) in content.iter_mut().enumerate() {
            let path = path.item("content", index);
            match &mut block.block {
                Some(Kind::ToolCall(call)) if !call.id.is_empty() => {
                    let unique = of_message.insert(call.id.clone());
                    found.check(unique, &path.field("tool_call").field("id"), "must be unique in its message");
                    self.0.insert(call.id.clone(), Call { name: call.name.clone(), answered: false });
                }
                // Elsewhere a result is out of place, which is said already.
                Some(Kind::ToolResult(result)) if role == Some(Role::Tool) => {
                    let path = path.field("tool_result");
                    self.answer(result, &path.field("tool_call_id"), found);
                }
                _ => {}
            }
        }
    }

    fn answer(&mut self, result: &mut proto::ToolResult, path: &Path<'_>, found: &mut Violations) {
        match self.0.get_mut(&result.tool_call_id) {
            None => found.report(path, "must be the id of a tool call earlier in the conversation"),
            Some(call) if call.answered => found.report(path, "must be of a tool call that has no result yet"),
            Some(call) => {
                call.answered = true;
                if result.name.is_empty() {
                    result.name.clone_from(&call.name);
                }
            }
        }
    }
}

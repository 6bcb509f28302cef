//! What stands around the text of a prompt, by the rule of the vendor's cookbook.
//!
//! Three tokens for each message and one for its role, and three with which the answer begins. The rule is published for
//! messages of plain text; what tools, media and several parts of one message become is not.

use crate::domain::{Block, BlockKind, Envelope, Message, Request, ResponseFormat, Role, Tokens};

const MESSAGE: usize = 3;
const ROLE: usize = 1;
const REPLY: usize = 3;

/// What is around the texts of `request`.
pub(super) fn envelope(request: &Request) -> Envelope {
    let said = request.messages.iter().map(|message| match message.role {
        // Each result is a message.
        Role::Tool => message.content.len(),
        Role::User | Role::Assistant => 1,
    });
    let messages = said.fold(usize::from(!request.system.is_empty()), usize::saturating_add);
    let tokens = messages.saturating_mul(MESSAGE + ROLE).saturating_add(REPLY);
    Envelope { tokens: Tokens::new(u32::try_from(tokens).unwrap_or(u32::MAX)), is_whole: is_whole(request) }
}

fn is_whole(request: &Request) -> bool {
    // A message of the model at the end is continued, and so has no end of its own.
    let ends_with_user = request.messages.last().is_some_and(|last| last.role == Role::User);
    ends_with_user
        && request.tools.is_empty()
        && request.response_format == ResponseFormat::Text
        && request.provider_options.values().all(|options| options.body.is_empty())
        && (request.system.is_empty() || is_one_text(&request.system))
        && request.messages.iter().all(is_plain)
}

fn is_plain(message: &Message) -> bool {
    message.role != Role::Tool && is_one_text(&message.content)
}

fn is_one_text(blocks: &[Block]) -> bool {
    matches!(blocks, [only] if matches!(only.kind, BlockKind::Text(_)) && only.provider_options.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{JsonSchema, ProviderOptions, ToolResult, Vendor};

    fn message(role: Role, texts: &[&str]) -> Message {
        Message { role, content: texts.iter().map(|text| Block::text(*text)).collect(), state: None }
    }

    fn plain() -> Request {
        Request { messages: vec![message(Role::User, &["Hi"])], ..Request::default() }
    }

    fn told(request: &Request) -> (u32, bool) {
        let envelope = envelope(request);
        (envelope.tokens.get(), envelope.is_whole)
    }

    #[test]
    fn each_message_has_four_and_the_answer_three() {
        assert_eq!(told(&plain()), (7, true));
        let mut talk = plain();
        talk.system = vec![Block::text("Be brief.")];
        talk.messages.extend([message(Role::Assistant, &["Hello"]), message(Role::User, &["Why?"])]);
        assert_eq!(told(&talk), (19, true));
    }

    #[test]
    fn what_nothing_is_published_on_makes_it_an_estimate() {
        let changed = |change: fn(&mut Request)| {
            let mut request = plain();
            change(&mut request);
            told(&request)
        };
        assert_eq!(changed(|request| request.messages = vec![message(Role::User, &["a", "b"])]), (7, false));
        assert_eq!(changed(|request| request.system = vec![Block::text("a"), Block::text("b")]), (11, false));
        assert_eq!(changed(|request| request.messages.push(message(Role::Assistant, &["a"]))), (11, false));
        assert_eq!(changed(|request| request.response_format = ResponseFormat::JsonObject), (7, false));
        let schema = |request: &mut Request| {
            let schema = "{}".to_owned();
            let schema = JsonSchema { name: "a".to_owned(), description: String::new(), schema, strict: None };
            request.response_format = ResponseFormat::JsonSchema(schema);
        };
        assert_eq!(changed(schema), (7, false));
        let results = |request: &mut Request| {
            let result = ToolResult { tool_call_id: "a".into(), name: "b".into(), content: vec![], is_error: false };
            let block = || Block::from(BlockKind::ToolResult(result.clone()));
            request.messages.push(Message { role: Role::Tool, content: vec![block(), block()], state: None });
        };
        assert_eq!(changed(results), (15, false));
        let options = |request: &mut Request| {
            let body = [("a".to_owned(), 1.into())].into_iter().collect();
            let options = ProviderOptions { body, ..ProviderOptions::default() };
            request.provider_options.insert(Vendor::new("any"), options);
        };
        assert_eq!(changed(options), (7, false));
    }
}

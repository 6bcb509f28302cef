//! `POST /v1/messages/count_tokens`: the same request without what concerns the answer alone.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Version, encode};
use crate::domain::Tokens;
use crate::protocol::{Counting, Order};

const PATH: &str = "/v1/messages/count_tokens";

/// What the prompt is made of. The provider refuses whatever else a request may hold.
const OF_THE_PROMPT: [&str; 9] = [
    "cache_control",
    "context_management",
    "mcp_servers",
    "messages",
    "model",
    "output_config",
    "system",
    "thinking",
    "tools",
];
/// Read only beside tools.
const CHOICE: &str = "tool_choice";

/// How the provider is asked for the tokens of the prompt; none: it cannot take the request.
pub(super) fn counting(version: Version, order: &Order<'_>) -> Option<Counting> {
    let exchange = encode::exchange(version, order).ok()?;
    let mut body: BTreeMap<&str, &RawValue> = serde_json::from_slice(&exchange.body).ok()?;
    let has_tools = body.contains_key("tools");
    body.retain(|key, _| OF_THE_PROMPT.contains(key) || (has_tools && *key == CHOICE));
    let body = serde_json::to_vec(&body).ok()?.into();
    Some(Counting { path: PATH, headers: exchange.headers, body, read })
}

#[derive(Deserialize)]
struct Counted {
    input_tokens: i64,
}

fn read(body: &[u8]) -> Option<Tokens> {
    let counted: Counted = serde_json::from_slice(body).ok()?;
    (counted.input_tokens > 0).then(|| Tokens::saturating(counted.input_tokens))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::{
        Block, FunctionTool, Identity, Message, ModelId, ProviderId, Request, Role, Sampling, Tool, ToolChoice,
        ToolChoiceMode, ToolKind, Vendor,
    };
    use crate::protocol::Delivery;

    fn asked(request: &Request) -> serde_json::Value {
        let model = ModelId::new("claude-sonnet-5-5");
        let identity = Identity::new(ProviderId::new("p"), Vendor::new("anthropic"), model);
        let order = Order {
            request,
            identity: &identity,
            facts: None,
            delivery: Delivery::Stream,
            max_tokens: Tokens::new(100),
            prompt_cache: Default::default(),
        };
        let counting = counting(Version::V2023, &order).unwrap();
        assert_eq!(counting.path, PATH);
        assert!(counting.headers.contains_key("anthropic-version"));
        serde_json::from_slice(&counting.body).unwrap()
    }

    fn request() -> Request {
        Request {
            system: vec![Block::text("Be brief.")],
            messages: vec![Message { role: Role::User, content: vec![Block::text("Hi")], state: None }],
            sampling: Sampling { temperature: Some(0.5), ..Sampling::default() },
            stop_sequences: vec!["END".into()],
            user: Some("u".into()),
            service_tier: Some("auto".into()),
            ..Request::default()
        }
    }

    #[test]
    fn the_prompt_is_asked_for_and_nothing_of_the_answer() {
        let prompt = json!({
            "model": "claude-sonnet-5-5",
            "system": [{ "type": "text", "text": "Be brief." }],
            "messages": [{ "role": "user", "content": [{ "type": "text", "text": "Hi" }] }],
        });
        assert_eq!(asked(&request()), prompt);
        let function = FunctionTool {
            name: "f".into(),
            description: String::new(),
            parameters: None,
            strict: None,
            provider_options: Default::default(),
        };
        let tools = vec![Tool { kind: ToolKind::Function(function), cache_breakpoint: None }];
        let with_tools = asked(&Request {
            tools,
            tool_choice: Some(ToolChoice { mode: ToolChoiceMode::Required, names: Vec::new() }),
            ..request()
        });
        assert_eq!(with_tools["tool_choice"], json!({ "type": "any" }));
        assert_eq!(with_tools["tools"][0]["name"], "f");
    }

    #[test]
    fn an_answer_without_a_count_is_none() {
        assert_eq!(read(br#"{"input_tokens":42,"more":1}"#), Some(Tokens::new(42)));
        for none in
            [&b"{}"[..], br#"{"input_tokens":-1}"#, br#"{"input_tokens":0}"#, b"<html>", br#"{"input_tokens":"4"}"#]
        {
            assert_eq!(read(none), None);
        }
    }
}

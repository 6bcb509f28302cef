//! The simulator's bytes as the decoders of both protocols understand them: what goes out is encoded by the server's
//! own encoders, and what comes back means what the directive asked for.

use std::sync::Arc;

use completiond::domain::{
    Answer, Block, BlockKind, Effort, Error, Finish, FinishReason, Fold, FunctionTool, Identity, JsonSchema, Message,
    ModelId, ProviderId, Reason, Reasoning, ReasoningAmount, Request, ResponseFormat, Role, Tokens, Tool, ToolInput,
    ToolKind, ToolResult, Vendor,
};
use completiond::protocol::openai::{Dialect, OpenAi};
use completiond::protocol::{Anthropic, Delivery, Frame, HttpRefusal, Order, Protocol, Signal, Verdict};
use completiond::transport::{Framed, Framer, Transport};
use http_body_util::BodyExt;
use serde_json::Value;

use crate::ask::{instant, outgoing};

/// A protocol, the vendor that speaks it, and what stands between its base address and its paths.
struct Peer {
    protocol: Arc<dyn Protocol>,
    vendor: &'static str,
    base_path: &'static str,
}

fn peers() -> [Peer; 2] {
    [
        Peer { protocol: Arc::new(Anthropic::default()), vendor: "anthropic", base_path: "" },
        Peer { protocol: Arc::new(OpenAi::new(Dialect::OPENAI)), vendor: "openai", base_path: "/v1" },
    ]
}

const DELIVERIES: [Delivery; 2] = [Delivery::Stream, Delivery::Whole];

fn request(prompt: &str) -> Request {
    let message = Message { role: Role::User, content: vec![Block::text(prompt)], state: None };
    Request { messages: vec![message], ..Request::default() }
}

fn weather() -> Tool {
    let schema = r#"{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}"#;
    let function = FunctionTool {
        name: "get_weather".to_owned(),
        description: "The weather.".to_owned(),
        parameters: Some(schema.to_owned()),
        strict: None,
        provider_options: std::collections::BTreeMap::new(),
    };
    Tool { kind: ToolKind::Function(function), cache_breakpoint: None }
}

/// Sends `request` as a call does, and reads the answer as a call does.
async fn complete(peer: &Peer, request: &Request, delivery: Delivery) -> Result<Answer<Finish>, Error> {
    let identity = Identity::new(ProviderId::new("sim"), Vendor::new(peer.vendor), ModelId::new("simulator"));
    let order = Order {
        request,
        identity: &identity,
        facts: None,
        delivery,
        max_tokens: Tokens::new(9000),
        prompt_cache: request.prompt_cache,
    };
    let exchange = peer.protocol.encode(&order).unwrap_or_else(|unfit| panic!("{}: {unfit:?}", peer.vendor));
    let sent = String::from_utf8(exchange.body.to_vec()).unwrap();
    let answer = instant().send(outgoing(&format!("{}{}", peer.base_path, exchange.path), sent)).await.unwrap();
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    if !head.status.is_success() {
        let now = std::time::SystemTime::UNIX_EPOCH;
        let refusal = HttpRefusal { status: head.status, headers: &head.headers, body: &body, now };
        return match peer.protocol.refuse(&identity, &refusal) {
            Verdict::Failure(error) => Err(error),
            Verdict::Answer(end) => Ok(Answer { message: request_of_nothing(), end: *end }),
        };
    }
    let (mut decoder, mut events) = (exchange.decoder, Vec::new());
    match delivery {
        Delivery::Whole => decoder.whole(&body, &mut events)?,
        Delivery::Stream => {
            let (mut framer, mut over) = (Framer::default(), false);
            framer.push(&body);
            while let Some(framed) = framer.next_frame().unwrap().filter(|_| !over) {
                if let Framed::Event { event, data } = framed {
                    over = decoder.frame(Frame { event, data }, &mut events)? == Signal::End;
                }
            }
            if !over {
                decoder.end(&mut events)?;
            }
        }
    }
    let mut fold = Fold::default();
    for event in events {
        fold.push(event).unwrap();
    }
    Ok(fold.finish().unwrap())
}

fn request_of_nothing() -> Message {
    Message { role: Role::Assistant, content: Vec::new(), state: None }
}

#[tokio::test]
async fn ends_are_understood() {
    for peer in peers() {
        for delivery in DELIVERIES {
            for (prompt, expected) in [
                ("hello", FinishReason::Stop),
                ("sim: tokens=20000", FinishReason::MaxTokens),
                ("sim: finish=length", FinishReason::MaxTokens),
                ("sim: refuse", FinishReason::Refusal),
                ("sim: finish=mystery", FinishReason::Other),
                ("sim: tool", FinishReason::ToolCalls),
                ("sim: no_done", FinishReason::Stop),
            ] {
                // Only one of the formats has a mark behind its end.
                if prompt == "sim: no_done" && peer.vendor != "openai" {
                    continue;
                }
                let request = Request { tools: vec![weather()], ..request(prompt) };
                let answer = complete(&peer, &request, delivery).await;
                let answer = answer.unwrap_or_else(|error| panic!("{} {prompt}: {error:?}", peer.vendor));
                assert_eq!(answer.end.reason, expected, "{} {delivery:?} {prompt}", peer.vendor);
            }
            let filtered = complete(&peer, &request("sim: filter=prompt"), delivery).await.unwrap();
            let expected = [FinishReason::ContentFilter, FinishReason::Refusal];
            assert!(expected.contains(&filtered.end.reason) && filtered.message.content.is_empty());
        }
    }
}

#[tokio::test]
async fn failures_are_understood() {
    let cases = [
        ("error=rejected", Reason::ProviderRejected),
        ("error=context", Reason::ContextLengthExceeded),
        ("error=too_large", Reason::RequestTooLarge),
        ("error=credentials", Reason::ProviderCredentialsRefused),
        ("error=permission", Reason::ProviderCredentialsRefused),
        ("error=quota", Reason::ProviderQuotaExhausted),
        ("error=model", Reason::ProviderModelNotFound),
        ("error=rate_limit", Reason::ProviderRateLimited),
        ("error=overloaded", Reason::ProviderUnavailable),
        ("error=unavailable", Reason::ProviderUnavailable),
        ("error=timeout", Reason::ProviderUnavailable),
        ("error=conflict", Reason::ProviderUnavailable),
        ("error=424", Reason::ProviderUnavailable),
        ("error=529", Reason::ProviderUnavailable),
        ("status=503", Reason::ProviderUnavailable),
        ("html", Reason::ProviderUnavailable),
        ("error_after=3 type=rate_limit", Reason::ProviderRateLimited),
        ("error_after=3", Reason::ProviderUnavailable),
        ("malformed_after=2", Reason::ProviderProtocolError),
    ];
    for peer in peers() {
        for delivery in DELIVERIES {
            for (directive, expected) in cases {
                let error = complete(&peer, &request(&format!("sim: {directive}")), delivery).await.unwrap_err();
                assert_eq!(error.reason, expected, "{} {delivery:?} {directive}: {error:?}", peer.vendor);
            }
        }
        for directive in ["cut_after=4", "no_end"] {
            let error = complete(&peer, &request(&format!("sim: {directive}")), Delivery::Stream).await.unwrap_err();
            assert_eq!(error.reason, Reason::StreamInterrupted, "{} {directive}", peer.vendor);
        }
        let error = complete(&peer, &request("sim: error=429 retry_after=7"), Delivery::Stream).await.unwrap_err();
        assert_eq!(error.details.retry_after, Some(std::time::Duration::from_secs(7)));
        let error = complete(&peer, &request("sim: error=429 retry_after_ms=70"), Delivery::Stream).await.unwrap_err();
        assert_eq!(error.details.retry_after, Some(std::time::Duration::from_millis(70)));
        // Here the headers have the system's time, and the answer is read in 1970: all waits are as long as can be.
        let longest = Some(std::time::Duration::from_secs(24 * 60 * 60));
        let error = complete(&peer, &request("sim: error=429 retry_after=date:5"), Delivery::Stream).await.unwrap_err();
        assert_eq!(error.details.retry_after, longest);
        let error = complete(&peer, &request("sim: error=429 left=0"), Delivery::Stream).await.unwrap_err();
        assert!(error.details.retry_after.is_some(), "{}: {error:?}", peer.vendor);
        let error = complete(&peer, &request("sim: error=429 left=1"), Delivery::Stream).await.unwrap_err();
        assert_eq!(error.details.retry_after, None);
    }
}

#[tokio::test]
async fn a_round_of_tools_with_reasoning_goes_through_both_protocols() {
    for peer in peers() {
        for delivery in DELIVERIES {
            let amount = Some(ReasoningAmount::Effort(Effort::Low));
            let reasoning = Some(Reasoning { amount, display: None });
            let mut request = Request { tools: vec![weather()], reasoning, ..request("sim: tools=2 cached=1") };
            let first = complete(&peer, &request, delivery).await.unwrap();
            assert!(first.message.content.iter().any(|block| matches!(block.kind, BlockKind::Reasoning(_))));
            let mut results = Vec::new();
            for block in &first.message.content {
                if let BlockKind::ToolCall(call) = &block.kind {
                    assert_eq!(call.input, ToolInput::Json(r#"{"city":"simulated"}"#.to_owned()));
                    let (tool_call_id, name) = (call.id.clone(), call.name.clone());
                    let content = vec![Block::text("sunny")];
                    results.push(Block::from(BlockKind::ToolResult(ToolResult {
                        tool_call_id,
                        name,
                        content,
                        is_error: false,
                    })));
                }
            }
            assert_eq!((results.len(), first.end.usage.cache_read()), (2, Tokens::new(1)));
            assert!(first.end.usage.reasoning() > Tokens::ZERO && first.end.usage.input() > Tokens::ZERO);
            request.messages.push(first.message);
            request.messages.push(Message { role: Role::Tool, content: results, state: None });
            let last = complete(&peer, &request, delivery).await.unwrap();
            assert!(last.text().contains("2 tool results"), "{}", last.text());
        }
    }
}

#[tokio::test]
async fn an_answer_by_a_schema_goes_through_both_protocols() {
    let schema =
        r#"{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"],"additionalProperties":false}"#;
    for peer in peers() {
        let format =
            JsonSchema { name: "n".into(), description: String::new(), schema: schema.into(), strict: Some(true) };
        let request = Request { response_format: ResponseFormat::JsonSchema(format), ..request("hello") };
        for delivery in DELIVERIES {
            let answer = complete(&peer, &request, delivery).await.unwrap();
            assert_eq!(serde_json::from_str::<Value>(&answer.text()).unwrap()["n"], 1);
        }
    }
}

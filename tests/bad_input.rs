//! Bad input end to end: whatever a caller sends, it is told what is wrong and where, and nothing reaches an upstream.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects")]

mod support;

use bytes::Bytes;
use completiond::proto::complete_request::Reasoning;
use completiond::proto::complete_request::reasoning::Amount;
use completiond::proto::content_block::Block;
use completiond::proto::media::Source;
use completiond::proto::response_format::{Format, JsonSchemaFormat};
use completiond::proto::tool::Tool as ToolOf;
use completiond::proto::tool_call::Input;
use completiond::proto::{
    CacheBreakpoint, CompleteRequest, ContentBlock, FunctionTool, Image, Media, Message, ProviderBlock,
    ProviderOptions, ResponseFormat, Role, Text, Tool, ToolCall, ToolChoice, ToolResult,
};
use completiond::simulator::{Simulator, Upstream};
use prost::Message as _;
use support::{Seen, Server, ask, provider, raw, refused};
use tonic::Code;

/// A server with one provider, called `main`, and the alias `smart`; what reaches its upstream shows there.
async fn scene(settings: &str) -> (Upstream, Server) {
    let upstream = Upstream::start(Simulator::default()).await.unwrap();
    let provider = provider("main", "anthropic", &upstream.url());
    let models = "models:\n  - { id: smart, targets: [{ provider: main, model: any }] }\n";
    let server = Server::start(&format!("{settings}\nproviders:\n{provider}{models}")).await;
    (upstream, server)
}

fn block(block: Block) -> ContentBlock {
    ContentBlock { block: Some(block), ..ContentBlock::default() }
}

fn text(text: &str) -> ContentBlock {
    block(Block::Text(Text { text: text.into(), ..Text::default() }))
}

fn say(asked: &mut CompleteRequest, role: Role, block: ContentBlock) {
    asked.messages.push(Message { role: role.into(), content: vec![block], ..Message::default() });
}

fn tool(name: &str, parameters: &str) -> Tool {
    let function = FunctionTool { name: name.into(), parameters_json: parameters.into(), ..FunctionTool::default() };
    Tool { tool: Some(ToolOf::Function(function)), ..Tool::default() }
}

fn options(body_json: &str, headers: &[(&str, &str)]) -> ProviderOptions {
    let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    ProviderOptions { body_json: body_json.into(), headers }
}

fn image(source: Source, mime_type: &str) -> ContentBlock {
    let media = Media { source: Some(source), mime_type: mime_type.into() };
    block(Block::Image(Image { media: Some(media), ..Image::default() }))
}

fn call(id: &str, arguments: &str) -> ContentBlock {
    let input = Some(Input::ArgumentsJson(arguments.into()));
    block(Block::ToolCall(ToolCall { id: id.into(), name: "f".into(), input, ..ToolCall::default() }))
}

fn result(id: &str) -> ContentBlock {
    block(Block::ToolResult(ToolResult { tool_call_id: id.into(), ..ToolResult::default() }))
}

fn schema(schema: &str) -> Option<ResponseFormat> {
    let schema = JsonSchemaFormat { schema_json: schema.into(), ..JsonSchemaFormat::default() };
    Some(ResponseFormat { format: Some(Format::JsonSchema(schema)) })
}

/// How a request is broken, and the field that is told.
type Case = (fn(&mut CompleteRequest), &'static str);

const CASES: &[Case] = &[
    (|a| a.model = "a model".into(), "model"),
    (|a| a.prompt.clear(), "messages"),
    (|a| a.system_blocks = vec![text("")], "system_blocks[0].text.text"),
    (|a| a.system_blocks = vec![image(Source::Data("x".into()), "image/png")], "system_blocks[0].image"),
    (|a| a.max_tokens = Some(0), "max_tokens"),
    (|a| a.max_tokens = Some(-1), "max_tokens"),
    (|a| a.temperature = Some(2.5), "temperature"),
    (|a| a.temperature = Some(f64::NAN), "temperature"),
    (|a| a.top_p = Some(0.0), "top_p"),
    (|a| a.top_k = Some(0), "top_k"),
    (|a| a.frequency_penalty = Some(3.0), "frequency_penalty"),
    (|a| a.presence_penalty = Some(-3.0), "presence_penalty"),
    (|a| a.top_logprobs = Some(21), "top_logprobs"),
    (|a| a.stop_sequences = vec!["a".into(); 17], "stop_sequences"),
    (|a| a.stop_sequences = vec![String::new()], "stop_sequences[0]"),
    (|a| a.unsupported_parameters = 7, "unsupported_parameters"),
    (|a| a.user = "u".repeat(513), "user"),
    (|a| a.reasoning = Some(Reasoning { amount: Some(Amount::Effort(99)), display: None }), "reasoning.effort"),
    (
        |a| a.reasoning = Some(Reasoning { amount: Some(Amount::BudgetTokens(1)), display: None }),
        "reasoning.budget_tokens",
    ),
    (|a| a.response_format = schema("[]"), "response_format.json_schema.schema_json"),
    (|a| a.tools = vec![Tool::default()], "tools[0]"),
    (|a| a.tools = vec![tool("a b", "")], "tools[0].function.name"),
    (|a| a.tools = vec![tool("f", "{]")], "tools[0].function.parameters_json"),
    (|a| a.tools = vec![tool("f", ""), tool("f", "")], "tools[1].function.name"),
    (|a| a.tool_choice = Some(ToolChoice { mode: 3, names: vec![] }), "tool_choice"),
    (
        |a| (a.tools, a.tool_choice) = (vec![tool("f", "")], Some(ToolChoice { mode: 1, names: vec!["g".into()] })),
        "tool_choice.names[0]",
    ),
    (|a| say(a, Role::Unspecified, text("a")), "messages[0].role"),
    (|a| a.messages.push(Message { role: 9, content: vec![text("a")], ..Message::default() }), "messages[0].role"),
    (|a| a.messages.push(Message { role: 1, ..Message::default() }), "messages[0].content"),
    (|a| say(a, Role::User, ContentBlock::default()), "messages[0].content[0]"),
    (|a| say(a, Role::User, text("")), "messages[0].content[0].text.text"),
    (
        |a| say(a, Role::User, ContentBlock { provider_state: b"x".to_vec(), ..text("a") }),
        "messages[0].content[0].provider_state",
    ),
    (
        |a| {
            let ttl = Some(prost_types::Duration { seconds: -1, nanos: 0 });
            let cache_breakpoint = Some(CacheBreakpoint { ttl });
            say(a, Role::User, ContentBlock { cache_breakpoint, ..text("a") });
        },
        "messages[0].content[0].cache_breakpoint.ttl",
    ),
    (|a| say(a, Role::User, call("1", "{}")), "messages[0].content[0].tool_call"),
    (|a| say(a, Role::Assistant, call("", "{}")), "messages[0].content[0].tool_call.id"),
    (|a| say(a, Role::Assistant, call("1", "nothing")), "messages[0].content[0].tool_call.arguments_json"),
    (|a| say(a, Role::Tool, result("1")), "messages[0].content[0].tool_result.tool_call_id"),
    (|a| say(a, Role::Tool, text("a")), "messages[0].content[0].text"),
    (|a| say(a, Role::User, image(Source::Data("x".into()), "")), "messages[0].content[0].image.media.mime_type"),
    (|a| say(a, Role::User, image(Source::Uri("a.png".into()), "")), "messages[0].content[0].image.media.uri"),
    (
        |a| {
            let part = ProviderBlock { vendor: "acme".into(), r#type: "x".into(), json: "1".into() };
            say(a, Role::User, block(Block::ProviderBlock(part)));
        },
        "messages[0].content[0].provider_block.json",
    ),
    (
        |a| drop(a.provider_options.insert("anthropic".into(), options("{", &[]))),
        "provider_options[\"anthropic\"].body_json",
    ),
    (
        |a| drop(a.provider_options.insert("anthropic".into(), options(r#"{"model":"x"}"#, &[]))),
        "provider_options[\"anthropic\"].body_json",
    ),
    (
        |a| drop(a.provider_options.insert("anthropic".into(), options("", &[("x-api-key", "k")]))),
        "provider_options[\"anthropic\"].headers[\"x-api-key\"]",
    ),
];

fn is_invalid(seen: &Seen, context: &str) {
    assert_eq!(seen.kind(), (Code::InvalidArgument, "INVALID_REQUEST"), "{context}: {seen:#?}");
    assert_eq!((seen.pushback.as_deref(), seen.retry_delay), (Some("-1"), None), "{context}");
    assert_eq!((seen.domain.as_str(), seen.request_id.is_empty()), ("completiond", false), "{context}");
}

#[tokio::test]
async fn each_broken_rule_is_told_with_its_field() {
    let (upstream, server) = scene("").await;
    for (break_it, field) in CASES {
        let mut asked = ask("smart", "hello");
        break_it(&mut asked);
        let whole = server.complete(asked.clone()).await.unwrap_err();
        let stream = refused(server.stream(asked).await);
        for seen in [whole, stream] {
            is_invalid(&seen, field);
            assert_eq!(seen.fields(), [*field], "{seen:#?}");
            assert!(!seen.violations[0].1.is_empty(), "{seen:#?}");
            assert!(seen.failure().attempts.is_empty(), "{seen:#?}");
        }
    }
    assert!(upstream.received().is_empty(), "a bad request went upstream");
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_told_with_the_nearest_ones() {
    let (_upstream, server) = scene("").await;
    let seen = server.complete(ask("smrt", "hello")).await.unwrap_err();
    assert_eq!(seen.kind(), (Code::NotFound, "MODEL_NOT_FOUND"));
    assert_eq!(seen.metadata["nearest"].split(", ").next(), Some("smart"), "{seen:#?}");
    assert_eq!(seen.pushback.as_deref(), Some("-1"));
    let seen = refused(server.stream(ask("elsewhere/any", "hello")).await);
    assert_eq!(seen.kind(), (Code::NotFound, "MODEL_NOT_FOUND"));
    let seen = server.complete(ask("", "hello")).await.unwrap_err();
    is_invalid(&seen, "no model");
    assert_eq!(seen.fields(), ["model"]);
}

#[tokio::test]
async fn bytes_that_are_no_message_are_told_so() {
    let (_upstream, server) = scene("").await;
    let garbage: [&[u8]; 5] =
        [b"\xff\xff\xff\xff", b"\x0a\x7f", b"{\"prompt\":\"hi\"}", b"\x1a\x02\xc3\x28", &[0x33; 999]];
    for path in [raw::COMPLETE, raw::STREAM_COMPLETE] {
        for bytes in garbage {
            let seen = raw::call(server.address(), path, &[], raw::framed(bytes, 0)).await.refused();
            is_invalid(&seen, &format!("{path} {bytes:?}"));
            assert_eq!(seen.fields(), ["message"]);
        }
        // A length that the body does not keep, and no message at all.
        for body in [Bytes::from_static(b"\0\0\0\0\x09abc"), Bytes::new(), Bytes::from_static(b"\0\0")] {
            let seen = raw::call(server.address(), path, &[], body.clone()).await.refused();
            is_invalid(&seen, &format!("{path} {body:?}"));
        }
    }
}

#[tokio::test]
async fn a_message_above_the_limit_is_too_large_however_it_comes() {
    let (upstream, server) = scene("limits: { max_request_bytes: 64KiB }").await;
    let large = ask("smart", &"a".repeat(65 * 1024));
    for seen in [server.complete(large.clone()).await.unwrap_err(), refused(server.stream(large.clone()).await)] {
        assert_eq!(seen.kind(), (Code::InvalidArgument, "REQUEST_TOO_LARGE"), "{seen:#?}");
        assert_eq!(seen.pushback.as_deref(), Some("-1"));
    }
    // A bomb: 16 KiB that unpack to far more than is allowed.
    for encoding in [tonic::codec::CompressionEncoding::Gzip, tonic::codec::CompressionEncoding::Zstd] {
        let bomb = ask("smart", &"a".repeat(16 * 1024 * 1024));
        let status = server.client().send_compressed(encoding).complete(bomb).await.unwrap_err();
        assert_eq!(support::seen(&status).kind(), (Code::InvalidArgument, "REQUEST_TOO_LARGE"), "{encoding:?}");
    }
    assert!(upstream.received().is_empty());
    let fits = ask("smart", &"a".repeat(60 * 1024));
    assert!(server.client().send_compressed(tonic::codec::CompressionEncoding::Gzip).complete(fits).await.is_ok());
}

#[tokio::test]
async fn a_message_of_too_many_tiny_parts_is_refused_before_it_is_decoded() {
    let (_upstream, server) = scene("").await;
    // Two bytes each on the wire, and more than a hundred times that in memory.
    let blocks = vec![ContentBlock::default(); 1_000_000];
    let in_system = CompleteRequest { system_blocks: blocks.clone(), ..ask("smart", "hello") };
    let mut in_message = ask("smart", "hello");
    in_message.messages = vec![Message { role: 1, content: blocks, ..Message::default() }];
    for asked in [in_system, in_message] {
        assert!(asked.encoded_len() < 3_000_000);
        for path in [raw::COMPLETE, raw::STREAM_COMPLETE] {
            let seen = raw::call(server.address(), path, &[], raw::encoded(&asked)).await.refused();
            assert_eq!(seen.kind(), (Code::InvalidArgument, "REQUEST_TOO_LARGE"), "{seen:#?}");
        }
    }
}

#[tokio::test]
async fn a_method_that_is_unknown_is_told_with_details() {
    let (_upstream, server) = scene("").await;
    for path in ["/completiond.v1.CompletionService/Nothing", "/other.v1.Service/Call", "/", "/completiond.v1"] {
        let seen = raw::call(server.address(), path, &[], raw::encoded(&ask("smart", "hi"))).await.refused();
        assert_eq!(seen.kind(), (Code::Unimplemented, "METHOD_UNKNOWN"), "{path}");
        assert_eq!((seen.pushback.as_deref(), seen.request_id.is_empty()), (Some("-1"), false), "{path}");
    }
}

#[tokio::test]
async fn headers_that_mean_nothing_are_told() {
    let (_upstream, server) = scene("").await;
    for timeout in ["soon", "10", "123456789S", "-1S", ""] {
        let body = raw::encoded(&ask("smart", "hi"));
        let seen = raw::call(server.address(), raw::COMPLETE, &[("grpc-timeout", timeout)], body).await.refused();
        is_invalid(&seen, timeout);
        assert_eq!(seen.fields(), ["grpc-timeout"], "{timeout}");
    }
    let body = raw::framed(&ask("smart", "hi").encode_to_vec(), 1);
    let answered = raw::call(server.address(), raw::COMPLETE, &[("grpc-encoding", "br")], body).await;
    let seen = answered.refused();
    assert_eq!(seen.kind(), (Code::Unimplemented, "INVALID_REQUEST"));
    assert_eq!(seen.fields(), ["grpc-encoding"]);
    let spoken = answered.headers["grpc-accept-encoding"].to_str().unwrap();
    assert!(spoken.contains("gzip") && spoken.contains("zstd"), "{spoken}");
}

//! A request that uses everything arrives with everything.

use std::time::Duration;

use bytes::Bytes;

use super::{answered, call, message, result, rules, state, text, whole};
use crate::domain::*;
use crate::edge::grpc::convert::{RequestRules, block::block as outgoing, request};
use crate::proto;
use crate::proto::tool_call::Input;

#[test]
fn every_field_beside_the_content_arrives() {
    let request = request(whole(), &rules()).unwrap();
    assert_eq!(request.model, Some(ModelName::new("claude/some-model")));
    assert_eq!(request.system, [Block::text("Be brief."), Block::text("Be kind.")]);
    assert_eq!(request.max_tokens, Some(Tokens::new(4096)));
    let sampling = Sampling {
        temperature: Some(0.5),
        top_p: Some(0.9),
        top_k: Some(40),
        frequency_penalty: Some(-1.5),
        presence_penalty: Some(1.5),
        seed: Some(i64::MIN),
        top_logprobs: Some(20),
    };
    assert_eq!(request.sampling, sampling);
    assert_eq!(request.stop_sequences, ["END"]);
    assert_eq!(request.parallel_tool_calls, Some(false));
    let schema = JsonSchema {
        name: "answer".into(),
        description: "What it is.".into(),
        schema: r#"{"type":"object"}"#.into(),
        strict: Some(true),
    };
    assert_eq!(request.response_format, ResponseFormat::JsonSchema(schema));
    let amount = Some(ReasoningAmount::Budget(Tokens::new(1024)));
    assert_eq!(request.reasoning, Some(Reasoning { amount, display: Some(true) }));
    assert_eq!(request.service_tier.as_deref(), Some("flex"));
    assert_eq!(request.user.as_deref(), Some("u-1"));
    assert_eq!(request.labels["team"], "search");
    assert_eq!(request.max_cost, Some(PicoUsd::new(1_000_000_000)));
    assert_eq!(request.conversation_id.as_deref(), Some("c-1"));
    assert_eq!(request.fallback_models, [ModelName::new("fast"), ModelName::new("claude/other")]);
    assert!(request.restart_on_interruption);
    let hour = Some(Duration::from_secs(3600));
    assert_eq!(request.prompt_cache, PromptCache { mode: PromptCacheMode::Automatic, ttl: hour });
    assert_eq!(request.unsupported, UnsupportedParameters::Ignore);
    let options = &request.provider_options[&Vendor::new("acme")];
    assert_eq!(options.body["verbosity"], "low");
    assert_eq!(options.headers["x-beta"], "on");
}

#[test]
fn every_tool_arrives() {
    let request = request(whole(), &rules()).unwrap();
    let acme = || Vendor::new("acme");
    let function = FunctionTool {
        name: "weather".into(),
        description: "The weather.".into(),
        parameters: Some(r#"{"type":"object"}"#.into()),
        strict: Some(true),
        provider_options: VendorJson::from([(acme(), "{}".into())]),
    };
    let grammar = Some(Grammar { syntax: "lark".into(), definition: "start: /a/".into() });
    let custom = CustomTool { name: "shell".into(), description: "A shell.".into(), grammar };
    let provider = ProviderTool { vendor: acme(), json: r#"{"type":"search_2026","name":"search"}"#.into() };
    let expected = [
        Tool { kind: ToolKind::Function(function), cache_breakpoint: None },
        Tool { kind: ToolKind::Custom(custom), cache_breakpoint: None },
        Tool { kind: ToolKind::Provider(provider), cache_breakpoint: Some(CacheBreakpoint { ttl: None }) },
    ];
    assert_eq!(request.tools, expected);
    let names = vec!["weather".into(), "search".into()];
    assert_eq!(request.tool_choice, Some(ToolChoice { mode: ToolChoiceMode::Required, names }));
}

#[test]
fn every_block_arrives_and_would_leave_as_it_came() {
    let asked = whole();
    let mut sent: Vec<_> = asked.messages.iter().map(|message| message.content.clone()).collect();
    let request = request(asked, &rules()).unwrap();
    let roles: Vec<_> = request.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::Tool, Role::User]);
    assert_eq!(request.messages[1].state, Some(state()));
    assert_eq!(request.messages[3].content, [Block::text("And now?")]);
    // Only the name of a tool is filled in on the way.
    for block in &mut sent[2] {
        if let Some(proto::content_block::Block::ToolResult(result)) = &mut block.block {
            result.name = "weather".into();
        }
    }
    for (index, sent) in sent.into_iter().enumerate() {
        let back: Vec<_> = request.messages[index].content.iter().cloned().map(outgoing).collect();
        assert_eq!(back, sent, "message {index}");
    }
}

#[test]
fn what_stands_around_a_block_arrives() {
    let request = request(whole(), &rules()).unwrap();
    let first = &request.messages[0].content[0];
    assert_eq!(first.cache_breakpoint, Some(CacheBreakpoint { ttl: Some(Duration::new(300, 5)) }));
    assert_eq!(first.provider_options[&Vendor::new("acme")], r#"{"a":1}"#);
    assert_eq!(request.messages[1].content[0].state, Some(state()));
    let BlockKind::Image(image) = &request.messages[0].content[1].kind else { panic!("not an image") };
    assert_eq!(image.media.source, MediaSource::Inline(Bytes::from_static(&[1, 2, 3])));
}

#[test]
fn large_bytes_and_texts_are_moved() {
    let data = Bytes::from(vec![7; 1 << 20]);
    let (at, long) = (data.as_ptr(), "x".repeat(1 << 20));
    let text_at = long.as_ptr();
    let image =
        proto::Image { media: super::media(proto::media::Source::Data(data), "image/png"), detail: String::new() };
    let content = vec![super::block(proto::content_block::Block::Image(image))];
    let asked = proto::CompleteRequest {
        messages: vec![message(proto::Role::User, content)],
        prompt: long,
        ..Default::default()
    };
    let request = request(asked, &RequestRules::default()).unwrap();
    let BlockKind::Image(image) = &request.messages[0].content[0].kind else { panic!("not an image") };
    let MediaSource::Inline(bytes) = &image.media.source else { panic!("not inline") };
    assert_eq!(bytes.as_ptr(), at);
    let BlockKind::Text(text) = &request.messages[1].content[0].kind else { panic!("not text") };
    assert_eq!(text.text.as_ptr(), text_at);
}

#[test]
fn a_prompt_is_a_whole_request() {
    let asked = proto::CompleteRequest { prompt: "Why is the sky blue?".into(), ..Default::default() };
    let expected = Request {
        messages: vec![Message { role: Role::User, content: vec![Block::text("Why is the sky blue?")], state: None }],
        ..Request::default()
    };
    assert_eq!(request(asked, &RequestRules::default()), Ok(Box::new(expected)));
}

#[test]
fn requests_that_look_odd_and_are_in_order() {
    use proto::Role::{Assistant, Tool, User};
    let json = || Input::ArgumentsJson("{}".into());
    let stateful = proto::ContentBlock { provider_state: state().to_bytes(), ..text("") };
    let cases = [
        ("a prefill", vec![message(User, vec![text("a")]), message(Assistant, vec![text("b")])]),
        ("an assistant's turn first", vec![message(Assistant, vec![text("a")])]),
        ("an empty answer handed back", vec![message(Assistant, vec![]), message(User, vec![text("a")])]),
        ("an empty text with state", vec![message(Assistant, vec![stateful])]),
        (
            "ids that count anew in every turn",
            vec![
                message(Assistant, vec![call("0", json())]),
                message(Tool, vec![result("0", vec![])]),
                message(Assistant, vec![call("0", json())]),
                message(Tool, vec![result("0", vec![])]),
            ],
        ),
        ("results in two messages", {
            let calls = vec![call("0", json()), call("1", json())];
            let results = ["1", "0"].map(|id| message(Tool, vec![result(id, vec![])]));
            [message(Assistant, calls)].into_iter().chain(results).collect()
        }),
        ("the whole answer again", vec![answered()]),
    ];
    for (name, messages) in cases {
        let asked = proto::CompleteRequest { messages, ..Default::default() };
        assert_eq!(request(asked, &RequestRules::default()).map(|_| ()), Ok(()), "{name}");
    }
}

#[test]
fn what_says_nothing_is_not_set() {
    let asked = proto::CompleteRequest {
        prompt: "a".into(),
        tool_choice: Some(proto::ToolChoice::default()),
        response_format: Some(proto::ResponseFormat::default()),
        reasoning: Some(proto::complete_request::Reasoning {
            amount: Some(proto::complete_request::reasoning::Amount::Effort(0)),
            display: None,
        }),
        ..Default::default()
    };
    let request = request(asked, &RequestRules::default()).unwrap();
    assert_eq!((request.tool_choice, request.reasoning), (None, None));
    assert_eq!(request.response_format, ResponseFormat::Text);
}

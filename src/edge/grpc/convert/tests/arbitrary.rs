//! Whatever comes, a request is taken or refused: nothing panics, and what is taken keeps the domain's promises.

use bytes::Bytes;
use proptest::collection::{hash_map, vec};
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;

use super::{rules, state, whole};
use crate::domain::{BlockKind, MediaSource, Message, Request, Role, ToolInput};
use crate::edge::grpc::convert::{block::block as outgoing, request};
use crate::proto::content_block::Block as Kind;
use crate::proto::{self, CompleteRequest, ContentBlock};

/// Texts among which some are in order for some field.
fn word() -> impl Strategy<Value = String> {
    const LIKELY: [&str; 11] =
        ["", "a", "{}", "{\"model\":1}", "[1]", "x-beta", "acme", "image/png", "https://h/a", "lark", "1"];
    prop_oneof![4 => prop::sample::select(&LIKELY[..]).prop_map(String::from), 1 => any::<String>()]
}

fn number() -> impl Strategy<Value = i32> {
    prop_oneof![-2..40i32, any::<i32>()]
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![-3.0..3.0, any::<f64>()]
}

fn state_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![2 => Just(Vec::new()), 1 => Just(state().to_bytes()), 1 => vec(any::<u8>(), 0..20)]
}

fn breakpoint() -> impl Strategy<Value = Option<proto::CacheBreakpoint>> {
    let duration = (any::<i64>(), any::<i32>()).prop_map(|(seconds, nanos)| prost_types::Duration { seconds, nanos });
    option::weighted(0.2, option::of(duration).prop_map(|ttl| proto::CacheBreakpoint { ttl }))
}

fn media() -> impl Strategy<Value = Option<proto::Media>> {
    use proto::media::Source;
    let source = prop_oneof![
        vec(any::<u8>(), 0..9).prop_map(|bytes| Source::Data(Bytes::from(bytes))),
        word().prop_map(Source::Uri),
        (word(), word()).prop_map(|(provider, id)| Source::File(proto::FileRef { provider, id })),
    ];
    option::of((word(), option::of(source)).prop_map(|(mime_type, source)| proto::Media { mime_type, source }))
}

fn logprob() -> impl Strategy<Value = proto::TokenLogprob> {
    let leaf =
        (word(), double()).prop_map(|(token, logprob)| proto::TokenLogprob { token, logprob, ..Default::default() });
    leaf.prop_recursive(4, 8, 3, |inner| {
        (word(), double(), vec(inner, 0..3)).prop_map(|(token, logprob, top)| proto::TokenLogprob {
            token,
            logprob,
            top,
            token_bytes: Vec::new(),
        })
    })
}

// Strategies and their value trees are nested by value, and a debug build gives each of them a place of its own on the
// stack of the test's thread: those that hold many others are boxed.

fn leaf() -> BoxedStrategy<Kind> {
    use proto::tool_call::Input;
    let input = option::of(prop_oneof![word().prop_map(Input::ArgumentsJson), word().prop_map(Input::Text)]);
    prop_oneof![
        (word(), vec(logprob(), 0..3))
            .prop_map(|(text, logprobs)| Kind::Text(proto::Text {
                text,
                logprobs,
                citations: vec![proto::Citation::default()],
            }))
            .boxed(),
        (media(), word()).prop_map(|(media, detail)| Kind::Image(proto::Image { media, detail })),
        (media(), word())
            .prop_map(|(media, title)| { Kind::Document(proto::Document { media, title, ..Default::default() }) }),
        (media(), word()).prop_map(|(media, transcript)| Kind::Audio(proto::Audio { media, transcript })),
        (word(), word(), any::<bool>(), input).prop_map(|(id, name, incomplete, input)| {
            Kind::ToolCall(proto::ToolCall { id, name, incomplete, input, namespace: String::new() })
        }),
        (word(), any::<bool>()).prop_map(|(text, redacted)| Kind::Reasoning(proto::Reasoning { text, redacted })),
        (word(), word()).prop_map(|(text, category)| Kind::Refusal(proto::Refusal { text, category })),
        (word(), word(), word()).prop_map(|(vendor, r#type, json)| Kind::ProviderBlock(proto::ProviderBlock {
            vendor,
            r#type,
            json
        })),
    ]
    .boxed()
}

fn around(kind: impl Strategy<Value = Kind>) -> impl Strategy<Value = ContentBlock> {
    let options = hash_map(word(), word(), 0..2);
    (option::weighted(0.95, kind), state_bytes(), breakpoint(), options).prop_map(
        |(block, provider_state, cache_breakpoint, provider_options)| ContentBlock {
            block,
            provider_state,
            cache_breakpoint,
            provider_options,
        },
    )
}

fn block() -> BoxedStrategy<ContentBlock> {
    around(leaf())
        .boxed()
        .prop_recursive(4, 16, 3, |inner| {
            let result = (word(), word(), vec(inner, 0..3)).prop_map(|(tool_call_id, name, content)| {
                Kind::ToolResult(proto::ToolResult { tool_call_id, name, content, is_error: false })
            });
            around(result).boxed()
        })
        .boxed()
}

fn message() -> BoxedStrategy<proto::Message> {
    (0..5i32, vec(block(), 0..5), state_bytes())
        .prop_map(|(role, content, provider_state)| proto::Message { role, content, provider_state })
        .boxed()
}

fn tool() -> BoxedStrategy<proto::Tool> {
    use proto::tool::Tool;
    let function = (word(), word(), hash_map(word(), word(), 0..2)).prop_map(|(name, json, provider_options)| {
        Tool::Function(proto::FunctionTool { name, parameters_json: json, provider_options, ..Default::default() })
    });
    let grammar = (word(), word()).prop_map(|(syntax, definition)| proto::custom_tool::Grammar { syntax, definition });
    let custom = (word(), option::of(grammar))
        .prop_map(|(name, grammar)| Tool::Custom(proto::CustomTool { name, grammar, description: String::new() }));
    let provider = (word(), word()).prop_map(|(vendor, json)| Tool::ProviderTool(proto::ProviderTool { vendor, json }));
    (option::of(prop_oneof![function, custom, provider]), breakpoint())
        .prop_map(|(tool, cache_breakpoint)| proto::Tool { tool, cache_breakpoint })
        .boxed()
}

fn asked() -> impl Strategy<Value = CompleteRequest> {
    use proto::complete_request::{Reasoning, reasoning::Amount};
    let choice = (number(), vec(word(), 0..3)).prop_map(|(mode, names)| proto::ToolChoice { mode, names });
    let amount = prop_oneof![number().prop_map(Amount::Effort), number().prop_map(Amount::BudgetTokens)];
    let reasoning = option::of(amount).prop_map(|amount| Reasoning { amount, display: None });
    let options = (word(), hash_map(word(), word(), 0..2))
        .prop_map(|(body_json, headers)| proto::ProviderOptions { body_json, headers });
    let conversation = (word(), vec(message(), 0..5), vec(block(), 0..2), vec(tool(), 0..3)).boxed();
    let numbers = (option::of(number()), option::of(double()), option::of(number()), number()).boxed();
    let rest = (option::of(choice), option::of(reasoning), hash_map(word(), options, 0..2), word()).boxed();
    (conversation, numbers, rest).prop_map(|(conversation, numbers, rest)| CompleteRequest {
        prompt: conversation.0,
        messages: conversation.1,
        system_blocks: conversation.2,
        tools: conversation.3,
        max_tokens: numbers.0,
        temperature: numbers.1,
        top_k: numbers.2,
        unsupported_parameters: numbers.3,
        tool_choice: rest.0,
        reasoning: rest.1,
        provider_options: rest.2,
        user: rest.3,
        ..Default::default()
    })
}

/// What a request that was taken promises to everything behind the edge.
fn keeps_its_promises(request: &Request) {
    assert!(!request.messages.is_empty());
    assert!(request.system.iter().all(|block| matches!(block.kind, BlockKind::Text(_))));
    for Message { role, content, .. } in &request.messages {
        assert!(*role == Role::Assistant || !content.is_empty());
        for block in content {
            assert_eq!(matches!(block.kind, BlockKind::ToolResult(_)), *role == Role::Tool);
            assert!(block.provider_options.values().all(|json| is_object(json)));
            match &block.kind {
                BlockKind::ToolCall(call) => {
                    assert!(!call.incomplete && !call.id.is_empty() && *role == Role::Assistant);
                    assert!(matches!(call.input, ToolInput::Text(_)) || is_object(call.input.as_str()));
                }
                BlockKind::ToolResult(result) => assert!(!result.name.is_empty()),
                BlockKind::Provider(block) => assert!(is_object(&block.json)),
                BlockKind::Image(image) => {
                    let is_inline = matches!(image.media.source, MediaSource::Inline(_));
                    assert!(!is_inline || image.media.mime_type.contains('/'));
                }
                _ => {}
            }
        }
    }
}

fn is_object(json: &str) -> bool {
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(json).is_ok()
}

/// Takes or refuses a request; what is taken is taken again when it comes as it would leave.
fn convert(asked: CompleteRequest) {
    match request(asked.clone(), &rules()) {
        Err(error) => {
            assert!((1..=20).contains(&error.details.violations.len()));
            assert!(error.details.violations.iter().all(|v| !v.field.is_empty() && !v.rule.is_empty()));
        }
        Ok(taken) => {
            keeps_its_promises(&taken);
            let mut again = CompleteRequest { prompt: String::new(), ..asked };
            let role = |role| match role {
                Role::User => proto::Role::User,
                Role::Assistant => proto::Role::Assistant,
                Role::Tool => proto::Role::Tool,
            };
            let back = |message: &Message| proto::Message {
                role: role(message.role).into(),
                content: message.content.iter().cloned().map(outgoing).collect(),
                provider_state: message.state.as_ref().map(|state| state.to_bytes()).unwrap_or_default(),
            };
            again.messages = taken.messages.iter().map(back).collect();
            assert_eq!(request(again, &rules()), Ok(taken));
        }
    }
}

/// A conversation in order.
fn in_order() -> impl Strategy<Value = CompleteRequest> {
    let whole = whole();
    let blocks = whole.messages.into_iter().take(2).flat_map(|message| message.content).collect::<Vec<_>>();
    let message =
        prop::sample::subsequence(blocks, 1..6).prop_map(|content| super::message(proto::Role::Assistant, content));
    vec(message, 1..4).prop_map(|messages| CompleteRequest { messages, ..Default::default() })
}

/// The deepest message that the wire can bring: results in results, as far as the decoder goes.
#[test]
fn the_deepest_message_needs_little_of_the_stack() {
    let deep = |depth: usize| {
        let text = Kind::Text(proto::Text { text: "a".to_owned(), ..Default::default() });
        let outside = |inside, _| {
            let result =
                proto::ToolResult { name: "f".to_owned(), content: vec![block_of(inside)], ..Default::default() };
            Kind::ToolResult(result)
        };
        let message = super::message(proto::Role::Tool, vec![block_of((0..depth).fold(text, outside))]);
        CompleteRequest { messages: vec![message], ..Default::default() }.encode_to_vec()
    };
    let little = std::thread::Builder::new().stack_size(512 << 10);
    let decoded = little.spawn(move || {
        let taken = (1..100).map_while(|depth| CompleteRequest::decode(&deep(depth)[..]).ok());
        taken.map(|asked| request(asked, &rules()).is_ok()).collect::<Vec<_>>()
    });
    let taken = decoded.unwrap().join().unwrap();
    assert!((20..99).contains(&taken.len()), "the decoder ends it, at a depth of {}", taken.len());
    assert!(!taken.last().unwrap(), "a result within a result is refused");
}

fn block_of(kind: Kind) -> ContentBlock {
    ContentBlock { block: Some(kind), ..Default::default() }
}

proptest! {
    #[test]
    fn arbitrary_messages_are_taken_or_refused(asked in asked()) {
        convert(asked);
    }

    #[test]
    fn conversations_of_blocks_in_order_are_taken_again(asked in in_order()) {
        prop_assert_eq!(request(asked.clone(), &rules()).map(|_| ()), Ok(()));
        convert(asked);
    }

    #[test]
    fn arbitrary_bytes_are_taken_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(asked) = CompleteRequest::decode(&bytes[..]) {
            convert(asked);
        }
    }

    #[test]
    fn damaged_bytes_are_taken_or_refused(at in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = whole().encode_to_vec();
        for (index, byte) in at {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Ok(asked) = CompleteRequest::decode(&bytes[..]) {
            convert(asked);
        }
    }
}

//! The conversion as a whole, beside the tests of its pieces.

mod answers;
mod arbitrary;
mod bad_input;
mod whole;

use std::collections::BTreeSet;

use super::RequestRules;
use crate::domain::{AccountTag, Identity, ModelId, ProviderId, ProviderState, Vendor};
use crate::proto::content_block::Block as Kind;
use crate::proto::tool_call::Input;
use crate::proto::{self, media::Source};

fn rules() -> RequestRules {
    RequestRules { allowed_headers: BTreeSet::from(["x-beta".to_owned()]) }
}

fn state() -> ProviderState {
    let identity = Identity {
        provider: ProviderId::new("main"),
        vendor: Vendor::new("acme"),
        model: ModelId::new("m-1"),
        account: AccountTag::of(&ProviderId::new("main")),
    };
    ProviderState::new(&identity, serde_json::value::RawValue::from_string(r#"{"s":1}"#.into()).unwrap())
}

fn block(kind: Kind) -> proto::ContentBlock {
    proto::ContentBlock { block: Some(kind), ..Default::default() }
}

fn text(text: &str) -> proto::ContentBlock {
    block(Kind::Text(proto::Text { text: text.into(), ..Default::default() }))
}

fn media(source: Source, mime_type: &str) -> Option<proto::Media> {
    Some(proto::Media { mime_type: mime_type.into(), source: Some(source) })
}

fn message(role: proto::Role, content: Vec<proto::ContentBlock>) -> proto::Message {
    proto::Message { role: role.into(), content, provider_state: Vec::new() }
}

fn call(id: &str, input: Input) -> proto::ContentBlock {
    block(Kind::ToolCall(proto::ToolCall {
        id: id.into(),
        name: "weather".into(),
        input: Some(input),
        incomplete: false,
        namespace: "sky".into(),
    }))
}

fn result(id: &str, content: Vec<proto::ContentBlock>) -> proto::ContentBlock {
    let tool_call_id = id.into();
    block(Kind::ToolResult(proto::ToolResult { tool_call_id, name: String::new(), content, is_error: true }))
}

/// A request in order that uses every field and every kind of block, with these places:
/// message 0 is the user's with text, image, document, audio and a vendor's block; message 1 the model's with
/// reasoning, text, a call with JSON, a call with text, a refusal; message 2 has the results.
fn whole() -> proto::CompleteRequest {
    proto::CompleteRequest {
        model: "claude/some-model".into(),
        fallback_models: vec!["fast".into(), "claude/other".into()],
        prompt: "And now?".into(),
        system: "Be brief.".into(),
        system_blocks: vec![text("Be kind.")],
        messages: vec![asked(), answered(), called()],
        max_tokens: Some(4096),
        temperature: Some(0.5),
        top_p: Some(0.9),
        top_k: Some(40),
        frequency_penalty: Some(-1.5),
        presence_penalty: Some(1.5),
        seed: Some(i64::MIN),
        top_logprobs: Some(20),
        parallel_tool_calls: Some(false),
        stop_sequences: vec!["END".into()],
        service_tier: "flex".into(),
        unsupported_parameters: proto::UnsupportedParameters::Ignore.into(),
        tools: tools(),
        tool_choice: Some(proto::ToolChoice {
            mode: proto::ToolChoiceMode::Required.into(),
            names: vec!["weather".into(), "search".into()],
        }),
        response_format: Some(proto::ResponseFormat {
            format: Some(proto::response_format::Format::JsonSchema(proto::response_format::JsonSchemaFormat {
                name: "answer".into(),
                description: "What it is.".into(),
                schema_json: r#"{"type":"object"}"#.into(),
                strict: Some(true),
            })),
        }),
        reasoning: Some(proto::complete_request::Reasoning {
            amount: Some(proto::complete_request::reasoning::Amount::BudgetTokens(1024)),
            display: Some(true),
        }),
        user: "u-1".into(),
        labels: [("team".to_owned(), "search".to_owned())].into(),
        max_cost_pico_usd: Some(1_000_000_000),
        conversation_id: "c-1".into(),
        restart_on_interruption: true,
        request_id: "01980f6e-2f6b-7c1e-9d53-0a1b2c3d4e5f".into(),
        on_disconnect: proto::OnDisconnect::Finish.into(),
        cache: Some(proto::ResponseCache {
            mode: proto::CacheMode::Refresh.into(),
            ttl: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        }),
        prompt_cache: Some(proto::PromptCache {
            mode: proto::PromptCacheMode::Automatic.into(),
            ttl: Some(prost_types::Duration { seconds: 3600, nanos: 0 }),
        }),
        provider_options: [("acme".to_owned(), provider_options())].into(),
    }
}

fn provider_options() -> proto::ProviderOptions {
    proto::ProviderOptions {
        body_json: r#"{"verbosity":"low"}"#.into(),
        headers: [("X-Beta".to_owned(), "on".to_owned())].into(),
    }
}

fn asked() -> proto::Message {
    let first = proto::ContentBlock {
        cache_breakpoint: Some(proto::CacheBreakpoint { ttl: Some(prost_types::Duration { seconds: 300, nanos: 5 }) }),
        provider_options: [("acme".to_owned(), r#"{"a":1}"#.to_owned())].into(),
        ..text("Look.")
    };
    let image = Kind::Image(proto::Image {
        media: media(Source::Data(vec![1, 2, 3].into()), "image/png"),
        detail: "low".into(),
    });
    let document = Kind::Document(proto::Document {
        media: media(Source::Uri("https://host/a.pdf".into()), ""),
        title: "A".into(),
        context: "Old.".into(),
        citations: Some(true),
        filename: "a.pdf".into(),
    });
    let file = proto::FileRef { provider: "claude".into(), id: "file-1".into() };
    let audio = Kind::Audio(proto::Audio { media: media(Source::File(file), "audio/wav"), transcript: "hello".into() });
    let provider = Kind::ProviderBlock(proto::ProviderBlock {
        vendor: "acme".into(),
        r#type: "search".into(),
        json: r#"{"z":1,"a":18446744073709551615}"#.into(),
    });
    message(proto::Role::User, vec![first, block(image), block(document), block(audio), block(provider)])
}

fn answered() -> proto::Message {
    let top = proto::TokenLogprob { token: "It".into(), logprob: -2.0, ..Default::default() };
    let spoken = proto::Text {
        text: "Is".into(),
        citations: vec![proto::Citation {
            r#type: "page".into(),
            cited_text: "c".into(),
            title: "t".into(),
            url: "https://u".into(),
            document_index: Some(0),
            source_start: Some(1),
            source_end: Some(2),
            text_start: Some(3),
            text_end: Some(4),
            file_id: "f".into(),
        }],
        logprobs: vec![proto::TokenLogprob {
            token: "Is".into(),
            token_bytes: b"Is".to_vec(),
            logprob: -0.5,
            top: vec![top],
        }],
    };
    let hidden = proto::ContentBlock {
        provider_state: state().to_bytes(),
        ..block(Kind::Reasoning(proto::Reasoning { text: String::new(), redacted: true }))
    };
    let content = vec![
        hidden,
        block(Kind::Text(spoken)),
        call("1", Input::ArgumentsJson(r#"{"b":1,"a":2}"#.into())),
        call("2", Input::Text("free".into())),
        block(Kind::Refusal(proto::Refusal { text: "no".into(), category: "c".into() })),
    ];
    proto::Message { provider_state: state().to_bytes(), ..message(proto::Role::Assistant, content) }
}

fn called() -> proto::Message {
    message(proto::Role::Tool, vec![result("2", vec![]), result("1", vec![text("rain")])])
}

fn tools() -> Vec<proto::Tool> {
    let function = proto::tool::Tool::Function(proto::FunctionTool {
        name: "weather".into(),
        description: "The weather.".into(),
        parameters_json: r#"{"type":"object"}"#.into(),
        strict: Some(true),
        provider_options: [("acme".to_owned(), "{}".to_owned())].into(),
    });
    let custom = proto::tool::Tool::Custom(proto::CustomTool {
        name: "shell".into(),
        description: "A shell.".into(),
        grammar: Some(proto::custom_tool::Grammar { syntax: "lark".into(), definition: "start: /a/".into() }),
    });
    let provider = proto::tool::Tool::ProviderTool(proto::ProviderTool {
        vendor: "acme".into(),
        json: r#"{"type":"search_2026","name":"search"}"#.into(),
    });
    let tool = |tool| proto::Tool { tool: Some(tool), cache_breakpoint: None };
    let last = proto::Tool { cache_breakpoint: Some(proto::CacheBreakpoint { ttl: None }), ..tool(provider) };
    vec![tool(function), tool(custom), last]
}

//! Requests of every kind that the protocol can carry.

use std::collections::BTreeMap;
use std::time::Duration;

use completiond::domain::{
    Block, BlockKind, CacheBreakpoint, Document, Effort, FileRef, FunctionTool, Image, JsonSchema, Media, MediaSource,
    Message, ProviderBlock, ProviderId, ProviderOptions, ProviderState, ProviderTool, Reasoning, ReasoningAmount,
    ReasoningText, Request, ResponseFormat, Role, Sampling, Text, Tokens, Tool, ToolCall, ToolChoice, ToolChoiceMode,
    ToolInput, ToolKind, ToolResult, Vendor, VendorJson,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::identity;

const TEXT: &str = "[ -~é日🙂\n\t\u{1}]{1,12}";

pub(crate) fn request() -> impl Strategy<Value = Request> {
    (conversation(), top(), tools(), parameters()).prop_map(|(messages, top, (tools, choice, parallel), rest)| {
        let mut request = Request {
            messages,
            tools,
            tool_choice: choice,
            parallel_tool_calls: parallel,
            system: rest.system,
            response_format: rest.response_format,
            reasoning: rest.reasoning,
            sampling: rest.sampling,
            ..top
        };
        shortest_last(&mut request);
        request
    })
}

/// No breakpoint outlives one before it: the wire cannot carry such ones.
fn shortest_last(request: &mut Request) {
    let tools = request.tools.iter_mut().map(|tool| &mut tool.cache_breakpoint);
    let blocks = request.system.iter_mut().chain(request.messages.iter_mut().flat_map(|message| &mut message.content));
    let mut earlier: Option<CacheBreakpoint> = None;
    for breakpoint in tools.chain(blocks.map(|block| &mut block.cache_breakpoint)).flatten() {
        let is_short = |ttl: Option<Duration>| ttl.is_none_or(|ttl| ttl <= Duration::from_secs(300));
        if let Some(earlier) = earlier.filter(|earlier| is_short(earlier.ttl) && !is_short(breakpoint.ttl)) {
            *breakpoint = earlier;
        }
        earlier = Some(*breakpoint);
    }
}

fn top() -> impl Strategy<Value = Request> {
    let options = (of(1..9_u8), of("[a-z]{1,5}")).prop_map(|(geo, beta)| {
        let body = geo.map(|geo| ("inference_geo".to_owned(), geo.into())).into_iter().collect();
        let headers: BTreeMap<_, _> = beta.map(|beta| ("anthropic-beta".to_owned(), beta)).into_iter().collect();
        let options = ProviderOptions { body, headers };
        let said = options != ProviderOptions::default();
        said.then(|| (Vendor::new("anthropic"), options)).into_iter().collect::<BTreeMap<_, _>>()
    });
    let stops = vec("[a-z\n]{0,3}[a-z]", 0..3);
    (of(1..100_000_u32), stops, of("(auto|standard_only)"), of("[a-z0-9]{1,9}"), options).prop_map(
        |(max_tokens, stop_sequences, service_tier, user, provider_options)| Request {
            max_tokens: max_tokens.map(Tokens::new),
            stop_sequences,
            service_tier,
            user,
            provider_options,
            ..Request::default()
        },
    )
}

fn parameters() -> impl Strategy<Value = Request> {
    let sampling = prop_oneof![
        (of(0.0..=1.0_f64), of(1..99_u32)).prop_map(|(temperature, top_k)| (temperature, None, top_k)),
        (of(0.01..=1.0_f64), of(1..99_u32)).prop_map(|(top_p, top_k)| (None, top_p, top_k)),
    ]
    .prop_map(|(temperature, top_p, top_k)| Sampling { temperature, top_p, top_k, ..Sampling::default() });
    let effort = prop::sample::select(vec![Effort::Low, Effort::Medium, Effort::High, Effort::XHigh, Effort::Max]);
    let reasoning = prop_oneof![
        Just(None),
        Just(Some(Reasoning { amount: Some(ReasoningAmount::Effort(Effort::None)), display: None })),
        Just(Some(Reasoning { amount: None, display: Some(true) })),
        (effort, of(any::<bool>())).prop_map(|(effort, display)| {
            Some(Reasoning { amount: Some(ReasoningAmount::Effort(effort)), display })
        }),
    ];
    let format = of(object()).prop_map(|schema| {
        schema.map_or(ResponseFormat::Text, |schema| {
            let (name, description) = ("response".to_owned(), String::new());
            ResponseFormat::JsonSchema(JsonSchema { name, description, schema, strict: None })
        })
    });
    let system = vec(text().prop_map(Block::text), 0..2);
    let system = (system, of(ttl())).prop_map(|(mut system, cache)| {
        if let Some(last) = system.last_mut() {
            last.cache_breakpoint = cache;
        }
        system
    });
    (sampling, reasoning, format, system).prop_map(|(sampling, reasoning, response_format, system)| Request {
        sampling,
        reasoning,
        response_format,
        system,
        ..Request::default()
    })
}

type Tools = (Vec<Tool>, Option<ToolChoice>, Option<bool>);

fn tools() -> impl Strategy<Value = Tools> {
    let function = ("[a-z]{1,8}", "[ -~]{0,9}", object(), of(any::<bool>()), options()).prop_map(
        |(name, description, parameters, strict, provider_options)| {
            let parameters = Some(parameters);
            ToolKind::Function(FunctionTool { name, description, parameters, strict, provider_options })
        },
    );
    let provider = "[a-z]{1,8}".prop_map(|name| {
        let json = format!(r#"{{"name":"{name}","type":"{name}_20261111"}}"#);
        ToolKind::Provider(ProviderTool { vendor: Vendor::new("anthropic"), json })
    });
    let tool = prop_oneof![4 => function, 1 => provider].prop_map(|kind| Tool { kind, cache_breakpoint: None });
    (vec(tool, 0..4), 0..4_u8, any::<bool>(), of(ttl())).prop_map(|(mut tools, choice, serial, cache)| {
        if let Some(last) = tools.last_mut() {
            last.cache_breakpoint = cache;
        }
        let only = match tools.as_slice() {
            [Tool { kind: ToolKind::Function(function), .. }] => vec![function.name.clone()],
            _ => vec![],
        };
        let choice = match choice {
            _ if tools.is_empty() => None,
            0 => None,
            1 => Some(ToolChoice { mode: ToolChoiceMode::None, names: vec![] }),
            2 => Some(ToolChoice { mode: ToolChoiceMode::Auto, names: vec![] }),
            _ => Some(ToolChoice { mode: ToolChoiceMode::Required, names: only }),
        };
        let forbids = choice.as_ref().is_some_and(|choice| choice.mode == ToolChoiceMode::None);
        // Without a choice of the caller's own, the wire needs one to say that calls come one by one.
        let parallel = (serial && choice.is_some() && !forbids).then_some(false);
        (tools, choice, parallel)
    })
}

/// Rounds of a user's message, the model's answer, and the results of its calls where it made some.
fn conversation() -> impl Strategy<Value = Vec<Message>> {
    let by_user = vec(prop_oneof![text_block(), image(), document()], 1..4);
    let by_model = vec(prop_oneof![text_block(), thought(), provider_block(), call()], 1..5);
    let results = vec(result(), 0..3);
    let rounds = vec((by_user, by_model, results), 1..4);
    (rounds, of(ttl()), any::<bool>()).prop_map(|(rounds, cache, ends_in_model)| {
        let message = |role, content| Message { role, content, state: None };
        let mut messages = Vec::new();
        for (user, model, results) in rounds {
            messages.extend([message(Role::User, user), message(Role::Assistant, model)]);
            messages.extend((!results.is_empty()).then(|| message(Role::Tool, results)));
        }
        if !ends_in_model {
            messages.push(message(Role::User, vec![Block::text("Go on.")]));
        }
        messages[0].content[0].cache_breakpoint = cache;
        messages
    })
}

fn text_block() -> impl Strategy<Value = Block> {
    (text(), of(0..9_u8), options()).prop_map(|(text, future, provider_options)| Block {
        state: future.map(|n| state(&format!(r#"{{"citations":[{{"n":{n}}}]}}"#))),
        provider_options,
        ..BlockKind::Text(Text { text, ..Text::default() }).into()
    })
}

fn image() -> impl Strategy<Value = Block> {
    let inline = ("image/(png|jpeg|gif|webp)", vec(any::<u8>(), 0..9))
        .prop_map(|(mime_type, bytes)| Media { source: MediaSource::Inline(bytes.into()), mime_type });
    (prop_oneof![inline, remote()], options()).prop_map(|(media, provider_options)| Block {
        provider_options,
        ..BlockKind::Image(Image { media, detail: String::new() }).into()
    })
}

fn document() -> impl Strategy<Value = Block> {
    let pdf = vec(any::<u8>(), 0..9)
        .prop_map(|bytes| Media { source: MediaSource::Inline(bytes.into()), mime_type: "application/pdf".to_owned() });
    let plain =
        text().prop_map(|text| Media { source: MediaSource::Inline(text.into()), mime_type: "text/plain".to_owned() });
    (prop_oneof![pdf, plain, remote()], "[a-z]{0,4}", "[a-z]{0,4}", of(any::<bool>())).prop_map(
        |(media, title, context, citations)| {
            let filename = String::new();
            BlockKind::Document(Document { media, title, context, citations, filename }).into()
        },
    )
}

fn remote() -> impl Strategy<Value = Media> {
    let uri = "https?://[a-z]{1,8}\\.example/[a-z]{0,5}".prop_map(MediaSource::Uri);
    let file = "file_[a-z]{1,5}".prop_map(|id| MediaSource::File(FileRef { provider: ProviderId::new("main"), id }));
    prop_oneof![uri, file].prop_map(|source| Media { source, mime_type: String::new() })
}

fn thought() -> impl Strategy<Value = Block> {
    let signed = ("[ -~é]{0,9}", "[a-zA-Z0-9+/]{1,9}").prop_map(|(text, signature)| {
        let state = state(&format!(r#"{{"signature":"{signature}","type":"thinking"}}"#));
        Block::from(BlockKind::Reasoning(ReasoningText { text, redacted: false })).with_state(state)
    });
    let redacted = "[a-zA-Z0-9+/]{1,9}".prop_map(|data| {
        let state = state(&format!(r#"{{"data":"{data}","type":"redacted_thinking"}}"#));
        let reasoning = ReasoningText { text: String::new(), redacted: true };
        Block::from(BlockKind::Reasoning(reasoning)).with_state(state)
    });
    prop_oneof![signed, redacted]
}

fn provider_block() -> impl Strategy<Value = Block> {
    object().prop_map(|input| {
        let json = format!(r#"{{"id":"s","input":{input},"type":"server_tool_use"}}"#);
        let (vendor, kind) = (Vendor::new("anthropic"), "server_tool_use".to_owned());
        BlockKind::Provider(ProviderBlock { vendor, kind, json }).into()
    })
}

fn call() -> impl Strategy<Value = Block> {
    ("[a-z]{1,5}", "[a-z]{1,5}", object(), of(0..9_u8), "[a-z]{0,3}").prop_map(|(id, name, json, caller, namespace)| {
        let input = ToolInput::Json(json);
        let call = ToolCall { id, name, input, incomplete: false, namespace };
        let state = caller.map(|n| state(&format!(r#"{{"caller":{{"n":{n}}}}}"#)));
        Block { state, ..BlockKind::ToolCall(call).into() }
    })
}

fn result() -> impl Strategy<Value = Block> {
    let content = vec(prop_oneof![text_block(), image(), document()], 0..3);
    ("[a-z]{1,5}", content, any::<bool>()).prop_map(|(tool_call_id, content, is_error)| {
        BlockKind::ToolResult(ToolResult { tool_call_id, name: String::new(), content, is_error }).into()
    })
}

/// JSON text of an object, compact or not.
fn object() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        TEXT.prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
    ];
    let value = leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[a-z]{1,3}", inner, 0..3)
                .prop_map(|map| map.into_iter().collect::<serde_json::Value>()),
        ]
    });
    (prop::collection::btree_map("[a-z]{1,3}", value, 0..3), any::<bool>()).prop_map(|(map, pretty)| {
        if pretty { serde_json::to_string_pretty(&map) } else { serde_json::to_string(&map) }.unwrap()
    })
}

fn options() -> impl Strategy<Value = VendorJson> {
    of(0..9_u8).prop_map(|n| {
        n.map(|n| (Vendor::new("anthropic"), format!(r#"{{"opt":{n}}}"#))).into_iter().collect::<VendorJson>()
    })
}

fn ttl() -> impl Strategy<Value = CacheBreakpoint> {
    prop::sample::select(vec![None, Some(300), Some(3600)])
        .prop_map(|ttl| CacheBreakpoint { ttl: ttl.map(Duration::from_secs) })
}

fn text() -> impl Strategy<Value = String> {
    TEXT
}

fn state(json: &str) -> ProviderState {
    ProviderState::new(&identity(), RawValue::from_string(json.to_owned()).unwrap())
}

//! Requests in Chat Completions, as every vendor that speaks it gets them, compared with files in
//! `tests/requests/openai/`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects, and this crate is nothing but tests"
)]

mod golden;

use std::time::Duration;

use completiond::domain::*;
use completiond::protocol::{Delivery, Order, Unfit, vendor};
use serde_json::json;
use serde_json::value::RawValue;

const SCHEMA: &str =
    r#"{"type":"object","properties":{"z":{"type":"integer"},"a":{"type":"number"}},"required":["z"]}"#;

fn identity(vendor: &str) -> Identity {
    Identity::new(ProviderId::new("main"), Vendor::new(vendor), ModelId::new("model-1"))
}

/// Compares `request` to this vendor with the file `name`.
fn check(vendor: &str, name: &str, request: &Request, facts: Option<&ModelFacts>, delivery: Delivery) {
    let identity = identity(vendor);
    let protocol = (vendor::preset(vendor).unwrap().protocol)();
    let max_tokens = request.max_tokens.unwrap_or(Tokens::new(8192));
    let order = Order { request, identity: &identity, facts, delivery, max_tokens, prompt_cache: request.prompt_cache };
    golden::check(protocol.as_ref(), name, &order);
}

fn vendors() -> impl Iterator<Item = &'static str> {
    vendor::PRESETS.iter().filter(|preset| (preset.protocol)().name() == "openai").map(|preset| preset.name)
}

fn says(role: Role, content: Vec<Block>) -> Message {
    Message { role, content, state: None }
}

fn ask(content: Vec<Block>) -> Request {
    Request { messages: vec![says(Role::User, content)], ..Request::default() }
}

fn inline(bytes: &'static [u8], mime_type: &str) -> Media {
    Media { source: MediaSource::Inline(bytes.into()), mime_type: mime_type.into() }
}

fn uri(uri: &str) -> Media {
    Media { source: MediaSource::Uri(uri.into()), mime_type: String::new() }
}

fn image(media: Media) -> Block {
    BlockKind::Image(Image { media, detail: "low".into() }).into()
}

fn document(media: Media, filename: &str) -> Block {
    let filename = filename.into();
    BlockKind::Document(Document { media, title: String::new(), context: String::new(), citations: None, filename })
        .into()
}

fn sound(media: Media) -> Block {
    BlockKind::Audio(Audio { media, transcript: "Hello.".into() }).into()
}

fn reasoning(text: &str) -> Block {
    BlockKind::Reasoning(ReasoningText { text: text.into(), redacted: false }).into()
}

fn call(id: &str, input: ToolInput) -> Block {
    let (id, name) = (id.into(), "f".into());
    BlockKind::ToolCall(ToolCall { id, name, input, incomplete: false, namespace: String::new() }).into()
}

fn result(id: &str, content: Vec<Block>) -> Block {
    let (tool_call_id, name) = (id.into(), "f".into());
    BlockKind::ToolResult(ToolResult { tool_call_id, name, content, is_error: false }).into()
}

fn function(name: &str) -> Tool {
    let kind = ToolKind::Function(FunctionTool {
        name: name.into(),
        description: "Does it.".into(),
        parameters: Some(SCHEMA.into()),
        strict: Some(true),
        provider_options: VendorJson::new(),
    });
    Tool { kind, cache_breakpoint: None }
}

fn custom(name: &str) -> Tool {
    let grammar = Some(Grammar { syntax: "regex".into(), definition: "[a-z]+".into() });
    let kind = ToolKind::Custom(CustomTool { name: name.into(), description: String::new(), grammar });
    Tool { kind, cache_breakpoint: None }
}

fn choice(mode: ToolChoiceMode, names: &[&str]) -> Option<ToolChoice> {
    Some(ToolChoice { mode, names: names.iter().map(|name| (*name).to_owned()).collect() })
}

fn state(vendor: &str, payload: &serde_json::Value) -> ProviderState {
    ProviderState::new(&identity(vendor), RawValue::from_string(payload.to_string()).unwrap())
}

fn breakpoint(mut block: Block, ttl: Option<u64>) -> Block {
    block.cache_breakpoint = Some(CacheBreakpoint { ttl: ttl.map(Duration::from_secs) });
    block
}

/// Every parameter that there is.
fn everything() -> Request {
    Request {
        system: vec![Block::text("Be brief."), Block::text("Be kind.")],
        max_tokens: Some(Tokens::new(100)),
        sampling: Sampling {
            temperature: Some(0.5),
            top_p: Some(0.9),
            top_k: Some(40),
            frequency_penalty: Some(-0.5),
            presence_penalty: Some(1.5),
            seed: Some(9_007_199_254_740_993),
            top_logprobs: Some(3),
        },
        stop_sequences: ["a", "b", "c", "d", "e"].map(String::from).to_vec(),
        tools: vec![function("f"), function("g"), function("h")],
        tool_choice: choice(ToolChoiceMode::Required, &[]),
        parallel_tool_calls: Some(false),
        response_format: ResponseFormat::JsonObject,
        reasoning: Some(Reasoning { amount: Some(ReasoningAmount::Effort(Effort::High)), display: Some(true) }),
        service_tier: Some("flex".into()),
        user: Some("user-1".into()),
        unsupported: UnsupportedParameters::Ignore,
        ..ask(vec![Block::text("Why?")])
    }
}

#[test]
fn a_plain_question_goes_to_every_vendor() {
    for vendor in vendors() {
        check(vendor, &format!("plain/{vendor}"), &ask(vec![Block::text("Why?")]), None, Delivery::Stream);
    }
}

#[test]
fn every_vendor_gets_the_parameters_that_it_knows() {
    for vendor in vendors() {
        check(vendor, &format!("everything/{vendor}"), &everything(), None, Delivery::Whole);
    }
}

#[test]
fn what_is_left_out_rules_a_vendor_out_unless_the_caller_allows_it() {
    for vendor in vendors() {
        let identity = identity(vendor);
        let protocol = (vendor::preset(vendor).unwrap().protocol)();
        let encode = |request: &Request| {
            let (facts, max_tokens) = (None, Tokens::new(1));
            protocol.encode(&Order {
                request,
                identity: &identity,
                facts,
                delivery: Delivery::Whole,
                max_tokens,
                prompt_cache: request.prompt_cache,
            })
        };
        let ignored = encode(&everything()).unwrap().ignored;
        let strict = Request { unsupported: UnsupportedParameters::Reject, ..everything() };
        match encode(&strict) {
            Ok(exchange) => assert!(exchange.ignored.is_empty() && ignored.is_empty(), "{vendor}"),
            Err(unfit) => assert_eq!(unfit, Unfit::Parameters(ignored), "{vendor}"),
        }
    }
}

#[test]
fn a_conversation_with_tools_goes_back_as_each_vendor_wants_it() {
    for vendor in vendors() {
        let details =
            state(vendor, &json!({ "details": [{ "type": "reasoning.text", "text": "Hm." }], "signature": "s" }));
        let foreign = reasoning("Mine.").with_state(state("another", &json!({})));
        let extra = state(vendor, &json!({ "extra_content": { "google": { "thought_signature": "x" } } }));
        let long = "call_0123456789_0123456789_0123456789_0123456789";
        let request = Request {
            system: vec![Block::text("Be brief.")],
            tools: vec![function("f")],
            messages: vec![
                says(Role::User, vec![Block::text("One."), Block::text("Two.")]),
                says(
                    Role::Assistant,
                    vec![
                        reasoning("Hm.").with_state(details),
                        foreign,
                        reasoning("Whose?"),
                        Block::text("Let me see. "),
                        Block::text("So."),
                        call(long, ToolInput::Json(r#"{"z":1, "a":2.50}"#.into())).with_state(extra),
                        call("abcDEF123", ToolInput::Json("{}".into())),
                    ],
                ),
                says(
                    Role::Tool,
                    vec![result(long, vec![Block::text("1"), Block::text("2")]), result("abcDEF123", vec![])],
                ),
                says(
                    Role::Assistant,
                    vec![BlockKind::Refusal(Refusal { text: "No.".into(), category: String::new() }).into()],
                ),
                says(Role::User, vec![Block::text("Thanks.")]),
            ],
            ..Request::default()
        };
        check(vendor, &format!("conversation/{vendor}"), &request, None, Delivery::Stream);
    }
}

#[test]
fn an_assistant_message_at_the_end_is_continued_where_that_is_known() {
    let mut request = ask(vec![Block::text("Count.")]);
    request.messages.push(says(Role::Assistant, vec![Block::text("1, 2,")]));
    for vendor in vendors() {
        check(vendor, &format!("prefill/{vendor}"), &request, None, Delivery::Stream);
    }
    let constraints = |prefill| ModelFacts {
        constraints: Constraints { prefill: Some(prefill), ..Constraints::default() },
        ..ModelFacts::default()
    };
    check("openai", "prefill/model_that_does", &request, Some(&constraints(true)), Delivery::Stream);
    check("mistral", "prefill/model_that_does_not", &request, Some(&constraints(false)), Delivery::Stream);
}

#[test]
fn images_documents_and_sound() {
    let pdf = || inline(b"%PDF", "application/pdf");
    let file = |provider: &str| Media {
        source: MediaSource::File(FileRef { provider: ProviderId::new(provider), id: "file-1".into() }),
        mime_type: String::new(),
    };
    let cases = [
        ("image_inline", image(inline(b"png", "image/png"))),
        ("image_by_address", image(uri("https://example.org/a.png"))),
        ("image_by_file", image(file("main"))),
        ("document_inline", document(pdf(), "a.pdf")),
        ("document_without_name", document(pdf(), "")),
        ("document_by_file", document(file("main"), "")),
        ("document_of_another_provider", document(file("other"), "")),
        ("document_by_address", document(uri("https://example.org/a.pdf"), "")),
        ("sound_wav", sound(inline(b"RIFF", "audio/wav"))),
        ("sound_mp3", sound(inline(b"ID3", "audio/mpeg"))),
        ("sound_flac", sound(inline(b"fLaC", "audio/flac"))),
        ("sound_by_address", sound(uri("https://example.org/a.wav"))),
    ];
    for (name, block) in cases {
        let request = ask(vec![Block::text("What is this?"), block]);
        check("openai", &format!("media/{name}"), &request, None, Delivery::Stream);
        check("ollama", &format!("media/{name}_ollama"), &request, None, Delivery::Stream);
    }
}

#[test]
fn a_model_that_cannot_is_not_asked() {
    let facts = |capabilities| ModelFacts { capabilities, ..ModelFacts::default() };
    let none = facts(Capabilities {
        tools: Some(false),
        images: Some(false),
        documents: Some(false),
        audio: Some(false),
        json_schema: Some(false),
        reasoning: Some(false),
    });
    let schema = ResponseFormat::JsonSchema(JsonSchema {
        name: "answer".into(),
        description: "An answer.".into(),
        schema: SCHEMA.into(),
        strict: Some(true),
    });
    let with_tools = Request { tools: vec![function("f")], ..ask(vec![Block::text("?")]) };
    let with_schema = Request { response_format: schema, ..ask(vec![Block::text("?")]) };
    let effort = |effort| Request {
        reasoning: Some(Reasoning { amount: Some(ReasoningAmount::Effort(effort)), display: None }),
        ..ask(vec![Block::text("?")])
    };
    let cases = [
        ("tools", with_tools),
        ("schema", with_schema),
        ("image", ask(vec![image(inline(b"png", "image/png"))])),
        ("document", ask(vec![document(inline(b"%PDF", "application/pdf"), "")])),
        ("sound", ask(vec![sound(inline(b"RIFF", "audio/wav"))])),
        ("reasoning", effort(Effort::High)),
        ("no_reasoning", effort(Effort::None)),
    ];
    for (name, request) in cases {
        check("openai", &format!("able/{name}"), &request, None, Delivery::Stream);
        check("openai", &format!("unable/{name}"), &request, Some(&none), Delivery::Stream);
    }
    check("deepseek", "unable/schema_deepseek", &cases_schema(), None, Delivery::Stream);
    check("llamacpp", "able/schema_llamacpp", &cases_schema(), None, Delivery::Stream);
}

fn cases_schema() -> Request {
    let schema = JsonSchema { name: "a".into(), description: String::new(), schema: "{}".into(), strict: None };
    Request { response_format: ResponseFormat::JsonSchema(schema), ..ask(vec![Block::text("?")]) }
}

#[test]
fn which_tools_may_be_called() {
    let all = || vec![function("f"), custom("g"), function("h")];
    let functions = || vec![function("f"), function("g"), function("h")];
    let choices = [
        ("auto", choice(ToolChoiceMode::Auto, &[])),
        ("none", choice(ToolChoiceMode::None, &[])),
        ("required", choice(ToolChoiceMode::Required, &[])),
        ("one", choice(ToolChoiceMode::Required, &["f"])),
        ("one_custom", choice(ToolChoiceMode::Required, &["g"])),
        ("some", choice(ToolChoiceMode::Auto, &["f", "g"])),
        ("one_of_some", choice(ToolChoiceMode::Required, &["f", "g"])),
        ("none_of_some", choice(ToolChoiceMode::None, &["f"])),
    ];
    for (name, tool_choice) in choices {
        let base = ask(vec![Block::text("?")]);
        let openai = Request { tools: all(), tool_choice: tool_choice.clone(), ..base.clone() };
        check("openai", &format!("choice/{name}"), &openai, None, Delivery::Stream);
        for vendor in ["mistral", "openai-compatible", "ollama"] {
            let request = Request { tools: functions(), tool_choice: tool_choice.clone(), ..base.clone() };
            check(vendor, &format!("choice/{name}_{vendor}"), &request, None, Delivery::Stream);
        }
    }
    let unforced = ModelFacts {
        constraints: Constraints { forced_tool_choice: Some(false), ..Constraints::default() },
        ..ModelFacts::default()
    };
    let tool_choice = choice(ToolChoiceMode::Required, &[]);
    let request = Request { tools: functions(), tool_choice, ..ask(vec![Block::text("?")]) };
    check("openai", "choice/cannot_be_forced", &request, Some(&unforced), Delivery::Stream);
    let no_tools = Request {
        tool_choice: choice(ToolChoiceMode::Auto, &[]),
        parallel_tool_calls: Some(true),
        ..ask(vec![Block::text("?")])
    };
    check("openai", "choice/without_tools", &no_tools, None, Delivery::Stream);
}

#[test]
fn free_text_tools_and_their_calls() {
    let mut request = Request { tools: vec![custom("f")], ..ask(vec![Block::text("?")]) };
    request.messages.push(says(Role::Assistant, vec![call("c1", ToolInput::Text("a b".into()))]));
    request.messages.push(says(Role::Tool, vec![result("c1", vec![Block::text("done")])]));
    check("openai", "custom/openai", &request, None, Delivery::Stream);
    check("groq", "custom/groq", &request, None, Delivery::Stream);
    request.tools.clear();
    check("groq", "custom/groq_history", &request, None, Delivery::Stream);
}

#[test]
fn what_only_one_vendor_knows_goes_there_and_nowhere_else() {
    let own = |kind: &str, json: &str| {
        BlockKind::Provider(ProviderBlock { vendor: Vendor::new("openai"), kind: kind.into(), json: json.into() })
    };
    let mut text = Block::text("?");
    text.provider_options.insert(Vendor::new("openai"), r#"{"text":"!","new":{"z":1,"a":2}}"#.into());
    let mut tool = function("f");
    if let ToolKind::Function(tool) = &mut tool.kind {
        tool.provider_options.insert(Vendor::new("openai"), r#"{"async":true}"#.into());
    }
    let provider_tool =
        ToolKind::Provider(ProviderTool { vendor: Vendor::new("openai"), json: r#"{"type":"web"}"#.into() });
    let mut request = Request { tools: vec![tool], ..ask(vec![text, own("new", r#"{"type":"new","n":1}"#).into()]) };
    let computer = own("tool_call/computer", r#"{"type":"computer","id":"c1"}"#).into();
    request.messages.push(says(Role::Assistant, vec![computer, own("new", r#"{"type":"new"}"#).into()]));
    request.messages.push(says(Role::User, vec![Block::text("?")]));
    let options = ProviderOptions {
        body: json!({ "verbosity": "low", "temperature": 1.5 }).as_object().unwrap().clone(),
        headers: [("openai-beta".to_owned(), "x=1".to_owned())].into(),
    };
    request.provider_options.insert(Vendor::new("openai"), options);
    request.sampling.temperature = Some(0.5);
    check("openai", "own/openai", &request, None, Delivery::Stream);
    check("groq", "own/groq", &request, None, Delivery::Stream);
    request.tools.push(Tool { kind: provider_tool, cache_breakpoint: None });
    check("openai", "own/openai_tool", &request, None, Delivery::Stream);
    check("groq", "own/groq_tool", &request, None, Delivery::Stream);
}

#[test]
fn ends_of_cached_prefixes() {
    let mut tool = function("f");
    tool.cache_breakpoint = Some(CacheBreakpoint { ttl: None });
    let mut request = Request {
        system: vec![breakpoint(Block::text("Long."), None)],
        tools: vec![tool],
        ..ask(vec![
            breakpoint(Block::text("1"), Some(60)),
            breakpoint(Block::text("2"), Some(1800)),
            breakpoint(image(inline(b"png", "image/png")), Some(86_400)),
            breakpoint(Block::text("4"), None),
        ])
    };
    request.messages.push(says(Role::Assistant, vec![call("c1", ToolInput::Json("{}".into()))]));
    request.messages.push(says(Role::Tool, vec![breakpoint(result("c1", vec![Block::text("done")]), None)]));
    for vendor in ["openai", "openrouter", "groq"] {
        check(vendor, &format!("cache/{vendor}"), &request, None, Delivery::Stream);
    }
}

#[test]
fn how_much_to_reason() {
    let known = |none, minimal, xhigh, max| ModelFacts {
        constraints: Constraints {
            effort_none: none,
            effort_minimal: minimal,
            effort_xhigh: xhigh,
            effort_max: max,
            ..Constraints::default()
        },
        ..ModelFacts::default()
    };
    let models = [
        ("unknown", None),
        ("older", Some(known(Some(false), Some(true), Some(false), None))),
        ("newer", Some(known(Some(true), Some(false), Some(true), None))),
        ("newest", Some(known(Some(false), Some(false), Some(true), Some(true)))),
    ];
    let efforts = [Effort::None, Effort::Minimal, Effort::Low, Effort::XHigh, Effort::Max].map(ReasoningAmount::Effort);
    let budgets = [1024, 5000, 16_384, 60_000].map(|tokens| ReasoningAmount::Budget(Tokens::new(tokens)));
    let mut table = Vec::new();
    for vendor in ["openai", "groq", "mistral", "deepseek", "openrouter", "moonshot", "zai", "llamacpp"] {
        for (model, facts) in &models {
            for amount in efforts.into_iter().chain(budgets) {
                let reasoning = Some(Reasoning { amount: Some(amount), display: None });
                let request = Request { reasoning, ..ask(vec![Block::text("?")]) };
                table.push(format!("{vendor} {model} {amount:?}: {}", asked(vendor, &request, facts.as_ref())));
            }
        }
    }
    compare("reasoning", &table);
}

/// The reasoning fields that are sent.
fn asked(vendor: &str, request: &Request, facts: Option<&ModelFacts>) -> String {
    let identity = identity(vendor);
    let (delivery, max_tokens) = (Delivery::Stream, Tokens::new(1));
    let order = Order { request, identity: &identity, facts, delivery, max_tokens, prompt_cache: request.prompt_cache };
    match (vendor::preset(vendor).unwrap().protocol)().encode(&order) {
        Ok(exchange) => {
            let body: serde_json::Value = serde_json::from_slice(&exchange.body).unwrap();
            let fields = ["reasoning_effort", "reasoning", "thinking"];
            let sent = fields.into_iter().filter_map(|field| Some(format!("{field}={}", body.get(field)?)));
            sent.collect::<Vec<_>>().join(" ")
        }
        Err(unfit) => format!("{unfit:?}"),
    }
}

fn compare(name: &str, lines: &[String]) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/requests/openai/{name}.txt"));
    let actual = lines.join("\n") + "\n";
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, &actual).unwrap();
    }
    assert_eq!(actual, std::fs::read_to_string(&path).expect("no expectation"), "{}", path.display());
}

#[test]
fn sound_that_the_model_made_goes_back_by_its_id_to_the_same_account() {
    let id = json!({ "audio_id": "audio_1" });
    let mine = sound(inline(b"RIFF", "audio/wav")).with_state(state("openai", &id));
    let other = Identity::new(ProviderId::new("other"), Vendor::new("openai"), ModelId::new("model-1"));
    let payload = RawValue::from_string(id.to_string()).unwrap();
    let of_another = sound(inline(b"RIFF", "audio/wav")).with_state(ProviderState::new(&other, payload));
    for (name, block) in [("mine", mine), ("of_another_account", of_another)] {
        let mut request = ask(vec![Block::text("Say hello.")]);
        request.messages.push(says(Role::Assistant, vec![block]));
        request.messages.push(says(Role::User, vec![Block::text("Again.")]));
        check("openai", &format!("sound/{name}"), &request, None, Delivery::Stream);
    }
}

#[test]
fn what_cannot_be_said_is_refused_or_reported() {
    let with_results = |content: Vec<Block>, is_error| {
        let mut request = ask(vec![Block::text("?")]);
        request.messages.push(says(Role::Assistant, vec![call("c1", ToolInput::Json("{}".into()))]));
        let (tool_call_id, name) = ("c1".into(), "f".into());
        let result = BlockKind::ToolResult(ToolResult { tool_call_id, name, content, is_error });
        request.messages.push(says(Role::Tool, vec![result.into()]));
        request
    };
    let picture = || image(inline(b"png", "image/png"));
    let sampling = Sampling { temperature: Some(0.2), top_p: Some(0.5), top_logprobs: Some(1), ..Sampling::default() };
    let fixed = ModelFacts {
        constraints: Constraints { sampling: Some(false), ..Constraints::default() },
        ..ModelFacts::default()
    };
    let mut with_picture = ask(vec![Block::text("?")]);
    with_picture.messages.push(says(Role::Assistant, vec![picture()]));
    with_picture.messages.push(says(Role::User, vec![Block::text("?")]));
    let cases = [
        ("image_in_a_result", with_results(vec![Block::text("See:"), picture()], false), None),
        ("failed_tool", with_results(vec![Block::text("no such file")], true), None),
        ("image_of_the_model", with_picture, None),
        ("fixed_sampling", Request { sampling, ..ask(vec![Block::text("?")]) }, Some(&fixed)),
        ("long_user", Request { user: Some("u".repeat(129)), ..ask(vec![Block::text("?")]) }, None),
        ("empty_message", ask(vec![]), None),
    ];
    for (name, request, facts) in cases {
        check("openai", &format!("limits/{name}"), &request, facts, Delivery::Stream);
    }
}

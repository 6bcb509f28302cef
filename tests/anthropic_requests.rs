//! Requests as they are sent to the Messages protocol: golden files, and what rules an endpoint out.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects, and this crate is nothing but tests"
)]

mod golden;

use std::collections::BTreeMap;
use std::time::Duration;

use completiond::domain::{
    Audio, Block, BlockKind, CacheBreakpoint, Capabilities, Citation, Constraints, CustomTool, Document, Effort,
    FileRef, FunctionTool, Identity, Image, JsonSchema, Media, MediaSource, Message, ModelFacts, ModelId,
    ProviderBlock, ProviderId, ProviderOptions, ProviderState, ProviderTool, Reasoning, ReasoningAmount, ReasoningText,
    Refusal, Request, ResponseFormat, Role, Sampling, Text, Tokens, Tool, ToolCall, ToolChoice, ToolChoiceMode,
    ToolInput, ToolKind, ToolResult, UnsupportedParameters, Vendor, VendorJson,
};
use completiond::protocol::{Anthropic, AnthropicVersion, Delivery, Order};
use serde_json::value::RawValue;

fn identity() -> Identity {
    Identity::new(ProviderId::new("main"), Vendor::new("anthropic"), ModelId::new("claude-sonnet-5-5"))
}

/// Compares what a request is encoded to with its golden file.
fn check(name: &str, request: &Request) {
    check_with(name, request, None);
}

fn check_with(name: &str, request: &Request, facts: Option<&ModelFacts>) {
    check_as(&Anthropic::default(), name, request, facts, Delivery::Stream);
}

fn check_as(protocol: &Anthropic, name: &str, request: &Request, facts: Option<&ModelFacts>, delivery: Delivery) {
    let max_tokens = request.max_tokens.unwrap_or(Tokens::new(8192));
    golden::check(
        protocol,
        name,
        &Order { request, identity: &identity(), facts, delivery, max_tokens, prompt_cache: request.prompt_cache },
    );
}

fn message(role: Role, content: Vec<Block>) -> Message {
    Message { role, content, state: None }
}

fn user(text: &str) -> Message {
    message(Role::User, vec![Block::text(text)])
}

fn asking(messages: Vec<Message>) -> Request {
    Request { messages, ..Request::default() }
}

fn plain() -> Request {
    asking(vec![user("Why is the sky blue?")])
}

fn ignoring(request: Request) -> Request {
    Request { unsupported: UnsupportedParameters::Ignore, ..request }
}

fn state_of(identity: &Identity, json: &str) -> ProviderState {
    ProviderState::new(identity, RawValue::from_string(json.to_owned()).unwrap())
}

fn call(id: &str, name: &str, json: &str) -> Block {
    BlockKind::ToolCall(ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        input: ToolInput::Json(json.to_owned()),
        incomplete: false,
        namespace: String::new(),
    })
    .into()
}

fn result(id: &str, content: Vec<Block>) -> Block {
    let (tool_call_id, name) = (id.to_owned(), String::new());
    BlockKind::ToolResult(ToolResult { tool_call_id, name, content, is_error: false }).into()
}

fn inline(mime_type: &str, bytes: &'static [u8]) -> Media {
    Media { source: MediaSource::Inline(bytes.into()), mime_type: mime_type.to_owned() }
}

fn at(uri: &str) -> Media {
    Media { source: MediaSource::Uri(uri.to_owned()), mime_type: String::new() }
}

fn file(provider: &str) -> Media {
    let file = FileRef { provider: ProviderId::new(provider), id: "file_1".to_owned() };
    Media { source: MediaSource::File(file), mime_type: String::new() }
}

fn image(media: Media) -> Block {
    BlockKind::Image(Image { media, detail: String::new() }).into()
}

fn document(media: Media) -> Block {
    let (title, context, filename) = (String::new(), String::new(), String::new());
    BlockKind::Document(Document { media, title, context, citations: None, filename }).into()
}

fn cached(mut block: Block, ttl: Option<u64>) -> Block {
    block.cache_breakpoint = Some(CacheBreakpoint { ttl: ttl.map(Duration::from_secs) });
    block
}

fn own(json: &str) -> VendorJson {
    VendorJson::from([
        (Vendor::new("anthropic"), json.to_owned()),
        (Vendor::new("openai"), r#"{"never":true}"#.to_owned()),
    ])
}

fn function(name: &str) -> FunctionTool {
    FunctionTool {
        name: name.to_owned(),
        description: "Tells the weather.".to_owned(),
        parameters: Some(r#"{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}"#.to_owned()),
        strict: None,
        provider_options: VendorJson::new(),
    }
}

fn tool(kind: ToolKind) -> Tool {
    Tool { kind, cache_breakpoint: None }
}

fn with_tools(names: &[&str]) -> Request {
    Request { tools: names.iter().map(|name| tool(ToolKind::Function(function(name)))).collect(), ..plain() }
}

fn choosing(request: Request, mode: ToolChoiceMode, names: &[&str]) -> Request {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Request { tool_choice: Some(ToolChoice { mode, names }), ..request }
}

fn facts(change: impl FnOnce(&mut Capabilities, &mut Constraints)) -> ModelFacts {
    let mut facts = ModelFacts::default();
    change(&mut facts.capabilities, &mut facts.constraints);
    facts
}

/// A model that takes sampling parameters and a number of tokens to reason with.
fn older() -> ModelFacts {
    facts(|_, constraints| {
        constraints.sampling = Some(true);
        constraints.prefill = Some(true);
    })
}

/// A model that always reasons, as much as it likes.
fn newest() -> ModelFacts {
    facts(|_, constraints| {
        *constraints = Constraints {
            sampling: Some(false),
            prefill: Some(false),
            forced_tool_choice: Some(false),
            reasoning_always_on: Some(true),
            adaptive_reasoning: Some(true),
            effort_xhigh: Some(true),
            effort_max: Some(true),
            ..Constraints::default()
        }
    })
}

fn reasoning(amount: Option<ReasoningAmount>, display: Option<bool>) -> Request {
    Request { reasoning: Some(Reasoning { amount, display }), ..plain() }
}

fn effort(effort: Effort) -> Request {
    reasoning(Some(ReasoningAmount::Effort(effort)), None)
}

#[test]
fn the_smallest_request() {
    check("plain", &plain());
    check_as(&Anthropic::default(), "plain_whole", &plain(), None, Delivery::Whole);
    check_as(&Anthropic::new(AnthropicVersion::V2026), "plain_2026", &plain(), None, Delivery::Stream);
}

#[test]
fn a_system_prompt_and_what_stands_at_the_top() {
    let mut request = plain();
    request.system =
        vec![cached(Block::text("Be brief."), None), Block::text(""), cached(Block::text("Be kind."), Some(600))];
    request.stop_sequences = vec!["\n\nEND".to_owned(), ", 4".to_owned()];
    request.service_tier = Some("standard_only".to_owned());
    request.user = Some("user-7".to_owned());
    let body = serde_json::from_str(r#"{"speed":"fast","inference_geo":"us","stop_sequences":["X"]}"#).unwrap();
    let headers = BTreeMap::from([("anthropic-beta".to_owned(), "fast-mode-2026-02-01".to_owned())]);
    request.provider_options.insert(Vendor::new("anthropic"), ProviderOptions { body, headers });
    let other =
        ProviderOptions { headers: BTreeMap::from([("x-other".to_owned(), "1".to_owned())]), ..Default::default() };
    request.provider_options.insert(Vendor::new("openai"), other);
    check("top_level", &request);
}

#[test]
fn a_round_of_tools_in_two_messages_is_one_turn_with_the_results_first() {
    let error = BlockKind::ToolResult(ToolResult {
        tool_call_id: "b".to_owned(),
        name: "get_weather".to_owned(),
        content: vec![Block::text("no such city"), Block::text(""), image(inline("image/png", b"\x89PNG"))],
        is_error: true,
    });
    let direct = state_of(&identity(), r#"{"caller":{"type":"direct"},"future":1.50}"#);
    let mut other_call = call("b", "get_weather", "{}");
    if let BlockKind::ToolCall(call) = &mut other_call.kind {
        call.namespace = "desk".to_owned();
    }
    let messages = vec![
        user("Weather?"),
        user("In Paris, and in Oslo."),
        message(
            Role::Assistant,
            vec![
                Block::text("I'll look."),
                call("a", "get_weather", r#"{"city": "Paris", "n": 18446744073709551616}"#).with_state(direct),
                other_call,
            ],
        ),
        user("And hurry."),
        message(Role::Tool, vec![cached(result("a", vec![Block::text("sunny")]), Some(60))]),
        message(Role::Tool, vec![error.into(), result("c", vec![])]),
        user("Thanks."),
        message(Role::Assistant, vec![Block::text("Well: ")]),
    ];
    check("tool_round", &Request { messages, ..with_tools(&["get_weather"]) });
}

#[test]
fn images_and_documents_from_everywhere() {
    let mut about = document(inline("application/pdf", b"%PDF-1.7"));
    if let BlockKind::Document(document) = &mut about.kind {
        document.title = "Report".to_owned();
        document.context = "Last year's.".to_owned();
        document.citations = Some(true);
        document.filename = "report.pdf".to_owned();
    }
    let mut named = document(inline("text/markdown", "# Grüße".as_bytes()));
    if let BlockKind::Document(document) = &mut named.kind {
        document.filename = "greetings.md".to_owned();
    }
    let mut shrunk = image(at("https://example.org/a.png"));
    shrunk.provider_options = own(r#"{"transformations":{"oversized_image":"downsize"}}"#);
    let content = vec![
        image(inline("image/jpeg", b"\xff\xd8\xff")),
        shrunk,
        image(file("main")),
        cached(about, Some(3600)),
        named,
        document(at("https://example.org/a.pdf")),
        document(file("main")),
        Block::text("Compare."),
    ];
    check("media", &asking(vec![message(Role::User, content)]));
}

#[test]
fn what_only_this_vendor_made_goes_back_verbatim() {
    let block = |vendor: &str, json: &str| -> Block {
        let kind = "server_tool_use".to_owned();
        BlockKind::Provider(ProviderBlock { vendor: Vendor::new(vendor), kind, json: json.to_owned() }).into()
    };
    let thought = |text: &str, state: Option<ProviderState>| -> Block {
        let text = text.to_owned();
        Block { state, ..BlockKind::Reasoning(ReasoningText { text, redacted: false }).into() }
    };
    let mut elsewhere = identity();
    elsewhere.model = ModelId::new("claude-opus-5-5");
    let other_account =
        Identity::new(ProviderId::new("second"), Vendor::new("anthropic"), ModelId::new("claude-sonnet-5-5"));
    let signed = r#"{"type":"thinking","signature":"c2ln"}"#;
    let cited = Citation { kind: "char_location".to_owned(), cited_text: "Grass.".to_owned(), ..Citation::default() };
    let text = |text: &str| -> Block {
        BlockKind::Text(Text { text: text.to_owned(), citations: vec![cited.clone()], logprobs: vec![] }).into()
    };
    let content = vec![
        thought("Hm \"so\"", Some(state_of(&identity(), signed))),
        thought("", Some(state_of(&identity(), r#"{"type":"redacted_thinking","data":"b3BhcXVl"}"#))),
        thought("another model's", Some(state_of(&elsewhere, signed))),
        thought("another account's", Some(state_of(&other_account, signed))),
        thought("nobody's", None),
        thought("forged", Some(state_of(&identity(), r#"{"type":"image","source":{}}"#))),
        thought("forged", Some(state_of(&identity(), "[1]"))),
        thought("unsigned", Some(state_of(&identity(), r#"{"type":"thinking"}"#))),
        block("anthropic", r#"{"type":"server_tool_use","id":"s","name":"web_search","input":{"q": 1.0}}"#),
        cached(block("anthropic", r#"{"type":"web_search_tool_result","tool_use_id":"s","content":[]}"#), None),
        block("openai", r#"{"type":"web_search_call"}"#),
        text("Grass is green")
            .with_state(state_of(&identity(), r#"{"citations":[{"type":"char_location","cited_text":"Grass."}]}"#)),
        text("Sky is blue"),
        BlockKind::Refusal(Refusal { text: "I would rather not.".to_owned(), category: String::new() }).into(),
        thought("cut", Some(state_of(&identity(), r#"{"type":"thinking","signature":""}"#))),
    ];
    let only_foreign = message(Role::Assistant, vec![thought("nobody's", None)]);
    let messages = vec![user("Go."), message(Role::Assistant, content), user("Go on."), only_foreign, user("So?")];
    check("verbatim", &asking(messages));
}

#[test]
fn tools_of_all_kinds() {
    let mut strict = function("strict");
    strict.strict = Some(true);
    strict.provider_options = own(r#"{"eager_input_streaming":true}"#);
    let bare = FunctionTool { parameters: None, description: String::new(), ..function("bare") };
    let json = r#"{"type":"web_search_20260318","name":"web_search","max_uses":3}"#.to_owned();
    let search = ToolKind::Provider(ProviderTool { vendor: Vendor::new("anthropic"), json });
    let cache_breakpoint = Some(CacheBreakpoint { ttl: Some(Duration::from_secs(301)) });
    let tools =
        vec![tool(ToolKind::Function(strict)), tool(ToolKind::Function(bare)), Tool { kind: search, cache_breakpoint }];
    let mut request = Request { tools, parallel_tool_calls: Some(false), ..plain() };
    check("tools", &request);
    request.tool_choice = Some(ToolChoice { mode: ToolChoiceMode::Auto, names: vec!["web_search".to_owned()] });
    check("tools_named", &request);
}

#[test]
fn every_choice_of_tools() {
    let two = || with_tools(&["a", "b", "c"]);
    check("choice_auto", &choosing(two(), ToolChoiceMode::Auto, &[]));
    check("choice_none", &choosing(Request { parallel_tool_calls: Some(false), ..two() }, ToolChoiceMode::None, &[]));
    check("choice_required", &choosing(two(), ToolChoiceMode::Required, &[]));
    check(
        "choice_one",
        &choosing(Request { parallel_tool_calls: Some(false), ..two() }, ToolChoiceMode::Required, &["b"]),
    );
    check("choice_some", &choosing(two(), ToolChoiceMode::Required, &["a", "c"]));
    let forced = choosing(two(), ToolChoiceMode::Required, &[]);
    check_with("choice_forced_rejected", &forced, Some(&newest()));
    check_with("choice_forced_ignored", &ignoring(forced.clone()), Some(&newest()));
    let amount = Some(ReasoningAmount::Budget(Tokens::new(2000)));
    let reasoning = Some(Reasoning { amount, display: None });
    check_with("choice_forced_while_thinking", &ignoring(Request { reasoning, ..forced }), Some(&older()));
}

#[test]
fn an_answer_by_a_schema() {
    let schema = JsonSchema {
        name: "answer".to_owned(),
        description: "What it is.".to_owned(),
        schema: r#"{"type":"object","properties":{"n":{"type":"integer"}},"additionalProperties":false}"#.to_owned(),
        strict: Some(true),
    };
    let asked = |schema| Request { response_format: ResponseFormat::JsonSchema(schema), ..effort(Effort::Low) };
    check("schema", &asked(schema.clone()));
    check("schema_without_description", &asked(JsonSchema { description: String::new(), ..schema.clone() }));
    let own = r#"{"description":"its own","type":"object"}"#.to_owned();
    check("schema_with_its_own_description", &asked(JsonSchema { schema: own, ..schema }));
    check("json_object", &Request { response_format: ResponseFormat::JsonObject, ..plain() });
}

#[test]
fn reasoning_by_what_the_model_takes() {
    let budget = |tokens| reasoning(Some(ReasoningAmount::Budget(Tokens::new(tokens))), Some(true));
    let middle = facts(|_, constraints| {
        constraints.adaptive_reasoning = Some(true);
        constraints.sampling = Some(true);
        constraints.effort_max = Some(true);
    });
    let none = facts(|capabilities, _| capabilities.reasoning = Some(false));
    check("reasoning_unknown_model", &effort(Effort::XHigh));
    check("reasoning_unknown_model_budget", &budget(2048));
    check("reasoning_none", &effort(Effort::None));
    check("reasoning_shown", &reasoning(None, Some(true)));
    check("reasoning_hidden", &reasoning(None, Some(false)));
    check("reasoning_default", &reasoning(None, None));
    check_with("reasoning_newest_max", &effort(Effort::Max), Some(&newest()));
    check_with("reasoning_newest_minimal", &effort(Effort::Minimal), Some(&newest()));
    check_with("reasoning_newest_hidden", &reasoning(None, Some(false)), Some(&newest()));
    check_with("reasoning_newest_none_rejected", &effort(Effort::None), Some(&newest()));
    check_with("reasoning_newest_none_ignored", &ignoring(effort(Effort::None)), Some(&newest()));
    check_with("reasoning_newest_budget_ignored", &ignoring(budget(2048)), Some(&newest()));
    check_with("reasoning_middle_max", &effort(Effort::Max), Some(&middle));
    check_with("reasoning_middle_xhigh_ignored", &ignoring(effort(Effort::XHigh)), Some(&middle));
    check_with("reasoning_older_budget", &budget(2048), Some(&older()));
    check_with("reasoning_older_effort", &effort(Effort::High), Some(&older()));
    check_with("reasoning_older_none", &effort(Effort::None), Some(&older()));
    check_with("reasoning_older_shown", &reasoning(None, Some(true)), Some(&older()));
    let tight = Request { max_tokens: Some(Tokens::new(1024)), ..effort(Effort::Low) };
    check_with("reasoning_older_no_room", &tight, Some(&older()));
    check_with("reasoning_unable", &effort(Effort::Low), Some(&none));
    check_with("reasoning_unable_none", &effort(Effort::None), Some(&none));
}

#[test]
fn sampling_by_what_the_model_takes() {
    let sampled = |sampling| Request { sampling, ..plain() };
    let warm = Sampling { temperature: Some(0.7), top_k: Some(40), ..Sampling::default() };
    check("sampling", &sampled(warm));
    check("sampling_top_p", &sampled(Sampling { top_p: Some(0.9), ..Sampling::default() }));
    check("sampling_hot", &sampled(Sampling { temperature: Some(1.5), ..Sampling::default() }));
    check("sampling_both", &sampled(Sampling { top_p: Some(0.9), ..warm }));
    check_with("sampling_newest", &ignoring(sampled(warm)), Some(&newest()));
    check_as(&Anthropic::new(AnthropicVersion::V2026), "sampling_2026", &sampled(warm), None, Delivery::Stream);
    let all = Sampling {
        frequency_penalty: Some(0.1),
        presence_penalty: Some(0.2),
        seed: Some(7),
        top_logprobs: Some(3),
        ..Sampling::default()
    };
    check("sampling_unknown_rejected", &sampled(all));
    check("sampling_unknown_ignored", &ignoring(sampled(all)));
    let thinking = |sampling| {
        let amount = Some(ReasoningAmount::Budget(Tokens::new(2048)));
        ignoring(Request { reasoning: Some(Reasoning { amount, display: None }), ..sampled(sampling) })
    };
    check_with("sampling_while_thinking", &thinking(warm), Some(&older()));
    let wide = Sampling { temperature: Some(1.0), ..Sampling::default() };
    check_with("sampling_while_thinking_wide", &thinking(wide), Some(&older()));
}

#[test]
fn stop_sequences_of_white_space_are_not_taken() {
    let request = Request { stop_sequences: vec!["END".to_owned(), " \n".to_owned()], ..plain() };
    check("stop_sequences_rejected", &request);
    check("stop_sequences_ignored", &ignoring(request));
}

#[test]
fn a_fifth_cache_breakpoint_is_not_taken() {
    let content = (0..6).map(|n| cached(Block::text(format!("part {n}")), Some(300))).collect();
    check("cache_breakpoints", &ignoring(asking(vec![message(Role::User, content)])));
}

#[test]
fn how_a_conversation_may_end() {
    let prefill = asking(vec![user("Count."), message(Role::Assistant, vec![Block::text("1, 2")])]);
    check("prefill", &prefill);
    check_with("prefill_refused", &prefill, Some(&newest()));
    let mut paused = prefill.clone();
    paused.messages[1].state = Some(state_of(&identity(), r#"{"stop_reason":"pause_turn","container":"container_1"}"#));
    check_with("paused", &paused, Some(&newest()));
    let json = r#"{"type":"server_tool_use","id":"s","name":"web_fetch","input":{}}"#.to_owned();
    let vendor = Vendor::new("anthropic");
    let block = BlockKind::Provider(ProviderBlock { vendor, kind: "server_tool_use".to_owned(), json });
    let stateless = asking(vec![user("Look."), message(Role::Assistant, vec![block.into()])]);
    check_with("paused_without_state", &stateless, Some(&newest()));
}

#[test]
fn what_rules_the_endpoint_out() {
    let with = |block: Block| asking(vec![user("Look."), message(Role::User, vec![Block::text("Here:"), block])]);
    let by_model = |block: Block| asking(vec![user("Look."), message(Role::Assistant, vec![block]), user("So?")]);
    let sound = Audio { media: inline("audio/wav", b"RIFF"), transcript: String::new() };
    let detailed = BlockKind::Image(Image { media: at("https://example.org/a.png"), detail: "high".to_owned() });
    let mut free = call("a", "sql", "");
    if let BlockKind::ToolCall(call) = &mut free.kind {
        call.input = ToolInput::Text("SELECT 1".to_owned());
    }
    let within = |block| asking(vec![user("Look."), message(Role::Tool, vec![result("a", vec![block])])]);
    check("unfit_sound", &with(BlockKind::Audio(sound).into()));
    check("unfit_image_type", &with(image(inline("image/tiff", b"II*\0"))));
    check("unfit_image_address", &with(image(at("s3://bucket/a.png"))));
    check("unfit_image_file", &with(image(file("other"))));
    check("unfit_image_by_model", &by_model(image(at("https://example.org/a.png"))));
    check("unfit_image_detail", &with(detailed.into()));
    check("unfit_image_in_result", &within(image(at("gs://bucket/a.png"))));
    check("unfit_document_type", &with(document(inline("application/zip", b"PK"))));
    check("unfit_document_text", &with(document(inline("text/plain", b"\xff\xfe"))));
    check("unfit_free_text_call", &by_model(free));
    check("unfit_custom_tool", &{
        let (name, description) = ("sql".to_owned(), String::new());
        let custom = ToolKind::Custom(CustomTool { name, description, grammar: None });
        Request { tools: vec![tool(custom)], ..plain() }
    });
    check("unfit_other_vendors_tool", &{
        let foreign = ProviderTool { vendor: Vendor::new("openai"), json: r#"{"type":"web_search"}"#.to_owned() };
        Request { tools: vec![tool(ToolKind::Provider(foreign))], ..plain() }
    });
    let page = by_model(document(at("https://example.org/a.pdf")));
    check("document_by_model", &page);
    check_as(&Anthropic::new(AnthropicVersion::V2026), "unfit_document_by_model", &page, None, Delivery::Stream);
}

#[test]
fn a_model_that_is_known_to_be_unable_is_not_asked() {
    let unable = facts(|capabilities, _| {
        *capabilities = Capabilities {
            tools: Some(false),
            images: Some(false),
            documents: Some(false),
            json_schema: Some(false),
            ..Capabilities::default()
        };
    });
    let with = |block| asking(vec![message(Role::User, vec![block])]);
    let (name, schema) = ("n".to_owned(), "{}".to_owned());
    let format = JsonSchema { name, description: String::new(), schema, strict: None };
    check_with("unable_tools", &with_tools(&["a"]), Some(&unable));
    check_with("unable_images", &with(image(at("https://example.org/a.png"))), Some(&unable));
    check_with("unable_documents", &with(document(at("https://example.org/a.pdf"))), Some(&unable));
    let asked = Request { response_format: ResponseFormat::JsonSchema(format), ..plain() };
    check_with("unable_schema", &asked, Some(&unable));
}

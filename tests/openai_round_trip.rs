//! What a request says survives the way into Chat Completions: it is encoded, and an own reader of the format, which
//! shares no code with the encoder, makes the same request of the bytes again.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects, and this crate is nothing but tests"
)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use completiond::domain::*;
use completiond::protocol::{Delivery, Order, vendor};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::Value;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), ".{1,24}", "[\"\\\\/\u{0}-\u{1f}<>é日🙂]{1,12}"]
}

fn json_object() -> impl Strategy<Value = String> {
    vec(("[a-z]{1,6}", -1000_i64..1000, text()), 0..4).prop_map(|fields| {
        let fields = fields.into_iter().enumerate().map(|(place, (key, number, text))| {
            format!("\"{key}{place}\": [{number}, {}]", serde_json::to_string(&text).unwrap())
        });
        format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
    })
}

/// Numbers that a decimal holds exactly.
fn number(low: i32, high: i32) -> impl Strategy<Value = f64> {
    (low * 64..=high * 64).prop_map(|steps| f64::from(steps) / 64.0)
}

fn inline(types: &'static [&'static str]) -> impl Strategy<Value = Media> {
    (vec(any::<u8>(), 0..16), prop::sample::select(types)).prop_map(|(bytes, mime_type)| Media {
        source: MediaSource::Inline(bytes.into()),
        mime_type: mime_type.to_owned(),
    })
}

fn user_block() -> impl Strategy<Value = Block> {
    let address = "https://example.org/[a-z]{1,8}"
        .prop_map(|uri| Media { source: MediaSource::Uri(uri), mime_type: String::new() });
    let image = (prop_oneof![inline(&["image/png", "image/jpeg"]), address], prop_oneof!["", "low", "high"])
        .prop_map(|(media, detail)| BlockKind::Image(Image { media, detail }).into());
    let document = (inline(&["application/pdf"]), "[a-z]{1,8}\\.pdf").prop_map(|(media, filename)| {
        let (title, context, citations) = (String::new(), String::new(), None);
        BlockKind::Document(Document { media, title, context, citations, filename }).into()
    });
    let audio = inline(&["audio/wav", "audio/mpeg"])
        .prop_map(|media| BlockKind::Audio(Audio { media, transcript: String::new() }).into());
    prop_oneof![4 => text().prop_map(Block::text), 1 => image, 1 => document, 1 => audio]
}

fn call() -> impl Strategy<Value = ToolCall> {
    let input = prop_oneof![json_object().prop_map(ToolInput::Json), text().prop_map(ToolInput::Text)];
    ("[a-zA-Z0-9_]{1,40}", "[a-z]{1,8}", input).prop_map(|(id, name, input)| ToolCall {
        id,
        name,
        input,
        incomplete: false,
        namespace: String::new(),
    })
}

/// A question, an answer with calls, and the results of these.
fn turn() -> impl Strategy<Value = Vec<Message>> {
    let said = |role, content| Message { role, content, state: None };
    let answer = (vec(text(), 1..3), vec((call(), vec(text(), 1..3)), 0..3), option::of(text()));
    (vec(user_block(), 1..4), option::of(answer)).prop_map(move |(question, answer)| {
        let mut messages = vec![said(Role::User, question)];
        let Some((texts, calls, refusal)) = answer else { return messages };
        let mut content: Vec<_> = texts.into_iter().map(Block::text).collect();
        let refusal = refusal.map(|text| BlockKind::Refusal(Refusal { text, category: String::new() }).into());
        content.extend(refusal);
        content.extend(calls.iter().map(|(call, _)| BlockKind::ToolCall(call.clone()).into()));
        messages.push(said(Role::Assistant, content));
        let results: Vec<_> = calls.into_iter().map(|(call, texts)| result(call.id, texts)).collect();
        if !results.is_empty() {
            messages.push(said(Role::Tool, results));
        }
        messages
    })
}

fn result(tool_call_id: String, texts: Vec<String>) -> Block {
    let content = texts.into_iter().map(Block::text).collect();
    BlockKind::ToolResult(ToolResult { tool_call_id, name: String::new(), content, is_error: false }).into()
}

fn tools() -> impl Strategy<Value = Vec<Tool>> {
    let function =
        (text(), option::of(json_object()), any::<Option<bool>>()).prop_map(|(description, parameters, strict)| {
            ToolKind::Function(FunctionTool {
                name: String::new(),
                description,
                parameters,
                strict,
                provider_options: VendorJson::new(),
            })
        });
    let grammar = ("lark|regex", text()).prop_map(|(syntax, definition)| Grammar { syntax, definition });
    let custom = (text(), option::of(grammar))
        .prop_map(|(description, grammar)| ToolKind::Custom(CustomTool { name: String::new(), description, grammar }));
    vec(prop_oneof![function, custom], 1..4).prop_map(|kinds| {
        let named = kinds.into_iter().enumerate().map(|(place, mut kind)| {
            match &mut kind {
                ToolKind::Function(tool) => tool.name = format!("tool_{place}"),
                ToolKind::Custom(tool) => tool.name = format!("tool_{place}"),
                ToolKind::Provider(_) => {}
            }
            Tool { kind, cache_breakpoint: None }
        });
        named.collect()
    })
}

fn choice(tools: usize) -> impl Strategy<Value = Option<ToolChoice>> {
    let mode = prop_oneof![Just(ToolChoiceMode::Auto), Just(ToolChoiceMode::None), Just(ToolChoiceMode::Required)];
    let places = prop::sample::subsequence((0..tools).collect::<Vec<_>>(), 0..=tools);
    option::of((mode, places)).prop_map(|choice| {
        let (mode, places) = choice?;
        // Which tools may not be called says nothing where none may be.
        let places = if mode == ToolChoiceMode::None { Vec::new() } else { places };
        Some(ToolChoice { mode, names: places.iter().map(|place| format!("tool_{place}")).collect() })
    })
}

fn sampling() -> impl Strategy<Value = Sampling> {
    let of = |low, high| option::of(number(low, high));
    (of(0, 2), of(0, 1), of(-2, 2), of(-2, 2), any::<Option<i64>>(), option::of(0_u32..=20)).prop_map(
        |(temperature, top_p, frequency_penalty, presence_penalty, seed, top_logprobs)| Sampling {
            temperature,
            top_p,
            top_k: None,
            frequency_penalty,
            presence_penalty,
            seed,
            top_logprobs,
        },
    )
}

fn format() -> impl Strategy<Value = ResponseFormat> {
    let schema =
        ("[a-z]{1,8}", text(), json_object(), any::<Option<bool>>()).prop_map(|(name, description, schema, strict)| {
            ResponseFormat::JsonSchema(JsonSchema { name, description, schema, strict })
        });
    prop_oneof![Just(ResponseFormat::Text), Just(ResponseFormat::JsonObject), schema]
}

fn reasoning() -> impl Strategy<Value = Option<Reasoning>> {
    let efforts =
        vec![Effort::None, Effort::Minimal, Effort::Low, Effort::Medium, Effort::High, Effort::XHigh, Effort::Max];
    option::of(prop::sample::select(efforts)).prop_map(|effort| {
        effort.map(|effort| Reasoning { amount: Some(ReasoningAmount::Effort(effort)), display: None })
    })
}

fn request() -> impl Strategy<Value = Request> {
    let with_tools = tools().prop_flat_map(|tools| {
        let count = tools.len();
        (Just(tools), choice(count), any::<Option<bool>>())
    });
    let tools = prop_oneof![Just((Vec::new(), None, None)), with_tools];
    let talk = (vec(text().prop_map(Block::text), 0..3), vec(turn(), 0..3), vec(user_block(), 1..3));
    let words = (option::of("[a-z]{1,8}"), option::of("[a-z0-9]{1,128}"), vec(".{1,8}", 0..=4), 1_u32..100_000);
    (talk, tools, sampling(), format(), reasoning(), words).prop_map(
        |(
            (system, turns, last),
            (tools, tool_choice, parallel_tool_calls),
            sampling,
            response_format,
            reasoning,
            words,
        )| {
            let (service_tier, user, stop_sequences, max_tokens) = words;
            let mut messages: Vec<_> = turns.into_iter().flatten().collect();
            messages.push(Message { role: Role::User, content: last, state: None });
            Request {
                system,
                messages,
                max_tokens: Some(Tokens::new(max_tokens)),
                sampling,
                stop_sequences,
                tools,
                tool_choice,
                parallel_tool_calls,
                response_format,
                reasoning,
                service_tier,
                user,
                ..Request::default()
            }
        },
    )
}

fn encoded(request: &Request) -> Vec<u8> {
    let identity = Identity::new(ProviderId::new("main"), Vendor::new("openai"), ModelId::new("m"));
    let (facts, delivery, max_tokens) = (None, Delivery::Stream, request.max_tokens.unwrap());
    let order = Order { request, identity: &identity, facts, delivery, max_tokens, prompt_cache: request.prompt_cache };
    let exchange = (vendor::preset("openai").unwrap().protocol)().encode(&order).unwrap();
    assert!(exchange.ignored.is_empty(), "{:?}", exchange.ignored);
    exchange.body.to_vec()
}

/// The body, with the schemas and arguments as they stand in it.
fn read(body: &[u8]) -> Request {
    let value: Value = serde_json::from_slice(body).unwrap();
    let mut request = Request {
        max_tokens: value["max_completion_tokens"].as_u64().map(|n| Tokens::new(n.try_into().unwrap())),
        sampling: read_sampling(&value),
        stop_sequences: list(&value["stop"]).iter().map(string).collect(),
        tools: list(&value["tools"]).iter().map(read_tool).collect(),
        tool_choice: read_choice(&value["tool_choice"]),
        parallel_tool_calls: value["parallel_tool_calls"].as_bool(),
        response_format: read_format(&value["response_format"]),
        reasoning: value["reasoning_effort"].as_str().map(read_effort),
        service_tier: value["service_tier"].as_str().map(str::to_owned),
        user: value["safety_identifier"].as_str().map(str::to_owned),
        ..Request::default()
    };
    for message in list(&value["messages"]) {
        match message["role"].as_str().unwrap() {
            "developer" => request.system = read_content(&message["content"]),
            "tool" => {
                let content = read_content(&message["content"]);
                let tool_call_id = string(&message["tool_call_id"]);
                let (name, is_error) = (String::new(), false);
                let block = BlockKind::ToolResult(ToolResult { tool_call_id, name, content, is_error }).into();
                match request.messages.last_mut().filter(|last| last.role == Role::Tool) {
                    Some(last) => last.content.push(block),
                    None => request.messages.push(Message { role: Role::Tool, content: vec![block], state: None }),
                }
            }
            role => {
                let role = if role == "user" { Role::User } else { Role::Assistant };
                let mut content = read_content(&message["content"]);
                let refusal = message["refusal"].as_str().map(str::to_owned);
                content
                    .extend(refusal.map(|text| BlockKind::Refusal(Refusal { text, category: String::new() }).into()));
                content.extend(list(&message["tool_calls"]).iter().map(read_call));
                request.messages.push(Message { role, content, state: None });
            }
        }
    }
    request
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn read_sampling(value: &Value) -> Sampling {
    let top_logprobs = value["top_logprobs"].as_u64().map(|n| n.try_into().unwrap());
    assert_eq!(value["logprobs"].as_bool(), top_logprobs.map(|_: u32| true));
    Sampling {
        temperature: value["temperature"].as_f64(),
        top_p: value["top_p"].as_f64(),
        top_k: None,
        frequency_penalty: value["frequency_penalty"].as_f64(),
        presence_penalty: value["presence_penalty"].as_f64(),
        seed: value["seed"].as_i64(),
        top_logprobs,
    }
}

fn read_content(value: &Value) -> Vec<Block> {
    match value {
        Value::String(text) => vec![Block::text(text)],
        value => list(value).iter().map(read_part).collect(),
    }
}

fn read_part(part: &Value) -> Block {
    let inner = &part[part["type"].as_str().unwrap()];
    match part["type"].as_str().unwrap() {
        "text" => Block::text(string(inner)),
        "image_url" => {
            let media = read_address(inner["url"].as_str().unwrap());
            BlockKind::Image(Image { media, detail: string(&inner["detail"]) }).into()
        }
        "file" => {
            let media = read_address(inner["file_data"].as_str().unwrap());
            let (title, context, citations, filename) =
                (String::new(), String::new(), None, string(&inner["filename"]));
            BlockKind::Document(Document { media, title, context, citations, filename }).into()
        }
        "input_audio" => {
            let mime_type = if inner["format"] == "wav" { "audio/wav" } else { "audio/mpeg" };
            let bytes = STANDARD.decode(inner["data"].as_str().unwrap()).unwrap();
            let media = Media { source: MediaSource::Inline(bytes.into()), mime_type: mime_type.into() };
            BlockKind::Audio(Audio { media, transcript: String::new() }).into()
        }
        other => panic!("a part of type {other}"),
    }
}

fn read_address(url: &str) -> Media {
    match url.strip_prefix("data:").and_then(|url| url.split_once(";base64,")) {
        Some((mime_type, data)) => {
            let source = MediaSource::Inline(STANDARD.decode(data).unwrap().into());
            Media { source, mime_type: mime_type.into() }
        }
        None => Media { source: MediaSource::Uri(url.into()), mime_type: String::new() },
    }
}

fn read_call(call: &Value) -> Block {
    let inner = &call[call["type"].as_str().unwrap()];
    let input = match call["type"].as_str().unwrap() {
        "function" => ToolInput::Json(string(&inner["arguments"])),
        _ => ToolInput::Text(string(&inner["input"])),
    };
    let (id, name) = (string(&call["id"]), string(&inner["name"]));
    BlockKind::ToolCall(ToolCall { id, name, input, incomplete: false, namespace: String::new() }).into()
}

fn read_tool(tool: &Value) -> Tool {
    let inner = &tool[tool["type"].as_str().unwrap()];
    let (name, description) = (string(&inner["name"]), string(&inner["description"]));
    let kind = match tool["type"].as_str().unwrap() {
        "function" => ToolKind::Function(FunctionTool {
            name,
            description,
            parameters: inner.get("parameters").map(Value::to_string),
            strict: inner["strict"].as_bool(),
            provider_options: VendorJson::new(),
        }),
        _ => {
            let grammar = inner.get("format").map(|format| Grammar {
                syntax: string(&format["grammar"]["syntax"]),
                definition: string(&format["grammar"]["definition"]),
            });
            ToolKind::Custom(CustomTool { name, description, grammar })
        }
    };
    Tool { kind, cache_breakpoint: None }
}

fn read_choice(choice: &Value) -> Option<ToolChoice> {
    let mode = |word: &Value| match word.as_str().unwrap() {
        "auto" => ToolChoiceMode::Auto,
        "none" => ToolChoiceMode::None,
        _ => ToolChoiceMode::Required,
    };
    let name = |named: &Value| string(&named[named["type"].as_str().unwrap()]["name"]);
    match choice {
        Value::Null => None,
        Value::String(_) => Some(ToolChoice { mode: mode(choice), names: Vec::new() }),
        choice if choice["type"] == "allowed_tools" => {
            let allowed = &choice["allowed_tools"];
            Some(ToolChoice { mode: mode(&allowed["mode"]), names: list(&allowed["tools"]).iter().map(name).collect() })
        }
        choice => Some(ToolChoice { mode: ToolChoiceMode::Required, names: vec![name(choice)] }),
    }
}

fn read_format(format: &Value) -> ResponseFormat {
    match format["type"].as_str() {
        None => ResponseFormat::Text,
        Some("json_object") => ResponseFormat::JsonObject,
        Some(_) => ResponseFormat::JsonSchema(JsonSchema {
            name: string(&format["json_schema"]["name"]),
            description: string(&format["json_schema"]["description"]),
            schema: format["json_schema"]["schema"].to_string(),
            strict: format["json_schema"]["strict"].as_bool(),
        }),
    }
}

fn read_effort(word: &str) -> Reasoning {
    let efforts =
        [Effort::None, Effort::Minimal, Effort::Low, Effort::Medium, Effort::High, Effort::XHigh, Effort::Max];
    let effort = efforts.into_iter().find(|effort| effort.as_str() == word).unwrap();
    Reasoning { amount: Some(ReasoningAmount::Effort(effort)), display: None }
}

/// Schemas are objects to the reader: equal when they say the same.
fn with_plain_schemas(mut request: Request) -> Request {
    let plain = |json: &mut String| *json = serde_json::from_str::<Value>(json).unwrap().to_string();
    if let ResponseFormat::JsonSchema(schema) = &mut request.response_format {
        plain(&mut schema.schema);
    }
    for tool in &mut request.tools {
        if let ToolKind::Function(tool) = &mut tool.kind {
            tool.parameters.as_mut().map(plain);
        }
    }
    request
}

proptest! {
    #[test]
    fn a_request_survives_the_wire(request in request()) {
        let body = encoded(&request);
        prop_assert_eq!(read(&body), with_plain_schemas(request));
    }

    #[test]
    fn schemas_go_out_byte_for_byte(schema in json_object(), arguments in json_object()) {
        let format = JsonSchema { name: "a".into(), description: String::new(), schema: schema.clone(), strict: None };
        let call = ToolCall {
            id: "1".into(),
            name: "f".into(),
            input: ToolInput::Json(arguments.clone()),
            incomplete: false,
            namespace: String::new(),
        };
        let said = |role, block: Block| Message { role, content: vec![block], state: None };
        let request = Request {
            messages: vec![
                said(Role::Assistant, BlockKind::ToolCall(call).into()),
                said(Role::Tool, result("1".into(), vec![String::new()])),
            ],
            max_tokens: Some(Tokens::new(1)),
            response_format: ResponseFormat::JsonSchema(format),
            ..Request::default()
        };
        let body = String::from_utf8(encoded(&request)).unwrap();
        let (schema, arguments) = (format!("\"schema\":{schema}"), serde_json::to_string(&arguments).unwrap());
        prop_assert!(body.contains(&schema) && body.contains(&arguments));
    }
}

//! Answers end to end: a generated client, our server, and an upstream that speaks a provider's wire protocol, all over
//! real sockets.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects")]

mod support;

use std::collections::BTreeSet;

use completiond::proto::complete_request::Reasoning;
use completiond::proto::complete_request::reasoning::Amount;
use completiond::proto::content_block::Block;
use completiond::proto::media::Source;
use completiond::proto::response_format::{Format, JsonSchemaFormat};
use completiond::proto::stream_complete_response::Event;
use completiond::proto::tool::Tool as ToolOf;
use completiond::proto::tool_call::Input;
use completiond::proto::{
    AttemptOutcome, CompleteRequest, CompleteResponse, ContentBlock, Effort, FinishReason, FunctionTool, Image,
    ListModelsRequest, Media, Message, ProviderOptions, ResponseFormat, Role, Text, Tool, ToolCall, ToolChoice,
    ToolChoiceMode, ToolResult, UnsupportedParameters, UsageSource,
};
use completiond::simulator::{Simulator, Upstream};
use serde_json::{Value, json};
use support::{KEY, PROTOCOLS, Server, ask, provider, refused};
use tonic::{Code, Request};

/// A provider of each protocol at one upstream, called like its protocol.
async fn both() -> (Upstream, Server) {
    with("").await
}

async fn with(settings: &str) -> (Upstream, Server) {
    let upstream = Upstream::start(Simulator::default()).await.unwrap();
    let providers: String = PROTOCOLS.iter().map(|protocol| provider(protocol, protocol, &upstream.url())).collect();
    let server = Server::start(&format!("{settings}\nproviders:\n{providers}")).await;
    (upstream, server)
}

/// The body of the last request that reached the upstream.
fn last_body(upstream: &Upstream) -> Value {
    serde_json::from_slice(&upstream.received().last().unwrap().body).unwrap()
}

fn block(block: Block) -> ContentBlock {
    ContentBlock { block: Some(block), ..ContentBlock::default() }
}

fn text(text: &str) -> ContentBlock {
    block(Block::Text(Text { text: text.into(), ..Text::default() }))
}

fn say(role: Role, content: Vec<ContentBlock>) -> Message {
    Message { role: role.into(), content, ..Message::default() }
}

fn weather() -> Tool {
    let parameters = json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
    let function = FunctionTool {
        name: "weather".into(),
        description: "tells the weather".into(),
        parameters_json: parameters.to_string(),
        ..FunctionTool::default()
    };
    Tool { tool: Some(ToolOf::Function(function)), ..Tool::default() }
}

fn effort(effort: Effort) -> Option<Reasoning> {
    Some(Reasoning { amount: Some(Amount::Effort(effort.into())), display: None })
}

fn by_schema(schema: &Value) -> Option<ResponseFormat> {
    let format = JsonSchemaFormat { schema_json: schema.to_string(), ..JsonSchemaFormat::default() };
    Some(ResponseFormat { format: Some(Format::JsonSchema(format)) })
}

/// All that differs from call to call: ids and times.
fn settled(mut response: CompleteResponse) -> CompleteResponse {
    let outcome = response.outcome.as_mut().unwrap();
    outcome.id.clear();
    for attempt in &mut outcome.attempts {
        assert!(attempt.duration.take().is_some() && attempt.time_to_first_event.take().is_some());
    }
    response
}

/// The same without what an upstream makes from the bytes of a request.
fn without_upstream_ids(response: CompleteResponse) -> CompleteResponse {
    let mut response = settled(response);
    response.outcome.as_mut().unwrap().provider_metadata.clear();
    for block in &mut response.message.as_mut().unwrap().content {
        if let Some(Block::ToolCall(call)) = &mut block.block {
            call.id.clear();
        }
    }
    response
}

/// What is done to a plain request.
type Shape = fn(&mut CompleteRequest);

/// Requests of all kinds, by what they do to an answer.
const SHAPES: &[(&str, Shape)] = &[
    ("sim: echo\none two three", |_| {}),
    ("sim: split=1 echo\nnaïve 日本語 🙂", |_| {}),
    ("sim: think=4 echo\nhello", |_| {}),
    ("sim: tool=weather", |a| a.tools = vec![weather()]),
    ("sim: tools=3", |a| a.tools = vec![weather()]),
    ("sim: tools=2 think=3", |a| a.tools = vec![weather()]),
    ("sim: refuse", |_| {}),
    ("sim: filter", |_| {}),
    ("sim: filter=prompt", |_| {}),
    ("sim: echo\none two three", |a| a.max_tokens = Some(2)),
    ("sim: echo\none STOP three", |a| a.stop_sequences = vec!["STOP".into()]),
    ("sim: cached=5 echo\nhello", |_| {}),
    ("sim: finish=whatever echo\nhello", |_| {}),
    ("sim: no_usage echo\nhello", |_| {}),
    ("hello", |a| {
        a.response_format = by_schema(&json!({ "type": "object", "properties": { "n": { "type": "integer" } } }))
    }),
    ("hello", |a| a.reasoning = effort(Effort::Low)),
];

#[tokio::test]
async fn whole_and_streamed_answers_to_the_same_request_agree() {
    let (_upstream, server) = both().await;
    for (prompt, shape) in SHAPES {
        for protocol in PROTOCOLS {
            for max_tokens in [1000, 5000] {
                let mut asked = ask(&format!("{protocol}/m"), prompt);
                asked.max_tokens = Some(max_tokens);
                shape(&mut asked);
                let bound = asked.max_tokens.unwrap();
                let context = format!("{protocol} {bound} {prompt}");
                let whole = server.complete(asked.clone()).await.unwrap_or_else(|seen| panic!("{context}: {seen:#?}"));
                let folded = server.stream(asked).await.unwrap().fold();
                // A short answer is asked for whole, and the upstream's ids depend on what is asked.
                let (whole, folded) = match bound {
                    ..=1024 => (without_upstream_ids(whole), without_upstream_ids(folded)),
                    _ => (settled(whole), settled(folded)),
                };
                assert_eq!(whole, folded, "{context}");
            }
        }
    }
}

#[tokio::test]
async fn a_prompt_is_answered_with_all_that_is_known_about_the_answer() {
    let (_upstream, server) = both().await;
    for protocol in PROTOCOLS {
        let response = server.complete(ask(&format!("{protocol}/m"), "sim: echo cached=3\nhi there")).await.unwrap();
        assert_eq!(response.text, "hi there");
        let outcome = response.outcome.unwrap();
        assert_eq!((outcome.provider.as_str(), outcome.model.as_str()), (protocol, "simulator"));
        assert_eq!(outcome.finish_reason(), FinishReason::Stop);
        assert!(!outcome.simulated, "the upstream is a stranger as far as the server knows");
        let usage = outcome.usage.clone().unwrap();
        assert_eq!((usage.source(), usage.output_tokens, usage.cache_read_tokens), (UsageSource::Provider, 2, 3));
        assert_eq!(usage.total_tokens, usage.input_tokens + usage.output_tokens);
        assert_eq!(usage.items.iter().map(|item| item.quantity).sum::<i64>(), i64::from(usage.total_tokens));
        let attempt = &outcome.attempts[0];
        assert_eq!(
            (attempt.outcome(), attempt.endpoint.as_str()),
            (AttemptOutcome::Finished, &*format!("{protocol}/m"))
        );
        assert_eq!((attempt.status, outcome.attempts.len()), (0, 1));
    }
}

#[tokio::test]
async fn a_tool_is_called_and_its_result_goes_back() {
    let (upstream, server) = both().await;
    for protocol in PROTOCOLS {
        let mut asked = ask(&format!("{protocol}/m"), "sim: tools=2 args={\"city\":\"Bonn\"}");
        asked.tools = vec![weather()];
        let response = server.stream(asked.clone()).await.unwrap().fold();
        assert_eq!(response.outcome.unwrap().finish_reason(), FinishReason::ToolCalls, "{protocol}");
        let message = response.message.unwrap();
        let calls: Vec<&ToolCall> = message
            .content
            .iter()
            .filter_map(|block| match &block.block {
                Some(Block::ToolCall(call)) => Some(call),
                _ => None,
            })
            .collect();
        assert_eq!(calls.len(), 2, "{protocol}");
        assert_eq!(calls[0].input, Some(Input::ArgumentsJson(r#"{"city":"Bonn"}"#.into())), "{protocol}");
        let ids: BTreeSet<String> = calls.iter().map(|call| call.id.clone()).collect();

        let results = ids.iter().map(|id| {
            block(Block::ToolResult(ToolResult {
                tool_call_id: id.clone(),
                content: vec![text("rain")],
                ..ToolResult::default()
            }))
        });
        asked.messages = vec![say(Role::User, vec![text(&asked.prompt)]), message, say(Role::Tool, results.collect())];
        asked.prompt.clear();
        let answer = server.complete(asked).await.unwrap_or_else(|seen| panic!("{protocol}: {seen:#?}"));
        assert!(answer.text.contains("It came with 2 tool results"), "{protocol}: {}", answer.text);
        let sent = last_body(&upstream).to_string();
        assert!(ids.iter().all(|id| sent.matches(id.as_str()).count() == 2), "{protocol}: {sent}");
    }
}

#[tokio::test]
async fn what_a_provider_signs_comes_back_to_it_verbatim() {
    let (upstream, server) = both().await;
    let mut asked = ask("anthropic/m", "sim: echo\nhello");
    asked.reasoning = effort(Effort::Medium);
    let response = server.stream(asked.clone()).await.unwrap().fold();
    let message = response.message.unwrap();
    let Some(Block::Reasoning(reasoning)) = &message.content[0].block else { panic!("{message:#?}") };
    assert!(!reasoning.text.is_empty() && !message.content[0].provider_state.is_empty());
    let state: Value = serde_json::from_slice(&message.content[0].provider_state).unwrap();

    let turns = |answer: Message| {
        let mut again = asked.clone();
        again.messages = vec![say(Role::User, vec![text("sim: echo\nhello")]), answer];
        again.prompt = "sim: echo\ngo on".into();
        again
    };
    // The upstream refuses a signature that does not fit its text.
    assert_eq!(server.complete(turns(message.clone())).await.unwrap().text, "go on");
    let sent = last_body(&upstream);
    let thinking = &sent["messages"][1]["content"][0];
    assert_eq!((&thinking["type"], &thinking["thinking"]), (&json!("thinking"), &json!(reasoning.text)));
    let signature = thinking["signature"].as_str().unwrap();
    assert!(signature.starts_with("sim") && state.to_string().contains(signature), "{state}");

    // Another vendor gets the conversation without it, and the caller is told so.
    let mut elsewhere = turns(message);
    (elsewhere.model, elsewhere.reasoning) = ("openai/m".into(), None);
    let outcome = server.complete(elsewhere).await.unwrap().outcome.unwrap();
    assert_eq!(outcome.ignored_parameters, ["messages[1].content[0]"]);
    assert!(!last_body(&upstream).to_string().contains(signature));
}

#[tokio::test]
async fn an_image_reaches_the_upstream() {
    let (upstream, server) = both().await;
    for (protocol, expected) in [
        ("anthropic", json!({ "type": "base64", "media_type": "image/png", "data": "aW1hZ2U=" })),
        ("openai", json!({ "url": "data:image/png;base64,aW1hZ2U=" })),
    ] {
        let media = Media { source: Some(Source::Data("image".into())), mime_type: "image/png".into() };
        let picture = block(Block::Image(Image { media: Some(media), ..Image::default() }));
        let mut asked = ask(&format!("{protocol}/m"), "");
        asked.messages = vec![say(Role::User, vec![text("what is this?"), picture])];
        let answer = server.complete(asked).await.unwrap();
        assert!(answer.text.contains("It came with one image"), "{protocol}: {}", answer.text);
        let part = last_body(&upstream)["messages"][0]["content"][1].clone();
        assert_eq!([&part["source"], &part["image_url"]].into_iter().find(|at| !at.is_null()), Some(&expected));
    }
}

#[tokio::test]
async fn an_answer_follows_its_schema_and_stops_where_it_should() {
    let (upstream, server) = both().await;
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"], "additionalProperties": false });
    for protocol in PROTOCOLS {
        let mut asked = ask(&format!("{protocol}/m"), "a number");
        asked.response_format = by_schema(&schema);
        let answer: Value = serde_json::from_str(&server.complete(asked).await.unwrap().text).unwrap();
        assert!(answer["n"].is_i64(), "{protocol}: {answer}");
        assert!(last_body(&upstream).to_string().contains(&schema.to_string()), "{protocol}");

        let mut asked = ask(&format!("{protocol}/m"), "sim: echo\none STOP two");
        asked.stop_sequences = vec!["STOP".into()];
        let response = server.complete(asked).await.unwrap();
        assert_eq!(response.text.trim(), "one", "{protocol}");
        // Only this protocol says what stopped it.
        let (reason, sequence) = match protocol {
            "anthropic" => (FinishReason::StopSequence, "STOP"),
            _ => (FinishReason::Stop, ""),
        };
        let outcome = response.outcome.unwrap();
        assert_eq!((outcome.finish_reason(), outcome.stop_sequence.as_str()), (reason, sequence), "{protocol}");

        let mut asked = ask(&format!("{protocol}/m"), "sim: echo\none two three");
        asked.max_tokens = Some(2);
        let response = server.complete(asked).await.unwrap();
        assert_eq!(
            (response.text.as_str(), response.outcome.unwrap().finish_reason()),
            ("one two", FinishReason::MaxTokens)
        );
    }
}

#[tokio::test]
async fn every_call_is_bounded_and_the_bound_is_told() {
    let (upstream, server) = both().await;
    let cases: &[(&str, Shape, i32)] = &[
        ("anthropic/m", |_| {}, 8192),
        ("openai/m", |_| {}, 8192),
        ("anthropic/m", |a| a.max_tokens = Some(77), 77),
        ("openai/m", |a| a.max_tokens = Some(77), 77),
        ("anthropic/m", |a| a.reasoning = effort(Effort::Low), 8192 + 4096),
        ("openai/m", |a| a.reasoning = effort(Effort::High), 8192 + 16_384),
        ("anthropic/m", |a| (a.reasoning, a.max_tokens) = (effort(Effort::High), Some(9000)), 9000),
        // What the model can do at most.
        ("anthropic/claude-3-5-haiku-20241022", |_| {}, 8192),
        (
            "anthropic/claude-haiku-4-5",
            |a| a.reasoning = Some(Reasoning { amount: Some(Amount::BudgetTokens(60_000)), display: None }),
            64_000,
        ),
    ];
    for (model, shape, expected) in cases {
        let mut asked = ask(model, "hello");
        shape(&mut asked);
        let outcome = server.complete(asked).await.unwrap_or_else(|seen| panic!("{model}: {seen:#?}")).outcome.unwrap();
        let sent = last_body(&upstream);
        let bound = [&sent["max_tokens"], &sent["max_completion_tokens"]].into_iter().find(|at| !at.is_null());
        assert_eq!((bound, outcome.max_tokens), (Some(&json!(expected)), *expected), "{model}: {sent}");
    }
}

#[tokio::test]
async fn a_parameter_that_no_target_takes_is_rejected_or_told_as_ignored() {
    let (upstream, server) = both().await;
    let mut asked = ask("anthropic/m", "sim: echo\nhello");
    (asked.seed, asked.frequency_penalty) = (Some(7), Some(0.5));
    let seen = server.complete(asked.clone()).await.unwrap_err();
    assert_eq!(seen.kind(), (Code::InvalidArgument, "INVALID_REQUEST"), "{seen:#?}");
    assert_eq!(seen.fields().into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(["frequency_penalty", "seed"]));
    let skipped = &seen.failure().attempts[0];
    assert_eq!((skipped.outcome(), skipped.duration), (AttemptOutcome::Skipped, None));
    assert_eq!(refused(server.stream(asked.clone()).await).fields().len(), 2);
    assert!(upstream.received().is_empty());

    asked.unsupported_parameters = UnsupportedParameters::Ignore.into();
    let outcome = server.complete(asked).await.unwrap().outcome.unwrap();
    assert_eq!(
        outcome.ignored_parameters.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        BTreeSet::from(["frequency_penalty", "seed"])
    );
    assert!(last_body(&upstream).get("seed").is_none());
}

#[tokio::test]
async fn options_of_a_vendor_reach_that_vendor_alone() {
    let (upstream, server) = with("provider_option_headers: [x-beta]").await;
    let options = |body: &str| ProviderOptions {
        body_json: body.into(),
        headers: [("X-Beta".to_owned(), "yes".to_owned())].into(),
    };
    for protocol in PROTOCOLS {
        let mut asked = ask(&format!("{protocol}/m"), "sim: echo\nhello");
        asked.temperature = Some(0.5);
        asked.unsupported_parameters = UnsupportedParameters::Ignore.into();
        asked.provider_options.insert(protocol.into(), options(r#"{"temperature":0.25,"new":{"a":[1]}}"#));
        let other = PROTOCOLS.into_iter().find(|other| *other != protocol).unwrap();
        asked.provider_options.insert(other.into(), options(r#"{"foreign":1}"#));
        server.complete(asked.clone()).await.unwrap();
        let sent = last_body(&upstream);
        assert_eq!((&sent["temperature"], &sent["new"]), (&json!(0.25), &json!({ "a": [1] })), "{protocol}");
        assert!(sent.get("foreign").is_none(), "{protocol}");
        assert_eq!(upstream.received().last().unwrap().headers["x-beta"], "yes");

        for key in ["model", "messages", "max_tokens", "stream", "n", "tools"] {
            asked.provider_options.insert(protocol.into(), options(&json!({ key: 1 }).to_string()));
            let seen = server.complete(asked.clone()).await.unwrap_err();
            assert_eq!(seen.fields(), [format!("provider_options[\"{protocol}\"].body_json")], "{key}");
        }
    }
}

#[tokio::test]
async fn only_the_built_in_simulator_says_that_it_simulates() {
    let server = Server::start("providers:\n  - { id: sim, preset: simulator }\n").await;
    let asked = ask("sim/simulator", "sim: echo\nhello");
    let whole = server.complete(asked.clone()).await.unwrap();
    let folded = server.stream(asked).await.unwrap().fold();
    for response in [whole, folded] {
        let outcome = response.outcome.unwrap();
        assert_eq!((outcome.simulated, outcome.model.as_str(), response.text.as_str()), (true, "simulator", "hello"));
    }
}

#[tokio::test]
async fn models_are_listed_page_by_page() {
    let (_upstream, server) = with("default_model: smart\nmodels:\n  - { id: smart, targets: [{ provider: openai, model: gpt-5.4-pro }, { provider: anthropic, model: x, priority: 1 }] }\n  - { id: later, targets: [{ provider: openai, model: gpt-5.4-pro }] }").await;
    let list = |page_size: i32, page_token: String| {
        let mut client = server.client();
        async move { client.list_models(ListModelsRequest { page_size, page_token }).await.map(tonic::Response::into_inner) }
    };
    let all = list(1000, String::new()).await.unwrap();
    assert_eq!(all.next_page_token, "");
    let mut paged = Vec::new();
    let mut token = String::new();
    loop {
        let page = list(7, token).await.unwrap();
        assert!((1..=7).contains(&page.models.len()));
        paged.extend(page.models);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, all.models);
    let named = |id: &str| paged.iter().find(|model| model.id == id).unwrap_or_else(|| panic!("{id} is not listed"));
    assert!(named("smart").is_default && named("smart").unavailable_reason.is_empty());
    assert_eq!(named("smart").targets.iter().map(|target| target.priority).collect::<Vec<_>>(), [0, 1]);
    assert!(
        !named("later").unavailable_reason.is_empty() && !named("openai/gpt-5.4-pro").unavailable_reason.is_empty()
    );
    assert!(named("anthropic/claude-haiku-4-5-20251001").context_window == Some(200_000));

    for (page_size, page_token) in [(-1, ""), (1, "nothing"), (1, "AQAAAAE")] {
        let seen = support::seen(&list(page_size, page_token.to_owned()).await.unwrap_err());
        assert_eq!(seen.kind(), (Code::InvalidArgument, "INVALID_REQUEST"), "{page_size} {page_token}");
    }
    let seen = server.complete(ask("later", "hello")).await.unwrap_err();
    assert_eq!(seen.kind(), (Code::FailedPrecondition, "CAPABILITY_NOT_SUPPORTED"), "{seen:#?}");
}

#[tokio::test]
async fn a_name_leads_to_its_targets_in_their_order() {
    let models = "default_model: picky\nmodels:\n  - id: picky\n    targets:\n      - { provider: openai, model: second, priority: 1 }\n      - { provider: anthropic, model: first }\n";
    let (_upstream, server) = with(models).await;
    // Alias, default, `provider/model`, and the id of a model that a target names.
    for (name, endpoint) in [
        ("picky", "anthropic/first"),
        ("", "anthropic/first"),
        ("openai/third", "openai/third"),
        ("second", "openai/second"),
    ] {
        let outcome = server.complete(ask(name, "hello")).await.unwrap().outcome.unwrap();
        assert_eq!(
            outcome.attempts.iter().map(|attempt| attempt.endpoint.as_str()).collect::<Vec<_>>(),
            [endpoint],
            "{name}"
        );
    }
    // The first target cannot take a seed: it is passed over, and that is on record.
    let mut asked = ask("picky", "hello");
    asked.seed = Some(1);
    let whole = server.complete(asked.clone()).await.unwrap();
    for response in [whole, server.stream(asked).await.unwrap().fold()] {
        let outcome = response.outcome.unwrap();
        let line = |at: usize| (outcome.attempts[at].endpoint.clone(), outcome.attempts[at].outcome());
        assert_eq!(line(0), ("anthropic/first".to_owned(), AttemptOutcome::Skipped));
        assert_eq!(line(1), ("openai/second".to_owned(), AttemptOutcome::Finished));
        assert_eq!((outcome.attempts[0].reason.as_str(), outcome.provider.as_str()), ("INVALID_REQUEST", "openai"));
    }
}

#[tokio::test]
async fn a_request_reaches_the_upstream_as_its_vendor_wants_it() {
    let (upstream, server) = both().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (protocol, path, auth) in [
        ("anthropic", "/v1/messages", ("x-api-key", KEY.to_owned())),
        ("openai", "/v1/chat/completions", ("authorization", format!("Bearer {KEY}"))),
    ] {
        for (accept, max_tokens) in [("text/event-stream", None), ("application/json", Some(100))] {
            let mut request = Request::new(ask(&format!("{protocol}/m"), "sim: echo\nhello"));
            request.get_mut().max_tokens = max_tokens;
            for (name, value) in [
                ("traceparent", trace),
                ("tracestate", "a=1"),
                ("baggage", "user=1"),
                ("authorization", "Bearer of-the-caller"),
                ("x-own", "1"),
            ] {
                request.metadata_mut().insert(name, value.parse().unwrap());
            }
            server.complete(request).await.unwrap();
            let sent = upstream.received().pop().unwrap();
            assert_eq!((sent.method.as_str(), sent.path.as_str()), ("POST", path));
            let header = |name: &str| sent.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(header(auth.0), Some(auth.1.clone()));
            assert_eq!(header("accept").as_deref(), Some(accept), "{protocol}");
            assert_eq!(header("content-type").as_deref(), Some("application/json"));
            assert_eq!(header("user-agent").as_deref(), Some(concat!("completiond/", env!("CARGO_PKG_VERSION"))));
            assert_eq!(header("traceparent").unwrap(), trace, "{protocol}");
            assert_eq!(header("tracestate").as_deref(), Some("a=1"));
            let known: BTreeSet<&str> = BTreeSet::from([
                "accept",
                "anthropic-version",
                "content-length",
                "content-type",
                "host",
                "traceparent",
                "tracestate",
                "user-agent",
                auth.0,
            ]);
            let names: BTreeSet<&str> = sent.headers.keys().map(http::HeaderName::as_str).collect();
            assert!(names.is_subset(&known), "{protocol}: {:?}", names.difference(&known));
            assert_eq!(serde_json::from_slice::<Value>(&sent.body).unwrap()["model"], "m");
        }
    }
}

#[tokio::test]
async fn a_stream_begins_with_who_answers_and_ends_with_the_outcome() {
    let (_upstream, server) = both().await;
    for protocol in PROTOCOLS {
        let streamed = server.stream(ask(&format!("{protocol}/m"), "sim: think=3 echo\nhello")).await.unwrap();
        let (first, last) = (streamed.events.first().unwrap(), streamed.events.last().unwrap());
        let Some(Event::Started(started)) = &first.event else { panic!("{first:?}") };
        let Some(Event::Completed(outcome)) = &last.event else { panic!("{last:?}") };
        assert_eq!((&started.id, started.provider.as_str()), (&outcome.id, protocol));
        assert_eq!(uuid::Uuid::parse_str(&outcome.id).unwrap().get_version_num(), 7);
    }
}

#[tokio::test]
async fn a_forced_tool_is_called() {
    let (_upstream, server) = both().await;
    for protocol in PROTOCOLS {
        let mut asked = ask(&format!("{protocol}/m"), "hello");
        asked.tools = vec![weather()];
        asked.tool_choice = Some(ToolChoice { mode: ToolChoiceMode::Required.into(), names: vec!["weather".into()] });
        let response = server.complete(asked).await.unwrap_or_else(|seen| panic!("{protocol}: {seen:#?}"));
        assert_eq!(response.outcome.unwrap().finish_reason(), FinishReason::ToolCalls, "{protocol}");
    }
}

#[tokio::test]
async fn beginning_anew_may_be_asked_for_an_answer_that_comes_whole_and_changes_nothing_there() {
    let (upstream, server) = both().await;
    let asked = |restart_on_interruption| {
        let asked = CompleteRequest { conversation_id: "c-1".into(), ..ask("openai/simulator", "sim: tokens=20") };
        CompleteRequest { restart_on_interruption, ..asked }
    };
    let mut answers = Vec::new();
    for restart in [true, false] {
        let mut answer = server.complete(asked(restart)).await.unwrap();
        let outcome = answer.outcome.take().unwrap();
        answers.push((answer, outcome.usage, outcome.attempts.len(), last_body(&upstream)));
    }
    assert_eq!(answers[0], answers[1]);
}

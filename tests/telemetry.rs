//! Spans as a collector gets them: names, parents, attributes, and nothing of what was said.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects")]

mod receiver;

use std::net::SocketAddr;

use completiond::config::{Config, Discovered, Overrides, Sources};
use completiond::domain::{
    AttemptOutcome, Block, CallId, Error, Finish, FinishReason, Identity, Message, ModelId, ModelName, Outcome,
    ProviderId, Reason, Request, Role, Tokens, Usage, UsageItem, UsageKind, Vendor,
};
use completiond::edge::Bound;
use completiond::proto::CompleteRequest;
use completiond::proto::completion_service_client::CompletionServiceClient;
use completiond::telemetry::{CallEnd, CallSpan, Guard, Rpc, Target, Tracer, semconv};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use opentelemetry::Value;
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData};
use receiver::Receiver;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
/// Stands in every place of a request that holds words.
const SECRET: &str = "the-words-of-a-prompt";

fn caller() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", HeaderValue::try_from(format!("00-{TRACE}-{PARENT}-01")).unwrap());
    headers.insert("tracestate", HeaderValue::from_static("vendor=1"));
    headers
}

fn identity() -> Identity {
    Identity::new(ProviderId::new("main"), Vendor::new("acme"), ModelId::new("large-1"))
}

fn request() -> Request {
    let mut request = Request {
        model: Some(ModelName::new("smart")),
        system: vec![Block::text(SECRET)],
        messages: vec![Message { role: Role::User, content: vec![Block::text(SECRET)], state: None }],
        stop_sequences: vec![SECRET.to_owned()],
        user: Some(SECRET.to_owned()),
        max_tokens: Some(Tokens::new(64)),
        ..Request::default()
    };
    request.sampling.temperature = Some(0.25);
    request.sampling.top_k = Some(40);
    request
}

fn outcome() -> Outcome {
    let mut finish = Finish::new(FinishReason::MaxTokens, "length");
    let tokens = |kind, count| UsageItem::tokens(kind, Tokens::new(count));
    finish.usage = Usage::reported([
        tokens(UsageKind::Input, 10),
        tokens(UsageKind::CacheRead, 5),
        tokens(UsageKind::Output, 7),
        tokens(UsageKind::Reasoning, 3),
    ]);
    Outcome {
        id: CallId::new(uuid::Uuid::nil()),
        model: ModelId::new("large-1-2026"),
        provider: ProviderId::new("main"),
        finish,
        cost: None,
        attempts: Vec::new(),
        ignored_parameters: Vec::new(),
        max_tokens: Tokens::new(64),
        prompt_cache_ttl: None,
        simulated: false,
        origin: completiond::domain::Origin::default(),
        saved: None,
    }
}

/// A call with a failed attempt and one that answers; returns what each attempt sent.
fn call(tracer: &Tracer, headers: &HeaderMap) -> Vec<HeaderMap> {
    let (identity, address) = (identity(), Uri::from_static("https://api.example.com/v1/chat?key=hidden"));
    let target = Target { identity: &identity, telemetry_name: "acme.ai", address: &address };
    let mut sent = Vec::new();
    let mut call = CallSpan::start(tracer, headers, Rpc::StreamComplete, CallId::new(uuid::Uuid::nil()));
    let trace = call.completion(&request());
    for (status, outcome) in [
        (StatusCode::SERVICE_UNAVAILABLE, AttemptOutcome::Failed(Reason::ProviderUnavailable)),
        (StatusCode::OK, AttemptOutcome::Finished),
    ] {
        let mut attempt = trace.attempt(target);
        let mut headers = HeaderMap::new();
        attempt.inject(&mut headers);
        sent.push(headers);
        attempt.response(status);
        if status.is_success() {
            attempt.first_event(tokio::time::Instant::now());
        }
        attempt.settle(outcome);
    }
    call.finish(CallEnd::Completed(&outcome()));
    sent
}

fn recorded(sampler: Sampler, run: impl FnOnce(&Tracer)) -> Vec<SpanData> {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_sampler(sampler).with_simple_exporter(exporter.clone()).build();
    run(&Tracer::of(&provider));
    exporter.get_finished_spans().unwrap()
}

fn attribute<'a>(span: &'a SpanData, name: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|attribute| attribute.key.as_str() == name).map(|attribute| &attribute.value)
}

fn text(span: &SpanData, name: &str) -> String {
    attribute(span, name).map(ToString::to_string).unwrap_or_default()
}

#[test]
fn a_call_is_a_server_span_over_one_completion_over_its_attempts() {
    let mut sent = Vec::new();
    let spans = recorded(Sampler::AlwaysOn, |tracer| sent = call(tracer, &caller()));
    let [first, second, completion, server] = spans.as_slice() else { panic!("{spans:?}") };

    assert!(spans.iter().all(|span| span.span_context.trace_id().to_string() == TRACE));
    assert_eq!(server.parent_span_id.to_string(), PARENT);
    assert_eq!(completion.parent_span_id, server.span_context.span_id());
    assert_eq!(first.parent_span_id, completion.span_context.span_id());
    assert_eq!(second.parent_span_id, completion.span_context.span_id());
    for (attempt, headers) in [first, second].into_iter().zip(&sent) {
        let expected = format!("00-{TRACE}-{}-01", attempt.span_context.span_id());
        assert_eq!(headers["traceparent"], expected);
        assert_eq!(headers["tracestate"], "vendor=1");
    }

    assert_eq!(
        (server.name.as_ref(), &server.span_kind),
        ("completiond.v1.CompletionService/StreamComplete", &SpanKind::Server)
    );
    assert_eq!((completion.name.as_ref(), &completion.span_kind), ("chat smart", &SpanKind::Client));
    assert_eq!((first.name.as_ref(), &first.span_kind), ("POST", &SpanKind::Client));
}

#[test]
fn attributes_follow_the_conventions() {
    let spans = recorded(Sampler::AlwaysOn, |tracer| drop(call(tracer, &caller())));
    let [first, second, completion, server] = spans.as_slice() else { panic!("{spans:?}") };
    let cases: &[(&SpanData, &str, &str)] = &[
        (server, "rpc.system.name", "grpc"),
        (server, "rpc.method", "completiond.v1.CompletionService/StreamComplete"),
        (server, "rpc.status_code", "OK"),
        (server, "error.type", ""),
        (completion, "gen_ai.operation.name", "chat"),
        (completion, "gen_ai.provider.name", "acme.ai"),
        (completion, "gen_ai.request.model", "smart"),
        (completion, "gen_ai.request.stream", "true"),
        (completion, "gen_ai.request.max_tokens", "64"),
        (completion, "gen_ai.request.temperature", "0.25"),
        (completion, "gen_ai.request.top_k", "40"),
        (completion, "gen_ai.response.model", "large-1-2026"),
        (completion, "gen_ai.response.finish_reasons", r#"["length"]"#),
        (completion, "gen_ai.usage.input_tokens", "15"),
        (completion, "gen_ai.usage.output_tokens", "10"),
        (completion, "gen_ai.usage.cache_read.input_tokens", "5"),
        (completion, "gen_ai.usage.cache_write.input_tokens", "0"),
        (completion, "gen_ai.usage.reasoning.output_tokens", "3"),
        (first, "http.request.method", "POST"),
        (first, "http.response.status_code", "503"),
        (first, "error.type", "503"),
        (first, "server.address", "api.example.com"),
        (first, "server.port", "443"),
        (first, "url.full", "https://api.example.com/v1/chat"),
        (first, "completiond.attempt.outcome", "failed"),
        (first, "completiond.reason", "PROVIDER_UNAVAILABLE"),
        (first, "http.request.resend_count", ""),
        (second, "http.request.resend_count", "1"),
        (second, "completiond.attempt.outcome", "finished"),
        (second, "error.type", ""),
    ];
    for (span, name, expected) in cases {
        assert_eq!(text(span, name), *expected, "{name} of {}", span.name);
    }
    assert!(attribute(completion, semconv::GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK).is_some());
    assert_eq!((&first.status, &second.status), (&Status::error("PROVIDER_UNAVAILABLE"), &Status::Unset));
    assert_eq!(server.status, Status::Unset);
}

#[test]
fn a_call_whose_caller_goes_away_ends_as_cancelled() {
    let spans = recorded(Sampler::AlwaysOn, |tracer| {
        let (identity, address) = (identity(), Uri::from_static("http://127.0.0.1:1/v1"));
        let mut call = CallSpan::start(tracer, &caller(), Rpc::Complete, CallId::new(uuid::Uuid::nil()));
        let trace = call.completion(&request());
        let target = Target { identity: &identity, telemetry_name: "acme.ai", address: &address };
        let attempt = trace.attempt(target);
        drop(attempt);
        drop(call);
    });
    let [attempt, completion, server] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(text(attempt, semconv::ATTEMPT_OUTCOME), "dropped");
    assert_eq!(text(completion, semconv::ERROR_TYPE), "CANCELLED");
    assert_eq!(text(completion, semconv::GEN_AI_RESPONSE_FINISH_REASONS), r#"["error"]"#);
    assert_eq!(text(server, semconv::RPC_STATUS_CODE), "CANCELLED");
    assert_eq!(server.status, Status::Unset, "a caller that goes away is no fault of the server");
}

#[test]
fn only_faults_of_the_server_are_errors_of_its_span() {
    for (status, is_fault) in [("UNAVAILABLE", true), ("DEADLINE_EXCEEDED", true), ("NOT_FOUND", false)] {
        let error = Error::new(Reason::ProviderUnavailable, "down");
        let spans = recorded(Sampler::AlwaysOn, |tracer| {
            let call = CallSpan::start(tracer, &HeaderMap::new(), Rpc::ListModels, CallId::new(uuid::Uuid::nil()));
            call.finish(CallEnd::Failed { status, error: &error });
        });
        assert_eq!(text(&spans[0], semconv::RPC_STATUS_CODE), status);
        assert_eq!(text(&spans[0], semconv::ERROR_TYPE), if is_fault { status } else { "" });
        assert_eq!(spans[0].status != Status::Unset, is_fault, "{status}");
    }
}

#[test]
fn no_word_of_a_request_is_in_a_span() {
    let spans = recorded(Sampler::AlwaysOn, |tracer| drop(call(tracer, &caller())));
    let all = format!("{spans:?}");
    assert!(all.contains("gen_ai.request.model"));
    for secret in [SECRET, "hidden"] {
        assert!(!all.contains(secret), "{secret}");
    }
}

#[test]
fn a_callers_trace_reaches_the_provider_whether_or_not_spans_are_made() {
    let sent = call(&Tracer::off(), &caller());
    assert_eq!(sent[0]["traceparent"], format!("00-{TRACE}-{PARENT}-01"), "not traced here: passed on as it came");
    assert!(call(&Tracer::off(), &HeaderMap::new())[0].is_empty());

    let mut sent = Vec::new();
    let spans = recorded(Sampler::AlwaysOff, |tracer| sent = call(tracer, &caller()));
    assert!(spans.is_empty());
    let header = sent[0]["traceparent"].to_str().unwrap();
    assert!(header.starts_with(&format!("00-{TRACE}-")) && header.ends_with("-00"), "{header}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn exporting_to(address: SocketAddr) -> Guard {
    exporting(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}"))])
}

fn exporting(variables: &[(&str, &str)]) -> Guard {
    Guard::start(|name| {
        let set = variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        set.or_else(|| (name == "OTEL_SERVICE_NAME").then(|| "under-test".to_owned()))
    })
    .unwrap()
}

#[test]
fn spans_of_a_worker_arrive_at_a_collector() {
    let receiver = Receiver::start();
    let guard = exporting_to(receiver.address());
    let tracer = guard.tracer();
    let worker = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { drop(call(&tracer, &caller())) });
    });
    worker.join().unwrap();
    drop(guard);

    let received = receiver.received();
    let [traces, ..] = received.resources();
    assert_eq!(receiver::text(&traces[0].attributes, "service.name"), "under-test");
    assert_eq!(receiver::text(&traces[0].attributes, "service.version"), env!("CARGO_PKG_VERSION"));
    let spans = received.spans();
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["POST", "POST", "chat smart", "completiond.v1.CompletionService/StreamComplete"]);
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
}

#[test]
fn a_collector_that_is_down_or_silent_stops_neither_calls_nor_the_end() {
    // One that refuses connections, and one that takes them and never answers.
    let refusing = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for address in [refusing, silent.local_addr().unwrap()] {
        for protocol in ["grpc", "http/protobuf"] {
            let endpoint = format!("http://{address}");
            let guard = exporting(&[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_LOGS_EXPORTER", "otlp"),
            ]);
            let tracer = guard.tracer();
            // More spans than the exporter's queue holds.
            for _ in 0..1000 {
                drop(call(&tracer, &caller()));
            }
            drop(guard);
        }
    }
}

#[test]
fn a_variable_that_would_change_what_numbers_mean_stops_the_start() {
    let started = Guard::start(|name| match name {
        "OTEL_METRICS_EXPORTER" => Some("otlp".to_owned()),
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE" => Some("weekly".to_owned()),
        _ => None,
    });
    let error = started.err().unwrap().to_string();
    assert!(error.contains("weekly") && error.contains("cumulative, delta or lowmemory"), "{error}");
}

#[test]
fn a_call_to_the_server_is_one_trace_from_its_caller_to_the_provider() {
    let receiver = Receiver::start();
    let guard = exporting_to(receiver.address());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let id = runtime.block_on(complete_by_the_simulator(guard.tracer()));
    drop(guard);

    let spans = receiver.received().spans();
    let span =
        |name: &str| spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name}: {spans:?}"));
    let (server, attempt) = (span("completiond.v1.CompletionService/Complete"), span("POST"));
    let completion = spans.iter().find(|span| span.name.starts_with("chat")).unwrap();
    assert_eq!(hex(&server.trace_id), TRACE);
    assert_eq!(hex(&server.parent_span_id), PARENT);
    assert_eq!(completion.parent_span_id, server.span_id);
    assert_eq!(attempt.parent_span_id, completion.span_id);
    assert_eq!(receiver::text(&server.attributes, semconv::CALL_ID), id);
    assert_eq!(receiver::text(&server.attributes, semconv::RPC_STATUS_CODE), "OK");
    let number = |span: &Span, name| receiver::attribute(&span.attributes, name);
    assert_eq!(number(attempt, semconv::HTTP_RESPONSE_STATUS_CODE), Some(any_value::Value::IntValue(200)));
    let tokens = number(completion, semconv::GEN_AI_USAGE_OUTPUT_TOKENS);
    assert!(matches!(tokens, Some(any_value::Value::IntValue(1..))));
    assert!(!format!("{spans:?}").contains(SECRET));
}

/// Starts a server on free ports, asks it once under the caller's trace, and stops it; returns the call's id.
async fn complete_by_the_simulator(tracer: Tracer) -> String {
    let any = || Some("127.0.0.1:0".parse().unwrap());
    let overrides = Overrides {
        allow_anonymous: false,
        listen: any(),
        admin_listen: any(),
        ops_listen: any(),
        default_drain_delay: Some(std::time::Duration::ZERO),
        ..Overrides::default()
    };
    let Discovered::Nothing(bare) = Config::discover(&overrides, &Sources::new(&|_| None)).unwrap() else {
        panic!("there is no key in this environment")
    };
    let running = completiond::app::start(&bare.with_simulator().unwrap(), tracer).await.unwrap();
    let Bound::Tcp(address) = running.public.clone() else { panic!("a port was asked for") };
    let channel = tonic::transport::Endpoint::try_from(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut client = CompletionServiceClient::new(channel);
    let mut request = tonic::Request::new(CompleteRequest { prompt: SECRET.to_owned(), ..Default::default() });
    request.metadata_mut().insert("traceparent", format!("00-{TRACE}-{PARENT}-01").parse().unwrap());
    let answer = client.complete(request).await.unwrap().into_inner();
    drop(client);
    running.stop().await;
    answer.outcome.unwrap().id
}

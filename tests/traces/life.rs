//! A script of a service's life, and the spans, metrics and log records that it leaves, compared with what each part shall
//! leave and with the conventions. With `OTELCOL` in the environment they go through a real collector.

use completiond::proto::{BatchCompleteRequest, CompleteRequest, CountTokensRequest};
use completiond::simulator::{Simulator, Upstream};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind::{Client, Internal, Server as Serves};

use crate::real::Real;
use crate::receiver::{Received, Receiver, text};
use crate::seen;
use crate::server::Server;

const COMPLETE: &str = "completiond.v1.CompletionService/Complete";
const STREAM: &str = "completiond.v1.CompletionService/StreamComplete";
const BATCH: &str = "completiond.v1.CompletionService/BatchComplete";
const COUNT: &str = "completiond.v1.CompletionService/CountTokens";
const CALLER: &str = "b7ad6b7169203331";
const FIRST: &str = "completiond.first_token";

/// One line for each span, parents first: depth, name, status or outcome or cache status, reason, events, links.
type Line<'a> = (usize, &'a str, &'a str, &'a str, &'a [&'a str], usize);

/// What each part of the script leaves, by the number that its trace has.
const EXPECTED: &[(&str, &[Line<'static>])] = &[
    (
        "success",
        &[
            (0, COMPLETE, "OK", "", &[], 0),
            (1, "chat plain", "miss", "", &[FIRST], 0),
            (2, "POST", "finished", "", &[], 0),
        ],
    ),
    ("cache hit", &[(0, COMPLETE, "OK", "", &[], 0), (1, "chat plain", "hit", "", &[], 0)]),
    (
        "retry",
        &[
            (0, COMPLETE, "OK", "", &[], 0),
            (1, "chat plain", "miss", "", &["completiond.retry", FIRST], 0),
            (2, "POST", "failed", "PROVIDER_UNAVAILABLE", &[], 0),
            (2, "POST", "finished", "", &[], 0),
        ],
    ),
    (
        "failover",
        &[
            (0, COMPLETE, "OK", "", &[], 0),
            (1, "chat pair", "miss", "", &["completiond.failover", FIRST], 0),
            (2, "POST", "failed", "PROVIDER_CREDENTIALS_REFUSED", &[], 0),
            (2, "POST", "finished", "", &[], 0),
        ],
    ),
    (
        "breaker",
        &[
            (0, COMPLETE, "OK", "", &[], 0),
            (1, "chat pair", "miss", "", &["completiond.passed_over", FIRST], 0),
            (2, "POST", "finished", "", &[], 0),
        ],
    ),
    (
        "made",
        &[
            (0, STREAM, "OK", "", &[], 0),
            (1, "chat plain", "miss", "", &[FIRST], 0),
            (2, "POST", "finished", "", &[], 0),
        ],
    ),
    ("coalesced", &[(0, STREAM, "OK", "", &[], 0), (1, "chat plain", "coalesced", "", &[], 1)]),
    (
        "sent",
        &[
            (0, STREAM, "OK", "", &[], 0),
            (1, "chat plain", "miss", "", &[FIRST], 0),
            (2, "POST", "finished", "", &[], 0),
        ],
    ),
    ("sent again", &[(0, STREAM, "OK", "", &[], 0), (1, "chat plain", "replayed", "", &[], 1)]),
    (
        "cancelled",
        &[
            (0, STREAM, "CANCELLED", "CANCELLED", &[], 0),
            (1, "chat plain", "", "CANCELLED", &[FIRST], 0),
            (2, "POST", "dropped", "", &[], 0),
        ],
    ),
    (
        "cut",
        &[
            (0, STREAM, "UNAVAILABLE", "STREAM_INTERRUPTED", &[], 0),
            (1, "chat plain", "", "STREAM_INTERRUPTED", &[FIRST], 0),
            (2, "POST", "failed", "PROVIDER_UNAVAILABLE", &[], 0),
        ],
    ),
    (
        "restart",
        &[
            (0, STREAM, "OK", "", &[], 0),
            (1, "chat other", "miss", "", &[FIRST, "completiond.failover", "completiond.restart"], 0),
            (2, "POST", "failed", "PROVIDER_UNAVAILABLE", &[], 0),
            (2, "POST", "finished", "", &[], 0),
        ],
    ),
    (
        "batch",
        &[
            (0, BATCH, "OK", "", &[], 0),
            (1, "chat plain", "bypassed", "", &[FIRST], 0),
            (2, "POST", "finished", "", &[], 0),
            (1, "chat plain", "bypassed", "", &[FIRST], 0),
            (2, "POST", "finished", "", &[], 0),
        ],
    ),
    ("count", &[(0, COUNT, "OK", "", &[], 0), (1, "completiond.tokens.count", "", "", &[], 0)]),
    ("count there", &[(0, COUNT, "OK", "", &[], 0), (1, "completiond.tokens.count", "", "", &[], 0)]),
    (
        "unpriced",
        &[
            (0, COMPLETE, "FAILED_PRECONDITION", "PRICE_UNKNOWN", &[], 0),
            (1, "chat plain", "", "PRICE_UNKNOWN", &["completiond.skipped"], 0),
        ],
    ),
    ("refused", &[(0, COMPLETE, "INVALID_ARGUMENT", "INVALID_REQUEST", &[], 0)]),
];

fn trace(number: usize) -> String {
    format!("0af7651916cd43dd8448eb21{number:08x}")
}

fn named(part: &str) -> usize {
    EXPECTED.iter().position(|(name, _)| *name == part).unwrap() + 1
}

/// A request in the trace of this part of the script.
fn under<T>(part: &str, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    let parent = format!("00-{}-{CALLER}-01", trace(named(part)));
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    request.metadata_mut().insert("baggage", "note=ours,tenant.id=blue".parse().unwrap());
    request
}

fn asked(model: &str, words: &str) -> CompleteRequest {
    CompleteRequest {
        model: model.to_owned(),
        prompt: words.to_owned(),
        temperature: Some(0.0),
        max_tokens: Some(64),
        ..CompleteRequest::default()
    }
}

fn settings(one: &Upstream, two: &Upstream) -> String {
    format!(
        "cache: {{ enabled: true }}\ntelemetry: {{ baggage: [tenant.id], genai_semconv: dup }}\nusage: {{ labels: [team] }}\n\
         providers:\n  - {{ id: one, protocol: openai, base_url: {}, api_key: '${{KEY}}' }}\n  - {{ id: two, protocol: openai, base_url: {}, api_key: '${{KEY}}' }}\n  - {{ id: counting, protocol: anthropic, base_url: {}, api_key: '${{KEY}}' }}\n\
         models:\n  - {{ id: plain, targets: [{{ provider: two, model: simulator }}] }}\n  \
         - {{ id: pair, targets: [{{ provider: one, model: simulator, priority: 0 }}, {{ provider: two, model: simulator, priority: 1 }}] }}\n  \
         - {{ id: other, targets: [{{ provider: two, model: 'simulator?cut_after=6', priority: 0 }}, {{ provider: two, model: simulator, priority: 1 }}] }}",
        one.url(),
        two.url(),
        one.url()
    )
}

#[tokio::test]
async fn each_part_of_a_services_life_leaves_the_spans_metrics_and_records_of_the_conventions() {
    for protocol in ["grpc", "http/protobuf"] {
        let one = Upstream::start(Simulator::default()).await.unwrap();
        let two = Upstream::start(Simulator::default()).await.unwrap();
        let received = lived(protocol, &one, &two).await;
        let spans = received.spans();
        are_as_expected(&spans);
        for request in two.received().iter().filter(|request| request.method == "POST") {
            let parent = request.headers["traceparent"].to_str().unwrap();
            assert!(spans.iter().any(|span| span.name == "POST" && parent.contains(&hex(&span.span_id))), "{parent}");
            assert_eq!(request.headers["baggage"], "tenant.id=blue");
        }
        memory_is_told_by_what_it_is(&received);
        let counted = spans.iter().find(|span| span.name == "completiond.tokens.count" && is_of("count there", span));
        let asked = one.received().into_iter().find(|request| request.path.ends_with("/count_tokens")).unwrap();
        let expected = format!("00-{}-{}-01", trace(named("count there")), hex(&counted.unwrap().span_id));
        assert_eq!(asked.headers["traceparent"], expected);
        records_are_in_their_traces(&received);
        let resources = received.resources();
        let all: Vec<_> = resources.iter().flatten().map(|it| &it.attributes).collect();
        assert!(resources.iter().all(|of_signal| !of_signal.is_empty()), "{protocol}: each signal has arrived");
        assert!(all.iter().all(|it| text(it, "service.name") == "life" && text(it, "region") == "north"), "{all:?}");
        seen::holds(&received);
    }
}

/// Plays the script; returns what has arrived of it.
async fn lived(protocol: &str, one: &Upstream, two: &Upstream) -> Received {
    let mut real = std::env::var_os("OTELCOL").map(|program| Real::start(&program));
    let receiver = Receiver::start();
    let endpoint = real.as_ref().map_or_else(|| receiver.url(), |real| real.url(protocol));
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_SERVICE_NAME", "life"),
        ("OTEL_RESOURCE_ATTRIBUTES", "region=north,service.name=overruled"),
        ("RUST_LOG", "info,completiond::call=debug"),
        ("KEY", "k"),
    ];
    let mut server = Server::start(&settings(one, two), &variables).await;
    script(&server, one, two).await;
    server.stop().await;
    match &mut real {
        Some(real) => real.received().await,
        None => receiver.received(),
    }
}

fn is_of(part: &str, span: &Span) -> bool {
    hex(&span.trace_id) == trace(named(part))
}

fn are_as_expected(spans: &[Span]) {
    for (number, (name, expected)) in EXPECTED.iter().enumerate() {
        let number = trace(number + 1);
        let of_trace: Vec<&Span> = spans.iter().filter(|span| hex(&span.trace_id) == number).collect();
        let mut found = Vec::new();
        lines(&of_trace, CALLER, 0, &mut found);
        let expected: Vec<String> = expected.iter().map(|line| format!("{line:?}")).collect();
        assert_eq!(found, expected, "{name}");
    }
    let span_of = |part: &str, prefix: &str| {
        spans.iter().find(|span| is_of(part, span) && span.name.starts_with(prefix)).unwrap().clone()
    };
    for (maker, joins) in [("made", "coalesced"), ("sent", "sent again")] {
        let (maker, joins) = (span_of(maker, "chat"), span_of(joins, "chat"));
        assert_eq!((&joins.links[0].trace_id, &joins.links[0].span_id), (&maker.trace_id, &maker.span_id));
    }
}

/// What was asked for is more than nothing, and lies in pages. The system may have given less, where nothing was written yet.
fn memory_is_told_by_what_it_is(received: &Received) {
    let metrics = received.latest();
    let memory = metrics.iter().find(|metric| metric.name == "completiond.memory").unwrap();
    let Some(Data::Gauge(gauge)) = &memory.data else { panic!("{memory:?}") };
    let of = |kind: &str| {
        let point = gauge.data_points.iter().find(|it| text(&it.attributes, "completiond.memory.kind") == kind);
        match point.unwrap_or_else(|| panic!("no {kind}: {memory:?}")).value {
            Some(number_data_point::Value::AsInt(bytes)) => bytes,
            other => panic!("{other:?}"),
        }
    };
    let (allocated, active) = (of("allocated"), of("active"));
    assert!((1 << 20..=active).contains(&allocated), "{allocated} of {active}");
    assert!(of("resident") > 1 << 20);
}

/// Each call has a line, in its trace and at its span.
fn records_are_in_their_traces(received: &Received) {
    let (spans, records) = (received.spans(), received.records());
    for server in spans.iter().filter(|span| span.kind() == Serves) {
        let is_its = |record: &&_| {
            let record: &opentelemetry_proto::tonic::logs::v1::LogRecord = record;
            record.event_name == "completiond.call.ended" && record.span_id == server.span_id
        };
        let of_call: Vec<_> = records.iter().filter(is_its).collect();
        // Those of a batch have a line of their own, beside that of the batch.
        let expected = if server.name == BATCH { 3 } else { 1 };
        assert_eq!(of_call.len(), expected, "{}", server.name);
        assert!(of_call.iter().all(|record| record.trace_id == server.trace_id), "{of_call:?}");
    }
}

type Caller = completiond::proto::completion_service_client::CompletionServiceClient<tonic::transport::Channel>;

async fn script(server: &Server, one: &Upstream, two: &Upstream) {
    let fast = "sim: tokens=5 first_event=0ms pace=0ms\n";
    let mut client = server.client.clone();
    for part in ["success", "cache hit"] {
        let all_said = CompleteRequest {
            top_p: Some(0.9),
            frequency_penalty: Some(0.1),
            presence_penalty: Some(0.1),
            seed: Some(7),
            labels: [("team".to_owned(), "blue".to_owned())].into(),
            ..asked("plain", &format!("{fast}one"))
        };
        client.complete(under(part, all_said)).await.unwrap();
    }
    two.play(["status=503", "tokens=5 pace=0ms"]);
    client.complete(under("retry", asked("plain", &format!("{fast}two")))).await.unwrap();
    one.play(["error=credentials"]);
    client.complete(under("failover", asked("pair", &format!("{fast}three")))).await.unwrap();
    client.complete(under("breaker", asked("pair", &format!("{fast}four")))).await.unwrap();

    for (made, joined, id) in
        [("made", "coalesced", ""), ("sent", "sent again", "0191e0a5-5d3c-7c3e-9c56-6f5f2f6d8a11")]
    {
        let script = format!("sim: tokens=20 first_event=100ms pace=20ms\nfive {id}");
        let slow = CompleteRequest { request_id: id.to_owned(), ..asked("plain", &script) };
        let mut first = client.stream_complete(under(made, slow.clone())).await.unwrap().into_inner();
        first.message().await.unwrap();
        let mut second = client.stream_complete(under(joined, slow)).await.unwrap().into_inner();
        while first.message().await.unwrap().is_some() {}
        while second.message().await.unwrap().is_some() {}
    }
    endings(client.clone()).await;
    others(client).await;
}

/// Calls that do not end as they began.
async fn endings(mut client: Caller) {
    let endless = asked("plain", "sim: tokens=100000 first_event=0ms pace=10ms\nsix");
    let mut left = client.stream_complete(under("cancelled", endless)).await.unwrap().into_inner();
    left.message().await.unwrap();
    drop(left);
    let cut = asked("plain", "sim: tokens=20 first_event=0ms pace=10ms cut_after=6\nseven");
    let mut cut = client.stream_complete(under("cut", cut)).await.unwrap().into_inner();
    while cut.message().await.is_ok_and(|event| event.is_some()) {}
    let again = CompleteRequest { restart_on_interruption: true, ..asked("other", "a word or two, please, eight") };
    let mut again = client.stream_complete(under("restart", again)).await.unwrap().into_inner();
    while again.message().await.unwrap().is_some() {}
}

/// What is no single completion, or none at all.
async fn others(mut client: Caller) {
    let fast = "sim: tokens=5 first_event=0ms pace=0ms\n";
    let item = |word: &str| CompleteRequest { temperature: None, ..asked("plain", &format!("{fast}{word}")) };
    let batch = BatchCompleteRequest { requests: vec![item("nine"), item("ten")], max_concurrency: 1 };
    client.batch_complete(under("batch", batch)).await.unwrap();
    for (part, model) in [("count", "plain"), ("count there", "counting/simulator")] {
        let count = CountTokensRequest { request: Some(asked(model, "eleven")) };
        client.count_tokens(under(part, count)).await.unwrap();
    }
    let bound = CompleteRequest { max_cost_pico_usd: Some(1), ..asked("plain", "twelve") };
    client.complete(under("unpriced", bound)).await.unwrap_err();
    client.complete(under("refused", asked("plain", ""))).await.unwrap_err();
}

/// The spans under `parent`, each before its own, in the order in which they began.
fn lines(spans: &[&Span], parent: &str, depth: usize, found: &mut Vec<String>) {
    let mut under: Vec<&&Span> = spans.iter().filter(|span| hex(&span.parent_span_id) == parent).collect();
    under.sort_by_key(|span| span.start_time_unix_nano);
    for span in under {
        let kind = match (span.name.as_str(), depth) {
            (_, 0) => Serves,
            ("completiond.tokens.count", _) => Internal,
            _ => Client,
        };
        assert_eq!(span.kind(), kind, "{}", span.name);
        let first = |names: [&str; 3]| names.map(|name| text(&span.attributes, name)).concat();
        let outcome = first(["rpc.status_code", "completiond.cache.status", "completiond.attempt.outcome"]);
        let reason = match span.name.starts_with("chat") {
            true => text(&span.attributes, "error.type"),
            false => text(&span.attributes, "completiond.reason"),
        };
        let events: Vec<&str> = span.events.iter().map(|event| event.name.as_str()).collect();
        let line: Line<'_> = (depth, &span.name, &outcome, &reason, &events, span.links.len());
        found.push(format!("{line:?}"));
        lines(spans, &hex(&span.span_id), depth + 1, found);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

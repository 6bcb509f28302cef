//! Marked words in every field of a request, in headers, in keys and in what upstreams say: nothing that a server tells its
//! operator has one of them, nor does a status tell a key. Where content is captured, what shall be redacted is.

use std::collections::HashMap;

use completiond::proto::Text;
use completiond::proto::content_block::Block;
use completiond::proto::response_format::{Format, JsonSchemaFormat};
use completiond::proto::tool::Tool as Kind;
use completiond::proto::tool_call::Input;
use completiond::proto::{
    BatchCompleteRequest, CompleteRequest, ContentBlock, CountTokensRequest, FunctionTool, Message, ProviderOptions,
    ResponseFormat, Role, Tool, ToolCall, ToolResult,
};
use completiond::simulator::{Simulator, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::receiver::{Received, Receiver, text};
use crate::server::Server;

/// Stands in every marked word, and nowhere else.
const MARK: &str = "canary";
/// The key that is sent upstream.
pub(crate) const KEY: &str = "sk-canarykeycanarykeycanarykey";
/// What a caller should not have written.
const SECRETS: &str = "ann.canary@example.org, 4111 1111 1111 1111, +49 30 1234567, sk-canarykeycanarykeycanarykey";
/// What an upstream says in its errors.
const UPSTREAM: &str = "canaryupstream";

fn words(place: &str) -> String {
    format!("canaryprompt {place} of a canary")
}

pub(crate) fn said(text: &str) -> ContentBlock {
    let text = Text { text: text.to_owned(), ..Text::default() };
    ContentBlock { block: Some(Block::Text(text)), ..ContentBlock::default() }
}

fn message(role: Role, content: Vec<ContentBlock>) -> Message {
    Message { role: role.into(), content, ..Message::default() }
}

/// A request with a marked word in each of its fields that has words, but for the model's name, which is told.
fn marked(model: &str, script: &str) -> CompleteRequest {
    let call = ToolCall {
        id: "canarycall".into(),
        name: "canarytool".into(),
        input: Some(Input::ArgumentsJson(format!(r#"{{"to":"{}"}}"#, words("arguments")))),
        ..ToolCall::default()
    };
    let result = ToolResult {
        tool_call_id: "canarycall".into(),
        content: vec![said(&words("result"))],
        ..ToolResult::default()
    };
    let tool = FunctionTool {
        name: "canarytool".into(),
        description: words("description"),
        parameters_json: format!(
            r#"{{"type":"object","properties":{{"to":{{"description":"{}"}}}}}}"#,
            words("schema")
        ),
        ..FunctionTool::default()
    };
    let schema = JsonSchemaFormat {
        name: "canaryschema".into(),
        description: words("format"),
        schema_json: r#"{"type":"object","properties":{"canaryproperty":{"type":"string"}}}"#.into(),
        ..JsonSchemaFormat::default()
    };
    let option = ProviderOptions {
        body_json: format!(r#"{{"metadata":{{"note":"{}"}}}}"#, words("option")),
        headers: HashMap::from([("x-canary".to_owned(), words("header"))]),
    };
    CompleteRequest {
        model: model.to_owned(),
        system: words("system"),
        messages: vec![
            message(Role::User, vec![said(&words("first"))]),
            message(
                Role::Assistant,
                vec![said(&words("answer")), ContentBlock { block: Some(Block::ToolCall(call)), ..Default::default() }],
            ),
            message(Role::Tool, vec![ContentBlock { block: Some(Block::ToolResult(result)), ..Default::default() }]),
            message(Role::User, vec![said(&format!("sim: {script}\n{} {SECRETS}", words("last")))]),
        ],
        stop_sequences: vec!["canarystop".into()],
        tools: vec![Tool { tool: Some(Kind::Function(tool)), ..Tool::default() }],
        response_format: Some(ResponseFormat { format: Some(Format::JsonSchema(schema)) }),
        user: "canaryuser".into(),
        labels: HashMap::from([("canarylabel".to_owned(), "canaryvalue".to_owned())]),
        conversation_id: "canaryconversation".into(),
        provider_options: HashMap::from([("openai".to_owned(), option)]),
        max_tokens: Some(64),
        ..CompleteRequest::default()
    }
}

/// An answer that is no success, or one that breaks, with marked words in each.
async fn unfriendly(status: u16, content: &str, body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = format!(
        "HTTP/1.1 {status} {UPSTREAM}\r\ncontent-type: {content}\r\nx-request-id: {UPSTREAM}\r\nx-note: {UPSTREAM}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut asked = vec![0; 1 << 16];
                let _ = connection.read(&mut asked).await;
                let _ = connection.write_all(answer.as_bytes()).await;
                let _ = connection.shutdown().await;
            });
        }
    });
    format!("http://{address}/v1")
}

pub(crate) async fn settings(simulated: &Upstream, telemetry: &str) -> String {
    let quoted = format!("{UPSTREAM} {KEY} {}", words("last"));
    let error =
        format!(r#"{{"error":{{"message":"{quoted}","type":"{UPSTREAM}","code":"{UPSTREAM}","param":"{UPSTREAM}"}}}}"#);
    let all = [
        ("simulated", simulated.url()),
        ("rejecting", unfriendly(400, "application/json", error.clone()).await),
        ("failing", unfriendly(500, "application/json", error.clone()).await),
        ("locked", unfriendly(401, "application/json", error.clone()).await),
        ("paged", unfriendly(200, "text/html", format!("<p>{quoted}</p>")).await),
        ("broken", unfriendly(200, "text/event-stream", format!("data: {error}\n\n")).await),
        ("garbled", unfriendly(200, "text/event-stream", format!("data: {{{quoted}\n\n")).await),
    ];
    let providers = all.map(|(id, url)| {
        format!("  - {{ id: {id}, protocol: openai, base_url: '{url}', api_key: '${{KEY}}', headers: {{ x-own: '${{KEY}}' }} }}\n")
    });
    format!(
        "cache: {{ enabled: true }}\nprovider_option_headers: [x-canary]\nretry: {{ max_attempts: 1 }}\nlog: {{ format: json, level: info }}\n{telemetry}\nproviders:\n{}",
        providers.concat()
    )
}

pub(crate) fn request<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    for name in ["authorization", "x-api-key", "cookie", "x-note"] {
        request.metadata_mut().insert(name, format!("Bearer {KEY}").parse().unwrap());
    }
    request.metadata_mut().insert("baggage", "note=canarybaggage".parse().unwrap());
    request
}

/// Calls of many kinds; returns the statuses of those that failed.
async fn calls(server: &Server) -> Vec<tonic::Status> {
    let mut client = server.client.clone();
    let mut failed = Vec::new();
    let mut note = |result: Result<(), tonic::Status>| failed.extend(result.err());
    let scripts = [
        "tokens=5 pace=0ms first_event=0ms",
        "echo pace=0ms",
        "error=rejected",
        "error=context",
        "cut_after=3 tokens=9 pace=0ms",
    ];
    for script in scripts {
        for _ in 0..2 {
            let mut message = marked("simulated/simulator", script);
            if script.starts_with("echo") {
                message.response_format = None;
            }
            note(client.complete(request(message.clone())).await.map(drop));
            note(streamed(&mut client, message).await);
        }
    }
    for provider in ["rejecting", "failing", "locked", "paged", "broken", "garbled"] {
        let message = marked(&format!("{provider}/m"), "");
        note(client.complete(request(message.clone())).await.map(drop));
        note(streamed(&mut client, message).await);
    }
    // What breaks a rule of the contract is quoted nowhere else than to its caller.
    let wrong = CompleteRequest { stop_sequences: vec![String::new()], ..marked("simulated/simulator", "") };
    note(client.complete(request(wrong)).await.map(drop));
    let batch =
        BatchCompleteRequest { requests: vec![marked("simulated/simulator", "echo pace=0ms")], ..Default::default() };
    note(client.batch_complete(request(batch)).await.map(drop));
    let count = CountTokensRequest { request: Some(marked("simulated/simulator", "")) };
    note(client.count_tokens(request(count)).await.map(drop));
    let mut left =
        client.stream_complete(request(marked("simulated/simulator", "echo pace=50ms"))).await.unwrap().into_inner();
    left.message().await.unwrap();
    drop(left);
    failed
}

pub(crate) type Client =
    completiond::proto::completion_service_client::CompletionServiceClient<tonic::transport::Channel>;

pub(crate) async fn streamed(client: &mut Client, message: CompleteRequest) -> Result<(), tonic::Status> {
    let mut events = client.stream_complete(request(message)).await?.into_inner();
    while events.message().await?.is_some() {}
    Ok(())
}

async fn told(telemetry: &str, level: &str) -> (Received, String, Vec<tonic::Status>) {
    let receiver = Receiver::start();
    let upstream = Upstream::start(Simulator::default()).await.unwrap();
    let endpoint = receiver.url();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=canaryheader"),
        ("KEY", KEY),
        ("RUST_LOG", level),
    ];
    let mut server = Server::start(&settings(&upstream, telemetry).await, &variables).await;
    let failed = calls(&server).await;
    let metrics = server.metrics().await;
    server.stop().await;
    (receiver.received(), format!("{}\n{metrics}", server.log()), failed)
}

/// The lines with a mark in them, beginning and all.
pub(crate) fn found(text: &str) -> Vec<String> {
    let around = |(place, _): (usize, &str)| {
        text.chars().skip(text[..place].chars().count().saturating_sub(200)).take(260).collect()
    };
    text.match_indices(MARK).map(around).collect()
}

#[tokio::test]
async fn no_word_of_a_prompt_no_key_and_no_word_of_an_upstream_is_told_to_an_operator() {
    for level in ["info", "completiond=trace"] {
        let (received, told, failed) = told("", level).await;
        assert!(failed.len() > 10, "{failed:?}");
        assert!(received.spans().len() > 50 && received.records().len() > 20, "there is something to search in");
        assert!(told.contains("call ended") && told.contains("completiond_"), "{told}");
        assert_eq!(found(&told), Vec::<String>::new(), "log or metrics at {level}");
        assert_eq!(found(&received.text()), Vec::<String>::new(), "spans or records at {level}");
        for status in failed {
            let details = String::from_utf8_lossy(status.details()).into_owned();
            let all = format!("{} {details} {:?}", status.message(), status.metadata());
            for hidden in [KEY, "canaryprompt last", "canaryheader"] {
                assert!(!all.contains(hidden), "{hidden} in {all}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_captured_is_redacted_and_stands_in_spans_only() {
    let telemetry = "telemetry: { capture_content: true, redact: ['(?i)canary[a-z]*'], baggage: [other] }";
    let (received, told, _) = told(telemetry, "info").await;
    assert!(told.contains("content capture is on"));
    assert_eq!(found(&told), Vec::<String>::new(), "log or metrics");
    assert_eq!(found(&received.text()), Vec::<String>::new(), "spans or records");
    assert!(!told.contains("[redacted] last of a [redacted]"));
    let spans = received.spans();
    let with = |name: &str, part: &str| spans.iter().any(|span| text(&span.attributes, name).contains(part));
    assert!(with("gen_ai.input.messages", "[redacted] last of a [redacted]"));
    assert!(with("gen_ai.system_instructions", "[redacted] system of a [redacted]"));
    assert!(with("gen_ai.tool.definitions", "[redacted] description of a [redacted]"));
    assert!(with("gen_ai.output.messages", "[redacted] last of a [redacted]"), "what the upstream has echoed");
}

#[tokio::test]
async fn what_is_captured_holds_words_but_neither_addresses_nor_numbers_nor_keys() {
    let (received, told, _) = told("telemetry: { capture_content: true }", "completiond=trace").await;
    assert_eq!(found(&told), Vec::<String>::new(), "log or metrics");
    let all = received.text();
    assert!(all.contains("canaryprompt last") && all.contains("[e-mail], [card], [phone], [key]"));
    for secret in SECRETS.split(", ").chain([KEY, UPSTREAM, "canaryheader", "canarybaggage"]) {
        assert!(!all.contains(secret), "{secret}");
    }
    let records = format!("{:?}", received.records());
    assert!(!records.contains(MARK), "log records are for names and numbers");
}

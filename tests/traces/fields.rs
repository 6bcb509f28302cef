//! A marked word in each field of a request that takes words, one after the other and all at once, found by the contract's own
//! descriptors, so that a new field is among them. Through every rpc, at every level: nothing that a server tells its operator
//! has one of them. A name of a model is told, but brings no line of its own into the log.

use std::collections::BTreeSet;

use completiond::proto::content_block::Block;
use completiond::proto::stream_batch_complete_request::Message as InBatch;
use completiond::proto::{
    BatchCompleteRequest, BatchItem, CompleteRequest, ContentBlock, CountTokensRequest, DESCRIPTORS,
    GetCompletionRequest, StreamBatchCompleteRequest, ToolCall, UnsupportedParameters,
};
use completiond::simulator::{Simulator, Upstream};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use serde_json::json;
use tonic_types::StatusExt;

use crate::canary::{KEY, found, request, settings, streamed};
use crate::receiver::{Receiver, text};
use crate::server::Server;

/// Names of models are told: they are no secret. A marked word is not put into them.
const TOLD: &[&str] = &["model", "fallback_models"];

/// What may be said to its own caller with the caller's own words in it, by the reason of the contract.
const TO_ITS_CALLER: &[(&str, &str)] =
    &[("INVALID_REQUEST", "what is wrong is named by its place, which has keys of maps in it")];

/// The way to a field.
type Path = Vec<FieldDescriptor>;

/// The ways to all fields of `message` that take words. No message is entered twice on one way, but for a block within a
/// block.
fn fields(message: &MessageDescriptor, way: &Path) -> Vec<Path> {
    let mut found = Vec::new();
    for field in message.fields().filter(|field| !TOLD.contains(&field.name())) {
        let kind = match field.kind() {
            Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
            kind => kind,
        };
        let further = [way.as_slice(), std::slice::from_ref(&field)].concat();
        let times = way.iter().filter(|before| before.kind() == field.kind()).count();
        match kind {
            Kind::String | Kind::Bytes => found.push(further),
            Kind::Message(inner) => {
                if field.is_map() {
                    found.push(further.clone());
                }
                if times < if inner.name() == "ContentBlock" { 2 } else { 1 } {
                    found.extend(fields(&inner, &further));
                }
            }
            _ => {}
        }
    }
    found
}

/// Puts `words` at the end of the way. What is on it is made, beside what is there.
fn put(message: &mut DynamicMessage, way: &[FieldDescriptor], words: &str, role: i32) {
    let (field, rest) = way.split_first().unwrap();
    let leaf = |kind: &Kind| match kind {
        Kind::Bytes => Value::Bytes(words.as_bytes().to_vec().into()),
        _ => Value::String(words.to_owned()),
    };
    let inner = |descriptor: &MessageDescriptor| {
        let mut inner = sound(descriptor);
        if let Some(field) = descriptor.get_field_by_name("role") {
            inner.set_field(&field, Value::EnumNumber(role));
        }
        if !rest.is_empty() {
            put(&mut inner, rest, words, role);
        }
        Value::Message(inner)
    };
    let value = match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            let value = match entry.map_entry_value_field().kind() {
                Kind::Message(descriptor) => inner(&descriptor),
                kind => leaf(&kind),
            };
            let key = if rest.is_empty() { words } else { "openai" };
            Value::Map([(MapKey::String(key.to_owned()), value)].into())
        }
        Kind::Message(descriptor) => inner(&descriptor),
        kind => leaf(&kind),
    };
    if field.is_list() {
        message.get_field_mut(field).as_list_mut().unwrap().push(value);
    } else {
        message.set_field(field, value);
    }
}

/// A message of this kind that breaks no rule of the contract, so that a word in one of its fields goes as far as it can.
fn sound(descriptor: &MessageDescriptor) -> DynamicMessage {
    let fields = match descriptor.name() {
        "Text" | "Refusal" => json!({ "text": "hello" }),
        "Reasoning" if descriptor.get_field_by_name("text").is_some() => json!({ "text": "hello" }),
        "Media" => json!({ "uri": "https://example.org/a.png", "mimeType": "image/png" }),
        "FileRef" => json!({ "provider": "simulated", "id": "file-1" }),
        "ToolCall" => json!({ "id": "call-1", "name": "look", "argumentsJson": "{}" }),
        "ToolResult" => json!({ "toolCallId": "call-0", "name": "look", "content": [{ "text": { "text": "seen" } }] }),
        "ProviderBlock" => json!({ "vendor": "openai", "type": "note", "json": "{}" }),
        "FunctionTool" => json!({ "name": "look", "parametersJson": "{}" }),
        "CustomTool" => json!({ "name": "look" }),
        "Grammar" => json!({ "syntax": "lark", "definition": "start: WORD" }),
        "ProviderTool" => json!({ "vendor": "openai", "json": "{}" }),
        "JsonSchemaFormat" => json!({ "name": "form", "schemaJson": "{}" }),
        _ => json!({}),
    };
    DynamicMessage::deserialize(descriptor.clone(), fields).unwrap()
}

fn contract(name: &str) -> MessageDescriptor {
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    pool.get_message_by_name(&format!("completiond.v1.{name}")).unwrap()
}

fn base() -> CompleteRequest {
    CompleteRequest {
        model: "simulated/simulator".to_owned(),
        system: "be brief".to_owned(),
        messages: vec![completiond::proto::Message {
            role: 1,
            content: vec![crate::canary::said("sim: tokens=2 pace=0ms first_event=0ms\nhello")],
            ..Default::default()
        }],
        max_tokens: Some(64),
        ..CompleteRequest::default()
    }
}

/// The same, where the model has called a tool and waits for its result.
fn called() -> CompleteRequest {
    let mut asked = base();
    let call = ToolCall { id: "call-0".to_owned(), name: "look".to_owned(), ..ToolCall::default() };
    let call = ContentBlock { block: Some(Block::ToolCall(call)), ..ContentBlock::default() };
    asked.messages.push(completiond::proto::Message { role: 2, content: vec![call], ..Default::default() });
    asked
}

/// Words that are right for a field of this name, and words that are wrong for most.
fn words(field: &FieldDescriptor) -> Vec<&'static str> {
    let mut words = vec!["canaryfield words of a canary"];
    words.extend(match field.name() {
        "uri" | "url" => Some("https://canaryhost.example/canarypath.png?canary=1"),
        "mime_type" => Some("image/canarytype"),
        name if name.contains("json") => Some(r#"{"type":"object","canaryname":"canaryvalue"}"#),
        // Names of tools, ids and keys.
        _ => Some("canaryname"),
    });
    words
}

/// A request for each field and each kind of words, for each role where there is one; and one with a word in all fields.
fn marked() -> Vec<CompleteRequest> {
    let descriptor = contract("CompleteRequest");
    let ways = fields(&descriptor, &Vec::new());
    let names: BTreeSet<String> = ways.iter().map(|way| way.last().unwrap().full_name().to_owned()).collect();
    assert!(names.len() > 50, "{names:?}");
    let dynamic = |message: &CompleteRequest| {
        DynamicMessage::decode(descriptor.clone(), message.encode_to_vec().as_slice()).unwrap()
    };
    let back = |message: &DynamicMessage| CompleteRequest::decode(message.encode_to_vec().as_slice()).unwrap();
    let (mut requests, mut all) = (Vec::new(), dynamic(&base()));
    for way in &ways {
        let roles: &[i32] = if way[0].name() == "messages" { &[1, 2, 3] } else { &[1] };
        for (words, role) in words(way.last().unwrap()).iter().flat_map(|words| roles.iter().map(move |it| (words, it)))
        {
            let mut message = if *role == 3 { called() } else { base() };
            message.unsupported_parameters = UnsupportedParameters::Ignore.into();
            let mut message = dynamic(&message);
            put(&mut message, way, words, *role);
            requests.push(back(&message));
        }
        put(&mut all, way, "canaryname", 1);
    }
    requests.push(back(&all));
    requests
}

/// Sends each by every rpc; returns what those that failed were told.
async fn sent(server: &Server, requests: &[CompleteRequest]) -> Vec<tonic::Status> {
    let mut client = server.client.clone();
    let mut failed = Vec::new();
    for message in requests {
        failed.extend(client.complete(request(message.clone())).await.err());
        failed.extend(streamed(&mut client, message.clone()).await.err());
        let count = CountTokensRequest { request: Some(message.clone()) };
        failed.extend(client.count_tokens(request(count)).await.err());
    }
    for chunk in requests.chunks(50) {
        let batch = BatchCompleteRequest { requests: chunk.to_vec(), ..Default::default() };
        client.batch_complete(request(batch)).await.unwrap();
    }
    let item = BatchItem { custom_id: "canarycustom".to_owned(), request: Some(Box::new(base())) };
    let item = StreamBatchCompleteRequest { message: Some(InBatch::Item(item)) };
    let mut results = client.stream_batch_complete(request(tokio_stream::iter([item]))).await.unwrap().into_inner();
    while results.message().await.unwrap().is_some() {}
    for way in fields(&contract("GetCompletionRequest"), &Vec::new()) {
        let mut message = DynamicMessage::new(contract("GetCompletionRequest"));
        put(&mut message, &way, "canaryname", 0);
        let asked = GetCompletionRequest::decode(message.encode_to_vec().as_slice()).unwrap();
        failed.push(client.get_completion(request(asked)).await.unwrap_err());
    }
    failed
}

async fn told(level: &str, form: &str, requests: &[CompleteRequest]) -> (Receiver, String, Vec<tonic::Status>) {
    let receiver = Receiver::start();
    let upstream = Upstream::start(Simulator::default()).await.unwrap();
    let endpoint = receiver.url();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100000"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "100000"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=canaryheader"),
        ("KEY", KEY),
        ("RUST_LOG", level),
    ];
    let settings = settings(&upstream, "").await.replace("format: json", &format!("format: {form}"));
    let mut server = Server::start(&settings, &variables).await;
    let failed = sent(&server, requests).await;
    let metrics = server.metrics().await;
    server.stop().await;
    (receiver, format!("{}\n{metrics}", server.log()), failed)
}

#[tokio::test]
async fn no_field_of_a_request_is_told_to_an_operator() {
    let requests = marked();
    let (receiver, told, failed) = told("debug,completiond=trace", "json", &requests).await;
    let received = receiver.received();
    let answered = received.spans().iter().filter(|span| text(&span.attributes, "rpc.status_code") == "OK").count();
    assert!(answered > 100 && failed.len() > 100, "both are tried: {answered} and {}", failed.len());
    assert!(
        received.records().len() > requests.len() && received.latest().len() > 20,
        "there is something to search in"
    );
    assert_eq!(found(&told), Vec::<String>::new(), "log or metrics");
    assert_eq!(found(&received.text()), Vec::<String>::new(), "spans, records or metrics");
    let mut needed = BTreeSet::new();
    for status in failed {
        let details = String::from_utf8_lossy(status.details()).into_owned();
        let all = format!("{} {details} {:?}", status.message(), status.metadata());
        assert!(!all.contains(KEY) && !all.contains("canaryheader"), "{all}");
        let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
        let is_listed = TO_ITS_CALLER.iter().any(|(known, _)| *known == reason);
        assert!(is_listed || !all.contains("canary"), "{reason}: {all}");
        needed.extend(all.contains("canary").then_some(reason));
    }
    assert_eq!(needed.len(), TO_ITS_CALLER.len(), "no exception is listed in vain: {needed:?}");
}

#[tokio::test]
async fn what_is_captured_of_each_field_is_redacted() {
    let receiver = Receiver::start();
    let upstream = Upstream::start(Simulator::default()).await.unwrap();
    let endpoint = receiver.url();
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_LOGS_EXPORTER", "otlp"), ("KEY", KEY)];
    let telemetry = "telemetry: { capture_content: true, redact: ['(?i)canary[a-z]*'] }";
    let mut server = Server::start(&settings(&upstream, telemetry).await, &variables).await;
    for message in marked() {
        // Whether it is answered is no matter here.
        let _ = server.client.complete(request(message)).await;
    }
    server.stop().await;
    let received = receiver.received();
    let captured = |span: &&Span| text(&span.attributes, "gen_ai.input.messages").contains("[redacted]");
    assert!(received.spans().iter().filter(captured).count() > 5, "something is captured");
    assert_eq!(found(&received.text()), Vec::<String>::new(), "spans, records or metrics");
    assert_eq!(found(&server.log()), Vec::<String>::new(), "log");
}

#[tokio::test]
async fn a_name_of_a_model_brings_no_line_of_its_own() {
    let line = r#"{"level":"ERROR","message":"injected","target":"completiond"}"#;
    let names = [
        format!("kestrel\n{line}"),
        format!("kestrel\r{line}"),
        format!("kestrel\u{2028}{line}"),
        "kestrel\u{1b}[31m".to_owned(),
        format!("kestrel\",\"message\":\"injected\"}}\\n{line}"),
        "kestrel\"}_1{x=\"".to_owned(),
    ];
    let mut requests = Vec::new();
    for name in names.iter().flat_map(|name| [name.clone(), format!("simulated/{name}")]) {
        requests.push(CompleteRequest { model: name.clone(), ..base() });
        requests.push(CompleteRequest { fallback_models: vec![name], model: "none".to_owned(), ..base() });
    }
    for form in ["json", "pretty"] {
        let (receiver, told, failed) = told("debug,completiond=trace", form, &requests).await;
        assert!(!failed.is_empty());
        let (log, metrics) = told.split_once("\nHTTP/1.1 200 OK").unwrap();
        let metrics = metrics.split_once("\r\n\r\n").unwrap().1;
        assert!(!log.contains('\u{1b}') && !log.contains('\u{2028}'), "a terminal would obey it: {log}");
        for line in log.lines().filter(|line| !line.is_empty()) {
            let is_ours = match form {
                "json" => serde_json::from_str::<serde_json::Value>(line).is_ok_and(|it| it["message"] != "injected"),
                _ => line.starts_with("20"),
            };
            assert!(is_ours, "{form}: {line}");
        }
        let is_series = |line: &str| line.starts_with('#') || line.starts_with(|c: char| c.is_ascii_lowercase());
        let series = metrics.lines().skip(1).filter(|line| !line.is_empty());
        assert!(series.clone().all(is_series), "{form}: {metrics}");
        let names =
            receiver.received().records().into_iter().filter(|it| text(&it.attributes, "model").contains("kestrel"));
        assert!(names.count() > 0, "{form}: names are told");
    }
}

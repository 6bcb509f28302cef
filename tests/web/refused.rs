//! What is refused before an answer begins: a status of HTTP, and everything that a gRPC status says.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::desk::{BOTH, JSON, TEXT, caller, detail, told_reason};
use crate::stage::{Stage, within};

#[tokio::test]
async fn who_shows_no_known_key_is_refused_and_asks_nobody() {
    let stage = Stage::with(&caller("the-key", "")).await;
    for http in BOTH {
        for headers in
            [vec![TEXT], vec![TEXT, ("authorization", "Bearer guessed")], vec![("content-type", "nonsense/x")]]
        {
            let answer = http.stream(&stage, &headers, "hello").await.end().await;
            answer.refuses(401, "CREDENTIALS_INVALID", "", "");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
            let request = detail(&answer.error(), "google.rpc.RequestInfo")["request_id"].clone();
            assert_eq!(request, answer.header("x-request-id"));
        }
        let served = http.stream(&stage, &[TEXT, ("authorization", "Bearer the-key")], "sim: tokens=1").await;
        assert_eq!(served.end().await.status, 200);
    }
    assert_eq!(stage.upstream.received().len(), 2);
}

#[tokio::test]
async fn who_is_not_known_is_refused_on_the_headers() {
    let stage = Stage::with(&caller("the-key", "")).await;
    let mut socket = TcpStream::connect(stage.address()).await.unwrap();
    // A body is announced, and none of it is sent.
    let head = "POST /stream HTTP/1.1\r\nhost: server\r\ncontent-type: text/plain\r\ncontent-length: 1000\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    within("it is answered", socket.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
    stage.is_quiet().await;
}

#[tokio::test]
async fn a_caller_that_has_used_as_much_as_it_may_is_told_when_to_come_back() {
    let stage = Stage::with(&caller("the-key", ", limits: { in_flight: 1, requests_per_minute: 3 }")).await;
    let key = ("authorization", "Bearer the-key");
    let [one, two] = BOTH;
    let mut open = one.stream(&stage, &[TEXT, key], "sim: tokens=50 first_event=0ms pace=0ms stall_after=20").await;
    open.piece().await.unwrap();
    let refused = two.stream(&stage, &[TEXT, key], "hello").await.end().await;
    refused.refuses(429, "CALLER_LIMIT_EXCEEDED", "", "");
    assert_eq!(refused.header("retry-after"), "1");
    let error = refused.error();
    let subject = &detail(&error, "google.rpc.QuotaFailure")["violations"][0]["subject"];
    assert_eq!(subject, "caller:page in_flight");
    drop(open);
    for http in BOTH {
        stage.is_quiet().await;
        assert_eq!(http.stream(&stage, &[TEXT, key], "sim: tokens=1").await.end().await.status, 200);
    }
    stage.is_quiet().await;
    let refused = one.stream(&stage, &[TEXT, key], "hello").await.end().await;
    refused.refuses(429, "CALLER_LIMIT_EXCEEDED", "", "");
    assert!((1..=61).contains(&refused.header("retry-after").parse().unwrap()), "{refused:?}");
}

#[tokio::test]
async fn a_failure_of_the_upstream_is_told_with_its_wait_and_its_ledger() {
    let stage = Stage::with("retry: { max_attempts: 1 }").await;
    for (http, model) in BOTH.into_iter().zip(["simulator?tokens=1", "simulator?tokens=2"]) {
        // Each its own endpoint: one that is rate limited is let alone for as long as it says.
        let script = "sim: error=rate_limit retry_after=7";
        let asked = serde_json::json!({ "model": format!("up/{model}"), "prompt": script }).to_string();
        let answer = http.stream(&stage, &[JSON], asked).await.end().await;
        answer.refuses(429, "PROVIDER_RATE_LIMITED", "", "");
        let error = answer.error();
        assert_eq!(answer.header("retry-after"), "7");
        assert_eq!(detail(&error, "google.rpc.RetryInfo")["retry_delay"], "7s");
        let attempts = &detail(&error, "completiond.v1.FailureDetail")["attempts"];
        assert_eq!(attempts.as_array().unwrap().len(), 1, "{error}");
        for (directive, status, reason) in
            [("error=overloaded", 503, "PROVIDER_UNAVAILABLE"), ("reset_before_head", 503, "PROVIDER_UNAVAILABLE")]
        {
            let answer = http.stream(&stage, &[TEXT], format!("sim: {directive}")).await.end().await;
            answer.refuses(status, reason, "", "");
        }
        let unknown = serde_json::json!({ "model": "nobody", "prompt": "hello" }).to_string();
        http.stream(&stage, &[JSON], unknown).await.end().await.refuses(404, "MODEL_NOT_FOUND", "", "");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_told_by_its_field() {
    const SECRET: &str = "words-that-nobody-else-may-read";
    let stage = Stage::with("limits: { max_request_bytes: 64KiB }").await;
    for http in BOTH {
        for (body, field, rule) in [
            (format!("{{\"prompt\": \"{SECRET}"), "body", "line 1"),
            (format!("{{\"promt\": \"{SECRET}\"}}"), "promt", "no field"),
            (format!("{{\"max_tokens\": \"{SECRET}\"}}"), "max_tokens", "must be"),
            (
                format!("{{\"messages\": [{{\"content\": [{{\"text\": {{\"txt\": \"{SECRET}\"}}}}]}}]}}"),
                "messages[0].content[0].text.txt",
                "no field",
            ),
            (format!("{{\"prompt\": \"a\", \"prompt\": \"{SECRET}\"}}"), "prompt", "once"),
            (format!("{{\"prompt\": \"{SECRET}\", \"max_tokens\": 1, \"maxTokens\": 2}}"), "max_tokens", "once"),
            // This one is read, and breaks a rule of the contract.
            (format!("{{\"prompt\": \"{SECRET}\", \"temperature\": -1}}"), "temperature", ""),
        ] {
            let answer = http.stream(&stage, &[JSON], body.clone()).await.end().await;
            answer.refuses(400, "INVALID_REQUEST", field, rule);
            assert!(!answer.text().contains(SECRET), "{}", answer.text());
        }
        for (headers, body, status, field) in [
            (vec![("content-type", "application/xml")], "<a/>", 415, "content-type"),
            (vec![], "hello", 415, "content-type"),
            (vec![TEXT, ("accept", "application/xml")], "hello", 406, "accept"),
            (vec![TEXT, ("content-encoding", "gzip")], "hello", 415, "content-encoding"),
            (vec![("content-type", "application/x-www-form-urlencoded")], "{\"prompt\": \"hello}", 400, "body"),
            (vec![TEXT], "", 400, "body"),
        ] {
            let answer = http.stream(&stage, &headers, body).await.end().await;
            answer.refuses(status, "INVALID_REQUEST", field, "");
            assert_eq!(answer.header("accept-encoding"), if status == 415 { "identity" } else { "" });
        }
        let role = http.stream(&stage, &[JSON], r#"{"messages": [{"role": "user"}]}"#).await.end().await;
        role.refuses(400, "INVALID_REQUEST", "messages[0].role", "ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL");
        let large = http.stream(&stage, &[TEXT], "words ".repeat(20_000)).await.end().await;
        large.refuses(413, "REQUEST_TOO_LARGE", "", "");
        let many = format!("{{\"messages\": [{}{{}}]}}", "{},".repeat(20_000));
        http.stream(&stage, &[JSON], many).await.end().await.refuses(400, "INVALID_REQUEST", "", "");
    }
    assert_eq!(stage.upstream.received().len(), 0);
    stage.is_quiet().await;
}

#[tokio::test]
async fn what_is_not_here_says_what_is() {
    const METHOD: &str = "/completiond.v1.CompletionService/Complete";
    let stage = Stage::with("").await;
    for http in BOTH {
        for (method, path, content_type, status, words) in [
            ("GET", "/", "", 404, "POST /stream"),
            ("POST", "/v1/chat/completions", "application/json", 404, "POST /stream"),
            ("GET", "/stream", "", 405, "POST"),
            ("DELETE", "/stream", "", 405, "POST"),
            ("OPTIONS", "/stream", "", 405, "POST"),
            ("GET", METHOD, "application/grpc-web", 405, "POST"),
            ("POST", METHOD, "application/json", 415, "gRPC-Web"),
            ("POST", METHOD, "application/grpc-web+json", 415, "gRPC-Web"),
        ] {
            let headers = [("content-type", content_type)];
            let answer = http.send(stage.address(), (method, path), &headers, "{}").await.end().await;
            let error = answer.error();
            assert_eq!((answer.status, told_reason(&error).as_str()), (status, "METHOD_UNKNOWN"), "{method} {path}");
            assert!(error["message"].as_str().unwrap().contains(words), "{error}");
            assert_eq!(answer.header("allow"), if status == 405 { "POST, OPTIONS" } else { "" });
            assert!(!answer.header("x-request-id").is_empty());
        }
    }
}

#[tokio::test]
async fn http_1_0_is_refused_since_a_cut_answer_would_look_complete() {
    let stage = Stage::with("").await;
    let mut socket = TcpStream::connect(stage.address()).await.unwrap();
    let asked = "POST /stream HTTP/1.0\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello";
    socket.write_all(asked.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("the connection is closed", socket.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 505") && answer.contains("HTTP/1.1 or HTTP/2"), "{answer}");
    assert_eq!(stage.upstream.received().len(), 0);
}

#[tokio::test]
async fn a_head_beyond_the_bound_is_refused_over_http_1_as_well() {
    let stage = Stage::with("connections: { max_metadata_bytes: 16KiB }").await;
    let mut socket = TcpStream::connect(stage.address()).await.unwrap();
    let head = format!("POST /stream HTTP/1.1\r\nhost: server\r\nx-large: {}\r\n\r\n", "m".repeat(40_000));
    // It may be closed before everything was taken.
    let _ = socket.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = within("the connection is closed", socket.read_to_end(&mut answer)).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{:?}", String::from_utf8_lossy(&answer));
    assert_eq!(stage.upstream.received().len(), 0);
}

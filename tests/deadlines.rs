//! Time, over real sockets: what bounds a call, whose bound it is, and what it is called.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects")]

mod stage;

use completiond::proto::CompleteRequest;
use completiond::proto::stream_complete_response::Event;
use stage::{Stage, prompt};
use tonic::Code::{DeadlineExceeded, Ok as Fine, Unavailable};

#[tokio::test]
async fn the_callers_deadline_bounds_a_call_wherever_the_upstream_is_slow() {
    let stage = Stage::with("").await;
    let wire = stage.wire().await;
    for (directives, started) in [
        ("silence", false),
        ("head=10s", false),
        ("first_event=10s", false),
        ("first_event=10s ping=10ms", false),
        ("tokens=1000 pace=20ms", true),
        ("tokens=100 stall_after=5", true),
        ("tokens=100 pace=10s ping=10ms", false),
    ] {
        let asked = prompt(&format!("sim: {directives}"));
        let mut events = wire.stream(&asked, &[("grpc-timeout", "300m")]).await;
        assert_eq!(!events.all(0).await.is_empty(), started, "{directives}");
        events.status().expect(DeadlineExceeded, "DEADLINE_EXCEEDED", "the caller's deadline");
        let whole = wire.complete(&asked, &[("grpc-timeout", "300m")]).await;
        whole.expect(DeadlineExceeded, "DEADLINE_EXCEEDED", "the caller's deadline");
    }
    stage.is_quiet().await;
    assert_eq!(stage.upstream_is(|_| true).await.dropped, 14);
}

#[tokio::test]
async fn a_deadline_that_has_passed_already_asks_nobody() {
    let stage = Stage::with("").await;
    let wire = stage.wire().await;
    for method in ["Complete", "StreamComplete"] {
        let response = wire.send(method, &prompt("hello"), &[("grpc-timeout", "0n")]).await.unwrap();
        stage::Events::of(response).end().await.expect(DeadlineExceeded, "DEADLINE_EXCEEDED", "");
    }
    stage.is_quiet().await;
}

#[tokio::test]
async fn the_total_timeout_bounds_a_call_whose_caller_set_no_deadline() {
    let stage =
        Stage::with("timeouts: { connect: 300ms, first_event: 400ms, idle: 400ms, attempt: 400ms, total: 400ms }")
            .await;
    let wire = stage.wire().await;
    let asked = prompt("sim: tokens=1000 pace=20ms");
    let mut events = wire.stream(&asked, &[]).await;
    assert!(!events.all(0).await.is_empty());
    events.status().expect(DeadlineExceeded, "DEADLINE_EXCEEDED", "total timeout");
    wire.complete(&asked, &[("grpc-timeout", "1H")]).await.expect(
        DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        "total timeout",
    );
    stage.is_quiet().await;
}

#[tokio::test]
async fn each_timeout_of_an_attempt_has_its_words() {
    let stage = Stage::with("timeouts: { first_event: 200ms, idle: 200ms, attempt: 200ms, connect: 100ms }").await;
    let wire = stage.wire().await;
    for (directives, words) in [
        ("silence", "first-event timeout of 200ms"),
        ("head=10s", "first-event timeout of 200ms"),
        ("first_event=10s", "first-event timeout of 200ms"),
        ("first_event=10s ping=20ms", "first-event timeout of 200ms"),
        ("pace=10s", "idle timeout of 200ms"),
        // Before the first block a keep-alive proves nothing.
        ("stall_after=1 ping=20ms", "idle timeout of 200ms"),
    ] {
        let asked = prompt(&format!("sim: {directives}"));
        let mut events = wire.stream(&asked, &[]).await;
        assert_eq!(events.all(0).await, [], "{directives}");
        events.status().expect(DeadlineExceeded, "PROVIDER_TIMEOUT", words);
        wire.complete(&asked, &[]).await.expect(DeadlineExceeded, "PROVIDER_TIMEOUT", words);
    }
    let short = CompleteRequest { max_tokens: Some(100), ..prompt("sim: silence") };
    wire.complete(&short, &[]).await.expect(DeadlineExceeded, "PROVIDER_TIMEOUT", "attempt timeout of 200ms");
    stage.is_quiet().await;
}

#[tokio::test]
async fn a_stream_that_falls_silent_after_it_began_is_interrupted() {
    let stage = Stage::with("timeouts: { connect: 200ms, first_event: 200ms, idle: 200ms }").await;
    let wire = stage.wire().await;
    let mut events = wire.stream(&prompt("sim: tokens=50 stall_after=10"), &[]).await;
    assert!(events.all(0).await.len() > 5);
    events.status().expect(Unavailable, "STREAM_INTERRUPTED", "idle timeout of 200ms");
    // Nothing has left for a caller who wants it whole.
    let whole = wire.complete(&prompt("sim: tokens=50 stall_after=10"), &[]).await;
    whole.expect(DeadlineExceeded, "PROVIDER_TIMEOUT", "idle timeout of 200ms");
    stage.is_quiet().await;
}

#[tokio::test]
async fn inside_a_block_keep_alives_extend_idle() {
    let stage = Stage::speaking("anthropic", "timeouts: { connect: 200ms, first_event: 300ms, idle: 300ms }").await;
    let wire = stage.wire().await;
    // Here a block begins before its first token, and every token takes longer than `idle`.
    let mut events = wire.stream(&prompt("sim: tokens=2 pace=500ms ping=50ms"), &[]).await;
    events.all(0).await;
    assert_eq!(events.status().code, Fine);
    let mut silent = wire.stream(&prompt("sim: tokens=2 pace=500ms"), &[]).await;
    silent.all(0).await;
    silent.status().expect(Unavailable, "STREAM_INTERRUPTED", "idle timeout of 300ms");
    stage.is_quiet().await;
}

#[tokio::test]
async fn an_address_that_takes_no_connection_is_a_connect_timeout() {
    // A listener whose queue is full answers no handshake.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(std::time::Duration::from_millis(200), tokio::net::TcpStream::connect(address)).await
    {
        queued.push(stream);
    }
    let text = stage::configuration(&format!("http://{address}"), "openai", "timeouts: { connect: 200ms }");
    let tracer = completiond::telemetry::Guard::start(|_| None).unwrap().tracer();
    let running = completiond::app::start(&stage::parsed(&text), tracer).await.unwrap();
    let wire = stage::Wire::connect(stage::tcp(&running.public)).await;
    let end = wire.complete(&prompt("hello"), &[]).await;
    end.expect(DeadlineExceeded, "PROVIDER_TIMEOUT", "no connection within 200ms");
}

#[tokio::test]
async fn an_upload_that_never_ends_ends_with_the_callers_deadline() {
    let stage = Stage::with("").await;
    let wire = stage.wire().await;
    let (_rest, answer) = wire.begin(1000, &[("grpc-timeout", "200m")]);
    let answer = stage::within("a head comes", answer).await.unwrap();
    stage::Events::of(answer).end().await.expect(
        DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        "before the request had arrived",
    );
    stage.is_quiet().await;
}

#[tokio::test]
async fn silence_commits_nothing_and_a_late_event_does() {
    let stage = Stage::with("stream: { commit_after: 100ms, heartbeat: 150ms }").await;
    let wire = stage.wire().await;
    // Events of no block come late: the caller learns who is at work, before any block.
    let mut events = wire.stream(&prompt("sim: think=1 tokens=5 pace=400ms"), &[]).await;
    let told = events.all(0).await;
    assert!(matches!(told[0], Event::Started(_)), "{told:?}");
    assert_eq!(events.status().code, Fine);
    // One event, then nothing: however long it lasts, the head of the response stays away until the call fails.
    let mut silent = wire.stream(&prompt("sim: stall_after=1"), &[("grpc-timeout", "700m")]).await;
    assert_eq!(silent.all(0).await, []);
    silent.status().expect(DeadlineExceeded, "DEADLINE_EXCEEDED", "the caller's deadline");
    stage.is_quiet().await;
}

#[tokio::test]
async fn a_silent_stream_beats_once_it_has_started() {
    let stage = Stage::with("stream: { heartbeat: 60ms }").await;
    let wire = stage.wire().await;
    let mut events = wire.stream(&prompt("sim: tokens=3 first_event=300ms pace=250ms"), &[]).await;
    let told = events.all(0).await;
    assert!(matches!(told[0], Event::Started(_)), "no heartbeat comes before the start: {told:?}");
    let beats = told.iter().filter(|event| matches!(event, Event::Heartbeat(_))).count();
    assert!(beats >= 2, "{told:?}");
    assert!(matches!(told.last(), Some(Event::Completed(_))), "{told:?}");
    assert_eq!(events.status().code, Fine);
}

//! Calls whose callers go away or do not read, over real sockets: the upstream hears of it, and nothing is kept.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects")]

mod stage;

use completiond::proto::stream_complete_response::{Event, block_delta::Delta};
use stage::{Events, Stage, Wire, eventually, prompt, within};
use tonic::Code::{Aborted, DeadlineExceeded, Ok as Fine};

/// An answer that nobody reads to its end.
const LONG: &str = "sim: tokens=200000";

/// The least that is still more than all buffers hold.
const ENOUGH: &str = "sim: tokens=60000";

/// How a caller goes away.
#[derive(Clone, Copy, Debug)]
enum Leaves {
    Resets,
    ClosesTheConnection,
}

#[tokio::test]
async fn the_upstream_hears_of_every_caller_that_goes_away() {
    let stage = Stage::with("").await;
    let mut dropped = 0;
    for leaves in [Leaves::Resets, Leaves::ClosesTheConnection] {
        for (method, directives) in [
            ("Complete", "silence"),
            ("Complete", "head=60s"),
            ("Complete", "tokens=1000 pace=1s"),
            ("StreamComplete", "silence"),
            ("StreamComplete", "first_event=60s"),
            ("StreamComplete", "stall_after=1"),
        ] {
            let wire = stage.wire().await;
            let call = tokio::spawn(wire.send(method, &prompt(&format!("sim: {directives}")), &[]));
            stage.upstream_is(|counts| counts.open == 1).await;
            match leaves {
                Leaves::Resets => call.abort(),
                Leaves::ClosesTheConnection => drop(wire),
            }
            dropped += 1;
            stage.upstream_is(|counts| counts.dropped == dropped).await;
            stage.is_quiet().await;
            call.abort();
        }
    }
}

#[tokio::test]
async fn the_upstream_hears_of_a_caller_that_leaves_in_the_middle_of_a_stream() {
    let stage = Stage::with("").await;
    let mut dropped = 0;
    for leaves in [Leaves::Resets, Leaves::ClosesTheConnection] {
        // Between two tokens, in a silence, and in the rush of an answer without pauses.
        for directives in ["tokens=1000 pace=20ms", "tokens=100 stall_after=5", "tokens=200000"] {
            let wire = stage.wire().await;
            let mut events = wire.stream(&prompt(&format!("sim: {directives}")), &[]).await;
            assert!(matches!(events.event().await, Event::Started(_)));
            match leaves {
                Leaves::Resets => drop(events),
                Leaves::ClosesTheConnection => drop(wire),
            }
            dropped += 1;
            stage.upstream_is(|counts| counts.dropped == dropped && counts.open == 0).await;
            stage.is_quiet().await;
        }
    }
}

#[tokio::test]
async fn a_caller_that_takes_nothing_loses_its_call_whatever_the_upstreams_pace() {
    let stage = Stage::with("stream: { client_stall: 300ms, heartbeat: 200ms }").await;
    let cases = [
        // More than fits, at once; token by token, so that the window is full between two of them; then silence.
        (4096, "tokens=200000"),
        (600, "tokens=10000 pace=5ms"),
        (600, "tokens=30 stall_after=25"),
        // A window that never opens: not even the first event is taken.
        (0, "tokens=200000"),
        (0, "tokens=10 stall_after=5"),
    ];
    for (dropped, (window, directives)) in (1..).zip(cases) {
        let wire = Wire::with_window(stage.address(), window).await;
        let events = wire.stream(&prompt(&format!("sim: {directives}")), &[]).await;
        stage.upstream_is(|counts| counts.dropped == dropped && counts.open == 0).await;
        // Also what the admission had taken is given back, though the status is still to be read.
        stage.is_quiet().await;
        if window > 0 {
            events.end().await.expect(Aborted, "CLIENT_STALLED", "took nothing for 300ms");
        }
    }
}

#[tokio::test]
async fn the_deadline_of_a_caller_that_takes_nothing_frees_its_upstream() {
    let stage = Stage::with("").await;
    let wire = Wire::with_window(stage.address(), 600).await;
    let events = wire.stream(&prompt(LONG), &[("grpc-timeout", "200m")]).await;
    stage.upstream_is(|counts| counts.dropped == 1 && counts.open == 0).await;
    stage.is_quiet().await;
    events.end().await.expect(DeadlineExceeded, "DEADLINE_EXCEEDED", "the caller's deadline");
}

#[tokio::test]
async fn one_caller_that_takes_nothing_does_not_hold_up_the_others_of_its_connection() {
    let stage = Stage::with("").await;
    let wire = Wire::with_window(stage.address(), 65_535).await;
    let mut stalled = Vec::new();
    for _ in 0..5 {
        stalled.push(wire.stream(&prompt(LONG), &[]).await);
    }
    let mut events = wire.stream(&prompt("sim: tokens=100"), &[]).await;
    events.all(0).await;
    assert_eq!(events.status().code, Fine);
    drop(stalled);
    stage.is_quiet().await;
}

#[tokio::test]
async fn a_slow_caller_slows_the_upstream_and_gets_everything() {
    let stage =
        Stage::with("timeouts: { connect: 100ms, first_event: 100ms, idle: 100ms }\nstream: { client_stall: 10s }")
            .await;
    let wire = Wire::with_window(stage.address(), 32_768).await;
    let mut events = wire.stream(&prompt(ENOUGH), &[]).await;
    // The client takes nothing for several times `idle`: that is no silence of the upstream.
    let mut open = stage.upstream.simulator().counts();
    let ended = tokio::time::timeout(std::time::Duration::from_millis(500), open.wait_for(|counts| counts.open == 0));
    assert!(ended.await.is_err(), "the upstream waits for the client");
    let told = events.all(0).await;
    assert_eq!(events.status().code, Fine);
    let words = |event: &Event| match event {
        Event::BlockDelta(delta) => match &delta.delta {
            Some(Delta::Text(text)) => text.clone(),
            other => panic!("{other:?}"),
        },
        _ => String::new(),
    };
    let text: String = told.iter().map(words).collect();
    let Some(Event::Completed(outcome)) = told.last() else { panic!("{:?}", told.last()) };
    assert_eq!(outcome.usage.as_ref().unwrap().output_tokens, 60_000);
    // The same answer, taken as fast as it comes.
    let fast = stage.wire().await;
    let mut again = fast.stream(&prompt(ENOUGH), &[]).await;
    let fast: String = again.all(0).await.iter().map(words).collect();
    assert!(text == fast, "{} and {} bytes", text.len(), fast.len());
    stage.is_quiet().await;
}

#[tokio::test]
async fn a_thousand_streams_that_are_reset_leave_nothing_behind() {
    let stage = Stage::with("").await;
    let wire = stage.wire().await;
    for wave in 1..=10 {
        let mut streams = Vec::new();
        for _ in 0..100 {
            streams.push(tokio::spawn(wire.send("StreamComplete", &prompt("sim: tokens=1000 pace=1s"), &[])));
        }
        stage.upstream_is(|counts| counts.open == 100).await;
        for stream in streams {
            stream.abort();
        }
        stage.upstream_is(|counts| counts.open == 0 && counts.dropped == wave * 100).await;
    }
    stage.is_quiet().await;
    wire.complete(&prompt("hello"), &[]).await.expect(Fine, "", "");
    drop(wire);
    eventually("every connection to the upstream that was cut is closed", || {
        *stage.upstream.connections().borrow() <= 1
    })
    .await;
}

#[tokio::test]
async fn requests_beyond_the_bytes_in_flight_are_refused_until_there_is_room() {
    let stage = Stage::with("limits: { max_request_bytes: 64KiB, max_bytes_in_flight: 100KiB }").await;
    let wire = stage.wire().await;
    let first = prompt(&format!("{}\nsim: tokens=1000 pace=1s first_event=0ms", "words ".repeat(10_000)));
    let held = tokio::spawn(wire.send("StreamComplete", &first, &[]));
    stage.upstream_is(|counts| counts.open == 1).await;
    let second = prompt(&"words ".repeat(10_000));
    let refused = Events::of(within("a head", wire.send("StreamComplete", &second, &[])).await.unwrap());
    assert_eq!(refused.pushback(), Some("1000"));
    refused.end().await.expect(tonic::Code::Unavailable, "OVERLOADED", "in flight");
    // What is small still finds room.
    wire.complete(&prompt("hello"), &[]).await.expect(Fine, "", "");
    held.abort();
    stage.is_quiet().await;
    wire.complete(&second, &[]).await.expect(Fine, "", "");
    stage.is_quiet().await;
}

#[tokio::test]
async fn calls_beyond_the_limit_are_refused_on_their_headers_until_one_has_ended() {
    let stage = Stage::set("openai", "", |config| config.limits.max_in_flight = 5).await;
    let wire = stage.wire().await;
    let mut open = Vec::new();
    for _ in 0..5 {
        let mut events = wire.stream(&prompt("sim: tokens=100 stall_after=5"), &[]).await;
        assert!(matches!(events.event().await, Event::Started(_)));
        open.push(events);
    }
    assert_eq!(stage.running.admission.calls_in_flight(), 5);
    // Of the one too many not even the message has come when it is refused.
    let (_rest, head) = wire.begin(1000, &[]);
    let refused = Events::of(within("a head", head).await.unwrap());
    assert_eq!(refused.pushback(), Some("1000"));
    refused.end().await.expect(tonic::Code::Unavailable, "OVERLOADED", "too many calls are in flight");
    let unary = wire.complete(&prompt("hello"), &[]).await;
    unary.expect(tonic::Code::Unavailable, "OVERLOADED", "too many calls are in flight");
    // Probes get through to a server that is full.
    let health = wire.send_raw("/grpc.health.v1.Health/Check", vec![0; 5].into(), &[]);
    Events::of(within("a head", health).await.unwrap()).end().await.expect(Fine, "", "");
    assert_eq!(stage.running.admission.calls_in_flight(), 5);
    open.pop();
    eventually("the place is given back", || stage.running.admission.calls_in_flight() == 4).await;
    wire.complete(&prompt("hello"), &[]).await.expect(Fine, "", "");
    drop(open);
    stage.is_quiet().await;
}

#[tokio::test]
async fn a_call_keeps_its_place_until_its_response_has_ended_not_only_begun() {
    let stage = Stage::set("openai", "", |config| config.limits.max_in_flight = 1).await;
    let wire = stage.wire().await;
    let mut stalled = wire.stream(&prompt("sim: tokens=100 stall_after=5"), &[]).await;
    assert!(matches!(stalled.event().await, Event::Started(_)));
    let refused = wire.complete(&prompt("hello"), &[]).await;
    refused.expect(tonic::Code::Unavailable, "OVERLOADED", "too many calls are in flight");
    drop(stalled);
    stage.is_quiet().await;
    let mut answered = wire.stream(&prompt("sim: tokens=3"), &[]).await;
    assert!(matches!(answered.event().await, Event::Started(_)));
    answered.end().await.expect(Fine, "", "");
    stage.is_quiet().await;
    wire.complete(&prompt("hello"), &[]).await.expect(Fine, "", "");
    stage.is_quiet().await;
}

#[tokio::test]
async fn what_comes_behind_an_early_answer_is_taken_and_the_stream_is_not_reset() {
    let stage = Stage::set("openai", "", |config| config.limits.max_in_flight = 1).await;
    let wire = stage.wire().await;
    let (unknown, head) = wire.begin_raw("/completiond.v1.CompletionService/Nothing");
    Events::of(within("a head", head).await.unwrap()).end().await.expect(
        tonic::Code::Unimplemented,
        "METHOD_UNKNOWN",
        "",
    );
    let stalled = wire.stream(&prompt("sim: tokens=100 stall_after=5"), &[]).await;
    let (refused, head) = wire.begin_raw("/completiond.v1.CompletionService/Complete");
    Events::of(within("a head", head).await.unwrap()).end().await.expect(tonic::Code::Unavailable, "OVERLOADED", "");
    drop(stalled);
    stage.is_quiet().await;
    // This is answered behind any reset.
    wire.complete(&prompt("hello"), &[]).await.expect(Fine, "", "");
    assert!(!unknown.is_closed() && !refused.is_closed());
}

#[tokio::test]
async fn uploads_that_never_end_count_and_give_back_what_they_took() {
    let stage = Stage::with("limits: { max_request_bytes: 64KiB, max_bytes_in_flight: 100KiB }").await;
    let wire = stage.wire().await;
    let (_rest, first) = wire.begin(60_000, &[]);
    let first = tokio::spawn(first);
    eventually("the upload counts", || stage.running.admission.bytes_in_flight() >= 60_000).await;
    let (_more, second) = wire.begin(60_000, &[]);
    let second = Events::of(within("a head", second).await.unwrap());
    second.end().await.expect(tonic::Code::Unavailable, "OVERLOADED", "in flight");
    first.abort();
    stage.is_quiet().await;
}

#[tokio::test]
async fn a_compressed_request_counts_as_large_as_it_is() {
    let stage = Stage::with("limits: { max_request_bytes: 90KiB, max_bytes_in_flight: 100KiB }").await;
    let mut client = completiond::proto::completion_service_client::CompletionServiceClient::new(
        tonic::transport::Endpoint::try_from(format!("http://{}", stage.address())).unwrap().connect_lazy(),
    )
    .send_compressed(tonic::codec::CompressionEncoding::Gzip);
    let large = prompt(&format!("{}\nsim: silence", "words ".repeat(12_000)));
    let mut first = client.clone();
    let held = tokio::spawn(async move { first.complete(large).await });
    stage.upstream_is(|counts| counts.open == 1).await;
    assert!(stage.running.admission.bytes_in_flight() > 72_000);
    let refused = client.complete(prompt(&"words ".repeat(12_000))).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused:?}");
    held.abort();
    stage.is_quiet().await;
}

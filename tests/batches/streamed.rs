//! Batches that are a stream.

use std::fmt::Display;
use std::time::Duration;

use completiond::proto::stream_batch_complete_request::Message as Part;
use completiond::proto::{
    BatchItem, BatchSettings, CompleteRequest, StreamBatchCompleteRequest, StreamBatchCompleteResponse,
};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt;

use hyper::body::Frame;

use crate::stage::{Events, Rest, Stage, Wire, eventually, framed, within};
use crate::{FAST, answer, asked, client, reason};

fn settings(max_concurrency: i32) -> StreamBatchCompleteRequest {
    StreamBatchCompleteRequest { message: Some(Part::Settings(BatchSettings { max_concurrency })) }
}

fn item(custom_id: impl Display, request: CompleteRequest) -> StreamBatchCompleteRequest {
    let item = BatchItem { custom_id: custom_id.to_string(), request: Some(Box::new(request)) };
    StreamBatchCompleteRequest { message: Some(Part::Item(item)) }
}

async fn open(
    stage: &Stage,
    said: impl Stream<Item = StreamBatchCompleteRequest> + Send + 'static,
) -> Streaming<StreamBatchCompleteResponse> {
    within("the stream opens", client(stage).stream_batch_complete(said)).await.unwrap().into_inner()
}

async fn next(results: &mut Streaming<StreamBatchCompleteResponse>) -> StreamBatchCompleteResponse {
    within("a result comes", results.message()).await.unwrap().unwrap()
}

async fn failed(mut results: Streaming<StreamBatchCompleteResponse>) -> Status {
    let ending = async {
        loop {
            if let Err(status) = results.message().await.map(Option::unwrap) {
                return status;
            }
        }
    };
    within("it fails", ending).await
}

fn reason_of(status: &Status) -> String {
    status.get_error_details().error_info().unwrap().reason.clone()
}

#[tokio::test]
async fn results_come_as_they_are_done_and_the_stream_ends_with_the_last() {
    let stage = Stage::with("").await;
    let said = [
        settings(3),
        item("slow", asked("tokens=1 first_event=400ms pace=0ms")),
        item("wrong", CompleteRequest { max_tokens: Some(0), ..asked(FAST) }),
        item("fast", asked(&format!("tokens=7 {FAST}"))),
    ];
    let mut results = open(&stage, stream::iter(said)).await;
    let mut seen = Vec::new();
    while let Some(result) = within("it goes on", results.message()).await.unwrap() {
        seen.push(result);
    }
    let names: Vec<_> = seen.iter().map(|result| result.custom_id.as_str()).collect();
    assert_eq!(names, ["wrong", "fast", "slow"]);
    assert_eq!(reason(seen[0].result.as_ref().unwrap()), "INVALID_REQUEST");
    let outcome = answer(seen[1].result.as_ref().unwrap()).outcome.as_ref().unwrap();
    assert_eq!(outcome.usage.as_ref().unwrap().output_tokens, 7);
    stage.is_quiet().await;
}

/// Sends items on a connection that does only what it is told, until no more are taken or `most` were; returns how many.
async fn pour(stage: &Stage, wire: &Wire, request: CompleteRequest, most: usize) -> (Rest, Events, usize) {
    let (rest, head) = wire.begin_raw("/completiond.v1.CompletionService/StreamBatchComplete");
    rest.send(Ok(Frame::data(framed(&settings(4))))).await.unwrap();
    let events = Events::of(within("a head comes", head).await.unwrap());
    let mut sent = 0;
    while sent < most {
        let frame = Frame::data(framed(&item(sent, request.clone())));
        tokio::select! {
            biased;
            taken = rest.send(Ok(frame)) => taken.unwrap(),
            // The window is full: it was as soon as all that may run does.
            _ = stage.upstream_is(|counts| counts.open == 4) => {
                if rest.capacity() == 0 {
                    break;
                }
            }
        }
        sent += 1;
    }
    (rest, events, sent)
}

#[tokio::test]
async fn beyond_the_limit_nothing_is_read() {
    let stage = Stage::with("").await;
    // Each is larger than what a window and the buffers on the way hold of the next ones.
    let long = CompleteRequest { system: "x".repeat(1 << 20), ..asked("tokens=1 silence") };
    let wire = stage.wire().await;
    let (rest, events, sent) = pour(&stage, &wire, long, 50).await;
    assert!((4..20).contains(&sent), "{sent} were taken");
    drop((rest, events, wire));
    stage.is_quiet().await;
}

#[tokio::test]
async fn ten_thousand_run_within_the_limit_and_leave_nothing() {
    let stage = Stage::with("limits: { max_bytes_in_flight: 4MiB, max_request_bytes: 1MiB }").await;
    let request = CompleteRequest { system: "x".repeat(2000), ..asked("tokens=1 first_event=5ms pace=0ms") };
    let said = stream::iter(0..10_000).map(move |n| item(n, request.clone()));
    let mut results = open(&stage, stream::iter([settings(16)]).chain(said)).await;
    let mut seen = vec![false; 10_000];
    let (mut bytes, admission) = (0, &stage.running.admission);
    while let Some(result) = within("it goes on", results.message()).await.unwrap() {
        let name: usize = result.custom_id.parse().unwrap();
        assert!(!std::mem::replace(&mut seen[name], true), "{name} has come twice");
        assert!(answer(result.result.as_ref().unwrap()).outcome.is_some());
        bytes = bytes.max(admission.bytes_in_flight());
    }
    assert!(seen.iter().all(|seen| *seen), "none is lost");
    // 20 MB went through.
    assert!(bytes < 2 << 20, "{bytes} bytes were in flight");
    let counts = stage.upstream_is(|counts| counts.open == 0).await;
    assert_eq!(counts.finished, 10_000);
    // A machine that is busy elsewhere may not bring all of them together.
    assert!((2..=16).contains(&counts.most_open), "{}", counts.most_open);
    stage.is_quiet().await;
}

#[tokio::test]
async fn what_is_not_said_as_it_must_be_ends_the_stream() {
    let stage = Stage::with("").await;
    let silent = || asked("tokens=1 silence");
    let cases = [
        (vec![item("a", silent()), settings(3)], "settings"),
        (vec![settings(3), settings(3)], "settings"),
        (vec![settings(101)], "settings.max_concurrency"),
        (vec![item("a", silent()), item("a", silent())], "item.custom_id"),
        (vec![item("", silent())], "item.custom_id"),
        (vec![StreamBatchCompleteRequest { message: None }], "message"),
    ];
    for (said, field) in cases {
        let said = stream::iter(said).chain(stream::pending());
        let status = failed(open(&stage, said).await).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{field}");
        assert_eq!(status.get_error_details().bad_request().unwrap().field_violations[0].field, field);
        stage.is_quiet().await;
    }
}

#[tokio::test]
async fn a_name_may_be_used_again_once_its_result_has_come() {
    let stage = Stage::with("").await;
    let (say, said) = mpsc::channel(4);
    let mut results = open(&stage, ReceiverStream::new(said)).await;
    for _ in 0..3 {
        say.send(item("same", asked(&format!("tokens=1 {FAST}")))).await.unwrap();
        assert_eq!(next(&mut results).await.custom_id, "same");
    }
    drop(say);
    assert!(within("it ends", results.message()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_client_that_takes_no_results_is_told_and_holds_nothing() {
    let stage = Stage::with("stream: { client_stall: 1s }").await;
    let wire = Wire::with_window(stage.address(), 1024).await;
    let request = asked(&format!("tokens=300 {FAST}"));
    let (rest, head) = wire.begin_raw("/completiond.v1.CompletionService/StreamBatchComplete");
    let sending = tokio::spawn(async move {
        for n in 0.. {
            if rest.send(Ok(Frame::data(framed(&item(n, request.clone()))))).await.is_err() {
                break;
            }
        }
    });
    let events = Events::of(within("a head comes", head).await.unwrap());
    stage.upstream_is(|counts| counts.finished >= 5).await;
    let admission = &stage.running.admission;
    eventually("its places are free", || admission.calls_in_flight() == 0).await;
    let made = stage.upstream.simulator().counts().borrow().finished;
    assert!(made < 20, "{made} were made for nobody");
    events.end().await.expect(Code::Aborted, "CLIENT_STALLED", "took no result");
    within("the rest is not taken", sending).await.unwrap();
    stage.is_quiet().await;
}

#[tokio::test]
async fn when_its_caller_goes_all_items_end() {
    let stage = Stage::with("").await;
    let wire = stage.wire().await;
    let (rest, events, sent) = pour(&stage, &wire, asked("tokens=1 silence"), 6).await;
    assert_eq!(sent, 6);
    stage.upstream_is(|counts| counts.open == 4).await;
    drop((rest, events, wire));
    stage.is_quiet().await;
    assert_eq!(stage.upstream.received().len(), 4, "those that waited were not asked");
}

#[tokio::test]
async fn when_its_caller_has_said_all_what_runs_is_finished() {
    let stage = Stage::with("").await;
    let (say, said) = mpsc::channel(4);
    let mut results = open(&stage, ReceiverStream::new(said)).await;
    say.send(item("one", asked("tokens=3 first_event=200ms pace=10ms"))).await.unwrap();
    stage.upstream_is(|counts| counts.open == 1).await;
    drop(say);
    assert_eq!(next(&mut results).await.custom_id, "one");
    assert!(within("it ends", results.message()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_server_that_stops_finishes_what_it_took_and_says_that_there_is_more_to_send() {
    let stage = Stage::with("drain_delay: 0\nshutdown_grace: 10s").await;
    let (say, said) = mpsc::channel(4);
    let mut results = open(&stage, ReceiverStream::new(said)).await;
    say.send(item("taken", asked("tokens=5 first_event=400ms pace=10ms"))).await.unwrap();
    stage.upstream_is(|counts| counts.open == 1).await;
    let Stage { upstream, running } = stage;
    let stopping = tokio::spawn(running.stop());
    let result = next(&mut results).await;
    assert_eq!(result.custom_id, "taken");
    assert!(answer(result.result.as_ref().unwrap()).outcome.is_some());
    let status = failed(results).await;
    assert_eq!((status.code(), reason_of(&status).as_str()), (Code::Unavailable, "SHUTTING_DOWN"));
    within("it stops", stopping).await.unwrap();
    drop((say, upstream));
}

#[tokio::test]
async fn a_deadline_of_the_stream_ends_it() {
    let stage = Stage::with("").await;
    let said = stream::iter([item("one", asked("tokens=1 silence"))]).chain(stream::pending());
    let mut request = Request::new(said);
    request.set_timeout(Duration::from_millis(300));
    let results = client(&stage).stream_batch_complete(request).await.unwrap().into_inner();
    let status = failed(results).await;
    assert_eq!((status.code(), reason_of(&status).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    stage.is_quiet().await;
}

#[tokio::test]
async fn a_result_that_nobody_takes_keeps_its_place_and_no_bytes() {
    let stage = Stage::with("").await;
    let wire = Wire::with_window(stage.address(), 1024).await;
    // Each is larger than what is held on its way.
    let request = CompleteRequest { system: "x".repeat(10_000), ..asked(&format!("tokens=8000 {FAST}")) };
    let (rest, head) = wire.begin_raw("/completiond.v1.CompletionService/StreamBatchComplete");
    rest.send(Ok(Frame::data(framed(&settings(3))))).await.unwrap();
    let sending = tokio::spawn(async move {
        for n in 0..20 {
            rest.send(Ok(Frame::data(framed(&item(n, request.clone()))))).await.unwrap();
        }
        rest
    });
    let events = Events::of(within("a head comes", head).await.unwrap());
    let admission = &stage.running.admission;
    let mut still = 0;
    eventually("three results wait, each at its place beside the stream's own, and their requests are gone", || {
        let holds = admission.calls_in_flight() == 4 && admission.bytes_in_flight() < 10_000;
        still = if holds { still + 1 } else { 0 };
        still > 100
    })
    .await;
    drop((events, wire));
    sending.abort();
    stage.is_quiet().await;
}

#[tokio::test]
async fn an_item_that_does_not_arrive_holds_its_bytes_no_longer_than_a_request_may_take() {
    let stage = Stage::with("timeouts: { total: 1s, connect: 1s, first_event: 1s, idle: 1s, attempt: 1s }").await;
    let wire = stage.wire().await;
    let (rest, head) = wire.begin_raw("/completiond.v1.CompletionService/StreamBatchComplete");
    rest.send(Ok(Frame::data(framed(&settings(3))))).await.unwrap();
    let events = Events::of(within("a head comes", head).await.unwrap());
    // Its time begins with its first byte.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let whole = framed(&item("a", CompleteRequest { system: "x".repeat(500_000), ..asked(FAST) }));
    rest.send(Ok(Frame::data(whole.slice(..whole.len() - 1)))).await.unwrap();
    let admission = &stage.running.admission;
    eventually("most of it is here", || admission.bytes_in_flight() > 400_000).await;
    events.end().await.expect(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the deadline passed");
    drop(rest);
    stage.is_quiet().await;
}

#[tokio::test]
async fn a_stream_without_items_holds_its_place_for_twice_as_long_as_a_call_may_take() {
    let stage = Stage::with("timeouts: { total: 1s, connect: 1s, first_event: 1s, idle: 1s, attempt: 1s }").await;
    let (say, said) = mpsc::channel(4);
    let mut results = open(&stage, ReceiverStream::new(said)).await;
    say.send(item("one", asked(&format!("tokens=1 {FAST}")))).await.unwrap();
    assert_eq!(next(&mut results).await.custom_id, "one");
    let status = failed(results).await;
    assert_eq!((status.code(), reason_of(&status).as_str()), (Code::Aborted, "CLIENT_STALLED"));
    drop(say);
    stage.is_quiet().await;
}

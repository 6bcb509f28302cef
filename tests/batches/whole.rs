//! Batches that are one message.

use std::collections::HashSet;
use std::convert::Infallible;

use bytes::Bytes;
use completiond::proto::{
    BatchCompleteRequest, BatchCompleteResponse, BatchResult, CacheStatus, CompleteRequest, CompletionState,
};
use completiond::telemetry::Guard;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tonic::Code;
use tonic_types::StatusExt;

use crate::stage::{Events, Stage, configuration, framed, parsed, prompt, within};
use crate::{FAST, answer, asked, client, completion, failure, reason};

async fn batch(stage: &Stage, requests: Vec<CompleteRequest>, max_concurrency: i32) -> BatchCompleteResponse {
    let request = BatchCompleteRequest { requests, max_concurrency };
    within("the batch is answered", client(stage).batch_complete(request)).await.unwrap().into_inner()
}

#[tokio::test]
async fn results_are_in_the_order_of_the_requests_and_one_failure_fails_itself_alone() {
    let stage = Stage::with("retry: { max_attempts: 1 }").await;
    let mut requests: Vec<_> = (1..=20).map(|n| asked(&format!("tokens={n} {FAST}"))).collect();
    // The first is the last to be done.
    requests[0] = asked("tokens=1 first_event=300ms pace=0ms");
    requests[3] = asked("error=400");
    requests[4].max_tokens = Some(0);
    let results = batch(&stage, requests, 10).await.results;
    assert_eq!(results.len(), 20);
    let ids: HashSet<_> = results.iter().map(|result| &result.id).collect();
    assert_eq!(ids.len(), 20, "each is a call of its own");
    for (index, result) in results.iter().enumerate() {
        match index {
            3 => {
                let (code, details) = failure(result);
                assert_eq!((code, reason(result).as_str()), (3, "PROVIDER_REJECTED"));
                assert_eq!(details.request_info().unwrap().request_id, result.id);
                assert_eq!(completion(&stage, &result.id).await.state(), CompletionState::Failed);
            }
            4 => {
                let (code, details) = failure(result);
                assert_eq!(code, 3);
                assert_eq!(details.bad_request().unwrap().field_violations[0].field, "max_tokens");
            }
            _ => {
                let outcome = answer(result).outcome.as_ref().unwrap();
                assert_eq!(outcome.usage.as_ref().unwrap().output_tokens, i32::try_from(index).unwrap() + 1);
                let state = completion(&stage, &result.id).await.state();
                assert_eq!((&outcome.id, state), (&result.id, CompletionState::Succeeded));
            }
        }
    }
    stage.is_quiet().await;
}

#[tokio::test]
async fn no_more_run_at_a_time_than_shall() {
    for (max_concurrency, most) in [(0, 5), (1, 1), (30, 30)] {
        let stage = Stage::with("").await;
        let requests = vec![asked("tokens=2 first_event=30ms pace=0ms"); 60];
        let results = batch(&stage, requests, max_concurrency).await.results;
        assert!(results.iter().all(|result| answer(result).outcome.is_some()));
        let counts = stage.upstream_is(|counts| counts.open == 0).await;
        assert_eq!(counts.finished, 60);
        // A machine that is busy elsewhere may not bring all of them together.
        assert!((most.min(2)..=most).contains(&counts.most_open), "{} of {most}", counts.most_open);
    }
}

#[tokio::test]
async fn what_is_no_batch_is_refused_with_the_field_and_the_rule() {
    let stage = Stage::with("").await;
    for (count, max_concurrency, field) in
        [(0, 0, "requests"), (101, 0, "requests"), (1, 101, "max_concurrency"), (1, -1, "max_concurrency")]
    {
        let requests = vec![asked(FAST); count];
        let refused = client(&stage).batch_complete(BatchCompleteRequest { requests, max_concurrency }).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(refused.get_error_details().bad_request().unwrap().field_violations[0].field, field);
    }
    assert!(stage.upstream.received().is_empty());
}

/// A provider whose every answer is so long that no three of them fit into a batch; returns its address.
async fn verbose() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let message = serde_json::json!({ "role": "assistant", "content": "x".repeat(700_000) });
    let choice = serde_json::json!({ "index": 0, "message": message, "finish_reason": "stop" });
    let body = serde_json::json!({ "id": "c", "object": "chat.completion", "model": "m", "choices": [choice] });
    let answer = move |_: http::Request<hyper::body::Incoming>| {
        let body = Full::new(Bytes::from(body.to_string()));
        async move {
            Ok::<_, Infallible>(
                http::Response::builder().header("content-type", "application/json").body(body).unwrap(),
            )
        }
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer.clone()));
            tokio::spawn(serving);
        }
    });
    format!("http://{address}/v1")
}

#[tokio::test]
async fn an_answer_that_is_too_large_for_its_batch_is_found_by_its_id() {
    let mut stage = Stage::with("").await;
    let config = parsed(&configuration(&verbose().await, "openai", ""));
    stage.running = completiond::app::start(&config, Guard::start(|_| None).unwrap().tracer()).await.unwrap();
    // Short enough to come whole.
    let request = CompleteRequest { max_tokens: Some(1000), ..prompt("hello") };
    let results = batch(&stage, vec![request; 4], 4).await.results;
    let is_answer =
        |result: &&BatchResult| matches!(result.result, Some(completiond::proto::batch_result::Result::Response(_)));
    let (fitting, too_large): (Vec<_>, Vec<_>) = results.iter().partition(is_answer);
    assert_eq!((fitting.len(), too_large.len()), (2, 2));
    for result in too_large {
        let (code, details) = failure(result);
        assert_eq!((code, reason(result).as_str()), (i32::from(Code::ResourceExhausted), "RESULT_TOO_LARGE"));
        assert!(details.retry_info().is_none());
        let found = completion(&stage, &result.id).await;
        assert_eq!(found.state(), CompletionState::Succeeded);
        let response = found.response.unwrap();
        assert_eq!(response.text, answer(fitting[0]).text);
        assert_eq!(response.outcome.unwrap().id, result.id);
    }
    assert!(completion(&stage, &fitting[0].id).await.response.is_none(), "what was given is not kept as well");
}

#[tokio::test]
async fn when_its_caller_goes_all_of_it_ends() {
    let stage = Stage::with("").await;
    let requests = vec![asked("tokens=100000 first_event=0ms pace=20ms"); 20];
    let mut client = client(&stage);
    let running =
        tokio::spawn(
            async move { client.batch_complete(BatchCompleteRequest { requests, max_concurrency: 10 }).await },
        );
    stage.upstream_is(|counts| counts.open == 10).await;
    running.abort();
    stage.is_quiet().await;
    assert_eq!(stage.upstream.received().len(), 10, "those that waited were not asked");
}

#[tokio::test]
async fn the_callers_deadline_is_that_of_all() {
    let stage = Stage::with("").await;
    let requests = vec![asked("tokens=1 silence"); 3];
    let message = framed(&BatchCompleteRequest { requests, max_concurrency: 1 });
    let wire = stage.wire().await;
    // Said to the server alone: a client that counts by itself would end the call before it is told.
    let path = "/completiond.v1.CompletionService/BatchComplete";
    let head = within("it ends", wire.send_raw(path, message, &[("grpc-timeout", "300m")])).await.unwrap();
    Events::of(head).end().await.expect(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "batch");
    stage.is_quiet().await;
}

#[tokio::test]
async fn its_calls_are_answered_from_the_cache_as_others_are() {
    let stage = Stage::with("cache: { enabled: true }").await;
    let request = CompleteRequest { temperature: Some(0.0), ..asked("tokens=3 first_event=50ms pace=0ms") };
    let results = batch(&stage, vec![request; 10], 5).await.results;
    let statuses: Vec<_> =
        results.iter().map(|result| answer(result).outcome.as_ref().unwrap().cache_status()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == CacheStatus::Miss).count(), 1);
    assert_eq!(stage.upstream.received().len(), 1);
}

#[tokio::test]
async fn each_of_its_calls_takes_a_place_in_flight() {
    let stage = Stage::with("limits: { max_in_flight: 4 }").await;
    let requests = vec![asked("tokens=1 first_event=200ms pace=0ms"); 6];
    let results = batch(&stage, requests, 6).await.results;
    // One is the batch's own.
    let refused = results.iter().filter(|result| {
        matches!(result.result, Some(completiond::proto::batch_result::Result::Status(_)))
            && reason(result) == "OVERLOADED"
    });
    assert_eq!(refused.count(), 3);
    stage.is_quiet().await;
}

#[tokio::test]
async fn what_waits_in_it_is_charged_for_what_it_takes_in_memory() {
    let stage = Stage::with("limits: { max_bytes_in_flight: 4MiB, max_request_bytes: 2MiB }").await;
    let block = |text: &str| completiond::proto::ContentBlock {
        block: Some(completiond::proto::content_block::Block::Text(completiond::proto::Text {
            text: text.to_owned(),
            ..Default::default()
        })),
        ..Default::default()
    };
    // A few hundred kilobytes on the wire, and many megabytes once they are read.
    let waiting = CompleteRequest { system_blocks: vec![block("x"); 400], ..asked(FAST) };
    let mut requests = vec![waiting; 100];
    requests[0] = asked("tokens=1 silence");
    let message = framed(&BatchCompleteRequest { requests, max_concurrency: 1 });
    assert!(message.len() < 1 << 20);
    let wire = stage.wire().await;
    let path = "/completiond.v1.CompletionService/BatchComplete";
    let head = within("it is refused", wire.send_raw(path, message, &[("grpc-timeout", "5S")])).await.unwrap();
    Events::of(head).end().await.expect(Code::Unavailable, "OVERLOADED", "bytes");
    assert!(stage.upstream.received().is_empty());
    stage.is_quiet().await;
}

#[tokio::test]
async fn one_that_runs_when_the_server_stops_is_finished_with_what_waits_in_it() {
    let stage = Stage::with("drain_delay: 0\nshutdown_grace: 1m").await;
    let requests = (0..6).map(|_| asked("tokens=3 first_event=200ms pace=10ms")).collect();
    let mut client = client(&stage);
    let request = BatchCompleteRequest { requests, max_concurrency: 2 };
    let running = tokio::spawn(async move { client.batch_complete(request).await });
    stage.upstream_is(|counts| counts.open == 2).await;
    let Stage { upstream, running: server } = stage;
    let stopping = tokio::spawn(server.stop());
    let response = within("it is finished", running).await.unwrap().unwrap().into_inner();
    assert_eq!(response.results.len(), 6);
    response.results.iter().for_each(|result| assert!(answer(result).outcome.is_some()));
    within("it stops", stopping).await.unwrap();
    drop(upstream);
}

//! How much a caller may use: at a time, in a minute, in a day.

use completiond::proto::{CacheStatus, CompleteRequest, ListModelsRequest};
use tonic::Code;
use tonic_types::StatusExt;

use crate::desk::{callers, of, shown};
use crate::stage::{Stage, Wire, eventually, prompt};

#[tokio::test]
async fn calls_of_one_caller_beyond_its_limit_are_refused_and_those_of_others_are_not() {
    let stage = Stage::with(&callers(&[("search", ", limits: { in_flight: 2 }"), ("chat", "")])).await;
    let wire = stage.wire().await;
    let (search, chat) = (shown("search"), shown("chat"));
    let long = prompt("sim: tokens=1000 first_event=0ms pace=1s");
    let open = async || {
        let mut events = wire.stream(&long, &[("authorization", &search)]).await;
        events.next().await.unwrap();
        events
    };
    let (first, second) = (open().await, open().await);
    let end = wire.complete(&prompt("hello"), &[("authorization", &search)]).await;
    end.expect(Code::ResourceExhausted, "CALLER_LIMIT_EXCEEDED", "2 calls served at a time");
    wire.complete(&prompt("sim: tokens=1 first_event=0ms"), &[("authorization", &chat)]).await.expect(Code::Ok, "", "");
    let status = of(&stage, "search").list_models(ListModelsRequest::default()).await.unwrap_err();
    let details = status.get_error_details();
    let violation = details.quota_failure().unwrap().violations.first().unwrap();
    assert_eq!(violation.subject, "caller:search in_flight");
    assert!(details.retry_info().unwrap().retry_delay.is_some());
    drop(first);
    eventually("one of two has ended", || stage.running.admission.calls_in_flight() == 1).await;
    wire.complete(&prompt("sim: tokens=1 first_event=0ms"), &[("authorization", &search)]).await.expect(
        Code::Ok,
        "",
        "",
    );
    drop(second);
    stage.is_quiet().await;
}

/// A call of so many tokens in its answer.
fn asked(tokens: u32) -> CompleteRequest {
    let prompt = format!("sim: tokens={tokens} first_event=0ms pace=0ms");
    CompleteRequest { model: "priced".to_owned(), prompt, max_tokens: Some(1000), ..Default::default() }
}

async fn limited(limits: &str, more: &str) -> Stage {
    let callers = callers(&[("search", &format!(", limits: {{ {limits} }}")), ("chat", "")]);
    let models =
        "models: [{ id: priced, targets: [{ provider: up, model: simulator }], price: { input: 10, output: 1000 } }]";
    Stage::with(&format!("{callers}{models}\n{more}")).await
}

#[tokio::test]
async fn requests_beyond_those_of_a_minute_are_refused_and_ask_nobody() {
    let stage = limited("requests_per_minute: 3", "").await;
    let mut search = of(&stage, "search");
    for _ in 0..3 {
        search.complete(asked(1)).await.unwrap();
    }
    let status = search.complete(asked(1)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "CALLER_LIMIT_EXCEEDED");
    assert_eq!(details.quota_failure().unwrap().violations[0].subject, "caller:search requests_per_minute");
    let delay = details.retry_info().unwrap().retry_delay.unwrap().as_secs();
    assert!((1..=61).contains(&delay), "{delay}");
    assert_eq!(stage.upstream.received().len(), 3);
    of(&stage, "chat").complete(asked(1)).await.unwrap();
    stage.is_quiet().await;
}

#[tokio::test]
async fn what_a_call_has_used_counts_when_it_is_over_whole_or_streamed() {
    for is_stream in [false, true] {
        // What is expected of each is less than a third of this, and the first takes nearly all of it.
        let stage = limited("tokens_per_minute: 1500", "").await;
        let mut search = of(&stage, "search");
        if is_stream {
            let mut events = search.stream_complete(asked(990)).await.unwrap().into_inner();
            while events.message().await.unwrap().is_some() {}
        } else {
            search.complete(asked(990)).await.unwrap();
        }
        stage.is_quiet().await;
        search.complete(asked(400)).await.unwrap();
        stage.is_quiet().await;
        let status = search.complete(asked(1)).await.unwrap_err();
        assert!(status.message().contains("1500 tokens a minute"), "{status}");
    }
}

#[tokio::test]
async fn a_call_that_is_larger_than_the_whole_limit_is_told_that_waiting_does_not_help() {
    let stage = limited("tokens_per_minute: 300", "").await;
    let large = CompleteRequest { prompt: "x".repeat(2000), ..asked(1) };
    let status = of(&stage, "search").complete(large).await.unwrap_err();
    assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "-1");
    assert!(status.get_error_details().retry_info().is_none());
}

#[tokio::test]
async fn what_is_spent_in_a_day_is_bounded() {
    // A call of a hundred tokens costs about ten cents.
    let stage = limited("spend_per_day: 0.25", "").await;
    let mut search = of(&stage, "search");
    let mut done = 0;
    let status = loop {
        let hundred = CompleteRequest { max_tokens: Some(100), ..asked(100) };
        match search.complete(hundred).await {
            Ok(_) => done += 1,
            Err(status) => break status,
        }
        stage.is_quiet().await;
    };
    assert_eq!(done, 2, "a third would cost more than there is left");
    assert_eq!(
        status.get_error_details().quota_failure().unwrap().violations[0].subject,
        "caller:search spend_per_day"
    );
    assert!(status.message().contains("0.25 US dollars a day"), "{status}");
}

#[tokio::test]
async fn a_hit_is_a_request_and_uses_nothing_and_a_call_that_is_sent_again_is_neither() {
    let stage = limited("requests_per_minute: 4, tokens_per_minute: 1200", "cache: { enabled: true }").await;
    let mut search = of(&stage, "search");
    let deterministic = CompleteRequest { temperature: Some(0.0), ..asked(500) };
    let mut status = async |request: &CompleteRequest| {
        let answer = search.complete(request.clone()).await?.into_inner().outcome.unwrap();
        stage.is_quiet().await;
        Ok::<_, tonic::Status>(answer.cache_status())
    };
    assert_eq!(status(&deterministic).await.unwrap(), CacheStatus::Miss);
    assert_eq!(status(&deterministic).await.unwrap(), CacheStatus::Hit);
    let named = CompleteRequest { request_id: uuid::Uuid::now_v7().to_string(), ..asked(1) };
    assert_eq!(status(&named).await.unwrap(), CacheStatus::Bypassed);
    for _ in 0..3 {
        assert_eq!(status(&named).await.unwrap(), CacheStatus::Replayed);
    }
    assert_eq!(status(&deterministic).await.unwrap(), CacheStatus::Hit);
    assert!(status(&deterministic).await.unwrap_err().message().contains("4 requests a minute"));
}

#[tokio::test]
async fn what_is_made_for_another_reader_counts_though_its_first_has_gone() {
    let stage = limited("tokens_per_minute: 1500", "cache: { enabled: true }").await;
    let wire = stage.wire().await;
    let header = shown("search");
    let slow = CompleteRequest {
        temperature: Some(0.0),
        prompt: "sim: tokens=900 first_event=100ms pace=0ms".to_owned(),
        ..asked(0)
    };
    let mut first = wire.stream(&slow, &[("authorization", &header)]).await;
    let second = wire.stream(&slow, &[("authorization", &header)]).await;
    first.next().await.unwrap();
    drop(first);
    second.end().await.expect(Code::Ok, "", "");
    stage.is_quiet().await;
    assert_eq!(stage.upstream.received().len(), 1);
    let status = of(&stage, "search").complete(asked(400)).await.map(drop);
    stage.is_quiet().await;
    assert!(status.is_ok(), "{status:?}");
    let status = of(&stage, "search").complete(asked(1)).await.unwrap_err();
    assert!(status.message().contains("tokens a minute"), "{status}");
}

#[tokio::test]
async fn calls_of_a_batch_count_one_by_one() {
    use completiond::proto::{BatchCompleteRequest, batch_result::Result::Status};
    let stage = limited("requests_per_minute: 3", "").await;
    let batch = BatchCompleteRequest { requests: vec![asked(1); 5], ..Default::default() };
    let results = of(&stage, "search").batch_complete(batch).await.unwrap().into_inner().results;
    let refused = results.iter().filter(|result| matches!(&result.result, Some(Status(_)))).count();
    assert_eq!(refused, 2);
}

#[tokio::test]
async fn with_room_for_one_call_a_batch_has_one_at_a_time() {
    use completiond::proto::{BatchCompleteRequest, batch_result::Result::Response};
    let stage = limited("in_flight: 1", "").await;
    let batch = BatchCompleteRequest { requests: vec![asked(1); 3], max_concurrency: 1 };
    let results = of(&stage, "search").batch_complete(batch).await.unwrap().into_inner().results;
    assert!(results.iter().all(|result| matches!(&result.result, Some(Response(_)))), "{results:?}");
    stage.is_quiet().await;
}

#[tokio::test]
async fn a_call_that_goes_on_for_a_client_that_takes_nothing_keeps_its_place() {
    use completiond::proto::OnDisconnect;
    let stage = limited("in_flight: 1", "stream: { client_stall: 1s }").await;
    let wire = Wire::with_window(stage.address(), 1).await;
    let header = shown("search");
    let request = CompleteRequest {
        prompt: "sim: tokens=2000 first_event=0ms pace=5ms".to_owned(),
        max_tokens: Some(5000),
        request_id: uuid::Uuid::now_v7().to_string(),
        on_disconnect: OnDisconnect::Finish.into(),
        ..asked(0)
    };
    let stalled = wire.stream(&request, &[("authorization", &header)]).await;
    eventually("it is not served any more", || stage.running.admission.calls_in_flight() == 1).await;
    let late = std::time::Instant::now() + std::time::Duration::from_secs(4);
    while std::time::Instant::now() < late {
        let end = stage.wire().await.complete(&asked(1), &[("authorization", &header)]).await;
        end.expect(Code::ResourceExhausted, "CALLER_LIMIT_EXCEEDED", "1 calls served at a time");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    drop(stalled);
    stage.is_quiet().await;
}

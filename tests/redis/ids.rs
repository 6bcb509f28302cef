//! Calls that are sent again to another process, while they run and after.

use std::time::Duration;

use completiond::proto::completion_service_client::CompletionServiceClient;
use completiond::proto::{
    BatchCompleteRequest, CacheStatus, CompleteRequest, Completion, CompletionState, GetCompletionRequest,
    OnDisconnect, batch_result,
};
use futures_util::future::join;
use tonic::Code::{InvalidArgument, NotFound};

use crate::answers::{Pair, QUICK, answered, of_another_kind};
use crate::calls::{asked, folded, status, whole};
use crate::process::Server;
use crate::servers::Redis;
use crate::stage::{Wire, within};

const SHARED: &str = "
completions: { redis_url: \"${REDIS_URL}\" }
retry: { max_attempts: 1 }
models: [{ id: m, targets: [{ provider: up, model: simulator }], price: { input: 1.0, output: 2.0 } }]";

async fn pair(redis: &Redis) -> Pair {
    Pair::sharing(SHARED, &[("REDIS_URL", &redis.url())]).await
}

fn named(script: &str, on_disconnect: OnDisconnect) -> CompleteRequest {
    let request_id = uuid::Uuid::now_v7().to_string();
    CompleteRequest { request_id, on_disconnect: on_disconnect.into(), temperature: None, ..asked(script) }
}

async fn found(server: &Server, by: GetCompletionRequest) -> Result<Completion, tonic::Status> {
    let mut client = CompletionServiceClient::connect(format!("http://{}", server.public)).await.unwrap();
    client.get_completion(by).await.map(|found| found.into_inner().completion.unwrap())
}

async fn found_by_own(server: &Server, request: &CompleteRequest) -> Result<Completion, tonic::Status> {
    found(server, GetCompletionRequest { request_id: request.request_id.clone(), ..Default::default() }).await
}

#[tokio::test]
async fn what_one_process_has_made_the_other_replays() {
    let redis = Redis::start().await;
    let pair = pair(&redis).await;
    let (one, other) = pair.wires().await;
    let request = named(QUICK, OnDisconnect::Cancel);
    let made = whole(&one, &request).await;
    // Before anything was replayed there.
    for by in [
        GetCompletionRequest { request_id: request.request_id.clone(), ..Default::default() },
        GetCompletionRequest { id: made.outcome.as_ref().unwrap().id.clone(), ..Default::default() },
    ] {
        let here = found(&pair.one, by.clone()).await.unwrap();
        let there = found(&pair.other, by).await.unwrap();
        assert_eq!((there.state(), &there.id), (CompletionState::Succeeded, &here.id));
        assert_eq!((there.usage, there.cost), (here.usage, here.cost));
        assert_eq!(there.response.unwrap().text, made.text);
        assert!(there.create_time.is_some() && there.end_time.is_some());
    }
    let made_of = made.outcome.unwrap();
    for wire in [&other, &one, &other] {
        let again = whole(wire, &request).await;
        let outcome = again.outcome.unwrap();
        assert_eq!((again.text, status(&outcome)), (made.text.clone(), CacheStatus::Replayed));
        assert_eq!((&outcome.id, outcome.cost.unwrap().pico_usd), (&made_of.id, 0));
        assert_eq!(outcome.saved.unwrap().cost, made_of.cost);
    }
    let (text, streamed) = folded(other.stream(&request, &[]).await).await.unwrap();
    assert_eq!((text, status(&streamed)), (made.text, CacheStatus::Replayed));
    let body = CompleteRequest { max_tokens: Some(3), ..request.clone() };
    other.complete(&body, &[]).await.expect(InvalidArgument, "REQUEST_ID_REUSED", "");
    assert_eq!(pair.asked(), 1);
    let unknown = named(QUICK, OnDisconnect::Cancel);
    assert_eq!(found_by_own(&pair.other, &unknown).await.unwrap_err().code(), NotFound);
    for key in redis.keys(3, "*").await {
        let lasts: i64 = redis.answer(3, redis::cmd("PTTL").arg(&key)).await;
        assert!((1..=600_000).contains(&lasts), "{key} {lasts}");
    }
}

#[tokio::test]
async fn another_request_under_an_id_that_another_process_knows_is_refused() {
    let redis = Redis::start().await;
    let pair = pair(&redis).await;
    let (one, other) = pair.wires().await;
    let request = named(QUICK, OnDisconnect::Cancel);
    whole(&one, &request).await;
    let body = CompleteRequest { max_tokens: Some(3), ..request.clone() };
    other.complete(&body, &[]).await.expect(InvalidArgument, "REQUEST_ID_REUSED", "");
    let labels = [("team".to_owned(), "red".to_owned())].into();
    assert_eq!(answered(&other, &CompleteRequest { labels, ..request }).await, CacheStatus::Replayed);
    assert_eq!(pair.asked(), 1);
}

#[tokio::test]
async fn what_is_of_another_kind_under_an_id_is_replaced() {
    let redis = Redis::start().await;
    let pair = pair(&redis).await;
    let (one, other) = pair.wires().await;
    let request = named(QUICK, OnDisconnect::Cancel);
    whole(&one, &request).await;
    for (round, pattern) in ["completiond:calls:1:id:*", "completiond:calls:1:answer:*"].into_iter().enumerate() {
        for key in redis.keys(3, pattern).await {
            of_another_kind(&redis, &key).await;
        }
        // Who has made it knows it still; the other looks for it there.
        let request = if round == 0 { request.clone() } else { named(QUICK, OnDisconnect::Cancel) };
        let found = found_by_own(&pair.other, &request).await.map(|found| found.id);
        assert_eq!(found.map_err(|status| status.code()), Err(NotFound));
        assert_ne!(answered(&other, &request).await, CacheStatus::Replayed);
        assert_eq!(answered(&one, &request).await, CacheStatus::Replayed);
    }
    for server in [&pair.one, &pair.other] {
        assert_eq!(server.logged("what processes share cannot be used"), Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_runs_at_one_process_the_other_waits_for_longer_than_a_claim_lasts_alone() {
    let redis = Redis::start().await;
    let pair = pair(&redis).await;
    let (one, other) = pair.wires().await;
    let request = named("tokens=80 first_event=10ms pace=100ms", OnDisconnect::Finish);
    let mut running = one.stream(&request, &[]).await;
    running.next().await.unwrap();
    // Its caller has gone, and its answer is made nevertheless.
    drop(running);
    let there = found_by_own(&pair.other, &request).await.unwrap();
    assert_eq!(there.state(), CompletionState::Running);
    let again = async { folded(other.stream(&request, &[]).await).await.unwrap() };
    let ((_, streamed), whole) = join(again, whole(&other, &request)).await;
    let outcome = whole.outcome.unwrap();
    for outcome in [&streamed, &outcome] {
        assert_eq!((status(outcome), &outcome.id), (CacheStatus::Replayed, &there.id));
        assert_eq!(outcome.cost.as_ref().unwrap().pico_usd, 0);
        assert!(outcome.saved.as_ref().unwrap().cost.as_ref().unwrap().pico_usd > 0);
    }
    assert_eq!(pair.asked(), 1);
}

#[tokio::test]
async fn who_waits_for_another_process_waits_no_longer_than_its_own_deadline() {
    let redis = Redis::start().await;
    let pair = pair(&redis).await;
    let (one, other) = pair.wires().await;
    let request = named("tokens=40 first_event=10ms pace=50ms", OnDisconnect::Cancel);
    let mut running = one.stream(&request, &[]).await;
    running.next().await.unwrap();
    let late = other.complete(&request, &[("grpc-timeout", "300m")]).await;
    assert_eq!(late.code, tonic::Code::DeadlineExceeded, "{late:?}");
    assert!(folded(running).await.is_ok());
    assert_eq!(answered(&other, &request).await, CacheStatus::Replayed);
    assert_eq!(pair.asked(), 1);
}

#[tokio::test]
async fn what_a_process_takes_with_it_when_it_is_killed_is_made_anew() {
    let redis = Redis::start().await;
    let pair = pair(&redis).await;
    let (one, other) = pair.wires().await;
    let request = named("tokens=300 first_event=10ms pace=10ms", OnDisconnect::Finish);
    let mut running = one.stream(&request, &[]).await;
    running.next().await.unwrap();
    pair.one.end("KILL").await;
    let made = whole(&other, &request).await.outcome.unwrap();
    assert_eq!((status(&made), pair.upstream.requests().borrow().to_owned()), (CacheStatus::Bypassed, 2));
}

#[tokio::test]
async fn what_failed_or_was_left_at_one_process_the_other_makes_anew() {
    let redis = Redis::start().await;
    let pair = pair(&redis).await;
    let (one, other) = pair.wires().await;
    let failing = named("error=500", OnDisconnect::Finish);
    for wire in [&one, &other, &one] {
        assert_eq!(wire.complete(&failing, &[]).await.reason, "PROVIDER_UNAVAILABLE");
    }
    assert_eq!(pair.asked(), 3);
    let left = named("tokens=100 first_event=10ms pace=10ms", OnDisconnect::Cancel);
    let mut running = one.stream(&left, &[]).await;
    running.next().await.unwrap();
    drop(running);
    assert_eq!(answered(&other, &left).await, CacheStatus::Bypassed);
    assert_eq!(answered(&one, &left).await, CacheStatus::Replayed);
    assert_eq!(pair.asked(), 5);
}

#[tokio::test]
async fn while_the_server_is_away_each_process_knows_its_own() {
    let mut redis = Redis::start().await;
    let pair = pair(&redis).await;
    let (one, other) = pair.wires().await;
    redis.kill();
    let request = named(QUICK, OnDisconnect::Cancel);
    for (wire, expected) in [
        (&one, CacheStatus::Bypassed),
        (&one, CacheStatus::Replayed),
        (&other, CacheStatus::Bypassed),
        (&other, CacheStatus::Replayed),
    ] {
        assert_eq!(answered(wire, &request).await, expected);
    }
    assert_eq!(pair.asked(), 2);
    redis.again().await;
    // What is made now is shared again, once both have noticed.
    within("it is used again", async {
        loop {
            let request = named(QUICK, OnDisconnect::Cancel);
            whole(&one, &request).await;
            if answered(&other, &request).await == CacheStatus::Replayed {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_call_that_runs_while_the_server_is_away_is_still_waited_for_when_it_is_back() {
    let mut redis = Redis::start().await;
    let pair = pair(&redis).await;
    let (one, other) = pair.wires().await;
    let request = named("tokens=50 first_event=10ms pace=100ms", OnDisconnect::Finish);
    let running = one.stream(&request, &[]).await;
    let waiting = async {
        let wire = Wire::connect(pair.other.public).await;
        whole(&wire, &request).await
    };
    let interrupting = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        redis.kill();
        tokio::time::sleep(Duration::from_millis(500)).await;
        redis.again().await;
    };
    let ((made, replayed), ()) = join(join(folded(running), waiting), interrupting).await;
    assert_eq!(status(&made.unwrap().1), CacheStatus::Bypassed);
    assert_eq!(status(&replayed.outcome.unwrap()), CacheStatus::Replayed);
    assert_eq!(pair.asked(), 1);
    drop(other);
}

#[tokio::test]
async fn an_answer_that_was_too_large_for_its_batch_is_found_by_every_process() {
    let redis = Redis::start().await;
    let pair = pair(&redis).await;
    let mut client = CompletionServiceClient::connect(format!("http://{}", pair.one.public)).await.unwrap();
    let prompt = format!("sim: echo first_event=0ms pace=0ms\n{}", "large ".repeat(90_000));
    let requests = vec![CompleteRequest { prompt, ..asked(QUICK) }; 4];
    let batch = BatchCompleteRequest { requests, ..Default::default() };
    let results = client.batch_complete(batch).await.unwrap().into_inner().results;
    let (whole, too_large): (Vec<_>, Vec<_>) =
        results.into_iter().partition(|result| matches!(result.result, Some(batch_result::Result::Response(_))));
    let Some(batch_result::Result::Response(same)) = whole[0].result.clone() else { panic!("{whole:?}") };
    assert!(!too_large.is_empty());
    for result in too_large {
        let by = GetCompletionRequest { id: result.id, ..Default::default() };
        let there = found(&pair.other, by).await.unwrap();
        assert_eq!(there.response.unwrap().text, same.text);
    }
}

#[tokio::test]
async fn a_process_that_is_told_to_end_gives_back_what_it_has_claimed() {
    let redis = Redis::start().await;
    let settings = format!("{SHARED}\nshutdown_grace: 0");
    let pair = Pair::sharing(&settings, &[("REDIS_URL", &redis.url())]).await;
    let (one, _) = pair.wires().await;
    let request = named("tokens=100000 first_event=10ms pace=100ms", OnDisconnect::Finish);
    let mut running = one.stream(&request, &[]).await;
    running.next().await.unwrap();
    assert_eq!(redis.keys(3, "completiond:calls:1:id:*").await.len(), 1);
    assert!(pair.one.end("TERM").await.success());
    assert_eq!(redis.keys(3, "completiond:calls:1:id:*").await, Vec::<String>::new());
}

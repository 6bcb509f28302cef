//! Calls that are sent again under their callers' own ids.

use completiond::proto::completion_service_client::CompletionServiceClient;
use completiond::proto::{
    CacheStatus, CompleteRequest, CompletionState, GetCompletionRequest, OnDisconnect, PromptCache, PromptCacheMode,
};
use tonic::Code::InvalidArgument;

use crate::stage::{Stage, within};
use crate::{asked, folded, status, upstream, whole};

const PRICED: &str =
    "models: [{ id: m, targets: [{ provider: up, model: simulator }], price: { input: 1.0, output: 2.0 } }]";

fn named(script: &str, on_disconnect: OnDisconnect) -> CompleteRequest {
    CompleteRequest {
        request_id: uuid::Uuid::now_v7().to_string(),
        on_disconnect: on_disconnect.into(),
        temperature: None,
        ..asked(script)
    }
}

async fn completion(stage: &Stage, request: &CompleteRequest) -> completiond::proto::Completion {
    let mut client = CompletionServiceClient::connect(format!("http://{}", stage.address())).await.unwrap();
    let by = GetCompletionRequest { request_id: request.request_id.clone(), ..Default::default() };
    client.get_completion(by).await.unwrap().into_inner().completion.unwrap()
}

#[tokio::test]
async fn a_call_that_is_finished_for_whom_it_lost_is_billed_once() {
    let stage = Stage::with(PRICED).await;
    let request = named("tokens=30 first_event=20ms pace=20ms", OnDisconnect::Finish);
    let wire = stage.wire().await;
    let mut events = wire.stream(&request, &[]).await;
    events.next().await.unwrap();
    drop(events);
    drop(wire);
    let wire = stage.wire().await;
    assert_eq!(completion(&stage, &request).await.state(), CompletionState::Running);
    let (text, again) = folded(wire.stream(&request, &[]).await).await.unwrap();
    assert_eq!(status(&again), CacheStatus::Replayed);
    assert_eq!(again.cost.unwrap().pico_usd, 0);
    let whole = whole(&wire, &request).await;
    assert_eq!((whole.text, whole.outcome.as_deref().map(status)), (text, Some(CacheStatus::Replayed)));
    assert_eq!(whole.outcome.unwrap().id, again.id);
    let found = within("its end is on record", async {
        loop {
            let found = completion(&stage, &request).await;
            if found.state() != CompletionState::Running {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!((found.state(), &found.id), (CompletionState::Succeeded, &again.id));
    assert_eq!(found.response.unwrap().outcome.unwrap().usage, again.usage);
    assert_eq!(found.cost, again.saved.unwrap().cost, "it was billed to the call that was cut");
    assert_eq!(upstream(&stage), 1);
    stage.is_quiet().await;
}

#[tokio::test]
async fn without_that_the_upstream_sees_the_end() {
    let stage = Stage::with(PRICED).await;
    let request = named("tokens=100000 first_event=0ms pace=10ms", OnDisconnect::Cancel);
    let wire = stage.wire().await;
    let mut events = wire.stream(&request, &[]).await;
    events.next().await.unwrap();
    drop(events);
    stage.upstream_is(|counts| counts.open == 0).await;
    stage.is_quiet().await;
    assert_eq!(upstream(&stage), 1);
}

#[tokio::test]
async fn what_is_sent_again_while_it_runs_joins_it() {
    let stage = Stage::with(PRICED).await;
    let wire = stage.wire().await;
    let request = named("tokens=20 first_event=100ms pace=10ms", OnDisconnect::Cancel);
    let first = wire.stream(&request, &[]).await;
    let again = wire.stream(&request, &[]).await;
    let (first, again) = futures_util::future::join(folded(first), folded(again)).await;
    let ((text, made), (same, joined)) = (first.unwrap(), again.unwrap());
    assert_eq!(text, same);
    assert_eq!((status(&made), status(&joined)), (CacheStatus::Bypassed, CacheStatus::Replayed));
    assert_eq!(made.id, joined.id);
    assert_eq!(upstream(&stage), 1);
}

#[tokio::test]
async fn another_request_under_the_same_id_is_refused_and_labels_are_none() {
    let stage = Stage::with(PRICED).await;
    let wire = stage.wire().await;
    let request = named("tokens=2 first_event=0ms pace=0ms", OnDisconnect::Cancel);
    whole(&wire, &request).await;
    let labels = [("team".to_owned(), "red".to_owned())].into();
    let labelled = CompleteRequest { labels, user: "u".to_owned(), ..request.clone() };
    assert_eq!(status(&whole(&wire, &labelled).await.outcome.unwrap()), CacheStatus::Replayed);
    let other = CompleteRequest { max_tokens: Some(3), ..request.clone() };
    wire.complete(&other, &[]).await.expect(InvalidArgument, "REQUEST_ID_REUSED", "");
    let prompt_cache = Some(PromptCache { mode: PromptCacheMode::Automatic.into(), ttl: None });
    let kept_elsewhere = CompleteRequest { prompt_cache, ..request };
    wire.complete(&kept_elsewhere, &[]).await.expect(InvalidArgument, "REQUEST_ID_REUSED", "");
    let finish = CompleteRequest { request_id: String::new(), ..named("tokens=1", OnDisconnect::Finish) };
    wire.complete(&finish, &[]).await.expect(InvalidArgument, "INVALID_REQUEST", "");
}

#[tokio::test]
async fn after_a_failure_the_same_id_runs_anew_and_is_found_until_then() {
    let stage = Stage::with(&format!("{PRICED}\nretry: {{ max_attempts: 1 }}")).await;
    let wire = stage.wire().await;
    let request = named("error=500", OnDisconnect::Finish);
    for _ in 0..2 {
        let end = wire.complete(&request, &[]).await;
        assert_eq!(end.reason, "PROVIDER_UNAVAILABLE");
        let found = completion(&stage, &request).await;
        assert_eq!(found.state(), CompletionState::Failed);
        assert_eq!(found.failure.unwrap().reason, "PROVIDER_UNAVAILABLE");
    }
    assert_eq!(upstream(&stage), 2);
    let cancelled = named("tokens=100000 first_event=0ms pace=10ms", OnDisconnect::Cancel);
    let mut events = wire.stream(&cancelled, &[]).await;
    events.next().await.unwrap();
    drop(events);
    within("it is known that its caller has gone", async {
        while completion(&stage, &cancelled).await.state() != CompletionState::Cancelled {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
}

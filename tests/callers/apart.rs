//! What is one caller's is nobody else's: names of models, answers, calls, and what they used.

use completiond::proto::{
    CacheStatus, CompleteRequest, CompletionState, GetCompletionRequest, ListModelsRequest, ListUsageRequest,
    UsageDimension,
};
use tonic::Code;
use tonic_types::StatusExt;

use crate::desk::{Client, callers, of, operator};
use crate::stage::Stage;

const MODELS: &str = "models:\n  - { id: smart, targets: [{ provider: up, model: simulator }] }\n  \
                      - { id: smart-secret, targets: [{ provider: up, model: simulator }] }\n";

async fn stage(more: &str) -> Stage {
    let search = ", models: [smart, 'up/*'], labels: { team: found }, ledger: without_endpoints";
    Stage::with(&format!("{}{MODELS}{more}", callers(&[("search", search), ("chat", "")]))).await
}

fn asked(model: &str) -> CompleteRequest {
    CompleteRequest {
        model: model.to_owned(),
        prompt: "sim: tokens=4 first_event=0ms pace=0ms".to_owned(),
        ..Default::default()
    }
}

async fn names(client: &mut Client) -> Vec<String> {
    let page = client.list_models(ListModelsRequest::default()).await.unwrap().into_inner();
    page.models.into_iter().map(|model| model.id).collect()
}

#[tokio::test]
async fn a_model_of_others_is_as_one_that_nobody_has() {
    let stage = stage("").await;
    let mut search = of(&stage, "search");
    search.complete(asked("smart")).await.unwrap();
    search.complete(asked("up/simulator")).await.unwrap();
    let [others, nobodys] = ["smart-secret", "smart-secrex"].map(|name| {
        let mut search = search.clone();
        async move { search.complete(asked(name)).await.unwrap_err() }
    });
    let (others, nobodys) = (others.await, nobodys.await);
    assert_eq!((others.code(), others.message()), (Code::NotFound, nobodys.message()));
    assert_eq!(others.get_details_error_info().unwrap().reason, "MODEL_NOT_FOUND");
    assert!(!others.message().contains("secret") && others.message().contains("smart"), "{}", others.message());
    assert!(names(&mut search).await.iter().all(|name| !name.contains("secret")));
    assert!(names(&mut of(&stage, "chat")).await.contains(&"smart-secret".to_owned()));
    let fallback = CompleteRequest { fallback_models: vec!["smart-secret".to_owned()], ..asked("smart") };
    assert_eq!(search.complete(fallback).await.unwrap_err().code(), Code::NotFound);
    let counted = completiond::proto::CountTokensRequest { request: Some(asked("smart-secret")) };
    assert_eq!(search.count_tokens(counted).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn the_default_model_is_no_way_around() {
    let stage = stage("").await;
    // Its default is `up/simulator`.
    of(&stage, "search").complete(asked("")).await.unwrap();
    let only = callers(&[("narrow", ", models: [smart]")]);
    let narrow = Stage::with(&format!("{only}{MODELS}")).await;
    assert_eq!(of(&narrow, "narrow").complete(asked("")).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn an_answer_that_is_kept_is_its_callers_alone() {
    let stage = stage("cache: { enabled: true }").await;
    let request = CompleteRequest { temperature: Some(0.0), ..asked("smart") };
    let status = async |name| {
        let outcome = of(&stage, name).complete(request.clone()).await.unwrap().into_inner().outcome.unwrap();
        outcome.cache_status()
    };
    assert_eq!(status("search").await, CacheStatus::Miss);
    assert_eq!(status("chat").await, CacheStatus::Miss);
    assert_eq!(status("search").await, CacheStatus::Hit);
    assert_eq!(status("chat").await, CacheStatus::Hit);
}

#[tokio::test]
async fn the_same_request_id_of_two_callers_is_two_calls() {
    let stage = stage("").await;
    let request = CompleteRequest { request_id: uuid::Uuid::now_v7().to_string(), ..asked("smart") };
    let other = CompleteRequest { prompt: "sim: tokens=5 first_event=0ms pace=0ms".to_owned(), ..request.clone() };
    let outcome = async |name, request: &CompleteRequest| {
        of(&stage, name).complete(request.clone()).await.unwrap().into_inner().outcome.unwrap()
    };
    let first = outcome("search", &request).await;
    // Of the same caller this would be REQUEST_ID_REUSED.
    let second = outcome("chat", &other).await;
    assert_ne!(first.id, second.id);
    assert_eq!(outcome("search", &request).await.cache_status(), CacheStatus::Replayed);
    let found = async |name, by: GetCompletionRequest| of(&stage, name).get_completion(by).await;
    for (name, id) in [("search", &first.id), ("chat", &second.id)] {
        let by = GetCompletionRequest { request_id: request.request_id.clone(), ..Default::default() };
        let completion = found(name, by).await.unwrap().into_inner().completion.unwrap();
        assert_eq!((&completion.id, completion.state()), (id, CompletionState::Succeeded));
    }
}

#[tokio::test]
async fn a_call_of_another_is_not_found() {
    let stage = stage("").await;
    let mut chat = of(&stage, "chat");
    let id = chat.complete(asked("smart")).await.unwrap().into_inner().outcome.unwrap().id;
    let by = GetCompletionRequest { id, ..Default::default() };
    chat.get_completion(by.clone()).await.unwrap();
    let refused = of(&stage, "search").get_completion(by).await.unwrap_err();
    let unknown = GetCompletionRequest { id: uuid::Uuid::now_v7().to_string(), ..Default::default() };
    let missing = of(&stage, "search").get_completion(unknown).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::NotFound, missing.message()));
}

#[tokio::test]
async fn what_is_laid_down_for_a_caller_counts_whatever_it_says_of_itself() {
    let stage = stage("usage: { labels: [team] }").await;
    let labels = [("team".to_owned(), "forged".to_owned()), ("task".to_owned(), "t".to_owned())].into();
    let outcome = of(&stage, "search").complete(CompleteRequest { labels, ..asked("smart") }).await.unwrap();
    let attempts = outcome.into_inner().outcome.unwrap().attempts;
    assert!(attempts.iter().all(|attempt| attempt.endpoint.is_empty()), "{attempts:?}");
    let by = [UsageDimension::Caller, UsageDimension::Label].map(i32::from).to_vec();
    let request = ListUsageRequest { group_by: by, labels: vec!["team".to_owned()], ..Default::default() };
    let page = operator(&stage, None).list_usage(request).await.unwrap().into_inner();
    let told: Vec<_> =
        page.records.iter().map(|record| (record.caller.as_str(), record.labels.get("team").cloned())).collect();
    assert_eq!(told, [("search", Some("found".to_owned()))]);
}

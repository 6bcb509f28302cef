//! Answers that are kept.

use completiond::proto::admin_service_client::AdminServiceClient;
use completiond::proto::clear_cache_request::Scope;
use completiond::proto::{
    CacheMode, CacheStatus, ClearCacheRequest, GetCacheStatsRequest, PromptCache, PromptCacheMode, ResponseCache,
};
use tonic::Code::FailedPrecondition;

use crate::stage::{Stage, tcp};
use crate::{CACHED, asked, folded, status, upstream, whole};

fn wanting(script: &str, mode: CacheMode) -> completiond::proto::CompleteRequest {
    let cache = ResponseCache { mode: mode.into(), ttl: None };
    completiond::proto::CompleteRequest { cache: Some(cache), ..asked(script) }
}

#[tokio::test]
async fn what_was_answered_is_answered_again_whole_and_as_a_stream() {
    let stage = Stage::with(CACHED).await;
    let wire = stage.wire().await;
    let request = asked("tokens=5 first_event=0ms pace=0ms");
    let made = whole(&wire, &request).await;
    let made_of = made.outcome.clone().unwrap();
    assert_eq!(status(&made_of), CacheStatus::Miss);
    assert!(made_of.saved.is_none() && made_of.cost.as_ref().unwrap().pico_usd > 0);
    let again = whole(&wire, &request).await;
    let outcome = again.outcome.unwrap();
    assert_eq!((again.text, again.message), (made.text.clone(), made.message));
    assert_eq!(status(&outcome), CacheStatus::Hit);
    assert_ne!(outcome.id, made_of.id);
    assert_eq!((outcome.usage.clone(), outcome.finish_reason), (made_of.usage.clone(), made_of.finish_reason));
    assert_eq!(outcome.cost.unwrap().pico_usd, 0);
    assert!(outcome.attempts.is_empty());
    let saved = outcome.saved.unwrap();
    assert_eq!((saved.usage, saved.cost), (made_of.usage, made_of.cost.clone()));
    let (text, outcome) = folded(wire.stream(&request, &[]).await).await.unwrap();
    assert_eq!((text, status(&outcome)), (made.text, CacheStatus::Hit));
    assert_eq!(upstream(&stage), 1);
    let mut admin = AdminServiceClient::connect(format!("http://{}", tcp(&stage.running.admin))).await.unwrap();
    let stats = admin.get_cache_stats(GetCacheStatsRequest {}).await.unwrap().into_inner();
    assert_eq!((stats.enabled, stats.entries, stats.hits, stats.misses), (true, 1, 2, 1));
    assert!(stats.bytes > 0 && stats.bytes < 10_000, "{stats:?}");
    let twice = 2.0 * made_of.cost.unwrap().usd.parse::<f64>().unwrap();
    assert!((stats.saved_usd.parse::<f64>().unwrap() - twice).abs() < 1e-12, "{stats:?}");
}

#[tokio::test]
async fn what_shapes_the_answer_tells_requests_apart_and_nothing_else_does() {
    let stage = Stage::with(CACHED).await;
    let wire = stage.wire().await;
    let script = "tokens=2 first_event=0ms pace=0ms";
    let request = asked(script);
    whole(&wire, &request).await;
    let mut same = vec![request.clone(); 5];
    same[0].labels = [("team".to_owned(), "red".to_owned())].into();
    same[1].user = "somebody".to_owned();
    same[2].conversation_id = "c".to_owned();
    same[3].restart_on_interruption = true;
    same[4].prompt_cache = Some(PromptCache { mode: PromptCacheMode::Automatic.into(), ttl: None });
    for request in &same {
        assert_eq!(status(&whole(&wire, request).await.outcome.unwrap()), CacheStatus::Hit, "{request:?}");
    }
    let mut other = vec![request.clone(); 8];
    other[0].model = "up/simulator".to_owned();
    other[1].system = "Be kind.".to_owned();
    other[2].max_tokens = Some(100);
    other[3].seed = Some(1);
    other[4].stop_sequences = vec!["x".to_owned()];
    other[5].prompt += "!";
    other[6].fallback_models = vec!["up/simulator".to_owned()];
    other[7].top_p = Some(0.5);
    for request in &other {
        assert_eq!(status(&whole(&wire, request).await.outcome.unwrap()), CacheStatus::Miss, "{request:?}");
    }
    assert_eq!(upstream(&stage), 9);
}

#[tokio::test]
async fn each_mode_does_what_it_says() {
    let stage = Stage::with(CACHED).await;
    let wire = stage.wire().await;
    let script = "tokens=2 first_event=0ms pace=0ms";
    let of = async |mode| *whole(&wire, &wanting(script, mode)).await.outcome.unwrap();
    let end = wire.complete(&wanting(script, CacheMode::OnlyIfCached), &[]).await;
    end.expect(FailedPrecondition, "CACHE_MISS", "");
    assert_eq!(status(&of(CacheMode::Bypass).await), CacheStatus::Bypassed);
    assert_eq!(status(&of(CacheMode::Default).await), CacheStatus::Miss, "what was bypassed is not kept");
    let old = of(CacheMode::OnlyIfCached).await;
    assert_eq!(status(&old), CacheStatus::Hit);
    assert_eq!(status(&of(CacheMode::Refresh).await), CacheStatus::Miss);
    assert_eq!(status(&of(CacheMode::Default).await), CacheStatus::Hit);
    assert_eq!(upstream(&stage), 3);
    let sampled =
        completiond::proto::CompleteRequest { temperature: None, ..asked("tokens=3 first_event=0ms pace=0ms") };
    for _ in 0..2 {
        assert_eq!(status(&whole(&wire, &sampled).await.outcome.unwrap()), CacheStatus::Bypassed);
    }
    let ttl = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let wanted = completiond::proto::CompleteRequest { cache: Some(ResponseCache { mode: 0, ttl }), ..sampled };
    assert_eq!(status(&whole(&wire, &wanted).await.outcome.unwrap()), CacheStatus::Miss);
    assert_eq!(status(&whole(&wire, &wanted).await.outcome.unwrap()), CacheStatus::Hit);
}

#[tokio::test]
async fn a_server_without_a_cache_says_that_it_has_none() {
    let stage = Stage::with("models: [{ id: m, targets: [{ provider: up, model: simulator }] }]").await;
    let wire = stage.wire().await;
    let end = wire.complete(&wanting("tokens=2", CacheMode::OnlyIfCached), &[]).await;
    end.expect(FailedPrecondition, "CACHE_MISS", "`cache.enabled` is false");
    assert_eq!(upstream(&stage), 0);
}

#[tokio::test]
async fn a_cut_answer_and_a_failed_one_are_not_kept() {
    let stage = Stage::with(&format!("{CACHED}\nretry: {{ max_attempts: 1 }}")).await;
    let wire = stage.wire().await;
    for script in ["tokens=9 cut_after=3 first_event=0ms pace=0ms", "error=500"] {
        for _ in 0..2 {
            assert!(folded(wire.stream(&asked(script), &[]).await).await.is_err());
            let end = wire.complete(&wanting(script, CacheMode::OnlyIfCached), &[]).await;
            end.expect(FailedPrecondition, "CACHE_MISS", "");
        }
    }
    assert_eq!(upstream(&stage), 4);
}

#[tokio::test]
async fn what_is_forgotten_is_asked_again() {
    let stage = Stage::with(CACHED).await;
    let wire = stage.wire().await;
    let mut admin = AdminServiceClient::connect(format!("http://{}", tcp(&stage.running.admin))).await.unwrap();
    let request = asked("tokens=2 first_event=0ms pace=0ms");
    for (scope, forgotten) in
        [(Scope::All(true), 1), (Scope::Model("m".to_owned()), 1), (Scope::Model("other".to_owned()), 0)]
    {
        whole(&wire, &request).await;
        let cleared = admin.clear_cache(ClearCacheRequest { scope: Some(scope) }).await.unwrap();
        assert_eq!(cleared.into_inner().entries, forgotten);
    }
    assert_eq!(status(&whole(&wire, &request).await.outcome.unwrap()), CacheStatus::Hit);
    assert_eq!(upstream(&stage), 3);
    let refused = admin.clear_cache(ClearCacheRequest { scope: None }).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn the_longest_and_the_shortest_lifetimes_fail_no_call() {
    let stage = Stage::with(CACHED).await;
    let wire = stage.wire().await;
    let longest = prost_types::Duration { seconds: 315_576_000_000, nanos: 999_999_999 };
    for (script, ttl) in [("tokens=2", longest), ("tokens=3", prost_types::Duration { seconds: 0, nanos: 1 })] {
        let cache = Some(ResponseCache { mode: 0, ttl: Some(ttl) });
        let request =
            completiond::proto::CompleteRequest { cache, ..asked(&format!("{script} first_event=0ms pace=0ms")) };
        let made = whole(&wire, &request).await;
        assert_eq!(status(&made.outcome.unwrap()), CacheStatus::Miss);
        let again = status(&whole(&wire, &request).await.outcome.unwrap());
        assert_eq!(again == CacheStatus::Hit, ttl == longest, "{again:?}");
    }
    stage.is_quiet().await;
}

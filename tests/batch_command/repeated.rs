//! Items that are asked again: at once, because it may help, or later, because somebody wants it.

use serde_json::{Value, json};

use crate::desk::{Desk, asked, item, requests};
use crate::stage::Stage;

/// A server that asks its upstream once and no more.
async fn stage() -> Stage {
    Stage::with("retry: { max_attempts: 1 }\n").await
}

#[tokio::test]
async fn what_fails_for_a_while_is_asked_again_after_the_time_that_is_named() {
    let stage = stage().await;
    stage.upstream.play(["error=rate_limit retry_after=1"]);
    let desk = Desk::with((1..=3).map(|number| item(number, 0)));
    let done = desk.batch(stage.address(), &["--max-concurrency", "1", "--json"]).await;
    assert_eq!(done.code, 0, "{}", done.err);
    let summary: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((&summary["asked_again"], &summary["answered"]), (&json!(1), &json!(3)));
    assert_eq!(asked(&stage.upstream)[&1], 2);
}

#[tokio::test]
async fn what_fails_more_often_than_is_allowed_has_failed() {
    let stage = stage().await;
    stage.upstream.play_always("error=rate_limit retry_after=1");
    let desk = Desk::with([item(1, 0)]);
    let done = desk.batch(stage.address(), &["--retries", "0"]).await;
    assert_eq!((done.code, requests(&stage.upstream)), (1, 1), "{}", done.err);
    assert_eq!(desk.results()[0]["status"]["reason"], "PROVIDER_RATE_LIMITED");
    assert!(desk.results()[0]["status"]["retry_after"].is_string());
}

#[tokio::test]
async fn only_what_failed_is_asked_again_and_the_rest_is_kept() {
    let stage = stage().await;
    let desk = Desk::with((1..=20).map(|number| item(number, 0)));
    stage.upstream.play(["", "error=400", "", "error=400"]);
    let done = desk.batch(stage.address(), &["--max-concurrency", "1"]).await;
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(done.err.contains("2 PROVIDER_REJECTED") && done.err.contains("--retry-failed"), "{}", done.err);
    let before = desk.results();
    assert!(before[1].get("status").is_some() && before[3].get("status").is_some());

    // It fails once more for one of them.
    stage.upstream.play(["error=400"]);
    let done = desk.batch(stage.address(), &["--retry-failed", "--max-concurrency", "1", "--json"]).await;
    assert_eq!(done.code, 1, "{}", done.err);
    let summary: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((&summary["by_earlier_runs"], &summary["failed"]), (&json!(18), &json!(1)));
    let done = desk.batch(stage.address(), &["--retry-failed"]).await;
    assert_eq!(done.code, 0, "{}", done.err);
    let after = desk.results();
    for index in (0..20).filter(|index| ![1, 3].contains(index)) {
        assert_eq!(after[index], before[index], "what was answered is the same to the byte");
    }
    assert_eq!(desk.names(), (1..=20).map(|number| format!("n{number}")).collect::<Vec<_>>());
    let asked = asked(&stage.upstream);
    assert_eq!((asked[&2], asked[&4], asked.values().sum::<usize>()), (3, 2, 23));
    assert!(!desk.journal().exists());
}

#[tokio::test]
async fn asking_again_what_failed_can_be_interrupted_too() {
    use crate::desk::{Running, until};
    let stage = stage().await;
    let desk = Desk::with((1..=40).map(|number| item(number, 20)));
    stage.upstream.play_always("error=400");
    assert_eq!(desk.batch(stage.address(), &["--max-concurrency", "20"]).await.code, 1);
    stage.upstream.play_never();
    let running = Running::start(desk.command(stage.address(), &["--retry-failed"]));
    until("some are kept", || desk.kept().len() >= 10).await;
    running.signal("KILL");
    running.end().await;
    stage.is_quiet().await;
    let kept = desk.kept();
    let done = desk.batch(stage.address(), &["--overwrite"]).await;
    assert_eq!(done.code, 2);
    assert!(done.err.contains("had --retry-failed: give it again to go on"), "{}", done.err);
    assert_eq!(desk.batch(stage.address(), &["--retry-failed"]).await.code, 0);
    let asked = asked(&stage.upstream);
    assert!(kept.iter().all(|line| asked[&usize::try_from(*line).unwrap()] == 2), "{kept:?} {asked:?}");
    assert!(asked.values().sum::<usize>() <= 80 + 5, "{asked:?}");
}

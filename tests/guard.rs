//! A bound on what a call may cost: who is not asked, who is asked instead, and what the caller is told.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects")]

mod stage;

use completiond::proto::stream_complete_response::Event;
use completiond::proto::{AttemptOutcome, CompleteRequest, FinishReason};
use stage::{Stage, prompt, within};
use tonic::Code::{FailedPrecondition, Ok as Fine};

/// 15 USD per million tokens of answer: 15,000,000 pico-USD for one.
const DEAR: &str = "  - { id: dear, targets: [{ provider: up, model: simulator }], price: { input: 3, output: 15 } }\n";
const CHEAP: &str =
    "  - { id: cheap, targets: [{ provider: up, model: \"simulator?tokens=3\" }], price: { input: 1, output: 1 } }\n";
/// What 100 tokens at 15 USD per million cost.
const HUNDRED: i64 = 1_500_000_000;

async fn stage(settings: &str) -> Stage {
    Stage::with(&format!("{settings}models:\n{DEAR}{CHEAP}")).await
}

fn ask(model: &str, max_tokens: i32, bound: Option<i64>) -> CompleteRequest {
    let mut asked = prompt("Why is the sky blue?");
    (asked.model, asked.max_tokens, asked.max_cost_pico_usd) = (model.to_owned(), Some(max_tokens), bound);
    asked
}

#[tokio::test]
async fn what_could_cost_more_than_the_bound_is_not_asked() {
    let stage = stage("").await;
    let wire = stage.wire().await;
    let refused = wire.complete(&ask("dear", 100, Some(HUNDRED)), &[]).await;
    refused.expect(FailedPrecondition, "COST_LIMIT_EXCEEDED", "max_tokens of at most");
    let refused = wire.stream(&ask("dear", 100, Some(1)), &[]).await;
    refused.end().await.expect(FailedPrecondition, "COST_LIMIT_EXCEEDED", "the prompt alone");
    assert_eq!(*stage.upstream.requests().borrow(), 0);
    wire.complete(&ask("dear", 100, Some(2 * HUNDRED)), &[]).await.expect(Fine, "", "");
    wire.complete(&ask("dear", 100, None), &[]).await.expect(Fine, "", "");
}

#[tokio::test]
async fn a_bound_without_a_price_is_not_kept_by_chance() {
    let stage = stage("").await;
    let refused = stage.wire().await.complete(&ask("up/simulator?tokens=2", 100, Some(i64::MAX)), &[]).await;
    refused.expect(FailedPrecondition, "PRICE_UNKNOWN", "models[].price");
}

#[tokio::test]
async fn a_model_to_fall_back_to_may_be_cheap_enough() {
    let stage = stage("").await;
    let asked = CompleteRequest { fallback_models: vec!["cheap".into()], ..ask("dear", 100, Some(HUNDRED)) };
    let wire = stage.wire().await;
    let mut events = wire.stream(&asked, &[]).await;
    let outcome = loop {
        if let Event::Completed(outcome) = within("the end", events.event()).await {
            break outcome;
        }
    };
    let told: Vec<_> = outcome.attempts.iter().map(|attempt| (attempt.outcome(), attempt.reason.as_str())).collect();
    assert_eq!(told, [(AttemptOutcome::Skipped, "COST_LIMIT_EXCEEDED"), (AttemptOutcome::Finished, "")]);
    assert_eq!(outcome.finish_reason(), FinishReason::Stop);
    assert!(outcome.cost.unwrap().pico_usd <= HUNDRED);
}

#[tokio::test]
async fn the_smaller_of_the_callers_bound_and_the_servers_holds() {
    let stage = stage("limits: { max_call_cost: 0.0015 }\n").await;
    let wire = stage.wire().await;
    let refused = wire.complete(&ask("dear", 100, None), &[]).await;
    refused.expect(FailedPrecondition, "COST_LIMIT_EXCEEDED", "the bound is 0.0015 USD");
    let refused = wire.complete(&ask("dear", 100, Some(i64::MAX)), &[]).await;
    refused.expect(FailedPrecondition, "COST_LIMIT_EXCEEDED", "0.0015");
    wire.complete(&ask("dear", 50, None), &[]).await.expect(Fine, "", "");
    let refused = wire.complete(&ask("dear", 50, Some(HUNDRED / 2)), &[]).await;
    refused.expect(FailedPrecondition, "COST_LIMIT_EXCEEDED", "0.00075");
}

#[tokio::test]
async fn what_a_failed_attempt_has_cost_is_gone_from_the_bound() {
    let stage = stage("").await;
    // An answer that breaks has cost something: the second attempt would fit the bound, and does not fit what is left.
    let mut asked = ask("dear", 2000, Some(27 * HUNDRED));
    asked.prompt = "sim: tokens=1800 cut_after=1500".into();
    let failed = stage.wire().await.complete(&asked, &[]).await;
    failed.expect(tonic::Code::Unavailable, "PROVIDER_UNAVAILABLE", "");
    assert_eq!(*stage.upstream.requests().borrow(), 1, "nor is it asked a second time");
}

//! Whole calls over scripted endpoints: the retry loop with the real pool, on a paused clock.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what it expects")]

mod hedges;
mod restarts;
mod stage;
mod time;

use super::*;
use stage::{Piece, Play, SECOND, Stage, answers, breaks, ordinary, refuses, within};

const NOW: Duration = Duration::ZERO;

#[tokio::test(start_paused = true)]
async fn the_first_that_answers_is_heard_and_all_are_on_record() {
    let stage = Stage::new([
        ("a", vec![refuses(403)]),
        ("b", vec![Play::Answer(vec![(NOW, Piece::Start), (NOW, Piece::Lost)])]),
        ("c", vec![answers(NOW, "hello")]),
    ]);
    let told = stage.call(ordinary()).await;
    assert_eq!(told.story(), ["c starts", "hello", "c is done"]);
    assert_eq!(
        told.ledger(),
        [
            "a failed: PROVIDER_CREDENTIALS_REFUSED",
            "b failed: PROVIDER_UNAVAILABLE",
            "b failed: PROVIDER_UNAVAILABLE",
            "c finished"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_may_fail_at_any_byte_and_be_made_elsewhere() {
    let stage = Stage::new([("a", vec![breaks("half", Piece::Stall)]), ("b", vec![answers(NOW, "whole")])]);
    let told = stage.call(Asked { delivery: Delivery::Whole, ..ordinary() }).await;
    assert_eq!(told.story(), ["b starts", "whole", "b is done"]);
    assert_eq!(told.ledger(), ["a failed: PROVIDER_TIMEOUT", "b finished"]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_which_something_has_left_ends_with_its_failure() {
    for end in [Piece::Lost, Piece::Stall] {
        let stage = Stage::new([("a", vec![breaks("half", end)]), ("b", vec![answers(NOW, "whole")])]);
        let told = stage.call(ordinary()).await;
        assert_eq!(told.story(), ["a starts", "half", "STREAM_INTERRUPTED"], "{end:?}");
        assert_eq!(stage.asked(), ["a"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejected_request_is_not_sent_elsewhere() {
    let stage = Stage::new([("a", vec![refuses(400)]), ("b", vec![answers(NOW, "hello")])]);
    let told = stage.call(ordinary()).await;
    assert_eq!((told.story(), stage.asked()), (vec!["PROVIDER_REJECTED".to_owned()], vec!["a".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_waited_for_and_then_told_when_it_is_too_long() {
    let stage = Stage::new([("a", vec![Play::Refuse(NOW, 429, Some(2)), Play::Refuse(NOW, 429, Some(31))])]);
    let told = stage.call(ordinary()).await;
    assert_eq!(stage.sent(), ["a after 0ns", "a after 2s"]);
    let error = told.error.unwrap();
    assert_eq!((error.reason, error.details.retry_after), (Reason::ProviderRateLimited, Some(2 * SECOND)));
    let other = stage.call(ordinary()).await;
    assert_eq!(other.ledger(), ["a skipped: PROVIDER_RATE_LIMITED"], "and holds for other calls");
    let hint = other.error.unwrap().details.retry_after.unwrap();
    assert!(hint > 30 * SECOND && hint <= 31 * SECOND, "{hint:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_tries_again_pays_for_it() {
    let stage = Stage::new([("a", vec![answers(NOW, "hello")])]);
    let again = || Asked { previous_attempts: 1, ..ordinary() };
    let before = stage.budget.tokens(Instant::now());
    stage.plays("a", vec![refuses(400)]);
    stage.call(again()).await;
    let after = stage.budget.tokens(Instant::now());
    assert!((before - after - 1.0).abs() < 0.1, "{before} and then {after}");
    stage.plays("a", vec![answers(NOW, "hello")]);
    stage.spend_budget();
    let told = stage.call(again()).await;
    let error = told.error.as_ref().unwrap();
    assert_eq!((error.reason, error.details.budget_spent), (Reason::ProviderUnavailable, true));
    assert_eq!(told.ledger(), [""; 0], "nobody was asked");
    assert_eq!(stage.call(ordinary()).await.error, None, "a call that is new is served");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_leads_nowhere_costs_no_token() {
    let stage = Stage::new([("a", vec![answers(NOW, "hello")])]);
    let mut asked = Asked { previous_attempts: 1, ..ordinary() };
    asked.request.model = Some(ModelName::new("nobody"));
    assert_eq!(stage.call(asked).await.error.unwrap().reason, Reason::ModelNotFound);
    assert!(stage.budget.tokens(Instant::now()) > 99.9);
}

#[tokio::test(start_paused = true)]
async fn while_the_budget_is_spent_each_call_is_asked_about_once_and_its_client_told_not_to_try_again() {
    let stage = Stage::new([("a", vec![refuses(403)]), ("b", vec![answers(NOW, "hello")])]);
    stage.spend_budget();
    let told = stage.call(ordinary()).await;
    assert_eq!(stage.asked(), ["a"]);
    assert_eq!(told.ledger(), ["a failed: PROVIDER_CREDENTIALS_REFUSED"]);
    assert!(told.error.unwrap().details.budget_spent);
    let sent = stage.endpoint("b").health.report(Instant::now()).sent;
    assert_eq!(sent, 0, "who is not asked learns nothing of it");
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_the_budget_had_no_part_in_does_not_blame_it() {
    let stage = Stage::new([("a", vec![refuses(400)])]);
    assert!(!stage.call(ordinary()).await.error.unwrap().details.budget_spent);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_beyond_the_first_takes_a_token_and_a_success_puts_some_back() {
    let stage = Stage::new([
        ("a", vec![Play::Refuse(NOW, 404, None)]),
        ("b", vec![Play::Refuse(NOW, 404, None)]),
        ("c", vec![answers(NOW, "hello")]),
    ]);
    for _ in 0..50 {
        assert!(stage.budget.take(Instant::now()));
    }
    let told = stage.call(ordinary()).await;
    assert_eq!(told.after, NOW);
    let tokens = stage.budget.tokens(Instant::now());
    assert!((tokens - 48.4).abs() < 0.1, "{tokens}");
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_the_last_endpoint_is_asked_once_for_each_call() {
    let stage = Stage::new([("a", vec![refuses(500)])]);
    while stage.endpoint("a").health.report(Instant::now()).breaker == crate::pool::BreakerState::Closed {
        stage.call(ordinary()).await;
    }
    let before = stage.asked().len();
    let told = stage.call(ordinary()).await;
    assert_eq!(stage.asked().len(), before + 1);
    assert_eq!(told.ledger(), ["a failed: PROVIDER_UNAVAILABLE"]);
    stage.plays("a", vec![answers(NOW, "hello")]);
    assert_eq!(stage.call(ordinary()).await.story(), ["a starts", "hello", "a is done"], "and is back at once");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_cannot_take_the_request_is_passed_over_once() {
    let stage = Stage::new([("a", vec![answers(NOW, "a")]), ("b", vec![answers(NOW, "b")])]);
    let mut asked = ordinary();
    asked.request.sampling.top_k = Some(1);
    let told = stage.call(asked).await;
    assert_eq!(told.error.as_ref().unwrap().reason, Reason::InvalidRequest);
    assert_eq!(told.ledger(), ["a skipped: INVALID_REQUEST", "b skipped: INVALID_REQUEST"]);
    assert_eq!(stage.asked(), [""; 0]);
}

/// A request that is too long for a context of 16 thousand tokens by any measure.
fn too_long() -> Asked {
    let mut asked = ordinary();
    asked.request.messages[0].content = vec![crate::domain::Block::text("a".repeat(140_000))];
    asked
}

#[tokio::test(start_paused = true)]
async fn a_context_that_is_too_short_by_any_measure_is_passed_over_once() {
    let stage = Stage::new([
        ("a/gpt-3.5-turbo", vec![answers(NOW, "a")]),
        ("b", vec![refuses(403)]),
        ("c", vec![refuses(403)]),
    ]);
    let told = stage.call(too_long()).await;
    assert_eq!(told.ledger()[0], "a skipped: CONTEXT_LENGTH_EXCEEDED");
    assert_eq!(stage.asked(), ["b", "c"]);
    let mut unfit = too_long();
    unfit.request.sampling.top_k = Some(1);
    let told = stage.call(unfit).await;
    let expected = ["a skipped: CONTEXT_LENGTH_EXCEEDED", "b skipped: INVALID_REQUEST", "c skipped: INVALID_REQUEST"];
    assert_eq!(told.ledger(), expected);
}

#[tokio::test(start_paused = true)]
async fn where_all_contexts_are_too_short_it_is_for_the_provider_to_say_so() {
    let stage = Stage::new([("a/gpt-3.5-turbo", vec![refuses(400)])]);
    assert_eq!(stage.call(too_long()).await.ledger(), ["a failed: PROVIDER_REJECTED"]);
}

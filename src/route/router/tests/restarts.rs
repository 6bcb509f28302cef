//! Answers that begin anew after something of them has left.

use super::*;
use crate::pool::BreakerState;

fn restarting() -> Asked {
    let mut asked = ordinary();
    asked.request.restart_on_interruption = true;
    asked
}

#[tokio::test(start_paused = true)]
async fn a_broken_answer_begins_anew_elsewhere() {
    for (end, failed) in [(Piece::Lost, "PROVIDER_UNAVAILABLE"), (Piece::Stall, "PROVIDER_TIMEOUT")] {
        let stage = Stage::new([("a", vec![breaks("half", end)]), ("b", vec![answers(SECOND, "whole")])]);
        let told = stage.call(restarting()).await;
        assert_eq!(told.story(), ["a starts", "half", "b starts anew as attempt 2", "whole", "b is done"]);
        assert_eq!(told.ledger(), [format!("a failed: {failed}"), "b finished".to_owned()]);
    }
}

#[tokio::test(start_paused = true)]
async fn it_may_break_more_than_once_and_attempts_are_counted_on() {
    let stage = Stage::new([
        ("a", vec![breaks("one", Piece::Lost)]),
        ("b", vec![Play::Refuse(NOW, 404, None)]),
        ("c", vec![breaks("two", Piece::Stall)]),
        ("d", vec![answers(NOW, "three")]),
    ]);
    let told = stage.call(restarting()).await;
    let expected =
        ["a starts", "one", "c starts anew as attempt 3", "two", "d starts anew as attempt 4", "three", "d is done"];
    assert_eq!(told.story(), expected);
}

#[tokio::test(start_paused = true)]
async fn when_nobody_else_can_answer_what_broke_it_is_told() {
    for others in [refuses(500), refuses(400), Play::Silence] {
        let stage = Stage::new([("a", vec![breaks("half", Piece::Stall)]), ("b", vec![others])]);
        let told = stage.call(restarting()).await;
        assert_eq!(told.story(), ["a starts", "half", "STREAM_INTERRUPTED"]);
        assert!(!stage.asked()[1..].contains(&"a".to_owned()), "it is begun anew on another target");
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_other_breaks_too_the_first_has_another_chance() {
    let stage = Stage::new([
        ("a", vec![breaks("one", Piece::Lost), answers(NOW, "three")]),
        ("b", vec![breaks("two", Piece::Lost)]),
    ]);
    let told = stage.call(restarting()).await;
    let expected =
        ["a starts", "one", "b starts anew as attempt 2", "two", "a starts anew as attempt 3", "three", "a is done"];
    assert_eq!(told.story(), expected);
}

#[tokio::test(start_paused = true)]
async fn better_an_endpoint_that_failed_of_late_than_nobody() {
    let a = vec![Play::Silence, breaks("half", Piece::Lost)];
    let stage = Stage::new([("a", a), ("b", vec![Play::Refuse(NOW, 404, None), answers(NOW, "whole")])]);
    stage.call(restarting()).await;
    assert_eq!(stage.endpoint("b").health.report(Instant::now()).breaker, BreakerState::Open);
    let told = stage.call(restarting()).await;
    assert_eq!(told.story(), ["a starts", "half", "b starts anew as attempt 2", "whole", "b is done"]);
}

#[tokio::test(start_paused = true)]
async fn the_only_target_is_not_asked_anew() {
    let stage = Stage::new([("a", vec![breaks("half", Piece::Lost), answers(NOW, "whole")])]);
    assert_eq!(stage.call(restarting()).await.story(), ["a starts", "half", "STREAM_INTERRUPTED"]);
    assert_eq!(stage.asked(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_takes_a_token_and_is_not_made_without_one() {
    let at_once = Play::Answer(vec![(NOW, Piece::Start), (NOW, Piece::Text("half")), (NOW, Piece::Lost)]);
    let stage = Stage::new([("a", vec![at_once]), ("b", vec![answers(NOW, "whole")])]);
    stage.spend_budget();
    assert_eq!(stage.call(restarting()).await.story(), ["a starts", "half", "STREAM_INTERRUPTED"]);
    assert_eq!(stage.asked(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn restarts_count_as_attempts() {
    let breaking = || vec![breaks("half", Piece::Lost)];
    let cast = [("a", breaking()), ("b", breaking()), ("c", breaking()), ("d", breaking()), ("e", breaking())];
    let told = Stage::new(cast).call(restarting()).await;
    assert_eq!(told.story().last().unwrap(), "STREAM_INTERRUPTED");
    assert_eq!(told.ledger().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn whole_answers_need_no_restart() {
    let stage = Stage::new([("a", vec![breaks("half", Piece::Lost)]), ("b", vec![answers(NOW, "whole")])]);
    let told = stage.call(Asked { delivery: Delivery::Whole, ..restarting() }).await;
    assert!(!told.story().iter().any(|line| line.contains("anew")), "{:?}", told.story());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_break_is_told_as_it_is() {
    let stage = Stage::new([("a", vec![answers(NOW, "whole")])]);
    assert_eq!(stage.call(restarting()).await.story(), ["a starts", "whole", "a is done"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_anew_after_a_rejection() {
    let stage = Stage::new([("a", vec![breaks("half", Piece::Rejection)]), ("b", vec![answers(NOW, "whole")])]);
    assert_eq!(stage.call(restarting()).await.story(), ["a starts", "half", "PROVIDER_REJECTED"]);
    assert_eq!(stage.asked(), ["a"]);
}

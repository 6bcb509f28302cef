//! A second attempt beside one that is late.

use super::*;
use crate::route::Hedge;

const TENTH: Duration = Duration::from_millis(100);

/// Each call may be hedged, as soon as the first is later than usual.
fn always() -> Hedge {
    Hedge { max_share: 1.0, ..Hedge::default() }
}

/// `a` usually begins within a tenth of a second, then does this; `b` then does that.
async fn rehearsed(hedge: Hedge, a: Play, b: Play) -> Stage {
    let mut stage = Stage::hedged([("a", vec![answers(TENTH, "usual")]), ("b", vec![b])], hedge);
    stage.rehearse().await;
    stage.plays("a", vec![a]);
    stage
}

#[tokio::test(start_paused = true)]
async fn when_the_first_is_later_than_usual_a_second_is_asked_and_the_first_to_begin_goes_on() {
    let stage = rehearsed(always(), answers(5 * SECOND, "a"), answers(TENTH, "b")).await;
    let told = stage.call(ordinary()).await;
    assert_eq!(stage.sent(), ["a after 0ns", "b after 200ms"], "no earlier than the least delay");
    assert_eq!(told.story(), ["b starts", "b", "b is done"]);
    assert_eq!(told.ledger(), ["a dropped", "b finished"]);
    assert_eq!(told.after, 3 * TENTH);
    assert_eq!(stage.endpoint("a").health.report(Instant::now()).in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_may_still_win() {
    let stage = rehearsed(always(), answers(3 * TENTH, "a"), answers(SECOND, "b")).await;
    let told = stage.call(ordinary()).await;
    assert_eq!(stage.asked(), ["a", "b"]);
    assert_eq!(told.story(), ["a starts", "a", "a is done"]);
    assert_eq!(told.ledger(), ["b dropped", "a finished"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_in_time_is_not_hedged() {
    let stage = rehearsed(always(), answers(TENTH, "a"), answers(NOW, "b")).await;
    stage.call(ordinary()).await;
    assert_eq!(stage.asked(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn as_long_as_little_is_known_nothing_is_late() {
    let cast = [("a", vec![answers(5 * SECOND, "a")]), ("b", vec![answers(NOW, "b")])];
    let stage = Stage::hedged(cast, always());
    assert_eq!(stage.call(ordinary()).await.story(), ["a starts", "a", "a is done"]);
    assert_eq!(stage.asked(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_hedged_with_itself() {
    let mut stage = Stage::hedged([("a", vec![answers(TENTH, "usual")])], always());
    stage.rehearse().await;
    stage.plays("a", vec![answers(SECOND, "late")]);
    assert_eq!(stage.call(ordinary()).await.story(), ["a starts", "late", "a is done"]);
    assert_eq!(stage.asked(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn without_hedging_a_late_one_is_waited_for() {
    let mut stage = Stage::new([("a", vec![answers(TENTH, "usual")]), ("b", vec![answers(NOW, "b")])]);
    stage.rehearse().await;
    stage.plays("a", vec![answers(5 * SECOND, "late")]);
    assert_eq!(stage.call(ordinary()).await.story(), ["a starts", "late", "a is done"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_leaves_it_to_the_other() {
    for (a, b, story) in [
        (Play::Refuse(3 * TENTH, 500, None), answers(SECOND, "b"), ["b starts", "b", "b is done"]),
        (answers(SECOND, "a"), refuses(500), ["a starts", "a", "a is done"]),
    ] {
        let stage = rehearsed(always(), a, b).await;
        let told = stage.call(ordinary()).await;
        assert_eq!(told.story(), story);
        assert_eq!(stage.asked(), ["a", "b"], "nobody is asked again while one is under way");
    }
}

#[tokio::test(start_paused = true)]
async fn when_both_fail_the_call_goes_on_as_after_two_failures() {
    let (a, b) = (Play::Refuse(3 * TENTH, 403, None), Play::Refuse(3 * TENTH, 500, None));
    let stage = rehearsed(always(), a, b).await;
    let told = stage.call(ordinary()).await;
    assert_eq!(stage.asked(), ["a", "b", "b", "b"], "up to four attempts");
    assert_eq!(told.error.unwrap().reason, Reason::ProviderUnavailable);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_by_either_ends_the_call_at_once() {
    let rejects = |after| Play::Refuse(after, 400, None);
    for (a, b) in [(rejects(3 * TENTH), answers(5 * SECOND, "b")), (answers(5 * SECOND, "a"), rejects(TENTH))] {
        let stage = rehearsed(always(), a, b).await;
        let told = stage.call(ordinary()).await;
        assert_eq!((told.story(), told.after), (vec!["PROVIDER_REJECTED".to_owned()], 3 * TENTH));
        assert_eq!(stage.asked(), ["a", "b"]);
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_than_a_share_of_the_calls_is_hedged() {
    // Every second call is late, and the usual is what half of the answers need.
    let hedge = Hedge { max_share: 0.125, quantile: 0.5, ..Hedge::default() };
    let stage = rehearsed(hedge, Play::Silence, answers(TENTH / 2, "b")).await;
    for _ in 0..50 {
        for after in [TENTH, 3 * TENTH] {
            stage.plays("a", vec![answers(after, "a")]);
            assert_eq!(stage.call(ordinary()).await.error, None);
        }
    }
    let hedged = stage.asked().iter().filter(|name| *name == "b").count();
    assert_eq!(hedged, 15, "an eighth of a hundred, and of the twenty before");
}

#[tokio::test(start_paused = true)]
async fn a_hedge_takes_a_token_and_is_not_made_without_one() {
    let stage = rehearsed(always(), answers(SECOND, "a"), answers(NOW, "b")).await;
    stage.spend_budget();
    stage.plays("a", vec![answers(3 * TENTH, "a")]);
    let told = stage.call(ordinary()).await;
    assert_eq!(told.story(), ["a starts", "a", "a is done"]);
    assert_eq!(stage.asked(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_dropped_is_not_asked_again_when_the_winner_breaks() {
    let stage = rehearsed(always(), Play::Silence, Play::Answer(vec![(NOW, Piece::Start), (NOW, Piece::Lost)])).await;
    let told = stage.call(ordinary()).await;
    assert_eq!(stage.asked(), ["a", "b", "b", "b"]);
    assert_eq!(told.ledger()[0], "a dropped");
}

//! How the time until the deadline is shared out.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_silent_first_leaves_a_healthy_second_half_of_the_time() {
    for delivery in [Delivery::Stream, Delivery::Whole] {
        let stage = Stage::new([("a", vec![Play::Silence]), ("b", vec![answers(SECOND, "hello")])]);
        let mut asked = Asked { delivery, ..within(3 * SECOND) };
        asked.request.max_tokens = Some(crate::domain::Tokens::new(100));
        let told = stage.call(asked).await;
        assert_eq!(stage.sent(), ["a after 0ns", "b after 1.5s"]);
        assert_eq!(told.story(), ["b starts", "hello", "b is done"], "{delivery:?}");
        assert_eq!(told.ledger(), ["a failed: PROVIDER_TIMEOUT", "b finished"]);
    }
}

#[tokio::test(start_paused = true)]
async fn two_silent_ones_leave_a_third_of_the_time_each() {
    let stage =
        Stage::new([("a", vec![Play::Silence]), ("b", vec![Play::Silence]), ("c", vec![answers(NOW, "hello")])]);
    let told = stage.call(within(3 * SECOND)).await;
    assert_eq!(stage.sent(), ["a after 0ns", "b after 1s", "c after 2s"]);
    assert_eq!(told.error, None);
}

#[tokio::test(start_paused = true)]
async fn one_that_begins_and_falls_silent_leaves_time_as_well() {
    let begins = Play::Answer(vec![(NOW, Piece::Start), (NOW, Piece::Stall)]);
    let stage = Stage::new([("a", vec![begins]), ("b", vec![answers(NOW, "hello")])]);
    let told = stage.call(within(3 * SECOND)).await;
    assert_eq!(told.story(), ["b starts", "hello", "b is done"]);
    assert_eq!(stage.sent(), ["a after 0ns", "b after 1.5s"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_committed_has_all_the_time_there_is() {
    let slow = Play::Answer(vec![(NOW, Piece::Start), (NOW, Piece::Text("a")), (2 * SECOND, Piece::End)]);
    let stage = Stage::new([("a", vec![slow]), ("b", vec![answers(NOW, "b")])]);
    assert_eq!(stage.call(within(3 * SECOND)).await.story(), ["a starts", "a", "a is done"]);
}

#[tokio::test(start_paused = true)]
async fn where_all_are_silent_the_last_has_what_is_left() {
    let stage = Stage::new([("a", vec![Play::Silence]), ("b", vec![Play::Silence])]);
    let told = stage.call(within(3 * SECOND)).await;
    assert_eq!(told.after, 3 * SECOND, "it is for whoever set the deadline to end the call");
    assert_eq!(told.ledger(), ["a failed: PROVIDER_TIMEOUT", "b dropped"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_due_at_once_does_not_wait_for_the_clock() {
    // The clock wakes only at whole milliseconds.
    tokio::time::advance(Duration::from_micros(300)).await;
    let stage = Stage::new([("a", vec![answers(NOW, "hello")])]);
    stage.call(within(3 * SECOND)).await;
    assert_eq!(stage.first_sent(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_only_one_has_all_the_time() {
    let stage = Stage::new([("a", vec![answers(Duration::from_millis(2_900), "late")])]);
    assert_eq!(stage.call(within(3 * SECOND)).await.story(), ["a starts", "late", "a is done"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_usually_takes_longer_gets_that() {
    let mut stage = Stage::new([("a", vec![answers(4 * SECOND, "usual")]), ("b", vec![answers(NOW, "b")])]);
    stage.rehearse().await;
    stage.plays("a", vec![Play::Silence]);
    stage.call(within(9 * SECOND)).await;
    assert_eq!(stage.sent(), ["a after 0ns", "b after 6s"], "one and a half times the usual");
}

#[tokio::test(start_paused = true)]
async fn a_third_is_left_for_the_others_however_long_one_usually_takes() {
    let mut stage = Stage::new([("a", vec![answers(4 * SECOND, "usual")]), ("b", vec![answers(NOW, "b")])]);
    stage.rehearse().await;
    stage.plays("a", vec![Play::Silence]);
    stage.call(within(6 * SECOND)).await;
    assert_eq!(stage.sent(), ["a after 0ns", "b after 4s"]);
}

#[tokio::test(start_paused = true)]
async fn with_time_enough_the_timeouts_of_the_endpoint_hold() {
    let stage = Stage::new([("a", vec![Play::Silence]), ("b", vec![answers(NOW, "hello")])]);
    stage.call(ordinary()).await;
    assert_eq!(stage.sent(), ["a after 0ns", "b after 30s"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_suffice_is_not_begun() {
    let mut stage = Stage::new([("a", vec![answers(4 * SECOND, "usual")])]);
    stage.rehearse().await;
    let told = stage.call(within(Duration::from_millis(1_900))).await;
    assert_eq!((told.story(), told.after), (vec!["DEADLINE_EXCEEDED".to_owned()], NOW));
    assert_eq!(told.ledger(), ["a skipped: DEADLINE_EXCEEDED"]);
    assert_eq!(stage.asked(), [""; 0]);
    stage.call(within(Duration::from_millis(2_100))).await;
    assert_eq!(stage.asked(), ["a"], "half of its best may be enough");
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_suffice_leaves_it_to_a_quicker_one() {
    let mut stage = Stage::new([("a", vec![answers(4 * SECOND, "usual")]), ("b", vec![answers(NOW, "quick")])]);
    stage.rehearse().await;
    let told = stage.call(within(SECOND)).await;
    assert_eq!(told.ledger(), ["a skipped: DEADLINE_EXCEEDED", "b finished"]);
}

#[tokio::test(start_paused = true)]
async fn a_hint_behind_the_deadline_is_told_at_once() {
    let stage = Stage::new([("a", vec![Play::Refuse(NOW, 429, Some(4))])]);
    let told = stage.call(within(3 * SECOND)).await;
    assert_eq!((told.story(), told.after), (vec!["PROVIDER_RATE_LIMITED".to_owned()], NOW));
    assert_eq!(told.error.unwrap().details.retry_after, Some(4 * SECOND));
}

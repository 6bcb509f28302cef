//! What the standing of endpoints does to the order: breakers, hints that other calls were given, and full endpoints.

use super::*;

fn two() -> Story {
    Story::of(vec![targets([("a", 0), ("b", 1)])], 4)
}

#[test]
fn one_whose_breaker_is_open_is_passed_over_at_first_and_asked_by_nobody_twice() {
    assert_eq!(two().ejected("a").told(|_| down()), ["b", "b after 500ms", "b after 1.5s", "b after 3.5s"]);
    let mut opens = two();
    let (a, _) = opens.ask().unwrap();
    assert!(opens.fail(a, &down()));
    let until = opens.now + SECOND;
    opens.set("a", Access::Ejected { until });
    assert_eq!(opens.told(|_| silent()), ["b"], "it has opened meanwhile");
    opens.set("a", Access::Probe);
    assert_eq!(opens.told(|_| silent()), ["a after 500ms"], "and waits for its probe");
}

#[test]
fn the_last_resort_is_the_first_and_only_attempt_where_all_are_ejected() {
    assert_eq!(two().ejected("a").ejected("b").told(|_| down()), ["a as a last resort"]);
    let (soon, late) = (two().start + SECOND, two().start + 2 * SECOND);
    let mut equals = Story::of(vec![targets([("a", 0), ("b", 0)])], 4)
        .with("a", Access::Ejected { until: late })
        .with("b", Access::Ejected { until: soon });
    assert_eq!(equals.told(|_| silent()), ["b as a last resort"], "among equals whose pause ends first");
    let mut mixed = two().ejected("a");
    assert_eq!(mixed.told(|_| silent()), ["b"], "nor after somebody was asked");
    assert_eq!(two().with("a", Access::Full).ejected("b").told(|_| silent()), ["b as a last resort"]);
}

#[test]
fn a_last_resort_that_is_not_asked_after_all_is_not_sought_for_ever() {
    let mut story = two().ejected("a").ejected("b");
    let mut steps = 0;
    while story.next().is_some() {
        story.itinerary.missed();
        steps += 1;
    }
    assert_eq!(steps, MOST_MISSES);
}

#[test]
fn races_that_are_lost_end_and_do_not_count_as_attempts() {
    for most in [1, 4] {
        let mut story = Story::of(vec![targets([("a", 0)])], most);
        for _ in 1..MOST_MISSES {
            assert!(story.next().is_some());
            story.itinerary.missed();
        }
        assert_eq!(story.told(|_| down()).len(), usize::try_from(most).unwrap(), "an attempt is news");
    }
}

#[test]
fn who_asked_other_calls_to_wait_is_waited_for_as_if_it_had_asked_this_one() {
    let only = || Story::of(vec![targets([("a", 0)])], 2);
    assert_eq!(only().held("a", 20 * SECOND).told(|_| down()), ["a after 20s", "a after 20.5s"]);
    assert_eq!(only().held("a", 30 * SECOND).told(|_| silent()), ["a after 30s"]);
    assert_eq!(only().held("a", millis(30_001)).told(|_| silent()), [""; 0]);
    assert_eq!(two().held("a", 5 * SECOND).told(|_| silent()), ["a after 5s", "b after 5s"]);
    assert_eq!(two().held("a", millis(5_001)).told(|_| silent()), ["b", "a after 5.001s"]);
}

#[test]
fn one_that_is_held_for_longer_than_its_pause_is_asked_when_both_are_over() {
    let mut story = Story::of(vec![targets([("a", 0)])], 2);
    let (a, _) = story.ask().unwrap();
    assert!(story.fail(a, &limited(SECOND)));
    let until = story.start + 4 * SECOND;
    story.set("a", Access::Held { until });
    assert_eq!(story.told(|_| down()), ["a after 4s"], "another call was told to wait for longer");
}

#[test]
fn one_that_is_full_is_not_waited_for() {
    assert_eq!(two().with("a", Access::Full).told(|_| silent()), ["b"]);
    let mut story = two().with("a", Access::Full).with("b", Access::Full);
    assert_eq!(story.told(|_| silent()), [""; 0]);
    let mut fills = Story::of(vec![targets([("a", 0)])], 4);
    let (a, _) = fills.ask().unwrap();
    assert!(fills.fail(a, &down()));
    fills.set("a", Access::Full);
    assert_eq!(fills.next(), None, "nor for the second time");
}

#[test]
fn one_that_was_full_is_asked_when_it_is_free() {
    let mut story = two().with("a", Access::Full);
    let (b, asked) = story.ask().unwrap();
    assert_eq!(asked, "b");
    story.set("a", Access::Free);
    assert!(story.fail(b, &down()));
    assert_eq!(story.told(|_| silent()), ["a", "b after 500ms"]);
}

#[test]
fn whoever_had_its_turn_and_was_not_asked_is_told_once() {
    fn passed_over(story: &mut Story, next: Option<Step>) -> Vec<String> {
        let passed = story.look(|itinerary, view| itinerary.passed_over(next.as_ref(), view));
        passed.into_iter().map(|(identity, _)| identity.provider.to_string()).collect()
    }
    let leads = vec![targets([("a", 0), ("b", 0), ("c", 1), ("d", 1)])];
    let mut story = Story::of(leads, 4).ejected("a").with("d", Access::Full);
    let step = story.next();
    assert_eq!(step.map(|step| story.name(step.place)).as_deref(), Some("b"));
    assert_eq!(passed_over(&mut story, step), ["a"], "it is not the turn of d yet");
    let (b, _) = story.ask().unwrap();
    assert!(story.fail(b, &silent()));
    let step = story.next();
    assert_eq!(passed_over(&mut story, step), ["d"], "and a was told");
    let (c, _) = story.ask().unwrap();
    assert!(story.fail(c, &silent()));
    assert_eq!((story.next(), passed_over(&mut story, None)), (None, Vec::new()));
}

#[test]
fn one_that_is_asked_next_though_it_is_held_or_ejected_was_not_passed_over() {
    for mut story in [two().held("a", SECOND), two().ejected("a").ejected("b")] {
        let step = story.next().unwrap();
        assert_eq!(story.name(step.place), "a");
        assert_eq!(story.look(|itinerary, view| itinerary.passed_over(Some(&step), view)), []);
    }
}

#[test]
fn somebody_is_asked_beside_a_slow_one_who_was_not_asked_yet_and_may_be() {
    let beside = |mut story: Story| {
        story.ask().unwrap();
        let place = story.look(|itinerary, view| itinerary.beside(view))?;
        Some(story.name(place))
    };
    assert_eq!(beside(usual(2)).as_deref(), Some("b"), "its equal first");
    assert_eq!(beside(usual(2).ejected("b")).as_deref(), Some("c"));
    assert_eq!(beside(usual(1)), None, "the attempts are used up");
    assert_eq!(beside(Story::of(vec![targets([("a", 0)])], 4)), None, "nobody is asked beside itself");
    assert_eq!(beside(two().ejected("b")), None);
    assert_eq!(beside(two().held("b", millis(1))), None, "a hedge does not wait");
    let mut failed = two();
    let (a, _) = failed.ask().unwrap();
    assert!(failed.fail(a, &down()));
    failed.ask().unwrap();
    failed.set("b", Access::Full);
    assert_eq!(failed.look(|itinerary, view| itinerary.beside(view)), None);
}

#[test]
fn others_are_those_who_could_be_asked_at_once_within_the_attempts_that_are_left() {
    let others = |story: &mut Story| {
        let step = story.next().unwrap();
        story.look(|itinerary, view| itinerary.others(step.place, view))
    };
    assert_eq!(others(&mut usual(11)), 3);
    assert_eq!(others(&mut usual(3)), 2);
    assert_eq!(others(&mut usual(1)), 0);
    assert_eq!(others(&mut usual(11).ejected("b").held("c", SECOND).with("d", Access::Full)), 0);
    let mut story = usual(11);
    let (a, _) = story.ask().unwrap();
    assert_eq!(others(&mut story), 2, "nor is one that is being asked");
    assert!(story.fail(a, &down()));
    assert_eq!(others(&mut story), 2, "nor one that has failed");
}

//! Whom a choice takes: exact dice for the rules, seeded ones for shares, and a virtual clock for what becomes of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what it expects")]

mod any;
mod over_time;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn standing() -> Standing {
    Standing { access: Access::Free, in_flight: 0, latency: None, is_short: false, limited_until: None }
}

fn candidate(name: &str, weight: u32) -> Candidate<'_> {
    Candidate { name, weight, standing: standing() }
}

/// A candidate of weight 1 that takes so long, and has so many in flight.
fn loaded(name: &str, millis: u64, in_flight: u32) -> Candidate<'_> {
    let latency = Some(Duration::from_millis(millis));
    Candidate { standing: Standing { latency, in_flight, ..standing() }, ..candidate(name, 1) }
}

/// Whom every roll of the first draw leads to, when all other rolls are 0.
fn by_each_roll(candidates: &[Candidate<'_>]) -> Vec<usize> {
    let total = candidates.iter().map(|candidate| u64::from(candidate.weight)).sum();
    let chosen = (0..total).map(|number| {
        let mut rolled = Some(number);
        choose(candidates, None, |below| rolled.take().filter(|number| *number < below).unwrap_or(0)).unwrap()
    });
    chosen.collect()
}

/// How often each is chosen in ten thousand seeded choices.
fn counts(candidates: &[Candidate<'_>]) -> Vec<u32> {
    let mut dice = StdRng::seed_from_u64(7);
    let mut counts = vec![0; candidates.len()];
    for _ in 0..10_000 {
        counts[choose(candidates, None, |below| dice.random_range(0..below)).unwrap()] += 1;
    }
    counts
}

#[test]
fn among_equals_each_is_first_as_often_as_its_weight_says() {
    let candidates = [candidate("a", 1), candidate("b", 3), candidate("c", 2)];
    assert_eq!(by_each_roll(&candidates), [0, 1, 1, 1, 2, 2]);
}

#[test]
fn a_draw_is_rolled_among_the_weights_of_those_that_are_left() {
    let candidates = [candidate("a", 1), candidate("b", 3), candidate("c", 2)];
    let mut rolled = Vec::new();
    choose(&candidates, None, |below| {
        rolled.push(below);
        below - 1
    });
    assert_eq!(rolled, [6, 4], "of all, then of all but c");
}

#[test]
fn nobody_is_chosen_among_none_and_the_only_one_always() {
    let no_dice = |_: u64| -> u64 { panic!("there is nothing to roll for") };
    assert_eq!(choose(&[], None, no_dice), None);
    assert_eq!(choose(&[], Some("talk"), no_dice), None);
    let mut only = loaded("a", 600_000, 1000);
    only.standing.is_short = true;
    assert_eq!(choose(&[only], None, no_dice), Some(0), "however slow, crowded and short it is");
}

#[test]
fn the_second_wins_when_it_is_better_by_a_quarter() {
    for (first, second, winner) in [
        // Time to the first event.
        (loaded("a", 125, 0), loaded("b", 100, 0), 0),
        (loaded("a", 126, 0), loaded("b", 100, 0), 1),
        // Attempts in flight.
        (loaded("a", 100, 4), loaded("b", 100, 3), 0),
        (loaded("a", 100, 5), loaded("b", 100, 3), 1),
        // One against the other.
        (loaded("a", 100, 3), loaded("b", 400, 0), 0),
        (loaded("a", 100, 9), loaded("b", 400, 0), 1),
        // A millisecond is as good as nothing.
        (loaded("a", 1, 0), loaded("b", 0, 0), 0),
    ] {
        let chosen = choose(&[first, second], None, |_| 0);
        assert_eq!(chosen, Some(winner), "{:?} or {:?}", first.standing, second.standing);
    }
}

#[test]
fn what_is_not_known_of_both_is_not_held_against_one() {
    let unknown = candidate("b", 1);
    assert_eq!(choose(&[loaded("a", 900, 0), unknown], None, |_| 0), Some(0));
    assert_eq!(choose(&[loaded("a", 900, 1), unknown], None, |_| 0), Some(1), "but load is known of all");
}

#[test]
fn weights_hold_under_load_that_is_in_their_proportion() {
    let loaded = |name, weight, in_flight| Candidate { weight, ..loaded(name, 100, in_flight) };
    let idle = [loaded("a", 1, 0), loaded("b", 3, 0)];
    let in_proportion = [loaded("a", 1, 10), loaded("b", 3, 30)];
    assert_eq!(by_each_roll(&idle), [0, 1, 1, 1]);
    assert_eq!(by_each_roll(&in_proportion), [0, 1, 1, 1]);
    assert_eq!(by_each_roll(&[loaded("a", 1, 20), loaded("b", 3, 30)]), [1, 1, 1, 1], "a has more than its share");
    assert_eq!(by_each_roll(&[loaded("a", 1, 10), loaded("b", 3, 60)]), [0, 0, 0, 0], "b has");
}

#[test]
fn of_three_the_worst_is_hardly_ever_asked() {
    let [slow, one, other] = counts(&[loaded("slow", 300, 0), loaded("b", 100, 0), loaded("c", 100, 0)])[..] else {
        panic!("three candidates")
    };
    assert_eq!(slow, 0, "it is never better than whom it is drawn with");
    assert!(one.abs_diff(other) < 300, "{one} and {other}");
}

#[test]
fn an_outlier_is_asked_when_nobody_else_is_left() {
    let (fast, slow) = (loaded("fast", 300, 1000), loaded("slow", 1_301, 0));
    assert_eq!(counts(&[slow, fast]), [0, 10_000], "however crowded the other is");
    assert_eq!(counts(&[slow]), [10_000]);
    let (fast, near) = (loaded("fast", 1_000, 1000), loaded("near", 4_000, 0));
    assert_eq!(counts(&[near, fast])[0], 10_000, "four times as slow is no outlier, and it is idle");
    let (quick, slower) = (loaded("quick", 1, 1000), loaded("slower", 1_001, 0));
    assert!(counts(&[slower, quick])[0] > 0, "nor is one that is a second slower, however many times that is");
}

#[test]
fn one_of_which_little_is_left_is_spared() {
    let short = |name| Candidate { standing: Standing { is_short: true, ..standing() }, ..candidate(name, 100) };
    let crowded = Candidate { standing: Standing { in_flight: 99, ..standing() }, ..candidate("b", 1) };
    assert_eq!(counts(&[short("a"), crowded]), [0, 10_000]);
    let [one, other] = counts(&[short("a"), short("b")])[..] else { panic!("two candidates") };
    assert!(one.abs_diff(other) < 300, "where all are short weights decide: {one} and {other}");
}

#[test]
fn a_probe_goes_first_for_whoever_asks() {
    let probe = Candidate {
        standing: Standing { access: Access::Probe, is_short: true, ..loaded("b", 60_000, 9).standing },
        ..candidate("b", 1)
    };
    let candidates = [loaded("a", 10, 0), probe, loaded("c", 10, 0)];
    for conversation in [None, Some("talk")] {
        assert_eq!(choose(&candidates, conversation, |_| 0), Some(1));
    }
}

/// The names of those that a thousand conversations are sent to.
fn sent_to<'a>(candidates: &[Candidate<'a>]) -> Vec<&'a str> {
    let chosen = (0..1000).map(|number| choose(candidates, Some(&format!("talk {number}")), |_| 0).unwrap());
    chosen.map(|place| candidates[place].name).collect()
}

#[test]
fn a_conversation_stays_where_it_is_whatever_is_rolled_and_however_busy_that_is() {
    let idle = [candidate("a", 1), candidate("b", 1), candidate("c", 1)];
    let mut dice = StdRng::seed_from_u64(7);
    let expected = sent_to(&idle);
    for _ in 0..5 {
        let busy = idle.map(|idle| Candidate {
            standing: Standing {
                in_flight: dice.random_range(0..100),
                latency: Some(SECOND.mul_f64(dice.random::<f64>())),
                ..standing()
            },
            ..idle
        });
        assert_eq!(sent_to(&busy), expected);
    }
    let mut reordered = idle;
    reordered.reverse();
    assert_eq!(sent_to(&reordered), expected, "nor in which order they stand");
}

#[test]
fn conversations_are_spread_by_weight() {
    let sent_to = sent_to(&[candidate("a", 1), candidate("b", 3), candidate("c", 6)]);
    for (name, share) in [("a", 100), ("b", 300), ("c", 600)] {
        let count = sent_to.iter().filter(|to| **to == name).count();
        assert!(count.abs_diff(share) < 50, "{count} of a thousand to {name}");
    }
}

#[test]
fn only_the_conversations_of_one_that_falls_out_move_and_they_come_back() {
    let all = [candidate("a", 1), candidate("b", 2), candidate("c", 3)];
    let before = sent_to(&all);
    let after = sent_to(&all[..2]);
    let mut short = all;
    short[2].standing.is_short = true;
    assert_eq!(sent_to(&short), after, "one that is spared is as good as out");
    for (before, after) in before.iter().zip(&after) {
        assert!(before == after || *before == "c", "moved from {before} to {after}");
    }
    assert!(["a", "b"].iter().all(|name| before.iter().zip(&after).any(|pair| pair == (&"c", name))), "to both");
}

#[test]
fn more_weight_only_draws_conversations_to_it() {
    let before = sent_to(&[candidate("a", 1), candidate("b", 1)]);
    let after = sent_to(&[candidate("a", 1), candidate("b", 2)]);
    for (before, after) in before.iter().zip(after) {
        assert!(*before == after || after == "b", "moved from {before} to {after}");
    }
}

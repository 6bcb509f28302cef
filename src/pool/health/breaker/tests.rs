//! The breaker's stories, and its life under random faults.

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn succeed(breaker: &mut Breaker, now: Instant) {
    let mut pass = breaker.take(now);
    breaker.succeeded(&mut pass, now);
}

fn fail(breaker: &mut Breaker, now: Instant) {
    let pass = breaker.take(now);
    breaker.failed(&pass, Severity::Chance, now);
}

/// A breaker that opened at `now`.
fn opened(now: Instant) -> Breaker {
    let mut breaker = Breaker::new();
    let pass = breaker.take(now);
    breaker.failed(&pass, Severity::Certain, now);
    assert_eq!(breaker.state(now), BreakerState::Open);
    breaker
}

#[test]
fn five_failures_in_a_row_open_it_however_far_apart() {
    let (mut breaker, mut now) = (Breaker::new(), Instant::now());
    for _ in 0..1000 {
        succeed(&mut breaker, now);
    }
    for _ in 0..4 {
        now += 3600 * SECOND;
        fail(&mut breaker, now);
    }
    assert_eq!(breaker.admits(now), Admits::All);
    fail(&mut breaker, now);
    assert_eq!(breaker.admits(now), Admits::None { until: now + SECOND });
}

#[test]
fn half_of_the_results_of_ten_seconds_open_it_from_five_failures_on() {
    let start = Instant::now();
    let opens = |each: u32, apart: Duration| {
        let mut breaker = Breaker::new();
        for step in 0..each {
            succeed(&mut breaker, start + apart * step);
            fail(&mut breaker, start + apart * step);
        }
        breaker.admits(start + apart * each) != Admits::All
    };
    assert!(opens(5, SECOND), "five of ten");
    assert!(!opens(4, SECOND), "four are too few");
    assert!(!opens(50, 3 * SECOND), "never five within ten seconds");
    let mut breaker = Breaker::new();
    for step in 0..100 {
        if step % 5 < 3 { succeed(&mut breaker, start) } else { fail(&mut breaker, start) }
    }
    assert_eq!(breaker.state(start), BreakerState::Closed, "two of five are fewer than half");
}

#[test]
fn a_certain_failure_opens_it_at_once() {
    let now = Instant::now();
    assert_eq!(opened(now).admits(now), Admits::None { until: now + SECOND });
}

#[test]
fn a_certain_failure_among_successes_is_one_failure() {
    let start = Instant::now();
    let mut breaker = Breaker::new();
    let refuse = |breaker: &mut Breaker, now| {
        let pass = breaker.take(now);
        breaker.failed(&pass, Severity::Certain, now);
    };
    succeed(&mut breaker, start);
    for _ in 0..4 {
        refuse(&mut breaker, start + SECOND);
    }
    assert_eq!(breaker.state(start + SECOND), BreakerState::Closed);
    let mut same = Breaker::new();
    succeed(&mut same, start);
    refuse(&mut same, start + 10 * SECOND);
    assert_eq!(same.state(start + 10 * SECOND), BreakerState::Open, "the success is long ago");
    refuse(&mut breaker, start + SECOND);
    assert_eq!(breaker.state(start + SECOND), BreakerState::Open, "five in a row");
}

#[test]
fn after_the_pause_one_probe_goes_through_and_its_success_closes() {
    let start = Instant::now();
    let mut breaker = opened(start);
    assert_eq!(breaker.admits(start + seconds(0.999)), Admits::None { until: start + SECOND });
    let now = start + SECOND;
    assert_eq!(breaker.state(now), BreakerState::HalfOpen);
    assert_eq!(breaker.admits(now), Admits::Probe);
    let mut probe = breaker.take(now);
    assert_eq!(breaker.admits(now), Admits::None { until: now + LONGEST_PAUSE });
    breaker.succeeded(&mut probe, now);
    assert_eq!(breaker.admits(now), Admits::All);
    for _ in 0..4 {
        fail(&mut breaker, now);
    }
    assert_eq!(breaker.admits(now), Admits::All, "the failures from before are forgotten");
}

#[test]
fn the_pause_doubles_with_each_failed_probe_up_to_three_seconds_and_a_success_resets_it() {
    let mut now = Instant::now();
    let mut breaker = opened(now);
    for pause in [1, 2, 3, 3] {
        assert_eq!(breaker.admits(now), Admits::None { until: now + pause * SECOND });
        now += pause * SECOND;
        fail(&mut breaker, now);
    }
    now += 3 * SECOND;
    succeed(&mut breaker, now);
    for _ in 0..5 {
        fail(&mut breaker, now);
    }
    assert_eq!(breaker.admits(now), Admits::None { until: now + SECOND });
}

/// An answer that begins and then breaks.
fn break_late(breaker: &mut Breaker, now: Instant) {
    let mut pass = breaker.take(now);
    breaker.accepted(&mut pass, now);
    breaker.failed(&pass, Severity::Chance, now);
}

#[test]
fn where_answers_break_after_their_beginning_only_one_that_comes_to_its_end_closes() {
    let start = Instant::now();
    let mut breaker = Breaker::new();
    (0..5).for_each(|_| break_late(&mut breaker, start));
    let now = start + SECOND;
    let mut probe = breaker.take(now);
    breaker.accepted(&mut probe, now);
    assert_eq!(breaker.admits(now), Admits::None { until: now + LONGEST_PAUSE }, "it only began");
    breaker.failed(&probe, Severity::Chance, now);
    assert_eq!(breaker.admits(now), Admits::None { until: now + 2 * SECOND });
    let now = now + 2 * SECOND;
    let mut long = breaker.take(now);
    breaker.accepted(&mut long, now);
    let now = now + LONGEST_PAUSE;
    let mut next = breaker.take(now);
    breaker.accepted(&mut next, now);
    breaker.succeeded(&mut long, now);
    assert_eq!(breaker.admits(now), Admits::All, "the end of an answer counts however long it took");
    breaker.failed(&next, Severity::Chance, now);
    assert_eq!(breaker.admits(now), Admits::All, "what began before that is of a time that is over");
}

#[test]
fn five_answers_in_a_row_that_break_open_it_however_many_begin_meanwhile() {
    let now = Instant::now();
    let mut breaker = Breaker::new();
    let begin = |breaker: &mut Breaker| {
        let mut pass = breaker.take(now);
        breaker.accepted(&mut pass, now);
        pass
    };
    let mut begun: Vec<_> = (0..100).map(|_| begin(&mut breaker)).collect();
    for at in 0..4 {
        breaker.failed(&begun[at], Severity::Chance, now);
        begun.push(begin(&mut breaker));
    }
    breaker.succeeded(&mut begun[4], now);
    let later = now + SECOND;
    for (at, when) in [(5, now), (6, later), (7, later), (8, later)] {
        breaker.failed(&begun[at], Severity::Chance, when);
        begun.push(begin(&mut breaker));
    }
    assert_eq!(breaker.state(later), BreakerState::Closed, "one in between has come to its end");
    breaker.failed(&begun[9], Severity::Chance, later);
    assert_eq!(breaker.state(later), BreakerState::Open);
}

#[test]
fn five_failures_of_one_moment_among_many_calls_are_chance_and_ten_are_not() {
    let now = Instant::now();
    let mut breaker = Breaker::new();
    for _ in 0..100 {
        succeed(&mut breaker, now);
    }
    for _ in 0..9 {
        fail(&mut breaker, now + SECOND / 2);
    }
    assert_eq!(breaker.state(now + SECOND), BreakerState::Closed);
    fail(&mut breaker, now + SECOND / 2);
    assert_eq!(breaker.state(now + SECOND), BreakerState::Open);
}

#[test]
fn where_nothing_answers_the_beginning_of_an_answer_closes() {
    let start = Instant::now();
    let mut breaker = opened(start);
    let mut probe = breaker.take(start + SECOND);
    breaker.accepted(&mut probe, start + SECOND);
    assert_eq!(breaker.admits(start + SECOND), Admits::All);
}

#[test]
fn a_probe_that_is_given_up_frees_its_place() {
    let start = Instant::now();
    let mut breaker = opened(start);
    let probe = breaker.take(start + SECOND);
    let now = start + seconds(1.5);
    breaker.unknown(&probe, now);
    assert_eq!(breaker.admits(now), Admits::Probe);
    fail(&mut breaker, now);
    assert_eq!(breaker.admits(now), Admits::None { until: now + 2 * SECOND }, "that was no failed probe");
}

#[test]
fn a_probe_that_hangs_keeps_nobody_out_for_longer_than_the_longest_pause() {
    let start = Instant::now();
    let mut breaker = opened(start);
    let mut silent = breaker.take(start + SECOND);
    let now = start + SECOND + LONGEST_PAUSE;
    assert_eq!(breaker.admits(now - Duration::from_millis(1)), Admits::None { until: now });
    let probe = breaker.take(now);
    assert_eq!(breaker.admits(now), Admits::None { until: now + LONGEST_PAUSE });
    breaker.failed(&silent, Severity::Chance, now);
    breaker.unknown(&silent, now);
    assert_eq!(
        breaker.admits(now),
        Admits::None { until: now + LONGEST_PAUSE },
        "the lost probe frees no other's place"
    );
    breaker.succeeded(&mut silent, now);
    assert_eq!(breaker.admits(now), Admits::All, "an answer is a sign of life, however late");
    breaker.failed(&probe, Severity::Certain, now);
    assert_eq!(breaker.admits(now), Admits::All, "and what was sent before it is stale");
}

#[test]
fn how_long_a_probe_took_to_fail_does_not_put_off_the_next() {
    let start = Instant::now();
    let mut breaker = opened(start);
    let probe = breaker.take(start + SECOND);
    breaker.failed(&probe, Severity::Chance, start + seconds(2.9));
    assert_eq!(breaker.admits(start + seconds(2.9)), Admits::None { until: start + 3 * SECOND });
}

#[test]
fn a_last_resort_may_close_but_its_failure_changes_nothing() {
    let start = Instant::now();
    let mut breaker = opened(start);
    for millis in 0..1000 {
        fail(&mut breaker, start + Duration::from_millis(millis));
    }
    assert_eq!(breaker.admits(start + SECOND), Admits::Probe, "a stream of them does not put off the probe");
    let _probe = breaker.take(start + SECOND);
    let mut last = breaker.take(start + SECOND);
    breaker.unknown(&last, start + SECOND);
    assert_ne!(breaker.admits(start + SECOND), Admits::Probe, "nor frees its place");
    breaker.succeeded(&mut last, start + SECOND);
    assert_eq!(breaker.admits(start + SECOND), Admits::All);
}

#[test]
fn what_was_sent_before_it_opened_neither_closes_nor_opens_it() {
    let start = Instant::now();
    let mut breaker = Breaker::new();
    let mut before: Vec<Pass> = (0..20).map(|_| breaker.take(start)).collect();
    let pass = breaker.take(start);
    breaker.failed(&pass, Severity::Certain, start);
    breaker.succeeded(&mut before[0], start);
    assert_eq!(breaker.state(start), BreakerState::Open, "a late success of the time before");
    let now = start + SECOND;
    let mut probe = breaker.take(now);
    for pass in &before {
        breaker.failed(pass, Severity::Certain, now);
        breaker.unknown(pass, now);
    }
    assert_eq!(breaker.admits(now), Admits::None { until: now + LONGEST_PAUSE });
    breaker.succeeded(&mut probe, now);
    for pass in &before {
        breaker.failed(pass, Severity::Certain, now);
    }
    assert_eq!(breaker.admits(now), Admits::All, "an outage that is over is told of by its last timeouts");
}

#[test]
fn an_answer_that_breaks_off_is_one_result_and_ends_no_streak() {
    let mut now = Instant::now();
    let mut breaker = Breaker::new();
    for attempt in 1..=5 {
        assert_eq!(breaker.admits(now), Admits::All, "before attempt {attempt}");
        let mut pass = breaker.take(now);
        breaker.succeeded(&mut pass, now);
        breaker.succeeded(&mut pass, now);
        breaker.failed(&pass, Severity::Chance, now);
        if let State::Closed { window, .. } = &mut breaker.state {
            assert_eq!(window.counts(now), Counts { results: 1, failures: 1 });
        }
        now += 10 * SECOND;
    }
    assert_ne!(breaker.admits(now), Admits::All, "five answers in a row that broke off");
}

#[test]
fn answers_that_take_long_to_end_do_not_make_chance_faults_look_like_an_outage() {
    let start = Instant::now();
    let mut breaker = Breaker::new();
    let mut running = Vec::new();
    for call in 0..100 {
        let now = start + call * Duration::from_millis(100);
        if call % 5 == 0 {
            fail(&mut breaker, now);
        } else {
            let mut pass = breaker.take(now);
            breaker.succeeded(&mut pass, now);
            running.push(pass);
        }
        assert_eq!(breaker.state(now), BreakerState::Closed);
    }
    assert_eq!(running.len(), 80);
}

/// The share of calls, so many a second for a long time, that meet a closed breaker when `faults` of those that go
/// through fail. The others go elsewhere.
fn admitted(calls: f64, faults: f64) -> f64 {
    let mut dice = StdRng::seed_from_u64(7);
    let (mut breaker, mut now) = (Breaker::new(), Instant::now());
    let (mut admitted, total) = (0.0, 100_000);
    for _ in 0..total {
        now += seconds(-f64::ln(1.0 - dice.random::<f64>()) / calls);
        let admits = breaker.admits(now);
        admitted += f64::from(u8::from(admits == Admits::All));
        if !matches!(admits, Admits::None { .. }) {
            if dice.random::<f64>() < faults { fail(&mut breaker, now) } else { succeed(&mut breaker, now) }
        }
    }
    admitted / f64::from(total)
}

#[test]
fn a_fifth_of_random_faults_opens_it_rarely() {
    for calls in [0.1, 1.0, 10.0, 100.0] {
        let share = admitted(calls, 0.2);
        assert!(share > 0.95, "at {calls} calls a second {share} meet it closed");
    }
}

proptest! {
    #[test]
    fn an_endpoint_that_returns_is_found_within_five_seconds(
        down in 1.0..100.0f64, every in 0.001..0.5f64, silence in 0.0..60.0f64, seed in any::<u64>(),
    ) {
        let start = Instant::now();
        let back = start + seconds(down);
        let mut dice = StdRng::seed_from_u64(seed);
        let mut breaker = opened(start);
        let mut out: Vec<(Instant, Pass)> = Vec::new();
        let mut now = start;
        while breaker.admits(now) != Admits::All {
            now += seconds(every);
            prop_assert!(now < back + 5 * SECOND, "not found");
            for (_, pass) in out.extract_if(.., |(ends, _)| *ends <= now) {
                breaker.failed(&pass, Severity::Chance, now);
            }
            if breaker.admits(now) == Admits::Probe {
                let mut pass = breaker.take(now);
                if now >= back {
                    breaker.succeeded(&mut pass, now);
                } else {
                    out.push((now + seconds(silence * dice.random::<f64>()), pass));
                }
            }
        }
    }
}

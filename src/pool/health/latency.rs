//! How long an endpoint takes to its first event: an estimate for the choice, and quantiles for hedging and planning.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// After so long without anything new, what was known weighs 1/e.
const FADES_IN: Duration = Duration::from_secs(10);
/// What weighs less is not known any more. An estimate that went on fading would make an endpoint that was idle look like
/// the fastest of all, and everybody would go there at once; one of which nothing is known is tried like any other.
const FORGOTTEN_BELOW: f64 = 0.25;
/// Of an endpoint that was never heard of, waiting in vain tells something from here on.
pub(super) const LATE: Duration = Duration::from_secs(1);
/// How many samples are kept.
const KEPT: usize = 64;
/// Samples older than this do not count.
const COUNTS_FOR: Duration = Duration::from_secs(5 * 60);
/// So many samples make a quantile: with 20 the 95th percentile is the second slowest, not the slowest.
const ENOUGH_FOR_A_QUANTILE: usize = 20;
/// So many samples make a minimum.
const ENOUGH_FOR_THE_FASTEST: usize = 8;

/// How often an answer is asked for in less time than any has taken of late.
const DOUBTED_EVERY: Duration = Duration::from_secs(1);

/// What was measured.
#[derive(Debug, Default)]
pub(super) struct Latency {
    /// When it was last doubted that nothing faster comes.
    doubted: Option<Instant>,
    estimate: Option<(Duration, Instant)>,
    recent: VecDeque<(Duration, Instant)>,
}

impl Latency {
    /// A first event came after this long. What is slower than the estimate is believed at once, what is faster little
    /// by little: an endpoint that has become slow is avoided from its first slow answer on. A sample also brings back
    /// some of what had faded only because nothing new was heard.
    pub(super) fn observe(&mut self, first_event: Duration, now: Instant) {
        let weight = self.weight(now);
        let known = self.last().unwrap_or_default().mul_f64(weight);
        self.estimate = Some((first_event.max(known + first_event.mul_f64(1.0 - weight)), now));
        if self.recent.len() >= KEPT {
            self.recent.pop_front();
        }
        self.recent.push_back((first_event, now));
    }

    /// None came within this time, and nobody waits for it any more. That is news when it is slower than what was known
    /// last: a lower bound may make an endpoint look slow, and never fast.
    pub(super) fn at_least(&mut self, waited: Duration, now: Instant) {
        if waited >= self.last().unwrap_or(LATE) {
            self.estimate = Some((waited, now));
        }
    }

    /// The peak-sensitive moving average; none while nothing was measured. It fades with time until it is forgotten, so
    /// that an endpoint that was slow is tried again.
    pub(super) fn estimate(&self, now: Instant) -> Option<Duration> {
        let weight = self.weight(now);
        self.last().filter(|_| weight >= FORGOTTEN_BELOW).map(|last| last.mul_f64(weight))
    }

    /// The average as it was when something was heard last.
    pub(super) fn last(&self) -> Option<Duration> {
        self.estimate.map(|(last, _)| last)
    }

    /// Whether any first event has ever come.
    pub(super) fn is_measured(&self) -> bool {
        !self.recent.is_empty()
    }

    /// Whether a first event has come since then.
    pub(super) fn has_answered_since(&self, then: Instant) -> bool {
        self.recent.back().is_some_and(|(_, at)| *at > then)
    }

    /// The time within which this share (0 to 1) of the recent first events came; none while there are too few.
    pub(super) fn quantile(&self, share: f64, now: Instant) -> Option<Duration> {
        let mut recent: Vec<Duration> = self.recent(now).collect();
        if recent.len() < ENOUGH_FOR_A_QUANTILE {
            return None;
        }
        recent.sort_unstable();
        let rank = share * f64::from(u32::try_from(recent.len()).unwrap_or(u32::MAX));
        let slowest = recent.last().copied();
        (1u32..).zip(recent).find(|(at, _)| f64::from(*at) >= rank).map(|(_, quantile)| quantile).or(slowest)
    }

    /// The fastest of the recent first events; none while there are too few.
    pub(super) fn fastest(&self, now: Instant) -> Option<Duration> {
        self.recent(now).min().filter(|_| self.recent(now).count() >= ENOUGH_FOR_THE_FASTEST)
    }

    /// Whether nobody should ask who has only `left`: that is less than half of the fastest. Now and then one asks all the
    /// same. Otherwise those who take long, by a silence or by what they ask for, would keep out all who are in a hurry, and
    /// nobody would ever see that it has become faster.
    pub(super) fn is_out_of_reach(&mut self, left: Duration, now: Instant) -> bool {
        // Most often the latest sample shows it.
        if self.latest_first(now).any(|sample| left >= sample / 2) {
            return false;
        }
        if self.fastest(now).is_none_or(|fastest| left >= fastest / 2) {
            return false;
        }
        let last = *self.doubted.get_or_insert(now);
        let is_doubtful = now.saturating_duration_since(last) >= DOUBTED_EVERY;
        if is_doubtful {
            self.doubted = Some(now);
        }
        !is_doubtful
    }

    fn recent(&self, now: Instant) -> impl Iterator<Item = Duration> {
        self.latest_first(now).rev()
    }

    /// The samples that count.
    fn latest_first(&self, now: Instant) -> impl DoubleEndedIterator<Item = Duration> {
        let counts = move |at: Instant| now.saturating_duration_since(at) <= COUNTS_FOR;
        self.recent.iter().rev().filter(move |(_, at)| counts(*at)).map(|(sample, _)| *sample)
    }

    /// What the estimate weighs still, from 1 down to 0.
    fn weight(&self, now: Instant) -> f64 {
        let idle = self.estimate.map(|(_, at)| now.saturating_duration_since(at)).unwrap_or_default();
        (-idle.as_secs_f64() / FADES_IN.as_secs_f64()).exp()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn estimate(latency: &Latency, now: Instant) -> u128 {
        latency.estimate(now).map_or(0, |estimate| estimate.as_millis())
    }

    #[test]
    fn nothing_is_known_at_first() {
        let now = Instant::now();
        let latency = Latency::default();
        assert_eq!((latency.estimate(now), latency.quantile(0.5, now), latency.fastest(now)), (None, None, None));
    }

    #[test]
    fn a_slow_answer_is_believed_at_once_and_a_fast_one_little_by_little() {
        let start = Instant::now();
        let mut latency = Latency::default();
        latency.observe(millis(100), start);
        latency.observe(millis(4_000), start);
        assert_eq!(estimate(&latency, start), 4_000);
        latency.observe(millis(100), start + millis(1));
        assert_eq!(estimate(&latency, start + millis(1)), 3_999);
        latency.observe(millis(100), start + millis(10_001));
        assert_eq!(estimate(&latency, start + millis(10_001)), 1_534, "100 ms and a third of what was more");
    }

    #[test]
    fn an_estimate_fades_until_it_is_forgotten_so_that_the_endpoint_is_tried_again() {
        let start = Instant::now();
        let mut latency = Latency::default();
        latency.observe(millis(10_000), start);
        assert_eq!(estimate(&latency, start + millis(10_000)), 3_678);
        assert_eq!(estimate(&latency, start + millis(13_800)), 2_515);
        assert_eq!(latency.estimate(start + millis(13_900)), None, "not known, which is not the same as fast");
        assert_eq!(latency.last(), Some(millis(10_000)));
        latency.observe(millis(5_000), start + millis(10_000));
        assert_eq!(estimate(&latency, start + millis(10_000)), 6_839, "5 s and a third of what was more");
    }

    #[test]
    fn waiting_in_vain_makes_an_endpoint_look_slow_and_never_fast() {
        let start = Instant::now();
        let mut latency = Latency::default();
        latency.at_least(millis(999), start);
        assert_eq!(latency.estimate(start), None, "a short wait says nothing about an endpoint that nobody knows");
        latency.at_least(millis(3_000), start);
        assert_eq!(estimate(&latency, start), 3_000);
        latency.at_least(millis(2_000), start + millis(10_000));
        assert_eq!(estimate(&latency, start + millis(10_000)), 1_103, "nor that it has become faster");
        latency.at_least(millis(30_000), start + millis(60_000));
        assert_eq!(estimate(&latency, start + millis(60_000)), 30_000);
        assert_eq!(latency.recent.len(), 0, "and not how long it takes");
    }

    #[test]
    fn quantiles_need_twenty_samples_and_the_fastest_eight() {
        let now = Instant::now();
        let mut latency = Latency::default();
        for sample in 1..=20 {
            assert_eq!(latency.quantile(0.5, now), None);
            assert_eq!(latency.fastest(now).is_some(), sample > 8);
            latency.observe(millis(sample), now);
        }
        assert_eq!(latency.quantile(0.5, now), Some(millis(10)));
        assert_eq!(latency.quantile(0.95, now), Some(millis(19)));
        assert_eq!(latency.quantile(1.0, now), Some(millis(20)));
        assert_eq!(latency.quantile(0.0, now), Some(millis(1)));
        assert_eq!(latency.quantile(7.0, now), Some(millis(20)));
        assert_eq!(latency.fastest(now), Some(millis(1)));
    }

    #[test]
    fn what_is_out_of_reach_is_tried_once_a_second() {
        let start = Instant::now();
        let mut latency = Latency::default();
        assert!(!latency.is_out_of_reach(Duration::ZERO, start), "nothing is known");
        (0..64).for_each(|_| latency.observe(millis(6_000), start));
        assert!(!latency.is_out_of_reach(millis(3_000), start));
        let tried = |latency: &mut Latency| {
            (0u64..50).filter(|step| !latency.is_out_of_reach(millis(2_000), start + millis(100 * step))).count()
        };
        assert_eq!(tried(&mut latency), 4, "not the first, and then one each second");
        latency.observe(millis(50), start + millis(5_000));
        assert!(!latency.is_out_of_reach(millis(2_000), start + millis(5_000)), "that was fast");
    }

    #[test]
    fn old_samples_do_not_count_and_the_oldest_of_many_are_forgotten() {
        let start = Instant::now();
        let mut latency = Latency::default();
        for sample in 1..=100 {
            latency.observe(millis(sample), start);
        }
        assert_eq!(latency.recent.len(), 64);
        assert_eq!(latency.fastest(start + millis(300_000)), Some(millis(37)));
        assert_eq!(latency.fastest(start + millis(300_001)), None);
        assert_eq!(latency.quantile(0.5, start + millis(300_001)), None);
    }

    proptest! {
        #[test]
        fn an_estimate_lies_between_the_sample_and_the_slowest_of_all(
            samples in prop::collection::vec((0u64..60_000, 0u64..30_000), 1..50),
        ) {
            let mut latency = Latency::default();
            let (mut now, mut slowest) = (Instant::now(), Duration::ZERO);
            for (sample, later) in samples {
                now += millis(later);
                slowest = slowest.max(millis(sample));
                latency.observe(millis(sample), now);
                let estimate = latency.estimate(now).unwrap();
                prop_assert!(estimate >= millis(sample) && estimate <= slowest + Duration::from_nanos(100));
                prop_assert!(latency.estimate(now + millis(later)) <= latency.estimate(now));
            }
        }
    }
}

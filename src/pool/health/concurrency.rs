//! How many attempts an endpoint may have in flight: a fixed limit, or one that finds itself (AIMD), where asked for.

use std::time::Duration;

use tokio::time::Instant;

/// What the configuration says about attempts in flight at one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConcurrencyRule {
    /// The most; none: without a limit.
    pub most: Option<u32>,
    /// Whether the limit falls when the endpoint is overloaded and rises again while it is well.
    pub adaptive: bool,
}

/// Where an adaptive limit begins, unless the most is less.
const BEGINS_AT: u32 = 16;
/// The most of an adaptive limit that has none.
const MOST: u32 = 1024;
/// The shortest time between two cuts.
const BETWEEN_CUTS: Duration = Duration::from_secs(1);

/// The limit in force.
#[derive(Debug)]
pub(super) enum Concurrency {
    /// None, or a fixed one.
    Fixed(Option<u32>),
    /// One that finds itself.
    Adaptive {
        limit: u32,
        most: u32,
        /// Successes since the limit last changed.
        successes: u32,
        cut: Option<Instant>,
    },
}

impl Concurrency {
    pub(super) fn new(rule: ConcurrencyRule) -> Self {
        if !rule.adaptive {
            return Self::Fixed(rule.most);
        }
        let most = rule.most.unwrap_or(MOST).max(1);
        Self::Adaptive { limit: most.min(BEGINS_AT), most, successes: 0, cut: None }
    }

    /// The limit now; none: without.
    pub(super) fn limit(&self) -> Option<u32> {
        match self {
            Self::Fixed(most) => *most,
            Self::Adaptive { limit, .. } => Some(*limit),
        }
    }

    /// An attempt went well while this many, itself included, were in flight. A limit that is not half used says nothing
    /// about whether there could be more.
    pub(super) fn succeeded(&mut self, in_flight: u32) {
        let Self::Adaptive { limit, most, successes, .. } = self else { return };
        if in_flight.saturating_mul(2) < *limit {
            return;
        }
        *successes += 1;
        if *successes >= *limit {
            *successes = 0;
            *limit = limit.saturating_add(1).min(*most);
        }
    }

    /// The endpoint said that it has too much to do, or fell silent, for an attempt that was sent `age` ago. What was
    /// sent before the last cut tells nothing about the limit since, and one burst is one overload.
    pub(super) fn overloaded(&mut self, age: Duration, now: Instant) {
        let Self::Adaptive { limit, successes, cut, .. } = self else { return };
        let is_news = cut.is_none_or(|cut| {
            let since = now.saturating_duration_since(cut);
            age < since && since >= BETWEEN_CUTS
        });
        if is_news {
            *limit = (limit.saturating_mul(7) / 10).max(1);
            *successes = 0;
            *cut = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn adaptive(most: Option<u32>) -> Concurrency {
        Concurrency::new(ConcurrencyRule { most, adaptive: true })
    }

    #[test]
    fn without_adaption_the_limit_is_what_the_configuration_says() {
        for most in [None, Some(0), Some(7)] {
            let mut fixed = Concurrency::new(ConcurrencyRule { most, adaptive: false });
            fixed.overloaded(Duration::ZERO, Instant::now());
            fixed.succeeded(7);
            assert_eq!(fixed.limit(), most);
        }
    }

    #[test]
    fn an_adaptive_limit_begins_at_sixteen_or_at_the_most() {
        assert_eq!(adaptive(None).limit(), Some(16));
        assert_eq!(adaptive(Some(5)).limit(), Some(5));
        assert_eq!(adaptive(Some(100)).limit(), Some(16));
    }

    #[test]
    fn it_rises_by_one_for_as_many_successes_while_half_of_it_is_used() {
        let mut limit = adaptive(None);
        for _ in 0..1000 {
            limit.succeeded(7);
        }
        assert_eq!(limit.limit(), Some(16), "seven of sixteen are not half");
        for _ in 0..15 {
            limit.succeeded(8);
        }
        assert_eq!(limit.limit(), Some(16));
        limit.succeeded(8);
        assert_eq!(limit.limit(), Some(17));
    }

    #[test]
    fn an_overload_cuts_once_for_all_that_was_in_flight() {
        let now = Instant::now();
        let mut limit = adaptive(None);
        for _ in 0..16 {
            limit.overloaded(SECOND, now);
        }
        assert_eq!(limit.limit(), Some(11));
        limit.overloaded(5 * SECOND, now + 4 * SECOND);
        assert_eq!(limit.limit(), Some(11), "sent before the cut");
        limit.overloaded(SECOND, now + 4 * SECOND);
        assert_eq!(limit.limit(), Some(7));
    }

    #[test]
    fn quick_refusals_cut_once_a_second() {
        let start = Instant::now();
        let mut limit = adaptive(None);
        for step in 0..=200 {
            limit.overloaded(Duration::from_millis(1), start + Duration::from_millis(10) * step);
        }
        assert_eq!(limit.limit(), Some(4), "16, 11, 7, 4");
    }

    proptest! {
        #[test]
        fn it_stays_between_one_and_the_most(
            most in prop::option::of(0u32..50), steps in prop::collection::vec((any::<bool>(), 0u32..40, 0u64..9_000), 0..400),
        ) {
            let (mut limit, mut now) = (adaptive(most), Instant::now());
            for (well, in_flight, millis) in steps {
                now += Duration::from_millis(millis / 4);
                if well { limit.succeeded(in_flight) } else { limit.overloaded(Duration::from_millis(millis), now) }
                let limit = limit.limit().unwrap();
                prop_assert!(limit >= 1 && limit <= most.unwrap_or(1024).max(1), "{}", limit);
            }
        }
    }
}

//! The retry budget of the whole pool: what keeps an outage from being amplified.
//!
//! Every attempt beyond a call's first takes a token, whatever it is for. Successes and time put tokens back, so a pool
//! that mostly works heals its faults, and a pool that is down is asked about once for each call.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The tokens of the pool. Clones share them.
#[derive(Clone, Debug)]
pub struct RetryBudget(Arc<Mutex<Bucket>>);

/// Tokens are counted in billionths, so that what time puts back is a whole number for every nanosecond: however often
/// the budget is looked at, nothing is lost in rounding.
#[derive(Debug)]
struct Bucket {
    billionths: u64,
    filled: Instant,
}

/// One token.
const TOKEN: u64 = 1_000_000_000;
/// The most that is kept: 100 tokens.
const CAPACITY: u64 = 100 * TOKEN;
/// What a success puts back: 0.4 tokens. A pool of which a fifth of the attempts fail needs about 0.25 for each success.
const PER_SUCCESS: u64 = TOKEN / 10 * 4;
/// What a nanosecond puts back: three tokens a second, so that a few calls are retried while nothing succeeds.
const PER_NANOSECOND: u64 = 3;

impl RetryBudget {
    /// A full budget.
    pub fn full(now: Instant) -> Self {
        Self(Arc::new(Mutex::new(Bucket { billionths: CAPACITY, filled: now })))
    }

    /// An attempt has succeeded.
    pub fn succeeded(&self, now: Instant) {
        self.with(now, |bucket| bucket.put(PER_SUCCESS));
    }

    /// Takes a token for an attempt beyond the first; false when there is none.
    #[must_use]
    pub fn take(&self, now: Instant) -> bool {
        self.with(now, |bucket| {
            let left = bucket.billionths.checked_sub(TOKEN);
            bucket.billionths = left.unwrap_or(bucket.billionths);
            left.is_some()
        })
    }

    /// Whether no whole token is left.
    pub fn is_spent(&self, now: Instant) -> bool {
        self.with(now, |bucket| bucket.billionths < TOKEN)
    }

    /// The tokens that are left, from 0 to 100.
    pub fn tokens(&self, now: Instant) -> f64 {
        Duration::from_nanos(self.with(now, |bucket| bucket.billionths)).as_secs_f64()
    }

    /// The most tokens that there can be.
    pub fn capacity(&self) -> f64 {
        Duration::from_nanos(CAPACITY).as_secs_f64()
    }

    fn with<T>(&self, now: Instant, change: impl FnOnce(&mut Bucket) -> T) -> T {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.fill(now);
        change(&mut bucket)
    }
}

impl Bucket {
    /// Puts back what time gives. A clock that goes back, as another thread's may by a little, gives nothing twice.
    fn fill(&mut self, now: Instant) {
        let passed = u64::try_from(now.saturating_duration_since(self.filled).as_nanos()).unwrap_or(u64::MAX);
        self.put(passed.saturating_mul(PER_NANOSECOND));
        self.filled = self.filled.max(now);
    }

    fn put(&mut self, billionths: u64) {
        self.billionths = self.billionths.saturating_add(billionths).min(CAPACITY);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn drained(now: Instant) -> RetryBudget {
        let budget = RetryBudget::full(now);
        while budget.take(now) {}
        budget
    }

    #[test]
    fn a_full_budget_has_a_hundred_tokens() {
        let now = Instant::now();
        let budget = RetryBudget::full(now);
        assert_eq!((0..200).filter(|_| budget.take(now)).count(), 100);
        assert!(budget.is_spent(now) && !budget.take(now));
    }

    #[test]
    fn a_success_puts_back_two_fifths_and_a_second_three() {
        let now = Instant::now();
        let budget = drained(now);
        budget.succeeded(now);
        budget.succeeded(now);
        assert!(!budget.take(now), "0.8");
        budget.succeeded(now);
        assert!(budget.take(now), "1.2");
        assert!((budget.tokens(now + Duration::from_secs(2)) - 6.2).abs() < 1e-9);
    }

    #[test]
    fn looking_often_loses_nothing() {
        let now = Instant::now();
        let budget = drained(now);
        for step in 1..=1_000_000 {
            let _ = budget.is_spent(now + Duration::from_nanos(333) * step);
        }
        assert!((budget.tokens(now) - 0.999).abs() < 1e-9);
    }

    #[test]
    fn threads_share_it() {
        let now = Instant::now();
        let budget = RetryBudget::full(now);
        let take = |budget: RetryBudget| move || (0..50).filter(|_| budget.take(now)).count();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(take(budget.clone()))).collect();
        assert_eq!(threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>(), 100);
    }

    proptest! {
        #[test]
        fn in_an_outage_extra_attempts_are_bounded_by_what_was_kept_and_by_time(
            calls in 1u32..500, seconds in 1u32..60, extras in 0u32..=3,
        ) {
            let start = Instant::now();
            let budget = RetryBudget::full(start);
            let mut sent = 0;
            for call in 0..calls * seconds {
                let now = start + Duration::from_secs(1) * call / calls;
                sent += (0..extras).filter(|_| budget.take(now)).count();
            }
            prop_assert!(sent <= usize::try_from(100 + 3 * seconds).unwrap(), "{} extra attempts", sent);
        }

        #[test]
        fn it_is_never_negative_nor_above_its_capacity_whatever_the_clock_does(
            steps in prop::collection::vec((0u8..3, 0u64..100_000), 1..300),
        ) {
            let start = Instant::now();
            let budget = RetryBudget::full(start);
            let mut latest = start;
            for (what, at) in steps {
                let now = start + Duration::from_millis(at);
                let before = budget.tokens(now);
                match what {
                    0 => budget.succeeded(now),
                    1 => prop_assert_eq!(budget.take(now), before >= 1.0),
                    _ => prop_assert_eq!(budget.is_spent(now), before < 1.0),
                }
                latest = latest.max(now);
                let tokens = budget.tokens(latest);
                prop_assert!((0.0..=100.0).contains(&tokens), "{} tokens", tokens);
                prop_assert_eq!(budget.tokens(start), tokens, "time that is over gives nothing");
            }
        }

        #[test]
        fn a_fifth_of_faults_is_healed_without_a_refusal(seed in any::<u64>(), calls in 1u32..1000) {
            let mut dice = StdRng::seed_from_u64(seed);
            let start = Instant::now();
            let budget = RetryBudget::full(start);
            for call in 0..5_000 {
                let now = start + Duration::from_secs(1) * call / calls;
                for attempt in 0..4 {
                    prop_assert!(attempt == 0 || budget.take(now), "refused at call {}", call);
                    if dice.random::<f64>() >= 0.2 {
                        budget.succeeded(now);
                        break;
                    }
                }
            }
        }
    }
}

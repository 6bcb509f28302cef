//! Results of the last ten seconds, counted in buckets: the memory is fixed however many there are.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How far back results count.
const SPAN: Duration = Duration::from_secs(10);
/// How long one bucket takes up results.
const BUCKET: Duration = Duration::from_secs(1);

/// The counts. Buckets begin at least a second apart and end with the span, so there are never more than ten.
#[derive(Debug, Default)]
pub(super) struct Window(VecDeque<Bucket>);

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Attempts that answered or failed.
    pub results: u32,
    /// Failures, those of attempts that had answered before included.
    pub failures: u32,
}

#[derive(Debug)]
struct Bucket {
    since: Instant,
    counts: Counts,
}

impl Window {
    /// Adds to the bucket of `now`.
    pub(super) fn count(&mut self, more: Counts, now: Instant) {
        self.forget(now);
        // A clock that goes back, as another thread's may by a little, counts in the newest bucket.
        let begun = self.0.back().filter(|bucket| now.saturating_duration_since(bucket.since) < BUCKET);
        if begun.is_none() {
            self.0.push_back(Bucket { since: now, counts: Counts::default() });
        }
        if let Some(Bucket { counts, .. }) = self.0.back_mut() {
            counts.results = counts.results.saturating_add(more.results);
            counts.failures = counts.failures.saturating_add(more.failures);
        }
    }

    /// What was counted in the span that ends at `now`.
    pub(super) fn counts(&mut self, now: Instant) -> Counts {
        self.forget(now);
        self.0.iter().fold(Counts::default(), |sum, Bucket { counts, .. }| Counts {
            results: sum.results.saturating_add(counts.results),
            failures: sum.failures.saturating_add(counts.failures),
        })
    }

    fn forget(&mut self, now: Instant) {
        while self.0.front().is_some_and(|bucket| now.saturating_duration_since(bucket.since) >= SPAN) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILURE: Counts = Counts { results: 1, failures: 1 };

    #[test]
    fn what_is_older_than_ten_seconds_does_not_count() {
        let start = Instant::now();
        let mut window = Window::default();
        window.count(FAILURE, start);
        window.count(FAILURE, start + Duration::from_secs(6));
        assert_eq!(window.counts(start + Duration::from_millis(9_999)).failures, 2);
        assert_eq!(window.counts(start + Duration::from_secs(10)).failures, 1);
        assert_eq!(window.counts(start + Duration::from_secs(16)), Counts::default());
    }

    #[test]
    fn the_memory_is_the_same_however_much_is_counted() {
        let start = Instant::now();
        let mut window = Window::default();
        for millis in 0..100_000 {
            window.count(FAILURE, start + Duration::from_millis(millis));
            assert!(window.0.len() <= 10, "{} buckets", window.0.len());
        }
        assert_eq!(
            window.counts(start + Duration::from_secs(100)).failures,
            9_000,
            "the oldest bucket goes as a whole"
        );
    }

    #[test]
    fn a_clock_that_goes_back_loses_nothing() {
        let start = Instant::now();
        let mut window = Window::default();
        window.count(FAILURE, start + Duration::from_secs(5));
        window.count(FAILURE, start);
        assert_eq!(window.counts(start), Counts { results: 2, failures: 2 });
    }
}

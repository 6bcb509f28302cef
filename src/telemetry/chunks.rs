//! The times between the events of an answer: kept as what a histogram needs of them, so that a long answer takes no more
//! memory than a short one.

use std::time::Duration;

use tokio::time::Instant;

/// The bounds of the conventions for durations of model calls, in seconds.
pub(super) const BOUNDS: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

/// How many gaps were how long.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gaps {
    buckets: [(u32, f64); BOUNDS.len() + 1],
}

impl Gaps {
    fn add(&mut self, gap: Duration) {
        let seconds = gap.as_secs_f64();
        let place = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        if let Some((count, sum)) = self.buckets.get_mut(place) {
            *count = count.saturating_add(1);
            *sum += seconds;
        }
    }

    /// Those of another answer.
    pub(super) fn merge(&mut self, other: &Self) {
        for ((count, sum), (more, seconds)) in self.buckets.iter_mut().zip(other.buckets) {
            *count = count.saturating_add(more);
            *sum += seconds;
        }
    }

    /// For each bucket the mean of what is in it, and how often: what a histogram with these bounds makes of it is what it
    /// would have made of the gaps themselves.
    pub(super) fn means(&self) -> impl Iterator<Item = (f64, u32)> {
        self.buckets.into_iter().filter(|(count, _)| *count > 0).map(|(count, sum)| (sum / f64::from(count), count))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.means().next().is_none()
    }
}

/// The events of an answer that is arriving.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    last: Option<Instant>,
    pub(super) gaps: Gaps,
}

impl Chunks {
    /// One came.
    pub(super) fn came(&mut self, now: Instant) {
        if let Some(last) = self.last.replace(now) {
            self.gaps.add(now.saturating_duration_since(last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_of_the_means_is_that_of_the_gaps() {
        let (mut chunks, mut now) = (Chunks::default(), Instant::now());
        chunks.came(now);
        for millis in [1, 9, 15, 500, 500_000] {
            now += Duration::from_millis(millis);
            chunks.came(now);
        }
        let means: Vec<_> = chunks.gaps.means().map(|(mean, count)| (format!("{mean:.3}"), count)).collect();
        let expected = [("0.005", 2), ("0.015", 1), ("0.500", 1), ("500.000", 1)];
        assert_eq!(means, expected.map(|(mean, count)| (mean.to_owned(), count)));
    }
}

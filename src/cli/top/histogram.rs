//! A histogram as Prometheus has it: how many measurements are at most as large as each bound. And what it says of the value
//! below which a share of them lies.

use serde::{Serialize, Serializer};

/// Cumulative counts by upper bound, ascending; the last bound is infinite.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Histogram(Vec<(f64, f64)>);

/// A value that a histogram tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Estimate {
    /// About so large.
    About(f64),
    /// Larger than the largest bound: how much is not known.
    Above(f64),
}

/// The values below which half, 95 and 99 of a hundred measurements lie; none where nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50: Option<Estimate>,
    pub(super) p95: Option<Estimate>,
    pub(super) p99: Option<Estimate>,
}

impl Histogram {
    /// Adds the sample of a bucket; those of several series with the same bounds add up.
    pub(super) fn add(&mut self, bound: f64, count: f64) {
        if bound.is_nan() || !count.is_finite() {
            return;
        }
        match self.0.binary_search_by(|(other, _)| other.total_cmp(&bound)) {
            Ok(at) => self.0.get_mut(at).into_iter().for_each(|(_, sum)| *sum += count),
            Err(at) => self.0.insert(at, (bound, count)),
        }
    }

    /// Adds all of `other`.
    pub(super) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(bound, count)| self.add(*bound, *count));
    }

    /// What was measured since it was as `before`. Where it has become less it was begun anew, and all of it is new.
    pub(super) fn since(&self, before: &Self) -> Self {
        if before.total() > self.total() {
            return self.clone();
        }
        let count_before = |bound: f64| {
            let found = before.0.binary_search_by(|(other, _)| other.total_cmp(&bound)).ok();
            found.and_then(|at| before.0.get(at)).map_or(0.0, |(_, count)| *count)
        };
        Self(self.0.iter().map(|(bound, count)| (*bound, (count - count_before(*bound)).max(0.0))).collect())
    }

    /// How much was measured.
    pub(super) fn total(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    pub(super) fn percentiles(&self) -> Percentiles {
        Percentiles { p50: self.quantile(0.5), p95: self.quantile(0.95), p99: self.quantile(0.99) }
    }

    /// The value below which this share of the measurements lies: as `histogram_quantile` has it, with the measurements of a
    /// bucket spread evenly over it, and the first bucket beginning at 0.
    pub(super) fn quantile(&self, share: f64) -> Option<Estimate> {
        let total = self.total();
        if total <= 0.0 {
            return None;
        }
        let rank = share * total;
        let (mut lower, mut below) = (0.0, 0.0);
        for (bound, count) in &self.0 {
            if *count >= rank {
                return Some(match (bound.is_finite(), count - below) {
                    (false, _) => Estimate::Above(lower),
                    (true, inside) if inside > 0.0 => {
                        Estimate::About(lower + (bound - lower) * ((rank - below) / inside))
                    }
                    (true, _) => Estimate::About(*bound),
                });
            }
            (lower, below) = (*bound, *count);
        }
        None
    }
}

impl Estimate {
    /// The number, which is the least that it can be where it is above all bounds.
    pub(super) fn get(self) -> f64 {
        match self {
            Self::About(value) | Self::Above(value) => value,
        }
    }
}

impl Serialize for Estimate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(buckets: &[(f64, f64)]) -> Histogram {
        let mut histogram = Histogram::default();
        buckets.iter().for_each(|(bound, count)| histogram.add(*bound, *count));
        histogram
    }

    const ALL: f64 = f64::INFINITY;

    #[test]
    fn a_quantile_is_what_prometheus_says_it_is() {
        let even = [(1.0, 10.0), (2.0, 20.0), (4.0, 40.0), (ALL, 40.0)];
        let skewed = [(0.1, 90.0), (1.0, 95.0), (ALL, 100.0)];
        // The numbers are those that Prometheus' `histogram_quantile` answers to the same buckets.
        for (buckets, share, expected) in [
            (&even[..], 0.5, Some(Estimate::About(2.0))),
            (&even, 0.25, Some(Estimate::About(1.0))),
            (&even, 0.125, Some(Estimate::About(0.5))),
            (&even, 0.75, Some(Estimate::About(3.0))),
            (&even, 1.0, Some(Estimate::About(4.0))),
            (&skewed, 0.45, Some(Estimate::About(0.05))),
            (&skewed, 0.95, Some(Estimate::About(1.0))),
            (&skewed, 0.99, Some(Estimate::Above(1.0))),
            (&[(1.0, 0.0), (2.0, 0.0), (ALL, 0.0)], 0.5, None),
            (&[], 0.5, None),
            (&[(1.0, 0.0), (2.0, 4.0), (ALL, 4.0)], 0.5, Some(Estimate::About(1.5))),
        ] {
            assert_eq!(histogram(buckets).quantile(share), expected, "{buckets:?} {share}");
        }
        assert_eq!(histogram(&[(ALL, 3.0)]).quantile(0.5), Some(Estimate::Above(0.0)), "there is no bound");
    }

    #[test]
    fn series_add_up_whatever_their_order() {
        let sum = histogram(&[(2.0, 3.0), (1.0, 1.0), (ALL, 4.0), (1.0, 2.0), (ALL, 5.0), (2.0, 2.0)]);
        assert_eq!(sum, histogram(&[(1.0, 3.0), (2.0, 5.0), (ALL, 9.0)]));
        let mut merged = histogram(&[(1.0, 1.0), (ALL, 1.0)]);
        merged.merge(&histogram(&[(1.0, 2.0), (ALL, 8.0)]));
        assert_eq!(merged, histogram(&[(1.0, 3.0), (ALL, 9.0)]));
        assert_eq!(histogram(&[(f64::NAN, 1.0), (1.0, f64::NAN)]), Histogram::default());
    }

    #[test]
    fn what_was_measured_since_is_the_difference_and_never_negative() {
        let before = histogram(&[(1.0, 2.0), (ALL, 4.0)]);
        let after = histogram(&[(1.0, 5.0), (ALL, 9.0)]);
        assert_eq!(after.since(&before), histogram(&[(1.0, 3.0), (ALL, 5.0)]));
        assert_eq!(after.since(&Histogram::default()), after);
        assert_eq!(before.since(&after), before, "a server that was restarted begins at nothing");
        assert_eq!(after.since(&after).percentiles(), Percentiles::default());
    }
}

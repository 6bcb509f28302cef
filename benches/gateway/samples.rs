//! Numbers that were measured several times: their middle and their spread.

use std::time::Duration;

/// What was measured, in the order of the rounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Takes one more; what is no number is left out.
    pub(crate) fn push(&mut self, sample: f64) {
        if sample.is_finite() {
            self.0.push(sample);
        }
    }

    /// Each divided by the one of the same round.
    pub(crate) fn over(&self, others: &Self) -> Self {
        let ratios = self.0.iter().zip(&others.0).map(|(one, other)| one / other);
        Self(ratios.filter(|ratio| ratio.is_finite()).collect())
    }

    /// In the order of the rounds.
    pub(crate) fn all(&self) -> &[f64] {
        &self.0
    }

    /// The one in the middle.
    pub(crate) fn median(&self) -> Option<f64> {
        self.quantile(0.5)
    }

    /// The least and the greatest.
    pub(crate) fn spread(&self) -> Option<(f64, f64)> {
        Some((self.quantile(0.0)?, self.quantile(1.0)?))
    }

    /// Below which this share of them lies, the nearest rank.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let mut ranked = sorted.iter().enumerate();
        let last = real(sorted.len().checked_sub(1)?);
        ranked.find(|(rank, _)| real(*rank) + 0.5 >= share * last).map(|(_, sample)| *sample)
    }
}

impl FromIterator<Duration> for Samples {
    /// In microseconds.
    fn from_iter<T: IntoIterator<Item = Duration>>(durations: T) -> Self {
        Self(durations.into_iter().map(micros).collect())
    }
}

/// A duration in microseconds.
pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// A count as a number that can be divided.
#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^52")]
pub(crate) fn real(count: usize) -> f64 {
    count as f64
}

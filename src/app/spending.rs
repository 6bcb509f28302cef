//! From the sums of usage to the metrics: the store knows no metrics, and telemetry no store.

use crate::domain::PicoSum;
use crate::store::{Observer, Subject, Sums};
use crate::telemetry::{Metrics, Used};

/// Counts what is summed up.
#[derive(Debug)]
pub(super) struct Spending(pub(super) Metrics);

impl Observer for Spending {
    fn used(&self, subject: &Subject, sums: &Sums) {
        // What is cached is in the input, and what was reasoned in the output: here each token counts once.
        let input = sums.input.saturating_sub(sums.cache_read).saturating_sub(sums.cache_write);
        let output = sums.output.saturating_sub(sums.reasoning);
        self.0.used(&Used {
            caller: &subject.caller,
            model: &subject.model,
            endpoint: &subject.endpoint,
            labels: &subject.labels,
            calls: [
                ("succeeded", count(sums.succeeded)),
                ("failed", count(sums.failed)),
                ("cancelled", count(sums.cancelled)),
            ],
            attempts: count(sums.attempts),
            unpriced_attempts: count(sums.unpriced),
            tokens: [
                ("input", count(input)),
                ("cache_read", count(sums.cache_read)),
                ("cache_write", count(sums.cache_write)),
                ("output", count(output)),
                ("reasoning", count(sums.reasoning)),
            ],
            estimated_tokens: count(sums.estimated),
            cost_usd: dollars(PicoSum::new(sums.cost.get().saturating_sub(sums.estimated_cost.get()))),
            estimated_cost_usd: dollars(sums.estimated_cost),
        });
    }
}

/// Nothing is used less than not at all.
fn count(sum: i64) -> u64 {
    u64::try_from(sum).unwrap_or(0)
}

/// As a metric has it: a float, which graphs and alarms can do with. The exact sum is in the ledger.
pub(super) fn dollars(sum: PicoSum) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a float is what a metric is")]
    let pico = sum.get() as f64;
    pico / 1e12
}

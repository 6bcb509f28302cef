//! What calls were answered by, as counters that are read when somebody looks: a call pays nothing for them here.

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use super::semconv;

/// What was done since the start.
#[derive(Clone, Debug, Default)]
pub struct Reused {
    /// By what calls were answered, and what that has spared.
    pub by: [(&'static str, Spared); 5],
    /// Answers that had to go for others.
    pub evictions: u64,
    /// For each server that processes share: the key that names it, and how many questions it did not answer.
    pub failures: Vec<(&'static str, u64)>,
}

/// Calls, and what was not used again for them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spared {
    /// How many.
    pub calls: u64,
    /// Tokens, those of prompts included.
    pub tokens: u64,
    /// US dollars.
    pub cost_usd: f64,
}

type Now = Arc<dyn Fn() -> Reused + Send + Sync>;

/// Shows it on `meter`.
pub(super) fn show(meter: &Meter, now: Now) {
    let status = |name: &'static str| [KeyValue::new(semconv::CACHE_STATUS, name)];
    counter(meter, (semconv::CACHE_CALLS, "{call}", "Calls, by what answered them."), &now, move |now, see| {
        now.by.iter().for_each(|(name, spared)| see(spared.calls, &status(name)));
    });
    counter(
        meter,
        (semconv::CACHE_SAVED_TOKENS, "{token}", "Tokens that were not used again, because an answer was there."),
        &now,
        move |now, see| spared(now).for_each(|(name, spared)| see(spared.tokens, &status(name))),
    );
    counter(
        meter,
        (semconv::CACHE_EVICTIONS, "{answer}", "Answers in memory that had to go for others, or were left out."),
        &now,
        |now, see| see(now.evictions, &[]),
    );
    counter(
        meter,
        (semconv::SHARED_FAILURES, "{question}", "Questions that a server did not answer which processes share."),
        &now,
        |now, see| {
            let of = |key: &'static str| [KeyValue::new(semconv::SHARED_KEY, key)];
            now.failures.iter().for_each(|(key, failures)| see(*failures, &of(key)));
        },
    );
    meter
        .f64_observable_counter(semconv::CACHE_SAVED_COST)
        .with_unit("USD")
        .with_description("US dollars that were not spent again, because an answer was there.")
        .with_callback(move |observer| {
            spared(&now()).for_each(|(name, spared)| observer.observe(spared.cost_usd, &status(name)));
        })
        .build();
}

/// Those that may have spared something.
fn spared(now: &Reused) -> impl Iterator<Item = (&'static str, Spared)> {
    now.by.iter().copied().filter(|(name, _)| !matches!(*name, "miss" | "bypassed"))
}

fn counter(
    meter: &Meter,
    (name, unit, help): (&'static str, &'static str, &'static str),
    now: &Now,
    look: impl Fn(&Reused, &dyn Fn(u64, &[KeyValue])) + Send + Sync + 'static,
) {
    let now = Arc::clone(now);
    meter
        .u64_observable_counter(name)
        .with_unit(unit)
        .with_description(help)
        .with_callback(move |observer| look(&now(), &|count, attributes| observer.observe(count, attributes)))
        .build();
}

//! From what calls were answered by to the metrics: the pipeline knows no metrics, and telemetry no pipeline.

use crate::pipeline::{self, Ready};
use crate::telemetry::{Metrics, Reused, Spared};

use super::spending::dollars;

/// Shows on `metrics` what is `ready` for calls, and how often it was used.
pub(super) fn watch(metrics: &Metrics, ready: &Ready) {
    let ready = ready.clone();
    metrics.show_reused(move || reused(&ready));
}

fn reused(ready: &Ready) -> Reused {
    let done = ready.reuse.tallied();
    let none = |calls| Spared { calls, ..Spared::default() };
    let stats = ready.reuse.answers().stats();
    let servers = [
        ("cache.redis_url", stats.shared),
        ("completions.redis_url", ready.replays.health()),
        ("limits.redis_url", ready.quotas.health()),
    ];
    Reused {
        by: [
            ("hit", spared(done.hit)),
            ("miss", none(done.missed)),
            ("coalesced", spared(done.coalesced)),
            ("replayed", spared(done.replayed)),
            ("bypassed", none(done.bypassed)),
        ],
        evictions: stats.evictions,
        failures: servers.into_iter().filter_map(|(key, health)| Some((key, health?.failures))).collect(),
    }
}

fn spared(spared: pipeline::Spared) -> Spared {
    Spared { calls: spared.calls, tokens: spared.tokens, cost_usd: dollars(spared.cost) }
}

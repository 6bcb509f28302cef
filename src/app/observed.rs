//! From the pool, the admission and the workers to the metrics: they know no metrics, and telemetry none of them.

use tokio::runtime::RuntimeMetrics;
use tokio::time::Instant;

use super::Reloading;
use super::listeners::Gates;
use crate::config::Config;
use crate::domain::{ModelId, ProviderId};
use crate::edge::Admission;
use crate::pool::{BreakerState, HealthReport};
use crate::route::Table;
use crate::telemetry::{EndpointNow, Metrics, Naming, ServerNow, WorkerNow};

/// What is looked at beside what is reloaded.
pub(super) struct Now {
    pub(super) admission: Admission,
    pub(super) workers: Vec<RuntimeMetrics>,
    pub(super) gates: Gates,
}

/// Begins to count what calls leave, and shows what stands.
pub(super) fn watch(metrics: &Metrics, config: &Config, reloading: &Reloading, Now { admission, workers, gates }: Now) {
    let of_names = reloading.tables().clone();
    metrics.measure(Naming {
        gen_ai: config.telemetry.genai_semconv,
        is_known: std::sync::Arc::new(move |name| is_known(&of_names.current(), name)),
    });
    let shown = reloading.clone();
    metrics.show_reloads(move || shown.now());
    let tables = reloading.tables().clone();
    metrics.show_server(move || ServerNow {
        calls: admission.calls_in_flight(),
        bytes: admission.bytes_in_flight(),
        endpoints: endpoints(&tables.current()),
        workers: workers.iter().map(worker).collect(),
        listeners: gates.now(),
    });
}

/// Whether the configuration has this name: of an alias, of a target's model, or `provider/model`.
fn is_known(table: &Table, name: &str) -> bool {
    let is_endpoint = name
        .split_once('/')
        .is_some_and(|(provider, model)| table.names(&ProviderId::new(provider), &ModelId::new(model)));
    is_endpoint
        || table.aliases().iter().any(|alias| {
            let mut targets = alias.lead.targets.iter();
            alias.name.as_str() == name || targets.any(|target| target.endpoint.identity.model.as_str() == name)
        })
}

/// The endpoints that the configuration names: callers may ask for others, as many as they like.
fn endpoints(table: &Table) -> Vec<EndpointNow> {
    let now = Instant::now();
    let providers = table.providers().iter();
    let all = providers.flat_map(|provider| {
        let of = move |(model, report)| (provider.id.clone(), model, report);
        provider.account.report(now).into_iter().map(of)
    });
    let named = all.filter(|(provider, model, _)| table.names(provider, model));
    named.map(|(provider, model, report)| endpoint(format!("{provider}/{model}"), &report)).collect()
}

fn endpoint(endpoint: String, report: &HealthReport) -> EndpointNow {
    let left = [("requests", report.left.requests), ("tokens", report.left.tokens)];
    EndpointNow {
        endpoint,
        breaker: level(report.breaker).max(level(report.key)),
        in_flight: report.in_flight.into(),
        left: left.into_iter().filter_map(|(kind, quota)| Some((kind, quota?.remaining))).collect(),
    }
}

const fn level(breaker: BreakerState) -> u64 {
    match breaker {
        BreakerState::Closed => 0,
        BreakerState::HalfOpen => 1,
        BreakerState::Open => 2,
    }
}

fn worker(runtime: &RuntimeMetrics) -> WorkerNow {
    WorkerNow {
        busy: runtime.worker_total_busy_duration(0),
        tasks: u64::try_from(runtime.num_alive_tasks()).unwrap_or(u64::MAX),
    }
}

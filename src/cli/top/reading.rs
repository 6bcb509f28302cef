//! From samples to a snapshot: the only file that knows the names of metrics. docs/metrics.md has them.

use super::exposition::{NotUnderstood, Sample, samples};
use super::snapshot::{Breaker, Cache, Endpoint, Method, Model, Snapshot};

/// What all metrics of the server's own begin with.
const OURS: &str = "completiond_";
/// The service whose calls are shown. What operators ask for is not what the server is there for.
const SERVICE: &str = "completiond.v1.CompletionService/";
/// The generative AI conventions' names: those of 0.1, and those before.
const LATEST: &str = "gen_ai_client_inference_";
const LEGACY: &str = "gen_ai_client_operation_";

/// Why a text says nothing of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unread {
    /// It is no metrics at all.
    #[error("what it answers is not Prometheus' text form: {0}")]
    NoMetrics(#[from] NotUnderstood),
    /// They are somebody else's.
    #[error("its metrics are not those of completiond")]
    Foreign,
    /// There are none.
    #[error("it tells no metrics, as where OTEL_SDK_DISABLED is set for it")]
    Silent,
}

/// What `text` says.
///
/// # Errors
/// It is not what a completiond says.
pub(super) fn snapshot(text: &str) -> Result<Snapshot, Unread> {
    let samples = samples(text)?;
    if samples.is_empty() {
        return Err(Unread::Silent);
    }
    if !samples.iter().any(|sample| sample.name.starts_with(OURS)) {
        return Err(Unread::Foreign);
    }
    // A server may use both: then each completion is counted under either name, and one is enough.
    let names = if samples.iter().any(|sample| sample.name.starts_with(LATEST)) { LATEST } else { LEGACY };
    let mut snapshot = Snapshot::default();
    for sample in samples.iter().filter(|sample| sample.value.is_finite()) {
        if let Some(metric) = sample.name.strip_prefix(OURS) {
            ours(&mut snapshot, metric, sample);
        } else if let Some(metric) = sample.name.strip_prefix("rpc_server_call_duration_seconds_") {
            call(&mut snapshot, metric, sample);
        } else if let Some(metric) = sample.name.strip_prefix(names) {
            completion(model(&mut snapshot, sample), metric, sample);
        } else if names == LEGACY && sample.name == "gen_ai_client_token_usage_sum" {
            tokens(model(&mut snapshot, sample), sample.label("gen_ai_token_type"), sample.value);
        }
    }
    Ok(snapshot)
}

fn ours(snapshot: &mut Snapshot, metric: &str, sample: &Sample<'_>) {
    let value = sample.value;
    match metric {
        "calls_in_flight" => snapshot.calls_in_flight = Some(value),
        "calls_request_bytes_in_flight_bytes" => snapshot.request_bytes = Some(value),
        "calls_refused_total" => {
            *snapshot.refused.entry(harmless(sample.label("completiond_reason"))).or_default() += value;
        }
        "gateway_overhead_seconds_bucket" => {
            if let (Some(method), Some(bound)) = (method(snapshot, sample), bound(sample)) {
                method.overhead.add(bound, value);
            }
        }
        _ if metric.starts_with("usage_") => usage(snapshot, metric, sample),
        _ if metric.starts_with("cache_") => cache(&mut snapshot.cache, metric, sample),
        "attempts_total"
        | "retries_total"
        | "failovers_total"
        | "hedges_total"
        | "breaker_state"
        | "endpoint_in_flight"
        | "provider_limit_remaining" => {
            attempted(endpoint(snapshot, sample), metric, sample);
        }
        _ => process(snapshot, metric, sample),
    }
}

fn usage(snapshot: &mut Snapshot, metric: &str, sample: &Sample<'_>) {
    let value = sample.value;
    match metric {
        "usage_cost_usd_total" => {
            snapshot.cost.usd += value;
            if sample.label("completiond_cost_estimated") == "true" {
                snapshot.cost.estimated_usd += value;
            }
            model(snapshot, sample).usd += value;
            endpoint(snapshot, sample).usd += value;
        }
        "usage_unpriced_attempts_total" => snapshot.cost.unpriced += value,
        _ => {}
    }
}

fn cache(cache: &mut Cache, metric: &str, sample: &Sample<'_>) {
    let sum = match (metric, sample.label("completiond_cache_status")) {
        ("cache_calls_total", "hit") => &mut cache.hits,
        ("cache_calls_total", "coalesced") => &mut cache.coalesced,
        ("cache_calls_total", "replayed") => &mut cache.replayed,
        ("cache_calls_total", "miss") => &mut cache.misses,
        ("cache_calls_total", "bypassed") => &mut cache.bypassed,
        ("cache_saved_usd_total", _) => &mut cache.saved_usd,
        ("cache_saved_tokens_total", _) => &mut cache.saved_tokens,
        _ => return,
    };
    *sum += sample.value;
}

fn attempted(endpoint: &mut Endpoint, metric: &str, sample: &Sample<'_>) {
    let value = sample.value;
    match metric {
        "retries_total" => endpoint.retries += value,
        "failovers_total" => endpoint.failovers += value,
        "hedges_total" => endpoint.hedges += value,
        "endpoint_in_flight" => endpoint.in_flight = Some(value),
        "breaker_state" => {
            endpoint.breaker = Some(match value {
                closed if closed < 0.5 => Breaker::Closed,
                half if half < 1.5 => Breaker::HalfOpen,
                _ => Breaker::Open,
            });
        }
        "provider_limit_remaining" => match sample.label("completiond_limit_kind") {
            "requests" => endpoint.requests_left = Some(value),
            "tokens" => endpoint.tokens_left = Some(value),
            _ => {}
        },
        _ => match sample.label("completiond_attempt_outcome") {
            "finished" => endpoint.finished += value,
            "failed" => endpoint.failed += value,
            _ => endpoint.dropped += value,
        },
    }
}

fn process(snapshot: &mut Snapshot, metric: &str, sample: &Sample<'_>) {
    let (process, value) = (&mut snapshot.process, sample.value);
    match metric {
        "runtime_busy_time_seconds_total" => {
            *process.busy.entry(harmless(sample.label("completiond_worker"))).or_default() += value;
        }
        "runtime_tasks" => *process.tasks.get_or_insert_default() += value,
        "memory_bytes" if sample.label("completiond_memory_kind") == "resident" => process.resident_bytes = Some(value),
        "start_time_seconds" => process.started = Some(value),
        "build_info" => process.version = Some(harmless(sample.label("service_version"))),
        "telemetry_lost_total" => process.lost += value,
        _ => {}
    }
}

fn call(snapshot: &mut Snapshot, metric: &str, sample: &Sample<'_>) {
    let Some(method) = method(snapshot, sample) else { return };
    match (metric, bound(sample)) {
        ("bucket", Some(bound)) => method.duration.add(bound, sample.value),
        ("count", _) => {
            *method.statuses.entry(harmless(sample.label("rpc_status_code"))).or_default() += sample.value;
            if !sample.label("error_type").is_empty() {
                method.faults += sample.value;
            }
        }
        _ => {}
    }
}

fn completion(model: &mut Model, metric: &str, sample: &Sample<'_>) {
    let value = sample.value;
    match (metric, bound(sample)) {
        ("duration_seconds_bucket", Some(bound)) => model.duration.add(bound, value),
        ("time_to_first_chunk_seconds_bucket", Some(bound)) => model.first_chunk.add(bound, value),
        ("duration_seconds_count", _) => {
            model.ended += value;
            match sample.label("error_type") {
                "" => {}
                "CANCELLED" => model.cancelled += value,
                _ => model.failed += value,
            }
        }
        ("usage_input_tokens_total", _) => tokens(model, "input", value),
        ("usage_output_tokens_total", _) => tokens(model, "output", value),
        _ => {}
    }
}

fn tokens(model: &mut Model, kind: &str, tokens: f64) {
    match kind {
        "input" => model.input_tokens += tokens,
        "output" => model.output_tokens += tokens,
        _ => {}
    }
}

fn method<'a>(snapshot: &'a mut Snapshot, sample: &Sample<'_>) -> Option<&'a mut Method> {
    let name = sample.label("rpc_method").strip_prefix(SERVICE)?;
    Some(snapshot.methods.entry(harmless(name)).or_default())
}

fn model<'a>(snapshot: &'a mut Snapshot, sample: &Sample<'_>) -> &'a mut Model {
    snapshot.models.entry(harmless(sample.label("gen_ai_request_model"))).or_default()
}

fn endpoint<'a>(snapshot: &'a mut Snapshot, sample: &Sample<'_>) -> &'a mut Endpoint {
    snapshot.endpoints.entry(harmless(sample.label("completiond_endpoint"))).or_default()
}

fn bound(sample: &Sample<'_>) -> Option<f64> {
    sample.label("le").parse().ok()
}

/// A name without the escape sequences that a terminal would obey.
fn harmless(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}

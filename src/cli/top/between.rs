//! From two snapshots to what is shown: differences, and differences by time. Pure, and without a clock.

use std::collections::BTreeMap;
use std::time::Duration;

use super::histogram::Histogram;
use super::snapshot::{Endpoint, Method, Model, Snapshot};
use super::view::{
    CacheUse, Calls, Continuity, Costs, Count, EndpointRow, MethodRow, ModelRow, ProcessUse, Tokens, View,
};

/// What the older snapshot is to the newer one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<'a> {
    pub(super) before: &'a Snapshot,
    pub(super) length: Duration,
    pub(super) continuity: Continuity,
}

/// The view of `now`, and of what happened in `window`; without one only of what is.
pub(super) fn view(now: &Snapshot, window: Option<Window<'_>>) -> View {
    let nothing = Snapshot::default();
    let before = window.map_or(&nothing, |window| window.before);
    let span = Span(window.map(|window| window.length.as_secs_f64()).filter(|seconds| *seconds > 0.0));
    let calls = calls(before, now, span);
    let first_chunk = sum(now.models.iter().map(|(name, model)| {
        let before = before.models.get(name).map(|model| &model.first_chunk);
        since(&model.first_chunk, before)
    }));
    let overhead = sum(now.methods.iter().map(|(name, method)| {
        let before = before.methods.get(name).map(|method| &method.overhead);
        since(&method.overhead, before)
    }));
    View {
        window_seconds: span.0,
        continuity: window.map_or(Continuity::Same, |window| window.continuity),
        version: now.process.version.clone(),
        start_time_seconds: now.process.started,
        calls,
        time_to_first_chunk_seconds: span.percentiles(&first_chunk),
        tokens: Tokens {
            input: span.sum(before, now, |at| at.models.values().map(|model| model.input_tokens).sum()),
            output: span.sum(before, now, |at| at.models.values().map(|model| model.output_tokens).sum()),
        },
        cost: costs(before, now, span),
        cache: cache(before, now, span),
        gateway_overhead_seconds: span.percentiles(&overhead),
        process: process(before, now, span),
        models: rows(&before.models, &now.models, |name, before, now| model(name, before, now, span)),
        endpoints: rows(&before.endpoints, &now.endpoints, |name, before, now| endpoint(name, before, now, span))
            .into_iter()
            .filter(|row| !row.endpoint.is_empty())
            .collect(),
        methods: rows(&before.methods, &now.methods, |name, before, now| method(name, before, now, span)),
    }
}

/// How many seconds the window has; none: there is no window.
#[derive(Clone, Copy, Debug)]
struct Span(Option<f64>);

impl Span {
    fn count(self, before: f64, now: f64) -> Count {
        // The sum of no numbers is -0.
        let (before, now) = (before + 0.0, now + 0.0);
        let recent = self.0.map(|_| increase(before, now));
        let per_second = self.0.and_then(|seconds| Some(recent? / seconds));
        Count { total: now, recent, per_second }
    }

    /// Whoever asks for a sum over snapshots.
    fn sum(self, before: &Snapshot, now: &Snapshot, of: impl Fn(&Snapshot) -> f64) -> Count {
        self.count(of(before), of(now))
    }

    fn percentiles(self, recent: &Histogram) -> super::histogram::Percentiles {
        self.0.map(|_| recent.percentiles()).unwrap_or_default()
    }
}

/// How much a counter has grown. One that is less than it was has begun anew, from nothing.
fn increase(before: f64, now: f64) -> f64 {
    if now < before { now } else { now - before }
}

fn since(now: &Histogram, before: Option<&Histogram>) -> Histogram {
    before.map_or_else(|| now.clone(), |before| now.since(before))
}

fn sum(histograms: impl Iterator<Item = Histogram>) -> Histogram {
    histograms.fold(Histogram::default(), |mut sum, one| {
        sum.merge(&one);
        sum
    })
}

/// A part of what happened in the window; none where nothing did.
fn share(part: Count, whole: Count) -> Option<f64> {
    let whole = whole.recent.filter(|whole| *whole > 0.0)?;
    Some((part.recent? / whole).clamp(0.0, 1.0))
}

fn rows<T: Default, R>(
    before: &BTreeMap<String, T>,
    now: &BTreeMap<String, T>,
    row: impl Fn(&str, &T, &T) -> R,
) -> Vec<R> {
    let nothing = T::default();
    now.iter().map(|(name, now)| row(name, before.get(name).unwrap_or(&nothing), now)).collect()
}

fn calls(before: &Snapshot, now: &Snapshot, span: Span) -> Calls {
    let rows = rows(&before.methods, &now.methods, |name, before, now| method(name, before, now, span));
    let mut statuses = BTreeMap::new();
    for (name, method) in span.0.map(|_| &now.methods).into_iter().flatten() {
        for (status, count) in &method.statuses {
            let before = before.methods.get(name).and_then(|method| method.statuses.get(status));
            let recent = increase(before.copied().unwrap_or(0.0), *count);
            if recent > 0.0 {
                *statuses.entry(status.clone()).or_default() += recent;
            }
        }
    }
    let duration = sum(now
        .methods
        .iter()
        .map(|(name, method)| since(&method.duration, before.methods.get(name).map(|method| &method.duration))));
    let (ended, failed) = (total(&rows, |row| row.calls), total(&rows, |row| row.failed));
    Calls {
        ended,
        failed,
        faults: span.sum(before, now, |at| at.methods.values().map(|method| method.faults).sum()),
        cancelled: total(&rows, |row| row.cancelled),
        refused: span.sum(before, now, |at| at.refused.values().sum()),
        failed_share: share(failed, ended),
        statuses,
        duration_seconds: span.percentiles(&duration),
        in_flight: now.calls_in_flight,
        request_bytes_in_flight: now.request_bytes,
    }
}

fn total(rows: &[MethodRow], of: impl Fn(&MethodRow) -> Count) -> Count {
    let add = |one: Option<f64>, other: Option<f64>| one.zip(other).map_or(one.or(other), |(a, b)| Some(a + b));
    rows.iter().map(of).fold(Count::default(), |sum, one| Count {
        total: sum.total + one.total,
        recent: add(sum.recent, one.recent),
        per_second: add(sum.per_second, one.per_second),
    })
}

fn method(name: &str, before: &Method, now: &Method, span: Span) -> MethodRow {
    let of = |status: fn(&str) -> bool| {
        let at = |method: &Method| method.statuses.iter().filter(|(it, _)| status(it)).map(|(_, count)| count).sum();
        span.count(at(before), at(now))
    };
    let (calls, failed) = (of(|_| true), of(|status| !matches!(status, "OK" | "CANCELLED")));
    MethodRow {
        method: name.to_owned(),
        calls,
        failed,
        cancelled: of(|status| status == "CANCELLED"),
        failed_share: share(failed, calls),
        duration_seconds: span.percentiles(&now.duration.since(&before.duration)),
        gateway_overhead_seconds: span.percentiles(&now.overhead.since(&before.overhead)),
    }
}

fn model(name: &str, before: &Model, now: &Model, span: Span) -> ModelRow {
    let of = |at: fn(&Model) -> f64| span.count(at(before), at(now));
    let (completions, failed) = (of(|it| it.ended), of(|it| it.failed));
    ModelRow {
        model: name.to_owned(),
        completions,
        failed,
        cancelled: of(|it| it.cancelled),
        failed_share: share(failed, completions),
        duration_seconds: span.percentiles(&now.duration.since(&before.duration)),
        time_to_first_chunk_seconds: span.percentiles(&now.first_chunk.since(&before.first_chunk)),
        input_tokens: of(|it| it.input_tokens),
        output_tokens: of(|it| it.output_tokens),
        cost_usd: of(|it| it.usd),
    }
}

fn endpoint(name: &str, before: &Endpoint, now: &Endpoint, span: Span) -> EndpointRow {
    let of = |at: fn(&Endpoint) -> f64| span.count(at(before), at(now));
    let (attempts, failed) = (of(|it| it.finished + it.failed + it.dropped), of(|it| it.failed));
    EndpointRow {
        endpoint: name.to_owned(),
        attempts,
        failed,
        dropped: of(|it| it.dropped),
        failed_share: share(failed, attempts),
        retries: of(|it| it.retries),
        failovers: of(|it| it.failovers),
        hedges: of(|it| it.hedges),
        in_flight: now.in_flight,
        breaker: now.breaker,
        requests_left: now.requests_left,
        tokens_left: now.tokens_left,
        cost_usd: of(|it| it.usd),
    }
}

fn costs(before: &Snapshot, now: &Snapshot, span: Span) -> Costs {
    let usd = span.sum(before, now, |at| at.cost.usd);
    Costs {
        usd,
        usd_per_minute: usd.per_second.map(|usd| usd * 60.0),
        usd_per_hour: usd.per_second.map(|usd| usd * 3600.0),
        estimated_usd_total: now.cost.estimated_usd,
        unpriced_attempts: span.sum(before, now, |at| at.cost.unpriced),
    }
}

fn cache(before: &Snapshot, now: &Snapshot, span: Span) -> CacheUse {
    let of = |at: fn(&Snapshot) -> f64| span.sum(before, now, at);
    let spared = of(|at| at.cache.hits + at.cache.coalesced + at.cache.replayed);
    let asked = of(|at| at.cache.hits + at.cache.coalesced + at.cache.replayed + at.cache.misses);
    let saved_usd = of(|at| at.cache.saved_usd);
    CacheUse {
        hit_share: share(spared, asked),
        hits: of(|at| at.cache.hits),
        coalesced: of(|at| at.cache.coalesced),
        replayed: of(|at| at.cache.replayed),
        misses: of(|at| at.cache.misses),
        bypassed: of(|at| at.cache.bypassed),
        saved_usd,
        saved_usd_per_hour: saved_usd.per_second.map(|usd| usd * 3600.0),
        saved_tokens: of(|at| at.cache.saved_tokens),
    }
}

fn process(before: &Snapshot, now: &Snapshot, span: Span) -> ProcessUse {
    let busy = |(worker, seconds): (&String, &f64)| {
        let before = before.process.busy.get(worker).copied().unwrap_or(0.0);
        // How long the two scrapes took to come is not known, so it may come out a little above the whole.
        span.0.map(|length| (increase(before, *seconds) / length).clamp(0.0, 1.0))
    };
    let shares: Vec<f64> = now.process.busy.iter().filter_map(busy).collect();
    let workers = now.process.busy.len();
    let count = u32::try_from(shares.len()).map_or(f64::INFINITY, f64::from);
    ProcessUse {
        resident_memory_bytes: now.process.resident_bytes,
        workers,
        busy_share: (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / count),
        busiest_worker_share: shares.iter().copied().reduce(f64::max),
        tasks: now.process.tasks,
        lost_records: span.sum(before, now, |at| at.process.lost),
    }
}

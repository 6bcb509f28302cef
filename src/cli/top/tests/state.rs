//! A server that is busy and has some trouble, made up, the same in each run.

use std::time::Duration;

use tokio::time::Instant;

use super::super::between::{self, Window};
use super::super::histogram::Histogram;
use super::super::history::{History, Point};
use super::super::snapshot::{Breaker, Cache, Cost, Endpoint, Method, Model, Process, Snapshot};
use super::super::view::{Continuity, View};

const BOUNDS: [f64; 18] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0];
const SMALL: [f64; 14] = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0];

/// `count` measurements around `median`, with a tail.
pub(super) fn histogram(bounds: &[f64], count: f64, median: f64) -> Histogram {
    let mut histogram = Histogram::default();
    for bound in bounds {
        histogram.add(*bound, (count / (1.0 + (median / bound).powi(3))).round());
    }
    histogram.add(f64::INFINITY, count);
    histogram
}

fn model(ended: f64, failed: f64, median: f64, usd: f64) -> Model {
    Model {
        ended,
        failed,
        cancelled: (ended / 200.0).round(),
        duration: histogram(&BOUNDS, ended, median),
        first_chunk: histogram(&BOUNDS, (ended * 0.6).round(), median / 5.0),
        input_tokens: ended * 830.0,
        output_tokens: ended * 214.0,
        usd,
    }
}

fn endpoint(finished: f64, failed: f64, breaker: Breaker) -> Endpoint {
    Endpoint {
        finished,
        failed,
        dropped: (finished / 200.0).round(),
        retries: (failed / 2.0).round(),
        usd: finished * 0.0021,
        in_flight: Some((finished / 20.0).round()),
        breaker: Some(breaker),
        ..Endpoint::default()
    }
}

fn method(statuses: &[(&str, f64)], faults: f64, median: f64) -> Method {
    let ended = statuses.iter().map(|(_, count)| count).sum();
    Method {
        statuses: statuses.iter().map(|(status, count)| ((*status).to_owned(), *count)).collect(),
        faults,
        duration: histogram(&BOUNDS, ended, median),
        overhead: histogram(&SMALL, ended, 0.0007),
    }
}

/// What has happened in ten seconds.
fn now() -> Snapshot {
    let named = |name: &str| name.to_owned();
    Snapshot {
        process: Process {
            version: Some(named("0.1.0")),
            started: Some(1_790_000_000.0),
            resident_bytes: Some(134_742_016.0),
            busy: [("0", 4.1), ("1", 3.4), ("2", 3.6), ("3", 3.0)].map(|(worker, busy)| (named(worker), busy)).into(),
            tasks: Some(171.0),
            lost: 0.0,
        },
        calls_in_flight: Some(38.0),
        request_bytes: Some(1_310_720.0),
        refused: [(named("OVERLOADED"), 0.0)].into(),
        methods: [
            ("Complete", method(&[("OK", 158.0), ("UNAVAILABLE", 3.0), ("INVALID_ARGUMENT", 2.0)], 3.0, 1.1)),
            ("StreamComplete", method(&[("OK", 254.0), ("CANCELLED", 3.0), ("UNAVAILABLE", 3.0)], 3.0, 3.1)),
            ("ListModels", method(&[("OK", 2.0)], 0.0, 0.004)),
            ("CountTokens", method(&[("OK", 11.0)], 0.0, 0.006)),
        ]
        .map(|(name, method)| (named(name), method))
        .into(),
        models: [
            ("smart", model(196.0, 4.0, 3.2, 0.412)),
            ("fast", model(141.0, 0.0, 0.8, 0.038)),
            ("extract", model(37.0, 2.0, 1.9, 0.071)),
            ("", model(6.0, 0.0, 1.2, 0.004)),
        ]
        .map(|(name, model)| (named(name), model))
        .into(),
        endpoints: [
            (
                "main/large-5",
                Endpoint {
                    requests_left: Some(3_120.0),
                    tokens_left: Some(310_000.0),
                    ..endpoint(203.0, 6.0, Breaker::Closed)
                },
            ),
            ("main/small-mini", endpoint(141.0, 0.0, Breaker::Closed)),
            (
                "second/large-5",
                Endpoint { failovers: 31.0, tokens_left: Some(41_200.0), ..endpoint(33.0, 1.0, Breaker::HalfOpen) },
            ),
            ("third/medium-4", endpoint(37.0, 2.0, Breaker::Closed)),
            ("backup/large-5", Endpoint { in_flight: Some(0.0), ..endpoint(0.0, 9.0, Breaker::Open) }),
        ]
        .map(|(name, endpoint)| (named(name), endpoint))
        .into(),
        cost: Cost { usd: 0.525, estimated_usd: 0.0, unpriced: 0.0 },
        cache: Cache {
            hits: 51.0,
            coalesced: 4.0,
            misses: 103.0,
            bypassed: 258.0,
            saved_usd: 0.061,
            ..Cache::default()
        },
    }
}

/// It, with what was before these ten seconds put under it.
pub(super) fn view() -> View {
    let before =
        Snapshot { process: Process { started: Some(1_790_000_000.0), ..Process::default() }, ..Snapshot::default() };
    let length = Duration::from_secs(10);
    let mut view = between::view(&now(), Some(Window { before: &before, length, continuity: Continuity::Same }));
    view.calls.ended.total = 11_482_113.0;
    view.tokens.input.total = 8_204_113_902.0;
    view.tokens.output.total = 2_114_008_311.0;
    view.cost.usd.total = 13_812.44;
    view.cache.saved_usd.total = 1_630.12;
    for (row, total) in view.models.iter_mut().zip([104.0, 611.0, 1_204.0, 11_893.0]) {
        row.cost_usd.total = total;
    }
    view
}

/// Three minutes with a slow wave, and a short failure in them.
pub(super) fn history() -> History {
    let mut history = History::default();
    let start = Instant::now();
    for at in 0..90_u32 {
        let wave = f64::from(at * 5 % 90).mul_add(0.9, 10.0).min(f64::from(90 - (at * 5 % 90)).mul_add(0.9, 10.0));
        let noise = f64::from(at * 7919 % 13) / 13.0;
        let trouble = if (52..60).contains(&at) { 0.08 + noise / 20.0 } else { 0.01 * noise };
        let point = Point {
            calls: Some(24.0 + wave * 0.4 + noise * 4.0),
            failed_share: Some(trouble),
            duration: Some(2.4 + noise + trouble * 30.0),
            first_chunk: Some(0.5 + noise / 4.0 + trouble * 8.0),
            output_tokens: Some(5_000.0 + wave * 90.0 + noise * 600.0),
            usd: Some(0.03 + wave / 1500.0 + noise / 100.0),
            hit_share: Some(0.28 + noise / 8.0),
            busy: Some(0.25 + wave / 300.0 + noise / 20.0),
        };
        history.push(start + Duration::from_secs(u64::from(2 * at)), point);
    }
    history
}

//! Counters, as text for a Prometheus that scrapes them.
//!
//! A scrape costs no call anything: what it shows is fed once a second, and the text is made once a second at most, however
//! many ask.

use std::fmt;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter, MeterProvider as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::{Instrument, MeterProviderBuilder, SdkMeterProvider, Stream};
use prometheus::{Registry, TextEncoder};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::feed::{Feed, Record};
use super::measured::{Measured, Naming};
use super::names::shown;
use super::observed::{self, ServerNow};
use super::pushed::Reader;
use super::reloads::{self, ReloadsNow};
use super::reused::{self, Reused};
use super::semconv::metrics as names;
use super::{otel, semconv};

/// How old a text may be.
const FRESH: Duration = Duration::from_secs(1);
/// How often the records of calls are counted.
const PULSE: Duration = Duration::from_millis(250);
/// The series of one instrument. Who feeds it bounds what it tells apart, and no series is lost below that bound.
const MOST_SERIES: usize = 14_000;
/// The series of one that multiplies what others tell apart: tokens by their type, attempts by their outcome.
const MANY_SERIES: usize = 28_000;
const MANY: [&str; 2] = [semconv::USAGE_TOKENS, names::ATTEMPTS];
/// The series of one that tells apart what this server alone has words for. The library takes the room for all of them at once,
/// touches a byte of each place, and spreads over it what is written: a page for each series.
const FEW_SERIES: usize = 1000;
/// Those of which there are few.
const FEW: [&str; 23] = [
    names::RPC_SERVER_CALL_DURATION,
    names::GATEWAY_OVERHEAD,
    names::CALLS_IN_FLIGHT,
    names::BYTES_IN_FLIGHT,
    names::CALLS_REFUSED,
    names::CONNECTIONS,
    names::CONNECTIONS_REFUSED,
    names::RELOADS_FAILED,
    names::CERTIFICATE_LEFT,
    names::CALLERS,
    names::ISSUER_KEYS,
    names::ISSUER_KEYS_AGE,
    names::RUNTIME_BUSY,
    names::RUNTIME_TASKS,
    names::MEMORY,
    names::START_TIME,
    names::BUILD_INFO,
    names::RECORDS_LOST,
    semconv::CACHE_CALLS,
    semconv::CACHE_SAVED_COST,
    semconv::CACHE_SAVED_TOKENS,
    semconv::CACHE_EVICTIONS,
    semconv::SHARED_FAILURES,
];

/// What is shown where nothing is counted: a comment of the text form.
const OFF: &[u8] = b"# OTEL_SDK_DISABLED is true: nothing is counted\n";

/// What was used, and for what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used<'a> {
    /// The caller; empty: nobody whose name is known.
    pub caller: &'a str,
    /// The name that was asked for; empty: the default.
    pub model: &'a str,
    /// `provider/model`; empty: nobody was asked.
    pub endpoint: &'a str,
    /// What the call was for.
    pub labels: &'a [(String, String)],
    /// Calls, by how they ended.
    pub calls: [(&'static str, u64); 3],
    /// Requests that were sent upstream.
    pub attempts: u64,
    /// Of them: those that used something whose price is not known.
    pub unpriced_attempts: u64,
    /// Tokens by their type; none is in two of them.
    pub tokens: [(&'static str, u64); 5],
    /// Of all tokens: estimated.
    pub estimated_tokens: u64,
    /// US dollars for quantities that the provider told.
    pub cost_usd: f64,
    /// US dollars for quantities that are estimated.
    pub estimated_cost_usd: f64,
}

/// What is counted. Clones are the same.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    usage: Option<UsageCounters>,
    meter: Meter,
    feed: Feed,
    counting: Lock<Counting>,
    text: Mutex<Option<(Instant, Bytes)>>,
    /// Dropped, it counts no more.
    provider: SdkMeterProvider,
    /// Nothing is counted, and nothing is shown.
    is_off: bool,
}

/// Whether anybody sees what is counted.
enum Shown {
    Never,
    /// Without sums of usage, where they cannot be shown.
    ToAll(Option<UsageCounters>),
}

/// What the records go into, once it is known how that is called.
#[derive(Default)]
struct Counting {
    measured: Option<Measured>,
    spare: Vec<Record>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// The media type of the text.
    pub const MEDIA_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Nothing is counted, ever.
    pub(super) fn off() -> Self {
        // Instruments that nobody reads do nothing.
        Self::of(Registry::new(), SdkMeterProvider::builder().build(), Shown::Never)
    }

    /// Nothing is counted yet.
    pub(super) fn new(resource: Resource) -> Self {
        Self::read_by(SdkMeterProvider::builder().with_resource(resource))
    }

    /// The same, which `reader` sends as well.
    pub(super) fn pushed(resource: Resource, reader: Reader) -> Self {
        Self::read_by(SdkMeterProvider::builder().with_resource(resource).with_reader(reader))
    }

    fn read_by(provider: MeterProviderBuilder) -> Self {
        let registry = Registry::new();
        let exporter =
            opentelemetry_prometheus::exporter().with_registry(registry.clone()).scope_info_enabled(false).build();
        let provider = provider.with_view(bounded);
        let (provider, is_shown) = match exporter {
            Ok(exporter) => (provider.with_reader(exporter).build(), true),
            Err(error) => {
                tracing::error!(%error, "metrics cannot be shown");
                (provider.build(), false)
            }
        };
        let usage = is_shown.then(|| UsageCounters::new(&provider.meter_with_scope(otel::scope())));
        Self::of(registry, provider, Shown::ToAll(usage))
    }

    fn of(registry: Registry, provider: SdkMeterProvider, shown: Shown) -> Self {
        let meter = provider.meter_with_scope(otel::scope());
        let (is_off, usage) = match shown {
            Shown::Never => (true, None),
            Shown::ToAll(usage) => (false, usage),
        };
        let (feed, counting, text) = (Feed::default(), Lock::default(), Mutex::default());
        Self(Arc::new(Inner { registry, usage, meter, feed, counting, text, provider, is_off }))
    }

    /// Counts what was used.
    pub fn used(&self, used: &Used<'_>) {
        if let Some(usage) = &self.0.usage {
            usage.add(used);
        }
    }

    /// Shows what calls were answered by. `now` is asked whenever somebody looks, and must be quick.
    pub fn show_reused(&self, now: impl Fn() -> Reused + Send + Sync + 'static) {
        reused::show(&self.0.meter, Arc::new(now));
    }

    /// Shows the server as it is. `now` is asked whenever somebody looks, and must be quick.
    pub fn show_server(&self, now: impl Fn() -> ServerNow + Send + Sync + 'static) {
        observed::show(&self.0.meter, Arc::new(now));
    }

    /// Shows what is read again. `now` is asked whenever somebody looks, and must be quick.
    pub fn show_reloads(&self, now: impl Fn() -> ReloadsNow + Send + Sync + 'static) {
        let now: Arc<dyn Fn() -> ReloadsNow + Send + Sync> = Arc::new(now);
        reloads::show(&self.0.meter, &now);
    }

    /// Sends what is left, and counts no more.
    pub(super) fn end(&self, within: Duration) -> OTelSdkResult {
        self.count_now();
        self.0.provider.shutdown_with_timeout(within)
    }

    /// Counts what calls leave, by these names. What they left before is counted too, as far as it found a place.
    pub fn measure(&self, naming: Naming) {
        self.counting().measured = Some(Measured::new(&self.0.meter, naming));
    }

    /// Counts what calls leave, for as long as this is polled.
    pub async fn keep_counting(self) {
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            pulse.tick().await;
            self.count_now();
        }
    }

    /// Counts what calls have left until now.
    pub fn count_now(&self) {
        let mut counting = self.counting();
        let Counting { measured, spare } = &mut *counting;
        if let Some(measured) = measured {
            self.0.feed.take(spare, |record| measured.count(record));
            measured.lost(self.0.feed.lost());
        }
    }

    /// A call was not let in.
    pub fn refused(&self, reason: crate::domain::Reason) {
        self.leave(Record::Refused(reason.as_str()));
    }

    pub(super) fn leave(&self, record: Record) {
        if self.0.is_off {
            return;
        }
        self.0.feed.push(record);
    }

    fn counting(&self) -> std::sync::MutexGuard<'_, Counting> {
        self.0.counting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that is counted, in Prometheus' text form; at most a second old.
    pub async fn text(&self) -> Bytes {
        if self.0.is_off {
            return Bytes::from_static(OFF);
        }
        let mut latest = self.0.text.lock().await;
        if let Some((made, text)) = &*latest
            && made.elapsed() < FRESH
        {
            return text.clone();
        }
        let (registry, metrics) = (self.0.registry.clone(), self.clone());
        // Many series take a while, and whoever serves calls must not wait for them.
        let text = tokio::task::spawn_blocking(move || {
            metrics.count_now();
            TextEncoder::new().encode_to_string(&registry.gather())
        });
        let text = match text.await {
            Ok(Ok(text)) => Bytes::from(text),
            Ok(Err(error)) => {
                tracing::error!(%error, "metrics cannot be written");
                Bytes::new()
            }
            // The server stops.
            Err(_) => Bytes::new(),
        };
        *latest = Some((Instant::now(), text.clone()));
        text
    }
}

fn bounded(instrument: &Instrument) -> Option<Stream> {
    let most = match instrument.name() {
        few if FEW.contains(&few) => FEW_SERIES,
        many if MANY.contains(&many) => MANY_SERIES,
        _ => MOST_SERIES,
    };
    Stream::builder().with_cardinality_limit(most).build().ok()
}

/// What calls used, and what that cost.
struct UsageCounters {
    calls: Counter<u64>,
    attempts: Counter<u64>,
    unpriced: Counter<u64>,
    tokens: Counter<u64>,
    estimated: Counter<u64>,
    cost: Counter<f64>,
}

impl UsageCounters {
    fn new(meter: &Meter) -> Self {
        let count = |name, unit, help| meter.u64_counter(name).with_unit(unit).with_description(help).build();
        Self {
            calls: count(semconv::USAGE_CALLS, "{call}", "Calls that have ended, at the endpoint that decided them."),
            attempts: count(semconv::USAGE_ATTEMPTS, "{attempt}", "Requests that were sent upstream."),
            unpriced: count(
                semconv::USAGE_UNPRICED,
                "{attempt}",
                "Requests that used something whose price is not known: they are in no cost.",
            ),
            tokens: count(semconv::USAGE_TOKENS, "{token}", "Tokens of prompts and answers; each is in one type only."),
            estimated: count(semconv::USAGE_ESTIMATED, "{token}", "Of all tokens: estimated by this server."),
            cost: meter
                .f64_counter(semconv::USAGE_COST)
                .with_unit("USD")
                .with_description("What calls cost, in US dollars, failed and cancelled ones included.")
                .build(),
        }
    }

    fn add(&self, used: &Used<'_>) {
        let of = |name: &'static str, value: &str| KeyValue::new(name, shown(value).into_owned());
        let mut shared = vec![
            of(semconv::CALLER, used.caller),
            of(semconv::GEN_AI_REQUEST_MODEL, used.model),
            of(semconv::ENDPOINT, used.endpoint),
        ];
        let label = |(key, value): &(String, String)| {
            KeyValue::new(format!("{}.{key}", semconv::LABEL_PREFIX), shown(value).into_owned())
        };
        shared.extend(used.labels.iter().map(label));
        let with = |more: KeyValue| shared.iter().cloned().chain([more]).collect::<Vec<_>>();
        let add = |counter: &Counter<u64>, count: u64, attributes: &[KeyValue]| {
            if count > 0 {
                counter.add(count, attributes);
            }
        };
        for (outcome, count) in used.calls {
            add(&self.calls, count, &with(KeyValue::new(semconv::CALL_OUTCOME, outcome)));
        }
        for (kind, count) in used.tokens {
            add(&self.tokens, count, &with(KeyValue::new(semconv::TOKEN_TYPE, kind)));
        }
        add(&self.attempts, used.attempts, &shared);
        add(&self.unpriced, used.unpriced_attempts, &shared);
        add(&self.estimated, used.estimated_tokens, &shared);
        for (estimated, cost) in [(false, used.cost_usd), (true, used.estimated_cost_usd)] {
            if cost > 0.0 {
                self.cost.add(cost, &with(KeyValue::new(semconv::COST_ESTIMATED, estimated)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_text_is_made_anew_after_a_second_and_not_before() {
        let metrics = Metrics::new(Resource::builder_empty().build());
        let used = Used { model: "m", attempts: 1, ..Used::default() };
        metrics.used(&used);
        let first = metrics.text().await;
        assert!(String::from_utf8_lossy(&first).contains("completiond_usage_attempts_total{"), "{first:?}");
        metrics.used(&used);
        assert_eq!(metrics.text().await, first);
        tokio::time::advance(FRESH).await;
        let later = metrics.text().await;
        assert!(String::from_utf8_lossy(&later).contains("} 2\n"), "{later:?}");
    }

    #[tokio::test]
    async fn any_label_can_be_shown() {
        let metrics = Metrics::new(Resource::builder_empty().build());
        let labels = [("a-b".to_owned(), "line end \"quoted\" \\ é".to_owned()), ("a_b".to_owned(), "x".to_owned())];
        metrics.used(&Used { labels: &labels, attempts: 1, ..Used::default() });
        let text = metrics.text().await;
        let text = std::str::from_utf8(&text).unwrap();
        let line = text.lines().find(|line| line.starts_with("completiond_usage_attempts_total{")).unwrap();
        assert!(line.contains(r#"completiond_label_a_b="line end \"quoted\" \\ é;x""#), "{line}");
    }
}

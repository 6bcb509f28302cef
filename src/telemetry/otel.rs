//! What makes spans, and the way of spans, log records and metrics out of the process, where the standard `OTEL_*` variables
//! ask for it.
//!
//! The exporters have a thread with a runtime of its own, so they work beside workers whose runtimes are bound to their
//! threads. What is exported waits in bounded queues: a collector that is slow or down costs what does not fit there, and
//! nothing else.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::LoggerProvider as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{BatchLogProcessor, SdkLogger, SdkLoggerProvider};
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracer, SdkTracerProvider};
use tokio::sync::oneshot;

use super::capture::Capture;
use super::exporter::{of_points, of_records, of_spans};
use super::pushed::Reader;
use super::variables::{SERVICE, Wanted};
use super::{Error, Metrics, Pattern, semconv};

/// How long the last words may take when the server stops.
const FLUSH: Duration = Duration::from_secs(5);

/// Makes spans, or nothing. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tracer {
    pub(super) spans: Option<SdkTracer>,
    habits: Option<Arc<Habits>>,
}

/// What goes with traces only where the configuration says so. Default: nothing.
#[derive(Clone, Debug, Default)]
pub struct Habits {
    /// What is said in calls, redacted.
    pub(super) capture: Option<Capture>,
    /// The keys of baggage that go on to providers.
    pub(super) baggage: Vec<String>,
}

impl Tracer {
    /// Makes no spans; a caller's trace still goes on to the provider.
    pub const fn off() -> Self {
        Self { spans: None, habits: None }
    }

    /// Makes the spans that `provider` exports.
    pub fn of(provider: &SdkTracerProvider) -> Self {
        Self { spans: Some(provider.tracer_with_scope(scope())), habits: None }
    }

    /// The same with other habits.
    #[must_use]
    pub fn with(self, habits: Habits) -> Self {
        Self { habits: Some(Arc::new(habits)), ..self }
    }

    /// What captures content; none: nothing does.
    pub(super) fn capture(&self) -> Option<&Capture> {
        self.habits.as_ref()?.capture.as_ref()
    }

    /// The keys of baggage that are kept.
    pub(super) fn baggage(&self) -> &[String] {
        self.habits.as_ref().map_or(&[], |habits| &habits.baggage)
    }
}

impl Habits {
    /// What is said is captured where `redact` is given; the keys of `baggage` go on to providers.
    pub fn new(redact: Option<Vec<Pattern>>, baggage: Vec<String>) -> Self {
        Self { capture: redact.map(Capture::new), baggage }
    }
}

/// Who speaks.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(SERVICE)
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(semconv::SCHEMA_URL)
        .build()
}

/// The way out of the process: processors, exporters and the thread that they need.
#[derive(Debug)]
pub(super) struct Pipeline {
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
    /// Ends the thread when it is dropped, which is after the last words were sent.
    _stop: oneshot::Sender<()>,
}

impl Pipeline {
    /// Starts to export, and makes what reads metrics and sends them, where they are to be sent. Headers, queues and batches
    /// follow the `OTEL_*` variables by themselves.
    pub(super) fn start(wanted: Wanted) -> Result<(Self, Option<Reader>), Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (traces, logs, points) = {
            let _entered = runtime.enter();
            let points = match &wanted.metrics {
                Some((to, pace)) => Some((of_points(to, pace.temporality)?, *pace)),
                None => None,
            };
            (
                wanted.traces.as_ref().map(of_spans).transpose()?,
                wanted.logs.as_ref().map(of_records).transpose()?,
                points,
            )
        };
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new().name("telemetry".to_owned()).spawn(move || {
            // An error here is the sender being dropped, which is how it stops.
            let _ = runtime.block_on(stopped);
        })?;
        let resource = wanted.resource();
        let traces = traces.map(|exporter| {
            SdkTracerProvider::builder()
                .with_resource(resource.clone())
                .with_sampler(wanted.sampler)
                .with_span_processor(BatchSpanProcessor::builder(exporter).build())
                .build()
        });
        let logs = logs.map(|exporter| {
            let processor = BatchLogProcessor::builder(exporter).build();
            SdkLoggerProvider::builder().with_resource(resource).with_log_processor(processor).build()
        });
        let reader = points.map(|(exporter, pace)| pace.reader(exporter));
        Ok((Self { traces, logs, _stop: stop }, reader))
    }

    pub(super) fn tracer(&self) -> Tracer {
        self.traces.as_ref().map_or_else(Tracer::off, Tracer::of)
    }

    /// What takes log records; none: they are not exported.
    pub(super) fn logger(&self) -> Option<SdkLogger> {
        self.logs.as_ref().map(|provider| provider.logger_with_scope(scope()))
    }

    /// Sends the last words of all signals at the same time: none waits for another one's collector.
    pub(super) fn end(&self, metrics: &Metrics) {
        let traces = || told("traces", self.traces.as_ref().map(|it| it.shutdown_with_timeout(FLUSH)));
        let logs = || told("logs", self.logs.as_ref().map(|it| it.shutdown_with_timeout(FLUSH)));
        let metrics = || told("metrics", Some(metrics.end(FLUSH)));
        std::thread::scope(|scope| {
            // Where the system gives no thread, it is done here, and later.
            let begin = |name: &str| std::thread::Builder::new().name(format!("last-{name}"));
            if begin("traces").spawn_scoped(scope, traces).is_err() {
                traces();
            }
            if begin("logs").spawn_scoped(scope, logs).is_err() {
                logs();
            }
            metrics();
        });
    }
}

fn told(signal: &str, end: Option<OTelSdkResult>) {
    if let Some(Err(error)) = end {
        tracing::warn!(%error, "the last {signal} were not sent");
    }
}

//! What makes spans, and the way of spans and log records out of the process, where the standard `OTEL_*` variables ask for
//! it.
//!
//! The exporters have a thread with a runtime of its own, so they work beside workers whose runtimes are bound to their
//! threads. What is exported waits in bounded queues: a collector that is slow or down costs what does not fit there, and
//! nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::LoggerProvider as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{LogExporter, SpanExporter as OtlpExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{BatchLogProcessor, SdkLogger, SdkLoggerProvider};
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, SdkTracer, SdkTracerProvider, SpanData, SpanExporter as ExportSpans,
};
use tokio::sync::oneshot;

use super::capture::Capture;
use super::exporter::{by_grpc, by_http};
use super::variables::{Destination, Protocol, SERVICE, Wanted};
use super::{Error, Pattern, semconv};

/// How long the last spans may take when the server stops.
pub(super) const FLUSH: Duration = Duration::from_secs(5);

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
    /// Starts to export. Endpoint, headers, timeout, compression and queue follow the `OTEL_*` variables.
    pub(super) fn start(wanted: Wanted) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (traces, logs) = {
            let _entered = runtime.enter();
            (wanted.traces.as_ref().map(spans).transpose()?, wanted.logs.as_ref().map(records).transpose()?)
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
                .with_span_processor(BatchSpanProcessor::builder(Reported::new(exporter)).build())
                .build()
        });
        let logs = logs.map(|exporter| {
            let processor = BatchLogProcessor::builder(exporter).build();
            SdkLoggerProvider::builder().with_resource(resource).with_log_processor(processor).build()
        });
        Ok(Self { traces, logs, _stop: stop })
    }

    pub(super) fn tracer(&self) -> Tracer {
        self.traces.as_ref().map_or_else(Tracer::off, Tracer::of)
    }

    /// What takes log records; none: they are not exported.
    pub(super) fn logger(&self) -> Option<SdkLogger> {
        self.logs.as_ref().map(|provider| provider.logger_with_scope(scope()))
    }
}

fn spans(to: &Destination) -> Result<OtlpExporter, Error> {
    Ok(match to.protocol {
        Protocol::Grpc => by_grpc(OtlpExporter::builder().with_tonic(), to)?.build()?,
        Protocol::Http => by_http(OtlpExporter::builder().with_http(), to)?.build()?,
    })
}

fn records(to: &Destination) -> Result<LogExporter, Error> {
    Ok(match to.protocol {
        Protocol::Grpc => by_grpc(LogExporter::builder().with_tonic(), to)?.build()?,
        Protocol::Http => by_http(LogExporter::builder().with_http(), to)?.build()?,
    })
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // Logs go last, as the end of traces may be logged.
        let traces = self.traces.as_ref().map(|provider| provider.shutdown_with_timeout(FLUSH));
        if let Some(Err(error)) = traces {
            tracing::warn!(%error, "the last traces were not sent");
        }
        let logs = self.logs.as_ref().map(|provider| provider.shutdown_with_timeout(FLUSH));
        if let Some(Err(error)) = logs {
            tracing::warn!(%error, "the last log records were not sent");
        }
    }
}

/// An exporter that says once when its collector goes away, and once when it is back.
#[derive(Debug)]
struct Reported<E> {
    exporter: E,
    failing: AtomicBool,
}

impl<E> Reported<E> {
    fn new(exporter: E) -> Self {
        Self { exporter, failing: AtomicBool::new(false) }
    }
}

impl<E: ExportSpans> ExportSpans for Reported<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        match &result {
            Err(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(%error, "traces cannot be exported");
            }
            Ok(()) if self.failing.swap(false, Ordering::Relaxed) => tracing::info!("traces are exported again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

//! What all exporters have in common: an end in time, and one line of the log when their collector goes away and one when it
//! is back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::runtime::Handle;

use super::variables::{Destination, Signal};

/// An exporter that never takes longer than it may, and says when its collector goes and when it is back.
#[derive(Debug)]
pub(super) struct Reported<E> {
    exporter: E,
    signal: Signal,
    timeout: Duration,
    /// Where time passes: exporters are polled by threads that have no runtime.
    runtime: Handle,
    failing: AtomicBool,
}

impl<E> Reported<E> {
    /// Within the runtime that sends.
    pub(super) fn new(exporter: E, to: &Destination) -> Self {
        let (signal, timeout) = (to.signal, to.timeout);
        Self { exporter, signal, timeout, runtime: Handle::current(), failing: AtomicBool::new(false) }
    }

    /// The same, which takes no longer than `timeout` either.
    #[must_use]
    pub(super) fn within(self, timeout: Duration) -> Self {
        Self { timeout: self.timeout.min(timeout), ..self }
    }

    /// Waits for the end of an export, and notes how it was.
    async fn noted(&self, export: impl Future<Output = OTelSdkResult>) -> OTelSdkResult {
        let timeout = self.timeout;
        // A task, since a timer of our own would panic once the runtime has ended.
        let mut timer = self.runtime.spawn(async move { tokio::time::sleep(timeout).await });
        let result = tokio::select! {
            biased;
            result = export => result,
            _ = &mut timer => Err(OTelSdkError::Timeout(timeout)),
        };
        timer.abort();
        let signal = self.signal.name();
        match &result {
            Err(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(%error, "{signal} cannot be exported");
            }
            Ok(()) if self.failing.swap(false, Ordering::Relaxed) => tracing::info!("{signal} are exported again"),
            _ => {}
        }
        result
    }
}

impl<E: SpanExporter> SpanExporter for Reported<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.noted(self.exporter.export(batch)).await
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

impl<E: LogExporter> LogExporter for Reported<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        self.noted(self.exporter.export(batch)).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Reported<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.noted(self.exporter.export(metrics)).await
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

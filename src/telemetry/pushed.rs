//! Metrics to an OTLP collector, where the standard `OTEL_*` variables ask for it.
//!
//! They are read and sent once in an interval by a thread of their own. A collector that is slow or down costs the points of
//! the intervals that it misses, and nothing else: counts go on from the start, so that the next point has them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{MetricExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, Temporality};
use tokio::sync::oneshot;

use super::Error;

/// How often they are sent, where `OTEL_METRIC_EXPORT_INTERVAL` says nothing else: what the specification wants.
const INTERVAL: Duration = Duration::from_secs(60);
/// More often than this is nobody's wish.
const SHORTEST: Duration = Duration::from_millis(100);

/// What the `OTEL_*` variables ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Push {
    endpoint: Option<String>,
    certificate: Option<String>,
    interval: Duration,
}

impl Push {
    /// Reads the variables; none: nothing is to be sent. What cannot be understood is added to `complaints`, and ignored.
    pub(super) fn from_variables(
        variable: impl Fn(&str) -> Option<String>,
        complaints: &mut Vec<String>,
    ) -> Option<Self> {
        let read = |name: &str| variable(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let first = |own: &str, general: &str| read(own).or_else(|| read(general));
        if read("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return None;
        }
        let endpoint = first("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT");
        let is_wanted = match read("OTEL_METRICS_EXPORTER") {
            None => endpoint.is_some(),
            Some(names) => {
                // Prometheus' text is always there.
                let is_known = |name: &str| matches!(name, "otlp" | "prometheus" | "none");
                if let Some(other) = names.split(',').map(str::trim).find(|name| !is_known(name)) {
                    complaints.push(format!(
                        "OTEL_METRICS_EXPORTER names {other:?}; only otlp, prometheus and none are known"
                    ));
                }
                names.split(',').any(|name| name.trim() == "otlp")
            }
        };
        let protocol = first("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL");
        if let Some(protocol) = protocol.filter(|protocol| is_wanted && protocol != "grpc") {
            complaints.push(format!("OTLP is spoken over grpc only, not {protocol}: no metrics are exported"));
            return None;
        }
        is_wanted.then(|| Self {
            endpoint,
            certificate: first("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
            interval: interval(read("OTEL_METRIC_EXPORT_INTERVAL"), complaints),
        })
    }

    /// TLS for a collector behind `https`: the machine's own roots, or the file that the standard variable names.
    fn tls(&self) -> Result<Option<ClientTlsConfig>, Error> {
        if !self.endpoint.as_ref().is_some_and(|address| address.starts_with("https://")) {
            return Ok(None);
        }
        Ok(Some(match &self.certificate {
            Some(file) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(std::fs::read(file)?)),
            None => ClientTlsConfig::new().with_native_roots(),
        }))
    }

    /// Starts the thread that the exporter needs. Headers, timeout and compression follow the `OTEL_*` variables.
    pub(super) fn start(&self) -> Result<(PeriodicReader<Reported<MetricExporter>>, Pushing), Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let exporter = {
            let _entered = runtime.enter();
            let mut builder = MetricExporter::builder().with_tonic();
            if let Some(tls) = self.tls()? {
                builder = builder.with_tls_config(tls);
            }
            if let Some(endpoint) = &self.endpoint {
                builder = builder.with_endpoint(endpoint);
            }
            builder.build()?
        };
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new().name("metrics".to_owned()).spawn(move || {
            // An error here is the sender being dropped, which is how it stops.
            let _ = runtime.block_on(stopped);
        })?;
        let reader = PeriodicReader::builder(Reported::new(exporter)).with_interval(self.interval).build();
        Ok((reader, Pushing { _stop: stop }))
    }
}

fn interval(text: Option<String>, complaints: &mut Vec<String>) -> Duration {
    let Some(text) = text else { return INTERVAL };
    match text.parse().map(Duration::from_millis) {
        Ok(interval) if interval >= SHORTEST => interval,
        _ => {
            complaints.push(format!(
                "OTEL_METRIC_EXPORT_INTERVAL {text:?} is no number of milliseconds from 100: 60000 is used"
            ));
            INTERVAL
        }
    }
}

/// The thread of the exporter. It ends when this is dropped, which is to be after the last points were sent.
#[derive(Debug)]
pub(super) struct Pushing {
    _stop: oneshot::Sender<()>,
}

/// An exporter that says once when its collector goes away, and once when it is back.
#[derive(Debug)]
pub(super) struct Reported<E> {
    exporter: E,
    failing: AtomicBool,
}

impl<E> Reported<E> {
    fn new(exporter: E) -> Self {
        Self { exporter, failing: AtomicBool::new(false) }
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Reported<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let result = self.exporter.export(metrics).await;
        match &result {
            Err(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(%error, "metrics cannot be exported");
            }
            Ok(()) if self.failing.swap(false, Ordering::Relaxed) => tracing::info!("metrics are exported again"),
            _ => {}
        }
        result
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_pushed_only_where_a_variable_asks_for_it() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");
        type Case<'a> = (&'a [(&'a str, &'a str)], Option<u64>, usize);
        let cases: [Case<'_>; 14] = [
            (&[], None, 0),
            (&[endpoint], Some(60_000), 0),
            (&[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://127.0.0.1:4317")], Some(60_000), 0),
            (&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4317")], None, 0),
            (&[("OTEL_METRICS_EXPORTER", "otlp")], Some(60_000), 0),
            (&[("OTEL_METRICS_EXPORTER", "otlp,prometheus")], Some(60_000), 0),
            (&[endpoint, ("OTEL_METRICS_EXPORTER", "none")], None, 0),
            (&[endpoint, ("OTEL_METRICS_EXPORTER", "prometheus")], None, 0),
            (&[endpoint, ("OTEL_METRICS_EXPORTER", "statsd")], None, 1),
            (&[endpoint, ("OTEL_SDK_DISABLED", "true")], None, 0),
            (&[endpoint, ("OTEL_METRIC_EXPORT_INTERVAL", "5000")], Some(5000), 0),
            (&[endpoint, ("OTEL_METRIC_EXPORT_INTERVAL", "0")], Some(60_000), 1),
            (&[endpoint, ("OTEL_METRIC_EXPORT_INTERVAL", "often")], Some(60_000), 1),
            (&[endpoint, ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf")], None, 1),
        ];
        for (variables, millis, complained) in cases {
            let variable =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            let mut complaints = Vec::new();
            let push = Push::from_variables(variable, &mut complaints);
            assert_eq!(push.map(|push| push.interval), millis.map(Duration::from_millis), "{variables:?}");
            assert_eq!(complaints.len(), complained, "{variables:?} {complaints:?}");
        }
    }
}

//! How often metrics are sent to a collector, and as what, where the standard `OTEL_*` variables ask for it.
//!
//! They are read and sent once in an interval by a thread of their own. A collector that is slow or down costs the points of
//! the intervals that it misses, and nothing else: unless only what was added is told, counts go on from the start, so that
//! the next point has them.

use std::time::Duration;

use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, Temporality};

use super::Error;
use super::reported::Reported;
use super::variables::Reading;

/// How often they are sent, where `OTEL_METRIC_EXPORT_INTERVAL` says nothing else: what the specification wants.
const INTERVAL: Duration = Duration::from_secs(60);
/// How long that may take, where `OTEL_METRIC_EXPORT_TIMEOUT` says nothing else: what the specification wants.
const TIMEOUT: Duration = Duration::from_secs(30);
/// More often than this is nobody's wish.
const SHORTEST: Duration = Duration::from_millis(100);
const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";

/// What the variables for metrics alone say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) interval: Duration,
    /// The bound on one push, beside that of its exporter.
    pub(super) timeout: Duration,
    /// Whether points tell what was added since the start, or since the push before.
    pub(super) temporality: Temporality,
}

/// Reads the instruments, and sends what it has read.
pub(super) type Reader = PeriodicReader<Reported<MetricExporter>>;

impl Pace {
    /// Reads the variables.
    ///
    /// # Errors
    /// A temporality that is not known. A collector that gets the other one adds up what is a sum, or shows differences as
    /// sums, and nobody sees it.
    pub(super) fn read<F: Fn(&str) -> Option<String>>(reading: &mut Reading<F>) -> Result<Self, Error> {
        let mut set = |name: &str, least, default| {
            let told = reading.of(name).map(|text| (name.to_owned(), text));
            reading.milliseconds(told, least, default)
        };
        let interval = set("OTEL_METRIC_EXPORT_INTERVAL", SHORTEST, INTERVAL);
        let timeout = set("OTEL_METRIC_EXPORT_TIMEOUT", Duration::from_millis(1), TIMEOUT);
        let told = reading.of(TEMPORALITY);
        let temporality = match told.as_ref().map(|text| text.to_ascii_lowercase()).as_deref() {
            None | Some("cumulative") => Temporality::Cumulative,
            Some("delta") => Temporality::Delta,
            Some("lowmemory") => Temporality::LowMemory,
            Some(_) => {
                return Err(Error::Variable {
                    name: TEMPORALITY,
                    value: told.unwrap_or_default(),
                    rule: "it must be cumulative, delta or lowmemory",
                });
            }
        };
        Ok(Self { interval, timeout, temporality })
    }

    /// Sends by `exporter`.
    pub(super) fn reader(self, exporter: Reported<MetricExporter>) -> Reader {
        PeriodicReader::builder(exporter.within(self.timeout)).with_interval(self.interval).build()
    }
}

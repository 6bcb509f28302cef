//! What the standard `OTEL_*` variables ask for, for each signal in the same way.
//!
//! Headers are the one thing that is not read here: the exporters take them from the environment by themselves.

mod reading;
mod sampling;
#[cfg(test)]
mod tests;

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::Compression;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::Sampler;

use super::Error;
use super::pushed::Pace;
pub(super) use reading::Reading;

/// The service's name, where `OTEL_SERVICE_NAME` has no other.
pub(super) const SERVICE: &str = "completiond";
/// How long an export may take with all its attempts, where no variable says it: what the specification wants.
const TIMEOUT: Duration = Duration::from_secs(10);
/// No export is faster.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
    /// Points of metrics.
    Metrics,
}

impl Signal {
    const fn word(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Logs => "LOGS",
            Self::Metrics => "METRICS",
        }
    }

    /// As the log calls it, and the path that is added to an endpoint of all signals, over HTTP.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
        }
    }

    /// Whether an endpoint is enough to export it. Logs are written anyway, and go out only where they are asked for.
    const fn follows_endpoint(self) -> bool {
        matches!(self, Self::Traces | Self::Metrics)
    }

    /// The names that its `OTEL_*_EXPORTER` may have. Prometheus' text is always there.
    const fn exporters(self) -> &'static [&'static str] {
        match self {
            Self::Traces | Self::Logs => &["otlp", "none"],
            Self::Metrics => &["otlp", "prometheus", "none"],
        }
    }
}

/// How OTLP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Over gRPC.
    Grpc,
    /// Over HTTP, with bodies of protobuf.
    Http,
}

/// Where one signal goes, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    pub(super) signal: Signal,
    pub(super) protocol: Protocol,
    /// The whole address; none: the default of the protocol.
    pub(super) endpoint: Option<String>,
    /// A file of certificates; none: the machine's own.
    pub(super) certificate: Option<String>,
    /// The files of our own certificate and its key, for a collector that wants to know who speaks.
    pub(super) identity: Option<(String, String)>,
    pub(super) compression: Option<Compression>,
    /// How long an export may take, with all its attempts.
    pub(super) timeout: Duration,
}

/// What the variables ask for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) traces: Option<Destination>,
    pub(super) logs: Option<Destination>,
    pub(super) metrics: Option<(Destination, Pace)>,
    /// What was asked for and cannot be had, for the log.
    pub(super) complaints: Vec<String>,
    pub(super) sampler: Sampler,
    /// Nothing is told at all, not even to who scrapes.
    pub(super) is_disabled: bool,
    service_name: Option<String>,
}

impl Wanted {
    /// Reads the variables. One that cannot be understood is complained of and ignored, as the specification wants it:
    /// they are often set for a whole cluster, and no server shall stop for them.
    ///
    /// # Errors
    /// What would make numbers mean something else without a sign of it.
    pub(super) fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let mut reading = Reading::new(variable);
        let traces = destination(Signal::Traces, &mut reading);
        let logs = destination(Signal::Logs, &mut reading);
        let metrics = match destination(Signal::Metrics, &mut reading) {
            Some(to) => Some((to, Pace::read(&mut reading)?)),
            None => None,
        };
        let sampler = if traces.is_some() { sampling::sampler(&mut reading) } else { Sampler::AlwaysOff };
        let service_name = reading.of("OTEL_SERVICE_NAME");
        let is_disabled = is_disabled(&reading);
        Ok(Self { traces, logs, metrics, complaints: reading.complaints, sampler, is_disabled, service_name })
    }

    /// Whether anything is exported.
    pub(super) const fn exports(&self) -> bool {
        self.traces.is_some() || self.logs.is_some() || self.metrics.is_some()
    }

    /// Who is described by all signals.
    pub(super) fn resource(&self) -> Resource {
        resource(self.service_name.clone())
    }
}

/// The service, overruled by `OTEL_RESOURCE_ATTRIBUTES`, and its name by `OTEL_SERVICE_NAME`.
pub(super) fn resource(service_name: Option<String>) -> Resource {
    let defaults =
        [KeyValue::new("service.name", SERVICE), KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))];
    let builder = Resource::builder_empty()
        .with_attributes(defaults)
        .with_detectors(&[Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())]);
    match service_name {
        Some(name) => builder.with_service_name(name).build(),
        None => builder.build(),
    }
}

/// Where `signal` goes; none: nowhere.
fn destination<F: Fn(&str) -> Option<String>>(signal: Signal, reading: &mut Reading<F>) -> Option<Destination> {
    if !is_exported(signal, reading) {
        return None;
    }
    let protocol = match reading.export(signal, "PROTOCOL").as_ref().map(|(_, text)| text.as_str()) {
        None | Some("grpc") => Protocol::Grpc,
        Some("http/protobuf") => Protocol::Http,
        Some(other) => {
            let nothing = signal.name();
            reading.complain(format!(
                "OTLP is spoken over grpc and http/protobuf, not {other}: no {nothing} are exported"
            ));
            return None;
        }
    };
    let file = |what: &str| reading.export(signal, what).map(|(_, file)| file);
    let certificate = file("CERTIFICATE");
    let identity = match (file("CLIENT_CERTIFICATE"), file("CLIENT_KEY")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            reading.complain("a client certificate and its key need each other: neither is used".to_owned());
            None
        }
    };
    let endpoint = endpoint(signal, protocol, reading);
    let compression = compression(signal, reading);
    let timeout = reading.export(signal, "TIMEOUT");
    let timeout = reading.milliseconds(timeout, SHORTEST_TIMEOUT, TIMEOUT);
    Some(Destination { signal, protocol, endpoint, certificate, identity, compression, timeout })
}

/// Over HTTP an address for all signals has the path of each behind it; over gRPC one without a scheme is that of TLS,
/// unless a variable says otherwise.
fn endpoint<F: Fn(&str) -> Option<String>>(signal: Signal, protocol: Protocol, reading: &Reading<F>) -> Option<String> {
    let (name, endpoint) = reading.export(signal, "ENDPOINT")?;
    Some(match protocol {
        Protocol::Http if name == "OTEL_EXPORTER_OTLP_ENDPOINT" => {
            format!("{}/v1/{}", endpoint.trim_end_matches('/'), signal.name())
        }
        Protocol::Grpc if !endpoint.contains("://") => {
            let insecure = reading.export(signal, "INSECURE");
            let is_insecure = Reading::<F>::is_true(insecure.as_ref().map(|(_, text)| text.as_str()));
            format!("{}://{endpoint}", if is_insecure { "http" } else { "https" })
        }
        _ => endpoint,
    })
}

fn compression<F: Fn(&str) -> Option<String>>(signal: Signal, reading: &mut Reading<F>) -> Option<Compression> {
    let (name, text) = reading.export(signal, "COMPRESSION")?;
    match text.to_ascii_lowercase().as_str() {
        "gzip" => Some(Compression::Gzip),
        "none" => None,
        _ => {
            reading.complain(format!("{name} {text:?} is not known, only gzip and none: nothing is compressed"));
            None
        }
    }
}

fn is_disabled<F: Fn(&str) -> Option<String>>(reading: &Reading<F>) -> bool {
    Reading::<F>::is_true(reading.of("OTEL_SDK_DISABLED").as_deref())
}

fn is_exported<F: Fn(&str) -> Option<String>>(signal: Signal, reading: &mut Reading<F>) -> bool {
    if is_disabled(reading) {
        return false;
    }
    let variable = format!("OTEL_{}_EXPORTER", signal.word());
    let Some(names) = reading.of(&variable) else {
        return signal.follows_endpoint() && reading.export(signal, "ENDPOINT").is_some();
    };
    let mut names = names.split(',').map(str::trim);
    let known = names.clone().any(|name| name == "otlp");
    if let Some(other) = names.find(|name| !signal.exporters().contains(name)) {
        let all = signal.exporters().join(", ");
        reading.complain(format!("{variable} names {other:?}; what is known is {all}"));
    }
    known
}

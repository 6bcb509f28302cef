//! Traces to an OTLP collector, where the standard `OTEL_*` variables ask for it.
//!
//! The exporter has a thread with a runtime of its own, so it works beside workers whose runtimes are bound to their
//! threads. Spans wait in a bounded queue: a collector that is slow or down costs the spans that do not fit, and
//! nothing else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanData, SpanExporter as ExportSpans,
};
use tokio::sync::oneshot;

use super::{Error, semconv};

/// How long the last spans may take when the server stops.
pub(super) const FLUSH: Duration = Duration::from_secs(5);
/// The service's name, where `OTEL_SERVICE_NAME` has no other.
const SERVICE: &str = "completiond";

/// Makes spans, or nothing. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tracer(pub(super) Option<SdkTracer>);

impl Tracer {
    /// Makes no spans; a caller's trace still goes on to the provider.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Makes the spans that `provider` exports.
    pub fn of(provider: &SdkTracerProvider) -> Self {
        Self(Some(provider.tracer_with_scope(scope())))
    }
}

/// Who speaks.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(SERVICE)
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(semconv::SCHEMA_URL)
        .build()
}

/// What the `OTEL_*` variables ask for.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Whether traces are exported.
    pub(super) is_exported: bool,
    /// What was asked for and cannot be had, for the log.
    pub(super) complaints: Vec<String>,
    sampler: Sampler,
    endpoint: Option<String>,
    certificate: Option<String>,
    service_name: Option<String>,
}

impl Wanted {
    /// Reads the variables. One that cannot be understood is complained of and ignored, as the specification wants it:
    /// they are often set for a whole cluster, and no server shall stop for them.
    pub(super) fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let read = |name: &str| variable(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let first = |signal: &str, general: &str| read(signal).or_else(|| read(general));
        let mut complaints = Vec::new();
        let is_exported = is_exported(&read, &mut complaints);
        let sampler = if is_exported { sampler(&read, &mut complaints) } else { Sampler::AlwaysOff };
        Self {
            is_exported,
            complaints,
            sampler,
            endpoint: first("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
            certificate: first("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
            service_name: read("OTEL_SERVICE_NAME"),
        }
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

    /// Who is described: the service, overruled by `OTEL_RESOURCE_ATTRIBUTES`, and its name by `OTEL_SERVICE_NAME`.
    pub(super) fn resource(&self) -> Resource {
        let defaults =
            [KeyValue::new("service.name", SERVICE), KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))];
        let builder = Resource::builder_empty()
            .with_attributes(defaults)
            .with_detectors(&[Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())]);
        match &self.service_name {
            Some(name) => builder.with_service_name(name.clone()).build(),
            None => builder.build(),
        }
    }
}

fn is_exported(read: &impl Fn(&str) -> Option<String>, complaints: &mut Vec<String>) -> bool {
    if read("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        return false;
    }
    let has_endpoint =
        ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"].iter().any(|name| read(name).is_some());
    let wanted = match read("OTEL_TRACES_EXPORTER") {
        None => has_endpoint,
        Some(names) => {
            let mut names = names.split(',').map(str::trim);
            let known = names.clone().any(|name| name == "otlp");
            if let Some(other) = names.find(|name| !matches!(*name, "otlp" | "none")) {
                complaints.push(format!("OTEL_TRACES_EXPORTER names {other:?}; only otlp and none are known"));
            }
            known
        }
    };
    let protocol = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"].iter().find_map(|n| read(n));
    match protocol {
        Some(protocol) if wanted && protocol != "grpc" => {
            complaints.push(format!("OTLP is spoken over grpc only, not {protocol}: no traces are exported"));
            false
        }
        _ => wanted,
    }
}

fn sampler(read: &impl Fn(&str) -> Option<String>, complaints: &mut Vec<String>) -> Sampler {
    let parent_based = |root: Sampler| Sampler::ParentBased(Box::new(root));
    let Some(name) = read("OTEL_TRACES_SAMPLER") else { return parent_based(Sampler::AlwaysOn) };
    let ratio = || read("OTEL_TRACES_SAMPLER_ARG")?.parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    match name.as_str() {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "parentbased_always_on" => parent_based(Sampler::AlwaysOn),
        "parentbased_always_off" => parent_based(Sampler::AlwaysOff),
        "traceidratio" | "parentbased_traceidratio" => {
            let root = Sampler::TraceIdRatioBased(ratio().unwrap_or_else(|| {
                complaints.push("OTEL_TRACES_SAMPLER_ARG is no number from 0 to 1: every call is traced".to_owned());
                1.0
            }));
            if name == "traceidratio" { root } else { parent_based(root) }
        }
        _ => {
            complaints.push(format!("OTEL_TRACES_SAMPLER {name:?} is not known: parentbased_always_on is used"));
            parent_based(Sampler::AlwaysOn)
        }
    }
}

/// The way of spans out of the process: processor, exporter and the thread that they need.
#[derive(Debug)]
pub(super) struct Pipeline {
    provider: SdkTracerProvider,
    /// Ends the thread when it is dropped, which is after the last spans were sent.
    _stop: oneshot::Sender<()>,
}

impl Pipeline {
    /// Starts to export. Endpoint, headers, timeout, compression and queue follow the `OTEL_*` variables.
    pub(super) fn start(wanted: Wanted) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let exporter = {
            let _entered = runtime.enter();
            let mut builder = OtlpExporter::builder().with_tonic();
            if let Some(tls) = wanted.tls()? {
                builder = builder.with_tls_config(tls);
            }
            if let Some(endpoint) = &wanted.endpoint {
                builder = builder.with_endpoint(endpoint);
            }
            builder.build()?
        };
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new().name("telemetry".to_owned()).spawn(move || {
            // An error here is the sender being dropped, which is how it stops.
            let _ = runtime.block_on(stopped);
        })?;
        let processor = BatchSpanProcessor::builder(Reported::new(exporter)).build();
        let provider = SdkTracerProvider::builder()
            .with_resource(wanted.resource())
            .with_sampler(wanted.sampler)
            .with_span_processor(processor)
            .build();
        Ok(Self { provider, _stop: stop })
    }

    pub(super) fn tracer(&self) -> Tracer {
        Tracer::of(&self.provider)
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH) {
            tracing::warn!(%error, "the last traces were not sent");
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

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(variables: &[(&str, &str)]) -> Wanted {
        Wanted::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn traces_are_exported_only_where_a_variable_asks_for_it() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");
        type Case<'a> = (&'a [(&'a str, &'a str)], bool, usize);
        let cases: [Case<'_>; 13] = [
            (&[], false, 0),
            (&[endpoint], true, 0),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], false, 0),
            (&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4317")], true, 0),
            (&[("OTEL_TRACES_EXPORTER", "otlp")], true, 0),
            (&[endpoint, ("OTEL_TRACES_EXPORTER", "none")], false, 0),
            (&[endpoint, ("OTEL_TRACES_EXPORTER", "zipkin")], false, 1),
            (&[("OTEL_TRACES_EXPORTER", "otlp,console")], true, 1),
            (&[endpoint, ("OTEL_SDK_DISABLED", "true")], false, 0),
            (&[endpoint, ("OTEL_SDK_DISABLED", "no")], true, 0),
            (&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], true, 0),
            (&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")], false, 1),
            (&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")], false, 0),
        ];
        for (variables, exported, complaints) in cases {
            let wanted = wanted(variables);
            assert_eq!(wanted.is_exported, exported, "{variables:?}");
            assert_eq!(wanted.complaints.len(), complaints, "{variables:?} {:?}", wanted.complaints);
        }
    }

    #[test]
    fn samplers_are_those_of_the_specification() {
        let cases: &[(&str, &str, &str, usize)] = &[
            ("", "", "ParentBased(AlwaysOn)", 0),
            ("always_off", "", "AlwaysOff", 0),
            ("always_on", "", "AlwaysOn", 0),
            ("traceidratio", "0.25", "TraceIdRatioBased(0.25)", 0),
            ("parentbased_traceidratio", "0.5", "ParentBased(TraceIdRatioBased(0.5))", 0),
            ("parentbased_always_off", "", "ParentBased(AlwaysOff)", 0),
            ("traceidratio", "many", "TraceIdRatioBased(1.0)", 1),
            ("traceidratio", "7", "TraceIdRatioBased(1.0)", 1),
            ("xray", "", "ParentBased(AlwaysOn)", 1),
        ];
        for (name, argument, expected, complaints) in cases {
            let wanted = wanted(&[
                ("OTEL_TRACES_EXPORTER", "otlp"),
                ("OTEL_TRACES_SAMPLER", name),
                ("OTEL_TRACES_SAMPLER_ARG", argument),
            ]);
            assert_eq!(format!("{:?}", wanted.sampler), *expected, "{name} {argument}");
            assert_eq!(wanted.complaints.len(), *complaints, "{name} {argument}: {:?}", wanted.complaints);
        }
    }
}

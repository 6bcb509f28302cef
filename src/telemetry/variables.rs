//! What the standard `OTEL_*` variables ask for, for each signal in the same way.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::Sampler;

/// The service's name, where `OTEL_SERVICE_NAME` has no other.
pub(super) const SERVICE: &str = "completiond";

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
}

impl Signal {
    const fn word(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Logs => "LOGS",
        }
    }

    /// The path that is added to an endpoint of all signals, over HTTP.
    const fn path(self) -> &'static str {
        match self {
            Self::Traces => "v1/traces",
            Self::Logs => "v1/logs",
        }
    }

    /// Whether an endpoint is enough to export it. Logs are written anyway, and go out only where they are asked for.
    const fn follows_endpoint(self) -> bool {
        matches!(self, Self::Traces)
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

/// Where one signal goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    pub(super) protocol: Protocol,
    /// The whole address; none: the default of the protocol.
    pub(super) endpoint: Option<String>,
    /// A file of certificates; none: the machine's own.
    pub(super) certificate: Option<String>,
}

/// What the variables ask for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) traces: Option<Destination>,
    pub(super) logs: Option<Destination>,
    /// What was asked for and cannot be had, for the log.
    pub(super) complaints: Vec<String>,
    pub(super) sampler: Sampler,
    service_name: Option<String>,
}

impl Wanted {
    /// Reads the variables. One that cannot be understood is complained of and ignored, as the specification wants it:
    /// they are often set for a whole cluster, and no server shall stop for them.
    pub(super) fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let read = |name: &str| variable(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let mut complaints = Vec::new();
        let traces = destination(Signal::Traces, &read, &mut complaints);
        let logs = destination(Signal::Logs, &read, &mut complaints);
        let sampler = if traces.is_some() { sampler(&read, &mut complaints) } else { Sampler::AlwaysOff };
        Self { traces, logs, complaints, sampler, service_name: read("OTEL_SERVICE_NAME") }
    }

    /// Whether anything is exported.
    pub(super) const fn exports(&self) -> bool {
        self.traces.is_some() || self.logs.is_some()
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

/// Where `signal` goes; none: nowhere.
fn destination(
    signal: Signal,
    read: &impl Fn(&str) -> Option<String>,
    complaints: &mut Vec<String>,
) -> Option<Destination> {
    let of = |what: &str| read(&format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.word()));
    let general = |what: &str| read(&format!("OTEL_EXPORTER_OTLP_{what}"));
    if !is_exported(signal, read, complaints) {
        return None;
    }
    let protocol = match of("PROTOCOL").or_else(|| general("PROTOCOL")).as_deref() {
        None | Some("grpc") => Protocol::Grpc,
        Some("http/protobuf") => Protocol::Http,
        Some(other) => {
            let nothing = signal.word().to_ascii_lowercase();
            complaints
                .push(format!("OTLP is spoken over grpc and http/protobuf, not {other}: no {nothing} are exported"));
            return None;
        }
    };
    let endpoint = of("ENDPOINT").or_else(|| {
        let general = general("ENDPOINT")?;
        Some(match protocol {
            Protocol::Grpc => general,
            Protocol::Http => format!("{}/{}", general.trim_end_matches('/'), signal.path()),
        })
    });
    let certificate = of("CERTIFICATE").or_else(|| general("CERTIFICATE"));
    Some(Destination { protocol, endpoint, certificate })
}

fn is_exported(signal: Signal, read: &impl Fn(&str) -> Option<String>, complaints: &mut Vec<String>) -> bool {
    if read("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        return false;
    }
    let variable = format!("OTEL_{}_EXPORTER", signal.word());
    let Some(names) = read(&variable) else {
        let own = format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.word());
        return signal.follows_endpoint() && (read(&own).is_some() || read("OTEL_EXPORTER_OTLP_ENDPOINT").is_some());
    };
    let mut names = names.split(',').map(str::trim);
    let known = names.clone().any(|name| name == "otlp");
    if let Some(other) = names.find(|name| !matches!(*name, "otlp" | "none")) {
        complaints.push(format!("{variable} names {other:?}; only otlp and none are known"));
    }
    known
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
        let cases: [Case<'_>; 14] = [
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
            (&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")], true, 0),
            (&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")], false, 1),
            (&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")], false, 0),
        ];
        for (variables, exported, complaints) in cases {
            let wanted = wanted(variables);
            assert_eq!(wanted.traces.is_some(), exported, "{variables:?}");
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

    #[test]
    fn logs_are_exported_only_where_they_are_asked_for_and_each_signal_has_its_own_address() {
        let logs = ("OTEL_LOGS_EXPORTER", "otlp");
        let http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/base/");
        let own = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs:1/in");
        type Case<'a> = (&'a [(&'a str, &'a str)], Option<(Protocol, &'a str)>);
        let cases: [Case<'_>; 6] = [
            (&[all], None),
            (&[all, logs], Some((Protocol::Grpc, "http://c:4318/base/"))),
            (&[all, logs, http], Some((Protocol::Http, "http://c:4318/base/v1/logs"))),
            (&[all, logs, http, own], Some((Protocol::Http, "http://logs:1/in"))),
            (
                &[all, logs, ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc"), http],
                Some((Protocol::Grpc, "http://c:4318/base/")),
            ),
            (&[logs], Some((Protocol::Grpc, ""))),
        ];
        for (variables, expected) in cases {
            let logs = wanted(variables).logs;
            let found = logs.as_ref().map(|to| (to.protocol, to.endpoint.as_deref().unwrap_or_default()));
            assert_eq!(found, expected, "{variables:?}");
        }
    }
}

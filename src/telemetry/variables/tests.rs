//! What each variable asks for, and for which signal.

use super::*;
use opentelemetry_sdk::metrics::Temporality;

type Set<'a> = &'a [(&'a str, &'a str)];

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");

fn read(variables: Set<'_>) -> Result<Wanted, Error> {
    Wanted::from_variables(|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

fn wanted(variables: Set<'_>) -> Wanted {
    read(variables).unwrap()
}

#[test]
fn what_is_exported_is_what_a_variable_asks_for() {
    // Traces, logs and metrics, and what is complained of.
    type Case<'a> = (Set<'a>, [bool; 3], usize);
    let cases: [Case<'_>; 21] = [
        (&[], [false, false, false], 0),
        (&[ENDPOINT], [true, false, true], 0),
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], [false, false, false], 0),
        (&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4317")], [true, false, false], 0),
        (&[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://c:4317")], [false, false, true], 0),
        (&[("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://c:4317")], [false, false, false], 0),
        (&[("OTEL_TRACES_EXPORTER", "otlp")], [true, false, false], 0),
        (&[("OTEL_LOGS_EXPORTER", "otlp")], [false, true, false], 0),
        (&[("OTEL_METRICS_EXPORTER", "otlp")], [false, false, true], 0),
        (&[("OTEL_METRICS_EXPORTER", "otlp,prometheus")], [false, false, true], 0),
        (&[ENDPOINT, ("OTEL_METRICS_EXPORTER", "prometheus")], [true, false, false], 0),
        (&[ENDPOINT, ("OTEL_METRICS_EXPORTER", "none")], [true, false, false], 0),
        (&[ENDPOINT, ("OTEL_METRICS_EXPORTER", "statsd")], [true, false, false], 1),
        (&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")], [false, false, true], 0),
        (&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "prometheus")], [false, false, true], 1),
        (&[("OTEL_TRACES_EXPORTER", "otlp,console")], [true, false, false], 1),
        (&[ENDPOINT, ("OTEL_LOGS_EXPORTER", "otlp"), ("OTEL_SDK_DISABLED", "true")], [false, false, false], 0),
        (&[ENDPOINT, ("OTEL_SDK_DISABLED", "no")], [true, false, true], 0),
        (&[ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")], [false, false, false], 2),
        (&[ENDPOINT, ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json")], [true, false, false], 1),
        (&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")], [false, false, false], 0),
    ];
    for (variables, exported, complaints) in cases {
        let wanted = wanted(variables);
        let found = [wanted.traces.is_some(), wanted.logs.is_some(), wanted.metrics.is_some()];
        assert_eq!(found, exported, "{variables:?}");
        assert_eq!(wanted.exports(), exported.contains(&true), "{variables:?}");
        assert_eq!(wanted.complaints.len(), complaints, "{variables:?} {:?}", wanted.complaints);
    }
}

/// Where each signal goes under these variables, all three being asked for.
fn destinations(variables: Set<'_>) -> [Destination; 3] {
    let asked = [("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_LOGS_EXPORTER", "otlp"), ("OTEL_METRICS_EXPORTER", "otlp")];
    let wanted = wanted(&[asked.as_slice(), variables].concat());
    assert_eq!(wanted.complaints, Vec::<String>::new(), "{variables:?}");
    [wanted.traces.unwrap(), wanted.logs.unwrap(), wanted.metrics.unwrap().0]
}

#[test]
fn each_signal_has_its_own_address_or_that_of_all() {
    let http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/base/");
    let bare = ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317");
    for (word, name, place) in [("TRACES", "traces", 0), ("LOGS", "logs", 1), ("METRICS", "metrics", 2)] {
        let (own, spoken) =
            (format!("OTEL_EXPORTER_OTLP_{word}_ENDPOINT"), format!("OTEL_EXPORTER_OTLP_{word}_PROTOCOL"));
        let insecure = format!("OTEL_EXPORTER_OTLP_{word}_INSECURE");
        let (own, grpc) = ((own.as_str(), "http://own:1/in"), (spoken.as_str(), "grpc"));
        let with_path = format!("http://c:4318/base/v1/{name}");
        let cases: [(Set<'_>, Protocol, &str); 8] = [
            (&[], Protocol::Grpc, ""),
            (&[all], Protocol::Grpc, "http://c:4318/base/"),
            (&[all, http], Protocol::Http, &with_path),
            (&[all, http, own], Protocol::Http, "http://own:1/in"),
            (&[all, http, grpc], Protocol::Grpc, "http://c:4318/base/"),
            (&[bare], Protocol::Grpc, "https://c:4317"),
            (&[bare, (&insecure, "TRUE")], Protocol::Grpc, "http://c:4317"),
            (&[bare, ("OTEL_EXPORTER_OTLP_INSECURE", "true"), (&insecure, "false")], Protocol::Grpc, "https://c:4317"),
        ];
        for (variables, protocol, endpoint) in cases {
            let to = &destinations(variables)[place];
            let found = (to.protocol, to.endpoint.as_deref().unwrap_or_default());
            assert_eq!(found, (protocol, endpoint), "{name} {variables:?}");
        }
    }
}

#[test]
fn how_a_collector_is_reached_is_said_for_all_or_for_one_signal() {
    let all: Set<'_> = &[
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "us.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "us.key"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "700"),
    ];
    for to in destinations(all) {
        assert_eq!(to.certificate.as_deref(), Some("ca.pem"));
        assert_eq!(to.identity, Some(("us.pem".to_owned(), "us.key".to_owned())));
        assert_eq!((to.compression, to.timeout), (Some(Compression::Gzip), Duration::from_millis(700)));
    }
    let own: Set<'_> = &[
        ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "own.pem"),
        ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "5"),
    ];
    let [traces, _, metrics] = destinations(&[all, own].concat());
    assert_eq!((traces.certificate.as_deref(), traces.timeout.as_millis()), (Some("ca.pem"), 700));
    assert_eq!((metrics.certificate.as_deref(), metrics.timeout.as_millis()), (Some("own.pem"), 5));
    assert_eq!((traces.compression, metrics.compression), (Some(Compression::Gzip), None));
    assert_eq!(destinations(&[])[0].timeout, Duration::from_secs(10));
}

#[test]
fn what_cannot_be_understood_is_complained_of_by_its_name_and_ignored() {
    let cases: [(Set<'_>, &str); 6] = [
        (&[("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")], "OTEL_EXPORTER_OTLP_TIMEOUT"),
        (&[("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "0")], "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT"),
        (&[("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli")], "OTEL_EXPORTER_OTLP_COMPRESSION"),
        (&[("OTEL_EXPORTER_OTLP_CLIENT_KEY", "us.key")], "client certificate"),
        (&[("OTEL_METRIC_EXPORT_INTERVAL", "often")], "OTEL_METRIC_EXPORT_INTERVAL"),
        (&[("OTEL_METRIC_EXPORT_TIMEOUT", "0")], "OTEL_METRIC_EXPORT_TIMEOUT"),
    ];
    for (variables, name) in cases {
        let wanted = wanted(&[&[("OTEL_METRICS_EXPORTER", "otlp")], variables].concat());
        let (to, pace) = wanted.metrics.unwrap();
        assert_eq!((to.compression, to.identity, to.timeout), (None, None, TIMEOUT), "{variables:?}");
        assert_eq!((pace.interval.as_secs(), pace.timeout.as_secs()), (60, 30), "{variables:?}");
        let [complaint] = wanted.complaints.as_slice() else { panic!("{variables:?} {:?}", wanted.complaints) };
        assert!(complaint.contains(name), "{complaint}");
    }
}

#[test]
fn metrics_have_a_pace_and_a_temporality_of_their_own() {
    let name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    let cases = [
        ("", Temporality::Cumulative),
        ("cumulative", Temporality::Cumulative),
        ("Delta", Temporality::Delta),
        ("LOWMEMORY", Temporality::LowMemory),
    ];
    for (text, temporality) in cases {
        let set = [("OTEL_METRIC_EXPORT_INTERVAL", "5000"), ("OTEL_METRIC_EXPORT_TIMEOUT", "300"), (name, text)];
        let (_, pace) = wanted(&[&[ENDPOINT], set.as_slice()].concat()).metrics.unwrap();
        assert_eq!((pace.interval.as_millis(), pace.timeout.as_millis()), (5000, 300));
        assert_eq!(pace.temporality, temporality, "{text}");
    }
    let error = read(&[ENDPOINT, (name, "differences")]).unwrap_err().to_string();
    assert!(error.contains(name) && error.contains("differences"), "{error}");
    assert!(error.contains("cumulative, delta or lowmemory"), "{error}");
    assert!(read(&[(name, "differences")]).is_ok(), "nobody is told anything");
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

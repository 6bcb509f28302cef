//! The same by OTLP: to a collector in this process, and to one that is down.

use std::net::SocketAddr;

use completiond::telemetry::Guard;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric};

use crate::receiver::{Receiver, text};
use crate::stage::{BOUND, Wire, configuration, parsed, prompt, tcp};

/// A server that pushes to `address`, as these variables say, answers once.
fn served(address: SocketAddr, variables: &[(&str, &str)]) {
    let guard = Guard::start(|name| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(format!("http://{address}")),
        "OTEL_METRIC_EXPORT_INTERVAL" => Some("60000".to_owned()),
        "OTEL_SERVICE_NAME" => Some("under-test".to_owned()),
        _ => variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()),
    })
    .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = parsed(&configuration("simulator://local", "openai", "drain_delay: 0\nshutdown_grace: 1s"));
        let running = completiond::app::start(&config, guard.instruments()).await.unwrap();
        let wire = Wire::connect(tcp(&running.public)).await;
        let request = prompt("sim: tokens=3 first_event=0ms pace=0ms\nhello");
        wire.stream(&request, &[]).await.end().await.expect(tonic::Code::Ok, "", "");
        drop(wire);
        tokio::time::timeout(BOUND, running.stop()).await.unwrap();
    });
    // What the last interval has not sent is sent now.
    drop(guard);
}

/// What arrives of that.
fn arrived(variables: &[(&str, &str)]) -> (Receiver, Vec<Metric>) {
    let receiver = Receiver::start();
    served(receiver.address(), variables);
    let latest = receiver.received().latest();
    (receiver, latest)
}

#[test]
fn what_calls_leave_arrives_at_a_collector_over_grpc_and_over_http_compressed_or_not() {
    let grpc = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
    for (protocol, path) in [("grpc", grpc), ("http/protobuf", "/v1/metrics")] {
        for encoding in ["none", "gzip"] {
            let variables =
                [("OTEL_EXPORTER_OTLP_PROTOCOL", protocol), ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", encoding)];
            let (receiver, metrics) = arrived(&variables);
            let [_, _, resources] = receiver.received().resources();
            assert_eq!(text(&resources[0].attributes, "service.name"), "under-test", "{protocol}");
            let asked = receiver.asked().into_iter().find(|asked| asked.path == path);
            let asked = asked.unwrap_or_else(|| panic!("{protocol}: {:?}", receiver.asked()));
            assert_eq!(asked.encoding, encoding.replace("none", ""), "{protocol}");
            has_all(&metrics);
        }
    }
}

#[test]
fn what_is_told_is_the_sum_since_the_start_or_what_was_added() {
    for (preference, temporality) in
        [("cumulative", AggregationTemporality::Cumulative), ("delta", AggregationTemporality::Delta)]
    {
        let (_, metrics) = arrived(&[("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", preference)]);
        let told = metrics.iter().filter_map(|metric| match metric.data.as_ref()? {
            Data::Sum(sum) => Some(sum.aggregation_temporality()),
            Data::Histogram(histogram) => Some(histogram.aggregation_temporality()),
            _ => None,
        });
        let told: Vec<AggregationTemporality> = told.collect();
        assert!(told.len() > 10 && told.iter().all(|it| *it == temporality), "{preference}: {told:?}");
    }
}

fn has_all(metrics: &[Metric]) {
    let of = |name: &str| metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("no {name}"));
    for (name, unit) in [
        ("rpc.server.call.duration", "s"),
        ("gen_ai.client.inference.duration", "s"),
        ("gen_ai.client.inference.time_to_first_chunk", "s"),
        ("gen_ai.client.inference.time_per_output_chunk", "s"),
        ("gen_ai.client.inference.operation.output_tokens", "{token}"),
        ("completiond.gateway.overhead", "s"),
    ] {
        let metric = of(name);
        let Some(Data::Histogram(histogram)) = &metric.data else { panic!("{metric:?}") };
        assert!(histogram.data_points.iter().all(|point| point.count > 0), "{metric:?}");
        assert_eq!(metric.unit, unit);
    }
    for name in ["completiond.attempts", "gen_ai.client.inference.usage.output_tokens", "completiond.runtime.busy_time"]
    {
        let Some(Data::Sum(sum)) = &of(name).data else { panic!("{:?}", of(name)) };
        assert!(sum.is_monotonic && !sum.data_points.is_empty(), "{name}");
    }
    for name in
        ["completiond.calls.in_flight", "completiond.memory", "completiond.build.info", "completiond.start_time"]
    {
        assert!(matches!(&of(name).data, Some(Data::Gauge(_))), "{:?}", of(name));
    }
    let bounds = match &of("gen_ai.client.inference.duration").data {
        Some(Data::Histogram(histogram)) => histogram.data_points[0].explicit_bounds.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((bounds.len(), bounds[0], bounds[13]), (14, 0.01, 81.92), "those of the conventions");
}

#[test]
fn a_collector_that_is_down_or_silent_stops_neither_calls_nor_the_end() {
    let refusing = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for address in [refusing, silent.local_addr().unwrap()] {
        for protocol in ["grpc", "http/protobuf"] {
            served(address, &[("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)]);
        }
    }
}

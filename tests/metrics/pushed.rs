//! The same by OTLP: to a collector in this process, and to one that is down.

use std::net::SocketAddr;
use std::sync::mpsc;

use completiond::telemetry::Guard;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;

use crate::stage::{BOUND, Wire, configuration, parsed, prompt, tcp};

/// A collector that hands over what it gets.
struct Collector(mpsc::Sender<ExportMetricsServiceRequest>);

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, tonic::Status> {
        // Who asked for them may be gone.
        let _ = self.0.send(request.into_inner());
        Ok(tonic::Response::new(ExportMetricsServiceResponse::default()))
    }
}

fn collector() -> (SocketAddr, mpsc::Receiver<ExportMetricsServiceRequest>) {
    let (points, received) = mpsc::channel();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let incoming = tonic::transport::server::TcpIncoming::from(listener);
            let service = MetricsServiceServer::new(Collector(points));
            tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
        });
    });
    (address, received)
}

/// A server that pushes to `address` answers once.
fn served(address: SocketAddr) {
    let guard = Guard::start(|name| match name {
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT" => Some(format!("http://{address}")),
        "OTEL_METRIC_EXPORT_INTERVAL" => Some("60000".to_owned()),
        "OTEL_SERVICE_NAME" => Some("under-test".to_owned()),
        _ => None,
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

#[test]
fn what_calls_leave_arrives_at_a_collector() {
    let (address, received) = collector();
    served(address);
    let last = received.try_iter().last().unwrap();
    let resource = format!("{:?}", last.resource_metrics[0].resource);
    assert!(resource.contains("under-test"), "{resource}");
    let metrics: Vec<_> =
        last.resource_metrics.iter().flat_map(|it| &it.scope_metrics).flat_map(|it| &it.metrics).collect();
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
        served(address);
    }
}

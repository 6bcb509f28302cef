//! An OTLP receiver in this process, for traces and logs, over gRPC and over HTTP.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// What has come so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collector(Arc<Mutex<Got>>);

#[derive(Debug, Default)]
struct Got {
    spans: Vec<Span>,
    records: Vec<LogRecord>,
}

impl Collector {
    /// One that listens for gRPC.
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let collector = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(collector.clone()))
            .add_service(LogsServiceServer::new(collector.clone()))
            .serve_with_incoming(TcpIncoming::from(listener));
        tokio::spawn(serving);
        (collector, address)
    }

    /// One that listens for HTTP, and knows only the paths of the specification.
    pub(crate) async fn over_http() -> (Self, SocketAddr) {
        let collector = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, receiving) = (listener.local_addr().unwrap(), collector.clone());
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let receiving = receiving.clone();
                let service = service_fn(move |request| receiving.clone().post(request));
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(connection), service));
            }
        });
        (collector, address)
    }

    async fn post(self, request: http::Request<Incoming>) -> Result<http::Response<Full<Bytes>>, hyper::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        assert_eq!(head.headers["content-type"], "application/x-protobuf");
        match head.uri.path() {
            "/v1/traces" => self.take_spans(ExportTraceServiceRequest::decode(body).unwrap()),
            "/v1/logs" => self.take_records(ExportLogsServiceRequest::decode(body).unwrap()),
            path => panic!("posted to {path}"),
        }
        Ok(http::Response::new(Full::default()))
    }

    fn take_spans(&self, request: ExportTraceServiceRequest) {
        let spans = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        self.0.lock().unwrap().spans.extend(spans.flat_map(|scope| scope.spans));
    }

    fn take_records(&self, request: ExportLogsServiceRequest) {
        let records = request.resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
        self.0.lock().unwrap().records.extend(records.flat_map(|scope| scope.log_records));
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.0.lock().unwrap().spans.clone()
    }

    pub(crate) fn records(&self) -> Vec<LogRecord> {
        self.0.lock().unwrap().records.clone()
    }

    /// All that has come, as text to search in.
    pub(crate) fn text(&self) -> String {
        format!("{:?}", self.0.lock().unwrap())
    }

    /// Waits until what has come is enough.
    pub(crate) async fn until(&self, what: &str, enough: impl Fn(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !enough(self) {
            assert!(Instant::now() < end, "in vain: {what}: {}", self.text());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.take_spans(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.take_records(request.into_inner());
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

/// The value of an attribute.
pub(crate) fn attribute(attributes: &[KeyValue], name: &str) -> Option<Value> {
    attributes.iter().find(|attribute| attribute.key == name)?.value.clone()?.value
}

/// The same as text; empty: there is none, or it is no text.
pub(crate) fn text(attributes: &[KeyValue], name: &str) -> String {
    match attribute(attributes, name) {
        Some(Value::StringValue(text)) => text,
        _ => String::new(),
    }
}

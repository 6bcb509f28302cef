//! An OTLP receiver in this process: spans, metrics and log records, over gRPC and over HTTP at one address, compressed or
//! not, with TLS where it is asked for. It has a thread of its own, so that a test may stand still.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects, and each uses its own part of this"
)]

mod received;

use std::convert::Infallible;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tower::ServiceExt;

pub use received::{Received, attribute, text};

/// How it behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// It takes what comes.
    #[default]
    Takes,
    /// It refuses what comes, in a way that is not to be tried again.
    Refuses,
    /// It takes what comes and never answers.
    Silent,
}

/// A request as it came, without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub path: String,
    pub encoding: String,
    pub headers: http::HeaderMap,
}

/// The receiver. Clones are the same.
#[derive(Clone, Debug)]
pub struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    mood: Mood,
    asked: Vec<Asked>,
    received: Received,
}

impl Receiver {
    /// One that listens in clear.
    pub fn start() -> Self {
        Self::listening(None)
    }

    /// One that listens with TLS.
    pub fn with_tls(config: rustls::ServerConfig) -> Self {
        Self::listening(Some(TlsAcceptor::from(Arc::new(config))))
    }

    fn listening(tls: Option<TlsAcceptor>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let receiver = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let receiving = receiver.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(receiving.accept(listener, tls));
        });
        receiver
    }

    async fn accept(self, listener: std::net::TcpListener, tls: Option<TlsAcceptor>) {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        while let Ok((connection, _)) = listener.accept().await {
            let (receiving, tls) = (self.clone(), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => receiving.serve(connection).await,
                    // Who is not trusted is not served.
                    Some(tls) => {
                        if let Ok(connection) = tls.accept(connection).await {
                            receiving.serve(connection).await;
                        }
                    }
                }
            });
        }
    }

    async fn serve(self, connection: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let service = service_fn(move |request| self.clone().answer(request));
        // That the other side goes is what some tests do.
        let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(connection), service).await;
    }

    async fn answer(self, request: http::Request<Incoming>) -> Result<http::Response<Body>, Infallible> {
        let is_grpc = request.headers()["content-type"] == "application/grpc";
        let encoding = request.headers().get(if is_grpc { "grpc-encoding" } else { "content-encoding" });
        let encoding = encoding.map_or_else(String::new, |encoding| encoding.to_str().unwrap().to_owned());
        let asked = Asked { path: request.uri().path().to_owned(), encoding, headers: request.headers().clone() };
        let mood = {
            let mut state = self.state.lock().unwrap();
            state.asked.push(asked.clone());
            state.mood
        };
        Ok(match mood {
            Mood::Silent => std::future::pending().await,
            Mood::Refuses => refused(is_grpc),
            Mood::Takes if is_grpc => self.routes().oneshot(request.map(Body::new)).await.unwrap(),
            Mood::Takes => self.post(&asked, request.into_body()).await,
        })
    }

    fn routes(&self) -> Routes {
        Routes::new(TraceServiceServer::new(self.clone()).accept_compressed(Gzip))
            .add_service(LogsServiceServer::new(self.clone()).accept_compressed(Gzip))
            .add_service(MetricsServiceServer::new(self.clone()).accept_compressed(Gzip))
    }

    /// It knows only the paths of the specification.
    async fn post(&self, asked: &Asked, body: Incoming) -> http::Response<Body> {
        // What is cut off is no request.
        let Ok(body) = body.collect().await else { return refused(false) };
        let body = match asked.encoding.as_str() {
            "" => body.to_bytes(),
            "gzip" => {
                let mut unpacked = Vec::new();
                flate2::read::GzDecoder::new(&*body.to_bytes()).read_to_end(&mut unpacked).unwrap();
                unpacked.into()
            }
            other => panic!("compressed by {other}"),
        };
        assert_eq!(asked.headers["content-type"], "application/x-protobuf");
        match asked.path.as_str() {
            "/v1/traces" => self.take(|got| got.traces(ExportTraceServiceRequest::decode(body).unwrap())),
            "/v1/logs" => self.take(|got| got.logs(ExportLogsServiceRequest::decode(body).unwrap())),
            "/v1/metrics" => self.take(|got| got.metrics(ExportMetricsServiceRequest::decode(body).unwrap())),
            path => panic!("posted to {path}"),
        }
        http::Response::new(Body::new(Full::<Bytes>::default()))
    }

    fn take(&self, add: impl FnOnce(&mut Received)) {
        add(&mut self.state.lock().unwrap().received);
    }

    /// From now on it behaves so.
    pub fn is(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as a variable has it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has come so far.
    pub fn received(&self) -> Received {
        self.state.lock().unwrap().received.clone()
    }

    /// The requests that have come so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().unwrap().asked.clone()
    }

    /// Waits until what has come is enough.
    pub async fn until(&self, what: &str, enough: impl Fn(&Received) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !enough(&self.received()) {
            assert!(Instant::now() < end, "in vain: {what}: {:?}", self.received());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn refused(is_grpc: bool) -> http::Response<Body> {
    let answer = http::Response::builder();
    let answer = match is_grpc {
        true => answer.header("content-type", "application/grpc").header("grpc-status", "7"),
        false => answer.status(403),
    };
    answer.body(Body::new(Full::<Bytes>::default())).unwrap()
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.take(|got| got.traces(request.into_inner()));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.take(|got| got.logs(request.into_inner()));
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.take(|got| got.metrics(request.into_inner()));
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

//! Metrics over plain HTTP, beside the calls of a listener: gRPC always posts, so whoever gets something is no gRPC client.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tonic::body::Body;
use tower::Service;

use crate::telemetry::Metrics;

const PATH: &str = "/metrics";
const NOT_HERE: &str =
    "completiond: /metrics has the metrics for Prometheus, and grpc.health.v1.Health the health, over gRPC.\n";

/// A service with metrics beside it.
#[derive(Clone, Debug)]
pub(super) struct Scraped<S> {
    inner: S,
    metrics: Metrics,
}

impl<S> Scraped<S> {
    pub(super) fn new(inner: S, metrics: Metrics) -> Self {
        Self { inner, metrics }
    }
}

impl<S> Service<Request<Body>> for Scraped<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            PATH if is_read => {
                let (metrics, is_whole) = (self.metrics.clone(), request.method() == Method::GET);
                Box::pin(async move {
                    let text = if is_whole { metrics.text().await } else { Bytes::new() };
                    Ok(answer(StatusCode::OK, Metrics::MEDIA_TYPE, text))
                })
            }
            PATH => {
                let mut refused = answer(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET it.\n".into());
                refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                Box::pin(std::future::ready(Ok(refused)))
            }
            _ if is_read => {
                Box::pin(std::future::ready(Ok(answer(StatusCode::NOT_FOUND, "text/plain", NOT_HERE.into()))))
            }
            _ => Box::pin(self.inner.call(request)),
        }
    }
}

fn answer(status: StatusCode, media_type: &'static str, text: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

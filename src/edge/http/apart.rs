//! A listener that no page may call: what a browser sends for one is refused, whatever it is.
//!
//! A browser sends a message of a few bytes for any page without asking first, and to a listener on its own machine too.

use std::convert::Infallible;
use std::task::{Context, Poll};

use http::Request;
use http::header::ORIGIN;
use hyper::body::Incoming;
use tonic::body::Body;
use tower::Service;
use uuid::Uuid;

use super::Answer;
use super::beside::{Behind, stranger, unread};
use crate::domain::CallId;
use crate::edge::grpc::Unread;
use crate::telemetry::Metrics;

/// `S`, for whoever is no page.
#[derive(Clone)]
pub(in crate::edge) struct Apart<S> {
    inner: S,
    metrics: Metrics,
    unread: Unread,
}

impl<S: Behind> Apart<S> {
    /// `inner`, which is behind its admission.
    pub(in crate::edge) fn new(inner: S, metrics: Metrics, unread: Unread) -> Self {
        Self { inner, metrics, unread }
    }
}

impl<S: Behind> Service<Request<Incoming>> for Apart<S> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Incoming>) -> Answer {
        let request = request.map(Body::new);
        if !request.headers().contains_key(ORIGIN) {
            return self.inner.call(request);
        }
        let id = CallId::new(Uuid::now_v7());
        unread(request, &self.unread, |path| {
            stranger(&self.metrics, (id, path), "pages may not administer this server")
        })
    }
}

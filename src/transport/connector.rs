//! New connections, TLS included, within a bound.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Uri, Version};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service;

use super::BoxError;
use super::counted::Counted;
use crate::count::Count;

/// How often a silent connection is probed, so that a dead peer is noticed.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// How long an unused connection is kept. Load balancers cut theirs after 50 seconds and more; a request on a
/// connection that the peer is just closing would be lost.
pub(super) const POOL_IDLE: Duration = Duration::from_secs(30);

/// A connection that is counted.
pub(super) type Connection = Counted<MaybeHttpsStream<TokioIo<TcpStream>>>;

/// Makes connections, gives up after `timeout`, and counts those that are open.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    inner: HttpsConnector<HttpConnector>,
    timeout: Duration,
    open: Count,
}

/// A connection that was not made in time.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {0:?}")]
pub(super) struct TooSlow(pub(super) Duration);

impl Connector {
    /// Over TLS, the peer is offered HTTP/2 and nothing else where `version` is that, and is told nothing otherwise.
    pub(super) fn new(trust: rustls::ClientConfig, version: Version, timeout: Duration, open: Count) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        let builder = HttpsConnectorBuilder::new().with_tls_config(trust).https_or_http();
        let inner = match version {
            Version::HTTP_2 => builder.enable_http2().wrap_connector(tcp),
            _ => builder.enable_http1().wrap_connector(tcp),
        };
        Self { inner, timeout, open }
    }
}

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let connecting = self.inner.call(address);
        let (timeout, open) = (self.timeout, self.open.clone());
        Box::pin(async move {
            match tokio::time::timeout(timeout, connecting).await {
                Ok(connected) => Ok(Counted::new(connected?, open.one())),
                Err(_) => Err(TooSlow(timeout).into()),
            }
        })
    }
}

//! Bytes to and from an upstream: one trait, one HTTP client for each way, and the framer of event streams.
//!
//! Nothing here knows a protocol, a provider or a model.

mod connector;
mod counted;
mod departure;
mod direct;
mod exclusive;
mod fetch;
mod host;
mod host_header;
mod hosts;
mod multiplexed;
#[cfg(test)]
mod peers;
mod proxied;
mod schemes;
mod sse;
mod trust;

pub use departure::Departure;
pub use direct::Direct;
pub use fetch::fetch;
pub use host_header::host_header;
pub use proxied::Proxied;
pub use schemes::Schemes;
pub use sse::{Framed, Framer, FramingError, MAX_FRAME_BYTES};
pub use trust::Trust;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;

/// What goes out.
#[derive(Debug)]
pub struct Outgoing {
    /// The whole request, with an absolute address. Its version is the HTTP by which it is sent: 1.1, or 2 on connections that
    /// are shared.
    pub request: http::Request<Bytes>,
    /// How long a new connection may take.
    pub connect_timeout: Duration,
    /// The proxy to go through; none: straight to the upstream.
    pub proxy: Option<http::Uri>,
    /// Where it is told that the request has left.
    pub departure: Departure,
}

/// What comes back: the head, and a body of data and trailers that stops the upstream when it is dropped.
pub type Incoming = http::Response<Body>;

/// The body of what comes back.
pub type Body = UnsyncBoxBody<Bytes, TransportError>;

/// An answer to come.
pub type Sending = Pin<Box<dyn Future<Output = Result<Incoming, TransportError>> + Send>>;

/// Sends a request to an upstream. Dropping what it returns, or the body, stops the upstream at once.
pub trait Transport: Send + Sync + std::fmt::Debug {
    /// Sends `outgoing`.
    fn send(&self, outgoing: Outgoing) -> Sending;
}

/// Why bytes did not get through.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The connection was not made in time.
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    /// The connection was not made.
    #[error("the connection was not made")]
    Connect(#[source] BoxError),
    /// It is to be asked over HTTP/2, and does not speak it.
    #[error("it does not speak HTTP/2, which `http2` in its entry of `providers` asks for")]
    NoHttp2(#[source] BoxError),
    /// The connection was lost, or what came over it was not HTTP.
    #[error("the connection was lost")]
    Lost(#[source] BoxError),
}

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

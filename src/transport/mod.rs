//! Bytes to and from an upstream: one trait, one HTTP client, and the framer of event streams.
//!
//! Nothing here knows a protocol, a provider or a model.

mod connector;
mod counted;
mod departure;
mod direct;
mod fetch;
mod proxied;
mod schemes;
mod sse;

pub use departure::Departure;
pub use direct::Direct;
pub use fetch::fetch;
pub use proxied::Proxied;
pub use schemes::Schemes;
pub use sse::{Framed, Framer, FramingError, MAX_FRAME_BYTES};

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;

/// What goes out.
#[derive(Debug)]
pub struct Outgoing {
    /// The whole request, with an absolute address.
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
    /// The connection was lost, or what came over it was not HTTP.
    #[error("the connection was lost")]
    Lost(#[source] BoxError),
}

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What upstreams are trusted by: the certificates of the operating system, or those of `SSL_CERT_FILE`.
///
/// # Errors
/// When the system's certificates cannot be read at all. A system without any is not an error here: it only fails
/// where TLS is used, and says so there.
pub fn system_trust() -> Result<Arc<rustls::ClientConfig>, BoxError> {
    use hyper_rustls::ConfigBuilderExt;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(match builder.clone().with_native_roots() {
        Ok(builder) => builder.with_no_client_auth(),
        Err(error) => {
            tracing::warn!(%error, "no certificates to trust; upstreams over TLS will fail until SSL_CERT_FILE names some");
            builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
        }
    }))
}

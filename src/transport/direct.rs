//! The HTTP client of the hot path: hyper's pooled client, HTTP/1.1, one set of connections per worker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connector::{Connector, TooSlow};
use super::departure::Departing;
use super::{BoxError, Outgoing, Proxied, Sending, Transport, TransportError};
use crate::count::Count;

/// How long an unused connection is kept. Load balancers cut theirs after 50 seconds and more; a request on a
/// connection that the peer is just closing would be lost.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// The most that is read at a time, and the largest head, in bytes. What is read at a time is worked off before another
/// call of the worker has its turn.
const READ_BYTES: usize = 64 * 1024;

type Pooled = Client<Connector, Departing>;

/// Sends requests straight to their upstreams, or through a proxy where one is named.
#[derive(Debug)]
pub struct Direct {
    trust: Arc<rustls::ClientConfig>,
    /// A client for each connect timeout that the configuration names: rarely more than one.
    clients: Mutex<HashMap<Duration, Pooled>>,
    proxied: Proxied,
    open: Count,
}

impl Direct {
    /// A client without connections, which trusts what `trust` says.
    pub fn new(trust: Arc<rustls::ClientConfig>) -> Self {
        Self { proxied: Proxied::new(Arc::clone(&trust)), trust, clients: Mutex::default(), open: Count::default() }
    }

    /// The same, whose open connections `open` counts; those through a proxy it does not.
    #[must_use]
    pub fn counted_by(self, open: Count) -> Self {
        Self { open, ..self }
    }

    fn client(&self, connect_timeout: Duration) -> Pooled {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = clients.entry(connect_timeout).or_insert_with(|| {
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(POOL_IDLE)
                .http1_max_buf_size(READ_BYTES)
                .build(Connector::new(&self.trust, connect_timeout, self.open.clone()))
        });
        client.clone()
    }
}

impl Transport for Direct {
    fn send(&self, outgoing: Outgoing) -> Sending {
        if outgoing.proxy.is_some() {
            return self.proxied.send(outgoing);
        }
        let Outgoing { request, connect_timeout, departure, proxy: _ } = outgoing;
        let answer = self.client(connect_timeout).request(request.map(|body| Departing::new(body, departure)));
        Box::pin(async move {
            let response = answer.await.map_err(failure)?;
            Ok(response.map(|body| body.map_err(|error| TransportError::Lost(error.into())).boxed_unsync()))
        })
    }
}

fn failure(error: hyper_util::client::legacy::Error) -> TransportError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(cause) = source {
        if let Some(TooSlow(timeout)) = cause.downcast_ref() {
            return TransportError::ConnectTimeout(*timeout);
        }
        source = cause.source();
    }
    let connect = error.is_connect();
    let error: BoxError = error.into();
    if connect { TransportError::Connect(error) } else { TransportError::Lost(error) }
}

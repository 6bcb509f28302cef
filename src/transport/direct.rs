//! The HTTP client of the hot path, one set of connections per worker: hyper's pooled client for HTTP/1.1, and who else serves
//! requests that are to go out in another way.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::uri::Scheme;
use http::{Uri, Version};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connector::{Connector, POOL_IDLE, TooSlow};
use super::departure::Departing;
use super::multiplexed::Multiplexed;
use super::{BoxError, Outgoing, Proxied, Sending, Transport, TransportError, Trust};
use crate::count::Count;

/// The most that is read at a time, and the largest head, in bytes. What is read at a time is worked off before another
/// call of the worker has its turn.
const READ_BYTES: usize = 64 * 1024;

type Pooled = Client<Connector, Departing>;

/// Sends requests straight to their upstreams, over the HTTP that their version says, or through a proxy where one is named.
#[derive(Debug)]
pub struct Direct {
    trust: Trust,
    /// A client for each connect timeout that the configuration names, over TLS and without: rarely more than one.
    clients: Mutex<HashMap<(Duration, bool), Pooled>>,
    multiplexed: Multiplexed,
    proxied: Proxied,
    open: Count,
}

impl Direct {
    /// A client without connections, which trusts what `trust` says.
    pub fn new(trust: Trust) -> Self {
        let (open, proxied) = (Count::default(), Proxied::new(trust.clone()));
        let multiplexed = Multiplexed::new(trust.clone(), open.clone());
        Self { trust, clients: Mutex::default(), multiplexed, proxied, open }
    }

    /// The same, whose open connections `open` counts; those through a proxy it does not.
    #[must_use]
    pub fn counted_by(self, open: Count) -> Self {
        Self { multiplexed: Multiplexed::new(self.trust.clone(), open.clone()), open, ..self }
    }

    fn client(&self, address: &Uri, connect_timeout: Duration) -> Result<Pooled, BoxError> {
        let is_tls = address.scheme() == Some(&Scheme::HTTPS);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&(connect_timeout, is_tls)) {
            return Ok(client.clone());
        }
        let client: Pooled = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .http1_max_buf_size(READ_BYTES)
            .build(Connector::new(self.trust.towards(address)?, Version::HTTP_11, connect_timeout, self.open.clone()));
        clients.insert((connect_timeout, is_tls), client.clone());
        Ok(client)
    }
}

impl Transport for Direct {
    fn send(&self, outgoing: Outgoing) -> Sending {
        if outgoing.proxy.is_some() {
            return self.proxied.send(outgoing);
        }
        if outgoing.request.version() == Version::HTTP_2 {
            return self.multiplexed.send(outgoing);
        }
        let Outgoing { request, connect_timeout, departure, proxy: _ } = outgoing;
        let client = match self.client(request.uri(), connect_timeout) {
            Ok(client) => client,
            Err(error) => return Box::pin(std::future::ready(Err(TransportError::Connect(error)))),
        };
        let answer = client.request(request.map(|body| Departing::new(body, departure)));
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

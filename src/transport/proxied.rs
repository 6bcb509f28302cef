//! Upstreams behind a proxy: rare, so reqwest serves them, which knows proxies.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http_body_util::BodyExt;

use super::departure::Departing;
use super::{BoxError, Outgoing, Sending, Transport, TransportError, Trust};

/// Sends requests through the proxy that they name.
#[derive(Debug)]
pub struct Proxied {
    trust: Trust,
    /// A client for each proxy and connect timeout that the configuration names.
    clients: Mutex<HashMap<(http::Uri, Duration), reqwest::Client>>,
}

impl Proxied {
    /// A client without connections, which trusts what `trust` says.
    pub fn new(trust: Trust) -> Self {
        Self { trust, clients: Mutex::default() }
    }

    fn client(&self, proxy: http::Uri, connect_timeout: Duration) -> Result<reqwest::Client, BoxError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&(proxy.clone(), connect_timeout)) {
            return Ok(client.clone());
        }
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(rustls::ClientConfig::clone(&*self.trust.config()?))
            .proxy(reqwest::Proxy::all(proxy.to_string()).map_err(hide)?)
            .connect_timeout(connect_timeout)
            // A key must not follow a redirect to somewhere else.
            .redirect(reqwest::redirect::Policy::none())
            .http1_only()
            .build()
            .map_err(hide)?;
        clients.insert((proxy, connect_timeout), client.clone());
        Ok(client)
    }
}

impl Transport for Proxied {
    fn send(&self, outgoing: Outgoing) -> Sending {
        let client = self.client(outgoing.proxy.unwrap_or_default(), outgoing.connect_timeout);
        let timeout = outgoing.connect_timeout;
        Box::pin(async move {
            let failure = |error: reqwest::Error| match (error.is_connect(), error.is_timeout()) {
                (true, true) => TransportError::ConnectTimeout(timeout),
                (true, false) => TransportError::Connect(hide(error)),
                (false, _) => TransportError::Lost(hide(error)),
            };
            let leaving = |body| reqwest::Body::wrap(Departing::new(body, outgoing.departure));
            let request = reqwest::Request::try_from(outgoing.request.map(leaving)).map_err(failure)?;
            let response = client.map_err(TransportError::Connect)?.execute(request).await.map_err(failure)?;
            let response = http::Response::<reqwest::Body>::from(response);
            Ok(response.map(|body| body.map_err(|error| TransportError::Lost(hide(error))).boxed_unsync()))
        })
    }
}

/// reqwest's errors name the address, which may hold what a configuration put there.
fn hide(error: reqwest::Error) -> BoxError {
    error.without_url().into()
}

//! Which transport serves which scheme of address.

use std::sync::Arc;

use super::{BoxError, Outgoing, Sending, Transport, TransportError};

/// Hands a request to the transport of its address's scheme.
#[derive(Clone, Debug)]
pub struct Schemes {
    rows: Vec<(&'static str, Arc<dyn Transport>)>,
}

impl Schemes {
    /// Serves each scheme by its transport.
    pub fn new(rows: impl IntoIterator<Item = (&'static str, Arc<dyn Transport>)>) -> Self {
        Self { rows: rows.into_iter().collect() }
    }
}

impl Transport for Schemes {
    fn send(&self, outgoing: Outgoing) -> Sending {
        let scheme = outgoing.request.uri().scheme_str().unwrap_or_default();
        match self.rows.iter().find(|(of, _)| *of == scheme) {
            Some((_, transport)) => transport.send(outgoing),
            None => {
                let error: BoxError = format!("no transport for addresses of the scheme {scheme:?}").into();
                Box::pin(std::future::ready(Err(TransportError::Connect(error))))
            }
        }
    }
}

//! The upstreams to which a worker has connections of one kind.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use http::Uri;
use http::uri::Scheme;

use super::connector::{Connector, POOL_IDLE};
use super::host::{Host, Made};
use super::{BoxError, Trust};
use crate::count::Count;

/// Upstreams by their authority: each with those over TLS and those without, and by how long a connection may take. As many as
/// configurations have named.
type Known<M> = HashMap<Box<str>, Vec<Arc<Host<M>>>, RandomState>;

/// All upstreams that are asked in one way.
#[derive(Debug)]
pub(super) struct Hosts<M: Made> {
    trust: Trust,
    known: Mutex<Known<M>>,
    open: Count,
    /// How long an unused connection is kept, at most.
    pub(super) idle: Duration,
}

impl<M: Made> Hosts<M> {
    /// None yet; `open` counts the connections to them.
    pub(super) fn new(trust: Trust, open: Count) -> Self {
        Self { trust, known: Mutex::default(), open, idle: POOL_IDLE }
    }

    /// Whoever is at `address`, to whom a connection may take so long.
    ///
    /// # Errors
    /// An address without a host; nothing to trust over TLS.
    pub(super) fn at(&self, address: &Uri, timeout: Duration) -> Result<Arc<Host<M>>, BoxError> {
        let authority = address.authority().ok_or("the address has no host")?.as_str();
        let mut known = self.known();
        let there = known.get(authority).map(Vec::as_slice).unwrap_or_default();
        let is_tls = address.scheme() == Some(&Scheme::HTTPS);
        if let Some(host) = there.iter().find(|host| host.is_tls() == is_tls && host.timeout == timeout) {
            return Ok(Arc::clone(host));
        }
        let connector = Connector::new(self.trust.towards(address)?, M::VERSION, timeout, self.open.clone());
        let host = Arc::new(Host::new(address.clone(), connector, timeout, self.idle));
        known.entry(authority.into()).or_default().push(Arc::clone(&host));
        Ok(host)
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<Host<M>>> {
        self.known().values().flatten().map(Arc::clone).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known<M>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

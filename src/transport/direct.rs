//! The HTTP clients of one worker, each with its connections: which of them serves a request is said by the request.

use http::Version;

use super::exclusive::Exclusive;
use super::multiplexed::Multiplexed;
use super::{Outgoing, Proxied, Sending, Transport, Trust};
use crate::count::Count;

/// Sends requests straight to their upstreams, over the HTTP that their version says, or through a proxy where one is named.
/// Its connections belong to the runtime of its first call.
#[derive(Debug)]
pub struct Direct {
    exclusive: Exclusive,
    multiplexed: Multiplexed,
    proxied: Proxied,
}

impl Direct {
    /// Clients without connections, which trust what `trust` says. `open` counts connections, but for those through a proxy.
    pub fn new(trust: Trust, open: Count) -> Self {
        Self {
            exclusive: Exclusive::new(trust.clone(), open.clone()),
            multiplexed: Multiplexed::new(trust.clone(), open),
            proxied: Proxied::new(trust),
        }
    }
}

impl Transport for Direct {
    fn send(&self, outgoing: Outgoing) -> Sending {
        if outgoing.proxy.is_some() {
            self.proxied.send(outgoing)
        } else if outgoing.request.version() == Version::HTTP_2 {
            self.multiplexed.send(outgoing)
        } else {
            self.exclusive.send(outgoing)
        }
    }
}

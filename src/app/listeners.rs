//! The three listeners: bound, with what each shows, how its connections are served, and how many there are.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::certificates::Certificates;
use super::workers::{ADMIN, OPS, PUBLIC};
use super::{StartError, system};
use crate::config::{Config, Connections, ListenAddress};
use crate::count::Count;
use crate::edge::{Bound, ConnectionBounds, Drain, Gate, Listener, Refusals, Workers};
use crate::telemetry::ListenerNow;
use crate::tls;

/// The listeners, bound.
pub(super) struct Listeners {
    sockets: [Listener; 3],
    /// Where they are bound, in the same order.
    pub(super) bound: [Bound; 3],
}

impl Listeners {
    pub(super) async fn bind(config: &Config) -> Result<Self, StartError> {
        let sockets =
            [listen(&config.listen).await?, listen(&config.admin_listen).await?, listen(&config.ops_listen).await?];
        let [public, admin, ops] = sockets.each_ref().map(Listener::bound);
        let bound = [public.map_err(system)?, admin.map_err(system)?, ops.map_err(system)?];
        Ok(Self { sockets, bound })
    }
}

async fn listen(address: &ListenAddress) -> Result<Listener, StartError> {
    let listener = match address {
        ListenAddress::Tcp(host) => Listener::tcp(host).await,
        ListenAddress::Unix(path) => Listener::unix(path).await,
    };
    let listener = listener.and_then(|listener| {
        let bound = listener.bound()?;
        is_as_open(address, &bound).map(|()| listener)
    });
    listener.map_err(|source| StartError::Listen { address: address.to_string(), source })
}

/// Whether a listener is open to no more than the configuration was checked for: a name such as `localhost` leads where the
/// system says.
fn is_as_open(address: &ListenAddress, bound: &Bound) -> io::Result<()> {
    if address.is_loopback() && !bound.is_loopback() {
        let why = format!("it leads to {bound} on this machine, which others reach");
        return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, why));
    }
    Ok(())
}

/// How the connections of the listeners are served.
#[derive(Clone, Debug)]
pub(super) struct Gates {
    public: Gate,
    admin: Gate,
    ops: Gate,
}

/// Those who accept connections, each until its drain.
#[derive(Debug)]
pub(super) struct Accepting {
    /// From callers.
    pub(super) public: JoinSet<()>,
    /// From operators and probes.
    pub(super) backstage: JoinSet<()>,
}

impl Gates {
    /// `callers` counts the connections from callers.
    pub(super) fn new(
        config: &Config,
        certificates: &Certificates,
        callers: &Count,
        (drain, backstage): (&Drain, &Drain),
    ) -> Self {
        let bounds = bounds(&config.connections, config.total);
        let gate = |face, drain: &Drain, tls: Option<&tls::Current>, open| Gate {
            face,
            drain: drain.clone(),
            tls: tls.cloned(),
            bounds,
            open,
            refused: Refusals::default(),
        };
        Self {
            public: gate(PUBLIC, drain, certificates.public(), callers.clone()),
            admin: gate(ADMIN, backstage, certificates.admin(), Count::default()),
            ops: gate(OPS, backstage, None, Count::default()),
        }
    }

    /// Begins to accept.
    pub(super) fn open(&self, listeners: Listeners, workers: &Arc<Workers>) -> Accepting {
        let [for_callers, for_operators, for_probes] = listeners.sockets;
        let accept = |set: &mut JoinSet<()>, listener, gate: &Gate| {
            let (workers, gate) = (Arc::clone(workers), gate.clone());
            set.spawn(async move { workers.accept(listener, gate).await });
        };
        let (mut public, mut backstage) = (JoinSet::new(), JoinSet::new());
        accept(&mut public, for_callers, &self.public);
        accept(&mut backstage, for_operators, &self.admin);
        accept(&mut backstage, for_probes, &self.ops);
        Accepting { public, backstage }
    }

    /// What stands at each.
    pub(super) fn now(&self) -> Vec<ListenerNow> {
        let all = [("public", &self.public), ("admin", &self.admin), ("ops", &self.ops)];
        let now = all.map(|(listener, gate)| ListenerNow {
            listener,
            connections: u64::try_from(gate.open.now()).unwrap_or(u64::MAX),
            refused: gate.refused.now().to_vec(),
        });
        now.to_vec()
    }
}

fn bounds(config: &Connections, longest_call: Duration) -> ConnectionBounds {
    // Taken apart without a rest, so that a setting that is new does not compile before it is passed on.
    let Connections { max, max_idle, max_age, handshake_timeout, max_streams, max_metadata_bytes } = *config;
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    ConnectionBounds { max, max_idle, max_age, handshake_timeout, max_streams, max_metadata_bytes, longest_call }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_this_machine_that_leads_elsewhere_is_not_listened_on() {
        let here: ListenAddress = "localhost:0".parse().unwrap();
        let bound = |address: &str| Bound::Tcp(address.parse().unwrap());
        for good in ["127.0.0.1:1", "[::1]:1"] {
            assert!(is_as_open(&here, &bound(good)).is_ok(), "{good}");
        }
        for open in ["0.0.0.0:1", "192.0.2.7:1", "[::]:1"] {
            assert!(is_as_open(&here, &bound(open)).is_err(), "{open}");
            assert!(is_as_open(&open.parse().unwrap(), &bound(open)).is_ok(), "{open}");
        }
    }
}

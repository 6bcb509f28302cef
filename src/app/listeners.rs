//! The three listeners: bound, with what each shows, how its connections are served, and how many there are.

use std::sync::Arc;

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
    listener.map_err(|source| StartError::Listen { address: address.to_string(), source })
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
        let bounds = bounds(&config.connections);
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

fn bounds(config: &Connections) -> ConnectionBounds {
    // Taken apart without a rest, so that a setting that is new does not compile before it is passed on.
    let Connections { max, max_idle, max_age, handshake_timeout, max_streams, max_metadata_bytes } = *config;
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    ConnectionBounds { max, max_idle, max_age, handshake_timeout, max_streams, max_metadata_bytes }
}

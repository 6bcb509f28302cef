//! A server behind which two upstreams answer for one model, all on real sockets.

use completiond::simulator::{Simulator, Upstream};

use crate::support::{self, Server};

/// The name that callers ask for.
pub(crate) const MODEL: &str = "m";

/// Who answers for the model beside A.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// B is A's equal, and drawn as often.
    Drawn,
    /// B is A's equal, and asked only when A is not: its weight is next to nothing.
    Equal,
    /// B is of the next priority.
    Next,
    /// Nobody.
    None,
}

/// Two upstreams and the server in front of them.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) a: Upstream,
    pub(crate) b: Upstream,
    pub(crate) server: Server,
}

impl Pair {
    /// A server with these `settings` beside its providers and its model.
    pub(crate) async fn with(protocol: &str, peer: Peer, settings: &str) -> Self {
        let [a, b] = [Upstream::start(Simulator::default()).await, Upstream::start(Simulator::default()).await];
        let (a, b) = (a.unwrap(), b.unwrap());
        let server = Server::start(&configuration(protocol, peer, settings, [&a.url(), &b.url()])).await;
        Self { a, b, server }
    }

    /// How many requests A and B have received.
    pub(crate) fn received(&self) -> [usize; 2] {
        [&self.a, &self.b].map(|upstream| *upstream.requests().borrow())
    }
}

/// The configuration file's text for upstreams at `urls`. `settings` may end in keys of the model.
pub(crate) fn configuration(protocol: &str, peer: Peer, settings: &str, urls: [&str; 2]) -> String {
    let (weight, other) = match peer {
        Peer::Drawn => (1, ", { provider: b, model: x }"),
        Peer::Equal => (1_000_000_000, ", { provider: b, model: x }"),
        Peer::Next => (1, ", { provider: b, model: x, priority: 1 }"),
        Peer::None => (1, ""),
    };
    let [a, b] = urls;
    let providers = support::provider("a", protocol, a) + &support::provider("b", protocol, b);
    let model = format!("  - id: {MODEL}\n    targets: [{{ provider: a, model: x, weight: {weight} }}{other}]\n");
    format!("providers:\n{providers}models:\n{model}{settings}\n")
}

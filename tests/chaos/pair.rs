//! A server behind which two upstreams answer for one model, all on real sockets.

use completiond::simulator::{Simulator, Upstream};

use crate::support::{self, Server};

/// Who answers for a model beside A.
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

/// Upstream A, upstream B, and the name of the model that they answer for.
#[derive(Debug)]
pub(crate) struct Upstreams {
    pub(crate) a: Upstream,
    pub(crate) b: Upstream,
    number: usize,
    peer: Peer,
}

impl Upstreams {
    /// Two that answer at once. `number` tells them from others behind the same server.
    pub(crate) async fn start(number: usize, peer: Peer) -> Self {
        let [a, b] = [Upstream::start(Simulator::default()).await, Upstream::start(Simulator::default()).await];
        Self { a: a.unwrap(), b: b.unwrap(), number, peer }
    }

    /// The name of their model.
    pub(crate) fn model(&self) -> String {
        format!("m{}", self.number)
    }

    /// The name of A as an endpoint, as ledgers have it.
    pub(crate) fn name_a(&self) -> String {
        format!("a{}/x", self.number)
    }

    /// The name of B as an endpoint, as ledgers have it.
    pub(crate) fn name_b(&self) -> String {
        format!("b{}/x", self.number)
    }

    /// How many requests A and B have received.
    pub(crate) fn received(&self) -> [usize; 2] {
        [&self.a, &self.b].map(|upstream| *upstream.requests().borrow())
    }

    fn targets(&self) -> String {
        let number = self.number;
        let (weight, b) = match self.peer {
            Peer::Drawn => (1, format!(", {{ provider: b{number}, model: x }}")),
            Peer::Equal => (1_000_000_000, format!(", {{ provider: b{number}, model: x }}")),
            Peer::Next => (1, format!(", {{ provider: b{number}, model: x, priority: 1 }}")),
            Peer::None => (1, String::new()),
        };
        format!("[{{ provider: a{number}, model: x, weight: {weight} }}{b}]")
    }
}

/// A configuration for `upstreams`, each two with a model of their own, and these `settings`; `of_models` are keys of
/// every model (`hedge: {}`).
pub(crate) fn configuration(protocol: &str, upstreams: &[Upstreams], settings: &str, of_models: &str) -> String {
    let mut providers = String::new();
    let mut models = String::new();
    for two in upstreams {
        let number = two.number;
        providers += &support::provider(&format!("a{number}"), protocol, &two.a.url());
        if two.peer != Peer::None {
            providers += &support::provider(&format!("b{number}"), protocol, &two.b.url());
        }
        let comma = if of_models.is_empty() { "" } else { ", " };
        models += &format!("  - {{ id: m{number}, targets: {}{comma}{of_models} }}\n", two.targets());
    }
    format!("providers:\n{providers}models:\n{models}{settings}\n")
}

/// A server in front of two upstreams.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) upstreams: Upstreams,
    pub(crate) server: Server,
}

impl Pair {
    /// With these `settings`.
    pub(crate) async fn with(protocol: &str, peer: Peer, settings: &str) -> Self {
        Self::of_models(protocol, peer, settings, "").await
    }

    /// The same, with keys of the model.
    pub(crate) async fn of_models(protocol: &str, peer: Peer, settings: &str, of_models: &str) -> Self {
        let upstreams = [Upstreams::start(0, peer).await];
        let server = Server::start(&configuration(protocol, &upstreams, settings, of_models)).await;
        let [upstreams] = upstreams;
        Self { upstreams, server }
    }
}

//! Answers end to end: a generated client, our server, and an upstream that speaks a provider's wire protocol, all over
//! real sockets.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects")]

mod support;

use completiond::simulator::{Simulator, Upstream};
use support::{PROTOCOLS, Server, ask, provider};

/// A provider of each protocol at one upstream, called like its protocol.
async fn both() -> (Upstream, Server) {
    let upstream = Upstream::start(Simulator::default()).await.unwrap();
    let providers: String = PROTOCOLS.iter().map(|protocol| provider(protocol, protocol, &upstream.url())).collect();
    let server = Server::start(&format!("providers:\n{providers}")).await;
    (upstream, server)
}

#[tokio::test]
async fn a_prompt_is_answered() {
    let (_upstream, server) = both().await;
    for protocol in PROTOCOLS {
        let asked = ask(&format!("{protocol}/any"), "sim: echo\nWhy is the sky blue?");
        let whole = server.complete(asked.clone()).await.unwrap();
        assert_eq!(whole.text, "Why is the sky blue?", "{protocol}");
        let streamed = server.stream(asked).await.unwrap().fold();
        assert_eq!(streamed.text, whole.text, "{protocol}");
    }
}

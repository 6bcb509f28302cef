//! What tests of connections share: peers that play a part, and waiting for what comes.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::net::{TcpListener, TcpStream};

use super::{Incoming, TransportError};
use crate::count::Total;

/// A server that plays its part with each connection, and how many have come.
pub(super) async fn raw<Played>(part: impl Fn(TcpStream) -> Played + Send + 'static) -> (SocketAddr, Total)
where
    Played: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, accepted) = (listener.local_addr().unwrap(), Total::default());
    let counted = accepted.clone();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            counted.once();
            tokio::spawn(part(socket));
        }
    });
    (address, accepted)
}

/// All of an answer.
pub(super) async fn whole(answer: Result<Incoming, TransportError>) -> Result<Bytes, TransportError> {
    Ok(answer?.into_body().collect().await?.to_bytes())
}

/// Waits until something is so.
pub(super) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what}"));
}

//! Whether a request has left: what was never sent costs nothing.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

/// Whether a request has left. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Departure(Arc<AtomicBool>);

impl Departure {
    /// The request leaves.
    pub fn mark(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// It was refused before anything was done about it.
    pub(super) fn did_not_happen(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether any of it may have reached somebody.
    pub fn happened(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A body that tells when it is asked for: a client does so when it has a connection to write it to, and not before.
#[derive(Debug)]
pub(super) struct Departing {
    body: Full<Bytes>,
    departure: Departure,
}

impl Departing {
    pub(super) fn new(body: Bytes, departure: Departure) -> Self {
        Self { body: Full::new(body), departure }
    }
}

impl Body for Departing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.departure.mark();
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::{Direct, Outgoing, Transport, TransportError, Trust};
    use super::*;
    use crate::count::Count;

    const BODY: &[u8] = b"{\"a\":1}";

    fn outgoing(address: &str, proxy: Option<&str>) -> (Outgoing, Departure) {
        let mut request = http::Request::new(Bytes::from_static(BODY));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = address.parse().unwrap();
        let departure = Departure::default();
        let proxy = proxy.map(|proxy| proxy.parse().unwrap());
        let connect_timeout = Duration::from_secs(20);
        (Outgoing { request, connect_timeout, proxy, departure: departure.clone() }, departure)
    }

    fn clients() -> Direct {
        Direct::new(Trust::default(), Count::default())
    }

    #[tokio::test]
    async fn a_request_that_has_no_connection_has_not_left() {
        // A port that was free a moment ago, and a name that none has.
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        for proxy in [None, Some(format!("http://127.0.0.1:{port}"))] {
            let (outgoing, departure) = outgoing(&format!("http://127.0.0.1:{port}/"), proxy.as_deref());
            let error = clients().send(outgoing).await.unwrap_err();
            assert!(matches!(error, TransportError::Connect(_)), "{error:?}");
            assert!(!departure.happened());
        }
    }

    #[tokio::test]
    async fn a_request_has_left_that_is_never_answered_and_is_whole() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        for proxy in [None, Some(address.as_str())] {
            let (outgoing, departure) = outgoing(&format!("{address}/"), proxy);
            let sent = tokio::spawn(clients().send(outgoing));
            let (mut upstream, _) = listener.accept().await.unwrap();
            let mut received = Vec::new();
            while !received.ends_with(BODY) {
                assert!(upstream.read_buf(&mut received).await.unwrap() > 0, "{received:?}");
            }
            assert!(departure.happened());
            let head = String::from_utf8(received).unwrap().to_ascii_lowercase();
            assert!(head.contains("content-length: 7"), "{head}");
            upstream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            let answer = sent.await.unwrap().unwrap().into_body().collect().await.unwrap();
            assert_eq!(answer.to_bytes(), "ok");
        }
    }
}

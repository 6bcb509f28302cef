//! Small documents from upstreams: whole, bounded, and soon or not at all.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};

use super::{Departure, Outgoing, Transport};

/// The most that is read, in bytes.
const MOST: usize = 1024 * 1024;

/// What `address` answers to a GET; none when that is no success, larger than 1 MiB, or not here within `patience`.
pub async fn fetch(transport: &dyn Transport, address: http::Uri, patience: Duration) -> Option<Bytes> {
    let mut request = http::Request::new(Bytes::new());
    *request.uri_mut() = address;
    let answer = async {
        let outgoing = Outgoing { request, connect_timeout: patience, proxy: None, departure: Departure::default() };
        let response = transport.send(outgoing).await.ok()?;
        if !response.status().is_success() {
            return None;
        }
        Some(Limited::new(response.into_body(), MOST).collect().await.ok()?.to_bytes())
    };
    tokio::time::timeout(patience, answer).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::super::Sending;
    use super::*;

    /// Answers with a status and a body; without a status it never does.
    #[derive(Debug)]
    struct Canned(Option<u16>, Bytes);

    impl Transport for Canned {
        fn send(&self, _: Outgoing) -> Sending {
            let Self(status, body) = self;
            let Some(status) = *status else { return Box::pin(std::future::pending()) };
            let body = Full::new(body.clone()).map_err(|never| match never {}).boxed_unsync();
            let response = http::Response::builder().status(status).body(body).unwrap();
            Box::pin(std::future::ready(Ok(response)))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_small_success_in_time_is_a_document() {
        let small = Bytes::from_static(b"{}");
        let cases = [
            (Canned(Some(200), small.clone()), Some(small.clone())),
            (Canned(Some(404), small), None),
            (Canned(Some(200), Bytes::from(vec![b' '; MOST + 1])), None),
            (Canned(None, Bytes::new()), None),
        ];
        for (transport, expected) in cases {
            let address = http::Uri::from_static("http://127.0.0.1/models");
            assert_eq!(fetch(&transport, address, Duration::from_millis(500)).await, expected);
        }
    }
}

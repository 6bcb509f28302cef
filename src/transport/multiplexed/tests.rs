//! Connections that calls share, at a server of HTTP/2 that does as it is told.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Frame, Incoming as Asked};
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;
use crate::count::Total;
use crate::transport::{Body, Departure, Incoming};

/// What the server is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// Answer, and hold what is asked at `/held`.
    Hold,
    /// Take nothing more on the connections that there are.
    GoAway,
    /// End what is held.
    End,
}

/// A server. Clones are the same.
#[derive(Clone)]
struct Peer {
    address: SocketAddr,
    told: watch::Sender<Told>,
    /// Connections that were made, and those that are open.
    accepted: Total,
    open: Count,
    /// Streams that are answered, and those that were refused.
    streams: Count,
    refused: Total,
}

type Content = UnsyncBoxBody<Bytes, BoxError>;

impl Peer {
    /// Takes `streams` at a time on a connection.
    async fn with(streams: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = Self {
            address: listener.local_addr().unwrap(),
            told: watch::Sender::new(Told::Hold),
            accepted: Total::default(),
            open: Count::default(),
            streams: Count::default(),
            refused: Total::default(),
        };
        let serving = peer.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                tokio::spawn(serving.clone().serve(socket, streams));
            }
        });
        peer
    }

    async fn serve(self, socket: TcpStream, streams: u32) {
        self.accepted.once();
        let _open = self.open.one();
        let mut heard = self.told.subscribe();
        let service = service_fn(move |request| self.clone().answer(request));
        let mut builder = server::Builder::new(TokioExecutor::new());
        builder.max_concurrent_streams(streams);
        let connection = builder.serve_connection(TokioIo::new(socket), service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = heard.wait_for(|told| *told == Told::GoAway) => connection.as_mut().graceful_shutdown(),
        }
        connection.await.ok();
    }

    async fn answer(self, request: Request<Asked>) -> Result<Response<Content>, BoxError> {
        assert_eq!(request.headers().get(HOST), None, "an authority is enough");
        let path = request.uri().path().to_owned();
        let refusals = path.strip_prefix("/full/").map_or(0, |times| times.parse().unwrap());
        if self.refused.now() < refusals {
            self.refused.once();
            return Err(h2::Error::from(h2::Reason::REFUSED_STREAM).into());
        }
        let body = request.into_body().collect().await?.to_bytes();
        let begun = stream::iter([Ok(Frame::data(Bytes::from_static(b"begun")))]);
        let body = match path.as_str() {
            "/held" => begun.chain(stream::once(self.held())).boxed(),
            "/broken" => begun.chain(stream::once(broken())).boxed(),
            "/endless" => stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[b'.'; 16 * 1024])))).boxed(),
            _ => stream::iter([Ok(Frame::data(body))]).boxed(),
        };
        Ok(Response::new(StreamBody::new(body).boxed_unsync()))
    }

    async fn held(self) -> Result<Frame<Bytes>, BoxError> {
        let _stream = self.streams.one();
        self.told.subscribe().wait_for(|told| *told == Told::End).await?;
        Ok(Frame::data(Bytes::from_static(b"ended")))
    }

    fn tell(&self, told: Told) {
        self.told.send_replace(told);
    }

    fn asked(&self, path: &str) -> Outgoing {
        asked(self.address, path)
    }
}

/// Fails, a moment later: a reset takes with it what has not been sent.
async fn broken() -> Result<Frame<Bytes>, BoxError> {
    tokio::time::sleep(Duration::from_millis(50)).await;
    Err("the script says so".into())
}

fn asked(address: SocketAddr, path: &str) -> Outgoing {
    let mut request = Request::new(Bytes::from_static(b"asked"));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = format!("http://{address}{path}").parse().unwrap();
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().insert(HOST, http::HeaderValue::from_static("other.example"));
    Outgoing { request, connect_timeout: Duration::from_secs(5), proxy: None, departure: Departure::default() }
}

fn client() -> (Multiplexed, Count) {
    let open = Count::default();
    (Multiplexed::new(Trust::default(), open.clone()), open)
}

async fn whole(answer: Result<Incoming, TransportError>) -> Result<Bytes, TransportError> {
    Ok(answer?.into_body().collect().await?.to_bytes())
}

/// Begins a stream, and waits for its first piece.
async fn begun(client: &Multiplexed, outgoing: Outgoing) -> Body {
    let mut body = client.send(outgoing).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "begun");
    body
}

/// Waits until something is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn calls_share_a_connection_and_none_waits_for_another_one_to_end() {
    let peer = Peer::with(4).await;
    let (client, open) = client();
    let streams = join_all((0..10).map(|_| begun(&client, peer.asked("/held")))).await;
    assert_eq!(peer.accepted.now(), 3, "ten calls, four on each connection");
    assert_eq!(open.now(), 3);
    // Room that was left is taken, whoever else is still there.
    let mut streams = streams.into_iter();
    streams.by_ref().take(3).for_each(drop);
    let more = join_all((0..5).map(|_| begun(&client, peer.asked("/held")))).await;
    assert_eq!(peer.accepted.now(), 3);
    peer.tell(Told::End);
    for body in streams.chain(more) {
        assert_eq!(body.collect().await.unwrap().to_bytes(), "ended");
    }
}

#[tokio::test]
async fn a_request_comes_whole_and_has_left_when_it_is_asked_for() {
    let peer = Peer::with(1).await;
    let (client, _) = client();
    let outgoing = peer.asked("/whole");
    let departure = outgoing.departure.clone();
    assert!(!departure.happened());
    assert_eq!(whole(client.send(outgoing).await).await.unwrap(), "asked");
    assert!(departure.happened());
}

#[tokio::test]
async fn a_call_that_is_given_up_takes_no_other_with_it() {
    let peer = Peer::with(100).await;
    let (client, _) = client();
    let kept = begun(&client, peer.asked("/held")).await;
    // As many as a library may take for a fault.
    for _ in 0..30 {
        drop(join_all((0..50).map(|_| client.send(peer.asked("/endless")))).await);
        drop(client.send(peer.asked("/held")));
    }
    until("what was given up is told", || peer.streams.now() <= 1).await;
    assert_eq!(peer.accepted.now(), 1);
    peer.tell(Told::End);
    assert_eq!(kept.collect().await.unwrap().to_bytes(), "ended");
}

#[tokio::test]
async fn a_stream_that_breaks_is_lost_and_no_other_with_it() {
    let peer = Peer::with(100).await;
    let (client, _) = client();
    let kept = begun(&client, peer.asked("/held")).await;
    let broken = begun(&client, peer.asked("/broken")).await;
    assert!(matches!(broken.collect().await, Err(TransportError::Lost(_))));
    peer.tell(Told::End);
    assert_eq!(kept.collect().await.unwrap().to_bytes(), "ended");
    assert_eq!(peer.accepted.now(), 1);
}

#[tokio::test]
async fn a_call_that_was_refused_before_it_began_is_made_again_a_few_times() {
    let peer = Peer::with(100).await;
    let (client, _) = client();
    assert_eq!(whole(client.send(peer.asked("/full/3")).await).await.unwrap(), "asked");
    assert!(matches!(client.send(peer.asked("/full/1000")).await, Err(TransportError::Lost(_))));
    assert_eq!(peer.refused.now(), 3 + 4);
}

#[tokio::test]
async fn readers_who_stand_still_keep_nobody_else_waiting() {
    let peer = Peer::with(100).await;
    let (client, _) = client();
    let still = join_all((0..90).map(|_| client.send(peer.asked("/endless")))).await;
    // Long enough for each of them to be sent all that may be sent ahead.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(whole(client.send(peer.asked("/whole")).await).await.unwrap(), "asked");
    assert_eq!(peer.accepted.now(), 1);
    assert!(still.iter().all(Result::is_ok));
}

#[tokio::test]
async fn an_upstream_that_goes_away_ends_what_it_has_begun_and_is_asked_again_elsewhere() {
    let peer = Peer::with(100).await;
    let (client, open) = client();
    let kept = begun(&client, peer.asked("/held")).await;
    peer.tell(Told::GoAway);
    tokio::time::sleep(Duration::from_millis(100)).await;
    peer.tell(Told::Hold);
    assert_eq!(whole(client.send(peer.asked("/whole")).await).await.unwrap(), "asked");
    assert_eq!(peer.accepted.now(), 2);
    peer.tell(Told::End);
    assert_eq!(kept.collect().await.unwrap().to_bytes(), "ended");
    until("the one that was left is closed", || open.now() == 1).await;
}

#[tokio::test]
async fn who_does_not_speak_it_is_not_reached_and_nothing_has_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let old = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut received = [0; 24];
        socket.read_exact(&mut received).await.unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        // One that says nothing.
        listener.accept().await.unwrap()
    });
    let (client, open) = client();
    let outgoing = asked(address, "/whole");
    let departure = outgoing.departure.clone();
    assert!(matches!(client.send(outgoing).await, Err(TransportError::Connect(_))));
    assert!(!departure.happened());
    let outgoing = Outgoing { connect_timeout: Duration::from_millis(200), ..asked(address, "/whole") };
    assert!(matches!(client.send(outgoing).await, Err(TransportError::ConnectTimeout(_))));
    drop(old.await.unwrap());
    until("no connection is left", || open.now() == 0).await;
}

#[tokio::test]
async fn who_waits_for_a_connection_waits_no_longer_than_it_may_take() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, _) = client();
    let begun = std::time::Instant::now();
    let all = (0..20)
        .map(|_| client.send(Outgoing { connect_timeout: Duration::from_millis(300), ..asked(address, "/whole") }));
    for answer in join_all(all).await {
        assert!(matches!(answer, Err(TransportError::ConnectTimeout(_))), "{answer:?}");
    }
    // One after the other they would take six seconds.
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn what_nobody_uses_is_closed() {
    let peer = Peer::with(1).await;
    let (client, open) = client();
    let client = Multiplexed { idle: Duration::from_millis(50), ..client };
    let held = begun(&client, peer.asked("/held")).await;
    drop(begun(&client, peer.asked("/held")).await);
    until("the one without a stream is closed", || open.now() == 1).await;
    // With a stream it stays, however long that says nothing.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!((peer.accepted.now(), open.now()), (2, 1));
    drop(held);
    until("the other one, too", || open.now() == 0 && peer.open.now() == 0).await;
    assert_eq!(whole(client.send(peer.asked("/whole")).await).await.unwrap(), "asked");
}

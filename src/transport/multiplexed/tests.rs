//! Connections that calls share, at a server of HTTP/2 that does as it is told.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use http::{Request, Response, Version};
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Frame, Incoming as Asked};
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;
use crate::count::{Held, Total};
use crate::transport::peers::{raw, until, whole};
use crate::transport::{Body, BoxError, Departure};

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
        Self::only(usize::MAX, streams).await
    }

    /// Takes `connections` in all, and `streams` at a time on each.
    async fn only(connections: usize, streams: u32) -> Self {
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
            for _ in 0..connections {
                let (socket, _) = listener.accept().await.unwrap();
                tokio::spawn(serving.clone().serve(socket, streams));
            }
            // The system takes more of them, and nobody says anything.
            std::future::pending::<()>().await;
            drop(listener);
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
        let stream = Arc::new(self.streams.one());
        let body = request.into_body().collect().await?.to_bytes();
        if path == "/silent" {
            std::future::pending::<()>().await;
        }
        let repeated = |bytes: &'static [u8]| {
            let stream = Arc::clone(&stream);
            stream::repeat_with(move || {
                let _stream = &stream;
                Ok(Frame::data(Bytes::from_static(bytes)))
            })
        };
        let begun = stream::iter([Ok(Frame::data(Bytes::from_static(b"begun")))]);
        let body = match path.as_str() {
            "/held" => begun.chain(stream::once(self.held(Arc::clone(&stream)))).boxed(),
            "/broken" => begun.chain(stream::once(broken())).boxed(),
            "/endless" => repeated(&[b'.'; 16 * 1024]).boxed(),
            "/drops" => repeated(&[b'.'; 100]).boxed(),
            _ => stream::iter([Ok(Frame::data(body))]).boxed(),
        };
        Ok(Response::new(StreamBody::new(body).boxed_unsync()))
    }

    async fn held(self, _stream: Arc<Held>) -> Result<Frame<Bytes>, BoxError> {
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

/// Begins a stream, and waits for its first piece.
async fn begun(client: &Multiplexed, outgoing: Outgoing) -> Body {
    let mut body = client.send(outgoing).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "begun");
    body
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
    // Before there is an answer, and within one; as often as a library may take for a fault.
    for _ in 0..30 {
        let silent: Vec<_> = (0..20).map(|_| tokio::spawn(client.send(peer.asked("/silent")))).collect();
        let endless = join_all((0..30).map(|_| client.send(peer.asked("/endless")))).await;
        until("all of them are there", || peer.streams.now() == 1 + 20 + 30).await;
        silent.iter().for_each(tokio::task::JoinHandle::abort);
        drop(endless);
        until("what was given up is told", || peer.streams.now() == 1).await;
    }
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
    assert_eq!(peer.accepted.now(), 4, "each time where there may be room");
    let outgoing = peer.asked("/full/1000");
    let departure = outgoing.departure.clone();
    assert!(matches!(client.send(outgoing).await, Err(TransportError::Lost(_))));
    assert_eq!(peer.refused.now(), 3 + 4);
    assert!(!departure.happened(), "it did nothing, so it costs nothing");
}

#[tokio::test]
async fn readers_who_stand_still_keep_nobody_else_waiting() {
    let peer = Peer::with(100).await;
    let (client, _) = client();
    // In large pieces and in small ones, which a library counts.
    let still = join_all((0..90).map(|one| client.send(peer.asked(["/endless", "/drops", "/drops"][one % 3])))).await;
    // Long enough for each of them to be sent all that may be sent ahead.
    tokio::time::sleep(Duration::from_secs(2)).await;
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

/// Takes a request, and goes away with an error, as if the streams up to `last` had been begun.
async fn goes_away(mut socket: TcpStream, last: u8) -> std::io::Result<()> {
    socket.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await?;
    let mut received = Vec::new();
    while !received.ends_with(b"asked") {
        if socket.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
    socket.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, last, 0, 0, 0, 2]).await
}

#[tokio::test]
async fn what_an_upstream_may_have_begun_is_not_sent_twice_and_what_it_has_not_is() {
    for (last, sent) in [(1, 1), (0, 4)] {
        let (address, accepted) = raw(move |socket| goes_away(socket, last)).await;
        let (client, _) = client();
        let outgoing = asked(address, "/whole");
        let departure = outgoing.departure.clone();
        assert!(matches!(client.send(outgoing).await, Err(TransportError::Lost(_))));
        assert_eq!((accepted.now(), departure.happened()), (sent, last > 0));
    }
}

#[tokio::test]
async fn who_does_not_speak_it_is_not_reached_and_nothing_has_left() {
    let old = |mut socket: TcpStream| async move {
        socket.read_exact(&mut [0; 24]).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await
    };
    let (address, _) = raw(old).await;
    let (client, open) = client();
    let begun = std::time::Instant::now();
    let all: Vec<_> = (0..50).map(|_| asked(address, "/whole")).collect();
    let departures: Vec<_> = all.iter().map(|outgoing| outgoing.departure.clone()).collect();
    for answer in join_all(all.into_iter().map(|outgoing| client.send(outgoing))).await {
        assert!(matches!(answer, Err(TransportError::NoHttp2(_))), "{answer:?}");
    }
    assert!(!departures.iter().any(Departure::happened));
    // One after the other they would take five seconds.
    assert!(begun.elapsed() < Duration::from_secs(3));
    until("no connection is left", || open.now() == 0).await;
}

#[tokio::test]
async fn who_waits_has_the_room_that_another_call_leaves() {
    let peer = Peer::only(1, 1).await;
    let (client, _) = client();
    let held = begun(&client, peer.asked("/held")).await;
    let waiting = tokio::spawn(client.send(peer.asked("/whole")));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    drop(held);
    assert_eq!(whole(waiting.await.unwrap()).await.unwrap(), "asked");
}

#[tokio::test]
async fn a_connection_is_made_for_those_who_wait_even_if_the_first_gives_up() {
    let late = |socket: TcpStream| async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        goes_away(socket, 1).await
    };
    let (address, accepted) = raw(late).await;
    let (client, _) = client();
    let first = tokio::spawn(client.send(asked(address, "/whole")));
    until("it is being made", || accepted.now() == 1).await;
    first.abort();
    assert!(matches!(client.send(asked(address, "/whole")).await, Err(TransportError::Lost(_))));
    assert_eq!(accepted.now(), 1);
}

#[tokio::test]
async fn who_waits_for_a_connection_waits_no_longer_than_it_may_take() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, open) = client();
    let begun = std::time::Instant::now();
    let all = (0..20)
        .map(|_| client.send(Outgoing { connect_timeout: Duration::from_millis(300), ..asked(address, "/whole") }));
    for answer in join_all(all).await {
        assert!(matches!(answer, Err(TransportError::ConnectTimeout(_))), "{answer:?}");
    }
    until("none is made any longer", || open.now() == 0).await;
    // One after the other they would take six seconds.
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn what_nobody_uses_is_closed() {
    let peer = Peer::with(1).await;
    let (mut client, open) = client();
    client.hosts.idle = Duration::from_millis(50);
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

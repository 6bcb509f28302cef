//! One connection, served by one worker from its first byte to its last.

use std::io;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rand::Rng;
use tokio::net::{TcpStream, UnixStream};

use super::Certified;
use super::gate::{ConnectionBounds, Gate};
use super::greeting::Greeted;
use super::grpc::Served;
use super::handshake;
use super::hangup::{self, Wire};
use super::socket::Socket;
use super::streams::{Activity, Streams};

/// What one stream may send ahead before it is read, in bytes: a large prompt in one go.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// What all streams of a connection may send ahead, in bytes.
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
/// What is held of a stream that its client does not take, in bytes; then its upstream is slowed.
const SEND_BUFFER: usize = 64 * 1024;
/// How often a silent connection is asked whether it is alive, and how long it may take to say so.
const PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));
/// How long a client may take to say which HTTP it speaks.
const GREETING: Duration = Duration::from_secs(20);
/// Streams that were reset before they were accepted; beyond that the connection is hostile.
const PENDING_RESETS: usize = 64;
/// How long a client that was told to go away may take to do so when nothing of it runs.
const FAREWELL: Duration = Duration::from_secs(30);
/// The least that HTTP/1.1 reads at a time, in bytes.
const LEAST_HEAD: usize = 8 * 1024;
/// By how much the ages of connections differ, so that those that began together do not end together.
const JITTER: std::ops::RangeInclusive<f64> = 0.9..=1.1;
/// How long a client of HTTP/1.1 has its answer made that sends nothing more. Most often it has gone; one that has only closed
/// its half of the connection gets what is made at once.
const LAST_ANSWER: Duration = Duration::from_millis(100);
/// Why such a connection ended.
const LEFT: &str = "its client has gone";

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Serves every call on a connection, until its client closes it, the drain does, or it has lasted long enough.
pub(super) async fn serve(socket: Socket, service: Served, gate: &Gate) {
    let served = match socket {
        Socket::Tcp(stream) => over_tcp(stream, service, gate).await,
        Socket::Unix(stream) => match UnixStream::from_std(stream) {
            Ok(stream) => http(stream, service, None, gate).await,
            Err(error) => Err(error.into()),
        },
    };
    if let Err(error) = served {
        tracing::debug!(error, "connection ended");
    }
}

async fn over_tcp(stream: std::net::TcpStream, service: Served, gate: &Gate) -> Result<(), BoxError> {
    let stream: io::Result<TcpStream> = TcpStream::from_std(stream);
    let stream = stream?;
    let Some(tls) = &gate.tls else { return http(stream, service, None, gate).await };
    // In a box while it lasts: what a handshake needs is not kept for the life of the connection.
    let Some(stream) = Box::pin(handshake::shake(stream, tls, gate)).await else { return Ok(()) };
    let certified = handshake::certified(&stream);
    http(stream, service, certified, gate).await
}

async fn http(io: impl Wire, service: Served, certified: Option<Certified>, gate: &Gate) -> Result<(), BoxError> {
    let activity = Activity::new();
    let streams = Streams { service, activity: activity.clone(), certified };
    let builder = builder(&gate.bounds);
    let refused = gate.tls.is_none().then(|| gate.refused.clone());
    let (speaks_one, hangup) = hangup::watch();
    let io = TokioIo::new(Box::pin(Greeted::new(io, GREETING, refused, speaks_one)));
    let mut connection = std::pin::pin!(builder.serve_connection(io, streams));
    let mut hangup = std::pin::pin!(hangup.happens());
    let max_age = gate.bounds.max_age.map(|age| age.mul_f64(rand::rng().random_range(JITTER)));
    tokio::select! {
        biased;
        served = connection.as_mut() => return served,
        () = hangup.as_mut() => return last_answer(connection).await,
        () = gate.drain.refusing() => {}
        lasted = activity.has_lasted(gate.bounds.max_idle, max_age) => {
            tracing::debug!(?lasted, "a connection is told to go away");
        }
    }
    connection.as_mut().graceful_shutdown();
    activity.leave();
    tokio::select! {
        served = connection.as_mut() => served,
        () = hangup => last_answer(connection).await,
        () = activity.is_over(FAREWELL, gate.bounds.longest_call) => {
            tracing::debug!("a connection is cut: its client was told to go away and has not");
            Ok(())
        }
    }
}

/// Serves a connection for a moment more whose client sends nothing more.
async fn last_answer(connection: impl Future<Output = Result<(), BoxError>>) -> Result<(), BoxError> {
    tokio::time::timeout(LAST_ANSWER, connection).await.unwrap_or_else(|_| Err(LEFT.into()))
}

fn builder(bounds: &ConnectionBounds) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_concurrent_streams(bounds.max_streams)
        .max_header_list_size(bounds.max_metadata_bytes)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1);
    // Which is also what a client of HTTP/1.1 may send ahead.
    let max_head = usize::try_from(bounds.max_metadata_bytes).unwrap_or(usize::MAX).max(LEAST_HEAD);
    let mut http1 = builder.http1();
    http1.timer(TokioTimer::new()).header_read_timeout(PING.1).max_buf_size(max_head);
    // Who sends nothing more is seen by `hangup`, whatever was sent before.
    http1.half_close(true);
    builder
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;
    use tower::util::BoxCloneSyncService;

    use super::*;
    use crate::count::Count;
    use crate::edge::{Drain, Refusals};

    fn gate(bounds: ConnectionBounds) -> Gate {
        let (drain, open, refused) = (Drain::default(), Count::default(), Refusals::default());
        Gate { face: 0, drain, tls: None, bounds, open, refused }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_greet_is_not_kept() {
        for said in
            ["", "P", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\n", "GET /a/longer/path HTTP/1.1\r\nhost: server\r\n"]
        {
            let (here, mut there) = tokio::io::duplex(1024);
            let silent = BoxCloneSyncService::new(tower::service_fn(|_| std::future::pending()));
            let begun = Instant::now();
            let served = tokio::spawn(async move {
                let _ = http(here, silent, None, &gate(ConnectionBounds::default())).await;
            });
            there.write_all(said.as_bytes()).await.unwrap();
            let _ = there.read_to_end(&mut Vec::new()).await;
            served.await.unwrap();
            assert!(begun.elapsed() < 2 * GREETING, "{said:?}: {:?}", begun.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_greets_is_kept_while_it_answers() {
        let (here, there) = tokio::io::duplex(64 * 1024);
        let silent = BoxCloneSyncService::new(tower::service_fn(|_| std::future::pending()));
        tokio::spawn(async move {
            let _ = http(here, silent, None, &gate(ConnectionBounds::default())).await;
        });
        let client = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (mut sender, connection) =
            client.handshake::<_, http_body_util::Empty<bytes::Bytes>>(TokioIo::new(there)).await.unwrap();
        let connection = tokio::spawn(connection);
        tokio::time::sleep(20 * PING.0).await;
        assert!(sender.ready().await.is_ok() && !connection.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_has_lasted_is_told_to_go_away_and_its_streams_go_on() {
        let (here, there) = tokio::io::duplex(64 * 1024);
        let slow = BoxCloneSyncService::new(tower::service_fn(|_| async {
            tokio::time::sleep(Duration::from_secs(600)).await;
            Ok(http::Response::new(tonic::body::Body::empty()))
        }));
        let bounds = ConnectionBounds { max_age: Some(Duration::from_secs(60)), ..Default::default() };
        let served = tokio::spawn(async move { http(here, slow, None, &gate(bounds)).await.is_ok() });
        let client = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (mut sender, connection) =
            client.handshake::<_, http_body_util::Empty<bytes::Bytes>>(TokioIo::new(there)).await.unwrap();
        let connection = tokio::spawn(connection);
        let begun = Instant::now();
        let answer = sender.send_request(http::Request::get("http://server/").body(Default::default()).unwrap());
        assert!(answer.await.unwrap().status().is_success());
        connection.await.unwrap().unwrap();
        assert!(served.await.unwrap());
        assert_eq!(begun.elapsed().as_secs(), 600);
    }

    /// A frame of HTTP/2.
    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [length[1], length[2], length[3], kind, flags];
        [&head[..], &stream.to_be_bytes(), payload].concat()
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_go_away_is_cut_when_its_calls_have_had_their_time() {
        const PING: u8 = 6;
        let (here, mut there) = tokio::io::duplex(64 * 1024);
        let quick = BoxCloneSyncService::new(tower::service_fn(|_| async {
            let body = http_body_util::Full::new(bytes::Bytes::from_static(b"an answer"));
            Ok(http::Response::new(tonic::body::Body::new(body)))
        }));
        let (max_age, longest_call) = (Some(Duration::from_secs(60)), Duration::from_secs(100));
        let bounds = ConnectionBounds { max_age, longest_call, ..Default::default() };
        let begun = Instant::now();
        let served = tokio::spawn(async move { http(here, quick, None, &gate(bounds)).await.is_ok() });
        there.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        // It takes nothing of any answer.
        there.write_all(&frame(4, 0, 0, &[0, 4, 0, 0, 0, 0])).await.unwrap();
        // A GET of `/` over http, by the numbers of the static table.
        there.write_all(&frame(1, 5, 1, &[0x82, 0x84, 0x86])).await.unwrap();
        let staying = async {
            let mut head = [0; 9];
            while there.read_exact(&mut head).await.is_ok() {
                let mut payload = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
                there.read_exact(&mut payload).await.unwrap();
                // It says that it is there, and that it has heard, and does nothing of what it was told.
                if head[3] == PING && head[4] == 0 {
                    there.write_all(&frame(PING, 1, 0, &payload)).await.unwrap();
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(1000), staying).await.unwrap();
        assert!(served.await.unwrap());
        assert!((180..200).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    }
}

//! One connection, served by one worker from its first byte to its last.

use std::io;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpStream, UnixStream};

use super::Drain;
use super::greeting::Greeted;
use super::grpc::Served;

/// A connection on its way to a worker: registered with no runtime yet.
#[derive(Debug)]
pub enum Connection {
    /// Over TCP.
    Tcp(std::net::TcpStream),
    /// Through a socket in the file system.
    Unix(std::os::unix::net::UnixStream),
}

/// What one stream may send ahead before it is read, in bytes: a large prompt in one go.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// What all streams of a connection may send ahead, in bytes.
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
/// What is held of a stream that its client does not take, in bytes; then its upstream is slowed.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams on one connection at a time; clients open another connection beyond that.
const STREAMS: u32 = 1000;
/// The metadata of one call, in bytes.
const METADATA: u32 = 64 * 1024;
/// How often a silent connection is asked whether it is alive, and how long it may take to say so.
const PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));
/// How long a client may take to say which HTTP it speaks.
const GREETING: Duration = Duration::from_secs(20);
/// Streams that were reset before they were accepted; beyond that the connection is hostile.
const PENDING_RESETS: usize = 64;

impl Connection {
    /// Serves every call on this connection, until its client closes it or the drain does.
    pub(super) async fn serve(self, service: Served, drain: Drain) {
        let served = match self {
            Self::Tcp(stream) => match registered(stream, TcpStream::from_std) {
                Ok(stream) => serve(stream, service, drain).await,
                Err(error) => Err(error.into()),
            },
            Self::Unix(stream) => match registered(stream, UnixStream::from_std) {
                Ok(stream) => serve(stream, service, drain).await,
                Err(error) => Err(error.into()),
            },
        };
        if let Err(error) = served {
            tracing::debug!(error, "connection ended");
        }
    }
}

fn registered<Std, Tokio>(stream: Std, register: fn(Std) -> io::Result<Tokio>) -> io::Result<Tokio> {
    register(stream)
}

async fn serve<Io>(io: Io, service: Served, drain: Drain) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    Io: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let builder = builder();
    let io = TokioIo::new(Box::pin(Greeted::new(io, GREETING)));
    let connection = builder.serve_connection(io, TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        served = connection.as_mut() => return served,
        () = drain.refusing() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(METADATA)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PING.1);
    builder
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;
    use tower::util::BoxCloneSyncService;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_greet_is_not_kept() {
        for said in
            ["", "P", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\n", "GET /a/longer/path HTTP/1.1\r\nhost: server\r\n"]
        {
            let (here, mut there) = tokio::io::duplex(1024);
            let silent = BoxCloneSyncService::new(tower::service_fn(|_| std::future::pending()));
            let begun = Instant::now();
            let served = tokio::spawn(async move {
                let _ = serve(here, silent, Drain::default()).await;
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
            let _ = serve(here, silent, Drain::default()).await;
        });
        let client = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (mut sender, connection) =
            client.handshake::<_, http_body_util::Empty<bytes::Bytes>>(TokioIo::new(there)).await.unwrap();
        let connection = tokio::spawn(connection);
        tokio::time::sleep(20 * PING.0).await;
        assert!(sender.ready().await.is_ok() && !connection.is_finished());
    }
}

//! That a client has gone, where nobody reads what it says.
//!
//! Over HTTP/1.1 nothing is read behind a request before its answer has ended, and the end of a connection stands behind
//! what was sent before it: a byte too many would hide it, and the call with its place and its upstream would go on for
//! nobody. The system knows of the end without reading. Over HTTP/2 everything is read at once, and none of this is needed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio_rustls::server::TlsStream;

/// What HTTP is spoken over.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The socket at the bottom; none: there is none.
    fn socket(&self) -> Option<BorrowedFd<'_>>;
}

impl Wire for TcpStream {
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
}

impl Wire for UnixStream {
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
}

impl Wire for TlsStream<TcpStream> {
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.get_ref().0.socket()
    }
}

#[cfg(test)]
impl Wire for tokio::io::DuplexStream {
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// Tells which socket is to be watched. Dropped, none is.
#[derive(Debug)]
pub(super) struct Telling(oneshot::Sender<OwnedFd>);

/// Watches the socket that it is told.
#[derive(Debug)]
pub(super) struct Hangup(oneshot::Receiver<OwnedFd>);

/// Both ends of one watch.
pub(super) fn watch() -> (Telling, Hangup) {
    let (sender, receiver) = oneshot::channel();
    (Telling(sender), Hangup(receiver))
}

impl Telling {
    /// Has the socket of `wire` watched.
    pub(super) fn tell(self, wire: &impl Wire) {
        // A handle of its own has readiness of its own: what is noted here is not missed by who reads.
        match wire.socket().map(|socket| socket.try_clone_to_owned()) {
            Some(Ok(socket)) => drop(self.0.send(socket)),
            Some(Err(error)) => tracing::debug!(%error, "a connection is not watched for its end"),
            None => {}
        }
    }
}

impl Hangup {
    /// Waits until the client has closed its end; for ever, where no socket is watched.
    pub(super) async fn happens(self) {
        let Ok(socket) = self.0.await else { return std::future::pending().await };
        if let Err(error) = closed(socket).await {
            tracing::debug!(%error, "a connection is not watched for its end");
            std::future::pending().await
        }
    }
}

/// Waits until the other end has closed.
async fn closed(socket: OwnedFd) -> io::Result<()> {
    // Only its readiness is asked for, and in that sockets of all kinds are the same.
    let socket = TcpStream::from_std(socket.into())?;
    while !socket.ready(Interest::READABLE).await?.is_read_closed() {
        // Bytes that wait for their reader: the next change is waited for.
        let _ = socket.try_io(Interest::READABLE, || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into()));
    }
    Ok(())
}

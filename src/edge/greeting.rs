//! A connection whose client must say something: one that is opened and left silent would be held for ever, and a
//! thousand of them are a thousand file descriptors.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::gate::{Refusal, Refusals};

/// The bytes after which both versions of HTTP have timers of their own: the length of HTTP/2's preface.
const GREETING_BYTES: usize = 24;
/// The first byte of a TLS handshake, with which no HTTP begins.
const TLS: u8 = 0x16;

pin_project! {
    /// A socket on which reading fails when the greeting does not come in time.
    pub(super) struct Greeted<Io> {
        #[pin]
        io: Io,
        #[pin]
        end: Sleep,
        missing: usize,
        refused: Option<Refusals>,
    }
}

impl<Io> Greeted<Io> {
    /// `refused` counts clients that speak TLS; none: it is spoken here, and that is not looked at.
    pub(super) fn new(io: Io, patience: Duration, refused: Option<Refusals>) -> Self {
        Self { io, end: tokio::time::sleep(patience), missing: GREETING_BYTES, refused }
    }
}

impl<Io: AsyncRead> AsyncRead for Greeted<Io> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = into.filled().len();
        let read = this.io.poll_read(context, into);
        if *this.missing == 0 {
            return read;
        }
        if *this.missing == GREETING_BYTES
            && into.filled().get(before) == Some(&TLS)
            && let Some(refused) = this.refused.take()
        {
            // What it is told is that this is HTTP, in plain text: clients have words for that.
            refused.note(Refusal::Tls);
            tracing::debug!("a client speaks TLS, and this listener does not");
        }
        *this.missing = this.missing.saturating_sub(into.filled().len() - before);
        if read.is_pending() && *this.missing > 0 && this.end.poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<Io: AsyncWrite> AsyncWrite for Greeted<Io> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.project().io.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().io.poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

//! A connection whose client must say something: one that is opened and left silent would be held for ever, and a
//! thousand of them are a thousand file descriptors. And the first that tells which HTTP it speaks.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::gate::{Refusal, Refusals};
use super::hangup::{Telling, Wire};

/// What every client says first that speaks HTTP/2. After as many bytes both versions have timers of their own.
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
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
        speaks_one: Option<Telling>,
    }
}

impl<Io> Greeted<Io> {
    /// `refused` counts clients that speak TLS; none: it is spoken here, and that is not looked at. `speaks_one` is told of
    /// one that speaks HTTP/1.1.
    pub(super) fn new(io: Io, patience: Duration, refused: Option<Refusals>, speaks_one: Telling) -> Self {
        let end = tokio::time::sleep(patience);
        Self { io, end, missing: PREFACE.len(), refused, speaks_one: Some(speaks_one) }
    }
}

impl<Io: Wire> AsyncRead for Greeted<Io> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut this = self.project();
        let before = into.filled().len();
        let read = this.io.as_mut().poll_read(context, into);
        if *this.missing == 0 {
            return read;
        }
        let said = into.filled().get(before..).unwrap_or_default();
        if *this.missing == PREFACE.len()
            && said.first() == Some(&TLS)
            && let Some(refused) = this.refused.take()
        {
            // What it is told is that this is HTTP, in plain text: clients have words for that.
            refused.note(Refusal::Tls);
            tracing::debug!("a client speaks TLS, and this listener does not");
        }
        let expected = PREFACE.iter().skip(PREFACE.len() - *this.missing);
        if said.iter().zip(expected).any(|(said, expected)| said != expected)
            && let Some(speaks_one) = this.speaks_one.take()
        {
            speaks_one.tell(&*this.io);
        }
        *this.missing = this.missing.saturating_sub(said.len());
        if *this.missing == 0 {
            *this.speaks_one = None;
        }
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

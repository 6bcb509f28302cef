//! A connection that counts as long as it is open.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use pin_project_lite::pin_project;

use crate::count::Held;

pin_project! {
    /// A connection, and its place in the count.
    pub(super) struct Counted<Io> {
        #[pin]
        io: Io,
        _held: Held,
    }
}

impl<Io> Counted<Io> {
    pub(super) fn new(io: Io, held: Held) -> Self {
        Self { io, _held: held }
    }
}

impl<Io: Connection> Connection for Counted<Io> {
    fn connected(&self) -> Connected {
        self.io.connected()
    }
}

impl<Io: Read> Read for Counted<Io> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_read(context, into)
    }
}

impl<Io: Write> Write for Counted<Io> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.project().io.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().io.poll_write_vectored(context, bytes)
    }
}

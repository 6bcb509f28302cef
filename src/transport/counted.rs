//! What counts as long as it is open: a connection, a body.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use pin_project_lite::pin_project;

use crate::count::Held;

pin_project! {
    /// Something, and its place in a count.
    #[derive(Debug)]
    pub(super) struct Counted<Inner, Place = Held> {
        #[pin]
        inner: Inner,
        _place: Place,
    }
}

impl<Inner, Place> Counted<Inner, Place> {
    pub(super) fn new(inner: Inner, place: Place) -> Self {
        Self { inner, _place: place }
    }
}

impl<Inner: Connection, Place> Connection for Counted<Inner, Place> {
    fn connected(&self) -> Connected {
        self.inner.connected()
    }
}

impl<Inner: Read, Place> Read for Counted<Inner, Place> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_read(context, into)
    }
}

impl<Inner: Write, Place> Write for Counted<Inner, Place> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write_vectored(context, bytes)
    }
}

impl<Inner: Body, Place> Body for Counted<Inner, Place> {
    type Data = Inner::Data;
    type Error = Inner::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.project().inner.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

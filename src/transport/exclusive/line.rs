//! A connection that one call has at a time, and what a call has of it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use hyper::client::conn::{TrySendError, http1};
use tokio::task::unconstrained;
use tokio::time::Instant;

use crate::transport::connector::Connection;
use crate::transport::departure::Departing;
use crate::transport::host::{Host, Made, NotMade};
use crate::transport::{Incoming, TransportError};

/// The most that is read at a time, and the largest head, in bytes. What is read at a time is worked off before another
/// call of the worker has its turn.
const READ_BYTES: usize = 64 * 1024;

/// What is sent. In a box: the library keeps room for 32 requests on each connection.
pub(super) type Sent = Box<Departing>;

/// A connection that a call has, or that nobody has. When it is dropped it is closed, which stops the upstream.
#[derive(Debug)]
pub(super) struct Line {
    sender: http1::SendRequest<Sent>,
    /// What keeps it going; none when it has ended, and whoever waits for it then hears of that.
    driven: Option<http1::Connection<Connection, Sent>>,
    /// Whose it is, to whom it goes back.
    host: Weak<Host<Box<Line>>>,
    /// Since when none has it.
    free_since: Instant,
}

/// The body of an answer, with the connection on which it comes: they are dropped in this order.
struct Arriving {
    incoming: hyper::body::Incoming,
    lent: Lent,
}

/// A connection until the answer on it is over: none after that.
struct Lent(Option<Box<Line>>);

impl Made for Box<Line> {
    const VERSION: Version = Version::HTTP_11;
    const ROOM: usize = 1;
    type Seat = Self;

    async fn over(connection: Connection, host: &Arc<Host<Self>>) -> Result<Self, NotMade> {
        let begun = http1::Builder::new().max_buf_size(READ_BYTES).handshake(connection).await;
        let (sender, driven) = begun.map_err(|error| NotMade::because(error.into(), Self::VERSION))?;
        let (host, driven) = (Arc::downgrade(host), Some(driven));
        let mut line = Self::new(Line { sender, driven, host, free_since: Instant::now() });
        if line.is_still_free() {
            Ok(line)
        } else {
            // An error, and not only one connection less: one more would be made for who waits, again and again.
            Err(NotMade::because(
                "it has closed the connection at once, or has spoken before it was asked".into(),
                Self::VERSION,
            ))
        }
    }

    fn room(&self) -> usize {
        Self::ROOM
    }

    /// The one that was given back last, so that the others grow old.
    fn free(made: &mut Vec<Self>, _: &Arc<Host<Self>>) -> Option<Self> {
        loop {
            let mut line = made.pop()?;
            if line.is_still_free() {
                return Some(line);
            }
        }
    }
}

impl Line {
    /// Whether it is open and can take a call. It goes on for that: that the peer has closed it, or has sent what nobody asked for, is
    /// seen by reading.
    pub(super) fn is_still_free(&mut self) -> bool {
        let look = poll_fn(|context| {
            self.drive(context);
            Poll::Ready(())
        });
        // Unconstrained: at the end of a task's turn nothing could be read, and each would look as if it were open.
        let looked = pin!(unconstrained(look)).poll(&mut unheard());
        looked.is_ready() && self.driven.is_some() && self.sender.is_ready()
    }

    /// Whether no call has had it for longer than `time`.
    pub(super) fn is_older(&self, time: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.free_since) > time
    }

    /// Sends a request, and returns what is answered to it.
    ///
    /// # Errors
    /// The connection ended, or what came over it was no HTTP. The request is in the error if nothing of it was sent.
    pub(super) async fn send(
        mut self: Box<Self>,
        request: Request<Sent>,
    ) -> Result<Incoming, TrySendError<Request<Sent>>> {
        // Unconstrained: that a task's turn is over must not look like an answer that is not there, for which nobody would wake it.
        let mut answer = pin!(unconstrained(self.sender.try_send_request(request)));
        let answer = poll_fn(|context| self.until(context, |context| answer.as_mut().poll(context))).await?;
        Ok(answer.map(|incoming| Arriving { incoming, lent: Lent(Some(self)) }.boxed_unsync()))
    }

    /// Ends it in order.
    pub(super) async fn end(self) {
        drop(self.sender);
        if let Some(driven) = self.driven {
            // It is over in either case.
            driven.await.ok();
        }
    }

    /// Lets the next call have it, if it can take one.
    pub(super) fn give_back(mut self: Box<Self>) {
        if let Some(host) = self.host.upgrade()
            && self.is_still_free()
        {
            self.free_since = Instant::now();
            host.state().made.push(self);
            host.hand_out();
        }
    }

    /// Goes on until `asked` is ready, or as far as it can, and then wakes the task when it can go on.
    ///
    /// Only what is done here makes it ready, and while the task is at it nobody has to wake it: each piece of an answer would call it
    /// once more, for nothing. So what goes on is told to nobody until there is nothing to do but to wait for the socket.
    fn until<T>(&mut self, context: &mut Context<'_>, mut asked: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        if let Poll::Ready(there) = asked(&mut unheard()) {
            return Poll::Ready(there);
        }
        self.drive(&mut unheard());
        if let Poll::Ready(there) = asked(&mut unheard()) {
            return Poll::Ready(there);
        }
        self.drive(context);
        asked(&mut unheard())
    }

    /// Goes on as far as it can without waiting.
    fn drive(&mut self, context: &mut Context<'_>) {
        if let Some(driven) = &mut self.driven
            && Pin::new(driven).poll(context).is_ready()
        {
            self.driven = None;
        }
    }
}

/// Wakes nobody.
fn unheard() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        let Self { incoming, lent } = &mut *self;
        let Some(line) = &mut lent.0 else { return Poll::Ready(None) };
        let frame = ready!(line.until(context, |context| Pin::new(&mut *incoming).poll_frame(context)));
        if frame.is_none() {
            lent.give_back();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|error| TransportError::Lost(error.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Lent {
    fn give_back(&mut self) {
        if let Some(line) = self.0.take() {
            line.give_back();
        }
    }
}

impl Drop for Lent {
    /// Nobody reads on. If nothing but the end is left, and is here, the connection can serve another call; otherwise it is closed.
    fn drop(&mut self) {
        self.give_back();
    }
}

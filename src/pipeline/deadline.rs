//! The one deadline of a call: its caller's, or the total timeout if that is earlier.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tower::{Layer, Service};

use super::{Call, Reply};
use crate::domain::{Error, Event, Reason};

/// Ends every call at its deadline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    total: Duration,
}

impl Deadlines {
    pub(super) fn new(total: Duration) -> Self {
        Self { total }
    }
}

impl<S> Layer<S> for Deadlines {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline { inner, total: self.total }
    }
}

/// A service whose calls end at their deadlines.
#[derive(Clone, Debug)]
pub(super) struct Deadline<S> {
    inner: S,
    total: Duration,
}

impl<S> Service<Call> for Deadline<S>
where
    S: Service<Call, Response = Reply, Error = Error>,
    S::Future: Send + 'static,
{
    type Response = Reply;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let bound = call.patience.filter(|patience| *patience < self.total);
        let whose = if bound.is_some() { Whose::Caller } else { Whose::Server };
        let at = call.received + bound.unwrap_or(self.total);
        let answer = self.inner.call(call);
        Box::pin(async move {
            let reply = tokio::time::timeout_at(at, answer).await.map_err(|_| whose.passed())??;
            Ok(Reply::new(Bounded { events: reply, end: tokio::time::sleep_until(at), at, whose, over: false }))
        })
    }
}

/// Whose deadline it is.
#[derive(Clone, Copy, Debug)]
enum Whose {
    Caller,
    Server,
}

impl Whose {
    fn passed(self) -> Error {
        let message = match self {
            Self::Caller => "the caller's deadline passed before the answer was complete",
            Self::Server => "the server's total timeout passed before the answer was complete",
        };
        Error::new(Reason::DeadlineExceeded, message)
    }
}

pin_project! {
    /// Events until a deadline.
    struct Bounded {
        #[pin]
        events: Reply,
        #[pin]
        end: Sleep,
        at: Instant,
        whose: Whose,
        over: bool,
    }
}

impl Stream for Bounded {
    type Item = Result<Event, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        if *this.over {
            return Poll::Ready(None);
        }
        // The clock is asked first: an upstream that never pauses must not outlive its caller.
        if *this.at <= Instant::now() {
            *this.over = true;
            return Poll::Ready(Some(Err(this.whose.passed())));
        }
        if let Poll::Ready(event) = this.events.poll_next(context) {
            return Poll::Ready(event);
        }
        ready!(this.end.poll(context));
        *this.over = true;
        Poll::Ready(Some(Err(this.whose.passed())))
    }
}

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

    fn call(&mut self, mut call: Call) -> Self::Future {
        let bound = call.patience.filter(|patience| *patience < self.total);
        let whose = if bound.is_some() { Whose::Caller } else { Whose::Server };
        let patience = bound.unwrap_or(self.total);
        let at = call.received + patience;
        call.patience = Some(patience);
        let answer = self.inner.call(call);
        Box::pin(async move {
            let reply = tokio::time::timeout_at(at, answer).await.map_err(|_| whose.passed())??;
            let end = tokio::time::sleep_until(at);
            Ok(Reply::new(Bounded { events: reply, end, at, whose, unbroken: 0, over: false }))
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
        unbroken: u32,
        over: bool,
    }
}

/// So many events may come without a pause until the clock is asked. What pauses is ended by the timer.
const UNBROKEN: u32 = 16;

impl Stream for Bounded {
    type Item = Result<Event, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        if *this.over {
            return Poll::Ready(None);
        }
        // An upstream that never pauses must not outlive its caller.
        if *this.unbroken == UNBROKEN {
            *this.unbroken = 0;
            if *this.at <= Instant::now() {
                *this.over = true;
                return Poll::Ready(Some(Err(this.whose.passed())));
            }
        }
        if let Poll::Ready(event) = this.events.poll_next(context) {
            *this.unbroken += 1;
            return Poll::Ready(event);
        }
        *this.unbroken = 0;
        ready!(this.end.poll(context));
        *this.over = true;
        Poll::Ready(Some(Err(this.whose.passed())))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::domain::CallId;
    use crate::pool::Ledger;
    use crate::protocol::Delivery;
    use crate::telemetry::CallTrace;

    const SECOND: Duration = Duration::from_secs(1);
    const TOTAL: Duration = Duration::from_secs(60);

    fn call(patience: Option<Duration>) -> Call {
        Call {
            caller: std::sync::Arc::default(),
            id: CallId::new(uuid::Uuid::nil()),
            request: Box::default(),
            delivery: Delivery::Stream,
            received: Instant::now(),
            patience,
            previous_attempts: 0,
            ledger: Ledger::default(),
            trace: CallTrace::off(),
            keep: std::sync::Arc::new(crate::pipeline::Nothing),
        }
    }

    /// When a call ends whose upstream needs `head` for its first word and then says one each `pace`, and how.
    async fn ends(call: Call, head: Duration, pace: Duration) -> (Duration, Error) {
        let upstream = service_fn(move |_: Call| async move {
            tokio::time::sleep(head).await;
            let events = stream::unfold((), move |()| async move {
                tokio::time::sleep(pace).await;
                Some((Ok(Event::Heartbeat), ()))
            });
            Ok::<_, Error>(Reply::new(events))
        });
        let received = call.received;
        let error = match Deadlines::new(TOTAL).layer(upstream).oneshot(call).await {
            Err(error) => error,
            Ok(mut reply) => loop {
                if let Err(error) = reply.next().await.unwrap() {
                    assert!(reply.next().await.is_none(), "nothing follows the end");
                    break error;
                }
            },
        };
        (received.elapsed(), error)
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_of_two_deadlines_ends_a_call_and_is_named() {
        for (patience, at, whose) in [
            (None, TOTAL, "total timeout"),
            (Some(3 * SECOND), 3 * SECOND, "caller's deadline"),
            (Some(2 * TOTAL), TOTAL, "total timeout"),
            (Some(Duration::MAX), TOTAL, "total timeout"),
            (Some(Duration::ZERO), Duration::ZERO, "caller's deadline"),
        ] {
            for (head, pace) in [(10 * TOTAL, SECOND), (SECOND / 2, 10 * TOTAL), (SECOND / 2, SECOND / 3)] {
                let (after, error) = ends(call(patience), head, pace).await;
                assert!(after >= at && after < at + SECOND / 100, "{after:?}");
                assert_eq!(error.reason, Reason::DeadlineExceeded);
                assert!(error.message.contains(whose), "{}", error.message);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_request_took_to_arrive_counts() {
        let call = call(Some(3 * SECOND));
        tokio::time::advance(2 * SECOND).await;
        let (after, _) = ends(call, 10 * SECOND, SECOND).await;
        assert!(after < 4 * SECOND, "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_upstream_that_never_pauses_does_not_outlive_it() {
        let upstream = service_fn(|_: Call| async {
            let endless = stream::repeat_with(|| Ok(Event::Heartbeat));
            Ok::<_, Error>(Reply::new(endless))
        });
        let mut reply = Deadlines::new(TOTAL).layer(upstream).oneshot(call(None)).await.unwrap();
        assert!(reply.next().await.unwrap().is_ok());
        tokio::time::advance(TOTAL).await;
        let more = reply.take_while(|event| std::future::ready(event.is_ok())).count().await;
        assert!(more < 16, "{more}");
    }
}

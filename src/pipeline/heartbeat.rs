//! A sign of life in long silences of a stream.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tower::{Layer, Service};

use super::{Call, Reply};
use crate::domain::{Error, Event};
use crate::protocol::Delivery;

/// Tells the callers of streams that their calls are alive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heartbeats {
    silence: Duration,
}

impl Heartbeats {
    pub(super) fn new(silence: Duration) -> Self {
        Self { silence }
    }
}

impl<S> Layer<S> for Heartbeats {
    type Service = Heartbeat<S>;

    fn layer(&self, inner: S) -> Heartbeat<S> {
        Heartbeat { inner, silence: self.silence }
    }
}

/// A service whose streams are never silent for long.
#[derive(Clone, Debug)]
pub(super) struct Heartbeat<S> {
    inner: S,
    silence: Duration,
}

impl<S> Service<Call> for Heartbeat<S>
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
        let silence = self.silence;
        let delivery = call.delivery;
        let answer = self.inner.call(call);
        Box::pin(async move {
            let events = answer.await?;
            Ok(match delivery {
                Delivery::Stream => Reply::new(Beating { events, beat: tokio::time::sleep(silence), silence }),
                Delivery::Whole => events,
            })
        })
    }
}

pin_project! {
    /// Events, and heartbeats between them.
    struct Beating {
        #[pin]
        events: Reply,
        #[pin]
        beat: Sleep,
        silence: Duration,
    }
}

impl Stream for Beating {
    type Item = Result<Event, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        let event = this.events.poll_next(context);
        if event.is_pending() {
            ready!(this.beat.as_mut().poll(context));
        }
        this.beat.as_mut().reset(Instant::now() + *this.silence);
        match event {
            Poll::Ready(event) => Poll::Ready(event),
            Poll::Pending => Poll::Ready(Some(Ok(Event::Heartbeat))),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::domain::{CallId, Delta};
    use crate::pool::Ledger;
    use crate::telemetry::CallTrace;

    const SILENCE: Duration = Duration::from_secs(15);

    /// Where heartbeats come among the events of an upstream that waits this many seconds before each.
    async fn beats(delivery: Delivery, pauses: &'static [u64]) -> String {
        let upstream = service_fn(move |_: Call| async move {
            tokio::time::sleep(10 * SILENCE).await;
            let events = stream::iter(pauses).then(|pause| async move {
                tokio::time::sleep(Duration::from_secs(*pause)).await;
                Ok(Event::BlockDelta { index: 0, delta: Delta::Text(String::new()), logprobs: Vec::new() })
            });
            Ok::<_, Error>(Reply::new(events))
        });
        let call = Call {
            caller: std::sync::Arc::default(),
            id: CallId::new(uuid::Uuid::nil()),
            request: Box::default(),
            delivery,
            received: Instant::now(),
            patience: None,
            previous_attempts: 0,
            ledger: Ledger::default(),
            trace: CallTrace::off(),
            keep: std::sync::Arc::new(crate::pipeline::Nothing),
        };
        let reply = Heartbeats::new(SILENCE).layer(upstream).oneshot(call).await.unwrap();
        reply.map(|event| if matches!(event, Ok(Event::Heartbeat)) { '.' } else { 'e' }).collect().await
    }

    #[tokio::test(start_paused = true)]
    async fn only_silence_between_events_is_filled() {
        for (pauses, expected) in
            [(&[1, 2, 3][..], "eee"), (&[14, 14, 14], "eee"), (&[16, 1], ".ee"), (&[1, 50, 1], "e...ee"), (&[], "")]
        {
            assert_eq!(beats(Delivery::Stream, pauses).await, expected, "{pauses:?}");
            let without: String = expected.chars().filter(|beat| *beat == 'e').collect();
            assert_eq!(beats(Delivery::Whole, pauses).await, without, "{pauses:?}");
        }
    }
}
